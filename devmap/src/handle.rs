//! [`Handle`]: a reference to one mapping of one process, which may outlive the mapping.
//!
//! The framework's own handle (`devmap_cookie_t`) dies in the unmap callback, while other threads may be about to
//! unload it. A [`Handle`] does not: once the mapping has gone, calls have no effect or fail with `ESTALE`. Some calls on a mapping whose mmap(2) is still under way are recorded, and applied when the framework has it.
//!
//! Locking: every handle has a mutex, held for the length of each call here, so never across a callback of the
//! driver. It is the innermost lock: a driver's own mutexes come before it, a [`MappingSet`](crate::MappingSet)'s
//! lock too. Calls that unload wait for other processors, not for address spaces, so they may be made with mutexes
//! held, and from any thread, a timeout's routine included.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::{c_int, c_void};
use core::fmt;
use core::mem;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ddi_sys as sys;

use crate::access::Order;
use crate::each_page;
use crate::errno::{Errno, Error};
use crate::fixed::{Fixed, Guard};
use crate::frame::Frames;
use crate::memory::{Memory, covers, may_be_written, trash_of};
use crate::page;
use crate::pinned::{Loss, UserMemory};
use crate::protection::Protection;
use crate::slab::Seat;

pub(crate) struct State {
    /// The framework's handle; null before the first callback and after the unmap callback.
    cookie: sys::devmap_cookie_t,
    /// The private pointer that the framework has for the handle, or gets with the map callback.
    private: *mut c_void,
    /// The user offset at which the mapping starts, in bytes.
    offset: u64,
    /// Length in bytes, a multiple of the page size.
    len: usize,
    /// Whether translations may exist: set before loading, cleared when everything has been unloaded.
    loaded: bool,
    /// Whether accesses are refused.
    invalid: bool,
    /// The context timeout that the framework has for it, in ticks.
    ticks: i64,
    /// Memory that it maps, or is to map, kept alive by this.
    memory: Option<Memory>,
    /// Offset in `memory`, in bytes.
    start: i64,
    /// Place among the mappings of `memory`, if that is a process's.
    pinned: Option<Seat<Handle>>,
    order: Option<Order>,
    max_protection: u32,
    /// Without an access callback the framework loads by itself, unseen.
    loads_unseen: bool,
    /// Whether the framework has forgotten it.
    gone: bool,
    /// Whether the framework's handle may map something else than `memory`, until it is made to.
    stale: bool,
    /// Memory that a stale handle of the framework maps.
    before: Option<Held>,
    /// Pages that map memory of their own.
    parts: Option<Arc<Box<dyn OfTheirOwn>>>,
    /// Whether it was ever made to map something else: the framework may have copied it before that.
    remapped: bool,
    /// Routines of threads that are inside `devmap_do_ctxmgt(9F)` for this mapping.
    pub(crate) frames: Frames,
}

const PAGES: &str = "docs/framework.md";

/// Some pages of a mapping, and their memory.
#[derive(Clone)]
struct Part {
    /// User offsets of the first and behind the last.
    start: u64,
    end: u64,
    memory: Memory,
    /// Offset in `memory`, in bytes.
    from: u64,
    max_protection: u32,
}

impl Part {
    /// The part of it between two user offsets.
    fn within(&self, start: u64, end: u64) -> Option<Part> {
        let (from, to) = (self.start.max(start), self.end.min(end));
        (from < to).then(|| Part {
            start: from,
            end: to,
            from: self.from + (from - self.start),
            ..self.clone()
        })
    }

    /// Tells the framework. Returns whether it has agreed. The mapping lives: its state is locked.
    fn apply(&self, function: RemapPages, state: &State, dip: *mut sys::dev_info_t) -> bool {
        let (cookie, set, start, order) = match &self.memory {
            Memory::Registers(registers) => {
                let order = state.order.unwrap_or(self.memory.order());
                (ptr::null_mut(), registers.set(), registers.start().saturating_add(self.from), order)
            }
            Memory::Umem(umem) => (umem.cookie(), 0, self.from, Order::StoreCaching),
            Memory::User(_) => return false,
        };
        let mut attributes = order.attributes();
        let len = usize::try_from(self.end.saturating_sub(self.start)).unwrap_or(0);
        // SAFETY: a live handle, set up with DEVMAP_ALLOW_REMAP; a cookie that lives, or a register set of its device.
        let result = unsafe {
            function(
                state.cookie,
                dip,
                self.start as i64,
                len,
                self.max_protection,
                cookie,
                set,
                start as i64,
                &raw mut attributes,
            )
        };
        result == sys::DDI_SUCCESS
    }
}

/// The pages of a mapping that have memory of their own, which this keeps: sorted and apart.
///
/// Never changed: pieces and children share it.
struct Parts {
    list: Vec<Part>,
    /// The framework's function, which comes with the first: a driver that has no such pages does not have it in its module.
    function: RemapPages,
}

type RemapPages = sys::own::remap_pages_t;

/// [`Parts`], as mappings that may have some know them: a driver that never makes any has none of their code in its module.
trait OfTheirOwn: Send + Sync {
    fn list(&self) -> &[Part];
    /// Tells the framework of all of them. Returns whether it has agreed. The mapping lives: its state is locked.
    fn apply(&self, state: &State, dip: *mut sys::dev_info_t) -> bool;
}

impl OfTheirOwn for Parts {
    fn list(&self) -> &[Part] {
        &self.list
    }

    fn apply(&self, state: &State, dip: *mut sys::dev_info_t) -> bool {
        let (start, len) = state.range();
        let end = start.saturating_add(len as u64);
        let parts = self.list.iter().filter_map(|part| part.within(start, end));
        parts.filter(|part| !part.apply(self.function, state, dip)).count() == 0
    }
}

impl Parts {
    /// With one more, in place of what it covers. `ENOMEM`.
    fn with(
        old: Option<&dyn OfTheirOwn>,
        new: &Part,
        function: RemapPages,
    ) -> Result<Arc<Box<dyn OfTheirOwn>>, Error> {
        let old = old.map_or(&[][..], |parts| parts.list());
        let mut parts = Vec::new();
        let room = parts.try_reserve(old.len().saturating_add(2));
        room.map_err(|_| Error::new(Errno::ENOMEM, PAGES, "no memory"))?;
        parts.extend(old.iter().filter_map(|part| part.within(0, new.start)));
        parts.push(new.clone());
        parts.extend(old.iter().filter_map(|part| part.within(new.end, u64::MAX)));
        Ok(Arc::new(Box::new(Parts { list: parts, function })))
    }
}

/// Memory, and the mapping's place among the mappings of it.
type Held = (Option<Memory>, Option<Seat<Handle>>);

// SAFETY: the cookie belongs to no thread; it is used under the mutex only, while the framework has it. The private pointer is only
// handed on.
unsafe impl Send for State {}

pub(crate) struct Cell {
    state: Fixed<State>,
    /// Whether translations may exist. Set, with the lock held, before any is loaded; cleared with it when all have been unloaded. Whoever reads it without the lock
    /// sees what was loaded before; keeping later loads apart is the driver's, as it is of an unload.
    touched: AtomicBool,
    dip: *mut sys::dev_info_t,
}

// SAFETY: the device node outlives every mapping of the device, and is only passed to the kernel.
unsafe impl Send for Cell {}
// SAFETY: as above; the rest is behind mutexes.
unsafe impl Sync for Cell {}

/// Memory and attributes of a new handle.
pub(crate) struct Target {
    pub memory: Memory,
    pub start: i64,
    pub order: Option<Order>,
    pub max_protection: u32,
    pub loads_unseen: bool,
}

/// A reference to a mapping; see the [module](crate::handle). Clones are the same mapping.
///
/// Obtained from [`MapRequest::handle`](crate::MapRequest::handle), [`Fault::handle`](crate::Fault::handle), [`Dup::child`](crate::Dup::child) and
/// [`Middle::rest`](crate::Middle::rest).
///
/// ```no_run
/// # use devmap::prelude::*;
/// # fn f(handle: &Handle, spare: &Umem) -> Result<(), devmap::Error> {
/// handle.remap(spare, 0)?; // the process goes on in other memory, from its next access on
/// handle.invalidate()?; // and now gets SIGBUS,
/// handle.validate(); // until here
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Handle(Arc<Cell>);

impl PartialEq for Handle {
    fn eq(&self, other: &Handle) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
impl Eq for Handle {}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mapping at {:#x}, {:#x} bytes", self.offset(), self.len())
    }
}

const GONE: Error = Error::new(Errno::ESTALE, "devmap_unmap(9E)", "the mapping has gone");
const UNLOAD: &str = "devmap_unload(9F)";
const REMAP: &str = "devmap_umem_remap(9F)";

impl Handle {
    /// A handle that does not live yet.
    pub(crate) fn new(dip: *mut sys::dev_info_t, offset: u64, len: usize) -> Handle {
        Handle::with(dip, State::new(offset, len))
    }

    fn with(dip: *mut sys::dev_info_t, state: State) -> Handle {
        let touched = AtomicBool::new(state.loads_unseen);
        // SAFETY: it goes into the cell, which stays where it is, and is initialised before anybody else has it.
        let cell = Arc::new(Cell { state: unsafe { Fixed::new(state) }, touched, dip });
        // SAFETY: this once; what an `Arc` holds does not move.
        unsafe { cell.state.init() };
        Handle(cell)
    }

    pub(crate) fn lock(&self) -> Guard<'_, State> {
        self.0.state.lock()
    }

    /// Memory that it maps, chosen in devmap(9E).
    pub(crate) fn set_target(&self, target: Target, len: usize) {
        // Before the lock: it takes another one.
        let pinned = self.among(&target.memory);
        let mut state = self.lock();
        let lost = trash_of(&target.memory);
        state.len = len;
        state.memory = Some(target.memory);
        state.start = target.start;
        state.pinned = pinned;
        state.order = target.order;
        state.max_protection = target.max_protection;
        state.loads_unseen = target.loads_unseen;
        self.0.touched.store(target.loads_unseen, Relaxed);
        if let Some(trash) = lost {
            state.invalid = true;
            // Kept until the framework's handle is told.
            let (None, None) = self.point(&mut state, trash, None, 0) else { return };
        }
    }

    /// Registers the mapping with this memory, if that is a process's, so that it is notified when the memory is lost.
    fn among(&self, memory: &Memory) -> Option<Seat<Handle>> {
        match memory {
            Memory::User(user) => Some(user.mappings().insert(self.clone())),
            Memory::Registers(_) | Memory::Umem(_) => None,
        }
    }

    /// The framework has it, and this is its private pointer: from the first callback on.
    pub(crate) fn activate(&self, cookie: sys::devmap_cookie_t, private: *mut c_void) {
        let old = {
            let mut state = self.lock();
            state.cookie = cookie;
            state.private = private;
            state.refresh(self.0.dip)
        };
        drop(old);
    }

    /// The framework is about to forget it. Frees what it mapped, after letting go of the lock. Returns where it was.
    pub(crate) fn retire(&self) -> (u64, usize) {
        let (range, old) = {
            let mut state = self.lock();
            state.cookie = ptr::null_mut();
            state.loaded = false;
            state.gone = true;
            (
                state.range(),
                (state.memory.take(), state.pinned.take(), state.before.take(), state.parts.take()),
            )
        };
        drop(old);
        range
    }

    /// A handle for a part of this one, or for a copy of it, not yet alive.
    pub(crate) fn derive(&self, offset: u64, len: usize) -> Handle {
        let mut state = State::new(offset, len);
        let plain = {
            let old = self.lock();
            let plain = old.user().is_none();
            if plain {
                state.copy(&old);
            }
            plain
        };
        let new = Handle::with(self.0.dip, state);
        if plain { new } else { self.derive_of_user(new) }
    }

    /// The same of a process's memory, among whose mappings the new handle has to be.
    #[cold]
    fn derive_of_user(&self, new: Handle) -> Handle {
        loop {
            let user = self.lock().user();
            // Before the locks: it takes another one. Until here the memory can be lost without our being told.
            let mut pinned = user.as_ref().map(|user| user.mappings().insert(new.clone()));
            let old = self.lock();
            if old.user().map(|user| user.cookie()) != user.as_ref().map(UserMemory::cookie) {
                drop(old);
                continue; // remapped in between
            }
            let mut state = new.lock();
            state.copy(&old);
            if state.loads_unseen {
                new.touch();
            }
            state.pinned = pinned.take();
            if let Some(user) = user.filter(UserMemory::is_lost) {
                state.invalid = true;
                // Kept until the framework's handle is told.
                let trash = Memory::from(user.loss().trash());
                let (None, None) = new.point(&mut state, trash, None, 0) else { break };
            }
            break;
        }
        new
    }

    /// After a cut, this handle is `offset`, `len` long; `rest`, if any, is the new one behind the cut.
    ///
    /// Somebody may have unloaded this handle between the framework's cut and the callback that tells us of it, and
    /// so have missed what is now `rest`: if nothing should be loaded, both are unloaded once more. (Not when this callback is the first one: nobody could load or unload before.)
    pub(crate) fn cut(
        &self,
        (cookie, private): (sys::devmap_cookie_t, *mut c_void),
        (offset, len): (u64, usize),
        rest: Option<(&Handle, sys::devmap_cookie_t)>,
    ) {
        let mut state = self.lock();
        state.start = state.start.saturating_add_unsigned(offset.saturating_sub(state.offset));
        state.offset = offset;
        state.len = len;
        let stale = !state.cookie.is_null() && !state.loaded && !state.loads_unseen;
        (state.cookie, state.private) = (cookie, private);
        let old = state.refresh(self.0.dip);
        if stale {
            state.unload_now();
        }
        if let Some((rest, cookie)) = rest {
            let mut behind = rest.lock();
            behind.cookie = cookie;
            behind.loaded = state.loaded;
            rest.0.touched.store(true, Relaxed);
            if stale {
                behind.unload_now();
            }
        }
        drop(state);
        drop(old);
    }

    /// Calls `f` with the framework's handle, for functions that this crate does not have. Returns None if the mapping has gone. The handle is valid until `f` returns, under the
    /// mapping's lock: `f` must not call methods of this value or of a set that contains it. See [`raw`](crate::raw).
    pub fn with_raw<R>(&self, f: impl FnOnce(sys::devmap_cookie_t) -> R) -> Option<R> {
        let state = self.lock();
        (!state.cookie.is_null()).then(|| f(state.cookie))
    }

    /// Returns whether the mapping exists at this moment.
    pub fn is_live(&self) -> bool {
        !self.lock().cookie.is_null()
    }

    /// Returns the user offset at which the mapping starts, in bytes. An unmap of its head moves it.
    pub fn offset(&self) -> u64 {
        self.lock().offset
    }

    /// Returns the length in bytes.
    pub fn len(&self) -> usize {
        self.lock().len
    }

    /// Returns false while the mapping exists.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops every translation of the mapping: the process's next access calls the access callback.
    /// `devmap_unload(9F)`.
    ///
    /// On return no processor uses them. Any thread, any mutex held. A mapping that has gone has none; that is no
    /// error. Fails with `EIO` if the framework refuses.
    pub fn unload(&self) -> Result<(), Error> {
        let mut state = self.lock();
        state.unload()?;
        if !state.loads_unseen {
            self.0.touched.store(false, Relaxed);
        }
        Ok(())
    }

    /// Whether it may have translations, without its lock.
    #[inline]
    pub(crate) fn is_touched(&self) -> bool {
        self.0.touched.load(Relaxed)
    }

    /// Translations are about to be loaded, with the lock held.
    pub(crate) fn touch(&self) {
        self.0.touched.store(true, Relaxed);
    }

    /// Drops the translations of `len` bytes from user offset `offset` on, of those that the mapping has.
    /// `devmap_unload(9F)`.
    pub fn unload_range(&self, offset: u64, len: usize) -> Result<(), Error> {
        let state = self.lock();
        if state.cookie.is_null() || !(state.loaded || state.loads_unseen) {
            return Ok(());
        }
        let Some((start, len)) = state.clamp(offset, len) else { return Ok(()) };
        // SAFETY: the handle lives while the lock is held, see `retire`.
        let code = unsafe { sys::devmap_unload(state.cookie, start, len) };
        if code == 0 {
            return Ok(());
        }
        Err(Error::new(Errno::EIO, UNLOAD, "the framework refused"))
    }

    /// Makes the process's accesses fail (`SIGBUS`), until [`validate`](Handle::validate).
    ///
    /// The access callback refuses them. The framework's `DEVMAP_MAPPING_INVALID` is not used: it crashes for kernel
    /// memory and cannot be ended (docs/shield.md, 4 to 6). Fails with `ENOTSUP` for a mapping without an access callback.
    pub fn invalidate(&self) -> Result<(), Error> {
        let mut state = self.lock();
        if state.loads_unseen {
            return Err(Error::new(
                Errno::ENOTSUP,
                "devmap_access(9E)",
                "the mapping has no access callback",
            ));
        }
        state.invalid = true;
        state.unload()
    }

    /// Ends [`invalidate`](Handle::invalidate).
    pub fn validate(&self) {
        self.lock().invalid = false;
    }

    /// Points the whole mapping at other memory, from byte `offset` of it on; what was loaded is dropped.
    /// `devmap_umem_remap(9F)`, `devmap_devmem_remap(9F)`.
    ///
    /// Any thread, any mutex held. The old memory is released, the new one is kept while it is mapped. The mapping keeps
    /// its maximum protection. Checked here, because the framework does not check. Fails with `EINVAL` for an offset that is not a
    /// page's, or for memory that does not reach to the end of the mapping; `EACCES` for a process's memory that is pinned for reading if the mapping may
    /// be written; with `ESTALE` if the mapping has gone, or that memory is lost. Fails with `EIO` if the framework refuses: then the mapping is unchanged.
    pub fn remap(&self, memory: impl Into<Memory>, offset: u64) -> Result<(), Error> {
        self.remap_to(&memory.into(), offset)
    }

    pub(crate) fn remap_to(&self, memory: &Memory, offset: u64) -> Result<(), Error> {
        let memory = memory.clone();
        // Before the lock: it takes another one.
        let pinned = self.among(&memory);
        let old = {
            let mut state = self.lock();
            if state.gone {
                return Err(GONE);
            }
            let start = covers(&memory, offset, state.len)?;
            if !may_be_written(&memory) && state.max_protection & sys::PROT_WRITE != 0 {
                return Err(Error::new(Errno::EACCES, REMAP, "memory that is pinned for reading only"));
            }
            if trash_of(&memory).is_some() {
                return Err(Error::new(Errno::ESTALE, REMAP, "the process wants its memory back"));
            }
            if !state.cookie.is_null() {
                let result = state.remap(self.0.dip, &memory, start, state.max_protection);
                if result != sys::DDI_SUCCESS {
                    return Err(Error::new(Errno::EIO, REMAP, "the framework refused"));
                }
            }
            (self.point(&mut state, memory, pinned, start), state.parts.take())
        };
        drop(old);
        Ok(())
    }

    /// Points some pages of the mapping, `len` bytes from user offset `offset` on, at other memory than the rest, from byte `from` of it on; `max` is what the process can do with them at most. What was loaded of
    /// them is dropped. A [`remap`](Handle::remap) of the whole ends it; pieces and children have the same.
    ///
    /// An access that only `max` forbids comes to the access callback, also when the page is loaded: the driver may let the page have more, and load it.
    ///
    /// Any thread, any mutex held. `ENOTSUP` where the framework cannot do that ([`each_page::available`]), and for a process's memory; `EINVAL` for what are no pages of the
    /// mapping or not covered by the memory; `ESTALE` when the mapping does not live; `EIO` when the framework refuses: the pages are as they were.
    pub fn remap_pages(
        &self,
        offset: u64,
        len: usize,
        memory: &Memory,
        from: u64,
        max: Protection,
    ) -> Result<(), Error> {
        let function = each_page::remap_pages().filter(|_| !matches!(memory, Memory::User(_)));
        let function = function.ok_or(Error::new(Errno::ENOTSUP, PAGES, "mappings move as a whole"))?;
        covers(memory, from, len)?;
        let max_protection = max.bits() | !Protection::all().bits();
        let part = Part {
            start: offset,
            end: offset.saturating_add(len as u64),
            memory: memory.clone(),
            from,
            max_protection,
        };
        let old = {
            let mut state = self.lock();
            if state.cookie.is_null() {
                return Err(GONE);
            }
            let whole = (i64::try_from(offset).ok(), len);
            if !page::aligned(offset)
                || state.clamp(offset, len).map(|(at, len)| (Some(at), len)) != Some(whole)
            {
                return Err(Error::new(Errno::EINVAL, PAGES, "no pages of the mapping"));
            }
            let parts = Parts::with(state.parts.as_ref().map(|parts| &***parts), &part, function)?;
            if !part.apply(function, &state, self.0.dip) {
                return Err(Error::new(Errno::EIO, PAGES, "the framework refused"));
            }
            state.parts.replace(parts)
        };
        drop(old);
        Ok(())
    }

    /// Notes that the mapping is of this memory now. If the framework's handle cannot be told yet, it will be. What this returns is to be dropped without the lock.
    fn point(&self, state: &mut State, memory: Memory, pinned: Option<Seat<Handle>>, start: i64) -> Held {
        let old = (state.memory.replace(memory), mem::replace(&mut state.pinned, pinned));
        state.start = start;
        state.loaded = false;
        state.remapped = true;
        if state.cookie.is_null() {
            state.stale = true;
            if state.before.is_none() {
                // The framework may load from it until it is told.
                state.before = Some(old);
                return (None, None);
            }
        }
        old
    }

    /// Pinned memory is lost: the mapping, if it is of that, shows trash, and accesses fail.
    pub(crate) fn lose(&self, loss: &Loss) {
        let old = {
            let mut state = self.lock();
            match &state.memory {
                Some(Memory::User(user)) if ptr::eq(user.loss(), loss) && !state.gone => {}
                _ => return,
            }
            state.invalid = true;
            let trash = Memory::from(loss.trash());
            if !state.cookie.is_null() && state.remap(self.0.dip, &trash, 0, state.max_protection) != 0 {
                // It stays what it is until it is unmapped, and the process waits as long; but nobody gets at it by faults.
                let _ = state.unload();
                return;
            }
            self.point(&mut state, trash, None, 0)
        };
        drop(old);
    }

    /// Lowers the mapping's maximum protection permanently: mprotect(2) cannot exceed it any more. `devmap_umem_remap(9F)` to the same memory.
    ///
    /// Any thread, any mutex held; in [`Mapping::dup`](crate::Mapping::dup) of a child see [`Dup::lower`](crate::Dup::lower). Translations are dropped. Fails with `EACCES` if the process asked for more in
    /// mmap(2), which the framework cannot take away. Protection that mprotect(2) has granted since stays (docs/shield.md, 12). Fails with `ESTALE` if the mapping does not live.
    pub fn lower(&self, max: Protection) -> Result<(), Error> {
        let mut state = self.lock();
        let Some(memory) = state.memory.clone().filter(|_| !state.cookie.is_null()) else {
            return Err(GONE);
        };
        let lower = state.max_protection & (max.bits() | !Protection::all().bits());
        if lower == state.max_protection {
            return Ok(());
        }
        let result = state.remap(self.0.dip, &memory, state.start, lower);
        if result != sys::DDI_SUCCESS {
            return Err(Error::new(Errno::EACCES, REMAP, "the process has asked for more"));
        }
        state.max_protection = lower;
        state.loaded = false;
        state.remapped = true;
        // A remap of the whole has ended these.
        state.apply_parts(self.0.dip);
        Ok(())
    }

    /// Returns the maximum protection.
    pub fn max_protection(&self) -> Protection {
        Protection::from_bits_truncate(self.lock().max_protection)
    }
}

impl State {
    /// Of a mapping that does not live yet, and maps nothing.
    #[inline]
    fn new(offset: u64, len: usize) -> State {
        State {
            cookie: ptr::null_mut(),
            private: ptr::null_mut(),
            offset,
            len,
            loaded: false,
            invalid: false,
            ticks: 0,
            memory: None,
            start: 0,
            pinned: None,
            order: None,
            max_protection: sys::PROT_ALL,
            loads_unseen: false,
            gone: false,
            stale: false,
            before: None,
            parts: None,
            remapped: false,
            frames: Frames::new(),
        }
    }

    /// The private pointer, if this is the framework's handle.
    pub(crate) fn private_pointer(&self, cookie: sys::devmap_cookie_t) -> Option<NonNull<c_void>> {
        if self.cookie == cookie && !cookie.is_null() { NonNull::new(self.private) } else { None }
    }

    pub(crate) fn cookie(&self) -> sys::devmap_cookie_t {
        self.cookie
    }

    /// Tells the framework the timeout to use after a switch, if it has another one. In the access callback.
    pub(crate) fn set_ticks(&mut self, ticks: i64) {
        if self.ticks != ticks && !self.cookie.is_null() {
            // SAFETY: the handle lives while it is noted here and the lock is held, see `retire`.
            unsafe { sys::devmap_set_ctx_timeout(self.cookie, ticks) };
            self.ticks = ticks;
        }
    }

    /// From now on accesses fail.
    fn refuse(&mut self) {
        self.invalid = true;
        let _ = self.unload_now();
    }

    pub(crate) fn is_invalid(&self) -> bool {
        self.invalid
    }

    /// Takes over what another one maps, for a part of it or a copy. The place is known already.
    fn copy(&mut self, old: &State) {
        self.invalid = old.invalid;
        self.memory = old.memory.clone();
        self.start = old.start.saturating_add_unsigned(self.offset.saturating_sub(old.offset));
        self.order = old.order;
        self.max_protection = old.max_protection;
        self.loads_unseen = old.loads_unseen;
        // The framework has made its handle before this, maybe before the last remap.
        self.stale = old.stale || old.remapped;
        if let Some(parts) = &old.parts {
            (self.parts, self.stale) = (Some(parts.clone()), true);
        }
        self.remapped = old.remapped;
    }

    /// The process's memory that it maps, if it is that.
    fn user(&self) -> Option<UserMemory> {
        match &self.memory {
            Some(Memory::User(user)) => Some(user.clone()),
            _ => None,
        }
    }

    pub(crate) fn range(&self) -> (u64, usize) {
        (self.offset, self.len)
    }

    /// The part of a range that the mapping has, in the framework's types.
    pub(crate) fn clamp(&self, offset: u64, len: usize) -> Option<(i64, usize)> {
        let end = offset.saturating_add(len as u64).min(self.offset.saturating_add(self.len as u64));
        let start = offset.max(self.offset);
        let len = usize::try_from(end.checked_sub(start)?).ok().filter(|&len| len > 0)?;
        Some((i64::try_from(start).ok()?, len))
    }

    /// Loads translations for a fault; the caller is in the access callback of this mapping.
    pub(crate) fn load(&mut self, start: i64, len: usize, kind: u32, rw: u32) -> Result<(), Errno> {
        self.loaded = true;
        // SAFETY: in the access callback, so the handle lives and its address space is held (devmap_load(9F)).
        let code = unsafe { sys::devmap_load(self.cookie, start, len, kind, rw) };
        if code == 0 { Ok(()) } else { Err(Errno::from_fault(code)) }
    }

    fn unload(&mut self) -> Result<(), Error> {
        if self.cookie.is_null() || !(self.loaded || self.loads_unseen) {
            return Ok(());
        }
        if self.unload_now() { Ok(()) } else { Err(Error::new(Errno::EIO, UNLOAD, "the framework refused")) }
    }

    /// Unloads from `at` to the end of the mapping, as long as it may be now.
    fn unload_from(&self, at: u64) -> bool {
        let Ok(at) = i64::try_from(at) else { return false };
        // SAFETY: the handle lives while the lock is held, see `retire`. Length 0 is "to the end".
        let code = unsafe { sys::devmap_unload(self.cookie, at, 0) };
        code == 0
    }

    /// Unloads everything.
    ///
    /// When the framework refuses the start of the mapping, its head is being unmapped at this moment and the
    /// callback that will tell us waits for our lock: what stays is found by halving.
    fn unload_now(&mut self) -> bool {
        let mut done = self.unload_from(self.offset);
        if !done {
            let page = page::size() as u64;
            let (mut low, mut high) = (0, (self.len as u64).checked_div(page).unwrap_or(0));
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                if self.unload_from(self.offset.saturating_add(middle * page)) {
                    done = true;
                    high = middle;
                } else {
                    low = middle;
                }
            }
        }
        if done {
            self.loaded = false;
        }
        done
    }

    /// Makes a stale handle of the framework's map what it should; its accesses fail if that cannot be done. What this returns is to be dropped without the lock.
    fn refresh(&mut self, dip: *mut sys::dev_info_t) -> Option<Held> {
        if !self.stale || self.cookie.is_null() {
            return None;
        }
        let memory = self.memory.clone()?;
        if self.remap(dip, &memory, self.start, self.max_protection) != sys::DDI_SUCCESS {
            self.refuse();
            return None; // it stays what it is, and what it maps stays
        }
        self.stale = false;
        self.apply_parts(dip);
        self.before.take()
    }

    /// Tells the framework of all parts; accesses fail if it does not take one. The mapping lives.
    #[inline(never)]
    fn apply_parts(&mut self, dip: *mut sys::dev_info_t) {
        if self.parts.as_ref().is_some_and(|parts| !parts.apply(self, dip)) {
            self.refuse();
        }
    }

    fn remap(&self, dip: *mut sys::dev_info_t, memory: &Memory, start: i64, max: u32) -> c_int {
        let cookie = match memory {
            Memory::Registers(registers) => {
                let mut attributes = self.order.unwrap_or(memory.order()).attributes();
                // SAFETY: a live handle, set up with DEVMAP_ALLOW_REMAP; a register set of its device.
                return unsafe {
                    sys::devmap_devmem_remap(
                        self.cookie,
                        dip,
                        registers.set(),
                        registers.start() as i64 + start,
                        self.len,
                        max,
                        0,
                        &raw mut attributes,
                    )
                };
            }
            Memory::Umem(umem) => umem.cookie(),
            Memory::User(user) => user.cookie(),
        };
        // SAFETY: a live handle, set up with DEVMAP_ALLOW_REMAP; a cookie that is not null and lives.
        unsafe { sys::devmap_umem_remap(self.cookie, dip, cookie, start, self.len, max, 0, ptr::null_mut()) }
    }
}
