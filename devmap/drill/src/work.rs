//! Time and work: clocks, timeouts, task queues, threads, soft interrupts, locks.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
use core::time::Duration;

use devmap::context::MaySleep;
use devmap::interrupt::{Mutex as InterruptMutex, Priority, SoftInterrupt, SoftPriority};
use devmap::prelude::*;
use devmap::sync::{Condvar, RwLock};
use devmap::task::{Task, TaskQueue};
use devmap::thread::Thread;
use devmap::time;
use devmap::timeout::Timeout;

use crate::{Drilled, Failed, check};

const MS: Duration = Duration::from_millis(1);

/// Something that is counted in an interrupt, and waited for elsewhere.
pub struct Counted {
    count: InterruptMutex<u32>,
    changed: Condvar,
}

impl Counted {
    /// Nothing yet.
    pub fn new(priority: Priority) -> Counted {
        Counted { count: InterruptMutex::new(priority, 0), changed: Condvar::new() }
    }

    /// One more.
    pub fn count(&self, cx: &mut impl devmap::context::MayBlock) {
        *self.count.lock(cx) += 1;
        self.changed.notify_all();
    }

    /// Waits until there are so many more than there were; false when they do not come.
    pub fn wait(&self, cx: &mut impl MaySleep, before: u32, more: u32) -> bool {
        self.reaches(cx, before, more) && self.now(cx).wrapping_sub(before) == more
    }

    /// Waits until there are at least so many more than there were; false when they do not come.
    pub fn reaches(&self, cx: &mut impl MaySleep, before: u32, more: u32) -> bool {
        let mut count = self.count.lock(cx);
        while count.wrapping_sub(before) < more {
            if count.wait_for(&self.changed, MS * 2000).is_err() {
                return false;
            }
        }
        true
    }

    /// Count of calls.
    pub fn now(&self, cx: &mut impl MaySleep) -> u32 {
        *self.count.lock(cx)
    }
}

/// Queues, timeouts and soft interrupts, made in attach(9E).
pub struct Work {
    /// Goes first: it dispatches a task.
    soft: SoftInterrupt,
    counted: Arc<Counted>,
    queue: TaskQueue,
}

impl Work {
    /// With a node.
    pub fn new(attach: &Attach<'_>) -> Result<Work, Failed> {
        let queue = TaskQueue::new(attach.node(), "drill", 1)?;
        let counted = Arc::new(Counted::new(Priority::NONE));
        let later = Arc::clone(&counted);
        let task: Task = queue.task(move |cx| later.count(cx));
        let priority = SoftPriority::new(4).ok_or(Errno::EINVAL)?;
        let soft = SoftInterrupt::new(attach.node(), priority, move |cx| {
            let _ = task.dispatch(cx);
        })?;
        Ok(Work { soft, counted, queue })
    }

    /// A handler that does what it may, and has a task do what sleeps.
    pub fn soft(&self, cx: &mut impl MaySleep) -> Drilled {
        check!(self.soft.priority().number() == 4);
        for _ in 0..3 {
            let before = self.counted.now(cx);
            self.soft.trigger();
            check!(self.counted.wait(cx, before, 1));
        }
        Ok(())
    }

    /// Timeouts that are set, set again, cancelled, and that set themselves.
    pub fn timeouts(&self, cx: &mut impl MaySleep) -> Drilled {
        let counted = Arc::new(Counted::new(Priority::NONE));
        let (runs, mut left) = (Arc::clone(&counted), 3);
        let again = Timeout::new(move |cx| {
            runs.count(cx);
            left -= 1;
            (left > 0).then_some(MS * 10)
        });
        let started = time::now();
        again.set(MS * 10);
        check!(counted.wait(cx, 0, 3) && !again.is_set());
        check!(time::now().saturating_sub(started) >= MS * 30);
        let other = Arc::clone(&counted);
        let never = Timeout::after(MS * 50, move |cx| other.count(cx));
        check!(never.is_set() && never.cancel() && !never.is_set() && !never.cancel());
        let other = Arc::clone(&counted);
        drop(Timeout::after(MS * 20, move |cx| other.count(cx)));
        time::sleep(cx, MS * 100);
        check!(counted.now(cx) == 3);
        Ok(())
    }

    /// Tasks run in order, by a thread that may sleep, and are waited for.
    pub fn tasks(&self, cx: &mut impl MaySleep) -> Drilled {
        let order = Arc::new(AtomicU32::new(0));
        for number in 0..8 {
            let order = Arc::clone(&order);
            self.queue.dispatch(cx, move |cx| {
                time::sleep(cx, MS);
                let _ = order.compare_exchange(number, number + 1, SeqCst, SeqCst);
            })?;
        }
        self.queue.wait(cx)?;
        check!(order.load(SeqCst) == 8);
        let counted = Arc::new(Counted::new(Priority::NONE));
        let mine = Arc::clone(&counted);
        let task = self.queue.task(move |cx| mine.count(cx));
        let paused = self.queue.pause(cx);
        check!(task.dispatch(cx)? && !task.dispatch(cx)?);
        time::sleep(cx, MS * 30);
        check!(counted.now(cx) == 0);
        drop(paused);
        check!(counted.wait(cx, 0, 1));
        Ok(())
    }
}

/// Clocks go on, waits take what they say.
pub fn time(cx: &mut impl MaySleep) -> Drilled {
    let (before, ticks) = (time::now(), time::lbolt());
    time::sleep(cx, MS * 30);
    check!(time::now().saturating_sub(before) >= MS * 30);
    check!(time::lbolt() - ticks >= time::ticks(MS * 30) - 1);
    check!(time::from_ticks(time::ticks(MS * 30)) == MS * 30);
    let before = time::now();
    time::spin(Duration::from_micros(200));
    check!(time::now().saturating_sub(before) >= Duration::from_micros(200));
    check!(time::time_of_day() > Duration::from_secs(50 * 365 * 86400));
    check!(time::sleep_sig(cx, MS).is_ok());
    Ok(())
}

/// Threads wait, are woken, and end when they are dropped.
pub fn threads(cx: &mut impl MaySleep) -> Drilled {
    let counted = Arc::new(Counted::new(Priority::NONE));
    let mine = Arc::clone(&counted);
    let thread = Thread::new(move |worker| {
        while worker.wait() {
            mine.count(worker);
        }
        mine.count(worker);
    })?;
    for round in 0..3 {
        thread.wake(cx);
        check!(counted.wait(cx, round, 1));
    }
    drop(thread);
    check!(counted.now(cx) == 4);
    let mine = Arc::clone(&counted);
    let ticking = Thread::new(move |worker| {
        while worker.wait_for(MS * 5) {
            mine.count(worker);
        }
    })?;
    check!(counted.reaches(cx, 4, 5));
    drop(ticking);
    Ok(())
}

/// Readers share, writers do not, and what waits ends in time.
pub fn locks(cx: &mut impl MaySleep) -> Drilled {
    let lock = RwLock::new(1);
    let (one, two) = (lock.read(), lock.try_read());
    check!(two.is_some() && lock.try_write().is_none());
    drop(two);
    let Ok(mut one) = one.try_upgrade() else { return Err(Failed::Line(line!())) };
    *one += 1;
    let one = one.downgrade();
    check!(*one == 2 && lock.try_read().is_some());
    drop(one);
    let (mutex, condvar) = (Mutex::new(0), Condvar::new());
    let mut guard = mutex.lock();
    check!(mutex.try_lock().is_none());
    let before = time::now();
    check!(condvar.wait_for(cx, &mut guard, MS * 20) == Err(Errno::ETIMEDOUT));
    check!(time::now().saturating_sub(before) >= MS * 20);
    Ok(())
}
