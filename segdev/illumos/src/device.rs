//! Device nodes: a driver's entry points, its registers, and the vnode that keeps a mapped device open.

use alloc::sync::Arc;
use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use ddi_sys as sys;
use segdev::{Access, Entries, Framework, Handle, Pfn, Unmap, page_floor};

use crate::held::{hold, hold_both};
use crate::lock::Mutex;
use crate::memory::kernel_page;
use crate::platform::Kernel;
use crate::space::address;

/// Data of a segment.
pub struct SegmentData {
    pub(crate) vnode: Vnode,
    /// Protections are changed with the address space locked as reader only: one change at a time.
    pub(crate) changing: Mutex<()>,
}

impl Default for SegmentData {
    #[inline(always)]
    fn default() -> Self {
        Self { vnode: Vnode::default(), changing: Mutex::new(()) }
    }
}

/// The vnode of a mapped device, once a segment has one. While one of its mappings exists close(9E) is not called. Each segment has a
/// reference of its own.
///
/// # Invariants
/// NULL, or a vnode that is held; set before others have the segment.
pub struct Vnode(AtomicPtr<sys::vnode>);

impl Default for Vnode {
    #[inline(always)]
    fn default() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }
}

/// The kernel's own credential.
fn credential() -> *mut sys::cred {
    // SAFETY: set when the kernel starts, and never changed.
    unsafe { sys::kcred }
}

impl Vnode {
    /// Holds the vnode of an open or mapped device, for a segment that has none. False if there is no such device.
    #[inline(always)]
    pub(crate) fn hold(&self, dev: sys::dev_t) -> bool {
        // SAFETY: returns a reference of the caller's own, or NULL.
        let vnode = unsafe { sys::specfind(dev, sys::VCHR) };
        self.0.store(vnode, Relaxed);
        !vnode.is_null()
    }

    /// Takes over the vnode that another place has.
    #[inline(always)]
    pub(crate) fn take(&self, mut from: Self) {
        let vnode = core::mem::replace(from.0.get_mut(), ptr::null_mut());
        self.0.store(vnode, Relaxed);
    }

    /// The kernel's name for it.
    #[inline(always)]
    pub fn as_ptr(&self) -> *mut sys::vnode {
        self.0.load(Relaxed)
    }

    /// Counts the pages of a new mapping. Returns 0 or an error number.
    ///
    /// # Safety
    /// The address space exists; there is a vnode.
    #[inline(always)]
    pub(crate) unsafe fn add(&self, space: *mut sys::as_, at: Range) -> i32 {
        let (prot, addr) = (sys::PROT_ALL as u8, address(at.addr));
        // SAFETY: a vnode that is held; the caller's address space.
        unsafe {
            sys::fop_addmap(
                self.as_ptr(),
                at.off as i64,
                space,
                addr,
                at.len as usize,
                prot,
                prot,
                at.flags,
                credential(),
                ptr::null_mut(),
            )
        }
    }

    /// Takes away the pages of a mapping, or of a part of one. May call close(9E).
    ///
    /// # Safety
    /// The address space exists; the pages were counted.
    #[inline(always)]
    pub(crate) unsafe fn remove(&self, space: *mut sys::as_, at: Range) {
        let (prot, addr) = (sys::PROT_ALL, address(at.addr));
        // SAFETY: as in `add`.
        unsafe {
            sys::fop_delmap(
                self.as_ptr(),
                at.off as i64,
                space,
                addr,
                at.len as usize,
                prot,
                prot,
                at.flags,
                credential(),
                ptr::null_mut(),
            )
        };
    }
}

impl Drop for Vnode {
    #[inline(always)]
    fn drop(&mut self) {
        let vnode = *self.0.get_mut();
        if !vnode.is_null() {
            // SAFETY: the reference that `specfind` returned.
            unsafe { sys::vn_rele(vnode) };
        }
    }
}

/// A part of a mapping, as a vnode is told of it.
#[derive(Clone, Copy)]
pub(crate) struct Range {
    pub off: u64,
    pub addr: u64,
    pub len: u64,
    pub flags: u32,
}

/// A device that is mapped, by its number.
#[derive(Clone, Copy)]
pub struct Device(pub(crate) sys::dev_t);

/// Attributes of the mapping by which the address of registers is found.
static ATTRIBUTES: sys::ddi_device_acc_attr = sys::ddi_device_acc_attr {
    devacc_attr_version: sys::DDI_DEVICE_ATTR_V0,
    devacc_attr_endian_flags: sys::DDI_NEVERSWAP_ACC,
    devacc_attr_dataorder: sys::DDI_STRICTORDER_ACC,
    devacc_attr_access: 0,
};

/// The node that a setup or remap call names.
pub(crate) struct Node(pub(crate) *mut sys::dev_info_t);

type Nodev = unsafe extern "C-unwind" fn() -> i32;

/// Whether an entry point is nodev(9F).
#[inline(always)]
fn is_nodev(entry: *const ()) -> bool {
    entry == sys::nodev as Nodev as *const ()
}

/// devmap(9E) of a driver.
pub type Entry = unsafe extern "C-unwind" fn(
    sys::dev_t,
    sys::devmap_cookie_t,
    sys::offset_t,
    usize,
    *mut usize,
    sys::uint_t,
) -> c_int;

impl Device {
    /// The driver's entry points.
    #[inline(always)]
    fn cb_ops(&self) -> Option<&sys::cb_ops> {
        // SAFETY: a calculation.
        let major = unsafe { sys::getmajor(self.0) };
        // SAFETY: the kernel's table of drivers; it is made when the kernel starts.
        let drivers = unsafe { sys::devopsp };
        // SAFETY: it is indexed by major number; the device is open, so its number is in it.
        let ops = unsafe { drivers.add(major as usize) };
        // SAFETY: as above.
        let ops = unsafe { *ops };
        // SAFETY: an open device keeps its driver loaded, and so its tables.
        let ops = unsafe { ops.as_ref() }?;
        // SAFETY: as above.
        unsafe { ops.devo_cb_ops.as_ref() }
    }
}

impl segdev::Device<Kernel> for Device {
    type Entry = Entry;

    #[inline(always)]
    fn dev(&self) -> u64 {
        self.0
    }

    #[inline(always)]
    fn entry(&self) -> Option<Entry> {
        let cb = self.cb_ops()?;
        let devmap = cb.cb_devmap.filter(|devmap| !is_nodev(*devmap as *const ()))?;
        let mappable =
            cb.cb_flag & sys::D_DEVMAP != 0 || cb.cb_mmap.is_some_and(|mmap| !is_nodev(mmap as *const ()));
        mappable.then_some(devmap)
    }

    #[inline(always)]
    fn devmap(
        &self,
        devmap: Entry,
        _fw: &Framework<Kernel>,
        handle: &Arc<Handle<Kernel>>,
        off: u64,
        len: u64,
        model: u32,
    ) -> (i32, u64) {
        let mut maplen = 0;
        // SAFETY: the driver's entry point, with a live handle and arguments as devmap(9E) says.
        let ret = unsafe { devmap(self.0, cookie(handle), off as i64, len as usize, &mut maplen, model) };
        (ret, maplen as u64)
    }
}

impl segdev::Node for Node {
    #[inline(always)]
    fn registers(&self, rnumber: u32, off: u64, len: u64) -> Option<(Pfn, u32)> {
        let mut size = 0;
        // SAFETY: the node that the driver has named, and a place for the size.
        let found = unsafe { sys::ddi_dev_regsize(self.0, rnumber, &mut size) };
        // The first page is in the set, also of a range of no length.
        let end = off.checked_add(len.max(1))?;
        if found != sys::DDI_SUCCESS || end > size.cast_unsigned() {
            return None;
        }
        let first = page_floor(off);
        let (mut addr, mut access) = (ptr::null_mut(), ptr::null_mut());
        let attributes = (&raw const ATTRIBUTES).cast_mut();
        // One byte of the first page is mapped into the kernel for a moment, and asked where that is.
        // SAFETY: as above, with places for the address and the handle; the attributes are only read.
        let mapped = unsafe {
            sys::ddi_regs_map_setup(self.0, rnumber, &mut addr, first as i64, 1, attributes, &mut access)
        };
        if mapped != sys::DDI_SUCCESS {
            return None;
        }
        let pfn = kernel_page(addr);
        // SAFETY: what was set up above.
        unsafe { sys::ddi_regs_map_free(&mut access) };
        (pfn != Pfn::MAX).then_some((pfn, 0))
    }
}

/// A driver's cookie for a handle.
#[inline(always)]
pub(crate) fn cookie(handle: &Arc<Handle<Kernel>>) -> sys::devmap_cookie_t {
    Arc::as_ptr(handle).cast_mut().cast()
}

/// A driver's callback table.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Callbacks(pub(crate) sys::devmap_callback_ctl);

impl PartialEq for Callbacks {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        let (ops, others) = (&self.0, &other.0);
        let address = |entry: Option<*const ()>| entry.map_or(0, <*const ()>::addr);
        let same = |one, other| address(one) == address(other);
        same(ops.devmap_access.map(|f| f as _), others.devmap_access.map(|f| f as _))
            && same(ops.devmap_map.map(|f| f as _), others.devmap_map.map(|f| f as _))
            && same(ops.devmap_dup.map(|f| f as _), others.devmap_dup.map(|f| f as _))
            && same(ops.devmap_unmap.map(|f| f as _), others.devmap_unmap.map(|f| f as _))
    }
}

fn pointer(pvt: usize) -> *mut c_void {
    ptr::with_exposed_provenance_mut(pvt)
}

impl segdev::Callbacks<Kernel> for Callbacks {
    #[inline(always)]
    fn entries(&self) -> Entries {
        Entries {
            map: self.0.devmap_map.is_some(),
            access: self.0.devmap_access.is_some(),
            dup: self.0.devmap_dup.is_some(),
            unmap: self.0.devmap_unmap.is_some(),
        }
    }

    #[inline(always)]
    fn access_id(&self) -> u64 {
        self.0.devmap_access.map_or(0, |f| f as usize as u64)
    }

    #[inline]
    fn map(
        &self,
        _fw: &Framework<Kernel>,
        handle: &Arc<Handle<Kernel>>,
        device: &Device,
        flags: u32,
        off: u64,
        len: u64,
        pvt: &mut usize,
    ) -> i32 {
        let Some(map) = self.0.devmap_map else { return 0 };
        let mut private = pointer(*pvt);
        // SAFETY: the driver's callback, with a live handle and arguments as devmap_map(9E) says.
        let ret = unsafe { map(cookie(handle), device.0, flags, off as i64, len as usize, &mut private) };
        *pvt = private.expose_provenance();
        ret
    }

    #[inline(always)]
    fn access(
        &self,
        _fw: &Framework<Kernel>,
        handle: &Arc<Handle<Kernel>>,
        pvt: usize,
        range: Access,
    ) -> i32 {
        let Some(access) = self.0.devmap_access else { return 0 };
        let (off, len) = (range.off as i64, range.len as usize);
        let _held = hold(handle.space().as_ptr());
        // SAFETY: the driver's callback, with a live handle and arguments as devmap_access(9E) says.
        unsafe { access(cookie(handle), pointer(pvt), off, len, range.ty as u32, range.rw as u32) }
    }

    #[inline]
    fn dup(
        &self,
        _fw: &Framework<Kernel>,
        old: &Arc<Handle<Kernel>>,
        pvt: usize,
        new: &Arc<Handle<Kernel>>,
        newpvt: &mut usize,
    ) -> i32 {
        let Some(dup) = self.0.devmap_dup else { return 0 };
        let mut private = pointer(*newpvt);
        let held = hold_both(old.space().as_ptr(), new.space().as_ptr());
        // SAFETY: the driver's callback, with two live handles and arguments as devmap_dup(9E) says.
        let ret = unsafe { dup(cookie(old), pointer(pvt), cookie(new), &mut private) };
        drop(held);
        *newpvt = private.expose_provenance();
        ret
    }

    #[inline(always)]
    fn unmap_whole(&self, _fw: &Framework<Kernel>, handle: &Arc<Handle<Kernel>>, space_locked: bool) {
        let Some(unmap) = self.0.devmap_unmap else { return };
        let this: &Handle<Kernel> = handle;
        let _held = if space_locked { Some(hold(this.space().as_ptr())) } else { None };
        let (mut none1, mut none2) = (ptr::null_mut(), ptr::null_mut());
        let (pvt, off, len) = (pointer(this.pvt()), this.off() as i64, this.len() as usize);
        // SAFETY: the driver's callback, with a live handle and arguments as devmap_unmap(9E) says.
        unsafe {
            unmap(
                ptr::from_ref(this).cast_mut().cast(),
                pvt,
                off,
                len,
                ptr::null_mut(),
                &mut none1,
                ptr::null_mut(),
                &mut none2,
            );
        }
    }

    #[inline(always)]
    fn unmap_part(&self, _fw: &Framework<Kernel>, handle: &Arc<Handle<Kernel>>, cut: &mut Unmap<'_, Kernel>) {
        let Some(unmap) = self.0.devmap_unmap else { return };
        let held = hold(handle.space().as_ptr());
        let handle1 = cut.before.map_or(ptr::null_mut(), cookie);
        let handle2 = cut.behind.map_or(ptr::null_mut(), cookie);
        let (mut private1, mut private2) = (pointer(cut.pvts[0]), pointer(cut.pvts[1]));
        let (off, len) = (cut.off as i64, cut.len as usize);
        let pvt = pointer(handle.pvt());
        // SAFETY: the driver's callback, with live handles and arguments as devmap_unmap(9E) says.
        unsafe { unmap(cookie(handle), pvt, off, len, handle1, &mut private1, handle2, &mut private2) };
        drop(held);
        cut.pvts = [private1.expose_provenance(), private2.expose_provenance()];
    }
}
