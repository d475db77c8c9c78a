//! The framework's callbacks for a mapping, and what they turn into calls of [`Mapping`].
//!
//! The framework's private pointer is a `Box<Slot<D>>`: made by the map and dup callbacks, taken apart by unmap,
//! borrowed by access and dup. Borrowing is sound because the framework holds the process's address space: as reader
//! while it calls access, as writer while it calls dup and unmap, so a slot is not taken apart while it is borrowed.
//! No lock of this crate is held while the driver is called.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::mem::forget;
use core::ptr;

use ddi_sys as sys;

use crate::device::Device;
use crate::entry;
use crate::errno::Errno;
use crate::fault::{self, Fault};
use crate::handle::Handle;
use crate::instance::Instance;
use crate::mapping::{Cut, Dup, Head, Left, Mapping, Middle, Tail, Whole};
use crate::set::Member;

/// Everything about one mapping. Fields are dropped in this order: the device goes last.
pub(crate) struct Slot<D: Device> {
    pub mapping: D::Mapping,
    pub member: Member,
    pub handle: Handle,
    pub instance: Arc<Instance<D>>,
}

/// A mapping that is set up and not mapped yet. If it never is, its handle lets go of the memory.
pub(crate) struct Unmapped<D: Device>(Option<Slot<D>>);

impl<D: Device> Unmapped<D> {
    pub(crate) fn new(slot: Slot<D>) -> Unmapped<D> {
        Unmapped(Some(slot))
    }

    pub(crate) fn mapping(&self) -> Option<&D::Mapping> {
        self.0.as_ref().map(|slot| &slot.mapping)
    }

    fn take(mut self) -> Option<Slot<D>> {
        self.0.take()
    }
}

impl<D: Device> Drop for Unmapped<D> {
    fn drop(&mut self) {
        if let Some(slot) = &self.0 {
            slot.handle.retire();
        }
    }
}

/// The callback table of a device's mappings; the framework copies it.
pub(crate) fn table<D: Device>(access: bool) -> sys::devmap_callback_ctl {
    sys::devmap_callback_ctl {
        devmap_rev: sys::DEVMAP_OPS_REV,
        devmap_map: Some(map::<D>),
        devmap_access: if access { Some(self::access::<D>) } else { None },
        devmap_dup: Some(dup::<D>),
        devmap_unmap: Some(unmap::<D>),
    }
}

/// devmap_map(9E): the mapping that was prepared in devmap(9E) comes into being. Fails for a handle that never was
/// only.
unsafe extern "C-unwind" fn map<D: Device>(
    dhp: sys::devmap_cookie_t,
    dev: sys::dev_t,
    _flags: u32,
    _off: i64,
    _len: usize,
    pvtp: *mut *mut c_void,
) -> c_int {
    // SAFETY: in an entry point of the instance.
    let Some(instance) = (unsafe { entry::instance::<D>(dev) }) else { return Errno::ENXIO.raw() };
    let Some(slot) = instance.claim(dhp).and_then(Unmapped::take) else { return Errno::ENXIO.raw() };
    slot.handle.activate(dhp);
    // SAFETY: the framework's place for the private pointer.
    unsafe { *pvtp = Box::into_raw(Box::new(slot)).cast() };
    0
}

/// devmap_access(9E).
unsafe extern "C-unwind" fn access<D: Device>(
    dhp: sys::devmap_cookie_t,
    pvt: *mut c_void,
    off: i64,
    len: usize,
    kind: u32,
    rw: u32,
) -> c_int {
    if kind == sys::DEVMAP_UNLOCK {
        // Never refused, whatever the driver would say: pages that stay locked cannot be unmapped (docs/shield.md, 23).
        // SAFETY: in the access callback of this handle.
        return unsafe { sys::devmap_default_access(dhp, pvt, off, len, kind, rw) };
    }
    let Some(offset) = u64::try_from(off).ok().filter(|_| !pvt.is_null()) else { return Errno::EFAULT.raw() };
    if kind != sys::DEVMAP_ACCESS {
        // Softlocks are refused; the framework does so before it comes here (DEVMAP_ALLOW_REMAP; docs/shield.md, 20
        // to 27).
        return Errno::ENOTSUP.raw();
    }
    // SAFETY: made by `map`, `dup` or `unmap`; the address space is held, so `unmap` cannot take it away meanwhile.
    let slot = unsafe { &*pvt.cast::<Slot<D>>() };
    let fault = Fault {
        handle: &slot.handle,
        pvt,
        routine: switch::<D>,
        hysteresis: &slot.instance.mappings.hysteresis,
        offset,
        len,
        kind,
        rw,
        thread: PhantomData,
    };
    match slot.mapping.access(&slot.instance.device, fault) {
        Ok(_served) => 0,
        Err(errno) => errno.raw(),
    }
}

/// devmap_contextmgt(9E): the routine that this thread entered in `Fault::switch_context`.
unsafe extern "C-unwind" fn switch<D: Device>(
    _dhp: sys::devmap_cookie_t,
    pvt: *mut c_void,
    _off: i64,
    _len: usize,
    _kind: u32,
    _rw: u32,
) -> c_int {
    if pvt.is_null() {
        return 0;
    }
    // SAFETY: as in `access`, which is below us on this stack.
    let slot = unsafe { &*pvt.cast::<Slot<D>>() };
    fault::run(&slot.handle)
}

/// devmap_dup(9E).
unsafe extern "C-unwind" fn dup<D: Device>(
    _dhp: sys::devmap_cookie_t,
    pvt: *mut c_void,
    new_dhp: sys::devmap_cookie_t,
    new_pvtp: *mut *mut c_void,
) -> c_int {
    // SAFETY: the framework's place for the private pointer.
    unsafe { *new_pvtp = ptr::null_mut() };
    if pvt.is_null() {
        return Errno::EIO.raw();
    }
    // SAFETY: made by `map`, `dup` or `unmap`; the address space is held as writer.
    let slot = unsafe { &*pvt.cast::<Slot<D>>() };
    let (offset, len) = slot.handle.lock().range();
    let child = slot.handle.derive(offset, len);
    let copy = Dup { parent: &slot.handle, child: &child };
    let mapping = match slot.mapping.dup(&slot.instance.device, copy) {
        Ok(mapping) => mapping,
        Err(errno) => return errno.raw(),
    };
    child.activate(new_dhp);
    let member = slot.instance.mappings.set.insert(&child);
    let new = Slot { mapping, member, handle: child, instance: Arc::clone(&slot.instance) };
    // SAFETY: as above.
    unsafe { *new_pvtp = Box::into_raw(Box::new(new)).cast() };
    0
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
    _dhp: sys::devmap_cookie_t,
    pvt: *mut c_void,
    off: i64,
    len: usize,
    new1: sys::devmap_cookie_t,
    pvt1: *mut *mut c_void,
    new2: sys::devmap_cookie_t,
    pvt2: *mut *mut c_void,
) {
    // Should the driver panic, what remains has no private data, and its accesses fail.
    // SAFETY: the framework's places.
    unsafe { store(pvt1, ptr::null_mut()) };
    // SAFETY: as above.
    unsafe { store(pvt2, ptr::null_mut()) };
    if pvt.is_null() {
        return;
    }
    // SAFETY: made by `map`, `dup` or `unmap`, and given back here: the framework stores a new pointer, or frees the
    // handle. The address space is held as writer, so nobody borrows it.
    let slot = *unsafe { Box::from_raw(pvt.cast::<Slot<D>>()) };
    let Slot { mapping, member, handle, instance } = slot;
    let (start, whole) = handle.lock().range();
    let at = u64::try_from(off).unwrap_or(start);
    let end = start.saturating_add(whole as u64);
    let behind = at.saturating_add(len as u64).clamp(start, end);
    let before = usize::try_from(at.clamp(start, end) - start).unwrap_or(0);
    let rest = usize::try_from(end - behind).unwrap_or(0);
    let range = (at, len);
    let new = |mapping, member, handle| {
        let slot = Slot { mapping, member, handle, instance: Arc::clone(&instance) };
        Box::into_raw(Box::new(slot)).cast::<c_void>()
    };
    match (new1.is_null(), new2.is_null()) {
        (true, true) => {
            handle.retire();
            drop(member);
            let Left::None = mapping.unmap(&instance.device, Cut::Whole(Whole::new(range))).0 else { return };
        }
        (true, false) => {
            handle.cut(new2, behind, rest, None);
            let orphan = Orphan(&handle);
            let left = mapping.unmap(&instance.device, Cut::Head(Head::new(range))).0;
            let Left::One(data) = left else { return };
            forget(orphan);
            // SAFETY: the framework's place.
            unsafe { store(pvt2, new(data, member, handle)) };
        }
        (false, true) => {
            handle.cut(new1, start, before, None);
            let orphan = Orphan(&handle);
            let left = mapping.unmap(&instance.device, Cut::Tail(Tail::new(range))).0;
            let Left::One(data) = left else { return };
            forget(orphan);
            // SAFETY: the framework's place.
            unsafe { store(pvt1, new(data, member, handle)) };
        }
        (false, false) => {
            let second = handle.derive(behind, rest);
            handle.cut(new1, start, before, Some((&second, new2)));
            let orphans = (Orphan(&handle), Orphan(&second));
            let other = instance.mappings.set.insert(&second);
            let left = mapping.unmap(&instance.device, Cut::Middle(Middle::new(range, &second))).0;
            let Left::Two(first, data) = left else { return };
            forget(orphans);
            // SAFETY: the framework's place.
            unsafe { store(pvt1, new(first, member, handle)) };
            // SAFETY: the framework's place.
            unsafe { store(pvt2, new(data, other, second)) };
        }
    }
}

/// A mapping whose private data is being changed. If the driver panics meanwhile, nobody will tell us when the
/// framework frees the handle: so it is forgotten at once.
struct Orphan<'a>(&'a Handle);

impl Drop for Orphan<'_> {
    fn drop(&mut self) {
        self.0.retire();
    }
}
