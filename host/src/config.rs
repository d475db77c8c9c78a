//! The configuration of device nodes: which there are, with which register sets.
//!
//! ```toml
//! [[node]]
//! driver = "ctxdev"          # without it, the driver that is run
//! instance = 0
//! registers = [4096, "64K"]  # bytes of each register set
//! properties = { fb-size = 65536, label = "left" }
//! ```

use std::path::Path;

use serde::Deserialize;

use crate::kern::conf::{self, Conf};
use crate::kern::nodes::{self, NewNode, RegisterSet};
use crate::kern::props::Property;
use crate::physmem::PAGE_SIZE;
use crate::{log, vm};

/// A size: a number of bytes, or text such as `64K`, `16M`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Size {
    /// A number.
    Bytes(u64),
    /// A number and a unit.
    Text(String),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
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
    node: Vec<Node>,
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: {error}")]
    Read {
        /// Its name.
        file: String,
        /// What Linux said.
        error: std::io::Error,
    },
    /// What is in it is wrong; the text has the line.
    #[error("{file}: {problem}")]
    Parse {
        /// Its name.
        file: String,
        /// The problem.
        problem: String,
    },
    /// There is not enough physical memory for the register sets.
    #[error("no memory for a register set of {0} bytes")]
    Memory(u64),
    /// A node of the configuration has the instance number that a PCI device got.
    #[error("node {driver} instance {instance}: a PCI device of the driver has this instance number")]
    Taken {
        /// The driver.
        driver: String,
        /// The number.
        instance: i32,
    },
}

/// Register sets of a ctxdev without any configuration: its registers and its frame buffer.
const CTXDEV: [u64; 2] = [0x1000, 0x10000];

impl Size {
    /// The number of bytes; None when the text is no size.
    pub fn bytes(&self) -> Option<u64> {
        let text = match self {
            Size::Bytes(n) => return Some(*n),
            Size::Text(text) => text.trim(),
        };
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &text[digits.len()..] {
            "" => 1,
            "K" | "k" | "KiB" => 1 << 10,
            "M" | "m" | "MiB" => 1 << 20,
            "G" | "g" | "GiB" => 1 << 30,
            _ => return None,
        };
        digits.trim().parse::<u64>().ok()?.checked_mul(unit)
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let file = path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::Read { file: file.clone(), error })?;
        Self::parse(&text).map_err(|problem| ConfigError::Parse { file, problem })
    }

    /// Reads text.
    ///
    /// # Errors
    /// The first problem, with its line.
    pub fn parse(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|e| {
            let line =
                e.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            format!("line {line}: {}", e.message().trim())
        })?;
        for (at, node) in config.node.iter().enumerate() {
            let name = node.name.as_deref().or(node.driver.as_deref()).unwrap_or("?");
            let what = format!("node {name} instance {}", node.instance);
            if config.node[..at].iter().any(|n| n.instance == node.instance && n.driver == node.driver) {
                return Err(format!("{what}: there are two nodes of this instance"));
            }
            if node.instance < 0 {
                return Err(format!("{what}: the instance is negative"));
            }
            if node.registers.iter().any(|size| size.bytes().is_none_or(|n| n == 0)) {
                return Err(format!(
                    "{what}: a register set's size is a number above 0, or such text as \"64K\""
                ));
            }
            for (name, value) in &node.properties {
                if property(name, value).is_none() {
                    return Err(format!(
                        "{what}: property {name} is no 32-bit number, string or list of one of them"
                    ));
                }
            }
        }
        Ok(config)
    }

    /// What a driver has without configuration: ctxdev a device with register sets and a pseudo device, unless its driver.conf names
    /// nodes or it has a PCI device; others what their driver.conf says.
    pub fn default_for(driver: &str, conf: Option<&Conf>) -> Config {
        let other = conf.is_some_and(|conf| !conf.nodes.is_empty()) || !nodes::of_driver(driver).is_empty();
        if driver != "ctxdev" || other {
            return Config::default();
        }
        let node = |instance, registers| Node {
            driver: None,
            name: None,
            instance,
            registers,
            properties: toml::Table::new(),
        };
        Config { node: vec![node(0, CTXDEV.map(Size::Bytes).to_vec()), node(1, Vec::new())] }
    }

    /// Makes the nodes of `driver`: these and those of its driver.conf, whose properties also go to nodes of the same
    /// instance. With neither, and without a PCI device, there is one pseudo device, instance 0. Properties for all of the driver's nodes also go to its
    /// PCI devices.
    ///
    /// # Errors
    /// [`ConfigError::Memory`], [`ConfigError::Taken`].
    pub fn make_nodes(&self, driver: &str, conf: Option<&Conf>) -> Result<(), ConfigError> {
        let empty = Conf::default();
        let file = conf.unwrap_or(&empty);
        let mut wanted: Vec<(NewNode, &str)> = Vec::new();
        let hardware = nodes::of_driver(driver);
        for node in &hardware {
            let mut properties = node.hardware_properties.lock();
            for property in &file.global {
                if properties.find(&property.name, None).is_none() {
                    properties.set(property.clone());
                }
            }
        }
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
            wanted.push((new, "pseudo"));
        }
        let mut next = 0;
        for node in &file.nodes {
            let instance = node.instance.unwrap_or(next);
            next = next.max(instance + 1);
            if let Some((known, _)) = wanted.iter_mut().find(|(w, _)| w.instance == instance) {
                add_properties(known, &node.properties);
                continue;
            }
            if let Some(other) = taken(instance) {
                // illumos numbers the devices of a bus without a look at driver.conf.
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
            wanted.push((new, &node.parent));
        }
        let none = wanted.is_empty() && hardware.is_empty();
        if none && conf.is_none_or(|c| c.nodes.is_empty()) && self.node.is_empty() {
            let name = driver.to_owned();
            let new = NewNode { name: name.clone(), driver: name, unit: "0".into(), ..NewNode::default() };
            wanted.push((new, "pseudo"));
        }
        for (mut new, parent) in wanted {
            add_properties(&mut new, &file.global);
            let parent = if parent == "pseudo" { nodes::pseudo() } else { nodes::root() };
            physical_registers(&mut new, std::ptr::eq(parent, nodes::root()));
            nodes::add(Some(parent), new);
        }
        Ok(())
    }
}

/// The `reg` property that hardware with these register sets has: drivers look for it before they ask for registers. As
/// [`physical_registers`] reads it.
fn reg(registers: &[RegisterSet]) -> Property {
    let set = |set: &RegisterSet| [0, (set.pfn * PAGE_SIZE) as i32, set.len as i32];
    Property::ints("reg", &registers.iter().flat_map(set).collect::<Vec<_>>())
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

/// A property of a TOML value.
pub(crate) fn property(name: &str, value: &toml::Value) -> Option<Property> {
    let list = match value {
        toml::Value::Array(list) => list.clone(),
        toml::Value::Boolean(true) => Vec::new(),
        other => vec![other.clone()],
    };
    if list.iter().all(|v| v.is_str()) && !list.is_empty() {
        let texts: Vec<&str> = list.iter().filter_map(|v| v.as_str()).collect();
        return Some(Property::strings(name, &texts));
    }
    let ints: Option<Vec<i32>> = list.iter().map(|v| i32::try_from(v.as_integer()?).ok()).collect();
    ints.map(|ints| Property::ints(name, &ints))
}

/// Reads a driver.conf file.
///
/// # Errors
/// See [`ConfigError`].
pub fn read_conf(path: &Path) -> Result<Conf, ConfigError> {
    let file = path.display().to_string();
    let text =
        std::fs::read_to_string(path).map_err(|error| ConfigError::Read { file: file.clone(), error })?;
    conf::parse(&text).map_err(|e| ConfigError::Parse { file, problem: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_errors() {
        let error = |text| Config::parse(text).unwrap_err();
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
        assert!(large.contains("property a is no 32-bit number"), "{large}");
    }

    #[test]
    fn nodes_of_both_files_are_joined() {
        let config =
            Config::parse("[[node]]\ninstance = 0\nregisters = [100]\nproperties = { a = 1 }").unwrap();
        let conf = conf::parse(concat!(
            "name=\"config-test\" parent=\"pseudo\" instance=0 a=5 b=6;",
            "name=\"config-test\" parent=\"pseudo\" instance=3;c=\"x\";"
        ));
        config.make_nodes("config-test", Some(&conf.unwrap())).unwrap();
        let nodes = nodes::of_driver("config-test");
        assert_eq!(nodes.iter().map(|n| n.instance()).collect::<Vec<_>>(), [0, 3]);
        assert_eq!((nodes[0].registers().len(), nodes[0].registers()[0].len), (1, 100));
        let int = |node: usize, name| nodes[node].property(name, None, false).and_then(|p| p.as_ints());
        assert_eq!((int(0, "a"), int(0, "b"), int(1, "b")), (Some(vec![1]), Some(vec![6]), None));
        assert!(nodes[1].property("c", None, false).is_some());
        let at = (nodes[0].registers()[0].pfn * PAGE_SIZE) as i32;
        assert_eq!((int(0, "reg"), int(1, "reg")), (Some(vec![0, at, 100]), None), "hardware has one");
    }
}
