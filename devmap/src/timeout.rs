//! [`Timeout`]: a routine that runs once, later, and again if it says so.
//!
//! The routine runs in a thread of the kernel's, with no process, as an interrupt does: it may take mutexes, but not sleep, allocate with waiting, or copy from or to a
//! process. It never runs twice at the same time. Setting it again allocates nothing.
//!
//! Locking: a mutex for each timeout, held for a few instructions, over timeout(9F), too, but over no routine and no untimeout(9F); another one keeps those
//! that set and cancel it apart. Both come after the driver's own.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr;
use core::time::Duration;

use ddi_sys as sys;

use crate::busy::{self, Busy, Late, Link};
use crate::context::Interrupt;
use crate::sync::{Mutex, MutexGuard};
use crate::threads::this_thread;
use crate::time::ticks;

type Routine = Box<dyn FnMut(&mut Interrupt) -> Option<Duration> + Send>;

#[derive(Clone, Copy, PartialEq)]
enum Now {
    /// Neither set nor running.
    Idle,
    /// The kernel will call `run`, and has a reference.
    Set(sys::timeout_id_t),
    /// `run` is under way, on this thread.
    Runs(sys::timeout_id_t, sys::kt_did_t),
}

struct State {
    now: Now,
    /// The run before, until it is known to have returned to the kernel; or null.
    ran: sys::timeout_id_t,
    /// While it runs: what was said of the next run meanwhile, which counts more than what the routine says.
    then: Option<Option<Duration>>,
    /// From the first time that it is set, until it is known that nothing runs.
    busy: Option<Busy>,
}

// SAFETY: the identities are numbers in a pointer's clothes.
unsafe impl Send for State {}

/// Held by those that set or cancel it.
struct Turn;

struct Inner {
    link: Link,
    state: Mutex<State>,
    /// Taken by those who set or cancel it, but from inside the routine.
    turns: Mutex<Turn>,
    /// Used by `run` only, which runs once at a time.
    routine: UnsafeCell<Routine>,
}

// SAFETY: the routine is `Send`, and used by one thread at a time; the rest is behind mutexes.
unsafe impl Sync for Inner {}

/// A routine that runs once after a time, `timeout(9F)`, and not any more when the value is dropped.
///
/// ```no_run
/// # use core::time::Duration;
/// # use devmap::timeout::Timeout;
/// # fn poke_the_device() -> bool { true }
/// let alarm = Timeout::after(Duration::from_millis(10), |_| devmap::note!("ten milliseconds later"));
/// alarm.set(Duration::from_secs(1)); // later still
/// drop(alarm); // not any more
///
/// // A routine that says when to run again, or that it need not.
/// let mut tries = 0;
/// let retry = Timeout::new(move |_| {
///     tries += 1;
///     (!poke_the_device() && tries < 10).then_some(Duration::from_millis(20))
/// });
/// retry.set(Duration::from_millis(20));
/// ```
///
/// Setting, cancelling and dropping may wait until the routine has returned, so hold no lock that the routine takes. The routine itself may set, cancel
/// and even drop it. If the value is forgotten, the module stays loaded while the routine can still run.
pub struct Timeout(Arc<Inner>);

unsafe extern "C-unwind" fn run(arg: *mut c_void) {
    // SAFETY: the reference that the kernel had, which calls this at most once for each time that it is set.
    let inner = unsafe { Arc::from_raw(arg.cast_const().cast::<Inner>()) };
    let before = {
        // Waits for `arm`, which has the lock while timeout(9F) has not returned.
        let mut state = inner.state.lock();
        let Now::Set(id) = state.now else { return };
        state.now = Now::Runs(id, this_thread());
        core::mem::replace(&mut state.ran, ptr::null_mut())
    };
    if !before.is_null() {
        // The run that has set this one may not have come to its end.
        // SAFETY: an id that timeout(9F) gave.
        unsafe { sys::untimeout(before) };
    }
    let mut ending = Ending { inner: Some(inner), next: None };
    if let Some(inner) = &ending.inner {
        // SAFETY: one run at a time: the next one waits for this to return, see above.
        let routine = unsafe { &mut *inner.routine.get() };
        // SAFETY: a routine of timeout(9F).
        let mut cx = unsafe { Interrupt::assume() };
        ending.next = routine(&mut cx);
    }
}

/// A run that ends when this is dropped, also when the routine panics.
struct Ending {
    inner: Option<Arc<Inner>>,
    next: Option<Duration>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        let mut state = inner.state.lock();
        if let Now::Runs(id, _) = state.now {
            state.ran = id;
        }
        match state.then.take().unwrap_or(self.next) {
            Some(time) => inner.arm(&mut state, time),
            None => {
                state.now = Now::Idle;
                drop(state);
                busy::end_later(inner);
            }
        }
    }
}

impl Inner {
    /// Sets it to run after `time`.
    fn arm(self: &Arc<Inner>, state: &mut MutexGuard<'_, State>, time: Duration) {
        let ticks = ticks(time).max(1);
        let arg = Arc::into_raw(Arc::clone(self)).cast_mut().cast();
        // SAFETY: the argument is a reference of its own, which `run` or `disarm` takes back.
        let id = unsafe { sys::timeout(Some(run), arg, ticks) };
        state.now = Now::Set(id);
        state.busy.get_or_insert_with(Busy::new);
    }

    /// Cancels it, and waits for the routine unless the routine itself is the caller. Returns whether it was set and had not run.
    fn disarm(self: &Arc<Inner>) -> bool {
        loop {
            let id = {
                let mut state = self.state.lock();
                match state.now {
                    Now::Idle => return false,
                    Now::Set(id) => id,
                    Now::Runs(id, _) => {
                        state.then = Some(None);
                        id
                    }
                }
            };
            // SAFETY: an id that timeout(9F) gave. No lock of ours is held that the routine takes.
            let left = unsafe { sys::untimeout(id) };
            if left >= 0 {
                self.state.lock().now = Now::Idle;
                // SAFETY: the routine will not run, so the kernel's reference is ours again.
                let kernels = unsafe { Arc::from_raw(Arc::as_ptr(self)) };
                busy::end_later(kernels);
                return true;
            }
            // It has run, and may have set itself again.
        }
    }
}

impl Late for Inner {
    fn link(&self) -> &Link {
        &self.link
    }

    fn end(self: Arc<Inner>) {
        let (ran, busy) = {
            let mut state = self.state.lock();
            if state.now != Now::Idle {
                return; // set again; it comes back to the list after the next run
            }
            (core::mem::replace(&mut state.ran, ptr::null_mut()), state.busy.take())
        };
        if !ran.is_null() {
            // SAFETY: an id that timeout(9F) gave. The routine has run: this returns when `run` has.
            unsafe { sys::untimeout(ran) };
        }
        // The routine before the module.
        drop(self);
        drop(busy);
    }
}

impl Timeout {
    /// Creates a timeout that is not set yet. The routine returns the time after which it runs again, or None. User or kernel context: allocates.
    pub fn new(routine: impl FnMut(&mut Interrupt) -> Option<Duration> + Send + 'static) -> Timeout {
        busy::reap();
        Timeout(Arc::new(Inner {
            link: Link::new(),
            state: Mutex::new(State { now: Now::Idle, ran: ptr::null_mut(), then: None, busy: None }),
            turns: Mutex::new(Turn),
            routine: UnsafeCell::new(Box::new(routine)),
        }))
    }

    /// Runs `routine` once, after `time`. User or kernel context: allocates.
    #[must_use = "dropping it cancels it"]
    pub fn after(time: Duration, routine: impl FnOnce(&mut Interrupt) + Send + 'static) -> Timeout {
        let mut routine = Some(routine);
        let timeout = Timeout::new(move |cx| {
            if let Some(routine) = routine.take() {
                routine(cx);
            }
            None
        });
        timeout.set(time);
        timeout
    }

    /// Runs the routine after `time`, at least a tick, from now; not when it was set to run before. Any context but a high-level interrupt.
    pub fn set(&self, time: Duration) {
        let inner = &self.0;
        if self.in_routine(Some(time)) {
            return;
        }
        let _turn = inner.turns.lock();
        inner.disarm();
        inner.arm(&mut inner.state.lock(), time);
    }

    /// Cancels the routine, or waits until it has returned. Returns whether it was set and had not run: `untimeout(9F)`. Any context but a high-level
    /// interrupt.
    pub fn cancel(&self) -> bool {
        let inner = &self.0;
        if self.in_routine(None) {
            return false;
        }
        let _turn = inner.turns.lock();
        inner.disarm()
    }

    /// Returns whether the routine is the caller; then the request is recorded and carried out when it returns.
    fn in_routine(&self, then: Option<Duration>) -> bool {
        let mut state = self.0.state.lock();
        let inside = matches!(state.now, Now::Runs(_, thread) if thread == this_thread());
        if inside {
            state.then = Some(then);
        }
        inside
    }

    /// Returns whether it is set and has not begun to run.
    pub fn is_set(&self) -> bool {
        matches!(self.0.state.lock().now, Now::Set(_))
    }
}

impl Drop for Timeout {
    fn drop(&mut self) {
        if self.in_routine(None) {
            return; // the end of the run sees to the rest
        }
        self.cancel();
        busy::end_later(Arc::clone(&self.0));
        busy::reap();
    }
}
