//! Timeouts, kernel memory, registers, vnodes of devices, the table of drivers.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use ddi_sys as sys;

use super::{DEVICE, PAGE, Pte, devopsp, kernel_hat, machine, number, pointer, segdev_ops, until};
use crate::driver;

/// The major number of the one driver.
pub const MAJOR: u64 = 3;

pub fn start() {
    let drivers = &raw mut devopsp;
    // SAFETY: tests run one after the other.
    if unsafe { (*drivers).is_null() } {
        let table: Box<[*mut sys::dev_ops; 8]> =
            Box::new(std::array::from_fn(|n| if n as u64 == MAJOR { driver::dev_ops() } else { null_mut() }));
        // SAFETY: as above.
        unsafe { *drivers = Box::into_raw(table).cast() };
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn getmajor(dev: sys::dev_t) -> sys::major_t {
    (dev >> 32) as u32
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn nodev() -> c_int {
    sys::ENXIO
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_mmap_get_model() -> sys::model_t {
    sys::DDI_MODEL_LP64
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn timeout(
    f: Option<unsafe extern "C-unwind" fn(*mut c_void)>,
    arg: *mut c_void,
    ticks: sys::clock_t,
) -> sys::timeout_id_t {
    machine(|m| {
        m.next += 1;
        m.timeouts.insert(m.next, (f.unwrap(), number(arg) as usize, ticks));
        pointer(m.next as u64)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn untimeout(id: sys::timeout_id_t) -> sys::clock_t {
    if let Some((_, _, ticks)) = machine(|m| m.timeouts.remove(&id.addr())) {
        return ticks;
    }
    until(|| machine(|m| !m.running.contains(&id.addr())));
    -1
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_umem_alloc(
    size: usize,
    flags: c_int,
    cookiep: *mut sys::ddi_umem_cookie_t,
) -> *mut c_void {
    let size = size.next_multiple_of(PAGE as usize);
    let (kind, trash) = match flags {
        sys::DDI_UMEM_TRASH => (sys::UMEM_TRASH, true),
        sys::DDI_UMEM_PAGEABLE => (sys::KMEM_PAGEABLE, false),
        _ => (sys::KMEM_NON_PAGEABLE, false),
    };
    let (addr, first, stride) = machine(|m| {
        m.next += 1;
        let n = m.next as u64;
        (if trash { 0 } else { 0xffff_ff00_0000_0000 + n * 0x1000_0000 }, 0x1000 + n * 0x400, m.stride)
    });
    if !trash {
        let mut ptes = kernel_hat().ptes.lock().unwrap();
        for page in 0..size as u64 / PAGE {
            let pte = Pte { pfn: first + page * stride, prot: 3, attr: 0 };
            assert!(pte.pfn < DEVICE);
            ptes.insert(addr + page * PAGE, pte);
        }
    }
    // SAFETY: numbers, null pointers and absent callbacks: zero is a value of each.
    let mut cookie: sys::ddi_umem_cookie = unsafe { std::mem::zeroed() };
    (cookie.size, cookie.cvaddr, cookie.type_) = (size, pointer(addr), kind as u32);
    if machine(|m| m.other_cookies) {
        cookie.size = 0;
    }
    let cookie = Box::into_raw(Box::new(cookie));
    machine(|m| m.cookies.insert(cookie.addr(), addr));
    // SAFETY: as ddi_umem_alloc(9F).
    unsafe { *cookiep = cookie.cast() };
    pointer(addr)
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_umem_free(cookie: sys::ddi_umem_cookie_t) {
    if cookie.is_null() {
        return;
    }
    assert!(machine(|m| m.cookies.remove(&cookie.addr())).is_some(), "memory is freed that is not there");
    // SAFETY: as ddi_umem_free(9F); made by Box::into_raw.
    drop(unsafe { Box::from_raw(cookie.cast::<sys::ddi_umem_cookie>()) });
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_dev_regsize(
    dip: *mut sys::dev_info_t,
    rnumber: sys::uint_t,
    size: *mut sys::off_t,
) -> c_int {
    match machine(|m| m.registers.get(&(dip.addr(), rnumber)).copied()) {
        Some((_, len)) => {
            // SAFETY: as ddi_dev_regsize(9F).
            unsafe { *size = len as i64 };
            sys::DDI_SUCCESS
        }
        None => sys::DDI_FAILURE,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_regs_map_setup(
    dip: *mut sys::dev_info_t,
    rnumber: sys::uint_t,
    addrp: *mut sys::caddr_t,
    off: sys::offset_t,
    len: sys::offset_t,
    _attributes: *mut sys::ddi_device_acc_attr_t,
    handle: *mut sys::ddi_acc_handle_t,
) -> c_int {
    let Some((pfn, size)) = machine(|m| m.registers.get(&(dip.addr(), rnumber)).copied()) else {
        return sys::DDI_FAILURE;
    };
    assert!(off as u64 + len as u64 <= size && len as u64 <= PAGE, "more is mapped than is needed");
    let addr = 0xffff_fe00_0000_0000
        + machine(|m| {
            m.mapped += 1;
            m.mapped as u64
        }) * PAGE;
    kernel_hat().ptes.lock().unwrap().insert(addr, Pte { pfn: pfn + off as u64 / PAGE, prot: 3, attr: 0 });
    // SAFETY: as ddi_regs_map_setup(9F).
    unsafe { *addrp = pointer(addr) };
    // SAFETY: as above.
    unsafe { *handle = pointer(addr) };
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_regs_map_free(handle: *mut sys::ddi_acc_handle_t) {
    // SAFETY: as ddi_regs_map_free(9F).
    let addr = number(unsafe { *handle });
    kernel_hat().ptes.lock().unwrap().remove(&addr);
    machine(|m| m.mapped -= 1);
}

/// The vnode of a device.
pub struct Vnode {
    pub references: u64,
    /// Pages of it that are mapped.
    pub pages: u64,
    pub open: bool,
    pub closes: u32,
}

/// A process has the device open.
pub fn open(dev: u64) {
    let vnode = Box::new(Vnode { references: 0, pages: 0, open: true, closes: 0 });
    machine(|m| {
        m.vnodes.entry(dev).or_insert_with(move || Box::into_raw(vnode).expose_provenance());
    });
}

/// Does something with a device's vnode.
pub fn vnode<R>(dev: u64, f: impl FnOnce(&mut Vnode) -> R) -> R {
    machine(|m| {
        // SAFETY: boxed above, and the machine's lock is held.
        f(unsafe { &mut *pointer::<Vnode>(m.vnodes[&dev] as u64) })
    })
}

/// The last close(2): close(9E) if nothing is mapped.
pub fn close(dev: u64) {
    vnode(dev, |v| {
        v.open = false;
        v.closes += u32::from(v.pages == 0);
    });
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn specfind(dev: sys::dev_t, ty: sys::vtype_t) -> *mut sys::vnode {
    assert_eq!(ty, sys::VCHR);
    machine(|m| {
        let vnode: *mut Vnode = m.vnodes.get(&dev).map_or(null_mut(), |v| pointer(*v as u64));
        if !vnode.is_null() {
            // SAFETY: boxed above, and the machine's lock is held.
            unsafe { (*vnode).references += 1 };
        }
        vnode.cast()
    })
}

fn change(vnode: *mut sys::vnode, f: impl FnOnce(&mut Vnode)) {
    // SAFETY: boxed above, and the machine's lock is held.
    machine(|_| f(unsafe { &mut *vnode.cast::<Vnode>() }));
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn vn_rele(vnode: *mut sys::vnode) {
    change(vnode, |v| {
        v.references = v.references.checked_sub(1).expect("a vnode is released that is not held")
    });
}

#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
unsafe extern "C-unwind" fn fop_addmap(
    vnode: *mut sys::vnode,
    _off: sys::offset_t,
    space: *mut sys::as_,
    _addr: sys::caddr_t,
    len: usize,
    _prot: u8,
    _maxprot: u8,
    _flags: sys::uint_t,
    _cred: *mut sys::cred,
    _context: *mut sys::caller_context_t,
) -> c_int {
    assert!(super::writes(space.cast()), "the address space is not locked as writer");
    change(vnode, |v| v.pages += len as u64 / PAGE);
    0
}

#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
unsafe extern "C-unwind" fn fop_delmap(
    vnode: *mut sys::vnode,
    _off: sys::offset_t,
    space: *mut sys::as_,
    _addr: sys::caddr_t,
    len: usize,
    _prot: sys::uint_t,
    _maxprot: sys::uint_t,
    _flags: sys::uint_t,
    _cred: *mut sys::cred,
    _context: *mut sys::caller_context_t,
) -> c_int {
    assert!(super::writes(space.cast()), "the address space is not locked as writer");
    change(vnode, |v| {
        v.pages = v.pages.checked_sub(len as u64 / PAGE).expect("more pages go than were mapped");
        v.closes += u32::from(v.pages == 0 && !v.open);
    });
    0
}

type Mmap = unsafe extern "C-unwind" fn(sys::dev_t, sys::off_t, c_int) -> c_int;

/// nodev(9F) as an entry point for mmap(9E), the way that C drivers write it.
pub fn nodev_entry() -> Option<Mmap> {
    // SAFETY: the function takes no notice of its arguments and returns an int.
    Some(unsafe { std::mem::transmute::<unsafe extern "C-unwind" fn() -> c_int, Mmap>(nodev) })
}

/// A kernel whose operations are in this order, by the names that they have in `struct seg_ops`.
pub fn set_operations(inherit_at: usize) {
    let table = std::array::from_fn(|n| {
        let absent = seg_inherit_notsup as *const () as usize;
        if n == inherit_at { absent } else { absent + 1 + n }
    });
    // SAFETY: tests run one after the other.
    unsafe { segdev_ops = table };
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn seg_inherit_notsup(
    _seg: *mut sys::seg,
    _addr: sys::caddr_t,
    _len: usize,
    _behaviour: sys::uint_t,
) -> c_int {
    sys::ENOTSUP
}

/// What was warned of last.
pub fn warned() -> Option<String> {
    machine(|m| m.warning.take())
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn cmn_err(
    level: c_int,
    format: *const std::ffi::c_char,
    what: *const std::ffi::c_char,
) {
    assert_eq!(level, sys::CE_WARN);
    // SAFETY: as cmn_err(9F): a string, and here always another.
    let [format, what] =
        [format, what].map(|text| unsafe { std::ffi::CStr::from_ptr(text) }.to_string_lossy());
    machine(|m| m.warning = Some(format.replace("%s", &what)));
}
