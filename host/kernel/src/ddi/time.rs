//! Time, timeouts, task queues, kernel threads: timeout(9F), delay(9F), ddi_taskq(9F), ddi_periodic_add(9F).
//!
//! A tick is 1/hz s, hz is 100. Timeout functions run in [`Context::Timeout`]: they may take adaptive mutexes.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ddi_process::failpoint::fails;
use ddi_sys::{
    caddr_t, clock_t, ddi_periodic_t, ddi_taskq_t, dev_info_t, hrtime_t, kt_did_t, kthread_t, pri_t, proc_t,
    task_func_t, taskq_t, taskqid_t, time_t, timeout_id_t, timespec_t, timeval,
};
use parking_lot::Mutex;

use super::args::{Object, Out, Text};
use super::sync;
use crate::board::report;
use crate::kern::blocked::{Blocked, For, Others};
use crate::kern::callout::{self, Cancelled};
use crate::kern::clock::{HZ, TICK, hrtime, lbolt, ticks};
use crate::kern::entry::Callback;
use crate::kern::held;
use crate::kern::left::{Kind, Left};
use crate::kern::lock;
use crate::kern::slot;
use crate::kern::taskq::TaskQueue;
use crate::kern::thread::{self, Context};
use crate::vm::client;

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// ddi_get_time(9F).
pub(super) fn now() -> time_t {
    wall().as_secs() as time_t
}

/// Sleeps; interruptible by the calling process's signals if asked. True: a signal came.
fn sleep(duration: Duration, interruptible: bool) -> bool {
    !lock::pause(Instant::now() + duration, interruptible)
}

/// A periodic callback.
struct Periodic {
    timer: callout::Id,
    ended: bool,
    _left: Left,
}

/// State of this file.
struct State {
    periodic: LazyLock<Mutex<HashMap<u64, Periodic>>>,
    /// The queues that drivers have made, by their addresses.
    queues: LazyLock<Mutex<HashMap<usize, Left>>>,
    /// Threads made by thread_create, by their number, until joined.
    threads: LazyLock<Mutex<HashMap<u64, Arc<Ended>>>>,
}

static STATE: State = State {
    periodic: LazyLock::new(Mutex::default),
    queues: LazyLock::new(Mutex::default),
    threads: LazyLock::new(Mutex::default),
};
fn arm_periodic(id: u64, interval: Duration, level: c_int, callback: Callback) {
    let mut all = STATE.periodic.lock();
    let Some(periodic) = all.get_mut(&id).filter(|p| !p.ended) else { return };
    periodic.timer = callout::after(
        interval,
        Box::new(move || {
            let context = if level == 0 { Context::Kernel } else { Context::Timeout };
            thread::in_context(context, || callback.run("ddi_periodic_add(9F)"));
            arm_periodic(id, interval, level, callback);
        }),
    );
}

/// The queue behind `system_taskq`; made once, for ever.
pub(super) fn system_queue() -> *mut taskq_t {
    Box::into_raw(Box::new(TaskQueue::new("system_taskq", 64))).cast()
}

fn new_queue(name: &str, threads: c_int) -> *mut c_void {
    let queue = Box::into_raw(Box::new(TaskQueue::new(name, threads.max(1) as usize)));
    STATE.queues.lock().insert(queue as usize, Left::new(Kind::TaskQueue, 0));
    queue.cast()
}

/// Waits for a queue's tasks and frees it.
fn destroy_queue(queue: *mut c_void, function: &str) {
    if queue.is_null() {
        return;
    }
    if STATE.queues.lock().remove(&(queue as usize)).is_none() {
        let what = format!("{queue:p} is not a task queue, or it was destroyed before");
        return report::mistake(function, &what, "ddi_taskq_destroy(9F)");
    }
    // SAFETY: made by `new_queue` and given back now, once: it was in the list.
    drop(unsafe { Box::from_raw(queue.cast::<TaskQueue>()) });
}

/// A queue of one of the create functions.
type Queue<'a, C> = Object<'a, TaskQueue, C>;

/// Dispatches to a queue; false when it cannot.
fn dispatch<C>(queue: Queue<'_, C>, func: task_func_t, arg: *mut c_void, flags: u32) -> bool {
    let Some(func) = func else { return false };
    // DDI_NOSLEEP and TQ_NOSLEEP are the same.
    if flags & ddi_sys::DDI_NOSLEEP as u32 != 0 && fails("ddi_taskq_dispatch(9F), DDI_NOSLEEP") {
        return false;
    }
    let callback = Callback::new(func, arg);
    queue.there().dispatch(Box::new(move || callback.run("task")))
}

/// The end of a thread made by thread_create, for who joins it.
#[derive(Default)]
struct Ended {
    left: Mutex<Option<Left>>,
    done: Mutex<bool>,
    changed: parking_lot::Condvar,
}

impl Ended {
    fn tell(&self) {
        self.left.lock().take();
        *self.done.lock() = true;
        self.changed.notify_all();
    }
    /// Waits for thread number `thread`, whose end this is.
    fn wait(self: &Arc<Self>, thread: u32) {
        let this = self.clone();
        let who = move || if *this.done.lock() { Vec::new() } else { vec![thread] };
        let _blocked =
            Blocked::on(For::Others(Others::new("a thread's function", "thread_create(9F)", who)), false);
        let mut done = self.done.lock();
        while !*done {
            self.changed.wait(&mut done);
        }
    }
}

thread_local! {
    static MY_END: std::cell::RefCell<Option<Arc<Ended>>> = const { std::cell::RefCell::new(None) };
}

unsafe extern "C-unwind" {
    /// pthread_exit(3): unwinds as far as the frames can be unwound (a module's cannot), then ends the thread.
    fn pthread_exit(value: *mut c_void) -> !;
}

ddi! {
    /// ddi_get_lbolt(9F).
    fn ddi_get_lbolt() -> clock_t {
        lbolt()
    }
    /// ddi_get_lbolt64(9F).
    fn ddi_get_lbolt64() -> i64 {
        lbolt()
    }
    /// gethrtime(9F).
    fn gethrtime() -> hrtime_t {
        hrtime()
    }
    /// gethrestime: the wall clock.
    fn gethrestime(to: Out<timespec_t>) {
        let now = wall();
        to.set(timespec_t { tv_sec: now.as_secs() as i64, tv_nsec: i64::from(now.subsec_nanos()) });
    }
    /// uniqtime: the wall clock, never the same twice.
    fn uniqtime(to: Out<timeval>) {
        static LAST: Mutex<u128> = Mutex::new(0);
        let mut last = LAST.lock();
        *last = (*last + 1).max(wall().as_micros());
        let value = timeval { tv_sec: (*last / 1_000_000) as i64, tv_usec: (*last % 1_000_000) as i64 };
        to.set(value);
    }
    /// ddi_get_time(9F).
    fn ddi_get_time() -> time_t {
        now()
    }
    /// drv_usectohz(9F): rounded up.
    fn drv_usectohz(microseconds: clock_t) -> clock_t {
        (microseconds as u64).div_ceil(1_000_000 / HZ) as clock_t
    }
    /// drv_hztousec(9F).
    fn drv_hztousec(ticks: clock_t) -> clock_t {
        ticks.saturating_mul((1_000_000 / HZ) as clock_t)
    }
    /// drv_usecwait(9F): busy, in any context.
    fn drv_usecwait(microseconds: clock_t) {
        let until = Instant::now() + Duration::from_micros(microseconds.clamp(0, 10_000_000) as u64);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    }
    /// delay(9F).
    fn delay(count: clock_t) {
        sync::may_block(NAME, NAME, "delay(9F)");
        sleep(ticks(count), false);
    }
    /// delay_sig(9F): EINTR when a signal came.
    fn delay_sig(count: clock_t) -> c_int {
        sync::may_block(NAME, NAME, "delay(9F)");
        if client::interruptibly(|| sleep(ticks(count), true)) { 4 } else { 0 }
    }
    /// time_to_wait: lbolt plus ticks.
    fn time_to_wait(to: Out<clock_t>, count: clock_t) {
        to.set(lbolt().saturating_add(count));
    }
    /// timeout(9F).
    fn timeout(func: Option<unsafe extern "C-unwind" fn(*mut c_void)>, arg: *mut c_void, count: clock_t) -> timeout_id_t {
        let Some(func) = func else { return std::ptr::null_mut() };
        let callback = Callback::new(func, arg);
        // At least a tick, as in the kernel.
        let left = Left::new(Kind::Timeout, func as usize);
        let job = move || {
            drop(left);
            callback.run("timeout(9F)");
        };
        callout::after(ticks(count.max(1)), Box::new(job)) as timeout_id_t
    }
    /// untimeout(9F): the ticks left, or -1.
    fn untimeout(id: timeout_id_t) -> clock_t {
        if id.is_null() {
            return -1;
        }
        match callout::cancel(id as u64) {
            Cancelled::Pending(left) => (left.as_nanos() / u128::from(TICK)) as clock_t,
            Cancelled::Gone => -1,
        }
    }
    /// ddi_periodic_add(9F).
    fn ddi_periodic_add(
        func: Option<unsafe extern "C-unwind" fn(*mut c_void)>,
        arg: *mut c_void,
        interval: hrtime_t,
        level: c_int,
    ) -> ddi_periodic_t {
        static LAST: Mutex<u64> = Mutex::new(0);
        let Some(func) = func else { return std::ptr::null_mut() };
        let mut last = LAST.lock();
        *last += 1;
        let left = Left::new(Kind::Periodic, func as usize);
        STATE.periodic.lock().insert(*last, Periodic { timer: 0, ended: false, _left: left });
        // A multiple of 10 ms, rounded up.
        let interval = Duration::from_nanos((interval.max(1) as u64).next_multiple_of(10_000_000));
        arm_periodic(*last, interval, level, Callback::new(func, arg));
        *last as ddi_periodic_t
    }
    /// ddi_periodic_delete(9F): the function is not running when it returns.
    fn ddi_periodic_delete(id: ddi_periodic_t) {
        let id = id as u64;
        loop {
            let mut all = STATE.periodic.lock();
            let Some(periodic) = all.get_mut(&id) else {
                drop(all);
                return report::mistake(NAME, "no such periodic callback", "ddi_periodic_delete(9F)");
            };
            periodic.ended = true;
            let timer = periodic.timer;
            drop(all);
            // Waits for a function that runs; it does not arm the timer again.
            callout::cancel(timer);
            let mut all = STATE.periodic.lock();
            if all.get(&id).is_none_or(|p| p.timer == timer) {
                all.remove(&id);
                return;
            }
        }
    }

    /// ddi_taskq_create(9F).
    fn ddi_taskq_create(
        _dip: *mut dev_info_t,
        name: Text,
        threads: c_int,
        _priority: pri_t,
        _flags: u32,
    ) -> *mut ddi_taskq_t {
        let name = name.text();
        new_queue(&name, threads).cast()
    }
    /// ddi_taskq_dispatch(9F).
    fn ddi_taskq_dispatch(
        tq: Queue<ddi_taskq_t>,
        func: Option<unsafe extern "C-unwind" fn(*mut c_void)>,
        arg: *mut c_void,
        flags: u32,
    ) -> c_int {
        if dispatch(tq, func, arg, flags) { ddi_sys::DDI_SUCCESS } else { ddi_sys::DDI_FAILURE }
    }
    /// ddi_taskq_destroy(9F).
    fn ddi_taskq_destroy(tq: *mut ddi_taskq_t) {
        destroy_queue(tq.cast(), NAME);
    }
    /// ddi_taskq_wait(9F).
    fn ddi_taskq_wait(tq: Queue<ddi_taskq_t>) {
        sync::may_block(NAME, NAME, "taskq(9F)");
        tq.there().wait();
    }
    /// ddi_taskq_suspend(9F).
    fn ddi_taskq_suspend(tq: Queue<ddi_taskq_t>) {
        tq.there().suspend();
    }
    /// ddi_taskq_resume(9F).
    fn ddi_taskq_resume(tq: Queue<ddi_taskq_t>) {
        tq.there().resume();
    }
    /// ddi_taskq_suspended(9F).
    fn ddi_taskq_suspended(tq: Queue<ddi_taskq_t>) -> ddi_sys::boolean_t {
        tq.there().suspended().into()
    }
    /// taskq_create.
    fn taskq_create(
        name: Text,
        threads: c_int,
        _priority: pri_t,
        _min: c_int,
        _max: c_int,
        _flags: u32,
    ) -> *mut taskq_t {
        let name = name.text();
        new_queue(&name, threads).cast()
    }
    /// taskq_create_proc: the same with threads of a process of the kernel's.
    fn taskq_create_proc(
        name: Text,
        threads: c_int,
        _priority: pri_t,
        _min: c_int,
        _max: c_int,
        _proc: *mut proc_t,
        _flags: u32,
    ) -> *mut taskq_t {
        let name = name.text();
        new_queue(&name, threads).cast()
    }
    /// taskq_create_sysdc: the same in another scheduling class.
    fn taskq_create_sysdc(
        name: Text,
        threads: c_int,
        _min: c_int,
        _max: c_int,
        _proc: *mut proc_t,
        _duty: u32,
        _flags: u32,
    ) -> *mut taskq_t {
        let name = name.text();
        new_queue(&name, threads).cast()
    }
    /// taskq_create_instance: the same with an instance number.
    fn taskq_create_instance(
        name: Text,
        _instance: c_int,
        threads: c_int,
        _priority: pri_t,
        _min: c_int,
        _max: c_int,
        _flags: u32,
    ) -> *mut taskq_t {
        let name = name.text();
        new_queue(&name, threads).cast()
    }
    /// taskq_dispatch: 0 when it failed.
    fn taskq_dispatch(tq: Queue<taskq_t>, func: task_func_t, arg: *mut c_void, flags: u32) -> taskqid_t {
        dispatch(tq, func, arg, flags).into()
    }
    /// taskq_destroy.
    fn taskq_destroy(tq: *mut taskq_t) {
        destroy_queue(tq.cast(), NAME);
    }
    /// taskq_wait.
    fn taskq_wait(tq: Queue<taskq_t>) {
        tq.there().wait();
    }
    /// taskq_suspend.
    fn taskq_suspend(tq: Queue<taskq_t>) {
        tq.there().suspend();
    }
    /// taskq_resume.
    fn taskq_resume(tq: Queue<taskq_t>) {
        tq.there().resume();
    }
    /// taskq_suspended.
    fn taskq_suspended(tq: Queue<taskq_t>) -> c_int {
        tq.there().suspended().into()
    }
    /// taskq_member: is the thread (only the calling one can be asked for) one of the queue's?
    fn taskq_member(tq: Queue<taskq_t>, kthread: *mut kthread_t) -> c_int {
        (kthread as usize == thread::kthread() && tq.there().has_thread(thread::id())).into()
    }

    /// thread_create: a kernel thread that runs `func(arg)`.
    fn thread_create(
        _stack: caddr_t,
        _stack_size: usize,
        func: Option<unsafe extern "C-unwind" fn()>,
        arg: *mut c_void,
        _len: usize,
        _proc: *mut proc_t,
        _state: c_int,
        _priority: pri_t,
    ) -> *mut kthread_t {
        let Some(func) = func else { return std::ptr::null_mut() };
        // SAFETY: thread functions take one pointer; the declaration without parameters is C's old style.
        let func: unsafe extern "C-unwind" fn(*mut c_void) = unsafe { std::mem::transmute(func) };
        let callback = Callback::new(func, arg);
        let left = Left::new(Kind::Thread, func as usize);
        let ended = Arc::new(Ended { left: Mutex::new(Some(left)), ..Ended::default() });
        let (started, number) = std::sync::mpsc::channel();
        let end = ended.clone();
        let thread = std::thread::Builder::new().name("driver".into()).spawn(move || {
            MY_END.set(Some(end.clone()));
            STATE.threads.lock().insert(thread::id().into(), end.clone());
            let _ = started.send(thread::kthread());
            drop(started);
            slot::slot().driver_s_own.store(true, Ordering::Relaxed);
            callback.run(NAME);
            MY_END.take();
            end.tell();
        });
        match thread {
            Ok(_) => number.recv().unwrap_or(0) as *mut kthread_t,
            Err(_) => std::ptr::null_mut(),
        }
    }
    /// thread_join: waits for the thread with this number.
    fn thread_join(did: kt_did_t) {
        let ended = STATE.threads.lock().remove(&did);
        if let Some(ended) = ended {
            ended.wait(u32::try_from(did).unwrap_or(0));
        }
    }
    /// thread_exit: ends the calling thread.
    fn thread_exit() -> ! {
        if held::count() > 0 {
            let since = held::since();
            let what = "the thread ends with a mutex held";
            report::mistake_after(NAME, what, "mutex_enter(9F)", &since);
        }
        // The frames between here and the thread's start are the driver's: they end without being unwound.
        if let Some(ended) = MY_END.take() {
            ended.tell();
        } else {
            report::mistake(NAME, "the thread was not made by thread_create", "thread_create(9F)");
        }
        if crate::kern::calls::return_addresses().is_empty() {
            // A driver that is linked in: unwinding would end in entry::call, so the thread parks for ever.
            loop {
                std::thread::park();
            }
        }
        // SAFETY: ends the calling thread. Nobody waits for it through the Rust handle, which was dropped, and the frames that go
        // without being unwound hold nothing but what the thread was started with.
        unsafe { pthread_exit(std::ptr::null_mut()) }
    }
    /// ddi_get_kt_did(9F).
    fn ddi_get_kt_did() -> kt_did_t {
        thread::id().into()
    }
    /// threadp: the calling thread.
    fn threadp() -> *mut kthread_t {
        thread::kthread() as *mut kthread_t
    }
    /// servicing_interrupt.
    fn servicing_interrupt() -> c_int {
        matches!(thread::context(), Context::Interrupt | Context::HighInterrupt).into()
    }
    /// ddi_can_receive_sig(9F).
    fn ddi_can_receive_sig() -> ddi_sys::boolean_t {
        client::current().is_some().into()
    }
    /// ddi_enter_critical(9F): interrupts are threads here; nothing to block.
    fn ddi_enter_critical() -> u32 {
        0
    }
    /// ddi_exit_critical(9F).
    fn ddi_exit_critical(_level: u32) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    unsafe extern "C-unwind" fn send(arg: *mut c_void) {
        // SAFETY: every test here passes a sender that lives until it has received.
        unsafe { &*arg.cast::<Sender<Context>>() }.send(thread::context()).unwrap();
    }

    #[test]
    fn timeouts_tasks_and_periodics_run() {
        let (sender, receiver) = channel::<Context>();
        let arg = (&raw const sender).cast_mut().cast();
        driver!(ddi_sys::timeout(Some(send), arg, 0));
        assert_eq!(receiver.recv(), Ok(Context::Timeout));
        let never = driver!(ddi_sys::timeout(Some(send), arg, 100_000));
        assert!(driver!(ddi_sys::untimeout(never)) > 99_000);
        assert_eq!(driver!(ddi_sys::untimeout(never)), -1);
        let tq = driver!(ddi_sys::ddi_taskq_create(std::ptr::null_mut(), c"q".as_ptr(), 1, 0, 0));
        assert_eq!(driver!(ddi_sys::ddi_taskq_dispatch(tq, Some(send), arg, 0)), 0);
        driver!(ddi_sys::ddi_taskq_wait(tq));
        assert_eq!(receiver.try_recv(), Ok(Context::Kernel));
        driver!(ddi_sys::ddi_taskq_destroy(tq));
        let periodic = driver!(ddi_sys::ddi_periodic_add(Some(send), arg, 1, 0));
        assert_eq!((receiver.recv(), receiver.recv()), (Ok(Context::Kernel), Ok(Context::Kernel)));
        driver!(ddi_sys::ddi_periodic_delete(periodic));
        while receiver.try_recv().is_ok() {}
        assert!(receiver.recv_timeout(Duration::from_millis(25)).is_err());
    }

    #[test]
    fn ticks_round_up() {
        assert_eq!(driver!(ddi_sys::drv_usectohz(1)), 1);
        assert_eq!(driver!(ddi_sys::drv_usectohz(10_001)), 2);
        assert_eq!(driver!(ddi_sys::drv_hztousec(3)), 30_000);
        assert_eq!(ticks(-5), Duration::ZERO);
    }
}
