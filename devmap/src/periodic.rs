//! [`Periodic`]: a routine that runs periodically.
//!
//! It never runs twice at the same time: while it is still running, its turn is skipped. No locks but the routine's own.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::Ordering;
use core::time::Duration;

use ddi_sys as sys;

use crate::atomic::{AtomicBool, AtomicPtr, AtomicU64};
use crate::busy::{self, Busy, Late, Link};
use crate::context::{Interrupt, Kernel};
use crate::errno::{Errno, Error, error};
use crate::threads::this_thread;

/// An interrupt priority below the scheduler's, at which a periodic routine can run: `DDI_IPL_1` to `DDI_IPL_10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(c_int);

impl Level {
    /// Creates the level of this number. Fails with `EINVAL` unless it is 1 to 10.
    pub const fn new(level: u8) -> Result<Level, Error> {
        const NONE: Error = error!(Errno::EINVAL, PAGE, "a level is 1 to 10");
        match level {
            1..=10 => Ok(Level(level as c_int)),
            _ => Err(NONE),
        }
    }
}

type Routine = Box<dyn FnMut() + Send>;

struct Inner {
    link: Link,
    /// Result of ddi_periodic_add(9F).
    id: AtomicPtr<c_void>,
    /// The thread that runs the routine; 0 when none does.
    runner: AtomicU64,
    /// It was dropped by its own routine.
    over: AtomicBool,
    /// Used by the runner.
    routine: UnsafeCell<Routine>,
    _busy: Busy,
}

// SAFETY: the routine is `Send`, and used by the runner, which is one thread at a time; the rest is atomic.
unsafe impl Sync for Inner {}

/// A routine that runs periodically, `ddi_periodic_add(9F)`, until the value is dropped. Dropping waits until the routine is not running, so hold no lock that it
/// takes. The routine itself may drop the value.
///
/// ```no_run
/// # use core::time::Duration;
/// # use devmap::periodic::Periodic;
/// # use devmap::poll::{Events, PollHead};
/// # extern crate alloc;
/// # fn f(head: alloc::sync::Arc<PollHead>) -> Result<(), devmap::Error> {
/// // In attach; kept in the device.
/// let clock = Periodic::new(Duration::from_millis(100), move |cx| head.wake(cx, Events::READABLE))?;
/// # Ok(()) }
/// ```
pub struct Periodic(Arc<Inner>);

const PAGE: &str = "ddi_periodic_add(9F)";

/// The runner, until dropped, also when the routine panics.
struct Runs<'a>(&'a Inner);

impl<'a> Runs<'a> {
    fn new(inner: &'a Inner) -> Option<Runs<'a>> {
        if inner.over.load(Ordering::Relaxed) {
            return None;
        }
        let taken = inner.runner.compare_exchange(0, this_thread(), Ordering::Acquire, Ordering::Relaxed);
        taken.is_ok().then_some(Runs(inner))
    }
}

impl Drop for Runs<'_> {
    fn drop(&mut self) {
        self.0.runner.store(0, Ordering::Release);
    }
}

unsafe extern "C-unwind" fn run(arg: *mut c_void) {
    // SAFETY: the reference that the kernel has until ddi_periodic_delete(9F) has returned.
    let inner = unsafe { &*arg.cast::<Inner>() };
    let Some(runs) = Runs::new(inner) else { return };
    // SAFETY: this thread is the runner.
    let routine = unsafe { &mut *runs.0.routine.get() };
    routine();
}

impl Inner {
    /// Ends it: on return the routine does not run, and will not.
    fn delete(self: &Arc<Inner>) {
        let id = self.id.swap(ptr::null_mut(), Ordering::Relaxed);
        if id.is_null() {
            return;
        }
        // SAFETY: from ddi_periodic_add, deleted once, and not by its own routine.
        unsafe { sys::ddi_periodic_delete(id.cast()) };
        // SAFETY: the kernel's reference, which it does not use any more.
        unsafe { Arc::decrement_strong_count(Arc::as_ptr(self)) };
    }
}

impl Late for Inner {
    fn link(&self) -> &Link {
        &self.link
    }

    fn end(self: Arc<Inner>) {
        self.delete();
    }
}

impl Periodic {
    /// Runs `routine` in kernel context every `interval`, for the first time after one: it may sleep, though then it runs less often. The interval is rounded up to 10 ms.
    /// User or kernel context: allocates.
    ///
    /// Fails with `EINVAL` for an interval beyond 292 years.
    pub fn new(
        interval: Duration,
        mut routine: impl FnMut(&mut Kernel) + Send + 'static,
    ) -> Result<Periodic, Error> {
        let call = move || {
            // SAFETY: a periodic routine of level 0 runs in kernel context.
            let mut cx = unsafe { Kernel::assume() };
            routine(&mut cx);
        };
        Periodic::add(interval, sys::DDI_IPL_0, Box::new(call))
    }

    /// Like [`new`](Periodic::new), but `routine` runs as an interrupt of this level: more punctually, and it must not sleep.
    pub fn at_level(
        level: Level,
        interval: Duration,
        mut routine: impl FnMut(&mut Interrupt) + Send + 'static,
    ) -> Result<Periodic, Error> {
        let call = move || {
            // SAFETY: a periodic routine of such a level runs in interrupt context.
            let mut cx = unsafe { Interrupt::assume() };
            routine(&mut cx);
        };
        Periodic::add(interval, level.0, Box::new(call))
    }

    fn add(interval: Duration, level: c_int, routine: Routine) -> Result<Periodic, Error> {
        busy::reap();
        let interval = i64::try_from(interval.as_nanos())
            .map_err(|_| error!(Errno::EINVAL, PAGE, "the interval is too long"))?;
        let inner = Arc::new(Inner {
            link: Link::new(),
            id: AtomicPtr::new(ptr::null_mut()),
            runner: AtomicU64::new(0),
            over: AtomicBool::new(false),
            routine: UnsafeCell::new(routine),
            _busy: Busy::new(),
        });
        let arg = Arc::into_raw(Arc::clone(&inner)).cast_mut().cast();
        // SAFETY: the argument is a reference of its own, which `delete` takes back.
        let id = unsafe { sys::ddi_periodic_add(Some(run), arg, interval, level) };
        inner.id.store(id.cast(), Ordering::Relaxed);
        Ok(Periodic(inner))
    }
}

impl Drop for Periodic {
    fn drop(&mut self) {
        let inner = &self.0;
        if inner.runner.load(Ordering::Relaxed) == this_thread() {
            // It cannot wait for itself.
            inner.over.store(true, Ordering::Relaxed);
            busy::end_later(Arc::clone(inner));
        } else {
            inner.delete();
        }
    }
}
