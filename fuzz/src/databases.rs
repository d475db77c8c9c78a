//! The files that add_drv(8) and rem_drv(8) change: a command that is refused changes none of them; one that succeeds adds what it was asked to, and leaves every
//! other line as it was.

use std::fs;

use ddi_system::add_drv::{AddOptions, Attached, Running, add_drv};
use ddi_system::glob;
use ddi_system::perms::Perms;
use ddi_system::rem_drv::rem_drv;
use ddi_system::root::{Database, Root};
use tempfile::TempDir;

/// Most bytes of an input.
pub const MOST: usize = 2048;

/// Nothing follows what the files say.
struct Nobody;

impl Running for Nobody {
    fn bind(&self, _: &Root, _: &str) {}
    fn unbind(&self, _: &Root, _: &str) -> Result<(), i32> {
        Ok(())
    }
    fn attach(&self, _: &Root, _: &str) -> Attached {
        Attached { any: true, said: String::new() }
    }
    fn unload(&self, _: &Root, _: &str) -> Result<(), i32> {
        Ok(())
    }
    fn reread(&self, _: &Root, _: &str) -> Result<(), i32> {
        Ok(())
    }
    fn permissions(&self, _: &Root, _: &str, _: bool) {}
}

const ALL: [Database; 7] = [
    Database::NameToMajor,
    Database::RemNameToMajor,
    Database::Aliases,
    Database::MinorPerm,
    Database::Classes,
    Database::ExtraPrivs,
    Database::DevicePolicy,
];

/// Makes a system's directory.
fn place() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::create_dir_all(dir.path().join("etc/security")).expect("a temporary directory");
    dir
}

thread_local!(static PLACE: TempDir = place());

/// # Panics
/// An assertion fails.
pub fn target(data: &[u8]) {
    let root = PLACE.with(|dir| Root::new(dir.path()));
    // The files, the driver, and its options, with a byte that no text has between them.
    let mut parts = data.split(|byte| *byte == 0xff);
    for database in ALL {
        let text = parts.next().unwrap_or_default();
        let file = root.file(database);
        match text.is_empty() {
            true => drop(fs::remove_file(file)),
            false => fs::write(file, text).expect("a temporary directory"),
        }
    }
    let mut word = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let driver = word();
    let mut option = || Some(word()).filter(|text| !text.is_empty());
    let options = AddOptions {
        permissions: option(),
        aliases: option(),
        classes: option(),
        policy: option(),
        privileges: option(),
        no_load: true,
        ..AddOptions::default()
    };
    let name = word();
    said(&root);
    patterns(&root, &driver, &name);
    command(&root, &driver, &options);
}

/// Checks that each line of a file is either understood or warned of, with its number.
fn said(root: &Root) {
    let Ok(unread) = root.unread() else { return };
    let (majors, aliases) = (root.installed().expect("read before"), root.aliases().expect("read before"));
    for (database, known) in [(Database::NameToMajor, majors.len()), (Database::Aliases, aliases.len())] {
        let unread = unread.iter().filter(|said| said.starts_with(&format!("{}: line ", database.path())));
        assert_eq!(root.lines(database).expect("read before").len(), known + unread.count());
    }
}

/// The text of each file.
fn texts(root: &Root) -> Vec<Vec<u8>> {
    ALL.iter().map(|database| fs::read(root.file(*database)).unwrap_or_default()).collect()
}

fn command(root: &Root, driver: &str, options: &AddOptions) {
    let before = texts(root);
    let mut said = Vec::new();
    let status = add_drv(root, driver, options, &Nobody, &mut said);
    let said = String::from_utf8_lossy(&said).into_owned();
    let after = texts(root);
    if status != 0 {
        assert_eq!(before, after, "refused, and something has changed: {said}");
        assert!(options.permissions.is_some() || !said.is_empty(), "refused without a word");
        return;
    }
    // As a path is cleaned.
    let driver = driver.trim_end_matches('/');
    let installed = root.installed().expect("the files can be read");
    let own: Vec<_> = installed.iter().filter(|other| other.name == driver).collect();
    let [own] = own[..] else { panic!("{driver:?} is there {} times", own.len()) };
    assert!(
        installed.iter().filter(|other| other.major == own.major).count() == 1,
        "{} is given twice",
        own.major
    );
    for (database, (old, new)) in ALL.iter().zip(before.iter().zip(&after)) {
        let kept: Vec<u8> = match database {
            Database::RemNameToMajor => continue,
            _ if old.is_empty() || old.ends_with(b"\n") => old.clone(),
            _ if old == new => continue,
            _ => [old, &b"\n"[..]].concat(),
        };
        assert!(new.starts_with(&kept), "{} has lost something", database.path());
        let added = std::str::from_utf8(&new[kept.len()..]).expect("text");
        for line in added.lines() {
            let mut of = root.lines_of(*database, driver).expect("the files can be read").into_iter();
            assert!(of.any(|own| own == line.trim()), "{line:?} of {} is not {driver:?}'s", database.path());
        }
    }
    // Taken away again, nothing is left of it but its number.
    let ours = |text: &[u8]| {
        let text = String::from_utf8_lossy(text).into_owned();
        let ends = |c: char| c.is_whitespace() || c == ':';
        let about = move |line: &str| line.trim_start().split(ends).next() == Some(driver);
        text.lines().any(about)
    };
    let clean = !before.iter().any(|text| ours(text));
    let mut said = Vec::new();
    assert_eq!(rem_drv(root, driver, true, &Nobody, &mut said), 0, "{}", String::from_utf8_lossy(&said));
    for (database, (old, new)) in ALL.iter().zip(before.iter().zip(texts(root))) {
        if *database != Database::RemNameToMajor && clean {
            let old = if old.is_empty() || old.ends_with(b"\n") || *old == new {
                old.clone()
            } else {
                [old, &b"\n"[..]].concat()
            };
            assert_eq!(String::from_utf8_lossy(&new), String::from_utf8_lossy(&old), "{}", database.path());
        }
    }
    assert!(root.major(driver).expect("the files can be read").is_none());
    assert_eq!(root.old_major(driver).expect("the files can be read"), Some(own.major));
}

/// Permissions by patterns, as the kernel looks them up.
fn patterns(root: &Root, driver: &str, name: &str) {
    let Ok(permissions) = root.permissions(driver) else { return };
    for permission in &permissions {
        assert_eq!(
            glob::matches(&permission.minor, name),
            matches(&permission.minor, name),
            "{:?} {name:?}",
            permission.minor
        );
    }
    let mut perms = Perms::default();
    perms.add(root, driver);
    let _ = perms.of(driver, name);
    perms.remove(root, driver);
    assert_eq!(
        perms.of(driver, name),
        Perms::default().of(driver, name),
        "the kernel keeps what was taken away"
    );
}

/// Matches a name against a pattern, slowly: a table of what each part of the pattern matches of each part of the name.
fn matches(pattern: &str, name: &str) -> bool {
    enum Piece {
        Any,
        One(Box<dyn Fn(char) -> bool>),
    }
    let mut pieces = Vec::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        pieces.push(match c {
            '*' => Piece::Any,
            '?' => Piece::One(Box::new(|_| true)),
            '[' => {
                let Some((set, behind)) = rest.as_str().split_once(']') else { return false };
                let (set, negated) = set.strip_prefix('!').map_or((set, false), |set| (set, true));
                let set: Vec<char> = set.chars().collect();
                rest = behind.chars();
                Piece::One(Box::new(move |c| {
                    let mut set = &set[..];
                    let mut found = false;
                    while let [first, behind @ ..] = set {
                        (found, set) = match behind {
                            ['-', last, behind @ ..] => (found || (*first..=*last).contains(&c), behind),
                            _ => (found || *first == c, behind),
                        };
                    }
                    found != negated
                }))
            }
            '\\' => {
                let plain = rest.next().unwrap_or('\\');
                Piece::One(Box::new(move |c| c == plain))
            }
            plain => Piece::One(Box::new(move |c| c == plain)),
        });
    }
    let name: Vec<char> = name.chars().collect();
    let mut can = vec![false; name.len() + 1];
    can[0] = true;
    for piece in &pieces {
        match piece {
            Piece::Any => {
                let first = can.iter().position(|can| *can).unwrap_or(can.len());
                can[first..].fill(true);
            }
            Piece::One(fits) => {
                for at in (0..name.len()).rev() {
                    can[at + 1] = can[at] && fits(name[at]);
                }
                can[0] = false;
            }
        }
    }
    can[name.len()]
}
