//! NetBSD's memory objects (docs/porting.md), with the driver upager: an object for each open, pages from its pager, mappings removed under conditions.

use ports_user::{
    Span, UPAGER_ALLOW, UPAGER_LEN, UPAGER_PROTECT, UPAGER_PUT, UPAGER_READ_ONLY, UPAGER_REMOVE,
    UPAGER_UPGRADED,
};

use crate::case::{Case, Ctx, Result, case, check, equal, refused, works};
use crate::device::{PRIVATE, READ, RW, SHARED};
use crate::peer::Peer;
use crate::port::{Port, while_read};
use crate::probe::Kind;
use crate::sys::{self, page_size};

pub const CASES: &[Case] = &[
    case("own_object", "each open has an object of its own; what is inherited is the same", own_object),
    case(
        "get_fills",
        "get fills several pages at once, for all mappings; what it leaves is asked for by itself",
        get_fills,
    ),
    case("refused_page", "a page that the pager does not fill is SIGBUS", refused_page),
    case("put", "pages that are taken back are asked for again, by everybody, with what is in them", put),
    case("from_inside", "a mapping from inside of the object shows that part", from_inside),
    case("references", "reference for copies and pieces, detach once for each mapping", references),
    case("remove_if", "mappings for which the condition holds are SIGBUS, others go on", remove_if),
    case(
        "per_page",
        "a page is read-only or not as the pager says, and is changed later; or such an object is mapped for reading only",
        per_page,
    ),
    case("outlives_close", "a mapping outlives the descriptor, and its object goes with it", outlives_close),
    case("private", "a private mapping that could be written is refused", private),
    case(
        "put_while_faulting",
        "threads that fault while pages are taken back lose nothing",
        put_while_faulting,
    ),
    // Faults that others had.
    case("counted_at_the_first_mmap", "the first mmap is no reference more", counted_at_the_first_mmap),
    case("not_counted_at_fork", "the first exit after a fork leaves the other's", not_counted_at_fork),
    case(
        "list_not_extended_by_fork",
        "what is taken back after the parent's munmap is the child's, too",
        list_not_extended_by_fork,
    ),
];

const HALF: usize = UPAGER_LEN as usize / 2;

fn ioctl(dev: &Port, command: i32, start: u64, len: u64) -> Result<i32> {
    let mut span = Span { start, len };
    works("ioctl", sys::ioctl_with(dev.fd, command, &mut span))
}

fn own_object(t: &Ctx) -> Result {
    let (one, two) = (Port::open(t)?, Port::open(t)?);
    let (a, b) = (one.map(0, 4)?, two.map(0, 4)?);
    a.mark(0x10)?;
    b.holds(0, 0)?;
    one.map(0, 4)?.marked(0x10)?;
    Peer::start(|_| {
        one.map(0, 4)?.marked(0x10)?;
        a.marked(0x10)?;
        b.mark(0x20)
    })?
    .done()?;
    b.marked(0x20)
}

fn get_fills(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let pages = UPAGER_LEN as usize / page_size() - 1;
    let (one, two) = (dev.map(0, pages)?, dev.map(0, pages)?);
    one.put(5 * page_size(), 1)?;
    dev.grew(&before, &[("faults", 1)])?;
    for page in 0..HALF / page_size() {
        one.put(page * page_size() + 8, page as u64)?;
        two.holds(page * page_size() + 8, page as u64)?;
    }
    dev.grew(&before, &[("faults", 1)])?;
    for page in HALF / page_size()..pages {
        one.put(page * page_size() + 8, page as u64)?;
        two.holds(page * page_size() + 8, page as u64)?;
    }
    dev.grew(&before, &[("faults", 1 + (pages - HALF / page_size()) as u64)])
}

fn refused_page(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let map = dev.map(0, UPAGER_LEN as usize / page_size())?;
    let last = UPAGER_LEN as usize - page_size();
    map.load_faults(last, Kind::Device)?;
    map.put(last - page_size(), 3)?;
    map.load_faults(last, Kind::Device)
}

fn put(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let map = dev.map(0, 4)?;
    map.mark(0x30)?;
    let mut peer = Peer::start(|link| {
        map.marked(0x30)?;
        link.ask(b'r', b'g')?;
        map.marked(0x30)
    })?;
    peer.hear(b'r')?;
    let before = dev.status()?;
    ioctl(&dev, UPAGER_PUT, page_size() as u64, page_size() as u64)?;
    map.marked(0x30)?;
    peer.link.say(b'g')?;
    peer.done()?;
    dev.grew(&before, &[("faults", 1), ("freed", 1)])?;
    let mut beyond = Span { start: 0, len: 2 * UPAGER_LEN };
    refused("put", sys::ioctl_with(dev.fd, UPAGER_PUT, &mut beyond), &[libc::EINVAL])
}

fn from_inside(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let (all, part) = (dev.map(0, 8)?, dev.map(3 * page_size() as u64, 3)?);
    part.put(0, 3)?;
    part.put(2 * page_size(), 5)?;
    all.holds(3 * page_size(), 3)?;
    all.holds(5 * page_size(), 5)?;
    part.unmap_pages(0, 1)?;
    ioctl(&dev, UPAGER_PUT, 0, 8 * page_size() as u64)?;
    part.holds(2 * page_size(), 5)?;
    refused(
        "mmap",
        dev.try_map(page_size() as u64, UPAGER_LEN as usize / page_size(), RW, SHARED),
        &[libc::ENXIO],
    )
}

fn references(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let map = dev.map(0, 8)?;
    map.mark(0x40)?;
    map.unmap_pages(0, 1)?;
    map.unmap_pages(7, 8)?;
    dev.grew(&before, &[("opens", 0), ("closes", 0), ("mappings", 1)])?;
    map.unmap_pages(3, 5)?;
    dev.grew(&before, &[("opens", 1), ("closes", 0), ("mappings", 2)])?;
    Peer::start(|_| map.marked_in(0x40, [1, 2, 5, 6]))?.done()?;
    dev.grew(&before, &[("opens", 3), ("closes", 2), ("mappings", 2)])?;
    map.unmap()?;
    dev.grew(&before, &[("opens", 3), ("closes", 4), ("mappings", 0)])
}

fn remove_if(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let (one, two) = (dev.map(0, 2)?, dev.map(2 * page_size() as u64, 2)?);
    one.mark(0x50)?;
    two.mark(0x58)?;
    let mut peer = Peer::start(|link| {
        one.marked(0x50)?;
        link.ask(b'r', b'g')?;
        one.load_faults(0, Kind::Device)?;
        two.marked(0x58)
    })?;
    peer.hear(b'r')?;
    equal("removed", ioctl(&dev, UPAGER_REMOVE, 0, 0)?, 2)?;
    peer.link.say(b'g')?;
    peer.done()?;
    one.store_faults(8, Kind::Device)?;
    two.marked(0x58)?;
    one.unmap()?;
    dev.map(0, 2)?.marked(0x50)
}

fn per_page(t: &Ctx) -> Result {
    let dev = Port::open_other(t)?;
    if dev.status()?.each_page == 0 {
        refused("mmap", dev.try_map(0, 2, RW, SHARED), &[libc::ENXIO])?;
        let map = works("mmap", dev.try_map(0, 2, READ, SHARED))?;
        map.holds(0, 0)?;
        return check(sys::mprotect(map.base, map.len, RW).is_err(), "mprotect has made it writable");
    }
    let (map, other) = (dev.map(0, 6)?, dev.map(0, 6)?);
    let (fixed, upgraded) = (UPAGER_READ_ONLY as usize, UPAGER_UPGRADED as usize);
    map.holds(fixed, 0)?;
    map.store_faults(fixed, Kind::Protection)?;
    other.store_faults(fixed, Kind::Protection)?;
    map.holds(upgraded, 0)?;
    map.put(upgraded, 1)?;
    other.put(upgraded + 8, 2)?;
    map.holds(upgraded + 8, 2)?;
    // Later, for all who have them.
    map.put(0, 3)?;
    let first = page_size() as u64;
    ioctl(&dev, UPAGER_ALLOW, UPAGER_READ_ONLY, first)?;
    other.put(fixed, 4)?;
    ioctl(&dev, UPAGER_PROTECT, UPAGER_READ_ONLY, first)?;
    map.holds(fixed, 4)?;
    map.store_faults(fixed, Kind::Protection)?;
    Peer::start(|_| {
        map.holds(fixed, 4)?;
        map.store_faults(fixed, Kind::Protection)?;
        map.put(0, 5)
    })?
    .done()?;
    map.holds(0, 5)
}

fn outlives_close(t: &Ctx) -> Result {
    let (dev, other) = (Port::open(t)?, Port::open(t)?);
    let before = other.status()?;
    let map = dev.map(0, 2)?;
    works("close", sys::close(dev.fd))?;
    map.mark(0x60)?;
    map.marked(0x60)?;
    other.grew(&before, &[("objects", 2)])?;
    map.unmap()?;
    other.grew(&before, &[("objects", 1), ("closes", 1)])
}

fn private(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    refused("mmap", dev.try_map(0, 1, RW, PRIVATE), &[libc::ENXIO])?;
    works("mmap", dev.try_map(0, 1, READ, PRIVATE))?.holds(0, 0)
}

fn put_while_faulting(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let maps = [dev.map(0, 4)?, dev.map(HALF as u64, 4)?];
    for map in &maps {
        map.mark(0x70)?;
    }
    while_read(&maps, 0x70, || ioctl(&dev, UPAGER_PUT, 0, UPAGER_LEN).map(|_| ()))
}

fn counted_at_the_first_mmap(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    dev.map(0, 2)?.unmap()?;
    dev.grew(&before, &[("mmaps", 1), ("opens", 0), ("closes", 1), ("mappings", 0)])
}

fn not_counted_at_fork(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let map = dev.map(0, 2)?;
    map.mark(0x80)?;
    Peer::start(|_| map.marked(0x80))?.done()?;
    let peer = Peer::start(|link| {
        link.hear(b'g')?;
        map.marked(0x80)
    })?;
    map.unmap()?;
    works("close", sys::close(dev.fd))?;
    peer.link.say(b'g')?;
    peer.done()
}

fn list_not_extended_by_fork(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let map = dev.map(0, 2)?;
    map.mark(0x90)?;
    let mut peer = Peer::start(|link| {
        map.marked(0x90)?;
        link.ask(b'r', b'g')?;
        map.load_faults(0, Kind::Device)
    })?;
    peer.hear(b'r')?;
    map.unmap()?;
    equal("removed", ioctl(&dev, UPAGER_REMOVE, 0, 0)?, 1)?;
    peer.link.say(b'g')?;
    peer.done()
}
