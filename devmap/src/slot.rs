//! [`Slot`]: one mapping and the driver's data for it, in one allocation. The framework's private pointer is a slot's.
//!
//! A slot is made in devmap(9E) and by dup and unmap, and borrowed by access and dup, which is sound because the framework holds the process's address space: as reader
//! while it calls access, as writer while it calls dup and unmap, so a slot is not taken apart while it is borrowed. It borrows its instance: a mapping keeps the device open, an open device is not
//! detached (close(9E) comes "after the last mapping", detach(9E) with nobody inside), and detach(9E) is refused here while the instance's set has any. No locks of its own.

use alloc::boxed::Box;
use core::marker::PhantomData;
use core::mem::{self, MaybeUninit};
use core::ptr::NonNull;

use ddi_sys as sys;

use crate::device::Device;
use crate::handle::{Borrowed, Handle, Record, State};
use crate::instance::{Attached, Instance};
use crate::links::Place;

/// A mapping, and the driver's data for it, which is there while the mapping is among those of its instance.
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
#[inline(always)]
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
        let slot = Own::allocate();
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

    /// Room for a slot. User context: sleeps for memory.
    #[inline(always)]
    fn allocate() -> NonNull<Slot<D>> {
        NonNull::from(Box::leak(Box::<Slot<D>>::new_uninit())).cast()
    }

    /// A copy of this mapping, or of its part `range`, which begins so many bytes behind its start; not live, and without data. User context: sleeps for memory.
    #[inline(always)]
    pub(crate) fn copy(instance: &Instance<D>, old: &Handle, from: u64, range: (u64, usize)) -> Own<D> {
        let slot = Own::<D>::allocate();
        let home = NonNull::from(instance).cast();
        let state = old.record().lock();
        let Some(derived) = state.derive(from) else {
            // SAFETY: room for a slot, which begins with a record, and stays; the instance's home is its beginning.
            unsafe { Record::copy_to(slot.cast(), (home, free::<D>), (old, from, state), range) };
            return Own(slot);
        };
        // SAFETY: a field of fresh memory.
        let record = unsafe { &raw mut (*slot.as_ptr()).record };
        // SAFETY: it stays in its allocation, which `free` frees; the instance's home is its beginning.
        let new = unsafe { Record::new(home, free::<D>, core::ptr::null_mut(), range, derived) };
        // SAFETY: room for a record.
        unsafe { record.write(new) };
        drop(state);
        // SAFETY: written just now.
        let record = unsafe { &*record };
        // SAFETY: this once; it stays in its allocation.
        unsafe { record.init() };
        Own(slot)
    }

    /// The part of this mapping behind a cut in its middle, which has left this one `before` bytes: a new mapping, live with this handle of the framework's, without data.
    #[inline(always)]
    pub(crate) fn behind(
        instance: &Instance<D>,
        old: &Handle,
        (cookie, before): (sys::devmap_cookie_t, usize),
        (new, from, range): (sys::devmap_cookie_t, u64, (u64, usize)),
    ) -> Own<D> {
        let slot = Own::<D>::allocate();
        let home = NonNull::from(instance).cast();
        // SAFETY: a field of fresh memory.
        let record = unsafe { &raw mut (*slot.as_ptr()).record };
        let state = old.record().lock();
        let Some(derived) = state.derive(from) else {
            // SAFETY: room for a slot, which begins with a record, and stays; the instance's home is its beginning.
            unsafe { Record::copy_to(slot.cast(), (home, free::<D>), (old, from, state), range) };
            let own = Own(slot);
            old.record().cut_middle(cookie, before, (own.get().record(), new));
            return own;
        };
        // SAFETY: it stays in its allocation, which `free` frees; the instance's home is its beginning.
        let made = unsafe { Record::new(home, free::<D>, new, range, derived.live()) };
        // SAFETY: room for a record.
        unsafe { record.write(made) };
        // SAFETY: written just now.
        let record = unsafe { &*record };
        old.record().shorten(&state, cookie, before, record);
        drop(state);
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

    /// Adds the mapping to those of its instance that the framework has.
    #[inline]
    pub(crate) fn join(&self, instance: &Instance<D>) {
        instance.attached.mappings.add(self.0.cast());
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
        let ended = Ended(self.0);
        mem::forget(self);
        ended.leave();
        (mapping, ended)
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
    if this.place() != Place::Nowhere {
        // SAFETY: an instance begins with its home.
        unsafe { this.home().cast::<Attached>().as_ref() }.mappings.remove(record);
    }
    this.retire();
    // SAFETY: the caller's.
    unsafe { Record::release(record) };
}

/// A mapping that is over, and in no list; dropped, the reference goes.
pub(crate) struct Ended<D: Device>(NonNull<Slot<D>>);

impl<D: Device> Ended<D> {
    /// Leaves the mappings of the instance.
    #[inline(always)]
    fn leave(&self) {
        let slot = Lent(self.0, PhantomData);
        // SAFETY: while it is among the mappings of its instance, that is attached.
        unsafe { slot.instance() }.attached.mappings.remove(self.0.cast());
        if !slot.record().is_alone() {
            slot.record().retire();
        }
    }

    /// Drops the reference.
    #[inline(always)]
    pub(crate) fn free(self) {
        let record = self.0.cast::<Record>();
        mem::forget(self);
        // SAFETY: the framework's reference, of a mapping that is over.
        unsafe { give_up::<D>(record) };
    }
}

impl<D: Device> Drop for Ended<D> {
    fn drop(&mut self) {
        // SAFETY: the framework's reference, of a mapping that is over.
        unsafe { give_up::<D>(self.0.cast()) };
    }
}

/// Drops the framework's reference.
///
/// # Safety
/// The caller's, of a mapping of this device that is over and in no list.
#[inline(always)]
unsafe fn give_up<D: Device>(record: NonNull<Record>) {
    // SAFETY: the caller's reference.
    let this = unsafe { record.as_ref() };
    if !this.is_alone() {
        // SAFETY: the caller's reference, given up once.
        return unsafe { Record::release(record) };
    }
    // SAFETY: it is in no list, and nobody else has a reference.
    unsafe { this.retire_alone() };
    // SAFETY: likewise.
    unsafe { free::<D>(record) };
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
