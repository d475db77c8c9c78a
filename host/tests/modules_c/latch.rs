//! A driver that waits for long in its access callback, on behalf of threads that get signals, are stopped, die, or fork meanwhile.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use crate::devices::*;
use crate::run;

tests!(
    an_access_is_tried_again_until_something_is_loaded,
    a_thread_goes_on_when_its_callback_has_returned,
    a_timed_wait_takes_its_time_and_no_longer,
    a_signal_s_handler_runs_and_the_access_is_tried_again,
    a_handler_may_leave_the_access_for_good,
    stopping_and_ending_a_thread_that_waits,
    a_fork_beside_a_thread_that_waits,
    a_fork_beside_calls_that_wait,
    a_fork_that_waits_for_a_driver_says_so
);

const HOLD: u32 = 0x7c01;
const GIVE: u32 = 0x7c02;
const TIMEOUT: u32 = 0x7c03;
const PAUSE: u32 = 0x7c04;
const COUNTS: u32 = 0x7c05;
const UNLOAD: u32 = 0x7c06;
const LATER: u32 = 0x7c07;
const DELAY: u32 = 0x7c08;

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    accesses: i32,
    waiting: i32,
    timeouts: i32,
    interrupts: i32,
    wakeups: i32,
    dups: i32,
}

/// The device, the latch and the board.
#[derive(Clone, Copy)]
struct Latch {
    fd: i32,
    latch: *mut u8,
    board: *mut u8,
}

impl Latch {
    fn new() -> Latch {
        let fd = open("/dev/latch0");
        let map = |off| map(fd, off, 0x1000, libc::MAP_SHARED);
        Latch { fd, latch: map(0), board: map(0x1000) }
    }

    fn ask(&self, cmd: u32, arg: u64) {
        assert_eq!(ioctl(self.fd, cmd, arg), Ok(0));
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.ask(COUNTS, &raw mut counts as u64);
        counts
    }

    /// A child that touches the latch, and then does something else; when it waits in the driver.
    fn waiter(&self, then: impl FnOnce() -> i32) -> i32 {
        let child = fork(|| {
            set_word(self.latch, 8, 1);
            then()
        });
        until(|| self.counts().waiting == 1);
        child
    }
}

fn kill(pid: i32, signal: i32) {
    // SAFETY: our child, not waited for yet.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

static HANDLED: AtomicI32 = AtomicI32::new(0);

extern "C" fn count(_signal: i32) {
    HANDLED.fetch_add(1, Ordering::SeqCst);
}

fn handle(signal: i32, handler: extern "C" fn(i32)) {
    // SAFETY: all-zero is a sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the tests' handlers touch atomics and device memory only.
    unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) };
}

fn a_thread_goes_on_when_its_callback_has_returned() {
    run::passes_with_all_faults("latch", half!(client_of_a_thread_goes_on_when_its_callback_has_returned));
}
fn client_of_a_thread_goes_on_when_its_callback_has_returned() {
    let it = Latch::new();
    it.ask(PAUSE, 30_000);
    for round in 1..=5 {
        // The callback for the latch loads the board, too, a while later.
        set_word(it.latch, 0, round);
        set_word(it.board, 0, round);
        assert_eq!(it.counts().accesses, round as i32);
        it.ask(UNLOAD, 0);
    }
}

fn an_access_is_tried_again_until_something_is_loaded() {
    run::passes_with_all_faults("latch", half!(client_of_an_access_is_tried_again_until_something_is_loaded));
}
fn client_of_an_access_is_tried_again_until_something_is_loaded() {
    let it = Latch::new();
    it.ask(LATER, 5);
    set_word(it.board, 0, 3);
    assert_eq!(word(it.board, 0), 3);
    assert_eq!(it.counts().accesses, 6);
    // A system call's access, too: it is not an error.
    it.ask(UNLOAD, 0);
    it.ask(LATER, 3);
    let (mut here, mut there) = UnixStream::pair().unwrap();
    here.write_all(&[9; 8]).unwrap();
    // SAFETY: eight bytes of the test's mapping.
    there.read_exact(unsafe { std::slice::from_raw_parts_mut(it.board, 8) }).unwrap();
    assert_eq!(word(it.board, 0), 0x0909_0909_0909_0909);
    assert_eq!(it.counts().accesses, 10);
}

fn a_timed_wait_takes_its_time_and_no_longer() {
    run::passes_with_all_faults("latch", half!(client_of_a_timed_wait_takes_its_time_and_no_longer));
}
fn client_of_a_timed_wait_takes_its_time_and_no_longer() {
    let it = Latch::new();
    it.ask(TIMEOUT, 500_000);
    it.ask(HOLD, 0);
    set_word(it.latch, 0, 1);
    set_word(it.board, 0, 5);
    let child = it.waiter(|| (word(it.board, 0) != 5) as i32);
    assert_eq!(wait(child), 0);
    let counts = it.counts();
    assert_eq!((counts.timeouts, counts.wakeups, counts.interrupts), (1, 0, 0));
    // It was taken away: what is written to the board now is lost, until the latch is held again.
    set_word(it.board, 0, 6);
    let child = fork(|| {
        // A child inherits its parent's board.
        set_word(it.board, 0, 7);
        0
    });
    assert_eq!(wait(child), 0);
    it.ask(HOLD, 0);
    assert_eq!(word(it.board, 0), 5);
    set_word(it.board, 0, 8);
    assert_eq!(word(it.board, 0), 8);
    it.ask(GIVE, 0);
    // Time also passes while the holder is stopped.
    let (mut here, mut there) = UnixStream::pair().unwrap();
    let child = fork(|| {
        it.ask(HOLD, 0);
        set_word(it.latch, 0, 2);
        there.write_all(&[1]).unwrap();
        loop {
            // SAFETY: waits for a signal.
            unsafe { libc::pause() };
        }
    });
    here.read_exact(&mut [0]).unwrap();
    stop(child);
    set_word(it.latch, 0, 3);
    assert_eq!(it.counts().timeouts, 2);
    kill(child, libc::SIGKILL);
    assert_eq!(wait(child), 128 + libc::SIGKILL);
}

fn stop(child: i32) {
    kill(child, libc::SIGSTOP);
    let mut status = 0;
    // SAFETY: our child and room for its status.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, libc::WUNTRACED) }, child);
    assert!(libc::WIFSTOPPED(status));
}

fn a_signal_s_handler_runs_and_the_access_is_tried_again() {
    run::passes_with_all_faults(
        "latch",
        half!(client_of_a_signal_s_handler_runs_and_the_access_is_tried_again),
    );
}
fn client_of_a_signal_s_handler_runs_and_the_access_is_tried_again() {
    extern "C" fn slow(_signal: i32) {
        std::thread::sleep(std::time::Duration::from_millis(200));
        HANDLED.fetch_add(1, Ordering::SeqCst);
    }
    handle(libc::SIGUSR1, count);
    handle(libc::SIGUSR2, slow);
    let it = Latch::new();
    it.ask(HOLD, 0);
    let child = it.waiter(|| HANDLED.load(Ordering::SeqCst) - 2);
    for (n, signal) in [(1, libc::SIGUSR1), (2, libc::SIGUSR2)] {
        kill(child, signal);
        until(|| it.counts().interrupts == n);
        until(|| it.counts().waiting == 1);
    }
    assert_eq!(it.counts().wakeups, 0);
    it.ask(GIVE, 0);
    assert_eq!(wait(child), 0);
    let counts = it.counts();
    assert_eq!((counts.interrupts, counts.wakeups, counts.waiting), (2, 1, 0));
}

static JUMP: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());

fn a_handler_may_leave_the_access_for_good() {
    run::passes_with_all_faults("latch", half!(client_of_a_handler_may_leave_the_access_for_good));
}
fn client_of_a_handler_may_leave_the_access_for_good() {
    /// Makes the access work, as far as the process is concerned, by mapping something else there.
    extern "C" fn replace(_signal: i32) {
        let at = JUMP.load(Ordering::SeqCst).cast();
        // SAFETY: the page of the mapping that the interrupted thread is about to touch.
        assert_eq!(unsafe { libc::munmap(at, 0x1000) }, 0);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: the page just unmapped.
        unsafe { libc::mmap(at, 0x1000, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    }
    let it = Latch::new();
    JUMP.store(it.latch, Ordering::SeqCst);
    handle(libc::SIGUSR1, replace);
    it.ask(HOLD, 0);
    let child = it.waiter(|| word(it.latch, 8) as i32 - 1);
    kill(child, libc::SIGUSR1);
    assert_eq!(wait(child), 0);
    assert_eq!(it.counts().interrupts, 1);
}

fn stopping_and_ending_a_thread_that_waits() {
    run::passes_with_all_faults("latch", half!(client_of_stopping_and_ending_a_thread_that_waits));
}
fn client_of_stopping_and_ending_a_thread_that_waits() {
    let it = Latch::new();
    it.ask(HOLD, 0);
    let child = it.waiter(|| 0);
    for _ in 0..3 {
        stop(child);
        kill(child, libc::SIGCONT);
    }
    it.ask(GIVE, 0);
    assert_eq!(wait(child), 0);
    let counts = it.counts();
    assert_eq!((counts.interrupts, counts.wakeups, counts.waiting), (0, 1, 0));
    // A signal that nobody handles ends the process at once.
    it.ask(HOLD, 0);
    for signal in [libc::SIGTERM, libc::SIGKILL] {
        let child = it.waiter(|| 0);
        kill(child, signal);
        assert_eq!(wait(child), 128 + signal);
        until(|| it.counts().waiting == 0);
    }
}

fn a_fork_beside_a_thread_that_waits() {
    run::passes_with_all_faults("latch", half!(client_of_a_fork_beside_a_thread_that_waits));
}
fn client_of_a_fork_beside_a_thread_that_waits() {
    let it = Latch::new();
    it.ask(HOLD, 0);
    let child = fork(|| {
        let address = it.latch as usize;
        let waiter = std::thread::spawn(move || set_word(address as *mut u8, 8, 1));
        until(|| it.counts().waiting == 1);
        // It ends although the other thread is in the driver, which is told to let go of it.
        let grandchild = fork(|| 0);
        assert_eq!(wait(grandchild), 0);
        assert_eq!(it.counts().interrupts, 1);
        until(|| it.counts().waiting == 1);
        it.ask(GIVE, 0);
        waiter.join().unwrap();
        0
    });
    assert_eq!(wait(child), 0);
    assert_eq!(word(it.latch, 8), 1);
}

fn a_fork_beside_calls_that_wait() {
    run::passes_with_all_faults("latch", half!(client_of_a_fork_beside_calls_that_wait));
}
fn client_of_a_fork_beside_calls_that_wait() {
    let it = Latch::new();
    it.ask(HOLD, 0);
    let child = fork(|| {
        let fd = it.fd;
        let waiter = std::thread::spawn(move || ioctl(fd, HOLD, 0));
        until(|| it.counts().waiting == 1);
        // A wait that signals can end is no reason to wait for it. The driver sees it woken for nothing, the thread nothing at all.
        for forks in 1..4 {
            let grandchild = fork(|| 0);
            assert_eq!(wait(grandchild), 0);
            until(|| it.counts().wakeups == forks && it.counts().waiting == 1);
        }
        it.ask(GIVE, 0);
        assert_eq!(waiter.join().unwrap(), Ok(0));
        // Any other call is waited for.
        for _ in 0..3 {
            let delayed = std::thread::spawn(move || ioctl(fd, DELAY, 100_000));
            until(|| it.counts().waiting == 1);
            let grandchild = fork(|| it.counts().waiting);
            assert_eq!(wait(grandchild), 0);
            assert_eq!(delayed.join().unwrap(), Ok(0));
        }
        0
    });
    assert_eq!(wait(child), 0);
}

fn a_fork_that_waits_for_a_driver_says_so() {
    let conf = "name=\"latch\" parent=\"pseudo\" instance=0;\n";
    let ran = run::run("latch", conf, half!(client_of_a_fork_that_waits_for_a_driver_says_so));
    let told = ran.text.matches("waits until its threads").count();
    assert!(ran.status == 0 && told == 1, "{}:\n{}", ran.status, ran.text);
}
fn client_of_a_fork_that_waits_for_a_driver_says_so() {
    let it = Latch::new();
    let fd = it.fd;
    let delayed = std::thread::spawn(move || ioctl(fd, DELAY, 6_000_000));
    until(|| it.counts().waiting == 1);
    assert_eq!(wait(fork(|| 0)), 0);
    assert_eq!(delayed.join().unwrap(), Ok(0));
}
