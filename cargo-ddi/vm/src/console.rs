//! The serial console: what the guest prints is logged and searched for login prompts, panics and full disks.
//!
//! [`Scanner`] is pure: bytes in, [`Sighting`]s out. A reader thread feeds it; the main thread takes the sightings from a
//! channel and never blocks on the guest.

use std::io::{Read, Write};
use std::sync::mpsc::Sender;

use crate::events::{ConsoleRules, Event, Sighting};

/// A line longer than this is cut: a guest that never prints a newline must not fill our memory.
const LONGEST_LINE: usize = 8192;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Start,
    Sequence,
}

/// Cuts console output into lines and finds what the guest's description names, however the reads are split.
#[derive(Debug)]
pub struct Scanner {
    rules: ConsoleRules,
    line: String,
    escape: Escape,
    /// Characters of `line` that were already searched for each kind, so that each sighting is reported once.
    told: Told,
    echo: Vec<u8>,
}

#[derive(Debug, Default)]
struct Told {
    login: bool,
    panic: bool,
    panic_end: bool,
    disk_full: bool,
}

impl Scanner {
    /// A scanner for one guest.
    pub fn new(rules: ConsoleRules) -> Scanner {
        Scanner { rules, line: String::new(), escape: Escape::None, told: Told::default(), echo: Vec::new() }
    }

    /// `text` has been typed: its echo is not output of the guest and is left out of the search.
    pub fn typed(&mut self, text: &[u8]) {
        self.echo.extend(text.iter().filter(|byte| !byte.is_ascii_control()));
    }

    /// Takes what was read and says what is new in it.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Sighting> {
        let mut seen = Vec::new();
        for &byte in bytes {
            self.take(byte, &mut seen);
        }
        seen
    }

    fn take(&mut self, byte: u8, seen: &mut Vec<Sighting>) {
        match (self.escape, byte) {
            (_, 0x1b) => self.escape = Escape::Start,
            (Escape::Start, b'[') => self.escape = Escape::Sequence,
            (Escape::Start, _) => self.escape = Escape::None,
            (Escape::Sequence, 0x40..=0x7e) => self.escape = Escape::None,
            (Escape::Sequence, _) => {}
            (Escape::None, b'\n') => self.end_line(seen),
            (Escape::None, b'\r' | 0x07 | 0x00) => {}
            (Escape::None, 0x08) => {
                self.line.pop();
            }
            (Escape::None, _) => {
                if self.echo.first() == Some(&byte) {
                    self.echo.remove(0);
                    return;
                }
                self.line.push(if byte == b'\t' || (0x20..0x7f).contains(&byte) {
                    byte as char
                } else {
                    '\u{fffd}'
                });
                self.search(seen);
                if self.line.len() > LONGEST_LINE {
                    self.end_line(seen);
                }
            }
        }
    }

    fn search(&mut self, seen: &mut Vec<Sighting>) {
        // Only the end of the line is new, and a pattern ends where its last character arrives.
        let line = &self.line;
        let ends = |patterns: &[String]| patterns.iter().any(|pattern| line.ends_with(pattern.as_str()));
        if !self.told.login && ends(&self.rules.login) {
            self.told.login = true;
            seen.push(Sighting::Login);
        }
        self.told.panic |= ends(&self.rules.panic);
        self.told.panic_end |= ends(&self.rules.panic_end);
        self.told.disk_full |= ends(&self.rules.disk_full);
    }

    /// A panic's line is reported when it is complete, for the reason follows the pattern.
    fn end_line(&mut self, seen: &mut Vec<Sighting>) {
        let line = std::mem::take(&mut self.line);
        let told = std::mem::take(&mut self.told);
        // What was not echoed by the end of a line never will be.
        self.echo.clear();
        if told.panic {
            seen.push(Sighting::Panic(line.trim().to_owned()));
        }
        if told.panic_end {
            seen.push(Sighting::PanicEnd);
        }
        if told.disk_full {
            seen.push(Sighting::DiskFull(line.trim().to_owned()));
        }
        if !line.trim().is_empty() {
            seen.push(Sighting::Line(line));
        }
    }
}

/// Copies `console` to `log` and what is seen in it to `events`, until the console hangs up.
pub fn read(
    mut console: impl Read,
    mut log: impl Write,
    scanner: &std::sync::Mutex<Scanner>,
    events: &Sender<Event>,
) {
    let mut buffer = [0; 4096];
    loop {
        let length = match console.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        // The log is a convenience: a full disk here must not end the run with a less useful message than the guest's.
        let _ = log.write_all(&buffer[..length]).and_then(|()| log.flush());
        let seen = scanner.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).feed(&buffer[..length]);
        let _ = events.send(Event::ConsoleOutput);
        for sighting in seen {
            let _ = events.send(Event::Console(sighting));
        }
    }
    let _ = events.send(Event::ConsoleClosed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Guest;

    fn scanner(guest: &str) -> Scanner {
        Scanner::new(Guest::load(guest).unwrap().console)
    }

    /// Feeds `text` in pieces of `size` bytes; lines are left out of the answer.
    fn notable(scanner: &mut Scanner, text: &str, size: usize) -> Vec<Sighting> {
        let pieces = text.as_bytes().chunks(size);
        pieces
            .flat_map(|piece| scanner.feed(piece))
            .filter(|seen| !matches!(seen, Sighting::Line(_)))
            .collect()
    }

    #[test]
    fn a_login_prompt_is_seen_without_a_newline_however_it_is_split() {
        for size in 1..40 {
            let seen = notable(
                &mut scanner("omnios"),
                "Loading smf(5) service descriptions: 12/12\r\n\r\nunknown console login: ",
                size,
            );
            assert_eq!(seen, [Sighting::Login], "pieces of {size}");
        }
    }

    #[test]
    fn a_prompt_printed_again_is_seen_again() {
        let mut scanner = scanner("linux");
        let seen = notable(&mut scanner, "ddi-linux login: \r\nddi-linux login: ", 7);
        assert_eq!(seen, [Sighting::Login, Sighting::Login]);
    }

    #[test]
    fn illumos_panics_are_told_with_their_reason() {
        let text = "\r\npanic[cpu1]/thread=fffffe0004a6fc20: \r\nBAD TRAP: type=e (#pf Page fault) rp=fffffe0004a6f8e0 addr=8\r\n\
                    dumping to /dev/zvol/dsk/rpool/dump, offset 65536, content: kernel\r\n100% done: 55512 pages dumped, dump succeeded\r\n";
        for size in [1, 3, 16, 4096] {
            let seen = notable(&mut scanner("omnios"), text, size);
            assert_eq!(
                seen,
                [
                    Sighting::Panic("panic[cpu1]/thread=fffffe0004a6fc20:".to_owned()),
                    Sighting::Panic(
                        "BAD TRAP: type=e (#pf Page fault) rp=fffffe0004a6f8e0 addr=8".to_owned()
                    ),
                    Sighting::PanicEnd,
                ]
            );
        }
        assert!(matches!(&notable(&mut scanner("omnios"), "Welcome to kmdb\n", 4)[..], [Sighting::Panic(_)]));
    }

    #[test]
    fn linux_panics_are_told_with_their_reason() {
        let text = "[    1.46] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\r\n[    1.5] ---[ end Kernel panic - not syncing: Attempted to kill init! ]---\r\n";
        let seen = notable(&mut scanner("linux"), text, 11);
        let [Sighting::Panic(first), Sighting::Panic(_), Sighting::PanicEnd] = &seen[..] else {
            panic!("{seen:?}")
        };
        assert!(first.ends_with("Attempted to kill init! exitcode=0x00000100"), "{first}");
    }

    #[test]
    fn colours_and_cursor_movements_do_not_hide_a_pattern() {
        let seen = notable(&mut scanner("linux"), "\x1b[2J\x1b[1;31mddi-\x1b[0mlinux log\x1b[Kin: ", 2);
        assert_eq!(seen, [Sighting::Login]);
    }

    #[test]
    fn the_echo_of_what_was_typed_is_not_output() {
        let mut scanner = scanner("linux");
        scanner.typed(b"echo 'Kernel panic - not syncing'; echo ddi-linux login:\n");
        let text = "echo 'Kernel panic - not syncing'; echo ddi-linux login:\r\nall well\r\n";
        assert_eq!(notable(&mut scanner, text, 5), []);
        // What the command then prints is.
        assert_eq!(notable(&mut scanner, "ddi-linux login: ", 5), [Sighting::Login]);
    }

    #[test]
    fn an_endless_line_is_cut() {
        let mut scanner = scanner("linux");
        let seen = scanner.feed(&vec![b'x'; 3 * LONGEST_LINE]);
        assert!(seen.len() >= 2 && scanner.line.len() <= LONGEST_LINE);
    }

    #[test]
    fn a_full_disk_is_told_with_its_line() {
        let seen = notable(&mut scanner("omnios"), "NOTICE: alloc: /var: file system full\r\n", 9);
        assert_eq!(seen, [Sighting::DiskFull("NOTICE: alloc: /var: file system full".to_owned())]);
    }
}
