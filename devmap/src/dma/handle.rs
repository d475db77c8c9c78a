//! [`Handle`]: a DMA handle. No lock: an atomic flag records whether memory is bound.

use alloc::sync::Arc;
use core::ffi::c_int;
use core::mem::{transmute, zeroed};
use core::ptr;
use core::sync::atomic::Ordering;

use ddi_sys as sys;

use super::attributes::Attributes;
use super::binding::{Binding, Bound, Source};
use super::master::BusMaster;
use crate::atomic::AtomicBool;
use crate::context::{MayBlock, MaySleep};
use crate::errno::{Errno, Error, error};
use crate::fm::FaultManagement;
use crate::tether::Tether;

/// Behaviour of a DDI function that lacks resources.
pub(super) type Wait = Option<unsafe extern "C-unwind" fn(sys::caddr_t) -> c_int>;

/// `DDI_DMA_DONTWAIT`.
pub(super) const DONTWAIT: Wait = None;

/// `DDI_DMA_SLEEP`: the number 1 in a function's place.
pub(super) fn sleep() -> Wait {
    // SAFETY: a number that is not 0, which the kernel compares, and nobody calls.
    Some(unsafe { transmute::<usize, unsafe extern "C-unwind" fn(sys::caddr_t) -> c_int>(1) })
}

pub(super) struct Inner {
    handle: sys::ddi_dma_handle_t,
    /// Something is bound to it.
    bound: AtomicBool,
    pub fm: Option<FaultManagement>,
    _tether: Tether,
}

// SAFETY: the handle belongs to no thread, and is freed once.
unsafe impl Send for Inner {}
// SAFETY: what is done with it synchronises itself: `bound`, and `&mut` of a binding.
unsafe impl Sync for Inner {}

impl Inner {
    pub(super) fn get(&self) -> sys::ddi_dma_handle_t {
        self.handle
    }

    /// A binding takes it: false when another has it.
    pub(super) fn take(&self) -> bool {
        !self.bound.swap(true, Ordering::AcqRel)
    }

    /// The binding that has it gives it back.
    pub(super) fn give_back(&self) {
        self.bound.store(false, Ordering::Release);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: from ddi_dma_alloc_handle, freed once; bindings and buffers have a reference, so there are none.
        unsafe { sys::ddi_dma_free_handle(&raw mut self.handle) };
    }
}

/// Direction of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The device reads memory (`DDI_DMA_WRITE`).
    ToDevice,
    /// The device writes memory (`DDI_DMA_READ`).
    FromDevice,
    /// Both.
    Both,
}

impl Direction {
    /// Returns whether the device writes memory.
    pub(super) fn writes(self) -> bool {
        self != Direction::ToDevice
    }
}

/// Purpose of a binding.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    pub(super) direction: Direction,
    pub(super) streaming: bool,
    pub(super) windows: bool,
    pub(super) offset: u64,
    /// To the end, if not said.
    pub(super) len: Option<usize>,
}

impl Transfer {
    /// Creates a transfer for memory that driver and device access in turns and at random (`DDI_DMA_CONSISTENT`).
    pub fn coherent(direction: Direction) -> Transfer {
        Transfer { direction, streaming: false, windows: false, offset: 0, len: None }
    }

    /// Creates a transfer for memory that the device reads or writes once, in order (`DDI_DMA_STREAMING`).
    pub fn streaming(direction: Direction) -> Transfer {
        Transfer { streaming: true, ..Transfer::coherent(direction) }
    }

    /// Limits the transfer to `len` bytes from `offset` on.
    #[must_use]
    pub fn part(self, offset: u64, len: usize) -> Transfer {
        Transfer { offset, len: Some(len), ..self }
    }

    /// Allows a transfer that the device cannot do at once, one [window](Binding::move_to) after the other (`DDI_DMA_PARTIAL`).
    #[must_use]
    pub fn windows(self) -> Transfer {
        Transfer { windows: true, ..self }
    }

    fn flags(&self) -> u32 {
        let direction = match self.direction {
            Direction::ToDevice => sys::DDI_DMA_WRITE,
            Direction::FromDevice => sys::DDI_DMA_READ as u32,
            Direction::Both => sys::DDI_DMA_RDWR,
        };
        let mode = if self.streaming { sys::DDI_DMA_STREAMING } else { sys::DDI_DMA_CONSISTENT };
        direction | mode | if self.windows { sys::DDI_DMA_PARTIAL as u32 } else { 0 }
    }
}

/// A DMA handle, to which memory is bound, one binding at a time: `ddi_dma_alloc_handle(9F)`.
pub struct Handle(pub(super) Arc<Inner>);

impl Handle {
    /// Allocates a handle for a device with these attributes. Fails with `EINVAL` if they are inconsistent, and with `ENOMEM`.
    pub fn new(cx: &impl MaySleep, master: &BusMaster, attributes: &Attributes) -> Result<Handle, Error> {
        let _ = cx;
        Handle::allocate(master, attributes, sleep())
    }

    /// Like [`new`](Handle::new), but does not wait for scarce resources of the bus. Fails with `ENOMEM` if there are none.
    pub fn try_new(cx: &impl MaySleep, master: &BusMaster, attributes: &Attributes) -> Result<Handle, Error> {
        let _ = cx;
        Handle::allocate(master, attributes, DONTWAIT)
    }

    fn allocate(master: &BusMaster, attributes: &Attributes, wait: Wait) -> Result<Handle, Error> {
        const PAGE: &str = "ddi_dma_alloc_handle(9F)";
        let tether = master.tether();
        let mut raw = attributes.raw();
        let mut handle: sys::ddi_dma_handle_t = ptr::null_mut();
        // SAFETY: a live node; the attributes are copied; the answer goes to a local. It sleeps if the caller may.
        let result = unsafe {
            sys::ddi_dma_alloc_handle(tether.dip(), &raw mut raw, wait, ptr::null_mut(), &raw mut handle)
        };
        match result {
            sys::DDI_SUCCESS => {
                let (bound, fm) = (AtomicBool::new(false), attributes.fm.clone());
                Ok(Handle(Arc::new(Inner { handle, bound, fm, _tether: tether })))
            }
            sys::DDI_DMA_BADATTR => Err(error!(Errno::EINVAL, PAGE, "the attributes contradict themselves")),
            _ => Err(error!(Errno::ENOMEM, PAGE, "no handle to be had")),
        }
    }

    /// Binds memory for the device, until the binding is dropped: `ddi_dma_addr_bind_handle(9F)`, `ddi_dma_buf_bind_handle(9F)`. On an error the memory is dropped.
    ///
    /// `EBUSY` while something else is bound to the handle; `EINVAL` for nothing at all, or a part that is not there; `EACCES` when the device is to write what is pinned for
    /// reading; `ERANGE` for more, or more pieces, than the device takes ([`Transfer::windows`]); `EFAULT` for memory that it does not reach; `ENOMEM`; `ENOTSUP` for memory that
    /// may be paged out; `ESTALE` for memory that the process wants back.
    pub fn bind<M: Bound>(
        &self,
        cx: &impl MaySleep,
        memory: M,
        transfer: Transfer,
    ) -> Result<Binding<M>, Error> {
        let _ = cx;
        self.bind_with(memory, transfer, sleep())
    }

    /// Like [`bind`](Handle::bind), but does not wait; also for interrupts. Fails with `ENOMEM` if resources are missing.
    pub fn try_bind<M: Bound>(
        &self,
        cx: &impl MayBlock,
        memory: M,
        transfer: Transfer,
    ) -> Result<Binding<M>, Error> {
        let _ = cx;
        self.bind_with(memory, transfer, DONTWAIT)
    }

    fn bind_with<M: Bound>(&self, memory: M, transfer: Transfer, wait: Wait) -> Result<Binding<M>, Error> {
        const PAGE: &str = "ddi_dma_addr_bind_handle(9F)";
        macro_rules! refuse {
            ($errno:expr, $why:expr) => {
                return Err(error!($errno, PAGE, $why))
            };
        }
        let rest = (memory.bytes() as u64).checked_sub(transfer.offset).and_then(|n| usize::try_from(n).ok());
        let Some(len) = rest.and_then(|rest| match transfer.len {
            None => Some(rest),
            Some(len) => (len <= rest).then_some(len),
        }) else {
            refuse!(Errno::EINVAL, "the memory has no such part");
        };
        if len == 0 {
            refuse!(Errno::EINVAL, "no bytes at all");
        }
        let source = memory.source(transfer.offset, len, transfer.direction.writes())?;
        if !self.0.take() {
            refuse!(Errno::EBUSY, "something is bound to the handle");
        }
        // SAFETY: a structure of numbers, for which zero is a value.
        let mut first: sys::ddi_dma_cookie_t = unsafe { zeroed() };
        let (mut count, flags) = (0, transfer.flags());
        let result = match &source {
            // SAFETY: memory that lives as long as the binding; the answers go to locals. It sleeps if the caller may.
            Source::Kernel(start, len) => unsafe {
                sys::ddi_dma_addr_bind_handle(
                    self.0.get(),
                    ptr::null_mut(),
                    start.cast(),
                    *len,
                    flags,
                    wait,
                    ptr::null_mut(),
                    &raw mut first,
                    &raw mut count,
                )
            },
            // SAFETY: as above: the buf and its memory live as long as the binding.
            Source::Pinned(transfer) => unsafe {
                sys::ddi_dma_buf_bind_handle(
                    self.0.get(),
                    transfer.get(),
                    flags,
                    wait,
                    ptr::null_mut(),
                    &raw mut first,
                    &raw mut count,
                )
            },
        };
        match result {
            sys::DDI_DMA_MAPPED | sys::DDI_DMA_PARTIAL_MAP => {
                let partial = result == sys::DDI_DMA_PARTIAL_MAP;
                return Binding::new(Arc::clone(&self.0), memory, source, len, partial, (first, count));
            }
            _ => self.0.give_back(),
        }
        match result {
            sys::DDI_DMA_INUSE => refuse!(Errno::EBUSY, "something is bound to the handle"),
            sys::DDI_DMA_TOOBIG => refuse!(Errno::ERANGE, "more, or more pieces, than the device takes"),
            sys::DDI_DMA_NOMAPPING => refuse!(Errno::EFAULT, "the device does not reach the memory"),
            _ => refuse!(Errno::ENOMEM, "not what it takes"),
        }
    }
}
