//! The driver against a small kernel in this process: what a host does not show, such as a kernel that refuses.

use devmap_mock::{Config, boot, close, kernel, open, open_new};

#[test]
fn an_open_without_memory_is_refused_and_the_next_one_is_not() {
    let mut booted = boot(&newdrv::MODULE);
    let dev = booted.attach(Config::default()).expect("attach");
    kernel().refuse.insert("ddi_umem_alloc", 0);
    assert_ne!(open(dev, 0), 0);
    kernel().refuse.clear();
    let open = open_new(dev, 0).expect("open");
    assert_eq!(close(open), 0);
}
