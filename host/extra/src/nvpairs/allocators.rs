//! nv_alloc_init(9F): where the memory of lists comes from. kmem_alloc(9F), a buffer of the driver's, or functions of the
//! driver's.
//!
//! No locks; a buffer is the driver's to lock.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use ddi_sys::{__va_list_tag, EINVAL, nv_alloc_ops, nv_alloc_t};

use ddi_kernel::ddi::data::Pointer;
use ddi_kernel::ddi::{Address, Symbol, memory};
use ddi_kernel::kern::printf::{Args, VaList};

unsafe extern "C-unwind" fn sleeping(_nva: *mut nv_alloc_t, size: usize) -> *mut c_void {
    memory::alloc(size, ddi_sys::KM_SLEEP)
}

unsafe extern "C-unwind" fn not_sleeping(_nva: *mut nv_alloc_t, size: usize) -> *mut c_void {
    memory::alloc(size, ddi_sys::KM_NOSLEEP)
}

unsafe extern "C-unwind" fn to_kmem(_nva: *mut nv_alloc_t, memory: *mut c_void, size: usize) {
    memory::free(memory, size, "nvlist_free");
}

/// A list's memory in a buffer: this is at its start.
#[repr(C)]
struct Buffer {
    start: usize,
    end: usize,
    next: usize,
}

/// nv_alloc_init with the buffer and its size.
unsafe extern "C-unwind" fn fixed_init(nva: *mut nv_alloc_t, args: *mut __va_list_tag) -> c_int {
    // SAFETY: the calling convention's structure.
    let args = unsafe { &mut *args.cast::<VaList>() };
    let (base, size) = (args.word() as usize, args.word() as usize);
    let at = base.next_multiple_of(8);
    let start = at + size_of::<Buffer>();
    if base == 0 || size <= start - base {
        return EINVAL;
    }
    let buffer: *mut Buffer = std::ptr::with_exposed_provenance_mut(at);
    // SAFETY: the driver's buffer, which is large enough.
    unsafe { buffer.write(Buffer { start, end: base + size, next: start }) };
    // SAFETY: the driver's promise.
    unsafe { (*nva).nva_arg = buffer.cast() };
    0
}

unsafe extern "C-unwind" fn fixed_alloc(nva: *mut nv_alloc_t, size: usize) -> *mut c_void {
    // SAFETY: an allocator that fixed_init made.
    let buffer: *mut Buffer = unsafe { (*nva).nva_arg }.cast();
    // SAFETY: as above.
    let buffer = unsafe { &mut *buffer };
    if size == 0 || size > buffer.end.saturating_sub(buffer.next) {
        return null_mut();
    }
    let at = buffer.next;
    buffer.next = (at + size).next_multiple_of(8);
    std::ptr::with_exposed_provenance_mut(at)
}

/// What is freed is not used again before a reset.
unsafe extern "C-unwind" fn fixed_free(_nva: *mut nv_alloc_t, _memory: *mut c_void, _size: usize) {}

unsafe extern "C-unwind" fn fixed_reset(nva: *mut nv_alloc_t) {
    // SAFETY: an allocator that fixed_init made.
    let buffer: *mut Buffer = unsafe { (*nva).nva_arg }.cast();
    // SAFETY: as above.
    let buffer = unsafe { &mut *buffer };
    buffer.next = buffer.start;
}

static SLEEP_OPS: nv_alloc_ops = nv_alloc_ops {
    nv_ao_init: None,
    nv_ao_fini: None,
    nv_ao_alloc: Some(sleeping),
    nv_ao_free: Some(to_kmem),
    nv_ao_reset: None,
};
static NOSLEEP_OPS: nv_alloc_ops = nv_alloc_ops { nv_ao_alloc: Some(not_sleeping), ..SLEEP_OPS };
static FIXED_OPS: nv_alloc_ops = nv_alloc_ops {
    nv_ao_init: Some(fixed_init),
    nv_ao_fini: None,
    nv_ao_alloc: Some(fixed_alloc),
    nv_ao_free: Some(fixed_free),
    nv_ao_reset: Some(fixed_reset),
};

/// An allocator in a static.
#[repr(transparent)]
struct Shared(nv_alloc_t);

// SAFETY: never written to: the operations of these allocators have no argument.
unsafe impl Sync for Shared {}

static SLEEP: Shared = Shared(nv_alloc_t { nva_ops: &raw const SLEEP_OPS, nva_arg: null_mut() });
static NOSLEEP: Shared = Shared(nv_alloc_t { nva_ops: &raw const NOSLEEP_OPS, nva_arg: null_mut() });

/// Defines the data symbols.
macro_rules! pointers {
    ($( $(#[$meta:meta])* $name:ident: $ty:ty = $value:expr; )*) => {
        $(
            $(#[$meta])*
            #[allow(non_upper_case_globals)]
            #[unsafe(no_mangle)]
            pub static $name: Pointer<$ty> = Pointer($value.cast_mut().cast());
            const _: fn() -> *const Pointer<$ty> = || (&raw const ddi_sys::$name).cast();
        )*
        /// The data symbols.
        pub static DATA: &[Symbol] = &[
            $( Symbol { name: stringify!($name), address: Address((&raw const $name).cast()), size: 8 }, )*
        ];
    };
}

pointers! {
    /// kmem_alloc(9F) with KM_SLEEP.
    nv_alloc_sleep: nv_alloc_t = &raw const SLEEP;
    /// kmem_alloc(9F) with KM_NOSLEEP.
    nv_alloc_nosleep: nv_alloc_t = &raw const NOSLEEP;
    /// A buffer of the driver's.
    nv_fixed_ops: nv_alloc_ops = &raw const FIXED_OPS;
}

/// nv_alloc_init with a va_list.
///
/// # Safety
/// `nva` is valid for a write, `ops` are an allocator's; what follows is what its init wants.
pub(crate) unsafe extern "C-unwind" fn vinit(
    nva: *mut nv_alloc_t,
    ops: *const nv_alloc_ops,
    args: *mut __va_list_tag,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { nva.write(nv_alloc_t { nva_ops: ops, nva_arg: null_mut() }) };
    // SAFETY: the caller's promise.
    match unsafe { (*ops).nv_ao_init } {
        // SAFETY: the allocator's own function.
        Some(init) => unsafe { init(nva, args) },
        None => 0,
    }
}

/// An allocator's operations.
///
/// # Safety
/// `nva` is an allocator.
pub(super) unsafe fn ops<'a>(nva: *mut nv_alloc_t) -> &'a nv_alloc_ops {
    // SAFETY: the caller's promise.
    let ops = unsafe { (*nva).nva_ops };
    // SAFETY: an allocator's operations stay.
    unsafe { &*ops }
}

ddi! {
    /// nv_alloc_init(9F): as if nothing had been allocated.
    fn nv_alloc_reset(nva: *mut nv_alloc_t) {
        // SAFETY: the driver's promise.
        if let Some(reset) = unsafe { ops(nva) }.nv_ao_reset {
            // SAFETY: the allocator's own function.
            unsafe { reset(nva) };
        }
    }
    /// nv_alloc_init(9F).
    fn nv_alloc_fini(nva: *mut nv_alloc_t) {
        // SAFETY: the driver's promise.
        if let Some(fini) = unsafe { ops(nva) }.nv_ao_fini {
            // SAFETY: the allocator's own function.
            unsafe { fini(nva) };
        }
    }
}
