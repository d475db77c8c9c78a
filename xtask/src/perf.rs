//! `cargo xtask perf`: what segdev costs, beside the reference.
//!
//! Builds `segdev-bench` as one optimised object, counts its instructions under callgrind (only those of the operations themselves,
//! with everything they call), measures nanoseconds in a run of its own, and compares. Draws how the costs grow into
//! docs/perf.
//!
//! Exit status 1 when a workload costs more than the reference, or something grows that must stay flat.

mod chart;
mod measure;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use chart::{Chart, Series};
use measure::{Costs, Memory};

/// Options of `cargo xtask perf`.
#[derive(clap::Args)]
pub struct Args {
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Where the curves are drawn.
    #[arg(long, default_value = "docs/perf")]
    out: PathBuf,
    /// Draw nothing.
    #[arg(long)]
    no_charts: bool,
}

/// The reference's costs: workload, instructions, nanoseconds.
const REFERENCE: &str = include_str!("../../segdev/bench/reference.tsv");

/// A workload of the reference's table with both costs.
struct Row {
    workload: &'static str,
    reference: f64,
    reference_ns: f64,
    costs: Costs,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.costs.instructions / self.reference
    }
}

/// Something that must hold.
struct Check {
    what: String,
    value: f64,
    limit: f64,
}

impl Check {
    fn holds(&self) -> bool {
        self.value <= self.limit
    }
}

/// How a cost grows with a size.
struct Curve {
    name: &'static str,
    title: &'static str,
    size: &'static str,
    /// How much the dearest point may cost, compared with the first.
    limit: f64,
    /// The reference's points.
    reference: &'static [(f64, &'static str)],
}

const CURVES: [Curve; 5] = [
    Curve {
        name: "fault-by-handles",
        title: "A fault, by handles in the segment",
        size: "handles in the segment",
        limit: 1.3,
        reference: &[
            (1.0, "W1 single-page fault, 1 handle, umem, access default"),
            (64.0, "W2 single-page fault, 64 handles, umem, access default"),
            (1024.0, "W2 single-page fault, 1024 handles, umem, access default"),
        ],
    },
    Curve {
        name: "map-by-mappings",
        title: "mmap and munmap, by other mappings of the device",
        size: "other mappings of the same device",
        limit: 1.1,
        reference: &[
            (0.0, "W4 mmap+munmap, 0 others live on the same device, callbacks"),
            (1000.0, "W4 mmap+munmap, 1000 others live on the same device, callbacks"),
            (10000.0, "W4 mmap+munmap, 10000 others live on the same device, callbacks"),
        ],
    },
    Curve {
        name: "map-by-devices",
        title: "mmap and munmap, by other devices that are mapped",
        size: "other devices mapped",
        limit: 1.1,
        reference: &[
            (0.0, "W4 mmap+munmap, 0 others live on the same device, callbacks"),
            (1000.0, "W4 mmap+munmap, 1000 others live, each on its own device, callbacks"),
            (10000.0, "W4 mmap+munmap, 10000 others live, each on its own device, callbacks"),
        ],
    },
    Curve {
        name: "switch-by-mappings",
        title: "A context switch, by mappings that take turns",
        size: "mappings that take turns",
        limit: 1.1,
        reference: &[
            (2.0, "W3 ctx_last ping-pong, 2 mappings"),
            (8.0, "W3 ctx_last ping-pong, 8 mappings"),
            (64.0, "W3 ctx_last ping-pong, 64 mappings"),
        ],
    },
    Curve {
        name: "load-by-pages",
        title: "Loading contiguous kernel memory, by pages",
        size: "pages",
        limit: 1.1,
        reference: &[(1024.0, "W6 devmap_load of 1024 umem pages")],
    },
];

/// Bytes of one live mapping in the reference.
const REFERENCE_BYTES: u64 = 272;

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let measured = measure::measure()?;
    let rows = rows(&measured.costs)?;
    let mut checks: Vec<Check> =
        rows.iter().map(|row| Check { what: row.workload.into(), value: row.ratio(), limit: 1.0 }).collect();
    let curves = curves(&measured.costs)?;
    for (curve, points) in &curves {
        let first = points.first().map_or(1.0, |p| p.1);
        let dearest = points.iter().map(|p| p.1).fold(0.0, f64::max);
        checks.push(Check {
            what: format!("{}: the dearest point over the first", curve.title),
            value: dearest / first,
            limit: curve.limit,
        });
    }
    let load = rows.iter().find(|r| r.workload.starts_with("W6") && r.workload.ends_with("umem pages"));
    if let Some(load) = load {
        let what = |what| format!("loading 1024 contiguous pages of kernel memory: {what}");
        checks.push(Check { what: what("instructions"), value: load.costs.instructions, limit: 1000.0 });
        checks.push(Check { what: what("platform calls"), value: load.costs.hat, limit: 8.0 });
    }
    checks.push(Check {
        what: "bytes for a live mapping".into(),
        value: measured.memory.mapping as f64,
        limit: REFERENCE_BYTES as f64,
    });

    if args.json {
        println!("{:#}", report(&rows, &curves, &checks, &measured.memory));
    } else {
        print(&rows, &curves, &checks, &measured.memory);
    }
    if !args.no_charts {
        draw(args, &curves)?;
    }
    Ok(if checks.iter().all(Check::holds) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn reference() -> impl Iterator<Item = (&'static str, f64, f64)> {
    REFERENCE.lines().filter(|l| !l.starts_with('#')).filter_map(|line| {
        let mut fields = line.split('\t');
        Some((fields.next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

fn rows(costs: &[Costs]) -> Result<Vec<Row>> {
    reference()
        .map(|(workload, reference, reference_ns)| {
            let costs = costs
                .iter()
                .find(|c| c.workload == workload)
                .with_context(|| format!("segdev-bench did not run the workload {workload:?}"))?
                .clone();
            Ok(Row { workload, reference, reference_ns, costs })
        })
        .collect()
}

type Points = Vec<(f64, f64)>;

fn curves(costs: &[Costs]) -> Result<Vec<(&'static Curve, Points)>> {
    CURVES
        .iter()
        .map(|curve| {
            let prefix = format!("curve {} ", curve.name);
            let points: Points = costs
                .iter()
                .filter_map(|c| Some((c.workload.strip_prefix(&prefix)?.parse().ok()?, c.instructions)))
                .collect();
            anyhow::ensure!(points.len() > 1, "segdev-bench did not run the curve {}", curve.name);
            Ok((curve, points))
        })
        .collect()
}

fn print(rows: &[Row], curves: &[(&Curve, Points)], checks: &[Check], memory: &Memory) {
    println!("Instructions for an operation, with everything it calls, beside the reference.");
    println!(
        "(alloc, lock, calls: allocations, lock acquisitions and translation calls; ns: the median of 15 batches,"
    );
    println!("the reference's from another machine.)\n");
    println!(
        "{:>10} {:>10} {:>6} {:>6} {:>6} {:>6} {:>9} {:>9}  workload",
        "segdev", "reference", "ratio", "alloc", "lock", "calls", "ns", "ref. ns"
    );
    for row in rows {
        let c = &row.costs;
        println!(
            "{:>10.0} {:>10.0} {:>6.2} {:>6.0} {:>6.0} {:>6.0} {:>9.1} {:>9.1}  {}",
            c.instructions,
            row.reference,
            row.ratio(),
            c.allocs,
            c.locks,
            c.hat,
            c.ns,
            row.reference_ns,
            row.workload
        );
    }
    println!("\nHow it grows (instructions):\n");
    for (curve, points) in curves {
        println!("  {}", curve.title);
        let points: Vec<String> = points.iter().map(|(n, cost)| format!("{n}: {cost:.0}")).collect();
        println!("    {}", points.join("   "));
    }
    println!(
        "\nBytes: a live mapping of one handle {}, the first on its device {}, one without access callback {} (reference: {REFERENCE_BYTES}, 376, {REFERENCE_BYTES})",
        memory.mapping, memory.first, memory.plain
    );
    let broken: Vec<&Check> = checks.iter().filter(|c| !c.holds()).collect();
    let worst = rows.iter().map(Row::ratio).fold(0.0, f64::max);
    println!("\n{} checks, {} failed; the highest ratio is {worst:.2}", checks.len(), broken.len());
    for check in broken {
        println!("FAILED: {}: {:.2}, may be {}", check.what, check.value, check.limit);
    }
}

fn report(rows: &[Row], curves: &[(&Curve, Points)], checks: &[Check], memory: &Memory) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let c = &row.costs;
            json!({"workload": row.workload, "instructions": c.instructions, "reference": row.reference,
                   "ratio": row.ratio(), "ns": c.ns, "ns_min": c.ns_min, "reference_ns": row.reference_ns,
                   "allocations": c.allocs, "locks": c.locks, "translation_calls": c.hat})
        })
        .collect();
    let curves: Vec<Value> = curves
        .iter()
        .map(|(curve, points)| json!({"name": curve.name, "size": curve.size, "instructions": points}))
        .collect();
    let checks: Vec<Value> = checks
        .iter()
        .map(|c| json!({"what": c.what, "value": c.value, "limit": c.limit, "ok": c.holds()}))
        .collect();
    json!({"workloads": rows, "curves": curves, "checks": checks,
           "bytes": {"mapping": memory.mapping, "first": memory.first, "plain": memory.plain, "reference": REFERENCE_BYTES}})
}

fn draw(args: &Args, curves: &[(&Curve, Points)]) -> Result<()> {
    let dir = if args.out.is_absolute() { args.out.clone() } else { crate::root().join(&args.out) };
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    for (curve, points) in curves {
        let known: Points = curve
            .reference
            .iter()
            .filter_map(|(n, workload)| Some((*n, reference().find(|r| r.0 == *workload)?.1)))
            .collect();
        let chart = Chart {
            title: curve.title,
            x: curve.size,
            y: "instructions",
            series: vec![
                Series { name: "segdev", colour: "#2a6fc4", points: points.clone() },
                Series { name: "reference", colour: "#c4492a", points: known },
            ],
        };
        let path = dir.join(format!("{}.svg", curve.name));
        std::fs::write(&path, chart.svg()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
