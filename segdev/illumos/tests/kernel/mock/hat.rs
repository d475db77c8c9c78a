//! The memory layer: translations, and the locks of page tables, strict as the real one.

use std::collections::BTreeMap;
use std::sync::Mutex;

use ddi_sys as sys;

use super::{PAGE, Space, kas, machine, number, pointer};

/// A translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pte {
    pub pfn: u64,
    pub prot: u32,
    pub attr: u32,
}

/// The translations of an address space; the kernel's has no space.
#[derive(Default)]
pub struct Hat {
    pub space: usize,
    pub ptes: Mutex<BTreeMap<u64, Pte>>,
    /// Locks, by page table.
    pub locks: Mutex<BTreeMap<u64, i64>>,
}

/// Page frames from here on are device memory.
pub const DEVICE: u64 = 0x10_0000;
/// Bytes that one page table covers.
const TABLE: u64 = 2 << 20;

pub fn start() {
    let kernel = &raw mut kas;
    // SAFETY: tests run one after the other; nobody reads it now.
    let place = unsafe { &mut (*kernel).a_hat };
    if place.is_null() {
        *place = Box::into_raw(Box::<Hat>::default()).cast();
    }
    hat_of(*place).ptes.lock().unwrap().clear();
}

pub fn kernel_hat() -> &'static Hat {
    let kernel = &raw const kas;
    // SAFETY: set by `start`, never freed.
    let hat = unsafe { (*kernel).a_hat };
    hat_of(hat)
}

fn hat_of<'a>(hat: *mut sys::hat) -> &'a Hat {
    // SAFETY: as the kernel: one of ours, which lives as long as its address space.
    unsafe { &*hat.cast() }
}

fn pages(addr: sys::caddr_t, len: usize) -> impl Iterator<Item = u64> {
    let addr = number(addr);
    assert!(
        addr.is_multiple_of(PAGE) && (len as u64).is_multiple_of(PAGE) && addr != 0,
        "{addr:#x}, {len:#x}"
    );
    (addr..addr + len as u64).step_by(PAGE as usize)
}

fn locked(hat: &Hat) {
    let space = pointer::<Space>(hat.space as u64);
    assert!(super::holds(space), "the address space is not locked");
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn hat_devload(
    hat: *mut sys::hat,
    addr: sys::caddr_t,
    len: usize,
    pfn: sys::pfn_t,
    attr: sys::uint_t,
    flags: i32,
) {
    let hat = hat_of(hat);
    locked(hat);
    assert!(len < TABLE as usize, "a large page could be used");
    assert!(flags & !(sys::HAT_LOAD_LOCK as i32) == 0, "flags {flags:#x}");
    assert!(attr & sys::PROT_USER != 0, "a user's page that the user cannot reach");
    let mut ptes = hat.ptes.lock().unwrap();
    for (n, page) in (0..).zip(pages(addr, len)) {
        let (prot, attr) = (attr & sys::HAT_PROT_MASK, attr & !sys::HAT_PROT_MASK);
        let old = ptes.insert(page, Pte { pfn: pfn + n, prot, attr });
        assert!(old.is_none_or(|old| old.pfn == pfn + n), "another page is mapped at {page:#x}");
        if flags & sys::HAT_LOAD_LOCK as i32 != 0 {
            *hat.locks.lock().unwrap().entry(page / TABLE).or_default() += 1;
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn hat_unload(
    hat: *mut sys::hat,
    addr: sys::caddr_t,
    len: usize,
    flags: sys::uint_t,
) {
    let hat = hat_of(hat);
    let mut ptes = hat.ptes.lock().unwrap();
    for page in pages(addr, len) {
        if ptes.remove(&page).is_some() && flags & sys::HAT_UNLOAD_UNLOCK != 0 {
            take_lock(hat, page);
        }
    }
}

fn take_lock(hat: &Hat, page: u64) {
    let mut locks = hat.locks.lock().unwrap();
    let count = locks.entry(page / TABLE).or_default();
    assert!(*count > 0, "hat_unlock(): lock_cnt < 1 at {page:#x}");
    *count -= 1;
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn hat_unlock(hat: *mut sys::hat, addr: sys::caddr_t, len: usize) {
    let hat = hat_of(hat);
    locked(hat);
    let ptes = hat.ptes.lock().unwrap();
    for page in pages(addr, len).filter(|page| ptes.contains_key(page)) {
        take_lock(hat, page);
    }
}

/// Leaves device memory alone, as the real one does.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn hat_chgprot(
    hat: *mut sys::hat,
    addr: sys::caddr_t,
    len: usize,
    prot: sys::uint_t,
) {
    let hat = hat_of(hat);
    locked(hat);
    let mut ptes = hat.ptes.lock().unwrap();
    for page in pages(addr, len) {
        if let Some(pte) = ptes.get_mut(&page).filter(|pte| pte.pfn < DEVICE) {
            pte.prot = prot;
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn hat_getpfnum(hat: *mut sys::hat, addr: sys::caddr_t) -> sys::pfn_t {
    let ptes = hat_of(hat).ptes.lock().unwrap();
    ptes.get(&(number(addr) & !(PAGE - 1))).map_or(sys::pfn_t::MAX, |pte| pte.pfn)
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn page_pptonum(page: *mut sys::page_t) -> sys::pfn_t {
    number(page)
}

/// Pageable memory of the kernel is locked and unlocked so.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn as_fault(
    hat: *mut sys::hat,
    space: *mut sys::as_,
    addr: sys::caddr_t,
    len: usize,
    ty: sys::fault_type,
    rw: sys::seg_rw,
) -> sys::faultcode_t {
    assert_eq!((space, rw), (&raw mut kas, sys::S_WRITE));
    assert!(std::ptr::eq(hat_of(hat), kernel_hat()));
    machine(|m| {
        for page in pages(addr, len) {
            let count = m.page_locks.entry(page).or_default();
            match ty {
                sys::F_SOFTLOCK => *count += 1,
                _ => *count = count.checked_sub(1).expect("a page is unlocked that is not locked"),
            }
        }
    });
    0
}
