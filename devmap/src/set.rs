//! [`MappingSet`]: mappings that go together, for example those of one device context, or all of a device.
//!
//! Entering and leaving cost the same however many there are. Locking: a set has a mutex, taken by every call and
//! held while it unloads; it comes after the driver's own mutexes and before the handles'. Dropping a [`Member`]
//! takes it, so do that while iterating over nothing.

use core::ptr::NonNull;

use ddi_sys as sys;

use crate::errno::{Errno, Error};
use crate::handle::{Borrowed, Handle, Record};
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
pub struct MappingSet(Slab<Borrowed>);

/// A mapping's place in a [`MappingSet`]; leaves the set when dropped. Kept by the driver in its private data.
pub struct Member {
    /// Goes before the reference that keeps the mapping which the set has borrowed.
    _seat: Seat<Borrowed>,
    _handle: Handle,
}

impl MappingSet {
    /// Creates an empty set. User or kernel context: allocates.
    pub fn new() -> MappingSet {
        MappingSet(Slab::new())
    }

    /// Adds a mapping, which may be in several sets. User or kernel context: may sleep for memory.
    #[must_use = "the mapping leaves the set when this is dropped"]
    pub fn insert(&self, handle: &Handle) -> Member {
        let handle = handle.clone();
        // SAFETY: the seat goes before this handle.
        let borrowed = unsafe { Borrowed::new(handle.raw()) };
        Member { _seat: self.0.insert(borrowed), _handle: handle }
    }

    /// Adds a mapping that will [leave](MappingSet::leave) by itself. Returns its place.
    #[inline]
    pub(crate) fn join(&self, handle: Borrowed) -> u32 {
        self.0.put(handle)
    }

    /// Removes the mapping of a place.
    #[inline]
    pub(crate) fn leave(&self, place: u32) {
        self.0.take(place);
    }

    /// Returns whether both are the same set.
    pub(crate) fn is(&self, other: &MappingSet) -> bool {
        self.0.is(&other.0)
    }

    /// The mapping that the framework has by this handle, if it is in the set: valid as long as it is.
    pub(crate) fn mapped_by(&self, cookie: sys::devmap_cookie_t) -> Option<NonNull<Record>> {
        self.0.lock().iter().find_map(|handle| handle.has_cookie(cookie).then(|| handle.raw()))
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
        for handle in places.iter().filter(|handle| handle.record().is_touched()) {
            if let Err(error) = handle.unload()
                && result.is_ok()
            {
                result = Err(error);
            }
        }
        result
    }

    /// Drops the translations of `len` bytes from user offset `offset` on, of those that each mapping in the set has: [`Handle::unload_range`].
    ///
    /// Any thread, any mutex held. Continues after an error and returns the first.
    pub fn unload_range(&self, offset: u64, len: usize) -> Result<(), Error> {
        self.each(|handle| handle.unload_range(offset, len))
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
        let places = self.set.0.lock();
        let (handle, next) = places.at_or_behind(self.next)?;
        self.next = next;
        // With a reference of its own, while the lock keeps it in the set.
        Some(Handle::clone(handle))
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
