//! The driver's counters: by ioctl, by read, by kstat; and that they agree with what was done.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use crate::case::{Case, Ctx, Result, case, check, equal, error, fail, skip};
use crate::device::{Dev, PRIVATE, READ, RW, SHARED, Stats, grew};
use crate::peer::Peer;
use crate::sys::{self, page_size};

pub const CASES: &[Case] = &[
    case("version", "the structure of counters says version 1", version),
    case("opens", "each open is counted", opens),
    case("maps_and_unmaps", "each region mapped and unmapped is counted once", maps_and_unmaps),
    case(
        "maps_of_several_regions",
        "a mapping over several regions is counted for each",
        maps_of_several_regions,
    ),
    case("unmap_pieces", "each partial unmap is counted, a split makes a mapping more", unmap_pieces),
    case("refused_maps", "refused requests are not counted as live", refused_maps),
    case("faults", "first touches are counted, later ones are not", faults),
    case("switches", "each change of context is counted", switches),
    case("dups", "each mapping duplicated by fork is counted", dups),
    case("contexts", "each private mapping has a context while it lives", contexts),
    case("owner", "the owner is the context that used the engine last", owner),
    case("revokes", "each revoke-all is counted", revokes),
    case("mprotect_counts_nothing", "mprotect is no map, no unmap and no dup", mprotect_counts_nothing),
    case("other_process", "what another process did is counted when it has said so", other_process),
    case("process_end", "everything a process had is given back before wait returns", process_end),
    case("read_agrees", "the line that read gives agrees with the ioctl", read_agrees),
    case("kstat_agrees", "the kstat agrees with the ioctl", kstat_agrees),
];

fn version(t: &Ctx) -> Result {
    equal("version", t.ctxdev()?.stats()?.version, 1)
}

fn opens(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let before = dev.stats()?;
    for _ in 0..5 {
        t.open()?;
    }
    grew(&dev, &before, &[("opens", 5)])
}

fn maps_and_unmaps(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let before = dev.stats()?;
    let mut maps = Vec::new();
    for region in dev.layout.regions() {
        for flags in [SHARED, PRIVATE] {
            maps.push(dev.map_region(region, flags)?);
        }
    }
    grew(&dev, &before, &[("maps", 8), ("unmaps", 0), ("mappings", 8)])?;
    for map in &maps {
        map.unmap()?;
    }
    grew(&dev, &before, &[("maps", 8), ("unmaps", 8), ("mappings", 0), ("contexts", 0)])
}

fn maps_of_several_regions(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let before = dev.stats()?;
    let map = dev.map_all(PRIVATE)?;
    grew(&dev, &before, &[("maps", 4), ("mappings", 4)])?;
    map.unmap()?;
    grew(&dev, &before, &[("unmaps", 4), ("mappings", 0), ("contexts", 0)])
}

fn unmap_pieces(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    let before = dev.stats()?;
    map.unmap_pages(0, 1)?;
    grew(&dev, &before, &[("unmaps", 1), ("mappings", 0)])?;
    map.unmap_pages(map.pages() - 1, map.pages())?;
    grew(&dev, &before, &[("unmaps", 2), ("mappings", 0)])?;
    map.unmap_pages(4, 6)?;
    grew(&dev, &before, &[("unmaps", 3), ("mappings", 1), ("contexts", 0), ("maps", 0)])?;
    let whole = dev.stats()?;
    map.unmap()?;
    let after = dev.stats()?;
    equal("unmaps of the two pieces", after.unmaps - whole.unmaps, 2)?;
    equal(
        "live mappings and contexts given back",
        (whole.mappings - after.mappings, whole.contexts - after.contexts),
        (2, 1),
    )
}

fn refused_maps(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let before = dev.stats()?;
    for _ in 0..5 {
        check(
            dev.try_map(dev.layout.total(), page_size(), RW, PRIVATE).is_err(),
            "mmap beyond the end succeeded",
        )?;
    }
    grew(&dev, &before, &[("mappings", 0), ("contexts", 0)])
}

fn faults(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map(dev.layout.fb.off, page_size(), RW, PRIVATE)?;
    let before = dev.stats()?;
    map.get(0)?;
    grew(&dev, &before, &[("faults", 1)])?;
    map.get(8)?;
    map.put(16, 1)?;
    grew(&dev, &before, &[("faults", 1)])?;
    dev.revoke()?;
    map.put(16, 2)?;
    grew(&dev, &before, &[("faults", 2)])
}

fn switches(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps = [dev.map_region(dev.layout.regs, PRIVATE)?, dev.map_region(dev.layout.regs, PRIVATE)?];
    maps[0].put(0, 1)?;
    let before = dev.stats()?;
    for round in 1..=7u64 {
        maps[round as usize % 2].put(0, round)?;
        grew(&dev, &before, &[("switches", round)])?;
    }
    Ok(())
}

fn dups(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps = [dev.map_all(PRIVATE)?, dev.map_region(dev.layout.fb, SHARED)?];
    maps[0].mark(1)?;
    let before = dev.stats()?;
    let mut peer = Peer::start(|link| link.ask(b'r', b'g'))?;
    peer.hear(b'r')?;
    grew(&dev, &before, &[("dups", 5), ("mappings", 5), ("contexts", 1), ("maps", 0)])?;
    peer.link.say(b'g')?;
    peer.done()?;
    grew(&dev, &before, &[("dups", 5), ("mappings", 0), ("contexts", 0), ("unmaps", 5)])
}

fn contexts(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let before = dev.stats()?;
    let maps = [0; 5].map(|_| dev.map_region(dev.layout.ring, PRIVATE));
    let maps = maps.into_iter().collect::<Result<Vec<_>>>()?;
    grew(&dev, &before, &[("contexts", 5)])?;
    let whole = dev.map_all(PRIVATE)?;
    grew(&dev, &before, &[("contexts", 6)])?;
    whole.unmap()?;
    for map in &maps {
        map.unmap()?;
    }
    grew(&dev, &before, &[("contexts", 0)])
}

fn owner(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let maps = [dev.map_region(dev.layout.regs, PRIVATE)?, dev.map_region(dev.layout.regs, PRIVATE)?];
    maps[0].put(0, 1)?;
    let first = dev.stats()?.owner;
    check(first != 0, "no owner after an access")?;
    maps[1].put(0, 1)?;
    let second = dev.stats()?.owner;
    check(second != 0 && second != first, format!("owner {second} after {first} lost its turn"))?;
    maps[0].get(0)?;
    equal("owner", dev.stats()?.owner, first)?;
    maps[0].unmap()?;
    check(dev.stats()?.owner != first, "the owner is a context that is gone")
}

fn revokes(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(1)?;
    let before = dev.stats()?;
    for _ in 0..3 {
        dev.revoke()?;
    }
    grew(&dev, &before, &[("revokes", 3), ("unmaps", 0), ("mappings", 0)])
}

fn mprotect_counts_nothing(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(1)?;
    let before = dev.stats()?;
    for page in 0..map.pages().min(8) {
        map.protect_pages(page, page + 1, READ)?;
    }
    map.protect(RW)?;
    grew(&dev, &before, &[("maps", 0), ("unmaps", 0), ("dups", 0), ("mappings", 0), ("contexts", 0)])
}

fn other_process(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let before = dev.stats()?;
    let mut peer = Peer::start(|link| {
        let other = t.open()?;
        let map = other.map_region(other.layout.fb, PRIVATE)?;
        map.get(0)?;
        link.ask(b'm', b'u')?;
        map.unmap()?;
        link.ask(b'u', b'e')
    })?;
    peer.hear(b'm')?;
    grew(&dev, &before, &[("opens", 1), ("maps", 1), ("mappings", 1), ("contexts", 1), ("faults", 1)])?;
    peer.ask(b'u', b'u')?;
    grew(&dev, &before, &[("unmaps", 1), ("mappings", 0), ("contexts", 0)])?;
    peer.link.say(b'e')?;
    peer.done()
}

fn process_end(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    for round in 0..30u64 {
        let before = dev.stats()?;
        let mut peer = Peer::start(|_| {
            let maps = [dev.map_all(PRIVATE)?, dev.map_all(SHARED)?];
            maps[0].put(0, round)?;
            maps[1].put(0, round)?;
            maps[0].unmap_pages(3, 4)?;
            if round % 3 == 0 {
                let _ = sys::kill(sys::getpid(), libc::SIGKILL);
            }
            sys::exit_now(3)
        })?;
        let end = if round % 3 == 0 { sys::Status::Killed(libc::SIGKILL) } else { sys::Status::Exited(3) };
        peer.ends_with(end)?;
        // One unmap of the page, then whatever was left: five and four pieces.
        grew(&dev, &before, &[("mappings", 0), ("contexts", 0), ("maps", 8), ("unmaps", 10)])?;
    }
    Ok(())
}

/// The number that follows `name` in a line of text.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect();
    words.windows(2).find(|pair| pair[0] == name).and_then(|pair| pair[1].parse().ok())
}

/// The counters that a text names must be those of the ioctl.
fn text_agrees(what: &str, text: &str, stats: &Stats) -> Result {
    let named = [
        ("opens", stats.opens),
        ("maps", stats.maps),
        ("faults", stats.faults),
        ("switches", stats.switches),
        ("dups", stats.dups),
        ("unmaps", stats.unmaps),
        ("mappings", stats.mappings),
        ("contexts", stats.contexts),
        ("owner", stats.owner),
        ("revokes", stats.revokes),
    ];
    for (name, expected) in named {
        match number_after(text, name) {
            Some(seen) => equal(format!("{name} by {what}"), seen, expected)?,
            None => return Err(fail(format!("no {name} in what {what} gives: {text:?}"))),
        }
    }
    Ok(())
}

/// Performs each operation that is counted.
fn busy(dev: &Dev) -> Result {
    let maps = [dev.map_all(PRIVATE)?, dev.map_region(dev.layout.fb, SHARED)?];
    maps.iter().try_for_each(|map| map.mark(1))?;
    Peer::start(|_| maps.iter().try_for_each(|map| map.marked_in(1, [0])))?.done()?;
    maps[0].unmap_pages(2, 3)?;
    dev.revoke()?;
    maps[0].get(0).map(|_| ())
}

fn read_agrees(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    busy(&dev)?;
    let mut text = [0; 1024];
    let got = sys::read(dev.fd, &mut text).map_err(|e| fail(format!("read: {e}")))?;
    text_agrees("read", &String::from_utf8_lossy(&text[..got]), &dev.stats()?)
}

/// The minor number in a device number.
fn minor(rdev: u64) -> u32 {
    #[cfg(target_os = "linux")]
    return libc::minor(rdev);
    #[cfg(not(target_os = "linux"))]
    return rdev as u32;
}

fn kstat_agrees(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    busy(&dev)?;
    let device = std::fs::metadata(&t.device).map_err(|e| fail(format!("stat: {e}")))?;
    // A device's minor number is its instance number, whatever its name is.
    let instance = minor(device.rdev());
    let name = format!("ctxdev:{instance}:ctxdev");
    let output = match Command::new("kstat").arg("-p").arg(&name).output() {
        Ok(output) => output,
        Err(_) => return skip("no kstat command in PATH"),
    };
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(error(format!("kstat -p {name}: {}", text.trim())));
    }
    // module:instance:name:statistic<TAB>value
    let text: String = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.rsplit_once(':').map(|(_, rest)| format!("{rest} ")))
        .collect();
    text_agrees("kstat", &text, &dev.stats()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_name() {
        assert_eq!(number_after("ctxdev0: opens=3 maps 4, mappings: 5\n", "maps"), Some(4));
        assert_eq!(number_after("ctxdev0: opens=3 maps 4, mappings: 5\n", "opens"), Some(3));
        assert_eq!(number_after("ctxdev0: opens=3 maps 4, mappings: 5\n", "mappings"), Some(5));
        assert_eq!(number_after("opens", "opens"), None);
    }
}
