//! Time: durations as clock ticks, and [`Timeout`], a routine that runs once, later.
//!
//! A tick is 10 ms on a kernel that nobody tuned, so shorter times are rounded up to that.
//!
//! A module must not be unloaded while a routine can still run, or before a routine that has run has returned to the kernel: then there is no code to
//! return through. A [`Timeout`] that is dropped sees to that with `untimeout(9F)`. For one that is forgotten (`core::mem::forget`), and for
//! one that its own routine drops, the two statics here do, which `_fini` looks at. In a program into which several drivers are linked,
//! they are everybody's. No locks.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use core::time::Duration;

use ddi_sys as sys;

/// A duration in ticks, rounded up: `drv_usectohz(9F)`. Any context.
pub fn ticks(time: Duration) -> i64 {
    // A century; beyond that the kernel's own multiplication could overflow.
    const LONGEST: u128 = 100 * 365 * 86_400 * 1_000_000;
    let microseconds = time.as_nanos().div_ceil(1000).min(LONGEST) as i64;
    if microseconds == 0 {
        return 0;
    }
    // SAFETY: a calculation, callable from anywhere.
    unsafe { sys::drv_usectohz(microseconds) }
}

/// Sleeps for `time`: `delay(9F)`. User or kernel context, no mutex held.
pub(crate) fn sleep(time: Duration) {
    let ticks = ticks(time);
    // SAFETY: the callers are in user context and hold none of this crate's locks.
    unsafe { sys::delay(ticks) };
}

type Routine = Box<dyn FnOnce() + Send>;

struct Pending {
    /// Taken by `run`; one that is cancelled goes with the last reference.
    routine: UnsafeCell<Option<Routine>>,
    /// What timeout(9F) gave; null until it has returned.
    id: AtomicPtr<c_void>,
    /// The next in [`RAN`].
    next: AtomicPtr<Pending>,
}

// SAFETY: a routine is `Send`, and used by `run` only, which is called once.
unsafe impl Send for Pending {}
// SAFETY: as above; the rest is atomic.
unsafe impl Sync for Pending {}

/// How many timeouts there are whose routine is not known to be over: it can run, runs, or may not have returned to the kernel.
static OUTSTANDING: AtomicUsize = AtomicUsize::new(0);

/// Those of them whose routine has run, as a stack: the kernel's references to them.
static RAN: AtomicPtr<Pending> = AtomicPtr::new(ptr::null_mut());

/// A timeout whose routine runs: goes to [`RAN`] afterwards, also when the routine panics.
struct Running(Arc<Pending>);

impl Drop for Running {
    fn drop(&mut self) {
        push(Arc::clone(&self.0));
    }
}

/// Puts a timeout on the stack of those that have run.
fn push(pending: Arc<Pending>) {
    let mut top = RAN.load(Ordering::Relaxed);
    loop {
        pending.next.store(top, Ordering::Relaxed);
        let new = Arc::as_ptr(&pending).cast_mut();
        match RAN.compare_exchange_weak(top, new, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return core::mem::forget(pending),
            Err(now) => top = now,
        }
    }
}

/// Waits until the routines that have run have returned to the kernel, and forgets them.
fn reap() {
    let mut at = RAN.swap(ptr::null_mut(), Ordering::Acquire);
    while !at.is_null() {
        // SAFETY: the reference that `push` has put there; the stack was taken whole, so this is the only one to find it.
        let pending = unsafe { Arc::from_raw(at) };
        at = pending.next.load(Ordering::Relaxed);
        let id = pending.id.load(Ordering::Acquire);
        if id.is_null() {
            // It ran before timeout(9F) has returned; somebody else's turn.
            push(pending);
            continue;
        }
        // SAFETY: an id that timeout(9F) gave. The routine has run: this returns when `run` has.
        unsafe { sys::untimeout(id) };
        OUTSTANDING.fetch_sub(1, Ordering::Release);
    }
}

/// Can a routine still run, or be about to return?
pub(crate) fn any_outstanding() -> bool {
    reap();
    OUTSTANDING.load(Ordering::Acquire) != 0
}

/// A routine that runs once after a time, `timeout(9F)`, unless the value is dropped before.
///
/// It runs in a thread of the kernel's, with no process: it may take mutexes, but not sleep, allocate with waiting,
/// or copy from or to a process. [`cancel`](Timeout::cancel) and drop wait until it is not running, so the caller
/// must not hold a lock that the routine takes. The module cannot be unloaded before the routine is over, even if the value is
/// forgotten.
///
/// ```no_run
/// # use core::time::Duration;
/// use devmap::time::Timeout;
///
/// let alarm = Timeout::after(Duration::from_millis(10), || devmap::note!("ten milliseconds later"));
/// drop(alarm); // not any more
/// ```
pub struct Timeout {
    pending: Arc<Pending>,
    id: sys::timeout_id_t,
}

// SAFETY: the id is a number in a pointer's clothes, the rest is `Send`.
unsafe impl Send for Timeout {}
// SAFETY: nothing is done through a shared reference.
unsafe impl Sync for Timeout {}

unsafe extern "C-unwind" fn run(arg: *mut c_void) {
    // SAFETY: the reference that `after` gave to the kernel, which calls this at most once.
    let running = Running(unsafe { Arc::from_raw(arg.cast::<Pending>()) });
    // SAFETY: called once, and nobody else uses it.
    let routine = unsafe { (*running.0.routine.get()).take() };
    if let Some(routine) = routine {
        routine();
    }
}

impl Timeout {
    /// Runs `routine` once, after `time` (at least a tick). User or kernel context: allocates.
    #[must_use = "dropping it cancels it"]
    pub fn after(time: Duration, routine: impl FnOnce() + Send + 'static) -> Timeout {
        reap();
        let pending = Arc::new(Pending {
            routine: UnsafeCell::new(Some(Box::new(routine))),
            id: AtomicPtr::new(ptr::null_mut()),
            next: AtomicPtr::new(ptr::null_mut()),
        });
        let arg = Arc::into_raw(Arc::clone(&pending)).cast_mut().cast();
        let ticks = ticks(time).max(1);
        OUTSTANDING.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the argument is a reference of its own, which `run` or `stop` takes back.
        let id = unsafe { sys::timeout(Some(run), arg, ticks) };
        pending.id.store(id, Ordering::Release);
        Timeout { pending, id }
    }

    /// Keeps the routine from running, or waits until it has run; says whether it never ran. `untimeout(9F)`.
    pub fn cancel(mut self) -> bool {
        self.stop()
    }

    fn stop(&mut self) -> bool {
        let id = core::mem::replace(&mut self.id, ptr::null_mut());
        if id.is_null() {
            return false;
        }
        // SAFETY: an id that timeout(9F) gave.
        let left = unsafe { sys::untimeout(id) };
        if left < 0 {
            // It has run and is among the others, or its own routine does this.
            reap();
            return false;
        }
        OUTSTANDING.fetch_sub(1, Ordering::Release);
        // SAFETY: the routine will not run, so the kernel's reference is ours again.
        unsafe { Arc::decrement_strong_count(Arc::as_ptr(&self.pending)) };
        true
    }
}

impl Drop for Timeout {
    fn drop(&mut self) {
        self.stop();
    }
}
