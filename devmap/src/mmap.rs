//! segmap(9E) and devmap(9E): an mmap(2), from the process's arguments to a mapping that is set up.
//!
//! No lock of this crate is held while the driver is called.

use core::ffi::c_int;
use core::marker::PhantomData;
use core::mem;
use core::ptr::NonNull;

use ddi_sys as sys;

use crate::callbacks;
use crate::calls::{Call, Calls};
use crate::device::Device;
use crate::errno::Errno;
use crate::handle::{Borrowed, Handle, Record, State};
use crate::opens::Entered;
use crate::page;
use crate::request::{Asked, Keeper, MapRequest, Terms};
use crate::slot::{Lent, Own};
use crate::state::soft_state;

/// An mmap(2) under way, whose end drops what was prepared, unless the framework has it: also if the driver panics.
struct InCall<'a, D: Device> {
    calls: &'a Calls,
    call: &'a Call,
    of: PhantomData<fn() -> D>,
}

impl<D: Device> InCall<'_, D> {
    #[inline(always)]
    fn end(self, mapped: bool) {
        let (calls, call) = (self.calls, self.call);
        mem::forget(self);
        leave::<D>(calls, call, mapped);
    }
}

impl<D: Device> Drop for InCall<'_, D> {
    fn drop(&mut self) {
        leave::<D>(self.calls, self.call, false);
    }
}

#[inline(always)]
fn leave<D: Device>(calls: &Calls, call: &Call, mapped: bool) {
    for record in calls.leave(call, mapped) {
        // SAFETY: the list's reference; a slot of this device, because its devmap(9E) has prepared it.
        drop_abandoned(unsafe { Own::<D>::from_raw(record.cast()) });
    }
}

/// Drops a mapping that has not come to be.
#[cold]
fn drop_abandoned<D: Device>(mut mapping: Own<D>) {
    let is_ready = mapping.get().record().is_ready();
    // SAFETY: it is ready.
    let data = is_ready.then(|| unsafe { mapping.take() });
    let ended = mapping.end();
    // The driver's data may take locks of its own when it goes.
    drop(data);
    drop(ended);
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
    if len <= 0 || off < 0 || off.checked_add(len).is_none() {
        return Errno::EINVAL.raw();
    }
    let Some(calls) = soft_state::<D>().calls() else { return Errno::ENXIO.raw() };
    let call = Call::new(Terms { protection, max_protection, flags, cred });
    // SAFETY: it leaves when the guard goes, which is before it.
    unsafe { calls.enter(&call) };
    let guard = InCall::<D> { calls, call: &call, of: PhantomData };
    // SAFETY: our own arguments passed on.
    let failed = unsafe {
        sys::ddi_devmap_segmap(dev, off, space, addrp, len, protection, max_protection, flags, cred)
    };
    guard.end(failed == 0);
    failed
}

/// devmap(9E): asks the device, whose answer is kept until the framework has it. The length is mmap(2)'s, not rounded: from here on
/// lengths are whole pages.
///
/// The mapping is prepared before the device is asked. If that refuses, the mmap(2) fails, and its end drops the mapping.
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
    let Some(calls) = soft_state::<D>().calls() else { return Errno::ENXIO.raw() };
    let len = page::round_up(len).filter(|&len| len > 0 && off.checked_add_unsigned(len as u64).is_some());
    let (Some(len), Ok(offset)) = (len, u64::try_from(off)) else { return Errno::EINVAL.raw() };
    let slot = Own::new(entered.instance, dhp, (offset, len), State::new()).into_raw().cast::<Record>();
    // SAFETY: a slot's record, and the reference that was just made.
    let Some(terms) = (unsafe { calls.prepare(slot) }) else {
        // SAFETY: nobody has taken the reference.
        unsafe { Record::release(slot) };
        return Errno::ENXIO.raw();
    };
    // SAFETY: in the list of an mmap(2) that this thread is in, it lives longer than this call.
    let handle = unsafe { Borrowed::new(slot) };
    let request =
        MapRequest::new((entered.open, entered.minor), &entered, handle, Asked { offset, len, model, terms });
    let len = match entered.instance.device.devmap(request) {
        Ok(setup) => setup.len,
        Err(errno) => return errno.raw(),
    };
    // SAFETY: the framework's place for the length.
    unsafe { *maplen = len };
    0
}

impl<D: Device> Keeper<D> for Entered<'_, D> {
    #[inline]
    fn callbacks(&self, access: bool, engine: usize) -> &'static sys::devmap_callback_ctl {
        callbacks::table::<D>(access, engine)
    }

    #[inline]
    fn keep(&self, handle: &Handle) -> NonNull<D::Mapping> {
        // SAFETY: of this device, and prepared by the mmap(2) that this thread is in.
        let slot = unsafe { Lent::<D>::new(handle.raw().cast()) };
        slot.join(self.instance);
        slot.ready()
    }

    fn previous(&self, look: &mut dyn FnMut(&D::Mapping) -> bool) {
        let Some(calls) = soft_state::<D>().calls() else { return };
        calls.previous(&mut |record| {
            // SAFETY: of this device; prepared and ready, and in the list while this looks.
            let slot = unsafe { Lent::<D>::new(record.cast()) };
            // SAFETY: as above. Others only read it.
            look(unsafe { slot.mapping() })
        });
    }
}
