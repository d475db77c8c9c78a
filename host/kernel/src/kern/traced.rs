//! Device nodes in a trace, and what the calling thread's fault or fork is of. No lock.

use std::cell::Cell;

use crate::kern::nodes::{self, Node};

/// The number of a node's device in a trace, which has its name: driver and instance.
pub fn device(node: &Node) -> u64 {
    ddi_trace::device(node.dip() as u64, || format!("{}{}", node.driver_name(), node.instance()))
}

/// The same for the node's `dev_info_t`; 0 is none.
pub fn of(dip: usize) -> u64 {
    let name = || nodes::of(dip as *mut ddi_sys::dev_info_t);
    match dip {
        0 => 0,
        dip => ddi_trace::device(dip as u64, || {
            name().map_or_else(String::new, |node| format!("{}{}", node.driver_name(), node.instance()))
        }),
    }
}

thread_local! {
    /// Address of the access that the thread serves.
    static ADDRESS: Cell<u64> = const { Cell::new(0) };
    /// Number of the address space that the thread's fork(2) makes.
    static CHILD: Cell<u64> = const { Cell::new(0) };
}

/// The calling thread begins to serve an access to this address.
pub fn set_fault_address(address: u64) {
    ADDRESS.set(address);
}

/// Address of the access that the calling thread serves.
pub fn fault_address() -> u64 {
    ADDRESS.get()
}

/// The calling thread begins a fork(2) that makes this address space.
pub fn set_forking(child: u64) {
    CHILD.set(child);
}

/// Number of the address space that the calling thread's fork(2) makes.
pub fn forking() -> u64 {
    CHILD.get()
}
