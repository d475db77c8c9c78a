//! [`Handle`]: a reference to one mapping of one process, which may outlive the mapping.
//!
//! The framework's own handle (`devmap_cookie_t`) dies in the unmap callback, while other threads may be about to
//! unload it. A [`Handle`] does not: once the mapping has gone, calls have no effect or fail with `ESTALE`. Some calls on a mapping whose mmap(2) is still under way are recorded, and applied when the framework has it.
//!
//! Locking: the mappings of an instance have a mutex, held for the length of each call here, so never across a callback of the
//! driver. It is the innermost lock: a driver's own mutexes come before it, a [`MappingSet`](crate::MappingSet)'s
//! lock too. Calls that unload wait for other processors, not for address spaces, so they may be made with mutexes
//! held, and from any thread, a timeout's routine included.

mod kept;
mod parts;
mod record;
mod state;

use alloc::sync::Arc;
use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ptr::{self, NonNull};

use ddi_sys as sys;

pub(crate) use self::kept::Before;
use self::parts::{PAGES, Part};
pub(crate) use self::record::{ENGINES, Held, Home, Record, Switch};
pub(crate) use self::state::{Is, State, Target};
use crate::each_page;
use crate::errno::{Errno, Error, error};
use crate::memory::{Memory, covers, may_be_written, trash_of};
use crate::page;
use crate::pinned::{Loss, Mapper, Seated, UserMemory};
use crate::protection::Protection;
use crate::used::{self, Part as _};

/// A reference to a mapping; see the [module](crate::handle). Clones are the same mapping.
///
/// Obtained from [`MapRequest::handle`](crate::MapRequest::handle), [`Fault::handle`](crate::Fault::handle), [`Dup::child`](crate::Dup::child) and
/// [`Middle::rest`](crate::Middle::rest).
///
/// ```no_run
/// # use devmap::prelude::*;
/// # fn f(handle: &Handle, spare: &Umem) -> Result<(), devmap::Error> {
/// handle.remap(spare, 0)?; // the process goes on in other memory, from its next access on
/// handle.invalidate()?; // and now gets SIGBUS,
/// handle.validate(); // until here
/// # Ok(()) }
/// ```
pub struct Handle(NonNull<Record>);

// SAFETY: a record is shared between threads.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Clone for Handle {
    #[inline]
    fn clone(&self) -> Handle {
        self.record().refer();
        Handle(self.0)
    }
}

impl Drop for Handle {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this handle's reference, given up once.
        unsafe { Record::release(self.0) };
    }
}

impl PartialEq for Handle {
    fn eq(&self, other: &Handle) -> bool {
        self.0 == other.0
    }
}
impl Eq for Handle {}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mapping at {:#x}, {:#x} bytes", self.offset(), self.len())
    }
}

/// A handle without a reference of its own.
pub(crate) struct Borrowed(ManuallyDrop<Handle>);

impl Borrowed {
    /// # Safety
    /// The record lives longer than the result.
    #[inline]
    pub(crate) unsafe fn new(record: NonNull<Record>) -> Borrowed {
        Borrowed(ManuallyDrop::new(Handle(record)))
    }
}

impl Deref for Borrowed {
    type Target = Handle;
    #[inline]
    fn deref(&self) -> &Handle {
        &self.0
    }
}

/// There is nothing that could be changed.
pub(crate) const GONE: Error =
    error!(Errno::ESTALE, "devmap_unmap(9E)", "the mapping has gone, or is not there yet");
const REMAP: &str = "devmap_umem_remap(9F)";

impl Mapper for Handle {
    /// Pinned memory is lost: the mapping, if it is of that, shows trash, and accesses fail.
    fn lose(&self, loss: &Loss) {
        let old = {
            let record = self.record();
            let mut state = record.lock();
            match state.user() {
                Some(user) if ptr::eq(user.loss(), loss) && !state.is.contains(Is::GONE) => {}
                _ => return,
            }
            record.invalidate(&mut state);
            let trash = Memory::from(loss.trash());
            if state.is.contains(Is::LIVE)
                && record.remap(&state, &trash, 0, state.max_protection.into()) != 0
            {
                // It stays what it is until it is unmapped, and the process waits as long; but nobody gets at it by faults.
                let _ = record.unload(&state);
                return;
            }
            record.point(&mut state, trash, None, 0)
        };
        drop(old);
    }
}

impl Handle {
    #[inline]
    pub(crate) fn record(&self) -> &Record {
        // SAFETY: the handle's reference keeps it, or who lends the handle.
        unsafe { self.0.as_ref() }
    }

    /// The record, which lives as long as this handle, or who lends it.
    #[inline]
    pub(crate) fn raw(&self) -> NonNull<Record> {
        self.0
    }

    /// Memory that it maps, chosen in devmap(9E).
    #[inline(always)]
    pub(crate) fn set_target(&self, target: Target, len: usize) {
        match target.memory.user().cloned() {
            Some(user) => self.set_user_target(user, target, len),
            None => self.record().set_target(target, len),
        }
    }

    #[cold]
    fn set_user_target(&self, user: UserMemory, target: Target, len: usize) {
        // Before the lock: it takes another one.
        let seat = self.among_users(&user);
        self.record().set_user_target(target, len, seat);
        // Whoever has lost it may have come by before.
        if user.is_lost() {
            self.lose(user.loss());
        }
    }

    /// Registers the mapping with this memory, if that is a process's, so that it is notified when the memory is lost.
    pub(crate) fn among(&self, memory: &Memory) -> Option<Seated> {
        memory.user().map(|user| self.among_users(user))
    }

    #[cold]
    fn among_users(&self, user: &UserMemory) -> Seated {
        user.seat(Arc::new(self.clone()))
    }

    /// Of a process's memory: this mapping, a copy of `old` that is none of that yet, takes it over and is among the mappings of it.
    #[cold]
    pub(crate) fn adopt(&self, old: &Record, from: u64) {
        loop {
            let user = old.lock().user().cloned();
            let done = match user {
                Some(user) => self.take_over(old, from, &user, self.among_users(&user)),
                None => {
                    let old = old.lock();
                    let is_usual = old.user().is_none();
                    if is_usual {
                        let derived = old.derived(from);
                        // SAFETY: of the same instance, as a copy is.
                        *unsafe { old.other(self.record()) } = derived;
                    }
                    is_usual
                }
            };
            if done {
                return;
            }
        }
    }

    /// As [`adopt`](Handle::adopt), of this memory, with this place among its mappings. Returns false if `old` is of other memory now.
    fn take_over(&self, old: &Record, from: u64, user: &UserMemory, seat: Seated) -> bool {
        // The place is from before the locks: it takes another one.
        let old = old.lock();
        if !old.user().is_some_and(|own| own.is(user)) {
            return false;
        }
        let derived = old.derived(from);
        // SAFETY: of the same instance, as a copy is.
        let mut state = unsafe { old.other(self.record()) };
        *state = derived;
        state.set_pinned(Some(seat));
        if user.is_lost() {
            // By itself: what the other one is does not matter any more.
            state.is |= Is::INVALID | Is::OWN_VALIDITY;
            // Kept until the framework's handle is told.
            let trash = Memory::from(user.loss().trash());
            let (None, None) = self.record().point(&mut state, trash, None, 0) else { return true };
        }
        true
    }

    /// Of a mapping that was made of another, as the part from byte `from` of it on, and is live by now: does to it what was done to the other one meanwhile, by way of a set that did not have
    /// this one yet. What was done to both, or to this one, counts more.
    #[cold]
    #[inline(never)]
    pub(crate) fn follow(&self, old: &Record, from: u64) {
        let state = old.lock();
        let validity = state.is & Is::INVALID;
        // SAFETY: of the same instance, as what was made of another is.
        let mut state = unsafe { state.other(self.record()) };
        if !state.is.contains(Is::OWN_VALIDITY) {
            state.is = (state.is - Is::INVALID) | validity;
        }
        let _ = self.record().unload(&state);
        drop(state);
        if used::Remaps::is_used() {
            self.follow_memory(old, from);
        }
    }

    /// As [`follow`](Handle::follow), of what it maps.
    #[inline(never)]
    fn follow_memory(&self, old: &Record, from: u64) {
        let (memory, start, parts, max) = {
            let state = old.lock();
            let start = state.start.wrapping_add_unsigned(from) as u64;
            (state.kept.memory(), start, state.parts_shared().cloned(), state.protection())
        };
        let differs = {
            let state = self.record().lock();
            let is_same = state.is_of(memory.as_ref(), start);
            !is_same || state.is.contains(Is::PARTED) || parts.is_some()
        };
        let _ = self.lower_to(max);
        let Some(memory) = memory.filter(|_| differs) else { return };
        let moved = self.remap_unless(Is::OWN_MEMORY, &memory, start);
        let mut state = self.record().lock();
        let before = match moved {
            Ok(true) => state.set_parts(parts),
            Ok(false) => return,
            Err(_) => {
                self.record().refuse(&mut state);
                None
            }
        };
        self.record().apply_parts(&mut state);
        drop(state);
        drop(before);
    }

    /// Calls `f` with the framework's handle, for functions that this crate does not have. Returns None if the mapping has gone. The handle is valid until `f` returns, under the
    /// lock of all mappings of the instance: `f` must not call methods of them or of a set that contains any. See [`raw`](crate::raw).
    pub fn with_raw<R>(&self, f: impl FnOnce(sys::devmap_cookie_t) -> R) -> Option<R> {
        let state = self.record().lock();
        state.is.contains(Is::LIVE).then(|| f(self.record().cookie()))
    }

    /// Returns whether the mapping exists at this moment.
    pub fn is_live(&self) -> bool {
        self.record().is_live()
    }

    /// Returns the user offset at which the mapping starts, in bytes. An unmap of its head moves it.
    pub fn offset(&self) -> u64 {
        self.record().offset()
    }

    /// Returns the length in bytes.
    pub fn len(&self) -> usize {
        self.record().range().1
    }

    /// Returns false while the mapping exists.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops every translation of the mapping: the process's next access calls the access callback.
    /// `devmap_unload(9F)`.
    ///
    /// On return no processor uses them. Any thread, any mutex held. A mapping that has gone has none; that is no
    /// error. Fails with `EIO` if the framework refuses.
    pub fn unload(&self) -> Result<(), Error> {
        used::Unloads::is_needed();
        let state = self.record().lock();
        self.record().unload(&state)
    }

    /// Drops the translations of `len` bytes from user offset `offset` on, of those that the mapping has.
    /// `devmap_unload(9F)`.
    pub fn unload_range(&self, offset: u64, len: usize) -> Result<(), Error> {
        self.unload_range_of(&self.record().lock(), offset, len)
    }

    /// As [`unload_range`](Handle::unload_range), with the lock held.
    pub(crate) fn unload_range_of(&self, state: &State, offset: u64, len: usize) -> Result<(), Error> {
        used::Unloads::is_needed();
        self.record().unload_range(state, offset, len)
    }

    /// Makes the process's accesses fail (`SIGBUS`), until [`validate`](Handle::validate).
    ///
    /// The access callback refuses them. The framework's `DEVMAP_MAPPING_INVALID` is not used: it crashes for kernel
    /// memory and cannot be ended (docs/shield.md, 4 to 6). Fails with `ENOTSUP` for a mapping without an access callback.
    pub fn invalidate(&self) -> Result<(), Error> {
        self.invalidate_of(&mut self.record().lock())
    }

    /// As [`invalidate`](Handle::invalidate), with the lock held.
    pub(crate) fn invalidate_of(&self, state: &mut State) -> Result<(), Error> {
        if state.is.contains(Is::UNSEEN) {
            return Err(error!(Errno::ENOTSUP, "devmap_access(9E)", "the mapping has no access callback",));
        }
        used::Unloads::is_needed();
        self.record().invalidate(state);
        self.record().unload(state)
    }

    /// Ends [`invalidate`](Handle::invalidate).
    pub fn validate(&self) {
        self.validate_of(&mut self.record().lock());
    }

    /// As [`validate`](Handle::validate), with the lock held.
    pub(crate) fn validate_of(&self, state: &mut State) {
        used::Unloads::is_needed();
        self.record().validate(state);
    }

    /// Points the whole mapping at other memory, from byte `offset` of it on; what was loaded is dropped.
    /// `devmap_umem_remap(9F)`, `devmap_devmem_remap(9F)`.
    ///
    /// Any thread, any mutex held. The old memory is released, the new one is kept while it is mapped. The mapping keeps
    /// its maximum protection. Checked here, because the framework does not check. Fails with `EINVAL` for an offset that is not a
    /// page's, or for memory that does not reach to the end of the mapping; `EACCES` for a process's memory that is pinned for reading if the mapping may
    /// be written; with `ESTALE` if the mapping has gone, or is not [set up](crate::MapSetup::with) yet, or that memory is lost. Fails with `EIO` if the framework refuses: then the mapping is unchanged.
    pub fn remap(&self, memory: impl Into<Memory>, offset: u64) -> Result<(), Error> {
        self.remap_to(&memory.into(), offset)
    }

    pub(crate) fn remap_to(&self, memory: &Memory, offset: u64) -> Result<(), Error> {
        used::remaps();
        self.remap_unless(Is::empty(), memory, offset).map(|_| ())
    }

    /// As [`remap`](Handle::remap), unless the mapping is something of this by then. Returns whether it was done.
    fn remap_unless(&self, unless: Is, memory: &Memory, offset: u64) -> Result<bool, Error> {
        // Before the lock: it takes another one.
        let mut pinned = self.among(memory);
        let old = {
            let mut state = self.record().lock();
            if state.is.intersects(unless) {
                return Ok(false);
            }
            self.remap_of(&mut state, memory, &mut pinned, offset)?
        };
        drop(old);
        Ok(true)
    }

    /// As [`remap`](Handle::remap), with the lock held; takes `pinned`, its place among the mappings of this memory. What this returns is to be dropped without the lock.
    pub(crate) fn remap_of(
        &self,
        state: &mut State,
        memory: &Memory,
        pinned: &mut Option<Seated>,
        offset: u64,
    ) -> Result<impl Sized + use<>, Error> {
        let record = self.record();
        if state.is.contains(Is::GONE) || state.kept.is_nothing() {
            return Err(GONE);
        }
        let start = covers(memory, offset, record.range().1)?;
        if !may_be_written(memory) && state.protection().contains(Protection::WRITE) {
            return Err(error!(Errno::EACCES, REMAP, "memory that is pinned for reading only"));
        }
        if trash_of(memory).is_some() {
            return Err(error!(Errno::ESTALE, REMAP, "the process wants its memory back"));
        }
        if state.is.contains(Is::LIVE) {
            let result = record.remap(state, memory, start, state.max_protection.into());
            if result != sys::DDI_SUCCESS {
                return Err(error!(Errno::EIO, REMAP, "the framework refused"));
            }
        }
        Ok((record.point(state, memory.clone(), pinned.take(), start), state.set_parts(None)))
    }

    /// Points some pages of the mapping, `len` bytes from user offset `offset` on, at other memory than the rest, from byte `from` of it on; `max` is what the process can do with them at most. What was loaded of
    /// them is dropped. A [`remap`](Handle::remap) of the whole ends it; pieces and children have the same.
    ///
    /// An access that only `max` forbids comes to the access callback, also when the page is loaded: the driver may let the page have more, and load it.
    ///
    /// Any thread, any mutex held. `ENOTSUP` where the framework cannot do that ([`each_page::available`]), and for a process's memory; `EINVAL` for what are no pages of the
    /// mapping or not covered by the memory; `ESTALE` when the mapping does not live; `EIO` when the framework refuses: the pages are as they were.
    pub fn remap_pages(
        &self,
        offset: u64,
        len: usize,
        memory: &Memory,
        from: u64,
        max: Protection,
    ) -> Result<(), Error> {
        used::Pages::is_needed();
        used::remaps();
        let function = each_page::remap_pages().filter(|_| !matches!(memory, Memory::User(_)));
        let function = function.ok_or(error!(Errno::ENOTSUP, PAGES, "mappings move as a whole"))?;
        covers(memory, from, len)?;
        let max_protection = max.bits() | !Protection::all().bits();
        let part = Part {
            start: offset,
            end: offset.saturating_add(len as u64),
            memory: memory.clone(),
            from,
            max_protection,
        };
        let old = {
            let mut state = self.record().lock();
            if !state.is.contains(Is::LIVE) {
                return Err(GONE);
            }
            let whole = (i64::try_from(offset).ok(), len);
            if !page::aligned(offset)
                || self.record().clamp(offset, len).map(|(at, len)| (Some(at), len)) != Some(whole)
            {
                return Err(error!(Errno::EINVAL, PAGES, "no pages of the mapping"));
            }
            let parts = parts::with(state.parts(), &part, function)?;
            self.record().change();
            if !part.apply(function, self.record().live(&state)) {
                return Err(error!(Errno::EIO, PAGES, "the framework refused"));
            }
            state.set_parts(Some(parts))
        };
        drop(old);
        Ok(())
    }

    /// Lowers the mapping's maximum protection permanently: mprotect(2) cannot exceed it any more. `devmap_umem_remap(9F)` to the same memory.
    ///
    /// Any thread, any mutex held; in [`Mapping::dup`](crate::Mapping::dup) of a child see [`Dup::lower`](crate::Dup::lower). Translations are dropped. Fails with `EACCES` if the process asked for more in
    /// mmap(2), which the framework cannot take away. Protection that mprotect(2) has granted since stays (docs/shield.md, 12). Fails with `ESTALE` if the mapping does not live.
    pub fn lower(&self, max: Protection) -> Result<(), Error> {
        used::remaps();
        self.lower_to(max)
    }

    #[cold]
    pub(crate) fn lower_to(&self, max: Protection) -> Result<(), Error> {
        self.lower_of(&mut self.record().lock(), max)
    }

    /// As [`lower`](Handle::lower), with the lock held.
    pub(crate) fn lower_of(&self, state: &mut State, max: Protection) -> Result<(), Error> {
        let record = self.record();
        let Some(memory) = state.kept.memory().filter(|_| state.is.contains(Is::LIVE)) else {
            return Err(GONE);
        };
        let lower = state.max_protection & (max.bits() | !Protection::all().bits()) as u8;
        if lower == state.max_protection {
            return Ok(());
        }
        let result = record.remap(state, &memory, state.start, lower.into());
        if result != sys::DDI_SUCCESS {
            return Err(error!(Errno::EACCES, REMAP, "the process has asked for more"));
        }
        state.max_protection = lower;
        record.remapped(state);
        // A remap of the whole has ended these.
        record.apply_parts(state);
        Ok(())
    }

    /// Returns the maximum protection.
    pub fn max_protection(&self) -> Protection {
        self.record().lock().protection()
    }
}
