//! The host's log: what a kernel would print on its console and in its message buffer.
//!
//! Two destinations. *Console* text goes to standard error and to the log file; *log-only* text (a message that starts
//! with `!`) goes to the log file, or nowhere when there is none. Text is kept until its line is complete, because
//! `CE_CONT` messages come in pieces. The last lines are kept in memory for tests and for reports.
//!
//! Locking: one leaf mutex, never held while driver code runs; usable from any context.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use parking_lot::Mutex;

/// Number of lines that [`recent`] remembers.
const REMEMBERED: usize = 4096;

/// Destination of a piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Console and log file.
    Both,
    /// Log file only (`!`, and `?` when not verbose).
    Log,
    /// Console only (`^`).
    Console,
}

struct Log {
    file: Option<File>,
    quiet: bool,
    verbose: bool,
    partial: Vec<u8>,
    recent: VecDeque<String>,
}

static LOG: Mutex<Log> = Mutex::new(Log {
    file: None,
    quiet: false,
    verbose: false,
    partial: Vec::new(),
    recent: VecDeque::new(),
});

/// Sends the log to `path` as well, from now on.
///
/// # Errors
/// The error of creating the file.
pub fn to_file(path: &Path) -> io::Result<()> {
    let file = File::options().create(true).append(true).open(path)?;
    LOG.lock().file = Some(file);
    Ok(())
}

/// Keeps console text off standard error (tests that read [`recent`]).
pub fn set_quiet(quiet: bool) {
    LOG.lock().quiet = quiet;
}

/// Shows messages that start with `?` on the console, as a verbose boot does.
pub fn set_verbose(verbose: bool) {
    LOG.lock().verbose = verbose;
}

/// Returns whether the log is verbose.
pub fn verbose() -> bool {
    LOG.lock().verbose
}

/// Adds text; a line is written when its newline comes.
pub fn text(to: To, bytes: &[u8]) {
    let mut log = LOG.lock();
    log.partial.extend_from_slice(bytes);
    while let Some(end) = log.partial.iter().position(|&b| b == b'\n') {
        let line: Vec<u8> = log.partial.drain(..=end).collect();
        log.write(to, &line);
    }
}

/// Adds a whole line of the host's own.
pub fn line(to: To, line: &str) {
    let mut log = LOG.lock();
    if !log.partial.is_empty() {
        let mut rest = std::mem::take(&mut log.partial);
        rest.push(b'\n');
        log.write(to, &rest);
    }
    for part in line.lines() {
        log.write(to, format!("{part}\n").as_bytes());
    }
}

/// The lines logged last, oldest first.
pub fn recent() -> Vec<String> {
    LOG.lock().recent.iter().cloned().collect()
}

impl Log {
    fn write(&mut self, to: To, line: &[u8]) {
        if to != To::Console
            && let Some(file) = &mut self.file
        {
            // A full disk must not stop the kernel. It is said once, and no more is written.
            if let Err(error) = file.write_all(line) {
                let _ = writeln!(io::stderr(), "ddi-host: the log file ends here: {error}");
                self.file = None;
            }
        }
        if to != To::Log && !self.quiet {
            let _ = io::stderr().lock().write_all(line);
        }
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(String::from_utf8_lossy(line).trim_end_matches('\n').to_owned());
    }
}
