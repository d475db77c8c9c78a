//! Contexts: one engine, many processes, and values that are never mixed up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::case::{Case, Ctx, Result, case, check, equal, fail, refused, skip};
use crate::device::{Dev, Map, NONE, PRIVATE, READ, RW, Region, SHARED, grew};
use crate::peer::Peer;
use crate::probe::{self, Kind};
use crate::sys::{self, Status, page_size};

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
    case("none_takes_no_turn", "a refused access takes no turn", none_takes_no_turn),
    case(
        "hysteresis_honoured",
        "two contenders switch no more often than the hysteresis allows",
        hysteresis_honoured,
    )
    .slow(2),
    case("hysteresis_lets_in", "with hysteresis each contender gets its turn", hysteresis_lets_in).slow(2),
    case("hysteresis_changed", "hysteresis can be changed while contexts contend", hysteresis_changed)
        .slow(2),
    case(
        "hysteresis_same_context",
        "hysteresis does not hold up the context that has the engine",
        hysteresis_same_context,
    )
    .slow(2),
    case("owner_exits", "the owner exits: the next is let in", owner_exits),
    case("owner_killed", "the owner is killed: the next is let in", owner_killed),
    case("owner_killed_with_hysteresis", "likewise while its hysteresis lasts", owner_killed_with_hysteresis)
        .slow(2),
    case(
        "owner_stopped",
        "a stopped owner does not hold up others, and finds its values when it goes on",
        owner_stopped,
    ),
    case("owner_stopped_with_hysteresis", "likewise with hysteresis", owner_stopped_with_hysteresis).slow(2),
    case(
        "owner_stopped_while_faulting",
        "an owner stopped at any moment does not hold up others",
        owner_stopped_while_faulting,
    )
    .slow(3),
    case("owner_forks", "the owner forks: both go on, and so does a third", owner_forks),
    case("owner_unmaps", "the owner unmaps while another waits", owner_unmaps),
    case(
        "owner_unmaps_part",
        "the owner unmaps what is loaded; the rest stays in its context",
        owner_unmaps_part,
    ),
    case("owner_protects", "the owner takes away its own access while another waits", owner_protects),
    case("waiter_killed", "one that waits for the engine is killed: the others go on", waiter_killed).slow(2),
    case("many_contexts", "two hundred contexts of one process", many_contexts).slow(2),
    case("contexts_come_and_go", "contexts come and go while others stay", contexts_come_and_go).slow(2),
    case("under_revoke", "values stay apart while all translations are dropped all the time", under_revoke)
        .slow(3),
    case("under_loss", "the device is lost and comes back: each finds its values", under_loss),
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

fn all_done(peers: Vec<Peer>) -> Result {
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

fn none_takes_no_turn(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let owner = dev.map_region(dev.layout.fb, PRIVATE)?;
    owner.mark(1)?;
    let none = dev.map(dev.layout.fb.off, dev.layout.fb.len, NONE, PRIVATE)?;
    let read_only = dev.map(dev.layout.fb.off, dev.layout.fb.len, READ, PRIVATE)?;
    read_only.get(0)?;
    owner.mark(1)?;
    let before = dev.stats()?;
    none.load_faults(0, Kind::Protection)?;
    none.store_faults(8, Kind::Protection)?;
    owner.marked(1)?;
    grew(&dev, &before, &[("switches", 0)])
}

/// Two processes that use private contexts as fast as they can for `length`; how often each got a store done.
fn contend(dev: &Dev, length: Duration, during: impl FnOnce() -> Result) -> Result<[u64; 2]> {
    let count = dev.map(dev.layout.scratch.off, page_size(), RW, SHARED)?;
    count.put(0, 0)?;
    count.put(8, 0)?;
    let mut peers = [0usize, 1]
        .map(|me| {
            let dev = *dev;
            Peer::start(move |link| {
                let map = dev.map_region(dev.layout.fb, PRIVATE)?;
                let count = dev.map(dev.layout.scratch.off, page_size(), RW, SHARED)?;
                link.say(b'r')?;
                link.hear(b'g')?;
                let end = Instant::now() + length;
                let mut round = 0;
                while Instant::now() < end {
                    round += 1;
                    map.put(8, round)?;
                    map.holds(8, round)?;
                    count.put(8 * me, round)?;
                }
                Ok(())
            })
        })
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    for peer in &mut peers {
        peer.hear(b'r')?;
    }
    for peer in &peers {
        peer.link.say(b'g')?;
    }
    during()?;
    all_done(peers)?;
    Ok([count.get(0)?, count.get(8)?])
}

/// Skips where there is one processor: the framework does not delay there.
fn two_cpus() -> Result {
    if sys::cpus_online() < 2 {
        return skip("hysteresis needs more than one processor online");
    }
    Ok(())
}

fn hysteresis_honoured(t: &Ctx) -> Result {
    two_cpus()?;
    let dev = t.ctxdev()?;
    const HELD: u64 = 50;
    dev.set_hysteresis(HELD as usize)?;
    let before = dev.stats()?;
    let from = Instant::now();
    contend(&dev, Duration::from_millis(1500), || Ok(()))?;
    let elapsed = from.elapsed().as_millis() as u64;
    let switches = dev.stats()?.switches - before.switches;
    // A turn lasts HELD, less at most a clock tick; a slow machine only makes turns longer. Twice that is the factor,
    // and the first turns are free.
    let most = elapsed / (HELD / 2) + 4;
    check(
        switches <= most,
        format!("{switches} switches in {elapsed} ms with {HELD} ms of hysteresis; expected at most {most}"),
    )
}

fn hysteresis_lets_in(t: &Ctx) -> Result {
    two_cpus()?;
    let dev = t.ctxdev()?;
    dev.set_hysteresis(20)?;
    let before = dev.stats()?;
    let done = contend(&dev, Duration::from_millis(1500), || Ok(()))?;
    check(done.iter().all(|count| *count > 0), format!("stores done by the two contenders: {done:?}"))?;
    let switches = dev.stats()?.switches - before.switches;
    // 75 turns of 20 ms would fit; a tenth of that is asked for.
    check(switches >= 7, format!("only {switches} switches in 1500 ms with 20 ms of hysteresis"))
}

fn hysteresis_changed(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let done = contend(&dev, Duration::from_millis(600), || {
        for millis in [0, 10, 1, 30, 0, 5] {
            dev.set_hysteresis(millis)?;
            std::thread::sleep(Duration::from_millis(50));
        }
        dev.set_hysteresis(0)
    })?;
    check(done.iter().all(|count| *count > 0), format!("stores done by the two contenders: {done:?}"))
}

fn hysteresis_same_context(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    dev.set_hysteresis(1000)?;
    let from = Instant::now();
    for page in 0..map.pages().min(16) {
        map.put(page * page_size(), 1)?;
    }
    let took = from.elapsed();
    dev.set_hysteresis(0)?;
    // With a wait for each page it would be fifteen seconds.
    check(took < Duration::from_secs(5), format!("the owner's sixteen faults took {} ms", took.as_millis()))
}

/// A process that has the engine and waits to be told; then it looks for its values.
fn owner(dev: Dev) -> Result<Peer> {
    let mut peer = Peer::start(move |link| {
        let map = dev.map_all(PRIVATE)?;
        for region in dev.layout.engine() {
            map.put(region.off, 0x0a11)?;
        }
        link.say(b'o')?;
        link.hear(b'g')?;
        for region in dev.layout.engine() {
            map.holds(region.off, 0x0a11)?;
            map.put(region.off, 0x0a12)?;
        }
        Ok(())
    })?;
    peer.hear(b'o')?;
    Ok(peer)
}

fn owner_exits(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(0x10)?;
    for _ in 0..5 {
        let peer = owner(dev)?;
        peer.link.say(b'g')?;
        peer.done()?;
        map.marked(0x10)?;
    }
    Ok(())
}

fn owner_dies(t: &Ctx, hysteresis: usize) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(0x10)?;
    let before = dev.stats()?;
    for _ in 0..5 {
        dev.set_hysteresis(hysteresis)?;
        owner(dev)?.killed()?;
        map.marked(0x10)?;
        map.put(0, 0x10)?;
    }
    grew(&dev, &before, &[("mappings", 0), ("contexts", 0)])
}

fn owner_killed(t: &Ctx) -> Result {
    owner_dies(t, 0)
}

fn owner_killed_with_hysteresis(t: &Ctx) -> Result {
    owner_dies(t, 30)
}

fn owner_stops(t: &Ctx, hysteresis: usize) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(0x10)?;
    dev.set_hysteresis(hysteresis)?;
    let peer = owner(dev)?;
    peer.signal(libc::SIGSTOP)?;
    let stopped = sys::wait_stopped(peer.pid).map_err(|e| fail(format!("waitpid: {e}")))?;
    equal("state of the owner", stopped, Status::Stopped(libc::SIGSTOP))?;
    // Would wait for ever if the owner had to do anything for this.
    map.marked(0x10)?;
    map.mark(0x20)?;
    dev.revoke()?;
    map.marked(0x20)?;
    peer.signal(libc::SIGCONT)?;
    peer.link.say(b'g')?;
    peer.done()?;
    map.marked(0x20)
}

fn owner_stopped(t: &Ctx) -> Result {
    owner_stops(t, 0)
}

fn owner_stopped_with_hysteresis(t: &Ctx) -> Result {
    owner_stops(t, 30)
}

fn owner_stopped_while_faulting(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x10)?;
    let mut peer = Peer::start(|link| {
        let own = dev.map_region(dev.layout.fb, PRIVATE)?;
        link.say(b'r')?;
        let mut round = 0;
        while !link.heard() {
            round += 1;
            own.mark(round << 16)?;
            own.marked(round << 16)?;
        }
        Ok(())
    })?;
    peer.hear(b'r')?;
    for round in 0..25u64 {
        std::thread::sleep(Duration::from_micros(round * 213 % 3000));
        peer.signal(libc::SIGSTOP)?;
        sys::wait_stopped(peer.pid).map_err(|e| fail(format!("waitpid: {e}")))?;
        map.marked(0x10)?;
        map.mark(0x10)?;
        peer.signal(libc::SIGCONT)?;
    }
    peer.link.say(b'e')?;
    peer.done()
}

fn owner_forks(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let third = dev.map_all(PRIVATE)?;
    let place = dev.layout.fb.off;
    third.put(place, 3)?;
    let owner = dev.map_all(PRIVATE)?;
    owner.put(place, 1)?;
    let mut child = Peer::start(|link| {
        owner.holds(place, 1)?;
        owner.put(place, 2)?;
        link.ask(b'r', b'g')?;
        owner.holds(place, 2)
    })?;
    child.hear(b'r')?;
    third.holds(place, 3)?;
    owner.holds(place, 1)?;
    child.link.say(b'g')?;
    child.done()?;
    owner.holds(place, 1)?;
    third.holds(place, 3)
}

fn owner_unmaps(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    dev.set_hysteresis(40)?;
    for _ in 0..5 {
        let own = dev.map_region(dev.layout.fb, PRIVATE)?;
        own.mark(1)?;
        let peer = Peer::start(|link| {
            let map = dev.map_region(dev.layout.fb, PRIVATE)?;
            link.say(b's')?;
            map.mark(2)?;
            map.marked(2)
        })?;
        peer.link.hear(b's')?;
        own.unmap()?;
        peer.done()?;
    }
    Ok(())
}

fn owner_unmaps_part(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let own = dev.map_region(dev.layout.fb, PRIVATE)?;
    own.mark(0x10)?;
    let other = dev.map_region(dev.layout.fb, PRIVATE)?;
    other.mark(0x20)?;
    // Only page 0 is loaded, and goes.
    own.get(0)?;
    own.unmap_pages(0, 1)?;
    other.marked(0x20)?;
    own.marked_in(0x10, 1..own.pages())?;
    other.marked(0x20)
}

fn owner_protects(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let own = dev.map_region(dev.layout.fb, PRIVATE)?;
    let other = dev.map_region(dev.layout.fb, PRIVATE)?;
    for round in 0..5u64 {
        own.mark(round << 8)?;
        own.protect(NONE)?;
        other.mark(round << 9)?;
        own.load_faults(0, Kind::Protection)?;
        own.protect(RW)?;
        own.marked(round << 8)?;
        other.marked(round << 9)?;
    }
    Ok(())
}

fn waiter_killed(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    for round in 0..5u64 {
        dev.set_hysteresis(60)?;
        map.mark(0x10)?;
        let waiter = Peer::start(|link| {
            let own = dev.map_region(dev.layout.fb, PRIVATE)?;
            link.say(b's')?;
            loop {
                own.mark(1)?;
            }
        })?;
        waiter.link.hear(b's')?;
        std::thread::sleep(Duration::from_millis(3 * round));
        waiter.killed()?;
        map.marked(0x10)?;
        dev.set_hysteresis(0)?;
        dev.map_region(dev.layout.fb, PRIVATE)?.mark(3)?;
        map.marked(0x10)?;
    }
    Ok(())
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

fn under_loss(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps = [dev.map_all(PRIVATE)?, dev.map_all(PRIVATE)?, dev.map_all(SHARED)?];
    let place = dev.layout.fb.page(1);
    for (n, map) in maps.iter().enumerate() {
        map.put(place, n as u64 + 7)?;
    }
    let peer = owner(dev)?;
    dev.lose(true)?;
    let lost = maps.iter().try_for_each(|map| map.load_faults(place, Kind::Device));
    dev.lose(false)?;
    lost?;
    for (n, map) in maps.iter().enumerate() {
        map.holds(place, n as u64 + 7)?;
    }
    peer.link.say(b'g')?;
    peer.done()
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
