//! A stack for signal handlers, one for each thread that runs driver code: a driver that has used up its own stack, or lost its stack
//! pointer, is reported from here.
//!
//! Locking: none; it belongs to the thread.

use std::ptr::null_mut;

use ddi_process::physmem::PAGE_SIZE;

/// Room for a report: it reads symbols and formats text.
const LEN: usize = 512 << 10;
const GUARD: usize = PAGE_SIZE as usize;

/// The calling thread's stack for signals; its memory goes with it.
///
/// # Invariants
/// `base` is NULL, or a mapping of `GUARD + LEN` bytes that only this value knows and that is the signal stack of the thread that made it. It is dropped by that thread.
#[derive(Debug)]
pub struct AltStack {
    base: *mut libc::c_void,
}

impl AltStack {
    /// Gives the calling thread one. Without memory it keeps what it has.
    pub fn install() -> AltStack {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new anonymous mapping wherever there is room.
        let base = unsafe { libc::mmap(null_mut(), GUARD + LEN, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return AltStack { base: null_mut() };
        }
        let low = base.wrapping_byte_add(GUARD);
        // SAFETY: all but the first page of the mapping just made.
        unsafe { libc::mprotect(low, LEN, libc::PROT_READ | libc::PROT_WRITE) };
        let stack = libc::stack_t { ss_sp: low, ss_flags: 0, ss_size: LEN };
        // SAFETY: the memory is the thread's until it is taken back in `drop`.
        unsafe { libc::sigaltstack(&stack, null_mut()) };
        AltStack { base }
    }
}

impl Drop for AltStack {
    fn drop(&mut self) {
        // A report ends the process on this very stack: exit(3) drops the calling thread's values.
        let local = 0_u8;
        let at = std::hint::black_box(&raw const local) as usize;
        let base = self.base as usize;
        if self.base.is_null() || (base..base + GUARD + LEN).contains(&at) {
            return;
        }
        let none = libc::stack_t { ss_sp: null_mut(), ss_flags: libc::SS_DISABLE, ss_size: LEN };
        // SAFETY: the invariant: the thread's own; it ends, and no handler runs on this stack: it would have to return first.
        unsafe { libc::sigaltstack(&none, null_mut()) };
        // SAFETY: the invariant: the mapping, which nothing refers to any more.
        unsafe { libc::munmap(self.base, GUARD + LEN) };
    }
}
