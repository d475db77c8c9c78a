//! A segment: one mapping of one device in one address space, as an ordered, gapless list of handles.
//!
//! Locking: a segment has no lock of its own. Its address space's lock is held as reader for faults and queries, and as writer
//! (or the segment is not in the space) for everything that takes it mutably.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use crate::context::Context;
use crate::fault::{Asked, Progress};
use crate::framework::Framework;
use crate::handle::{Handle, Object, Stage, State};
use crate::platform::{Callbacks as _, Device, Platform, Unmap};
use crate::registry::retain;
use crate::softlock::Softlock;
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

/// The identity of an access callback, and what its handles share.
type Shared<P> = (u64, Option<Arc<Context<P>>>, Option<Arc<Softlock<P>>>);

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
    ) -> Result<Segment<P>, Errno> {
        let whole = req.whole().filter(|_| req.device.mappable()).ok_or(Errno::EINVAL)?;
        let mut handles = Made::default();
        let base = match self.make_handles(space, req, whole, &mut handles) {
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
        for handle in handles.iter() {
            let mut st = handle.lock();
            // The page size is chosen as the reference does it, before there is an address: by the physical one alone.
            st.choose_level(self.platform.page_sizes());
            st.addr = addr;
            addr += st.len;
        }
        let segment = Segment {
            base,
            len: whole,
            off: req.off,
            space: space.clone(),
            device: req.device.clone(),
            flags: req.flags,
            handles: handles.into_handles(base),
            data: P::SegmentData::default(),
        };
        self.platform.segment_changed(&segment, 0);
        if self.call_map(&segment).is_err() {
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
        let mut shared: Option<Shared<P>> = None;
        while done < whole {
            // The last page may be asked for in part.
            let (off, left) = (req.off + done, req.len - done);
            let handle = Handle::new(space.clone(), State::new(off, req.prot, req.maxprot, mapping), 0);
            self.handles.fetch_add(1, Relaxed);
            let (ret, len) = req.device.devmap(self, &handle, off, left, req.model);
            made.push(handle, len);
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
                let access = st.callbacks.as_ref().map_or(0, |c| c.access_id());
                match &shared {
                    None => {
                        drop(st);
                        let (ctx, softlock) =
                            self.shared(req.device.instance(handle), req.device.dev(), access);
                        st = handle.lock();
                        (st.ctx, st.softlock) = (Some(ctx.clone()), Some(softlock.clone()));
                        shared = Some((access, Some(ctx), Some(softlock)));
                    }
                    // All handles of a mapping share one softlock.
                    Some((first, ..)) if *first != access => return Err(Errno::ENOTSUP),
                    Some((_, ctx, softlock)) => {
                        (st.ctx, st.softlock) = (retain(ctx), retain(softlock));
                    }
                }
            } else if req.flags & MapFlags::TYPE == MapFlags::PRIVATE {
                return Err(Errno::EINVAL);
            }
            done += len;
        }
        let modulus = if whole >= LARGE_ALIGN { LARGE_ALIGN } else { PAGE_SIZE };
        Ok(Congruence { offset: longest.1 & (modulus - 1), modulus })
    }

    /// Calls the map callbacks in order. When one fails, unmaps those before it and frees all.
    fn call_map(&self, segment: &Segment<P>) -> Result<(), ()> {
        let mut failed = None;
        for (i, handle) in segment.handles().enumerate() {
            let (callbacks, off, len) = {
                let st = handle.lock();
                (st.callbacks.clone(), st.off, st.len)
            };
            let Some(callbacks) = callbacks.filter(|c| c.entries().map) else { continue };
            let mut pvt = handle.pvt();
            let flags = segment.flags.bits();
            let ret = callbacks.map(self, handle, &segment.device, flags, off, len, &mut pvt);
            handle.set_pvt(pvt);
            if ret != 0 {
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

    /// Unmaps a whole handle and calls its unmap callback.
    ///
    /// # Errors
    /// `EAGAIN` when any page is soft-locked; nothing is done then.
    pub(crate) fn unmap_whole(&self, handle: &Arc<Handle<P>>) -> Result<(), Errno> {
        let (callbacks, off, len, object) = {
            let mut st = handle.lock();
            if st.softlocked() {
                return Err(Errno::EAGAIN);
            }
            st.stage = Stage::Dying;
            self.platform.unload(handle.space(), st.addr, st.len);
            (st.callbacks.clone(), st.off, st.len, st.take_object())
        };
        // The driver may free the memory in its callback.
        drop(object);
        if let Some(callbacks) = callbacks
            && callbacks.entries().unmap
        {
            callbacks.unmap(self, handle, handle.pvt(), Unmap { off, len, before: None, behind: None });
        }
        Ok(())
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
        if self.unmap_whole(handle).is_ok() {
            self.free_handle(handle);
        }
    }
}

impl<P: Platform> State<P> {
    /// Lets go of what the handle maps: it has no translations any more and gets none.
    pub(crate) fn take_object(&mut self) -> Object<P> {
        core::mem::replace(&mut self.object, Object::None)
    }

    fn new(off: u64, prot: Prot, maxprot: Prot, mapping: u64) -> Self {
        Self {
            off,
            addr: 0,
            len: 0,
            object: Object::None,
            callbacks: None,
            ctx: None,
            softlock: None,
            mapping,
            ticks: 0,
            pages: None,
            locks: None,
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
    pub(crate) fn push(&mut self, handle: Arc<Handle<P>>, len: u64) {
        match self.first {
            None => self.first = Some((len, handle)),
            Some(_) => self.more.push((len, handle)),
        }
    }

    fn last(&self) -> Option<&Arc<Handle<P>>> {
        self.more.last().or(self.first.as_ref()).map(|(_, handle)| handle)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Handle<P>>> {
        self.first.iter().chain(self.more.iter()).map(|(_, handle)| handle)
    }

    /// The list for a segment at `base`.
    pub(crate) fn into_handles(self, base: u64) -> Handles<P> {
        match self.first {
            Some((_, first)) if self.more.is_empty() => Handles::One(first),
            first => {
                let mut all = Vec::with_capacity(1 + self.more.len());
                let mut addr = base;
                for (len, handle) in first.into_iter().chain(self.more) {
                    all.push((addr, handle));
                    addr += len;
                }
                Handles::Many(all)
            }
        }
    }
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

    /// The index of the handle that holds this address. Guesses from the mean length first: handles are mostly alike.
    #[inline]
    pub(crate) fn index_of(&self, addr: u64) -> Option<usize> {
        let into = addr.checked_sub(self.base).filter(|d| *d < self.len)?;
        let Handles::Many(list) = &self.handles else { return Some(0) };
        let guess = (into / (self.len / list.len() as u64)) as usize;
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
