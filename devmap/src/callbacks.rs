//! The framework's callbacks for a mapping, and what they turn into calls of [`Mapping`].
//!
//! The framework's private pointer is a `Box<Slot<D>>`: made in devmap(9E) and by dup and unmap, given to the framework by the map callback, taken apart by unmap,
//! borrowed by access and dup. Borrowing is sound because the framework holds the process's address space: as reader
//! while it calls access, as writer while it calls dup and unmap, so a slot is not taken apart while it is borrowed. That holds
//! before the map callback, too: then the framework's pointer is null, and [`Calls`](crate::calls::Calls) has the slot.
//! No lock of this crate is held while the driver is called.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::Cell;
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::mem::{MaybeUninit, forget};
use core::ptr::{self, NonNull};

use ddi_sys as sys;

use crate::device::Device;
use crate::errno::Errno;
use crate::fault::{self, Fault};
use crate::handle::Handle;
use crate::instance::Instance;
use crate::mapping::{Cut, Dup, Head, Left, Mapping, Middle, Tail, Whole};
use crate::page;
use crate::set::Member;
use crate::state::soft_state;

/// Everything about one mapping. Fields are dropped in this order: the device goes last.
pub(crate) struct Slot<D: Device> {
    pub mapping: D::Mapping,
    pub member: Member,
    pub handle: Handle,
    pub instance: Arc<Instance<D>>,
}

/// The memory of a slot that was moved out, for the slot of what is left of the mapping: the private pointer stays the same.
struct Place<D: Device>(NonNull<Slot<D>>);

impl<D: Device> Place<D> {
    /// Moves the slot out.
    ///
    /// # Safety
    /// From `Box::into_raw` or `Box::leak`, and nobody else uses it.
    unsafe fn empty(slot: NonNull<Slot<D>>) -> (Place<D>, Slot<D>) {
        // SAFETY: the caller's; what is left there is not used again.
        (Place(slot), unsafe { slot.read() })
    }

    /// Moves a slot in. Returns the private pointer.
    fn fill(self, slot: Slot<D>) -> *mut c_void {
        // SAFETY: ours, and empty.
        unsafe { self.0.write(slot) };
        let filled = self.0.as_ptr().cast();
        forget(self);
        filled
    }
}

impl<D: Device> Drop for Place<D> {
    fn drop(&mut self) {
        // SAFETY: the box of a slot, which is moved out: only the memory goes.
        drop(unsafe { Box::from_raw(self.0.as_ptr().cast::<MaybeUninit<Slot<D>>>()) });
    }
}

/// The callback table of a device's mappings; the framework copies it.
pub(crate) fn table<D: Device>(access: bool, engine: usize) -> sys::devmap_callback_ctl {
    sys::devmap_callback_ctl {
        devmap_rev: sys::DEVMAP_OPS_REV,
        devmap_map: Some(map::<D>),
        devmap_access: if access { Some(access_of::<D>(engine)) } else { None },
        devmap_dup: Some(dup::<D>),
        devmap_unmap: Some(unmap::<D>),
    }
}

/// devmap_map(9E): the framework gets the private pointer that was made in devmap(9E).
///
/// Never fails: the framework would free handles that may be freed already (docs/shield.md, 7 and 30).
unsafe extern "C-unwind" fn map<D: Device>(
    dhp: sys::devmap_cookie_t,
    _dev: sys::dev_t,
    _flags: u32,
    _off: i64,
    _len: usize,
    pvtp: *mut *mut c_void,
) -> c_int {
    if let Some(calls) = soft_state::<D>().calls() {
        // SAFETY: the framework's place for this handle's private pointer.
        unsafe { calls.mapped(dhp, pvtp) };
    }
    0
}

/// The slot of a handle that access or dup is called with.
fn slot_of<D: Device>(dhp: sys::devmap_cookie_t, pvt: *mut c_void) -> Option<NonNull<Slot<D>>> {
    NonNull::new(pvt.cast()).or_else(|| soft_state::<D>().calls()?.find(dhp))
}

type AccessCallback =
    unsafe extern "C-unwind" fn(sys::devmap_cookie_t, *mut c_void, i64, usize, u32, u32) -> c_int;

/// The access callback of an engine. The framework has a context for each of them.
fn access_of<D: Device>(engine: usize) -> AccessCallback {
    // What a device has not is not compiled.
    match engine {
        1 if D::ENGINES > 1 => access::<D, 1>,
        2 if D::ENGINES > 2 => access::<D, 2>,
        3 if D::ENGINES > 3 => access::<D, 3>,
        4 if D::ENGINES > 4 => access::<D, 4>,
        5 if D::ENGINES > 5 => access::<D, 5>,
        6 if D::ENGINES > 6 => access::<D, 6>,
        7 if D::ENGINES > 7 => access::<D, 7>,
        _ => access::<D, 0>,
    }
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
    // SAFETY: in the access callback of this handle.
    unsafe { accessed::<D>(dhp, pvt, (off, len), kind, rw, ENGINE) }
}

/// # Safety
/// In the access callback of this handle.
unsafe fn accessed<D: Device>(
    dhp: sys::devmap_cookie_t,
    pvt: *mut c_void,
    (off, len): (i64, usize),
    kind: u32,
    rw: u32,
    engine: usize,
) -> c_int {
    if kind == sys::DEVMAP_UNLOCK {
        // Never refused, whatever the driver would say: pages that stay locked cannot be unmapped (docs/shield.md, 23).
        // SAFETY: in the access callback of this handle.
        return unsafe { sys::devmap_default_access(dhp, pvt, off, len, kind, rw) };
    }
    let Ok(offset) = u64::try_from(off) else { return Errno::EFAULT.raw() };
    if kind != sys::DEVMAP_ACCESS {
        // Softlocks are refused; the framework does so before it comes here (DEVMAP_ALLOW_REMAP; docs/shield.md, 20
        // to 27).
        return Errno::ENOTSUP.raw();
    }
    let Some(slot) = slot_of::<D>(dhp, pvt) else { return Errno::EFAULT.raw() };
    // SAFETY: this handle's; the address space is held, so `unmap` cannot take it away meanwhile.
    let slot = unsafe { slot.as_ref() };
    let Some(hysteresis) = slot.instance.mappings.hysteresis.get(engine) else { return Errno::EFAULT.raw() };
    let fault = Fault {
        handle: &slot.handle,
        pvt,
        routine: switch::<D>,
        hysteresis,
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

/// devmap_contextmgt(9E): the routine that this thread entered in `Fault::switch_context`. `pvt` is what the framework has, not what
/// `devmap_do_ctxmgt(9F)` was called with.
unsafe extern "C-unwind" fn switch<D: Device>(
    dhp: sys::devmap_cookie_t,
    pvt: *mut c_void,
    _off: i64,
    _len: usize,
    _kind: u32,
    _rw: u32,
) -> c_int {
    let Some(slot) = slot_of::<D>(dhp, pvt) else { return 0 };
    // SAFETY: as in `access`, which is below us on this stack.
    let slot = unsafe { slot.as_ref() };
    fault::run(&slot.handle)
}

/// devmap_dup(9E).
unsafe extern "C-unwind" fn dup<D: Device>(
    dhp: sys::devmap_cookie_t,
    pvt: *mut c_void,
    new_dhp: sys::devmap_cookie_t,
    new_pvtp: *mut *mut c_void,
) -> c_int {
    // SAFETY: the framework's place for the private pointer.
    unsafe { *new_pvtp = ptr::null_mut() };
    let Some(slot) = slot_of::<D>(dhp, pvt) else { return Errno::EIO.raw() };
    // SAFETY: this handle's; the address space is held as writer.
    let slot = unsafe { slot.as_ref() };
    let (offset, len) = slot.handle.lock().range();
    let child = slot.handle.derive(offset, len);
    let orphan = Orphan(&child);
    let lower = Cell::new(None);
    let copy = Dup { parent: &slot.handle, child: &child, lower: &lower };
    let mapping = match slot.mapping.dup(&slot.instance.device, copy) {
        Ok(mapping) => mapping,
        Err(errno) => return errno.raw(),
    };
    let member = slot.instance.mappings.set.insert(&child);
    let handle = child.clone();
    let new = Box::new(Slot { mapping, member, handle, instance: Arc::clone(&slot.instance) });
    let new = Box::into_raw(new);
    child.activate(new_dhp, new.cast());
    if let Some(max) = lower.get()
        && let Err(error) = child.lower(max)
    {
        // The framework makes no callback for it, and frees its handle.
        drop(orphan);
        // SAFETY: made above, and nobody has it: the handle is retired.
        drop(unsafe { Box::from_raw(new) });
        return error.errno().raw();
    }
    forget(orphan);
    // SAFETY: as above.
    unsafe { *new_pvtp = new.cast() };
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
    dhp: sys::devmap_cookie_t,
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
    let taken = || soft_state::<D>().calls()?.take(dhp);
    let Some(place) = NonNull::new(pvt.cast::<Slot<D>>()).or_else(taken) else { return };
    // SAFETY: this handle's, and given back here: the framework stores a new pointer, or frees the handle. The address space is held as
    // writer, so nobody borrows it.
    let (place, Slot { mapping, member, handle, instance }) = unsafe { Place::empty(place) };
    let private = place.0.as_ptr().cast();
    let goes = new1.is_null() && new2.is_null();
    let (start, whole) = if goes { handle.retire() } else { handle.lock().range() };
    let end = start.saturating_add(whole as u64);
    let at = u64::try_from(off).unwrap_or(start).clamp(start, end);
    let behind = at.saturating_add(page::round_up(len).unwrap_or(len) as u64).min(end);
    let bytes = |from: u64, to: u64| usize::try_from(to - from).unwrap_or(0);
    let range = (at, bytes(at, behind));
    let (before, rest) = ((start, bytes(start, at)), (behind, bytes(behind, end)));
    match (new1.is_null(), new2.is_null()) {
        (true, true) => {
            drop(member);
            let Left::None = mapping.unmap(&instance.device, Cut::Whole(Whole::new(range))).0 else { return };
        }
        (true, false) => {
            handle.cut((new2, private), rest, None);
            let orphan = Orphan(&handle);
            let left = mapping.unmap(&instance.device, Cut::Head(Head::new(range))).0;
            let Left::One(mapping) = left else { return };
            forget(orphan);
            let kept = place.fill(Slot { mapping, member, handle, instance });
            // SAFETY: the framework's place.
            unsafe { store(pvt2, kept) };
        }
        (false, true) => {
            handle.cut((new1, private), before, None);
            let orphan = Orphan(&handle);
            let left = mapping.unmap(&instance.device, Cut::Tail(Tail::new(range))).0;
            let Left::One(mapping) = left else { return };
            forget(orphan);
            let kept = place.fill(Slot { mapping, member, handle, instance });
            // SAFETY: the framework's place.
            unsafe { store(pvt1, kept) };
        }
        (false, false) => {
            let second = handle.derive(rest.0, rest.1);
            handle.cut((new1, private), before, Some((&second, new2)));
            let orphans = (Orphan(&handle), Orphan(&second));
            let other = instance.mappings.set.insert(&second);
            let left = mapping.unmap(&instance.device, Cut::Middle(Middle::new(range, &second))).0;
            let Left::Two(mapping, data) = left else { return };
            forget(orphans);
            let new = Slot {
                mapping: data,
                member: other,
                handle: second.clone(),
                instance: Arc::clone(&instance),
            };
            let new = Box::into_raw(Box::new(new)).cast::<c_void>();
            second.activate(new2, new);
            let kept = place.fill(Slot { mapping, member, handle, instance });
            // SAFETY: the framework's place.
            unsafe { store(pvt1, kept) };
            // SAFETY: the framework's place.
            unsafe { store(pvt2, new) };
        }
    }
}

/// A mapping whose private data is being made or changed. If the driver refuses or panics meanwhile, nobody will tell us when the
/// framework frees the handle: so it is forgotten at once.
struct Orphan<'a>(&'a Handle);

impl Drop for Orphan<'_> {
    fn drop(&mut self) {
        self.0.retire();
    }
}
