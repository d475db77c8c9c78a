//! The data symbols that drivers load from. Modules see copies within their reach, made when the first is loaded, so
//! what is here does not change after the start.

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_ulonglong};

use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use ddi_sys::{cred, dev_ops, mod_ops, pgcnt_t, pri_t, taskq_t, vmem_t};

use super::{Address, Group, Symbol};
use crate::kern::cred::KERNEL_CRED;
use crate::kern::image::{self, Image};
use crate::kern::{drivers, thread};

/// Defines data symbols; each is exported and listed.
macro_rules! data {
    ($( $(#[$meta:meta])* $name:ident: $ty:ty = $value:expr; )*) => {
        $(
            $(#[$meta])*
            #[allow(non_upper_case_globals)]
            #[unsafe(no_mangle)]
            pub static $name: $ty = $value;
            const _: fn() -> *const $ty = || (&raw const ddi_sys::$name).cast_mut().cast();
        )*
        /// The table of data symbols.
        pub static SYMBOLS: Group = &[&[
            $( Symbol {
                name: stringify!($name),
                address: Address((&raw const $name).cast()),
                size: size_of::<$ty>(),
            }, )*
        ]];
    };
}

/// A pointer in a static.
#[repr(transparent)]
#[derive(Debug)]
pub struct Pointer<T>(pub *mut T);

// SAFETY: only an address; what it points to is a driver's or an opaque image's business.
unsafe impl<T> Sync for Pointer<T> {}

/// `struct utsname`: five names of 256 characters at most.
#[repr(transparent)]
#[derive(Debug)]
pub struct Names([[u8; 257]; 5]);

impl Names {
    /// System, node, release, version and machine.
    const fn illumos() -> Self {
        let names = [b"SunOS" as &[u8], b"ddi-host", b"5.11", b"illumos", b"i86pc"];
        let mut all = [[0; 257]; 5];
        let mut i = 0;
        while i < names.len() {
            all[i].split_at_mut(names[i].len()).0.copy_from_slice(names[i]);
            i += 1;
        }
        Names(all)
    }
}

use ddi_process::physmem::PAGE_SIZE as PAGE;
/// Pages of physical memory: 16 GiB, as the memfd.
const PAGES: pgcnt_t = (16 << 30) / PAGE;
const NO_OPS: mod_ops = mod_ops { modm_install: None, modm_remove: None, modm_info: None };

data! {
    /// Ticks per second.
    hz: c_int = crate::kern::clock::HZ as c_int;
    /// Milliseconds of a tick.
    msec_per_tick: c_int = 1000 / crate::kern::clock::HZ as c_int;
    /// Ticks of a millisecond; 0 when hz is below 1000.
    tick_per_msec: c_int = crate::kern::clock::HZ as c_int / 1000;
    /// Microseconds of a tick.
    usec_per_tick: c_int = 1_000_000 / crate::kern::clock::HZ as c_int;
    /// Nanoseconds of a tick.
    nsec_per_tick: c_int = 1_000_000_000 / crate::kern::clock::HZ as c_int;
    /// Page size.
    _pagesize: c_ulong = PAGE;
    /// Logarithm of the page size.
    _pageshift: c_uint = 12;
    /// The offset bits.
    _pageoffset: c_ulong = PAGE - 1;
    /// The others.
    _pagemask: c_ulonglong = !(PAGE - 1);
    /// As _pagesize.
    _mmu_pagesize: c_ulong = PAGE;
    /// As _pageshift.
    _mmu_pageshift: c_uint = 12;
    /// As _pageoffset.
    _mmu_pageoffset: c_ulong = PAGE - 1;
    /// As _pagemask.
    _mmu_pagemask: c_ulong = !(PAGE - 1);
    /// Bytes of a page.
    _nbpg: c_uint = PAGE as c_uint;
    /// Processors at most.
    _ncpu: c_int = 256;
    /// Stack of a kernel thread, bytes.
    _defaultstksz: c_ulong = 5 * PAGE;
    /// Start of the kernel's addresses.
    _kernelbase: usize = 0xffff_fd80_0000_0000;
    /// End of user addresses.
    _userlimit: usize = crate::kern::image::USER_LIMIT;
    /// End of the addresses of 32-bit processes.
    _userlimit32: usize = 0xfefff000;
    /// Processors.
    ncpus: c_int = 2;
    /// Processors online.
    ncpus_online: c_int = 2;
    /// Processors at most.
    max_ncpus: c_int = 256;
    /// Pages of physical memory.
    physmem: pgcnt_t = PAGES;
    /// The highest page frame.
    physmax: pgcnt_t = PAGES - 1;
    /// Pages that the system may use.
    maxmem: pgcnt_t = PAGES;
    /// Pages that may be locked.
    availrmem: pgcnt_t = PAGES;
    /// Priorities of kernel threads.
    minclsyspri: pri_t = 60;
    /// Priorities of kernel threads.
    maxclsyspri: pri_t = 99;
    /// Debugging flags of the module loader.
    moddebug: c_int = 0;
    /// Not NULL in a panic.
    panicstr: Pointer<c_char> = Pointer(std::ptr::null_mut());
    /// The kind of linkage element a driver is; only the address matters.
    mod_driverops: mod_ops = NO_OPS;
    /// The kind of a module that only exports functions.
    mod_miscops: mod_ops = NO_OPS;
    /// The kind of a STREAMS module.
    mod_strmodops: mod_ops = NO_OPS;
    /// The kernel's credential.
    kcred: Pointer<cred> = Pointer((&raw const KERNEL_CRED).cast_mut().cast());
    /// The operations of device segments: which there are matters, and the address.
    segdev_ops: Image<192> = Image::zeroed();
    /// The kernel's address space.
    kas: image::SpaceMemory = Image::zeroed();
    /// The vnodes that name the kernel's own pages.
    kvps: [Image<256>; 2] = [Image::zeroed(), Image::zeroed()];
    /// Pages that may not be used up.
    swapfs_minfree: pgcnt_t = PAGES / 8;
    /// Pages that could be locked at first.
    availrmem_initial: pgcnt_t = PAGES;
    /// Pages that are free.
    freemem: pgcnt_t = PAGES;
    /// Protects the counts of pages.
    freemem_lock: AtomicU64 = AtomicU64::new(0);
    /// Address at which the kernel maps the arguments of exec.
    _argsbase: usize = 0xffff_ffff_ffc0_0000;
    /// Names that uname(2) returns.
    utsname: Names = Names::illumos();
    /// The only zone; only its address matters.
    zone0: Image<4096> = Image::zeroed();
    /// The same.
    global_zone: Pointer<Image<4096>> = Pointer((&raw const zone0).cast_mut());
    /// The kernel's process.
    p0: image::ProcessMemory = Image::zeroed();
    /// The drivers' operations by major number.
    devopsp: Pointer<*mut dev_ops> = Pointer((&raw const drivers::DEV_OPS).cast_mut().cast());
    /// The system's task queue.
    system_taskq: AtomicPtr<taskq_t> = AtomicPtr::new(std::ptr::null_mut());
    /// The arena of kernel addresses that drivers map themselves.
    heap_arena: AtomicPtr<vmem_t> = AtomicPtr::new(std::ptr::null_mut());
}

/// Fills in the data that cannot be constants. Done before anyone can look a symbol up.
pub fn init() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        heap_arena.store(super::arenas::heap(), Ordering::Release);
        system_taskq.store(super::time::system_queue(), Ordering::Release);
        settle();
    });
}

/// Ties the kernel's own process to its address space where drivers see them: in the copies that modules have, if there are any. Called
/// again when there may be new ones.
pub fn settle() {
    let (process, space) = (ddi_krtld::seen_data(p0.address()), ddi_krtld::seen_data(kas.address()));
    // SAFETY: the static, or its copy: as many bytes, aligned likewise, never freed, and nothing of the host's reads them.
    let process_image = unsafe { Image::at(process) };
    // SAFETY: as above.
    let space_image = unsafe { Image::at(space) };
    image::kernel_process(process_image, space_image, kcred.0 as usize);
    // SAFETY: as above.
    let operations = unsafe { Image::<192>::at(ddi_krtld::seen_data(segdev_ops.address())) };
    let function = |name, at: usize| ddi_krtld::stubs::function(name, at).unwrap_or(at);
    for n in 0..23 {
        operations.set(8 * n, function("segdev_ops", super::segments::no_operation as *const () as usize));
    }
    operations.set(
        8 * 23,
        function("seg_inherit_notsup", super::segments::seg_inherit_notsup as *const () as usize),
    );
    thread::set_kernel_process(process, kcred.0 as usize);
}
