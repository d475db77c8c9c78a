//! A driver with all that runs by itself: timeouts, periodic routines, tasks, a thread, interrupts. None of it may run when the device has gone.

use alloc::boxed::Box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use ddi_sys as sys;
use devmap::context::{Interrupt, MayBlock};
use devmap::interrupt::{Allocated, Claim, Interrupts, Mutex as Shared, SoftInterrupt, SoftPriority};
use devmap::periodic::{Level, Periodic};
use devmap::prelude::*;
use devmap::sync::Condvar;
use devmap::task::{Task, TaskQueue};
use devmap::thread::Thread;
use devmap::timeout::Timeout;
use devmap_mock::interrupts::Source;
use devmap_mock::{Booted, Config};
use devmap_model::assert_no_lock_of_the_layer;

const SOON: Duration = Duration::from_millis(10);

/// Sets the timeout.
pub const SET: i32 = 1;
/// Cancels it: it does not run after that.
pub const CANCEL: i32 = 2;
/// Dispatches a routine and the task.
pub const DISPATCH: i32 = 3;
/// Wakes the thread.
pub const WAKE: i32 = 4;
/// Makes a timeout that its own routine drops.
pub const DROPS_ITSELF: i32 = 5;
/// Waits until everything that was dispatched is done.
pub const FINISH: i32 = 6;
/// Masks the interrupt, and unmasks it.
pub const MASK: i32 = 7;

/// The value that a routine uses, which is there until the device has gone.
#[derive(Default)]
pub struct Used {
    is_gone: AtomicBool,
    /// Threads in the routine now.
    inside: AtomicU32,
    ran: AtomicU32,
}

impl Used {
    /// A run of the routine, the only one at this time if it is to be `alone`.
    fn run(&self, moment: impl FnOnce(), alone: bool) {
        assert_no_lock_of_the_layer();
        assert!(!self.is_gone.load(SeqCst), "a routine begins that is over");
        let others = self.inside.fetch_add(1, SeqCst);
        assert!(others == 0 || !alone, "a routine runs twice at the same time");
        moment();
        assert!(!self.is_gone.load(SeqCst), "a routine runs that is over");
        self.inside.fetch_sub(1, SeqCst);
        self.ran.fetch_add(1, SeqCst);
    }
}

/// Says that it has gone, when dropped.
struct Goes(Arc<Used>);

impl Drop for Goes {
    fn drop(&mut self) {
        assert_eq!(self.0.inside.load(SeqCst), 0, "a routine runs after its owner has gone");
        self.0.is_gone.store(true, SeqCst);
    }
}

struct Count(u32);

/// The value of one kind of thing that runs.
fn used() -> (Goes, Arc<Used>) {
    let used = Arc::<Used>::default();
    (Goes(used.clone()), used)
}

/// The parts are dropped in this order.
pub struct Machine {
    interrupts: Option<(Interrupts, Goes)>,
    _soft: Option<(Arc<SoftInterrupt>, Goes)>,
    timeout: (Timeout, Goes),
    _periodics: Option<([Periodic; 2], Goes)>,
    queue: Option<(Task, TaskQueue, Goes)>,
    thread: Option<(Thread, Goes)>,
    count: Arc<Mutex<Count>>,
    shared: Option<Arc<(Shared<Count>, Condvar)>>,
    jobs: Arc<AtomicU32>,
    done: Arc<AtomicU32>,
    /// Timeouts, each where its own routine takes it from.
    own: Mutex<Vec<Own>>,
}

type Own = Arc<Mutex<Option<Timeout>>>;

impl Drop for Machine {
    fn drop(&mut self) {
        for own in self.own.get_mut().drain(..) {
            // Without the lock, which the routine takes: this may wait for it.
            let timeout = own.lock().take();
            drop(timeout);
        }
    }
}

fn moment(count: &Mutex<Count>) -> impl FnOnce() {
    move || count.lock().0 += 1
}

impl Device for Machine {
    type Mapping = ();
    type Open = ();

    fn attach(attach: &Attach<'_>) -> Result<Machine, Errno> {
        let node = attach.node();
        let count = Arc::new(Mutex::new(Count(0)));
        let has = |name: &str| node.property(name, 0) != 0;

        let (goes, used_by) = used();
        let (own, again) = (count.clone(), has("again"));
        let timeout = Timeout::new(move |_| {
            used_by.run(moment(&own), true);
            (again && used_by.ran.load(SeqCst) < 3).then_some(SOON)
        });
        let timeout = (timeout, goes);

        let periodics = if has("periodic") {
            let (goes, used_by) = used();
            let (own, used_at_level, own_at_level) = (count.clone(), used_by.clone(), count.clone());
            let sleeping = Periodic::new(SOON, move |_| used_by.run(moment(&own), false))?;
            let at_level = move |_: &mut Interrupt| used_at_level.run(moment(&own_at_level), false);
            Some(([sleeping, Periodic::at_level(Level::new(3)?, SOON, at_level)?], goes))
        } else {
            None
        };

        let queue = if has("tasks") {
            let (goes, used_by) = used();
            let queue = TaskQueue::new(node, "tasks", 2)?;
            let own = count.clone();
            Some((queue.task(move |_| used_by.run(moment(&own), true)), queue, goes))
        } else {
            None
        };

        let thread = if has("thread") {
            let (goes, used_by) = used();
            let own = count.clone();
            let thread = Thread::new(move |worker| {
                while worker.wait() {
                    used_by.run(moment(&own), true);
                }
            })?;
            Some((thread, goes))
        } else {
            None
        };

        let (mut interrupts, mut soft, mut shared) = (None, None, None);
        if has("interrupts") {
            let (goes, used_by) = used();
            let own = count.clone();
            let handler = move |_: &mut Interrupt| used_by.run(moment(&own), false);
            let rest = Arc::new(SoftInterrupt::new(node, SoftPriority::LOWEST, handler)?);
            soft = Some((rest.clone(), goes));

            let (goes, used_by) = used();
            let mut vectors = Allocated::best(node, 1)?.low()?;
            let seen = Arc::new((Shared::new(vectors.priority(), Count(0)), Condvar::new()));
            shared = Some(seen.clone());
            vectors.handle(0, move |cx| {
                let moment = || {
                    seen.0.lock(cx).0 += 1;
                    seen.1.notify_all();
                    rest.trigger();
                };
                used_by.run(moment, false);
                Claim::Claimed
            })?;
            interrupts = Some((vectors.enable()?, goes));
        }
        let own = Mutex::new(Vec::new());
        let (jobs, done) = (Arc::default(), Arc::default());
        let (_soft, _periodics) = (soft, periodics);
        Ok(Machine { interrupts, _soft, timeout, _periodics, queue, thread, count, shared, jobs, done, own })
    }

    fn ioctl(&self, _: &(), command: i32, mut argument: Argument<'_>) -> Result<i32, Errno> {
        match command {
            SET => self.timeout.0.set(SOON),
            CANCEL => _ = self.timeout.0.cancel(),
            DISPATCH => {
                let (task, queue, _) = self.queue.as_ref().ok_or(Errno::ENXIO)?;
                let (done, own) = (self.done.clone(), self.count.clone());
                queue.dispatch(&argument, move |_| {
                    own.lock().0 += 1;
                    done.fetch_add(1, SeqCst);
                })?;
                self.jobs.fetch_add(1, SeqCst);
                task.dispatch(&argument)?;
            }
            WAKE => self.thread.as_ref().ok_or(Errno::ENXIO)?.0.wake(&argument),
            DROPS_ITSELF => self.drops_itself(),
            FINISH => {
                let before = self.jobs.load(SeqCst);
                self.queue.as_ref().ok_or(Errno::ENXIO)?.1.wait(&argument)?;
                assert!(self.done.load(SeqCst) >= before, "a task that was waited for is not done");
            }
            _ => self.masks(&mut argument)?,
        }
        Ok(0)
    }
}

impl Machine {
    fn drops_itself(&self) {
        let own = Own::new(Mutex::new(None));
        let place = Arc::downgrade(&own);
        let timeout = Timeout::new(move |_| {
            // The lock is given back before it is dropped.
            let own = place.upgrade().and_then(|place| place.lock().take());
            drop(own);
            None
        });
        timeout.set(SOON);
        *own.lock() = Some(timeout);
        self.own.lock().push(own);
    }

    fn masks(&self, cx: &mut impl MayBlock) -> Result<(), Errno> {
        let (interrupts, _) = self.interrupts.as_ref().ok_or(Errno::ENXIO)?;
        interrupts.mask(0)?;
        let shared = self.shared.as_ref().ok_or(Errno::ENXIO)?;
        shared.0.lock(cx).0 += 1;
        interrupts.unmask(0)?;
        Ok(())
    }
}

devmap::module! { device: Machine, name: "machine", description: "a driver of things that run by themselves" }

/// A booted kernel with an instance that has these things.
pub fn boot(has: &[&'static str]) -> Booted {
    let mut booted = devmap_mock::boot(&MODULE);
    let flags = (sys::DDI_INTR_FLAG_MASKABLE | sys::DDI_INTR_FLAG_PENDING) as u32;
    let source = Source { kind: sys::DDI_INTR_TYPE_MSIX as u32, count: 1, available: 1, flags, priority: 5 };
    let properties = has.iter().map(|name| (*name, 1)).collect();
    let config = Config { properties, interrupts: vec![source], ..Config::default() };
    assert!(booted.attach(config).is_some());
    booted
}

/// A routine of a thread of a scenario.
pub type Routine = Box<dyn FnOnce() + Send>;
