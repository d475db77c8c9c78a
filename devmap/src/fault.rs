//! [`Fault`]: an access that the driver has to serve, and [`Context`]: the device context held meanwhile.
//!
//! Both exist only inside an access callback, on its thread, with the process's address space held (as reader).
//! Serving takes the lock of the instance's mappings for the load; the driver's mutexes come before it and may be held over
//! [`Fault::load`] and [`Context::load`], which is how a load is kept apart from the unload of another thread.

use core::ffi::{c_int, c_void};
use core::hint;
use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;

use ddi_sys as sys;

use crate::context::{self, MaySleep, sealed::Sealed};
use crate::errno::Errno;
use crate::frame::{self, FRAME, Frame, NOT_CALLED, Routine, Run};
use crate::handle::{Borrowed, Handle, Held, Record, Switch};
use crate::memory::Memory;
use crate::probe;
use crate::threads::{Inside, Place, Threads};
use crate::time::sleep_anyhow;
use crate::used::{self, Part as _};

type Asked<'a> = frame::Asked<'a, Borrowed>;
type Head<'a> = frame::Head<'a, Borrowed>;

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
    pub fn context(&mut self) -> context::Borrowed<'_> {
        context::Borrowed::of(self)
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
        let Fault { handle, offset, len, rw, engine, .. } = self;
        let mapped = handle.record().mapped();
        // SAFETY: it lives as long as this.
        let handle = unsafe { Borrowed::new(handle.raw()) };
        let asked = Asked { handle, offset, len, rw, engine: mapped.engine(engine) };
        let head = Head { asked, result: NOT_CALLED };
        let mut frame = Frame { head, routine: Some(routine) };
        let head = (&raw mut frame).cast::<Head>();
        let seat = if has_hysteresis(&frame.head.asked) { mapped.seat.sit(head.cast()) } else { None };
        let Some(seat) = seat else {
            // SAFETY: a frame that lives longer than the call, of this type.
            return unsafe { ask_carefully(head, run::<F>) };
        };
        // SAFETY: the routine finds the frame in the seat, which is this thread's.
        let code = unsafe { ask(head, engine, run::<F>) };
        drop(seat);
        // SAFETY: the routine is over.
        if code | unsafe { (*head).result } == 0 {
            return Ok(Served(()));
        }
        // SAFETY: as above.
        unsafe { ask_otherwise(head, run::<F>, code) }
    }
}

/// Returns whether the framework knows how long the context is to stay.
#[inline(always)]
fn has_hysteresis(asked: &Asked<'_>) -> bool {
    asked.handle.record().ticks() == asked.engine.hysteresis.load(Relaxed)
}

/// devmap_do_ctxmgt(9F).
///
/// # Safety
/// In the access callback of this mapping, for this engine. `switch` does what it does for this mapping only, if it is called now, and on this thread.
#[inline(always)]
unsafe fn ask(head: *const Head<'_>, engine: u8, switch: Switch) -> c_int {
    // SAFETY: the caller's: it lives, and nobody changes it before the routine.
    let Asked { handle, offset, len, rw, .. } = unsafe { &(*head).asked };
    let (offset, len, rw) = (*offset as i64, *len, *rw);
    let (cookie, private) = (handle.record().cookie(), handle.raw().as_ptr().cast());
    probe::context_wait(cookie, private, offset, len, engine.into(), rw);
    // SAFETY: the caller's: the handle is live while its access callback runs, and has one.
    unsafe { sys::devmap_do_ctxmgt(cookie, private, offset, len, sys::DEVMAP_ACCESS, rw, Some(switch)) }
}

/// As [`Fault::switch_context`], out of the usual way: the framework does not know the hysteresis, or another thread has the seat.
///
/// # Safety
/// In the access callback of this mapping. A frame that lives meanwhile, of the type that `run` is for.
#[cold]
#[inline(never)]
unsafe fn ask_carefully(head: *mut Head<'_>, run: Run) -> Result<Served, Errno> {
    // SAFETY: the caller's.
    let Asked { handle, engine, .. } = unsafe { &(*head).asked };
    let record = handle.record();
    record.set_ticks(engine.hysteresis.load(Relaxed));
    let Some(seat) = record.mapped().seat.sit(head.cast()) else {
        // SAFETY: the caller's.
        return unsafe { ask_in_a_crowd(head, run) };
    };
    // SAFETY: the routine finds the frame in the seat, which is this thread's.
    let code = unsafe { ask(head, record.mapped().number(engine), run) };
    drop(seat);
    // SAFETY: the caller's.
    unsafe { ask_otherwise(head, run, code) }
}

/// As [`ask`], of a thread that has not got the seat. Returns the result of the access.
///
/// # Safety
/// As of [`ask_carefully`].
#[cold]
#[inline(never)]
unsafe fn ask_in_a_crowd(head: *mut Head<'_>, run: Run) -> Result<Served, Errno> {
    used::Crowds::is_needed();
    // SAFETY: the caller's.
    let Asked { handle, engine, .. } = unsafe { &(*head).asked };
    let record = handle.record();
    // SAFETY: the mapping is live while its access callback runs.
    let home = unsafe { record.instance() };
    // SAFETY: the caller's.
    let routine = Inside::new(unsafe { Routine::new(head.cast(), run) });
    // SAFETY: it leaves when the result goes, which has borrowed it.
    let entered = unsafe { Entered::new(home.switches, &routine) };
    // SAFETY: the caller's; the routine is found by its thread.
    let code = unsafe { ask(head, record.mapped().number(engine), home.switch) };
    drop(entered);
    // SAFETY: the caller's.
    answered(unsafe { (*head).result }, code)
}

/// Ends a switch of the thread that had the seat, when the framework has answered with this code and it is not simply done. Returns the result of the access.
///
/// # Safety
/// As of [`ask_carefully`].
#[cold]
#[inline(never)]
unsafe fn ask_otherwise(head: *mut Head<'_>, run: Run, code: c_int) -> Result<Served, Errno> {
    // SAFETY: the caller's.
    let result = unsafe { (*head).result };
    if code == 0 && result == NOT_CALLED {
        // The framework has not got the private pointer yet.
        // SAFETY: the caller's.
        return unsafe { ask_in_a_crowd(head, run) };
    }
    answered(result, code)
}

/// The result of an access: the routine's error, or else the framework's.
fn answered(result: c_int, code: c_int) -> Result<Served, Errno> {
    if code | result == 0 {
        return Ok(Served(()));
    }
    // Else the framework refused by itself.
    Err(Errno::new(result).unwrap_or_else(|| Errno::from_fault(code)))
}

/// devmap_contextmgt(9E) of the thread that has the [seat](crate::frame::Seat), and what calls the routine of another: a [`Run`]. Always succeeds in the framework's eyes.
///
/// # Safety
/// On the thread with that frame, which is in [`Fault::switch_context`] with a routine of this type.
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
    // SAFETY: null, or the private pointer of a mapping that is live.
    let frame = match unsafe { pvt.cast::<Record>().as_ref() } {
        Some(record) => {
            probe::context_switch(dhp, pvt, off, len, kind, rw);
            let frame = record.mapped().seat.seated();
            // SAFETY: the thread that has the seat has put its frame there.
            unsafe { hint::assert_unchecked(!frame.is_null()) };
            frame
        }
        None => framed(dhp, kind),
    };
    if frame.is_null() {
        return 0;
    }
    // SAFETY: of this type, and its thread is here (the caller's).
    let Frame { head, routine } = unsafe { &mut *frame.cast::<Frame<'_, Borrowed, F>>() };
    let Some(routine) = routine.take() else { return 0 };
    let result = routine(Context { asked: &head.asked, thread: PhantomData });
    head.result = result.err().map_or(0, Errno::raw);
    if head.result != 0 {
        failed(&head.asked);
    }
    0
}

/// The frame that a [`Run`] was called with; null if it was called by the framework, before the map callback.
#[cold]
#[inline(never)]
fn framed(dhp: sys::devmap_cookie_t, kind: u32) -> *mut () {
    if kind == FRAME { dhp.cast() } else { ptr::null_mut() }
}

/// A routine has failed.
#[cold]
#[inline(never)]
fn failed(asked: &Asked<'_>) {
    // It must not make others wait. It must not fail in the framework's eyes either: that gives up the context even when somebody else holds it (docs/shield.md, 28).
    asked.handle.record().set_ticks(0);
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
    asked: &'a Asked<'a>,
    thread: PhantomData<*mut ()>,
}

impl<'a> Context<'a> {
    /// Returns the mapping whose access is served.
    pub fn handle(&self) -> &'a Handle {
        &self.asked.handle
    }

    /// Loads the pages that faulted; see [`Fault::load`].
    pub fn load(self) -> Result<Served, Errno> {
        let Asked { handle, offset, len, rw, .. } = self.asked;
        load(handle, *offset, *len, *rw)
    }

    /// Like [`load`](Context::load), for every page of the mapping.
    pub fn load_all(self) -> Result<Served, Errno> {
        load_part(&self.asked.handle, 0, usize::MAX, self.asked.rw)
    }

    /// Makes the device this mapping's alone (of a device with several [engines](crate::Device::ENGINES), the mapping's engine), and loads the pages that faulted.
    ///
    /// If it was another's, what that has loaded is dropped, and no access of its process is under way when `switch` is called. That saves the device for the other one and restores it for this one; it is not
    /// called if the device is this mapping's already. A mapping that is unmapped gives the device up, and so does the other one when `switch` fails: then the device is nobody's. What a cut leaves
    /// behind has nothing loaded. For a device that serves one mapping at a time; all its loads are of this kind.
    ///
    /// ```no_run
    /// # use devmap::prelude::*;
    /// # struct Engine { saved: Mutex<u64> }
    /// # fn access(engine: &Engine, fault: Fault<'_>) -> Result<Served, Errno> {
    /// fault.switch_context(|held| {
    ///     let mut saved = engine.saved.lock();
    ///     held.load_alone(|| {
    ///         *saved += 1; // ... save the device for the old mapping, restore it for this one ...
    ///         Ok(())
    ///     })
    /// })
    /// # }
    /// ```
    ///
    /// All is one round under the lock of the instance's mappings, so `switch` must not call methods of mappings or sets; a mutex that it needs is taken before this is called. Fails with `EIO` if the mapping
    /// is [invalid](Handle::invalidate) or what was loaded cannot be dropped, as [`load`](Context::load) does, and with what `switch` returns.
    pub fn load_alone(self, switch: impl FnOnce() -> Result<(), Errno>) -> Result<Served, Errno> {
        let record = self.asked.handle.record();
        record.load_alone(serving(record)?, self.asked, switch)?;
        Ok(Served(()))
    }
}
