//! Softlocks: pages that stay loaded until they are unlocked, and who must keep off them meanwhile.
//!
//! One [`Softlock`] per device number and access callback. It knows which device pages (by user offset) which address space
//! has soft-locked, and which faults are being served.
//!
//! The rules, chosen where `docs/defects.md` leaves a choice:
//! - The owner of a lock is the address space. Its own faults and further softlocks never wait for its locks; locks nest.
//! - An ordinary fault waits only while another space has locked one of its pages.
//! - A softlock waits while another space has locked one of its pages, or serves a fault on one.
//! - A space that holds a lock is refused (`EAGAIN`) rather than made to wait with a further softlock, so two holders cannot wait for
//!   each other.
//! - Waits are interruptible, with no lock held. What counts as locked is what was really loaded with a lock, by a fault
//!   or by `devmap_load`; either may undo it.
//!
//! Locking: the lock is an inner lock, taken alone.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::sync::atomic::AtomicUsize;

use crate::lock::{LockClass, Mutex as _};
use crate::platform::Platform;
use crate::registry::{Key, Keyed};

/// The soft-locked pages of one access callback.
pub(crate) struct Softlock<P: Platform> {
    key: Key,
    handles: AtomicUsize,
    state: P::Mutex<Held<P>>,
    freed: P::Condvar,
}

struct Held<P: Platform> {
    /// For each device page with locks: by which spaces, how many. A count may be below zero for a moment, when an unlock
    /// is told before the lock it undoes.
    pages: BTreeMap<u64, Vec<(P::Space, i64)>>,
    /// Faults being served.
    faults: Vec<InFlight<P>>,
    next: u64,
    waiting: u32,
}

struct InFlight<P: Platform> {
    id: u64,
    space: P::Space,
    first: u64,
    last: u64,
    exclusive: bool,
}

/// What [`Softlock::enter`] answers.
pub(crate) enum Entry {
    /// Go on; give the number to [`Softlock::leave`].
    In(u64),
    /// Wait with [`Softlock::wait`], then try again.
    Busy,
    /// Waiting could be for ever: refuse.
    Refused,
}

impl<P: Platform> Keyed for Softlock<P> {
    fn key(&self) -> Key {
        self.key
    }
    fn handles(&self) -> &AtomicUsize {
        &self.handles
    }
}

impl<P: Platform> Held<P> {
    fn conflict(&self, space: &P::Space, first: u64, last: u64, exclusive: bool) -> bool {
        let foreign = |holders: &Vec<(P::Space, i64)>| holders.iter().any(|(s, n)| s != space && *n > 0);
        (!self.pages.is_empty() && self.pages.range(first..=last).any(|(_, holders)| foreign(holders)))
            || self.faults.iter().any(|f| {
                (exclusive || f.exclusive) && f.space != *space && f.first <= last && first <= f.last
            })
    }
}

impl<P: Platform> Softlock<P> {
    pub(crate) fn new(key: Key) -> Self {
        Self {
            key,
            handles: AtomicUsize::new(0),
            state: P::Mutex::new(
                Held { pages: BTreeMap::new(), faults: Vec::new(), next: 0, waiting: 0 },
                LockClass::Softlock,
            ),
            freed: P::Condvar::default(),
        }
    }

    /// A fault on pages `first..=last` begins; `exclusive` for a softlock.
    pub(crate) fn enter(&self, space: &P::Space, first: u64, last: u64, exclusive: bool) -> Entry {
        let mut held = self.state.lock();
        if (exclusive || !held.pages.is_empty() || held.faults.iter().any(|f| f.exclusive))
            && held.conflict(space, first, last, exclusive)
        {
            let holder = |h: &Vec<(P::Space, i64)>| h.iter().any(|(s, n)| s == space && *n > 0);
            if exclusive && held.pages.values().any(holder) {
                return Entry::Refused;
            }
            return Entry::Busy;
        }
        let id = held.next;
        held.next += 1;
        held.faults.push(InFlight { id, space: space.clone(), first, last, exclusive });
        Entry::In(id)
    }

    /// The fault is over.
    pub(crate) fn leave(&self, platform: &P, id: u64) {
        let mut held = self.state.lock();
        if let Some(i) = held.faults.iter().position(|f| f.id == id) {
            held.faults.swap_remove(i);
        }
        if held.waiting > 0 {
            platform.notify_all(&self.freed);
        }
    }

    /// Sleeps until [`Softlock::enter`] may succeed; true if interrupted first. No lock may be held.
    pub(crate) fn wait(
        &self,
        platform: &P,
        space: &P::Space,
        first: u64,
        last: u64,
        exclusive: bool,
    ) -> bool {
        let mut held = self.state.lock();
        let mut interrupted = false;
        while !interrupted && held.conflict(space, first, last, exclusive) {
            held.waiting += 1;
            (held, interrupted) = platform.wait_sig(&self.freed, held);
            held.waiting -= 1;
        }
        interrupted
    }

    /// Locks of these pages were added (`by` 1) or taken away (-1).
    pub(crate) fn count(&self, platform: &P, space: &P::Space, pages: impl Iterator<Item = u64>, by: i64) {
        let mut held = self.state.lock();
        for page in pages {
            let holders = held.pages.entry(page).or_default();
            match holders.iter_mut().find(|(s, _)| s == space) {
                Some((_, n)) => *n += by,
                None => holders.push((space.clone(), by)),
            }
            holders.retain(|(_, n)| *n != 0);
            if holders.is_empty() {
                held.pages.remove(&page);
            }
        }
        if held.waiting > 0 {
            platform.notify_all(&self.freed);
        }
    }
}
