//! fork(2): the host is told before the process forks, and the child has its own connection before fork returns in it.
//!
//! From the host's answer until Linux has copied the process, other threads' requests and accesses to devices wait. Everything for which this thread may wait for them
//! is done before: the program's handlers (pthread_atfork) have run, and the C library's list of streams is locked. So the program's handlers are
//! not registered with the C library, which would run them later, but are kept and run here ([`handlers`]).

use core::cell::Cell;
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use ddi_wire::{Reply, Request};

use crate::real::{fail, known};
use crate::{born, handlers, link, state, sys};

/// The connection that the host made for the child of the fork in progress; -1 if the host was not told.
static LEASH: AtomicI32 = AtomicI32::new(-1);
/// The host's number for that child.
static CHILD: AtomicU64 = AtomicU64::new(0);
/// This child has been introduced by the handler below.
static BORN: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Number of the program's handlers that belong to the fork in progress inside the C library.
    static RUN: Cell<usize> = const { Cell::new(0) };
}

pub fn at_start() {
    // For forks inside the C library (forkpty, daemon); those through `fork` are announced already and can be refused.
    handlers::register_own(before_inner, in_parent_inner, in_child_inner);
}

/// Returns whether the process has but one thread, as far as the C library knows.
fn alone() -> bool {
    // The program may have a copy of its own, which is then the one that counts.
    // SAFETY: the name ends with NUL.
    let at = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__libc_single_threaded".as_ptr()) }
        .cast_const()
        .cast::<u8>();
    // SAFETY: null, or the C library's variable, a byte.
    unsafe { at.as_ref() }.is_some_and(|alone| *alone != 0)
}

/// Announces the fork to the host. The lock is held from here until after the fork, in both processes.
fn before() -> Result<(), i32> {
    if state::mode().is_none() {
        // Nothing mapped: the child, when it uses a device, is a new process to the host.
        state::SETUP.lock();
        return Ok(());
    }
    let place = 0u8;
    let request = Request::Fork { alone: alone(), stack: (&raw const place) as u64 };
    // First, as making a connection needs the lock.
    let r = link::request(&request, &[], true, |got| match got.reply {
        Reply::Child { child, turn } => Some((child, got.fd, turn)),
        _ => None,
    });
    if let Ok((.., turn)) = r {
        // Changes of other threads that the host has made: the child is to have them.
        state::TURNS.wait(turn, sys::sleep_on);
    }
    state::SETUP.lock();
    match r {
        Ok((child, leash, _)) => {
            LEASH.store(state::adopt(leash), Ordering::Relaxed);
            CHILD.store(child, Ordering::Relaxed);
            Ok(())
        }
        Err(e) => {
            state::SETUP.unlock();
            Err(e)
        }
    }
}

/// `pid` is 0 if it is not known.
fn in_parent(pid: i32) {
    let leash = LEASH.swap(-1, Ordering::Relaxed);
    if leash >= 0 {
        state::drop_own(leash);
        if pid >= 0 {
            link::tell(&Request::Forked { child: CHILD.load(Ordering::Relaxed), pid });
        }
    }
    state::SETUP.unlock();
}

fn in_child() {
    state::SETUP.reset();
    born::born(LEASH.swap(-1, Ordering::Relaxed));
}

/// Calls a function of the C library that takes and returns nothing, if there is such a one.
fn call(name: &CStr) {
    let at = known(name);
    if at != 0 {
        // SAFETY: a function of the C library that has this type.
        let f = unsafe { core::mem::transmute::<usize, unsafe extern "C" fn()>(at) };
        // SAFETY: it locks or unlocks, as often as it was locked by this thread.
        unsafe { f() };
    }
}

/// Locks the C library's list of streams. fork does that anyway; a thread that flushes all streams to a device holds it, and must have come to its end.
fn lock_streams() {
    call(c"_IO_list_lock");
}

fn unlock_streams() {
    call(c"_IO_list_unlock");
}

/// Resets the lock of the C library's list of streams in a forked child; the C library does it only if the parent had several threads.
fn reset_streams() {
    call(c"_IO_list_resetlock");
}

extern "C" fn before_inner() {
    if state::FORKING.get() {
        return;
    }
    RUN.set(handlers::prepare());
    lock_streams();
    if before().is_err() {
        // This fork cannot be refused: its child has no device mappings.
        state::SETUP.lock();
    }
}

extern "C" fn in_parent_inner() {
    if state::FORKING.get() {
        return;
    }
    in_parent(0);
    unlock_streams();
    handlers::in_parent(RUN.get());
}

extern "C" fn in_child_inner() {
    in_child();
    BORN.store(true, Ordering::Relaxed);
    if !state::FORKING.get() {
        reset_streams();
        handlers::in_child(RUN.get());
    }
}

/// `whole`: handlers run and streams are locked, as for fork(2); not for `_Fork`.
fn around(fork: impl FnOnce() -> libc::pid_t, whole: bool) -> libc::pid_t {
    if state::host().is_none() {
        return fork();
    }
    let mut run = 0;
    if whole {
        run = handlers::prepare();
        lock_streams();
    }
    // From the host's copying of the mappings until the child has them, no signal handler may change any.
    let mask = sys::hold_signals();
    let announced = before();
    let pid = announced.map_or_else(fail, |()| {
        state::FORKING.set(true);
        BORN.store(false, Ordering::Relaxed);
        let pid = fork();
        state::FORKING.set(false);
        pid
    });
    let e = crate::real::errno();
    match pid {
        // `_Fork` runs no handlers.
        0 if !BORN.load(Ordering::Relaxed) => in_child(),
        0 => {}
        _ if announced.is_ok() => in_parent(pid),
        _ => {}
    }
    sys::set_mask(mask);
    match pid {
        _ if !whole => {}
        0 => {
            reset_streams();
            handlers::in_child(run);
        }
        _ => {
            unlock_streams();
            handlers::in_parent(run);
        }
    }
    if pid < 0 { fail(e) } else { pid }
}

interpose! {
    fn [fork, __fork]() -> libc::pid_t = |original| { around(original, true) }

    fn [_Fork]() -> libc::pid_t = |original| { around(original, false) }
}
