//! `ddi-host`: a DDI kernel in a Linux process.
//!
//! Drivers, linked in or loaded from module files, call the functions of [`ddi`]; those stand on the machinery of [`kern`].
//! System calls of processes come in through `ddi_process` and go to the drivers by way of [`kernel`], [`vm`] and [`kern`]; module files through `ddi_krtld`, the files of a
//! system through `ddi_system`.

// The command line calls the library as any program would.
extern crate self as ddi_host;

#[macro_use]
pub mod ddi;
#[macro_use]
mod output;
mod autoload;
pub mod bench;
mod block;
pub mod cli;
pub mod config;
pub mod demo;
pub mod kern;
pub mod kernel;
pub mod kstat;
pub mod linked;
pub mod loader;
pub mod log;
pub mod machine;
mod names;
pub mod nvlist;
mod opens;
pub mod pci;
pub mod report;
pub mod resident;
pub mod values;
pub mod vm;
