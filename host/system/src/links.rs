//! The links of a system's `dev` directory, as devfsadm(8) makes them: relative ones into `../devices`, and second ones to those.
//!
//! They stay when a node goes, and then lead nowhere, until somebody removes them. Where the directory cannot be written, links are made in this
//! process only. No locking.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::devlink::Directory;

/// How many links may follow one another.
const LONGEST_CHAIN: usize = 8;

/// The links there are.
#[derive(Clone, Debug, Default)]
pub struct Links {
    dir: PathBuf,
    /// By name below /dev: a path below /devices, which begins with a slash, or another name below /dev.
    all: BTreeMap<String, String>,
    /// Names of those that could not be written.
    unwritten: BTreeMap<String, String>,
    /// What was to be warned of.
    pub warnings: Vec<String>,
    /// Links that could not be written, and why.
    pub unmade: Vec<String>,
}

impl Links {
    /// Reads a `dev` directory.
    pub fn read(dir: PathBuf) -> Links {
        let mut links = Links { dir, ..Links::default() };
        links.reread();
        links
    }

    /// Reads it again.
    pub fn reread(&mut self) {
        let mut all = self.unwritten.clone();
        read_below(&self.dir, "", &mut all);
        self.all = all;
    }

    /// Every link, by name below /dev, and the path below /devices that it leads to.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all.keys().filter_map(|name| Some((name.as_str(), self.target(name)?)))
    }

    fn target(&self, name: &str) -> Option<&str> {
        let mut at = self.all.get(name)?;
        for _ in 0..LONGEST_CHAIN {
            if at.starts_with('/') {
                return Some(at);
            }
            at = self.all.get(at)?;
        }
        None
    }
}

/// Collects the links of a directory that are devfsadm's kind.
fn read_below(dir: &Path, prefix: &str, all: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = format!("{prefix}{name}");
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => read_below(&entry.path(), &format!("{name}/"), all),
            Ok(kind) if kind.is_symlink() => {
                let target =
                    fs::read_link(entry.path()).ok().and_then(|to| to.into_os_string().into_string().ok());
                if let Some(target) = target.and_then(|target| meaning(&name, &target)) {
                    all.insert(name, target);
                }
            }
            _ => {}
        }
    }
}

/// What a link's content means: a path below /devices, or another name below /dev.
fn meaning(name: &str, content: &str) -> Option<String> {
    let bare = content.trim_start_matches("../");
    if let Some(below) = bare.strip_prefix("devices/").or_else(|| content.strip_prefix("/devices/")) {
        return Some(format!("/{below}"));
    }
    if let Some(other) = content.strip_prefix("/dev/") {
        return Some(other.to_owned());
    }
    if content.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in content.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

impl Directory for Links {
    fn links(&self) -> &BTreeMap<String, String> {
        &self.all
    }

    fn link(&mut self, name: &str, target: &str) {
        if self.all.get(name).is_some_and(|to| to == target) {
            return;
        }
        self.all.insert(name.to_owned(), target.to_owned());
        let up = "../".repeat(name.matches('/').count());
        let content = match target.strip_prefix('/') {
            Some(below) => format!("{up}../devices/{below}"),
            None => format!("{up}{target}"),
        };
        let file = self.dir.join(name);
        let made = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            if file.is_symlink() {
                fs::remove_file(&file)?;
            }
            symlink(content, &file)
        });
        if let Err(error) = made {
            self.unmade.push(format!("{}: {error}; the link is in this process only", file.display()));
            self.unwritten.insert(name.to_owned(), target.to_owned());
        }
    }

    fn warn(&mut self, text: String) {
        self.warnings.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devlink::{Minor, Rules};

    #[test]
    fn links_are_written_relative_read_again_and_keep_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let dev = dir.path().join("dev");
        let mut links = Links::read(dev.clone());
        links.link("ctx/a0", "/pseudo/ctx@0:a");
        links.link("second", "ctx/a0");
        let content =
            |name: &str| fs::read_link(dev.join(name)).unwrap().into_os_string().into_string().unwrap();
        assert_eq!(content("ctx/a0"), "../../devices/pseudo/ctx@0:a");
        assert_eq!(content("second"), "ctx/a0");
        symlink("/devices/pseudo/ctx@1:a", dev.join("ctx/a1")).unwrap();
        symlink("../second", dev.join("ctx/third")).unwrap();
        symlink("/somewhere/else", dev.join("other")).unwrap();
        fs::write(dev.join("file"), "not a link").unwrap();
        links.link("file", "/pseudo/ctx@2:a");
        assert_eq!(fs::read_to_string(dev.join("file")).unwrap(), "not a link");
        let mut again = Links::read(dev.clone());
        let all: Vec<(&str, &str)> = again.iter().collect();
        let zero = "/pseudo/ctx@0:a";
        assert_eq!(
            all,
            [("ctx/a0", zero), ("ctx/a1", "/pseudo/ctx@1:a"), ("ctx/third", zero), ("second", zero)]
        );
        let (rules, _) = Rules::parse("name=ctx\tctx/a\\N0\n", "");
        for (addr, path) in [("1", "/pseudo/ctx@1:a"), ("9", "/pseudo/ctx@9:a")] {
            rules.make(Minor { kind: "ddi_pseudo", name: "ctx", addr, minor: "a", path }, &mut again);
        }
        let numbered = again.iter().filter(|(name, _)| name.starts_with("ctx/a"));
        let numbered: Vec<(&str, &str)> = numbered.collect();
        assert_eq!(
            numbered,
            [("ctx/a0", zero), ("ctx/a1", "/pseudo/ctx@1:a"), ("ctx/a2", "/pseudo/ctx@9:a")]
        );
        // A link to something else is replaced.
        again.link("ctx/a1", "/pseudo/ctx@9:a");
        assert_eq!(content("ctx/a1"), "../../devices/pseudo/ctx@9:a");
        // One that somebody removed is gone.
        fs::remove_file(dev.join("second")).unwrap();
        again.reread();
        assert!(again.iter().all(|(name, _)| name != "second"));
    }

    #[test]
    fn where_nothing_can_be_written_links_are_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("dev"), "a file").unwrap();
        let mut links = Links::read(dir.path().join("dev"));
        links.link("ctx0", "/pseudo/ctx@0:a");
        links.reread();
        assert_eq!(links.iter().collect::<Vec<_>>(), [("ctx0", "/pseudo/ctx@0:a")]);
    }
}
