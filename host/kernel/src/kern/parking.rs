//! Threads that are parked on an address, woken one by one. [`super::lock`] parks them, with their number as the token. It has no locks.

use parking_lot_core::{DEFAULT_UNPARK_TOKEN, FilterOp, ParkToken, UnparkToken, unpark_filter};

/// Token of a thread that a signal wakes.
pub const INTERRUPTED: UnparkToken = UnparkToken(1);

/// Wakes the thread `id` out of its interruptible wait on `key`.
pub fn interrupt(key: usize, id: u32) {
    wake_one(key, id, INTERRUPTED);
}

/// The same, as if by chance.
pub fn nudge(key: usize, id: u32) {
    wake_one(key, id, DEFAULT_UNPARK_TOKEN);
}

fn wake_one(key: usize, id: u32, how: UnparkToken) {
    let filter = |token: ParkToken| if token.0 == id as usize { FilterOp::Unpark } else { FilterOp::Skip };
    // SAFETY: the invariants of parking, which `super::lock` states.
    unsafe { unpark_filter(key, filter, |_| how) };
}
