//! Which threads hold which address space.
//!
//! The kernel's lock does not say whether it is this thread that holds it as reader, and two calls of drivers need to know: `devmap_load(9F)` works
//! only for an address space that its caller holds, and `devmap_do_ctxmgt(9F)` waits only when it does not.
//!
//! Locking: short lists, each behind a leaf mutex; a thread's entries are on its own stack.

use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering::Acquire, Ordering::Release};

use ddi_sys as sys;

use crate::lock::Mutex;

/// A thread is inside a call that the kernel makes with this address space locked.
struct Entry {
    thread: u64,
    space: *mut sys::as_,
    next: *mut Entry,
}

/// # Invariants
/// Every entry of a list lives: [`Held`] removes its own before it goes. The list's mutex protects the links.
struct List(*mut Entry);

// SAFETY: the entries are reached with the list's mutex held only.
unsafe impl Send for List {}

static LISTS: [Mutex<List>; 16] = [const { Mutex::new(List(ptr::null_mut())) }; 16];

/// Names the calling thread.
pub fn thread() -> u64 {
    // SAFETY: may be called in any context.
    unsafe { sys::ddi_get_kt_did() }
}

fn list(thread: u64) -> &'static Mutex<List> {
    &LISTS[thread as usize % LISTS.len()]
}

/// Removes its thread's entry when it goes.
struct Held(*mut Entry, u64);

impl Drop for Held {
    fn drop(&mut self) {
        let mut list = list(self.1).lock();
        let mut link = &raw mut list.0;
        // SAFETY: the list's own link at first, then that of an entry in it, which lives; this entry is in it, so the search ends.
        while unsafe { *link } != self.0 {
            // SAFETY: as above.
            let at = unsafe { *link };
            // SAFETY: as above.
            link = unsafe { &raw mut (*at).next };
        }
        // SAFETY: the entry is on this thread's stack, below `holding`.
        let next = unsafe { (*self.0).next };
        // SAFETY: as above.
        unsafe { *link = next };
    }
}

/// Calls `f` with the address space held, as far as [`holds`] tells. Calls nest.
pub fn holding<R>(space: *mut sys::as_, f: impl FnOnce() -> R) -> R {
    let thread = thread();
    let mut entry = Entry { thread, space, next: ptr::null_mut() };
    let entry = &raw mut entry;
    {
        let mut list = list(thread).lock();
        // SAFETY: this thread's, and not in the list yet.
        unsafe { (*entry).next = list.0 };
        list.0 = entry;
    }
    let _held = Held(entry, thread);
    f()
}

/// Whether the calling thread holds this address space.
pub fn holds(space: *mut sys::as_) -> bool {
    let thread = thread();
    let list = list(thread).lock();
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
