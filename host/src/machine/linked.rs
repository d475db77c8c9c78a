//! The drivers that are linked into a host. A program adds its own before it starts a machine or runs the command line.
//!
//! Locking: one lock, a leaf.

use devmap::module::Entry;
use parking_lot::RwLock;

/// A driver, and the configuration of its nodes for a run that has none.
struct Linked {
    entry: &'static Entry,
    configuration: Option<&'static str>,
}

static DRIVERS: RwLock<Vec<Linked>> = RwLock::new(Vec::new());

/// Adds a driver. The first is the one that is run unless another is named.
pub fn add(entry: &'static Entry) {
    DRIVERS.write().push(Linked { entry, configuration: None });
}

/// Adds a driver with a configuration (TOML, as for `--config`) for runs without one, also of a module file that is loaded under the driver's name.
pub fn add_with(entry: &'static Entry, configuration: &'static str) {
    DRIVERS.write().push(Linked { entry, configuration: Some(configuration) });
}

/// Returns the driver of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    DRIVERS.read().iter().map(|linked| linked.entry).find(|entry| entry.name == name)
}

/// Returns the names of all of them.
pub fn names() -> Vec<&'static str> {
    DRIVERS.read().iter().map(|linked| linked.entry.name).collect()
}

/// Returns the name of the first; empty if there is none.
pub fn first() -> &'static str {
    DRIVERS.read().first().map_or("", |linked| linked.entry.name)
}

/// Returns the configuration that came with a driver.
pub(crate) fn configuration(name: &str) -> Option<&'static str> {
    DRIVERS.read().iter().find(|linked| linked.entry.name == name)?.configuration
}
