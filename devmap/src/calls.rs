//! The mmap(2) calls under way in a module, and the mappings of callbacks that come too early.
//!
//! The framework puts a segment into the process's address space first and calls devmap_map(9E) afterwards, without a lock in
//! between (docs/shield.md, 30 and 31). Until then other threads of the process can touch, duplicate and unmap it. Their
//! callbacks come with a null private pointer and without a device number; the map callback may then come for a handle that has been freed, or
//! never. So a mapping is in a list of its [instance](crate::mapped::Mapped) from devmap(9E) on, and whichever callback comes first finds it there, by the framework's handle.
//! No callback waits for another.
//!
//! A call lies on the stack of its segmap(9E), and is found by its thread ([`threads`](crate::threads)). Nothing is allocated.
//!
//! Locking: one mutex for each module, for the list of its instances; callbacks that have their private pointer never take it. It comes before the instances'.

use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::Relaxed;

use ddi_sys as sys;

use crate::atomic::AtomicU32;
use crate::fixed::Fixed;
use crate::handle::{Before, Record};
pub(crate) use crate::mapped::Call;
use crate::mapped::Mapped;
use crate::threads::Threads;

/// The attached instances.
///
/// # Invariants
/// A chain of the mappings of instances that are attached, which live until they are taken out of it.
struct Instances(*const Mapped);

// SAFETY: what it refers to is shared between threads.
unsafe impl Send for Instances {}

impl Instances {
    fn iter(&self) -> impl Iterator<Item = &Mapped> {
        let mut next = self.0;
        core::iter::from_fn(move || {
            // SAFETY: in the chain, so it lives.
            let mapped = unsafe { next.as_ref() }?;
            next = mapped.next.load(Relaxed);
            Some(mapped)
        })
    }
}

pub(crate) struct Calls {
    /// The mmap(2) calls under way.
    pub(crate) threads: Threads<Call>,
    /// Number of the next mapping that is set up.
    number: AtomicU32,
    instances: Fixed<Instances>,
}

impl Calls {
    /// # Safety
    /// It is put where it stays, and [initialised](Calls::init) there.
    pub(crate) const unsafe fn new() -> Calls {
        Calls {
            // SAFETY: the caller's.
            threads: unsafe { Threads::new() },
            number: AtomicU32::new(0),
            // SAFETY: the caller's.
            instances: unsafe { Fixed::new(Instances(ptr::null())) },
        }
    }

    /// # Safety
    /// Once, or after it was [ended](Calls::end), and it does not move from now on.
    pub(crate) unsafe fn init(&self) {
        // SAFETY: the caller's.
        unsafe { self.threads.init() };
        // SAFETY: likewise.
        unsafe { self.instances.init() };
    }

    /// # Safety
    /// It is not used any more, or initialised again.
    pub(crate) unsafe fn end(&self) {
        // SAFETY: the caller's.
        unsafe { self.threads.end() };
        // SAFETY: likewise.
        unsafe { self.instances.destroy() };
    }

    /// An instance is attached; these are to be its mappings.
    ///
    /// # Safety
    /// They live until the instance is [detached](Calls::detached), which it is.
    pub(crate) unsafe fn attached(&self, mappings: &Mapped) {
        let mut instances = self.instances.lock();
        mappings.next.store(instances.0.cast_mut(), Relaxed);
        instances.0 = mappings;
    }

    /// The instance with these mappings is detached.
    pub(crate) fn detached(&self, mapped: &Mapped) {
        let mut instances = self.instances.lock();
        let next = mapped.next.load(Relaxed);
        if ptr::eq(instances.0, mapped) {
            instances.0 = next;
        } else if let Some(before) =
            instances.iter().find(|before| ptr::eq(before.next.load(Relaxed), mapped))
        {
            before.next.store(next, Relaxed);
        }
    }

    /// Adds a mapping of this instance that was set up by this thread's mmap(2), until its map callback or another finds it.
    ///
    /// # Safety
    /// A record that lives until it has left the instance's mappings, with a reference that is the caller's to give; the instance stays attached while the call is under way.
    #[inline(always)]
    pub(crate) unsafe fn prepare(&self, call: &Call, mapped: &Mapped, record: NonNull<Record>) {
        mapped.prepare(record, call, self.number.fetch_add(1, Relaxed));
    }

    /// The mapping of a handle whose callback came with a null pointer: it lives as long as the handle is not unmapped. `live`: the callback is not the last one.
    ///
    /// Numbers tell which is the handle's, if another was set up with a handle that has been freed and had the same address: the later one. A handle of the framework's cannot be one that is set up after it.
    #[cold]
    pub(crate) fn find(&self, cookie: sys::devmap_cookie_t, live: bool) -> Option<NonNull<Record>> {
        if cookie.is_null() {
            return None;
        }
        // Dropped after the lock.
        let mut before = None;
        let instances = self.instances.lock();
        let is_alone = instances.iter().nth(1).is_none();
        let instances = || instances.iter();
        let early = instances().filter_map(|mapped| Some((mapped.early(cookie)?, mapped)));
        let last =
            early.reduce(|one, other| if (other.0.wrapping_sub(one.0) as i32) < 0 { one } else { other });
        let known = || instances().find_map(|mapped| mapped.by_cookie(cookie));
        let promoted =
            |now: bool, before: &mut Option<Before>| last.filter(|_| now)?.1.promote(cookie, live, before);
        // What is set up for one instance with the address of a handle makes the others forget it: see `Mapped::prepare`. A map callback may come between the two looks.
        let found = promoted(is_alone, &mut before).or_else(known);
        found.or_else(|| promoted(!is_alone, &mut before)).or_else(known)
    }
}
