//! Threads that the kernel's functions run on: the test program's own, unless a model checker has brought others ([`run_on`]).
//!
//! All waits of the mock go through [`Threads::wait`], and all its threads are started by [`Threads::spawn`]. A model checker's threads run one at a time, and may take turns wherever the kernel's state
//! is [looked at](super::kernel) and no lock of this crate's own is held.

use std::cell::Cell;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Threads, as the kernel needs them.
pub trait Threads: Send + Sync {
    /// Returns the number of the calling thread, which is not 0.
    fn me(&self) -> u64;

    /// Lets another thread run, if that is the checker's wish.
    fn point(&self) {}

    /// Lets other threads run, because the caller waits for something that time brings.
    fn pause(&self);

    /// Number of pauses after which a wait with a time limit has timed out.
    fn patience(&self) -> u64;

    /// Blocks until [`wake`](Threads::wake) is called for the place, which may be an address. May return earlier.
    fn wait(&self, place: usize);

    /// Wakes those who wait for the place.
    fn wake(&self, _place: usize) {}

    /// Begins a thread.
    fn spawn(&self, routine: Box<dyn FnOnce() + Send>) -> Thread;

    /// The calling thread wants a mutex.
    fn wants(&self, _mutex: usize) {}

    /// The calling thread has a mutex.
    fn has(&self, _mutex: usize) {}

    /// The calling thread gives a mutex back.
    fn gives(&self, _mutex: usize) {}
}

/// A thread that was begun.
pub struct Thread {
    /// The thread's number.
    pub id: u64,
    /// Waits until it is over, and panics if it has.
    pub join: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {}", self.id)
    }
}

/// Those of the program.
struct Own;

thread_local!(static ID: Cell<u64> = const { Cell::new(0) });

fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Relaxed)
}

impl Threads for Own {
    fn me(&self) -> u64 {
        if ID.get() == 0 {
            ID.set(next());
        }
        ID.get()
    }

    fn pause(&self) {
        std::thread::yield_now();
    }

    fn patience(&self) -> u64 {
        if cfg!(miri) { 20 } else { 1000 }
    }

    fn wait(&self, _: usize) {
        std::thread::yield_now();
    }

    fn spawn(&self, routine: Box<dyn FnOnce() + Send>) -> Thread {
        let id = next();
        let thread = std::thread::spawn(move || {
            ID.set(id);
            routine();
        });
        let join = || {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        };
        Thread { id, join: Box::new(join) }
    }
}

static THREADS: OnceLock<&'static dyn Threads> = OnceLock::new();

/// From now on the kernel's functions run on these threads. Once, before anything is booted.
///
/// # Panics
/// Others were chosen.
pub fn run_on(threads: &'static dyn Threads) {
    assert!(THREADS.set(threads).is_ok(), "the kernel has its threads already");
}

/// The threads that the kernel's functions run on.
pub fn threads() -> &'static dyn Threads {
    *THREADS.get_or_init(|| &Own)
}

/// Returns whether nobody has the kernel's state locked.
pub fn is_unlocked() -> bool {
    super::KERNEL.try_lock().is_ok()
}

/// Number of the calling thread, as `ddi_get_kt_did(9F)` has it.
pub fn me() -> u64 {
    threads().me()
}

/// Waits, for [`wake`](Threads::wake) at this place, until a function returns a value.
pub(crate) fn until<R>(place: usize, mut what: impl FnMut() -> Option<R>) -> R {
    loop {
        if let Some(result) = what() {
            return result;
        }
        threads().wait(place);
    }
}
