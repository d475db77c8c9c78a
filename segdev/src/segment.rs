//! A segment: one mapping of one device in one address space, as an ordered, gapless list of handles.
//!
//! Locking: a segment has no lock of its own. Its address space's lock is held as reader for faults and queries, and as writer
//! (or the segment is not in the space) for everything that takes it mutably.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU64;
use core::sync::atomic::Ordering::Relaxed;

use crate::fault::{Asked, Progress};
use crate::framework::Framework;
use crate::handle::Handle;
use crate::list;
use crate::object::{NOWHERE, Object};
use crate::platform::{Callbacks as _, Device, Platform};
use crate::state::{Shape, Terms};
use crate::types::{Errno, FaultCode, FaultType, MapFlags, PAGE_SHIFT, PAGE_SIZE, Prot, Rw, page_ceil};

/// Mappings at least this long get an address congruent to their object's modulo this, so that large pages are possible.
const LARGE_ALIGN: u64 = 2 << 20;

/// Room that is made at once for handles that are as long as the first.
const MOST_ALIKE: u64 = 4096;

/// How often a softunlock sleeps that cannot begin again.
pub const PATIENCE: u32 = 1000;

/// One mapping of one device. What has one handle is in that handle, and takes no memory of its own.
pub enum Segment<P: Platform> {
    /// A mapping of one handle.
    One(Arc<Handle<P>>),
    /// A mapping that has, or has had, several.
    Many(Arc<Many<P>>),
}

/// A mapping of several handles.
pub struct Many<P: Platform> {
    pub(crate) base: u64,
    pub(crate) len: u64,
    pub(crate) off: u64,
    pub(crate) space: P::Space,
    pub(crate) device: P::Device,
    pub(crate) flags: MapFlags,
    pub(crate) list: List<P>,
    pub(crate) data: P::SegmentData,
}

/// Handles in the order of their addresses.
pub(crate) type List<P> = Vec<Arc<Handle<P>>>;

/// What is to be mapped.
pub struct MapRequest<'a, P: Platform> {
    /// The device.
    pub device: &'a P::Device,
    /// User offset, a page multiple.
    pub off: u64,
    /// Bytes, as the process asked for them: the driver is told this number. What is mapped are whole pages ([`MapRequest::whole`]).
    pub len: u64,
    /// The protection.
    pub prot: Prot,
    /// The largest protection that mprotect may ever grant.
    pub maxprot: Prot,
    /// `MAP_*`; given to the map callback as it is.
    pub flags: MapFlags,
    /// The caller's data model, for `devmap(9E)`.
    pub model: u32,
}

impl<P: Platform> Clone for MapRequest<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Platform> Copy for MapRequest<'_, P> {}

impl<P: Platform> MapRequest<'_, P> {
    /// The length of the mapping in bytes: `len` rounded up to pages. `None` for 0, and for a range that ends beyond 2^64.
    pub fn whole(&self) -> Option<u64> {
        page_ceil(self.len).filter(|len| *len > 0 && self.off.checked_add(*len).is_some())
    }
}

impl Congruence {
    /// For a mapping of so many bytes that agrees with what this handle, not placed yet, maps `at` bytes behind its start.
    /// One that maps nothing has no address to agree with.
    #[inline(always)]
    fn with<P: Platform>(handle: &Handle<P>, at: u64, len: u64) -> Self {
        let addr = handle.addr();
        let address = if addr & NOWHERE != 0 { 0 } else { addr.wrapping_sub(at) };
        let modulus = if len >= LARGE_ALIGN { LARGE_ALIGN } else { PAGE_SIZE };
        Self { offset: address & (modulus - 1), modulus }
    }
}

/// Where a mapping would like to be: see [`Framework::setup`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Congruence {
    /// The address is to be congruent to this…
    pub offset: u64,
    /// … modulo this power of two.
    pub modulus: u64,
}

impl<P: Platform> Framework<P> {
    /// `devmap_setup(9F)`: asks the driver to set up handles for the whole length, has `place` choose an address (and
    /// replace what is there, for a fixed one), and calls the map callbacks. The segment is the caller's to put into its address space.
    ///
    /// Called without locks, in the context of the process.
    ///
    /// # Errors
    /// `EINVAL`: the driver cannot be mapped, a length that it reports is not a page multiple or not what was set up, a private mapping
    /// without access callback. `ENXIO`: the driver refused, in `devmap(9E)` or a map callback. `ENOTSUP`: two access callbacks in one mapping.
    /// Else what `place` answered. Nothing is left on failure; `unplace` is called when the address is no longer needed.
    #[inline(always)]
    pub fn setup(
        &self,
        space: &P::Space,
        req: &MapRequest<'_, P>,
        place: impl FnOnce(Congruence) -> Result<u64, Errno>,
        unplace: impl FnOnce(u64),
    ) -> Result<Segment<P>, Errno> {
        let whole = req.whole().ok_or(Errno::EINVAL)?;
        let entry = req.device.entry().ok_or(Errno::EINVAL)?;
        let mapping = self.new_mapping();
        let terms = Terms::new(req.prot, req.maxprot);
        let (handle, len) = self.make_handle(space, req.device, req, entry, (mapping, terms), (0, whole))?;
        if len < whole {
            return self.setup_many(space, *req, entry, mapping, handle, place, unplace);
        }
        let base = match place(Congruence::with(&handle, 0, whole)) {
            Ok(base) => base,
            Err(e) => {
                self.free_handle(&handle);
                return Err(e);
            }
        };
        handle.lock().place(base);
        Segment::changed(&self.platform, &handle);
        if self.call_map(&handle, req.off, whole).is_err() {
            self.abandon(&handle);
            unplace(base);
            return Err(Errno::ENXIO);
        }
        self.ones.fetch_add(1, Relaxed);
        Ok(Segment::One(handle))
    }

    /// The same when the first handle is not all of it.
    #[inline(never)]
    #[allow(clippy::too_many_arguments)]
    fn setup_many(
        &self,
        space: &P::Space,
        req: MapRequest<'_, P>,
        entry: <P::Device as Device<P>>::Entry,
        mapping: NonZeroU64,
        first: Arc<Handle<P>>,
        place: impl FnOnce(Congruence) -> Result<u64, Errno>,
        unplace: impl FnOnce(u64),
    ) -> Result<Segment<P>, Errno> {
        let whole = req.whole().ok_or(Errno::EINVAL)?;
        let (list, congruence) = self.make_more(space, &req, entry, mapping, first)?;
        let base = match place(congruence) {
            Ok(base) => base,
            Err(e) => {
                list.iter().for_each(|handle| self.free_handle(handle));
                return Err(e);
            }
        };
        let mut addr = base;
        for handle in &list {
            let handle: &Handle<P> = handle;
            handle.lock().place(addr);
            addr += handle.len();
        }
        let segment = Segment::Many(Arc::new(Many {
            base,
            len: whole,
            off: req.off,
            space: space.clone(),
            device: req.device.clone(),
            flags: req.flags,
            list,
            data: P::SegmentData::default(),
        }));
        self.platform.segment_changed(&segment, 0);
        if let Segment::Many(many) = &segment
            && self.call_map_many(many).is_err()
        {
            unplace(base);
            return Err(Errno::ENXIO);
        }
        segment.count(self, 1);
        Ok(segment)
    }

    /// Calls the driver to set up a handle of `to`, the device of the request, for the range from `done` on.
    #[inline(always)]
    fn make_handle(
        &self,
        space: &P::Space,
        to: &P::Device,
        req: &MapRequest<'_, P>,
        entry: <P::Device as Device<P>>::Entry,
        (mapping, terms): (NonZeroU64, Terms),
        (done, whole): (u64, u64),
    ) -> Result<(Arc<Handle<P>>, u64), Errno> {
        // The last page may be asked for in part.
        let (off, left) = (req.off + done, req.len - done);
        let (space, device) = (space.clone(), to.clone());
        let handle = Handle::unset(space, device, req.flags, mapping, off, terms);
        let (ret, len) = to.devmap(entry, self, &handle, off, left, req.model);
        // What it is set up for, in whole pages; nothing if it is not set up.
        let set_up = handle.len();
        let wrong = if ret != 0 {
            Errno::ENXIO
        } else if len == 0
            || len != set_up
            || len > whole - done
            || req.flags & MapFlags::TYPE == MapFlags::PRIVATE && !handle.shape().contains(Shape::ACCESS)
        {
            Errno::EINVAL
        } else {
            return Ok((handle, len));
        };
        self.free_handle(&handle);
        Err(wrong)
    }

    /// Calls the driver to set up handles behind the first one, until the length is covered. Returns all of
    /// them; the last of several longest ones decides about the address.
    #[inline(never)]
    fn make_more(
        &self,
        space: &P::Space,
        req: &MapRequest<'_, P>,
        entry: <P::Device as Device<P>>::Entry,
        mapping: NonZeroU64,
        first: Arc<Handle<P>>,
    ) -> Result<(List<P>, Congruence), Errno> {
        let whole = req.whole().ok_or(Errno::EINVAL)?;
        let terms = Terms::new(req.prot, req.maxprot);
        // The request may change with each call, as far as the compiler knows; this does not.
        let device = req.device.clone();
        let mut done = first.len();
        let mut longest = done;
        let mut list = Vec::new();
        let what = |handle: &Handle<P>| handle.shared().map_or(core::ptr::null(), core::ptr::from_ref);
        let mut last = what(&first);
        // Handles are mostly alike.
        let alike = whole.checked_div(done).unwrap_or(0).min(MOST_ALIKE) as usize;
        if !list::reserve_exact(&mut list, alike) {
            self.free_handle(&first);
            return Err(Errno::ENOMEM);
        }
        let _ = list::push_within(&mut list, first);
        let wrong = loop {
            if done >= whole {
                let Some(longest) = list.iter().rev().find(|handle| handle.len() == longest) else {
                    break Errno::EINVAL;
                };
                let congruence = Congruence::with(longest, longest.off() - req.off, whole);
                return Ok((list, congruence));
            }
            let (handle, len) =
                match self.make_handle(space, &device, req, entry, (mapping, terms), (done, whole)) {
                    Ok(made) => made,
                    Err(e) => break e,
                };
            longest = longest.max(len);
            // All handles of a mapping share one softlock.
            let mine = what(&handle);
            let other = mine != last && !Self::same_softlock(&list, &handle);
            last = mine;
            if let Err(handle) = list::push_within(&mut list, handle) {
                self.free_handle(&handle);
                break Errno::ENOMEM;
            }
            if other {
                break Errno::ENOTSUP;
            }
            done += len;
        };
        list.iter().for_each(|handle| self.free_handle(handle));
        Err(wrong)
    }

    /// Whether the access callback of a handle, if it has one, is that of those in the list which have one.
    #[cold]
    #[inline(never)]
    fn same_softlock(list: &List<P>, handle: &Handle<P>) -> bool {
        let access = |handle: &Handle<P>| {
            let shared = handle.shared().filter(|shared| shared.turns.is_some());
            shared.map(|shared| shared.callbacks.access_id())
        };
        let Some(mine) = access(handle) else { return true };
        list.iter().rev().find_map(|other| access(other)).is_none_or(|common| common == mine)
    }

    /// Calls the map callback of a handle.
    #[inline(always)]
    fn call_map(&self, handle: &Arc<Handle<P>>, off: u64, len: u64) -> Result<(), ()> {
        let this: &Handle<P> = handle;
        let Some(shared) = this.shared() else { return Ok(()) };
        let callbacks = &shared.callbacks;
        if !callbacks.entries().map {
            return Ok(());
        }
        let mut pvt = this.pvt();
        let flags = this.map_flags().bits();
        let ret = callbacks.map(self, handle, this.device(), flags, off, len, &mut pvt);
        this.set_private(pvt);
        if ret == 0 { Ok(()) } else { Err(()) }
    }

    /// Calls the map callbacks in order. When one fails, unmaps those before it and frees all.
    fn call_map_many(&self, many: &Many<P>) -> Result<(), ()> {
        let mut left = many.list.iter();
        while let Some(handle) = left.next() {
            if self.call_map(handle, handle.off(), handle.len()).is_err() {
                for (n, handle) in many.list.iter().enumerate() {
                    if n + 1 + left.len() < many.list.len() {
                        self.discard(handle, false);
                    } else {
                        self.abandon(handle);
                    }
                }
                return Err(());
            }
        }
        Ok(())
    }

    /// Unmaps a whole handle, calls its unmap callback, and frees it. `space_locked` is false for a mapping that has failed.
    ///
    /// # Errors
    /// `EAGAIN` when any page is soft-locked; nothing is done then.
    #[inline(always)]
    pub(crate) fn unmap_whole(&self, handle: &Arc<Handle<P>>, space_locked: bool) -> Result<(), Errno> {
        let mut st = handle.lock();
        if st.shape().contains(Shape::APART) && st.softlocked() {
            return Err(Errno::EAGAIN);
        }
        self.platform.unload(handle.space(), st.addr(), st.len(), false);
        let object = st.retire();
        drop(st);
        self.end_handle(handle, object, space_locked);
        Ok(())
    }

    /// A handle has no translations any more, and is dying: calls its unmap callback and frees it.
    #[inline(always)]
    pub(crate) fn end_handle(&self, handle: &Arc<Handle<P>>, object: Object<P>, space_locked: bool) {
        // The driver may free the memory in its callback.
        drop(object);
        let this: &Handle<P> = handle;
        if let Some(shared) = this.shared() {
            let callbacks = &shared.callbacks;
            if callbacks.entries().unmap {
                callbacks.unmap_whole(self, handle, space_locked);
            }
            self.release(shared);
        }
        this.bury();
        self.platform.handle_freed(handle);
    }

    /// Frees a handle that the driver has refused to have, without an unmap callback. Whatever the driver has loaded or locked in
    /// it goes with it.
    #[cold]
    #[inline(never)]
    pub(crate) fn abandon(&self, handle: &Arc<Handle<P>>) {
        self.drop_locks(handle);
        {
            let mut st = handle.lock();
            st.mark(Shape::DYING, true);
            self.platform.unload(handle.space(), st.addr(), st.len(), false);
        }
        self.free_handle(handle);
    }

    /// Unmaps and frees a handle of a mapping that has failed. Whatever a driver has locked in it goes with it.
    #[cold]
    #[inline(never)]
    pub(crate) fn discard(&self, handle: &Arc<Handle<P>>, space_locked: bool) {
        self.drop_locks(handle);
        let mut st = handle.lock();
        self.platform.unload(handle.space(), st.addr(), st.len(), false);
        let object = st.retire();
        drop(st);
        self.end_piece(handle, object, space_locked);
    }

    /// As [`Framework::end_handle`], for where it is rare.
    #[inline(never)]
    pub(crate) fn end_piece(&self, handle: &Arc<Handle<P>>, object: Object<P>, space_locked: bool) {
        self.end_handle(handle, object, space_locked);
    }
}

impl<P: Platform> Many<P> {
    /// The address of its first byte.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The device that it maps.
    pub fn device(&self) -> &P::Device {
        &self.device
    }

    /// The address behind its last byte.
    pub(crate) fn end(&self) -> u64 {
        self.base + self.len
    }

    /// The index of the handle that holds this address. Guesses from the mean length first: handles are mostly alike.
    #[inline]
    fn index_of(&self, addr: u64) -> Option<usize> {
        let into = addr.checked_sub(self.base).filter(|d| *d < self.len)?;
        let mean = self.len.checked_div(self.list.len() as u64)?;
        let guess = into.checked_div(mean)? as usize;
        if let Some(handle) = self.list.get(guess)
            && addr.wrapping_sub(handle.addr()) < handle.len()
        {
            return Some(guess);
        }
        self.list.partition_point(|handle| handle.addr() <= addr).checked_sub(1)
    }
}

impl<P: Platform> Segment<P> {
    /// Counts it more or less.
    #[inline(always)]
    pub(crate) fn count(&self, fw: &Framework<P>, by: isize) {
        match self {
            Self::One(_) => fw.ones.fetch_add(by.cast_unsigned(), Relaxed),
            Self::Many(many) => {
                fw.handles.fetch_add(many.list.len().wrapping_mul(by.cast_unsigned()), Relaxed);
                fw.manys.fetch_add(by.cast_unsigned(), Relaxed)
            }
        };
    }

    /// Notifies the platform that the segment of one handle is new or has changed.
    #[inline(always)]
    pub(crate) fn changed(platform: &P, handle: &Arc<Handle<P>>) {
        if P::WATCHES_SEGMENTS {
            platform.segment_changed(&Self::One(handle.clone()), 0);
        }
    }

    /// The address of its first byte.
    #[inline(always)]
    pub fn base(&self) -> u64 {
        match self {
            Self::One(handle) => handle.addr(),
            Self::Many(many) => many.base,
        }
    }

    /// Bytes.
    #[allow(clippy::len_without_is_empty)]
    #[inline(always)]
    pub fn len(&self) -> u64 {
        match self {
            Self::One(handle) => handle.len(),
            Self::Many(many) => many.len,
        }
    }

    /// The user offset of its first byte.
    #[inline(always)]
    pub fn off(&self) -> u64 {
        match self {
            Self::One(handle) => handle.off(),
            Self::Many(many) => many.off,
        }
    }

    /// The address behind its last byte.
    #[inline(always)]
    pub fn end(&self) -> u64 {
        self.base() + self.len()
    }

    /// The address space it belongs to.
    #[inline(always)]
    pub fn space(&self) -> &P::Space {
        match self {
            Self::One(handle) => handle.space(),
            Self::Many(many) => &many.space,
        }
    }

    /// The device that it maps.
    #[inline(always)]
    pub fn device(&self) -> &P::Device {
        match self {
            Self::One(handle) => handle.device(),
            Self::Many(many) => &many.device,
        }
    }

    /// The mapping type and flags.
    #[inline(always)]
    pub fn flags(&self) -> MapFlags {
        match self {
            Self::One(handle) => handle.map_flags(),
            Self::Many(many) => many.flags,
        }
    }

    /// The user offset of an address (`segop_getoffset`).
    #[inline(always)]
    pub fn offset(&self, addr: u64) -> u64 {
        self.off() + (addr - self.base())
    }

    /// The handle that holds this address.
    pub fn find(&self, addr: u64) -> Option<&Arc<Handle<P>>> {
        self.handle_at(self.index_of(addr)?)
    }

    /// All its handles, ascending.
    pub fn handles(&self) -> &[Arc<Handle<P>>] {
        match self {
            Self::One(handle) => core::slice::from_ref(handle),
            Self::Many(many) => &many.list,
        }
    }

    /// What the platform keeps with it.
    #[inline(always)]
    pub fn data(&self) -> &P::SegmentData {
        match self {
            Self::One(handle) => handle.segment_data(),
            Self::Many(many) => &many.data,
        }
    }

    /// The index of the handle that holds this address.
    #[inline]
    pub(crate) fn index_of(&self, addr: u64) -> Option<usize> {
        match self {
            Self::One(handle) => (addr.wrapping_sub(handle.addr()) < handle.len()).then_some(0),
            Self::Many(many) => many.index_of(addr),
        }
    }

    /// The handle that holds this address, where it begins and how long it is.
    #[inline(always)]
    pub(crate) fn piece_at(&self, addr: u64) -> Option<(&Arc<Handle<P>>, u64, u64)> {
        let handle = match self {
            Self::One(handle) => handle,
            Self::Many(many) => many.list.get(many.index_of(addr)?)?,
        };
        let (start, len) = (handle.addr(), handle.len());
        (addr.wrapping_sub(start) < len).then_some((handle, start, len))
    }

    #[inline]
    pub(crate) fn handle_at(&self, index: usize) -> Option<&Arc<Handle<P>>> {
        self.handles().get(index)
    }

    /// Whether any page is soft-locked.
    pub fn softlocked(&self) -> bool {
        self.handles().iter().any(|handle| handle.softlocked())
    }

    /// The segment's fault entry, for callers that keep their segments themselves: serves `[addr, addr + len)`, whole pages within the
    /// segment. Sleeps, interruptibly and with whatever the caller holds, when another has the context or a softlock; within
    /// an address space use [`crate::space::AddressSpace::fault`], which lets go of the space meanwhile.
    pub fn fault(&self, fw: &Framework<P>, addr: u64, len: u64, ty: FaultType, rw: Rw) -> FaultCode {
        let asked = Asked { start: addr, end: addr + len, ty, rw };
        let mut progress = Progress::new(asked);
        loop {
            match progress.attempt(fw, asked, |_| Some(self), |_| None) {
                Ok(rc) => return rc,
                Err(blocked) => {
                    if let Some(rc) = progress.wait(fw, asked, *blocked) {
                        return rc;
                    }
                }
            }
        }
    }

    /// As [`Segment::fault`], but sleeps once at most, as long as [`Platform::wait_sig`] does. Returns `None` when the context or the pages are
    /// still another's then: the caller is to release what it holds and begin again. Nothing is locked then.
    ///
    /// A softunlock cannot begin again, so it always comes to its end: it sleeps up to [`PATIENCE`] times, and then unlocks what is left without the driver.
    pub fn try_fault(
        &self,
        fw: &Framework<P>,
        addr: u64,
        len: u64,
        ty: FaultType,
        rw: Rw,
    ) -> Option<FaultCode> {
        let asked = Asked { start: addr, end: addr + len, ty, rw };
        let mut progress = Progress::new(asked);
        let mut sleeps = if ty == FaultType::Softunlock { PATIENCE } else { 1 };
        loop {
            let blocked = match progress.attempt(fw, asked, |_| Some(self), |_| None) {
                Ok(rc) => return Some(rc),
                Err(blocked) => blocked,
            };
            if sleeps > 0 {
                sleeps -= 1;
                if let Some(rc) = progress.wait(fw, asked, *blocked) {
                    return Some(rc);
                }
            } else if ty == FaultType::Softunlock {
                progress.go_alone();
            } else {
                return None;
            }
        }
    }

    /// The protection of the page that holds `addr` (`segop_getprot`).
    pub fn prot(&self, addr: u64) -> Option<Prot> {
        let st = self.find(addr)?.lock();
        Some(st.page_prot(((addr - st.addr()) >> PAGE_SHIFT) as usize))
    }

    /// Whether every page of `[addr, addr + len)` has all of `prot` (`segop_checkprot`).
    ///
    /// # Errors
    /// `EACCES` when one has not.
    pub fn check_prot(&self, addr: u64, len: u64, prot: Prot) -> Result<(), Errno> {
        let mut at = addr;
        while at < addr + len {
            let have = self.prot(at).ok_or(Errno::ENOMEM)?;
            if !have.contains(prot) {
                return Err(Errno::EACCES);
            }
            at += PAGE_SIZE;
        }
        Ok(())
    }
}
