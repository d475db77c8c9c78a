//! modinfo(8) for a module file, and what it needs from others.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use ddi_krtld::elf::{Object, PROBE};
use ddi_krtld::kernel::{self, Kernel};
use ddi_krtld::module::Module;
use ddi_krtld::modules::Known;
use ddi_process::proc::{self, Mapping};
use serde::{Deserialize, Serialize};

/// Why nothing can be said of a module.
#[derive(Debug, thiserror::Error)]
pub enum NoInfo {
    /// `_info` does not return a linkage.
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

/// A module that was loaded once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Number of the module.
    pub id: i64,
    /// Name of the module.
    pub name: String,
    /// Number of times that it was loaded.
    pub loads: usize,
    /// Place and size, while it is loaded.
    pub loaded: Option<Loaded>,
}

/// A module that is loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// Address of its text.
    pub base: u64,
    /// Bytes.
    pub size: u64,
    /// `_init` has succeeded.
    pub installed: bool,
    /// The driver's major number, if it has one.
    pub major: Option<u32>,
    /// The revision of its linkage.
    pub revision: i32,
    /// Descriptions of what it consists of.
    pub descriptions: Vec<String>,
}

/// Returns a module of the kernel itself. Its address and size are those of the host's code, for `unix`, or of its data.
pub fn own((id, name): (i64, &str)) -> Info {
    let executable = std::env::current_exe().unwrap_or_default();
    let mappings = proc::mappings(std::process::id().cast_signed()).into_iter();
    let of_code = |mapping: &Mapping| {
        Path::new(&mapping.name) == executable && mapping.mode.contains('x') == (name == "unix")
    };
    let mut parts = mappings.filter(of_code).map(|mapping| (mapping.start, mapping.end - mapping.start));
    let first = parts.next().unwrap_or_default();
    let (base, size) = parts.fold(first, |(base, size), (_, more)| (base, size + more));
    let (installed, descriptions) = (true, vec![String::new()]);
    let loaded = Loaded { base, size, installed, major: None, revision: 0, descriptions };
    Info { id, name: name.to_owned(), loads: 1, loaded: Some(loaded) }
}

/// Returns a module's entry. `major` is the driver's, if it has one; `module` is it while it is loaded.
///
/// # Errors
/// [`NoInfo::Info`].
pub fn of(
    known: Known,
    module: Option<&Module>,
    kernel: &dyn Kernel,
    major: Option<u32>,
) -> Result<Info, NoInfo> {
    let loaded = |module: &Module| -> Result<Loaded, NoInfo> {
        let mut infos = module.info(kernel)?;
        if infos.is_empty() {
            infos.push(String::new());
        }
        let kept = |info: String| info.chars().take(LINKINFO).collect();
        Ok(Loaded {
            base: module.base() as u64,
            size: module.size() as u64,
            installed: module.is_installed(),
            major,
            revision: 1,
            descriptions: infos.into_iter().map(kept).collect(),
        })
    };
    let loaded = module.map(loaded).transpose()?;
    Ok(Info { id: known.id as i64, name: known.name, loads: known.loads, loaded })
}

/// Returns modules as modinfo(8) prints them: those that are loaded or, with `count` (`-c`), all, with how often they were loaded. `wide` is `-w`. None if there are none.
pub fn table(modules: &[Info], wide: bool, count: bool) -> Option<String> {
    let header = if count { COUNT_HEADER } else { HEADER };
    let lines = modules.iter().map(|module| if count { count_line(module) } else { lines(module, wide) });
    let text: String = lines.collect();
    (!text.is_empty()).then(|| header.to_owned() + &text)
}

/// The line above the modules.
const HEADER: &str = " Id         Loadaddr   Size Info Rev Module Name\n";

/// The line above the modules with `-c`.
const COUNT_HEADER: &str = " Id    Loadcnt Module Name                            State\n";

fn count_line(module: &Info) -> String {
    let loaded = if module.loaded.is_some() { "LOADED" } else { "UNLOADED" };
    let is_installed = module.loaded.as_ref().is_some_and(|loaded| loaded.installed);
    let installed = if is_installed { "INSTALLED" } else { "UNINSTALLED" };
    format!("{:3} {:10} {:<32} {loaded}/{installed}\n", module.id, module.loads, module.name)
}

/// Returns the lines of a module, one for each description.
fn lines(module: &Info, wide: bool) -> String {
    let Some(Loaded { base, size, major, revision, descriptions, .. }) = &module.loaded else {
        return String::new();
    };
    let line = |info: &String| {
        let number = major.map_or_else(|| "  - ".to_owned(), |n| format!("{n:3} "));
        let name = format!("{} ({info})", module.name);
        let shown: String = if wide { name } else { name.chars().take(NARROW).collect() };
        format!("{:3} {base:16x} {size:6x} {number}{revision:3}  {shown}\n", module.id)
    };
    descriptions.iter().map(line).collect()
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
