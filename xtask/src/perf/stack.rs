//! Stacks of modules: the deepest chain of direct calls from an entry point down, of the module's own code.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use ddi_krtld::check::{Options, check};

use super::build;

/// The module: the one with the most in attach(9E) and devmap(9E).
const MODULE: &str = "ctxdev";

/// Entry points, and what their functions have in their names.
const ENTRIES: [(&str, &str); 3] = [
    ("attach(9E)", "devmap::entry::attach"),
    ("segmap(9E)", "devmap::mmap::segmap"),
    ("devmap(9E)", "devmap::mmap::devmap"),
];

/// A chain has to be shorter.
const GOAL: u64 = 512;

/// The stack of an entry point.
pub struct Row {
    entry: &'static str,
    bytes: u64,
    chain: String,
}

impl Row {
    pub fn holds(&self) -> bool {
        self.bytes < GOAL
    }
}

/// Links the module, and follows its calls.
pub fn rows(dir: &Path) -> Result<Vec<Row>> {
    let path = build::module(dir, MODULE, &[])?;
    let file = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    ENTRIES
        .into_iter()
        .map(|(entry, name)| {
            let (bytes, chain) = deepest(&file, name).with_context(|| format!("{MODULE}, {entry}"))?;
            Ok(Row { entry, bytes, chain })
        })
        .collect()
}

/// The deepest chain of direct calls from the function down that has this in its name, as the check of modules finds it.
fn deepest(file: &[u8], name: &str) -> Result<(u64, String)> {
    let options = Options { stacks: vec![(name.to_owned(), u64::MAX)], ..Options::default() };
    let findings = check(file, &options);
    let from = format!(" from {name}: ");
    let mut found = findings.iter().filter_map(|finding| finding.message.split_once(&from));
    let (_, found) = found.next().context("no chain of calls")?;
    let (bytes, chain) = found.split_once(" bytes, ").context("no number of bytes")?;
    Ok((bytes.parse().context("no number of bytes")?, chain.to_owned()))
}

/// The stacks as a table.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from("| entry point of ctxdev | bytes | goal |\n| --- | --- | --- |\n");
    for Row { entry, bytes, .. } in rows {
        let _ = writeln!(text, "| {entry} | {bytes} | {GOAL} |");
    }
    text
}

/// Prints the table, and what is deeper than it may be. Returns whether nothing is.
pub fn print(rows: &[Row]) -> bool {
    println!("\nBytes of stack of the deepest chain of direct calls in {MODULE}:\n");
    for Row { entry, bytes, chain, .. } in rows {
        println!("{bytes:>8} {GOAL:>8}  {entry}: {chain}");
    }
    for row in rows.iter().filter(|row| !row.holds()) {
        println!("FAILED: stack of {}: {} bytes, must be below {GOAL}", row.entry, row.bytes);
    }
    rows.iter().all(Row::holds)
}
