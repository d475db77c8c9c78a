//! Time: clocks and delays.
//!
//! Times are [`Duration`]s. The kernel counts in clock ticks, of 10 ms unless tuned; waits for shorter times last a tick.
//! Reading the clocks and [`spin`] is possible in any context, with any lock held.
//!
//! For routines that run later or periodically: [`Timeout`](crate::timeout::Timeout), [`Periodic`](crate::periodic::Periodic),
//! [`TaskQueue`](crate::task::TaskQueue), [`Thread`](crate::thread::Thread).

use core::time::Duration;

use ddi_sys as sys;

use crate::context::MaySleep;
use crate::errno::Errno;

/// Returns the time since an arbitrary moment, for differences; it never goes back: `gethrtime(9F)`.
///
/// ```no_run
/// let before = devmap::time::now();
/// // ...
/// let took = devmap::time::now().saturating_sub(before);
/// ```
pub fn now() -> Duration {
    // SAFETY: reads a clock.
    let nanoseconds = unsafe { sys::gethrtime() };
    Duration::from_nanos(nanoseconds.unsigned_abs())
}

/// Returns the clock ticks since boot: `ddi_get_lbolt64(9F)`. Cheaper than [`now`], and coarser.
pub fn lbolt() -> i64 {
    // SAFETY: reads a clock.
    unsafe { sys::ddi_get_lbolt64() }
}

/// Returns the time of day, in whole seconds since 1970: `ddi_get_time(9F)`. It may be set back.
pub fn time_of_day() -> Duration {
    // SAFETY: reads a clock.
    let seconds = unsafe { sys::ddi_get_time() };
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// Returns a duration in ticks, rounded up: `drv_usectohz(9F)`. Any context.
pub fn ticks(time: Duration) -> i64 {
    // A century; beyond that the kernel's own multiplication could overflow.
    const LONGEST: u64 = 100 * 365 * 86_400 * 1_000_000;
    let part = time.subsec_nanos().div_ceil(1000);
    let microseconds =
        time.as_secs().saturating_mul(1_000_000).saturating_add(part.into()).min(LONGEST) as i64;
    if microseconds == 0 {
        return 0;
    }
    // SAFETY: a calculation, callable from anywhere.
    unsafe { sys::drv_usectohz(microseconds) }
}

/// Returns a number of ticks as a duration: `drv_hztousec(9F)`. Negative numbers count as 0. Any context.
pub fn from_ticks(ticks: i64) -> Duration {
    // SAFETY: a calculation, callable from anywhere.
    let microseconds = unsafe { sys::drv_hztousec(ticks.max(0)) };
    Duration::from_micros(microseconds.max(0).unsigned_abs())
}

/// Waits without giving up the processor, microseconds at a time: `drv_usecwait(9F)`. Any context; for a device that needs a moment.
pub fn spin(time: Duration) {
    let microseconds = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    // SAFETY: any context.
    unsafe { sys::drv_usecwait(microseconds) };
}

/// Sleeps for `time`, at least a tick: `delay(9F)`. Hold no lock that others wait for.
pub fn sleep(cx: &impl MaySleep, time: Duration) {
    let _ = cx;
    sleep_anyhow(time);
}

/// Like [`sleep`]; a signal to the process ends the wait with `EINTR`: `delay_sig`.
pub fn sleep_sig(cx: &impl MaySleep, time: Duration) -> Result<(), Errno> {
    let _ = cx;
    let ticks = ticks(time);
    // SAFETY: the context may sleep.
    Errno::check(unsafe { sys::delay_sig(ticks) })
}

/// [`sleep`], for this crate's own code that knows that it may.
pub(crate) fn sleep_anyhow(time: Duration) {
    let ticks = ticks(time);
    // SAFETY: the callers are in user or kernel context and hold none of this crate's locks.
    unsafe { sys::delay(ticks) };
}
