//! madvise, msync, mincore, mlock: accepted or refused as the manual pages say, and never a change of device memory.

use crate::case::{Case, Ctx, Result, case, check, equal, refused, skip, works};
use crate::device::{Dev, FIXED, Map, PRIVATE, RW, SHARED, grew};
use crate::os;
use crate::peer::Peer;
use crate::sys::{self, Errno, page_size};

pub const CASES: &[Case] = &[
    case("madvise_hints", "the usual advice is accepted and changes nothing", madvise_hints),
    case("madvise_dontneed", "MADV_DONTNEED throws nothing away", madvise_dontneed)
        .of("pfnmap madvise_disallowed (changed: illumos accepts advice and ignores it)"),
    case("madvise_free", "MADV_FREE throws nothing away", madvise_free)
        .of("pfnmap madvise_disallowed (changed)"),
    case("madvise_own", "advice of this system only throws nothing away, for nobody", madvise_own)
        .of("pfnmap madvise_disallowed (changed: whether refused or ignored, the values stay)"),
    case(
        "madvise_dontfork",
        "MADV_DONTFORK: the child goes without, and nothing is left behind",
        madvise_dontfork,
    ),
    case(
        "madvise_invalid",
        "unknown advice changes nothing, and is EINVAL where anybody looks at it",
        madvise_invalid,
    ),
    case("madvise_unmapped", "advice on an unmapped range is ENOMEM", madvise_unmapped),
    case("madvise_unaligned", "advice on an address inside a page is EINVAL", madvise_unaligned),
    case("posix_madvise", "posix_madvise accepts its advice and changes nothing", posix_madvise),
    case("msync", "msync succeeds in each mode and changes nothing", msync).of("LTP msync03"),
    case(
        "msync_after_switch",
        "msync of a context that is out of the engine changes nothing",
        msync_after_switch,
    ),
    case("msync_unmapped", "msync of an unmapped range is ENOMEM", msync_unmapped).of("LTP msync03"),
    case("msync_invalid", "msync with both modes, or an address inside a page, is EINVAL", msync_invalid)
        .of("LTP msync03"),
    case("mincore", "device memory is always resident", mincore),
    case("mincore_locked", "locked device memory is resident", mincore_locked).of("LTP mincore02"),
    case("mincore_unmapped", "mincore of an unmapped range is ENOMEM", mincore_unmapped),
    case("mincore_invalid", "mincore of an address inside a page is EINVAL", mincore_invalid),
    case("mlock", "mlock and munlock succeed", mlock),
    case("mlock_keeps_switching", "locked device memory still changes hands", mlock_keeps_switching),
    case("mlock_then_munmap", "locked device memory can be unmapped", mlock_then_munmap),
    case("mlock_unmapped", "mlock of an unmapped range is ENOMEM", mlock_unmapped),
    case("mlockall_current", "mlockall of what is mapped", mlockall_current),
    case("mlockall_future", "mappings made after mlockall work", mlockall_future)
        .of("Open POSIX mmap 18-1, 25-1 (in part)"),
    case(
        "range_with_hole",
        "madvise, msync, mlock and munlock of a range of mappings with a hole in it are ENOMEM",
        range_with_hole,
    ),
    case("empty_range", "length 0 changes nothing, whether it is refused (EINVAL) or not", empty_range),
    case("mlock_in_child", "a child does not inherit locks, and works", mlock_in_child),
];

/// A private and a shared mapping of everything, with values.
fn mapped(dev: &Dev) -> Result<[Map; 2]> {
    let maps = [dev.map_all(SHARED)?, dev.map_all(PRIVATE)?];
    maps[0].mark(0x100)?;
    if dev.is_ctxdev() {
        for region in dev.layout.engine() {
            for page in 0..region.pages() {
                maps[1].put(region.page(page), 0x9000)?;
            }
        }
    }
    Ok(maps)
}

/// Checks that what `mapped` wrote is still there.
fn intact(dev: &Dev, maps: &[Map; 2]) -> Result {
    maps[0].marked(0x100)?;
    if dev.is_ctxdev() {
        for region in dev.layout.engine() {
            for page in 0..region.pages() {
                maps[1].holds(region.page(page), 0x9000)?;
            }
        }
    }
    Ok(())
}

fn advise(t: &Ctx, advice: &[(&str, i32)]) -> Result {
    let dev = t.open()?;
    let maps = mapped(&dev)?;
    for (name, number) in advice {
        for map in &maps {
            works(format!("madvise {name}"), sys::madvise(map.base, map.len, *number))?;
            works(
                format!("madvise {name} of a page"),
                sys::madvise(map.at(page_size()), page_size(), *number),
            )?;
            intact(&dev, &maps)?;
        }
    }
    Ok(())
}

fn madvise_hints(t: &Ctx) -> Result {
    advise(
        t,
        &[
            ("MADV_NORMAL", libc::MADV_NORMAL),
            ("MADV_RANDOM", libc::MADV_RANDOM),
            ("MADV_SEQUENTIAL", libc::MADV_SEQUENTIAL),
            ("MADV_WILLNEED", libc::MADV_WILLNEED),
        ],
    )
}

fn madvise_dontneed(t: &Ctx) -> Result {
    t.ctxdev()?;
    advise(t, &[("MADV_DONTNEED", libc::MADV_DONTNEED)])
}

fn madvise_free(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps = mapped(&dev)?;
    for map in &maps {
        // illumos: only on anonymous memory; either way nothing is freed here.
        match sys::madvise(map.base, map.len, libc::MADV_FREE) {
            Ok(()) | Err(Errno(libc::EINVAL)) => {}
            Err(errno) => return works("madvise MADV_FREE", Err(errno)),
        }
        intact(&dev, &maps)?;
    }
    Ok(())
}

fn madvise_own(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps = mapped(&dev)?;
    let stranger = Peer::start(|link| {
        link.hear(b'l')?;
        // Another process's view of the same memory.
        dev.map_all(SHARED)?.marked(0x100)
    })?;
    for (name, number) in os::OWN_ADVICE {
        for map in &maps {
            let _ = sys::madvise(map.base, map.len, *number);
            let _ = sys::madvise(map.at(page_size()), page_size(), *number);
            intact(&dev, &maps).map_err(|stop| match stop {
                crate::case::Stop::Fail(text) => crate::case::Stop::Fail(format!("after {name}: {text}")),
                other => other,
            })?;
        }
    }
    stranger.link.say(b'l')?;
    stranger.done()
}

fn madvise_dontfork(t: &Ctx) -> Result {
    let Some(dontfork) = os::MADV_DONTFORK else {
        return skip("MADV_DONTFORK does not exist on this system");
    };
    let dev = t.ctxdev()?;
    let maps = mapped(&dev)?;
    let before = dev.stats()?;
    if sys::madvise(maps[1].base, maps[1].len, dontfork).is_ok() {
        Peer::start(|_| maps[0].marked(0x100))?.done()?;
        works("madvise MADV_DOFORK", sys::madvise(maps[1].base, maps[1].len, os::MADV_DOFORK))?;
    }
    Peer::start(|_| intact(&dev, &maps))?.done()?;
    intact(&dev, &maps)?;
    grew(&dev, &before, &[("mappings", 0), ("contexts", 0)])
}

fn madvise_invalid(t: &Ctx) -> Result {
    let dev = t.open()?;
    let maps = mapped(&dev)?;
    for number in [-1, 9999] {
        let result = sys::madvise(maps[0].base, page_size(), number);
        if os::ANY_ADVICE_TAKEN && result.is_ok() {
            continue;
        }
        refused(format!("madvise {number}"), result, &[libc::EINVAL])?;
    }
    intact(&dev, &maps)
}

/// A range that was the device's and is unmapped now.
fn gone(t: &Ctx) -> Result<Map> {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    map.mark(1)?;
    map.unmap()?;
    Ok(map)
}

fn madvise_unmapped(t: &Ctx) -> Result {
    let map = gone(t)?;
    refused("madvise", sys::madvise(map.base, map.len, libc::MADV_WILLNEED), &[libc::ENOMEM])
}

fn madvise_unaligned(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    refused("madvise", sys::madvise(map.at(8), page_size(), libc::MADV_NORMAL), &[libc::EINVAL])
}

fn posix_madvise(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps = mapped(&dev)?;
    let advice = [
        libc::POSIX_MADV_NORMAL,
        libc::POSIX_MADV_RANDOM,
        libc::POSIX_MADV_SEQUENTIAL,
        libc::POSIX_MADV_WILLNEED,
        libc::POSIX_MADV_DONTNEED,
    ];
    for number in advice {
        for map in &maps {
            works(format!("posix_madvise {number}"), sys::posix_madvise(map.base, map.len, number))?;
        }
        intact(&dev, &maps)?;
    }
    Ok(())
}

fn msync(t: &Ctx) -> Result {
    let dev = t.open()?;
    let maps = mapped(&dev)?;
    let modes = [
        libc::MS_SYNC,
        libc::MS_ASYNC,
        libc::MS_SYNC | libc::MS_INVALIDATE,
        libc::MS_ASYNC | libc::MS_INVALIDATE,
    ];
    for mode in modes {
        for map in &maps {
            works(format!("msync {mode}"), sys::msync(map.base, map.len, mode))?;
        }
        intact(&dev, &maps)?;
    }
    Ok(())
}

fn msync_after_switch(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps = [dev.map_region(dev.layout.fb, PRIVATE)?, dev.map_region(dev.layout.fb, PRIVATE)?];
    for (tag, map) in maps.iter().enumerate() {
        map.mark(0x100 * (tag as u64 + 1))?;
    }
    works("msync", sys::msync(maps[0].base, maps[0].len, libc::MS_SYNC | libc::MS_INVALIDATE))?;
    maps[1].marked(0x200)?;
    maps[0].marked(0x100)
}

fn msync_unmapped(t: &Ctx) -> Result {
    let map = gone(t)?;
    refused("msync", sys::msync(map.base, map.len, libc::MS_SYNC), &[libc::ENOMEM])
}

fn msync_invalid(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    refused(
        "msync with both modes",
        sys::msync(map.base, map.len, libc::MS_SYNC | libc::MS_ASYNC),
        &[libc::EINVAL],
    )?;
    refused("msync inside a page", sys::msync(map.at(8), page_size(), libc::MS_SYNC), &[libc::EINVAL])
}

fn mincore(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    for flags in [SHARED, PRIVATE] {
        for region in dev.layout.regions() {
            let map = dev.map_region(region, flags)?;
            // Touched or not makes no difference to a device.
            map.get(0)?;
            let pages = works("mincore", sys::mincore(map.base, map.len))?;
            let absent = pages.iter().filter(|page| **page & 1 == 0).count();
            equal(format!("pages of {} that are not resident", region.name), absent, 0)?;
        }
    }
    Ok(())
}

fn mincore_locked(t: &Ctx) -> Result {
    let dev = t.open()?;
    for region in dev.layout.regions() {
        let map = dev.map_region(region, SHARED)?;
        locked("mlock", sys::mlock(map.base, map.len))?;
        let pages = works("mincore", sys::mincore(map.base, map.len))?;
        let absent = pages.iter().filter(|page| **page & 1 == 0).count();
        equal(format!("pages of {} that are not resident", region.name), absent, 0)?;
        works("munlock", sys::munlock(map.base, map.len))?;
    }
    Ok(())
}

fn mincore_unmapped(t: &Ctx) -> Result {
    let map = gone(t)?;
    refused("mincore", sys::mincore(map.base, map.len), &[libc::ENOMEM])
}

fn mincore_invalid(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    refused("mincore inside a page", sys::mincore(map.at(8), page_size()), &[libc::EINVAL])
}

/// The result of a lock call; a skip for those who may not lock this much.
#[track_caller]
fn locked(what: &str, result: sys::Sys) -> Result {
    match result {
        Err(Errno(errno)) if [libc::EPERM, libc::EAGAIN].contains(&errno) => {
            skip(format!("{what}: this user may not lock memory ({})", Errno(errno).name()))
        }
        Err(Errno(libc::ENOMEM)) if !sys::is_root() => {
            skip(format!("{what}: this user may not lock as much memory"))
        }
        other => works(what, other),
    }
}

fn mlock(t: &Ctx) -> Result {
    let dev = t.open()?;
    let maps = mapped(&dev)?;
    for map in &maps {
        locked("mlock", sys::mlock(map.base, map.len))?;
        locked("mlock of a part again", sys::mlock(map.at(page_size()), page_size()))?;
        intact(&dev, &maps)?;
        works("munlock", sys::munlock(map.base, map.len))?;
    }
    intact(&dev, &maps)
}

fn mlock_keeps_switching(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps = [dev.map_region(dev.layout.fb, PRIVATE)?, dev.map_region(dev.layout.fb, PRIVATE)?];
    for map in &maps {
        locked("mlock", sys::mlock(map.base, map.len))?;
    }
    for round in 0..5u64 {
        for (tag, map) in maps.iter().enumerate() {
            map.mark(round * 1000 + tag as u64 * 100)?;
        }
        for (tag, map) in maps.iter().enumerate() {
            map.marked(round * 1000 + tag as u64 * 100)?;
        }
    }
    dev.revoke()?;
    maps[0].marked(4000)
}

fn mlock_then_munmap(t: &Ctx) -> Result {
    let dev = t.open()?;
    for _ in 0..3 {
        let map = dev.map_region(dev.layout.scratch, SHARED)?;
        locked("mlock", sys::mlock(map.base, map.len))?;
        map.mark(3)?;
        map.unmap_pages(2, 4)?;
        map.are_holes(2..4)?;
        map.unmap()?;
        map.are_holes(0..map.pages())?;
    }
    Ok(())
}

fn mlock_unmapped(t: &Ctx) -> Result {
    let map = gone(t)?;
    match sys::mlock(map.base, map.len) {
        Err(Errno(libc::EPERM)) => skip("this user may not lock memory"),
        result => refused("mlock", result, &[libc::ENOMEM]),
    }
}

fn range_with_hole(t: &Ctx) -> Result {
    let dev = t.open()?;
    // Device memory, ordinary memory, a hole, and device memory again.
    let region = dev.layout.scratch;
    let map = dev.map_apart(region.off, 4 * page_size(), SHARED)?;
    let memory = sys::mmap(map.at(page_size()), page_size(), RW, os::ANONYMOUS | FIXED, -1, 0);
    works("mmap of memory", memory)?;
    let resident = works("mincore", sys::mincore(map.base, map.len))?;
    check([0, 2, 3].iter().all(|&page| resident[page] & 1 == 1), "device memory is not resident")?;
    map.unmap_pages(2, 3)?;
    for (from, to, hole) in [(0, 4, true), (0, 3, true), (2, 4, true), (0, 2, false), (3, 4, false)] {
        let (at, len) = (map.at(from * page_size()), (to - from) * page_size());
        let calls = [
            ("madvise", sys::madvise(at, len, libc::MADV_WILLNEED)),
            ("msync", sys::msync(at, len, libc::MS_SYNC)),
            ("mlock", sys::mlock(at, len)),
            ("munlock", sys::munlock(at, len)),
        ];
        for (name, result) in calls {
            let what = format!("{name} of pages {from} to {to}");
            match result {
                Err(Errno(libc::EPERM | libc::EAGAIN)) if name.ends_with("lock") => {}
                result if hole => refused(what, result, &[libc::ENOMEM])?,
                result => works(what, result)?,
            }
        }
    }
    map.put(0, 1)?;
    map.put(3 * page_size(), 1)
}

fn mlockall_current(t: &Ctx) -> Result {
    let dev = t.open()?;
    let maps = mapped(&dev)?;
    locked("mlockall(MCL_CURRENT)", sys::mlockall(libc::MCL_CURRENT))?;
    intact(&dev, &maps)?;
    works("munlockall", sys::munlockall())?;
    intact(&dev, &maps)
}

fn mlockall_future(t: &Ctx) -> Result {
    let dev = t.open()?;
    locked("mlockall(MCL_FUTURE)", sys::mlockall(libc::MCL_FUTURE))?;
    let maps = mapped(&dev)?;
    intact(&dev, &maps)?;
    maps[1].unmap()?;
    maps[1].is_hole(0)?;
    works("munlockall", sys::munlockall())
}

fn empty_range(t: &Ctx) -> Result {
    let dev = t.open()?;
    let maps = mapped(&dev)?;
    let at = maps[0].base;
    let calls: [(&str, sys::Sys); 4] = [
        ("madvise", sys::madvise(at, 0, libc::MADV_NORMAL)),
        ("msync", sys::msync(at, 0, libc::MS_SYNC)),
        ("mincore", sys::mincore(at, 0).map(|_| ())),
        ("mlock", sys::mlock(at, 0)),
    ];
    for (call, result) in calls {
        let what = format!("{call} of 0 bytes");
        match result {
            Err(Errno(libc::EPERM)) if call == "mlock" => {}
            _ if os::EMPTY_RANGE_REFUSED => refused(what, result, &[libc::EINVAL])?,
            _ => works(what, result)?,
        }
    }
    intact(&dev, &maps)
}

fn mlock_in_child(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map(dev.layout.fb.off, dev.layout.fb.len, RW, PRIVATE)?;
    map.mark(0x30)?;
    locked("mlock", sys::mlock(map.base, map.len))?;
    Peer::start(|_| {
        map.marked(0x30)?;
        map.mark(0x40)?;
        map.unmap()
    })?
    .done()?;
    map.marked(0x30)?;
    check(map.unmap().is_ok(), "a locked mapping cannot be unmapped")
}
