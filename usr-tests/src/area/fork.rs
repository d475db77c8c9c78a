//! fork and its kin: what the child sees, what it keeps apart, and what a refusal leaves.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::case::{Case, Ctx, Result, case, check, equal, error, works};
use crate::device::{Dev, Map, NONE, PRIVATE, READ, RW, SHARED, grew};
use crate::peer::Peer;
use crate::probe::{self, Kind};
use crate::sys::{self, page_size};

pub const CASES: &[Case] = &[
    case("child_sees", "the child sees what the parent wrote before, shared and private", child_sees)
        .of("Open POSIX fork 16-1; pfnmap fork; LTP mmap10"),
    case("child_first_touch", "the child's first access to a page is a fault of its own", child_first_touch),
    case(
        "child_reads_only",
        "a child that only reads gets the right values from pages never touched before",
        child_reads_only,
    )
    .of("pfnmap fork"),
    case(
        "private_child_writes",
        "what the child writes to a private mapping the parent does not see",
        private_child_writes,
    )
    .of("Open POSIX fork 16-1 (changed: the driver copies the context)"),
    case(
        "private_parent_writes",
        "what the parent writes after fork the child does not see",
        private_parent_writes,
    )
    .of("Open POSIX fork 16-1 (changed: the driver copies the context)"),
    case("private_both_write", "both go on with their own values, again and again", private_both_write),
    case(
        "private_untouched_copied",
        "pages that nobody touched before fork are copied as well",
        private_untouched_copied,
    ),
    case("shared_both_see", "what either writes to a shared mapping the other sees", shared_both_see)
        .of("Open POSIX mmap 7-4"),
    case(
        "child_fills_all",
        "every word that the child writes to a shared mapping the parent reads",
        child_fills_all,
    )
    .of("LTP mmap21"),
    case("scratch_stays_one", "scratch stays one memory, also under a private mapping", scratch_stays_one),
    case(
        "addresses_kept",
        "the child has each mapping at the same address, with the same protection",
        addresses_kept,
    ),
    case("protections_kept", "pages that mprotect changed are like that in the child", protections_kept),
    case("holes_kept", "what was unmapped in the parent is unmapped in the child", holes_kept),
    case("many_mappings", "twenty mappings, each kept apart", many_mappings),
    case("child_of_child", "eight generations each inherit and keep their own", generations),
    case("siblings", "eight children of one parent do not see each other", siblings),
    case("parent_first_to_go", "the child's copy outlives the parent", parent_first_to_go),
    case("child_exit", "the child's end leaves the parent's memory alone", child_exit),
    case(
        "child_killed",
        "a child killed between its accesses leaves the parent's memory alone",
        child_killed,
    ),
    case("child_unmaps", "the child's munmap is the child's", child_unmaps),
    case("child_protects", "the child's mprotect is the child's", child_protects),
    case("child_maps", "a mapping made in the child is the child's", child_maps),
    case("child_closes", "the descriptor closed in the child, its mapping works on", child_closes),
    case("switches_between", "parent and child take turns in the engine", switches_between),
    case(
        "while_other_owns",
        "fork while another process is in the engine copies the right context",
        while_other_owns,
    ),
    case(
        "with_threads",
        "fork while other threads touch the memory: the child sees a consistent copy",
        with_threads,
    )
    .slow(2),
    case("from_thread", "fork from a thread that is not the first", from_thread),
    case(
        "while_parent_faults",
        "threads that fault all the time lose nothing to thirty forks",
        while_parent_faults,
    )
    .slow(3),
];

fn child_sees(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let (shared, private) = (dev.map_all(SHARED)?, dev.map_region(dev.layout.fb, PRIVATE)?);
    shared.mark(0x100)?;
    private.mark(0x200)?;
    Peer::start(|_| {
        shared.marked(0x100)?;
        private.marked(0x200)
    })?
    .done()
}

fn child_first_touch(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x10)?;
    Peer::start(|_| {
        let before = dev.stats()?;
        map.holds(0, 0x10)?;
        let after = dev.stats()?;
        check(after.faults > before.faults, "the child's first access was no fault")
    })?
    .done()
}

fn child_reads_only(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let writer = dev.map_all(SHARED)?;
    writer.mark(0x30)?;
    let cold = dev.map(0, dev.layout.total(), READ, SHARED)?;
    Peer::start(|_| {
        cold.marked(0x30)?;
        cold.store_faults(0, Kind::Protection)
    })?
    .done()
}

fn private_child_writes(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    for region in dev.layout.engine() {
        let map = dev.map_region(region, PRIVATE)?;
        map.mark(0x10)?;
        Peer::start(|_| {
            map.mark(0x90)?;
            map.marked(0x90)
        })?
        .done()?;
        map.marked(0x10)?;
    }
    Ok(())
}

fn private_parent_writes(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    for region in dev.layout.engine() {
        let map = dev.map_region(region, PRIVATE)?;
        map.mark(0x10)?;
        let child = Peer::start(|link| {
            link.hear(b'w')?;
            map.marked(0x10)
        })?;
        map.mark(0x50)?;
        child.link.say(b'w')?;
        child.done()?;
        map.marked(0x50)?;
    }
    Ok(())
}

fn private_both_write(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    let place = dev.layout.fb.off;
    map.put(place, 7)?;
    let mut child = Peer::start(|link| {
        map.holds(place, 7)?;
        for round in 0..20 {
            link.hear(b'c')?;
            map.put(place, 0x2000 + round)?;
            link.say(b'p')?;
            link.hear(b'v')?;
            map.holds(place, 0x2000 + round)?;
            link.say(b'd')?;
        }
        Ok(())
    })?;
    for round in 0..20 {
        map.put(place, 0x1000 + round)?;
        child.ask(b'c', b'p')?;
        map.holds(place, 0x1000 + round)?;
        child.ask(b'v', b'd')?;
    }
    child.done()
}

fn private_untouched_copied(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    // Written, then driven out of the engine, so that nothing of it is loaded when fork comes.
    map.mark(0x60)?;
    dev.map_all(PRIVATE)?.mark(0x70)?;
    Peer::start(|_| map.marked_in(0x60, engine_pages(&dev)))?.done()?;
    map.marked_in(0x60, engine_pages(&dev))
}

/// The pages of the whole device that belong to a context.
pub(super) fn engine_pages(dev: &Dev) -> impl Iterator<Item = usize> + use<> {
    let page = page_size();
    let (scratch, total) = (dev.layout.scratch, dev.layout.total());
    (0..scratch.off / page).chain(scratch.end() / page..total / page)
}

fn shared_both_see(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(SHARED)?;
    let mut child = Peer::start(|link| {
        for round in 0..10 {
            link.hear(b'c')?;
            map.marked(0x1000 + round * 256)?;
            map.mark(0x2000 + round * 256)?;
            link.say(b'p')?;
        }
        Ok(())
    })?;
    for round in 0..10 {
        map.mark(0x1000 + round * 256)?;
        child.ask(b'c', b'p')?;
        map.marked(0x2000 + round * 256)?;
    }
    child.done()
}

fn child_fills_all(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(SHARED)?;
    let words = (map.len / 8).min(1 << 17);
    let word = |n: usize| (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Peer::start(|_| (0..words).try_for_each(|n| map.put(8 * n, word(n))))?.done()?;
    works("msync", sys::msync(map.base, map.len, libc::MS_SYNC))?;
    (0..words).try_for_each(|n| map.holds(8 * n, word(n)))
}

fn scratch_stays_one(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.scratch, PRIVATE)?;
    map.mark(0x10)?;
    Peer::start(|_| {
        map.marked(0x10)?;
        map.mark(0x20)
    })?
    .done()?;
    map.marked(0x20)
}

fn addresses_kept(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps: Vec<(Map, i32)> = [RW, READ, NONE]
        .into_iter()
        .flat_map(|prot| [SHARED, PRIVATE].map(|flags| (prot, flags)))
        .map(|(prot, flags)| {
            let map = dev.map_region(dev.layout.fb, flags)?;
            map.put(24, 0x77)?;
            map.protect(prot)?;
            Ok((map, prot))
        })
        .collect::<Result<_>>()?;
    let look = || {
        for (map, prot) in &maps {
            map.obeys(24, *prot)?;
            if *prot != NONE {
                map.holds(24, 0x77)?;
            }
        }
        Ok(())
    };
    Peer::start(|_| look())?.done()?;
    look()
}

fn protections_kept(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x20)?;
    map.protect_pages(1, 2, READ)?;
    map.protect_pages(3, 5, NONE)?;
    let look = || {
        for (page, prot) in [(0, RW), (1, READ), (2, RW), (3, NONE), (4, NONE), (5, RW)] {
            map.obeys(page * page_size(), prot)?;
        }
        map.marked_in(0x20, [0, 1, 2, 5, 6])
    };
    Peer::start(|_| look())?.done()?;
    look()
}

fn holes_kept(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x20)?;
    map.unmap_pages(4, 6)?;
    map.unmap_pages(0, 1)?;
    let rest = || [1, 2, 3].into_iter().chain(6..map.pages());
    Peer::start(|_| {
        map.are_holes([0, 4, 5])?;
        map.marked_in(0x20, rest())?;
        map.put(6 * page_size(), 1)
    })?
    .done()?;
    map.are_holes([0, 4, 5])?;
    map.marked_in(0x20, rest())
}

fn many_mappings(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps: Vec<Map> =
        (0..20).map(|n| dev.map_region(dev.layout.engine()[n % 3], PRIVATE)).collect::<Result<_>>()?;
    for (n, map) in maps.iter().enumerate() {
        map.put(0, n as u64 + 1)?;
    }
    Peer::start(|_| {
        for (n, map) in maps.iter().enumerate() {
            map.holds(0, n as u64 + 1)?;
            map.put(0, n as u64 + 1001)?;
        }
        for (n, map) in maps.iter().enumerate() {
            map.holds(0, n as u64 + 1001)?;
        }
        Ok(())
    })?
    .done()?;
    for (n, map) in maps.iter().enumerate() {
        map.holds(0, n as u64 + 1)?;
    }
    Ok(())
}

fn generation(map: &Map, left: u64) -> Result {
    map.holds(8, left)?;
    if left > 0 {
        map.put(8, left - 1)?;
        Peer::start(|_| generation(map, left - 1))?.done()?;
        map.holds(8, left - 1)?;
    }
    Ok(())
}

fn generations(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.ring, PRIVATE)?;
    map.put(8, 8)?;
    generation(&map, 8)
}

fn siblings(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.put(0, 0x99)?;
    let mut children: Vec<Peer> = (0..8u64)
        .map(|me| {
            Peer::start(|link| {
                map.holds(0, 0x99)?;
                map.put(0, 0x1000 + me)?;
                link.say(b'w')?;
                link.hear(b'c')?;
                map.holds(0, 0x1000 + me)
            })
        })
        .collect::<Result<_>>()?;
    for child in &mut children {
        child.hear(b'w')?;
    }
    for child in children {
        child.link.say(b'c')?;
        child.done()?;
    }
    map.holds(0, 0x99)
}

fn parent_first_to_go(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let (word, tell) = works("socketpair", sys::socketpair())?;
    let middle = Peer::start(|_| {
        let map = dev.map_all(PRIVATE)?;
        map.mark(0x40)?;
        let before = sys::getpid();
        let child = Peer::start(|_| {
            // Until the parent has gone.
            while sys::parent() == before {
                std::thread::sleep(Duration::from_millis(2));
            }
            let result = map.marked_in(0x40, engine_pages(&dev)).and_then(|()| map.mark(0x50));
            let result = result.and_then(|()| map.marked(0x50));
            works("write", sys::write(tell, if result.is_ok() { b"y" } else { b"n" }))?;
            result
        })?;
        std::mem::forget(child);
        Ok(())
    })?;
    // The report's other end stays open in the grandchild, so this waits for both.
    middle.done()?;
    let mut answer = [0];
    works("read", sys::read(word, &mut answer))?;
    check(answer == *b"y", "the child lost its memory when its parent went")
}

fn child_exit(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(0x40)?;
    for _ in 0..5 {
        Peer::start(|_| map.mark(0x50))?.done()?;
        map.marked_in(0x40, engine_pages(&dev))?;
    }
    Ok(())
}

fn child_killed(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(0x40)?;
    for _ in 0..5 {
        let mut child = Peer::start(|link| {
            map.put(dev.layout.fb.off, 0xbad)?;
            link.say(b'r')?;
            loop {
                map.put(dev.layout.fb.off, 0xbad)?;
            }
        })?;
        child.hear(b'r')?;
        child.killed()?;
        map.marked_in(0x40, engine_pages(&dev))?;
    }
    Ok(())
}

fn child_unmaps(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x40)?;
    Peer::start(|_| {
        map.unmap_pages(2, 4)?;
        map.are_holes([2, 3])?;
        map.marked_in(0x40, [0, 1, 4])?;
        map.unmap()?;
        map.are_holes(0..map.pages())
    })?
    .done()?;
    map.marked(0x40)
}

fn child_protects(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x40)?;
    Peer::start(|_| {
        map.protect(READ)?;
        map.obeys(0, READ)?;
        map.marked(0x40)
    })?
    .done()?;
    map.obeys(0, RW)?;
    map.mark(0x50)?;
    map.marked(0x50)
}

fn child_maps(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let before = dev.stats()?;
    Peer::start(|_| {
        let map = dev.map_all(PRIVATE)?;
        map.mark(0x40)?;
        map.marked(0x40)
    })?
    .done()?;
    grew(&dev, &before, &[("mappings", 0), ("contexts", 0)])
}

fn child_closes(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(0x40)?;
    Peer::start(|_| {
        works("close", dev.close())?;
        map.marked(0x40)?;
        map.mark(0x50)
    })?
    .done()?;
    map.marked_in(0x40, engine_pages(&dev))?;
    dev.stats().map(|_| ())
}

fn switches_between(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.ring, PRIVATE)?;
    map.put(0, 1)?;
    let mut child = Peer::start(|link| {
        for _ in 0..10 {
            link.hear(b'g')?;
            map.get(0)?;
            link.say(b'd')?;
        }
        Ok(())
    })?;
    map.get(0)?;
    let before = dev.stats()?;
    for _ in 0..10 {
        child.ask(b'g', b'd')?;
        map.get(0)?;
    }
    grew(&dev, &before, &[("switches", 20)])?;
    child.done()
}

fn while_other_owns(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(0x100)?;
    let mut other = Peer::start(|link| {
        let own = dev.map_all(PRIVATE)?;
        own.mark(0x900)?;
        link.say(b'o')?;
        link.hear(b'e')?;
        own.marked_in(0x900, engine_pages(&dev))
    })?;
    other.hear(b'o')?;
    Peer::start(|_| map.marked_in(0x100, engine_pages(&dev)))?.done()?;
    other.link.say(b'e')?;
    other.done()?;
    map.marked_in(0x100, engine_pages(&dev))
}

fn with_threads(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.put(0, 0x123)?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for me in 1..4usize {
            let stop = &stop;
            scope.spawn(move || {
                let mut round = 0;
                while !stop.load(Ordering::SeqCst) {
                    round += 1;
                    probe::bare_store8(map.at(me * page_size()), round);
                    probe::bare_store8(map.at(me * page_size() + 8), round);
                }
            });
        }
        let result = (0..10).try_for_each(|_| {
            Peer::start(|_| {
                map.holds(0, 0x123)?;
                for me in 1..4 {
                    // Stored in this order, so the copy may have one more of the first.
                    let (first, second) = (map.get(me * page_size())?, map.get(me * page_size() + 8)?);
                    check(first == second || first == second + 1, format!("copied {first} and {second}"))?;
                    map.put(me * page_size(), u64::MAX)?;
                }
                Ok(())
            })?
            .done()
        });
        stop.store(true, Ordering::SeqCst);
        result
    })?;
    map.holds(0, 0x123)
}

fn from_thread(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x40)?;
    let in_thread = move || {
        Peer::start(|_| {
            map.marked(0x40)?;
            map.mark(0x50)?;
            // And again from what is now the child's only thread.
            Peer::start(|_| map.marked(0x50))?.done()
        })?
        .done()
    };
    std::thread::spawn(in_thread).join().unwrap_or_else(|_| Err(error("a thread panicked")))?;
    map.marked(0x40)
}

fn while_parent_faults(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    let stop = AtomicBool::new(false);
    let wrong = AtomicUsize::new(0);
    let revoker = dev;
    std::thread::scope(|scope| {
        for me in 0..2usize {
            let (stop, wrong) = (&stop, &wrong);
            scope.spawn(move || {
                let mut round = 0;
                while !stop.load(Ordering::SeqCst) {
                    round += 1;
                    for page in 0..map.pages() {
                        let at = map.at(page * page_size() + 8 * me);
                        probe::bare_store8(at, round);
                        if probe::bare_load8(at) != round {
                            wrong.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                    let _ = revoker.revoke();
                }
            });
        }
        let result = t
            .rounds(30)
            .try_for_each(|_| Peer::start(|_| map.mark(0x77).and_then(|()| map.marked(0x77)))?.done());
        stop.store(true, Ordering::SeqCst);
        result
    })?;
    equal("stores that were lost", wrong.load(Ordering::SeqCst), 0)
}
