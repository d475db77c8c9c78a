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
        let argument = std::ptr::from_mut(argument);
        // SAFETY: a place for a value that lives through the call, and every pattern of bytes is a value of a plain type. The driver under test is the kernel
        // here: that it copies no more than its command is defined for is what every process relies on.
        let value = unsafe { libc::ioctl(self.file.as_raw_fd(), command as libc::Ioctl, argument) };
        if value < 0 { Err(Error::last_os_error()) } else { Ok(value) }
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

/// Runs `child` in a forked process, which ends with status 0, or 101 if it panics. Returns how it ended: a signal, if an access was refused.
///
/// # Errors
/// Of fork(2): a driver's dup callback may refuse.
///
/// # Panics
/// The process has several threads, of which a child would have one only.
pub fn fork(child: impl FnOnce()) -> io::Result<ExitStatus> {
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
        pid => {
            let mut status = 0;
            // SAFETY: a child of this process, and a local for its status.
            while unsafe { libc::waitpid(pid, &raw mut status, 0) } != pid {
                let error = Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            Ok(ExitStatus::from_raw(status))
        }
    }
}
