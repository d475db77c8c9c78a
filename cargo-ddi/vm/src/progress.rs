//! Progress of a run for people: a line for each step on standard error; on a terminal below it what is waited for, and for how long.
//!
//! A pipe gets the steps' lines and nothing else. Colours are for terminals, unless `NO_COLOR` is set.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};

/// The steps so far.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    current: Option<(String, Instant)>,
    bar: Option<ProgressBar>,
    colours: bool,
    quiet: bool,
    /// Times that finished steps took.
    pub took: Vec<(String, Duration)>,
}

impl Progress {
    /// Prints to standard error, unless `quiet`.
    pub fn new(quiet: bool) -> Progress {
        let terminal =
            std::io::stderr().is_terminal() && std::env::var("TERM").is_ok_and(|term| term != "dumb");
        let bar = (!quiet && terminal).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("            {spinner} {elapsed} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        let colours = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
        Progress { started: Instant::now(), current: None, bar, colours, quiet, took: Vec::new() }
    }

    /// The next step begins.
    pub fn step(&mut self, name: &str, detail: &str) {
        self.end_step();
        self.current = Some((name.to_owned(), Instant::now()));
        if let Some(bar) = &self.bar {
            bar.reset_elapsed();
            bar.set_message(name.to_owned());
        }
        tracing::info!(step = name, "{detail}");
        self.line(name, AnsiColor::Green, detail);
    }

    /// Subject of the wait in the step under way, its limit, and its state.
    pub fn waiting(&self, what: &str, limit: Duration, stands: &str) {
        if self.bar.is_some() {
            self.detail(&waiting(what, limit, stands));
        }
    }

    /// Activity of the step under way. Replaced by the next, and shown on a terminal only, beside the step's time.
    pub fn detail(&self, text: &str) {
        if let Some(bar) = self.bar.as_ref().filter(|bar| bar.message() != text) {
            bar.set_message(text.to_owned());
        }
    }

    /// Something worth keeping.
    pub fn note(&self, text: &str) {
        tracing::info!("{text}");
        self.line("", AnsiColor::Green, text);
    }

    /// Output of a command.
    pub fn output(&self, bytes: &[u8]) {
        for line in String::from_utf8_lossy(bytes).lines().filter(|line| !line.trim().is_empty()) {
            self.note(line);
        }
    }

    /// The step under way ended badly.
    pub fn failed(&mut self, why: &str) {
        self.line("FAILED", AnsiColor::Red, why);
        self.end_step();
    }

    /// The last step ended well.
    pub fn done(&mut self) {
        self.end_step();
        let steps: Vec<String> =
            self.took.iter().map(|(name, took)| format!("{name} {:.1} s", took.as_secs_f32())).collect();
        self.line("done", AnsiColor::Green, &steps.join(", "));
    }

    fn end_step(&mut self) {
        if let Some((name, since)) = self.current.take() {
            tracing::info!(step = name, seconds = since.elapsed().as_secs_f32(), "ended");
            self.took.push((name, since.elapsed()));
        }
        if let Some(bar) = &self.bar {
            bar.set_message(String::new());
        }
    }

    fn line(&self, name: &str, colour: AnsiColor, text: &str) {
        if self.quiet {
            return;
        }
        let style = if self.colours { colour.on_default().bold() } else { Style::new() };
        let line =
            format!("[{:7.1} s] {style}{name:9}{style:#} {text}", self.started.elapsed().as_secs_f32());
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }
}

/// The text of a wait: `for a login, at most 90 s: mounting /`.
fn waiting(what: &str, limit: Duration, stands: &str) -> String {
    let stands = stands.trim();
    let (colon, stands) = if stands.is_empty() { ("", "") } else { (": ", stands) };
    format!("{what}, at most {} s{colon}{stands}", limit.as_secs())
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_says_what_for_and_how_long() {
        let limit = Duration::from_secs(90);
        assert_eq!(waiting("for a login", limit, "mounting /\r"), "for a login, at most 90 s: mounting /");
        assert_eq!(waiting("for ssh", limit, " "), "for ssh, at most 90 s");
    }
}
