//! A hash table of shared objects that are found by name.
//!
//! Finding one costs the same however many exist. Who uses an object counts so with the registry's lock held; the last to give it up
//! removes it from the table.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::list::copied;

/// Name of an object: a device instance or number, and the identity of the access callback or of all callbacks.
pub(crate) type Key = (u64, u64);

/// An object that knows its name.
pub(crate) trait Keyed {
    fn key(&self) -> Key;
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

    /// All entries.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.slots.iter().flatten()
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

    /// The entry of this name that is meant; several may have the same name.
    #[inline(never)]
    pub(crate) fn find(&self, key: Key, meant: &dyn Fn(&T) -> bool) -> Option<&Arc<T>> {
        let mut i = hash(key);
        while let Some(entry) = self.at(i) {
            if entry.key() == key && meant(entry) {
                return Some(entry);
            }
            i += 1;
        }
        None
    }

    /// Adds an entry. `None` when there is no memory for it.
    pub(crate) fn insert(&mut self, object: T) -> Option<Arc<T>> {
        // A quarter full at most, so that hardly any search meets another entry.
        if (self.len + 1) * 4 > self.slots.len() && !self.resize((self.slots.len() * 2).max(SMALLEST)) {
            return None;
        }
        let new = Arc::new(object);
        *self.free_slot(new.key())? = Some(new.clone());
        self.len += 1;
        Some(new)
    }

    /// The first free slot for a name.
    fn free_slot(&mut self, key: Key) -> Option<&mut Option<Arc<T>>> {
        let mut i = hash(key);
        while self.at(i).is_some() {
            i += 1;
        }
        self.at_mut(i)
    }

    /// Makes the table another size; false when there is no memory for it.
    #[cold]
    fn resize(&mut self, slots: usize) -> bool {
        let Some(new) = copied((0..slots).map(|_| None)) else { return false };
        for entry in core::mem::replace(&mut self.slots, new).into_iter().flatten() {
            if let Some(slot) = self.free_slot(entry.key()) {
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

    /// Removes an entry. Returns it, or `None` if it is not there.
    pub(crate) fn remove(&mut self, object: &T) -> Option<Arc<T>> {
        let mut gap = hash(object.key());
        while !core::ptr::eq(Arc::as_ptr(self.at(gap)?), object) {
            gap += 1;
        }
        let removed = self.at_mut(gap).and_then(Option::take);
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
        removed
    }
}
