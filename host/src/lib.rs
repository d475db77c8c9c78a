//! `ddi-host`: a DDI kernel in a Linux process.
//!
//! The machine that puts the rooms together, and the commands. It knows no driver: a program adds those that it has [linked in](linked). Drivers, linked in or loaded from module files, call the functions of `ddi_kernel::ddi`
//! and `ddi_extra`; system calls of processes come in through `ddi_process` and go to the drivers by way of `ddi_kernel::calls`; module files through
//! `ddi_krtld`, the files of a system through `ddi_system`.

// The command line calls the library as any program would.
extern crate self as ddi_host;

#[macro_use]
pub mod commands;
pub mod machine;

pub use commands::cli;
pub use machine::linked;
