//! `cargo xtask module`: a module from a driver crate of this workspace, by [`cargo_ddi::module`].

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use cargo_ddi::module::toolchain::{self, Toolchain};
use cargo_ddi::module::{Builder, Framework, Options, Package};

use crate::root;

/// Arguments of `module`.
#[derive(clap::Args)]
pub struct Args {
    /// Build this package of the workspace, by name or directory (example-driver is ctxdev).
    #[arg(short, long, default_value = "ctxdev")]
    package: String,
    /// Build the package with this Cargo.toml instead.
    #[arg(long, value_name = "FILE", conflicts_with = "package")]
    manifest_path: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

/// Builds the module and prints its size.
pub fn run(args: &Args) -> Result<ExitCode> {
    let toolchain = toolchain::find()?;
    println!("toolchain: {toolchain}");
    let package = Package::read(&match &args.manifest_path {
        Some(path) => path.clone(),
        None => in_workspace(&args.package)?,
    })?;
    let module = builder(&toolchain, &|text| println!("{text}")).build(&package, &args.options)?;
    println!(
        "{}: {} bytes of text, {} of data, {} in the file",
        module.path.display(),
        module.text,
        module.data,
        module.size
    );
    Ok(ExitCode::SUCCESS)
}

/// Links a package's code into one object of which only `public` is kept, and what that needs. Returns its path, in `dir`.
pub fn object(
    package: &str,
    features: &[&str],
    framework: Framework,
    public: &BTreeSet<String>,
    dir: &Path,
) -> Result<PathBuf> {
    let mut package = Package::read(&in_workspace(package)?)?;
    package.features = features.iter().map(|&feature| feature.to_owned()).collect();
    builder(&toolchain::find()?, &|_| ()).object(&package, framework, public, dir)
}

fn builder<'a>(toolchain: &'a Toolchain, progress: &'a dyn Fn(&str)) -> Builder<'a> {
    Builder { toolchain, work: work_dir(), modules: target_dir().join("module"), progress }
}

/// Returns the manifest of a workspace member, by package name or directory.
fn in_workspace(wanted: &str) -> Result<PathBuf> {
    let text =
        fs::read_to_string(root().join("Cargo.toml")).context("cannot read the workspace's Cargo.toml")?;
    let table: toml::Table = text.parse().context("the workspace's Cargo.toml is not TOML")?;
    let members = table.get("workspace").and_then(|workspace| workspace.get("members")?.as_array());
    for member in members.into_iter().flatten().filter_map(toml::Value::as_str) {
        let manifest = root().join(member).join("Cargo.toml");
        let named = |text: String| {
            let table: toml::Table = text.parse().ok()?;
            Some(table.get("package")?.get("name")?.as_str()? == wanted)
        };
        if member == wanted || fs::read_to_string(&manifest).ok().and_then(named) == Some(true) {
            return Ok(manifest);
        }
    }
    Err(anyhow!("the workspace has no package {wanted}"))
}

/// Returns the directory for what cargo builds for the kernel.
pub fn work_dir() -> PathBuf {
    target_dir().join("module-build")
}

/// Returns cargo's target directory.
fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cargo_ddi::check::Verdict;
    use ddi_krtld::check::{self, Dependency, check};

    /// The smallest driver, all the way: compiled for the kernel, linked, checked.
    #[test]
    fn a_driver_crate_becomes_a_good_module() {
        if let Err(error) = toolchain::find() {
            return println!("skipped: {error}");
        }
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("tinydrv");
        let args = Args {
            package: String::new(),
            manifest_path: Some(root().join("xtask/fixtures/tinydrv/Cargo.toml")),
            options: Options { output: Some(output.clone()), limit: Some(16 * 1024), ..Options::default() },
        };
        assert_eq!(run(&args).unwrap(), ExitCode::SUCCESS);
        let bytes = fs::read(output).unwrap();
        let dependency = Dependency { name: "misc/tinymisc".to_owned(), symbols: Vec::new() };
        let options = check::Options {
            dependencies: vec![dependency],
            deny_panics: false,
            frame_limit: 512,
            stack_limit: 2048,
            stacks: vec![("tinydrv::read".to_owned(), 2048)],
        };
        let verdict = Verdict { name: "tinydrv".into(), findings: check(&bytes, &options) };
        assert!(verdict.is_good(), "{verdict}");
        let text = verdict.to_string();
        for fact in ["needs misc/tinymisc", "alloc::raw_vec::handle_error can be reached: tinydrv::read > "] {
            assert!(text.contains(fact), "{fact}: {verdict}");
        }
        // Where it was built is nobody's business.
        let path = root().display().to_string();
        assert!(
            !bytes.windows(path.len()).any(|window| window == path.as_bytes()),
            "the module has {path} in it"
        );
        let error = format!(
            "{:#}",
            run(&Args { options: Options { limit: Some(100), ..args.options }, ..args }).unwrap_err()
        );
        assert!(error.contains("more than the limit of 100"), "{error}");
    }

    #[test]
    fn what_is_not_there_is_said_in_one_line() {
        assert_eq!(in_workspace("no-such").unwrap_err().to_string(), "the workspace has no package no-such");
        let by_dir = in_workspace("example-driver").unwrap();
        assert_eq!(by_dir, in_workspace("ctxdev").unwrap());
    }
}
