//! System calls that read and write device memory, and the driver's own read, write and ioctl on it.

use std::time::Duration;

use ctxdev_user::{CTXDEV_REGION, CTXDEV_STATS};

use crate::case::{Case, Ctx, Result, Stop, case, check, equal, refused, same, works};
use crate::device::{Dev, NONE, PRIVATE, READ, RW, SHARED};
use crate::os;
use crate::peer::Peer;
use crate::sys::{self, Errno, Sys, page_size};

pub const CASES: &[Case] = &[
    case("call_write_from", "write(2) takes its bytes from cold device memory", write_from),
    case("call_read_into", "read(2) puts its bytes into cold device memory", read_into),
    case("call_across_regions", "one read and one write over all regions are whole", across_regions),
    case("call_vectors", "readv and writev take some parts from device memory", vectors),
    case("call_file", "pread and pwrite of a file work on device memory", file),
    case("call_socket", "send and recv work on device memory", socket),
    case("call_path", "open(2) takes its path from device memory", path),
    case("call_result", "fstat(2) leaves its result in device memory", result),
    case("call_own_ioctl", "the driver's own copyin and copyout reach device memory", own_ioctl),
    case("call_own_write", "write(2) to the device takes its bytes from the device's own memory", own_write),
    case("call_own_read", "read(2) of the device puts its bytes into the device's own memory", own_read),
    case("call_refused_read_only", "read(2) into a read-only mapping is EFAULT", refused_read_only),
    case("call_refused_none", "write(2) from a PROT_NONE mapping is EFAULT", refused_none),
    case("call_refused_hole", "write(2) from where a mapping was is EFAULT", refused_hole),
    case(
        "call_refused_lost",
        "write(2) from a lost device is EFAULT, and works again afterwards",
        refused_lost,
    ),
    case("call_refused_stopped", "a process stops at once in a system call that is refused", refused_stopped),
    case("call_switches", "a system call on a context's memory brings that context back", switches),
    case(
        "call_while_others_switch",
        "system calls read what their context holds, whoever else is at it",
        others_switch,
    )
    .slow(2),
];

/// The value of a call that touches device memory; a skip where such calls cannot be had.
#[track_caller]
fn on_device<T>(what: &str, result: Sys<T>) -> Result<T> {
    if let (Err(Errno(libc::EFAULT)), Some(reason)) = (&result, os::no_system_calls_on_device_memory()) {
        return Err(Stop::Skip(reason));
    }
    works(what, result)
}

fn pipe() -> Result<(i32, i32)> {
    works("pipe", sys::pipe())
}

/// Reads `len` bytes that went through a pipe.
fn drained(from: i32, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    equal("bytes in the pipe", works("read of the pipe", sys::read(from, &mut bytes))?, len)?;
    Ok(bytes)
}

fn word_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn write_from(t: &Ctx) -> Result {
    let dev = t.open()?;
    let (from, to) = pipe()?;
    for region in dev.layout.regions() {
        dev.map_region(region, SHARED)?.mark(0x1234)?;
        let cold = dev.map_region(region, SHARED)?;
        let len = region.len.min(4 * page_size());
        let sent = on_device("write from device memory", sys::write_at(to, cold.base, len))?;
        equal("bytes written", sent, len)?;
        let bytes = drained(from, len)?;
        for page in 0..len / page_size() {
            same(
                format!("page {page} of {}", region.name),
                word_at(&bytes, page * page_size()),
                0x1234 + page as u64,
            )?;
        }
    }
    Ok(())
}

fn read_into(t: &Ctx) -> Result {
    let dev = t.open()?;
    let (from, to) = pipe()?;
    for region in dev.layout.regions() {
        let cold = dev.map_region(region, PRIVATE)?;
        let len = region.len.min(4 * page_size());
        let bytes: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
        equal("bytes into the pipe", works("write", sys::write(to, &bytes))?, len)?;
        let got = on_device("read into device memory", sys::read_at(from, cold.base, len))?;
        equal("bytes read", got, len)?;
        for at in (0..len).step_by(page_size() / 2) {
            cold.holds(at, word_at(&bytes, at))?;
        }
    }
    Ok(())
}

fn across_regions(t: &Ctx) -> Result {
    let dev = t.open()?;
    let (file, len) = (works("mkstemp", sys::temporary_file())?, dev.layout.total().min(1 << 20));
    dev.map_all(SHARED)?.mark(0x5a00)?;
    let cold = dev.map_all(SHARED)?;
    equal("bytes written", on_device("write", sys::write_at(file, cold.base, len))?, len)?;
    let other = dev.map_all(PRIVATE)?;
    equal("bytes read", on_device("pread", sys::pread_at(file, other.base, len, 0))?, len)?;
    other.marked_in(0x5a00, 0..len / page_size())
}

/// Makes a vector call until all parts are done: a short count is allowed, and programs have to go on behind it.
fn move_all(parts: &[(usize, usize)], call: impl Fn(&[(usize, usize)]) -> Result<usize>) -> Result {
    let mut left = parts.to_vec();
    while !left.is_empty() {
        let mut done = call(&left)?;
        check(done > 0, "a vector call moved nothing")?;
        while let Some(part) = left.first().filter(|part| part.1 <= done) {
            done -= part.1;
            left.remove(0);
        }
        if let Some(part) = left.first_mut() {
            *part = (part.0 + done, part.1 - done);
        }
    }
    Ok(())
}

fn vectors(t: &Ctx) -> Result {
    let dev = t.open()?;
    let (from, to) = pipe()?;
    let map = dev.map_region(dev.layout.ring, PRIVATE)?;
    map.put(100, 0x1111)?;
    map.put(page_size() + 200, 0x3333)?;
    dev.map_region(dev.layout.ring, PRIVATE)?.put(0, 0)?;
    let memory = 0x2222u64;
    let own = std::ptr::from_ref(&memory) as usize;
    let parts = [(map.at(100), 8), (own, 8), (map.at(page_size() + 200), 8)];
    move_all(&parts, |left| on_device("writev", sys::writev_at(to, left)))?;
    let back = [(map.at(2 * page_size()), 12), (map.at(3 * page_size()), 12)];
    move_all(&back, |left| on_device("readv", sys::readv_at(from, left)))?;
    map.holds(2 * page_size(), 0x1111)?;
    map.holds(3 * page_size() + 4, 0x3333)
}

fn file(t: &Ctx) -> Result {
    let dev = t.open()?;
    let file = works("mkstemp", sys::temporary_file())?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.put(0, 0xf11e)?;
    equal("bytes written", on_device("pwrite", sys::pwrite_at(file, map.base, 64, 4096))?, 64)?;
    equal("bytes read", on_device("pread", sys::pread_at(file, map.at(page_size() * 2), 64, 4096))?, 64)?;
    map.holds(page_size() * 2, 0xf11e)
}

fn socket(t: &Ctx) -> Result {
    let dev = t.open()?;
    let (one, two) = works("socketpair", sys::socketpair())?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.put(16, 0x50c)?;
    equal("bytes sent", on_device("send", sys::send_at(one, map.at(16), 8))?, 8)?;
    equal("bytes received", on_device("recv", sys::recv_at(two, map.at(page_size()), 8))?, 8)?;
    map.holds(page_size(), 0x50c)
}

fn path(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_region(dev.layout.scratch, PRIVATE)?;
    map.put(0, u64::from_le_bytes(*b"/dev/nul"))?;
    map.put(8, u64::from_le_bytes(*b"l\0\0\0\0\0\0\0"))?;
    if dev.is_ctxdev() {
        dev.revoke()?;
    }
    let file = on_device("open", sys::open_path_at(map.base, libc::O_RDWR))?;
    equal("bytes written to /dev/null", works("write", sys::write(file, b"x"))?, 1)
}

fn result(t: &Ctx) -> Result {
    let dev = t.open()?;
    let (from, _to) = pipe()?;
    let map = dev.map_region(dev.layout.ring, PRIVATE)?;
    on_device("fstat", sys::fstat_at(from, map.base))?;
    let any = (0..16).map(|n| map.get(8 * n)).collect::<Result<Vec<u64>>>()?;
    check(any.iter().any(|word| *word != 0), "fstat left nothing")
}

fn own_ioctl(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    // { u32 index; u32 pad; u64 off; u64 len } with index 2 (SCRATCH), across two pages, cold
    let at = page_size() - 12;
    map.put(at, 2)?;
    dev.revoke()?;
    on_device("ioctl CTXDEV_REGION on device memory", sys::ioctl(dev.fd, CTXDEV_REGION, map.at(at)))?;
    map.holds(at + 8, dev.layout.scratch.off as u64)?;
    map.holds(at + 16, dev.layout.scratch.len as u64)?;
    on_device("ioctl CTXDEV_STATS on device memory", sys::ioctl(dev.fd, CTXDEV_STATS, map.at(0)))?;
    map.holds(0, 1)
}

fn own_write(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.put(0x100, 0xc0_ffee)?;
    dev.revoke()?;
    equal("bytes written", on_device("write to the device", sys::write_at(dev.fd, map.at(0x100), 8))?, 8)?;
    dev.map_region(dev.layout.scratch, SHARED)?.holds(0, 0xc0_ffee)
}

fn own_read(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    let got = on_device("read of the device", sys::read_at(dev.fd, map.at(page_size() - 5), 256))?;
    check(got > 10, "read of the device gave no line of counters")?;
    check(map.get(page_size() - 5)? != 0, "nothing arrived in device memory")
}

/// A call that must be refused with EFAULT: nothing is mapped there, or what is loaded forbids it.
#[track_caller]
fn efault(what: &str, result: Sys<usize>) -> Result {
    refused(what, result, &[libc::EFAULT])
}

fn refused_read_only(t: &Ctx) -> Result {
    let dev = t.open()?;
    let (from, to) = pipe()?;
    let map = dev.map(dev.layout.scratch.off, page_size(), READ, SHARED)?;
    let value = map.get(0)?;
    works("write", sys::write(to, b"12345678"))?;
    efault("read into a read-only mapping", sys::read_at(from, map.base, 8))?;
    map.holds(0, value)
}

fn refused_none(t: &Ctx) -> Result {
    let dev = t.open()?;
    let (_from, to) = pipe()?;
    let map = dev.map(dev.layout.scratch.off, page_size(), NONE, SHARED)?;
    refused("write from a PROT_NONE mapping", sys::write_at(to, map.base, 8), &[libc::EACCES])
}

fn refused_stopped(t: &Ctx) -> Result {
    let dev = t.open()?;
    let (_from, to) = pipe()?;
    let map = dev.map(dev.layout.scratch.off, page_size(), NONE, SHARED)?;
    let mut peer = Peer::start(|link| {
        link.say(b'r')?;
        while !link.heard() {
            refused("write from a PROT_NONE mapping", sys::write_at(to, map.base, 8), &[libc::EACCES])?;
        }
        Ok(())
    })?;
    peer.hear(b'r')?;
    for round in 0..40 {
        std::thread::sleep(Duration::from_micros(round * 213 % 3000));
        peer.signal(libc::SIGSTOP)?;
        works("waitpid", sys::wait_stopped(peer.pid))?;
        peer.signal(libc::SIGCONT)?;
    }
    peer.link.say(b'e')?;
    peer.done()
}

fn refused_hole(t: &Ctx) -> Result {
    let dev = t.open()?;
    let (_from, to) = pipe()?;
    let map = dev.map(dev.layout.scratch.off, page_size(), RW, SHARED)?;
    map.put(0, 1)?;
    map.unmap()?;
    efault("write from an unmapped range", sys::write_at(to, map.base, 8))
}

fn refused_lost(t: &Ctx) -> Result {
    let dev: Dev = t.ctxdev()?;
    let (from, to) = pipe()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.put(0, 0x1057)?;
    dev.lose(true)?;
    let lost = sys::write_at(to, map.base, 8);
    dev.lose(false)?;
    refused("write from a lost device", lost, &[libc::EIO])?;
    equal("bytes written", on_device("write", sys::write_at(to, map.base, 8))?, 8)?;
    same("word written", word_at(&drained(from, 8)?, 0), 0x1057)
}

fn switches(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let (from, to) = pipe()?;
    let maps = [dev.map_region(dev.layout.fb, PRIVATE)?, dev.map_region(dev.layout.fb, PRIVATE)?];
    for (tag, map) in maps.iter().enumerate() {
        map.put(0, 0x77 + tag as u64)?;
    }
    for round in 0..20 {
        let map = &maps[round % 2];
        equal("bytes written", on_device("write", sys::write_at(to, map.base, 8))?, 8)?;
        same("word written", word_at(&drained(from, 8)?, 0), 0x77 + (round as u64 % 2))?;
    }
    Ok(())
}

fn others_switch(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let peers: Vec<Peer> = (0..3u64)
        .map(|me| {
            Peer::start(|_| {
                let (from, to) = pipe()?;
                let map = dev.map_region(dev.layout.fb, PRIVATE)?;
                for round in 0..60u64 {
                    let value = me << 32 | round;
                    map.put(64, value)?;
                    equal("bytes written", on_device("write", sys::write_at(to, map.at(64), 8))?, 8)?;
                    equal("bytes read", on_device("read", sys::read_at(from, map.at(128), 8))?, 8)?;
                    map.holds(128, value)?;
                }
                Ok(())
            })
        })
        .collect::<Result<_>>()?;
    peers.into_iter().try_for_each(Peer::done)
}
