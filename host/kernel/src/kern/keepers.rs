//! State that groups of DDI functions keep for an instance between its attach(9E) and its detach(9E), and what a driver has left of it.
//!
//! Each group that keeps something adds a [`Keeper`] when the machine starts. Locking: the list has a lock of its own, which is not held while a keeper is called.

use parking_lot::RwLock;

use super::nodes::Node;

/// Something that a driver has left: "its soft state, item 3", and the manual page that says how to free it.
#[derive(Debug)]
pub struct Leftover {
    /// Description for the report.
    pub what: String,
    /// The manual page.
    pub page: &'static str,
}

/// A group of functions that keeps something for an instance. All methods are called in kernel context, with no lock held.
pub trait Keeper: Sync {
    /// The instance's attach(9E) is about to run, on the calling thread.
    fn attaching(&self, _node: &'static Node) {}
    /// Called when attach(9E) of an instance has returned, on the same thread.
    fn attached(&self, _node: &'static Node, _success: bool) {}
    /// Forgets an instance whose detach(9E) has succeeded. Returns what the driver has left.
    fn detached(&self, _node: &'static Node) -> Vec<Leftover> {
        Vec::new()
    }
}

static KEEPERS: RwLock<Vec<&'static dyn Keeper>> = RwLock::new(Vec::new());

/// Adds a group.
pub fn add(keeper: &'static dyn Keeper) {
    KEEPERS.write().push(keeper);
}

/// Returns all groups, in the order in which they were added.
pub fn all() -> Vec<&'static dyn Keeper> {
    KEEPERS.read().clone()
}
