//! `cargo ddi module`: the file that add_drv installs, from the driver of the current directory.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use cargo_ddi::module::toolchain::{self, Toolchain};
use cargo_ddi::module::{Builder, Module, Options, Package};
use serde::Serialize;

use crate::project::Project;
use crate::ui::Ui;

/// Arguments of `module`.
#[derive(clap::Args)]
pub struct Args {
    /// A driver of the workspace (default: that of the current directory, or the only one). May be repeated.
    #[arg(short, long = "package", value_name = "PACKAGE")]
    packages: Vec<String>,
    #[command(flatten)]
    options: Options,
}

/// Modules that were built.
#[derive(Serialize)]
pub struct Built {
    /// The compiler.
    toolchain: String,
    modules: Vec<File>,
}

#[derive(Serialize)]
struct File {
    name: String,
    path: PathBuf,
    framework: &'static str,
    text: u64,
    data: u64,
    size: u64,
}

impl fmt::Display for Built {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.modules.iter().try_for_each(|file| {
            let File { path, text, data, size, .. } = file;
            writeln!(out, "{}: {text} bytes of text, {data} of data, {size} in the file", path.display())
        })
    }
}

/// Builds the modules and prints their sizes.
pub fn run(args: &Args, ui: &Ui) -> Result<ExitCode> {
    let here = std::env::current_dir().context("the current directory is gone")?;
    let project = Project::find(&here)?;
    let toolchain = toolchain::find()?;
    let drivers = project.drivers(&args.packages, &here)?;
    let mut modules = Vec::new();
    for driver in &drivers {
        let Module { path, name, framework, text, data, size } =
            build(&toolchain, &project, driver, &args.options, ui)?;
        modules.push(File { name, path, framework: framework.name(), text, data, size });
    }
    ui.result(&Built { toolchain: toolchain.to_string(), modules })?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the module of a driver into the project's target directory.
pub fn build(
    toolchain: &Toolchain,
    project: &Project,
    driver: &Package,
    options: &Options,
    ui: &Ui,
) -> Result<Module> {
    ui.doing("Building", format!("module {} with {toolchain}", driver.name));
    let progress = |text: &str| ui.note(text);
    let builder = Builder {
        toolchain,
        work: project.target.join("ddi/kernel"),
        modules: project.target.join("module"),
        progress: &progress,
    };
    builder.build(driver, options)
}
