//! Permissions of minor nodes as a kernel knows them: what it was told of /etc/minor_perm, at boot and by add_drv(8) and its like since. No locking.
//!
//! The kernel's list and the file are two things: `rem_drv -n` takes a driver out of the file, and the kernel goes on with what it knows.

use std::collections::BTreeMap;

use crate::glob;
use crate::root::{MinorPerm, Root};

/// What a device node's permissions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// File mode bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// root.
pub const ROOT: u32 = 0;
/// sys.
pub const SYS: u32 = 3;

/// The permissions of a node that nothing is said of.
pub const DEFAULT: Permissions = Permissions { mode: 0o600, uid: ROOT, gid: SYS };

/// A driver's entries.
#[derive(Clone, Debug, Default)]
struct Entries {
    /// The entry for `*`, which is asked last.
    all: Option<Permissions>,
    /// The others, the newest first.
    some: Vec<(String, Permissions)>,
}

/// The kernel's list.
#[derive(Clone, Debug, Default)]
pub struct Perms {
    drivers: BTreeMap<String, Entries>,
}

impl Perms {
    /// Adds what the file says of a driver; an entry for the same minor name is replaced.
    pub fn add(&mut self, root: &Root, driver: &str) {
        let entries = self.drivers.entry(driver.to_owned()).or_default();
        for perm in root.permissions(driver).unwrap_or_default() {
            let new = permissions(root, &perm);
            if perm.minor == "*" {
                entries.all = Some(new);
                continue;
            }
            match entries.some.iter_mut().find(|(minor, _)| *minor == perm.minor) {
                Some((_, old)) => *old = new,
                None => entries.some.insert(0, (perm.minor, new)),
            }
        }
    }

    /// Removes the entries that the file has of a driver, and no others.
    pub fn remove(&mut self, root: &Root, driver: &str) {
        let Some(entries) = self.drivers.get_mut(driver) else { return };
        for perm in root.permissions(driver).unwrap_or_default() {
            if perm.minor == "*" {
                entries.all = None;
            }
            entries.some.retain(|(minor, _)| *minor != perm.minor);
        }
    }

    /// The permissions of a driver's minor node.
    pub fn of(&self, driver: &str, minor: &str) -> Permissions {
        let Some(entries) = self.drivers.get(driver) else { return DEFAULT };
        let one = entries.some.iter().find(|(pattern, _)| glob::matches(pattern, minor));
        one.map(|(_, perm)| *perm).or(entries.all).unwrap_or(DEFAULT)
    }
}

fn permissions(root: &Root, perm: &MinorPerm) -> Permissions {
    let uid = root.id("passwd", &perm.owner, USERS).unwrap_or(ROOT);
    let gid = root.id("group", &perm.group, GROUPS).unwrap_or(SYS);
    Permissions { mode: perm.mode, uid, gid }
}

/// illumos's users, for a system without an etc/passwd.
const USERS: &[(&str, u32)] = &[
    ("root", ROOT),
    ("daemon", 1),
    ("bin", 2),
    ("sys", 3),
    ("adm", 4),
    ("uucp", 5),
    ("nuucp", 9),
    ("dladm", 15),
    ("netadm", 16),
    ("netcfg", 17),
    ("lp", 71),
    ("nobody", 60001),
    ("noaccess", 60002),
];

/// illumos's groups, for a system without an etc/group.
const GROUPS: &[(&str, u32)] = &[
    ("root", 0),
    ("other", 1),
    ("bin", 2),
    ("sys", SYS),
    ("adm", 4),
    ("uucp", 5),
    ("mail", 6),
    ("tty", 7),
    ("lp", 8),
    ("nuucp", 9),
    ("staff", 10),
    ("daemon", 12),
    ("sysadmin", 14),
    ("netadm", 65),
    ("nobody", 60001),
    ("noaccess", 60002),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::Database;

    #[test]
    fn the_kernel_keeps_what_was_not_taken_away_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let perm = |mode, uid, gid| Permissions { mode, uid, gid };
        for line in
            ["ctxdev:* 0666 root sys", "ctxdev:ctl* 0600 bin tty", "ctxdev:odd rw", "other:* 0644 x y"]
        {
            root.append(Database::MinorPerm, line).unwrap();
        }
        let mut perms = Perms::default();
        assert_eq!(perms.of("ctxdev", "ctxdev0"), DEFAULT);
        perms.add(&root, "ctxdev");
        perms.add(&root, "other");
        assert_eq!(perms.of("ctxdev", "ctxdev0"), perm(0o666, 0, 3));
        assert_eq!(perms.of("ctxdev", "ctl0"), perm(0o600, 2, 7));
        // What cannot be read is 0, root and sys.
        assert_eq!(perms.of("ctxdev", "odd"), perm(0, 0, 3));
        assert_eq!(perms.of("other", "x"), perm(0o644, 0, 3));
        // The file has lost an entry, and the kernel was not told.
        root.remove_entry(Database::MinorPerm, "ctxdev", "* 0666 root sys").unwrap();
        perms.remove(&root, "ctxdev");
        assert_eq!(perms.of("ctxdev", "ctl0"), perm(0o666, 0, 3));
        std::fs::write(dir.path().join("etc/group"), "root::0:\nstaff::77:\n").unwrap();
        root.append(Database::MinorPerm, "ctxdev:s 0600 root staff").unwrap();
        perms.add(&root, "ctxdev");
        assert_eq!(perms.of("ctxdev", "s"), perm(0o600, 0, 77));
    }
}
