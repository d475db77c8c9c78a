//! Routines that run by themselves, while the device is used and detached.

use std::sync::Arc;

use devmap_mock::Booted;
use devmap_mock::interrupts::{raise, run_soft};
use devmap_mock::messages::fire_timeout;
use devmap_mock::work::{run_task, tick};
use devmap_model::check;

use crate::all;
use crate::doors::Doors;
use crate::driver::ask;
use crate::machine::{CANCEL, DISPATCH, DROPS_ITSELF, FINISH, MASK, Routine, SET, WAKE, boot};

/// Explores a scenario of an instance that has these things, and is detached meanwhile, or after it.
fn explore(
    name: &str,
    has: &'static [&'static str],
    scenario: impl Fn(Arc<Doors>) -> Vec<Routine> + Send + Sync + Clone + 'static,
) {
    check(name, move || {
        let booted = boot(has);
        let doors = Arc::new(Doors::default());
        let mut routines = scenario(doors.clone());
        routines.push(detaching(&booted, doors));
        all(routines);
        drop(booted);
    });
}

fn detaching(booted: &Booted, doors: Arc<Doors>) -> Routine {
    let detach = booted.detacher(0);
    Box::new(move || _ = doors.leave(0, detach))
}

/// A process that opens the device, and makes these ioctls.
fn asking(doors: &Arc<Doors>, commands: &'static [i32]) -> Routine {
    let doors = doors.clone();
    Box::new(move || {
        doors.visit(0, || commands.iter().for_each(|command| ask(0, *command, 0)));
    })
}

/// The clock, which calls timeouts.
fn clock() -> Routine {
    Box::new(|| (0..3).for_each(|_| _ = fire_timeout()))
}

/// Two of them that run tasks.
fn workers() -> [Routine; 2] {
    [(); 2].map(|()| Box::new(|| (0..2).for_each(|_| _ = run_task())) as Routine)
}

#[test]
fn timeouts_against_detach() {
    explore("timeouts against detach", &[], |doors| {
        vec![asking(&doors, &[SET, SET]), asking(&doors, &[SET, CANCEL]), clock(), clock()]
    });
}

#[test]
fn a_timeout_that_sets_itself_against_detach() {
    explore("a timeout that sets itself against detach", &["again"], |doors| {
        vec![asking(&doors, &[SET]), asking(&doors, &[CANCEL]), clock(), clock()]
    });
}

#[test]
fn timeouts_that_drop_themselves() {
    explore("timeouts that drop themselves", &[], |doors| {
        vec![asking(&doors, &[DROPS_ITSELF]), asking(&doors, &[DROPS_ITSELF, SET]), clock(), clock()]
    });
}

#[test]
fn periodic_routines_against_detach() {
    explore("periodic routines against detach", &["periodic"], |doors| {
        let ticks = || Box::new(|| _ = tick()) as Routine;
        vec![ticks(), ticks(), asking(&doors, &[])]
    });
}

#[test]
fn tasks_against_detach() {
    explore("tasks against detach", &["tasks"], |doors| {
        let mut routines = vec![asking(&doors, &[DISPATCH, FINISH]), asking(&doors, &[DISPATCH])];
        routines.extend(workers());
        routines
    });
}

#[test]
fn a_thread_against_detach() {
    explore("a thread against detach", &["thread"], |doors| {
        vec![asking(&doors, &[WAKE]), asking(&doors, &[WAKE, WAKE])]
    });
}

#[test]
fn interrupts_against_detach() {
    explore("interrupts against detach", &["interrupts"], |doors| {
        let rings = || {
            Box::new(|| {
                raise(0, 0);
                run_soft();
            }) as Routine
        };
        vec![rings(), rings(), asking(&doors, &[MASK])]
    });
}
