//! Polling for a message before sleeping, which saves the wakeup where replies are prompt. On a machine whose processors are busy a poll finds nothing and takes
//! time from the sender, so waits that found nothing make the next ones sleep at once. What is there at the first poll says nothing about that: on one processor
//! the sender may have run in between.
//!
//! Locking: none. The count may be shared by threads: a lost change makes one wait longer or shorter.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Polls of one wait.
const POLLS: u32 = 80;
/// Polls of a wait that decides whether the next ones sleep at once. Where both ends sleep, the other one is first woken, on another processor: that takes
/// longer than it then takes to answer.
const LONG: u32 = 400;
/// Waits that sleep at once after more than [`MISSES`] in a row that polled and found nothing. The next one then shows whether polling is of use again.
const PAUSE: u32 = 256;
/// See [`PAUSE`].
const MISSES: u32 = 2;

/// Record of the last waits: misses in a row, or, above `MISSES`, waits left to sleep at once.
#[derive(Debug, Default)]
pub struct Patience(AtomicU32);

impl Patience {
    /// Waits went well so far.
    pub const fn new() -> Patience {
        Patience(AtomicU32::new(0))
    }

    /// Polls until `poll` returns something, for a few microseconds at most.
    pub fn poll<R>(&self, mut poll: impl FnMut() -> Option<R>) -> Option<R> {
        let before = self.0.load(Relaxed);
        if before > MISSES {
            self.0.store(before - 1, Relaxed);
            return None;
        }
        let polls = if before == MISSES { LONG } else { POLLS };
        for n in 0..polls {
            let found = poll();
            if found.is_some() {
                if n > 0 {
                    self.0.store(0, Relaxed);
                }
                return found;
            }
            core::hint::spin_loop();
        }
        self.0.store(if before == MISSES { MISSES + PAUSE } else { before + 1 }, Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number of polls of a wait that finds something at the poll of this number.
    fn wait(patience: &Patience, at: u32) -> u32 {
        let mut polls = 0;
        patience.poll(|| {
            polls += 1;
            (polls == at).then_some(())
        });
        polls
    }

    #[test]
    fn waits_that_find_nothing_make_the_next_ones_sleep_at_once() {
        let patience = Patience::new();
        assert_eq!(wait(&patience, 3), 3);
        for _ in 0..MISSES {
            assert_eq!(wait(&patience, u32::MAX), POLLS);
        }
        assert_eq!(wait(&patience, u32::MAX), LONG);
        for _ in 0..PAUSE {
            assert_eq!(wait(&patience, 1), 0);
        }
        assert_eq!(wait(&patience, 1), 1, "and then it polls again");
        assert_eq!(wait(&patience, u32::MAX), LONG, "which shows more than the wait before it");
        assert_eq!(wait(&patience, 3), 0);
        (1..PAUSE).for_each(|_| _ = wait(&patience, 1));
        assert_eq!(wait(&patience, 3), 3);
        assert_eq!(wait(&patience, u32::MAX), POLLS);
        assert_eq!(wait(&patience, 3), 3, "one that finds nothing is not enough");
    }
}
