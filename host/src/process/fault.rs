//! Faults: threads that serve them.

use std::sync::Arc;

use super::{Process, Prot};

/// An access that found no translation, or one that forbids it.
#[derive(Clone)]
pub struct Fault {
    /// Whose access.
    pub process: Arc<Process>,
    /// The thread's id (Linux tid); 0 if not known.
    pub tid: i32,
    /// The address, exact where Linux tells it, else of the page.
    pub addr: u64,
    /// What was tried: one of read, write, exec. userfaultfd reports exec as read.
    pub access: Prot,
    /// The page's protection is known to forbid the access (illumos: `F_PROT`); else there was no translation (`F_INVAL`).
    pub protection: bool,
}

/// What became of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultOutcome {
    /// Translations were loaded, or nothing was: let the access try again.
    Retry,
    /// It fails: the thread gets this signal, or its system call `EFAULT`.
    Signal {
        /// `SIGSEGV` or `SIGBUS`.
        signo: i32,
        /// `si_code`, such as `SEGV_MAPERR`.
        code: i32,
    },
}
