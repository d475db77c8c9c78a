//! Tests of newdrv. Each test runs in a process of its own, with a kernel and a device of its own.

use std::process::ExitCode;

use devmap_test::client::{Device, fork};
use devmap_test::{Driver, cases};
use newdrv::user::{NEWDRV_REVOKE, NEWDRV_STATUS, Status};

fn main() -> ExitCode {
    Driver::new(&newdrv::MODULE)
        .conf(concat!(env!("CARGO_MANIFEST_DIR"), "/newdrv.conf"))
        .main(cases![
            processes_share_the_memory,
            a_page_faults_once,
            what_is_not_there_is_refused,
            a_mapping_is_cut
        ])
}

fn open() -> Device {
    Device::open("/dev/newdrv0").expect("the device")
}

fn status(device: &Device) -> Status {
    let mut status = Status::default();
    device
        .ioctl(NEWDRV_STATUS, &mut status)
        .expect("NEWDRV_STATUS");
    status
}

fn processes_share_the_memory() {
    let map = open().map(4096, 0).unwrap();
    map.store(0, 1_u64);
    let child = fork(|| {
        assert_eq!(map.load::<u64>(0), 1);
        map.store(0, 2_u64);
    });
    assert!(child.unwrap().success());
    assert_eq!(map.load::<u64>(0), 2);
}

fn a_page_faults_once() {
    let device = open();
    let map = device.map(8192, 0).unwrap();
    for value in 0..10_u32 {
        map.store(0, value);
    }
    assert_eq!(status(&device), Status { maps: 1, faults: 1 });
    device.ioctl_number(NEWDRV_REVOKE, 0).unwrap();
    assert_eq!((map.load::<u32>(0), map.load::<u32>(4096)), (9, 0));
    assert_eq!(status(&device), Status { maps: 1, faults: 3 });
}

fn what_is_not_there_is_refused() {
    let device = open();
    assert!(device.map(4096, 8192).is_err(), "there are two pages");
    assert!(
        device.map_private(4096, 0).is_err(),
        "it is one memory for all"
    );
    assert!(
        device.ioctl_number(1, 0).is_err(),
        "there is no such command"
    );
}

fn a_mapping_is_cut() {
    let mut map = open().map(8192, 0).unwrap();
    map.store(0, 5_u8);
    map.truncate(4096).unwrap();
    assert_eq!(map.load::<u8>(0), 5);
}
