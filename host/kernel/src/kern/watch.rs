//! Detection of driver calls that do not return.
//!
//! On illumos a callback in an endless loop occupies a processor for ever, and an attach(9E) that never returns stops the boot. Here a thread checks the threads in
//! driver code ([`Slot`]) once a second, more often if the limits are shorter. It ends the run when one has used [`limit`] of processor time in one call, or has slept for
//! [`patience`] in a call that other work waits for (`_init`, attach(9E) and the like). At the end of a run, calls that are still inside a driver are reported, because the
//! driver cannot be unloaded then.
//!
//! A thread's place in the driver is requested by a signal. Its handler only stores addresses ([`slot::Answer`]), and waits until the asking thread has read them and described the
//! call: finding names takes locks and allocates, which the interrupted thread may be doing.
//!
//! Locking: the list of slots is a leaf; one question at a time.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::slot::{self, Current, Place, Slot};
use super::trace::Trace;
use crate::board::report;

/// The environment variable that sets the limit of processor time, in seconds (0.5 is half a second); 0 turns it off.
pub const LIMIT: &str = "DDI_HOST_SPIN_LIMIT";
/// The environment variable that sets how long `_init` and its like may sleep, in seconds; 0: for ever.
pub const PATIENCE: &str = "DDI_HOST_WAIT_LIMIT";

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// The same for the shortest limits.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(50);

/// The signal that asks.
pub fn signal() -> libc::c_int {
    libc::SIGRTMIN() + 6
}

fn seconds(variable: &str, default: u64) -> Duration {
    let asked = std::env::var(variable).ok().and_then(|text| text.parse().ok());
    let asked = asked.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    asked.unwrap_or(Duration::from_secs(default))
}

/// Processor time that one call of driver code may take.
pub fn limit() -> Duration {
    seconds(LIMIT, 8)
}

/// Time that a call which others wait for may sleep.
pub fn patience() -> Duration {
    seconds(PATIENCE, 10)
}

/// Stores the calling thread's place and waits until it may continue. The thread was asked for it, and is in a signal handler with these registers. Takes no lock and
/// allocates nothing: the thread may be in the middle of either.
pub fn answer(ip: usize, sp: usize, fp: usize) {
    slot::slot().answer.give(|| {
        let own = (ddi_krtld::region(ip) == Some(ddi_krtld::Region::Text)).then_some(ip);
        Some(Place { own, frames: Trace::stopped(ip, sp, fp).addresses(), call: Current::here()? })
    });
}

/// Place of a thread when it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The DDI function that it is in; None if it is in the driver's own code.
    pub called: Option<String>,
    /// The driver's functions, innermost first.
    pub frames: Vec<String>,
    /// The entry point, and for whom it was called.
    pub call: String,
    /// The process for which it was called; 0: none.
    pub pid: i32,
}

impl Seen {
    /// The place in a few words: the DDI function, or the driver's.
    pub fn place(&self) -> String {
        self.called.clone().or_else(|| self.frames.first().cloned()).unwrap_or_else(|| "a driver".into())
    }

    fn report(&self, what: &str) {
        let stack = report::Stack { frames: self.frames.clone(), call: Some(self.call.clone()) };
        report::leftover_at(&stack, &self.place(), what, "Intro(9E)", &[]);
    }
}

static ASKING: Mutex<()> = Mutex::new(());

/// Returns a thread's place in a driver; the thread then continues. Returns `None` if it does not answer in time: it has left the driver.
pub fn ask(slot: &Slot) -> Option<Seen> {
    let _one = ASKING.lock();
    slot.answer.ask();
    let pid = std::process::id();
    // SAFETY: the thread is one of this process or gone, and the handler is installed.
    unsafe { libc::syscall(libc::SYS_tgkill, pid, slot.tid, signal()) };
    let soon = Instant::now() + Duration::from_secs(2);
    while !slot.answer.given() {
        if Instant::now() > soon && slot.answer.give_up() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    // SAFETY: the thread is held in its handler.
    let (place, call) = slot.answer.take(|place| (place, unsafe { place.call.describe() }))?;
    // After the thread has been released: it may hold the lock that this takes, if it is making a report itself.
    let named = Trace::of(place.frames).named();
    let called = if place.own.is_some() { None } else { named.called };
    Some(Seen { called, frames: named.frames, call, pid: place.call.pid().unwrap_or(0) })
}

/// Starts the thread that watches. Once is enough.
pub fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        // Without the thread calls are not checked; everything else works.
        let _ = std::thread::Builder::new().name("watch".into()).spawn(watch);
    });
}

/// State of a thread's call at the last look.
#[derive(Clone, Copy)]
struct Look {
    call: u64,
    /// Processor time of the thread when the call was seen first.
    since: Duration,
    /// When the call was seen first.
    first: Instant,
    /// Looks at which the thread slept, one after another.
    asleep: u32,
    /// Looks over the limit at which it was in the host.
    in_host: u32,
}

fn watch() {
    /// Looks that a thread in the host gets, to be seen in the driver instead.
    const IN_HOST: u32 = 3;
    let (limit, patience) = (limit(), patience());
    let shortest = [limit, patience].into_iter().filter(|limit| !limit.is_zero()).min();
    let interval = shortest.map_or(INTERVAL, |limit| (limit / 4).clamp(SHORTEST_INTERVAL, INTERVAL));
    let looks_asleep = patience.div_duration_f64(interval).ceil();
    let mut seen: HashMap<i32, Look> = HashMap::new();
    let mut second = Instant::now();
    loop {
        std::thread::sleep(interval);
        if second.elapsed() >= INTERVAL {
            second = Instant::now();
            report::end_at_last();
        }
        if report::is_ending() {
            // This thread is the one that sees to it that the process ends.
            continue;
        }
        let mut now = HashMap::new();
        for slot in slot::slots() {
            let call = slot.calls.load(Ordering::Relaxed);
            let inside = call & 1 == 1 && !slot.driver_s_own.load(Ordering::Relaxed);
            let Some(used) = inside.then(|| processor_time(slot.tid)).flatten() else { continue };
            let new = Look { call, since: used, first: Instant::now(), asleep: 0, in_host: 0 };
            let mut look = seen.get(&slot.tid).copied().filter(|look| look.call == call).unwrap_or(new);
            let waited_for = !patience.is_zero() && slot.prompt.load(Ordering::Relaxed);
            look.asleep = if waited_for && thread(slot.tid).sleeps() { look.asleep + 1 } else { 0 };
            // A question puts it to sleep, so this comes after the look.
            if !limit.is_zero() && used.saturating_sub(look.since) >= limit {
                spinning(&slot, limit, look.in_host >= IN_HOST);
                look.in_host += 1;
            }
            if look.asleep > 0 && f64::from(look.asleep) >= looks_asleep && look.first.elapsed() >= patience {
                sleeping(&slot, patience);
            }
            now.insert(slot.tid, look);
        }
        seen = now;
    }
}

/// A thread has used up its processor time: the run ends, unless the thread is in the host at the moment and `wherever` is false.
fn spinning(slot: &Slot, limit: Duration, wherever: bool) {
    let Some(seen) = ask(slot).filter(|seen| wherever || seen.called.is_none()) else { return };
    let seconds = limit.as_secs_f64();
    seen.report(&format!(
        "the call has taken {seconds} seconds of processor time and does not come back ({LIMIT} sets the limit)"
    ));
    report::stop();
}

/// A thread sleeps in a call that others wait for: the run ends.
fn sleeping(slot: &Slot, patience: Duration) {
    let Some(seen) = ask(slot) else { return };
    let seconds = patience.as_secs_f64();
    seen.report(&format!(
        "the call has slept for {seconds} seconds and nothing wakes it ({PATIENCE} sets the limit)"
    ));
    report::stop();
}

/// A thread of this process, in /proc.
fn thread(tid: i32) -> ddi_process::proc::Thread {
    ddi_process::proc::Thread { pid: std::process::id().cast_signed(), tid }
}

/// Returns the processor time that a thread of this process has used; `None` if it has ended.
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

/// Reports the place of every thread that is still inside driver code for a process. Returns their number.
pub fn name_stuck() -> usize {
    let stuck = || {
        let inside = |slot: &Arc<Slot>| {
            slot.calls.load(Ordering::Relaxed) & 1 == 1 && slot.for_process.load(Ordering::Relaxed)
        };
        slot::slots().into_iter().filter(inside)
    };
    for seen in stuck().collect::<Vec<_>>().iter().filter_map(|slot| ask(slot)) {
        seen.report("the call has not returned at the end of the run, so the driver cannot be unloaded");
    }
    stuck().count()
}
