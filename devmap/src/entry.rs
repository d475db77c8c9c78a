//! The entry points that the kernel calls: attach, open, segmap, devmap and the rest, and what they turn into calls
//! of [`Device`].
//!
//! The framework calls no entry point of an instance before its attach or after its detach (but getinfo, which looks
//! at soft state only). No lock of this crate is held while the driver is called.

use alloc::sync::Arc;
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::ptr;

use ddi_sys as sys;

use crate::calls::{Calls, Terms};
use crate::device::{Attach, Device, Mappings};
use crate::errno::Errno;
use crate::instance::{Instance, Item};
use crate::node::{Node, Tether};
use crate::page;
use crate::process::{Argument, Open, Uio};
use crate::request::MapRequest;
use crate::text::Text;

/// The minor number in a device number: the instance.
fn minor(dev: sys::dev_t) -> i32 {
    // SAFETY: a calculation.
    let minor = unsafe { sys::getminor(dev) };
    i32::try_from(minor).unwrap_or(-1)
}

/// # Safety
/// In an entry point of the instance.
pub(crate) unsafe fn instance<D: Device>(dev: sys::dev_t) -> Option<Arc<Instance<D>>> {
    // SAFETY: the caller's.
    unsafe { D::soft_state().instance(minor(dev)) }
}

/// Calls `f` with the instance's device and answers 0 or an error number, as entry points do.
///
/// # Safety
/// In an entry point of the instance.
unsafe fn enter<D: Device>(dev: sys::dev_t, f: impl FnOnce(&D) -> Result<(), Errno>) -> c_int {
    // SAFETY: the caller's.
    let Some(instance) = (unsafe { instance::<D>(dev) }) else { return Errno::ENXIO.raw() };
    match f(&instance.device) {
        Ok(()) => 0,
        Err(errno) => errno.raw(),
    }
}

pub(crate) unsafe extern "C-unwind" fn getinfo<D: Device>(
    _dip: *mut sys::dev_info_t,
    cmd: sys::ddi_info_cmd_t,
    arg: *mut c_void,
    resultp: *mut *mut c_void,
) -> c_int {
    let number = minor(arg.addr() as sys::dev_t);
    let answer: *mut c_void = match cmd {
        sys::DDI_INFO_DEVT2INSTANCE => ptr::without_provenance_mut(number as usize),
        sys::DDI_INFO_DEVT2DEVINFO => {
            let item = D::soft_state().item(number);
            if item.is_null() {
                return sys::DDI_FAILURE;
            }
            // SAFETY: an item of ours; the framework holds the node.
            unsafe { (*item).dip }.cast()
        }
        _ => return sys::DDI_FAILURE,
    };
    // SAFETY: the framework's place for the answer.
    unsafe { *resultp = answer };
    sys::DDI_SUCCESS
}

pub(crate) unsafe extern "C-unwind" fn attach<D: Device>(
    dip: *mut sys::dev_info_t,
    cmd: sys::ddi_attach_cmd_t,
) -> c_int {
    if cmd != sys::DDI_ATTACH {
        return sys::DDI_FAILURE;
    }
    // SAFETY: a live node.
    let number = unsafe { sys::ddi_get_instance(dip) };
    let tether = Tether::new();
    // SAFETY: attached from here to detach.
    let node = unsafe { Node::from_raw(dip, &tether) };
    if D::soft_state().allocate(number) != sys::DDI_SUCCESS {
        crate::warn!("{}{number}: no soft state", node.name());
        return sys::DDI_FAILURE;
    }
    let undo = Undo::<D>(number, PhantomData);
    let mappings = Mappings::new();
    let device = match D::attach(&Attach { node, mappings: mappings.clone() }) {
        Ok(device) => device,
        Err(errno) => {
            crate::warn!("{}{number}: attach: {errno}", node.name());
            return sys::DDI_FAILURE;
        }
    };
    let known = D::soft_state().calls().is_some_and(|calls| calls.attached(&mappings.set).is_ok());
    let instance = Arc::into_raw(Arc::new(Instance { device, dip, mappings })).cast();
    // SAFETY: the item just allocated; nobody else knows it.
    unsafe { D::soft_state().item(number).write(Item { dip, instance, tether: tether.as_ptr() }) };
    if !known || !minor_node::<D>(&node, number) {
        crate::warn!("{}{number}: no minor node", node.name());
        // SAFETY: no entry point runs without a minor node.
        drop(unsafe { take::<D>(number) });
        return sys::DDI_FAILURE;
    }
    // Soft state's until detach.
    core::mem::forget(tether);
    // SAFETY: a live node.
    unsafe { sys::ddi_report_dev(dip) };
    core::mem::forget(undo);
    sys::DDI_SUCCESS
}

/// Frees an instance's soft state item when its attach fails or panics.
struct Undo<D: Device>(i32, PhantomData<fn() -> D>);

impl<D: Device> Drop for Undo<D> {
    fn drop(&mut self) {
        D::soft_state().free(self.0);
    }
}

/// Takes the reference that soft state has to an instance.
///
/// # Safety
/// No entry point of the instance runs, but its attach or detach.
unsafe fn take<D: Device>(number: i32) -> Option<Arc<Instance<D>>> {
    let item = D::soft_state().item(number);
    if item.is_null() {
        return None;
    }
    // SAFETY: an item of ours.
    let instance = unsafe { (*item).instance }.cast::<Instance<D>>();
    // SAFETY: as above.
    unsafe { (*item).instance = ptr::null() };
    if instance.is_null() {
        return None;
    }
    // SAFETY: from `Arc::into_raw` in attach, and not in the item any more.
    let instance = unsafe { Arc::from_raw(instance) };
    if let Some(calls) = D::soft_state().calls() {
        calls.detached(&instance.mappings.set);
    }
    Some(instance)
}

/// Makes the node by which processes open the instance: named as the device says, numbered as the instance.
fn minor_node<D: Device>(node: &Node<'_>, number: i32) -> bool {
    let Ok(minor) = u32::try_from(number) else { return false };
    let mut name = Text::<64>::new();
    if D::minor_name(node, &mut name).is_err() || name.is_cut() {
        return false;
    }
    // SAFETY: a live node; strings that end in NUL, which the call copies.
    let result = unsafe {
        sys::ddi_create_minor_node(
            node.as_ptr(),
            name.as_ptr().cast_mut(),
            sys::S_IFCHR as c_int,
            minor,
            sys::DDI_PSEUDO.as_ptr().cast_mut(),
            0,
        )
    };
    result == sys::DDI_SUCCESS
}

pub(crate) unsafe extern "C-unwind" fn detach<D: Device>(
    dip: *mut sys::dev_info_t,
    cmd: sys::ddi_detach_cmd_t,
) -> c_int {
    if cmd != sys::DDI_DETACH {
        return sys::DDI_FAILURE;
    }
    // SAFETY: a live node.
    let number = unsafe { sys::ddi_get_instance(dip) };
    let item = D::soft_state().item(number);
    if item.is_null() {
        return sys::DDI_FAILURE;
    }
    // SAFETY: in the instance's detach.
    if let Some(instance) = unsafe { D::soft_state().instance(number) } {
        // Soft state's reference and this one; every mapping would have another.
        if Arc::strong_count(&instance) != 2 || instance.device.detach().is_err() {
            return sys::DDI_FAILURE;
        }
        // SAFETY: a live node; null is all of its minor nodes.
        unsafe { sys::ddi_remove_minor_node(dip, ptr::null_mut()) };
        // SAFETY: the device is not open, so no other entry point runs.
        drop(unsafe { take::<D>(number) });
    }
    // SAFETY: an item of ours, from attach.
    let tether = unsafe { (*item).tether };
    // SAFETY: soft state's reference, forgotten in attach.
    let tether = unsafe { Tether::from_ptr(tether) };
    if tether.is_shared() {
        // What the driver has kept would be freed after its node: the node stays until it is.
        // SAFETY: a live node.
        let name = unsafe { Node::from_raw(dip, &tether) };
        crate::warn!("{}{number}: registers that are still mapped keep it attached", name.name());
        core::mem::forget(tether);
        return sys::DDI_FAILURE;
    }
    D::soft_state().free(number);
    sys::DDI_SUCCESS
}

pub(crate) unsafe extern "C-unwind" fn open<D: Device>(
    devp: *mut sys::dev_t,
    flag: c_int,
    otyp: c_int,
    cred: *mut sys::cred_t,
) -> c_int {
    if otyp != sys::OTYP_CHR {
        return Errno::EINVAL.raw();
    }
    // SAFETY: the framework's device number.
    let dev = unsafe { *devp };
    // SAFETY: the caller's credential, for this call.
    let how = unsafe { Open::new(flag, cred) };
    // SAFETY: in an entry point.
    unsafe { enter::<D>(dev, |device| device.open(how)) }
}

pub(crate) unsafe extern "C-unwind" fn close<D: Device>(
    dev: sys::dev_t,
    _flag: c_int,
    _otyp: c_int,
    _cred: *mut sys::cred_t,
) -> c_int {
    let close = |device: &D| {
        device.close();
        Ok(())
    };
    // SAFETY: in an entry point.
    unsafe { enter::<D>(dev, close) }
}

pub(crate) unsafe extern "C-unwind" fn read<D: Device>(
    dev: sys::dev_t,
    uio: *mut sys::uio_t,
    _cred: *mut sys::cred_t,
) -> c_int {
    // SAFETY: the framework's request, ours for this call.
    let uio = unsafe { &mut *uio };
    // SAFETY: in an entry point.
    unsafe { enter::<D>(dev, |device| device.read(&mut Uio::new(uio))) }
}

pub(crate) unsafe extern "C-unwind" fn write<D: Device>(
    dev: sys::dev_t,
    uio: *mut sys::uio_t,
    _cred: *mut sys::cred_t,
) -> c_int {
    // SAFETY: the framework's request, ours for this call.
    let uio = unsafe { &mut *uio };
    // SAFETY: in an entry point.
    unsafe { enter::<D>(dev, |device| device.write(&mut Uio::new(uio))) }
}

pub(crate) unsafe extern "C-unwind" fn ioctl<D: Device>(
    dev: sys::dev_t,
    cmd: c_int,
    arg: isize,
    mode: c_int,
    cred: *mut sys::cred_t,
    rvalp: *mut c_int,
) -> c_int {
    // SAFETY: what this entry point was called with.
    let argument = unsafe { Argument::new(arg, mode, cred) };
    let call = |device: &D| {
        let value = device.ioctl(cmd, argument)?;
        if !rvalp.is_null() {
            // SAFETY: the framework's place for the result.
            unsafe { *rvalp = value };
        }
        Ok(())
    };
    // SAFETY: in an entry point.
    unsafe { enter::<D>(dev, call) }
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
    let Some(calls) = D::soft_state().calls() else { return Errno::ENXIO.raw() };
    let call = match calls.enter(Terms { protection, max_protection, flags }) {
        Ok(call) => call,
        Err(errno) => return errno.raw(),
    };
    // SAFETY: our own arguments passed on.
    let failed = unsafe {
        sys::ddi_devmap_segmap(dev, off, space, addrp, len, protection, max_protection, flags, cred)
    };
    if failed == 0 {
        call.succeeded();
    }
    failed
}

/// devmap(9E): asks the device, whose answer is kept until the framework has it. The length is mmap(2)'s, not rounded: from here on
/// lengths are whole pages.
pub(crate) unsafe extern "C-unwind" fn devmap<D: Device>(
    dev: sys::dev_t,
    dhp: sys::devmap_cookie_t,
    off: i64,
    len: usize,
    maplen: *mut usize,
    model: u32,
) -> c_int {
    // SAFETY: in an entry point.
    let Some(instance) = (unsafe { instance::<D>(dev) }) else { return Errno::ENXIO.raw() };
    let Some(terms) = D::soft_state().calls().and_then(Calls::terms) else { return Errno::ENXIO.raw() };
    let len = page::round_up(len).filter(|&len| len > 0 && off.checked_add_unsigned(len as u64).is_some());
    let (Some(len), Ok(offset)) = (len, u64::try_from(off)) else { return Errno::EINVAL.raw() };
    let request = MapRequest::new(&instance, dhp, (offset, len), model, terms);
    let len = match instance.device.devmap(request) {
        Ok(setup) => setup.len,
        Err(errno) => return errno.raw(),
    };
    // SAFETY: the framework's place for the length.
    unsafe { *maplen = len };
    0
}
