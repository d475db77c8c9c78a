//! `ddi-host bench --scale`: what an operation costs beside other processes that have mapped the device, from none to a thousand.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, Stdio};

use super::{Bench, pin};
use serde::Serialize;

use super::client::CROWD_MAPPINGS;
use ddi_host::machine::Machine;
use ddi_process::FaultMode;

/// Numbers of other processes.
const CROWDS: [usize; 5] = [0, 1, 10, 100, 1000];

/// Processes that have mapped the device and wait until they are dropped.
#[derive(Default)]
struct Crowd(Vec<Child>);

impl Crowd {
    /// Lets the crowd grow to `count`.
    fn grow(&mut self, bench: &Bench<'_>, count: usize) -> io::Result<()> {
        let had = self.0.len();
        for n in had..count {
            let mut command = bench.client("crowd", bench.cpus[n % bench.cpus.len()])?;
            self.0.push(command.stdin(Stdio::piped()).spawn()?);
        }
        for child in &mut self.0[had..] {
            let mut line = String::new();
            if let Some(out) = child.stdout.take() {
                BufReader::new(out).read_line(&mut line)?;
            }
            if line.is_empty() {
                return Err(io::Error::other("a process of the crowd ended before it had mapped the device"));
            }
        }
        Ok(())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // The end of its input ends a process.
        self.0.iter_mut().for_each(|child| drop(child.stdin.take()));
        self.0.iter_mut().for_each(|child| _ = child.wait());
    }
}

/// Mebibytes of memory that this process occupies.
fn resident() -> io::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    kib.map(|kib: f64| kib / 1024.0).ok_or_else(|| io::Error::other("no VmRSS in /proc/self/status"))
}

/// Measurements beside a number of processes: microseconds, and mebibytes of the host's memory.
#[derive(Serialize)]
struct Row {
    processes: usize,
    mappings: usize,
    /// Needs userfaultfd.
    fault: Option<f64>,
    map: f64,
    fork: f64,
    memory: f64,
}

impl Row {
    fn measure(bench: &Bench<'_>, processes: usize) -> io::Result<Row> {
        let memory = resident()?;
        let last = bench.cpus[bench.cpus.len() - 1];
        let us = |what: &str| bench.under_host(what, last).map(|ns| ns / 1000.0);
        let watched = bench.machine.server().fault_mode() != FaultMode::Signal;
        let fault = if watched {
            // On one core: where Linux puts the host's threads decides what it costs, and it decides anew each time.
            pin(&[last])?;
            // Of a new mapping: to have the driver unload a page would have it look at all mappings.
            let fault = us("touch")?;
            pin(&bench.cpus)?;
            Some(fault)
        } else {
            None
        };
        let mappings = processes * CROWD_MAPPINGS;
        Ok(Row { processes, mappings, fault, map: us("map")?, fork: us("fork")?, memory })
    }
}

/// Measures beside up to `most` processes, and prints a table, or a line of JSON for each of its rows.
pub(super) fn run(machine: &Machine, cpus: Vec<usize>, most: usize, json: bool) -> io::Result<()> {
    let bench = Bench { machine, cpus };
    let mut out = io::stdout().lock();
    if !json {
        let (mode, count) = (machine.server().fault_mode().name(), bench.cpus.len());
        writeln!(out, "faults by {mode}, {count} processors")?;
        let heads = ["processes", "mappings", "fault", "mmap+munmap", "fork+exit", "host's memory"];
        writeln!(out, "{}", heads.map(|head| format!("{head:>15}")).concat())?;
    }
    let mut crowd = Crowd::default();
    for count in CROWDS.into_iter().filter(|count| *count <= most) {
        crowd.grow(&bench, count)?;
        let row = Row::measure(&bench, count)?;
        if json {
            writeln!(out, "{}", serde_json::to_string(&row)?)?;
            continue;
        }
        let us = |us: f64| format!("{us:.1} us");
        let cells = [
            row.processes.to_string(),
            row.mappings.to_string(),
            row.fault.map_or("-".into(), us),
            us(row.map),
            us(row.fork),
            format!("{:.0} MiB", row.memory),
        ];
        writeln!(out, "{}", cells.map(|cell| format!("{cell:>15}")).concat())?;
    }
    Ok(())
}
