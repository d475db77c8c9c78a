//! segdev under a model checker: the same code, with `shuttle`'s locks, and the lock order asserted at every lock.
//!
//! [`Model`] is the lock family that [`segdev::sim::Sim`] is given; every acquisition is checked against the order that
//! [`segdev::lock`] states. [`check`] explores schedules of a scenario and says how many. The scenarios are in `tests/`.

#![forbid(unsafe_code)]

mod locks;
mod scene;

pub use locks::{Model, assert_no_inner_lock};
pub use scene::{Checked, Ptes, Scene, device, exclusive, umem_device};

/// Schedules explored for each scenario by each scheduler; `MODEL_SCHEDULES` in the environment overrides it.
const SCHEDULES: usize = if cfg!(debug_assertions) { 250 } else { 1500 };

/// Runs `scenario` under random schedules and under schedules with few but well placed preemptions (PCT of depth 3), and
/// prints how many were explored. A schedule that panics, deadlocks or breaks the lock order fails the test; `shuttle` prints how
/// to run it again.
pub fn check(name: &str, scenario: impl Fn() + Send + Sync + Clone + 'static) {
    let schedules = std::env::var("MODEL_SCHEDULES").ok().and_then(|n| n.parse().ok()).unwrap_or(SCHEDULES);
    let again = scenario.clone();
    let fresh = move |f: &dyn Fn()| {
        locks::forget_all();
        f();
    };
    shuttle::check_random(move || fresh(&scenario), schedules);
    shuttle::check_pct(move || fresh(&again), schedules, 3);
    println!("{name}: {} schedules", 2 * schedules);
}
