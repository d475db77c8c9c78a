//! The program's fork handlers (pthread_atfork(3)), which `fork` runs before the host is told and after the fork is complete.
//!
//! Unloading a library removes its handlers. Handlers beyond the table's size are registered with the C library.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::sys::Lock;
use crate::{start, state};

type Handler = extern "C" fn();

/// Addresses of handlers registered together; 0 for none. All are 0 after their library was unloaded.
struct Entry {
    prepare: AtomicU64,
    parent: AtomicU64,
    child: AtomicU64,
    /// The library that they belong to, as the C library names it.
    owner: AtomicU64,
}

const MOST: usize = 256;
static ENTRIES: [Entry; MOST] = [const {
    Entry {
        prepare: AtomicU64::new(0),
        parent: AtomicU64::new(0),
        child: AtomicU64::new(0),
        owner: AtomicU64::new(0),
    }
}; MOST];
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Held while the list changes, not while handlers run.
static LOCK: Lock = Lock::new();

type Register = unsafe extern "C" fn(Option<Handler>, Option<Handler>, Option<Handler>, *mut c_void) -> c_int;

fn real_register() -> Register {
    real!(__register_atfork: fn(Option<Handler>, Option<Handler>, Option<Handler>, *mut c_void) -> c_int)
}

/// Registers the shim's own with the C library.
pub fn register_own(prepare: Handler, parent: Handler, child: Handler) {
    // SAFETY: handlers that stay: the shim is never unloaded.
    unsafe { real_register()(Some(prepare), Some(parent), Some(child), core::ptr::null_mut()) };
}

fn run(address: &AtomicU64) {
    let at = address.load(Ordering::Acquire);
    if at != 0 {
        // SAFETY: the program registered a handler of this type, and its library is still there.
        let f = unsafe { core::mem::transmute::<u64, Handler>(at) };
        f();
    }
}

fn first(n: usize) -> &'static [Entry] {
    ENTRIES.get(..n).unwrap_or_default()
}

/// Runs the handlers before a fork, the last one first. Returns their number: those that they register do not belong to this fork.
pub fn prepare() -> usize {
    let n = COUNT.load(Ordering::Acquire);
    first(n).iter().rev().for_each(|entry| run(&entry.prepare));
    n
}

/// After it, or when it has failed.
pub fn in_parent(n: usize) {
    first(n).iter().for_each(|entry| run(&entry.parent));
}

/// In the child.
pub fn in_child(n: usize) {
    LOCK.reset();
    first(n).iter().for_each(|entry| run(&entry.child));
}

/// Registers handlers, whichever function the program calls. `owner` is null for the program itself where it was linked so.
#[unsafe(no_mangle)]
unsafe extern "C" fn __register_atfork(
    prepare: Option<Handler>,
    parent: Option<Handler>,
    child: Option<Handler>,
    owner: *mut c_void,
) -> c_int {
    // A library may be initialised before the shim.
    start::once();
    let kept = state::host().is_some()
        && LOCK.with(|| {
            let n = COUNT.load(Ordering::Relaxed);
            let Some(entry) = ENTRIES.get(n) else { return false };
            let address = |f: Option<Handler>| f.map_or(0, |f| f as usize as u64);
            entry.prepare.store(address(prepare), Ordering::Relaxed);
            entry.parent.store(address(parent), Ordering::Relaxed);
            entry.child.store(address(child), Ordering::Relaxed);
            entry.owner.store(owner as u64, Ordering::Relaxed);
            COUNT.store(n + 1, Ordering::Release);
            true
        });
    if !kept {
        // SAFETY: the caller's arguments.
        return unsafe { real_register()(prepare, parent, child, owner) };
    }
    if !owner.is_null() {
        let at_exit = real!(__cxa_atexit: fn(extern "C" fn(*mut c_void), *mut c_void, *mut c_void) -> c_int);
        // SAFETY: runs when the library is unloaded, or the program ends.
        unsafe { at_exit(unloaded, owner, owner) };
    }
    0
}

extern "C" fn unloaded(owner: *mut c_void) {
    LOCK.with(|| {
        let n = COUNT.load(Ordering::Relaxed);
        for entry in first(n).iter().filter(|entry| entry.owner.load(Ordering::Relaxed) == owner as u64) {
            for place in [&entry.prepare, &entry.parent, &entry.child, &entry.owner] {
                place.store(0, Ordering::Release);
            }
        }
        let used = first(n).iter().rposition(|entry| {
            [&entry.prepare, &entry.parent, &entry.child].iter().any(|f| f.load(Ordering::Relaxed) != 0)
        });
        COUNT.store(used.map_or(0, |last| last + 1), Ordering::Release);
    });
}
