//! `cargo xtask vm test`: ctxdev and usr-tests in a guest, from files that are given, or built.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use ddi_vm::guest::{Boot, Guest};
use ddi_vm::subject::Description;
use ddi_vm::{Interrupt, Job, Options, Outcome, Progress, Sabotage, Subject};

use super::artifacts;

/// Boot a guest, install ctxdev, run the suite, remove ctxdev.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub options: Options,
    /// The module file (default: built).
    #[arg(long)]
    pub module: Option<PathBuf>,
    /// The driver's package files (default: made).
    #[arg(long)]
    pub package: Option<PathBuf>,
    /// The test program for the guest (default: built).
    #[arg(long)]
    pub tests: Option<PathBuf>,
    /// The ddi-host that the Linux guest gets (default: built).
    #[arg(long)]
    pub ddi_host: Option<PathBuf>,
    /// Treatment of the files: [package.metadata.vm] of this manifest (default: ctxdev's).
    #[arg(long, value_name = "FILE")]
    pub description: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let guest = Guest::load(&args.options.guest)?;
    let outcome = carry_out(args, guest, args.described()?, Interrupt::catch()?, Sabotage::default(), false)?;
    for suite in &outcome.report.suites {
        print!("{}", suite.text());
    }
    eprintln!("results and logs: {}", outcome.dir.display());
    if let Some(failure) = &outcome.failure {
        eprintln!("cargo xtask vm: {failure}");
    }
    Ok(ExitCode::from(outcome.status()))
}

/// Carries one run out and leaves its results in a directory.
pub fn carry_out(
    args: &Args,
    guest: Guest,
    description: Description,
    interrupt: Interrupt,
    sabotage: Sabotage,
    quiet: bool,
) -> Result<Outcome> {
    let places = artifacts::places();
    Job {
        options: &args.options,
        guest,
        driver: "ctxdev",
        places: &places,
        interrupt,
        quiet,
        build: &|guest, progress| args.subject(guest, &description, progress),
        sabotage,
    }
    .run()
}

impl Args {
    /// Reads what is to be done.
    pub fn described(&self) -> Result<Description> {
        let manifest =
            self.description.clone().unwrap_or_else(|| crate::root().join("example-driver/Cargo.toml"));
        let described = Description::read(&manifest)?;
        described.with_context(|| format!("{} has no [package.metadata.vm]", manifest.display()))
    }

    /// Builds what is not given.
    fn subject(&self, guest: &Guest, description: &Description, progress: &mut Progress) -> Result<Subject> {
        let given = |file: &Option<PathBuf>, what: &str, build: &dyn Fn() -> Result<PathBuf>| match file {
            Some(file) => Ok(file.clone()),
            None => {
                progress.detail(&format!("building {what}"));
                build()
            }
        };
        let module = given(&self.module, "the module", &artifacts::module)?;
        let package = given(&self.package, "the package", &|| artifacts::package(&module))?;
        let tests = given(&self.tests, "usr-tests", &|| match guest.boot {
            Boot::Linux => artifacts::build("usr-tests"),
            Boot::Image => artifacts::illumos_tests(),
        })?;
        let ddi_host = match guest.boot {
            Boot::Linux => given(&self.ddi_host, "ddi-host", &|| artifacts::build("ddi-host"))?,
            Boot::Image => PathBuf::new(),
        };
        let description = description.clone();
        Ok(Subject {
            driver: "ctxdev".to_owned(),
            package,
            module,
            programs: vec![tests],
            ddi_host,
            description,
        })
    }
}
