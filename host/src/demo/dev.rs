//! The demo's view of ctxdev: plain POSIX calls, as any program would make them. Nothing here knows that a host is near.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use ctxdev_user::{CTXDEV_REVOKE, CTXDEV_SET_HYSTERESIS, CTXDEV_STATS, FB, FB_LEN, Stats};

/// Length of the part of the device that the demo maps: everything, with 64 KiB of frame buffer.
pub const ALL: u64 = FB + FB_LEN;
/// A page.
pub const PAGE: u64 = 0x1000;

/// An open ctxdev.
pub struct Dev(OwnedFd);

impl Dev {
    /// Opens the device for reading and writing.
    pub fn open(path: &str) -> io::Result<Dev> {
        let c = std::ffi::CString::new(path)?;
        // SAFETY: `c` is a NUL-terminated string that outlives the call.
        let fd = unsafe { libc::open(c.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: open has just given us this descriptor; nobody else owns it.
        Ok(Dev(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    fn ioctl(&self, command: i32, arg: u64) -> io::Result<()> {
        // SAFETY: the commands of this file take an integer or point to a structure that the caller keeps alive.
        match unsafe { libc::ioctl(self.0.as_raw_fd(), command as libc::Ioctl, arg) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// The driver's counters.
    pub fn stats(&self) -> io::Result<Stats> {
        let mut stats = Stats::default();
        self.ioctl(CTXDEV_STATS, &raw mut stats as u64)?;
        Ok(stats)
    }

    /// Makes the driver unload every translation of every process.
    pub fn revoke(&self) -> io::Result<()> {
        self.ioctl(CTXDEV_REVOKE, 0)
    }

    /// Sets the time in milliseconds that a context stays in the engine before another gets it.
    pub fn set_hysteresis(&self, ms: u64) -> io::Result<()> {
        self.ioctl(CTXDEV_SET_HYSTERESIS, ms)
    }

    /// Maps `len` bytes of the device at offset `off`.
    pub fn map(&self, off: u64, len: u64, shared: bool) -> io::Result<Map> {
        let flags = if shared { libc::MAP_SHARED } else { libc::MAP_PRIVATE };
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the system's choice touches no memory that we have.
        let base = unsafe {
            libc::mmap(std::ptr::null_mut(), len as usize, prot, flags, self.0.as_raw_fd(), off as i64)
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Map { base: base as u64, off, len })
    }
}

/// A mapping of the device, or what is left of it.
pub struct Map {
    base: u64,
    off: u64,
    len: u64,
}

impl Map {
    /// The 8-byte word at device offset `off`. Others write it too, so it is atomic.
    pub fn word(&self, off: u64) -> &AtomicU64 {
        assert!(
            off >= self.off && off + 8 <= self.off + self.len && off.is_multiple_of(8),
            "word outside the mapping"
        );
        let at = (self.base + (off - self.off)) as *const AtomicU64;
        // SAFETY: checked to be inside the mapping and aligned; the device's memory is made of plain words. A word that `unmap` has
        // taken away faults when it is used, which is what the kernel is there for, and the demo never does it.
        unsafe { &*at }
    }

    /// Writes the word at `off`.
    pub fn set(&self, off: u64, value: u64) {
        self.word(off).store(value, Ordering::SeqCst);
    }

    /// Reads the word at `off`.
    pub fn get(&self, off: u64) -> u64 {
        self.word(off).load(Ordering::SeqCst)
    }

    /// munmap of a part of the mapping, by device offset.
    pub fn unmap(&self, off: u64, len: u64) -> io::Result<()> {
        let at = (self.base + (off - self.off)) as *mut libc::c_void;
        // SAFETY: the range belongs to this mapping, and no reference into it is alive: `word` borrows for one access only.
        match unsafe { libc::munmap(at, len as usize) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}
