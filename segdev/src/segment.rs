//! A segment: one mapping of one device in one address space, as an ordered, gapless list of handles.
//!
//! Locking: a segment has no lock of its own. Its address space's lock is held as reader for faults and queries, and as writer
//! (or the segment is not in the space) for everything that takes it mutably.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use crate::fault::{Asked, Progress};
use crate::framework::Framework;
use crate::handle::{Handle, Object, Shared, Stage, State};
use crate::list;
use crate::platform::{Callbacks as _, Device, Platform, Unmap};
use crate::types::{
    Errno, FaultCode, FaultType, MapFlags, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Prot, Rw, SetupFlags, page_ceil,
};

/// Mappings at least this long get an address congruent to their object's modulo this, so that large pages are possible.
const LARGE_ALIGN: u64 = 2 << 20;

/// How often a softunlock sleeps that cannot begin again.
pub const PATIENCE: u32 = 1000;

/// One mapping of one device.
pub struct Segment<P: Platform> {
    pub(crate) base: u64,
    pub(crate) len: u64,
    pub(crate) off: u64,
    pub(crate) space: P::Space,
    pub(crate) device: P::Device,
    pub(crate) flags: MapFlags,
    pub(crate) handles: Handles<P>,
    pub(crate) data: P::SegmentData,
}

/// The handles of a segment; one needs no list.
pub(crate) enum Handles<P: Platform> {
    One(Arc<Handle<P>>),
    /// With their addresses, ascending.
    Many(Vec<(u64, Arc<Handle<P>>)>),
}

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

impl<P: Platform> MapRequest<'_, P> {
    /// The length of the mapping in bytes: `len` rounded up to pages. `None` for 0, and for a range that ends beyond 2^64.
    pub fn whole(&self) -> Option<u64> {
        page_ceil(self.len).filter(|len| *len > 0 && self.off.checked_add(*len).is_some())
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
    pub fn setup(
        &self,
        space: &P::Space,
        req: &MapRequest<'_, P>,
        place: impl FnOnce(Congruence) -> Result<u64, Errno>,
        unplace: impl FnOnce(u64),
    ) -> Result<Box<Segment<P>>, Errno> {
        let whole = req.whole().filter(|_| req.device.mappable()).ok_or(Errno::EINVAL)?;
        let mut handles = Made::default();
        let base = match self.make_handles(space, req, whole, &mut handles) {
            Ok(_) if !handles.reserve() => Err(Errno::ENOMEM),
            Ok(congruence) => place(congruence),
            Err(e) => Err(e),
        };
        let base = match base {
            Ok(base) => base,
            Err(e) => {
                handles.iter().for_each(|h| self.free_handle(h));
                return Err(e);
            }
        };
        let mut addr = base;
        let place = |handle: &Arc<Handle<P>>| {
            let mut st = handle.lock();
            // The page size is chosen as the reference does it, before there is an address: by the physical one alone.
            st.choose_level(self.platform.page_sizes());
            st.addr = addr;
            addr += st.len;
            (st.shared.clone(), st.off, st.len)
        };
        let one = handles.one().map(place);
        if one.is_none() {
            self.place_all(&handles, base);
        }
        let segment = Box::new(Segment {
            base,
            len: whole,
            off: req.off,
            space: space.clone(),
            device: req.device.clone(),
            flags: req.flags,
            handles: handles.into_handles(base),
            data: P::SegmentData::default(),
        });
        self.platform.segment_changed(&segment, 0);
        let mapped = match (one, segment.handle_at(0)) {
            (Some((None, ..)), _) => Ok(()),
            (Some((Some(shared), off, len)), Some(handle)) => {
                let mapped = self.call_map_of(&segment, handle, &shared, off, len);
                mapped.inspect_err(|()| self.abandon(handle))
            }
            _ => self.call_map(&segment),
        };
        if mapped.is_err() {
            unplace(base);
            return Err(Errno::ENXIO);
        }
        self.segments.fetch_add(1, Relaxed);
        Ok(segment)
    }

    /// Has the driver set up handles until the length is covered.
    fn make_handles(
        &self,
        space: &P::Space,
        req: &MapRequest<'_, P>,
        whole: u64,
        made: &mut Made<P>,
    ) -> Result<Congruence, Errno> {
        let mapping = self.new_mapping();
        let mut done = 0;
        let mut longest = (0, 0);
        // The access callback, and what the first handle with it takes turns by, once another one needs that.
        let (mut first, mut common) = (None, None);
        while done < whole {
            // The last page may be asked for in part.
            let (off, left) = (req.off + done, req.len - done);
            let handle = Handle::new(space.clone(), State::new(off, req.prot, req.maxprot, mapping), 0);
            self.handles.fetch_add(1, Relaxed);
            let (ret, len) = req.device.devmap(self, &handle, off, left, req.model);
            if let Err(handle) = made.push(handle, len) {
                self.free_handle(&handle);
                return Err(Errno::ENOMEM);
            }
            let Some(handle) = made.last() else { return Err(Errno::EINVAL) };
            if ret != 0 {
                return Err(Errno::ENXIO);
            }
            let mut st = handle.lock();
            if len & PAGE_MASK != 0
                || st.stage != Stage::SetUp
                || len != st.len
                || len == 0
                || len > whole - done
            {
                return Err(Errno::EINVAL);
            }
            // Of several longest handles, the last one decides; one that maps nothing has no address to agree with.
            if len >= longest.0 {
                longest = (len, st.object.address().map_or(0, |address| address.wrapping_sub(done)));
            }
            if st.access {
                let access = st.shared.as_ref().map_or(0, |shared| shared.callbacks.access_id());
                // All handles of a mapping share one softlock.
                if *first.get_or_insert(access) != access {
                    return Err(Errno::ENOTSUP);
                }
                drop(st);
                if common.is_none() {
                    common = made.turns();
                }
                let turns = match &common {
                    Some(shared) => shared.turns_again(),
                    None => self.turns(req.device.instance(handle), req.device.dev(), access),
                };
                let turns = turns.ok_or(Errno::ENOMEM)?;
                st = handle.lock();
                // Nobody else has it yet.
                if let Some(shared) = st.shared.as_mut().and_then(Arc::get_mut) {
                    shared.turns = Some(turns);
                }
            } else if req.flags & MapFlags::TYPE == MapFlags::PRIVATE {
                return Err(Errno::EINVAL);
            }
            done += len;
        }
        let modulus = if whole >= LARGE_ALIGN { LARGE_ALIGN } else { PAGE_SIZE };
        Ok(Congruence { offset: longest.1 & (modulus - 1), modulus })
    }

    /// Gives several handles their addresses.
    #[inline(never)]
    fn place_all(&self, handles: &Made<P>, base: u64) {
        let mut addr = base;
        for handle in handles.iter() {
            let mut st = handle.lock();
            st.choose_level(self.platform.page_sizes());
            st.addr = addr;
            addr += st.len;
        }
    }

    /// Calls the map callback of one handle.
    #[inline]
    fn call_map_of(
        &self,
        segment: &Segment<P>,
        handle: &Arc<Handle<P>>,
        shared: &Shared<P>,
        off: u64,
        len: u64,
    ) -> Result<(), ()> {
        let callbacks = &shared.callbacks;
        if !callbacks.entries().map {
            return Ok(());
        }
        let mut pvt = handle.pvt();
        let ret = callbacks.map(self, handle, &segment.device, segment.flags.bits(), off, len, &mut pvt);
        handle.set_pvt(pvt);
        if ret == 0 { Ok(()) } else { Err(()) }
    }

    /// Calls the map callbacks in order. When one fails, unmaps those before it and frees all.
    #[inline(never)]
    fn call_map(&self, segment: &Segment<P>) -> Result<(), ()> {
        let mut failed = None;
        for (i, handle) in segment.handles().enumerate() {
            let (shared, off, len) = {
                let st = handle.lock();
                (st.shared.clone(), st.off, st.len)
            };
            if shared.is_some_and(|shared| self.call_map_of(segment, handle, &shared, off, len).is_err()) {
                failed = Some(i);
                break;
            }
        }
        let Some(failed) = failed else { return Ok(()) };
        for (i, handle) in segment.handles().enumerate() {
            if i < failed {
                self.discard(handle);
            } else {
                self.abandon(handle);
            }
        }
        Err(())
    }

    /// Unmaps a whole handle, calls its unmap callback, and frees it.
    ///
    /// # Errors
    /// `EAGAIN` when any page is soft-locked; nothing is done then.
    #[inline]
    pub(crate) fn unmap_whole(&self, handle: &Arc<Handle<P>>) -> Result<(), Errno> {
        let (shared, off, len, object) = {
            let mut st = handle.lock();
            if st.softlocked() {
                return Err(Errno::EAGAIN);
            }
            self.platform.unload(handle.space(), st.addr, st.len);
            st.retire()
        };
        self.end_handle(handle, shared, off, len, object);
        Ok(())
    }

    /// A handle has no translations any more, and is dying or, without callbacks, dead: calls its unmap callback and frees it.
    #[inline]
    pub(crate) fn end_handle(
        &self,
        handle: &Arc<Handle<P>>,
        shared: Option<Arc<Shared<P>>>,
        off: u64,
        len: u64,
        object: Object<P>,
    ) {
        // The driver may free the memory in its callback.
        drop(object);
        let Some(shared) = shared else {
            self.freed(handle);
            return;
        };
        let callbacks = &shared.callbacks;
        if callbacks.entries().unmap {
            callbacks.unmap(self, handle, handle.pvt(), Unmap { off, len, before: None, behind: None });
        }
        drop(shared);
        self.free_handle(handle);
    }

    /// Frees a handle that the driver has refused to have, without an unmap callback. Whatever the driver has loaded or locked in
    /// it goes with it.
    pub(crate) fn abandon(&self, handle: &Arc<Handle<P>>) {
        self.drop_locks(handle);
        {
            let mut st = handle.lock();
            st.stage = Stage::Dying;
            self.platform.unload(handle.space(), st.addr, st.len);
        }
        self.free_handle(handle);
    }

    /// Unmaps and frees a handle of a mapping that has failed. Whatever a driver has locked in it goes with it.
    pub(crate) fn discard(&self, handle: &Arc<Handle<P>>) {
        self.drop_locks(handle);
        // Nothing is locked any more.
        let _ = self.unmap_whole(handle);
    }
}

impl<P: Platform> State<P> {
    /// Lets go of what the handle maps: it has no translations any more and gets none.
    pub(crate) fn take_object(&mut self) -> Object<P> {
        core::mem::replace(&mut self.object, Object::None)
    }

    /// The handle goes: what its unmap callback, and its end, need. It is dying until then, and dead if there is no callback.
    #[inline]
    pub(crate) fn retire(&mut self) -> (Option<Arc<Shared<P>>>, u64, u64, Object<P>) {
        let shared = self.shared.clone();
        self.stage = if shared.is_some() { Stage::Dying } else { Stage::Dead };
        (shared, self.off, self.len, self.take_object())
    }

    #[inline]
    fn new(off: u64, prot: Prot, maxprot: Prot, mapping: u64) -> Self {
        Self {
            off,
            addr: 0,
            len: 0,
            object: Object::None,
            shared: None,
            mapping,
            ticks: 0,
            apart: None,
            flags: SetupFlags::empty(),
            attr: 0,
            stage: Stage::New,
            prot,
            asked: prot,
            maxprot,
            orig_maxprot: maxprot,
            level: 0,
            access: false,
            must_wait: false,
        }
    }
}

/// The handles that a setup has made so far, with their lengths.
pub(crate) struct Made<P: Platform> {
    first: Option<(u64, Arc<Handle<P>>)>,
    more: Vec<(u64, Arc<Handle<P>>)>,
}

impl<P: Platform> Default for Made<P> {
    fn default() -> Self {
        Self { first: None, more: Vec::new() }
    }
}

impl<P: Platform> Made<P> {
    /// Adds a handle; returns it if there is no memory for it.
    pub(crate) fn push(&mut self, handle: Arc<Handle<P>>, len: u64) -> Result<(), Arc<Handle<P>>> {
        match self.first {
            None => self.first = Some((len, handle)),
            Some(_) => list::push(&mut self.more, (len, handle)).map_err(|(_, handle)| handle)?,
        }
        Ok(())
    }

    fn last(&self) -> Option<&Arc<Handle<P>>> {
        self.more.last().or(self.first.as_ref()).map(|(_, handle)| handle)
    }

    /// What the first handle with an access callback takes turns by; `None` before there is one.
    fn turns(&self) -> Option<Arc<Shared<P>>> {
        let shared = |handle: &Arc<Handle<P>>| handle.lock().shared.clone();
        self.iter().filter_map(shared).find(|shared| shared.turns.is_some())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Handle<P>>> {
        self.first.iter().chain(self.more.iter()).map(|(_, handle)| handle)
    }

    /// The handle, if it is the only one.
    fn one(&self) -> Option<&Arc<Handle<P>>> {
        self.first.as_ref().filter(|_| self.more.is_empty()).map(|(_, handle)| handle)
    }

    /// Room for all of them in one list.
    pub(crate) fn reserve(&mut self) -> bool {
        self.more.is_empty() || list::reserve(&mut self.more, 1)
    }

    /// The list for a segment at `base`.
    #[inline]
    pub(crate) fn into_handles(self, base: u64) -> Handles<P> {
        match self.first {
            Some((_, first)) if self.more.is_empty() => Handles::One(first),
            first => Handles::Many(in_order(first, self.more, base)),
        }
    }
}

/// Handles with their addresses, of handles with their lengths; there is room for the first one.
#[inline(never)]
fn in_order<T>(first: Option<(u64, T)>, mut list: Vec<(u64, T)>, base: u64) -> Vec<(u64, T)> {
    if let Some(first) = first {
        let _ = list::insert(&mut list, 0, first);
    }
    let mut addr = base;
    for (at, _) in &mut list {
        addr += core::mem::replace(at, addr);
    }
    list
}

impl<P: Platform> Segment<P> {
    /// The address of its first byte.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The user offset of its first byte.
    pub fn off(&self) -> u64 {
        self.off
    }

    /// The address behind its last byte.
    pub fn end(&self) -> u64 {
        self.base + self.len
    }

    /// The address space it belongs to.
    pub fn space(&self) -> &P::Space {
        &self.space
    }

    /// The device that it maps.
    pub fn device(&self) -> &P::Device {
        &self.device
    }

    /// The mapping type and flags.
    pub fn flags(&self) -> MapFlags {
        self.flags
    }

    /// The user offset of an address (`segop_getoffset`).
    pub fn offset(&self, addr: u64) -> u64 {
        self.off + (addr - self.base)
    }

    /// The handle that holds this address.
    pub fn find(&self, addr: u64) -> Option<&Arc<Handle<P>>> {
        self.handle_at(self.index_of(addr)?)
    }

    /// All its handles, ascending.
    pub fn handles(&self) -> impl Iterator<Item = &Arc<Handle<P>>> {
        self.handles_from(0)
    }

    /// Its handles from the one with this index on.
    pub fn handles_from(&self, index: usize) -> impl Iterator<Item = &Arc<Handle<P>>> {
        (index..).map_while(|i| self.handle_at(i))
    }

    /// What the platform keeps with it.
    pub fn data(&self) -> &P::SegmentData {
        &self.data
    }

    /// The same, to be changed.
    pub fn data_mut(&mut self) -> &mut P::SegmentData {
        &mut self.data
    }

    /// The index of the handle that holds this address. Guesses from the mean length first: handles are mostly alike.
    #[inline]
    pub(crate) fn index_of(&self, addr: u64) -> Option<usize> {
        let into = addr.checked_sub(self.base).filter(|d| *d < self.len)?;
        let Handles::Many(list) = &self.handles else { return Some(0) };
        let mean = self.len.checked_div(list.len() as u64)?;
        let guess = into.checked_div(mean)? as usize;
        if let Some((start, _)) = list.get(guess)
            && *start <= addr
            && list.get(guess + 1).is_none_or(|(next, _)| addr < *next)
        {
            return Some(guess);
        }
        list.partition_point(|(start, _)| *start <= addr).checked_sub(1)
    }

    #[inline]
    pub(crate) fn handle_at(&self, index: usize) -> Option<&Arc<Handle<P>>> {
        match &self.handles {
            Handles::One(handle) => (index == 0).then_some(handle),
            Handles::Many(list) => list.get(index).map(|(_, handle)| handle),
        }
    }

    /// Whether any page is soft-locked.
    pub fn softlocked(&self) -> bool {
        self.handles().any(|h| h.lock().softlocked())
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
    #[inline]
    pub fn try_fault(
        &self,
        fw: &Framework<P>,
        addr: u64,
        len: u64,
        ty: FaultType,
        rw: Rw,
    ) -> Option<FaultCode> {
        if ty == FaultType::Inval
            && let Some(rc) = self.usual_fault(fw, addr, len, rw)
        {
            return Some(rc);
        }
        self.try_other_fault(fw, addr, len, ty, rw)
    }

    #[inline(never)]
    fn try_other_fault(
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
        Some(st.page_prot(((addr - st.addr) >> PAGE_SHIFT) as usize))
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
