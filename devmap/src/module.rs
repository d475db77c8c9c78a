//! [`module!`](crate::module!): what makes a loadable module, or a driver linked into the host, of a [`Device`].
//!
//! The tables that the kernel wants (`cb_ops(9S)`, `dev_ops(9S)`, `modldrv(9S)`, `modlinkage(9S)`), the entry points behind them, and
//! `_init(9E)`, `_fini(9E)`, `_info(9E)`. In a module for the kernel (`--cfg illumos_kernel`) those three have their C names, and the panic handler and the
//! allocator come along; on the host there is a static `MODULE`, an [`Entry`] for the host's table of drivers. Nothing else differs.

use alloc::ffi::CString;
use alloc::format;
use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::transmute;
use core::ptr;

use ddi_sys as sys;

use crate::callbacks::Unmapped;
use crate::device::{Attach, Device, Mappings};
use crate::errno::Errno;
pub use crate::instance::SoftState;
use crate::instance::{Instance, Item, Terms};
use crate::node::Node;
use crate::process::{Argument, Open, Uio};
use crate::request::MapRequest;

/// A driver that is linked into the host: its name, and what the kernel would call by name.
pub struct Entry {
    /// The driver's name, as in its `.conf` file.
    pub name: &'static str,
    /// `_init(9E)`.
    pub init: extern "C-unwind" fn() -> c_int,
    /// `_fini(9E)`.
    pub fini: extern "C-unwind" fn() -> c_int,
    /// `_info(9E)`.
    pub info: unsafe extern "C-unwind" fn(*mut sys::modinfo) -> c_int,
}

/// A [`Device`] that has a module. Implemented by [`module!`](crate::module!) only.
///
/// # Safety
/// The soft state is used for this device and nothing else.
pub unsafe trait Registered {
    #[doc(hidden)]
    fn soft_state() -> &'static SoftState;
}

/// A table that the kernel reads and partly writes (`devo_refcnt`).
#[doc(hidden)]
#[repr(transparent)]
pub struct Table<T>(UnsafeCell<T>);

// SAFETY: nothing in this crate touches a table after it was built; the kernel synchronises its own accesses.
unsafe impl<T> Sync for Table<T> {}

impl<T> Table<T> {
    pub const fn new(table: T) -> Table<T> {
        Table(UnsafeCell::new(table))
    }

    pub const fn get(&self) -> *mut T {
        self.0.get()
    }
}

type NoDev = unsafe extern "C-unwind" fn() -> c_int;
type Strategy = unsafe extern "C-unwind" fn(*mut sys::buf) -> c_int;
type Print = unsafe extern "C-unwind" fn(sys::dev_t, *mut c_char) -> c_int;
type Dump = unsafe extern "C-unwind" fn(sys::dev_t, *mut c_char, sys::daddr_t, c_int) -> c_int;
type Mmap = unsafe extern "C-unwind" fn(sys::dev_t, sys::off_t, c_int) -> c_int;
type Aio = unsafe extern "C-unwind" fn(sys::dev_t, *mut sys::aio_req, *mut sys::cred_t) -> c_int;
type Probe = unsafe extern "C-unwind" fn(*mut sys::dev_info_t) -> c_int;
type Reset = unsafe extern "C-unwind" fn(*mut sys::dev_info_t, sys::ddi_reset_cmd_t) -> c_int;

/// `nodev(9F)` as an entry point of another type, the way that C drivers write it.
macro_rules! entry {
    ($function:ident as $type:ty) => {
        // SAFETY: the function takes no notice of its arguments and returns an int.
        Some(unsafe { transmute::<NoDev, $type>(sys::$function) })
    };
}

#[doc(hidden)]
pub const fn cb_ops<D: Device>() -> sys::cb_ops {
    sys::cb_ops {
        cb_open: Some(open::<D>),
        cb_close: Some(close::<D>),
        cb_strategy: entry!(nodev as Strategy),
        cb_print: entry!(nodev as Print),
        cb_dump: entry!(nodev as Dump),
        cb_read: Some(read::<D>),
        cb_write: Some(write::<D>),
        cb_ioctl: Some(ioctl::<D>),
        cb_devmap: Some(devmap::<D>),
        cb_mmap: entry!(nodev as Mmap),
        cb_segmap: Some(segmap::<D>),
        cb_chpoll: Some(sys::nochpoll),
        cb_prop_op: Some(sys::ddi_prop_op),
        cb_str: ptr::null_mut(),
        cb_flag: sys::D_MP | sys::D_64BIT | sys::D_DEVMAP,
        cb_rev: sys::CB_REV,
        cb_aread: entry!(nodev as Aio),
        cb_awrite: entry!(nodev as Aio),
    }
}

#[doc(hidden)]
pub const fn dev_ops<D: Device>(cb_ops: *mut sys::cb_ops) -> sys::dev_ops {
    sys::dev_ops {
        devo_rev: sys::DEVO_REV,
        devo_refcnt: 0,
        devo_getinfo: Some(getinfo::<D>),
        devo_identify: entry!(nulldev as Probe),
        devo_probe: entry!(nulldev as Probe),
        devo_attach: Some(attach::<D>),
        devo_detach: Some(detach::<D>),
        devo_reset: entry!(nodev as Reset),
        devo_cb_ops: cb_ops,
        devo_bus_ops: ptr::null_mut(),
        devo_power: None,
        devo_quiesce: Some(sys::ddi_quiesce_not_needed),
    }
}

#[doc(hidden)]
pub const fn modldrv(description: &'static CStr, dev_ops: *mut sys::dev_ops) -> sys::modldrv {
    sys::modldrv {
        drv_modops: &raw mut sys::mod_driverops,
        drv_linkinfo: description.as_ptr().cast_mut(),
        drv_dev_ops: dev_ops,
    }
}

#[doc(hidden)]
pub const fn modlinkage(modldrv: *mut sys::modldrv) -> sys::modlinkage {
    let mut linkage = [ptr::null_mut::<c_void>(); 7];
    linkage[0] = modldrv.cast();
    sys::modlinkage { ml_rev: sys::MODREV_1, ml_linkage: linkage }
}

/// `_init(9E)`.
#[doc(hidden)]
pub fn init(state: &SoftState, linkage: &Table<sys::modlinkage>) -> c_int {
    let failed = state.init();
    if failed != 0 {
        return failed;
    }
    // SAFETY: the tables are static and complete.
    let failed = unsafe { sys::mod_install(linkage.get()) };
    if failed != 0 {
        state.fini();
    }
    failed
}

/// `_fini(9E)`.
#[doc(hidden)]
pub fn fini(state: &SoftState, linkage: &Table<sys::modlinkage>) -> c_int {
    // SAFETY: what `init` installed.
    let busy = unsafe { sys::mod_remove(linkage.get()) };
    if busy == 0 {
        state.fini();
    }
    busy
}

/// `_info(9E)`.
///
/// # Safety
/// `modinfo` is the kernel's.
#[doc(hidden)]
pub unsafe fn info(linkage: &Table<sys::modlinkage>, modinfo: *mut sys::modinfo) -> c_int {
    // SAFETY: static tables, and the kernel's own answer. Works before `_init`.
    unsafe { sys::mod_info(linkage.get(), modinfo) }
}

/// What a panic of a driver does in the kernel: `cmn_err(9F)`, `CE_PANIC`. Allocates nothing.
#[doc(hidden)]
pub fn panic_message(info: &core::panic::PanicInfo<'_>) {
    crate::log::panic(format_args!("{info}"));
}

/// The minor number in a device number: the instance.
fn minor(dev: sys::dev_t) -> i32 {
    // SAFETY: a calculation.
    let minor = unsafe { sys::getminor(dev) };
    i32::try_from(minor).unwrap_or(-1)
}

/// # Safety
/// In an entry point of the instance.
pub(crate) unsafe fn instance<D: Device>(dev: sys::dev_t) -> Option<Arc<Instance<D>>> {
    // SAFETY: the caller's.
    unsafe { D::soft_state().instance(minor(dev)) }
}

/// Calls `f` with the instance's device and answers 0 or an error number, as entry points do.
///
/// # Safety
/// In an entry point of the instance.
unsafe fn enter<D: Device>(dev: sys::dev_t, f: impl FnOnce(&D) -> Result<(), Errno>) -> c_int {
    // SAFETY: the caller's.
    let Some(instance) = (unsafe { instance::<D>(dev) }) else { return Errno::ENXIO.raw() };
    match f(&instance.device) {
        Ok(()) => 0,
        Err(errno) => errno.raw(),
    }
}

unsafe extern "C-unwind" fn getinfo<D: Device>(
    _dip: *mut sys::dev_info_t,
    cmd: sys::ddi_info_cmd_t,
    arg: *mut c_void,
    resultp: *mut *mut c_void,
) -> c_int {
    let number = minor(arg.addr() as sys::dev_t);
    let answer: *mut c_void = match cmd {
        sys::DDI_INFO_DEVT2INSTANCE => ptr::without_provenance_mut(number as usize),
        sys::DDI_INFO_DEVT2DEVINFO => {
            let item = D::soft_state().item(number);
            if item.is_null() {
                return sys::DDI_FAILURE;
            }
            // SAFETY: an item of ours; the framework holds the node.
            unsafe { (*item).dip }.cast()
        }
        _ => return sys::DDI_FAILURE,
    };
    // SAFETY: the framework's place for the answer.
    unsafe { *resultp = answer };
    sys::DDI_SUCCESS
}

unsafe extern "C-unwind" fn attach<D: Device>(
    dip: *mut sys::dev_info_t,
    cmd: sys::ddi_attach_cmd_t,
) -> c_int {
    if cmd != sys::DDI_ATTACH {
        return sys::DDI_FAILURE;
    }
    // SAFETY: attached from here to detach.
    let node = unsafe { Node::from_raw(dip) };
    let number = node.instance();
    if D::soft_state().allocate(number) != sys::DDI_SUCCESS {
        crate::warn!("{}{number}: no soft state", node.name());
        return sys::DDI_FAILURE;
    }
    let undo = Undo::<D>(number, core::marker::PhantomData);
    let mappings = Mappings::new();
    let device = match D::attach(&Attach { node, mappings: mappings.clone() }) {
        Ok(device) => device,
        Err(errno) => {
            crate::warn!("{}{number}: attach: {errno}", node.name());
            return sys::DDI_FAILURE;
        }
    };
    let instance = Arc::new(Instance::new(device, dip, mappings));
    let item = D::soft_state().item(number);
    // SAFETY: the item just allocated; nobody else knows it.
    unsafe { item.write(Item { dip, instance: Arc::into_raw(instance).cast() }) };
    if !minor_node(&node, number) {
        crate::warn!("{}{number}: no minor node", node.name());
        // SAFETY: no entry point runs without a minor node.
        drop(unsafe { take::<D>(number) });
        return sys::DDI_FAILURE;
    }
    // SAFETY: a live node.
    unsafe { sys::ddi_report_dev(dip) };
    core::mem::forget(undo);
    sys::DDI_SUCCESS
}

/// Frees an instance's soft state item when its attach fails or panics.
struct Undo<D: Device>(i32, core::marker::PhantomData<fn() -> D>);

impl<D: Device> Drop for Undo<D> {
    fn drop(&mut self) {
        D::soft_state().free(self.0);
    }
}

/// Takes the reference that soft state has to an instance.
///
/// # Safety
/// No entry point of the instance runs, but its attach or detach.
unsafe fn take<D: Device>(number: i32) -> Option<Arc<Instance<D>>> {
    let item = D::soft_state().item(number);
    if item.is_null() {
        return None;
    }
    // SAFETY: an item of ours.
    let instance = unsafe { (*item).instance }.cast::<Instance<D>>();
    // SAFETY: as above.
    unsafe { (*item).instance = ptr::null() };
    if instance.is_null() {
        return None;
    }
    // SAFETY: from `Arc::into_raw` in attach, and not in the item any more.
    Some(unsafe { Arc::from_raw(instance) })
}

/// Makes the node by which processes open the instance: named after the driver and the instance, numbered as the instance.
fn minor_node(node: &Node<'_>, number: i32) -> bool {
    let Ok(minor) = u32::try_from(number) else { return false };
    let name = format!("{}{number}", node.name());
    let Ok(name) = CString::new(name) else { return false };
    // SAFETY: a live node; strings that end in NUL, which the call copies.
    let result = unsafe {
        sys::ddi_create_minor_node(
            node.as_ptr(),
            name.as_ptr().cast_mut(),
            sys::S_IFCHR as c_int,
            minor,
            sys::DDI_PSEUDO.as_ptr().cast_mut(),
            0,
        )
    };
    result == sys::DDI_SUCCESS
}

unsafe extern "C-unwind" fn detach<D: Device>(
    dip: *mut sys::dev_info_t,
    cmd: sys::ddi_detach_cmd_t,
) -> c_int {
    if cmd != sys::DDI_DETACH {
        return sys::DDI_FAILURE;
    }
    // SAFETY: still attached.
    let number = unsafe { Node::from_raw(dip) }.instance();
    // SAFETY: in the instance's detach.
    let Some(instance) = (unsafe { D::soft_state().instance::<D>(number) }) else { return sys::DDI_FAILURE };
    // Soft state's reference and this one; every mapping would have another.
    if Arc::strong_count(&instance) != 2 || instance.device.detach().is_err() {
        return sys::DDI_FAILURE;
    }
    // SAFETY: a live node; null is all of its minor nodes.
    unsafe { sys::ddi_remove_minor_node(dip, ptr::null_mut()) };
    // SAFETY: the device is not open, so no other entry point runs.
    drop(unsafe { take::<D>(number) });
    drop(instance);
    D::soft_state().free(number);
    sys::DDI_SUCCESS
}

unsafe extern "C-unwind" fn open<D: Device>(
    devp: *mut sys::dev_t,
    flag: c_int,
    otyp: c_int,
    cred: *mut sys::cred_t,
) -> c_int {
    if otyp != sys::OTYP_CHR {
        return Errno::EINVAL.raw();
    }
    // SAFETY: the framework's device number.
    let dev = unsafe { *devp };
    // SAFETY: the caller's credential, for this call.
    let how = unsafe { Open::new(flag, cred) };
    // SAFETY: in an entry point.
    unsafe { enter::<D>(dev, |device| device.open(how)) }
}

unsafe extern "C-unwind" fn close<D: Device>(
    dev: sys::dev_t,
    _flag: c_int,
    _otyp: c_int,
    _cred: *mut sys::cred_t,
) -> c_int {
    let close = |device: &D| {
        device.close();
        Ok(())
    };
    // SAFETY: in an entry point.
    unsafe { enter::<D>(dev, close) }
}

unsafe extern "C-unwind" fn read<D: Device>(
    dev: sys::dev_t,
    uio: *mut sys::uio_t,
    _cred: *mut sys::cred_t,
) -> c_int {
    // SAFETY: the framework's request, ours for this call.
    let uio = unsafe { &mut *uio };
    // SAFETY: in an entry point.
    unsafe { enter::<D>(dev, |device| device.read(&mut Uio::new(uio))) }
}

unsafe extern "C-unwind" fn write<D: Device>(
    dev: sys::dev_t,
    uio: *mut sys::uio_t,
    _cred: *mut sys::cred_t,
) -> c_int {
    // SAFETY: the framework's request, ours for this call.
    let uio = unsafe { &mut *uio };
    // SAFETY: in an entry point.
    unsafe { enter::<D>(dev, |device| device.write(&mut Uio::new(uio))) }
}

unsafe extern "C-unwind" fn ioctl<D: Device>(
    dev: sys::dev_t,
    cmd: c_int,
    arg: isize,
    mode: c_int,
    cred: *mut sys::cred_t,
    rvalp: *mut c_int,
) -> c_int {
    // SAFETY: what this entry point was called with.
    let argument = unsafe { Argument::new(arg, mode, cred) };
    let call = |device: &D| {
        let value = device.ioctl(cmd, argument)?;
        if !rvalp.is_null() {
            // SAFETY: the framework's place for the result.
            unsafe { *rvalp = value };
        }
        Ok(())
    };
    // SAFETY: in an entry point.
    unsafe { enter::<D>(dev, call) }
}

/// segmap(9E): notes what the process asks for while the framework does the work.
#[allow(clippy::too_many_arguments)]
unsafe extern "C-unwind" fn segmap<D: Device>(
    dev: sys::dev_t,
    off: sys::off_t,
    space: *mut sys::as_,
    addrp: *mut sys::caddr_t,
    len: sys::off_t,
    protection: u32,
    max_protection: u32,
    flags: u32,
    cred: *mut sys::cred_t,
) -> c_int {
    // SAFETY: in an entry point.
    let Some(instance) = (unsafe { instance::<D>(dev) }) else { return Errno::ENXIO.raw() };
    // The framework does not survive a length of zero (docs/shield.md, 14).
    if len <= 0 || off < 0 || off.checked_add(len).is_none() {
        return Errno::EINVAL.raw();
    }
    let _call = instance.enter(Terms { protection, max_protection, flags });
    // SAFETY: our own arguments passed on.
    unsafe { sys::ddi_devmap_segmap(dev, off, space, addrp, len, protection, max_protection, flags, cred) }
}

/// devmap(9E): asks the device, and keeps its answer until the map callback.
unsafe extern "C-unwind" fn devmap<D: Device>(
    dev: sys::dev_t,
    dhp: sys::devmap_cookie_t,
    off: i64,
    len: usize,
    maplen: *mut usize,
    model: u32,
) -> c_int {
    // SAFETY: in an entry point.
    let Some(instance) = (unsafe { instance::<D>(dev) }) else { return Errno::ENXIO.raw() };
    let Some(terms) = instance.terms() else { return Errno::ENXIO.raw() };
    let Some(offset) =
        u64::try_from(off).ok().filter(|&off| len > 0 && off.checked_add(len as u64).is_some())
    else {
        return Errno::EINVAL.raw();
    };
    let request = MapRequest::new(&instance, dhp, (offset, len), model, terms);
    let (len, slot): (usize, Unmapped<D>) = match instance.device.devmap(request) {
        Ok(setup) => (setup.len, setup.slot),
        Err(errno) => return errno.raw(),
    };
    if let Err(errno) = instance.prepare(dhp, slot) {
        return errno.raw();
    }
    // SAFETY: the framework's place for the length.
    unsafe { *maplen = len };
    0
}

/// Makes a module of a [`Device`]: the tables, and `_init(9E)`, `_fini(9E)`, `_info(9E)`.
///
/// Once for each crate. `name` is the driver's name, `description` what modinfo(8) shows.
///
/// ```no_run
/// # use devmap::{Attach, Device, Errno};
/// struct Nothing;
///
/// impl Device for Nothing {
///     type Mapping = ();
///     fn attach(_: &Attach<'_>) -> Result<Nothing, Errno> { Ok(Nothing) }
/// }
///
/// devmap::module! { device: Nothing, name: "nothing", description: "does nothing 1.0" }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! module {
    (device: $device:ty, name: $name:literal, description: $description:literal $(,)?) => {
        #[doc(hidden)]
        #[allow(unsafe_code)]
        mod devmap_module {
            use super::*;
            use $crate::module::{Entry, Registered, SoftState, Table};
            use $crate::sys;

            static STATE: SoftState = SoftState::new();

            // SAFETY: this module's soft state is this device's alone.
            unsafe impl Registered for $device {
                fn soft_state() -> &'static SoftState {
                    &STATE
                }
            }

            const DESCRIPTION: &::core::ffi::CStr = match ::core::ffi::CStr::from_bytes_with_nul(
                ::core::concat!($description, "\0").as_bytes(),
            ) {
                Ok(text) => text,
                Err(_) => panic!("a description has no NUL inside"),
            };

            static CB_OPS: Table<sys::cb_ops> = Table::new($crate::module::cb_ops::<$device>());
            static DEV_OPS: Table<sys::dev_ops> =
                Table::new($crate::module::dev_ops::<$device>(CB_OPS.get()));
            static MODLDRV: Table<sys::modldrv> =
                Table::new($crate::module::modldrv(DESCRIPTION, DEV_OPS.get()));
            static MODLINKAGE: Table<sys::modlinkage> = Table::new($crate::module::modlinkage(MODLDRV.get()));

            #[cfg_attr(illumos_kernel, unsafe(no_mangle))]
            extern "C-unwind" fn _init() -> ::core::ffi::c_int {
                $crate::module::init(&STATE, &MODLINKAGE)
            }

            #[cfg_attr(illumos_kernel, unsafe(no_mangle))]
            extern "C-unwind" fn _fini() -> ::core::ffi::c_int {
                $crate::module::fini(&STATE, &MODLINKAGE)
            }

            #[cfg_attr(illumos_kernel, unsafe(no_mangle))]
            unsafe extern "C-unwind" fn _info(modinfo: *mut sys::modinfo) -> ::core::ffi::c_int {
                // SAFETY: the kernel's argument, passed on.
                unsafe { $crate::module::info(&MODLINKAGE, modinfo) }
            }

            /// The driver, for the host's table of linked-in drivers.
            #[cfg(not(illumos_kernel))]
            pub static MODULE: Entry = Entry { name: $name, init: _init, fini: _fini, info: _info };

            #[cfg(illumos_kernel)]
            #[global_allocator]
            static ALLOCATOR: $crate::kmem::KmemAllocator = $crate::kmem::KmemAllocator;

            #[cfg(illumos_kernel)]
            #[panic_handler]
            fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
                $crate::module::panic_message(info);
                loop {}
            }
        }

        #[cfg(not(illumos_kernel))]
        pub use devmap_module::MODULE;
    };
}
