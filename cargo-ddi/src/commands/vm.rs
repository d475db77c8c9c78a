//! `cargo ddi vm`: the driver in a virtual machine, installed as its package says and tested by programs, by [`ddi_vm`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use cargo_ddi::illumos::{self, Program};
use cargo_ddi::module::{Framework, Options, Package, sysroot};
use cargo_ddi::package;
use clap::Subcommand;
use ddi_vm::guest::{self, Boot, Guest};
use ddi_vm::subject::Description;
use ddi_vm::{Interrupt, Job, Places, Progress, Sabotage, Subject};
use serde::Serialize;

use super::package::files;
use crate::project::{Project, cargo};
use crate::ui::Ui;

/// The driver in a virtual machine.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Boot a guest, install the driver, run test programs, remove the driver.
    Test(Test),
    /// List the guests.
    Guests,
}

/// Arguments of `vm test`.
#[derive(clap::Args)]
struct Test {
    /// A driver of the workspace (default: that of the current directory, or the only one).
    #[arg(short, long, value_name = "PACKAGE")]
    package: Option<String>,
    /// The devmap framework under the driver: the kernel's, or the module's own (default: the package's choice).
    #[arg(long, value_name = "WHOSE")]
    framework: Option<Framework>,
    #[command(flatten)]
    options: ddi_vm::Options,
    /// The test program and its arguments: a program of the workspace, a file that is shipped, or a program of the guest (default: what
    /// [package.metadata.vm] says, or each program of the workspace).
    #[arg(last = true, value_name = "PROGRAM")]
    program: Vec<String>,
}

/// The guests that there are.
#[derive(Serialize)]
struct Guests(Vec<Known>);

#[derive(Serialize)]
struct Known {
    name: &'static str,
    about: String,
}

impl fmt::Display for Guests {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|Known { name, about }| writeln!(out, "{name:10} {about}"))
    }
}

/// Runs the command. Exit status: 0 all well, 1 cases failed, 2 on our side, 3 the guest's, 130 interrupted.
pub fn run(args: &Args, ui: &Ui) -> Result<ExitCode> {
    match &args.command {
        Command::Test(test) => test.run(ui),
        Command::Guests => {
            let known = guest::names().map(|name| Ok(Known { name, about: Guest::load(name)?.about }));
            ui.result(&Guests(known.collect::<Result<_>>()?))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The result for a reader: the cases that did not pass, and the totals of each run last.
#[derive(Serialize)]
#[serde(transparent)]
struct Report<'a>(&'a ddi_vm::report::RunReport);

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.suites.iter().try_for_each(|suite| write!(out, "{}", suite.text()))
    }
}

impl Test {
    fn run(&self, ui: &Ui) -> Result<ExitCode> {
        let guest = Guest::load(&self.options.guest)?;
        let here = std::env::current_dir().context("the current directory is gone")?;
        let project = Project::find(&here)?;
        let driver = project.drivers(self.package.as_slice(), &here)?.remove(0);
        let description = self.description(&project, &driver)?;
        let vm = project.target.join("vm");
        let places = Places {
            runs: vm.join("runs"),
            scratch: vm.join("tmp"),
            cache: sysroot::cache()?.join("debian"),
        };
        let job = Job {
            options: &self.options,
            guest,
            driver: &driver.name,
            places: &places,
            interrupt: Interrupt::catch()?,
            quiet: ui.quiet,
            build: &|guest, progress| self.build(&project, &driver, &description, &vm, guest, progress),
            sabotage: Sabotage::default(),
        };
        let outcome = job.run()?;
        ui.note(format!("results and logs: {}", outcome.dir.display()));
        ui.result(&Report(&outcome.report))?;
        if let Some(failure) = &outcome.failure {
            ui.error(&anyhow::anyhow!("{failure}"));
        }
        Ok(ExitCode::from(outcome.status()))
    }

    /// Programs to be run: the command line's program, else what the manifest says, else each program of the workspace.
    fn description(&self, project: &Project, driver: &Package) -> Result<Description> {
        let told = Description::read(&driver.manifest)?;
        let described = told.is_some();
        let mut description = told.unwrap_or_default();
        if description.nodes.is_empty() {
            description.nodes = package::nodes(driver)?;
        }
        if description.devices.is_empty() {
            description.devices.clone_from(&driver.devices);
        }
        for device in &mut description.devices {
            let file = driver.dir().join(&*device);
            if file.is_file() {
                *device = file.to_string_lossy().into_owned();
            }
        }
        let known = project.programs();
        if !self.program.is_empty() {
            description.runs.clear();
            let first = &self.program[0];
            let mut words = self.program.clone();
            // Those of the workspace are in its PATH, whatever is run.
            if !described {
                description.programs = known.iter().map(|program| program.name.clone()).collect();
            }
            if first.contains('/') && Path::new(first).is_file() {
                words[0] = first.rsplit('/').next().unwrap_or(first).to_owned();
                description.programs.push(first.clone());
            } else if known.iter().any(|program| program.name == *first)
                && !description.programs.contains(first)
            {
                description.programs.push(first.clone());
            }
            description = description.with_run(&words);
        } else if description.runs.is_empty() {
            for program in known {
                description = description.with_run(std::slice::from_ref(&program.name));
                description.programs.push(program.name);
            }
        }
        if description.runs.is_empty() {
            bail!("nothing to run: the workspace has no program; cargo ddi vm test -- PROGRAM names another");
        }
        Ok(description)
    }

    /// Builds what is shipped: the package, and the programs for the guest's system.
    fn build(
        &self,
        project: &Project,
        driver: &Package,
        description: &Description,
        vm: &Path,
        guest: &Guest,
        progress: &mut Progress,
    ) -> Result<Subject> {
        progress.step("build", &format!("the module {} and its package", driver.name));
        let options = Options { framework: self.framework, ..Options::default() };
        let dir = vm.join("package").join(&driver.name);
        let _ = std::fs::remove_dir_all(&dir);
        files(project, driver, &options, &Ui { json: false, quiet: true })?.write(&dir)?;
        let (mut files, mut programs) = (Vec::new(), Vec::new());
        let known = project.programs();
        for name in &description.programs {
            match known.iter().find(|program| program.name == *name) {
                Some(program) => programs.push(program.clone()),
                None if name.contains('/') => files.push(PathBuf::from(name)),
                None => bail!("{name} is no program of the workspace"),
            }
        }
        if !programs.is_empty() {
            let names: Vec<&str> = programs.iter().map(|program| program.name.as_str()).collect();
            progress.step("build", &format!("{} for the guest {}", names.join(", "), guest.name));
            files.extend(match guest.boot {
                Boot::Image => illumos::programs(&project.root, &programs, &project.target.join("illumos"))?,
                Boot::Linux => native(project, &programs)?,
            });
        }
        Ok(Subject {
            driver: driver.name.clone(),
            module: dir.join(&driver.name),
            package: dir,
            programs: files,
            // This program is the host when it is called so.
            ddi_host: std::env::current_exe().context("the path of this command")?,
            description: description.clone(),
        })
    }
}

/// Builds programs for this machine, optimised: a guest may be slow.
fn native(project: &Project, programs: &[Program]) -> Result<Vec<PathBuf>> {
    let status = cargo()
        .args(["build", "--quiet", "--release"])
        .args(programs.iter().flat_map(|program| ["--package", &program.package, "--bin", &program.name]))
        .current_dir(&project.root)
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the programs of the workspace do not compile");
    }
    Ok(programs.iter().map(|program| project.target.join("release").join(&program.name)).collect())
}
