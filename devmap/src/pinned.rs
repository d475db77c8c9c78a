//! [`UserMemory`]: memory of a process that is pinned, for the driver to read and write, for its device, and for other processes to map.
//!
//! The pages stay where they are as long as there is a clone: of the driver, a DMA [binding](crate::dma::Binding), a [`View`], another process's mapping. Until then the
//! process waits in munmap(2), mprotect(2) and exit(2) of the range (`umem_lockmemory`, the form of `ddi_umem_lock(9F)` that is for more than one transfer). In that case
//! the memory is *lost*: this crate switches mappings of it in other processes to a trash page, where accesses fail, and calls the driver, which drops its clones.
//!
//! A task of the node unlocks the pages, because that takes the lock of the process's address space, which the thread that drops the last clone may hold.
//!
//! Locking: the module's list of pinned memory has a mutex, held while a pin is added, found or removed. It is behind the driver's mutexes, and before none.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::{c_int, c_void};
use core::fmt;
use core::ops::Deref;
use core::ptr;
use core::sync::atomic::Ordering;

use ddi_sys as sys;

use crate::argument::Argument;
use crate::atomic::{AtomicBool, AtomicPtr, AtomicUsize};
use crate::context::{Kernel, MaySleep};
use crate::errno::{Errno, Error, error};
use crate::kmem::try_push;
use crate::page;
use crate::protection::Protection;
use crate::slab::{Seat, Slab};
use crate::sync::Mutex;
use crate::tether::Tether;
use crate::umem::{Kind, Umem};
use crate::used::{self, Of, Part as _};
use crate::volatile::{Origin, ReadOnly, Volatile};

const PAGE: &str = "ddi_umem_lock(9F)";

/// A cookie, to tell pins apart.
type Cookie = usize;

#[derive(Default)]
struct State {
    pins: Vec<Arc<Loss>>,
    /// Number of calls of `umem_lockmemory` in progress.
    pending: usize,
    /// Cookies that were lost before their call has returned.
    early: Vec<Cookie>,
}

/// The pins of a module, by cookie; in a program into which several drivers are linked, everybody's. There from the first [`Pins`] on.
static REGISTRY: AtomicPtr<Mutex<State>> = AtomicPtr::new(ptr::null_mut());

/// Number of [`Pins`]. The registry exists while this is not 0.
static USERS: AtomicUsize = AtomicUsize::new(0);

/// The registry, once there has been a [`Pins`] and before [`fini`].
fn registry() -> Option<&'static Mutex<State>> {
    // SAFETY: from `Box::into_raw`; freed by `fini`, when nothing is pinned.
    unsafe { REGISTRY.load(Ordering::Acquire).as_ref() }
}

/// In `_fini(9E)`, when no instance is attached: frees the registry.
pub(crate) fn fini() {
    if !used::Pins::is_used() || USERS.load(Ordering::Acquire) != 0 {
        return; // there is none, or it is another driver's
    }
    let registry = REGISTRY.swap(ptr::null_mut(), Ordering::AcqRel);
    if !registry.is_null() {
        // SAFETY: from `Box::into_raw`; no instance is attached, so nothing is pinned, and nobody looks for it.
        drop(unsafe { Box::from_raw(registry) });
    }
}

/// An instance's means of pinning memory, made in attach and kept in the device. Clones share it.
///
/// ```no_run
/// use devmap::pinned::{Held, Pins};
/// use devmap::prelude::*;
/// use devmap::request::Protection;
///
/// struct Exports { pins: Pins, exported: Mutex<Option<Held>> }
///
/// impl Exports {
///     // Device::ioctl: the process lends a page.
///     fn lend(&self, argument: &Argument<'_>, address: u64) -> Result<(), Errno> {
///         let all = Protection::READ | Protection::WRITE;
///         let memory = self.pins.lock(argument, address, 4096, all, |_| ())?;
///         memory.view(argument)?.write(0, 1_u32)?;
///         let before = self.exported.lock().replace(memory.hold()?);
///         drop(before); // not under the lock
///         Ok(())
///     }
///
///     // Device::devmap: others map it, as long as it is there.
///     fn map<'a, D>(&self, request: MapRequest<'a, D>) -> Result<Setup<'a, D>, Errno>
///     where
///         D: Device<Mapping = (), Open = ()>,
///     {
///         let memory = self.exported.lock().as_ref().and_then(Held::get).ok_or(Errno::ENXIO)?;
///         Ok(request.map(memory, request.offset()).with(())?)
///     }
/// }
/// ```
pub struct Pins(Tether);

impl Pins {
    /// In attach of the node.
    pub(crate) fn of(tether: Tether) -> Result<Pins, Error> {
        tether.bonds().start_tasks(tether.dip())?;
        used::Pins::is_needed();
        // What is lost is replaced.
        used::remaps();
        if registry().is_none() {
            let new = Box::into_raw(Box::new(Mutex::new(State::default())));
            let taken = REGISTRY.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire);
            if taken.is_err() {
                // SAFETY: made just now, and nobody has seen it: another was first.
                drop(unsafe { Box::from_raw(new) });
            }
        }
        USERS.fetch_add(1, Ordering::AcqRel);
        Ok(Pins(tether))
    }

    /// Pins `len` bytes at `address` in the calling process, whole pages: `umem_lockmemory` with `DDI_UMEMLOCK_LONGTERM`. For reading, for writing, or both.
    ///
    /// `lost` is called once when the process unmaps the memory, changes its protection or ends, by a thread that holds no lock and waits for the memory to be unlocked: stop
    /// the device if it transfers, and drop every clone. Memory that is [held](UserMemory::hold) is dropped before. The memory owns `lost`: what that owns must not own the memory, or
    /// neither would ever be freed.
    ///
    /// Fails with `EINVAL` if it is not whole pages or for neither access, with `EFAULT` for what cannot be pinned for long (a shared mapping of a file), `EACCES`, with `ENOMEM` if the process may not lock so much,
    /// Fails with `ENOTSUP` if the caller is the kernel, which has no such memory.
    pub fn lock(
        &self,
        argument: &Argument<'_>,
        address: u64,
        len: usize,
        access: Protection,
        lost: impl Fn(&mut Kernel) + Send + Sync + 'static,
    ) -> Result<UserMemory, Error> {
        macro_rules! refuse {
            ($errno:expr, $why:expr) => {
                return Err(error!($errno, PAGE, $why))
            };
        }
        let writes = access.contains(Protection::WRITE);
        if argument.from_kernel() {
            refuse!(Errno::ENOTSUP, "the kernel has no such memory");
        }
        if len == 0 || !page::aligned(len as u64) || !page::aligned(address) {
            refuse!(Errno::EINVAL, "not whole pages");
        }
        if !access.intersects(Protection::READ | Protection::WRITE) {
            refuse!(Errno::EINVAL, "neither to be read nor written");
        }
        // What its mappings show when it is lost, so that nothing is needed then.
        let trash = Umem::new(argument, Kind::Trash, len)?;
        let Some(registry) = registry() else { refuse!(Errno::ENXIO, "the module is being unloaded") };
        let mut flags = sys::DDI_UMEMLOCK_LONGTERM as c_int;
        flags |= if writes { sys::DDI_UMEMLOCK_WRITE as c_int } else { 0 };
        flags |= if access.contains(Protection::READ) { sys::DDI_UMEMLOCK_READ as c_int } else { 0 };
        let mut ops = sys::umem_callback_ops {
            cbo_umem_callback_version: sys::UMEM_CALLBACK_VERSION as c_int,
            cbo_umem_lock_cleanup: Some(cleanup),
        };
        let mut cookie: sys::ddi_umem_cookie_t = ptr::null_mut();
        registry.lock().pending += 1;
        // SAFETY: in an ioctl(9E) of a process, whose memory is meant by no process named; whole pages; the table is copied, the answer goes to a local.
        let result = unsafe {
            sys::umem_lockmemory(
                ptr::without_provenance_mut(address as usize),
                len,
                flags,
                &raw mut cookie,
                &raw mut ops,
                ptr::null_mut(),
            )
        };
        let pin = (result == 0).then(|| {
            let loss = Arc::new(Loss {
                cookie: cookie.addr(),
                lost: AtomicBool::new(false),
                tell: Box::new(lost),
                trash,
                mappings: Slab::new(),
                held: Mutex::new(Vec::new()),
                tether: self.0.clone(),
            });
            Of::new(Arc::new(Pin { cookie, len, writes, loss }))
        });
        let early = {
            let mut state = registry.lock();
            state.pending = state.pending.saturating_sub(1);
            let early = state.early.iter().position(|early| *early == cookie.addr());
            if let Some(index) = early {
                state.early.swap_remove(index);
            }
            if state.pending == 0 {
                state.early.clear();
            }
            let listed = pin.as_ref().map(|pin| try_push(&mut state.pins, Arc::clone(&pin.loss)));
            if let Some(Err(errno)) = listed {
                drop(state);
                drop(pin); // gives the pages back
                refuse!(errno, "no memory to remember it by");
            }
            early.is_some()
        };
        let Some(pin) = pin else {
            refuse!(Errno::new(result).unwrap_or(Errno::EFAULT), "the kernel refused");
        };
        if early {
            pin.loss.lose();
        }
        Ok(UserMemory(pin))
    }
}

impl Clone for Pins {
    fn clone(&self) -> Pins {
        USERS.fetch_add(1, Ordering::AcqRel);
        Pins(self.0.clone())
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        USERS.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A mapping of pinned memory.
pub(crate) trait Mapper: Send + Sync {
    /// The memory is lost: the mapping, if it is of that, shows trash, and its accesses fail.
    fn lose(&self, loss: &Loss);
}

/// Callbacks for the loss of a pin, which they do not own.
pub(crate) struct Loss {
    cookie: Cookie,
    /// The process wants it back.
    lost: AtomicBool,
    tell: Box<dyn Fn(&mut Kernel) + Send + Sync>,
    trash: Umem,
    /// The mappings of it in other processes.
    mappings: Slab<Arc<dyn Mapper>>,
    held: Mutex<Vec<Arc<Holder>>>,
    /// The node stays attached while it is used.
    tether: Tether,
}

/// Holder of a clone, until the memory is lost.
type Holder = Mutex<Option<UserMemory>>;

impl Loss {
    /// The process wants its memory back.
    fn lose(&self) {
        if self.lost.swap(true, Ordering::AcqRel) {
            return;
        }
        for mapping in self.mappings.iter() {
            mapping.lose(self);
        }
        loop {
            // Each out of its place and dropped with no lock held.
            let Some(place) = self.held.lock().pop() else { break };
            let memory = place.lock().take();
            drop(memory);
        }
        // SAFETY: the kernel calls back in a thread that may sleep; or this is an ioctl(9E).
        let mut cx = unsafe { Kernel::assume() };
        (self.tell)(&mut cx);
    }

    /// Memory that replaces it in mappings when it is lost.
    pub(crate) fn trash(&self) -> &Umem {
        &self.trash
    }
}

/// A mapping's place among those of pinned memory, which it leaves when this is dropped.
pub(crate) type Seated = Seat<Arc<dyn Mapper>>;

struct Pin {
    cookie: sys::ddi_umem_cookie_t,
    len: usize,
    writes: bool,
    loss: Arc<Loss>,
}

// SAFETY: the cookie belongs to no thread, and is given back once.
unsafe impl Send for Pin {}
// SAFETY: it is only passed to the kernel.
unsafe impl Sync for Pin {}

impl Drop for Pin {
    fn drop(&mut self) {
        if let Some(registry) = registry() {
            registry.lock().pins.retain(|loss| !Arc::ptr_eq(loss, &self.loss));
        }
        // SAFETY: the cookie is given back by that and nobody else.
        unsafe { self.loss.tether.bonds().run_later(give_back, self.cookie) };
    }
}

/// Gives pages back.
unsafe extern "C-unwind" fn give_back(cookie: *mut c_void) {
    // SAFETY: from umem_lockmemory, given back once; nobody uses it any more.
    unsafe { sys::ddi_umem_unlock(cookie) };
}

/// The process unmaps pinned memory, changes its protection or ends, and waits. May come when the memory was given back already: then nobody knows the cookie.
unsafe extern "C-unwind" fn cleanup(cookie: *mut sys::ddi_umem_cookie_t) {
    let Some(registry) = registry() else { return };
    // The argument is the cookie itself, whatever its type says.
    let cookie = cookie.addr();
    let loss = {
        let mut state = registry.lock();
        let loss = state.pins.iter().find(|loss| loss.cookie == cookie).map(Arc::clone);
        if loss.is_none() && state.pending > 0 {
            // Without memory to note it by, the process waits until the driver lets go by itself.
            let _ = try_push(&mut state.early, cookie);
        }
        loss
    };
    if let Some(loss) = loss {
        loss.lose();
    }
}

/// Memory of a process that is pinned; see the [module](crate::pinned). Clones are the same.
#[derive(Clone)]
pub struct UserMemory(Of<used::Pins, Arc<Pin>>);

impl fmt::Debug for UserMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} bytes of a process's memory", self.len())
    }
}

impl UserMemory {
    /// Returns the length in bytes: whole pages.
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Returns false.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// Returns whether the process is waiting for the memory to be unlocked.
    pub fn is_lost(&self) -> bool {
        self.0.loss.lost.load(Ordering::Acquire)
    }

    /// Returns whether the memory was pinned for writing.
    pub fn is_writable(&self) -> bool {
        self.0.writes
    }

    pub(crate) fn cookie(&self) -> sys::ddi_umem_cookie_t {
        self.0.cookie
    }

    /// Returns whether both are the same memory.
    pub(crate) fn is(&self, other: &UserMemory) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Registers a mapping with it.
    pub(crate) fn seat(&self, mapping: Arc<dyn Mapper>) -> Seated {
        self.0.loss.mappings.insert(mapping)
    }

    /// Callback for its loss.
    pub(crate) fn loss(&self) -> &Loss {
        &self.0.loss
    }

    /// Keeps the memory until it is lost, and drops it then. Fails with `ENOMEM`.
    pub fn hold(self) -> Result<Held, Errno> {
        let loss = Arc::clone(&self.0.loss);
        let place = Arc::new(Mutex::new(Some(self)));
        let held = Held { place: Arc::clone(&place), loss };
        try_push(&mut held.loss.held.lock(), place)?;
        if held.loss.lost.load(Ordering::Acquire) {
            // Nobody may have come by after it was lost.
            held.let_go();
        }
        Ok(held)
    }

    /// A transfer to or from part of it, for the kernel's functions; `into` says that it is to be written.
    pub(crate) fn transfer(&self, offset: u64, len: usize, into: bool) -> Result<Transfer, Error> {
        const PAGE: &str = "ddi_umem_iosetup(9F)";
        let end = offset.checked_add(len as u64);
        if len == 0 || end.is_none_or(|end| end > self.len() as u64) {
            return Err(error!(Errno::EINVAL, PAGE, "outside the memory"));
        }
        if self.is_lost() {
            return Err(error!(Errno::ESTALE, PAGE, "the process wants its memory back"));
        }
        let offset = offset as i64; // less than `len`
        let direction = if into { sys::B_READ } else { sys::B_WRITE } as c_int;
        let sleep = sys::DDI_UMEM_NOSLEEP as c_int;
        // SAFETY: a cookie of pinned memory, and a part of it.
        let buf = unsafe { sys::ddi_umem_iosetup(self.cookie(), offset, len, direction, 0, 0, None, sleep) };
        if buf.is_null() {
            return Err(error!(Errno::ENOMEM, PAGE, "no memory"));
        }
        Ok(Transfer { buf, _memory: self.clone() })
    }

    /// Maps it for the driver, to be read and written: `bp_mapin(9F)`.
    ///
    /// Fails with `EACCES` if it was not pinned for writing ([`read_only`](UserMemory::read_only) then), with `ESTALE` if it is lost.
    pub fn view(&self, cx: &impl MaySleep) -> Result<View, Error> {
        if !self.is_writable() {
            return Err(error!(Errno::EACCES, PAGE, "pinned for reading only"));
        }
        View::new(self, cx)
    }

    /// Maps it for the driver, to be read: `bp_mapin(9F)`. Fails with `ESTALE` if it is lost.
    pub fn read_only(&self, cx: &impl MaySleep) -> Result<ReadOnly<View>, Error> {
        View::new(self, cx).map(ReadOnly::new)
    }
}

/// Pinned memory that is kept until it is lost or this value is dropped: for a driver that keeps memory longer than a call. See [`Pins`].
pub struct Held {
    place: Arc<Holder>,
    loss: Arc<Loss>,
}

impl Held {
    /// Returns the memory, unless it is lost.
    pub fn get(&self) -> Option<UserMemory> {
        self.place.lock().clone()
    }

    fn let_go(&self) {
        let memory = self.place.lock().take();
        drop(memory);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.loss.held.lock().retain(|place| !Arc::ptr_eq(place, &self.place));
        self.let_go();
    }
}

/// A `buf(9S)` for pinned memory, freed when dropped.
pub(crate) struct Transfer {
    buf: *mut sys::buf,
    _memory: UserMemory,
}

// SAFETY: the structure belongs to no thread, and is freed once.
unsafe impl Send for Transfer {}
// SAFETY: it is only passed to the kernel.
unsafe impl Sync for Transfer {}

impl Transfer {
    pub(crate) fn get(&self) -> *mut sys::buf {
        self.buf
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        // SAFETY: from ddi_umem_iosetup, freed once.
        unsafe { sys::freerbuf(self.buf) };
    }
}

/// Pinned memory that is mapped for the driver, until dropped. Its bytes are [`Volatile`], to which it derefs.
pub struct View {
    bytes: Volatile,
    transfer: Transfer,
}

impl View {
    fn new(memory: &UserMemory, cx: &impl MaySleep) -> Result<View, Error> {
        let _ = cx;
        let transfer = memory.transfer(0, memory.len(), memory.is_writable())?;
        // SAFETY: a buf of pinned memory; the caller may sleep.
        unsafe { sys::bp_mapin(transfer.get()) };
        // SAFETY: a buf of ours, which nobody changes.
        let place = unsafe { &(*transfer.get()).b_un };
        // SAFETY: a buf that is mapped has an address.
        let base = unsafe { place.b_addr };
        // SAFETY: so many bytes, mapped until `drop`; pinned memory has no Rust references.
        let bytes = unsafe { Volatile::new(base.cast(), memory.len(), Origin::Pinned) };
        Ok(View { bytes, transfer })
    }
}

impl Deref for View {
    type Target = Volatile;
    fn deref(&self) -> &Volatile {
        &self.bytes
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, and not used any more.
        unsafe { sys::bp_mapout(self.transfer.get()) };
    }
}
