//! Symbols: what is looked up elsewhere, what is given to others, and the entry points.

use std::collections::{BTreeMap, BTreeSet};

use super::depends;
use super::elf::{
    Image, SHN_COMMON, SHN_UNDEF, STB_WEAK, STT_FUNC, STT_GNU_IFUNC, STT_TLS, Symbol, readable,
};
use super::finding::{Rule, Severity, Verdict};
use super::options::{Dependency, Options};

/// Every global name of the primary kernel modules.
const KERNEL: &str = include_str!("../../../host/krtld/data/kernel-symbols.txt");

/// Those of recent kernels that compilers refer to by themselves.
const KERNEL_COMPILER: &str = include_str!("../../../host/krtld/data/kernel-symbols-compiler.txt");

/// Functions of modules that are always loaded, which the kernel proper exports as stubs.
const KERNEL_STUBS: &str = include_str!("../../../host/krtld/data/kernel-symbols-stubs.txt");

/// Names that a module may define as the kernel does without a message.
const TOLERATED: [&str; 14] = [
    "memcpy",
    "memset",
    "memmove",
    "memcmp",
    "memchr",
    "strstr",
    "strncat",
    "strlcat",
    "strlcpy",
    "strspn",
    "__udivdi3",
    "__divdi3",
    "__umoddi3",
    "__moddi3",
];

/// The three functions that the loader looks for.
pub const ENTRY_POINTS: [&str; 3] = ["_init", "_fini", "_info"];

/// Where the names of DTrace's static probes begin.
pub const PROBE: &str = "__dtrace_probe_";

/// Checks every symbol. `depends` are the modules that this one records.
pub fn check(image: &Image, depends: &[String], options: &Options, verdict: &mut Verdict) {
    let kernel: BTreeSet<&str> =
        KERNEL.lines().chain(KERNEL_COMPILER.lines()).chain(KERNEL_STUBS.lines()).collect();
    entry_points(image, verdict);
    let (mut from_kernel, mut from_modules, mut probes) = (0, BTreeMap::<&str, usize>::new(), 0);
    for (index, symbol) in image.symbols.iter().enumerate().skip(1) {
        let name = &symbol.name;
        let shown = readable(name);
        if symbol.kind == STT_TLS {
            verdict
                .error(Rule::ThreadLocal, format!("{shown}: the kernel has no thread-local data of modules"));
        } else if symbol.kind == STT_GNU_IFUNC {
            verdict.error(
                Rule::IndirectFunction,
                format!("{shown}: the loader would call the resolver as the function"),
            );
        } else if symbol.section == SHN_COMMON {
            let message =
                format!("{shown}: becomes the kernel's symbol of that name when there is one: -fno-common");
            verdict.error(Rule::Common, message);
        } else if symbol.section == SHN_UNDEF {
            if symbol.is_local() {
                continue;
            }
            if unwinds(name) {
                verdict.error(
                    Rule::Unwinding,
                    format!("{shown}: there is no unwinder in the kernel: panic=abort"),
                );
            } else if name == "_GLOBAL_OFFSET_TABLE_" {
                let message =
                    format!("{shown}: there is none in the kernel: compile with -mcmodel=kernel -fno-pic");
                verdict.error(Rule::RelocationType, message);
            } else if name.starts_with(PROBE) {
                probes += 1;
            } else if let Some(module) = provider(name, depends, options) {
                *from_modules.entry(module).or_default() += 1;
            } else if kernel.contains(&**name) {
                from_kernel += 1;
                if symbol.binding == STB_WEAK {
                    weak(image, index, symbol, verdict);
                }
            } else if symbol.binding == STB_WEAK {
                weak(image, index, symbol, verdict);
            } else {
                verdict.error(Rule::Undefined, undefined(name, depends, options, image, index));
            }
        } else if !symbol.is_local() && !name.is_empty() {
            global(symbol, &kernel, verdict);
        }
    }
    let modules =
        from_modules.iter().map(|(module, count)| format!(", {count} from {module}")).collect::<String>();
    let probes = if probes == 0 { String::new() } else { format!(", {probes} probes") };
    verdict.fact(format!("uses {from_kernel} symbols of the kernel{modules}{probes}"));
}

fn entry_points(image: &Image, verdict: &mut Verdict) {
    for name in ENTRY_POINTS {
        // The first of a name wins, local or global.
        let Some(symbol) = image.symbols.iter().find(|symbol| symbol.name == name && symbol.is_defined())
        else {
            let missing = match name {
                "_init" => "the module cannot be installed",
                "_fini" => "the module can never be unloaded",
                _ => "nothing tells what the module is",
            };
            verdict.error(Rule::EntryPoints, format!("no {name}: {missing}"));
            continue;
        };
        let section = image.sections.get(usize::from(symbol.section));
        let in_code = section.is_some_and(|section| section.is_code() && symbol.value < section.size);
        if symbol.kind != STT_FUNC || !in_code {
            verdict.error(Rule::EntryPoints, format!("{name} is not a function"));
        }
    }
}

/// A definition that other modules can see.
fn global(symbol: &Symbol, kernel: &BTreeSet<&str>, verdict: &mut Verdict) {
    let name = symbol.name.as_str();
    if ENTRY_POINTS.contains(&name) || name == depends::DEPENDS_ON {
        return;
    }
    let shown = readable(name);
    if symbol.binding != STB_WEAK && kernel.contains(name) && !TOLERATED.contains(&name) {
        verdict.error(
            Rule::MultiplyDefined,
            format!("{shown}: the kernel has a symbol of that name: make it local (a mapfile)"),
        );
    } else {
        let message =
            format!("{shown}: visible to every module; only the entry points should be (a mapfile)");
        verdict.error(Rule::GlobalDefinition, message);
    }
}

/// A weak symbol that may be missing: its relocations are then not applied, so only an absolute address can be tested.
fn weak(image: &Image, index: usize, symbol: &Symbol, verdict: &mut Verdict) {
    let absolute = [1, 10, 11];
    let used = image
        .relocations
        .iter()
        .find(|relocation| relocation.symbol == index && !absolute.contains(&relocation.kind));
    if let Some(relocation) = used {
        let place = image.place(relocation.section, relocation.offset);
        let message = format!(
            "{} is weak and used pc-relatively at {place}: when it is missing, the next instruction is called",
            symbol.name
        );
        verdict.error(Rule::WeakReference, message);
    } else {
        verdict.add(
            Severity::Note,
            Rule::WeakReference,
            format!("{} may be missing; its address is then 0", symbol.name),
        );
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

fn undefined(name: &str, depends: &[String], options: &Options, image: &Image, index: usize) -> String {
    let place = image.relocations.iter().find(|relocation| relocation.symbol == index);
    let place = place
        .map(|place| format!(" (used by {})", image.place(place.section, place.offset)))
        .unwrap_or_default();
    let has = |module: &&Dependency| module.symbols.iter().any(|symbol| symbol == name);
    let known = |name: &&String| options.dependencies.iter().any(|dependency| dependency.name == **name);
    let shown = readable(name);
    if let Some(module) = options.dependencies.iter().find(has) {
        return format!(
            "{shown}{place}: {} defines it, but the module does not record that it needs it",
            module.name
        );
    }
    match depends.iter().filter(|name| !known(name)).map(String::as_str).collect::<Vec<_>>()[..] {
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
