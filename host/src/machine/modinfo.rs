//! modinfo(8) for a module file, and what it needs from others.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use ddi_krtld::elf::{Object, PROBE};
use ddi_krtld::kernel::{self, Kernel};
use ddi_krtld::module::Module;
use ddi_krtld::modules::Known;
use ddi_process::proc::{self, Mapping};

/// Why nothing can be said of a module.
#[derive(Debug, thiserror::Error)]
pub enum NoInfo {
    /// Its `_info` does not answer with a linkage.
    #[error(transparent)]
    Info(#[from] ddi_krtld::InfoError),
    /// The file cannot be read.
    #[error("{}: {error}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is no module.
    #[error(transparent)]
    Object(#[from] ddi_krtld::LoadError),
    /// There is no memory to load it into.
    #[error(transparent)]
    Memory(#[from] ddi_kernel::vm::NoMemory),
}

/// Longest description that the kernel keeps, without the NUL.
const LINKINFO: usize = 31;
/// Characters of "name (description)" that modinfo shows unless asked for more.
const NARROW: usize = 43;

/// The line above the modules, as modinfo(8) prints it.
pub const HEADER: &str = " Id         Loadaddr   Size Info Rev Module Name\n";

/// The line above the modules with `-c`.
pub const COUNT_HEADER: &str = " Id    Loadcnt Module Name                            State\n";

/// The line of a module with `-c`: how often it was loaded, and whether it is. `module` is it while it is loaded.
pub fn count_line(known: &Known, module: Option<&Module>) -> String {
    let loaded = if module.is_some() { "LOADED" } else { "UNLOADED" };
    let installed = if module.is_some_and(Module::is_installed) { "INSTALLED" } else { "UNINSTALLED" };
    format!("{:3} {:10} {:<32} {loaded}/{installed}\n", known.id, known.loads, known.name)
}

/// The line of a module of the kernel itself. Where it is and how large is what is so of the host's code, for `unix`, and of its data.
pub fn own((id, name): (i64, &str), count: bool) -> String {
    if count {
        return format!("{id:3} {:10} {name:<32} LOADED/INSTALLED\n", 1);
    }
    let executable = std::env::current_exe().unwrap_or_default();
    let mappings = proc::mappings(std::process::id().cast_signed()).into_iter();
    let of_code = |mapping: &Mapping| {
        Path::new(&mapping.name) == executable && mapping.mode.contains('x') == (name == "unix")
    };
    let mut parts = mappings.filter(of_code).map(|mapping| (mapping.start, mapping.end - mapping.start));
    let first = parts.next().unwrap_or_default();
    let (base, size) = parts.fold(first, |(base, size), (_, more)| (base, size + more));
    format!("{id:3} {base:16x} {size:6x}   -   0  {name} ()\n")
}

/// The lines of a loaded module, as modinfo(8) prints them. `major` is the driver's, if it has one; `wide` is `-w`.
///
/// # Errors
/// [`NoInfo::Info`].
pub fn lines(module: &Module, kernel: &dyn Kernel, major: Option<u32>, wide: bool) -> Result<String, NoInfo> {
    let mut text = String::new();
    let mut infos = module.info(kernel)?;
    if infos.is_empty() {
        infos.push(String::new());
    }
    for info in infos {
        let info: String = info.chars().take(LINKINFO).collect();
        let number = major.map_or_else(|| "  - ".to_owned(), |n| format!("{n:3} "));
        let name = format!("{} ({info})", module.name());
        let shown: String = if wide { name } else { name.chars().take(NARROW).collect() };
        let _ = writeln!(
            text,
            "{:3} {:16x} {:6x} {number}  1  {shown}",
            module.id(),
            module.base(),
            module.size()
        );
    }
    Ok(text)
}

/// The names that a module file leaves to others, one per line: who has it, and which of the module's functions need it. Nothing is loaded.
///
/// # Errors
/// [`NoInfo::Read`], [`NoInfo::Object`].
pub fn undefined(file: &Path, kernel: &dyn Kernel) -> Result<String, NoInfo> {
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let data = std::fs::read(file).map_err(|error| NoInfo::Read { file: file.to_owned(), error })?;
    let object = Object::parse(&name, data)?;
    let mut lines = Vec::new();
    for (index, symbol) in object.symbols.iter().enumerate() {
        if index == 0 || symbol.name.is_empty() || !symbol.undefined() {
            continue;
        }
        let whose = if symbol.name.starts_with(PROBE) {
            "probe"
        } else if kernel.lookup(&symbol.name).is_some() {
            "host"
        } else if kernel::illumos_has(&symbol.name) {
            "illumos only"
        } else if !object.depends.is_empty() {
            "a dependency?"
        } else {
            "not known"
        };
        let mut users: Vec<String> = object
            .relocations
            .iter()
            .filter(|r| r.symbol == index)
            .map(|r| object.function_at(r.target, r.offset))
            .collect();
        users.sort();
        users.dedup();
        lines.push(format!("{:<28} {whose:<13} {}", symbol.name, users.join(" ")).trim_end().to_owned());
    }
    lines.sort();
    let mut text: String = lines.into_iter().map(|line| line + "\n").collect();
    if !object.depends.is_empty() {
        let _ = writeln!(text, "depends on {}", object.depends.join(" "));
    }
    Ok(text)
}
