//! Copying from and to memory that may not be there.
//!
//! One instruction does the copying; a SIGSEGV or SIGBUS at it makes the signal handler go on behind it, with the count of what is left
//! in the register that holds it anyway.

use core::arch::global_asm;

global_asm!(
    ".pushsection .text.ddi_shim_copy,\"ax\",@progbits",
    ".hidden ddi_shim_copy",
    ".globl ddi_shim_copy",
    ".hidden ddi_shim_copy_at",
    ".globl ddi_shim_copy_at",
    ".hidden ddi_shim_copy_out",
    ".globl ddi_shim_copy_out",
    "ddi_shim_copy:",
    "mov rcx, rdx",
    "ddi_shim_copy_at:",
    "rep movsb",
    "ddi_shim_copy_out:",
    "mov rax, rcx",
    "ret",
    ".popsection",
);

unsafe extern "C" {
    fn ddi_shim_copy(to: *mut u8, from: *const u8, len: usize) -> usize;
    static ddi_shim_copy_at: u8;
    static ddi_shim_copy_out: u8;
}

/// If `rip` is at the copying instruction: where to go on instead.
pub fn fixup(rip: u64) -> Option<u64> {
    (rip == &raw const ddi_shim_copy_at as u64).then_some(&raw const ddi_shim_copy_out as u64)
}

/// Copies up to `len` bytes; returns how many were copied before the first that could not be.
///
/// # Safety
/// Each side is either memory that the caller owns, or memory that the program named (which the program may lose).
pub unsafe fn copy(to: u64, from: u64, len: usize) -> usize {
    // SAFETY: by the caller; faults are caught.
    len - unsafe { ddi_shim_copy(to as *mut u8, from as *const u8, len) }
}

/// Copies at most `max` bytes of a string to `to`, its NUL included; returns how many. Fewer than `max` and no NUL: the next byte
/// cannot be read.
///
/// # Safety
/// `to` has room for `max` bytes.
pub unsafe fn string(to: &mut [u8], from: u64) -> usize {
    let mut done = 0;
    while done < to.len() {
        let at = from.wrapping_add(done as u64);
        let want = (4096 - (at % 4096) as usize).min(to.len() - done);
        // SAFETY: `to` has room; the other side is what the program named.
        let got = unsafe { copy(to[done..].as_mut_ptr() as u64, at, want) };
        if let Some(nul) = to[done..done + got].iter().position(|&b| b == 0) {
            return done + nul + 1;
        }
        done += got;
        if got < want {
            break;
        }
    }
    done
}
