//! Changes of the address space that the host requests. The thread that waits for a request makes them, or the agent. Raw system calls only.

use core::sync::atomic::{AtomicU64, Ordering};

use ddi_wire::uffd::{IOCTL_REGISTER, MODE_MINOR, MODE_MISSING, Register, Span};
use ddi_wire::{Behind, Items, MapPiece, PAGE_SIZE, Range};

use crate::{state, sys};

/// Zone of device mappings whose address the program does not choose. Nothing else is near, so most other addresses are recognized by a comparison.
const ZONE: u64 = 0x2000_0000_0000;
const ZONE_END: u64 = 0x6000_0000_0000;
static NEXT: AtomicU64 = AtomicU64::new(ZONE);
/// The same below 4 GiB.
const LOW: u64 = 0x4000_0000;
const LOW_END: u64 = 0xf000_0000;
static NEXT_LOW: AtomicU64 = AtomicU64::new(LOW);

/// Returns the zone's start, end and next candidate address.
fn zone() -> (u64, u64, &'static AtomicU64) {
    match state::BELOW_4G.load(Ordering::Relaxed) {
        true => (LOW, LOW_END, &NEXT_LOW),
        false => (ZONE, ZONE_END, &NEXT),
    }
}

const NONE: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;

/// Replaces a range by inaccessible memory. Never a hole for a moment: another thread's mapping could get into it, and be mapped over.
pub fn clear(addr: u64, len: u64) -> Result<(), i32> {
    state::widen(addr, len);
    // SAFETY: the program asked for this range to be replaced.
    unsafe { sys::mmap(addr, len, libc::PROT_NONE, NONE | libc::MAP_FIXED, -1, 0) }.map(drop)
}

/// Finds room, and keeps it with inaccessible memory. `align` is a power of two.
pub fn reserve(len: u64, align: u64, offset: u64, hint: u64) -> Result<u64, i32> {
    let place = |at: u64| {
        let r = sys::map_new(at, len, libc::PROT_NONE, libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE)?;
        if r == at {
            state::widen(at, len);
            return Ok(at);
        }
        // A kernel without the flag took the address as a hint.
        // SAFETY: the mapping just made.
        let _ = unsafe { sys::munmap(r, len) };
        Err(libc::EEXIST)
    };
    let (start, end, next) = zone();
    let fits = hint.checked_add(len).is_some_and(|to| end == ZONE_END || to <= end);
    if hint != 0 && hint % align == offset && fits && place(hint).is_ok() {
        return Ok(hint);
    }
    let fit = |at: u64| at + (offset.wrapping_sub(at) & (align - 1));
    let mut at = fit(next.load(Ordering::Relaxed));
    for _ in 0..256 {
        if at.checked_add(len).is_none_or(|to| to > end) {
            at = fit(start);
        }
        match place(at) {
            Ok(_) => {
                next.store(at + len, Ordering::Relaxed);
                return Ok(at);
            }
            Err(libc::EEXIST) => at = fit(at + len.max(align)),
            Err(e) => return Err(e),
        }
    }
    if start == LOW {
        return Err(libc::ENOMEM);
    }
    // The zone is crowded: Linux chooses the address, with room to align.
    let wide = sys::map_new(0, len + align, libc::PROT_NONE, libc::MAP_NORESERVE)?;
    let at = fit(wide);
    let (before, after) = (at - wide, wide + align - at);
    if before > 0 {
        // SAFETY: the head of the mapping just made.
        let _ = unsafe { sys::munmap(wide, before) };
    }
    if after > 0 {
        // SAFETY: the tail of the mapping just made.
        let _ = unsafe { sys::munmap(at + len, after) };
    }
    state::widen(at, len);
    Ok(at)
}

/// Unmaps a range. Room at the end of the zone is used again.
pub fn unmap(addr: u64, len: u64) -> Result<(), i32> {
    // SAFETY: the program asked for it.
    unsafe { sys::munmap(addr, len) }?;
    let (start, _, next) = zone();
    if addr >= start {
        let _ = next.compare_exchange(addr + len, addr, Ordering::Relaxed, Ordering::Relaxed);
    }
    Ok(())
}

/// Maps frames of the memory; where accesses are watched, inaccessible until they are.
pub fn map(piece: &MapPiece, memory: i32, uffd: i32) -> Result<(), i32> {
    let offset = match piece.behind {
        Behind::Frames(offset) => offset,
        Behind::Hidden => return hide(piece.va, piece.len, memory),
        Behind::Unmapped => return Err(libc::EINVAL),
    };
    let flags = libc::MAP_SHARED | libc::MAP_FIXED;
    let first = if uffd >= 0 { libc::PROT_NONE } else { piece.prot as i32 };
    // SAFETY: the host has reserved the range, or it holds a device mapping that this one replaces.
    unsafe { sys::mmap(piece.va, piece.len, first, flags, memory, offset) }?;
    if uffd >= 0 {
        watch(piece.va, piece.len, uffd)?;
        if piece.prot != 0 {
            // SAFETY: the mapping just made.
            unsafe { sys::mprotect(piece.va, piece.len, piece.prot.into()) }?;
        }
    }
    Ok(())
}

/// Offset far behind the end of the memory, where the file has no pages. The address is added to it, so that Linux merges neighbours.
const NOWHERE: u64 = 1 << 60;

/// Replaces pages by a mapping without pages: a debugger, /proc/PID/mem and a core file ignore protections.
fn hide(addr: u64, len: u64, memory: i32) -> Result<(), i32> {
    let flags = libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_NORESERVE;
    // SAFETY: the host has reserved the range, or it holds a device mapping that this one replaces.
    unsafe { sys::mmap(addr, len, libc::PROT_NONE, flags, memory, NOWHERE + addr) }.map(drop)
}

/// Registers a mapping with a userfaultfd, which then reports accesses to pages that have no translation.
fn watch(start: u64, len: u64, uffd: i32) -> Result<(), i32> {
    let mut arg = Register { range: Span { start, len }, mode: MODE_MISSING | MODE_MINOR, ioctls: 0 };
    // SAFETY: the structure of this request.
    unsafe { sys::ioctl(uffd, IOCTL_REGISTER, &mut arg) }.map(drop)
}

core::arch::global_asm!(
    ".pushsection .text.ddi_shim_pin,\"ax\",@progbits",
    ".hidden ddi_shim_pin",
    ".globl ddi_shim_pin",
    "ddi_shim_pin:",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov r12, rdi",
    "mov r13, rsi",
    "mov r14, rdx",
    "mov r15, rcx",
    // mprotect(target, len, PROT_READ)
    "mov eax, 10",
    "mov edx, 1",
    "syscall",
    "test rax, rax",
    "js 2f",
    "mov rdi, r14",
    "mov rsi, r12",
    "mov rcx, r13",
    "rep movsb",
    // mremap(copy, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, target)
    "mov eax, 25",
    "mov rdi, r14",
    "mov rsi, r13",
    "mov rdx, r13",
    "mov r10d, 3",
    "mov r8, r12",
    "syscall",
    "mov rbx, rax",
    // mprotect(target, len, prot)
    "mov eax, 10",
    "mov rdi, r12",
    "mov rsi, r13",
    "mov rdx, r15",
    "syscall",
    "mov rax, rbx",
    "2:",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "ret",
    ".popsection",
);

unsafe extern "C" {
    /// Copies `target` to `copy`, which is then moved in its place. The stack may be in it: in between nothing is pushed.
    fn ddi_shim_pin(target: u64, len: u64, copy: u64, prot: u64) -> i64;
}

/// Replaces pages by frames of the memory with the same contents. Other threads' writes wait meanwhile (see `signals`).
pub fn pin(addr: u64, len: u64, memory: i32, offset: u64, prot: u32) -> Result<(), i32> {
    // What cannot be read must be an error here, and not below.
    for page in (addr..addr + len).step_by(PAGE_SIZE as usize) {
        if crate::copy::read(&mut [0], page) != 1 {
            return Err(libc::EFAULT);
        }
    }
    let all = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping that replaces nothing.
    let copy = unsafe { sys::mmap(0, len, all, libc::MAP_SHARED, memory, offset) }?;
    state::widen(addr, len);
    state::PINNED.lock();
    state::PINNING.0.store(addr, Ordering::SeqCst);
    state::PINNING.1.store(addr + len, Ordering::SeqCst);
    // SAFETY: `copy` has `len` bytes; the range holds memory that can be read, and has the same contents afterwards.
    let r = unsafe { ddi_shim_pin(addr, len, copy, prot.into()) };
    state::PINNING.1.store(0, Ordering::SeqCst);
    state::PINNED.unlock();
    if r < 0 {
        // SAFETY: the mapping made above, which has not moved.
        let _ = unsafe { sys::munmap(copy, len) };
        return Err(-r as i32);
    }
    // All is there; a fork may take it away for a moment.
    match state::UFFD.load(Ordering::Relaxed) {
        uffd if uffd >= 0 => watch(addr, len, uffd),
        _ => Ok(()),
    }
}

/// Changes protections.
pub fn protect(ranges: Items<'_, Range>) -> Result<(), i32> {
    ranges.iter().try_for_each(|r| {
        // SAFETY: the host asks for device mappings, or for what the program named in mprotect.
        unsafe { sys::mprotect(r.va, r.len, r.prot.into()) }.map(drop)
    })
}

/// Drops translations.
pub fn zap(ranges: Items<'_, Range>, memory: i32, uffd: i32) -> Result<(), i32> {
    /// Linux 5.18: also for locked memory.
    const DONTNEED_LOCKED: i32 = 24;
    ranges.iter().try_for_each(|r| {
        if uffd < 0 {
            return hide(r.va, r.len, memory);
        }
        // SAFETY: shared mappings of a file: nothing is lost.
        let done = unsafe { sys::madvise(r.va, r.len, libc::MADV_DONTNEED) };
        if done == Err(libc::EINVAL) {
            // SAFETY: as above.
            return unsafe { sys::madvise(r.va, r.len, DONTNEED_LOCKED) }.map(drop);
        }
        match done {
            // A hole: part of it was unmapped without the shim. The rest is done.
            Err(libc::ENOMEM) => Ok(()),
            r => r.map(drop),
        }
    })
}
