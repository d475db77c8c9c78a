//! Mutexes, readers/writer locks, semaphores and condition variables: mutex(9F), rwlock(9F), semaphore(9F), condvar(9F).
//!
//! The locks themselves are in [`crate::kern::lock`]. Here their misuse is reported, and it is known which mutexes each thread
//! holds: nothing that blocks may be called with a spin mutex held.

use std::ffi::{c_char, c_int, c_void};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ddi_sys::{
    clock_t, hrtime_t, kcondvar_t, kcv_type_t, kmutex_t, kmutex_type_t, krw_t, krw_type_t, krwlock_t,
    ksema_t, ksema_type_t, kthread_t, time_res_t,
};
use ddi_trace::{Event, For};

use super::args::{In, Out, Word};
use crate::board::report::{self, Earlier};
use crate::kern::clock;
use crate::kern::held;
use crate::kern::lock::{self, Misuse, MutexKind, Wake};
use crate::kern::lockplaces::{self, DESTROYED, ENTERED};
use crate::kern::peek;
use crate::kern::probes;
use crate::kern::thread::{self, Context};
use crate::vm::client;

/// Reports a call that may block where it must not: in an interrupt, or with a spin mutex held.
pub(crate) fn may_block(function: &str, how: &str, page: &str) {
    // Locks may be waited for in a timeout's function and in an interrupt handler below the lock level; nothing else.
    let lock = matches!(function, "mutex_enter" | "rw_enter");
    let here = match thread::context() {
        Context::HighInterrupt => Some("a high-level interrupt handler"),
        Context::Interrupt if !lock => Some("an interrupt handler"),
        Context::Timeout if !lock => Some("a timeout's function"),
        _ => None,
    };
    if let Some(here) = here {
        report::mistake(function, &format!("{how} may block, and this is {here}"), page);
    }
    let spin = held::spin();
    if let Some(address) = spin {
        let what = format!("{how} may block, and the thread holds the spin mutex at {address:#x}");
        report::mistake(function, &what, page);
    }
}

/// The driver makes a lock. The name is read with care: callers from other systems pass anything.
fn made(lock: usize, name: *const c_char) {
    let name = if name.is_null() { None } else { peek::string(name as usize, 64) };
    lockplaces::made(lock, String::from_utf8_lossy(&name.unwrap_or_default()).into_owned());
}

fn complain<T, P>(function: &str, what: &str, lock: Word<T, P>, misuse: Misuse, page: &str) {
    let (places, happened) = match misuse {
        Misuse::Recursive => (&ENTERED, "entered"),
        Misuse::NotOwner | Misuse::Held => (&ENTERED, "entered by the thread that holds it"),
        Misuse::Destroyed | Misuse::Garbage => (&DESTROYED, "destroyed"),
    };
    let earlier = places.get(lock.address()).map(|place| Earlier::new(happened, place.frames()));
    let earlier: Vec<Earlier> = earlier.into_iter().collect();
    report::mistake_after(function, &format!("{what} at {:p}: {misuse}", lock.pointer()), page, &earlier);
}

/// mutex_enter(9F).
pub(super) fn enter(mutex: Word<'_, kmutex_t>) {
    let word = mutex.word();
    let kind = lock::mutex_kind(word);
    let high = thread::context() == Context::HighInterrupt;
    if kind != Ok(MutexKind::Spin) && (held::count() > 0 || high) {
        may_block("mutex_enter", "an adaptive mutex", "mutex_enter(9F)");
    }
    match lock::mutex_enter(word) {
        Ok(()) => held::add(mutex.address(), kind == Ok(MutexKind::Spin)),
        Err(misuse) => complain("mutex_enter", "the mutex", mutex, misuse, "mutex_enter(9F)"),
    }
}

/// mutex_exit(9F).
pub(super) fn exit(mutex: Word<'_, kmutex_t>) {
    held::remove(mutex.address());
    if let Err(misuse) = lock::mutex_exit(mutex.word()) {
        complain("mutex_exit", "the mutex", mutex, misuse, "mutex_exit(9F)");
    }
}

/// sema_init(9F).
pub(super) fn new_semaphore(sema: Word<'_, ksema_t>, count: u32, name: *const c_char) {
    made(sema.address(), name);
    lock::sema_init(sema.word(), count);
}

/// sema_p(9F).
pub(super) fn wait_for_semaphore(sema: Word<'_, ksema_t>) {
    may_block("sema_p", "a semaphore", "semaphore(9F)");
    lock::sema_p(sema.word(), false);
}

/// The interrupt priority above which a mutex spins (LOCK_LEVEL).
const HIGH_LEVEL: usize = 10;

ddi! {
    /// mutex_init(9F).
    fn mutex_init(mutex: Word<kmutex_t>, name: *mut c_char, _type: kmutex_type_t, arg: *mut c_void) {
        made(mutex.address(), name);
        let spin = (arg as usize) > HIGH_LEVEL && (arg as usize) < 256;
        lock::mutex_init(mutex.word(), if spin { MutexKind::Spin } else { MutexKind::Adaptive });
    }
    /// mutex_destroy(9F).
    fn mutex_destroy(mutex: Word<kmutex_t>) {
        let word = mutex.word();
        if lock::mutex_owned(word) {
            held::remove(mutex.address());
        }
        let result = lock::mutex_destroy(word);
        if result.is_ok() {
            lockplaces::gone(mutex.address());
            DESTROYED.set(mutex.address());
        }
        if let Err(misuse) = result {
            complain(NAME, "the mutex", mutex, misuse, "mutex_destroy(9F)");
        }
    }
    /// mutex_enter(9F).
    fn mutex_enter(mutex: Word<kmutex_t>) {
        enter(mutex);
    }
    /// mutex_tryenter(9F).
    fn mutex_tryenter(mutex: Word<kmutex_t>) -> c_int {
        let word = mutex.word();
        match lock::mutex_tryenter(word) {
            Ok(true) => {
                held::add(mutex.address(), lock::mutex_kind(word) == Ok(MutexKind::Spin));
                1
            }
            Ok(false) => 0,
            Err(misuse) => {
                complain(NAME, "the mutex", mutex, misuse, "mutex_enter(9F)");
                0
            }
        }
    }
    /// mutex_exit(9F).
    fn mutex_exit(mutex: Word<kmutex_t>) {
        exit(mutex);
    }
    /// mutex_owned(9F).
    fn mutex_owned(mutex: Word<kmutex_t, *const kmutex_t>) -> c_int {
        lock::mutex_owned(mutex.word()).into()
    }
    /// mutex_owner: the owning thread, when it is the calling one.
    fn mutex_owner(mutex: Word<kmutex_t, *const kmutex_t>) -> *mut kthread_t {
        if lock::mutex_owned(mutex.word()) { thread::kthread() as *mut kthread_t } else { std::ptr::null_mut() }
    }

    /// rw_init(9F).
    fn rw_init(rwlock: Word<krwlock_t>, name: *mut c_char, _type: krw_type_t, _arg: *mut c_void) {
        made(rwlock.address(), name);
        lock::rw_init(rwlock.word());
    }
    /// rw_destroy(9F).
    fn rw_destroy(rwlock: Word<krwlock_t>) {
        lockplaces::gone(rwlock.address());
        if lock::rw_holders(rwlock.word()) != (0, 0) {
            complain(NAME, "the readers/writer lock", rwlock, Misuse::Held, "rw_destroy(9F)");
        }
    }
    /// rw_enter(9F).
    fn rw_enter(rwlock: Word<krwlock_t>, how: krw_t) {
        may_block(NAME, "a readers/writer lock", "rw_enter(9F)");
        if let Err(misuse) = lock::rw_enter(rwlock.word(), how == ddi_sys::RW_WRITER) {
            complain(NAME, "the readers/writer lock", rwlock, misuse, "rw_enter(9F)");
        }
    }
    /// rw_tryenter(9F).
    fn rw_tryenter(rwlock: Word<krwlock_t>, how: krw_t) -> c_int {
        lock::rw_tryenter(rwlock.word(), how == ddi_sys::RW_WRITER).into()
    }
    /// rw_exit(9F).
    fn rw_exit(rwlock: Word<krwlock_t>) {
        if let Err(misuse) = lock::rw_exit(rwlock.word()) {
            complain(NAME, "the readers/writer lock", rwlock, misuse, "rw_exit(9F)");
        }
    }
    /// rw_downgrade(9F).
    fn rw_downgrade(rwlock: Word<krwlock_t>) {
        if let Err(misuse) = lock::rw_downgrade(rwlock.word()) {
            complain(NAME, "the readers/writer lock", rwlock, misuse, "rw_downgrade(9F)");
        }
    }
    /// rw_tryupgrade(9F).
    fn rw_tryupgrade(rwlock: Word<krwlock_t>) -> c_int {
        lock::rw_tryupgrade(rwlock.word()).into()
    }
    /// rw_read_locked(9F): held by readers rather than by a writer.
    fn rw_read_locked(rwlock: Word<krwlock_t>) -> c_int {
        (lock::rw_holders(rwlock.word()).0 > 0).into()
    }
    /// rw_read_held.
    fn rw_read_held(rwlock: Word<krwlock_t>) -> c_int {
        (lock::rw_holders(rwlock.word()).0 > 0).into()
    }
    /// rw_write_held: by the calling thread.
    fn rw_write_held(rwlock: Word<krwlock_t>) -> c_int {
        (lock::rw_holders(rwlock.word()).1 == thread::id()).into()
    }
    /// rw_iswriter: as rw_write_held.
    fn rw_iswriter(rwlock: Word<krwlock_t>) -> c_int {
        (lock::rw_holders(rwlock.word()).1 == thread::id()).into()
    }
    /// rw_lock_held: returns whether any thread holds the lock.
    fn rw_lock_held(rwlock: Word<krwlock_t>) -> c_int {
        (lock::rw_holders(rwlock.word()) != (0, 0)).into()
    }

    /// sema_init(9F).
    fn sema_init(sema: Word<ksema_t>, count: u32, name: *mut c_char, _type: ksema_type_t, _arg: *mut c_void) {
        new_semaphore(sema, count, name);
    }
    /// sema_destroy(9F).
    fn sema_destroy(sema: Word<ksema_t>) {
        lockplaces::gone(sema.address());
    }
    /// sema_p(9F).
    fn sema_p(sema: Word<ksema_t>) {
        wait_for_semaphore(sema);
    }
    /// sema_p_sig(9F): 1 when a signal came.
    fn sema_p_sig(sema: Word<ksema_t>) -> c_int {
        may_block(NAME, "a semaphore", "semaphore(9F)");
        let word = sema.word();
        (!client::interruptibly(|| lock::sema_p(word, true))).into()
    }
    /// sema_tryp(9F).
    fn sema_tryp(sema: Word<ksema_t>) -> c_int {
        lock::sema_tryp(sema.word()).into()
    }
    /// sema_v(9F).
    fn sema_v(sema: Word<ksema_t>) {
        lock::sema_v(sema.word());
    }
    /// sema_held: is it taken?
    fn sema_held(sema: Word<ksema_t>) -> c_int {
        (sema.word().load(std::sync::atomic::Ordering::Relaxed) as u32 == 0).into()
    }

    /// cv_init(9F).
    fn cv_init(cv: Out<kcondvar_t>, name: *mut c_char, _type: kcv_type_t, _arg: *mut c_void) {
        made(cv.pointer() as usize, name);
        // The two bytes are not used.
        cv.set(kcondvar_t { _opaque: 0 });
    }
    /// cv_destroy(9F).
    fn cv_destroy(cv: *mut kcondvar_t) {
        lockplaces::gone(cv as usize);
    }
    /// cv_signal(9F).
    fn cv_signal(cv: *mut kcondvar_t) {
        lock::cv_signal(cv as usize);
    }
    /// cv_broadcast(9F).
    fn cv_broadcast(cv: *mut kcondvar_t) {
        lock::cv_broadcast(cv as usize);
    }
    /// cv_wait(9F).
    fn cv_wait(cv: *mut kcondvar_t, mutex: Word<kmutex_t>) {
        wait(NAME, cv, mutex, None, false);
    }
    /// cv_wait_sig(9F).
    fn cv_wait_sig(cv: *mut kcondvar_t, mutex: Word<kmutex_t>) -> c_int {
        if wait(NAME, cv, mutex, None, true) == Wake::Interrupted { 0 } else { 1 }
    }
    /// cv_timedwait(9F): until an lbolt time.
    fn cv_timedwait(cv: *mut kcondvar_t, mutex: Word<kmutex_t>, until: clock_t) -> clock_t {
        left(wait(NAME, cv, mutex, Some(at_tick(until)), false))
    }
    /// cv_timedwait_sig(9F).
    fn cv_timedwait_sig(cv: *mut kcondvar_t, mutex: Word<kmutex_t>, until: clock_t) -> clock_t {
        left(wait(NAME, cv, mutex, Some(at_tick(until)), true))
    }
    /// cv_reltimedwait(9F): for a number of ticks.
    fn cv_reltimedwait(cv: *mut kcondvar_t, mutex: Word<kmutex_t>, ticks: clock_t, _res: time_res_t) -> clock_t {
        left(wait(NAME, cv, mutex, Some(in_ticks(ticks)), false))
    }
    /// cv_reltimedwait_sig(9F).
    fn cv_reltimedwait_sig(cv: *mut kcondvar_t, mutex: Word<kmutex_t>, ticks: clock_t, _res: time_res_t) -> clock_t {
        left(wait(NAME, cv, mutex, Some(in_ticks(ticks)), true))
    }
    /// cv_timedwait_hires: nanoseconds, absolute when flag bit 2 (CALLOUT_FLAG_ABSOLUTE) is set.
    fn cv_timedwait_hires(
        cv: *mut kcondvar_t,
        mutex: Word<kmutex_t>,
        timeout: hrtime_t,
        _resolution: hrtime_t,
        flag: c_int,
    ) -> clock_t {
        let relative = if flag & 2 != 0 { timeout - clock::hrtime() } else { timeout };
        let until = Instant::now() + Duration::from_nanos(u64::try_from(relative).unwrap_or(0));
        left(wait(NAME, cv, mutex, Some(until), false))
    }
    /// cv_wait_stop: a wait that signals do not end; here nothing stops the thread meanwhile.
    fn cv_wait_stop(cv: *mut kcondvar_t, mutex: Word<kmutex_t>, _wakeup: c_int) {
        wait(NAME, cv, mutex, None, false);
    }
    /// cv_timedwait_sig_hrtime: until a gethrtime(9F) time.
    fn cv_timedwait_sig_hrtime(cv: *mut kcondvar_t, mutex: Word<kmutex_t>, until: hrtime_t) -> c_int {
        let left_over = u64::try_from(until.saturating_sub(clock::hrtime())).unwrap_or(0);
        // No clock counts further than a century.
        let until = Instant::now() + Duration::from_nanos(left_over.min(3_000_000_000_000_000_000));
        left(wait(NAME, cv, mutex, Some(until), true)) as c_int
    }
    /// cv_waituntil_sig: until a time of day, for ever when it is NULL.
    fn cv_waituntil_sig(cv: *mut kcondvar_t, mutex: Word<kmutex_t>, until: In<ddi_sys::timestruc_t, *mut ddi_sys::timestruc_t>, _check: c_int) -> c_int {
        let until = until.get().map(|until| {
            let end = Duration::new(until.tv_sec.clamp(0, 1 << 33) as u64, until.tv_nsec.clamp(0, 999_999_999) as u32);
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Instant::now() + end.saturating_sub(now)
        });
        left(wait(NAME, cv, mutex, until, true)) as c_int
    }
    /// cv_wait_sig_swap_core: says apart whether a signal came.
    fn cv_wait_sig_swap_core(cv: *mut kcondvar_t, mutex: Word<kmutex_t>, signalled: Out<c_int>) -> c_int {
        let wake = wait(NAME, cv, mutex, None, true);
        let interrupted = wake == Wake::Interrupted;
        signalled.set(interrupted.into());
        (!interrupted).into()
    }
    /// rw_owner: the thread that holds it as writer, when it is the calling one.
    fn rw_owner(rwlock: Word<krwlock_t>) -> *mut kthread_t {
        let mine = lock::rw_holders(rwlock.word()).1 == thread::id();
        if mine { thread::kthread() as *mut kthread_t } else { std::ptr::null_mut() }
    }
    /// mutex_sync: what other processors did before has happened.
    fn mutex_sync() {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }
}

/// -1 timed out, 0 signal, otherwise woken.
fn left(wake: Wake) -> clock_t {
    match wake {
        Wake::TimedOut => -1,
        Wake::Interrupted => 0,
        Wake::Woken => 1,
    }
}

fn in_ticks(ticks: clock_t) -> Instant {
    Instant::now() + clock::ticks(ticks)
}

fn at_tick(tick: clock_t) -> Instant {
    in_ticks(tick.saturating_sub(clock::lbolt()))
}

/// Waits as condvar(9F) says; the calling thread holds the mutex.
fn wait(
    function: &str,
    cv: *mut kcondvar_t,
    mutex: Word<kmutex_t>,
    until: Option<Instant>,
    interruptible: bool,
) -> Wake {
    // The mutex given up by the wait may be the only one that spins: no complaint about that one.
    let spin = held::is_spin(mutex.address());
    held::remove(mutex.address());
    may_block(function, "a condition variable", "condvar(9F)");
    let word = mutex.word();
    let span = ddi_trace::span();
    let woken = if interruptible {
        client::interruptibly(|| lock::cv_wait(cv as usize, word, until, true))
    } else {
        lock::cv_wait(cv as usize, word, until, false)
    };
    let interrupted = woken == Ok(Wake::Interrupted);
    if !span.is_on() || !probes::waited() {
        span.end(0, || Event::Wait { what: For::Driver, interrupted });
    }
    match woken {
        Ok(wake) => {
            held::add(mutex.address(), spin);
            wake
        }
        Err(misuse) => {
            complain(function, "the mutex", mutex, misuse, "condvar(9F)");
            Wake::Woken
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::report::{Policy, Reported};

    fn mistake(f: impl FnOnce() + std::panic::UnwindSafe) -> String {
        report::set_policy(Policy::Unwind);
        let caught = std::panic::catch_unwind(f).expect_err("the host is to report this");
        caught.downcast_ref::<Reported>().expect("a report").0.clone()
    }

    #[test]
    fn misuse_of_mutexes_is_reported() {
        let mut mutex = kmutex_t { _opaque: [std::ptr::null_mut()] };
        let mutex = &raw mut mutex as usize;
        let at = move || mutex as *mut kmutex_t;
        driver!(ddi_sys::mutex_init(at(), std::ptr::null_mut(), ddi_sys::MUTEX_DRIVER, std::ptr::null_mut()));
        assert!(mistake(move || driver!(ddi_sys::mutex_exit(at()))).contains("does not hold it"));
        driver!(ddi_sys::mutex_enter(at()));
        assert_eq!(driver!(ddi_sys::mutex_owned(at())), 1);
        assert!(mistake(move || driver!(ddi_sys::mutex_enter(at()))).contains("holds it already"));
        driver!(ddi_sys::mutex_exit(at()));
        driver!(ddi_sys::mutex_destroy(at()));
        assert!(mistake(move || driver!(ddi_sys::mutex_enter(at()))).contains("destroyed"));
    }

    #[test]
    fn blocking_with_a_spin_mutex_is_reported() {
        let mut words = [kmutex_t { _opaque: [std::ptr::null_mut()] }; 1];
        let mutex = words.as_mut_ptr() as usize;
        let at = move || mutex as *mut kmutex_t;
        driver!(ddi_sys::mutex_init(at(), std::ptr::null_mut(), ddi_sys::MUTEX_DRIVER, 12 as *mut c_void));
        driver!(ddi_sys::mutex_enter(at()));
        let what = mistake(|| _ = driver!(ddi_sys::kmem_alloc(8, ddi_sys::KM_SLEEP)));
        assert!(what.contains("KM_SLEEP may block") && what.contains("spin mutex"), "{what}");
        driver!(ddi_sys::mutex_exit(at()));
    }

    #[test]
    fn a_timed_wait_tells_its_three_ends_apart() {
        let (mut mutex, mut cv) = (kmutex_t { _opaque: [std::ptr::null_mut()] }, kcondvar_t { _opaque: 0 });
        driver!(ddi_sys::mutex_enter(&mut mutex));
        let timed_out = driver!(ddi_sys::cv_reltimedwait_sig(&mut cv, &mut mutex, 1, ddi_sys::TR_CLOCK_TICK));
        assert_eq!(timed_out, -1);
        let signals = std::sync::Arc::new(thread::Signals::default());
        signals.raise();
        thread::set_signals(Some(signals));
        assert_eq!(driver!(ddi_sys::cv_wait_sig(&mut cv, &mut mutex)), 0);
        assert_eq!(driver!(ddi_sys::cv_timedwait_sig(&mut cv, &mut mutex, i64::MAX)), 0);
        thread::set_signals(None);
        driver!(ddi_sys::mutex_exit(&mut mutex));
    }
}
