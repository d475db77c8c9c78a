//! Sections that a module must not have, or that nobody will look at.

use super::elf::{Image, SHF_TLS};
use super::finding::{Rule, Severity, Verdict};

/// Checks the loaded sections.
pub fn check(image: &Image, verdict: &mut Verdict) {
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
