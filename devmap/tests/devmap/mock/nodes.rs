//! Device nodes, their minors and properties, and their registers.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::Mutex;

use ddi_sys as sys;

use super::{Node, kernel};

/// # Safety
/// A string that ends in NUL and lives as long as the caller uses what comes back.
pub(super) unsafe fn text<'a>(text: *const c_char) -> &'a str {
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap()
}

/// # Safety
/// A node that `Booted::attach` has made, of which there is no other reference.
unsafe fn node<'a>(dip: *mut sys::dev_info_t) -> &'a mut Node {
    // SAFETY: the caller's promise.
    unsafe { &mut *dip.cast::<Node>() }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_get_instance(dip: *mut sys::dev_info_t) -> c_int {
    // SAFETY: as ddi_get_instance(9F).
    unsafe { node(dip) }.instance
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_driver_name(dip: *mut sys::dev_info_t) -> *const c_char {
    // SAFETY: as ddi_driver_name(9F).
    unsafe { node(dip) }.driver.as_ptr()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_report_dev(_: *mut sys::dev_info_t) {}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_create_minor_node(
    dip: *mut sys::dev_info_t,
    name: *mut c_char,
    kind: c_int,
    minor: u32,
    node_type: *mut c_char,
    flag: c_int,
) -> c_int {
    assert_eq!((kind, flag), (sys::S_IFCHR as c_int, 0));
    if kernel().refuses("ddi_create_minor_node") {
        return sys::DDI_FAILURE;
    }
    // SAFETY: as ddi_create_minor_node(9F).
    let node = unsafe { node(dip) };
    // SAFETY: likewise: a string.
    let name = unsafe { text(name) };
    if node.minors.iter().any(|(other, _)| other == name) {
        return sys::DDI_FAILURE;
    }
    node.minors.push((name.into(), minor));
    // SAFETY: likewise: a string.
    node.kinds.push(unsafe { text(node_type) }.into());
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_create_priv_minor_node(
    dip: *mut sys::dev_info_t,
    name: *mut c_char,
    kind: c_int,
    minor: u32,
    node_type: *mut c_char,
    flag: c_int,
    read: *const c_char,
    write: *const c_char,
    mode: u32,
) -> c_int {
    // SAFETY: as ddi_create_minor_node(9F).
    let result = unsafe { ddi_create_minor_node(dip, name, kind, minor, node_type, flag) };
    if result == sys::DDI_SUCCESS {
        // SAFETY: as ddi_create_priv_minor_node: strings.
        let read = unsafe { text(read) };
        // SAFETY: as above.
        let write = unsafe { text(write) };
        // SAFETY: as above.
        let node = unsafe { node(dip) };
        node.kinds.last_mut().unwrap().push_str(&format!(" {read} {write} {mode:o}"));
    }
    result
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_remove_minor_node(dip: *mut sys::dev_info_t, name: *mut c_char) {
    assert!(name.is_null());
    // SAFETY: as ddi_remove_minor_node(9F).
    let node = unsafe { node(dip) };
    (node.minors, node.kinds) = (Vec::new(), Vec::new());
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_prop_get_int(
    _: sys::dev_t,
    dip: *mut sys::dev_info_t,
    flags: u32,
    name: *mut c_char,
    default: c_int,
) -> c_int {
    assert_eq!(flags, sys::DDI_PROP_DONTPASS);
    // SAFETY: as ddi_prop_get_int(9F).
    let node = unsafe { node(dip) };
    // SAFETY: likewise: a string.
    let name = unsafe { text(name) };
    node.properties.get(name).copied().unwrap_or(default)
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_prop_exists(
    _: sys::dev_t,
    dip: *mut sys::dev_info_t,
    _: u32,
    name: *mut c_char,
) -> c_int {
    // SAFETY: as ddi_prop_exists(9F).
    let node = unsafe { node(dip) };
    // SAFETY: likewise: a string.
    let name = unsafe { text(name) };
    (node.properties.contains_key(name) || node.ints_properties.contains_key(name)).into()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_prop_lookup_string(
    _: sys::dev_t,
    dip: *mut sys::dev_info_t,
    _: u32,
    name: *mut c_char,
    value: *mut *mut c_char,
) -> c_int {
    // SAFETY: as ddi_prop_lookup_string(9F).
    let node = unsafe { node(dip) };
    // SAFETY: likewise: a string.
    let name = unsafe { text(name) };
    match node.text_properties.get(name) {
        Some(text) => {
            // SAFETY: likewise: the caller's pointer.
            unsafe { *value = give(CString::new(text.as_str()).unwrap().as_bytes_with_nul()).cast() };
            sys::DDI_PROP_SUCCESS
        }
        None => sys::DDI_PROP_NOT_FOUND,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_prop_free(value: *mut c_void) {
    let words = GIVEN.lock().unwrap().remove(&value.addr()).expect("a property's value, freed once");
    let words = std::ptr::slice_from_raw_parts_mut(value.cast::<u64>(), words);
    // SAFETY: what `give` made of a box of so many words.
    drop(unsafe { Box::from_raw(words) });
}

/// The values that lookups have given: words by address.
static GIVEN: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

/// A copy that ddi_prop_free frees.
fn give(bytes: &[u8]) -> *mut u8 {
    let words = bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_ne_bytes(word)
    });
    let copy: Box<[u64]> = words.collect();
    let len = copy.len();
    let copy = Box::into_raw(copy).cast::<u8>();
    GIVEN.lock().unwrap().insert(copy.addr(), len);
    copy
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_prop_lookup_int_array(
    _: sys::dev_t,
    dip: *mut sys::dev_info_t,
    flags: u32,
    name: *mut c_char,
    value: *mut *mut c_int,
    count: *mut u32,
) -> c_int {
    assert_eq!(flags, sys::DDI_PROP_DONTPASS);
    // SAFETY: as ddi_prop_lookup_int_array(9F).
    let node = unsafe { node(dip) };
    // SAFETY: likewise: a string.
    let name = unsafe { text(name) };
    let Some(ints) = node.ints_properties.get(name) else { return sys::DDI_PROP_NOT_FOUND };
    let bytes: Vec<u8> = ints.iter().flat_map(|int| int.to_ne_bytes()).collect();
    // SAFETY: likewise: the caller's pointer.
    unsafe { *value = give(&bytes).cast() };
    // SAFETY: likewise.
    unsafe { *count = ints.len() as u32 };
    sys::DDI_PROP_SUCCESS
}

/// pseudo(4D) complains of who asks it for registers.
fn has_registers(node: &Node, op: u32) -> bool {
    if !node.ints_properties.contains_key("reg") {
        let driver = node.driver.to_str().unwrap();
        kernel().log.push(format!("0 pseudo0: invalid op ({op}) from {driver}{}", node.instance));
        return false;
    }
    true
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_dev_nregs(dip: *mut sys::dev_info_t, count: *mut c_int) -> c_int {
    // SAFETY: as ddi_dev_nregs(9F).
    let node = unsafe { node(dip) };
    if !has_registers(node, 6) {
        return sys::DDI_FAILURE;
    }
    // SAFETY: likewise: the caller's number.
    unsafe { *count = node.registers.len() as c_int };
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_dev_regsize(
    dip: *mut sys::dev_info_t,
    set: u32,
    len: *mut sys::off_t,
) -> c_int {
    // SAFETY: as ddi_dev_regsize(9F).
    let node = unsafe { node(dip) };
    if !has_registers(node, 5) {
        return sys::DDI_FAILURE;
    }
    match node.registers.get(set as usize) {
        Some(size) => {
            // SAFETY: likewise: the caller's number.
            unsafe { *len = *size as sys::off_t };
            sys::DDI_SUCCESS
        }
        None => sys::DDI_FAILURE,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_regs_map_setup(
    dip: *mut sys::dev_info_t,
    set: u32,
    base: *mut *mut c_char,
    offset: i64,
    len: i64,
    _: *mut sys::ddi_device_acc_attr_t,
    handle: *mut sys::ddi_acc_handle_t,
) -> c_int {
    assert_eq!((offset, len), (0, 0));
    // SAFETY: as ddi_regs_map_setup(9F).
    let node = unsafe { node(dip) };
    let size = node.registers[set as usize];
    let mut kernel = kernel();
    if kernel.refuses("ddi_regs_map_setup") {
        return sys::DDI_FAILURE;
    }
    let (memory, _) = *kernel
        .register_sets
        .entry((node.instance, set))
        .or_insert_with(|| (vec![0_u64; size.div_ceil(8)].leak().as_mut_ptr().addr(), size));
    let id = kernel.fresh();
    kernel.mapped_registers.insert(id);
    // SAFETY: as ddi_regs_map_setup(9F): the caller's pointer.
    unsafe { *base = memory as *mut c_char };
    // SAFETY: likewise.
    unsafe { *handle = id as sys::ddi_acc_handle_t };
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_regs_map_free(handle: *mut sys::ddi_acc_handle_t) {
    // SAFETY: as ddi_regs_map_free(9F): the caller's handle.
    let id = unsafe { *handle }.addr();
    assert!(kernel().mapped_registers.remove(&id), "registers unmapped that are not mapped");
}

macro_rules! access {
    ($type:ty, $get:ident, $put:ident, $rep_get:ident, $rep_put:ident) => {
        #[unsafe(no_mangle)]
        unsafe extern "C-unwind" fn $get(handle: sys::ddi_acc_handle_t, at: *mut $type) -> $type {
            assert!(kernel().mapped_registers.contains(&handle.addr()), "registers that are not mapped");
            // SAFETY: as ddi_get8(9F): within the registers, which are ordinary memory here and stay for good.
            unsafe { at.read_volatile() }
        }
        #[unsafe(no_mangle)]
        unsafe extern "C-unwind" fn $put(_: sys::ddi_acc_handle_t, at: *mut $type, value: $type) {
            // SAFETY: as ddi_put8(9F): within the registers.
            unsafe { at.write_volatile(value) };
        }
        #[unsafe(no_mangle)]
        unsafe extern "C-unwind" fn $rep_get(
            _: sys::ddi_acc_handle_t,
            to: *mut $type,
            from: *mut $type,
            count: usize,
            flags: u32,
        ) {
            assert_eq!(flags, sys::DDI_DEV_AUTOINCR);
            // SAFETY: as ddi_rep_get8(9F): so many of them at either address, one of which is the registers.
            unsafe { to.copy_from(from, count) };
        }
        #[unsafe(no_mangle)]
        unsafe extern "C-unwind" fn $rep_put(
            _: sys::ddi_acc_handle_t,
            from: *mut $type,
            to: *mut $type,
            count: usize,
            flags: u32,
        ) {
            assert_eq!(flags, sys::DDI_DEV_AUTOINCR);
            // SAFETY: as ddi_rep_get8(9F): so many of them at either address, one of which is the registers.
            unsafe { to.copy_from(from, count) };
        }
    };
}
access!(u8, ddi_get8, ddi_put8, ddi_rep_get8, ddi_rep_put8);
access!(u16, ddi_get16, ddi_put16, ddi_rep_get16, ddi_rep_put16);
access!(u32, ddi_get32, ddi_put32, ddi_rep_get32, ddi_rep_put32);
access!(u64, ddi_get64, ddi_put64, ddi_rep_get64, ddi_rep_put64);
