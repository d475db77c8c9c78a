//! Mutexes and condition variables, and the clock tick by which waits are measured.

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::SeqCst};

use ddi_sys as sys;

thread_local! {
    static ME: Cell<u64> = const { Cell::new(0) };
    static KILLED: Cell<bool> = const { Cell::new(false) };
}

static THREADS: AtomicU64 = AtomicU64::new(1);
/// How often a thread has begun to wait.
pub static WAITS: AtomicU64 = AtomicU64::new(0);

/// Whether a signal is pending for the calling thread.
pub fn kill(on: bool) {
    KILLED.set(on);
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_get_kt_did() -> sys::kt_did_t {
    if ME.get() == 0 {
        ME.set(THREADS.fetch_add(1, SeqCst));
    }
    ME.get()
}

/// The calling thread.
pub fn me() -> u64 {
    // SAFETY: may be called anywhere.
    unsafe { ddi_get_kt_did() }
}

/// Lets others run until something has happened.
pub fn until(mut happened: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !happened() {
        assert!(begun.elapsed().as_secs() < 30, "nothing goes on any more");
        std::thread::yield_now();
    }
}

/// The word of a mutex: the thread that holds it, or 0; a mutex that nobody has initialised is free.
fn owner<'a>(mutex: *const sys::kmutex_t) -> &'a AtomicU64 {
    // SAFETY: as the kernel: a live mutex; all accesses to its word are atomic.
    unsafe { AtomicU64::from_ptr(mutex.cast_mut().cast()) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn mutex_enter(mutex: *mut sys::kmutex_t) {
    let owner = owner(mutex);
    assert_ne!(owner.load(SeqCst), me(), "recursive mutex_enter");
    until(|| owner.compare_exchange(0, me(), SeqCst, SeqCst).is_ok());
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn mutex_exit(mutex: *mut sys::kmutex_t) {
    assert_eq!(owner(mutex).swap(0, SeqCst), me(), "mutex_exit by another thread");
}

fn generation<'a>(cv: *mut sys::kcondvar_t) -> &'a AtomicU16 {
    // SAFETY: as the kernel: a live condition variable; all accesses to it are atomic.
    unsafe { AtomicU16::from_ptr(cv.cast()) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn cv_broadcast(cv: *mut sys::kcondvar_t) {
    generation(cv).fetch_add(1, SeqCst);
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn cv_reltimedwait_sig(
    cv: *mut sys::kcondvar_t,
    mutex: *mut sys::kmutex_t,
    ticks: sys::clock_t,
    _resolution: sys::time_res_t,
) -> sys::clock_t {
    assert_eq!(ticks, 1, "a wait with an address space locked is short");
    WAITS.fetch_add(1, SeqCst);
    if KILLED.get() {
        return 0;
    }
    let before = generation(cv).load(SeqCst);
    // SAFETY: as cv_wait(9F): the caller holds it.
    unsafe { mutex_exit(mutex) };
    let woken = (0..50).any(|_| {
        std::thread::yield_now();
        generation(cv).load(SeqCst) != before
    });
    // SAFETY: likewise; it was given up above.
    unsafe { mutex_enter(mutex) };
    if woken { 1 } else { -1 }
}

/// Waits until a condition variable is signalled that the kernel itself waits for.
pub fn kernel_wait(cv: *mut sys::kcondvar_t, mutex: *mut sys::kmutex_t) {
    let before = generation(cv).load(SeqCst);
    // SAFETY: the caller holds it.
    unsafe { mutex_exit(mutex) };
    until(|| generation(cv).load(SeqCst) != before);
    // SAFETY: given up above.
    unsafe { mutex_enter(mutex) };
}

pub fn enter(mutex: *mut sys::kmutex_t) {
    // SAFETY: a live mutex of the caller's.
    unsafe { mutex_enter(mutex) };
}

pub fn exit(mutex: *mut sys::kmutex_t) {
    // SAFETY: the caller holds it.
    unsafe { mutex_exit(mutex) };
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn servicing_interrupt() -> c_int {
    0
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn mutex_tryenter(mutex: *mut sys::kmutex_t) -> c_int {
    c_int::from(owner(mutex).compare_exchange(0, me(), SeqCst, SeqCst).is_ok())
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn delay(_ticks: sys::clock_t) {
    std::thread::yield_now();
}
