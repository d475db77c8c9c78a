//! The segment driver: what the kernel calls for a segment, and how a segment gets into an address space.
//!
//! # Invariants
//!
//! `s_data` of a segment with our operations is a `Mapped` in a box of its own, from the moment that the operations are set until `free`. The
//! kernel calls `unmap`, `free` and `dup` with the address space locked as writer, everything else with it locked at least as reader; so
//! `unmap` and `free` have the data to themselves. Only the kernel's own segment functions change bounds behind us, and
//! they do not.

use alloc::boxed::Box;
use core::ffi::{c_char, c_int, c_void};
use core::ptr;

use ddi_sys as sys;
use segdev::unmap::Remains;
use segdev::{Errno, FaultCode, FaultType, MapFlags, PAGE_SIZE, Prot, Rw, Segment};

use crate::device::Range;
use crate::held::Last;
use crate::platform::{Kernel, framework};
use crate::space::{Space, address};

/// Private data of a segment of the kernel's.
pub(crate) type Mapped = Segment<Kernel>;

/// Arguments of a vnode's calls for a whole segment.
fn whole(segment: &Mapped) -> Range {
    Range { off: segment.off(), addr: segment.base(), len: segment.len(), flags: segment.flags().bits() }
}

/// Puts a complete segment into its address space, whose layout the caller keeps.
///
/// # Errors
/// Error of the kernel, and the segment if it is not in the address space.
pub(crate) fn enter(segment: Box<Mapped>) -> Result<(), (Errno, Option<Box<Mapped>>)> {
    let (space, addr, len) = (segment.space().as_ptr(), address(segment.base()), segment.len() as usize);
    let mut segment = Some(segment);
    let argument: *mut Option<Box<Mapped>> = &raw mut segment;
    // SAFETY: the address space of the process that calls; the argument is what `create` expects, and lives as long as the call.
    let error = unsafe { sys::as_map(space, addr, len, Some(create), argument.cast()) };
    match segment.take() {
        None if error == 0 => Ok(()),
        rest => Err((Errno(if error > 0 { error } else { sys::ENOMEM }), rest)),
    }
}

/// Attaches our segment to the kernel's, which is in the address space already, locked as writer.
unsafe extern "C-unwind" fn create(segp: *mut *mut sys::seg, argument: *mut c_void) -> c_int {
    // SAFETY: `enter` passes it.
    let place = unsafe { &mut *argument.cast::<Option<Box<Mapped>>>() };
    let Some(segment) = place.as_deref() else { return sys::EINVAL };
    let (space, base) = (segment.space().as_ptr(), address(segment.base()));
    // Older kernels pass the segment, newer ones a place that holds it. A segment begins with its address, which is the user's.
    // SAFETY: either begins with a pointer.
    let seg = match unsafe { *segp } {
        first if first.cast() == base => segp.cast::<sys::seg>(),
        first => first,
    };
    // SAFETY: the segment that the kernel has just made.
    let made = unsafe { &*seg };
    if made.s_base != base || made.s_as != space {
        return sys::EINVAL;
    }
    if let Some(vnode) = &segment.data().vnode {
        // SAFETY: the address space is the caller's.
        let error = unsafe { vnode.add(space, whole(segment)) };
        if error != 0 {
            return error;
        }
    }
    if let Some(segment) = place.take() {
        segment.handles().for_each(|handle| handle.data().enter());
        // SAFETY: as above, and its data is nobody's yet.
        unsafe { attach(seg, segment) };
    }
    0
}

/// # Safety
/// A segment of the kernel's without operations, in an address space that is locked as writer.
unsafe fn attach(seg: *mut sys::seg, mapped: Box<Mapped>) {
    let data = Box::into_raw(mapped);
    // SAFETY: the caller's promise.
    let seg = unsafe { &mut *seg };
    seg.s_data = data.cast();
    seg.s_ops = (&raw const OPERATIONS).cast_mut();
}

/// # Safety
/// In one of our operations on `seg`, but unmap and free.
unsafe fn mapped<'a>(seg: *mut sys::seg) -> &'a Mapped {
    // SAFETY: the caller's promise.
    let data = unsafe { (*seg).s_data };
    // SAFETY: by the module's invariants: nobody changes it while the address space is locked as reader.
    unsafe { &*data.cast() }
}

/// The address space of a segment.
///
/// # Safety
/// In one of our operations on `seg`.
unsafe fn space_of(seg: *mut sys::seg) -> *mut sys::as_ {
    // SAFETY: the caller's promise.
    unsafe { (*seg).s_as }
}

fn errno(result: Result<(), Errno>) -> c_int {
    result.map_or_else(|e| e.0, |()| 0)
}

fn va(addr: sys::caddr_t) -> u64 {
    addr.addr() as u64
}

/// The operations; the last one is not known to older kernels.
static OPERATIONS: sys::seg_ops = sys::seg_ops {
    dup: Some(dup),
    unmap: Some(unmap),
    free: Some(free),
    fault: Some(fault),
    faulta: Some(faulta),
    setprot: Some(setprot),
    checkprot: Some(checkprot),
    kluster: Some(kluster),
    swapout: Some(swapout),
    sync: Some(sync),
    incore: Some(incore),
    lockop: Some(lockop),
    getprot: Some(getprot),
    getoffset: Some(getoffset),
    gettype: Some(gettype),
    getvp: Some(getvp),
    advise: Some(advise),
    dump: Some(dump),
    pagelock: Some(pagelock),
    setpagesize: Some(setpagesize),
    getmemid: Some(getmemid),
    getpolicy: Some(getpolicy),
    capable: Some(capable),
    inherit: Some(inherit),
};

/// fork(2): both address spaces are locked as writer.
unsafe extern "C-unwind" fn dup(seg: *mut sys::seg, new: *mut sys::seg) -> c_int {
    // SAFETY: in one of our operations.
    let mapped = unsafe { mapped(seg) };
    // SAFETY: the segment that the kernel has made for the child.
    let child = unsafe { space_of(new) };
    let mut copy = match mapped.dup(framework(), &Space::new(child)) {
        Ok(copy) => copy,
        Err(refusal) => return refusal.0,
    };
    if let Some(vnode) = &mapped.data().vnode {
        // SAFETY: the child's address space is locked.
        let error = unsafe { vnode.add(child, whole(&copy)) };
        if error != 0 {
            copy.discard(framework());
            return error;
        }
        copy.data_mut().vnode = Some(vnode.clone());
    }
    // SAFETY: the child's segment has no operations yet.
    unsafe { attach(new, copy) };
    0
}

/// munmap(2), exit(2), and a mapping over another: the address space is locked as writer. `EAGAIN` makes the kernel wait until pages are unlocked.
unsafe extern "C-unwind" fn unmap(seg: *mut sys::seg, addr: sys::caddr_t, len: usize) -> c_int {
    let _last = Last::begin();
    // SAFETY: in one of our operations.
    let space = unsafe { space_of(seg) };
    // SAFETY: as above.
    let data = unsafe { (*seg).s_data };
    // SAFETY: by the module's invariants this call has the data to itself.
    let mapped = unsafe { &mut *data.cast::<Mapped>() };
    let (addr, len) = (va(addr), len as u64);
    let flags = mapped.flags().bits();
    let gone = Range { off: mapped.offset(addr), addr, len, flags };
    let remains = match mapped.unmap(framework(), addr, len) {
        Ok(remains) => remains,
        Err(e) => return e.0,
    };
    if let Some(vnode) = &mapped.data().vnode {
        // SAFETY: the address space is locked, and these pages were counted.
        unsafe { vnode.remove(space, gone) };
    }
    match remains {
        // SAFETY: the segment is empty; calls `free`.
        Remains::Nothing => unsafe { sys::seg_free(seg) },
        Remains::Some => {
            // SAFETY: the address space is locked as writer.
            unsafe { set_bounds(seg, mapped) };
        }
        Remains::Two(mut rest) => {
            rest.data_mut().vnode = mapped.data().vnode.clone();
            // SAFETY: as above.
            unsafe { set_bounds(seg, mapped) };
            // SAFETY: as above; the range was this segment's.
            let behind = unsafe { sys::seg_alloc(space, address(rest.base()), rest.len() as usize) };
            if behind.is_null() {
                // The range is taken, which cannot be: nothing of ours is left in it.
                let range = whole(&rest);
                rest.discard(framework());
                if let Some(vnode) = &mapped.data().vnode {
                    // SAFETY: as above.
                    unsafe { vnode.remove(space, range) };
                }
                return 0;
            }
            // SAFETY: a new segment, without operations.
            unsafe { attach(behind, rest) };
        }
    }
    0
}

/// # Safety
/// Our segment, in an address space that is locked as writer.
unsafe fn set_bounds(seg: *mut sys::seg, segment: &Mapped) {
    // SAFETY: the caller's promise.
    let seg = unsafe { &mut *seg };
    seg.s_base = address(segment.base());
    seg.s_size = segment.len() as usize;
}

/// The segment has left its address space, and is empty.
unsafe extern "C-unwind" fn free(seg: *mut sys::seg) {
    // SAFETY: in one of our operations.
    let seg = unsafe { &mut *seg };
    // SAFETY: by the module's invariants, and given back once: the pointer goes.
    drop(unsafe { Box::from_raw(seg.s_data.cast::<Mapped>()) });
    seg.s_data = ptr::null_mut();
}

/// An access without a translation, or pages to be locked or unlocked: the address space is locked as reader.
unsafe extern "C-unwind" fn fault(
    _hat: *mut sys::hat,
    seg: *mut sys::seg,
    addr: sys::caddr_t,
    len: usize,
    ty: sys::fault_type,
    rw: sys::seg_rw,
) -> sys::faultcode_t {
    const TRY_AGAIN: sys::faultcode_t = sys::FC_MAKE_ERR(sys::EDEADLK);
    // SAFETY: in one of our operations.
    let mapped = unsafe { mapped(seg) };
    let Some(ty) = FaultType::from_raw(ty) else { return sys::FC_NOSUPPORT };
    // Newer kernels know reads that do not copy on write; nothing is copied here.
    let rw = Rw::from_raw(rw).unwrap_or(Rw::Read);
    let served = mapped.try_fault(framework(), va(addr), len as u64, ty, rw);
    if ty == FaultType::Softunlock {
        // The kernel stops at the first error, and would leave locked what comes behind this segment.
        if !mapped.softlocked() {
            mapped.space().wake();
        }
        return 0;
    }
    match served {
        // A driver's own error must not make the kernel begin again for ever.
        Some(FaultCode(TRY_AGAIN)) => FaultCode::EAGAIN.0,
        Some(code) => code.0,
        None => TRY_AGAIN,
    }
}

unsafe extern "C-unwind" fn faulta(_seg: *mut sys::seg, _addr: sys::caddr_t) -> sys::faultcode_t {
    0
}

/// mprotect(2): the address space is locked at least as reader.
unsafe extern "C-unwind" fn setprot(
    seg: *mut sys::seg,
    addr: sys::caddr_t,
    len: usize,
    prot: sys::uint_t,
) -> c_int {
    // SAFETY: in one of our operations.
    let mapped = unsafe { mapped(seg) };
    let _changing = mapped.data().changing.lock();
    errno(mapped.set_prot(framework(), va(addr), len as u64, Prot::from_raw(prot)))
}

unsafe extern "C-unwind" fn checkprot(
    seg: *mut sys::seg,
    addr: sys::caddr_t,
    len: usize,
    prot: sys::uint_t,
) -> c_int {
    // SAFETY: in one of our operations.
    let mapped = unsafe { mapped(seg) };
    errno(mapped.check_prot(va(addr), len as u64, Prot::from_raw(prot)))
}

unsafe extern "C-unwind" fn kluster(_seg: *mut sys::seg, _addr: sys::caddr_t, _delta: isize) -> c_int {
    -1
}

unsafe extern "C-unwind" fn swapout(_seg: *mut sys::seg) -> usize {
    0
}

unsafe extern "C-unwind" fn sync(
    _seg: *mut sys::seg,
    _addr: sys::caddr_t,
    _len: usize,
    _attr: c_int,
    _flags: sys::uint_t,
) -> c_int {
    0
}

/// Returns the number of pages that a range touches, at least one.
fn page_count(addr: u64, len: usize) -> usize {
    let within = addr % PAGE_SIZE;
    (within + len as u64).div_ceil(PAGE_SIZE).max(1) as usize
}

/// mincore(2): pages of devices are always there.
unsafe extern "C-unwind" fn incore(
    _seg: *mut sys::seg,
    addr: sys::caddr_t,
    len: usize,
    vec: *mut c_char,
) -> usize {
    let pages = page_count(va(addr), len);
    // SAFETY: the caller's place for one byte per page.
    unsafe { vec.write_bytes(1, pages) };
    pages * PAGE_SIZE as usize
}

unsafe extern "C-unwind" fn lockop(
    _seg: *mut sys::seg,
    _addr: sys::caddr_t,
    _len: usize,
    _attr: c_int,
    _op: c_int,
    _lockmap: *mut sys::ulong_t,
    _pos: usize,
) -> c_int {
    0
}

/// The protections of the pages of a range, of one page for length 0.
unsafe extern "C-unwind" fn getprot(
    seg: *mut sys::seg,
    addr: sys::caddr_t,
    len: usize,
    protv: *mut sys::uint_t,
) -> c_int {
    // SAFETY: in one of our operations.
    let mapped = unsafe { mapped(seg) };
    for page in 0..page_count(va(addr), len) {
        let prot = mapped.prot(va(addr) + page as u64 * PAGE_SIZE);
        // SAFETY: the caller's place for one value per page.
        let place = unsafe { protv.add(page) };
        // SAFETY: as above.
        unsafe { place.write(prot.map_or(0, |prot| prot.bits().into())) };
    }
    0
}

unsafe extern "C-unwind" fn getoffset(seg: *mut sys::seg, addr: sys::caddr_t) -> sys::u_offset_t {
    // SAFETY: in one of our operations.
    unsafe { mapped(seg) }.offset(va(addr))
}

unsafe extern "C-unwind" fn gettype(seg: *mut sys::seg, _addr: sys::caddr_t) -> c_int {
    // SAFETY: in one of our operations.
    let flags = unsafe { mapped(seg) }.flags() & MapFlags::TYPE;
    flags.bits().cast_signed()
}

unsafe extern "C-unwind" fn getvp(
    seg: *mut sys::seg,
    _addr: sys::caddr_t,
    vpp: *mut *mut sys::vnode,
) -> c_int {
    // SAFETY: in one of our operations.
    let mapped = unsafe { mapped(seg) };
    // SAFETY: the caller's place for the vnode.
    unsafe { vpp.write(mapped.data().vnode.as_ref().map_or(ptr::null_mut(), |vnode| vnode.as_ptr())) };
    0
}

unsafe extern "C-unwind" fn advise(
    _seg: *mut sys::seg,
    _addr: sys::caddr_t,
    _len: usize,
    _behaviour: sys::uint_t,
) -> c_int {
    0
}

unsafe extern "C-unwind" fn dump(_seg: *mut sys::seg) {}

/// Pages are not locked by their page structures: the kernel softlocks them instead.
unsafe extern "C-unwind" fn pagelock(
    _seg: *mut sys::seg,
    _addr: sys::caddr_t,
    _len: usize,
    _pages: *mut *mut *mut sys::page,
    _ty: sys::lock_type,
    _rw: sys::seg_rw,
) -> c_int {
    sys::ENOTSUP
}

unsafe extern "C-unwind" fn setpagesize(
    _seg: *mut sys::seg,
    _addr: sys::caddr_t,
    _len: usize,
    _szc: sys::uint_t,
) -> c_int {
    sys::ENOTSUP
}

/// Names the memory at an address across processes: device number and offset.
unsafe extern "C-unwind" fn getmemid(
    seg: *mut sys::seg,
    addr: sys::caddr_t,
    memid: *mut sys::memid_t,
) -> c_int {
    // SAFETY: in one of our operations.
    let segment = unsafe { mapped(seg) };
    let val = [segdev::Device::dev(segment.device()), segment.offset(va(addr))];
    // SAFETY: the caller's place for it.
    unsafe { memid.write(sys::memid_t { val }) };
    0
}

unsafe extern "C-unwind" fn getpolicy(
    _seg: *mut sys::seg,
    _addr: sys::caddr_t,
) -> *mut sys::lgrp_mem_policy_info {
    ptr::null_mut()
}

unsafe extern "C-unwind" fn capable(_seg: *mut sys::seg, _what: sys::segcapability_t) -> c_int {
    0
}

unsafe extern "C-unwind" fn inherit(
    _seg: *mut sys::seg,
    _addr: sys::caddr_t,
    _len: usize,
    _behaviour: sys::uint_t,
) -> c_int {
    sys::ENOTSUP
}
