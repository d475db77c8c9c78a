//! What a person sees of a run: one line per step on standard error, with a live detail on a terminal.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// The steps so far.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    current: Option<(String, Instant)>,
    bar: Option<ProgressBar>,
    quiet: bool,
    /// How long each finished step took.
    pub took: Vec<(String, Duration)>,
}

impl Progress {
    /// Prints to standard error, unless `quiet`.
    pub fn new(quiet: bool) -> Progress {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("           {spinner} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Progress { started: Instant::now(), current: None, bar, quiet, took: Vec::new() }
    }

    /// The next step begins.
    pub fn step(&mut self, name: &str, detail: &str) {
        self.end_step();
        self.current = Some((name.to_owned(), Instant::now()));
        tracing::info!(step = name, "{detail}");
        self.line(&format!("{name:9} {detail}"));
    }

    /// Something about the step under way; replaced by the next.
    pub fn detail(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        }
    }

    /// Something worth keeping.
    pub fn note(&self, text: &str) {
        tracing::info!("{text}");
        self.line(&format!("          {text}"));
    }

    /// What a command printed.
    pub fn output(&self, bytes: &[u8]) {
        for line in String::from_utf8_lossy(bytes).lines().filter(|line| !line.trim().is_empty()) {
            self.note(line);
        }
    }

    /// The step under way ended badly.
    pub fn failed(&mut self, why: &str) {
        self.line(&format!("FAILED    {why}"));
        self.end_step();
    }

    /// The last step ended well.
    pub fn done(&mut self) {
        self.end_step();
        self.line("done");
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

    fn line(&self, text: &str) {
        if self.quiet {
            return;
        }
        let line = format!("[{:7.1} s] {text}", self.started.elapsed().as_secs_f32());
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
