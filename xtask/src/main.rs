//! The project's own build steps, run as `cargo xtask COMMAND`.
//!
//! Every command lives in a module of its own, which has an `Args` and a `run`; this file only lists them. Exit status:
//! 0 when the command did its work (and found nothing wrong, where it checks something), 1 when a check failed, 2 when
//! the command could not do its work.

#[macro_use]
mod output;

mod bindings;
mod chart;
mod check_module;
mod fuzz;
mod kernel_check;
mod miri;
mod module;
mod perf;
mod pictures;
mod storm;
mod svg;
mod unsafe_code;
mod vm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own build steps.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Regenerate ddi-sys/src/bindings.rs from the C headers, or check that it is up to date.
    Bindings(bindings::Args),
    /// Check that the illumos kernel loads a module and that its code may run there.
    CheckModule(check_module::Args),
    /// Feed the readers of files and messages from libFuzzer.
    Fuzz(fuzz::Args),
    /// Run tests of unsafe code under Miri, which finds undefined behaviour, data races and leaks.
    Miri(miri::Args),
    /// Build the kernel module that add_drv installs from a driver crate.
    Module(module::Args),
    /// Compile every crate that may run in a kernel for the kernel target, also those of which no module is made.
    KernelCheck(kernel_check::Args),
    /// Write the matrix in docs/verified.md from the reports of runs.
    Verified(vm::verified::Args),
    /// Measure the cost of the framework, compared with the reference's.
    Perf(perf::Args),
    /// Draw the documentation's pictures from runs that it makes.
    Pictures(pictures::Args),
    /// Run random programs to which everything happens that may happen to a process.
    Storm(storm::Args),
    /// Count the unsafe code of each package.
    Unsafe(unsafe_code::Args),
    /// Run the suite in a virtual machine.
    Vm(vm::Args),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(said) if said.use_stderr() => said.exit(),
        Err(said) => {
            print!("{}", said.render());
            return ExitCode::SUCCESS;
        }
    };
    let outcome = match cli.command {
        Command::Bindings(args) => bindings::run(&args),
        Command::CheckModule(args) => check_module::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Miri(args) => miri::run(&args),
        Command::Module(args) => module::run(&args),
        Command::KernelCheck(args) => kernel_check::run(&args),
        Command::Verified(args) => vm::verified::run(&args),
        Command::Perf(args) => perf::run(&args),
        Command::Pictures(args) => pictures::run(&args),
        Command::Storm(args) => storm::run(&args),
        Command::Unsafe(args) => unsafe_code::run(&args),
        Command::Vm(args) => vm::run(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cargo xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// The workspace's root, whatever the current directory is.
fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}
