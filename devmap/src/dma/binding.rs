//! [`Binding`]: memory that a device reaches. No lock.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::mem::zeroed;
use core::ops::Deref;

use ddi_sys as sys;

use super::attributes::Attributes;
use super::buffer::Buffer;
use super::handle::{Direction, Handle, Inner, Transfer};
use super::master::BusMaster;
use crate::context::{MayBlock, MaySleep};
use crate::errno::{Errno, Error, error};
use crate::fm;
use crate::kmem::try_words;
use crate::memory::Memory;
use crate::page;
use crate::pinned::{self, UserMemory};
use crate::umem::{Kind, Umem};

/// A piece of bound memory, as the device sees it: `ddi_dma_cookie(9S)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// Address on the bus.
    pub address: u64,
    /// Length in bytes.
    pub len: u64,
}

impl From<sys::ddi_dma_cookie_t> for Cookie {
    fn from(raw: sys::ddi_dma_cookie_t) -> Cookie {
        // SAFETY: all of the union is the address.
        let address = unsafe { raw._dmu._dmac_ll };
        Cookie { address, len: raw.dmac_size as u64 }
    }
}

mod sealed {
    pub trait Sealed {}
}

/// Location of bound memory.
#[doc(hidden)]
pub enum Source {
    /// At a kernel address.
    Kernel(*mut u8, usize),
    /// In a process.
    #[allow(private_interfaces)]
    Pinned(pinned::Transfer),
}

// SAFETY: memory belongs to no thread.
unsafe impl Send for Source {}
// SAFETY: the address is only passed to the kernel.
unsafe impl Sync for Source {}

/// Memory that can be bound: a [`Buffer`], a [`Umem`], a [`UserMemory`].
pub trait Bound: sealed::Sealed {
    #[doc(hidden)]
    fn bytes(&self) -> usize;
    /// The place of a part that is there; `into` says that the device writes it.
    #[doc(hidden)]
    fn source(&self, offset: u64, len: usize, into: bool) -> Result<Source, Error>;
}

impl sealed::Sealed for Buffer {}
impl Bound for Buffer {
    fn bytes(&self) -> usize {
        self.len()
    }
    fn source(&self, offset: u64, len: usize, _: bool) -> Result<Source, Error> {
        Ok(Source::Kernel(self.address(offset, len)?, len))
    }
}

impl sealed::Sealed for Umem {}
impl Bound for Umem {
    fn bytes(&self) -> usize {
        self.len()
    }
    fn source(&self, offset: u64, len: usize, _: bool) -> Result<Source, Error> {
        if self.kind() != Kind::Locked {
            return Err(error!(
                Errno::ENOTSUP,
                "ddi_umem_alloc(9F)", "memory that may be paged out, or is none"
            ));
        }
        Ok(Source::Kernel(self.address(offset, len)?, len))
    }
}

impl sealed::Sealed for UserMemory {}
impl Bound for UserMemory {
    fn bytes(&self) -> usize {
        self.len()
    }
    fn source(&self, offset: u64, len: usize, into: bool) -> Result<Source, Error> {
        if into && !self.is_writable() {
            return Err(error!(Errno::EACCES, "ddi_umem_lock(9F)", "pinned for reading only"));
        }
        self.transfer(offset, len, into).map(Source::Pinned)
    }
}

/// Side that accesses the memory next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// The device, which then sees what the processor has written (`DDI_DMA_SYNC_FORDEV`).
    Device,
    /// The processor, which then sees what the device has written (`DDI_DMA_SYNC_FORCPU`).
    Cpu,
}

/// Memory that the device reaches, until this is dropped; derefs to the memory. The device must have stopped by then.
pub struct Binding<M> {
    /// Goes first.
    bound: Hold,
    /// The cookies of the window: address and length of each; there may be room for more.
    cookies: Box<[u64]>,
    count: usize,
    len: usize,
    windows: u32,
    /// Offset and length of the window.
    window: (u64, usize),
    _source: Source,
    memory: M,
}

/// A handle to which something is bound, until this is dropped.
struct Hold(Arc<Inner>);

impl Drop for Hold {
    fn drop(&mut self) {
        // SAFETY: bound in `Handle::bind`, unbound once; the memory goes after this.
        unsafe { sys::ddi_dma_unbind_handle(self.0.get()) };
        self.0.give_back();
    }
}

impl<M> Binding<M> {
    /// Binding just made on the handle.
    pub(super) fn new(
        handle: Arc<Inner>,
        memory: M,
        source: Source,
        len: usize,
        partial: bool,
        (first, count): (sys::ddi_dma_cookie_t, u32),
    ) -> Result<Binding<M>, Error> {
        let mut new = Binding {
            bound: Hold(handle),
            cookies: Box::new([]),
            count: 0,
            len,
            windows: 1,
            window: (0, len),
            _source: source,
            memory,
        };
        if partial {
            let mut windows = 0;
            // SAFETY: a bound handle; the answer goes to a local.
            unsafe { sys::ddi_dma_numwin(new.bound.0.get(), &raw mut windows) };
            new.windows = windows.max(1);
            new.go_to(0)?;
        } else {
            new.collect(first, count)?;
        }
        Ok(new)
    }

    /// The cookies of the window, of which the kernel has given the first. Does not sleep in an interrupt.
    fn collect(&mut self, first: sys::ddi_dma_cookie_t, count: u32) -> Result<(), Error> {
        self.count = 0;
        let count = count as usize; // as wide
        if self.cookies.len() < count.saturating_mul(2) {
            self.cookies = try_words(count.saturating_mul(2))
                .map_err(|errno| error!(errno, "ddi_dma_nextcookie(9F)", "no memory for the cookies"))?;
        }
        let mut next = first;
        for (index, pair) in self.cookies.chunks_exact_mut(2).take(count).enumerate() {
            if index > 0 {
                // SAFETY: a bound handle, which has so many cookies; the answer goes to a local.
                unsafe { sys::ddi_dma_nextcookie(self.bound.0.get(), &raw mut next) };
            }
            if let [address, len] = pair {
                let cookie = Cookie::from(next);
                (*address, *len) = (cookie.address, cookie.len);
            }
        }
        self.count = count;
        Ok(())
    }

    /// Returns the pieces of memory for the device, in order; if there are several [windows](Binding::move_to), those of the present one.
    pub fn cookies(&self) -> impl ExactSizeIterator<Item = Cookie> {
        self.cookies.chunks_exact(2).take(self.count).map(|pair| match pair {
            &[address, len] => Cookie { address, len },
            _ => Cookie { address: 0, len: 0 },
        })
    }

    /// Returns the address of memory in one piece. Fails with `ERANGE` if there are several pieces.
    pub fn address(&self) -> Result<u64, Error> {
        let mut cookies = self.cookies();
        match (cookies.next(), cookies.next()) {
            (Some(one), None) => Ok(one.address),
            _ => Err(error!(Errno::ERANGE, "ddi_dma_cookie(9S)", "the memory is in several pieces")),
        }
    }

    /// Returns whether `len` bytes from byte `offset` of the memory on lie in this [window](Binding::move_to).
    pub fn has(&self, offset: u64, len: u64) -> bool {
        let (start, window) = self.window;
        let end = offset.checked_add(len);
        offset >= start && end.is_some_and(|end| end - start <= window as u64)
    }

    /// Returns the contiguous piece that begins at byte `offset` of the bound memory. Fails with `EINVAL` outside of this [window](Binding::move_to).
    pub fn piece(&self, offset: u64) -> Result<Cookie, Error> {
        const NONE: Error = error!(Errno::EINVAL, "ddi_dma_cookie(9S)", "outside of what is bound");
        let mut before = offset.checked_sub(self.window.0).ok_or(NONE)?;
        for Cookie { address, len } in self.cookies() {
            match len.checked_sub(before) {
                Some(rest @ 1..) => return Ok(Cookie { address: address + before, len: rest }),
                _ => before -= len,
            }
        }
        Err(NONE)
    }

    /// Returns the number of bytes that are bound.
    pub fn bound_len(&self) -> usize {
        self.len
    }

    /// Returns the number of windows: 1, except for a binding [in windows](super::Transfer::windows).
    pub fn windows(&self) -> u32 {
        self.windows
    }

    /// Returns offset and length of the window in the bound memory.
    pub fn window(&self) -> (u64, usize) {
        self.window
    }

    /// Moves to another window, whose cookies the binding has then: `ddi_dma_getwin(9F)`. Not while the device transfers. In an interrupt, too: does not sleep
    /// there. Fails with `EINVAL` if there is no such window, and with `ENOMEM`; then the binding has no cookies.
    pub fn move_to(&mut self, cx: &impl MayBlock, window: u32) -> Result<(), Error> {
        let _ = cx;
        self.go_to(window)
    }

    fn go_to(&mut self, window: u32) -> Result<(), Error> {
        const NONE: Error = error!(Errno::EINVAL, "ddi_dma_getwin(9F)", "no such window");
        if window >= self.windows {
            return Err(NONE);
        }
        // SAFETY: a structure of numbers, for which zero is a value.
        let mut first: sys::ddi_dma_cookie_t = unsafe { zeroed() };
        let (mut offset, mut len, mut count) = (0, 0, 0);
        // SAFETY: a bound handle; the answers go to locals.
        let result = unsafe {
            sys::ddi_dma_getwin(
                self.bound.0.get(),
                window,
                &raw mut offset,
                &raw mut len,
                &raw mut first,
                &raw mut count,
            )
        };
        if result != sys::DDI_SUCCESS {
            return Err(NONE);
        }
        self.window = (u64::try_from(offset).unwrap_or(0), len);
        self.collect(first, count)
    }

    /// Synchronises the bound memory for the side that accesses it next: `ddi_dma_sync(9F)`.
    pub fn sync(&self, towards: Towards) -> Result<(), Error> {
        self.sync_part(towards, 0, self.len)
    }

    /// Like [`sync`](Binding::sync), for `len` bytes from `offset` on. Fails with `EINVAL` if they are not bound.
    pub fn sync_part(&self, towards: Towards, offset: u64, len: usize) -> Result<(), Error> {
        const OUTSIDE: Error = error!(Errno::EINVAL, "ddi_dma_sync(9F)", "outside of what is bound");
        let inside = offset.checked_add(len as u64).is_some_and(|end| end <= self.len as u64);
        let Some(offset) = i64::try_from(offset).ok().filter(|_| inside) else { return Err(OUTSIDE) };
        if len == 0 {
            return Ok(()); // to the kernel that is everything
        }
        let towards = match towards {
            Towards::Device => sys::DDI_DMA_SYNC_FORDEV as u32,
            Towards::Cpu => sys::DDI_DMA_SYNC_FORCPU as u32,
        };
        // SAFETY: a bound handle, and part of what is bound.
        let result = unsafe { sys::ddi_dma_sync(self.bound.0.get(), offset, len, towards) };
        if result == sys::DDI_SUCCESS { Ok(()) } else { Err(OUTSIDE) }
    }

    /// Fails with `EIO` if [errors are flagged](super::Attributes::flag_errors) and the bus detected one since the last check.
    pub fn check(&self) -> Result<(), Error> {
        if self.bound.0.fm.is_none() {
            return Ok(());
        }
        let handle = self.bound.0.get();
        // SAFETY: a handle that flags errors; the answer goes where `status` says.
        let status = fm::status(|error| unsafe {
            sys::ddi_fm_dma_err_get(handle, error, sys::DDI_FME_VERSION);
        });
        if status == sys::DDI_FM_OK {
            return Ok(());
        }
        // SAFETY: as above.
        unsafe { sys::ddi_fm_dma_err_clear(handle, sys::DDI_FME_VERSION) };
        Err(error!(Errno::EIO, "ddi_fm_dma_err_get(9F)", "the bus saw an error of the transfer"))
    }

    /// Ends the binding, and returns the memory.
    pub fn unbind(self) -> M {
        let Binding { bound, memory, .. } = self;
        drop(bound);
        memory
    }
}

impl<M> Deref for Binding<M> {
    type Target = M;
    fn deref(&self) -> &M {
        &self.memory
    }
}

impl From<&Binding<Umem>> for Memory {
    fn from(binding: &Binding<Umem>) -> Memory {
        Memory::from(&binding.memory)
    }
}

impl BusMaster {
    /// Binds memory for the device, with a handle for this binding alone. Errors: those of [`Handle::new`] and [`Handle::bind`].
    pub fn bind<M: Bound>(
        &self,
        cx: &impl MaySleep,
        attributes: &Attributes,
        memory: M,
        transfer: Transfer,
    ) -> Result<Binding<M>, Error> {
        Handle::new(cx, self, attributes)?.bind(cx, memory, transfer)
    }

    /// Allocates and binds memory that driver and device share, all zero: `ddi_dma_mem_alloc(9F)`. Errors: those of [`Handle::new`], [`Buffer::new`] and [`Handle::bind`].
    pub fn coherent(
        &self,
        cx: &impl MaySleep,
        attributes: &Attributes,
        len: usize,
    ) -> Result<Binding<Buffer>, Error> {
        let handle = Handle::new(cx, self, attributes)?;
        let buffer = Buffer::new(cx, &handle, len)?;
        handle.bind(cx, buffer, Transfer::coherent(Direction::Both))
    }

    /// Allocates and binds memory that driver, device and processes share: `ddi_umem_alloc(9F)`. At least `len` bytes, whole pages, all zero, in as many pieces as
    /// it has: allow for [segments](Attributes::segments).
    ///
    /// Fails with `ENOTSUP` for a device that does not reach all memory, or wants it more aligned than a page is: the kernel would copy, and processes would see the
    /// original. Errors: those of [`Umem::new`], [`Handle::new`] and [`Handle::bind`].
    pub fn shared(
        &self,
        cx: &impl MaySleep,
        attributes: &Attributes,
        len: usize,
    ) -> Result<Binding<Umem>, Error> {
        let last = &raw const sys::physmax;
        // SAFETY: a number of the kernel's, set before any driver is loaded; grows when memory is added, never shrinks.
        let last = unsafe { last.read_volatile() };
        let end = last.saturating_add(1).saturating_mul(page::size() as u64);
        if !attributes.reach(end) || attributes.align() > page::size() as u64 {
            return Err(error!(
                Errno::ENOTSUP,
                "ddi_dma_attr(9S)",
                "the device does not reach all memory, or wants it more aligned than a page is"
            ));
        }
        let memory = Umem::new(cx, Kind::Locked, len)?;
        self.bind(cx, attributes, memory, Transfer::coherent(Direction::Both))
    }
}
