//! The same with LinuxKPI's rules: the private data's pointer is the identity of an area. What Linux's area of cases has for both is listed here once more.

use ports_user::Region;

use super::ports_linux as linux;
use crate::case::{Case, Ctx, Result, case, refused};
use crate::device::{PRIVATE, READ, RW, SHARED};
use crate::peer::Peer;
use crate::port::Port;
use crate::sys::page_size;

pub const CASES: &[Case] = &[
    case(
        "identity",
        "a second mmap with the same data uses the area that is there, and closes nothing",
        identity,
    ),
    case(
        "close_with_the_last",
        "close is called once, when the last mapping goes: of forks, pieces and mmaps",
        close_with_the_last,
    ),
    case(
        "pages_are_the_areas",
        "a page that one process's fault has inserted is there for all",
        pages_are_the_areas,
    ),
    case("private", "private mappings are refused", private),
    case("remap", "a range mapped at once is there without a call, for a child as well", linux::remap),
    case("remap_half", "of an area that is mapped in part the rest is SIGBUS", linux::remap_half),
    case(
        "remap_registers",
        "registers keep what they hold when nobody maps them, kernel memory is freed",
        linux::remap_registers,
    ),
    case(
        "insert_pages",
        "pages that mmap inserts are there without a call, the others are SIGBUS",
        linux::insert_pages,
    ),
    case("user_pages", "pages of the process are held, and copied to others of it", linux::user_pages),
    case("remap_unmapped", "what was mapped at once and taken away is SIGBUS", linux::remap_unmapped),
    case("mkwrite", "page_mkwrite is called before a page is written, and can refuse", linux::mkwrite),
    case(
        "refused_mmap",
        "an mmap that the driver refuses is neither counted nor closed",
        linux::refused_mmap,
    ),
    case(
        "unmap_while_faulting",
        "threads that fault while pages are taken away lose nothing",
        linux::unmap_while_faulting,
    ),
    case(
        "move_whole",
        "a buffer that moves to other memory while processes have it mapped keeps what they write",
        linux::move_whole,
    ),
    case(
        "move_pages",
        "its pages move one by one, or the mmap is refused; a write to a page that was read is told",
        linux::move_pages,
    ),
    case(
        "operations_one_by_one",
        "operations of two areas of a process do not run at the same time",
        linux::operations_one_by_one,
    ),
    case(
        "operations_of_two_processes",
        "operations of two processes run at the same time",
        linux::operations_of_two_processes,
    ),
    // Faults that others had.
    case(
        "counted_at_the_first_mmap",
        "an object is not counted at the first mmap as if it were a copy",
        linux::counted_at_the_first_mmap,
    ),
    case(
        "not_counted_at_fork",
        "the first exit after a fork does not free what the other process uses",
        linux::not_counted_at_fork,
    ),
    case(
        "list_not_extended_by_fork",
        "a revoke after the parent's munmap reaches the child",
        linux::list_not_extended_by_fork,
    ),
    case(
        "lost_while_mapped",
        "a device that is reset while mapped gives SIGBUS to all, and works again afterwards",
        linux::lost_while_mapped,
    ),
    case(
        "second_mmap_of_one_object",
        "a second mmap of an object leaves the first one whole, and the other way round",
        linux::second_mmap_of_one_object,
    ),
    case(
        "different_lengths",
        "a mapping that is longer than the area which is there is refused; a shorter one works",
        different_lengths,
    ),
    case(
        "several_minors_one_revoke",
        "one revoke reaches the mappings by every minor node",
        linux::several_minors_one_revoke,
    ),
];

fn identity(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let one = dev.region(Region::Fault, 2)?;
    one.mark(0x10)?;
    let two = dev.region(Region::Fault, 2)?;
    two.marked(0x10)?;
    dev.grew(&before, &[("mmaps", 2), ("objects", 1), ("opens", 0), ("closes", 0), ("mappings", 2)])?;
    one.unmap()?;
    dev.grew(&before, &[("closes", 0), ("mappings", 1)])?;
    two.marked(0x10)?;
    two.unmap()?;
    dev.grew(&before, &[("closes", 1)])?;
    linux::all_freed(&dev, &before, 1)
}

fn close_with_the_last(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let map = dev.region(Region::Insert, 3)?;
    map.put(0, 1)?;
    let mut peer = Peer::start(|link| {
        map.unmap_pages(1, 2)?;
        link.ask(b'r', b'g')?;
        map.holds(0, 1)
    })?;
    peer.hear(b'r')?;
    dev.grew(&before, &[("opens", 0), ("closes", 0), ("mappings", 3)])?;
    map.unmap()?;
    dev.grew(&before, &[("closes", 0), ("mappings", 2)])?;
    peer.link.say(b'g')?;
    peer.done()?;
    dev.grew(&before, &[("opens", 0), ("closes", 1)])?;
    linux::all_freed(&dev, &before, 1)
}

fn pages_are_the_areas(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let (one, two) = (dev.region(Region::Insert, 3)?, dev.region(Region::Insert, 3)?);
    one.mark(0x20)?;
    two.marked(0x20)?;
    dev.grew(&before, &[("faults", 3)])?;
    dev.unmap(Region::Insert.start(), 3 * page_size() as u64)?;
    two.marked(0x20)?;
    one.marked(0x20)?;
    dev.grew(&before, &[("faults", 6)])
}

fn private(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    refused("mmap", dev.try_map(0, 1, RW, PRIVATE), &[libc::ENXIO])?;
    refused("mmap", dev.try_map(0, 1, READ, PRIVATE), &[libc::ENXIO])
}

fn different_lengths(t: &Ctx) -> Result {
    let dev = Port::open(t)?;
    let before = dev.status()?;
    let long = dev.region(Region::Fault, 4)?;
    long.mark(0x30)?;
    let short = dev.region(Region::Fault, 1)?;
    refused("mmap of more", dev.try_map(0, 5, RW, SHARED), &[libc::ENXIO])?;
    let inner = dev.map(2 * page_size() as u64, 2)?;
    inner.put(8, 7)?;
    long.holds(2 * page_size() + 8, 7)?;
    inner.unmap()?;
    long.unmap()?;
    short.marked(0x30)?;
    dev.grew(&before, &[("closes", 0)])?;
    short.unmap()?;
    linux::all_freed(&dev, &before, 1)
}
