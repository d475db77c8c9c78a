//! munmap in every shape, and the other ways in which a mapping goes: fixed mmap, mremap, exec, exit, SIGKILL.

use crate::case::{Case, Ctx, Result, case, check, refused, works};
use crate::device::{Dev, FIXED, Map, NONE, PRIVATE, RW, SHARED, grew, reserve};
use crate::os;
use crate::peer::Peer;
use crate::probe::Kind;
use crate::sys::{self, page_size};

pub const CASES: &[Case] = &[
    case("whole", "a whole mapping goes; access afterwards is SIGSEGV, no mapping", whole)
        .of("Open POSIX munmap 1-1; LTP munmap01"),
    case("head", "the head goes, the rest keeps its values and stays in its context", head)
        .of("pfnmap munmap_split"),
    case("tail", "the tail goes, the rest keeps its values and stays in its context", tail)
        .of("LTP munmap01"),
    case("middle", "the middle goes, both ends keep their values and stay in one context", middle),
    case(
        "split_and_map_again",
        "what was cut off can be mapped again while the rest is still there",
        split_and_map_again,
    )
    .of("pfnmap munmap_split"),
    case("page_by_page", "a mapping goes page by page, in any order", page_by_page),
    case("every_second_page", "every second page goes, then the others", every_second_page),
    case("middle_again", "the middle of each remaining piece goes, down to single pages", middle_again),
    case("whole_of_several", "a mapping of all regions goes as a whole", whole_of_several),
    case(
        "inside_one_of_several",
        "pages inside the first region of a mapping of all regions go",
        inside_first_of_several,
    ),
    case("head_of_several", "a head that ends inside a later region goes", head_of_several),
    case("head_at_boundary", "a head that ends where a region ends goes", head_at_boundary),
    case("tail_of_several", "a tail that starts inside an earlier region goes", tail_of_several).cuts_tail(),
    case("tail_at_boundary", "a tail that starts where a region starts goes", tail_at_boundary).cuts_tail(),
    case("tail_inside_last", "a tail inside the last region goes", tail_inside_last).cuts_tail(),
    case("middle_across_regions", "a middle across region boundaries goes", middle_across_regions)
        .cuts_tail(),
    case(
        "across_mappings",
        "one munmap over several mappings, memory and holes takes them all",
        across_mappings,
    ),
    case(
        "part_of_neighbours",
        "the tail of one mapping and the head of the next go in one call",
        part_of_neighbours,
    ),
    case("twice", "a second munmap of the same range succeeds and does nothing", twice)
        .of("Open POSIX munmap 2-1"),
    case("nothing_there", "munmap where nothing was ever mapped succeeds", nothing_there),
    case("rounds_up", "a length inside a page takes the whole page", rounds_up).of("Open POSIX munmap 1-2"),
    case("unaligned", "an address inside a page is EINVAL, and nothing goes", unaligned)
        .of("Open POSIX munmap 3-1; LTP munmap03"),
    case("zero_length", "length 0 is EINVAL, and nothing goes", zero_length)
        .of("Open POSIX munmap 9-1; LTP munmap03"),
    case("outside_user_addresses", "a range outside the user's addresses is EINVAL", outside_user_addresses)
        .of("LTP munmap03"),
    case("wrapping_range", "a range that wraps round is EINVAL", wrapping_range),
    case("private_is_discarded", "what a private mapping held is gone with it", private_is_discarded)
        .of("Open POSIX munmap 4-1 (changed: the context goes, no file is behind it)"),
    case(
        "shared_stays",
        "what was written to a shared mapping is there when it is mapped again",
        shared_stays,
    ),
    case("of_the_owner", "the owner of the engine unmaps: the next context works", of_the_owner),
    case("never_touched", "a mapping that nobody touched goes", never_touched),
    case("no_access_mapping", "a PROT_NONE mapping goes", no_access_mapping),
    case("one_of_two", "one of two mappings of the same memory goes, the other works on", one_of_two),
    case("in_child_only", "munmap in the child leaves the parent's mapping", in_child_only),
    case("in_parent_only", "munmap in the parent leaves the child's mapping", in_parent_only),
];

fn whole(t: &Ctx) -> Result {
    let dev = t.open()?;
    for region in dev.layout.regions() {
        for flags in [SHARED, PRIVATE] {
            let map = dev.map_region(region, flags)?;
            map.mark(1)?;
            map.unmap()?;
            map.are_holes(0..map.pages())?;
            map.store_faults(8, Kind::Hole)?;
        }
    }
    Ok(())
}

/// Unmaps pages `from..to` of each region; the rest holds its values, stays in its context, and goes at the end.
fn cut(t: &Ctx, from: impl Fn(usize) -> usize, to: impl Fn(usize) -> usize) -> Result {
    let dev = t.open()?;
    for region in [dev.layout.ring, dev.layout.scratch, dev.layout.fb] {
        for flags in [SHARED, PRIVATE] {
            cut_mapping(&dev, &dev.map_region(region, flags)?, from(region.pages()), to(region.pages()))?;
        }
    }
    Ok(())
}

fn cut_mapping(dev: &Dev, map: &Map, from: usize, to: usize) -> Result {
    let rest = || (0..from).chain(to..map.pages());
    map.mark(0x500)?;
    map.unmap_pages(from, to)?;
    map.are_holes(from..to)?;
    map.marked_in(0x500, rest())?;
    if dev.is_ctxdev() {
        // Out of the engine and back: the pieces are still the same context.
        let other = dev.map_region(dev.layout.fb, PRIVATE)?;
        other.put(0, 0xffff)?;
        map.marked_in(0x500, rest())?;
        other.unmap()?;
        dev.revoke()?;
        map.marked_in(0x500, rest())?;
    }
    for page in rest() {
        map.put(page * page_size() + 8, page as u64)?;
    }
    map.unmap()?;
    map.are_holes(0..map.pages())
}

fn head(t: &Ctx) -> Result {
    cut(t, |_| 0, |_| 1)?;
    cut(t, |_| 0, |pages| pages - 1)
}

fn tail(t: &Ctx) -> Result {
    cut(t, |pages| pages - 1, |pages| pages)?;
    cut(t, |_| 1, |pages| pages)
}

fn middle(t: &Ctx) -> Result {
    cut(t, |_| 1, |_| 2)?;
    cut(t, |_| 1, |pages| pages - 1)
}

fn split_and_map_again(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    map.mark(0x20)?;
    map.unmap_pages(0, 1)?;
    let again = dev.map(dev.layout.scratch.off, page_size(), RW, SHARED)?;
    again.holds(0, 0x20)?;
    let fixed = dev.map_at(map.base, dev.layout.scratch.off, page_size(), RW, SHARED | FIXED)?;
    fixed.holds(0, 0x20)?;
    map.marked(0x20)
}

fn page_by_page(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x20)?;
    let mut left: Vec<usize> = (0..map.pages()).collect();
    let mut next = 5;
    while !left.is_empty() {
        next = (next * 7 + 3) % left.len();
        let page = left.remove(next);
        map.unmap_pages(page, page + 1)?;
        map.is_hole(page * page_size())?;
        map.marked_in(0x20, left.iter().copied())?;
    }
    Ok(())
}

fn every_second_page(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x20)?;
    for page in (0..map.pages()).step_by(2) {
        map.unmap_pages(page, page + 1)?;
    }
    map.marked_in(0x20, (1..map.pages()).step_by(2))?;
    map.are_holes((0..map.pages()).step_by(2))?;
    for page in (1..map.pages()).step_by(2) {
        map.unmap_pages(page, page + 1)?;
    }
    map.are_holes(0..map.pages())
}

fn middle_again(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x20)?;
    let mut pieces = vec![(0, map.pages())];
    let mut gone = Vec::new();
    while let Some((from, to)) = pieces.pop() {
        if to - from < 3 {
            continue;
        }
        let middle = (from + to) / 2;
        map.unmap_pages(middle, middle + 1)?;
        gone.push(middle);
        map.marked_in(0x20, (0..map.pages()).filter(|page| !gone.contains(page)))?;
        pieces.push((from, middle));
        pieces.push((middle + 1, to));
    }
    map.are_holes(gone)
}

fn whole_of_several(t: &Ctx) -> Result {
    let dev = t.open()?;
    for flags in [SHARED, PRIVATE] {
        let map = dev.map_all(flags)?;
        map.mark(1)?;
        map.unmap()?;
        map.are_holes(0..map.pages())?;
    }
    Ok(())
}

/// As `cut`, of one mapping over all regions; `from` and `to` are device offsets.
fn cut_several(t: &Ctx, from: usize, to: usize) -> Result {
    let dev = t.open()?;
    for flags in [SHARED, PRIVATE] {
        let map = dev.map_all(flags)?;
        let (from, to) = (from / page_size(), to / page_size());
        let rest = || (0..from).chain(to..map.pages());
        map.mark(0x500)?;
        let before = if dev.is_ctxdev() { Some(dev.stats()?) } else { None };
        map.unmap_pages(from, to)?;
        if let Some(before) = before {
            check(dev.stats()?.unmaps > before.unmaps, "the driver was not told")?;
        }
        map.are_holes(from..to)?;
        map.marked_in(0x500, rest())?;
        if dev.is_ctxdev() {
            dev.revoke()?;
            map.marked_in(0x500, rest())?;
        }
        map.unmap()?;
        map.are_holes(0..map.pages())?;
    }
    Ok(())
}

fn inside_first_of_several(t: &Ctx) -> Result {
    // RING and SCRATCH only: a middle of RING goes, SCRATCH stays behind it.
    let dev = t.open()?;
    let (ring, scratch) = (dev.layout.ring, dev.layout.scratch);
    let map = dev.map(ring.off, ring.len + scratch.len, RW, PRIVATE)?;
    map.mark(0x40)?;
    map.unmap_pages(1, 2)?;
    map.is_hole(page_size())?;
    map.marked_in(0x40, (0..1).chain(2..map.pages()))
}

fn head_of_several(t: &Ctx) -> Result {
    let layout = t.layout()?;
    cut_several(t, 0, layout.ring.page(1))?;
    cut_several(t, 0, layout.fb.page(2))
}

fn head_at_boundary(t: &Ctx) -> Result {
    let layout = t.layout()?;
    cut_several(t, 0, layout.ring.off)?;
    cut_several(t, 0, layout.fb.off)
}

fn tail_of_several(t: &Ctx) -> Result {
    let layout = t.layout()?;
    cut_several(t, layout.ring.page(1), layout.total())?;
    cut_several(t, layout.scratch.page(3), layout.total())
}

fn tail_at_boundary(t: &Ctx) -> Result {
    let layout = t.layout()?;
    cut_several(t, layout.fb.off, layout.total())?;
    cut_several(t, layout.scratch.off, layout.total())?;
    cut_several(t, layout.ring.off, layout.total())
}

fn tail_inside_last(t: &Ctx) -> Result {
    let layout = t.layout()?;
    cut_several(t, layout.fb.page(1), layout.total())?;
    cut_several(t, layout.total() - page_size(), layout.total())
}

fn middle_across_regions(t: &Ctx) -> Result {
    let layout = t.layout()?;
    cut_several(t, layout.ring.page(2), layout.scratch.page(3))?;
    cut_several(t, layout.ring.off, layout.fb.off)?;
    cut_several(t, layout.ring.page(1), layout.fb.page(1))
}

fn across_mappings(t: &Ctx) -> Result {
    let dev = t.open()?;
    let page = page_size();
    let place = reserve(16 * page)?;
    let outer = Map { base: place, len: 16 * page, off: 0 };
    let first = dev.map_at(place + page, dev.layout.ring.off, 4 * page, RW, SHARED | FIXED)?;
    let second = dev.map_at(place + 9 * page, dev.layout.scratch.off, 4 * page, RW, PRIVATE | FIXED)?;
    first.mark(1)?;
    second.mark(2)?;
    works("munmap", sys::munmap(place + 6 * page, 2 * page))?;
    works("munmap of everything", sys::munmap(place + page, 14 * page))?;
    outer.are_holes(1..15)?;
    outer.load_faults(0, Kind::Protection)?;
    outer.load_faults(15 * page, Kind::Protection)
}

fn part_of_neighbours(t: &Ctx) -> Result {
    let dev = t.open()?;
    let page = page_size();
    let place = reserve(8 * page)?;
    let first = dev.map_at(place, dev.layout.scratch.off, 4 * page, RW, SHARED | FIXED)?;
    let second = dev.map_at(place + 4 * page, dev.layout.ring.off, 4 * page, RW, SHARED | FIXED)?;
    first.mark(0x10)?;
    second.mark(0x20)?;
    works("munmap", sys::munmap(place + 3 * page, 2 * page))?;
    first.is_hole(3 * page)?;
    second.is_hole(0)?;
    first.marked_in(0x10, 0..3)?;
    second.marked_in(0x20, 1..4)
}

fn twice(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.ring, PRIVATE)?;
    map.put(0, 1)?;
    map.unmap()?;
    let before = if dev.is_ctxdev() { Some(dev.stats()?) } else { None };
    map.unmap()?;
    map.unmap()?;
    match before {
        Some(before) => grew(&dev, &before, &[("unmaps", 0)]),
        None => Ok(()),
    }
}

fn nothing_there(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.ring, SHARED)?;
    map.mark(3)?;
    let place = reserve(8 * page_size())?;
    works("munmap", sys::munmap(place, 8 * page_size()))?;
    works("munmap of a hole", sys::munmap(place + page_size(), 4 * page_size()))?;
    map.marked(3)
}

fn rounds_up(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    map.mark(7)?;
    works("munmap of one byte", sys::munmap(map.base, 1))?;
    works("munmap of a page and a byte", sys::munmap(map.at(3 * page_size()), page_size() + 1))?;
    map.are_holes([0, 3, 4])?;
    map.marked_in(7, [1, 2, 5, 6])
}

fn unaligned(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    map.mark(7)?;
    for at in [1, 8, page_size() - 1, page_size() + 8] {
        refused("munmap inside a page", sys::munmap(map.at(at), page_size()), &[libc::EINVAL])?;
    }
    map.marked(7)
}

fn zero_length(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    map.mark(7)?;
    refused("munmap of 0 bytes", sys::munmap(map.base, 0), &[libc::EINVAL])?;
    map.marked(7)
}

fn outside_user_addresses(t: &Ctx) -> Result {
    t.open()?;
    refused("munmap of a kernel address", sys::munmap(os::KERNEL_ADDRESS, page_size()), &[libc::EINVAL])
}

fn wrapping_range(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    map.mark(7)?;
    for len in [usize::MAX, usize::MAX - 4095, usize::MAX - map.base] {
        refused(format!("munmap of {len:#x} bytes"), sys::munmap(map.base, len), &[libc::EINVAL])?;
    }
    map.marked(7)
}

fn private_is_discarded(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let place = reserve(dev.layout.fb.len)?;
    for _ in 0..5 {
        let map = dev.map_at(place, dev.layout.fb.off, dev.layout.fb.len, RW, PRIVATE | FIXED)?;
        for page in 0..map.pages() {
            map.holds(page * page_size(), 0)?;
        }
        map.mark(0x77)?;
        map.unmap()?;
    }
    Ok(())
}

fn shared_stays(t: &Ctx) -> Result {
    let dev = t.open()?;
    let keeper = dev.map_all(SHARED)?;
    let map = dev.map_all(SHARED)?;
    map.mark(0x88)?;
    map.unmap()?;
    dev.map_all(SHARED)?.marked(0x88)?;
    keeper.marked(0x88)
}

fn of_the_owner(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let waiting = dev.map_all(PRIVATE)?;
    waiting.mark(0x10)?;
    for _ in 0..5 {
        let owner = dev.map_all(PRIVATE)?;
        owner.mark(0x20)?;
        owner.unmap()?;
        waiting.marked_in(0x10, 0..dev.layout.scratch.off / page_size())?;
        waiting.mark(0x10)?;
    }
    Ok(())
}

fn never_touched(t: &Ctx) -> Result {
    let dev = t.open()?;
    for flags in [SHARED, PRIVATE] {
        let map = dev.map_all(flags)?;
        map.unmap()?;
        map.are_holes(0..map.pages())?;
    }
    Ok(())
}

fn no_access_mapping(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map(0, dev.layout.total(), NONE, PRIVATE)?;
    map.load_faults(0, Kind::Protection)?;
    map.unmap()?;
    map.are_holes(0..map.pages())
}

fn one_of_two(t: &Ctx) -> Result {
    let dev = t.open()?;
    let (one, two) = (dev.map_all(SHARED)?, dev.map_all(SHARED)?);
    one.mark(0x99)?;
    two.marked(0x99)?;
    one.unmap()?;
    two.marked(0x99)?;
    two.mark(0xaa)?;
    one.is_hole(0)
}

fn in_child_only(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_apart(0, dev.layout.total(), PRIVATE)?;
    map.mark(0x10)?;
    let before = dev.stats()?;
    Peer::start(|_| {
        map.unmap()?;
        map.are_holes(0..map.pages())
    })?
    .done()?;
    grew(&dev, &before, &[("mappings", 0), ("contexts", 0)])?;
    map.marked(0x10)
}

fn in_parent_only(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_apart(dev.layout.fb.off, dev.layout.fb.len, PRIVATE)?;
    map.mark(0x10)?;
    let child = Peer::start(|link| {
        link.hear(b'u')?;
        map.marked(0x10)?;
        map.mark(0x20)?;
        map.marked(0x20)
    })?;
    map.unmap()?;
    map.are_holes(0..map.pages())?;
    child.link.say(b'u')?;
    child.done()
}
