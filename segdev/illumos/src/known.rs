//! What the module asks of a kernel before it trusts what is private in it: [`segdev_illumos_init`], called by `_init(9E)`. A kernel that differs
//! is refused, with a message: the module is not loaded.
//!
//! Checked at each use instead, because only a segment can show them: the members of `struct seg` (`create` in [`crate::segment`] refuses a
//! segment that does not begin as the one that was asked for).

use core::ffi::{CStr, c_int, c_void};
use core::ptr;

use ddi_sys as sys;
use segdev::{PAGE_SIZE, Pfn};

use crate::held;
use crate::memory::kernel_page;
use crate::platform::framework;

// The function that stands for "inherit" in the kernel's own tables: absent in kernels that have no such operation, and null here then.
core::arch::global_asm!(
    ".weak seg_inherit_notsup",
    ".pushsection .data.segdev_illumos_inherit, \"aw\"",
    ".balign 8",
    ".globl segdev_illumos_inherit",
    ".hidden segdev_illumos_inherit",
    "segdev_illumos_inherit: .quad seg_inherit_notsup",
    ".popsection",
);

unsafe extern "C" {
    static segdev_illumos_inherit: *const c_void;
}

/// Number of operations that all kernels have; the next one is `inherit`, or none.
const OPERATIONS: usize = 23;

/// `seg_ops`: the kernel's own segment driver of devices has as many operations as ours, and `inherit` behind them.
fn operations() -> bool {
    let table = (&raw const sys::segdev_ops).cast::<*const c_void>();
    let entry = |n| {
        // SAFETY: the kernel's table has these entries: `inherit` is only looked at in a kernel that has it.
        let entry = unsafe { table.add(n) };
        // SAFETY: as above; it is not changed.
        unsafe { *entry }
    };
    // SAFETY: defined above.
    let inherit = unsafe { segdev_illumos_inherit };
    let first = (0..OPERATIONS).all(|n| {
        let entry = entry(n);
        !entry.is_null() && entry != inherit
    });
    first && (inherit.is_null() || entry(OPERATIONS) == inherit)
}

/// `ddi_umem_cookie`: what is read of it is what was asked for. `as` and `hat`: the kernel's address space has translations for it.
fn cookies() -> bool {
    const PAGES: usize = 2;
    let kinds = [
        (sys::DDI_UMEM_SLEEP, sys::KMEM_NON_PAGEABLE),
        (sys::DDI_UMEM_SLEEP | sys::DDI_UMEM_PAGEABLE, sys::KMEM_PAGEABLE),
        (sys::DDI_UMEM_SLEEP | sys::DDI_UMEM_TRASH, sys::UMEM_TRASH),
    ];
    kinds.into_iter().all(|(flags, kind)| {
        let (size, mut cookie) = (PAGES * PAGE_SIZE as usize, ptr::null_mut());
        // SAFETY: a place for the cookie. _init(9E) may sleep.
        let memory = unsafe { sys::ddi_umem_alloc(size, flags, &mut cookie) };
        if cookie.is_null() {
            return false;
        }
        // SAFETY: a live cookie; whatever it is, it has more than these members.
        let found = unsafe { &*cookie.cast::<sys::ddi_umem_cookie>() };
        let as_asked = found.size == size && found.type_ as i32 == kind;
        let good = as_asked && (kind == sys::UMEM_TRASH || found.cvaddr.cast() == memory) && {
            let page = |n: usize| kernel_page(found.cvaddr.wrapping_add(n * PAGE_SIZE as usize));
            kind != sys::KMEM_NON_PAGEABLE || page(0) != Pfn::MAX && page(1) != Pfn::MAX && page(0) != page(1)
        };
        // SAFETY: made above, and not mapped.
        unsafe { sys::ddi_umem_free(cookie) };
        good
    })
}

/// `kmutex_t`: zeroes are an adaptive mutex that nobody holds.
fn mutexes() -> bool {
    let mut word = sys::kmutex_t { _opaque: [ptr::null_mut()] };
    // SAFETY: a word that nobody else knows.
    if unsafe { sys::mutex_tryenter(&mut word) } == 0 {
        return false;
    }
    // SAFETY: entered above.
    unsafe { sys::mutex_exit(&mut word) };
    word._opaque[0].is_null()
}

fn unknown() -> Option<&'static CStr> {
    if !mutexes() {
        return Some(c"zeroes are no mutex");
    }
    if !operations() {
        return Some(c"struct seg_ops has other operations");
    }
    if !cookies() {
        return Some(c"struct ddi_umem_cookie has other members, or kas has");
    }
    None
}

/// `_init(9E)` of a module with its own framework: 0, or `ENOTSUP` after a message. Sleeps for memory.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn segdev_illumos_init() -> c_int {
    let Some(what) = unknown() else { return 0 };
    // SAFETY: the format takes one string.
    unsafe {
        sys::cmn_err(
            sys::CE_WARN,
            c"the module's devmap framework does not know this kernel: %s".as_ptr(),
            what.as_ptr(),
        )
    };
    sys::ENOTSUP
}

/// `_fini(9E)` of such a module, after mod_remove(9F): nothing is open or mapped any more. Waits for threads that are on their way out of its code.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn segdev_illumos_fini() {
    while held::inside() {
        // SAFETY: _fini(9E) may sleep.
        unsafe { sys::delay(1) };
    }
    framework().trim();
}
