//! Whole corpus files, plain or gzipped.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::run::{Mismatch, run};
use crate::scenario::Scenario;

/// How one file fared.
pub struct Report {
    /// Scenarios in it.
    pub total: usize,
    /// Those that passed.
    pub passed: usize,
    /// The first failures: scenario id, and what differed.
    pub failures: Vec<(String, String)>,
}

/// Replays a file (`.gz` is unpacked), keeping the first `keep` failures.
///
/// # Errors
/// A file that cannot be read, or a line that is no scenario; the message names file and line.
pub fn replay(path: &Path, keep: usize) -> Result<Report> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let input: Box<dyn Read> = if path.extension().is_some_and(|e| e == "gz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut report = Report { total: 0, passed: 0, failures: Vec::new() };
    for (number, line) in (1..).zip(BufReader::new(input).lines()) {
        let place = || format!("{}:{number}", path.display());
        let line = line.with_context(place)?;
        if line.trim().is_empty() {
            continue;
        }
        let scenario: Scenario = match serde_json::from_str(&line) {
            Ok(scenario) => scenario,
            Err(e) => bail!("{}: not a scenario: {e}", place()),
        };
        report.total += 1;
        let failure = match catch_unwind(AssertUnwindSafe(|| run(&scenario))) {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(mismatch))) => Some(text(&mismatch)),
            Ok(Err(e)) => bail!("{}: scenario {}: {e}", place(), scenario.id),
            Err(panic) => Some(format!("panicked: {}", panic_text(&panic))),
        };
        match failure {
            None => report.passed += 1,
            Some(failure) if report.failures.len() < keep => report.failures.push((scenario.id, failure)),
            Some(_) => {}
        }
    }
    if report.total == 0 {
        bail!("{}: no scenarios in it", path.display());
    }
    Ok(report)
}

fn text(mismatch: &Mismatch) -> String {
    mismatch.to_string()
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (_, Some(text)) => (*text).into(),
        _ => "without a message".into(),
    }
}
