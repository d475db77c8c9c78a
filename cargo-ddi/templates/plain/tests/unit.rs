//! The driver against a small kernel in this process: what a host does not show, such as a kernel that refuses.

use devmap_mock::{Config, PAGE, RW, SHARED, boot, kernel, load, mmap, store};

#[test]
fn out_of_memory_it_does_not_attach() {
    let mut booted = boot(&newdrv::MODULE);
    kernel().refuse.insert("ddi_umem_alloc", 0);
    assert!(booted.attach(Config::default()).is_none());
}

#[test]
fn the_property_pages_is_its_size() {
    let mut booted = boot(&newdrv::MODULE);
    let pages = Config {
        properties: vec![("pages", 2)],
        ..Config::default()
    };
    let dev = booted.attach(pages).expect("attach");
    let map = mmap(dev, PAGE as i64, PAGE as i64, RW, SHARED).expect("the second page");
    store(map[0], PAGE as i64, 7).unwrap();
    assert_eq!(load(map[0], PAGE as i64), Ok(7));
    assert!(mmap(dev, 2 * PAGE as i64, PAGE as i64, RW, SHARED).is_err());
}
