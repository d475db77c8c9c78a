//! Device registers: ddi_regs_map_setup(9F), ddi_get8(9F) and so on. The registers are physical memory of the simulated device,
//! or, for register set 0 of a PCI device, its configuration space.
//!
//! An access handle is the address of an image of the kernel's ddi_acc_hdl_t, which old code reads. Accesses may be made in any
//! context; byte order is that of the handle. An address in configuration space is the offset in it: only the functions of a
//! handle can use it. After each write the simulated device checks whether it was given a command.

use std::collections::HashMap;
use std::ffi::{c_int, c_uint};
use std::mem::offset_of;
use std::ptr::null_mut;
use std::sync::LazyLock;
use std::sync::atomic::{Ordering, fence};

use ddi_sys::{
    behind_access, caddr_t, ddi_acc_handle_t, ddi_device_acc_attr_t, dev_info_t, off_t, offset_t, uint_t,
};
use ddi_trace::Event;
use parking_lot::RwLock;

use super::args::{In, InOut, Memory, Out};
use super::dma;
use super::nodes::node;
use crate::board::report;
use crate::kern::image::Image;
use crate::kern::nodes::RegisterSet;
use crate::pci::{self, Device, interrupts};
use crate::vm::memory;

/// An access handle.
struct Access {
    image: Image<{ size_of::<behind_access>() }>,
    start: usize,
    len: usize,
    swap: bool,
    /// The device whose configuration space it is for.
    config: Option<&'static Device>,
}

/// A checked access.
///
/// # Invariants
/// `len` bytes from `address` on are those of the handle that [`check`] was asked about: registers, which are memory of the machine's, or configuration space of
/// `config`. If they are not, it has been reported, which ends the run.
#[derive(Clone, Copy)]
struct Way {
    address: usize,
    len: usize,
    swap: bool,
    config: Option<&'static Device>,
}

static HANDLES: LazyLock<RwLock<HashMap<usize, Box<Access>>>> = LazyLock::new(RwLock::default);

/// Register mappings that exist.
pub fn in_use() -> usize {
    HANDLES.read().len()
}

const DDI_SUCCESS: c_int = ddi_sys::DDI_SUCCESS;
const DDI_FAILURE: c_int = ddi_sys::DDI_FAILURE;

/// Attributes of an access handle.
pub(super) type Attributes<'a> = In<'a, ddi_device_acc_attr_t, *mut ddi_device_acc_attr_t>;

/// Makes a handle for memory at `start`.
pub(super) fn handle(start: usize, len: usize, attributes: Attributes<'_>) -> ddi_acc_handle_t {
    let order = attributes.get().map(|attributes| attributes.devacc_attr_endian_flags);
    let swap = order == Some(ddi_sys::DDI_STRUCTURE_BE_ACC);
    publish(Access { image: Image::zeroed(), start, len, swap, config: None })
}

/// Makes a handle for part of a device's configuration space, which is little-endian.
pub(super) fn config_handle(device: &'static Device, start: usize, len: usize) -> ddi_acc_handle_t {
    publish(Access { image: Image::zeroed(), start, len, swap: false, config: Some(device) })
}

fn publish(access: Access) -> ddi_acc_handle_t {
    let access = Box::new(access);
    access.image.set(offset_of!(behind_access, ah_addr), access.start);
    access.image.set(offset_of!(behind_access, ah_len), access.len);
    let address = access.image.address();
    HANDLES.write().insert(address, access);
    address as ddi_acc_handle_t
}

/// The device of a configuration space handle.
pub(super) fn config_of(handle: ddi_acc_handle_t) -> Option<&'static Device> {
    HANDLES.read().get(&(handle as usize))?.config
}

/// Forgets a handle; false when there was none.
pub(super) fn forget(handle: ddi_acc_handle_t) -> bool {
    HANDLES.write().remove(&(handle as usize)).is_some()
}

/// Checks an access.
fn check(handle: ddi_acc_handle_t, address: usize, len: usize, function: &str) -> Way {
    let handles = HANDLES.read();
    let what = match handles.get(&(handle as usize)) {
        Some(a) if address >= a.start && address.saturating_add(len) <= a.start + a.len => {
            return Way { address, len, swap: a.swap, config: a.config };
        }
        Some(a) => {
            format!("{address:#x} is outside of the mapped registers ({} bytes at {:#x})", a.len, a.start)
        }
        None => format!("{handle:p} is not an access handle, or it has been freed"),
    };
    drop(handles);
    report::mistake(function, &what, &format!("{function}(9F)"));
    Way { address, len, swap: false, config: None }
}

impl Way {
    /// The address of element `index` of elements of `size` bytes.
    fn element(self, index: usize, size: usize) -> usize {
        assert!((index + 1) * size <= self.len, "within what was checked");
        self.address + index * size
    }
}

/// Checks `count` accesses at once. Returns the stride of the register's address, in elements, and the kind of access.
fn repeated<T>(
    handle: ddi_acc_handle_t,
    device: *mut T,
    count: usize,
    flags: uint_t,
    function: &str,
) -> (usize, Way) {
    let step = usize::from(flags & ddi_sys::DDI_DEV_AUTOINCR != 0);
    let elements = if step == 0 { count.min(1) } else { count };
    let len = elements.saturating_mul(size_of::<T>());
    (step, check(handle, device as usize, len, function))
}

/// One width: type and the names of its functions.
macro_rules! width {
    ($module:ident, $type:ty: $get:ident $put:ident $rep_get:ident $rep_put:ident $peek:ident $poke:ident $signed:ty) => {
        /// Accesses of one width.
        pub mod $module {
            use super::*;

            /// Reads element `index` of a checked access.
            pub(super) fn read(way: Way, index: usize) -> $type {
                let address = way.element(index, size_of::<$type>());
                if let Some(device) = way.config {
                    return device.space.read(address, size_of::<$type>()) as $type;
                }
                // SAFETY: the invariant of `Way`.
                let value = unsafe { (address as *const $type).read_volatile() };
                if way.swap { value.swap_bytes() } else { value }
            }

            /// Writes element `index` of a checked access without telling the simulated device.
            fn store(way: Way, index: usize, value: $type) {
                let address = way.element(index, size_of::<$type>());
                if let Some(device) = way.config {
                    return device.space.write(address, value as u64, size_of::<$type>());
                }
                let value = if way.swap { value.swap_bytes() } else { value };
                // SAFETY: the invariant of `Way`.
                unsafe { (address as *mut $type).write_volatile(value) };
            }

            /// Writes element `index` of a checked access.
            pub(super) fn write(way: Way, index: usize, value: $type) {
                store(way, index, value);
                if way.config.is_none() {
                    wrote(way.element(index, size_of::<$type>()), size_of::<$type>());
                }
            }

            ddi! {
                /// Reads a register.
                fn $get(handle: ddi_acc_handle_t, address: *mut $type) -> $type {
                    let way = check(handle, address as usize, size_of::<$type>(), stringify!($get));
                    fence(Ordering::SeqCst);
                    read(way, 0)
                }
                /// Writes a register.
                fn $put(handle: ddi_acc_handle_t, address: *mut $type, value: $type) {
                    let way = check(handle, address as usize, size_of::<$type>(), stringify!($put));
                    write(way, 0, value);
                    fence(Ordering::SeqCst);
                }
                /// Reads a register, or several that follow each other, repeatedly.
                fn $rep_get(
                    handle: ddi_acc_handle_t,
                    host: Memory<$type>,
                    device: *mut $type,
                    count: usize,
                    flags: uint_t,
                ) {
                    let (step, way) = repeated(handle, device, count, flags, stringify!($rep_get));
                    fence(Ordering::SeqCst);
                    for i in 0..count {
                        host.set_element(i, read(way, i * step));
                    }
                }
                /// Writes a register, or several that follow each other, repeatedly.
                fn $rep_put(
                    handle: ddi_acc_handle_t,
                    host: Memory<$type>,
                    device: *mut $type,
                    count: usize,
                    flags: uint_t,
                ) {
                    let (step, way) = repeated(handle, device, count, flags, stringify!($rep_put));
                    let elements = (0..count).map(|i| (i * step, host.element(i)));
                    if pci::has_effects(way.address, way.len) {
                        elements.for_each(|(i, value)| write(way, i, value));
                    } else {
                        elements.for_each(|(i, value)| store(way, i, value));
                    }
                    fence(Ordering::SeqCst);
                }
                /// Reads where a device may not answer.
                fn $peek(_dip: *mut dev_info_t, address: *mut $signed, value: Out<$signed>) -> c_int {
                    if memory().frame_of(address.cast()).is_none() {
                        return DDI_FAILURE;
                    }
                    // SAFETY: physical memory, which is always there.
                    let found = unsafe { address.read_volatile() };
                    value.set(found);
                    DDI_SUCCESS
                }
                /// Writes where a device may not answer.
                fn $poke(_dip: *mut dev_info_t, address: *mut $signed, value: $signed) -> c_int {
                    if memory().frame_of(address.cast()).is_none() {
                        return DDI_FAILURE;
                    }
                    // SAFETY: physical memory, which is always there.
                    unsafe { address.write_volatile(value) };
                    wrote(address as usize, size_of::<$type>());
                    DDI_SUCCESS
                }
            }
        }
    };
}

width!(bits8, u8: ddi_get8 ddi_put8 ddi_rep_get8 ddi_rep_put8 ddi_peek8 ddi_poke8 i8);
width!(bits16, u16: ddi_get16 ddi_put16 ddi_rep_get16 ddi_rep_put16 ddi_peek16 ddi_poke16 i16);
width!(bits32, u32: ddi_get32 ddi_put32 ddi_rep_get32 ddi_rep_put32 ddi_peek32 ddi_poke32 i32);
width!(bits64, u64: ddi_get64 ddi_put64 ddi_rep_get64 ddi_rep_put64 ddi_peek64 ddi_poke64 i64);

/// A register range, mapped.
enum Mapped {
    /// Memory: its kernel address and its length.
    Memory(usize, usize),
    /// Configuration space: offset and length.
    Config(&'static Device, usize, usize),
}

/// Called after the driver has written to a register. If that starts a transfer, the device executes it on another thread.
fn wrote(address: usize, len: usize) {
    if let Some(transfer) = pci::written(address, len) {
        interrupts::device_work(move || {
            let span = ddi_trace::span();
            let done = transfer.allowed() && dma::copy(transfer.source, transfer.target, transfer.len);
            let (source, target, length) = (transfer.source, transfer.target, transfer.len as u64);
            span.end(0, || Event::Dma { source, target, length, done });
            transfer.finish(done);
        });
    }
}

/// A register range; a length of 0 is the rest.
fn range(dip: *mut dev_info_t, rnumber: c_uint, offset: i64, len: i64, function: &str) -> Option<Mapped> {
    let node = node(dip, function)?;
    let set = *node.registers().get(rnumber as usize)?;
    let config = pci::of(node).filter(|_| set == RegisterSet::CONFIG);
    let whole = config.map_or(set.len, |device| device.space.len() as u64);
    let offset = u64::try_from(offset).ok().filter(|o| *o < whole)?;
    let len = match u64::try_from(len).ok()? {
        0 => whole - offset,
        len => len,
    };
    if offset.checked_add(len)? > whole {
        return None;
    }
    let (offset, len) = (offset as usize, len as usize);
    Some(match config {
        Some(device) => Mapped::Config(device, offset, len),
        None => Mapped::Memory(memory().ptr(set.pfn).as_ptr() as usize + offset, len),
    })
}

ddi! {
    /// ddi_regs_map_setup(9F).
    fn ddi_regs_map_setup(
        dip: *mut dev_info_t,
        rnumber: c_uint,
        addrp: Out<caddr_t>,
        offset: offset_t,
        len: offset_t,
        attributes: Attributes,
        handlep: Out<ddi_acc_handle_t>,
    ) -> c_int {
        let (start, handle) = match range(dip, rnumber, offset, len, NAME) {
            None => return DDI_FAILURE,
            Some(Mapped::Memory(start, len)) => (start, handle(start, len, attributes)),
            Some(Mapped::Config(device, start, len)) => (start, config_handle(device, start, len)),
        };
        addrp.set(start as caddr_t);
        handlep.set(handle);
        DDI_SUCCESS
    }
    /// ddi_regs_map_free(9F).
    fn ddi_regs_map_free(handlep: InOut<ddi_acc_handle_t>) {
        let handle = handlep.take();
        if !forget(handle) {
            report::mistake(NAME, "not an access handle, or freed before", "ddi_regs_map_free(9F)");
        }
    }
    /// ddi_map_regs: the older interface, without a handle.
    fn ddi_map_regs(dip: *mut dev_info_t, rnumber: c_uint, addrp: Out<caddr_t>, offset: off_t, len: off_t) -> c_int {
        let Some(Mapped::Memory(start, _)) = range(dip, rnumber, offset, len, NAME) else {
            return DDI_FAILURE;
        };
        addrp.set(start as caddr_t);
        DDI_SUCCESS
    }
    /// ddi_unmap_regs.
    fn ddi_unmap_regs(_dip: *mut dev_info_t, _rnumber: c_uint, addrp: Out<caddr_t>, _offset: off_t, _len: off_t) {
        addrp.set(null_mut());
    }
    /// ddi_check_acc_handle(9F): nothing ever fails here.
    fn ddi_check_acc_handle(_handle: ddi_acc_handle_t) -> c_int {
        DDI_SUCCESS
    }
    /// ddi_device_zero(9F).
    fn ddi_device_zero(
        handle: ddi_acc_handle_t,
        device: caddr_t,
        bytes: usize,
        advance: isize,
        size: uint_t,
    ) -> c_int {
        let width = size as usize;
        if !matches!(width, 1 | 2 | 4 | 8) || !bytes.is_multiple_of(width) {
            return DDI_FAILURE;
        }
        for i in 0..bytes / width {
            let at = device.wrapping_offset(i as isize * advance * width as isize);
            let way = check(handle, at as usize, width, NAME);
            put(way, 0);
        }
        DDI_SUCCESS
    }
    /// ddi_device_copy(9F).
    fn ddi_device_copy(
        from_handle: ddi_acc_handle_t,
        from: caddr_t,
        from_advance: isize,
        to_handle: ddi_acc_handle_t,
        to: caddr_t,
        to_advance: isize,
        bytes: usize,
        size: uint_t,
    ) -> c_int {
        let width = size as usize;
        if !matches!(width, 1 | 2 | 4 | 8) || !bytes.is_multiple_of(width) {
            return DDI_FAILURE;
        }
        for i in 0..(bytes / width) as isize {
            let source = from.wrapping_offset(i * from_advance * width as isize);
            let target = to.wrapping_offset(i * to_advance * width as isize);
            let from_way = check(from_handle, source as usize, width, NAME);
            let to_way = check(to_handle, target as usize, width, NAME);
            put(to_way, get(from_way));
        }
        DDI_SUCCESS
    }
}

/// A read of as many bytes as were checked: 1, 2, 4 or 8.
fn get(way: Way) -> u64 {
    match way.len {
        1 => bits8::read(way, 0).into(),
        2 => bits16::read(way, 0).into(),
        4 => bits32::read(way, 0).into(),
        _ => bits64::read(way, 0),
    }
}

/// A write of as many bytes as were checked: 1, 2, 4 or 8.
fn put(way: Way, value: u64) {
    match way.len {
        1 => bits8::write(way, 0, value as u8),
        2 => bits16::write(way, 0, value as u16),
        4 => bits32::write(way, 0, value as u32),
        _ => bits64::write(way, 0, value),
    }
}

/// The tables of all widths.
pub static ALL: &[super::Group] =
    &[SYMBOLS, bits8::SYMBOLS, bits16::SYMBOLS, bits32::SYMBOLS, bits64::SYMBOLS];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kern::nodes::{self, NewNode, RegisterSet};

    #[test]
    fn registers_keep_what_is_written() {
        let pfn = memory().alloc(1, 1).unwrap();
        let registers = vec![RegisterSet { pfn, len: 256 }];
        let new = NewNode { name: "registers-test".into(), registers, ..NewNode::default() };
        let dip = nodes::add(Some(nodes::pseudo()), new).dip();
        let mut attributes = ddi_device_acc_attr_t {
            devacc_attr_version: ddi_sys::DDI_DEVICE_ATTR_V0,
            devacc_attr_endian_flags: ddi_sys::DDI_STRUCTURE_BE_ACC,
            devacc_attr_dataorder: 0,
            devacc_attr_access: 0,
        };
        let (mut address, mut handle) = (null_mut(), null_mut());
        let mapped =
            driver!(ddi_sys::ddi_regs_map_setup(dip, 0, &mut address, 16, 0, &mut attributes, &mut handle));
        assert_eq!(mapped, DDI_SUCCESS);
        driver!(ddi_sys::ddi_put32(handle, address.cast(), 0x1122_3344));
        assert_eq!(driver!(ddi_sys::ddi_get32(handle, address.cast())), 0x1122_3344);
        assert_eq!(driver!(ddi_sys::ddi_get8(handle, address.cast())), 0x11);
        let far = address as usize + 240;
        let handle_address = handle as usize;
        report::set_policy(report::Policy::Unwind);
        let caught = std::panic::catch_unwind(|| {
            driver!(ddi_sys::ddi_get8(handle_address as ddi_acc_handle_t, far as *mut u8))
        });
        assert!(caught.is_err());
        driver!(ddi_sys::ddi_regs_map_free(&mut handle));
        assert!(handle.is_null());
        let beyond =
            driver!(ddi_sys::ddi_regs_map_setup(dip, 0, &mut address, 0, 257, null_mut(), &mut handle));
        assert_eq!(beyond, DDI_FAILURE);
        let absent =
            driver!(ddi_sys::ddi_regs_map_setup(dip, 1, &mut address, 0, 0, null_mut(), &mut handle));
        assert_eq!(absent, DDI_FAILURE);
    }
}
