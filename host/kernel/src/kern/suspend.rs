//! Suspend, resume and quiesce of an attached instance: the calls of a system before it sleeps, when it wakes, and before a fast reboot.
//!
//! illumos stops all processes and suspends all devices, children first; here one device is suspended on request, and processes keep running. Locking: the list of suspended
//! nodes is a leaf.

use std::ffi::c_int;

use ddi_sys::dev_info_t;
use parking_lot::Mutex;

use super::drivers::{self, Driver};
use super::nodes::{self, Node};
use super::thread::{self, Context};

/// Change of an instance's power state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// detach(9E), `DDI_SUSPEND`.
    Suspend,
    /// attach(9E), `DDI_RESUME`.
    Resume,
    /// quiesce(9E).
    Quiesce,
}

impl Change {
    /// By the name of its command.
    pub fn named(name: &str) -> Option<Change> {
        let all = [("suspend", Change::Suspend), ("resume", Change::Resume), ("quiesce", Change::Quiesce)];
        all.into_iter().find(|(known, _)| *known == name).map(|(_, change)| change)
    }
}

/// Why it was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No such device is attached.
    NoDevice,
    /// It is suspended, or is not, already.
    Already,
    /// The driver has no such entry point.
    NoEntryPoint,
    /// The driver refused.
    Driver,
}

/// The paths of suspended nodes.
static SUSPENDED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Returns whether the instance is suspended.
fn suspended(node: &Node) -> bool {
    SUSPENDED.lock().contains(&node.path())
}

/// The attached instance of this name, its driver's with its number, or of this path.
fn find(name: &str) -> Option<(std::sync::Arc<Driver>, &'static Node)> {
    let is_it = |node: &&'static Node| {
        node.settled()
            && (node.path() == name || format!("{}{}", node.driver_name(), node.instance()) == name)
    };
    drivers::all().into_iter().find_map(|driver| {
        let node = nodes::of_driver(&driver.name).into_iter().find(is_it)?;
        Some((driver, node))
    })
}

/// Changes the attached instance of this name.
///
/// # Errors
/// [`Refused`].
pub fn change(name: &str, change: Change) -> Result<(), Refused> {
    let (driver, node) = find(name).ok_or(Refused::NoDevice)?;
    if suspended(node) != (change == Change::Resume) {
        return Err(Refused::Already);
    }
    call(&driver, node, change)
}

/// Resumes an instance that is to be detached: the kernel detaches none that is suspended.
pub(super) fn wake(driver: &Driver, node: &'static Node) -> bool {
    !suspended(node) || call(driver, node, Change::Resume).is_ok()
}

fn call(driver: &Driver, node: &'static Node, change: Change) -> Result<(), Refused> {
    let Some(ops) = driver.ops() else { return Err(Refused::NoEntryPoint) };
    let dip: *mut dev_info_t = node.dip();
    let done: Option<Result<c_int, _>> = match change {
        Change::Suspend => ops.devo_detach.map(|detach| {
            // SAFETY: the driver's entry point with a node of its own that is attached.
            let call = || unsafe { detach(dip, ddi_sys::DDI_SUSPEND) };
            thread::in_context(Context::Kernel, || driver.call("detach", call))
        }),
        Change::Resume => ops.devo_attach.map(|attach| {
            // SAFETY: as above; it is suspended.
            let call = || unsafe { attach(dip, ddi_sys::DDI_RESUME) };
            thread::in_context(Context::Kernel, || driver.call("attach", call))
        }),
        // All other processors stand still: what would wait there for a lock is reported.
        Change::Quiesce => ops.devo_quiesce.map(|quiesce| {
            // SAFETY: as above.
            let call = || unsafe { quiesce(dip) };
            thread::in_context(Context::HighInterrupt, || driver.call("quiesce", call))
        }),
    };
    match done {
        None => return Err(Refused::NoEntryPoint),
        Some(Ok(ddi_sys::DDI_SUCCESS)) => {}
        Some(_) => return Err(Refused::Driver),
    }
    let mut all = SUSPENDED.lock();
    match change {
        Change::Suspend => all.push(node.path()),
        Change::Resume => all.retain(|path| *path != node.path()),
        Change::Quiesce => {}
    }
    Ok(())
}
