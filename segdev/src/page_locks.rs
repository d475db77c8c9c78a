//! The soft-locked pages of a handle, and what softlock and softunlock faults do to them.
//!
//! A lock is what was really loaded with a lock, page by page, by a fault or by `devmap_load(9F)`. What an access callback locks while
//! it serves a softlock is remembered together with the range that the fault asked for, and the softunlock of that
//! range gives back exactly those pages, whatever the callback does then. So a fault that succeeds can be undone, one that fails has locked
//! nothing, and a softunlock never leaves a lock behind.
//!
//! Locking: counts and records are part of the handle's state; the callbacks run with no inner lock held, the space locked as reader.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::framework::Framework;
use crate::handle::{Handle, Hold};
use crate::list;
use crate::locked::{Changed, Serving};
use crate::object::View;
use crate::platform::{Access, Platform, Umem as _, UmemKind};
use crate::state::{Shape, State};
use crate::types::{Errno, FaultCode, FaultType, PAGE_SHIFT, Rw};

/// What a softlock fault has done to one handle.
pub(crate) struct Locked<P: Platform> {
    pub handle: Arc<Handle<P>>,
    /// The range that was asked for, as an offset within the handle and a length.
    pub range: (u64, u64),
    /// The pages that were really locked.
    pub pages: Changed,
}

/// The page indices of a range within a handle.
fn page_range((start, len): (u64, u64)) -> (usize, usize) {
    ((start >> PAGE_SHIFT) as usize, ((start + len) >> PAGE_SHIFT) as usize)
}

impl<P: Platform> State<P> {
    /// Whether any page is soft-locked.
    #[inline]
    pub(crate) fn softlocked(&self) -> bool {
        self.apart.0.as_ref().is_some_and(|apart| apart.locks.total > 0)
    }
}

impl<P: Platform> Hold<'_, P> {
    /// Takes one lock from every locked page of the index range; returns those pages.
    fn take_locks(&mut self, platform: &P, space: &P::Space, range: (usize, usize)) -> Changed {
        let Some(locks) = self.locks() else { return Changed::new() };
        let changed = locks.locked(range);
        for &(first, end) in &changed {
            locks.counts.iter_mut().take(end).skip(first).for_each(|n| *n -= 1);
            locks.total -= (end - first) as u64;
        }
        if locks.total == 0 {
            // Whatever softlocks had locked has been unlocked by other means.
            locks.taken.retain(|t| t.pages.is_empty());
        }
        let pageable = match self.object.view() {
            View::Umem(umem, koff) if umem.kind() == UmemKind::Pageable => Some((umem, koff)),
            _ => None,
        };
        for &(a, b) in &changed {
            let (start, len) = ((a as u64) << PAGE_SHIFT, ((b - a) as u64) << PAGE_SHIFT);
            platform.unlock(space, self.addr() + start, len);
            if let Some((umem, koff)) = pageable {
                umem.unlock_pages(koff + start, len);
            }
        }
        changed
    }

    /// Takes a lock from every locked page of `range`. Inside the access callback for a softunlock the pages that the fault asked for
    /// are left alone: they are given back when the callback has returned.
    pub(crate) fn unlock_range(
        &mut self,
        platform: &P,
        space: &P::Space,
        range: (u64, u64),
        changed: &mut Changed,
    ) -> FaultCode {
        let range = page_range(range);
        let served = self.locks().and_then(|l| l.served_by(platform.thread()));
        if served.is_some_and(|s| s.unlock && s.asked.0 < range.1 && range.0 < s.asked.1) {
            return FaultCode::OK;
        }
        *changed = self.take_locks(platform, space, range);
        if changed.is_empty() { FaultCode::EINVAL } else { FaultCode::OK }
    }

    /// It has returned; returns what was locked meanwhile on the fault's behalf.
    fn end(&mut self, thread: usize) -> Changed {
        let mut pages = None;
        let Some(locks) = self.locks() else { return Changed::new() };
        let Some(last) = locks.serving.iter().rposition(|s| s.thread == thread) else {
            return Changed::new();
        };
        let mut at = 0;
        locks.serving.retain_mut(|served| {
            let stays = at != last;
            at += 1;
            if !stays {
                pages = Some(core::mem::take(&mut served.pages));
            }
            stays
        });
        pages.unwrap_or_default()
    }
}

impl<P: Platform> Hold<'_, P> {
    /// Makes room for one count per page; false when there is no memory for them.
    fn can_count(&mut self) -> bool {
        let pages = (self.len() >> PAGE_SHIFT) as usize;
        let locks = &mut self.apart().locks;
        if locks.counts.len() == pages {
            return true;
        }
        let counts = list::filled(0, pages);
        counts.map(|counts| locks.counts = counts).is_some()
    }

    /// Records locks on `range`, for the softlock fault that the calling thread is serving if there is one.
    fn record_locks(&mut self, thread: usize, range: (u64, u64)) -> (usize, usize) {
        let range = page_range(range);
        let locks = &mut self.apart().locks;
        for count in locks.counts.iter_mut().take(range.1).skip(range.0) {
            *count += 1;
        }
        locks.total += (range.1 - range.0) as u64;
        if let Some(served) = locks.served_by(thread).filter(|s| !s.unlock) {
            let _ = list::push(&mut served.pages, range);
        }
        range
    }

    /// Loads `range` with a lock on every page. Pages whose locks changed are added to `changed`, here and below.
    pub(crate) fn lock_range(
        &mut self,
        platform: &P,
        space: &P::Space,
        range: (u64, u64),
        rw: Rw,
        changed: &mut Changed,
    ) -> FaultCode {
        if !self.can_count() {
            return FaultCode::from_errno(Errno::ENOMEM.0);
        }
        let rc = self.load_range(platform, space, range.0, range.1, rw, true);
        if rc.is_ok() {
            let _ = list::push(changed, self.record_locks(platform.thread(), range));
        }
        rc
    }

    /// The access callback is about to be called for a fault that locks or unlocks. False when there is no memory to note it: it must not be
    /// called then.
    fn begin(&mut self, thread: usize, unlock: bool, range: (u64, u64)) -> bool {
        let asked = page_range(range);
        let serving = &mut self.apart().locks.serving;
        list::push(serving, Serving { thread, unlock, asked, pages: Changed::new() }).is_ok()
    }
}

impl<P: Platform> Framework<P> {
    /// Calls the access callback for a softlock.
    ///
    /// # Errors
    /// What the driver returned; nothing is locked then.
    pub(crate) fn softlock_by_callback(
        &self,
        handle: &Arc<Handle<P>>,
        callbacks: &P::Callbacks,
        within: (u64, u64),
        range: Access,
    ) -> Result<Locked<P>, i32> {
        let thread = self.platform.thread();
        if !handle.lock().begin(thread, false, within) {
            return Err(Errno::ENOMEM.0);
        }
        let ret = self.call_access(handle, callbacks, range);
        let pages = handle.lock().end(thread);
        if ret != 0 {
            self.take_back(handle, &pages);
            return Err(ret);
        }
        let Some(copy) = list::copied(pages.iter().copied()) else {
            self.take_back(handle, &pages);
            return Err(Errno::ENOMEM.0);
        };
        handle.lock().apart().locks.remember(page_range(within), copy);
        Ok(Locked { handle: handle.clone(), range: within, pages })
    }

    /// Calls the access callback for a softunlock (unless `callbacks` is `None`), then gives the pages back whatever it answered. An
    /// unlock that has no lock is `EINVAL`, and the driver is not called.
    pub(crate) fn softunlock_by_callback(
        &self,
        handle: &Arc<Handle<P>>,
        callbacks: Option<&P::Callbacks>,
        within: (u64, u64),
        range: Access,
    ) -> i32 {
        let claimed = handle.lock().locks().and_then(|l| l.claim(page_range(within)));
        let Some(pages) = claimed else { return Errno::EINVAL.0 };
        self.unlock_pages(handle, callbacks, within, range, &pages)
    }

    fn unlock_pages(
        &self,
        handle: &Arc<Handle<P>>,
        callbacks: Option<&P::Callbacks>,
        within: (u64, u64),
        range: Access,
        pages: &[(usize, usize)],
    ) -> i32 {
        let ret = callbacks.map_or(0, |callbacks| {
            let thread = self.platform.thread();
            if !handle.lock().begin(thread, true, within) {
                return Errno::ENOMEM.0;
            }
            let ret = self.call_access(handle, callbacks, range);
            handle.lock().end(thread);
            ret
        });
        self.take_back(handle, pages);
        ret
    }

    /// Takes one lock from each of these pages.
    fn take_back(&self, handle: &Arc<Handle<P>>, pages: &[(usize, usize)]) {
        if pages.is_empty() {
            return;
        }
        let mut changed = Changed::new();
        let first = {
            let mut st = handle.lock();
            for &range in pages {
                for range in st.take_locks(&self.platform, handle.space(), range) {
                    let _ = list::push(&mut changed, range);
                }
            }
            st.off() >> PAGE_SHIFT
        };
        self.tell_softlock(handle, first, &changed, false);
    }

    /// Takes every lock that a driver has left on a handle.
    pub(crate) fn drop_locks(&self, handle: &Arc<Handle<P>>) {
        loop {
            let pages = {
                let st = handle.lock();
                if !st.softlocked() {
                    return;
                }
                st.len() >> PAGE_SHIFT
            };
            self.take_back(handle, &[(0, pages as usize)]);
        }
    }

    /// Undoes what a softlock fault has done, in order, with access "other".
    pub(crate) fn undo_softlock(&self, done: Vec<Locked<P>>) {
        for Locked { handle, range, pages } in done {
            let shared = handle.shared().filter(|shared| shared.turns.is_some());
            let off = {
                let mut st = handle.lock();
                if st.shape().intersects(Shape::NOT_SET_UP) {
                    continue;
                }
                if shared.is_some() {
                    let asked = page_range(range);
                    let forgotten =
                        st.locks().and_then(|l| l.forget(|t| t.asked == asked && t.pages == pages));
                    if forgotten.is_none() {
                        // Another thread of the process has unlocked them meanwhile.
                        continue;
                    }
                }
                st.off() + range.0
            };
            let access = Access { off, len: range.1, ty: FaultType::Softunlock, rw: Rw::Other };
            self.unlock_pages(&handle, shared.map(|s| &s.callbacks), range, access, &pages);
        }
    }
}

/// How many locks of this softlock a fault has taken that has locked this so far.
pub(crate) fn locks_through<P: Platform>(
    done: &[Locked<P>],
    softlock: &Arc<crate::softlock::Softlock<P>>,
) -> u64 {
    let through = |locked: &&Locked<P>| {
        locked.handle.turns().is_some_and(|turns| Arc::ptr_eq(&turns.softlock, softlock))
    };
    let pages = done.iter().filter(through).flat_map(|locked| &locked.pages);
    pages.map(|(first, end)| (end - first) as u64).sum()
}
