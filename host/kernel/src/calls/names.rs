//! Minor nodes as processes see them: every path of each, below /devices and in /dev, with its permissions. No locking.

use std::collections::BTreeMap;
use std::sync::Arc;

use ddi_process::DeviceNode;
use ddi_system::devlink;
use ddi_system::perms::{self, Permissions};

use crate::calls::system;
use crate::kern::drivers::{self, Driver};
use crate::kern::nodes::{self, Node};

/// One path of a minor node.
pub struct Named {
    /// "/dev/ctxdev0".
    pub path: String,
    /// The driver.
    pub driver: Arc<Driver>,
    /// The device node.
    pub node: &'static Node,
    /// The minor number.
    pub minor: u32,
    permissions: Permissions,
    /// The path is of its block device.
    pub block: bool,
}

impl Named {
    /// As the process layer knows it.
    pub fn into_node(self) -> DeviceNode {
        DeviceNode {
            path: self.path.into_bytes(),
            major: self.driver.major,
            minor: self.minor,
            mode: self.permissions.mode | if self.block { libc::S_IFBLK } else { libc::S_IFCHR },
            uid: self.permissions.uid,
            gid: self.permissions.gid,
        }
    }
}

/// Returns a driver's devices as processes see them.
pub fn nodes_of(driver: &str) -> Vec<DeviceNode> {
    named().into_iter().filter(|n| n.driver.name == driver).map(Named::into_node).collect()
}

/// Something of the host's own that processes see.
pub fn own(path: &[u8], major: u32, minor: u32, mode: u32) -> DeviceNode {
    DeviceNode { path: path.to_vec(), major, minor, mode, uid: perms::ROOT, gid: perms::SYS }
}

/// The directories that the nodes are in, but for /dev, which Linux has: so they can be listed.
pub fn directories(nodes: &[DeviceNode]) -> Vec<DeviceNode> {
    let mut paths: Vec<&[u8]> = Vec::new();
    for node in nodes {
        let slashes = node.path.iter().enumerate().filter(|(at, byte)| *at > 0 && **byte == b'/');
        paths.extend(slashes.map(|(at, _)| &node.path[..at]).filter(|path| *path != b"/dev"));
    }
    paths.sort_unstable();
    paths.dedup();
    let node = |(number, path): (usize, &&[u8])| own(path, 0, number as u32, libc::S_IFDIR | 0o755);
    paths.iter().enumerate().map(node).collect()
}

/// Every path of every minor node: below /devices, and in /dev. With a system's directory the names in /dev are its links.
pub fn named() -> Vec<Named> {
    let mut all: Vec<Named> = Vec::new();
    let links = system::links();
    let mut drivers = drivers::all();
    drivers.sort_by_key(|d| d.major);
    for driver in drivers {
        for node in nodes::of_driver(&driver.name).into_iter().filter(|n| n.attached()) {
            for minor in node.minors() {
                let usual = Permissions { mode: 0o666, ..perms::DEFAULT };
                let mut permissions = system::permissions(&driver.name, &minor.name).unwrap_or(usual);
                permissions.mode = minor.mode.unwrap_or(permissions.mode);
                let below = format!("{}:{}", node.path(), minor.name);
                let names: Vec<String> = match &links {
                    Some(links) => {
                        links.iter().filter(|(_, to)| *to == below).map(|(name, _)| name.clone()).collect()
                    }
                    None => usual_names(&driver, node, &minor, &below, &all),
                };
                let in_dev = names.iter().map(|name| format!("/dev/{name}"));
                for path in std::iter::once(format!("/devices{below}")).chain(in_dev) {
                    if !all.iter().any(|n| n.path == path) {
                        let (driver, block) = (driver.clone(), minor.block);
                        all.push(Named { path, driver, node, minor: minor.minor, permissions, block });
                    }
                }
            }
        }
    }
    all
}

/// The names in /dev of a minor node in a run without a system's directory: those that devfsadm(8) itself would give it, and those of [`links`].
fn usual_names(
    driver: &Driver,
    node: &Node,
    minor: &nodes::Minor,
    path: &str,
    there: &[Named],
) -> Vec<String> {
    struct Names {
        /// Those of other minor nodes, leading anywhere.
        others: BTreeMap<String, String>,
        names: Vec<String>,
    }
    impl devlink::Directory for Names {
        fn links(&self) -> &BTreeMap<String, String> {
            &self.others
        }
        fn link(&mut self, name: &str, _: &str) {
            self.names.push(name.to_owned());
        }
        fn warn(&mut self, _: String) {}
    }
    let by_rule = devlink::Minor {
        kind: &minor.node_type,
        name: &node.name().to_string_lossy(),
        addr: &node.unit_c().to_string_lossy(),
        minor: &minor.name,
        path,
    };
    let others = there.iter().filter_map(|other| other.path.strip_prefix("/dev/"));
    let others = others.map(|name| (name.to_owned(), String::new())).collect();
    let mut names = Names { others, names: Vec::new() };
    devlink::Rules::default().make(by_rule, &mut names);
    names.names.extend(links(driver, node, minor));
    names.names
}

/// Returns the /dev links of a minor node: its name if that begins with a letter, with the instance appended if another node has the same; otherwise the driver's name
/// in front of it, without and with the instance.
fn links(driver: &Driver, node: &Node, minor: &nodes::Minor) -> Vec<String> {
    let name = &minor.name;
    if name.starts_with(char::is_alphabetic) {
        let alone = nodes::of_driver(&driver.name)
            .iter()
            .all(|other| std::ptr::eq(*other, node) || !other.minors().iter().any(|m| m.name == *name));
        return if alone {
            vec![name.clone()]
        } else {
            vec![format!("{name}{}", node.instance()), name.clone()]
        };
    }
    vec![format!("{}{}", driver.name, name), format!("{}{}:{name}", driver.name, node.instance())]
}
