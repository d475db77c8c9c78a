//! [`Slot`]: one mapping and the driver's data for it, in one allocation. The framework's private pointer is a slot's.
//!
//! A slot is made in devmap(9E) and by dup and unmap, and borrowed by access and dup, which is sound because the framework holds the process's address space: as reader
//! while it calls access, as writer while it calls dup and unmap, so a slot is not taken apart while it is borrowed. It borrows its instance: a mapping keeps the device open, an open device is not
//! detached (close(9E) comes "after the last mapping", detach(9E) with nobody inside), and detach(9E) is refused here while the instance's set has any. No locks of its own.

use alloc::boxed::Box;
use core::marker::PhantomData;
use core::mem::{self, MaybeUninit};
use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;

use ddi_sys as sys;

use crate::device::Device;
use crate::handle::{Borrowed, Record, State};
use crate::instance::Instance;

/// A mapping, and the driver's data for it while the record is ready.
///
/// # Invariants
/// The record's `home` is that of an `Instance<D>`.
#[repr(C)]
pub(crate) struct Slot<D: Device> {
    record: Record,
    mapping: MaybeUninit<D::Mapping>,
}

/// Frees a slot whose data was taken out.
///
/// # Safety
/// A slot of this device, which nobody uses any more.
unsafe fn free<D: Device>(record: NonNull<Record>) {
    // SAFETY: the caller's.
    let ended = unsafe { record.as_ref() };
    // SAFETY: the caller's.
    unsafe { ended.end() };
    // SAFETY: the caller's: from `Own::new`. What was in it is gone: only the memory is left.
    drop(unsafe { Box::from_raw(record.cast::<MaybeUninit<Slot<D>>>().as_ptr()) });
}

/// The framework's reference to a slot. Dropped, the mapping leaves the instance's set and is over: so that it is if the driver refuses or panics while its data is being made or changed, when nobody will
/// tell us that the framework frees its handle. The driver's data is not dropped.
pub(crate) struct Own<D: Device>(NonNull<Slot<D>>);

impl<D: Device> Own<D> {
    /// A mapping that is not live, without data. User context: sleeps for memory.
    #[inline]
    pub(crate) fn new(
        instance: &Instance<D>,
        cookie: sys::devmap_cookie_t,
        range: (u64, usize),
        state: State,
    ) -> Own<D> {
        let slot = NonNull::from(Box::leak(Box::<Slot<D>>::new_uninit())).cast::<Slot<D>>();
        let home = NonNull::from(instance).cast();
        // SAFETY: a field of fresh memory.
        let record = unsafe { &raw mut (*slot.as_ptr()).record };
        // SAFETY: it stays in its allocation, which `free` frees; the instance's home is its beginning.
        let new = unsafe { Record::new(home, free::<D>, cookie, range, state) };
        // SAFETY: room for a record.
        unsafe { record.write(new) };
        // SAFETY: written just now.
        let record = unsafe { &*record };
        // SAFETY: this once; it stays in its allocation.
        unsafe { record.init() };
        Own(slot)
    }

    /// # Safety
    /// A slot with a reference that is the caller's to give.
    #[inline]
    pub(crate) unsafe fn from_raw(slot: NonNull<Slot<D>>) -> Own<D> {
        Own(slot)
    }

    /// The framework's private pointer.
    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<Slot<D>> {
        let slot = self.0;
        mem::forget(self);
        slot
    }

    #[inline]
    pub(crate) fn get(&self) -> Lent<'_, D> {
        Lent(self.0, PhantomData)
    }

    /// # Safety
    /// As of [`Lent::instance`].
    #[inline]
    pub(crate) unsafe fn instance<'a>(&self) -> &'a Instance<D> {
        // SAFETY: the caller's. It is not the slot's, but what that refers to.
        unsafe { Lent(self.0, PhantomData).instance() }
    }

    /// Adds the mapping to those of its instance. User context: sleeps for memory.
    #[inline]
    pub(crate) fn join(&self, instance: &Instance<D>) {
        self.get().join(instance);
    }

    /// Stores the driver's data.
    #[inline]
    pub(crate) fn fill(&mut self, mapping: D::Mapping) {
        // SAFETY: ours, and nobody else looks at the data.
        unsafe { (*self.0.as_ptr()).mapping.write(mapping) };
    }

    /// Takes the driver's data out.
    ///
    /// # Safety
    /// It is there.
    #[inline]
    pub(crate) unsafe fn take(&mut self) -> D::Mapping {
        // SAFETY: ours, and nobody else looks at the data.
        let mapping = unsafe { &(*self.0.as_ptr()).mapping };
        // SAFETY: the caller's; what is left there is not used again.
        unsafe { mapping.assume_init_read() }
    }

    /// Ends the mapping; the memory stays for as long as the result.
    #[inline]
    pub(crate) fn end(self) -> Ended<D> {
        let ended = Ended(self.0);
        mem::forget(self);
        ended.finish();
        ended
    }
}

impl<D: Device> Drop for Own<D> {
    fn drop(&mut self) {
        Ended(self.0).finish();
    }
}

/// A mapping that is over; dropped, the reference goes.
pub(crate) struct Ended<D: Device>(NonNull<Slot<D>>);

impl<D: Device> Ended<D> {
    // What may unwind is called in a function of its own, in which nothing is left to be dropped: else a module has code for that.
    fn finish(&self) {
        let slot = Lent(self.0, PhantomData);
        let record = slot.record();
        let place = record.place.load(Relaxed);
        if place != Record::NOWHERE {
            record.place.store(Record::NOWHERE, Relaxed);
            // SAFETY: while it is in the set, its instance is attached.
            unsafe { slot.instance() }.mappings.set.leave(place);
        }
        if record.is_alone() {
            // SAFETY: it is in no set now, and nobody else has a reference.
            unsafe { record.retire_alone() };
        } else {
            record.retire();
        }
    }
}

impl<D: Device> Drop for Ended<D> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the framework's reference, given up once.
        unsafe { Record::release(self.0.cast()) };
    }
}

/// A slot that lives for `'a`.
pub(crate) struct Lent<'a, D: Device>(NonNull<Slot<D>>, PhantomData<&'a Slot<D>>);

impl<'a, D: Device> Lent<'a, D> {
    /// # Safety
    /// A slot that is not given up for `'a`.
    #[inline]
    pub(crate) unsafe fn new(slot: NonNull<Slot<D>>) -> Lent<'a, D> {
        Lent(slot, PhantomData)
    }

    #[inline]
    pub(crate) fn record(&self) -> &'a Record {
        // SAFETY: it lives for `'a`.
        unsafe { &(*self.0.as_ptr()).record }
    }

    #[inline]
    pub(crate) fn handle(&self) -> Borrowed {
        // SAFETY: it lives for `'a`, and the callers keep the result no longer.
        unsafe { Borrowed::new(self.0.cast()) }
    }

    /// # Safety
    /// The mapping is prepared or live, so that the instance is attached, for `'a`.
    #[inline]
    pub(crate) unsafe fn instance(&self) -> &'a Instance<D> {
        // SAFETY: the invariant, and the caller's.
        unsafe { self.record().home().cast().as_ref() }
    }

    /// The driver's data.
    ///
    /// # Safety
    /// It is there, and not taken out for `'a`.
    #[inline]
    pub(crate) unsafe fn mapping(&self) -> &'a D::Mapping {
        // SAFETY: it lives for `'a`.
        let mapping = unsafe { &(*self.0.as_ptr()).mapping };
        // SAFETY: the caller's.
        unsafe { mapping.assume_init_ref() }
    }

    /// The mapping is ready, as soon as the driver's data is stored here.
    #[inline]
    pub(crate) fn ready(&self) -> NonNull<D::Mapping> {
        self.record().ready.store(true, Relaxed);
        // SAFETY: a field of a slot that lives.
        let place = unsafe { &raw mut (*self.0.as_ptr()).mapping };
        // SAFETY: within an allocation.
        unsafe { NonNull::new_unchecked(place.cast()) }
    }

    /// Adds the mapping to those of its instance. User context: sleeps for memory.
    #[inline]
    pub(crate) fn join(&self, instance: &Instance<D>) {
        // SAFETY: it leaves the set before it goes.
        let handle = unsafe { Borrowed::new(self.0.cast()) };
        self.record().place.store(instance.mappings.set.join(handle), Relaxed);
    }
}
