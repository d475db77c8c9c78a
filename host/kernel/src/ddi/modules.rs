//! Module linkage, mod_install(9F), and the entry points for drivers that have nothing to do there (nodev, nulldev).
//!
//! Called from `_init`, `_fini` and `_info`; may block.

use std::ffi::{CStr, c_char, c_int, c_short, c_void};

use ddi_krtld::Linkage;
use ddi_sys::{
    caddr_t, ddi_info_cmd_t, ddi_modhandle_t, ddi_prop_op_t, dev_info_t, dev_t, modinfo, modldrv, modlinkage,
    modspecific_info, pollhead,
};

use super::args::Out;
use crate::board::report;
use crate::kern::symbols::is;
use crate::kern::{drivers, tables};

const EINVAL: c_int = 22;
const EBUSY: c_int = 16;
const ENXIO: c_int = 6;

crate::fields! {
    /// Result of mod_info(9F).
    ///
    /// # Invariants
    /// A modinfo of the module loader's that is there until the function returns.
    struct Info at modinfo {
        mi_info: c_int,
        mi_base / set_base: caddr_t,
        mi_rev / set_rev: c_int,
        mi_msinfo / set_msinfo: [modspecific_info; 10],
    }
}

/// The name of the module that a linkage belongs to.
fn module_of(linkage: *mut modlinkage) -> Option<String> {
    let caller = || crate::kern::calls::return_addresses().first().and_then(|&at| ddi_krtld::module_at(at));
    let module = ddi_krtld::module_at(linkage as usize).or_else(caller);
    module.map(|m| m.name().to_owned()).or_else(drivers::installing)
}

/// Reads a linkage that a module passed to `function`; None, after a report, if a pointer in it leads nowhere.
fn read(function: &str, name: &str, linkage: *mut modlinkage) -> Option<Linkage> {
    tables::linkage(name, linkage as usize).inspect_err(|wrong| wrong.report(function)).ok()
}

ddi! {
    /// mod_install(9F).
    fn mod_install(linkage: *mut modlinkage) -> c_int {
        let Some(name) = module_of(linkage) else {
            report::mistake(NAME, "called outside _init", "mod_install(9F)");
            return EINVAL;
        };
        let Some(Linkage { rev, elements }) = read(NAME, &name, linkage) else { return EINVAL };
        if rev != ddi_sys::MODREV_1 {
            report::mistake(NAME, "the modlinkage's ml_rev is not MODREV_1", "modlinkage(9S)");
            return EINVAL;
        }
        for element in elements {
            if is(element.ops, "mod_driverops") {
                let path = "modlinkage.ml_linkage (a modldrv)";
                let dev_ops = match tables::follow::<modldrv>(&name, path, element.address, "modldrv(9S)") {
                    Ok(element) => element.drv_dev_ops,
                    Err(wrong) => {
                        wrong.report(NAME);
                        return EINVAL;
                    }
                };
                if dev_ops.is_null() {
                    return EINVAL;
                }
                if let Err(wrong) = tables::driver(&name, dev_ops as usize) {
                    wrong.report(NAME);
                    return EINVAL;
                }
                let description = String::from_utf8_lossy(&element.description);
                if !drivers::register(&name, &description, dev_ops, linkage as usize) {
                    return EBUSY;
                }
            } else if !is(element.ops, "mod_miscops") {
                let ops = element.ops;
                let what = format!(
                    "the mod_ops of {name} is {ops:#x}: the host knows modldrv and modlmisc linkage only (mod_driverops, mod_miscops)"
                );
                report::mistake(NAME, &what, "modlinkage(9S)");
                return EINVAL;
            }
        }
        0
    }
    /// mod_remove(9F).
    fn mod_remove(linkage: *mut modlinkage) -> c_int {
        if drivers::unregister(linkage as usize) { 0 } else { EBUSY }
    }
    /// mod_info(9F): nonzero is success.
    fn mod_info(linkage: *mut modlinkage, info: Info) -> c_int {
        let name = module_of(linkage).unwrap_or_else(|| "a module".to_owned());
        let Some(Linkage { rev, elements }) = read(NAME, &name, linkage) else { return 0 };
        if info.mi_info() == ddi_sys::MI_INFO_LINKAGE {
            // The module loader reads the linkage itself.
            info.set_base(linkage.cast());
            return 1;
        }
        info.set_rev(rev);
        let mut slots = info.mi_msinfo();
        for (slot, element) in slots.iter_mut().zip(elements) {
            let n = element.description.len().min(slot.msi_linkinfo.len() - 1);
            slot.msi_linkinfo.fill(0);
            for (to, from) in slot.msi_linkinfo[..n].iter_mut().zip(element.description) {
                *to = from as c_char;
            }
            slot.msi_p0 = drivers::installing().and_then(|n| drivers::major_of(&n)).map_or(-1, |m| m as c_int);
        }
        info.set_msinfo(slots);
        1
    }
    /// mod_modname: the module's name.
    fn mod_modname(linkage: *mut modlinkage) -> *const c_char {
        static NAMES: parking_lot::Mutex<Vec<&'static CStr>> = parking_lot::Mutex::new(Vec::new());
        let name = module_of(linkage).and_then(|n| std::ffi::CString::new(n).ok()).unwrap_or_default();
        let mut names = NAMES.lock();
        if let Some(known) = names.iter().find(|n| **n == name.as_c_str()) {
            return known.as_ptr();
        }
        let kept: &'static CStr = Box::leak(name.into_boxed_c_str());
        names.push(kept);
        kept.as_ptr()
    }
    /// nodev(9F): ENXIO.
    fn nodev() -> c_int {
        ENXIO
    }
    /// nulldev(9F): 0.
    fn nulldev() -> c_int {
        0
    }
    /// nochpoll(9F): ENXIO.
    fn nochpoll(_dev: dev_t, _events: c_short, _any: c_int, _revents: *mut c_short, _head: *mut *mut pollhead) -> c_int {
        ENXIO
    }
    /// nopropop: DDI_PROP_NOT_FOUND.
    fn nopropop(
        _dev: dev_t,
        _dip: *mut dev_info_t,
        _op: ddi_prop_op_t,
        _flags: c_int,
        _name: *mut c_char,
        _value: caddr_t,
        _length: *mut c_int,
    ) -> c_int {
        ddi_sys::DDI_PROP_NOT_FOUND
    }
    /// nodevinfo: no node.
    fn nodevinfo(_dev: dev_t, _type: c_int) -> *mut dev_info_t {
        std::ptr::null_mut()
    }
    /// ddi_no_info(9F): DDI_FAILURE.
    fn ddi_no_info(_dip: *mut dev_info_t, _cmd: ddi_info_cmd_t, _arg: *mut c_void, _result: *mut *mut c_void) -> c_int {
        ddi_sys::DDI_FAILURE
    }
    /// ddi_getinfo_1to1(9F): the minor number is the instance number.
    fn ddi_getinfo_1to1(
        _dip: *mut dev_info_t,
        cmd: ddi_info_cmd_t,
        arg: *mut c_void,
        result: Out<*mut c_void>,
    ) -> c_int {
        if cmd != ddi_sys::DDI_INFO_DEVT2INSTANCE {
            return ddi_sys::DDI_FAILURE;
        }
        result.set((arg as usize & 0xffff_ffff) as *mut c_void);
        ddi_sys::DDI_SUCCESS
    }
    /// ddi_quiesce_not_needed(9F): DDI_SUCCESS.
    fn ddi_quiesce_not_needed(_dip: *mut dev_info_t) -> c_int {
        ddi_sys::DDI_SUCCESS
    }
    /// ddi_quiesce_not_supported(9F): DDI_FAILURE.
    fn ddi_quiesce_not_supported(_dip: *mut dev_info_t) -> c_int {
        ddi_sys::DDI_FAILURE
    }
    /// ddi_modopen(9F): modules are not loaded at run time here.
    fn ddi_modopen(_name: *const c_char, _mode: c_int, error: Out<c_int>) -> ddi_modhandle_t {
        const ENOENT: c_int = 2;
        error.set(ENOENT);
        std::ptr::null_mut()
    }
    /// ddi_modsym(9F): there are no handles to look in.
    fn ddi_modsym(_handle: ddi_modhandle_t, _name: *const c_char, error: Out<c_int>) -> *mut c_void {
        error.set(EINVAL);
        std::ptr::null_mut()
    }
    /// ddi_modclose(9F).
    fn ddi_modclose(_handle: ddi_modhandle_t) -> c_int {
        EINVAL
    }
}
