//! The driver against a small kernel in this process: what a host does not show, such as a kernel that refuses.

use devmap_mock::{Config, boot};

#[test]
fn a_node_without_the_boards_memory_is_refused() {
    let mut booted = boot(&newdrv::MODULE);
    assert!(booted.attach(Config::default()).is_none());
}
