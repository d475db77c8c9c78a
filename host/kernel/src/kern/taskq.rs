//! Task queues: ddi_taskq(9F) and the kernel's taskq.
//!
//! A queue has a fixed number of threads (made when first needed) and runs its tasks in order of dispatch. Locking: one
//! leaf mutex per queue, never held while a task runs.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::blocked::{Blocked, For, Others};
use super::thread::{self, Context};

/// Function of a task. Must not unwind.
pub type Task = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    tasks: VecDeque<Task>,
    /// The numbers of the threads that run tasks.
    running: Vec<u32>,
    idle: usize,
    threads: Vec<u32>,
    started: usize,
    suspended: bool,
    ending: bool,
}

struct Shared {
    name: String,
    state: Mutex<State>,
    work: Condvar,
    changed: Condvar,
}

/// A queue and its threads.
pub struct TaskQueue {
    shared: Arc<Shared>,
    max: usize,
}

impl Shared {
    /// Waits until `done`, which the tasks that run have to end for.
    fn wait_until(self: &Arc<Self>, done: impl Fn(&State) -> bool) {
        if done(&self.state.lock()) {
            return;
        }
        let this = self.clone();
        let what = format!("the tasks of {}", self.name);
        let who = move || this.state.lock().running.clone();
        let blocked = Blocked::on(For::Others(Others::new(&what, "ddi_taskq_wait(9F)", who)), false);
        let mut state = self.state.lock();
        while !done(&state) {
            self.changed.wait(&mut state);
        }
        blocked.over();
    }
}

impl TaskQueue {
    /// A queue of at most `threads` threads (at least one).
    pub fn new(name: &str, threads: usize) -> Self {
        let shared = Shared {
            name: name.to_owned(),
            state: Mutex::default(),
            work: Condvar::new(),
            changed: Condvar::new(),
        };
        TaskQueue { shared: Arc::new(shared), max: threads.clamp(1, 256) }
    }

    /// The name it was made with.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Queues a task. False: the queue is being destroyed, or no thread could be made for it.
    pub fn dispatch(&self, task: Task) -> bool {
        let mut state = self.shared.state.lock();
        if state.ending {
            return false;
        }
        if state.idle <= state.tasks.len() && state.started < self.max {
            let shared = self.shared.clone();
            let thread = std::thread::Builder::new().name(format!("taskq {}", self.name()));
            match thread.spawn(move || worker(&shared)) {
                Ok(_) => state.started += 1,
                Err(_) if state.started == 0 => return false,
                Err(_) => {}
            }
        }
        state.tasks.push_back(task);
        self.shared.work.notify_one();
        true
    }

    /// Waits until every task dispatched so far, and those that they dispatch meanwhile, is done.
    pub fn wait(&self) {
        self.shared.wait_until(|state| state.running.is_empty() && state.tasks.is_empty());
    }

    /// Stops running tasks; waits for those that run.
    pub fn suspend(&self) {
        self.shared.state.lock().suspended = true;
        self.shared.wait_until(|state| state.running.is_empty());
    }

    /// Goes on after [`suspend`](Self::suspend).
    pub fn resume(&self) {
        self.shared.state.lock().suspended = false;
        self.shared.work.notify_all();
    }

    /// Returns whether the queue is suspended.
    pub fn suspended(&self) -> bool {
        self.shared.state.lock().suspended
    }

    /// Returns whether thread number `id` is one of the queue's.
    pub fn has_thread(&self, id: u32) -> bool {
        self.shared.state.lock().threads.contains(&id)
    }
}

impl Drop for TaskQueue {
    /// Runs what is queued, then ends the threads.
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.ending = true;
        state.suspended = false;
        self.shared.work.notify_all();
        drop(state);
        // A task that destroys its own queue waits for itself, which is reported; a host that continues after a report waits for the others.
        let me = thread::id();
        self.shared.wait_until(|state| state.started == usize::from(state.threads.contains(&me)));
    }
}

fn worker(shared: &Shared) {
    let me = thread::id();
    let mut state = shared.state.lock();
    state.threads.push(me);
    loop {
        if !state.suspended
            && let Some(task) = state.tasks.pop_front()
        {
            state.running.push(me);
            drop(state);
            thread::in_context(Context::Kernel, task);
            state = shared.state.lock();
            state.running.retain(|&id| id != me);
            shared.changed.notify_all();
            continue;
        }
        if state.ending && state.tasks.is_empty() {
            break;
        }
        state.idle += 1;
        shared.work.wait(&mut state);
        state.idle -= 1;
    }
    state.threads.retain(|&id| id != me);
    state.started -= 1;
    shared.changed.notify_all();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    #[test]
    fn tasks_run_in_order_and_wait_waits() {
        let queue = TaskQueue::new("test", 1);
        let seen = Arc::new(Mutex::new(Vec::new()));
        for i in 0..100 {
            let seen = seen.clone();
            assert!(queue.dispatch(Box::new(move || seen.lock().push(i))));
        }
        queue.wait();
        assert_eq!(*seen.lock(), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_suspended_queue_keeps_its_tasks() {
        let queue = TaskQueue::new("test", 4);
        let count = Arc::new(AtomicUsize::new(0));
        queue.suspend();
        assert!(queue.suspended());
        for _ in 0..8 {
            let count = count.clone();
            queue.dispatch(Box::new(move || _ = count.fetch_add(1, SeqCst)));
        }
        assert_eq!(count.load(SeqCst), 0);
        queue.resume();
        queue.wait();
        assert_eq!(count.load(SeqCst), 8);
        queue.dispatch(Box::new({
            let count = count.clone();
            move || _ = count.fetch_add(1, SeqCst)
        }));
        drop(queue);
        assert_eq!(count.load(SeqCst), 9, "destroying runs what was queued");
    }
}
