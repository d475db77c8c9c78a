//! Everything in which the two systems differ, and nothing else: the one file of this package with `cfg(target_os)`.
//!
//! Locking: none.

#![allow(dead_code, reason = "each system uses its own part")]

use crate::sys::Errno;

// si_code values: the same numbers on both systems, missing from `libc` on one of them.
pub const SEGV_MAPERR: i32 = 1;
pub const SEGV_ACCERR: i32 = 2;
pub const BUS_OBJERR: i32 = 3;

/// On illumos a munmap (or fixed mmap) of the tail of a mapping that has several pieces can panic the kernel
/// (defects 1 to 3 of the framework): cases that do it run there only with `--all`.
pub const TAIL_OF_SEVERAL_PIECES_PANICS: bool = cfg!(target_os = "illumos");

/// An illumos kernel's own framework can be stopped by a process (defect 30): cases that do it run there only with `--hostile`.
pub const FRAMEWORK_CAN_STOP: bool = cfg!(target_os = "illumos");

/// An address that no process can map. (On illumos user addresses go on above the hole, up to here.)
pub const KERNEL_ADDRESS: usize = 0xffff_ff00_0000_0000;

/// illumos's calls on a range of addresses refuse one of length 0 (mprotect(2), memcntl(2), mincore(2)); on Linux it is no range,
/// and the calls succeed.
pub const EMPTY_RANGE_REFUSED: bool = cfg!(target_os = "illumos");

/// On illumos it is the mapping that looks at advice, and a device mapping takes any (madvise(3C) has EINVAL for what is unknown).
pub const ANY_ADVICE_TAKEN: bool = cfg!(target_os = "illumos");

/// Advice that asks for as little as `advice` does on illumos: on Linux `MADV_DONTNEED` throws anonymous memory away, and fails on memory that is
/// locked.
pub fn harmless_advice(advice: i32) -> i32 {
    if cfg!(target_os = "linux") && advice == libc::MADV_DONTNEED { libc::MADV_SEQUENTIAL } else { advice }
}

/// Returns whether this is ordinary memory that may only be written. Linux lets it be read; illumos refuses that as long as the page is not loaded.
pub fn is_write_only_memory(addr: usize) -> bool {
    let holds = |line: &str| {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let bound = |text| usize::from_str_radix(text, 16).ok();
        let inside = bound(start)? <= addr && addr < bound(end)?;
        Some(inside && words.next()?.starts_with("-w-") && line.split_whitespace().count() == 5)
    };
    let maps = || std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    UNDER_HOST && maps().lines().any(|line| holds(line) == Some(true))
}

/// `MAP_NORESERVE`-free flags of a private anonymous mapping.
pub const ANONYMOUS: i32 = libc::MAP_PRIVATE | libc::MAP_ANON;

/// Returns whether this is Linux, where `ddi-host` provides the device.
pub const UNDER_HOST: bool = cfg!(target_os = "linux");

/// Why system calls cannot read or write device memory here, when they cannot.
///
/// ddi-host says in its clients' environment what its way to see faults cannot do.
pub fn no_system_calls_on_device_memory() -> Option<String> {
    if !UNDER_HOST {
        return None;
    }
    match std::env::var("DDI_HOST_FAULTS").ok()?.as_str() {
        "userfaultfd" => None,
        mode => Some(format!("system calls cannot touch device memory with --faults {mode}")),
    }
}

/// Why a driver cannot be told here that an instruction was to be fetched from memory that may not be executed, when it cannot.
pub fn fetches_are_reads() -> Option<&'static str> {
    let faults = std::env::var("DDI_HOST_FAULTS").unwrap_or_default();
    (UNDER_HOST && faults.starts_with("userfaultfd")).then_some("userfaultfd reports the fetch as a read")
}

#[cfg(target_os = "linux")]
mod own {
    use super::Errno;
    use crate::sys::{self, Sys};

    /// Returns the bytes of address space that this process has.
    pub fn address_space_used() -> Option<u64> {
        let text = std::fs::read_to_string("/proc/self/statm").ok()?;
        let pages: u64 = text.split(' ').next()?.parse().ok()?;
        Some(pages * sys::page_size() as u64)
    }

    /// Attaches to a process as a debugger does, looks at a word of it, and lets it go on. The process stops meanwhile. Returns its exit status if it has
    /// ended, which no other wait reports then.
    pub fn debug(pid: i32, addr: usize) -> Sys<Option<sys::Status>> {
        let ptrace = |request, addr: usize, signal: i32| {
            // SAFETY: requests that use no memory of ours; the process is a child of this one.
            match unsafe { libc::ptrace(request, pid, addr, signal as usize) } {
                -1 => Err(Errno::last()),
                _ => Ok(()),
            }
        };
        ptrace(libc::PTRACE_ATTACH, 0, 0)?;
        loop {
            match sys::wait_stopped(pid)? {
                sys::Status::Stopped(libc::SIGSTOP) => {
                    let _ = ptrace(libc::PTRACE_PEEKDATA, addr, 0);
                    let _ = ptrace(libc::PTRACE_DETACH, 0, 0);
                    return Ok(None);
                }
                // A fault's, for example: it is the process's. One that is killed meanwhile is waited for.
                sys::Status::Stopped(signal) => _ = ptrace(libc::PTRACE_CONT, 0, signal),
                ended => return Ok(Some(ended)),
            }
        }
    }

    pub fn errno_location() -> *mut i32 {
        // SAFETY: always callable; the pointer is this thread's errno for as long as the thread lives.
        unsafe { libc::__errno_location() }
    }

    pub fn mincore(addr: usize, len: usize, vec: &mut [u8]) -> i32 {
        assert!(vec.len() * crate::sys::page_size() >= len);
        // SAFETY: `vec` has a byte for every page of the range; the range itself need not be mapped.
        unsafe { libc::mincore(addr as *mut libc::c_void, len, vec.as_mut_ptr()) }
    }

    /// mremap(2), which illumos does not have.
    pub fn mremap(
        addr: usize,
        len: usize,
        new: usize,
        fixed: Option<usize>,
        may_move: bool,
    ) -> Option<Result<usize, Errno>> {
        let mut flags = if may_move { libc::MREMAP_MAYMOVE } else { 0 };
        if fixed.is_some() {
            flags |= libc::MREMAP_FIXED | libc::MREMAP_MAYMOVE;
        }
        // SAFETY: a case moves only mappings that it made itself and does not use by reference.
        let at = unsafe {
            libc::mremap(addr as *mut libc::c_void, len, new, flags, fixed.unwrap_or(0) as *mut libc::c_void)
        };
        Some(if at == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(at as usize) })
    }

    /// Advice that only this system has, by name.
    pub const OWN_ADVICE: &[(&str, i32)] = &[
        ("MADV_REMOVE", libc::MADV_REMOVE),
        ("MADV_COLD", libc::MADV_COLD),
        ("MADV_PAGEOUT", libc::MADV_PAGEOUT),
        ("MADV_WIPEONFORK", libc::MADV_WIPEONFORK),
        ("MADV_KEEPONFORK", libc::MADV_KEEPONFORK),
        ("MADV_DONTNEED_LOCKED", 24),
        ("MADV_POPULATE_READ", libc::MADV_POPULATE_READ),
        ("MADV_POPULATE_WRITE", libc::MADV_POPULATE_WRITE),
        ("MADV_MERGEABLE", libc::MADV_MERGEABLE),
        ("MADV_HUGEPAGE", libc::MADV_HUGEPAGE),
        ("MADV_NOHUGEPAGE", libc::MADV_NOHUGEPAGE),
        ("MADV_DONTDUMP", libc::MADV_DONTDUMP),
    ];
    pub const MADV_DONTFORK: Option<i32> = Some(libc::MADV_DONTFORK);
    pub const MADV_DOFORK: i32 = libc::MADV_DOFORK;
    pub const MAP_FIXED_NOREPLACE: Option<i32> = Some(libc::MAP_FIXED_NOREPLACE);
    /// A type that refuses flags which nobody knows, and such a flag.
    pub const STRICT_TYPE: Option<i32> = Some(libc::MAP_SHARED_VALIDATE | 1 << 25);
}

#[cfg(target_os = "illumos")]
mod own {
    use super::Errno;
    use crate::sys::Sys;

    pub fn address_space_used() -> Option<u64> {
        None
    }

    pub fn debug(_pid: i32, _addr: usize) -> Sys<Option<crate::sys::Status>> {
        Ok(None)
    }

    pub fn errno_location() -> *mut i32 {
        // SAFETY: always callable; the pointer is this thread's errno for as long as the thread lives.
        unsafe { libc::___errno() }
    }

    pub fn mincore(addr: usize, len: usize, vec: &mut [u8]) -> i32 {
        assert!(vec.len() * crate::sys::page_size() >= len);
        // SAFETY: `vec` has a byte for every page of the range; the range itself need not be mapped.
        unsafe { libc::mincore(addr as libc::caddr_t, len, vec.as_mut_ptr().cast()) }
    }

    pub fn mremap(
        _addr: usize,
        _len: usize,
        _new: usize,
        _fixed: Option<usize>,
        _may_move: bool,
    ) -> Option<Result<usize, Errno>> {
        None
    }

    pub const OWN_ADVICE: &[(&str, i32)] = &[
        ("MADV_ACCESS_DEFAULT", libc::MADV_ACCESS_DEFAULT),
        ("MADV_ACCESS_LWP", libc::MADV_ACCESS_LWP),
        ("MADV_ACCESS_MANY", libc::MADV_ACCESS_MANY),
    ];
    pub const MADV_DONTFORK: Option<i32> = None;
    pub const MADV_DOFORK: i32 = 0;
    pub const MAP_FIXED_NOREPLACE: Option<i32> = None;
    pub const STRICT_TYPE: Option<i32> = None;
}

pub use own::*;
