//! The calls of a process on a device, for tests: open, mmap, loads and stores, ioctl, fork.
//!
//! A load or store that the driver refuses is a signal, as in any program: [`fork`] shows it as the child's end.

use std::fs::{File, OpenOptions};
use std::io::{self, Error};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use devmap_plain::Plain;

/// An open device.
#[derive(Debug)]
pub struct Device {
    file: File,
}

impl Device {
    /// Opens a device to read and to write.
    ///
    /// # Errors
    /// Of open(2): the driver's open(9E) may refuse.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Device> {
        Ok(Device { file: OpenOptions::new().read(true).write(true).open(path)? })
    }

    /// Returns the descriptor: it reads, writes and polls as any file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Maps `len` bytes from `offset`, shared with all other processes.
    ///
    /// # Errors
    /// Of mmap(2). Whatever error the driver's devmap(9E) returns, this is `ENXIO`.
    pub fn map(&self, len: usize, offset: u64) -> io::Result<Map> {
        self.map_as(len, offset, libc::MAP_SHARED)
    }

    /// Maps `len` bytes from `offset` with `MAP_PRIVATE`, which a driver may take as a wish for a context of its own.
    ///
    /// # Errors
    /// As of [`Device::map`].
    pub fn map_private(&self, len: usize, offset: u64) -> io::Result<Map> {
        self.map_as(len, offset, libc::MAP_PRIVATE)
    }

    fn map_as(&self, len: usize, offset: u64, flags: i32) -> io::Result<Map> {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let offset = libc::off_t::try_from(offset).map_err(|_| Error::from_raw_os_error(libc::EOVERFLOW))?;
        // SAFETY: a new mapping, at an address of the system's choice: no memory that anything refers to changes.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, self.file.as_raw_fd(), offset) };
        if at == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        Ok(Map { at: at.cast(), len })
    }

    /// Calls ioctl(2) with a structure that the driver copies in, out, or both. Returns the driver's value.
    ///
    /// # Errors
    /// The driver's.
    pub fn ioctl<T: Plain>(&self, command: i32, argument: &mut T) -> io::Result<i32> {
        let memory = Memory::new(size_of::<T>())?;
        memory.0.store(0, *argument);
        // SAFETY: a place for a value that lives through the call, and every pattern of bytes is a value of a plain type. The driver under test is the kernel
        // here: that it copies no more than its command is defined for is what every process relies on.
        let value = unsafe { libc::ioctl(self.file.as_raw_fd(), command as libc::Ioctl, memory.0.at) };
        let result = if value < 0 { Err(Error::last_os_error()) } else { Ok(value) };
        *argument = memory.0.load(0);
        result
    }

    /// Waits by poll(2) until the device can be read, for ever or for a while. Returns whether it can.
    ///
    /// # Errors
    /// Of poll(2).
    pub fn readable(&self, limit: Option<Duration>) -> io::Result<bool> {
        let milliseconds = limit.map_or(-1, |limit| i32::try_from(limit.as_millis()).unwrap_or(i32::MAX));
        let mut poll = libc::pollfd { fd: self.file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, which lives through the call.
        let ready = unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
        if ready < 0 { Err(Error::last_os_error()) } else { Ok(poll.revents & libc::POLLIN != 0) }
    }

    /// Calls ioctl(2) with a number. Returns the driver's value.
    ///
    /// # Errors
    /// The driver's.
    pub fn ioctl_number(&self, command: i32, argument: i32) -> io::Result<i32> {
        // SAFETY: a number that stands for itself. The driver under test is the kernel here: that it takes no number for an address is what every process
        // relies on.
        let value = unsafe {
            libc::ioctl(self.file.as_raw_fd(), command as libc::Ioctl, libc::c_long::from(argument))
        };
        if value < 0 { Err(Error::last_os_error()) } else { Ok(value) }
    }
}

/// A mapping of a device, unmapped when dropped.
///
/// # Invariants
/// `len` bytes at `at`, rounded up to pages, are a mapping that nothing else unmaps. No reference to its memory exists but to atomics.
#[derive(Debug)]
pub struct Map {
    at: *mut u8,
    len: usize,
}

impl Map {
    /// Returns the place of a value.
    ///
    /// # Panics
    /// It is not within the mapping, or not at a multiple of its alignment.
    fn place<T>(&self, offset: usize) -> *mut T {
        let end = offset.checked_add(size_of::<T>());
        assert!(
            end.is_some_and(|end| end <= self.len),
            "{offset:#x} is outside of the {:#x} bytes",
            self.len
        );
        assert!(offset.is_multiple_of(align_of::<T>()), "{offset:#x} is not aligned");
        self.at.wrapping_add(offset).cast()
    }

    /// Loads a value: a fault, if the page has no translation.
    ///
    /// # Panics
    /// The place is not within the mapping, or not aligned.
    pub fn load<T: Plain>(&self, offset: usize) -> T {
        // SAFETY: within the mapping and aligned, by `place`. Every pattern of bytes is a value, whoever writes meanwhile.
        unsafe { self.place::<T>(offset).read_volatile() }
    }

    /// Stores a value.
    ///
    /// # Panics
    /// The place is not within the mapping, or not aligned.
    pub fn store<T: Plain>(&self, offset: usize, value: T) {
        // SAFETY: within the mapping and aligned, by `place`; no reference to it exists but to atomics.
        unsafe { self.place::<T>(offset).write_volatile(value) }
    }

    /// Returns 32 bits that are shared with the driver or with other processes.
    ///
    /// # Panics
    /// The place is not within the mapping, or not aligned.
    pub fn atomic_u32(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: within the mapping, which lives as long as `self`, and aligned, by `place`.
        unsafe { AtomicU32::from_ptr(self.place(offset)) }
    }

    /// Returns 64 bits that are shared with the driver or with other processes.
    ///
    /// # Panics
    /// The place is not within the mapping, or not aligned.
    pub fn atomic_u64(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: within the mapping, which lives as long as `self`, and aligned, by `place`.
        unsafe { AtomicU64::from_ptr(self.place(offset)) }
    }

    /// Returns the whole mapping as words of 64 bits that are shared with the driver or with other processes.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: within the mapping, which lives as long as `self`; a mapping begins at a page. All references to its memory are to atomics.
        unsafe { std::slice::from_raw_parts(self.at.cast(), self.len / 8) }
    }

    /// Cuts the mapping: its bytes from `from` on are unmapped, and `from` bytes are left.
    ///
    /// # Errors
    /// Of munmap(2): `from` is a multiple of 4096.
    pub fn truncate(&mut self, from: usize) -> io::Result<()> {
        if from >= self.len {
            return Ok(());
        }
        // SAFETY: the end of the mapping. There is no reference to it: `self` is borrowed for writing.
        if unsafe { libc::munmap(self.at.wrapping_add(from).cast(), self.len - from) } != 0 {
            return Err(Error::last_os_error());
        }
        self.len = from;
        Ok(())
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: the whole of what is left of the mapping; nothing refers to it any more.
            unsafe { libc::munmap(self.at.cast(), self.len) };
        }
    }
}

impl Map {
    /// Unmaps `len` bytes from `from` on. Returns what is left before and behind.
    ///
    /// # Errors
    /// Of munmap(2): `from` and `len` are multiples of 4096. Nothing is unmapped then, and the mapping is gone for this program until it ends.
    ///
    /// # Panics
    /// The range is not within the mapping.
    pub fn cut(self, from: usize, len: usize) -> io::Result<(Option<Map>, Option<Map>)> {
        let whole = std::mem::ManuallyDrop::new(self);
        let end = from.checked_add(len).filter(|end| *end <= whole.len).expect("a range within the mapping");
        // SAFETY: a part of the mapping, which is this function's own: no reference to it is left.
        if unsafe { libc::munmap(whole.at.wrapping_add(from).cast(), len) } != 0 {
            return Err(Error::last_os_error());
        }
        let part = |from: usize, end: usize| {
            (from < end).then(|| Map { at: whole.at.wrapping_add(from), len: end - from })
        };
        Ok((part(0, from), part(end, whole.len)))
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether nothing is left of it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

// SAFETY: an address of the process, which every thread may use: all accesses are volatile or atomic.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

/// Memory of the process itself, below 4 GiB, where all of it is in a program of 32 bits: what it hands to a driver under either data model is found.
#[derive(Debug)]
pub struct Memory(Map);

impl Memory {
    /// Makes memory of zeros.
    ///
    /// # Errors
    /// Of mmap(2).
    pub fn new(len: usize) -> io::Result<Memory> {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
        let len = len.max(1).next_multiple_of(4096);
        // SAFETY: a new mapping, at an address of the system's choice: no memory that anything refers to changes.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        Ok(Memory(Map { at: at.cast(), len }))
    }

    /// Returns the address, to be passed to a driver.
    pub fn address(&self) -> u64 {
        self.0.at.addr() as u64
    }
}

impl std::ops::Deref for Memory {
    type Target = Map;

    fn deref(&self) -> &Map {
        &self.0
    }
}

/// A forked process. Dropping it neither ends it nor waits for it.
#[derive(Debug)]
pub struct Child(libc::pid_t);

impl Child {
    /// Sends a signal.
    ///
    /// # Errors
    /// Of kill(2).
    pub fn kill(&self, signal: i32) -> io::Result<()> {
        // SAFETY: a child of this process that was not waited for: the number is nobody else's.
        if unsafe { libc::kill(self.0, signal) } == 0 { Ok(()) } else { Err(Error::last_os_error()) }
    }

    /// Waits for its end: a signal, if an access was refused.
    ///
    /// # Errors
    /// Of waitpid(2).
    pub fn wait(self) -> io::Result<ExitStatus> {
        let mut status = 0;
        // SAFETY: a child of this process, and a local for its status.
        while unsafe { libc::waitpid(self.0, &raw mut status, 0) } != self.0 {
            let error = Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok(ExitStatus::from_raw(status))
    }
}

/// Runs `child` in a forked process, which ends with status 0, or 101 if it panics. Returns how it ended: a signal, if an access was refused.
///
/// # Errors
/// Of fork(2): a driver's dup callback may refuse.
///
/// # Panics
/// The process has several threads, of which a child would have one only.
pub fn fork(child: impl FnOnce()) -> io::Result<ExitStatus> {
    spawn(child)?.wait()
}

/// Begins to run `child` in a forked process, as [`fork`] does, and does not wait for its end.
///
/// # Errors
/// As of [`fork`].
///
/// # Panics
/// As [`fork`].
pub fn spawn(child: impl FnOnce()) -> io::Result<Child> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    assert_eq!(threads, 1, "a process with several threads cannot be forked");
    // SAFETY: this is the only thread, so no lock is held by another, and the child may do whatever this process may.
    match unsafe { libc::fork() } {
        -1 => Err(Error::last_os_error()),
        0 => {
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).is_err();
            // SAFETY: no destructor and no exit handler of the parent's may run in the child.
            unsafe { libc::_exit(if panicked { 101 } else { 0 }) }
        }
        pid => Ok(Child(pid)),
    }
}
