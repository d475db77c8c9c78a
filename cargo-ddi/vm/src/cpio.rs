//! An initramfs: a cpio archive in the kernel's `newc` form.

use std::collections::BTreeSet;
use std::io::Write;

use cpio::newc::{self, Builder};

/// An archive under construction. Directories come into being with the files in them.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    names: BTreeSet<String>,
    inode: u32,
}

const DIRECTORY: u32 = 0o040755;
const FILE: u32 = 0o100000;
const LINK: u32 = 0o120777;
const CHARACTER: u32 = 0o020600;

impl Archive {
    /// Adds a directory, and those above it.
    pub fn directory(&mut self, path: &str) {
        let path = path.trim_matches('/');
        if path.is_empty() || self.names.contains(path) {
            return;
        }
        if let Some((above, _)) = path.rsplit_once('/') {
            self.directory(above);
        }
        self.entry(path, DIRECTORY, (0, 0), &[]);
    }

    /// Adds a file unless there is one of that name; `mode` is its permissions.
    pub fn file(&mut self, path: &str, mode: u32, contents: &[u8]) {
        self.add(path, FILE | mode, (0, 0), contents);
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, target: &str) {
        self.add(path, LINK, (0, 0), target.as_bytes());
    }

    /// Adds a character device.
    pub fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.add(path, CHARACTER, (major, minor), &[]);
    }

    /// Whether there is such an entry.
    pub fn contains(&self, path: &str) -> bool {
        self.names.contains(path.trim_matches('/'))
    }

    /// The finished archive.
    pub fn finish(self) -> Vec<u8> {
        newc::trailer(self.bytes).expect("memory takes what is written")
    }

    fn add(&mut self, path: &str, mode: u32, device: (u32, u32), contents: &[u8]) {
        let path = path.trim_matches('/');
        if self.names.contains(path) {
            return;
        }
        if let Some((above, _)) = path.rsplit_once('/') {
            self.directory(above);
        }
        self.entry(path, mode, device, contents);
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), contents: &[u8]) {
        self.inode += 1;
        let entry = Builder::new(name).ino(self.inode).mode(mode).rdev_major(device.0).rdev_minor(device.1);
        let mut writer = entry.write(&mut self.bytes, contents.len() as u32);
        writer.write_all(contents).and_then(|()| writer.finish()).expect("memory takes what is written");
        self.names.insert(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Names, modes and contents, read back.
    fn entries(bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let (mut rest, mut all) = (bytes, Vec::new());
        loop {
            let mut reader = newc::Reader::new(rest).unwrap();
            let entry = reader.entry();
            if entry.is_trailer() {
                return all;
            }
            let (name, mode, mut contents) = (entry.name().to_owned(), entry.mode(), Vec::new());
            reader.read_to_end(&mut contents).unwrap();
            all.push((name, mode, contents));
            rest = reader.finish().unwrap();
        }
    }

    #[test]
    fn directories_come_first_and_names_once() {
        let mut archive = Archive::default();
        archive.file("/usr/sbin/ddi-host", 0o755, b"elf");
        archive.file("/usr/sbin/ddi-host", 0o755, b"another");
        archive.link("/bin/sh", "dash");
        let all = entries(&archive.finish());
        let names: Vec<&str> = all.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["usr", "usr/sbin", "usr/sbin/ddi-host", "bin", "bin/sh"]);
        assert_eq!((all[2].1, &all[2].2[..]), (0o100755, &b"elf"[..]));
        assert_eq!((all[4].1, &all[4].2[..]), (0o120777, &b"dash"[..]));
    }
}
