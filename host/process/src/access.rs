//! An access that waits for a translation, and its outcome. Plain data.

use std::sync::Arc;

use super::{Process, Prot};

/// An access that found no translation, or one that forbids it.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The process whose access it is.
    pub process: Arc<Process>,
    /// The thread's id (Linux tid); 0 if not known.
    pub tid: i32,
    /// The address, exact where Linux tells it, else of the page.
    pub addr: u64,
    /// The access: one of read, write, exec.
    pub access: Prot,
    /// There is a translation, and it forbids the access (illumos: `F_PROT`); else there was none (`F_INVAL`).
    pub protection: bool,
    /// Address of the instruction; 0 if it is not known. [`proc::Thread::place`](super::proc::Thread::place) tells it while the thread waits for the fault.
    pub code: u64,
}

/// Outcome of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultOutcome {
    /// Translations were loaded, or nothing was: let the access try again.
    Retry,
    /// A signal of the thread's has ended the driver's work: let it take the signal and try again. A system call's access fails instead.
    Interrupted,
    /// It fails: the thread gets this signal, or its system call the error, `EFAULT` if there is none.
    Signal {
        /// `SIGSEGV` or `SIGBUS`.
        signo: i32,
        /// `si_code`, such as `SEGV_MAPERR`.
        code: i32,
        /// `si_errno`: the driver's error (a Linux number), 0 if there is none.
        errno: i32,
    },
}
