//! Standard output: a disk that is full ends the command with one sentence, not with a panic. Locking: standard output's.

use std::fmt;
use std::io::{self, ErrorKind, Write as _};

/// Prints, or ends the program with status 1: quietly when nobody reads.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    let mut out = io::stdout().lock();
    if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
        std::process::exit(failed(&error));
    }
}

/// Says that standard output cannot be written, unless nobody reads it; the exit status for it.
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
