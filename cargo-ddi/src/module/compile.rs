//! From a driver crate to one static library for the kernel target.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};

use super::digest::fnv;
use super::framework::Framework;
use super::package::{self, Package};
use super::sysroot::Sysroot;
use super::target;
use super::toolchain::Toolchain;

/// The tools of a build for the kernel.
pub struct Kernel<'a> {
    /// The compiler.
    pub toolchain: &'a Toolchain,
    /// core and alloc.
    pub sysroot: &'a Sysroot,
    /// Directory for what cargo builds.
    pub work: &'a Path,
}

impl Kernel<'_> {
    /// A cargo command on `manifest` that builds for the kernel target. `sources` are folders of which the code has only the name.
    pub fn cargo(&self, command: &[&str], manifest: &Path, sources: &[(&Path, &str)]) -> Command {
        let mut flags = target::flags();
        flags.push(format!("--sysroot={}", self.sysroot.dir.display()));
        let mut remap =
            |from: &Path, to: &str| flags.push(format!("--remap-path-prefix={}={to}", from.display()));
        self.toolchain.source_directories().for_each(|dir| remap(&dir, "rust"));
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        if let Some(home) = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))) {
            remap(&home, "cargo");
        }
        // Of the paths that fit, the compiler takes the last.
        sources.iter().for_each(|(dir, name)| remap(dir, name));
        let mut cargo = clean_cargo(self.toolchain, command, &self.sysroot.target, &flags);
        cargo.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(self.work);
        cargo
    }

    /// Compiles the crate and all it needs into one static library. Returns its path.
    pub fn library(&self, driver: &Package, framework: Framework) -> Result<PathBuf> {
        let devmap = package::source(&driver.manifest, "devmap")?;
        let project = devmap.as_ref().and_then(|devmap| devmap.dir.parent());
        // Cargo compiles what drivers share again when the flags for all crates change: they are the same for all drivers of a project.
        let mut sources: Vec<(&Path, &str)> = Vec::new();
        if project.is_none_or(|project| !driver.dir().starts_with(project)) {
            sources.push((driver.dir(), "driver"));
        }
        sources.extend(project.map(|dir| (dir, "project")));
        let build = |command: &[&str], manifest: &Path, config: &[String], extern_: &[String]| {
            let mut cargo = self.cargo(command, manifest, &sources);
            let output = cargo
                .arg("-Zprofile-rustflags")
                .args(config.iter().flat_map(|setting| ["--config", setting]))
                .args(["--message-format", "json-render-diagnostics"])
                .arg("--")
                .args(extern_)
                .output()
                .with_context(|| format!("cannot run {}", self.toolchain.cargo.display()))?;
            if !output.status.success() {
                bail!("{} does not compile for the kernel", manifest.display());
            }
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let library = |messages: &str, manifest: &Path, kind| {
            library_named(messages, manifest, kind)
                .ok_or_else(|| anyhow!("cargo built no library for {}", manifest.display()))
        };
        let small = |packages: &[&str]| -> Vec<String> {
            let setting = |package| format!("profile.release.package.{package}.opt-level=\"s\"");
            packages.iter().map(setting).collect()
        };
        let own = match framework {
            Framework::Kernel => Vec::new(),
            Framework::Own => {
                let manifest = project.map(|dir| dir.join("segdev/illumos/Cargo.toml"));
                let manifest = manifest.filter(|file| file.is_file()).ok_or_else(|| {
                    anyhow!(
                        "no framework to link into {}: it is beside the devmap of a checkout",
                        driver.name
                    )
                })?;
                let command: &[&str] = match driver.pages {
                    true => &["rustc", "--lib"],
                    false => &["rustc", "--lib", "--no-default-features"],
                };
                let messages = build(command, &manifest, &small(&["segdev", "segdev-illumos"]), &[])?;
                let rlib = library(&messages, &manifest, ".rlib")?;
                let bytes = fs::read(&rlib).with_context(|| format!("cannot read {}", rlib.display()))?;
                vec![
                    "-Zunstable-options".to_owned(),
                    // No crate names it: it is there for its symbols.
                    format!("--extern=force:segdev_illumos={}", rlib.display()),
                    // Has cargo see that the library has changed: it knows the arguments only.
                    format!("--check-cfg=cfg(segdev_illumos, values(\"{:016x}\"))", fnv(&bytes)),
                ]
            }
        };
        // What of the layer is worth the room is generic or inlined, and so compiled as the driver is. Beside a framework of its own a module has room for what is small only.
        let mut settings = small(&["devmap"]);
        if framework == Framework::Own {
            settings.extend(small(&[&driver.name]));
            settings.push("profile.release.package.devmap.rustflags=[\"--cfg=devmap_own\"]".to_owned());
        }
        let features = driver.features.join(",");
        let command = ["rustc", "--lib", "--crate-type", "staticlib", "--features", &features];
        let messages = build(&command, &driver.manifest, &settings, &own)?;
        library(&messages, &driver.manifest, ".a")
    }
}

/// A cargo command with these flags, the settings of a kernel's code, and nothing of the caller's own build.
///
/// Of cargo's `-Z` options those before the command's name do not count when there are others behind it, so the command is the first argument.
pub fn clean_cargo(toolchain: &Toolchain, command: &[&str], target: &Path, flags: &[String]) -> Command {
    let mut cargo = Command::new(&toolchain.cargo);
    // What the outer cargo says about its own build, and what would change the module's.
    let about_a_build =
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_PROFILE_", "CARGO_BUILD_", "CARGO_TARGET_"];
    let exact =
        ["CARGO", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "RUSTUP_TOOLCHAIN", "RUSTC", "RUSTC_WRAPPER"];
    for (name, _) in std::env::vars_os() {
        let known = name.to_string_lossy();
        if exact.contains(&&*known) || about_a_build.iter().any(|prefix| known.starts_with(prefix)) {
            cargo.env_remove(&name);
        }
    }
    cargo
        .args(command)
        .args(["--release", "--quiet", "--target"])
        .arg(target)
        .args(toolchain.json_targets_are_unstable.then_some("-Zjson-target-spec"))
        .env("RUSTC", &toolchain.rustc)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env("CARGO_INCREMENTAL", "0")
        .envs([
            ("CARGO_PROFILE_RELEASE_LTO", "fat"),
            ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
            ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
            ("CARGO_PROFILE_RELEASE_DEBUG", "none"),
            ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2"),
            ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "false"),
        ])
        .stderr(Stdio::inherit());
    cargo
}

/// The library among cargo's messages, by how its name ends.
fn library_named(messages: &str, manifest: &Path, kind: &str) -> Option<PathBuf> {
    let mut found = None;
    for line in messages.lines() {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        if message["manifest_path"].as_str().map(Path::new) == Some(manifest) {
            let files =
                message["filenames"].as_array().into_iter().flatten().filter_map(|name| name.as_str());
            found = files.filter(|name| name.ends_with(kind)).map(PathBuf::from).next_back().or(found);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::toolchain;

    /// Cargo compiles devmap again when the flags for all crates change.
    #[test]
    fn drivers_of_one_project_are_compiled_with_the_same_flags() {
        let Ok(toolchain) = toolchain::find() else { return println!("skipped: no library sources") };
        let sysroot = Sysroot { dir: "/sysroot".into(), target: "/target.json".into() };
        let kernel = Kernel { toolchain: &toolchain, sysroot: &sysroot, work: Path::new("/work") };
        let flags = |manifest: &str| {
            let cargo = kernel.cargo(&["build"], Path::new(manifest), &[(Path::new("/project"), "project")]);
            let (_, flags) = cargo.get_envs().find(|(name, _)| *name == "CARGO_ENCODED_RUSTFLAGS").unwrap();
            flags.unwrap().to_owned()
        };
        assert_eq!(flags("/project/a/Cargo.toml"), flags("/project/b/Cargo.toml"));
    }
}
