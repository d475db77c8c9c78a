//! Curves of what an operation costs, and how much memory the host occupies, beside up to a thousand processes with a hundred mappings each.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::chart::{Chart, Series};

/// A row of `ddi-host bench --scale --json`: microseconds, and mebibytes.
#[derive(Deserialize)]
struct Row {
    processes: f64,
    /// Not measured where faults are caught by signals.
    fault: Option<f64>,
    map: f64,
    fork: f64,
    memory: f64,
}

/// Measures beside up to `most` processes. Returns the pictures of the costs and of the memory.
pub fn draw(host: &Path, most: usize) -> Result<[String; 2]> {
    let output = Command::new(host)
        .args(["bench", "--scale", &most.to_string(), "--json"])
        .output()
        .with_context(|| format!("cannot run {}", host.display()))?;
    if !output.status.success() {
        bail!("the measurement failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8(output.stdout).context("what the measurement prints")?;
    let rows = text.lines().map(serde_json::from_str);
    let rows = rows.collect::<Result<Vec<Row>, _>>().context("what the measurement prints")?;
    let line = |of: fn(&Row) -> Option<f64>| -> Vec<(f64, f64)> {
        rows.iter().filter_map(|row| Some((row.processes, of(row)?))).collect()
    };
    let x = "processes that have mapped the device a hundred times each";
    let costs = Chart {
        title: "An operation beside other processes",
        x,
        y: "microseconds",
        series: vec![
            Series { name: "fault", colour: "a", points: line(|row| row.fault) },
            Series { name: "mmap, munmap", colour: "b", points: line(|row| Some(row.map)) },
            Series { name: "fork, exit", colour: "c", points: line(|row| Some(row.fork)) },
        ],
    };
    let memory = Chart {
        title: "The host's memory",
        x,
        y: "MiB",
        series: vec![Series { name: "resident", colour: "a", points: line(|row| Some(row.memory)) }],
    };
    Ok([costs.svg(), memory.svg()])
}
