//! kstats of named values.

use std::ffi::{c_char, c_int};

use ddi_sys as sys;

use super::kernel;
use super::nodes::text;

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kstat_create(
    module: *const c_char,
    instance: c_int,
    name: *const c_char,
    class: *const c_char,
    kind: u8,
    count: u32,
    flags: u8,
) -> *mut sys::kstat_t {
    // SAFETY: as kstat_create(9F): a string.
    let module = unsafe { text(module) };
    // SAFETY: likewise.
    let name = unsafe { text(name) };
    // SAFETY: likewise.
    let class = unsafe { text(class) };
    assert_eq!((class, kind, flags), ("misc", sys::KSTAT_TYPE_NAMED, 0));
    let mut kernel = kernel();
    let id = format!("{module}:{instance}:{name}");
    if kernel.kstats.contains_key(&id) || kernel.refuses("kstat_create") {
        return std::ptr::null_mut();
    }
    // SAFETY: numbers, bytes and pointers, for all of which zero is a value.
    let value = || unsafe { std::mem::zeroed::<sys::kstat_named_t>() };
    let values: Vec<sys::kstat_named_t> = (0..count).map(|_| value()).collect();
    // SAFETY: as above.
    let mut kstat: Box<sys::kstat_t> = Box::new(unsafe { std::mem::zeroed() });
    kstat.ks_data = Box::leak(values.into_boxed_slice()).as_mut_ptr().cast();
    kstat.ks_ndata = count;
    let kstat = Box::into_raw(kstat);
    kernel.kstats.insert(id, kstat.addr());
    kstat
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kstat_named_init(value: *mut sys::kstat_named_t, name: *const c_char, kind: u8) {
    // SAFETY: as kstat_named_init(9F): one of the values of a kstat that is not installed yet.
    let value = unsafe { &mut *value };
    // SAFETY: likewise: a string.
    let name = unsafe { text(name) };
    value.data_type = kind;
    for (to, from) in value.name.iter_mut().zip(name.bytes()) {
        *to = from as c_char;
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kstat_install(_: *mut sys::kstat_t) {}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kstat_delete(kstat: *mut sys::kstat_t) {
    kernel().kstats.retain(|_, at| *at != kstat.addr());
    // SAFETY: as kstat_delete(9F): made by kstat_create, and off the list now.
    let kstat = unsafe { Box::from_raw(kstat) };
    let values = std::ptr::slice_from_raw_parts_mut(
        kstat.ks_data.cast::<sys::kstat_named_t>(),
        kstat.ks_ndata as usize,
    );
    // SAFETY: so many values were leaked when it was made, and go with it.
    drop(unsafe { Box::from_raw(values) });
}

/// A kstat's values by name.
pub fn kstat(id: &str) -> Vec<(String, u64)> {
    let kernel = kernel();
    // SAFETY: on the list, so it lives, and the list is locked.
    let kstat = unsafe { &*(kernel.kstats[id] as *const sys::kstat_t) };
    // SAFETY: it has so many.
    let values = unsafe {
        std::slice::from_raw_parts(kstat.ks_data.cast::<sys::kstat_named_t>(), kstat.ks_ndata as usize)
    };
    // SAFETY: a name is shorter than its place, which was zero.
    let name = |value: &sys::kstat_named_t| unsafe { text(value.name.as_ptr()) }.to_owned();
    // SAFETY: all are of this type.
    let number = |value: &sys::kstat_named_t| unsafe { value.value.ui64 };
    values.iter().map(|value| (name(value), number(value))).collect()
}
