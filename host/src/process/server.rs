//! The server: accepts client processes and serves them.

use std::sync::Arc;
use std::time::Duration;

use super::{FaultMode, FaultPolicy, Kernel, LaunchError, Program};
use crate::physmem::PhysMem;

/// How a server is to work.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// How faults are caught.
    pub faults: FaultPolicy,
}

/// Why a server did not start: says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The way of catching faults that was asked for is not to be had.
    #[error("userfaultfd is not available here ({0}); use --faults signal or auto")]
    NoUserfaultfd(String),
    /// Anything else.
    #[error("cannot {what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What Linux said.
        error: std::io::Error,
    },
}

/// Serves client processes until dropped (clients still there are then killed).
pub struct Server {
    _kernel: Arc<dyn Kernel>,
    _mem: Arc<PhysMem>,
}

impl Server {
    /// Starts serving `kernel`'s devices to processes of the same user.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(
        _kernel: Arc<dyn Kernel>,
        _mem: Arc<PhysMem>,
        _config: Config,
    ) -> Result<Server, StartError> {
        Err(StartError::NoUserfaultfd(String::new()))
    }

    /// How faults are caught (what [`FaultPolicy::Auto`] came to).
    pub fn fault_mode(&self) -> FaultMode {
        FaultMode::Signal
    }

    /// The environment that makes any dynamically linked program a client.
    pub fn environment(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Tells the clients that the kernel's list of devices has changed.
    pub fn devices_changed(&self) {}

    /// Runs a program as a client, in the foreground, to its end, and then waits (a few seconds) for what it left running. Returns its exit status, 128 + the signal's number if
    /// one killed it.
    ///
    /// # Errors
    /// See [`LaunchError`].
    pub fn run(&self, program: &Program) -> Result<i32, LaunchError> {
        Err(LaunchError::NotFound(program.path.clone()))
    }

    /// Starts a program as a client.
    ///
    /// # Errors
    /// See [`LaunchError`].
    pub fn spawn(&self, program: &Program) -> Result<std::process::Child, LaunchError> {
        Err(LaunchError::NotFound(program.path.clone()))
    }

    /// Waits until no client process is left, or `limit` is over; returns how many are left.
    pub fn wait_idle(&self, _limit: Duration) -> usize {
        0
    }
}
