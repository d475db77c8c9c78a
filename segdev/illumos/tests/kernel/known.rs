//! Whether the module knows the kernel that it is loaded into.

use ddi_sys as sys;
use segdev_illumos::known::{segdev_illumos_fini, segdev_illumos_init};

use crate::mock::{boot, machine, set_operations, warned};

#[test]
#[cfg_attr(miri, ignore = "Miri does not know the symbol that the assembler makes of a weak one")]
fn a_kernel_that_is_known() {
    let _machine = boot();
    assert_eq!(segdev_illumos_init(), 0);
    segdev_illumos_fini();
    assert_eq!(warned(), None);
}

#[test]
#[cfg_attr(miri, ignore = "Miri does not know the symbol that the assembler makes of a weak one")]
fn another_kernel_is_refused() {
    let _machine = boot();
    for inherit_at in [22, 24] {
        set_operations(inherit_at);
        assert_eq!(segdev_illumos_init(), sys::ENOTSUP);
        assert!(warned().unwrap().ends_with("struct seg_ops has other operations"));
    }
    set_operations(23);
    machine(|m| m.other_cookies = true);
    assert_eq!(segdev_illumos_init(), sys::ENOTSUP);
    assert!(warned().unwrap().contains("ddi_umem_cookie"));
}
