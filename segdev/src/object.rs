//! The object that a handle maps. No lock of its own: part of the handle's state.

use crate::platform::Platform;
use crate::types::Pfn;

/// The object that a handle maps, in one word. Copying does not look at its kind.
pub(crate) struct Object<P: Platform> {
    /// Kernel memory, if it is that.
    umem: Option<P::Umem>,
    /// The offset in kernel memory, or the physical address of device memory: a multiple of a page. Odd if it is nothing.
    at: u64,
}

/// The object that a handle maps, by kind.
pub(crate) enum View<'a, P: Platform> {
    /// Nothing yet, or set up as invalid.
    None,
    /// Device memory from this page frame on.
    Devmem(Pfn),
    /// Kernel memory from this offset on.
    Umem(&'a P::Umem, u64),
}

/// Value for no object: odd, as no object's address is.
pub(crate) const NOWHERE: u64 = 1;

impl<P: Platform> Object<P> {
    /// Nothing.
    pub(crate) const NONE: Self = Self { umem: None, at: NOWHERE };

    /// Device memory from this page frame on.
    #[inline(always)]
    pub(crate) fn devmem(pfn: Pfn) -> Self {
        Self { umem: None, at: pfn << crate::PAGE_SHIFT }
    }

    /// Kernel memory from this offset on.
    #[inline(always)]
    pub(crate) fn umem(umem: P::Umem, off: u64) -> Self {
        Self { umem: Some(umem), at: off }
    }

    #[inline(always)]
    pub(crate) fn view(&self) -> View<'_, P> {
        match &self.umem {
            Some(umem) => View::Umem(umem, self.at),
            None if self.at & NOWHERE != 0 => View::None,
            None => View::Devmem(self.at >> crate::PAGE_SHIFT),
        }
    }

    /// Takes away what it holds, to be dropped; what is left is nothing.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> Self {
        self.at = NOWHERE;
        Self { umem: self.umem.take(), at: NOWHERE }
    }

    /// Whether it is kernel memory.
    #[inline(always)]
    pub(crate) fn is_umem(&self) -> bool {
        self.umem.is_some()
    }

    /// The same memory, `by` bytes further on, whole pages.
    #[inline(always)]
    pub(crate) fn advanced(&self, by: u64) -> Self {
        Self { umem: self.umem.clone(), at: self.at + by }
    }
}
