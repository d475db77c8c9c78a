//! Standard output. A full disk ends the command with one message, not with a panic. Locking: standard output's.

use std::fmt;
use std::io::{self, ErrorKind, Write as _};

/// Prints a line. A failure ends the program with status 1, and with a message unless it is EPIPE.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    let mut out = io::stdout().lock();
    if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
        std::process::exit(failed(&error));
    }
}

/// Prints that standard output cannot be written, ignoring EPIPE. Returns the exit status.
pub(crate) fn failed(error: &io::Error) -> i32 {
    if error.kind() != ErrorKind::BrokenPipe {
        eprintln!("ddi-host: cannot print: {error}");
    }
    1
}

/// As the standard one, by [`line()`].
macro_rules! println {
    ($($text:tt)*) => { $crate::commands::output::line(format_args!($($text)*)) };
}
