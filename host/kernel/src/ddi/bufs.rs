//! Block I/O: getrbuf(9F), biodone(9F), physio(9F), ddi_btop(9F).
//!
//! A buf's semaphores are real: `b_io` is what biowait waits on. physio copies through kernel memory: user pages are not pinned.

use std::ffi::{c_int, c_ulong, c_void};
use std::ptr::null_mut;

use ddi_sys::{buf, daddr_t, dev_info_t, dev_t, off_t, offset_t, uio};

use super::{memory, sync, user};
use crate::board::{log, report};
use crate::kern::heap;

use ddi_process::physmem::PAGE_SIZE as PAGE;
use ddi_sys::{EFAULT, EINVAL, EIO, ENOMEM};

/// # Safety
/// `bp` is a live buf.
unsafe fn of<'a>(bp: *mut buf) -> &'a mut buf {
    // SAFETY: the caller's promise.
    unsafe { &mut *bp }
}

/// The error of a buf that is done.
fn error(bp: &buf) -> c_int {
    match (bp.b_flags & ddi_sys::B_ERROR, bp.b_error) {
        (0, _) => 0,
        (_, 0) => EIO,
        (_, error) => error,
    }
}

/// Where a buf's data are.
fn data(bp: &buf) -> *mut u8 {
    // SAFETY: the union has one member.
    unsafe { bp.b_un.b_addr }.cast()
}

/// # Safety
/// `bp` is memory for a buf.
unsafe fn init(bp: *mut buf) {
    // SAFETY: a buf is plain data, for which zero bytes are a value.
    unsafe { bp.write_bytes(0, 1) };
    // SAFETY: the buf just zeroed.
    let bp = unsafe { of(bp) };
    bp.b_offset = -1;
    // SAFETY: the buf's own semaphores, here and below.
    unsafe { sync::sema_init(&mut bp.b_sem, 0, null_mut(), 0, null_mut()) };
    // SAFETY: as above.
    unsafe { sync::sema_init(&mut bp.b_io, 0, null_mut(), 0, null_mut()) };
}

/// Bytes of the first buffer of a uio that has any: what physio moves at a time.
fn first_part(uio: &uio) -> usize {
    let parts = (0..uio.uio_iovcnt.max(0) as usize).map(|i| uio.uio_iov.wrapping_add(i));
    // SAFETY: the uio's vector has that many elements.
    parts.map(|part| unsafe { (*part).iov_len }).find(|&len| len > 0).unwrap_or(0)
}

ddi! {
    /// max(9F).
    @private fn max(a: c_int, b: c_int) -> c_int {
        a.max(b)
    }
    /// min(9F).
    @private fn min(a: c_int, b: c_int) -> c_int {
        a.min(b)
    }
    /// getrbuf(9F).
    fn getrbuf(flags: c_int) -> *mut buf {
        let bp: *mut buf = memory::alloc(size_of::<buf>(), flags).cast();
        if !bp.is_null() {
            // SAFETY: just allocated.
            unsafe { init(bp) };
        }
        bp
    }
    /// freerbuf(9F).
    fn freerbuf(bp: *mut buf) {
        memory::free(bp.cast(), size_of::<buf>(), "freerbuf");
    }
    /// bioinit(9F).
    fn bioinit(bp: *mut buf) {
        // SAFETY: the driver's promise.
        unsafe { init(bp) };
    }
    /// biofini(9F).
    fn biofini(_bp: *mut buf) {}
    /// bioreset(9F).
    fn bioreset(bp: *mut buf) {
        // SAFETY: the driver's promise.
        unsafe { init(bp) };
    }
    /// biosize(9F).
    fn biosize() -> usize {
        size_of::<buf>()
    }
    /// biomodified(9F): user pages are never changed behind a buf.
    fn biomodified(_bp: *mut buf) -> c_int {
        0
    }
    /// biodone(9F).
    fn biodone(bp: *mut buf) {
        // SAFETY: the driver's promise.
        let b = unsafe { of(bp) };
        if b.b_flags & ddi_sys::B_DONE != 0 && b.b_iodone.is_none() {
            return report::mistake("biodone", "the buf is done already", "biodone(9F)");
        }
        if let Some(iodone) = b.b_iodone.take() {
            // SAFETY: the driver's function for this buf.
            unsafe { iodone(bp) };
            return;
        }
        b.b_flags |= ddi_sys::B_DONE;
        // SAFETY: the buf's own semaphore.
        unsafe { sync::sema_v(&mut b.b_io) };
    }
    /// bioerror(9F).
    fn bioerror(bp: *mut buf, error: c_int) {
        // SAFETY: the driver's promise.
        let b = unsafe { of(bp) };
        b.b_error = error;
        if error == 0 {
            b.b_flags &= !ddi_sys::B_ERROR;
        } else {
            b.b_flags |= ddi_sys::B_ERROR;
        }
    }
    /// geterror(9F).
    fn geterror(bp: *mut buf) -> c_int {
        // SAFETY: the driver's promise.
        error(unsafe { of(bp) })
    }
    /// biowait(9F).
    fn biowait(bp: *mut buf) -> c_int {
        // SAFETY: the driver's promise.
        let b = unsafe { of(bp) };
        // SAFETY: the buf's own semaphore.
        unsafe { sync::sema_p(&mut b.b_io) };
        error(b)
    }
    /// clrbuf(9F).
    fn clrbuf(bp: *mut buf) {
        // SAFETY: the driver's promise.
        let b = unsafe { of(bp) };
        // SAFETY: b_bcount bytes of data.
        unsafe { data(b).write_bytes(0, b.b_bcount) };
        b.b_resid = 0;
    }
    /// bp_mapin(9F): data always have a kernel address here.
    fn bp_mapin(_bp: *mut buf) {}
    /// bp_mapout(9F).
    fn bp_mapout(_bp: *mut buf) {}
    /// bp_copyin: from the buf's data to the driver's memory.
    fn bp_copyin(bp: *mut buf, to: *mut c_void, off: offset_t, len: usize) -> c_int {
        // SAFETY: the driver's promise.
        let b = unsafe { of(bp) };
        // SAFETY: within the buf's data, by the driver's promise.
        unsafe { std::ptr::copy(data(b).wrapping_add(off as usize), to.cast(), len) };
        0
    }
    /// bp_copyout: from the driver's memory to the buf's data.
    fn bp_copyout(from: *mut c_void, bp: *mut buf, off: offset_t, len: usize) -> c_int {
        // SAFETY: the driver's promise.
        let b = unsafe { of(bp) };
        // SAFETY: within the buf's data, by the driver's promise.
        unsafe { std::ptr::copy(from.cast::<u8>(), data(b).wrapping_add(off as usize), len) };
        0
    }
    /// bioclone(9F).
    fn bioclone(
        bp: *mut buf,
        off: off_t,
        len: usize,
        dev: dev_t,
        block: daddr_t,
        iodone: Option<unsafe extern "C-unwind" fn(*mut buf) -> c_int>,
        clone: *mut buf,
        flags: c_int,
    ) -> *mut buf {
        // SAFETY: no pointers.
        let new = if clone.is_null() { unsafe { getrbuf(flags) } } else { clone };
        if new.is_null() {
            return new;
        }
        // SAFETY: the driver's promise.
        let from = unsafe { of(bp) };
        // SAFETY: the driver's promise, or just made.
        let to = unsafe { of(new) };
        to.b_flags = from.b_flags & !(ddi_sys::B_DONE | ddi_sys::B_ERROR);
        to.b_bcount = len;
        to.b_bufsize = len;
        to.b_un.b_addr = data(from).wrapping_offset(off as isize).cast();
        to._b_blkno._f = block as u64;
        to.b_edev = dev;
        to.b_iodone = iodone;
        new
    }
    /// minphys(9F): at most 56 KiB at once.
    fn minphys(bp: *mut buf) {
        // SAFETY: the driver's promise.
        let b = unsafe { of(bp) };
        b.b_bcount = b.b_bcount.min(56 * 1024);
    }
    /// physio(9F).
    fn physio(
        strategy: Option<unsafe extern "C-unwind" fn(*mut buf) -> c_int>,
        bp: *mut buf,
        dev: dev_t,
        rw: c_int,
        mincnt: Option<unsafe extern "C-unwind" fn(*mut buf)>,
        uiop: *mut uio,
    ) -> c_int {
        let Some(strategy) = strategy else { return EINVAL };
        // SAFETY: no pointers.
        let own = if bp.is_null() { unsafe { getrbuf(ddi_sys::KM_SLEEP) } } else { bp };
        let mut failed = 0;
        // SAFETY: the driver's promise.
        while failed == 0 && unsafe { (*uiop).uio_resid } > 0 {
            // SAFETY: the driver's uio, which is not used elsewhere meanwhile.
            let window = unsafe { uiop.read() };
            // SAFETY: both members of the union are the same 64-bit offset.
            let (resid, offset) = (window.uio_resid as usize, unsafe { window._uio_offset._f });
            // SAFETY: the driver's promise.
            let b = unsafe { of(own) };
            b.b_flags = ddi_sys::B_BUSY | ddi_sys::B_PHYS | (rw & ddi_sys::B_READ);
            (b.b_error, b.b_resid, b.b_bcount, b.b_edev) = (0, 0, resid.min(first_part(&window)), dev);
            b._b_blkno._f = offset as u64 / 512;
            if let Some(mincnt) = mincnt {
                // SAFETY: the driver's function for this buf.
                unsafe { mincnt(own) };
            }
            let count = b.b_bcount;
            if count == 0 {
                break;
            }
            let memory = heap::allocate(count.max(1), heap::alignment(count), true);
            if memory.is_null() {
                failed = ENOMEM;
                break;
            }
            b.b_un.b_addr = memory.cast();
            b.b_bufsize = count;
            // SAFETY: the driver's uio; nothing of it is changed but by the copy below.
            let mut window = unsafe { uiop.read() };
            let reading = rw & ddi_sys::B_READ != 0;
            // SAFETY: `count` bytes were allocated; on a write the user's bytes go in first.
            if !reading && unsafe { user::uiomove(memory.cast(), count, ddi_sys::UIO_WRITE, uiop) } != 0 {
                failed = EFAULT;
            } else {
                // SAFETY: the driver's function for this buf.
                unsafe { strategy(own) };
                // SAFETY: as above.
                failed = unsafe { biowait(own) };
                let done = count - b.b_resid.min(count);
                // SAFETY: as above; on a read what came goes to the user.
                if reading && done > 0 && unsafe { user::uiomove(memory.cast(), done, ddi_sys::UIO_READ, uiop) } != 0 {
                    failed = EFAULT;
                }
                window.uio_resid -= done as isize;
                if !reading && done < count {
                    // SAFETY: what was not written counts as not moved.
                    unsafe { (*uiop).uio_resid = window.uio_resid };
                }
            }
            let short = b.b_resid > 0;
            b.b_un.b_addr = null_mut();
            if let Err(problem) = heap::free(memory, count.max(1)) {
                log::line(log::To::Both, &format!("WARNING: physio: {problem}"));
            }
            if short {
                break;
            }
        }
        if bp.is_null() {
            // SAFETY: made above.
            unsafe { freerbuf(own) };
        }
        failed
    }

    /// btop(9F): pages, rounded down.
    fn btop(bytes: c_ulong) -> c_ulong {
        bytes / PAGE
    }
    /// btopr(9F): pages, rounded up.
    fn btopr(bytes: c_ulong) -> c_ulong {
        bytes.div_ceil(PAGE)
    }
    /// ptob(9F).
    fn ptob(pages: c_ulong) -> c_ulong {
        pages * PAGE
    }
    /// ddi_btop(9F).
    fn ddi_btop(_dip: *mut dev_info_t, bytes: c_ulong) -> c_ulong {
        bytes / PAGE
    }
    /// ddi_btopr(9F).
    fn ddi_btopr(_dip: *mut dev_info_t, bytes: c_ulong) -> c_ulong {
        bytes.div_ceil(PAGE)
    }
    /// ddi_ptob(9F).
    fn ddi_ptob(_dip: *mut dev_info_t, pages: c_ulong) -> c_ulong {
        pages * PAGE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddi_sys::{iovec, lloff};

    unsafe extern "C-unwind" fn strategy(bp: *mut buf) -> c_int {
        // SAFETY: the buf of physio below.
        let b = unsafe { of(bp) };
        // SAFETY: the driver's data.
        let block = unsafe { b._b_blkno._f } as u8;
        // SAFETY: as above.
        unsafe { data(b).write_bytes(b'a' + block, b.b_bcount) };
        // SAFETY: as above.
        unsafe { ddi_sys::biodone(bp) };
        0
    }

    unsafe extern "C-unwind" fn at_most_512(bp: *mut buf) {
        // SAFETY: the buf of physio below.
        let b = unsafe { of(bp) };
        b.b_bcount = b.b_bcount.min(512);
    }

    #[test]
    fn physio_goes_piece_by_piece() {
        let mut memory = [0u8; 1000];
        let mut iov = iovec { iov_base: memory.as_mut_ptr().cast(), iov_len: 1000 };
        let mut io = uio {
            uio_iov: &mut iov,
            uio_iovcnt: 1,
            _uio_offset: lloff { _f: 0 },
            uio_segflg: ddi_sys::UIO_SYSSPACE,
            uio_fmode: 0,
            uio_extflg: 0,
            _uio_limit: lloff { _f: 0 },
            uio_resid: 1000,
        };
        let read = ddi_sys::B_READ;
        // SAFETY: the test's own functions and memory.
        let error =
            unsafe { ddi_sys::physio(Some(strategy), null_mut(), 0, read, Some(at_most_512), &mut io) };
        assert_eq!((error, io.uio_resid), (0, 0));
        assert!(memory[..512].iter().all(|&b| b == b'a') && memory[512..].iter().all(|&b| b == b'b'));
    }
}
