//! Which process it is: its numbers, and whether it is still there.
//!
//! Locking: none.

use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use super::failpoint::fails;
use super::{Errno, proc};

/// Names a process. After exec it is another one.
///
/// # Invariants
/// `id` is unique among all address spaces, past ones included. `pid` is 0 until a forked child runs and does not change afterwards. `gone`, once set, stays set. `pidfd`,
/// once set, refers to process `pid`, so that a signal sent by it reaches no other process.
#[derive(Debug)]
pub(super) struct Identity {
    id: u64,
    pid: AtomicI32,
    gone: AtomicBool,
    pidfd: OnceLock<OwnedFd>,
}

impl Identity {
    pub fn new(id: u64) -> Identity {
        Identity { id, pid: AtomicI32::new(0), gone: AtomicBool::new(false), pidfd: OnceLock::new() }
    }

    pub fn id(&self) -> u64 {
        self.id
    }

    pub fn pid(&self) -> i32 {
        self.pid.load(Ordering::Relaxed)
    }

    pub fn set_pid(&self, pid: i32) {
        self.pid.store(pid, Ordering::Relaxed);
    }

    /// One of its threads.
    pub fn thread(&self, tid: i32) -> proc::Thread {
        proc::Thread { pid: self.pid(), tid }
    }

    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub fn set_gone(&self) {
        self.gone.store(true, Ordering::Release);
    }

    /// A descriptor that polls readable once the process is dead, if there is one yet.
    pub fn pidfd(&self) -> Option<&OwnedFd> {
        self.pidfd.get()
    }

    /// Keeps the descriptor of the process, unless there is one. Returns the one that is kept.
    pub fn keep_pidfd(&self, pidfd: OwnedFd) -> &OwnedFd {
        self.pidfd.get_or_init(|| pidfd)
    }

    /// Kills the process.
    pub fn kill(&self) {
        if let Some(pidfd) = self.pidfd() {
            let _ = rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL);
        }
    }

    /// Returns whether the process is dead, or dies within `limit`. False if it is not known.
    pub fn is_dead_within(&self, limit: Duration) -> bool {
        let Some(pidfd) = self.pidfd() else { return false };
        let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
        poll(&mut fds, limit.try_into().ok().as_ref()).is_ok_and(|n| n > 0)
    }
}

/// Opens a descriptor that polls readable once a process is dead.
pub(super) fn open_pidfd(pid: i32) -> Result<OwnedFd, Errno> {
    if fails("pidfd_open") {
        return Err(Errno(libc::EMFILE));
    }
    let pid = rustix::process::Pid::from_raw(pid).ok_or(Errno(libc::ESRCH))?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
        .map_err(|e| Errno(e.raw_os_error()))
}
