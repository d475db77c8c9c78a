//! Events of a DDI kernel: what happened, when, on whose behalf, and in which call or fault.
//!
//! The lowest room of the host: whoever has something to record uses it, and it uses nothing of the others. It knows no format that people read; it keeps
//! records in a file of rings ([`start`]), which [`Trace`] reads, however the process ended.
//!
//! Cost: nothing but a relaxed load while no trace is recorded. A record is 88 bytes, written to a block of the thread's own without a lock. Memory is
//! bounded by the size of the file; the oldest records are overwritten, and counted.
//!
//! Context: any, with any locks held; texts take a leaf lock.
//!
//! # Invariants
//! A block of the file has one writer at most.

mod event;
mod follow;
mod form;
mod read;
mod ring;
mod write;

pub use event::{ARGUMENTS, Access, Event, For, KINDS, Kind, Outcome};
pub use follow::Follow;
pub use form::{About, Record, Stamp, Text};
pub use read::{ReadError, Trace};
pub use ring::{Acting, Actor, acting, actor, cause, note, noted, now, on, pause, resume, start, stop};

/// An offset that is not known.
pub const UNKNOWN: u64 = u64::MAX;

/// Time at which something began, to be recorded when it ends. Nothing is recorded if no trace was recorded at its begin.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Span(u64);

/// Begins a span.
#[inline]
pub fn span() -> Span {
    Span(if on() { now() } else { 0 })
}

impl Span {
    /// Returns whether it will be recorded.
    #[inline]
    pub fn is_on(self) -> bool {
        self.0 != 0
    }

    /// Returns the time of its begin, by [`now`]; 0 if it will not be recorded.
    pub fn begin(self) -> u64 {
        self.0
    }

    /// Records that it has ended.
    #[inline]
    pub fn end(self, device: u64, event: impl FnOnce() -> Event) {
        if self.is_on() {
            ring::push(self.0, now().saturating_sub(self.0).max(1), device, event().encode());
        }
    }
}

/// Records something without a duration.
#[inline]
pub fn instant(device: u64, event: impl FnOnce() -> Event) {
    if on() {
        ring::push(now(), 0, device, event().encode());
    }
}

/// Returns the number of a device, and writes its name when the calling thread sees it for the first time. `id` is any number that no other device has.
#[inline]
pub fn device(id: u64, name: impl FnOnce() -> String) -> u64 {
    if on() && ring::is_new(id) {
        ring::text(About::Device, id, [0; 3], &name());
    }
    id
}

/// Writes the name of a process.
pub fn process(id: u64, pid: u32, name: &str) {
    ring::text(About::Process, id, [pid.into(), 0, 0], name);
}

/// Writes what code a process has: the file from `offset` on is at `start` to `end`.
pub fn code(process: u64, [start, end, offset]: [u64; 3], file: &str) {
    ring::text(About::Code, process, [start, end, offset], file);
}

/// Writes the name of a static probe, which events have by this number.
pub fn probe(number: u64, name: &str) {
    ring::text(About::Probe, number, [0; 3], name);
}

/// Records the report of a driver's mistake.
pub fn mistake(text: &str) {
    static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    if on() {
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        ring::text(About::Mistake, number, [0; 3], text);
        ring::push(now(), 0, 0, Event::Mistake { text: number }.encode());
    }
}
