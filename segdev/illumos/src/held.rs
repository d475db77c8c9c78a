//! Which threads hold which address space.
//!
//! The kernel's lock does not say whether it is this thread that holds it as reader, and two calls of drivers need to know: `devmap_load(9F)` works
//! only for an address space that its caller holds, and `devmap_do_ctxmgt(9F)` waits only when it does not. Only a driver's callbacks make these
//! calls, so a thread is noted while it is in one.
//!
//! Locking: none. A thread claims a place of a table, and only that thread reads or gives up what it has claimed. When all are taken, threads
//! are noted in a list behind a leaf mutex.

use core::ptr;
use core::sync::atomic::{
    AtomicPtr, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use ddi_sys as sys;
use segdev::pages::Pages;

use crate::lock::Mutex;

/// A thread that is in a driver's callback, and the address spaces that it holds: two in fork(2), else the same twice.
///
/// # Invariants
/// `thread` is 0 or a thread that has claimed the place; only that one changes it then.
struct Place {
    thread: AtomicU64,
    spaces: [AtomicPtr<sys::as_>; 2],
}

impl Place {
    const fn free() -> Self {
        Self { thread: AtomicU64::new(0), spaces: [const { AtomicPtr::new(ptr::null_mut()) }; 2] }
    }

    /// Takes the place if it is free.
    #[inline(always)]
    fn claim(&self, thread: u64, one: *mut sys::as_, other: *mut sys::as_) -> bool {
        let free = self.thread.compare_exchange(0, thread, Acquire, Relaxed).is_ok();
        if free {
            let [first, second] = &self.spaces;
            first.store(one, Relaxed);
            second.store(other, Relaxed);
        }
        free
    }

    /// Whether the thread holds the address space. What another thread writes meanwhile is not this thread's.
    #[inline(always)]
    fn says(&self, thread: u64, space: *mut sys::as_) -> bool {
        let [first, second] = &self.spaces;
        self.thread.load(Relaxed) == thread && (first.load(Relaxed) == space || second.load(Relaxed) == space)
    }
}

/// Number of places; a power of two.
const PLACES: usize = 16;

static TABLE: [Place; PLACES] = [const { Place::free() }; PLACES];

/// Index of the place that a thread tries first: thread ids are consecutive numbers.
fn first(thread: u64) -> usize {
    thread as usize % PLACES
}

/// The places, from a thread's first one on.
fn places(thread: u64) -> impl Iterator<Item = &'static Place> {
    let (front, back) = TABLE.split_at(first(thread));
    back.iter().chain(front)
}

/// The address spaces (as numbers) of threads for which the table has no place, by thread and order: two for each note.
static LIST: Mutex<Pages<usize, (usize, u64)>> = Mutex::new(Pages::new());
/// Number of entries.
static LISTED: AtomicUsize = AtomicUsize::new(0);

/// A thread's entries.
fn of(list: &Pages<usize, (usize, u64)>, thread: u64) -> impl Iterator<Item = &((usize, u64), usize)> {
    list.range((thread as usize, 0), (thread as usize, u64::MAX))
}

/// Returns the id of the calling thread.
pub fn thread() -> u64 {
    // SAFETY: may be called in any context.
    unsafe { sys::ddi_get_kt_did() }
}

/// A note that the calling thread holds address spaces: a place, or none for an entry of the list.
pub struct Hold(Option<&'static Place>);

impl Hold {
    /// Notes that the calling thread holds these.
    #[inline(always)]
    fn new(one: *mut sys::as_, other: *mut sys::as_) -> Self {
        let thread = thread();
        match TABLE.get(first(thread)) {
            Some(place) if place.claim(thread, one, other) => Self(Some(place)),
            _ => Self::elsewhere(thread, one, other),
        }
    }

    #[cold]
    #[inline(never)]
    fn elsewhere(thread: u64, one: *mut sys::as_, other: *mut sys::as_) -> Self {
        let found = places(thread).find(|place| place.claim(thread, one, other));
        if found.is_none() {
            LISTED.fetch_add(1, Relaxed);
            let mut list = LIST.lock();
            let depth = of(&list, thread).count() as u64;
            for (at, space) in (depth..).zip([one, other]) {
                list.change((thread as usize, at), |entry| {
                    *entry = space.addr();
                    true
                });
            }
        }
        Self(found)
    }

    /// Removes the calling thread's last note from the list.
    #[cold]
    #[inline(never)]
    fn unlist() {
        let thread = thread();
        let mut list = LIST.lock();
        let depth = of(&list, thread).count() as u64;
        for at in depth.saturating_sub(2)..depth {
            list.remove((thread as usize, at));
        }
        LISTED.fetch_sub(1, Relaxed);
    }
}

impl Drop for Hold {
    #[inline(always)]
    fn drop(&mut self) {
        match self.0 {
            Some(place) => place.thread.store(0, Release),
            None => Self::unlist(),
        }
    }
}

/// Notes that the calling thread holds the address space, as far as [`holds`] tells, until this goes. Notes nest.
#[inline(always)]
pub fn hold(space: *mut sys::as_) -> Hold {
    hold_both(space, space)
}

/// The same with two address spaces, as in fork(2).
#[inline(always)]
pub fn hold_both(one: *mut sys::as_, other: *mut sys::as_) -> Hold {
    Hold::new(one, other)
}

/// Whether the calling thread holds this address space.
#[inline(always)]
pub fn holds(space: *mut sys::as_) -> bool {
    let thread = thread();
    // Mostly it is in its first place, and the space is the one that it holds.
    let here = |place: &Place| {
        place.thread.load(Relaxed) == thread
            && place.spaces.first().map(|space| space.load(Relaxed)) == Some(space)
    };
    TABLE.get(first(thread)).is_some_and(here) || holds_elsewhere(thread, space)
}

#[cold]
#[inline(never)]
fn holds_elsewhere(thread: u64, space: *mut sys::as_) -> bool {
    if places(thread).any(|place| place.says(thread, space)) {
        return true;
    }
    if LISTED.load(Relaxed) == 0 {
        return false;
    }
    let list = LIST.lock();
    of(&list, thread).any(|(_, held)| *held == space.addr())
}

/// Number of threads in calls for which nothing keeps the module loaded: its device may be closed before they return.
static LAST: AtomicUsize = AtomicUsize::new(0);

/// The calling thread is in such a call, until it is dropped.
pub(crate) struct Last(());

impl Last {
    pub(crate) fn begin() -> Self {
        LAST.fetch_add(1, Acquire);
        Self(())
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        LAST.fetch_sub(1, Release);
    }
}

/// Whether a thread is in such a call.
pub(crate) fn inside() -> bool {
    LAST.load(Acquire) > 0
}
