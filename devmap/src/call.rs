//! An mmap(2) under way, as its mappings' [instance](crate::mapped::Mapped), an `I` here, and [`Calls`](crate::calls::Calls) see it. No locks but theirs.

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;

use crate::atomic::AtomicBool;
use crate::protection::Terms;

/// An mmap(2) under way: between segmap(9E)'s beginning and end, on one thread.
pub(crate) struct Call<I> {
    pub(crate) terms: Terms,
    /// The instance whose mappings it sets up.
    instance: Cell<*const I>,
    /// Number of mappings that were set up, less those that their map callbacks have found.
    early: Cell<u32>,
    /// Whether another callback has found one before its map callback. Set with the lock of the instance's mappings held.
    found: AtomicBool,
}

impl<I> Call<I> {
    #[inline(always)]
    pub(crate) fn new(terms: Terms) -> Call<I> {
        Call { terms, instance: Cell::new(ptr::null()), early: Cell::new(0), found: AtomicBool::new(false) }
    }

    pub(crate) fn found(&self) {
        self.found.store(true, Relaxed);
    }

    #[inline]
    pub(crate) fn has_found(&self) -> bool {
        self.found.load(Relaxed)
    }

    /// Returns whether each mapping has been found by its map callback.
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.early.get() == 0
    }

    /// A mapping of this instance was set up.
    #[inline(always)]
    pub(crate) fn prepare(&self, instance: &I) {
        self.early.set(self.early.get() + 1);
        self.instance.set(instance);
    }

    #[inline]
    pub(crate) fn mapped(&self) {
        self.early.set(self.early.get().wrapping_sub(1));
    }

    /// The mappings of the instance, if one was set up.
    ///
    /// # Safety
    /// The call has not left.
    pub(crate) unsafe fn instance(&self) -> Option<&I> {
        // SAFETY: null, or from `prepare`, of an instance that stays attached while an mmap(2) of it is under way.
        unsafe { self.instance.get().as_ref() }
    }
}
