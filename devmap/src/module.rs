//! [`module!`](crate::module!) makes a loadable module, or a driver linked into the host, of a [`Device`].
//!
//! The tables that the kernel wants (`cb_ops(9S)`, `dev_ops(9S)`, `modldrv(9S)`, `modlinkage(9S)`), the entry points
//! behind them, and `_init(9E)`, `_fini(9E)`, `_info(9E)`. In a module for the kernel (`--cfg illumos_kernel`) those
//! three have their C names, and the panic handler and the allocator come along; on the host there is a static
//! `MODULE`, an [`Entry`] for the host's table of drivers. Nothing else differs.
//!
//! The tables are constants; the entry points are for the kernel, which calls them in kernel context with its module
//! lock held. They take no lock of their own.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::transmute;
use core::ptr;

use ddi_sys as sys;

use crate::attach::Mappings;
use crate::busy;
use crate::device::Device;
pub use crate::device::Registered;
use crate::entry;
use crate::errno::Errno;
use crate::life::Quiesce;
use crate::mmap;
use crate::pinned;
pub use crate::state::SoftState;

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
macro_rules! old_style {
    ($function:ident as $type:ty) => {
        // SAFETY: the function takes no notice of its arguments and returns an int.
        Some(unsafe { transmute::<NoDev, $type>(sys::$function) })
    };
}

#[doc(hidden)]
pub const fn cb_ops<D: Device>() -> sys::cb_ops {
    sys::cb_ops {
        cb_open: Some(entry::open::<D>),
        cb_close: Some(entry::close::<D>),
        cb_strategy: old_style!(nodev as Strategy),
        cb_print: old_style!(nodev as Print),
        cb_dump: old_style!(nodev as Dump),
        cb_read: Some(entry::read::<D>),
        cb_write: Some(entry::write::<D>),
        cb_ioctl: Some(entry::ioctl::<D>),
        cb_devmap: Some(mmap::devmap::<D>),
        cb_mmap: old_style!(nodev as Mmap),
        cb_segmap: Some(mmap::segmap::<D>),
        cb_chpoll: Some(entry::chpoll::<D>),
        cb_prop_op: Some(sys::ddi_prop_op),
        cb_str: ptr::null_mut(),
        cb_flag: sys::D_MP | sys::D_64BIT | sys::D_DEVMAP,
        cb_rev: sys::CB_REV,
        cb_aread: old_style!(nodev as Aio),
        cb_awrite: old_style!(nodev as Aio),
    }
}

#[doc(hidden)]
pub const fn dev_ops<D: Device>(cb_ops: *mut sys::cb_ops) -> sys::dev_ops {
    assert!(D::ENGINES >= 1 && D::ENGINES <= Mappings::MOST_ENGINES, "Device::ENGINES is from 1 to 8");
    sys::dev_ops {
        devo_rev: sys::DEVO_REV,
        devo_refcnt: 0,
        devo_getinfo: Some(entry::getinfo::<D>),
        devo_identify: old_style!(nulldev as Probe),
        devo_probe: old_style!(nulldev as Probe),
        devo_attach: Some(entry::attach::<D>),
        devo_detach: Some(entry::detach::<D>),
        devo_reset: old_style!(nodev as Reset),
        devo_cb_ops: cb_ops,
        devo_bus_ops: ptr::null_mut(),
        devo_power: match D::POWER {
            Some(_) => Some(entry::power::<D>),
            None => None,
        },
        devo_quiesce: match D::QUIESCE {
            Quiesce::NotNeeded => Some(sys::ddi_quiesce_not_needed),
            Quiesce::NotSupported => Some(sys::ddi_quiesce_not_supported),
            Quiesce::By(_) => Some(entry::quiesce::<D>),
        },
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

/// Bytes of a description that modinfo(8) shows (`MODMAXLINKINFOLEN`), with the NUL.
const SHOWN: usize = 32;
/// Mark behind the description of a module that has its own devmap framework.
const MARK: &str = " (own devmap)";

/// A description with the mark.
#[doc(hidden)]
pub type Marked = [u8; SHOWN];

/// Returns the description of a module that has its own framework: cut so that there is room for the mark.
#[doc(hidden)]
pub const fn marked(text: &str) -> Marked {
    let (text, mark) = (text.as_bytes(), MARK.as_bytes());
    let room = SHOWN - 1 - mark.len();
    let (mut marked, mut at, mut from) = ([0; SHOWN], 0, 0);
    while at < text.len() && at < room {
        marked[at] = text[at];
        at += 1;
    }
    while from < mark.len() {
        marked[at] = mark[from];
        (at, from) = (at + 1, from + 1);
    }
    marked
}

/// Returns the description that fits the module's framework.
#[doc(hidden)]
pub const fn description(plain: &'static str, marked: &'static Marked) -> &'static CStr {
    let text = if cfg!(devmap_own) {
        CStr::from_bytes_until_nul(marked)
    } else {
        CStr::from_bytes_until_nul(plain.as_bytes())
    };
    match text {
        Ok(text) if cfg!(devmap_own) || text.to_bytes().len() + 1 == plain.len() => text,
        _ => panic!("a description has no NUL inside"),
    }
}

/// The module's own devmap framework, when it was linked with one (`cargo xtask module --framework own`).
#[cfg(devmap_own)]
mod own {
    use core::ffi::c_int;

    unsafe extern "C-unwind" {
        /// Whether the kernel is one that the framework knows: 0 or an error number.
        pub safe fn segdev_illumos_init() -> c_int;
        /// Waits until no thread is in the framework's code any more; nothing is open or mapped.
        pub safe fn segdev_illumos_fini();
    }
}

/// `_init(9E)`.
#[doc(hidden)]
pub fn init<D: Device>(state: &SoftState<D>, linkage: &Table<sys::modlinkage>) -> c_int {
    #[cfg(devmap_own)]
    {
        let unknown = own::segdev_illumos_init();
        if unknown != 0 {
            return unknown;
        }
    }
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

/// `_fini(9E)`: `EBUSY` while the kernel can still call into the module, whatever values of the driver were forgotten.
///
/// Instances and their mappings keep the module busy by themselves (mod_remove(9F), detach(9E)); what is left is what runs by itself, such as
/// timeouts.
#[doc(hidden)]
pub fn fini<D: Device>(state: &SoftState<D>, linkage: &Table<sys::modlinkage>) -> c_int {
    if busy::is_busy() {
        return Errno::EBUSY.raw();
    }
    // SAFETY: what `init` installed.
    let busy = unsafe { sys::mod_remove(linkage.get()) };
    if busy == 0 {
        #[cfg(devmap_own)]
        own::segdev_illumos_fini();
        state.fini();
        pinned::fini();
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

/// Panics the kernel for a panic of the driver: `cmn_err(9F)`, `CE_PANIC`. Does not allocate.
#[doc(hidden)]
pub fn panic_message(info: &core::panic::PanicInfo<'_>) {
    crate::log::panic(format_args!("{info}"));
}

/// Returns whether a module may have this name: whether it is valid for a file and a driver.
#[doc(hidden)]
pub const fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !matches!(bytes[at], b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-') {
            return false;
        }
        at += 1;
    }
    matches!(bytes.first(), Some(b'a'..=b'z' | b'A'..=b'Z')) && bytes.len() <= 31
}

/// Whether a crate is `no_std`, by what its prelude has: [`module!`](crate::module!) asks.
#[doc(hidden)]
pub mod no_std {
    /// An answer that is good: any, for a crate that is `EXEMPT`.
    #[diagnostic::on_unimplemented(
        message = "this crate is not `no_std`: a kernel has no standard library",
        label = "a module of a crate with the standard library",
        note = "write `#![no_std]` at the top of src/lib.rs, and `extern crate alloc;` for `Box`, `Vec` and the like",
        note = "a driver is a library: programs and tests that have the standard library use it, as `ddi-host` does"
    )]
    pub trait Good<const EXEMPT: bool> {}

    impl<T> Good<true> for T {}
    impl Good<false> for NoStd {}

    /// The type that [`Fallback::to_owned`] returns.
    pub struct NoStd;

    /// The probe: `(&Asked).to_owned()` is the standard prelude's `ToOwned`, if that is there.
    #[derive(Clone)]
    pub struct Asked;

    /// The fallback.
    pub trait Fallback {
        /// By one more reference than the standard one takes.
        fn to_owned(&self) -> NoStd;
    }

    impl Fallback for &Asked {
        fn to_owned(&self) -> NoStd {
            NoStd
        }
    }

    /// Compiles for good answers only.
    pub fn check<const EXEMPT: bool, T: Good<EXEMPT>>(_: T) {}
}

/// Makes a module of a [`Device`]: the tables, and `_init(9E)`, `_fini(9E)`, `_info(9E)`.
///
/// Once for each crate. `name` is the driver's name, `description` what modinfo(8) shows.
///
/// ```no_run
/// # #![no_std]
/// # extern crate std;
/// # use devmap::{Attach, Device, Errno};
/// struct Nothing;
///
/// impl Device for Nothing {
///     type Mapping = ();
///     type Open = ();
///     fn attach(_: &Attach<'_>) -> Result<Nothing, Errno> { Ok(Nothing) }
/// }
///
/// devmap::module! { device: Nothing, name: "nothing", description: "does nothing 1.0" }
/// # fn main() {}
/// ```
///
/// Entry points that this crate does not have are put into the tables by a function of the driver's: [`raw`](crate::raw) has an example.
#[macro_export]
macro_rules! module {
    (
        device: $device:ty,
        name: $name:literal,
        description: $description:literal
        $(, unsafe cb_ops: $more_cb_ops:expr)?
        $(, unsafe dev_ops: $more_dev_ops:expr)?
        $(,)?
    ) => {
        #[doc(hidden)]
        #[allow(unsafe_code)]
        mod devmap_module {
            use super::*;
            use $crate::module::{Registered, SoftState, Table};
            use $crate::sys;

            static STATE: SoftState<$device> = SoftState::new();

            // SAFETY: this module's soft state is this device's alone.
            unsafe impl Registered for $device {
                fn soft_state() -> ::core::ptr::NonNull<()> {
                    ::core::ptr::NonNull::from(&STATE).cast()
                }
            }

            const _: () = assert!(
                $crate::module::is_name($name),
                ::core::concat!(
                    "a module is named as its file: up to 31 letters, digits, `_` and `-`, a letter first; not \"",
                    $name,
                    "\""
                )
            );

            mod no_std {
                // Not for an integration test, which cargo tells so.
                const EXEMPT: bool = ::core::option_env!("CARGO_TARGET_TMPDIR").is_some() || ::core::cfg!(test);
                const _: fn() = || {
                    use $crate::module::no_std::{Asked, Fallback as _, check};
                    check::<EXEMPT, _>((&Asked).to_owned());
                };
            }

            const MARKED: $crate::module::Marked = $crate::module::marked($description);
            const DESCRIPTION: &::core::ffi::CStr =
                $crate::module::description(::core::concat!($description, "\0"), &MARKED);

            static CB_OPS: Table<sys::cb_ops> = Table::new({
                let ops = $crate::module::cb_ops::<$device>();
                $(let ops = $more_cb_ops(ops);)?
                ops
            });
            static DEV_OPS: Table<sys::dev_ops> = Table::new({
                let ops = $crate::module::dev_ops::<$device>(CB_OPS.get());
                $(let ops = $more_dev_ops(ops);)?
                ops
            });
            static MODLDRV: Table<sys::modldrv> =
                Table::new($crate::module::modldrv(DESCRIPTION, DEV_OPS.get()));
            static MODLINKAGE: Table<sys::modlinkage> = Table::new($crate::module::modlinkage(MODLDRV.get()));

            $crate::__module_entry_points!($name);
        }

        $crate::__module_exports!();
    };
}

/// `_init(9E)`, `_fini(9E)` and `_info(9E)` of a module of the kernel's, by their names, and what a program without the standard library has to have.
#[cfg(illumos_kernel)]
#[doc(hidden)]
#[macro_export]
macro_rules! __module_entry_points {
    ($name:literal) => {
        #[unsafe(no_mangle)]
        extern "C-unwind" fn _init() -> ::core::ffi::c_int {
            $crate::module::init(&STATE, &MODLINKAGE)
        }

        #[unsafe(no_mangle)]
        extern "C-unwind" fn _fini() -> ::core::ffi::c_int {
            $crate::module::fini(&STATE, &MODLINKAGE)
        }

        #[unsafe(no_mangle)]
        unsafe extern "C-unwind" fn _info(modinfo: *mut sys::modinfo) -> ::core::ffi::c_int {
            // SAFETY: the kernel's argument, passed on.
            unsafe { $crate::module::info(&MODLINKAGE, modinfo) }
        }

        #[global_allocator]
        static ALLOCATOR: $crate::kmem::KmemAllocator = $crate::kmem::KmemAllocator;

        #[panic_handler]
        fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::module::panic_message(info);
            loop {}
        }
    };
}

/// The same for a host's table of linked-in drivers.
#[cfg(not(illumos_kernel))]
#[doc(hidden)]
#[macro_export]
macro_rules! __module_entry_points {
    ($name:literal) => {
        extern "C-unwind" fn _init() -> ::core::ffi::c_int {
            $crate::module::init(&STATE, &MODLINKAGE)
        }

        extern "C-unwind" fn _fini() -> ::core::ffi::c_int {
            $crate::module::fini(&STATE, &MODLINKAGE)
        }

        unsafe extern "C-unwind" fn _info(modinfo: *mut sys::modinfo) -> ::core::ffi::c_int {
            // SAFETY: the kernel's argument, passed on.
            unsafe { $crate::module::info(&MODLINKAGE, modinfo) }
        }

        /// The driver, for the host's table of linked-in drivers.
        pub static MODULE: $crate::module::Entry =
            $crate::module::Entry { name: $name, init: _init, fini: _fini, info: _info };
    };
}

/// A module of the kernel's has nothing for other crates.
#[cfg(illumos_kernel)]
#[doc(hidden)]
#[macro_export]
macro_rules! __module_exports {
    () => {};
}

/// The host's [`Entry`].
#[cfg(not(illumos_kernel))]
#[doc(hidden)]
#[macro_export]
macro_rules! __module_exports {
    () => {
        pub use devmap_module::MODULE;
    };
}
