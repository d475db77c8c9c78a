//! Routines of threads that are inside `devmap_do_ctxmgt(9F)`: see [`Fault::switch_context`](crate::Fault::switch_context).
//!
//! A routine lies on its thread's stack, in a [`Frame`]. The framework calls back without a word of it, so it has to be found: an instance has a *seat* for one thread that switches; the
//! others, and who switches a mapping of which the framework has not got the private pointer, are found by their threads ([`threads`](crate::threads)). No locks.

use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;

use ddi_sys as sys;

use crate::atomic::{AtomicPtr, AtomicU16};

/// An engine of an instance.
pub(crate) struct Engine {
    /// The mapping that it serves alone: null, or in the ring of the instance, with the place [`Alone`](crate::links::Place::Alone). Changed with the lock of the mappings held.
    pub(crate) owner: AtomicPtr<()>,
    /// Time that a context stays in it, in ticks.
    pub(crate) hysteresis: AtomicU16,
}

impl Engine {
    pub(crate) const fn new() -> Engine {
        Engine { owner: AtomicPtr::new(ptr::null_mut()), hysteresis: AtomicU16::new(0) }
    }
}

/// A fault whose mapping, an `H`, asks for its context.
pub(crate) struct Asked<'a, H> {
    pub(crate) handle: H,
    pub(crate) offset: u64,
    pub(crate) len: usize,
    pub(crate) engine: &'a Engine,
    /// The kind of access.
    pub(crate) rw: u32,
}

/// A switch under way, but for its routine: a [`Frame`] begins with it.
#[repr(C)]
pub(crate) struct Head<'a, H> {
    pub(crate) asked: Asked<'a, H>,
    /// 0, the error number that the routine has returned, or [`NOT_CALLED`].
    pub(crate) result: c_int,
}

/// A switch under way.
#[repr(C)]
pub(crate) struct Frame<'a, H, F> {
    pub(crate) head: Head<'a, H>,
    /// Until it is called.
    pub(crate) routine: Option<F>,
}

/// No error number.
pub(crate) const NOT_CALLED: c_int = c_int::MAX;

/// devmap_contextmgt(9E) for the routines of a type: calls that of the frame in the seat of the mapping with this private pointer, or, for [`FRAME`], that of the frame which its first argument is.
pub(crate) type Run =
    unsafe extern "C-unwind" fn(sys::devmap_cookie_t, *mut c_void, i64, usize, u32, u32) -> c_int;

/// No kind of access of the framework's.
pub(crate) const FRAME: u32 = u32::MAX;

/// A switch under way of a thread that has not got the seat.
pub(crate) struct Routine {
    frame: *mut (),
    run: Run,
}

impl Routine {
    /// # Safety
    /// A frame that lives longer than the result, of the type that `run` is for.
    pub(crate) unsafe fn new(frame: *mut (), run: Run) -> Routine {
        Routine { frame, run }
    }

    /// # Safety
    /// On the thread that has made it, which does nothing else with the frame meanwhile.
    pub(crate) unsafe fn call(&self) -> c_int {
        // SAFETY: the caller's, and the maker's.
        unsafe { (self.run)(self.frame.cast(), ptr::null_mut(), 0, 0, FRAME, 0) }
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
