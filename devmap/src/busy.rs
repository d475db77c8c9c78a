//! Counts what keeps a module loaded: everything that lets the kernel call into it.
//!
//! A module must not be unloaded while the kernel can still call a function of it, or while one has not returned yet: there would be no code to return through. Timeouts, periodic
//! routines, task queues, threads and handlers end that when they are dropped, by a call that waits. Two things are left, which `_fini` looks at:
//!
//! - one that is forgotten (`core::mem::forget`) is counted for ever;
//! - one that is dropped by its own routine cannot wait for that. It is put into a list here, and ended by whoever comes by next.
//!
//! In a program into which several drivers are linked, both are everybody's. No locks. Ending may wait: user or kernel context.

use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::Ordering;

use crate::atomic::{AtomicBool, AtomicPtr, AtomicUsize};
use crate::used::{self, Part as _};

/// Number of things that let the kernel call into the module.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// Those that are to be ended, as a stack.
static ENDING: AtomicPtr<Link> = AtomicPtr::new(ptr::null_mut());

/// Keeps the module loaded while it lives.
pub(crate) struct Busy(());

impl Busy {
    pub(crate) fn new() -> Busy {
        HELD.fetch_add(1, Ordering::Relaxed);
        Busy(())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::Release);
    }
}

/// Something that can be in the list of what is to be ended, by a link of its own, so that nothing is allocated.
pub(crate) trait Late: Send + Sync + 'static {
    fn link(&self) -> &Link;

    /// Waits until the routine has returned to the kernel and can run no more.
    fn end(self: Arc<Self>);
}

type End = unsafe fn(*const ());

/// A place in the list.
///
/// # Invariants
/// Who has set `listed` owns `what` until it is on the stack; then whoever takes it off. `what` is from `Arc::into_raw`, with the function that takes it back.
pub(crate) struct Link {
    listed: AtomicBool,
    next: AtomicPtr<Link>,
    what: UnsafeCell<Option<(*const (), End)>>,
}

// SAFETY: the invariant: one owner at a time; what it refers to is `Send` and `Sync`.
unsafe impl Send for Link {}
// SAFETY: as above.
unsafe impl Sync for Link {}

impl Link {
    pub(crate) const fn new() -> Link {
        Link {
            listed: AtomicBool::new(false),
            next: AtomicPtr::new(ptr::null_mut()),
            what: UnsafeCell::new(None),
        }
    }
}

/// # Safety
/// From `Arc::into_raw` of a `T`, whose reference this takes.
unsafe fn end<T: Late>(what: *const ()) {
    // SAFETY: the caller's.
    unsafe { Arc::from_raw(what.cast::<T>()) }.end();
}

/// Puts something into the list of what is to be ended, if it is not there.
pub(crate) fn end_later<T: Late>(what: Arc<T>) {
    used::Ends::is_needed();
    let link = ptr::from_ref(what.link());
    // SAFETY: `what` is alive, and then in the list.
    let place = unsafe { &*link };
    if place.listed.swap(true, Ordering::Acquire) {
        return;
    }
    // SAFETY: ours, by the invariant.
    unsafe { *place.what.get() = Some((Arc::into_raw(what).cast(), end::<T>)) };
    let mut top = ENDING.load(Ordering::Relaxed);
    loop {
        place.next.store(top, Ordering::Relaxed);
        match ENDING.compare_exchange(top, link.cast_mut(), Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => top = now,
        }
    }
}

/// Ends what is to be ended.
pub(crate) fn reap() {
    if !used::Ends::is_used() || ENDING.load(Ordering::Relaxed).is_null() {
        return;
    }
    let mut at = ENDING.swap(ptr::null_mut(), Ordering::Acquire);
    while !at.is_null() {
        // SAFETY: on the stack, which was taken whole, and so kept alive by its own `what`.
        let link = unsafe { &*at };
        at = link.next.load(Ordering::Relaxed);
        // SAFETY: ours, by the invariant.
        let what = unsafe { (*link.what.get()).take() };
        link.listed.store(false, Ordering::Release);
        if let Some((what, end)) = what {
            // SAFETY: as `end_later` has put it there; taken once. The link is not used any more.
            unsafe { end(what) };
        }
    }
}

/// Can the kernel still call into the module, or is a routine about to return?
pub(crate) fn is_busy() -> bool {
    reap();
    HELD.load(Ordering::Acquire) != 0
}
