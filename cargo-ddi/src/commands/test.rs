//! `cargo ddi test`: the workspace's tests, with the drivers linked in, and again with their module files.

use std::ffi::OsString;
use std::fmt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use cargo_ddi::module::{Framework, Options, toolchain};
use serde::Serialize;

use super::module;
use crate::project::{Project, cargo};
use crate::ui::Ui;

/// The variable by which devmap-test is told where module files are.
const MODULES: &str = "DEVMAP_TEST_MODULES";

/// Arguments of `test`.
#[derive(clap::Args)]
pub struct Args {
    /// Run the tests by nextest.
    #[arg(long)]
    nextest: bool,
    /// Test with the drivers linked in only.
    #[arg(long)]
    linked: bool,
    /// The devmap framework under the module files: the kernel's, or the module's own (default: each package's choice).
    #[arg(long, value_name = "WHOSE", conflicts_with = "linked")]
    framework: Option<Framework>,
    /// Options and arguments of cargo test.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

/// Result of both runs.
#[derive(Serialize)]
struct Tested {
    linked: Outcome,
    module: Outcome,
}

#[derive(Serialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Passed,
    Failed,
    Skipped(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Passed => write!(out, "passed"),
            Outcome::Failed => write!(out, "FAILED"),
            Outcome::Skipped(why) => write!(out, "skipped: {why}"),
        }
    }
}

impl fmt::Display for Tested {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "linked in: {}\nmodule file: {}", self.linked, self.module)
    }
}

/// Runs the tests. 1 if one fails.
pub fn run(args: &Args, ui: &Ui) -> Result<ExitCode> {
    let here = std::env::current_dir().context("the current directory is gone")?;
    let project = Project::find(&here)?;
    let drivers = project.all_drivers()?;
    let tests = |packages: &[String]| {
        let mut command = cargo();
        let words: &[&str] = if args.nextest { &["nextest", "run"] } else { &["test"] };
        command.args(words).current_dir(&here).env_remove(MODULES);
        // The caller's own choice of packages goes for both runs.
        let chosen = args.arguments.iter().any(|word| word == "-p" || word == "--package");
        command.args(packages.iter().filter(|_| !chosen)).args(&args.arguments);
        command
    };
    if args.nextest && !cargo().args(["nextest", "--version"]).output().is_ok_and(|out| out.status.success())
    {
        bail!("cargo-nextest is not installed: cargo install --locked cargo-nextest");
    }
    ui.doing("Testing", "the drivers, linked in");
    let linked = outcome(&mut tests(&["--workspace".to_owned()]), ui)?;
    let module = match toolchain::find() {
        _ if args.linked => Outcome::Skipped("--linked".to_owned()),
        _ if drivers.is_empty() => Outcome::Skipped("the workspace has no driver".to_owned()),
        Err(why) => Outcome::Skipped(why.to_string()),
        Ok(toolchain) => {
            // In a directory of their own, under the names of their drivers, whatever the framework.
            let dir = project.target.join("ddi/test");
            for driver in &drivers {
                let output = Some(dir.join(&driver.name));
                let options = Options { framework: args.framework, output, ..Options::default() };
                module::build(&toolchain, &project, driver, &options, ui)?;
            }
            ui.doing("Testing", "the module files");
            // Other packages have no driver in their tests.
            let packages: Vec<String> =
                drivers.iter().map(|driver| format!("--package={}", driver.name)).collect();
            outcome(tests(&packages).env(MODULES, dir), ui)?
        }
    };
    let failed = [&linked, &module].contains(&&Outcome::Failed);
    ui.result(&Tested { linked, module })?;
    Ok(ExitCode::from(u8::from(failed)))
}

/// Runs the tests. What they print is progress if the result is JSON.
fn outcome(command: &mut Command, ui: &Ui) -> Result<Outcome> {
    if ui.json {
        command.stdout(std::io::stderr());
    }
    let status = command.status().context("cannot run cargo")?;
    Ok(if status.success() { Outcome::Passed } else { Outcome::Failed })
}
