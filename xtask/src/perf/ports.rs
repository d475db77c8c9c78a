//! Costs of Linux's mapping model (devmap/ports) beside plain devmap: `cargo xtask perf --ports`.
//!
//! Two drivers that do the same (notice, and xtask/fixtures/notice-linux) as modules over the same stub kernel and a framework that only calls the driver; an operation's cost is what that gives and what
//! the kernel's framework takes, from the reference's table.

use std::path::Path;

use anyhow::{Context, Result};

use super::reference::reference;
use super::{build, measure};

/// Highest cost of an operation, plain devmap being 1.
const GOAL: f64 = 1.2;
/// Costs above the goal so far: operation, instructions.
const ABOVE: &str = include_str!("../../../segdev/bench/ports-above.tsv");
/// The operations, and the reference's workload of each.
const OPERATIONS: [(&str, &str); 2] = [
    ("fault", "W1 single-page fault, 1 handle, umem, access default"),
    ("mmap+munmap", "W4 mmap+munmap, 0 others live on the same device, callbacks"),
];

/// Measures and prints. Returns whether nothing is above the goal.
pub fn run(dir: &Path) -> Result<bool> {
    let plain = measure::costs(&build::port(dir, "notice")?)?;
    let port = measure::costs(&build::port(dir, "notice-linux")?)?;
    println!(
        "\nInstructions of an operation: driver's own code on plain devmap, with ports::linux; framework; ratio of the whole.\n"
    );
    let mut good = true;
    for (operation, workload) in OPERATIONS {
        let of = |costs: &[measure::Costs]| {
            costs.iter().find(|cost| cost.workload == operation).map(|cost| cost.instructions)
        };
        let (plain, port) = of(&plain).zip(of(&port)).context("an operation did not run")?;
        let framework = reference().find(|row| row.workload == workload).context("no such workload")?.all;
        let ratio = (framework + port) / (framework + plain);
        println!("{plain:>8.0} {port:>8.0} {framework:>8.0} {ratio:>6.2}  {operation}");
        let mut above = ABOVE.lines().filter_map(|line| line.split_once('\t'));
        let above = above.find(|(name, _)| *name == operation).and_then(|(_, cost)| cost.parse::<f64>().ok());
        good &= ratio <= GOAL || above.is_some_and(|cost| port <= cost);
    }
    println!("\nthe goal is {GOAL}");
    if !good {
        println!("FAILED: ports::linux costs more than {GOAL} of plain devmap");
    }
    Ok(good)
}
