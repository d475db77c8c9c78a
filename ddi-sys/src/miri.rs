//! Stand-ins for tests under Miri, in place of the kernel's data and variadic functions: Miri knows no data that others define, and calls a function only as what it is, which for those of a
//! test's kernel is: with so many parameters as `devmap` passes.
#![allow(missing_docs, non_upper_case_globals, clashing_extern_declarations)]

use core::ffi::{c_char, c_int};

use core::ptr;

use crate::{as_, cred, dev_info_t, dev_ops, kcondvar_t, kmutex_t, mod_ops, pfn_t, pri_t, proc_t};

pub static mut _pagesize: core::ffi::c_ulong = 4096;
pub static mut devopsp: *mut *mut dev_ops = ptr::null_mut();
pub static mut kas: as_ = as_ {
    a_contents: kmutex_t { _opaque: [ptr::null_mut()] },
    a_flags: 0,
    a_vbits: 0,
    a_cv: kcondvar_t { _opaque: 0 },
    a_hat: ptr::null_mut(),
};
pub static mut kcred: *mut cred = ptr::null_mut();
pub static mut minclsyspri: pri_t = 60;
pub static mut mod_driverops: mod_ops = mod_ops { modm_install: None, modm_remove: None, modm_info: None };
// SAFETY: it has no fields.
pub static mut p0: proc_t = unsafe { core::mem::zeroed() };
pub static mut ncpus_online: c_int = 2;
pub static mut physmax: pfn_t = (1 << 24) - 1;
/// The 24 operations that kernels have, and a place behind them.
pub static mut segdev_ops: [usize; 25] = [0; 25];

unsafe extern "C-unwind" {
    pub fn cmn_err(level: c_int, format: *const c_char, argument: *const c_char);
    pub fn ddi_fm_ereport_post(
        dip: *mut dev_info_t,
        class: *const c_char,
        ena: u64,
        sleep: c_int,
        version_name: *const c_char,
        version_type: u32,
        version: c_int,
        n1: *const c_char,
        t1: u32,
        v1: u64,
        n2: *const c_char,
        t2: u32,
        v2: u64,
        n3: *const c_char,
        t3: u32,
        v3: u64,
        n4: *const c_char,
        t4: u32,
        v4: u64,
        n5: *const c_char,
        t5: u32,
        v5: u64,
        n6: *const c_char,
        t6: u32,
        v6: u64,
        end: *const c_char,
    );
}
