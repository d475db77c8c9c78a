//! [`Fault`]: an access that the driver has to serve, and [`Context`]: the device context held meanwhile.
//!
//! Both exist only inside an access callback, on its thread, with the process's address space held (as reader).
//! Serving takes the lock of the instance's mappings for the load; the driver's mutexes come before it and may be held over
//! [`Fault::load`] and [`Context::load`], which is how a load is kept apart from the unload of another thread.

use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;

use ddi_sys as sys;

use crate::context::{Borrowed, MaySleep, sealed::Sealed};
use crate::errno::Errno;
use crate::frame::{Frame, NOT_CALLED, Routine, Run};
use crate::handle::{self, Handle, Held, Record, Switch};
use crate::memory::Memory;
use crate::probe;
use crate::threads::{Inside, Place, Threads};
use crate::time::sleep_anyhow;
use crate::used::{self, Part as _};

/// Kinds of access by a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// None of the others.
    Other,
    /// Read.
    Read,
    /// Write.
    Write,
    /// Execute.
    Execute,
    /// Create.
    Create,
}

/// Proof that a fault was served: what an access callback returns. Made by [`Fault::load`], [`Fault::load_all`],
/// [`Fault::retry_later`] and a [`Context`]'s loads only.
#[must_use]
pub struct Served(());

/// A fault to be served; consumed by serving it.
///
/// A device that serves one mapping at a time: on access it is switched to the mapping, once the others cannot access it any more:
///
/// ```no_run
/// use devmap::prelude::*;
///
/// struct Engine {
///     owners: MappingSet,
///     owner: Mutex<u64>,
/// }
/// struct Owner {
///     id: u64,
///     _member: Member, // of `owners`
/// }
///
/// impl Owner {
///     // What Mapping::access does.
///     fn access(&self, engine: &Engine, fault: Fault<'_>) -> Result<Served, Errno> {
///         let owner = engine.owner.lock();
///         if *owner == self.id {
///             return fault.load(); // the lock keeps the device ours until the page is loaded
///         }
///         drop(owner); // not over switch_context, which may wait
///         fault.switch_context(|held| {
///             let mut owner = engine.owner.lock();
///             engine.owners.unload()?;
///             // ... save the device for the old owner, restore it for this one ...
///             *owner = self.id;
///             held.load()
///         })
///     }
/// }
/// ```
pub struct Fault<'a> {
    pub(crate) handle: &'a Handle,
    pub(crate) offset: u64,
    pub(crate) len: usize,
    /// The kind of access, a `DEVMAP_` constant.
    pub(crate) rw: u32,
    pub(crate) engine: u8,
    pub(crate) thread: PhantomData<*mut ()>,
}

impl Sealed for Fault<'_> {}
impl MaySleep for Fault<'_> {}
impl Sealed for Context<'_> {}
impl MaySleep for Context<'_> {}

impl<'a> Fault<'a> {
    /// Returns the mapping.
    pub fn handle(&self) -> &'a Handle {
        self.handle
    }

    /// Returns the context by itself, for who is to sleep and not to serve the fault. The process's address space is held meanwhile.
    #[inline]
    pub fn context(&mut self) -> Borrowed<'_> {
        Borrowed::of(self)
    }

    /// Returns the user offset of the pages that faulted, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns their length in bytes: a page, or more if the processor's large pages are used.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns false.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the kind of access. Translations have the full protection of the mapping, whatever the kind.
    pub fn access(&self) -> Access {
        match self.rw {
            sys::DEVMAP_READ => Access::Read,
            sys::DEVMAP_WRITE => Access::Write,
            sys::DEVMAP_EXEC => Access::Execute,
            sys::DEVMAP_CREATE => Access::Create,
            _ => Access::Other,
        }
    }

    /// Loads the pages that faulted: `devmap_load(9F)`. The access goes on.
    ///
    /// May wait for memory when the mapping is of pageable memory. Fails with `EACCES` if the mapping's protection forbids the
    /// access, `EIO` when the mapping is [invalid](Handle::invalidate).
    pub fn load(self) -> Result<Served, Errno> {
        load(self.handle, self.offset, self.len, self.rw)
    }

    /// Like [`load`](Fault::load), for every page of the mapping, which saves later faults.
    pub fn load_all(self) -> Result<Served, Errno> {
        load_part(self.handle, 0, usize::MAX, self.rw)
    }

    /// As [`load`](Fault::load), for `len` bytes from user offset `offset` on, of those that the mapping has. They include the pages that faulted, or those fault again.
    pub fn load_range(self, offset: u64, len: usize) -> Result<Served, Errno> {
        load_part(self.handle, offset, len, self.rw)
    }

    /// As [`load`](Fault::load), if the mapping is valid and maps this memory there, from byte `offset` of it on, and `still` returns true; else gives the fault back.
    ///
    /// `still` is called with the lock of the instance's mappings held, and must take none. An [unload](Handle::unload) of another thread's that comes after what changes its answer finds the pages that this has loaded.
    #[inline]
    pub fn load_of(
        self,
        memory: &Memory,
        offset: u64,
        still: impl FnOnce() -> bool,
    ) -> Result<Result<Served, Fault<'a>>, Errno> {
        let record = self.handle.record();
        let state = record.lock();
        let from = self.offset.wrapping_sub(record.offset());
        if !state.serves_from(memory, from, offset) || !still() {
            drop(state);
            return Ok(Err(self));
        }
        record.load(state, self.offset as i64, self.len, self.rw)?;
        Ok(Ok(Served(())))
    }

    /// Retries the access after `time`, without loading anything: `delay(9F)`. For a device that is busy.
    ///
    /// Sleeps with the process's address space held: its mmap, munmap and fork wait. Hold no lock.
    pub fn retry_later(self, time: Duration) -> Result<Served, Errno> {
        sleep_anyhow(time);
        Ok(Served(()))
    }

    /// Calls `routine` to switch the device to this mapping's context: `devmap_do_ctxmgt(9F)`.
    ///
    /// In the routine, take the driver's mutex, [unload](crate::MappingSet::unload) the mappings of the context that the
    /// device is in, save and restore, [load](Context::load). With hysteresis set
    /// ([`Mappings::set_hysteresis`](crate::Mappings::set_hysteresis)) the framework waits, before calling `routine`,
    /// until the last switch is that long ago; the wait cannot be interrupted, and holds the process's address space.
    /// So serve a context that is in the device already by [`load`](Fault::load) alone.
    ///
    /// Hold no lock that a routine takes: another thread may be in one while this one waits. Without hysteresis several threads may run
    /// the routine at once.
    pub fn switch_context<F>(self, routine: F) -> Result<Served, Errno>
    where
        F: FnOnce(Context<'_>) -> Result<Served, Errno>,
    {
        let record = self.handle.record();
        let mapped = record.mapped();
        record.set_ticks(
            mapped.hysteresis.get(usize::from(self.engine)).map_or(0, |ticks| ticks.load(Relaxed)),
        );
        let mut frame = Frame { routine: Some(routine), result: NOT_CALLED };
        let place = (&raw mut frame).cast();
        let mut code = match mapped.seat.sit(place) {
            // SAFETY: the routine finds the frame in the seat, which is this thread's.
            Some(_seat) => unsafe { ask_context(self.asked(), run::<F>) },
            // SAFETY: a frame that lives longer than the call, of this type.
            None => unsafe { ask_context_in_a_crowd(self.asked(), place, routine_of::<F>) },
        };
        if code | frame.result == 0 {
            return Ok(Served(()));
        }
        if code == 0 && frame.result == NOT_CALLED {
            // The framework has not got the private pointer yet.
            // SAFETY: as above.
            code = unsafe { ask_context_in_a_crowd(self.asked(), place, routine_of::<F>) };
        }
        if code | frame.result == 0 { Ok(Served(())) } else { Err(not_switched(frame.result, code)) }
    }

    /// Returns the arguments of devmap_do_ctxmgt(9F).
    #[inline(always)]
    fn asked(&self) -> Asked {
        (self.handle.raw(), self.offset, self.len, self.rw, self.engine)
    }
}

/// A fault, in registers: its record, offset, length, kind of access and engine.
type Asked = (NonNull<Record>, u64, usize, u32, u8);

/// devmap_do_ctxmgt(9F).
///
/// # Safety
/// In the access callback of this mapping. `switch` does what it does for this mapping only, if it is called now, and on this thread.
#[inline(always)]
unsafe fn ask_context((record, offset, len, rw, engine): Asked, switch: Switch) -> c_int {
    // SAFETY: the mapping is live while its access callback runs.
    let cookie = unsafe { record.as_ref() }.cookie();
    let (private, offset) = (record.as_ptr().cast(), offset as i64);
    probe::context_wait(cookie, private, offset, len, engine.into(), rw);
    // SAFETY: the caller's: the handle has an access callback.
    unsafe { sys::devmap_do_ctxmgt(cookie, private, offset, len, sys::DEVMAP_ACCESS, rw, Some(switch)) }
}

/// As [`ask_context`], of a thread that has not got the seat.
///
/// # Safety
/// In the access callback of this mapping. A frame that lives meanwhile, of the type that `run` is for.
#[cold]
#[inline(never)]
unsafe fn ask_context_in_a_crowd(asked: Asked, frame: *mut (), run: Run) -> c_int {
    used::Crowds::is_needed();
    // SAFETY: the mapping is live while its access callback runs.
    let record = unsafe { asked.0.as_ref() };
    // SAFETY: likewise.
    let home = unsafe { record.instance() };
    // SAFETY: the caller's; the mapping is live while its access callback runs.
    let routine = Inside::new(unsafe { Routine::new(frame, asked.0.as_ptr().cast(), run) });
    // SAFETY: it leaves when the result goes, which has borrowed it.
    let _entered = unsafe { Entered::new(home.switches, &routine) };
    // SAFETY: the caller's; the routine is found by its thread.
    unsafe { ask_context(asked, home.switch) }
}

/// Returns the error of a switch that failed: the routine's, or else the framework's.
#[cold]
#[inline(never)]
fn not_switched(result: c_int, code: c_int) -> Errno {
    // Else the framework refused by itself.
    Errno::new(result).unwrap_or_else(|| Errno::from_fault(code))
}

/// devmap_contextmgt(9E) of the thread that has the [seat](crate::frame::Seat). Always succeeds in the framework's eyes.
///
/// # Safety
/// On that thread, which is in [`Fault::switch_context`] with a routine of this type.
unsafe extern "C-unwind" fn run<F>(
    dhp: sys::devmap_cookie_t,
    pvt: *mut c_void,
    off: i64,
    len: usize,
    kind: u32,
    rw: u32,
) -> c_int
where
    F: FnOnce(Context<'_>) -> Result<Served, Errno>,
{
    probe::context_switch(dhp, pvt, off, len, kind, rw);
    // SAFETY: null, before the map callback, or the private pointer of a mapping that is live.
    let Some(record) = (unsafe { pvt.cast::<Record>().as_ref() }) else { return 0 };
    let frame = record.mapped().seat.seated();
    // SAFETY: the caller's.
    unsafe { routine_of::<F>(frame, pvt, off, len, kind, rw) }
}

/// # Safety
/// As of [`run`], with the frame, which that has pointed to.
#[inline(never)]
unsafe extern "C-unwind" fn routine_of<F>(
    frame: *mut (),
    pvt: *mut c_void,
    off: i64,
    len: usize,
    _: u32,
    rw: u32,
) -> c_int
where
    F: FnOnce(Context<'_>) -> Result<Served, Errno>,
{
    // SAFETY: of this type (the caller's), and its thread is here.
    let frame = unsafe { &mut *frame.cast::<Frame<F>>() };
    let Some(routine) = frame.routine.take() else { return 0 };
    // SAFETY: a private pointer is a record's.
    let record = unsafe { NonNull::new_unchecked(pvt.cast::<Record>()) };
    // SAFETY: its access callback is under way, so it lives.
    let handle = unsafe { handle::Borrowed::new(record) };
    let offset = off as u64;
    let fault = Fault { handle: &handle, offset, len, rw, engine: 0, thread: PhantomData };
    frame.result = match routine(Context { fault }) {
        Ok(_served) => 0,
        Err(errno) => {
            // A routine that fails must not make others wait. It must not fail in the framework's eyes
            // either: that gives up the context even when somebody else holds it (docs/shield.md, 28).
            handle.record().set_ticks(0);
            errno.raw()
        }
    };
    0
}

/// The lock of a mapping whose access is to be served.
#[inline(always)]
fn serving(record: &Record) -> Result<Held<'_>, Errno> {
    #[cold]
    #[inline(never)]
    fn refused(state: Held<'_>) -> Errno {
        drop(state);
        Errno::EIO
    }
    let state = record.lock();
    if state.is_invalid() { Err(refused(state)) } else { Ok(state) }
}

/// Loads a range of the framework's.
#[inline(always)]
fn load(handle: &Handle, offset: u64, len: usize, rw: u32) -> Result<Served, Errno> {
    let record = handle.record();
    let state = serving(record)?;
    record.load(state, offset as i64, len, rw)?;
    Ok(Served(()))
}

/// Loads the part of a range that it has.
fn load_part(handle: &Handle, offset: u64, len: usize, rw: u32) -> Result<Served, Errno> {
    let record = handle.record();
    let state = serving(record)?;
    let (start, len) = record.clamp(offset, len).ok_or(Errno::EFAULT)?;
    record.load(state, start, len, rw)?;
    Ok(Served(()))
}

/// A routine that its thread finds, until this is dropped, also when the routine panics.
struct Entered<'a> {
    switches: &'a Threads<Routine>,
    routine: &'a Inside<Routine>,
    place: Option<&'a Place<Routine>>,
}

impl<'a> Entered<'a> {
    /// # Safety
    /// The result is dropped.
    #[inline(always)]
    unsafe fn new(switches: &'a Threads<Routine>, routine: &'a Inside<Routine>) -> Entered<'a> {
        // SAFETY: it leaves when the result is dropped, which has borrowed it.
        let place = unsafe { switches.enter(routine) };
        Entered { switches, routine, place }
    }
}

impl Drop for Entered<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.switches.leave(self.routine, self.place);
    }
}

/// The device's context, held for the length of a routine; see [`Fault::switch_context`].
pub struct Context<'a> {
    fault: Fault<'a>,
}

impl<'a> Context<'a> {
    /// Returns the mapping whose access is served.
    pub fn handle(&self) -> &'a Handle {
        self.fault.handle
    }

    /// Loads the pages that faulted; see [`Fault::load`].
    pub fn load(self) -> Result<Served, Errno> {
        self.fault.load()
    }

    /// Like [`load`](Context::load), for every page of the mapping.
    pub fn load_all(self) -> Result<Served, Errno> {
        self.fault.load_all()
    }
}
