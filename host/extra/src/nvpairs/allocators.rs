//! nv_alloc_init(9F): where the memory of lists comes from. kmem_alloc(9F), a buffer of the driver's, or functions of the
//! driver's.
//!
//! No locks; a buffer is the driver's to lock.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use ddi_sys::{EINVAL, nv_alloc_ops, nv_alloc_t};

use ddi_kernel::ddi::args::{Arguments, In, Memory, Out};
use ddi_kernel::ddi::data::Pointer;
use ddi_kernel::ddi::{Address, Group, Symbol, memory};
use ddi_kernel::kern::fields::Structure;

fields! {
    /// An allocator of lists.
    ///
    /// # Invariants
    /// An `nv_alloc_t` that nv_alloc_init(9F) made or that is the host's, with operations that stay; there as long as what it has allocated.
    pub struct Allocator at nv_alloc_t {
        nva_ops: *const nv_alloc_ops,
        nva_arg / set_arg: *mut c_void,
    }
}

fields! {
    /// The operations of an allocator.
    ///
    /// # Invariants
    /// An `nv_alloc_ops` that stays, whose functions are for the allocators that are made with it.
    struct Operations at nv_alloc_ops {
        nv_ao_fini: Option<unsafe extern "C-unwind" fn(*mut nv_alloc_t)>,
        nv_ao_alloc: Option<unsafe extern "C-unwind" fn(*mut nv_alloc_t, usize) -> *mut c_void>,
        nv_ao_free: Option<unsafe extern "C-unwind" fn(*mut nv_alloc_t, *mut c_void, usize)>,
        nv_ao_reset: Option<unsafe extern "C-unwind" fn(*mut nv_alloc_t)>,
    }
}

impl Allocator {
    fn operations(self) -> Option<Operations> {
        // SAFETY: the invariant: an allocator's operations stay.
        unsafe { Operations::at(self.nva_ops().cast_mut()) }
    }

    /// Returns memory, zeroed; NULL for none.
    pub fn allocate(self, size: usize) -> *mut c_void {
        let Some(alloc) = self.operations().and_then(Operations::nv_ao_alloc) else { return null_mut() };
        // SAFETY: the invariant: the allocator's own function.
        let memory = unsafe { alloc(self.pointer(), size) };
        if !memory.is_null() {
            // SAFETY: that much was allocated.
            unsafe { memory.write_bytes(0, size) };
        }
        memory
    }

    /// Frees a structure that it has allocated, with what is behind it; nobody uses it any more.
    pub fn release<S: Structure>(self, structure: S, size: usize) {
        if let Some(free) = self.operations().and_then(Operations::nv_ao_free) {
            // SAFETY: the invariant: the allocator's own function, with what it gave.
            unsafe { free(self.pointer(), structure.pointer().cast(), size) };
        }
    }

    /// Calls an operation that has no arguments.
    fn operate(self, operation: fn(Operations) -> Option<unsafe extern "C-unwind" fn(*mut nv_alloc_t)>) {
        if let Some(operation) = self.operations().and_then(operation) {
            // SAFETY: the invariant: the allocator's own function.
            unsafe { operation(self.pointer()) };
        }
    }
}

/// A list's memory in a buffer: this is at its start.
#[repr(C)]
struct Start {
    start: usize,
    end: usize,
    next: usize,
}

fields! {
    /// The buffer of an allocator.
    ///
    /// # Invariants
    /// A [`Start`] in a driver's buffer, which is there as long as the allocator and is the driver's to lock.
    struct Buffer at Start {
        start: usize,
        end: usize,
        next / set_next: usize,
    }
}

/// Returns the buffer of an allocator with these operations.
fn buffer(nva: Option<Allocator>) -> Option<Buffer> {
    // SAFETY: `fixed_init` has made it.
    unsafe { Buffer::at(nva?.nva_arg().cast()) }
}

callbacks! {
    fn sleeping(_nva: Option<Allocator>, size: usize) -> *mut c_void {
        memory::alloc(size, ddi_sys::KM_SLEEP)
    }

    fn not_sleeping(_nva: Option<Allocator>, size: usize) -> *mut c_void {
        memory::alloc(size, ddi_sys::KM_NOSLEEP)
    }

    fn to_kmem(_nva: Option<Allocator>, memory: *mut c_void, size: usize) {
        memory::free(memory, size, "nvlist_free");
    }

    /// nv_alloc_init with the buffer and its size.
    fn fixed_init(nva: Option<Allocator>, args: Arguments) -> c_int {
        let mut args = args;
        let (base, size): (Memory<u8>, usize) = (args.argument(), args.argument());
        let Some(nva) = nva.filter(|_| !base.is_null()) else { return EINVAL };
        let buffer = base.sized(size);
        let skipped = base.pointer().align_offset(align_of::<Start>());
        let first = skipped + size_of::<Start>();
        if size <= first {
            return EINVAL;
        }
        let (start, end) = (base.pointer().addr() + first, base.pointer().addr() + size);
        let numbers = [start, end, start].map(usize::to_ne_bytes);
        buffer.write(skipped, numbers.as_flattened());
        nva.set_arg(base.pointer().wrapping_add(skipped).cast());
        0
    }

    fn fixed_alloc(nva: Option<Allocator>, size: usize) -> *mut c_void {
        let Some(buffer) = buffer(nva) else { return null_mut() };
        let at = buffer.next();
        if size == 0 || size > buffer.end().saturating_sub(at) {
            return null_mut();
        }
        buffer.set_next((at + size).next_multiple_of(8));
        std::ptr::with_exposed_provenance_mut(at)
    }

    /// Frees nothing: what is freed is not used again before a reset.
    fn fixed_free(_nva: Option<Allocator>, _memory: *mut c_void, _size: usize) {}

    fn fixed_reset(nva: Option<Allocator>) {
        if let Some(buffer) = buffer(nva) {
            buffer.set_next(buffer.start());
        }
    }
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
        pub static DATA: Group = &[&[
            $( Symbol { name: stringify!($name), address: Address((&raw const $name).cast()), size: 8 }, )*
        ]];
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

/// Returns the host's allocator that stands for KM_SLEEP or KM_NOSLEEP.
pub(super) fn by_flag(kmflag: c_int) -> Option<Allocator> {
    let allocator = if kmflag == ddi_sys::KM_SLEEP { nv_alloc_sleep.0 } else { nv_alloc_nosleep.0 };
    // SAFETY: the host's own, which are there for ever.
    unsafe { Allocator::at(allocator) }
}

/// Makes an allocator.
pub(super) fn init(nva: Out<nv_alloc_t>, ops: In<nv_alloc_ops>, args: Arguments) -> c_int {
    nva.put(nv_alloc_t { nva_ops: ops.pointer(), nva_arg: null_mut() });
    match ops.get().and_then(|ops| ops.nv_ao_init) {
        // SAFETY: the driver's promise: the operations' own function, with the allocator that it is for and the arguments that it asks for.
        Some(init) => unsafe { init(nva.pointer(), args.pointer()) },
        None => 0,
    }
}

ddi! {
    /// nv_alloc_init(9F): as if nothing had been allocated.
    fn nv_alloc_reset(nva: Option<Allocator>) {
        if let Some(nva) = nva {
            nva.operate(Operations::nv_ao_reset);
        }
    }
    /// nv_alloc_init(9F).
    fn nv_alloc_fini(nva: Option<Allocator>) {
        if let Some(nva) = nva {
            nva.operate(Operations::nv_ao_fini);
        }
    }
}
