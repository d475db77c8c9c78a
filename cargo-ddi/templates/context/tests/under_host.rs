//! Tests of newdrv. Each test runs in a process of its own, with a kernel and a device of its own.

use std::process::ExitCode;

use devmap_test::client::{Device, fork};
use devmap_test::{Driver, cases};
use newdrv::user::{LEN, NEWDRV_STATUS, Status};

fn main() -> ExitCode {
    Driver::new(&newdrv::MODULE)
        .conf(concat!(env!("CARGO_MANIFEST_DIR"), "/newdrv.conf"))
        .main(cases![
            contexts_are_apart,
            a_child_shares_its_parents_context,
            a_context_is_cut
        ])
}

fn open() -> Device {
    Device::open("/dev/newdrv0").expect("the device")
}

fn contexts_are_apart() {
    let device = open();
    let (one, two) = (device.map(LEN, 0).unwrap(), device.map(LEN, 0).unwrap());
    for turn in 0..5_u64 {
        assert_eq!(
            (one.load::<u64>(0), two.load::<u64>(4096)),
            (turn, 2 * turn)
        );
        one.store(0, turn + 1);
        two.store(4096, 2 * (turn + 1));
    }
    assert_eq!((one.load::<u64>(4096), two.load::<u64>(0)), (0, 0));
    let mut status = Status::default();
    device
        .ioctl(NEWDRV_STATUS, &mut status)
        .expect("NEWDRV_STATUS");
    assert_eq!(status.maps, 2);
    assert!(status.switches >= 10, "{status:?}");
}

fn a_child_shares_its_parents_context() {
    let device = open();
    let (map, other) = (device.map(LEN, 0).unwrap(), device.map(LEN, 0).unwrap());
    map.store(0, 1_u32);
    let child = fork(|| {
        other.store(0, 7_u32); // the engine is another's for a while
        assert_eq!(map.load::<u32>(0), 1);
        map.store(0, 2_u32);
    });
    assert!(child.unwrap().success());
    assert_eq!((map.load::<u32>(0), other.load::<u32>(0)), (2, 7));
}

fn a_context_is_cut() {
    let device = open();
    let (mut one, two) = (device.map(LEN, 0).unwrap(), device.map(LEN, 0).unwrap());
    one.store(0, 5_u8);
    one.truncate(4096).unwrap();
    two.store(0, 6_u8);
    assert_eq!(one.load::<u8>(0), 5);
}
