//! [`MapRequest`]: a process's mmap(2), and what the driver answers: a [`Setup`].
//!
//! Exists inside [`Device::devmap`] only: user context, no lock of this crate held. A request is consumed by setting
//! it up, so it is set up once; a [`Setup`] can be had in no other way, so it is not forgotten.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ffi::c_int;
use core::marker::PhantomData;
use core::ptr;

use bitflags::bitflags;
use ddi_sys as sys;

use crate::callbacks::{self, Slot};
use crate::calls::Terms;
use crate::context::{MaySleep, sealed::Sealed};
use crate::device::Device;
use crate::errno::{Errno, Error};
use crate::handle::{Handle, Target, covers};
use crate::instance::Instance;
use crate::memory::Memory;
use crate::page;
use crate::registers::Order;

bitflags! {
    /// What a process may do with a mapping: mmap(2)'s `PROT_` values.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Protection: u32 {
        /// `PROT_READ`.
        const READ = sys::PROT_READ;
        /// `PROT_WRITE`.
        const WRITE = sys::PROT_WRITE;
        /// `PROT_EXEC`.
        const EXECUTE = sys::PROT_EXEC;
    }
}

/// Who sees what the process writes: mmap(2)'s `MAP_SHARED`, `MAP_PRIVATE`. What they mean for a device is the
/// driver's affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// `MAP_SHARED`.
    Shared,
    /// `MAP_PRIVATE`. Needs an access callback.
    Private,
}

type Once<'a> = PhantomData<fn(&'a ()) -> &'a ()>;

/// A part of the device that a process wants to map.
///
/// ```no_run
/// use devmap::prelude::*;
/// use devmap::request::Protection;
/// # struct Dev { regs: Registers, ring: Umem }
/// # impl Dev {
///
/// // Registers at offset 0, for reading only; behind them a ring, at 64 KiB.
/// fn devmap<'a, D>(&self, request: MapRequest<'a, D>) -> Result<Setup<'a, D>, Errno>
/// where
///     D: Device<Mapping = ()>,
/// {
///     Ok(match request.offset() {
///         0x1_0000.. => {
///             let offset = request.offset() - 0x1_0000;
///             request.map(&self.ring, offset).with(())?
///         }
///         offset => {
///             let read_only = request.map(&self.regs, offset).max_protection(Protection::READ);
///             read_only.with(())? // beyond the registers, or for writing: an error
///         }
///     })
/// }
/// # }
/// ```
pub struct MapRequest<'a, D: Device> {
    instance: &'a Arc<Instance<D>>,
    cookie: sys::devmap_cookie_t,
    offset: u64,
    len: usize,
    model: u32,
    terms: Terms,
    handle: Handle,
    call: Once<'a>,
}

impl<D: Device> Sealed for MapRequest<'_, D> {}
impl<D: Device> MaySleep for MapRequest<'_, D> {}

impl<'a, D: Device> MapRequest<'a, D> {
    pub(crate) fn new(
        instance: &'a Arc<Instance<D>>,
        cookie: sys::devmap_cookie_t,
        (offset, len): (u64, usize),
        model: u32,
        terms: Terms,
    ) -> MapRequest<'a, D> {
        let handle = Handle::new(instance.dip, offset, len);
        MapRequest { instance, cookie, offset, len, model, terms, handle, call: PhantomData }
    }

    /// The device offset at which the mapping is to start, in bytes; a multiple of the page size.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes are to be mapped from there: whole pages, whatever length the process gave (an mmap(2) of 100 bytes asks for a page).
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first offset behind the request.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.len as u64)
    }

    /// Shared or private.
    pub fn sharing(&self) -> Sharing {
        if self.terms.flags & sys::MAP_TYPE == sys::MAP_PRIVATE { Sharing::Private } else { Sharing::Shared }
    }

    /// What the process wants to do.
    pub fn protection(&self) -> Protection {
        Protection::from_bits_truncate(self.terms.protection)
    }

    /// What mprotect(2) may let it do later.
    pub fn max_protection(&self) -> Protection {
        Protection::from_bits_truncate(self.terms.max_protection)
    }

    /// Is it a 32-bit process: `ddi_mmap_get_model(9F)`.
    pub fn is_32_bit(&self) -> bool {
        self.model == sys::DDI_MODEL_ILP32
    }

    /// The mapping that is to be. It lives once the process has it; put it where its translations are looked for now.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// When an mmap(2) is set up [in parts](MapRequest::map_part): looks at the private data of the parts before this
    /// one, the last one first, until `look` has found something. Under a lock: `look` must not take any.
    pub fn previous<R>(&self, look: impl FnMut(&D::Mapping) -> Option<R>) -> Option<R> {
        D::soft_state().calls()?.previous(look)
    }

    /// Answers the whole request with memory, from byte `offset` of it on.
    pub fn map(self, memory: impl Into<Memory>, offset: u64) -> MapSetup<'a, D> {
        let len = self.len;
        self.map_part(memory, offset, len)
    }

    /// Answers the first `len` bytes of the request, whole pages; the driver is asked again for the rest, which gets a handle of
    /// its own.
    ///
    /// **Think twice.** illumos kernels crash when a process unmaps the end of a mapping that has several handles
    /// (docs/shield.md, 1 to 3): any process that can open the device can then stop the machine. Prefer one region
    /// for each mmap(2), by refusing a request that goes beyond.
    pub fn map_part(self, memory: impl Into<Memory>, offset: u64, len: usize) -> MapSetup<'a, D> {
        let memory = memory.into();
        let order = None;
        MapSetup {
            request: self,
            memory,
            memory_offset: offset,
            len,
            order,
            max: Protection::all(),
            flags: sys::DEVMAP_ALLOW_REMAP,
            access: true,
        }
    }
}

/// A request with its answer, to be completed by [`with`](MapSetup::with).
pub struct MapSetup<'a, D: Device> {
    request: MapRequest<'a, D>,
    memory: Memory,
    memory_offset: u64,
    len: usize,
    order: Option<Order>,
    max: Protection,
    flags: u32,
    access: bool,
}

impl<'a, D: Device> MapSetup<'a, D> {
    /// What processes may do at most; mmap(2) and mprotect(2) beyond it fail. Everything, if not said.
    pub fn max_protection(mut self, max: Protection) -> Self {
        self.max = max;
        self
    }

    /// How the process's accesses are ordered; for register sets only. As the driver's own, if not said.
    pub fn order(mut self, order: Order) -> Self {
        self.order = Some(order);
        self
    }

    /// Uses base pages only, where the processor's larger ones would do.
    pub fn base_pages(mut self) -> Self {
        self.flags |= sys::DEVMAP_USE_PAGESIZE;
        self
    }

    /// Lets the framework load translations without asking [`Mapping::access`](crate::Mapping::access). Such a
    /// mapping cannot be private.
    pub fn without_access(mut self) -> Self {
        self.access = false;
        self
    }

    /// Sets the mapping up with this private data: `devmap_umem_setup(9F)`, `devmap_devmem_setup(9F)`.
    ///
    /// `EINVAL` for an offset that is not a page's, for a part that is empty or longer than the request, or for
    /// memory that does not reach to its end (a register set that does not fill its last page cannot be mapped to
    /// there: its neighbours would be, too); for a private mapping without access. `EACCES` when the process wants
    /// more than it may. On every error the private data is dropped.
    pub fn with(self, mapping: D::Mapping) -> Result<Setup<'a, D>, Error> {
        let MapSetup { request, memory, memory_offset, len, order, max, flags, access } = self;
        let MapRequest { instance, cookie, terms, handle, .. } = request;
        let page = match memory {
            Memory::Registers(_) => "devmap_devmem_setup(9F)",
            Memory::Umem(_) => "devmap_umem_setup(9F)",
        };
        let refuse = |errno, why| Err(Error::new(errno, page, why));
        if len == 0 || len > request.len || !page::aligned(len as u64) {
            return refuse(Errno::EINVAL, "the part is empty, longer than the request, or not in pages");
        }
        if !access && terms.flags & sys::MAP_TYPE == sys::MAP_PRIVATE {
            return refuse(Errno::EINVAL, "a private mapping needs an access callback");
        }
        let wanted = Protection::from_bits_truncate(terms.protection);
        if !max.contains(wanted) {
            return refuse(Errno::EACCES, "the process wants more than it may");
        }
        let start = covers(&memory, memory_offset, len)?;
        let max_protection = max.bits() | sys::PROT_USER;
        let result =
            setup::<D>(instance, cookie, &memory, (start, len), max_protection, flags, order, access);
        if result != sys::DDI_SUCCESS {
            return refuse(Errno::EIO, "the framework refused");
        }
        handle.set_target(Target { memory, order, max_protection, loads_unseen: !access }, len);
        let member = instance.mappings.set.insert(&handle);
        let slot = Box::new(Slot { handle, member, instance: Arc::clone(instance), mapping });
        let kept = D::soft_state().calls().map(|calls| calls.prepare(cookie, slot));
        if kept.is_none_or(|kept| kept.is_err()) {
            return refuse(Errno::ENOMEM, "no memory to remember the mapping by");
        }
        Ok(Setup { len, call: PhantomData, device: PhantomData })
    }
}

#[allow(clippy::too_many_arguments)]
fn setup<D: Device>(
    instance: &Instance<D>,
    cookie: sys::devmap_cookie_t,
    memory: &Memory,
    (start, len): (i64, usize),
    max_protection: u32,
    flags: u32,
    order: Option<Order>,
    access: bool,
) -> c_int {
    let mut table = callbacks::table::<D>(access);
    let mut attributes = order.unwrap_or(memory.order()).attributes();
    match memory {
        // SAFETY: inside devmap(9E) for this handle; a register set of this node; the framework copies what is
        // pointed to.
        Memory::Registers(registers) => unsafe {
            sys::devmap_devmem_setup(
                cookie,
                instance.dip,
                &raw mut table,
                registers.set(),
                registers.start() as i64 + start,
                len,
                max_protection,
                flags,
                &raw mut attributes,
            )
        },
        // SAFETY: inside devmap(9E) for this handle; a live cookie that covers the range; the framework copies the
        // table.
        Memory::Umem(umem) => unsafe {
            sys::devmap_umem_setup(
                cookie,
                instance.dip,
                &raw mut table,
                umem.cookie(),
                start,
                len,
                max_protection,
                flags,
                ptr::null_mut(),
            )
        },
    }
}

/// A mapping that is set up: what [`Device::devmap`] returns. Without it the request is refused, and the private data
/// dropped.
#[must_use]
pub struct Setup<'a, D: Device> {
    pub(crate) len: usize,
    call: Once<'a>,
    device: PhantomData<fn() -> D>,
}
