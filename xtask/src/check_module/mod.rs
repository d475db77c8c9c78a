//! `cargo xtask check-module`: will the illumos kernel load this object, and may its code run there?
//!
//! The rules are those of the kernel's module loader (what it accepts, what it refuses, and what it accepts and gets
//! wrong), and of kernel code in general: no floating point or vector registers, no `%fs`, no red zone, small stack
//! frames. Panics that callbacks can reach are shown with their path.
//!
//! - [`elf`] reads the file the way the loader does; [`header`] is about what it refuses before it looks further
//! - [`symbols`], [`relocations`], [`sections`] are the loader's rules, [`depends`] the modules that it loads first
//! - [`code`] disassembles, [`graph`] follows the calls: panics and stack depth
//! - [`options`] is what a module is checked against, [`finding`] what comes out
//!
//! [`check`] is the library form: bytes in, [`Verdict`] out.

mod code;
mod depends;
mod elf;
mod finding;
mod graph;
mod header;
mod options;
mod relocations;
mod sections;
mod symbols;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};

use finding::Rule;
pub use finding::Verdict;
pub use options::{Dependency, Options};

/// Which file to check, and against what.
#[derive(clap::Args)]
pub struct Args {
    /// The module, as it would be put into /kernel/drv/amd64.
    file: PathBuf,
    /// A module that this one may need, by the name that it records and the file that defines its symbols.
    #[arg(long, value_name = "NAME=FILE")]
    dependency: Vec<String>,
    /// Count a panic that a callback can reach as an error.
    #[arg(long)]
    deny_panics: bool,
    /// The largest stack frame of one function, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 2048)]
    frame_limit: u64,
    /// The deepest stack of direct calls, in bytes (a kernel thread has 20 KiB, interrupts included).
    #[arg(long, value_name = "BYTES", default_value_t = 8192)]
    stack_limit: u64,
}

/// Checks a file and prints the verdict.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut dependencies = Vec::new();
    for dependency in &args.dependency {
        dependencies.push(read_dependency(dependency)?);
    }
    let options = Options {
        dependencies,
        deny_panics: args.deny_panics,
        frame_limit: args.frame_limit,
        stack_limit: args.stack_limit,
    };
    let bytes = fs::read(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let name = args.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let verdict = check(&name, &bytes, &options);
    println!("{verdict}");
    Ok(if verdict.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks one module.
pub fn check(name: &str, bytes: &[u8], options: &Options) -> Verdict {
    let mut verdict = Verdict::new(name);
    if name.len() > 31 {
        verdict.error(Rule::Name, format!("{} characters; the loader takes at most 31", name.len()));
    }
    let Some(image) = header::check(bytes, &mut verdict) else { return verdict };
    sections::check(&image, &mut verdict);
    let depends = depends::check(&image, &mut verdict);
    symbols::check(&image, &depends, options, &mut verdict);
    relocations::check(&image, &mut verdict);
    let functions = code::check(&image, &mut verdict);
    graph::check(&image, &functions, options, &mut verdict);
    verdict
}

fn read_dependency(text: &str) -> Result<Dependency> {
    let (name, file) =
        text.split_once('=').ok_or_else(|| anyhow!("--dependency wants NAME=FILE, not {text}"))?;
    let bytes = fs::read(Path::new(file)).with_context(|| format!("cannot read {file}"))?;
    let mut verdict = Verdict::new(file);
    let image = header::check(&bytes, &mut verdict).ok_or_else(|| {
        anyhow!("{file} is not a module: {}", verdict.first_error().unwrap_or("unreadable"))
    })?;
    let defined = image.symbols.iter().filter(|symbol| symbol.is_defined() && !symbol.is_local());
    Ok(Dependency { name: name.to_owned(), symbols: defined.map(|symbol| symbol.name.clone()).collect() })
}
