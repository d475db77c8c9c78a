//! [`Io`]: statistics of a device's queues (`KSTAT_TYPE_IO`), as iostat(8) shows them.

use core::ptr::NonNull;

use ddi_sys as sys;

use super::made::Made;
use crate::context::MayBlock;
use crate::errno::Error;
use crate::interrupt::{Guard, Mutex, Priority};
use crate::node::Node;

/// Statistics of requests that wait and then run, visible until dropped.
///
/// ```no_run
/// use devmap::context::MayBlock;
/// use devmap::kstat::Io;
///
/// fn request(io: &Io, cx: &mut impl MayBlock) {
///     let waiting = io.lock(cx).wait();
///     // ... the device takes it ...
///     let running = io.lock(cx).run_waiting(waiting);
///     // ... and is done ...
///     let mut io = io.lock(cx);
///     io.done(running);
///     io.read(512);
/// }
/// ```
///
/// # Invariants
/// `data` is the kstat's; it is looked at with the mutex held only, which is the kstat's lock.
pub struct Io {
    data: NonNull<sys::kstat_io_t>,
    /// Goes before its lock.
    _kstat: Made,
    mutex: Mutex<()>,
}

// SAFETY: the data are behind the mutex.
unsafe impl Send for Io {}
// SAFETY: as above.
unsafe impl Sync for Io {}

impl Io {
    /// Creates a set `driver:instance:name` of class "disk". User or kernel context. Errors: those of [`Kstat::new`](super::Kstat::new).
    pub fn new(node: &Node<'_>, name: &str, priority: Priority) -> Result<Io, Error> {
        let kstat = Made::new(node, name, c"disk", sys::KSTAT_TYPE_IO, 1, 0)?;
        let data = kstat.data()?;
        let mutex = Mutex::new(priority, ());
        // SAFETY: not installed, and dropped before the mutex, whose word stays where it is.
        unsafe { kstat.set_lock(mutex.raw().get()) };
        kstat.install();
        Ok(Io { data, _kstat: kstat, mutex })
    }

    /// Locks the statistics for changes; readers wait meanwhile.
    pub fn lock<'g, C: MayBlock>(&'g self, cx: &'g mut C) -> IoGuard<'g, C> {
        IoGuard { data: self.data, _held: self.mutex.lock(cx) }
    }
}

/// A waiting request. If it is dropped, the statistics count it as waiting for ever.
#[must_use = "it is to run, or to be given up"]
pub struct Waiting(());

/// A running request. If it is dropped, the statistics count it as running for ever.
#[must_use = "it is to be done"]
pub struct Running(());

/// An [`Io`] with its lock held.
#[must_use = "the lock is given back at once"]
pub struct IoGuard<'g, C: MayBlock> {
    data: NonNull<sys::kstat_io_t>,
    _held: Guard<'g, (), C>,
}

impl<C: MayBlock> IoGuard<'_, C> {
    fn get(&mut self) -> &mut sys::kstat_io_t {
        // SAFETY: the kstat's, which lives while it is locked, and nobody else looks at it.
        unsafe { self.data.as_mut() }
    }

    /// Adds a request that waits: `kstat_waitq_enter(9F)`.
    pub fn wait(&mut self) -> Waiting {
        // SAFETY: the kstat's data, whose lock is held. Likewise below.
        unsafe { sys::kstat_waitq_enter(self.get()) };
        Waiting(())
    }

    /// Removes a waiting request: `kstat_waitq_exit(9F)`.
    pub fn give_up(&mut self, waiting: Waiting) {
        let Waiting(()) = waiting;
        if self.get().wcnt > 0 {
            // SAFETY: as above, and one waits.
            unsafe { sys::kstat_waitq_exit(self.get()) };
        }
    }

    /// Adds a request that runs at once: `kstat_runq_enter(9F)`.
    pub fn run(&mut self) -> Running {
        // SAFETY: as above.
        unsafe { sys::kstat_runq_enter(self.get()) };
        Running(())
    }

    /// Moves a waiting request to the running ones: `kstat_waitq_to_runq(9F)`.
    pub fn run_waiting(&mut self, waiting: Waiting) -> Running {
        let Waiting(()) = waiting;
        if self.get().wcnt > 0 {
            // SAFETY: as above, and one waits.
            unsafe { sys::kstat_waitq_to_runq(self.get()) };
        }
        Running(())
    }

    /// Moves a running request back to the waiting ones: `kstat_runq_back_to_waitq(9F)`.
    pub fn wait_again(&mut self, running: Running) -> Waiting {
        let Running(()) = running;
        if self.get().rcnt > 0 {
            // SAFETY: as above, and one runs.
            unsafe { sys::kstat_runq_back_to_waitq(self.get()) };
        }
        Waiting(())
    }

    /// Removes a running request that is done: `kstat_runq_exit(9F)`.
    pub fn done(&mut self, running: Running) {
        let Running(()) = running;
        if self.get().rcnt > 0 {
            // SAFETY: as above, and one runs.
            unsafe { sys::kstat_runq_exit(self.get()) };
        }
    }

    /// Counts a read of `bytes` bytes.
    pub fn read(&mut self, bytes: u64) {
        let io = self.get();
        io.reads = io.reads.wrapping_add(1);
        io.nread = io.nread.wrapping_add(bytes);
    }

    /// Counts a write of `bytes` bytes.
    pub fn write(&mut self, bytes: u64) {
        let io = self.get();
        io.writes = io.writes.wrapping_add(1);
        io.nwritten = io.nwritten.wrapping_add(bytes);
    }
}
