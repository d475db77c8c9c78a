//! Raw system calls. They touch neither errno nor thread-local storage, so that the agent and vfork children may use them.

use core::arch::asm;
use core::ffi::CStr;
use core::sync::atomic::AtomicU32;

/// A type of which any bytes are a value, zeroes included.
///
/// # Safety
/// They are.
pub unsafe trait Plain: Copy {
    /// Returns the value whose bytes are zero.
    fn zeroed() -> Self {
        // SAFETY: any bytes are a value.
        unsafe { core::mem::zeroed() }
    }
}

macro_rules! plain {
    ($($type:ty),*) => {$(
        // SAFETY: numbers, pointers that are not followed, and functions that may be missing.
        unsafe impl Plain for $type {}
    )*};
}

plain!(u8, u16, u32, u64, i32, usize, [i32; 2], [i64; 2], libc::pollfd, ddi_wire::PollItem, ddi_wire::Buffer);
plain!(
    libc::epoll_event,
    libc::timespec,
    libc::timeval,
    libc::msghdr,
    libc::sigaction,
    libc::sigset_t,
    libc::sockaddr_un,
    libc::stat,
    libc::statx,
    libc::dirent64
);

/// A raw system call: its result, or the error number.
///
/// # Safety
/// The system call's use of its arguments must be sound.
pub unsafe fn call(n: i64, a: [u64; 6]) -> Result<u64, i32> {
    let r: i64;
    // SAFETY: the register convention of x86-64 Linux; the caller vouches for the call itself.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") n => r,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    if (-4095..0).contains(&r) { Err((-r) as i32) } else { Ok(r as u64) }
}

fn fd(n: i32) -> u64 {
    n as i64 as u64
}

/// Makes a system call that involves no memory.
fn plain_call<const N: usize>(n: i64, a: [u64; N]) -> Result<u64, i32> {
    // SAFETY: those of this module's functions that make one name only calls whose arguments are numbers.
    unsafe { call(n, core::array::from_fn(|i| a.get(i).copied().unwrap_or(0))) }
}

/// Makes a system call that stores a `T`: its place is the argument behind `a`, and before `b`.
fn answered<T: Plain>(n: i64, a: &[u64], b: &[u64]) -> Result<T, i32> {
    let mut place = T::zeroed();
    let all = a.iter().copied().chain([(&raw mut place) as u64]).chain(b.iter().copied());
    let mut args = [0; 6];
    args.iter_mut().zip(all).for_each(|(to, from)| *to = from);
    // SAFETY: those of this module's functions that make one name a call that stores as much as a `T` there; their other arguments are numbers, or what they have
    // themselves.
    unsafe { call(n, args) }.map(|_| place)
}

/// Opens a file that is there.
pub fn open(path: &CStr, flags: i32) -> Result<i32, i32> {
    // SAFETY: the path ends with NUL.
    unsafe { call(libc::SYS_open, [path.as_ptr() as u64, flags as u64, 0, 0, 0, 0]) }.map(|n| n as i32)
}

/// Makes a call that fills a buffer: its number, the descriptor, and the buffer's address and length. Returns the number of bytes.
fn fill(number: i64, n: i32, to: &mut [u8]) -> Result<usize, i32> {
    // SAFETY: the buffer is as long as said.
    unsafe { call(number, [fd(n), to.as_mut_ptr() as u64, to.len() as u64, 0, 0, 0]) }.map(|n| n as usize)
}

pub fn read(n: i32, to: &mut [u8]) -> Result<usize, i32> {
    fill(libc::SYS_read, n, to)
}

pub fn getdents(n: i32, to: &mut [u8]) -> Result<usize, i32> {
    fill(libc::SYS_getdents64, n, to)
}

/// Returns the number of bytes of the link's target.
pub fn readlink(path: &CStr, to: &mut [u8]) -> Result<usize, i32> {
    let a = [path.as_ptr() as u64, to.as_mut_ptr() as u64, to.len() as u64, 0, 0, 0];
    // SAFETY: the path ends with NUL, the buffer is as long as said.
    unsafe { call(libc::SYS_readlink, a) }.map(|n| n as usize)
}

pub fn lseek(n: i32, offset: i64, whence: i32) -> Result<u64, i32> {
    plain_call(libc::SYS_lseek, [fd(n), offset.cast_unsigned(), whence as u64])
}

pub fn socket() -> Result<i32, i32> {
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    plain_call(libc::SYS_socket, [libc::AF_UNIX as u64, kind as u64, 0]).map(|n| n as i32)
}

pub fn dup2(old: i32, new: i32) -> Result<u64, i32> {
    plain_call(libc::SYS_dup2, [fd(old), fd(new), 0])
}

pub fn close_range(first: u32, last: u32, flags: i32) -> Result<u64, i32> {
    plain_call(libc::SYS_close_range, [first.into(), last.into(), flags as u64])
}

pub fn setsid() {
    let _ = plain_call(libc::SYS_setsid, []);
}

pub fn geteuid() -> u64 {
    plain_call(libc::SYS_geteuid, []).unwrap_or(1)
}

pub fn sched_yield() {
    let _ = plain_call(libc::SYS_sched_yield, []);
}

pub fn userfaultfd(flags: i32) -> Result<i32, i32> {
    plain_call(libc::SYS_userfaultfd, [flags as u64, 0, 0]).map(|n| n as i32)
}

pub fn socketpair() -> Result<[i32; 2], i32> {
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    answered(libc::SYS_socketpair, &[libc::AF_UNIX as u64, kind as u64, 0], &[])
}

pub fn pipe() -> Result<[i32; 2], i32> {
    answered(libc::SYS_pipe2, &[], &[libc::O_CLOEXEC as u64])
}

pub fn fstat(n: i32) -> Result<libc::stat, i32> {
    answered(libc::SYS_fstat, &[fd(n)], &[])
}

/// Returns whether a directory has an entry of this name.
pub fn has(dir: i32, path: &CStr) -> bool {
    let a = [fd(dir), path.as_ptr() as u64];
    answered::<libc::stat>(libc::SYS_newfstatat, &a, &[libc::AT_SYMLINK_NOFOLLOW as u64]).is_ok()
}

/// Returns the type of a socket.
pub fn socket_type(n: i32) -> Result<i32, i32> {
    let mut len = size_of::<i32>() as u32;
    let a = [fd(n), libc::SOL_SOCKET as u64, libc::SO_TYPE as u64];
    answered(libc::SYS_getsockopt, &a, &[(&raw mut len) as u64])
}

/// Returns the number of bytes that can be read at once.
pub fn readable(n: i32) -> Result<i32, i32> {
    answered(libc::SYS_ioctl, &[fd(n), libc::FIONREAD], &[])
}

/// Returns the calling thread's pending signals.
pub fn pending() -> u64 {
    answered(libc::SYS_rt_sigpending, &[], &[8]).unwrap_or(0)
}

/// Returns a signal's action in the kernel: handler, flags, restorer, mask.
pub fn action(signo: i32) -> Result<Action, i32> {
    answered(libc::SYS_rt_sigaction, &[signo as u64, 0], &[8])
}

/// `struct sigaction` as the kernel has it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Action {
    pub handler: u64,
    pub flags: u64,
    pub restorer: u64,
    pub mask: u64,
}

plain!(Action);

/// Returns the nanoseconds of the monotonic clock.
pub fn now() -> u64 {
    let [seconds, nanos]: [i64; 2] =
        answered(libc::SYS_clock_gettime, &[libc::CLOCK_MONOTONIC as u64], &[]).unwrap_or_default();
    seconds as u64 * 1_000_000_000 + nanos as u64
}

/// Copies what is in a pipe to another; it stays in the first.
pub fn tee(from: i32, to: i32, len: usize, flags: u32) -> Result<usize, i32> {
    plain_call(libc::SYS_tee, [fd(from), fd(to), len as u64, flags.into()]).map(|n| n as usize)
}

/// Waits for the end of a child.
pub fn wait_for(pid: i32, options: i32) -> Result<u64, i32> {
    plain_call(libc::SYS_wait4, [fd(pid), 0, options as u64, 0])
}

/// poll(2). Returns how many entries have events.
pub fn poll(fds: &mut [libc::pollfd], millis: i32) -> Result<u64, i32> {
    let a = [fds.as_mut_ptr() as u64, fds.len() as u64, fd(millis), 0, 0, 0];
    // SAFETY: as many entries as said.
    unsafe { call(libc::SYS_poll, a) }
}

/// Maps `len` bytes of new memory, at an address that Linux chooses or near `hint`; nothing is replaced.
pub fn map_new(hint: u64, len: u64, prot: i32, flags: i32) -> Result<u64, i32> {
    let flags = flags & !libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: without MAP_FIXED a mapping replaces nothing.
    unsafe { mmap(hint, len, prot, flags, -1, 0) }
}

/// Maps `len` bytes of new memory that may be read and written.
pub fn map_memory(len: u64) -> Result<u64, i32> {
    map_new(0, len, libc::PROT_READ | libc::PROT_WRITE, 0)
}

pub fn close(n: i32) {
    let _ = plain_call(libc::SYS_close, [fd(n), 0, 0]);
}

pub fn getpid() -> i32 {
    plain_call(libc::SYS_getpid, []).unwrap_or(0) as i32
}

pub fn gettid() -> i32 {
    plain_call(libc::SYS_gettid, []).unwrap_or(0) as i32
}

pub fn fcntl(n: i32, op: i32, arg: u64) -> Result<u64, i32> {
    // Only operations without pointers are asked for.
    plain_call(libc::SYS_fcntl, [fd(n), op as u64, arg])
}

/// # Safety
/// As for mmap(2): a fixed mapping replaces what is there.
pub unsafe fn mmap(addr: u64, len: u64, prot: i32, flags: i32, n: i32, offset: u64) -> Result<u64, i32> {
    // SAFETY: by the caller.
    unsafe { call(libc::SYS_mmap, [addr, len, prot as u64, flags as u64, fd(n), offset]) }
}

/// # Safety
/// Nothing may use the range any more.
pub unsafe fn munmap(addr: u64, len: u64) -> Result<u64, i32> {
    // SAFETY: by the caller.
    unsafe { call(libc::SYS_munmap, [addr, len, 0, 0, 0, 0]) }
}

/// # Safety
/// Users of the range must bear the new protection.
pub unsafe fn mprotect(addr: u64, len: u64, prot: u64) -> Result<u64, i32> {
    // SAFETY: by the caller.
    unsafe { call(libc::SYS_mprotect, [addr, len, prot, 0, 0, 0]) }
}

/// # Safety
/// As for madvise(2).
pub unsafe fn madvise(addr: u64, len: u64, advice: i32) -> Result<u64, i32> {
    // SAFETY: by the caller.
    unsafe { call(libc::SYS_madvise, [addr, len, advice as u64, 0, 0, 0]) }
}

/// An ioctl with a structure as its argument.
///
/// # Safety
/// `T` must be the structure that `request` takes.
pub unsafe fn ioctl<T>(n: i32, request: u64, arg: &mut T) -> Result<u64, i32> {
    // SAFETY: `arg` is valid for reads and writes, and of the right type by the caller.
    unsafe { call(libc::SYS_ioctl, [fd(n), request, core::ptr::from_mut(arg) as u64, 0, 0, 0]) }
}

pub fn exit(code: u64) -> ! {
    loop {
        let _ = plain_call(libc::SYS_exit, [code, 0, 0]);
    }
}

/// Sends a signal to the calling thread.
pub fn raise(signo: i32) {
    let _ = plain_call(libc::SYS_tgkill, [getpid() as u64, gettid() as u64, signo as u64]);
}

/// Changes the calling thread's signal mask as `how` says. Returns the old one.
fn change_mask(how: i32, set: u64) -> u64 {
    answered(libc::SYS_rt_sigprocmask, &[how as u64, (&raw const set) as u64], &[8]).unwrap_or(0)
}

/// Replaces the calling thread's signal mask by `set`, returns the old one.
pub fn set_mask(set: u64) -> u64 {
    change_mask(libc::SIG_SETMASK, set)
}

/// Holds back all signals but the two that the shim itself needs; the mask before.
pub fn hold_signals() -> u64 {
    set_mask(!(bit(libc::SIGSEGV) | bit(libc::SIGBUS)))
}

/// The calling thread's signal mask.
pub fn mask() -> u64 {
    change_mask(libc::SIG_BLOCK, 0)
}

/// The bit of a signal in a mask.
pub const fn bit(signo: i32) -> u64 {
    1 << (signo - 1)
}

/// Lets other threads run for a moment. Correctness does not depend on its length: callers check again.
pub fn nap() {
    let wanted = [0u64, 20_000];
    // SAFETY: seconds and nanoseconds; what is left of them is not asked for.
    let _ = unsafe { call(libc::SYS_nanosleep, [wanted.as_ptr() as u64, 0, 0, 0, 0, 0]) };
}

/// Writes to standard error, ignoring errors.
pub fn complain(text: &[u8]) {
    // SAFETY: the buffer is as long as said.
    let _ = unsafe { call(libc::SYS_write, [2, text.as_ptr() as u64, text.len() as u64, 0, 0, 0]) };
}

/// Waits on a word or wakes threads that wait on it.
fn futex(word: &AtomicU32, op: i32, value: u64) {
    // SAFETY: the word lives as long as the call.
    let _ = unsafe { call(libc::SYS_futex, [word.as_ptr() as u64, op as u64, value, 0, 0, 0]) };
}

/// Sleeps until the word, if it has this value, is woken; may return early.
pub fn sleep_on(word: &AtomicU32, value: u32) {
    futex(word, libc::FUTEX_WAIT, value.into());
}

/// Wakes all threads that sleep on the word.
pub fn wake_all(word: &AtomicU32) {
    futex(word, libc::FUTEX_WAKE, i32::MAX as u64);
}

/// A lock for short sections; usable in a signal handler only where it cannot be held by the interrupted code.
pub struct Lock(AtomicU32);

impl Lock {
    pub const fn new() -> Lock {
        Lock(AtomicU32::new(0))
    }

    pub fn lock(&self) {
        use core::sync::atomic::Ordering::{Acquire, Relaxed};
        if self.0.compare_exchange(0, 1, Acquire, Relaxed).is_ok() {
            return;
        }
        while self.0.swap(2, Acquire) != 0 {
            futex(&self.0, libc::FUTEX_WAIT, 2);
        }
    }

    pub fn unlock(&self) {
        if self.0.swap(0, core::sync::atomic::Ordering::Release) == 2 {
            futex(&self.0, libc::FUTEX_WAKE, 1);
        }
    }

    /// Releases the lock in a forked child, where no thread holds it.
    pub fn reset(&self) {
        self.0.store(0, core::sync::atomic::Ordering::Release);
    }

    pub fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        self.lock();
        let r = f();
        self.unlock();
        r
    }
}

/// A value that threads share, for short sections. No signal handler may find its lock held by the code that it interrupted, so signals are held meanwhile.
///
/// # Invariants
/// The value is accessed under the lock only, except parts whose addresses were handed out: those belong to the receiver until they are returned.
pub struct Table<T> {
    lock: Lock,
    value: core::cell::UnsafeCell<T>,
}

// SAFETY: one thread at a time accesses the value, by the invariant.
unsafe impl<T: Send> Sync for Table<T> {}

impl<T> Table<T> {
    pub const fn new(value: T) -> Table<T> {
        Table { lock: Lock::new(), value: core::cell::UnsafeCell::new(value) }
    }

    /// Calls `f` with the value. `f` must not call this again.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let user = hold_signals();
        let r = self.lock.with(|| {
            // SAFETY: under the lock, by the invariant.
            f(unsafe { &mut *self.value.get() })
        });
        set_mask(user);
        r
    }

    /// Releases the lock in a forked child, where no thread holds it.
    pub fn reset(&self) {
        self.lock.reset();
    }
}
