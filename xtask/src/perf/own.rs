//! A driver on `devmap` in a module with a framework of its own, beside its twin in C on the reference: layer and framework together.
//!
//! Both over the same stub kernel. What is compared is all that an operation executes, the stub kernel's functions included, for the two ask it for different things; of the C side that is what
//! the reference's table has for the workload, and the twin's own code. (What the stub kernel does for the twin is left out, to its advantage.)

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::reference::{SLACK, reference};
use super::{build, layer, measure};

/// Highest cost of an operation, C on the reference being 1.
const GOAL: f64 = 0.9;
/// Pair, operation, and the reference's workload.
const OPERATIONS: [(&str, &str, &str); 4] = [
    ("notice", "fault", "W1 single-page fault, 1 handle, umem, access default"),
    ("notice", "mmap+munmap", "W4 mmap+munmap, 0 others live on the same device, callbacks"),
    ("notice", "fork+exit, 1 mappings", "W5 fork+exit, 1 segments, callbacks"),
    ("turns", "fault, two mappings in turn", "W3 ctx_last ping-pong, 2 mappings"),
];

const UMEM: &str = "W1 single-page fault, 1 handle, umem, access default";
const DEVMEM: &str = "W1 single-page fault, 1 handle, devmem, access default";

/// Costs above the goal so far: pair, operation, instructions.
const ABOVE: &str = include_str!("../../../segdev/bench/own-above.tsv");

/// An operation.
pub struct Row {
    pair: &'static str,
    operation: &'static str,
    rust: f64,
    reference: f64,
    twin: f64,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.rust / (self.reference + self.twin)
    }

    pub fn holds(&self) -> bool {
        let above = ABOVE.lines().find_map(|line| {
            let (what, cost) = line.rsplit_once('\t')?;
            (what == format!("{}\t{}", self.pair, self.operation)).then(|| cost.parse::<f64>().ok())?
        });
        self.ratio() <= GOAL || above.is_some_and(|cost| self.rust <= cost * SLACK)
    }
}

/// Measures. `pairs` has what the twins cost.
pub fn rows(dir: &Path, pairs: &[layer::Row]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for pair in layer::PAIRS {
        let costs = measure::costs(&build::own(dir, pair)?)?;
        for (of, operation, workload) in OPERATIONS.into_iter().filter(|(of, ..)| *of == pair) {
            let cost =
                costs.iter().find(|cost| cost.workload == operation).context("an operation did not run")?;
            let twin = pairs
                .iter()
                .find_map(|row| row.twin(of, operation))
                .context("the twin has no such operation")?;
            let cost_of = |workload| {
                Ok::<_, anyhow::Error>(
                    reference().find(|row| row.workload == workload).context("no such workload")?.all,
                )
            };
            // The reference switches mappings of device memory, the pair some of kernel memory, whose pages are looked up.
            let lookup = if workload.starts_with("W3") { cost_of(UMEM)? - cost_of(DEVMEM)? } else { 0.0 };
            let reference = cost_of(workload)? + lookup;
            rows.push(Row { pair, operation, rust: cost.all, reference, twin });
        }
    }
    Ok(rows)
}

/// The operations as a table.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| driver | operation | Rust, own framework | reference | C | ratio | goal |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        let Row { pair, operation, rust, reference, twin } = row;
        let _ = writeln!(
            text,
            "| {pair} | {operation} | {rust:.0} | {reference:.0} | {twin:.0} | {:.2} | {GOAL} |",
            row.ratio()
        );
    }
    text
}

/// Costs above their goals, for segdev/bench/own-above.tsv.
pub fn above(rows: &[Row]) -> String {
    let over = rows.iter().filter(|row| row.ratio() > GOAL);
    over.map(|row| format!("{}\t{}\t{:.0}\n", row.pair, row.operation, row.rust.ceil())).collect()
}

/// Prints the table, and what is dearer than it may be. Returns whether nothing is.
pub fn print(rows: &[Row]) -> bool {
    println!(
        "\nInstructions of an operation, all included: a driver with its own framework; the reference, and the driver in C:\n"
    );
    for row in rows {
        println!(
            "{:>8.0} {:>8.0} {:>8.0} {:>6.2}  {}: {}",
            row.rust,
            row.reference,
            row.twin,
            row.ratio(),
            row.pair,
            row.operation
        );
    }
    println!("\nthe goal is {GOAL}");
    for row in rows.iter().filter(|row| !row.holds()) {
        println!(
            "FAILED: {}: {} with its own framework: {:.2}, may be {GOAL}",
            row.pair,
            row.operation,
            row.ratio()
        );
    }
    rows.iter().all(Row::holds)
}
