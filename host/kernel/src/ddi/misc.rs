//! What has no bigger home: CPR callbacks, fault management, sysevents, bus events, PCI
//! configuration space.
//!
//! The host suspends nothing, has no fault management, no event daemon and no device that comes or goes: functions that
//! register for those succeed or say "not supported" as their manual pages provide, and nothing is ever called back.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};

use ddi_sys::{
    boolean_t, callb_id_t, ddi_acc_handle_t, ddi_callback_id_t, ddi_cb_flags_t, ddi_cb_func_t,
    ddi_cb_handle_t, ddi_dma_handle_t, ddi_err_func_t, ddi_eventcookie_t, ddi_fm_error_t,
    ddi_iblock_cookie_t, dev_info_t, nvlist_t, sysevent_id_t, uchar_t,
};

use parking_lot::Mutex;

use super::args::{Out, Text};
use crate::board::log;
use crate::kern::fields::Zeroed as _;
use crate::kern::left::{Kind, Left};
use crate::kern::nodes;
use crate::pci;

const FAILURE: c_int = ddi_sys::DDI_FAILURE;
const SUCCESS: c_int = ddi_sys::DDI_SUCCESS;

/// No error (DDI_FM_OK).
const NO_ERROR: ddi_fm_error_t = ddi_fm_error_t::ZEROED;

/// Events of a PCI slot. A cookie is the address of one of these.
static EVENTS: [&CStr; 2] = [ddi_sys::DDI_DEVI_REMOVE_EVENT, ddi_sys::DDI_DEVI_INSERT_EVENT];
/// Handlers of events, by their ids.
static HANDLERS: Mutex<BTreeMap<usize, Left>> = Mutex::new(BTreeMap::new());

ddi! {
    /// callb_add: for suspend and resume, which do not happen.
    fn callb_add(
        _func: Option<unsafe extern "C-unwind" fn(*mut c_void, c_int) -> boolean_t>,
        arg: *mut c_void,
        _class: c_int,
        _name: *mut c_char,
    ) -> callb_id_t {
        arg
    }
    /// callb_delete.
    fn callb_delete(_id: callb_id_t) -> c_int {
        0
    }
    /// callb_generic_cpr: the ready-made function for threads.
    fn callb_generic_cpr(_arg: *mut c_void, _code: c_int) -> boolean_t {
        ddi_sys::B_TRUE
    }

    /// ddi_fm_init(9F): no capability.
    fn ddi_fm_init(_dip: *mut dev_info_t, capabilities: Out<c_int>, _iblock: *mut ddi_iblock_cookie_t) {
        capabilities.set(ddi_sys::DDI_FM_NOT_CAPABLE);
    }
    /// ddi_fm_fini(9F).
    fn ddi_fm_fini(_dip: *mut dev_info_t) {}
    /// ddi_fm_capable(9F).
    fn ddi_fm_capable(_dip: *mut dev_info_t) -> c_int {
        ddi_sys::DDI_FM_NOT_CAPABLE
    }
    /// ddi_fm_acc_err_get(9F): no error.
    fn ddi_fm_acc_err_get(_handle: ddi_acc_handle_t, error: Out<ddi_fm_error_t>, _version: c_int) {
        error.put(NO_ERROR);
    }
    /// ddi_fm_acc_err_clear(9F).
    fn ddi_fm_acc_err_clear(_handle: ddi_acc_handle_t, _version: c_int) {}
    /// ddi_fm_dma_err_get(9F): no error.
    fn ddi_fm_dma_err_get(_handle: ddi_dma_handle_t, error: Out<ddi_fm_error_t>, _version: c_int) {
        error.put(NO_ERROR);
    }
    /// ddi_fm_dma_err_clear(9F).
    fn ddi_fm_dma_err_clear(_handle: ddi_dma_handle_t, _version: c_int) {}
    /// ddi_fm_handler_register(9F).
    fn ddi_fm_handler_register(_dip: *mut dev_info_t, _handler: ddi_err_func_t, _arg: *mut c_void) {}
    /// ddi_fm_handler_unregister(9F).
    fn ddi_fm_handler_unregister(_dip: *mut dev_info_t) {}
    /// ddi_fm_service_impact(9F).
    fn ddi_fm_service_impact(_dip: *mut dev_info_t, _impact: c_int) {}
    /// fm_ena_generate: a number that is not used twice.
    fn fm_ena_generate(timestamp: u64, format: uchar_t) -> u64 {
        timestamp << 4 | u64::from(format)
    }
    /// pci_ereport_setup(9F).
    fn pci_ereport_setup(_dip: *mut dev_info_t) {}
    /// pci_ereport_teardown(9F).
    fn pci_ereport_teardown(_dip: *mut dev_info_t) {}
    /// pci_ereport_post(9F).
    fn pci_ereport_post(_dip: *mut dev_info_t, _error: *mut ddi_fm_error_t, _status: *mut u16) {}

    /// ddi_log_sysevent(9F): to the log.
    fn ddi_log_sysevent(
        _dip: *mut dev_info_t,
        vendor: Text<*mut c_char>,
        class: Text<*mut c_char>,
        subclass: Text<*mut c_char>,
        _attributes: *mut nvlist_t,
        _id: *mut sysevent_id_t,
        _sleep: c_int,
    ) -> c_int {
        let vendor = vendor.text();
        let class = class.text();
        let subclass = subclass.text();
        log::line(log::To::Log, &format!("sysevent {vendor} {class} {subclass}"));
        SUCCESS
    }
    /// ddi_get_eventcookie(9F): a PCI slot has the events of coming and going; no other node has any.
    fn ddi_get_eventcookie(dip: *mut dev_info_t, name: Text<*mut c_char>, cookiep: Out<ddi_eventcookie_t>) -> c_int {
        let pci = nodes::of(dip).is_some_and(|node| pci::of(node).is_some());
        let name = name.text();
        let Some(at) = EVENTS.iter().position(|event| pci && event.to_string_lossy() == name) else { return FAILURE };
        cookiep.set(EVENTS.as_ptr().wrapping_add(at).cast_mut().cast());
        SUCCESS
    }
    /// ddi_add_event_handler(9F): devices here do not go, so nothing is called.
    fn ddi_add_event_handler(
        dip: *mut dev_info_t,
        cookie: ddi_eventcookie_t,
        handler: Option<
            unsafe extern "C-unwind" fn(*mut dev_info_t, ddi_eventcookie_t, *mut c_void, *mut c_void),
        >,
        _arg: *mut c_void,
        idp: Out<ddi_callback_id_t>,
    ) -> c_int {
        let known = EVENTS.as_ptr_range().contains(&cookie.cast_const().cast());
        let Some(handler) = handler.filter(|_| known && nodes::of(dip).is_some()) else { return FAILURE };
        let mut handlers = HANDLERS.lock();
        let id = handlers.last_key_value().map_or(1, |(last, _)| last + 1);
        handlers.insert(id, Left::new(Kind::EventHandler, handler as usize));
        idp.set(id as ddi_callback_id_t);
        SUCCESS
    }
    /// ddi_remove_event_handler(9F).
    fn ddi_remove_event_handler(id: ddi_callback_id_t) -> c_int {
        let removed = HANDLERS.lock().remove(&(id as usize));
        if removed.is_some() { SUCCESS } else { FAILURE }
    }
    /// ddi_cb_register(9F).
    fn ddi_cb_register(
        _dip: *mut dev_info_t,
        _flags: ddi_cb_flags_t,
        _func: ddi_cb_func_t,
        _arg1: *mut c_void,
        _arg2: *mut c_void,
        _handlep: *mut ddi_cb_handle_t,
    ) -> c_int {
        ddi_sys::DDI_ENOTSUP
    }
    /// ddi_cb_unregister(9F).
    fn ddi_cb_unregister(_handle: ddi_cb_handle_t) -> c_int {
        ddi_sys::DDI_EINVAL
    }
}
