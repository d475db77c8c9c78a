//! Vnodes that drivers make to give processes pages of their own choice (physmem): vn_alloc, vn_make_ops, and mappings of them with
//! as_map(segvn_create).
//!
//! A vnode's operations that the host calls are getpage, addmap, delmap and inactive. A page is looked for at each access that has no
//! translation. Locking: one leaf mutex protects the tables of vnodes and operations; it is not held while driver code runs. A vnode's reference count is
//! changed with its own `v_lock`, as drivers do.

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use ddi_process::physmem::PAGE_SIZE;
use ddi_sys::{cred_t, fs_operation_def, kmutex_t, page, vnode_t, vnodeops_t};
use parking_lot::Mutex;
use segdev::Pfn;

use super::args::{Argument, Memory, Out, Text, Word};
use super::{pages, sync};
use crate::board::report;
use crate::kern::image::Image;
use crate::vm::client;
use crate::vm::umem::Pager;

/// Offset of `v_pages`, a vnode's list of pages.
pub(crate) const V_PAGES: usize = std::mem::offset_of!(ddi_sys::behind_vnode, v_pages);
const V_COUNT: usize = std::mem::offset_of!(ddi_sys::behind_vnode, v_count);
const V_OP: usize = std::mem::offset_of!(ddi_sys::behind_vnode, v_op);
use ddi_sys::{EFAULT, EINVAL, ENOSYS};

/// A `struct vnode`, with room for what later kernels added.
type VnodeImage = Image<{ size_of::<ddi_sys::behind_vnode>() }>;

/// State of this file.
struct State {
    /// Vnodes by address.
    vnodes: LazyLock<Mutex<HashMap<usize, Box<VnodeImage>>>>,
    /// Operations by the address of their handle: names to functions.
    ops: LazyLock<Mutex<HashMap<usize, HashMap<String, usize>>>>,
}

static STATE: State = State { vnodes: LazyLock::new(Mutex::default), ops: LazyLock::new(Mutex::default) };
/// An operation of a vnode.
trait Operation: Copy {
    /// The name of the operation.
    const NAME: &str;

    /// Returns the function at an address.
    ///
    /// # Safety
    /// A driver's function for this operation.
    unsafe fn of(at: usize) -> Self;
}

/// Defines the types of operations.
macro_rules! operations {
    ($($type:ident $name:literal fn($($arg:ty),* $(,)?) $(-> $ret:ty)?;)*) => { $(
        #[derive(Clone, Copy)]
        struct $type(unsafe extern "C-unwind" fn($($arg),*) $(-> $ret)?);

        impl Operation for $type {
            const NAME: &str = $name;

            unsafe fn of(at: usize) -> Self {
                // SAFETY: the caller's promise.
                $type(unsafe { std::mem::transmute::<usize, unsafe extern "C-unwind" fn($($arg),*) $(-> $ret)?>(at) })
            }
        }
    )* };
}

operations! {
    Getpage "getpage" fn(
        *mut c_void, i64, usize, *mut c_uint, *mut *mut page, usize, *mut c_void, *mut c_char, c_int, *mut cred_t, *mut c_void,
    ) -> c_int;
    Addmap "addmap" fn(
        *mut c_void, i64, *mut c_void, *mut c_char, usize, u8, u8, c_uint, *mut cred_t, *mut c_void,
    ) -> c_int;
    Delmap "delmap" fn(
        *mut c_void, i64, *mut c_void, *mut c_char, usize, c_uint, c_uint, c_uint, *mut cred_t, *mut c_void,
    ) -> c_int;
    Inactive "inactive" fn(*mut c_void, *mut cred_t, *mut c_void);
}

/// One element of a driver's template of operations: the name and the function.
#[repr(C)]
#[derive(Clone, Copy)]
struct Definition {
    name: *const c_char,
    function: usize,
}

/// A vnode.
///
/// # Invariants
/// The address of a `struct vnode` that is there as long as this value is used: of a driver's argument until the function returns, of one that is kept as long as
/// it is held. It begins with its lock; drivers change it at any time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vnode(usize);

impl Argument for Vnode {
    type C = *mut ddi_sys::vnode;

    unsafe fn of(c: *mut ddi_sys::vnode) -> Self {
        Vnode(c as usize)
    }
}

impl Vnode {
    fn word(&self, offset: usize) -> &AtomicUsize {
        // SAFETY: the invariant; the offset is one of the constants above.
        unsafe { AtomicUsize::from_ptr((self.0 + offset) as *mut usize) }
    }

    /// `v_pages`, the list of its pages.
    pub(super) fn pages(&self) -> &AtomicUsize {
        self.word(V_PAGES)
    }

    /// Returns the address.
    pub(super) fn address(self) -> usize {
        self.0
    }

    fn references(&self) -> &AtomicU32 {
        // SAFETY: the invariant.
        unsafe { AtomicU32::from_ptr((self.0 + V_COUNT) as *mut u32) }
    }

    /// Returns the driver's function for an operation.
    fn operation<O: Operation>(&self) -> Option<O> {
        let at = STATE.ops.lock().get(&self.word(V_OP).load(Ordering::Relaxed))?.get(O::NAME).copied()?;
        // SAFETY: the driver's promise: what vn_make_ops was given under this name.
        Some(unsafe { O::of(at) })
    }

    /// Changes its reference count under its lock; the new count.
    fn count(&self, change: i32) -> u32 {
        // SAFETY: a vnode begins with its lock.
        let lock: Word<'_, kmutex_t> = unsafe { Argument::of(self.0 as *mut kmutex_t) };
        sync::enter(lock);
        let new = self.references().load(Ordering::Relaxed).wrapping_add_signed(change);
        if new > 0 {
            self.references().store(new, Ordering::Relaxed);
        }
        sync::exit(lock);
        new
    }

    /// Takes a reference back; the last one makes the vnode inactive.
    fn release(self) {
        if self.count(-1) > 0 {
            return;
        }
        let Some(Inactive(f)) = self.operation() else { return };
        // SAFETY: a live vnode that nobody else refers to.
        unsafe { f(self.0 as *mut c_void, cred(), null_mut()) };
    }
}

fn cred() -> *mut cred_t {
    client::current().map_or(null_mut(), |c| c.image().cred() as *mut cred_t)
}

/// A vnode that is mapped.
#[derive(Debug)]
pub struct VnodePages {
    vnode: Vnode,
    /// as_map has succeeded: VOP_DELMAP is called when the mapping is removed.
    live: AtomicBool,
    /// Offset in the vnode of the mapping's first byte.
    base: u64,
    /// Bytes.
    len: u64,
}

impl VnodePages {
    /// Mapped from `base` on; the vnode is held.
    pub(crate) fn new(vnode: usize, base: u64, len: u64) -> Option<Arc<Self>> {
        if !STATE.vnodes.lock().contains_key(&vnode) {
            return None;
        }
        let pages = Arc::new(VnodePages { vnode: Vnode(vnode), live: AtomicBool::new(false), base, len });
        pages.hold();
        Some(pages)
    }

    /// The mapping is made.
    pub(crate) fn live(&self) {
        self.live.store(true, Ordering::Relaxed);
    }

    /// Takes the hold of a mapping back that was not made: the vnode stays its driver's.
    pub(crate) fn give_up(&self) {
        self.vnode.count(-1);
    }
}

impl Pager for VnodePages {
    fn size(&self) -> u64 {
        self.len
    }

    fn frame(&self, off: u64) -> Option<Pfn> {
        let found = pages::find(self.vnode.address(), self.base + off / PAGE_SIZE * PAGE_SIZE)?;
        crate::vm::frames::frame(found)
    }

    fn hold(&self) {
        self.vnode.count(1);
    }

    fn is_live(&self) -> bool {
        self.live.load(Ordering::Relaxed)
    }

    fn release(&self) {
        self.vnode.release();
    }

    fn getpage(&self, off: u64, address: u64, rw: c_int) -> c_int {
        let Some(Getpage(f)) = self.vnode.operation() else { return ENOSYS };
        let (mut prot, mut list) = (0, [null_mut::<page>(); 2]);
        let (vp, at) = (self.vnode.address() as *mut c_void, address as *mut c_char);
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
        pages::release(list[0]);
        0
    }

    fn addmap(&self, off: u64, space: usize, address: u64, len: u64, prot: u8) -> c_int {
        addmap(self.vnode, off, space, address, len, prot)
    }

    fn delmap(&self, off: u64, space: usize, address: u64, len: u64) {
        delmap(self.vnode, off, space, address, len);
    }
}

/// Calls a driver's addmap operation for a new mapping. Returns 0 or an errno.
pub(crate) fn addmap(vnode: Vnode, off: u64, space: usize, address: u64, len: u64, prot: u8) -> c_int {
    let Some(Addmap(f)) = vnode.operation() else { return 0 };
    let (vp, space) = (vnode.address() as *mut c_void, space as *mut c_void);
    let at = address as *mut c_char;
    // SAFETY: a live vnode and an address space.
    unsafe { f(vp, off as i64, space, at, len as usize, prot, prot, 1, cred(), null_mut()) }
}

/// Calls a driver's delmap operation for a mapping that is being removed.
pub(crate) fn delmap(vnode: Vnode, off: u64, space: usize, address: u64, len: u64) {
    let Some(Delmap(f)) = vnode.operation() else { return };
    let (vp, space) = (vnode.address() as *mut c_void, space as *mut c_void);
    let at = address as *mut c_char;
    // SAFETY: a live vnode and an address space.
    unsafe { f(vp, off as i64, space, at, len as usize, 7, 7, 1, cred(), null_mut()) };
}

/// A device's vnode ([`crate::vm::behind`]), with one reference more.
pub(crate) fn held(vnode: usize) -> usize {
    // Vnodes of devices stay.
    Vnode(vnode).count(1);
    vnode
}

ddi! {
    /// vn_alloc: a vnode with one reference.
    fn vn_alloc(_flags: c_int) -> *mut vnode_t {
        let image: Box<VnodeImage> = Image::new();
        let address = image.address();
        image.set32(V_COUNT, 1);
        STATE.vnodes.lock().insert(address, image);
        address as *mut vnode_t
    }
    /// vn_free.
    fn vn_free(vnode: *mut vnode_t) {
        if STATE.vnodes.lock().remove(&(vnode as usize)).is_none() {
            report::mistake(NAME, &format!("{vnode:p} is not a vnode, or it has been freed"), NAME);
        }
    }
    /// vn_reinit: as new.
    fn vn_reinit(vnode: Memory<vnode_t>) {
        vnode.sized(size_of::<VnodeImage>()).fill(0);
        vnode.cast::<u32>().set_element(V_COUNT / 4, 1);
    }
    /// vn_rele: the last reference makes the vnode inactive.
    fn vn_rele(vnode: Vnode) {
        vnode.release();
    }
    /// vn_setops.
    fn vn_setops(vnode: Vnode, ops: *mut vnodeops_t) {
        vnode.word(V_OP).store(ops as usize, Ordering::Relaxed);
    }
    /// vn_getops.
    fn vn_getops(vnode: Vnode) -> *mut vnodeops_t {
        vnode.word(V_OP).load(Ordering::Relaxed) as *mut vnodeops_t
    }
    /// vn_make_ops: operations by name, of a template that ends with NULL.
    fn vn_make_ops(_name: *const c_char, template: Memory<fs_operation_def, *const fs_operation_def>, to: Out<*mut vnodeops_t>) -> c_int {
        if template.is_null() || to.is_null() {
            return EINVAL;
        }
        let template = template.cast::<Definition>();
        let definitions = (0..).map(|i| template.element(i)).take_while(|definition| !definition.name.is_null());
        let mut table = HashMap::new();
        for definition in definitions {
            // SAFETY: the driver's promise: a string.
            let name: Text<'_> = unsafe { Argument::of(definition.name) };
            table.insert(name.text(), definition.function);
        }
        let handle = Box::into_raw(Box::new([0u64; 64])) as usize;
        STATE.ops.lock().insert(handle, table);
        to.put(handle as *mut vnodeops_t);
        0
    }
    /// vn_freevnodeops.
    fn vn_freevnodeops(ops: *mut vnodeops_t) {
        if STATE.ops.lock().remove(&(ops as usize)).is_none() {
            return report::mistake(NAME, &format!("{ops:p} is not of vn_make_ops"), NAME);
        }
        // SAFETY: made by vn_make_ops, given back now.
        drop(unsafe { Box::from_raw(ops.cast::<[u64; 64]>()) });
    }
}
