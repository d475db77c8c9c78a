//! `--trace FILE`: the recording of a run's events, and its end. `ddi-host trace`: conversion of a recording, and answers from it. `ddi-host timeline`: a
//! page of it.
//!
//! While the run lasts, FILE is a file of rings ([`ddi_trace`]): whatever ends the host, what happened until then is in it. At the end it is replaced by
//! the format that was asked for.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use ddi_kernel::board::report;
use ddi_kernel::board::values::Size;
use ddi_timeline::{Converted, Format, answers, convert, dtrace, write};
use ddi_trace::Trace;

use crate::commands::cli::fail;

/// Options of the commands that record a trace.
#[derive(Args, Clone, Debug)]
pub struct TraceArgs {
    /// Record every event of the run in this file: for Perfetto's user interface, as a page for a browser, or as JSON lines
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Format of the trace: perfetto, page, json or ring; by default as the file's name says (.html, .json, .jsonl, .ring)
    #[arg(long, value_name = "FORMAT", requires = "trace")]
    trace_format: Option<Format>,
    /// Largest size of the recording; when it is reached, the oldest events are overwritten
    #[arg(long, value_name = "SIZE", requires = "trace", default_value = "256M", value_parser = size)]
    trace_size: u64,
}

/// The argument is no size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of bytes such as 64M or 1G, at least 1M and at most 1024G")]
struct NoSize;

fn size(text: &str) -> Result<u64, NoSize> {
    let bytes = text.parse().ok().or_else(|| Size::Text(text.to_owned()).bytes());
    bytes.filter(|bytes| (1 << 20..=1 << 40).contains(bytes)).ok_or(NoSize)
}

/// The file cannot be used for a trace.
#[derive(Debug, thiserror::Error)]
#[error("--trace {}: {error}", file.display())]
pub struct CannotRecord {
    file: PathBuf,
    error: io::Error,
}

impl TraceArgs {
    /// Returns whether a trace is asked for.
    pub fn is_asked(&self) -> bool {
        self.trace.is_some()
    }

    /// Begins the recording, if one is asked for.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn begin(&self) -> Result<Recording, CannotRecord> {
        let Some(file) = &self.trace else { return Ok(Recording(None)) };
        let failed = |error| CannotRecord { file: file.clone(), error };
        let path = std::path::absolute(file).map_err(failed)?;
        ddi_trace::start(&path, self.trace_size).map_err(failed)?;
        let format = self.trace_format.unwrap_or_else(|| Format::of(file));
        let open = Arc::new(Open { shown: file.clone(), file: path, format, ended: AtomicBool::new(false) });
        let at_stop = open.clone();
        report::on_stop(move || {
            report::unhurried();
            at_stop.finish();
        });
        Ok(Recording(Some(open)))
    }
}

struct Open {
    /// The file as the user named it.
    shown: PathBuf,
    file: PathBuf,
    format: Format,
    ended: AtomicBool,
}

impl Open {
    fn finish(&self) -> bool {
        if self.ended.swap(true, Ordering::AcqRel) {
            return true;
        }
        ddi_trace::stop();
        let done = match self.format {
            Format::Ring => Ok(()),
            format => convert(&self.file, &self.file, format).map(|converted| say(&self.shown, converted)),
        };
        if let Err(why) = &done {
            let file = self.shown.display();
            eprintln!(
                "ddi-host: {why}\nddi-host: {file} has the recording; convert it with ddi-host trace {file} -o OUT"
            );
        }
        done.is_ok()
    }
}

fn say(file: &Path, Converted { events, overwritten, refused }: Converted) {
    let mut text = format!("{}: {events} events", file.display());
    if overwritten > 0 {
        text.push_str(&format!(
            "; {overwritten} older ones were overwritten, a larger --trace-size keeps more"
        ));
    }
    if refused > 0 {
        text.push_str(&format!("; for {refused} there was no room"));
    }
    if Format::of(file) == Format::Page
        && let Ok(path) = std::path::absolute(file)
    {
        text.push_str(&format!("; open file://{} in a browser", path.display()));
    }
    eprintln!("ddi-host: {text}");
}

/// The recording of a run, if there is one. It ends when this is dropped, at the latest.
#[must_use]
pub struct Recording(Option<Arc<Open>>);

impl Recording {
    /// Returns the file of the recording.
    pub fn file(&self) -> Option<&Path> {
        self.0.as_ref().map(|open| open.file.as_path())
    }

    /// Ends the recording and converts it. Returns false, after a message, if that fails.
    pub fn finish(self) -> bool {
        self.0.as_ref().is_none_or(|open| open.finish())
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if let Some(open) = &self.0 {
            open.finish();
        }
    }
}

/// Convert a recording, or say who faults, switches and waits in it
#[derive(Args, Debug)]
pub struct Convert {
    /// The recording: of a run that was killed, or one with --trace-format ring
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// FILE is what docs/dtrace/events.d has printed on an illumos machine
    #[arg(long)]
    from_dtrace: bool,
    /// File to write; without one, answers are printed: switches, who takes an engine from whom, waits, pages that fault most
    #[arg(long, short, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Format: perfetto, page, json or ring; by default as the name of OUT says
    #[arg(long, value_name = "FORMAT", requires = "output")]
    format: Option<Format>,
}

impl Convert {
    /// Executes the command. Returns the exit status.
    pub fn run(&self) -> i32 {
        match self.read() {
            Ok(trace) => match &self.output {
                Some(output) => {
                    let format = self.format.unwrap_or_else(|| Format::of(output));
                    match write(trace, output, format) {
                        Ok(converted) => say(output, converted),
                        Err(why) => return fail(&why.to_string()),
                    }
                }
                None => println!("{}", answers(trace).trim_end()),
            },
            Err(why) => return fail(&why),
        }
        0
    }

    fn read(&self) -> Result<Trace, String> {
        if self.from_dtrace {
            return dtrace::read(&self.from).map_err(|why| why.to_string());
        }
        Trace::read(&self.from).map_err(|why| why.to_string())
    }
}

/// Make a page for a browser from a recording
#[derive(Args, Debug)]
pub struct Timeline {
    /// The recording: of a run that was killed, or one with --trace-format ring
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// The page; by default FILE with the ending .html
    #[arg(long, short, value_name = "PAGE")]
    output: Option<PathBuf>,
}

impl Timeline {
    /// Executes the command. Returns the exit status.
    pub fn run(&self) -> i32 {
        let page = self.output.clone().unwrap_or_else(|| self.from.with_extension("html"));
        match convert(&self.from, &page, Format::Page) {
            Ok(converted) => say(&page, converted),
            Err(why) => return fail(&why.to_string()),
        }
        0
    }
}
