//! `cargo xtask module`: the object that `add_drv` installs, from an unchanged driver crate.
//!
//! The crate, core and alloc are compiled for a kernel target and optimised as one (fat LTO), then linked into one
//! relocatable object: what nothing reaches goes, sections of a kind become one, and every symbol that the root's
//! `mapfile` does not name becomes local. The same input gives the same bytes, wherever it is built.
//!
//! - [`toolchain`] finds a compiler with the library's sources
//! - [`target`] makes the kernel target from the compiler's own description of a freestanding one
//! - [`mapfile`] reads the list of public symbols
//! - [`kernel_check`] builds the crates that go into a kernel, and no module
//! - [`link`] links, [`finish`] scopes the symbols and drops what the kernel does not load

mod finish;
pub mod kernel_check;
mod link;
mod mapfile;
mod target;
pub mod toolchain;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, anyhow, bail};

use crate::root;
use toolchain::Toolchain;

/// What to build, and where to put it.
#[derive(clap::Args)]
pub struct Args {
    /// Build this package of the workspace, by name or directory (example-driver is ctxdev).
    #[arg(short, long, default_value = "ctxdev")]
    package: String,
    /// Build the package with this Cargo.toml instead.
    #[arg(long, value_name = "FILE", conflicts_with = "package")]
    manifest_path: Option<PathBuf>,
    /// Write the module to FILE instead of target/module/NAME.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Name the module NAME instead of after its package.
    #[arg(long)]
    name: Option<String>,
    /// The devmap framework under the driver: the kernel's, or the module's own (default: the package's choice). Any other is appended to the
    /// file's name: target/module/NAME-own.
    #[arg(long, value_name = "WHOSE")]
    framework: Option<Framework>,
    /// Fail if text and data together exceed this many bytes (default: 65536; with the module's own framework 98304).
    #[arg(long, value_name = "BYTES")]
    limit: Option<u64>,
    /// Build the module a second time, in another directory, and fail if a byte differs.
    #[arg(long)]
    twice: bool,
}

/// Builds the module and prints its size.
pub fn run(args: &Args) -> Result<ExitCode> {
    let toolchain = toolchain::find()?;
    println!("toolchain: {toolchain}");
    let package = Package::find(args)?;
    let name = args.name.clone().unwrap_or_else(|| package.name.clone());
    if name.is_empty() || name.len() > 31 {
        bail!("a module's name has 1 to 31 characters: {name:?}");
    }
    let framework = args.framework.unwrap_or(package.framework);
    // Before the work, so that a wrong name does not waste it.
    let output = args.output.clone().unwrap_or_else(|| {
        let suffix = if framework == package.framework { "" } else { framework.suffix() };
        target_dir().join("module").join(format!("{name}{suffix}"))
    });
    if let Some(dir) = output.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let public = mapfile::read(&root().join("mapfile"))?;
    let build = |work: &Path| {
        fs::create_dir_all(work).with_context(|| format!("cannot make {}", work.display()))?;
        let archive = compile(&toolchain, &package, framework, work)?;
        let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
        finish::finish(&link::relocatable(&archive, &public, &package.depends, scratch.path())?, &public)
    };
    let module = build(&work_dir())?;
    if args.twice {
        let other = tempfile::tempdir().context("cannot make a temporary directory")?;
        if build(other.path())?.bytes != module.bytes {
            bail!("{name}: a second build in {} gives other bytes", other.path().display());
        }
        println!("a second build gives the same bytes");
    }
    fs::write(&output, &module.bytes).with_context(|| format!("cannot write {}", output.display()))?;
    let total = module.text + module.data;
    println!(
        "{}: {} bytes of text, {} of data, {} in the file",
        output.display(),
        module.text,
        module.data,
        module.bytes.len()
    );
    let limit = args.limit.unwrap_or(framework.limit());
    if total > limit {
        bail!("{name}: {total} bytes of text and data are more than the limit of {limit}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Links a package's code into one object of which only `public` is kept, and what that needs; its path, in `dir`.
pub fn object(package: &str, framework: Framework, public: &BTreeSet<String>, dir: &Path) -> Result<PathBuf> {
    let toolchain = toolchain::find()?;
    let package = Package::read(&Package::in_workspace(package)?)?;
    let work = work_dir();
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let archive = compile(&toolchain, &package, framework, &work)?;
    link::relocatable(&archive, public, &[], dir)
}

/// The devmap framework under a module's driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Framework {
    /// The kernel's.
    #[default]
    Kernel,
    /// The module's own: segdev-illumos, linked into it.
    Own,
}

impl Framework {
    /// As `--framework` and `[package.metadata.module]` take it.
    fn named(name: &str) -> Option<Framework> {
        <Framework as clap::ValueEnum>::from_str(name, false).ok()
    }

    /// The suffix of the file's name if the framework is not the package's choice.
    fn suffix(self) -> &'static str {
        match self {
            Framework::Kernel => "-kernel",
            Framework::Own => "-own",
        }
    }

    /// How many bytes of text and data are enough for a driver.
    fn limit(self) -> u64 {
        match self {
            Framework::Kernel => 64 * 1024,
            Framework::Own => 96 * 1024,
        }
    }
}

/// The driver crate.
struct Package {
    name: String,
    manifest: PathBuf,
    /// Pages of its mappings may have memory of their own, as `[package.metadata.module] pages` says it: what its own framework has code for.
    pages: bool,
    /// Its choice of a framework, as `[package.metadata.module] framework` says it.
    framework: Framework,
    /// Modules that it needs, as `[package.metadata.module] depends` names them.
    depends: Vec<String>,
}

impl Package {
    fn find(args: &Args) -> Result<Package> {
        let manifest = match &args.manifest_path {
            Some(path) => path.canonicalize().with_context(|| format!("cannot read {}", path.display()))?,
            None => Self::in_workspace(&args.package)?,
        };
        Self::read(&manifest)
    }

    fn read(manifest: &Path) -> Result<Package> {
        let manifest = manifest.to_owned();
        let text =
            fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            anyhow!("{} is not TOML: {}", manifest.display(), error.message())
        })?;
        let package = table.get("package").ok_or_else(|| anyhow!("{} has no package", manifest.display()))?;
        let name = package.get("name").and_then(toml::Value::as_str).unwrap_or_default().to_owned();
        let metadata = |key| package.get("metadata").and_then(|metadata| metadata.get("module")?.get(key));
        let depends = metadata("depends")
            .and_then(toml::Value::as_array)
            .map(|names| names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
            .unwrap_or_default();
        let framework = match metadata("framework") {
            None => Framework::default(),
            Some(value) => value.as_str().and_then(Framework::named).ok_or_else(|| {
                anyhow!("{}: framework = {value}: \"kernel\" or \"own\" is expected", manifest.display())
            })?,
        };
        let pages = metadata("pages").and_then(|value| value.as_bool()).unwrap_or_default();
        Ok(Package { name, manifest, framework, depends, pages })
    }

    /// The manifest of a workspace member, by package name or directory.
    fn in_workspace(wanted: &str) -> Result<PathBuf> {
        let text = fs::read_to_string(root().join("Cargo.toml"))
            .context("cannot read the workspace's Cargo.toml")?;
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
}

/// Compiles the crate and all it needs into one static library; its path.
fn compile(toolchain: &Toolchain, package: &Package, framework: Framework, work: &Path) -> Result<PathBuf> {
    let project = package.manifest.parent().unwrap_or(&package.manifest);
    let build = |command: &[&str], manifest: &Path, config: &[String], extern_: &[String]| {
        let mut cargo = cargo_for_kernel(toolchain, command, manifest, project, work)?;
        let output = cargo
            .arg("-Zprofile-rustflags")
            .args(config.iter().flat_map(|setting| ["--config", setting]))
            .args(["--message-format", "json-render-diagnostics"])
            .arg("--")
            .args(extern_)
            .output()
            .with_context(|| format!("cannot run {}", toolchain.cargo.display()))?;
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
            let manifest = root().join("segdev/illumos/Cargo.toml");
            let command: &[&str] = match package.pages {
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
    // Beside a framework of its own a module has room for what is small only.
    let driver = match framework {
        Framework::Kernel => Vec::new(),
        Framework::Own => {
            let mut settings = small(&["devmap", &package.name]);
            settings.push("profile.release.package.devmap.rustflags=[\"--cfg=devmap_own\"]".to_owned());
            settings
        }
    };
    let messages = build(&["rustc", "--lib", "--crate-type", "staticlib"], &package.manifest, &driver, &own)?;
    library(&messages, &package.manifest, ".a")
}

/// A number that stands for these bytes (FNV-1a).
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// A cargo command that builds for the kernel target, as modules of the driver in `project` are built, below `work`.
///
/// Cargo compiles core and alloc again when the flags for all crates change: they are the same for every driver of this workspace, in every command.
fn cargo_for_kernel(
    toolchain: &Toolchain,
    command: &[&str],
    manifest: &Path,
    project: &Path,
    work: &Path,
) -> Result<Command> {
    let spec = target::write(toolchain, work)?;
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let mut flags = vec![
        "--cfg=illumos_kernel".to_owned(),
        "-Cforce-frame-pointers=yes".to_owned(),
        "-Cforce-unwind-tables=no".to_owned(),
        "-Cembed-bitcode=yes".to_owned(),
    ];
    let mut remap =
        |from: &Path, to: &str| flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    remap(&toolchain.sources, "rust");
    if let Ok(path) = toolchain.sources.canonicalize() {
        remap(&path, "rust");
    }
    if let Some(home) = &home {
        remap(home, "cargo");
    }
    if !project.starts_with(root()) {
        remap(project, "driver");
    }
    remap(&root(), "project");
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
        .args(["--release", "--manifest-path"])
        .arg(manifest)
        .arg("--target")
        .arg(&spec)
        .args(["-Zbuild-std=core,alloc,compiler_builtins"])
        .args(toolchain.json_targets_are_unstable.then_some("-Zjson-target-spec"))
        .arg("--target-dir")
        .arg(work)
        .arg("--quiet")
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
        .stderr(std::process::Stdio::inherit());
    Ok(cargo)
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

/// Where cargo puts what it builds for the kernel.
fn work_dir() -> PathBuf {
    target_dir().join("module-build")
}

/// Where cargo puts what it builds.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddi_krtld::check::{Dependency, Options, check};

    use crate::check_module::Verdict;

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
            output: Some(output.clone()),
            name: None,
            framework: None,
            limit: Some(16 * 1024),
            twice: false,
        };
        assert_eq!(run(&args).unwrap(), ExitCode::SUCCESS);
        let bytes = fs::read(output).unwrap();
        let dependency = Dependency { name: "misc/tinymisc".to_owned(), symbols: Vec::new() };
        let options = Options {
            dependencies: vec![dependency],
            deny_panics: false,
            frame_limit: 512,
            stack_limit: 2048,
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
        let error = format!("{:#}", run(&Args { limit: Some(100), ..args }).unwrap_err());
        assert!(error.contains("more than the limit of 100"), "{error}");
    }

    /// Cargo compiles core and alloc again when the flags for all crates change.
    #[test]
    fn every_driver_of_the_workspace_is_compiled_with_the_same_flags() {
        let toolchain = match toolchain::find() {
            Ok(toolchain) => toolchain,
            Err(error) => return println!("skipped: {error}"),
        };
        let dir = tempfile::tempdir().unwrap();
        let flags = |package| {
            let manifest = Package::in_workspace(package).unwrap();
            let project = manifest.parent().unwrap();
            let cargo = cargo_for_kernel(&toolchain, &["build"], &manifest, project, dir.path()).unwrap();
            let (_, flags) = cargo.get_envs().find(|(name, _)| *name == "CARGO_ENCODED_RUSTFLAGS").unwrap();
            flags.unwrap().to_owned()
        };
        assert_eq!(flags("ctxdev"), flags("notice"));
    }

    #[test]
    fn what_is_not_there_is_said_in_one_line() {
        assert_eq!(
            Package::in_workspace("no-such").unwrap_err().to_string(),
            "the workspace has no package no-such"
        );
        let by_dir = Package::in_workspace("example-driver").unwrap();
        assert_eq!(by_dir, Package::in_workspace("ctxdev").unwrap());
    }
}
