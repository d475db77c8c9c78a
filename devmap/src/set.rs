//! [`MappingSet`]: mappings that go together, for example those of one device context, or all of a device.
//!
//! Entering and leaving cost the same however many there are. Locking: a set has a mutex, taken by every call and
//! held while it unloads; it comes after the driver's own mutexes and before the handles'. Dropping a [`Member`]
//! takes it, so do that while iterating over nothing.

use core::ffi::c_void;
use core::ptr::NonNull;

use ddi_sys as sys;

use crate::errno::{Errno, Error};
use crate::handle::Handle;
use crate::memory::{Memory, covers};
use crate::protection::Protection;
use crate::slab::{Seat, Slab};

/// A set of mappings; clones are the same set. It contains a mapping as long as the [`Member`] that [`insert`](MappingSet::insert) returned lives.
///
/// ```no_run
/// # use devmap::prelude::*;
/// # fn f<D: Device>(request: &MapRequest<'_, D>) -> Result<(), devmap::Error> {
/// let set = MappingSet::new();
/// let member = set.insert(request.handle()); // in Device::devmap; keep it in the private data
/// set.unload()?; // the next access of each process is a fault
/// drop(member);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct MappingSet(Slab<Handle>);

/// A mapping's place in a [`MappingSet`]; leaves the set when dropped. Kept by the driver in its private data.
pub struct Member(#[expect(dead_code, reason = "kept for its drop")] Seat<Handle>);

impl MappingSet {
    /// Creates an empty set. User or kernel context: allocates.
    pub fn new() -> MappingSet {
        MappingSet(Slab::new())
    }

    /// Adds a mapping, which may be in several sets. User or kernel context: may sleep for memory.
    #[must_use = "the mapping leaves the set when this is dropped"]
    pub fn insert(&self, handle: &Handle) -> Member {
        Member(self.0.insert(handle.clone()))
    }

    /// Returns whether both are the same set.
    pub(crate) fn is(&self, other: &MappingSet) -> bool {
        self.0.is(&other.0)
    }

    /// The private pointer of the mapping that the framework has by this handle, if it is in the set.
    pub(crate) fn private_pointer(&self, cookie: sys::devmap_cookie_t) -> Option<NonNull<c_void>> {
        self.0.lock().iter().find_map(|handle| handle.lock().private_pointer(cookie))
    }

    /// Returns the number of mappings in the set.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Iterates over the mappings in the set, in no order. No lock is held: mappings that are added or removed meanwhile may be included or not.
    pub fn iter(&self) -> Iter<'_> {
        Iter { set: self, next: 0 }
    }

    /// Calls a function for each mapping, with the set locked. Continues after an error and returns the first.
    fn each(&self, mut what: impl FnMut(&Handle) -> Result<(), Error>) -> Result<(), Error> {
        let places = self.0.lock();
        let mut result = Ok(());
        for handle in places.iter() {
            result = result.and(what(handle));
        }
        result
    }

    /// Drops every translation of every mapping in the set: `devmap_unload(9F)` for each that has any.
    ///
    /// Any thread, any mutex held. Continues after an error and returns the first.
    pub fn unload(&self) -> Result<(), Error> {
        let places = self.0.lock();
        let mut result = Ok(());
        // Few of many have translations, mostly.
        for handle in places.iter().filter(|handle| handle.is_touched()) {
            if let Err(error) = handle.unload()
                && result.is_ok()
            {
                result = Err(error);
            }
        }
        result
    }

    /// Points every mapping in the set at other memory, each from the byte on that `offset` says: [`Handle::remap`]. No mapping is added meanwhile.
    ///
    /// Any thread, any mutex held; `offset` takes none. If the memory does not cover them all, none is changed. A mapping that goes meanwhile is no error. Continues after other errors, and
    /// returns the first.
    pub fn remap(&self, memory: impl Into<Memory>, offset: impl Fn(&Handle) -> u64) -> Result<(), Error> {
        let memory = memory.into();
        let mut all = Ok(());
        let places = self.0.lock();
        for handle in places.iter() {
            covers(&memory, offset(handle), handle.len())?;
        }
        for handle in places.iter() {
            match handle.remap_to(&memory, offset(handle)) {
                Err(error) if error.errno() == Errno::ESTALE && !handle.is_live() => {}
                result => all = all.and(result),
            }
        }
        all
    }

    /// Makes accesses to every mapping in the set fail (`SIGBUS`): [`Handle::invalidate`]. Continues after an error and returns the first.
    pub fn invalidate(&self) -> Result<(), Error> {
        self.each(Handle::invalidate)
    }

    /// Ends [`invalidate`](MappingSet::invalidate).
    pub fn validate(&self) {
        let _ = self.each(|handle| {
            handle.validate();
            Ok(())
        });
    }

    /// Lowers the maximum protection of every mapping in the set: [`Handle::lower`]. Continues after an error and returns the first. A mapping that does not exist any more is no error.
    pub fn lower(&self, max: Protection) -> Result<(), Error> {
        self.each(|handle| match handle.lower(max) {
            Err(error) if error.errno() == Errno::ESTALE => Ok(()),
            result => result,
        })
    }
}

/// The mappings of a [`MappingSet`].
pub struct Iter<'a> {
    set: &'a MappingSet,
    next: usize,
}

impl Iterator for Iter<'_> {
    type Item = Handle;

    fn next(&mut self) -> Option<Handle> {
        let (handle, next) = self.set.0.at_or_behind(self.next)?;
        self.next = next;
        Some(handle)
    }
}

impl<'a> IntoIterator for &'a MappingSet {
    type Item = Handle;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl Default for MappingSet {
    fn default() -> MappingSet {
        MappingSet::new()
    }
}
