//! Changes of a segment as a whole: unmap in its four shapes, protection changes, duplication.
//!
//! Locking: the space's lock is held as writer (fork: both spaces'), so no fault or load is in progress in it; no inner
//! lock across the driver's callbacks. Translations go first, then the handles get their new bounds, then the callbacks run.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU64;
use core::sync::atomic::Ordering::Relaxed;

use crate::framework::Framework;
use crate::handle::Handle;
use crate::list;
use crate::object::Object;
use crate::platform::{Callbacks as _, Platform, Unmap};
use crate::segment::{List, Many, Segment};
use crate::shared::Shared;
use crate::state::Shape;
use crate::types::{Errno, PAGE_SHIFT, Prot};

/// Remains of a segment after an unmap.
pub enum Remains<P: Platform> {
    /// Nothing: drop it.
    Nothing,
    /// The segment, shorter: its base may have moved up.
    Some,
    /// The segment, now ending before the hole, and a new one behind it.
    Two(Segment<P>),
}

/// Cut of one handle.
struct Cut<P: Platform> {
    handle: Arc<Handle<P>>,
    off: u64,
    len: u64,
    before: bool,
    behind: bool,
    /// The new handle for the rest, when the middle goes.
    new: Option<Arc<Handle<P>>>,
}

/// Pieces that an unmap makes of a segment of several handles.
struct Pieces<P: Platform> {
    cuts: Vec<Cut<P>>,
    /// Handles before the hole.
    head: List<P>,
    /// Handles behind the hole.
    tail: List<P>,
}

impl<P: Platform> Many<P> {
    /// Drops what the handles map, which have no translations any more.
    #[inline(never)]
    fn let_go(&self) {
        for handle in &self.list {
            let object = handle.lock().take_object();
            drop(object);
        }
    }

    /// As [`Segment::unmap_whole`].
    ///
    /// # Errors
    /// As [`Segment::unmap_whole`].
    #[inline(never)]
    pub fn unmap_whole(&self, fw: &Framework<P>) -> Result<(), Errno> {
        // Nothing is to be loaded any more by the callbacks of others.
        let mut kernel_memory = false;
        for handle in &self.list {
            let mut st = handle.lock();
            if st.shape().contains(Shape::APART) && st.softlocked() {
                drop(st);
                self.revive_before(handle);
                return Err(Errno::EAGAIN);
            }
            let shape = st.shape() | Shape::DYING;
            st.reshape(shape);
            kernel_memory |= st.object.is_umem();
        }
        fw.platform.unload(&self.space, self.base, self.len, false);
        if kernel_memory {
            self.let_go();
        }
        for handle in &self.list {
            fw.end_handle(handle, Object::NONE, true);
        }
        fw.handles.fetch_sub(self.list.len(), Relaxed);
        fw.manys.fetch_sub(1, Relaxed);
        Ok(())
    }

    /// Handles before this one are not dying after all.
    #[cold]
    #[inline(never)]
    fn revive_before(&self, stop: &Arc<Handle<P>>) {
        let before = self.list.iter().take_while(|handle| !Arc::ptr_eq(handle, stop));
        before.for_each(|handle| handle.lock().mark(Shape::DYING, false));
    }

    /// Drops the translations of `[addr, end)` and gives the handles their new bounds. There is room for the pieces.
    fn cut(&self, fw: &Framework<P>, addr: u64, end: u64, pieces: &mut Pieces<P>) -> Result<(), Errno> {
        let (mut from, mut to) = (addr, end);
        for handle in &self.list {
            let start = handle.addr();
            let stop = start + handle.len();
            if stop <= addr {
                let _ = list::push(&mut pieces.head, handle.clone());
                continue;
            }
            if start >= end {
                let _ = list::push(&mut pieces.tail, handle.clone());
                continue;
            }
            // What was loaded by large pages goes whole.
            if handle.shape().contains(Shape::LARGE) {
                (from, to) = (from.min(start), to.max(stop));
            }
            // Fails only for a piece out of the middle, which then is the first that is cut.
            let cut = self.carve(fw, handle, (start, stop), addr, end)?;
            if cut.before {
                let _ = list::push(&mut pieces.head, handle.clone());
            }
            if cut.behind {
                let _ = list::push(&mut pieces.tail, cut.new.as_ref().unwrap_or(handle).clone());
            }
            let _ = list::push(&mut pieces.cuts, cut);
        }
        fw.platform.unload(&self.space, from, to - from, false);
        Ok(())
    }

    /// Takes what lies in `[addr, end)` out of a handle that has part of it.
    ///
    /// # Errors
    /// `ENOMEM` for a piece out of the middle; nothing is done then.
    fn carve(
        &self,
        fw: &Framework<P>,
        handle: &Arc<Handle<P>>,
        (start, stop): (u64, u64),
        addr: u64,
        end: u64,
    ) -> Result<Cut<P>, Errno> {
        let (from, to) = (addr.max(start), end.min(stop));
        let (before, behind) = (start < from, to < stop);
        let new = match before && behind {
            true => Some(fw.copy_handle(handle, &self.space, handle.mapping(), to - start)?),
            false => None,
        };
        let mut st = handle.lock();
        if before {
            st.cut_back(from - start);
        } else if behind {
            st.cut_front(to - from);
        } else {
            st.mark(Shape::DYING, true);
        }
        drop(st);
        let off = self.off + (from - self.base);
        Ok(Cut { handle: handle.clone(), off, len: to - from, before, behind, new })
    }

    /// Takes `[addr, end)`, not all of the segment, out of its bounds. Returns what is behind the hole, if there is something before it, too.
    fn shrink(&mut self, addr: u64, end: u64, head: List<P>, tail: List<P>) -> Option<Segment<P>> {
        let (base, old_end) = (self.base, self.end());
        let off = self.off + (end - base);
        if head.is_empty() {
            (self.base, self.len, self.off, self.list) = (end, old_end - end, off, tail);
            return None;
        }
        (self.len, self.list) = (addr - base, head);
        if tail.is_empty() {
            return None;
        }
        Some(Segment::Many(Arc::new(Many {
            base: end,
            len: old_end - end,
            off,
            space: self.space.clone(),
            device: self.device.clone(),
            flags: self.flags,
            list: tail,
            data: P::SegmentData::default(),
        })))
    }

    /// As [`Segment::dup`].
    ///
    /// # Errors
    /// As [`Segment::dup`].
    #[inline(never)]
    pub fn dup(&self, fw: &Framework<P>, space: &P::Space) -> Result<Segment<P>, Errno> {
        let mapping = fw.new_mapping();
        let mut room = Vec::new();
        if !list::reserve(&mut room, self.list.len()) {
            return Err(Errno::ENOMEM);
        }
        let mut dup = Segment::Many(Arc::new(Many {
            base: self.base,
            len: self.len,
            off: self.off,
            space: space.clone(),
            device: self.device.clone(),
            flags: self.flags,
            list: room,
            data: P::SegmentData::default(),
        }));
        for (i, old) in self.list.iter().enumerate() {
            let copied = fw.copy_handle(old, space, mapping, 0).and_then(|new| {
                if let Segment::Many(dup) = &mut dup
                    && let Some(dup) = Arc::get_mut(dup)
                {
                    let _ = list::push(&mut dup.list, new);
                }
                fw.platform.segment_changed(&dup, i);
                dup.handle_at(i).map_or(Ok(()), |new| fw.call_dup_of_many(old, new))
            });
            if let Err(refusal) = copied {
                dup.handles().iter().take(i).for_each(|new| fw.discard(new, true));
                return Err(refusal);
            }
        }
        dup.count(fw, 1);
        Ok(dup)
    }
}

impl<P: Platform> Segment<P> {
    /// Unmaps all of it. It is empty then.
    ///
    /// # Errors
    /// `EAGAIN` when any page is soft-locked; nothing is done then.
    #[inline(always)]
    pub fn unmap_whole(&self, fw: &Framework<P>) -> Result<(), Errno> {
        match self {
            Self::One(handle) => fw.unmap_only(handle),
            Self::Many(many) => many.unmap_whole(fw),
        }
    }

    /// Unmaps `[addr, addr + len)`, whole pages within the segment. After [`Remains::Nothing`] the segment is empty.
    ///
    /// # Errors
    /// `EAGAIN` when any page of the segment is soft-locked; nothing is done then.
    #[inline(always)]
    pub fn unmap(&mut self, fw: &Framework<P>, addr: u64, len: u64) -> Result<Remains<P>, Errno> {
        if addr == self.base() && len == self.len() {
            self.unmap_whole(fw)?;
            return Ok(Remains::Nothing);
        }
        Ok(self.unmap_part(fw, addr, len)?.map_or(Remains::Some, Remains::Two))
    }

    /// Unmaps `[addr, addr + len)`, whole pages within the segment, not all of them. Returns a new segment for what is behind the hole, if there is
    /// something before it, too; this one ends before it then.
    ///
    /// # Errors
    /// As [`Segment::unmap`].
    #[inline(always)]
    pub fn unmap_part(
        &mut self,
        fw: &Framework<P>,
        addr: u64,
        len: u64,
    ) -> Result<Option<Segment<P>>, Errno> {
        match self {
            Self::One(handle) => Ok(fw.cut(handle, addr, len)?.map(Self::One)),
            Self::Many(_) => self.cut_many(fw, addr, addr + len),
        }
    }

    /// As [`Segment::unmap_part`] for a segment of several handles; `EINVAL` for others.
    ///
    /// # Errors
    /// As [`Segment::unmap`].
    #[inline(never)]
    pub fn cut_many(&mut self, fw: &Framework<P>, addr: u64, end: u64) -> Result<Option<Segment<P>>, Errno> {
        if self.softlocked() {
            return Err(Errno::EAGAIN);
        }
        let Self::Many(many) = self else { return Err(Errno::EINVAL) };
        // Nobody else has it.
        let many = Arc::get_mut(many).ok_or(Errno::EINVAL)?;
        let room = many.list.len();
        let mut pieces = Pieces { cuts: Vec::new(), head: Vec::new(), tail: Vec::new() };
        // All memory that it takes, before anything is changed; the one new handle is made first.
        if !(list::reserve(&mut pieces.cuts, room)
            && list::reserve(&mut pieces.head, room)
            && list::reserve(&mut pieces.tail, room))
        {
            return Err(Errno::ENOMEM);
        }
        many.cut(fw, addr, end, &mut pieces)?;
        let Pieces { cuts, head, tail } = pieces;
        fw.handles.fetch_sub(many.list.len(), Relaxed);
        let rest = many.shrink(addr, end, head, tail);
        fw.handles.fetch_add(many.list.len(), Relaxed);
        if let Some(rest) = &rest {
            rest.count(fw, 1);
        }
        fw.platform.segment_changed(self, 0);
        if let Some(rest) = &rest {
            fw.platform.segment_changed(rest, 0);
        }
        for cut in cuts {
            fw.finish(&cut);
        }
        Ok(rest)
    }

    /// Unmaps the whole segment, whatever a driver has locked in it: the process that it was made for does not get it. `space_locked`
    /// tells whether the caller holds its space.
    pub fn discard(self, fw: &Framework<P>, space_locked: bool) {
        for handle in self.handles() {
            fw.discard(handle, space_locked);
        }
        self.count(fw, -1);
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
        let (mut denied, mut large, mut paged, mut same) = (false, false, false, true);
        for handle in self.handles() {
            let st = handle.lock();
            if st.addr() < end && addr < st.addr() + st.len() {
                denied |= !st.terms.prots.max.contains(prot);
                large |= st.terms.level > 0;
            }
            paged |= st.paged();
            same &= st.terms.prots.prot == prot;
        }
        if denied {
            return Err(Errno::EACCES);
        }
        let one = addr == self.base() && len == self.len() && !paged;
        if one && same {
            return Ok(());
        }
        // All memory that it takes, before anything is changed: a process chooses how much that is.
        let mut fresh = Vec::new();
        if !one && !paged {
            for handle in self.handles() {
                let st = handle.lock();
                let pages = list::filled(st.terms.prots.prot, (st.len() >> PAGE_SHIFT) as usize)
                    .ok_or(Errno::ENOMEM)?;
                list::push(&mut fresh, pages).map_err(|_| Errno::ENOMEM)?;
            }
        }
        let mut fresh = fresh.into_iter();
        for handle in self.handles() {
            let mut st = handle.lock();
            if one {
                st.terms.prots.prot = prot;
            } else if let Some(pages) = fresh.next() {
                st.apart().pages = pages;
            }
            let (from, to) = (addr.max(st.addr()), end.min(st.addr() + st.len()));
            if from >= to {
                continue;
            }
            let (first, last) = ((from - st.addr()) >> PAGE_SHIFT, (to - st.addr()) >> PAGE_SHIFT);
            if let Some(apart) = &mut st.apart.0
                && let Some(pages) = apart.pages.get_mut(first as usize..last as usize)
            {
                pages.fill(prot);
            }
            if large {
                fw.platform.unload(handle.space(), st.addr(), st.len(), st.softlocked());
            } else if (prot - Prot::USER).is_empty() || !st.frames().is_empty() {
                // Pages with memory of their own get the new protection when they are loaded again.
                fw.platform.unload(handle.space(), from, to - from, st.softlocked());
            } else {
                fw.platform.protect(
                    handle.space(),
                    from,
                    to - from,
                    prot & st.terms.prots.max,
                    st.device_attr(),
                );
            }
        }
        fw.platform.segment_changed(self, 0);
        Ok(())
    }

    /// Duplicates the segment for `space` at the same addresses, without translations, and calls the dup callbacks.
    ///
    /// # Errors
    /// What a dup callback returned. The handles duplicated before it have had their unmap callback then; nothing is left.
    #[inline(always)]
    pub fn dup(&self, fw: &Framework<P>, space: &P::Space) -> Result<Segment<P>, Errno> {
        match self {
            Self::One(handle) => Ok(Self::One(fw.dup_only(handle, space)?)),
            Self::Many(many) => many.dup(fw, space),
        }
    }
}

impl<P: Platform> Framework<P> {
    /// As [`Segment::unmap_whole`] for the segment of this handle only.
    ///
    /// # Errors
    /// As [`Segment::unmap_whole`].
    #[inline(always)]
    pub fn unmap_only(&self, handle: &Arc<Handle<P>>) -> Result<(), Errno> {
        self.unmap_whole(handle, true)?;
        self.ones.fetch_sub(1, Relaxed);
        Ok(())
    }

    /// As [`Segment::dup`] for the segment of this handle only.
    ///
    /// # Errors
    /// As [`Segment::dup`].
    #[inline(always)]
    pub fn dup_only(&self, old: &Arc<Handle<P>>, space: &P::Space) -> Result<Arc<Handle<P>>, Errno> {
        let dup = self.copy_handle(old, space, self.new_mapping(), 0)?;
        Segment::changed(&self.platform, &dup);
        self.call_dup(old, &dup)?;
        self.ones.fetch_add(1, Relaxed);
        Ok(dup)
    }

    /// As [`Segment::unmap_part`] for the segment of this handle only. Returns the new handle that is a segment of its own.
    ///
    /// # Errors
    /// As [`Segment::unmap`].
    #[inline(always)]
    pub fn cut(&self, handle: &Arc<Handle<P>>, addr: u64, len: u64) -> Result<Option<Arc<Handle<P>>>, Errno> {
        let end = addr + len;
        let (start, whole) = (handle.addr(), handle.len());
        let (before, behind) = (start < addr, end < start + whole);
        let off = handle.off() + (addr - start);
        if handle.softlocked() {
            return Err(Errno::EAGAIN);
        }
        let mut rest = None;
        if before && behind {
            rest = Some(self.copy_handle(handle, handle.space(), handle.mapping(), end - start)?);
            self.ones.fetch_add(1, Relaxed);
        }
        let mut st = handle.lock();
        let (from, bytes) = if st.terms.level > 0 { (start, whole) } else { (addr, len) };
        if before {
            st.cut_back(addr - start);
        } else {
            st.cut_front(len);
        }
        self.platform.unload(handle.space(), from, bytes, false);
        drop(st);
        Segment::changed(&self.platform, handle);
        if let Some(rest) = &rest {
            Segment::changed(&self.platform, rest);
        }
        if let Some(shared) = handle.shared() {
            let behind = rest.as_ref().or(if behind { Some(handle) } else { None });
            let before = if before { Some(handle) } else { None };
            self.call_unmap(handle, shared, (off, len), before, behind);
        }
        Ok(rest)
    }

    /// Copies what lies from `from` on in a handle, for a mapping of this name.
    ///
    /// # Errors
    /// `ENOMEM`; nothing is done then.
    #[inline(always)]
    fn copy_handle(
        &self,
        old: &Arc<Handle<P>>,
        space: &P::Space,
        mapping: NonZeroU64,
        from: u64,
    ) -> Result<Arc<Handle<P>>, Errno> {
        let new = old.copy(space.clone(), mapping, from).ok_or(Errno::ENOMEM)?;
        self.platform.handle_copied(old, &new);
        Ok(new)
    }

    /// The same where it is called for many.
    #[inline(never)]
    fn call_dup_of_many(&self, old: &Arc<Handle<P>>, new: &Arc<Handle<P>>) -> Result<(), Errno> {
        self.call_dup(old, new)
    }

    /// Calls the dup callback for a copied handle; frees it if the driver refuses.
    #[inline(always)]
    fn call_dup(&self, old: &Arc<Handle<P>>, new: &Arc<Handle<P>>) -> Result<(), Errno> {
        let Some(shared) = old.shared().filter(|shared| shared.callbacks.entries().dup) else {
            return Ok(());
        };
        let mut pvt = new.pvt();
        let ret = shared.callbacks.dup(self, old, old.pvt(), new, &mut pvt);
        new.set_private(pvt);
        if ret != 0 {
            self.abandon(new);
            return Err(Errno(ret));
        }
        Ok(())
    }

    /// Calls the unmap callback for a handle that was cut or goes, and frees one that goes.
    fn finish(&self, cut: &Cut<P>) {
        if !cut.before && !cut.behind {
            let object = cut.handle.lock().retire();
            return self.end_piece(&cut.handle, object, true);
        }
        let Some(shared) = cut.handle.shared() else { return };
        let rest = cut.new.as_ref().unwrap_or(&cut.handle);
        let (before, behind) = (cut.before.then_some(&cut.handle), cut.behind.then_some(rest));
        self.call_unmap(&cut.handle, shared, (cut.off, cut.len), before, behind);
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
        let pvts = [handle.pvt(), behind.map_or(0, |behind| behind.pvt())];
        let mut cut = Unmap { off, len, before, behind, pvts };
        shared.callbacks.unmap_part(self, handle, &mut cut);
        let [pvt1, pvt2] = cut.pvts;
        if let Some(before) = before {
            before.set_private(pvt1);
        }
        if let Some(behind) = behind {
            behind.set_private(pvt2);
        }
    }
}
