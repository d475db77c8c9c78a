//! An mmap(2) under way, as its mappings' [instance](crate::mapped::Mapped), an `I` here, and [`Calls`](crate::calls::Calls) see it. No locks but theirs.

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;

use crate::atomic::AtomicU32;
use crate::protection::Terms;

/// An mmap(2) under way: between segmap(9E)'s beginning and end, on one thread.
pub(crate) struct Call<I> {
    pub(crate) terms: Terms,
    /// The instance whose mappings it sets up.
    instance: Cell<*const I>,
    /// Number of mappings that were set up, less those that their map callbacks have found, and [`FOUND`]. Changed with the lock of the instance's mappings held.
    early: AtomicU32,
    /// The number, in the module, of the mapping that was set up last. Written before that is in a list.
    number: AtomicU32,
}

/// Another callback has found one before its map callback.
const FOUND: u32 = 1 << 31;

impl<I> Call<I> {
    #[inline(always)]
    pub(crate) fn new(terms: Terms) -> Call<I> {
        Call { terms, instance: Cell::new(ptr::null()), early: AtomicU32::new(0), number: AtomicU32::new(0) }
    }

    #[inline(always)]
    fn change(&self, early: u32) {
        self.early.store(early, Relaxed);
    }

    /// With the lock held.
    pub(crate) fn found(&self) {
        self.change(self.early.load(Relaxed) | FOUND);
    }

    /// With the lock held.
    #[inline]
    pub(crate) fn has_found(&self) -> bool {
        self.early.load(Relaxed) & FOUND != 0
    }

    /// Returns whether each mapping has been found by its map callback.
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.early.load(Relaxed) == 0
    }

    /// A mapping of this instance was set up, as the `number`th of the module; with the lock held.
    #[inline(always)]
    pub(crate) fn prepare(&self, instance: &I, number: u32) {
        self.number.store(number, Relaxed);
        self.change(self.early.load(Relaxed).wrapping_add(1));
        self.instance.set(instance);
    }

    /// Returns the number of the mapping that was set up last: a mapping that another mmap(2) sets up when this one has failed has a later one.
    pub(crate) fn number(&self) -> u32 {
        self.number.load(Relaxed)
    }

    /// With the lock held.
    #[inline]
    pub(crate) fn mapped(&self) {
        self.change(self.early.load(Relaxed).wrapping_sub(1));
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
