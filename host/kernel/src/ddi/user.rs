//! Between process and driver: ddi_copyin(9F), uiomove(9F), credentials, ddi_get_pid(9F), signals.
//!
//! Copies are made by the calling thread of the process; they block and may fault on device memory. Outside of a system call
//! (timeouts, tasks) there is no process, and copies fail.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;

use ddi_process::{Call, Errno};
use ddi_sys::{
    boolean_t, cred, cred_t, gid_t, iovec, mode_t, model_t, pid_t, uid_t, uint_t, uio_rw, uio_t, zoneid_t,
};
use parking_lot::Mutex;

use super::{bytes, store, sync};
use crate::kern::cred::{Cred, KERNEL_CRED};
use crate::kern::errno::illumos_errno;
use crate::vm::client;

use ddi_sys::{EFAULT, EINVAL, ENAMETOOLONG, EPERM};

/// Copies from or to the process: 0, or the error, which may be that of a driver who refuses the access.
fn user_copy(copy: impl FnOnce(&Call) -> Result<(), Errno>) -> c_int {
    match Call::with_current(|call| call.map(copy)) {
        Some(Ok(())) => 0,
        Some(Err(errno)) => illumos_errno(errno.0),
        None => EFAULT,
    }
}

/// Copies to the process; false when it cannot.
fn to_user(address: u64, from: &[u8]) -> bool {
    from.is_empty() || user_copy(|call| call.copyout(address, from)) == 0
}

/// What copyin(9F) and its like return for an error, whichever it is.
fn minus_one(error: c_int) -> c_int {
    if error == 0 { 0 } else { -1 }
}

/// 0, or an errno.
///
/// # Safety
/// `to` is the driver's memory of `n` bytes; `from` too when `kernel`.
unsafe fn move_in(from: *const c_void, to: *mut c_void, n: usize, kernel: bool, function: &str) -> c_int {
    sync::may_block(function, function, &format!("{function}(9F)"));
    if n == 0 {
        return 0;
    }
    if kernel {
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy(from.cast::<u8>(), to.cast::<u8>(), n) };
        return 0;
    }
    // SAFETY: the caller's promise. The driver may have given the memory to processes, too.
    user_copy(|call| unsafe { call.copyin_shared(from as u64, to.cast(), n) })
}

/// 0, or an errno.
///
/// # Safety
/// `from` is the driver's memory of `n` bytes; `to` too when `kernel`.
unsafe fn move_out(from: *const c_void, to: *mut c_void, n: usize, kernel: bool, function: &str) -> c_int {
    sync::may_block(function, function, &format!("{function}(9F)"));
    if n == 0 {
        return 0;
    }
    if kernel {
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy(from.cast::<u8>(), to.cast::<u8>(), n) };
        return 0;
    }
    // SAFETY: the caller's promise. The driver may have given the memory to processes, too.
    user_copy(|call| unsafe { call.copyout_shared(to as u64, from.cast(), n) })
}

/// # Safety
/// `credp` is NULL or a credential that the host gave.
unsafe fn credential<'a>(credp: *const cred_t) -> &'a Cred {
    // SAFETY: the caller's promise.
    unsafe { credp.cast::<Cred>().as_ref() }.unwrap_or(&KERNEL_CRED)
}

/// 0 for a privileged credential.
///
/// # Safety
/// As [`credential`].
unsafe fn privileged(credp: *const cred_t) -> c_int {
    // SAFETY: the caller's promise.
    if unsafe { credential(credp) }.uids[1] == 0 { 0 } else { EPERM }
}

/// A handle on a process for proc_signal.
struct ProcRef(std::sync::Arc<ddi_process::Process>);

ddi! {
    /// ddi_copyin(9F).
    fn ddi_copyin(from: *const c_void, to: *mut c_void, n: usize, mode: c_int) -> c_int {
        // SAFETY: the driver's promise.
        minus_one(unsafe { move_in(from, to, n, mode.cast_unsigned() & ddi_sys::FKIOCTL != 0, "ddi_copyin") })
    }
    /// ddi_copyout(9F).
    fn ddi_copyout(from: *const c_void, to: *mut c_void, n: usize, mode: c_int) -> c_int {
        // SAFETY: the driver's promise.
        minus_one(unsafe { move_out(from, to, n, mode.cast_unsigned() & ddi_sys::FKIOCTL != 0, "ddi_copyout") })
    }
    /// copyin(9F).
    fn copyin(from: *const c_void, to: *mut c_void, n: usize) -> c_int {
        // SAFETY: the driver's promise.
        minus_one(unsafe { move_in(from, to, n, false, "copyin") })
    }
    /// copyout(9F).
    fn copyout(from: *const c_void, to: *mut c_void, n: usize) -> c_int {
        // SAFETY: the driver's promise.
        minus_one(unsafe { move_out(from, to, n, false, "copyout") })
    }
    /// copyinstr(9F): the length counts the NUL.
    fn copyinstr(from: *const c_char, to: *mut c_char, max: usize, done: *mut usize) -> c_int {
        let copied = Call::with_current(|call| call.map(|call| call.copyinstr(from as u64, max)));
        match copied {
            Some(Ok(mut string)) => {
                string.push(0);
                // SAFETY: the driver promised `max` bytes, and the string with its NUL has no more.
                unsafe { std::ptr::copy_nonoverlapping(string.as_ptr(), to.cast(), string.len()) };
                // SAFETY: the driver's promise.
                unsafe { store(done, string.len()) };
                0
            }
            Some(Err(e)) if e.0 == libc::ENAMETOOLONG => {
                // SAFETY: the driver promised `max` bytes.
                user_copy(|call| unsafe { call.copyin_shared(from as u64, to.cast(), max) });
                // SAFETY: the driver's promise.
                unsafe { store(done, max) };
                ENAMETOOLONG
            }
            _ => EFAULT,
        }
    }
    /// copyoutstr(9F).
    fn copyoutstr(from: *const c_char, to: *mut c_char, max: usize, done: *mut usize) -> c_int {
        // SAFETY: the driver's promise.
        let string = [unsafe { bytes(from) }, b"\0"].concat();
        let n = string.len().min(max);
        if !to_user(to as u64, &string[..n]) {
            return EFAULT;
        }
        // SAFETY: the driver's promise.
        unsafe { store(done, n) };
        if string.len() > max { ENAMETOOLONG } else { 0 }
    }
    /// fuword8(9F).
    fn fuword8(from: *const c_void, to: *mut u8) -> c_int {
        // SAFETY: the driver's promise.
        minus_one(unsafe { move_in(from, to.cast(), 1, false, "fuword8") })
    }
    /// fuword16(9F).
    @private fn fuword16(from: *const c_void, to: *mut u16) -> c_int {
        // SAFETY: the driver's promise.
        minus_one(unsafe { move_in(from, to.cast(), 2, false, "fuword16") })
    }
    /// fuword32(9F).
    @private fn fuword32(from: *const c_void, to: *mut u32) -> c_int {
        // SAFETY: the driver's promise.
        minus_one(unsafe { move_in(from, to.cast(), 4, false, "fuword32") })
    }
    /// fuword64(9F).
    @private fn fuword64(from: *const c_void, to: *mut u64) -> c_int {
        // SAFETY: the driver's promise.
        minus_one(unsafe { move_in(from, to.cast(), 8, false, "fuword64") })
    }
    /// suword8(9F).
    @private fn suword8(to: *mut c_void, value: u8) -> c_int {
        if to_user(to as u64, &[value]) { 0 } else { -1 }
    }
    /// suword16(9F).
    @private fn suword16(to: *mut c_void, value: u16) -> c_int {
        if to_user(to as u64, &value.to_ne_bytes()) { 0 } else { -1 }
    }
    /// suword32(9F).
    @private fn suword32(to: *mut c_void, value: u32) -> c_int {
        if to_user(to as u64, &value.to_ne_bytes()) { 0 } else { -1 }
    }
    /// suword64(9F).
    @private fn suword64(to: *mut c_void, value: u64) -> c_int {
        if to_user(to as u64, &value.to_ne_bytes()) { 0 } else { -1 }
    }
    /// uiomove(9F).
    fn uiomove(address: *mut c_void, n: usize, rw: uio_rw, uiop: *mut uio_t) -> c_int {
        // SAFETY: the driver's promise.
        let uio = unsafe { &mut *uiop };
        let mut at = address.cast::<u8>();
        let mut left = n.min(usize::try_from(uio.uio_resid).unwrap_or(0));
        while left > 0 && uio.uio_iovcnt > 0 {
            // SAFETY: uio_iovcnt says that there is one more.
            let iov: &mut iovec = unsafe { &mut *uio.uio_iov };
            let piece = left.min(iov.iov_len);
            if piece == 0 {
                // SAFETY: moves to the next, or one past the last.
                uio.uio_iov = unsafe { uio.uio_iov.add(1) };
                uio.uio_iovcnt -= 1;
                continue;
            }
            let kernel = uio.uio_segflg == ddi_sys::UIO_SYSSPACE;
            let base = iov.iov_base.cast::<c_void>();
            let moved = if rw == ddi_sys::UIO_READ {
                // SAFETY: the driver's memory has n bytes; a kernel iovec is the kernel's own.
                unsafe { move_out(at.cast(), base, piece, kernel, "uiomove") }
            } else {
                // SAFETY: as above.
                unsafe { move_in(base, at.cast(), piece, kernel, "uiomove") }
            };
            if moved != 0 {
                return moved;
            }
            iov.iov_base = iov.iov_base.wrapping_add(piece);
            iov.iov_len -= piece;
            uio.uio_resid -= piece as isize;
            // SAFETY: both members of the union are the same 64-bit offset.
            unsafe { uio._uio_offset._f += piece as i64 };
            at = at.wrapping_add(piece);
            left -= piece;
        }
        0
    }
    /// ureadc(9F): one byte to the process.
    fn ureadc(c: c_int, uiop: *mut uio_t) -> c_int {
        let mut byte = c as u8;
        // SAFETY: the driver's promise.
        if unsafe { (*uiop).uio_resid } <= 0 {
            return EFAULT;
        }
        // SAFETY: one byte; the driver's uio.
        let failed = unsafe { uiomove((&raw mut byte).cast(), 1, ddi_sys::UIO_READ, uiop) };
        if failed != 0 { EFAULT } else { 0 }
    }
    /// uwritec(9F): one byte from the process, -1 at the end.
    fn uwritec(uiop: *mut uio_t) -> c_int {
        let mut byte = 0u8;
        // SAFETY: the driver's promise.
        if unsafe { (*uiop).uio_resid } <= 0 {
            return -1;
        }
        // SAFETY: one byte; the driver's uio.
        let failed = unsafe { uiomove((&raw mut byte).cast(), 1, ddi_sys::UIO_WRITE, uiop) };
        if failed != 0 { -1 } else { byte.into() }
    }
    /// ddi_model_convert_from(9F).
    fn ddi_model_convert_from(model: model_t) -> model_t {
        if model & ddi_sys::DDI_MODEL_MASK == ddi_sys::DDI_MODEL_ILP32 {
            ddi_sys::DDI_MODEL_ILP32
        } else {
            ddi_sys::DDI_MODEL_NONE
        }
    }
    /// set_errno: the value itself; entry points return theirs.
    fn set_errno(error: uint_t) -> uint_t {
        error
    }

    /// ddi_get_pid(9F): 0 in a kernel thread.
    fn ddi_get_pid() -> pid_t {
        client::current().map_or(0, |c| c.process().pid())
    }
    /// ddi_get_cred(9F).
    fn ddi_get_cred() -> *mut cred_t {
        client::current().map_or((&raw const KERNEL_CRED).cast_mut().cast(), |c| c.image().cred() as *mut cred_t)
    }
    /// drv_priv(9F).
    fn drv_priv(credp: *mut cred) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// crgetuid(9F): effective.
    fn crgetuid(credp: *const cred_t) -> uid_t {
        // SAFETY: the driver's promise.
        unsafe { credential(credp) }.uids[1]
    }
    /// crgetruid(9F).
    fn crgetruid(credp: *const cred_t) -> uid_t {
        // SAFETY: the driver's promise.
        unsafe { credential(credp) }.uids[0]
    }
    /// crgetsuid(9F).
    fn crgetsuid(credp: *const cred_t) -> uid_t {
        // SAFETY: the driver's promise.
        unsafe { credential(credp) }.uids[2]
    }
    /// crgetgid(9F): effective.
    fn crgetgid(credp: *const cred_t) -> gid_t {
        // SAFETY: the driver's promise.
        unsafe { credential(credp) }.gids[1]
    }
    /// crgetrgid(9F).
    fn crgetrgid(credp: *const cred_t) -> gid_t {
        // SAFETY: the driver's promise.
        unsafe { credential(credp) }.gids[0]
    }
    /// crgetsgid(9F).
    fn crgetsgid(credp: *const cred_t) -> gid_t {
        // SAFETY: the driver's promise.
        unsafe { credential(credp) }.gids[2]
    }
    /// crgetgroups(9F).
    fn crgetgroups(credp: *const cred_t) -> *const gid_t {
        // SAFETY: the driver's promise.
        unsafe { credential(credp) }.groups.as_ptr()
    }
    /// crgetngroups(9F).
    fn crgetngroups(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { credential(credp) }.groups.len() as c_int
    }
    /// crgetzoneid(9F): the global zone.
    fn crgetzoneid(_credp: *const cred_t) -> zoneid_t {
        0
    }
    /// groupmember(9F).
    fn groupmember(gid: gid_t, credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        let cred = unsafe { credential(credp) };
        (cred.gids[1] == gid || cred.groups.contains(&gid)).into()
    }
    /// secpolicy_excl_open: privileged users only.
    fn secpolicy_excl_open(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_gart_access: privileged users only.
    fn secpolicy_gart_access(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_resource: privileged users may exceed resource limits.
    @private fn secpolicy_resource(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_lock_memory: privileged users may lock memory.
    @private fn secpolicy_lock_memory(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_sys_config: privileged users may configure the system.
    @private fn secpolicy_sys_config(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_error_inject: privileged users may inject errors.
    @private fn secpolicy_error_inject(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_sys_devices: privileged users may configure devices.
    @private fn secpolicy_sys_devices(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_gart_map: privileged users may map the graphics aperture.
    @private fn secpolicy_gart_map(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_ucode_update: privileged users may update microcode.
    @private fn secpolicy_ucode_update(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_meminfo: privileged users may see physical addresses.
    @private fn secpolicy_meminfo(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_xhci: privileged users may use the controller.
    @private fn secpolicy_xhci(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_zinject: privileged users may inject errors.
    @private fn secpolicy_zinject(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_dl_config: privileged users may configure data links.
    @private fn secpolicy_dl_config(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_cpc_cpu: privileged users may use performance counters.
    @private fn secpolicy_cpc_cpu(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_kmdb: privileged users may enter the debugger.
    @private fn secpolicy_kmdb(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_coreadm: privileged users may configure core dumps.
    @private fn secpolicy_coreadm(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_swapctl: privileged users may configure swap.
    @private fn secpolicy_swapctl(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_settime: privileged users may set the time.
    @private fn secpolicy_settime(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_net_rawaccess: privileged users may see raw packets.
    @private fn secpolicy_net_rawaccess(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_power_mgmt: privileged users may manage power.
    @private fn secpolicy_power_mgmt(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_modctl: privileged users may load modules.
    @private fn secpolicy_modctl(credp: *const cred_t, _command: c_int) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_net_config: privileged users may configure the network, and everybody may look.
    @private fn secpolicy_net_config(credp: *const cred_t, check_only: boolean_t) -> c_int {
        // SAFETY: the driver's promise.
        if check_only != 0 { 0 } else { unsafe { privileged(credp) } }
    }
    /// secpolicy_xvm_control: privileged users only.
    fn secpolicy_xvm_control(credp: *const cred_t) -> c_int {
        // SAFETY: the driver's promise.
        unsafe { privileged(credp) }
    }
    /// secpolicy_rsm_access: the owner and privileged users, and others as the mode says.
    fn secpolicy_rsm_access(credp: *const cred_t, owner: uid_t, mode: mode_t) -> c_int {
        // SAFETY: the driver's promise.
        let cred = unsafe { credential(credp) };
        let shift = if cred.uids[1] == owner { 0 } else { 6 };
        // SAFETY: the driver's promise.
        if (mode << shift) & 0o700 == mode & 0o700 && mode != 0 { 0 } else { unsafe { privileged(credp) } }
    }
    /// priv_getbyname(9F): -EINVAL for a name that nobody has, unless it is to be entered (PRIV_ALLOC).
    fn priv_getbyname(name: *const c_char, flags: uint_t) -> c_int {
        static ENTERED: Mutex<Vec<String>> = Mutex::new(Vec::new());
        const FIRST: usize = 1024;
        // SAFETY: the driver's promise.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
        let mut entered = ENTERED.lock();
        let found = ddi_system::policy::privilege(&name).or_else(|| {
            let place = entered.iter().position(|known| *known == name).or_else(|| {
                (flags & 1 != 0).then(|| {
                    entered.push(name);
                    entered.len() - 1
                })
            })?;
            Some(FIRST + place)
        });
        found.map_or(-EINVAL, |number| number as c_int)
    }
    /// priv_policy(9F): 0, or `error`.
    fn priv_policy(credp: *const cred_t, _privilege: c_int, _all: boolean_t, error: c_int, _message: *const c_char) -> c_int {
        // SAFETY: the driver's promise.
        if unsafe { privileged(credp) } == 0 { 0 } else { error }
    }
    /// priv_policy_choice(9F).
    fn priv_policy_choice(credp: *const cred_t, _privilege: c_int, _all: boolean_t) -> boolean_t {
        // SAFETY: the driver's promise.
        (unsafe { privileged(credp) } == 0).into()
    }
    /// priv_policy_only(9F).
    fn priv_policy_only(credp: *const cred_t, _privilege: c_int, _all: boolean_t) -> boolean_t {
        // SAFETY: the driver's promise.
        (unsafe { privileged(credp) } == 0).into()
    }
    /// drv_getparm(9F): the process group and so on are not kept; user and time are.
    fn drv_getparm(parameter: uint_t, to: *mut c_void) -> c_int {
        // PPGRP 2, LBOLT 4, PPID 6, PSID 7, TIME 8, UCRED 9.
        let value = match parameter {
            4 => crate::kern::clock::lbolt() as u64,
            8 => {
                // SAFETY: no pointers.
                (unsafe { super::time::ddi_get_time() }) as u64
            }
            6 | 2 | 7 => client::current().map_or(0, |c| c.process().pid() as u64),
            9 => {
                // SAFETY: no pointers.
                (unsafe { ddi_get_cred() }) as u64
            }
            _ => return -1,
        };
        if matches!(parameter, 2 | 6 | 7) {
            // SAFETY: the driver's promise: a pid_t.
            unsafe { store(to.cast::<pid_t>(), value as pid_t) };
        } else {
            // SAFETY: the driver's promise: a word.
            unsafe { store(to.cast::<u64>(), value) };
        }
        0
    }
    /// proc_ref(9F).
    fn proc_ref() -> *mut c_void {
        client::current().map_or(null_mut(), |c| Box::into_raw(Box::new(ProcRef(c.process().clone()))).cast())
    }
    /// proc_unref(9F).
    fn proc_unref(pref: *mut c_void) {
        if !pref.is_null() {
            // SAFETY: made by proc_ref, given back now.
            drop(unsafe { Box::from_raw(pref.cast::<ProcRef>()) });
        }
    }
    /// proc_signal(9F): -1 when the process is gone.
    fn proc_signal(pref: *mut c_void, signal: c_int) -> c_int {
        // SAFETY: the driver's promise: a live reference.
        let Some(reference) = (unsafe { pref.cast::<ProcRef>().as_ref() }) else { return -1 };
        let pid = reference.0.pid();
        if reference.0.is_gone() || pid <= 0 {
            return -1;
        }
        // SAFETY: kill has no memory effects; the process is a client's, which is alive or a zombie until it is reaped.
        unsafe { libc::kill(pid, linux_signal(signal)) }
    }
}

/// An illumos signal number as a Linux one.
fn linux_signal(signal: c_int) -> c_int {
    match signal {
        7 => libc::SIGABRT,
        10 => libc::SIGBUS,
        12 => libc::SIGSYS,
        16 => libc::SIGUSR1,
        17 => libc::SIGUSR2,
        18 => libc::SIGCHLD,
        19 => libc::SIGPWR,
        20 => libc::SIGWINCH,
        21 => libc::SIGURG,
        22 => libc::SIGIO,
        23 => libc::SIGSTOP,
        24 => libc::SIGTSTP,
        25 => libc::SIGCONT,
        26 => libc::SIGTTIN,
        27 => libc::SIGTTOU,
        28 => libc::SIGVTALRM,
        29 => libc::SIGPROF,
        30 => libc::SIGXCPU,
        31 => libc::SIGXFSZ,
        same => same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_copies_and_uios() {
        let (from, mut to) = ([1u8, 2, 3, 4], [0u8; 4]);
        let kernel = ddi_sys::FKIOCTL.cast_signed();
        // SAFETY: arrays of four bytes, here and below.
        let copied = unsafe { ddi_sys::ddi_copyin(from.as_ptr().cast(), to.as_mut_ptr().cast(), 4, kernel) };
        assert_eq!(copied, 0);
        assert_eq!(to, from);
        // SAFETY: as above; there is no process here, so the address is bad.
        assert_eq!(unsafe { ddi_sys::ddi_copyin(from.as_ptr().cast(), to.as_mut_ptr().cast(), 4, 0) }, -1);
        let mut user = [0u8; 6];
        let (first, second) = user.split_at_mut(2);
        let mut iov = [first, second].map(|s| iovec { iov_base: s.as_mut_ptr().cast(), iov_len: s.len() });
        let mut uio = uio_t {
            uio_iov: iov.as_mut_ptr(),
            uio_iovcnt: 2,
            _uio_offset: ddi_sys::lloff { _f: 10 },
            uio_segflg: ddi_sys::UIO_SYSSPACE,
            uio_fmode: 0,
            uio_extflg: 0,
            _uio_limit: ddi_sys::lloff { _f: 0 },
            uio_resid: 6,
        };
        // SAFETY: four bytes, and a uio over the test's own memory.
        let moved =
            unsafe { ddi_sys::uiomove(from.as_ptr().cast_mut().cast(), 4, ddi_sys::UIO_READ, &mut uio) };
        // SAFETY: the union's members are the same.
        assert_eq!((moved, uio.uio_resid, unsafe { uio._uio_offset._f }), (0, 2, 14));
        assert_eq!(user, [1, 2, 3, 4, 0, 0]);
    }

    #[test]
    fn the_kernel_is_privileged_and_has_no_process() {
        // SAFETY: no pointers.
        assert_eq!(unsafe { ddi_sys::ddi_get_pid() }, 0);
        // SAFETY: NULL is the kernel's credential.
        assert_eq!(unsafe { ddi_sys::drv_priv(null_mut()) }, 0);
        // SAFETY: the kernel's credential.
        let cred = unsafe { ddi_sys::ddi_get_cred() };
        // SAFETY: as above.
        assert_eq!(unsafe { ddi_sys::crgetuid(cred) }, 0);
    }
}
