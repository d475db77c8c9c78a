//! Interrupts of devices: ddi_intr_alloc(9F) and so on, and the older ddi_add_intr(9F).
//!
//! Only PCI devices have any; what they are and when they come is in [`crate::pci::interrupts`]. A handle is a number that is looked
//! up. The states of an interrupt follow each other as on illumos: allocated, handler added, enabled; a call that does not
//! fit the state answers DDI_EINVAL. Kernel context, except for masks, which may be set in interrupt context.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use ddi_sys::{
    caddr_t, ddi_iblock_cookie_t, ddi_idevice_cookie_t, ddi_intr_handle_t, ddi_intr_handler_t, dev_info_t,
    uint_t,
};

use super::args::{Memory, Out};
use super::nodes::node;
use crate::board::report;
use crate::pci::interrupts::{self, Handler, Interrupt, Kind};
use crate::pci::{self, Device};

const NOT_FOUND: c_int = ddi_sys::DDI_INTR_NOTFOUND;
const FAILURE: c_int = ddi_sys::DDI_FAILURE;
const SUCCESS: c_int = ddi_sys::DDI_SUCCESS;
const EINVAL: c_int = ddi_sys::DDI_EINVAL;
const ENOTSUP: c_int = ddi_sys::DDI_ENOTSUP;
const EAGAIN: c_int = ddi_sys::DDI_EAGAIN;

/// Messages for a driver that has not registered for more (ddi_cb_register(9F)).
const MOST_MSI: c_int = 2;
const MOST_MSIX: c_int = 8;

fn device_of(dip: *mut dev_info_t, function: &str) -> Option<&'static Device> {
    node(dip, function).and_then(pci::of)
}

/// A kind that the device has.
fn kind_of(device: &Device, kind: c_int) -> Option<Kind> {
    let known = [Kind::Fixed, Kind::Msi, Kind::Msix].into_iter().find(|k| *k as c_int == kind)?;
    (interrupts::kinds(device) & kind != 0).then_some(known)
}

/// Returns the number of interrupts of a kind that the device has.
fn count(device: &Device, kind: Kind) -> c_int {
    let d = &device.description;
    match kind {
        Kind::Fixed => d.interrupt_pin.is_some().into(),
        Kind::Msi => d.msi.map_or(0, |m| m.vectors.into()),
        Kind::Msix => d.msix.map_or(0, |m| m.vectors.into()),
    }
}

/// Returns the number of interrupts of a kind that are available.
fn available(device: &Device, kind: Kind) -> c_int {
    let most = match kind {
        Kind::Fixed => 1,
        Kind::Msi => MOST_MSI,
        Kind::Msix => MOST_MSIX,
    };
    let taken = interrupts::of(device).iter().filter(|i| i.kind == kind && i.original.is_none()).count();
    (count(device, kind).min(most) - taken as c_int).max(0)
}

/// DDI_INTR_FLAG_* of an interrupt.
fn flags(interrupt: &Interrupt) -> c_int {
    let bits = match interrupt.kind {
        Kind::Fixed => {
            ddi_sys::DDI_INTR_FLAG_LEVEL | ddi_sys::DDI_INTR_FLAG_MASKABLE | ddi_sys::DDI_INTR_FLAG_PENDING
        }
        Kind::Msi if interrupt.device.description.msi.is_some_and(|m| m.maskable) => {
            ddi_sys::DDI_INTR_FLAG_EDGE | ddi_sys::DDI_INTR_FLAG_MASKABLE | ddi_sys::DDI_INTR_FLAG_PENDING
        }
        Kind::Msi => ddi_sys::DDI_INTR_FLAG_EDGE | ddi_sys::DDI_INTR_FLAG_BLOCK,
        Kind::Msix => {
            ddi_sys::DDI_INTR_FLAG_EDGE | ddi_sys::DDI_INTR_FLAG_MASKABLE | ddi_sys::DDI_INTR_FLAG_PENDING
        }
    };
    bits as c_int
}

fn blocks(interrupt: &Interrupt) -> bool {
    flags(interrupt) & ddi_sys::DDI_INTR_FLAG_BLOCK as c_int != 0
}

/// The interrupt of a handle; a bad one is reported, NULL is not.
fn find(handle: ddi_intr_handle_t, function: &str) -> Option<Arc<Interrupt>> {
    let found = interrupts::find(handle as usize);
    if found.is_none() && !handle.is_null() {
        let what = format!("{handle:p} is not an interrupt handle, or it has been freed");
        report::mistake(function, &what, &format!("{function}(9F)"));
    }
    found
}

/// The interrupts of an array of handles.
fn all(handles: Memory<'_, ddi_intr_handle_t>, count: c_int, function: &str) -> Option<Vec<Arc<Interrupt>>> {
    let count = usize::try_from(count).ok().filter(|n| *n > 0 && !handles.is_null())?;
    (0..count).map(|i| find(handles.element(i), function)).collect()
}

/// Gives an interrupt a handler, if it has none.
fn add(interrupt: &Interrupt, handler: Handler) -> c_int {
    let mut state = interrupt.state();
    if state.handler.is_some() {
        return EINVAL;
    }
    state.handler = Some(handler);
    SUCCESS
}

/// The interrupt of the pin.
fn pin(device: &Device) -> Option<Arc<Interrupt>> {
    interrupts::of(device).into_iter().find(|i| i.kind == Kind::Fixed)
}

ddi! {
    /// ddi_intr_get_hilevel_pri(9F): LOCK_LEVEL + 1.
    fn ddi_intr_get_hilevel_pri() -> uint_t {
        interrupts::HIGH_LEVEL
    }
    /// ddi_intr_get_supported_types(9F).
    fn ddi_intr_get_supported_types(dip: *mut dev_info_t, typesp: Out<c_int>) -> c_int {
        let kinds = device_of(dip, NAME).map_or(0, interrupts::kinds);
        typesp.set(kinds);
        if kinds == 0 { NOT_FOUND } else { SUCCESS }
    }
    /// ddi_intr_get_nintrs(9F).
    fn ddi_intr_get_nintrs(dip: *mut dev_info_t, kind: c_int, countp: Out<c_int>) -> c_int {
        let device = device_of(dip, NAME);
        let found = device.and_then(|device| Some(count(device, kind_of(device, kind)?)));
        countp.set(found.unwrap_or(0));
        if found.is_some() { SUCCESS } else { EINVAL }
    }
    /// ddi_intr_get_navail(9F).
    fn ddi_intr_get_navail(dip: *mut dev_info_t, kind: c_int, countp: Out<c_int>) -> c_int {
        let device = device_of(dip, NAME);
        let found = device.and_then(|device| Some(available(device, kind_of(device, kind)?)));
        countp.set(found.unwrap_or(0));
        if found.is_some() { SUCCESS } else { EINVAL }
    }
    /// ddi_intr_alloc(9F).
    fn ddi_intr_alloc(
        dip: *mut dev_info_t,
        handles: Memory<ddi_intr_handle_t>,
        kind: c_int,
        number: c_int,
        wanted: c_int,
        actualp: Out<c_int>,
        behaviour: c_int,
    ) -> c_int {
        actualp.set(0);
        let Some(device) = device_of(dip, NAME) else { return NOT_FOUND };
        let Some(kind) = kind_of(device, kind) else { return EINVAL };
        let strict = behaviour == ddi_sys::DDI_INTR_ALLOC_STRICT as c_int;
        let known = strict || behaviour == ddi_sys::DDI_INTR_ALLOC_NORMAL as c_int;
        let others = interrupts::of(device).iter().any(|i| i.kind != kind);
        let power = kind != Kind::Msi || wanted.count_ones() == 1;
        if handles.is_null() || wanted < 1 || number < 0 || !known || others || !power
            || wanted > count(device, kind)
        {
            return EINVAL;
        }
        let left = available(device, kind);
        if left == 0 {
            return if kind == Kind::Fixed { EINVAL } else { NOT_FOUND };
        }
        if wanted > left && strict {
            return EAGAIN;
        }
        let priority = interrupts::priority(device);
        let mut given = 0;
        for number in number..number.saturating_add(wanted.min(left)) {
            let Ok(number) = u16::try_from(number) else { break };
            let Some(new) = interrupts::allocate(device, kind, number, priority, None) else { break };
            handles.set_element(given as usize, new.id() as ddi_intr_handle_t);
            given += 1;
        }
        actualp.set(given);
        if given > 0 { SUCCESS } else { NOT_FOUND }
    }
    /// ddi_intr_free(9F): the handler is to be removed before.
    fn ddi_intr_free(handle: ddi_intr_handle_t) -> c_int {
        let Some(interrupt) = find(handle, NAME) else { return EINVAL };
        let state = interrupt.state();
        let fits = match interrupt.original {
            Some(_) => !state.enabled,
            None => state.handler.is_none() && state.copies == 0,
        };
        drop(state);
        if !fits {
            return EINVAL;
        }
        if let Some(original) = &interrupt.original {
            original.state().copies -= 1;
        }
        interrupt.free();
        SUCCESS
    }
    /// ddi_intr_add_handler(9F).
    fn ddi_intr_add_handler(
        handle: ddi_intr_handle_t,
        handler: ddi_intr_handler_t,
        arg1: *mut c_void,
        arg2: *mut c_void,
    ) -> c_int {
        let (Some(interrupt), Some(handler)) = (find(handle, NAME), handler) else { return EINVAL };
        add(&interrupt, Handler::New(handler, arg1 as usize, arg2 as usize))
    }
    /// ddi_intr_dup_handler(9F): another MSI-X message with the same handler.
    fn ddi_intr_dup_handler(handle: ddi_intr_handle_t, number: c_int, dupp: Out<ddi_intr_handle_t>) -> c_int {
        let Some(interrupt) = find(handle, NAME) else { return EINVAL };
        let Ok(number) = u16::try_from(number) else { return EINVAL };
        let (handler, priority) = (interrupt.state().handler, interrupt.state().priority);
        if interrupt.kind != Kind::Msix || interrupt.original.is_some() || handler.is_none()
            || c_int::from(number) >= count(interrupt.device, Kind::Msix)
        {
            return EINVAL;
        }
        let original = Some(interrupt.clone());
        let Some(copy) = interrupts::allocate(interrupt.device, Kind::Msix, number, priority, original) else {
            return EINVAL;
        };
        copy.state().handler = handler;
        interrupt.state().copies += 1;
        dupp.set(copy.id() as ddi_intr_handle_t);
        SUCCESS
    }
    /// ddi_intr_remove_handler(9F): it is to be disabled before.
    fn ddi_intr_remove_handler(handle: ddi_intr_handle_t) -> c_int {
        let Some(interrupt) = find(handle, NAME) else { return EINVAL };
        let mut state = interrupt.state();
        if state.handler.is_none() || state.enabled || state.copies > 0 || interrupt.original.is_some() {
            return EINVAL;
        }
        state.handler = None;
        SUCCESS
    }
    /// ddi_intr_enable(9F): not for messages that are enabled as a block.
    fn ddi_intr_enable(handle: ddi_intr_handle_t) -> c_int {
        let Some(interrupt) = find(handle, NAME) else { return EINVAL };
        let fits = interrupt.state().handler.is_some() && !interrupt.state().enabled;
        if !fits || blocks(&interrupt) {
            return EINVAL;
        }
        interrupt.enable();
        SUCCESS
    }
    /// ddi_intr_disable(9F): the handler does not run any more when it returns.
    fn ddi_intr_disable(handle: ddi_intr_handle_t) -> c_int {
        let Some(interrupt) = find(handle, NAME) else { return EINVAL };
        if !interrupt.state().enabled || blocks(&interrupt) {
            return EINVAL;
        }
        interrupt.disable();
        SUCCESS
    }
    /// ddi_intr_block_enable(9F): for messages without masks of their own.
    fn ddi_intr_block_enable(handles: Memory<ddi_intr_handle_t>, count: c_int) -> c_int {
        let Some(all) = all(handles, count, NAME) else { return EINVAL };
        let fits = |i: &Arc<Interrupt>| blocks(i) && i.state().handler.is_some() && !i.state().enabled;
        if !all.iter().all(fits) {
            return EINVAL;
        }
        all.iter().for_each(Interrupt::enable);
        SUCCESS
    }
    /// ddi_intr_block_disable(9F).
    fn ddi_intr_block_disable(handles: Memory<ddi_intr_handle_t>, count: c_int) -> c_int {
        let Some(all) = all(handles, count, NAME) else { return EINVAL };
        if !all.iter().all(|i| blocks(i) && i.state().enabled) {
            return EINVAL;
        }
        all.iter().for_each(|i| i.disable());
        SUCCESS
    }
    /// ddi_intr_get_cap(9F).
    fn ddi_intr_get_cap(handle: ddi_intr_handle_t, flagsp: Out<c_int>) -> c_int {
        let found = find(handle, NAME);
        flagsp.set(found.as_deref().map_or(0, flags));
        if found.is_some() { SUCCESS } else { EINVAL }
    }
    /// ddi_intr_set_cap(9F): edge and level are as the device has them.
    fn ddi_intr_set_cap(handle: ddi_intr_handle_t, flags: c_int) -> c_int {
        let Some(interrupt) = find(handle, NAME) else { return EINVAL };
        let known = (ddi_sys::DDI_INTR_FLAG_LEVEL | ddi_sys::DDI_INTR_FLAG_EDGE) as c_int;
        if flags & known == 0 || interrupt.state().handler.is_some() { EINVAL } else { ENOTSUP }
    }
    /// ddi_intr_get_pri(9F).
    fn ddi_intr_get_pri(handle: ddi_intr_handle_t, priorityp: Out<uint_t>) -> c_int {
        let found = find(handle, NAME);
        priorityp.set(found.as_ref().map_or(0, |i| i.state().priority));
        if found.is_some() { SUCCESS } else { EINVAL }
    }
    /// ddi_intr_set_pri(9F): before the handler is added.
    fn ddi_intr_set_pri(handle: ddi_intr_handle_t, priority: uint_t) -> c_int {
        let Some(interrupt) = find(handle, NAME) else { return EINVAL };
        let mut state = interrupt.state();
        if !(ddi_sys::DDI_INTR_PRI_MIN as uint_t..=ddi_sys::DDI_INTR_PRI_MAX as uint_t).contains(&priority)
            || state.handler.is_some()
        {
            return EINVAL;
        }
        state.priority = priority;
        SUCCESS
    }
    /// ddi_intr_get_pending(9F).
    fn ddi_intr_get_pending(handle: ddi_intr_handle_t, pendingp: Out<c_int>) -> c_int {
        let Some(interrupt) = find(handle, NAME) else { return EINVAL };
        if flags(&interrupt) & ddi_sys::DDI_INTR_FLAG_PENDING as c_int == 0 {
            return EINVAL;
        }
        pendingp.set(interrupt.state().pending.into());
        SUCCESS
    }
    /// ddi_intr_set_mask(9F): of an enabled interrupt.
    fn ddi_intr_set_mask(handle: ddi_intr_handle_t) -> c_int {
        set_mask(handle, true, NAME)
    }
    /// ddi_intr_clr_mask(9F): what came meanwhile comes now.
    fn ddi_intr_clr_mask(handle: ddi_intr_handle_t) -> c_int {
        set_mask(handle, false, NAME)
    }
    /// ddi_intr_set_nreq(9F): for drivers that registered with ddi_cb_register(9F), which there are none of.
    fn ddi_intr_set_nreq(_dip: *mut dev_info_t, _count: c_int) -> c_int {
        ENOTSUP
    }

    /// ddi_dev_nintrs(9F): pins.
    fn ddi_dev_nintrs(dip: *mut dev_info_t, countp: Out<c_int>) -> c_int {
        let pins = device_of(dip, NAME).map_or(0, |device| count(device, Kind::Fixed));
        countp.set(pins);
        SUCCESS
    }
    /// ddi_intr_hilevel(9F).
    fn ddi_intr_hilevel(dip: *mut dev_info_t, number: uint_t) -> c_int {
        let device = device_of(dip, NAME).filter(|_| number == 0);
        device.is_some_and(|device| interrupts::priority(device) >= interrupts::HIGH_LEVEL).into()
    }
    /// ddi_get_iblock_cookie(9F).
    fn ddi_get_iblock_cookie(dip: *mut dev_info_t, number: uint_t, iblockp: Out<ddi_iblock_cookie_t>) -> c_int {
        let device = device_of(dip, NAME).filter(|_| number == 0);
        let Some(device) = device.filter(|device| count(device, Kind::Fixed) > 0) else { return NOT_FOUND };
        iblockp.set(interrupts::priority(device) as usize as ddi_iblock_cookie_t);
        SUCCESS
    }
    /// ddi_add_intr(9F): the pin's handler, enabled at once.
    fn ddi_add_intr(
        dip: *mut dev_info_t,
        number: uint_t,
        iblockp: Out<ddi_iblock_cookie_t>,
        idevicep: Out<ddi_idevice_cookie_t>,
        handler: Option<unsafe extern "C-unwind" fn(caddr_t) -> uint_t>,
        arg: caddr_t,
    ) -> c_int {
        let device = device_of(dip, NAME).filter(|_| number == 0);
        let Some(device) = device.filter(|device| count(device, Kind::Fixed) > 0) else { return NOT_FOUND };
        let Some(handler) = handler else { return FAILURE };
        let priority = interrupts::priority(device);
        let Some(interrupt) = interrupts::allocate(device, Kind::Fixed, 0, priority, None) else { return FAILURE };
        add(&interrupt, Handler::Old(handler, arg as usize));
        iblockp.set(priority as usize as ddi_iblock_cookie_t);
        idevicep.set(ddi_idevice_cookie_t { idev_softint: 0 });
        interrupt.enable();
        SUCCESS
    }
    /// ddi_remove_intr(9F): the handler does not run any more when it returns.
    fn ddi_remove_intr(dip: *mut dev_info_t, number: uint_t, _iblock: ddi_iblock_cookie_t) {
        let device = device_of(dip, NAME).filter(|_| number == 0);
        let Some(interrupt) = device.and_then(pin) else {
            return report::mistake(NAME, "no interrupt was added", "ddi_remove_intr(9F)");
        };
        interrupt.disable();
        interrupt.state().handler = None;
        interrupt.free();
    }
}

fn set_mask(handle: ddi_intr_handle_t, masked: bool, function: &str) -> c_int {
    let Some(interrupt) = find(handle, function) else { return EINVAL };
    let maskable = flags(&interrupt) & ddi_sys::DDI_INTR_FLAG_MASKABLE as c_int != 0;
    if !maskable || !interrupt.state().enabled {
        return EINVAL;
    }
    interrupt.mask(masked);
    SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::{self, describe::Description};
    use std::ptr::null_mut;
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    unsafe extern "C-unwind" fn handler(arg1: caddr_t, arg2: caddr_t) -> uint_t {
        // SAFETY: the sender of the test.
        unsafe { &*arg1.cast::<Sender<usize>>() }.send(arg2 as usize).unwrap();
        1
    }

    /// The functions, with what the tests always give them.
    fn call(f: impl FnOnce() -> c_int) -> c_int {
        f()
    }

    #[test]
    fn messages_come_to_their_handlers() {
        let text = "vendor = 2\ndevice = 3\nclass = 0x020000\ninterrupt-pin = \"A\"\n[[bar]]\nsize = 4096\n[msi]\n\
            vectors = 4\n[msix]\nvectors = 4\nbar = 0\n";
        let device = pci::add(Description::parse(text).unwrap(), |_| None).unwrap();
        let dip = device.node().unwrap().dip();
        let (mut n, mut handles) = (0, [null_mut(); 4]);
        assert_eq!(call(|| driver!(ddi_sys::ddi_intr_get_supported_types(dip, &mut n))), SUCCESS);
        assert_eq!(n, 7);
        assert_eq!(call(|| driver!(ddi_sys::ddi_intr_get_navail(dip, 2, &mut n))), SUCCESS);
        assert_eq!(n, MOST_MSI);
        let at = handles.as_mut_ptr();
        let alloc = |kind, count, how, n: &mut c_int| {
            driver!(ddi_sys::ddi_intr_alloc(dip, at, kind, 0, count, n, how))
        };
        assert_eq!(alloc(2, 3, 0, &mut n), EINVAL);
        assert_eq!(alloc(2, 4, 1, &mut n), EAGAIN);
        assert_eq!((alloc(4, 3, 0, &mut n), n), (SUCCESS, 3));
        assert_eq!(alloc(2, 1, 0, &mut n), EINVAL);
        let (sender, receiver) = channel::<usize>();
        let arg = (&raw const sender).cast_mut().cast();
        for (i, handle) in handles[..3].iter().enumerate() {
            assert_eq!(call(|| driver!(ddi_sys::ddi_intr_enable(*handle))), EINVAL);
            let added = call(|| {
                driver!(ddi_sys::ddi_intr_add_handler(*handle, Some(handler), arg, (i + 10) as *mut _))
            });
            assert_eq!(added, SUCCESS);
            assert_eq!(call(|| driver!(ddi_sys::ddi_intr_enable(*handle))), SUCCESS);
        }
        assert!(device.space.msix_enabled());
        assert!(device.raise(2) && receiver.recv() == Ok(12));
        assert!(device.raise(0) && receiver.recv() == Ok(10));
        assert!(!device.raise(3));
        assert_eq!(call(|| driver!(ddi_sys::ddi_intr_set_mask(handles[1]))), SUCCESS);
        assert!(device.raise(1));
        assert!(receiver.recv_timeout(Duration::from_millis(20)).is_err());
        assert_eq!(call(|| driver!(ddi_sys::ddi_intr_get_pending(handles[1], &mut n))), SUCCESS);
        assert_eq!(n, 1);
        assert_eq!(call(|| driver!(ddi_sys::ddi_intr_clr_mask(handles[1]))), SUCCESS);
        assert_eq!(receiver.recv(), Ok(11));
        for handle in &handles[..3] {
            assert_eq!(call(|| driver!(ddi_sys::ddi_intr_free(*handle))), EINVAL);
            assert_eq!(call(|| driver!(ddi_sys::ddi_intr_disable(*handle))), SUCCESS);
            assert_eq!(call(|| driver!(ddi_sys::ddi_intr_remove_handler(*handle))), SUCCESS);
            assert_eq!(call(|| driver!(ddi_sys::ddi_intr_free(*handle))), SUCCESS);
        }
        assert!(!device.space.msix_enabled() && !device.raise(0));
    }
}
