//! A stack for signal handlers, one for each thread that runs driver code: a driver that has used up its own stack, or lost its stack
//! pointer, is reported from here.
//!
//! Locking: none; it belongs to the thread.

use std::ptr::null_mut;

use ddi_process::mapping::Mapping;
use ddi_process::physmem::PAGE_SIZE;
use rustix::mm::{MprotectFlags, ProtFlags};

/// Room for a report: it reads symbols and formats text.
const LEN: usize = 512 << 10;
const GUARD: usize = PAGE_SIZE as usize;

/// The calling thread's stack for signals; its memory goes with it.
///
/// # Invariants
/// The memory, all but its first page, is the signal stack of the thread that made the value. That thread drops it.
#[derive(Debug)]
pub struct AltStack {
    memory: Option<Mapping>,
}

/// Makes memory the calling thread's signal stack.
fn set(stack: &libc::stack_t) {
    // SAFETY: none, or memory that is the thread's until it is taken back in `drop`.
    unsafe { libc::sigaltstack(stack, null_mut()) };
}

impl AltStack {
    /// Gives the calling thread one. Without memory it keeps what it has.
    pub fn install() -> AltStack {
        let memory = Mapping::new(GUARD + LEN, ProtFlags::empty()).ok();
        if let Some(memory) = &memory {
            let all = memory.addresses();
            memory.protect(all.start + GUARD..all.end, MprotectFlags::READ | MprotectFlags::WRITE);
            let low = memory.base().as_ptr().wrapping_add(GUARD).cast();
            set(&libc::stack_t { ss_sp: low, ss_flags: 0, ss_size: LEN });
        }
        AltStack { memory }
    }
}

impl Drop for AltStack {
    fn drop(&mut self) {
        let Some(memory) = self.memory.take() else { return };
        // A report ends the process on this very stack: exit(3) drops the calling thread's values.
        let local = 0_u8;
        if memory.addresses().contains(&std::hint::black_box(&raw const local).addr()) {
            return std::mem::forget(memory);
        }
        // The thread ends, and no handler runs on this stack: it would have to return first.
        set(&libc::stack_t { ss_sp: null_mut(), ss_flags: libc::SS_DISABLE, ss_size: LEN });
    }
}
