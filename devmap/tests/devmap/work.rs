//! What runs by itself: timeouts, periodic routines, task queues, threads; and the clocks.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use ddi_sys as sys;
use devmap::Errno;
use devmap::context::Interrupt;
use devmap::periodic::{Level, Periodic};
use devmap::task::{Task, TaskQueue};
use devmap::thread::Thread;
use devmap::time::{from_ticks, lbolt, now, sleep, sleep_sig, spin, time_of_day};
use devmap::timeout::Timeout;

use crate::driver::{boot, cx, with_node};
use crate::mock::messages::fire_timeout;
use crate::mock::work::{run_task, tick};
use crate::mock::{Booted, Kernel, kernel, locks};

const SOON: Duration = Duration::from_millis(10);

fn interrupt() -> Interrupt {
    // SAFETY: the mock kernel does not tell contexts apart here.
    unsafe { Interrupt::assume() }
}

/// A counter, and one for a routine.
fn counter() -> (Arc<AtomicU32>, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    (Arc::clone(&count), count)
}

/// In how many ticks the timeouts that are set are to run.
fn set() -> Vec<i64> {
    kernel().timeouts.values().map(|(_, _, ticks)| *ticks).collect()
}

#[test]
fn a_timeout_runs_once_or_is_cancelled() {
    let _kernel = boot();
    let (ran, count) = counter();
    let timeout = Timeout::after(Duration::from_millis(25), move |_| {
        count.fetch_add(1, SeqCst);
    });
    assert_eq!((set(), timeout.is_set()), (vec![3], true));
    assert!(fire_timeout());
    assert_eq!((ran.load(SeqCst), timeout.is_set(), timeout.cancel()), (1, false, false));
    assert_eq!(Arc::strong_count(&ran), 1, "a routine that has run is dropped");
    drop(timeout);
    let flag = Arc::clone(&ran);
    let timeout = Timeout::after(Duration::ZERO, move |_| drop(flag));
    assert_eq!((timeout.cancel(), timeout.cancel()), (true, false));
    drop(timeout);
    assert_eq!(Arc::strong_count(&ran), 1, "one that was cancelled, too");
    drop(Timeout::after(Duration::ZERO, |_| panic!("dropped before")));
    assert!(!fire_timeout());
}

#[test]
fn a_timeout_that_is_set_again_runs_again_without_memory() {
    let _kernel = boot();
    let (ran, count) = counter();
    let timeout =
        Timeout::new(move |_| (count.fetch_add(1, SeqCst) < 2).then_some(Duration::from_millis(50)));
    assert!(!timeout.is_set() && !fire_timeout());
    timeout.set(SOON);
    timeout.set(Duration::from_millis(30));
    assert_eq!(set(), [3], "the last time counts");
    kernel().refuse.insert("kmem_alloc", 0);
    for _ in 0..2 {
        assert!(fire_timeout());
        assert_eq!(set(), [5]);
    }
    assert!(fire_timeout());
    assert_eq!((ran.load(SeqCst), set()), (3, vec![]));
    timeout.set(SOON);
    assert!(fire_timeout() && !fire_timeout());
    assert_eq!(ran.load(SeqCst), 4);
    kernel().refuse.clear();
}

#[test]
fn a_timeout_is_set_and_cancelled_from_inside() {
    let _kernel = boot();
    let own: Arc<StdMutex<Option<Timeout>>> = Arc::new(StdMutex::new(None));
    let inside = Arc::clone(&own);
    let (ran, count) = counter();
    let timeout = Timeout::new(move |_| {
        let own = inside.lock().unwrap();
        let own = own.as_ref().unwrap();
        match count.fetch_add(1, SeqCst) {
            0 => own.set(Duration::from_millis(70)), // counts more than what is returned
            1 => assert!(!own.cancel()),
            _ => {}
        }
        Some(SOON)
    });
    timeout.set(SOON);
    *own.lock().unwrap() = Some(timeout);
    assert!(fire_timeout());
    assert_eq!(set(), [7]);
    assert!(fire_timeout());
    assert_eq!((ran.load(SeqCst), set()), (2, vec![]), "cancelled");
    own.lock().unwrap().as_ref().unwrap().set(SOON);
    assert!(fire_timeout());
    assert_eq!(set(), [1], "and by what the routine says");
    *own.lock().unwrap() = None;
    assert!(!fire_timeout());
}

fn threads() -> usize {
    kernel().work.threads()
}

fn periodics() -> Vec<(i64, i32)> {
    kernel().work.periodics()
}

fn queues() -> usize {
    kernel().work.queues.len()
}

fn slept() -> i64 {
    kernel().slept
}

/// The next run must not begin before the one that has set it has returned.
#[test]
fn a_run_waits_for_the_one_before() {
    let _kernel = boot();
    let timeout = Timeout::new(|_| Some(SOON));
    timeout.set(SOON);
    for _ in 0..5 {
        assert!(fire_timeout());
        assert_eq!(kernel().returning.len(), 1, "those before were waited for");
    }
}

#[test]
fn timeouts_are_set_and_cancelled_by_many_at_once() {
    let _kernel = boot();
    let (ran, count) = counter();
    let timeout = Timeout::new(move |_| {
        count.fetch_add(1, SeqCst);
        None
    });
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let setters: Vec<_> = (0..3)
            .map(|n| {
                let timeout = &timeout;
                scope.spawn(move || {
                    for round in 0..crate::rounds(300) {
                        timeout.set(SOON);
                        if (round + n) % 3 == 0 {
                            timeout.cancel();
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !over.load(SeqCst) {
                fire_timeout();
            }
        });
        setters.into_iter().for_each(|setter| setter.join().unwrap());
        over.store(true, SeqCst);
    });
    timeout.set(SOON);
    assert_eq!(set().len(), 1);
    let before = ran.load(SeqCst);
    assert!(fire_timeout());
    assert_eq!(ran.load(SeqCst), before + 1);
}

#[test]
fn the_module_stays_while_a_forgotten_routine_can_run() {
    let booted = boot();
    let timeout = Timeout::new(|_| None);
    timeout.set(SOON);
    assert!(timeout.cancel());
    std::mem::forget(timeout);
    assert_eq!(booted.unload(), 0, "it cannot");
    assert_eq!((crate::driver::MODULE.init)(), 0);
    let timeout = Timeout::new(|_| None);
    timeout.set(SOON);
    std::mem::forget(timeout);
    assert_eq!(booted.unload(), sys::EBUSY);
    assert!(fire_timeout());
    locks::left(2 * 2);
}

#[test]
fn a_periodic_routine_runs_until_it_is_dropped() {
    let booted = boot();
    let (ran, count) = counter();
    let in_interrupt = Arc::clone(&count);
    let one = Periodic::new(Duration::from_millis(15), move |cx| {
        sleep(cx, SOON);
        count.fetch_add(1, SeqCst);
    });
    let level = Level::new(4).unwrap();
    let two = Periodic::at_level(level, SOON, move |_: &mut Interrupt| {
        in_interrupt.fetch_add(10, SeqCst);
    });
    assert_eq!(periodics(), [(15_000_000, 0), (10_000_000, 4)]);
    assert_eq!((tick(), ran.load(SeqCst), slept()), (2, 11, 1));
    assert_eq!(booted.unload(), sys::EBUSY);
    drop(one);
    assert_eq!((tick(), ran.load(SeqCst)), (1, 21));
    drop(two);
    assert_eq!((tick(), Arc::strong_count(&ran)), (0, 1));
    assert_eq!([0, 11].map(|level| Level::new(level).unwrap_err().errno()), [Errno::EINVAL; 2]);
    assert_eq!(Periodic::new(Duration::MAX, |_| ()).err().unwrap().errno(), Errno::EINVAL);
}

#[test]
fn a_periodic_routine_that_drops_itself_runs_no_more() {
    let booted = boot();
    let own: Arc<StdMutex<Option<Periodic>>> = Arc::new(StdMutex::new(None));
    let inside = Arc::clone(&own);
    let (ran, count) = counter();
    *own.lock().unwrap() = Some(
        Periodic::new(SOON, move |_| {
            count.fetch_add(1, SeqCst);
            drop(inside.lock().unwrap().take());
        })
        .unwrap(),
    );
    assert_eq!((tick(), tick(), ran.load(SeqCst)), (1, 1, 1), "the kernel goes on calling");
    assert_eq!(periodics().len(), 1);
    drop(Timeout::new(|_| None));
    assert_eq!((periodics().len(), Arc::strong_count(&ran)), (0, 1), "until somebody comes by");
    assert_eq!(booted.unload(), 0);
    assert_eq!((crate::driver::MODULE.init)(), 0);
}

type Kept<T> = Arc<StdMutex<Option<T>>>;

/// A queue, in a kernel that has it until the test is over.
fn queue(threads: u16) -> (Booted, TaskQueue) {
    let kept: Kept<TaskQueue> = Arc::default();
    let keep = Arc::clone(&kept);
    let booted = with_node(move |node| {
        *keep.lock().unwrap() = Some(TaskQueue::new(node, "worker", threads).unwrap());
        let long = TaskQueue::new(node, &"x".repeat(32), 1);
        assert_eq!(long.err().unwrap().errno(), Errno::EINVAL);
        kernel().refuse.insert("ddi_taskq_create", 0);
        assert_eq!(TaskQueue::new(node, "none", 1).err().unwrap().errno(), Errno::ENOMEM);
        kernel().refuse.clear();
    });
    let queue = kept.lock().unwrap().take().unwrap();
    (booted, queue)
}

#[test]
fn tasks_run_in_kernel_context_and_are_waited_for() {
    let (booted, queue) = queue(0);
    let work = || {
        let kernel = kernel();
        let queue = kernel.work.queues.values().next().unwrap();
        (queue.name.clone(), queue.threads, queue.paused)
    };
    assert_eq!(work(), ("worker".into(), 1, false));
    let (ran, count) = counter();
    for _ in 0..3 {
        let count = Arc::clone(&count);
        queue
            .dispatch(&cx(), move |cx| {
                sleep(cx, SOON);
                count.fetch_add(1, SeqCst);
            })
            .unwrap();
    }
    assert!(run_task());
    let paused = queue.pause(&cx());
    assert!(!run_task() && work().2);
    drop(paused);
    queue.wait(&cx()).unwrap();
    assert_eq!((ran.load(SeqCst), Arc::strong_count(&ran)), (3, 2));
    kernel().refuse.insert("ddi_taskq_dispatch", 0);
    let kept = Arc::clone(&count);
    let refused = queue.dispatch(&cx(), move |_| drop(kept));
    assert_eq!((refused.unwrap_err().errno(), Arc::strong_count(&ran)), (Errno::ENOMEM, 2));
    kernel().refuse.clear();
    queue
        .dispatch(&cx(), move |_| {
            count.fetch_add(1, SeqCst);
        })
        .unwrap();
    assert_eq!(booted.unload(), sys::EBUSY);
    drop(queue);
    assert_eq!((ran.load(SeqCst), Arc::strong_count(&ran)), (4, 1), "dropping it waits");
}

#[test]
fn a_task_is_dispatched_once_however_often_it_is_asked_for() {
    let (_booted, queue) = queue(2);
    let (ran, count) = counter();
    let own: Kept<Task> = Arc::default();
    let inside = Arc::clone(&own);
    let task = queue.task(move |_| {
        if count.fetch_add(1, SeqCst) == 1 {
            // While it runs: once more, and no more.
            let own = inside.lock().unwrap();
            let again = [(); 3].map(|()| own.as_ref().unwrap().dispatch(&interrupt()));
            assert_eq!(again, [Ok(true), Ok(false), Ok(false)]);
        }
    });
    // An interrupt may dispatch it: nothing sleeps, nothing is allocated.
    kernel().interrupt = true;
    kernel().refuse.insert("kmem_alloc", 0);
    let asked = [(); 3].map(|()| task.dispatch(&interrupt()));
    assert_eq!(asked, [Ok(true), Ok(false), Ok(false)]);
    kernel().interrupt = false;
    assert!(run_task() && !run_task());
    assert_eq!(ran.load(SeqCst), 1);
    *own.lock().unwrap() = Some(task);
    let dispatch = || own.lock().unwrap().as_ref().unwrap().dispatch(&interrupt());
    assert_eq!(dispatch(), Ok(true));
    assert!(run_task() && !run_task());
    assert_eq!(ran.load(SeqCst), 3);
    kernel().refuse.insert("ddi_taskq_dispatch", 0);
    assert_eq!(dispatch().unwrap_err().errno(), Errno::ENOMEM);
    kernel().refuse.clear();
    assert_eq!(dispatch(), Ok(true), "it was not lost for ever");
    drop(queue);
    assert!(run_task(), "the task keeps its queue");
    assert_eq!(dispatch(), Ok(true));
    let task = own.lock().unwrap().take();
    drop(task);
    assert_eq!((ran.load(SeqCst), Arc::strong_count(&ran)), (5, 1), "and the last of them waits");
}

#[test]
fn a_task_may_drop_its_queue_and_does_not_wait_for_itself() {
    let (booted, queue) = queue(3);
    let queue = Arc::new(queue);
    let last: Kept<Arc<TaskQueue>> = Arc::default();
    let inside = Arc::clone(&last);
    queue
        .dispatch(&cx(), move |cx| {
            let queue = inside.lock().unwrap().take().unwrap();
            assert_eq!(queue.wait(cx).unwrap_err().errno(), Errno::EDEADLK);
            drop(queue);
        })
        .unwrap();
    *last.lock().unwrap() = Some(queue);
    assert!(run_task());
    assert_eq!(queues(), 1, "nobody can wait for the task inside the task");
    drop(booted); // but before the module goes
}

#[test]
fn a_thread_waits_wakes_and_is_joined() {
    let booted = boot();
    let (ran, count) = counter();
    let thread = Thread::new(move |worker| {
        assert!(!worker.is_stopped());
        while worker.wait() {
            count.fetch_add(1, SeqCst);
        }
        assert!(worker.is_stopped() && !worker.wait() && !worker.wait_for(Duration::from_secs(9)));
        count.fetch_add(100, SeqCst);
    })
    .unwrap();
    assert_eq!((threads(), booted.unload()), (1, sys::EBUSY));
    for wanted in 1..4 {
        thread.wake(&interrupt());
        while ran.load(SeqCst) < wanted {
            std::thread::yield_now();
        }
    }
    drop(thread);
    assert_eq!((ran.load(SeqCst), Arc::strong_count(&ran), threads()), (103, 1, 0));
    let (timed, count) = counter();
    let polling = Thread::new(move |worker| {
        sleep(worker, SOON);
        while worker.wait_for(SOON) {
            count.fetch_add(1, SeqCst);
        }
    })
    .unwrap();
    while timed.load(SeqCst) < 3 {
        std::thread::yield_now(); // its time is over again and again
    }
    polling.stop();
    drop(polling);
    drop(Thread::new(|_| ()).unwrap());
    kernel().refuse.insert("thread_create", 0);
    assert_eq!(Thread::new(|_| ()).err().unwrap().errno(), Errno::EAGAIN);
    kernel().refuse.clear();
}

#[test]
fn a_thread_may_drop_itself() {
    let booted = boot();
    let own: Kept<Thread> = Arc::default();
    let inside = Arc::clone(&own);
    let (done, flag) = counter();
    let thread = Thread::new(move |worker| {
        worker.wait();
        drop(inside.lock().unwrap().take().unwrap());
        flag.store(1, SeqCst);
    });
    let mut place = own.lock().unwrap();
    *place = Some(thread.unwrap());
    place.as_ref().unwrap().wake(&cx());
    drop(place);
    while done.load(SeqCst) == 0 {
        std::thread::yield_now();
    }
    assert_eq!(threads(), 1, "nobody can wait for the thread inside the thread");
    drop(booted); // but before the module goes
}

#[test]
fn clocks_and_waiting() {
    let _kernel = boot();
    kernel().clock = 5_000_000_000;
    let before = now();
    assert_eq!(now().checked_sub(before), Some(Duration::from_micros(1)));
    assert_eq!([-1, 0, 3].map(from_ticks), [0, 0, 30].map(Duration::from_millis));
    assert_eq!((lbolt(), time_of_day()), (500, Duration::from_secs(1_000_000_005)));
    spin(Duration::from_micros(30));
    sleep(&cx(), Duration::from_millis(11));
    assert_eq!(sleep_sig(&cx(), Duration::from_millis(10)), Ok(()));
    kernel().signal = true;
    assert_eq!(sleep_sig(&cx(), Duration::from_millis(10)), Err(Errno::EINTR));
    let waited = |kernel: &Kernel| (kernel.spun, kernel.slept);
    assert_eq!(waited(&kernel()), (30, 3));
}
