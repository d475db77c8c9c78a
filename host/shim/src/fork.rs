//! fork(2): the host hears of it before it happens, and the child is a process of its own before fork returns in it.

use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use ddi_wire::Op;

use crate::real::fail;
use crate::{link, state, sys};

/// The connection that the host made for the child of the fork in progress; -1 if the host was not told.
static LEASH: AtomicI32 = AtomicI32::new(-1);
/// The host's number for that child.
static CHILD: AtomicU64 = AtomicU64::new(0);
/// This child has been introduced by the handler below.
static BORN: AtomicBool = AtomicBool::new(false);

pub fn at_start() {
    // For forks inside the C library (forkpty, daemon); those through `fork` are announced already and can be refused.
    // SAFETY: the handlers are of the right type and stay.
    unsafe { libc::pthread_atfork(Some(before_inner), Some(in_parent_inner), Some(in_child_inner)) };
}

/// Tells the host. The lock is held from here until after the fork, in both processes.
fn before() -> Result<(), i32> {
    if state::MODE.load(Ordering::Acquire) == 0 {
        // Nothing mapped: the child, when it uses a device, is a new process to the host.
        state::SETUP.lock();
        return Ok(());
    }
    // First, as making a connection needs the lock.
    let r = link::request(Op::Fork, [0; 6], &[], &[], true);
    state::SETUP.lock();
    match r {
        Ok(reply) => {
            LEASH.store(state::adopt(reply.fd), Ordering::Relaxed);
            CHILD.store(reply.a[0], Ordering::Relaxed);
            Ok(())
        }
        Err(e) => {
            state::SETUP.unlock();
            Err(e)
        }
    }
}

fn in_parent(pid: i32) {
    let leash = LEASH.swap(-1, Ordering::Relaxed);
    if leash >= 0 {
        state::drop_own(leash);
        if pid > 0 {
            link::tell(Op::Forked, [CHILD.load(Ordering::Relaxed), pid as u64, 0, 0, 0, 0]);
        }
    }
    state::SETUP.unlock();
}

fn in_child() {
    state::SETUP.reset();
    link::born(LEASH.swap(-1, Ordering::Relaxed));
}

extern "C" fn before_inner() {
    if !state::FORKING.get() && before().is_err() {
        // This fork cannot be refused: its child has no device mappings.
        state::SETUP.lock();
    }
}

extern "C" fn in_parent_inner() {
    if !state::FORKING.get() {
        in_parent(0);
    }
}

/// Registered before any of the program's, so it runs before theirs: what they do to device memory is seen already.
extern "C" fn in_child_inner() {
    in_child();
    BORN.store(true, Ordering::Relaxed);
}

fn around(fork: unsafe extern "C" fn() -> libc::pid_t) -> libc::pid_t {
    if state::host().is_none() {
        // SAFETY: the C library's fork.
        return unsafe { fork() };
    }
    // From the host's copying of the mappings until the child has them, no signal handler may change any.
    let mask = sys::hold_signals();
    if let Err(e) = before() {
        sys::set_mask(mask);
        return fail(e);
    }
    state::FORKING.set(true);
    BORN.store(false, Ordering::Relaxed);
    // SAFETY: the C library's fork.
    let pid = unsafe { fork() };
    let e = crate::real::errno();
    state::FORKING.set(false);
    match pid {
        // `_Fork` runs no handlers.
        0 if !BORN.load(Ordering::Relaxed) => in_child(),
        0 => {}
        _ => in_parent(pid),
    }
    sys::set_mask(mask);
    if pid < 0 { fail(e) } else { pid }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fork() -> libc::pid_t {
    around(real!(fork: fn() -> libc::pid_t))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __fork() -> libc::pid_t {
    around(real!(fork: fn() -> libc::pid_t))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn _Fork() -> libc::pid_t {
    around(real!(_Fork: fn() -> libc::pid_t))
}
