//! The commands of `ddi-host`.
//!
//! | file | what |
//! | --- | --- |
//! | [`cli`] | the command line; run and serve |
//! | [`modules`] | the command lines about modules and drivers: add_drv and its like among them |
//! | [`modctl`] | modload, modunload, modinfo |
//! | [`kstat`] | kstat |
//! | [`trace`] | `--trace`, trace and timeline |
//! | [`top`] | `--top`, and top |
//! | `screen` | a terminal that shows one text after the other |
//! | [`help`] | their help texts |
//! | `output` | standard output that may be full or closed |
//!
//! No locking: a command runs on the main thread.

#[macro_use]
mod output;
pub mod cli;
pub mod help;
pub mod kstat;
pub mod modctl;
pub mod modules;
mod screen;
pub mod top;
pub mod trace;
