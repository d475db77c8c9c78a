//! Runs a program of [`build`](super::build): under callgrind for instructions, by itself for time and memory.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind};
use object::{Object, ObjectSection};
use serde::Deserialize;

use super::build::{MEASURED, PROBE_SITE};

/// What one operation of a workload costs.
#[derive(Clone, Default)]
pub struct Costs {
    /// Its name.
    pub workload: String,
    /// Instructions of the measured code, without the nops of its static probes.
    pub instructions: f64,
    /// Static probes that are passed.
    pub probes: f64,
    /// Instructions with everything that it calls, and the driver's and the loop's.
    pub all: f64,
    /// Locked instructions among them.
    pub locked: f64,
    /// Allocations.
    pub allocs: f64,
    /// Lock acquisitions.
    pub locks: f64,
    /// Mutexes that are made.
    pub mutexes: f64,
    /// Calls that change translations.
    pub hat: f64,
    /// Nanoseconds: the median of 15 batches.
    pub ns: f64,
    /// The best batch.
    pub ns_min: f64,
}

/// Bytes that are asked for.
#[derive(Deserialize)]
pub struct Memory {
    /// For one more live mapping with callbacks.
    pub mapping: u64,
    /// For the first on its device.
    pub first: u64,
    /// For one without an access callback.
    pub plain: u64,
}

#[derive(Deserialize)]
struct Counted {
    workload: String,
    ops: f64,
    allocs: f64,
    locks: f64,
    mutexes: f64,
    hat: f64,
}

#[derive(Deserialize)]
struct Timed {
    workload: String,
    ns: f64,
    ns_min: f64,
}

/// The costs of every workload of a program, in the order in which they ran.
pub fn costs(program: &Path) -> Result<Vec<Costs>> {
    let mut costs = count(program)?;
    for line in lines::<Timed>(&output(Command::new(program).arg("time"))?)? {
        if let Some(cost) = costs.iter_mut().find(|c| c.workload == line.workload) {
            (cost.ns, cost.ns_min) = (line.ns, line.ns_min);
        }
    }
    Ok(costs)
}

/// The memory that a program's live mappings take.
pub fn memory(program: &Path) -> Result<Memory> {
    lines(&output(Command::new(program).arg("bytes"))?)?.pop().context("the program printed no bytes")
}

fn count(program: &Path) -> Result<Vec<Costs>> {
    let code = Code::read(program)?;
    let dir = tempfile::tempdir().context("cannot make a temporary directory")?;
    let out = dir.path().join("out");
    let text = output(
        Command::new("valgrind")
            .args(["-q", "--tool=callgrind", "--collect-atstart=no"])
            .args(["--dump-instr=yes", "--dump-line=no", "--compress-pos=no"])
            .args(["--toggle-collect=measured_ops*", "--dump-after=end_of_workload*"])
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(program)
            .arg("count"),
    )
    .context("valgrind counts the instructions; install it if it is missing (apt-get install valgrind)")?;
    (1..)
        .zip(lines::<Counted>(&text)?)
        .map(|(i, line)| {
            let path = dir.path().join(format!("out.{i}"));
            let dump = std::fs::read_to_string(&path)
                .with_context(|| format!("callgrind wrote no {}", path.display()))?;
            let Executed { own, all, locked, probes } = code.executed(&dump)?;
            ensure!(own > 0, "callgrind saw nothing of {:?}", line.workload);
            Ok(Costs {
                workload: line.workload,
                instructions: own as f64 / line.ops,
                probes: probes as f64 / line.ops,
                all: all as f64 / line.ops,
                locked: locked as f64 / line.ops,
                allocs: line.allocs,
                locks: line.locks,
                mutexes: line.mutexes,
                hat: line.hat,
                ..Costs::default()
            })
        })
        .collect()
}

/// Instructions that were executed.
#[derive(Default)]
struct Executed {
    /// Of the measured code, without the nops of static probes.
    own: u64,
    /// Probes that are passed.
    probes: u64,
    /// All of them.
    all: u64,
    /// Locked ones of the measured code.
    locked: u64,
}

/// The code that is measured.
struct Code {
    addresses: Range<u64>,
    /// Addresses of locked instructions.
    locked: BTreeSet<u64>,
    /// Addresses of static probes: five nops each.
    probes: BTreeSet<u64>,
}

impl Code {
    fn read(program: &Path) -> Result<Self> {
        let file = std::fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
        let file = object::File::parse(&*file).context("the program is not ELF")?;
        let section =
            file.section_by_name(MEASURED).with_context(|| format!("the program has no {MEASURED}"))?;
        let (at, code) = (section.address(), section.data().context("the code cannot be read")?);
        let decoder = Decoder::with_ip(64, code, at, DecoderOptions::NONE);
        let locked = decoder
            .into_iter()
            .filter(|i| {
                // xchg with memory is locked without being told.
                let exchange = i.mnemonic() == Mnemonic::Xchg
                    && (0..i.op_count()).any(|n| i.op_kind(n) == OpKind::Memory);
                i.has_lock_prefix() || exchange
            })
            .map(|i| i.ip())
            .collect();
        let sites = (at..).zip(code.windows(PROBE_SITE.len())).filter(|(_, bytes)| *bytes == PROBE_SITE);
        let probes = sites.map(|(site, _)| site).collect();
        Ok(Self { addresses: at..at + section.size(), locked, probes })
    }

    /// Reads a callgrind dump.
    fn executed(&self, dump: &str) -> Result<Executed> {
        let mut executed = Executed::default();
        let mut lines = dump.lines();
        while let Some(line) = lines.next() {
            if line.starts_with("calls=") {
                // What was called is in the next line, with everything that it has called in turn.
                lines.next();
            } else if let Some((address, cost)) = line.strip_prefix("0x").and_then(|l| l.split_once(' ')) {
                let address =
                    u64::from_str_radix(address, 16).with_context(|| format!("callgrind wrote {line:?}"))?;
                let cost: u64 = cost.trim().parse().with_context(|| format!("callgrind wrote {line:?}"))?;
                executed.all += cost;
                let mut sites = self.probes.range(..=address).next_back().into_iter();
                if let Some(site) = sites.find(|site| address - **site < PROBE_SITE.len() as u64) {
                    executed.probes += if address == *site { cost } else { 0 };
                } else if self.addresses.contains(&address) {
                    executed.own += cost;
                    executed.locked += if self.locked.contains(&address) { cost } else { 0 };
                }
            }
        }
        Ok(executed)
    }
}

fn lines<T: for<'de> Deserialize<'de>>(text: &str) -> Result<Vec<T>> {
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("the program printed {line:?}")))
        .collect()
}

fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {name}"))?;
    if !out.status.success() {
        bail!("{name} failed: {}\n{}", out.status, String::from_utf8_lossy(&out.stdout).trim());
    }
    String::from_utf8(out.stdout).with_context(|| format!("{name} printed no text"))
}
