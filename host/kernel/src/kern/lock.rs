//! Mutexes, readers/writer locks, semaphores and condition variables on a driver's own words.
//!
//! The state of a mutex, a readers/writer lock and a semaphore fits the driver's 8, 8 and 16 bytes; a condition
//! variable has only 2, so its waiters are kept by address in the process-wide parking table of `parking_lot_core`, as
//! are all blocked threads. Nothing here touches the driver's memory once a release is visible: another thread may
//! destroy and free the lock at once.
//!
//! Words. Mutex: low half owner's thread number and `PARKED`, high half the kind (see [`MutexKind`]). Readers/writer
//! lock: low half readers, `PARKED`, `WRITER_WAITS`; high half the writer's thread number. Semaphore: low half the
//! count, high half `PARKED`.
//!
//! Zeroed memory is a usable adaptive mutex, an open readers/writer lock and a semaphore of 0, as in the kernel.

use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::time::Instant;

use parking_lot_core::{
    DEFAULT_PARK_TOKEN, DEFAULT_UNPARK_TOKEN, ParkResult, ParkToken, park, unpark_all, unpark_one,
};

use super::blocked::{self, Blocked, For};
use super::parking::INTERRUPTED;
use super::thread;

/// Low-half bit: a thread is parked on the lock's address.
const PARKED: u64 = 1 << 31;
/// Readers/writer lock: a writer waits, so new readers do.
const WRITER_WAITS: u64 = 1 << 30;
/// Readers/writer lock: the readers' count.
const READERS: u64 = WRITER_WAITS - 1;
/// Mutex: the owner's thread number.
const OWNER: u64 = PARKED - 1;
/// Kind of a mutex; the high half of its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum MutexKind {
    /// Zeroed memory that was not initialised: works as an adaptive mutex.
    Zeroed = 0,
    /// Blocks its waiters.
    Adaptive = 0x4d55_5458,
    /// Initialised with a high-level interrupt cookie: its holder must not block.
    Spin = 0x5350_494e,
    /// After mutex_destroy.
    Destroyed = 0xdead_10cc,
}

fn kind_of(word: u64) -> Option<MutexKind> {
    [MutexKind::Zeroed, MutexKind::Adaptive, MutexKind::Spin, MutexKind::Destroyed]
        .into_iter()
        .find(|&kind| kind as u32 == (word >> 32) as u32)
}

/// Misuse of a lock; the caller reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misuse {
    /// The calling thread has it already.
    #[error("the calling thread holds it already")]
    Recursive,
    /// The calling thread does not have it.
    #[error("the calling thread does not hold it")]
    NotOwner,
    /// Used after its destruction.
    #[error("it has been destroyed")]
    Destroyed,
    /// Destroyed while it is held.
    #[error("it is held")]
    Held,
    /// The word holds no state that this kernel writes.
    #[error("it was never initialised, or its memory was overwritten")]
    Garbage,
}

fn key(word: &AtomicU64) -> usize {
    std::ptr::from_ref(word) as usize
}

// Invariants of parking, for all the unsafe code here and in `super::parking`: a key is an address in a driver's memory, and only these two modules park on such
// keys, all with tokens of this module; closures that are called while a queue is locked do not panic and do not park.

/// Parks on `key` while `still` holds.
fn park_on(key: usize, still: impl FnOnce() -> bool) {
    // SAFETY: the invariants of parking.
    unsafe { park(key, still, || {}, |_, _| {}, DEFAULT_PARK_TOKEN, None) };
}

fn wake_all(key: usize) {
    // SAFETY: the invariants of parking.
    unsafe { unpark_all(key, DEFAULT_UNPARK_TOKEN) };
}

/// mutex_init.
pub fn mutex_init(word: &AtomicU64, kind: MutexKind) {
    word.store((kind as u64) << 32, Release);
}

/// mutex_destroy.
pub fn mutex_destroy(word: &AtomicU64) -> Result<(), Misuse> {
    let now = word.load(Acquire);
    match kind_of(now) {
        Some(MutexKind::Destroyed) => return Err(Misuse::Destroyed),
        None => return Err(Misuse::Garbage),
        _ => {}
    }
    // Only the thread that holds a mutex may destroy it while it is held.
    if now & OWNER != 0 && now & OWNER != u64::from(thread::id()) {
        return Err(Misuse::Held);
    }
    word.store((MutexKind::Destroyed as u64) << 32, Release);
    Ok(())
}

/// The kind of the mutex, or what is wrong with it.
pub fn mutex_kind(word: &AtomicU64) -> Result<MutexKind, Misuse> {
    match kind_of(word.load(Relaxed)) {
        Some(MutexKind::Destroyed) => Err(Misuse::Destroyed),
        Some(kind) => Ok(kind),
        None => Err(Misuse::Garbage),
    }
}

/// mutex_enter.
pub fn mutex_enter(word: &AtomicU64) -> Result<(), Misuse> {
    let kind = mutex_kind(word)?;
    let me = u64::from(thread::id());
    if word.compare_exchange((kind as u64) << 32, (kind as u64) << 32 | me, Acquire, Relaxed).is_ok() {
        return Ok(());
    }
    let mut spins = 0;
    let mut blocked = None;
    loop {
        let now = word.load(Relaxed);
        if now & OWNER == me {
            return Err(Misuse::Recursive);
        }
        if now & OWNER == 0 {
            if word.compare_exchange_weak(now, now | me, Acquire, Relaxed).is_ok() {
                return Ok(());
            }
            continue;
        }
        if spins < 40 {
            spins += 1;
            std::hint::spin_loop();
            continue;
        }
        blocked.get_or_insert_with(|| Blocked::on_mutex(word));
        if now & PARKED == 0 && word.compare_exchange_weak(now, now | PARKED, Relaxed, Relaxed).is_err() {
            continue;
        }
        park_on(key(word), || {
            let now = word.load(Relaxed);
            now & OWNER != 0 && now & PARKED != 0
        });
    }
}

/// mutex_tryenter.
pub fn mutex_tryenter(word: &AtomicU64) -> Result<bool, Misuse> {
    mutex_kind(word)?;
    let me = u64::from(thread::id());
    loop {
        let now = word.load(Relaxed);
        if now & OWNER != 0 {
            return Ok(false);
        }
        if word.compare_exchange_weak(now, now | me, Acquire, Relaxed).is_ok() {
            return Ok(true);
        }
    }
}

/// mutex_exit.
pub fn mutex_exit(word: &AtomicU64) -> Result<(), Misuse> {
    let me = u64::from(thread::id());
    loop {
        let now = word.load(Relaxed);
        if now & OWNER != me {
            mutex_kind(word)?;
            return Err(Misuse::NotOwner);
        }
        if now & PARKED == 0 {
            if word.compare_exchange_weak(now, now & !OWNER, Release, Relaxed).is_ok() {
                return Ok(());
            }
            continue;
        }
        // SAFETY: the invariants of parking. The callback stores the word while the queue of this address is locked, before any
        // other thread can find the mutex free.
        unsafe {
            unpark_one(key(word), |result| {
                let parked = if result.have_more_threads { PARKED } else { 0 };
                word.store(now & !(OWNER | PARKED) | parked, Release);
                DEFAULT_UNPARK_TOKEN
            })
        };
        return Ok(());
    }
}

/// Returns whether the calling thread owns the mutex.
pub fn mutex_owned(word: &AtomicU64) -> bool {
    word.load(Relaxed) & OWNER == u64::from(thread::id())
}

/// The thread number of the owner, 0 for none.
pub fn mutex_owner(word: &AtomicU64) -> u32 {
    (word.load(Relaxed) & OWNER) as u32
}

/// rw_init.
pub fn rw_init(word: &AtomicU64) {
    word.store(0, Release);
}

/// rw_enter. The caller has checked that it is not the writer already.
pub fn rw_enter(word: &AtomicU64, writer: bool) -> Result<(), Misuse> {
    let me = u64::from(thread::id()) << 32;
    let mut blocked: Option<Blocked> = None;
    loop {
        let now = word.load(Relaxed);
        if now >> 32 == me >> 32 {
            return Err(Misuse::Recursive);
        }
        if rw_can(now, writer) {
            let next = if writer { now | me } else { now + 1 };
            let take = || word.compare_exchange_weak(now, next, Acquire, Relaxed).is_ok();
            if blocked.as_ref().map_or_else(take, |blocked| blocked.leave_if(take)) {
                if !writer {
                    blocked::reads(key(word));
                }
                return Ok(());
            }
            continue;
        }
        let waits = PARKED | if writer { WRITER_WAITS } else { 0 };
        if now & waits != waits && word.compare_exchange_weak(now, now | waits, Relaxed, Relaxed).is_err() {
            continue;
        }
        // With the bit set, so that others see that a writer waits.
        blocked.get_or_insert_with(|| Blocked::on(For::Lock(key(word), writer), false));
        park_on(key(word), || {
            let now = word.load(Relaxed);
            now & waits == waits && !rw_can(now, writer)
        });
    }
}

/// Can a thread have it, as the writer or a reader?
pub fn rw_free(word: &AtomicU64, writer: bool) -> bool {
    rw_can(word.load(Relaxed), writer)
}

fn rw_can(word: u64, writer: bool) -> bool {
    word >> 32 == 0 && if writer { word & READERS == 0 } else { word & WRITER_WAITS == 0 }
}

/// rw_tryenter.
pub fn rw_tryenter(word: &AtomicU64, writer: bool) -> bool {
    let me = u64::from(thread::id()) << 32;
    loop {
        let now = word.load(Relaxed);
        if !rw_can(now, writer) {
            return false;
        }
        let next = if writer { now | me } else { now + 1 };
        if word.compare_exchange_weak(now, next, Acquire, Relaxed).is_ok() {
            if !writer {
                blocked::reads(key(word));
            }
            return true;
        }
    }
}

/// rw_exit: the writer's hold if the caller is the writer, else one reader's.
pub fn rw_exit(word: &AtomicU64) -> Result<(), Misuse> {
    // As long as the caller holds it, it does not change how.
    if word.load(Relaxed) >> 32 == 0 {
        blocked::reads_no_more(key(word));
    }
    loop {
        let now = word.load(Relaxed);
        let next = if now >> 32 != 0 {
            if now >> 32 != u64::from(thread::id()) {
                return Err(Misuse::NotOwner);
            }
            0
        } else {
            match now & READERS {
                0 => return Err(Misuse::NotOwner),
                1 => 0,
                _ => now - 1,
            }
        };
        if word.compare_exchange_weak(now, next, Release, Relaxed).is_ok() {
            if next == 0 && now & PARKED != 0 {
                wake_all(key(word));
            }
            return Ok(());
        }
    }
}

/// rw_downgrade: writer to reader.
pub fn rw_downgrade(word: &AtomicU64) -> Result<(), Misuse> {
    loop {
        let now = word.load(Relaxed);
        if now >> 32 != u64::from(thread::id()) {
            return Err(Misuse::NotOwner);
        }
        if word.compare_exchange_weak(now, 1, Release, Relaxed).is_ok() {
            blocked::reads(key(word));
            if now & PARKED != 0 {
                wake_all(key(word));
            }
            return Ok(());
        }
    }
}

/// rw_tryupgrade: the only reader becomes the writer.
pub fn rw_tryupgrade(word: &AtomicU64) -> bool {
    let me = u64::from(thread::id()) << 32;
    loop {
        let now = word.load(Relaxed);
        if now & READERS != 1 || now >> 32 != 0 || now & WRITER_WAITS != 0 {
            return false;
        }
        if word.compare_exchange_weak(now, (now - 1) | me, Acquire, Relaxed).is_ok() {
            blocked::reads_no_more(key(word));
            return true;
        }
    }
}

/// Returns the number of readers that hold it, and the writer's thread number.
pub fn rw_holders(word: &AtomicU64) -> (u32, u32) {
    let now = word.load(Relaxed);
    ((now & READERS) as u32, (now >> 32) as u32)
}

/// sema_init.
pub fn sema_init(word: &AtomicU64, count: u32) {
    word.store(count.into(), Release);
}

/// sema_tryp.
pub fn sema_tryp(word: &AtomicU64) -> bool {
    loop {
        let now = word.load(Relaxed);
        if now as u32 == 0 {
            return false;
        }
        if word.compare_exchange_weak(now, now - 1, Acquire, Relaxed).is_ok() {
            return true;
        }
    }
}

/// sema_p, or sema_p_sig when `interruptible`. False: a signal came first.
pub fn sema_p(word: &AtomicU64, interruptible: bool) -> bool {
    loop {
        if sema_tryp(word) {
            return true;
        }
        let now = word.load(Relaxed);
        if now as u32 != 0 || word.compare_exchange_weak(now, now | 1 << 32, Relaxed, Relaxed).is_err() {
            continue;
        }
        let still = || word.load(Relaxed) as u32 == 0;
        let woken = sleep(For::Semaphore(key(word)), key(word), still, || {}, None, interruptible);
        if woken == Wake::Interrupted {
            return false;
        }
    }
}

/// sema_v.
pub fn sema_v(word: &AtomicU64) {
    loop {
        let now = word.load(Relaxed);
        if word.compare_exchange_weak(now, now + 1, Release, Relaxed).is_ok() {
            if now >> 32 != 0 {
                // SAFETY: the invariants of parking.
                unsafe { unpark_one(key(word), |_| DEFAULT_UNPARK_TOKEN) };
            }
            return;
        }
    }
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// cv_signal, cv_broadcast, or for no reason (which drivers must expect).
    Woken,
    /// The deadline came.
    TimedOut,
    /// The calling process has a signal.
    Interrupted,
}

/// cv_wait and its variants: gives the mutex up, waits for a wake-up of the address `cv`, takes the mutex again.
pub fn cv_wait(
    cv: usize,
    mutex: &AtomicU64,
    deadline: Option<Instant>,
    interruptible: bool,
) -> Result<Wake, Misuse> {
    if !mutex_owned(mutex) {
        return Err(Misuse::NotOwner);
    }
    let woken = sleep(For::Condition(cv), cv, || true, || _ = mutex_exit(mutex), deadline, interruptible);
    if mutex_owner(mutex) != thread::id() {
        mutex_enter(mutex)?;
    }
    Ok(woken)
}

/// Waits until a time. False: a signal came first.
pub fn pause(until: Instant, interruptible: bool) -> bool {
    let place = AtomicU64::new(0);
    while Instant::now() < until {
        let woken = sleep(For::Time, key(&place), || true, || {}, Some(until), interruptible);
        if woken == Wake::Interrupted {
            return false;
        }
    }
    true
}

/// Parks on `key` if `still` holds, calls `before` once queued, until woken, the deadline or a signal.
fn sleep(
    what: For,
    key: usize,
    still: impl FnOnce() -> bool,
    before: impl FnOnce(),
    deadline: Option<Instant>,
    interruptible: bool,
) -> Wake {
    let token = ParkToken(thread::id() as usize);
    let signals = if interruptible { thread::signals() } else { None };
    if let Some(signals) = &signals {
        signals.sleeping_on(key);
        if signals.pending() {
            signals.awake();
            return Wake::Interrupted;
        }
    }
    let blocked = Blocked::on(what, interruptible);
    let mut not_still = false;
    let validate = || {
        if signals.as_ref().is_some_and(|s| s.pending()) {
            return false;
        }
        not_still = !still();
        !not_still
    };
    let before = || {
        before();
        if let Some(signals) = &signals {
            signals.asleep();
        }
    };
    // SAFETY: the invariants of parking; mutex_exit unparks another address, which `park` allows in `before_sleep`.
    let result = unsafe { park(key, validate, before, |_, _| {}, token, deadline) };
    drop(blocked);
    if let Some(signals) = &signals {
        signals.awake();
    }
    match result {
        ParkResult::Unparked(INTERRUPTED) => Wake::Interrupted,
        ParkResult::Unparked(_) => Wake::Woken,
        ParkResult::TimedOut if signals.is_some_and(|s| s.pending()) => Wake::Interrupted,
        ParkResult::TimedOut => Wake::TimedOut,
        ParkResult::Invalid if not_still => Wake::Woken,
        ParkResult::Invalid => Wake::Interrupted,
    }
}

/// cv_signal.
pub fn cv_signal(cv: usize) {
    // SAFETY: the invariants of parking.
    unsafe { unpark_one(cv, |_| DEFAULT_UNPARK_TOKEN) };
}

/// cv_broadcast.
pub fn cv_broadcast(cv: usize) {
    wake_all(cv);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn a_mutex_excludes_and_knows_its_owner() {
        let shared = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let shared = shared.clone();
                std::thread::spawn(move || {
                    for _ in 0..10_000 {
                        mutex_enter(&shared.0).unwrap();
                        let value = shared.1.load(Relaxed);
                        shared.1.store(value + 1, Relaxed);
                        mutex_exit(&shared.0).unwrap();
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(shared.1.load(Relaxed), 40_000);
        mutex_enter(&shared.0).unwrap();
        assert!(mutex_owned(&shared.0));
        assert_eq!(mutex_enter(&shared.0), Err(Misuse::Recursive));
        let other = shared.clone();
        std::thread::spawn(move || {
            assert_eq!(mutex_exit(&other.0), Err(Misuse::NotOwner));
            assert_eq!(mutex_tryenter(&other.0), Ok(false));
            assert_eq!(mutex_destroy(&other.0), Err(Misuse::Held));
        })
        .join()
        .unwrap();
        mutex_exit(&shared.0).unwrap();
        assert_eq!(mutex_exit(&shared.0), Err(Misuse::NotOwner));
        mutex_destroy(&shared.0).unwrap();
        assert_eq!(mutex_enter(&shared.0), Err(Misuse::Destroyed));
    }

    #[test]
    fn readers_share_and_a_waiting_writer_goes_first() {
        let lock = Arc::new(AtomicU64::new(0));
        rw_enter(&lock, false).unwrap();
        assert!(rw_tryenter(&lock, false));
        assert!(!rw_tryenter(&lock, true));
        rw_exit(&lock).unwrap();
        assert!(rw_tryupgrade(&lock));
        rw_downgrade(&lock).unwrap();
        let writer = {
            let lock = lock.clone();
            std::thread::spawn(move || {
                rw_enter(&lock, true).unwrap();
                assert_eq!(rw_holders(&lock).0, 0);
                rw_exit(&lock).unwrap();
            })
        };
        while lock.load(Relaxed) & WRITER_WAITS == 0 {
            std::thread::yield_now();
        }
        assert!(!rw_tryenter(&lock, false), "a waiting writer keeps new readers out");
        rw_exit(&lock).unwrap();
        writer.join().unwrap();
        assert_eq!(rw_exit(&lock), Err(Misuse::NotOwner));
    }

    #[test]
    fn a_semaphore_counts() {
        let sema = Arc::new(AtomicU64::new(0));
        sema_init(&sema, 1);
        assert!(sema_p(&sema, false));
        assert!(!sema_tryp(&sema));
        let waiter = {
            let sema = sema.clone();
            std::thread::spawn(move || assert!(sema_p(&sema, true)))
        };
        sema_v(&sema);
        waiter.join().unwrap();
    }

    #[test]
    fn a_wait_ends_by_signal_broadcast_and_time() {
        let shared = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
        let cv = std::ptr::from_ref(&shared.1) as usize;
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let shared = shared.clone();
                std::thread::spawn(move || {
                    mutex_enter(&shared.0).unwrap();
                    while shared.1.load(Relaxed) == 0 {
                        assert_eq!(cv_wait(cv, &shared.0, None, false), Ok(Wake::Woken));
                    }
                    mutex_exit(&shared.0).unwrap();
                })
            })
            .collect();
        mutex_enter(&shared.0).unwrap();
        shared.1.store(1, Relaxed);
        cv_broadcast(cv);
        mutex_exit(&shared.0).unwrap();
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(cv_wait(cv, &shared.0, None, false), Err(Misuse::NotOwner));
        mutex_enter(&shared.0).unwrap();
        let soon = Instant::now() + Duration::from_millis(1);
        assert_eq!(cv_wait(cv, &shared.0, Some(soon), true), Ok(Wake::TimedOut));
        assert!(mutex_owned(&shared.0));
        mutex_exit(&shared.0).unwrap();
    }
}
