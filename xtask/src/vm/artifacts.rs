//! Places of results and kept packages; and the files that a run needs, built when not given.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cargo_ddi::illumos::{self, Program};
use cargo_ddi::module::{Package, sysroot};
use cargo_ddi::package::Files;
use ddi_vm::Places;

use crate::root;

/// Directories that runs share.
pub fn places() -> Places {
    let vm = target_dir().join("vm");
    // Shared with `cargo ddi vm test`, if there is such a place.
    let cache = sysroot::cache().unwrap_or_else(|_| vm.clone()).join("debian");
    Places { runs: vm.join("runs"), scratch: vm.join("tmp"), cache }
}

/// Cargo's target directory.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Makes ctxdev's package, as `cargo ddi package` does, and returns its directory.
pub fn package(module: &Path) -> Result<PathBuf> {
    let driver = Package::read(&root().join("example-driver/Cargo.toml"))?;
    let dir = target_dir().join("vm/package/ctxdev");
    let _ = std::fs::remove_dir_all(&dir);
    Files::make(&driver, module)?.write(&dir)?;
    Ok(dir)
}

/// Builds usr-tests for illumos.
pub fn illumos_tests() -> Result<PathBuf> {
    let program = Program { package: "usr-tests".to_owned(), name: "usr-tests".to_owned() };
    Ok(illumos::programs(&root(), &[program], &target_dir().join("illumos"))?.remove(0))
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
