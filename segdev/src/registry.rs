//! The contexts (one per device instance and access callback) and softlocks (one per device number and access callback).
//!
//! Hash tables behind one inner lock, so that finding one costs the same however many exist. An entry goes with the last
//! handle that refers to it. Handles are counted apart from the `Arc`s, which faults in progress and pending timers hold
//! too: a count goes up under the lock or from a handle that holds one, and down under the lock, so zero is final.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::context::Context;
use crate::framework::Framework;
use crate::lock::Mutex as _;
use crate::platform::Platform;
use crate::softlock::Softlock;

/// What names a context or softlock: a device instance or number, and the identity of the access callback.
pub(crate) type Key = (u64, u64);

/// An object that knows its name.
pub(crate) trait Keyed {
    fn key(&self) -> Key;
    /// How many handles refer to it.
    fn handles(&self) -> &AtomicUsize;
}

/// One more handle refers to the object.
pub(crate) fn retain<T: Keyed>(object: &Option<Arc<T>>) -> Option<Arc<T>> {
    if let Some(object) = object {
        object.handles().fetch_add(1, Relaxed);
    }
    object.clone()
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
    const fn new() -> Self {
        Self { slots: Vec::new(), len: 0 }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn mask(&self) -> usize {
        self.slots.len() - 1
    }

    fn find_or_insert(&mut self, key: Key, make: impl FnOnce() -> T) -> Arc<T> {
        if self.slots.is_empty() {
            self.slots.resize_with(SMALLEST, || None);
        }
        let mask = self.mask();
        let mut i = hash(key) & mask;
        while let Some(entry) = &self.slots[i] {
            if entry.key() == key {
                entry.handles().fetch_add(1, Relaxed);
                return entry.clone();
            }
            i = (i + 1) & mask;
        }
        let new = Arc::new(make());
        new.handles().store(1, Relaxed);
        self.slots[i] = Some(new.clone());
        self.len += 1;
        // A quarter full at most, so that hardly any search meets another entry.
        if self.len * 4 > self.slots.len() {
            self.resize(self.slots.len() * 2);
        }
        new
    }

    #[cold]
    fn resize(&mut self, slots: usize) {
        let old = core::mem::take(&mut self.slots);
        self.slots.resize_with(slots, || None);
        let mask = self.mask();
        for entry in old.into_iter().flatten() {
            let mut i = hash(entry.key()) & mask;
            while self.slots[i].is_some() {
                i = (i + 1) & mask;
            }
            self.slots[i] = Some(entry);
        }
    }

    /// Gives back what an empty table keeps.
    fn trim(&mut self) {
        if self.len == 0 {
            self.slots = Vec::new();
        }
    }

    /// A handle gives up its reference. When it was the last, the entry goes and is answered.
    fn release(&mut self, object: Arc<T>) -> Option<Arc<T>> {
        if object.handles().fetch_sub(1, Relaxed) > 1 {
            return None;
        }
        let mask = self.mask();
        let mut i = hash(object.key()) & mask;
        while !self.slots[i].as_ref().is_some_and(|e| Arc::ptr_eq(e, &object)) {
            i = (i + 1) & mask;
        }
        self.slots[i] = None;
        self.len -= 1;
        // Close the gap: move up every later entry of the chain that may sit at it.
        let mut gap = i;
        let mut j = (i + 1) & mask;
        while let Some(entry) = &self.slots[j] {
            let home = hash(entry.key()) & mask;
            if (j.wrapping_sub(home) & mask) >= (j.wrapping_sub(gap) & mask) {
                self.slots[gap] = self.slots[j].take();
                gap = j;
            }
            j = (j + 1) & mask;
        }
        if self.slots.len() > SMALLEST && self.len * 32 < self.slots.len() {
            self.resize(self.slots.len() / 2);
        }
        Some(object)
    }
}

/// Both tables.
pub(crate) struct Registry<P: Platform> {
    pub contexts: Table<Context<P>>,
    pub softlocks: Table<Softlock<P>>,
}

impl<P: Platform> Registry<P> {
    pub(crate) const fn new() -> Self {
        Self { contexts: Table::new(), softlocks: Table::new() }
    }
}

impl<P: Platform> Framework<P> {
    /// The context and softlock for an access callback of a device; made if there are none.
    pub(crate) fn shared(&self, instance: u64, dev: u64, access: u64) -> (Arc<Context<P>>, Arc<Softlock<P>>) {
        let mut registry = self.registry.lock();
        let ctx = registry.contexts.find_or_insert((instance, access), || Context::new((instance, access)));
        let softlock = registry.softlocks.find_or_insert((dev, access), || Softlock::new((dev, access)));
        (ctx, softlock)
    }

    /// Gives back all memory that is kept for the next mapping, if nothing is mapped: a platform that is going to end calls it.
    pub fn trim(&self) {
        let mut registry = self.registry.lock();
        registry.contexts.trim();
        registry.softlocks.trim();
    }

    /// Gives up a handle's references. The last reference to a context cancels its timer.
    pub(crate) fn release_shared(&self, ctx: Option<Arc<Context<P>>>, softlock: Option<Arc<Softlock<P>>>) {
        if ctx.is_none() && softlock.is_none() {
            return;
        }
        let (last, gone);
        {
            let mut registry = self.registry.lock();
            last = ctx.and_then(|ctx| registry.contexts.release(ctx));
            gone = softlock.and_then(|softlock| registry.softlocks.release(softlock));
        }
        drop(gone);
        if let Some(ctx) = last {
            ctx.retire(&self.platform);
        }
    }
}
