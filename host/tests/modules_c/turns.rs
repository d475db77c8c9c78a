//! A page that one process has at a time: the driver waits inside its access callback and takes other processes' translations away with its mutex
//! held.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::devices::*;
use crate::run;

tests!(
    the_page_goes_from_hand_to_hand,
    who_keeps_the_page_makes_others_wait,
    a_stopped_owner_does_not_block_the_others,
    a_signal_ends_the_driver_s_wait_in_a_fault
);

const KEEP: u32 = 0x7901;
const GIVE: u32 = 0x7902;
const SWITCHES: u32 = 0x7903;
const WAITING: u32 = 0x7904;
const TIMEOUT: u32 = 0x7905;
const INTERRUPTED: u32 = 0x7906;

fn the_page_goes_from_hand_to_hand() {
    run::passes("turns", half!(client_of_the_page_goes_from_hand_to_hand));
}
fn client_of_the_page_goes_from_hand_to_hand() {
    const ROUNDS: u64 = 100;
    let fd = open("/dev/turns0");
    let at = map(fd, 0, 0x1000, libc::MAP_SHARED);
    let (mut here, mut there) = UnixStream::pair().unwrap();
    let mut byte = [0];
    let child = fork(|| {
        for _ in 0..ROUNDS {
            there.read_exact(&mut byte).unwrap();
            set_word(at, 0, word(at, 0) + 1);
            there.write_all(&byte).unwrap();
        }
        0
    });
    for _ in 0..ROUNDS {
        set_word(at, 0, word(at, 0) + 1);
        here.write_all(&byte).unwrap();
        here.read_exact(&mut byte).unwrap();
    }
    assert_eq!(wait(child), 0);
    assert_eq!(word(at, 0), 2 * ROUNDS);
    // The first touch, and two changes of hands per round but the last.
    let switches = ioctl(fd, SWITCHES, 0).unwrap() as u64;
    assert!((2 * ROUNDS..=2 * ROUNDS + 1).contains(&switches), "{switches} switches");
}

fn who_keeps_the_page_makes_others_wait() {
    run::passes("turns", half!(client_of_who_keeps_the_page_makes_others_wait));
}
fn client_of_who_keeps_the_page_makes_others_wait() {
    let fd = open("/dev/turns0");
    let at = map(fd, 0, 0x1000, libc::MAP_SHARED);
    set_word(at, 8, 1);
    assert_eq!(ioctl(fd, KEEP, 0), Ok(0));
    let touch = || {
        fork(|| {
            set_word(at, 8, word(at, 8) + 1);
            0
        })
    };
    // Until it is given up.
    let child = touch();
    until(|| ioctl(fd, WAITING, 0) == Ok(1));
    set_word(at, 8, 10);
    assert_eq!(ioctl(fd, GIVE, 0), Ok(0));
    assert_eq!(wait(child), 0);
    assert_eq!(word(at, 8), 11);
    // Until it dies.
    assert_eq!(ioctl(fd, KEEP, 0), Ok(0));
    let child = touch();
    until(|| ioctl(fd, WAITING, 0) == Ok(1));
    // SAFETY: our child, not waited for yet.
    unsafe { libc::kill(child, libc::SIGKILL) };
    assert_eq!(wait(child), 128 + libc::SIGKILL);
    until(|| ioctl(fd, WAITING, 0) == Ok(0));
    // For a while only.
    assert_eq!(ioctl(fd, TIMEOUT, 20_000), Ok(0));
    let child = touch();
    assert_eq!(wait(child), 0);
    assert_eq!(word(at, 8), 12);
}

fn a_stopped_owner_does_not_block_the_others() {
    run::passes("turns", half!(client_of_a_stopped_owner_does_not_block_the_others));
}
fn client_of_a_stopped_owner_does_not_block_the_others() {
    let fd = open("/dev/turns0");
    let at = map(fd, 0, 0x1000, libc::MAP_SHARED);
    let (mut here, mut there) = UnixStream::pair().unwrap();
    let mut byte = [0];
    let child = fork(|| {
        set_word(at, 16, 1);
        there.write_all(&[1]).unwrap();
        there.read_exact(&mut [0]).unwrap();
        (word(at, 16) != 2) as i32
    });
    here.read_exact(&mut byte).unwrap();
    // SAFETY: our child, not waited for yet.
    unsafe { libc::kill(child, libc::SIGSTOP) };
    let mut status = 0;
    // SAFETY: our child and room for its status.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, libc::WUNTRACED) }, child);
    assert!(libc::WIFSTOPPED(status));
    set_word(at, 16, word(at, 16) + 1);
    // SAFETY: as above.
    unsafe { libc::kill(child, libc::SIGCONT) };
    here.write_all(&byte).unwrap();
    assert_eq!(wait(child), 0);
}

fn a_signal_ends_the_driver_s_wait_in_a_fault() {
    run::passes_in_every_mode("turns", half!(client_of_a_signal_ends_the_driver_s_wait_in_a_fault));
}

/// Where the handlers below say that they ran.
static TOLD: AtomicI32 = AtomicI32::new(-1);

extern "C" fn tell(_signal: i32) {
    // SAFETY: one byte.
    unsafe { libc::write(TOLD.load(Ordering::SeqCst), b"s".as_ptr().cast(), 1) };
}

extern "C" fn leave(_signal: i32) {
    // SAFETY: ends the process.
    unsafe { libc::_exit(33) };
}

fn handle(signal: i32, handler: extern "C" fn(i32)) {
    // SAFETY: a handler that does what handlers may.
    unsafe { libc::signal(signal, handler as *const () as usize) };
}

fn client_of_a_signal_ends_the_driver_s_wait_in_a_fault() {
    let fd = open("/dev/turns0");
    let at = map(fd, 0, 0x1000, libc::MAP_SHARED);
    let (mut here, there) = UnixStream::pair().unwrap();
    TOLD.store(std::os::fd::AsRawFd::as_raw_fd(&there), Ordering::SeqCst);
    set_word(at, 8, 1);
    assert_eq!(ioctl(fd, KEEP, 0), Ok(0));
    let send = |pid: i32, signal: i32| {
        // SAFETY: our child, not waited for yet.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    };
    let waits = |n: i32| until(|| ioctl(fd, WAITING, 0) == Ok(n));
    let interrupted = || ioctl(fd, INTERRUPTED, 0).unwrap();
    let touch = || {
        handle(libc::SIGUSR1, tell);
        handle(libc::SIGUSR2, leave);
        set_word(at, 8, word(at, 8) + 1);
        0
    };
    // The handler runs while the page is kept, and the access is tried again.
    let child = fork(touch);
    waits(1);
    for n in 1..4 {
        let before = interrupted();
        send(child, libc::SIGUSR1);
        here.read_exact(&mut [0]).unwrap();
        until(|| interrupted() > before);
        waits(1);
        assert!(interrupted() >= n);
    }
    // What is ignored interrupts nothing, nor does a stop end the access.
    send(child, libc::SIGWINCH);
    send(child, libc::SIGSTOP);
    let mut status = 0;
    // SAFETY: our child and room for its status.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, libc::WUNTRACED) }, child);
    send(child, libc::SIGCONT);
    waits(1);
    assert_eq!(ioctl(fd, GIVE, 0), Ok(0));
    assert_eq!(wait(child), 0);
    assert_eq!(word(at, 8), 2);
    // One that is not to come back, and one that kills.
    for (signal, end) in [(libc::SIGUSR2, 33), (libc::SIGTERM, 128 + libc::SIGTERM)] {
        assert_eq!(ioctl(fd, KEEP, 0), Ok(0));
        let child = fork(touch);
        waits(1);
        send(child, signal);
        assert_eq!(wait(child), end);
        waits(0);
    }
    // A system call's access: the call ends, by its error or after the handler.
    assert_eq!(ioctl(fd, KEEP, 0), Ok(0));
    let (mut out, into) = UnixStream::pair().unwrap();
    let child = fork(|| {
        handle(libc::SIGUSR1, tell);
        // SAFETY: eight bytes of the mapping.
        let n = unsafe { libc::write(std::os::fd::AsRawFd::as_raw_fd(&into), at.cast(), 8) };
        i32::from(n != 8 && !(n == -1 && matches!(errno(), libc::EFAULT | libc::EINTR)))
    });
    waits(1);
    send(child, libc::SIGUSR1);
    here.read_exact(&mut [0]).unwrap();
    assert_eq!(ioctl(fd, GIVE, 0), Ok(0));
    assert_eq!(wait(child), 0);
    drop(into);
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).unwrap();
    waits(0);
}
