//! What nexus drivers have (sys/sunndi.h), as far as leaf drivers reach for it: the data of devctl ioctls, events.
//!
//! No nexus here has events: a cookie is never found, and a posted event is never claimed. No locking.

use std::ffi::{CString, c_char, c_int, c_void};
use std::mem::offset_of;
use std::ptr::null_mut;

use ddi_sys::{ddi_eventcookie_t, dev_info_t, devctl_iocdata, nvlist_t};

use super::args::{Out, Owned};
use super::nodes::node;
use super::user;

crate::fields! {
    /// The subject of a devctl ioctl.
    ///
    /// # Invariants
    /// Made by ndi_dc_allochdl, and not freed by ndi_dc_freehdl yet.
    struct Subject at devctl_iocdata {
        c_nodename: *mut c_char,
        c_unitaddr: *mut c_char,
        cpyout_buf: *mut c_void,
    }
}

/// `NDI_SUCCESS`.
const SUCCESS: c_int = 0;
/// `NDI_FAILURE`.
const FAILURE: c_int = -1;
/// `NDI_FAULT`: bad user addresses.
const FAULT: c_int = -4;
/// `MAXNAMELEN`.
const NAME: usize = 256;

/// A string of the process's, copied; None when it cannot be read.
fn copied(from: *mut c_char) -> Option<Option<CString>> {
    if from.is_null() {
        return Some(None);
    }
    CString::new(user::read_string(from, NAME).ok()?).ok().map(Some)
}

/// A handle of ndi_dc_allochdl. Drivers see the structure that it begins with, and the strings that were copied.
#[repr(C)]
struct Handle {
    data: devctl_iocdata,
    name: Option<CString>,
    unit: Option<CString>,
}

fn pointer(text: Option<&CString>) -> *mut c_char {
    text.map_or(null_mut(), |text| text.as_ptr().cast_mut())
}

ddi! {
    /// ndi_dc_allochdl: copies the data of a devctl ioctl in.
    fn ndi_dc_allochdl(arg: *mut c_void, to: Out<*mut devctl_iocdata>) -> c_int {
        let mut bytes = [0; size_of::<devctl_iocdata>()];
        if !user::read(arg, &mut bytes, "copyin") {
            return FAULT;
        }
        let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| bytes[at + i])) as usize;
        let half = |at: usize| u32::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]));
        let string = |at: usize| copied(word(at) as *mut c_char);
        let Some(name) = string(offset_of!(devctl_iocdata, c_nodename)) else { return FAULT };
        let Some(unit) = string(offset_of!(devctl_iocdata, c_unitaddr)) else { return FAULT };
        let data = devctl_iocdata {
            cmd: half(offset_of!(devctl_iocdata, cmd)),
            flags: half(offset_of!(devctl_iocdata, flags)),
            cpyout_buf: word(offset_of!(devctl_iocdata, cpyout_buf)) as *mut c_void,
            nvl_user: word(offset_of!(devctl_iocdata, nvl_user)) as *mut nvlist_t,
            nvl_usersz: word(offset_of!(devctl_iocdata, nvl_usersz)),
            c_nodename: pointer(name.as_ref()),
            c_unitaddr: pointer(unit.as_ref()),
        };
        to.put(Box::into_raw(Box::new(Handle { data, name, unit })).cast());
        SUCCESS
    }
    /// ndi_dc_freehdl.
    fn ndi_dc_freehdl(handle: Owned<Handle, devctl_iocdata>) {
        let Handle { data: _, name, unit } = *handle.there();
        drop((name, unit));
    }
    /// ndi_dc_getname: the name of the child that the ioctl is about.
    fn ndi_dc_getname(handle: Subject) -> *mut c_char {
        handle.c_nodename()
    }
    /// ndi_dc_getaddr: its unit address.
    fn ndi_dc_getaddr(handle: Subject) -> *mut c_char {
        handle.c_unitaddr()
    }
    /// ndi_dc_return_dev_state: tells the process whether the device is online.
    fn ndi_dc_return_dev_state(dip: *mut dev_info_t, handle: Subject) -> c_int {
        let Some(node) = node(dip, NAME) else { return FAILURE };
        let state: u32 = if node.state() == ddi_sys::DDI_DEVSTATE_DOWN { 8 } else { 1 };
        let to = handle.cpyout_buf();
        if user::write(to, &state.to_ne_bytes(), "copyout") { SUCCESS } else { FAULT }
    }
    /// ndi_post_event: no nexus claims it.
    fn ndi_post_event(
        _dip: *mut dev_info_t,
        _about: *mut dev_info_t,
        _cookie: ddi_eventcookie_t,
        _data: *mut c_void,
    ) -> c_int {
        FAILURE
    }
}
