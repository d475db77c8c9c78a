//! Address spaces of processes, for drivers that build mappings by hand: as_map, as_unmap, as_gap, map_addr, as_findseg and others.
//!
//! A driver can do so in the context of the process whose address space it is, in a call on an open device: the host
//! maps what the process's own thread can map. segvn_create of a vnode with pages and segdev_create are made of segdev's segments; any other function makes
//! a segment of the module's own segment driver ([`crate::vm::segments`]).
//!
//! An address that was chosen for a mapping that is never made is released when the driver's call returns (`settling`). Locking: none of its own.

use std::cell::RefCell;
use std::ffi::{c_int, c_uint, c_ulong, c_void};
use std::ptr::null_mut;
use std::sync::Arc;

use ddi_process::Call;
use ddi_process::physmem::PAGE_SIZE;
use ddi_sys::{as_, caddr_t, offset_t, seg};
use segdev::{MapFlags, MapRequest, Prot};

use super::args::{InOut, Memory};
use super::devmap::{gaps, map_into};
use super::vnodes::VnodePages;
use crate::kern::opens;
use crate::kern::symbols::is;
use crate::vm::client::Entry;
use crate::vm::device::{ByHand, Device, MapFunc};
use crate::vm::umem::Pager as _;
use crate::vm::{client, cookie, framework, give_back};

use ddi_sys::{EINVAL, ENOMEM, ENOTSUP, ENXIO};
/// Mappings from this size on get addresses of which large pages are possible.
const LARGE: u64 = 2 << 20;
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

/// The address space's entry, when it is the calling process's.
fn own(space: *mut as_) -> Option<Arc<Entry>> {
    let entry = client::of_as(space as usize)?;
    let current = client::current()?;
    (current.image().space() == entry.client.image().space()).then_some(entry)
}

/// Ranges of the process's address space that something is mapped in, in order.
fn mapped(entry: &Entry) -> Vec<(u64, u64)> {
    let mappings = ddi_process::proc::mappings(entry.client.process().pid());
    mappings.into_iter().map(|mapping| (mapping.start, mapping.end)).collect()
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

/// Mappings for which the calling thread has chosen addresses and that it has not made yet.
#[derive(Default)]
struct Chosen {
    /// Room in the process's address space.
    reserved: Vec<(u64, u64)>,
    /// Mappings of devices that a fixed one was to replace.
    replaced: Vec<(u64, u64)>,
}

thread_local! {
    static CHOSEN: RefCell<Chosen> = RefCell::default();
}

/// Runs `f`, a call of a driver's for a process. What it has chosen addresses for and not mapped is free afterwards.
pub(crate) fn settling<R>(entry: &Entry, f: impl FnOnce() -> R) -> R {
    let before = CHOSEN.take();
    let result = f();
    let chosen = CHOSEN.replace(before);
    for (addr, len) in chosen.reserved {
        give_back(addr, len);
    }
    for (addr, len) in chosen.replaced {
        let mut still = entry.space.parts(framework(), addr, len);
        still.extend(entry.segments.parts(addr, len));
        still.sort_unstable();
        for (at, gap) in gaps(addr, len, &still) {
            give_back(at, gap);
        }
    }
    result
}

/// Reserves an address for the process to be mapped at, congruent to `off` modulo a large page if there can be some.
fn reserve(len: usize, off: u64, hint: u64) -> Option<u64> {
    let len = (len as u64).next_multiple_of(PAGE_SIZE);
    let align = if len >= LARGE { LARGE } else { PAGE_SIZE };
    let off = off & (align - 1) & !(PAGE_SIZE - 1);
    let at = Call::with_current(|call| call?.reserve(len, align, off, hint, None).ok())?;
    CHOSEN.with_borrow_mut(|chosen| chosen.reserved.push((at, len)));
    Some(at)
}

/// Whether a range is reserved; it is that of a mapping now.
fn take_reserved(addr: u64, len: u64) -> bool {
    CHOSEN.with_borrow_mut(|chosen| {
        let found = chosen.reserved.iter().position(|range| *range == (addr, len));
        found.map(|at| chosen.reserved.remove(at)).is_some()
    })
}

/// Takes what devices have mapped in a range away, in the kernel's view of the process.
fn unmap(entry: &Entry, start: u64, len: u64) -> Result<(), c_int> {
    entry.unmap_segments(start, len)?;
    entry.space.munmap(framework(), start, len).map_err(|error| error.0)
}

/// Chooses an address for the calling process; NULL, and false, when there is no room.
fn choose(addrp: InOut<'_, caddr_t>, len: usize, off: offset_t, aligned: c_int) -> bool {
    let off = if aligned == 0 { 0 } else { off as u64 };
    let at = reserve(len, off, addrp.value() as u64);
    addrp.put(at.map_or(null_mut(), |at| at as caddr_t));
    at.is_some()
}

/// The device segment at an address, or (`tail`) the next one; NULL when there is none.
fn segment(space: *mut as_, address: u64, tail: bool) -> *mut seg {
    let Some(entry) = client::of_as(space as usize) else { return null_mut() };
    if let Some(own) = entry.segments.at(address, tail) {
        return own;
    }
    // Found by the handles: in a callback the caller of the driver has locked the address space.
    let fits = |place: &&cookie::Place| address < place.end && (tail || address >= place.start);
    let places = cookie::places(&entry.client);
    places
        .iter()
        .filter(fits)
        .min_by_key(|place| place.start)
        .map_or(null_mut(), |place| place.segment as *mut seg)
}

fn map(entry: &Entry, address: u64, len: u64, by_hand: ByHand, off: u64, prot: [u8; 3], dev: u64) -> c_int {
    let Some((driver, node)) = opens::in_use().or_else(|| opens::device_of(dev)) else { return ENXIO };
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
    map_into(entry, &request, true, address).err().unwrap_or(0)
}

ddi! {
    /// as_rangelock: nobody else who takes it chooses addresses or maps in the address space meanwhile.
    fn as_rangelock(space: *mut as_) {
        if let Some(entry) = client::of_as(space as usize) {
            entry.segments.lock_range();
        }
    }
    /// as_rangeunlock.
    fn as_rangeunlock(space: *mut as_) {
        if let Some(entry) = client::of_as(space as usize) {
            entry.segments.unlock_range();
        }
    }
    /// as_map: makes a segment. 0 or an errno.
    fn as_map(
        space: *mut as_,
        address: caddr_t,
        len: usize,
        create: Option<unsafe extern "C-unwind" fn(*mut *mut seg, *mut c_void) -> c_int>,
        arguments: Memory,
    ) -> c_int {
        let Some(entry) = own(space) else { return EINVAL };
        let Some(function) = create else { return EINVAL };
        let create = function as usize;
        let (address, len) = (address as u64, (len as u64).next_multiple_of(PAGE_SIZE));
        if !address.is_multiple_of(PAGE_SIZE) || len == 0 {
            return EINVAL;
        }
        if is(create, "segvn_create") {
            let a: VnodeArguments = arguments.cast().element(0);
            let Some(pages) = VnodePages::new(a.vp, a.offset, len) else { return EINVAL };
            let prot = [a.kind, a.prot, a.maxprot];
            let error = match pages.addmap(a.offset, space as usize, address, len, a.prot) {
                0 => map(&entry, address, len, ByHand::Vnode(pages.clone()), a.offset, prot, 0),
                error => error,
            };
            match error {
                0 => {
                    take_reserved(address, len);
                    pages.live();
                }
                _ => pages.give_up(),
            }
            return error;
        }
        if is(create, "segdev_create") {
            let a: DeviceArguments = arguments.cast().element(0);
            let Some(f) = a.mapfunc else { return EINVAL };
            let prot = [a.kind, a.prot, a.maxprot];
            let error = map(&entry, address, len, ByHand::Frames(f), a.offset as u64, prot, a.dev);
            if error == 0 {
                take_reserved(address, len);
            }
            return error;
        }
        let reserved = take_reserved(address, len);
        // SAFETY: the driver's function, which gets the place of its new segment and what the driver gives it.
        let made = entry.make_segment(address, len, reserved, |place| unsafe { function(place, arguments.pointer()) });
        if made.is_err() && reserved {
            CHOSEN.with_borrow_mut(|chosen| chosen.reserved.push((address, len)));
        }
        made.err().unwrap_or(0)
    }
    /// as_unmap: takes a range away. 0 or an errno.
    fn as_unmap(space: *mut as_, address: caddr_t, len: usize) -> c_int {
        let Some(entry) = own(space) else { return EINVAL };
        let (start, len) = (address as u64, (len as u64).next_multiple_of(PAGE_SIZE));
        if let Err(error) = unmap(&entry, start, len) {
            return error;
        }
        give_back(start, len);
        0
    }
    /// as_gap: a free part of the range at `*basep` of `*lenp` bytes that has at least `least`. 0, or -1 when there is none.
    fn as_gap(
        space: *mut as_,
        least: usize,
        basep: InOut<caddr_t>,
        lenp: InOut<usize>,
        flags: c_uint,
        _address: caddr_t,
    ) -> c_int {
        const AH_DIR: c_uint = 1;
        let Some(entry) = own(space) else { return -1 };
        let start = basep.value() as u64;
        let len = lenp.value() as u64;
        let range = (start, start.saturating_add(len).min(crate::kern::image::USER_LIMIT as u64));
        let Some((at, n)) = gap(&mapped(&entry), range, least as u64, flags & AH_DIR == 0) else { return -1 };
        basep.put(at as caddr_t);
        lenp.put(n as usize);
        0
    }
    /// map_addr: chooses an address for the calling process; NULL when there is no room.
    fn map_addr(addrp: InOut<caddr_t>, len: usize, off: offset_t, aligned: c_int, _flags: c_uint) {
        choose(addrp, len, off, aligned);
    }
    /// choose_addr: the same with an address space, of which a fixed mapping's range is unmapped; 0 or an errno.
    fn choose_addr(
        space: *mut as_,
        addrp: InOut<caddr_t>,
        len: usize,
        off: offset_t,
        aligned: c_int,
        flags: c_uint,
    ) -> c_int {
        const MAP_FIXED: c_uint = 0x10;
        let Some(entry) = own(space) else { return EINVAL };
        if flags & MAP_FIXED == 0 {
            return if choose(addrp, len, off, aligned) { 0 } else { ENOMEM };
        }
        let start = addrp.value() as u64;
        let len = (len as u64).next_multiple_of(PAGE_SIZE);
        let mut replaced = entry.space.parts(framework(), start, len);
        replaced.extend(entry.segments.parts(start, len));
        CHOSEN.with_borrow_mut(|chosen| chosen.replaced.extend(replaced));
        unmap(&entry, start, len).err().unwrap_or(0)
    }
    /// as_findseg: the device segment at an address, or (`tail`) the next one; NULL when there is none.
    fn as_findseg(space: *mut as_, address: caddr_t, tail: c_int) -> *mut seg {
        segment(space, address as u64, tail != 0)
    }
    /// as_segat: the same without `tail`.
    fn as_segat(space: *mut as_, address: caddr_t) -> *mut seg {
        segment(space, address as u64, false)
    }
    /// as_ctl: advice and memory locks change nothing for devices. 0, or ENOMEM when nothing is mapped there.
    fn as_ctl(
        space: *mut as_,
        address: caddr_t,
        len: usize,
        _func: c_int,
        _attr: c_int,
        _arg: usize,
        _map: *mut c_ulong,
        _pos: usize,
    ) -> c_int {
        let Some(entry) = client::of_as(space as usize) else { return EINVAL };
        let range = (address as u64, (address as u64).saturating_add(len as u64));
        if gap(&mapped(&entry), range, 1, false).is_some() { ENOMEM } else { 0 }
    }
    /// as_add_callback: called when the range is unmapped; nothing here is unmapped behind a driver's back. 0.
    fn as_add_callback(
        _space: *mut as_,
        _function: Option<unsafe extern "C-unwind" fn()>,
        _arg: *mut c_void,
        _events: c_uint,
        _address: caddr_t,
        _len: usize,
        _flags: c_int,
    ) -> c_int {
        0
    }
    /// as_delete_callback: there was none (AS_CALLBACK_NOTFOUND).
    fn as_delete_callback(_space: *mut as_, _arg: *mut c_void) -> c_uint {
        0
    }
    /// segvn_create: only as as_map's argument.
    fn segvn_create(_segp: *mut *mut seg, _arguments: *mut c_void) -> c_int {
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
