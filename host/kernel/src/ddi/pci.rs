//! PCI configuration space: pci_config_setup(9F), pci_config_get8(9F) and so on; capabilities: pci_lcap_locate, pci_cap_get.
//!
//! A handle is an access handle of [`registers`] for all of a device's configuration space. Any context. What is read where there is
//! nothing is all ones, as on a bus.

use std::ffi::{c_int, c_void};

use ddi_sys::{ddi_acc_handle_t, dev_info_t, off_t};

use super::args::{InOut, Memory, Out};
use super::nodes::node;
use super::registers;
use crate::board::report;
use crate::pci;
use crate::pci::space::at;

const SUCCESS: c_int = ddi_sys::DDI_SUCCESS;
const FAILURE: c_int = ddi_sys::DDI_FAILURE;

/// PCI_CAP_XCFG_FLAG: the number is that of a capability in extended configuration space.
const EXTENDED: u32 = 1 << 31;
/// Offset of the first extended capability.
const EXTENDED_START: u16 = 0x100;
/// The most capabilities that a list can have before it is taken for a ring.
const MOST: usize = 48;
const MOST_EXTENDED: usize = 960;

/// Reads `len` bytes of configuration space.
fn get(handle: ddi_acc_handle_t, off: off_t, len: usize, function: &str) -> u64 {
    let ones = u64::MAX >> (64 - 8 * len);
    let Ok(offset) = usize::try_from(off) else { return ones };
    match registers::config_of(handle) {
        Some(device) => device.space.read(offset, len),
        None => {
            let what = format!("{handle:p} is not a handle of pci_config_setup, or it has been torn down");
            report::mistake(function, &what, "pci_config_get8(9F)");
            ones
        }
    }
}

/// Writes `len` bytes of it.
fn put(handle: ddi_acc_handle_t, off: off_t, value: u64, len: usize, function: &str) {
    match (registers::config_of(handle), usize::try_from(off)) {
        (Some(device), Ok(offset)) => device.space.write(offset, value, len),
        (Some(_), Err(_)) => {}
        (None, _) => {
            let what = format!("{handle:p} is not a handle of pci_config_setup, or it has been torn down");
            report::mistake(function, &what, "pci_config_put8(9F)");
        }
    }
}

/// Capabilities in their order: number and place.
fn capabilities(handle: ddi_acc_handle_t) -> Vec<(u8, u16)> {
    let mut found = Vec::new();
    if get(handle, at::STATUS as off_t, 2, "pci_lcap_locate") & 0x10 == 0 {
        return found;
    }
    let mut place = get(handle, at::CAPABILITIES as off_t, 1, "pci_lcap_locate");
    while place != 0 && found.len() < MOST {
        found.push((get(handle, place as off_t, 1, "pci_lcap_locate") as u8, place as u16));
        place = get(handle, place as off_t + 1, 1, "pci_lcap_locate");
    }
    found
}

/// The same in extended configuration space.
fn extended(handle: ddi_acc_handle_t) -> Vec<(u16, u16)> {
    let mut found = Vec::new();
    let mut place = EXTENDED_START;
    while place != 0 && found.len() < MOST_EXTENDED {
        let header = get(handle, place.into(), 4, "pci_xcap_locate") as u32;
        if header == u32::MAX || header == 0 {
            break;
        }
        found.push((header as u16, place));
        place = (header >> 20) as u16 & 0xffc;
    }
    found
}

/// Returns the place of the capability that `base`, or else `id`, means.
fn base_of(handle: ddi_acc_handle_t, id: u32, base: u16) -> Option<u16> {
    if base != 0 {
        return Some(base);
    }
    if id & EXTENDED != 0 {
        let found = extended(handle).into_iter().find(|(found, _)| *found == id as u16);
        return found.map(|(_, place)| place);
    }
    let found = capabilities(handle).into_iter().find(|(found, _)| id != 0 && *found == id as u8);
    found.map(|(_, place)| place)
}

/// Bytes of a `pci_cap_config_size_t`.
fn width(size: u32) -> Option<usize> {
    (size <= 2).then(|| 1 << size)
}

ddi! {
    /// pci_config_setup(9F).
    fn pci_config_setup(dip: *mut dev_info_t, handlep: Out<ddi_acc_handle_t>) -> c_int {
        let Some(device) = node(dip, NAME).and_then(pci::of) else { return FAILURE };
        let handle = registers::config_handle(device, 0, device.space.len());
        handlep.set(handle);
        SUCCESS
    }
    /// pci_config_teardown(9F).
    fn pci_config_teardown(handlep: InOut<ddi_acc_handle_t>) {
        let handle = handlep.take();
        if registers::config_of(handle).is_none() || !registers::forget(handle) {
            let what = "not a handle of pci_config_setup, or torn down before";
            report::mistake(NAME, what, "pci_config_teardown(9F)");
        }
    }
    /// pci_config_get8(9F) and its older names.
    fn [
        pci_config_get8 for u8, pci_config_get16 for u16, pci_config_get32 for u32, pci_config_get64 for u64,
        pci_config_getb for u8, pci_config_getw for u16, pci_config_getl for u32, pci_config_getll for u64,
    ](handle: ddi_acc_handle_t, off: off_t) -> T {
        get(handle, off, size_of::<T>(), NAME) as T
    }
    /// pci_config_put8(9F) and its older names.
    fn [
        pci_config_put8 for u8, pci_config_put16 for u16, pci_config_put32 for u32, pci_config_put64 for u64,
        pci_config_putb for u8, pci_config_putw for u16, pci_config_putl for u32, pci_config_putll for u64,
    ](handle: ddi_acc_handle_t, off: off_t, value: T) {
        put(handle, off, value as u64, size_of::<T>(), NAME);
    }
    /// pci_report_pmcap(9F): there is no power management.
    fn pci_report_pmcap(_dip: *mut dev_info_t, _capability: c_int, _arg: *mut c_void) -> c_int {
        FAILURE
    }
    /// pci_save_config_regs(9F).
    fn pci_save_config_regs(dip: *mut dev_info_t) -> c_int {
        let Some(device) = node(dip, NAME).and_then(pci::of) else { return FAILURE };
        let bytes = (0..device.space.len()).map(|offset| device.space.read(offset, 1) as u8).collect();
        *device.saved.lock() = Some(bytes);
        SUCCESS
    }
    /// pci_restore_config_regs(9F): DDI_FAILURE when nothing was saved.
    fn pci_restore_config_regs(dip: *mut dev_info_t) -> c_int {
        let Some(device) = node(dip, NAME).and_then(pci::of) else { return FAILURE };
        let Some(bytes) = device.saved.lock().take() else { return FAILURE };
        for (offset, byte) in bytes.iter().enumerate() {
            device.space.write(offset, (*byte).into(), 1);
        }
        SUCCESS
    }

    /// pci_lcap_locate: where a capability is.
    fn pci_lcap_locate(handle: ddi_acc_handle_t, id: u8, basep: Out<u16>) -> c_int {
        let found = base_of(handle, id.into(), 0);
        basep.set(found.unwrap_or(0));
        if found.is_some() { SUCCESS } else { FAILURE }
    }
    /// pci_xcap_locate: where an extended capability is.
    fn pci_xcap_locate(handle: ddi_acc_handle_t, id: u16, basep: Out<u16>) -> c_int {
        let found = base_of(handle, u32::from(id) | EXTENDED, 0);
        basep.set(found.unwrap_or(0));
        if found.is_some() { SUCCESS } else { FAILURE }
    }
    /// pci_cap_probe: number and place of the capability that is `index`th in the lists.
    fn pci_cap_probe(handle: ddi_acc_handle_t, index: u16, idp: Out<u32>, basep: Out<u16>) -> c_int {
        let plain = capabilities(handle);
        let more = extended(handle);
        let all = plain.iter().map(|(id, place)| (u32::from(*id), *place));
        let mut all = all.chain(more.iter().map(|(id, place)| (u32::from(*id) | EXTENDED, *place)));
        let Some((id, place)) = all.nth(index.into()) else { return FAILURE };
        idp.set(id);
        basep.set(place);
        SUCCESS
    }
    /// pci_cap_get: a register of a capability, which is named by its place, or by its number and place 0. All ones: there is none.
    fn pci_cap_get(handle: ddi_acc_handle_t, size: u32, id: u32, base: u16, offset: u16) -> u32 {
        match (base_of(handle, id, base), width(size)) {
            (Some(base), Some(len)) => get(handle, off_t::from(base) + off_t::from(offset), len, NAME) as u32,
            _ => u32::MAX,
        }
    }
    /// pci_cap_put: writes one.
    fn pci_cap_put(handle: ddi_acc_handle_t, size: u32, id: u32, base: u16, offset: u16, data: u32) -> c_int {
        let (Some(base), Some(len)) = (base_of(handle, id, base), width(size)) else { return FAILURE };
        put(handle, off_t::from(base) + off_t::from(offset), data.into(), len, NAME);
        SUCCESS
    }
    /// pci_cap_read: the words of a capability.
    fn pci_cap_read(handle: ddi_acc_handle_t, id: u32, base: u16, to: Memory<u32>, words: u32) -> c_int {
        let Some(base) = base_of(handle, id, base) else { return FAILURE };
        for i in 0..words as usize {
            let word = get(handle, off_t::from(base) + i as off_t * 4, 4, NAME) as u32;
            to.set_element(i, word);
            if word == u32::MAX {
                return FAILURE;
            }
        }
        SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::{self, describe::Description};
    use std::ptr::null_mut;

    #[test]
    fn capabilities_are_found_read_and_written() {
        let text = "vendor = 0x1234\ndevice = 1\nclass = 0\nexpress = true\npower-management = true\n[msi]\nvectors = 2\n";
        let device = pci::add(Description::parse(text).unwrap(), |_| None).unwrap();
        let dip = device.node().unwrap().dip();
        let (mut handle, mut base, mut id) = (null_mut(), 0, 0);
        assert_eq!(driver!(ddi_sys::pci_config_setup(dip, &mut handle)), SUCCESS);
        assert_eq!(driver!(ddi_sys::pci_config_get32(handle, 0)), 0x0001_1234);
        assert_eq!(driver!(ddi_sys::pci_lcap_locate(handle, 5, &mut base)), SUCCESS);
        let control = driver!(ddi_sys::pci_cap_get(handle, 1, 0, base, 2));
        assert_eq!(control, 1 << 1 | 1 << 7);
        assert_eq!(driver!(ddi_sys::pci_cap_put(handle, 2, 5, 0, 4, 0xfee0_0003)), SUCCESS);
        assert_eq!(driver!(ddi_sys::pci_cap_get(handle, 2, 5, 0, 4)), 0xfee0_0000);
        assert_eq!(driver!(ddi_sys::pci_cap_get(handle, 0, 0x11, 0, 0)), u32::MAX);
        assert_eq!(driver!(ddi_sys::pci_lcap_locate(handle, 0x11, &mut base)), FAILURE);
        let mut all = Vec::new();
        while driver!(pci_cap_probe(handle, all.len() as u16, &mut id, &mut base)) == SUCCESS {
            all.push(id);
        }
        assert_eq!(all, [1, 5, 0x10]);
        assert_eq!(driver!(pci_xcap_locate(handle, 1, &mut base)), FAILURE);
        assert_eq!(driver!(ddi_sys::pci_save_config_regs(dip)), SUCCESS);
        driver!(ddi_sys::pci_config_put16(handle, 4, 0x0007));
        assert_eq!(driver!(ddi_sys::pci_restore_config_regs(dip)), SUCCESS);
        assert_eq!(driver!(ddi_sys::pci_config_get16(handle, 4)), 0x0002);
        driver!(ddi_sys::pci_config_teardown(&mut handle));
        assert!(handle.is_null());
    }
}
