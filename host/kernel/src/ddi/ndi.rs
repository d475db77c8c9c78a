//! What nexus drivers have (sys/sunndi.h), as far as leaf drivers reach for it: the data of devctl ioctls, events.
//!
//! No nexus here has events: a cookie is never found, and a posted event is claimed by nobody. No locking.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;

use ddi_sys::{ddi_eventcookie_t, dev_info_t};

use super::nodes::node;
use super::user;

/// `NDI_SUCCESS`.
const SUCCESS: c_int = 0;
/// `NDI_FAILURE`.
const FAILURE: c_int = -1;
/// `NDI_FAULT`: bad user addresses.
const FAULT: c_int = -4;
/// `MAXNAMELEN`.
const NAME: usize = 256;

/// `struct devctl_iocdata`.
#[repr(C)]
struct Iocdata {
    cmd: u32,
    flags: u32,
    cpyout_buf: *mut c_void,
    nvl_user: *mut c_void,
    nvl_usersz: usize,
    c_nodename: *mut c_char,
    c_unitaddr: *mut c_char,
}

/// A string of the process's, in the host's memory; None when it cannot be read.
fn copied(from: *mut c_char) -> Option<*mut c_char> {
    if from.is_null() {
        return Some(null_mut());
    }
    let mut text = [0u8; NAME];
    // SAFETY: a buffer of NAME bytes.
    let error = unsafe { user::copyinstr(from, text.as_mut_ptr().cast(), NAME, null_mut()) };
    let text = CStr::from_bytes_until_nul(&text).ok()?;
    (error == 0).then(|| text.to_owned().into_raw())
}

/// # Safety
/// `text` is NULL or one of [`copied`].
unsafe fn forget(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: the caller's promise.
        drop(unsafe { std::ffi::CString::from_raw(text) });
    }
}

ddi! {
    /// ndi_dc_allochdl: copies the data of a devctl ioctl in.
    @private fn ndi_dc_allochdl(arg: *mut c_void, to: *mut *mut c_void) -> c_int {
        let mut data = Iocdata {
            cmd: 0,
            flags: 0,
            cpyout_buf: null_mut(),
            nvl_user: null_mut(),
            nvl_usersz: 0,
            c_nodename: null_mut(),
            c_unitaddr: null_mut(),
        };
        // SAFETY: as many bytes as the structure has, all values of which are valid.
        if unsafe { user::copyin(arg, (&raw mut data).cast(), size_of::<Iocdata>()) } != 0 {
            return FAULT;
        }
        let Some(name) = copied(data.c_nodename) else { return FAULT };
        let Some(unit) = copied(data.c_unitaddr) else {
            // SAFETY: just copied.
            unsafe { forget(name) };
            return FAULT;
        };
        (data.c_nodename, data.c_unitaddr) = (name, unit);
        // SAFETY: the driver's promise.
        unsafe { to.write(Box::into_raw(Box::new(data)).cast()) };
        SUCCESS
    }
    /// ndi_dc_freehdl.
    @private fn ndi_dc_freehdl(handle: *mut c_void) {
        // SAFETY: made by ndi_dc_allochdl, given back now.
        let data = unsafe { Box::from_raw(handle.cast::<Iocdata>()) };
        // SAFETY: strings of the same, here and below.
        unsafe { forget(data.c_nodename) };
        // SAFETY: as above.
        unsafe { forget(data.c_unitaddr) };
    }
    /// ndi_dc_getname: the name of the child that the ioctl is about.
    @private fn ndi_dc_getname(handle: *mut c_void) -> *mut c_char {
        // SAFETY: the driver's promise.
        unsafe { (*handle.cast::<Iocdata>()).c_nodename }
    }
    /// ndi_dc_getaddr: its unit address.
    @private fn ndi_dc_getaddr(handle: *mut c_void) -> *mut c_char {
        // SAFETY: the driver's promise.
        unsafe { (*handle.cast::<Iocdata>()).c_unitaddr }
    }
    /// ndi_dc_return_dev_state: tells the process whether the device is online.
    @private fn ndi_dc_return_dev_state(dip: *mut dev_info_t, handle: *mut c_void) -> c_int {
        let Some(node) = node(dip, "ndi_dc_return_dev_state") else { return FAILURE };
        let state: u32 = if node.state() == ddi_sys::DDI_DEVSTATE_DOWN { 8 } else { 1 };
        // SAFETY: the driver's promise.
        let to = unsafe { (*handle.cast::<Iocdata>()).cpyout_buf };
        // SAFETY: 4 bytes of the host's.
        let error = unsafe { user::copyout((&raw const state).cast_mut().cast(), to, 4) };
        if error == 0 { SUCCESS } else { FAULT }
    }
    /// ndi_post_event: no nexus claims it.
    @private fn ndi_post_event(
        _dip: *mut dev_info_t,
        _about: *mut dev_info_t,
        _cookie: ddi_eventcookie_t,
        _data: *mut c_void,
    ) -> c_int {
        FAILURE
    }
}
