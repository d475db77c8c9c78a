//! `cargo xtask perf`: what a module's own framework costs, beside the reference.
//!
//! Links the framework, compiled as it is for modules, with a C driver and a stub kernel, counts the instructions of its code under
//! callgrind (of the operations themselves, without those of the driver and the kernel, as in the reference's table), measures nanoseconds in a run
//! of its own, and compares. Draws how the costs grow into docs/perf.
//!
//! Exit status 1 when a workload costs more than the reference, something grows that must stay flat, a mapping model costs more than it may beside plain devmap, or a
//! module is too large or its stack too deep. Workloads that do cost more so far are in segdev/bench/above.tsv, layer-above.tsv, own-above.tsv, ports-above.tsv and size-above.tsv, with what they cost: for them it is 1 when they cost more than that.

mod build;
mod layer;
mod measure;
mod own;
mod ports;
mod reference;
mod size;
mod stack;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::chart::{Chart, Series};
use measure::{Costs, Memory};
use reference::{Reference, SLACK, reference};

/// Options of `cargo xtask perf`.
#[derive(clap::Args)]
pub struct Args {
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// The directory for the curves.
    #[arg(long, default_value = "docs/perf")]
    out: PathBuf,
    /// Compare Linux's mapping model (devmap/ports) with plain devmap, and nothing else.
    #[arg(long)]
    ports: bool,
    /// Compare drivers with their twins in C, and nothing else.
    #[arg(long)]
    layer: bool,
    /// Print how large modules are, how deep their stacks, and what each thing that a driver does adds, and nothing else.
    #[arg(long)]
    sizes: bool,
    /// Build the programs that are measured in this directory, and leave them there.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Draw no curves.
    #[arg(long)]
    no_charts: bool,
    /// Write what costs more than the reference into segdev/bench/above.tsv, and the tables into docs/perf.
    #[arg(long)]
    write: bool,
}

/// What costs more than the reference so far, and how much.
const ABOVE: &str = include_str!("../../segdev/bench/above.tsv");

/// A workload of the reference's table with both costs.
struct Row {
    reference: Reference,
    costs: Costs,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.costs.instructions / self.reference.instructions
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
        // The kernel is asked for the page frame of each page.
        limit: f64::INFINITY,
        reference: &[(1024.0, "W6 devmap_load of 1024 umem pages")],
    },
];

/// The check of memory.
const BYTES: &str = "bytes for a live mapping";

/// Bytes of one live mapping in the reference.
const REFERENCE_BYTES: u64 = 272;

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    let dir = args.keep.as_deref().unwrap_or(scratch.path());
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    if args.sizes {
        let good = size::print(&size::rows(dir)?) & stack::print(&stack::rows(dir)?);
        println!("\n{}", size::features(dir)?);
        return Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(1) });
    }
    if args.ports || args.layer {
        let even = !args.layer || beside_c(dir)?;
        let good = !args.ports || ports::run(dir)?;
        return Ok(if even && good { ExitCode::SUCCESS } else { ExitCode::from(1) });
    }
    let program = build::framework(dir)?;
    let (costs, memory) = (measure::costs(&program)?, measure::memory(&program)?);
    let rows = rows(&costs)?;
    let mut checks: Vec<Check> = rows
        .iter()
        .map(|row| {
            let reference = row.reference.instructions;
            let limit = above(row.reference.workload).map_or(1.0, |cost| cost * SLACK / reference);
            Check { what: row.reference.workload.into(), value: row.ratio(), limit }
        })
        .collect();
    let curves = curves(&costs)?;
    for (curve, points) in &curves {
        let first = points.first().map_or(1.0, |p| p.1);
        let dearest = points.iter().map(|p| p.1).fold(0.0, f64::max);
        checks.push(Check {
            what: format!("{}: the dearest point over the first", curve.title),
            value: dearest / first,
            limit: curve.limit,
        });
    }
    let load = rows.iter().find(|r| r.reference.workload == "W6 devmap_load of 1024 umem pages");
    if let Some(load) = load {
        let what = "loading 1024 contiguous pages of kernel memory: translation calls";
        checks.push(Check { what: what.into(), value: load.costs.hat, limit: 8.0 });
    }
    checks.push(Check {
        what: BYTES.into(),
        value: memory.mapping as f64,
        limit: above(BYTES).unwrap_or(REFERENCE_BYTES as f64),
    });

    if args.json {
        println!("{:#}", report(&rows, &curves, &checks, &memory));
    } else {
        print(&rows, &curves, &checks, &memory);
    }
    if !args.no_charts {
        draw(&crate::root().join(&args.out), &curves)?;
    }
    let layer = layer::rows(dir)?;
    let own = own::rows(dir, &layer)?;
    let (sizes, stacks) = (size::rows(dir)?, stack::rows(dir)?);
    let even =
        args.json || layer::print(&layer) & own::print(&own) & size::print(&sizes) & stack::print(&stacks);
    let port = args.json || ports::run(dir)?;
    if args.write {
        write(args, &rows, &memory, (&layer, &own, &sizes, &stacks), &size::features(dir)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(if even && port && checks.iter().all(Check::holds) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Compares drivers with their twins in C, with the kernel's framework and with their own. Returns whether nothing is dearer than it may be.
fn beside_c(dir: &Path) -> Result<bool> {
    let layer = layer::rows(dir)?;
    let own = own::rows(dir, &layer)?;
    let modules = size::print(&size::rows(dir)?) & stack::print(&stack::rows(dir)?);
    Ok(layer::print(&layer) & own::print(&own) & modules)
}

/// What something that costs more than the reference is written down with.
fn above(what: &str) -> Option<f64> {
    let mut lines = ABOVE.lines().filter_map(|line| line.split_once('\t'));
    lines.find(|(name, _)| *name == what)?.1.parse().ok()
}

/// Writes down what costs more than the reference, and the table for the documentation.
fn write(
    args: &Args,
    rows: &[Row],
    memory: &Memory,
    (layer, own, sizes, stacks): (&[layer::Row], &[own::Row], &[size::Row], &[stack::Row]),
    features: &str,
) -> Result<()> {
    let over = rows.iter().filter(|row| row.ratio() > 1.0);
    let mut text: String = over
        .map(|row| format!("{}\t{:.0}\n", row.reference.workload, row.costs.instructions.ceil()))
        .collect();
    if memory.mapping > REFERENCE_BYTES {
        text += &format!("{BYTES}\t{}\n", memory.mapping);
    }
    let path = crate::root().join("segdev/bench/above.tsv");
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    let mut table = String::from(
        "| workload | own | reference | ratio | with all | reference | alloc | lock | hat |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for Row { reference, costs } in rows {
        let ratio = costs.instructions / reference.instructions;
        table += &format!(
            "| {} | {:.0} | {:.0} | {ratio:.2} | {:.0} | {:.0} | {:.0}/{:.0} | {:.0}/{:.0} | {:.0}/{:.0} |\n",
            reference.workload,
            costs.instructions,
            reference.instructions,
            costs.all,
            reference.all,
            costs.allocs,
            reference.allocs,
            costs.locks,
            reference.locks,
            costs.hat,
            reference.hat
        );
    }
    let dir = crate::root().join(&args.out);
    let path = dir.join("framework.md");
    let shown = CURVES.iter().map(|curve| format!("\n![{}]({}.svg)\n", curve.title, curve.name));
    let text = format!("{FRAMEWORK}\n{table}{}", shown.collect::<String>());
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    let path = dir.join("layer.md");
    let (pairs, owns) = (layer::table(layer), own::table(own));
    let (sizes_, stacks_) = (size::table(sizes), stack::table(stacks));
    let text = format!(
        "{LAYER}\n{pairs}\n{OWN}\n{owns}\n{SIZES}\n{sizes_}\n{STACKS}\n{stacks_}\n{FEATURES}\n{features}"
    );
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    let path = crate::root().join("segdev/bench/layer-above.tsv");
    std::fs::write(&path, layer::above(layer)).with_context(|| format!("cannot write {}", path.display()))?;
    let path = crate::root().join("segdev/bench/own-above.tsv");
    std::fs::write(&path, own::above(own)).with_context(|| format!("cannot write {}", path.display()))?;
    let path = crate::root().join("segdev/bench/size-above.tsv");
    std::fs::write(&path, size::above(sizes)).with_context(|| format!("cannot write {}", path.display()))
}

/// The text above the table.
const FRAMEWORK: &str = "\
# What the framework in a module costs

Written by `cargo xtask perf --write`: instructions of an operation in the framework's own code, compiled as it is for modules and called through its
C interface, beside the reference's; then with everything called; then allocations, locks and translation calls, the reference's behind the stroke. The
workloads are explained in segdev/bench/framework.c.
";

const LAYER: &str = "\
# What a driver on devmap costs, beside C

Written by `cargo xtask perf --write`: instructions of an operation in the driver's own code, the layer's included, beside those of a careful driver in C that
does the same (segdev/bench/twins, which say what careful is), both as modules over one stub kernel and a framework that only calls the driver; allocations, locks taken and locked
instructions, C's behind the stroke. Probes are those of docs/dtrace that an operation passes; each is five nops, which are not among the instructions. turns has a context
that its mappings take from each other.

\"whole\" estimates the whole operation: those instructions, an allocation with its free at 152, a mutex taken and given back at 15, mutex_init(9F) with mutex_destroy(9F) at 31 (what they cost on an illumos
kernel), and the reference framework's own instructions for the same operation with its allocations and mutexes at the same costs. It was not measured on a kernel: system call, trap, address space and
translations are not in it, and cost both drivers the same, so the ratio on a kernel is lower. Operations that the reference's table does not have, and those without the framework, have none. Of the bytes it is those with what the kernel's framework allocates for a
mapping. Goals are for the driver's own code; as a whole no operation may be above 1.05.
";

const OWN: &str = "\
## With a framework of its own

All instructions of an operation, the stub kernel's included: of a driver whose module has its own framework, all of it compiled for size; of the reference, and of the driver's twin in C (its own code only).
";

const SIZES: &str = "\
## How large a module is

Bytes of code and read-only data.
";

const STACKS: &str = "\
## How deep its stack is

Bytes of the deepest chain of direct calls from an entry point down, in the module's own code, as `cargo xtask check-module` counts them. mmap(2) is segmap(9E)'s own frame with devmap(9E)'s chain, which the framework
calls from there; what the kernel has in between comes on top. notice is the tutorial's driver.
";

const FEATURES: &str = "\
## What makes it larger

Bytes of code and read-only data that one thing more adds to the smallest driver (xtask/fixtures/features). What two things share is linked once.
";

fn rows(costs: &[Costs]) -> Result<Vec<Row>> {
    reference()
        .map(|reference| {
            let workload = reference.workload;
            let costs = costs
                .iter()
                .find(|c| c.workload == workload)
                .with_context(|| format!("the workload {workload:?} did not run"))?
                .clone();
            Ok(Row { reference, costs })
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
            anyhow::ensure!(points.len() > 1, "the curve {} did not run", curve.name);
            Ok((curve, points))
        })
        .collect()
}

fn print(rows: &[Row], curves: &[(&Curve, Points)], checks: &[Check], memory: &Memory) {
    println!(
        "Instructions of the framework's own code for an operation, through its C interface, beside the reference's."
    );
    println!(
        "(with all: with everything called, the driver and the loop; alloc, lock, hat: allocations, lock acquisitions and translation calls, the reference's behind the stroke;"
    );
    println!("ns: the median of 15 batches, the reference's from another machine.)\n");
    println!(
        "{:>10} {:>10} {:>6} {:>14} {:>11} {:>11} {:>11} {:>9} {:>9}  workload",
        "own", "reference", "ratio", "with all", "alloc", "lock", "hat", "ns", "ref. ns"
    );
    for Row { reference, costs } in rows {
        let both = |own: f64, reference: f64| format!("{own:.0}/{reference:.0}");
        println!(
            "{:>10.0} {:>10.0} {:>6.2} {:>14} {:>11} {:>11} {:>11} {:>9.1} {:>9.1}  {}",
            costs.instructions,
            reference.instructions,
            costs.instructions / reference.instructions,
            both(costs.all, reference.all),
            both(costs.allocs, reference.allocs),
            both(costs.locks, reference.locks),
            both(costs.hat, reference.hat),
            costs.ns,
            reference.ns,
            reference.workload
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
    let over = rows.iter().filter(|row| row.ratio() > 1.0).count();
    println!("\n{over} of {} workloads cost more than the reference", rows.len());
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
            let reference = &row.reference;
            json!({"workload": reference.workload, "instructions": c.instructions, "with_all": c.all, "reference": reference.instructions,
                   "ratio": row.ratio(), "ns": c.ns, "ns_min": c.ns_min, "reference_ns": reference.ns, "locked": c.locked,
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

/// Measures how the framework's costs grow, and draws that into `dir`. Returns the files.
pub fn draw_curves(dir: &Path) -> Result<Vec<PathBuf>> {
    let work = tempfile::tempdir().context("cannot make a temporary directory")?;
    draw(dir, &curves(&measure::costs(&build::framework(work.path())?)?)?)
}

fn draw(dir: &Path, curves: &[(&Curve, Points)]) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    for (curve, points) in curves {
        let known: Points = curve
            .reference
            .iter()
            .filter_map(|(n, workload)| {
                Some((*n, reference().find(|r| r.workload == *workload)?.instructions))
            })
            .collect();
        let chart = Chart {
            title: curve.title,
            x: curve.size,
            y: "instructions",
            series: vec![
                Series { name: "own framework", colour: "a", points: points.clone() },
                Series { name: "reference", colour: "b", points: known },
            ],
        };
        let path = dir.join(format!("{}.svg", curve.name));
        std::fs::write(&path, chart.svg()).with_context(|| format!("cannot write {}", path.display()))?;
        paths.push(path);
    }
    Ok(paths)
}
