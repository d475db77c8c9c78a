//! A system's directory as add_drv(8) keeps it: which drivers are installed, under which major numbers, names and permissions, and where
//! their modules and configuration files are.
//!
//! | file below the root | lines |
//! | --- | --- |
//! | `kernel/drv/amd64/NAME`, `usr/kernel/drv/amd64/NAME` | the module |
//! | `kernel/drv/NAME.conf`, `usr/kernel/drv/NAME.conf` | its configuration |
//! | `etc/name_to_major` | `NAME MAJOR` |
//! | `etc/rem_name_to_major` | drivers that were removed; their numbers are not given again |
//! | `etc/driver_aliases` | `NAME "ALIAS"` |
//! | `etc/driver_classes` | `NAME<tab>CLASS` |
//! | `etc/minor_perm` | `NAME:MINOR MODE OWNER GROUP` |
//! | `etc/devlink.tab`, `dev` | see [`crate::devlink`], [`crate::links`] |
//! | `etc/security/extra_privs`, `device_policy` | what `-P` and `-p` said |
//!
//! Several `ddi-host` processes may share a directory. [`Root::lock`] serialises those that change it; each run holds a shared lock
//! per driver that it has loaded ([`Root::hold`]), which is how rem_drv sees that a driver is busy.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The least major number that is given: illumos does not give 0.
const FIRST_MAJOR: u32 = 1;

/// The databases of a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// `etc/name_to_major`.
    NameToMajor,
    /// `etc/rem_name_to_major`.
    RemNameToMajor,
    /// `etc/driver_aliases`.
    Aliases,
    /// `etc/driver_classes`.
    Classes,
    /// `etc/minor_perm`.
    MinorPerm,
    /// `etc/security/extra_privs`.
    ExtraPrivs,
    /// `etc/security/device_policy`.
    DevicePolicy,
}

const DATABASES: [Database; 7] = [
    Database::NameToMajor,
    Database::RemNameToMajor,
    Database::Aliases,
    Database::Classes,
    Database::MinorPerm,
    Database::ExtraPrivs,
    Database::DevicePolicy,
];

impl Database {
    /// Its path below the root.
    pub fn path(self) -> &'static str {
        match self {
            Database::NameToMajor => "etc/name_to_major",
            Database::RemNameToMajor => "etc/rem_name_to_major",
            Database::Aliases => "etc/driver_aliases",
            Database::Classes => "etc/driver_classes",
            Database::MinorPerm => "etc/minor_perm",
            Database::ExtraPrivs => "etc/security/extra_privs",
            Database::DevicePolicy => "etc/security/device_policy",
        }
    }
}

/// An installed driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its name.
    pub name: String,
    /// Its major number.
    pub major: u32,
    /// The names besides its own that it binds to.
    pub aliases: Vec<String>,
    /// The module file; None when there is none along the path.
    pub module: Option<PathBuf>,
    /// The configuration file, if there is one.
    pub conf: Option<PathBuf>,
}

/// Permissions of minor nodes, from `etc/minor_perm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinorPerm {
    /// The minor names that it is for, as a shell's pattern.
    pub minor: String,
    /// File mode bits.
    pub mode: u32,
    /// Owner, by name.
    pub owner: String,
    /// Group, by name.
    pub group: String,
}

/// A system's directory.
#[derive(Clone, Debug)]
pub struct Root {
    dir: PathBuf,
}

/// A file of a system that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", file.display())]
pub struct Unreadable {
    /// The file, or the system's directory.
    pub file: PathBuf,
    /// Why.
    pub error: io::Error,
}

/// A directory that is no system's.
#[derive(Debug, thiserror::Error)]
pub enum NoSystem {
    /// It cannot be read.
    #[error("{}: {why}; a system's directory has its drivers in kernel/drv/amd64 or usr/kernel/drv/amd64", dir.display())]
    Unreadable {
        /// The directory.
        dir: PathBuf,
        /// Why.
        why: String,
    },
    /// There is nothing in it that makes one.
    #[error(
        "{} is no system's directory: it has no kernel/drv; a system's directory has its drivers in kernel/drv/amd64 or usr/kernel/drv/amd64",
        .0.display()
    )]
    Other(PathBuf),
}

impl Root {
    /// The system below `dir`; its directories are made as they are needed.
    pub fn new(dir: impl Into<PathBuf>) -> Root {
        Root { dir: dir.into() }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the error of a database that cannot be read, named by the directory.
    pub fn unreadable(&self, error: io::Error) -> Unreadable {
        Unreadable { file: self.dir.clone(), error }
    }

    /// Checks that it is a system's directory. Nothing is made.
    ///
    /// # Errors
    /// See [`NoSystem`].
    pub fn check(&self) -> Result<(), NoSystem> {
        if let Err(error) = fs::read_dir(&self.dir) {
            let error = error.to_string();
            let why = error.split(" (os error").next().unwrap_or_default().to_owned();
            return Err(NoSystem::Unreadable { dir: self.dir.clone(), why });
        }
        if ["kernel", "usr/kernel", "etc"].iter().any(|part| self.dir.join(part).is_dir()) {
            return Ok(());
        }
        Err(NoSystem::Other(self.dir.clone()))
    }

    /// The directories in which modules are searched.
    pub fn module_path(&self) -> Vec<PathBuf> {
        ["kernel", "usr/kernel"].map(|d| self.dir.join(d)).to_vec()
    }

    /// A driver's module file: `drv/amd64/NAME` in every directory of the path, then `drv/NAME`.
    pub fn module(&self, name: &str) -> Option<PathBuf> {
        let path = self.module_path();
        let wide = path.iter().map(|dir| dir.join("drv/amd64").join(name));
        let plain = path.iter().map(|dir| dir.join("drv").join(name));
        wide.chain(plain).find(|file| file.is_file())
    }

    /// A driver's configuration file.
    pub fn conf(&self, name: &str) -> Option<PathBuf> {
        let file = format!("{name}.conf");
        self.module_path().iter().map(|dir| dir.join("drv").join(&file)).find(|file| file.is_file())
    }

    /// Path of a database.
    pub fn file(&self, database: Database) -> PathBuf {
        self.dir.join(database.path())
    }

    /// The lines of a database, without comments and empty ones; none when the file is missing.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn lines(&self, database: Database) -> io::Result<Vec<String>> {
        let text = self.text(database)?;
        let lines = text.lines().map(str::trim).filter(|line| meant(line));
        Ok(lines.map(str::to_owned).collect())
    }

    /// Adds a line to a database.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&self, database: Database, line: &str) -> io::Result<()> {
        let mut text = self.text(database)?;
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(line);
        text.push('\n');
        self.replace(database, &text)
    }

    /// Removes a driver's lines from a database, and leaves the rest (comments, too) as it is.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn remove(&self, database: Database, driver: &str) -> io::Result<()> {
        self.remove_lines(database, |line| driver_of(line) == Some(driver)).map(drop)
    }

    fn text(&self, database: Database) -> io::Result<String> {
        let named = |what: &dyn std::fmt::Display| format!("{}: {what}", database.path());
        let bytes = match fs::read(self.file(database)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            Err(error) => return Err(io::Error::new(error.kind(), named(&error))),
            Ok(bytes) => bytes,
        };
        String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            let what = format!("line {line} has bytes that are not UTF-8; correct it, and try again");
            io::Error::new(io::ErrorKind::InvalidData, named(&what))
        })
    }

    /// Writes the whole file anew, so that a reader sees the old or the new one.
    fn replace(&self, database: Database, text: &str) -> io::Result<()> {
        let file = self.file(database);
        let hold = file.with_extension("TmPhOlD");
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(&hold, text)?;
        fs::rename(&hold, &file)
    }

    /// A driver's major number.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn major(&self, driver: &str) -> io::Result<Option<u32>> {
        Ok(self
            .majors(Database::NameToMajor)?
            .into_iter()
            .find(|(name, _)| name == driver)
            .map(|(_, major)| major))
    }

    fn majors(&self, database: Database) -> io::Result<Vec<(String, u32)>> {
        let lines = self.lines(database)?;
        Ok(lines.iter().filter_map(|line| major(line)).collect())
    }

    /// Returns what is to be said of lines that nobody can read, and that are left out.
    ///
    /// # Errors
    /// A database cannot be read.
    pub fn unread(&self) -> io::Result<Vec<String>> {
        let mut said = Vec::new();
        for (database, form) in [
            (Database::NameToMajor, "NAME MAJOR"),
            (Database::RemNameToMajor, "NAME MAJOR"),
            (Database::Aliases, "NAME \"ALIAS\""),
            (Database::MinorPerm, "NAME:MINOR MODE OWNER GROUP"),
        ] {
            let text = self.text(database)?;
            for (number, line) in (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| meant(line)) {
                let good = match database {
                    Database::Aliases => alias(line).is_some(),
                    Database::MinorPerm => permission(line).is_some(),
                    _ => major(line).is_some(),
                };
                if !good {
                    said.push(format!("{}: line {number} is not {form}: {line:?}", database.path()));
                }
            }
        }
        Ok(said)
    }

    /// Checks that every database can be read, so that a command that changes several of them does not stop half-way.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn readable(&self) -> io::Result<()> {
        DATABASES.iter().try_for_each(|database| self.text(*database).map(drop))
    }

    /// The first major number that no driver has or had.
    ///
    /// # Errors
    /// A database cannot be read.
    pub fn free_major(&self) -> io::Result<u32> {
        let mut used = self.majors(Database::NameToMajor)?;
        used.extend(self.majors(Database::RemNameToMajor)?);
        let taken = |major: &u32| used.iter().any(|(_, used)| used == major);
        (FIRST_MAJOR..u32::MAX)
            .find(|major| !taken(major))
            .ok_or_else(|| io::Error::other("no available major numbers"))
    }

    /// The number that a removed driver had, unless another one has it now: it gets it again.
    ///
    /// # Errors
    /// A database cannot be read.
    pub fn old_major(&self, driver: &str) -> io::Result<Option<u32>> {
        let removed = self.majors(Database::RemNameToMajor)?;
        let Some((_, old)) = removed.into_iter().rfind(|(name, _)| name == driver) else { return Ok(None) };
        let taken = self.majors(Database::NameToMajor)?.iter().any(|(_, major)| *major == old);
        Ok((!taken).then_some(old))
    }

    /// The lines of a database that are about a driver.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn lines_of(&self, database: Database, driver: &str) -> io::Result<Vec<String>> {
        let lines = self.lines(database)?;
        Ok(lines.into_iter().filter(|line| driver_of(line) == Some(driver)).collect())
    }

    /// Removes a driver's lines whose entry, without quotes, is `entry`; was there one?
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn remove_entry(&self, database: Database, driver: &str, entry: &str) -> io::Result<bool> {
        let quoted = |c: char| c.is_whitespace() || c == '"' || c == '\'';
        let meant = |line: &str| {
            let own = driver_of(line) == Some(driver);
            own && line
                .trim_start()
                .split_once(|c: char| c.is_whitespace() || c == ':')
                .is_some_and(|(_, rest)| rest.trim_matches(quoted) == entry)
        };
        self.remove_lines(database, meant)
    }

    /// Sets the permission `MINOR MODE OWNER GROUP` of a driver's minor nodes in place of the one for the same MINOR.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn set_permission(&self, driver: &str, permission: &str) -> io::Result<()> {
        let fields: Vec<&str> = permission.split_whitespace().take(4).collect();
        let line = format!("{driver}:{}", fields.join(" "));
        let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
        let key = first(&line);
        let text = self.text(Database::MinorPerm)?;
        let same = |old: &str| first(old) == key;
        if !text.lines().any(same) {
            return self.append(Database::MinorPerm, &line);
        }
        let lines = text.lines().map(|old| if same(old) { line.as_str() } else { old });
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        self.replace(Database::MinorPerm, &text)
    }

    /// Removes the lines that start with a word; was there one?
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn remove_line(&self, database: Database, word: &str) -> io::Result<bool> {
        self.remove_lines(database, |line| line.split_whitespace().next() == Some(word))
    }

    fn remove_lines(&self, database: Database, meant: impl Fn(&str) -> bool) -> io::Result<bool> {
        let text = self.text(database)?;
        let kept: String = text.split_inclusive('\n').filter(|line| !meant(line)).collect();
        if kept == text {
            return Ok(false);
        }
        self.replace(database, &kept)?;
        Ok(true)
    }

    /// The aliases of all drivers: (driver, alias).
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn aliases(&self) -> io::Result<Vec<(String, String)>> {
        let lines = self.lines(Database::Aliases)?;
        Ok(lines.iter().filter_map(|line| alias(line)).collect())
    }

    /// All installed drivers, in the order in which they were added.
    ///
    /// # Errors
    /// A database cannot be read.
    pub fn installed(&self) -> io::Result<Vec<Installed>> {
        let aliases = self.aliases()?;
        let drivers = self.majors(Database::NameToMajor)?;
        let entry = |(name, major): (String, u32)| Installed {
            aliases: aliases.iter().filter(|(d, _)| *d == name).map(|(_, a)| a.clone()).collect(),
            module: self.module(&name),
            conf: self.conf(&name),
            major,
            name,
        };
        Ok(drivers.into_iter().map(entry).collect())
    }

    /// What etc/minor_perm says of a driver's minor nodes, in its order.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn permissions(&self, driver: &str) -> io::Result<Vec<MinorPerm>> {
        let perm = |line: String| {
            let mut fields = line.split_once(':')?.1.split_whitespace();
            let mut next = || fields.next().unwrap_or_default().to_owned();
            let (minor, mode, owner, group) = (next(), next(), next(), next());
            let mode = u32::from_str_radix(&mode, 8).unwrap_or(0);
            Some(MinorPerm { minor, mode, owner, group })
        };
        let lines = self.lines_of(Database::MinorPerm, driver)?;
        Ok(lines.into_iter().filter_map(perm).collect())
    }

    /// The number of a user or a group: in `etc/passwd` or `etc/group`, else among illumos's own.
    pub fn id(&self, file: &str, name: &str, own: &[(&str, u32)]) -> Option<u32> {
        let text = fs::read_to_string(self.dir.join("etc").join(file)).unwrap_or_default();
        let listed = text.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
        });
        listed.or_else(|| own.iter().find(|(known, _)| *known == name).map(|(_, id)| *id))
    }

    /// Keeps others from changing the databases until dropped; None when somebody else is at it.
    ///
    /// # Errors
    /// The lock file cannot be made.
    pub fn lock(&self) -> io::Result<Option<Lock>> {
        self.flock("AdDrEm.lck", File::try_lock)
    }

    /// The file of [`lock`](Root::lock).
    pub fn lock_file(&self) -> PathBuf {
        self.dir.join("var/run/AdDrEm.lck")
    }

    /// Marks a driver as loaded by this process until dropped.
    ///
    /// # Errors
    /// The lock file cannot be made.
    pub fn hold(&self, driver: &str) -> io::Result<Option<Lock>> {
        self.flock(&format!("drv.{driver}"), File::try_lock_shared)
    }

    /// Is a driver loaded by a running `ddi-host`?
    ///
    /// # Errors
    /// The lock file cannot be made.
    pub fn busy(&self, driver: &str) -> io::Result<bool> {
        Ok(self.flock(&format!("drv.{driver}"), File::try_lock)?.is_none())
    }

    fn flock(&self, name: &str, lock: fn(&File) -> Result<(), TryLockError>) -> io::Result<Option<Lock>> {
        // Another system's directory must be there: it is not made.
        let dir = self.dir.canonicalize()?.join("var/run");
        fs::create_dir_all(&dir)?;
        let file = File::options().create(true).truncate(false).write(true).open(dir.join(name))?;
        match lock(&file) {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// A lock on something of a root; given back when dropped, or when the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Returns whether a line is neither empty nor a comment.
fn meant(line: &str) -> bool {
    !line.is_empty() && !line.starts_with('#')
}

/// The driver and the number of a line.
fn major(line: &str) -> Option<(String, u32)> {
    let (name, major) = line.split_once(char::is_whitespace)?;
    Some((name.to_owned(), major.trim().parse().ok()?))
}

/// The driver and the name of a line.
fn alias(line: &str) -> Option<(String, String)> {
    let (name, alias) = line.split_once(char::is_whitespace)?;
    Some((name.to_owned(), alias.trim().trim_matches('"').to_owned()))
}

/// The mode of a line that has all its fields.
fn permission(line: &str) -> Option<u32> {
    let fields: Vec<&str> = line.split_once(':')?.1.split_whitespace().collect();
    let [_, mode, _, _, ..] = fields[..] else { return None };
    u32::from_str_radix(mode, 8).ok()
}

/// The driver that a line of a database is about.
fn driver_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || c == ':').unwrap_or(line.len());
    (end != 0).then(|| &line[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_and_removed_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        fs::create_dir_all(dir.path().join("etc")).unwrap();
        fs::write(root.file(Database::NameToMajor), "# majors\nsd 32\nctx 301").unwrap();
        assert_eq!(root.free_major().unwrap(), 1);
        root.append(Database::NameToMajor, "ctxdev 302").unwrap();
        root.remove(Database::NameToMajor, "ctx").unwrap();
        let text = fs::read_to_string(root.file(Database::NameToMajor)).unwrap();
        assert_eq!(text, "# majors\nsd 32\nctxdev 302\n");
        assert_eq!(root.major("ctxdev").unwrap(), Some(302));
        root.append(Database::RemNameToMajor, "ctx 301").unwrap();
        root.remove(Database::NameToMajor, "ctxdev").unwrap();
        root.append(Database::RemNameToMajor, "ctxdev 302").unwrap();
        assert_eq!((root.free_major().unwrap(), root.old_major("ctxdev").unwrap()), (1, Some(302)));
        root.append(Database::NameToMajor, "other 302").unwrap();
        assert_eq!(root.old_major("ctxdev").unwrap(), None);
    }

    #[test]
    fn an_entry_is_removed_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        for line in ["ctxdev \"x1\"", "ctxdev x2", "ctxdev \"\"", "other \"x1\""] {
            root.append(Database::Aliases, line).unwrap();
        }
        let remove = |entry| root.remove_entry(Database::Aliases, "ctxdev", entry).unwrap();
        assert!(!remove("\"x1\"") && !remove("x"));
        assert!(remove("x1") && remove("x2") && !remove("x2"));
        assert_eq!(root.lines(Database::Aliases).unwrap(), ["ctxdev \"\"", "other \"x1\""]);
        root.set_permission("ctxdev", " a  0600 root sys,b 0 x").unwrap();
        root.set_permission("ctxdev", "b 0600 root sys").unwrap();
        root.set_permission("ctxdev", "a 0640 root sys").unwrap();
        let lines = root.lines(Database::MinorPerm).unwrap();
        assert_eq!(lines, ["ctxdev:a 0640 root sys", "ctxdev:b 0600 root sys"]);
    }

    #[test]
    fn a_line_that_nobody_can_read_is_said_with_its_number() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        fs::create_dir_all(dir.path().join("etc")).unwrap();
        for (database, text) in [
            (Database::NameToMajor, "# majors\nsd 32\n\nctxdev three\nalone\nbig 99999999999\n"),
            (Database::Aliases, "sd \"scsi\"\nalone\n"),
            (Database::MinorPerm, "sd:* 0640 root sys\nctxdev:a rw root sys\nctxdev 0640 root sys\n"),
        ] {
            fs::write(root.file(database), text).unwrap();
        }
        let said = [
            "etc/name_to_major: line 4 is not NAME MAJOR: \"ctxdev three\"",
            "etc/name_to_major: line 5 is not NAME MAJOR: \"alone\"",
            "etc/name_to_major: line 6 is not NAME MAJOR: \"big 99999999999\"",
            "etc/driver_aliases: line 2 is not NAME \"ALIAS\": \"alone\"",
            "etc/minor_perm: line 2 is not NAME:MINOR MODE OWNER GROUP: \"ctxdev:a rw root sys\"",
            "etc/minor_perm: line 3 is not NAME:MINOR MODE OWNER GROUP: \"ctxdev 0640 root sys\"",
        ];
        assert_eq!(root.unread().unwrap(), said);
        fs::write(root.file(Database::Aliases), b"# caf\xc3\xa9\nsd \"caf\xe9\"\n").unwrap();
        let error = root.aliases().unwrap_err().to_string();
        assert!(error.starts_with("etc/driver_aliases: line 2 has bytes that are not UTF-8"), "{error}");
    }

    #[test]
    fn a_held_driver_is_busy() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        assert!(!root.busy("ctxdev").unwrap());
        let hold = root.hold("ctxdev").unwrap();
        assert!(root.hold("ctxdev").unwrap().is_some());
        assert!(root.busy("ctxdev").unwrap());
        drop(hold);
        assert!(!root.busy("ctxdev").unwrap());
    }
}
