//! The driver author's project: a cargo workspace with one driver or several.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use cargo_ddi::illumos::Program;
use cargo_ddi::module::Package;
use serde_json::Value;

use crate::ui::Ui;

/// Returns the cargo that called this command, or the one in the search path.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

/// A workspace.
#[derive(Debug)]
pub struct Project {
    /// The root directory.
    pub root: PathBuf,
    /// Cargo's target directory.
    pub target: PathBuf,
    members: Vec<Value>,
}

impl Project {
    /// Reads the workspace of a directory.
    ///
    /// # Errors
    /// There is none, or cargo does not understand it.
    pub fn find(dir: &Path) -> Result<Project> {
        let output = cargo()
            .args(["metadata", "--format-version", "1", "--no-deps"])
            .current_dir(dir)
            .output()
            .context("cannot run cargo")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{}", said.trim().trim_start_matches("error: "));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata is not JSON")?;
        let path =
            |key: &str| metadata[key].as_str().map(PathBuf::from).context("cargo metadata lacks a path");
        let members = metadata["packages"].as_array().cloned().unwrap_or_default();
        Ok(Project { root: path("workspace_root")?, target: path("target_directory")?, members })
    }

    /// Returns the drivers: those of these names; else that of `dir`; else the only one.
    ///
    /// # Errors
    /// There is none, there are several, or one of the names is no driver's.
    pub fn drivers(&self, names: &[String], dir: &Path) -> Result<Vec<Package>> {
        let all: Vec<&Value> = self.members.iter().filter(|package| is_driver(package)).collect();
        if !names.is_empty() {
            let find = |name: &String| {
                let package = all.iter().find(|package| package["name"] == name.as_str());
                read(package.ok_or_else(|| anyhow!("{name} is no driver of this workspace{}", list(&all)))?)
            };
            return names.iter().map(find).collect();
        }
        let here = all.iter().find(|package| folder(package).is_some_and(|folder| folder == dir));
        match (here, all.as_slice()) {
            (Some(package), _) | (None, [package]) => Ok(vec![read(package)?]),
            (None, []) => bail!(
                "{} has no driver: a package with a library that depends on devmap (cargo ddi new NAME makes one)",
                self.root.display()
            ),
            (None, several) => bail!("there are several drivers: name one with --package{}", list(several)),
        }
    }

    /// Returns all drivers.
    ///
    /// # Errors
    /// A manifest cannot be read.
    pub fn all_drivers(&self) -> Result<Vec<Package>> {
        self.members.iter().filter(|package| is_driver(package)).map(read).collect()
    }

    /// Returns the workspace's programs.
    pub fn programs(&self) -> Vec<Program> {
        let mut programs = Vec::new();
        for member in &self.members {
            let targets = member["targets"].as_array().into_iter().flatten();
            for target in targets.filter(|target| kinds(target).any(|kind| kind == "bin")) {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                programs.push(Program { package: text(&member["name"]), name: text(&target["name"]) });
            }
        }
        programs
    }

    /// Returns the names of the workspace's programs, for a message.
    pub fn program_names(&self) -> String {
        self.programs().into_iter().map(|program| program.name).collect::<Vec<_>>().join(", ")
    }

    /// Builds the programs of the workspace. Returns the directory in which they are.
    ///
    /// # Errors
    /// One does not compile.
    pub fn build_programs(&self, ui: &Ui) -> Result<PathBuf> {
        ui.doing("Building", self.program_names());
        let status = cargo()
            .args(["build", "--quiet", "--workspace", "--bins"])
            .current_dir(&self.root)
            .status()
            .context("cannot run cargo")?;
        if !status.success() {
            bail!("the programs of the workspace do not compile");
        }
        Ok(self.target.join("debug"))
    }
}

fn kinds(target: &Value) -> impl Iterator<Item = &str> {
    target["kind"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Returns whether a package is a driver: a library that depends on devmap and makes a module, as its manifest or its source says.
fn is_driver(package: &Value) -> bool {
    let targets = package["targets"].as_array().into_iter().flatten();
    let mut libraries = targets.filter(|target| kinds(target).any(|kind| kind == "lib"));
    let Some(library) = libraries.next() else { return false };
    let mut needs = package["dependencies"].as_array().into_iter().flatten();
    if !needs.any(|needed| needed["name"] == "devmap" && needed["kind"].is_null()) {
        return false;
    }
    let source = library["src_path"].as_str().and_then(|file| std::fs::read_to_string(file).ok());
    let calls =
        |line: &str| ["devmap::module!", "module!"].iter().any(|call| line.trim_start().starts_with(call));
    package["metadata"]["module"].is_object() || source.is_some_and(|text| text.lines().any(calls))
}

fn folder(package: &Value) -> Option<&Path> {
    Path::new(package["manifest_path"].as_str()?).parent()
}

fn read(package: &Value) -> Result<Package> {
    Package::read(Path::new(package["manifest_path"].as_str().context("a package without a manifest")?))
}

fn list(packages: &[&Value]) -> String {
    let names: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}
