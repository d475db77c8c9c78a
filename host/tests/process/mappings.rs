//! Parts that clients play: mappings and what becomes of them.

use std::time::{Duration, Instant};

use crate::client::*;
use crate::kernel;

/// By name.
pub const PARTS: &[Part] = &[
    ("map", mapping),
    ("unload", unload),
    ("load-and-stay", load_and_stay),
    ("munmap-parts", munmap_parts),
    ("mprotect", mprotect),
    ("replace", replace),
    ("mremap", mremap),
    ("advice", advice),
    ("many", many),
    ("ten-thousand", ten_thousand),
    ("other-frames", other_frames),
];

fn mapping() {
    let fd = open();
    let m = map(fd, 4, 1);
    check("fresh page", m.get(0), 0);
    m.set(0, 1);
    m.set(3, 4);
    check("page 0", m.get(0), 1);
    check("faults", faults(fd), 2);
    let other = map(fd, 8, 0);
    check("page 1 by another mapping", other.get(1), 1);
    check("page 4 by another mapping", other.get(4), 4);
    check(
        "beyond the device",
        try_map(fd, 1, 256, libc::MAP_SHARED, libc::PROT_READ).err(),
        Some(libc::ENXIO),
    );
    // SAFETY: nobody uses the mapping any more.
    check("munmap", unsafe { libc::munmap(m.at.cast(), m.len) }, 0);
}

fn unload() {
    let fd = open();
    let m = map(fd, 4, 0);
    for round in 1..100 {
        m.set(2, round);
        check("faults", faults(fd), round);
        check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
    }
}

/// Reads a word in a thread of its own; returns when its fault, the device's number `fault`, has loaded the page and is served for a while yet.
fn read_slowly(fd: i32, word: *mut u64, fault: u64) -> std::thread::JoinHandle<u64> {
    check("ioctl", ioctl(fd, kernel::STAY, 1500), 0);
    let word = word as usize;
    // SAFETY: within a mapping that is there as long as the process.
    let reader = std::thread::spawn(move || unsafe { (word as *const u64).read_volatile() });
    while faults(fd) < fault {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(200));
    reader
}

/// A page that a driver has loaded is there, also while the fault is still being served; one that it has unloaded meanwhile is not there afterwards.
fn load_and_stay() {
    let fd = open();
    let m = map(fd, 4, 0);
    let reader = read_slowly(fd, m.word(1), 1);
    let from = Instant::now();
    m.set(1, 7);
    let quick = from.elapsed() < Duration::from_millis(1000);
    check("another thread's access", (quick, faults(fd)), (true, 1));
    // Linux wakes all that wait for a page: the store may come before or after the load.
    check("the word", reader.join().is_ok_and(|word| [0, 7].contains(&word)), true);
    check("its page", (m.get(1), faults(fd)), (7, 1));
    let reader = read_slowly(fd, m.word(2), 2);
    check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
    check("the word", reader.join().ok(), Some(0));
    check("faults of a page that was unloaded", faults(fd), 3);
    check("faults of a page that was unloaded before", (m.get(1), faults(fd)), (7, 4));
}

fn munmap_parts() {
    let fd = open();
    let m = map(fd, 8, 0);
    (0..8).for_each(|i| m.set(i, i as u64 + 1));
    unmap(m.word(0), PAGE);
    unmap(m.word(7), PAGE);
    unmap(m.word(3), 2 * PAGE);
    check("unmaps", stats(fd)[7], 3);
    check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
    for i in [1, 2, 5, 6] {
        check("what stays", m.get(i), i as u64 + 1);
    }
    catch_faults();
    for i in [0, 3, 4, 7] {
        check("plain memory now", m.get(i), 0);
        check("the hole", caught(), (libc::SIGSEGV, 1, m.word(i) as u64));
    }
}

fn mprotect() {
    let fd = open();
    let m = map(fd, 4, 0);
    (0..4).for_each(|i| m.set(i, 1));
    check("mprotect", protect(&m, 1, 2, libc::PROT_READ), 0);
    check("readable", m.get(1), 1);
    check(
        "the rest is writable",
        {
            m.set(3, 2);
            m.get(3)
        },
        2,
    );
    let ro = open_at(c"/dev/test0", libc::O_RDONLY);
    let r = try_map(ro, 1, 0, libc::MAP_SHARED, libc::PROT_READ).unwrap_or_else(|_| std::process::exit(1));
    check("beyond the maximum", protect(&r, 0, 1, RW), -1);
    check("error", errno(), libc::EACCES);
    check("no write by a read-only open", try_map(ro, 1, 0, libc::MAP_SHARED, RW).err(), Some(libc::EACCES));
    catch_faults();
    // SAFETY: within the mapping; not the page's first byte.
    unsafe { m.word(1).wrapping_byte_add(9).cast::<u8>().write_volatile(1) };
    check("write", caught(), (libc::SIGSEGV, 2, m.word(1) as u64 + 9));
    check("nothing", protect(&m, 2, 1, libc::PROT_NONE), 0);
    m.get(2);
    check("read", caught(), (libc::SIGSEGV, 2, m.word(2) as u64));
    check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
    check("mprotect", protect(&m, 3, 1, libc::PROT_READ), 0);
    check("loaded again", m.get(3), 2);
    check("mprotect", protect(&m, 3, 1, RW), 0);
    m.set(3, 4);
    check("writable again", (m.get(3), caught().0), (4, 0));
}

fn replace() {
    let fd = open();
    let m = map(fd, 4, 0);
    m.set(1, 6);
    let fixed = |at: *mut u64, flags: i32, fd: i32, offset: usize| {
        let at = at.cast();
        // SAFETY: replaces part of the mapping.
        unsafe { libc::mmap(at, PAGE, RW, flags | libc::MAP_FIXED, fd, (offset * PAGE) as i64) }.cast::<u64>()
    };
    check("by the device", fixed(m.word(2), libc::MAP_SHARED, fd, 1), m.word(2));
    check("page 1 at 2", m.get(2), 6);
    check("by plain memory", fixed(m.word(1), libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0), m.word(1));
    check("plain", m.get(1), 0);
    check("unmaps", stats(fd)[7], 1);
    check("by the device again", fixed(m.word(1), libc::MAP_SHARED, fd, 1), m.word(1));
    check("page 1 at 1", m.get(1), 6);
    unmap(m.at, m.len);
}

fn mremap() {
    let fd = open();
    let m = map(fd, 4, 0);
    m.set(1, 6);
    // SAFETY: the mapping's own range.
    let shrunk = unsafe { libc::mremap(m.at.cast(), m.len, 2 * PAGE, 0) };
    check("shrink", shrunk.cast(), m.at);
    check("unmaps", stats(fd)[7], 1);
    check("what stays", m.get(1), 6);
    // SAFETY: the mapping's own range.
    let grown = unsafe { libc::mremap(m.at.cast(), 2 * PAGE, 4 * PAGE, libc::MREMAP_MAYMOVE) };
    check("grow", (grown, errno()), (libc::MAP_FAILED, libc::EFAULT));
}

fn advice() {
    let fd = open();
    let m = map(fd, 4, 0);
    m.set(1, 6);
    for advice in [libc::MADV_DONTNEED, libc::MADV_WILLNEED, libc::MADV_DONTFORK] {
        // SAFETY: a range of the mapping.
        check("madvise", unsafe { libc::madvise(m.at.cast(), m.len, advice) }, 0);
    }
    // SAFETY: a range of the mapping.
    check("remove", unsafe { libc::madvise(m.at.cast(), m.len, libc::MADV_REMOVE) }, -1);
    // SAFETY: a range of the mapping.
    check("msync", unsafe { libc::msync(m.at.cast(), m.len, libc::MS_SYNC) }, 0);
    // SAFETY: a range of the mapping.
    check("mlock", unsafe { libc::mlock(m.at.cast(), m.len) }, 0);
    let mut resident = [0u8; 4];
    // SAFETY: a range of the mapping, and a byte for each page.
    check("mincore", unsafe { libc::mincore(m.at.cast(), m.len, resident.as_mut_ptr()) }, 0);
    check("resident", resident, [1; 4]);
    check("still there", m.get(1), 6);
    check("faults", faults(fd), 1);
    // Past the shim: the translation goes without the host's knowing, as when Linux reclaims memory.
    // SAFETY: a range of the mapping, of a file that is mapped shared: nothing is lost.
    check("drop", unsafe { libc::syscall(libc::SYS_madvise, m.at, m.len, libc::MADV_DONTNEED) }, 0);
    check("there again", m.get(1), 6);
    check("the driver does not notice", faults(fd), 1);
}

fn many() {
    let fd = open();
    let maps: Vec<Map> = (0..2000).map(|i| map(fd, 1, i % 256)).collect();
    maps.iter().for_each(|m| m.set(0, 1));
    check("faults", faults(fd), 2000);
    check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
    let pid = fork(|| maps.iter().for_each(|m| check("word", m.get(0), 1)));
    check("child", wait(pid.unwrap_or(0)), 0);
    check("faults", faults(fd), 4000);
}

fn ten_thousand() {
    let fd = open();
    let maps: Vec<Map> = (0..10_000).map(|i| map(fd, 1, i % 256)).collect();
    maps.iter().for_each(|m| m.set(0, 1));
    check("faults", faults(fd), 10_000);
    check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
    check("loaded again", maps.iter().map(|m| m.get(0)).sum(), 10_000);
}

fn other_frames() {
    let fd = open();
    let (m, other) = (map(fd, 4, 0), map(fd, 1, 9));
    other.set(0, 99);
    m.set(0, 1);
    check("ioctl", ioctl(fd, kernel::LOAD_OTHER, 9), 0);
    let before = faults(fd);
    check("page 9 at 0", m.get(0), 99);
    check("no fault", faults(fd), before);
    check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
    check("page 0 again", m.get(0), 1);
}
