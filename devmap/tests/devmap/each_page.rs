//! Pages with memory of their own, where the framework has that: what it is told, of the mapping and of its copies, and what is refused before.

use std::ffi::c_int;
use std::sync::Mutex;

use ddi_sys as sys;
use devmap::prelude::*;
use devmap::{Protection, each_page};

use crate::driver::{Behaviour, behave, cx, handles, probe};
use crate::mapping::map;
use crate::mock::{self, PAGE};

/// What the framework was told: user offset, bytes, greatest protection, cookie, register set, offset.
type Told = (i64, usize, u32, usize, u32, i64);

static TOLD: Mutex<Vec<Told>> = Mutex::new(Vec::new());
static REFUSES: Mutex<bool> = Mutex::new(false);

/// As [`sys::own::remap_pages_t`].
unsafe extern "C-unwind" fn remap_pages(
    dhp: sys::devmap_cookie_t,
    _dip: *mut sys::dev_info_t,
    off: sys::offset_t,
    len: usize,
    maxprot: sys::uint_t,
    cookie: sys::ddi_umem_cookie_t,
    rnumber: sys::uint_t,
    start: sys::offset_t,
    _attributes: *mut sys::ddi_device_acc_attr_t,
) -> c_int {
    assert!(!dhp.is_null());
    if *REFUSES.lock().unwrap() {
        return sys::DDI_FAILURE;
    }
    TOLD.lock().unwrap().push((
        off,
        len,
        maxprot & (sys::PROT_READ | sys::PROT_WRITE | sys::PROT_EXEC),
        cookie.expose_provenance(),
        rnumber,
        start,
    ));
    sys::DDI_SUCCESS
}

fn told() -> Vec<Told> {
    std::mem::take(&mut TOLD.lock().unwrap())
}

/// One test, as the framework's function stays installed.
#[test]
fn pages_of_their_own() {
    let (_kernel, dev) = probe();
    behave(Behaviour::Load);
    let (page, all) = (PAGE as u64, Protection::all());
    let memory = Memory::from(Umem::new(&cx(), Kind::Locked, 4 * PAGE).unwrap());
    let mapped = map(dev, 0, 4 * PAGE as i64);
    let handle = handles().pop().unwrap();
    // A framework without it: mappings move as a whole.
    assert!(!each_page::available());
    let refused =
        |offset, len, from| handle.remap_pages(offset, len, &memory, from, all).unwrap_err().errno();
    assert_eq!(refused(0, PAGE, 0), Errno::ENOTSUP);

    each_page::install(remap_pages);
    assert!(each_page::available());
    for (offset, len, from) in [
        (0, 0, 0),
        (1, PAGE, 0),
        (0, PAGE, 1),
        (4 * page, PAGE, 0),
        (3 * page, 2 * PAGE, 0),
        (0, PAGE, 4 * page),
    ] {
        assert_eq!(refused(offset, len, from), Errno::EINVAL, "{offset} {len} {from}");
    }
    assert_eq!(told(), []);
    let cookie = match &memory {
        Memory::Umem(umem) => umem.as_raw().expose_provenance(),
        _ => 0,
    };
    handle.remap_pages(page, 2 * PAGE, &memory, 2 * page, Protection::READ).unwrap();
    assert_eq!(told(), [(PAGE as i64, 2 * PAGE, sys::PROT_READ, cookie, 0, 2 * PAGE as i64)]);
    *REFUSES.lock().unwrap() = true;
    assert_eq!(refused(0, PAGE, 0), Errno::EIO);
    *REFUSES.lock().unwrap() = false;
    // The middle of it is another's.
    handle.remap_pages(2 * page, PAGE, &memory, 0, all).unwrap();
    told();
    // A child's handle was made by the framework at some time: it is told of all.
    let child = mock::fork(&[mapped]).unwrap();
    let rw = sys::PROT_READ | sys::PROT_WRITE | sys::PROT_EXEC;
    assert_eq!(
        told(),
        [
            (PAGE as i64, PAGE, sys::PROT_READ, cookie, 0, 2 * PAGE as i64),
            (2 * PAGE as i64, PAGE, rw, cookie, 0, 0)
        ]
    );
    child.into_iter().for_each(mock::unmap);
    // The memory is kept, until the whole is remapped.
    let cookies = || mock::kernel().umems.contains_key(&cookie);
    drop(memory);
    assert!(cookies());
    let other = Umem::new(&cx(), Kind::Locked, 4 * PAGE).unwrap();
    handle.remap(&other, 0).unwrap();
    assert!(!cookies());
    mock::unmap(mapped);
    let again = handle.remap_pages(0, PAGE, &other.into(), 0, all);
    assert_eq!(again.unwrap_err().errno(), Errno::ESTALE);
}
