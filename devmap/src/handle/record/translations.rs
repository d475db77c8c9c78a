//! [`Record`]: its translations. They are loaded for faults and unloaded at any time.
//!
//! Locking: all is done with the lock of the instance's mappings held, which keeps a load and an unload of two threads apart.

use core::ptr;
use core::sync::atomic::Ordering::Relaxed;

use ddi_sys as sys;

use super::{Held, Record};
use crate::errno::{Errno, Error, error};
use crate::frame::Asked;
use crate::handle::Borrowed;
use crate::handle::state::{Is, State};
use crate::links;
use crate::page;
use crate::probe;
use crate::used::{self, Part as _};

const UNLOAD: &str = "devmap_unload(9F)";

/// Engines serve mappings alone.
#[cold]
fn owners_are_needed() {
    used::Owners::is_needed();
    used::Unloads::is_needed();
}

/// Gives the lock back of a mapping that cannot have its engine.
#[cold]
#[inline(never)]
fn not_taken(state: Held<'_>) -> Errno {
    drop(state);
    Errno::EIO
}

impl Record {
    /// Loads translations for a fault; the caller is in the access callback of this mapping, which is live. Gives the lock back.
    #[inline(always)]
    pub(crate) fn load(&self, state: Held<'_>, start: i64, len: usize, rw: u32) -> Result<(), Errno> {
        #[cold]
        #[inline(never)]
        fn failed(code: sys::faultcode_t) -> Errno {
            Errno::from_fault(code)
        }
        self.loaded.store(true, Relaxed);
        let cookie = self.cookie();
        probe::load(cookie, start, len);
        // SAFETY: in the access callback, so the handle lives and its address space is held (devmap_load(9F)).
        let code = unsafe { sys::devmap_load(cookie, start, len, sys::DEVMAP_ACCESS, rw) };
        if code != 0 {
            drop(state);
            return Err(failed(code));
        }
        drop(state);
        Ok(())
    }

    /// As [`load`](Record::load), of a mapping that its engine is to serve alone: takes it from the one that it serves, with what that has loaded, and calls `switch` before anything is loaded.
    #[inline(always)]
    pub(crate) fn load_alone(
        &self,
        state: Held<'_>,
        asked: &Asked<'_, Borrowed>,
        switch: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let owner = &asked.engine.owner;
        let old = owner.load(Relaxed).cast::<Record>();
        if !ptr::eq(old, self) {
            // SAFETY: null, or an owner, which is in the ring of this instance; that is locked.
            match unsafe { old.as_ref() } {
                None => owners_are_needed(),
                Some(old) => {
                    // SAFETY: the lock is held.
                    let is_touched = unsafe { old.is_touched_now() };
                    if is_touched {
                        if !old.unload_from(old.offset()) && !old.unload_by_halves() {
                            return Err(not_taken(state));
                        }
                        old.loaded.store(false, Relaxed);
                    }
                }
            }
            if let Err(errno) = switch() {
                owner.store(ptr::null_mut(), Relaxed);
                return Err(errno);
            }
            owner.store(ptr::from_ref(self).cast_mut().cast(), Relaxed);
            self.set_place(links::Place::Alone);
        }
        self.load(state, asked.offset as i64, asked.len, asked.rw)
    }

    /// Unloads everything, if there may be anything.
    #[inline]
    pub(crate) fn unload(&self, state: &State) -> Result<(), Error> {
        if self.is_touched() { self.unload_touched(state) } else { Ok(()) }
    }

    /// As [`unload`](Record::unload), of what may have something.
    #[inline]
    pub(crate) fn unload_touched(&self, state: &State) -> Result<(), Error> {
        self.change();
        if !state.is.contains(Is::LIVE) || self.unload_now(state.is.contains(Is::UNSEEN)) {
            return Ok(());
        }
        Err(error!(Errno::EIO, UNLOAD, "the framework refused"))
    }

    /// Unloads part of it.
    pub(in crate::handle) fn unload_range(
        &self,
        state: &State,
        offset: u64,
        len: usize,
    ) -> Result<(), Error> {
        if !state.is.contains(Is::LIVE) || !self.is_touched() {
            return Ok(());
        }
        self.change();
        let Some((start, len)) = self.clamp(offset, len) else { return Ok(()) };
        let cookie = self.cookie();
        probe::unload(cookie, start, len);
        // SAFETY: the handle lives, see `retire`.
        let code = unsafe { sys::devmap_unload(cookie, start, len) };
        if code == 0 { Ok(()) } else { Err(error!(Errno::EIO, UNLOAD, "the framework refused")) }
    }

    /// Unloads from `at` to the end of the mapping, as long as it may be now.
    pub(super) fn unload_from(&self, at: u64) -> bool {
        let cookie = self.cookie();
        probe::unload(cookie, at as i64, 0);
        // SAFETY: the handle lives, see `retire`. An offset of the mapping, so within 2^63. Length 0 is "to the end".
        let code = unsafe { sys::devmap_unload(cookie, at as i64, 0) };
        code == 0
    }

    /// Unloads everything. The mapping is live. `unseen`: something may be loaded again at once.
    ///
    /// When the framework refuses the start of the mapping, its head is being unmapped at this moment and the
    /// callback that will tell us waits for our lock: what stays is found by halving.
    pub(super) fn unload_now(&self, unseen: bool) -> bool {
        let done = self.unload_from(self.offset()) || self.unload_by_halves();
        if done {
            self.loaded.store(unseen, Relaxed);
        }
        done
    }

    #[cold]
    pub(super) fn unload_by_halves(&self) -> bool {
        let (offset, len) = self.range();
        let page = page::size() as u64;
        let mut done = false;
        let (mut low, mut high) = (0, (len as u64).checked_div(page).unwrap_or(0));
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.unload_from(offset.saturating_add(middle * page)) {
                done = true;
                high = middle;
            } else {
                low = middle;
            }
        }
        done
    }
}
