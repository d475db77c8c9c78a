//! The entry points that the kernel calls: attach, open, segmap, devmap and the rest, and what they turn into calls
//! of [`Device`].
//!
//! The framework calls no entry point of an instance before its attach or after its detach (but getinfo, which looks
//! at soft state only). No lock of this crate is held while the driver is called.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ffi::{CStr, c_int, c_short, c_void};
use core::marker::PhantomData;
use core::ptr;

use ddi_sys as sys;

use crate::argument::Argument;
use crate::attach::{Attach, Mappings};
use crate::callbacks::{self, Slot};
use crate::caller::Caller;
use crate::calls::Calls;
use crate::context::{HighLevel, Kernel};
use crate::device::Device;
use crate::errno::Errno;
use crate::handle::Handle;
use crate::instance::Instance;
use crate::life::{Quiesce, Refusal};

use crate::node::Node;
use crate::numbers::Minor;
use crate::open::Open;
use crate::opens::{Entered, have_data, no_data};
use crate::page;
use crate::poll::Poll;
use crate::power::Change;
use crate::request::{Asked, Keeper, MapRequest, Terms};
use crate::state::{Item, soft_state};
use crate::tether::Tether;
use crate::uio::Uio;

/// Calls `f` with what the entry point is about, and answers 0 or an error number, as entry points do.
///
/// # Safety
/// In an entry point that the framework calls for an open of this device number.
#[inline(always)]
unsafe fn enter<D: Device>(dev: sys::dev_t, f: impl FnOnce(&Entered<'_, D>) -> Result<(), Errno>) -> c_int {
    // SAFETY: the caller's.
    let Some(entered) = (unsafe { soft_state::<D>().entered(dev) }) else { return Errno::ENXIO.raw() };
    match f(&entered) {
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
    let number = match Minor::of::<D>(arg.addr() as sys::dev_t) {
        Minor::Node { instance, .. } => Some(instance),
        Minor::Open(number) => soft_state::<D>().opens().instance_number(number),
    };
    let Some(number) = number else { return sys::DDI_FAILURE };
    let answer: *mut c_void = match cmd {
        sys::DDI_INFO_DEVT2INSTANCE => ptr::without_provenance_mut(number as usize),
        sys::DDI_INFO_DEVT2DEVINFO => {
            let item = soft_state::<D>().item(number);
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
    match cmd {
        sys::DDI_ATTACH => {}
        // SAFETY: in the instance's attach.
        sys::DDI_RESUME => return unsafe { asked::<D>(dip, "resume", |device, cx| device.resume(cx)) },
        _ => return sys::DDI_FAILURE,
    }
    // SAFETY: a live node.
    let number = unsafe { sys::ddi_get_instance(dip) };
    // SAFETY: attached from here to detach, which goes on only when this is the last.
    let tether = unsafe { Tether::new(dip) };
    let node = Node::new(&tether);
    if soft_state::<D>().allocate(number) != sys::DDI_SUCCESS {
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
    let known = soft_state::<D>().calls().is_some_and(|calls| calls.attached(&mappings.set).is_ok());
    let instance = Arc::new(Instance { device, dip, mappings });
    let (kept, tether_ptr) = (Arc::into_raw(Arc::clone(&instance)).cast(), tether.as_ptr());
    // SAFETY: the item just allocated; nobody else knows it.
    unsafe { soft_state::<D>().item(number).write(Item { dip, instance: kept, tether: tether_ptr }) };
    let made = known && (0..D::MINORS.max(1)).all(|index| minor_node(&instance.device, &node, number, index));
    drop(instance);
    if !made {
        // SAFETY: a live node; null is all of its minor nodes.
        unsafe { sys::ddi_remove_minor_node(dip, ptr::null_mut()) };
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

/// Asks the instance's device for something that it may refuse, and logs why it does.
///
/// # Safety
/// In an entry point of the instance, in kernel context.
unsafe fn asked<D: Device>(
    dip: *mut sys::dev_info_t,
    what: &str,
    ask: impl FnOnce(&D, &mut Kernel) -> Result<(), Refusal>,
) -> c_int {
    // SAFETY: a live node.
    let number = unsafe { sys::ddi_get_instance(dip) };
    // SAFETY: the caller's.
    let Some(instance) = (unsafe { soft_state::<D>().instance(number) }) else { return sys::DDI_FAILURE };
    // SAFETY: the caller's.
    let mut cx = unsafe { Kernel::assume() };
    let Err(refusal) = ask(&instance.device, &mut cx) else { return sys::DDI_SUCCESS };
    // SAFETY: a live node.
    let name = unsafe { sys::ddi_driver_name(dip) };
    // SAFETY: the kernel's string, which lives as long as the node.
    let name = unsafe { CStr::from_ptr(name) }.to_str().unwrap_or("");
    crate::warn!("{name}{number}: {what}: {refusal}");
    sys::DDI_FAILURE
}

/// power(9E), for a device that has a function for it.
pub(crate) unsafe extern "C-unwind" fn power<D: Device>(
    dip: *mut sys::dev_info_t,
    component: c_int,
    level: c_int,
) -> c_int {
    let (Some(power), Ok(component)) = (D::POWER, u32::try_from(component)) else { return sys::DDI_FAILURE };
    // SAFETY: in power(9E) of the instance.
    unsafe { asked::<D>(dip, "power", |device, cx| power(device, cx, Change { component, level })) }
}

/// quiesce(9E), for a device that has a function for it. No other thread runs, so nothing here may wait.
pub(crate) unsafe extern "C-unwind" fn quiesce<D: Device>(dip: *mut sys::dev_info_t) -> c_int {
    let Quiesce::By(quiesce) = D::QUIESCE else { return sys::DDI_FAILURE };
    // SAFETY: a live node.
    let number = unsafe { sys::ddi_get_instance(dip) };
    // SAFETY: in an entry point of the instance.
    let Some(instance) = (unsafe { soft_state::<D>().instance(number) }) else { return sys::DDI_SUCCESS };
    // SAFETY: quiesce(9E) is called as high as any interrupt.
    let mut cx = unsafe { HighLevel::assume() };
    match quiesce(&instance.device, &mut cx) {
        Ok(()) => sys::DDI_SUCCESS,
        Err(_) => sys::DDI_FAILURE,
    }
}

/// Frees an instance's soft state item when its attach fails or panics.
struct Undo<D: Device>(i32, PhantomData<fn() -> D>);

impl<D: Device> Drop for Undo<D> {
    fn drop(&mut self) {
        soft_state::<D>().free(self.0);
    }
}

/// Takes the reference that soft state has to an instance.
///
/// # Safety
/// No entry point of the instance runs, but its attach or detach.
unsafe fn take<D: Device>(number: i32) -> Option<Arc<Instance<D>>> {
    let item = soft_state::<D>().item(number);
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
    if let Some(calls) = soft_state::<D>().calls() {
        calls.detached(&instance.mappings.set);
    }
    Some(instance)
}

/// Makes one of the nodes by which processes open the instance, if the device wants it.
fn minor_node<D: Device>(device: &D, node: &Node<'_>, number: i32, index: u32) -> bool {
    let Some(minor) = device.minor(node, index) else { return true };
    let Some(number) = Minor::number::<D>(number, index) else { return false };
    if minor.name.is_cut() || minor.name.as_bytes().is_empty() {
        return false;
    }
    let (name, kind) = (minor.name.as_ptr().cast_mut(), minor.kind.as_c_str().as_ptr().cast_mut());
    let type_ = sys::S_IFCHR as c_int;
    let result = match minor.restricted {
        // SAFETY: a live node; strings that end in NUL, which the call copies.
        None => unsafe { sys::ddi_create_minor_node(node.as_ptr(), name, type_, number, kind, 0) },
        Some((read, write, mode)) => {
            let (read, write) = (read.as_ptr(), write.as_ptr());
            let dip = node.as_ptr();
            // SAFETY: as above.
            unsafe { sys::ddi_create_priv_minor_node(dip, name, type_, number, kind, 0, read, write, mode) }
        }
    };
    result == sys::DDI_SUCCESS
}

pub(crate) unsafe extern "C-unwind" fn detach<D: Device>(
    dip: *mut sys::dev_info_t,
    cmd: sys::ddi_detach_cmd_t,
) -> c_int {
    match cmd {
        sys::DDI_DETACH => {}
        // SAFETY: in the instance's detach.
        sys::DDI_SUSPEND => return unsafe { asked::<D>(dip, "suspend", |device, cx| device.suspend(cx)) },
        _ => return sys::DDI_FAILURE,
    }
    // SAFETY: a live node.
    let number = unsafe { sys::ddi_get_instance(dip) };
    let item = soft_state::<D>().item(number);
    if item.is_null() {
        return sys::DDI_FAILURE;
    }
    // SAFETY: in the instance's detach.
    if let Some(instance) = unsafe { soft_state::<D>().instance(number) } {
        // Soft state's reference; every mapping would have another.
        if Arc::strong_count(&instance) != 1 {
            return sys::DDI_FAILURE;
        }
        // SAFETY: in the instance's detach.
        let answer = unsafe { asked::<D>(dip, "detach", |device, cx| device.detach(cx)) };
        if answer != sys::DDI_SUCCESS {
            return answer;
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
        crate::warn!(
            "{}{number}: registers that are still mapped keep it attached",
            Node::new(&tether).name()
        );
        core::mem::forget(tether);
        return sys::DDI_FAILURE;
    }
    soft_state::<D>().free(number);
    sys::DDI_SUCCESS
}

/// open(9E): what the device says. An open with private data becomes a device number of its own, on which all other entry points are called.
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
    let caller = unsafe { Caller::new(cred) };
    // SAFETY: in an entry point.
    match unsafe { opened::<D>(dev, flag, caller) } {
        Ok(None) => 0,
        Ok(Some(minor)) => {
            // SAFETY: calculations.
            let major = unsafe { sys::getmajor(dev) };
            // SAFETY: as above.
            let dev = unsafe { sys::makedevice(major, minor) };
            // SAFETY: as above.
            unsafe { *devp = dev };
            0
        }
        Err(errno) => errno.raw(),
    }
}

/// Opens the device of a minor node; the minor number of the open, if it has one of its own.
///
/// # Safety
/// In open(9E) for this device number.
unsafe fn opened<D: Device>(dev: sys::dev_t, flag: c_int, caller: Caller<'_>) -> Result<Option<u32>, Errno> {
    let Minor::Node { instance: number, index } = Minor::of::<D>(dev) else { return Err(Errno::ENXIO) };
    // SAFETY: the caller's.
    let instance = unsafe { soft_state::<D>().instance(number) }.ok_or(Errno::ENXIO)?;
    let how = Open::new(flag, caller, index);
    if !have_data::<D>() {
        // Without bytes, and with nothing to drop.
        core::mem::forget(instance.device.open(how)?);
        return Ok(None);
    }
    let place = soft_state::<D>().opens().reserve()?;
    let data = instance.device.open(how)?;
    Ok(Some(place.fill((&instance, number), index, data)))
}

/// close(9E): the last of an open, or of a minor node's opens if they have no private data.
pub(crate) unsafe extern "C-unwind" fn close<D: Device>(
    dev: sys::dev_t,
    _flag: c_int,
    _otyp: c_int,
    _cred: *mut sys::cred_t,
) -> c_int {
    // SAFETY: in an entry point that may sleep, of a process or of none.
    let mut cx = unsafe { Kernel::assume() };
    match Minor::of::<D>(dev) {
        // SAFETY: in an entry point.
        Minor::Node { .. } => unsafe {
            enter::<D>(dev, |entered| {
                entered.instance.device.close(no_data::<D>(), &mut cx);
                Ok(())
            })
        },
        Minor::Open(number) => {
            let opens = soft_state::<D>().opens();
            // SAFETY: in an entry point for this open.
            let instance = unsafe { opens.entered(number) }.map(|entered| entered.instance);
            // SAFETY: in its close(9E).
            let closed = unsafe { opens.close(number) };
            let Some((instance, (data, place))) = instance.zip(closed) else { return Errno::ENXIO.raw() };
            instance.device.close(&data, &mut cx);
            drop(data);
            drop(place);
            0
        }
    }
}

pub(crate) unsafe extern "C-unwind" fn read<D: Device>(
    dev: sys::dev_t,
    uio: *mut sys::uio_t,
    cred: *mut sys::cred_t,
) -> c_int {
    // SAFETY: the framework's request, ours for this call.
    let uio = unsafe { &mut *uio };
    // SAFETY: the caller's credential, for this call.
    let caller = unsafe { Caller::new(cred) };
    let call = |entered: &Entered<'_, D>| {
        entered.instance.device.read(entered.open, &mut Uio::new(uio, caller, entered.minor))
    };
    // SAFETY: in an entry point.
    unsafe { enter::<D>(dev, call) }
}

pub(crate) unsafe extern "C-unwind" fn write<D: Device>(
    dev: sys::dev_t,
    uio: *mut sys::uio_t,
    cred: *mut sys::cred_t,
) -> c_int {
    // SAFETY: the framework's request, ours for this call.
    let uio = unsafe { &mut *uio };
    // SAFETY: the caller's credential, for this call.
    let caller = unsafe { Caller::new(cred) };
    let call = |entered: &Entered<'_, D>| {
        entered.instance.device.write(entered.open, &mut Uio::new(uio, caller, entered.minor))
    };
    // SAFETY: in an entry point.
    unsafe { enter::<D>(dev, call) }
}

pub(crate) unsafe extern "C-unwind" fn ioctl<D: Device>(
    dev: sys::dev_t,
    cmd: c_int,
    arg: isize,
    mode: c_int,
    cred: *mut sys::cred_t,
    rvalp: *mut c_int,
) -> c_int {
    // SAFETY: the caller's credential, for this call.
    let caller = unsafe { Caller::new(cred) };
    let call = |entered: &Entered<'_, D>| {
        // SAFETY: what this entry point was called with.
        let argument = unsafe { Argument::new(arg, mode, caller, entered.minor) };
        let value = entered.instance.device.ioctl(entered.open, cmd, argument)?;
        if !rvalp.is_null() {
            // SAFETY: the framework's place for the result.
            unsafe { *rvalp = value };
        }
        Ok(())
    };
    // SAFETY: in an entry point.
    unsafe { enter::<D>(dev, call) }
}

/// chpoll(9E): what is ready, and where the process waits if nothing is.
pub(crate) unsafe extern "C-unwind" fn chpoll<D: Device>(
    dev: sys::dev_t,
    events: c_short,
    anyyet: c_int,
    reventsp: *mut c_short,
    phpp: *mut *mut sys::pollhead,
) -> c_int {
    // SAFETY: the framework's place for the poll head, ours for this call.
    let head = unsafe { &mut *phpp };
    let call = |entered: &Entered<'_, D>| {
        let poll = Poll::new(events, anyyet, head, entered.minor);
        let polled = entered.instance.device.poll(entered.open, poll)?;
        // SAFETY: the framework's place for what is ready.
        unsafe { *reventsp = polled.0.bits().cast_signed() };
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
    let Some(calls) = soft_state::<D>().calls() else { return Errno::ENXIO.raw() };
    let call = match calls.enter(Terms { protection, max_protection, flags, cred }) {
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
    let Some(entered) = (unsafe { soft_state::<D>().entered(dev) }) else { return Errno::ENXIO.raw() };
    let Some(terms) = soft_state::<D>().calls().and_then(Calls::terms) else { return Errno::ENXIO.raw() };
    let len = page::round_up(len).filter(|&len| len > 0 && off.checked_add_unsigned(len as u64).is_some());
    let (Some(len), Ok(offset)) = (len, u64::try_from(off)) else { return Errno::EINVAL.raw() };
    let request =
        MapRequest::new((entered.open, entered.minor), &entered, dhp, Asked { offset, len, model, terms });
    let len = match entered.instance.device.devmap(request) {
        Ok(setup) => setup.len,
        Err(errno) => return errno.raw(),
    };
    // SAFETY: the framework's place for the length.
    unsafe { *maplen = len };
    0
}

impl<D: Device> Keeper<D> for Entered<'_, D> {
    fn dip(&self) -> *mut sys::dev_info_t {
        self.instance.dip
    }

    fn callbacks(&self, access: bool, engine: usize) -> sys::devmap_callback_ctl {
        callbacks::table::<D>(access, engine)
    }

    fn keep(&self, cookie: sys::devmap_cookie_t, handle: &Handle, mapping: D::Mapping) -> Result<(), Errno> {
        let instance = Arc::clone(&self.instance);
        let member = instance.mappings.set.insert(handle);
        let slot = Box::new(Slot { handle: handle.clone(), member, instance, mapping });
        soft_state::<D>().calls().ok_or(Errno::ENXIO)?.prepare(cookie, slot)
    }

    fn previous(&self, look: &mut dyn FnMut(&D::Mapping) -> bool) {
        if let Some(calls) = soft_state::<D>().calls() {
            calls.previous(look);
        }
    }
}
