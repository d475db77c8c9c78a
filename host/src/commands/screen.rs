//! A terminal that shows one text after the other, and is asked to end by a key.
//!
//! No locking: a screen belongs to one thread.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};

use ddi_timeline::live::{Line, Shown};
use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};

/// The terminal's other screen, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const END_OF_LINE: &str = "\x1b[K";
const END_OF_SCREEN: &str = "\x1b[J";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";
/// Rows and columns of a terminal that does not tell.
const USUAL: (usize, usize) = (24, 80);

/// A terminal, until this is dropped.
pub struct Screen {
    out: File,
    /// Source of keys, and its modes before.
    keys: Option<(File, Termios)>,
    /// Headings are bold.
    styled: bool,
}

/// Returns whether a screen can be shown there.
pub fn is_screen(out: impl AsFd) -> bool {
    isatty(out) && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

impl Screen {
    /// Takes the terminal. Keys come one by one; `signals`: those that are signals stay so.
    ///
    /// # Errors
    /// The terminal cannot be written.
    pub fn take(out: File, keys: File, signals: bool) -> io::Result<Screen> {
        let before = isatty(&keys).then(|| tcgetattr(&keys)).transpose()?;
        if let Some(before) = &before {
            let mut modes = before.clone();
            modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            if !signals {
                modes.local_modes -= LocalModes::ISIG;
            }
            tcsetattr(&keys, OptionalActions::Now, &modes)?;
        }
        let styled = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let mut screen = Screen { out, keys: before.map(|before| (keys, before)), styled };
        screen.out.write_all(ENTER.as_bytes())?;
        Ok(screen)
    }

    /// Returns the source of keys.
    pub fn keys(&self) -> Option<BorrowedFd<'_>> {
        self.keys.as_ref().map(|(keys, _)| keys.as_fd())
    }

    /// Reads a key that has come; true if it asks to end: q, Ctrl-C, or that there are no more.
    pub fn is_over(&self) -> bool {
        let mut key = [0];
        match self.keys().map(|keys| rustix::io::read(keys, &mut key)) {
            Some(Ok(0)) => true,
            Some(Ok(_)) => matches!(key[0], b'q' | b'Q' | 3),
            _ => false,
        }
    }

    /// Shows an interval in place of what is there.
    ///
    /// # Errors
    /// The terminal cannot be written.
    pub fn show(&mut self, shown: &Shown) -> io::Result<()> {
        let size = tcgetwinsize(&self.out).ok();
        let size = size.map(|size| (usize::from(size.ws_row), usize::from(size.ws_col)));
        let (rows, columns) = size.filter(|(rows, columns)| rows * columns > 0).unwrap_or(USUAL);
        let mut text = HOME.to_owned();
        for line in shown.lines(rows.saturating_sub(1)) {
            self.line(line, columns, &mut text);
            text.push_str("\r\n");
        }
        // Behind the last line there is no end of line, which would move all of them.
        let help = Line { text: "q: end".into(), heading: false };
        self.line(&help, columns, &mut text);
        text.push_str(END_OF_SCREEN);
        self.out.write_all(text.as_bytes())
    }

    fn line(&self, line: &Line, columns: usize, to: &mut String) {
        let styled = self.styled && line.heading;
        to.push_str(if styled { BOLD } else { "" });
        to.extend(line.text.chars().take(columns));
        to.push_str(if styled { PLAIN } else { "" });
        to.push_str(END_OF_LINE);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.out.write_all(LEAVE.as_bytes());
        if let Some((keys, before)) = &self.keys {
            let _ = tcsetattr(keys, OptionalActions::Now, before);
        }
    }
}
