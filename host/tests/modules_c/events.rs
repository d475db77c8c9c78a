//! poll(2) and its relatives on a device reach chpoll(9E), and pollwakeup(9F) wakes who waits.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::devices::{errno, fork, ioctl, open, try_open, until, wait};
use crate::run;

use serde_json::json;

tests!(
    poll_asks_the_driver,
    a_driver_without_poll_makes_poll_fail,
    pollwakeup_wakes_from_every_context,
    a_wakeup_while_devices_are_asked_is_not_lost,
    a_poll_ends_by_signal_close_and_time,
    select_asks_the_driver,
    epoll_asks_the_driver,
    nonblocking_files
);

const SET: u32 = 0x7d01;
const QUIET: u32 = 0x7d02;
const LATER: u32 = 0x7d03;
const ASKED: u32 = 0x7d04;
const CALLS: u32 = 0x7d05;
const FAIL: u32 = 0x7d06;
const MODE: u32 = 0x7d07;
const ANYYET: u32 = 0x7d08;
const DURING: u32 = 0x7d09;

const IN: i16 = libc::POLLIN;
const OUT: i16 = libc::POLLOUT;

/// poll(2) of some descriptors: what it says, and each one's result.
fn poll(fds: &[(RawFd, i16)], timeout: i32) -> (Result<i32, i32>, Vec<i16>) {
    let mut list: Vec<_> =
        fds.iter().map(|&(fd, events)| libc::pollfd { fd, events, revents: 0x7f }).collect();
    // SAFETY: the list lives through the call.
    let n = unsafe { libc::poll(list.as_mut_ptr(), list.len() as libc::nfds_t, timeout) };
    (if n < 0 { Err(errno()) } else { Ok(n) }, list.iter().map(|f| f.revents).collect())
}

fn pipe() -> [RawFd; 2] {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    ends
}

fn put(fd: RawFd) {
    // SAFETY: one byte.
    assert_eq!(unsafe { libc::write(fd, b"x".as_ptr().cast(), 1) }, 1);
}

fn set(fd: RawFd, cmd: u32, ready: i32) {
    assert_eq!(ioctl(fd, cmd, ready as u64), Ok(0));
}

fn poll_asks_the_driver() {
    run::passes("events", half!(client_of_poll_asks_the_driver));
}
fn client_of_poll_asks_the_driver() {
    let fd = open("/dev/events0");
    assert_eq!(poll(&[(fd, IN)], 0), (Ok(0), vec![0]));
    assert_eq!(ioctl(fd, ASKED, 0), Ok(1));
    // illumos's numbers: POLLIN 1, POLLOUT and POLLWRNORM 4, POLLRDNORM 0x40, POLLWRBAND 0x100.
    assert_eq!(poll(&[(fd, IN | libc::POLLRDNORM | libc::POLLWRNORM | libc::POLLWRBAND)], 0).0, Ok(0));
    assert_eq!(ioctl(fd, ASKED, 0), Ok(0x145));
    set(fd, QUIET, 0x145);
    assert_eq!(poll(&[(fd, IN | libc::POLLWRNORM)], -1), (Ok(1), vec![IN | libc::POLLWRNORM]));
    assert_eq!(poll(&[(fd, OUT)], -1), (Ok(1), vec![OUT]));
    assert_eq!(poll(&[(fd, libc::POLLPRI)], 20), (Ok(0), vec![0]));
    // Errors are told whether asked for or not.
    set(fd, QUIET, 0x18);
    assert_eq!(poll(&[(fd, 0)], -1), (Ok(1), vec![libc::POLLERR | libc::POLLHUP]));
    assert_eq!(ioctl(fd, ANYYET, 0), Ok(0));
    // Beside other descriptors: ready and not, closed, left out.
    set(fd, QUIET, 1);
    let [read, write] = pipe();
    let list = [(read, IN), (fd, IN), (write, OUT), (-5, IN), (977, IN), (fd, OUT)];
    assert_eq!(poll(&list, -1), (Ok(3), vec![0, IN, OUT, 0, libc::POLLNVAL, 0]));
    put(write);
    set(fd, QUIET, 0);
    assert_eq!(poll(&[(fd, IN), (read, IN)], -1), (Ok(1), vec![0, IN]));
    // A driver's error is poll's.
    set(fd, FAIL, 6);
    assert_eq!(poll(&[(fd, IN)], 0).0, Err(libc::ENXIO));
    set(fd, FAIL, 0);
    // One asked for many times.
    let many = vec![(fd, IN); 900];
    set(fd, QUIET, 1);
    assert_eq!(poll(&many, -1).0, Ok(900));
    // Also one that is write-only, or was passed through dup.
    let other = try_open("/dev/events0", libc::O_WRONLY).unwrap();
    // SAFETY: no memory is involved.
    let twin = unsafe { libc::dup(other) };
    assert_eq!(poll(&[(twin, IN)], -1), (Ok(1), vec![IN]));
}

fn a_driver_without_poll_makes_poll_fail() {
    run::passes("waits", half!(client_of_a_driver_without_poll_makes_poll_fail));
}
fn client_of_a_driver_without_poll_makes_poll_fail() {
    let fd = open("/dev/waits0");
    assert_eq!(poll(&[(fd, IN)], 0).0, Err(libc::ENXIO));
}

fn pollwakeup_wakes_from_every_context() {
    let conf = "name=\"events\" parent=\"pseudo\" instance=0;\n";
    let client = half!(client_of_pollwakeup_wakes_from_every_context);
    let (ran, events) = run::traced("events", conf, None, client, &[]);
    assert!(ran.status == 0 && ran.text.contains(run::PASSED), "status {}:\n{}", ran.status, ran.text);
    run::assert_event(&events, "poll", &json!({ "ready": 0, "device_name": "events0" }));
    run::assert_event(&events, "poll_wake", &json!({ "woken": 1 }));
}
fn client_of_pollwakeup_wakes_from_every_context() {
    let fd = open("/dev/events0");
    let [read, write] = pipe();
    // A timeout's function.
    set(fd, LATER, 1);
    assert_eq!(poll(&[(read, IN), (fd, IN)], -1), (Ok(1), vec![0, IN]));
    set(fd, QUIET, 0);
    // Another thread's ioctl, and several waiters; a wakeup that is not for them first.
    let calls = ioctl(fd, CALLS, 0).unwrap();
    let waiters: Vec<_> = (0..4).map(|_| std::thread::spawn(move || poll(&[(fd, IN)], -1))).collect();
    until(|| ioctl(fd, CALLS, 0).unwrap() >= calls + 4);
    set(fd, SET, 4);
    set(fd, SET, 5);
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), (Ok(1), vec![IN]));
    }
    set(fd, QUIET, 0);
    // Another process's; and the other descriptor.
    let calls = ioctl(fd, CALLS, 0).unwrap();
    let child = fork(|| {
        until(|| ioctl(fd, CALLS, 0).unwrap() > calls);
        ioctl(fd, SET, 1).map_or(1, |_| 0)
    });
    assert_eq!(poll(&[(fd, IN), (read, IN)], -1), (Ok(1), vec![IN, 0]));
    assert_eq!(wait(child), 0);
    set(fd, QUIET, 0);
    let calls = ioctl(fd, CALLS, 0).unwrap();
    let waiter = std::thread::spawn(move || poll(&[(fd, IN), (read, IN)], -1));
    until(|| ioctl(fd, CALLS, 0).unwrap() > calls);
    put(write);
    assert_eq!(waiter.join().unwrap(), (Ok(1), vec![0, IN]));
    // An error wakes everybody.
    let calls = ioctl(fd, CALLS, 0).unwrap();
    let waiter = std::thread::spawn(move || poll(&[(fd, libc::POLLPRI)], -1));
    until(|| ioctl(fd, CALLS, 0).unwrap() > calls);
    set(fd, SET, 8);
    assert_eq!(waiter.join().unwrap(), (Ok(1), vec![libc::POLLERR]));
}

fn a_wakeup_while_devices_are_asked_is_not_lost() {
    run::passes("events", half!(client_of_a_wakeup_while_devices_are_asked_is_not_lost));
}
/// The first device of a list is asked, and is not ready. It becomes ready while the second one is asked: before the reply to the process.
fn client_of_a_wakeup_while_devices_are_asked_is_not_lost() {
    let fd = open("/dev/events0");
    let both = [(fd, IN), (fd, libc::POLLPRI)];
    set(fd, LATER, 1);
    assert_eq!(poll(&both, -1), (Ok(1), vec![IN, 0]), "of two requests for one device, both count");
    set(fd, QUIET, 0);
    set(fd, DURING, 1);
    assert_eq!(poll(&both, -1), (Ok(1), vec![IN, 0]));
    set(fd, QUIET, 0);
    // SAFETY: no memory is involved.
    let set_fd = unsafe { libc::epoll_create1(0) };
    // SAFETY: as above.
    let other = unsafe { libc::dup(fd) };
    for (fd, events) in [(fd, libc::EPOLLIN), (other, libc::EPOLLPRI)] {
        assert_eq!(epoll_add(set_fd, libc::EPOLL_CTL_ADD, fd, events, events as u64), Ok(()));
    }
    set(fd, DURING, 1);
    assert_eq!(epoll_wait(set_fd, -1), [(libc::EPOLLIN as u32, libc::EPOLLIN as u64)]);
}

fn a_poll_ends_by_signal_close_and_time() {
    run::passes("events", half!(client_of_a_poll_ends_by_signal_close_and_time));
}
static SIGNALS: AtomicU32 = AtomicU32::new(0);
extern "C" fn count(_signal: i32) {
    SIGNALS.fetch_add(1, Ordering::SeqCst);
}
fn client_of_a_poll_ends_by_signal_close_and_time() {
    // SAFETY: all-zero is a sigaction. SA_RESTART does not restart poll.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: a handler that counts.
    unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) };
    let fd = open("/dev/events0");
    let calls = ioctl(fd, CALLS, 0).unwrap();
    let waiter = std::thread::spawn(move || poll(&[(fd, IN)], -1).0);
    until(|| ioctl(fd, CALLS, 0).unwrap() > calls);
    // SAFETY: a thread that is not joined yet.
    unsafe { libc::pthread_kill(std::os::unix::thread::JoinHandleExt::as_pthread_t(&waiter), libc::SIGUSR1) };
    assert_eq!(waiter.join().unwrap(), Err(libc::EINTR));
    assert_eq!(SIGNALS.load(Ordering::SeqCst), 1);
    // A signal that is blocked but in ppoll's mask waits for ppoll.
    // SAFETY: all-zero is an empty set.
    let (none, mut usr1): (libc::sigset_t, libc::sigset_t) = unsafe { std::mem::zeroed() };
    // SAFETY: a set of the test's.
    unsafe { libc::sigaddset(&mut usr1, libc::SIGUSR1) };
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &usr1, std::ptr::null_mut()) };
    // SAFETY: to this thread.
    unsafe { libc::raise(libc::SIGUSR1) };
    let mut one = libc::pollfd { fd, events: IN, revents: 0 };
    assert_eq!(poll(&[(fd, IN)], 5).0, Ok(0));
    // SAFETY: one entry, no limit.
    let r = unsafe { libc::ppoll(&mut one, 1, std::ptr::null(), &none) };
    assert_eq!((r, errno(), SIGNALS.load(Ordering::SeqCst)), (-1, libc::EINTR, 2));
    // Closed by another thread: a bad descriptor.
    let other = open("/dev/events0");
    let calls = ioctl(fd, CALLS, 0).unwrap();
    let waiter = std::thread::spawn(move || poll(&[(other, IN)], -1));
    until(|| ioctl(fd, CALLS, 0).unwrap() > calls);
    // SAFETY: no memory is involved.
    unsafe { libc::close(other) };
    assert_eq!(waiter.join().unwrap(), (Ok(1), vec![libc::POLLNVAL]));
    assert_eq!(poll(&[(fd, IN)], 30), (Ok(0), vec![0]));
}

/// select(2) for reading, writing and exceptions.
fn select(n: i32, fds: [&[RawFd]; 3], millis: Option<i64>) -> (Result<i32, i32>, [Vec<RawFd>; 3]) {
    // SAFETY: all-zero is an empty set.
    let mut sets: [libc::fd_set; 3] = unsafe { std::mem::zeroed() };
    for (set, fds) in sets.iter_mut().zip(fds) {
        // SAFETY: descriptors below the limit, a set of the test's.
        fds.iter().for_each(|&fd| unsafe { libc::FD_SET(fd, set) });
    }
    let mut limit = libc::timeval { tv_sec: 0, tv_usec: millis.unwrap_or(0) * 1000 };
    let limit = if millis.is_some() { &raw mut limit } else { std::ptr::null_mut() };
    let [read, write, except] = &mut sets;
    // SAFETY: all of these live through the call.
    let r = unsafe { libc::select(n, read, write, except, limit) };
    // SAFETY: as above.
    let found = sets.map(|set| (0..n).filter(|&fd| unsafe { libc::FD_ISSET(fd, &set) }).collect());
    (if r < 0 { Err(errno()) } else { Ok(r) }, found)
}

fn select_asks_the_driver() {
    run::passes("events", half!(client_of_select_asks_the_driver));
}
fn client_of_select_asks_the_driver() {
    let fd = open("/dev/events0");
    let [read, write] = pipe();
    let n = fd.max(read).max(write) + 1;
    assert_eq!(select(n, [&[fd, read], &[], &[fd]], Some(5)), (Ok(0), [vec![], vec![], vec![]]));
    assert_eq!(ioctl(fd, ASKED, 0), Ok(0xc0), "POLLRDNORM and POLLRDBAND");
    set(fd, QUIET, 0xc4);
    let all = [vec![fd], vec![fd.min(write), fd.max(write)], vec![fd]];
    assert_eq!(select(n, [&[fd, read], &[fd, write], &[fd]], None), (Ok(4), all));
    set(fd, QUIET, 0);
    set(fd, LATER, 0x40);
    assert_eq!(select(n, [&[fd, read], &[], &[]], None), (Ok(1), [vec![fd], vec![], vec![]]));
    assert_eq!(select(978, [&[fd, 977], &[], &[]], None).0, Err(libc::EBADF));
}

fn epoll_add(set: RawFd, op: i32, fd: RawFd, events: i32, data: u64) -> Result<(), i32> {
    let mut event = libc::epoll_event { events: events as u32, u64: data };
    // SAFETY: the event lives through the call.
    if unsafe { libc::epoll_ctl(set, op, fd, &mut event) } == 0 { Ok(()) } else { Err(errno()) }
}

fn epoll_wait(set: RawFd, millis: i32) -> Vec<(u32, u64)> {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 8];
    // SAFETY: room for eight.
    let n = unsafe { libc::epoll_wait(set, events.as_mut_ptr(), 8, millis) };
    events[..usize::try_from(n).unwrap()].iter().map(|e| (e.events, e.u64)).collect()
}

fn epoll_asks_the_driver() {
    run::passes("events", half!(client_of_epoll_asks_the_driver));
}
fn client_of_epoll_asks_the_driver() {
    let fd = open("/dev/events0");
    let [read, write] = pipe();
    // SAFETY: no memory is involved.
    let set_fd = unsafe { libc::epoll_create1(0) };
    let (add, change, delete) = (libc::EPOLL_CTL_ADD, libc::EPOLL_CTL_MOD, libc::EPOLL_CTL_DEL);
    let input = libc::EPOLLIN;
    assert_eq!(epoll_add(set_fd, change, fd, input, 7), Err(libc::ENOENT));
    assert_eq!(epoll_add(set_fd, add, fd, input, 7), Ok(()));
    assert_eq!(epoll_add(set_fd, add, fd, input, 7), Err(libc::EEXIST));
    assert_eq!(epoll_add(set_fd, add, read, input, 8), Ok(()));
    assert_eq!(epoll_wait(set_fd, 5), []);
    set(fd, LATER, 1);
    assert_eq!(epoll_wait(set_fd, -1), [(1, 7)]);
    put(write);
    assert_eq!(epoll_wait(set_fd, -1), [(1, 7), (1, 8)]);
    set(fd, QUIET, 0);
    assert_eq!(epoll_wait(set_fd, -1), [(1, 8)]);
    // Once only, and by edges.
    set(fd, QUIET, 1);
    assert_eq!(epoll_add(set_fd, delete, read, 0, 0), Ok(()));
    assert_eq!(epoll_add(set_fd, change, fd, input | libc::EPOLLONESHOT, 9), Ok(()));
    assert_eq!(epoll_wait(set_fd, -1), [(1, 9)]);
    assert_eq!(epoll_wait(set_fd, 5), []);
    assert_eq!(epoll_add(set_fd, change, fd, input | libc::EPOLLET, 10), Ok(()));
    assert_eq!(epoll_wait(set_fd, -1), [(1, 10)]);
    assert_eq!(epoll_wait(set_fd, 5), []);
    set(fd, QUIET, 0);
    assert_eq!(epoll_wait(set_fd, 5), []);
    set(fd, LATER, 1);
    assert_eq!(epoll_wait(set_fd, -1), [(1, 10)]);
    assert_eq!(epoll_add(set_fd, delete, fd, 0, 0), Ok(()));
    assert_eq!(epoll_wait(set_fd, 5), []);
}

fn nonblocking_files() {
    run::passes("events", half!(client_of_nonblocking_files));
}
fn client_of_nonblocking_files() {
    const FNONBLOCK: i32 = 0x80;
    let fd = open("/dev/events0");
    // SAFETY: no memory is involved, here and below.
    let fcntl = |cmd: i32, arg: i32| unsafe { libc::fcntl(fd, cmd, arg) };
    let mut byte = 0u8;
    // SAFETY: room for a byte.
    let mut read = || unsafe { libc::read(fd, (&raw mut byte).cast(), 1) };
    assert_eq!(ioctl(fd, MODE, 0).unwrap() & FNONBLOCK, 0);
    assert_eq!(fcntl(libc::F_GETFL, 0) & libc::O_NONBLOCK, 0);
    assert_eq!(fcntl(libc::F_SETFL, libc::O_NONBLOCK), 0);
    assert_eq!(fcntl(libc::F_GETFL, 0), libc::O_RDWR | libc::O_NONBLOCK);
    assert_ne!(ioctl(fd, MODE, 0).unwrap() & FNONBLOCK, 0);
    assert_eq!((read(), errno()), (-1, libc::EAGAIN));
    set(fd, QUIET, 1);
    assert_eq!(read(), 1);
    set(fd, QUIET, 0);
    assert_eq!(fcntl(libc::F_SETFL, 0), 0);
    set(fd, LATER, 1);
    assert_eq!(read(), 1);
    let other = try_open("/dev/events0", libc::O_RDONLY | libc::O_NONBLOCK).unwrap();
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::fcntl(other, libc::F_GETFL) }, libc::O_RDONLY | libc::O_NONBLOCK);
    assert_ne!(ioctl(other, MODE, 0).unwrap() & FNONBLOCK, 0);
}
