//! [`Links`]: a mapping's place in the lists of its [instance](crate::mapped). Locking: the instance's.

use crate::atomic::AtomicPtr;

/// A mapping's neighbours in a list of its instance; changed with the list's lock held.
pub(crate) struct Links {
    pub(crate) next: AtomicPtr<Links>,
    /// Of an early mapping: the mmap(2) under way that has set it up, a [`Call`](crate::calls::Call); when that is over, its [number](crate::call::Call::number), twice and one.
    pub(crate) before: AtomicPtr<Links>,
}

impl Links {
    #[inline(always)]
    pub(crate) fn new(next: *mut Links, before: *mut Links) -> Links {
        Links { next: AtomicPtr::new(next), before: AtomicPtr::new(before) }
    }
}

/// A mapping's list.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Place {
    /// None.
    Nowhere,
    /// The early ones.
    Early,
    /// The ring.
    Ring,
    /// The ring, and an engine serves it alone, or has.
    Alone,
}
