//! Device nodes in a trace. No lock.

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
