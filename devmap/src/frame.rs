//! Routines of threads that are inside `devmap_do_ctxmgt(9F)`: see [`Fault::switch_context`](crate::Fault::switch_context).
//!
//! A routine lies on its thread's stack, in a [`Frame`]. The framework calls back without a word of it, so it has to be found: an instance has a *seat* for one thread that switches; the
//! others, and who switches a mapping of which the framework has not got the private pointer, are found by their threads ([`threads`](crate::threads)). No locks.

use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;

use crate::atomic::AtomicPtr;

/// A switch under way.
pub(crate) struct Frame<F> {
    /// Until it is called.
    pub(crate) routine: Option<F>,
    /// 0, the error number that the routine has returned, or [`NOT_CALLED`].
    pub(crate) result: c_int,
}

/// No error number.
pub(crate) const NOT_CALLED: c_int = -1;

/// Calls the routine of a frame, for the mapping with this private pointer: devmap_contextmgt(9E), but for the first argument.
pub(crate) type Run = unsafe extern "C-unwind" fn(*mut (), *mut c_void, i64, usize, u32, u32) -> c_int;

/// A switch under way of a thread that has not got the seat.
pub(crate) struct Routine {
    frame: *mut (),
    /// The private pointer of its mapping.
    private: *mut c_void,
    run: Run,
}

impl Routine {
    /// # Safety
    /// A frame that lives longer than the result, of the type that `run` is for; the private pointer of a mapping that is live meanwhile.
    pub(crate) unsafe fn new(frame: *mut (), private: *mut c_void, run: Run) -> Routine {
        Routine { frame, private, run }
    }

    /// # Safety
    /// On the thread that has made it, which does nothing else with the frame meanwhile.
    pub(crate) unsafe fn call(&self, off: i64, len: usize, kind: u32, rw: u32) -> c_int {
        // SAFETY: the caller's, and the maker's.
        unsafe { (self.run)(self.frame, self.private, off, len, kind, rw) }
    }
}

/// The seat: the frame of the thread that has it; null if none has.
pub(crate) struct Seat(AtomicPtr<()>);

impl Seat {
    pub(crate) const fn new() -> Seat {
        Seat(AtomicPtr::new(ptr::null_mut()))
    }

    /// Takes the seat, if it is free, until the result is dropped, also when the routine panics.
    #[inline(always)]
    pub(crate) fn sit(&self, frame: *mut ()) -> Option<Seated<'_>> {
        let taken = self.0.compare_exchange(ptr::null_mut(), frame, Relaxed, Relaxed);
        taken.is_ok().then(|| Seated(self))
    }

    /// The frame of the thread that has the seat: for that thread.
    #[inline(always)]
    pub(crate) fn seated(&self) -> *mut () {
        self.0.load(Relaxed)
    }
}

/// The seat, taken by this thread.
pub(crate) struct Seated<'a>(&'a Seat);

impl Drop for Seated<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.0.store(ptr::null_mut(), Relaxed);
    }
}
