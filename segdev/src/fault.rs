//! Faults: handle by handle, with the driver's access callback or without.
//!
//! Locking: the caller holds the space's lock as reader, no inner lock. Nothing here sleeps: a fault that must wait for a context or
//! a softlock comes back as [`Blocked`], so that the caller can let go of the space first and look everything up again afterwards.

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
pub(crate) struct Progress<P: Platform> {
    /// The address up to which it is served.
    pub at: u64,
    /// A handle without access callback was served in the present segment: driver's errors are no longer wrapped.
    pub plain: bool,
    /// For a softlock: what was locked, to be undone if it fails.
    pub locked: Option<Vec<Locked<P>>>,
}

/// What a softlock fault has done to one handle.
pub(crate) struct Locked<P: Platform> {
    handle: Arc<Handle<P>>,
    /// The range that was asked for, as an offset within the handle and a length.
    range: (u64, u64),
    /// The pages that were really locked.
    pages: Changed,
}

impl<P: Platform> Progress<P> {
    pub(crate) const fn new(addr: u64) -> Self {
        Self { at: addr, plain: false, locked: None }
    }
}

impl<P: Platform> Segment<P> {
    /// Serves the fault from `progress.at` to `end`, which lie in the segment.
    pub(crate) fn fault_step(
        &self,
        fw: &Framework<P>,
        progress: &mut Progress<P>,
        end: u64,
        ty: FaultType,
        rw: Rw,
    ) -> Result<FaultCode, Blocked<P>> {
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
                fw.serve_access(handle, st, (start, len), ty, rw, progress)?
            } else {
                progress.plain = true;
                fw.serve_plain(handle, st, (start, len), ty, rw, progress)
            };
            if !rc.is_ok() {
                return Ok(rc);
            }
            progress.at += len;
            index += 1;
        }
        Ok(FaultCode::OK)
    }

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
        mut st: MutexGuard<'_, P, crate::handle::State<P>>,
        range: (u64, u64),
        ty: FaultType,
        rw: Rw,
        progress: &mut Progress<P>,
    ) -> FaultCode {
        let range = st.widen(self.platform.page_sizes(), range.0, range.1);
        if ty == FaultType::Inval {
            return st.load_range(&self.platform, handle.space(), range.0, range.1, rw, false);
        }
        let mut changed = Changed::new();
        let rc = st.serve_range(&self.platform, handle.space(), range, ty, rw, &mut changed);
        if ty == FaultType::Softlock && rc.is_ok() {
            progress.locked.get_or_insert_default().push(Locked { handle: handle.clone(), range, pages: changed });
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
        progress: &mut Progress<P>,
    ) -> Result<FaultCode, Blocked<P>> {
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
            match softlock.enter(&ticket) {
                Entry::In => {}
                Entry::Refused => return Ok(FaultCode::EAGAIN),
                Entry::Busy => return Err(Blocked::Softlock(softlock, ticket)),
            }
        }
        // Get the context before the driver is called, which must not wait for it with the space locked.
        if let Some(ctx) = &turn
            && !ctx.try_enter(mapping)
        {
            if guarded {
                softlock.leave(&self.platform, &ticket);
            }
            return Err(Blocked::Context(ctx.clone(), mapping));
        }

        let ret = if ty == FaultType::Inval {
            callbacks.access(self, handle, handle.pvt(), range)
        } else {
            self.locking_access(handle, &callbacks, (start, len), range, progress)
        };

        if let Some(ctx) = &turn {
            ctx.leave(&self.platform);
        }
        if guarded {
            softlock.leave(&self.platform, &ticket);
        }
        if ret == 0 {
            return Ok(FaultCode::OK);
        }
        let mut st = handle.lock();
        if core::mem::take(&mut st.must_wait)
            && let Some(ctx) = &st.ctx
        {
            return Err(Blocked::Context(ctx.clone(), mapping));
        }
        Ok(if progress.plain { FaultCode(ret) } else { FaultCode::from_errno(ret) })
    }

    /// Calls the access callback for a softlock or softunlock, and keeps the locks as they ought to be whatever it did: a softlock
    /// that fails has locked nothing, a softunlock that fails has unlocked all the same.
    fn locking_access(
        &self,
        handle: &Arc<Handle<P>>,
        callbacks: &P::Callbacks,
        within: (u64, u64),
        range: Access,
        progress: &mut Progress<P>,
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
            progress.locked.get_or_insert_default().push(Locked { handle: handle.clone(), range: within, pages });
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

    /// Undoes what a softlock fault has done, in order, with access "other".
    pub(crate) fn undo_softlock(&self, locked: &mut Option<Vec<Locked<P>>>) {
        for Locked { handle, range: (start, len), pages } in locked.take().into_iter().flatten() {
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
