//! Copies from and to memory that may be inaccessible.
//!
//! One instruction copies. The handler of a SIGSEGV or SIGBUS at it resumes behind it; the register that counts has the remaining
//! bytes. The signal's code and errno are recorded: a system call fails with a driver's error.

use core::arch::global_asm;
use core::cell::Cell;

use ddi_wire::PAGE_SIZE;

use crate::sys::Plain;

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
    ".hidden ddi_shim_touch",
    ".globl ddi_shim_touch",
    ".hidden ddi_shim_touch_read",
    ".globl ddi_shim_touch_read",
    ".hidden ddi_shim_touch_write",
    ".globl ddi_shim_touch_write",
    ".hidden ddi_shim_touch_out",
    ".globl ddi_shim_touch_out",
    "ddi_shim_touch:",
    "xor eax, eax",
    "test esi, esi",
    "jnz ddi_shim_touch_write",
    "ddi_shim_touch_read:",
    "mov dl, byte ptr [rdi]",
    "ret",
    "ddi_shim_touch_write:",
    "lock or byte ptr [rdi], 0",
    "ret",
    "ddi_shim_touch_out:",
    "mov eax, 1",
    "ret",
    ".popsection",
);

unsafe extern "C" {
    fn ddi_shim_copy(to: *mut u8, from: *const u8, len: usize) -> usize;
    static ddi_shim_copy_at: u8;
    static ddi_shim_copy_out: u8;
    /// Loads a byte, or stores it as it is; 1 if that is not allowed.
    fn ddi_shim_touch(at: *mut u8, write: u32) -> u32;
    static ddi_shim_touch_read: u8;
    static ddi_shim_touch_write: u8;
    static ddi_shim_touch_out: u8;
}

thread_local! {
    static WHY: Cell<i32> = const { Cell::new(libc::EFAULT) };
}

/// If `rip` is at an instruction that may fault: where to go on instead. `errno` is what the fault comes to.
pub fn fixup(rip: u64, errno: i32) -> Option<u64> {
    let copying = &raw const ddi_shim_copy_at as u64;
    let touching = [&raw const ddi_shim_touch_read as u64, &raw const ddi_shim_touch_write as u64];
    let out = match rip {
        _ if rip == copying => &raw const ddi_shim_copy_out as u64,
        _ if touching.contains(&rip) => &raw const ddi_shim_touch_out as u64,
        _ => return None,
    };
    WHY.set(errno);
    Some(out)
}

/// Why this thread's last copy or touch has ended early: a driver's error, or `EFAULT`.
pub fn why() -> i32 {
    WHY.get()
}

/// Accesses each page of a range in order as a load or a store would, without a change of its contents. Returns the number of bytes before the first page
/// that cannot be accessed.
pub fn touch(addr: u64, len: usize, write: bool) -> usize {
    let mut done = 0;
    while done < len {
        let at = addr.wrapping_add(done as u64);
        // SAFETY: memory that the program named; faults are caught, and the byte keeps its value.
        if unsafe { ddi_shim_touch(at as *mut u8, u32::from(write)) } != 0 {
            break;
        }
        done += (PAGE_SIZE - at % PAGE_SIZE) as usize;
    }
    done.min(len)
}

/// Copies up to `len` bytes; returns how many were copied before the first that could not be.
///
/// # Safety
/// Each side is either memory that the caller owns, or memory that the program named (which the program may lose).
pub unsafe fn copy(to: u64, from: u64, len: usize) -> usize {
    // SAFETY: by the caller; faults are caught.
    len - unsafe { ddi_shim_copy(to as *mut u8, from as *const u8, len) }
}

/// Copies memory that the program named to `to`; returns how many bytes were copied before the first that could not be.
pub fn read(to: &mut [u8], from: u64) -> usize {
    // SAFETY: one side is ours; the other is only read.
    unsafe { copy(to.as_mut_ptr() as u64, from, to.len()) }
}

/// Copies `from` to memory that the program named; returns how many bytes were copied before the first that could not be.
///
/// # Safety
/// The program does not need the old contents of the destination.
pub unsafe fn write(to: u64, from: &[u8]) -> usize {
    // SAFETY: one side is ours; the other by the caller.
    unsafe { copy(to, from.as_ptr() as u64, from.len()) }
}

/// Fills `to` with memory that the program named; false if not all of it could be read.
pub fn read_items<T: Plain>(to: &mut [T], from: u64) -> bool {
    let len = size_of_val(to);
    // SAFETY: one side is ours, and any bytes are a value of it; the other is only read.
    unsafe { copy(to.as_mut_ptr() as u64, from, len) == len }
}

/// Returns a copy of an argument of the program's that may be null.
///
/// # Errors
/// `EFAULT`.
pub fn optional<T: Plain>(from: *const T) -> Result<Option<T>, i32> {
    if from.is_null() {
        return Ok(None);
    }
    let mut copy = [T::zeroed()];
    if read_items(&mut copy, from as u64) { Ok(Some(copy[0])) } else { Err(libc::EFAULT) }
}

/// Copies `from` to memory that the program named; false if not all of it could be written.
///
/// # Safety
/// The program does not need the old contents of the destination.
pub unsafe fn write_items<T: Plain>(to: u64, from: &[T]) -> bool {
    let len = size_of_val(from);
    // SAFETY: one side is ours, and plain; the other by the caller.
    unsafe { copy(to, from.as_ptr() as u64, len) == len }
}

/// Copies a string that the program named to `to`, its NUL included; returns how many bytes. Fewer than `to` has and no NUL: the next byte
/// cannot be read.
pub fn string(to: &mut [u8], from: u64) -> usize {
    let mut done = 0;
    while done < to.len() {
        let at = from.wrapping_add(done as u64);
        let want = ((PAGE_SIZE - at % PAGE_SIZE) as usize).min(to.len() - done);
        let got = read(&mut to[done..done + want], at);
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
