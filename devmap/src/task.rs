//! Task queues: work for threads that may sleep, dispatched from any context.
//!
//! A [`TaskQueue`] has threads of its own, so other work does not delay its tasks. [`dispatch`](TaskQueue::dispatch) runs a routine once, and allocates; a [`Task`] is made beforehand,
//! and can be dispatched repeatedly, from an interrupt, too. Tasks run in kernel context, without a process. No locks of this crate are held meanwhile.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::Ordering;

use ddi_sys as sys;

use crate::atomic::{AtomicPtr, AtomicU8, AtomicU64};
use crate::busy::{self, Busy, Late, Link};
use crate::context::{Kernel, MayBlock, MaySleep};
use crate::errno::{Errno, Error, error};
use crate::kmem::try_push;
use crate::node::Node;
use crate::text::Text;
use crate::threads::this_thread;

const PAGE: &str = "ddi_taskq_create(9F)";
const OWN: Error = error!(Errno::EDEADLK, PAGE, "a task of the queue would wait for itself");

struct Queue {
    link: Link,
    /// Null when it is destroyed.
    raw: AtomicPtr<sys::ddi_taskq_t>,
    /// The threads that run tasks; 0 where there is none. As many places as there are threads.
    runners: Vec<AtomicU64>,
    _busy: Busy,
}

impl Queue {
    /// Returns whether the caller is one of its tasks.
    fn is_runner(&self) -> bool {
        let me = this_thread();
        self.runners.iter().any(|runner| runner.load(Ordering::Relaxed) == me)
    }

    fn destroy(&self) {
        let raw = self.raw.swap(ptr::null_mut(), Ordering::Relaxed);
        if !raw.is_null() {
            // SAFETY: from ddi_taskq_create, destroyed once, and not by one of its own tasks.
            unsafe { sys::ddi_taskq_destroy(raw) };
        }
    }

    fn hand_over(
        &self,
        run: unsafe extern "C-unwind" fn(*mut c_void),
        arg: *mut c_void,
        sleep: i32,
    ) -> Result<(), Error> {
        // SAFETY: a queue that lives: those who dispatch have an `Owner`. `run` takes the argument, unless this fails.
        let result = unsafe {
            sys::ddi_taskq_dispatch(self.raw.load(Ordering::Relaxed), Some(run), arg, sleep as u32)
        };
        if result == sys::DDI_SUCCESS {
            return Ok(());
        }
        Err(error!(Errno::ENOMEM, "ddi_taskq_dispatch(9F)", "no memory for a task"))
    }
}

impl Late for Queue {
    fn link(&self) -> &Link {
        &self.link
    }

    fn end(self: Arc<Queue>) {
        self.destroy();
    }
}

/// Those who dispatch. The last one destroys the queue.
struct Owner(Arc<Queue>);

impl Drop for Owner {
    fn drop(&mut self) {
        if self.0.is_runner() {
            // It cannot wait for itself.
            busy::end_later(Arc::clone(&self.0));
        } else {
            self.0.destroy();
        }
    }
}

/// A thread that runs a task, until dropped, also when the task panics.
struct Runs<'a>(Option<&'a AtomicU64>);

impl<'a> Runs<'a> {
    fn new(queue: &'a Queue) -> Runs<'a> {
        let me = this_thread();
        let free =
            |place: &&AtomicU64| place.compare_exchange(0, me, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        Runs(queue.runners.iter().find(free))
    }
}

impl Drop for Runs<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.0 {
            place.store(0, Ordering::Relaxed);
        }
    }
}

/// Threads that run tasks, in the order in which they come if there is one thread: `ddi_taskq_create(9F)`.
///
/// Dropping it, or the last [`Task`] of it if that goes later, waits until everything that was dispatched is done: hold no lock that a task takes. A task may drop it.
///
/// ```no_run
/// # use devmap::prelude::*;
/// # use devmap::task::TaskQueue;
/// # fn f(attach: &Attach<'_>) -> Result<(), devmap::Error> {
/// let queue = TaskQueue::new(attach.node(), "reset", 1)?; // keep it in the device
/// queue.dispatch(attach, |cx| devmap::time::sleep(cx, core::time::Duration::from_secs(1)))?;
///
/// // For an interrupt's handler.
/// let reset = queue.task(|_| devmap::note!("reset"));
/// let in_handler = move |cx: &mut devmap::context::Interrupt| reset.dispatch(cx);
/// # Ok(()) }
/// ```
pub struct TaskQueue(Arc<Owner>);

struct Job<F> {
    routine: F,
    queue: Arc<Queue>,
}

unsafe extern "C-unwind" fn run_job<F: FnOnce(&mut Kernel) + Send + 'static>(arg: *mut c_void) {
    // SAFETY: what `dispatch` has handed over, once.
    let job = unsafe { Box::from_raw(arg.cast::<Job<F>>()) };
    let Job { routine, queue } = *job;
    let _runs = Runs::new(&queue);
    // SAFETY: a task runs in kernel context.
    let mut cx = unsafe { Kernel::assume() };
    routine(&mut cx);
}

impl TaskQueue {
    /// Creates a queue with `threads` threads (at least 1), which kernel tools show by `name`. User or kernel context.
    ///
    /// Fails with `EINVAL` for a name longer than 31 bytes, with `ENOMEM` if the kernel refuses.
    pub fn new(node: &Node<'_>, name: &str, threads: u16) -> Result<TaskQueue, Error> {
        busy::reap();
        let name = Text::<32>::name(name)
            .ok_or_else(|| error!(Errno::EINVAL, PAGE, "a name is longer than 31 bytes"))?;
        let threads = threads.max(1);
        let mut runners = Vec::new();
        for _ in 0..threads {
            try_push(&mut runners, AtomicU64::new(0))
                .map_err(|errno| error!(errno, PAGE, "no memory to remember its threads by"))?;
        }
        let busy = Busy::new();
        // SAFETY: a live node, and a string that ends in NUL, which the call copies.
        let raw = unsafe {
            sys::ddi_taskq_create(
                node.as_ptr(),
                name.as_ptr(),
                threads.into(),
                sys::TASKQ_DEFAULTPRI as sys::pri_t,
                0,
            )
        };
        if raw.is_null() {
            return Err(error!(Errno::ENOMEM, PAGE, "the kernel makes no queue"));
        }
        let queue = Queue { link: Link::new(), raw: AtomicPtr::new(raw), runners, _busy: busy };
        Ok(TaskQueue(Arc::new(Owner(Arc::new(queue)))))
    }

    fn queue(&self) -> &Arc<Queue> {
        &self.0.0
    }

    /// Dispatches `routine` to a thread of the queue: `ddi_taskq_dispatch(9F)`. Sleeps for memory.
    pub fn dispatch(
        &self,
        cx: &impl MaySleep,
        routine: impl FnOnce(&mut Kernel) + Send + 'static,
    ) -> Result<(), Error> {
        let _ = cx;
        self.dispatch_job(routine)
    }

    fn dispatch_job<F: FnOnce(&mut Kernel) + Send + 'static>(&self, routine: F) -> Result<(), Error> {
        let queue = self.queue();
        let job = Box::into_raw(Box::new(Job { routine, queue: Arc::clone(queue) }));
        queue.hand_over(run_job::<F>, job.cast(), sys::DDI_SLEEP).inspect_err(|_| {
            // SAFETY: as above; the kernel does not have it.
            drop(unsafe { Box::from_raw(job) });
        })
    }

    /// Creates a task of this queue, not dispatched yet. User or kernel context: allocates.
    pub fn task(&self, routine: impl FnMut(&mut Kernel) + Send + 'static) -> Task {
        let inner = TaskInner {
            state: AtomicU8::new(IDLE),
            routine: UnsafeCell::new(Box::new(routine)),
            queue: Arc::clone(self.queue()),
        };
        Task { inner: Arc::new(inner), _owner: Arc::clone(&self.0) }
    }

    /// Waits until everything that was dispatched so far is done: `ddi_taskq_wait(9F)`. `EDEADLK` in a task of the queue.
    pub fn wait(&self, cx: &impl MaySleep) -> Result<(), Error> {
        let _ = cx;
        if self.queue().is_runner() {
            return Err(OWN);
        }
        // SAFETY: a queue that lives; the context may sleep.
        unsafe { sys::ddi_taskq_wait(self.queue().raw.load(Ordering::Relaxed)) };
        Ok(())
    }

    /// Returns the kernel's queue, for functions that this crate does not have: good while this value lives. See [`raw`](crate::raw).
    pub fn as_raw(&self) -> *mut sys::ddi_taskq_t {
        self.queue().raw.load(Ordering::Relaxed)
    }

    /// Keeps tasks from starting until the result is dropped; running ones continue: `ddi_taskq_suspend(9F)`. Does not nest: dropping one result lets tasks start although there is another.
    #[must_use = "tasks begin again when this is dropped"]
    pub fn pause(&self, cx: &impl MaySleep) -> Paused<'_> {
        let _ = cx;
        // SAFETY: a queue that lives.
        unsafe { sys::ddi_taskq_suspend(self.queue().raw.load(Ordering::Relaxed)) };
        Paused(self)
    }
}

/// A [`TaskQueue`] in which no task starts.
pub struct Paused<'a>(&'a TaskQueue);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        // SAFETY: a queue that lives.
        unsafe { sys::ddi_taskq_resume(self.0.queue().raw.load(Ordering::Relaxed)) };
    }
}

/// Neither dispatched nor running.
const IDLE: u8 = 0;
/// Dispatched, and not begun.
const QUEUED: u8 = 1;
/// Running.
const RUNS: u8 = 2;
/// Running, and dispatched once more meanwhile.
const AGAIN: u8 = 3;

type Routine = Box<dyn FnMut(&mut Kernel) + Send>;

struct TaskInner {
    state: AtomicU8,
    /// Used by `run_task`, which runs once at a time: from `QUEUED` to `IDLE`.
    routine: UnsafeCell<Routine>,
    queue: Arc<Queue>,
}

// SAFETY: the routine is `Send`, and used by one thread at a time.
unsafe impl Sync for TaskInner {}

/// A task that can be dispatched repeatedly, without allocating; made by [`TaskQueue::task`].
///
/// If it is dropped while it is dispatched, it still runs that once.
pub struct Task {
    inner: Arc<TaskInner>,
    _owner: Arc<Owner>,
}

impl Task {
    /// Dispatches the task to a thread of the queue. Returns false if it was dispatched already and has not begun. A task that is running runs once more
    /// afterwards. Any context but a high-level interrupt.
    ///
    /// `ENOMEM`: the kernel had no memory for it, and it does not run.
    pub fn dispatch(&self, cx: &impl MayBlock) -> Result<bool, Error> {
        let _ = cx;
        let next = |state| match state {
            IDLE => Some(QUEUED),
            RUNS => Some(AGAIN),
            _ => None,
        };
        match self.inner.state.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next) {
            Ok(IDLE) => {}
            Ok(_) => return Ok(true),
            Err(_) => return Ok(false),
        }
        let arg = Arc::into_raw(Arc::clone(&self.inner));
        self.inner.queue.hand_over(run_task, arg.cast_mut().cast(), sys::DDI_NOSLEEP).inspect_err(|_| {
            self.inner.state.store(IDLE, Ordering::Release);
            // SAFETY: from above; the kernel does not have it.
            drop(unsafe { Arc::from_raw(arg) });
        })?;
        Ok(true)
    }
}

/// A task that is run, until dropped, also when it panics.
struct Begun {
    task: Arc<TaskInner>,
    done: bool,
}

impl Drop for Begun {
    fn drop(&mut self) {
        if !self.done {
            self.task.state.store(IDLE, Ordering::Release);
        }
    }
}

unsafe extern "C-unwind" fn run_task(arg: *mut c_void) {
    // SAFETY: the reference that `dispatch` has handed over.
    let task = unsafe { Arc::from_raw(arg.cast_const().cast::<TaskInner>()) };
    let queue = Arc::clone(&task.queue);
    let _runs = Runs::new(&queue);
    let mut begun = Begun { task, done: false };
    // SAFETY: a task runs in kernel context.
    let mut cx = unsafe { Kernel::assume() };
    loop {
        begun.task.state.store(RUNS, Ordering::Relaxed);
        // SAFETY: one run at a time: who dispatches it meanwhile only says so.
        let routine = unsafe { &mut *begun.task.routine.get() };
        routine(&mut cx);
        let done = begun.task.state.compare_exchange(RUNS, IDLE, Ordering::AcqRel, Ordering::Acquire);
        begun.done = done.is_ok();
        if begun.done {
            return;
        }
    }
}
