//! Loads, stores and instruction fetches: first touch, protections, what a refused access looks like, threads.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::case::{Case, Ctx, Result, case, check, equal, error, fail, same};
use crate::device::{Map, NONE, PRIVATE, READ, RW, SHARED, grew};
use crate::probe::{self, Kind};
use crate::sys::page_size;

pub const CASES: &[Case] = &[
    case("first_touch_read", "the first load of each page works and is one fault", first_touch_read),
    case("first_touch_write", "the first store to each page works and is one fault", first_touch_write),
    case(
        "read_then_write",
        "a page that was read first can be written, and the other way round",
        read_then_write,
    ),
    case("again_is_free", "a page once touched is not a fault again", again_is_free),
    case("every_width", "loads and stores of 1, 2, 4 and 8 bytes at every alignment are exact", every_width),
    case("across_pages", "an access across two pages is whole", across_pages),
    case("across_regions", "an access across two regions of one mapping is whole", across_regions),
    case("sixteen_bytes", "a 16-byte load across pages and regions is whole", sixteen_bytes),
    case("atomics", "atomic additions and exchanges work on device memory", atomics),
    case("big_copy", "a copy of the whole device to memory and back loses nothing", big_copy),
    case("after_protect", "access follows mprotect", after_protect).of("LTP mprotect02"),
    case(
        "after_revoke",
        "after the driver drops all translations the values are the same, by a new fault",
        after_revoke,
    ),
    case(
        "threads_one_page",
        "eight threads that touch one page for the first time all see it",
        threads_one_page,
    ),
    case(
        "threads_all_pages",
        "eight threads that touch all pages in different orders lose no store",
        threads_all_pages,
    ),
    case("threads_add", "atomic additions of eight threads add up", threads_add),
    case(
        "threads_two_contexts",
        "threads at two contexts of one process never see the other's",
        threads_two_contexts,
    )
    .slow(2),
    case(
        "threads_refused",
        "threads whose accesses are refused at the same time each get their own signal",
        threads_refused,
    ),
    case(
        "touch_under_revoke",
        "stores are not lost while translations are dropped all the time",
        touch_under_revoke,
    )
    .slow(2),
];

fn touch_each(t: &Ctx, write: bool) -> Result {
    let dev = t.open()?;
    for region in dev.layout.regions() {
        let map = dev.map_region(region, PRIVATE)?;
        for page in 0..map.pages() {
            let before = if dev.is_ctxdev() { Some(dev.stats()?) } else { None };
            if write {
                map.put(page * page_size() + 16, 3)?;
            } else {
                map.get(page * page_size() + 16)?;
            }
            if let Some(before) = before {
                let after = dev.stats()?;
                // A framework may serve more than was asked for, but never without telling the driver.
                check(after.faults - before.faults <= 1, "one access was more than one fault")?;
                check(page > 0 || after.faults > before.faults, "the first access was no fault")?;
            }
        }
    }
    Ok(())
}

fn first_touch_read(t: &Ctx) -> Result {
    touch_each(t, false)
}

fn first_touch_write(t: &Ctx) -> Result {
    touch_each(t, true)
}

fn read_then_write(t: &Ctx) -> Result {
    let dev = t.open()?;
    for flags in [SHARED, PRIVATE] {
        let map = dev.map_all(flags)?;
        for page in 0..map.pages() {
            let at = page * page_size();
            if page % 2 == 0 {
                map.get(at)?;
                map.put(at, 0x40 + page as u64)?;
            } else {
                map.put(at, 0x40 + page as u64)?;
            }
        }
        map.marked(0x40)?;
    }
    Ok(())
}

fn again_is_free(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(1)?;
    let before = dev.stats()?;
    for _ in 0..50 {
        map.marked(1)?;
    }
    grew(&dev, &before, &[("faults", 0), ("switches", 0)])
}

fn every_width(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.ring, PRIVATE)?;
    for at in 0..16 {
        let a = map.at(at);
        let wrong = |what: &str| fail(format!("{what} at +{at}"));
        works_at(probe::store8(a, 0x1122_3344_5566_7788))?;
        check(probe::load1(a) == Ok(0x88), "1-byte load")?;
        check(probe::load2(a) == Ok(0x7788), "2-byte load")?;
        check(probe::load4(a) == Ok(0x5566_7788), "4-byte load")?;
        check(probe::load4(a + 4) == Ok(0x1122_3344), "4-byte load of the upper half")?;
        works_at(probe::store1(a, 0xaa))?;
        works_at(probe::store2(a + 2, 0xbbbb))?;
        works_at(probe::store4(a + 4, 0xcccc_dddd))?;
        if probe::load8(a) != Ok(0xcccc_dddd_bbbb_77aa) {
            return Err(wrong("8-byte load after narrow stores"));
        }
    }
    Ok(())
}

#[track_caller]
pub(super) fn works_at<T>(result: std::result::Result<T, probe::Fault>) -> Result<T> {
    result.map_err(|fault| fail(format!("access: {fault}")))
}

/// Stores 8 bytes across each of these places of a mapping, cold, and reads them back in both ways.
fn across(map: &Map, places: &[usize]) -> Result {
    for (index, &place) in places.iter().enumerate() {
        let value = 0x0102_0304_0506_0700 + index as u64;
        let at = place - 3 - index % 4;
        map.put(at, value)?;
        map.holds(at, value)?;
        for (n, byte) in value.to_le_bytes().into_iter().enumerate() {
            same(
                format!("byte {n} of a store across {place:#x}"),
                works_at(probe::load1(map.at(at + n)))?,
                byte,
            )?;
        }
    }
    Ok(())
}

fn across_pages(t: &Ctx) -> Result {
    let dev = t.open()?;
    for region in [dev.layout.ring, dev.layout.scratch, dev.layout.fb] {
        for flags in [SHARED, PRIVATE] {
            let map = dev.map_region(region, flags)?;
            let places: Vec<usize> = (1..map.pages()).map(|page| page * page_size()).collect();
            across(&map, &places)?;
        }
    }
    Ok(())
}

fn across_regions(t: &Ctx) -> Result {
    let dev = t.open()?;
    let places = [dev.layout.ring.off, dev.layout.scratch.off, dev.layout.fb.off];
    for flags in [SHARED, PRIVATE] {
        across(&dev.map_all(flags)?, &places)?;
    }
    Ok(())
}

fn sixteen_bytes(t: &Ctx) -> Result {
    let dev = t.open()?;
    let writer = dev.map_all(SHARED)?;
    for place in [dev.layout.ring.off, dev.layout.scratch.off, dev.layout.fb.off, dev.layout.fb.page(1)] {
        writer.put(place - 8, 0x1111)?;
        writer.put(place, 0x2222)?;
        let cold = dev.map_all(SHARED)?;
        let (low, high) = works_at(probe::load16(cold.at(place - 8)))?;
        equal("16 bytes", (low, high), (0x1111, 0x2222))?;
    }
    Ok(())
}

fn atomics(t: &Ctx) -> Result {
    let dev = t.open()?;
    for region in dev.layout.regions() {
        let map = dev.map_region(region, PRIVATE)?;
        map.put(64, 5)?;
        same("value before an addition", works_at(probe::add8(map.at(64), 10))?, 5)?;
        same("value before an exchange", works_at(probe::swap8(map.at(64), 15, 77))?, 15)?;
        same(
            "value before an exchange that must not happen",
            works_at(probe::swap8(map.at(64), 15, 99))?,
            77,
        )?;
        map.holds(64, 77)?;
        // cold: the very first access is an atomic one
        let cold = dev.map_region(region, SHARED)?;
        cold.put(64, 1)?;
        works_at(probe::add8(dev.map_region(region, SHARED)?.at(64), 1))?;
        cold.holds(64, 2)?;
    }
    Ok(())
}

fn big_copy(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_all(PRIVATE)?;
    let words = (map.len / 8).min(64 * 1024);
    let word = |n: usize| (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for n in 0..words {
        probe::bare_store8(map.at(n * 8), word(n));
    }
    let copy: Vec<u64> = (0..words).map(|n| probe::bare_load8(map.at(n * 8))).collect();
    for (n, value) in copy.iter().enumerate() {
        same(format!("word at {:#x}", n * 8), *value, word(n))?;
    }
    Ok(())
}

fn after_protect(t: &Ctx) -> Result {
    let dev = t.open()?;
    for region in dev.layout.regions() {
        let map = dev.map_region(region, SHARED)?;
        map.put(8, 1)?;
        for prot in [READ, NONE, RW, NONE, READ, RW] {
            map.protect(prot)?;
            map.obeys(8, prot)?;
        }
        map.holds(8, 1)?;
    }
    Ok(())
}

fn after_revoke(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    for flags in [SHARED, PRIVATE] {
        let map = dev.map_all(flags)?;
        map.mark(0x900)?;
        for _ in 0..3 {
            let before = dev.stats()?;
            dev.revoke()?;
            map.holds(0, 0x900)?;
            let after = dev.stats()?;
            check(after.faults > before.faults, "an access after revoke-all was no fault")?;
            map.marked(0x900)?;
            map.mark(0x900)?;
        }
    }
    Ok(())
}

/// Runs `body` in `count` threads that start together; the first failure.
fn threads(count: usize, body: impl Fn(usize) -> Result + Sync) -> Result {
    let start = Barrier::new(count);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..count)
            .map(|index| {
                let (start, body) = (&start, &body);
                scope.spawn(move || {
                    start.wait();
                    body(index)
                })
            })
            .collect();
        running
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(error("a thread panicked"))))
    })
}

fn threads_one_page(t: &Ctx) -> Result {
    let dev = t.open()?;
    let writer = dev.map_all(SHARED)?;
    writer.mark(0x3300)?;
    for round in 0..20 {
        let map = dev.map_all(SHARED)?;
        let page = round % map.pages();
        threads(8, |index| {
            map.holds(page * page_size(), 0x3300 + page as u64)?;
            map.put(page * page_size() + 64 + index * 8, index as u64)
        })?;
        for index in 0..8 {
            map.holds(page * page_size() + 64 + index * 8, index as u64)?;
        }
        map.unmap()?;
    }
    Ok(())
}

fn threads_all_pages(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_all(PRIVATE)?;
    let pages = map.pages();
    threads(8, |index| {
        for step in 0..pages {
            let page = (step * 5 + index * 3) % pages;
            map.put(page * page_size() + 8 * index, (index * 1000 + page) as u64)?;
        }
        Ok(())
    })?;
    for index in 0..8 {
        // 5 may divide the number of pages: look only at those that were written.
        for step in 0..pages {
            let page = (step * 5 + index * 3) % pages;
            map.holds(page * page_size() + 8 * index, (index * 1000 + page) as u64)?;
        }
    }
    Ok(())
}

fn threads_add(t: &Ctx) -> Result {
    let dev = t.open()?;
    for region in dev.layout.regions() {
        let map = dev.map_region(region, PRIVATE)?;
        map.put(0, 0)?;
        map.unmap()?;
        let map = dev.map_region(region, SHARED)?;
        map.put(0, 0)?;
        threads(8, |_| {
            for _ in 0..500 {
                works_at(probe::add8(map.at(0), 1))?;
            }
            Ok(())
        })?;
        map.holds(0, 4000)?;
    }
    Ok(())
}

fn threads_two_contexts(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps = [dev.map_all(PRIVATE)?, dev.map_all(PRIVATE)?];
    let (ring, fb) = (dev.layout.ring.off, dev.layout.fb.off);
    threads(4, |index| {
        let map = &maps[index % 2];
        let slot = 8 * (index / 2);
        for round in 0..100u64 {
            let value = ((index as u64) << 32) | round;
            map.put(ring + slot, value)?;
            map.put(fb + slot, !value)?;
            map.holds(ring + slot, value)?;
            map.holds(fb + slot, !value)?;
        }
        Ok(())
    })
}

fn threads_refused(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map(dev.layout.scratch.off, dev.layout.scratch.len, READ, SHARED)?;
    threads(6, |index| {
        for round in 0..50 {
            map.store_faults(index * page_size() + round * 8, Kind::Protection)?;
        }
        Ok(())
    })
}

fn touch_under_revoke(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let revoking = scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                dev.revoke()?;
            }
            Ok(())
        });
        let touching = threads(3, |index| {
            for round in 0..150u64 {
                for page in 0..8 {
                    let at = page * page_size() + 8 * index;
                    map.put(at, round << 8 | page as u64)?;
                    map.holds(at, round << 8 | page as u64)?;
                }
            }
            Ok(())
        });
        stop.store(true, Ordering::SeqCst);
        touching?;
        revoking.join().unwrap_or_else(|_| Err(error("a thread panicked")))
    })
}
