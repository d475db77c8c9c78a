//! Accesses that a driver has refused, and have not had their consequence yet.
//!
//! Locking: two leaves; neither is held while the other is taken. Where nothing has been refused, an access takes neither.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap as HashMap;

use super::Prot;
use super::proc::Place;

/// A failed access that has not been confirmed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    pub addr: u64,
    pub access: Prot,
    /// Signal, code and error.
    pub why: [i32; 3],
    /// The thread's place when it had failed.
    pub place: Place,
    /// [`Verdicts::changes`] when the kernel above was asked.
    pub changes: u64,
    /// [`Shared::asked`](super::shared::Shared::asked) when the answer was there, if nobody else has asked meanwhile.
    pub asked: u64,
    /// Failures in a row.
    pub failures: u32,
}

/// Reason why a system call was refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    pub page: u64,
    /// The error: `EFAULT` if it was not a driver's.
    pub errno: i32,
    /// [`Verdicts::changes`] when the kernel above was asked.
    pub changes: u64,
}

/// Refused accesses, by thread (tid).
///
/// # Invariants
/// `changes` has grown before a page is mapped, loaded or protected: while it stays as it is, an access that was refused has not been made.
/// `doubtful` is the number of `doubts`, changed with those.
/// `mappings` has grown before a thread knows of a new mapping: while it stays as it is, an answer that a page is not mapped is not of an earlier time.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    changes: AtomicU64,
    mappings: AtomicU64,
    doubts: Mutex<HashMap<i32, Doubt>>,
    doubtful: AtomicUsize,
    refused: Mutex<HashMap<i32, Refused>>,
}

impl Verdicts {
    /// Returns how often pages have been mapped, loaded or protected.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Pages are about to be mapped, loaded or protected.
    pub fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns how often pages have been mapped.
    pub fn mappings(&self) -> u64 {
        self.mappings.load(Ordering::Acquire)
    }

    /// Pages are about to be mapped.
    pub fn mapped(&self) {
        self.mappings.fetch_add(1, Ordering::AcqRel);
        self.changed();
    }

    /// Returns a thread's failed access.
    pub fn doubt(&self, tid: i32) -> Option<Doubt> {
        if self.nobody_doubts() {
            return None;
        }
        self.doubts.lock().get(&tid).copied()
    }

    /// Notes a thread's failed access, or that it has none any more.
    pub fn set_doubt(&self, tid: i32, doubt: Option<Doubt>) {
        if doubt.is_none() && self.nobody_doubts() {
            return;
        }
        let mut doubts = self.doubts.lock();
        match doubt {
            Some(doubt) => _ = doubts.insert(tid, doubt),
            None => _ = doubts.remove(&tid),
        }
        self.doubtful.store(doubts.len(), Ordering::Release);
    }

    fn nobody_doubts(&self) -> bool {
        self.doubtful.load(Ordering::Acquire) == 0
    }

    /// Notes what a thread's system call is refused with.
    pub fn refuse(&self, tid: i32, refused: Refused) {
        self.refused.lock().insert(tid, refused);
    }

    /// Returns the error with which the thread's last system call was refused at one of these pages, if nothing has changed since. It is forgotten then.
    pub fn take_refusal(&self, tid: i32, pages: std::ops::Range<u64>) -> Option<i32> {
        let mut refused = self.refused.lock();
        let last = refused.get(&tid).copied().filter(|last| pages.contains(&last.page))?;
        refused.remove(&tid);
        (last.changes == self.changes()).then_some(last.errno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_once_and_not_after_a_change() {
        let verdicts = Verdicts::default();
        let refused = || Refused { page: 5, errno: 7, changes: verdicts.changes() };
        verdicts.refuse(1, refused());
        assert_eq!(verdicts.take_refusal(2, 0..9), None);
        assert_eq!(verdicts.take_refusal(1, 6..9), None);
        assert_eq!(verdicts.take_refusal(1, 5..6), Some(7));
        assert_eq!(verdicts.take_refusal(1, 5..6), None);
        verdicts.refuse(1, refused());
        verdicts.changed();
        assert_eq!(verdicts.take_refusal(1, 0..9), None);
    }
}
