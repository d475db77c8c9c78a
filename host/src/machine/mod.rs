//! The machine: what puts the rooms together, and keeps them while programs run.
//!
//! | file | what |
//! | --- | --- |
//! | [`machine`](self::Machine) | a run's machine: drivers, device nodes, the server of client processes |
//! | [`session`] | the modules of a machine, linked against the DDI of this process |
//! | [`linked`] | the drivers that are linked into the program |
//! | [`config`] | device nodes and their registers, as files say them |
//! | [`resident`] | a machine that stays up, and what the commands ask of it |
//! | [`recorder`] | its recording, for those who ask |
//! | [`modinfo`] | a module as modinfo(8) shows it |
//!
//! Uses every room below; none of the commands. Locking: a session belongs to the thread that has the machine.

pub mod config;
pub mod linked;
#[expect(clippy::module_inception, reason = "the room is named after what it is about")]
mod machine;
pub mod modinfo;
pub mod recorder;
pub mod resident;
pub mod session;

pub use machine::*;
