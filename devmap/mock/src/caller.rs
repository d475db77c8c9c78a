//! Who calls: process, credential, privileges, data model.

use std::collections::BTreeSet;
use std::ffi::{c_char, c_int, c_void};

use ddi_sys as sys;

use super::kernel;
use super::nodes::text;

/// The one process that there is. Root of the global zone, without any privilege.
#[derive(Default)]
pub struct Who {
    /// Process id.
    pub pid: i32,
    /// Effective user.
    pub uid: u32,
    /// Real user.
    pub ruid: u32,
    /// Effective group.
    pub gid: u32,
    /// Real group.
    pub rgid: u32,
    /// Zone id; 0 is the global zone.
    pub zone: i32,
    /// Supplementary groups.
    pub groups: BTreeSet<u32>,
    /// Effective privileges.
    pub privileges: BTreeSet<&'static str>,
    /// References to the process, and signals that it was sent.
    pub references: i32,
    /// Signals that were sent to the process.
    pub signals: Vec<i32>,
}

/// The privileges that there are, by number.
const PRIVILEGES: [&str; 2] = ["sys_devices", "sys_config"];

macro_rules! fields {
    ($($function:ident = $field:ident: $type:ty;)*) => {
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C-unwind" fn $function(_: *const sys::cred_t) -> $type {
                kernel().caller.$field
            }
        )*
    };
}
fields! {
    crgetuid = uid: u32;
    crgetruid = ruid: u32;
    crgetgid = gid: u32;
    crgetrgid = rgid: u32;
    crgetzoneid = zone: i32;
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_get_pid() -> i32 {
    kernel().caller.pid
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn groupmember(group: u32, _: *const sys::cred_t) -> c_int {
    let caller = &kernel().caller;
    (caller.gid == group || caller.groups.contains(&group)).into()
}

fn unless_has(privilege: &str) -> c_int {
    if kernel().caller.privileges.contains(privilege) { 0 } else { sys::EPERM }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn drv_priv(_: *mut sys::cred_t) -> c_int {
    unless_has("sys_devices")
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn secpolicy_excl_open(_: *const sys::cred_t) -> c_int {
    unless_has("sys_devices")
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn priv_getbyname(name: *const c_char, flags: u32) -> c_int {
    assert_eq!(flags, 0);
    // SAFETY: as priv_getbyname(9F): a string.
    let name = unsafe { text(name) };
    PRIVILEGES.iter().position(|known| *known == name).map_or(-sys::EINVAL, |number| number as c_int)
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn priv_policy(
    _: *const sys::cred_t,
    privilege: c_int,
    all_zones: sys::boolean_t,
    errno: c_int,
    message: *const c_char,
) -> c_int {
    assert!(all_zones == 0 && message.is_null());
    if unless_has(PRIVILEGES[privilege as usize]) == 0 { 0 } else { errno }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn priv_policy_choice(
    _: *const sys::cred_t,
    privilege: c_int,
    _: sys::boolean_t,
) -> sys::boolean_t {
    (unless_has(PRIVILEGES[privilege as usize]) == 0).into()
}

/// The process, as long as it lives.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn proc_ref() -> *mut c_void {
    let mut kernel = kernel();
    kernel.caller.references += 1;
    std::ptr::without_provenance_mut(kernel.caller.pid as usize)
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn proc_unref(_: *mut c_void) {
    kernel().caller.references -= 1;
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn proc_signal(process: *mut c_void, signal: c_int) -> c_int {
    let mut kernel = kernel();
    if process.expose_provenance() != kernel.caller.pid as usize {
        return -1;
    }
    kernel.caller.signals.push(signal);
    0
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_model_convert_from(model: sys::model_t) -> sys::model_t {
    if model == sys::DATAMODEL_ILP32 { sys::DDI_MODEL_ILP32 } else { sys::DDI_MODEL_NONE }
}
