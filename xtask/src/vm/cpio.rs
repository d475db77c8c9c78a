//! An initramfs: a cpio archive in the kernel's `newc` form.

use std::collections::BTreeSet;

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
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
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
        let (size, name_size) = (contents.len() as u32, name.len() as u32 + 1);
        // inode, mode, uid, gid, links, time, size, device (2), special device (2), name size, checksum
        let fields = [self.inode, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_size, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08X}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend(contents);
        self.align();
        self.names.insert(name.to_owned());
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names, modes and contents, read back.
    fn entries(bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut at = 0;
        let mut all = Vec::new();
        loop {
            assert_eq!(&bytes[at..at + 6], b"070701");
            let field = |n: usize| {
                let text = std::str::from_utf8(&bytes[at + 6 + 8 * n..at + 14 + 8 * n]).unwrap();
                u32::from_str_radix(text, 16).unwrap()
            };
            let (mode, size, name_size) = (field(1), field(6) as usize, field(11) as usize);
            let name = String::from_utf8(bytes[at + 110..at + 110 + name_size - 1].to_vec()).unwrap();
            let from = (at + 110 + name_size).next_multiple_of(4);
            if name == "TRAILER!!!" {
                return all;
            }
            all.push((name, mode, bytes[from..from + size].to_vec()));
            at = (from + size).next_multiple_of(4);
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
