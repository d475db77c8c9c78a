//! An attached instance: the driver's value, and the mmap calls that are under way.
//!
//! Soft state holds one pointer for each instance. The framework calls no entry point of an instance before its
//! attach or after its detach, which is what makes that pointer good. Locking: the list of calls has a mutex of its
//! own, innermost, never held over a callback.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::mem::ManuallyDrop;
use core::ptr;

use ddi_sys as sys;

use crate::callbacks::Unmapped;
use crate::device::{Device, Mappings};
use crate::errno::Errno;
use crate::kmem::try_push;
use crate::sync::Mutex;

/// How many instances to make room for at first.
const INSTANCES: usize = 4;

/// The anchor of a module's soft state, `ddi_soft_state(9F)`.
pub struct SoftState(UnsafeCell<*mut c_void>);

// SAFETY: written by `_init` and `_fini` only, when no entry point runs; the calls on what it points to lock for
// themselves.
unsafe impl Sync for SoftState {}

/// What soft state holds for an instance.
pub(crate) struct Item {
    pub dip: *mut sys::dev_info_t,
    /// From `Arc::into_raw`, of an `Instance<D>`.
    pub instance: *const c_void,
}

impl SoftState {
    /// Nothing yet.
    pub const fn new() -> SoftState {
        SoftState(UnsafeCell::new(ptr::null_mut()))
    }

    pub(crate) fn init(&self) -> c_int {
        // SAFETY: in `_init`, before anything else.
        unsafe { sys::ddi_soft_state_init(self.0.get(), size_of::<Item>(), INSTANCES) }
    }

    pub(crate) fn fini(&self) {
        // SAFETY: in `_fini` after mod_remove(9F), or in an `_init` that fails: no entry point runs.
        unsafe { sys::ddi_soft_state_fini(self.0.get()) };
    }

    fn anchor(&self) -> *mut c_void {
        // SAFETY: not written while entry points run.
        unsafe { *self.0.get() }
    }

    pub(crate) fn allocate(&self, instance: i32) -> c_int {
        // SAFETY: the anchor is initialised before the first attach.
        unsafe { sys::ddi_soft_state_zalloc(self.anchor(), instance) }
    }

    pub(crate) fn free(&self, instance: i32) {
        // SAFETY: as above; the item is not used any more.
        unsafe { sys::ddi_soft_state_free(self.anchor(), instance) };
    }

    pub(crate) fn item(&self, instance: i32) -> *mut Item {
        // SAFETY: as above; a number without an item gives null.
        unsafe { sys::ddi_get_soft_state(self.anchor(), instance) }.cast()
    }

    /// The instance of this number, if it is attached.
    ///
    /// # Safety
    /// In an entry point of the instance, so that it is not detached meanwhile, or in its detach; and `D` is the
    /// module's device.
    pub(crate) unsafe fn instance<D: Device>(&self, number: i32) -> Option<Arc<Instance<D>>> {
        let item = self.item(number);
        if item.is_null() {
            return None;
        }
        // SAFETY: an item of ours, not freed while an entry point runs.
        let instance = unsafe { (*item).instance }.cast::<Instance<D>>();
        if instance.is_null() {
            return None;
        }
        // SAFETY: from `Arc::into_raw` in attach; soft state has a reference until detach.
        unsafe { Arc::increment_strong_count(instance) };
        // SAFETY: the reference just taken.
        Some(unsafe { Arc::from_raw(instance) })
    }
}

impl Default for SoftState {
    fn default() -> SoftState {
        SoftState::new()
    }
}

/// An attached instance.
pub(crate) struct Instance<D: Device> {
    pub device: D,
    pub dip: *mut sys::dev_info_t,
    pub mappings: Mappings,
    calls: ManuallyDrop<Mutex<Vec<Call<D>>>>,
}

impl<D: Device> Drop for Instance<D> {
    fn drop(&mut self) {
        // SAFETY: taken once, here; nobody looks at it any more.
        let calls = unsafe { ManuallyDrop::take(&mut self.calls) };
        let mut calls = calls.into_inner();
        // Every call holds a reference to the instance, so there are none. Saying so keeps the compiler from dropping an instance inside
        // the drop of an instance, which would need stack for each.
        // SAFETY: nothing beyond the length is looked at; what was there, if anything, leaks.
        unsafe { calls.set_len(0) };
    }
}

// SAFETY: the node lives as long as the instance and is only passed to the kernel; everything else is `Send`.
unsafe impl<D: Device> Send for Instance<D> {}
// SAFETY: as above, and `D` is `Sync`.
unsafe impl<D: Device> Sync for Instance<D> {}

/// An mmap(2) under way: between segmap(9E)'s beginning and end, on one thread.
struct Call<D: Device> {
    thread: sys::kt_did_t,
    terms: Terms,
    prepared: Vec<Prepared<D>>,
}

/// What the process asked for.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub protection: u32,
    pub max_protection: u32,
    pub flags: u32,
}

/// A mapping that is set up and will come into being with its map callback.
struct Prepared<D: Device> {
    cookie: sys::devmap_cookie_t,
    slot: Unmapped<D>,
}

// SAFETY: the cookie is only compared.
unsafe impl<D: Device> Send for Prepared<D> {}

fn this_thread() -> sys::kt_did_t {
    // SAFETY: reads the identity of the calling thread.
    unsafe { sys::ddi_get_kt_did() }
}

impl<D: Device> Instance<D> {
    pub(crate) fn new(device: D, dip: *mut sys::dev_info_t, mappings: Mappings) -> Instance<D> {
        Instance { device, dip, mappings, calls: ManuallyDrop::new(Mutex::new(Vec::new())) }
    }

    /// Notes that this thread is in mmap(2), until the guard goes.
    pub(crate) fn enter(&self, terms: Terms) -> Result<InCall<'_, D>, Errno> {
        let thread = this_thread();
        try_push(&mut self.calls.lock(), Call { thread, terms, prepared: Vec::new() })?;
        Ok(InCall { instance: self, thread })
    }

    fn with_call<R>(&self, f: impl FnOnce(&mut Call<D>) -> R) -> Option<R> {
        let thread = this_thread();
        let mut calls = self.calls.lock();
        calls.iter_mut().rfind(|call| call.thread == thread).map(f)
    }

    /// What this thread's mmap(2) asked for; nothing outside of one.
    pub(crate) fn terms(&self) -> Option<Terms> {
        self.with_call(|call| call.terms)
    }

    /// Looks at the private data of the parts of this mmap(2) that are set up already, the last one first.
    pub(crate) fn previous<R>(&self, look: impl FnMut(&D::Mapping) -> Option<R>) -> Option<R> {
        let mut look = look;
        self.with_call(|call| call.prepared.iter().rev().find_map(|part| look(part.slot.mapping()?)))
            .flatten()
    }

    /// Keeps a mapping until its map callback; gives it back when there is no mmap(2) on this thread.
    pub(crate) fn prepare(&self, cookie: sys::devmap_cookie_t, slot: Unmapped<D>) -> Result<(), Errno> {
        self.with_call(|call| try_push(&mut call.prepared, Prepared { cookie, slot }))
            .unwrap_or(Err(Errno::ENXIO))
    }

    /// The mapping that was prepared for this handle.
    pub(crate) fn claim(&self, cookie: sys::devmap_cookie_t) -> Option<Unmapped<D>> {
        self.with_call(|call| {
            let index = call.prepared.iter().position(|prepared| prepared.cookie == cookie)?;
            Some(call.prepared.remove(index).slot)
        })
        .flatten()
    }
}

/// An mmap(2) under way. Its end drops what was prepared and never mapped.
pub(crate) struct InCall<'a, D: Device> {
    instance: &'a Instance<D>,
    thread: sys::kt_did_t,
}

impl<D: Device> Drop for InCall<'_, D> {
    fn drop(&mut self) {
        let call = {
            let mut calls = self.instance.calls.lock();
            let index = calls.iter().rposition(|call| call.thread == self.thread);
            index.map(|index| calls.swap_remove(index))
        };
        // Outside of the lock: the driver's private data may take locks of its own when it goes.
        drop(call);
    }
}
