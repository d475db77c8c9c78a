//! Translations: loading, unloading and locking them, for drivers and for faults.
//!
//! Context: `load` and `default_access` in user context of the process that owns the handle, with its space locked (so from an
//! access callback); `unload` from anywhere but interrupt. All take the handle's lock only, and call the platform with
//! it held, so that a load and an unload, remap or unmap of the same handle happen one after the other.

use alloc::sync::Arc;

use crate::framework::Framework;
use crate::handle::{Handle, Hold};
use crate::locked::Changed;
use crate::object::View;
use crate::platform::{Access, Platform, Run, Umem, UmemKind};
use crate::shared::Turns;
use crate::state::Shape;
use crate::types::{
    FaultCode, FaultType, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Pfn, Prot, Rw, SetupFlags, page_ceil, page_floor,
    wanted,
};

impl<P: Platform> Hold<'_, P> {
    /// The range that a driver's user offset and length mean, as an offset within the handle and a length.
    #[inline(always)]
    fn driver_range(&self, off: u64, len: u64) -> Result<(u64, u64), FaultCode> {
        let start = match off.checked_sub(self.off()) {
            Some(start) if start < self.len() => page_floor(start),
            _ => return Err(FaultCode::EINVAL),
        };
        let room = self.len() - start;
        match page_ceil(len) {
            Some(0) => Ok((start, room)),
            Some(len) if len <= room => Ok((start, len)),
            _ => Err(FaultCode::EINVAL),
        }
    }

    /// What the first page of `[start, start + len)` may be loaded with, and how many bytes of it may be so.
    #[inline]
    fn run_of_prot(&self, start: u64, len: u64) -> (Prot, u64) {
        let Some(pages) = self.pages() else { return (self.terms.prots.most(), len) };
        let first = (start >> PAGE_SHIFT) as usize;
        let mut pages = pages.iter().skip(first);
        let prot = pages.next().copied().unwrap_or_default();
        let same = 1 + pages.take_while(|p| **p == prot).count();
        (prot & self.terms.prots.max, len.min((same as u64) << PAGE_SHIFT))
    }

    /// Loads `[start, start + len)` (within the handle, whole pages). With `lock`, counts a lock on every page, or, on
    /// failure, on none.
    #[inline(never)]
    pub(crate) fn load_range(
        &self,
        platform: &P,
        space: &P::Space,
        start: u64,
        len: u64,
        rw: Rw,
        lock: bool,
    ) -> FaultCode {
        if !self.differ() && self.load_at_once(platform, space, start, len, rw, lock) {
            return FaultCode::OK;
        }
        self.load_piecewise(platform, space, (start, len), rw, lock)
    }

    /// Loads the usual case in one go: all pages are alike, their protection allows the access, and they are one contiguous run. False if
    /// they are not.
    #[inline(always)]
    pub(crate) fn load_at_once(
        &self,
        platform: &P,
        space: &P::Space,
        start: u64,
        len: u64,
        rw: Rw,
        lock: bool,
    ) -> bool {
        let prot = self.terms.prots.most();
        if !prot.intersects(wanted(rw)) {
            return false;
        }
        let (pfn, device, page_size) = match self.object.view() {
            View::Devmem(pfn) => (pfn + (start >> PAGE_SHIFT), true, self.page_size(platform, pfn)),
            View::Umem(umem, koff) if umem.kind() != UmemKind::Pageable => {
                match umem.run(koff + start, len) {
                    Some((pfn, got)) if got == len => (pfn, false, PAGE_SIZE),
                    _ => return false,
                }
            }
            _ => return false,
        };
        let run = Run { len, pfn, prot, attr: self.terms.attr, lock, device, page_size };
        platform.load(space, self.addr() + start, run);
        true
    }

    /// Checks the first page before anything is done for the range, then loads what there is.
    #[inline(never)]
    fn load_piecewise(
        &self,
        platform: &P,
        space: &P::Space,
        range: (u64, u64),
        rw: Rw,
        lock: bool,
    ) -> FaultCode {
        let (prot, _) = self.run_of_prot(range.0, range.1);
        if !prot.intersects(wanted(rw)) {
            return FaultCode::PROT;
        }
        if self.terms.flags.contains(SetupFlags::MAPPING_INVALID) {
            return if self.paged() { FaultCode::EFAULT } else { FaultCode::NOMAP };
        }
        match self.object.view() {
            View::Umem(umem, _) if umem.kind() == UmemKind::Pageable => {
                self.load_pageable(platform, space, range, rw, lock)
            }
            _ => self.load_runs(platform, space, range, rw, lock),
        }
    }

    /// The page size to load device memory with.
    #[inline]
    fn page_size(&self, platform: &P, pfn: Pfn) -> u64 {
        if self.terms.level == 0 || self.paged() {
            return PAGE_SIZE;
        }
        let Some(&size) = platform.page_sizes().get(self.terms.level as usize) else { return PAGE_SIZE };
        let skew = self.addr() ^ (pfn << PAGE_SHIFT);
        if skew & (size - 1) == 0 { size } else { PAGE_SIZE }
    }

    /// Loads pageable memory: its pages stay locked if the translations do.
    fn load_pageable(
        &self,
        platform: &P,
        space: &P::Space,
        (start, len): (u64, u64),
        rw: Rw,
        lock: bool,
    ) -> FaultCode {
        let View::Umem(umem, koff) = self.object.view() else { return FaultCode::NOMAP };
        let koff = koff + start;
        if !umem.lock_pages(koff, len) {
            return FaultCode::EFAULT;
        }
        let rc = self.load_runs(platform, space, (start, len), rw, lock);
        if !lock || !rc.is_ok() {
            umem.unlock_pages(koff, len);
        }
        rc
    }

    /// Loads run by run, each of one protection and physically contiguous, up to the first page that cannot be loaded.
    fn load_runs(
        &self,
        platform: &P,
        space: &P::Space,
        (start, len): (u64, u64),
        rw: Rw,
        lock: bool,
    ) -> FaultCode {
        let end = start + len;
        let mut at = start;
        let rc = loop {
            if at == end {
                break FaultCode::OK;
            }
            let (prot, same) = self.run_of_prot(at, end - at);
            let source = self.source(at, same);
            let (prot, same) = (prot & source.maxprot, source.len);
            if !prot.intersects(wanted(rw)) {
                break FaultCode::PROT;
            }
            let (pfn, len) = match source.object.view() {
                View::Devmem(pfn) => (pfn + (source.at >> PAGE_SHIFT), same),
                View::Umem(umem, koff) => match umem.run(koff + source.at, same) {
                    Some((pfn, len)) if len > 0 && len & PAGE_MASK == 0 => (pfn, len.min(same)),
                    _ => break FaultCode::EFAULT,
                },
                View::None => break FaultCode::NOMAP,
            };
            let device = matches!(source.object.view(), View::Devmem(_));
            let run = Run { len, pfn, prot, attr: source.attr, lock, device, page_size: PAGE_SIZE };
            platform.load(space, self.addr() + at, run);
            at += len;
        };
        if lock && !rc.is_ok() && at > start {
            platform.unlock(space, self.addr() + start, at - start);
        }
        rc
    }
}

impl<P: Platform> Hold<'_, P> {
    /// Loads, locks or unlocks `[start, start + len)` as the type of fault says. Locks that changed are added to `changed`.
    pub(crate) fn serve_range(
        &mut self,
        platform: &P,
        space: &P::Space,
        (start, len): (u64, u64),
        ty: FaultType,
        rw: Rw,
        changed: &mut Changed,
    ) -> FaultCode {
        match ty {
            FaultType::Inval => self.load_range(platform, space, start, len, rw, false),
            FaultType::Prot => FaultCode::PROT,
            FaultType::Softlock => {
                if self.terms.flags.contains(SetupFlags::ALLOW_REMAP) {
                    return FaultCode::NOSUPPORT;
                }
                self.lock_range(platform, space, (start, len), rw, changed)
            }
            FaultType::Softunlock => self.unlock_range(platform, space, (start, len), changed),
        }
    }
}

impl<P: Platform> Framework<P> {
    /// `devmap_load(9F)`: loads the pages of `[off, off + len)` (user offsets; length 0 for all from `off` on), with the type and
    /// access of the fault that is being served. A type of softlock or softunlock counts or takes away locks.
    ///
    /// Answers 0, `FC_PROT` when the protections forbid the access, `FC_NOMAP` or `FC_MAKE_ERR(EFAULT)` when there is
    /// nothing to load, `FC_MAKE_ERR(EINVAL)` for a range that is not within the handle, a space that the caller has not
    /// locked, an unlock of pages without a lock, or a dead handle.
    pub fn load(&self, handle: &Handle<P>, off: u64, len: u64, ty: FaultType, rw: Rw) -> FaultCode {
        if ty == FaultType::Inval && self.load_usual(handle, off, len, rw) {
            return FaultCode::OK;
        }
        self.load_any(handle, off, len, ty, rw)
    }

    /// As [`Framework::load`] for an ordinary access, to pages that are all alike. False for any other, of which nothing is loaded then.
    #[inline(always)]
    pub fn load_usual(&self, handle: &Handle<P>, off: u64, len: u64, rw: Rw) -> bool {
        if !self.platform.holds(handle.space()) {
            return false;
        }
        let st = handle.lock();
        if !st.shape().intersects(Shape::NO_PLAIN_LOAD)
            && let Ok((start, len)) = st.driver_range(off, len)
            && st.load_at_once(&self.platform, handle.space(), start, len, rw, false)
        {
            drop(st);
            return true;
        }
        st.unlock_unusual();
        false
    }

    /// As [`Framework::load`], without a look at what is usual.
    #[cold]
    #[inline(never)]
    pub fn load_any(&self, handle: &Handle<P>, off: u64, len: u64, ty: FaultType, rw: Rw) -> FaultCode {
        if !self.platform.holds(handle.space()) {
            return FaultCode::EINVAL;
        }
        let st = handle.lock();
        if st.shape().intersects(Shape::NOT_SET_UP | Shape::UNPLACED) {
            return FaultCode::EINVAL;
        }
        match st.driver_range(off, len) {
            Ok((start, len)) if ty == FaultType::Inval => {
                st.load_range(&self.platform, handle.space(), start, len, rw, false)
            }
            Ok(range) => self.load_and_count(handle, st, range, ty, rw),
            Err(rc) => rc,
        }
    }

    /// A load of another type: one that changes locks tells the softlock.
    #[inline(never)]
    fn load_and_count(
        &self,
        handle: &Handle<P>,
        mut st: Hold<'_, P>,
        range: (u64, u64),
        ty: FaultType,
        rw: Rw,
    ) -> FaultCode {
        let mut changed = Changed::new();
        let rc = st.serve_range(&self.platform, handle.space(), range, ty, rw, &mut changed);
        if !changed.is_empty() {
            let first = st.off() >> PAGE_SHIFT;
            drop(st);
            self.tell_softlock(handle, first, &changed, ty == FaultType::Softlock);
        }
        rc
    }

    /// `devmap_unload(9F)`: drops the translations of `[off, off + len)` (user offsets; length 0 for all from `off` on), so that the
    /// next access calls the access callback. Works on the handles of any process. A handle that may use large pages loses all.
    ///
    /// Answers 0, or `FC_MAKE_ERR(EINVAL)` for a range that is not within the handle, or a dead handle.
    #[inline(always)]
    pub fn unload(&self, handle: &Handle<P>, off: u64, len: u64) -> FaultCode {
        // All of it, mostly. What is cut off the front meanwhile is unloaded when it is cut.
        if (off ^ handle.off()) | len == 0 {
            let st = handle.lock();
            if !st.shape().intersects(Shape::NO_PLAIN_LOAD) {
                self.platform.unload(handle.space(), st.addr(), st.len(), false);
                drop(st);
                return FaultCode::OK;
            }
            st.unlock_unusual();
            return self.unload_any(handle, handle.off(), 0);
        }
        self.unload_any(handle, off, len)
    }

    /// As [`Framework::unload`], without a look at what is usual.
    #[cold]
    #[inline(never)]
    fn unload_any(&self, handle: &Handle<P>, off: u64, len: u64) -> FaultCode {
        let st = handle.lock();
        if st.shape().intersects(Shape::NEW | Shape::UNPLACED) || handle.is_dead() {
            return FaultCode::EINVAL;
        }
        let (start, len) = match st.driver_range(off, len) {
            Ok(range) if st.terms.level == 0 => range,
            Ok(_) => (0, st.len()),
            Err(rc) => return rc,
        };
        // A handle that is dying has none.
        if !st.shape().contains(Shape::DYING) {
            self.platform.unload(handle.space(), st.addr() + start, len, st.softlocked());
        }
        FaultCode::OK
    }

    /// `devmap_default_access(9F)`: what an access callback calls that wants nothing special: loads the range.
    pub fn default_access(&self, handle: &Arc<Handle<P>>, pvt: usize, range: Access) -> FaultCode {
        let _ = pvt;
        self.load(handle, range.off, range.len, range.ty, range.rw)
    }

    /// Tells the softlock which of the handle's pages (index ranges; its first page has device page `first`) changed.
    pub(crate) fn tell_softlock(&self, handle: &Handle<P>, first: u64, changed: &Changed, locked: bool) {
        if let Some(Turns { softlock, .. }) = handle.turns() {
            let pages = changed.iter().flat_map(|&(a, b)| first + a as u64..first + b as u64);
            softlock.count(&self.platform, handle.space(), pages, if locked { 1 } else { -1 });
        }
    }
}
