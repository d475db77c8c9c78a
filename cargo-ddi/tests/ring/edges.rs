//! Beside the template's tests: each event is an edge for epoll(7), also if nothing is read.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::process::ExitCode;

use devmap_test::client::Device;
use devmap_test::{Driver, cases};

fn main() -> ExitCode {
    Driver::new(&ring::MODULE)
        .also("signal", ["--faults", "signal"])
        .main(cases![every_event_is_an_edge])
}

fn every_event_is_an_edge() {
    let device = Device::open("/dev/ring0").unwrap();
    // SAFETY: a new descriptor, which is nobody else's.
    let epoll = unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(0)) };
    let mut event = libc::epoll_event {
        events: (libc::EPOLLIN | libc::EPOLLET) as u32,
        u64: 7,
    };
    let (epoll, fd) = (epoll.as_raw_fd(), device.file().as_raw_fd());
    // SAFETY: descriptors of ours, and one structure.
    let added = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
    assert_eq!(added, 0);
    for _ in 0..3 {
        // SAFETY: room for one structure.
        let count = unsafe { libc::epoll_wait(epoll, &raw mut event, 1, 10_000) };
        assert_eq!((count, { event.u64 }), (1, 7));
    }
}
