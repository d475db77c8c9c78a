//! The device tree: nodes (`dev_info_t`), their register sets, properties and minor nodes.
//!
//! Nodes are few and live as long as the host, so a driver's stale pointer is still a node. A `dev_info_t *` is the node's
//! address, which is looked up before it is followed.
//!
//! Locking: each node has leaf locks for what can change; none is held while driver code runs.

use std::any::Any;

use std::ffi::CString;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use ddi_sys::dev_info_t;
use ddi_system::props::{List, Property};
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap as HashMap;

/// A register set: physical memory of the simulated device, or its configuration space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterSet {
    /// First page frame.
    pub pfn: u64,
    /// Bytes (any length; whole pages are behind it).
    pub len: u64,
}

impl RegisterSet {
    /// Configuration space, which is no memory. Its length in a node's properties is 0.
    pub const CONFIG: RegisterSet = RegisterSet { pfn: 0, len: 0 };
}

/// A minor node: what a process opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minor {
    /// The name.
    pub name: String,
    /// The minor number.
    pub minor: u32,
    /// A block rather than a character device.
    pub block: bool,
    /// The type, such as `ddi_pseudo`.
    pub node_type: String,
    /// Permission bits, when the driver gave any.
    pub mode: Option<u32>,
}

/// A device on a bus, of the bus's own type.
pub type Hardware = &'static (dyn Any + Send + Sync);

/// Whether an instance of the driver is attached to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Attached {
    /// No.
    No,
    /// In attach(9E): its minor nodes may be used already, and are removed if it fails.
    Soon,
    /// Yes.
    Yes,
}

/// A node of the device tree.
pub struct Node {
    name: CString,
    driver: CString,
    binding: CString,
    instance: i32,
    unit: String,
    unit_c: CString,
    parent: Option<&'static Node>,
    registers: Vec<RegisterSet>,
    device: Option<Hardware>,
    /// Properties that the driver made.
    pub driver_properties: Mutex<List>,
    /// Properties of the configuration file and of the system.
    pub hardware_properties: Mutex<List>,
    minors: Mutex<Vec<Minor>>,
    private: AtomicUsize,
    attached: AtomicU8,
    state: AtomicI32,
}

/// Description of a new node.
#[derive(Clone, Default)]
pub struct NewNode {
    /// The name.
    pub name: String,
    /// The driver that is bound to it; empty when there is none.
    pub driver: String,
    /// The name by which it was bound, when that is not the node's name.
    pub binding: Option<String>,
    /// The instance number.
    pub instance: i32,
    /// The unit address, the part behind `@`.
    pub unit: String,
    /// The register sets.
    pub registers: Vec<RegisterSet>,
    /// Properties.
    pub properties: Vec<Property>,
    /// The device, for a node of a bus.
    pub device: Option<Hardware>,
}

type Callback = Arc<dyn Fn() + Send + Sync>;

/// State of this file.
struct State {
    /// Called when minor nodes have been added or removed, in the order in which they were registered.
    listeners: RwLock<Vec<(u64, Callback)>>,
    nodes: LazyLock<RwLock<HashMap<usize, &'static Node>>>,
    root: LazyLock<&'static Node>,
    pseudo: LazyLock<&'static Node>,
}

static STATE: State = State {
    listeners: RwLock::new(Vec::new()),
    nodes: LazyLock::new(RwLock::default),
    root: LazyLock::new(|| {
        add(None, NewNode { name: "i86pc".into(), driver: "rootnex".into(), ..NewNode::default() })
    }),
    pseudo: LazyLock::new(|| {
        add(Some(root()), NewNode { name: "pseudo".into(), driver: "pseudo".into(), ..NewNode::default() })
    }),
};
/// A registered callback for changes of minor nodes; removed when this is dropped.
#[derive(Debug)]
pub struct Listener(u64);

impl Listener {
    /// Registers a callback for minor nodes being added or removed.
    pub fn new(callback: impl Fn() + Send + Sync + 'static) -> Listener {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed);
        STATE.listeners.write().push((id, Arc::new(callback)));
        Listener(id)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        STATE.listeners.write().retain(|(id, _)| *id != self.0);
    }
}

/// Tells the listeners that minor nodes have been added or removed.
pub fn changed() {
    let listeners = STATE.listeners.read().clone();
    listeners.iter().for_each(|(_, callback)| callback());
}

/// The root of the tree.
pub fn root() -> &'static Node {
    &STATE.root
}

/// The nexus of the pseudo devices.
pub fn pseudo() -> &'static Node {
    &STATE.pseudo
}

/// Adds a node.
pub fn add(parent: Option<&'static Node>, new: NewNode) -> &'static Node {
    let mut properties = List::default();
    for property in new.properties.into_iter().rev() {
        properties.set(property);
    }
    let c = |s: &str| CString::new(s).unwrap_or_default();
    let node: &'static Node = Box::leak(Box::new(Node {
        name: c(&new.name),
        driver: c(&new.driver),
        binding: c(new.binding.as_ref().unwrap_or(&new.name)),
        instance: new.instance,
        unit_c: c(&new.unit),
        unit: new.unit,
        parent,
        registers: new.registers,
        device: new.device,
        driver_properties: Mutex::default(),
        hardware_properties: Mutex::new(properties),
        minors: Mutex::default(),
        private: AtomicUsize::new(0),
        attached: AtomicU8::new(Attached::No as u8),
        state: AtomicI32::new(ddi_sys::DDI_DEVSTATE_UP),
    }));
    STATE.nodes.write().insert(node.address(), node);
    node
}

/// Takes a node out of the tree that no driver has attached; another takes its place.
pub fn remove(node: &'static Node) {
    STATE.nodes.write().remove(&node.address());
}

/// The node that a driver's pointer means; None when it is not one.
pub fn of(dip: *mut dev_info_t) -> Option<&'static Node> {
    STATE.nodes.read().get(&(dip as usize)).copied()
}

/// The nodes bound to a driver, by instance.
pub fn of_driver(driver: &str) -> Vec<&'static Node> {
    let mut found: Vec<_> =
        STATE.nodes.read().values().copied().filter(|n| n.driver.as_bytes() == driver.as_bytes()).collect();
    found.sort_by_key(|n| n.instance);
    found
}

/// Takes a driver's nodes out of the tree, but for those of devices on a bus; their memory stays, for the pointers that the driver may have kept.
pub fn forget(driver: &str) {
    let keep =
        |node: &Node| node.attached() || node.device.is_some() || node.driver.as_bytes() != driver.as_bytes();
    STATE.nodes.write().retain(|_, node| keep(node));
}

/// The children of a node, by name and instance.
pub fn children(of: &Node) -> Vec<&'static Node> {
    let mut found: Vec<_> = STATE
        .nodes
        .read()
        .values()
        .copied()
        .filter(|n| n.parent.is_some_and(|p| std::ptr::eq(p, of)))
        .collect();
    found.sort_by(|a, b| (&a.name, a.instance).cmp(&(&b.name, b.instance)));
    found
}

impl Node {
    /// Returns the `dev_info_t` pointer of the node.
    pub fn dip(&self) -> *mut dev_info_t {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    /// The node's name.
    pub fn name(&self) -> &CString {
        &self.name
    }

    /// The bound driver's name.
    pub fn driver_name(&self) -> &str {
        self.driver.to_str().unwrap_or_default()
    }

    /// The same for C.
    pub fn driver_c(&self) -> &CString {
        &self.driver
    }

    /// The name by which the driver was bound.
    pub fn binding(&self) -> &CString {
        &self.binding
    }

    /// The device, for a node of a bus: what the bus knows it by.
    pub fn device(&self) -> Option<Hardware> {
        self.device
    }

    /// The instance number.
    pub fn instance(&self) -> i32 {
        self.instance
    }

    /// The unit address for C.
    pub fn unit_c(&self) -> &CString {
        &self.unit_c
    }

    /// The parent.
    pub fn parent(&self) -> Option<&'static Node> {
        self.parent
    }

    /// The register sets.
    pub fn registers(&self) -> &[RegisterSet] {
        &self.registers
    }

    /// The path below /devices, such as `/pseudo/ctxdev@0`.
    pub fn path(&self) -> String {
        let Some(parent) = self.parent else { return "/".into() };
        let mut path = parent.path();
        if !path.ends_with('/') {
            path.push('/');
        }
        path.push_str(&self.name.to_string_lossy());
        if !self.unit.is_empty() {
            path.push('@');
            path.push_str(&self.unit);
        }
        path
    }

    /// The pointer of ddi_set_driver_private(9F).
    pub fn private(&self) -> usize {
        self.private.load(Ordering::Acquire)
    }

    /// Sets it.
    pub fn set_private(&self, value: usize) {
        self.private.store(value, Ordering::Release);
    }

    /// Returns whether an instance of the driver is attached, or in attach(9E).
    pub fn attached(&self) -> bool {
        self.attached.load(Ordering::Acquire) != Attached::No as u8
    }

    /// Returns whether attach(9E) has succeeded.
    pub fn settled(&self) -> bool {
        self.attached.load(Ordering::Acquire) == Attached::Yes as u8
    }

    /// Notes whether it is attached.
    pub fn set_attached(&self, attached: Attached) {
        self.attached.store(attached as u8, Ordering::Release);
    }

    /// The device state of ddi_get_devstate(9F).
    pub fn state(&self) -> i32 {
        self.state.load(Ordering::Relaxed)
    }

    /// Sets it.
    pub fn set_state(&self, state: i32) {
        self.state.store(state, Ordering::Relaxed);
    }

    /// The minor nodes.
    pub fn minors(&self) -> Vec<Minor> {
        self.minors.lock().clone()
    }

    /// Adds a minor node; false when the name is taken.
    pub fn add_minor(&self, minor: Minor) -> bool {
        let mut minors = self.minors.lock();
        if minors.iter().any(|m| m.name == minor.name) {
            return false;
        }
        minors.push(minor);
        true
    }

    /// Removes the minor node of this name, or all. Returns the number removed.
    pub fn remove_minors(&self, name: Option<&str>) -> usize {
        let mut minors = self.minors.lock();
        let before = minors.len();
        minors.retain(|m| name.is_some_and(|name| name != m.name));
        before - minors.len()
    }

    /// Looks a property up: the driver's, then the node's, then (if `pass`) the parent's.
    pub fn property(&self, name: &str, dev: Option<u64>, pass: bool) -> Option<Property> {
        for list in [&self.driver_properties, &self.hardware_properties] {
            if let Some(found) = list.lock().find(name, dev) {
                return (!found.undefined).then(|| found.clone());
            }
        }
        if pass { self.parent?.property(name, None, true) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_properties() {
        let new = NewNode {
            name: "nodes-test".into(),
            driver: "nodes-test".into(),
            instance: 3,
            unit: "3".into(),
            properties: vec![Property::ints("a", &[1])],
            ..NewNode::default()
        };
        let node = add(Some(pseudo()), new);
        assert_eq!(node.path(), "/pseudo/nodes-test@3");
        assert!(std::ptr::eq(of(node.dip()).unwrap(), node));
        assert!(of(8 as *mut dev_info_t).is_none());
        pseudo().hardware_properties.lock().set(Property::ints("nodes-test-b", &[2]));
        assert!(node.property("nodes-test-b", None, false).is_none());
        assert_eq!(node.property("nodes-test-b", None, true).unwrap().as_ints(), Some(vec![2]));
        node.driver_properties.lock().set(Property::ints("a", &[5]));
        assert_eq!(node.property("a", None, true).unwrap().as_ints(), Some(vec![5]));
        assert_eq!(of_driver("nodes-test").len(), 1);
    }
}
