//! A hash table of shared objects that handles refer to by name.
//!
//! Finding one costs the same however many exist. An entry goes with the last
//! handle that refers to it. Handles are counted apart from the `Arc`s, which faults in progress and pending timers hold
//! too: a count goes up under the registry's lock or from a handle that holds one, and down under the lock, so zero is final.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::list::copied;

/// Name of a context or softlock: a device instance or number, and the identity of the access callback.
pub(crate) type Key = (u64, u64);

/// An object that knows its name.
pub(crate) trait Keyed {
    fn key(&self) -> Key;
    /// Returns the number of handles that refer to it.
    fn handles(&self) -> &AtomicUsize;
}

/// A hash table of shared objects, with open addressing.
pub(crate) struct Table<T> {
    slots: Vec<Option<Arc<T>>>,
    len: usize,
}

/// The slots of the smallest table.
const SMALLEST: usize = 8;

fn hash(key: Key) -> usize {
    let h = key.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ key.1.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    (h ^ (h >> 32)) as usize
}

impl<T: Keyed> Table<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), len: 0 }
    }

    /// Returns the number of entries.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The entry at a place, which may lie beyond the table's end.
    fn at(&self, place: usize) -> Option<&Arc<T>> {
        self.slots.get(place & self.slots.len().wrapping_sub(1))?.as_ref()
    }

    /// The same, to be changed.
    fn at_mut(&mut self, place: usize) -> Option<&mut Option<Arc<T>>> {
        let mask = self.slots.len().wrapping_sub(1);
        self.slots.get_mut(place & mask)
    }

    /// The entry of this name, for one more handle; made if there is none. `None` when there is no memory for it.
    pub(crate) fn find_or_insert(&mut self, key: Key, make: impl FnOnce() -> T) -> Option<Arc<T>> {
        // A quarter full at most, so that hardly any search meets another entry.
        if (self.len + 1) * 4 > self.slots.len() && !self.resize((self.slots.len() * 2).max(SMALLEST)) {
            return None;
        }
        let mut i = hash(key);
        while let Some(entry) = self.at(i) {
            if entry.key() == key {
                entry.handles().fetch_add(1, Relaxed);
                return Some(entry.clone());
            }
            i += 1;
        }
        let new = Arc::new(make());
        new.handles().store(1, Relaxed);
        *self.at_mut(i)? = Some(new.clone());
        self.len += 1;
        Some(new)
    }

    /// Makes the table another size; false when there is no memory for it.
    #[cold]
    fn resize(&mut self, slots: usize) -> bool {
        let Some(new) = copied((0..slots).map(|_| None)) else { return false };
        for entry in core::mem::replace(&mut self.slots, new).into_iter().flatten() {
            let mut i = hash(entry.key());
            while self.at(i).is_some() {
                i += 1;
            }
            if let Some(slot) = self.at_mut(i) {
                *slot = Some(entry);
            }
        }
        true
    }

    /// Gives back what an empty table keeps.
    pub(crate) fn trim(&mut self) {
        if self.len == 0 {
            self.slots = Vec::new();
        }
    }

    /// A handle gives up its reference. Returns whether it was the last: the entry goes then.
    pub(crate) fn release(&mut self, object: &Arc<T>) -> bool {
        if object.handles().fetch_sub(1, Relaxed) > 1 {
            return false;
        }
        self.remove(object);
        true
    }

    #[inline(never)]
    fn remove(&mut self, object: &Arc<T>) {
        let mut gap = hash(object.key());
        while self.at(gap).is_some_and(|e| !Arc::ptr_eq(e, object)) {
            gap += 1;
        }
        self.at_mut(gap).and_then(Option::take);
        self.len -= 1;
        // Close the gap: move up every later entry of the chain that may sit at it.
        let mask = self.slots.len().wrapping_sub(1);
        let mut j = gap + 1;
        while let Some(entry) = self.at(j) {
            let home = hash(entry.key());
            if (j.wrapping_sub(home) & mask) >= (j.wrapping_sub(gap) & mask) {
                let moved = self.at_mut(j).and_then(Option::take);
                if let Some(slot) = self.at_mut(gap) {
                    *slot = moved;
                }
                gap = j;
            }
            j += 1;
        }
        if self.slots.len() > SMALLEST && self.len * 32 < self.slots.len() {
            self.resize(self.slots.len() / 2);
        }
    }
}
