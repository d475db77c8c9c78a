//! The way out: an entry point of this driver's own in front of the layer's, and functions of the kernel that the layer does not have. What is unsafe here is what [`devmap::raw`] asks for.
#![allow(unsafe_code)]

use core::ffi::c_int;

use devmap::{raw, sys};

use crate::Drill;
use crate::device::Client;

const WAY_OUT: c_int = 90;

const LAYER: sys::cb_ops = devmap::module::cb_ops::<Drill>();

/// The table with [`ioctl`] in it.
pub(crate) const fn more(ops: sys::cb_ops) -> sys::cb_ops {
    sys::cb_ops { cb_ioctl: Some(ioctl), ..ops }
}

/// ioctl(9E): answers one command, and passes the others on.
unsafe extern "C-unwind" fn ioctl(
    dev: sys::dev_t,
    command: c_int,
    argument: isize,
    mode: c_int,
    credp: *mut sys::cred_t,
    value: *mut c_int,
) -> c_int {
    if command != WAY_OUT {
        let Some(layer) = LAYER.cb_ioctl else { return sys::ENOTTY };
        // SAFETY: what the kernel has called this with, for the same device.
        return unsafe { layer(dev, command, argument, mode, credp, value) };
    }
    // SAFETY: the kernel calls this for an open of this driver's.
    let Some(line) = (unsafe { raw::with_device(dev, behind) }) else { return sys::ENXIO };
    // SAFETY: the kernel's place for the value that the program gets.
    unsafe { value.write(line) };
    0
}

/// 0, or the line of the check that does not hold.
fn behind(drill: &Drill, open: &Client) -> c_int {
    let mutex = open.waits_for_signals.as_raw();
    // SAFETY: a mutex that lives as long as the open.
    let owned = || unsafe { sys::mutex_owned(mutex) } != 0;
    if owned() {
        return line!() as c_int;
    }
    let guard = open.waits_for_signals.lock();
    if !owned() {
        return line!() as c_int;
    }
    drop(guard);
    if drill.shown.memory.as_raw().is_null() {
        return line!() as c_int;
    }
    0
}
