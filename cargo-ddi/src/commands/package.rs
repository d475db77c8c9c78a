//! `cargo ddi package`: the module, checked, with all that an illumos system needs to install it, by [`cargo_ddi::package`].

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use cargo_ddi::check;
use cargo_ddi::module::{Framework, Options, Package, toolchain};
use cargo_ddi::package::Files;
use serde::Serialize;

use super::module;
use crate::project::Project;
use crate::ui::Ui;

/// Arguments of `package`.
#[derive(clap::Args)]
pub struct Args {
    /// A driver of the workspace (default: that of the current directory, or the only one).
    #[arg(short, long, value_name = "PACKAGE")]
    package: Option<String>,
    /// The devmap framework under the driver: the kernel's, or the module's own (default: the package's choice).
    #[arg(long, value_name = "WHOSE")]
    framework: Option<Framework>,
    /// Write into DIR instead of target/package/NAME-VERSION; the archive goes beside it.
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Result of `package`.
#[derive(Serialize)]
struct Packaged {
    dir: PathBuf,
    archive: PathBuf,
    files: Vec<String>,
}

impl fmt::Display for Packaged {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}: {}", self.dir.display(), self.files.join(", "))?;
        writeln!(out, "{}: on illumos: tar xf it, then pfexec sh install.sh", self.archive.display())
    }
}

/// Builds the module and writes the package.
pub fn run(args: &Args, ui: &Ui) -> Result<ExitCode> {
    let here = std::env::current_dir().context("the current directory is gone")?;
    let project = Project::find(&here)?;
    let driver = project.drivers(args.package.as_slice(), &here)?.remove(0);
    let options = Options { framework: args.framework, ..Options::default() };
    let made = files(&project, &driver, &options, ui)?;
    let dir = args.output.clone().unwrap_or_else(|| project.target.join("package").join(&made.name));
    ui.doing("Packaging", dir.display());
    made.write(&dir)?;
    let archive =
        dir.with_file_name(format!("{}.tar", dir.file_name().unwrap_or_default().to_string_lossy()));
    let place = || format!("cannot write {}", archive.display());
    let mut tar = tar::Builder::new(fs::File::create(&archive).with_context(place)?);
    for (file, mode, bytes) in &made.files {
        // The same input gives the same archive: no times, no users.
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(*mode);
        let path = Path::new(&made.name).join(file);
        tar.append_data(&mut header, path, bytes.as_slice()).with_context(place)?;
    }
    tar.into_inner().with_context(place)?;
    ui.result(&Packaged { dir, archive, files: made.files.into_iter().map(|(file, ..)| file).collect() })?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the module of a driver, checks it, and makes the files of its package.
pub fn files(project: &Project, driver: &Package, options: &Options, ui: &Ui) -> Result<Files> {
    let built = module::build(&toolchain::find()?, project, driver, options, ui)?;
    let verdict = check::Against::default().check(&built.path)?;
    if !verdict.is_good() {
        bail!("a kernel would not take {}:\n{verdict}", built.path.display());
    }
    Files::make(driver, &built.path)
}
