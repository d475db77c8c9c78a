//! Corpus files as a whole, plain or gzipped.
//!
//! Each scenario runs on a thread of its own, which is left behind if it does not end within the limit: the others still run.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::run::{Mismatch, Ran, run};
use crate::scenario::Scenario;

/// Result of one file.
#[derive(Default)]
pub struct Report {
    /// Scenarios in it.
    pub total: usize,
    /// Those that passed.
    pub passed: usize,
    /// Those of them that have no observations and were only run: how many, and what was run.
    pub only_run: (usize, Ran),
    /// The first failures: scenario id, and what differed.
    pub failures: Vec<(String, String)>,
}

/// Replays a file (`.gz` is unpacked), keeping the first `keep` failures. A scenario that takes longer than `limit` has hung.
///
/// # Errors
/// A file that cannot be read, or a line that is no scenario; the message names file and line.
pub fn replay(path: &Path, keep: usize, limit: Duration) -> Result<Report> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let input: Box<dyn Read> = if path.extension().is_some_and(|e| e == "gz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut report = Report::default();
    for (number, line) in (1..).zip(BufReader::new(input).lines()) {
        let place = || format!("{}:{number}", path.display());
        let line = line.with_context(place)?;
        if line.trim().is_empty() {
            continue;
        }
        let scenario: Arc<Scenario> = match serde_json::from_str(&line) {
            Ok(scenario) => Arc::new(scenario),
            Err(e) => bail!("{}: not a scenario: {e}", place()),
        };
        report.total += 1;
        let failure = match watched(&scenario, limit) {
            Ok(Ok(ran)) => {
                report.passed += 1;
                if scenario.expect.is_none() {
                    report.only_run.0 += 1;
                    report.only_run.1.ops += ran.ops;
                    report.only_run.1.skipped += ran.skipped;
                }
                continue;
            }
            Ok(Err(failure)) => failure,
            Err(e) => bail!("{}: scenario {}: {e}", place(), scenario.id),
        };
        if report.failures.len() < keep {
            report.failures.push((scenario.id.clone(), failure));
        }
    }
    if report.total == 0 {
        bail!("{}: no scenarios in it", path.display());
    }
    Ok(report)
}

/// Runs a scenario for at most `limit`; returns what it came to, or the failure in words.
fn watched(scenario: &Arc<Scenario>, limit: Duration) -> Result<Result<Ran, String>, String> {
    let at = Arc::new(AtomicUsize::new(0));
    let outcome = {
        let (scenario, at) = (scenario.clone(), at.clone());
        within(limit, move || match catch_unwind(AssertUnwindSafe(|| run(&scenario, &at))) {
            Ok(outcome) => outcome.map(|o| o.map_err(|mismatch: Mismatch| mismatch.to_string())),
            Err(panic) => Ok(Err(format!("panicked: {}", panic_text(&panic)))),
        })
    };
    outcome.unwrap_or_else(|| {
        let op = at.load(Relaxed);
        let what = scenario.ops.get(op).map_or_else(|| "the end".into(), |op| format!("{op:?}"));
        Ok(Err(format!("op {op}: {what}\n    hung: not over after {} s", limit.as_secs_f64())))
    })
}

/// Returns what `f` returns, or `None` if that takes longer than `limit`; its thread is left behind then.
fn within<R: Send + 'static>(limit: Duration, f: impl FnOnce() -> R + Send + 'static) -> Option<R> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        // Nobody listens any more if it took too long.
        let _ = send.send(f());
    });
    receive.recv_timeout(limit).ok()
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (_, Some(text)) => (*text).into(),
        _ => "without a message".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_left_behind() {
        assert_eq!(within(Duration::from_secs(60), || 7), Some(7));
        let started = std::time::Instant::now();
        let never = || loop {
            thread::park();
        };
        assert_eq!(within::<()>(Duration::from_millis(20), never), None);
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
