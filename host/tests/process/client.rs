//! What the parts that clients play have in common. A check that fails ends the client with a message and status 1.

use std::ffi::CStr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use crate::kernel;

/// The name by which a part is asked for, and the part.
pub type Part = (&'static str, fn());

pub const PAGE: usize = 4096;

/// A mapping of the device.
pub struct Map {
    pub at: *mut u64,
    pub len: usize,
}

impl Map {
    pub fn word(&self, page: usize) -> *mut u64 {
        self.at.wrapping_byte_add(page * PAGE)
    }

    pub fn get(&self, page: usize) -> u64 {
        // SAFETY: within the mapping.
        unsafe { self.word(page).read_volatile() }
    }

    pub fn set(&self, page: usize, value: u64) {
        // SAFETY: within the mapping.
        unsafe { self.word(page).write_volatile(value) };
    }
}

pub fn check<T: PartialEq + std::fmt::Debug>(what: &str, got: T, want: T) {
    if got != want {
        eprintln!("{what}: got {got:?}, not {want:?}");
        std::process::exit(1);
    }
}

pub fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

pub fn open_at(path: &CStr, flags: i32) -> i32 {
    // SAFETY: a string.
    unsafe { libc::open(path.as_ptr(), flags) }
}

pub fn open() -> i32 {
    let fd = open_at(c"/dev/test0", libc::O_RDWR);
    if fd < 0 {
        eprintln!("open: error {}", errno());
        std::process::exit(1);
    }
    fd
}

pub fn try_map(fd: i32, pages: usize, offset: usize, flags: i32, prot: i32) -> Result<Map, i32> {
    // SAFETY: a new mapping.
    let at =
        unsafe { libc::mmap(std::ptr::null_mut(), pages * PAGE, prot, flags, fd, (offset * PAGE) as i64) };
    if at == libc::MAP_FAILED { Err(errno()) } else { Ok(Map { at: at.cast(), len: pages * PAGE }) }
}

pub fn map(fd: i32, pages: usize, offset: usize) -> Map {
    let m = try_map(fd, pages, offset, libc::MAP_SHARED, libc::PROT_READ | libc::PROT_WRITE);
    m.unwrap_or_else(|e| {
        eprintln!("mmap: error {e}");
        std::process::exit(1);
    })
}

pub fn ioctl(fd: i32, cmd: u64, arg: u64) -> i32 {
    // SAFETY: the test device's ioctls.
    unsafe { libc::ioctl(fd, cmd, arg) }
}

/// Opens, closes, starts, forks, unborn, exits, faults, unmaps.
pub fn stats(fd: i32) -> [u64; 8] {
    let mut s = [0u64; 8];
    check("stats", ioctl(fd, kernel::STATS, s.as_mut_ptr() as u64), 0);
    s
}

pub fn faults(fd: i32) -> u64 {
    stats(fd)[6]
}

pub const RW: i32 = libc::PROT_READ | libc::PROT_WRITE;

static SIGNAL: AtomicI32 = AtomicI32::new(0);
static CODE: AtomicI32 = AtomicI32::new(0);
static ADDR: AtomicU64 = AtomicU64::new(0);

/// Notes a fault and puts plain memory where it was, so that the access goes on.
pub extern "C" fn note(signo: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid structure.
    let info = unsafe { &*info };
    // SAFETY: a fault's signal has an address.
    let addr = unsafe { info.si_addr() } as u64;
    SIGNAL.store(signo, Ordering::SeqCst);
    CODE.store(info.si_code, Ordering::SeqCst);
    ADDR.store(addr, Ordering::SeqCst);
    let page = (addr & !0xfff) as *mut libc::c_void;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: replaces the page that failed.
    unsafe { libc::mmap(page, PAGE, RW, flags, -1, 0) };
}

pub fn handle(signo: i32, handler: usize, flags: i32) {
    // SAFETY: all-zero is a valid sigaction.
    let mut act: libc::sigaction = unsafe { std::mem::zeroed() };
    act.sa_sigaction = handler;
    act.sa_flags = flags;
    // SAFETY: a valid structure.
    check("sigaction", unsafe { libc::sigaction(signo, &act, std::ptr::null_mut()) }, 0);
}

pub fn catch_faults() {
    handle(libc::SIGSEGV, note as *const () as usize, libc::SA_SIGINFO);
    handle(libc::SIGBUS, note as *const () as usize, libc::SA_SIGINFO);
}

/// The last fault that was caught: signal, code, address.
pub fn caught() -> (i32, i32, u64) {
    (SIGNAL.swap(0, Ordering::SeqCst), CODE.load(Ordering::SeqCst), ADDR.load(Ordering::SeqCst))
}

pub fn unmap(at: *mut u64, len: usize) {
    // SAFETY: nobody uses the range any more.
    check("munmap", unsafe { libc::munmap(at.cast(), len) }, 0);
}

pub fn protect(m: &Map, first: usize, pages: usize, prot: i32) -> i32 {
    // SAFETY: a range of the mapping.
    unsafe { libc::mprotect(m.word(first).cast(), pages * PAGE, prot) }
}

/// Forks; the child plays its part and ends with status 0. Returns the child's id or the error.
pub fn fork(child: impl FnOnce()) -> Result<i32, i32> {
    // SAFETY: the child goes on with what it has; other threads are not needed.
    match unsafe { libc::fork() } {
        -1 => Err(errno()),
        0 => {
            child();
            std::process::exit(0)
        }
        pid => Ok(pid),
    }
}

/// Waits for a child: its wait status.
pub fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: a valid place.
    check("waitpid", unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    status
}

pub fn kill(pid: i32, signo: i32) {
    // SAFETY: a child of ours.
    check("kill", unsafe { libc::kill(pid, signo) }, 0);
}

pub fn play(part: &str) -> ExitCode {
    let others: &[Part] = &[
        ("keeps", crate::keeps::play),
        ("debugger", crate::debugger::play),
        ("debugger-forks", crate::debugger::forks),
    ];
    let tables =
        [crate::parts::PARTS, crate::mappings::PARTS, crate::failing::PARTS, crate::walk::PARTS, others];
    let Some((_, play)) = tables.into_iter().flatten().find(|(known, _)| *known == part) else {
        eprintln!("no part is called {part}");
        return ExitCode::from(2);
    };
    play();
    ExitCode::SUCCESS
}
