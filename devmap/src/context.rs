//! Contexts: what code may do where it runs, as types.
//!
//! Each call of the driver has its context as an argument, and a function that sleeps takes a context that may. Such a value cannot be kept, or moved to
//! another thread, so a call that would sleep in the wrong place does not compile.
//!
//! | context | what stands for it | sleeps | blocks on a mutex |
//! | --- | --- | :-: | :-: |
//! | user: an entry point called by a system call | its argument: [`Open`](crate::Open), [`Uio`](crate::Uio), [`Argument`](crate::Argument), ... | yes | yes |
//! | kernel: attach, a task, a thread, a periodic routine | its argument, or [`Kernel`] | yes | yes |
//! | interrupt: a handler, a timeout's routine | [`Interrupt`] | | yes |
//! | high-level interrupt: a handler above the scheduler's priority | [`HighLevel`] | | |
//!
//! What sleeps takes `&impl MaySleep`. A lock that must not be held over a sleep borrows the context mutably for as long as it is held
//! (`&mut impl Context`), so nothing else can use it meanwhile.
//!
//! A function of the driver declares its needs in the same way:
//!
//! ```no_run
//! use devmap::context::MaySleep;
//! use devmap::sync::{Condvar, Mutex};
//!
//! fn wait_until_idle(busy: &Mutex<bool>, changed: &Condvar, cx: &impl MaySleep) { /* ... */ }
//! ```
//!
//! No locks.

use core::marker::PhantomData;

pub(crate) mod sealed {
    /// Sealed: only this crate implements contexts.
    pub trait Sealed {}
}
use sealed::Sealed;

/// Any context: there is a value of it only while its thread runs in that context.
pub trait Context: Sealed {}

/// A context that may block on a [`Mutex`](crate::sync::Mutex), which its holder releases soon.
#[diagnostic::on_unimplemented(
    message = "a high-level interrupt must not block: `{Self}`",
    label = "blocks on a mutex",
    note = "let the handler trigger a soft interrupt, and do the rest there"
)]
pub trait MayBlock: Context {}

/// A context that may sleep: wait for memory, for time to pass, for a condition.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no context that may sleep",
    label = "sleeps",
    note = "an interrupt handler or a timeout's routine hands what sleeps to a task queue or a thread (devmap::task, devmap::thread)",
    note = "in an entry point, pass its argument: the `Uio`, the `Argument`, the `Open`"
)]
pub trait MaySleep: MayBlock {}

impl<C: MaySleep> MayBlock for C {}
impl<C: MayBlock> Context for C {}

macro_rules! tokens {
    ($($(#[$meta:meta])* $name:ident;)*) => {
        $(
            $(#[$meta])*
            pub struct $name {
                here: PhantomData<*mut ()>,
            }

            impl $name {
                /// Creates the context without a check: for code that the kernel calls and this crate does not know of.
                ///
                /// # Safety
                /// The calling thread is in this context for as long as the value lives.
                pub const unsafe fn assume() -> $name {
                    $name { here: PhantomData }
                }
            }

            impl Sealed for $name {}
        )*
    };
}

tokens! {
    /// A thread that may sleep, of no process: a task, a kernel thread, a periodic routine.
    Kernel;
    /// An interrupt handler below the scheduler's priority, or a timeout's routine: may block on a mutex, not sleep.
    Interrupt;
    /// An interrupt handler above the scheduler's priority: may take a mutex of its own priority, and nothing that blocks.
    HighLevel;
}

/// A context that may sleep, lent: who lends it does not use it meanwhile.
pub struct Borrowed<'a> {
    lent: PhantomData<&'a mut ()>,
    here: PhantomData<*mut ()>,
}

impl<'a> Borrowed<'a> {
    /// Lends a context.
    #[inline]
    pub fn of(_: &'a mut impl MaySleep) -> Borrowed<'a> {
        Borrowed { lent: PhantomData, here: PhantomData }
    }
}

impl Sealed for Borrowed<'_> {}
impl MaySleep for Borrowed<'_> {}

impl MaySleep for Kernel {}
impl MayBlock for Interrupt {}
impl Context for HighLevel {}
