//! Address spaces of processes, for drivers that build mappings by hand: as_map, as_unmap, as_gap, map_addr, as_findseg and others.
//!
//! A driver can do so in the context of the process whose address space it is, in an ioctl(9E) or another call on an open device: the host
//! maps what the process's own thread can map. segvn_create of a vnode with pages and segdev_create are what it knows; a segment driver of the
//! driver's own is refused. The range lock is the caller's turn among those of the process, which the host takes itself. Locking: none.

use std::ffi::{c_int, c_uint, c_void};
use std::ptr::null_mut;
use std::sync::Arc;

use ddi_sys::{as_, caddr_t, offset_t, seg};
use segdev::{MapFlags, MapRequest, Prot};

use super::devmap::{give_back, map_into};
use super::vnodes::VnodePages;
use crate::kern::symbols::is;
use crate::log;
use crate::vm::client::Entry;
use crate::vm::device::{ByHand, Device};
use crate::vm::{client, cookie, framework};
use crate::{kernel, opens};
use ddi_process::Call;
use ddi_process::physmem::PAGE_SIZE;

const EINVAL: c_int = 22;
const ENXIO: c_int = 6;
const ENOMEM: c_int = 12;
const ENOTSUP: c_int = 48;
/// `MAP_TYPE` and MAP_PRIVATE of a segment's `type`.
const MAP_PRIVATE: u8 = 2;

/// `struct segvn_crargs`.
#[repr(C)]
#[derive(Clone, Copy)]
struct VnodeArguments {
    vp: usize,
    offset: u64,
    cred: usize,
    kind: u8,
    prot: u8,
    maxprot: u8,
    flags: c_uint,
    amp: usize,
    szc: c_uint,
    policy: c_uint,
}

/// `struct segdev_crargs`.
#[repr(C)]
#[derive(Clone, Copy)]
struct DeviceArguments {
    offset: i64,
    mapfunc: Option<MapFunc>,
    dev: u64,
    kind: u8,
    prot: u8,
    maxprot: u8,
    hat_attr: c_uint,
    hat_flags: c_uint,
    devmap_data: usize,
}

/// mmap(9E), or a function like it.
pub(crate) type MapFunc = unsafe extern "C-unwind" fn(u64, i64, c_int) -> c_int;

/// The address space's entry, when it is the calling process's.
fn own(space: *mut as_) -> Option<Arc<Entry>> {
    let entry = client::of_as(space as usize)?;
    let current = client::current()?;
    (current.image().space() == entry.client.image().space()).then_some(entry)
}

/// Ranges of the process's address space that something is mapped in, in order.
fn mapped(entry: &Entry) -> Vec<(u64, u64)> {
    let text =
        std::fs::read_to_string(format!("/proc/{}/maps", entry.client.process().pid())).unwrap_or_default();
    let range = |line: &str| {
        let (from, to) = line.split_whitespace().next()?.split_once('-')?;
        Some((u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?))
    };
    text.lines().filter_map(range).collect()
}

/// The largest (`high`: last) free part of a range that has at least `least` bytes.
fn gap(mapped: &[(u64, u64)], range: (u64, u64), least: u64, high: bool) -> Option<(u64, u64)> {
    let (start, end) = range;
    let mut at = start;
    let mut found = None;
    for &(from, to) in mapped.iter().filter(|(from, to)| *to > start && *from < end).chain([&(end, end)]) {
        if from > at && from - at >= least && (found.is_none() || high) {
            found = Some((at, from - at));
        }
        at = at.max(to);
    }
    found
}

/// Reserves an address for the process to be mapped at.
fn reserve(len: usize, hint: u64) -> Option<u64> {
    let len = (len as u64).next_multiple_of(PAGE_SIZE);
    Call::with_current(|call| call?.reserve(len, PAGE_SIZE, 0, hint, None).ok())
}

fn map(entry: &Entry, address: u64, len: u64, by_hand: ByHand, off: u64, prot: [u8; 3], dev: u64) -> c_int {
    let Some((driver, node)) = opens::in_use().or_else(|| kernel::device_of(dev)) else { return ENXIO };
    let device = Device { driver, node, dev, old: false, hold: None, by_hand: Some(by_hand) };
    let kind = if prot[0] == MAP_PRIVATE { MapFlags::PRIVATE } else { MapFlags::SHARED };
    let request = MapRequest {
        device: &device,
        off,
        len,
        prot: Prot::from_raw(prot[1].into()),
        maxprot: Prot::from_raw(prot[2].into()),
        flags: kind | MapFlags::FIXED,
        model: ddi_sys::DATAMODEL_LP64,
    };
    map_into(entry, &request, Some(address)).err().unwrap_or(0)
}

ddi! {
    /// as_rangelock: nobody else maps in the address space meanwhile; the host sees to that itself.
    fn as_rangelock(_space: *mut as_) {}
    /// as_rangeunlock.
    fn as_rangeunlock(_space: *mut as_) {}
    /// as_map: makes a segment. 0 or an errno.
    fn as_map(
        space: *mut as_,
        address: caddr_t,
        len: usize,
        create: Option<unsafe extern "C-unwind" fn(*mut *mut seg, *mut c_void) -> c_int>,
        arguments: *mut c_void,
    ) -> c_int {
        let Some(entry) = own(space) else { return EINVAL };
        let Some(create) = create.map(|f| f as usize) else { return EINVAL };
        let (address, len) = (address as u64, (len as u64).next_multiple_of(PAGE_SIZE));
        if !address.is_multiple_of(PAGE_SIZE) || len == 0 {
            return EINVAL;
        }
        if is(create, "segvn_create") {
            // SAFETY: the driver's promise: the arguments of segvn_create.
            let a = unsafe { arguments.cast::<VnodeArguments>().read() };
            let Some(pages) = VnodePages::new(a.vp, a.offset, len) else { return EINVAL };
            let prot = [a.kind, a.prot, a.maxprot];
            let error = match pages.addmap(a.offset, space as usize, address, len, a.prot.into()) {
                0 => map(&entry, address, len, ByHand::Vnode(pages.clone()), a.offset, prot, 0),
                error => error,
            };
            match error {
                0 => pages.live(),
                _ => pages.give_up(),
            }
            return error;
        }
        if is(create, "segdev_create") {
            // SAFETY: the driver's promise: the arguments of segdev_create.
            let a = unsafe { arguments.cast::<DeviceArguments>().read() };
            let Some(f) = a.mapfunc else { return EINVAL };
            return map(&entry, address, len, ByHand::Frames(f), a.offset as u64, [a.kind, a.prot, a.maxprot], a.dev);
        }
        log::line(log::To::Both, "WARNING: as_map: the host has no segments but those of segvn_create and segdev_create");
        ENOTSUP
    }
    /// as_unmap: takes a range away. 0 or an errno.
    fn as_unmap(space: *mut as_, address: caddr_t, len: usize) -> c_int {
        let Some(entry) = own(space) else { return EINVAL };
        let (start, len) = (address as u64, (len as u64).next_multiple_of(PAGE_SIZE));
        if let Err(error) = entry.space.munmap(framework(), start, len) {
            return error.0;
        }
        give_back(start, len);
        0
    }
    /// as_gap: a free part of the range at `*basep` of `*lenp` bytes that has at least `least`. 0, or -1 when there is none.
    @private fn as_gap(
        space: *mut as_,
        least: usize,
        basep: *mut caddr_t,
        lenp: *mut usize,
        flags: c_uint,
        _address: caddr_t,
    ) -> c_int {
        const AH_DIR: c_uint = 1;
        let Some(entry) = own(space) else { return -1 };
        // SAFETY: the driver's promise.
        let start = unsafe { basep.read() } as u64;
        // SAFETY: the driver's promise.
        let len = unsafe { lenp.read() } as u64;
        let range = (start, start.saturating_add(len).min(crate::kern::image::USER_LIMIT as u64));
        let Some((at, n)) = gap(&mapped(&entry), range, least as u64, flags & AH_DIR == 0) else { return -1 };
        // SAFETY: the driver's promise.
        unsafe { basep.write(at as caddr_t) };
        // SAFETY: the driver's promise.
        unsafe { lenp.write(n as usize) };
        0
    }
    /// map_addr: chooses an address for the calling process; NULL when there is no room.
    fn map_addr(addrp: *mut caddr_t, len: usize, _off: offset_t, _aligned: c_int, _flags: c_uint) {
        // SAFETY: the driver's promise.
        let hint = unsafe { addrp.read() } as u64;
        // SAFETY: the driver's promise.
        unsafe { addrp.write(reserve(len, hint).map_or(null_mut(), |at| at as caddr_t)) };
    }
    /// choose_addr: the same with an address space; 0 or ENOMEM.
    @private fn choose_addr(
        space: *mut as_,
        addrp: *mut caddr_t,
        len: usize,
        off: offset_t,
        aligned: c_int,
        flags: c_uint,
    ) -> c_int {
        const MAP_FIXED: c_uint = 0x10;
        if own(space).is_none() {
            return EINVAL;
        }
        if flags & MAP_FIXED == 0 {
            // SAFETY: the driver's promise.
            unsafe { map_addr(addrp, len, off, aligned, flags) };
        }
        // SAFETY: the driver's promise.
        if unsafe { addrp.read() }.is_null() { ENOMEM } else { 0 }
    }
    /// as_findseg: the device segment at an address, or (`tail`) the next one; NULL when there is none.
    fn as_findseg(space: *mut as_, address: caddr_t, tail: c_int) -> *mut seg {
        let Some(entry) = client::of_as(space as usize) else { return null_mut() };
        // By the handles: in a callback the address space is locked, by whoever called the driver.
        let fits = |place: &&cookie::Place| {
            let at = address as u64;
            at < place.end && (tail != 0 || at >= place.start)
        };
        let places = cookie::places(&entry.client);
        places.iter().filter(fits).min_by_key(|place| place.start).map_or(null_mut(), |place| place.segment as *mut seg)
    }
    /// as_segat: the same without `tail`.
    @private fn as_segat(space: *mut as_, address: caddr_t) -> *mut seg {
        // SAFETY: no pointers are followed.
        unsafe { as_findseg(space, address, 0) }
    }
    /// as_ctl: advice and memory locks change nothing for devices. 0, or ENOMEM when nothing is mapped there.
    @private fn as_ctl(
        space: *mut as_,
        address: caddr_t,
        len: usize,
        _func: c_int,
        _attr: c_int,
        _arg: usize,
        _map: *mut c_void,
        _pos: usize,
    ) -> c_int {
        let Some(entry) = client::of_as(space as usize) else { return EINVAL };
        let range = (address as u64, (address as u64).saturating_add(len as u64));
        if gap(&mapped(&entry), range, 1, false).is_some() { ENOMEM } else { 0 }
    }
    /// as_add_callback: called when the range is unmapped; nothing here is unmapped behind a driver's back. 0.
    @private fn as_add_callback(
        _space: *mut as_,
        _function: *mut c_void,
        _arg: *mut c_void,
        _events: c_uint,
        _address: caddr_t,
        _len: usize,
        _flags: c_int,
    ) -> c_int {
        0
    }
    /// as_delete_callback: there was none (AS_CALLBACK_NOTFOUND).
    @private fn as_delete_callback(_space: *mut as_, _arg: *mut c_void) -> c_uint {
        0
    }
    /// segvn_create: only as as_map's argument.
    @private fn segvn_create(_segp: *mut *mut seg, _arguments: *mut c_void) -> c_int {
        ENOTSUP
    }
    /// segdev_create: only as as_map's argument.
    fn segdev_create(_segp: *mut *mut seg, _arguments: *mut c_void) -> c_int {
        ENOTSUP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_of_a_range() {
        let mapped = [(0x1000, 0x2000), (0x5000, 0x6000)];
        assert_eq!(gap(&mapped, (0, 0x8000), 0x1000, false), Some((0, 0x1000)));
        assert_eq!(gap(&mapped, (0, 0x8000), 0x1000, true), Some((0x6000, 0x2000)));
        assert_eq!(gap(&mapped, (0, 0x8000), 0x3000, false), Some((0x2000, 0x3000)));
        assert_eq!(gap(&mapped, (0x1000, 0x2000), 0x1000, false), None);
        assert_eq!(gap(&mapped, (0x2000, 0x5000), 0x3000, false), Some((0x2000, 0x3000)));
    }
}
