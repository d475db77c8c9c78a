//! A Rust compiler that has the library's sources beside it: rustup's with its rust-src component, or the distribution's.
//!
//! Compiling core and alloc is an unstable feature; `RUSTC_BOOTSTRAP=1` allows it with a stable compiler too.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

/// The oldest compiler that the project's crates need.
const OLDEST: (u32, u32) = (1, 90);

/// A compiler and what belongs to it.
pub struct Toolchain {
    /// The compiler itself, not rustup's stand-in.
    pub rustc: PathBuf,
    /// The cargo of the same toolchain.
    pub cargo: PathBuf,
    /// The directory that holds `library`.
    pub sources: PathBuf,
    /// Output of `rustc --version`.
    version: String,
    /// Output of `rustc --version --verbose`, which tells builds apart.
    pub verbose_version: String,
    /// Whether cargo wants to be asked for JSON targets by a flag.
    pub json_targets_are_unstable: bool,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} ({}, library sources in {})",
            self.version,
            self.rustc.display(),
            self.sources.display()
        )
    }
}

impl Toolchain {
    /// The directory of the sources, under each name by which the compiler may call it.
    pub fn source_directories(&self) -> impl Iterator<Item = PathBuf> {
        std::iter::once(self.sources.clone()).chain(self.sources.canonicalize())
    }
}

/// Looks at the active toolchain, then rustup's others, then the distribution's. A nightly that is not active comes last: it is there for something else.
pub fn find() -> Result<Toolchain> {
    let active = output(Command::new("rustc").args(["--print", "sysroot"])).map(PathBuf::from);
    let listing = output(Command::new("rustup").args(["toolchain", "list", "-v"])).unwrap_or_default();
    among(&in_order(active, &listing))
}

/// Returns the toolchains in the order in which they are looked at. `listing` is rustup's.
fn in_order(active: Option<PathBuf>, listing: &str) -> Vec<PathBuf> {
    let lines = listing.lines().filter(|line| !line.trim().is_empty());
    let (nightly, others): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("nightly"));
    let place = |line: &str| line.split_whitespace().last().map(PathBuf::from);
    let distribution = ["/usr", "/usr/local"].map(PathBuf::from);
    let others = others.into_iter().filter_map(place);
    active
        .into_iter()
        .chain(others)
        .chain(distribution)
        .chain(nightly.into_iter().filter_map(place))
        .collect()
}

/// The first good toolchain of these.
fn among(sysroots: &[PathBuf]) -> Result<Toolchain> {
    if let Some(toolchain) = sysroots.iter().find_map(|sysroot| at(sysroot)) {
        return Ok(toolchain);
    }
    let command = if which("rustup") {
        "rustup component add rust-src"
    } else if which("apt-get") {
        "apt-get install rustc-web cargo-web rust-web-src"
    } else {
        "curl --proto '=https' -sSf https://sh.rustup.rs | sh -s -- -y -c rust-src"
    };
    bail!("no Rust toolchain of {}.{} or newer with the library's sources: {command}", OLDEST.0, OLDEST.1)
}

/// The toolchain below `sysroot`, when it is complete and new enough.
pub(super) fn at(sysroot: &Path) -> Option<Toolchain> {
    let sources = sysroot.join("lib/rustlib/src/rust");
    let (rustc, cargo) = (sysroot.join("bin/rustc"), sysroot.join("bin/cargo"));
    if !sources.join("library/core/src/lib.rs").exists() || !cargo.exists() {
        return None;
    }
    let verbose_version = output(Command::new(&rustc).args(["--version", "--verbose"]))?;
    let version = verbose_version.lines().next()?.to_owned();
    let mut numbers =
        version.split_whitespace().nth(1)?.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    if (numbers.next()?, numbers.next()?) < OLDEST {
        return None;
    }
    let flags =
        output(Command::new(&cargo).args(["-Z", "help"]).env("RUSTC_BOOTSTRAP", "1")).unwrap_or_default();
    let json_targets_are_unstable = flags.contains("json-target-spec");
    Some(Toolchain { rustc, cargo, sources, version, verbose_version, json_targets_are_unstable })
}

/// Returns the output of a command, if it succeeds. A toolchain chosen by the caller's environment is not asked for.
fn output(command: &mut Command) -> Option<String> {
    let output = command.env_remove("RUSTC").output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn which(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(name).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_sources_one_command_is_named() {
        let empty = tempfile::tempdir().unwrap();
        let Err(error) = among(&[empty.path().to_owned()]) else { panic!("there is no toolchain") };
        let message = error.to_string();
        assert!(
            message.starts_with("no Rust toolchain of 1.90 or newer with the library's sources: "),
            "{message}"
        );
        assert!(
            ["rustup", "apt-get", "curl"].iter().any(|tool| message.contains(&format!(": {tool} "))),
            "{message}"
        );
        assert_eq!(message.lines().count(), 1);
    }

    #[test]
    fn a_nightly_comes_last_unless_it_is_active() {
        let listing = "nightly-x86_64 /n\nstable-x86_64 (active, default) /s\nbeta-x86_64 /b\n";
        let order = |active: &str| -> Vec<String> {
            let order = in_order(Some(active.into()), listing);
            order.iter().map(|dir| dir.display().to_string()).collect()
        };
        assert_eq!(order("/s"), ["/s", "/s", "/b", "/usr", "/usr/local", "/n"]);
        assert_eq!(order("/n")[0], "/n");
        assert_eq!(in_order(None, "").len(), 2);
    }

    #[test]
    fn an_old_toolchain_is_passed_over() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let core = dir.path().join("lib/rustlib/src/rust/library/core/src");
        std::fs::create_dir_all(&core).unwrap();
        std::fs::write(core.join("lib.rs"), "").unwrap();
        std::fs::create_dir(dir.path().join("bin")).unwrap();
        for (version, good) in [("1.89.0", false), ("1.90.0", true), ("2.0.0-nightly", true)] {
            for tool in ["rustc", "cargo"] {
                let path = dir.path().join("bin").join(tool);
                std::fs::write(&path, format!("#!/bin/sh\necho '{tool} {version} (x)'\n")).unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
            assert_eq!(at(dir.path()).is_some(), good, "{version}");
        }
    }
}
