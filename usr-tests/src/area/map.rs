//! mmap: offsets, lengths, protections, open modes, addresses, types; and what it refuses.

use crate::case::{Case, Ctx, Result, case, check, equal, refused, same, skip, works};
use crate::device::{Dev, EXEC, FIXED, Map, NONE, PRIVATE, READ, RW, SHARED, WRITE, reserve};
use crate::os;
use crate::probe::{self, Kind};
use crate::sys::{self, page_size};

pub const CASES: &[Case] = &[
    case("whole_device", "one mapping of all regions is readable and writable from end to end", whole_device)
        .of("Open POSIX mmap 1-1"),
    case("each_region", "each region can be mapped alone", each_region),
    case(
        "every_page_alone",
        "a one-page mapping at every offset shows that page and no other",
        every_page_alone,
    ),
    case("offset_selects", "an offset selects the page, whatever the mapping starts at", offset_selects),
    case("file_offset_ignored", "the file offset of the descriptor plays no part", file_offset_ignored),
    case("address_is_page_aligned", "the address chosen is page aligned and not 0", address_is_page_aligned)
        .of("Open POSIX mmap 10-1"),
    case("length_of_one_byte", "a length of one byte maps a whole page", length_of_one_byte)
        .of("Open POSIX mmap 11-1 (a device has no partial last page: the whole page is the device's)"),
    case("length_rounds_up", "one byte more than a page maps two pages", length_rounds_up).of("LTP mmap02"),
    case("zero_length", "length 0 is EINVAL", zero_length).of("Open POSIX mmap 32-1; LTP mmap08"),
    case("unaligned_offset", "an offset inside a page is EINVAL", unaligned_offset),
    case("unaligned_fixed", "MAP_FIXED at an address inside a page is EINVAL", unaligned_fixed),
    case("at_the_end", "an offset at the end of the device is ENXIO", at_the_end)
        .of("Open POSIX mmap 11-2 (changed: a device refuses at mmap, not by SIGBUS)"),
    case(
        "across_the_end",
        "a range that reaches beyond the end of the device is ENXIO, and maps nothing",
        across_the_end,
    )
    .of("Open POSIX mmap 11-3 (changed: a device refuses at mmap, not by SIGBUS)"),
    case("far_beyond", "an offset far beyond the device is ENXIO", far_beyond),
    case("negative_offset", "a negative offset is refused", negative_offset),
    case("huge_length", "a length that no device and no address space has is refused", huge_length),
    case(
        "refused_leaves_nothing",
        "after refused requests the device maps as before",
        refused_leaves_nothing,
    ),
    case("prot_none", "PROT_NONE allows nothing", prot_none).of("Open POSIX mmap 5-1, 6-1; LTP mmap05"),
    case("prot_read", "PROT_READ allows loads and no stores", prot_read)
        .of("Open POSIX mmap 5-1, 6-2; LTP mmap03"),
    case("prot_write", "PROT_WRITE allows stores", prot_write).of("Open POSIX mmap 5-1, 6-3"),
    case("prot_read_write", "PROT_READ|PROT_WRITE allows both", prot_read_write).of("Open POSIX mmap 5-1"),
    case(
        "prot_exec",
        "PROT_EXEC with PROT_READ, where the driver allows it, still allows no stores",
        prot_exec,
    )
    .of("LTP mmap03; Open POSIX mmap 6-5 (changed: a driver may refuse)"),
    case(
        "read_only_shared_write",
        "open for reading: a shared writable mapping is EACCES",
        read_only_shared_write,
    )
    .of("Open POSIX mmap 6-4; LTP mmap06"),
    case("read_only_shared_read", "open for reading: a shared mapping can be read", read_only_shared_read),
    case(
        "read_only_private_write",
        "open for reading: a private mapping may be writable",
        read_only_private_write,
    )
    .of("Open POSIX mmap 6-6"),
    case("write_only", "open for writing only: every mapping is EACCES", write_only).of("LTP mmap06"),
    case("not_open", "a number that is no descriptor is EBADF", not_open).of("LTP mmap08"),
    case("no_type", "neither MAP_SHARED nor MAP_PRIVATE is EINVAL", no_type)
        .of("Open POSIX mmap 21-1; LTP mmap08"),
    case(
        "private_and_fixed_supported",
        "MAP_PRIVATE and MAP_FIXED are supported",
        private_and_fixed_supported,
    )
    .of("Open POSIX mmap 27-1"),
    case("hint_free", "a mapping with a free address as a hint works", hint_free).of("Open POSIX mmap 10-1"),
    case("hint_taken", "a hint never replaces what is there", hint_taken).of("Open POSIX mmap 10-1"),
    case("hint_unaligned", "an unaligned hint is only a hint", hint_unaligned),
    case("fixed_exact", "MAP_FIXED maps exactly there", fixed_exact).of("Open POSIX mmap 9-1"),
    case("fixed_over_memory", "MAP_FIXED replaces ordinary memory", fixed_over_memory)
        .of("Open POSIX mmap 1-2, 3-1"),
    case("fixed_over_head", "MAP_FIXED over the head of a device mapping keeps the rest", fixed_over_head),
    case(
        "fixed_over_middle",
        "MAP_FIXED over the middle of a device mapping keeps both ends",
        fixed_over_middle,
    ),
    case("fixed_over_tail", "MAP_FIXED over the tail of a device mapping keeps the rest", fixed_over_tail),
    case(
        "fixed_over_several",
        "MAP_FIXED over several mappings and a hole replaces them all",
        fixed_over_several,
    ),
    case(
        "fixed_over_itself",
        "MAP_FIXED over the same offset again shows the same memory",
        fixed_over_itself,
    ),
    case(
        "fixed_beyond_end",
        "a refused MAP_FIXED is ENXIO and harms nothing outside its range",
        fixed_beyond_end,
    ),
    case(
        "fixed_kernel_address",
        "MAP_FIXED beyond the user's addresses is ENOMEM or EINVAL",
        fixed_kernel_address,
    )
    .of("LTP mmap08, mmap15"),
    case("fixed_noreplace", "MAP_FIXED_NOREPLACE over something is EEXIST, elsewhere exact", fixed_noreplace)
        .of("LTP mmap17"),
    case("unknown_flag", "a type that refuses unknown flags refuses one", unknown_flag).of("LTP mmap20"),
    case("shared_is_one_memory", "two shared mappings of one region are one memory", shared_is_one_memory)
        .of("Open POSIX mmap 7-3 (changed: no file behind it)"),
    case("private_starts_zero", "a private mapping starts with zeros", private_starts_zero),
    case("private_is_its_own", "two private mappings of one region are two memories", private_is_its_own)
        .of("Open POSIX mmap 7-2 (changed: the context, not a copy on write, keeps them apart)"),
    case(
        "private_apart_from_shared",
        "a private mapping and a shared one are two memories",
        private_apart_from_shared,
    )
    .of("Open POSIX mmap 7-2"),
    case(
        "scratch_is_for_all",
        "the scratch area is one memory, mapped private or shared",
        scratch_is_for_all,
    ),
    case(
        "several_regions",
        "a mapping over all regions holds the same memory as one of each",
        several_regions,
    ),
    case(
        "from_inside_to_inside",
        "a mapping may start inside one region and end inside another",
        from_inside_to_inside,
    ),
    case("regions_are_apart", "no page of one region shows up in another", regions_are_apart),
    case("large_is_aligned", "mappings of 2 MiB or more are congruent for large pages", large_is_aligned),
    case("one_page_many_times", "one page mapped 500 times is one memory", one_page_many_times),
    case(
        "unmap_and_map_again",
        "a place can be mapped, unmapped and mapped again, for ever",
        unmap_and_map_again,
    ),
    case("two_opens", "mappings through two opens are of one device", two_opens),
    case("close_right_after", "a mapping outlives the descriptor", close_right_after)
        .of("Open POSIX mmap 12-1"),
];

fn whole_device(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_all(SHARED)?;
    map.mark(0x1000)?;
    map.put(map.len - 8, 0xeed)?;
    map.marked(0x1000)?;
    map.holds(map.len - 8, 0xeed)
}

fn each_region(t: &Ctx) -> Result {
    let dev = t.open()?;
    for (index, region) in dev.layout.regions().into_iter().enumerate() {
        let map = dev.map_region(region, SHARED)?;
        map.mark(0x100 * (index as u64 + 1))?;
        map.marked(0x100 * (index as u64 + 1))?;
    }
    Ok(())
}

fn every_page_alone(t: &Ctx) -> Result {
    let dev = t.open()?;
    let pages = (dev.layout.total() / page_size()).min(64);
    let maps: Vec<Map> =
        (0..pages).map(|page| dev.map(page * page_size(), page_size(), RW, SHARED)).collect::<Result<_>>()?;
    for (page, map) in maps.iter().enumerate() {
        map.put(0x18, 0xa000 + page as u64)?;
    }
    let whole = dev.map_all(SHARED)?;
    for (page, map) in maps.iter().enumerate() {
        map.holds(0x18, 0xa000 + page as u64)?;
        whole.holds(page * page_size() + 0x18, 0xa000 + page as u64)?;
    }
    Ok(())
}

fn offset_selects(t: &Ctx) -> Result {
    let dev = t.open()?;
    let fb = dev.layout.fb;
    let whole = dev.map_region(fb, SHARED)?;
    whole.mark(0x700)?;
    for from in [1, fb.pages() / 2, fb.pages() - 1] {
        let part = dev.map(fb.page(from), fb.len - from * page_size(), RW, SHARED)?;
        part.marked(0x700 + from as u64)?;
    }
    Ok(())
}

fn file_offset_ignored(t: &Ctx) -> Result {
    let dev = t.open()?;
    let first = dev.map_region(dev.layout.scratch, SHARED)?;
    first.put(0, 0x5eed)?;
    // Where a device cannot seek at all there is nothing to ignore.
    let _ = sys::lseek(dev.fd, page_size() as i64, libc::SEEK_SET);
    dev.map_region(dev.layout.scratch, SHARED)?.holds(0, 0x5eed)
}

fn address_is_page_aligned(t: &Ctx) -> Result {
    let dev = t.open()?;
    for region in dev.layout.regions() {
        let map = dev.map_region(region, SHARED)?;
        check(map.base != 0, "mmap without an address chose 0")?;
        same("address modulo page size", map.base % page_size(), 0)?;
    }
    Ok(())
}

fn length_of_one_byte(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map(dev.layout.scratch.off, 1, RW, SHARED)?;
    map.put(0, 0x11)?;
    map.put(page_size() - 8, 0x22)?;
    let whole = dev.map_region(dev.layout.scratch, SHARED)?;
    whole.holds(0, 0x11)?;
    whole.holds(page_size() - 8, 0x22)
}

fn length_rounds_up(t: &Ctx) -> Result {
    let dev = t.open()?;
    let place = reserve(8 * page_size())?;
    let map = dev.map_at(place, dev.layout.scratch.off, page_size() + 1, RW, SHARED | FIXED)?;
    map.put(2 * page_size() - 8, 0x33)?;
    // What was reserved behind it is still there.
    map.load_faults(2 * page_size(), Kind::Protection)
}

fn zero_length(t: &Ctx) -> Result {
    let dev = t.open()?;
    refused("mmap of 0 bytes, shared", dev.try_map(0, 0, RW, SHARED), &[libc::EINVAL])?;
    refused("mmap of 0 bytes, private", dev.try_map(0, 0, RW, PRIVATE), &[libc::EINVAL])
}

fn unaligned_offset(t: &Ctx) -> Result {
    let dev = t.open()?;
    for off in [1, 8, page_size() / 2, page_size() + 1] {
        refused(format!("mmap at offset {off:#x}"), dev.try_map(off, 64, RW, SHARED), &[libc::EINVAL])?;
    }
    Ok(())
}

fn unaligned_fixed(t: &Ctx) -> Result {
    let dev = t.open()?;
    let place = reserve(4 * page_size())?;
    let result = dev.try_map_at(place + 16, 0, page_size(), RW, SHARED | FIXED);
    refused("mmap fixed at an address inside a page", result, &[libc::EINVAL])
}

fn at_the_end(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let end = dev.layout.total();
    refused("mmap at the end", dev.try_map(end, page_size(), RW, SHARED), &[libc::ENXIO])?;
    refused("private mmap at the end", dev.try_map(end, page_size(), RW, PRIVATE), &[libc::ENXIO])
}

fn across_the_end(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let before = dev.stats()?;
    let fb = dev.layout.fb;
    for (off, len) in
        [(fb.page(fb.pages() - 1), 2 * page_size()), (0, dev.layout.total() + 1), (fb.off, fb.len * 2)]
    {
        for flags in [SHARED, PRIVATE] {
            let what = format!("mmap of {len:#x} bytes at {off:#x}");
            refused(what, dev.try_map(off, len, RW, flags), &[libc::ENXIO])?;
        }
    }
    let after = dev.stats()?;
    equal("live mappings and contexts", (after.mappings, after.contexts), (before.mappings, before.contexts))
}

fn far_beyond(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    for off in [1usize << 32, 1 << 40, 1 << 46] {
        refused(
            format!("mmap at {off:#x}"),
            dev.try_map(off, page_size(), RW, SHARED),
            &[libc::ENXIO, libc::EINVAL],
        )?;
    }
    Ok(())
}

fn negative_offset(t: &Ctx) -> Result {
    let dev = t.open()?;
    let off = (page_size() as i64).wrapping_neg();
    for len in [page_size(), 2 * page_size()] {
        let result = sys::mmap(0, len, RW, SHARED, dev.fd, off);
        let expected = [libc::EINVAL, libc::ENXIO];
        refused(format!("mmap of {len:#x} bytes at offset {off}"), result, &expected)?;
    }
    Ok(())
}

fn huge_length(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    for len in [1usize << 40, 1 << 47, usize::MAX - 4096, usize::MAX] {
        let expected = [libc::ENXIO, libc::ENOMEM, libc::EINVAL];
        refused(format!("mmap of {len:#x} bytes"), dev.try_map(0, len, RW, SHARED), &expected)?;
    }
    Ok(())
}

fn refused_leaves_nothing(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let before = dev.stats()?;
    let end = dev.layout.total();
    for _ in 0..20 {
        refused("mmap at the end", dev.try_map(end, page_size(), RW, PRIVATE), &[libc::ENXIO])?;
        refused("mmap across the end", dev.try_map(0, end + page_size(), RW, PRIVATE), &[libc::ENXIO])?;
    }
    let after = dev.stats()?;
    equal(
        "live mappings and contexts",
        (after.mappings, after.contexts),
        (before.mappings, before.contexts),
    )?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(0x40)?;
    map.marked(0x40)
}

fn prot_case(t: &Ctx, prot: i32) -> Result {
    let dev = t.open()?;
    for flags in [SHARED, PRIVATE] {
        for region in dev.layout.regions() {
            let map = dev.map(region.off, region.len, prot, flags)?;
            map.obeys(0x20, prot)?;
            map.obeys(region.len - 8, prot)?;
        }
    }
    Ok(())
}

fn prot_none(t: &Ctx) -> Result {
    prot_case(t, NONE)
}

fn prot_read(t: &Ctx) -> Result {
    prot_case(t, READ)
}

fn prot_write(t: &Ctx) -> Result {
    prot_case(t, WRITE)
}

fn prot_read_write(t: &Ctx) -> Result {
    prot_case(t, RW)
}

fn prot_exec(t: &Ctx) -> Result {
    let dev = t.open()?;
    let region = dev.layout.ring;
    dev.map_exec(region, SHARED)?;
    dev.map(region.off, region.len, READ | EXEC, SHARED)?.obeys(0, READ | EXEC)
}

fn read_only_shared_write(t: &Ctx) -> Result {
    let dev = t.open_with(libc::O_RDONLY)?;
    for prot in [WRITE, RW] {
        refused("shared writable mmap", dev.try_map(0, page_size(), prot, SHARED), &[libc::EACCES])?;
    }
    Ok(())
}

fn read_only_shared_read(t: &Ctx) -> Result {
    let writer = t.open()?;
    writer.map_region(writer.layout.scratch, SHARED)?.put(0, 0x77)?;
    let dev = t.open_with(libc::O_RDONLY)?;
    let map = dev.map(dev.layout.scratch.off, page_size(), READ, SHARED)?;
    map.holds(0, 0x77)?;
    map.store_faults(0, Kind::Protection)
}

fn read_only_private_write(t: &Ctx) -> Result {
    let dev = t.open_with(libc::O_RDONLY)?;
    let map = dev.map(dev.layout.fb.off, page_size(), RW, PRIVATE)?;
    map.put(0, 0x88)?;
    map.holds(0, 0x88)
}

fn write_only(t: &Ctx) -> Result {
    let dev = t.open_with(libc::O_WRONLY)?;
    for (prot, flags) in [(READ, SHARED), (WRITE, SHARED), (RW, PRIVATE), (READ, PRIVATE), (NONE, SHARED)] {
        refused("mmap of a write-only open", dev.try_map(0, page_size(), prot, flags), &[libc::EACCES])?;
    }
    Ok(())
}

fn not_open(t: &Ctx) -> Result {
    let dev = t.open()?;
    works("close", dev.close())?;
    refused("mmap of a closed descriptor", dev.try_map(0, page_size(), RW, SHARED), &[libc::EBADF])?;
    refused("mmap of descriptor -1", sys::mmap(0, page_size(), RW, SHARED, -1, 0), &[libc::EBADF])
}

fn no_type(t: &Ctx) -> Result {
    let dev = t.open()?;
    refused("mmap with no type", dev.try_map(0, page_size(), RW, 0), &[libc::EINVAL])
}

fn private_and_fixed_supported(t: &Ctx) -> Result {
    let dev = t.open()?;
    dev.map_region(dev.layout.fb, PRIVATE)?.put(0, 1)?;
    let place = reserve(dev.layout.fb.len)?;
    for flags in [PRIVATE | FIXED, SHARED | FIXED] {
        dev.map_at(place, dev.layout.fb.off, dev.layout.fb.len, RW, flags)?.put(0, 2)?;
    }
    Ok(())
}

fn hint_free(t: &Ctx) -> Result {
    let dev = t.open()?;
    let place = reserve(16 * page_size())?;
    works("munmap", sys::munmap(place, 16 * page_size()))?;
    let map = dev.map_at(place + 4 * page_size(), dev.layout.scratch.off, 2 * page_size(), RW, SHARED)?;
    same("address modulo page size", map.base % page_size(), 0)?;
    map.mark(0x60)?;
    map.marked(0x60)
}

fn hint_taken(t: &Ctx) -> Result {
    let dev = t.open()?;
    let memory = works("mmap", sys::mmap(0, 4 * page_size(), RW, os::ANONYMOUS, -1, 0))?;
    let memory = Map { base: memory, len: 4 * page_size(), off: 0 };
    memory.mark(0x90)?;
    let first = dev.map_region(dev.layout.scratch, SHARED)?;
    first.mark(0x300)?;
    for taken in [memory.base, memory.base + page_size(), first.base] {
        let map = dev.map_at(taken, dev.layout.ring.off, 2 * page_size(), RW, SHARED)?;
        for old in [&memory, &first] {
            let apart = map.base + map.len <= old.base || old.base + old.len <= map.base;
            check(apart, "mmap with a hint was placed over an existing mapping")?;
        }
        map.mark(0x400)?;
    }
    memory.marked(0x90)?;
    first.marked(0x300)
}

fn hint_unaligned(t: &Ctx) -> Result {
    let dev = t.open()?;
    for hint in [1, page_size() + 8, 0x7fff_1234_5678] {
        let map = dev.map_at(hint, dev.layout.ring.off, page_size(), RW, SHARED)?;
        same("address modulo page size", map.base % page_size(), 0)?;
        map.put(0, 5)?;
    }
    Ok(())
}

fn fixed_exact(t: &Ctx) -> Result {
    let dev = t.open()?;
    let place = reserve(64 * page_size())?;
    for (page, region) in [(1, dev.layout.regs), (7, dev.layout.ring), (20, dev.layout.scratch)] {
        let at = place + page * page_size();
        let map = dev.map_at(at, region.off, region.len, RW, SHARED | FIXED)?;
        same("address", map.base, at)?;
        map.mark(0x10)?;
        map.marked(0x10)?;
    }
    Ok(())
}

fn fixed_over_memory(t: &Ctx) -> Result {
    let dev = t.open()?;
    let page = page_size();
    let memory = works("mmap", sys::mmap(0, 6 * page, RW, os::ANONYMOUS, -1, 0))?;
    let memory = Map { base: memory, len: 6 * page, off: 0 };
    memory.mark(0x90)?;
    let shared = dev.map_region(dev.layout.scratch, SHARED)?;
    shared.mark(0x500)?;
    let map = dev.map_at(memory.at(2 * page), dev.layout.scratch.off, 2 * page, RW, SHARED | FIXED)?;
    map.marked(0x500)?;
    memory.marked_in(0x90, [0, 1, 4, 5])?;
    map.put(8, 0xabc)?;
    shared.holds(8, 0xabc)
}

/// Maps all of a region, then something else over pages `from..to` of it.
fn fixed_over(t: &Ctx, from: usize, to: usize) -> Result {
    let dev = t.open()?;
    let page = page_size();
    let scratch = dev.layout.scratch;
    let map = dev.map_region(scratch, SHARED)?;
    map.mark(0x800)?;
    let over =
        dev.map_at(map.at(from * page), dev.layout.ring.off, (to - from) * page, RW, SHARED | FIXED)?;
    over.mark(0x900)?;
    over.marked(0x900)?;
    map.marked_in(0x800, (0..from).chain(to..map.pages()))?;
    // What was covered is the device's memory still, only not mapped here.
    dev.map_region(scratch, SHARED)?.marked(0x800)
}

fn fixed_over_head(t: &Ctx) -> Result {
    fixed_over(t, 0, 2)
}

fn fixed_over_middle(t: &Ctx) -> Result {
    fixed_over(t, 4, 7)
}

fn fixed_over_tail(t: &Ctx) -> Result {
    let pages = t.layout()?.scratch.pages();
    fixed_over(t, pages - 3, pages)
}

fn fixed_over_several(t: &Ctx) -> Result {
    let dev = t.open()?;
    let page = page_size();
    let (ring, scratch) = (dev.layout.ring, dev.layout.scratch);
    let place = reserve(12 * page)?;
    // hole 0, RING 1..3, memory 3..4, a hole 4..5, SCRATCH 5..8, RING 8..10, memory to the end
    dev.map_at(place + page, ring.off, 2 * page, RW, SHARED | FIXED)?.mark(1)?;
    dev.map_at(place + 5 * page, scratch.off, 3 * page, RW, SHARED | FIXED)?.mark(2)?;
    let last = dev.map_at(place + 8 * page, ring.off, 2 * page, RW, SHARED | FIXED)?;
    last.mark(0x30)?;
    dev.map_region(scratch, SHARED)?.mark(0xc00)?;
    // The holes come last, so that nobody else has got them.
    works("munmap", sys::munmap(place, page))?;
    works("munmap", sys::munmap(place + 4 * page, page))?;
    let over = dev.map_at(place, scratch.off, 9 * page, RW, SHARED | FIXED)?;
    over.marked(0xc00)?;
    last.holds(page, 0x31)
}

fn fixed_over_itself(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_all(SHARED)?;
    map.mark(0xe00)?;
    let again = dev.map_at(map.base, 0, map.len, RW, SHARED | FIXED)?;
    again.marked(0xe00)
}

fn fixed_beyond_end(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let page = page_size();
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    map.mark(0xf00)?;
    let result = dev.try_map_at(map.at(2 * page), dev.layout.total(), 2 * page, RW, SHARED | FIXED);
    refused("mmap fixed beyond the end", result, &[libc::ENXIO])?;
    // SUS allows the range itself to be unmapped by then.
    map.marked_in(0xf00, (0..2).chain(4..map.pages()))
}

fn fixed_kernel_address(t: &Ctx) -> Result {
    let dev = t.open()?;
    let result = dev.try_map_at(os::KERNEL_ADDRESS, 0, page_size(), RW, SHARED | FIXED);
    refused("mmap fixed at a kernel address", result, &[libc::ENOMEM, libc::EINVAL])
}

fn fixed_noreplace(t: &Ctx) -> Result {
    let Some(noreplace) = os::MAP_FIXED_NOREPLACE else {
        return skip("MAP_FIXED_NOREPLACE does not exist on this system");
    };
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    map.mark(0x10)?;
    let place = reserve(4 * page_size())?;
    let ring = dev.layout.ring.off;
    for taken in [map.base, map.at(map.len - page_size()), place] {
        let result = dev.try_map_at(taken, ring, 2 * page_size(), RW, SHARED | noreplace);
        refused("mmap without replacing", result, &[libc::EEXIST])?;
    }
    map.marked(0x10)?;
    works("munmap", sys::munmap(place, 4 * page_size()))?;
    let there = dev.map_at(place, ring, 2 * page_size(), RW, SHARED | noreplace)?;
    same("address", there.base, place)?;
    there.mark(0x20)?;
    // And ordinary memory does not replace the device.
    let memory = sys::mmap(place, page_size(), RW, os::ANONYMOUS | noreplace, -1, 0);
    refused("mmap of memory without replacing", memory, &[libc::EEXIST])?;
    there.marked(0x20)
}

fn unknown_flag(t: &Ctx) -> Result {
    let Some(strict) = os::STRICT_TYPE else {
        return skip("MAP_SHARED_VALIDATE does not exist on this system");
    };
    let dev = t.open()?;
    refused("mmap with an unknown flag", dev.try_map(0, page_size(), RW, strict), &[libc::EOPNOTSUPP])
}

fn shared_is_one_memory(t: &Ctx) -> Result {
    let dev = t.open()?;
    for region in dev.layout.regions() {
        let (one, two) = (dev.map_region(region, SHARED)?, dev.map_region(region, SHARED)?);
        one.mark(0x1100)?;
        two.marked(0x1100)?;
        two.mark(0x2200)?;
        one.marked(0x2200)?;
    }
    Ok(())
}

fn private_starts_zero(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    // What another context leaves behind must not be seen.
    dev.map_all(SHARED)?.mark(0xdead_0000)?;
    let old = dev.map_all(PRIVATE)?;
    old.mark(0xbeef_0000)?;
    old.unmap()?;
    for region in dev.layout.engine() {
        let map = dev.map_region(region, PRIVATE)?;
        for at in (0..region.len).step_by(page_size() / 4) {
            map.holds(at, 0)?;
        }
    }
    Ok(())
}

fn private_is_its_own(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    for region in dev.layout.engine() {
        let (one, two) = (dev.map_region(region, PRIVATE)?, dev.map_region(region, PRIVATE)?);
        one.mark(0x1100)?;
        two.mark(0x2200)?;
        one.marked(0x1100)?;
        two.marked(0x2200)?;
    }
    Ok(())
}

fn private_apart_from_shared(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let (shared, private) = (dev.map_all(SHARED)?, dev.map_all(PRIVATE)?);
    for region in dev.layout.engine() {
        for page in 0..region.pages() {
            shared.put(region.page(page), 0x51)?;
            private.put(region.page(page), 0x52)?;
        }
        for page in 0..region.pages() {
            shared.holds(region.page(page), 0x51)?;
            private.holds(region.page(page), 0x52)?;
        }
    }
    Ok(())
}

fn scratch_is_for_all(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let scratch = dev.layout.scratch;
    let maps = [
        dev.map_region(scratch, SHARED)?,
        dev.map_region(scratch, PRIVATE)?,
        dev.map_region(scratch, PRIVATE)?,
    ];
    for (tag, writer) in maps.iter().enumerate() {
        writer.mark(0x100 * (tag as u64 + 1))?;
        for reader in &maps {
            reader.marked(0x100 * (tag as u64 + 1))?;
        }
    }
    Ok(())
}

fn several_regions(t: &Ctx) -> Result {
    let dev = t.open()?;
    let whole = dev.map_all(SHARED)?;
    whole.mark(0x4000)?;
    for region in dev.layout.regions() {
        let first_page = (region.off / page_size()) as u64;
        dev.map_region(region, SHARED)?.marked(0x4000 + first_page)?;
    }
    Ok(())
}

fn from_inside_to_inside(t: &Ctx) -> Result {
    let dev = t.open()?;
    let (from, to) = (dev.layout.ring.page(2), dev.layout.fb.page(3));
    let part = dev.map(from, to - from, RW, SHARED)?;
    part.mark(0x6000)?;
    let whole = dev.map_all(SHARED)?;
    for page in 0..part.pages() {
        whole.holds(from + page * page_size(), 0x6000 + page as u64)?;
    }
    Ok(())
}

fn regions_are_apart(t: &Ctx) -> Result {
    let dev = t.open()?;
    let maps: Vec<Map> = dev
        .layout
        .regions()
        .into_iter()
        .map(|region| dev.map_region(region, SHARED))
        .collect::<Result<_>>()?;
    for (tag, map) in maps.iter().enumerate() {
        map.mark(0x10_0000 * (tag as u64 + 1))?;
    }
    for (tag, map) in maps.iter().enumerate() {
        map.marked(0x10_0000 * (tag as u64 + 1))?;
    }
    Ok(())
}

fn large_is_aligned(t: &Ctx) -> Result {
    const LARGE: usize = 2 << 20;
    let dev = t.open()?;
    let fb = dev.layout.fb;
    if fb.len < LARGE {
        return skip(format!(
            "the frame buffer is {} KiB; this needs 2 MiB (property fb-size)",
            fb.len >> 10
        ));
    }
    let first = dev.map_region(fb, SHARED)?;
    for flags in [SHARED, PRIVATE, SHARED] {
        // Something small in between, so that the next free address is not congruent by luck.
        dev.map_region(dev.layout.regs, SHARED)?;
        let map = dev.map_region(fb, flags)?;
        same("address modulo 2 MiB, against an earlier mapping's", map.base % LARGE, first.base % LARGE)?;
        map.put(fb.len - 8, 1)?;
    }
    Ok(())
}

fn one_page_many_times(t: &Ctx) -> Result {
    let dev = t.open()?;
    let maps: Vec<Map> =
        (0..500).map(|_| dev.map(dev.layout.scratch.off, page_size(), RW, SHARED)).collect::<Result<_>>()?;
    for (index, map) in maps.iter().enumerate() {
        map.put(0, index as u64)?;
        maps[(index * 7 + 3) % maps.len()].holds(0, index as u64)?;
    }
    Ok(())
}

fn unmap_and_map_again(t: &Ctx) -> Result {
    let dev = t.open()?;
    let place = reserve(dev.layout.total())?;
    for round in 0..200u64 {
        let flags = if round % 2 == 0 { SHARED } else { PRIVATE };
        let map = dev.map_at(place, 0, dev.layout.total(), RW, flags | FIXED)?;
        map.put(dev.layout.scratch.off, round)?;
        map.put(dev.layout.fb.off, round)?;
        map.holds(dev.layout.fb.off, round)?;
        map.unmap()?;
        map.is_hole(dev.layout.scratch.off)?;
    }
    Ok(())
}

fn two_opens(t: &Ctx) -> Result {
    let (one, two) = (t.open()?, t.open()?);
    let a = one.map_all(SHARED)?;
    let b = two.map_all(SHARED)?;
    a.mark(0x7000)?;
    b.marked(0x7000)
}

fn close_right_after(t: &Ctx) -> Result {
    let dev: Dev = t.open()?;
    let map = dev.map_all(PRIVATE)?;
    works("close", dev.close())?;
    map.mark(0x7100)?;
    map.marked(0x7100)?;
    check(probe::load1(map.base + map.len - 1).is_ok(), "the last byte cannot be read")
}
