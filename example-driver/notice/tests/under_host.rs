//! The tutorial's driver under real processes: faults, fork, munmap, a private mapping refused.

use std::process::ExitCode;

use devmap_test::client::{Device, Map, fork};
use devmap_test::{Driver, cases};
use notice::NOTICE_REVOKE;

const PAGE: usize = 4096;

fn main() -> ExitCode {
    Driver::new(&notice::MODULE)
        .conf(concat!(env!("CARGO_MANIFEST_DIR"), "/notice.conf"))
        .also("signal", ["--faults", "signal"])
        .main(cases![what_does_not_fit_is_refused, faults_are_counted, every_page_may_be_unmapped_first])
}

fn open() -> Device {
    Device::open("/dev/notice0").expect("the device")
}

fn board(device: &Device) -> Map {
    device.map(2 * PAGE, 0).expect("mmap")
}

/// Text that the driver shows to a reader.
fn shown() -> String {
    std::fs::read_to_string("/dev/notice0").expect("read")
}

fn what_does_not_fit_is_refused() {
    let device = open();
    assert!(device.map_private(PAGE, 0).is_err(), "a private mapping");
    assert!(device.map(3 * PAGE, 0).is_err(), "the board has two pages");
    assert_eq!(shown(), "maps 0\nfaults 0\nforks 0\n");
}

fn faults_are_counted() {
    let device = open();
    let map = board(&device);
    map.store(0, 1_u64); // a fault
    map.store(PAGE, 2_u64); // a fault
    assert_eq!(map.load::<u64>(0), 1);
    device.ioctl_number(NOTICE_REVOKE, 0).expect("NOTICE_REVOKE");
    assert_eq!((map.load::<u64>(0), map.load::<u64>(PAGE)), (1, 2)); // two faults
    let child = fork(|| map.store(0, 3_u64)); // a fault of the child's own
    assert!(child.expect("fork").success());
    assert_eq!(map.load::<u64>(0), 3, "what the child wrote");
    drop(map);
    assert_eq!(board(&open()).load::<u64>(0), 3); // a fault
    assert_eq!(shown(), "maps 2\nfaults 6\nforks 1\n");
}

fn every_page_may_be_unmapped_first() {
    let device = open();
    for page in 0..2 {
        let map = board(&device);
        map.store(0, 5_u64);
        map.store(PAGE, 5_u64);
        let (head, tail) = map.cut(page * PAGE, PAGE).expect("munmap");
        assert_eq!(head.or(tail).expect("the other page").load::<u64>(0), 5, "page {page}");
    }
}
