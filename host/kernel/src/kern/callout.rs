//! timeout(9F), ddi_periodic_add(9F) and the framework's own timers.
//!
//! One thread keeps the queue and hands what is due to worker threads: a function that blocks on a mutex (allowed in
//! timeout context) delays no other. Workers are made when all are busy and end after a minute idle.
//!
//! Locking: one leaf mutex for the queue, never held while a function runs.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::blocked::{Blocked, For, Others};
use super::thread::{self, Context};

/// Function of a timer. Must not unwind.
pub type Job = Box<dyn FnOnce() + Send>;

/// The number of a timer, never 0.
pub type Id = u64;

#[derive(Default)]
struct Queue {
    due: BTreeMap<(Instant, Id), Job>,
    /// When each pending timer is due.
    pending: HashMap<Id, Instant>,
    /// Running timers and the thread number that runs them (0: not started yet).
    running: HashMap<Id, u32>,
    /// Due, waiting for a worker.
    ready: VecDeque<(Id, Job)>,
    idle: usize,
    workers: usize,
    last: Id,
}

struct Callouts {
    queue: Mutex<Queue>,
    /// The timer thread waits here.
    clock: Condvar,
    /// Idle workers wait here.
    work: Condvar,
    /// untimeout waits here for a running function.
    done: Condvar,
}

/// More workers than this are not made: then functions wait for each other.
const MAX_WORKERS: usize = 64;

static CALLOUTS: LazyLock<Callouts> = LazyLock::new(|| {
    spawn("callout", clock);
    Callouts { queue: Mutex::default(), clock: Condvar::new(), work: Condvar::new(), done: Condvar::new() }
});

fn spawn(name: &str, run: fn()) {
    let thread = std::thread::Builder::new().name(name.into()).spawn(run);
    thread.expect("a thread for timeouts");
}

/// Runs `job` once, `after` from now.
pub fn after(after: Duration, job: Job) -> Id {
    let mut queue = CALLOUTS.queue.lock();
    queue.last += 1;
    let id = queue.last;
    let when = Instant::now() + after;
    let first = queue.due.first_key_value().is_none_or(|((at, _), _)| when < *at);
    queue.due.insert((when, id), job);
    queue.pending.insert(id, when);
    if first {
        CALLOUTS.clock.notify_one();
    }
    id
}

/// Result of cancelling a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It will not run; this much time was left.
    Pending(Duration),
    /// It has run, or is being run by the calling thread, or never was.
    Gone,
}

/// Cancels a timer. When it returns the function is not running, unless the caller is that function.
pub fn cancel(id: Id) -> Cancelled {
    let mut queue = CALLOUTS.queue.lock();
    if let Some(when) = queue.pending.remove(&id) {
        queue.due.remove(&(when, id));
        return Cancelled::Pending(when.saturating_duration_since(Instant::now()));
    }
    if let Some(at) = queue.ready.iter().position(|(ready, _)| *ready == id) {
        queue.ready.remove(at);
        queue.running.remove(&id);
        return Cancelled::Pending(Duration::ZERO);
    }
    let me = thread::id();
    let runs = |queue: &Queue| queue.running.get(&id).copied().filter(|&runner| runner != me);
    if runs(&queue).is_some() {
        drop(queue);
        let who = move || CALLOUTS.queue.lock().running.get(&id).copied().into_iter().collect();
        let others = Others::new("the function that it cancels", "untimeout(9F)", who);
        let _blocked = Blocked::on(For::Others(others), false);
        let mut queue = CALLOUTS.queue.lock();
        while runs(&queue).is_some() {
            CALLOUTS.done.wait(&mut queue);
        }
    }
    Cancelled::Gone
}

/// Cancels a timer without waiting for a function that runs.
pub fn forget(id: Id) {
    let mut queue = CALLOUTS.queue.lock();
    let job = queue.pending.remove(&id).and_then(|when| queue.due.remove(&(when, id)));
    drop(queue);
    // Dropped without the lock: dropping its captures may take locks.
    drop(job);
}

fn clock() {
    let mut queue = CALLOUTS.queue.lock();
    loop {
        let now = Instant::now();
        let Some((&(when, id), _)) = queue.due.first_key_value() else {
            CALLOUTS.clock.wait(&mut queue);
            continue;
        };
        if when > now {
            CALLOUTS.clock.wait_until(&mut queue, when);
            continue;
        }
        let Some((_, job)) = queue.due.pop_first() else { continue };
        queue.pending.remove(&id);
        queue.running.insert(id, 0);
        queue.ready.push_back((id, job));
        if queue.idle < queue.ready.len() && queue.workers < MAX_WORKERS {
            queue.workers += 1;
            spawn("callout-worker", worker);
        }
        CALLOUTS.work.notify_one();
    }
}

fn worker() {
    let mut queue = CALLOUTS.queue.lock();
    loop {
        if let Some((id, job)) = queue.ready.pop_front() {
            queue.running.insert(id, thread::id());
            drop(queue);
            thread::in_context(Context::Timeout, job);
            queue = CALLOUTS.queue.lock();
            queue.running.remove(&id);
            CALLOUTS.done.notify_all();
            continue;
        }
        queue.idle += 1;
        let idle = CALLOUTS.work.wait_for(&mut queue, Duration::from_secs(60));
        queue.idle -= 1;
        if idle.timed_out() && queue.ready.is_empty() {
            queue.workers -= 1;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_timer_runs_once_and_a_cancelled_one_never() {
        let (send, receive) = mpsc::channel();
        let sender = send.clone();
        let never = after(Duration::from_secs(600), Box::new(move || sender.send(1).unwrap()));
        let once = after(Duration::ZERO, Box::new(move || send.send(2).unwrap()));
        assert_eq!(receive.recv(), Ok(2));
        assert!(matches!(cancel(never), Cancelled::Pending(left) if left > Duration::from_secs(500)));
        assert_eq!(cancel(never), Cancelled::Gone);
        assert_eq!(cancel(once), Cancelled::Gone);
        assert!(receive.recv().is_err(), "nobody is left that could send");
    }

    #[test]
    fn cancelling_waits_for_a_running_function() {
        let (started, start) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let (finished, finish) = mpsc::channel();
        let id = after(
            Duration::ZERO,
            Box::new(move || {
                started.send(()).unwrap();
                let _ = released.recv();
                finished.send(()).unwrap();
            }),
        );
        start.recv().unwrap();
        let cancelling = std::thread::spawn(move || cancel(id));
        release.send(()).unwrap();
        assert_eq!(cancelling.join().unwrap(), Cancelled::Gone);
        assert!(finish.try_recv().is_ok(), "it had finished when cancel returned");
    }

    #[test]
    fn a_blocked_function_delays_no_other() {
        let (release, released) = mpsc::channel::<()>();
        after(Duration::ZERO, Box::new(move || _ = released.recv()));
        let (send, receive) = mpsc::channel();
        after(Duration::from_millis(1), Box::new(move || send.send(()).unwrap()));
        receive.recv().unwrap();
        drop(release);
    }
}
