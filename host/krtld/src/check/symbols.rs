//! Symbols: what kind they are, what is looked up elsewhere, what is given to others, and the entry points.

use std::collections::BTreeMap;

use object::elf::{STT_FUNC, STT_GNU_IFUNC, STT_TLS};

use super::options::{Dependency, Options};
use super::relocations::{WEAK_RELATIVE, site};
use crate::elf::{Binding, DEPENDS_ON, ENTRY_POINTS, Object, PROBE, Rela, Symbol, plain};
use crate::finding::{Findings, Rule, Severity};
use crate::kernel;
use crate::reloc::{self, Field};

/// Checks every symbol's kind.
pub fn check(object: &Object, findings: &mut Findings) {
    for symbol in &object.symbols {
        let name = plain(&symbol.name);
        if symbol.kind == STT_TLS {
            findings.refuse(Rule::ThreadLocal, format!("{name}: TLS symbol not supported"));
        } else if symbol.kind == STT_GNU_IFUNC {
            let what = format!(
                "{name}: an indirect function (IFUNC), which the kernel takes for the function itself"
            );
            findings.refuse(Rule::IndirectFunction, what);
        } else if symbol.common() {
            let what =
                format!("{name}: becomes the kernel's symbol of that name when there is one: -fno-common");
            findings.unfit(Rule::Common, what);
        }
    }
}

/// Checks the names: those that the module leaves to others, and those that it gives to them.
pub fn names(object: &Object, options: &Options, findings: &mut Findings) {
    entry_points(object, findings);
    let (mut from_kernel, mut from_modules, mut probes) = (0, BTreeMap::<&str, usize>::new(), 0);
    let symbols = object.symbols.iter().enumerate().skip(1).filter(|(_, symbol)| symbol.external());
    for (index, symbol) in symbols.filter(|(_, symbol)| !matches!(symbol.kind, STT_TLS | STT_GNU_IFUNC)) {
        let name = &symbol.name;
        let shown = plain(name);
        if symbol.is_defined() {
            global(symbol, findings);
        } else if symbol.common() {
        } else if unwinds(name) {
            let what = format!("{shown}: there is no unwinder in the kernel: panic=abort");
            findings.unfit(Rule::Unwinding, what);
        } else if name == "_GLOBAL_OFFSET_TABLE_" {
            let what = format!("{shown}: there is none in the kernel: compile with -mcmodel=kernel -fno-pic");
            findings.unfit(Rule::RelocationType, what);
        } else if name.starts_with(PROBE) {
            probes += 1;
        } else if let Some(module) = provider(name, &object.depends, options) {
            *from_modules.entry(module).or_default() += 1;
        } else {
            let known = kernel::illumos_has(name);
            from_kernel += usize::from(known);
            if symbol.binding == Binding::Weak {
                weak(object, index, symbol, findings);
            } else if !known {
                findings.unfit(Rule::Undefined, undefined(name, options, object, index));
            }
        }
    }
    let modules =
        from_modules.iter().map(|(module, count)| format!(", {count} from {module}")).collect::<String>();
    let probes = if probes == 0 { String::new() } else { format!(", {probes} probes") };
    findings.fact(Rule::Undefined, format!("uses {from_kernel} symbols of the kernel{modules}{probes}"));
}

fn entry_points(object: &Object, findings: &mut Findings) {
    for name in ENTRY_POINTS {
        // The first of a name wins, local or global.
        let Some(symbol) = object.own(name).map(|index| &object.symbols[index]) else {
            let missing = match name {
                "_init" => "the module cannot be installed",
                "_fini" => "the module can never be unloaded",
                _ => "nothing tells what the module is",
            };
            findings.unfit(Rule::EntryPoints, format!("no {name}: {missing}"));
            continue;
        };
        let section = object.sections.get(usize::from(symbol.section));
        let in_code = section.is_some_and(|section| section.is_code() && symbol.value < section.size);
        if symbol.kind != STT_FUNC || !in_code {
            findings.unfit(Rule::EntryPoints, format!("{name} is not a function"));
        }
    }
}

/// A definition that other modules can see.
fn global(symbol: &Symbol, findings: &mut Findings) {
    let name = symbol.name.as_str();
    if name.is_empty() || ENTRY_POINTS.contains(&name) || name == DEPENDS_ON {
        return;
    }
    let shown = plain(name);
    if symbol.binding != Binding::Weak && kernel::illumos_has(name) && !kernel::may_redefine(name) {
        findings.unfit(
            Rule::MultiplyDefined,
            format!("{shown}: the kernel has a symbol of that name: make it local (a mapfile)"),
        );
    } else {
        let message =
            format!("{shown}: visible to every module; only the entry points should be (a mapfile)");
        findings.unfit(Rule::GlobalDefinition, message);
    }
}

/// A weak symbol that may be missing: its relocations are then not applied, so only an absolute address can be tested.
fn weak(object: &Object, index: usize, symbol: &Symbol, findings: &mut Findings) {
    let relative = |rela: &&Rela| rela.symbol == index && reloc::field(rela.kind).is_ok_and(Field::relative);
    match object.relocations.iter().find(relative) {
        Some(rela) => findings.unfit(Rule::WeakReference, site(object, rela, WEAK_RELATIVE)),
        None => {
            let what = format!("{} may be missing; its address is then 0", symbol.name);
            findings.add(Severity::Note, Rule::WeakReference, what);
        }
    }
}

/// The recorded dependency that defines a name, in the order named.
fn provider<'a>(name: &str, depends: &[String], options: &'a Options) -> Option<&'a str> {
    let given = |wanted: &String| options.dependencies.iter().find(|dependency| dependency.name == *wanted);
    let mut modules = depends.iter().filter_map(given);
    modules
        .find(|module| module.symbols.iter().any(|symbol| symbol == name))
        .map(|module| module.name.as_str())
}

fn undefined(name: &str, options: &Options, object: &Object, index: usize) -> String {
    let place = object.relocations.iter().find(|relocation| relocation.symbol == index);
    let place = place
        .map(|place| format!(" (used by {})", object.place(place.target, place.offset)))
        .unwrap_or_default();
    let has = |module: &&Dependency| module.symbols.iter().any(|symbol| symbol == name);
    let known = |name: &&String| options.dependencies.iter().any(|dependency| dependency.name == **name);
    let shown = plain(name);
    if let Some(module) = options.dependencies.iter().find(has) {
        return format!(
            "{shown}{place}: {} defines it, but the module does not record that it needs it",
            module.name
        );
    }
    match object.depends.iter().filter(|name| !known(name)).map(String::as_str).collect::<Vec<_>>()[..] {
        [] => format!(
            "{shown}{place}: none of the illumos kernel's names that are known here; a module that defines it has to be recorded"
        ),
        ref unknown => format!(
            "{shown}{place}: not the kernel's; give {} with --dependency NAME=FILE",
            unknown.join(", ")
        ),
    }
}

/// Names by which compilers refer to an unwinder.
fn unwinds(name: &str) -> bool {
    let exact =
        ["rust_eh_personality", "__gxx_personality_v0", "__gcc_personality_v0", "__register_frame_info"];
    name.starts_with("_Unwind_") || name.starts_with("__cxa_") || exact.contains(&name)
}
