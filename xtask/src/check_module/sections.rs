//! Sections that a module must not have, or that nobody will look at.

use super::elf::{Image, SHF_TLS, SHT_PROGBITS, SHT_REL, SHT_RELA, SHT_STRTAB, SHT_SYMTAB, Section};
use super::finding::{Rule, Severity, Verdict};

/// The largest alignment of a section, in bytes.
const ALIGNMENT: u64 = 2 << 20;
/// Bytes of text and data together that are surely too many.
const TOO_LARGE: u64 = 1 << 30;

/// Section types that the loader reads, or may pass over: the standard's, and what GNU's, LLVM's and Sun's tools add for themselves.
fn known(kind: u32) -> bool {
    matches!(kind, 0..=11 | 14..=19 | 0x6fff_4c00..=0x6fff_4cff | 0x6fff_ffe0..=0x6fff_ffff | 0x7000_0001)
}

/// Checks the sections' types, and that what holds relocations is what relocates its section.
pub fn types(image: &Image, verdict: &mut Verdict) {
    for section in &image.sections {
        let Section { name, kind, .. } = section;
        if !known(*kind) {
            let message =
                format!("{name}: type {kind:#x} is unknown; the loader takes no notice of what it holds");
            verdict.error(Rule::SectionType, message);
        } else if section.is_loaded() && matches!(*kind, SHT_SYMTAB | SHT_STRTAB | SHT_RELA | SHT_REL) {
            verdict.error(Rule::SectionType, format!("{name}: type {kind} is none of what is loaded"));
        }
        // The tables are found by their types and applied to the sections that they name by number. Compilers name them ".rela" and the section's name.
        let Some(about) = name.strip_prefix(".rela").filter(|about| !about.is_empty()) else { continue };
        let target = image.sections.get(section.info as usize).map_or("no section", |target| &target.name);
        let other = || image.sections.iter().any(|section| section.name == about && section.is_loaded());
        if *kind != SHT_RELA && section.size != 0 && other() {
            let message =
                format!("{name}: type {kind}, not RELA ({SHT_RELA}): {about} would not be relocated");
            verdict.error(Rule::RelaSection, message);
        } else if *kind == SHT_RELA && target != about && other() {
            let message = format!("{name} belongs to {target} by its header: {about} would not be relocated");
            verdict.error(Rule::RelaSection, message);
        }
    }
}

/// Checks the loaded sections.
pub fn check(image: &Image, verdict: &mut Verdict) {
    types(image, verdict);
    let (text, data) = image.sizes();
    if text.saturating_add(data) > TOO_LARGE {
        verdict.error(
            Rule::SectionHeaders,
            format!("{text} bytes of text and {data} of data do not fit the kernel"),
        );
    }
    for section in image.sections.iter().filter(|section| section.is_loaded()) {
        let Section { name, align, .. } = section;
        if *align > ALIGNMENT || *align != 0 && !align.is_power_of_two() {
            verdict.error(
                Rule::SectionHeaders,
                format!("{name}: alignment {align} is no power of two up to 2 MiB"),
            );
        }
        if section.is_code() && section.kind != SHT_PROGBITS && section.size != 0 {
            verdict.error(
                Rule::SectionType,
                format!("{name}: instructions in a section of type {}", section.kind),
            );
        }
    }
    for section in image.sections.iter().filter(|section| section.is_loaded() && section.size != 0) {
        let name = &section.name;
        let begins =
            |with: &[&str]| with.iter().any(|with| name == with || name.starts_with(&format!("{with}.")));
        if begins(&[".init_array", ".fini_array", ".preinit_array", ".ctors", ".dtors", ".init", ".fini"]) {
            verdict.error(Rule::Constructors, format!("{name}: loaded, and never run"));
        }
        if section.flags & SHF_TLS != 0 || begins(&[".tdata", ".tbss"]) {
            verdict
                .error(Rule::ThreadLocal, format!("{name}: the kernel has no thread-local data of modules"));
        }
        if begins(&[".eh_frame", ".gcc_except_table"]) {
            let message = format!("{name}: {} bytes that nobody reads stay in kernel memory", section.size);
            verdict.add(Severity::Warning, Rule::Unwinding, message);
        }
    }
}
