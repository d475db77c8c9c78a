//! The DDI kernel in a Linux process: devices, drivers, address spaces and physical memory, and the functions that drivers call.
//!
//! Six rooms; each uses those above it in this table, none below:
//!
//! | room | what |
//! | --- | --- |
//! | [`board`] | the log, reports of a driver's mistakes, values as files spell them |
//! | [`kern`] | threads, locks, calls of driver code, device nodes, drivers, the symbol table |
//! | [`vm`] | clients, address spaces, devmap cookies, umem: segdev's platform |
//! | [`pci`] | simulated PCI devices: configuration space, registers, models |
//! | [`mod@ddi`] | the functions and data of the DDI, as C sees them |
//! | [`calls`] | system calls of processes: devices by path, open files, the way to entry points |
//!
//! `tests/walls.rs` keeps that order, and that no more than three files import each other in a circle. Below this crate are `ddi-process` (client
//! processes), `ddi-krtld` (module files) and `ddi-system` (the files of an illumos system), which know no DDI; above it `ddi-extra` (DDI functions that no
//! mapping driver needs) and `ddi-host` (the machine and its commands).

// Macros and documentation name the crate as those above it do.
extern crate self as ddi_kernel;

#[macro_use]
pub mod ddi;
pub mod board;
pub mod calls;
pub mod kern;
pub mod pci;
pub mod vm;
