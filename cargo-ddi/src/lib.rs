//! The driver author's command, `cargo ddi`, as a library.
//!
//! - [`module`] builds the module file that add_drv installs
//! - [`check`] says whether a kernel loads it, and whether its code may run there
//! - [`package`] makes what an illumos system installs
//! - [`illumos`] builds a program for illumos's user mode
//!
//! It needs no checkout of this project beside it: what it reads of one, it has built in. A driver's own dependencies say where devmap is.
//!
//! Locking: a lock file in the user's cache while core and alloc are compiled ([`module::sysroot`]).

pub mod check;
pub mod illumos;
pub mod module;
pub mod package;
