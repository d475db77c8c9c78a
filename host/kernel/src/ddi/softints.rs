//! Soft interrupts: ddi_intr_add_softint(9F), ddi_add_softintr(9F).
//!
//! A handler runs on a worker thread of the timeouts, in timeout context; a trigger before the handler has begun adds nothing.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use ddi_sys::{
    caddr_t, ddi_iblock_cookie_t, ddi_idevice_cookie_t, ddi_intr_handler_t, ddi_softint_handle_t,
    ddi_softintr_t, dev_info_t, uint_t,
};
use parking_lot::Mutex;

use super::args::Out;
use crate::board::report;
use crate::kern::left::{Kind, Left};
use crate::kern::{callout, entry};

const FAILURE: c_int = ddi_sys::DDI_FAILURE;
const SUCCESS: c_int = ddi_sys::DDI_SUCCESS;
/// The priority of soft interrupts: below the level at which mutexes spin.
const SOFT_PRIORITY: usize = 4;

type OldHandler = unsafe extern "C-unwind" fn(caddr_t) -> uint_t;
type NewHandler = unsafe extern "C-unwind" fn(caddr_t, caddr_t) -> uint_t;

#[derive(Clone, Copy)]
enum Handler {
    Old(OldHandler),
    New(NewHandler),
}

struct Soft {
    handler: Handler,
    arg: usize,
    triggered: AtomicBool,
    timer: Mutex<callout::Id>,
    priority: Mutex<uint_t>,
    _left: Left,
}

static SOFT: LazyLock<Mutex<HashMap<usize, Arc<Soft>>>> = LazyLock::new(Mutex::default);

fn add(handler: Handler, arg: usize) -> usize {
    let function = match handler {
        Handler::Old(handler) => handler as usize,
        Handler::New(handler) => handler as usize,
    };
    let soft = Arc::new(Soft {
        handler,
        arg,
        triggered: AtomicBool::new(false),
        timer: Mutex::new(0),
        priority: Mutex::new(SOFT_PRIORITY as uint_t),
        _left: Left::new(Kind::SoftInterrupt, function),
    });
    let id = Arc::as_ptr(&soft) as usize;
    SOFT.lock().insert(id, soft);
    id
}

fn find(id: usize, function: &str) -> Option<Arc<Soft>> {
    let found = SOFT.lock().get(&id).cloned();
    if found.is_none() {
        report::mistake(function, &format!("{id:#x} is not a soft interrupt"), &format!("{function}(9F)"));
    }
    found
}

/// False: it is pending already.
fn trigger(soft: &Arc<Soft>, arg2: usize) -> bool {
    if soft.triggered.swap(true, Ordering::AcqRel) {
        return false;
    }
    let run = soft.clone();
    let mut timer = soft.timer.lock();
    *timer = callout::after(
        std::time::Duration::ZERO,
        Box::new(move || {
            run.triggered.store(false, Ordering::Release);
            let call = || match run.handler {
                // SAFETY: the driver's handler, with the argument that the driver gave for it.
                Handler::Old(handler) => unsafe { handler(run.arg as caddr_t) },
                // SAFETY: as above.
                Handler::New(handler) => unsafe { handler(run.arg as caddr_t, arg2 as caddr_t) },
            };
            let _ = entry::call(|| "a soft interrupt handler".into(), call);
        }),
    );
    true
}

/// Removes it; its handler is not running afterwards.
fn remove(id: usize, function: &str) -> bool {
    let Some(soft) = find(id, function) else { return false };
    SOFT.lock().remove(&id);
    let timer = *soft.timer.lock();
    if timer != 0 {
        callout::cancel(timer);
    }
    true
}

ddi! {
    /// ddi_add_softintr(9F).
    fn ddi_add_softintr(
        _dip: *mut dev_info_t,
        _preference: c_int,
        idp: Out<ddi_softintr_t>,
        iblockp: Out<ddi_iblock_cookie_t>,
        idevicep: Out<ddi_idevice_cookie_t>,
        handler: Option<unsafe extern "C-unwind" fn(caddr_t) -> uint_t>,
        arg: caddr_t,
    ) -> c_int {
        let Some(handler) = handler else { return FAILURE };
        idp.set(add(Handler::Old(handler), arg as usize) as ddi_softintr_t);
        iblockp.set(SOFT_PRIORITY as ddi_iblock_cookie_t);
        idevicep.set(ddi_idevice_cookie_t { idev_softint: 0 });
        SUCCESS
    }
    /// ddi_trigger_softintr(9F).
    fn ddi_trigger_softintr(id: ddi_softintr_t) {
        if let Some(soft) = find(id as usize, NAME) {
            trigger(&soft, 0);
        }
    }
    /// ddi_remove_softintr(9F).
    fn ddi_remove_softintr(id: ddi_softintr_t) {
        remove(id as usize, NAME);
    }
    /// ddi_get_soft_iblock_cookie(9F).
    fn ddi_get_soft_iblock_cookie(_dip: *mut dev_info_t, _preference: c_int, iblockp: Out<ddi_iblock_cookie_t>) -> c_int {
        iblockp.set(SOFT_PRIORITY as ddi_iblock_cookie_t);
        SUCCESS
    }
    /// ddi_intr_add_softint(9F).
    fn ddi_intr_add_softint(
        _dip: *mut dev_info_t,
        handlep: Out<ddi_softint_handle_t>,
        _priority: c_int,
        handler: ddi_intr_handler_t,
        arg: *mut c_void,
    ) -> c_int {
        let Some(handler) = handler else { return ddi_sys::DDI_EINVAL };
        handlep.set(add(Handler::New(handler), arg as usize) as ddi_softint_handle_t);
        SUCCESS
    }
    /// ddi_intr_trigger_softint(9F): DDI_EPENDING when it is pending already.
    fn ddi_intr_trigger_softint(handle: ddi_softint_handle_t, arg2: *mut c_void) -> c_int {
        match find(handle as usize, NAME) {
            None => ddi_sys::DDI_EINVAL,
            Some(soft) if trigger(&soft, arg2 as usize) => SUCCESS,
            Some(_) => ddi_sys::DDI_EPENDING,
        }
    }
    /// ddi_intr_remove_softint(9F).
    fn ddi_intr_remove_softint(handle: ddi_softint_handle_t) -> c_int {
        if remove(handle as usize, NAME) { SUCCESS } else { ddi_sys::DDI_EINVAL }
    }
    /// ddi_intr_get_softint_pri(9F).
    fn ddi_intr_get_softint_pri(handle: ddi_softint_handle_t, priorityp: Out<uint_t>) -> c_int {
        let Some(soft) = find(handle as usize, NAME) else { return ddi_sys::DDI_EINVAL };
        priorityp.set(*soft.priority.lock());
        SUCCESS
    }
    /// ddi_intr_set_softint_pri(9F).
    fn ddi_intr_set_softint_pri(handle: ddi_softint_handle_t, priority: uint_t) -> c_int {
        let Some(soft) = find(handle as usize, NAME) else { return ddi_sys::DDI_EINVAL };
        if !(1..=9).contains(&priority) {
            return ddi_sys::DDI_EINVAL;
        }
        *soft.priority.lock() = priority;
        SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    #[test]
    fn a_soft_interrupt_runs_once_per_trigger() {
        unsafe extern "C-unwind" fn handler(arg: caddr_t) -> uint_t {
            // SAFETY: the sender of the test.
            unsafe { &*arg.cast::<Sender<()>>() }.send(()).unwrap();
            1
        }
        let (sender, receiver) = channel::<()>();
        let (mut id, null) = (std::ptr::null_mut(), std::ptr::null_mut());
        let arg = (&raw const sender).cast_mut().cast();
        let added = driver!(ddi_sys::ddi_add_softintr(
            null,
            0,
            &mut id,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            Some(handler),
            arg,
        ));
        assert_eq!(added, SUCCESS);
        for _ in 0..3 {
            driver!(ddi_sys::ddi_trigger_softintr(id));
            receiver.recv().unwrap();
        }
        driver!(ddi_sys::ddi_remove_softintr(id));
        assert!(receiver.try_recv().is_err());
    }
}
