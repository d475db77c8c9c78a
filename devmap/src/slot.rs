//! [`Slot`]: one mapping and the driver's data for it, in one allocation. The framework's private pointer is a slot's.
//!
//! A slot is made in devmap(9E) and by dup and unmap, and borrowed by access and dup, which is sound because the framework holds the process's address space: as reader
//! while it calls access, as writer while it calls dup and unmap, so a slot is not taken apart while it is borrowed. It borrows its instance: a mapping keeps the device open, an open device is not
//! detached (close(9E) comes "after the last mapping", detach(9E) with nobody inside), and detach(9E) is refused here while the instance's set has any. No locks of its own.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::marker::PhantomData;
use core::mem::{self, MaybeUninit};
use core::ptr::NonNull;

use ddi_sys as sys;

use crate::device::Device;
use crate::handle::{Borrowed, Record, State};
use crate::instance::Instance;
use crate::links::Place;
use crate::mapped::Mapped;

/// A mapping, and the driver's data for it, which is there while the mapping is among those of its instance.
///
/// # Invariants
/// The record's `mapped` is that of an `Instance<D>`.
#[repr(C)]
pub(crate) struct Slot<D: Device> {
    record: Record,
    mapping: MaybeUninit<D::Mapping>,
}

/// Frees a slot whose data was taken out.
///
/// # Safety
/// A slot of this device, which nobody uses any more.
#[inline(always)]
pub(crate) unsafe fn free<D: Device>(record: NonNull<Record>) {
    // SAFETY: the caller's: from `Own::new`. What was in it is gone: only the memory is left.
    drop(unsafe { Box::from_raw(record.cast::<MaybeUninit<Slot<D>>>().as_ptr()) });
}

/// The framework's reference to a slot. Dropped, the mapping leaves the instance's set and is over: so that it is if the driver refuses or panics while its data is being made or changed, when nobody will
/// tell us that the framework frees its handle. The driver's data is not dropped.
pub(crate) struct Own<D: Device>(NonNull<Slot<D>>);

impl<D: Device> Own<D> {
    /// A mapping that is not live, without data, and comes to this place next. User context: sleeps for memory.
    #[inline]
    pub(crate) fn new(
        instance: &Instance<D>,
        cookie: sys::devmap_cookie_t,
        range: (u64, usize),
        state: State,
        place: Place,
    ) -> Own<D> {
        let slot = Own::allocate();
        // SAFETY: a pointer to what an `Arc` has is not null.
        let mapped = unsafe { NonNull::new_unchecked(Arc::as_ptr(&instance.attached.mappings).cast_mut()) };
        // SAFETY: fresh memory; the instance's.
        unsafe { Own::write(slot, mapped, cookie, range, state, place) }
    }

    /// Room for a slot. User context: sleeps for memory.
    #[inline(always)]
    fn allocate() -> NonNull<Slot<D>> {
        NonNull::from(Box::leak(Box::<Slot<D>>::new_uninit())).cast()
    }

    /// A mapping in this memory.
    ///
    /// # Safety
    /// From [`allocate`](Own::allocate), and nothing is in it. `mapped` is an instance's of this device, from `Arc::as_ptr`.
    #[inline(always)]
    unsafe fn write(
        slot: NonNull<Slot<D>>,
        mapped: NonNull<Mapped>,
        cookie: sys::devmap_cookie_t,
        range: (u64, usize),
        state: State,
        place: Place,
    ) -> Own<D> {
        // SAFETY: the caller's.
        let new = unsafe { Record::new(mapped, cookie, range, state, place) };
        // SAFETY: a field of fresh memory; no reference is made.
        let record = unsafe { &raw mut (*slot.as_ptr()).record };
        // SAFETY: room for a record.
        unsafe { record.write(new) };
        Own(slot)
    }

    /// A copy of this mapping, not live, and without data. User context: sleeps for memory.
    #[cold]
    #[inline(never)]
    pub(crate) fn copy(old: &Record) -> Own<D> {
        let slot = Own::<D>::allocate();
        // SAFETY: room for a slot, which begins with a record.
        unsafe { Record::copy_to(slot.cast(), (old, 0, old.lock()), old.range()) };
        Own(slot)
    }

    /// A copy of this mapping, without data, that the framework has by this handle. It has joined the mappings of its instance. User context: sleeps for memory.
    #[inline(always)]
    pub(crate) fn born(old: &Record, cookie: sys::devmap_cookie_t) -> Own<D> {
        let slot = Own::<D>::allocate();
        let state = old.lock();
        let range = old.range();
        let Some(derived) = state.derive(0) else {
            // SAFETY: room for a slot, which begins with a record.
            unsafe { Record::bear(slot.cast(), (old, state), cookie) };
            return Own(slot);
        };
        // SAFETY: fresh memory; the parent's instance.
        let own =
            unsafe { Own::<D>::write(slot, old.mapped_ptr(), cookie, range, derived.live(), Place::Ring) };
        old.mapped().join(state.lists(), own.0.cast());
        own
    }

    /// The part of this mapping behind a cut of `len` bytes in its middle, at user offset `at`: a new mapping, live with the handle `new` of the framework's, without data; this one keeps what is before the cut, with the handle `cookie`. It has joined the mappings of its instance,
    /// of which there had been so many changes.
    #[inline(always)]
    pub(crate) fn behind(
        old: &Record,
        (at, len): (u64, usize),
        (cookie, new): (sys::devmap_cookie_t, sys::devmap_cookie_t),
    ) -> (Own<D>, u64) {
        let slot = Own::<D>::allocate();
        let state = old.lock();
        let changes = old.mapped().changes();
        let (start, whole) = old.range();
        let before = at.wrapping_sub(start) as usize;
        let behind = before.wrapping_add(len);
        let range = (at.wrapping_add(len as u64), whole.wrapping_sub(behind));
        let from = behind as u64;
        let Some(derived) = state.derive(from) else {
            // SAFETY: room for a slot, which begins with a record.
            unsafe { Record::copy_to(slot.cast(), (old, from, state), range) };
            old.cut_middle(cookie, before, (slot.cast(), new));
            return (Own(slot), changes);
        };
        // SAFETY: fresh memory; of the same instance.
        let own = unsafe { Own::<D>::write(slot, old.mapped_ptr(), new, range, derived.live(), Place::Ring) };
        old.shorten(&state, cookie, before, own.get().record());
        old.mapped().join(state.lists(), own.0.cast());
        (own, changes)
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

    /// The framework has the mapping, a copy of `old` that was not prepared, by this handle: it joins those of its instance. There had been so many `changes` of the instance's mappings when it was copied, or less.
    #[inline]
    pub(crate) fn join(&self, cookie: sys::devmap_cookie_t, old: &Record, changes: u64) {
        // SAFETY: a slot begins with its record; it is in no list.
        unsafe { Record::join(self.0.cast(), cookie, old, changes) };
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
    #[inline(always)]
    pub(crate) unsafe fn take(&mut self) -> D::Mapping {
        // SAFETY: ours, and nobody else looks at the data.
        let mapping = unsafe { &(*self.0.as_ptr()).mapping };
        // SAFETY: the caller's; what is left there is not used again.
        unsafe { mapping.assume_init_read() }
    }

    /// Ends the mapping, whose memory stays for as long as the result, and takes the driver's data out.
    #[inline(always)]
    pub(crate) fn end(mut self) -> (D::Mapping, Ended<D>) {
        // SAFETY: a mapping that the framework unmaps has its data.
        let mapping = unsafe { self.take() };
        (mapping, Ended::leave(self.into_raw()))
    }
}

impl<D: Device> Drop for Own<D> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the framework's reference, given up once.
        unsafe { abandon(self.0.cast()) };
    }
}

/// Ends a mapping whose data was taken out, or never there, wherever it is, and drops the framework's reference.
///
/// # Safety
/// The caller's reference, given up once; its instance is attached.
#[cold]
#[inline(never)]
unsafe fn abandon(record: NonNull<Record>) {
    // SAFETY: the caller's reference keeps it.
    let this = unsafe { record.as_ref() };
    // What has left the ring, and has other references, is retired by that.
    if !this.is_live() || this.mapped().remove(record) {
        this.retire(this.lock());
    }
    // SAFETY: the caller's.
    unsafe { Record::release(record) };
}

/// A mapping that is over, and in no list; dropped, the reference goes.
pub(crate) struct Ended<D: Device> {
    slot: NonNull<Slot<D>>,
    /// Nobody else has a reference.
    is_alone: bool,
}

impl<D: Device> Ended<D> {
    /// Leaves the mappings of the instance that the framework has.
    #[inline(always)]
    fn leave(slot: NonNull<Slot<D>>) -> Ended<D> {
        let record = Lent(slot, PhantomData).record();
        Ended { slot, is_alone: record.mapped().remove(slot.cast()) }
    }

    /// The mapping that is over.
    #[inline(always)]
    pub(crate) fn record(&self) -> &Record {
        Lent(self.slot, PhantomData).record()
    }

    /// Drops the reference.
    #[inline(always)]
    pub(crate) fn free(self) {
        self.give_up();
        mem::forget(self);
    }

    #[inline(always)]
    fn give_up(&self) {
        let record = self.slot.cast::<Record>();
        if !self.is_alone {
            // SAFETY: the framework's reference, given up once.
            return unsafe { Record::release(record) };
        }
        // SAFETY: the framework's reference keeps it.
        let this = unsafe { record.as_ref() };
        // SAFETY: it is in no list, and nobody else has a reference.
        unsafe { this.retire_alone() };
        // SAFETY: likewise; it has not been retired, so it is not gone.
        unsafe { free::<D>(record) };
    }
}

impl<D: Device> Drop for Ended<D> {
    fn drop(&mut self) {
        self.give_up();
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

    /// Stores the driver's data.
    ///
    /// # Safety
    /// There is none, and nobody looks at it meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn fill(&self, mapping: D::Mapping) {
        // SAFETY: the caller's; a field of a slot that lives.
        let place = unsafe { &raw mut (*self.0.as_ptr()).mapping };
        // SAFETY: the caller's.
        unsafe { place.write(MaybeUninit::new(mapping)) };
    }
}
