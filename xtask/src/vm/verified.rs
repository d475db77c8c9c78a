//! `cargo xtask verified`: the matrix in docs/verified.md, from the reports of runs.
//!
//! Rows are the suite's areas, columns the ways in which the driver was run. Nothing in the table is written by hand.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::artifacts;
use crate::root;
use ddi_vm::report::{Case, Outcome, RunReport, Suite};

const BEGIN: &str = "<!-- matrix: written by cargo xtask verified -->";
const END: &str = "<!-- end of matrix -->";
const OMNIOS: &str = "cargo xtask vm test --guest omnios --image FILE && cargo xtask verified";

/// Write the matrix in docs/verified.md from the reports of runs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// `usr-tests --json` with the driver linked into ddi-host (default: target/verified/linked.json).
    #[arg(long, value_name = "FILE")]
    linked: Option<PathBuf>,
    /// `usr-tests --json` with the module file (default: target/verified/module.json).
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    /// `usr-tests --json` with the module that has a framework of its own (default: target/verified/own.json).
    #[arg(long, value_name = "FILE")]
    own: Option<PathBuf>,
    /// report.json of the Linux guest (default: the latest run's).
    #[arg(long, value_name = "FILE")]
    linux: Option<PathBuf>,
    /// report.json of an OmniOS guest (default: the latest run's, if there is one).
    #[arg(long, value_name = "FILE")]
    omnios: Option<PathBuf>,
    /// The document (default: docs/verified.md).
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// One way of running the driver.
#[derive(Debug)]
struct Column {
    title: String,
    how: String,
    /// None: not run here, with the command that does.
    suite: Option<Suite>,
}

/// Reads the reports and writes the matrix.
pub fn run(args: &Args) -> Result<ExitCode> {
    let local = |file: &Option<PathBuf>, name: &str| {
        file.clone().unwrap_or_else(|| artifacts::target_dir().join("verified").join(name))
    };
    let mut columns = vec![
        single(
            "linked in",
            "ddi-host run --driver ctxdev -- usr-tests --json",
            &local(&args.linked, "linked.json"),
        )?,
        single(
            "module file",
            "ddi-host run --driver target/module/ctxdev -- usr-tests --json",
            &local(&args.module, "module.json"),
        )?,
        single(
            "module file with its own framework",
            "ddi-host run --driver target/module/ctxdev-own,name=ctxdev -- usr-tests --json",
            &local(&args.own, "own.json"),
        )?,
    ];
    let linux = args
        .linux
        .clone()
        .or_else(|| latest("ctxdev-linux"))
        .context("no run of the Linux guest: cargo xtask vm test --guest linux")?;
    columns.extend(guest("module in the Linux guest", "cargo xtask vm test --guest linux", &linux)?);
    match args.omnios.clone().or_else(|| latest("ctxdev-omnios")) {
        Some(file) => columns.extend(guest("module in OmniOS", OMNIOS, &file)?),
        None => columns.push(Column { title: "module in OmniOS".into(), how: OMNIOS.into(), suite: None }),
    }
    let output = args.output.clone().unwrap_or_else(|| root().join("docs/verified.md"));
    let text = std::fs::read_to_string(&output).with_context(|| format!("reading {}", output.display()))?;
    let new = replace(&text, &matrix(&columns)).with_context(|| output.display().to_string())?;
    std::fs::write(&output, new)?;
    println!("{}: {} columns", output.display(), columns.len());
    Ok(ExitCode::SUCCESS)
}

fn single(title: &str, how: &str, file: &Path) -> Result<Column> {
    let text = std::fs::read_to_string(file).with_context(|| {
        format!("no report {}: cargo run --release --bin {how} >{}", file.display(), file.display())
    })?;
    // Messages of ddi-host may come first.
    let json = text.find("{\"device\"").map_or("", |start| &text[start..]);
    let mut documents = serde_json::Deserializer::from_str(json).into_iter::<Suite>();
    let suite = documents
        .next()
        .with_context(|| format!("{} is not a report of usr-tests --json", file.display()))?;
    let suite = suite.with_context(|| format!("{}", file.display()))?;
    Ok(Column { title: title.into(), how: how.into(), suite: Some(suite) })
}

/// One column for each device of a guest.
fn guest(title: &str, how: &str, file: &Path) -> Result<Vec<Column>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let report: RunReport = serde_json::from_str(&text).with_context(|| format!("{}", file.display()))?;
    if let Some(failure) = report.failure {
        bail!("the run of {} ended early ({failure}): there is nothing to verify in it", file.display());
    }
    let several = report.suites.len() > 1;
    Ok(report
        .suites
        .into_iter()
        .map(|suite| Column {
            title: if several { format!("{title}, {}", suite.device) } else { title.to_owned() },
            how: format!("{how} ({}, {:.0} s)", report.accel, report.seconds),
            suite: Some(suite),
        })
        .collect())
}

/// The report of the latest run of a driver in a guest that came to its end.
fn latest(run: &str) -> Option<PathBuf> {
    let prefix = format!("{run}-");
    let mut reports: Vec<PathBuf> = std::fs::read_dir(artifacts::places().runs)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path().join("report.json"))
        .filter(|report| report.is_file())
        .collect();
    reports.sort();
    reports.pop()
}

fn matrix(columns: &[Column]) -> String {
    let mut areas: BTreeMap<&str, Vec<Counts>> = BTreeMap::new();
    for (index, column) in columns.iter().enumerate() {
        for case in column.suite.iter().flat_map(|suite| &suite.cases) {
            let area = case.name.split(':').next().unwrap_or(&case.name);
            areas.entry(area).or_insert_with(|| vec![Counts::default(); columns.len()])[index].add(case);
        }
    }
    let mut text = String::from(
        "Passed, and (failed, skipped) where there are any; skips have their reasons below.\n\n| area |",
    );
    for column in columns {
        let _ = write!(text, " {} |", column.title);
    }
    let _ = write!(text, "\n| --- |{}\n", " ---: |".repeat(columns.len()));
    let mut totals = vec![Counts::default(); columns.len()];
    for (area, counts) in &areas {
        let _ = write!(text, "| {area} |");
        for (index, count) in counts.iter().enumerate() {
            totals[index].merge(count);
            let _ = write!(text, " {} |", count.text(columns[index].suite.is_some()));
        }
        text.push('\n');
    }
    text.push_str("| **all** |");
    for (index, total) in totals.iter().enumerate() {
        let _ = write!(text, " **{}** |", total.text(columns[index].suite.is_some()));
    }
    text.push_str("\n\n");
    for column in columns {
        let state = if column.suite.is_some() { "" } else { "not run here; this fills it: " };
        let _ = writeln!(text, "- {}: {state}`{}`", column.title, column.how);
    }
    let mut reasons: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for column in columns {
        for case in
            column.suite.iter().flat_map(|suite| &suite.cases).filter(|case| case.outcome != Outcome::Pass)
        {
            let titles = reasons.entry((&case.name, case.message.lines().next().unwrap_or(""))).or_default();
            titles.push(&column.title);
        }
    }
    if !reasons.is_empty() {
        text.push_str("\nNot passed:\n\n");
        for ((name, why), titles) in reasons {
            let _ = writeln!(text, "- `{name}`: {why} ({})", titles.join("; "));
        }
    }
    text
}

#[derive(Debug, Clone, Default)]
struct Counts {
    pass: usize,
    bad: usize,
    skip: usize,
}

impl Counts {
    fn add(&mut self, case: &Case) {
        match case.outcome {
            Outcome::Pass => self.pass += 1,
            Outcome::Skip => self.skip += 1,
            Outcome::Fail | Outcome::Error => self.bad += 1,
        }
    }

    fn merge(&mut self, other: &Counts) {
        self.pass += other.pass;
        self.bad += other.bad;
        self.skip += other.skip;
    }

    fn text(&self, was_run: bool) -> String {
        match (was_run, self.bad, self.skip) {
            (false, ..) => "not run here".to_owned(),
            (true, 0, 0) if self.pass == 0 => "left out".to_owned(),
            (true, 0, 0) => self.pass.to_string(),
            (true, bad, skip) => format!("{} ({bad}, {skip})", self.pass),
        }
    }
}

/// `text` with what is between the markers replaced.
fn replace(text: &str, matrix: &str) -> Result<String> {
    let (Some(begin), Some(end)) = (text.find(BEGIN), text.find(END)) else {
        bail!("the document needs the two markers\n{BEGIN}\n{END}");
    };
    if end < begin {
        bail!("the document's markers are in the wrong order");
    }
    Ok(format!("{}\n{matrix}{}", &text[..begin + BEGIN.len()], &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(cases: &[(&str, Outcome, &str)]) -> Suite {
        let case = |&(name, outcome, message): &(&str, Outcome, &str)| Case {
            name: name.into(),
            outcome,
            message: message.into(),
            seconds: 0.0,
        };
        Suite::new("/dev/ctxdev0", cases.iter().map(case).collect())
    }

    fn columns() -> Vec<Column> {
        let all = [
            ("map:a", Outcome::Pass, ""),
            ("map:b", Outcome::Pass, ""),
            ("fork:a", Outcome::Skip, "no vfork"),
        ];
        vec![
            Column { title: "linked in".into(), how: "run it".into(), suite: Some(suite(&all)) },
            Column { title: "module in OmniOS".into(), how: OMNIOS.into(), suite: None },
        ]
    }

    #[test]
    fn areas_are_counted_and_what_was_not_run_says_so() {
        let text = matrix(&columns());
        assert!(text.contains("| map | 2 | not run here |\n"), "{text}");
        assert!(text.contains("| fork | 0 (0, 1) | not run here |\n"), "{text}");
        assert!(text.contains("| **all** | **2 (0, 1)** | **not run here** |\n"), "{text}");
        assert!(text.contains(&format!("not run here; this fills it: `{OMNIOS}`")), "{text}");
        assert!(text.contains("- `fork:a`: no vfork (linked in)\n"), "{text}");
    }

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let text = format!("# Verified\n\nbefore\n{BEGIN}\nold\n{END}\nafter\n");
        let new = replace(&text, "new\n").unwrap();
        assert_eq!(new, format!("# Verified\n\nbefore\n{BEGIN}\nnew\n{END}\nafter\n"));
        assert_eq!(replace(&new, "new\n").unwrap(), new);
        assert!(replace("no markers", "new\n").is_err());
    }

    #[test]
    fn reports_are_read_after_other_output_and_early_ends_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("linked.json");
        let json = serde_json::to_string(&suite(&[("map:a", Outcome::Pass, "")])).unwrap();
        std::fs::write(&file, format!("ddi-host: ctxdev0 attached\n{json}\nddi-host: detached\n")).unwrap();
        assert_eq!(single("linked in", "", &file).unwrap().suite.unwrap().pass, 1);
        let failed = RunReport { failure: Some("the guest hangs".into()), ..RunReport::default() };
        std::fs::write(&file, serde_json::to_string(&failed).unwrap()).unwrap();
        assert!(guest("x", "y", &file).unwrap_err().to_string().contains("the guest hangs"));
    }
}
