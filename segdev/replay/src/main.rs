//! `replay FILE…`: runs conformance corpus files against segdev.
//!
//! Prints for each file how many scenarios passed, and the first mismatches. Exit status: 0 all passed, 1 a mismatch or a scenario
//! that hung, 2 a file that cannot be read or is no corpus.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use clap::Parser;
use segdev_replay::files::{Report, replay};

/// Replays conformance corpus files (JSON lines, .gz too) against the segdev framework.
#[derive(Parser)]
#[command(name = "replay", version)]
struct Args {
    /// Corpus files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Maximum number of mismatches to print for each file.
    #[arg(long, value_name = "N", default_value_t = 5)]
    show: usize,
    /// Time limit of a scenario, in seconds; one that takes longer has hung.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(said) => return answer(&said),
    };
    // A panic is reported as its scenario's failure.
    std::panic::set_hook(Box::new(|_| {}));
    let results: Vec<Mutex<Option<anyhow::Result<Report>>>> =
        args.files.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, |n| n.get()).min(args.files.len());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(path) = args.files.get(next.fetch_add(1, Relaxed)) {
                    let result = replay(path, args.show, Duration::from_secs(args.limit));
                    let slot = args.files.iter().position(|p| std::ptr::eq(p, path));
                    if let Some(slot) = slot
                        && let Ok(mut slot) = results[slot].lock()
                    {
                        *slot = Some(result);
                    }
                }
            });
        }
    });
    let mut status = 0;
    for (path, slot) in args.files.iter().zip(results) {
        match slot.into_inner().ok().flatten() {
            Some(Ok(report)) => {
                let printed = std::io::stdout().write_all(lines(path, &report).as_bytes());
                if let Err(error) = printed {
                    return not_printed(&error);
                }
                if report.passed < report.total {
                    status = status.max(1);
                }
            }
            Some(Err(e)) => {
                eprintln!("replay: {e:#}");
                status = 2;
            }
            None => {
                eprintln!("replay: {}: the worker died", path.display());
                status = 2;
            }
        }
    }
    ExitCode::from(status)
}

/// Prints help, or what is wrong with the command line.
fn answer(said: &clap::Error) -> ExitCode {
    match said.print().and_then(|()| std::io::stdout().flush()) {
        Err(error) if !said.use_stderr() => not_printed(&error),
        _ => ExitCode::from(said.exit_code() as u8),
    }
}

/// Reports that standard output cannot be written, ignoring EPIPE.
fn not_printed(error: &std::io::Error) -> ExitCode {
    if error.kind() != ErrorKind::BrokenPipe {
        eprintln!("replay: cannot print: {error}");
    }
    ExitCode::from(2)
}

/// Text of the result of a file.
fn lines(path: &Path, report: &Report) -> String {
    let mut text = format!("{}: {} of {} scenarios passed\n", path.display(), report.passed, report.total);
    if let (scenarios @ 1.., ran) = &report.only_run {
        text.push_str(&format!(
            "  {scenarios} of them without observations: run only, {} operations",
            ran.ops
        ));
        if ran.skipped > 0 {
            text.push_str(&format!(", {} skipped whose handle does not live", ran.skipped));
        }
        text.push('\n');
    }
    for (id, failure) in &report.failures {
        text.push_str(&format!("  {id}: {failure}\n"));
    }
    let unseen = report.total - report.passed - report.failures.len();
    if unseen > 0 {
        text.push_str(&format!("  and {unseen} more\n"));
    }
    text
}
