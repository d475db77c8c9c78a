//! Faults: handle by handle, with the driver's access callback or without.
//!
//! A fault stops at the first handle that refuses it, or at a hole; a softlock has then locked nothing. A softunlock goes on to its end
//! whatever it meets, and returns the first error.
//!
//! Locking: the caller holds the space's lock as reader, no inner lock. Nothing here sleeps with it held: a fault that must wait for a
//! context or a softlock comes back as [`Blocked`], so that the caller can release the space first and look everything up again afterwards.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU64;

use crate::context::Context;
use crate::framework::Framework;
use crate::handle::{Handle, Hold};
use crate::list;
use crate::locked::Changed;
use crate::page_locks::{Locked, locks_through};
use crate::platform::{Access, Callbacks as _, Platform};
use crate::segment::Segment;
use crate::shared::Turns;
use crate::softlock::{Entry, Softlock, Ticket};
use crate::state::Shape;
use crate::types::{Errno, FaultCode, FaultType, PAGE_SHIFT, PAGE_SIZE, Rw, SetupFlags};

/// What a fault must wait for, with the space not locked.
pub(crate) enum Blocked<P: Platform> {
    /// A context that this mapping does not own.
    Context(Arc<Context<P>>, NonZeroU64),
    /// Pages that another space has soft-locked.
    Softlock(Arc<Softlock<P>>, Ticket<P>),
}

impl<P: Platform> Blocked<P> {
    /// Sleeps until it may be worth trying again. Returns true if interrupted.
    pub(crate) fn wait(self, platform: &P) -> bool {
        match self {
            Self::Context(ctx, mapping) => ctx.wait_free(platform, mapping),
            Self::Softlock(softlock, ticket) => softlock.wait(platform, &ticket),
        }
    }
}

/// What serving a part of a fault ends with.
pub(crate) type Step<P> = Result<FaultCode, Box<Blocked<P>>>;

/// What a fault asks for: `[start, end)`, whole pages.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub start: u64,
    pub end: u64,
    pub ty: FaultType,
    pub rw: Rw,
}

/// How far a fault has come.
pub(crate) struct Progress<P: Platform> {
    /// The address up to which it is served.
    at: u64,
    /// A handle without access callback was served in the present segment: driver's errors are no longer wrapped.
    plain: bool,
    done: Done<P>,
}

/// What is to be kept of the handles that were served.
enum Done<P: Platform> {
    /// Nothing.
    Nothing,
    /// What a softlock has locked, to be undone if it fails.
    Locked(Vec<Locked<P>>),
    /// The first error of a softunlock, which goes on; with `alone`, without the driver.
    Failed { rc: FaultCode, alone: bool },
}

impl<P: Platform> Done<P> {
    fn locked(&self) -> &[Locked<P>] {
        match self {
            Self::Locked(list) => list,
            _ => &[],
        }
    }

    /// Makes room for something more to be locked; false when there is no memory for it.
    fn reserve(&mut self) -> bool {
        if !matches!(self, Self::Locked(_)) {
            *self = Self::Locked(Vec::new());
        }
        match self {
            Self::Locked(list) => list::reserve(list, 1),
            _ => false,
        }
    }

    /// Adds what a softlock has locked, for which there is room.
    fn lock(&mut self, locked: Locked<P>) {
        if let Self::Locked(list) = self {
            let _ = list::push(list, locked);
        }
    }

    /// Keeps the first error of a softunlock.
    #[cold]
    fn fail(&mut self, rc: FaultCode) {
        if !matches!(self, Self::Failed { .. }) {
            *self = Self::Failed { rc, alone: false };
        }
    }

    fn alone(&self) -> bool {
        matches!(self, Self::Failed { alone: true, .. })
    }
}

impl<P: Platform> Progress<P> {
    #[inline]
    pub(crate) fn new(asked: Asked) -> Self {
        Self { at: asked.start, plain: false, done: Done::Nothing }
    }

    /// Serves what is left, as far as it goes without waiting. `segment_at` finds the segment that holds an address, `next` the first
    /// address from one on that a segment holds; the space is locked.
    #[inline]
    pub(crate) fn attempt<'a>(
        &mut self,
        fw: &Framework<P>,
        asked: Asked,
        segment_at: impl Fn(u64) -> Option<&'a Segment<P>>,
        next: impl Fn(u64) -> Option<u64>,
    ) -> Step<P> {
        loop {
            let step = match segment_at(self.at) {
                Some(segment) => segment.fault_step(fw, asked, self),
                None if asked.ty == FaultType::Softunlock => {
                    self.done.fail(FaultCode::NOMAP);
                    self.at = next(self.at).map_or(asked.end, |at| at.min(asked.end));
                    Ok(FaultCode::OK)
                }
                None => Ok(FaultCode::NOMAP),
            };
            if !step.as_ref().is_ok_and(|rc| rc.is_ok()) {
                return self.stop(fw, step);
            }
            if self.at >= asked.end {
                return if asked.ty == FaultType::Softunlock { self.stop(fw, step) } else { step };
            }
            self.plain = false;
        }
    }

    /// The fault has failed or must wait, or a softunlock is over: nothing stays locked meanwhile, and its first error counts.
    #[inline(never)]
    fn stop(&mut self, fw: &Framework<P>, step: Step<P>) -> Step<P> {
        match core::mem::replace(&mut self.done, Done::Nothing) {
            Done::Nothing => step,
            Done::Locked(list) => {
                fw.undo_softlock(list);
                step
            }
            Done::Failed { rc, alone } => {
                self.done = Done::Failed { rc, alone };
                step.map(|_| rc)
            }
        }
    }

    /// Waits, with the space not locked, before the fault is tried again; returns what it ends with if it is not.
    #[inline(never)]
    pub(crate) fn wait(&mut self, fw: &Framework<P>, asked: Asked, blocked: Blocked<P>) -> Option<FaultCode> {
        if asked.ty == FaultType::Softlock {
            *self = Self::new(asked);
        }
        if !blocked.wait(&fw.platform) {
            return None;
        }
        if asked.ty != FaultType::Softunlock {
            return Some(FaultCode::EINTR);
        }
        self.go_alone();
        None
    }

    /// A softunlock unlocks what is left without the driver.
    pub(crate) fn go_alone(&mut self) {
        self.done.fail(FaultCode::EINTR);
        if let Done::Failed { alone, .. } = &mut self.done {
            *alone = true;
        }
    }
}

impl<P: Platform> Segment<P> {
    /// Serves the usual fault: an access without a translation, within one handle, with nothing to wait for. `None` for any other, of which
    /// nothing is served then: see [`Segment::try_fault`].
    #[inline(always)]
    pub fn usual_fault(&self, fw: &Framework<P>, addr: u64, len: u64, rw: Rw) -> Option<FaultCode> {
        let (handle, start, whole) = self.piece_at(addr)?;
        let start = addr - start;
        if len > whole - start {
            return None;
        }
        let this: &Handle<P> = handle;
        // What a handle with an access callback maps is locked when it is loaded; its bounds stay while the space is locked.
        if this.shape() == Shape::ACCESS {
            let shared = this.shared()?;
            let softlock = &shared.turns.as_ref()?.softlock;
            let off = this.off() + start;
            let ticket =
                softlock.enter_freely(this.space(), off >> PAGE_SHIFT, (off + len - 1) >> PAGE_SHIFT)?;
            let access = Access { off, len, ty: FaultType::Inval, rw };
            let ret = shared.callbacks.access(fw, handle, this.pvt(), access);
            softlock.leave(&fw.platform, ticket);
            if ret == 0 {
                return Some(FaultCode::OK);
            }
            return fw.refused_usual(handle, ret);
        }
        let st = this.lock();
        let (start, len) = st.around(start, len);
        let usual =
            st.shape().is_empty() && st.load_at_once(&fw.platform, this.space(), start, len, rw, false);
        usual.then_some(FaultCode::OK)
    }

    /// Serves the fault as far as it lies in the segment.
    #[inline]
    fn fault_step(&self, fw: &Framework<P>, asked: Asked, progress: &mut Progress<P>) -> Step<P> {
        let (mut asked, mut at) = (asked, progress.at);
        let end = asked.end.min(self.end());
        if asked.ty == FaultType::Prot {
            if !self.is_kept_by_frame(fw, at, asked.rw) {
                // There is no copy on write: a translation that forbids the access stays as it is.
                return Ok(FaultCode::PROT);
            }
            asked.ty = FaultType::Inval;
        }
        let ty = asked.ty;
        if ty == FaultType::Softlock && self.any_remappable(at, end) {
            return Ok(FaultCode::NOSUPPORT);
        }
        let mut index = match self.index_of(at) {
            Some(index) => index,
            None => return Ok(FaultCode::NOMAP),
        };
        while at < end {
            let Some(handle) = self.handle_at(index) else { return Ok(FaultCode::NOMAP) };
            let st = handle.lock();
            let start = at - st.addr();
            let len = (end - at).min(st.len() - start);
            let rc = if st.shape().contains(Shape::ACCESS) {
                fw.serve_access(handle, st, (start, len), asked, progress)?
            } else {
                progress.plain = true;
                fw.serve_plain(handle, st, (start, len), asked, progress)
            };
            if !rc.is_ok() {
                if ty != FaultType::Softunlock {
                    return Ok(rc);
                }
                progress.done.fail(rc);
            }
            at += len;
            progress.at = at;
            index += 1;
        }
        Ok(FaultCode::OK)
    }

    /// Whether the page's own protection, now or when it was loaded, is all that keeps the access from it: then it is unloaded, and the driver is asked.
    #[inline(never)]
    fn is_kept_by_frame(&self, fw: &Framework<P>, addr: u64, rw: Rw) -> bool {
        let Some(handle) = self.index_of(addr).and_then(|index| self.handle_at(index)) else { return false };
        let st = handle.lock();
        let kept = st.is_kept_by_frame(addr - st.addr(), rw);
        if kept {
            fw.platform.unload(handle.space(), addr, PAGE_SIZE, st.softlocked());
        }
        kept
    }

    #[inline(never)]
    fn any_remappable(&self, addr: u64, end: u64) -> bool {
        let Some(first) = self.index_of(addr) else { return false };
        self.handles().iter().skip(first).any(|handle| {
            let st = handle.lock();
            st.addr() < end && st.terms.flags.contains(SetupFlags::ALLOW_REMAP)
        })
    }
}

impl<P: Platform> Framework<P> {
    /// Serves a handle without access callback.
    #[inline]
    fn serve_plain(
        &self,
        handle: &Arc<Handle<P>>,
        st: Hold<'_, P>,
        range: (u64, u64),
        asked: Asked,
        progress: &mut Progress<P>,
    ) -> FaultCode {
        let range = st.widen(self.platform.page_sizes(), range.0, range.1);
        if asked.ty == FaultType::Inval {
            let load =
                |(start, len)| st.load_range(&self.platform, handle.space(), start, len, asked.rw, false);
            let more = st.around(range.0, range.1);
            // The access needs only its own range.
            return if more != range && load(more).is_ok() { FaultCode::OK } else { load(range) };
        }
        self.serve_plain_locking(handle, st, range, asked, progress)
    }

    #[inline(never)]
    fn serve_plain_locking(
        &self,
        handle: &Arc<Handle<P>>,
        mut st: Hold<'_, P>,
        range: (u64, u64),
        asked: Asked,
        progress: &mut Progress<P>,
    ) -> FaultCode {
        if asked.ty == FaultType::Softlock && !progress.done.reserve() {
            return FaultCode::EAGAIN;
        }
        let mut pages = Changed::new();
        let rc = st.serve_range(&self.platform, handle.space(), range, asked.ty, asked.rw, &mut pages);
        if asked.ty == FaultType::Softlock && rc.is_ok() {
            progress.done.lock(Locked { handle: handle.clone(), range, pages });
        }
        rc
    }

    /// Serves a handle by its access callback.
    fn serve_access(
        &self,
        handle: &Arc<Handle<P>>,
        mut st: Hold<'_, P>,
        (start, len): (u64, u64),
        asked: Asked,
        progress: &mut Progress<P>,
    ) -> Step<P> {
        let (start, len) = st.widen(self.platform.page_sizes(), start, len);
        let Some(shared) = handle.shared() else { return Ok(FaultCode::NOMAP) };
        let Some(Turns { ctx, softlock }) = &shared.turns else { return Ok(FaultCode::NOMAP) };
        let callbacks = &shared.callbacks;
        let mapping = handle.mapping();
        let timed = st.shape().contains(Shape::TIMED);
        let mut turn = Some(ctx).filter(|_| timed && self.platform.ncpus() > 1);
        let (ty, rw) = (asked.ty, asked.rw);
        let range = Access { off: st.off() + start, len, ty, rw };
        st.mark(Shape::MUST_WAIT, false);
        drop(st);

        // Keep off pages that others have soft-locked.
        let mut ticket = Ticket {
            number: 0,
            space: handle.space().clone(),
            first: range.off >> PAGE_SHIFT,
            last: (range.off + len - 1) >> PAGE_SHIFT,
            exclusive: ty == FaultType::Softlock,
        };
        let guarded = ty != FaultType::Softunlock;
        if guarded {
            let own = if ticket.exclusive { locks_through(progress.done.locked(), softlock) } else { 0 };
            match softlock.enter(&ticket, own) {
                Entry::In(number) => ticket.number = number,
                Entry::Refused => return Ok(FaultCode::EAGAIN),
                Entry::Busy => return Err(Box::new(Blocked::Softlock(softlock.clone(), ticket))),
            }
        }
        // Get the context before the driver is called, which must not wait for it with the space locked.
        if let Some(ctx) = turn
            && !ctx.try_enter(mapping)
        {
            if !progress.done.alone() {
                if guarded {
                    softlock.left(&self.platform, ticket.number);
                }
                return Err(Box::new(Blocked::Context(ctx.clone(), mapping)));
            }
            // The driver is not called.
            turn = None;
        }

        let ret = if ty == FaultType::Inval {
            self.call_access(handle, callbacks, range)
        } else {
            self.locking_access(handle, callbacks, (start, len), range, progress)
        };

        if let Some(ctx) = turn {
            ctx.leave(&self.platform);
        }
        if guarded {
            softlock.left(&self.platform, ticket.number);
        }
        if ret == 0 { Ok(FaultCode::OK) } else { self.refused(handle, ret, ty, progress.plain) }
    }

    /// Calls the access callback, for where it is rare.
    #[inline(never)]
    pub(crate) fn call_access(
        &self,
        handle: &Arc<Handle<P>>,
        callbacks: &P::Callbacks,
        range: Access,
    ) -> i32 {
        callbacks.access(self, handle, handle.pvt(), range)
    }

    #[inline(never)]
    fn locking_access(
        &self,
        handle: &Arc<Handle<P>>,
        callbacks: &P::Callbacks,
        within: (u64, u64),
        range: Access,
        progress: &mut Progress<P>,
    ) -> i32 {
        if range.ty == FaultType::Softunlock {
            let callbacks = Some(callbacks).filter(|_| !progress.done.alone());
            return self.softunlock_by_callback(handle, callbacks, within, range);
        }
        if !progress.done.reserve() {
            return Errno::EAGAIN.0;
        }
        match self.softlock_by_callback(handle, callbacks, within, range) {
            Ok(locked) => {
                progress.done.lock(locked);
                0
            }
            Err(ret) => ret,
        }
    }

    /// The same in a usual fault: `None` if the callback has set a timeout, and must wait for its turn.
    #[cold]
    #[inline(never)]
    fn refused_usual(&self, handle: &Arc<Handle<P>>, ret: i32) -> Option<FaultCode> {
        self.refused(handle, ret, FaultType::Inval, false).ok()
    }

    /// An access callback has returned other than 0: try again after a wait, or wrap it.
    #[cold]
    fn refused(&self, handle: &Arc<Handle<P>>, ret: i32, ty: FaultType, plain: bool) -> Step<P> {
        let mut st = handle.lock();
        let must_wait = st.shape().contains(Shape::MUST_WAIT);
        st.mark(Shape::MUST_WAIT, false);
        // What was to be unlocked is unlocked: there is nothing to try again.
        if must_wait
            && ty != FaultType::Softunlock
            && let Some(turns) = handle.turns()
        {
            return Err(Box::new(Blocked::Context(turns.ctx.clone(), handle.mapping())));
        }
        Ok(if plain { FaultCode(ret) } else { FaultCode::from_errno(ret) })
    }
}
