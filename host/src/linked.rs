//! The drivers that are linked into the host.

use devmap::module::Entry;

/// All of them.
pub static DRIVERS: &[&Entry] = &[&ctxdev::MODULE];

/// The driver of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    DRIVERS.iter().copied().find(|entry| entry.name == name)
}
