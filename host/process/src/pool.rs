//! The pool of threads that serve faults: their epoll instance, and how many there are. What they do is in [`super::fault`].
//!
//! Locking: `threads` is a leaf.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::event::epoll;

use super::uffd::Uffd;

/// The threads that serve faults.
#[derive(Debug)]
pub(super) struct FaultPool {
    pub epoll: OwnedFd,
    wake: OwnedFd,
    pub idle: AtomicUsize,
    /// Threads that there are.
    pub threads: Mutex<usize>,
    ended: Condvar,
    pub stop: AtomicBool,
}

/// Time that the end waits for threads that serve a fault: one may be inside a driver for good.
const LAST: Duration = Duration::from_secs(1);

impl FaultPool {
    pub fn new() -> io::Result<FaultPool> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
        let idle = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        Ok(FaultPool { epoll, wake, idle, threads: Mutex::new(0), ended: Condvar::new(), stop })
    }

    pub fn add(&self, uffd: &Uffd, process: u64) -> io::Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        Ok(epoll::add(&self.epoll, uffd.as_fd(), epoll::EventData::new_u64(process), flags)?)
    }

    pub fn remove(&self, uffd: &Uffd) {
        let _ = epoll::delete(&self.epoll, uffd.as_fd());
    }

    pub fn thread_ended(&self) {
        *self.threads.lock() -= 1;
        self.ended.notify_all();
    }

    /// Ends all threads, and waits (not for ever) for them.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        let mut threads = self.threads.lock();
        self.ended.wait_while_for(&mut threads, |threads| *threads > 0, LAST);
    }
}
