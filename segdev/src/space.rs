//! An address space: segments in address order, and what a process does to them.
//!
//! Behaves as `docs/` and the conformance corpus describe for the layer round the framework: munmap, mprotect and faults go segment by
//! segment; fork duplicates in address order; exit unmaps every segment whole.
//!
//! Locking: one readers/writer lock per space ([`crate::lock::LockClass::Space`]). Readers: faults (across the driver's
//! access callback) and queries. Writers: munmap, mprotect, fork (parent, then child), exit, and the moments of mmap in
//! which an address is chosen and the segment goes in; `devmap(9E)` and the map callbacks run without it, with the range kept: until the
//! last of them has returned nobody finds the segment, so munmap, faults and fork come wholly before or wholly after an mmap. A fixed mmap of
//! a range that another mmap keeps waits for that one. A fault that must wait lets go of the lock and looks everything up again afterwards.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::fault::{Asked, Progress};
use crate::framework::Framework;
use crate::lock::{LockClass, Mutex as _, RwLock as _};
use crate::platform::{Device, FreeRanges, Platform, Want};
use crate::segment::{Congruence, MapRequest, Segment};
use crate::types::{Errno, FaultCode, FaultType, MapFlags, PAGE_SIZE, Prot, Rw, page_ceil, page_floor};
use crate::unmap::Remains;

/// An address space.
pub struct AddressSpace<P: Platform> {
    id: P::Space,
    state: P::RwLock<State<P>>,
    /// How many mmaps have come to their end.
    ended: P::Mutex<u64>,
    end: P::Condvar,
}

struct State<P: Platform> {
    slots: BTreeMap<u64, Slot<P>>,
    /// exit has succeeded: nothing can be mapped any more.
    closed: bool,
}

/// What is at an address.
enum Slot<P: Platform> {
    Segment(Segment<P>),
    /// An mmap is under way for this many bytes.
    Reserved(u64),
}

/// Whether a mapping that is being made has got its range.
enum Place {
    /// It has, from this address on.
    Kept(u64),
    /// Another that is being made keeps part of it; the number of mmaps that had ended by then.
    Busy(u64),
}

/// What a segment is, at the moment of asking.
#[derive(Clone, Debug)]
pub struct SegmentInfo {
    /// The address of its first byte.
    pub base: u64,
    /// Bytes.
    pub len: u64,
    /// User offset of its first byte.
    pub off: u64,
    /// Mapping type and flags.
    pub flags: MapFlags,
}

/// Address of a new mapping.
#[derive(Clone, Copy)]
enum At {
    /// Exactly there.
    Fixed(u64),
    /// Any free address; `hint` if that is free and not 0.
    Anywhere { hint: u64 },
}

impl<P: Platform> Slot<P> {
    fn len(&self) -> u64 {
        match self {
            Self::Segment(seg) => seg.len(),
            Self::Reserved(len) => *len,
        }
    }
}

impl<P: Platform> State<P> {
    /// The segment that holds `addr`.
    fn segment_at(&self, addr: u64) -> Option<&Segment<P>> {
        match self.slots.range(..=addr).next_back() {
            Some((_, Slot::Segment(seg))) if addr < seg.end() => Some(seg),
            _ => None,
        }
    }

    fn segments(&self) -> impl Iterator<Item = &Segment<P>> {
        self.slots.values().filter_map(|slot| match slot {
            Slot::Segment(seg) => Some(seg),
            Slot::Reserved(_) => None,
        })
    }

    /// The first address at or above `addr` that a segment holds.
    fn next_mapped(&self, addr: u64) -> Option<u64> {
        if self.segment_at(addr).is_some() {
            return Some(addr);
        }
        self.slots.range(addr..).find(|(_, slot)| matches!(slot, Slot::Segment(_))).map(|(base, _)| *base)
    }

    /// Unmaps every segment's part of `[addr, end)`; holes are skipped.
    fn unmap(&mut self, fw: &Framework<P>, addr: u64, end: u64) -> Result<(), Errno> {
        let mut at = addr;
        while let Some(from) = self.next_mapped(at).filter(|from| *from < end) {
            let Some((&key, _)) = self.slots.range(..=from).next_back() else { break };
            let Some(Slot::Segment(seg)) = self.slots.get_mut(&key) else { break };
            let to = end.min(seg.end());
            match seg.unmap(fw, from, to - from)? {
                Remains::Nothing => {
                    self.slots.remove(&key);
                }
                Remains::Some => {
                    if seg.base() != key
                        && let Some(slot) = self.slots.remove(&key)
                    {
                        self.slots.insert(to, slot);
                    }
                }
                Remains::Two(rest) => {
                    self.slots.insert(rest.base(), Slot::Segment(rest));
                }
            }
            at = to;
        }
        Ok(())
    }

    /// Unmaps every segment, whatever drivers have locked in them.
    fn discard(&mut self, fw: &Framework<P>) {
        for slot in core::mem::take(&mut self.slots).into_values() {
            if let Slot::Segment(segment) = slot {
                segment.discard(fw, true);
            }
        }
    }
}

impl<P: Platform> FreeRanges for State<P> {
    fn is_free(&self, addr: u64, len: u64) -> bool {
        let Some(end) = addr.checked_add(len) else { return false };
        self.slots.range(..end).next_back().is_none_or(|(base, slot)| base + slot.len() <= addr)
    }

    fn lowest_fit(&self, want: &Want) -> Option<u64> {
        let align = |at: u64| {
            let at = at.checked_add(want.modulus - 1)?.checked_sub(want.offset & (want.modulus - 1))?;
            (at & !(want.modulus - 1)).checked_add(want.offset & (want.modulus - 1))
        };
        let fits = |at: u64| at.checked_add(want.len).filter(|end| *end <= want.limit);
        let mut at = align(want.from)?;
        let before = self.slots.range(..at).next_back().map(|(base, slot)| base + slot.len());
        if let Some(end) = before.filter(|end| *end > at) {
            at = align(end)?;
        }
        loop {
            let end = fits(at)?;
            match self.slots.range(..end).next_back() {
                Some((base, slot)) if base + slot.len() > at => at = align(base + slot.len())?,
                _ => return Some(at),
            }
        }
    }
}

/// Whole pages round `[addr, addr + len)`.
fn whole_pages(addr: u64, len: u64) -> Option<(u64, u64)> {
    Some((page_floor(addr), page_ceil(addr.checked_add(len)?)?))
}

impl<P: Platform> AddressSpace<P> {
    /// An empty address space.
    pub fn new(id: P::Space) -> Self {
        let state = State { slots: BTreeMap::new(), closed: false };
        Self {
            id,
            state: P::RwLock::new(state, LockClass::Space),
            ended: P::Mutex::new(0, LockClass::Mmaps),
            end: P::Condvar::default(),
        }
    }

    /// The platform's name for it.
    pub fn id(&self) -> &P::Space {
        &self.id
    }

    fn reading<R>(&self, platform: &P, f: impl FnOnce(&State<P>) -> R) -> R {
        let state = self.state.read();
        let _held = Held::new(platform, &self.id);
        f(&state)
    }

    fn writing<R>(&self, platform: &P, f: impl FnOnce(&mut State<P>) -> R) -> R {
        let mut state = self.state.write();
        let _held = Held::new(platform, &self.id);
        f(&mut state)
    }

    /// mmap(2): maps a device, at `addr` (replacing what is there) or where there is room. Returns the address. Waits, interruptibly,
    /// when a mapping is being made in the range of a fixed one.
    ///
    /// # Errors
    /// As [`Framework::setup`]; `ENOMEM` when there is no room, the range ends beyond the user's addresses, or the space has exited;
    /// `EAGAIN` when a fixed mapping would replace soft-locked pages, or its wait was interrupted.
    pub fn mmap(&self, fw: &Framework<P>, req: &MapRequest<'_, P>, addr: Option<u64>) -> Result<u64, Errno> {
        self.mmap_at(fw, req, addr.map_or(At::Anywhere { hint: 0 }, At::Fixed))
    }

    /// mmap(2) where there is room, near `hint` if possible: see [`mmap`](Self::mmap).
    ///
    /// # Errors
    /// As [`mmap`](Self::mmap).
    pub fn mmap_near(&self, fw: &Framework<P>, req: &MapRequest<'_, P>, hint: u64) -> Result<u64, Errno> {
        self.mmap_at(fw, req, At::Anywhere { hint })
    }

    fn mmap_at(&self, fw: &Framework<P>, req: &MapRequest<'_, P>, addr: At) -> Result<u64, Errno> {
        let platform = fw.platform();
        let whole = req.whole().ok_or(Errno::EINVAL)?;
        let place = |want: Congruence| loop {
            let ended = match self.writing(platform, |st| self.place(fw, st, whole, addr, want))? {
                Place::Kept(base) => return Ok(base),
                Place::Busy(ended) => ended,
            };
            if self.wait_end(platform, ended) {
                return Err(Errno::EAGAIN);
            }
        };
        let unplace = |addr: u64| self.unplace(platform, addr, whole);
        let segment = fw.setup(&self.id, req, place, unplace)?;
        let base = segment.base();
        let result = self.writing(platform, |st| {
            if st.closed {
                // The process has gone meanwhile.
                st.slots.remove(&base);
                segment.discard(fw, true);
                return Err(Errno::ENOMEM);
            }
            st.slots.insert(base, Slot::Segment(segment));
            Ok(base)
        });
        self.tell_end(platform);
        result
    }

    /// Waits for the next end of an mmap after the one with this number. Returns true if interrupted first.
    fn wait_end(&self, platform: &P, ended: u64) -> bool {
        let mut now = self.ended.lock();
        let mut interrupted = false;
        while !interrupted && *now == ended {
            (now, interrupted) = platform.wait_sig(&self.end, now);
        }
        interrupted
    }

    /// An mmap has come to its end: its range is mapped, or free again.
    fn tell_end(&self, platform: &P) {
        let mut ended = self.ended.lock();
        *ended = ended.wrapping_add(1);
        platform.notify_all(&self.end);
    }

    /// Chooses an address and keeps it.
    fn place(
        &self,
        fw: &Framework<P>,
        st: &mut State<P>,
        len: u64,
        addr: At,
        want: Congruence,
    ) -> Result<Place, Errno> {
        let platform = fw.platform();
        let limit = platform.user_limit();
        let base = match addr {
            At::Fixed(addr) => {
                let end = addr.checked_add(len).ok_or(Errno::ENOMEM)?;
                st.unmap(fw, addr, end)?;
                if end > limit {
                    return Err(Errno::ENOMEM);
                }
                if !st.is_free(addr, len) {
                    return Ok(Place::Busy(*self.ended.lock()));
                }
                addr
            }
            At::Anywhere { hint } => {
                let want = Want {
                    len,
                    offset: want.offset,
                    modulus: want.modulus,
                    hint,
                    from: platform.user_base(),
                    limit,
                };
                platform.choose_address(&self.id, st, &want).ok_or(Errno::ENOMEM)?
            }
        };
        if st.closed {
            return Err(Errno::ENOMEM);
        }
        st.slots.insert(base, Slot::Reserved(len));
        Ok(Place::Kept(base))
    }

    fn unplace(&self, platform: &P, addr: u64, len: u64) {
        self.writing(platform, |st| st.slots.remove(&addr));
        platform.unchoose_address(&self.id, addr, len);
        self.tell_end(platform);
    }

    /// munmap(2): unmaps whole pages round `[addr, addr + len)`; holes are skipped.
    ///
    /// # Errors
    /// `EAGAIN` at the first segment with soft-locked pages; what came before stays unmapped. `EINVAL` for a range that overflows.
    pub fn munmap(&self, fw: &Framework<P>, addr: u64, len: u64) -> Result<(), Errno> {
        let (addr, end) = whole_pages(addr, len).ok_or(Errno::EINVAL)?;
        self.writing(fw.platform(), |st| st.unmap(fw, addr, end))
    }

    /// mprotect(2) of whole pages round `[addr, addr + len)`.
    ///
    /// # Errors
    /// `ENOMEM` at a hole; `EACCES` or `EAGAIN` at the first segment that refuses. What came before stays changed.
    pub fn mprotect(&self, fw: &Framework<P>, addr: u64, len: u64, prot: Prot) -> Result<(), Errno> {
        let (addr, end) = whole_pages(addr, len).ok_or(Errno::ENOMEM)?;
        self.writing(fw.platform(), |st| {
            let mut at = addr;
            loop {
                let seg = st.segment_at(at).ok_or(Errno::ENOMEM)?;
                let to = end.min(seg.end());
                seg.set_prot(fw, at, to - at, prot)?;
                at = to;
                if at >= end {
                    return Ok(());
                }
            }
        })
    }

    /// Serves a fault on whole pages round `[addr, addr + len)`. May sleep, without the space's lock, for a context or a softlock.
    ///
    /// Answers 0; `FC_NOMAP` at a hole; `FC_MAKE_ERR(EINTR)` when a wait was interrupted; else what the segment or the driver
    /// answered. A softlock that fails has locked nothing; a softunlock unlocks all of the range whatever it meets, and returns the
    /// first error.
    pub fn fault(&self, fw: &Framework<P>, addr: u64, len: u64, ty: FaultType, rw: Rw) -> FaultCode {
        let Some((start, end)) = whole_pages(addr, len) else { return FaultCode::NOMAP };
        let asked = Asked { start, end, ty, rw };
        let mut progress = Progress::new(asked);
        loop {
            let step = self.reading(fw.platform(), |st| {
                if ty == FaultType::Inval
                    && let Some(segment) = st.segment_at(start).filter(|segment| end <= segment.end())
                    && let Some(rc) = segment.usual_fault(fw, start, end - start, rw)
                {
                    return Ok(rc);
                }
                progress.attempt(fw, asked, |at| st.segment_at(at), |at| st.next_mapped(at))
            });
            match step {
                Ok(rc) => return rc,
                Err(blocked) => {
                    if let Some(rc) = progress.wait(fw, asked, *blocked) {
                        return rc;
                    }
                }
            }
        }
    }

    /// fork(2): duplicates every segment into `child`, which must be new and empty, in address order.
    ///
    /// # Errors
    /// The first refusal of a dup callback, as the driver returned it; the child is empty then.
    pub fn fork(&self, fw: &Framework<P>, child: &Self) -> Result<(), Errno> {
        let platform = fw.platform();
        self.writing(platform, |parent| {
            child.writing(platform, |new| {
                for segment in parent.segments() {
                    match segment.dup(fw, &child.id) {
                        Ok(dup) => {
                            new.slots.insert(dup.base(), Slot::Segment(dup));
                        }
                        Err(refusal) => {
                            new.discard(fw);
                            return Err(refusal);
                        }
                    }
                }
                Ok(())
            })
        })
    }

    /// exit(2): unmaps every segment whole, in address order. Nothing can be mapped afterwards.
    ///
    /// # Errors
    /// `EAGAIN` at the first segment with soft-locked pages; the space lives on.
    pub fn exit(&self, fw: &Framework<P>) -> Result<(), Errno> {
        self.writing(fw.platform(), |st| {
            st.unmap(fw, 0, u64::MAX)?;
            st.closed = true;
            Ok(())
        })
    }

    /// Goes over the segments of whole pages round `[addr, addr + len)`.
    fn each<R>(
        &self,
        fw: &Framework<P>,
        addr: u64,
        len: u64,
        mut start: R,
        mut f: impl FnMut(&mut R, &Segment<P>, u64, u64) -> Result<(), Errno>,
    ) -> Result<R, Errno> {
        let (addr, end) = whole_pages(addr, len).ok_or(Errno::ENOMEM)?;
        self.reading(fw.platform(), |st| {
            let mut at = addr;
            loop {
                let seg = st.segment_at(at).ok_or(Errno::ENOMEM)?;
                let to = end.min(seg.end());
                f(&mut start, seg, at, to - at)?;
                at = to;
                if at >= end {
                    return Ok(start);
                }
            }
        })
    }

    /// Whether every page allows all of `prot`.
    ///
    /// # Errors
    /// `EACCES` when one does not, `ENOMEM` at a hole.
    pub fn check_prot(&self, fw: &Framework<P>, addr: u64, len: u64, prot: Prot) -> Result<(), Errno> {
        self.each(fw, addr, len, (), |(), seg, at, len| seg.check_prot(at, len, prot))
    }

    /// The protection of each page.
    ///
    /// # Errors
    /// `ENOMEM` at a hole.
    pub fn prots(&self, fw: &Framework<P>, addr: u64, len: u64) -> Result<Vec<Prot>, Errno> {
        self.each(fw, addr, len, Vec::new(), |all, seg, at, len| {
            all.extend((at..at + len).step_by(PAGE_SIZE as usize).filter_map(|at| seg.prot(at)));
            Ok(())
        })
    }

    /// How many of the pages are resident, counted by the pages: all, always (device pages do not go away).
    ///
    /// # Errors
    /// `ENOMEM` at a hole.
    pub fn incore(&self, fw: &Framework<P>, addr: u64, len: u64) -> Result<u64, Errno> {
        self.each(fw, addr, len, 0, |sum, _, _, len| {
            *sum += len;
            Ok(())
        })
    }

    /// The user offset of `addr`.
    ///
    /// # Errors
    /// `ENOMEM` when no segment holds it; likewise for the other queries of one address.
    pub fn offset(&self, fw: &Framework<P>, addr: u64) -> Result<u64, Errno> {
        let addr = page_floor(addr);
        self.reading(fw.platform(), |st| st.segment_at(addr).map(|seg| seg.offset(addr)).ok_or(Errno::ENOMEM))
    }

    /// The mapping type of the segment that holds `addr` (the `MAP_TYPE` bits).
    ///
    /// # Errors
    /// `ENOMEM` when no segment holds it.
    pub fn map_type(&self, fw: &Framework<P>, addr: u64) -> Result<MapFlags, Errno> {
        self.reading(fw.platform(), |st| {
            st.segment_at(addr).map(|seg| seg.flags() & MapFlags::TYPE).ok_or(Errno::ENOMEM)
        })
    }

    /// What names the memory at `addr` across processes: device number and offset.
    ///
    /// # Errors
    /// `ENOMEM` when no segment holds it.
    pub fn memid(&self, fw: &Framework<P>, addr: u64) -> Result<(u64, u64), Errno> {
        let addr = page_floor(addr);
        self.reading(fw.platform(), |st| {
            st.segment_at(addr).map(|seg| (seg.device().dev(), seg.offset(addr))).ok_or(Errno::ENOMEM)
        })
    }

    /// The segments, in address order.
    pub fn segments(&self, fw: &Framework<P>) -> Vec<SegmentInfo> {
        self.reading(fw.platform(), |st| {
            st.segments()
                .map(|seg| SegmentInfo {
                    base: seg.base(),
                    len: seg.len(),
                    off: seg.off(),
                    flags: seg.flags(),
                })
                .collect()
        })
    }

    /// The parts of a range by segment, as first address and bytes, in address order. Takes no longer for segments elsewhere.
    pub fn parts(&self, fw: &Framework<P>, addr: u64, len: u64) -> Vec<(u64, u64)> {
        let end = addr.saturating_add(len);
        self.reading(fw.platform(), |st| {
            let first = st.slots.range(..=addr).next_back().map_or(addr, |(base, _)| *base);
            let parts = st.slots.range(first..end).filter_map(|(_, slot)| {
                let Slot::Segment(seg) = slot else { return None };
                let (from, to) = (seg.base().max(addr), seg.end().min(end));
                (from < to).then(|| (from, to - from))
            });
            parts.collect()
        })
    }

    /// Calls `f` with the segment that holds `addr`, if there is one, with the space locked as reader.
    pub fn with_segment<R>(
        &self,
        fw: &Framework<P>,
        addr: u64,
        f: impl FnOnce(&Segment<P>) -> R,
    ) -> Option<R> {
        self.reading(fw.platform(), |st| st.segment_at(addr).map(f))
    }
}

/// Tells the platform that a thread holds the space's lock, for as long as it does.
struct Held<'a, P: Platform> {
    platform: &'a P,
    space: &'a P::Space,
}

impl<'a, P: Platform> Held<'a, P> {
    fn new(platform: &'a P, space: &'a P::Space) -> Self {
        platform.space_locked(space);
        Self { platform, space }
    }
}

impl<P: Platform> Drop for Held<'_, P> {
    fn drop(&mut self) {
        self.platform.space_unlocking(self.space);
    }
}
