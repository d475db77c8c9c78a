//! [`Threads`]: what each thread is inside of, found by the thread itself.
//!
//! Entries lie on the threads' stacks. There is a table of threads, and a list for those whose place in it another has: nothing is allocated.
//!
//! Locking: a mutex for that list, the innermost one, which is rarely taken: when more threads are inside than there are places, or two whose numbers differ by a multiple of it.

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use ddi_sys as sys;

use crate::atomic::{AtomicPtr, AtomicU64};
use crate::fixed::Fixed;

/// Returns the identity of the calling thread.
#[inline]
pub(crate) fn this_thread() -> sys::kt_did_t {
    // SAFETY: reads the identity of the calling thread.
    unsafe { sys::ddi_get_kt_did() }
}

/// Call that the thread is inside of: an entry of its stack.
#[repr(C)]
pub(crate) struct Inside<T> {
    pub(crate) what: T,
    thread: sys::kt_did_t,
    /// In the table: what the thread was inside of before. In the list: the next one.
    next: Cell<*const Inside<T>>,
}

impl<T> Inside<T> {
    #[inline(always)]
    pub(crate) fn new(what: T) -> Inside<T> {
        Inside { thread: this_thread(), next: Cell::new(ptr::null()), what }
    }
}

/// Number of places in the table.
const PLACES: usize = 32;

/// A place in the table.
pub(crate) struct Place<T> {
    /// The thread that has it, which alone reads and writes `inside`; 0 if none has.
    thread: AtomicU64,
    inside: AtomicPtr<Inside<T>>,
}

/// Entries that have no place in the table, the last one first. Each lives while it is in the list.
struct Others<T>(*const Inside<T>);

// SAFETY: links are changed, and threads compared, with the lock of the list held; what an entry has is its own thread's.
unsafe impl<T> Send for Others<T> {}

impl<T> Others<T> {
    fn iter(&self) -> impl Iterator<Item = &Inside<T>> {
        let mut next = self.0;
        core::iter::from_fn(move || {
            // SAFETY: in the list, so it lives.
            let inside = unsafe { next.as_ref() }?;
            next = inside.next.get();
            Some(inside)
        })
    }
}

pub(crate) struct Threads<T> {
    places: [Place<T>; PLACES],
    others: Fixed<Others<T>>,
}

impl<T> Threads<T> {
    /// # Safety
    /// It is put where it stays, and [initialised](Threads::init) there.
    pub(crate) const unsafe fn new() -> Threads<T> {
        Threads {
            places: [const { Place { thread: AtomicU64::new(0), inside: AtomicPtr::new(ptr::null_mut()) } };
                PLACES],
            // SAFETY: the caller's.
            others: unsafe { Fixed::new(Others(ptr::null())) },
        }
    }

    /// # Safety
    /// Once, or after it was [ended](Threads::end), and it does not move from now on.
    pub(crate) unsafe fn init(&self) {
        // SAFETY: the caller's.
        unsafe { self.others.init() };
    }

    /// # Safety
    /// It is not used any more, or initialised again.
    pub(crate) unsafe fn end(&self) {
        // SAFETY: the caller's.
        unsafe { self.others.destroy() };
    }

    #[inline(always)]
    fn place(&self, thread: sys::kt_did_t) -> &Place<T> {
        // SAFETY: the remainder is less than the number of places.
        unsafe { self.places.get_unchecked(thread as usize % PLACES) }
    }

    /// This thread is inside of something.
    ///
    /// Returns its place in the table, if it has got one for this.
    ///
    /// # Safety
    /// It lives until it has [left](Threads::leave).
    #[inline(always)]
    pub(crate) unsafe fn enter(&self, inside: &Inside<T>) -> Option<&Place<T>> {
        let place = self.place(inside.thread);
        if place.thread.compare_exchange(0, inside.thread, Acquire, Relaxed).is_err() {
            self.enter_otherwise(inside);
            return None;
        }
        place.inside.store(ptr::from_ref(inside).cast_mut(), Relaxed);
        Some(place)
    }

    #[cold]
    #[inline(never)]
    fn enter_otherwise(&self, inside: &Inside<T>) {
        let place = self.place(inside.thread);
        if place.thread.load(Relaxed) == inside.thread {
            inside.next.set(place.inside.load(Relaxed));
            place.inside.store(ptr::from_ref(inside).cast_mut(), Relaxed);
            return;
        }
        let mut others = self.others.lock();
        inside.next.set(others.0);
        others.0 = inside;
    }

    /// This thread leaves what it has entered last, with the place that it has got for that.
    #[inline(always)]
    pub(crate) fn leave(&self, inside: &Inside<T>, place: Option<&Place<T>>) {
        match place {
            Some(place) => place.thread.store(0, Release),
            None => self.leave_otherwise(inside),
        }
    }

    /// If the thread has a place, what it has entered last is there: it enters the list only while it has none.
    #[cold]
    #[inline(never)]
    fn leave_otherwise(&self, inside: &Inside<T>) {
        let place = self.place(inside.thread);
        if place.thread.load(Relaxed) == inside.thread {
            return place.inside.store(inside.next.get().cast_mut(), Relaxed);
        }
        let mut others = self.others.lock();
        if ptr::eq(others.0, inside) {
            others.0 = inside.next.get();
        } else if let Some(before) = others.iter().find(|other| ptr::eq(other.next.get(), inside)) {
            before.next.set(inside.next.get());
        }
    }

    /// Call that this thread has entered last.
    #[inline(always)]
    pub(crate) fn own(&self) -> Option<&T> {
        let thread = this_thread();
        let place = self.place(thread);
        if place.thread.load(Relaxed) != thread {
            return self.own_otherwise(thread);
        }
        let inside = place.inside.load(Relaxed);
        // SAFETY: the thread has the place, so there is one.
        unsafe { core::hint::assert_unchecked(!inside.is_null()) };
        // SAFETY: this thread's, which lives until it has left.
        Some(unsafe { &(*inside).what })
    }

    #[cold]
    #[inline(never)]
    fn own_otherwise(&self, thread: sys::kt_did_t) -> Option<&T> {
        let others = self.others.lock();
        let inside = others.iter().find(|inside| inside.thread == thread).map(ptr::from_ref)?;
        // SAFETY: this thread's, which lives until it has left.
        Some(unsafe { &(*inside).what })
    }
}
