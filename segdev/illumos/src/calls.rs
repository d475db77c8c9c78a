//! The functions that drivers call, with their C signatures.
//!
//! Each is defined under the name of the kernel's own, so a module that links this crate refers to these. They may be called
//! with a driver's mutexes held, but for devmap_setup, which calls the driver.
//!
//! # Safety
//!
//! Callers promise what the manual pages ask of them: a handle from its `devmap(9E)` on until its last unmap callback has returned, nodes
//! and cookies that live, tables and attributes that can be read, places for results.

use alloc::sync::Arc;
use core::ffi::{c_int, c_void};
use core::mem::ManuallyDrop;

use ddi_sys as sys;
use segdev::{
    Access, Congruence, DevmemSetup, Errno, FaultCode, FaultType, Given, Handle, MapFlags, MapRequest,
    PAGE_MASK, Prot, Rw, SetupError, SetupFlags, UmemSetup,
};

use crate::device::{Callbacks, Device, Node, Vnode, cookie};
use crate::memory::Umem;
use crate::platform::{Kernel, framework};
use crate::segment::enter;
use crate::space::Space;

macro_rules! calls {
    ($( $(#[$meta:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $ret:ty $body:block )*) => {
        $(
            $(#[$meta])*
            ///
            /// # Safety
            /// See [the module](self).
            #[unsafe(no_mangle)]
            pub unsafe extern "C-unwind" fn $name($($arg: $ty),*) -> $ret $body
            const _: unsafe extern "C-unwind" fn($($ty),*) -> $ret = sys::$name;
        )*
    };
}

type Routine =
    unsafe extern "C-unwind" fn(sys::devmap_cookie_t, *mut c_void, sys::offset_t, usize, u32, u32) -> c_int;

/// The handle that a driver means, `None` for NULL.
///
/// # Safety
/// A handle of ours that lives, or NULL.
#[inline(always)]
unsafe fn known<'a>(dhp: sys::devmap_cookie_t) -> Option<&'a Handle<Kernel>> {
    // SAFETY: the caller's promise.
    unsafe { dhp.cast_const().cast::<Handle<Kernel>>().as_ref() }
}

/// The same as a reference of its own, which stays the segment's.
///
/// # Safety
/// As above.
#[inline(always)]
unsafe fn handle(dhp: sys::devmap_cookie_t) -> Option<ManuallyDrop<Arc<Handle<Kernel>>>> {
    let handle = dhp.cast_const().cast::<Handle<Kernel>>();
    if handle.is_null() {
        return None;
    }
    // SAFETY: the caller's promise: whoever keeps the handle alive has a reference, and this one is not given up.
    Some(ManuallyDrop::new(unsafe { Arc::from_raw(handle) }))
}

/// The driver's callback table, and the node that it is for.
///
/// # Safety
/// NULL or a table.
#[inline(always)]
unsafe fn callbacks<'a>(
    ops: *mut sys::devmap_callback_ctl,
    dip: *mut sys::dev_info_t,
) -> Option<Given<'a, Kernel>> {
    // SAFETY: the caller's promise; the table is all that `Callbacks` has.
    let callbacks = unsafe { ops.cast::<Callbacks>().as_ref() }?;
    Some(Given { instance: dip.addr() as u64, callbacks })
}

/// The order in which the processor may make accesses, as the memory layer knows it.
///
/// # Safety
/// NULL or attributes.
unsafe fn order(attributes: *mut sys::ddi_device_acc_attr_t) -> u32 {
    // SAFETY: the caller's promise.
    match unsafe { attributes.as_ref() }.map(|a| a.devacc_attr_dataorder) {
        Some(sys::DDI_UNORDERED_OK_ACC) => sys::HAT_UNORDERED_OK,
        Some(sys::DDI_MERGING_OK_ACC) => sys::HAT_MERGING_OK,
        Some(sys::DDI_LOADCACHING_OK_ACC) => sys::HAT_LOADCACHING_OK,
        Some(sys::DDI_STORECACHING_OK_ACC) => sys::HAT_STORECACHING_OK,
        _ => sys::HAT_STRICTORDER,
    }
}

fn range(off: sys::offset_t, len: usize, ty: u32, rw: u32) -> Option<Access> {
    Some(Access { off: off as u64, len: len as u64, ty: FaultType::from_raw(ty)?, rw: Rw::from_raw(rw)? })
}

fn answer(result: Result<(), SetupError>) -> c_int {
    result.map_or(sys::DDI_FAILURE, |()| sys::DDI_SUCCESS)
}

/// Any load; `EINVAL` without a handle.
#[cold]
#[inline(never)]
fn load_any(handle: Option<&Handle<Kernel>>, off: sys::offset_t, len: usize, ty: u32, rw: u32) -> c_int {
    let (Some(handle), Some(a)) = (handle, range(off, len, ty, rw)) else { return FaultCode::EINVAL.0 };
    let code = framework().load_any(handle, a.off, a.len, a.ty, a.rw);
    if a.ty == FaultType::Softunlock && code.is_ok() && handle.info().softlocks == 0 {
        handle.space().wake();
    }
    code.0
}

/// The layout of an address space stays as it is: nobody else chooses addresses in it.
struct Layout(*mut sys::as_);

impl Layout {
    /// # Safety
    /// The address space of the process that calls, whose layout this thread does not keep yet.
    unsafe fn keep(space: *mut sys::as_) -> Self {
        // SAFETY: the caller's promise.
        unsafe { sys::as_rangelock(space) };
        Self(space)
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: kept since `keep`.
        unsafe { sys::as_rangeunlock(self.0) };
    }
}

/// Beside the DDI: see [`sys::own::remap_pages_t`]. User or kernel context.
///
/// # Safety
/// See [the module](self).
#[cfg(feature = "pages")]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn segdev_illumos_remap_pages(
    dhp: sys::devmap_cookie_t,
    dip: *mut sys::dev_info_t,
    off: sys::offset_t,
    len: usize,
    maxprot: sys::uint_t,
    cookie: sys::ddi_umem_cookie_t,
    rnumber: sys::uint_t,
    start: sys::offset_t,
    attributes: *mut sys::ddi_device_acc_attr_t,
) -> c_int {
    // SAFETY: the driver's promise.
    let Some(handle) = (unsafe { known(dhp) }) else { return sys::DDI_FAILURE };
    // SAFETY: as above.
    let memory = match unsafe { Umem::new(cookie) } {
        Some(umem) => segdev::PageMemory::Umem(umem, start as u64),
        // SAFETY: as above.
        None => segdev::PageMemory::Devmem(rnumber, start as u64, unsafe { order(attributes) }),
    };
    let pages =
        segdev::PagesOf { off: off as u64, len: len as u64, maxprot: Prot::from_raw(maxprot), memory };
    answer(framework().remap_pages(handle, &Node(dip), pages))
}

#[cfg(feature = "pages")]
const _: sys::own::remap_pages_t = segdev_illumos_remap_pages;

calls! {
    /// devmap_setup(9F): maps a device into the calling process. User context; waits; calls the driver.
    fn devmap_setup(
        dev: sys::dev_t,
        off: sys::offset_t,
        space: sys::ddi_as_handle_t,
        addrp: *mut sys::caddr_t,
        len: usize,
        prot: sys::uint_t,
        maxprot: sys::uint_t,
        flags: sys::uint_t,
        _cred: *mut sys::cred,
    ) -> c_int {
        let device = Device(dev);
        let request = MapRequest {
            device: &device,
            off: off as u64,
            len: len as u64,
            prot: Prot::from_raw(prot),
            maxprot: Prot::from_raw(maxprot),
            flags: MapFlags::from_bits_retain(flags),
            // SAFETY: in a call of mmap(2).
            model: unsafe { sys::ddi_mmap_get_model() },
        };
        let Some(whole) = request.whole().filter(|_| off as u64 & PAGE_MASK == 0) else { return sys::EINVAL };
        let vnode = Vnode::default();
        if !vnode.hold(dev) {
            return sys::ENXIO;
        }
        let mut layout = None;
        let kept = &mut layout;
        let place = move |want: Congruence| {
            // SAFETY: the calling process's.
            *kept = Some(unsafe { Layout::keep(space) });
            // SAFETY: as above; the place of the address, which is the one asked for.
            let error = unsafe {
                sys::choose_addr(space, addrp, whole as usize, want.offset as i64, sys::ADDR_VACALIGN, flags)
            };
            // SAFETY: as above.
            let addr = unsafe { *addrp };
            match error {
                0 if !addr.is_null() => Ok(addr.expose_provenance() as u64),
                0 => Err(Errno::ENOMEM),
                error => Err(Errno(error)),
            }
        };
        let fw = framework();
        let result = match fw.setup(&Space::new(space), &request, place, |_| {}) {
            Ok(segment) => {
                segment.data().vnode.take(vnode);
                enter(segment)
            }
            Err(e) => Err((e, None)),
        };
        drop(layout);
        match result {
            Ok(()) => 0,
            Err((e, segment)) => {
                if let Some(segment) = segment {
                    // It has not entered the address space.
                    segment.discard(fw, false);
                }
                e.0
            }
        }
    }
    /// ddi_devmap_segmap(9F): the segmap(9E) of drivers that want nothing special.
    fn ddi_devmap_segmap(
        dev: sys::dev_t,
        off: sys::off_t,
        space: sys::ddi_as_handle_t,
        addrp: *mut sys::caddr_t,
        len: sys::off_t,
        prot: sys::uint_t,
        maxprot: sys::uint_t,
        flags: sys::uint_t,
        cred: *mut sys::cred,
    ) -> c_int {
        // SAFETY: our own arguments.
        unsafe { devmap_setup(dev, off, space, addrp, len as usize, prot, maxprot, flags, cred) }
    }
    /// devmap_devmem_setup(9F): a handle maps registers or device memory. In devmap(9E).
    fn devmap_devmem_setup(
        dhp: sys::devmap_cookie_t,
        dip: *mut sys::dev_info_t,
        ops: *mut sys::devmap_callback_ctl,
        rnumber: sys::uint_t,
        roff: sys::offset_t,
        len: usize,
        maxprot: sys::uint_t,
        flags: sys::uint_t,
        attributes: *mut sys::ddi_device_acc_attr_t,
    ) -> c_int {
        // SAFETY: the driver's promise.
        let Some(handle) = (unsafe { known(dhp) }) else { return sys::DDI_FAILURE };
        let args = DevmemSetup {
            rnumber,
            off: roff as u64,
            len: len as u64,
            maxprot: Prot::from_raw(maxprot),
            flags: SetupFlags::from_bits_retain(flags),
            // SAFETY: the driver's promise.
            attr: unsafe { order(attributes) },
            // SAFETY: as above.
            callbacks: unsafe { callbacks(ops, dip) },
        };
        answer(framework().devmem_setup(handle, &Node(dip), args))
    }
    /// devmap_umem_setup(9F): a handle maps kernel memory. In devmap(9E).
    fn devmap_umem_setup(
        dhp: sys::devmap_cookie_t,
        dip: *mut sys::dev_info_t,
        ops: *mut sys::devmap_callback_ctl,
        cookie: sys::ddi_umem_cookie_t,
        koff: sys::offset_t,
        len: usize,
        maxprot: sys::uint_t,
        flags: sys::uint_t,
        _attributes: *mut sys::ddi_device_acc_attr_t,
    ) -> c_int {
        // SAFETY: the driver's promise.
        let Some(handle) = (unsafe { known(dhp) }) else { return sys::DDI_FAILURE };
        let args = UmemSetup {
            // SAFETY: as above.
            umem: unsafe { Umem::new(cookie) },
            off: koff as u64,
            len: len as u64,
            maxprot: Prot::from_raw(maxprot),
            flags: SetupFlags::from_bits_retain(flags),
            attr: 0,
            // SAFETY: as above.
            callbacks: unsafe { callbacks(ops, dip) },
        };
        answer(framework().umem_setup(handle, args))
    }
    /// devmap_devmem_remap(9F): the handle maps other registers, or with DEVMAP_MAPPING_INVALID none. User or kernel context.
    fn devmap_devmem_remap(
        dhp: sys::devmap_cookie_t,
        dip: *mut sys::dev_info_t,
        rnumber: sys::uint_t,
        roff: sys::offset_t,
        len: usize,
        maxprot: sys::uint_t,
        flags: sys::uint_t,
        attributes: *mut sys::ddi_device_acc_attr_t,
    ) -> c_int {
        // SAFETY: the driver's promise.
        let Some(handle) = (unsafe { known(dhp) }) else { return sys::DDI_FAILURE };
        let args = DevmemSetup {
            rnumber,
            off: roff as u64,
            len: len as u64,
            maxprot: Prot::from_raw(maxprot),
            flags: SetupFlags::from_bits_retain(flags),
            // SAFETY: as above.
            attr: unsafe { order(attributes) },
            callbacks: None,
        };
        answer(framework().devmem_remap(handle, &Node(dip), args))
    }
    /// devmap_umem_remap(9F): the handle maps other kernel memory. User or kernel context.
    fn devmap_umem_remap(
        dhp: sys::devmap_cookie_t,
        _dip: *mut sys::dev_info_t,
        cookie: sys::ddi_umem_cookie_t,
        koff: sys::offset_t,
        len: usize,
        maxprot: sys::uint_t,
        flags: sys::uint_t,
        _attributes: *mut sys::ddi_device_acc_attr_t,
    ) -> c_int {
        // SAFETY: the driver's promise.
        let Some(handle) = (unsafe { known(dhp) }) else { return sys::DDI_FAILURE };
        let args = UmemSetup {
            // SAFETY: as above.
            umem: unsafe { Umem::new(cookie) },
            off: koff as u64,
            len: len as u64,
            maxprot: Prot::from_raw(maxprot),
            flags: SetupFlags::from_bits_retain(flags),
            attr: 0,
            callbacks: None,
        };
        answer(framework().umem_remap(handle, args))
    }
    /// devmap_load(9F): loads translations, in the access callback. `FC_MAKE_ERR(EINVAL)` elsewhere.
    fn devmap_load(dhp: sys::devmap_cookie_t, off: sys::offset_t, len: usize, ty: sys::uint_t, rw: sys::uint_t) -> c_int {
        // SAFETY: the driver's promise.
        let Some(handle) = (unsafe { known(dhp) }) else { return load_any(None, off, len, ty, rw) };
        if ty == sys::DEVMAP_ACCESS
            && let Some(rw) = Rw::from_raw(rw)
        {
            if framework().load_usual(handle, off as u64, len as u64, rw) {
                return 0;
            }
            return load_any(Some(handle), off, len, sys::DEVMAP_ACCESS, rw as u32);
        }
        load_any(Some(handle), off, len, ty, rw)
    }
    /// devmap_unload(9F): drops translations, of any process. User or kernel context.
    fn devmap_unload(dhp: sys::devmap_cookie_t, off: sys::offset_t, len: usize) -> c_int {
        // SAFETY: the driver's promise.
        match unsafe { known(dhp) } {
            Some(handle) => framework().unload(handle, off as u64, len as u64).0,
            // Refused as a load is.
            None => load_any(None, off, len, sys::DEVMAP_ACCESS, sys::DEVMAP_READ),
        }
    }
    /// devmap_default_access(9F): as devmap_access(9E), or called by one: loads what is asked for.
    fn devmap_default_access(
        dhp: sys::devmap_cookie_t,
        _pvt: *mut c_void,
        off: sys::offset_t,
        len: usize,
        ty: sys::uint_t,
        rw: sys::uint_t,
    ) -> c_int {
        // SAFETY: our own arguments.
        unsafe { devmap_load(dhp, off, len, ty, rw) }
    }
    /// devmap_do_ctxmgt(9F): gets the handle's context and calls `routine` to switch the device to it. May wait outside of callbacks.
    fn devmap_do_ctxmgt(
        dhp: sys::devmap_cookie_t,
        pvt: *mut c_void,
        off: sys::offset_t,
        len: usize,
        ty: sys::uint_t,
        rw: sys::uint_t,
        routine: Option<Routine>,
    ) -> c_int {
        // SAFETY: the driver's promise.
        let Some(handle) = (unsafe { handle(dhp) }) else { return FaultCode::HWERR.0 };
        let Some(a) = range(off, len, ty, rw) else { return FaultCode::EINVAL.0 };
        let routine = routine.map(|routine| {
            move |handle: &Arc<Handle<Kernel>>, _: usize, a: Access| {
                // SAFETY: the driver's routine, with the arguments that devmap_contextmgt(9E) says.
                unsafe { routine(cookie(handle), pvt, a.off as i64, a.len as usize, a.ty as u32, a.rw as u32) }
            }
        });
        framework().do_ctxmgt(&handle, pvt.addr(), a, routine).0
    }
    /// devmap_set_ctx_timeout(9F): how many ticks the handle's mapping keeps its context.
    fn devmap_set_ctx_timeout(dhp: sys::devmap_cookie_t, ticks: sys::clock_t) -> () {
        // SAFETY: the driver's promise.
        if let Some(handle) = unsafe { known(dhp) } {
            framework().set_ctx_timeout(handle, ticks);
        }
    }
}
