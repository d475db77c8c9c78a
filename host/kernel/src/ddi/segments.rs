//! Functions for a module's own segment driver: seg_alloc and seg_free, the address space's functions that call its operations, and the
//! vnode of a device, which counts mappings (specfind, fop_addmap, fop_delmap).
//!
//! Locking: a leaf mutex protects the counts of mapped pages. A mapped device number is held open (`opens`).

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_uint};
use std::sync::{Arc, LazyLock};

use ddi_process::physmem::PAGE_SIZE;
use ddi_sys::{
    as_, caddr_t, caller_context_t, cred_t, dev_t, fault_type, faultcode_t, hat, memid_t, offset_t, seg,
    seg_rw, vnode, vtype_t,
};
use parking_lot::Mutex;
use segdev::{FaultType, Rw};

use super::args::Out;
use super::{data, vnodes};
use crate::board::report;
use crate::kern::drivers::Driver;
use crate::kern::nodes::Node;
use crate::kern::opens;
use crate::vm::client::{self, Entry};
use crate::vm::{behind, framework, segments};

use ddi_sys::{EINVAL, ENOMEM, ENOTSUP, ENXIO};

/// Stands for the operations of the kernel's own device segments, which nobody calls. Returns `ENOTSUP`.
pub(super) extern "C-unwind" fn no_operation() -> c_int {
    ENOTSUP
}

/// A device number of which pages are mapped.
struct Mapped {
    driver: Arc<Driver>,
    pages: u64,
}

static MAPPED: LazyLock<Mutex<HashMap<u64, Mapped>>> = LazyLock::new(Mutex::default);

/// Pages of a device are mapped: its first ones hold it open.
fn add_pages(dev: u64, node: &'static Node, driver: Arc<Driver>, pages: u64) {
    let mut all = MAPPED.lock();
    let mapped = all.entry(dev).or_insert_with(|| {
        opens::hold(&driver, dev, node);
        Mapped { driver, pages: 0 }
    });
    mapped.pages += pages;
}

/// Pages of a device are unmapped: with the last ones it may be closed. False when so many are not mapped.
fn take_pages(dev: u64, pages: u64) -> bool {
    let last = {
        let mut all = MAPPED.lock();
        let Some(mapped) = all.get_mut(&dev).filter(|mapped| mapped.pages >= pages) else { return false };
        mapped.pages -= pages;
        if mapped.pages > 0 { None } else { all.remove(&dev) }
    };
    if let Some(mapped) = last {
        opens::unhold(&mapped.driver, dev);
    }
    true
}

/// The entry of an address space, which the caller has locked.
fn entry(space: *mut as_) -> Option<Arc<Entry>> {
    client::of_as(space as usize)
}

/// Whether an address space is the kernel's.
fn kernel_s(space: *mut as_) -> bool {
    ddi_krtld::real_data(space as usize) == data::kas.address()
}

ddi! {
    /// seg_alloc: a segment without operations in an address space that is locked as writer; NULL if the range is taken.
    fn seg_alloc(space: *mut as_, base: caddr_t, size: usize) -> *mut seg {
        // In a fork the child's is not in the tables by its first call: it is, with its parent's.
        let Some(entry) = entry(space) else { return std::ptr::null_mut() };
        entry.segments.alloc(space as usize, base as u64, size as u64).unwrap_or(std::ptr::null_mut())
    }
    /// seg_free: takes a segment out of its address space, which is locked as writer, and calls its `free` if it has data.
    fn seg_free(seg: *mut seg) {
        if !segments::free(seg) {
            report::mistake(NAME, &format!("{seg:p} is not a segment, or it has been freed"), NAME);
        }
    }
    /// as_fault: serves a fault of an address space, or locks and unlocks its pages. The kernel's own memory is always there.
    fn as_fault(
        _hat: *mut hat,
        space: *mut as_,
        addr: caddr_t,
        size: usize,
        kind: fault_type,
        rw: seg_rw,
    ) -> faultcode_t {
        if kernel_s(space) {
            return 0;
        }
        let Some(entry) = entry(space) else { return ddi_sys::FC_NOMAP };
        let start = addr as u64 & !(PAGE_SIZE - 1);
        let end = (addr as u64).saturating_add(size as u64).next_multiple_of(PAGE_SIZE);
        let mut at = start;
        while at < end {
            let own = entry.segments.parts(at, end - at).first().copied().filter(|(from, _)| *from == at);
            let (code, len) = match own {
                Some((_, len)) => (entry.fault_segment(at, len, kind, rw), len),
                None => {
                    let (Some(ty), Some(rw)) = (FaultType::from_raw(kind), Rw::from_raw(rw)) else { return ddi_sys::FC_NOSUPPORT };
                    (entry.space.fault(framework(), at, PAGE_SIZE, ty, rw).0, PAGE_SIZE)
                }
            };
            if code != 0 {
                return code;
            }
            at += len;
        }
        0
    }
    /// as_setprot: changes the protections of a module's own segments. 0 or an errno; ENOMEM where none is.
    fn as_setprot(space: *mut as_, addr: caddr_t, size: usize, prot: c_uint) -> c_int {
        let Some(entry) = entry(space) else { return EINVAL };
        if entry.segments.parts(addr as u64, size as u64).iter().map(|(_, len)| len).sum::<u64>() < size as u64 {
            return ENOMEM;
        }
        entry.protect_segments(addr as u64, size as u64, prot).err().unwrap_or(0)
    }
    /// as_checkprot: 0 if such an access is allowed in a module's own segments.
    fn as_checkprot(space: *mut as_, addr: caddr_t, size: usize, prot: c_uint) -> c_int {
        let Some(entry) = entry(space) else { return EINVAL };
        entry.ask_each(addr as u64, size as u64, |seg, at, len| segments::checkprot(seg, at, len, prot))
    }
    /// as_incore: what is known of the residence of pages of a module's own segments, one byte for each. 0, or ENOMEM where none is.
    fn as_incore(space: *mut as_, addr: caddr_t, size: usize, vec: *mut c_char, sizep: Out<usize>) -> c_int {
        let Some(entry) = entry(space) else { return EINVAL };
        let mut done = 0;
        let error = entry.ask_each(addr as u64, size as u64, |seg, at, len| {
            done += segments::incore(seg, at, len, vec.wrapping_add(done / PAGE_SIZE as usize));
            0
        });
        sizep.set(done);
        error
    }
    /// as_getmemid: names the memory at an address of a module's own segment.
    fn as_getmemid(space: *mut as_, addr: caddr_t, memid: *mut memid_t) -> c_int {
        let Some(entry) = entry(space) else { return EINVAL };
        entry.ask_segment(addr as u64, |seg| segments::getmemid(seg, addr, memid)).unwrap_or(ENOMEM)
    }
    /// seg_inherit_notsup: an `inherit` operation that does nothing.
    fn seg_inherit_notsup(_seg: *mut seg, _addr: caddr_t, _len: usize, _behaviour: c_uint) -> c_int {
        ENOTSUP
    }
    /// specfind: the vnode of a device that is open, held; NULL when it is not.
    fn specfind(dev: dev_t, kind: vtype_t) -> *mut vnode {
        if kind != ddi_sys::VCHR || opens::device_of(dev).is_none() {
            return std::ptr::null_mut();
        }
        vnodes::held(behind::vnode(dev)) as *mut vnode
    }
    /// fop_addmap: tells a vnode of pages that are mapped. 0 or an errno.
    fn fop_addmap(
        vnode: vnodes::Vnode,
        off: offset_t,
        space: *mut as_,
        addr: caddr_t,
        len: usize,
        prot: u8,
        _maxprot: u8,
        _flags: c_uint,
        _cr: *mut cred_t,
        _ct: *mut caller_context_t,
    ) -> c_int {
        let Some(dev) = behind::device(vnode.address()) else {
            return vnodes::addmap(vnode, off as u64, space as usize, addr as u64, len as u64, prot);
        };
        let Some((driver, node)) = opens::device_of(dev) else { return ENXIO };
        add_pages(dev, node, driver, (len as u64).div_ceil(PAGE_SIZE));
        0
    }
    /// fop_delmap: tells a vnode of pages that are unmapped; the last ones may close the device. 0.
    fn fop_delmap(
        vnode: vnodes::Vnode,
        off: offset_t,
        space: *mut as_,
        addr: caddr_t,
        len: usize,
        _prot: c_uint,
        _maxprot: c_uint,
        _flags: c_uint,
        _cr: *mut cred_t,
        _ct: *mut caller_context_t,
    ) -> c_int {
        match behind::device(vnode.address()) {
            None => vnodes::delmap(vnode, off as u64, space as usize, addr as u64, len as u64),
            Some(dev) if take_pages(dev, (len as u64).div_ceil(PAGE_SIZE)) => {}
            Some(_) => {
                let what = format!("{len} bytes of {:#x} are unmapped, and fewer are mapped", vnode.address());
                report::mistake(NAME, &what, NAME);
            }
        }
        0
    }
}
