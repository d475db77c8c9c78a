//! The owner of the engine: hysteresis, and owners that exit, die, stop, fork, or unmap.

use std::time::{Duration, Instant};

use super::context::all_done;
use crate::case::{Case, Ctx, Result, case, check, equal, fail, skip};
use crate::device::{Dev, NONE, PRIVATE, READ, RW, SHARED, grew};
use crate::peer::Peer;
use crate::probe::Kind;
use crate::sys::{self, Status, page_size};

pub const CASES: &[Case] = &[
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
    case(
        "owner_stopped_while_mapping",
        "likewise when it is stopped in the middle of mmap, mprotect or munmap",
        owner_stopped_while_mapping,
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
    case("under_loss", "the device is lost and comes back: each finds its values", under_loss),
];

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
    let own = dev.map_region(dev.layout.fb, PRIVATE)?;
    stopped_while(t, 25, |round| {
        own.mark(round << 16)?;
        own.marked(round << 16)
    })
}

fn owner_stopped_while_mapping(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    stopped_while(t, 150, |round| {
        let own = dev.map_region(dev.layout.fb, PRIVATE)?;
        own.mark(round)?;
        own.protect(READ)?;
        own.unmap()
    })
}

/// A process does this again and again and is stopped meanwhile, often; each time others use the device.
fn stopped_while(t: &Ctx, stops: u64, work: impl Fn(u64) -> Result) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x10)?;
    let mut peer = Peer::start(|link| {
        link.say(b'r')?;
        (1..).take_while(|_| !link.heard()).try_for_each(work)
    })?;
    peer.hear(b'r')?;
    for round in 0..stops {
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
