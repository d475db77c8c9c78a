//! Stacks of modules: the deepest chain of direct calls from an entry point down, of the module's own code.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use ddi_krtld::check::{Options, check};
use ddi_krtld::finding::Rule;
use object::build::elf::{Builder, SectionData};
use object::elf::{SHF_EXECINSTR, STT_FUNC};

use super::build;

/// The module: the one with the most in attach(9E) and devmap(9E).
const MODULE: &str = "ctxdev";

/// Entry points, and what their functions' symbols have in their names.
const ENTRIES: [(&str, &str); 3] = [
    ("attach(9E)", "6devmap5entry6attach"),
    ("segmap(9E)", "6devmap4mmap6segmap"),
    ("devmap(9E)", "6devmap4mmap6devmap"),
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

/// The deepest chain of direct calls from the function down whose symbol has this in its name, as the check of modules finds it.
fn deepest(file: &[u8], name: &str) -> Result<(u64, String)> {
    let options = Options { stack_limit: u64::MAX, ..Options::default() };
    let findings = check(&only(file, name)?, &options);
    let mut depths = findings.iter().filter(|finding| finding.rule == Rule::StackDepth);
    let (_, found) = depths.next().and_then(|it| it.message.split_once(": ")).context("no chain of calls")?;
    let (bytes, chain) = found.split_once(" bytes, ").context("no number of bytes")?;
    Ok((bytes.parse().context("no number of bytes")?, chain.to_owned()))
}

/// The module with this function as its only callback. The check follows all callbacks of a module and tells of the deepest chain: what data refer to.
fn only(file: &[u8], name: &str) -> Result<Vec<u8>> {
    let mut builder = Builder::read(file).context("the module is not ELF")?;
    let place = |symbol| {
        let symbol: &object::build::elf::Symbol<'_> = builder.symbols.get(symbol);
        symbol.section.map(|section| (section, symbol.st_value))
    };
    let mut functions = Vec::new();
    let mut wanted = None;
    for symbol in builder.symbols.iter().filter(|symbol| symbol.st_type() == STT_FUNC) {
        functions.push(place(symbol.id()));
        if String::from_utf8_lossy(&symbol.name).contains(name) {
            wanted = place(symbol.id());
        }
    }
    wanted.context("the module has no such function")?;
    let mut dropped = Vec::new();
    for section in &builder.sections {
        let (Some(of), SectionData::Relocation(relocations)) = (section.sh_info_section, &section.data)
        else {
            continue;
        };
        if builder.sections.get(of).sh_flags.contains(SHF_EXECINSTR) {
            continue;
        }
        for (index, relocation) in relocations.iter().enumerate() {
            let target = relocation.symbol.and_then(place);
            let target = target.map(|(section, at)| (section, at.wrapping_add_signed(relocation.r_addend)));
            if target.is_some() && target != wanted && functions.contains(&target) {
                dropped.push((section.id(), index));
            }
        }
    }
    for (section, index) in dropped.into_iter().rev() {
        if let SectionData::Relocation(relocations) = &mut builder.sections.get_mut(section).data {
            relocations.remove(index);
        }
    }
    let mut bytes = Vec::new();
    builder.write(&mut bytes).context("cannot write the module")?;
    Ok(bytes)
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
