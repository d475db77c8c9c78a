//! Calling driver code, and what becomes of its panics.
//!
//! Every call of an entry point or callback goes through [`call`]. A driver that is linked in may panic: the panic is
//! caught here, logged once with the driver, the entry point, the message and the place, and the call fails; other clients
//! go on and the run's exit status is not 0. A module's panic is panic(9F) and ends the run ([`report::panic`]).

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::ddi::sync;
use parking_lot::Mutex;

use crate::{log, report};

/// The driver panicked in the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Calls driver code. `what` names it for messages: `ctxdev: devmap_access(9E)`.
///
/// # Errors
/// [`Panicked`] when the code unwound; it has been reported.
#[inline(never)]
pub fn call<R>(what: impl Fn() -> String, f: impl FnOnce() -> R) -> Result<R, Panicked> {
    static HOOK: Once = Once::new();
    HOOK.call_once(install_hook);
    let _entered = crate::loader::calls::enter();
    let held = sync::held();
    DEPTH.set(DEPTH.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(f));
    DEPTH.set(DEPTH.get() - 1);
    if result.is_ok() && sync::held() > held {
        let what = format!("{} returned with a mutex held", what());
        report::mistake("mutex_enter", &what, "mutex_enter(9F)");
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
        MESSAGE.set(Some(message(info.payload()) + &place));
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
        let _ = call(|| format!("{what} function at {:p}", self.func as *const ()), run);
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
