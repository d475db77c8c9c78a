//! What all threads of a server share: processes, opens, lines; how a process leaves.
//!
//! Locking: the maps of processes, opens and lines each have a lock of their own, never held while the kernel above runs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex, RwLock};
use rustc_hash::FxHashMap as HashMap;

use super::board::Board;
use super::flight::Leave;
use super::interrupt::interrupt_all;
use super::line::Line;
use super::polls::PollWaker;
use super::pool::FaultPool;
use super::sock::Conn;
use super::watch::Watch;
use super::{DeviceNode, Errno, FaultMode, FaultPolicy, Kernel, OpenId, Process};
use crate::physmem::PhysMem;

/// State that all threads of a server share.
pub(super) struct Shared {
    pub kernel: Arc<dyn Kernel>,
    pub mem: Arc<PhysMem>,
    pub policy: FaultPolicy,
    pub low: bool,
    pub mode: FaultMode,
    pub name: String,
    pub board: Board,
    pub watch: Watch,
    pub faults: FaultPool,
    pub processes: RwLock<HashMap<u64, Arc<Process>>>,
    pub opens: RwLock<HashMap<u64, Arc<Open>>>,
    pub lines: Mutex<HashMap<u64, Arc<Line>>>,
    /// Notified, with the lock held for a moment, when a process or an open is removed.
    pub gone: (Mutex<()>, Condvar),
    pub ids: AtomicU64,
    /// Begins and ends of calls and faults of all processes: while it stays as it is, no process has learned anything of the kernel above.
    pub asked: AtomicU64,
    pub stopping: AtomicBool,
}

/// An open device: its last reference closes it.
pub(super) struct Open {
    kernel: Arc<dyn Kernel>,
    pub id: OpenId,
    pub node: DeviceNode,
    flags: AtomicI32,
    pub offset: Mutex<i64>,
    pub peer: Conn,
    /// Threads that wait in poll(2) for the device.
    pub pollers: Mutex<Vec<PollWaker>>,
}

impl Open {
    pub fn new(kernel: Arc<dyn Kernel>, id: OpenId, node: DeviceNode, flags: i32, peer: Conn) -> Open {
        let flags = AtomicI32::new(flags);
        Open { kernel, id, node, flags, offset: Mutex::new(0), peer, pollers: Mutex::default() }
    }

    /// Returns the current `O_*` flags.
    pub fn flags(&self) -> i32 {
        self.flags.load(Ordering::Relaxed)
    }

    /// fcntl(F_SETFL).
    pub fn set_flags(&self, new: i32) {
        let changes = libc::O_NONBLOCK | libc::O_APPEND;
        let set = |old: i32| Some(old & !changes | new & changes);
        let _ = self.flags.fetch_update(Ordering::Relaxed, Ordering::Relaxed, set);
    }

    /// A thread waits for it to be ready, or closed.
    pub fn polled_by(&self, waker: PollWaker) {
        let mut pollers = self.pollers.lock();
        pollers.retain(|p| !p.is_over());
        pollers.push(waker);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let _ = catch_unwind(AssertUnwindSafe(|| self.kernel.close(self.id)));
    }
}

/// A call or fault in progress: its process does not exit under it.
pub(super) struct Guard<'a> {
    shared: &'a Arc<Shared>,
    process: &'a Arc<Process>,
    begun: u64,
}

impl Guard<'_> {
    /// Returns what [`Shared::asked`] is when this has ended, if nothing else has begun or ended since it began.
    pub fn alone(&self) -> u64 {
        self.begun + 2
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.shared.asked.fetch_add(1, Ordering::AcqRel);
        if let Some(job) = self.process.flight.end() {
            self.shared.finish(self.process);
            self.shared.watch.end(job);
        }
    }
}

impl Shared {
    pub fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Begins a call or a fault; `None` when the process is on its way out.
    pub fn begin<'a>(self: &'a Arc<Self>, process: &'a Arc<Process>) -> Option<Guard<'a>> {
        let guard = || Guard { shared: self, process, begun: self.asked.fetch_add(1, Ordering::AcqRel) };
        process.flight.begin().then(guard)
    }

    /// The process has died, has another program now, or was never born. False: it was on its way out already.
    pub fn leave(self: &Arc<Self>, process: &Arc<Process>) -> bool {
        let leave = process.flight.leave(|| process.set_gone(), || self.watch.begin());
        if leave == Leave::Already {
            return false;
        }
        interrupt_all(process);
        if let Some(pidfd) = process.pidfd() {
            self.watch.remove(pidfd);
        }
        if let Some(line) = &*process.lifeline.lock() {
            self.watch.remove(line);
        }
        self.copied(process);
        if leave == Leave::Finish {
            self.finish(process);
        }
        true
    }

    /// Nothing of a process that leaves is in progress any more.
    fn finish(self: &Arc<Self>, process: &Arc<Process>) {
        if let Some(uffd) = process.uffd() {
            self.faults.remove(uffd);
        }
        let _ = catch_unwind(AssertUnwindSafe(|| match process.pid() {
            0 => self.kernel.fork_failed(process),
            _ => self.kernel.exit(process),
        }));
        process.detach();
        *process.lifeline.lock() = None;
        self.processes.write().remove(&process.id());
        self.tell_gone();
    }

    /// A process or an open is not in its map any more.
    pub fn tell_gone(&self) {
        drop(self.gone.0.lock());
        self.gone.1.notify_all();
    }

    /// Linux has copied the child of a fork, or never will: its parent goes on. Once for each child.
    pub fn copied(&self, child: &Process) {
        if let Some(parent) = child.parent.lock().take() {
            parent.end_fork();
        }
    }

    /// Returns the open of this number.
    pub fn open(&self, number: u64) -> Result<Arc<Open>, Errno> {
        self.opens.read().get(&number).cloned().ok_or(Errno(libc::EBADF))
    }
}
