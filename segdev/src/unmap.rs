//! What changes a segment as a whole: unmap in its four shapes, protection changes, duplication.
//!
//! Locking: the space's lock is held as writer (fork: both spaces'), so no fault or load is in progress in it; no inner
//! lock across the driver's callbacks. Translations go first, then the handles get their new bounds, then the callbacks run.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use crate::framework::Framework;
use crate::handle::{Handle, Shared, Stage, State};
use crate::list;
use crate::platform::{Callbacks as _, Platform, Unmap};
use crate::segment::{Handles, Segment};
use crate::types::{Errno, PAGE_SHIFT, Prot};

/// What an unmap leaves of a segment.
pub enum Remains<P: Platform> {
    /// Nothing: drop it.
    Nothing,
    /// The segment, shorter: its base may have moved up.
    Some,
    /// The segment, now ending before the hole, and a new one behind it.
    Two(Box<Segment<P>>),
}

/// A copy of a handle, and what both share.
type Copied<P> = (Arc<Handle<P>>, Option<Arc<Shared<P>>>);

/// What happens to one handle.
struct Cut<P: Platform> {
    handle: Arc<Handle<P>>,
    off: u64,
    len: u64,
    before: bool,
    behind: bool,
    /// The new handle for the rest, when the middle goes.
    new: Option<Arc<Handle<P>>>,
}

impl<P: Platform> Segment<P> {
    /// Unmaps `[addr, addr + len)`, whole pages within the segment. After [`Remains::Nothing`] the segment is empty.
    ///
    /// # Errors
    /// `EAGAIN` when any page of the segment is soft-locked; nothing is done then.
    #[inline]
    pub fn unmap(&mut self, fw: &Framework<P>, addr: u64, len: u64) -> Result<Remains<P>, Errno> {
        match &self.handles {
            Handles::One(handle) if addr == self.base && len == self.len => {
                fw.unmap_whole(handle)?;
                fw.segments.fetch_sub(1, Relaxed);
                self.len = 0;
                Ok(Remains::Nothing)
            }
            Handles::One(_) => self.cut_one(fw, addr, addr + len),
            Handles::Many(_) => self.unmap_many(fw, addr, len),
        }
    }

    /// The same for a segment of one handle, of which something stays.
    #[inline(never)]
    fn cut_one(&mut self, fw: &Framework<P>, addr: u64, end: u64) -> Result<Remains<P>, Errno> {
        let Handles::One(handle) = &self.handles else { return Err(Errno::EINVAL) };
        let mut st = handle.lock();
        if st.softlocked() {
            return Err(Errno::EAGAIN);
        }
        let (start, whole) = (st.addr, st.len);
        let (off, len) = (st.off + (addr - start), end - addr);
        let (before, behind) = (start < addr, end < start + whole);
        let mut new = None;
        if before && behind {
            new = Some(fw.split(handle, &mut st, addr, end)?);
        } else if before {
            st.cut_back(addr - start);
        } else {
            st.cut_front(len);
        }
        let (from, bytes) = if st.level > 0 { (start, whole) } else { (addr, len) };
        fw.platform.unload(handle.space(), from, bytes);
        let shared = st.shared.clone();
        drop(st);
        let remains = self.shrink(fw, addr, end, new.map(Handles::One));
        self.tell(fw, &remains);
        if let Handles::One(handle) = &self.handles
            && let Some(shared) = &shared
        {
            let rest = match &remains {
                Remains::Two(rest) => rest.handle_at(0).unwrap_or(handle),
                _ => handle,
            };
            let (before, behind) = (before.then_some(handle), behind.then_some(rest));
            fw.call_unmap(handle, shared, (off, len), before, behind);
        }
        Ok(remains)
    }

    /// The same for a segment of several handles.
    #[inline(never)]
    fn unmap_many(&mut self, fw: &Framework<P>, addr: u64, len: u64) -> Result<Remains<P>, Errno> {
        let end = addr + len;
        let Handles::Many(list) = &self.handles else { return Err(Errno::EINVAL) };
        if addr == self.base && len == self.len {
            fw.unmap_list(list, addr, len)?;
            fw.segments.fetch_sub(1, Relaxed);
            self.len = 0;
            return Ok(Remains::Nothing);
        }
        if self.softlocked() {
            return Err(Errno::EAGAIN);
        }
        let (mut cuts, mut head, mut tail) = (Vec::new(), Vec::new(), Vec::new());
        // All memory that it takes, before anything is changed; the one new handle is made first.
        let room = list::reserve(&mut cuts, list.len())
            && list::reserve(&mut head, list.len())
            && list::reserve(&mut tail, list.len());
        if !room {
            return Err(Errno::ENOMEM);
        }
        fw.cut(list, addr, end, &mut cuts, &mut head, &mut tail)?;
        let remains = if head.is_empty() {
            self.handles = from_list(tail);
            self.shrink(fw, addr, end, None)
        } else {
            self.handles = from_list(head);
            self.shrink(fw, addr, end, (!tail.is_empty()).then(|| from_list(tail)))
        };
        self.tell(fw, &remains);
        for cut in cuts {
            fw.finish(&cut);
        }
        Ok(remains)
    }

    /// Unmaps the whole segment, whatever a driver has locked in it: the process that it was made for does not get it.
    #[expect(
        clippy::boxed_local,
        reason = "callers have a box; moved out of it, a segment takes more code than it does here"
    )]
    pub fn discard(mut self: Box<Self>, fw: &Framework<P>) {
        for handle in self.handles() {
            fw.drop_locks(handle);
        }
        let (base, len) = (self.base, self.len);
        // Nothing is locked any more.
        let _ = self.unmap(fw, base, len);
    }

    /// Takes `[addr, end)`, not all of the segment, out of its bounds; `rest` are the handles behind the hole, if there are any before it
    /// too.
    #[inline]
    fn shrink(&mut self, fw: &Framework<P>, addr: u64, end: u64, rest: Option<Handles<P>>) -> Remains<P> {
        let (base, old_end) = (self.base, self.end());
        if addr == base {
            self.off += end - base;
            self.base = end;
            self.len = old_end - end;
            return Remains::Some;
        }
        self.len = addr - base;
        let Some(handles) = rest else { return Remains::Some };
        fw.segments.fetch_add(1, Relaxed);
        Remains::Two(Box::new(Segment {
            base: end,
            len: old_end - end,
            off: self.off + (end - base),
            space: self.space.clone(),
            device: self.device.clone(),
            flags: self.flags,
            handles,
            data: P::SegmentData::default(),
        }))
    }

    /// Tells the platform what an unmap has left.
    fn tell(&self, fw: &Framework<P>, remains: &Remains<P>) {
        fw.platform.segment_changed(self, 0);
        if let Remains::Two(rest) = remains {
            fw.platform.segment_changed(rest, 0);
        }
    }

    /// Changes the protection of `[addr, addr + len)`, whole pages within the segment (`segop_setprot`). Keeps one protection for all
    /// pages as long as the whole segment is changed. The caller makes one change of a segment at a time; faults may go on meanwhile.
    ///
    /// # Errors
    /// `EAGAIN` when any page of the segment is soft-locked; `EACCES` beyond a handle's maximum; `ENOMEM` when there is no memory for
    /// protections by page. Nothing is done then.
    pub fn set_prot(&self, fw: &Framework<P>, addr: u64, len: u64, prot: Prot) -> Result<(), Errno> {
        if self.softlocked() {
            return Err(Errno::EAGAIN);
        }
        let end = addr + len;
        let affected = |h: &&Arc<Handle<P>>| {
            let st = h.lock();
            st.addr < end && addr < st.addr + st.len
        };
        if self.handles().filter(affected).any(|h| !h.lock().maxprot.contains(prot)) {
            return Err(Errno::EACCES);
        }
        let whole = addr == self.base && len == self.len;
        let paged = self.handles().next().is_some_and(|h| h.lock().paged());
        let one = whole && !paged;
        if one && self.handles().next().is_some_and(|h| h.lock().prot == prot) {
            return Ok(());
        }
        let large = self.handles().filter(affected).any(|h| h.lock().level > 0);
        // All memory that it takes, before anything is changed: a process chooses how much that is.
        let mut fresh = Vec::new();
        if !one && !paged {
            for handle in self.handles() {
                let st = handle.lock();
                let pages = list::filled(st.prot, (st.len >> PAGE_SHIFT) as usize).ok_or(Errno::ENOMEM)?;
                list::push(&mut fresh, pages).map_err(|_| Errno::ENOMEM)?;
            }
        }
        let mut fresh = fresh.into_iter();
        for handle in self.handles() {
            let mut st = handle.lock();
            if one {
                st.prot = prot;
            } else if let Some(pages) = fresh.next() {
                st.apart.get_or_insert_default().pages = pages;
            }
            let (from, to) = (addr.max(st.addr), end.min(st.addr + st.len));
            if from >= to {
                continue;
            }
            let (first, last) = ((from - st.addr) >> PAGE_SHIFT, (to - st.addr) >> PAGE_SHIFT);
            if let Some(apart) = &mut st.apart
                && let Some(pages) = apart.pages.get_mut(first as usize..last as usize)
            {
                pages.fill(prot);
            }
            if large {
                fw.platform.unload(handle.space(), st.addr, st.len);
            } else if (prot - Prot::USER).is_empty() || !st.frames().is_empty() {
                // Pages with memory of their own get the new protection when they are loaded again.
                fw.platform.unload(handle.space(), from, to - from);
            } else {
                fw.platform.protect(handle.space(), from, to - from, prot & st.maxprot, st.device_attr());
            }
        }
        fw.platform.segment_changed(self, 0);
        Ok(())
    }

    /// Duplicates the segment for `space` at the same addresses, without translations, and calls the dup callbacks.
    ///
    /// # Errors
    /// What a dup callback returned. The handles duplicated before it have had their unmap callback then; nothing is left.
    #[inline]
    pub fn dup(&self, fw: &Framework<P>, space: &P::Space) -> Result<Box<Segment<P>>, Errno> {
        let mapping = fw.new_mapping();
        let copy = |handles| {
            Box::new(Segment {
                base: self.base,
                len: self.len,
                off: self.off,
                space: space.clone(),
                device: self.device.clone(),
                flags: self.flags,
                handles,
                data: P::SegmentData::default(),
            })
        };
        let dup = match &self.handles {
            Handles::One(old) => {
                let (new, shared) = fw.copy_handle(old, space, mapping)?;
                let dup = copy(Handles::One(new));
                fw.platform.segment_changed(&dup, 0);
                if let (Handles::One(new), Some(shared)) = (&dup.handles, shared) {
                    fw.call_dup(old, new, &shared)?;
                }
                dup
            }
            Handles::Many(list) => {
                let mut room = Vec::new();
                if !list::reserve(&mut room, list.len()) {
                    return Err(Errno::ENOMEM);
                }
                let mut dup = copy(Handles::Many(room));
                for (i, (addr, old)) in list.iter().enumerate() {
                    if let Err(refusal) = fw.dup_one(&mut dup, i, *addr, old, mapping) {
                        dup.handles().take(i).for_each(|new| fw.discard(new));
                        return Err(refusal);
                    }
                }
                dup
            }
        };
        fw.segments.fetch_add(1, Relaxed);
        Ok(dup)
    }
}

type List<P> = Vec<(u64, Arc<Handle<P>>)>;

fn from_list<P: Platform>(mut list: List<P>) -> Handles<P> {
    if list.len() == 1
        && let Some((_, handle)) = list.pop()
    {
        return Handles::One(handle);
    }
    Handles::Many(list)
}

impl<P: Platform> Framework<P> {
    /// Drops the translations of `[addr, end)` and gives the handles their new bounds: the cuts, what stays before, what stays behind. There is
    /// room for them.
    fn cut(
        &self,
        list: &List<P>,
        addr: u64,
        end: u64,
        cuts: &mut Vec<Cut<P>>,
        head: &mut List<P>,
        tail: &mut List<P>,
    ) -> Result<(), Errno> {
        // What was loaded by large pages goes whole.
        let (mut from, mut to, mut large) = (addr, end, false);
        for (start, handle) in list {
            let st = handle.lock();
            if *start < end && addr < start + st.len {
                from = from.min(*start);
                to = to.max(start + st.len);
                large |= st.level > 0;
            }
        }
        if !large {
            (from, to) = (addr, end);
        }
        let space = list.first().map(|(_, handle)| handle.space().clone());
        for &(start, ref handle) in list {
            let mut st = handle.lock();
            if start + st.len <= addr {
                let _ = list::push(head, (start, handle.clone()));
                continue;
            }
            if start >= end {
                let _ = list::push(tail, (start, handle.clone()));
                continue;
            }
            // Fails only for a piece out of the middle, which then is the first that is cut.
            let cut = self.carve(handle, &mut st, addr, end)?;
            drop(st);
            if cut.before {
                let _ = list::push(head, (start, handle.clone()));
            }
            if cut.behind {
                let _ = list::push(tail, (end, cut.new.as_ref().unwrap_or(handle).clone()));
            }
            let _ = list::push(cuts, cut);
        }
        if let Some(space) = &space {
            self.platform.unload(space, from, to - from);
        }
        Ok(())
    }

    /// Takes what lies in `[addr, end)` out of a handle that has part of it.
    ///
    /// # Errors
    /// `ENOMEM` for a piece out of the middle; nothing is done then.
    fn carve(
        &self,
        handle: &Arc<Handle<P>>,
        st: &mut State<P>,
        addr: u64,
        end: u64,
    ) -> Result<Cut<P>, Errno> {
        let (start, stop) = (st.addr, st.addr + st.len);
        let (from, to) = (addr.max(start), end.min(stop));
        let (before, behind) = (start < from, to < stop);
        let (off, len) = (st.off + (from - start), to - from);
        let mut new = None;
        match (before, behind) {
            (false, false) => st.stage = Stage::Dying,
            (false, true) => st.cut_front(len),
            (true, false) => st.cut_back(from - start),
            (true, true) => new = Some(self.split(handle, st, from, to)?),
        }
        Ok(Cut { handle: handle.clone(), off, len, before, behind, new })
    }

    /// Copies the handle at `addr`, which is the one with index `i`, into a copy of its segment that has room for it.
    fn dup_one(
        &self,
        dup: &mut Segment<P>,
        i: usize,
        addr: u64,
        old: &Arc<Handle<P>>,
        mapping: u64,
    ) -> Result<(), Errno> {
        let (new, shared) = self.copy_handle(old, &dup.space, mapping)?;
        if let Handles::Many(made) = &mut dup.handles {
            let _ = list::push(made, (addr, new));
        }
        self.platform.segment_changed(dup, i);
        match (dup.handle_at(i), shared) {
            (Some(new), Some(shared)) => self.call_dup(old, new, &shared),
            _ => Ok(()),
        }
    }

    /// Unmaps and frees all handles of a segment that goes whole.
    fn unmap_list(&self, list: &List<P>, addr: u64, len: u64) -> Result<(), Errno> {
        for (i, (_, handle)) in list.iter().enumerate() {
            let mut st = handle.lock();
            if st.softlocked() {
                drop(st);
                list.iter().take(i).for_each(|(_, handle)| handle.lock().stage = Stage::SetUp);
                return Err(Errno::EAGAIN);
            }
            st.stage = Stage::Dying;
        }
        if let Some((_, first)) = list.first() {
            self.platform.unload(first.space(), addr, len);
        }
        for (_, handle) in list {
            let (shared, off, len, object) = handle.lock().retire();
            self.end_handle(handle, shared, off, len, object);
        }
        Ok(())
    }

    /// Copies a handle for another space; also returns its callbacks.
    ///
    /// # Errors
    /// `ENOMEM`.
    #[inline(always)]
    fn copy_handle(&self, old: &Arc<Handle<P>>, space: &P::Space, mapping: u64) -> Result<Copied<P>, Errno> {
        let st = old.lock();
        let mut state = st.duplicate().ok_or(Errno::ENOMEM)?;
        state.mapping = mapping;
        let new = Handle::new(space.clone(), state, old.pvt());
        self.platform().handle_copied(old, &new);
        self.handles.fetch_add(1, Relaxed);
        Ok((new, st.shared.clone()))
    }

    /// Calls the dup callback for a copied handle; frees it if the driver refuses.
    #[inline]
    fn call_dup(&self, old: &Arc<Handle<P>>, new: &Arc<Handle<P>>, shared: &Shared<P>) -> Result<(), Errno> {
        let callbacks = &shared.callbacks;
        if !callbacks.entries().dup {
            return Ok(());
        }
        let mut pvt = new.pvt();
        let ret = callbacks.dup(self, old, old.pvt(), new, &mut pvt);
        new.set_pvt(pvt);
        if ret != 0 {
            self.abandon(new);
            return Err(Errno(ret));
        }
        Ok(())
    }

    /// Takes `[addr, end)` out of the middle of a handle; returns a new one for what is behind.
    ///
    /// # Errors
    /// `ENOMEM`; nothing is done then.
    #[inline(never)]
    fn split(
        &self,
        handle: &Arc<Handle<P>>,
        st: &mut State<P>,
        addr: u64,
        end: u64,
    ) -> Result<Arc<Handle<P>>, Errno> {
        let mut rest = st.duplicate().ok_or(Errno::ENOMEM)?;
        rest.cut_front(end - st.addr);
        st.cut_back(addr - st.addr);
        self.handles.fetch_add(1, Relaxed);
        let copy = Handle::new(handle.space().clone(), rest, handle.pvt());
        self.platform().handle_copied(handle, &copy);
        Ok(copy)
    }

    /// Calls the unmap callback for a handle that was cut or goes, and frees one that goes.
    fn finish(&self, cut: &Cut<P>) {
        if !cut.before && !cut.behind {
            let (shared, off, len, object) = cut.handle.lock().retire();
            return self.end_handle(&cut.handle, shared, off, len, object);
        }
        let Some(shared) = cut.handle.lock().shared.clone() else { return };
        let rest = cut.new.as_ref().unwrap_or(&cut.handle);
        let (before, behind) = (cut.before.then_some(&cut.handle), cut.behind.then_some(rest));
        self.call_unmap(&cut.handle, &shared, (cut.off, cut.len), before, behind);
    }

    /// Calls the unmap callback for a handle of which something stays.
    #[inline]
    fn call_unmap(
        &self,
        handle: &Arc<Handle<P>>,
        shared: &Shared<P>,
        (off, len): (u64, u64),
        before: Option<&Arc<Handle<P>>>,
        behind: Option<&Arc<Handle<P>>>,
    ) {
        if !shared.callbacks.entries().unmap {
            return;
        }
        let (mut pvt1, mut pvt2) = (handle.pvt(), behind.map_or(0, |behind| behind.pvt()));
        let unmap = Unmap {
            off,
            len,
            before: before.map(|before| (before, &mut pvt1)),
            behind: behind.map(|behind| (behind, &mut pvt2)),
        };
        shared.callbacks.unmap(self, handle, handle.pvt(), unmap);
        if let Some(before) = before {
            before.set_pvt(pvt1);
        }
        if let Some(behind) = behind {
            behind.set_pvt(pvt2);
        }
    }
}
