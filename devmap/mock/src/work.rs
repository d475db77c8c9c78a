//! What runs by itself: periodic routines, task queues, threads. Periodic routines and tasks run when a test says so, each on a thread of its own.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use ddi_sys as sys;

use super::nodes::text;
use super::running::when_over;
use super::threads::{Thread, me, threads};
use super::{Kernel, kernel};

type Function = unsafe extern "C-unwind" fn(*mut c_void);

/// A routine and its argument, as numbers.
#[derive(Clone, Copy, Debug)]
struct Call {
    function: usize,
    arg: usize,
}

impl Call {
    fn new(function: Option<Function>, arg: *mut c_void) -> Call {
        Call { function: function.unwrap() as usize, arg: arg.expose_provenance() }
    }

    fn run(self) {
        // SAFETY: `new` stored it there, a function of this type.
        let function: Function = unsafe { std::mem::transmute(self.function as *const ()) };
        // SAFETY: as ddi_taskq_dispatch(9F), ddi_periodic_add(9F): with the argument that came with it.
        unsafe { function(self.arg as *mut c_void) };
    }
}

/// Runs a routine on a thread of its own, because of a periodic routine or a queue. Returns false if `next` finds none.
fn run_elsewhere(next: impl FnOnce(&mut Kernel) -> Option<(usize, Call)> + Send + 'static) -> bool {
    let found = Arc::new(AtomicBool::new(false));
    let done = found.clone();
    let run = move || {
        let (_runs, call) = {
            let mut kernel = kernel();
            let Some((id, call)) = next(&mut kernel) else { return };
            (kernel.runs(id), call)
        };
        done.store(true, SeqCst);
        call.run();
    };
    (threads().spawn(Box::new(run)).join)();
    found.load(SeqCst)
}

/// A task queue.
#[derive(Debug)]
pub struct Queue {
    /// The name.
    pub name: String,
    /// Threads that it has.
    pub threads: i32,
    /// Whether it is suspended.
    pub paused: bool,
    tasks: VecDeque<Call>,
}

/// Work that is under way.
#[derive(Debug, Default)]
pub struct Work {
    /// By identity: the routine, nanoseconds and level.
    periodic: BTreeMap<usize, (Call, i64, i32)>,
    /// Task queues by address.
    pub queues: BTreeMap<usize, Queue>,
    threads: BTreeMap<u64, Thread>,
}

impl Work {
    /// Returns whether nothing is left.
    pub fn is_over(&self) -> bool {
        self.periodic.is_empty() && self.queues.is_empty() && self.threads.is_empty()
    }

    /// Returns interval in nanoseconds and level of each periodic routine.
    pub fn periodics(&self) -> Vec<(i64, i32)> {
        self.periodic.values().map(|(_, interval, level)| (*interval, *level)).collect()
    }

    /// Returns the number of threads that run.
    pub fn threads(&self) -> usize {
        self.threads.len()
    }
}

/// After a test that failed.
pub fn forget() {
    kernel().work = Work::default();
}

/// Runs every periodic routine once: how many there were.
pub fn tick() -> usize {
    let all: Vec<usize> = kernel().work.periodic.keys().copied().collect();
    let one = |id: usize| move |kernel: &mut Kernel| Some((id, kernel.work.periodic.get(&id)?.0));
    all.into_iter().filter(|id| run_elsewhere(one(*id))).count()
}

impl Kernel {
    /// Takes the first task of a queue, if one of its threads has nothing to do.
    fn take_task(&mut self, id: usize) -> Option<(usize, Call)> {
        let busy = self.running.get(&id).map_or(0, Vec::len);
        let queue = self.work.queues.get_mut(&id).expect("a queue");
        (busy < queue.threads as usize).then(|| Some((id, queue.tasks.pop_front()?)))?
    }
}

/// Runs the first task of a queue that is not paused: was there any?
pub fn run_task() -> bool {
    run_elsewhere(|kernel| {
        let due = |(id, queue): (&usize, &Queue)| (!queue.paused && !queue.tasks.is_empty()).then_some(*id);
        let due: Vec<usize> = kernel.work.queues.iter().filter_map(due).collect();
        due.into_iter().find_map(|id| kernel.take_task(id))
    })
}

/// Runs all tasks of a queue, and waits for those that run.
fn run_all(queue: usize) {
    assert!(!kernel().runs_here(queue), "a task waits for itself");
    loop {
        while run_elsewhere(move |kernel| kernel.take_task(queue)) {}
        if when_over(queue, |kernel| kernel.work.queues[&queue].tasks.is_empty()) {
            return;
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_periodic_add(
    function: Option<Function>,
    arg: *mut c_void,
    interval: i64,
    level: c_int,
) -> *mut c_void {
    let mut kernel = kernel();
    let id = kernel.fresh();
    kernel.work.periodic.insert(id, (Call::new(function, arg), interval, level));
    id as *mut c_void
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_periodic_delete(id: *mut c_void) {
    let id = id.expose_provenance();
    assert!(!kernel().runs_here(id), "a periodic routine waits for itself");
    when_over(id, |kernel| kernel.work.periodic.remove(&id)).expect("a periodic routine that there is");
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_taskq_create(
    _: *mut sys::dev_info_t,
    name: *const c_char,
    threads: c_int,
    priority: sys::pri_t,
    flags: u32,
) -> *mut c_void {
    assert_eq!((priority, flags), (-1, 0));
    // SAFETY: as ddi_taskq_create(9F): a string.
    let name = unsafe { text(name) }.to_owned();
    let mut kernel = kernel();
    if kernel.refuses("ddi_taskq_create") {
        return std::ptr::null_mut();
    }
    let id = kernel.fresh();
    kernel.work.queues.insert(id, Queue { name, threads, paused: false, tasks: VecDeque::new() });
    id as *mut c_void
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_taskq_dispatch(
    queue: *mut c_void,
    function: Option<Function>,
    arg: *mut c_void,
    flags: u32,
) -> c_int {
    let mut kernel = kernel();
    assert!(!(kernel.interrupt && flags != sys::DDI_NOSLEEP as u32), "sleeping in an interrupt");
    if kernel.refuses("ddi_taskq_dispatch") {
        return sys::DDI_FAILURE;
    }
    let queue = kernel.work.queues.get_mut(&queue.expose_provenance()).expect("a queue");
    queue.tasks.push_back(Call::new(function, arg));
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_taskq_wait(queue: *mut c_void) {
    run_all(queue.expose_provenance());
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_taskq_destroy(queue: *mut c_void) {
    run_all(queue.expose_provenance());
    let queue = kernel().work.queues.remove(&queue.expose_provenance()).expect("a queue, destroyed once");
    assert!(!queue.paused, "a queue that is suspended does not come to its end");
}

fn pause(queue: *mut c_void, paused: bool) {
    kernel().work.queues.get_mut(&queue.expose_provenance()).expect("a queue").paused = paused;
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_taskq_suspend(queue: *mut c_void) {
    pause(queue, true);
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_taskq_resume(queue: *mut c_void) {
    pause(queue, false);
}

#[unsafe(no_mangle)]
static mut p0: [u64; 8] = [0; 8];

#[unsafe(no_mangle)]
static mut minclsyspri: i16 = 60;

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn thread_create(
    stack: *mut c_char,
    stack_size: usize,
    function: Option<Function>,
    arg: *mut c_void,
    len: usize,
    process: *mut c_void,
    state: c_int,
    priority: i16,
) -> *mut c_void {
    assert!(stack.is_null() && stack_size == 0 && len == 0 && !process.is_null());
    assert_eq!((state, priority), (sys::TS_RUN, 60));
    if kernel().refuses("thread_create") {
        return std::ptr::null_mut();
    }
    let call = Call::new(function, arg);
    let thread = threads().spawn(Box::new(move || {
        // Entered below before the routine can look for itself.
        while !kernel().work.threads.contains_key(&me()) {
            threads().pause();
        }
        call.run();
    }));
    let id = thread.id;
    kernel().work.threads.insert(id, thread);
    id as *mut c_void
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn thread_join(did: u64) {
    assert_ne!(did, me(), "a thread waits for itself");
    let thread = kernel().work.threads.remove(&did);
    if let Some(thread) = thread {
        (thread.join)();
    }
}
