//! The entry points that the kernel calls: attach, open, segmap, devmap and the rest, and what they turn into calls
//! of [`Device`].
//!
//! The framework calls no entry point of an instance before its attach or after its detach (but getinfo, which looks
//! at soft state only). No lock of this crate is held while the driver is called.

use alloc::boxed::Box;
use core::ffi::{CStr, c_int, c_short, c_void};
use core::marker::PhantomData;
use core::ptr;

use ddi_sys as sys;

use crate::argument::Argument;
use crate::attach::{Attach, Mappings};
use crate::callbacks::{switch, table};
use crate::caller::Caller;
use crate::context::{HighLevel, Kernel};
use crate::device::Device;
use crate::errno::Errno;
use crate::handle::Home;
use crate::instance::Instance;
use crate::life::{Quiesce, Refusal};
use crate::log::warn_of;

use crate::node::Node;
use crate::numbers::{Minor, have_data};
use crate::open::Open;
use crate::opens::{Entered, no_data};
use crate::poll::Poll;
use crate::power::Change;
use crate::slot::free;
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
    let Some(entered) = (unsafe { soft_state::<D>().entered(dev) }) else { return Errno::ENXIO.refused() };
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
        warn_of(node.driver_name(), number, "no soft state", &());
        return sys::DDI_FAILURE;
    }
    let undo = Undo::<D>(number, PhantomData);
    let mappings = Mappings::new();
    let device = match D::attach(&Attach { node, mappings: mappings.clone() }) {
        Ok(device) => device,
        Err(errno) => {
            warn_of(node.driver_name(), number, "attach", &errno);
            return sys::DDI_FAILURE;
        }
    };
    soft_state::<D>().calls().attached(&mappings.all);
    let instance = Box::into_raw(Box::new(Instance {
        home: Home {
            dip,
            callbacks: table::<D>(true, 0),
            switch: switch::<D>,
            switches: soft_state::<D>().switches(),
        },
        device,
        mappings,
    }));
    // SAFETY: made just now.
    let mapped = unsafe { &(*instance).mappings.all };
    // SAFETY: the instance's beginning; it stays until detach, which is refused while there are mappings; they are slots of this device.
    unsafe { mapped.attached(instance.cast(), free::<D>) };
    let (kept, tether_ptr) = (instance.cast_const().cast(), tether.as_ptr());
    // SAFETY: the item just allocated; nobody else knows it.
    unsafe { soft_state::<D>().item(number).write(Item { dip, instance: kept, tether: tether_ptr }) };
    // SAFETY: made just now; it stays until detach, or until it is taken below.
    let device = unsafe { &(*instance).device };
    let made = (0..D::MINORS.max(1)).all(|index| minor_node(device, &node, number, index));
    if !made {
        // SAFETY: a live node; null is all of its minor nodes.
        unsafe { sys::ddi_remove_minor_node(dip, ptr::null_mut()) };
        warn_of(node.driver_name(), number, "no minor node", &());
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
    let name = unsafe { CStr::from_ptr(name) };
    warn_of(name, number, what, &refusal);
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

/// Takes an instance out of soft state.
///
/// # Safety
/// No entry point of the instance runs, but its attach or detach.
unsafe fn take<D: Device>(number: i32) -> Option<Box<Instance<D>>> {
    let item = soft_state::<D>().item(number);
    if item.is_null() {
        return None;
    }
    // SAFETY: an item of ours.
    let instance = unsafe { (*item).instance }.cast::<Instance<D>>().cast_mut();
    // SAFETY: as above.
    unsafe { (*item).instance = ptr::null() };
    if instance.is_null() {
        return None;
    }
    // SAFETY: from `Box::into_raw` in attach, and not in the item any more.
    let instance = unsafe { Box::from_raw(instance) };
    soft_state::<D>().calls().detached(&instance.mappings.all);
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
        // A mapping borrows its instance.
        if !instance.mappings.is_empty() {
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
        let name = Node::new(&tether).driver_name();
        warn_of(name, number, "registers that are still mapped keep it attached", &());
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
        return Errno::EINVAL.refused();
    }
    // SAFETY: the framework's device number.
    let dev = unsafe { *devp };
    // SAFETY: the caller's credential, for this call.
    let caller = unsafe { Caller::new(cred) };
    let Minor::Node { instance: number, index } = Minor::of::<D>(dev) else { return Errno::ENXIO.raw() };
    // SAFETY: in an entry point.
    let Some(instance) = (unsafe { soft_state::<D>().instance(number) }) else {
        return Errno::ENXIO.refused();
    };
    let how = Open::new(flag, caller, index);
    if !have_data::<D>() {
        return match instance.device.open(how) {
            Ok(data) => {
                // Without bytes, and with nothing to drop.
                core::mem::forget(data);
                0
            }
            Err(errno) => errno.raw(),
        };
    }
    let minor = match opened((instance, number), index, how) {
        Ok(minor) => minor,
        Err(errno) => return errno.raw(),
    };
    // SAFETY: calculations.
    let major = unsafe { sys::getmajor(dev) };
    // SAFETY: as above.
    let dev = unsafe { sys::makedevice(major, minor) };
    // SAFETY: as above.
    unsafe { *devp = dev };
    0
}

/// Opens an instance with private data; the minor number of the open.
fn opened<D: Device>(
    (instance, number): (&Instance<D>, i32),
    index: u32,
    how: Open<'_>,
) -> Result<u32, Errno> {
    let place = soft_state::<D>().opens().reserve()?;
    let data = instance.device.open(how)?;
    Ok(place.fill((instance, number), index, data))
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
        Minor::Node { .. } if have_data::<D>() => Errno::ENXIO.raw(),
        Minor::Node { instance, .. } => {
            // SAFETY: in an entry point for what is open.
            let Some(instance) = (unsafe { soft_state::<D>().open_instance(instance) }) else {
                return Errno::ENXIO.refused();
            };
            instance.device.close(no_data::<D>(), &mut cx);
            0
        }
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
