//! Block I/O: getrbuf(9F), biodone(9F), physio(9F), ddi_btop(9F).
//!
//! A buf's semaphores are real: `b_io` is what biowait waits on. physio copies through kernel memory: user pages are not pinned.

use std::ffi::{c_int, c_ulong};
use std::mem::offset_of;
use std::ptr::null_mut;

use ddi_sys::{buf, daddr_t, dev_info_t, dev_t, ksema_t, off_t, offset_t, uio};

use super::args::{Argument, Memory, Out, Struct, Word, field, set_field};
use super::{memory, sync, user};
use crate::board::{log, report};
use crate::kern::heap;

use ddi_process::physmem::PAGE_SIZE as PAGE;
use ddi_sys::{EFAULT, EINVAL, EIO, ENOMEM};

/// A driver's buf.
pub(super) type Buf<'a> = Struct<'a, buf>;

/// A buf before anything is set.
// SAFETY: a buf is plain data, for which zero bytes are a value.
const EMPTY: buf = buf { b_offset: -1, ..unsafe { std::mem::zeroed() } };

/// The error of a buf that is done.
fn error(bp: Buf<'_>) -> c_int {
    match (field!(bp.b_flags) & ddi_sys::B_ERROR, field!(bp.b_error)) {
        (0, _) => 0,
        (_, 0) => EIO,
        (_, error) => error,
    }
}

/// The data of a buf.
fn data(bp: Buf<'_>) -> Memory<'_> {
    let address = field!(bp.b_un.b_addr);
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
pub(super) fn new(flags: c_int) -> Option<Buf<'static>> {
    let bp: *mut buf = memory::alloc(size_of::<buf>(), flags).cast();
    if !bp.is_null() {
        // SAFETY: just allocated.
        init(unsafe { Argument::of(bp) });
    }
    // SAFETY: NULL, or a buf, until it is freed.
    unsafe { Argument::of(bp) }
}

fn free(bp: *mut buf) {
    memory::free(bp.cast(), size_of::<buf>(), "freerbuf");
}

/// biowait(9F).
fn wait(bp: Buf<'_>) -> c_int {
    sync::wait_for_semaphore(semaphore(bp.pointer(), offset_of!(buf, b_io)));
    error(bp)
}

/// Bytes of the first buffer of a uio that has any: what physio moves at a time.
fn first_part(uio: user::Uio<'_>) -> usize {
    let lengths = (0..).map_while(|i| user::part(uio, i)).map(|part| field!(part.iov_len));
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
        new(flags).map_or(null_mut(), Buf::pointer)
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
    fn biodone(bp: Struct<buf>) {
        if field!(bp.b_flags) & ddi_sys::B_DONE != 0 && field!(bp.b_iodone).is_none() {
            return report::mistake("biodone", "the buf is done already", "biodone(9F)");
        }
        if let Some(iodone) = field!(bp.b_iodone) {
            set_field!(bp.b_iodone = None);
            // SAFETY: the driver's function for this buf.
            unsafe { iodone(bp.pointer()) };
            return;
        }
        set_field!(bp.b_flags = field!(bp.b_flags) | ddi_sys::B_DONE);
        crate::kern::lock::sema_v(semaphore(bp.pointer(), offset_of!(buf, b_io)).word());
    }
    /// bioerror(9F).
    fn bioerror(bp: Struct<buf>, error: c_int) {
        set_field!(bp.b_error = error);
        let others = field!(bp.b_flags) & !ddi_sys::B_ERROR;
        set_field!(bp.b_flags = others | if error == 0 { 0 } else { ddi_sys::B_ERROR });
    }
    /// geterror(9F).
    fn geterror(bp: Struct<buf>) -> c_int {
        error(bp)
    }
    /// biowait(9F).
    fn biowait(bp: Struct<buf>) -> c_int {
        wait(bp)
    }
    /// clrbuf(9F).
    fn clrbuf(bp: Struct<buf>) {
        data(bp).sized(field!(bp.b_bcount)).fill(0);
        set_field!(bp.b_resid = 0);
    }
    /// bp_mapin(9F): data always have a kernel address here.
    fn bp_mapin(_bp: *mut buf) {}
    /// bp_mapout(9F).
    fn bp_mapout(_bp: *mut buf) {}
    /// bp_copyin: from the buf's data to the driver's memory.
    fn bp_copyin(bp: Struct<buf>, to: Memory, off: offset_t, len: usize) -> c_int {
        to.sized(len).copy_from(data(bp).after(off as usize).sized(len));
        0
    }
    /// bp_copyout: from the driver's memory to the buf's data.
    fn bp_copyout(from: Memory, bp: Struct<buf>, off: offset_t, len: usize) -> c_int {
        data(bp).after(off as usize).sized(len).copy_from(from.sized(len));
        0
    }
    /// bioclone(9F).
    fn bioclone(
        bp: Struct<buf>,
        off: off_t,
        len: usize,
        dev: dev_t,
        block: daddr_t,
        iodone: Option<unsafe extern "C-unwind" fn(*mut buf) -> c_int>,
        clone: Option<Struct<buf>>,
        flags: c_int,
    ) -> *mut buf {
        let Some(to) = clone.or_else(|| new(flags)) else { return null_mut() };
        set_field!(to.b_flags = field!(bp.b_flags) & !(ddi_sys::B_DONE | ddi_sys::B_ERROR));
        set_field!(to.b_bcount = len);
        set_field!(to.b_bufsize = len);
        set_field!(to.b_un.b_addr = data(bp).after(off as usize).pointer().cast());
        set_field!(to._b_blkno._f = block as u64);
        set_field!(to.b_edev = dev);
        set_field!(to.b_iodone = iodone);
        to.pointer()
    }
    /// minphys(9F): at most 56 KiB at once.
    fn minphys(bp: Struct<buf>) {
        set_field!(bp.b_bcount = field!(bp.b_bcount).min(56 * 1024));
    }
    /// physio(9F).
    fn physio(
        strategy: Option<unsafe extern "C-unwind" fn(*mut buf) -> c_int>,
        bp: Option<Struct<buf>>,
        dev: dev_t,
        rw: c_int,
        mincnt: Option<unsafe extern "C-unwind" fn(*mut buf)>,
        uio: Struct<uio>,
    ) -> c_int {
        let Some(strategy) = strategy else { return EINVAL };
        let Some(b) = bp.or_else(|| new(ddi_sys::KM_SLEEP)) else { return ENOMEM };
        let mut failed = 0;
        while failed == 0 && field!(uio.uio_resid) > 0 {
            let (resid, offset) = (field!(uio.uio_resid) as usize, field!(uio._uio_offset._f));
            set_field!(b.b_flags = ddi_sys::B_BUSY | ddi_sys::B_PHYS | (rw & ddi_sys::B_READ));
            set_field!(b.b_error = 0);
            set_field!(b.b_resid = 0);
            set_field!(b.b_bcount = resid.min(first_part(uio)));
            set_field!(b.b_edev = dev);
            set_field!(b._b_blkno._f = offset as u64 / 512);
            if let Some(mincnt) = mincnt {
                // SAFETY: the driver's function for this buf.
                unsafe { mincnt(b.pointer()) };
            }
            let count = field!(b.b_bcount);
            if count == 0 {
                break;
            }
            let memory = heap::allocate(count.max(1), heap::alignment(count), true);
            if memory.is_null() {
                failed = ENOMEM;
                break;
            }
            set_field!(b.b_un.b_addr = memory.cast());
            set_field!(b.b_bufsize = count);
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
                let done = count - field!(b.b_resid).min(count);
                // On a read what came goes to the user.
                if reading && done > 0 && user::transfer(bytes.sized(done), ddi_sys::UIO_READ, uio) != 0 {
                    failed = EFAULT;
                }
                if !reading && done < count {
                    // What was not written counts as not moved.
                    set_field!(uio.uio_resid = (resid - done) as isize);
                }
            }
            let short = field!(b.b_resid) > 0;
            set_field!(b.b_un.b_addr = null_mut());
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
    use ddi_sys::{iovec, lloff};

    unsafe extern "C-unwind" fn strategy(bp: *mut buf) -> c_int {
        // SAFETY: the buf of physio below.
        let b: Buf<'_> = unsafe { Argument::of(bp) };
        data(b).sized(field!(b.b_bcount)).fill(b'a' + field!(b._b_blkno._f) as u8);
        driver!(ddi_sys::biodone(bp));
        0
    }

    unsafe extern "C-unwind" fn at_most_512(bp: *mut buf) {
        // SAFETY: the buf of physio below.
        let b: Buf<'_> = unsafe { Argument::of(bp) };
        set_field!(b.b_bcount = field!(b.b_bcount).min(512));
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
