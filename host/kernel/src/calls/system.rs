//! State of the system whose directory a machine has (`--root`): as its kernel does, the permissions of minor nodes and the drivers that have
//! major numbers; as its devfsadm(8) does, the links in /dev.
//!
//! Locking: one leaf lock, not held while driver code runs.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use ddi_system::devlink::{Minor, Rules};
use ddi_system::links::Links;
use ddi_system::perms::{Permissions, Perms};
use ddi_system::root::{Root, Unreadable};
use parking_lot::RwLock;

use crate::board::log;
use crate::kern::nodes::Listener;
use crate::kern::{drivers, nodes};

struct System {
    root: Root,
    rules: Rules,
    links: Links,
    perms: Perms,
    /// Minor nodes of which it was said that they have no name in /dev.
    nameless: BTreeSet<String>,
    /// Messages of devfsadm since they were taken last.
    said: Vec<String>,
}

static SYSTEM: RwLock<Option<System>> = RwLock::new(None);

/// From now on names in /dev, permissions and major numbers are those of this system's directory, as it is now.
///
/// # Errors
/// A database cannot be read.
pub fn enter(root: &Root) -> Result<(), Unreadable> {
    let mut perms = Perms::default();
    for driver in root.installed().map_err(|error| root.unreadable(error))? {
        drivers::set_major(&driver.name, driver.major);
        perms.add(root, &driver.name);
    }
    for text in root.unread().map_err(|error| root.unreadable(error))? {
        log::line(log::To::Both, &format!("WARNING: {text}"));
    }
    let links = Links::read(root.dir().join("dev"));
    let mut system = System {
        root: root.clone(),
        rules: Rules::default(),
        links,
        perms,
        nameless: BTreeSet::new(),
        said: Vec::new(),
    };
    system.read_rules()?;
    for text in std::mem::take(&mut system.said) {
        log::line(log::To::Both, &text);
    }
    *SYSTEM.write() = Some(system);
    static LINKS: OnceLock<Listener> = OnceLock::new();
    LINKS.get_or_init(|| Listener::new(make_links));
    Ok(())
}

/// Reads devlink.tab and the links in /dev again: others have written there.
///
/// # Errors
/// devlink.tab cannot be read.
pub fn refresh() -> Result<(), Unreadable> {
    let mut system = SYSTEM.write();
    let Some(system) = &mut *system else { return Ok(()) };
    system.links.reread();
    system.read_rules()
}

impl System {
    fn read_rules(&mut self) -> Result<(), Unreadable> {
        let file = self.root.dir().join("etc/devlink.tab");
        let text = match std::fs::read(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            text => text.map_err(|error| Unreadable { file: file.clone(), error })?,
        };
        let (rules, warnings) = Rules::parse(&String::from_utf8_lossy(&text), &file.display().to_string());
        self.rules = rules;
        self.said = warnings.into_iter().map(|text| format!("devfsadm: {text}")).collect();
        Ok(())
    }

    fn make_links(&mut self) {
        for driver in drivers::all() {
            for node in nodes::of_driver(&driver.name).into_iter().filter(|node| node.settled()) {
                for minor in node.minors() {
                    let path = format!("{}:{}", node.path(), minor.name);
                    let by_rule = Minor {
                        kind: &minor.node_type,
                        name: &node.name().to_string_lossy(),
                        addr: &node.unit_c().to_string_lossy(),
                        minor: &minor.name,
                        path: &path,
                    };
                    if self.rules.make(by_rule, &mut self.links) || !self.nameless.insert(path.clone()) {
                        continue;
                    }
                    let tab = self.root.dir().join("etc/devlink.tab");
                    let text = format!(
                        "NOTICE: /devices{path}: no line of {} is about it, so it has no name in /dev",
                        tab.display()
                    );
                    log::line(log::To::Both, &text);
                }
            }
        }
        for text in self.links.unmade.drain(..) {
            log::line(log::To::Log, &format!("NOTICE: {text}"));
        }
        let warnings = self.links.warnings.drain(..).map(|text| format!("devfsadm: {text}"));
        self.said.extend(warnings);
    }
}

/// Makes the links of all minor nodes; does nothing without a system.
fn make_links() {
    if let Some(system) = &mut *SYSTEM.write() {
        system.make_links();
    }
}

/// Takes the messages of devfsadm since the last call.
pub fn said() -> Vec<String> {
    SYSTEM.write().as_mut().map(|system| std::mem::take(&mut system.said)).unwrap_or_default()
}

/// The links in /dev: names below it, and the paths below /devices that they lead to. None without a system.
pub fn links() -> Option<Vec<(String, String)>> {
    let system = SYSTEM.read();
    let links = system.as_ref()?.links.iter();
    Some(links.map(|(name, path)| (name.to_owned(), path.to_owned())).collect())
}

/// The permissions of a driver's minor node. None without a system.
pub fn permissions(driver: &str, minor: &str) -> Option<Permissions> {
    Some(SYSTEM.read().as_ref()?.perms.of(driver, minor))
}

/// Adds the permissions of a driver in etc/minor_perm to the kernel's; removes them if not `add`.
pub fn change_permissions(driver: &str, add: bool) {
    let mut system = SYSTEM.write();
    let Some(System { root, perms, .. }) = &mut *system else { return };
    match add {
        // The kernel keeps the permissions of drivers that have a major number.
        true if drivers::major_of(driver).is_some() => perms.add(root, driver),
        true => {}
        false => perms.remove(root, driver),
    }
}
