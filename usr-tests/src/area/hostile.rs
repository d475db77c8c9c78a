//! Attempts of a process to bring a devmap framework down: a program for each defect of docs/shield.md that a process can reach. Harmless under the host and in
//! a module with its own framework. Each case ends with the device working; the runner sees that nothing of the case is left.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::case::{Case, Ctx, Result, case, check, equal, error, fail, refused, works};
use crate::device::{Dev, FIXED, Map, NONE, PRIVATE, READ, RW, SHARED, reserve};
use crate::os;
use crate::peer::Peer;
use crate::probe::{self, Kind};
use crate::sys::{self, page_size};

pub const CASES: &[Case] = &[
    case("tails", "tails of mappings of all regions go, from every page on (1 to 3)", tails)
        .slow(2)
        .cuts_tail(),
    case("tails_by_fixed", "the same by mappings of memory over the tails (1 to 3)", tails_by_fixed)
        .slow(2)
        .cuts_tail(),
    case(
        "lost_and_found",
        "accesses, mprotect and fork while the device is lost, then again (4 to 6)",
        lost_and_found,
    ),
    case(
        "failing_mappings",
        "mmaps that fail half way, in many ways, leave nothing (7, 8)",
        failing_mappings,
    ),
    case(
        "read_only_open",
        "a read-only open never gets write access, whatever mprotect and the device do (9 to 12)",
        read_only_open,
    ),
    case("negative_offsets", "mmap from before the device's memory is refused (11)", negative_offsets),
    case(
        "odd_ranges",
        "mmap and munmap of lengths and offsets near every limit (13, 14, 16, 17)",
        odd_ranges,
    ),
    case(
        "protections_to_the_end",
        "questions about the last page of a mapping of many protections (15)",
        to_the_end,
    ),
    case(
        "locked_by_others",
        "memory locks and system calls on pages of two mappings of a device, at once (18 to 27)",
        locked_by_others,
    )
    .slow(2),
    case(
        "waiting_for_oneself",
        "one thread goes to and fro between contexts of its own with hysteresis (28, 29)",
        waiting_for_oneself,
    )
    .slow(2),
    case(
        "mmap_against_munmap",
        "one thread maps a place, another unmaps it, in loops (30)",
        mmap_against_munmap,
    )
    .slow(2)
    .hostile(),
    case(
        "mmap_against_access",
        "one thread maps a place, others access it, in loops (31)",
        mmap_against_access,
    )
    .slow(2),
    case("mmap_against_fork", "one thread maps and unmaps a place, others fork (30, 31)", mmap_against_fork)
        .slow(2)
        .hostile(),
    case(
        "mmap_against_mmap",
        "threads map parts of one place over one another, in loops (30, 31)",
        mmap_against_mmap,
    )
    .slow(2)
    .hostile(),
    case("mprotect_of_loaded", "mprotect of loaded registers holds when it returns (32)", mprotect_of_loaded),
    case(
        "killed_between_contexts",
        "SIGKILL ends a process that goes to and fro between contexts, soon (33)",
        killed_between_contexts,
    )
    .slow(3),
];

/// Duration of a race.
const LONG: Duration = Duration::from_millis(1200);

/// The device works.
fn works_still(dev: &Dev) -> Result {
    for flags in [SHARED, PRIVATE] {
        let map = dev.map_region(dev.layout.fb, flags)?;
        map.mark(0x77)?;
        map.marked(0x77)?;
        map.unmap()?;
    }
    Ok(())
}

/// Runs what may hurt in a process of its own, which must come to its end.
fn apart(dev: &Dev, body: impl FnOnce() -> Result) -> Result {
    Peer::start(|_| body())?.done()?;
    works_still(dev)
}

/// Runs `one` and `other` at once, each again and again, in a process of its own.
fn at_once(dev: &Dev, one: impl Fn(u64) -> Result + Sync, other: impl Fn(u64) -> Result + Sync) -> Result {
    apart(dev, || {
        let stop = AtomicBool::new(false);
        let again = |f: &(dyn Fn(u64) -> Result + Sync)| {
            let mut result = Ok(());
            for round in 0.. {
                if stop.load(Relaxed) || result.is_err() {
                    break;
                }
                result = f(round);
            }
            stop.store(true, Relaxed);
            result
        };
        std::thread::scope(|scope| {
            let threads =
                [scope.spawn(|| again(&one)), scope.spawn(|| again(&other)), scope.spawn(|| again(&other))];
            let end = Instant::now() + LONG;
            while Instant::now() < end && !stop.load(Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
            }
            stop.store(true, Relaxed);
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(error("a thread panicked"))))
        })
    })
}

/// Cuts the tail from every page on, in many orders.
fn cut_tails(dev: &Dev, cut: impl Fn(&Map, usize) -> Result) -> Result {
    let pages = dev.layout.total() / page_size();
    for first in (1..pages).step_by(1 + pages / 40) {
        let map = dev.map_all(SHARED)?;
        for page in (0..pages).step_by(3) {
            map.get(page * page_size())?;
        }
        cut(&map, first)?;
        map.get((first - 1) * page_size())?;
        if first > 2 {
            cut(&map, first / 2)?;
            map.get(0)?;
        }
        map.unmap()?;
    }
    Ok(())
}

fn tails(t: &Ctx) -> Result {
    let dev = t.open()?;
    apart(&dev, || cut_tails(&dev, |map, first| map.unmap_pages(first, map.pages())))
}

fn tails_by_fixed(t: &Ctx) -> Result {
    let dev = t.open()?;
    apart(&dev, || {
        cut_tails(&dev, |map, first| {
            let (at, len) = (map.at(first * page_size()), (map.pages() - first) * page_size());
            works("mmap", sys::mmap(at, len, RW, os::ANONYMOUS | FIXED, -1, 0)).map(|_| ())
        })
    })
}

fn lost_and_found(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(3)?;
    dev.revoke()?;
    dev.lose(true)?;
    let lost = apart_while_lost(&dev, &map);
    dev.lose(false)?;
    lost?;
    map.marked(3)?;
    works_still(&dev)
}

fn apart_while_lost(dev: &Dev, map: &Map) -> Result {
    for round in 0..3 {
        for page in 0..map.pages() {
            let fault = probe::load8(map.at(page * page_size())).err().map(|fault| fault.signal);
            equal("a load while the device is lost", fault, Some(libc::SIGBUS))?;
        }
        map.protect(if round % 2 == 0 { READ } else { RW })?;
        Peer::start(|_| {
            check(probe::load8(map.at(0)).is_err(), "the child loads from a lost device")?;
            map.unmap_pages(1, 2)
        })?
        .done()?;
    }
    map.protect(RW)?;
    let other = dev.map_region(dev.layout.ring, SHARED)?;
    check(probe::load8(other.at(0)).is_err(), "a load from a new mapping of a lost device works")?;
    other.unmap()
}

fn failing_mappings(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let (fb, total) = (dev.layout.fb, dev.layout.total());
    let kept = dev.map_region(fb, PRIVATE)?;
    kept.mark(9)?;
    let place = reserve(2 * total)?;
    dev.set_max_contexts(1)?;
    let failed = || -> Result {
        for _ in 0..20 {
            refused("mmap beyond the contexts", dev.try_map(fb.off, fb.len, RW, PRIVATE), &[libc::ENXIO])?;
            let fixed = dev.try_map_at(place, fb.off, fb.len, RW, PRIVATE | FIXED);
            refused("the same at a place", fixed, &[libc::ENXIO])?;
            let beyond = dev.try_map_at(place, 0, 2 * total, RW, SHARED | FIXED);
            check(beyond.is_err(), "mmap of more than the device has")?;
            check(probe::load8(place).is_err(), "a failed mapping can be loaded from")?;
        }
        Ok(())
    };
    let result = failed();
    dev.set_max_contexts(0)?;
    result?;
    kept.marked(9)?;
    Peer::start(|_| check(probe::load8(place).is_err(), "the child has a failed mapping"))?.done()?;
    works("munmap", sys::munmap(place, 2 * total))?;
    works_still(&dev)
}

fn read_only_open(t: &Ctx) -> Result {
    let dev = t.open()?;
    let read_only = t.open_with(libc::O_RDONLY)?;
    let map = read_only.map(dev.layout.fb.off, dev.layout.fb.len, READ, SHARED)?;
    for page in 0..map.pages() {
        let at = map.at(page * page_size());
        map.get(page * page_size())?;
        refused("mprotect to write", sys::mprotect(at, page_size(), RW), &[libc::EACCES])?;
        check(probe::store8(at, 1).is_err(), "a store through a read-only open")?;
        if dev.is_ctxdev() {
            dev.revoke()?;
        }
        check(probe::store8(at, 1).is_err(), "a store through a read-only open, not loaded")?;
    }
    works_still(&dev)
}

fn negative_offsets(t: &Ctx) -> Result {
    let dev = t.open()?;
    apart(&dev, || {
        let map = dev.map_region(dev.layout.fb, SHARED)?;
        map.mark(3)?;
        for before in 1..=4 {
            // From lengths that end before the memory to such that reach into it.
            for pages in 1..=8 {
                let off = -((before * page_size()) as i64);
                let mapped = sys::mmap(0, pages * page_size(), RW, SHARED, dev.fd, off);
                check(mapped.is_err(), "an mmap from before the device's memory worked")?;
            }
        }
        map.marked(3)
    })
}

fn odd_ranges(t: &Ctx) -> Result {
    let dev = t.open()?;
    let total = dev.layout.total();
    apart(&dev, || {
        let ends = [0, 1, page_size() - 1, total, usize::MAX / 2, usize::MAX - page_size(), usize::MAX];
        for off in ends {
            for len in ends {
                if let Ok(at) = sys::mmap(0, len, RW, SHARED, dev.fd, off as i64) {
                    let _ = probe::load8(at);
                    works("munmap", sys::munmap(at, len))?;
                }
            }
        }
        let map = dev.map_region(dev.layout.fb, SHARED)?;
        map.mark(1)?;
        for len in [0, usize::MAX, usize::MAX - page_size(), 1 << 63] {
            check(sys::munmap(map.at(0), len).is_err(), "munmap of a range that is none")?;
        }
        map.marked(1)
    })
}

fn to_the_end(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.fb, SHARED)?;
    map.mark(5)?;
    let last = map.pages() - 1;
    for prot in [READ, NONE, RW] {
        map.protect_pages(last, last + 1, prot)?;
        for from in [0, last / 2, last] {
            let len = (map.pages() - from) * page_size();
            let _ = sys::mincore(map.at(from * page_size()), len);
            let _ = sys::msync(map.at(from * page_size()), len, libc::MS_SYNC);
            works("mprotect", sys::mprotect(map.at(from * page_size()), len, RW))?;
        }
    }
    map.marked(5)?;
    works_still(&dev)
}

fn locked_by_others(t: &Ctx) -> Result {
    let dev = t.open()?;
    let len = dev.layout.fb.len;
    apart(&dev, || {
        let maps = [dev.map_region(dev.layout.fb, SHARED)?, dev.map_region(dev.layout.fb, PRIVATE)?];
        let file = works("mkstemp", sys::temporary_file())?;
        std::thread::scope(|scope| {
            let threads = maps.each_ref().map(|map| {
                scope.spawn(|| {
                    for round in 0..20 {
                        let _ = sys::mlock(map.at(0), len);
                        // What cannot be done on device memory fails; nothing waits for itself.
                        let _ = sys::pwrite_at(file, map.at(0), page_size(), 0);
                        let _ = sys::pread_at(file, map.at(page_size()), page_size(), 0);
                        map.put(2 * page_size(), round)?;
                        if round % 4 == 0 && dev.is_ctxdev() {
                            dev.revoke()?;
                        }
                        let _ = sys::munlock(map.at(0), len);
                    }
                    Ok(())
                })
            });
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(error("a thread panicked"))))
        })?;
        for map in maps {
            map.unmap()?;
        }
        works("close", sys::close(file))
    })
}

fn waiting_for_oneself(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    dev.set_hysteresis(20)?;
    let result = apart(&dev, || {
        let maps = [0, 1, 2].map(|_| dev.map_region(dev.layout.fb, PRIVATE));
        let maps = maps.into_iter().collect::<Result<Vec<_>>>()?;
        for round in 0..12u64 {
            for (n, map) in maps.iter().enumerate() {
                map.put(8 * n, round)?;
                map.holds(8 * n, round)?;
            }
            // One that was about to wait for a context goes meanwhile.
            if round % 4 == 3 {
                Peer::start(|_| maps.iter().try_for_each(|map| map.put(64, round)))?.done()?;
            }
        }
        maps.iter().try_for_each(Map::unmap)
    });
    dev.set_hysteresis(0)?;
    result
}

/// Result of an access to a place that others map and unmap: a value, or one of the two signals of a hole.
fn touch(addr: usize) -> Result {
    match probe::load8(addr) {
        Err(fault) if fault.kind() != Kind::Hole && fault.signal != libc::SIGSEGV => {
            Err(fail(format!("a load: {fault}")))
        }
        _ => Ok(()),
    }
}

/// A place that nobody else maps anything at: below a gap, as [`Dev::map_apart`] makes one.
fn free_place(len: usize) -> Result<usize> {
    const GAP: usize = 64 << 20;
    let place = reserve(len + GAP)?;
    works("munmap", sys::munmap(place, len + GAP))?;
    Ok(place)
}

/// A fixed mapping whose place another thread takes away at the same time.
fn map_in_a_race(dev: &Dev, place: usize, off: usize, len: usize, flags: i32) -> Result {
    works("mmap", dev.try_map_at(place, off, len, RW, flags | FIXED)).map(|_| ())
}

fn mmap_against_munmap(t: &Ctx) -> Result {
    let dev = t.open()?;
    let (fb, len) = (dev.layout.fb, 4 * page_size());
    let place = free_place(len)?;
    at_once(
        &dev,
        |_| map_in_a_race(&dev, place, fb.off, len, SHARED),
        |round| works("munmap", sys::munmap(place, len - (round as usize % 2) * page_size())),
    )
}

fn mmap_against_access(t: &Ctx) -> Result {
    let dev = t.open()?;
    let (fb, len) = (dev.layout.fb, 4 * page_size());
    let place = free_place(len)?;
    at_once(
        &dev,
        |_| {
            dev.map_at(place, fb.off, len, RW, SHARED | FIXED)?;
            works("mmap", sys::mmap(place, len, NONE, os::ANONYMOUS | FIXED, -1, 0)).map(|_| ())
        },
        |round| touch(place + round as usize % 4 * page_size()),
    )
}

fn mmap_against_fork(t: &Ctx) -> Result {
    let dev = t.open()?;
    let (fb, len) = (dev.layout.fb, 2 * page_size());
    let place = free_place(len)?;
    at_once(
        &dev,
        |_| {
            dev.map_at(place, fb.off, len, RW, PRIVATE | FIXED)?;
            works("munmap", sys::munmap(place, len))
        },
        |_| Peer::start(|_| touch(place))?.done(),
    )
}

fn mmap_against_mmap(t: &Ctx) -> Result {
    let dev = t.open()?;
    let (fb, page) = (dev.layout.fb, page_size());
    let place = free_place(4 * page)?;
    at_once(
        &dev,
        |_| map_in_a_race(&dev, place, fb.off, 4 * page, SHARED),
        |round| {
            let first = round as usize % 3;
            map_in_a_race(&dev, place + first * page, fb.off + first * page, 2 * page, PRIVATE)?;
            touch(place + first * page)
        },
    )
}

fn mprotect_of_loaded(t: &Ctx) -> Result {
    let dev = t.open()?;
    for region in dev.layout.regions() {
        let map = dev.map_region(region, SHARED)?;
        for round in 0..4 {
            map.put(40, round)?;
            map.protect(READ)?;
            map.holds(40, round)?;
            check(probe::store8(map.at(40), 99).is_err(), "a store after mprotect to read-only")?;
            map.holds(40, round)?;
            map.protect(RW)?;
            map.put(40, round + 1)?;
        }
        map.put(40, 0)?;
        map.unmap()?;
    }
    works_still(&dev)
}

fn killed_between_contexts(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    dev.set_hysteresis(50)?;
    let result = (0..4u64).try_for_each(|round| {
        let mut peer = Peer::start(|link| {
            let maps = [dev.map_region(dev.layout.fb, PRIVATE)?, dev.map_region(dev.layout.fb, PRIVATE)?];
            link.say(b'r')?;
            for round in 0.. {
                maps[round as usize % 2].put(0, round)?;
            }
            Ok(())
        })?;
        peer.hear(b'r')?;
        std::thread::sleep(Duration::from_millis(30 + 17 * round));
        let from = Instant::now();
        peer.killed()?;
        let took = from.elapsed();
        check(took < Duration::from_secs(3), format!("it lived on for {took:?}"))
    });
    dev.set_hysteresis(0)?;
    result?;
    works_still(&dev)
}
