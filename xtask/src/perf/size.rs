//! Sizes of modules: code and read-only data, which a kernel keeps in memory for each driver.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use object::{Object, ObjectSection, SectionFlags, elf};

use super::build;
use super::reference::SLACK;

/// Package, what it is, and how many bytes its module may have.
const MODULES: [(&str, &str, u64); 3] = [
    ("page", "the smallest driver: one page for everybody, no mappings of its own", 10 * 1024),
    ("notice", "private data, dup, the four cuts, read, write, ioctl, a kstat", 14 * 1024),
    ("ctxdev", "contexts and switches, registers, opens, timeouts, properties, ioctls", 32 * 1024),
];

/// A feature of the package `features`, and what it is.
const FEATURES: [(&str, &str); 15] = [
    ("private", "private data of mappings, with access, dup and the four cuts"),
    ("contexts", "that, and a context switch: a set, a mutex, `switch_context`"),
    ("opens", "private data of opens"),
    ("calls", "read, write, and an ioctl that copies in and out"),
    ("kstat", "counters as a kstat"),
    ("revoke", "`revoke_all` by an ioctl"),
    ("remap", "`Handle::remap` on an access"),
    ("registers", "a register set, mapped for processes too"),
    ("pci", "configuration space"),
    ("interrupts", "an MSI-X interrupt with a handler"),
    ("dma", "memory that a device shares with processes"),
    ("timeout", "a timeout"),
    ("tasks", "a task queue"),
    ("pins", "pinned memory of a process, by an ioctl"),
    ("format", "a message that is formatted: `core::fmt`"),
];

/// Sizes above the goal so far: package, bytes.
const ABOVE: &str = include_str!("../../../segdev/bench/size-above.tsv");

/// A module.
pub struct Row {
    package: &'static str,
    what: &'static str,
    bytes: u64,
    goal: u64,
    limit: u64,
}

impl Row {
    pub fn holds(&self) -> bool {
        self.bytes <= self.limit
    }
}

/// Links the modules' code.
pub fn rows(dir: &Path) -> Result<Vec<Row>> {
    MODULES
        .into_iter()
        .map(|(package, what, goal)| {
            let bytes = bytes(dir, package, &[])?;
            let above = ABOVE.lines().filter_map(|line| line.split_once('\t'));
            let above =
                above.into_iter().find(|(name, _)| *name == package).and_then(|(_, n)| n.parse::<u64>().ok());
            let limit = goal.max(above.map_or(0, |bytes| (bytes as f64 * SLACK) as u64));
            Ok(Row { package, what, bytes, goal, limit })
        })
        .collect()
}

/// Bytes of code and read-only data of a module.
fn bytes(dir: &Path, package: &str, features: &[&str]) -> Result<u64> {
    let path = build::module(dir, package, features)?;
    let file = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = object::File::parse(&*file).context("the module is not ELF")?;
    let kept = |section: &object::Section<'_, '_>| match section.flags() {
        SectionFlags::Elf { sh_flags, .. } => {
            sh_flags.contains(elf::SHF_ALLOC) && !sh_flags.contains(elf::SHF_WRITE)
        }
        _ => false,
    };
    Ok(file.sections().filter(kept).map(|section| section.size()).sum())
}

/// Links the smallest driver with each feature. Returns what they add, as a table.
pub fn features(dir: &Path) -> Result<String> {
    let without = bytes(dir, "features", &[])?;
    let mut text = String::from("| feature | bytes more |\n| --- | --- |\n");
    for (feature, what) in FEATURES {
        let with = bytes(dir, "features", &[feature])?;
        let _ = writeln!(text, "| {what} | {} |", with.saturating_sub(without));
    }
    Ok(text)
}

/// The modules as a table.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from("| module | what it has | bytes | goal |\n| --- | --- | --- | --- |\n");
    for Row { package, what, bytes, goal, .. } in rows {
        let _ = writeln!(text, "| {package} | {what} | {bytes} | {goal} |");
    }
    text
}

/// Sizes above their goals, for segdev/bench/size-above.tsv.
pub fn above(rows: &[Row]) -> String {
    rows.iter()
        .filter(|row| row.bytes > row.goal)
        .map(|row| format!("{}\t{}\n", row.package, row.bytes))
        .collect()
}

/// Prints the table, and what is larger than it may be. Returns whether nothing is.
pub fn print(rows: &[Row]) -> bool {
    println!("\nBytes of code and read-only data of a module:\n");
    for Row { package, bytes, goal, .. } in rows {
        println!("{bytes:>8} {goal:>8}  {package}");
    }
    for row in rows.iter().filter(|row| !row.holds()) {
        println!("FAILED: module {}: {} bytes, may be {}", row.package, row.bytes, row.limit);
    }
    rows.iter().all(Row::holds)
}
