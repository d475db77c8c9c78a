//! Output of the command: progress and errors on standard error, results on standard output; in colour on a terminal, unless `NO_COLOR` is set.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

use anstream::eprintln;
use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// The ways of printing that the command line asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ui {
    /// Results as JSON.
    pub json: bool,
    /// No progress.
    pub quiet: bool,
}

impl Ui {
    /// Says what is being done, as cargo does: a verb and its object.
    pub fn doing(&self, verb: &str, object: impl Display) {
        if !self.quiet {
            let style = AnsiColor::Green.on_default().bold();
            eprintln!("{style}{verb:>12}{style:#} {object}");
        }
    }

    /// Says something that is worth knowing and no error.
    pub fn note(&self, text: impl Display) {
        if !self.quiet {
            let style = AnsiColor::Cyan.on_default().bold();
            eprintln!("{style}{:>12}{style:#} {text}", "Note");
        }
    }

    /// Says why the command could not do its work.
    pub fn error(&self, error: &anyhow::Error) {
        let style = AnsiColor::Red.on_default().bold();
        eprintln!("{style}error{style:#}: {error:#}");
    }

    /// Prints a result: as JSON, or as its text.
    ///
    /// # Errors
    /// Standard output cannot be written. Nobody to read it is no error.
    pub fn result(&self, result: &(impl Serialize + Display)) -> anyhow::Result<()> {
        let text = match self.json {
            true => serde_json::to_string_pretty(result)? + "\n",
            false => result.to_string(),
        };
        print(text.as_bytes())
    }
}

/// Style of what is good, bad, or to be noticed, in a result.
pub fn style(colour: AnsiColor) -> Style {
    colour.on_default().bold()
}

/// Prints bytes to standard output, in which colours are dropped if it is no terminal.
///
/// # Errors
/// See [`Ui::result`].
pub fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(anyhow::anyhow!("cannot print: {error}")),
        _ => Ok(()),
    }
}
