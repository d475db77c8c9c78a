//! Routines of threads that are inside `devmap_do_ctxmgt(9F)`: see [`Fault::switch_context`](crate::Fault::switch_context).
//!
//! A routine lies on its thread's stack, and is found by its thread ([`threads`](crate::threads)) for as long as that is inside. No locks.

/// A routine waiting to be called by `devmap_do_ctxmgt(9F)` for the thread that asked for it.
pub(crate) struct Routine(*mut (dyn FnMut() + 'static));

impl Routine {
    /// # Safety
    /// The result goes before the routine.
    pub(crate) unsafe fn new(routine: &mut dyn FnMut()) -> Routine {
        let routine: *mut dyn FnMut() = routine;
        // SAFETY: only the lifetime changes, which the caller vouches for.
        Routine(unsafe { core::mem::transmute::<*mut dyn FnMut(), *mut (dyn FnMut() + 'static)>(routine) })
    }

    /// # Safety
    /// On the thread that has made it, which does nothing else with it meanwhile.
    pub(crate) unsafe fn call(&self) {
        // SAFETY: the caller's.
        let routine = unsafe { &mut *self.0 };
        routine();
    }
}
