//! Pages: the kernel's page size, which is a variable for a driver, and rounding to it.
//!
//! Arithmetic: in any context, whatever locks are held.

use ddi_sys as sys;

/// Returns the page size in bytes, a power of two.
pub fn size() -> usize {
    // SAFETY: set before any driver is loaded, and never changed.
    let size = unsafe { sys::_pagesize };
    size as usize
}

/// Returns `len` rounded up to pages, or None if that overflows.
pub fn round_up(len: usize) -> Option<usize> {
    len.checked_next_multiple_of(size())
}

/// Returns whether this is a multiple of the page size.
pub fn aligned(offset: u64) -> bool {
    offset.is_multiple_of(size() as u64)
}
