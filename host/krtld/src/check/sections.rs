//! Sections that a module must not have, or that nobody will look at.

use object::elf::{
    SHF_TLS, SHT_FINI_ARRAY, SHT_INIT_ARRAY, SHT_NULL, SHT_PREINIT_ARRAY, SHT_PROGBITS, SHT_REL, SHT_RELA,
    SHT_STRTAB, SHT_SYMTAB, SectionType,
};

use crate::elf::{Object, Section, in_file};
use crate::finding::{Findings, Rule, Severity};

/// The largest alignment of a section, in bytes.
const ALIGNMENT: u64 = 2 << 20;
/// Bytes of text and data together that are surely too many.
const TOO_LARGE: u64 = 1 << 30;

/// Section types that the loader reads, or may pass over: the standard's, and what GNU's, LLVM's and Sun's tools add for themselves.
fn known(kind: SectionType) -> bool {
    matches!(kind.0, 0..=11 | 14..=19 | 0x6fff_4c00..=0x6fff_4cff | 0x6fff_ffe0..=0x6fff_ffff | 0x7000_0001)
}

/// Checks all sections.
pub fn check(object: &Object, findings: &mut Findings) {
    for section in &object.sections {
        kind(object, section, findings);
        if in_file(&object.data, section).is_none() {
            let what = format!("{}: its contents reach beyond the end of the file", section.name);
            match section.alloc() {
                true => findings.refuse(Rule::SectionHeaders, what),
                false => findings.unfit(Rule::SectionHeaders, what),
            }
        }
        if section.alloc() {
            loaded(section, findings);
        }
    }
    let (text, data) = object.sizes();
    if text.saturating_add(data) > TOO_LARGE {
        let what = format!("{text} bytes of text and {data} of data do not fit the kernel");
        findings.refuse(Rule::SectionHeaders, what);
    }
}

/// A section's type, and that what holds relocations is what relocates its section.
fn kind(object: &Object, section: &Section, findings: &mut Findings) {
    let Section { name, kind, .. } = section;
    if *kind == SHT_REL {
        let what = format!("{name}: relocations without addends (SHT_REL): krtld reads SHT_RELA only");
        findings.refuse(Rule::RelSection, what);
    }
    if !known(*kind) {
        let what = format!("{name}: type {kind:#x} is unknown; the loader takes no notice of what it holds");
        findings.unfit(Rule::SectionType, what);
    } else if section.alloc() && *kind == SHT_NULL {
        findings.refuse(Rule::SectionType, format!("{name}: a section of no type is to be loaded"));
    } else if section.alloc() && matches!(*kind, SHT_SYMTAB | SHT_STRTAB | SHT_RELA | SHT_REL) {
        findings.unfit(Rule::SectionType, format!("{name}: type {kind} is none of what is loaded"));
    }
    // The tables are found by their types and applied to the sections that they name by number. Compilers name them ".rela" and the section's name.
    let Some(about) = name.strip_prefix(".rela").filter(|about| !about.is_empty()) else { return };
    if !object.sections.iter().any(|section| section.name == about && section.alloc()) {
        return;
    }
    let target = object.sections.get(section.info as usize).map_or("no section", |target| &target.name);
    if !matches!(*kind, SHT_RELA | SHT_REL) && section.size != 0 {
        let what = format!("{name}: type {kind} is none of relocations: krtld would leave {about} as it is");
        findings.refuse(Rule::RelaSection, what);
    } else if *kind == SHT_RELA && target != about {
        let what = format!("{name} relocates {target} by its header: krtld would leave {about} as it is");
        findings.unfit(Rule::RelaSection, what);
    }
}

/// A section that goes into memory.
fn loaded(section: &Section, findings: &mut Findings) {
    let Section { name, align, address, kind, .. } = section;
    if *address != 0 {
        let what = format!("{name}: non-zero sect addr {address:#x}: the file is not relocatable as it is");
        findings.refuse(Rule::SectionAddress, what);
    }
    if *align > ALIGNMENT || !align.is_power_of_two() {
        let what = format!("{name}: alignment {align} is no power of two up to 2 MiB");
        findings.refuse(Rule::SectionHeaders, what);
    }
    if section.size == 0 {
        return;
    }
    if section.is_code() && *kind != SHT_PROGBITS {
        findings.unfit(Rule::SectionType, format!("{name}: instructions in a section of type {kind}"));
    }
    let begins =
        |with: &[&str]| with.iter().any(|with| name == with || name.starts_with(&format!("{with}.")));
    let arrays = matches!(*kind, SHT_INIT_ARRAY | SHT_FINI_ARRAY | SHT_PREINIT_ARRAY);
    if arrays || begins(&[".init_array", ".fini_array", ".preinit_array", ".ctors", ".dtors"]) {
        let what = format!("{name}: constructors and destructors: the kernel loads them and never runs them");
        findings.refuse(Rule::Constructors, what);
    } else if begins(&[".init", ".fini"]) {
        findings.unfit(Rule::Constructors, format!("{name}: loaded, and never run"));
    }
    if section.flags.contains(SHF_TLS) || begins(&[".tdata", ".tbss"]) {
        let what = format!(
            "{name}: thread-local data: the kernel loads it as plain data and accesses to it go wrong"
        );
        findings.refuse(Rule::ThreadLocal, what);
    }
    if begins(&[".eh_frame", ".gcc_except_table"]) {
        let what = format!("{name}: {} bytes that nobody reads stay in kernel memory", section.size);
        findings.add(Severity::Warning, Rule::Unwinding, what);
    }
}
