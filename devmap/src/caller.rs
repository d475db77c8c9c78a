//! [`Caller`]: on whose behalf an entry point runs: process, user, zone, privileges.
//!
//! Obtained from the entry point's argument, and valid as long as that. The calls only read the credential: they take no locks and do not wait. A check of a
//! privilege is audited, so check only what matters.

use core::ffi::{c_int, c_void};
use core::marker::PhantomData;

use ddi_sys as sys;

use crate::errno::{Errno, Error, error};
use crate::text::Text;

/// A user's number; 0 is root.
pub type User = u32;
/// A group's number.
pub type Group = u32;

/// The caller of an entry point: `ddi_cred(9F)`.
///
/// ```no_run
/// # use devmap::prelude::*;
/// // Device::open: for privileged callers in the global zone only.
/// fn open(how: Open<'_>) -> Result<(), Errno> {
///     let caller = how.caller();
///     if !caller.privileged() || !caller.in_global_zone() {
///         return Err(Errno::EPERM);
///     }
///     devmap::log_only!("opened by process {} of user {}", caller.process(), caller.user());
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    cred: *mut sys::cred_t,
    lives: PhantomData<&'a sys::cred_t>,
}

macro_rules! fields {
    ($($(#[$meta:meta])* $name:ident: $type:ty = $function:ident;)*) => {
        $(
            $(#[$meta])*
            pub fn $name(self) -> $type {
                // SAFETY: a credential that is held by the caller.
                unsafe { sys::$function(self.cred) }
            }
        )*
    };
}

impl<'a> Caller<'a> {
    /// # Safety
    /// The caller's credential, held for `'a`.
    pub(crate) unsafe fn new(cred: *mut sys::cred_t) -> Caller<'a> {
        Caller { cred, lives: PhantomData }
    }

    /// Returns the number of the process: `ddi_get_pid(9F)`. 0 in a thread of the kernel.
    pub fn process(self) -> i32 {
        // SAFETY: reads what the calling thread runs for.
        unsafe { sys::ddi_get_pid() }
    }

    /// Returns a reference to the process, to send it signals: `proc_ref(9F)`.
    pub fn process_ref(self) -> Process {
        // SAFETY: a thread of the process runs, which `'a` is the length of.
        Process(unsafe { sys::proc_ref() })
    }

    fields! {
        /// Returns the effective user, which decides on access: `crgetuid(9F)`.
        user: User = crgetuid;
        /// Returns the real user, who started the process: `crgetruid(9F)`.
        real_user: User = crgetruid;
        /// Returns the effective group: `crgetgid(9F)`.
        group: Group = crgetgid;
        /// Returns the real group: `crgetrgid(9F)`.
        real_group: Group = crgetrgid;
        /// Returns the number of the zone: `crgetzoneid(9F)`. 0 is the global zone.
        zone: i32 = crgetzoneid;
    }

    /// Returns whether it is in the global zone.
    pub fn in_global_zone(self) -> bool {
        self.zone() == 0
    }

    /// Returns whether it is a member of the group, by its effective group or a supplementary one: `groupmember`.
    pub fn in_group(self, group: Group) -> bool {
        // SAFETY: a credential that is held by the caller.
        let is_member = unsafe { sys::groupmember(group, self.cred) };
        is_member != 0
    }

    /// Returns whether the caller is privileged, as the system's policy defines it: `drv_priv(9F)`.
    pub fn privileged(self) -> bool {
        // SAFETY: a credential that is held by the caller.
        let refused = unsafe { sys::drv_priv(self.cred) };
        refused == 0
    }

    /// Fails with `EPERM` if it may not open a device for itself alone: `secpolicy_excl_open`.
    pub fn may_exclude(self) -> Result<(), Errno> {
        // SAFETY: a credential that is held by the caller.
        Errno::check(unsafe { sys::secpolicy_excl_open(self.cred) })
    }

    /// Fails with `EPERM` if it does not have the privilege: `priv_policy(9F)`.
    pub fn must_have(self, privilege: Privilege) -> Result<(), Errno> {
        // SAFETY: a credential that is held by the caller, and no message of our own.
        let refused = unsafe { sys::priv_policy(self.cred, privilege.0, 0, sys::EPERM, core::ptr::null()) };
        Errno::check(refused)
    }

    /// Returns whether it has the privilege, for a choice between two ways: `priv_policy_choice(9F)`.
    pub fn has(self, privilege: Privilege) -> bool {
        // SAFETY: a credential that is held by the caller.
        let has = unsafe { sys::priv_policy_choice(self.cred, privilege.0, 0) };
        has != 0
    }

    /// Returns the credential, for functions that this crate does not have. It is the caller's: valid for `'a`.
    pub fn as_raw(self) -> *mut sys::cred_t {
        self.cred
    }
}

/// A reference to a process, to send it signals at any time: `proc_ref(9F)`. It does not keep the process from ending.
///
/// ```no_run
/// # use devmap::Argument;
/// # use devmap::caller::Process;
/// # use devmap::sys::SIGIO;
/// // In Device::ioctl, by which a process asks for a signal; kept in the open's private data.
/// fn register(argument: &Argument<'_>) -> Process {
///     argument.caller().process_ref()
/// }
///
/// // Later, in any context but a high-level interrupt.
/// fn tell(process: &Process) {
///     let _gone = process.signal(SIGIO);
/// }
/// ```
pub struct Process(*mut c_void);

// SAFETY: a reference of the kernel's that belongs to no thread.
unsafe impl Send for Process {}
// SAFETY: it is only passed to the kernel, which locks what it refers to.
unsafe impl Sync for Process {}

impl Process {
    /// Sends it a signal, with the number that illumos gives to that (`sys::SIGIO`): `proc_signal(9F)`. Fails with `ESRCH` if it is gone.
    pub fn signal(&self, signal: i32) -> Result<(), Errno> {
        // SAFETY: from proc_ref, until `drop`.
        let result = unsafe { sys::proc_signal(self.0, signal) };
        if result == 0 { Ok(()) } else { Err(Errno::ESRCH) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SAFETY: from proc_ref, given back once.
        unsafe { sys::proc_unref(self.0) };
    }
}

/// A privilege of privileges(7), for example `sys_devices`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privilege(c_int);

impl Privilege {
    /// Returns the privilege of this name: `priv_getbyname(9F)`. Fails with `EINVAL` if there is none. User or kernel context; look it up in attach.
    pub fn named(name: &str) -> Result<Privilege, Error> {
        const NONE: Error = error!(Errno::EINVAL, "priv_getbyname(9F)", "no privilege has this name");
        let name = Text::<64>::name(name).ok_or(NONE)?;
        // SAFETY: a string that ends in NUL; a name that nobody has is not entered.
        let number = unsafe { sys::priv_getbyname(name.as_ptr(), 0) };
        if number < 0 { Err(NONE) } else { Ok(Privilege(number)) }
    }
}
