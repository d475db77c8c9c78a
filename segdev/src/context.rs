//! Device contexts: whose turn it is, and for how long.
//!
//! One context per device instance and access callback. With a timeout set on a handle (`devmap_set_ctx_timeout(9F)`) and
//! more than one processor, the mapping that gets the context keeps it for that many ticks; others wait. The owner
//! is a *mapping* (one mmap, with all pieces that later cuts leave of it): it re-enters without waiting, from any thread.
//!
//! A fault waits before it calls the driver, with no lock held and interruptibly, and the context is then kept for the fault
//! while the access callback runs; so `devmap_do_ctxmgt` called from there does not wait. Only where the
//! callback itself sets the first timeout is it told to fail and called again after the wait. Called from elsewhere, with the
//! space not locked, `devmap_do_ctxmgt` waits where it is.
//!
//! At most one timer is pending per context. A routine that fails gives the context up and leaves a pending timer alone; if another mapping
//! owns the context by the time it runs out, it is started again with that mapping's ticks, so no one's turn is cut
//! short. The last release cancels it.
//!
//! Locking: the context's lock is an inner lock, taken alone, never across the routine.

use alloc::sync::Arc;
use core::num::NonZeroU64;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::keyed::{Key, Keyed};
use crate::lock::{LockClass, Mutex as _};
use crate::platform::Platform;

/// A device context.
pub struct Context<P: Platform> {
    key: Key,
    /// Number of entries of the registry that have it; changes with the registry's lock held.
    users: AtomicUsize,
    /// A mapping has owned it.
    was_owned: AtomicBool,
    state: P::Mutex<Turn<P>>,
    free: P::Condvar,
}

/// Whose turn it is.
struct Turn<P: Platform> {
    /// The mapping that owns the context.
    owner: Option<NonZeroU64>,
    /// How many faults and routines run for the owner now.
    inside: u32,
    /// The owner keeps the context until the pending timer runs out.
    kept: bool,
    /// The pending timer.
    timer: Option<P::Timer>,
    /// The pending timer was an earlier owner's: start it again with these ticks when it runs out.
    again: i64,
    /// How many threads sleep.
    waiting: u32,
}

impl<P: Platform> Turn<P> {
    /// Gives the context up if nothing holds it any more.
    fn settle(&mut self, platform: &P, free: &P::Condvar) {
        if self.inside == 0 && !self.kept && self.owner.take().is_some() && self.waiting > 0 {
            platform.notify_all(free);
        }
    }
}

impl<P: Platform> Keyed for Context<P> {
    fn key(&self) -> Key {
        self.key
    }
}

impl<P: Platform> Context<P> {
    pub(crate) fn new(key: Key) -> Self {
        Self {
            key,
            users: AtomicUsize::new(0),
            was_owned: AtomicBool::new(false),
            state: P::Mutex::new(
                Turn { owner: None, inside: 0, kept: false, timer: None, again: 0, waiting: 0 },
                LockClass::Context,
            ),
            free: P::Condvar::default(),
        }
    }

    pub(crate) fn users(&self) -> usize {
        self.users.load(Relaxed)
    }

    /// Counts a user more or less; returns how many there are.
    pub(crate) fn change_users(&self, by: isize) -> usize {
        self.users.fetch_add(by.cast_unsigned(), Relaxed).wrapping_add_signed(by)
    }

    /// Whether a mapping owns it or has owned it.
    pub(crate) fn was_owned(&self) -> bool {
        self.was_owned.load(Relaxed)
    }

    /// Takes the context for `mapping` if it is free or its own already. Undone by [`Context::leave`] or [`Context::finish`].
    pub(crate) fn try_enter(&self, mapping: NonZeroU64) -> bool {
        let mut turn = self.state.lock();
        if turn.owner.is_some_and(|owner| owner != mapping) {
            return false;
        }
        turn.owner = Some(mapping);
        turn.inside += 1;
        self.was_owned.store(true, Relaxed);
        true
    }

    /// Sleeps once, unless the context is free or `mapping`'s own. Returns true if interrupted. No lock may be held.
    pub(crate) fn wait_free(&self, platform: &P, mapping: NonZeroU64) -> bool {
        let mut turn = self.state.lock();
        let mut interrupted = false;
        if turn.owner.is_some_and(|owner| owner != mapping) {
            turn.waiting += 1;
            (turn, interrupted) = platform.wait_sig(&self.free, turn);
            turn.waiting -= 1;
        }
        interrupted
    }

    /// Whether a mapping owns it.
    pub(crate) fn is_owned(&self) -> bool {
        self.state.lock().owner.is_some()
    }

    /// Undoes a [`Context::try_enter`].
    pub(crate) fn leave(&self, platform: &P) {
        let mut turn = self.state.lock();
        turn.inside -= 1;
        turn.settle(platform, &self.free);
    }

    /// A routine has run after [`Context::try_enter`]: keep the context for `ticks`, or give it up.
    pub(crate) fn finish(self: &Arc<Self>, platform: &P, ok: bool, ticks: i64) {
        let mut turn = self.state.lock();
        turn.inside -= 1;
        if ok && ticks > 0 {
            if turn.timer.is_none() {
                turn.timer = Some(platform.timeout(self.clone(), ticks));
            } else if !turn.kept {
                turn.again = ticks;
            }
            turn.kept = true;
        } else {
            turn.kept = false;
            turn.again = 0;
        }
        turn.settle(platform, &self.free);
    }

    /// A routine that ran without owning the context has failed: no one's turn goes on, unless a routine runs for the owner.
    #[cold]
    pub(crate) fn fail(&self, platform: &P) {
        let mut turn = self.state.lock();
        if turn.inside == 0 {
            turn.kept = false;
            turn.again = 0;
            turn.settle(platform, &self.free);
        }
    }

    /// The last handle is gone: cancels the timer.
    pub(crate) fn retire(&self, platform: &P) {
        let timer = {
            let mut turn = self.state.lock();
            turn.kept = false;
            turn.again = 0;
            turn.settle(platform, &self.free);
            turn.timer.take()
        };
        if let Some(timer) = timer {
            platform.untimeout(timer);
        }
    }

    /// The timer has run out.
    pub(crate) fn timed_out(self: &Arc<Self>, platform: &P) {
        let mut turn = self.state.lock();
        turn.timer = None;
        if turn.again > 0 {
            let ticks = core::mem::take(&mut turn.again);
            turn.timer = Some(platform.timeout(self.clone(), ticks));
        } else {
            turn.kept = false;
            turn.settle(platform, &self.free);
        }
    }
}
