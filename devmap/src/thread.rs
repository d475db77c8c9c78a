//! [`Thread`]: a thread of the driver's own, in kernel context.
//!
//! It ends when its routine returns, and is waited for when the [`Thread`] is dropped; so a thread that the device keeps is over before detach is. Locking: a mutex for each thread, held for
//! a few instructions, after the driver's own.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ffi::c_void;
use core::mem::transmute;
use core::ptr;
use core::time::Duration;

use ddi_sys as sys;

use crate::busy::{self, Busy, Late, Link};
use crate::context::{Kernel, MayBlock, MaySleep, sealed::Sealed};
use crate::errno::{Errno, Error, error};
use crate::sync::{Condvar, Mutex};
use crate::threads::this_thread;

#[derive(Default)]
struct State {
    /// The thread's identity; 0 before it has begun.
    did: sys::kt_did_t,
    stop: bool,
    woken: bool,
}

struct Inner {
    link: Link,
    state: Mutex<State>,
    changed: Condvar,
    _busy: Busy,
}

/// A kernel thread: `thread_create`. Dropping it asks the thread to end and waits for that, so hold no lock that its routine takes; the thread itself may drop it.
///
/// ```no_run
/// use core::time::Duration;
/// use devmap::thread::Thread;
///
/// # fn f() -> Result<(), devmap::Error> {
/// let poller = Thread::new(|worker| {
///     while worker.wait_for(Duration::from_millis(50)) {
///         // ... look after the device ...
///     }
/// })?;
/// # Ok(()) }
/// ```
pub struct Thread(Arc<Inner>);

/// A thread's view of itself: whether it has been asked to end, and how to wait. It is a context that may sleep.
pub struct Worker {
    inner: Arc<Inner>,
    cx: Kernel,
}

impl Sealed for Worker {}
impl MaySleep for Worker {}

struct Start<F> {
    routine: F,
    inner: Arc<Inner>,
}

unsafe extern "C-unwind" fn start<F: FnOnce(&mut Worker) + Send + 'static>(arg: *mut c_void) {
    // SAFETY: what `new` has handed over, once.
    let start = unsafe { Box::from_raw(arg.cast::<Start<F>>()) };
    let Start { routine, inner } = *start;
    inner.state.lock().did = this_thread();
    inner.changed.notify_all();
    // SAFETY: a kernel thread.
    let cx = unsafe { Kernel::assume() };
    routine(&mut Worker { inner, cx });
    // The kernel ends a thread that returns.
}

impl Thread {
    /// Starts a thread. User or kernel context: allocates. Fails with `EAGAIN` if no thread can be created.
    pub fn new(routine: impl FnOnce(&mut Worker) + Send + 'static) -> Result<Thread, Error> {
        busy::reap();
        Thread::start(routine)
    }

    fn start<F: FnOnce(&mut Worker) + Send + 'static>(routine: F) -> Result<Thread, Error> {
        let inner = Arc::new(Inner {
            link: Link::new(),
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            _busy: Busy::new(),
        });
        let arg = Box::into_raw(Box::new(Start { routine, inner: Arc::clone(&inner) }));
        // SAFETY: a thread's function takes what it was created with; it is declared without parameters, as in C of old.
        let function = unsafe {
            transmute::<unsafe extern "C-unwind" fn(*mut c_void), unsafe extern "C-unwind" fn()>(start::<F>)
        };
        // SAFETY: set before any driver is loaded.
        let priority = unsafe { sys::minclsyspri };
        let process = &raw mut sys::p0;
        // SAFETY: a stack of the kernel's choice, and a function that takes the argument.
        let thread = unsafe {
            sys::thread_create(
                ptr::null_mut(),
                0,
                Some(function),
                arg.cast(),
                0,
                process,
                sys::TS_RUN,
                priority,
            )
        };
        if thread.is_null() {
            // SAFETY: as above; there is no thread to have it.
            drop(unsafe { Box::from_raw(arg) });
            return Err(error!(Errno::EAGAIN, "thread_create", "the kernel makes no thread"));
        }
        Ok(Thread(inner))
    }

    /// Ends the thread's wait, or makes its next one return at once. Any context but a high-level interrupt.
    pub fn wake(&self, cx: &impl MayBlock) {
        let _ = cx;
        self.0.state.lock().woken = true;
        self.0.changed.notify_all();
    }

    /// Asks the thread to end: its waits return false from now on. Does not wait for the end; drop does.
    pub fn stop(&self) {
        self.0.state.lock().stop = true;
        self.0.changed.notify_all();
    }
}

impl Inner {
    /// Waits until the thread is over.
    fn join(&self, cx: &impl MaySleep) {
        let mut state = self.state.lock();
        while state.did == 0 {
            self.changed.wait(cx, &mut state);
        }
        let did = state.did;
        drop(state);
        // SAFETY: a thread of thread_create, which is not the caller.
        unsafe { sys::thread_join(did) };
    }
}

impl Late for Inner {
    fn link(&self) -> &Link {
        &self.link
    }

    fn end(self: Arc<Inner>) {
        // SAFETY: who ends things is in user or kernel context.
        self.join(&unsafe { Kernel::assume() });
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop();
        let own = self.0.state.lock().did == this_thread();
        if own {
            // It cannot wait for itself.
            busy::end_later(Arc::clone(&self.0));
        } else {
            // SAFETY: threads are dropped in user or kernel context, as their documentation says.
            self.0.join(&unsafe { Kernel::assume() });
        }
    }
}

impl Worker {
    /// Returns whether the thread has been asked to end.
    pub fn is_stopped(&self) -> bool {
        self.inner.state.lock().stop
    }

    /// Waits until [woken](Thread::wake); false when the thread is to end.
    pub fn wait(&mut self) -> bool {
        let mut state = self.inner.state.lock();
        while !state.woken && !state.stop {
            self.inner.changed.wait(&self.cx, &mut state);
        }
        state.woken = false;
        !state.stop
    }

    /// Waits until [woken](Thread::wake), for `time` at most; false when the thread is to end.
    pub fn wait_for(&mut self, time: Duration) -> bool {
        let mut state = self.inner.state.lock();
        while !state.woken && !state.stop {
            if self.inner.changed.wait_for(&self.cx, &mut state, time).is_err() {
                break;
            }
        }
        state.woken = false;
        !state.stop
    }
}
