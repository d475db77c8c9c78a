//! Block I/O: getrbuf(9F), biodone(9F), physio(9F), ddi_btop(9F).
//!
//! A buf's semaphores are real: `b_io` is what biowait waits on. physio copies through kernel memory: user pages are not pinned.

use std::ffi::{c_int, c_ulong};
use std::mem::offset_of;
use std::ptr::null_mut;

use ddi_sys::{buf, caddr_t, daddr_t, dev_info_t, dev_t, ksema_t, off_t, offset_t};

use super::args::{Argument, Memory, Out, Word};
use super::{memory, sync, user};
use crate::board::{log, report};
use crate::kern::fields::{Structure, Zeroed as _, pointer};
use crate::kern::heap;

use ddi_process::physmem::PAGE_SIZE as PAGE;
use ddi_sys::{EFAULT, EINVAL, EIO, ENOMEM};

crate::fields! {
    /// A buf.
    ///
    /// # Invariants
    /// A buf that is there for `'a`, initialised as far as it is read. Who uses it is agreed on by strategy(9E) and biodone(9F). The links lead to bufs that are there as
    /// long, or are NULL.
    pub struct Buf<'a> at buf {
        b_flags / set_flags: c_int,
        b_error / set_error: c_int,
        b_resid / set_resid: usize,
        b_bcount / set_bcount: usize,
        b_bufsize / set_bufsize: usize,
        b_addr / set_addr = b_un.b_addr: caddr_t,
        b_blkno / set_blkno = _b_blkno._f: u64,
        b_edev / set_edev: dev_t,
        b_iodone / set_iodone: Option<unsafe extern "C-unwind" fn(*mut buf) -> c_int>,
        av_forw / set_av_forw => Buf<'a>,
    }
}

/// A buf before anything is set.
const EMPTY: buf = buf { b_offset: -1, ..buf::ZEROED };

/// The error of a buf that is done.
fn error(bp: Buf<'_>) -> c_int {
    match (bp.b_flags() & ddi_sys::B_ERROR, bp.b_error()) {
        (0, _) => 0,
        (_, 0) => EIO,
        (_, error) => error,
    }
}

/// The data of a buf.
fn data(bp: Buf<'_>) -> Memory<'_> {
    let address = bp.b_addr();
    // SAFETY: the driver's promise: where a buf's data are.
    unsafe { Argument::of(address.cast()) }
}

/// A semaphore of a buf, at an offset in it.
fn semaphore(bp: *mut buf, offset: usize) -> Word<'static, ksema_t> {
    // SAFETY: the offset of one of the two semaphores of a buf.
    unsafe { Argument::of(bp.wrapping_byte_add(offset).cast()) }
}

fn init(bp: Out<'_, buf>) {
    bp.put(EMPTY);
    sync::new_semaphore(semaphore(bp.pointer(), offset_of!(buf, b_sem)), 0, null_mut());
    sync::new_semaphore(semaphore(bp.pointer(), offset_of!(buf, b_io)), 0, null_mut());
}

/// getrbuf(9F).
pub fn new(flags: c_int) -> Option<Buf<'static>> {
    let bp: *mut buf = memory::alloc(size_of::<buf>(), flags).cast();
    if !bp.is_null() {
        // SAFETY: just allocated.
        init(unsafe { Argument::of(bp) });
    }
    // SAFETY: NULL, or a buf, until it is freed.
    unsafe { Argument::of(bp) }
}

/// freerbuf(9F).
pub fn free(bp: *mut buf) {
    memory::free(bp.cast(), size_of::<buf>(), "freerbuf");
}

/// biowait(9F).
pub fn wait(bp: Buf<'_>) -> c_int {
    sync::wait_for_semaphore(semaphore(bp.pointer(), offset_of!(buf, b_io)));
    error(bp)
}

/// Bytes of the first buffer of a uio that has any: what physio moves at a time.
fn first_part(uio: user::Uio<'_>) -> usize {
    let lengths = (0..).map_while(|i| user::part(uio, i)).map(|part| part.iov_len());
    lengths.into_iter().find(|&len| len > 0).unwrap_or(0)
}

ddi! {
    /// max(9F).
    fn max(a: c_int, b: c_int) -> c_int {
        a.max(b)
    }
    /// min(9F).
    fn min(a: c_int, b: c_int) -> c_int {
        a.min(b)
    }
    /// getrbuf(9F).
    fn getrbuf(flags: c_int) -> *mut buf {
        pointer(new(flags))
    }
    /// freerbuf(9F).
    fn freerbuf(bp: *mut buf) {
        free(bp);
    }
    /// bioinit(9F).
    fn bioinit(bp: Out<buf>) {
        init(bp);
    }
    /// biofini(9F).
    fn biofini(_bp: *mut buf) {}
    /// bioreset(9F).
    fn bioreset(bp: Out<buf>) {
        init(bp);
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
    fn biodone(bp: Buf) {
        if bp.b_flags() & ddi_sys::B_DONE != 0 && bp.b_iodone().is_none() {
            return report::mistake(NAME, "the buf is done already", "biodone(9F)");
        }
        if let Some(iodone) = bp.b_iodone() {
            bp.set_iodone(None);
            // SAFETY: the driver's function for this buf.
            unsafe { iodone(bp.pointer()) };
            return;
        }
        bp.set_flags(bp.b_flags() | ddi_sys::B_DONE);
        crate::kern::lock::sema_v(semaphore(bp.pointer(), offset_of!(buf, b_io)).word());
    }
    /// bioerror(9F).
    fn bioerror(bp: Buf, error: c_int) {
        bp.set_error(error);
        let others = bp.b_flags() & !ddi_sys::B_ERROR;
        bp.set_flags(others | if error == 0 { 0 } else { ddi_sys::B_ERROR });
    }
    /// geterror(9F).
    fn geterror(bp: Buf) -> c_int {
        error(bp)
    }
    /// biowait(9F).
    fn biowait(bp: Buf) -> c_int {
        wait(bp)
    }
    /// clrbuf(9F).
    fn clrbuf(bp: Buf) {
        data(bp).sized(bp.b_bcount()).fill(0);
        bp.set_resid(0);
    }
    /// bp_mapin(9F): data always have a kernel address here.
    fn bp_mapin(_bp: *mut buf) {}
    /// bp_mapout(9F).
    fn bp_mapout(_bp: *mut buf) {}
    /// bp_copyin: from the buf's data to the driver's memory.
    fn bp_copyin(bp: Buf, to: Memory, off: offset_t, len: usize) -> c_int {
        to.sized(len).copy_from(data(bp).after(off as usize).sized(len));
        0
    }
    /// bp_copyout: from the driver's memory to the buf's data.
    fn bp_copyout(from: Memory, bp: Buf, off: offset_t, len: usize) -> c_int {
        data(bp).after(off as usize).sized(len).copy_from(from.sized(len));
        0
    }
    /// bioclone(9F).
    fn bioclone(
        bp: Buf,
        off: off_t,
        len: usize,
        dev: dev_t,
        block: daddr_t,
        iodone: Option<unsafe extern "C-unwind" fn(*mut buf) -> c_int>,
        clone: Option<Buf>,
        flags: c_int,
    ) -> *mut buf {
        let Some(to) = clone.or_else(|| new(flags)) else { return null_mut() };
        to.set_flags(bp.b_flags() & !(ddi_sys::B_DONE | ddi_sys::B_ERROR));
        to.set_bcount(len);
        to.set_bufsize(len);
        to.set_addr(data(bp).after(off as usize).pointer().cast());
        to.set_blkno(block as u64);
        to.set_edev(dev);
        to.set_iodone(iodone);
        to.pointer()
    }
    /// minphys(9F): at most 56 KiB at once.
    fn minphys(bp: Buf) {
        bp.set_bcount(bp.b_bcount().min(56 * 1024));
    }
    /// physio(9F).
    fn physio(
        strategy: Option<unsafe extern "C-unwind" fn(*mut buf) -> c_int>,
        bp: Option<Buf>,
        dev: dev_t,
        rw: c_int,
        mincnt: Option<unsafe extern "C-unwind" fn(*mut buf)>,
        uio: user::Uio,
    ) -> c_int {
        let Some(strategy) = strategy else { return EINVAL };
        let Some(b) = bp.or_else(|| new(ddi_sys::KM_SLEEP)) else { return ENOMEM };
        let mut failed = 0;
        while failed == 0 && uio.uio_resid() > 0 {
            let (resid, offset) = (uio.uio_resid() as usize, uio.uio_offset());
            b.set_flags(ddi_sys::B_BUSY | ddi_sys::B_PHYS | (rw & ddi_sys::B_READ));
            b.set_error(0);
            b.set_resid(0);
            b.set_bcount(resid.min(first_part(uio)));
            b.set_edev(dev);
            b.set_blkno(offset as u64 / 512);
            if let Some(mincnt) = mincnt {
                // SAFETY: the driver's function for this buf.
                unsafe { mincnt(b.pointer()) };
            }
            let count = b.b_bcount();
            if count == 0 {
                break;
            }
            let memory = heap::allocate(count.max(1), heap::alignment(count), true);
            if memory.is_null() {
                failed = ENOMEM;
                break;
            }
            b.set_addr(memory.cast());
            b.set_bufsize(count);
            // SAFETY: `count` bytes, freed below.
            let bytes: Memory<'_> = unsafe { Argument::of(memory.cast()) };
            let reading = rw & ddi_sys::B_READ != 0;
            // On a write the user's bytes go in first.
            if !reading && user::transfer(bytes.sized(count), ddi_sys::UIO_WRITE, uio) != 0 {
                failed = EFAULT;
            } else {
                // SAFETY: the driver's function for this buf.
                unsafe { strategy(b.pointer()) };
                failed = wait(b);
                let done = count - b.b_resid().min(count);
                // On a read what came goes to the user.
                if reading && done > 0 && user::transfer(bytes.sized(done), ddi_sys::UIO_READ, uio) != 0 {
                    failed = EFAULT;
                }
                if !reading && done < count {
                    // What was not written counts as not moved.
                    uio.set_resid((resid - done) as isize);
                }
            }
            let short = b.b_resid() > 0;
            b.set_addr(null_mut());
            if let Err(problem) = heap::free(memory, count.max(1)) {
                log::line(log::To::Both, &format!("WARNING: physio: {problem}"));
            }
            if short {
                break;
            }
        }
        if bp.is_none() {
            free(b.pointer());
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
    use ddi_sys::{iovec, lloff, uio};

    unsafe extern "C-unwind" fn strategy(bp: *mut buf) -> c_int {
        // SAFETY: the buf of physio below.
        let b: Buf<'_> = unsafe { Argument::of(bp) };
        data(b).sized(b.b_bcount()).fill(b'a' + b.b_blkno() as u8);
        driver!(ddi_sys::biodone(bp));
        0
    }

    unsafe extern "C-unwind" fn at_most_512(bp: *mut buf) {
        // SAFETY: the buf of physio below.
        let b: Buf<'_> = unsafe { Argument::of(bp) };
        b.set_bcount(b.b_bcount().min(512));
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
        let error = driver!(ddi_sys::physio(Some(strategy), null_mut(), 0, read, Some(at_most_512), &mut io));
        assert_eq!((error, io.uio_resid), (0, 0));
        assert!(memory[..512].iter().all(|&b| b == b'a') && memory[512..].iter().all(|&b| b == b'b'));
    }
}
