//! Directories outside of this workspace, and the commands in them.
#![allow(dead_code, reason = "each test uses what it needs")]

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Cargo's target directory: target/PROFILE/deps/TEST-HASH is this program. Shared with the drivers, so that crates of the registry are compiled once.
pub fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

/// Returns whether another step of .ci/run runs this test, which takes long.
pub fn elsewhere() -> bool {
    let elsewhere = std::env::var_os("DDI_OUTSIDE_ELSEWHERE").is_some();
    if elsewhere {
        println!("skipped: another step of .ci/run runs it (DDI_OUTSIDE_ELSEWHERE)");
    }
    elsewhere
}

/// A directory, removed when dropped. It has the same name each time: cargo tells packages apart by their place, and would fill the target directory.
pub struct Outside(PathBuf);

impl Outside {
    pub fn new(name: &str) -> Outside {
        let mut hash = DefaultHasher::new();
        target().hash(&mut hash);
        let dir = std::env::temp_dir().join(format!("cargo-ddi-{:016x}", hash.finish())).join(name);
        let _ = fs::remove_dir_all(&dir); // of a run that was killed
        fs::create_dir_all(&dir).unwrap();
        Outside(dir)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        let _ = fs::remove_dir(self.0.parent().unwrap()); // others may be there
    }
}

/// A command in a directory, without what cargo tells this package's tests about the package.
pub fn command(program: &str, dir: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(words).current_dir(dir).env("CARGO", env!("CARGO"));
    command.env("CARGO_TARGET_DIR", target()).env("CARGO_NET_OFFLINE", "true");
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|about| name.to_string_lossy().starts_with(about)) {
            command.env_remove(name);
        }
    }
    command
}

pub fn ddi(dir: &Path, words: &[&str]) -> Command {
    command(env!("CARGO_BIN_EXE_cargo-ddi"), dir, &[&["ddi"], words].concat())
}

pub fn cargo(dir: &Path, words: &[&str]) -> String {
    good(command(env!("CARGO"), dir, words).output().unwrap(), &words.join(" "))
}

pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub fn good(output: Output, what: &str) -> String {
    assert!(output.status.success(), "{what}:\n{}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
