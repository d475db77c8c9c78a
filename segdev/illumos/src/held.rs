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

use crate::lock::Mutex;

/// A thread that is in a driver's callback, and the address space that it holds.
///
/// # Invariants
/// `thread` is 0 or a thread that has claimed the place; only that one changes it then.
struct Place {
    thread: AtomicU64,
    space: AtomicPtr<sys::as_>,
}

/// Number of places; a power of two.
const PLACES: usize = 16;

static TABLE: [Place; PLACES] =
    [const { Place { thread: AtomicU64::new(0), space: AtomicPtr::new(ptr::null_mut()) } }; PLACES];

/// Where a thread's place is looked for first.
fn first(thread: u64) -> usize {
    // Names of threads are addresses or numbers: either differ here.
    (thread ^ (thread >> 6) ^ (thread >> 11)) as usize % PLACES
}

/// The places, from a thread's first one on.
fn places(thread: u64) -> impl Iterator<Item = &'static Place> {
    let (front, back) = TABLE.split_at(first(thread));
    back.iter().chain(front)
}

/// A thread for which the table has no place.
struct Entry {
    thread: u64,
    space: *mut sys::as_,
    next: *mut Entry,
}

/// # Invariants
/// Every entry of a list lives: [`Listed`] removes its own before it goes. The list's mutex protects the links.
struct List(*mut Entry);

// SAFETY: the entries are reached with the list's mutex held only.
unsafe impl Send for List {}

static LIST: Mutex<List> = Mutex::new(List(ptr::null_mut()));
/// Number of entries.
static LISTED: AtomicUsize = AtomicUsize::new(0);

/// Names the calling thread.
pub fn thread() -> u64 {
    // SAFETY: may be called in any context.
    unsafe { sys::ddi_get_kt_did() }
}

/// Gives its place up when it goes.
struct Claimed(&'static Place);

impl Drop for Claimed {
    #[inline]
    fn drop(&mut self) {
        self.0.thread.store(0, Release);
    }
}

/// Removes its thread's entry when it goes.
struct Listed(*mut Entry);

impl Drop for Listed {
    fn drop(&mut self) {
        LISTED.fetch_sub(1, Relaxed);
        let mut list = LIST.lock();
        let mut link = &raw mut list.0;
        // SAFETY: the list's own link at first, then that of an entry in it, which lives; this entry is in it, so the search ends.
        while unsafe { *link } != self.0 {
            // SAFETY: as above.
            let at = unsafe { *link };
            // SAFETY: as above.
            link = unsafe { &raw mut (*at).next };
        }
        // SAFETY: the entry is on this thread's stack, below `listed`.
        let next = unsafe { (*self.0).next };
        // SAFETY: as above.
        unsafe { *link = next };
    }
}

/// Calls `f` with the address space held, as far as [`holds`] tells. Calls nest.
#[inline]
pub fn holding<R>(space: *mut sys::as_, f: impl FnOnce() -> R) -> R {
    let thread = thread();
    let claimed = |place: &&Place| place.thread.compare_exchange(0, thread, Acquire, Relaxed).is_ok();
    let place = match TABLE.get(first(thread)).filter(claimed) {
        Some(place) => place,
        None => match places(thread).find(claimed) {
            Some(place) => place,
            None => return listed(thread, space, f),
        },
    };
    place.space.store(space, Relaxed);
    let _claimed = Claimed(place);
    f()
}

/// The same with an entry in the list.
#[cold]
fn listed<R>(thread: u64, space: *mut sys::as_, f: impl FnOnce() -> R) -> R {
    let mut entry = Entry { thread, space, next: ptr::null_mut() };
    let entry = &raw mut entry;
    LISTED.fetch_add(1, Relaxed);
    {
        let mut list = LIST.lock();
        // SAFETY: this thread's, and not in the list yet.
        unsafe { (*entry).next = list.0 };
        list.0 = entry;
    }
    let _listed = Listed(entry);
    f()
}

/// Whether the calling thread holds this address space.
#[inline]
pub fn holds(space: *mut sys::as_) -> bool {
    let thread = thread();
    // What another thread writes meanwhile is not this thread's.
    let mine = |place: &Place| place.thread.load(Relaxed) == thread && place.space.load(Relaxed) == space;
    TABLE.get(first(thread)).is_some_and(mine) || holds_elsewhere(thread, space)
}

#[cold]
fn holds_elsewhere(thread: u64, space: *mut sys::as_) -> bool {
    let mine = |place: &Place| place.thread.load(Relaxed) == thread && place.space.load(Relaxed) == space;
    if places(thread).any(mine) {
        return true;
    }
    if LISTED.load(Relaxed) == 0 {
        return false;
    }
    let list = LIST.lock();
    let mut at = list.0;
    while !at.is_null() {
        // SAFETY: an entry of the list lives.
        let entry = unsafe { &*at };
        if entry.thread == thread && entry.space == space {
            return true;
        }
        at = entry.next;
    }
    false
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
