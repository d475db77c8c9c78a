//! The shim's state: statics, most of them atomics, so that it is consistent in signal handlers and forked children.

use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::OnceLock;

use ddi_wire::{FaultMode, FaultPolicy, Turns};

use crate::line::Line;
use crate::sys::{self, Lock};

/// The host according to the environment. Unset: the shim does nothing.
pub struct Host {
    /// Name of its abstract socket.
    pub name: Vec<u8>,
    /// Process id.
    pub pid: i32,
    /// Path of its program, with a NUL.
    pub program: Vec<u8>,
    /// `LD_PRELOAD=` entry that is ours, and the `DDI_HOST_SOCKET=` entry, both with NUL.
    pub preload: Vec<u8>,
    pub socket: Vec<u8>,
    /// Address of the board; 0 if it could not be mapped.
    pub board: u64,
}

static HOST: OnceLock<Host> = OnceLock::new();

pub fn host() -> Option<&'static Host> {
    HOST.get()
}

pub fn set_host(host: Host) {
    let _ = HOST.set(host);
}

/// Process whose state this is: a vfork child that uses its parent's memory sees another one in `getpid`.
pub static PID: AtomicI32 = AtomicI32::new(0);
/// Protects connecting, attaching and forking.
pub static SETUP: Lock = Lock::new();
/// Set while there is a lifeline.
pub static CONNECTED: AtomicBool = AtomicBool::new(false);
/// The host's number for this process.
pub static TOKEN: AtomicU64 = AtomicU64::new(0);
/// Device mappings lie below 4 GiB.
pub static BELOW_4G: AtomicBool = AtomicBool::new(false);
/// Policy of catching faults, as a number.
static POLICY: AtomicU32 = AtomicU32::new(0);
/// Fault mode, as a number; 0 until there can be mappings.
static MODE: AtomicU32 = AtomicU32::new(0);

/// Returns how faults may be caught.
pub fn policy() -> FaultPolicy {
    FaultPolicy::from_number(POLICY.load(Ordering::Relaxed)).unwrap_or_default()
}

pub fn set_policy(policy: FaultPolicy) {
    POLICY.store(policy as u32, Ordering::Relaxed);
}

/// Returns how faults are caught; `None` until there can be mappings.
pub fn mode() -> Option<FaultMode> {
    FaultMode::from_number(MODE.load(Ordering::Acquire))
}

pub fn set_mode(mode: Option<FaultMode>) {
    MODE.store(mode.map_or(0, |mode| mode as u32), Ordering::Release);
}

/// Descriptors.
pub static LIFELINE: AtomicI32 = AtomicI32::new(-1);
pub static MEMORY: AtomicI32 = AtomicI32::new(-1);
pub static UFFD: AtomicI32 = AtomicI32::new(-1);
/// The process may have descriptors of devices.
pub static HOLDING: AtomicBool = AtomicBool::new(false);

/// All device mappings there ever were lie between these.
static LOW: AtomicU64 = AtomicU64::new(u64::MAX);
static HIGH: AtomicU64 = AtomicU64::new(0);

/// Returns whether a device mapping may overlap this range.
pub fn near(addr: u64, len: u64) -> bool {
    addr < HIGH.load(Ordering::Acquire) && addr.saturating_add(len) > LOW.load(Ordering::Acquire)
}

/// A range will hold a device mapping.
pub fn widen(addr: u64, len: u64) {
    LOW.fetch_min(addr, Ordering::AcqRel);
    HIGH.fetch_max(addr + len, Ordering::AcqRel);
}

/// One range at a time is being pinned.
pub static PINNED: Lock = Lock::new();
/// Start and end of it; the end is 0 outside of that.
pub static PINNING: (AtomicU64, AtomicU64) = (AtomicU64::new(0), AtomicU64::new(0));

/// Returns whether this address is being pinned now.
pub fn is_being_pinned(addr: u64) -> bool {
    addr >= PINNING.0.load(Ordering::SeqCst) && addr < PINNING.1.load(Ordering::SeqCst)
}

/// Changes of device mappings by this process's threads: begun, and ended.
static CHANGES: (AtomicU64, AtomicU64) = (AtomicU64::new(0), AtomicU64::new(0));

/// A change of device mappings. While there is one, what Linux says about an access may be neither what was mapped before nor what will be.
pub struct Change(());

impl Change {
    pub fn begin() -> Change {
        CHANGES.0.fetch_add(1, Ordering::SeqCst);
        Change(())
    }

    /// Returns the number of changes that have ended; `None` while there is one.
    pub fn settled() -> Option<u64> {
        let ended = CHANGES.1.load(Ordering::SeqCst);
        (CHANGES.0.load(Ordering::SeqCst) == ended).then_some(ended)
    }

    /// In a forked child: the threads that were at it are not there.
    pub fn forget() {
        CHANGES.1.store(CHANGES.0.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        CHANGES.1.fetch_add(1, Ordering::SeqCst);
    }
}

/// Order of changes of the mappings.
pub static TURNS: Turns = Turns::new();

thread_local! {
    /// This thread's connection.
    pub static LINE: Cell<Option<Line>> = const { Cell::new(None) };
    /// A request is in progress on it.
    pub static BUSY: Cell<bool> = const { Cell::new(false) };
    /// This thread's signal descriptor and what it is for; -1: none yet.
    pub static SIGNALS: Cell<(i32, u64)> = const { Cell::new((-1, 0)) };
    /// SIGSEGV and SIGBUS, if the program thinks that it blocks them.
    pub static BLOCKED: Cell<u64> = const { Cell::new(0) };
    /// The last fault for which the host had nothing to do, and how often it came in a row.
    pub static SPURIOUS: Cell<(u64, u32)> = const { Cell::new((0, 0)) };
    /// Last access outside device mappings that was retried: its address, and the number of changes completed by then.
    pub static STRAY: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
    /// This thread has told the host of the fork that is about to happen.
    pub static FORKING: Cell<bool> = const { Cell::new(false) };
}

/// Descriptors that are the shim's own, a bit each.
static OWN: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];

pub fn is_own(fd: i32) -> bool {
    let word = OWN.get((fd as usize) / 64);
    fd >= 0 && word.is_some_and(|w| w.load(Ordering::Relaxed) >> (fd % 64) & 1 != 0)
}

/// The lowest of the shim's own descriptors at or above `from`.
pub fn next_own(from: u32) -> Option<u32> {
    let mut i = from as usize / 64;
    let mut mask = u64::MAX << (from % 64);
    while i < OWN.len() {
        let word = OWN[i].load(Ordering::Relaxed) & mask;
        if word != 0 {
            return Some(i as u32 * 64 + word.trailing_zeros());
        }
        mask = u64::MAX;
        i += 1;
    }
    None
}

/// Makes a descriptor the shim's own: moves it up, out of the program's way, and marks it. The old number is free again.
pub fn adopt(fd: i32) -> i32 {
    let high =
        sys::fcntl(fd, libc::F_DUPFD_CLOEXEC, 700).or_else(|_| sys::fcntl(fd, libc::F_DUPFD_CLOEXEC, 100));
    let new = match high {
        Ok(n) => {
            sys::close(fd);
            n as i32
        }
        Err(_) => fd,
    };
    if let Some(word) = OWN.get(new as usize / 64) {
        word.fetch_or(1 << (new % 64), Ordering::Relaxed);
    }
    new
}

/// Closes one of the shim's own descriptors.
pub fn drop_own(fd: i32) {
    if fd < 0 {
        return;
    }
    if let Some(word) = OWN.get(fd as usize / 64) {
        word.fetch_and(!(1 << (fd % 64)), Ordering::Relaxed);
    }
    sys::close(fd);
}
