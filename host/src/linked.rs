//! The drivers that are linked into the host.

use devmap::module::Entry;
use parking_lot::RwLock;

/// Those that every host has.
pub static DRIVERS: &[&Entry] = &[&ctxdev::MODULE];

/// Those of a program that has drivers of its own linked in.
static MORE: RwLock<Vec<&'static Entry>> = RwLock::new(Vec::new());

/// Adds a driver: a program of one's own can be a host for it. Before the machine is started.
pub fn add(entry: &'static Entry) {
    MORE.write().push(entry);
}

/// The driver of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    DRIVERS.iter().chain(MORE.read().iter()).copied().find(|entry| entry.name == name)
}
