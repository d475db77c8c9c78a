//! The driver against a small kernel in this process: what a host does not show, such as a kernel that refuses.

use devmap_mock::{Config, PAGE, RW, SHARED, boot, kernel, mmap};

#[test]
fn out_of_memory_it_does_not_attach() {
    let mut booted = boot(&newdrv::MODULE);
    kernel().refuse.insert("ddi_umem_alloc", 0);
    assert!(booted.attach(Config::default()).is_none());
}

#[test]
fn a_mapping_that_the_framework_refuses_leaves_no_context() {
    let mut booted = boot(&newdrv::MODULE);
    let dev = booted.attach(Config::default()).expect("attach");
    kernel().refuse.insert("devmap_setup", 0);
    assert!(mmap(dev, 0, PAGE as i64, RW, SHARED).is_err());
}
