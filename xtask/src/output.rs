//! Standard output: a reader that goes away, or a disk that is full, ends the command with one sentence, not with a panic.

use std::fmt;
use std::io::{ErrorKind, Write as _};

/// Prints, or ends the program with status 2: quietly when nobody reads.
pub fn print(text: fmt::Arguments<'_>, end: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = write!(out, "{text}{end}").and_then(|()| out.flush()) {
        if error.kind() != ErrorKind::BrokenPipe {
            eprintln!("cargo xtask: cannot print: {error}");
        }
        std::process::exit(2);
    }
}

/// As the standard one, by [`print()`].
macro_rules! print {
    ($($text:tt)*) => { $crate::output::print(format_args!($($text)*), "") };
}

/// As the standard one, by [`print()`].
macro_rules! println {
    ($($text:tt)*) => { $crate::output::print(format_args!($($text)*), "\n") };
}
