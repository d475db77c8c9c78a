//! Symbols that compilers refer to by themselves, with the options that recent kernels are built with: indirect calls by way of
//! `__x86_indirect_thunk_REG` (`-mindirect-branch=thunk-extern`), and the stack protector's guard and its alarm.
//!
//! Only modules can link to them: the C library uses some of these names itself.

use super::{Address, Group, Symbol};
use crate::board::report;

/// Jumps to where a register points, as the thunk for that register does.
macro_rules! thunks {
    ($($name:ident $register:literal)+) => {
        $(
            #[unsafe(naked)]
            unsafe extern "C" fn $name() {
                core::arch::naked_asm!(concat!("jmp ", $register));
            }
        )+
        const THUNKS: &[Symbol] = &[
            $(Symbol::function(concat!("__x86_indirect_thunk_", $register), $name as *const ())),+
        ];
    };
}

thunks! {
    rax "rax" rbx "rbx" rcx "rcx" rdx "rdx" rdi "rdi" rsi "rsi" rbp "rbp" r8 "r8" r9 "r9" r10 "r10" r11 "r11" r12 "r12" r13 "r13"
    r14 "r14" r15 "r15"
}

/// The word that a protected function keeps above its arrays: with a zero byte, so that no string copies it.
static GUARD: u64 = 0x7a5c_e319_8d46_b200;

/// A protected function's guard is not what it was.
extern "C-unwind" fn stack_chk_fail() {
    report::mistake(
        "__stack_chk_fail",
        "the calling function has written beyond an array on its stack",
        "Intro(9F)",
    );
}

/// The groups of symbols.
pub static ALL: Group = &[
    THUNKS,
    &[
        Symbol {
            name: "__stack_chk_guard",
            address: Address((&raw const GUARD).cast()),
            size: size_of::<u64>(),
        },
        Symbol::function("__stack_chk_fail", stack_chk_fail as *const ()),
    ],
];
