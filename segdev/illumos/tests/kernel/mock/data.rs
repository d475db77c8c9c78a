//! Data of the kernel: symbols of this program, or under Miri, which knows none that others define, `ddi-sys`'s own.

#[cfg(miri)]
pub use ddi_sys::{devopsp, kas, segdev_ops};

#[cfg(not(miri))]
pub use symbols::{devopsp, kas, segdev_ops};

#[cfg(not(miri))]
mod symbols {
    use std::ffi::c_int;
    use std::ptr::null_mut;

    use ddi_sys as sys;

    #[unsafe(no_mangle)]
    static mut ncpus_online: c_int = 2;
    #[unsafe(no_mangle)]
    static mut kcred: *mut sys::cred = null_mut();
    #[unsafe(no_mangle)]
    pub static mut devopsp: *mut *mut sys::dev_ops = null_mut();
    /// The operations of the kernel's own device segments. Only compared with one another.
    #[unsafe(no_mangle)]
    pub static mut segdev_ops: [usize; 25] = [0; 25];
    /// The kernel's address space: only its translations are used.
    #[unsafe(no_mangle)]
    pub static mut kas: sys::as_ = sys::as_ {
        a_contents: sys::kmutex_t { _opaque: [null_mut()] },
        a_flags: 0,
        a_vbits: 0,
        a_cv: sys::kcondvar_t { _opaque: 0 },
        a_hat: null_mut(),
    };
}
