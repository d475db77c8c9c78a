//! A shared set of values with constant-time insertion and removal: what mappings are kept in that go together.
//!
//! Locking: a set has a mutex, taken by every call; it comes after the driver's own mutexes and before the handles'.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::sync::{Mutex, MutexGuard};
use crate::time::sleep_anyhow;

enum Place<T> {
    /// The next free place, or the number of places.
    Free(usize),
    Taken(T),
}

/// The places of a set, locked.
pub(crate) struct Places<T> {
    places: Vec<Place<T>>,
    free: usize,
    taken: usize,
}

impl<T> Places<T> {
    /// The values, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().filter_map(|place| match place {
            Place::Taken(value) => Some(value),
            Place::Free(_) => None,
        })
    }

    /// Returns the number of values.
    pub(crate) fn len(&self) -> usize {
        self.taken
    }
}

/// A set of values; clones are the same set. It has a value as long as the [`Seat`] that it gave for it lives.
pub(crate) struct Slab<T>(Arc<Mutex<Places<T>>>);

impl<T> Clone for Slab<T> {
    fn clone(&self) -> Self {
        Slab(Arc::clone(&self.0))
    }
}

/// A value's place in a [`Slab`]; leaves the set when dropped, which takes the set's lock.
pub(crate) struct Seat<T> {
    slab: Slab<T>,
    index: usize,
}

impl<T> Slab<T> {
    /// Creates an empty set. User or kernel context: allocates.
    pub(crate) fn new() -> Slab<T> {
        Slab(Arc::new(Mutex::new(Places { places: Vec::new(), free: 0, taken: 0 })))
    }

    /// Takes a value in. User or kernel context: may sleep for memory.
    pub(crate) fn insert(&self, value: T) -> Seat<T> {
        let mut places = self.0.lock();
        let index = places.free;
        let taken = Place::Taken(value);
        match places.places.get_mut(index) {
            Some(place) => {
                let next = match core::mem::replace(place, taken) {
                    Place::Free(next) => next,
                    // A place on the free list is free.
                    Place::Taken(_) => index + 1,
                };
                places.free = next;
            }
            None => {
                // Room is waited for as all memory is. That there is none for ever would take more mappings than a kernel has memory for.
                while places.places.len() == places.places.capacity() {
                    if places.places.try_reserve(1).is_err() {
                        sleep_anyhow(Duration::from_millis(100));
                    }
                }
                places.places.push(taken);
                places.free = index + 1;
            }
        }
        places.taken += 1;
        Seat { slab: self.clone(), index }
    }

    /// Returns whether both are the same set.
    pub(crate) fn is(&self, other: &Slab<T>) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Locks the set: nobody joins or leaves meanwhile.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Places<T>> {
        self.0.lock()
    }
}

impl<T: Clone> Slab<T> {
    /// The first value at `from` or behind, and the place behind it. The lock is held for the look only.
    pub(crate) fn at_or_behind(&self, from: usize) -> Option<(T, usize)> {
        let places = self.0.lock();
        let behind = places.places.get(from..)?;
        behind.iter().zip(from..).find_map(|(place, at)| match place {
            Place::Taken(value) => Some((value.clone(), at.saturating_add(1))),
            Place::Free(_) => None,
        })
    }

    /// The values, in no order. No lock is held meanwhile: those that come or go may be among them or not.
    pub(crate) fn iter(&self) -> impl Iterator<Item = T> {
        let mut next = 0;
        core::iter::from_fn(move || {
            let (value, behind) = self.at_or_behind(next)?;
            next = behind;
            Some(value)
        })
    }
}

impl<T> Drop for Seat<T> {
    fn drop(&mut self) {
        let left = {
            let mut places = self.slab.0.lock();
            let next = places.free;
            match places.places.get_mut(self.index) {
                Some(place) => {
                    let left = core::mem::replace(place, Place::Free(next));
                    places.free = self.index;
                    places.taken = places.taken.saturating_sub(1);
                    Some(left)
                }
                None => None,
            }
        };
        // Outside of the lock: it may be the last reference to the mapping's memory.
        drop(left);
    }
}
