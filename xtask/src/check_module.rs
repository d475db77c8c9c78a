//! `cargo xtask check-module`: a module file checked by [`cargo_ddi::check`].

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use cargo_ddi::check;

/// Which file to check, and against what.
#[derive(clap::Args)]
pub struct Args {
    /// The module, as it would be put into /kernel/drv/amd64.
    file: PathBuf,
    #[command(flatten)]
    options: check::Against,
}

/// Checks a file and prints the verdict.
pub fn run(args: &Args) -> Result<ExitCode> {
    let verdict = args.options.check(&args.file)?;
    println!("{verdict}");
    Ok(if verdict.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
