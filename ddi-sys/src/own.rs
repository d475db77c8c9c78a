//! Functions of a module's own framework (segdev/illumos) beyond the DDI. No header of illumos declares it.

use core::ffi::c_int;

use crate::{ddi_device_acc_attr_t, ddi_umem_cookie_t, dev_info_t, devmap_cookie_t, offset_t, uint_t};

/// `segdev_illumos_remap_pages`: lets `len` bytes from user offset `off` on of a mapping, whole pages, show other memory than the rest, with a protection of their own at most: kernel memory from
/// `start` on, or, for a null cookie, a register set of the node in the order of the attributes.
///
/// The mapping has `DEVMAP_ALLOW_REMAP`. Drops the pages' translations. A remap of the whole ends it. Pieces and copies of the mapping have the same. User or kernel context, whatever mutexes are held. Returns
/// `DDI_SUCCESS` or `DDI_FAILURE`.
#[allow(non_camel_case_types)]
pub type remap_pages_t = unsafe extern "C-unwind" fn(
    dhp: devmap_cookie_t,
    dip: *mut dev_info_t,
    off: offset_t,
    len: usize,
    maxprot: uint_t,
    cookie: ddi_umem_cookie_t,
    rnumber: uint_t,
    start: offset_t,
    attributes: *mut ddi_device_acc_attr_t,
) -> c_int;
