//! Linux's areas (docs/porting.md), with the driver vmops: which operations are called when, and the faults that others had with them. What LinuxKPI's rules make no different is for its area, too.

use std::sync::Barrier;
use std::thread;

use ports_user::{CopyPages, REFUSED, Region, Span, VMOPS_COPY, VMOPS_MOVE};

use crate::case::{Case, Ctx, Result, case, check, equal, fail, refused, works};
use crate::device::{Map, PRIVATE, READ, RW, SHARED};
use crate::os;
use crate::peer::Peer;
use crate::port::{Port, while_read, while_used};
use crate::probe::{self, Kind};
use crate::sys::{self, Errno, page_size};

pub const CASES: &[Case] = &[
    case("fault", "the first access to each page calls fault, once; the first page's is a major one", fault),
    case(
        "fault_again",
        "what was answered is asked again after it was unmapped, and in a child",
        fault_again,
    ),
    case("remap", "a range mapped at once is there without a call, for a child as well", remap),
    case("remap_half", "of an area that is mapped in part the rest is SIGBUS", remap_half),
    case(
        "remap_registers",
        "registers keep what they hold when nobody maps them, kernel memory is freed",
        remap_registers,
    ),
    case(
        "insert_pages",
        "pages that mmap inserts are there without a call, the others are SIGBUS",
        insert_pages,
    ),
    case("user_pages", "pages of the process are held, and copied to others of it", user_pages),
    case("remap_unmapped", "what was mapped at once and taken away is SIGBUS", remap_unmapped),
    case(
        "insert",
        "a page that fault inserts is there, for a child without a call; one that it refuses is SIGBUS",
        insert,
    ),
    case("mkwrite", "page_mkwrite is called before a page is written, and can refuse", mkwrite),
    case("populate", "one access fills the range that is to be populated", populate),
    case("dontcopy", "a child does not have what is not to be copied", dontcopy),
    case("private", "a private mapping that could be written is refused; one to read works", private),
    case("opens_of_fork", "open is called for the child's copy, close once for each", opens_of_fork),
    case("opens_of_splits", "munmap of a part opens what it leaves and closes what goes", opens_of_splits),
    case("closed_by_exit", "exit and SIGKILL close what is mapped, whole or in pieces", closed_by_exit),
    case("refused_mmap", "an mmap that the driver refuses is neither counted nor closed", refused_mmap),
    case("unmap_range", "unmap_mapping_range takes pages from all who map them, and no others", unmap_range),
    case(
        "unmap_while_faulting",
        "threads that fault while pages are taken away lose nothing",
        unmap_while_faulting,
    ),
    case(
        "move_whole",
        "a buffer that moves to other memory while processes have it mapped keeps what they write",
        move_whole,
    ),
    case(
        "move_pages",
        "its pages move one by one, or the mmap is refused; a write to a page that was read is told",
        move_pages,
    ),
    case("move_while_writing", "threads that write while a buffer moves lose nothing", move_while_writing),
    case(
        "operations_together",
        "operations of two areas of a process run at the same time",
        operations_together,
    ),
    case(
        "operations_of_two_processes",
        "operations of two processes run at the same time",
        operations_of_two_processes,
    ),
    // Faults that others had.
    case(
        "counted_at_the_first_mmap",
        "an object is not counted at the first mmap as if it were a copy",
        counted_at_the_first_mmap,
    ),
    case(
        "not_counted_at_fork",
        "the first exit after a fork does not free what the other process uses",
        not_counted_at_fork,
    ),
    case(
        "list_not_extended_by_fork",
        "a revoke after the parent's munmap reaches the child",
        list_not_extended_by_fork,
    ),
    case(
        "lost_while_mapped",
        "a device that is reset while mapped gives SIGBUS to all, and works again afterwards",
        lost_while_mapped,
    ),
    case(
        "second_mmap_of_one_object",
        "a second mmap of an object leaves the first one whole, and the other way round",
        second_mmap_of_one_object,
    ),
    case(
        "different_lengths",
        "two mappings of an object with different lengths end by themselves",
        different_lengths,
    ),
    case(
        "several_minors_one_revoke",
        "one revoke reaches the mappings by every minor node",
        several_minors_one_revoke,
    ),
];

/// Whether everything that was mapped is gone again, and each object was freed once.
#[track_caller]
pub fn all_freed(dev: &Port, before: &crate::port::Status, objects: u64) -> Result {
    dev.grew(before, &[("mappings", 0), ("objects", 0), ("users", 0), ("freed", objects)])
}

fn fault(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let map = dev.region(Region::Fault, 4)?;
    dev.grew(&before, &[("mmaps", 1), ("mappings", 1), ("faults", 0)])?;
    map.mark(0x10)?;
    map.marked(0x10)?;
    dev.grew(&before, &[("faults", 4), ("minor", 3), ("major", 1)])?;
    map.unmap()?;
    all_freed(&dev, &before, 1)
}

fn fault_again(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let map = dev.region(Region::Fault, 4)?;
    map.mark(0x20)?;
    let before = dev.status()?;
    dev.unmap(Region::Fault.start() + page_size() as u64, page_size() as u64)?;
    map.marked(0x20)?;
    dev.grew(&before, &[("faults", 1)])?;
    Peer::start(|_| map.marked(0x20))?.done()?;
    dev.grew(&before, &[("faults", 5)])
}

pub fn remap(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let (map, other) = (dev.region(Region::Remap, 4)?, dev.region(Region::Remap, 2)?);
    map.mark(0x30)?;
    other.marked(0x30)?;
    Peer::start(|_| map.marked(0x30))?.done()?;
    dev.grew(&before, &[("faults", 0), ("mmaps", 2)])
}

pub fn remap_half(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let map = dev.region(Region::Half, 4)?;
    let rest = 2 * page_size();
    map.load_faults(rest, Kind::Device)?;
    map.put(0, 1)?;
    map.put(rest - 8, 2)?;
    map.load_faults(rest, Kind::Device)?;
    map.store_faults(map.len - 8, Kind::Device)?;
    Peer::start(|_| {
        map.holds(rest - 8, 2)?;
        map.load_faults(rest, Kind::Device)
    })?
    .done()
}

pub fn remap_registers(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let map = dev.region(Region::Remap, 4)?;
    map.mark(0x48)?;
    // Another process sees them, and a part of them elsewhere.
    Peer::start(|_| {
        map.marked(0x48)?;
        let part = dev.map(Region::Remap.start() + 2 * page_size() as u64, 1)?;
        part.holds(0, map.get(2 * page_size())?)
    })?
    .done()?;
    let first = map.get(0)?;
    map.unmap()?;
    let again = dev.region(Region::Remap, 4)?;
    again.holds(0, if dev.status()?.registers == 1 { first } else { 0 })
}

pub fn insert_pages(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let map = dev.region(Region::Pages, 4)?;
    let there = |map: &Map| {
        map.load_faults(3 * page_size(), Kind::Device)?;
        (0..3).try_for_each(|page| map.holds(page * page_size(), 7 + page as u64))
    };
    (0..3).try_for_each(|page| map.put(page * page_size(), 7 + page as u64))?;
    there(&map)?;
    Peer::start(|_| there(&map))?.done()?;
    dev.unmap(Region::Pages.start() + page_size() as u64, page_size() as u64)?;
    map.load_faults(page_size(), Kind::Device)?;
    map.holds(2 * page_size(), 9)?;
    dev.grew(&before, &[("faults", 0)])
}

pub fn user_pages(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let own = |prot| sys::mmap(0, 3 * page_size(), prot, PRIVATE | os::ANONYMOUS, -1, 0);
    let (from, to) = (works("mmap", own(RW))?, works("mmap", own(RW))?);
    let word = |base: usize, page: usize| base + page * page_size() + 8 * page;
    let copy = |from: usize, to: usize, pages: u64| {
        let mut copy = CopyPages { from: from as u64, to: to as u64, pages };
        sys::ioctl_with(dev.fd, VMOPS_COPY, &mut copy)
    };
    for page in 0..3 {
        works(
            "a store",
            probe::store8(word(from, page), 0x70 + page as u64).map_err(|_| Errno(libc::EFAULT)),
        )?;
    }
    equal("pages of the process", works("ioctl VMOPS_COPY", copy(from, to, 3))?, 3)?;
    for page in 0..3 {
        let value = works("a load", probe::load8(word(to, page)).map_err(|_| Errno(libc::EFAULT)))?;
        equal("the copy", value, 0x70 + page as u64)?;
    }
    // What cannot be read or written is not held, and what was is let go.
    works("mprotect", sys::mprotect(to, page_size(), READ))?;
    refused("a copy to what cannot be written", copy(from, to, 1), &[libc::EACCES, libc::EFAULT])?;
    refused("pages that are none", copy(from + 8, to, 1), &[libc::EINVAL])?;
    refused("no pages", copy(from, to, 0), &[libc::EINVAL])?;
    works("munmap", sys::munmap(from, 3 * page_size()))?;
    refused(
        "a copy of what is not there",
        copy(from, to + page_size(), 1),
        &[libc::EFAULT, libc::EACCES, libc::ENOMEM],
    )?;
    works("munmap", sys::munmap(to, 3 * page_size()))
}

pub fn remap_unmapped(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let map = dev.region(Region::Remap, 4)?;
    map.mark(0x40)?;
    dev.unmap(Region::Remap.start() + page_size() as u64, 1)?;
    map.load_faults(page_size(), Kind::Device)?;
    map.marked_in(0x40, [0, 2, 3])?;
    Peer::start(|_| {
        map.marked_in(0x40, [0, 2, 3])?;
        map.load_faults(page_size(), Kind::Device)
    })?
    .done()
}

pub fn insert(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let map = dev.region(Region::Insert, 6)?;
    let pages: Vec<usize> = (0..6).filter(|page| *page as u64 != REFUSED).collect();
    let before = dev.status()?;
    for page in &pages {
        map.put(page * page_size(), *page as u64)?;
    }
    dev.grew(&before, &[("faults", 5)])?;
    map.load_faults(REFUSED as usize * page_size(), Kind::Device)?;
    Peer::start(|_| {
        for page in &pages {
            map.holds(page * page_size(), *page as u64)?;
        }
        dev.grew(&before, &[("faults", 6)])?;
        map.load_faults(REFUSED as usize * page_size(), Kind::Device)
    })?
    .done()?;
    dev.unmap(Region::Insert.start(), page_size() as u64)?;
    map.holds(0, 0)?;
    map.holds(page_size(), 1)?;
    dev.grew(&before, &[("faults", 8)])
}

pub fn mkwrite(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let map = dev.region(Region::Notify, 6)?;
    map.put(0, 1)?;
    map.put(8, 2)?;
    dev.grew(&before, &[("notified", 1)])?;
    map.store_faults(REFUSED as usize * page_size(), Kind::Device)?;
    // Written back: the next write is told again.
    let told = dev.status()?.notified;
    dev.unmap(Region::Notify.start(), page_size() as u64)?;
    map.put(0, 3)?;
    equal("told again", dev.status()?.notified, told + 1)?;
    // Who only reads is not told of: there is nothing to be written.
    let reads = works("mmap", sys::open(&t.device, libc::O_RDONLY))?;
    let read_only = works("mmap", Port { fd: reads }.try_map(Region::Notify.start(), 6, READ, SHARED))?;
    read_only.holds(0, 3)?;
    read_only.holds(REFUSED as usize * page_size(), 0)?;
    equal("not told", dev.status()?.notified, told + 1)
}

fn populate(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let map = dev.region(Region::Populate, 6)?;
    map.put(2 * page_size(), 1)?;
    dev.grew(&before, &[("faults", 4)])?;
    map.mark(0x50)?;
    dev.grew(&before, &[("faults", 6)])?;
    map.marked(0x50)
}

fn dontcopy(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let map = dev.region(Region::DontCopy, 2)?;
    map.mark(0x60)?;
    Peer::start(|_| map.load_faults(0, Kind::Device))?.done()?;
    map.marked(0x60)?;
    dev.grew(&before, &[("opens", 0), ("closes", 0)])?;
    map.unmap()?;
    all_freed(&dev, &before, 1)
}

pub fn private(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    refused("mmap", dev.try_map(Region::Fault.start(), 1, RW, PRIVATE), &[libc::ENXIO])?;
    let map = works("mmap", dev.try_map(Region::Fault.start(), 1, READ, PRIVATE))?;
    map.holds(0, 0)?;
    // Nor can it become one.
    check(sys::mprotect(map.base, map.len, RW).is_err(), "mprotect has made it writable")
}

fn opens_of_fork(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let map = dev.region(Region::Fault, 2)?;
    let mut peer = Peer::start(|link| {
        link.say(b'r')?;
        link.hear(b'q')?;
        map.unmap()
    })?;
    peer.hear(b'r')?;
    dev.grew(&before, &[("mmaps", 1), ("opens", 1), ("closes", 0), ("users", 2), ("mappings", 2)])?;
    peer.link.say(b'q')?;
    peer.done()?;
    dev.grew(&before, &[("opens", 1), ("closes", 1), ("users", 1), ("mappings", 1), ("freed", 0)])?;
    map.unmap()?;
    dev.grew(&before, &[("opens", 1), ("closes", 2)])?;
    all_freed(&dev, &before, 1)
}

fn opens_of_splits(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let map = dev.region(Region::Fault, 8)?;
    map.mark(0x70)?;
    map.unmap_pages(0, 1)?;
    dev.grew(&before, &[("opens", 1), ("closes", 1), ("users", 1), ("mappings", 1)])?;
    map.unmap_pages(7, 8)?;
    dev.grew(&before, &[("opens", 2), ("closes", 2), ("users", 1), ("mappings", 1)])?;
    map.unmap_pages(3, 5)?;
    dev.grew(&before, &[("opens", 4), ("closes", 3), ("users", 2), ("mappings", 2)])?;
    map.marked_in(0x70, [1, 2, 5, 6])?;
    map.are_holes([0, 3, 4, 7])?;
    dev.unmap(0, 0)?;
    map.marked_in(0x70, [1, 2, 5, 6])?;
    map.unmap()?;
    dev.grew(&before, &[("opens", 4), ("closes", 5)])?;
    all_freed(&dev, &before, 1)
}

fn closed_by_exit(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let body = |link: &crate::peer::Link| {
        let map = dev.region(Region::Insert, 8)?;
        map.put(0, 1)?;
        map.unmap_pages(4, 5)?;
        link.say(b'r')?;
        link.hear(b'q')
    };
    let mut peer = Peer::start(body)?;
    peer.hear(b'r')?;
    peer.link.say(b'q')?;
    peer.done()?;
    dev.grew(&before, &[("opens", 2), ("closes", 3)])?;
    all_freed(&dev, &before, 1)?;
    let mut peer = Peer::start(body)?;
    peer.hear(b'r')?;
    peer.signal(libc::SIGKILL)?;
    peer.killed()?;
    dev.grew(&before, &[("opens", 4), ("closes", 6)])?;
    all_freed(&dev, &before, 2)
}

pub fn refused_mmap(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    refused("mmap beyond the region", dev.try_map(Region::Fault.start(), 17, RW, SHARED), &[libc::ENXIO])?;
    // What the driver has taken, and the framework not: the open is for reading.
    let reads = works("open", sys::open(&t.device, libc::O_RDONLY))?;
    refused("mmap", Port { fd: reads }.try_map(0, 1, RW, SHARED), &[libc::EACCES])?;
    all_freed(&dev, &before, 0)
}

pub fn unmap_range(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let map = dev.region(Region::Insert, 3)?;
    let other = dev.map(Region::Insert.start() + page_size() as u64, 2)?;
    map.mark(0x80)?;
    let mut peer = Peer::start(|link| {
        map.marked(0x80)?;
        link.say(b'r')?;
        link.hear(b'g')?;
        map.marked(0x80)
    })?;
    peer.hear(b'r')?;
    other.get(0)?;
    let before = dev.status()?;
    dev.unmap(Region::Insert.start() + page_size() as u64, 1)?;
    peer.link.say(b'g')?;
    peer.done()?;
    dev.grew(&before, &[("faults", 1)])?;
    map.marked(0x80)?;
    dev.grew(&before, &[("faults", 2)])?;
    other.get(0)?;
    dev.grew(&before, &[("faults", 3)])
}

pub fn unmap_while_faulting(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let maps = [dev.region(Region::Fault, 4)?, dev.region(Region::Insert, 3)?];
    for map in &maps {
        map.mark(0x90)?;
    }
    while_read(&maps, 0x90, || dev.unmap(0, 0))
}

fn shift(dev: &Port, region: Region, page: u64, pages: u64) -> Result {
    let page_size = page_size() as u64;
    let mut span = Span { start: region.start() + page * page_size, len: pages * page_size };
    works("ioctl VMOPS_MOVE", sys::ioctl_with(dev.fd, VMOPS_MOVE, &mut span)).map(|_| ())
}

pub fn move_whole(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let (map, part) =
        (dev.region(Region::Move, 16)?, dev.map(Region::Move.start() + 2 * page_size() as u64, 2)?);
    map.mark(0x110)?;
    let mut peer = Peer::start(|link| {
        map.marked(0x110)?;
        link.ask(b'r', b'g')?;
        map.marked(0x110)?;
        map.put(8, 1)
    })?;
    peer.hear(b'r')?;
    shift(&dev, Region::Move, 0, 16)?;
    map.marked(0x110)?;
    map.put(2 * page_size() + 16, 2)?;
    part.holds(16, 2)?;
    peer.link.say(b'g')?;
    peer.done()?;
    shift(&dev, Region::Move, 0, 16)?;
    map.holds(8, 1)?;
    part.holds(16, 2)?;
    map.unmap_pages(1, 2)?;
    shift(&dev, Region::Move, 0, 16)?;
    map.marked_in(0x110, [0, 2, 15])
}

pub fn move_pages(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    if before.each_page == 0 {
        return refused("mmap", dev.try_map(Region::Mixed.start(), 8, RW, SHARED), &[libc::ENXIO]);
    }
    let map = dev.region(Region::Mixed, 8)?;
    map.get(0)?;
    dev.grew(&before, &[("notified", 0), ("faults", 1)])?;
    map.put(0, 1)?;
    dev.grew(&before, &[("notified", 1)])?;
    map.mark(0x120)?;
    dev.grew(&before, &[("notified", 8)])?;
    let mut peer = Peer::start(|link| {
        map.marked(0x120)?;
        link.ask(b'r', b'g')?;
        map.marked(0x120)
    })?;
    peer.hear(b'r')?;
    shift(&dev, Region::Mixed, 2, 3)?;
    map.marked(0x120)?;
    shift(&dev, Region::Mixed, 3, 1)?;
    map.put(3 * page_size() + 8, 3)?;
    peer.link.say(b'g')?;
    peer.done()?;
    map.unmap_pages(4, 5)?;
    Peer::start(|_| map.holds(3 * page_size() + 8, 3))?.done()?;
    works("mprotect", sys::mprotect(map.base, 2 * page_size(), READ))?;
    map.marked_in(0x120, [0, 1, 2, 3, 5])?;
    map.store_faults(0, Kind::Protection)?;
    map.unmap()?;
    dev.grew(&before, &[("mappings", 0), ("objects", 0), ("freed", 1)])
}

pub fn move_while_writing(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let each = dev.status()?.each_page != 0;
    let region = if each { Region::Mixed } else { Region::Move };
    let map = dev.region(region, 4)?;
    let write = |thread: usize, turn: u64| {
        (0..4).try_for_each(|page| {
            let at = page * page_size() + 8 * thread;
            map.holds(at, turn)?;
            map.put(at, turn + 1)
        })
    };
    while_used(2, write, 40, |turn| {
        let (page, pages) = if each { (turn % 4, 1) } else { (0, 16) };
        shift(&dev, region, page, pages)
    })
}

/// Reads a page of each map at the same time, in threads of their own.
fn read_together(maps: &[Map]) -> Result {
    let start = Barrier::new(maps.len());
    thread::scope(|scope| {
        let read = |map: &Map| {
            start.wait();
            map.get(0).map(|_| ())
        };
        let threads: Vec<_> = maps.iter().map(|map| scope.spawn(move || read(map))).collect();
        let all = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(fail("a thread has panicked"))));
        all.fold(Ok(()), Result::and)
    })
}

fn operations_together(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let maps = [dev.region(Region::Meet, 1)?, dev.region(Region::MeetToo, 1)?];
    let before = dev.status()?;
    // An operation waits for the other, but not for ever: a thread can be kept from running.
    for _ in 0..10 {
        read_together(&maps)?;
        if dev.status()?.met > before.met {
            return Ok(());
        }
        dev.unmap(0, 0)?;
    }
    Err(fail("operations of two areas of a process never ran at the same time"))
}

pub fn operations_one_by_one(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let maps = [dev.region(Region::Meet, 1)?, dev.region(Region::MeetToo, 1)?];
    let before = dev.status()?;
    for _ in 0..2 {
        read_together(&maps)?;
        dev.unmap(0, 0)?;
    }
    dev.grew(&before, &[("faults", 4), ("met", 0)])
}

pub fn operations_of_two_processes(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let map = dev.region(Region::Meet, 1)?;
    let mut peer = Peer::start(|link| {
        let map = dev.region(Region::MeetToo, 1)?;
        link.ask(b'r', b'g')?;
        loop {
            map.get(0)?;
            link.say(b'd')?;
            if link.hear(b'g').is_err() {
                return Ok(());
            }
        }
    })?;
    peer.hear(b'r')?;
    for _ in 0..10 {
        peer.link.say(b'g')?;
        map.get(0)?;
        peer.hear(b'd')?;
        if dev.status()?.met > before.met {
            return peer.link.say(b'q').and_then(|()| peer.done());
        }
        dev.unmap(0, 0)?;
    }
    Err(fail("operations of two processes never ran at the same time"))
}

pub fn counted_at_the_first_mmap(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    for (number, region) in (1..).zip(Region::ALL.into_iter().filter(|region| *region != Region::Mixed)) {
        let map = dev.region(region, 2)?;
        dev.grew(&before, &[("opens", 0), ("objects", 1), ("users", 1)])?;
        map.unmap()?;
        all_freed(&dev, &before, number)?;
    }
    Ok(())
}

pub fn not_counted_at_fork(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    for region in [Region::Fault, Region::Insert, Region::Remap] {
        let map = dev.region(region, 2)?;
        map.mark(0xa0)?;
        // The child's end leaves the parent's.
        Peer::start(|_| map.marked(0xa0))?.done()?;
        if region != Region::Remap {
            dev.unmap(0, 0)?;
        }
        map.marked(0xa0)?;
        // The parent's munmap leaves the child's, and the object.
        let peer = Peer::start(|link| {
            link.hear(b'g')?;
            map.marked(0xa0)?;
            map.mark(0xa8)?;
            map.marked(0xa8)
        })?;
        map.unmap()?;
        dev.grew(&before, &[("objects", 1), ("mappings", 1)])?;
        peer.link.say(b'g')?;
        peer.done()?;
        dev.grew(&before, &[("objects", 0), ("mappings", 0)])?;
    }
    all_freed(&dev, &before, 3)
}

pub fn list_not_extended_by_fork(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let map = dev.region(Region::Fault, 2)?;
    map.mark(0xb0)?;
    let mut peer = Peer::start(|link| {
        map.marked(0xb0)?;
        link.ask(b'r', b'g')?;
        map.load_faults(0, Kind::Device)?;
        link.ask(b'l', b'g')?;
        map.marked(0xb0)
    })?;
    peer.hear(b'r')?;
    map.unmap()?;
    dev.lose(true)?;
    peer.ask(b'g', b'l')?;
    dev.lose(false)?;
    peer.link.say(b'g')?;
    peer.done()
}

pub fn lost_while_mapped(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let (faulted, inserted, whole) =
        (dev.region(Region::Fault, 2)?, dev.region(Region::Insert, 2)?, dev.region(Region::Remap, 2)?);
    let maps = [faulted, inserted, whole];
    for map in &maps {
        map.mark(0xc0)?;
    }
    dev.lose(true)?;
    for map in &maps {
        map.load_faults(0, Kind::Device)?;
        map.store_faults(page_size(), Kind::Device)?;
    }
    // A mapping made meanwhile, and a child.
    let late = dev.region(Region::Fault, 1)?;
    late.load_faults(0, Kind::Device)?;
    Peer::start(|_| maps.iter().try_for_each(|map: &Map| map.load_faults(0, Kind::Device)))?.done()?;
    dev.lose(false)?;
    faulted.marked(0xc0)?;
    inserted.marked(0xc0)?;
    late.get(0)?;
    // As on Linux: nobody maps it again.
    whole.load_faults(0, Kind::Device)?;
    for map in maps.iter().chain([&late]) {
        map.unmap()?;
    }
    all_freed(&dev, &before, 3)
}

pub fn second_mmap_of_one_object(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    for first_goes_first in [true, false] {
        let (one, two) = (dev.region(Region::Fault, 2)?, dev.region(Region::Fault, 2)?);
        dev.grew(&before, &[("objects", 1), ("mappings", 2)])?;
        one.mark(0xd0)?;
        two.marked(0xd0)?;
        let (gone, left) = if first_goes_first { (one, two) } else { (two, one) };
        gone.unmap()?;
        dev.unmap(0, 0)?;
        left.marked(0xd0)?;
        left.mark(0xd8)?;
        left.unmap()?;
    }
    all_freed(&dev, &before, 2)
}

fn different_lengths(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    for region in [Region::Fault, Region::Remap] {
        let (short, long) = (dev.region(region, 1)?, dev.region(region, 4)?);
        long.mark(0xe0)?;
        short.marked(0xe0)?;
        short.is_hole(page_size())?;
        short.unmap()?;
        long.marked(0xe0)?;
        let short = dev.region(region, 2)?;
        long.unmap()?;
        short.marked(0xe0)?;
        short.unmap()?;
    }
    all_freed(&dev, &before, 2)
}

pub fn several_minors_one_revoke(t: &Ctx) -> Result {
    let (dev, other) = (Port::open(t)?, Port::open_other(t)?);
    let (one, two) = (dev.region(Region::Fault, 2)?, other.region(Region::Fault, 2)?);
    one.mark(0xf0)?;
    two.marked(0xf0)?;
    dev.lose(true)?;
    one.load_faults(0, Kind::Device)?;
    two.load_faults(0, Kind::Device)?;
    other.lose(false)?;
    one.marked(0xf0)?;
    two.marked(0xf0)
}
