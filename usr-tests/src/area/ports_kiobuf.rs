//! Kiobufs (docs/porting.md), with the driver kiomap: buffers that any number of processes map, and who is the last.

use ports_user::{
    KIOMAP_FILL, KIOMAP_FILLED, KIOMAP_HOLES, KIOMAP_LEND, KIOMAP_LENT, KIOMAP_PAGES, KIOMAP_SCATTERED,
    REFUSED, Span,
};

use crate::case::{Case, Ctx, Result, case, check, equal, refused, works};
use crate::device::{Map, PRIVATE, READ, RW, SHARED};
use crate::peer::Peer;
use crate::port::Port;
use crate::probe::Kind;
use crate::sys::{self, page_size};

pub const CASES: &[Case] = &[
    case("filled", "a hundred pages of 0xff, which everybody sees", filled),
    case("beyond", "beyond the buffer is SIGBUS; beyond its memory and at its end no mapping", beyond),
    case("holes", "a page of the buffer that is not there is SIGBUS, the others work", holes),
    case("private", "a private mapping that could be written is refused; one to read works", private),
    case("locked", "the buffer is locked for a transfer, which processes that map it see", locked),
    case(
        "lent",
        "a process's memory in a buffer is seen by others, and SIGBUS when that process is gone",
        lent,
    ),
    case("last_of_forks", "the last mapping is the last of all processes that fork has made", last_of_forks),
    case("last_of_pieces", "the last mapping is the last of all pieces that munmap has left", last_of_pieces),
    case("last_by_exit", "exit and SIGKILL end mappings as munmap does", last_by_exit),
    case(
        "scattered",
        "pages of two memories in one mapping, where they can be had so; else it is refused",
        scattered,
    ),
    // Faults that others had.
    case(
        "counted_at_the_first_mmap",
        "a buffer is not counted at the first mmap as if it were a copy",
        counted_at_the_first_mmap,
    ),
    case(
        "second_mmap_of_one_object",
        "a second mmap of a buffer leaves the first one whole",
        second_mmap_of_one_object,
    ),
    case(
        "different_lengths",
        "two mappings of a buffer with different lengths end by themselves",
        different_lengths,
    ),
];

const ONES: u64 = u64::MAX;

fn fill(dev: &Port, byte: usize) -> Result<i32> {
    works("ioctl KIOMAP_FILL", sys::ioctl(dev.fd, KIOMAP_FILL, byte))
}

fn filled(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    fill(&dev, 0xff)?;
    let map = dev.map(KIOMAP_FILLED, KIOMAP_PAGES as usize)?;
    for page in 0..map.pages() {
        map.holds(page * page_size(), ONES)?;
        map.holds((page + 1) * page_size() - 8, ONES)?;
    }
    let peers: Vec<Peer> =
        (0..4).map(|_| Peer::start(|_| map.holds(50 * page_size(), ONES))).collect::<Result<_>>()?;
    for peer in peers {
        peer.done()?;
    }
    map.put(8, 1)?;
    dev.map(KIOMAP_FILLED, 1)?.holds(8, 1)
}

fn beyond(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    fill(&dev, 0xff)?;
    let pages = KIOMAP_PAGES as usize;
    let map = dev.map(KIOMAP_FILLED, pages + 2)?;
    map.load_faults(pages * page_size(), Kind::Device)?;
    map.store_faults((pages + 1) * page_size(), Kind::Device)?;
    map.holds(pages * page_size() - 8, ONES)?;
    let end = KIOMAP_PAGES * page_size() as u64;
    refused("mmap", dev.try_map(KIOMAP_FILLED, pages + 5, RW, SHARED), &[libc::ENXIO])?;
    refused("mmap", dev.try_map(KIOMAP_FILLED + end, 1, RW, SHARED), &[libc::ENXIO])
}

fn holes(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let map = dev.map(KIOMAP_HOLES, 8)?;
    for page in 0..8 {
        if page as u64 == REFUSED {
            map.load_faults(page * page_size(), Kind::Device)?;
        } else {
            map.put(page * page_size(), page as u64)?;
        }
    }
    let later = dev.map(KIOMAP_HOLES + 2 * page_size() as u64, 3)?;
    later.holds(0, 2)?;
    later.load_faults(page_size(), Kind::Device)?;
    later.holds(2 * page_size(), 4)
}

fn scattered(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    if dev.status()?.each_page == 0 {
        return refused("mmap", dev.try_map(KIOMAP_SCATTERED, 8, RW, SHARED), &[libc::ENXIO]);
    }
    let (map, filled, apart) =
        (dev.map(KIOMAP_SCATTERED, 9)?, dev.map(KIOMAP_FILLED, 8)?, dev.map(KIOMAP_HOLES, 8)?);
    map.load_faults(8 * page_size(), Kind::Device)?;
    for page in (0..8).filter(|page| *page as u64 != REFUSED) {
        map.put(page * page_size() + 8, page as u64)?;
        let of = if page % 2 == 0 { &filled } else { &apart };
        of.holds(page * page_size() + 8, page as u64)?;
    }
    map.unmap_pages(2, 3)?;
    Peer::start(|_| {
        map.holds(page_size() + 8, 1)?;
        map.holds(4 * page_size() + 8, 4)
    })?
    .done()?;
    dev.map(KIOMAP_SCATTERED + 5 * page_size() as u64, 2)?.holds(8, 5)
}

fn private(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    refused("mmap", dev.try_map(KIOMAP_FILLED, 1, RW, PRIVATE), &[libc::ENXIO])?;
    let map = works("mmap", dev.try_map(KIOMAP_FILLED, 1, READ, PRIVATE))?;
    map.get(0)?;
    check(sys::mprotect(map.base, map.len, RW).is_err(), "mprotect has made it writable")
}

fn locked(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let map = dev.map(KIOMAP_FILLED, 2)?;
    map.put(0, 1)?;
    equal("nobody else could lock it", fill(&dev, 0x11)?, 1)?;
    map.holds(0, 0x1111_1111_1111_1111)?;
    fill(&dev, 0xff)?;
    map.holds(page_size(), ONES)
}

fn lent(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let mut lender = Peer::start(|link| {
        let memory = sys::mmap(0, 2 * page_size(), RW, libc::MAP_PRIVATE | libc::MAP_ANON, -1, 0);
        let memory = Map { base: works("mmap", memory)?, len: 2 * page_size(), off: 0 };
        memory.put(0, 5)?;
        let mut span = Span { start: memory.base as u64, len: memory.len as u64 };
        works("ioctl KIOMAP_LEND", sys::ioctl_with(dev.fd, KIOMAP_LEND, &mut span))?;
        link.ask(b'r', b's')?;
        memory.holds(page_size(), 6)?;
        link.ask(b'r', b'q')
    })?;
    lender.hear(b'r')?;
    let map = dev.map(KIOMAP_LENT, 2)?;
    map.holds(0, 5)?;
    map.put(page_size(), 6)?;
    lender.ask(b's', b'r')?;
    lender.link.say(b'q')?;
    lender.done()?;
    // A call comes behind the end of a process for which one has waited; an access may not, under the host.
    dev.status()?;
    map.load_faults(0, Kind::Device)?;
    map.store_faults(page_size(), Kind::Device)?;
    refused("mmap", dev.try_map(KIOMAP_LENT, 1, RW, SHARED), &[libc::ENXIO])?;
    map.unmap()
}

fn last_of_forks(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let map = dev.map(KIOMAP_FILLED, 2)?;
    map.put(0, 7)?;
    let mut child = Peer::start(|link| {
        Peer::start(|_| map.holds(0, 7))?.done()?;
        link.ask(b'r', b'g')?;
        map.holds(0, 7)
    })?;
    child.hear(b'r')?;
    dev.grew(&before, &[("mappings", 2), ("freed", 0)])?;
    map.unmap()?;
    dev.grew(&before, &[("mappings", 1), ("freed", 0)])?;
    child.link.say(b'g')?;
    child.done()?;
    dev.grew(&before, &[("mappings", 0), ("freed", 1)])
}

fn last_of_pieces(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let map = dev.map(KIOMAP_FILLED, 8)?;
    map.mark(0x10)?;
    map.unmap_pages(0, 1)?;
    map.unmap_pages(7, 8)?;
    dev.grew(&before, &[("mappings", 1)])?;
    map.unmap_pages(3, 5)?;
    dev.grew(&before, &[("mappings", 2), ("freed", 0)])?;
    map.marked_in(0x10, [1, 2, 5, 6])?;
    map.unmap_pages(1, 3)?;
    dev.grew(&before, &[("mappings", 1), ("freed", 0)])?;
    map.marked_in(0x10, [5, 6])?;
    map.unmap()?;
    dev.grew(&before, &[("mappings", 0), ("freed", 1)])
}

fn last_by_exit(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let body = |link: &crate::peer::Link| {
        let map = dev.map(KIOMAP_FILLED, 4)?;
        map.put(0, 1)?;
        map.unmap_pages(1, 2)?;
        link.say(b'r')?;
        link.hear(b'q')
    };
    let mut peer = Peer::start(body)?;
    peer.hear(b'r')?;
    dev.grew(&before, &[("mappings", 2)])?;
    peer.link.say(b'q')?;
    peer.done()?;
    dev.grew(&before, &[("mappings", 0), ("freed", 1)])?;
    let mut peer = Peer::start(body)?;
    peer.hear(b'r')?;
    peer.signal(libc::SIGKILL)?;
    peer.killed()?;
    dev.grew(&before, &[("mappings", 0), ("freed", 2)])
}

fn counted_at_the_first_mmap(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let map = dev.map(KIOMAP_FILLED, 1)?;
    dev.grew(&before, &[("mmaps", 1), ("mappings", 1)])?;
    map.unmap()?;
    dev.grew(&before, &[("mappings", 0), ("freed", 1)])
}

fn second_mmap_of_one_object(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let (one, two) = (dev.map(KIOMAP_FILLED, 2)?, dev.map(KIOMAP_FILLED, 2)?);
    one.mark(0x20)?;
    two.unmap()?;
    dev.grew(&before, &[("mappings", 1), ("freed", 0)])?;
    one.marked(0x20)?;
    one.unmap()?;
    dev.grew(&before, &[("mappings", 0), ("freed", 1)])
}

fn different_lengths(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let (short, long) = (dev.map(KIOMAP_FILLED, 1)?, dev.map(KIOMAP_FILLED, 6)?);
    long.mark(0x30)?;
    short.marked(0x30)?;
    short.unmap()?;
    long.marked(0x30)?;
    let short = dev.map(KIOMAP_FILLED, 2)?;
    long.unmap()?;
    short.marked(0x30)
}
