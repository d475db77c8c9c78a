//! fork and exec, fork refused by the driver, many forks.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::fork::engine_pages;
use crate::case::{Case, Ctx, Result, case, check, equal, fail, same, works};
use crate::device::{Map, PRIVATE, READ, SHARED, grew};
use crate::peer::{NotStarted, Peer};
use crate::probe::{self, Kind};
use crate::sys::{self, Status, page_size};

pub const CASES: &[Case] = &[
    case("at_fork_handlers", "device memory can be used in pthread_atfork handlers", at_fork_handlers),
    case("vfork_exec", "vfork and exec leave the parent's mapping as it was", vfork_exec),
    case(
        "posix_spawn",
        "posix_spawn: the program maps the device anew, the parent's mapping stays",
        posix_spawn,
    ),
    case("fork_exec", "fork and exec: nothing of the mapping is left in the new program", fork_exec),
    case("refused", "fork fails with the driver's EAGAIN, and nothing has changed", refused),
    case("refused_half_way", "a refusal of the third mapping takes back the first two", refused_half_way),
    case(
        "refused_then_works",
        "after a refusal fork works as soon as the driver allows it",
        refused_then_works,
    ),
    case(
        "refused_shared_not",
        "shared mappings need no context: their fork is never refused",
        refused_shared_not,
    ),
    case(
        "refused_with_threads",
        "a refused fork in a process with threads leaves them running",
        refused_with_threads,
    ),
    case("hundred_forks", "a hundred forks and exits leave nothing", hundred_forks).slow(2),
    case("fork_storm", "eight processes that fork at the same time", fork_storm).slow(2),
    case("handler_in_child", "the program's signal handler works in the child", handler_in_child),
];

static AT_FORK_MAP: AtomicUsize = AtomicUsize::new(0);

extern "C" fn in_parent() {
    let base = AT_FORK_MAP.load(Ordering::SeqCst);
    if base != 0 {
        probe::bare_store8(base + 8, probe::bare_load8(base + 8) + 1);
    }
}

extern "C" fn in_child() {
    let base = AT_FORK_MAP.load(Ordering::SeqCst);
    if base != 0 {
        probe::bare_store8(base + 16, probe::bare_load8(base) + 1);
    }
}

fn at_fork_handlers(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.put(0, 0x40)?;
    AT_FORK_MAP.store(map.base, Ordering::SeqCst);
    works("pthread_atfork", sys::at_fork(None, in_parent, in_child))?;
    for round in 1..4 {
        let child = Peer::start(|_| {
            map.holds(0, 0x40)?;
            map.holds(16, 0x41)
        })?;
        child.done()?;
        map.holds(8, round)?;
        map.holds(16, 0)?;
    }
    Ok(())
}

/// Starts the program that maps the device for itself, and looks at what is left here.
fn new_program(t: &Ctx, start: fn(&[String]) -> sys::Sys<i32>) -> Result {
    let dev = t.ctxdev()?;
    let (shared, private) = (dev.map_all(SHARED)?, dev.map_region(dev.layout.fb, PRIVATE)?);
    shared.mark(0x100)?;
    private.mark(0x200)?;
    let before = dev.stats()?;
    let args = [private.base.to_string(), 0x100.to_string()];
    Peer::start_program(&t.device, "map_anew", &args, start)?.done()?;
    private.marked(0x200)?;
    shared.holds(0, 0x100)?;
    grew(&dev, &before, &[("mappings", 0), ("contexts", 0)])
}

fn vfork_exec(t: &Ctx) -> Result {
    new_program(t, sys::vfork_exec)
}

fn posix_spawn(t: &Ctx) -> Result {
    new_program(t, sys::spawn)
}

fn fork_exec(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let private = dev.map_region(dev.layout.fb, PRIVATE)?;
    private.mark(0x200)?;
    dev.map_all(SHARED)?.mark(0x100)?;
    let before = dev.stats()?;
    Peer::execute(&t.device, "map_anew", &[private.base.to_string(), 0x100.to_string()])?.done()?;
    private.marked(0x200)?;
    grew(&dev, &before, &[("mappings", 0), ("contexts", 0)])
}

/// Forks, which must fail with EAGAIN.
fn fork_refused(map: &Map) -> Result {
    match Peer::try_start(|_| map.get(0).map(|_| ())) {
        Err(NotStarted::Fork(errno)) => equal("errno of fork", errno.name(), "EAGAIN".to_string()),
        Err(NotStarted::Other(stop)) => Err(stop),
        Ok(peer) => {
            peer.done()?;
            Err(fail("fork: expected EAGAIN, but it succeeded"))
        }
    }
}

fn refused(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(0x40)?;
    let before = dev.stats()?;
    dev.set_max_contexts(before.contexts as usize)?;
    for _ in 0..3 {
        fork_refused(&map)?;
        map.marked_in(0x40, engine_pages(&dev))?;
    }
    grew(&dev, &before, &[("mappings", 0), ("contexts", 0)])?;
    check(sys::wait_now(-1).is_err(), "a refused fork left a child to wait for")?;
    map.mark(0x50)?;
    map.marked(0x50)
}

fn refused_half_way(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps = [
        dev.map_region(dev.layout.fb, PRIVATE)?,
        dev.map_region(dev.layout.ring, PRIVATE)?,
        dev.map_region(dev.layout.regs, PRIVATE)?,
    ];
    for map in &maps {
        map.mark(0x40)?;
    }
    let before = dev.stats()?;
    // Room for copies of two of the three.
    dev.set_max_contexts(before.contexts as usize + 2)?;
    fork_refused(&maps[0])?;
    grew(&dev, &before, &[("mappings", 0), ("contexts", 0)])?;
    for map in &maps {
        map.marked(0x40)?;
    }
    dev.set_max_contexts(before.contexts as usize + 3)?;
    Peer::start(|_| maps.iter().try_for_each(|map| map.marked(0x40)))?.done()?;
    grew(&dev, &before, &[("mappings", 0), ("contexts", 0)])
}

fn refused_then_works(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x40)?;
    let contexts = dev.stats()?.contexts as usize;
    for _ in 0..5 {
        dev.set_max_contexts(contexts)?;
        fork_refused(&map)?;
        dev.set_max_contexts(contexts + 1)?;
        Peer::start(|_| {
            map.marked(0x40)?;
            map.mark(0x60)
        })?
        .done()?;
        map.marked(0x40)?;
    }
    Ok(())
}

fn refused_shared_not(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    // The limit counts private contexts: one private mapping makes it bite, elsewhere.
    let mut other = Peer::start(|link| {
        let map = dev.map_region(dev.layout.fb, PRIVATE)?;
        map.put(0, 1)?;
        link.say(b'm')?;
        link.hear(b'x')
    })?;
    other.hear(b'm')?;
    let shared = dev.map_all(SHARED)?;
    shared.mark(0x70)?;
    dev.set_max_contexts(1)?;
    Peer::start(|_| shared.marked(0x70))?.done()?;
    other.link.say(b'x')?;
    other.done()
}

fn refused_with_threads(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x40)?;
    let stop = AtomicBool::new(false);
    let rounds = AtomicUsize::new(0);
    dev.set_max_contexts(dev.stats()?.contexts as usize)?;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                probe::bare_store8(map.at(page_size() + 8), 5);
                rounds.fetch_add(1, Ordering::SeqCst);
            }
        });
        let result = (0..5).try_for_each(|_| {
            fork_refused(&map)?;
            // The thread goes on: it does another round.
            let from = rounds.load(Ordering::SeqCst);
            while rounds.load(Ordering::SeqCst) == from {
                std::thread::yield_now();
            }
            Ok(())
        });
        stop.store(true, Ordering::SeqCst);
        result
    })?;
    map.marked(0x40)
}

fn hundred_forks(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.put(0, 0xf00d)?;
    let before = dev.stats()?;
    for round in 0..100u64 {
        Peer::start(|_| {
            map.holds(0, 0xf00d)?;
            map.put(0, round)
        })?
        .done()?;
    }
    map.holds(0, 0xf00d)?;
    grew(&dev, &before, &[("mappings", 0), ("contexts", 0), ("dups", 100)])
}

fn fork_storm(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    let place = dev.layout.fb.off;
    map.put(place, 0)?;
    let peers: Vec<Peer> = (1..=8u64)
        .map(|me| {
            Peer::start(|_| {
                map.put(place, me)?;
                for round in 0..6 {
                    Peer::start(|_| {
                        map.holds(place, me)?;
                        map.put(place, me * 100 + round)?;
                        map.holds(place, me * 100 + round)
                    })?
                    .done()?;
                    map.holds(place, me)?;
                }
                Ok(())
            })
        })
        .collect::<Result<_>>()?;
    peers.into_iter().try_for_each(Peer::done)?;
    map.holds(place, 0)
}

fn handler_in_child(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map(dev.layout.scratch.off, page_size(), READ, PRIVATE)?;
    let fb = dev.map_region(dev.layout.fb, PRIVATE)?;
    fb.mark(3)?;
    Peer::start(|_| {
        for _ in 0..10 {
            map.store_faults(8, Kind::Protection)?;
            fb.marked(3)?;
        }
        let mut grandchild = Peer::start(|_| {
            sys::plain_disposition(libc::SIGSEGV, libc::SIG_DFL);
            probe::bare_load8(map.at(0));
            probe::bare_store8(map.at(0), 1);
            Ok(())
        })?;
        grandchild.ends_with(Status::Killed(libc::SIGSEGV))
    })?
    .done()?;
    same("value in the parent", fb.get(0)?, 3)
}
