//! Pages: the kernel's page size, which is a variable for a driver, and rounding to it.
//!
//! Arithmetic: in any context, whatever locks are held.

use ddi_sys as sys;

/// Returns the page size in bytes, a power of two.
#[inline]
pub fn size() -> usize {
    // SAFETY: set before any driver is loaded, and never changed.
    let size = unsafe { sys::_pagesize };
    size as usize
}

/// Returns the bits of an offset within a page.
#[inline]
fn mask() -> usize {
    size().wrapping_sub(1)
}

/// Returns `len` rounded up to pages, or None if that overflows.
#[inline]
pub fn round_up(len: usize) -> Option<usize> {
    Some(len.checked_add(mask())? & !mask())
}

/// Returns `len` rounded up to pages, and the sum that was rounded down for that: if both `len` and that are below 2^63, nothing has wrapped.
#[inline]
pub(crate) fn rounded_up(len: usize) -> (usize, usize) {
    let within = len.wrapping_add(mask());
    (within & !mask(), within)
}

/// Returns whether this is a multiple of the page size.
#[inline]
pub fn aligned(offset: u64) -> bool {
    offset & mask() as u64 == 0
}
