//! mprotect: every transition, whole and partial, its limits, and what it leaves alone.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::case::{Case, Ctx, Result, case, equal, error, fail, refused, same, works};
use crate::device::{EXEC, FIXED, Map, NONE, PRIVATE, READ, RW, SHARED, WRITE, grew, reserve};
use crate::os;
use crate::peer::Peer;
use crate::probe::{self, Kind};
use crate::sys::{self, page_size};

pub const CASES: &[Case] = &[
    case("all_transitions", "from every protection to every other, page touched before", all_transitions)
        .of("LTP mprotect01, mprotect02"),
    case("all_transitions_cold", "likewise, page not touched between", all_transitions_cold),
    case("read_to_write", "a read-only mapping of a writable open can be made writable", read_to_write)
        .of("LTP mprotect02"),
    case("write_to_read", "stores are refused at once, in every thread", write_to_read).of("LTP mprotect03"),
    case("to_none_and_back", "PROT_NONE and back loses nothing", to_none_and_back),
    case("exec_transitions", "with PROT_EXEC, where the driver allows it", exec_transitions),
    case("head", "the head alone", head),
    case("tail", "the tail alone", tail),
    case("middle", "the middle alone", middle),
    case("every_page_its_own", "each page has a protection of its own", every_page_its_own),
    case("partial_then_whole", "a change of the whole after partial ones", partial_then_whole)
        .of("LTP mprotect05"),
    case("partial_then_unmap", "pages with protections of their own, cut by munmap", partial_then_unmap),
    case("across_regions", "one call over several regions of one mapping", across_regions),
    case("across_mappings", "one call over two mappings and the memory between", across_mappings),
    case(
        "other_mapping_untouched",
        "another mapping of the same memory keeps its protection",
        other_mapping_untouched,
    ),
    case(
        "other_process_untouched",
        "another process's mapping of the same memory keeps its protection",
        other_process_untouched,
    ),
    case(
        "beyond_the_maximum",
        "PROT_WRITE on a shared mapping of a read-only open is EACCES, and nothing changes",
        beyond_the_maximum,
    )
    .of("LTP mprotect01"),
    case("beyond_the_maximum_partial", "likewise for part of it", beyond_the_maximum_partial),
    case(
        "beyond_the_maximum_mixed",
        "a range that includes what cannot be changed is EACCES",
        beyond_the_maximum_mixed,
    ),
    case("hole", "a range with a hole is ENOMEM", hole).of("LTP mprotect01"),
    case("unmapped", "an unmapped range is ENOMEM", unmapped),
    case("unaligned", "an address inside a page is EINVAL", unaligned).of("LTP mprotect01"),
    case("zero_length", "length 0 changes nothing, whether it is refused (EINVAL) or not", zero_length),
    case("length_rounds_up", "a length inside a page takes the whole page", length_rounds_up),
    case("wrapping_range", "a range that wraps round is refused", wrapping_range),
    case("after_fork", "after fork each process has its own protections", after_fork),
    case(
        "while_touched",
        "protections change while another thread touches: it sees no wrong value",
        while_touched,
    )
    .slow(2),
    case("refused_access_then_allowed", "an access refused, then allowed, then made", refused_then_allowed)
        .of("LTP mprotect02"),
    case(
        "context_survives",
        "a context driven out while its mapping was PROT_NONE is intact",
        context_survives,
    ),
    case("no_unmap", "mprotect is neither an unmap nor a map for the driver", no_unmap),
];

const ALL: [i32; 4] = [NONE, READ, WRITE, RW];

fn transitions(t: &Ctx, touch_between: bool) -> Result {
    let dev = t.open()?;
    for region in dev.layout.regions() {
        for flags in [SHARED, PRIVATE] {
            let map = dev.map_region(region, flags)?;
            map.put(40, 0x5)?;
            for from in ALL {
                for to in ALL {
                    map.protect(from)?;
                    if touch_between {
                        map.obeys(40, from)?;
                    }
                    map.protect(to)?;
                    map.obeys(40, to)?;
                }
            }
            map.protect(RW)?;
            map.holds(40, 0x5)?;
            map.unmap()?;
        }
    }
    Ok(())
}

fn all_transitions(t: &Ctx) -> Result {
    transitions(t, true)
}

fn all_transitions_cold(t: &Ctx) -> Result {
    transitions(t, false)
}

fn read_to_write(t: &Ctx) -> Result {
    let dev = t.open()?;
    for region in dev.layout.regions() {
        for flags in [SHARED, PRIVATE] {
            let map = dev.map(region.off, region.len, READ, flags)?;
            map.get(0)?;
            map.protect(RW)?;
            map.mark(0x30)?;
            map.marked(0x30)?;
        }
    }
    Ok(())
}

fn write_to_read(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x30)?;
    let stored = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // A thread that has the page loaded for writing, on another processor if there is one.
        let writer = scope.spawn(|| {
            loop {
                match probe::store8(map.at(8), 1) {
                    Ok(()) => stored.store(true, Ordering::SeqCst),
                    Err(fault) => return equal("fault of the store", fault.kind(), Kind::Protection),
                }
            }
        });
        while !stored.load(Ordering::SeqCst) && !writer.is_finished() {
            std::thread::yield_now();
        }
        let changed = map.protect(READ);
        // From here on no store may have an effect.
        map.store_faults(16, Kind::Protection)?;
        changed.and(writer.join().unwrap_or_else(|_| Err(error("a thread panicked"))))
    })?;
    map.store_faults(8, Kind::Protection)?;
    map.marked(0x30)
}

fn to_none_and_back(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(0x30)?;
    for _ in 0..10 {
        map.protect(NONE)?;
        map.load_faults(dev.layout.fb.off, Kind::Protection)?;
        map.protect(RW)?;
        map.marked(0x30)?;
    }
    Ok(())
}

fn exec_transitions(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_exec(dev.layout.ring, SHARED)?;
    // mov eax, 7; ret
    map.put(0, 0x9090_c300_0000_07b8)?;
    for (prot, runs) in
        [(RW | EXEC, true), (RW, false), (READ | EXEC, true), (NONE, false), (READ | EXEC, true)]
    {
        map.protect(prot)?;
        match probe::call(map.base) {
            Ok(value) if runs => same("value", value, 7)?,
            Err(fault) if !runs && fault.kind() == Kind::Protection => {}
            other => return Err(fail(format!("call with protection {prot}: {other:?}"))),
        }
    }
    Ok(())
}

/// Makes pages `from..to` read-only, then inaccessible, then read-write; the others stay as they are.
fn part(t: &Ctx, from: impl Fn(usize) -> usize, to: impl Fn(usize) -> usize) -> Result {
    let dev = t.open()?;
    for region in [dev.layout.ring, dev.layout.scratch, dev.layout.fb] {
        for flags in [SHARED, PRIVATE] {
            let map = dev.map_region(region, flags)?;
            let (from, to) = (from(map.pages()), to(map.pages()));
            map.mark(0x60)?;
            for prot in [READ, NONE, RW] {
                map.protect_pages(from, to, prot)?;
                for page in 0..map.pages() {
                    map.obeys(page * page_size(), if (from..to).contains(&page) { prot } else { RW })?;
                }
            }
            map.marked(0x60)?;
        }
    }
    Ok(())
}

fn head(t: &Ctx) -> Result {
    part(t, |_| 0, |_| 2)
}

fn tail(t: &Ctx) -> Result {
    part(t, |pages| pages - 1, |pages| pages)
}

fn middle(t: &Ctx) -> Result {
    part(t, |_| 1, |pages| pages - 1)
}

fn every_page_its_own(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(0x10)?;
    let prot = |page: usize| [RW, READ, NONE, READ, RW, NONE][page % 6];
    for page in 0..map.pages() {
        map.protect_pages(page, page + 1, prot(page))?;
    }
    for page in 0..map.pages() {
        map.obeys(page * page_size(), prot(page))?;
    }
    if dev.is_ctxdev() {
        // And when everything is loaded anew.
        dev.revoke()?;
    }
    for page in (0..map.pages()).rev() {
        map.obeys(page * page_size(), prot(page))?;
    }
    map.protect(RW)?;
    map.marked(0x10)
}

fn partial_then_whole(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x10)?;
    map.protect_pages(2, 4, READ)?;
    map.protect_pages(5, 6, NONE)?;
    for prot in [NONE, RW, READ] {
        map.protect(prot)?;
        for page in 0..map.pages() {
            map.obeys(page * page_size(), prot)?;
        }
    }
    map.protect(RW)?;
    map.marked(0x10)
}

fn partial_then_unmap(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x10)?;
    map.protect_pages(2, 6, READ)?;
    map.protect_pages(8, 10, NONE)?;
    map.unmap_pages(4, 9)?;
    map.are_holes(4..9)?;
    for (page, prot) in [(0, RW), (1, RW), (2, READ), (3, READ), (9, NONE), (10, RW)] {
        map.obeys(page * page_size(), prot)?;
    }
    map.unmap_pages(0, 3)?;
    map.obeys(3 * page_size(), READ)?;
    map.protect_pages(9, 10, RW)?;
    map.marked_in(0x10, [3, 9, 10, 11])
}

fn across_regions(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(0x10)?;
    let (from, to) = (dev.layout.ring.page(2) / page_size(), dev.layout.fb.page(2) / page_size());
    for prot in [READ, NONE, RW] {
        map.protect_pages(from, to, prot)?;
        for page in 0..map.pages() {
            map.obeys(page * page_size(), if (from..to).contains(&page) { prot } else { RW })?;
        }
    }
    map.marked(0x10)
}

fn across_mappings(t: &Ctx) -> Result {
    let dev = t.open()?;
    let page = page_size();
    let place = works("mmap", sys::mmap(0, 8 * page, RW, os::ANONYMOUS, -1, 0))?;
    let outer = Map { base: place, len: 8 * page, off: 0 };
    dev.map_at(place + page, dev.layout.ring.off, 2 * page, RW, SHARED | FIXED)?;
    dev.map_at(place + 5 * page, dev.layout.scratch.off, 2 * page, RW, SHARED | FIXED)?;
    outer.mark(0x10)?;
    outer.protect_pages(2, 6, READ)?;
    for page in 0..8 {
        outer.obeys(page * page_size(), if (2..6).contains(&page) { READ } else { RW })?;
    }
    outer.marked(0x10)
}

fn other_mapping_untouched(t: &Ctx) -> Result {
    let dev = t.open()?;
    for region in dev.layout.regions() {
        let (one, two) = (dev.map_region(region, SHARED)?, dev.map_region(region, SHARED)?);
        one.mark(0x10)?;
        two.marked(0x10)?;
        for prot in [READ, NONE] {
            one.protect(prot)?;
            one.obeys(0, prot)?;
            two.mark(0x20)?;
            two.marked(0x20)?;
        }
    }
    Ok(())
}

fn other_process_untouched(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(SHARED)?;
    map.mark(0x10)?;
    let mut peer = Peer::start(|link| {
        map.marked(0x10)?;
        link.say(b'r')?;
        link.hear(b'g')?;
        map.mark(0x20)
    })?;
    peer.hear(b'r')?;
    map.protect(READ)?;
    peer.link.say(b'g')?;
    peer.done()?;
    map.marked(0x20)?;
    map.obeys(0, READ)
}

fn beyond_the_maximum(t: &Ctx) -> Result {
    let dev = t.open_with(libc::O_RDONLY)?;
    let map = dev.map(dev.layout.scratch.off, dev.layout.scratch.len, READ, SHARED)?;
    for prot in [RW, WRITE] {
        refused("mprotect to write", sys::mprotect(map.base, map.len, prot), &[libc::EACCES])?;
        map.obeys(0, READ)?;
    }
    map.protect(NONE)?;
    refused("mprotect to write", sys::mprotect(map.base, map.len, RW), &[libc::EACCES])?;
    map.protect(READ)?;
    map.obeys(0, READ)
}

fn beyond_the_maximum_partial(t: &Ctx) -> Result {
    let dev = t.open_with(libc::O_RDONLY)?;
    let map = dev.map(dev.layout.scratch.off, dev.layout.scratch.len, READ, SHARED)?;
    refused(
        "mprotect of a page to write",
        sys::mprotect(map.at(page_size()), page_size(), RW),
        &[libc::EACCES],
    )?;
    for page in 0..3 {
        map.obeys(page * page_size(), READ)?;
    }
    Ok(())
}

fn beyond_the_maximum_mixed(t: &Ctx) -> Result {
    let (writable, read_only) = (t.open()?, t.open_with(libc::O_RDONLY)?);
    let page = page_size();
    let place = reserve(4 * page)?;
    let scratch = writable.layout.scratch.off;
    writable.map_at(place, scratch, 2 * page, READ, SHARED | FIXED)?;
    let last = read_only.map_at(place + 2 * page, scratch, 2 * page, READ, SHARED | FIXED)?;
    refused("mprotect over both", sys::mprotect(place, 4 * page, RW), &[libc::EACCES])?;
    last.obeys(0, READ)
}

fn hole(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    map.unmap_pages(2, 4)?;
    refused("mprotect over a hole", sys::mprotect(map.base, 6 * page_size(), READ), &[libc::ENOMEM])?;
    refused(
        "mprotect from a hole",
        sys::mprotect(map.at(2 * page_size()), 4 * page_size(), READ),
        &[libc::ENOMEM],
    )?;
    map.protect_pages(4, 6, READ)?;
    map.obeys(4 * page_size(), READ)
}

fn unmapped(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    map.unmap()?;
    refused("mprotect of what was unmapped", sys::mprotect(map.base, page_size(), READ), &[libc::ENOMEM])
}

fn unaligned(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    refused("mprotect inside a page", sys::mprotect(map.at(8), page_size(), READ), &[libc::EINVAL])?;
    map.obeys(0, RW)
}

fn zero_length(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    let result = sys::mprotect(map.base, 0, NONE);
    if os::EMPTY_RANGE_REFUSED {
        refused("mprotect of 0 bytes", result, &[libc::EINVAL])?;
    } else {
        works("mprotect of 0 bytes", result)?;
    }
    map.obeys(0, RW)
}

fn length_rounds_up(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    works("mprotect of a page and a byte", sys::mprotect(map.base, page_size() + 1, READ))?;
    for (page, prot) in [(0, READ), (1, READ), (2, RW)] {
        map.obeys(page * page_size(), prot)?;
    }
    Ok(())
}

fn wrapping_range(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    let len = usize::MAX - page_size() * 2 + 1;
    refused("mprotect that wraps round", sys::mprotect(map.base, len, READ), &[libc::ENOMEM, libc::EINVAL])?;
    map.obeys(map.len - page_size(), RW)
}

fn after_fork(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x10)?;
    let mut child = Peer::start(|link| {
        map.protect_pages(0, 2, READ)?;
        link.ask(b'p', b'q')?;
        map.obeys(0, READ)?;
        map.obeys(5 * page_size(), RW)
    })?;
    child.hear(b'p')?;
    map.obeys(0, RW)?;
    map.protect_pages(4, 6, NONE)?;
    child.link.say(b'q')?;
    child.done()?;
    map.obeys(0, RW)?;
    map.obeys(5 * page_size(), NONE)
}

fn while_touched(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x500)?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while !stop.load(Ordering::SeqCst) {
                        for page in 0..map.pages() {
                            match probe::load8(map.at(page * page_size())) {
                                Ok(value) => same("value read", value, 0x500 + page as u64)?,
                                Err(fault) if fault.kind() == Kind::Protection => {}
                                Err(fault) => return Err(fail(format!("read: {fault}"))),
                            }
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        let mut changed = Ok(());
        for round in 0..60 {
            changed = changed
                .and_then(|()| map.protect([NONE, READ, RW][round % 3]))
                .and_then(|()| map.protect_pages(round % 8, round % 8 + 2, [RW, NONE][round % 2]));
        }
        stop.store(true, Ordering::SeqCst);
        for reader in readers {
            reader.join().unwrap_or_else(|_| Err(error("a thread panicked")))?;
        }
        changed
    })?;
    map.protect(RW)?;
    map.marked(0x500)
}

fn refused_then_allowed(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map(dev.layout.fb.off, dev.layout.fb.len, NONE, PRIVATE)?;
    for page in 0..map.pages() {
        let at = page * page_size();
        map.load_faults(at, Kind::Protection)?;
        map.protect_pages(page, page + 1, READ)?;
        map.get(at)?;
        map.store_faults(at, Kind::Protection)?;
        map.protect_pages(page, page + 1, RW)?;
        map.put(at, 0x90 + page as u64)?;
    }
    map.marked(0x90)
}

fn context_survives(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x10)?;
    map.protect(NONE)?;
    dev.map_region(dev.layout.fb, PRIVATE)?.mark(0x20)?;
    dev.map_region(dev.layout.fb, SHARED)?.mark(0x30)?;
    map.load_faults(0, Kind::Protection)?;
    map.protect(READ)?;
    map.marked(0x10)
}

fn no_unmap(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(0x10)?;
    let before = dev.stats()?;
    map.protect_pages(1, 3, READ)?;
    map.protect(NONE)?;
    map.protect(RW)?;
    grew(&dev, &before, &[("maps", 0), ("unmaps", 0), ("mappings", 0), ("contexts", 0)])
}
