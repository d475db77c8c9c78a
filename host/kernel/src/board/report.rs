//! Reports of a driver's mistakes, and the end of a run.
//!
//! A mistake that the real kernel would answer with a panic, with corruption or with a leak is reported at the call that
//! makes it: what, in which function, the driver's call stack, and the manual page that says so. Then the run stops, unless
//! [`set_policy`] says otherwise. Any context; no lock is held while the stack is walked.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use parking_lot::Mutex;

use crate::board::log;

/// Action after a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Policy {
    /// The run ends with status 1, as a panic ends a kernel.
    Stop = 0,
    /// The driver's call unwinds with a Rust panic (tests that drive the DDI functions from Rust).
    Unwind = 1,
    /// The run continues if the function can (leaks and the like); its exit status will be 1.
    Continue = 2,
}

/// State of this file.
struct State {
    policy: AtomicU8,
    failed: AtomicBool,
    reports: Mutex<Vec<String>>,
    stop: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
    /// Walks the calling thread's stack.
    walk: OnceLock<fn() -> Stack>,
    /// Times that [`end_at_last`] has been called since the last report began.
    looks: AtomicU32,
    /// Seconds that a report may take that ends the run.
    patience: AtomicU32,
}

static STATE: State = State {
    policy: AtomicU8::new(Policy::Stop as u8),
    failed: AtomicBool::new(false),
    reports: Mutex::new(Vec::new()),
    stop: Mutex::new(Vec::new()),
    walk: OnceLock::new(),
    looks: AtomicU32::new(NOT_ENDING),
    patience: AtomicU32::new(5),
};
/// Sets the function that walks the calling thread's stack for reports. The first one stays.
pub fn stacks_by(walk: fn() -> Stack) {
    let _ = STATE.walk.set(walk);
}

/// Sets what happens after a report.
pub fn set_policy(policy: Policy) {
    STATE.policy.store(policy as u8, Ordering::Relaxed);
}

/// Was there a report, a driver's panic, or something left over?
pub fn failed() -> bool {
    STATE.failed.load(Ordering::Relaxed)
}

/// Notes that the run has failed: its exit status will not be 0.
pub fn fail() {
    STATE.failed.store(true, Ordering::Relaxed);
}

/// The reports so far.
pub fn reports() -> Vec<String> {
    STATE.reports.lock().clone()
}

/// Adds a function that is called before the process ends in [`stop`]: the last one first.
pub fn on_stop(f: impl FnOnce() + Send + 'static) {
    STATE.stop.lock().push(Box::new(f));
}

/// Something that happened before a mistake and belongs to it: an allocation, a free, the entering of a mutex.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// The event: "allocated".
    pub what: String,
    /// Stack at the event; nothing is shown when it is not known.
    pub stack: Stack,
}

impl Earlier {
    /// Returns an event with its stack.
    pub fn new(what: &str, frames: Vec<String>) -> Earlier {
        Earlier { what: what.to_owned(), stack: Stack { frames, call: None } }
    }
}

/// Reports a mistake: `function` is the DDI function (or the callback) where it shows, `page` the manual page.
pub fn mistake(function: &str, what: &str, page: &str) {
    mistake_after(function, what, page, &[]);
}

/// The same, with what happened before.
pub fn mistake_after(function: &str, what: &str, page: &str, earlier: &[Earlier]) {
    let unwind = STATE.policy.load(Ordering::Relaxed) == Policy::Unwind as u8;
    leftover_after(function, what, page, earlier);
    if unwind && !std::thread::panicking() {
        std::panic::panic_any(Reported(format!("{function}: {what}")));
    }
    if STATE.policy.load(Ordering::Relaxed) == Policy::Stop as u8 {
        stop();
    }
}

/// Reports a mistake that has no further effect (leaks): the run continues, and its exit status is 1.
pub fn leftover(function: &str, what: &str, page: &str) {
    leftover_after(function, what, page, &[]);
}

/// The same, with what happened before.
pub fn leftover_after(function: &str, what: &str, page: &str, earlier: &[Earlier]) {
    leftover_at(&Stack::here(), function, what, page, earlier);
}

/// Stack of a driver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// The functions, innermost first.
    pub frames: Vec<String>,
    /// The entry point, and for whom it was called.
    pub call: Option<String>,
}

impl Stack {
    /// Returns the calling thread's, as [`stacks_by`] has set; nothing before.
    fn here() -> Stack {
        STATE.walk.get().map_or_else(Stack::default, |walk| walk())
    }

    fn text(&self) -> String {
        let mut text: String = self.frames.iter().map(|frame| format!("\n    at {frame}")).collect();
        text.extend(self.call.iter().map(|call| format!("\n    in {call}")));
        text
    }
}

/// The same for another thread's stack.
pub fn leftover_at(stack: &Stack, function: &str, what: &str, page: &str, earlier: &[Earlier]) {
    fail();
    let mut text = format!("driver mistake: {function}: {what} (see {page}){}", stack.text());
    for Earlier { what, stack } in earlier.iter().filter(|earlier| earlier.stack != Stack::default()) {
        text.push_str(&format!("\n  {what}:{}", stack.text()));
    }
    log::line(log::To::Both, &text);
    ddi_trace::mistake(&text);
    STATE.reports.lock().push(text);
}

/// Panic payload of a report under [`Policy::Unwind`].
#[derive(Debug)]
pub struct Reported(pub String);

/// A driver panicked (CE_PANIC, panic(9F), a failed assertion): the kernel is down. Logs and ends the run.
pub fn panic(message: &str) -> ! {
    fail();
    log::line(log::To::Both, &format!("panic: {message}{}", Stack::here().text()));
    if STATE.policy.load(Ordering::Relaxed) == Policy::Unwind as u8 {
        std::panic::panic_any(Reported(message.to_owned()));
    }
    stop()
}

/// Ends the run: the clients, then this process with status 1.
pub fn stop() -> ! {
    static STOPPING: AtomicBool = AtomicBool::new(false);
    ending();
    if STOPPING.swap(true, Ordering::AcqRel) {
        // Another thread ends the process; this one has nothing more to say.
        loop {
            std::thread::park();
        }
    }
    let before = std::mem::take(&mut *STATE.stop.lock());
    before.into_iter().rev().for_each(|f| f());
    log::line(log::To::Both, "the run ends here");
    std::process::exit(1)
}

const NOT_ENDING: u32 = u32::MAX;

/// The report that ends the run begins: from now on it has some seconds.
pub fn ending() {
    let _ = STATE.looks.compare_exchange(NOT_ENDING, 0, Ordering::Relaxed, Ordering::Relaxed);
}

/// Returns whether a report ends the process now.
pub fn is_ending() -> bool {
    STATE.looks.load(Ordering::Relaxed) != NOT_ENDING
}

/// Says that the report has been written, and that what follows may take two minutes.
pub fn unhurried() {
    STATE.patience.store(120, Ordering::Relaxed);
}

/// Ends the process if it should have ended seconds ago: the thread that reports waits for a lock that the driver's mistake has left, or has overwritten.
/// Called once a second.
pub fn end_at_last() {
    let looks = STATE.looks.load(Ordering::Relaxed);
    if looks == NOT_ENDING {
        return;
    }
    STATE.looks.store(looks + 1, Ordering::Relaxed);
    if looks >= STATE.patience.load(Ordering::Relaxed) {
        last_words(&["the report of a driver's mistake did not come to its end\nthe run ends here\n"]);
    }
}

/// Writes texts to standard error and ends the process with status 1, without anything that needs locks or memory.
pub fn last_words(texts: &[&str]) -> ! {
    for text in texts {
        // SAFETY: bytes that live through the call.
        unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
    }
    // SAFETY: ends the process without running anything of it.
    unsafe { libc::_exit(1) }
}
