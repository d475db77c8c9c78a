//! read(2) and write(2) of block devices: in blocks, through strategy(9E).
//!
//! The kernel reads and writes block devices through its page cache, blocks of 8 KiB at a time. There is no cache here: every transfer
//! goes to the driver at once, so that a write is on the device when write(2) returns. A read stops at the end of the device, a write
//! behind it fails with ENXIO. No locking.

use std::ffi::c_int;

use ddi_process::physmem::PAGE_SIZE;
use ddi_sys::{EINVAL, EIO, ENOMEM, ENXIO};

use crate::ddi::args::{Argument, Memory};
use crate::ddi::bufs;
use crate::ddi::user::{self, Uio};
use crate::kern::drivers::Driver;
use crate::kern::fields::Structure;
use crate::kern::heap;
use crate::kern::nodes::Node;

/// Bytes of a block that the kernel's cache holds (MAXBSIZE).
const BLOCK: u64 = 8192;
/// Bytes of the blocks that `b_blkno` counts.
const DEV_BSIZE: u64 = 512;

/// A property of a device number as the driver's prop_op(9E) gives it.
fn number(driver: &Driver, node: &Node, dev: u64, name: &std::ffi::CStr, width: usize) -> Option<u64> {
    let prop_op = driver.cb_ops()?.cb_prop_op?;
    let flags = (ddi_sys::DDI_PROP_NOTPROM | ddi_sys::DDI_PROP_DONTPASS) as c_int;
    let (mut value, mut len) = ([0u8; 8], width as c_int);
    let (to, name) = (value.as_mut_ptr().cast(), name.as_ptr().cast_mut());
    let op = ddi_sys::PROP_LEN_AND_VAL_BUF;
    // SAFETY: the driver's entry point, with arguments as prop_op(9E) says and a buffer of 8 bytes.
    let called =
        driver.call("prop_op", || unsafe { prop_op(dev, node.dip(), op, flags, name, to, &mut len) });
    (called == Ok(ddi_sys::DDI_PROP_SUCCESS) && len as usize == width).then(|| u64::from_ne_bytes(value))
}

/// Bytes of a device: its `Size`, or its `Nblocks` of 512 bytes.
pub fn size(driver: &Driver, node: &Node, dev: u64) -> Option<u64> {
    number(driver, node, dev, c"Size", 8)
        .or_else(|| number(driver, node, dev, c"Nblocks", 8).map(|n| n.saturating_mul(DEV_BSIZE)))
        .or_else(|| number(driver, node, dev, c"size", 4))
        .or_else(|| number(driver, node, dev, c"nblocks", 4).map(|n| n.saturating_mul(DEV_BSIZE)))
}

/// One buf's transfer; an errno.
fn transfer(driver: &Driver, dev: u64, off: u64, memory: *mut u8, len: u64, write: bool) -> c_int {
    let Some(strategy) = driver.cb_ops().and_then(|cb| cb.cb_strategy) else { return ENXIO };
    let Some(request) = bufs::new(ddi_sys::KM_SLEEP) else { return ENOMEM };
    request.set_flags(ddi_sys::B_BUSY | if write { ddi_sys::B_WRITE } else { ddi_sys::B_READ });
    request.set_edev(dev);
    request.set_bcount(len as usize);
    request.set_bufsize(len as usize);
    request.set_blkno(off / DEV_BSIZE);
    request.set_addr(memory.cast());
    // SAFETY: the driver's entry point, with a buf as strategy(9E) says.
    let called = driver.call("strategy", || unsafe { strategy(request.pointer()) });
    let error = if called.is_ok() { bufs::wait(request) } else { EIO };
    bufs::free(request.pointer());
    error
}

/// Reads or writes a block device, by strategy(9E). Returns 0 or an errno. Runs in the caller's context.
pub fn read_write(driver: &Driver, node: &Node, dev: u64, uio: Uio<'_>, write: bool) -> c_int {
    let memory = heap::allocate(BLOCK as usize, PAGE_SIZE as usize, true);
    if memory.is_null() {
        return ENOMEM;
    }
    let end = size(driver, node, dev).unwrap_or(i64::MAX as u64);
    let error = loop {
        let (off, left) = (uio.uio_offset(), uio.uio_resid());
        let (Ok(off), Ok(left)) = (u64::try_from(off), u64::try_from(left)) else { break EINVAL };
        if left == 0 {
            break 0;
        }
        if off >= end {
            break if write { ENXIO } else { 0 };
        }
        let (block, within) = (off / BLOCK * BLOCK, off % BLOCK);
        let len = BLOCK.min(end - block);
        let n = left.min(len - within);
        // A part of a block can only be written with the rest of it.
        if !write || n < len {
            let error = transfer(driver, dev, block, memory, len, false);
            if error != 0 {
                break error;
            }
        }
        let rw = if write { ddi_sys::UIO_WRITE } else { ddi_sys::UIO_READ };
        // SAFETY: the block's memory, of BLOCK bytes, which is freed below.
        let bytes: Memory<'_, u8> = unsafe { Argument::of(memory) };
        let error = user::transfer(bytes.after(within as usize).sized(n as usize), rw, uio);
        if error != 0 {
            break error;
        }
        if write {
            let error = transfer(driver, dev, block, memory, len, true);
            if error != 0 {
                break error;
            }
        }
    };
    let _ = heap::free(memory, BLOCK as usize);
    error
}
