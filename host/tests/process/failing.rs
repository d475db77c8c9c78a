//! Parts that clients play: accesses that fail, and what handlers see of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::client::*;
use crate::kernel;

/// By name.
pub const PARTS: &[Part] = &[
    ("behind", behind),
    ("fail", fail),
    ("fail-in-system-call", fail_in_system_call),
    ("fail-late", fail_late),
    ("fail-kills", fail_kills),
    ("fail-blocked", fail_blocked),
    ("stray", stray),
    ("null", null),
    ("panic", panic),
    ("detour", detour),
    ("interrupt", interrupt),
    ("no-descriptors", no_descriptors),
    ("no-descriptors-calls", no_descriptors_calls),
    ("few-descriptors", few_descriptors),
    ("no-descriptors-poison", no_descriptors_poison),
];

/// Sets the soft limit of open files.
fn limit_files(soft: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours to fill.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    limit.rlim_cur = soft.min(limit.rlim_max);
    // SAFETY: a filled-in limit.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
}

/// Notes a fault, and lets the process have descriptors again.
extern "C" fn note_and_refill(signo: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid structure.
    let info = unsafe { &*info };
    NOTED.store(
        u64::from(signo.cast_unsigned()) << 32 | u64::from(info.si_errno.cast_unsigned()),
        Ordering::SeqCst,
    );
    limit_files(u64::MAX);
}

/// The signal and the error of the last fault, for [`no_descriptors`].
static NOTED: AtomicU64 = AtomicU64::new(0);

/// A thread without a connection, in a process that cannot make one: where its faults are signals its access fails by one. The process goes on, and so does the access
/// when there are descriptors again.
fn no_descriptors() {
    let m = map(open(), 4, 0);
    m.set(0, 1);
    handle(libc::SIGBUS, note_and_refill as *const () as usize, libc::SA_SIGINFO);
    let at = m.word(1) as usize;
    let (go, wait) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ = wait.recv();
        // SAFETY: within the mapping, which lives as long as the process.
        unsafe { (at as *mut u64).write_volatile(2) };
    });
    limit_files(3);
    let _ = go.send(());
    check("the thread", thread.join().is_ok(), true);
    limit_files(u64::MAX);
    check("the words", (m.get(0), m.get(1)), (1, 2));
    // Which of the two is right is known by who has started this.
    match NOTED.load(Ordering::SeqCst) {
        0 => {}
        noted => {
            check("the signal", noted, (libc::SIGBUS as u64) << 32 | libc::EMFILE as u64);
            std::process::exit(libc::SIGBUS);
        }
    }
}

/// The first mmap fails with `EMFILE`, whichever of the descriptors that it takes is one too many.
fn few_descriptors() {
    let fd = open();
    let enough = (0..64).find(|limit| {
        limit_files(*limit);
        let made = try_map(fd, 1, 0, libc::MAP_SHARED, libc::PROT_READ);
        limit_files(u64::MAX);
        check("mmap", made.as_ref().err().is_none_or(|e| *e == libc::EMFILE), true);
        made.is_ok()
    });
    check("some are too few, and some are enough", enough.is_some_and(|limit| limit > 3), true);
}

/// Calls of such a thread that change device memory fail, and change nothing: without the host's knowledge its next translation would
/// undo what Linux has done.
fn no_descriptors_calls() {
    let m = map(open(), 4, 0);
    m.set(1, 1);
    let (at, page) = (m.word(1) as usize & !4095, 4096);
    let (go, wait) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ = wait.recv();
        let addr = at as *mut libc::c_void;
        let (fixed, none) = (libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, libc::PROT_NONE);
        let errno = || std::io::Error::last_os_error().raw_os_error();
        // SAFETY: a page of the mapping.
        let protected = (unsafe { libc::mprotect(addr, page, none) }, errno());
        // SAFETY: as above.
        let replaced = (unsafe { libc::mmap(addr, page, none, fixed, -1, 0) }, errno());
        // SAFETY: as above.
        let advised = (unsafe { libc::madvise(addr, page, libc::MADV_DONTNEED) }, errno());
        // SAFETY: as above.
        let synced = (unsafe { libc::msync(addr, page, libc::MS_SYNC) }, errno());
        check("mprotect", protected, (-1, Some(libc::ENOMEM)));
        check("mmap", replaced.0 == libc::MAP_FAILED && replaced.1 == Some(libc::ENOMEM), true);
        check("madvise", advised, (-1, Some(libc::ENOMEM)));
        check("msync", synced, (-1, Some(libc::ENOMEM)));
    });
    limit_files(3);
    let _ = go.send(());
    check("the thread", thread.join().is_ok(), true);
    limit_files(u64::MAX);
    check("the word", m.get(1), 1);
}

/// Lets the process have descriptors again, then as [`note`].
extern "C" fn refill_and_note(signo: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    limit_files(u64::MAX);
    note(signo, info, context);
}

/// The poison that makes a system call's access fail is not met by such a thread's next access, which comes at once: that fails as the driver says.
fn no_descriptors_poison() {
    let fd = open();
    let m = map(fd, 4, 0);
    let mut pipe = [0; 2];
    // SAFETY: room for two.
    check("pipe", unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
    handle(libc::SIGBUS, refill_and_note as *const () as usize, libc::SA_SIGINFO);
    check("ioctl", ioctl(fd, kernel::FAIL_FAULTS, libc::SIGBUS as u64), 0);
    let at = m.word(1) as usize;
    let (go, wait) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ = wait.recv();
        // SAFETY: within the mapping, which lives as long as the process.
        let written = (unsafe { libc::write(pipe[1], at as *const _, 8) }, errno());
        // SAFETY: as above.
        unsafe { (at as *const u64).read_volatile() };
        check("write", written, (-1, libc::EFAULT));
        check("the signal", caught(), (libc::SIGBUS, 3, at as u64));
    });
    limit_files(3);
    let _ = go.send(());
    check("the thread", thread.join().is_ok(), true);
}

fn behind() {
    // So is one that changes a device mapping behind the shim's back; it does not spin.
    let m = map(open(), 4, 0);
    m.set(0, 1);
    // SAFETY: a range of the mapping.
    unsafe { libc::syscall(libc::SYS_mprotect, m.at, PAGE, libc::PROT_NONE) };
    m.set(0, 2);
}

fn fail() {
    let fd = open();
    catch_faults();
    let m = map(fd, 8, 0);
    for (i, (signo, code)) in [(libc::SIGBUS, 3), (libc::SIGSEGV, 1)].into_iter().enumerate() {
        check("ioctl", ioctl(fd, kernel::FAIL_FAULTS, signo as u64), 0);
        // SAFETY: within the mapping.
        unsafe { m.word(i).wrapping_byte_add(16).write_volatile(3) };
        let (s, c, a) = caught();
        check("signal", (s, c, a & !0xfff), (signo, code, m.word(i) as u64));
        // Linux tells the exact address since 5.18.
        check("address", a == m.word(i) as u64 + 16 || a == m.word(i) as u64, true);
    }
    check("ioctl", ioctl(fd, kernel::FAIL_FAULTS, 0), 0);
    m.set(5, 1);
    check("none", caught().0, 0);
}

fn fail_in_system_call() {
    let fd = open();
    let m = map(fd, 8, 0);
    let mut pipe = [0; 2];
    // SAFETY: room for two.
    check("pipe", unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
    check("ioctl", ioctl(fd, kernel::FAIL_FAULTS, libc::SIGBUS as u64), 0);
    // SAFETY: within the mapping.
    check("write", unsafe { libc::write(pipe[1], m.word(1).cast(), 8) }, -1);
    check("error", errno(), libc::EFAULT);
    // SAFETY: within the mapping.
    check("device write", unsafe { libc::write(fd, m.word(1).cast(), 8) }, -1);
    check("error", errno(), libc::EFAULT);
    check("ioctl", ioctl(fd, kernel::FAIL_FAULTS, 0), 0);
    std::thread::sleep(Duration::from_millis(20));
    // SAFETY: within the mapping.
    check("write", unsafe { libc::write(pipe[1], m.word(1).cast(), 8) }, 8);
    check("the page works again", m.get(1), 0);
}

/// Milliseconds that [`write_late`] waits, the device, the page that it writes from, a pipe, and what came of it.
static LATE: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];

/// Tells the driver to refuse nothing any more, and writes from the page of the access that the signal has taken the thread away from, when that was refused or is going to be.
extern "C" fn write_late(_: i32) {
    let [delay, device, page, pipe, written] = &LATE;
    std::thread::sleep(Duration::from_millis(delay.load(Ordering::SeqCst)));
    let file = |number: &AtomicU64| number.load(Ordering::SeqCst) as i32;
    check("ioctl", ioctl(file(device), kernel::FAIL_FAULTS, 0), 0);
    let (from, to) = (page.load(Ordering::SeqCst) as *const u64, file(pipe));
    // SAFETY: within the mapping, which is there as long as the process.
    let n = unsafe { libc::write(to, from.cast(), 8) };
    written.store(n.cast_unsigned() as u64, Ordering::SeqCst);
}

/// The answer to an access that its thread has left does not hold for a system call that comes to the same page later.
fn fail_late() {
    let fd = open();
    let m = map(fd, 8, 0);
    let mut pipe = [0; 2];
    // SAFETY: room for two.
    check("pipe", unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
    handle(libc::SIGALRM, write_late as *const () as usize, 0);
    for delay in [400, 0] {
        check("ioctl", ioctl(fd, kernel::UNLOAD, 0), 0);
        let circumstances = [delay, fd as u64, m.word(1) as u64, pipe[1] as u64];
        LATE.iter().zip(circumstances).for_each(|(word, value)| word.store(value, Ordering::SeqCst));
        check("ioctl", ioctl(fd, kernel::FAIL_LATE, 200), 0);
        // SAFETY: no memory is involved.
        unsafe { ualarm(100_000, 0) };
        check("the word", m.get(1), 0);
        check("write", LATE[4].load(Ordering::SeqCst), 8);
    }
}

fn fail_kills() {
    let fd = open();
    let m = map(fd, 8, 0);
    check("ioctl", ioctl(fd, kernel::FAIL_FAULTS, libc::SIGBUS as u64), 0);
    m.set(0, 1);
}

fn fail_blocked() {
    let fd = open();
    catch_faults();
    // SAFETY: all-zero is a valid set.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: a valid set.
    unsafe { libc::sigfillset(&mut set) };
    // SAFETY: valid sets.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
    // SAFETY: valid sets.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, std::ptr::null(), &mut set) };
    // SAFETY: a valid set.
    check("seems blocked", unsafe { libc::sigismember(&set, libc::SIGSEGV) }, 1);
    let m = map(fd, 8, 0);
    m.set(1, 1);
    check("ioctl", ioctl(fd, kernel::FAIL_FAULTS, libc::SIGSEGV as u64), 0);
    m.set(0, 1);
}

fn stray() {
    let m = map(open(), 8, 0);
    unmap(m.at, m.len);
    m.set(0, 1);
}

fn null() {
    let m = map(open(), 8, 0);
    m.set(0, 1);
    // SAFETY: not sound at all: it is to kill the process, as it would without the shim.
    unsafe { std::hint::black_box(std::ptr::dangling_mut::<u64>()).write_volatile(1) };
}

fn panic() {
    let fd = open();
    check("ioctl", ioctl(fd, kernel::PANIC, 0), -1);
    check("error", errno(), libc::EIO);
    check("goes on", stats(fd)[0], 1);
}

fn detour() {
    let fd = open();
    let m = map(fd, 4, 0);
    m.set(0, u64::from_ne_bytes(*b"abcdefgh"));
    check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
    let mut pipe = [0; 2];
    // SAFETY: room for two.
    check("pipe", unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
    // SAFETY: within the mapping.
    check("write", unsafe { libc::write(pipe[1], m.at.cast(), 8) }, 8);
    // SAFETY: within the mapping.
    check("read", unsafe { libc::read(pipe[0], m.word(2).cast(), 8) }, 8);
    check("arrived", m.get(2), m.get(0));
    let iov = [m.word(2), m.word(0)].map(|w| libc::iovec { iov_base: w.cast(), iov_len: 8 });
    // SAFETY: within the mapping.
    let n = unsafe { libc::writev(pipe[1], iov.as_ptr(), 2) };
    check("writev", n == 16 || n == 8, true);
    // The device's own write, from device memory.
    // SAFETY: within the mapping.
    check("to the device", unsafe { libc::write(fd, m.word(2).cast(), 8) }, 8);
    // SAFETY: within the mapping.
    check("ioctl", ioctl(fd, kernel::STATS, m.word(3) as u64), 0);
    check("opens", m.get(3), 1);
}

fn interrupt() {
    extern "C" fn nothing(_: i32) {}
    let fd = open();
    handle(libc::SIGALRM, nothing as *const () as usize, 0);
    for _ in 0..3 {
        // SAFETY: no memory is involved.
        unsafe { ualarm(30_000, 0) };
        check("sleep", ioctl(fd, kernel::SLEEP, 0), -1);
        check("error", errno(), libc::EINTR);
    }
    let pid = fork(|| {
        ioctl(fd, kernel::SLEEP, 0);
    })
    .unwrap_or(0);
    std::thread::sleep(Duration::from_millis(50));
    kill(pid, libc::SIGKILL);
    check("killed", wait(pid), libc::SIGKILL);
}

unsafe extern "C" {
    fn ualarm(micros: u32, interval: u32) -> u32;
}
