//! The commands about modules and drivers, on the modules (`ddi_krtld`) and the system's files (`ddi_system`) of one machine.
//!
//! | file | what |
//! | --- | --- |
//! | `session` | the modules of one run, linked against the DDI of this process |
//! | `modctl`, `modinfo` | modload, modunload, modinfo |
//! | `cli`, `help` | the command lines, add_drv and its like among them |
//!
//! Locking: none; a session belongs to the thread that runs the command.

pub mod cli;
pub mod help;
pub mod modctl;
pub mod modinfo;
pub mod session;
