//! Accesses that the protection forbids or the driver refuses: who is asked, how often, and what the process hears.

use crate::case::{Case, Ctx, Result, case, check, equal, fail, refused, skip, works};
use crate::device::{Map, NONE, PRIVATE, READ, RW, SHARED, grew};
use crate::os;
use crate::probe::{self, Fault};
use crate::sys::{self, page_size};

pub const CASES: &[Case] = &[
    case(
        "forbidden_not_loaded",
        "what the protection forbids on a page without a translation: the driver is asked, once; SIGBUS (BUS_OBJERR), EACCES",
        not_loaded,
    ),
    case(
        "forbidden_loaded",
        "what the protection forbids on a page with a translation: SIGSEGV (SEGV_ACCERR); the driver is not asked",
        loaded,
    ),
    case("forbidden_fetch", "a call into a loaded page without PROT_EXEC is SIGSEGV (SEGV_ACCERR)", fetch),
    case(
        "forbidden_fetch_not_loaded",
        "a call into a page without a translation and without PROT_EXEC is the driver's to refuse",
        fetch_not_loaded,
    ),
    case(
        "forbidden_lost",
        "the driver's own error goes before the protection: EIO of a lost device, also in a system call",
        lost,
    ),
    case("refused_asks_once", "a driver that refuses is asked once for each access", asks_once),
    case(
        "call_forbidden",
        "a system call fails with EACCES where the page has no translation, else with EFAULT, and loses no data",
        call,
    ),
];

/// Required outcome of an access.
#[track_caller]
fn ends<T: std::fmt::Debug>(what: &str, seen: std::result::Result<T, Fault>, expected: Fault) -> Result {
    match seen {
        Err(fault) if fault == expected => Ok(()),
        Err(fault) => Err(fail(format!("{what}: expected {expected}, seen {fault}"))),
        Ok(_) => Err(fail(format!("{what}: expected {expected}, but it was allowed"))),
    }
}

/// SIGBUS with a driver's error.
fn by_driver(map: &Map, at: usize, errno: i32) -> Fault {
    Fault { signal: libc::SIGBUS, code: os::BUS_OBJERR, addr: map.at(at), errno }
}

/// SIGSEGV, the page being there.
fn by_protection(map: &Map, at: usize) -> Fault {
    Fault { signal: libc::SIGSEGV, code: os::SEGV_ACCERR, addr: map.at(at), errno: 0 }
}

fn not_loaded(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    for region in dev.layout.regions() {
        let read_only = dev.map(region.off, region.len, READ, SHARED)?;
        let none = dev.map(region.off, region.len, NONE, SHARED)?;
        let taken = dev.map(region.off, region.len, RW, SHARED)?;
        taken.put(0, 1)?;
        // Access that is taken away altogether takes the translation with it.
        taken.protect(NONE)?;
        let before = dev.stats()?;
        for at in [8, region.len - 8] {
            let expected = |map| by_driver(map, at, libc::EACCES);
            ends("store, PROT_READ", probe::store8(read_only.at(at), 1), expected(&read_only))?;
            ends("load, PROT_NONE", probe::load8(none.at(at)), expected(&none))?;
            ends("store, PROT_NONE", probe::store8(none.at(at), 1), expected(&none))?;
            ends("load, made PROT_NONE", probe::load8(taken.at(at)), expected(&taken))?;
        }
        grew(&dev, &before, &[("faults", 8)])?;
    }
    Ok(())
}

fn loaded(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    for region in dev.layout.regions() {
        let read_only = dev.map(region.off, region.len, READ, SHARED)?;
        let taken = dev.map(region.off, region.len, RW, SHARED)?;
        let value = read_only.get(8)?;
        taken.put(16, 1)?;
        taken.protect(READ)?;
        let before = dev.stats()?;
        ends("store, PROT_READ", probe::store8(read_only.at(8), 1), by_protection(&read_only, 8))?;
        ends("store, made PROT_READ", probe::store8(taken.at(24), 1), by_protection(&taken, 24))?;
        read_only.holds(8, value)?;
        grew(&dev, &before, &[("faults", 0)])?;
    }
    Ok(())
}

fn fetch(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let region = dev.layout.scratch;
    let map = dev.map(region.off, region.len, RW, SHARED)?;
    map.put(0x40, 0xc3)?;
    let before = dev.stats()?;
    ends("call of a loaded page", probe::call(map.at(0x40)), by_protection(&map, 0x40))?;
    grew(&dev, &before, &[("faults", 0)])?;
    // What may only be executed cannot be loaded for a read, and then be read all the same.
    let only = dev.map_only_exec(region, SHARED)?;
    ends("load, PROT_EXEC", probe::load8(only.at(0x40)), by_driver(&only, 0x40, libc::EACCES))?;
    check(probe::call(only.at(0x40)).is_ok(), "code in a mapping with PROT_EXEC does not run")?;
    only.holds(0x40, 0xc3)
}

fn fetch_not_loaded(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    if let Some(why) = os::fetches_are_reads() {
        return skip(why);
    }
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    let before = dev.stats()?;
    ends("call", probe::call(map.at(0x40)), by_driver(&map, 0x40, libc::EACCES))?;
    grew(&dev, &before, &[("faults", 1)])
}

fn lost(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let (from, to) = works("pipe", sys::pipe())?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    let none = dev.map(dev.layout.fb.off, page_size(), NONE, PRIVATE)?;
    dev.lose(true)?;
    let ended = lost_while(&map, &none, from, to);
    dev.lose(false)?;
    ended
}

fn lost_while(map: &Map, none: &Map, from: i32, to: i32) -> Result {
    ends("load", probe::load8(map.at(8)), by_driver(map, 8, libc::EIO))?;
    ends("load, PROT_NONE", probe::load8(none.at(8)), by_driver(none, 8, libc::EIO))?;
    refused("write from it", sys::write_at(to, none.base, 8), &[libc::EIO])?;
    works("write", sys::write(to, b"12345678"))?;
    refused("read into it", sys::read_at(from, map.base, 8), &[libc::EIO])?;
    equal("bytes still in the pipe", works("read", sys::read(from, &mut [0; 16]))?, 8)
}

fn asks_once(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let (_from, to) = works("pipe", sys::pipe())?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.put(0, 1)?;
    dev.lose(true)?;
    let before = dev.stats()?;
    let asked = (1..=20u64).try_for_each(|n| {
        let expected = by_driver(&map, 8, libc::EIO);
        match n % 3 {
            0 => ends("load", probe::load8(map.at(8)), expected)?,
            1 => ends("store", probe::store8(map.at(8), 1), expected)?,
            _ => refused("write from it", sys::write_at(to, map.base, 8), &[libc::EIO])?,
        }
        grew(&dev, &before, &[("faults", n)])
    });
    dev.lose(false)?;
    asked
}

fn call(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let (from, to) = works("pipe", sys::pipe())?;
    let map = dev.map(dev.layout.scratch.off, page_size(), READ, SHARED)?;
    works("write", sys::write(to, b"12345678"))?;
    let before = dev.stats()?;
    refused("read into a read-only page", sys::read_at(from, map.base, 8), &[libc::EACCES])?;
    grew(&dev, &before, &[("faults", 1)])?;
    map.get(0)?;
    let before = dev.stats()?;
    refused("read into a loaded read-only page", sys::read_at(from, map.base, 8), &[libc::EFAULT])?;
    grew(&dev, &before, &[("faults", 0)])?;
    equal("bytes still in the pipe", works("read", sys::read(from, &mut [0; 16]))?, 8)
}
