//! The other ways in which a mapping goes: another thread, fixed mmap, mremap, exec, exit, SIGKILL.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::case::{Case, Ctx, Result, case, check, equal, error, fail, refused, same, skip, works};
use crate::device::{Dev, FIXED, Map, NONE, PRIVATE, READ, RW, SHARED, grew, reserve};
use crate::os;
use crate::peer::Peer;
use crate::probe::{self, Kind};
use crate::sys::{self, Status, page_size};

pub const CASES: &[Case] = &[
    case("by_fixed_memory", "MAP_FIXED of ordinary memory over the middle unmaps it", by_fixed_memory),
    case("by_fixed_device", "MAP_FIXED of another offset over it unmaps it", by_fixed_device),
    case("by_fixed_file", "MAP_FIXED of a file over it unmaps it", by_fixed_file),
    case(
        "while_touched",
        "munmap while another thread reads: it reads right values, then gets SIGSEGV",
        while_touched,
    ),
    case(
        "while_many_touch",
        "munmap and mmap at one place while threads touch it, for ever",
        while_many_touch,
    )
    .slow(2),
    case("by_two_threads", "two threads unmap overlapping ranges of one mapping", by_two_threads),
    case("in_signal_handler", "munmap in a fault handler, and the process goes on", in_handler),
    case("by_thread_exit", "the end of the thread that mapped it unmaps nothing", by_thread_exit),
    case("by_exec", "exec unmaps everything before the new program runs", by_exec),
    case("by_exit", "exit unmaps everything", by_exit),
    case("by_exit_with_threads", "exit while threads are faulting unmaps everything", by_exit_with_threads),
    case("by_sigkill", "SIGKILL unmaps everything", by_sigkill),
    case(
        "by_sigkill_while_faulting",
        "SIGKILL at any moment of a storm of faults unmaps everything",
        by_sigkill_while_faulting,
    )
    .slow(2),
    case(
        "by_sigkill_while_mapping",
        "SIGKILL at any moment of mmap and munmap leaves nothing",
        by_sigkill_while_mapping,
    )
    .slow(2),
    case(
        "by_sigkill_while_forking",
        "SIGKILL at any moment of forks leaves nothing",
        by_sigkill_while_forking,
    )
    .slow(2),
    case("by_abort", "death by a refused access unmaps everything", by_refused_access),
    case("by_mremap_shrink", "mremap to a smaller size unmaps the tail", by_mremap_shrink)
        .of("pfnmap mremap_shrink; LTP mremap01"),
    case(
        "by_mremap_move",
        "mremap over other memory moves the mapping, or refuses and leaves it",
        by_mremap_move,
    )
    .of("pfnmap mremap_fixed"),
    case(
        "mremap_away_and_back",
        "a page moved out of the middle and back again is where it was, whatever its neighbours' protections",
        mremap_away_and_back,
    )
    .of("LTP mremap06"),
    case("mremap_invalid", "mremap of an unaligned address is EINVAL, of a hole EFAULT", mremap_invalid)
        .of("LTP mremap02, mremap03"),
    case("mremap_expand", "mremap to a larger size is refused, and leaves the mapping", mremap_expand)
        .of("pfnmap mremap_expand; LTP mremap03"),
];

/// Maps something else over pages 2 and 3 of a region by `over`, which says what they hold then.
fn replaced(t: &Ctx, over: impl Fn(&Dev, usize) -> Result<u64>) -> Result {
    let dev = t.open()?;
    for flags in [SHARED, PRIVATE] {
        let map = dev.map_region(dev.layout.fb, flags)?;
        map.mark(0x10)?;
        let before = if dev.is_ctxdev() { Some(dev.stats()?) } else { None };
        let value = over(&dev, map.at(2 * page_size()))?;
        if let Some(before) = before {
            check(dev.stats()?.unmaps > before.unmaps, "the driver was not told")?;
        }
        map.holds(2 * page_size(), value)?;
        map.put(3 * page_size() + 8, 0x1234)?;
        map.marked_in(0x10, (0..2).chain(4..map.pages()))?;
        map.unmap()?;
        map.are_holes(0..map.pages())?;
    }
    Ok(())
}

fn by_fixed_memory(t: &Ctx) -> Result {
    replaced(t, |_, at| {
        works("mmap", sys::mmap(at, 2 * page_size(), RW, os::ANONYMOUS | FIXED, -1, 0))?;
        Ok(0)
    })
}

fn by_fixed_device(t: &Ctx) -> Result {
    replaced(t, |dev, at| {
        let over = dev.map_at(at, dev.layout.scratch.off, 2 * page_size(), RW, SHARED | FIXED)?;
        over.put(0, 0x5c)?;
        Ok(0x5c)
    })
}

fn by_fixed_file(t: &Ctx) -> Result {
    replaced(t, |_, at| {
        let file = works("mkstemp", sys::temporary_file())?;
        works("ftruncate", sys::ftruncate(file, 2 * page_size() as i64))?;
        works("mmap of a file", sys::mmap(at, 2 * page_size(), RW, SHARED | FIXED, file, 0))?;
        works("write", sys::write(file, &0xf11eu64.to_le_bytes()))?;
        Ok(0xf11e)
    })
}

fn while_touched(t: &Ctx) -> Result {
    let dev = t.open()?;
    for round in 0..20u64 {
        let map = dev.map_region(dev.layout.fb, PRIVATE)?;
        map.mark(round << 8)?;
        let running = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                loop {
                    for page in 0..map.pages() {
                        match probe::load8(map.at(page * page_size())) {
                            Ok(value) => same("value read until munmap", value, (round << 8) + page as u64)?,
                            Err(fault) => return equal("fault after munmap", fault.kind(), Kind::Hole),
                        }
                    }
                    running.store(true, Ordering::SeqCst);
                }
            });
            while !running.load(Ordering::SeqCst) && !reader.is_finished() {
                std::thread::yield_now();
            }
            map.unmap()?;
            reader.join().unwrap_or_else(|_| Err(error("a thread panicked")))
        })?;
    }
    Ok(())
}

fn while_many_touch(t: &Ctx) -> Result {
    let dev = t.open()?;
    let scratch = dev.layout.scratch;
    dev.map_region(scratch, SHARED)?.mark(0x300)?;
    let place = reserve(scratch.len)?;
    let stop = AtomicBool::new(false);
    let (reads, holes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    while !stop.load(Ordering::SeqCst) {
                        for page in 0..scratch.pages() {
                            match probe::load8(place + page * page_size()) {
                                Ok(value) => {
                                    same("value read", value, 0x300 + page as u64)?;
                                    reads.fetch_add(1, Ordering::SeqCst);
                                }
                                // A hole, or the reservation that keeps the place ours.
                                Err(fault) if fault.signal == libc::SIGSEGV => {
                                    holes.fetch_add(1, Ordering::SeqCst);
                                }
                                Err(fault) => return Err(fail(format!("read: {fault}"))),
                            }
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        let mapped = t.rounds(150).try_for_each(|_| {
            let map = dev.map_at(place, scratch.off, scratch.len, READ, SHARED | FIXED)?;
            map.get(0)?;
            works("mmap", sys::mmap(place, scratch.len, NONE, os::ANONYMOUS | FIXED, -1, 0)).map(|_| ())
        });
        while reads.load(Ordering::SeqCst) + holes.load(Ordering::SeqCst) == 0
            && !readers.iter().all(|reader| reader.is_finished())
        {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::SeqCst);
        for reader in readers {
            reader.join().unwrap_or_else(|_| Err(error("a thread panicked")))?;
        }
        mapped
    })?;
    check(reads.load(Ordering::SeqCst) + holes.load(Ordering::SeqCst) > 0, "the readers did nothing")
}

fn by_two_threads(t: &Ctx) -> Result {
    let dev = t.open()?;
    for _ in 0..20 {
        let map = dev.map_apart(dev.layout.fb.off, dev.layout.fb.len, PRIVATE)?;
        map.mark(1)?;
        let pages = map.pages();
        // Nobody unmaps before both are there: the stack of the second could be put where pages have gone.
        let both = Barrier::new(2);
        std::thread::scope(|scope| {
            let one = scope.spawn(|| {
                both.wait();
                (0..pages - 2).try_for_each(|page| map.unmap_pages(page, page + 2))
            });
            let two = scope.spawn(|| {
                both.wait();
                (2..pages).rev().try_for_each(|page| map.unmap_pages(page, page + 1))
            });
            let result = one.join().unwrap_or_else(|_| Err(error("a thread panicked")));
            result.and(two.join().unwrap_or_else(|_| Err(error("a thread panicked"))))
        })?;
        map.are_holes(0..pages)?;
    }
    Ok(())
}

static MAPPED: AtomicUsize = AtomicUsize::new(0);

fn in_handler(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map(dev.layout.scratch.off, 4 * page_size(), READ, SHARED)?;
    map.get(0)?;
    MAPPED.store(map.base, Ordering::SeqCst);
    probe::set_repair(Some(|_| {
        // Unmaps what faulted and puts ordinary memory there, so that the store can be made.
        let base = MAPPED.load(Ordering::SeqCst);
        sys::munmap(base, 4 * page_size()).is_ok()
            && sys::mmap(base, page_size(), RW, os::ANONYMOUS | FIXED, -1, 0).is_ok()
    }));
    probe::bare_store8(map.at(16), 0x66);
    probe::set_repair(None);
    map.holds(16, 0x66)?;
    map.are_holes(1..4)
}

fn by_thread_exit(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = std::thread::spawn(move || {
        let map = dev.map_all(PRIVATE)?;
        map.mark(0x40)?;
        Ok(map)
    })
    .join()
    .unwrap_or_else(|_| Err(error("a thread panicked")))?;
    map.marked(0x40)?;
    map.unmap()
}

fn by_exec(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let before = dev.stats()?;
    let (word, tell) = works("socketpair", sys::socketpair())?;
    let device = t.device.clone();
    let middle = Peer::start(|_| {
        let map = dev.map_all(PRIVATE)?;
        map.mark(0x10)?;
        // Execs in this very process, by way of a child that reports for it.
        let mut program =
            Peer::start_program(&device, "gone", &[map.base.to_string()], |command| match sys::fork()? {
                sys::Forked::Child => {
                    let _ = map.mark(0x20);
                    sys::exec(command);
                    sys::exit_now(127)
                }
                sys::Forked::Parent(pid) => Ok(pid),
            })?;
        program.hear(b'e')?;
        works("munmap", sys::munmap(map.base, map.len))?;
        works("write", sys::write(tell, b"l"))?;
        let mut go = [0];
        works("read", sys::read(tell, &mut go))?;
        program.link.say(b'x')?;
        program.done()
    })?;
    works("close", sys::close(tell))?;
    let mut at = [0];
    if works("read", sys::read(word, &mut at))? == 0 {
        // It has ended instead, and says why.
        middle.done()?;
        return Err(error("the process that was to exec has ended"));
    }
    // The program runs, its parent has unmapped: nothing may be left of either.
    let counted = grew(&dev, &before, &[("mappings", 0), ("contexts", 0)]);
    works("write", sys::write(word, b"g"))?;
    middle.done()?;
    counted
}

/// A process that maps, does `body`, and ends as `status` says; then nothing of it is left.
fn ends(t: &Ctx, status: Status, body: impl FnOnce(&Map) -> Result) -> Result {
    let dev = t.ctxdev()?;
    let keeper = dev.map_region(dev.layout.fb, PRIVATE)?;
    keeper.mark(0x10)?;
    let before = dev.stats()?;
    let mut peer = Peer::start(|_| {
        let maps = [dev.map_all(PRIVATE)?, dev.map_all(SHARED)?];
        for map in &maps {
            map.mark(0x20)?;
        }
        body(&maps[0])
    })?;
    peer.ends_with(status)?;
    grew(&dev, &before, &[("mappings", 0), ("contexts", 0)])?;
    keeper.marked(0x10)
}

fn by_exit(t: &Ctx) -> Result {
    ends(t, Status::Exited(0), |_| Ok(()))?;
    ends(t, Status::Exited(7), |_| sys::exit_now(7))
}

fn by_exit_with_threads(t: &Ctx) -> Result {
    for _ in 0..5 {
        ends(t, Status::Exited(7), |map| {
            let map = *map;
            for me in 0..3usize {
                std::thread::spawn(move || {
                    for round in 0.. {
                        probe::bare_store8(
                            map.at((round % map.pages()) * page_size() + 8 * me),
                            round as u64,
                        );
                    }
                });
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
            sys::exit_now(7)
        })?;
    }
    Ok(())
}

fn by_sigkill(t: &Ctx) -> Result {
    ends(t, Status::Killed(libc::SIGKILL), |_| {
        works("kill", sys::kill(sys::getpid(), libc::SIGKILL))?;
        Err(error("SIGKILL did not kill"))
    })
}

/// Kills processes that do `work` for ever, at different moments; nothing is left of them.
fn killed_during(t: &Ctx, rounds: u64, work: impl Fn(&Dev, u64) -> Result) -> Result {
    let dev = t.ctxdev()?;
    let keeper = dev.map_region(dev.layout.fb, PRIVATE)?;
    keeper.mark(0x10)?;
    let before = dev.stats()?;
    for round in 0..rounds {
        let mut peer = Peer::start(|link| {
            work(&dev, 0)?;
            link.say(b'r')?;
            for step in 1.. {
                work(&dev, step)?;
            }
            Ok(())
        })?;
        peer.hear(b'r')?;
        std::thread::sleep(std::time::Duration::from_micros(round * 157 % 4000));
        // Our own accesses meet its faults.
        keeper.marked(0x10)?;
        peer.killed()?;
        keeper.marked(0x10)?;
    }
    grew(&dev, &before, &[("mappings", 0), ("contexts", 0)])
}

fn by_sigkill_while_faulting(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    // Mapped here, so that every process has a context of its own by fork.
    let map = dev.map_all(PRIVATE)?;
    map.mark(0x30)?;
    killed_during(t, 25, |dev, step| {
        map.mark(step << 16)?;
        map.marked(step << 16)?;
        if step % 4 == 0 { dev.revoke() } else { Ok(()) }
    })
}

fn by_sigkill_while_mapping(t: &Ctx) -> Result {
    killed_during(t, 25, |dev, step| {
        let map = dev.map_all(if step % 2 == 0 { PRIVATE } else { SHARED })?;
        map.put(dev.layout.fb.off, step)?;
        map.unmap_pages(2, 4)?;
        map.protect_pages(0, 1, READ)?;
        map.unmap()
    })
}

fn by_sigkill_while_forking(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x30)?;
    let before = dev.stats()?;
    for round in 0..15u64 {
        let mut peer = Peer::start(|link| {
            for step in 0.. {
                Peer::start(|_| map.mark(step << 16))?.done()?;
                if step == 0 {
                    link.say(b'r')?;
                }
            }
            Ok(())
        })?;
        peer.hear(b'r')?;
        std::thread::sleep(std::time::Duration::from_micros(round * 577 % 6000));
        peer.killed()?;
    }
    // Its last child may outlive it a little: it ends by itself.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while dev.stats()?.contexts > before.contexts && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    grew(&dev, &before, &[("mappings", 0), ("contexts", 0)])?;
    map.marked(0x30)
}

fn by_refused_access(t: &Ctx) -> Result {
    ends(t, Status::Killed(libc::SIGSEGV), |map| {
        sys::plain_disposition(libc::SIGSEGV, libc::SIG_DFL);
        map.protect(READ)?;
        probe::bare_load8(map.base);
        probe::bare_store8(map.base, 1);
        Ok(())
    })
}

const NO_MREMAP: &str = "mremap does not exist on this system";

fn by_mremap_shrink(t: &Ctx) -> Result {
    let dev = t.open()?;
    for flags in [SHARED, PRIVATE] {
        let map = dev.map_region(dev.layout.fb, flags)?;
        map.mark(0x10)?;
        let before = if dev.is_ctxdev() { Some(dev.stats()?) } else { None };
        let Some(result) = os::mremap(map.base, map.len, map.len - 2 * page_size(), None, false) else {
            return skip(NO_MREMAP);
        };
        same("address after mremap", works("mremap to a smaller size", result)?, map.base)?;
        map.are_holes(map.pages() - 2..map.pages())?;
        map.marked_in(0x10, 0..map.pages() - 2)?;
        if let Some(before) = before {
            grew(&dev, &before, &[("unmaps", 1)])?;
        }
    }
    Ok(())
}

fn by_mremap_move(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x10)?;
    let place = reserve(map.len)?;
    let Some(result) = os::mremap(map.base, map.len, map.len, Some(place), true) else {
        return skip(NO_MREMAP);
    };
    let moved = match result {
        Ok(at) => {
            same("address after mremap", at, place)?;
            map.are_holes(0..map.pages())?;
            Map { base: at, ..map }
        }
        Err(_) => map,
    };
    moved.marked(0x10)?;
    moved.mark(0x20)?;
    if dev.is_ctxdev() {
        dev.revoke()?;
        dev.map_region(dev.layout.fb, PRIVATE)?.mark(0x30)?;
    }
    moved.marked(0x20)?;
    moved.unmap()
}

fn mremap_away_and_back(t: &Ctx) -> Result {
    let dev = t.open()?;
    let page = page_size();
    // No protection changed, that of the page behind, that of the page before.
    for changed in [None, Some(2), Some(0)] {
        for flags in [SHARED, PRIVATE] {
            let map = dev.map(dev.layout.fb.off, 4 * page, RW, flags)?;
            map.mark(0x10)?;
            let Some(away) = os::mremap(map.at(page), page, page, Some(map.at(3 * page)), true) else {
                return skip(NO_MREMAP);
            };
            if let Some(number) = changed {
                map.protect_pages(number, number + 1, READ)?;
            }
            if away.is_ok() {
                map.is_hole(page)?;
                map.holds(3 * page, 0x11)?;
                let back = os::mremap(map.at(3 * page), page, page, Some(map.at(page)), true);
                works("mremap back", back.unwrap_or(Ok(0)))?;
                map.is_hole(3 * page)?;
            }
            map.marked_in(0x10, 0..3)?;
            map.unmap()?;
        }
    }
    Ok(())
}

fn mremap_expand(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    for region in [dev.layout.ring, dev.layout.fb] {
        let map = dev.map_region(region, PRIVATE)?;
        map.mark(0x10)?;
        let Some(result) = os::mremap(map.base, map.len, map.len + page_size(), None, true) else {
            return skip(NO_MREMAP);
        };
        check(result.is_err(), "mremap made a device mapping larger")?;
        map.marked(0x10)?;
    }
    Ok(())
}

fn mremap_invalid(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    map.mark(0x10)?;
    let half = map.len / 2;
    let Some(result) = os::mremap(map.at(8), page_size(), page_size(), None, true) else {
        return skip(NO_MREMAP);
    };
    refused("mremap of an address inside a page", result, &[libc::EINVAL])?;
    if let Some(result) = os::mremap(map.base, half, 0, None, true) {
        refused("mremap to no size", result, &[libc::EINVAL])?;
    }
    map.marked(0x10)?;
    map.unmap()?;
    match os::mremap(map.base, half, half + page_size(), None, true) {
        Some(result) => refused("mremap of a hole", result, &[libc::EFAULT]),
        None => skip(NO_MREMAP),
    }
}
