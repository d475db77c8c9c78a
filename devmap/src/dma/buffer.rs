//! [`Buffer`]: memory of the driver's that fits the device. No lock.

use alloc::sync::Arc;
use core::ffi::c_char;
use core::ops::Deref;
use core::ptr;

use ddi_sys as sys;

use super::handle::{DONTWAIT, Handle, Inner, Wait, sleep};
use crate::access::Attributes;
use crate::context::MaySleep;
use crate::errno::{Errno, Error, error};
use crate::volatile::{Origin, Volatile};

const PAGE: &str = "ddi_dma_mem_alloc(9F)";

/// Memory that fits a device's attributes: `ddi_dma_mem_alloc(9F)`. Its bytes are [`Volatile`], to which it derefs; for values in the device's byte order there are
/// [`Le`](crate::endian::Le) and [`Be`](crate::endian::Be).
pub struct Buffer {
    access: sys::ddi_acc_handle_t,
    bytes: Volatile,
    /// Goes after the memory.
    _handle: Arc<Inner>,
}

// SAFETY: the memory belongs to no thread, and is freed once.
unsafe impl Send for Buffer {}
// SAFETY: the access handle is only passed to the kernel; `Volatile` is `Sync`.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Allocates at least `len` bytes, all zero. Fails with `EINVAL` for length 0, and with `ENOMEM` if there is no memory that fits.
    pub fn new(cx: &impl MaySleep, handle: &Handle, len: usize) -> Result<Buffer, Error> {
        let _ = cx;
        Buffer::allocate(handle, len, false, &Attributes::default(), sleep())
    }

    /// Like [`new`](Buffer::new), for a [streaming](super::Transfer::streaming) binding, or with another order of accesses.
    pub fn streaming(
        cx: &impl MaySleep,
        handle: &Handle,
        len: usize,
        attributes: impl Into<Attributes>,
    ) -> Result<Buffer, Error> {
        let _ = cx;
        Buffer::allocate(handle, len, true, &attributes.into(), sleep())
    }

    /// Like [`new`](Buffer::new), but does not wait for memory.
    pub fn try_new(cx: &impl MaySleep, handle: &Handle, len: usize) -> Result<Buffer, Error> {
        let _ = cx;
        Buffer::allocate(handle, len, false, &Attributes::default(), DONTWAIT)
    }

    fn allocate(
        handle: &Handle,
        len: usize,
        streaming: bool,
        attributes: &Attributes,
        wait: Wait,
    ) -> Result<Buffer, Error> {
        if len == 0 {
            return Err(error!(Errno::EINVAL, PAGE, "no bytes at all"));
        }
        let mode = if streaming { sys::DDI_DMA_STREAMING } else { sys::DDI_DMA_CONSISTENT };
        let mut raw = attributes.raw();
        let (mut base, mut real): (*mut c_char, usize) = (ptr::null_mut(), 0);
        let mut access: sys::ddi_acc_handle_t = ptr::null_mut();
        // SAFETY: a live handle; the attributes are copied; the answers go to locals. It sleeps if the caller may.
        let result = unsafe {
            sys::ddi_dma_mem_alloc(
                handle.0.get(),
                len,
                &raw mut raw,
                mode,
                wait,
                ptr::null_mut(),
                &raw mut base,
                &raw mut real,
                &raw mut access,
            )
        };
        if result != sys::DDI_SUCCESS {
            return Err(error!(Errno::ENOMEM, PAGE, "no memory that fits the device"));
        }
        // SAFETY: so many bytes that live until they are freed, in `drop`; nobody but the kernel has their address.
        let bytes = unsafe { Volatile::new(base.cast(), real, Origin::Dma) };
        let buffer = Buffer { access, bytes, _handle: Arc::clone(&handle.0) };
        buffer.zero(0, real)?;
        Ok(buffer)
    }
}

impl Deref for Buffer {
    type Target = Volatile;
    fn deref(&self) -> &Volatile {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: from ddi_dma_mem_alloc, freed once; a binding owns what it is of, so it is not bound.
        unsafe { sys::ddi_dma_mem_free(&raw mut self.access) };
    }
}
