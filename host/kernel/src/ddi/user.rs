//! Between process and driver: ddi_copyin(9F), uiomove(9F), credentials, ddi_get_pid(9F), signals.
//!
//! Copies are made by the calling thread of the process; they block and may fault on device memory. Outside of a system call
//! (timeouts, tasks) there is no process, and copies fail.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

use ddi_process::{Call, Errno};
use ddi_sys::{
    boolean_t, caddr_t, cred, cred_t, gid_t, iovec, mode_t, model_t, offset_t, pid_t, uid_t, uint_t, uio_rw,
    uio_seg, uio_t, zoneid_t,
};
use parking_lot::Mutex;

use super::args::{Argument, Memory, Object, Out, Owned, Span, Text};
use super::sync;
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

/// Copies from the process; false when it cannot.
fn from_user(address: u64, to: &mut [u8]) -> bool {
    to.is_empty() || user_copy(|call| call.copyin(address, to)) == 0
}

/// Copies to the process; false when it cannot.
fn to_user(address: u64, from: &[u8]) -> bool {
    from.is_empty() || user_copy(|call| call.copyout(address, from)) == 0
}

/// Result of copyin(9F) and its like for any error.
fn minus_one(error: c_int) -> c_int {
    if error == 0 { 0 } else { -1 }
}

/// One side of a driver's copy.
#[derive(Clone, Copy)]
enum Side<'a> {
    /// The process's memory at an address.
    User(u64),
    /// The kernel's own (FKIOCTL, UIO_SYSSPACE).
    Kernel(Span<'a>),
}

impl<'a> Side<'a> {
    /// An argument that is the address of `n` bytes in the process, or in the kernel if `kernel`.
    fn of<P>(at: Memory<'a, c_void, P>, n: usize, kernel: bool) -> Self {
        if kernel { Side::Kernel(at.sized(n)) } else { Side::User(at.pointer() as u64) }
    }
}

/// Copies from the process to the driver's memory: 0, or an errno.
fn copy_in(from: u64, to: Span<'_>) -> c_int {
    // SAFETY: the invariant of `Span`. The driver may have given the memory to processes, too.
    user_copy(|call| unsafe { call.copyin_shared(from, to.pointer(), to.len()) })
}

/// Copies the driver's memory to the process: 0, or an errno.
fn copy_out(from: Span<'_>, to: u64) -> c_int {
    // SAFETY: as above.
    user_copy(|call| unsafe { call.copyout_shared(to, from.pointer(), from.len()) })
}

/// Moves bytes to the driver's memory: 0, or an errno.
fn move_in(from: Side<'_>, to: Span<'_>, function: &str) -> c_int {
    sync::may_block(function, function, &format!("{function}(9F)"));
    match from {
        _ if to.is_empty() => 0,
        Side::Kernel(from) => {
            to.copy_from(from);
            0
        }
        Side::User(from) => copy_in(from, to),
    }
}

/// Moves bytes of the driver's memory: 0, or an errno.
fn move_out(from: Span<'_>, to: Side<'_>, function: &str) -> c_int {
    sync::may_block(function, function, &format!("{function}(9F)"));
    match to {
        _ if from.is_empty() => 0,
        Side::Kernel(to) => {
            to.copy_from(from);
            0
        }
        Side::User(to) => copy_out(from, to),
    }
}

/// A number of the process's, for the fuword family.
fn fetch<const N: usize>(from: *const c_void, function: &str) -> Option<[u8; N]> {
    sync::may_block(function, function, &format!("{function}(9F)"));
    let mut bytes = [0; N];
    from_user(from as u64, &mut bytes).then_some(bytes)
}

/// Copies in what a function of the host's needs; false when it cannot.
pub(super) fn read(from: *const c_void, to: &mut [u8], function: &str) -> bool {
    sync::may_block(function, function, &format!("{function}(9F)"));
    from_user(from as u64, to)
}

/// Copies out what a function of the host's gives; false when it cannot.
pub(super) fn write(to: *mut c_void, from: &[u8], function: &str) -> bool {
    sync::may_block(function, function, &format!("{function}(9F)"));
    to_user(to as u64, from)
}

/// A string of the process's: its bytes, at most `max` with the NUL that is not among them.
pub(super) fn read_string(from: *const c_char, max: usize) -> Result<Vec<u8>, Errno> {
    Call::with_current(|call| call.map(|call| call.copyinstr(from as u64, max)))
        .unwrap_or(Err(Errno(libc::EFAULT)))
}

crate::fields! {
    /// A driver's uio.
    ///
    /// # Invariants
    /// A uio that is there for `'a`, with a vector of as many parts as it says; only the call that it is of uses it.
    pub struct Uio<'a> at uio_t {
        uio_iov / set_iov: *mut iovec,
        uio_iovcnt / set_iovcnt: c_int,
        uio_offset / set_offset = _uio_offset._f: offset_t,
        uio_segflg: uio_seg,
        uio_resid / set_resid: isize,
    }
}

crate::fields! {
    /// A part of a uio.
    ///
    /// # Invariants
    /// An element of the vector of a uio that is there for `'a`.
    pub(super) struct Part<'a> at iovec {
        iov_base / set_base: caddr_t,
        iov_len / set_len: usize,
    }
}

/// Part `index` of a uio, if there are that many.
pub(super) fn part(uio: Uio<'_>, index: usize) -> Option<Part<'_>> {
    let parts = usize::try_from(uio.uio_iovcnt()).unwrap_or(0);
    let part = uio.uio_iov().wrapping_add(index);
    // SAFETY: the driver's promise: the vector has that many elements.
    (index < parts).then(|| unsafe { Argument::of(part) })
}

/// Moves along a uio by at most `n` bytes, and has `copy` move each piece: its offset, its length and where the uio has it. 0, or an errno.
fn along<'a>(n: usize, uio: Uio<'a>, mut copy: impl FnMut(usize, usize, Side<'a>) -> c_int) -> c_int {
    let all = n.min(usize::try_from(uio.uio_resid()).unwrap_or(0));
    let mut at = 0;
    while at < all {
        let Some(iov) = part(uio, 0) else { break };
        let piece = (all - at).min(iov.iov_len());
        if piece == 0 {
            uio.set_iov(uio.uio_iov().wrapping_add(1));
            uio.set_iovcnt(uio.uio_iovcnt() - 1);
            continue;
        }
        let base = iov.iov_base();
        // SAFETY: the driver's promise: the memory of a uio that says that it is the kernel's.
        let memory: Memory<'_> = unsafe { Argument::of(base.cast()) };
        let moved = copy(at, piece, Side::of(memory, piece, uio.uio_segflg() == ddi_sys::UIO_SYSSPACE));
        if moved != 0 {
            return moved;
        }
        iov.set_base(base.wrapping_add(piece));
        iov.set_len(iov.iov_len() - piece);
        uio.set_resid(uio.uio_resid() - piece as isize);
        uio.set_offset(uio.uio_offset() + piece as i64);
        at += piece;
    }
    0
}

/// uiomove(9F).
pub fn transfer(data: Span<'_>, rw: uio_rw, uio: Uio<'_>) -> c_int {
    along(data.len(), uio, |at, len, side| {
        let piece = data.after(at).first(len);
        match rw {
            ddi_sys::UIO_READ => move_out(piece, side, "uiomove"),
            _ => move_in(side, piece, "uiomove"),
        }
    })
}

/// A credential of the host's.
type Credential<'a, P = *const cred_t> = Object<'a, Cred, cred_t, P>;

/// The credential; the kernel's for NULL.
fn credential<P>(credp: Credential<'_, P>) -> &Cred {
    credp.get().unwrap_or(&KERNEL_CRED)
}

/// 0 for a privileged credential.
fn privileged<P>(credp: Credential<'_, P>) -> c_int {
    if credential(credp).uids[1] == 0 { 0 } else { EPERM }
}

/// The calling process's credential; the kernel's in a kernel thread.
fn current_cred() -> *mut cred_t {
    client::current().map_or((&raw const KERNEL_CRED).cast_mut().cast(), |c| c.image().cred() as *mut cred_t)
}

/// A handle on a process for proc_signal.
struct ProcRef(std::sync::Arc<ddi_process::Process>);

ddi! {
    /// ddi_copyin(9F).
    fn ddi_copyin(from: Memory<c_void, *const c_void>, to: Memory, n: usize, mode: c_int) -> c_int {
        let from = Side::of(from, n, mode.cast_unsigned() & ddi_sys::FKIOCTL != 0);
        minus_one(move_in(from, to.sized(n), NAME))
    }
    /// ddi_copyout(9F).
    fn ddi_copyout(from: Memory<c_void, *const c_void>, to: Memory, n: usize, mode: c_int) -> c_int {
        let to = Side::of(to, n, mode.cast_unsigned() & ddi_sys::FKIOCTL != 0);
        minus_one(move_out(from.sized(n), to, NAME))
    }
    /// copyin(9F).
    fn copyin(from: *const c_void, to: Memory, n: usize) -> c_int {
        minus_one(move_in(Side::User(from as u64), to.sized(n), NAME))
    }
    /// copyout(9F).
    fn copyout(from: Memory<c_void, *const c_void>, to: *mut c_void, n: usize) -> c_int {
        minus_one(move_out(from.sized(n), Side::User(to as u64), NAME))
    }
    /// copyinstr(9F): the length counts the NUL.
    fn copyinstr(from: *const c_char, to: Memory<c_char>, max: usize, done: Out<usize>) -> c_int {
        match read_string(from, max) {
            Ok(string) => {
                to.sized(max).write_text(&string);
                done.set(string.len() + 1);
                0
            }
            Err(e) if e.0 == libc::ENAMETOOLONG => {
                copy_in(from as u64, to.sized(max));
                done.set(max);
                ENAMETOOLONG
            }
            Err(_) => EFAULT,
        }
    }
    /// copyoutstr(9F).
    fn copyoutstr(from: Text, to: *mut c_char, max: usize, done: Out<usize>) -> c_int {
        let string = [from.bytes(), b"\0"].concat();
        let n = string.len().min(max);
        if !to_user(to as u64, &string[..n]) {
            return EFAULT;
        }
        done.set(n);
        if string.len() > max { ENAMETOOLONG } else { 0 }
    }
    /// fuword8(9F).
    fn fuword8(from: *const c_void, to: Out<u8>) -> c_int {
        fetch(from, NAME).map_or(-1, |bytes| {
            to.put(u8::from_ne_bytes(bytes));
            0
        })
    }
    /// fuword16(9F).
    fn fuword16(from: *const c_void, to: Out<u16>) -> c_int {
        fetch(from, NAME).map_or(-1, |bytes| {
            to.put(u16::from_ne_bytes(bytes));
            0
        })
    }
    /// fuword32(9F).
    fn fuword32(from: *const c_void, to: Out<u32>) -> c_int {
        fetch(from, NAME).map_or(-1, |bytes| {
            to.put(u32::from_ne_bytes(bytes));
            0
        })
    }
    /// fuword64(9F).
    fn fuword64(from: *const c_void, to: Out<u64>) -> c_int {
        fetch(from, NAME).map_or(-1, |bytes| {
            to.put(u64::from_ne_bytes(bytes));
            0
        })
    }
    /// suword8(9F).
    fn suword8(to: *mut c_void, value: u8) -> c_int {
        if to_user(to as u64, &[value]) { 0 } else { -1 }
    }
    /// suword16(9F).
    fn suword16(to: *mut c_void, value: u16) -> c_int {
        if to_user(to as u64, &value.to_ne_bytes()) { 0 } else { -1 }
    }
    /// suword32(9F).
    fn suword32(to: *mut c_void, value: u32) -> c_int {
        if to_user(to as u64, &value.to_ne_bytes()) { 0 } else { -1 }
    }
    /// suword64(9F).
    fn suword64(to: *mut c_void, value: u64) -> c_int {
        if to_user(to as u64, &value.to_ne_bytes()) { 0 } else { -1 }
    }
    /// uiomove(9F).
    fn uiomove(address: Memory, n: usize, rw: uio_rw, uiop: Uio) -> c_int {
        transfer(address.sized(n), rw, uiop)
    }
    /// ureadc(9F): one byte to the process.
    fn ureadc(c: c_int, uiop: Uio) -> c_int {
        if uiop.uio_resid() <= 0 {
            return EFAULT;
        }
        sync::may_block("uiomove", "uiomove", "uiomove(9F)");
        let byte = [c as u8];
        let failed = along(1, uiop, |_, _, side| match side {
            Side::Kernel(to) => {
                to.write(0, &byte);
                0
            }
            Side::User(to) => user_copy(|call| call.copyout(to, &byte)),
        });
        if failed != 0 { EFAULT } else { 0 }
    }
    /// uwritec(9F): one byte from the process, -1 at the end.
    fn uwritec(uiop: Uio) -> c_int {
        if uiop.uio_resid() <= 0 {
            return -1;
        }
        sync::may_block("uiomove", "uiomove", "uiomove(9F)");
        let mut byte = [0];
        let failed = along(1, uiop, |_, _, side| match side {
            Side::Kernel(from) => {
                byte.copy_from_slice(&from.read());
                0
            }
            Side::User(from) => user_copy(|call| call.copyin(from, &mut byte)),
        });
        if failed != 0 { -1 } else { byte[0].into() }
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
        current_cred()
    }
    /// drv_priv(9F).
    fn drv_priv(credp: Credential<*mut cred>) -> c_int {
        privileged(credp)
    }
    /// crgetuid(9F): effective.
    fn crgetuid(credp: Credential) -> uid_t {
        credential(credp).uids[1]
    }
    /// crgetruid(9F).
    fn crgetruid(credp: Credential) -> uid_t {
        credential(credp).uids[0]
    }
    /// crgetsuid(9F).
    fn crgetsuid(credp: Credential) -> uid_t {
        credential(credp).uids[2]
    }
    /// crgetgid(9F): effective.
    fn crgetgid(credp: Credential) -> gid_t {
        credential(credp).gids[1]
    }
    /// crgetrgid(9F).
    fn crgetrgid(credp: Credential) -> gid_t {
        credential(credp).gids[0]
    }
    /// crgetsgid(9F).
    fn crgetsgid(credp: Credential) -> gid_t {
        credential(credp).gids[2]
    }
    /// crgetgroups(9F).
    fn crgetgroups(credp: Credential) -> *const gid_t {
        credential(credp).groups.as_ptr()
    }
    /// crgetngroups(9F).
    fn crgetngroups(credp: Credential) -> c_int {
        credential(credp).groups.len() as c_int
    }
    /// crgetzoneid(9F): the global zone.
    fn crgetzoneid(_credp: Credential) -> zoneid_t {
        0
    }
    /// groupmember(9F).
    fn groupmember(gid: gid_t, credp: Credential) -> c_int {
        let cred = credential(credp);
        (cred.gids[1] == gid || cred.groups.contains(&gid)).into()
    }
    /// secpolicy_excl_open: privileged users only.
    fn secpolicy_excl_open(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_gart_access: privileged users only.
    fn secpolicy_gart_access(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_resource: privileged users may exceed resource limits.
    fn secpolicy_resource(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_lock_memory: privileged users may lock memory.
    fn secpolicy_lock_memory(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_sys_config: privileged users may configure the system.
    fn secpolicy_sys_config(credp: Credential, _check_only: boolean_t) -> c_int {
        privileged(credp)
    }
    /// secpolicy_error_inject: privileged users may inject errors.
    fn secpolicy_error_inject(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_sys_devices: privileged users may configure devices.
    fn secpolicy_sys_devices(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_gart_map: privileged users may map the graphics aperture.
    fn secpolicy_gart_map(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_ucode_update: privileged users may update microcode.
    fn secpolicy_ucode_update(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_meminfo: privileged users may see physical addresses.
    fn secpolicy_meminfo(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_xhci: privileged users may use the controller.
    fn secpolicy_xhci(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_zinject: privileged users may inject errors.
    fn secpolicy_zinject(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_dl_config: privileged users may configure data links.
    fn secpolicy_dl_config(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_cpc_cpu: privileged users may use performance counters.
    fn secpolicy_cpc_cpu(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_kmdb: privileged users may enter the debugger.
    fn secpolicy_kmdb(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_coreadm: privileged users may configure core dumps.
    fn secpolicy_coreadm(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_swapctl: privileged users may configure swap.
    fn secpolicy_swapctl(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_settime: privileged users may set the time.
    fn secpolicy_settime(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_net_rawaccess: privileged users may see raw packets.
    fn secpolicy_net_rawaccess(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_power_mgmt: privileged users may manage power.
    fn secpolicy_power_mgmt(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_modctl: privileged users may load modules.
    fn secpolicy_modctl(credp: Credential, _command: c_int) -> c_int {
        privileged(credp)
    }
    /// secpolicy_net_config: privileged users may configure the network.
    fn secpolicy_net_config(credp: Credential, _check_only: boolean_t) -> c_int {
        privileged(credp)
    }
    /// secpolicy_xvm_control: privileged users only.
    fn secpolicy_xvm_control(credp: Credential) -> c_int {
        privileged(credp)
    }
    /// secpolicy_rsm_access: the owner and privileged users, and others as the mode says.
    fn secpolicy_rsm_access(credp: Credential, owner: uid_t, mode: mode_t) -> c_int {
        let cred = credential(credp);
        let shift = if cred.uids[1] == owner { 0 } else { 6 };
        if (mode << shift) & 0o700 == mode & 0o700 && mode != 0 { 0 } else { privileged(credp) }
    }
    /// priv_getbyname(9F): -EINVAL for an unknown name, unless PRIV_ALLOC adds it.
    fn priv_getbyname(name: Text, flags: uint_t) -> c_int {
        static ENTERED: Mutex<Vec<String>> = Mutex::new(Vec::new());
        const FIRST: usize = 1024;
        let name = name.text();
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
    fn priv_policy(credp: Credential, _privilege: c_int, _all: boolean_t, error: c_int, _message: *const c_char) -> c_int {
        if privileged(credp) == 0 { 0 } else { error }
    }
    /// priv_policy_choice(9F).
    fn priv_policy_choice(credp: Credential, _privilege: c_int, _all: boolean_t) -> boolean_t {
        (privileged(credp) == 0).into()
    }
    /// priv_policy_only(9F).
    fn priv_policy_only(credp: Credential, _privilege: c_int, _all: boolean_t) -> boolean_t {
        (privileged(credp) == 0).into()
    }
    /// drv_getparm(9F): the process group and so on are not kept; user and time are.
    fn drv_getparm(parameter: uint_t, to: Memory) -> c_int {
        // PPGRP 2, LBOLT 4, PPID 6, PSID 7, TIME 8, UCRED 9.
        let value = match parameter {
            4 => crate::kern::clock::lbolt() as u64,
            8 => super::time::now() as u64,
            6 | 2 | 7 => client::current().map_or(0, |c| c.process().pid() as u64),
            9 => current_cred() as u64,
            _ => return -1,
        };
        if to.is_null() {
            return 0;
        }
        if matches!(parameter, 2 | 6 | 7) {
            to.cast::<pid_t>().set_element(0, value as pid_t);
        } else {
            to.cast::<u64>().set_element(0, value);
        }
        0
    }
    /// proc_ref(9F).
    fn proc_ref() -> *mut c_void {
        client::current().map_or(null_mut(), |c| Box::into_raw(Box::new(ProcRef(c.process().clone()))).cast())
    }
    /// proc_unref(9F).
    fn proc_unref(pref: Owned<ProcRef, c_void>) {
        drop(pref.get());
    }
    /// proc_signal(9F): -1 if the process has exited.
    fn proc_signal(pref: Object<ProcRef, c_void>, signal: c_int) -> c_int {
        let Some(reference) = pref.get() else { return -1 };
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
        let copied = driver!(ddi_sys::ddi_copyin(from.as_ptr().cast(), to.as_mut_ptr().cast(), 4, kernel));
        assert_eq!(copied, 0);
        assert_eq!(to, from);
        assert_eq!(driver!(ddi_sys::ddi_copyin(from.as_ptr().cast(), to.as_mut_ptr().cast(), 4, 0)), -1);
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
        let moved =
            driver!(ddi_sys::uiomove(from.as_ptr().cast_mut().cast(), 4, ddi_sys::UIO_READ, &mut uio));
        // SAFETY: the union's members are the same.
        assert_eq!((moved, uio.uio_resid, unsafe { uio._uio_offset._f }), (0, 2, 14));
        assert_eq!(user, [1, 2, 3, 4, 0, 0]);
    }

    #[test]
    fn to_look_takes_the_privilege_too() {
        let mut cred = KERNEL_CRED.clone();
        cred.uids = [100; 3];
        let at = (&raw const cred).cast();
        for check_only in [ddi_sys::B_FALSE, ddi_sys::B_TRUE] {
            assert_eq!(driver!(ddi_sys::secpolicy_net_config(at, check_only)), EPERM);
            assert_eq!(driver!(ddi_sys::secpolicy_sys_config(at, check_only)), EPERM);
        }
    }

    #[test]
    fn bytes_go_one_by_one() {
        let mut bytes = [0u8; 2];
        let mut iov = [iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: 2 }];
        let mut uio = uio_t {
            uio_iov: iov.as_mut_ptr(),
            uio_iovcnt: 1,
            _uio_offset: ddi_sys::lloff { _f: 0 },
            uio_segflg: ddi_sys::UIO_SYSSPACE,
            uio_fmode: 0,
            uio_extflg: 0,
            _uio_limit: ddi_sys::lloff { _f: 0 },
            uio_resid: 2,
        };
        let at = &raw mut uio;
        assert_eq!([b'a', b'b', b'c'].map(|c| driver!(ddi_sys::ureadc(c.into(), at))), [0, 0, EFAULT]);
        (uio.uio_resid, iov[0]) = (1, iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: 1 });
        uio.uio_iov = iov.as_mut_ptr();
        let at = &raw mut uio;
        assert_eq!([0, 1].map(|_| driver!(ddi_sys::uwritec(at))), [b'a'.into(), -1]);
        assert_eq!((&bytes, uio.uio_resid), (b"ab", 0));
    }

    #[test]
    fn the_kernel_is_privileged_and_has_no_process() {
        assert_eq!(driver!(ddi_sys::ddi_get_pid()), 0);
        assert_eq!(driver!(ddi_sys::drv_priv(null_mut())), 0);
        let cred = driver!(ddi_sys::ddi_get_cred());
        assert_eq!(driver!(ddi_sys::crgetuid(cred)), 0);
    }
}
