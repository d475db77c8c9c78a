//! Messages and time. Time does not pass: a timeout waits until a test fires it.

use std::ffi::{c_char, c_int, c_void};

use ddi_sys as sys;

use super::kernel;
use super::nodes::text;
use super::running::when_over;

/// Called with one string only, which is the first variadic argument and comes in the third register.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn cmn_err(level: c_int, format: *const c_char, argument: *const c_char) {
    // SAFETY: as cmn_err(9F): a string.
    let format = unsafe { text(format) };
    // SAFETY: likewise: devmap passes one string, for "%s".
    let argument = unsafe { text(argument) };
    assert!(matches!(format, "%s" | "!%s"), "messages are passed as %s");
    kernel().log.push(format!("{level} {argument}"));
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn drv_usectohz(microseconds: i64) -> i64 {
    assert!(microseconds.checked_mul(100).is_some());
    (microseconds as u64).div_ceil(10_000) as i64
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn drv_usecwait(microseconds: i64) {
    kernel().spun += microseconds;
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn gethrtime() -> i64 {
    let mut kernel = kernel();
    kernel.clock += 1_000;
    kernel.clock
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_get_lbolt64() -> i64 {
    kernel().clock / 10_000_000
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_get_time() -> i64 {
    1_000_000_000 + kernel().clock / 1_000_000_000
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn drv_hztousec(ticks: i64) -> i64 {
    ticks.saturating_mul(10_000)
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_in_panic() -> c_int {
    kernel().panicking.into()
}

/// A signal comes at once, if the process has one.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn delay_sig(ticks: i64) -> c_int {
    let mut kernel = kernel();
    if kernel.signal {
        return sys::EINTR;
    }
    kernel.slept += ticks;
    0
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn delay(ticks: i64) {
    kernel().slept += ticks;
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn timeout(
    function: Option<unsafe extern "C-unwind" fn(*mut c_void)>,
    arg: *mut c_void,
    ticks: i64,
) -> *mut c_void {
    let mut kernel = kernel();
    let id = kernel.fresh();
    kernel.timeouts.insert(id, (function.unwrap() as usize, arg.expose_provenance(), ticks));
    id as *mut c_void
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn untimeout(id: *mut c_void) -> i64 {
    let id = id.expose_provenance();
    when_over(id, |kernel| {
        kernel.returning.remove(&id);
        kernel.timeouts.remove(&id).map_or(-1, |(_, _, ticks)| ticks)
    })
}

/// Runs the timeout that was set first: were there any?
pub fn fire_timeout() -> bool {
    let (runs, id, function, arg) = {
        let mut kernel = kernel();
        let Some((id, (function, arg, _))) = kernel.timeouts.pop_first() else { return false };
        (kernel.runs(id), id, function, arg)
    };
    // SAFETY: `timeout` stored it there, a function of this type.
    let function: unsafe extern "C-unwind" fn(*mut c_void) =
        unsafe { std::mem::transmute(function as *const ()) };
    // SAFETY: as timeout(9F): with the argument that came with it, once, unless untimeout(9F) took it back.
    unsafe { function(arg as *mut c_void) };
    kernel().returning.insert(id);
    drop(runs);
    true
}
