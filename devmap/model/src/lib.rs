//! devmap under a model checker: the same code on the kernel of [`devmap_mock`], whose threads are `shuttle`'s.
//!
//! [`check`] explores schedules of a scenario. Threads take turns wherever the kernel's state is looked at, at every mutex, and at every access to an atomic of devmap's (its feature `model`).
//! In all of them are noticed:
//!
//! - threads that wait for each other, and mutexes taken in another order than devmap documents ([`order`]);
//! - accesses to memory that was freed, and mutexes used before they are initialised or after they are destroyed ([`memory`]);
//! - what `devmap_mock` notices: calls for handles, routines and memory that are gone, and whatever is left at the end.
//!
//! Orderings are not: one thread sees what another has done in the order in which it was done, whatever an access's `Ordering` says. That is for Miri, see docs/unsafe.md.
//!
//! The scenarios are in `tests/model`, with the driver that says what it relies on.

pub mod memory;
pub mod order;
mod threads;

use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use devmap::atomic::{Watch, watch};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, MaxSteps, Runner};

pub use order::assert_no_lock_of_the_layer;

/// Time for each scenario and scheduler.
const TIME: Duration = Duration::from_millis(if cfg!(debug_assertions) { 100 } else { 200 });
/// Schedules that are enough for one.
const SCHEDULES: usize = 2000;
/// Schedules between two looks at the time.
const BATCH: usize = 10;

static WATCH: Watch = Watch { access: threads::access, mutex: order::born };

/// Runs `scenario` under random schedules and under schedules with few but well placed preemptions (PCT of depth 3), and prints how many were explored: as many as there is time
/// for, or `MODEL_SCHEDULES` of each if that is set.
///
/// # Panics
/// A schedule panics, its threads wait for each other, or memory is used after it was freed. `shuttle` prints the schedule.
pub fn check(name: &str, scenario: impl Fn() + Send + Sync + Clone + 'static) {
    static ONCE: Once = Once::new();
    static ALONE: Mutex<()> = Mutex::new(());
    ONCE.call_once(|| {
        devmap_mock::threads::run_on(&threads::Shuttle);
        watch(&WATCH);
    });
    // A schedule that fails leaves its threads where they are, and the kernel booted.
    let _alone = ALONE.lock().expect("no scenario has failed before: run the others by themselves");
    let asked = std::env::var("MODEL_SCHEDULES").ok().and_then(|n| n.parse().ok());
    let (schedules, time) = asked.map_or((SCHEDULES, TIME), |schedules| (schedules, Duration::MAX));
    let begun = Instant::now();
    let explore = |scheduler: &dyn Fn() -> Box<dyn Scheduler + Send>| {
        let (begun, mut done) = (Instant::now(), 0);
        while done < schedules && begun.elapsed() < time {
            done += explore(scheduler(), scenario.clone());
        }
        done
    };
    let explored = explore(&|| Box::new(RandomScheduler::new(BATCH)))
        + explore(&|| Box::new(PctScheduler::new(3, BATCH)));
    println!("{name}: {explored} schedules in {} ms", begun.elapsed().as_millis());
}

/// Explores a batch of schedules, and returns their number.
fn explore(scheduler: Box<dyn Scheduler + Send>, scenario: impl Fn() + Send + Sync + 'static) -> usize {
    let mut config = Config::new();
    config.stack_size = 0x4_0000;
    config.max_steps = MaxSteps::FailAfter(100_000);
    Runner::new(scheduler, config).run(move || {
        threads::begin();
        let _kept = memory::Kept::new();
        scenario();
    })
}
