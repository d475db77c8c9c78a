//! What clients do with devices, in terms of libc, and fixtures that check themselves.

use std::ffi::CString;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::run;

tests!(
    kernel_memory,
    containers_and_probes,
    timeouts_task_queues_threads,
    locks,
    waits_end_by_wakeup_signal_and_time,
    a_killed_waiter_leaves_the_driver,
    a_process_s_own_memory_is_pinned,
    memory_of_every_kind_is_pinned,
    a_fork_copies_pinned_memory_with_the_rest
);

/// open(2), which must succeed.
pub fn open(path: &str) -> RawFd {
    try_open(path, libc::O_RDWR).unwrap_or_else(|e| panic!("{path}: {e}"))
}

pub fn try_open(path: &str, flags: i32) -> io::Result<RawFd> {
    let c = CString::new(path).unwrap();
    // SAFETY: a C string that lives through the call.
    let fd = unsafe { libc::open(c.as_ptr(), flags) };
    if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(fd) }
}

/// ioctl(2): its result, or the errno.
pub fn ioctl(fd: RawFd, cmd: u32, arg: u64) -> Result<i32, i32> {
    // SAFETY: the argument is a number, or the address of memory that the caller keeps.
    let result = unsafe { libc::ioctl(fd, libc::c_ulong::from(cmd), arg) };
    if result < 0 { Err(errno()) } else { Ok(result) }
}

pub fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap()
}

/// A shared mapping of a device, which must succeed.
pub fn map(fd: RawFd, offset: u64, len: usize, flags: i32) -> *mut u8 {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at a place of the kernel's choice.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, fd, offset as i64) };
    assert_ne!(at, libc::MAP_FAILED, "mmap: {}", io::Error::last_os_error());
    at.cast()
}

pub fn unmap(at: *mut u8, len: usize) {
    // SAFETY: a range of a mapping that the test made and does not touch any more.
    assert_eq!(unsafe { libc::munmap(at.cast(), len) }, 0);
}

/// The 64-bit word at an offset of a mapping.
pub fn word(at: *mut u8, offset: usize) -> u64 {
    // SAFETY: inside a live mapping of the test's.
    unsafe { at.wrapping_add(offset).cast::<u64>().read_volatile() }
}

pub fn set_word(at: *mut u8, offset: usize, value: u64) {
    // SAFETY: inside a live, writable mapping of the test's.
    unsafe { at.wrapping_add(offset).cast::<u64>().write_volatile(value) };
}

/// Forks; the child runs `f` and exits with its result.
pub fn fork(f: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child only runs `f` and _exit; the test binary runs one test at a time.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", io::Error::last_os_error());
    if pid == 0 {
        let status = f();
        // SAFETY: ends the child.
        unsafe { libc::_exit(status) };
    }
    pid
}

/// waitpid(2): the exit status, or 128 + the signal.
pub fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: a child of this process and room for its status.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
}

/// Waits until something is so.
pub fn until(mut so: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("it did not happen");
}

/// The fixture's own checks: the line of the first that does not hold.
fn checks(device: &str, cmd: u32) {
    let fd = open(device);
    assert_eq!(ioctl(fd, cmd, 0), Ok(0), "the result is the line of the fixture's check that does not hold");
}

fn kernel_memory() {
    run::passes("memory", half!(client_of_kernel_memory));
}
fn client_of_kernel_memory() {
    checks("/dev/memory0", 0x7401);
}

fn containers_and_probes() {
    run::passes("lists", half!(client_of_containers_and_probes));
}
fn client_of_containers_and_probes() {
    checks("/dev/lists0", 0x7b01);
}

fn timeouts_task_queues_threads() {
    run::passes("clocks", half!(client_of_timeouts_task_queues_threads));
}
fn client_of_timeouts_task_queues_threads() {
    checks("/dev/clocks0", 0x7601);
}

fn locks() {
    run::passes("waits", half!(client_of_locks));
}
fn client_of_locks() {
    checks("/dev/waits0", 0x7501);
}

const WAITS_WAIT: u32 = 0x7502;
const WAITS_TIMED: u32 = 0x7503;
const WAITS_POST: u32 = 0x7504;
const WAITS_WAITERS: u32 = 0x7505;
const WAITS_SEMA: u32 = 0x7506;
const WAITS_V: u32 = 0x7507;

extern "C" fn nothing(_signal: i32) {}

static COUNTED: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_signal: i32) {
    COUNTED.fetch_add(1, Ordering::SeqCst);
}

/// Starts an ioctl that waits on a thread of its own; `end` ends it; returns its answer.
fn waiting(fd: RawFd, cmd: u32, arg: u64, end: impl FnOnce(libc::pthread_t)) -> Result<i32, i32> {
    let waiter = std::thread::spawn(move || ioctl(fd, cmd, arg));
    until(|| ioctl(fd, WAITS_WAITERS, 0) == Ok(1));
    end(std::os::unix::thread::JoinHandleExt::as_pthread_t(&waiter));
    let answer = waiter.join().unwrap();
    assert_eq!(ioctl(fd, WAITS_WAITERS, 0), Ok(0));
    answer
}

fn interrupt(thread: libc::pthread_t) {
    // SAFETY: a thread that is not joined yet.
    unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
}

fn waits_end_by_wakeup_signal_and_time() {
    run::passes("waits", half!(client_of_waits_end_by_wakeup_signal_and_time));
}
fn client_of_waits_end_by_wakeup_signal_and_time() {
    // SAFETY: all-zero is a sigaction; no SA_RESTART, so that calls end with EINTR.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as *const () as usize;
    // SAFETY: a handler that does nothing.
    unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) };
    let fd = open("/dev/waits0");
    let post = |_| assert_eq!(ioctl(fd, WAITS_POST, 0), Ok(0));
    assert_eq!(waiting(fd, WAITS_WAIT, 0, post), Ok(0));
    assert_eq!(waiting(fd, WAITS_WAIT, 0, interrupt), Err(libc::EINTR));
    let hour = 3_600_000_000;
    assert_eq!(waiting(fd, WAITS_TIMED, hour, post), Ok(1));
    assert_eq!(waiting(fd, WAITS_TIMED, hour, interrupt), Ok(0));
    assert_eq!(ioctl(fd, WAITS_TIMED, 10_000), Ok(2));
    assert_eq!(waiting(fd, WAITS_SEMA, 0, |_| assert_eq!(ioctl(fd, WAITS_V, 0), Ok(0))), Ok(0));
    assert_eq!(waiting(fd, WAITS_SEMA, 0, interrupt), Err(libc::EINTR));
    // With SA_RESTART the call is begun again once the handler has run; what a driver makes of a signal other than EINTR stays.
    action.sa_flags = libc::SA_RESTART;
    action.sa_sigaction = count as *const () as usize;
    // SAFETY: a handler that counts.
    unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) };
    let restarted = |thread| {
        interrupt(thread);
        until(|| COUNTED.load(Ordering::SeqCst) == 1);
        until(|| ioctl(fd, WAITS_WAITERS, 0) == Ok(1));
        assert_eq!(ioctl(fd, WAITS_POST, 0), Ok(0));
    };
    assert_eq!(waiting(fd, WAITS_WAIT, 0, restarted), Ok(0));
    assert_eq!(waiting(fd, WAITS_TIMED, hour, interrupt), Ok(0));
    assert_eq!(COUNTED.load(Ordering::SeqCst), 2);
    // What is ignored interrupts nothing.
    let posted = |thread| {
        // SAFETY: a thread that is not joined yet.
        unsafe { libc::pthread_kill(thread, libc::SIGWINCH) };
        assert_eq!(ioctl(fd, WAITS_POST, 0), Ok(0));
    };
    assert_eq!(waiting(fd, WAITS_TIMED, hour, posted), Ok(1));
}

fn a_killed_waiter_leaves_the_driver() {
    run::passes("waits", half!(client_of_a_killed_waiter_leaves_the_driver));
}
fn client_of_a_killed_waiter_leaves_the_driver() {
    let fd = open("/dev/waits0");
    let child = fork(|| ioctl(fd, WAITS_WAIT, 0).map_or(1, |_| 0));
    until(|| ioctl(fd, WAITS_WAITERS, 0) == Ok(1));
    // SAFETY: our child, not waited for yet.
    unsafe { libc::kill(child, libc::SIGKILL) };
    assert_eq!(wait(child), 128 + libc::SIGKILL);
    until(|| ioctl(fd, WAITS_WAITERS, 0) == Ok(0));
}

#[repr(C)]
struct Range {
    addr: u64,
    len: u64,
    flags: i32,
    pad: i32,
}

fn a_process_s_own_memory_is_pinned() {
    run::passes("pinned", half!(client_of_a_process_s_own_memory_is_pinned));
}
fn client_of_a_process_s_own_memory_is_pinned() {
    const LEN: usize = 0x3000;
    let (lock, unlock, sum, fill) = (0x7a01, 0x7a02, 0x7a03, 0x7a04);
    let fd = open("/dev/pinned0");
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let mine = map(-1, 0, LEN, flags);
    for page in 0..3 {
        set_word(mine, page * 0x1000 + 8, 5);
    }
    let range = Range { addr: mine as u64, len: LEN as u64, flags: 3, pad: 0 };
    let range = &raw const range as u64;
    assert_eq!(ioctl(fd, sum, 0), Err(libc::EINVAL));
    // Nothing is pinned: there is nothing to map.
    // SAFETY: a new mapping that must fail.
    let nothing = unsafe { libc::mmap(std::ptr::null_mut(), LEN, libc::PROT_READ, libc::MAP_SHARED, fd, 0) };
    assert_eq!((nothing, errno()), (libc::MAP_FAILED, libc::ENXIO));
    assert_eq!(ioctl(fd, lock, range), Ok(0));
    assert_eq!(ioctl(fd, sum, 0), Ok(15));
    set_word(mine, 0, 2);
    assert_eq!(ioctl(fd, sum, 0), Ok(17));
    assert_eq!(ioctl(fd, fill, 1), Ok(LEN as i32));
    assert_eq!(word(mine, LEN - 8), 0x0101_0101_0101_0101);
    // Whoever maps the device sees the same memory.
    let shared = map(fd, 0, LEN, libc::MAP_SHARED);
    assert_eq!(word(shared, 0x1000), 0x0101_0101_0101_0101);
    set_word(shared, 0x1000, 77);
    assert_eq!(word(mine, 0x1000), 77);
    unmap(shared, LEN);
    assert_eq!(ioctl(fd, unlock, 0), Ok(0));
    assert_eq!(word(mine, 0x1000), 77);
    let bad = Range { addr: 0x1000, len: 0x1000, flags: 1, pad: 0 };
    assert_eq!(ioctl(fd, lock, &raw const bad as u64), Err(libc::EFAULT));
}

/// A page of static data.
#[repr(C, align(4096))]
struct Page([u64; 512]);

static mut DATA: Page = Page([1; 512]);

fn memory_of_every_kind_is_pinned() {
    run::passes_in_every_mode("pinned", half!(client_of_memory_of_every_kind_is_pinned));
}
fn client_of_memory_of_every_kind_is_pinned() {
    let (lock, unlock, sum, fill) = (0x7a01, 0x7a02, 0x7a03, 0x7a04);
    let fd = open("/dev/pinned0");
    let pin = |at: *mut u64, flags: i32| {
        let range = Range { addr: at as u64, len: 0x1000, flags, pad: 0 };
        ioctl(fd, lock, &raw const range as u64)
    };
    // A page of its own on the stack, in the heap, of static data, of a file; what is around it goes on being used.
    let mut stack = Page([1; 512]);
    let mut heap = Box::new(Page([1; 512]));
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    let private = map(std::os::fd::AsRawFd::as_raw_fd(&file), 0, 0x1000, libc::MAP_PRIVATE).cast::<u64>();
    // SAFETY: 512 words of a private mapping.
    unsafe { std::slice::from_raw_parts_mut(private, 512) }.fill(1);
    let pages = [stack.0.as_mut_ptr(), heap.0.as_mut_ptr(), (&raw mut DATA).cast(), private];
    for at in pages {
        assert_eq!(pin(at, 3), Ok(0));
        assert_eq!(ioctl(fd, sum, 0), Ok(512));
        set_word(at.cast(), 8, 3);
        assert_eq!(ioctl(fd, sum, 0), Ok(514));
        assert_eq!(ioctl(fd, fill, 2), Ok(2 * 4096));
        assert_eq!(word(at.cast(), 4088), 0x0202_0202_0202_0202);
        assert_eq!(ioctl(fd, unlock, 0), Ok(0));
        // Again: it is the same memory.
        assert_eq!(pin(at, 3), Ok(0));
        assert_eq!(ioctl(fd, fill, 3), Ok(3 * 4096));
        assert_eq!(word(at.cast(), 0), 0x0303_0303_0303_0303);
        assert_eq!(ioctl(fd, unlock, 0), Ok(0));
    }
    // What cannot be written can be read; what has no access or is not there is an error.
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let mine = map(-1, 0, 0x2000, flags);
    set_word(mine, 0, 9);
    // SAFETY: the mapping just made.
    unsafe { libc::mprotect(mine.cast(), 0x1000, libc::PROT_READ) };
    assert_eq!(pin(mine.cast(), 2), Err(libc::EACCES));
    assert_eq!(pin(mine.cast(), 1), Ok(0));
    assert_eq!(ioctl(fd, sum, 0), Ok(9));
    assert_eq!(ioctl(fd, unlock, 0), Ok(0));
    // SAFETY: as above.
    unsafe { libc::mprotect(mine.wrapping_add(0x1000).cast(), 0x1000, libc::PROT_NONE) };
    assert_eq!(pin(mine.wrapping_add(0x1000).cast(), 1), Err(libc::EACCES));
    unmap(mine, 0x2000);
    assert_eq!(pin(mine.cast(), 1), Err(libc::EFAULT));
    // A child has a copy; a shared mapping is shared.
    let shared = map(-1, 0, 0x1000, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    assert_eq!(pin(shared.cast(), 3), Ok(0));
    assert_eq!(ioctl(fd, unlock, 0), Ok(0));
    let own = heap.0.as_mut_ptr();
    assert_eq!(pin(own, 3), Ok(0));
    let child = fork(|| {
        let before = word(own.cast(), 0) == 0x0303_0303_0303_0303;
        set_word(own.cast(), 8, 77);
        set_word(shared, 8, 78);
        let grandchild = fork(|| {
            set_word(own.cast(), 8, 79);
            0
        });
        i32::from(!(before && wait(grandchild) == 0 && word(own.cast(), 8) == 77))
    });
    assert_eq!(wait(child), 0);
    assert_eq!((word(own.cast(), 8), word(shared, 8)), (0x0303_0303_0303_0303, 78));
    assert_eq!(ioctl(fd, sum, 0), Ok(3 * 4096));
    assert_eq!(ioctl(fd, fill, 4), Ok(4 * 4096));
    assert_eq!(word(own.cast(), 8), 0x0404_0404_0404_0404);
    // What a child has made read-only is, also where nothing is loaded yet.
    let child = fork(|| {
        // SAFETY: a page of the heap; what writes it dies.
        unsafe { libc::mprotect(own.cast(), 0x1000, libc::PROT_READ) };
        set_word(own.cast(), 8, 80);
        0
    });
    assert_eq!(wait(child), 128 + libc::SIGSEGV);
    // Others may write beside it while it is being pinned.
    let mut many = vec![0u64; 64 * 512];
    let at = many.as_mut_ptr().wrapping_byte_add(many.as_ptr().align_offset(4096) * 8) as usize;
    assert_eq!(ioctl(fd, unlock, 0), Ok(0));
    let writer = std::thread::spawn(move || {
        for n in 1..20_000u64 {
            (0..32).for_each(|page| set_word(at as *mut u8, page * 4096, n));
        }
    });
    for page in 0..32 {
        assert_eq!(pin((at + page * 4096) as *mut u64, 3), Ok(0));
        assert_eq!(ioctl(fd, unlock, 0), Ok(0));
    }
    writer.join().unwrap();
    assert!((0..32).all(|page| word(at as *mut u8, page * 4096) == 19_999));
}

fn a_fork_copies_pinned_memory_with_the_rest() {
    run::passes_in_every_mode("pinned", half!(client_of_a_fork_copies_pinned_memory_with_the_rest));
}
fn client_of_a_fork_copies_pinned_memory_with_the_rest() {
    static NOTED: AtomicU64 = AtomicU64::new(0);
    static STOP: AtomicBool = AtomicBool::new(false);
    let fd = open("/dev/pinned0");
    let pinned = map(-1, 0, 0x1000, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let range = Range { addr: pinned as u64, len: 0x1000, flags: 3, pad: 0 };
    assert_eq!(ioctl(fd, 0x7a01, &raw const range as u64), Ok(0));
    let at = pinned as usize;
    let writer = std::thread::spawn(move || {
        for n in 1.. {
            set_word(at as *mut u8, 0, n);
            NOTED.store(n, Ordering::SeqCst);
            if STOP.load(Ordering::SeqCst) {
                break;
            }
        }
    });
    for _ in 0..50 {
        let child = fork(|| {
            let (pinned, noted) = (word(pinned, 0), NOTED.load(Ordering::SeqCst));
            i32::from(pinned != noted && pinned != noted + 1)
        });
        assert_eq!(wait(child), 0);
    }
    STOP.store(true, Ordering::SeqCst);
    writer.join().unwrap();
    assert_eq!(ioctl(fd, 0x7a02, 0), Ok(0));
}
