//! Large numbers: mappings, processes, pieces, opens; and what a process's own limits do.

use crate::case::{Case, Ctx, Result, case, check, equal, error, refused, works};
use crate::device::{FIXED, Map, PRIVATE, RW, SHARED, grew, reserve};
use crate::peer::Peer;
use crate::sys::{self, Errno, page_size};

pub const CASES: &[Case] = &[
    case(
        "ten_thousand_mappings",
        "10,000 mappings of one process, all alive, all right",
        ten_thousand_mappings,
    )
    .slow(6),
    case(
        "mappings_of_many_processes",
        "10,000 mappings of sixteen processes at the same time",
        mappings_of_many_processes,
    )
    .slow(6),
    case("thousand_private", "1,000 private mappings, each a context of its own", thousand_private).slow(4),
    case("sixty_four_processes", "64 processes at the device at the same time", sixty_four_processes).slow(4),
    case("sixty_four_forked", "64 children of one process, each with its copy", sixty_four_forked).slow(4),
    case(
        "thousand_pieces",
        "one mapping cut into as many pieces as it has pages, a hundred times",
        thousand_pieces,
    )
    .slow(3),
    case("fork_with_many_mappings", "fork with 500 mappings", fork_with_many_mappings).slow(4),
    case("fork_with_many_pieces", "fork with mappings of many pieces and protections", fork_with_many_pieces)
        .slow(2),
    case("five_hundred_opens", "500 descriptors of one process", five_hundred_opens).slow(2),
    case("thirty_two_threads", "32 threads, each with mappings of its own", thirty_two_threads).slow(3),
    case("two_thousand_cycles", "2,000 times open, mmap, touch, munmap, close", two_thousand_cycles).slow(4),
    case("address_space_limit", "mmap beyond RLIMIT_AS is ENOMEM, and leaves nothing", address_space_limit),
    case("descriptor_limit", "open beyond RLIMIT_NOFILE is EMFILE; mappings work on", descriptor_limit),
];

/// `count` one-page mappings of the scratch area, all alive; each must show what the first of its page wrote.
fn mappings(t: &Ctx, count: usize, me: u64) -> Result {
    let dev = t.ctxdev()?;
    let scratch = dev.layout.scratch;
    let pages = scratch.pages();
    let maps = (0..count)
        .map(|n| dev.map(scratch.page(n % pages), page_size(), RW, if n % 2 == 0 { SHARED } else { PRIVATE }))
        .collect::<Result<Vec<Map>>>()?;
    let slot = 8 * me as usize;
    for (n, map) in maps.iter().enumerate() {
        if n < pages {
            map.put(slot, me << 32 | n as u64)?;
        }
        map.holds(slot, me << 32 | (n % pages) as u64)?;
    }
    maps.iter().step_by(2).chain(maps.iter().skip(1).step_by(2)).try_for_each(Map::unmap)
}

fn ten_thousand_mappings(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let before = dev.stats()?;
    let scratch = dev.layout.scratch;
    let maps = (0..10_000)
        .map(|n| dev.map(scratch.page(n % scratch.pages()), page_size(), RW, SHARED))
        .collect::<Result<Vec<Map>>>()?;
    grew(&dev, &before, &[("maps", 10_000), ("mappings", 10_000)])?;
    for (n, map) in maps.iter().enumerate() {
        map.put(8 * (n / scratch.pages() % 256), n as u64)?;
    }
    for (n, map) in maps.iter().enumerate().skip(10_000 - scratch.pages() * 256).step_by(7) {
        map.holds(8 * (n / scratch.pages() % 256), n as u64)?;
    }
    // Still alive and of use: another one, a fork's worth of faults after a revoke, and all go.
    dev.revoke()?;
    maps[9_999].get(0)?;
    maps[0].get(0)?;
    for map in maps.iter().rev() {
        map.unmap()?;
    }
    grew(&dev, &before, &[("unmaps", 10_000), ("mappings", 0)])
}

fn mappings_of_many_processes(t: &Ctx) -> Result {
    let peers: Vec<Peer> =
        (0..16u64).map(|me| Peer::start(|_| mappings(t, 625, me))).collect::<Result<_>>()?;
    peers.into_iter().map(Peer::done).collect::<Vec<_>>().into_iter().collect()
}

fn thousand_private(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps = (0..1000)
        .map(|_| dev.map(dev.layout.ring.off, page_size(), RW, PRIVATE))
        .collect::<Result<Vec<Map>>>()?;
    for (n, map) in maps.iter().enumerate() {
        map.put(0, n as u64 + 1)?;
    }
    for (n, map) in maps.iter().enumerate() {
        map.holds(0, n as u64 + 1)?;
    }
    Ok(())
}

fn sixty_four_processes(t: &Ctx) -> Result {
    let mut peers: Vec<Peer> = (1..=64u64)
        .map(|me| {
            Peer::start(|link| {
                let dev = t.ctxdev()?;
                let map = dev.map_all(PRIVATE)?;
                let place = dev.layout.fb.off;
                map.put(place, me)?;
                link.say(b'r')?;
                link.hear(b'g')?;
                for round in 0..5 {
                    map.holds(place, me + round * 1000)?;
                    map.put(place, me + (round + 1) * 1000)?;
                }
                Ok(())
            })
        })
        .collect::<Result<_>>()?;
    for peer in &mut peers {
        peer.hear(b'r')?;
    }
    for peer in &peers {
        peer.link.say(b'g')?;
    }
    peers.into_iter().map(Peer::done).collect::<Vec<_>>().into_iter().collect()
}

fn sixty_four_forked(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.put(0, 0xabc)?;
    let mut peers: Vec<Peer> = (1..=64u64)
        .map(|me| {
            Peer::start(|link| {
                map.holds(0, 0xabc)?;
                map.put(0, me)?;
                link.ask(b'r', b'g')?;
                map.holds(0, me)
            })
        })
        .collect::<Result<_>>()?;
    for peer in &mut peers {
        peer.hear(b'r')?;
    }
    for peer in &peers {
        peer.link.say(b'g')?;
    }
    peers.into_iter().map(Peer::done).collect::<Vec<_>>().into_iter().collect::<Result>()?;
    map.holds(0, 0xabc)
}

fn thousand_pieces(t: &Ctx) -> Result {
    let dev = t.open()?;
    let place = reserve(dev.layout.fb.len)?;
    for round in 0..100u64 {
        let map = dev.map_at(place, dev.layout.fb.off, dev.layout.fb.len, RW, PRIVATE | FIXED)?;
        let pages = map.pages().min(64);
        for page in 0..pages {
            map.put(page * page_size(), round)?;
        }
        for page in (1..pages).step_by(2) {
            map.unmap_pages(page, page + 1)?;
        }
        for page in (0..pages).step_by(2) {
            map.holds(page * page_size(), round)?;
        }
        map.unmap()?;
    }
    Ok(())
}

fn fork_with_many_mappings(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps = (0..500)
        .map(|n| dev.map(dev.layout.ring.off, page_size(), RW, if n % 10 == 0 { PRIVATE } else { SHARED }))
        .collect::<Result<Vec<Map>>>()?;
    for (n, map) in maps.iter().enumerate().step_by(10) {
        map.put(0, n as u64 + 5)?;
    }
    let before = dev.stats()?;
    Peer::start(|_| {
        grew(&dev, &before, &[("dups", 500), ("mappings", 500)])?;
        for (n, map) in maps.iter().enumerate().step_by(10) {
            map.holds(0, n as u64 + 5)?;
            map.put(0, n as u64 + 6)?;
        }
        Ok(())
    })?
    .done()?;
    for (n, map) in maps.iter().enumerate().step_by(10) {
        map.holds(0, n as u64 + 5)?;
    }
    grew(&dev, &before, &[("mappings", 0), ("contexts", 0)])
}

fn fork_with_many_pieces(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps = [dev.map_region(dev.layout.fb, PRIVATE)?, dev.map_region(dev.layout.scratch, SHARED)?];
    let (read_only, gone) = ([1usize, 4, 7], [2usize, 5, 8]);
    for map in &maps {
        map.mark(0x40)?;
        for page in read_only {
            map.protect_pages(page, page + 1, libc::PROT_READ)?;
        }
        for page in gone {
            map.unmap_pages(page, page + 1)?;
        }
    }
    let look = || {
        for map in &maps {
            map.marked_in(0x40, (0..map.pages()).filter(|page| !gone.contains(page)))?;
            map.are_holes(gone)?;
            for page in read_only {
                map.obeys(page * page_size(), libc::PROT_READ)?;
            }
        }
        Ok(())
    };
    for _ in 0..10 {
        Peer::start(|_| {
            look()?;
            Peer::start(|_| look())?.done()
        })?
        .done()?;
    }
    look()
}

fn five_hundred_opens(t: &Ctx) -> Result {
    let room = sys::descriptor_limit();
    let count = usize::try_from(room.saturating_sub(100)).unwrap_or(500).min(500);
    let devs: Vec<_> = (0..count).map(|_| t.open()).collect::<Result<Vec<_>>>()?;
    for dev in devs.iter().step_by(50) {
        dev.map(dev.layout.scratch.off, page_size(), RW, SHARED)?.put(0, 1)?;
    }
    devs.into_iter().try_for_each(|dev| works("close", dev.close()))
}

fn thirty_two_threads(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let layout = dev.layout;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..32u64)
            .map(|me| {
                scope.spawn(move || {
                    for round in 0..5u64 {
                        let own = dev.map(layout.fb.off, 2 * page_size(), RW, PRIVATE)?;
                        let shared = dev.map(
                            layout.scratch.page(me as usize % layout.scratch.pages()),
                            page_size(),
                            RW,
                            SHARED,
                        )?;
                        own.put(0, me << 16 | round)?;
                        shared.put(8 * me as usize, me)?;
                        own.holds(0, me << 16 | round)?;
                        shared.holds(8 * me as usize, me)?;
                        own.unmap()?;
                        shared.unmap()?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(error("a thread panicked"))))
            .collect::<Vec<Result>>()
            .into_iter()
            .collect()
    })
}

fn two_thousand_cycles(t: &Ctx) -> Result {
    for round in 0..2000u64 {
        let dev = t.open()?;
        let map = dev.map(dev.layout.fb.off, page_size(), RW, PRIVATE)?;
        map.put(0, round)?;
        map.holds(0, round)?;
        map.unmap()?;
        works("close", dev.close())?;
    }
    Ok(())
}

fn address_space_limit(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let before = dev.stats()?;
    works("setrlimit", sys::set_soft_limit(libc::RLIMIT_AS as i32, 1 << 20))?;
    for flags in [SHARED, PRIVATE] {
        let fb = dev.layout.fb;
        refused("mmap beyond RLIMIT_AS", dev.try_map(fb.off, fb.len, RW, flags), &[libc::ENOMEM])?;
    }
    works("setrlimit", sys::set_soft_limit(libc::RLIMIT_AS as i32, u64::MAX))?;
    grew(&dev, &before, &[("mappings", 0), ("contexts", 0)])?;
    dev.map_all(PRIVATE)?.mark(1)
}

fn descriptor_limit(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(1)?;
    // Every number up to the limit is taken.
    works("setrlimit", sys::set_soft_limit(libc::RLIMIT_NOFILE as i32, 64))?;
    let mut taken = Vec::new();
    let full = loop {
        match sys::open("/dev/null", libc::O_RDONLY) {
            Ok(fd) => taken.push(fd),
            Err(errno) => break errno,
        }
    };
    equal("errno of open when no number is left", full, Errno(libc::EMFILE))?;
    refused("open of the device", sys::open(&t.device, libc::O_RDWR), &[libc::EMFILE])?;
    // Mapping, faults and unmapping need no number.
    map.marked(1)?;
    let more = dev.map_region(dev.layout.scratch, SHARED)?;
    more.put(0, 2)?;
    more.unmap()?;
    map.unmap_pages(2, 4)?;
    for fd in taken {
        works("close", sys::close(fd))?;
    }
    check(
        sys::open(&t.device, libc::O_RDWR).is_ok(),
        "the device cannot be opened when numbers are free again",
    )?;
    Ok(())
}
