//! The promises that a driver's author relies on, in every schedule that the model checker explores.
#![allow(missing_docs)]

extern crate alloc;

use shuttle::thread;

use machine::Routine;

mod desk;
mod doors;
mod driver;
mod instances;
mod machine;
mod mappings;
mod running;

/// Runs routines, each on a thread of its own, until all are over.
fn all(routines: Vec<Routine>) {
    all_and(routines, || ());
}

/// The same, and one of the caller's.
fn all_and(routines: Vec<Routine>, own: impl FnOnce()) {
    let threads: Vec<_> = routines.into_iter().map(|routine| thread::spawn(routine)).collect();
    own();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
