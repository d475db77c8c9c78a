//! Device nodes, their minors, and their registers.

use std::ffi::{CStr, c_char, c_int};

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
pub(super) unsafe fn node<'a>(dip: *mut sys::dev_info_t) -> &'a mut Node {
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
unsafe extern "C-unwind" fn ddi_node_name(_: *mut sys::dev_info_t) -> *const c_char {
    c"display".as_ptr()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_binding_name(_: *mut sys::dev_info_t) -> *const c_char {
    c"pci1af4,1110".as_ptr()
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

/// pseudo(4D) complains of who asks it for registers.
fn has_registers(node: &Node, op: u32) -> bool {
    if !node.properties.contains_key("reg") {
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
    attributes: *mut sys::ddi_device_acc_attr_t,
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
        .or_insert_with(|| (vec![0_u64; size.div_ceil(8)].leak().as_mut_ptr().expose_provenance(), size));
    let id = kernel.fresh();
    kernel.mapped_registers.insert(id);
    // SAFETY: as ddi_regs_map_setup(9F): the caller's.
    kernel.attributes.insert(id, unsafe { *attributes });
    // SAFETY: as ddi_regs_map_setup(9F): the caller's pointer.
    unsafe { *base = memory as *mut c_char };
    // SAFETY: likewise.
    unsafe { *handle = id as sys::ddi_acc_handle_t };
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_regs_map_free(handle: *mut sys::ddi_acc_handle_t) {
    // SAFETY: as ddi_regs_map_free(9F): the caller's handle.
    let id = unsafe { *handle }.expose_provenance();
    assert!(kernel().mapped_registers.remove(&id), "registers unmapped that are not mapped");
}

/// Whether a handle's accesses are swapped.
fn swaps(handle: sys::ddi_acc_handle_t) -> bool {
    let kernel = kernel();
    assert!(kernel.mapped_registers.contains(&handle.expose_provenance()), "registers that are not mapped");
    kernel.attributes[&handle.expose_provenance()].devacc_attr_endian_flags == sys::DDI_STRUCTURE_BE_ACC
}

/// Returns whether the registers at this address answer. If not, a handle that flags errors has one from now on.
fn answers(handle: sys::ddi_acc_handle_t, at: usize) -> bool {
    let mut kernel = kernel();
    let dead = kernel.dead_registers.iter().any(|dead| dead.contains(&at));
    if dead && !handle.is_null() {
        let flags = kernel.attributes[&handle.expose_provenance()].devacc_attr_access;
        assert_eq!(flags, sys::DDI_FLAGERR_ACC, "the machine stops");
        kernel.acc_errors.insert(handle.expose_provenance());
    }
    !dead
}

macro_rules! access {
    ($type:ty, $signed:ty: $get:ident $put:ident $rep_get:ident $rep_put:ident $peek:ident $poke:ident) => {
        #[unsafe(no_mangle)]
        unsafe extern "C-unwind" fn $get(handle: sys::ddi_acc_handle_t, at: *mut $type) -> $type {
            let swaps = swaps(handle);
            if !answers(handle, at.expose_provenance()) {
                return <$type>::MAX;
            }
            // SAFETY: as ddi_get8(9F): within the registers, which are ordinary memory here and stay for good.
            let value = unsafe { at.read_volatile() };
            if swaps { value.swap_bytes() } else { value }
        }
        #[unsafe(no_mangle)]
        unsafe extern "C-unwind" fn $put(handle: sys::ddi_acc_handle_t, at: *mut $type, value: $type) {
            let value = if swaps(handle) { value.swap_bytes() } else { value };
            if answers(handle, at.expose_provenance()) {
                // SAFETY: as ddi_put8(9F): within the registers.
                unsafe { at.write_volatile(value) };
            }
        }
        #[unsafe(no_mangle)]
        unsafe extern "C-unwind" fn $rep_get(
            handle: sys::ddi_acc_handle_t,
            to: *mut $type,
            from: *mut $type,
            count: usize,
            flags: u32,
        ) {
            let step = usize::from(flags == sys::DDI_DEV_AUTOINCR);
            for index in 0..count {
                // SAFETY: as ddi_rep_get8(9F): so many of them at either address, one of which is the registers.
                let value = unsafe { $get(handle, from.wrapping_add(index * step)) };
                // SAFETY: likewise.
                unsafe { to.wrapping_add(index).write(value) };
            }
        }
        #[unsafe(no_mangle)]
        unsafe extern "C-unwind" fn $rep_put(
            handle: sys::ddi_acc_handle_t,
            from: *mut $type,
            to: *mut $type,
            count: usize,
            flags: u32,
        ) {
            let step = usize::from(flags == sys::DDI_DEV_AUTOINCR);
            for index in 0..count {
                // SAFETY: as ddi_rep_get8(9F): so many of them at either address, one of which is the registers.
                let value = unsafe { from.wrapping_add(index).read() };
                // SAFETY: likewise.
                unsafe { $put(handle, to.wrapping_add(index * step), value) };
            }
        }
        #[unsafe(no_mangle)]
        unsafe extern "C-unwind" fn $peek(
            _: *mut sys::dev_info_t,
            from: *mut $signed,
            to: *mut $signed,
        ) -> c_int {
            if !answers(std::ptr::null_mut(), from.expose_provenance()) {
                return sys::DDI_FAILURE;
            }
            // SAFETY: as ddi_peek8(9F): within the registers, and the caller's number.
            unsafe { *to = from.read_volatile() };
            sys::DDI_SUCCESS
        }
        #[unsafe(no_mangle)]
        unsafe extern "C-unwind" fn $poke(
            _: *mut sys::dev_info_t,
            to: *mut $signed,
            value: $signed,
        ) -> c_int {
            if !answers(std::ptr::null_mut(), to.expose_provenance()) {
                return sys::DDI_FAILURE;
            }
            // SAFETY: as ddi_poke8(9F): within the registers.
            unsafe { to.write_volatile(value) };
            sys::DDI_SUCCESS
        }
    };
}
access!(u8, i8: ddi_get8 ddi_put8 ddi_rep_get8 ddi_rep_put8 ddi_peek8 ddi_poke8);
access!(u16, i16: ddi_get16 ddi_put16 ddi_rep_get16 ddi_rep_put16 ddi_peek16 ddi_poke16);
access!(u32, i32: ddi_get32 ddi_put32 ddi_rep_get32 ddi_rep_put32 ddi_peek32 ddi_poke32);
access!(u64, i64: ddi_get64 ddi_put64 ddi_rep_get64 ddi_rep_put64 ddi_peek64 ddi_poke64);
