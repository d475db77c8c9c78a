//! Calling driver code, and what becomes of its panics.
//!
//! Every call of an entry point or callback goes through [`call`]. A driver that is linked in may panic: the panic is
//! caught here, logged once with the driver, the entry point, the message and the place, and the call fails; other clients
//! go on and the run's exit status is not 0. A module's panic is panic(9F) and ends the run ([`report::panic`]).
//!
//! Each thread has a [`Slot`], which tells others whether it runs driver code and since when it has not come back ([`super::watch`]).

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ffi::c_void;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Once, Weak};

use super::held;
use super::preserved;
use super::thread::{self, Context};
use super::watch::Answer;
use parking_lot::Mutex;

use crate::board::{log, report};

/// The driver panicked in the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// What others may know of a thread that calls driver code.
#[derive(Debug)]
pub struct Slot {
    /// The thread's id in this process.
    pub tid: i32,
    /// Its number ([`thread::id`]).
    pub number: u32,
    /// Odd while driver code runs; another number for each call.
    pub calls: AtomicU64,
    /// The call is for a process that waits for it.
    pub for_process: AtomicBool,
    /// A thread that the driver made for itself: it comes back when the driver wants it to.
    pub driver_s_own: AtomicBool,
    /// The call is one that others wait for: _init(9E), attach(9E) and their like ([`prompt`]).
    pub prompt: AtomicBool,
    /// Where it answers when it is asked where it is.
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
    // SAFETY: no arguments, no effects.
    let tid = unsafe { libc::gettid() };
    let slot = Arc::new(Slot {
        tid,
        number: thread::id(),
        calls: AtomicU64::new(0),
        for_process: AtomicBool::new(false),
        driver_s_own: AtomicBool::new(false),
        prompt: AtomicBool::new(false),
        answer: Answer::default(),
        stack: crate::kern::calls::stack().unwrap_or_default(),
    });
    let mut slots = SLOTS.lock();
    slots.retain(|slot| slot.strong_count() != 0);
    slots.push(Arc::downgrade(&slot));
    slot
}

/// What a call is named, found through the stack of the call that goes on.
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
        // SAFETY: the pointer is to the argument of a `call` that has not returned: it takes the name back before it does.
        let mut text = unsafe { (self.name.show)(self.name.what) };
        match self.pid {
            Some(pid) => {
                text.push_str(&format!(", for process {pid}"));
                if let Ok(comm) = std::fs::read_to_string(format!("/proc/{pid}/comm")) {
                    text.push_str(&format!(" ({})", comm.trim_end()));
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
    static PROMPT: Cell<bool> = const { Cell::new(false) };
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `f`, whose calls of driver code others wait for: one that waits for very long is reported ([`super::watch`]).
pub fn prompt<R>(f: impl FnOnce() -> R) -> R {
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            PROMPT.set(self.0);
        }
    }
    let _back = Back(PROMPT.replace(true));
    f()
}

/// Calls driver code. `what` names it for messages: `ctxdev: devmap_access(9E)`.
///
/// # Errors
/// [`Panicked`] when the code unwound; it has been reported.
#[inline(never)]
pub fn call<R>(what: impl Fn() -> String, f: impl FnOnce() -> R) -> Result<R, Panicked> {
    static HOOK: Once = Once::new();
    HOOK.call_once(install_hook);
    let _entered = crate::kern::calls::enter();
    let held = held::count();
    let outer = NAME.replace(Some(Name::of(&what)));
    if DEPTH.replace(DEPTH.get() + 1) == 0 {
        SLOT.with(|slot| {
            slot.for_process.store(thread::context() == Context::User, Ordering::Relaxed);
            slot.prompt.store(PROMPT.get(), Ordering::Relaxed);
            slot.calls.fetch_add(1, Ordering::Relaxed);
        });
    }
    let result = preserved::call(|| catch_unwind(AssertUnwindSafe(f))).unwrap_or_else(|register| {
        let what = format!("{} returned with another value in {register}, which functions preserve", what());
        report::leftover("a function", &what, "Intro(9E)");
        report::stop()
    });
    DEPTH.set(DEPTH.get() - 1);
    if DEPTH.get() == 0 {
        SLOT.with(|slot| slot.calls.fetch_add(1, Ordering::Relaxed));
    }
    NAME.set(outer);
    if result.is_ok() && held::count() > held {
        let what = format!("{} returned with a mutex held", what());
        let since = held::since();
        report::mistake_after("mutex_enter", &what, "mutex_enter(9F)", &since[..since.len().min(1)]);
    }
    result.map_err(|payload| {
        report::fail();
        if !payload.is::<report::Reported>() {
            let message = MESSAGE.take().unwrap_or_else(|| message(payload.as_ref()));
            say(format!("driver panic: {}: {message}", what()));
        }
        Panicked
    })
}

/// Logs a panic, once: an access that fails is tried again a few times before the process dies of it.
fn say(line: String) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID.lock().insert(line.clone()) {
        log::line(log::To::Both, &line);
    }
}

/// Is driver code running on this thread?
pub fn inside() -> bool {
    DEPTH.get() > 0
}

/// Describes the call of driver code that the thread is in: "ctxdev: ioctl(9E), for process 1234 (sh)"; None outside.
pub fn current() -> Option<String> {
    // SAFETY: a call of this thread.
    Current::here().map(|current| unsafe { current.describe() })
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic");
    // One line, whatever an assertion has to say.
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

fn install_hook() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !inside() {
            return before(info);
        }
        let place = info.location().map_or(String::new(), |l| format!(" ({}:{})", l.file(), l.line()));
        let text = message(info.payload()) + &place;
        // A module's frames cannot be unwound: it has no tables for that. A report that unwinds is for drivers that are linked in.
        if !info.payload().is::<report::Reported>()
            && let Some(called) = crate::kern::calls::called()
        {
            report::leftover(&called, &format!("the host cannot do that: {text}"), "Intro(9F)");
            report::stop();
        }
        MESSAGE.set(Some(text));
    }));
}

/// A driver's function of one pointer, with its argument: timeouts, tasks, soft interrupts.
#[derive(Clone, Copy)]
pub struct Callback {
    func: unsafe extern "C-unwind" fn(*mut c_void),
    arg: *mut c_void,
}

// SAFETY: a driver hands function and argument over to be called on another thread: that is what these interfaces are.
unsafe impl Send for Callback {}
// SAFETY: as above; nothing is read through the pointers but by the driver's function.
unsafe impl Sync for Callback {}

impl Callback {
    /// `func` with `arg`.
    pub fn new(func: unsafe extern "C-unwind" fn(*mut c_void), arg: *mut c_void) -> Self {
        Callback { func, arg }
    }

    /// Calls it.
    pub fn run(self, what: &str) {
        // SAFETY: the driver promised that the function may be called with this argument, once per request.
        let run = || unsafe { (self.func)(self.arg) };
        let address = self.func as usize;
        let name = || match ddi_krtld::symbolize(address) {
            Some(name) => format!("{what} function {}", name.trim_end_matches("+0x0")),
            None => format!("{what} function at {address:#x}"),
        };
        let _ = call(name, run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_and_named() {
        assert_eq!(call(|| "x: open(9E)".into(), || 5), Ok(5));
        assert_eq!(call(|| "x: ioctl(9E)".into(), || -> i32 { panic!("no {}", 1) }), Err(Panicked));
        let logged = log::recent().into_iter().rfind(|line| line.contains("x: ioctl(9E)")).unwrap();
        assert!(
            logged.contains("driver panic: x: ioctl(9E): no 1 (") && logged.contains("entry.rs:"),
            "{logged}"
        );
        assert!(!inside());
    }
}
