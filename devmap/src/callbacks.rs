//! The framework's callbacks for a mapping, and what they turn into calls of [`Mapping`].
//!
//! The framework's private pointer is a [slot](crate::slot)'s: given to the framework by the map callback, taken apart by unmap,
//! borrowed by access and dup. Before the map callback the framework's pointer is null, and [`Calls`](crate::calls::Calls) has the slot.
//! No lock of this crate is held while the driver is called.

use core::cell::{Cell, OnceCell};
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use ddi_sys as sys;

use crate::device::Device;
use crate::errno::Errno;
use crate::fault::Fault;
use crate::handle::Borrowed;
use crate::mapping::{Cut, Dup, Head, Left, Mapping, Middle, Tail, Whole};
use crate::probe;
use crate::slot::{Lent, Own, Slot};
use crate::state::soft_state;
use crate::used::{self, Part as _};

/// The callback tables of a device's mappings.
struct Tables<D: Device>(PhantomData<fn() -> D>);

impl<D: Device> Tables<D> {
    const fn with(access: Option<AccessCallback>) -> sys::devmap_callback_ctl {
        sys::devmap_callback_ctl {
            devmap_rev: sys::DEVMAP_OPS_REV,
            devmap_map: Some(map::<D>),
            devmap_access: access,
            devmap_dup: Some(dup::<D>),
            devmap_unmap: Some(unmap::<D>),
        }
    }

    /// Without an access callback.
    const UNSEEN: sys::devmap_callback_ctl = Tables::<D>::with(None);
    const FIRST: sys::devmap_callback_ctl = Tables::<D>::with(Some(access::<D, 0>));
    /// Of the other engines. What a device has not is not compiled.
    const MORE: [sys::devmap_callback_ctl; 7] = [
        Tables::<D>::with(access_of::<D, 1>()),
        Tables::<D>::with(access_of::<D, 2>()),
        Tables::<D>::with(access_of::<D, 3>()),
        Tables::<D>::with(access_of::<D, 4>()),
        Tables::<D>::with(access_of::<D, 5>()),
        Tables::<D>::with(access_of::<D, 6>()),
        Tables::<D>::with(access_of::<D, 7>()),
    ];
}

/// The callback table of mappings with access, of the first engine.
pub(crate) const fn first<D: Device>() -> &'static sys::devmap_callback_ctl {
    &Tables::<D>::FIRST
}

/// The callback table of a device's mappings; the framework copies it.
#[inline]
pub(crate) fn table<D: Device>(access: bool, engine: usize) -> &'static sys::devmap_callback_ctl {
    if !access {
        return &Tables::<D>::UNSEEN;
    }
    if D::ENGINES > 1 && engine > 0 {
        return const { &Tables::<D>::MORE }.get(engine - 1).unwrap_or(&Tables::<D>::FIRST);
    }
    &Tables::<D>::FIRST
}

/// devmap_map(9E): the framework gets the private pointer that was made in devmap(9E).
///
/// Never fails: the framework would free handles that may be freed already (docs/shield.md, 7 and 30).
unsafe extern "C-unwind" fn map<D: Device>(
    dhp: sys::devmap_cookie_t,
    dev: sys::dev_t,
    flags: u32,
    off: i64,
    len: usize,
    pvtp: *mut *mut c_void,
) -> c_int {
    probe::map(dhp, dev, flags, off, len);
    let Some(call) = soft_state::<D>().calls().threads.own() else { return 0 };
    // SAFETY: it has not left, for the map callback comes from inside of it.
    let Some(mapped) = (unsafe { call.instance() }) else { return 0 };
    // SAFETY: the framework's place for this handle's private pointer.
    unsafe { mapped.mapped(call, dhp, pvtp) };
    0
}

/// The slot of a handle that dup is called with.
///
/// # Safety
/// In that callback of this handle, whose process's address space is held for `'a`.
#[inline]
unsafe fn slot_of<'a, D: Device>(dhp: sys::devmap_cookie_t, pvt: *mut c_void) -> Option<Lent<'a, D>> {
    let slot = NonNull::new(pvt.cast::<Slot<D>>()).or_else(|| early(dhp, true))?;
    // SAFETY: this handle's; the address space is held, so `unmap` cannot take it away meanwhile.
    Some(unsafe { Lent::new(slot) })
}

type AccessCallback =
    unsafe extern "C-unwind" fn(sys::devmap_cookie_t, *mut c_void, i64, usize, u32, u32) -> c_int;

/// The access callback of an engine, if there is one. The framework has a context for each of them.
const fn access_of<D: Device, const ENGINE: usize>() -> Option<AccessCallback> {
    if ENGINE < D::ENGINES { Some(access::<D, ENGINE>) } else { None }
}

/// devmap_access(9E). One function for each engine, which differ by more than their names: the framework tells contexts apart by this address.
unsafe extern "C-unwind" fn access<D: Device, const ENGINE: usize>(
    dhp: sys::devmap_cookie_t,
    pvt: *mut c_void,
    off: i64,
    len: usize,
    kind: u32,
    rw: u32,
) -> c_int {
    probe::fault(dhp, pvt, off, len, kind, rw);
    let error = match NonNull::new(pvt.cast::<Slot<D>>()) {
        Some(slot) if kind == sys::DEVMAP_ACCESS => {
            // SAFETY: this handle's; the address space is held, so `unmap` cannot take it away meanwhile.
            let slot = unsafe { Lent::<D>::new(slot) };
            // SAFETY: the mapping is live.
            let instance = unsafe { slot.instance() };
            let handle = slot.handle();
            // That of an mmap(2), so not negative; the framework checks what is loaded.
            let offset = off as u64;
            let engine = ENGINE as u8;
            let fault = Fault { handle: &handle, offset, len, rw, engine, thread: PhantomData };
            // SAFETY: a mapping that is live has its data, which `unmap` cannot take away meanwhile.
            let mapping = unsafe { slot.mapping() };
            mapping.access(&instance.device, fault).err().map_or(0, Errno::raw)
        }
        // SAFETY: in the access callback of this handle, which is this function.
        _ => unsafe { accessed_otherwise::<D>(dhp, pvt, off, len, kind, rw, access::<D, ENGINE>) },
    };
    if error != 0 {
        return failed(error);
    }
    probe::fault_done(0);
    0
}

/// An access that locks pages, or unlocks them, or to a mapping whose private pointer the framework has not got yet: `again` is the access callback, for when that has been found.
///
/// # Safety
/// In that callback of this handle.
#[cold]
#[inline(never)]
unsafe fn accessed_otherwise<D: Device>(
    dhp: sys::devmap_cookie_t,
    pvt: *mut c_void,
    off: i64,
    len: usize,
    kind: u32,
    rw: u32,
    again: AccessCallback,
) -> c_int {
    if kind != sys::DEVMAP_ACCESS {
        // SAFETY: the caller's.
        return unsafe { locked(dhp, pvt, off, len, kind, rw) };
    }
    let Some(slot) = early::<D>(dhp, true) else { return Errno::EFAULT.raw() };
    // One deep: now there is a pointer.
    // SAFETY: the caller's.
    unsafe { again(dhp, slot.as_ptr().cast(), off, len, kind, rw) }
}

/// An access that is refused.
#[cold]
#[inline(never)]
fn failed(error: c_int) -> c_int {
    probe::fault_done(error);
    error
}

/// An access that locks pages, or unlocks them.
///
/// # Safety
/// In the access callback of this handle.
#[cold]
unsafe fn locked(
    dhp: sys::devmap_cookie_t,
    pvt: *mut c_void,
    off: i64,
    len: usize,
    kind: u32,
    rw: u32,
) -> c_int {
    if kind == sys::DEVMAP_UNLOCK {
        // Never refused, whatever the driver would say: pages that stay locked cannot be unmapped (docs/shield.md, 23).
        // SAFETY: the caller's.
        return unsafe { sys::devmap_default_access(dhp, pvt, off, len, kind, rw) };
    }
    // Softlocks are refused; the framework does so before it comes here (DEVMAP_ALLOW_REMAP; docs/shield.md, 20
    // to 27).
    Errno::ENOTSUP.raw()
}

/// devmap_contextmgt(9E) of a thread that has not got the [seat](crate::frame::Seat): the routine that it has entered in `Fault::switch_context`. `pvt` is what the framework has, not what
/// `devmap_do_ctxmgt(9F)` was called with. Always succeeds in the framework's eyes.
pub(crate) unsafe extern "C-unwind" fn switch<D: Device>(
    dhp: sys::devmap_cookie_t,
    pvt: *mut c_void,
    off: i64,
    len: usize,
    kind: u32,
    rw: u32,
) -> c_int {
    probe::context_switch(dhp, pvt, off, len, kind, rw);
    if !used::Crowds::is_used() {
        return 0;
    }
    let Some(routine) = soft_state::<D>().switches().own() else { return 0 };
    // SAFETY: entered by this very thread, which is inside `switch_context` and waits for it.
    unsafe { routine.call() }
}

/// devmap_dup(9E).
unsafe extern "C-unwind" fn dup<D: Device>(
    dhp: sys::devmap_cookie_t,
    pvt: *mut c_void,
    new_dhp: sys::devmap_cookie_t,
    new_pvtp: *mut *mut c_void,
) -> c_int {
    probe::dup(dhp, pvt, new_dhp);
    // Should the driver panic, the child has no private data.
    if !cfg!(illumos_kernel) {
        // SAFETY: the framework's place for the private pointer.
        unsafe { new_pvtp.write(ptr::null_mut()) };
    }
    // SAFETY: the caller's: in the dup callback of this handle.
    match unsafe { duplicated::<D>(dhp, pvt, new_dhp) } {
        Ok(child) => {
            // SAFETY: the framework's place for the private pointer.
            unsafe { new_pvtp.write(child.into_raw().as_ptr().cast()) };
            0
        }
        Err(errno) => {
            // SAFETY: likewise.
            unsafe { new_pvtp.write(ptr::null_mut()) };
            errno.refused()
        }
    }
}

/// The child of a mapping that is duplicated.
///
/// # Safety
/// In the dup callback of this handle.
#[inline(always)]
unsafe fn duplicated<D: Device>(
    dhp: sys::devmap_cookie_t,
    pvt: *mut c_void,
    new_dhp: sys::devmap_cookie_t,
) -> Result<Own<D>, Errno> {
    // SAFETY: the caller's.
    let Some(slot) = (unsafe { slot_of::<D>(dhp, pvt) }) else { return Err(Errno::EIO) };
    // SAFETY: the mapping is live.
    let instance = unsafe { slot.instance() };
    let parent = slot.handle();
    // If the driver refuses or panics, the child is over.
    let made = OnceCell::<Child<D>>::new();
    let make = || {
        let changes = parent.record().mapped().changes();
        let own = Own::copy(parent.record());
        Child { handle: own.get().handle(), own, changes }
    };
    // Not `get_or_init`: that may panic.
    let child = || loop {
        match made.get() {
            Some(child) => break &*child.handle,
            None => drop(made.set(make())),
        }
    };
    let lower = Cell::new(None);
    let copy = Dup { parent: &parent, child: &child, lower: &lower };
    // SAFETY: a mapping that is live has its data, and the address space is held as writer.
    let mapping = unsafe { slot.mapping() };
    let mapping = mapping.dup(&instance.device, copy)?;
    let mut child = match made.into_inner() {
        None => Own::born(slot.record(), new_dhp),
        Some(child) => {
            child.own.join(new_dhp, parent.record(), child.changes);
            child.own
        }
    };
    if used::Remaps::is_used()
        && let Some(max) = lower.get()
        && let Err(error) = child.get().handle().lower_to(max)
    {
        // The framework makes no callback for it, and frees its handle.
        drop(child);
        return Err(error.errno());
    }
    child.fill(mapping);
    Ok(child)
}

/// A child that the driver has asked for before there was one.
struct Child<D: Device> {
    handle: Borrowed,
    own: Own<D>,
    /// Number of changes of the instance's mappings before it was copied.
    changes: u64,
}

/// Stores a private pointer where the framework wants one.
///
/// # Safety
/// `place` is null or the framework's.
unsafe fn store(place: *mut *mut c_void, value: *mut c_void) {
    if !place.is_null() {
        // SAFETY: the caller's.
        unsafe { *place = value };
    }
}

/// devmap_unmap(9E). Which of the new handles are null says the shape.
#[allow(clippy::too_many_arguments)]
unsafe extern "C-unwind" fn unmap<D: Device>(
    dhp: sys::devmap_cookie_t,
    pvt: *mut c_void,
    off: i64,
    len: usize,
    new1: sys::devmap_cookie_t,
    pvt1: *mut *mut c_void,
    new2: sys::devmap_cookie_t,
    pvt2: *mut *mut c_void,
) {
    probe::unmap(dhp, pvt, off, len, new1);
    // With all arguments where they are: nothing is moved.
    if new1.addr() | new2.addr() == 0 {
        // SAFETY: in the unmap callback of this handle, whose private pointer it is.
        return unsafe { whole::<D>(dhp, pvt) };
    }
    // SAFETY: likewise; the framework's arguments.
    unsafe { cut::<D>(dhp, pvt, off, len, new1, pvt1, new2, pvt2) }
}

/// The slot of a handle that is unmapped, which is given back: the framework stores a new pointer, or frees the handle.
///
/// # Safety
/// In the unmap callback of this handle, once. The address space is held as writer, so nobody borrows it.
#[inline(always)]
unsafe fn given_back<D: Device>(dhp: sys::devmap_cookie_t, pvt: *mut c_void) -> Option<Own<D>> {
    let slot = NonNull::new(pvt.cast::<Slot<D>>()).or_else(|| early(dhp, false))?;
    // SAFETY: the caller's.
    Some(unsafe { Own::from_raw(slot) })
}

/// An unmap after which nothing remains.
///
/// # Safety
/// In the unmap callback of this handle, whose private pointer it is.
#[inline(never)]
unsafe extern "C-unwind" fn whole<D: Device>(dhp: sys::devmap_cookie_t, pvt: *mut c_void) {
    // SAFETY: the caller's.
    let Some(slot) = (unsafe { given_back::<D>(dhp, pvt) }) else { return };
    // SAFETY: until the framework has freed the handle, it keeps the device open.
    let instance = unsafe { slot.instance() };
    let (mapping, ended) = slot.end();
    let Left::None = mapping.unmap(&instance.device, Cut::Whole(Whole::new(ended.record()))).0 else {
        return;
    };
    ended.free();
}

/// The slot of a handle whose private pointer the framework has not got yet.
#[cold]
fn early<D: Device>(dhp: sys::devmap_cookie_t, live: bool) -> Option<NonNull<Slot<D>>> {
    Some(soft_state::<D>().calls().find(dhp, live)?.cast())
}

/// # Safety
/// Each place is null or the framework's.
#[cold]
unsafe fn without(pvt1: *mut *mut c_void, pvt2: *mut *mut c_void) {
    // SAFETY: the caller's.
    unsafe { store(pvt1, ptr::null_mut()) };
    // SAFETY: the caller's.
    unsafe { store(pvt2, ptr::null_mut()) };
}

/// An unmap after which something remains.
///
/// # Safety
/// In the unmap callback of this handle, whose private pointer it is; the framework's arguments: there is a place for each handle.
#[inline(never)]
#[allow(clippy::too_many_arguments)]
unsafe extern "C-unwind" fn cut<D: Device>(
    dhp: sys::devmap_cookie_t,
    pvt: *mut c_void,
    off: i64,
    len: usize,
    new1: sys::devmap_cookie_t,
    pvt1: *mut *mut c_void,
    new2: sys::devmap_cookie_t,
    pvt2: *mut *mut c_void,
) {
    // SAFETY: the caller's.
    let Some((mut slot, mapping)) = (unsafe { taken::<D>(dhp, pvt, pvt1, pvt2) }) else { return };
    // SAFETY: until the framework has freed the handle, it keeps the device open.
    let instance = unsafe { slot.instance() };
    let handle = slot.get().handle();
    let record = handle.record();
    // Of a mapping, so all is in pages and within 2^63.
    let at = off as u64;
    let range = (at, len);
    if new1.is_null() {
        record.cut_head(new2, len);
        let left = mapping.unmap(&instance.device, Cut::Head(Head::new(range))).0;
        let Left::One(mapping) = left else { return drop(slot) };
        slot.fill(mapping);
        // SAFETY: the framework's place.
        return unsafe { pvt2.write(slot.into_raw().as_ptr().cast()) };
    }
    if new2.is_null() {
        record.cut_tail(new1, len);
        let left = mapping.unmap(&instance.device, Cut::Tail(Tail::new(range))).0;
        let Left::One(mapping) = left else { return drop(slot) };
        slot.fill(mapping);
        // SAFETY: the framework's place.
        return unsafe { pvt1.write(slot.into_raw().as_ptr().cast()) };
    }
    probe::split(new2);
    let (mut second, changes) = Own::<D>::behind(record, range, (new1, new2));
    let behind = second.get().handle();
    let left = mapping.unmap(&instance.device, Cut::Middle(Middle::new(range, &behind))).0;
    // Nothing of it can have been loaded since: the address space is held.
    if used::Unloads::is_used() && record.mapped().changes() != changes {
        let behind = second.get().handle();
        behind.follow(record, behind.offset().wrapping_sub(record.offset()));
    }
    let Left::Two(mapping, data) = left else {
        drop(slot);
        return drop(second);
    };
    slot.fill(mapping);
    second.fill(data);
    // SAFETY: the framework's place.
    unsafe { pvt1.write(slot.into_raw().as_ptr().cast()) };
    // SAFETY: the framework's place.
    unsafe { pvt2.write(second.into_raw().as_ptr().cast()) };
}

/// Begins an unmap after which something remains: the mapping, and the driver's data, taken out of it.
///
/// # Safety
/// In the unmap callback of this handle, whose private pointer it is; each place is null or the framework's.
#[inline(always)]
unsafe fn taken<D: Device>(
    dhp: sys::devmap_cookie_t,
    pvt: *mut c_void,
    pvt1: *mut *mut c_void,
    pvt2: *mut *mut c_void,
) -> Option<(Own<D>, D::Mapping)> {
    // Should the driver panic, what remains has no private data, and its accesses fail.
    if !cfg!(illumos_kernel) {
        // SAFETY: the framework's places.
        unsafe { without(pvt1, pvt2) };
    }
    // SAFETY: the caller's.
    let Some(mut slot) = (unsafe { given_back::<D>(dhp, pvt) }) else {
        // SAFETY: the framework's places.
        unsafe { without(pvt1, pvt2) };
        return None;
    };
    // SAFETY: a mapping that is mapped, or ready to be, has its data.
    let mapping = unsafe { slot.take() };
    Some((slot, mapping))
}
