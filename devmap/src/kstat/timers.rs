//! [`Timers`]: the number of events and the time that they took (`KSTAT_TYPE_TIMER`).

use core::ptr::NonNull;

use ddi_sys as sys;

use super::made::{Made, name};
use crate::context::MayBlock;
use crate::errno::{Errno, Error, error};
use crate::interrupt::{Mutex, Priority};
use crate::node::Node;

/// Named timers, visible until dropped: the number of events, and their shortest, longest and whole time in nanoseconds.
///
/// # Invariants
/// `timers` are the kstat's, `count` of them; they are looked at with the mutex held only, which is the kstat's lock.
pub struct Timers {
    timers: NonNull<sys::kstat_timer_t>,
    count: usize,
    /// Goes before its lock.
    _kstat: Made,
    mutex: Mutex<()>,
}

// SAFETY: the timers are behind the mutex.
unsafe impl Send for Timers {}
// SAFETY: as above.
unsafe impl Sync for Timers {}

impl Timers {
    /// Creates a set `driver:instance:set` of class "misc" with these timers. User or kernel context. Errors: those of [`Kstat::new`](super::Kstat::new).
    pub fn new(node: &Node<'_>, set: &str, priority: Priority, names: &[&str]) -> Result<Timers, Error> {
        let kstat = Made::new(node, set, c"misc", sys::KSTAT_TYPE_TIMER, names.len(), 0)?;
        let timers: NonNull<sys::kstat_timer_t> = kstat.data()?;
        for (index, text) in names.iter().enumerate() {
            let text = name(text)?;
            // SAFETY: the kernel allocated `names.len()` timers, and `index` is less.
            let timer = unsafe { timers.add(index) };
            // SAFETY: a timer of ours, and a string that ends in NUL and fits.
            unsafe { sys::kstat_timer_init(timer.as_ptr(), text.as_ptr()) };
        }
        let mutex = Mutex::new(priority, ());
        // SAFETY: not installed, and dropped before the mutex, whose word stays where it is.
        unsafe { kstat.set_lock(mutex.raw().get()) };
        kstat.install();
        Ok(Timers { timers, count: names.len(), _kstat: kstat, mutex })
    }

    fn timer(&self, index: usize) -> Result<*mut sys::kstat_timer_t, Error> {
        if index >= self.count {
            return Err(error!(Errno::EINVAL, "kstat_timer(9S)", "no such timer"));
        }
        Ok(self.timers.as_ptr().wrapping_add(index))
    }

    /// Starts timer `index`: `kstat_timer_start`. Fails with `EINVAL` if it does not exist.
    pub fn start(&self, cx: &mut impl MayBlock, index: usize) -> Result<(), Error> {
        let timer = self.timer(index)?;
        let _held = self.mutex.lock(cx);
        // SAFETY: one of the kstat's timers, whose lock is held.
        unsafe { sys::kstat_timer_start(timer) };
        Ok(())
    }

    /// Stops timer `index`, and counts an event that lasted since it was [started](Timers::start): `kstat_timer_stop`.
    pub fn stop(&self, cx: &mut impl MayBlock, index: usize) -> Result<(), Error> {
        let timer = self.timer(index)?;
        let _held = self.mutex.lock(cx);
        // SAFETY: one of the kstat's timers, whose lock is held.
        unsafe { sys::kstat_timer_stop(timer) };
        Ok(())
    }
}
