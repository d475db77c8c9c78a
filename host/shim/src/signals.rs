//! SIGSEGV and SIGBUS: the shim's handlers run first, and call the program's for accesses outside device mappings.
//!
//! The program cannot see them: sigaction returns its own handlers, and its masks never block the two signals in Linux (they are recorded, and
//! applied when one is to be delivered).

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ddi_wire::{FaultMode, SignalInfo};

use crate::link::Verdict;
use crate::real::{errno, fail};
use crate::sys::{self, Lock, Plain, bit};
use crate::{copy, line, link, state};

/// Linux's `SEGV_ACCERR`: there is a mapping, which forbids the access.
const ACCERR: i32 = 2;
const OURS: u64 = bit(libc::SIGSEGV) | bit(libc::SIGBUS);

/// The program's action for SIGSEGV or SIGBUS. A handler reads it without the lock, so it is in atomics.
struct Action {
    handler: AtomicU64,
    flags: AtomicU64,
    mask: AtomicU64,
}

static ACTIONS: [Action; 2] =
    [const { Action { handler: AtomicU64::new(0), flags: AtomicU64::new(0), mask: AtomicU64::new(0) } }; 2];
static LOCK: Lock = Lock::new();
static INSTALLED: AtomicBool = AtomicBool::new(false);
static KEY: AtomicU64 = AtomicU64::new(0);

fn action(signo: c_int) -> Option<&'static Action> {
    match signo {
        libc::SIGSEGV => ACTIONS.first(),
        libc::SIGBUS => ACTIONS.last(),
        _ => None,
    }
}

extern "C" fn thread_exit(_: *mut c_void) {
    line::end_thread();
    crate::held::close();
}

pub fn at_start() {
    let mut key: libc::pthread_key_t = 0;
    // SAFETY: a valid place, and a destructor of the right type.
    if unsafe { libc::pthread_key_create(&mut key, Some(thread_exit)) } == 0 {
        KEY.store(u64::from(key) + 1, Ordering::Relaxed);
    }
    // A mask that came through exec.
    let mask = sys::mask();
    if mask & OURS != 0 {
        state::BLOCKED.set(mask & OURS);
        sys::set_mask(mask & !OURS);
    }
}

/// Arranges that this thread's connection is closed when it ends.
pub fn at_thread_exit() {
    if let Some(key) = KEY.load(Ordering::Relaxed).checked_sub(1) {
        // SAFETY: a key that exists; any value but null makes the destructor run.
        unsafe { libc::pthread_setspecific(key as libc::pthread_key_t, core::ptr::dangling::<u8>().cast()) };
    }
}

/// The first 64 signals of a set, which the kernel knows.
pub fn low_mask(set: &libc::sigset_t) -> u64 {
    // SAFETY: the C library's set starts with the kernel's 64 bits.
    unsafe { core::ptr::from_ref(set).cast::<u64>().read_unaligned() }
}

/// A set with other first 64 signals.
pub fn with_low_mask(set: &libc::sigset_t, mask: u64) -> libc::sigset_t {
    let mut out = *set;
    // SAFETY: as above.
    unsafe { core::ptr::from_mut(&mut out).cast::<u64>().write_unaligned(mask) };
    out
}

fn strip(set: &libc::sigset_t) -> libc::sigset_t {
    with_low_mask(set, low_mask(set) & !OURS)
}

/// sigaction(2) as the C library has it.
///
/// # Safety
/// A handler among `new` is one for this signal and these flags.
unsafe fn set_action(
    signo: c_int,
    new: Option<&libc::sigaction>,
    old: Option<&mut libc::sigaction>,
) -> c_int {
    let real = real!(sigaction: fn(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int);
    let new = new.map_or(core::ptr::null(), core::ptr::from_ref);
    let old = old.map_or(core::ptr::null_mut(), core::ptr::from_mut);
    // SAFETY: null or valid; the handler by the caller.
    unsafe { real(signo, new, old) }
}

/// Puts the shim's handlers in place.
pub fn install() {
    LOCK.with(|| {
        if INSTALLED.load(Ordering::Relaxed) {
            return;
        }
        for signo in [libc::SIGSEGV, libc::SIGBUS] {
            let mut old = libc::sigaction::zeroed();
            // SAFETY: no handler.
            if unsafe { set_action(signo, None, Some(&mut old)) } == 0 {
                remember(signo, &old);
            }
            let mut new = libc::sigaction::zeroed();
            new.sa_sigaction = handler as *const () as usize;
            new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER | libc::SA_RESTART;
            // Other handlers run before or after ours, not on top of it: the stack may be a small alternate one.
            new.sa_mask = with_low_mask(&new.sa_mask, !OURS);
            // SAFETY: the handler takes what SA_SIGINFO passes, and is async-signal-safe.
            unsafe { set_action(signo, Some(&new), None) };
        }
        INSTALLED.store(true, Ordering::Release);
    });
}

fn remember(signo: c_int, act: &libc::sigaction) {
    if let Some(a) = action(signo) {
        a.mask.store(low_mask(&act.sa_mask), Ordering::Relaxed);
        a.flags.store(act.sa_flags as u64, Ordering::Relaxed);
        a.handler.store(act.sa_sigaction as u64, Ordering::Release);
    }
}

/// sigaction(2) for the program: `new` and `old` may be null.
fn change(signo: c_int, new: Option<&libc::sigaction>, old: Option<&mut libc::sigaction>) -> c_int {
    let owned = INSTALLED.load(Ordering::Acquire);
    if let (true, Some(a)) = (owned, action(signo)) {
        return LOCK.with(|| {
            if let Some(old) = old {
                *old = libc::sigaction::zeroed();
                old.sa_sigaction = a.handler.load(Ordering::Relaxed) as usize;
                old.sa_flags = a.flags.load(Ordering::Relaxed) as c_int;
                let mask = a.mask.load(Ordering::Relaxed);
                old.sa_mask = with_low_mask(&old.sa_mask, mask);
            }
            if let Some(new) = new {
                remember(signo, new);
            }
            0
        });
    }
    let stripped = new.map(|act| {
        let mut act = *act;
        if state::host().is_some() {
            act.sa_mask = strip(&act.sa_mask);
        }
        act
    });
    // SAFETY: the program's handler.
    unsafe { set_action(signo, stripped.as_ref(), old) }
}

interpose! {
    fn [sigaction](
        signo: c_int, new: *const libc::sigaction, old: *mut libc::sigaction,
    ) -> c_int = |_original| {
        // SAFETY: the caller passes null or a valid structure, perhaps the same one twice.
        let new = unsafe { new.as_ref() }.copied();
        // SAFETY: as above; `new` is a copy.
        change(signo, new.as_ref(), unsafe { old.as_mut() })
    }
}

fn simple(signo: c_int, handler: usize, flags: c_int) -> usize {
    let mut new = libc::sigaction::zeroed();
    new.sa_sigaction = handler;
    new.sa_flags = flags;
    let mut old = new;
    if change(signo, Some(&new), Some(&mut old)) != 0 { libc::SIG_ERR } else { old.sa_sigaction }
}

/// signal(2) and its relatives, which have these flags.
fn handle(signo: c_int, handler: usize, flags: c_int, original: impl FnOnce() -> usize) -> usize {
    match action(signo) {
        Some(_) if INSTALLED.load(Ordering::Acquire) => simple(signo, handler, flags),
        _ => original(),
    }
}

/// sigprocmask(2) for the program: the two signals are never really blocked. `new` and `old` are null or valid.
fn change_mask(
    real: Mask,
    how: c_int,
    new: Option<&libc::sigset_t>,
    old: Option<&mut libc::sigset_t>,
) -> c_int {
    let before = state::BLOCKED.get();
    let stripped = new.map(strip);
    let at = stripped.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    let mut found = libc::sigset_t::zeroed();
    // SAFETY: null or valid.
    let r = unsafe { real(how, at, &mut found) };
    if r != 0 {
        return r;
    }
    if let Some(wanted) = new {
        let bits = low_mask(wanted) & OURS;
        state::BLOCKED.set(match how {
            libc::SIG_BLOCK => before | bits,
            libc::SIG_UNBLOCK => before & !bits,
            _ => bits,
        });
    }
    if let Some(old) = old {
        *old = with_low_mask(&found, low_mask(&found) | before);
    }
    0
}

/// # Safety
/// `new` and `old` are null or valid, and perhaps the same.
unsafe fn change_program_mask(
    real: Mask,
    how: c_int,
    new: *const libc::sigset_t,
    old: *mut libc::sigset_t,
) -> c_int {
    // SAFETY: by the caller.
    let new = unsafe { new.as_ref() }.copied();
    // SAFETY: by the caller; `new` is a copy.
    change_mask(real, how, new.as_ref(), unsafe { old.as_mut() })
}

type Mask = unsafe extern "C" fn(c_int, *const libc::sigset_t, *mut libc::sigset_t) -> c_int;

interpose! {
    fn [signal, bsd_signal, ssignal](signo: c_int, handler: usize) -> usize = |original| {
        handle(signo, handler, libc::SA_RESTART, original)
    }

    fn [__sysv_signal, sysv_signal](signo: c_int, handler: usize) -> usize = |original| {
        handle(signo, handler, libc::SA_RESETHAND | libc::SA_NODEFER, original)
    }

    fn [sigprocmask](how: c_int, new: *const libc::sigset_t, old: *mut libc::sigset_t) -> c_int = |original| {
        if state::host().is_none() {
            return original();
        }
        let real = real!(sigprocmask: fn(c_int, *const libc::sigset_t, *mut libc::sigset_t) -> c_int);
        // SAFETY: the caller passes null or valid sets.
        unsafe { change_program_mask(real, how, new, old) }
    }

    fn [pthread_sigmask](how: c_int, new: *const libc::sigset_t, old: *mut libc::sigset_t) -> c_int = |original| {
        if state::host().is_none() {
            return original();
        }
        let real = real!(pthread_sigmask: fn(c_int, *const libc::sigset_t, *mut libc::sigset_t) -> c_int);
        // SAFETY: the caller passes null or valid sets.
        unsafe { change_program_mask(real, how, new, old) }
    }
}

extern "C" fn handler(signo: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let saved = errno();
    // SAFETY: the kernel passes a valid structure.
    let info = unsafe { &mut *info.cast::<SignalInfo>() };
    // SAFETY: as above.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    if let Some(signo) = judge(signo, info, context)
        && !recover(info, context)
    {
        deliver(signo, info, context);
    }
    fail(saved);
}

/// Judges a signal: `None` if the access is to be tried again, else the signal to deliver.
fn judge(signo: c_int, info: &mut SignalInfo, context: &mut libc::ucontext_t) -> Option<c_int> {
    let host = state::host()?;
    if info.is_queued_by(host.pid) {
        // The host says that an access of this thread's has failed.
        if let Some(access) = info.failed_access() {
            let here = [register(context, libc::REG_RSP), register(context, libc::REG_RIP)];
            if access.place != [0; 2] && access.place != here {
                // The access has succeeded meanwhile, and the thread has continued.
                return None;
            }
            info.become_fault(access);
            set_register(context, libc::REG_CR2, access.addr);
            set_register(context, libc::REG_TRAPNO, 14);
        }
        return Some(signo);
    }
    if info.code > 0 && state::is_being_pinned(info.addr) {
        // A write that comes while the contents are copied waits.
        sys::sched_yield();
        return None;
    }
    if info.code <= 0 || state::mode().is_none() || !state::near(info.addr, 1) {
        return Some(signo);
    }
    // The page fault's error code: bit 1 a write, bit 4 an instruction fetch.
    let error = register(context, libc::REG_ERR);
    let access = match error {
        e if e & 2 != 0 => libc::PROT_WRITE,
        e if e & 16 != 0 => libc::PROT_EXEC,
        _ => libc::PROT_READ,
    };
    // This handler has all signals blocked; whether a signal is blocked is decided by the mask that the thread resumes with.
    let (code, mask) = (register(context, libc::REG_RIP), low_mask(&context.uc_sigmask));
    match link::fault(info.addr, access.cast_unsigned(), code, mask) {
        Ok(verdict) => match verdict {
            Verdict::Retry { idle: false } => None,
            // The host found the access permitted. If it keeps failing, Linux and the host disagree (about a mapping that was changed by raw system calls).
            Verdict::Retry { idle: true } => too_often(info.addr, 1000).then_some(signo),
            Verdict::Signal { signo, code, errno } => {
                (info.signo, info.code, info.errno) = (signo, code, errno);
                Some(signo)
            }
            Verdict::Foreign => stray(info).then_some(signo),
        },
        // The thread has no connection, and the process not what one takes: descriptors, memory. The access fails; nothing but that.
        Err(errno) if errno != link::NO_HOST => {
            // A page may be poisoned, for the moment that a system call's access takes to fail: that is no answer to this one.
            let poisoned =
                signo == libc::SIGBUS && matches!(info.code, libc::BUS_ADRERR | libc::BUS_MCEERR_AR);
            if poisoned && state::mode() != Some(FaultMode::Signal) && !too_often(info.addr, 100_000) {
                sys::nap();
                return None;
            }
            if state::mode() == Some(FaultMode::Signal) && info.code == ACCERR {
                (info.signo, info.code, info.errno) = (libc::SIGBUS, libc::BUS_OBJERR, errno);
            }
            Some(info.signo)
        }
        Err(_) => {
            sys::complain(b"ddi: ddi-host is gone; this process used its devices and is killed\n");
            sys::raise(libc::SIGKILL);
            Some(signo)
        }
    }
}

/// Returns whether an access has been tried again more than so often.
fn too_often(addr: u64, most: u32) -> bool {
    let (before, count) = state::SPURIOUS.get();
    let count = if before == addr { count + 1 } else { 0 };
    state::SPURIOUS.set((addr, count));
    count > most
}

/// Returns whether the signal of an access outside device mappings is final. The address may have been a device's at the access, and be inaccessible only
/// while it is unmapped: the access is retried afterwards, and its signal has the right code.
fn stray(info: &SignalInfo) -> bool {
    if info.code != ACCERR {
        return true;
    }
    match state::Change::settled() {
        Some(ended) => state::STRAY.replace((info.addr, ended)) == (info.addr, ended),
        // The thread that changes the mappings does not wait for itself.
        None if state::BUSY.get() => true,
        None => {
            sys::nap();
            false
        }
    }
}

fn register(context: &libc::ucontext_t, which: c_int) -> u64 {
    context.uc_mcontext.gregs.get(which as usize).map_or(0, |&r| r as u64)
}

fn set_register(context: &mut libc::ucontext_t, which: c_int, value: u64) {
    if let Some(r) = context.uc_mcontext.gregs.get_mut(which as usize) {
        *r = value as i64;
    }
}

/// A fault of the shim's own copying is no signal but a short copy.
fn recover(info: &SignalInfo, context: &mut libc::ucontext_t) -> bool {
    if info.code <= 0 {
        return false;
    }
    // As on illumos: a driver's error is the system call's, everything else a bad address.
    let driver = info.signo == libc::SIGBUS && info.code == libc::BUS_OBJERR && info.errno > 0;
    let errno = if driver { info.errno } else { libc::EFAULT };
    let target = copy::fixup(register(context, libc::REG_RIP), errno);
    if let Some(target) = target {
        set_register(context, libc::REG_RIP, target);
    }
    target.is_some()
}

/// Hands a signal to the program.
fn deliver(signo: c_int, info: &mut SignalInfo, context: &mut libc::ucontext_t) {
    let Some(a) = action(signo) else { return };
    let (handler, flags) = (a.handler.load(Ordering::Acquire), a.flags.load(Ordering::Relaxed) as c_int);
    let fault = info.code > 0;
    if !fault && handler == libc::SIG_IGN as u64 {
        return;
    }
    // A fault is never ignored or blocked: it kills.
    let hidden = fault && state::BLOCKED.get() & bit(signo) != 0;
    if handler == libc::SIG_DFL as u64 || handler == libc::SIG_IGN as u64 || hidden {
        die(signo);
        return;
    }
    if flags & libc::SA_RESETHAND != 0 {
        a.handler.store(libc::SIG_DFL as u64, Ordering::Relaxed);
    }
    let own = if flags & libc::SA_NODEFER != 0 { 0 } else { bit(signo) };
    let hide = a.mask.load(Ordering::Relaxed) | own;
    // The two signals themselves stay deliverable: a handler that leaves by a long jump would not give them back.
    // The mask of the interrupted program, as if the kernel had called its handler.
    let ours = sys::set_mask((low_mask(&context.uc_sigmask) | hide) & !OURS);
    let (at, context) = (core::ptr::from_mut(info), core::ptr::from_mut(context));
    if flags & libc::SA_SIGINFO != 0 {
        // SAFETY: the program registered a handler of this type.
        let f = unsafe {
            core::mem::transmute::<u64, extern "C" fn(c_int, *mut SignalInfo, *mut libc::ucontext_t)>(handler)
        };
        f(signo, at, context);
    } else {
        // SAFETY: the program registered a handler of this type.
        let f = unsafe { core::mem::transmute::<u64, extern "C" fn(c_int)>(handler) };
        f(signo);
    }
    sys::set_mask(ours);
}

/// Ends the process by a signal's default action.
fn die(signo: c_int) {
    let default = libc::sigaction::zeroed();
    // SAFETY: no handler.
    unsafe { set_action(signo, Some(&default), None) };
    sys::raise(signo);
}
