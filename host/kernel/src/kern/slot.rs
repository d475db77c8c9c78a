//! State of a thread that calls driver code: whether it is inside, since when, the name of the call, and its process.
//!
//! Each thread has a [`Slot`], which tells others whether it runs driver code and since when it has not come back ([`super::watch`]). A slot's [`Answer`] is where
//! the thread says where it is, in a signal handler.
//!
//! Locking: the list of slots is a leaf; all else is the thread's own, or atomic.

use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::calls;
use super::thread::{self, Context};

/// Return addresses that a trace of a stack keeps. Of a driver that is linked in, the innermost ones are the host's.
pub const FRAMES: usize = 24;

/// Place of a thread, stored by the thread itself when it is asked.
///
/// # Invariants
/// `place` is written by the slot's thread while the state is ASKED, and read by the asking thread while it is ANSWERED. One thread asks at a time.
#[derive(Debug, Default)]
pub struct Answer {
    state: AtomicU32,
    place: UnsafeCell<Option<Place>>,
}

/// No question is pending.
const IDLE: u32 = 0;
/// A question is pending.
const ASKED: u32 = 1;
/// The thread has stored its place and waits.
const ANSWERED: u32 = 2;

// SAFETY: the invariant: the state says which thread has `place`.
unsafe impl Sync for Answer {}

/// Place of a thread in driver code.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The instruction, when it is in a module's own code.
    pub own: Option<usize>,
    /// Return addresses of the driver's last call into the host, as a `Trace` has them.
    pub frames: [usize; FRAMES],
    /// The call that it is in.
    pub call: Current,
}

impl Answer {
    /// Called by the slot's thread in the signal handler: stores its place, and waits until the place has been read. Returns at once if no thread asks, or it is in no call.
    pub fn give(&self, place: impl FnOnce() -> Option<Place>) {
        if self.state.load(Ordering::Acquire) != ASKED {
            return;
        }
        let Some(place) = place() else { return };
        // SAFETY: the invariant: the state is ASKED, and this is the slot's thread.
        unsafe { *self.place.get() = Some(place) };
        if self.state.compare_exchange(ASKED, ANSWERED, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return;
        }
        while self.state.load(Ordering::Acquire) == ANSWERED {
            // One system call, which signal handlers may make.
            let _ = rustix::thread::nanosleep(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 1_000_000 });
        }
    }

    /// Begins a question; the thread is to be sent to its handler then. One question at a time.
    pub fn ask(&self) {
        self.state.store(ASKED, Ordering::Release);
    }

    /// Returns whether the question has been answered: the thread is held in its handler.
    pub fn given(&self) -> bool {
        self.state.load(Ordering::Acquire) == ANSWERED
    }

    /// Takes the question back. Returns false if it has been answered meanwhile.
    pub fn give_up(&self) -> bool {
        self.state.compare_exchange(ASKED, IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Uses the answer, and lets the thread go on. None if there is no answer.
    pub fn take<R>(&self, f: impl FnOnce(Place) -> R) -> Option<R> {
        if !self.given() {
            return None;
        }
        // SAFETY: the invariant: the state is ANSWERED, and nobody else asks.
        let place = unsafe { *self.place.get() };
        let result = place.map(f);
        self.state.store(IDLE, Ordering::Release);
        result
    }
}

/// State of a thread that calls driver code, for other threads.
#[derive(Debug)]
pub struct Slot {
    /// The thread's id in this process.
    pub tid: i32,
    /// The number ([`thread::id`]).
    pub number: u32,
    /// Odd while driver code runs; another number for each call.
    pub calls: AtomicU64,
    /// The call is for a process that waits for it.
    pub for_process: AtomicBool,
    /// A thread that the driver made for itself: it comes back when the driver wants it to.
    pub driver_s_own: AtomicBool,
    /// The call is one that others wait for: _init(9E), attach(9E) and their like (entry::prompt).
    pub prompt: AtomicBool,
    /// Place of the thread, when it is asked for it.
    pub answer: Answer,
    stack: Range<usize>,
}

static SLOTS: Mutex<Vec<Weak<Slot>>> = Mutex::new(Vec::new());

/// The slots of all threads that have called driver code.
pub fn slots() -> Vec<Arc<Slot>> {
    SLOTS.lock().iter().filter_map(Weak::upgrade).collect()
}

/// The calling thread's slot.
pub fn slot() -> Arc<Slot> {
    SLOT.with(Arc::clone)
}

/// The calling thread's stack; empty when it is not known.
pub fn stack() -> Range<usize> {
    SLOT.with(|slot| slot.stack.clone())
}

fn new_slot() -> Arc<Slot> {
    let tid = rustix::thread::gettid().as_raw_pid();
    let slot = Arc::new(Slot {
        tid,
        number: thread::id(),
        calls: AtomicU64::new(0),
        for_process: AtomicBool::new(false),
        driver_s_own: AtomicBool::new(false),
        prompt: AtomicBool::new(false),
        answer: Answer::default(),
        stack: calls::stack().unwrap_or_default(),
    });
    let mut slots = SLOTS.lock();
    slots.retain(|slot| slot.strong_count() != 0);
    slots.push(Arc::downgrade(&slot));
    slot
}

/// Name of a call, read from the stack of the thread that is in the call.
///
/// # Invariants
/// `what` is the address of a value of the type that `show` was made for, which lives as long as the call.
#[derive(Clone, Copy, Debug)]
struct Name {
    what: *const (),
    show: unsafe fn(*const ()) -> String,
}

// SAFETY: two addresses; what is done with them is `describe`'s to promise.
unsafe impl Send for Name {}

impl Name {
    fn of<F: Fn() -> String>(what: &F) -> Name {
        unsafe fn show<F: Fn() -> String>(what: *const ()) -> String {
            // SAFETY: `of` made the pointer of a reference to this type, and the caller vouches that the value is still there.
            (unsafe { &*what.cast::<F>() })()
        }
        Name { what: std::ptr::from_ref(what).cast(), show: show::<F> }
    }
}

/// The call of driver code that a thread is in, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Current {
    name: Name,
    pid: Option<i32>,
    context: Context,
}

impl Current {
    /// The calling thread's; None outside of driver code. May be called in a signal handler.
    pub fn here() -> Option<Current> {
        let pid = thread::process().map(|process| process.pid);
        Some(Current { name: NAME.get()?, pid, context: thread::context() })
    }

    /// The process for which it is.
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }

    /// Describes it: "ctxdev: ioctl(9E), for process 1234 (sh)".
    ///
    /// # Safety
    /// The call has not returned: it is one of the calling thread's, or its thread is held in a signal handler.
    pub unsafe fn describe(&self) -> String {
        // SAFETY: the pointer is to the argument of a call that has not returned: `Inside` takes the name back before it does.
        let mut text = unsafe { (self.name.show)(self.name.what) };
        match self.pid {
            Some(pid) => {
                text.push_str(&format!(", for process {pid}"));
                if let Some(name) = ddi_process::proc::name(pid) {
                    text.push_str(&format!(" ({name})"));
                }
            }
            None => match self.context {
                Context::Timeout => text.push_str(", in a timeout"),
                Context::Interrupt => text.push_str(", in an interrupt"),
                _ => {}
            },
        }
        text
    }
}

thread_local! {
    static SLOT: Arc<Slot> = new_slot();
    static NAME: Cell<Option<Name>> = const { Cell::new(None) };
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// A call of driver code that the thread has begun; it ends when this is dropped.
#[derive(Debug)]
pub struct Inside<'a> {
    outer: Option<Name>,
    _name: PhantomData<&'a ()>,
}

/// The calling thread begins a call of driver code named by `name`. `prompt`: others wait for it.
pub fn begin<F: Fn() -> String>(name: &F, prompt: bool) -> Inside<'_> {
    let outer = NAME.replace(Some(Name::of(name)));
    if DEPTH.replace(DEPTH.get() + 1) == 0 {
        SLOT.with(|slot| {
            slot.for_process.store(thread::context() == Context::User, Ordering::Relaxed);
            slot.prompt.store(prompt, Ordering::Relaxed);
            slot.calls.fetch_add(1, Ordering::Relaxed);
        });
    }
    Inside { outer, _name: PhantomData }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 {
            SLOT.with(|slot| slot.calls.fetch_add(1, Ordering::Relaxed));
        }
        NAME.set(self.outer);
    }
}

/// Returns whether driver code runs on this thread.
pub fn inside() -> bool {
    DEPTH.get() > 0
}

/// Describes the call of driver code that the thread is in: "ctxdev: ioctl(9E), for process 1234 (sh)"; None outside.
pub fn current() -> Option<String> {
    // SAFETY: a call of this thread.
    Current::here().map(|current| unsafe { current.describe() })
}
