//! Builds the shim, the library that `ddi-host` preloads into its clients, and puts it where the host embeds it from.
//!
//! In a checkout the shim is a member of the workspace. In a packaged crate its sources and those of ddi-wire lie in `shim` and `wire` (links here, files
//! there), of which a workspace is made.
//!
//! The shim is built by a cargo of its own, with the settings it needs (panic = "abort"), into a directory of its own. Whatever the outer build is (test, clippy,
//! doc, other flags or wrappers) does not reach it.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let here = PathBuf::from(var("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(var("OUT_DIR"));
    for path in ["build.rs", "../shim/src", "../shim/Cargo.toml", "../wire/src", "../wire/Cargo.toml"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let target = Some(var("TARGET")).filter(|t| t.ends_with("-linux-gnu")).unwrap_or_else(|| var("HOST"));
    let workspace = if here.join("../shim/Cargo.toml").is_file() {
        here.join("../shim")
    } else {
        match unpack(&here, &out.join("sources")) {
            Ok(workspace) => workspace,
            Err(e) => {
                println!("cargo::error=cannot unpack the shim's sources into {}: {e}", out.display());
                std::process::exit(1);
            }
        }
    };
    // What the shim needs has been fetched for the host already, so the network is not asked first.
    if !build(&workspace, &out, &target, true) && !build(&workspace, &out, &target, false) {
        println!("cargo::error=cannot build the shim (host/shim); see the messages above");
        std::process::exit(1);
    }
    let built = out.join("shim").join(&target).join("release/libddi_shim.so");
    if let Err(e) = std::fs::copy(&built, out.join("libddi_shim.so")) {
        println!("cargo::error=cannot copy {}: {e}", built.display());
    }
}

/// Makes packages of the packaged sources. Returns the shim's directory.
fn unpack(here: &Path, to: &Path) -> std::io::Result<PathBuf> {
    let version = var("CARGO_PKG_VERSION");
    let package =
        |name| format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2024\"\n");
    let shim = "[workspace]\n[lib]\nname = \"ddi_shim\"\ncrate-type = [\"cdylib\"]\n\
                [dependencies]\nddi-wire = { path = \"../wire\" }\nlibc = \"0.2\"\n";
    for (member, rest) in [("shim", shim), ("wire", "")] {
        copy(&here.join(member), &to.join(member).join("src"))?;
        let manifest = package(format!("ddi-{member}")) + rest;
        std::fs::write(to.join(member).join("Cargo.toml"), manifest)?;
    }
    Ok(to.join("shim"))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn build(workspace: &Path, out: &Path, target: &str, offline: bool) -> bool {
    let mut cargo = Command::new(var("CARGO"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let keep = ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"].contains(&name.as_str())
            || name.starts_with("CARGO_HTTP_")
            || name.starts_with("CARGO_NET_")
            || name.starts_with("CARGO_REGISTR");
        if !keep
            && ["CARGO", "RUST", "CLIPPY", "MAKEFLAGS", "TARGET", "LD_PRELOAD"]
                .iter()
                .any(|p| name.starts_with(p))
        {
            cargo.env_remove(name);
        }
    }
    cargo.current_dir(workspace);
    cargo.args(["build", "--quiet", "--release", "--package", "ddi-shim", "--target", target]);
    cargo.args([
        "--config",
        "profile.release.panic=\"abort\"",
        "--config",
        "profile.release.strip=\"debuginfo\"",
    ]);
    cargo.arg("--target-dir").arg(out.join("shim"));
    if offline {
        cargo.arg("--offline");
    }
    cargo.status().is_ok_and(|s| s.success())
}

fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}
