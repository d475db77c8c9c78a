//! fork is one moment for a process: what the child finds in the device and in its own memory belongs together, whatever other threads were doing.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::case::{Case, Ctx, Result, case, check, equal, error, works};
use crate::device::{Dev, Map, NONE, PRIVATE, SHARED};
use crate::peer::{NotStarted, Peer};
use crate::probe::{self, Kind};
use crate::sys::{self, Errno, page_size};

pub const CASES: &[Case] = &[
    case(
        "one_moment",
        "no store of another thread is in the child's memory without the store to the device that it came after",
        one_moment,
    )
    .slow(3),
    case("one_moment_loads", "no thread has seen more of the device than the child has", one_moment_loads)
        .slow(2),
    case(
        "one_moment_calls",
        "what other threads' mmap, munmap and ioctl have done is in the child as they have noted it",
        one_moment_calls,
    )
    .slow(2),
    case(
        "one_moment_unnoticed",
        "64 threads that store, sleep, poll, read and wait notice nothing of other threads' forks",
        one_moment_unnoticed,
    )
    .slow(3),
    case(
        "handlers_take_locks",
        "a pthread_atfork handler takes a lock that another thread holds while it uses the device",
        handlers_take_locks,
    ),
    case(
        "refused_runs_handlers",
        "when the driver refuses a fork, the handlers for the parent run",
        refused_runs_handlers,
    ),
];

/// Runs threads while `f` runs. Each gets its number and whether it is to go on.
fn beside(
    count: usize,
    thread: impl Fn(usize, &dyn Fn() -> bool) + Sync,
    f: impl FnOnce() -> Result,
) -> Result {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for me in 0..count {
            let (stop, thread) = (&stop, &thread);
            scope.spawn(move || thread(me, &|| !stop.load(Ordering::SeqCst)));
        }
        let result = f();
        stop.store(true, Ordering::SeqCst);
        result
    })
}

/// Values that a thread has stored in ordinary memory, of which the child has a copy.
type Notes = [AtomicU64; 64];

fn notes() -> Notes {
    [const { AtomicU64::new(0) }; 64]
}

/// A thread of many: every store to the device is noted afterwards.
fn store_and_note(map: Map, notes: &Notes, me: usize, value: u64) {
    probe::bare_store8(map.at(8 * me), value);
    notes[me].store(value, Ordering::SeqCst);
}

/// In the child: a note is there if, and as soon as, what it is of is there.
fn agree(map: &Map, notes: &Notes, threads: usize) -> Result {
    for (me, note) in notes.iter().enumerate().take(threads) {
        let (device, noted) = (map.get(8 * me)?, note.load(Ordering::SeqCst));
        check(
            device == noted || device == noted + 1,
            format!("thread {me}: the device has {device}, its memory {noted}"),
        )?;
    }
    Ok(())
}

fn one_moment(t: &Ctx) -> Result {
    const THREADS: usize = 3;
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    let notes = notes();
    let writer = |me: usize, on: &dyn Fn() -> bool| {
        let mut value = 0;
        while on() {
            value += 1;
            store_and_note(map, &notes, me, value);
        }
    };
    beside(THREADS, writer, || {
        t.rounds(150).try_for_each(|_| Peer::start(|_| agree(&map, &notes, THREADS))?.done())
    })
}

fn one_moment_loads(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    let seen = AtomicU64::new(0);
    let thread = |me: usize, on: &dyn Fn() -> bool| {
        let mut value = 0;
        while on() {
            if me == 0 {
                value += 1;
                probe::bare_store8(map.at(0), value);
            } else {
                seen.store(probe::bare_load8(map.at(0)), Ordering::SeqCst);
            }
        }
    };
    beside(2, thread, || {
        t.rounds(100).try_for_each(|_| {
            Peer::start(|_| {
                let (device, seen) = (map.get(0)?, seen.load(Ordering::SeqCst));
                check(device >= seen, format!("a thread has seen {seen}, the device has {device}"))
            })?
            .done()
        })
    })
}

/// A note of a thread about the mapping that it makes and unmaps over and over: its address while it is surely there, 1 while it is surely not.
const UNSURE: u64 = 0;
const NOTHING: u64 = 1;

fn one_moment_calls(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let own = dev.map_region(dev.layout.fb, PRIVATE)?;
    own.put(0, 7)?;
    let place = crate::device::reserve(page_size())?;
    let (state, asked, failed) = (AtomicU64::new(UNSURE), AtomicU64::new(0), AtomicUsize::new(0));
    let mapper = |on: &dyn Fn() -> bool| -> Result {
        while on() {
            let map = dev.map_at(place, 0, page_size(), NONE | libc::PROT_READ, SHARED)?;
            state.store(place as u64, Ordering::SeqCst);
            state.store(UNSURE, Ordering::SeqCst);
            map.unmap()?;
            state.store(NOTHING, Ordering::SeqCst);
            state.store(UNSURE, Ordering::SeqCst);
        }
        Ok(())
    };
    let asker = |on: &dyn Fn() -> bool| -> Result {
        while on() {
            asked.store(dev.stats()?.maps, Ordering::SeqCst);
        }
        Ok(())
    };
    let thread = |me: usize, on: &dyn Fn() -> bool| {
        let done = if me == 0 { mapper(on) } else { asker(on) };
        failed.fetch_add(usize::from(done.is_err()), Ordering::SeqCst);
    };
    beside(2, thread, || {
        t.rounds(60).try_for_each(|_| {
            Peer::start(|_| {
                own.holds(0, 7)?;
                check(
                    asked.load(Ordering::SeqCst) <= dev.stats()?.maps,
                    "the device has counted fewer maps",
                )?;
                match (state.load(Ordering::SeqCst), probe::load8(place)) {
                    (UNSURE, _) | (NOTHING, Err(_)) => Ok(()),
                    (NOTHING, Ok(_)) => Err(error("the child has a mapping that was unmapped")),
                    (_, Ok(_)) => Ok(()),
                    (_, Err(fault)) => {
                        check(fault.kind() != Kind::Hole, "the child lacks a mapping that was made")
                    }
                }
            })?
            .done()
        })
    })?;
    equal("calls that failed", failed.load(Ordering::SeqCst), 0)
}

fn one_moment_unnoticed(t: &Ctx) -> Result {
    const THREADS: usize = 64;
    const NAP: Duration = Duration::from_millis(3);
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    let notes = notes();
    let (nobody_writes, _keep) = works("pipe", sys::pipe())?;
    let noticed = Mutex::new(Vec::new());
    let (lock, changed) = (Mutex::new(()), Condvar::new());
    let wait = |me: usize| -> std::result::Result<(), Errno> {
        match me % 4 {
            0 => sys::nap(NAP),
            1 => sys::poll_for(nobody_writes, NAP).map(|_| ()),
            2 => {
                let guard = lock.lock().unwrap_or_else(|e| e.into_inner());
                drop(changed.wait_timeout(guard, NAP));
                Ok(())
            }
            _ => works("pipe", sys::pipe()).map_or(Ok(()), |(out, into)| {
                let written = sys::write(into, b"x");
                let read = sys::read(out, &mut [0; 8]);
                let _ = (sys::close(out), sys::close(into));
                written.and(read).map(|_| ())
            }),
        }
    };
    let writer = |me: usize, on: &dyn Fn() -> bool| {
        let mut value = 0;
        while on() {
            value += 1;
            store_and_note(map, &notes, me, value);
            if let Err(errno) = wait(me) {
                noticed.lock().unwrap_or_else(|e| e.into_inner()).push(format!("thread {me}: {errno}"));
            }
            if me % 4 == 3 {
                std::thread::sleep(NAP);
            }
        }
    };
    beside(THREADS, writer, || {
        t.rounds(50).try_for_each(|_| Peer::start(|_| agree(&map, &notes, THREADS))?.done())
    })?;
    let noticed = noticed.into_inner().unwrap_or_default();
    equal("what threads noticed", noticed, Vec::new())
}

/// A lock that is taken in a handler, for which a pthread mutex would do as well.
static LOCKED: AtomicBool = AtomicBool::new(false);
static RUNS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

fn lock() {
    while LOCKED.swap(true, Ordering::SeqCst) {
        std::thread::yield_now();
    }
}

fn unlock() {
    LOCKED.store(false, Ordering::SeqCst);
}

extern "C" fn prepare() {
    lock();
    RUNS[0].fetch_add(1, Ordering::SeqCst);
}

extern "C" fn in_parent() {
    RUNS[1].fetch_add(1, Ordering::SeqCst);
    unlock();
}

extern "C" fn in_child() {
    RUNS[2].fetch_add(1, Ordering::SeqCst);
    unlock();
}

fn runs() -> [usize; 3] {
    RUNS.each_ref().map(|n| n.load(Ordering::SeqCst))
}

/// Holds the lock over a request, a fault and an access that does not fault, again and again.
fn use_locked(dev: Dev, map: Map, on: &dyn Fn() -> bool) {
    while on() {
        lock();
        let _ = dev.revoke();
        probe::bare_store8(map.at(0), probe::bare_load8(map.at(0)) + 1);
        unlock();
        std::thread::yield_now();
    }
}

fn handlers_take_locks(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    works("pthread_atfork", sys::at_fork(Some(prepare), in_parent, in_child))?;
    let before = runs();
    let mut forks = 0;
    beside(
        1,
        |_, on| use_locked(dev, map, on),
        || {
            t.rounds(50).try_for_each(|_| {
                forks += 1;
                Peer::start(|_| {
                    lock();
                    map.get(0)?;
                    unlock();
                    equal("handlers in the child", runs()[2], before[2] + 1)
                })?
                .done()
            })
        },
    )?;
    equal("handlers", runs(), [before[0] + forks, before[1] + forks, before[2]])
}

fn refused_runs_handlers(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(0x40)?;
    works("pthread_atfork", sys::at_fork(Some(prepare), in_parent, in_child))?;
    dev.set_max_contexts(dev.stats()?.contexts as usize)?;
    let before = runs();
    match Peer::try_start(|_| Ok(())) {
        Err(NotStarted::Fork(errno)) => equal("errno of fork", errno.name(), "EAGAIN".to_string())?,
        Err(NotStarted::Other(stop)) => return Err(stop),
        Ok(peer) => {
            peer.done()?;
            return Err(error("fork succeeded"));
        }
    }
    equal("handlers", runs(), [before[0] + 1, before[1] + 1, before[2]])?;
    check(!LOCKED.load(Ordering::SeqCst), "the lock is not given back")
}
