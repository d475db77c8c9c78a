//! Mapped kernel memory: every callback, with what it was called for and for whom.

use std::os::unix::process::parent_id;

use crate::devices::*;
use crate::run;

use serde_json::json;

tests!(
    callbacks_see_what_the_process_does,
    a_child_has_an_address_space_of_its_own,
    a_remapped_handle_shows_other_memory,
    a_driver_is_told_lengths_as_they_are,
    a_mapping_without_access_callback_waits_for_the_host_once,
    exit_without_unmapping_calls_back,
    many_mappings_cost_what_few_do_and_leave_no_memory_behind
);

const LOG: u32 = 0x7801;
const UNLOAD: u32 = 0x7802;
const PEEK: u32 = 0x7803;
const REMAP: u32 = 0x7804;
const ASKED: u32 = 0x7805;
const PART: usize = 0x4000;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Event {
    what: i32,
    pid: i32,
    flags: u32,
    left: i32,
    off: u64,
    len: u64,
    current_as: u64,
    seg_as: u64,
    current_pid: i32,
    odd: i32,
}

#[repr(C)]
struct Log {
    count: i32,
    pad: i32,
    events: [Event; 64],
}

/// The log since the last call.
fn log(fd: i32) -> Vec<Event> {
    // SAFETY: integers.
    let mut log: Log = unsafe { std::mem::zeroed() };
    assert_eq!(ioctl(fd, LOG, &raw mut log as u64), Ok(0));
    let events = log.events[..log.count as usize].to_vec();
    assert!(events.iter().all(|e| e.odd == 0), "fields behind the interface do not fit: {events:?}");
    events
}

/// What happened, at which offset, for how many bytes.
fn short(events: &[Event]) -> Vec<(&'static str, u64, u64)> {
    let names = ["", "map", "access", "dup", "unmap"];
    events.iter().map(|e| (names[e.what as usize], e.off, e.len)).collect()
}

fn me() -> i32 {
    std::process::id() as i32
}

fn callbacks_see_what_the_process_does() {
    run::passes("maps", half!(client_of_callbacks_see_what_the_process_does));
}
fn client_of_callbacks_see_what_the_process_does() {
    let fd = open("/dev/maps0");
    let at = map(fd, 0, 2 * PART, libc::MAP_SHARED);
    let events = log(fd);
    assert_eq!(short(&events), [("map", 0, 0x4000)]);
    assert_eq!(events[0].flags & 3, 1, "MAP_SHARED");

    for page in (0..2 * PART).step_by(0x1000) {
        assert_eq!(word(at, page), page as u64);
    }
    let accesses = log(fd);
    assert_eq!(
        short(&accesses),
        [
            ("access", 0, 0x1000),
            ("access", 0x1000, 0x1000),
            ("access", 0x2000, 0x1000),
            ("access", 0x3000, 0x1000)
        ]
    );
    assert!(accesses.iter().all(|e| e.flags == 1), "DEVMAP_READ");
    for event in events.iter().chain(&accesses) {
        assert_eq!((event.pid, event.current_pid), (me(), me()));
        assert_eq!(event.current_as, event.seg_as);
        assert_ne!(event.current_as, 0);
    }
    // What the process writes the driver reads, in both kinds of memory.
    set_word(at, 0x1000, 1234);
    set_word(at, 0x5000, 5678);
    assert_eq!((ioctl(fd, PEEK, 0x1000), ioctl(fd, PEEK, 0x5000)), (Ok(1234), Ok(5678)));
    assert!(log(fd).is_empty());

    assert_eq!(ioctl(fd, UNLOAD, 0), Ok(0));
    assert_eq!(word(at, 0x1000), 1234);
    assert_eq!(short(&log(fd)), [("access", 0x1000, 0x1000)]);

    // The middle, the head, the tail, the rest.
    unmap(at.wrapping_add(0x1000), 0x1000);
    let events = log(fd);
    assert_eq!((short(&events), events[0].left), (vec![("unmap", 0x1000, 0x1000)], 3));
    unmap(at.wrapping_add(0x2000), 0x1000);
    let events = log(fd);
    assert_eq!((short(&events), events[0].left), (vec![("unmap", 0x2000, 0x1000)], 2));
    unmap(at.wrapping_add(0x3000), 0x1000 + PART);
    let events = log(fd);
    assert_eq!((short(&events), events[0].left), (vec![("unmap", 0x3000, 0x1000)], 0));
    assert_eq!(word(at, 0), 0);
    unmap(at, 0x1000);
    assert_eq!(short(&log(fd)), [("access", 0, 0x1000), ("unmap", 0, 0x1000)]);
}

fn a_child_has_an_address_space_of_its_own() {
    run::passes("maps", half!(client_of_a_child_has_an_address_space_of_its_own));
}
fn client_of_a_child_has_an_address_space_of_its_own() {
    let fd = open("/dev/maps0");
    let at = map(fd, 0, PART, libc::MAP_SHARED);
    assert_eq!(word(at, 0x2000), 0x2000);
    let before = log(fd);
    let child = fork(|| {
        set_word(at, 0x2000, 9);
        (word(at, 0x3000) != 0x3000) as i32
    });
    assert_eq!(wait(child), 0);
    assert_eq!(word(at, 0x2000), 9);
    let events = log(fd);
    assert_eq!(
        short(&events),
        [("dup", 0, 0x4000), ("access", 0x2000, 0x1000), ("access", 0x3000, 0x1000), ("unmap", 0, 0x4000)]
    );
    let [dup, write, read, unmap_event] = events[..] else { unreachable!() };
    // dup runs in the parent and is told of the child's address space.
    assert_eq!((dup.pid, dup.current_pid, dup.left), (me(), me(), 1));
    assert_eq!(dup.current_as, before[0].current_as);
    assert_ne!(dup.seg_as, dup.current_as);
    for event in [write, read] {
        assert_eq!((event.pid, event.current_pid), (child, child));
        assert_eq!((event.current_as, event.seg_as), (dup.seg_as, dup.seg_as));
    }
    assert_eq!((write.flags, read.flags), (2, 1));
    assert_eq!(unmap_event.seg_as, dup.seg_as);
    unmap(at, PART);
}

fn a_remapped_handle_shows_other_memory() {
    let conf = "name=\"maps\" parent=\"pseudo\" instance=0;\n";
    let client = half!(client_of_a_remapped_handle_shows_other_memory);
    let (ran, events) = run::traced("maps", conf, None, client, &[]);
    assert!(ran.status == 0 && ran.text.contains(run::PASSED), "status {}:\n{}", ran.status, ran.text);
    run::assert_event(&events, "remap", &json!({ "device_name": "maps0" }));
}
fn client_of_a_remapped_handle_shows_other_memory() {
    let fd = open("/dev/maps0");
    let at = map(fd, 0x1000, 0x2000, libc::MAP_SHARED);
    assert_eq!(word(at, 0), 0x1000);
    assert_eq!(ioctl(fd, REMAP, 0), Ok(0));
    assert_eq!(word(at, 0), 0x5000);
    assert_eq!(word(at, 0x1000), 0x6000);
    unmap(at, 0x2000);
    // Beyond the device, and at a hole.
    // SAFETY: a new mapping that must fail.
    let bad =
        unsafe { libc::mmap(std::ptr::null_mut(), 0x1000, libc::PROT_READ, libc::MAP_SHARED, fd, 0x8000) };
    assert_eq!((bad, errno()), (libc::MAP_FAILED, libc::ENXIO));
}

/// Returns the number of voluntary context switches of this thread.
fn waits() -> i64 {
    // SAFETY: integers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is ours to fill.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) }, 0);
    usage.ru_nvcsw
}

fn a_mapping_without_access_callback_waits_for_the_host_once() {
    run::passes_in_every_mode(
        "maps",
        half!(client_of_a_mapping_without_access_callback_waits_for_the_host_once),
    );
}
fn client_of_a_mapping_without_access_callback_waits_for_the_host_once() {
    let fd = open("/dev/maps0");
    let at = map(fd, PART as u64, PART, libc::MAP_SHARED);
    let read = |page: usize| assert_eq!(word(at, page * 0x1000), (PART + page * 0x1000) as u64);
    read(1);
    let before = waits();
    for page in [0, 2, 3] {
        read(page);
    }
    assert_eq!(waits() - before, 0, "the other pages came with the first");
    unmap(at, PART);
    // Where a page may not be accessed so, the others come all the same.
    let at = map(fd, PART as u64, PART, libc::MAP_SHARED);
    // SAFETY: a page of the test's mapping.
    assert_eq!(unsafe { libc::mprotect(at.wrapping_add(0x1000).cast(), 0x1000, libc::PROT_READ) }, 0);
    for page in [0, 2, 3] {
        set_word(at, page * 0x1000, 5);
    }
    assert_eq!([0, 1, 2, 3].map(|page| word(at, page * 0x1000)), [5, PART as u64 + 0x1000, 5, 5]);
    unmap(at, PART);
}

fn a_driver_is_told_lengths_as_they_are() {
    run::passes("maps", half!(client_of_a_driver_is_told_lengths_as_they_are));
}
fn client_of_a_driver_is_told_lengths_as_they_are() {
    let fd = open("/dev/maps0");
    // A driver that rounds maps whole pages.
    let at = map(fd, PART as u64, 0x1064, libc::MAP_SHARED);
    assert_eq!(ioctl(fd, ASKED, 0), Ok(0x1064));
    assert_eq!((word(at, 0), word(at, 0x1000)), (PART as u64, PART as u64 + 0x1000));
    set_word(at, 0x1ff8, 7);
    assert_eq!(word(at, 0x1ff8), 7);
    unmap(at, 0x1001);
    let at = map(fd, PART as u64, 1, libc::MAP_SHARED);
    assert_eq!(ioctl(fd, ASKED, 0), Ok(1));
    unmap(at, 0x1000);
    // One that does not cannot be mapped so; beyond 2^63 there is no device.
    for (off, len) in [(0, 0x1064), (0x7fff_ffff_ffff_f000, 0x1000), (-0x1000_i64, 0x1000), (-0x1000, 1)] {
        // SAFETY: a new mapping that must fail.
        let bad =
            unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, fd, off) };
        assert_eq!(bad, libc::MAP_FAILED, "{off:#x}, {len:#x}");
        assert!(matches!(errno(), libc::EINVAL | libc::ENXIO), "{off:#x}, {len:#x}: {}", errno());
    }
}

fn exit_without_unmapping_calls_back() {
    run::passes("maps", half!(client_of_exit_without_unmapping_calls_back));
}
fn client_of_exit_without_unmapping_calls_back() {
    let fd = open("/dev/maps0");
    let child = fork(|| {
        let at = map(fd, 0, PART, libc::MAP_PRIVATE);
        set_word(at, 0, 3);
        0
    });
    assert_eq!(wait(child), 0);
    assert_eq!(short(&log(fd)), [("map", 0, 0x4000), ("access", 0, 0x1000), ("unmap", 0, 0x4000)]);
}

fn many_mappings_cost_what_few_do_and_leave_no_memory_behind() {
    run::passes("maps", half!(client_of_many_mappings_cost_what_few_do_and_leave_no_memory_behind));
}
fn client_of_many_mappings_cost_what_few_do_and_leave_no_memory_behind() {
    const FEW: usize = 2000;
    const MANY: usize = 14_000;
    let fd = open("/dev/maps0");
    let make = |n: usize| -> Vec<*mut u8> {
        (0..n).map(|_| map(fd, PART as u64, 0x1000, libc::MAP_SHARED)).collect()
    };
    // Ticks of processor time for each of their first FEW.
    let end = |all: &[*mut u8]| {
        let begin = host_ticks();
        all.iter().take(FEW).for_each(|&at| unmap(at, 0x1000));
        let ticks = host_ticks() - begin;
        all.iter().skip(FEW).for_each(|&at| unmap(at, 0x1000));
        ticks
    };
    end(&make(FEW));
    let (few, empty) = (end(&make(FEW)), host_memory());
    let all = make(MANY);
    let full = host_memory();
    let many = end(&all);
    assert!(many <= 3 * few + 10, "{FEW} unmaps among {MANY} took {many} ticks, among {FEW} {few}");
    let left = host_memory();
    assert!(
        left < empty + (full - empty) / 3,
        "KiB: {empty}, with {MANY} mappings {full}, after them {left}"
    );
}

/// A file of the host's in /proc: its program has a supervisor, whose parent the host is.
fn of_host(file: &str) -> String {
    let supervisor = fields(&std::fs::read_to_string(format!("/proc/{}/stat", parent_id())).unwrap());
    std::fs::read_to_string(format!("/proc/{}/{file}", supervisor[1])).unwrap()
}

/// The fields of a `stat` file behind the command's name.
fn fields(stat: &str) -> Vec<u64> {
    let behind = stat.rsplit_once(") ").unwrap().1.split_whitespace().skip(1);
    std::iter::once(0).chain(behind.map(|field| field.parse().unwrap_or(0))).collect()
}

/// Ticks of processor time that the host has used.
fn host_ticks() -> u64 {
    let fields = fields(&of_host("stat"));
    fields[11] + fields[12]
}

/// KiB of memory of its own that the host has.
fn host_memory() -> u64 {
    let status = of_host("status");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
