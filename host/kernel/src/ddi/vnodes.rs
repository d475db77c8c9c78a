//! Vnodes that drivers make to give processes pages of their own choice (physmem): vn_alloc, vn_make_ops, and mappings of them with
//! as_map(segvn_create).
//!
//! A vnode's operations that the host calls are getpage, addmap, delmap and inactive. A page is looked for at each access that has no
//! translation. Locking: one leaf mutex round the tables of vnodes and operations, not held while driver code runs. A vnode's reference count is
//! changed with its own `v_lock`, as drivers do.

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use ddi_process::physmem::PAGE_SIZE;
use ddi_sys::{cred_t, kmutex_t, page};
use parking_lot::Mutex;
use segdev::Pfn;

use super::{bytes, pages, sync};
use crate::board::report;
use crate::kern::image::Image;
use crate::vm::client;
use crate::vm::umem::Pager;

/// Offset of `v_pages`, a vnode's list of pages.
pub(crate) const V_PAGES: usize = 72;
const V_COUNT: usize = 12;
const V_OP: usize = 64;
use ddi_sys::{EFAULT, EINVAL, ENOSYS};

/// A `struct vnode`, with room for what later kernels added.
type VnodeImage = Image<256>;

/// Vnodes by address.
static VNODES: LazyLock<Mutex<HashMap<usize, Box<VnodeImage>>>> = LazyLock::new(Mutex::default);
/// Operations by the address of their handle: names to functions.
static OPS: LazyLock<Mutex<HashMap<usize, HashMap<String, usize>>>> = LazyLock::new(Mutex::default);

type Getpage = unsafe extern "C-unwind" fn(
    *mut c_void,
    i64,
    usize,
    *mut c_uint,
    *mut *mut page,
    usize,
    *mut c_void,
    *mut c_char,
    c_int,
    *mut cred_t,
    *mut c_void,
) -> c_int;
type Addmap = unsafe extern "C-unwind" fn(
    *mut c_void,
    i64,
    *mut c_void,
    *mut c_char,
    usize,
    u8,
    u8,
    c_uint,
    *mut cred_t,
    *mut c_void,
) -> c_int;
type Delmap = unsafe extern "C-unwind" fn(
    *mut c_void,
    i64,
    *mut c_void,
    *mut c_char,
    usize,
    c_uint,
    c_uint,
    c_uint,
    *mut cred_t,
    *mut c_void,
) -> c_int;
type Inactive = unsafe extern "C-unwind" fn(*mut c_void, *mut cred_t, *mut c_void);

/// One element of a driver's template of operations: the name and the function.
#[repr(C)]
struct Definition {
    name: *const c_char,
    function: usize,
}

/// The vnode's function of this name.
fn operation(vnode: usize, name: &str) -> Option<usize> {
    // SAFETY: the caller has a live vnode.
    let ops = unsafe { ((vnode + V_OP) as *const usize).read() };
    OPS.lock().get(&ops)?.get(name).copied()
}

fn cred() -> *mut cred_t {
    client::current().map_or(null_mut(), |c| c.image().cred() as *mut cred_t)
}

/// Changes a vnode's reference count under its lock; the new count.
///
/// # Safety
/// `vnode` is live.
unsafe fn count(vnode: usize, change: i32) -> u32 {
    let lock = vnode as *mut kmutex_t;
    let at = (vnode + V_COUNT) as *mut u32;
    // SAFETY: a vnode begins with its lock.
    unsafe { sync::mutex_enter(lock) };
    // SAFETY: the caller's promise, under the vnode's lock.
    let new = unsafe { at.read() }.wrapping_add_signed(change);
    if new > 0 {
        // SAFETY: as above.
        unsafe { at.write(new) };
    }
    // SAFETY: as above.
    unsafe { sync::mutex_exit(lock) };
    new
}

/// What a mapping of a vnode maps.
#[derive(Debug)]
pub struct VnodePages {
    vnode: usize,
    /// as_map has succeeded: the vnode is told when the mapping goes.
    live: AtomicBool,
    /// Offset in the vnode of the mapping's first byte.
    base: u64,
    /// Bytes.
    len: u64,
}

impl VnodePages {
    /// Mapped from `base` on; the vnode is held.
    pub(crate) fn new(vnode: usize, base: u64, len: u64) -> Option<Arc<Self>> {
        if !VNODES.lock().contains_key(&vnode) {
            return None;
        }
        let pages = Arc::new(VnodePages { vnode, live: AtomicBool::new(false), base, len });
        pages.hold();
        Some(pages)
    }

    /// The mapping is made.
    pub(crate) fn live(&self) {
        self.live.store(true, Ordering::Relaxed);
    }

    /// Takes the hold of a mapping back that was not made: the vnode stays its driver's.
    pub(crate) fn give_up(&self) {
        // SAFETY: the hold of `new`; the driver has another.
        unsafe { count(self.vnode, -1) };
    }
}

impl Pager for VnodePages {
    fn size(&self) -> u64 {
        self.len
    }

    fn frame(&self, off: u64) -> Option<Pfn> {
        let found = pages::find(self.vnode, self.base + off / PAGE_SIZE * PAGE_SIZE)?;
        crate::vm::frames::frame(found)
    }

    fn hold(&self) {
        // SAFETY: held by this value already, or live by the lookup in `new`.
        unsafe { count(self.vnode, 1) };
    }

    fn is_live(&self) -> bool {
        self.live.load(Ordering::Relaxed)
    }

    fn release(&self) {
        // SAFETY: a hold of `hold`.
        unsafe { vn_rele(self.vnode as *mut ddi_sys::vnode) };
    }

    fn getpage(&self, off: u64, address: u64, rw: c_int) -> c_int {
        let Some(f) = operation(self.vnode, "getpage") else { return ENOSYS };
        // SAFETY: the driver's getpage operation.
        let f = unsafe { std::mem::transmute::<usize, Getpage>(f) };
        let (mut prot, mut list) = (0, [null_mut::<page>(); 2]);
        let (vp, at) = (self.vnode as *mut c_void, address as *mut c_char);
        // SAFETY: one page, with room for it and the end of the list.
        let error = unsafe {
            let (to, size) = (list.as_mut_ptr(), PAGE_SIZE as usize);
            f(vp, off as i64, size, &mut prot, to, size, null_mut(), at, rw, cred(), null_mut())
        };
        if error != 0 {
            return error;
        }
        if list[0].is_null() {
            return EFAULT;
        }
        // The page stays the vnode's; its lock was only for us.
        // SAFETY: the page that getpage gave, locked.
        unsafe { pages::page_unlock(list[0]) };
        0
    }

    fn addmap(&self, off: u64, space: usize, address: u64, len: u64, prot: u8) -> c_int {
        addmap(self.vnode, off, space, address, len, prot)
    }

    fn delmap(&self, off: u64, space: usize, address: u64, len: u64) {
        delmap(self.vnode, off, space, address, len);
    }
}

/// Tells a driver's vnode of a new mapping: 0 or an errno.
pub(crate) fn addmap(vnode: usize, off: u64, space: usize, address: u64, len: u64, prot: u8) -> c_int {
    let Some(f) = operation(vnode, "addmap") else { return 0 };
    // SAFETY: the driver's addmap operation.
    let f = unsafe { std::mem::transmute::<usize, Addmap>(f) };
    let (vp, space) = (vnode as *mut c_void, space as *mut c_void);
    let at = address as *mut c_char;
    // SAFETY: a live vnode and an address space.
    unsafe { f(vp, off as i64, space, at, len as usize, prot, prot, 1, cred(), null_mut()) }
}

/// Tells a driver's vnode that a mapping goes.
pub(crate) fn delmap(vnode: usize, off: u64, space: usize, address: u64, len: u64) {
    let Some(f) = operation(vnode, "delmap") else { return };
    // SAFETY: the driver's delmap operation.
    let f = unsafe { std::mem::transmute::<usize, Delmap>(f) };
    let (vp, space) = (vnode as *mut c_void, space as *mut c_void);
    let at = address as *mut c_char;
    // SAFETY: a live vnode and an address space.
    unsafe { f(vp, off as i64, space, at, len as usize, 7, 7, 1, cred(), null_mut()) };
}

/// A device's vnode ([`crate::vm::behind`]), with one reference more.
pub(crate) fn held(vnode: usize) -> usize {
    // SAFETY: vnodes of devices stay.
    unsafe { count(vnode, 1) };
    vnode
}

ddi! {
    /// vn_alloc: a vnode with one reference.
    @private fn vn_alloc(_flags: c_int) -> *mut c_void {
        let image: Box<VnodeImage> = Image::new();
        let address = image.address();
        image.set32(V_COUNT, 1);
        VNODES.lock().insert(address, image);
        address as *mut c_void
    }
    /// vn_free.
    @private fn vn_free(vnode: *mut c_void) {
        if VNODES.lock().remove(&(vnode as usize)).is_none() {
            report::mistake("vn_free", &format!("{vnode:p} is not a vnode, or it has been freed"), "vn_free");
        }
    }
    /// vn_reinit: as new.
    @private fn vn_reinit(vnode: *mut c_void) {
        // SAFETY: the driver's promise: a vnode.
        unsafe { vnode.cast::<u8>().write_bytes(0, 256) };
        // SAFETY: as above.
        unsafe { ((vnode as usize + V_COUNT) as *mut u32).write(1) };
    }
    /// vn_rele: the last reference makes the vnode inactive.
    fn vn_rele(vnode: *mut ddi_sys::vnode) {
        let vnode = vnode.cast::<c_void>();
        // SAFETY: the driver's promise: a reference of its own.
        if unsafe { count(vnode as usize, -1) } > 0 {
            return;
        }
        let Some(f) = operation(vnode as usize, "inactive") else { return };
        // SAFETY: the driver's inactive operation.
        let f = unsafe { std::mem::transmute::<usize, Inactive>(f) };
        // SAFETY: a live vnode that nobody else refers to.
        unsafe { f(vnode, cred(), null_mut()) };
    }
    /// vn_setops.
    @private fn vn_setops(vnode: *mut c_void, ops: *mut c_void) {
        // SAFETY: the driver's promise.
        unsafe { ((vnode as usize + V_OP) as *mut usize).write(ops as usize) };
    }
    /// vn_getops.
    @private fn vn_getops(vnode: *mut c_void) -> *mut c_void {
        // SAFETY: the driver's promise.
        unsafe { ((vnode as usize + V_OP) as *const usize).read() as *mut c_void }
    }
    /// vn_make_ops: operations by name, of a template that ends with NULL.
    @private fn vn_make_ops(_name: *const c_char, template: *const c_void, to: *mut *mut c_void) -> c_int {
        let mut table = HashMap::new();
        let mut at = template.cast::<Definition>();
        if at.is_null() || to.is_null() {
            return EINVAL;
        }
        loop {
            // SAFETY: the driver's template, up to its end.
            let definition = unsafe { at.read() };
            if definition.name.is_null() {
                break;
            }
            // SAFETY: the driver's promise.
            let name = unsafe { bytes(definition.name) };
            table.insert(String::from_utf8_lossy(name).into_owned(), definition.function);
            at = at.wrapping_add(1);
        }
        let handle = Box::into_raw(Box::new([0u64; 64])) as usize;
        OPS.lock().insert(handle, table);
        // SAFETY: the driver's promise.
        unsafe { to.write(handle as *mut c_void) };
        0
    }
    /// vn_freevnodeops.
    @private fn vn_freevnodeops(ops: *mut c_void) {
        if OPS.lock().remove(&(ops as usize)).is_none() {
            return report::mistake("vn_freevnodeops", &format!("{ops:p} is not of vn_make_ops"), "vn_freevnodeops");
        }
        // SAFETY: made by vn_make_ops, given back now.
        drop(unsafe { Box::from_raw(ops.cast::<[u64; 64]>()) });
    }
}
