//! Makes a call of a trace and says how it ended.

use ctxdev_user::{
    CTXDEV_LOSE, CTXDEV_REVOKE, CTXDEV_SET_HYSTERESIS, CTXDEV_SET_MAX_CONTEXTS, CTXDEV_STATS, Stats,
};

use super::{AREA, NOWHERE};
use crate::device::{FIXED, PRIVATE, RW, SHARED};
use crate::probe::{self, Fault};
use crate::sys::{self, Errno, Sys, page_size};
use crate::{device, os};
use usr_tests::recorded::PAGES;
use usr_tests::recorded::call::Call;

/// Descriptors of a process of a program, all inherited by its children.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    path: &'a str,
    /// For ioctls, for mapping and writing, and open for reading only.
    control: i32,
    device: i32,
    reading: i32,
    pipe: (i32, i32),
}

/// Bytes in the pipe for a read(2).
const MESSAGE: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

fn address(page: usize) -> usize {
    AREA + page * page_size()
}

fn plain(result: Sys) -> String {
    result.map_or_else(|errno| errno.name(), |()| "ok".into())
}

fn sharing(shared: bool) -> i32 {
    if shared { SHARED } else { PRIVATE }
}

/// Outcome of an access: a value, or the signal.
fn access(at: usize, result: Result<String, Fault>) -> String {
    let fault = match result {
        Ok(value) => return value,
        Err(fault) => fault,
    };
    let errno = if fault.errno == 0 { "0".into() } else { Errno(fault.errno).name() };
    let elsewhere = if fault.addr == at { "" } else { " addr!" };
    format!("{} code={} errno={errno}{elsewhere}", signal(&fault), fault.code)
}

fn signal(fault: &Fault) -> &'static str {
    if fault.signal == libc::SIGBUS { "BUS" } else { "SEGV" }
}

impl<'a> Means<'a> {
    /// Opens the device and puts it where every program begins: controls off, the regions zero, nothing mapped.
    pub fn new(path: &'a str) -> Result<Means<'a>, String> {
        let open = |flags| sys::open(path, flags).map_err(|errno| format!("open {path}: {errno}"));
        let (control, device, reading) = (open(libc::O_RDWR)?, open(libc::O_RDWR)?, open(libc::O_RDONLY)?);
        let pipe = sys::pipe().map_err(|errno| format!("pipe: {errno}"))?;
        let means = Means { path, control, device, reading, pipe };
        means.reset();
        let page = page_size();
        for (off, pages) in [(0, 1), (1, 4), (5, 11), (16, 16)].map(|(off, n)| (off * page, n)) {
            let at = sys::mmap(0, pages * page, RW, SHARED, device, off as i64)
                .map_err(|errno| format!("mmap of {pages} pages at offset {off:#x}: {errno}"))?;
            for word in (at..at + pages * page).step_by(8) {
                probe::store8(word, 0).map_err(|fault| format!("clearing the device: {fault}"))?;
            }
            sys::munmap(at, pages * page).map_err(|errno| format!("munmap: {errno}"))?;
        }
        Ok(means)
    }

    /// The device is there, serves at once, and has no limit.
    pub fn reset(&self) {
        for command in [CTXDEV_LOSE, CTXDEV_SET_HYSTERESIS, CTXDEV_SET_MAX_CONTEXTS] {
            let _ = sys::ioctl(self.control, command, 0);
        }
    }

    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        let _ = sys::ioctl_with(self.control, CTXDEV_STATS, &mut stats);
        stats
    }

    pub fn unmap_all(&self) {
        let _ = sys::munmap(AREA, PAGES * page_size());
    }

    /// Makes the call. A fork is the caller's.
    pub fn call(&mut self, call: &Call) -> String {
        let range = |page, pages| (address(page), pages * page_size());
        match *call {
            Call::Map { page, len, off, prot, shared, read_only } => {
                let fd = if read_only { self.reading } else { self.device };
                let mapped = sys::mmap(address(page), len, prot.0, sharing(shared) | FIXED, fd, off as i64);
                plain(mapped.map(drop))
            }
            Call::MapAnywhere { len, off, prot, shared } => {
                match sys::mmap(0, len, prot.0, sharing(shared), self.device, off as i64) {
                    Ok(at) => {
                        let written = probe::store1(at, 9);
                        let _ = sys::munmap(at, len);
                        format!("ok {}", written.map_or_else(|fault| signal(&fault), |()| "written"))
                    }
                    Err(errno) => errno.name(),
                }
            }
            Call::MapOdd { len, off } => {
                let mapped = sys::mmap(0, len, RW, SHARED, self.device, off as i64);
                plain(mapped.and_then(|at| sys::munmap(at, len)))
            }
            Call::Unmap { page, pages } => {
                let (at, len) = range(page, pages);
                plain(sys::munmap(at, len))
            }
            Call::UnmapNothing { page } => plain(sys::munmap(address(page), 0)),
            Call::UnmapUnaligned { page, pages } => {
                let (at, len) = range(page, pages);
                plain(sys::munmap(at + 1, len))
            }
            Call::Protect { page, pages, prot } => {
                let (at, len) = range(page, pages);
                plain(sys::mprotect(at, len, prot.0))
            }
            Call::ProtectUnaligned { page } => {
                plain(sys::mprotect(address(page) + 1, page_size(), device::READ))
            }
            Call::Anonymous { page, pages } => {
                let (at, len) = range(page, pages);
                plain(sys::mmap(at, len, RW, os::ANONYMOUS | FIXED, -1, 0).map(drop))
            }
            Call::Lock { page, pages } => {
                let (at, len) = range(page, pages);
                plain(sys::mlock(at, len))
            }
            Call::Unlock { page, pages } => {
                let (at, len) = range(page, pages);
                plain(sys::munlock(at, len))
            }
            Call::Resident { page, pages } => {
                let (at, len) = range(page, pages);
                sys::mincore(at, len).map_or_else(
                    |errno| errno.name(),
                    |pages| {
                        let digits = pages.iter().map(|page| if page & 1 != 0 { '1' } else { '0' });
                        format!("ok {}", digits.collect::<String>())
                    },
                )
            }
            Call::Advise { page, pages, advice } => {
                let (at, len) = range(page, pages);
                plain(sys::madvise(at, len, os::harmless_advice(advice)))
            }
            Call::Sync { page, pages } => {
                let (at, len) = range(page, pages);
                plain(sys::msync(at, len, libc::MS_SYNC))
            }
            Call::Load { page, at } => {
                let at = address(page) + at;
                access(at, probe::load1(at).map(|value| value.to_string()))
            }
            Call::Store { page, at, value } => {
                let at = address(page) + at;
                access(at, probe::store1(at, value).map(|()| "ok".into()))
            }
            Call::WriteFrom { page, at } => self.write_from(address(page) + at),
            Call::ReadInto { page, at } => self.read_into(address(page) + at),
            Call::DeviceWrite { value } => self.device_write([value; 16].as_ptr() as usize),
            Call::DeviceWriteFrom { page } => self.device_write(address(page)),
            Call::Revoke => self.control(CTXDEV_REVOKE, 0),
            Call::Lose { lost } => self.control(CTXDEV_LOSE, lost.into()),
            Call::MaxContexts { most } => self.control(CTXDEV_SET_MAX_CONTEXTS, most),
            Call::Ioctl { command, page } => {
                let outcome = self.control(command, page.map_or(NOWHERE, address));
                // An address is no number: what it has set is taken back.
                if matches!(command, CTXDEV_LOSE | CTXDEV_SET_HYSTERESIS | CTXDEV_SET_MAX_CONTEXTS) {
                    let _ = sys::ioctl(self.control, command, 0);
                }
                outcome
            }
            Call::Reopen => {
                let _ = sys::close(self.device);
                match sys::open(self.path, libc::O_RDWR) {
                    Ok(fd) => {
                        self.device = fd;
                        "ok".into()
                    }
                    Err(errno) => errno.name(),
                }
            }
            Call::Fork | Call::Nothing => String::new(),
        }
    }

    /// Returns whether this call, which succeeded, has loaded from where illumos may refuse it. See README.md of this package, "What Linux does otherwise".
    pub fn is_lenient(call: &Call) -> bool {
        match *call {
            Call::Load { page, .. } | Call::WriteFrom { page, .. } | Call::DeviceWriteFrom { page } => {
                os::is_write_only_memory(address(page))
            }
            _ => false,
        }
    }

    fn control(&self, command: i32, arg: usize) -> String {
        plain(sys::ioctl(self.control, command, arg).map(drop))
    }

    fn device_write(&self, from: usize) -> String {
        sys::write_at(self.device, from, 16).map_or_else(|errno| errno.name(), |n| n.to_string())
    }

    /// write(2) from the area; the first byte that came through.
    fn write_from(&self, at: usize) -> String {
        match sys::write_at(self.pipe.1, at, MESSAGE.len()) {
            Ok(0) => "0".into(),
            Ok(written) => {
                let mut through = [0; MESSAGE.len()];
                let _ = sys::read(self.pipe.0, &mut through[..written]);
                format!("{written} [{}]", through[0])
            }
            Err(errno) => errno.name(),
        }
    }

    /// read(2) into the area. A call that fails must leave in the pipe what was there.
    fn read_into(&self, at: usize) -> String {
        let _ = sys::write(self.pipe.1, &MESSAGE);
        let result = sys::read_at(self.pipe.0, at, MESSAGE.len());
        let taken = result.unwrap_or(0).min(MESSAGE.len());
        let mut left = [0; MESSAGE.len()];
        let mut whole = true;
        if taken < MESSAGE.len() {
            let there = sys::wait_readable(self.pipe.0, std::time::Duration::ZERO).unwrap_or(false);
            let n = if there { sys::read(self.pipe.0, &mut left).unwrap_or(0) } else { 0 };
            whole = left[..n] == MESSAGE[taken..];
        }
        let outcome = result.map_or_else(|errno| errno.name(), |n| n.to_string());
        if whole { outcome } else { format!("{outcome} lost") }
    }
}
