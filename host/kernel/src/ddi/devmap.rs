//! devmap: devmap_setup(9F), devmap_umem_setup(9F), devmap_load(9F) and the rest; ddi_umem_alloc(9F).
//!
//! A thin layer: cookies are looked up, C arguments turned into segdev's, and what the framework decided into address space
//! of the process. Bad cookies are reported. Any of these may be called with driver mutexes held; none calls the driver
//! but devmap_setup and devmap_do_ctxmgt.

use std::ffi::{c_int, c_uint, c_void};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ddi_process::failpoint::fails;
use ddi_process::{Call, Piece};
use ddi_sys::{
    as_, caddr_t, clock_t, cred, cred_t, ddi_as_handle_t, ddi_device_acc_attr_t, ddi_umem_cookie_t,
    dev_info_t, dev_t, devmap_callback_ctl, devmap_cookie_t, model_t, off_t, offset_t, uint_t,
};
use ddi_trace::Event;
use segdev::{
    Access, DevmemSetup, FaultCode, FaultType, Given, MapFlags, MapRequest, Node as _, Prot, Rw, SetupFlags,
    Umem as _, UmemKind, UmemSetup,
};

use super::args::{InOut, Out};
use super::nodes::node;
use super::sync;
use crate::board::report;
use crate::kern::errno::illumos_errno;
use crate::kern::image;
use crate::kern::{drivers, entry, heap, opens, peek, tables, traced};
use crate::vm::client::Entry;
use crate::vm::cookie::{self, Handle, Object};
use crate::vm::device::{Callbacks, Device, Hold};
use crate::vm::umem::{self, Memory, MmapPages, Umem};
use crate::vm::{Host, client, framework, give_back, kva};

use ddi_process::physmem::PAGE_SIZE as PAGE;
use ddi_sys::{EINVAL, ENXIO};

/// The handle of a driver's cookie; a bad one is reported.
fn handle(dhp: devmap_cookie_t, function: &str) -> Option<Arc<Handle>> {
    let found = cookie::find(dhp as usize);
    if found.is_none() {
        let what = if cookie::was(dhp as usize) {
            format!("the devmap cookie {dhp:p} is that of a mapping that has gone")
        } else {
            format!("{dhp:p} is not a devmap cookie")
        };
        report::mistake(function, &what, &format!("{function}(9F)"));
    }
    found
}

/// The memory of a driver's umem cookie; a bad one is reported, NULL is not.
fn umem_of(cookie: ddi_umem_cookie_t, function: &str) -> Option<Umem> {
    if cookie.is_null() {
        return None;
    }
    if let Some(found) = umem::find(cookie as usize) {
        return Some(Umem::Cookie(found));
    }
    let made = own_cookie(cookie as usize);
    if made.is_none() {
        let what = format!("{cookie:p} is not a ddi_umem_cookie_t, or it has been freed");
        report::mistake(function, &what, &format!("{function}(9F)"));
    }
    made
}

/// A cookie that a driver made itself, as real ones do: a kmem buffer of the private structure's size that names locked
/// memory at a kernel address.
fn own_cookie(cookie: usize) -> Option<Umem> {
    const SIZE: usize = 104;
    if heap::size_of(cookie) != Some(SIZE) {
        return None;
    }
    // The structure begins with size, address, lock and type.
    let word = |at: usize| peek::read::<usize>(cookie + 8 * at).map(|word| word as u64);
    let (size, address, kind) = (word(0)?, word(1)?, word(3)? as i32);
    if kind != ddi_sys::KMEM_NON_PAGEABLE || !address.is_multiple_of(PAGE) || size == 0 {
        return None;
    }
    let frames: Option<Vec<u64>> =
        (0..size.div_ceil(PAGE)).map(|page| kva::frame((address + page * PAGE) as usize)).collect();
    Some(Umem::Mmap(Arc::new(MmapPages { frames: frames?, address })))
}

/// Reads the callbacks that a driver passed to `function`. None if there are none, or, after a report, if they are not what they should be.
fn callbacks(ops: *mut devmap_callback_ctl, dip: *mut dev_info_t, function: &str) -> Option<Callbacks> {
    if ops.is_null() {
        return None;
    }
    let driver = node(dip, function).and_then(|n| drivers::find(n.driver_name()))?;
    let table = tables::callbacks(&driver.name, ops as usize);
    let table = table.inspect_err(|wrong| wrong.report(function)).ok()?;
    Some(Callbacks::new(driver, table))
}

/// Callbacks of a driver, for a node.
fn given(callbacks: Option<&Callbacks>, dip: *mut dev_info_t) -> Option<Given<'_, Host>> {
    callbacks.map(|callbacks| Given { instance: dip.addr() as u64, callbacks })
}

/// Protections of a mapping or of a setup call. That it is user code's goes without saying.
fn prot(bits: uint_t) -> Prot {
    Prot::from_raw(bits) - Prot::USER
}

fn range(off: offset_t, len: usize, ty: uint_t, rw: uint_t) -> Option<Access> {
    Some(Access { off: off as u64, len: len as u64, ty: FaultType::from_raw(ty)?, rw: Rw::from_raw(rw)? })
}

/// The device that a dev_t means, for mapping.
fn device(dev: dev_t, old: bool) -> Option<Device> {
    let (driver, node) = opens::device_of(dev)?;
    let hold = Some(Hold::new(&driver, dev, node));
    Some(Device { driver, node, dev, old, hold, by_hand: None })
}

/// Serves a mapping request: devmap_setup, or the same for mmap(9E).
#[derive(Clone, Copy, Debug)]
struct Request {
    dev: dev_t,
    off: u64,
    len: u64,
    prot: uint_t,
    maxprot: uint_t,
    flags: uint_t,
}

/// Maps; the address is stored. 0, or an errno.
fn map(request: Request, space: *mut as_, addrp: InOut<'_, caddr_t>, old: bool, function: &str) -> c_int {
    let Some(entry) = client::of_as(space as usize) else {
        let what = format!("{space:p} is not the address space of a process");
        report::mistake(function, &what, &format!("{function}(9F)"));
        return EINVAL;
    };
    let Some(device) = device(request.dev, old) else { return ENXIO };
    let asked = addrp.value() as u64;
    let flags = MapFlags::from_bits_retain(request.flags);
    let map = MapRequest {
        device: &device,
        off: request.off,
        len: request.len,
        prot: prot(request.prot),
        maxprot: prot(request.maxprot),
        flags,
        model: image::model() as model_t,
    };
    match map_into(&entry, &map, flags.contains(MapFlags::FIXED), asked) {
        Ok(base) => {
            addrp.put(base as caddr_t);
            0
        }
        Err(errno) => errno,
    }
}

pub(crate) fn map_into(
    entry: &Entry,
    request: &MapRequest<'_, crate::vm::Host>,
    fixed: bool,
    asked: u64,
) -> Result<u64, c_int> {
    let fixed = fixed.then_some(asked);
    let fw = framework();
    let len = request.whole().ok_or(EINVAL)?;
    let replaced = fixed.map(|addr| entry.space.parts(framework(), addr, len)).unwrap_or_default();
    if let Some(addr) = fixed {
        entry.unmap_segments(addr, len)?;
    }
    let result = match fixed {
        Some(_) => entry.space.mmap(fw, request, fixed),
        None => entry.space.mmap_near(fw, request, asked),
    };
    let result = result.map_err(|e| e.0);
    let done = result.and_then(|base| {
        let pieces = pieces(entry, base, request);
        Call::with_current(|call| {
            let call = call.ok_or(EINVAL)?;
            if fixed.is_some() {
                call.reserve(len, PAGE, 0, base, fixed).map_err(|e| illumos_errno(e.0))?;
            }
            call.map_pieces(&pieces).map_err(|e| illumos_errno(e.0))
        })
        .map(|()| base)
        .inspect_err(|_| {
            // The mapping exists in the kernel only: take it back, callbacks and all.
            let _ = entry.space.munmap(fw, base, len);
            give_back(base, len);
        })
    });
    if done.is_err() {
        // Ranges replaced before the failure have already been unmapped.
        for (addr, len) in replaced {
            let still = entry.space.parts(framework(), addr, len);
            for (at, gap) in gaps(addr, len, &still) {
                give_back(at, gap);
            }
        }
    }
    done
}

/// The parts of a range that are not among `covered` (ascending).
pub(crate) fn gaps(addr: u64, len: u64, covered: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut at = addr;
    let mut gaps = Vec::new();
    for &(from, n) in covered.iter().chain([&(addr + len, 0)]) {
        if from > at {
            gaps.push((at, from - at));
        }
        at = at.max(from + n);
    }
    gaps
}

/// The pieces of a new mapping: runs of page frames where they are known.
fn pieces(entry: &Entry, base: u64, request: &MapRequest<'_, crate::vm::Host>) -> Vec<Piece> {
    let protection = ddi_process::Prot::from_bits_truncate(u32::from(request.prot.bits()));
    let handles: Vec<_> =
        entry.space.with_segment(framework(), base, |segment| segment.handles().to_vec()).unwrap_or_default();
    let mut pieces = Vec::new();
    for handle in handles {
        let info = handle.info();
        let object = handle.data().object.lock().clone();
        match object {
            Some(Object::Frames(pfn, _)) => {
                pieces.push(Piece { va: info.addr, len: info.len, pfn: Some(pfn), prot: protection });
            }
            Some(Object::Umem(umem, koff)) if umem.kind() != UmemKind::Trash => {
                let mut done = 0;
                while done < info.len {
                    let run = umem.run(koff + done, info.len - done);
                    let (pfn, len) = run.map_or((None, info.len - done), |(pfn, len)| (Some(pfn), len));
                    pieces.push(Piece { va: info.addr + done, len, pfn, prot: protection });
                    done += len;
                }
            }
            _ => pieces.push(Piece { va: info.addr, len: info.len, pfn: None, prot: protection }),
        }
    }
    pieces
}

/// Registers that a handle maps.
fn registers(device: &Device, rnumber: uint_t, off: offset_t, len: usize) -> Object {
    let found = device.registers(rnumber, off as u64, len as u64);
    found.map_or(Object::Invalid, |(pfn, _)| Object::Frames(pfn, off as u64 & !(PAGE - 1)))
}

/// A setup call has succeeded: notes what drivers can see of it.
fn set_up(handle: &Arc<Handle>, table: Option<devmap_callback_ctl>, object: Object, cookie: usize) {
    cookie::maps_now(handle, object);
    let data = handle.data();
    data.umem.store(cookie, Ordering::Relaxed);
    if let Some(table) = table {
        let _ = data.table.set(table);
    }
    cookie::of(handle);
}

/// The device of a handle's driver call: the node that the driver names.
fn device_of_node(dip: *mut dev_info_t, handle: &Handle, function: &str) -> Option<Device> {
    let node = node(dip, function)?;
    let driver = drivers::find(node.driver_name())?;
    let dev = handle.data().dev.get().copied().unwrap_or(0);
    Some(Device { driver, node, dev, old: false, hold: None, by_hand: None })
}

/// Names a handle's device, mapping and context in a trace.
fn context_of(handle: &Handle) -> (u64, u64, u64) {
    let (info, table) = (handle.info(), handle.data().table.get());
    // The same for all pieces of one mmap.
    let mapping = info.addr.wrapping_sub(info.off);
    let context = table.and_then(|table| table.devmap_access).map_or(0, |access| access as usize as u64);
    (traced::of(handle.data().dip.load(Ordering::Relaxed)), mapping, context)
}

/// Records a remap.
fn remapped(handle: &Handle, invalid: bool) {
    let info = handle.info();
    if invalid {
        return revoked(handle, info.off, info.len);
    }
    let device = if ddi_trace::on() { traced::of(handle.data().dip.load(Ordering::Relaxed)) } else { 0 };
    ddi_trace::instant(device, || {
        let process = handle.space().process();
        let (of, of_pid) = (process.id(), process.pid().cast_unsigned());
        Event::Remap { of, of_pid, offset: info.off, length: info.len }
    });
}

/// Records that a driver takes pages from a process.
fn revoked(handle: &Handle, offset: u64, length: u64) {
    let device = if ddi_trace::on() { traced::of(handle.data().dip.load(Ordering::Relaxed)) } else { 0 };
    ddi_trace::instant(device, || {
        let process = handle.space().process();
        Event::Revoke { of: process.id(), of_pid: process.pid().cast_unsigned(), offset, length }
    });
}

fn answer(ok: bool) -> c_int {
    if ok { ddi_sys::DDI_SUCCESS } else { ddi_sys::DDI_FAILURE }
}

fn bad_kind(function: &str, ty: uint_t, rw: uint_t) -> c_int {
    report::mistake(function, &format!("type {ty} or rw {rw} is unknown"), &format!("{function}(9F)"));
    FaultCode::EINVAL.0
}

/// In check mode: reports what only makes sense in the access callback, and fails elsewhere.
fn outside(function: &str) {
    if crate::kern::heap::checking() && !crate::vm::in_fault() {
        let what = "called outside devmap_access(9E): no address space is locked for it";
        report::mistake(function, what, &format!("{function}(9F)"));
    }
}

ddi! {
    /// devmap_setup(9F).
    fn devmap_setup(
        dev: dev_t,
        off: offset_t,
        space: ddi_as_handle_t,
        addrp: InOut<caddr_t>,
        len: usize,
        prot: uint_t,
        maxprot: uint_t,
        flags: uint_t,
        _cred: *mut cred,
    ) -> c_int {
        let request = Request { dev, off: off as u64, len: len as u64, prot, maxprot, flags };
        map(request, space, addrp, false, NAME)
    }
    /// ddi_devmap_segmap(9F).
    fn ddi_devmap_segmap(
        dev: dev_t,
        off: off_t,
        space: ddi_as_handle_t,
        addrp: InOut<caddr_t>,
        len: off_t,
        prot: uint_t,
        maxprot: uint_t,
        flags: uint_t,
        _cred: *mut cred,
    ) -> c_int {
        let request = Request { dev, off: off as u64, len: len as u64, prot, maxprot, flags };
        map(request, space, addrp, false, NAME)
    }
    /// ddi_segmap(9F): for drivers with mmap(9E).
    fn ddi_segmap(
        dev: dev_t,
        off: off_t,
        space: *mut as_,
        addrp: InOut<caddr_t>,
        len: off_t,
        prot: uint_t,
        maxprot: uint_t,
        flags: uint_t,
        _cred: *mut cred_t,
    ) -> c_int {
        let request = Request { dev, off: off as u64, len: len as u64, prot, maxprot, flags };
        map(request, space, addrp, true, NAME)
    }
    /// ddi_segmap_setup(9F): the same with access attributes.
    fn ddi_segmap_setup(
        dev: dev_t,
        off: off_t,
        space: *mut as_,
        addrp: InOut<caddr_t>,
        len: off_t,
        prot: uint_t,
        maxprot: uint_t,
        flags: uint_t,
        _cred: *mut cred_t,
        _attributes: *mut ddi_device_acc_attr_t,
        _rnumber: uint_t,
    ) -> c_int {
        let request = Request { dev, off: off as u64, len: len as u64, prot, maxprot, flags };
        map(request, space, addrp, true, NAME)
    }
    /// ddi_mmap_get_model(9F).
    fn ddi_mmap_get_model() -> model_t {
        image::model() as model_t
    }
    /// ddi_device_mapping_check: any attributes will do.
    fn ddi_device_mapping_check(
        _dev: dev_t,
        _attributes: *mut ddi_device_acc_attr_t,
        _rnumber: uint_t,
        hat_flags: Out<uint_t>,
    ) -> c_int {
        hat_flags.set(0);
        0
    }
    /// cdev_mmap: calls a driver's mmap(9E).
    fn cdev_mmap(
        mmap: Option<unsafe extern "C-unwind" fn(dev_t, off_t, c_int) -> c_int>,
        dev: dev_t,
        off: off_t,
        prot: c_int,
    ) -> c_int {
        // SAFETY: the driver's entry point with its own device.
        mmap.map_or(-1, |mmap| unsafe { mmap(dev, off, prot) })
    }
    /// devmap_devmem_setup(9F).
    fn devmap_devmem_setup(
        dhp: devmap_cookie_t,
        dip: *mut dev_info_t,
        ops: *mut devmap_callback_ctl,
        rnumber: uint_t,
        roff: offset_t,
        len: usize,
        maxprot: uint_t,
        flags: uint_t,
        _attributes: *mut ddi_device_acc_attr_t,
    ) -> c_int {
        let Some(handle) = handle(dhp, NAME) else { return ddi_sys::DDI_FAILURE };
        let Some(device) = device_of_node(dip, &handle, NAME) else { return ddi_sys::DDI_FAILURE };
        let callbacks = callbacks(ops, dip, NAME);
        let table = callbacks.as_ref().map(|callbacks| *callbacks.table());
        let flags = SetupFlags::from_bits_retain(flags);
        let args = DevmemSetup {
            rnumber,
            off: roff as u64,
            len: len as u64,
            maxprot: self::prot(maxprot),
            flags,
            attr: 0,
            callbacks: given(callbacks.as_ref(), dip),
        };
        let ok = framework().devmem_setup(&handle, &device, args).is_ok();
        if ok {
            let invalid = flags.contains(SetupFlags::MAPPING_INVALID);
            let object = if invalid { Object::Invalid } else { registers(&device, rnumber, roff, len) };
            set_up(&handle, table, object, 0);
        }
        answer(ok)
    }
    /// devmap_umem_setup(9F).
    fn devmap_umem_setup(
        dhp: devmap_cookie_t,
        dip: *mut dev_info_t,
        ops: *mut devmap_callback_ctl,
        cookie: ddi_umem_cookie_t,
        koff: offset_t,
        len: usize,
        maxprot: uint_t,
        flags: uint_t,
        _attributes: *mut ddi_device_acc_attr_t,
    ) -> c_int {
        let Some(handle) = handle(dhp, NAME) else { return ddi_sys::DDI_FAILURE };
        let umem = umem_of(cookie, NAME);
        let callbacks = callbacks(ops, dip, NAME);
        let table = callbacks.as_ref().map(|callbacks| *callbacks.table());
        let flags = SetupFlags::from_bits_retain(flags);
        let object = umem
            .clone()
            .filter(|_| !flags.contains(SetupFlags::MAPPING_INVALID))
            .map_or(Object::Invalid, |umem| Object::Umem(umem, koff as u64 & !(PAGE - 1)));
        let args = UmemSetup {
            umem,
            off: koff as u64,
            len: len as u64,
            maxprot: self::prot(maxprot),
            flags,
            attr: 0,
            callbacks: given(callbacks.as_ref(), dip),
        };
        let ok = framework().umem_setup(&handle, args).is_ok();
        if ok {
            set_up(&handle, table, object, cookie as usize);
        }
        answer(ok)
    }
    /// devmap_devmem_remap(9F).
    fn devmap_devmem_remap(
        dhp: devmap_cookie_t,
        dip: *mut dev_info_t,
        rnumber: uint_t,
        roff: offset_t,
        len: usize,
        maxprot: uint_t,
        flags: uint_t,
        _attributes: *mut ddi_device_acc_attr_t,
    ) -> c_int {
        let Some(handle) = handle(dhp, NAME) else { return ddi_sys::DDI_FAILURE };
        let Some(device) = device_of_node(dip, &handle, NAME) else { return ddi_sys::DDI_FAILURE };
        let flags = SetupFlags::from_bits_retain(flags);
        let args = DevmemSetup {
            rnumber,
            off: roff as u64,
            len: len as u64,
            maxprot: self::prot(maxprot),
            flags,
            attr: 0,
            callbacks: None,
        };
        let ok = framework().devmem_remap(&handle, &device, args).is_ok();
        if ok {
            let invalid = flags.contains(SetupFlags::MAPPING_INVALID);
            cookie::maps_now(&handle, if invalid { Object::Invalid } else { registers(&device, rnumber, roff, len) });
            handle.data().umem.store(0, Ordering::Relaxed);
            cookie::of(&handle);
            remapped(&handle, invalid);
        }
        answer(ok)
    }
    /// devmap_umem_remap(9F).
    fn devmap_umem_remap(
        dhp: devmap_cookie_t,
        _dip: *mut dev_info_t,
        cookie: ddi_umem_cookie_t,
        koff: offset_t,
        len: usize,
        maxprot: uint_t,
        flags: uint_t,
        _attributes: *mut ddi_device_acc_attr_t,
    ) -> c_int {
        let Some(handle) = handle(dhp, NAME) else { return ddi_sys::DDI_FAILURE };
        let flags = SetupFlags::from_bits_retain(flags);
        let args = UmemSetup {
            umem: umem_of(cookie, NAME),
            off: koff as u64,
            len: len as u64,
            maxprot: self::prot(maxprot),
            flags,
            attr: 0,
            callbacks: None,
        };
        let object = args.umem.clone().map_or(Object::Invalid, |umem| Object::Umem(umem, koff as u64 & !(PAGE - 1)));
        let ok = framework().umem_remap(&handle, args).is_ok();
        if ok {
            cookie::maps_now(&handle, object);
            handle.data().umem.store(cookie as usize, Ordering::Relaxed);
            cookie::of(&handle);
            remapped(&handle, flags.contains(SetupFlags::MAPPING_INVALID));
        }
        answer(ok)
    }
    /// devmap_load(9F).
    fn devmap_load(dhp: devmap_cookie_t, off: offset_t, len: usize, ty: uint_t, rw: uint_t) -> c_int {
        let Some(handle) = handle(dhp, NAME) else { return FaultCode::EINVAL.0 };
        outside(NAME);
        let Some(a) = range(off, len, ty, rw) else { return bad_kind(NAME, ty, rw) };
        framework().load(&handle, a.off, a.len, a.ty, a.rw).0
    }
    /// devmap_unload(9F).
    fn devmap_unload(dhp: devmap_cookie_t, off: offset_t, len: usize) -> c_int {
        let Some(handle) = handle(dhp, NAME) else { return FaultCode::EINVAL.0 };
        if !crate::vm::in_fault() {
            revoked(&handle, off as u64, len as u64);
        }
        framework().unload(&handle, off as u64, len as u64).0
    }
    /// devmap_default_access(9F).
    fn devmap_default_access(
        dhp: devmap_cookie_t,
        pvt: *mut c_void,
        off: offset_t,
        len: usize,
        ty: uint_t,
        rw: uint_t,
    ) -> c_int {
        let Some(handle) = handle(dhp, NAME) else { return FaultCode::EINVAL.0 };
        outside(NAME);
        let Some(a) = range(off, len, ty, rw) else { return bad_kind(NAME, ty, rw) };
        framework().default_access(&handle, pvt as usize, a).0
    }
    /// devmap_do_ctxmgt(9F).
    fn devmap_do_ctxmgt(
        dhp: devmap_cookie_t,
        pvt: *mut c_void,
        off: offset_t,
        len: usize,
        ty: uint_t,
        rw: uint_t,
        routine: Option<
            unsafe extern "C-unwind" fn(devmap_cookie_t, *mut c_void, offset_t, usize, uint_t, uint_t) -> c_int,
        >,
    ) -> c_int {
        let Some(handle) = handle(dhp, NAME) else { return FaultCode::HWERR.0 };
        outside(NAME);
        let Some(a) = range(off, len, ty, rw) else { return bad_kind(NAME, ty, rw) };
        let span = ddi_trace::span();
        let (device, mapping, context) = if span.is_on() { context_of(&handle) } else { (0, 0, 0) };
        let routine = routine.map(|routine| {
            move |handle: &Arc<Handle>, pvt: usize, a: Access| {
                let dhp = cookie::of(handle) as devmap_cookie_t;
                let span = ddi_trace::span();
                // A panic is caught here, so that the context is given up; the access callback sees a failure.
                // SAFETY: the driver's routine, with the arguments that devmap_contextmgt(9E) says.
                let called = entry::call(|| "devmap_contextmgt(9E)".into(), || unsafe {
                    routine(dhp, pvt as *mut c_void, a.off as offset_t, a.len as usize, a.ty as uint_t, a.rw as uint_t)
                });
                let error = called.unwrap_or(-1);
                span.end(device, || Event::Grant { mapping, context, offset: a.off, error });
                error
            }
        });
        let error = framework().do_ctxmgt(&handle, pvt as usize, a, routine).0;
        span.end(device, || Event::Request { mapping, context, offset: a.off, error });
        error
    }
    /// devmap_set_ctx_timeout(9F).
    fn devmap_set_ctx_timeout(dhp: devmap_cookie_t, ticks: clock_t) {
        if let Some(handle) = handle(dhp, NAME) {
            framework().set_ctx_timeout(&handle, ticks);
            cookie::of(&handle);
        }
    }

    /// ddi_umem_alloc(9F).
    fn ddi_umem_alloc(size: usize, flags: c_int, cookiep: Out<ddi_umem_cookie_t>) -> *mut c_void {
        cookiep.set(null_mut());
        if size == 0 {
            return null_mut();
        }
        if flags & ddi_sys::DDI_UMEM_NOSLEEP == 0 {
            sync::may_block(NAME, "DDI_UMEM_SLEEP", "ddi_umem_alloc(9F)");
        } else if fails("ddi_umem_alloc(9F), DDI_UMEM_NOSLEEP") {
            return null_mut();
        }
        let kind = if flags & ddi_sys::DDI_UMEM_TRASH != 0 {
            UmemKind::Trash
        } else if flags & ddi_sys::DDI_UMEM_PAGEABLE != 0 {
            UmemKind::Pageable
        } else {
            UmemKind::Locked
        };
        let Some(new) = Memory::new(kind, size as u64) else { return null_mut() };
        let address = new.address();
        let cookie = umem::publish(new);
        cookiep.set(cookie as ddi_umem_cookie_t);
        address as *mut c_void
    }
    /// ddi_umem_free(9F).
    fn ddi_umem_free(cookie: ddi_umem_cookie_t) {
        if cookie.is_null() {
            return;
        }
        match umem::retract(cookie as usize) {
            None => {
                let earlier = umem::freed(cookie as usize);
                let what = match earlier.is_empty() {
                    true => format!("{cookie:p} is not a ddi_umem_cookie_t"),
                    false => format!("the memory of {cookie:p} has been freed before"),
                };
                report::mistake_after(NAME, &what, "ddi_umem_free(9F)", &earlier);
            }
            // A driver may free memory in the unmap callback of its last mapping: that handle is on its way out.
            Some(memory) if cookie::maps(&memory) => {
                let what = format!("the memory of {cookie:p} ({} bytes) is still mapped by a process", memory.size());
                report::mistake(NAME, &what, "ddi_umem_free(9F)");
            }
            Some(_) => {}
        }
    }
    /// valid_usr_range: 0 when it is (RANGE_OKAY).
    fn valid_usr_range(addr: caddr_t, len: usize, _prot: c_uint, _as: *mut as_, limit: caddr_t) -> c_int {
        let end = (addr as usize).checked_add(len);
        if len > 0 && end.is_some_and(|end| end <= limit as usize) { 0 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::report::{Policy, Reported};

    #[test]
    fn kernel_memory_by_cookie() {
        let mut cookie = null_mut();
        let address = driver!(ddi_sys::ddi_umem_alloc(5000, ddi_sys::DDI_UMEM_SLEEP, &mut cookie));
        assert!(!address.is_null() && (address as usize).is_multiple_of(4096));
        // SAFETY: 8192 zeroed bytes were allocated.
        assert!(unsafe { std::slice::from_raw_parts(address.cast::<u8>(), 8192) }.iter().all(|&b| b == 0));
        let pfn = driver!(ddi_sys::hat_getpfnum(null_mut(), address.cast()));
        assert_ne!(pfn, u64::MAX);
        driver!(ddi_sys::ddi_umem_free(cookie));
        report::set_policy(Policy::Unwind);
        let again = cookie as usize;
        let caught = std::panic::catch_unwind(|| driver!(ddi_sys::ddi_umem_free(again as ddi_umem_cookie_t)));
        assert!(caught.unwrap_err().downcast_ref::<Reported>().unwrap().0.contains("freed before"));
        let none = driver!(ddi_sys::ddi_umem_alloc(0, 0, &mut cookie));
        assert!(none.is_null() && cookie.is_null());
        let trash = driver!(ddi_sys::ddi_umem_alloc(1 << 40, ddi_sys::DDI_UMEM_TRASH, &mut cookie));
        assert!(trash.is_null() && !cookie.is_null());
        driver!(ddi_sys::ddi_umem_free(cookie));
    }

    #[test]
    fn a_bad_cookie_is_reported() {
        report::set_policy(Policy::Unwind);
        let caught =
            std::panic::catch_unwind(|| driver!(ddi_sys::devmap_unload(16 as devmap_cookie_t, 0, 0)));
        assert!(caught.unwrap_err().downcast_ref::<Reported>().unwrap().0.contains("not a devmap cookie"));
    }

    #[test]
    fn gaps_are_what_is_not_covered() {
        assert_eq!(gaps(0, 100, &[]), [(0, 100)]);
        assert_eq!(gaps(0, 100, &[(0, 10), (20, 80)]), [(10, 10)]);
        assert_eq!(gaps(0, 100, &[(0, 100)]), []);
    }
}
