//! Places where the host may fail for want of something: each asks here whether it is to. A test lets the n-th of them fail, for each n in turn.
//!
//! Without the feature `failpoints`, which only this project's tests turn on, the question is a constant.
//!
//! Locking: none but a leaf mutex round a name.

/// Returns whether the caller is to act as if it had failed. `what` names the place for people.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub const fn fails(what: &'static str) -> bool {
    let _ = what;
    false
}

#[cfg(feature = "failpoints")]
pub use armed::{arm, disarm, fails};

#[cfg(feature = "failpoints")]
mod armed {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use parking_lot::Mutex;

    static ARMED: AtomicBool = AtomicBool::new(false);
    /// Number of places that are passed before the one that fails, plus one; it goes on counting below 0.
    static LEFT: AtomicU64 = AtomicU64::new(0);
    static FAILED: Mutex<Option<&'static str>> = Mutex::new(None);
    /// A part of the names of the places that count.
    static NAMED: Mutex<&'static str> = Mutex::new("");

    /// Returns whether the caller is to act as if it had failed. `what` names the place for people.
    pub fn fails(what: &'static str) -> bool {
        let counts = ARMED.load(Ordering::Acquire) && what.contains(*NAMED.lock());
        let failing = counts && LEFT.fetch_sub(1, Ordering::AcqRel) == 1;
        if failing {
            *FAILED.lock() = Some(what);
        }
        failing
    }

    /// The `n`-th place (from 1) that is passed from now on fails, of those whose names contain `named`.
    pub fn arm(n: u64, named: &'static str) {
        *FAILED.lock() = None;
        *NAMED.lock() = named;
        LEFT.store(n, Ordering::Release);
        ARMED.store(true, Ordering::Release);
    }

    /// No place fails any more. Returns the one that has since [`arm`]; `None` if fewer were passed.
    pub fn disarm() -> Option<&'static str> {
        ARMED.store(false, Ordering::Release);
        *FAILED.lock()
    }
}
