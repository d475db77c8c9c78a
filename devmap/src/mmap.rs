//! segmap(9E) and devmap(9E): an mmap(2), from the process's arguments to a mapping that is set up.
//!
//! No lock of this crate is held while the driver is called.

use core::cell::Cell;
use core::ffi::c_int;
use core::marker::PhantomData;
use core::mem;
use core::ptr::NonNull;

use ddi_sys as sys;

use crate::callbacks;
use crate::calls::{Call, Calls};
use crate::device::Device;
use crate::errno::Errno;
use crate::handle::{Borrowed, Home, State, Target};
use crate::instance::Instance;
use crate::links;
use crate::page;
use crate::protection::Terms;
use crate::request::{Asked, Maker, MapRequest};
use crate::slot::{Lent, Own, Slot};
use crate::state::soft_state;
use crate::threads::{Inside, Place};

/// An mmap(2) under way, whose end drops what was prepared, unless the framework has it: also if the driver panics.
struct InCall<'a, D: Device> {
    calls: &'a Calls,
    call: &'a Inside<Call>,
    place: Option<&'a Place<Call>>,
    of: PhantomData<fn() -> D>,
}

impl<D: Device> InCall<'_, D> {
    #[inline(always)]
    fn end(self, mapped: bool) {
        let InCall { calls, call, place, .. } = self;
        mem::forget(self);
        calls.threads.leave(call, place);
        if !(mapped & call.what.is_done()) {
            left::<D>(&call.what, mapped);
        }
    }
}

impl<D: Device> Drop for InCall<'_, D> {
    fn drop(&mut self) {
        self.calls.threads.leave(self.call, self.place);
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
    // Nor is an offset negative, or the sum beyond 2^63.
    if len.wrapping_sub(1) | off | off.wrapping_add(len) < 0 {
        return Errno::EINVAL.refused();
    }
    let calls = soft_state::<D>().calls();
    let call = Inside::new(Call::new(Terms { protection, max_protection, flags, cred }));
    // SAFETY: it leaves when the guard goes, which is before it.
    let place = unsafe { calls.threads.enter(&call) };
    let guard = InCall::<D> { calls, call: &call, place, of: PhantomData };
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
/// The mapping is made when the device asks for it, or has it set up. If it refuses after that, it is dropped: here, or at the end of the mmap(2), if it is set up already.
pub(crate) unsafe extern "C-unwind" fn devmap<D: Device>(
    dev: sys::dev_t,
    dhp: sys::devmap_cookie_t,
    off: i64,
    len: usize,
    maplen: *mut usize,
    model: u32,
) -> c_int {
    // SAFETY: in an entry point.
    let Some(entered) = (unsafe { soft_state::<D>().entered(dev) }) else {
        return Errno::ENXIO.refused();
    };
    let Some(call) = soft_state::<D>().calls().threads.own() else { return Errno::ENXIO.refused() };
    let unrounded = len;
    let (len, within) = page::rounded_up(unrounded);
    let offset = off as u64;
    // All are below 2^63: so no sum has wrapped.
    let signs = (unrounded | within) as i64 | off | offset.wrapping_add(len as u64) as i64;
    if signs < 0 || len == 0 {
        return Errno::EINVAL.refused();
    }
    let asked = Asked { offset, len, model };
    let maker = InDevmap {
        instance: entered.instance,
        call,
        cookie: dhp,
        asked,
        made: Cell::new(None),
        kept: Cell::new(false),
    };
    let request = MapRequest::new((entered.open, entered.minor), &maker, asked);
    let answer = entered.instance.device.devmap(request);
    let len = match answer {
        Ok(setup) => setup.len,
        Err(errno) => return errno.refused(),
    };
    // SAFETY: the framework's place for the length.
    unsafe { *maplen = len };
    0
}

/// A devmap(9E) under way.
struct InDevmap<'a, D: Device> {
    instance: &'a Instance<D>,
    call: &'a Call,
    cookie: sys::devmap_cookie_t,
    asked: Asked,
    /// The mapping, once it is made: dropped with this, unless it is kept.
    made: Cell<Option<NonNull<Slot<D>>>>,
    kept: Cell<bool>,
}

impl<D: Device> InDevmap<'_, D> {
    fn make(&self) -> NonNull<Slot<D>> {
        let range = (self.asked.offset, self.asked.len);
        let slot =
            Own::new(self.instance, self.cookie, range, State::new(), links::Place::Nowhere).into_raw();
        self.made.set(Some(slot));
        slot
    }

    /// The mapping, which was made before, or is of a process's memory, among whose mappings it has to be.
    #[cold]
    #[inline(never)]
    fn set_target(&self, target: Target, len: usize) -> NonNull<Slot<D>> {
        let slot = self.made.get().unwrap_or_else(|| self.make());
        // SAFETY: made, and not kept yet.
        let handle = unsafe { Lent::new(slot) }.handle();
        handle.set_target(target, len);
        handle.record().set_place(links::Place::Early);
        slot
    }
}

impl<D: Device> Drop for InDevmap<'_, D> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(slot) = self.made.get()
            && !self.kept.get()
        {
            // SAFETY: the reference that it was made with.
            drop(unsafe { Own::from_raw(slot) });
        }
    }
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
    fn subject(&self) -> (sys::devmap_cookie_t, &Home) {
        (self.cookie, &self.instance.attached.home)
    }

    #[cold]
    fn make(&self) -> Borrowed {
        let slot = self.made.get().unwrap_or_else(|| InDevmap::make(self));
        // SAFETY: it lives as long as the request, which this outlives: longer, if it is kept.
        unsafe { Borrowed::new(slot.cast()) }
    }

    #[inline(always)]
    fn keep(&self, mapping: D::Mapping, target: Target, len: usize) {
        let slot = if self.made.get().is_some() || target.memory.user().is_some() {
            self.set_target(target, len)
        } else {
            let range = (self.asked.offset, len);
            Own::new(self.instance, self.cookie, range, State::of(target), links::Place::Early).into_raw()
        };
        // SAFETY: made just now.
        let lent = unsafe { Lent::<D>::new(slot) };
        // SAFETY: nobody knows it yet, and this once: a request is set up once.
        unsafe { lent.fill(mapping) };
        self.made.set(Some(slot));
        self.kept.set(true);
        // SAFETY: the reference that was made with it, which its maker gives up when it is in a list; the instance is that of an entry point, which is called from inside of the mmap(2).
        unsafe { soft_state::<D>().calls().prepare(self.call, lent.record().mapped(), slot.cast()) };
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
