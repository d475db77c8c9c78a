//! Fault management: capabilities, errors that the bus has seen of register accesses and DMA, reports.
//!
//! ddi_fm_ereport_post takes any number of arguments in C. Here it is a function of as many as devmap passes: they lie where a function
//! of that many finds them.

use std::ffi::{c_char, c_int};
use std::sync::Mutex;

use ddi_sys as sys;

use super::kernel;
use super::nodes::{node, text};

/// The reports that were posted: their class and what they say.
pub static REPORTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_fm_init(
    dip: *mut sys::dev_info_t,
    capabilities: *mut c_int,
    _: *mut sys::ddi_iblock_cookie_t,
) {
    // SAFETY: as ddi_fm_init(9F).
    let node = unsafe { node(dip) };
    assert!(node.fm.is_none(), "ddi_fm_init twice");
    // SAFETY: likewise: the caller's number.
    let wanted = unsafe { &mut *capabilities };
    *wanted &= kernel().fm_capable;
    node.fm = Some(*wanted);
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_fm_fini(dip: *mut sys::dev_info_t) {
    // SAFETY: as ddi_fm_fini(9F).
    let node = unsafe { node(dip) };
    assert!(node.fm.take().is_some(), "ddi_fm_fini without ddi_fm_init");
    assert!(node.in_attach_or_detach, "ddi_fm_fini outside of attach and detach");
    assert!(kernel().mapped_registers.is_empty(), "ddi_fm_fini with handles left");
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_fm_acc_err_get(
    handle: sys::ddi_acc_handle_t,
    error: *mut sys::ddi_fm_error_t,
    version: c_int,
) {
    assert_eq!(version, sys::DDI_FME_VERSION);
    let kernel = kernel();
    assert!(kernel.mapped_registers.contains(&handle.expose_provenance()), "registers that are not mapped");
    let failed = kernel.acc_errors.contains(&handle.expose_provenance());
    // SAFETY: as ddi_fm_acc_err_get(9F): the caller's.
    unsafe { (*error).fme_status = if failed { sys::DDI_FM_NONFATAL } else { sys::DDI_FM_OK } };
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_fm_acc_err_clear(handle: sys::ddi_acc_handle_t, version: c_int) {
    assert_eq!(version, sys::DDI_FME_VERSION);
    kernel().acc_errors.remove(&handle.expose_provenance());
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_fm_service_impact(dip: *mut sys::dev_info_t, impact: c_int) {
    // SAFETY: as ddi_fm_service_impact(9F).
    assert!(unsafe { node(dip) }.fm.is_some());
    REPORTS.lock().unwrap().push(format!("impact {impact}"));
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn fm_ena_generate(_: u64, format: u8) -> u64 {
    assert_eq!(c_int::from(format), sys::FM_ENA_FMT1);
    77
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ddi_fm_ereport_post(
    dip: *mut sys::dev_info_t,
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
) {
    // SAFETY: as ddi_fm_ereport_post(9F), here and below.
    assert!(unsafe { node(dip) }.fm.is_some());
    assert_eq!((ena, sleep, version_type, version), (77, sys::DDI_NOSLEEP, sys::DATA_TYPE_UINT8, 0));
    // SAFETY: as above.
    assert_eq!(unsafe { text(version_name) }, "version");
    assert!(end.is_null());
    // SAFETY: as above.
    let mut report = unsafe { text(class) }.to_owned();
    for (name, kind, value) in
        [(n1, t1, v1), (n2, t2, v2), (n3, t3, v3), (n4, t4, v4), (n5, t5, v5), (n6, t6, v6)]
    {
        if name.is_null() {
            break;
        }
        let value = match kind {
            sys::DATA_TYPE_UINT64 => value.to_string(),
            sys::DATA_TYPE_STRING => {
                let value = std::ptr::with_exposed_provenance(value as usize);
                // SAFETY: as above.
                unsafe { text(value) }.to_owned()
            }
            other => panic!("type {other}"),
        };
        // SAFETY: as above.
        report.push_str(&format!(" {}={value}", unsafe { text(name) }));
    }
    REPORTS.lock().unwrap().push(report);
}
