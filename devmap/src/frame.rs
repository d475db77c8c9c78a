//! Routines of threads that are inside `devmap_do_ctxmgt(9F)`: see [`Fault::switch_context`](crate::Fault::switch_context).
//!
//! A routine's frame lies on its thread's stack, and is in a list of its mapping's, under the mapping's lock, for as long as the thread is inside.

use core::cell::Cell;
use core::ptr;

use ddi_sys as sys;

/// Returns the identity of the calling thread.
#[inline]
pub(crate) fn this_thread() -> sys::kt_did_t {
    // SAFETY: reads the identity of the calling thread.
    unsafe { sys::ddi_get_kt_did() }
}

/// A routine waiting to be called by `devmap_do_ctxmgt(9F)` for the thread that asked for it.
pub(crate) struct Frame {
    thread: sys::kt_did_t,
    routine: *mut (dyn FnMut() + 'static),
    /// That which was entered before, of whatever thread.
    before: Cell<*const Frame>,
}

impl Frame {
    /// The calling thread's.
    pub(crate) fn new(routine: &mut dyn FnMut()) -> Frame {
        let routine: *mut dyn FnMut() = routine;
        // SAFETY: only the lifetime changes; the frame leaves its list before the routine goes.
        let routine: *mut (dyn FnMut() + 'static) = unsafe { core::mem::transmute(routine) };
        Frame { thread: this_thread(), routine, before: Cell::new(ptr::null()) }
    }
}

/// The routines that threads have entered for a mapping, the last one first.
///
/// # Invariants
/// Each frame of the list lives, and is used under the lock of the list only, until it has left.
pub(crate) struct Frames {
    last: *const Frame,
}

// SAFETY: what the list reads of a frame belongs to no thread; the routine is only called by the thread that has entered it.
unsafe impl Send for Frames {}

impl Frames {
    pub(crate) const fn new() -> Frames {
        Frames { last: ptr::null() }
    }

    /// Adds a frame.
    ///
    /// # Safety
    /// It lives until it has [left](Frames::leave) this list, and is used by this list only.
    pub(crate) unsafe fn enter(&mut self, frame: &Frame) {
        frame.before.set(self.last);
        self.last = frame;
    }

    /// Returns the routine that this thread has entered last.
    pub(crate) fn innermost(&self) -> Option<*mut (dyn FnMut() + 'static)> {
        let thread = this_thread();
        let mut next = self.last;
        // SAFETY: in the list, so the invariant holds.
        while let Some(frame) = unsafe { next.as_ref() } {
            if frame.thread == thread {
                return Some(frame.routine);
            }
            next = frame.before.get();
        }
        None
    }

    /// Removes a frame of this list.
    pub(crate) fn leave(&mut self, frame: &Frame) {
        let before = &frame.before;
        if ptr::eq(self.last, frame) {
            self.last = before.get();
            return;
        }
        let mut next = self.last;
        // SAFETY: as above.
        while let Some(other) = unsafe { next.as_ref() } {
            if ptr::eq(other.before.get(), frame) {
                other.before.set(before.get());
                return;
            }
            next = other.before.get();
        }
    }
}
