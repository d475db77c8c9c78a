//! segmap(9E) and devmap(9E): an mmap(2), from the process's arguments to a mapping that is set up.
//!
//! No lock of this crate is held while the driver is called.

use core::cell::Cell;
use core::ffi::c_int;
use core::marker::PhantomData;
use core::mem::{self, ManuallyDrop};

use ddi_sys as sys;

use crate::callbacks;
use crate::calls::{Call, Calls};
use crate::device::Device;
use crate::errno::Errno;
use crate::handle::{Handle, State};
use crate::instance::Instance;
use crate::page;
use crate::protection::Terms;
use crate::request::{Asked, Maker, MapRequest};
use crate::slot::{Lent, Own};
use crate::state::soft_state;
use crate::threads::Inside;

/// An mmap(2) under way, whose end drops what was prepared, unless the framework has it: also if the driver panics.
struct InCall<'a, D: Device> {
    calls: &'a Calls,
    call: &'a Inside<Call>,
    of: PhantomData<fn() -> D>,
}

impl<D: Device> InCall<'_, D> {
    #[inline(always)]
    fn end(self, mapped: bool) {
        let (calls, call) = (self.calls, self.call);
        mem::forget(self);
        calls.threads.leave(call);
        if !mapped || !call.what.is_done() {
            left::<D>(&call.what, mapped);
        }
    }
}

impl<D: Device> Drop for InCall<'_, D> {
    fn drop(&mut self) {
        self.calls.threads.leave(self.call);
        left::<D>(&self.call.what, false);
    }
}

/// Drops the mappings that have not come to be.
#[cold]
fn left<D: Device>(call: &Call, mapped: bool) {
    // SAFETY: it is in no list of early mappings that have been dropped, and its instance stays attached until segmap(9E) has returned.
    let Some(instance) = (unsafe { call.instance() }) else { return };
    while let Some(record) = instance.left(call, mapped) {
        // SAFETY: the list's reference; a slot of this device, because its devmap(9E) has prepared it.
        let mut mapping = unsafe { Own::<D>::from_raw(record.cast()) };
        // SAFETY: what was in a list has its data.
        let data = unsafe { mapping.take() };
        drop(mapping);
        // Last: the driver's data may take locks of its own when it goes.
        drop(data);
    }
}

/// segmap(9E): notes what the process asks for while the framework does the work. The length is mmap(2)'s, not rounded.
#[allow(clippy::too_many_arguments)]
pub(crate) unsafe extern "C-unwind" fn segmap<D: Device>(
    dev: sys::dev_t,
    off: sys::off_t,
    space: *mut sys::as_,
    addrp: *mut sys::caddr_t,
    len: sys::off_t,
    protection: u32,
    max_protection: u32,
    flags: u32,
    cred: *mut sys::cred_t,
) -> c_int {
    // The framework does not survive a length of zero (docs/shield.md, 14).
    if len <= 0 || off < 0 || off.wrapping_add(len) < 0 {
        return Errno::EINVAL.raw();
    }
    let calls = soft_state::<D>().calls();
    let call = Inside::new(Call::new(Terms { protection, max_protection, flags, cred }));
    // SAFETY: it leaves when the guard goes, which is before it.
    unsafe { calls.threads.enter(&call) };
    let guard = InCall::<D> { calls, call: &call, of: PhantomData };
    // SAFETY: our own arguments passed on.
    let failed = unsafe {
        sys::ddi_devmap_segmap(dev, off, space, addrp, len, protection, max_protection, flags, cred)
    };
    guard.end(failed == 0);
    failed
}

/// A mapping that devmap(9E) has made: dropped if it was not set up, given to the mmap(2) if it was.
struct Fresh<'a, D: Device> {
    own: ManuallyDrop<Own<D>>,
    kept: &'a Cell<bool>,
}

impl<D: Device> Drop for Fresh<'_, D> {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.kept.get() {
            // SAFETY: this once.
            unsafe { ManuallyDrop::drop(&mut self.own) };
        }
    }
}

/// devmap(9E): asks the device, whose answer is kept until the framework has it. The length is mmap(2)'s, not rounded: from here on
/// lengths are whole pages.
///
/// The mapping is made before the device is asked. If that refuses, it is dropped: here, or at the end of the mmap(2), if it is set up already.
pub(crate) unsafe extern "C-unwind" fn devmap<D: Device>(
    dev: sys::dev_t,
    dhp: sys::devmap_cookie_t,
    off: i64,
    len: usize,
    maplen: *mut usize,
    model: u32,
) -> c_int {
    // SAFETY: in an entry point.
    let Some(entered) = (unsafe { soft_state::<D>().entered(dev) }) else { return Errno::ENXIO.raw() };
    let calls = soft_state::<D>().calls();
    let Some(call) = calls.threads.own() else { return Errno::ENXIO.raw() };
    let Some(len) = page::round_up(len) else { return Errno::EINVAL.raw() };
    let offset = off as u64;
    // Within 2^63, both: the end of what is negative is, or is beyond it.
    if len == 0 || off < 0 || offset.wrapping_add(len as u64) > i64::MAX as u64 || len > i64::MAX as usize {
        return Errno::EINVAL.raw();
    }
    let own = Own::new(entered.instance, dhp, (offset, len), State::new());
    let handle = own.get().handle();
    let kept = Cell::new(false);
    let fresh = Fresh { own: ManuallyDrop::new(own), kept: &kept };
    let asked = Asked { offset, len, model };
    let maker = InDevmap { instance: entered.instance, calls, call, kept: &kept };
    let request = MapRequest::new((entered.open, entered.minor), &maker, handle, asked);
    let answer = entered.instance.device.devmap(request);
    drop(fresh);
    let len = match answer {
        Ok(setup) => setup.len,
        Err(errno) => return errno.raw(),
    };
    // SAFETY: the framework's place for the length.
    unsafe { *maplen = len };
    0
}

/// A devmap(9E) under way.
struct InDevmap<'a, D: Device> {
    instance: &'a Instance<D>,
    calls: &'a Calls,
    call: &'a Call,
    kept: &'a Cell<bool>,
}

impl<D: Device> Maker<D> for InDevmap<'_, D> {
    #[inline(always)]
    fn terms(&self) -> &Terms {
        &self.call.terms
    }

    #[inline(always)]
    fn callbacks(&self, access: bool, engine: usize) -> &'static sys::devmap_callback_ctl {
        callbacks::table::<D>(access, engine)
    }

    #[inline(always)]
    fn keep(&self, handle: &Handle, mapping: D::Mapping) {
        // SAFETY: of this device, and made by this devmap(9E).
        let slot = unsafe { Lent::<D>::new(handle.raw().cast()) };
        // SAFETY: nobody knows it yet, and this once: a request is set up once.
        unsafe { slot.fill(mapping) };
        // SAFETY: the reference that was made with it, which its maker gives up when it is in a list; the instance is that of an entry point, which is called from inside of the mmap(2).
        unsafe { self.calls.prepare(self.call, &self.instance.attached.mappings, handle.raw()) };
        self.kept.set(true);
    }

    fn previous(&self, look: &mut dyn FnMut(&D::Mapping) -> bool) {
        self.instance.attached.mappings.previous(self.call, &mut |record| {
            // SAFETY: of this device, and in the list while this looks.
            let slot = unsafe { Lent::<D>::new(record.cast()) };
            // SAFETY: what is in the list has its data. Others only read it.
            look(unsafe { slot.mapping() })
        });
    }
}
