//! Where things are: guest descriptions, kept packages, results; and the binaries that a run needs, built when not given.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::root;

/// The guest descriptions.
pub fn guests_dir() -> PathBuf {
    root().join("xtask/guests")
}

/// Packages and kernels that are kept between runs.
pub fn cache_dir() -> PathBuf {
    vm_dir().join("debian")
}

/// What runs leave.
pub fn runs_dir() -> PathBuf {
    vm_dir().join("runs")
}

fn vm_dir() -> PathBuf {
    target_dir().join("vm")
}

/// Cargo's target directory.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// A directory for one run that is removed at its end. Those of runs that were killed are removed now.
pub fn scratch() -> Result<tempfile::TempDir> {
    let dir = vm_dir().join("tmp");
    std::fs::create_dir_all(&dir)?;
    for entry in std::fs::read_dir(&dir)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("run-").and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let prefix = format!("run-{}-", std::process::id());
    Ok(tempfile::Builder::new().prefix(&prefix).tempdir_in(&dir)?)
}

/// Builds a program of the workspace for this machine, as `cargo build --release` does, and returns its path.
pub fn build(binary: &str) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--bin", binary])
        .current_dir(root())
        .status()
        .context("starting cargo")?;
    if !status.success() {
        bail!("cargo could not build {binary}");
    }
    Ok(target_dir().join("release").join(binary))
}

/// The module file that add_drv installs, made by `cargo xtask module`.
pub fn module() -> Result<PathBuf> {
    let output = Command::new(std::env::current_exe()?)
        .arg("module")
        .output()
        .context("starting cargo xtask module")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("cargo xtask module failed: {}", said.trim());
    }
    Ok(target_dir().join("module/ctxdev"))
}
