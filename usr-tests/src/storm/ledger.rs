//! Memory that all processes of a storm share: what each lane's words are, how far it is, and the first failure.
//!
//! A lane is a place of 32 bytes in every page of the device: four words that one thread of control has for itself, so that it can say what each of them is
//! although the memory is everybody's. It outlives the process: a store is written down before it is made and again afterwards, and so a process that is
//! killed leaves a word that is one of the two.
//!
//! Locking: none; atomics in a file that every process has mapped. A lane's words are written by its owner only.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::{self, Errno, Sys};

/// Number of lanes; the first is nobody's (write(2) to the device stores there).
pub const LANES: usize = 128;
/// Words of a lane in a page.
pub const SLOTS: usize = 4;
/// Pages of the device: those that a ctxdev of the default size has.
pub const DEVICE_PAGES: usize = 32;

const HEAD: usize = 32;
const TEXT: usize = 1024;
const FIELDS: usize = 8;
const LANE: usize = FIELDS + DEVICE_PAGES * SLOTS * 2;

/// Words at the beginning of the file.
#[derive(Clone, Copy)]
pub enum Head {
    /// Not 0: everybody is to come to an end.
    Stop,
    /// A [`Gauge`]: the device is lost.
    Lost,
    /// A [`Gauge`]: private contexts are limited.
    Limited,
    /// 1 when a failure is being written, 2 when it is there.
    Failed,
    /// Length of the failure's text.
    Length,
    // What has been done.
    Programs,
    Steps,
    Words,
    Refused,
    Forks,
    Execs,
    Hungry,
}

/// The counters of [`Head`], with names for people.
pub const COUNTERS: [(Head, &str); 7] = [
    (Head::Programs, "programs"),
    (Head::Steps, "steps"),
    (Head::Words, "words checked"),
    (Head::Refused, "calls and accesses refused"),
    (Head::Forks, "forks"),
    (Head::Execs, "execs"),
    (Head::Hungry, "steps short of memory or descriptors"),
];

/// Something that is on and off: odd while it is on. Whoever turns it on does so before, and off afterwards.
#[derive(Clone, Copy)]
pub struct Gauge<'a>(pub &'a AtomicU64);

impl Gauge<'_> {
    pub fn turn(self, on: bool) {
        if (self.now() & 1 == 1) != on {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub fn now(self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Returns whether it may have been on at any time since it read `before`.
    pub fn was_on_since(self, before: u64) -> bool {
        before & 1 == 1 || self.now() != before
    }
}

/// The shared memory. A copy is the same memory.
#[derive(Clone, Copy)]
pub struct Ledger {
    words: &'static [AtomicU64],
    /// The file, which children inherit.
    pub file: i32,
}

/// Part of the ledger that belongs to a lane.
#[derive(Clone, Copy)]
pub struct Lane {
    words: &'static [AtomicU64],
    pub number: usize,
}

impl Ledger {
    pub fn new() -> Sys<Ledger> {
        let file = sys::temporary_file()?;
        sys::ftruncate(file, (Ledger::LEN * 8) as i64)?;
        Ledger::open(file)
    }

    /// Takes the file that an earlier program of this process has made.
    pub fn open(file: i32) -> Sys<Ledger> {
        Ok(Ledger { words: sys::shared_words(file, Ledger::LEN)?, file })
    }

    const LEN: usize = HEAD + TEXT + LANES * LANE;

    pub fn head(&self, word: Head) -> &'static AtomicU64 {
        &self.words[word as usize]
    }

    pub fn count(&self, word: Head) {
        self.head(word).fetch_add(1, Ordering::Relaxed);
    }

    pub fn stopping(&self) -> bool {
        self.head(Head::Stop).load(Ordering::SeqCst) != 0
    }

    pub fn lost(&self) -> Gauge<'static> {
        Gauge(self.head(Head::Lost))
    }

    pub fn limited(&self) -> Gauge<'static> {
        Gauge(self.head(Head::Limited))
    }

    pub fn lane(&self, number: usize) -> Lane {
        let from = HEAD + TEXT + number * LANE;
        Lane { words: &self.words[from..from + LANE], number }
    }

    pub fn lanes(&self) -> impl Iterator<Item = Lane> {
        let ledger = *self;
        (1..LANES).map(move |number| ledger.lane(number))
    }

    /// Takes a lane from `first` on that nobody has, or whose process is gone.
    pub fn take_lane(&self, first: usize) -> Option<Lane> {
        (first..LANES).map(|number| self.lane(number)).find(|lane| {
            let owner = lane.owner();
            let free = owner == 0 || sys::kill(owner, 0) == Err(Errno(libc::ESRCH));
            free && lane.take(owner)
        })
    }

    /// Writes down a failure, if it is the first.
    pub fn fail(&self, text: &str) {
        let failed = self.head(Head::Failed);
        if failed.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return;
        }
        let bytes = &text.as_bytes()[..text.len().min(TEXT * 8)];
        for (word, chunk) in self.words[HEAD..HEAD + TEXT].iter().zip(bytes.chunks(8)) {
            let mut part = [0; 8];
            part[..chunk.len()].copy_from_slice(chunk);
            word.store(u64::from_ne_bytes(part), Ordering::Relaxed);
        }
        self.head(Head::Length).store(bytes.len() as u64, Ordering::Relaxed);
        failed.store(2, Ordering::SeqCst);
    }

    /// Returns the first failure.
    pub fn failure(&self) -> Option<String> {
        if self.head(Head::Failed).load(Ordering::SeqCst) != 2 {
            return None;
        }
        let len = self.head(Head::Length).load(Ordering::Relaxed) as usize;
        let words = self.words[HEAD..HEAD + TEXT].iter();
        let bytes: Vec<u8> =
            words.flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).take(len).collect();
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Lane {
    /// The process that has it, 0 for none.
    pub fn owner(&self) -> i32 {
        self.words[0].load(Ordering::SeqCst) as i32
    }

    /// Makes the calling process its owner, if `from` is: a child its parent, and the parent the child that has ended.
    pub fn take(&self, from: i32) -> bool {
        let (old, new) = (from as u64, sys::getpid() as u64);
        let taken = self.words[0].compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if taken {
            self.turn();
        }
        taken
    }

    /// Those who only look at the lane beside its owner have to leave it: the owner goes on.
    pub fn turn(&self) {
        self.words[4].fetch_add(1, Ordering::SeqCst);
    }

    /// Returns a number that grows when the owner goes on, and when another takes the lane.
    pub fn turns(&self) -> u64 {
        self.words[4].load(Ordering::SeqCst)
    }

    pub fn give_back(&self) {
        self.words[0].store(0, Ordering::SeqCst);
    }

    /// Writes down how far its owner is.
    pub fn at(&self, program: u64, step: usize) {
        self.words[1].store(program, Ordering::Relaxed);
        self.words[2].store(step as u64, Ordering::Relaxed);
        self.words[3].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the program and the step, and a number that grows with each step.
    pub fn progress(&self) -> (u64, u64, u64) {
        let [program, step, beat] = [1, 2, 3].map(|word: usize| self.words[word].load(Ordering::Relaxed));
        (program, step, beat)
    }

    /// Offset of a slot in every page.
    pub fn offset(&self, slot: usize) -> usize {
        (self.number * SLOTS + slot) * 8
    }

    fn word(&self, page: usize, slot: usize) -> [&'static AtomicU64; 2] {
        let at = FIELDS + (page * SLOTS + slot) * 2;
        [&self.words[at], &self.words[at + 1]]
    }

    /// Notes that a word of a page that all see is about to be stored. Returns false if a process that was killed has left it open: it is to be read first.
    pub fn storing(&self, page: usize, slot: usize, value: u64) -> bool {
        let [now, next] = self.word(page, slot);
        let settled = now.load(Ordering::SeqCst) == next.load(Ordering::SeqCst);
        if settled {
            next.store(value, Ordering::SeqCst);
        }
        settled
    }

    /// Notes that it has been stored, or has not.
    pub fn stored(&self, page: usize, slot: usize, done: bool) {
        let [now, next] = self.word(page, slot);
        match done {
            true => now.store(next.load(Ordering::SeqCst), Ordering::SeqCst),
            false => next.store(now.load(Ordering::SeqCst), Ordering::SeqCst),
        }
    }

    /// Returns what the word must be, if `seen` is not it.
    pub fn look(&self, page: usize, slot: usize, seen: u64) -> Result<(), u64> {
        let [was, will] = self.word(page, slot).map(|word| word.load(Ordering::SeqCst));
        if seen == was || seen == will { Ok(()) } else { Err(was) }
    }

    /// The same for the lane's owner: what a process that was killed has left open is settled by that. Who looks beside the owner must not: it may be late.
    pub fn check(&self, page: usize, slot: usize, seen: u64) -> Result<(), u64> {
        self.look(page, slot, seen)?;
        self.word(page, slot).iter().for_each(|word| word.store(seen, Ordering::SeqCst));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_was_broken_off_is_either_word_and_no_other() {
        let ledger = Ledger::new().unwrap();
        let lane = ledger.take_lane(1).unwrap();
        assert!(lane.storing(3, 1, 7));
        assert_eq!(lane.check(3, 1, 9), Err(0));
        // Its owner is killed here: the next one has to read before it stores.
        assert!(!lane.storing(3, 1, 8));
        assert_eq!(lane.check(3, 1, 7), Ok(()));
        assert_eq!(lane.check(3, 1, 0), Err(7));
        assert!(lane.storing(3, 1, 8));
        lane.stored(3, 1, true);
        assert_eq!((lane.check(3, 1, 7), lane.check(3, 1, 8)), (Err(8), Ok(())));
        assert_eq!(lane.check(3, 0, 0), Ok(()));
    }

    #[test]
    fn who_looks_beside_the_owner_is_told_that_it_has_gone_on_and_settles_nothing() {
        let lane = Ledger::new().unwrap().take_lane(1).unwrap();
        let turn = lane.turns();
        assert!(lane.storing(3, 1, 7));
        // It has seen 0, and says so late.
        assert_eq!(lane.look(3, 1, 0), Ok(()));
        lane.stored(3, 1, true);
        assert_eq!((lane.check(3, 1, 7), lane.look(3, 1, 0)), (Ok(()), Err(7)));
        assert_eq!(lane.turns(), turn);
        lane.turn();
        assert!(lane.take(sys::getpid()) && lane.turns() == turn + 2);
    }

    #[test]
    fn a_lane_is_taken_again_when_its_owner_is_gone() {
        let ledger = Ledger::new().unwrap();
        let first = ledger.take_lane(1).unwrap();
        assert_eq!(ledger.take_lane(1).map(|lane| lane.number), Some(2));
        assert!(first.take(sys::getpid()) && !first.take(1));
        let gone = match sys::fork() {
            Ok(sys::Forked::Child) => sys::exit_now(0),
            Ok(sys::Forked::Parent(pid)) => pid,
            Err(errno) => panic!("fork: {errno}"),
        };
        first.words[0].store(gone as u64, Ordering::SeqCst);
        sys::wait(gone).unwrap();
        assert_eq!(ledger.take_lane(1).map(|lane| lane.number), Some(1));
    }

    #[test]
    fn what_was_on_for_a_moment_is_seen_afterwards() {
        let word = AtomicU64::new(0);
        let gauge = Gauge(&word);
        let before = gauge.now();
        assert!(!gauge.was_on_since(before));
        gauge.turn(true);
        gauge.turn(true);
        gauge.turn(false);
        assert!(gauge.was_on_since(before) && !gauge.was_on_since(gauge.now()));
    }

    #[test]
    fn the_first_failure_is_kept() {
        let ledger = Ledger::new().unwrap();
        assert_eq!(ledger.failure(), None);
        ledger.fail("the first");
        ledger.fail("another");
        assert_eq!(ledger.failure().as_deref(), Some("the first"));
    }
}
