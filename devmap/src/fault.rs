//! [`Fault`]: an access that the driver has to serve, and [`Context`]: the device context held meanwhile.
//!
//! Both exist only inside an access callback, on its thread, with the process's address space held (as reader).
//! Serving takes the mapping's own lock for the load; the driver's mutexes come before it and may be held over
//! [`Fault::load`] and [`Context::load`], which is how a load is kept apart from the unload of another thread.

use core::marker::PhantomData;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;

use ddi_sys as sys;

use crate::context::{Borrowed, MaySleep, sealed::Sealed};
use crate::errno::Errno;
use crate::fixed::Guard;
use crate::frame::Routine;
use crate::handle::{Handle, Record, State};
use crate::memory::Memory;
use crate::probe;
use crate::threads::{Inside, Threads};
use crate::time::sleep_anyhow;

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
    /// The kind of access, a `DEVMAP_` constant below 256, and above it the engine.
    pub(crate) how: u32,
    pub(crate) thread: PhantomData<*mut ()>,
}

impl Sealed for Fault<'_> {}
impl MaySleep for Fault<'_> {}
impl Sealed for Context<'_> {}
impl MaySleep for Context<'_> {}

impl<'a> Fault<'a> {
    /// `how` of a fault.
    #[inline(always)]
    pub(crate) fn how(rw: u32, engine: usize) -> u32 {
        rw & 0xff | (engine as u32) << 8
    }

    #[inline(always)]
    fn rw(&self) -> u32 {
        self.how & 0xff
    }

    fn engine(&self) -> usize {
        (self.how >> 8) as usize
    }

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
        match self.rw() {
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
        load(self.handle, self.offset, self.len, self.rw())
    }

    /// Like [`load`](Fault::load), for every page of the mapping, which saves later faults.
    pub fn load_all(self) -> Result<Served, Errno> {
        load_part(self.handle, 0, usize::MAX, self.rw())
    }

    /// As [`load`](Fault::load), for `len` bytes from user offset `offset` on, of those that the mapping has. They include the pages that faulted, or those fault again.
    pub fn load_range(self, offset: u64, len: usize) -> Result<Served, Errno> {
        load_part(self.handle, offset, len, self.rw())
    }

    /// As [`load`](Fault::load), if the mapping is valid and maps this memory there, from byte `offset` of it on, and `still` returns true; else gives the fault back.
    ///
    /// `still` is called with the mapping's lock held, and must take none. An [unload](Handle::unload) of another thread's that comes after what changes its answer finds the pages that this has loaded.
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
        record.load(state, self.offset as i64, self.len, self.rw())?;
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
        let mut routine = Some(routine);
        let mut result = None;
        let code = {
            let mut call = || {
                let Some(routine) = routine.take() else { return };
                let answer = routine(Context { fault: &self });
                if answer.is_err() {
                    // A routine that fails must not make others wait. It must not fail in the framework's eyes
                    // either: that gives up the context even when somebody else holds it (docs/shield.md, 28).
                    record.set_ticks(0);
                }
                result = Some(answer);
            };
            // SAFETY: the mapping is live while its access callback runs.
            let home = unsafe { record.instance() };
            let ticks = home.hysteresis.get(self.engine()).map_or(0, |ticks| ticks.load(Relaxed));
            record.set_ticks(ticks);
            // SAFETY: it goes first.
            let routine = Inside::new(unsafe { Routine::new(&mut call) });
            // SAFETY: it leaves when the result goes, which has borrowed it.
            let _entered = unsafe { Entered::new(home.switches, &routine) };
            let (cookie, private) = (record.cookie(), self.handle.raw().as_ptr().cast());
            let offset = self.offset as i64;
            probe::context_wait(cookie, private, offset, self.len, self.engine() as u32, self.rw());
            // SAFETY: in the access callback of this handle, which has one; the routine finds `call` by its thread.
            unsafe {
                sys::devmap_do_ctxmgt(
                    cookie,
                    private,
                    offset,
                    self.len,
                    sys::DEVMAP_ACCESS,
                    self.rw(),
                    Some(home.switch),
                )
            }
        };
        match result {
            Some(Ok(served)) if code == 0 => Ok(served),
            Some(Err(errno)) => Err(errno),
            // The framework refused by itself.
            _ => Err(Errno::from_fault(code)),
        }
    }
}

/// The lock of a mapping whose access is to be served.
#[inline(always)]
fn serving(record: &Record) -> Result<Guard<'_, State>, Errno> {
    #[cold]
    #[inline(never)]
    fn refused(state: Guard<'_, State>) -> Errno {
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
}

impl<'a> Entered<'a> {
    /// # Safety
    /// The result is dropped.
    #[inline(always)]
    unsafe fn new(switches: &'a Threads<Routine>, routine: &'a Inside<Routine>) -> Entered<'a> {
        // SAFETY: it leaves when the result is dropped, which has borrowed it.
        unsafe { switches.enter(routine) };
        Entered { switches, routine }
    }
}

impl Drop for Entered<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.switches.leave(self.routine);
    }
}

/// The device's context, held for the length of a routine; see [`Fault::switch_context`].
pub struct Context<'a> {
    fault: &'a Fault<'a>,
}

impl<'a> Context<'a> {
    /// Returns the mapping whose access is served.
    pub fn handle(&self) -> &'a Handle {
        self.fault.handle
    }

    /// Loads the pages that faulted; see [`Fault::load`].
    pub fn load(self) -> Result<Served, Errno> {
        load(self.fault.handle, self.fault.offset, self.fault.len, self.fault.rw())
    }

    /// Like [`load`](Context::load), for every page of the mapping.
    pub fn load_all(self) -> Result<Served, Errno> {
        load_part(self.fault.handle, 0, usize::MAX, self.fault.rw())
    }
}
