//! A shared set of values with constant-time insertion and removal: what mappings are kept in that go together.
//!
//! Locking: a set has a mutex, taken by every call; it comes after the driver's own mutexes and before that of an instance's mappings.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use crate::fixed::{Fixed, Guard};
use crate::kmem::try_room;
use crate::time::sleep_anyhow;

/// The places of a set, locked.
///
/// # Invariants
/// `free` has room for the number of each place.
pub(crate) struct Places<T> {
    places: Vec<Option<T>>,
    /// Numbers of the places that nobody has.
    free: Vec<u32>,
}

impl<T> Places<T> {
    /// The values, in no order.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().flatten()
    }

    /// Returns the number of values.
    pub(crate) fn len(&self) -> usize {
        self.places.len().saturating_sub(self.free.len())
    }

    /// The first value at `from` or behind, and the place behind it.
    pub(crate) fn at_or_behind(&self, from: usize) -> Option<(&T, usize)> {
        let behind = self.places.get(from..)?;
        behind.iter().zip(from..).find_map(|(place, at)| Some((place.as_ref()?, at.saturating_add(1))))
    }

    /// Doubles the room. All places are taken, so `free` is empty. Waits for memory, which can be too little for ever only with more mappings than a kernel has memory for.
    #[cold]
    fn grow(&mut self) {
        let room = self.places.capacity().saturating_mul(2).max(4);
        loop {
            if let (Ok(mut places), Ok(free)) = (try_room(room), try_room(room)) {
                for place in self.places.drain(..) {
                    // There is room: this does not grow.
                    if places.len() < places.capacity() {
                        places.push(place);
                    }
                }
                (self.places, self.free) = (places, free);
                return;
            }
            sleep_anyhow(Duration::from_millis(100));
        }
    }
}

/// A set of values; clones are the same set.
pub(crate) struct Slab<T>(Arc<Fixed<Places<T>>>);

impl<T> Clone for Slab<T> {
    fn clone(&self) -> Self {
        Slab(Arc::clone(&self.0))
    }
}

/// A value's place in a [`Slab`]; leaves the set when dropped, which takes the set's lock.
pub(crate) struct Seat<T> {
    slab: Slab<T>,
    index: u32,
}

impl<T> Slab<T> {
    /// Creates an empty set. User or kernel context: allocates.
    pub(crate) fn new() -> Slab<T> {
        let places = Places { places: Vec::new(), free: Vec::new() };
        // SAFETY: it goes into the `Arc`, where it stays, and is initialised before anybody else has it.
        let slab = Arc::new(unsafe { Fixed::new(places) });
        // SAFETY: this once; what an `Arc` holds does not move.
        unsafe { slab.init() };
        Slab(slab)
    }

    /// Adds a value for as long as its seat lives. User or kernel context: may sleep for memory.
    pub(crate) fn insert(&self, value: T) -> Seat<T> {
        Seat { slab: self.clone(), index: self.put(value) }
    }

    /// Adds a value. Returns its place, for [`take`](Slab::take). User or kernel context: may sleep for memory.
    #[inline]
    pub(crate) fn put(&self, value: T) -> u32 {
        let mut places = self.0.lock();
        let places = &mut *places;
        if let Some(index) = places.free.pop() {
            if let Some(place) = places.places.get_mut(index as usize) {
                mem::forget(place.replace(value)); // it was empty
            }
            return index;
        }
        let index = places.places.len() as u32;
        while places.places.len() == places.places.capacity() {
            places.grow();
        }
        places.places.push(Some(value));
        index
    }

    /// Removes the value of a place. What this returns is to be dropped without a lock: it may be the last reference to a mapping's memory.
    #[inline]
    pub(crate) fn take(&self, index: u32) -> Option<T> {
        let mut places = self.0.lock();
        let value = places.places.get_mut(index as usize)?.take()?;
        // There is room, by the invariant.
        if places.free.len() < places.free.capacity() {
            places.free.push(index);
        }
        Some(value)
    }

    /// Locks the set: nobody joins or leaves meanwhile.
    pub(crate) fn lock(&self) -> Guard<'_, Places<T>> {
        self.0.lock()
    }
}

impl<T: Clone> Slab<T> {
    /// The values, in no order. No lock is held meanwhile: those that come or go may be among them or not.
    pub(crate) fn iter(&self) -> impl Iterator<Item = T> {
        let mut next = 0;
        core::iter::from_fn(move || {
            let places = self.lock();
            let (value, behind) = places.at_or_behind(next)?;
            next = behind;
            Some(value.clone())
        })
    }
}

impl<T> Drop for Seat<T> {
    fn drop(&mut self) {
        drop(self.slab.take(self.index));
    }
}
