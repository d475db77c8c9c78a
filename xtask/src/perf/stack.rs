//! Stacks of modules: the deepest chain of direct calls from an entry point down, of the module's own code.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use ddi_krtld::check::{Options, check};

use super::build;

/// The modules: the tutorial's, and the one with the most in attach(9E) and devmap(9E).
const MODULES: [&str; 2] = ["notice", "ctxdev"];

/// Entry points, and what their functions have in their names.
const ENTRIES: [(&str, &str); 3] = [("attach(9E)", "devmap::entry::attach"), SEGMAP, DEVMAP];
const SEGMAP: (&str, &str) = ("segmap(9E)", "devmap::mmap::segmap");
const DEVMAP: (&str, &str) = ("devmap(9E)", "devmap::mmap::devmap");

/// A chain has to be shorter.
const GOAL: u64 = 512;

/// The stack of an entry point.
pub struct Row {
    module: &'static str,
    entry: &'static str,
    bytes: u64,
    chain: String,
    /// It has to be below [`GOAL`].
    bound: bool,
}

impl Row {
    pub fn holds(&self) -> bool {
        !self.bound || self.bytes < GOAL
    }
}

/// Links the modules, and follows their calls.
pub fn rows(dir: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for module in MODULES {
        let path = build::module(dir, module, &[])?;
        let file = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut row = |entry, (bytes, chain), bound| rows.push(Row { module, entry, bytes, chain, bound });
        for (entry, name) in ENTRIES {
            row(entry, deepest(&file, name).with_context(|| format!("{module}, {entry}"))?, true);
        }
        // The framework calls one from the other.
        let (below, chain) = deepest(&file, DEVMAP.1)?;
        let segmap = deepest(&file, SEGMAP.1)?.1;
        let own = segmap.split(" > ").next().and_then(|first| first.rsplit_once(' '));
        let own = own.and_then(|(_, bytes)| bytes.parse::<u64>().ok()).context("no frame of segmap(9E)")?;
        row("mmap(2)", (own + below, format!("segmap(9E) {own} > {chain}")), module == MODULES[0]);
    }
    Ok(rows)
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
    let mut text = String::from("| module | entry point | bytes | goal |\n| --- | --- | --- | --- |\n");
    for row in rows {
        let goal = if row.bound { GOAL.to_string() } else { String::new() };
        let _ = writeln!(text, "| {} | {} | {} | {goal} |", row.module, row.entry, row.bytes);
    }
    text
}

/// Prints the table, and what is deeper than it may be. Returns whether nothing is.
pub fn print(rows: &[Row]) -> bool {
    println!("\nBytes of stack of the deepest chain of direct calls in a module:\n");
    for Row { module, entry, bytes, chain, bound } in rows {
        let goal = if *bound { GOAL.to_string() } else { String::new() };
        println!("{bytes:>8} {goal:>8}  {module}: {entry}: {chain}");
    }
    for row in rows.iter().filter(|row| !row.holds()) {
        println!(
            "FAILED: stack of {} in {}: {} bytes, must be below {GOAL}",
            row.entry, row.module, row.bytes
        );
    }
    rows.iter().all(Row::holds)
}
