//! Device nodes: a driver's entry points, its registers, and the vnode that keeps a mapped device open.

use alloc::sync::Arc;
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use ddi_sys as sys;
use segdev::{Access, Entries, Framework, Handle, PAGE_SIZE, Pfn, Unmap, page_floor};

use crate::held::holding;
use crate::lock::Mutex;
use crate::memory::kernel_page;
use crate::platform::Kernel;
use crate::space::address;

/// Data of a handle: the node for which the driver has set it up, and, in the lowest bit of its address, whether the handle's mapping has entered
/// its address space.
#[derive(Default)]
pub struct HandleData(AtomicPtr<sys::dev_info_t>);

impl HandleData {
    /// The driver sets the handle up for this node.
    pub(crate) fn set(&self, dip: *mut sys::dev_info_t) {
        self.0.store(dip, Relaxed);
    }

    pub(crate) fn get(&self) -> *mut sys::dev_info_t {
        self.0.load(Relaxed).map_addr(|addr| addr & !1)
    }

    /// The mapping is in its address space.
    #[inline]
    pub(crate) fn enter(&self) {
        self.0.store(self.0.load(Relaxed).map_addr(|addr| addr | 1), Relaxed);
    }

    /// Whether the mapping has entered its address space, which keeps it locked for an unmap callback then.
    pub(crate) fn entered(&self) -> bool {
        self.0.load(Relaxed).addr() & 1 != 0
    }

    /// Takes over what is known of another handle, of which this one is a copy.
    pub(crate) fn copy(&self, from: &Self) {
        self.0.store(from.0.load(Relaxed), Relaxed);
    }
}

/// Data of a segment.
#[derive(Default)]
pub struct SegmentData {
    /// Keeps the device open; there once the segment is complete.
    pub(crate) vnode: Option<Arc<Vnode>>,
    /// Protections are changed with the address space locked as reader only: one change at a time.
    pub(crate) changing: Mutex<()>,
}

/// The vnode of a mapped device. While one of its mappings exists close(9E) is not called.
pub struct Vnode(*mut sys::vnode);

// SAFETY: only a name; the kernel's functions synchronise what it points to.
unsafe impl Send for Vnode {}
// SAFETY: as above.
unsafe impl Sync for Vnode {}

/// The kernel's own credential.
fn credential() -> *mut sys::cred {
    // SAFETY: set when the kernel starts, and never changed.
    unsafe { sys::kcred }
}

impl Vnode {
    /// The vnode of an open device.
    pub(crate) fn of(dev: sys::dev_t) -> Option<Arc<Self>> {
        // SAFETY: returns a reference of the caller's own, or NULL.
        let vnode = unsafe { sys::specfind(dev, sys::VCHR) };
        (!vnode.is_null()).then(|| Arc::new(Self(vnode)))
    }

    /// The kernel's name for it.
    pub fn as_ptr(&self) -> *mut sys::vnode {
        self.0
    }

    /// Counts the pages of a new mapping. Returns 0 or an error number.
    ///
    /// # Safety
    /// The address space exists.
    pub(crate) unsafe fn add(&self, space: *mut sys::as_, at: Range) -> i32 {
        let (prot, addr) = (sys::PROT_ALL as u8, address(at.addr));
        // SAFETY: a vnode that is held; the caller's address space.
        unsafe {
            sys::fop_addmap(
                self.0,
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
    pub(crate) unsafe fn remove(&self, space: *mut sys::as_, at: Range) {
        let (prot, addr) = (sys::PROT_ALL, address(at.addr));
        // SAFETY: as in `add`.
        unsafe {
            sys::fop_delmap(
                self.0,
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
    fn drop(&mut self) {
        // SAFETY: the reference that `specfind` returned.
        unsafe { sys::vn_rele(self.0) };
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

/// A device that is mapped, by its number; or the node that a setup or remap call names.
#[derive(Clone, Copy)]
pub struct Device {
    pub(crate) dev: sys::dev_t,
    pub(crate) dip: *mut sys::dev_info_t,
}

// SAFETY: only names; the node is attached as long as the device is open or mapped.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

type Nodev = unsafe extern "C-unwind" fn() -> i32;

/// Whether an entry point is there: neither NULL nor nodev(9F).
fn there(entry: Option<*const ()>) -> bool {
    entry.is_some_and(|entry| entry != sys::nodev as Nodev as *const ())
}

impl Device {
    /// The driver's entry points.
    fn cb_ops(&self) -> Option<&sys::cb_ops> {
        // SAFETY: a calculation.
        let major = unsafe { sys::getmajor(self.dev) };
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
    fn dev(&self) -> u64 {
        self.dev
    }

    fn instance(&self, handle: &Handle<Kernel>) -> u64 {
        handle.data().get().addr() as u64
    }

    fn mappable(&self) -> bool {
        self.cb_ops().is_some_and(|cb| {
            let mmap = there(cb.cb_mmap.map(|f| f as *const ()));
            there(cb.cb_devmap.map(|f| f as *const ())) && (cb.cb_flag & sys::D_DEVMAP != 0 || mmap)
        })
    }

    fn devmap(
        &self,
        _fw: &Framework<Kernel>,
        handle: &Arc<Handle<Kernel>>,
        off: u64,
        len: u64,
        model: u32,
    ) -> (i32, u64) {
        let Some(devmap) = self.cb_ops().and_then(|cb| cb.cb_devmap) else { return (sys::ENXIO, 0) };
        let mut maplen = 0;
        // SAFETY: the driver's entry point, with a live handle and arguments as devmap(9E) says.
        let ret = unsafe { devmap(self.dev, cookie(handle), off as i64, len as usize, &mut maplen, model) };
        (ret, maplen as u64)
    }

    #[inline]
    fn registers(&self, rnumber: u32, off: u64, len: u64) -> Option<(Pfn, u32)> {
        let mut size = 0;
        // SAFETY: the node that the driver has named, and a place for the size.
        let found = unsafe { sys::ddi_dev_regsize(self.dip, rnumber, &mut size) };
        let size = u64::try_from(size).ok().filter(|_| found == sys::DDI_SUCCESS)?;
        let first = page_floor(off);
        if off.checked_add(len)? > size || first >= size {
            return None;
        }
        let mut attributes = sys::ddi_device_acc_attr {
            devacc_attr_version: sys::DDI_DEVICE_ATTR_V0,
            devacc_attr_endian_flags: sys::DDI_NEVERSWAP_ACC,
            devacc_attr_dataorder: sys::DDI_STRICTORDER_ACC,
            devacc_attr_access: 0,
        };
        let (mut addr, mut access) = (ptr::null_mut(), ptr::null_mut());
        // Mapped into the kernel for a moment, one page of it, and asked where that is.
        let piece = PAGE_SIZE.min(size - first);
        // SAFETY: as above, with places for the address and the handle.
        let mapped = unsafe {
            sys::ddi_regs_map_setup(
                self.dip,
                rnumber,
                &mut addr,
                first as i64,
                piece as i64,
                &mut attributes,
                &mut access,
            )
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
pub(crate) fn cookie(handle: &Arc<Handle<Kernel>>) -> sys::devmap_cookie_t {
    Arc::as_ptr(handle).cast_mut().cast()
}

/// A driver's callback table, copied.
#[derive(Clone, Copy)]
pub struct Callbacks(pub(crate) sys::devmap_callback_ctl);

fn pointer(pvt: usize) -> *mut c_void {
    ptr::with_exposed_provenance_mut(pvt)
}

impl segdev::Callbacks<Kernel> for Callbacks {
    fn entries(&self) -> Entries {
        Entries {
            map: self.0.devmap_map.is_some(),
            access: self.0.devmap_access.is_some(),
            dup: self.0.devmap_dup.is_some(),
            unmap: self.0.devmap_unmap.is_some(),
        }
    }

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
        let ret = unsafe { map(cookie(handle), device.dev, flags, off as i64, len as usize, &mut private) };
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
        holding(handle.space().as_ptr(), || {
            // SAFETY: the driver's callback, with a live handle and arguments as devmap_access(9E) says.
            unsafe { access(cookie(handle), pointer(pvt), off, len, range.ty as u32, range.rw as u32) }
        })
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
        let ret = holding(old.space().as_ptr(), || {
            holding(new.space().as_ptr(), || {
                // SAFETY: the driver's callback, with two live handles and arguments as devmap_dup(9E) says.
                unsafe { dup(cookie(old), pointer(pvt), cookie(new), &mut private) }
            })
        });
        *newpvt = private.expose_provenance();
        ret
    }

    #[inline]
    fn unmap(
        &self,
        _fw: &Framework<Kernel>,
        handle: &Arc<Handle<Kernel>>,
        pvt: usize,
        cut: Unmap<'_, Kernel>,
    ) {
        let Some(unmap) = self.0.devmap_unmap else { return };
        let side = |rest: &Option<(&Arc<Handle<Kernel>>, &mut usize)>| {
            rest.as_ref().map_or((ptr::null_mut(), ptr::null_mut()), |(h, pvt)| (cookie(h), pointer(**pvt)))
        };
        let ((handle1, mut private1), (handle2, mut private2)) = (side(&cut.before), side(&cut.behind));
        let (off, len) = (cut.off as i64, cut.len as usize);
        let mut call = || {
            // SAFETY: the driver's callback, with live handles and arguments as devmap_unmap(9E) says.
            unsafe {
                unmap(cookie(handle), pointer(pvt), off, len, handle1, &mut private1, handle2, &mut private2);
            }
        };
        // Nobody has locked the address space for a mapping that failed before it entered it.
        if handle.data().entered() {
            holding(handle.space().as_ptr(), call)
        } else {
            call()
        }
        if let Some((_, pvt)) = cut.before {
            *pvt = private1.expose_provenance();
        }
        if let Some((_, pvt)) = cut.behind {
            *pvt = private2.expose_provenance();
        }
    }
}
