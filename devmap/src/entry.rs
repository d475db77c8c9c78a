//! The entry points that the kernel calls: attach, open, segmap, devmap and the rest, and what they turn into calls
//! of [`Device`].
//!
//! The framework calls no entry point of an instance before its attach or after its detach (but getinfo, which looks
//! at soft state only). No lock of this crate is held while the driver is called.

use core::ffi::{c_int, c_short, c_void};
use core::ptr::{self, NonNull};

use ddi_sys as sys;

use crate::argument::Argument;
use crate::caller::Caller;
use crate::context::{HighLevel, Kernel};
use crate::device::Device;
use crate::errno::Errno;
use crate::instance::{Attached, Instance};
use crate::life::{Quiesce, Refusal};
use crate::lifecycle;
use crate::numbers::{Minor, have_data};
use crate::open::Open;
use crate::opens::{Entered, no_data};
use crate::poll::Poll;
use crate::power::Change;
use crate::state::soft_state;
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
            let item = soft_state::<D>().module.item(number);
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
        // SAFETY: the node's attach, of this device.
        sys::DDI_ATTACH => unsafe { lifecycle::attach::<D>(&soft_state::<D>().module, dip) },
        // SAFETY: in the instance's attach.
        sys::DDI_RESUME => unsafe { resume::<D>(dip) },
        _ => sys::DDI_FAILURE,
    }
}

/// attach(9E), `DDI_RESUME`. Not inlined: its locals would be in attach's frame.
///
/// # Safety
/// The node's attach(9E).
#[cold]
#[inline(never)]
unsafe fn resume<D: Device>(dip: *mut sys::dev_info_t) -> c_int {
    // SAFETY: the caller's.
    unsafe { asked::<D>(dip, "resume", |device, cx| device.resume(cx)) }
}

/// Asks the instance's device for something that it may refuse, and logs why it does.
///
/// # Safety
/// In an entry point of the instance, in kernel context.
unsafe fn asked<D: Device>(
    dip: *mut sys::dev_info_t,
    what: &str,
    ask: impl Fn(&D, &mut Kernel) -> Result<(), Refusal>,
) -> c_int {
    // SAFETY: the instance is this device's.
    let ask: lifecycle::Ask<'_> = &|instance, cx| ask(unsafe { device(instance) }, cx);
    // SAFETY: the caller's.
    unsafe { lifecycle::asked(&soft_state::<D>().module, dip, what, ask) }
}

/// The device of an instance.
///
/// # Safety
/// In an entry point of the instance, which is this device's.
unsafe fn device<'a, D: Device>(instance: NonNull<Attached>) -> &'a D {
    // SAFETY: the caller's.
    &unsafe { instance.cast::<Instance<D>>().as_ref() }.device
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

pub(crate) unsafe extern "C-unwind" fn detach<D: Device>(
    dip: *mut sys::dev_info_t,
    cmd: sys::ddi_detach_cmd_t,
) -> c_int {
    match cmd {
        sys::DDI_DETACH => {
            // SAFETY: in the instance's detach.
            let ask: lifecycle::Ask<'_> = &|instance, cx| unsafe { device::<D>(instance) }.detach(cx);
            // SAFETY: the node's detach, of this device.
            unsafe {
                lifecycle::detach(&soft_state::<D>().module, const { &lifecycle::kind::<D>() }, dip, ask)
            }
        }
        // SAFETY: in the instance's detach.
        sys::DDI_SUSPEND => unsafe { asked::<D>(dip, "suspend", |device, cx| device.suspend(cx)) },
        _ => sys::DDI_FAILURE,
    }
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
