//! Messages: [`note!`](crate::note!), [`warn!`](crate::warn!) and [`log_only!`](crate::log_only!), over `cmn_err(9F)`.
//!
//! Any context; nothing is allocated, but by `warn_of` for attach and detach. A message is truncated at 240 bytes. Do not log what a process can cause
//! at any rate.

use alloc::boxed::Box;
use core::ffi::{CStr, c_int};
use core::fmt::{self, Write};

use ddi_sys as sys;

use crate::life::Refusal;
use crate::text::Text;

/// Severity of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `CE_NOTE`: worth knowing.
    Note,
    /// `CE_WARN`: something is wrong.
    Warn,
}

/// Room for one message and its NUL; small, because kernel stacks are.
pub(crate) type Line = Text<241>;

/// Writes one message; the macros call this.
pub fn write(level: Level, log_only: bool, message: fmt::Arguments<'_>) {
    let mut line = Line::new();
    // A formatter that fails cuts its message short: nothing to be done about it here.
    let _ = line.write_fmt(message);
    self::line(level, log_only, line.as_c_str());
}

/// Writes one message that is a text already, of a [`Text`] for example: without formatting code, which is some 4 KiB in a module.
pub fn line(level: Level, log_only: bool, message: &CStr) {
    let level: c_int = match level {
        Level::Note => sys::CE_NOTE,
        Level::Warn => sys::CE_WARN,
    };
    let format = if log_only { c"!%s" } else { c"%s" };
    // SAFETY: the format takes one string, which ends in NUL.
    unsafe { sys::cmn_err(level, format.as_ptr(), message.as_ptr()) };
}

/// Warns of a node: `NAMEN: what: why`, without formatting code. Kernel context: allocates.
///
/// # Safety
/// A live node.
#[cold]
#[inline(never)]
pub(crate) unsafe fn warn_of(node: *mut sys::dev_info_t, what: &str, why: &Refusal) {
    // Not on the stack, like other lines: attach and detach call this deep in theirs.
    let mut line = Box::new(Line::new());
    let mut end = line.end();
    // SAFETY: the caller's.
    let name = unsafe { sys::ddi_driver_name(node) };
    // SAFETY: the kernel's string, which lives as long as the node.
    end.add(unsafe { CStr::from_ptr(name) }.to_bytes());
    // SAFETY: the caller's.
    end.add_number(unsafe { sys::ddi_get_instance(node) }.unsigned_abs());
    end.add_word(what);
    why.words.iter().for_each(|word| end.add_word(word));
    if let Some(errno) = why.errno {
        end.add_word(errno.name());
        end.add(b" (");
        end.add_number(errno.raw().unsigned_abs());
        end.add(b")");
    }
    // SAFETY: the format takes one string, and the line ends in NUL.
    unsafe { sys::cmn_err(sys::CE_WARN, c"%s".as_ptr(), line.as_ptr()) };
}

/// Returns whether the system is panicking: `ddi_in_panic(9F)`. Nothing may block then.
pub fn in_panic() -> bool {
    // SAFETY: reads the state of the system.
    let panicking = unsafe { sys::ddi_in_panic() };
    panicking != 0
}

/// Stops the system with a message; returns on no illumos.
pub(crate) fn panic(message: fmt::Arguments<'_>) {
    let mut line = Line::new();
    let _ = line.write_fmt(message);
    // SAFETY: the format takes one string, and the line ends in NUL.
    unsafe { sys::cmn_err(sys::CE_PANIC, c"%s".as_ptr(), line.as_ptr()) };
}

/// Logs a note to the console and the system log, in the form of `format!`: `cmn_err(9F)`, `CE_NOTE`.
#[macro_export]
macro_rules! note {
    ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Note, false, ::core::format_args!($($arg)*)) };
}

/// Logs a warning to the console and the system log, in the form of `format!`: `cmn_err(9F)`, `CE_WARN`.
#[macro_export]
macro_rules! warn {
    ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Warn, false, ::core::format_args!($($arg)*)) };
}

/// Logs a note to the system log only, in the form of `format!`: `cmn_err(9F)`, `CE_NOTE` with `!`.
#[macro_export]
macro_rules! log_only {
    ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Note, true, ::core::format_args!($($arg)*)) };
}
