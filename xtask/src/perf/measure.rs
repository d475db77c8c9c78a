//! Runs segdev-bench: under callgrind for instructions, by itself for time and memory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

/// What one operation of a workload costs.
#[derive(Clone, Default)]
pub struct Costs {
    /// Its name.
    pub workload: String,
    /// Instructions, with everything that is called.
    pub instructions: f64,
    /// Allocations.
    pub allocs: f64,
    /// Lock acquisitions.
    pub locks: f64,
    /// Calls that change translations.
    pub hat: f64,
    /// Nanoseconds: the median of 15 batches.
    pub ns: f64,
    /// The best batch.
    pub ns_min: f64,
}

/// Bytes that the framework asks for.
#[derive(Deserialize)]
pub struct Memory {
    /// For one more live mapping with callbacks.
    pub mapping: u64,
    /// For the first on its device.
    pub first: u64,
    /// For one without an access callback.
    pub plain: u64,
}

/// Everything measured.
pub struct Measured {
    /// By workload, in the order in which they ran.
    pub costs: Vec<Costs>,
    /// Memory.
    pub memory: Memory,
}

#[derive(Deserialize)]
struct Counted {
    workload: String,
    ops: f64,
    allocs: f64,
    locks: f64,
    hat: f64,
}

#[derive(Deserialize)]
struct Timed {
    workload: String,
    ns: f64,
    ns_min: f64,
}

/// Builds and runs the benchmark.
pub fn measure() -> Result<Measured> {
    let bench = build()?;
    let mut costs = count(&bench)?;
    for line in lines::<Timed>(&output(Command::new(&bench).arg("time"))?)? {
        if let Some(cost) = costs.iter_mut().find(|c| c.workload == line.workload) {
            (cost.ns, cost.ns_min) = (line.ns, line.ns_min);
        }
    }
    let memory = lines(&output(Command::new(&bench).arg("bytes"))?)?.pop();
    Ok(Measured { costs, memory: memory.context("segdev-bench printed no bytes")? })
}

/// Builds the benchmark; answers where it is.
fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let text = output(
        Command::new(cargo)
            .args(["build", "--profile", "perf", "-p", "segdev-bench", "--message-format", "json"])
            .current_dir(crate::root()),
    )?;
    text.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .find(|path| path.file_stem().is_some_and(|name| name == "segdev-bench"))
        .context("cargo built no segdev-bench")
}

fn count(bench: &Path) -> Result<Vec<Costs>> {
    let dir = tempfile::tempdir().context("cannot make a temporary directory")?;
    let out = dir.path().join("out");
    let text = output(
        Command::new("valgrind")
            .args(["-q", "--tool=callgrind", "--collect-atstart=no"])
            .args(["--toggle-collect=*measured_ops*", "--dump-after=*end_of_workload*"])
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(bench)
            .arg("count"),
    )
    .context("valgrind counts the instructions; install it if it is missing (apt-get install valgrind)")?;
    (1..)
        .zip(lines::<Counted>(&text)?)
        .map(|(i, line)| {
            let path = dir.path().join(format!("out.{i}"));
            let instructions = summary(&path)?;
            ensure!(instructions > 0, "callgrind saw nothing of {:?}", line.workload);
            Ok(Costs {
                workload: line.workload,
                instructions: instructions as f64 / line.ops,
                allocs: line.allocs,
                locks: line.locks,
                hat: line.hat,
                ..Costs::default()
            })
        })
        .collect()
}

/// The sum of a callgrind dump.
fn summary(path: &Path) -> Result<u64> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("callgrind wrote no {}", path.display()))?;
    text.lines()
        .find_map(|line| line.strip_prefix("summary: ").or_else(|| line.strip_prefix("totals: ")))
        .and_then(|sum| sum.trim().parse().ok())
        .with_context(|| format!("no sum in {}", path.display()))
}

fn lines<T: for<'de> Deserialize<'de>>(text: &str) -> Result<Vec<T>> {
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("segdev-bench printed {line:?}")))
        .collect()
}

fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {name}"))?;
    if !out.status.success() {
        bail!("{name} failed: {}", out.status);
    }
    String::from_utf8(out.stdout).with_context(|| format!("{name} printed no text"))
}
