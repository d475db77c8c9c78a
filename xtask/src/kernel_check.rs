//! `cargo xtask kernel-check`: the crates that may run in a kernel compile for the kernel target.
//!
//! `cargo xtask module` compiles what a driver needs; that leaves out segdev, which no driver needs and which must build
//! there all the same. Nothing is linked, so nothing needs a panic handler.

use std::process::ExitCode;

use anyhow::{Context, Result};

use cargo_ddi::module::compile::Kernel;
use cargo_ddi::module::{sysroot, toolchain};

use crate::module::work_dir;
use crate::root;

/// The packages that are `no_std` and build with `panic=abort`.
const PACKAGES: [&str; 11] = [
    "ddi-sys",
    "devmap-plain",
    "devmap",
    "segdev",
    "segdev-illumos",
    "ctxdev-user",
    "ctxdev",
    "notice",
    "dmaboard",
    "engines",
    "drill",
];

/// Which packages to compile.
#[derive(clap::Args)]
pub struct Args {
    /// Compile only these packages of the workspace.
    #[arg(value_name = "PACKAGE")]
    packages: Vec<String>,
}

/// Compiles the packages; 1 when one does not compile (cargo has said why).
pub fn run(args: &Args) -> Result<ExitCode> {
    let toolchain = toolchain::find()?;
    println!("toolchain: {toolchain}");
    let packages = match args.packages.as_slice() {
        [] => PACKAGES.map(str::to_owned).to_vec(),
        some => some.to_vec(),
    };
    let work = work_dir();
    std::fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let sysroot = sysroot::find(&toolchain, &sysroot::cache()?, &|text| println!("{text}"))?;
    let kernel = Kernel { toolchain: &toolchain, sysroot: &sysroot, work: &work };
    for package in &packages {
        let command = ["build", "--lib", "--package", package];
        let status = kernel
            .cargo(&command, &root().join("Cargo.toml"), &[(&root(), "project")])
            .status()
            .with_context(|| format!("cannot run {}", toolchain.cargo.display()))?;
        if !status.success() {
            eprintln!("cargo xtask: {package} does not compile for the kernel");
            return Ok(ExitCode::from(1));
        }
        println!("{package}: compiles for the kernel");
    }
    Ok(ExitCode::SUCCESS)
}
