//! `cargo ddi check`: whether the illumos kernel loads a module, and whether its code may run there.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use cargo_ddi::check::{self, Verdict};
use cargo_ddi::module::{Options, toolchain};
use ddi_krtld::finding::Severity;
use serde::Serialize;

use super::module;
use crate::project::Project;
use crate::ui::{self, Ui};

/// Which file to check, and against what.
#[derive(clap::Args)]
pub struct Args {
    /// The module, as it would be put into /kernel/drv/amd64 (default: that of the workspace's driver, which is built).
    file: Option<PathBuf>,
    /// The driver of the workspace whose module is checked.
    #[arg(short, long, value_name = "PACKAGE", conflicts_with = "file")]
    package: Option<String>,
    #[command(flatten)]
    options: check::Against,
}

/// A verdict for machines.
#[derive(Serialize)]
struct Checked {
    name: String,
    good: bool,
    findings: Vec<Found>,
}

#[derive(Serialize)]
struct Found {
    severity: &'static str,
    rule: String,
    message: String,
}

/// Prints the verdict. 1 if the module is not good.
pub fn run(args: &Args, ui: &Ui) -> Result<ExitCode> {
    let file = match &args.file {
        Some(file) => file.clone(),
        None => {
            let here = std::env::current_dir().context("the current directory is gone")?;
            let project = Project::find(&here)?;
            let driver = project.drivers(args.package.as_slice(), &here)?.remove(0);
            module::build(&toolchain::find()?, &project, &driver, &Options::default(), ui)?.path
        }
    };
    let verdict = args.options.check(&file)?;
    let good = verdict.is_good();
    if ui.json {
        ui::print((serde_json::to_string_pretty(&Checked::from(verdict))? + "\n").as_bytes())?;
    } else {
        ui::print(format!("{verdict}\n").as_bytes())?;
    }
    Ok(ExitCode::from(u8::from(!good)))
}

impl From<Verdict> for Checked {
    fn from(verdict: Verdict) -> Checked {
        let severity = |severity| match severity {
            Severity::Fact => "fact",
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Unfit => "unfit",
            Severity::Refused => "refused",
        };
        let good = verdict.is_good();
        let findings = verdict.findings.into_iter().map(|finding| Found {
            severity: severity(finding.severity),
            rule: format!("{:?}", finding.rule),
            message: finding.message,
        });
        Checked { good, name: verdict.name, findings: findings.collect() }
    }
}
