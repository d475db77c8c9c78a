//! The devmap framework inside a driver's module: [`segdev`] on the functions of an illumos kernel.
//!
//! A module that links this crate has the `devmap_*` functions that its driver calls in itself, and leaves the kernel's own
//! framework alone. Neither the driver nor the `devmap` crate knows which of the two it has.
//!
//! # How it sits in a kernel
//!
//! - [`calls`]: the functions that drivers call, with their C signatures.
//! - [`segment`]: one segment driver (`struct seg_ops`). A segment enters the address space complete, after the last map callback, with
//!   the layout of the address space kept (`as_rangelock`) from the choice of the address on.
//! - [`space`]: an address space and its translations, by `hat_devload` and its kin.
//! - [`device`], [`memory`]: the driver's entry points and registers; what is behind a umem cookie.
//! - [`held`], [`lock`]: which threads hold which address space; locks and condition variables.
//!
//! # Locks
//!
//! The kernel's address space lock is segdev's outer lock: the kernel holds it as reader for a fault and for a change of protections, as
//! writer for unmap and dup. The inner locks are adaptive mutexes. The platform's own are leaves below them: [`held`]'s list, the tables
//! of locked pages in [`space`], the trash page.
//!
//! # Waits
//!
//! The kernel calls a segment driver with the address space locked, so a fault that must wait for another's context sleeps one clock tick at
//! most, interruptibly, and then returns `EDEADLK`: `as_fault` releases the address space, waits for a tick and begins again from
//! looking the segment up. A process that is killed meanwhile is not made to wait any more.
//!
//! # What it relies on
//!
//! Beside the DDI: the order of `struct seg_ops`, the first members of `struct as` and `struct seg`, the layout of a umem cookie, and
//! that zeroed memory is a mutex or condition variable (as `mutex_init(9F)` and `cv_init(9F)` would make it). All are in `ddi-sys`, and compared there with
//! what the headers of several years say; [`known`] looks at the kernel itself before the module is loaded.
//!
//! # Being unloaded
//!
//! A mapping keeps its device open, and so the module loaded, until its vnode has been told that its last page goes. Threads that are still in the module's code
//! then (the end of unmap, a timeout's function) are counted, and `_fini(9E)` waits for them.
#![no_std]

extern crate alloc;

pub mod calls;
pub mod device;
pub mod held;
pub mod known;
pub mod lock;
pub mod memory;
pub mod segment;
pub mod space;

mod platform;

pub use platform::{Kernel, framework};
