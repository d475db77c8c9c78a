//! Configuration space: 4096 bytes for each node that has a property `vendor-id`. And device ids.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use ddi_sys as sys;

use super::kernel;
use super::nodes::node;

fn space<'a>(handle: sys::ddi_acc_handle_t) -> &'a mut [u8; 4096] {
    let of = kernel().configs.get(&handle.expose_provenance()).copied();
    let of = of.expect("configuration space that is not set up") as *mut sys::dev_info_t;
    // SAFETY: a handle's node, which lives as long as the handle; tests are alone with it.
    &mut unsafe { node(of) }.config
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pci_config_setup(
    dip: *mut sys::dev_info_t,
    handle: *mut sys::ddi_acc_handle_t,
) -> c_int {
    let mut kernel = kernel();
    if kernel.refuses("pci_config_setup") {
        return sys::DDI_FAILURE;
    }
    let (id, of) = (kernel.fresh(), dip.expose_provenance());
    assert!(kernel.configs.values().all(|other| *other != of), "configuration space set up twice");
    kernel.configs.insert(id, of);
    // SAFETY: as pci_config_setup(9F): the caller's.
    unsafe { *handle = id as sys::ddi_acc_handle_t };
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pci_config_teardown(handle: *mut sys::ddi_acc_handle_t) {
    // SAFETY: as pci_config_teardown(9F).
    let handle = unsafe { *handle };
    kernel().configs.remove(&handle.expose_provenance()).expect("configuration space torn down once");
}

macro_rules! widths {
    ($($type:ty: $get:ident $put:ident;)*) => {
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C-unwind" fn $get(handle: sys::ddi_acc_handle_t, at: i64) -> $type {
                let bytes = &space(handle)[at as usize..][..size_of::<$type>()];
                <$type>::from_le_bytes(bytes.try_into().unwrap())
            }

            #[unsafe(no_mangle)]
            unsafe extern "C-unwind" fn $put(handle: sys::ddi_acc_handle_t, at: i64, value: $type) {
                space(handle)[at as usize..][..size_of::<$type>()].copy_from_slice(&value.to_le_bytes());
            }
        )*
    };
}
widths! {
    u8: pci_config_get8 pci_config_put8;
    u16: pci_config_get16 pci_config_put16;
    u32: pci_config_get32 pci_config_put32;
    u64: pci_config_get64 pci_config_put64;
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pci_save_config_regs(dip: *mut sys::dev_info_t) -> c_int {
    // SAFETY: as pci_save_config_regs(9F).
    let node = unsafe { node(dip) };
    node.saved_config = Some(node.config.clone());
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pci_restore_config_regs(dip: *mut sys::dev_info_t) -> c_int {
    // SAFETY: as pci_restore_config_regs(9F).
    let node = unsafe { node(dip) };
    match node.saved_config.take() {
        Some(saved) => {
            *node.config = *saved;
            sys::DDI_SUCCESS
        }
        None => sys::DDI_FAILURE,
    }
}

/// An id: its kind and bytes.
type Id = (u16, Vec<u8>);

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_devid_init(
    _: *mut sys::dev_info_t,
    kind: u16,
    len: u16,
    bytes: *mut c_void,
    to: *mut sys::ddi_devid_t,
) -> c_int {
    if (len == 0) != (c_int::from(kind) == sys::DEVID_FAB) {
        return sys::DDI_FAILURE;
    }
    let bytes = if bytes.is_null() {
        Vec::new()
    } else {
        // SAFETY: as ddi_devid_init(9F): so many bytes.
        unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), len.into()) }.to_vec()
    };
    let id: *mut Id = Box::into_raw(Box::new((kind, bytes)));
    kernel().devids.insert(id.expose_provenance());
    // SAFETY: likewise: the caller's.
    unsafe { *to = id.cast() };
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_devid_free(id: sys::ddi_devid_t) {
    assert!(kernel().devids.remove(&id.expose_provenance()), "a device id freed twice");
    // SAFETY: from ddi_devid_init, and freed once, as was just checked.
    drop(unsafe { Box::from_raw(id.cast::<Id>()) });
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_devid_register(dip: *mut sys::dev_info_t, id: sys::ddi_devid_t) -> c_int {
    if kernel().refuses("ddi_devid_register") {
        return sys::DDI_FAILURE;
    }
    // SAFETY: as ddi_devid_register(9F).
    unsafe { node(dip) }.devid = Some(id.expose_provenance());
    sys::DDI_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_devid_unregister(dip: *mut sys::dev_info_t) {
    // SAFETY: as ddi_devid_unregister(9F).
    assert!(unsafe { node(dip) }.devid.take().is_some(), "no device id is registered");
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_devid_str_encode(id: sys::ddi_devid_t, _: *mut c_char) -> *mut c_char {
    assert!(kernel().devids.contains(&id.expose_provenance()));
    // SAFETY: from ddi_devid_init, and not freed, as was just checked.
    let (kind, bytes) = unsafe { &*id.cast::<Id>() };
    CString::new(format!("id{kind},{}", String::from_utf8_lossy(bytes))).unwrap().into_raw()
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_devid_str_free(text: *mut c_char) {
    // SAFETY: from ddi_devid_str_encode.
    assert!(unsafe { CStr::from_ptr(text) }.to_bytes().starts_with(b"id"));
    // SAFETY: likewise, and freed once.
    drop(unsafe { CString::from_raw(text) });
}
