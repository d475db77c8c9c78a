//! Time: durations as clock ticks, and [`Timeout`], a routine that runs once, later.
//!
//! A tick is 10 ms on a kernel that nobody tuned, so shorter times are rounded up to that.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ffi::c_void;
use core::ptr;
use core::time::Duration;

use ddi_sys as sys;

use crate::sync::Mutex;

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
    routine: Mutex<Option<Routine>>,
}

/// A routine that runs once after a time, `timeout(9F)`, unless the value is dropped before.
///
/// It runs in a thread of the kernel's, with no process: it may take mutexes, but not sleep, allocate with waiting,
/// or copy from or to a process. [`cancel`](Timeout::cancel) and drop wait until it is not running, so the caller
/// must not hold a lock that the routine takes.
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
    let pending = unsafe { Arc::from_raw(arg.cast::<Pending>()) };
    let routine = pending.routine.lock().take();
    if let Some(routine) = routine {
        routine();
    }
}

impl Timeout {
    /// Runs `routine` once, after `time` (at least a tick). User or kernel context: allocates.
    #[must_use = "dropping it cancels it"]
    pub fn after(time: Duration, routine: impl FnOnce() + Send + 'static) -> Timeout {
        let pending = Arc::new(Pending { routine: Mutex::new(Some(Box::new(routine))) });
        let arg = Arc::into_raw(Arc::clone(&pending)).cast_mut().cast();
        let ticks = ticks(time).max(1);
        // SAFETY: the argument is a reference of its own, which `run` or `stop` takes back.
        let id = unsafe { sys::timeout(Some(run), arg, ticks) };
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
        // SAFETY: an id that timeout(9F) gave, used once.
        let left = unsafe { sys::untimeout(id) };
        if left < 0 {
            return false;
        }
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
