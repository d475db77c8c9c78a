//! The commands, a file each: its `Args` and its `run`, which returns the exit status.

pub mod check;
pub mod doctor;
pub mod module;
pub mod new;
pub mod package;
pub mod run;
pub mod test;
pub mod texts;
pub mod vm;

/// The word by which this program is started as the host.
pub const HOST: &str = "ddi-host";
