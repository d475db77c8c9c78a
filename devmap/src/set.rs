//! [`MappingSet`]: mappings that go together, for example those of one device context, or all of a device.
//!
//! Entering and leaving cost the same however many there are. Locking: a set has a mutex, taken by every call and
//! held while it unloads; it comes after the driver's own mutexes and before that of the mappings. Dropping a [`Member`]
//! takes it, so do that while iterating over nothing.

use alloc::sync::Arc;
use alloc::vec;

use crate::errno::{Errno, Error};
use crate::fixed::Guard;
use crate::handle::{Borrowed, GONE, Handle, State};
use crate::mapped::{self, Mapped, keep_first};
use crate::memory::{Memory, covers};
use crate::protection::Protection;
use crate::slab::{Places, Seat, Slab};
use crate::used::{self, Of};

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
pub struct MappingSet(Members);

#[derive(Clone)]
enum Members {
    /// Those that the driver has put into it.
    Some(Of<used::Sets, Slab<Borrowed>>),
    /// All of an instance.
    All(Arc<Mapped>),
}

/// A set while nobody joins or leaves.
enum Locked<'a> {
    Some(Guard<'a, Places<Borrowed>>),
    All(mapped::Locked<'a>),
}

impl Locked<'_> {
    /// Calls a function for each mapping, with its state locked, until it returns an error.
    fn each(&mut self, what: &mut dyn FnMut(&Handle, &mut State) -> Result<(), Error>) -> Result<(), Error> {
        match self {
            Locked::Some(places) => {
                places.iter().try_for_each(|handle| what(handle, &mut handle.record().lock()))
            }
            Locked::All(mapped) => mapped.each(what),
        }
    }
}

/// A mapping's place in a [`MappingSet`]; leaves the set when dropped. Kept by the driver in its private data.
pub struct Member {
    /// Goes before the reference that keeps the mapping which the set has borrowed.
    _seat: Option<Seat<Borrowed>>,
    _handle: Handle,
}

impl MappingSet {
    /// Creates an empty set. User or kernel context: allocates.
    pub fn new() -> MappingSet {
        MappingSet(Members::Some(Of::new(Slab::new())))
    }

    /// All mappings of an instance.
    pub(crate) fn of(mapped: Arc<Mapped>) -> MappingSet {
        MappingSet(Members::All(mapped))
    }

    /// The mappings of the instance whose set of all this is, if it is such.
    #[inline(always)]
    pub(crate) fn all(&self) -> Option<&Mapped> {
        match &self.0 {
            Members::Some(_) => None,
            Members::All(mapped) => Some(mapped),
        }
    }

    fn lock(&self) -> Locked<'_> {
        match &self.0 {
            Members::Some(slab) => Locked::Some(slab.lock()),
            Members::All(mapped) => Locked::All(mapped.lock()),
        }
    }

    /// Adds a mapping, which may be in several sets, until the result is dropped. The set of [all](crate::Mappings::set) mappings of an instance has it already: nothing is added to that. User or kernel context: may sleep for memory.
    #[must_use = "the mapping leaves the set when this is dropped"]
    pub fn insert(&self, handle: &Handle) -> Member {
        let handle = handle.clone();
        // SAFETY: the seat goes before this handle.
        let borrowed = || unsafe { Borrowed::new(handle.raw()) };
        let seat = match &self.0 {
            Members::Some(slab) => Some(slab.insert(borrowed())),
            Members::All(_) => None,
        };
        Member { _seat: seat, _handle: handle }
    }

    /// Returns the number of mappings in the set.
    pub fn len(&self) -> usize {
        match &self.0 {
            Members::Some(slab) => slab.lock().len(),
            Members::All(mapped) => mapped.len(),
        }
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Iterates over the mappings in the set, in no order. May allocate at the beginning, and sleep for memory. No lock is held: mappings that are added or removed meanwhile may be included or not.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match &self.0 {
            Members::Some(slab) => Going::Some { slab, next: 0 },
            Members::All(mapped) => Going::All(mapped.all().into_iter()),
        })
    }

    /// Calls a function for each mapping, with the set locked. Continues after an error and returns the first.
    fn each(&self, mut what: impl FnMut(&Handle, &mut State) -> Result<(), Error>) -> Result<(), Error> {
        let mut result = Ok(());
        let all = self.lock().each(&mut |handle, state| {
            if let Err(error) = what(handle, state) {
                keep_first(&mut result, error);
            }
            Ok(())
        });
        all.and(result)
    }

    /// Drops every translation of every mapping in the set: `devmap_unload(9F)` for each that has any.
    ///
    /// Any thread, any mutex held. Continues after an error and returns the first.
    pub fn unload(&self) -> Result<(), Error> {
        let slab = match &self.0 {
            Members::All(mapped) => return mapped.unload(),
            Members::Some(slab) => slab,
        };
        let places = slab.lock();
        let mut result = Ok(());
        // Few of many have translations, mostly.
        for handle in places.iter().filter(|handle| handle.record().is_touched()) {
            if let Err(error) = handle.unload() {
                keep_first(&mut result, error);
            }
        }
        result
    }

    /// Drops the translations of `len` bytes from user offset `offset` on, of those that each mapping in the set has: [`Handle::unload_range`].
    ///
    /// Any thread, any mutex held. Continues after an error and returns the first.
    pub fn unload_range(&self, offset: u64, len: usize) -> Result<(), Error> {
        self.each(|handle, state| handle.unload_range_of(state, offset, len))
    }

    /// Points every mapping in the set at other memory, each from the byte on that `offset` says: [`Handle::remap`]. No mapping is added meanwhile.
    ///
    /// Any thread, any mutex held; `offset` takes none, and asks a mapping for its [offset](Handle::offset) and [length](Handle::len) only. If the memory does not cover them all, none is changed. A mapping that goes meanwhile, or that is not set up yet, is no error. Continues after other errors, and
    /// returns the first.
    pub fn remap(&self, memory: impl Into<Memory>, offset: impl Fn(&Handle) -> u64) -> Result<(), Error> {
        used::remaps();
        let memory = memory.into();
        let mut all = Ok(());
        let mut locked = self.lock();
        locked.each(&mut |handle, _| covers(&memory, offset(handle), handle.len()).map(|_| ()))?;
        let mut remapped = |result| match result {
            // It goes at this moment, or comes.
            Err(GONE) => {}
            result => all = all.and(result),
        };
        match &mut locked {
            Locked::Some(places) => {
                places.iter().for_each(|handle| remapped(handle.remap_to(&memory, offset(handle))));
            }
            Locked::All(mapped) => mapped.each(&mut |handle, state| {
                let mut pinned = handle.among(&memory);
                remapped(handle.remap_of(state, &memory, &mut pinned, offset(handle)).map(drop));
                Ok(())
            })?,
        }
        drop(locked);
        all
    }

    /// Makes accesses to every mapping in the set fail (`SIGBUS`): [`Handle::invalidate`]. Continues after an error and returns the first.
    pub fn invalidate(&self) -> Result<(), Error> {
        self.each(Handle::invalidate_of)
    }

    /// Ends [`invalidate`](MappingSet::invalidate).
    pub fn validate(&self) {
        let _ = self.each(|handle, state| {
            handle.validate_of(state);
            Ok(())
        });
    }

    /// Lowers the maximum protection of every mapping in the set: [`Handle::lower`]. Continues after an error and returns the first. A mapping that does not exist any more is no error.
    pub fn lower(&self, max: Protection) -> Result<(), Error> {
        used::remaps();
        self.each(|handle, state| match handle.lower_of(state, max) {
            Err(error) if error.errno() == Errno::ESTALE => Ok(()),
            result => result,
        })
    }
}

/// The mappings of a [`MappingSet`].
pub struct Iter<'a>(Going<'a>);

enum Going<'a> {
    Some { slab: &'a Slab<Borrowed>, next: usize },
    All(vec::IntoIter<Handle>),
}

impl Iterator for Iter<'_> {
    type Item = Handle;

    fn next(&mut self) -> Option<Handle> {
        match &mut self.0 {
            Going::Some { slab, next } => {
                let places = slab.lock();
                let (handle, behind) = places.at_or_behind(*next)?;
                *next = behind;
                // With a reference of its own, while the lock keeps it in the set.
                Some(Handle::clone(handle))
            }
            Going::All(handles) => handles.next(),
        }
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
