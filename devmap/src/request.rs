//! [`MapRequest`]: a process's mmap(2), and the driver's reply: a [`Setup`].
//!
//! Exists inside [`Device::devmap`] only: user context, no lock of this crate held. A request is set up once; a second setup is an error. Nothing
//! else returns a [`Setup`], so the setup cannot be forgotten.

use core::cell::{Cell, OnceCell};
use core::ffi::c_int;
use core::marker::PhantomData;
use core::ptr;

use ddi_sys as sys;

use crate::access::Order;
use crate::caller::Caller;
use crate::context::{MaySleep, sealed::Sealed};
use crate::device::Device;
use crate::errno::{Errno, Error, error};
use crate::handle::{Borrowed, Handle, Home, Target};
use crate::memory::{Memory, covers, may_be_written};
use crate::page;
use crate::protection::Terms;
pub use crate::protection::{Protection, Sharing};

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
///     D: Device<Mapping = (), Open = ()>,
/// {
///     Ok(match request.offset() {
///         0x1_0000.. => request.map(&self.ring, request.offset() - 0x1_0000).with(())?,
///         offset => {
///             let read_only = request.map(&self.regs, offset).max_protection(Protection::READ);
///             read_only.with(())? // beyond the registers, or for writing: an error
///         }
///     })
/// }
/// # }
/// ```
pub struct MapRequest<'a, D: Device> {
    open: &'a D::Open,
    minor: u32,
    maker: &'a dyn Maker<D>,
    asked: Asked,
    /// Once the driver has asked for it.
    handle: OnceCell<Borrowed>,
    /// The framework has it.
    set_up: Cell<bool>,
    call: Once<'a>,
}

/// A devmap(9E) under way, as a request sees it.
pub(crate) trait Maker<D: Device> {
    /// The arguments of the process's mmap(2).
    fn terms(&self) -> &Terms;
    /// The callbacks of a mapping without access, or of an engine that is not the first.
    fn callbacks(&self, access: bool, engine: usize) -> &'static sys::devmap_callback_ctl;
    /// The framework's handle, and the instance.
    fn subject(&self) -> (sys::devmap_cookie_t, &Home);
    /// Makes the mapping before it is set up.
    fn make(&self) -> Borrowed;
    /// Keeps the mapping that was set up, of this length, with its private data.
    fn keep(&self, mapping: D::Mapping, target: Target, len: usize);
    /// Looks at the private data of the parts of this mmap(2) that are set up already, the last one first, until `look` returns true.
    fn previous(&self, look: &mut dyn FnMut(&D::Mapping) -> bool);
}

/// A request of devmap(9E), in whole pages.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub offset: u64,
    pub len: usize,
    pub model: u32,
}

impl<D: Device> Sealed for MapRequest<'_, D> {}
impl<D: Device> MaySleep for MapRequest<'_, D> {}

impl<'a, D: Device> MapRequest<'a, D> {
    pub(crate) fn new(
        (open, minor): (&'a D::Open, u32),
        maker: &'a dyn Maker<D>,
        asked: Asked,
    ) -> MapRequest<'a, D> {
        let (handle, set_up) = (OnceCell::new(), Cell::new(false));
        MapRequest { open, minor, maker, asked, handle, set_up, call: PhantomData }
    }

    /// Returns the private data of the open by which the process maps the device.
    pub fn open(&self) -> &'a D::Open {
        self.open
    }

    /// Returns the index of the instance's minor node that is mapped.
    pub fn minor(&self) -> u32 {
        self.minor
    }

    /// Returns the caller.
    pub fn caller(&self) -> Caller<'a> {
        // SAFETY: the credential that segmap(9E) was called with, which is under way.
        unsafe { Caller::new(self.maker.terms().cred) }
    }

    /// Returns the device offset at which the mapping starts, in bytes; a multiple of the page size.
    pub fn offset(&self) -> u64 {
        self.asked.offset
    }

    /// Returns the number of bytes to map from there: whole pages, whatever length the process gave (an mmap(2) of 100 bytes asks for a page).
    pub fn len(&self) -> usize {
        self.asked.len
    }

    /// Returns false.
    pub fn is_empty(&self) -> bool {
        self.asked.len == 0
    }

    /// Returns the first offset behind the request.
    pub fn end(&self) -> u64 {
        self.asked.offset.saturating_add(self.asked.len as u64)
    }

    /// Returns whether the mapping is shared or private.
    pub fn sharing(&self) -> Sharing {
        self.maker.terms().sharing()
    }

    /// Returns the protection that the process asks for.
    pub fn protection(&self) -> Protection {
        Protection::from_bits_truncate(self.maker.terms().protection)
    }

    /// Returns the maximum protection, which mprotect(2) cannot exceed.
    pub fn max_protection(&self) -> Protection {
        Protection::from_bits_truncate(self.maker.terms().max_protection)
    }

    /// Returns whether the process is a 32-bit one: `ddi_mmap_get_model(9F)`.
    pub fn is_32_bit(&self) -> bool {
        self.asked.model == sys::DDI_MODEL_ILP32
    }

    /// Returns the future mapping. It exists once mmap(2) has succeeded; put it into its [`MappingSet`](crate::MappingSet) now.
    pub fn handle(&self) -> &Handle {
        // Not `get_or_init`: that may panic.
        loop {
            match self.handle.get() {
                Some(handle) => break handle,
                None => drop(self.handle.set(self.maker.make())),
            }
        }
    }

    /// Calls `look` with the private data of the earlier parts of an mmap(2) that is set up [in parts](MapRequest::map_part), the
    /// last one first, until it returns a value. A lock is held: `look` must not take any.
    pub fn previous<R>(&self, mut look: impl FnMut(&D::Mapping) -> Option<R>) -> Option<R> {
        let mut found = None;
        self.maker.previous(&mut |mapping| {
            found = look(mapping);
            found.is_some()
        });
        found
    }

    /// Maps the whole request to memory, from byte `offset` of it on.
    pub fn map(&self, memory: impl Into<Memory>, offset: u64) -> MapSetup<'_, 'a, D> {
        self.map_part(memory, offset, self.asked.len)
    }

    /// Maps the first `len` bytes of the request, whole pages. The driver is called again for the rest, which gets a handle of
    /// its own.
    ///
    /// **Think twice.** illumos kernels crash when a process unmaps the end of a mapping that has several handles
    /// (docs/shield.md, 1 to 3): any process that can open the device can then stop the machine. Prefer one region
    /// for each mmap(2), by refusing a request that goes beyond.
    pub fn map_part(&self, memory: impl Into<Memory>, offset: u64, len: usize) -> MapSetup<'_, 'a, D> {
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
            engine: 0,
        }
    }
}

/// A request with its memory, to be completed by [`with`](MapSetup::with).
#[must_use = "nothing is mapped before `with`"]
pub struct MapSetup<'r, 'a, D: Device> {
    request: &'r MapRequest<'a, D>,
    memory: Memory,
    memory_offset: u64,
    len: usize,
    order: Option<Order>,
    max: Protection,
    flags: u32,
    access: bool,
    engine: usize,
}

impl<'a, D: Device> MapSetup<'_, 'a, D> {
    /// Sets the maximum protection; mmap(2) and mprotect(2) beyond it fail. It defaults to everything.
    pub fn max_protection(mut self, max: Protection) -> Self {
        self.max = max;
        self
    }

    /// Sets the order of the process's accesses, for register sets only. It defaults to that of the driver's own.
    pub fn order(mut self, order: Order) -> Self {
        self.order = Some(order);
        self
    }

    /// Uses base pages only, even where larger ones would fit.
    pub fn base_pages(mut self) -> Self {
        self.flags |= sys::DEVMAP_USE_PAGESIZE;
        self
    }

    /// Lets the framework load translations without calling [`Mapping::access`](crate::Mapping::access). Such a
    /// mapping cannot be private.
    pub fn without_access(mut self) -> Self {
        self.access = false;
        self
    }

    /// Sets the engine ([`Device::ENGINES`]) that the mapping waits for in [`Fault::switch_context`](crate::Fault::switch_context). Default: the
    /// first. If the parts of one mmap(2) have different engines, it fails.
    pub fn engine(mut self, engine: usize) -> Self {
        self.engine = engine;
        self
    }

    /// Sets the mapping up with this private data: `devmap_umem_setup(9F)`, `devmap_devmem_setup(9F)`.
    ///
    /// Fails with `EINVAL` for an offset that is not a page's, for a part that is empty or longer than the request, for
    /// an [engine](MapSetup::engine) that is not there, or memory that does not reach to its end (the last page of a register set that ends inside a page cannot be
    /// mapped, because its neighbours would be, too); for a private mapping without access. Fails with `EACCES` if the process wants
    /// more than it may, or to write what is pinned for reading only. Fails with `EALREADY` if the request is set up already. On every error the private data is dropped.
    pub fn with(self, mapping: D::Mapping) -> Result<Setup<'a, D>, Error> {
        let MapSetup { request, memory, memory_offset, len, order, max, flags, access, engine } = self;
        let MapRequest { maker, asked, set_up, .. } = request;
        macro_rules! refuse {
            ($errno:expr, $why:expr) => {
                return Err(match memory {
                    Memory::Registers(_) => error!($errno.rare(), "devmap_devmem_setup(9F)", $why),
                    Memory::Umem(_) | Memory::User(_) => error!($errno.rare(), "devmap_umem_setup(9F)", $why),
                })
            };
        }
        if set_up.get() {
            refuse!(Errno::EALREADY, "the request is set up already");
        }
        // The request is of whole pages.
        if len != asked.len && (len == 0 || len > asked.len || !page::aligned(len as u64)) {
            refuse!(Errno::EINVAL, "the part is empty, longer than the request, or not in pages");
        }
        if engine >= D::ENGINES {
            refuse!(Errno::EINVAL, "the device has no such engine");
        }
        if !access && maker.terms().sharing() == Sharing::Private {
            refuse!(Errno::EINVAL, "a private mapping needs an access callback");
        }
        if !max.contains(request.protection()) {
            refuse!(Errno::EACCES, "the process wants more than it may");
        }
        let max = if may_be_written(&memory) { max } else { max - Protection::WRITE };
        if !max.contains(request.protection()) {
            refuse!(Errno::EACCES, "the memory is pinned for reading only");
        }
        let start = covers(&memory, memory_offset, len)?;
        let max_protection = max.bits() | sys::PROT_USER;
        let result = setup(*maker, &memory, (start, len), max_protection, flags, order, (access, engine));
        if result != sys::DDI_SUCCESS {
            refuse!(Errno::EIO, "the framework refused");
        }
        set_up.set(true);
        maker.keep(mapping, Target { memory, start, order, max_protection, loads_unseen: !access }, len);
        Ok(Setup { len, call: PhantomData, device: PhantomData })
    }
}

#[allow(clippy::too_many_arguments)]
#[inline(always)]
fn setup<D: Device>(
    maker: &dyn Maker<D>,
    memory: &Memory,
    (start, len): (i64, usize),
    max_protection: u32,
    flags: u32,
    order: Option<Order>,
    (access, engine): (bool, usize),
) -> c_int {
    let (cookie, home) = maker.subject();
    let dip = home.dip;
    let table = if access && engine == 0 { home.callbacks } else { maker.callbacks(access, engine) };
    let table = ptr::from_ref(table).cast_mut();
    let cookie_of_memory = match memory {
        Memory::Registers(registers) => {
            let mut attributes = order.unwrap_or(memory.order()).attributes();
            // SAFETY: inside devmap(9E) for this handle; a register set of this node; the framework copies what is
            // pointed to.
            return unsafe {
                sys::devmap_devmem_setup(
                    cookie,
                    dip,
                    table,
                    registers.set(),
                    registers.start() as i64 + start,
                    len,
                    max_protection,
                    flags,
                    &raw mut attributes,
                )
            };
        }
        Memory::Umem(umem) => umem.cookie(),
        Memory::User(user) => user.cookie(),
    };
    // SAFETY: inside devmap(9E) for this handle; a live cookie that covers the range; the framework copies the table.
    unsafe {
        sys::devmap_umem_setup(
            cookie,
            dip,
            table,
            cookie_of_memory,
            start,
            len,
            max_protection,
            flags,
            ptr::null_mut(),
        )
    }
}

/// A mapping that is set up: the result of [`Device::devmap`]. On an error instead of it the request is refused, and the private data
/// dropped.
#[must_use]
pub struct Setup<'a, D: Device> {
    pub(crate) len: usize,
    call: Once<'a>,
    device: PhantomData<fn() -> D>,
}
