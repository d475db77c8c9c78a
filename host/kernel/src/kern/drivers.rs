//! Drivers: what mod_install(9F) registered, their major numbers, attach and detach of their instances.
//!
//! Locking: the table of drivers is behind one lock that is never held while driver code runs. A driver's `dev_ops` is the
//! driver's memory; it is read anew for each call, as the kernel does.

use std::cell::RefCell;

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use ddi_sys::{cb_ops, dev_ops};
use parking_lot::RwLock;
use rustc_hash::FxHashMap as HashMap;

use super::nodes::{self, Attached, Node};
use super::thread::{self, Context};
use super::{entry, heap, keepers, peek, suspend, tables};
use crate::board::{log, report};

/// A registered driver.
#[derive(Debug)]
pub struct Driver {
    /// The name: that of its module.
    pub name: String,
    /// The major number.
    pub major: u32,
    /// The description in the linkage (`drv_linkinfo`).
    pub description: String,
    ops: usize,
    linkage: usize,
    /// Opens of its devices.
    pub opens: AtomicUsize,
}

/// The first major number handed out.
const FIRST_MAJOR: u32 = 200;

#[derive(Default)]
struct Table {
    by_name: HashMap<String, Arc<Driver>>,
    majors: Vec<(String, u32)>,
}

static TABLE: LazyLock<RwLock<Table>> = LazyLock::new(RwLock::default);

/// Major numbers that there can be.
const MAJORS: usize = 1 << 14;
/// The `dev_ops` of registered drivers by major number, where the kernel's `devopsp` leads.
pub static DEV_OPS: [AtomicPtr<dev_ops>; MAJORS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; MAJORS];

fn set_dev_ops(major: u32, ops: *mut dev_ops) {
    if let Some(place) = DEV_OPS.get(major as usize) {
        place.store(ops, Ordering::Release);
    }
}

thread_local! {
    static INSTALLING: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` (an `_init` or `_fini`) as the module `name`, whose name mod_install is to use.
pub fn as_module<R>(name: &str, f: impl FnOnce() -> R) -> R {
    struct Pop;
    impl Drop for Pop {
        fn drop(&mut self) {
            INSTALLING.with_borrow_mut(|names| drop(names.pop()));
        }
    }
    INSTALLING.with_borrow_mut(|names| names.push(name.to_owned()));
    let _pop = Pop;
    f()
}

/// The module whose `_init` runs on this thread.
pub fn installing() -> Option<String> {
    INSTALLING.with_borrow(|names| names.last().cloned())
}

/// The major number of a driver, assigned if it has none yet.
pub fn assign_major(name: &str) -> u32 {
    let mut table = TABLE.write();
    if let Some((_, major)) = table.majors.iter().find(|(n, _)| n == name) {
        return *major;
    }
    let major = table.majors.iter().map(|(_, major)| major + 1).max().unwrap_or(0).max(FIRST_MAJOR);
    table.majors.push((name.to_owned(), major));
    major
}

/// Gives a driver the major number that etc/name_to_major says, unless it or the number is taken.
pub fn set_major(name: &str, major: u32) {
    let mut table = TABLE.write();
    if !table.majors.iter().any(|(n, m)| n == name || *m == major) {
        table.majors.push((name.to_owned(), major));
    }
}

/// A driver has been removed from the system: its major number is not its own any more.
pub fn forget_major(name: &str) {
    TABLE.write().majors.retain(|(n, _)| n != name);
}

/// The name that a major number was given to.
pub fn major_name(major: u32) -> Option<String> {
    TABLE.read().majors.iter().find(|(_, m)| *m == major).map(|(name, _)| name.clone())
}

/// The major number of a name that has one.
pub fn major_of(name: &str) -> Option<u32> {
    TABLE.read().majors.iter().find(|(n, _)| n == name).map(|(_, major)| *major)
}

/// The registered driver of this name.
pub fn find(name: &str) -> Option<Arc<Driver>> {
    TABLE.read().by_name.get(name).cloned()
}

/// The registered driver with this major number.
pub fn by_major(major: u32) -> Option<Arc<Driver>> {
    find(&major_name(major)?)
}

/// All registered drivers.
pub fn all() -> Vec<Arc<Driver>> {
    TABLE.read().by_name.values().cloned().collect()
}

/// mod_install of a driver element. False: the name is taken.
pub fn register(name: &str, description: &str, ops: *mut dev_ops, linkage: usize) -> bool {
    let major = assign_major(name);
    let mut table = TABLE.write();
    if table.by_name.contains_key(name) {
        return false;
    }
    let driver = Driver {
        name: name.to_owned(),
        major,
        description: description.to_owned(),
        ops: ops as usize,
        linkage,
        opens: AtomicUsize::new(0),
    };
    table.by_name.insert(name.to_owned(), Arc::new(driver));
    set_dev_ops(major, ops);
    true
}

/// mod_remove of the driver with this linkage: false when an instance is attached.
pub fn unregister(linkage: usize) -> bool {
    let name = {
        let table = TABLE.read();
        table.by_name.values().find(|d| d.linkage == linkage).map(|d| d.name.clone())
    };
    let Some(name) = name else { return true };
    if nodes::of_driver(&name).iter().any(|n| n.attached()) {
        return false;
    }
    if let Some(driver) = TABLE.write().by_name.remove(&name) {
        set_dev_ops(driver.major, std::ptr::null_mut());
    }
    true
}

/// Why a node is not attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The driver has no `dev_ops`, or they cannot be read.
    #[error("{0} has no dev_ops")]
    NoOperations(String),
    /// probe(9E) found no device.
    #[error("{driver} instance {instance}: probe(9E) found no device")]
    NoDevice {
        /// The driver.
        driver: String,
        /// The node's instance.
        instance: i32,
    },
    /// The driver has no attach(9E).
    #[error("{0} has no attach(9E)")]
    NoAttach(String),
    /// attach(9E) failed.
    #[error("{driver} instance {instance}: attach(9E) failed")]
    Failed {
        /// The driver.
        driver: String,
        /// The node's instance.
        instance: i32,
    },
}

/// Why a node is still attached.
#[derive(Debug, thiserror::Error)]
pub enum DetachError {
    /// The driver has no detach(9E).
    #[error("{0} has no detach(9E)")]
    NoDetach(String),
    /// A suspended device cannot be resumed first.
    #[error("{driver} instance {instance}: attach(9E) refused to resume it")]
    NotResumed {
        /// The driver.
        driver: String,
        /// The node's instance.
        instance: i32,
    },
    /// detach(9E) refused.
    #[error("{driver} instance {instance}: detach(9E) refused")]
    Refused {
        /// The driver.
        driver: String,
        /// The node's instance.
        instance: i32,
    },
}

impl Driver {
    /// Returns the address of its `dev_ops`.
    pub fn ops_address(&self) -> usize {
        self.ops
    }

    /// Returns its `dev_ops` as they are now. None, after a report, if they are not there any more.
    pub fn ops(&self) -> Option<dev_ops> {
        self.table("modldrv.drv_dev_ops", self.ops, "modldrv(9S)")
    }

    /// Returns its `cb_ops` as they are now. None if it has none, or, after a report, if its pointer to them leads nowhere.
    pub fn cb_ops(&self) -> Option<cb_ops> {
        match self.ops()?.devo_cb_ops as usize {
            0 => None,
            address => self.table("dev_ops.devo_cb_ops", address, "dev_ops(9S)"),
        }
    }

    fn table<T: peek::Plain>(&self, path: &str, address: usize, page: &'static str) -> Option<T> {
        let table = tables::follow(&self.name, path, address, page);
        table.inspect_err(|wrong| wrong.report(&self.name)).ok()
    }

    /// Calls one of its entry points, named for messages.
    ///
    /// # Errors
    /// [`entry::Panicked`].
    pub fn call<R>(&self, entry_point: &'static str, f: impl FnOnce() -> R) -> Result<R, entry::Panicked> {
        entry::call(|| format!("{}: {entry_point}(9E)", self.name), f)
    }

    /// probe(9E) and attach(9E) of one node.
    ///
    /// # Errors
    /// See [`AttachError`].
    pub fn attach(&self, node: &'static Node) -> Result<(), AttachError> {
        let instance = node.instance();
        let driver = || self.name.clone();
        let ops = self.ops().ok_or_else(|| AttachError::NoOperations(driver()))?;
        let prompt = || {
            if let Some(probe) = ops.devo_probe.filter(|f| !is_nulldev(*f as usize)) {
                // SAFETY: the driver's entry point with a node of its own, as probe(9E) says.
                let found = self.call("probe", || unsafe { probe(node.dip()) });
                if !matches!(found, Ok(ddi_sys::DDI_PROBE_SUCCESS | ddi_sys::DDI_PROBE_DONTCARE)) {
                    return Err(AttachError::NoDevice { driver: driver(), instance });
                }
            }
            let Some(attach) = ops.devo_attach else {
                return Err(AttachError::NoAttach(driver()));
            };
            // Set before, because attach may create minor nodes that are opened at once.
            node.set_attached(Attached::Soon);
            keepers::all().iter().for_each(|keeper| keeper.attaching(node));
            // SAFETY: the driver's entry point with a node of its own, as attach(9E) says.
            let result = self.call("attach", || unsafe { attach(node.dip(), ddi_sys::DDI_ATTACH) });
            let success = result == Ok(ddi_sys::DDI_SUCCESS);
            keepers::all().iter().for_each(|keeper| keeper.attached(node, success));
            if success {
                node.set_attached(Attached::Yes);
                return Ok(());
            }
            node.set_attached(Attached::No);
            node.remove_minors(None);
            node.driver_properties.lock().clear();
            node.set_private(0);
            Err(AttachError::Failed { driver: driver(), instance })
        };
        thread::in_context(Context::Kernel, || entry::prompt(prompt))
    }

    /// detach(9E) of one node; in check mode says what it left behind.
    ///
    /// # Errors
    /// See [`DetachError`]: it is still attached.
    pub fn detach(&self, node: &'static Node) -> Result<(), DetachError> {
        let instance = node.instance();
        let Some(detach) = self.ops().and_then(|ops| ops.devo_detach) else {
            return Err(DetachError::NoDetach(self.name.clone()));
        };
        if !suspend::wake(self, node) {
            return Err(DetachError::NotResumed { driver: self.name.clone(), instance });
        }
        let prompt = || {
            // SAFETY: the driver's entry point with a node of its own that is attached.
            self.call("detach", || unsafe { detach(node.dip(), ddi_sys::DDI_DETACH) })
        };
        let result = thread::in_context(Context::Kernel, || entry::prompt(prompt));
        if result != Ok(ddi_sys::DDI_SUCCESS) {
            return Err(DetachError::Refused { driver: self.name.clone(), instance });
        }
        node.set_attached(Attached::No);
        for left in keepers::all().iter().flat_map(|keeper| keeper.detached(node)) {
            let what = format!("{} instance {instance} left {}", self.name, left.what);
            report::leftover("detach", &what, left.page);
        }
        // The kernel takes them away without a word.
        if heap::checking() {
            let minors = node.minors();
            if !minors.is_empty() {
                let names: Vec<_> = minors.iter().map(|m| m.name.as_str()).collect();
                let names = names.join(", ");
                let what = format!("{} instance {instance} left minor nodes: {names}", self.name);
                report::leftover("detach", &what, "detach(9E), ddi_remove_minor_node(9F)");
            }
        }
        node.remove_minors(None);
        node.driver_properties.lock().clear();
        node.set_private(0);
        Ok(())
    }

    /// Attaches every node of the driver, and logs those that fail. Returns the number attached.
    pub fn attach_all(&self) -> usize {
        for node in nodes::of_driver(&self.name) {
            if !node.attached()
                && let Err(why) = self.attach(node)
            {
                log::line(log::To::Both, &format!("WARNING: {why}"));
            }
        }
        nodes::of_driver(&self.name).iter().filter(|n| n.attached()).count()
    }

    /// Detaches every node, last first.
    ///
    /// # Errors
    /// See [`DetachError`]: one is still attached.
    pub fn detach_all(&self) -> Result<(), DetachError> {
        for node in nodes::of_driver(&self.name).into_iter().rev().filter(|n| n.attached()) {
            self.detach(node)?;
        }
        Ok(())
    }
}

/// Returns whether an address is that of nulldev, directly or as a module sees it.
fn is_nulldev(address: usize) -> bool {
    super::symbols::is(address, "nulldev")
}

/// Reports kmem that is still allocated after the last driver was unloaded.
pub fn report_memory() {
    let (buffers, bytes) = heap::in_use();
    if buffers > 0 {
        let mut what = format!("{buffers} kmem buffers ({bytes} bytes) are still allocated");
        for line in heap::describe(8) {
            what.push_str("\n    ");
            what.push_str(&line);
        }
        report::leftover("_fini", &what, "kmem_alloc(9F)");
    }
}
