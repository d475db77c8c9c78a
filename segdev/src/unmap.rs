//! What changes a segment as a whole: unmap in its four shapes, protection changes, duplication.
//!
//! Locking: the space's lock is held as writer (fork: both spaces'), so no fault or load is in progress in it; no inner
//! lock across the driver's callbacks. Translations go first, then the handles get their new bounds, then the callbacks run.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use crate::framework::Framework;
use crate::handle::{Handle, Stage, State};
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
    Two(Segment<P>),
}

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
    pub fn unmap(&mut self, fw: &Framework<P>, addr: u64, len: u64) -> Result<Remains<P>, Errno> {
        let end = addr + len;
        if let Handles::One(handle) = &self.handles
            && addr == self.base
            && len == self.len
        {
            fw.unmap_whole(handle)?;
            fw.free_handle(handle);
            fw.segments.fetch_sub(1, Relaxed);
            self.handles = Handles::Many(Vec::new());
            self.len = 0;
            return Ok(Remains::Nothing);
        }
        if let Handles::Many(list) = &self.handles
            && addr == self.base
            && len == self.len
        {
            fw.unmap_list(list, addr, len)?;
            fw.segments.fetch_sub(1, Relaxed);
            self.handles = Handles::Many(Vec::new());
            self.len = 0;
            return Ok(Remains::Nothing);
        }
        if let Handles::One(handle) = &self.handles {
            if handle.lock().softlocked() {
                return Err(Errno::EAGAIN);
            }
            // One handle needs no lists.
            let handle = handle.clone();
            let cut = fw.cut_one(&handle, addr, end);
            let rest = cut.new.clone().filter(|_| cut.before);
            let remains = self.shrink(fw, addr, end, rest.map(Handles::One));
            self.tell(fw, &remains);
            fw.call_unmap(&cut);
            return Ok(remains);
        }
        if self.softlocked() {
            return Err(Errno::EAGAIN);
        }
        let list = self.take_list();
        let (cuts, head, tail) = fw.cut(list, addr, end);
        let remains = if head.is_empty() {
            self.handles = from_list(tail);
            self.shrink(fw, addr, end, None)
        } else {
            self.handles = from_list(head);
            self.shrink(fw, addr, end, (!tail.is_empty()).then(|| from_list(tail)))
        };
        self.tell(fw, &remains);
        for cut in cuts {
            fw.call_unmap(&cut);
            if !cut.before && !cut.behind {
                fw.free_handle(&cut.handle);
            }
        }
        Ok(remains)
    }

    /// Unmaps the whole segment, whatever a driver has locked in it: the process that it was made for does not get it.
    pub fn discard(mut self, fw: &Framework<P>) {
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
        Remains::Two(Segment {
            base: end,
            len: old_end - end,
            off: self.off + (end - base),
            space: self.space.clone(),
            device: self.device.clone(),
            flags: self.flags,
            handles,
            data: P::SegmentData::default(),
        })
    }

    /// Tells the platform what an unmap has left.
    fn tell(&self, fw: &Framework<P>, remains: &Remains<P>) {
        fw.platform.segment_changed(self, 0);
        if let Remains::Two(rest) = remains {
            fw.platform.segment_changed(rest, 0);
        }
    }

    fn take_list(&mut self) -> Vec<(u64, Arc<Handle<P>>)> {
        match core::mem::replace(&mut self.handles, Handles::Many(Vec::new())) {
            Handles::One(handle) => alloc::vec![(self.base, handle)],
            Handles::Many(list) => list,
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
        let paged = self.handles().next().is_some_and(|h| h.lock().pages.is_some());
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
                fresh.push(filled(st.prot, (st.len >> PAGE_SHIFT) as usize).ok_or(Errno::ENOMEM)?);
            }
        }
        let mut fresh = fresh.into_iter();
        for handle in self.handles() {
            let mut st = handle.lock();
            if one {
                st.prot = prot;
            } else if let Some(pages) = fresh.next() {
                st.pages = Some(pages.into());
            }
            let (from, to) = (addr.max(st.addr), end.min(st.addr + st.len));
            if from >= to {
                continue;
            }
            let (first, last) = ((from - st.addr) >> PAGE_SHIFT, (to - st.addr) >> PAGE_SHIFT);
            if let Some(pages) = &mut st.pages {
                pages[first as usize..last as usize].fill(prot);
            }
            if large {
                fw.platform.unload(handle.space(), st.addr, st.len);
            } else if (prot - Prot::USER).is_empty() {
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
    pub fn dup(&self, fw: &Framework<P>, space: &P::Space) -> Result<Segment<P>, Errno> {
        let mapping = fw.new_mapping();
        let mut dup = Segment {
            base: self.base,
            len: self.len,
            off: self.off,
            space: space.clone(),
            device: self.device.clone(),
            flags: self.flags,
            handles: Handles::Many(List::new()),
            data: P::SegmentData::default(),
        };
        match &self.handles {
            Handles::One(old) => {
                let (new, callbacks) = fw.copy_handle(old, space, mapping);
                dup.handles = Handles::One(new.clone());
                fw.platform.segment_changed(&dup, 0);
                fw.call_dup(old, &new, callbacks)?;
            }
            Handles::Many(list) => {
                dup.handles = Handles::Many(List::with_capacity(list.len()));
                for (i, (addr, old)) in list.iter().enumerate() {
                    let (new, callbacks) = fw.copy_handle(old, space, mapping);
                    if let Handles::Many(made) = &mut dup.handles {
                        made.push((*addr, new.clone()));
                    }
                    fw.platform.segment_changed(&dup, i);
                    if let Err(refusal) = fw.call_dup(old, &new, callbacks) {
                        dup.handles().take(i).for_each(|new| fw.discard(new));
                        return Err(refusal);
                    }
                }
            }
        }
        fw.segments.fetch_add(1, Relaxed);
        Ok(dup)
    }
}

type List<P> = Vec<(u64, Arc<Handle<P>>)>;

/// So many times the same value, or `None` when there is no memory for them.
pub(crate) fn filled<T: Copy>(value: T, count: usize) -> Option<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(count).ok()?;
    list.resize(count, value);
    Some(list)
}

fn from_list<P: Platform>(mut list: List<P>) -> Handles<P> {
    if list.len() == 1
        && let Some((_, handle)) = list.pop()
    {
        return Handles::One(handle);
    }
    list.shrink_to_fit();
    Handles::Many(list)
}

impl<P: Platform> Framework<P> {
    /// Drops the translations of `[addr, end)` and gives the handles their new bounds: the cuts, what stays before, what stays behind.
    fn cut(&self, list: List<P>, addr: u64, end: u64) -> (Vec<Cut<P>>, List<P>, List<P>) {
        let (mut cuts, mut head, mut tail) = (Vec::new(), List::new(), List::new());
        // What was loaded by large pages goes whole.
        let (mut from, mut to, mut large) = (addr, end, false);
        for (start, handle) in &list {
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
        for (start, handle) in list {
            let mut st = handle.lock();
            if start + st.len <= addr {
                drop(st);
                head.push((start, handle));
                continue;
            }
            if start >= end {
                drop(st);
                tail.push((start, handle));
                continue;
            }
            let cut = self.carve(&handle, &mut st, addr, end);
            drop(st);
            if cut.before {
                head.push((start, handle.clone()));
            }
            if cut.behind {
                tail.push((end, cut.new.as_ref().unwrap_or(&handle).clone()));
            }
            cuts.push(cut);
        }
        if let Some(space) = &space {
            self.platform.unload(space, from, to - from);
        }
        (cuts, head, tail)
    }

    /// The same for a segment of one handle, of which something stays.
    fn cut_one(&self, handle: &Arc<Handle<P>>, addr: u64, end: u64) -> Cut<P> {
        let mut st = handle.lock();
        let (from, to) = if st.level > 0 { (st.addr, st.addr + st.len) } else { (addr, end) };
        let cut = self.carve(handle, &mut st, addr, end);
        self.platform.unload(handle.space(), from, to - from);
        cut
    }

    /// Takes what lies in `[addr, end)` out of a handle that has part of it.
    fn carve(&self, handle: &Arc<Handle<P>>, st: &mut State<P>, addr: u64, end: u64) -> Cut<P> {
        let (start, stop) = (st.addr, st.addr + st.len);
        let (from, to) = (addr.max(start), end.min(stop));
        let (before, behind) = (start < from, to < stop);
        let (off, len) = (st.off + (from - start), to - from);
        let mut new = None;
        match (before, behind) {
            (false, false) => st.stage = Stage::Dying,
            (false, true) => st.cut_front(len),
            (true, false) => st.cut_back(from - start),
            (true, true) => {
                let mut rest = st.duplicate();
                rest.cut_front(to - start);
                st.cut_back(from - start);
                self.handles.fetch_add(1, Relaxed);
                let copy = Handle::new(handle.space().clone(), rest, handle.pvt());
                self.platform().handle_copied(handle, &copy);
                new = Some(copy);
            }
        }
        Cut { handle: handle.clone(), off, len, before, behind, new }
    }

    /// Unmaps and frees all handles of a segment that goes whole.
    fn unmap_list(&self, list: &List<P>, addr: u64, len: u64) -> Result<(), Errno> {
        for (i, (_, handle)) in list.iter().enumerate() {
            let mut st = handle.lock();
            if st.softlocked() {
                drop(st);
                list[..i].iter().for_each(|(_, handle)| handle.lock().stage = Stage::SetUp);
                return Err(Errno::EAGAIN);
            }
            st.stage = Stage::Dying;
        }
        if let Some((_, first)) = list.first() {
            self.platform.unload(first.space(), addr, len);
        }
        for (_, handle) in list {
            let (callbacks, off, len, object) = {
                let mut st = handle.lock();
                (st.callbacks.clone(), st.off, st.len, st.take_object())
            };
            drop(object);
            if let Some(callbacks) = callbacks
                && callbacks.entries().unmap
            {
                callbacks.unmap(self, handle, handle.pvt(), Unmap { off, len, before: None, behind: None });
            }
            self.free_handle(handle);
        }
        Ok(())
    }

    /// Copies a handle for another space; also its callbacks.
    fn copy_handle(
        &self,
        old: &Arc<Handle<P>>,
        space: &P::Space,
        mapping: u64,
    ) -> (Arc<Handle<P>>, Option<P::Callbacks>) {
        let st = old.lock();
        let state = State { mapping, ..st.duplicate() };
        let new = Handle::new(space.clone(), state, old.pvt());
        self.platform().handle_copied(old, &new);
        self.handles.fetch_add(1, Relaxed);
        (new, st.callbacks.clone())
    }

    /// Calls the dup callback for a copied handle; frees it if the driver refuses.
    fn call_dup(
        &self,
        old: &Arc<Handle<P>>,
        new: &Arc<Handle<P>>,
        callbacks: Option<P::Callbacks>,
    ) -> Result<(), Errno> {
        let Some(callbacks) = callbacks.filter(|c| c.entries().dup) else { return Ok(()) };
        let mut pvt = new.pvt();
        let ret = callbacks.dup(self, old, old.pvt(), new, &mut pvt);
        new.set_pvt(pvt);
        if ret != 0 {
            self.abandon(new);
            return Err(Errno(ret));
        }
        Ok(())
    }

    fn call_unmap(&self, cut: &Cut<P>) {
        let (callbacks, object) = {
            let mut st = cut.handle.lock();
            let whole = !cut.before && !cut.behind;
            (st.callbacks.clone(), whole.then(|| st.take_object()))
        };
        drop(object);
        let Some(callbacks) = callbacks else { return };
        if !callbacks.entries().unmap {
            return;
        }
        let rest = cut.new.as_ref().unwrap_or(&cut.handle);
        let (mut pvt1, mut pvt2) = (cut.handle.pvt(), rest.pvt());
        let unmap = Unmap {
            off: cut.off,
            len: cut.len,
            before: cut.before.then_some((&cut.handle, &mut pvt1)),
            behind: cut.behind.then_some((rest, &mut pvt2)),
        };
        callbacks.unmap(self, &cut.handle, cut.handle.pvt(), unmap);
        if cut.before {
            cut.handle.set_pvt(pvt1);
        }
        if cut.behind {
            rest.set_pvt(pvt2);
        }
    }
}
