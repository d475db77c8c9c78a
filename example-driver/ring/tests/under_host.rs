//! ring under real processes, linked into a host and as a module file: rings that belong to their opens, poll, edges, counters that a process makes nonsense of, fork.
//!
//! This program is the test and, started under the host with `client`, the process.

#[path = "../../notice/tests/common/mod.rs"]
mod common;

use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use common::Example;
use ring_user::{EVENTS, Event, HEAD, LEN, RING_EVERY, RING_STATUS, Status, TAIL, place};

const EXAMPLE: Example = Example {
    package: "ring",
    page: "ring.md",
    source: include_str!("../src/lib.rs"),
    conf: Some(include_str!("../ring.conf")),
    options: "",
};

fn main() -> ExitCode {
    let tests: [(&str, common::Test); 3] = [
        ("the_code", |_| EXAMPLE.code_is_shown()),
        ("the_commands", |programs| EXAMPLE.commands_do_as_shown(programs)),
        ("the_driver", |programs| EXAMPLE.runs_alike(programs)),
    ];
    common::main(EXAMPLE.package, client, &tests)
}

fn open() -> File {
    OpenOptions::new().read(true).write(true).open("/dev/ring0").expect("the device")
}

fn map(file: &File, flags: i32, offset: i64) -> Option<*mut u8> {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, at an address of the system's choice.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), LEN, prot, flags, file.as_raw_fd(), offset) };
    (at != libc::MAP_FAILED).then_some(at.cast())
}

/// A ring: an open and its mapping.
struct Ring {
    file: File,
    base: *mut u8,
}

impl Ring {
    fn new() -> Ring {
        let file = open();
        let base = map(&file, libc::MAP_SHARED, 0).expect("mmap");
        Ring { file, base }
    }

    fn counter(&self, offset: u64) -> &AtomicU32 {
        // SAFETY: within the mapping, aligned, and only accessed as an atomic.
        unsafe { AtomicU32::from_ptr(self.base.wrapping_add(offset as usize).cast()) }
    }

    fn waiting(&self) -> u32 {
        self.counter(HEAD).load(Ordering::Acquire).wrapping_sub(self.counter(TAIL).load(Ordering::Relaxed))
    }

    /// The next event, when it is there.
    fn next(&self) -> Event {
        while self.waiting() == 0 {
            assert_eq!(poll(self.file.as_raw_fd(), -1), libc::POLLIN);
        }
        let tail = self.counter(TAIL).load(Ordering::Relaxed);
        // SAFETY: within the mapping, aligned; written before the head that was read.
        let event = unsafe { self.base.wrapping_add(place(tail) as usize).cast::<Event>().read_volatile() };
        self.counter(TAIL).store(tail.wrapping_add(1), Ordering::Release);
        event
    }

    /// Reads all that waits.
    fn empty(&self) {
        self.counter(TAIL).store(self.counter(HEAD).load(Ordering::Acquire), Ordering::Release);
    }

    fn ioctl<T>(&self, command: i32, argument: T) -> i32 {
        // SAFETY: a number, or a structure that lives through the call.
        unsafe { libc::ioctl(self.file.as_raw_fd(), command as libc::Ioctl, argument) }
    }

    fn status(&self) -> Status {
        let place = low::<Status>();
        assert_eq!(self.ioctl(RING_STATUS, place), 0);
        // SAFETY: the driver has filled it.
        let status = unsafe { place.read() };
        // SAFETY: from `low`, and not used any more.
        unsafe { libc::munmap(place.cast(), 4096) };
        status
    }
}

/// Memory below 4 GiB, where a program of 32 bits has all of its own: zeroes.
fn low<T>() -> *mut T {
    let (prot, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT);
    // SAFETY: a new mapping, at an address of the system's choice.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, prot, flags, -1, 0) };
    assert_ne!(at, libc::MAP_FAILED);
    at.cast()
}

/// What is ready, 0 after so many milliseconds.
fn poll(fd: RawFd, milliseconds: i32) -> i16 {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one structure.
    assert!(unsafe { libc::poll(&raw mut poll, 1, milliseconds) } >= 0);
    poll.revents
}

fn client() {
    rings_belong_to_their_opens();
    nothing_is_waited_for();
    every_event_is_an_edge();
    a_full_ring_loses_events();
    nonsense_in_the_counters_hurts_nobody();
    a_mapping_keeps_its_open();
    a_child_has_its_parents_ring();
    println!("all is well");
}

fn rings_belong_to_their_opens() {
    let (one, two) = (Ring::new(), Ring::new());
    let number = |ring: &Ring| ring.file.metadata().expect("fstat").rdev();
    assert_ne!(number(&one), number(&two), "each open has a device number");
    assert_ne!(number(&one), std::fs::metadata("/dev/ring0").expect("stat").rdev());
    let (first, second) = (one.next(), one.next());
    assert_eq!((first.number, second.number), (0, 1));
    assert!(second.time > first.time);
    assert_eq!(two.next().number, 0, "its own events, also if the other's are read");
    assert!(
        map(&one.file, libc::MAP_PRIVATE, 0).is_none() && map(&one.file, libc::MAP_SHARED, 4096).is_none()
    );
    assert_eq!((one.ioctl(RING_EVERY, 0), one.ioctl(RING_EVERY, -1), one.ioctl(1, 0)), (-1, -1, -1));
}

fn nothing_is_waited_for() {
    let ring = Ring::new();
    ring.next(); // the first tick is everybody's, however late it comes
    assert_eq!(ring.ioctl(RING_EVERY, 1_000_000), 0);
    sleep(Duration::from_millis(30));
    ring.empty();
    assert_eq!(poll(ring.file.as_raw_fd(), 50), 0);
    assert_eq!(ring.ioctl(RING_EVERY, 1), 0);
    assert_eq!(poll(ring.file.as_raw_fd(), -1), libc::POLLIN);
    assert_eq!(poll(ring.file.as_raw_fd(), -1), libc::POLLIN, "as long as nobody reads it");
}

fn every_event_is_an_edge() {
    let ring = Ring::new();
    // SAFETY: a new descriptor.
    let epoll = unsafe { libc::epoll_create1(0) };
    let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: 7 };
    // SAFETY: descriptors of ours, and one structure.
    let added = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, ring.file.as_raw_fd(), &raw mut event) };
    assert_eq!(added, 0);
    for _ in 0..3 {
        // Nothing is read: each edge is a new event.
        // SAFETY: room for one structure.
        assert_eq!(unsafe { libc::epoll_wait(epoll, &raw mut event, 1, 10_000) }, 1);
    }
    assert!(ring.waiting() >= 3);
    // SAFETY: ours, and not used any more.
    unsafe { libc::close(epoll) };
}

fn a_full_ring_loses_events() {
    let ring = Ring::new();
    while ring.status().lost < 3 {
        sleep(Duration::from_millis(20));
    }
    assert_eq!(ring.waiting(), EVENTS);
    for number in 0..EVENTS {
        assert_eq!(ring.next().number, number.into(), "what is there is not written over");
    }
    let next = ring.next().number;
    assert!(next >= u64::from(EVENTS) + 3, "{next}: those that were lost are missing");
    assert!(ring.status().events > next);
}

fn nonsense_in_the_counters_hurts_nobody() {
    let ring = Ring::new();
    ring.next();
    ring.counter(TAIL).store(0x8000_0000, Ordering::Release);
    ring.counter(HEAD).store(77, Ordering::Release);
    let lost = ring.status().lost;
    while ring.status().lost < lost + 2 {
        sleep(Duration::from_millis(10)); // full, as far as the driver can see
    }
    let other = Ring::new();
    assert_eq!(other.next().number, 0, "it is this process's own affair");
    // With sense in them again, it goes on: the driver knows its own counter.
    ring.counter(TAIL).store(1, Ordering::Release);
    while ring.counter(HEAD).load(Ordering::Acquire) == 77 {
        sleep(Duration::from_millis(5));
    }
    assert!(ring.next().number > 0);
}

fn a_mapping_keeps_its_open() {
    let Ring { file, base } = Ring::new();
    drop(file);
    // SAFETY: within the mapping, and only accessed as an atomic.
    let head = unsafe { AtomicU32::from_ptr(base.wrapping_add(HEAD as usize).cast()) };
    let before = head.load(Ordering::Acquire);
    while head.load(Ordering::Acquire) < before.wrapping_add(3) {
        sleep(Duration::from_millis(5));
    }
    // SAFETY: the mapping, to which no reference exists any more.
    assert_eq!(unsafe { libc::munmap(base.cast(), LEN) }, 0);
}

fn a_child_has_its_parents_ring() {
    let ring = Ring::new();
    ring.next();
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        0 => {
            let number = ring.next().number;
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(if number == 1 { 7 } else { 1 }) };
        }
        child => {
            let mut status = 0;
            // SAFETY: a child of ours, and a local for its status.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(status, 7 << 8, "the child has read the second event");
        }
    }
    assert_eq!(ring.next().number, 2);
}
