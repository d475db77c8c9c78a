//! Faults: handle by handle, with the driver's access callback or without.
//!
//! Locking: the caller holds the space's lock as reader, no inner lock. Nothing here sleeps: a fault that must wait for a context or
//! a softlock comes back as [`Blocked`], so that the caller can let go of the space first and look everything up again afterwards.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::context::Context;
use crate::framework::Framework;
use crate::handle::{Handle, Stage};
use crate::load::Changed;
use crate::platform::{Access, Callbacks as _, MutexGuard, Platform};
use crate::segment::Segment;
use crate::softlock::{Entry, Softlock, Ticket};
use crate::types::{FaultCode, FaultType, PAGE_SHIFT, Rw, SetupFlags};

/// What a fault must wait for, with the space not locked.
pub(crate) enum Blocked<P: Platform> {
    /// A context that this mapping does not own.
    Context(Arc<Context<P>>, u64),
    /// Pages that another space has soft-locked.
    Softlock(Arc<Softlock<P>>, Ticket<P>),
}

impl<P: Platform> Blocked<P> {
    /// Sleeps until it is worth trying again; true if interrupted first.
    pub(crate) fn wait(self, platform: &P) -> bool {
        match self {
            Self::Context(ctx, mapping) => ctx.wait_free(platform, mapping),
            Self::Softlock(softlock, ticket) => softlock.wait(platform, &ticket),
        }
    }
}

/// How far a fault has come.
pub(crate) struct Progress {
    /// The address up to which it is served.
    pub at: u64,
    /// A handle without access callback was served in the present segment: driver's errors are no longer wrapped.
    pub plain: bool,
}

/// What a softlock fault has done to one handle.
pub(crate) struct Locked<P: Platform> {
    handle: Arc<Handle<P>>,
    /// The range that was asked for, as an offset within the handle and a length.
    range: (u64, u64),
    /// The pages that were really locked.
    pages: Changed,
}

/// What a softlock fault has done so far, to be undone if it fails; other faults leave it empty.
pub(crate) type Undo<P> = Option<Vec<Locked<P>>>;

impl<P: Platform> Segment<P> {
    /// Serves the fault from `progress.at` to `end`, which lie in the segment.
    pub(crate) fn fault_step(
        &self,
        fw: &Framework<P>,
        progress: &mut Progress,
        undo: &mut Undo<P>,
        end: u64,
        ty: FaultType,
        rw: Rw,
    ) -> Result<FaultCode, Box<Blocked<P>>> {
        if ty == FaultType::Prot {
            // There is no copy on write: a translation that forbids the access stays as it is.
            return Ok(FaultCode::PROT);
        }
        if ty == FaultType::Softlock && self.any_remappable(progress.at, end) {
            return Ok(FaultCode::NOSUPPORT);
        }
        let mut index = match self.index_of(progress.at) {
            Some(index) => index,
            None => return Ok(FaultCode::NOMAP),
        };
        while progress.at < end {
            let Some(handle) = self.handle_at(index) else { return Ok(FaultCode::NOMAP) };
            let st = handle.lock();
            let start = progress.at - st.addr;
            let len = (end - progress.at).min(st.len - start);
            let rc = if st.access {
                fw.serve_access(handle, st, (start, len), ty, rw, (progress.plain, undo))?
            } else {
                progress.plain = true;
                fw.serve_plain(handle, st, (start, len), ty, rw, undo)
            };
            if !rc.is_ok() {
                return Ok(rc);
            }
            progress.at += len;
            index += 1;
        }
        Ok(FaultCode::OK)
    }

    #[inline(never)]
    fn any_remappable(&self, addr: u64, end: u64) -> bool {
        let Some(first) = self.index_of(addr) else { return false };
        (first..).map_while(|i| self.handle_at(i)).any(|handle| {
            let st = handle.lock();
            st.addr < end && st.flags.contains(SetupFlags::ALLOW_REMAP)
        })
    }
}

impl<P: Platform> Framework<P> {
    /// Serves a handle without access callback.
    #[inline]
    fn serve_plain(
        &self,
        handle: &Arc<Handle<P>>,
        st: MutexGuard<'_, P, crate::handle::State<P>>,
        range: (u64, u64),
        ty: FaultType,
        rw: Rw,
        undo: &mut Undo<P>,
    ) -> FaultCode {
        let range = st.widen(self.platform.page_sizes(), range.0, range.1);
        if ty == FaultType::Inval {
            return st.load_range(&self.platform, handle.space(), range.0, range.1, rw, false);
        }
        self.serve_plain_locking(handle, st, range, ty, rw, undo)
    }

    #[inline(never)]
    fn serve_plain_locking(
        &self,
        handle: &Arc<Handle<P>>,
        mut st: MutexGuard<'_, P, crate::handle::State<P>>,
        range: (u64, u64),
        ty: FaultType,
        rw: Rw,
        undo: &mut Undo<P>,
    ) -> FaultCode {
        let mut changed = Changed::new();
        let rc = st.serve_range(&self.platform, handle.space(), range, ty, rw, &mut changed);
        if ty == FaultType::Softlock && rc.is_ok() {
            undo.get_or_insert_default().push(Locked { handle: handle.clone(), range, pages: changed });
        }
        rc
    }

    /// Serves a handle by its access callback.
    fn serve_access(
        &self,
        handle: &Arc<Handle<P>>,
        mut st: MutexGuard<'_, P, crate::handle::State<P>>,
        (start, len): (u64, u64),
        ty: FaultType,
        rw: Rw,
        (plain, undo): (bool, &mut Undo<P>),
    ) -> Result<FaultCode, Box<Blocked<P>>> {
        let (start, len) = st.widen(self.platform.page_sizes(), start, len);
        let (Some(callbacks), Some(softlock)) = (st.callbacks.clone(), st.softlock.clone()) else {
            return Ok(FaultCode::NOMAP);
        };
        let mapping = st.mapping;
        let turn = if st.ticks > 0 && self.platform.ncpus() > 1 { st.ctx.clone() } else { None };
        let range = Access { off: st.off + start, len, ty, rw };
        st.must_wait = false;
        drop(st);

        // Keep off pages that others have soft-locked.
        let ticket = Ticket {
            space: handle.space().clone(),
            first: range.off >> PAGE_SHIFT,
            last: (range.off + len - 1) >> PAGE_SHIFT,
            exclusive: ty == FaultType::Softlock,
        };
        let guarded = ty != FaultType::Softunlock;
        if guarded {
            let own = if ticket.exclusive { locks_through(undo, &softlock) } else { 0 };
            match softlock.enter(&ticket, own) {
                Entry::In => {}
                Entry::Refused => return Ok(FaultCode::EAGAIN),
                Entry::Busy => return Err(Box::new(Blocked::Softlock(softlock, ticket))),
            }
        }
        // Get the context before the driver is called, which must not wait for it with the space locked.
        if let Some(ctx) = &turn
            && !ctx.try_enter(mapping)
        {
            if guarded {
                softlock.leave(&self.platform, &ticket);
            }
            return Err(Box::new(Blocked::Context(ctx.clone(), mapping)));
        }

        let ret = if ty == FaultType::Inval {
            callbacks.access(self, handle, handle.pvt(), range)
        } else {
            self.locking_access(handle, &callbacks, (start, len), range, undo)
        };

        if let Some(ctx) = &turn {
            ctx.leave(&self.platform);
        }
        if guarded {
            softlock.leave(&self.platform, &ticket);
        }
        if ret == 0 { Ok(FaultCode::OK) } else { self.refused(handle, ret, plain) }
    }

    /// An access callback has answered other than 0: try again after a wait, or wrap it.
    #[cold]
    fn refused(&self, handle: &Arc<Handle<P>>, ret: i32, plain: bool) -> Result<FaultCode, Box<Blocked<P>>> {
        let mut st = handle.lock();
        if core::mem::take(&mut st.must_wait)
            && let Some(ctx) = &st.ctx
        {
            return Err(Box::new(Blocked::Context(ctx.clone(), st.mapping)));
        }
        Ok(if plain { FaultCode(ret) } else { FaultCode::from_errno(ret) })
    }

    /// Calls the access callback for a softlock or softunlock, and keeps the locks as they ought to be whatever it did: a softlock
    /// that fails has locked nothing, a softunlock that fails has unlocked all the same.
    #[inline(never)]
    fn locking_access(
        &self,
        handle: &Arc<Handle<P>>,
        callbacks: &P::Callbacks,
        within: (u64, u64),
        range: Access,
        undo: &mut Undo<P>,
    ) -> i32 {
        if range.ty == FaultType::Softunlock {
            let pages = page_range(within);
            let locked = {
                let st = handle.lock();
                let counts = st.locks.as_ref().map_or(&[][..], |l| &l.counts[..]);
                counts.iter().take(pages.1).skip(pages.0).any(|c| *c > 0)
            };
            if !locked {
                // An unlock that has no lock. The caller makes `FC_MAKE_ERR(EINVAL)` of it.
                return crate::types::Errno::EINVAL.0;
            }
            return self.unlock_by_callback(handle, callbacks, range, &[pages]);
        }
        let id = handle.lock().begin_request(false);
        let ret = callbacks.access(self, handle, handle.pvt(), range);
        let pages = handle.lock().end_request(id);
        if ret == 0 {
            undo.get_or_insert_default().push(Locked { handle: handle.clone(), range: within, pages });
        } else {
            self.take_back(handle, &pages);
        }
        ret
    }

    /// Calls the access callback for a softunlock, then unlocks those of `pages` that it has not.
    fn unlock_by_callback(
        &self,
        handle: &Arc<Handle<P>>,
        callbacks: &P::Callbacks,
        range: Access,
        pages: &[(usize, usize)],
    ) -> i32 {
        let id = handle.lock().begin_request(true);
        let ret = callbacks.access(self, handle, handle.pvt(), range);
        let done = handle.lock().end_request(id);
        let mut left = Changed::new();
        for &(first, end) in pages {
            for page in first..end {
                if done.iter().any(|&(a, b)| (a..b).contains(&page)) {
                    continue;
                }
                match left.last_mut() {
                    Some(last) if last.1 == page => last.1 += 1,
                    _ => left.push((page, page + 1)),
                }
            }
        }
        self.take_back(handle, &left);
        ret
    }

    /// Takes one lock from each of these pages.
    fn take_back(&self, handle: &Arc<Handle<P>>, pages: &[(usize, usize)]) {
        if pages.is_empty() {
            return;
        }
        let mut changed = Changed::new();
        let (softlock, first) = {
            let mut st = handle.lock();
            for &(a, b) in pages {
                changed.extend(st.take_locks(&self.platform, handle.space(), a, b));
            }
            (st.softlock.clone(), st.off >> PAGE_SHIFT)
        };
        self.tell_softlock(softlock.as_ref(), handle, first, &changed, false);
    }

    /// Takes every lock that a driver has left on a handle.
    pub(crate) fn drop_locks(&self, handle: &Arc<Handle<P>>) {
        loop {
            let pages = {
                let st = handle.lock();
                if !st.softlocked() {
                    return;
                }
                st.locks.as_ref().map_or(0, |l| l.counts.len())
            };
            self.take_back(handle, &[(0, pages)]);
        }
    }

    /// Undoes what a softlock fault has done, in order, with access "other".
    pub(crate) fn undo_softlock(&self, undo: &mut Undo<P>) {
        for Locked { handle, range: (start, len), pages } in undo.take().into_iter().flatten() {
            let (callbacks, off) = {
                let st = handle.lock();
                if st.stage != Stage::SetUp {
                    continue;
                }
                (st.callbacks.clone().filter(|_| st.access), st.off + start)
            };
            match callbacks {
                Some(callbacks) => {
                    let range = Access { off, len, ty: FaultType::Softunlock, rw: Rw::Other };
                    self.unlock_by_callback(&handle, &callbacks, range, &pages);
                }
                None => self.take_back(&handle, &pages),
            }
        }
    }
}

fn page_range((start, len): (u64, u64)) -> (usize, usize) {
    ((start >> PAGE_SHIFT) as usize, ((start + len) >> PAGE_SHIFT) as usize)
}

/// How many locks of this softlock the fault has taken so far.
fn locks_through<P: Platform>(undo: &Undo<P>, softlock: &Arc<Softlock<P>>) -> u64 {
    let through = |locked: &&Locked<P>| {
        locked.handle.lock().softlock.as_ref().is_some_and(|s| Arc::ptr_eq(s, softlock))
    };
    let pages = undo.iter().flatten().filter(through).flat_map(|locked| &locked.pages);
    pages.map(|(first, end)| (end - first) as u64).sum()
}
