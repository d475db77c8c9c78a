//! Watching for what clients do without saying: die, exec, close their last descriptor of a device, get a signal.
//!
//! One epoll instance, read by its own thread and, before every request, by the thread that serves the request: whoever learned of
//! a death or a close by wait(2) then finds that its callbacks have run.
//!
//! Locking: `collect` while events are fetched and claimed; nothing is held while a job runs.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use super::failpoint::fails;
use super::shared::Shared;

/// Time that a request waits for a job that another thread has begun: long enough for any callback that does not sleep, on a machine
/// with much else to do.
const PATIENCE: Duration = Duration::from_secs(1);

/// Jobs that other threads had begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    /// There were none.
    None,
    /// They are done.
    Done,
    /// One has taken longer than patience lasts.
    Busy,
}

/// Meaning of a watched descriptor; the number is the thing's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// The lifeline of a process.
    Lifeline(u64),
    /// The pidfd of a process.
    Death(u64),
    /// The host's end of an open device.
    Open(u64),
    /// The connection of a call that waits interruptibly.
    Line(u64),
    /// Nothing but a reason to wake up.
    Stop,
}

impl Key {
    fn to_u64(self) -> u64 {
        let (tag, id) = match self {
            Key::Stop => (0, 0),
            Key::Lifeline(id) => (1, id),
            Key::Death(id) => (2, id),
            Key::Open(id) => (3, id),
            Key::Line(id) => (4, id),
        };
        tag << 56 | id
    }

    fn from_u64(n: u64) -> Key {
        let id = n & ((1 << 56) - 1);
        match n >> 56 {
            1 => Key::Lifeline(id),
            2 => Key::Death(id),
            3 => Key::Open(id),
            4 => Key::Line(id),
            _ => Key::Stop,
        }
    }
}

/// Events to watch for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    /// Input or hang-up.
    Input,
    /// Input or hang-up, reported once.
    Once,
    /// Hang-up.
    HangUp,
}

/// Work that an event asks for.
pub(super) type Job = Box<dyn FnOnce(&Arc<Shared>) + Send>;

#[derive(Debug)]
pub(super) struct Watch {
    epoll: OwnedFd,
    collect: Mutex<()>,
    running: Mutex<Running>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct Running {
    next: u64,
    set: BTreeSet<u64>,
}

impl Watch {
    pub fn new() -> io::Result<Watch> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Watch { epoll, collect: Mutex::new(()), running: Mutex::default(), done: Condvar::new() })
    }

    fn flags(interest: Interest) -> epoll::EventFlags {
        match interest {
            Interest::Input => epoll::EventFlags::IN | epoll::EventFlags::RDHUP,
            Interest::Once => epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ONESHOT,
            Interest::HangUp => epoll::EventFlags::RDHUP,
        }
    }

    pub fn add(&self, fd: impl AsFd, key: Key, interest: Interest) -> io::Result<()> {
        if fails("epoll_ctl") {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(epoll::add(&self.epoll, fd, epoll::EventData::new_u64(key.to_u64()), Self::flags(interest))?)
    }

    pub fn change(&self, fd: impl AsFd, key: Key, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, fd, epoll::EventData::new_u64(key.to_u64()), Self::flags(interest))?)
    }

    pub fn remove(&self, fd: impl AsFd) {
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Blocks until something happens.
    pub fn wait(&self) {
        let mut fds = [rustix::event::PollFd::new(&self.epoll, rustix::event::PollFlags::IN)];
        let _ = rustix::event::poll(&mut fds, None);
    }

    /// Returns whether something has happened that nobody has collected.
    fn is_ready(&self) -> bool {
        let mut fds = [rustix::event::PollFd::new(&self.epoll, rustix::event::PollFlags::IN)];
        let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|n| n > 0)
    }

    /// Something has begun that a patient [`drain`](Watch::drain) waits for; its number is for [`end`](Watch::end).
    pub fn begin(&self) -> u64 {
        let mut running = self.running.lock();
        running.next += 1;
        let n = running.next;
        running.set.insert(n);
        n
    }

    pub fn end(&self, n: u64) {
        self.running.lock().set.remove(&n);
        self.done.notify_all();
    }

    /// Deals with all that has happened up to now; with `patient`, also waits for what others are dealing with.
    pub fn drain(&self, shared: &Arc<Shared>, patient: bool) {
        self.deal(shared, patient, |jobs| {
            jobs.into_iter().for_each(|(n, job)| shared.watch.run(shared, n, job))
        });
    }

    /// The same, patiently, for the thread that ends the run: it comes back whatever a driver does, as another thread does the work.
    pub fn settle(&self, shared: &Arc<Shared>) {
        self.deal(shared, true, |jobs| {
            if !jobs.is_empty() {
                let shared = shared.clone();
                std::thread::spawn(move || {
                    jobs.into_iter().for_each(|(n, job)| shared.watch.run(&shared, n, job));
                });
            }
        });
    }

    fn run(&self, shared: &Arc<Shared>, n: u64, job: Job) {
        job(shared);
        self.end(n);
    }

    fn deal(&self, shared: &Arc<Shared>, mut patient: bool, run: impl Fn(Vec<(u64, Job)>)) {
        // What is done about an event may bring out another: a child that introduced itself may be dead already.
        for _ in 0..16 {
            let jobs = self.collect(shared);
            let idle = jobs.is_none();
            run(jobs.unwrap_or_default());
            let others = if patient { self.wait_for_others() } else { Others::None };
            // Patience lasts once, however many events there are that only the busy ones can deal with.
            patient &= others != Others::Busy;
            if others != Others::Done && idle {
                break;
            }
        }
    }

    /// Fetches events and claims what they ask for; `None`: nothing has happened.
    fn collect(&self, shared: &Arc<Shared>) -> Option<Vec<(u64, Job)>> {
        let _collect = self.collect.lock();
        // epoll_wait without a time limit may miss what is there while another thread looks at the same instance (it
        // asks the list without a lock); poll asks with the lock held.
        if !self.is_ready() {
            return None;
        }
        let mut events = Vec::with_capacity(64);
        let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        if epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&now)).is_err() {
            return Some(Vec::new());
        }
        let jobs = events.iter().filter_map(|e| {
            let (data, flags) = (e.data, e.flags);
            shared.claim(Key::from_u64(data.u64()), flags.contains(epoll::EventFlags::IN))
        });
        Some(jobs.map(|job| (self.begin(), job)).collect())
    }

    /// Waits for jobs that others have begun, as long as patience lasts.
    fn wait_for_others(&self) -> Others {
        let mut running = self.running.lock();
        let (last, limit) = (running.next, Instant::now() + PATIENCE);
        let mut others = Others::None;
        while running.set.first().is_some_and(|&n| n <= last) {
            others = Others::Done;
            if self.done.wait_until(&mut running, limit).timed_out() {
                return Others::Busy;
            }
        }
        others
    }
}
