//! Host threads as kernel threads: their number, what they run for, and the signals that may interrupt them.
//!
//! Every thread that calls a DDI function has an entry here from its first call on, with `%gs` pointing to the image of
//! a `cpu`, so that code compiled with the kernel's inline assembly finds its `kthread_t`. All of it is thread-local;
//! only [`Signals`] is shared.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::altstack::AltStack;
use super::image::{ProcessImage, ThreadImage};
use super::parking;

/// Context of a thread, which decides what a driver may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Context {
    /// A kernel thread: attach, task queues, threads of the driver.
    #[default]
    Kernel,
    /// On behalf of a process: open, ioctl, a fault.
    User,
    /// A timeout or soft interrupt: may take adaptive mutexes, must not block for long.
    Timeout,
    /// An interrupt handler: may take adaptive mutexes, must not block for long.
    Interrupt,
    /// The handler of a high-level interrupt: may take spin mutexes only.
    HighInterrupt,
}

struct Me {
    id: u32,
    context: Cell<Context>,
    process: Cell<Option<Running>>,
    signals: RefCell<Option<Arc<Signals>>>,
    image: ThreadImage,
    _signals_stack: AltStack,
}

/// State of this file.
struct State {
    last: AtomicU32,
    /// The kernel's own process and credential, where drivers see them; 0 until [`set_kernel_process`].
    p0: AtomicUsize,
    kcred: AtomicUsize,
}

static STATE: State = State { last: AtomicU32::new(0), p0: AtomicUsize::new(0), kcred: AtomicUsize::new(0) };
/// A process for which a thread runs.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// The id.
    pub pid: i32,
    /// The address of its `cred_t`.
    pub cred: usize,
}

/// Sets where drivers see the kernel's own process and its credential: from now on the calling thread, and those that begin later, are of that process.
pub fn set_kernel_process(p0: usize, kcred: usize) {
    STATE.p0.store(p0, Ordering::Relaxed);
    STATE.kcred.store(kcred, Ordering::Relaxed);
    set_process(None);
}

/// Makes the thread one of `process`, or of the kernel.
fn enter(image: &ThreadImage, process: Option<&ProcessImage>) {
    image.enter(process, STATE.p0.load(Ordering::Relaxed), STATE.kcred.load(Ordering::Relaxed));
}

thread_local! {
    static ME: Me = Me::new();
}

impl Me {
    fn new() -> Self {
        let id = STATE.last.fetch_add(1, Ordering::Relaxed) + 1;
        let image = ThreadImage::new(id);
        enter(&image, None);
        const ARCH_SET_GS: libc::c_int = 0x1001;
        // SAFETY: arch_prctl only sets this thread's %gs base, which neither Rust nor glibc uses on x86-64. The image
        // lives as long as the thread runs driver code.
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, image.cpu()) };
        Me {
            id,
            context: Cell::default(),
            process: Cell::new(None),
            signals: RefCell::default(),
            image,
            _signals_stack: AltStack::install(),
        }
    }
}

/// The calling thread's number: positive, below 2^30, never used again.
pub fn id() -> u32 {
    ME.with(|me| me.id)
}

/// Returns the context of the calling thread.
pub fn context() -> Context {
    ME.with(|me| me.context.get())
}

/// Runs `f` in `context` and goes back, also when `f` unwinds.
pub fn in_context<R>(context: Context, f: impl FnOnce() -> R) -> R {
    struct Back(Context);
    impl Drop for Back {
        fn drop(&mut self) {
            ME.with(|me| me.context.set(self.0));
        }
    }
    let _back = Back(ME.with(|me| me.context.replace(context)));
    f()
}

/// The address of the calling thread's `kthread_t` image.
pub fn kthread() -> usize {
    ME.with(|me| me.image.thread())
}

/// Makes the calling thread one of `process`, or of the kernel.
pub fn set_process(process: Option<&ProcessImage>) {
    let running = process.map(|image| Running { pid: image.pid().cast_signed(), cred: image.cred() });
    ME.with(|me| {
        me.process.set(running);
        enter(&me.image, process);
    });
}

/// Returns the process for which the calling thread runs; None for the kernel. May be called in a signal handler.
pub fn process() -> Option<Running> {
    ME.with(|me| me.process.get())
}

/// The signals that interrupt the calling thread's waits, when it runs for a process.
pub fn signals() -> Option<Arc<Signals>> {
    ME.with(|me| me.signals.borrow().clone())
}

/// Sets them; returns what was set before.
pub fn set_signals(signals: Option<Arc<Signals>>) -> Option<Arc<Signals>> {
    ME.with(|me| me.signals.replace(signals))
}

/// Signals of the client thread for which a host thread works. A signal wakes the host thread. There are no spurious wakeups: drivers restart the time limit of a timed wait
/// when they are woken early.
#[derive(Default)]
pub struct Signals {
    pending: AtomicBool,
    sleeper: Mutex<Option<(usize, u32)>>,
    owner: Option<Box<dyn Owner>>,
}

/// The process for whose thread a host thread sleeps.
pub trait Owner: Send + Sync {
    /// Returns whether the process has exited.
    fn gone(&self) -> bool;
    /// Called before the thread sleeps, after it has released the mutex that it waits with.
    fn rest(&self);
    /// Called after the sleep, before the mutex is taken again. Blocks while the process forks. Does nothing without a [`rest`](Self::rest) before.
    fn go_on(&self);
}

impl Signals {
    /// Creates the state without a signal. The exit of the owner is checked before a wait begins; during the wait the signal is [raised](Self::raise).
    pub fn new(owner: impl Owner + 'static) -> Self {
        Signals { owner: Some(Box::new(owner)), ..Signals::default() }
    }

    /// Returns whether a signal is pending or the process has exited.
    pub fn pending(&self) -> bool {
        self.pending.load(Ordering::SeqCst) || self.owner.as_ref().is_some_and(|owner| owner.gone())
    }

    /// A signal came: the wait that can be interrupted ends, and later ones do not begin.
    pub fn raise(&self) {
        self.pending.store(true, Ordering::SeqCst);
        if let Some((key, thread)) = *self.sleeper.lock() {
            parking::interrupt(key, thread);
        }
    }

    /// Wakes the sleeper for no reason.
    pub fn nudge(&self) {
        if let Some((key, thread)) = *self.sleeper.lock() {
            parking::nudge(key, thread);
        }
    }

    /// The calling thread is about to sleep on `key`; checks [`pending`](Self::pending) after this.
    pub(super) fn sleeping_on(&self, key: usize) {
        *self.sleeper.lock() = Some((key, id()));
    }

    /// It is queued, and has given up the mutex that it waits with.
    pub(super) fn asleep(&self) {
        if let Some(owner) = &self.owner {
            owner.rest();
        }
    }

    /// It sleeps no more. Blocks while its process forks, if it was [asleep](Self::asleep).
    pub(super) fn awake(&self) {
        *self.sleeper.lock() = None;
        if let Some(owner) = &self.owner {
            owner.go_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lock;
    use super::*;

    #[test]
    fn the_thread_is_found_through_gs() {
        let expected = kthread();
        let found: usize;
        // SAFETY: `kthread` has set up %gs for this thread; the load reads the image of its cpu.
        unsafe { std::arch::asm!("mov {}, gs:[0x18]", out(reg) found, options(nostack, readonly)) };
        assert_eq!(found, expected);
        let other = std::thread::spawn(|| (id(), kthread())).join().unwrap();
        assert_ne!(other, (id(), expected));
        assert_eq!(context(), Context::Kernel);
        in_context(Context::Timeout, || assert_eq!(context(), Context::Timeout));
        assert_eq!(context(), Context::Kernel);
    }

    #[test]
    fn a_signal_ends_a_wait() {
        use std::sync::atomic::AtomicU64;
        let shared = Arc::new((AtomicU64::new(0), AtomicU64::new(0), Signals::default()));
        let waiter = {
            let shared = shared.clone();
            std::thread::spawn(move || {
                let signals = Arc::new(Signals::default());
                let raiser = signals.clone();
                set_signals(Some(signals));
                lock::mutex_enter(&shared.0).unwrap();
                let raise = std::thread::spawn(move || raiser.raise());
                let cv = std::ptr::from_ref(&shared.1) as usize;
                assert_eq!(lock::cv_wait(cv, &shared.0, None, true), Ok(lock::Wake::Interrupted));
                assert_eq!(lock::cv_wait(cv, &shared.0, None, true), Ok(lock::Wake::Interrupted));
                lock::mutex_exit(&shared.0).unwrap();
                raise.join().unwrap();
            })
        };
        waiter.join().unwrap();
    }
}
