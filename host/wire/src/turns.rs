//! The order in which a process's threads change its mappings.
//!
//! The host has made its half of a change when a thread gets [`Reply::Finish`](crate::Reply::Finish), and the thread makes Linux's half then. The host counts these
//! replies, and the halves are made in the order of their numbers: of two changes of the same pages the later one is then the later one in Linux, too, and the host need
//! not be told.
//!
//! Locking: none. Whoever has a turn makes system calls only, and has its signals held, so that it comes to an end.

use core::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// Turns of a process that are over, counted modulo 2^32.
///
/// # Invariants
/// `over` grows by one at a time, by the thread that has had the turn of the next number. A thread that sleeps on it has grown `waiting` before, and has looked at `over`
/// after that.
#[derive(Debug, Default)]
pub struct Turns {
    over: AtomicU32,
    waiting: AtomicU32,
}

impl Turns {
    /// None is over.
    pub const fn new() -> Turns {
        Turns { over: AtomicU32::new(0), waiting: AtomicU32::new(0) }
    }

    /// Runs `f` when `turn` has come, that is, when the one before it is over. Afterwards it is over: the threads that sleep are woken by `wake`. `sleep` is
    /// [`wait`](Self::wait)'s.
    pub fn take<R>(
        &self,
        turn: u32,
        sleep: impl Fn(&AtomicU32, u32),
        wake: impl Fn(&AtomicU32),
        f: impl FnOnce() -> R,
    ) -> R {
        self.wait(turn.wrapping_sub(1), sleep);
        let r = f();
        self.over.store(turn, SeqCst);
        if self.waiting.load(SeqCst) != 0 {
            wake(&self.over);
        }
        r
    }

    /// Waits until a turn is over. `sleep` waits until the word, if it has this value, is woken; it may return early.
    pub fn wait(&self, turn: u32, sleep: impl Fn(&AtomicU32, u32)) {
        let reached = |over: u32| over.wrapping_sub(turn).cast_signed() >= 0;
        if reached(self.over.load(SeqCst)) {
            return;
        }
        self.waiting.fetch_add(1, SeqCst);
        loop {
            let over = self.over.load(SeqCst);
            if reached(over) {
                break;
            }
            sleep(&self.over, over);
        }
        self.waiting.fetch_sub(1, SeqCst);
    }

    /// In a forked child: the host counts its turns from the start, and no other thread is there.
    pub fn reset(&self) {
        self.over.store(0, SeqCst);
        self.waiting.store(0, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use super::*;

    #[test]
    fn turns_are_taken_in_order_across_the_end_of_the_numbers() {
        let (lock, changed) = (Mutex::new(()), Condvar::new());
        let sleep = |word: &AtomicU32, value| {
            let held = lock.lock().unwrap();
            drop(changed.wait_while(held, |()| word.load(SeqCst) == value).unwrap());
        };
        let wake = |_: &AtomicU32| {
            drop(lock.lock().unwrap());
            changed.notify_all();
        };
        let first = u32::MAX - 5;
        let turns = Turns { over: AtomicU32::new(first - 1), ..Turns::new() };
        let taken = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for n in (0..12).rev() {
                let (turns, taken) = (&turns, &taken);
                scope.spawn(move || {
                    turns.take(first.wrapping_add(n), sleep, wake, || taken.lock().unwrap().push(n));
                });
            }
            turns.wait(first.wrapping_add(11), sleep);
            assert_eq!(*taken.lock().unwrap(), (0..12).collect::<Vec<u32>>());
        });
        assert_eq!(turns.waiting.load(SeqCst), 0);
    }
}
