//! Calls of driver code that do not come back.
//!
//! On illumos a callback in an endless loop takes a processor for good. Here a thread looks once a second at those that run driver code
//! ([`entry::Slot`]); one that spends [`limit`] seconds of processor time in one call is asked by a signal to say where it is, which ends
//! the run. At the end of a run calls that are still inside a driver are named in the same way, because the driver cannot be unloaded then.
//!
//! Locking: the list of slots is a leaf.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use super::entry::{self, Slot};

/// The environment variable that sets the limit, in seconds of processor time; 0 turns it off.
pub const LIMIT: &str = "DDI_HOST_SPIN_LIMIT";

/// What a thread is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// It has been running for too long: say where, and end the run. Answered only from within a module.
    Spinning,
    /// The run ends and it is still inside a driver: say where.
    Stuck,
}

impl Ask {
    /// The question that came with a signal.
    pub fn of(value: usize) -> Option<Ask> {
        match value {
            1 => Some(Ask::Spinning),
            2 => Some(Ask::Stuck),
            _ => None,
        }
    }
}

/// The signal that asks.
pub fn signal() -> libc::c_int {
    libc::SIGRTMIN() + 6
}

/// Seconds of processor time that one call of driver code may take.
pub fn limit() -> Duration {
    let asked = std::env::var(LIMIT).ok().and_then(|text| text.parse().ok());
    Duration::from_secs(asked.unwrap_or(30))
}

/// Starts the thread that watches. Once is enough.
pub fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let limit = limit();
        if limit.is_zero() {
            return;
        }
        // Without a thread nobody watches; everything else works.
        let _ = std::thread::Builder::new().name("watch".into()).spawn(move || watch(limit));
    });
}

fn watch(limit: Duration) {
    // Thread: the call that it was in at the last look, and its processor time when that was seen first.
    let mut seen: HashMap<i32, (u64, Duration)> = HashMap::new();
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let mut now = HashMap::new();
        for slot in entry::slots() {
            let call = slot.calls.load(Ordering::Relaxed);
            let inside = call & 1 == 1 && !slot.driver_s_own.load(Ordering::Relaxed);
            let Some(used) = inside.then(|| processor_time(slot.tid)).flatten() else { continue };
            let since = match seen.get(&slot.tid) {
                Some(&(before, since)) if before == call => since,
                _ => used,
            };
            if used.saturating_sub(since) >= limit {
                ask(&slot, Ask::Spinning);
            }
            now.insert(slot.tid, (call, since));
        }
        seen = now;
    }
}

/// The processor time that a thread of this process has used; None when it is gone.
fn processor_time(tid: i32) -> Option<Duration> {
    // As pthread_getcpuclockid(3) makes it, but for a thread that may have ended.
    let clock = (!tid << 3) | 6;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for the answer.
    if unsafe { libc::clock_gettime(clock, &mut time) } != 0 {
        return None;
    }
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

fn ask(slot: &Slot, ask: Ask) {
    // SAFETY: all-zero is a siginfo.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    info.si_signo = signal();
    info.si_code = libc::SI_QUEUE;
    let value = if ask == Ask::Spinning { 1_usize } else { 2 };
    // si_pid and si_uid come first, then the value.
    let at = (&raw mut info).wrapping_byte_add(24).cast::<usize>();
    // SAFETY: inside the 128 bytes of the structure, where si_value is for SI_QUEUE.
    unsafe { at.write(value) };
    // SAFETY: no arguments, no effects.
    let pid = unsafe { libc::getpid() };
    // SAFETY: a complete siginfo; the thread is one of this process or gone, and the handler is installed.
    unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, pid, slot.tid, signal(), &info) };
}

/// Asks every thread that is still inside driver code for a process where it is, and waits for the answers, for two seconds at most. How
/// many there are.
pub fn name_stuck() -> usize {
    let others = || {
        let inside = |slot: &Arc<Slot>| {
            slot.calls.load(Ordering::Relaxed) & 1 == 1 && slot.for_process.load(Ordering::Relaxed)
        };
        entry::slots().into_iter().filter(inside)
    };
    let stuck: Vec<_> = others().collect();
    for slot in &stuck {
        ask(slot, Ask::Stuck);
    }
    let patience = Instant::now() + Duration::from_secs(2);
    while stuck.iter().any(|slot| !slot.told.load(Ordering::Relaxed)) && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(5));
    }
    others().count()
}
