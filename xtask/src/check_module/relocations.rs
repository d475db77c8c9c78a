//! Relocations: only those that the loader applies as the compiler meant them.

use std::collections::BTreeMap;

use super::elf::{Image, Reader, Relocation, SHN_UNDEF, Section};
use super::finding::{Rule, Severity, Verdict};
use super::symbols::PROBE;

/// Bytes of the field of each good type.
const GOOD: [(u32, &str, u64); 6] =
    [(0, "NONE", 0), (1, "64", 8), (2, "PC32", 4), (4, "PLT32", 4), (11, "32S", 4), (24, "PC64", 8)];

/// Checks every relocation of a loaded section.
pub fn check(image: &Image, verdict: &mut Verdict) {
    let mut kinds = BTreeMap::<&str, usize>::new();
    for relocation in &image.relocations {
        let symbol = &image.symbols[relocation.symbol];
        let place = || image.place(relocation.section, relocation.offset);
        if symbol.section == SHN_UNDEF && symbol.name.starts_with(PROBE) {
            probe(image, relocation, verdict);
            continue;
        }
        let Some((_, name, width)) = GOOD.iter().find(|(kind, ..)| *kind == relocation.kind) else {
            let what = bad(relocation.kind);
            verdict.error(Rule::RelocationType, format!("{what}, at {} for {}", place(), symbol.name));
            continue;
        };
        *kinds.entry(name).or_default() += 1;
        let section = &image.sections[relocation.section];
        if relocation.offset.checked_add(*width).is_none_or(|end| end > section.size) {
            let message = format!(
                "{} bytes at {}+{:#x} lie outside the section",
                width, section.name, relocation.offset
            );
            verdict.error(Rule::RelocationPlace, message);
            continue;
        }
        let field = match width {
            8 => Reader(&section.data).u64(relocation.offset),
            4 => Reader(&section.data).u32(relocation.offset).map(u64::from),
            _ => None,
        };
        if field.is_some_and(|field| field != 0) {
            let message =
                format!("{}: the loader adds to the field, which holds {:#x}", place(), field.unwrap_or(0));
            verdict.error(Rule::RelocationField, message);
        }
        if relocation.symbol == 0 && [2, 4, 24].contains(&relocation.kind) {
            verdict.error(Rule::RelocationPlace, format!("{}: relative to no symbol", place()));
        } else if relocation.symbol != 0 && symbol.section == SHN_UNDEF && symbol.is_local() {
            let message = format!("{}: {} is undefined and local: nobody looks for it", place(), symbol.name);
            verdict.error(Rule::Undefined, message);
        }
        let target = image.sections.get(usize::from(symbol.section));
        if *width == 4 && !reaches(relocation.addend, symbol.value, target) {
            let message = format!(
                "{}: the addend leads {:#x} bytes away from {}",
                place(),
                relocation.addend,
                symbol.name
            );
            verdict.error(Rule::RelocationPlace, message);
        }
        if symbol.section != SHN_UNDEF && target.is_some_and(|target| !target.is_loaded()) {
            let target = target.map_or("", |target| &target.name);
            verdict.error(Rule::NotLoaded, format!("{} refers to {target}, which is not loaded", place()));
        }
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let list = kinds.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ");
    verdict.fact(format!("relocations: {}", if list.is_empty() { "none" } else { &list }));
}

/// Whether what a 32-bit field refers to is near the symbol's section, or near the symbol when that is elsewhere: else it is out of the field's range, or something
/// that nobody has written.
fn reaches(addend: i64, value: u64, target: Option<&Section>) -> bool {
    const NEAR: i64 = 1 << 20;
    let end = target.map_or(0, |target| i64::try_from(target.size).unwrap_or(i64::MAX));
    let value = target.map_or(0, |_| value as i64);
    let at = value.checked_add(addend);
    at.is_some_and(|at| (-NEAR..=end.saturating_add(NEAR)).contains(&at))
}

/// A static probe: a 5-byte call that the loader overwrites with nops.
fn probe(image: &Image, relocation: &Relocation, verdict: &mut Verdict) {
    let section = &image.sections[relocation.section];
    let opcode = relocation.offset.checked_sub(1).and_then(|at| section.data.get(at as usize));
    let place = image.place(relocation.section, relocation.offset);
    let name = &image.symbols[relocation.symbol].name;
    match opcode {
        Some(0xe8) if section.is_code() => {}
        Some(0xe9) if section.is_code() => {
            let message = format!(
                "{name} at {place} is a tail call, which older kernels overwrite: -fno-optimize-sibling-calls"
            );
            verdict.error(Rule::ProbeSite, message);
        }
        _ => verdict.error(
            Rule::ProbeSite,
            format!("{name} at {place} is not called with a 5-byte call: the loader destroys what is there"),
        ),
    }
    if ![2, 4].contains(&relocation.kind) {
        let message = format!("{name} at {place} is not a pc-relative reference");
        verdict.add(Severity::Warning, Rule::ProbeSite, message);
    }
}

/// What is wrong with a relocation type.
fn bad(kind: u32) -> String {
    let (name, why) = match kind {
        3 => ("GOT32", "refused"),
        5 => ("COPY", "refused"),
        6 => ("GLOB_DAT", "unusual: nothing but a global offset table needs it"),
        7 => ("JUMP_SLOT", "refused"),
        8 => ("RELATIVE", "unusual: nothing but a shared object needs it"),
        9 => ("GOTPCREL", "accepted and wrong: there is no global offset table"),
        10 => ("32", "out of range for every kernel address"),
        12..=15 => ("a relocation of 8 or 16 bits", "silently truncated"),
        16..=18 => ("a thread-local relocation", "accepted and wrong"),
        19..=23 => ("a thread-local relocation", "refused, and older kernels loop for ever"),
        25 => ("GOTOFF64", "accepted and wrong: there is no global offset table"),
        26 => ("GOTPC32", "needs a global offset table"),
        27..=31 => ("a relocation of the large code model", "refused"),
        32 | 33 => ("SIZE", "accepted and wrong: the value is stored, not the size"),
        41 | 42 => ("GOTPCRELX", "accepted and wrong, and older kernels loop for ever"),
        _ => ("an unknown relocation", "refused, or older kernels loop for ever"),
    };
    format!("{name} (type {kind}) is {why}: compile with -mcmodel=kernel -fno-pic")
}
