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

use super::{calls, held, preserved, slot};
use parking_lot::Mutex;

use crate::board::{log, report};

/// The driver panicked in the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

thread_local! {
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
    let _entered = calls::enter();
    let held = held::count();
    let inside = slot::begin(&what, PROMPT.get());
    let result = preserved::call(|| catch_unwind(AssertUnwindSafe(f))).unwrap_or_else(|register| {
        let what = format!("{} returned with another value in {register}, which functions preserve", what());
        report::leftover("a function", &what, "Intro(9E)");
        report::stop()
    });
    drop(inside);
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

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic");
    // One line: messages of assertions have several.
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

fn install_hook() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !slot::inside() {
            return before(info);
        }
        let place = info.location().map_or(String::new(), |l| format!(" ({}:{})", l.file(), l.line()));
        let text = message(info.payload()) + &place;
        // A module's frames cannot be unwound: it has no tables for that. A report that unwinds is for drivers that are linked in.
        if !info.payload().is::<report::Reported>()
            && let Some(called) = calls::called()
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
        assert!(!slot::inside());
    }
}
