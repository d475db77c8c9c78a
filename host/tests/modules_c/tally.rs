//! Opens that the driver gives minor numbers of their own, and what a process sees of them.

use std::os::fd::RawFd;

use crate::devices::{errno, fork, ioctl, open, try_open, until, wait};
use crate::run;

tests!(
    each_open_is_a_device_of_its_own,
    a_driver_accepts_fionbio_and_fionread,
    edges_are_calls_of_pollwakeup
);

const MINOR: u32 = 0x7f01;
const WAITED: u32 = 0x7f02;
const ENDED: u32 = 0x7f03;
const HINT: u32 = 0x7f04;

fn add(fd: RawFd, n: u32) {
    // SAFETY: four bytes.
    assert_eq!(unsafe { libc::write(fd, (&raw const n).cast(), 4) }, 4);
}

/// What has been added since the last time.
fn take(fd: RawFd) -> Result<u32, i32> {
    let mut sum = 0u32;
    // SAFETY: room for four bytes.
    match unsafe { libc::read(fd, (&raw mut sum).cast(), 4) } {
        4 => Ok(sum),
        _ => Err(errno()),
    }
}

fn close(fd: RawFd) {
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::close(fd) }, 0);
}

fn stat(fd: RawFd) -> libc::stat {
    // SAFETY: all-zero is valid.
    let mut st: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: room for it.
    assert_eq!(unsafe { libc::fstat(fd, &mut st) }, 0);
    st
}

fn each_open_is_a_device_of_its_own() {
    let ran = run::run(
        "tally",
        "name=\"tally\" parent=\"pseudo\" instance=0;\n",
        half!(client_of_each_open_is_a_device_of_its_own),
    );
    assert!(ran.status == 0 && ran.text.contains(run::PASSED), "status {}:\n{}", ran.status, ran.text);
    assert!(ran.text.contains("NOTICE: tally0: minor 0 is not for exclusive use"), "{}", ran.text);
    assert!(ran.text.contains("NOTICE: unsupported clone open maj = "), "{}", ran.text);
}
fn client_of_each_open_is_a_device_of_its_own() {
    let [a, b] = [open("/dev/tally"), open("/dev/tally")];
    add(a, 3);
    add(b, 10);
    add(a, 4);
    assert_eq!((take(a), take(b)), (Ok(7), Ok(10)));
    // The descriptor is of the new device, which no file system has; the path is still of the old one.
    for fd in [a, b] {
        let st = stat(fd);
        assert_eq!(
            (libc::minor(st.st_rdev) as i32, st.st_mode),
            (ioctl(fd, MINOR, 0).unwrap(), libc::S_IFCHR)
        );
    }
    let path = std::os::unix::fs::MetadataExt::rdev(&std::fs::metadata("/dev/tally").unwrap());
    assert_eq!(libc::major(path), libc::major(stat(a).st_rdev));
    assert_eq!(libc::minor(path), 0);
    // Another driver's device number is refused.
    let refused = try_open("/dev/tally", libc::O_RDWR | libc::O_EXCL).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::ENXIO));
    // The last close of each calls close(9E); a duplicate and a child hold it.
    // SAFETY: no memory is involved.
    let second = unsafe { libc::dup(b) };
    close(b);
    let child = fork(|| {
        close(second);
        0
    });
    assert_eq!(wait(child), 0);
    add(second, 1);
    assert_eq!((take(second), ioctl(a, ENDED, 0)), (Ok(1), Ok(0)));
    close(second);
    until(|| ioctl(a, ENDED, 0) == Ok(1));
    let many: Vec<_> = (0..63).map(|_| open("/dev/tally")).collect();
    assert_eq!(try_open("/dev/tally", libc::O_RDWR).unwrap_err().raw_os_error(), Some(libc::EBUSY));
    many.into_iter().for_each(close);
}

fn a_driver_accepts_fionbio_and_fionread() {
    run::passes("tally", half!(client_of_a_driver_accepts_fionbio_and_fionread));
}
fn client_of_a_driver_accepts_fionbio_and_fionread() {
    let fd = open("/dev/tally");
    let mut n = 1;
    add(fd, 300);
    assert_eq!(ioctl(fd, libc::FIONREAD as u32, &raw mut n as u64), Ok(0));
    assert_eq!((n, take(fd)), (300, Ok(300)));
    // By Linux's number and by illumos's.
    for command in [libc::FIONBIO as u32, 0x8004_667e] {
        n = 1;
        assert_eq!(ioctl(fd, command, &raw mut n as u64), Ok(0));
        assert_eq!(take(fd), Err(libc::EAGAIN));
        // SAFETY: no memory is involved.
        assert_ne!(unsafe { libc::fcntl(fd, libc::F_GETFL) } & libc::O_NONBLOCK, 0);
        n = 0;
        assert_eq!(ioctl(fd, command, &raw mut n as u64), Ok(0));
        // SAFETY: as above.
        assert_eq!(unsafe { libc::fcntl(fd, libc::F_GETFL) } & libc::O_NONBLOCK, 0);
        assert_eq!(ioctl(fd, command, 8), Err(libc::EFAULT));
    }
}

/// The events of the one device in an epoll set.
fn events(set: RawFd, millis: i32) -> Option<u32> {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: room for one.
    let n = unsafe { libc::epoll_wait(set, &mut event, 1, millis) };
    (n == 1).then_some(event.events)
}

fn edges_are_calls_of_pollwakeup() {
    run::passes("tally", half!(client_of_edges_are_calls_of_pollwakeup));
}
fn client_of_edges_are_calls_of_pollwakeup() {
    const IN: u32 = libc::EPOLLIN as u32;
    let fd = open("/dev/tally");
    assert_eq!(ioctl(fd, WAITED, 0), Ok(0));
    // SAFETY: no memory is involved.
    let set = unsafe { libc::epoll_create1(0) };
    let mut event = libc::epoll_event { events: IN | libc::EPOLLET as u32, u64: 0 };
    // SAFETY: the event lives through the call.
    assert_eq!(unsafe { libc::epoll_ctl(set, libc::EPOLL_CTL_ADD, fd, &mut event) }, 0);
    assert_eq!(events(set, 0), None);
    assert_eq!(ioctl(fd, WAITED, 0), Ok(1));
    add(fd, 1);
    assert_eq!(events(set, -1), Some(IN));
    assert_eq!(events(set, 5), None);
    // Again, with the first not taken; and taken, when the next has come before anybody waits.
    add(fd, 1);
    assert_eq!(events(set, -1), Some(IN));
    assert_eq!(take(fd), Ok(2));
    add(fd, 1);
    assert_eq!(events(set, -1), Some(IN));
    assert_eq!(events(set, 5), None);
    // While somebody waits although there is something to take.
    let waiter = std::thread::spawn(move || events(set, -1));
    std::thread::sleep(std::time::Duration::from_millis(30));
    add(fd, 1);
    assert_eq!(waiter.join().unwrap(), Some(IN));
    // A wakeup that brings nothing is no event.
    assert_eq!(take(fd), Ok(2));
    assert_eq!(ioctl(fd, HINT, 0), Ok(0));
    assert_eq!(events(set, 5), None);
    // Beside a set of which the same device is asked for levels.
    let mut level = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    add(fd, 1);
    // SAFETY: one entry.
    assert_eq!(unsafe { libc::poll(&mut level, 1, -1) }, 1);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::poll(&mut level, 1, -1) }, 1);
    assert_eq!((events(set, -1), events(set, 5)), (Some(IN), None));
    close(fd);
}
