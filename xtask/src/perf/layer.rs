//! The layer's part: a driver on `devmap` beside its twin in C, over the same stub kernel and a framework that only calls the driver.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::build;
use super::measure::{self, Costs};
use super::reference::{SLACK, reference};

/// How much more than C an operation of a driver may cost.
const GOAL: f64 = 1.05;
/// The same for those that the layer has no part in.
const EVEN: f64 = 1.0;
/// Operations of which more than [`EVEN`] is too much.
const PLAIN: [&str; 3] = ["fault", "fault and revoke, 1 of 100 loaded", "ioctl"];

/// Most that the whole operation may cost, C's being 1.
const WHOLE: f64 = 1.05;

/// Drivers that have a twin.
pub const PAIRS: [&str; 2] = ["notice", "turns"];

/// Costs of DDI calls on an illumos kernel, in instructions: an allocation and its free, taking a mutex and giving it back, mutex_init(9F) and mutex_destroy(9F).
const ALLOCATION: f64 = 152.0;
const LOCK: f64 = 15.0;
const MUTEX: f64 = 31.0;

/// So many times a workload of the reference's.
type Times = (f64, &'static str);

const FAULT: Times = (1.0, "W1 single-page fault, 1 handle, umem, access default");
const MAP: Times = (1.0, "W4 mmap+munmap, 0 others live on the same device, callbacks");

/// The reference's workloads that operations of the drivers are made of there, and how often; pair, or none for both. Others have no such workload, or the framework has no part in them.
const FRAMEWORK: [(&str, &str, &[Times]); 9] = [
    ("notice", "fault", &[FAULT]),
    ("notice", "fault, two mappings in turn", &[FAULT]),
    ("notice", "fault and revoke, 1 of 100 loaded", &[FAULT, (1.0, "W8 devmap_unload of 1024 umem pages")]),
    // The reference switches mappings of device memory, the pair some of kernel memory, whose pages are looked up.
    (
        "turns",
        "fault, two mappings in turn",
        &[
            (1.0, "W3 ctx_last ping-pong, 2 mappings"),
            FAULT,
            (-1.0, "W1 single-page fault, 1 handle, devmem, access default"),
        ],
    ),
    ("", "mmap+munmap", &[MAP]),
    ("notice", "mmap+touch+munmap", &[MAP, FAULT]),
    ("", "munmap of a middle", &[(1.0, "W7 middle munmap splitting one umem handle, callbacks")]),
    ("", "fork+exit, 1 mappings", &[(1.0, "W5 fork+exit, 1 segments, callbacks")]),
    ("", "fork+exit, 100 mappings", &[(1.0, "W5 fork+exit, 100 segments, callbacks")]),
];

/// The row that is no operation.
const BYTES: &str = "bytes of a live mapping";
/// Bytes that the kernel's framework allocates for a mapping of one handle, measured on an illumos kernel.
const FRAMEWORK_BYTES: f64 = 392.0;

/// Estimate of the framework's part of an operation, in instructions.
fn framework(pair: &str, operation: &str) -> Option<f64> {
    if operation == BYTES {
        return Some(FRAMEWORK_BYTES);
    }
    let (.., parts) =
        FRAMEWORK.into_iter().find(|(of, what, _)| (of.is_empty() || *of == pair) && *what == operation)?;
    let cost = |&(times, workload): &Times| {
        let row = reference().find(|row| row.workload == workload)?;
        Some(times * (row.instructions + row.allocs * ALLOCATION + row.locks * LOCK))
    };
    parts.iter().map(cost).sum()
}

/// Costs above the goal so far: pair, operation, instructions.
const ABOVE: &str = include_str!("../../../segdev/bench/layer-above.tsv");

/// An operation of both drivers.
pub struct Row {
    pair: &'static str,
    rust: Costs,
    c: Costs,
    /// Highest number of instructions that is allowed.
    limit: f64,
    goal: f64,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.rust.instructions / self.c.instructions
    }

    /// Estimate of the whole operation, of both: the driver's instructions, its calls, and the framework's part.
    fn whole(&self) -> Option<(f64, f64)> {
        let framework = framework(self.pair, &self.rust.workload)?;
        let cost = |of: &Costs| {
            of.instructions + of.allocs * ALLOCATION + of.locks * LOCK + of.mutexes * MUTEX + framework
        };
        Some((cost(&self.rust), cost(&self.c)))
    }

    /// Cost of the operation for the twin, if it is that of this pair.
    pub fn twin(&self, pair: &str, operation: &str) -> Option<f64> {
        (self.pair == pair && self.rust.workload == operation).then_some(self.c.instructions)
    }

    /// The same as a ratio; 1 where it is not known.
    fn whole_ratio(&self) -> f64 {
        self.whole().map_or(1.0, |(rust, c)| rust / c)
    }

    pub fn holds(&self) -> bool {
        self.rust.instructions <= self.limit && self.whole_ratio() <= WHOLE
    }
}

/// Runs the pairs of drivers.
pub fn rows(dir: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for pair in PAIRS {
        let (rust, c) = (build::layer(dir, pair)?, build::twin(dir, pair)?);
        let mut twins = measure::costs(&c)?;
        let mut costs = measure::costs(&rust)?;
        let bytes = |program| -> Result<Costs> {
            let bytes = measure::memory(program)?.mapping as f64;
            Ok(Costs { workload: BYTES.into(), instructions: bytes, ..Costs::default() })
        };
        costs.push(bytes(&rust)?);
        twins.push(bytes(&c)?);
        for rust in costs {
            let name = rust.workload.clone();
            let c = twins.iter().find(|c| c.workload == name).context("the twin has other operations")?;
            let goal = if PLAIN.contains(&&*name) { EVEN } else { GOAL };
            let above = ABOVE.lines().find_map(|line| {
                let (what, cost) = line.rsplit_once('\t')?;
                (what == format!("{pair}\t{name}")).then(|| cost.parse::<f64>().ok())?
            });
            let limit = (c.instructions * goal).max(above.map_or(0.0, |cost| cost * SLACK));
            rows.push(Row { pair, rust, c: c.clone(), limit, goal });
        }
    }
    Ok(rows)
}

/// The operations of one pair as a table.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| driver | operation | Rust | C | ratio | goal | alloc | lock | locked instructions | probes | whole |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        let both = |rust: f64, c: f64| format!("{rust:.0}/{c:.0}");
        let whole = row.whole().map(|(rust, c)| format!("{rust:.0}/{c:.0}: {:.2}", rust / c));
        let _ = writeln!(
            text,
            "| {} | {} | {:.0} | {:.0} | {:.2} | {:.2} | {} | {} | {} | {:.0} | {} |",
            row.pair,
            row.rust.workload,
            row.rust.instructions,
            row.c.instructions,
            row.ratio(),
            row.goal,
            both(row.rust.allocs, row.c.allocs),
            both(row.rust.locks, row.c.locks),
            both(row.rust.locked, row.c.locked),
            row.rust.probes,
            whole.unwrap_or_default()
        );
    }
    text
}

/// Costs above their goals, for segdev/bench/layer-above.tsv.
pub fn above(rows: &[Row]) -> String {
    let over = rows.iter().filter(|row| row.ratio() > row.goal);
    over.map(|row| format!("{}\t{}\t{:.0}\n", row.pair, row.rust.workload, row.rust.instructions.ceil()))
        .collect()
}

/// Prints the table, and what is dearer than it may be. Returns whether nothing is.
pub fn print(rows: &[Row]) -> bool {
    println!(
        "\nInstructions of a driver's own code for an operation, on devmap and in C (with allocations, locks, locked instructions, and the estimated ratio of the whole):\n"
    );
    for row in rows {
        println!(
            "{:>8.0} {:>8.0} {:>6.2} {:>7} {:>7} {:>7} {:>6}  {}: {}",
            row.rust.instructions,
            row.c.instructions,
            row.ratio(),
            format!("{:.0}/{:.0}", row.rust.allocs, row.c.allocs),
            format!("{:.0}/{:.0}", row.rust.locks, row.c.locks),
            format!("{:.0}/{:.0}", row.rust.locked, row.c.locked),
            row.whole().map_or_else(String::new, |(rust, c)| format!("{:.3}", rust / c)),
            row.pair,
            row.rust.workload
        );
    }
    let over = rows.iter().filter(|row| row.ratio() > row.goal).count();
    let dear = rows.iter().filter(|row| row.whole_ratio() > WHOLE).count();
    println!("\n{over} of {} are above their goal, {dear} above {WHOLE} as a whole", rows.len());
    for row in rows.iter().filter(|row| !row.holds()) {
        println!(
            "FAILED: {}: {}: {:.0}, may be {:.0}; the whole is {:.3} of C's, may be {WHOLE}",
            row.pair,
            row.rust.workload,
            row.rust.instructions,
            row.limit,
            row.whole_ratio()
        );
    }
    rows.iter().all(Row::holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frameworks_part_is_made_of_workloads_that_there_are() {
        for (pair, operation, _) in FRAMEWORK {
            let pair = if pair.is_empty() { PAIRS[0] } else { pair };
            assert!(framework(pair, operation).is_some_and(|cost| cost > 0.0), "{pair}: {operation}");
        }
        assert_eq!(framework("turns", BYTES), Some(FRAMEWORK_BYTES));
        assert_eq!(framework("turns", "fault"), None, "the reference has no owner that faults");
        // 381 instructions, and three locks.
        assert_eq!(framework("notice", "fault"), Some(381.0 + 3.0 * LOCK));
    }
}
