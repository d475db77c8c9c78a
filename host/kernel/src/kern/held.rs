//! The mutexes that each thread holds, so that nothing that blocks is called with a spin mutex held, and no entry point returns with one.
//!
//! Thread-local; the places where they were entered are [`lockplaces`](super::lockplaces)'s. Any context.

use std::cell::RefCell;

use super::lockplaces::ENTERED;
use crate::board::report::Earlier;

thread_local! {
    /// The mutexes that this thread holds, and whether each is a spin mutex.
    static HELD: RefCell<Vec<(usize, bool)>> = const { RefCell::new(Vec::new()) };
}

/// Returns the number of mutexes that the calling thread holds.
pub fn count() -> usize {
    HELD.with_borrow(Vec::len)
}

/// Returns where the mutexes that the calling thread holds were entered, the last one first; known in check mode.
pub fn since() -> Vec<Earlier> {
    let held: Vec<usize> = HELD.with_borrow(|held| held.iter().rev().map(|(address, _)| *address).collect());
    let entered = |address| Some(Earlier::new("entered", ENTERED.get(address)?.frames()));
    held.into_iter().filter_map(entered).collect()
}

/// Returns the first spin mutex that the calling thread holds.
pub fn spin() -> Option<usize> {
    HELD.with_borrow(|held| held.iter().find(|(_, spin)| *spin).map(|(address, _)| *address))
}

/// Returns whether the calling thread holds this mutex, and it is a spin mutex.
pub fn is_spin(address: usize) -> bool {
    HELD.with_borrow(|held| held.iter().any(|(held, spin)| *spin && *held == address))
}

/// The calling thread has entered a mutex.
pub fn add(address: usize, spin: bool) {
    ENTERED.set(address);
    HELD.with_borrow_mut(|held| held.push((address, spin)));
}

/// The calling thread leaves a mutex.
pub fn remove(address: usize) {
    HELD.with_borrow_mut(|held| {
        if let Some(at) = held.iter().rposition(|(a, _)| *a == address) {
            held.remove(at);
            ENTERED.forget(address);
        }
    });
}
