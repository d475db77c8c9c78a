//! Calls that restore the callee-saved registers, even if the called code does not preserve them.
//!
//! A driver with a broken function (hand-written assembly, a file that was damaged) would leave the host with other values in its own variables, and the host
//! would die somewhere else. Here such a call is noticed, and the processor's flags are as functions expect them. Locking: none.

use std::arch::naked_asm;
use std::ffi::c_void;

/// The first of the registers that have another value.
fn name(changed: u32) -> Option<&'static str> {
    let names = ["%rbx", "%rbp", "%r12", "%r13", "%r14", "%r15"];
    names.get(changed.trailing_zeros() as usize).copied()
}

/// Calls `f`, which must not unwind.
///
/// # Errors
/// Something that `f` called has changed a register that it had to preserve: its name. Frames in between have kept some for themselves and have gone on with
/// what they found there, so their result may be lost.
pub fn call<R>(f: impl FnOnce() -> R) -> Result<R, &'static str> {
    struct Work<F, R> {
        f: Option<F>,
        result: Option<R>,
    }
    extern "C" fn run<F: FnOnce() -> R, R>(work: *mut c_void) {
        // SAFETY: `call` passes a pointer to this type, whose value it does not touch until the call has returned.
        let work = unsafe { &mut *work.cast::<Work<F, R>>() };
        if let Some(f) = work.f.take() {
            work.result = Some(f());
        }
    }
    fn runner<F: FnOnce() -> R, R>(_: &F) -> extern "C" fn(*mut c_void) {
        run::<F, R>
    }
    let run = runner(&f);
    let mut work = Work { f: Some(f), result: None };
    // SAFETY: `run` takes this pointer and does not unwind; the function calls nothing else.
    let changed = unsafe { guarded(run, (&raw mut work).cast()) };
    match (name(changed), work.result) {
        (None, Some(result)) => Ok(result),
        (changed, _) => Err(changed.unwrap_or("a register")),
    }
}

/// Calls `f(arg)`. Restores the registers that functions preserve; returns a bit for each that had another value.
///
/// # Safety
/// `f` may be called with `arg` and does not unwind.
#[unsafe(naked)]
unsafe extern "C" fn guarded(f: extern "C" fn(*mut c_void), arg: *mut c_void) -> u32 {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        ".cfi_def_cfa_offset 64",
        "mov [rsp], rbp",
        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",
        // Functions find the direction flag clear, and no traps on.
        "push 0x202",
        "popfq",
        "xor eax, eax",
        "xor ecx, ecx",
        "cmp rbx, [rsp + 40]",
        "setne cl",
        "or eax, ecx",
        "cmp rbp, [rsp]",
        "setne cl",
        "shl ecx, 1",
        "or eax, ecx",
        "xor ecx, ecx",
        "cmp r12, [rsp + 32]",
        "setne cl",
        "shl ecx, 2",
        "or eax, ecx",
        "xor ecx, ecx",
        "cmp r13, [rsp + 24]",
        "setne cl",
        "shl ecx, 3",
        "or eax, ecx",
        "xor ecx, ecx",
        "cmp r14, [rsp + 16]",
        "setne cl",
        "shl ecx, 4",
        "or eax, ecx",
        "xor ecx, ecx",
        "cmp r15, [rsp + 8]",
        "setne cl",
        "shl ecx, 5",
        "or eax, ecx",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        ".cfi_def_cfa_offset 8",
        "ret",
        ".cfi_endproc",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_comes_back_and_nothing_has_changed() {
        assert_eq!(call(|| vec![1, 2, 3]), Ok(vec![1, 2, 3]));
    }

    #[test]
    fn a_register_that_was_not_preserved_is_named_and_restored() {
        extern "C" fn breaks(arg: *mut c_void) {
            // SAFETY: what this test is about: the caller restores the register.
            unsafe { std::arch::asm!("mov r14, {}", "mov r12, {}", in(reg) arg, in(reg) arg) };
        }
        let kept = std::hint::black_box([7, 8, 9]);
        // SAFETY: the function takes any pointer and does not unwind.
        let changed = unsafe { guarded(breaks, std::ptr::without_provenance_mut(0x5a5a)) };
        assert_eq!(name(changed), Some("%r12"));
        assert_eq!(changed, 1 << 2 | 1 << 4);
        assert_eq!(std::hint::black_box(kept), [7, 8, 9]);
    }
}
