//! Simulated PCI devices: described in files, found by drivers as illumos's nexus drivers would present them.
//!
//! There is one bus, `/pci@0,0`. A device's node has the name, the properties and the register sets that illumos's gives it: set 0 is
//! configuration space, base address registers follow in their order. Its registers are the host's physical memory.
//!
//! Locking: the list of devices is behind one lock, a leaf; devices and nodes are never freed.

pub mod describe;
pub mod device;
pub mod interrupts;
pub mod iospace;
pub mod space;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use crate::board::values::property;
use crate::kern::nodes::{self, NewNode, Node, RegisterSet};
use crate::vm::memory;
use ddi_process::physmem::PAGE_SIZE;
use ddi_system::props::Property;
use describe::{Description, KNOWN, Problem};
pub use device::{Device, Transfer};

/// State of this file.
struct State {
    devices: RwLock<Vec<&'static Device>>,
    /// Some register of some device has an effect when it is written.
    effects: AtomicBool,
    bus: LazyLock<&'static Node>,
}

static STATE: State = State {
    devices: RwLock::new(Vec::new()),
    effects: AtomicBool::new(false),
    bus: LazyLock::new(|| {
        let properties = vec![
            Property::strings("device_type", &["pciex"]),
            Property::ints("#address-cells", &[3]),
            Property::ints("#size-cells", &[2]),
            Property::ints("bus-range", &[0, 0]),
        ];
        let new = NewNode {
            name: "pci".into(),
            driver: "npe".into(),
            unit: "0,0".into(),
            properties,
            ..NewNode::default()
        };
        nodes::add(Some(nodes::root()), new)
    }),
};
/// Bits of the first word of a `reg` entry.
mod phys {
    pub const CONFIG: u32 = 0;
    pub const MEM32: u32 = 0x0200_0000;
    pub const MEM64: u32 = 0x0300_0000;
    pub const PREFETCH: u32 = 0x4000_0000;
    pub const FIXED: u32 = 0x8000_0000;
}

/// Why there is no description of a device.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such file, and no device of this name is known.
    #[error("{}: {error}; a device is a description file, or one of: {known}", file.display())]
    NoFile {
        /// The file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
        /// The names that are known.
        known: String,
    },
    /// Something in the description is wrong.
    #[error("{}: {problem}", file.display())]
    Description {
        /// The file.
        file: PathBuf,
        /// The error.
        problem: Problem,
    },
}

/// Why a device is not on the bus.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The slot and function are in use.
    #[error("slot {slot:x},{function} has a device already")]
    Taken {
        /// The slot.
        slot: u8,
        /// The function.
        function: u8,
    },
    /// No slot is free.
    #[error("the bus is full")]
    Full,
    /// There is no memory for its registers.
    #[error("{name}: no memory for {len} bytes")]
    Memory {
        /// The device.
        name: String,
        /// Bytes of the base address register.
        len: u64,
    },
}

/// Reads a description: a file, or the name of a known device.
///
/// # Errors
/// See [`ReadError`].
pub fn read(name: &Path) -> Result<Description, ReadError> {
    let known = KNOWN.iter().find(|(known, _)| name == Path::new(known)).map(|(_, text)| (*text).to_owned());
    let text = match known {
        Some(text) if !name.is_file() => text,
        _ => std::fs::read_to_string(name).map_err(|error| {
            let names: Vec<&str> = KNOWN.iter().map(|(name, _)| *name).collect();
            ReadError::NoFile { file: name.to_owned(), error, known: names.join(", ") }
        })?,
    };
    Description::parse(&text).map_err(|problem| ReadError::Description { file: name.to_owned(), problem })
}

/// Puts a device on the bus. `bind` names the driver for one of its compatible names; a device without a driver gets a node, too.
///
/// # Errors
/// See [`AddError`].
pub fn add(
    description: Description,
    bind: impl Fn(&str) -> Option<String>,
) -> Result<&'static Device, AddError> {
    let function = description.function;
    let place = |slot: u8| {
        STATE
            .devices
            .read()
            .iter()
            .any(|d| d.description.slot == Some(slot) && d.description.function == function)
    };
    let slot = match description.slot {
        Some(slot) if place(slot) => return Err(AddError::Taken { slot, function }),
        Some(slot) => slot,
        None => (1..32).find(|slot| !place(*slot)).ok_or(AddError::Full)?,
    };
    let description = Description { slot: Some(slot), ..description };
    let name = description.name();
    let device = Device::new(description).map_err(|len| AddError::Memory { name, len })?;
    let device: &'static Device = Box::leak(Box::new(device));
    make_node(device, binding(&device.description, &bind));
    let d = &device.description;
    STATE.devices.write().push(device);
    if !d.doorbell.is_empty() || d.status.is_some() || d.copy.is_some() {
        STATE.effects.store(true, Ordering::Release);
    }
    Ok(device)
}

/// Binds devices anew, when drivers have come or gone. A device whose driver is attached stays as it is.
pub fn rebind(bind: impl Fn(&str) -> Option<String>) {
    for device in devices() {
        let Some(node) = device.node().filter(|n| !n.attached()) else { continue };
        let wanted = binding(&device.description, &bind);
        if wanted.0 != node.driver_name() {
            nodes::remove(node);
            make_node(device, wanted);
        }
    }
}

/// The driver of a device, if any, and the name by which it is bound.
fn binding(d: &Description, bind: &impl Fn(&str) -> Option<String>) -> (String, String) {
    let name = d.name();
    if let Some(driver) = &d.driver {
        return (driver.clone(), format!("pci{:x},{:x}", d.vendor, d.device));
    }
    let compatible = d.compatible();
    let found = compatible.iter().chain([&name]).find_map(|alias| Some((bind(alias)?, alias.clone())));
    found.unwrap_or((String::new(), name))
}

/// Makes the node of a device, bound to a driver by a name.
fn make_node(device: &'static Device, (driver, binding): (String, String)) {
    let d = &device.description;
    let (slot, function) = (d.slot.unwrap_or(0), d.function);
    let instance = free_instance(&driver);
    let new = NewNode {
        name: d.name(),
        driver,
        binding: Some(binding),
        instance,
        unit: if function == 0 { format!("{slot:x}") } else { format!("{slot:x},{function:x}") },
        registers: registers(device),
        properties: properties(device, &d.compatible()),
        device: Some(device),
    };
    device.set_node(nodes::add(Some(*STATE.bus), new));
}

/// The first instance number that no node of the driver has. illumos counts the devices of a bus and not the nodes of driver.conf, so
/// those have to keep clear of it by themselves.
fn free_instance(driver: &str) -> i32 {
    let taken: Vec<i32> = nodes::of_driver(driver).iter().map(|n| n.instance()).collect();
    (0..).find(|n| !taken.contains(n)).unwrap_or(0)
}

fn registers(device: &Device) -> Vec<RegisterSet> {
    let bars = device.bars().iter().map(|bar| RegisterSet { pfn: bar.pfn, len: bar.len });
    [RegisterSet::CONFIG].into_iter().chain(bars).collect()
}

/// The properties that illumos gives a node of the bus.
fn properties(device: &Device, compatible: &[String]) -> Vec<Property> {
    let d = &device.description;
    let place = u32::from(d.slot.unwrap_or(0)) << 11 | u32::from(d.function) << 8;
    let (mut reg, mut assigned) = (vec![(phys::CONFIG | place) as i32, 0, 0, 0, 0], Vec::new());
    for bar in device.bars() {
        let (kind, prefetch) =
            (if bar.wide { phys::MEM64 } else { phys::MEM32 }, if bar.prefetch { phys::PREFETCH } else { 0 });
        let high = kind | prefetch | place | (space::at::BAR as u32 + u32::from(bar.number) * 4);
        let address = bar.pfn * PAGE_SIZE;
        let size = [(bar.len >> 32) as i32, bar.len as i32];
        reg.extend([high as i32, 0, 0]);
        reg.extend(size);
        assigned.extend([(high | phys::FIXED) as i32, (address >> 32) as i32, address as i32]);
        assigned.extend(size);
    }
    let mut all = vec![
        Property::ints("reg", &reg),
        Property::ints("vendor-id", &[d.vendor.into()]),
        Property::ints("device-id", &[d.device.into()]),
        Property::ints("revision-id", &[d.revision.into()]),
        Property::ints("class-code", &[d.class as i32]),
        Property::strings("compatible", compatible),
        Property::ints("devsel-speed", &[0]),
    ];
    if !assigned.is_empty() {
        all.push(Property::ints("assigned-addresses", &assigned));
    }
    if let Some([vendor, id]) = d.subsystem {
        all.push(Property::ints("subsystem-vendor-id", &[vendor.into()]));
        all.push(Property::ints("subsystem-id", &[id.into()]));
    }
    if let Some(pin) = d.interrupt_pin {
        all.push(Property::ints("interrupts", &[pin as i32]));
    }
    all.extend(d.properties.iter().filter_map(|(name, value)| property(name, value)));
    all
}

/// All devices.
pub fn devices() -> Vec<&'static Device> {
    STATE.devices.read().clone()
}

/// The device whose node has this path, or this driver and instance (`ctxdev0`).
pub fn find(name: &str) -> Option<&'static Device> {
    devices().into_iter().find(|device| {
        device.node().is_some_and(|node| {
            node.path() == name || format!("{}{}", node.driver_name(), node.instance()) == name
        })
    })
}

/// Returns the PCI device of a node; None if the node is none's.
pub fn of(node: &Node) -> Option<&'static Device> {
    node.device()?.downcast_ref()
}

/// Returns the device that has registers in these bytes, the number of their base address register and the offset there, if any device's registers have effects.
fn registers_at(address: usize, len: usize) -> Option<(&'static Device, u8, u64)> {
    if !STATE.effects.load(Ordering::Acquire) {
        return None;
    }
    let (pfn, offset) = memory().frame_of(address as *const u8)?;
    let from = pfn * PAGE_SIZE + offset;
    let to = from + len as u64;
    STATE.devices.read().iter().find_map(|device| {
        let start = |bar: &device::BarMemory| bar.pfn * PAGE_SIZE;
        let bar = device.bars().iter().find(|bar| start(bar) < to && from < start(bar) + bar.len)?;
        Some((*device, bar.number, from.saturating_sub(start(bar))))
    })
}

/// Returns whether a write to these bytes may have an effect, so that [`written`] must be called for it.
pub fn has_effects(address: usize, len: usize) -> bool {
    registers_at(address, len).is_some()
}

/// The driver has written to memory, which may be a register with an effect. Returns the transfer that the device begins.
#[must_use]
pub fn written(address: usize, len: usize) -> Option<Transfer> {
    let (device, bar, offset) = registers_at(address, len)?;
    device.written(bar, offset, len as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_as_the_nexus_makes_it() {
        let text = "vendor = 0x1234\ndevice = 0x11e8\nclass = 0xff0000\nslot = 9\nfunction = 1\ninterrupt-pin = \"A\"\n\
            [[bar]]\nsize = 4096\n[[bar]]\nnumber = 2\nsize = \"64K\"\nwide = true\nprefetch = true\n\
            [properties]\nlabel = \"x\"\n";
        let bind = |alias: &str| (alias == "pci1234,11e8").then(|| "pci-test".to_owned());
        let device = add(Description::parse(text).unwrap(), bind).unwrap();
        let node = device.node().unwrap();
        assert_eq!(node.path(), "/pci@0,0/pci1234,11e8@9,1");
        assert_eq!((node.driver_name(), node.instance()), ("pci-test", 0));
        assert_eq!(node.binding().to_str(), Ok("pci1234,11e8"));
        assert!(node.registers()[0] == RegisterSet::CONFIG && node.registers()[2].len == 0x10000);
        let ints = |name| node.property(name, None, false).and_then(|p| p.as_ints()).unwrap();
        let reg = ints("reg");
        assert_eq!(reg.len(), 15);
        assert_eq!(reg[..5], [0x4900, 0, 0, 0, 0]);
        assert_eq!((reg[5] as u32, reg[9]), (0x0200_4910, 4096));
        assert_eq!((reg[10] as u32, reg[14]), (0x4300_4918, 0x10000));
        let assigned = ints("assigned-addresses");
        let start = device.bars()[1].pfn * PAGE_SIZE;
        assert_eq!((assigned[5] as u32, assigned[7] as u32), (0xc300_4918, start as u32));
        assert_eq!(device.space.read(0x18, 8), start | 0xc);
        assert_eq!((ints("class-code"), ints("interrupts")), (vec![0xff_0000], vec![1]));
        assert!(node.property("label", None, false).is_some());
        assert!(find("pci-test0").is_some() && find("/pci@0,0/pci1234,11e8@9,1").is_some());
        let again = add(Description::parse(text).unwrap(), bind).unwrap_err();
        assert_eq!(again.to_string(), "slot 9,1 has a device already");
    }

    #[test]
    fn a_known_device_needs_no_file() {
        assert_eq!(read(Path::new("ivshmem")).unwrap().device, 0x1110);
        let error = read(Path::new("no-such-device")).unwrap_err().to_string();
        assert!(error.contains("one of: ivshmem"), "{error}");
    }
}
