//! Tests of newdrv. Each test runs in a process of its own, with a kernel and a device of its own.

use std::process::ExitCode;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use devmap_test::client::{Device, Map, fork};
use devmap_test::{Driver, cases};
use newdrv::user::{EVENTS, Event, HEAD, LEN, NEWDRV_EVERY, NEWDRV_STATUS, Status, TAIL, place};

fn main() -> ExitCode {
    Driver::new(&newdrv::MODULE)
        .conf(concat!(env!("CARGO_MANIFEST_DIR"), "/newdrv.conf"))
        .also("signal", ["--faults", "signal"])
        .main(cases![
            events_come_in_order,
            rings_belong_to_their_opens,
            nothing_is_waited_for,
            a_full_ring_loses_events,
            nonsense_in_the_counters_hurts_nobody,
            a_mapping_keeps_its_open,
            a_child_has_its_parents_ring,
            nonsense_is_refused
        ])
}

/// A ring: an open and its mapping.
struct Ring {
    device: Device,
    map: Map,
}

impl Ring {
    fn new() -> Ring {
        let device = Device::open("/dev/newdrv0").expect("the device");
        let map = device.map(LEN, 0).expect("mmap");
        Ring { device, map }
    }

    /// The next event, when it is there.
    fn next(&self) -> Event {
        let tail = self.map.atomic_u32(TAIL as usize);
        let at = tail.load(Acquire);
        while self.map.atomic_u32(HEAD as usize).load(Acquire) == at {
            assert!(self.device.readable(None).unwrap());
        }
        let event = self.map.load::<Event>(place(at) as usize);
        tail.store(at.wrapping_add(1), Release);
        event
    }
}

fn events_come_in_order() {
    let ring = Ring::new();
    let (first, second) = (ring.next(), ring.next());
    assert_eq!((first.number, second.number), (0, 1));
    assert!(second.time > first.time);
}

fn rings_belong_to_their_opens() {
    let (one, two) = (Ring::new(), Ring::new());
    one.next();
    one.next();
    assert_eq!(
        two.next().number,
        0,
        "its own events, also if the other's are read"
    );
}

fn nothing_is_waited_for() {
    let ring = Ring::new();
    ring.next(); // the first tick is everybody's, however late it comes
    ring.device.ioctl_number(NEWDRV_EVERY, 1_000_000).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    let head = ring.map.atomic_u32(HEAD as usize).load(Acquire);
    ring.map.atomic_u32(TAIL as usize).store(head, Release);
    let soon = Some(Duration::from_millis(50));
    assert!(!ring.device.readable(soon).unwrap());
    ring.device.ioctl_number(NEWDRV_EVERY, 1).unwrap();
    assert!(ring.device.readable(None).unwrap());
    assert!(
        ring.device.readable(None).unwrap(),
        "as long as nobody reads it"
    );
}

fn a_full_ring_loses_events() {
    let ring = Ring::new();
    // As if the program had not read for long.
    let head = ring.map.atomic_u32(HEAD as usize);
    while head.load(Acquire) == 0 {
        std::thread::yield_now();
    }
    ring.map
        .atomic_u32(TAIL as usize)
        .store(head.load(Acquire).wrapping_sub(EVENTS), Release);
    let mut status = Status::default();
    while status.lost == 0 {
        ring.device.ioctl(NEWDRV_STATUS, &mut status).unwrap();
    }
    assert!(status.events > status.lost);
}

fn nonsense_in_the_counters_hurts_nobody() {
    let ring = Ring::new();
    ring.next();
    ring.map
        .atomic_u32(TAIL as usize)
        .store(0x8000_0000, Release);
    ring.map.atomic_u32(HEAD as usize).store(77, Release);
    let mut status = Status::default();
    while status.lost < 2 {
        ring.device.ioctl(NEWDRV_STATUS, &mut status).unwrap(); // full, as far as the driver can see
    }
    assert_eq!(Ring::new().next().number, 0, "it is its own affair");
    // With sense in them again, it goes on: the driver knows its own counter.
    ring.map.atomic_u32(TAIL as usize).store(1, Release);
    while ring.map.atomic_u32(HEAD as usize).load(Acquire) == 77 {
        std::thread::yield_now();
    }
    assert!(ring.next().number > 0);
}

fn a_mapping_keeps_its_open() {
    let Ring { device, map } = Ring::new();
    drop(device);
    let head = map.atomic_u32(HEAD as usize);
    let before = head.load(Acquire);
    while head.load(Acquire) < before.wrapping_add(3) {
        std::thread::yield_now();
    }
}

fn a_child_has_its_parents_ring() {
    let ring = Ring::new();
    ring.next();
    let child = fork(|| assert_eq!(ring.next().number, 1));
    assert!(child.unwrap().success());
    assert_eq!(ring.next().number, 2);
}

fn nonsense_is_refused() {
    let ring = Ring::new();
    assert!(
        ring.device.map_private(LEN, 0).is_err(),
        "what the process counts, the driver has to see"
    );
    assert!(ring.device.map(LEN, 4096).is_err(), "a ring is one page");
    assert!(ring.device.ioctl_number(NEWDRV_EVERY, 0).is_err());
    assert_eq!(ring.device.ioctl_number(NEWDRV_EVERY, 3).unwrap(), 0);
}
