//! The order of devmap's locks, as the front page of its documentation states it, asserted at every mutex.

use std::cell::RefCell;
use std::collections::BTreeMap;

use devmap_mock::threads::me;

/// Kinds of mutexes, in the order in which they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// The driver's own.
    Driver,
    /// The module's list of instances.
    Instances,
    /// A set's.
    Sets,
    /// Those of an instance's mappings: its lists, and the state of each.
    Mappings,
    /// A timeout's, of those that set it.
    Turns,
    /// Those that are held for a few instructions.
    Few,
}

/// The kind of a mutex by the type of what it holds. Whatever is not devmap's is the driver's.
fn rank(of: &str) -> Rank {
    const ALL: [(&str, Rank); 5] = [
        ("devmap::calls::Instances", Rank::Instances),
        ("devmap::mapped::Lists", Rank::Mappings),
        ("devmap::slab::Places<devmap::handle::Borrowed>", Rank::Sets),
        ("devmap::timeout::Turn", Rank::Turns),
        ("devmap::", Rank::Few),
    ];
    ALL.iter().find(|(name, _)| of.starts_with(name)).map_or(Rank::Driver, |(_, rank)| *rank)
}

#[derive(Default)]
struct Locks {
    ranks: BTreeMap<usize, Rank>,
    /// Those that each thread has, in the order of taking.
    held: BTreeMap<u64, Vec<usize>>,
}

thread_local! {
    /// All threads of a schedule run on one thread.
    static LOCKS: RefCell<Locks> = RefCell::default();
}

/// A schedule begins.
pub(crate) fn forget_all() {
    LOCKS.take();
}

/// A mutex was initialised.
pub(crate) fn born(word: *const (), of: &'static str) {
    LOCKS.with_borrow_mut(|locks| locks.ranks.insert(word.addr(), rank(of)));
}

/// Fails if the calling thread may not take this mutex now.
pub(crate) fn wants(mutex: usize) {
    LOCKS.with_borrow(|locks| {
        let Some(wanted) = locks.ranks.get(&mutex) else { return };
        let held = locks.held.get(&me()).into_iter().flatten().filter_map(|held| locks.ranks.get(held));
        let held: Vec<Rank> = held.copied().collect();
        let out_of_order = |held: &Rank| match held {
            Rank::Driver => false,
            _ => held >= wanted,
        };
        assert!(!held.iter().any(out_of_order), "lock order: {wanted:?} wanted with {held:?} held");
    });
}

pub(crate) fn has(mutex: usize) {
    LOCKS.with_borrow_mut(|locks| locks.held.entry(me()).or_default().push(mutex));
}

pub(crate) fn gives(mutex: usize) {
    // A panic ends the schedule while threads still hold locks; the table may be gone by then.
    let _ = LOCKS.try_with(|locks| {
        let mut locks = locks.borrow_mut();
        let held = locks.held.entry(me()).or_default();
        if let Some(at) = held.iter().rposition(|held| *held == mutex) {
            held.remove(at);
        }
    });
}

/// Fails if the calling thread holds a mutex of devmap's: what must be so in no call of the driver.
///
/// # Panics
/// It holds one.
pub fn assert_no_lock_of_the_layer() {
    LOCKS.with_borrow(|locks| {
        let held = locks.held.get(&me()).into_iter().flatten().filter_map(|held| locks.ranks.get(held));
        let held: Vec<Rank> = held.copied().filter(|rank| *rank != Rank::Driver).collect();
        assert!(held.is_empty(), "the driver is called with {held:?} held");
    });
}
