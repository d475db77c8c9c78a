//! `cargo ddi new`: a repository with a driver, from one of the templates in `templates`.
//!
//! Templates are drivers called `newdrv`; making one replaces the name. Files that cargo or git would read where they are, and the manifests, which are
//! filled in, have other names there.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Serialize;

use crate::checkout::Devmap;
use crate::project::cargo;
use crate::ui::Ui;

/// Arguments of `new`.
#[derive(clap::Args)]
pub struct Args {
    /// The driver's name, and the directory's: lower-case letters, digits and _, at most 16.
    name: String,
    /// The driver to begin with.
    #[arg(long, default_value = "plain")]
    template: Template,
    /// Make it in DIR instead of ./NAME.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// devmap: a checkout, a git URL, or a version (default: the checkout from which this command was installed).
    #[arg(long, value_name = "DIR|URL|VERSION")]
    devmap: Option<String>,
}

/// The drivers to begin with.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Template {
    /// Kernel memory that all processes see.
    Plain,
    /// An engine with a context for each mapping, switched on access.
    Context,
    /// A ring of events for each open, with poll.
    Ring,
    /// A PCI board: registers, a window that processes map, an interrupt.
    Pci,
}

/// A file of a template: its path in the repository, and its text.
type File = (&'static str, &'static str);

macro_rules! files {
    ($folder:literal, $($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../templates/", $folder, "/", $path)))),*]
    };
}

/// Files of every repository.
const COMMON: &[File] = &[
    ("Cargo.toml", include_str!("../../templates/common/Cargo.toml.in")),
    ("user/Cargo.toml", include_str!("../../templates/common/user/Cargo.toml.in")),
    ("program/Cargo.toml", include_str!("../../templates/common/program/Cargo.toml.in")),
    (".gitignore", include_str!("../../templates/common/gitignore")),
    (".github/workflows/ci.yml", include_str!("../../templates/common/ci.yml")),
    ("README.md", include_str!("../../templates/common/README.md")),
    ("LICENSE", include_str!("../../LICENSE-MIT")),
];

impl Template {
    fn files(self) -> &'static [File] {
        macro_rules! driver {
            ($folder:literal $(, $more:literal)*) => {
                files!(
                    $folder, "src/lib.rs", "newdrv.conf", "user/src/lib.rs", "program/src/main.rs", "tests/under_host.rs", "tests/unit.rs"
                    $(, $more)*
                )
            };
        }
        match self {
            Template::Plain => driver!("plain"),
            Template::Context => driver!("context"),
            Template::Ring => driver!("ring"),
            Template::Pci => driver!("pci", "board.toml"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Template::Plain => "plain",
            Template::Context => "context",
            Template::Ring => "ring",
            Template::Pci => "pci",
        }
    }

    fn summary(self) -> &'static str {
        match self {
            Template::Plain => "Kernel memory that all processes see",
            Template::Context => "A device with an engine, and a context of it for each mapping",
            Template::Ring => "A ring of events for each open",
            Template::Pci => "A PCI board with a window that processes map",
        }
    }
}

/// Result of `new`.
#[derive(Serialize)]
struct Made {
    name: String,
    dir: PathBuf,
    template: &'static str,
    devmap: String,
}

impl fmt::Display for Made {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Made { name, dir, template, devmap } = self;
        writeln!(out, "{name}: a {template} driver in {}, on devmap from {devmap}", dir.display())?;
        writeln!(out, "next: cd {} && cargo test && cargo ddi run", dir.display())
    }
}

/// Makes the repository.
pub fn run(args: &Args, ui: &Ui) -> Result<ExitCode> {
    check_name(&args.name)?;
    let devmap = Devmap::find(args.devmap.as_deref())?;
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    if fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some()) || dir.is_file() {
        bail!("{} is there already; --dir names another place", dir.display());
    }
    let fill = Fill { args, devmap: &devmap };
    for (path, text) in COMMON.iter().chain(args.template.files()) {
        write(&dir.join(fill.name(path)), &fill.text(text))?;
    }
    if let Some(lock) = devmap.lock() {
        // The versions that devmap's own tests ran with; cargo drops what is not needed.
        let to = dir.join("Cargo.lock");
        fs::copy(&lock, &to).with_context(|| format!("cannot write {}", to.display()))?;
    }
    finish(&dir);
    ui.result(&Made {
        name: args.name.clone(),
        dir,
        template: args.template.name(),
        devmap: devmap.place(),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Formats the code, whose lines have other lengths with another name, and makes a git repository. Without the tools neither is done.
fn finish(dir: &Path) {
    let quiet = |command: &mut Command| {
        let command =
            command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    quiet(cargo().arg("fmt").arg("--all"));
    if !quiet(Command::new("git").args(["rev-parse", "--is-inside-work-tree"])) {
        quiet(Command::new("git").args(["init", "--quiet"]));
    }
}

/// Says what is wrong with a driver's name.
fn check_name(name: &str) -> Result<()> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(letter) || name.len() > 16 {
        bail!("{name:?} is no driver's name: a lower-case letter, then those, digits and _, at most 16");
    }
    if name.ends_with(|c: char| c.is_ascii_digit()) {
        bail!("{name}: the kernel appends an instance number, so a driver's name ends with no digit");
    }
    // Crates that the driver's own code names, and what Rust keeps for itself.
    const TAKEN: [&str; 19] = [
        "alloc",
        "core",
        "crate",
        "devmap",
        "devmap_mock",
        "devmap_plain",
        "devmap_test",
        "fn",
        "impl",
        "libc",
        "mod",
        "newdrv",
        "proc_macro",
        "self",
        "std",
        "super",
        "test",
        "type",
        "user",
    ];
    if TAKEN.contains(&name) || is_keyword(name) {
        bail!("{name}: Rust or the driver's own code has something else of this name; choose another");
    }
    Ok(())
}

/// Returns whether a name cannot be a crate's because it is a keyword.
fn is_keyword(name: &str) -> bool {
    const WORDS: &str = " abstract as async await become box break const continue do dyn else enum extern false final for gen if in let \
                         loop macro match move mut override priv pub ref return static struct trait true try typeof unsafe unsized \
                         use virtual where while yield ";
    WORDS.contains(&format!(" {name} "))
}

fn write(path: &Path, text: &str) -> Result<()> {
    let place = || format!("cannot write {}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(path)).with_context(place)?;
    fs::write(path, text).with_context(place)
}

/// Puts the driver's own names into a template.
struct Fill<'a> {
    args: &'a Args,
    devmap: &'a Devmap,
}

impl Fill<'_> {
    fn name(&self, text: &str) -> String {
        let name = &self.args.name;
        let capital = |word: &str| {
            let mut letters = word.chars();
            letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
        };
        let ty: String = name.split('_').filter_map(capital).collect();
        text.replace("newdrv", name).replace("Newdrv", &ty).replace("NEWDRV", &name.to_ascii_uppercase())
    }

    fn text(&self, text: &str) -> String {
        let template = self.args.template;
        let (files, devices, aliases) = match template {
            Template::Pci => {
                ("| `board.toml` | the board, simulated |\n", "\"board.toml\"", "\"pci1de1,b0a5\"")
            }
            _ => ("", "", ""),
        };
        // Where devmap is a directory of this machine, another machine has to get it first.
        let install = match self.devmap {
            Devmap::Path(_) => {
                "# Here devmap is a directory of one machine (Cargo.toml). With a URL or a version in its place:\n\
                 #     - run: cargo install --git URL cargo-ddi && cargo ddi test && cargo ddi check"
                    .to_owned()
            }
            Devmap::Git(url) => {
                format!("      - run: cargo install --git {url} cargo-ddi\n      - run: cargo ddi test\n      - run: cargo ddi check")
            }
            Devmap::Version(_) => {
                "      - run: cargo install cargo-ddi\n      - run: cargo ddi test\n      - run: cargo ddi check".to_owned()
            }
        };
        let place = match self.devmap {
            Devmap::Version(_) => "https://crates.io/crates/devmap".to_owned(),
            other => other.place(),
        };
        // The author's words last: they may look like a template's.
        self.name(text)
            .replace("@SUMMARY@", template.summary())
            .replace("@ALIASES@", aliases)
            .replace("@DEVICES@", devices)
            .replace("@FILES@\n", files)
            .replace("@CI_INSTALL@", &install)
            .replace("@DEVMAP@", &place)
            .replace("@DEPENDENCIES@", &self.devmap.dependencies())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "my_driver", "x25net", "ramdisk"] {
            check_name(good).unwrap();
        }
        for (bad, why) in [
            ("", "no driver's name"),
            ("My", "no driver's name"),
            ("../up", "no driver's name"),
            ("a-b", "no driver's name"),
            ("_x", "no driver's name"),
            ("seventeen_letters", "no driver's name"),
            ("drv0", "ends with no digit"),
            ("devmap", "choose another"),
            ("devmap_mock", "choose another"),
            ("match", "choose another"),
        ] {
            let error = check_name(bad).unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
