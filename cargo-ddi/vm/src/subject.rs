//! The driver under test and the programs that test it: files, and commands that are run where the files are.
//!
//! `[package.metadata.vm]` of the driver's Cargo.toml describes the commands ([`Description`]); without it each program is run once, as it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

/// A driver to test.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// The driver's name, by which kstat(8) knows it.
    pub driver: String,
    /// The directory of its package: the module, its driver.conf, install.sh and remove.sh.
    pub package: PathBuf,
    /// The module, if it is not in the package.
    pub module: PathBuf,
    /// Programs to ship; each keeps the name of its file.
    pub programs: Vec<PathBuf>,
    /// The program that a Linux guest gets as ddi-host.
    pub ddi_host: PathBuf,
    /// Treatment of them.
    pub description: Description,
}

/// Treatment of a driver by a test, as `[package.metadata.vm]` has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Description {
    /// The command that installs the driver, in the directory of its package.
    pub install: String,
    /// Names in /dev that have to be there then.
    pub nodes: Vec<String>,
    /// PCI devices that ddi-host simulates in a Linux guest: descriptions, or names of known ones. Other guests have QEMU's.
    pub devices: Vec<String>,
    /// Programs of the workspace that the commands run.
    pub programs: Vec<String>,
    /// The test programs' command lines, one after the other.
    pub runs: Vec<Run>,
}

/// One run of a test program.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Run {
    /// The name in reports.
    pub name: String,
    /// A shell command; the shipped programs are in its PATH. `{filters}` becomes ` --filter PATTERN` for each pattern. Standard output is its results, as TAP
    /// or as Rust's test harness prints them; of a program that prints neither, the exit status is the result.
    pub command: String,
    /// The filters when QEMU translates, by guest: slow cases are left out. Those of the command line overrule them.
    pub translated: BTreeMap<String, Vec<String>>,
}

impl Default for Description {
    fn default() -> Description {
        Description {
            install: "sh ./install.sh".to_owned(),
            nodes: Vec::new(),
            devices: Vec::new(),
            programs: Vec::new(),
            runs: Vec::new(),
        }
    }
}

impl Description {
    /// Reads `[package.metadata.vm]` of a manifest. None if there is none.
    ///
    /// # Errors
    /// The file cannot be read, or the table has other contents than these.
    pub fn read(manifest: &Path) -> Result<Option<Description>> {
        let place = || manifest.display().to_string();
        let text = std::fs::read_to_string(manifest).with_context(place)?;
        let table: toml::Table = text.parse().with_context(place)?;
        let vm = table.get("package").and_then(|package| package.get("metadata")?.get("vm")).cloned();
        let description = vm.map(Description::deserialize).transpose();
        description.with_context(|| format!("{}: [package.metadata.vm]", place()))
    }

    /// Adds a run of a command line. The program's own name is the run's.
    #[must_use]
    pub fn with_run(mut self, words: &[String]) -> Description {
        let name = words.first().map(|word| word.rsplit('/').next().unwrap_or(word).to_owned());
        let command = words.iter().map(|word| crate::transport::quote(word)).collect::<Vec<_>>().join(" ");
        self.runs.push(Run { name: name.unwrap_or_default(), command, translated: BTreeMap::new() });
        self
    }
}

impl Run {
    /// Returns whether its program takes filters.
    pub fn filters(&self) -> bool {
        self.command.contains("{filters}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vm: &str) -> Result<Option<Description>> {
        let dir = tempfile::tempdir().unwrap();
        let manifest = dir.path().join("Cargo.toml");
        std::fs::write(&manifest, format!("[package]\nname = \"x\"\n{vm}")).unwrap();
        Description::read(&manifest)
    }

    #[test]
    fn what_a_manifest_says_is_read_and_the_rest_has_defaults() {
        assert!(read("").unwrap().is_none());
        let text = "[package.metadata.vm]\nnodes = [\"x0\"]\n[[package.metadata.vm.runs]]\nname = \"all\"\ncommand = \"t{filters}\"\n\
                    translated.linux = [\"a:*\"]\n";
        let description = read(text).unwrap().unwrap();
        assert_eq!((description.install.as_str(), description.nodes.len()), ("sh ./install.sh", 1));
        assert!(description.runs[0].filters());
        assert_eq!(description.runs[0].translated["linux"], ["a:*"]);
        let error = format!("{:#}", read("[package.metadata.vm]\nnode = \"x0\"\n").unwrap_err());
        assert!(error.contains("[package.metadata.vm]") && error.contains("`node`"), "{error}");
    }

    #[test]
    fn a_command_line_is_quoted_for_the_guests_shell() {
        let words = ["/a/b c".to_owned(), "it's".to_owned()];
        let run = Description::default().with_run(&words).runs.remove(0);
        assert_eq!((run.name.as_str(), run.command.as_str()), ("b c", r"'/a/b c' 'it'\''s'"));
    }
}
