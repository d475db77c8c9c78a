//! [`Record`]: cuts, of which unmap callbacks tell.
//!
//! Locking: each takes the lock of the instance's mappings, or is called with it.

use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;

use ddi_sys as sys;

use super::{Held, Record};
use crate::handle::state::{Is, State};
use crate::links;
use crate::used::{self, Part as _};

impl Record {
    /// The head has been unmapped, so many bytes.
    #[inline(always)]
    pub(crate) fn cut_head(&self, cookie: sys::devmap_cookie_t, gone: usize) {
        let mut state = self.lock();
        state.start = state.start.wrapping_add_unsigned(gone as u64);
        let (offset, len) = self.range();
        self.offset.store(offset.wrapping_add(gone as u64), Relaxed);
        self.len.store(len.wrapping_sub(gone), Relaxed);
        self.cut(state, cookie);
    }

    /// The tail has been unmapped, so many bytes.
    #[inline(always)]
    pub(crate) fn cut_tail(&self, cookie: sys::devmap_cookie_t, gone: usize) {
        let state = self.lock();
        self.len.store(self.len.load(Relaxed).wrapping_sub(gone), Relaxed);
        self.cut(state, cookie);
    }

    /// After a cut, which has left something of the mapping.
    ///
    /// Somebody may have unloaded this mapping between the framework's cut and the callback that tells us of it, and
    /// so have missed a part: if nothing should be loaded, it is unloaded once more. (Not when this callback is the first one: nobody could load or unload before.)
    #[inline(always)]
    fn cut(&self, state: Held<'_>, cookie: sys::devmap_cookie_t) {
        self.cookie.store(cookie, Relaxed);
        if state.is != Is::LIVE {
            return self.cut_otherwise(state);
        }
        // SAFETY: the lock is held.
        if used::Unloads::is_used() && !unsafe { self.is_touched_now() } {
            self.unload_again();
        }
    }

    /// Unloads what should not be loaded.
    #[inline(always)]
    fn unload_again(&self) {
        if !self.unload_from(self.offset()) {
            self.unload_by_halves();
        }
    }

    #[cold]
    #[inline(never)]
    fn cut_otherwise(&self, mut state: Held<'_>) {
        if used::Unloads::is_used() && state.is.contains(Is::LIVE) && !self.is_touched() {
            self.unload_now(state.is.contains(Is::UNSEEN));
        }
        state.is |= Is::LIVE;
        if state.is_stale() {
            self.freshen(state);
        }
    }

    /// The middle of a mapping that has nothing special, and is locked, has been unmapped: it is so long now; `rest` is the new one behind the cut.
    #[inline(always)]
    pub(crate) fn shorten(&self, _: &State, cookie: sys::devmap_cookie_t, len: usize, rest: &Record) {
        self.len.store(len, Relaxed);
        self.cookie.store(cookie, Relaxed);
        // SAFETY: the lock is held.
        let touched = unsafe { self.is_touched_now() };
        rest.loaded.store(touched, Relaxed);
        if !touched && used::Unloads::is_used() {
            self.unload_again();
            rest.unload_again();
        }
        self.leave_behind(rest);
    }

    /// Part of a mapping that a cut leaves behind. If an engine serves it alone, it has to ask for that: nothing of it is loaded.
    #[inline(always)]
    fn leave_behind(&self, rest: &Record) {
        if used::Owners::is_used() && self.place() == links::Place::Alone {
            rest.unload_now(false);
        }
    }

    /// The middle has been unmapped: this mapping is so long now; `rest` is the new one behind the cut, a copy that nobody has yet, which joins the others. See [`cut`](Record::cut).
    #[cold]
    #[inline(never)]
    pub(crate) fn cut_middle(
        &self,
        cookie: sys::devmap_cookie_t,
        len: usize,
        (rest, behind): (NonNull<Record>, sys::devmap_cookie_t),
    ) {
        let state = self.lock();
        self.len.store(len, Relaxed);
        let missed = used::Unloads::is_used() && state.is.contains(Is::LIVE) && !self.is_touched();
        // SAFETY: the caller's, which lives.
        let new = unsafe { rest.as_ref() };
        new.loaded.store(self.is_touched(), Relaxed);
        // SAFETY: of the same instance, as a copy is.
        let mut state = unsafe { state.other(new) };
        let is_stale = new.activate(&mut state, behind);
        if missed {
            new.unload_now(state.is.contains(Is::UNSEEN));
        }
        self.leave_behind(new);
        self.mapped().join(state.lists(), rest);
        new.set_place(links::Place::Ring);
        let old = if is_stale { new.refresh(&mut state) } else { None };
        // SAFETY: of the same instance.
        let state = unsafe { state.other(self) };
        self.cut(state, cookie);
        drop(old);
    }

    /// Refreshes a mapping that is live.
    #[cold]
    fn freshen(&self, mut state: Held<'_>) {
        let old = self.refresh(&mut state);
        drop(state);
        drop(old);
    }
}
