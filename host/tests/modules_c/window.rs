//! A module's own segment driver: its operations are called as the kernel calls them, and its translations are the processes'.

use crate::devices::*;
use crate::run;

tests!(a_segment_s_whole_life, fork_exit_and_refusals, protections_and_questions, advice_and_the_like);

const COUNTS: u32 = 0x8101;
const REVOKE: u32 = 0x8102;
const REFUSE: u32 = 0x8103;
const ASK: u32 = 0x8104;
const PIN: u32 = 0x8105;
const CREATE: u64 = 1;
const DUP: u64 = 2;
const ONCE: u64 = 4;
const FAULT: u64 = 8;
const CONTROL: u64 = 16;
const PAGE: usize = 0x1000;

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    created: i32,
    dups: i32,
    unmaps: i32,
    frees: i32,
    faults: i32,
    setprots: i32,
    live: i32,
    odd: i32,
    syncs: i32,
    locks: i32,
    unlocks: i32,
    advice: i32,
    sync_flags: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Question {
    addr: u64,
    len: u64,
    prot: u32,
    checkprot: i32,
    incore: i32,
    memid: i32,
    found: i32,
    frame: i32,
    outside: i32,
}

fn counts(fd: i32) -> Counts {
    let mut counts = Counts::default();
    assert_eq!(ioctl(fd, COUNTS, &raw mut counts as u64), Ok(0));
    assert_eq!(counts.odd, 0, "an operation was called wrongly: line {}", counts.odd);
    counts
}

/// mmap(2) at a fixed place; its errno if it fails.
fn map_at(fd: i32, offset: usize, at: *mut u8, len: usize) -> Result<(), i32> {
    let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED);
    // SAFETY: over a range that the test has mapped or found free.
    let got = unsafe { libc::mmap(at.cast(), len, prot, flags, fd, offset as i64) };
    if got == at.cast() { Ok(()) } else { Err(errno()) }
}

fn protect(at: *mut u8, len: usize, prot: i32) {
    // SAFETY: a mapping of the test's.
    assert_eq!(unsafe { libc::mprotect(at.cast(), len, prot) }, 0);
}

/// What becomes of a child that does something: its exit status, or 128 + the signal.
fn in_child(f: impl FnOnce()) -> i32 {
    wait(fork(|| {
        f();
        0
    }))
}

fn a_segment_s_whole_life() {
    run::passes_with_all_faults("window", half!(client_of_a_segment_s_whole_life));
}
fn client_of_a_segment_s_whole_life() {
    let fd = open("/dev/window0");
    let at = map(fd, 0, 8 * PAGE, libc::MAP_SHARED);
    let page = |n: usize| at.wrapping_add(n * PAGE);
    assert_eq!(counts(fd), Counts { created: 1, live: 1, ..Counts::default() });
    for n in 0..8 {
        set_word(page(n), 0, 100 + n as u64);
        assert_eq!(word(page(n), 0), 100 + n as u64);
    }
    assert_eq!(counts(fd).faults, 8);
    // Another mapping shows the same memory.
    let other = map(fd, PAGE as u64, 2 * PAGE, libc::MAP_SHARED);
    assert_eq!(word(other, PAGE), 102);
    unmap(other, 2 * PAGE);
    // Taken away and found again.
    assert_eq!(ioctl(fd, REVOKE, 0), Ok(0));
    let before = counts(fd).faults;
    assert_eq!(word(page(7), 0), 107);
    assert_eq!((word(page(7), 0), counts(fd).faults), (107, before + 1));
    // A fault that is to be tried again is.
    assert_eq!((ioctl(fd, REVOKE, 0), ioctl(fd, REFUSE, ONCE)), (Ok(0), Ok(0)));
    assert_eq!((word(page(0), 0), counts(fd).faults), (100, before + 3));
    // A hole in the middle, then the head and the tail of what stays.
    unmap(page(3), 2 * PAGE);
    assert_eq!(counts(fd).live, 2);
    unmap(page(0), PAGE);
    unmap(page(7), PAGE);
    for n in [1, 2, 5, 6] {
        assert_eq!(word(page(n), 0), 100 + n as u64);
    }
    for n in [0, 3, 4, 7] {
        assert_eq!(in_child(|| _ = word(page(n), 0)), 128 + libc::SIGSEGV);
    }
    // A fixed mapping takes the place of others.
    map_at(fd, 0, page(0), 8 * PAGE).unwrap();
    assert_eq!((word(page(3), 0), counts(fd).live), (103, 1));
    unmap(at, 8 * PAGE);
    let end = counts(fd);
    assert_eq!((end.live, end.frees), (0, end.created + end.dups + 1));
}

fn fork_exit_and_refusals() {
    run::passes_with_all_faults("window", half!(client_of_fork_exit_and_refusals));
}
fn client_of_fork_exit_and_refusals() {
    let fd = open("/dev/window0");
    let at = map(fd, 0, 4 * PAGE, libc::MAP_SHARED);
    set_word(at, 0, 5);
    // The child's segment is its own, and goes with it.
    let child = fork(|| {
        assert_eq!((word(at, 0), counts(fd).live), (5, 2));
        set_word(at, 0, 6);
        unmap(at.wrapping_add(PAGE), PAGE);
        assert_eq!(counts(fd).live, 3);
        7
    });
    assert_eq!((wait(child), word(at, 0), counts(fd).live), (7, 6, 1));
    // A refused fork leaves nothing.
    assert_eq!(ioctl(fd, REFUSE, DUP), Ok(0));
    // SAFETY: a child would end at once.
    let refused = unsafe { libc::fork() };
    if refused == 0 {
        std::process::abort();
    }
    assert_eq!((refused, errno(), counts(fd).live), (-1, libc::EAGAIN, 1));
    assert_eq!(ioctl(fd, REFUSE, 0), Ok(0));
    // A refused mapping leaves nothing, and a fixed one a hole.
    let room = map(-1, 0, 4 * PAGE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    assert_eq!(ioctl(fd, REFUSE, CREATE), Ok(0));
    assert_eq!(map_at(fd, 0, room, PAGE), Err(libc::ENOSPC));
    assert_eq!(map_at(fd, 0, at, PAGE), Err(libc::ENOSPC));
    assert_eq!(ioctl(fd, REFUSE, 0), Ok(0));
    assert_eq!(in_child(|| _ = word(at, 0)), 128 + libc::SIGSEGV);
    assert_eq!((word(at, PAGE), counts(fd).live), (0, 1));
    // So does what the driver cannot serve.
    assert_eq!((ioctl(fd, REVOKE, 0), ioctl(fd, REFUSE, FAULT)), (Ok(0), Ok(0)));
    assert_eq!(in_child(|| _ = word(at, 2 * PAGE)), 128 + libc::SIGBUS);
    assert_eq!(ioctl(fd, REFUSE, 0), Ok(0));
    // Left to exit(2).
    assert_eq!(word(at, 3 * PAGE), 0);
}

fn protections_and_questions() {
    run::passes_with_all_faults("window", half!(client_of_protections_and_questions));
}
fn client_of_protections_and_questions() {
    let fd = open("/dev/window0");
    let at = map(fd, 2 * PAGE as u64, 4 * PAGE, libc::MAP_SHARED);
    let page = |n: usize| at.wrapping_add(n * PAGE);
    for n in 0..4 {
        set_word(page(n), 0, n as u64);
    }
    protect(page(1), 2 * PAGE, libc::PROT_READ);
    assert_eq!((word(page(1), 0), counts(fd).setprots), (1, 1));
    assert_eq!(in_child(|| set_word(page(1), 0, 9)), 128 + libc::SIGSEGV);
    protect(page(2), PAGE, libc::PROT_NONE);
    assert_eq!(in_child(|| _ = word(page(2), 0)), 128 + libc::SIGSEGV);
    protect(page(1), 2 * PAGE, libc::PROT_READ | libc::PROT_WRITE);
    set_word(page(2), 0, 8);
    let ask = |n: usize, pages: usize, prot| {
        let mut question =
            Question { addr: page(n) as u64, len: (pages * PAGE) as u64, prot, ..Question::default() };
        assert_eq!(ioctl(fd, ASK, &raw mut question as u64), Ok(0));
        let Question { checkprot, incore, memid, found, frame, outside, .. } = question;
        assert_eq!((found, outside), (1, libc::ENOMEM));
        (checkprot, incore, memid, frame)
    };
    assert_eq!(ask(0, 4, 3), (0, 4, 2, 1));
    protect(page(3), PAGE, libc::PROT_READ);
    assert_eq!(ask(2, 2, 3), (libc::EACCES, 2, 4, 1));
    assert_eq!(ask(2, 3, 1).1, -1);
    // Pages that are locked make munmap and mprotect wait.
    assert_eq!(ioctl(fd, PIN, 1), Ok(0));
    let (from, tried) = (page(0) as usize, counts(fd));
    let unmaps = std::thread::spawn(move || unmap(from as *mut u8, PAGE));
    until(|| counts(fd).unmaps > tried.unmaps);
    let protects = std::thread::spawn(move || protect((from + PAGE) as *mut u8, PAGE, libc::PROT_READ));
    until(|| counts(fd).setprots > tried.setprots);
    assert!(!unmaps.is_finished() && !protects.is_finished());
    assert_eq!(ioctl(fd, PIN, 0), Ok(0));
    unmaps.join().unwrap();
    protects.join().unwrap();
    assert_eq!(in_child(|| _ = word(page(0), 0)), 128 + libc::SIGSEGV);
    assert_eq!(word(page(1), 0), 1);
}

fn advice_and_the_like() {
    run::passes_with_all_faults("window", half!(client_of_advice_and_the_like));
}
fn client_of_advice_and_the_like() {
    let fd = open("/dev/window0");
    let at = map(fd, 0, 8 * PAGE, libc::MAP_SHARED);
    // Two segments, one behind the other.
    unmap(at.wrapping_add(3 * PAGE), PAGE);
    map_at(fd, 3 * PAGE, at.wrapping_add(3 * PAGE), PAGE).unwrap();
    let result = |r: i32| if r == 0 { Ok(()) } else { Err(errno()) };
    let len = 8 * PAGE;
    let calls = || {
        // SAFETY: a call that changes nothing of a mapping of the test's; so are the next three.
        let sync = result(unsafe { libc::msync(at.cast(), len, libc::MS_SYNC | libc::MS_INVALIDATE) });
        // SAFETY: as above.
        let lock = result(unsafe { libc::mlock(at.cast(), len) });
        // SAFETY: as above.
        let unlock = result(unsafe { libc::munlock(at.cast(), len) });
        // SAFETY: as above.
        let advice = result(unsafe { libc::madvise(at.cast(), len, libc::MADV_WILLNEED) });
        [sync, lock, unlock, advice]
    };
    assert_eq!(calls(), [Ok(()); 4]);
    let seen = counts(fd);
    let flags = libc::MS_SYNC | libc::MS_INVALIDATE;
    assert_eq!((seen.syncs, seen.sync_flags, seen.locks, seen.unlocks), (3, flags, 3, 3), "once a segment");
    assert_eq!(seen.advice, libc::MADV_WILLNEED);
    // Linux's own advice is nobody's, and what is not of the device is not asked about.
    // SAFETY: as above.
    assert_eq!(unsafe { libc::madvise(at.cast(), len, libc::MADV_DONTDUMP) }, 0);
    assert_eq!(counts(fd).advice, libc::MADV_WILLNEED);
    let mut vec = [0xff_u8; 4];
    // SAFETY: a byte for each page.
    assert_eq!(unsafe { libc::mincore(at.wrapping_add(2 * PAGE).cast(), 4 * PAGE, vec.as_mut_ptr()) }, 0);
    assert_eq!(vec, [1, 3, 1, 3], "what the driver says");
    assert_eq!(ioctl(fd, REFUSE, CONTROL), Ok(0));
    assert_eq!(calls(), [Err(libc::EIO), Err(libc::EAGAIN), Err(libc::EAGAIN), Err(libc::EINVAL)]);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::posix_madvise(at.cast(), len, 3) }, libc::EINVAL);
    assert_eq!(counts(fd).syncs, 4, "the first refusal ends it");
}
