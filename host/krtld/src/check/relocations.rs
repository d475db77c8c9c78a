//! Relocations: only those that the loader applies as the compiler meant them, in places where it can.

use std::collections::BTreeMap;

use object::elf::{R_X86_64_GLOB_DAT, R_X86_64_RELATIVE, RelocationType};

use crate::elf::{Binding, Object, PROBE, Rela, Section, is_patched_out};
use crate::finding::{Findings, Rule, Severity};
use crate::reloc::{self, Field};

/// Checks every relocation of a loaded section.
pub fn check(object: &Object, findings: &mut Findings) {
    let mut kinds = BTreeMap::<String, usize>::new();
    for rela in &object.relocations {
        let symbol = &object.symbols[rela.symbol];
        if symbol.undefined() && is_patched_out(&symbol.name) {
            patched(object, rela, findings);
            continue;
        }
        match reloc::field(rela.kind) {
            Ok(field) => {
                let name = reloc::name(rela.kind).replace("R_X86_64_", "");
                *kinds.entry(name).or_default() += 1;
                one(object, rela, field, findings);
            }
            Err(why) => findings.refuse(Rule::RelocationType, site(object, rela, why)),
        }
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let list = kinds.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ");
    let list = if list.is_empty() { "none" } else { &list };
    findings.fact(Rule::RelocationType, format!("relocations: {list}"));
}

/// "section+0x12 (function): R_X86_64_PC32 against symbol: what".
pub fn site(object: &Object, rela: &Rela, what: &str) -> String {
    format!(
        "{}+{:#x} ({}): {} against {}: {what}",
        object.sections[rela.target].name,
        rela.offset,
        object.function_at(rela.target, rela.offset),
        reloc::name(rela.kind),
        object.symbol_name(rela.symbol)
    )
}

/// Problem of a relative reference to a weak symbol that is not defined.
pub const WEAK_RELATIVE: &str = "weak and undefined: the kernel does not apply this relocation, and the call or address goes to the next \
                                 instruction; test and call it by its absolute address";

/// A relocation of a type that the loader applies.
fn one(object: &Object, rela: &Rela, field: Field, findings: &mut Findings) {
    let (section, symbol) = (&object.sections[rela.target], &object.symbols[rela.symbol]);
    let site = |what: &str| site(object, rela, what);
    let size = field.size() as u64;
    if rela.offset.checked_add(size).is_none_or(|end| end > section.size) {
        let what = format!("the field is outside the section ({} bytes)", section.size);
        findings.refuse(Rule::RelocationPlace, site(&what));
        return;
    }
    let constant = rela.symbol == 0 || symbol.is_absolute();
    match field {
        Field::Abs32 if !(constant || symbol.undefined() && symbol.binding == Binding::Weak) => {
            findings.refuse(Rule::RelocationType, site(reloc::ZERO_EXTENDED));
        }
        Field::Small { .. } => {
            let what = "a field of 8 or 16 bits, whose range the kernel does not check";
            findings.add(Severity::Warning, Rule::RelocationType, site(what));
        }
        _ if matches!(RelocationType(rela.kind), R_X86_64_GLOB_DAT | R_X86_64_RELATIVE) => {
            let what = "nothing but a shared object or a global offset table needs it";
            findings.add(Severity::Warning, Rule::RelocationType, site(what));
        }
        _ => {}
    }
    let at = usize::try_from(rela.offset).ok();
    let bytes = at.and_then(|at| object.contents(section).get(at..at + field.size())).unwrap_or_default();
    if bytes.iter().any(|byte| *byte != 0) && !matches!(field, Field::Small { .. }) {
        let holds = bytes.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        let what = format!("the loader adds to the field, which holds {holds:#x}");
        findings.unfit(Rule::RelocationField, site(&what));
    }
    if rela.symbol == 0 && field.relative() {
        findings.unfit(Rule::RelocationPlace, site("relative to no symbol"));
    } else if rela.symbol != 0 && symbol.undefined() && !symbol.external() {
        findings.refuse(Rule::Undefined, site("an undefined local symbol: nobody looks for it"));
    }
    let target = object.sections.get(usize::from(symbol.section));
    if size == 4 && !constant && !reaches(rela.addend, symbol.value, target) {
        let what = format!("the addend leads {:#x} bytes away from it", rela.addend);
        findings.unfit(Rule::RelocationPlace, site(&what));
    }
    if !symbol.undefined() && target.is_some_and(|target| !target.alloc()) {
        let what = "its section is not loaded; the kernel takes the offset in the section for an address";
        findings.refuse(Rule::NotLoaded, site(what));
    }
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

/// A call that the loader overwrites with nops: five bytes, of which the relocation's field is the last four.
fn patched(object: &Object, rela: &Rela, findings: &mut Findings) {
    let section = &object.sections[rela.target];
    let mut refuse = |what: &str| findings.refuse(Rule::ProbeSite, site(object, rela, what));
    if !section.executable() {
        return refuse(
            "a reference from data: krtld would overwrite it with nops; probes can only be called",
        );
    }
    if rela.offset == 0 || rela.offset.checked_add(4).is_none_or(|end| end > section.size) {
        return refuse("the site is outside the section");
    }
    let at = usize::try_from(rela.offset - 1).ok();
    match at.and_then(|at| object.contents(section).get(at)) {
        Some(0xe8) => {}
        Some(0xe9) => {
            return refuse(
                "a tail call, which krtld patches wrongly; compile with -fno-optimize-sibling-calls",
            );
        }
        _ => return refuse("not a direct call (e8): krtld would destroy the byte before it"),
    }
    if ![2, 4].contains(&rela.kind) && object.symbols[rela.symbol].name.starts_with(PROBE) {
        findings.add(Severity::Warning, Rule::ProbeSite, site(object, rela, "not a pc-relative reference"));
    }
}
