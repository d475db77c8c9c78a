//! The kernel's data for tests under Miri, which knows no data that others define.
#![allow(missing_docs, non_upper_case_globals)]

use crate::{mod_ops, pfn_t, pri_t, proc_t};

pub static mut _pagesize: core::ffi::c_ulong = 4096;
pub static mut minclsyspri: pri_t = 60;
pub static mut mod_driverops: mod_ops = mod_ops { modm_install: None, modm_remove: None, modm_info: None };
// SAFETY: it has no fields.
pub static mut p0: proc_t = unsafe { core::mem::zeroed() };
pub static mut physmax: pfn_t = (1 << 24) - 1;
