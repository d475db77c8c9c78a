//! System calls whose buffers are in device memory, where Linux could not ask the driver for an access, or would lose what it has read if the driver refuses.
//!
//! They go by way of a buffer of the shim's. What a driver refuses is not lost: of a pipe or a socket the data is looked at first, delivered, and only then
//! taken away; a file's offset is set back; of everything else (terminals, eventfd and its like), which cannot be looked at, so much is read as the driver
//! has allowed to be stored before. Somebody else who reads the same pipe, socket or terminal at the same moment is the one exception: then, what was taken away is
//! delivered, and lost if the driver refuses that.

use core::ffi::{c_int, c_void};
use core::sync::atomic::Ordering;

use ddi_wire::{Buffer, FAULTS_UFFD, Op};

use crate::held::Held;
use crate::real::{errno, fail};
use crate::{copy, link, sockets, state, sys};

/// Most bytes that take the detour at once.
const MOST: usize = 1 << 20;

/// What a call comes to: a count of bytes, or the error.
pub type Outcome = Result<usize, i32>;

/// What a function of the C library has returned.
pub fn outcome(r: isize) -> Outcome {
    usize::try_from(r).map_err(|_| errno())
}

/// The other way round.
pub fn answer(r: Outcome) -> isize {
    r.map_or_else(|e| fail(e) as isize, |n| n as isize)
}

/// Is a buffer perhaps in device memory?
pub fn is_near(buffers: &[Buffer]) -> bool {
    buffers.iter().any(|b| b.len > 0 && state::near(b.base, b.len))
}

/// Must each system call on such a buffer take the detour? Else only those that would lose what they have read.
fn always() -> bool {
    state::MODE.load(Ordering::Relaxed) != FAULTS_UFFD
}

/// Does a call take the detour in any case?
fn needed(buffers: &[Buffer]) -> bool {
    state::MODE.load(Ordering::Relaxed) != 0 && always() && is_near(buffers)
}

/// How many bytes the buffers have, as far as they are used at once.
pub fn room(buffers: &[Buffer]) -> usize {
    buffers.iter().fold(0usize, |sum, b| sum.saturating_add(b.len as usize)).min(MOST)
}

/// The buffers' first `len` bytes, in pieces: where each is, and its length. Ends with the first for which `f` has done less than that; how
/// many bytes have been done.
fn each(buffers: &[Buffer], len: usize, mut f: impl FnMut(u64, usize, usize) -> usize) -> usize {
    let mut done = 0;
    for b in buffers {
        let want = (b.len as usize).min(len - done);
        let got = if want > 0 { f(b.base, want, done) } else { 0 };
        done += got;
        if got < want || done == len {
            break;
        }
    }
    done
}

/// Stores bytes in the buffers: how many, up to the first that cannot be.
pub fn put(buffers: &[Buffer], from: u64, len: usize) -> usize {
    // SAFETY: our buffer has so many bytes; the other side is what the program named.
    each(buffers, len, |at, n, done| unsafe { copy::copy(at, from + done as u64, n) })
}

/// Has the driver asked for stores of bytes to the buffers: how many are allowed, up to the first that is not.
pub fn touch(buffers: &[Buffer], len: usize) -> usize {
    each(buffers, len, |at, n, _| copy::touch(at, n, true))
}

/// Memory of the shim's for the time of a call.
pub struct Own {
    at: u64,
    len: u64,
}

impl Own {
    pub fn new(len: usize) -> Result<Own, i32> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let len = len.max(1) as u64;
        // SAFETY: a new mapping that replaces nothing.
        unsafe { sys::mmap(0, len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) }
            .map(|at| Own { at, len })
    }

    pub fn at(&self, offset: usize) -> *mut c_void {
        (self.at + offset as u64) as *mut c_void
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, whose users are gone.
        let _ = unsafe { sys::munmap(self.at, self.len) };
    }
}

/// The buffers' bytes, gathered, as many as can be loaded; then `f` is called with them.
pub fn write(buffers: &[Buffer], f: impl FnOnce(*mut c_void, usize) -> isize) -> Option<isize> {
    if !needed(buffers) {
        return None;
    }
    let all = room(buffers);
    Some(answer(Own::new(all).and_then(|own| {
        // SAFETY: our buffer has the room; the other side is what the program named.
        let have = each(buffers, all, |at, n, done| unsafe { copy::copy(own.at(done) as u64, at, n) });
        if have == 0 { Err(copy::why()) } else { outcome(f(own.at(0), have)) }
    })))
}

/// Reads at an offset, where nothing is taken away.
pub fn read_at(buffers: &[Buffer], f: impl FnOnce(*mut c_void, usize) -> isize) -> Option<isize> {
    if !needed(buffers) {
        return None;
    }
    let all = room(buffers);
    Some(answer(Own::new(all).and_then(|own| {
        let n = outcome(f(own.at(0), all))?;
        delivered(put(buffers, own.at(0) as u64, n), n)
    })))
}

/// `done` of `len` bytes have been stored.
fn delivered(done: usize, len: usize) -> Outcome {
    if done == 0 && len > 0 { Err(copy::why()) } else { Ok(done) }
}

/// Where a read takes its bytes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Pipe,
    /// A socket of bytes.
    Stream,
    /// A socket of messages.
    Messages,
    /// It has an offset.
    File,
    Other,
}

impl Source {
    pub fn of(fd: c_int) -> Source {
        // SAFETY: all-zero is a valid stat structure.
        let mut st: libc::stat = unsafe { core::mem::zeroed() };
        // SAFETY: a valid place.
        let known =
            unsafe { sys::call(libc::SYS_fstat, [fd as u64, (&raw mut st) as u64, 0, 0, 0, 0]) }.is_ok();
        match st.st_mode & libc::S_IFMT {
            libc::S_IFIFO => Source::Pipe,
            libc::S_IFSOCK => {
                let (mut kind, mut len) = (0 as c_int, size_of::<c_int>() as u32);
                let (kind_at, len_at) = ((&raw mut kind) as u64, (&raw mut len) as u64);
                let a = [fd as u64, libc::SOL_SOCKET as u64, libc::SO_TYPE as u64, kind_at, len_at, 0];
                // SAFETY: room for an integer, whose length is said.
                let _ = unsafe { sys::call(libc::SYS_getsockopt, a) };
                if kind == libc::SOCK_STREAM { Source::Stream } else { Source::Messages }
            }
            // Other files accept an offset and have none.
            libc::S_IFREG | libc::S_IFBLK if known && seek(fd, 0) => Source::File,
            _ => Source::Other,
        }
    }

    /// Does Linux lose what it has read from it if it cannot store it?
    fn loses(self) -> bool {
        matches!(self, Source::Messages | Source::Other)
    }
}

/// Must what is read from there go by way of a buffer?
pub fn reading(fd: c_int, buffers: &[Buffer]) -> Option<Source> {
    if state::MODE.load(Ordering::Relaxed) == 0 || !is_near(buffers) {
        return None;
    }
    Some(Source::of(fd)).filter(|source| always() || source.loses())
}

/// Moves a file's offset; false if it has none.
fn seek(fd: c_int, by: i64) -> bool {
    let a = [fd as u64, by as u64, libc::SEEK_CUR as u64, 0, 0, 0];
    // SAFETY: no memory is involved.
    unsafe { sys::call(libc::SYS_lseek, a) }.is_ok()
}

type Read = unsafe extern "C" fn(c_int, *mut c_void, usize) -> isize;

/// read(2) and readv(2), if they must take the detour.
pub fn read(fd: c_int, buffers: &[Buffer]) -> Option<isize> {
    let source = reading(fd, buffers)?;
    let real = real!(read: fn(c_int, *mut c_void, usize) -> isize);
    let all = room(buffers);
    let fill = || match source {
        Source::Stream | Source::Messages => {
            sockets::receive(fd, source, 0, &mut sockets::Message::of(buffers))
        }
        Source::Pipe => match from_pipe(fd, buffers, all, real) {
            Err(libc::EINVAL | libc::EMFILE | libc::ENFILE) => from_other(fd, buffers, all, real),
            r => r,
        },
        Source::File => from_file(fd, buffers, all, real),
        Source::Other => from_other(fd, buffers, all, real),
    };
    Some(answer(fill()))
}

fn is_nonblocking(fd: c_int) -> bool {
    sys::fcntl(fd, libc::F_GETFL, 0).is_ok_and(|flags| flags as c_int & libc::O_NONBLOCK != 0)
}

/// A pipe's bytes are copied to another pipe, from which they are delivered.
fn from_pipe(fd: c_int, buffers: &[Buffer], all: usize, real: Read) -> Outcome {
    let own = Own::new(2 * all)?;
    let mut ends = [0i32; 2];
    let a = [ends.as_mut_ptr() as u64, libc::O_CLOEXEC as u64, 0, 0, 0, 0];
    // SAFETY: room for two descriptors.
    unsafe { sys::call(libc::SYS_pipe2, a) }?;
    let [out, into] = ends.map(state::adopt);
    let flags = if is_nonblocking(fd) { libc::SPLICE_F_NONBLOCK } else { 0 };
    // SAFETY: no memory is involved.
    let seen = outcome(unsafe { libc::tee(fd, into, all, flags) });
    let seen = seen.and_then(|n| {
        let a = [out as u64, own.at(0) as u64, n as u64, 0, 0, 0];
        // SAFETY: our buffer has the room.
        if n == 0 { Ok(0) } else { unsafe { sys::call(libc::SYS_read, a) }.map(|n| n as usize) }
    });
    state::drop_own(out);
    state::drop_own(into);
    let seen = seen?;
    let done = delivered(put(buffers, own.at(0) as u64, seen), seen)?;
    if done == 0 {
        return Ok(0);
    }
    // SAFETY: the second half of our buffer has the room.
    let taken = outcome(unsafe { real(fd, own.at(all), done) })?;
    settle(buffers, &own, all, taken)
}

/// So many bytes, in the second half of `own`, have been taken away after those in the first half were delivered: they are the same unless
/// somebody else has read, too.
pub fn settle(buffers: &[Buffer], own: &Own, half: usize, taken: usize) -> Outcome {
    // SAFETY: each half has so many bytes; they are ours.
    let [seen, taken_away] =
        [0, half].map(|at| unsafe { core::slice::from_raw_parts(own.at(at).cast::<u8>(), taken) });
    if seen == taken_away {
        return Ok(taken);
    }
    delivered(put(buffers, own.at(half) as u64, taken), taken)
}

/// A file's offset is set back to what has been delivered.
fn from_file(fd: c_int, buffers: &[Buffer], all: usize, real: Read) -> Outcome {
    let own = Own::new(all)?;
    // SAFETY: our buffer has the room.
    let n = outcome(unsafe { real(fd, own.at(0), all) })?;
    let done = put(buffers, own.at(0) as u64, n);
    if done < n {
        seek(fd, done as i64 - n as i64);
    }
    delivered(done, n)
}

/// The driver is asked for as much room as there will be bytes, before they are read.
fn from_other(fd: c_int, buffers: &[Buffer], all: usize, real: Read) -> Outcome {
    let own = Own::new(all)?;
    if !is_nonblocking(fd) {
        wait_for_input(fd)?;
    }
    let mut waiting = 0 as c_int;
    // SAFETY: room for an integer.
    let counted = unsafe { sys::ioctl(fd, libc::FIONREAD, &mut waiting) };
    let expected = match (counted, usize::try_from(waiting)) {
        (Ok(_), Ok(n)) if n > 0 => n.min(all),
        _ => all,
    };
    let allowed = touch(buffers, expected);
    if allowed == 0 {
        return Err(copy::why());
    }
    // SAFETY: our buffer has the room.
    let n = outcome(unsafe { real(fd, own.at(0), allowed) })?;
    delivered(put(buffers, own.at(0) as u64, n), n)
}

/// Waits until there is something to read; a signal's handler decides whether it goes on, as for read(2).
fn wait_for_input(fd: c_int) -> Result<(), i32> {
    loop {
        let user = sys::hold_signals();
        let mut held = Held::new(user);
        let signalled = held.wait(fd);
        // Here the handlers run.
        sys::set_mask(user);
        match signalled {
            false => return Ok(()),
            true if held.restarts() => {}
            true => return Err(libc::EINTR),
        }
    }
}

/// The result of a system call that Linux has made on these buffers, in which it stores or (`write` is false) from which it loads. Where it has said `EFAULT`, and
/// a driver has refused it, the error is the driver's, as on illumos.
pub fn told(r: isize, buffers: &[Buffer], write: bool) -> isize {
    if r >= 0 || errno() != libc::EFAULT || state::MODE.load(Ordering::Relaxed) != FAULTS_UFFD {
        return r;
    }
    for b in buffers.iter().filter(|b| b.len > 0 && state::near(b.base, b.len)) {
        let refused = link::request(Op::Refused, [b.base, b.len, 0, 0, 0, 0], &[], &[], true).map(|r| r.a[0]);
        match refused {
            Ok(0) => {}
            Ok(errno) => return fail(errno as i32) as isize,
            Err(_) => break,
        }
        // Linux has not asked: the protection forbids it, or nothing is mapped there. The driver is asked about a page that is not loaded.
        if copy::touch(b.base, b.len as usize, write) < b.len as usize {
            return fail(copy::why()) as isize;
        }
    }
    fail(libc::EFAULT) as isize
}
