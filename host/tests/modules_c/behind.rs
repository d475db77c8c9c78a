//! What lies behind a devmap handle: the segment with its bounds and handles, the context and softlock that handles share, the thread and the process.

use crate::devices::*;
use crate::run;

tests!(
    a_segment_has_all_its_handles_and_shrinks,
    a_child_s_segment_and_a_split_in_it,
    protections_and_contexts_are_seen
);

const TAKE: u32 = 0x7f01;
const PROT: u32 = 0x7f02;
const TICKS: u32 = 0x7f03;
const KERNEL: u32 = 0x7f04;
/// The handles of a whole mapping: three of a page, one of five, one of two.
const ALL: usize = 0xa000;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Call {
    what: i32,
    handles: i32,
    base: u64,
    size: u64,
    off: u64,
    oncpu: i32,
    sharers: i32,
}

#[repr(C)]
struct Found {
    count: i32,
    wrong: i32,
    place: i32,
    pad: i32,
    calls: [Call; 64],
}

/// The callbacks since the last time. In none of them may the driver have found something that does not fit.
fn take(fd: i32) -> Vec<Call> {
    // SAFETY: integers.
    let mut found: Found = unsafe { std::mem::zeroed() };
    assert_eq!(ioctl(fd, TAKE, &raw mut found as u64), Ok(0));
    assert_eq!(found.wrong, 0, "the line of chain.c, in callback {}", found.place);
    found.calls[..found.count as usize].to_vec()
}

/// What was called, with where the segment began in the mapping, its size, and its number of handles.
fn short(calls: &[Call], at: *mut u8) -> Vec<(&'static str, u64, u64, i32)> {
    let names = ["", "map", "access", "dup", "part", "switch", "whole"];
    let one = |c: &Call| {
        assert_eq!(c.base - at as u64, c.off, "offset and base of a segment move together");
        (names[c.what as usize], c.off, c.size, c.handles)
    };
    calls.iter().map(one).collect()
}

fn a_segment_has_all_its_handles_and_shrinks() {
    run::passes_with_all_faults("chain", half!(client_of_a_segment_has_all_its_handles_and_shrinks));
}
fn client_of_a_segment_has_all_its_handles_and_shrinks() {
    let fd = open("/dev/chain0");
    let at = map(fd, 0, ALL, libc::MAP_SHARED);
    assert_eq!(short(&take(fd), at), [("map", 0, 0xa000, 5); 5]);
    for page in (0..ALL).step_by(0x1000) {
        set_word(at, page, page as u64);
    }
    let calls = take(fd);
    assert_eq!(calls.len(), 20);
    assert!(calls.iter().all(|c| (c.base, c.size, c.handles, c.sharers) == (at as u64, 0xa000, 5, 5)));

    // A whole handle at the head; part of what is the head then.
    unmap(at, 0x1000);
    assert_eq!(short(&take(fd), at), [("whole", 0x1000, 0x9000, 0)]);
    unmap(at.wrapping_add(0x1000), 0x2000);
    assert_eq!(short(&take(fd), at), [("whole", 0x3000, 0x7000, 0); 2]);
    unmap(at.wrapping_add(0x3000), 0x1000);
    assert_eq!(short(&take(fd), at), [("part", 0x4000, 0x6000, 2)]);
    // The middle of a handle: the rest and the handle behind it are another segment.
    unmap(at.wrapping_add(0x5000), 0x1000);
    assert_eq!(short(&take(fd), at), [("part", 0x4000, 0x1000, 1), ("part", 0x6000, 0x4000, 2)]);
    assert_eq!(word(at, 0x4000), 0x4000);
    assert!(take(fd).is_empty(), "what stays keeps its translations");
    // Across handles: the tail of one, the head of another, in the middle of the segment.
    unmap(at.wrapping_add(0x7000), 0x2000);
    assert_eq!(
        short(&take(fd), at),
        [("part", 0x6000, 0x1000, 1), ("part", 0x9000, 0x1000, 1)],
        "both handles go on, each in a segment of its own"
    );
    unmap(at, ALL);
    assert_eq!(
        short(&take(fd), at),
        [("whole", 0x4000, 0x1000, 0), ("whole", 0x6000, 0x1000, 0), ("whole", 0x9000, 0x1000, 0)]
    );

    // A tail that takes whole handles along.
    let at = map(fd, 0, 0x8000, libc::MAP_PRIVATE);
    take(fd);
    unmap(at.wrapping_add(0x1000), 0x7000);
    assert_eq!(short(&take(fd), at), [("whole", 0, 0x1000, 0); 3]);
    unmap(at, 0x1000);
    assert_eq!(short(&take(fd), at), [("whole", 0, 0x1000, 0)]);
}

fn a_child_s_segment_and_a_split_in_it() {
    run::passes_with_all_faults("chain", half!(client_of_a_child_s_segment_and_a_split_in_it));
}
fn client_of_a_child_s_segment_and_a_split_in_it() {
    let fd = open("/dev/chain0");
    let at = map(fd, 0x1000, 0x7000, libc::MAP_SHARED).wrapping_sub(0x1000);
    set_word(at, 0x2000, 1);
    take(fd);
    let child = fork(|| {
        unmap(at.wrapping_add(0x4000), 0x1000);
        (word(at, 0x2000) != 1) as i32
    });
    assert_eq!(wait(child), 0);
    let calls = take(fd);
    assert_eq!(calls.iter().filter(|c| c.what == 3).map(|c| c.handles).collect::<Vec<_>>(), [1, 2, 3]);
    let rest = short(&calls[3..], at);
    assert_eq!(
        rest,
        [
            ("part", 0x1000, 0x3000, 3),
            ("part", 0x5000, 0x3000, 1),
            ("access", 0x1000, 0x3000, 3),
            ("switch", 0x1000, 0x3000, 3),
            ("whole", 0x1000, 0x3000, 0),
            ("whole", 0x1000, 0x3000, 0),
            ("whole", 0x1000, 0x3000, 0),
            ("whole", 0x5000, 0x3000, 0),
        ]
    );
    // The parent's is as it was.
    set_word(at, 0x7000, 2);
    assert_eq!(short(&take(fd), at), [("access", 0x1000, 0x7000, 3), ("switch", 0x1000, 0x7000, 3)]);
    unmap(at.wrapping_add(0x1000), 0x7000);
}

fn protections_and_contexts_are_seen() {
    run::passes_with_all_faults("chain", half!(client_of_protections_and_contexts_are_seen));
}
fn client_of_protections_and_contexts_are_seen() {
    const USER: i32 = 8;
    let fd = open("/dev/chain0");
    let at = map(fd, 0x3000, 0x5000, libc::MAP_SHARED);
    let protect = |off: usize, len: usize, prot: i32| {
        // SAFETY: a range of the mapping; nobody holds a reference into it.
        assert_eq!(unsafe { libc::mprotect(at.wrapping_add(off).cast(), len, prot) }, 0);
    };
    // dh_prot is what mmap asked for; the segment's protection follows mprotect, or is per page.
    let seen = || {
        let word = ioctl(fd, PROT, 0).unwrap();
        (word & 0xff, word >> 8 & 0xff, word >> 16 & 0xff)
    };
    assert_eq!(seen(), (3 | USER, 0, 3 | USER));
    protect(0, 0x5000, libc::PROT_READ);
    assert_eq!(seen(), (3 | USER, 0, 1 | USER));
    protect(0, 0x5000, libc::PROT_READ | libc::PROT_WRITE);
    assert_eq!(seen(), (3 | USER, 0, 3 | USER));
    protect(0x1000, 0x1000, libc::PROT_READ);
    assert_eq!((seen().0, seen().1), (3 | USER, 1));

    // With a timeout the context has an owner while it is switched to.
    take(fd);
    assert_eq!(ioctl(fd, TICKS, 1), Ok(0));
    set_word(at, 0, 7);
    let calls = take(fd);
    assert_eq!(short(&calls, at.wrapping_sub(0x3000)).len(), 2);
    assert_eq!((calls[1].what, calls[1].oncpu, calls[1].sharers), (5, 1, 1));
    unmap(at, 0x5000);

    // And what belongs to no process is the kernel's own.
    assert_eq!(ioctl(fd, KERNEL, 0), Ok(0), "the line of chain.c");
}
