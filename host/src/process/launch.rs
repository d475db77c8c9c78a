//! Starting programs as clients.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A program to run.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Name or path; a name without a slash is looked for in `PATH`.
    pub path: PathBuf,
    /// Arguments after the program's name.
    pub args: Vec<OsString>,
    /// Environment variables to add or replace.
    pub env: Vec<(OsString, OsString)>,
}

/// Why a program cannot be run as a client.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No such file.
    #[error("{}: not found", .0.display())]
    NotFound(PathBuf),
    /// Not a program.
    #[error("{}: not executable", .0.display())]
    NotExecutable(PathBuf),
    /// The shim cannot be preloaded into it.
    #[error("{}: is statically linked; only dynamically linked programs can use the devices", .0.display())]
    Static(PathBuf),
    /// Linux ignores LD_PRELOAD for it.
    #[error("{}: runs with another user's or group's rights, so it cannot use the devices", .0.display())]
    Privileged(PathBuf),
    /// For another machine.
    #[error("{}: is not a 64-bit x86 program", .0.display())]
    OtherMachine(PathBuf),
    /// Anything else.
    #[error("{}: {error}", .path.display())]
    System {
        /// The program.
        path: PathBuf,
        /// What Linux said.
        error: std::io::Error,
    },
}

/// Says whether a program (name or path) can be a client, and where it is. Scripts are followed to their interpreter.
///
/// # Errors
/// Why not.
pub fn check_program(path: &Path) -> Result<PathBuf, LaunchError> {
    Err(LaunchError::NotFound(path.into()))
}
