//! engines under real processes, linked into a host and as a module file: contexts that keep what is theirs, who has to leave, engines that do not wait for each other, fork and the shapes of munmap.
//!
//! This program is the test and, started under the host with `client`, the process.

#[path = "../../notice/tests/common/mod.rs"]
mod common;

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

use common::Example;
use engines_user::{ENGINES_STATUS, LEN, Status};

const HYSTERESIS: Duration = Duration::from_millis(30);

const EXAMPLE: Example = Example {
    package: "engines",
    page: "engines.md",
    source: include_str!("../src/lib.rs"),
    conf: Some(include_str!("../engines.conf")),
    options: "",
};

fn main() -> ExitCode {
    let tests: [(&str, common::Test); 3] = [
        ("the_code", |_| EXAMPLE.code_is_shown()),
        ("the_commands", |programs| EXAMPLE.commands_do_as_shown(programs)),
        ("the_driver", |programs| EXAMPLE.runs_alike(programs)),
    ];
    common::main(EXAMPLE.package, client, &tests)
}

fn client() {
    contexts_keep_what_is_theirs();
    the_least_recently_used_leaves();
    an_ended_context_leaves_its_place();
    a_context_has_its_time();
    engines_do_not_wait_for_each_other();
    a_child_shares_its_parents_contexts();
    every_shape_of_munmap_keeps_the_rest();
    threads_take_turns();
    println!("all is well");
}

fn open(name: &str) -> File {
    OpenOptions::new().read(true).write(true).open(format!("/dev/{name}0")).expect("the device")
}

/// A context, unmapped when dropped.
struct Context(&'static [AtomicU64]);

impl Context {
    fn new(file: &File) -> Context {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let fd = file.as_raw_fd();
        // SAFETY: a new mapping, at an address of the system's choice.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), LEN, prot, libc::MAP_SHARED, fd, 0) };
        assert_ne!(at, libc::MAP_FAILED);
        // SAFETY: all of the mapping, aligned, accessed as atomics only.
        Context(unsafe { std::slice::from_raw_parts(at.cast(), LEN / 8) })
    }

    fn store(&self, value: u64) {
        self.0[0].store(value, Ordering::Relaxed);
        self.0[LEN / 8 - 1].store(!value, Ordering::Relaxed);
    }

    fn holds(&self, value: u64) -> bool {
        self.0[0].load(Ordering::Relaxed) == value && self.0[LEN / 8 - 1].load(Ordering::Relaxed) == !value
    }

    fn unmap(&self, page: usize) {
        let at = self.0.as_ptr().wrapping_add(page * 512).cast_mut();
        // SAFETY: a page of the mapping, which nobody touches any more.
        assert_eq!(unsafe { libc::munmap(at.cast(), 4096) }, 0);
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the mapping, to which no reference is used any more; a part may be gone already.
        assert_eq!(unsafe { libc::munmap(self.0.as_ptr().cast_mut().cast(), LEN) }, 0);
    }
}

fn status(file: &File) -> Status {
    // Below 4 GiB, where a program of 32 bits has all of its own.
    let (prot, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT);
    // SAFETY: a new mapping, at an address of the system's choice.
    let place = unsafe { libc::mmap(std::ptr::null_mut(), 4096, prot, flags, -1, 0) };
    // SAFETY: a page for the driver to fill.
    assert_eq!(unsafe { libc::ioctl(file.as_raw_fd(), ENGINES_STATUS as libc::Ioctl, place) }, 0);
    // SAFETY: filled by the driver.
    let status = unsafe { place.cast::<Status>().read() };
    // SAFETY: from above, and not used any more.
    unsafe { libc::munmap(place, 4096) };
    status
}

/// How many contexts were brought in, and how many had to leave, while it ran.
fn switches(file: &File, what: impl FnOnce()) -> (u64, u64) {
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
    assert!(Context::new(&file).0.iter().all(|word| word.load(Ordering::Relaxed) == 0), "of zeroes");
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
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        0 => {
            let seen = a.holds(1);
            a.store(2);
            [&b, &c].iter().for_each(|context| context.store(9));
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(if seen && a.holds(2) { 7 } else { 1 }) };
        }
        child => {
            [&b, &c].iter().for_each(|context| context.store(9));
            let mut status = 0;
            // SAFETY: a child of ours, and a local for its status.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(status, 7 << 8, "the child has found what is in the context");
        }
    }
    assert!(a.holds(2) && b.holds(9) && c.holds(9));
}

fn every_shape_of_munmap_keeps_the_rest() {
    let file = open("compute");
    for page in 0..3 {
        let [a, b, c] = [(); 3].map(|()| Context::new(&file));
        a.store(5);
        a.unmap(page);
        [&b, &c].iter().for_each(|context| context.store(6));
        for (there, word, value) in [(page != 0, 0, 5), (page != 2, LEN / 8 - 1, !5)] {
            assert!(!there || a.0[word].load(Ordering::Relaxed) == value, "page {page}, word {word}");
        }
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
