//! Mutexes, condition variables, readers/writer locks, that notice misuse.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::{c_int, c_void};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU64, AtomicUsize, Ordering::SeqCst};

use ddi_sys as sys;

use super::threads::{me, threads, until};

static LIVE: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

/// The priorities that mutexes were made for.
pub static PRIORITIES: Mutex<Vec<usize>> = Mutex::new(Vec::new());

fn locks() -> std::sync::MutexGuard<'static, BTreeSet<usize>> {
    LIVE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn born(at: usize) {
    assert!(locks().insert(at), "a lock was initialised twice");
}

fn dead(at: usize) {
    assert!(locks().remove(&at), "a lock was destroyed that is not there");
}

fn alive(at: usize) {
    assert!(locks().contains(&at), "a lock is used that is not there");
}

/// Returns the number of locks that were made and not destroyed.
pub fn live() -> usize {
    locks().len()
}

/// Number of locks that may be left at the end.
pub fn left(count: usize) {
    LEFT.store(count, SeqCst);
}

/// Returns the number of locks beyond those that may be left.
pub fn unexpected() -> usize {
    live() - LEFT.load(SeqCst)
}

static LEFT: AtomicUsize = AtomicUsize::new(0);

/// Whatever a test that failed has left behind.
pub fn forget() {
    locks().clear();
    left(0);
}

/// The word of a mutex: the thread that holds it, or 0.
fn owner<'a>(mutex: *const sys::kmutex_t) -> &'a AtomicU64 {
    alive(mutex.expose_provenance());
    // SAFETY: initialised and not destroyed, as was just checked; all accesses to its first word are atomic.
    unsafe { AtomicU64::from_ptr(mutex.cast_mut().cast()) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn mutex_init(mutex: *mut sys::kmutex_t, _: *mut i8, _: u32, priority: *mut c_void) {
    born(mutex.expose_provenance());
    PRIORITIES.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(priority.expose_provenance());
    owner(mutex).store(0, SeqCst);
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn mutex_destroy(mutex: *mut sys::kmutex_t) {
    if !std::thread::panicking() {
        assert_eq!(owner(mutex).load(SeqCst), 0, "mutex_destroy of a held mutex");
    }
    dead(mutex.expose_provenance());
}

thread_local! {
    static AT_LOCKS: RefCell<Option<Box<dyn Fn()>>> = const { RefCell::new(None) };
}

/// From now on this thread does this before it takes a mutex or gives one back; nothing, from then on, if it is None.
pub fn at_locks(what: Option<Box<dyn Fn()>>) {
    AT_LOCKS.set(what);
}

/// mutex_enter(9F). Panics if the thread holds it.
///
/// # Safety
/// As mutex_enter(9F).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn mutex_enter(mutex: *mut sys::kmutex_t) {
    AT_LOCKS.with_borrow(|what| what.iter().for_each(|what| what()));
    let place = mutex.expose_provenance();
    threads().wants(place);
    threads().point();
    assert_ne!(owner(mutex).load(SeqCst), me(), "mutex_enter of a mutex that this thread holds");
    until(place, || owner(mutex).compare_exchange(0, me(), SeqCst, SeqCst).ok());
    threads().has(place);
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn mutex_tryenter(mutex: *mut sys::kmutex_t) -> c_int {
    threads().point();
    let taken = owner(mutex).compare_exchange(0, me(), SeqCst, SeqCst).is_ok();
    if taken {
        threads().has(mutex.expose_provenance());
    }
    taken.into()
}

/// mutex_exit(9F). Panics if another thread holds it.
///
/// # Safety
/// As mutex_exit(9F).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn mutex_exit(mutex: *mut sys::kmutex_t) {
    AT_LOCKS.with_borrow(|what| what.iter().for_each(|what| what()));
    threads().point();
    assert_eq!(owner(mutex).swap(0, SeqCst), me(), "mutex_exit of a mutex that this thread does not hold");
    threads().gives(mutex.expose_provenance());
    threads().wake(mutex.expose_provenance());
}

fn generation<'a>(cv: *mut sys::kcondvar_t) -> &'a AtomicU16 {
    alive(cv.expose_provenance());
    // SAFETY: initialised and not destroyed, as was just checked; all accesses to it are atomic.
    unsafe { AtomicU16::from_ptr(cv.cast()) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn cv_init(cv: *mut sys::kcondvar_t, _: *mut i8, _: u32, _: *mut c_void) {
    born(cv.expose_provenance());
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn cv_destroy(cv: *mut sys::kcondvar_t) {
    dead(cv.expose_provenance());
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn cv_broadcast(cv: *mut sys::kcondvar_t) {
    threads().point();
    generation(cv).fetch_add(1, SeqCst);
    threads().wake(cv.expose_provenance());
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn cv_signal(cv: *mut sys::kcondvar_t) {
    // SAFETY: as cv_signal(9F); those who wait are ready for a wakeup that is not theirs.
    unsafe { cv_broadcast(cv) };
}

/// Waits for a signal, for a time if there is a limit. Returns whether one came.
fn wait(cv: *mut sys::kcondvar_t, mutex: *mut sys::kmutex_t, limited: bool) -> bool {
    let before = generation(cv).load(SeqCst);
    // SAFETY: as cv_wait(9F): the caller holds it.
    unsafe { mutex_exit(mutex) };
    let came = || generation(cv).load(SeqCst) != before;
    let woken = if limited {
        (0..threads().patience()).any(|_| {
            threads().pause();
            came()
        })
    } else {
        until(cv.expose_provenance(), || came().then_some(true))
    };
    // SAFETY: likewise; it was given up above.
    unsafe { mutex_enter(mutex) };
    woken
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn cv_wait(cv: *mut sys::kcondvar_t, mutex: *mut sys::kmutex_t) {
    wait(cv, mutex, false);
}

/// A signal to the process is pending whenever nobody wakes the waiter.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn cv_wait_sig(cv: *mut sys::kcondvar_t, mutex: *mut sys::kmutex_t) -> c_int {
    wait(cv, mutex, true).into()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn cv_reltimedwait(
    cv: *mut sys::kcondvar_t,
    mutex: *mut sys::kmutex_t,
    _ticks: i64,
    _resolution: u32,
) -> i64 {
    if wait(cv, mutex, true) { 1 } else { -1 }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn cv_reltimedwait_sig(
    cv: *mut sys::kcondvar_t,
    mutex: *mut sys::kmutex_t,
    ticks: i64,
    _resolution: u32,
) -> i64 {
    match (wait(cv, mutex, true), ticks) {
        (true, _) => 1,
        (false, 1) => -1,
        (false, _) => 0,
    }
}

/// The word of a readers/writer lock: how many readers, or -1.
fn readers<'a>(lock: *mut sys::krwlock_t) -> &'a AtomicI64 {
    alive(lock.expose_provenance());
    // SAFETY: initialised and not destroyed, as was just checked; all accesses to its first word are atomic.
    unsafe { AtomicI64::from_ptr(lock.cast()) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rw_init(lock: *mut sys::krwlock_t, _: *mut i8, _: u32, _: *mut c_void) {
    born(lock.expose_provenance());
    readers(lock).store(0, SeqCst);
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rw_destroy(lock: *mut sys::krwlock_t) {
    assert_eq!(readers(lock).load(SeqCst), 0, "rw_destroy of a held lock");
    dead(lock.expose_provenance());
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rw_tryenter(lock: *mut sys::krwlock_t, how: u32) -> c_int {
    threads().point();
    let readers = readers(lock);
    let taken = if how == sys::RW_WRITER {
        readers.compare_exchange(0, -1, SeqCst, SeqCst).is_ok()
    } else {
        readers.fetch_update(SeqCst, SeqCst, |n| (n >= 0).then_some(n + 1)).is_ok()
    };
    taken.into()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rw_enter(lock: *mut sys::krwlock_t, how: u32) {
    // SAFETY: as rw_enter(9F).
    until(lock.expose_provenance(), || (unsafe { rw_tryenter(lock, how) } != 0).then_some(()));
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rw_exit(lock: *mut sys::krwlock_t) {
    let change = |n: i64| if n < 0 { Some(0) } else { n.checked_sub(1).filter(|n| *n >= 0) };
    readers(lock).fetch_update(SeqCst, SeqCst, change).expect("rw_exit of a lock that nobody holds");
    threads().wake(lock.expose_provenance());
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rw_downgrade(lock: *mut sys::krwlock_t) {
    readers(lock).compare_exchange(-1, 1, SeqCst, SeqCst).expect("rw_downgrade by no writer");
    threads().wake(lock.expose_provenance());
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rw_tryupgrade(lock: *mut sys::krwlock_t) -> c_int {
    readers(lock).compare_exchange(1, -1, SeqCst, SeqCst).is_ok().into()
}
