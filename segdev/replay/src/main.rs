//! `replay FILE…`: runs conformance corpus files against segdev.
//!
//! Prints for each file how many scenarios passed, and the first mismatches. Exit status: 0 all passed, 1 a mismatch, 2 a
//! file that cannot be read or is no corpus.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use clap::Parser;
use segdev_replay::files::{Report, replay};

/// Replays conformance corpus files (JSON lines, .gz too) against the segdev framework.
#[derive(Parser)]
struct Args {
    /// Corpus files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How many mismatches to print for each file.
    #[arg(long, default_value_t = 5)]
    show: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
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
                    let result = replay(path, args.show);
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
                println!("{}: {} of {} scenarios passed", path.display(), report.passed, report.total);
                for (id, failure) in &report.failures {
                    println!("  {id}: {failure}");
                }
                let unseen = report.total - report.passed - report.failures.len();
                if unseen > 0 {
                    println!("  and {unseen} more");
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
