//! Routines of threads that are inside `devmap_do_ctxmgt(9F)`: see [`Fault::switch_context`](crate::Fault::switch_context).

use ddi_sys as sys;

/// Returns the identity of the calling thread.
pub(crate) fn this_thread() -> sys::kt_did_t {
    // SAFETY: reads the identity of the calling thread.
    unsafe { sys::ddi_get_kt_did() }
}

/// A routine waiting to be called by `devmap_do_ctxmgt(9F)` for the thread that asked for it.
pub(crate) struct Frame {
    pub thread: sys::kt_did_t,
    pub routine: *mut (dyn FnMut() + 'static),
}

// SAFETY: the pointer is used by the thread that made it only, see `fault::run`.
unsafe impl Send for Frame {}
