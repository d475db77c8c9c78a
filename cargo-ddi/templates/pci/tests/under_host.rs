//! Tests of newdrv on a simulated board. Each test runs in a process of its own, with a kernel and a board of its own.

use std::process::ExitCode;
use std::time::Duration;

use devmap_test::client::{Device, fork};
use devmap_test::{Driver, cases};
use newdrv::user::{NEWDRV_RING, NEWDRV_STATUS, Status};

fn main() -> ExitCode {
    Driver::new(&newdrv::MODULE)
        .conf(concat!(env!("CARGO_MANIFEST_DIR"), "/newdrv.conf"))
        .device(concat!(env!("CARGO_MANIFEST_DIR"), "/board.toml"))
        .main(cases![
            the_window_is_the_boards,
            the_board_interrupts,
            what_is_not_there_is_refused
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

fn the_window_is_the_boards() {
    let device = open();
    let len = status(&device).window as usize;
    let map = device.map(len, 0).unwrap();
    map.store(len - 4, 9_u32);
    let child = fork(|| {
        assert_eq!(
            open()
                .map(4096, len as u64 - 4096)
                .unwrap()
                .load::<u32>(4092),
            9
        )
    });
    assert!(child.unwrap().success());
}

fn the_board_interrupts() {
    let device = open();
    for count in 1..=3 {
        device.ioctl_number(NEWDRV_RING, 0).unwrap();
        while status(&device).interrupts < count {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    assert_eq!(status(&device).interrupts, 3);
}

fn what_is_not_there_is_refused() {
    let device = open();
    let window = status(&device).window;
    assert!(device.map(4096, window).is_err(), "beyond the window");
    assert!(
        device.map_private(4096, 0).is_err(),
        "what is written is for the board"
    );
    assert!(
        device.ioctl_number(1, 0).is_err(),
        "there is no such command"
    );
}
