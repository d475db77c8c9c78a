//! The segment driver: what the kernel calls for a segment, and how a segment gets into an address space.
//!
//! # Invariants
//!
//! `s_data` of a segment with our operations is a `Mapped` as `into_data` makes it, from the moment that the operations are set until `free`. The
//! kernel calls `unmap`, `free` and `dup` with the address space locked as writer, everything else with it locked at least as reader; so
//! `unmap` and `free` have the data to themselves. Only the kernel's own segment functions change bounds behind us, and
//! they do not.

use alloc::sync::Arc;
use core::ffi::{c_char, c_int, c_void};
use core::mem::ManuallyDrop;
use core::ptr;

use ddi_sys as sys;
use segdev::{Errno, FaultCode, FaultType, Handle, Many, MapFlags, PAGE_SIZE, Prot, Rw, Segment};

use crate::device::{Device, Range};
use crate::held::Last;
use crate::platform::{Kernel, framework};
use crate::space::{Space, address};

/// Private data of a segment of the kernel's.
pub(crate) type Mapped = Segment<Kernel>;

/// In the lowest bit of `s_data`: a segment of several handles.
const MANY: usize = 1;

/// A segment as `s_data`, which owns it.
#[inline(always)]
fn into_data(segment: Mapped) -> *mut c_void {
    match segment {
        Segment::One(handle) => Arc::into_raw(handle).cast_mut().cast(),
        Segment::Many(many) => Arc::into_raw(many).cast_mut().cast::<c_void>().map_addr(|addr| addr | MANY),
    }
}

/// # Safety
/// Of `into_data`. The segment is dropped once.
#[inline(always)]
unsafe fn from_data(data: *mut c_void) -> Mapped {
    if data.addr() & MANY == 0 {
        // SAFETY: as `into_data` made it of such a segment.
        Segment::One(unsafe { Arc::from_raw(data.cast_const().cast()) })
    } else {
        let many = data.map_addr(|addr| addr & !MANY);
        // SAFETY: as above.
        Segment::Many(unsafe { Arc::from_raw(many.cast_const().cast()) })
    }
}

/// Arguments of a vnode's calls for a whole segment.
fn whole(segment: &Mapped) -> Range {
    Range { off: segment.off(), addr: segment.base(), len: segment.len(), flags: segment.flags().bits() }
}

/// Puts a complete segment into its address space, whose layout the caller keeps.
///
/// # Errors
/// Error of the kernel, and the segment if it is not in the address space.
#[inline(always)]
pub(crate) fn enter(segment: Mapped) -> Result<(), (Errno, Option<Mapped>)> {
    let (space, addr, len) = (segment.space().as_ptr(), address(segment.base()), segment.len() as usize);
    let mut segment = Some(segment);
    let argument: *mut Option<Mapped> = &raw mut segment;
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
    let place = unsafe { &mut *argument.cast::<Option<Mapped>>() };
    let Some(segment) = &*place else { return sys::EINVAL };
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
    // SAFETY: the address space is the caller's.
    let error = unsafe { segment.data().vnode.add(space, whole(segment)) };
    if error != 0 {
        return error;
    }
    if let Some(segment) = place.take() {
        // SAFETY: as above, and its data is nobody's yet.
        unsafe { attach(seg, segment) };
    }
    0
}

/// # Safety
/// A segment of the kernel's without operations, in an address space that is locked as writer.
#[inline(always)]
unsafe fn attach(seg: *mut sys::seg, mapped: Mapped) {
    // SAFETY: the caller's promise.
    let seg = unsafe { &mut *seg };
    seg.s_data = into_data(mapped);
    seg.s_ops = (&raw const OPERATIONS).cast_mut();
}

/// # Safety
/// In one of our operations on `seg`, but free.
#[inline(always)]
unsafe fn mapped(seg: *mut sys::seg) -> ManuallyDrop<Mapped> {
    // SAFETY: the caller's promise.
    let data = unsafe { (*seg).s_data };
    // SAFETY: by the module's invariants. The kernel's segment keeps it.
    ManuallyDrop::new(unsafe { from_data(data) })
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
    match &*mapped {
        Segment::One(handle) => {
            // SAFETY: the segment that the kernel has made for the child.
            let copy = framework().dup_only(handle, &Space::new(unsafe { space_of(new) })).map(Segment::One);
            // SAFETY: as above.
            unsafe { put_copy(new, handle.device(), copy) }
        }
        // SAFETY: in our operation.
        Segment::Many(many) => unsafe { dup_many(many, new) },
    }
}

/// # Safety
/// In `dup`, of a segment that the kernel has made for the child.
#[inline(never)]
unsafe fn dup_many(many: &Many<Kernel>, new: *mut sys::seg) -> c_int {
    // SAFETY: the caller's promise.
    let copy = many.dup(framework(), &Space::new(unsafe { space_of(new) }));
    // SAFETY: as above.
    unsafe { put_copy(new, many.device(), copy) }
}

/// Attaches a copy to the child's segment.
///
/// # Safety
/// As above.
#[inline(always)]
unsafe fn put_copy(new: *mut sys::seg, device: &Device, copy: Result<Mapped, Errno>) -> c_int {
    let copy = match copy {
        Ok(copy) => copy,
        Err(refusal) => return refusal.0,
    };
    // SAFETY: the caller's promise.
    let child = unsafe { space_of(new) };
    let vnode = &copy.data().vnode;
    let error = match vnode.hold(device.0) {
        // SAFETY: the child's address space is locked.
        true => unsafe { vnode.add(child, whole(&copy)) },
        false => sys::ENXIO,
    };
    if error != 0 {
        copy.discard(framework(), true);
        return error;
    }
    // SAFETY: the child's segment has no operations yet.
    unsafe { attach(new, copy) };
    0
}

/// munmap(2), exit(2), and a mapping over another: the address space is locked as writer. `EAGAIN` makes the kernel wait until pages are unlocked.
unsafe extern "C-unwind" fn unmap(seg: *mut sys::seg, addr: sys::caddr_t, len: usize) -> c_int {
    // SAFETY: in one of our operations.
    let mapped = unsafe { mapped(seg) };
    match *mapped {
        Segment::One(ref handle) if va(addr) == handle.addr() && len as u64 == handle.len() => {
            // SAFETY: in our operation.
            unsafe { unmap_one(seg) }
        }
        // SAFETY: as above, with its arguments.
        Segment::One(_) => unsafe { cut_one(seg, va(addr), len as u64) },
        // SAFETY: as above.
        Segment::Many(_) => unsafe { unmap_many(seg, va(addr), len as u64) },
    }
}

/// The handle of a segment of one handle.
///
/// # Safety
/// In one of our operations on such a segment.
#[inline(always)]
unsafe fn handle_of(seg: *mut sys::seg) -> ManuallyDrop<Arc<Handle<Kernel>>> {
    // SAFETY: the caller's promise.
    let data = unsafe { (*seg).s_data };
    // SAFETY: as `into_data` made it of such a segment. The kernel's segment keeps it.
    ManuallyDrop::new(unsafe { Arc::from_raw(data.cast_const().cast()) })
}

/// A segment of one handle goes.
///
/// # Safety
/// In `unmap` of `seg`, which is one.
#[inline(never)]
unsafe fn unmap_one(seg: *mut sys::seg) -> c_int {
    let _last = Last::begin();
    // SAFETY: the caller's promise.
    let handle = unsafe { handle_of(seg) };
    if let Err(e) = framework().unmap_only(&handle) {
        return e.0;
    }
    let at =
        Range { off: handle.off(), addr: handle.addr(), len: handle.len(), flags: handle.map_flags().bits() };
    // SAFETY: the caller's promise.
    let space = unsafe { space_of(seg) };
    // SAFETY: the address space is locked, and these pages were counted.
    unsafe { handle.segment_data().vnode.remove(space, at) };
    // SAFETY: the segment is empty; calls `free`.
    unsafe { sys::seg_free(seg) };
    0
}

/// A part of a segment of one handle goes.
///
/// # Safety
/// In `unmap` of `seg`, which is one, of whole pages within it.
#[inline(never)]
unsafe fn cut_one(seg: *mut sys::seg, addr: u64, len: u64) -> c_int {
    let _last = Last::begin();
    // SAFETY: the caller's promise.
    let handle = unsafe { handle_of(seg) };
    let off = handle.off() + (addr - handle.addr());
    let rest = match framework().cut(&handle, addr, len) {
        Ok(rest) => rest,
        Err(e) => return e.0,
    };
    let gone = Range { off, addr, len, flags: handle.map_flags().bits() };
    // SAFETY: the caller's promise.
    let space = unsafe { space_of(seg) };
    // SAFETY: the address space is locked, and these pages were counted.
    unsafe { handle.segment_data().vnode.remove(space, gone) };
    // SAFETY: the address space is locked as writer.
    unsafe { set_bounds(seg, handle.addr(), handle.len()) };
    let Some(rest) = rest else { return 0 };
    // The vnode is held by what is before, so it is found.
    rest.segment_data().vnode.hold(handle.device().0);
    // SAFETY: as above; the range was this segment's.
    let behind = unsafe { sys::seg_alloc(space, address(rest.addr()), rest.len() as usize) };
    if behind.is_null() {
        // SAFETY: as above.
        unsafe { no_place(space, Segment::One(rest)) };
        return 0;
    }
    // SAFETY: a new segment, without operations.
    unsafe { attach(behind, Segment::One(rest)) };
    0
}

/// A range that was ours is taken, which cannot be: nothing of ours is left in it.
///
/// # Safety
/// The pages were counted, in this address space, which is locked as writer.
#[cold]
#[inline(never)]
unsafe fn no_place(space: *mut sys::as_, rest: Mapped) {
    // SAFETY: the caller's promise.
    unsafe { rest.data().vnode.remove(space, whole(&rest)) };
    rest.discard(framework(), true);
}

/// All or a part of a segment of several handles goes.
///
/// # Safety
/// In `unmap` of `seg`, which is one, of whole pages within it.
#[inline(never)]
unsafe fn unmap_many(seg: *mut sys::seg, addr: u64, len: u64) -> c_int {
    let _last = Last::begin();
    // SAFETY: the caller's promise.
    let mut mapped = unsafe { mapped(seg) };
    let gone = Range { off: mapped.offset(addr), addr, len, flags: mapped.flags().bits() };
    let whole = addr == mapped.base() && len == mapped.len();
    let rest = match &*mapped {
        Segment::Many(many) if whole => many.unmap_whole(framework()).map(|()| None),
        _ => mapped.cut_many(framework(), addr, addr + len),
    };
    let rest = match rest {
        Ok(rest) => rest,
        Err(e) => return e.0,
    };
    // SAFETY: the caller's promise.
    let space = unsafe { space_of(seg) };
    // SAFETY: the address space is locked, and these pages were counted.
    unsafe { mapped.data().vnode.remove(space, gone) };
    if whole {
        // SAFETY: the segment is empty; calls `free`.
        unsafe { sys::seg_free(seg) };
        return 0;
    }
    // SAFETY: the address space is locked as writer.
    unsafe { set_bounds(seg, mapped.base(), mapped.len()) };
    let Some(rest) = rest else { return 0 };
    // The vnode is held by what is before, so it is found.
    rest.data().vnode.hold(mapped.device().0);
    // SAFETY: as above; the range was this segment's.
    let behind = unsafe { sys::seg_alloc(space, address(rest.base()), rest.len() as usize) };
    if behind.is_null() {
        // SAFETY: as above.
        unsafe { no_place(space, rest) };
        return 0;
    }
    // SAFETY: a new segment, without operations.
    unsafe { attach(behind, rest) };
    0
}

/// # Safety
/// Our segment, in an address space that is locked as writer.
#[inline(always)]
unsafe fn set_bounds(seg: *mut sys::seg, base: u64, len: u64) {
    // SAFETY: the caller's promise.
    let seg = unsafe { &mut *seg };
    seg.s_base = address(base);
    seg.s_size = len as usize;
}

/// The segment has left its address space, and is empty. The kernel frees its own part.
unsafe extern "C-unwind" fn free(seg: *mut sys::seg) {
    // SAFETY: in one of our operations.
    let data = unsafe { (*seg).s_data };
    // SAFETY: by the module's invariants; nothing looks at `s_data` any more.
    match unsafe { from_data(data) } {
        Segment::One(handle) => drop(handle),
        Segment::Many(many) => drop(many),
    }
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
    // Newer kernels know reads that do not copy on write; nothing is copied here.
    let rw = Rw::from_raw(rw).unwrap_or(Rw::Read);
    if ty == sys::F_INVAL {
        // SAFETY: in one of our operations.
        let mapped = unsafe { mapped(seg) };
        match mapped.usual_fault(framework(), va(addr), len as u64, rw) {
            Some(FaultCode::OK) => return 0,
            Some(code) => return refusal(code),
            None => {}
        }
    }
    // SAFETY: as above, with our arguments.
    unsafe { other_fault(seg, va(addr), len as u64, ty, rw) }
}

/// Begin again from looking the segment up, without the address space.
const TRY_AGAIN: sys::faultcode_t = sys::FC_MAKE_ERR(sys::EDEADLK);

/// The answer to a fault that was refused. A driver's own error must not make the kernel begin again for ever.
#[cold]
fn refusal(code: FaultCode) -> sys::faultcode_t {
    if code.0 == TRY_AGAIN { FaultCode::EAGAIN.0 } else { code.0 }
}

/// Any fault.
///
/// # Safety
/// In `fault` of `seg`.
#[inline(never)]
unsafe fn other_fault(
    seg: *mut sys::seg,
    addr: u64,
    len: u64,
    ty: sys::fault_type,
    rw: Rw,
) -> sys::faultcode_t {
    // SAFETY: the caller's promise.
    let mapped = unsafe { mapped(seg) };
    let Some(ty) = FaultType::from_raw(ty) else { return sys::FC_NOSUPPORT };
    let served = mapped.try_fault(framework(), addr, len, ty, rw);
    if ty == FaultType::Softunlock {
        // The kernel stops at the first error, and would leave locked what comes behind this segment.
        if !mapped.softlocked() {
            mapped.space().wake();
        }
        return 0;
    }
    served.map_or(TRY_AGAIN, refusal)
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
    unsafe { vpp.write(mapped.data().vnode.as_ptr()) };
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
