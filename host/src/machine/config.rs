//! The configuration of device nodes and their register sets.
//!
//! ```toml
//! [[node]]
//! driver = "ctxdev"          # default: the first that is run
//! instance = 0
//! registers = [4096, "64K"]  # bytes of each register set
//! properties = { fb-size = 65536, label = "left" }
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use ddi_process::physmem::PAGE_SIZE;
use ddi_system::conf::{self, Conf, ConfNode};
use ddi_system::props::{ANY_DEV, Property};
use parking_lot::Mutex;
use serde::Deserialize;

use ddi_kernel::board::log;
use ddi_kernel::board::values::{Size, property};
use ddi_kernel::kern::nodes::{self, NewNode, Node, RegisterSet};
use ddi_kernel::vm;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    driver: Option<String>,
    name: Option<String>,
    instance: i32,
    #[serde(default)]
    registers: Vec<Size>,
    #[serde(default)]
    properties: toml::Table,
}

/// A configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    node: Vec<Entry>,
}

/// An error in a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: {error}")]
    Read {
        /// The file's name.
        file: String,
        /// The error of read(2) or open(2).
        error: std::io::Error,
    },
    /// The file has an error; the text names the line.
    #[error("{file}: {problem}")]
    Parse {
        /// The file's name.
        file: String,
        /// The problem.
        problem: Problem,
    },
    /// There is not enough physical memory for the register sets.
    #[error("no physical memory left for a register set of {0} bytes")]
    Memory(u64),
    /// A node of the configuration has the instance number of a PCI device.
    #[error(
        "node {driver} instance {instance}: a PCI device of the driver has this instance number; choose another"
    )]
    Taken {
        /// The driver.
        driver: String,
        /// The number.
        instance: i32,
    },
}

/// An error in a configuration.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It is no TOML, or has a wrong name or value.
    #[error("line {line}: {why}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// Why.
        why: String,
    },
    /// A driver has two nodes of one instance number.
    #[error("{0}: there are two nodes of this instance")]
    Twice(String),
    /// An instance number is below 0.
    #[error("{0}: the instance is negative")]
    Negative(String),
    /// The size of a register set is none.
    #[error("{0}: a register set's size is a number above 0 or a string like \"64K\"")]
    Size(String),
    /// The value of a property is none.
    #[error("{node}: property {name} is not a 32-bit number, a string, or a list of either")]
    Property {
        /// The node.
        node: String,
        /// The property.
        name: String,
    },
}

impl Config {
    /// Reads a file. Nodes that name no driver are those of `first`.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read(path: &Path, first: &str) -> Result<Config, ConfigError> {
        let file = path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::Read { file: file.clone(), error })?;
        let mut config = Self::parse(&text).map_err(|problem| ConfigError::Parse { file, problem })?;
        config.node.iter_mut().for_each(|node| _ = node.driver.get_or_insert_with(|| first.to_owned()));
        Ok(config)
    }

    /// Reads text.
    ///
    /// # Errors
    /// The first [`Problem`].
    pub fn parse(text: &str) -> Result<Config, Problem> {
        let config: Config = toml::from_str(text).map_err(|e| {
            let line =
                e.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            Problem::Line { line, why: e.message().trim().to_owned() }
        })?;
        for (at, node) in config.node.iter().enumerate() {
            let name = node.name.as_deref().or(node.driver.as_deref()).unwrap_or("?");
            let what = format!("node {name} instance {}", node.instance);
            if config.node[..at].iter().any(|n| n.instance == node.instance && n.driver == node.driver) {
                return Err(Problem::Twice(what));
            }
            if node.instance < 0 {
                return Err(Problem::Negative(what));
            }
            if node.registers.iter().any(|size| size.bytes().is_none_or(|n| n == 0)) {
                return Err(Problem::Size(what));
            }
            for (name, value) in &node.properties {
                if property(name, value).is_none() {
                    return Err(Problem::Property { node: what, name: name.clone() });
                }
            }
        }
        Ok(config)
    }

    /// Returns what a driver has without configuration: what its driver.conf says, or, if that names no node and there is no PCI device for it, the configuration
    /// that came with it when it was [linked in](crate::machine::linked::add_with).
    ///
    /// # Errors
    /// [`ConfigError::Parse`].
    pub fn default_for(driver: &str, conf: Option<&Conf>) -> Result<Config, ConfigError> {
        let other = conf.is_some_and(|conf| !conf.nodes.is_empty()) || !nodes::of_driver(driver).is_empty();
        match crate::machine::linked::configuration(driver).filter(|_| !other) {
            Some(text) => {
                Self::parse(text).map_err(|problem| ConfigError::Parse { file: driver.to_owned(), problem })
            }
            None => Ok(Config::default()),
        }
    }

    /// Makes the nodes of `driver`: these and those of its driver.conf, whose properties also go to nodes of the same instance. Properties for all of
    /// the driver's nodes also go to its PCI devices. Nodes that there are already stay as they are. An entry of the file that makes no node is warned
    /// of.
    ///
    /// `bound` tells which names a system binds to the driver, as /etc/driver_aliases does. Without a system only the driver's own name is, and a
    /// driver without any node gets a pseudo device, instance 0.
    ///
    /// # Errors
    /// [`ConfigError::Memory`], [`ConfigError::Taken`].
    pub fn make_nodes(
        &self,
        driver: &str,
        conf: Option<&Conf>,
        bound: Option<&dyn Fn(&str) -> bool>,
    ) -> Result<(), ConfigError> {
        let empty = Conf::default();
        let file = conf.unwrap_or(&empty);
        let mut wanted: Vec<(NewNode, &Node)> = Vec::new();
        let (hardware, there): (Vec<_>, Vec<_>) =
            nodes::of_driver(driver).into_iter().partition(|node| node.device().is_some());
        give_globals(driver, &hardware, &file.global);
        let taken = |instance: i32| hardware.iter().find(|n| n.instance() == instance);
        for node in self.node.iter().filter(|n| n.driver.as_deref().unwrap_or(driver) == driver) {
            if taken(node.instance).is_some() {
                return Err(ConfigError::Taken { driver: driver.to_owned(), instance: node.instance });
            }
            let mut new = NewNode {
                name: node.name.clone().unwrap_or_else(|| driver.to_owned()),
                driver: driver.to_owned(),
                instance: node.instance,
                unit: node.instance.to_string(),
                properties: node.properties.iter().filter_map(|(n, v)| property(n, v)).collect(),
                ..NewNode::default()
            };
            for size in &node.registers {
                new.registers.push(register_set(size.bytes().unwrap_or(0))?);
            }
            if !new.registers.is_empty() {
                let reg = reg(&new.registers);
                add_properties(&mut new, &[reg]);
            }
            wanted.push((new, nodes::pseudo()));
        }
        let configured = wanted.len();
        for node in &file.nodes {
            let warn = |why: &str| {
                let problem = format!("{why} on line {} of {}", node.line, file.file);
                log::line(log::To::Both, &format!("WARNING: {problem}"));
            };
            if !bound.map_or(node.name == driver, |bound| bound(&node.name)) {
                warn(&format!("the node \"{}\" is not one of driver {driver}", node.name));
                continue;
            }
            let Some(parent) = parent(node) else {
                let named = [("parent", &node.parent), ("class", &node.class)];
                let named =
                    named.iter().filter_map(|(key, value)| Some(format!("{key} \"{}\"", (*value).as_ref()?)));
                let named = named.collect::<Vec<_>>().join(" and ");
                warn(&format!("there is no {named} for node \"{}\"", node.name));
                continue;
            };
            let used = |instance: i32| wanted[configured..].iter().any(|(w, _)| w.instance == instance);
            let automatic = node.properties.iter().any(|p| p.name == "auto-assign-instance");
            let instance = match node.instance.filter(|n| *n >= 0) {
                Some(instance) => instance,
                None if automatic => {
                    let free = |n: &i32| !used(*n) && wanted.iter().all(|(w, _)| w.instance != *n);
                    (0..i32::MAX).find(free).unwrap_or(0)
                }
                None => 0,
            };
            if used(instance) {
                warn(&format!("Duplicate instance {instance} of node \"{}\" ignored", node.name));
                continue;
            }
            if let Some((known, _)) = wanted[..configured].iter_mut().find(|(w, _)| w.instance == instance) {
                add_properties(known, &node.properties);
                continue;
            }
            if let Some(other) = taken(instance) {
                // illumos numbers the devices of a bus without regard to driver.conf.
                let text = format!(
                    "WARNING: {} and the node of {driver}.conf are both instance {instance}: the node needs another number",
                    other.path()
                );
                log::line(log::To::Both, &text);
            }
            let mut new = NewNode {
                name: node.name.clone(),
                driver: driver.to_owned(),
                instance,
                unit: instance.to_string(),
                ..NewNode::default()
            };
            add_properties(&mut new, &node.properties);
            wanted.push((new, parent));
        }
        let none = wanted.is_empty() && hardware.is_empty() && file.nodes.is_empty() && self.node.is_empty();
        if bound.is_none() && none {
            let name = driver.to_owned();
            let new = NewNode { name: name.clone(), driver: name, unit: "0".into(), ..NewNode::default() };
            wanted.push((new, nodes::pseudo()));
        }
        for (mut new, parent) in wanted {
            add_properties(&mut new, &file.global);
            physical_registers(&mut new, std::ptr::eq(parent, nodes::root()));
            if !there.iter().any(|node| node.instance() == new.instance) {
                nodes::add(Some(parent), new);
            }
        }
        Ok(())
    }
}

/// Returns the `reg` property of hardware with these register sets, in the form that [`physical_registers`] reads: drivers check that it exists before they map
/// registers.
fn reg(registers: &[RegisterSet]) -> Property {
    let set = |set: &RegisterSet| [0, (set.pfn * PAGE_SIZE) as i32, set.len as i32];
    Property::ints("reg", &registers.iter().flat_map(set).collect::<Vec<_>>())
}

/// The nexus that a node of a driver.conf is to be below.
fn parent(node: &ConfNode) -> Option<&'static Node> {
    match (node.parent.as_deref(), node.class.as_deref()) {
        (Some("pseudo" | "/pseudo"), _) => Some(nodes::pseudo()),
        (Some("/" | "rootnex"), _) | (None, Some("root")) => Some(nodes::root()),
        _ => None,
    }
}

/// The names of the properties that a driver's PCI devices have from its driver.conf.
static GLOBALS: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());

/// Sets the properties for all of a driver's nodes on its PCI devices, replacing those from an earlier state of the file.
fn give_globals(driver: &str, hardware: &[&Node], global: &[Property]) {
    let mut given = GLOBALS.lock();
    let old = given.remove(driver).unwrap_or_default();
    let mut new = Vec::new();
    for node in hardware {
        let mut properties = node.hardware_properties.lock();
        for name in &old {
            properties.remove(name, ANY_DEV);
        }
        for property in global {
            if properties.find(&property.name, None).is_none() {
                properties.set(property.clone());
                new.push(property.name.clone());
            }
        }
    }
    given.insert(driver.to_owned(), new);
}

/// Register sets of a `reg` property, for a node below the root: triples of bus type (0: memory), physical address and size. The node's unit
/// address is that of the first.
fn physical_registers(node: &mut NewNode, below_root: bool) {
    let reg = node.properties.iter().find(|p| p.name == "reg").and_then(Property::as_ints);
    let Some(reg) = reg.filter(|reg| below_root && node.registers.is_empty() && reg.len() >= 3) else {
        return;
    };
    let sets = reg.chunks_exact(3).map(|set| (set[0] as u32, set[1] as u32, set[2] as u32));
    let memory = sets.filter(|(bus, ..)| *bus == 0);
    node.registers =
        memory.map(|(_, at, len)| RegisterSet { pfn: u64::from(at) / PAGE_SIZE, len: len.into() }).collect();
    node.unit = format!("{:x},{:x}", reg[0], reg[1]);
}

/// Adds properties that the node does not have.
fn add_properties(node: &mut NewNode, more: &[Property]) {
    for property in more {
        if !node.properties.iter().any(|p| p.name == property.name) {
            node.properties.push(property.clone());
        }
    }
}

fn register_set(len: u64) -> Result<RegisterSet, ConfigError> {
    let pages = len.div_ceil(PAGE_SIZE);
    // Large sets begin where large pages could.
    let align = if pages >= 512 { 512 } else { 1 };
    let pfn = vm::memory().alloc(pages, align).ok_or(ConfigError::Memory(len))?;
    vm::frames::add_device(pfn, pages);
    Ok(RegisterSet { pfn, len })
}

/// Reads a driver.conf file. Warns of each part that cannot be read.
///
/// # Errors
/// [`ConfigError::Read`].
pub fn read_conf(path: &Path) -> Result<Conf, ConfigError> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| ConfigError::Read { file: file.clone(), error })?;
    let mut conf = conf::parse(bytes);
    for warning in &conf.warnings {
        log::line(log::To::Both, &warning.of(&file));
    }
    conf.file = file;
    Ok(conf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_errors() {
        let error = |text| Config::parse(text).unwrap_err().to_string();
        assert!(Config::parse("[[node]]\ninstance = 0\nregisters = [4096, \"64K\", \"1 M\"]").is_ok());
        assert!(
            error("[[node]]\ninstance = 0\nregister = 4").starts_with("line 3: unknown field `register`")
        );
        assert!(error("[[node]]\nname = \"x\"").contains("missing field `instance`"));
        assert!(error("[[node]]\ninstance = 0\nregisters = [\"64Q\"]").contains("a register set's size is"));
        assert!(error("[[node]]\ninstance = -1").contains("negative"));
        let twice = error("[[node]]\nname = \"x\"\ninstance = 0\n[[node]]\ninstance = 0");
        assert_eq!(twice, "node ? instance 0: there are two nodes of this instance");
        let two_drivers = "[[node]]\ndriver = \"x\"\ninstance = 0\n[[node]]\ndriver = \"y\"\ninstance = 0";
        assert!(Config::parse(two_drivers).is_ok());
        let large = error("[[node]]\ninstance = 0\nproperties = { a = 5000000000 }");
        assert!(large.contains("property a is not a 32-bit number"), "{large}");
    }

    #[test]
    fn nodes_of_both_files_are_joined() {
        let config =
            Config::parse("[[node]]\ninstance = 0\nregisters = [100]\nproperties = { a = 1 }").unwrap();
        let conf = conf::parse(concat!(
            "name=\"config-test\" parent=\"pseudo\" instance=0 a=5 b=6;",
            "name=\"config-test\" parent=\"pseudo\" instance=3;c=\"x\";"
        ));
        config.make_nodes("config-test", Some(&conf), None).unwrap();
        let nodes = nodes::of_driver("config-test");
        assert_eq!(nodes.iter().map(|n| n.instance()).collect::<Vec<_>>(), [0, 3]);
        assert_eq!((nodes[0].registers().len(), nodes[0].registers()[0].len), (1, 100));
        let int = |node: usize, name| nodes[node].property(name, None, false).and_then(|p| p.as_ints());
        assert_eq!((int(0, "a"), int(0, "b"), int(1, "b")), (Some(vec![1]), Some(vec![6]), None));
        assert!(nodes[1].property("c", None, false).is_some());
        let at = (nodes[0].registers()[0].pfn * PAGE_SIZE) as i32;
        assert_eq!((int(0, "reg"), int(1, "reg")), (Some(vec![0, at, 100]), None), "hardware has one");
    }

    #[test]
    fn an_entry_that_makes_no_node_of_the_driver_is_warned_of() {
        let mut conf = conf::parse(concat!(
            "name=\"conf-warn\" parent=\"pseudo\" instance=2;\n",
            "name=\"another\" parent=\"pseudo\" instance=3;\n",
            "name=\"conf-warn\" parent=\"nowhere\" instance=4;\n",
            "name=\"conf-warn\" parent=\"/pseudo\" instance=2 second;\n",
            "name=\"conf-alias\" parent=\"pseudo\" auto-assign-instance;\n",
            "name=\"conf-warn\" class=\"bus\" parent=\"nowhere\";\n",
        ));
        conf.file = "/kernel/drv/conf-warn.conf".into();
        let bound = |name: &str| name == "conf-warn" || name == "conf-alias";
        Config::default().make_nodes("conf-warn", Some(&conf), Some(&bound)).unwrap();
        let made: Vec<String> = nodes::of_driver("conf-warn").iter().map(|n| n.path()).collect();
        assert_eq!(made, ["/pseudo/conf-alias@0", "/pseudo/conf-warn@2"]);
        let said = log::recent();
        for (line, what) in [
            (2, "the node \"another\" is not one of driver conf-warn"),
            (3, "there is no parent \"nowhere\" for node \"conf-warn\""),
            (4, "Duplicate instance 2 of node \"conf-warn\" ignored"),
            (6, "there is no parent \"nowhere\" and class \"bus\" for node \"conf-warn\""),
        ] {
            let text = format!("WARNING: {what} on line {line} of /kernel/drv/conf-warn.conf");
            assert!(said.contains(&text), "{text}: {said:?}");
        }
        // Nodes that there are stay; a driver of a system without nodes has none.
        Config::default().make_nodes("conf-warn", Some(&conf), Some(&bound)).unwrap();
        assert_eq!(nodes::of_driver("conf-warn").len(), 2);
        Config::default().make_nodes("conf-none", None, Some(&bound)).unwrap();
        assert!(nodes::of_driver("conf-none").is_empty());
        Config::default().make_nodes("conf-none", None, None).unwrap();
        assert_eq!(nodes::of_driver("conf-none").len(), 1);
    }
}
