//! Softlocks: pages that stay loaded until they are unlocked, and who must keep off them meanwhile.
//!
//! One [`Softlock`] per device number and access callback. It knows which device pages (by user offset) which address space
//! has soft-locked, and which faults are being served.
//!
//! The rules, chosen where `docs/defects.md` leaves a choice:
//! - The owner of a lock is the address space. Its own faults and further softlocks never wait for its locks; locks nest.
//! - An ordinary fault waits only while another space has locked one of its pages, and not at all when its own space holds a lock
//!   here: two holders that touch each other's pages would wait for each other.
//! - A softlock waits while another space has locked one of its pages, or serves a fault on one.
//! - A space that holds a lock is refused (`EAGAIN`) rather than made to wait with a further softlock, so two holders cannot wait for
//!   each other. What the same request has locked does not count: it is given back before the wait.
//! - Waits are interruptible, with no lock held. What counts as locked is what was really loaded with a lock, by a fault
//!   or by `devmap_load`; either may undo it.
//!
//! Locking: the lock is an inner lock, taken alone.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::list;
use crate::lock::{LockClass, Mutex as _};
use crate::pages::Pages;
use crate::platform::Platform;

/// The soft-locked pages of one access callback.
pub(crate) struct Softlock<P: Platform> {
    /// Number of entries of the registry that have it; changes with the registry's lock held.
    users: AtomicUsize,
    state: P::Mutex<Held<P>>,
    freed: P::Condvar,
}

struct Held<P: Platform> {
    /// An ordinary fault that is being served; mostly there is no other at the same time, so that no list is needed.
    single: Option<Range<P>>,
    /// For each device page with locks: by which spaces, how many. A count may be below zero for a moment, when an unlock
    /// is told before the lock it undoes.
    pages: Pages<Vec<(P::Space, i64)>>,
    /// All other faults being served.
    faults: Vec<Ticket<P>>,
    /// How many of them are softlocks.
    exclusives: u32,
    /// The number of the next fault.
    next: u64,
    waiting: u32,
}

/// Device pages of one space.
struct Range<P: Platform> {
    space: P::Space,
    first: u64,
    last: u64,
}

/// The number of the fault that is in no list.
const SINGLE: u64 = 0;

/// The pages that a fault is being served for.
pub(crate) struct Ticket<P: Platform> {
    /// Names it among those of its softlock, once the fault is being served.
    pub number: u64,
    /// The space that faults.
    pub space: P::Space,
    /// The first device page.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// It is a softlock.
    pub exclusive: bool,
}

impl<P: Platform> Ticket<P> {
    fn copy(&self, number: u64) -> Self {
        Self { number, space: self.space.clone(), ..*self }
    }
}

/// What [`Softlock::enter`] answers.
#[derive(PartialEq)]
pub(crate) enum Entry {
    /// Go on, then call [`Softlock::leave`] with this number.
    In(u64),
    /// Wait with [`Softlock::wait`], then try again.
    Busy,
    /// Waiting could be for ever: refuse.
    Refused,
}

impl<P: Platform> Held<P> {
    /// Whether this fault must keep off.
    #[inline]
    fn conflict(&self, t: &Ticket<P>) -> bool {
        (t.exclusive || self.guarded()) && self.overlaps(t)
    }

    /// Whether there is any softlock: if not, nothing keeps off an ordinary fault.
    #[inline]
    fn guarded(&self) -> bool {
        self.exclusives > 0 || !self.pages.is_empty()
    }

    #[inline(never)]
    fn overlaps(&self, t: &Ticket<P>) -> bool {
        let foreign = |holders: &Vec<(P::Space, i64)>| holders.iter().any(|(s, n)| *s != t.space && *n > 0);
        let locked = self.pages.range(t.first, t.last).any(|(_, holders)| foreign(holders));
        let others = |space: &P::Space, first, last| *space != t.space && first <= t.last && t.first <= last;
        (locked && (t.exclusive || self.locks_of(&t.space) == 0))
            || self.single.as_ref().is_some_and(|f| t.exclusive && others(&f.space, f.first, f.last))
            || (self.faults.iter()).any(|f| (t.exclusive || f.exclusive) && others(&f.space, f.first, f.last))
    }

    /// An ordinary fault begins that goes into the list. `None` if there is no memory for it.
    #[inline(never)]
    fn enter_list(&mut self, space: &P::Space, first: u64, last: u64) -> Option<u64> {
        let number = self.next;
        let ticket = Ticket { number, space: space.clone(), first, last, exclusive: false };
        list::push(&mut self.faults, ticket).ok()?;
        self.next = number + 1;
        Some(number)
    }

    /// A fault of the list is over.
    #[inline(never)]
    fn leave_list(&mut self, number: u64) {
        if let Some(mut over) = self.faults.pop() {
            if over.number != number
                && let Some(found) = self.faults.iter_mut().find(|f| f.number == number)
            {
                core::mem::swap(found, &mut over);
            }
            self.exclusives -= u32::from(over.exclusive);
        }
    }

    /// How many locks this space holds, on whatever pages.
    fn locks_of(&self, space: &P::Space) -> u64 {
        let all = self.pages.values().flatten();
        all.filter(|(s, n)| s == space && *n > 0).map(|(_, n)| n.cast_unsigned()).sum()
    }
}

impl<P: Platform> Softlock<P> {
    pub(crate) fn new() -> Self {
        Self {
            users: AtomicUsize::new(0),
            state: P::Mutex::new(
                Held {
                    single: None,
                    pages: Pages::new(),
                    faults: Vec::new(),
                    exclusives: 0,
                    next: SINGLE + 1,
                    waiting: 0,
                },
                LockClass::Softlock,
            ),
            freed: P::Condvar::default(),
        }
    }

    /// A fault begins. `own` of the space's locks were taken by this very request: it gives them back before it waits.
    #[inline]
    pub(crate) fn enter(&self, ticket: &Ticket<P>, own: u64) -> Entry {
        let mut held = self.state.lock();
        if held.conflict(ticket) {
            let refused = ticket.exclusive && held.locks_of(&ticket.space) > own;
            return if refused { Entry::Refused } else { Entry::Busy };
        }
        let number = held.next;
        if list::push(&mut held.faults, ticket.copy(number)).is_err() {
            return Entry::Refused;
        }
        held.next = number + 1;
        held.exclusives += u32::from(ticket.exclusive);
        Entry::In(number)
    }

    pub(crate) fn users(&self) -> usize {
        self.users.load(Relaxed)
    }

    /// Counts a user more or less; returns how many there are.
    pub(crate) fn change_users(&self, by: isize) -> usize {
        self.users.fetch_add(by.cast_unsigned(), Relaxed).wrapping_add_signed(by)
    }

    /// An ordinary fault begins, if nothing at all is soft-locked. Returns its number; `None` if it has to [`enter`](Softlock::enter).
    #[inline(always)]
    pub(crate) fn enter_freely(&self, space: &P::Space, first: u64, last: u64) -> Option<u64> {
        let mut held = self.state.lock();
        if held.guarded() {
            return None;
        }
        if held.single.is_some() {
            return held.enter_list(space, first, last);
        }
        held.single = Some(Range { space: space.clone(), first, last });
        Some(SINGLE)
    }

    /// The fault with this number is over.
    #[inline(always)]
    pub(crate) fn leave(&self, platform: &P, number: u64) {
        let mut held = self.state.lock();
        if number == SINGLE {
            held.single = None;
        } else {
            held.leave_list(number);
        }
        if held.waiting > 0 {
            platform.notify_all(&self.freed);
        }
    }

    /// The same, for where it is rare.
    #[inline(never)]
    pub(crate) fn left(&self, platform: &P, number: u64) {
        self.leave(platform, number);
    }

    /// Sleeps once, unless [`Softlock::enter`] may succeed. Returns true if interrupted. No lock may be held.
    pub(crate) fn wait(&self, platform: &P, ticket: &Ticket<P>) -> bool {
        let mut held = self.state.lock();
        let mut interrupted = false;
        if held.conflict(ticket) {
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
            held.pages.change(page, |holders| {
                match holders.iter_mut().find(|(s, _)| s == space) {
                    Some((_, n)) => *n += by,
                    None => drop(list::push(holders, (space.clone(), by))),
                }
                holders.retain(|(_, n)| *n != 0);
                !holders.is_empty()
            });
        }
        if held.waiting > 0 {
            platform.notify_all(&self.freed);
        }
    }
}
