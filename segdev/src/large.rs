//! Ranges that a fault loads beyond what was accessed: the large pages that a device mapping may use, and the platform's block ([`Platform::LOADS_AROUND`]).

use crate::handle::Hold;
use crate::object::View;
use crate::platform::Platform;
use crate::state::Shape;
use crate::types::{PAGE_SHIFT, SetupFlags};

impl<P: Platform> Hold<'_, P> {
    /// Chooses the largest page size (by index) that the handle may use: it is long enough for one, and its user address is congruent
    /// to its physical one. (At setup there is no user address yet and the physical one must be aligned.)
    #[inline(always)]
    pub(crate) fn choose_level(&mut self, sizes: &[u64]) {
        if sizes.len() > 1 || self.terms.level > 0 {
            self.choose_among(sizes);
        }
    }

    #[inline(never)]
    fn choose_among(&mut self, sizes: &[u64]) {
        self.terms.level = match self.object.view() {
            View::Devmem(pfn) if !self.terms.flags.contains(SetupFlags::USE_PAGESIZE) => {
                let addr = if self.shape().contains(Shape::UNPLACED) { 0 } else { self.addr() };
                let skew = addr ^ (pfn << PAGE_SHIFT);
                let fits = |size: u64| self.len() >= size && skew & (size - 1) == 0;
                sizes.iter().skip(1).rposition(|size| fits(*size)).map_or(0, |level| level as u8 + 1)
            }
            _ => 0,
        };
        let large = self.terms.level > 0;
        self.mark(Shape::LARGE, large);
    }
}

impl<P: Platform> Hold<'_, P> {
    /// The range `[start, start + len)` within the handle, extended as [`Platform::LOADS_AROUND`] says.
    #[inline(always)]
    pub(crate) fn around(&self, start: u64, len: u64) -> (u64, u64) {
        if P::LOADS_AROUND == 0 {
            return (start, len);
        }
        let last = P::LOADS_AROUND - 1;
        let (addr, end) = (self.addr(), self.addr() + self.len());
        let from = ((addr + start) & !last).max(addr);
        let to = ((addr + start + len - 1) | last).min(end - 1) + 1;
        (from - addr, to - from)
    }

    /// The range `[start, start + len)` within the handle, extended to the whole large pages at its two ends, as far as
    /// those lie within the handle. Page-wise protections rule large pages out.
    #[inline]
    pub(crate) fn widen(&self, sizes: &[u64], start: u64, len: u64) -> (u64, u64) {
        if self.terms.level == 0 || self.paged() {
            return (start, len);
        }
        self.widen_large(sizes, start, len)
    }

    fn widen_large(&self, sizes: &[u64], start: u64, len: u64) -> (u64, u64) {
        let View::Devmem(pfn) = self.object.view() else { return (start, len) };
        let base = pfn << PAGE_SHIFT;
        // The large page that holds the byte at `at`, as offsets within the handle.
        let page_at = |at: u64| {
            for &size in sizes.iter().take(1 + self.terms.level as usize).skip(1).rev() {
                let first = (base + at) & !(size - 1);
                let va = self.addr().wrapping_add(first.wrapping_sub(base));
                if first >= base && first + size <= base + self.len() && va & (size - 1) == 0 {
                    return (first - base, first - base + size);
                }
            }
            (at, at + 1)
        };
        let end = start + len;
        let from = page_at(start).0.min(start);
        let to = page_at(end - 1).1.max(end);
        (from, to - from)
    }
}
