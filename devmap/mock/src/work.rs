//! What runs by itself: periodic routines, task queues, threads. Periodic routines and tasks run when a test says so, each on a thread of its own.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::{c_char, c_int, c_void};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use ddi_sys as sys;

use super::kernel;
use super::nodes::text;

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

    /// Runs it on another thread, which is that of `owner`.
    fn run_elsewhere(self, owner: usize) {
        let run = move || {
            WITHIN.set(owner);
            self.run();
        };
        if let Err(panic) = std::thread::spawn(run).join() {
            std::panic::resume_unwind(panic);
        }
    }
}

thread_local! {
    /// The queue or periodic routine that this thread runs for.
    static WITHIN: Cell<usize> = const { Cell::new(0) };
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
    threads: BTreeMap<u64, JoinHandle<()>>,
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
    let all: Vec<(usize, Call)> =
        kernel().work.periodic.iter().map(|(id, (call, ..))| (*id, *call)).collect();
    all.iter().for_each(|(id, call)| call.run_elsewhere(*id));
    all.len()
}

/// Runs the first task of a queue that is not paused: was there any?
pub fn run_task() -> bool {
    let task =
        |(id, queue): (&usize, &mut Queue)| (!queue.paused).then(|| Some((*id, queue.tasks.pop_front()?)))?;
    let Some((id, call)) = kernel().work.queues.iter_mut().find_map(task) else { return false };
    call.run_elsewhere(id);
    true
}

fn run_all(queue: usize) {
    assert_ne!(WITHIN.get(), queue, "a task waits for itself");
    loop {
        let Some(call) = kernel().work.queues.get_mut(&queue).expect("a queue").tasks.pop_front() else {
            return;
        };
        call.run_elsewhere(queue);
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
    assert_ne!(WITHIN.get(), id.expose_provenance(), "a periodic routine waits for itself");
    kernel().work.periodic.remove(&id.expose_provenance()).expect("a periodic routine that there is");
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
    let (sender, receiver) = channel();
    let thread = std::thread::spawn(move || {
        // SAFETY: may be called anywhere.
        sender.send(unsafe { sys::ddi_get_kt_did() }).unwrap();
        // Entered below before the routine can look for itself.
        while !kernel().work.threads.contains_key(&me()) {
            std::thread::yield_now();
        }
        call.run();
    });
    let did = receiver.recv().unwrap();
    kernel().work.threads.insert(did, thread);
    did as *mut c_void
}

fn me() -> u64 {
    // SAFETY: may be called anywhere.
    unsafe { sys::ddi_get_kt_did() }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn thread_join(did: u64) {
    assert_ne!(did, me(), "a thread waits for itself");
    let thread = kernel().work.threads.remove(&did);
    if let Some(Err(panic)) = thread.map(JoinHandle::join) {
        std::panic::resume_unwind(panic);
    }
}
