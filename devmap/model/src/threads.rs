//! The model checker's threads, as the kernel needs them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use devmap_mock::threads::{Thread, Threads, is_unlocked};
use shuttle::rand::Rng;

use crate::{memory, order};

/// `shuttle`'s threads.
pub(crate) struct Shuttle;

thread_local! {
    /// Those that wait, by place. All threads of a schedule run on one thread.
    static WAITING: RefCell<BTreeMap<usize, Vec<shuttle::thread::Thread>>> = const { RefCell::new(BTreeMap::new()) };
    /// The difference between the numbers of threads.
    static STEP: RefCell<u64> = const { RefCell::new(1) };
}

/// A schedule begins. The numbers of its threads follow each other, or differ by what makes them collide in devmap's tables of threads.
pub(crate) fn begin() {
    WAITING.with_borrow_mut(BTreeMap::clear);
    order::forget_all();
    let step = if shuttle::rand::thread_rng().gen_bool(0.5) { 32 } else { 1 };
    STEP.set(step);
}

fn number(id: usize) -> u64 {
    1 + id as u64 * STEP.with_borrow(|step| *step)
}

/// devmap is about to access an atomic.
pub(crate) fn access(at: *const u8, len: usize) {
    Shuttle.point();
    memory::assert_not_freed(at, len);
}

impl Threads for Shuttle {
    fn me(&self) -> u64 {
        number(shuttle::thread::current().id().into())
    }

    fn point(&self) {
        assert!(is_unlocked(), "threads take turns while one of them has the kernel's state locked");
        // Nothing but a point at which another thread may go on.
        shuttle::thread::sleep(Duration::ZERO);
    }

    fn pause(&self) {
        shuttle::thread::yield_now();
    }

    fn patience(&self) -> u64 {
        2
    }

    fn wait(&self, place: usize) {
        let me = shuttle::thread::current();
        let id = me.id();
        WAITING.with_borrow_mut(|waiting| waiting.entry(place).or_default().push(me));
        shuttle::thread::park();
        WAITING.with_borrow_mut(|waiting| {
            if let Some(waiting) = waiting.get_mut(&place) {
                waiting.retain(|thread| thread.id() != id);
            }
        });
    }

    fn wake(&self, place: usize) {
        let woken = WAITING.with_borrow_mut(|waiting| waiting.remove(&place));
        woken.into_iter().flatten().for_each(|thread| thread.unpark());
    }

    fn spawn(&self, routine: Box<dyn FnOnce() + Send>) -> Thread {
        let thread = shuttle::thread::spawn(routine);
        let id = number(thread.thread().id().into());
        Thread { id, join: Box::new(|| thread.join().expect("a thread that does not panic")) }
    }

    fn wants(&self, mutex: usize) {
        order::wants(mutex);
    }

    fn has(&self, mutex: usize) {
        order::has(mutex);
    }

    fn gives(&self, mutex: usize) {
        order::gives(mutex);
    }
}
