//! Contexts: one engine, many processes, and values that are never mixed up.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::case::{Case, Ctx, Result, case, equal, fail, refused};
use crate::device::{Dev, Map, NONE, PRIVATE, READ, RW, Region, SHARED, grew};
use crate::peer::Peer;
use crate::probe::{self, Kind};
use crate::sys::page_size;

pub const CASES: &[Case] = &[
    case("two_in_one_process", "two private mappings of one process, in turn", two_in_one_process),
    case("two_processes", "two processes at private contexts keep their values", two_processes),
    case("four_processes", "four processes at private contexts keep their values", four_processes).slow(2),
    case("eight_processes", "eight processes at private contexts keep their values", eight_processes).slow(3),
    case("sixteen_processes", "sixteen processes at private contexts keep their values", sixteen_processes)
        .slow(4),
    case(
        "sixteen_over_all_regions",
        "sixteen processes, each over all regions in one mapping",
        sixteen_over_all_regions,
    )
    .slow(4),
    case("shared_by_four", "four processes share one context and count together", shared_by_four).slow(2),
    case("shared_against_private", "shared and private processes at the same time", shared_against_private)
        .slow(3),
    case("with_hysteresis", "values stay apart with hysteresis as well", with_hysteresis).slow(3),
    case("threads_and_processes", "processes with two threads and two contexts each", threads_and_processes)
        .slow(3),
    case(
        "first_touch_is_zero",
        "each new context starts with zeros, whatever was in the engine",
        first_touch_is_zero,
    ),
    case("nothing_of_the_dead", "a context made after another's end has nothing of it", nothing_of_the_dead),
    case(
        "untouched_pages_saved",
        "pages that a context did not touch this time are not another's",
        untouched_pages_saved,
    ),
    case("every_word_kept", "every word of the engine's memory is saved and restored", every_word_kept),
    case("one_switch_per_turn", "each turn is one switch, whatever the pages touched", one_switch_per_turn),
    case("no_switch_alone", "a context alone never switches", no_switch_alone),
    case("no_switch_for_scratch", "scratch is used without a switch", no_switch_for_scratch),
    case(
        "shared_mappings_do_not_switch",
        "two shared mappings are one context: no switch between them",
        shared_do_not_switch,
    ),
    case(
        "pieces_do_not_switch",
        "the pieces of a cut mapping are one context: no switch between them",
        pieces_do_not_switch,
    ),
    case(
        "regions_do_not_switch",
        "the regions of one mapping are one context: no switch between them",
        regions_do_not_switch,
    ),
    case("read_only_context", "a context that only reads takes its turn too", read_only_context),
    case(
        "forbidden_takes_its_turn",
        "an access that the protection forbids takes its turn, where nothing is loaded",
        forbidden_takes_its_turn,
    ),
    case("many_contexts", "two hundred contexts of one process", many_contexts).slow(2),
    case("contexts_come_and_go", "contexts come and go while others stay", contexts_come_and_go).slow(2),
    case("under_revoke", "values stay apart while all translations are dropped all the time", under_revoke)
        .slow(3),
    case(
        "max_contexts_mmap",
        "beyond the limit a private mmap is ENXIO; a shared one is not",
        max_contexts_mmap,
    ),
    case("max_contexts_freed", "a context given back makes room for the next", max_contexts_freed),
];

/// Private mappings of some regions, as one process uses them.
struct Desk {
    maps: Vec<Map>,
    me: u64,
}

impl Desk {
    fn new(dev: &Dev, regions: &[Region], me: u64) -> Result<Desk> {
        let maps = regions.iter().map(|region| dev.map_region(*region, PRIVATE)).collect::<Result<_>>()?;
        Ok(Desk { maps, me })
    }

    fn value(&self, round: u64, map: usize, page: usize) -> u64 {
        self.me << 48 | round << 16 | (map as u64) << 8 | (page as u64 & 0xff)
    }

    /// Checks what the last round wrote and writes this one's.
    fn work(&self, round: u64) -> Result {
        for (index, map) in self.maps.iter().enumerate() {
            for page in (0..map.pages().min(32)).step_by(3) {
                let at = page * page_size() + 8 * (self.me as usize % 100);
                if round > 0 {
                    map.holds(at, self.value(round - 1, index, page))?;
                }
                map.put(at, self.value(round, index, page))?;
            }
        }
        Ok(())
    }
}

/// `count` processes that work for `rounds` at private contexts of the engine's regions, at the same time.
fn crowd(dev: &Dev, count: u64, rounds: u64) -> Result<Vec<Peer>> {
    let dev = *dev;
    (1..=count)
        .map(|me| {
            Peer::start(move |_| {
                let desk = Desk::new(&dev, &dev.layout.engine(), me)?;
                (0..rounds).try_for_each(|round| desk.work(round))
            })
        })
        .collect()
}

pub(super) fn all_done(peers: Vec<Peer>) -> Result {
    // Each is waited for, so that the first failure is not followed by kills of the others' work.
    let results: Vec<Result> = peers.into_iter().map(Peer::done).collect();
    results.into_iter().collect()
}

fn two_in_one_process(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let desks = [Desk::new(&dev, &dev.layout.engine(), 1)?, Desk::new(&dev, &dev.layout.engine(), 2)?];
    for round in 0..10 {
        desks.iter().try_for_each(|desk| desk.work(round))?;
    }
    Ok(())
}

fn two_processes(t: &Ctx) -> Result {
    all_done(crowd(&t.ctxdev()?, 2, 40)?)
}

fn four_processes(t: &Ctx) -> Result {
    all_done(crowd(&t.ctxdev()?, 4, 20)?)
}

fn eight_processes(t: &Ctx) -> Result {
    all_done(crowd(&t.ctxdev()?, 8, 10)?)
}

fn sixteen_processes(t: &Ctx) -> Result {
    all_done(crowd(&t.ctxdev()?, 16, 6)?)
}

fn sixteen_over_all_regions(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let peers = (1..=16u64)
        .map(|me| {
            Peer::start(move |_| {
                let map = dev.map_all(PRIVATE)?;
                let places =
                    [dev.layout.regs.off, dev.layout.ring.page(1), dev.layout.fb.off, dev.layout.fb.page(3)];
                for round in 0..10u64 {
                    for (n, place) in places.iter().enumerate() {
                        if round > 0 {
                            map.holds(*place, me << 32 | (round - 1) << 8 | n as u64)?;
                        }
                        map.put(*place, me << 32 | round << 8 | n as u64)?;
                    }
                }
                Ok(())
            })
        })
        .collect::<Result<_>>()?;
    all_done(peers)
}

fn shared_by_four(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(SHARED)?;
    let place = dev.layout.fb.page(2);
    map.put(place, 0)?;
    let mut peers = (0..4)
        .map(|_| {
            Peer::start(move |_| {
                let map = dev.map_all(SHARED)?;
                for _ in 0..300 {
                    probe::add8(map.at(place), 1)
                        .map_err(|fault| fail(format!("atomic addition: {fault}")))?;
                }
                Ok(())
            })
        })
        .collect::<Result<Vec<_>>>()?;
    peers.extend(crowd(&dev, 1, 30)?);
    all_done(peers)?;
    map.holds(place, 1200)
}

fn shared_against_private(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(SHARED)?;
    let mut peers = (0..4u64)
        .map(|me| {
            Peer::start(move |_| {
                let map = dev.map_all(SHARED)?;
                let place = dev.layout.fb.page(1) + 8 * me as usize + 0x800;
                for round in 0..60u64 {
                    map.put(place, me << 32 | round)?;
                    map.holds(place, me << 32 | round)?;
                }
                Ok(())
            })
        })
        .collect::<Result<Vec<_>>>()?;
    peers.extend(crowd(&dev, 4, 12)?);
    all_done(peers)?;
    for me in 0..4u64 {
        map.holds(dev.layout.fb.page(1) + 8 * me as usize + 0x800, me << 32 | 59)?;
    }
    Ok(())
}

fn with_hysteresis(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    dev.set_hysteresis(10)?;
    all_done(crowd(&dev, 4, 4)?)
}

fn threads_and_processes(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let peers = (1..=3u64)
        .map(|me| {
            Peer::start(move |_| {
                let fb = [dev.layout.fb];
                let desks = [Desk::new(&dev, &fb, me * 2)?, Desk::new(&dev, &fb, me * 2 + 1)?];
                std::thread::scope(|scope| {
                    let threads = desks
                        .each_ref()
                        .map(|desk| scope.spawn(move || (0..20).try_for_each(|round| desk.work(round))));
                    threads
                        .into_iter()
                        .map(|thread| thread.join().unwrap_or_else(|_| Err(fail("a thread panicked"))))
                        .collect::<Vec<Result>>()
                        .into_iter()
                        .collect()
                })
            })
        })
        .collect::<Result<_>>()?;
    all_done(peers)
}

fn first_touch_is_zero(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let owner = dev.map_all(PRIVATE)?;
    owner.mark(0xdead_0000)?;
    for _ in 0..4 {
        let fresh = dev.map_all(PRIVATE)?;
        for region in dev.layout.engine() {
            for page in 0..region.pages() {
                fresh.holds(region.page(page), 0)?;
                fresh.holds(region.page(page) + page_size() - 8, 0)?;
            }
        }
        fresh.mark(0xbeef_0000)?;
    }
    Ok(())
}

fn nothing_of_the_dead(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    for _ in 0..5 {
        Peer::start(|_| {
            let map = dev.map_all(PRIVATE)?;
            for region in dev.layout.engine() {
                for page in 0..region.pages() {
                    map.holds(region.page(page), 0)?;
                }
            }
            map.mark(0xdead_0000)
        })?
        .done()?;
    }
    Ok(())
}

fn untouched_pages_saved(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let fb = dev.layout.fb;
    let maps = [dev.map_region(fb, PRIVATE)?, dev.map_region(fb, PRIVATE)?];
    maps[0].mark(0x100)?;
    maps[1].mark(0x200)?;
    // Turns in which only one page is touched must not mix the others.
    for round in 0..6 {
        maps[round % 2].get((round % fb.pages()) * page_size())?;
    }
    maps[0].marked(0x100)?;
    maps[1].marked(0x200)
}

fn every_word_kept(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let word = |tag: u64, at: usize| (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ tag;
    let maps = [dev.map_all(PRIVATE)?, dev.map_all(PRIVATE)?];
    let places: Vec<usize> = dev
        .layout
        .engine()
        .into_iter()
        .flat_map(|region| (region.off..region.end().min(region.off + (1 << 20))).step_by(8))
        .collect();
    for (tag, map) in maps.iter().enumerate() {
        for at in &places {
            map.put(*at, word(tag as u64, *at))?;
        }
    }
    for (tag, map) in maps.iter().enumerate() {
        for at in &places {
            map.holds(*at, word(tag as u64, *at))?;
        }
    }
    Ok(())
}

fn one_switch_per_turn(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps = [dev.map_region(dev.layout.fb, PRIVATE)?, dev.map_region(dev.layout.fb, PRIVATE)?];
    maps[0].mark(1)?;
    maps[1].mark(2)?;
    let before = dev.stats()?;
    for round in 0..10 {
        maps[round % 2].marked(1 + (round as u64 % 2))?;
        maps[round % 2].mark(1 + (round as u64 % 2))?;
    }
    grew(&dev, &before, &[("switches", 10)])
}

fn no_switch_alone(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(1)?;
    let before = dev.stats()?;
    for _ in 0..5 {
        map.mark(1)?;
        map.marked(1)?;
        dev.revoke()?;
    }
    grew(&dev, &before, &[("switches", 0)])
}

fn no_switch_for_scratch(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let owner = dev.map_region(dev.layout.fb, PRIVATE)?;
    owner.mark(1)?;
    let others = [dev.map_region(dev.layout.scratch, PRIVATE)?, dev.map_region(dev.layout.scratch, SHARED)?];
    let before = dev.stats()?;
    for map in &others {
        map.mark(2)?;
        map.marked(2)?;
        owner.marked(1)?;
    }
    grew(&dev, &before, &[("switches", 0)])
}

fn shared_do_not_switch(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps = [dev.map_region(dev.layout.fb, SHARED)?, dev.map_region(dev.layout.fb, SHARED)?];
    maps[0].mark(1)?;
    let before = dev.stats()?;
    for _ in 0..5 {
        maps[1].marked(1)?;
        maps[0].marked(1)?;
    }
    Peer::start(|_| dev.map_region(dev.layout.fb, SHARED)?.marked(1))?.done()?;
    grew(&dev, &before, &[("switches", 0)])
}

fn pieces_do_not_switch(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(1)?;
    map.unmap_pages(3, 5)?;
    map.unmap_pages(9, 10)?;
    dev.revoke()?;
    map.get(0)?;
    let before = dev.stats()?;
    map.marked_in(1, [0, 5, 10, 1, 6, 11, 2, 7])?;
    grew(&dev, &before, &[("switches", 0)])
}

fn regions_do_not_switch(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(1)?;
    let other = dev.map_region(dev.layout.fb, PRIVATE)?;
    other.put(0, 1)?;
    let before = dev.stats()?;
    for _ in 0..3 {
        for region in dev.layout.regions() {
            map.get(region.off)?;
        }
    }
    grew(&dev, &before, &[("switches", 1)])
}

fn read_only_context(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let writer = dev.map_region(dev.layout.fb, PRIVATE)?;
    writer.mark(0x10)?;
    writer.protect(READ)?;
    let other = dev.map_region(dev.layout.fb, PRIVATE)?;
    for round in 0..5u64 {
        other.mark(round)?;
        writer.marked(0x10)?;
        other.marked(round)?;
        writer.store_faults(0, Kind::Protection)?;
    }
    Ok(())
}

fn forbidden_takes_its_turn(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let owner = dev.map_region(dev.layout.fb, PRIVATE)?;
    owner.mark(1)?;
    let none = dev.map(dev.layout.fb.off, dev.layout.fb.len, NONE, PRIVATE)?;
    let before = dev.stats()?;
    // What has no translation is the driver's to answer for; it finds out that it may not load it when it has switched.
    none.load_faults(0, Kind::Protection)?;
    none.store_faults(8, Kind::Protection)?;
    grew(&dev, &before, &[("switches", 1), ("faults", 2)])?;
    owner.marked(1)?;
    grew(&dev, &before, &[("switches", 2)])
}

fn many_contexts(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps: Vec<Map> =
        (0..200).map(|_| dev.map(dev.layout.ring.off, page_size(), RW, PRIVATE)).collect::<Result<_>>()?;
    for (n, map) in maps.iter().enumerate() {
        map.put(0, n as u64 + 1)?;
    }
    for (n, map) in maps.iter().enumerate().rev() {
        map.holds(0, n as u64 + 1)?;
    }
    Ok(())
}

fn contexts_come_and_go(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let stay = dev.map_region(dev.layout.fb, PRIVATE)?;
    stay.mark(0x10)?;
    let before = dev.stats()?;
    let counter = AtomicU64::new(0);
    for round in 0..100u64 {
        let map = dev.map_region(dev.layout.fb, PRIVATE)?;
        map.holds(0, 0)?;
        map.put(0, round)?;
        stay.holds(0, 0x10)?;
        map.holds(0, round)?;
        map.unmap()?;
        counter.fetch_add(1, Ordering::SeqCst);
    }
    stay.marked(0x10)?;
    equal("rounds", counter.load(Ordering::SeqCst), 100)?;
    grew(&dev, &before, &[("mappings", 0), ("contexts", 0)])
}

fn under_revoke(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let peers = crowd(&dev, 3, 10)?;
    let revoker = Peer::start(|link| {
        while !link.heard() {
            dev.revoke()?;
        }
        Ok(())
    })?;
    let result = all_done(peers);
    revoker.link.say(b'e')?;
    revoker.done()?;
    result
}

fn max_contexts_mmap(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let first = dev.map_all(PRIVATE)?;
    first.mark(0x10)?;
    let before = dev.stats()?;
    dev.set_max_contexts(before.contexts as usize)?;
    for _ in 0..3 {
        let result = dev.try_map(dev.layout.fb.off, dev.layout.fb.len, RW, PRIVATE);
        refused("mmap beyond max-contexts", result, &[libc::ENXIO])?;
        refused("mmap of all regions", dev.try_map(0, dev.layout.total(), RW, PRIVATE), &[libc::ENXIO])?;
    }
    grew(&dev, &before, &[("mappings", 0), ("contexts", 0)])?;
    let shared = dev.map_all(SHARED)?;
    shared.put(dev.layout.fb.off, 1)?;
    first.marked(0x10)
}

fn max_contexts_freed(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let contexts = dev.stats()?.contexts as usize;
    dev.set_max_contexts(contexts + 2)?;
    let fb = dev.layout.fb;
    for _ in 0..5 {
        let maps = [dev.map_region(fb, PRIVATE)?, dev.map_region(fb, PRIVATE)?];
        refused("a third mmap", dev.try_map(fb.off, fb.len, RW, PRIVATE), &[libc::ENXIO])?;
        // Half of one gone: it still has its context.
        maps[0].unmap_pages(0, fb.pages() / 2)?;
        refused("a third mmap", dev.try_map(fb.off, fb.len, RW, PRIVATE), &[libc::ENXIO])?;
        maps[0].unmap()?;
        let third = dev.map_region(fb, PRIVATE)?;
        third.mark(1)?;
        third.unmap()?;
        maps[1].unmap()?;
    }
    Ok(())
}
