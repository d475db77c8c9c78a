//! Raw system calls. They touch neither errno nor thread-local storage, so that the agent and vfork children may use them.

use core::arch::asm;

/// A raw system call: its result, or the error number.
///
/// # Safety
/// What the system call does with its arguments must be sound.
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

pub fn close(n: i32) {
    // SAFETY: no memory is involved.
    let _ = unsafe { call(libc::SYS_close, [fd(n), 0, 0, 0, 0, 0]) };
}

pub fn getpid() -> i32 {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_getpid, [0; 6]) }.unwrap_or(0) as i32
}

pub fn gettid() -> i32 {
    // SAFETY: no memory is involved.
    unsafe { call(libc::SYS_gettid, [0; 6]) }.unwrap_or(0) as i32
}

pub fn fcntl(n: i32, op: i32, arg: u64) -> Result<u64, i32> {
    // SAFETY: only operations without pointers are asked for.
    unsafe { call(libc::SYS_fcntl, [fd(n), op as u64, arg, 0, 0, 0]) }
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
/// What uses the range must bear the new protection.
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
        // SAFETY: ends this task.
        let _ = unsafe { call(libc::SYS_exit, [code, 0, 0, 0, 0, 0]) };
    }
}

/// Sends a signal to the calling thread.
pub fn raise(signo: i32) {
    // SAFETY: no memory is involved.
    let _ = unsafe { call(libc::SYS_tgkill, [getpid() as u64, gettid() as u64, signo as u64, 0, 0, 0]) };
}

/// Replaces the calling thread's signal mask by `set`, returns the old one.
pub fn set_mask(set: u64) -> u64 {
    let mut old = 0u64;
    let (new, old_at) = (core::ptr::from_ref(&set) as u64, core::ptr::from_mut(&mut old) as u64);
    // SAFETY: both point to masks of 8 bytes.
    let _ = unsafe { call(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK as u64, new, old_at, 8, 0, 0]) };
    old
}

/// Holds back all signals but the two that the shim itself needs; the mask before.
pub fn hold_signals() -> u64 {
    set_mask(!(bit(libc::SIGSEGV) | bit(libc::SIGBUS)))
}

/// The calling thread's signal mask.
pub fn mask() -> u64 {
    let mut old = 0u64;
    let at = core::ptr::from_mut(&mut old) as u64;
    // SAFETY: points to a mask of 8 bytes.
    let _ = unsafe { call(libc::SYS_rt_sigprocmask, [libc::SIG_BLOCK as u64, 0, at, 8, 0, 0]) };
    old
}

/// The bit of a signal in a mask.
pub const fn bit(signo: i32) -> u64 {
    1 << (signo - 1)
}

/// Lets other threads run for a moment.
pub fn nap() {
    let wanted = [0u64, 20_000];
    // SAFETY: seconds and nanoseconds; what is left of them is not asked for.
    let _ = unsafe { call(libc::SYS_nanosleep, [wanted.as_ptr() as u64, 0, 0, 0, 0, 0]) };
}

/// Writes to standard error, as far as it goes.
pub fn complain(text: &[u8]) {
    // SAFETY: the buffer is as long as said.
    let _ = unsafe { call(libc::SYS_write, [2, text.as_ptr() as u64, text.len() as u64, 0, 0, 0]) };
}

/// A lock for short sections; usable in a signal handler only where it cannot be held by the interrupted code.
pub struct Lock(core::sync::atomic::AtomicU32);

impl Lock {
    pub const fn new() -> Lock {
        Lock(core::sync::atomic::AtomicU32::new(0))
    }

    pub fn lock(&self) {
        use core::sync::atomic::Ordering::{Acquire, Relaxed};
        if self.0.compare_exchange(0, 1, Acquire, Relaxed).is_ok() {
            return;
        }
        while self.0.swap(2, Acquire) != 0 {
            let at = core::ptr::from_ref(&self.0) as u64;
            // SAFETY: waits on a word that lives for ever (every lock is static).
            let _ = unsafe { call(libc::SYS_futex, [at, libc::FUTEX_WAIT as u64, 2, 0, 0, 0]) };
        }
    }

    pub fn unlock(&self) {
        if self.0.swap(0, core::sync::atomic::Ordering::Release) == 2 {
            let at = core::ptr::from_ref(&self.0) as u64;
            // SAFETY: wakes waiters on a word.
            let _ = unsafe { call(libc::SYS_futex, [at, libc::FUTEX_WAKE as u64, 1, 0, 0, 0]) };
        }
    }

    /// In a forked child: nobody holds it.
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
