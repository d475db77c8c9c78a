//! Static probes: what a module that uses this crate shows to DTrace. docs/dtrace/README.md is their reference.
//!
//! In a module file a probe is a call of a function that nobody has, which the kernel's loader replaces by nops and knows the place of. Such a call costs the nops
//! and what brings its arguments into registers; so each probe stands where they are there already: at the begin of a callback, or before the call of a
//! DDI function that has the same ones. Elsewhere there are none: a host that has the driver linked in records by itself.
//!
//! Any context, any lock held.

use core::ffi::{c_int, c_void};

use ddi_sys as sys;

macro_rules! probes {
    ($($(#[doc = $doc:literal])* $name:ident as $symbol:ident($($arg:ident: $type:ty = $register:tt),*);)*) => {
        $(
            $(#[doc = $doc])*
            #[inline(always)]
            pub(crate) fn $name($($arg: $type),*) {
                #[cfg(illumos_kernel)]
                {
                    unsafe extern "C" {
                        // By this name the loader knows it.
                        fn $symbol();
                    }
                    // SAFETY: loaded, this is five nops, or a trap at them, after which all registers and flags are what they were; under a host, a call of what
                    // keeps them. There is no red zone that the call's return address could lie in, and what is called needs no alignment of the stack.
                    unsafe {
                        core::arch::asm!(
                            "call {probe}",
                            probe = sym $symbol,
                            $(in($register) $arg,)*
                            options(nomem, nostack, preserves_flags)
                        );
                    }
                }
                #[cfg(not(illumos_kernel))]
                let _ = ($($arg,)*);
            }
        )*
    };
}

probes! {
    /// devmap_map(9E): a mapping comes to be.
    map as __dtrace_probe_devmap__map(
        dhp: sys::devmap_cookie_t = "rdi", dev: sys::dev_t = "rsi", flags: u32 = "rdx", off: i64 = "rcx", len: usize = "r8"
    );
    /// devmap_access(9E) begins.
    fault as __dtrace_probe_devmap__fault(
        dhp: sys::devmap_cookie_t = "rdi", pvt: *mut c_void = "rsi", off: i64 = "rdx", len: usize = "rcx", kind: u32 = "r8", rw: u32 = "r9"
    );
    /// devmap_access(9E) ends.
    fault_done as __dtrace_probe_devmap__fault__done(error: c_int = "rdi");
    /// devmap_load(9F) is called.
    load as __dtrace_probe_devmap__load(dhp: sys::devmap_cookie_t = "rdi", off: i64 = "rsi", len: usize = "rdx");
    /// devmap_unload(9F) is called.
    unload as __dtrace_probe_devmap__unload(dhp: sys::devmap_cookie_t = "rdi", off: i64 = "rsi", len: usize = "rdx");
    /// devmap_do_ctxmgt(9F) is called: the mapping wants the context of this engine, and waits for it if it must.
    context_wait as __dtrace_probe_devmap__context__wait(
        dhp: sys::devmap_cookie_t = "rdi", pvt: *mut c_void = "rsi", off: i64 = "rdx", len: usize = "rcx", engine: u32 = "r8", rw: u32 = "r9"
    );
    /// devmap_contextmgt(9E) begins: the mapping has the context.
    context_switch as __dtrace_probe_devmap__context__switch(
        dhp: sys::devmap_cookie_t = "rdi", pvt: *mut c_void = "rsi", off: i64 = "rdx", len: usize = "rcx", kind: u32 = "r8", rw: u32 = "r9"
    );
    /// devmap_dup(9E) begins.
    dup as __dtrace_probe_devmap__dup(
        dhp: sys::devmap_cookie_t = "rdi", pvt: *mut c_void = "rsi", new_dhp: sys::devmap_cookie_t = "rdx"
    );
    /// devmap_unmap(9E) begins; the other handle is that of what stays before, if anything does.
    unmap as __dtrace_probe_devmap__unmap(
        dhp: sys::devmap_cookie_t = "rdi", pvt: *mut c_void = "rsi", off: i64 = "rdx", len: usize = "rcx",
        before: sys::devmap_cookie_t = "r8"
    );
    /// The unmap takes the middle out: what stays behind is a new handle.
    split as __dtrace_probe_devmap__split(new_dhp: sys::devmap_cookie_t = "rdi");
    /// Accesses to a mapping fail from now on; its translations are about to be unloaded.
    revoke as __dtrace_probe_devmap__revoke(dhp: sys::devmap_cookie_t = "rdi", off: u64 = "rsi", len: usize = "rdx");
    /// devmap_umem_remap(9F) or devmap_devmem_remap(9F) is called.
    remap as __dtrace_probe_devmap__remap(
        dhp: sys::devmap_cookie_t = "rdi", dip: *mut sys::dev_info_t = "rsi", memory: usize = "rdx", start: i64 = "rcx", len: usize = "r8", max: u32 = "r9"
    );
}
