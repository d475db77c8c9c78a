//! Rules for module files: the loader's, and those for code that runs in a kernel.
//!
//! The loader ([`Object::parse`]) refuses what is [`Refused`](crate::finding::Severity::Refused): what the kernel's module loader refuses, or
//! accepts and gets wrong. [`check`](check()) finds the same, and what a loaded module must not do or be: floating point and vector registers, `%fs`, the
//! red zone, large stack frames, names that everybody can see. Panics that callbacks can reach are shown with their path.
//!
//! - `sections`, `symbols`, `relocations` are the loader's rules; the headers' are where they are read, in [`elf`](crate::elf)
//! - `code` disassembles, `registers` says which registers are not the module's, `graph` follows the calls: panics and stack depth
//! - `options` is what a module is checked against

#[cfg(test)]
mod bounds;
mod code;
mod graph;
mod options;
pub(crate) mod registers;
pub(crate) mod relocations;
mod sections;
mod symbols;
#[cfg(test)]
mod tests;

pub use options::{Dependency, Options};

use crate::elf::Object;
use crate::error::{LoadError, Problem};
use crate::finding::{Finding, Findings, Rule, Severity};

/// Everything that can be said of a module file: what is wrong with it, and what was counted.
///
/// ```
/// use ddi_krtld::check::{Options, check};
/// use ddi_krtld::finding::{Rule, Severity};
///
/// let findings = check(b"#!/bin/sh", &Options::default());
/// assert_eq!((findings[0].severity, findings[0].rule), (Severity::Refused, Rule::Kind));
/// assert_eq!(findings[0].to_string(), "file kind: not an ELF file");
/// ```
pub fn check(bytes: &[u8], options: &Options) -> Vec<Finding> {
    let mut findings = Findings::default();
    let Some(object) = Object::read(bytes.to_vec(), &mut findings) else { return findings.into_vec() };
    let (text, data) = object.sizes();
    findings.fact(
        Rule::Kind,
        format!("ELF64 relocatable object for amd64: {text} bytes of text, {data} of data"),
    );
    loadable(&object, &mut findings);
    findings.fact(
        Rule::Dependencies,
        match &object.depends[..] {
            [] => "needs no other module".to_owned(),
            names => format!("needs {}", names.join(", ")),
        },
    );
    symbols::names(&object, options, &mut findings);
    let functions = code::check(&object, &mut findings);
    graph::check(&object, &functions, options, &mut findings);
    findings.into_vec()
}

impl Object {
    /// Reads a module file that the loader is to load. `module` is its name, for messages.
    ///
    /// # Errors
    /// Everything that krtld refuses about headers, sections, symbols and relocations, and what it accepts and gets wrong.
    pub fn parse(module: &str, data: Vec<u8>) -> Result<Object, LoadError> {
        let mut findings = Findings::default();
        let object = Object::read(data, &mut findings);
        if let Some(object) = &object {
            loadable(object, &mut findings);
        }
        let refused = findings.into_vec().into_iter().filter(|finding| finding.severity == Severity::Refused);
        let problems: Vec<Problem> = refused.map(Problem::Finding).collect();
        match object {
            Some(object) if problems.is_empty() => Ok(object),
            _ => Err(LoadError::new(module, problems)),
        }
    }
}

/// The rules that need to know of nothing but the file.
pub(crate) fn loadable(object: &Object, findings: &mut Findings) {
    sections::check(object, findings);
    symbols::check(object, findings);
    relocations::check(object, findings);
}
