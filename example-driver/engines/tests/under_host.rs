//! engines under real processes: contexts that keep what is theirs, who has to leave, engines that do not wait for each other, fork and the shapes of munmap.

#[path = "../../notice/tests/common/mod.rs"]
mod common;

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::thread::scope;
use std::time::{Duration, Instant};

use devmap_test::client::{Device, Map, spawn};
use devmap_test::{Driver, cases};
use engines_user::{ENGINES_STATUS, LEN, Status};

const HYSTERESIS: Duration = Duration::from_millis(30);

fn main() -> ExitCode {
    Driver::new(&engines::MODULE)
        .conf(concat!(env!("CARGO_MANIFEST_DIR"), "/engines.conf"))
        .also("signal", ["--faults", "signal"])
        .also("ilp32", ["--model", "ilp32"])
        .also_module(|| common::module("engines"))
        .main(cases![
            contexts_keep_what_is_theirs,
            the_least_recently_used_leaves,
            an_ended_context_leaves_its_place,
            a_context_has_its_time,
            engines_do_not_wait_for_each_other,
            a_child_shares_its_parents_contexts,
            every_shape_of_munmap_keeps_the_rest,
            threads_take_turns
        ])
}

fn open(name: &str) -> Device {
    Device::open(format!("/dev/{name}0")).expect("the device")
}

/// A context, unmapped when dropped.
struct Context(Map);

impl Context {
    fn new(device: &Device) -> Context {
        Context(device.map(LEN, 0).expect("mmap"))
    }

    fn store(&self, value: u64) {
        self.0.atomic_u64(0).store(value, Ordering::Relaxed);
        self.0.atomic_u64(LEN - 8).store(!value, Ordering::Relaxed);
    }

    fn holds(&self, value: u64) -> bool {
        self.0.load::<u64>(0) == value && self.0.load::<u64>(LEN - 8) == !value
    }
}

fn status(device: &Device) -> Status {
    let mut status = Status::default();
    device.ioctl(ENGINES_STATUS, &mut status).expect("ENGINES_STATUS");
    status
}

/// How many contexts were brought in, and how many had to leave, while it ran.
fn switches(file: &Device, what: impl FnOnce()) -> (u64, u64) {
    let before = status(file);
    what();
    let after = status(file);
    (after.switches - before.switches, after.evictions - before.evictions)
}

fn contexts_keep_what_is_theirs() {
    let file = open("compute");
    assert_eq!(status(&file).places, 2);
    let contexts: Vec<Context> = (0..7).map(|_| Context::new(&file)).collect();
    for round in 0..3 {
        for (number, context) in (0..).zip(&contexts) {
            assert!(round == 0 || context.holds(round * 10 + number));
            context.store(round * 10 + 10 + number);
        }
    }
    assert!((0..).zip(&contexts).all(|(number, context)| context.holds(30 + number)));
    let fresh = Context::new(&file);
    assert!((0..LEN).step_by(8).all(|offset| fresh.0.load::<u64>(offset) == 0), "of zeroes");
}

fn the_least_recently_used_leaves() {
    let file = open("compute");
    let [a, b, c] = [(); 3].map(|()| Context::new(&file));
    let fill = switches(&file, || [&a, &b].iter().for_each(|context| context.store(1)));
    assert_eq!(fill, (2, 0), "there is room");
    let stay = switches(&file, || (2..50).for_each(|n| [&a, &b].iter().for_each(|context| context.store(n))));
    assert_eq!(stay, (0, 0));
    // Used after b came in: b leaves.
    a.store(50);
    b.store(50);
    a.store(51);
    assert_eq!(switches(&file, || c.store(1)), (1, 1));
    assert_eq!(switches(&file, || a.store(52)), (0, 0));
    assert_eq!(switches(&file, || b.store(52)), (1, 1), "c leaves, which was used before a");
    assert_eq!(switches(&file, || a.store(53)), (0, 0));
    assert!(a.holds(53) && b.holds(52) && c.holds(1));
}

fn an_ended_context_leaves_its_place() {
    let file = open("compute");
    let [a, b] = [(); 2].map(|()| Context::new(&file));
    a.store(1);
    b.store(2);
    drop(b);
    let c = Context::new(&file);
    assert_eq!(switches(&file, || c.store(3)), (1, 0), "nobody has to leave");
    assert!(a.holds(1));
}

fn a_context_has_its_time() {
    let file = open("copy");
    let contexts = [(); 3].map(|()| Context::new(&file));
    let started = Instant::now();
    let (rounds, count) = (3, contexts.len() as u64);
    let switched = switches(&file, || {
        for round in 0..rounds {
            contexts.iter().for_each(|context| context.store(round));
        }
    });
    assert_eq!(switched, (rounds * count, rounds * count - 2));
    // Each but the first waits until the one before has had its time.
    assert!(started.elapsed() >= HYSTERESIS * (rounds * count - 1) as u32, "{:?}", started.elapsed());
}

/// One thread waits for its engine, again and again, while another has the other engine for itself.
fn engines_do_not_wait_for_each_other() {
    let (slow, fast) = (open("copy"), open("compute"));
    let [a, b, c] = [(); 3].map(|()| Context::new(&slow));
    let others = [(); 3].map(|()| Context::new(&fast));
    let done = std::sync::atomic::AtomicBool::new(false);
    scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut turns = 0;
            while !done.load(Ordering::Acquire) {
                [&a, &b, &c].iter().for_each(|context| context.store(turns));
                turns += 3;
            }
            turns
        });
        let mut turns = 0;
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(600) {
            others.iter().for_each(|context| context.store(turns));
            turns += 3;
        }
        done.store(true, Ordering::Release);
        let waited = waiting.join().expect("the thread");
        assert!(turns > 2 * waited, "{turns} turns in an engine without hysteresis, {waited} with");
    });
}

fn a_child_shares_its_parents_contexts() {
    let file = open("compute");
    let [a, b, c] = [(); 3].map(|()| Context::new(&file));
    a.store(1);
    let child = spawn(|| {
        assert!(a.holds(1), "what is in the context");
        a.store(2);
        [&b, &c].iter().for_each(|context| context.store(9));
        assert!(a.holds(2));
    });
    [&b, &c].iter().for_each(|context| context.store(9));
    assert!(child.expect("fork").wait().expect("the child").success());
    assert!(a.holds(2) && b.holds(9) && c.holds(9));
}

fn every_shape_of_munmap_keeps_the_rest() {
    let file = open("compute");
    for page in 0..3 {
        let [a, b, c] = [(); 3].map(|()| Context::new(&file));
        a.store(5);
        let (head, tail) = a.0.cut(page * 4096, 4096).expect("munmap");
        [&b, &c].iter().for_each(|context| context.store(6));
        assert!(page == 0 || head.expect("a head").load::<u64>(0) == 5, "page {page}");
        assert!(page == 2 || tail.is_some_and(|tail| tail.load::<u64>(tail.len() - 8) == !5), "page {page}");
    }
}

fn threads_take_turns() {
    let file = open("compute");
    scope(|scope| {
        for number in 0..4 {
            let context = Context::new(&file);
            scope.spawn(move || {
                for round in 0..200 {
                    context.store(number * 1000 + round);
                    assert!(context.holds(number * 1000 + round));
                }
            });
        }
    });
}
