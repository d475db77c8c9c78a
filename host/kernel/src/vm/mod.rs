//! Virtual memory: segdev on the host.
//!
//! [`Host`] is segdev's platform: locks are `parking_lot`'s, timers are [`callout`]s, translations are
//! loaded and unloaded by [`Process`](ddi_process::Process), memory is [`PhysMem`], addresses are reserved by the thread that maps.
//!
//! Locking: segdev's order; below it `process`'s own locks, which are leaves here. A driver may hold its mutexes in any call that ends
//! up here: nothing in this folder calls a driver from within a load, an unload or a remap.

pub mod behind;
pub mod client;
pub mod cookie;
pub mod device;
pub mod frames;
pub mod kva;
pub mod locks;
pub mod segments;
pub mod storm;
pub mod umem;
pub mod unserved;

use std::cell::{Cell, RefCell};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use client::Client;
use ddi_process::physmem::{DEFAULT_SIZE, PAGE_SIZE, PhysMem};
use ddi_process::{self, Call};
use segdev::{Context, Framework, FreeRanges, MutexGuard, Platform, Prot, Run, Want};

use crate::kern::{callout, clock, trap};

static MEMORY: OnceLock<Arc<PhysMem>> = OnceLock::new();
static FRAMEWORK: OnceLock<Framework<Host>> = OnceLock::new();

/// The physical memory; made at first use.
///
/// # Panics
/// When Linux has no memfd. [`start`] finds that out in time.
pub fn memory() -> &'static Arc<PhysMem> {
    MEMORY.get_or_init(|| PhysMem::new(DEFAULT_SIZE).expect("a memfd for physical memory"))
}

/// Address space that is left for what a host needs while it runs, in bytes: modules, kernel memory, and the stacks of threads that serve clients.
const SPARE: usize = 2 << 30;

/// Linux has no memfd, or not so much address space.
#[derive(Debug, thiserror::Error)]
#[error("cannot make physical memory (it takes a memfd and 24 GiB of address space; see ulimit -v): {0}")]
pub struct NoMemory(#[from] std::io::Error);

/// Makes the physical memory, and takes the address space that comes with it.
///
/// # Errors
/// What Linux says; `ENOMEM` also when hardly any address space is left.
pub fn start() -> Result<(), NoMemory> {
    if MEMORY.get().is_none() {
        let memory = PhysMem::new(DEFAULT_SIZE)?;
        let _ = MEMORY.set(memory);
        trap::explain_physical(umem::explain);
    }
    kva::start()?;
    frames::start()?;
    // A host that has so little is ended by the first thread or module that finds no room.
    Ok(room(SPARE)?)
}

/// Looks whether there is room for what any command needs.
///
/// # Errors
/// There is none: `ENOMEM`.
pub fn room_to_begin() -> std::io::Result<()> {
    room(256 << 20)
}

fn room(len: usize) -> std::io::Result<()> {
    let room = address_space(len, libc::PROT_NONE)?;
    // SAFETY: the range just made, which nobody knows.
    unsafe { libc::munmap(room as *mut libc::c_void, len) };
    Ok(())
}

/// Reserves address space, where there is room.
fn address_space(len: usize, prot: i32) -> std::io::Result<usize> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address that Linux chooses.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, -1, 0) };
    if base == libc::MAP_FAILED { Err(std::io::Error::last_os_error()) } else { Ok(base as usize) }
}

/// The framework.
pub fn framework() -> &'static Framework<Host> {
    FRAMEWORK.get_or_init(|| Framework::new(Host))
}

/// The platform.
pub struct Host;

/// A condition variable that an interrupt can reach from another thread.
#[derive(Default)]
pub struct Condvar(Arc<parking_lot::Condvar>);

thread_local! {
    static HELD: RefCell<Vec<Client>> = const { RefCell::new(Vec::new()) };
}

/// Does the calling thread hold the lock of some address space: is it inside a fault, a map or an unmap?
pub fn in_fault() -> bool {
    HELD.with_borrow(|held| !held.is_empty())
}

thread_local! {
    /// The address that the process suggested for the mapping being made.
    static HINT: Cell<u64> = const { Cell::new(0) };
}

/// Returns the address that the process suggested for the mapping that the calling thread makes.
pub fn hint() -> u64 {
    HINT.get()
}

/// Sets that address.
pub fn set_hint(addr: u64) {
    HINT.set(addr);
}

/// Gives reserved address space back.
pub fn give_back(addr: u64, len: u64) {
    Call::with_current(|call| {
        if let Some(call) = call {
            // Nothing is there but a reservation; if the thread is gone so is that.
            let _ = call.unmap(addr, len);
        }
    });
}

/// How often a wait looks whether it was interrupted.
const LOOK_UP: Duration = Duration::from_millis(20);

fn protection(prot: Prot) -> ddi_process::Prot {
    ddi_process::Prot::from_bits_truncate(prot.bits().into())
}

impl Platform for Host {
    type Mutex<T: Send + 'static> = locks::Mutex<T>;
    type RwLock<T: Send + Sync + 'static> = locks::RwLock<T>;
    type Condvar = Condvar;
    type Space = Client;
    type Device = device::Device;
    type Callbacks = device::Callbacks;
    type Umem = umem::Umem;
    type HandleData = cookie::HandleData;
    type SegmentData = behind::SegmentData;
    type Timer = callout::Id;

    fn wait_sig<'a, T: Send + 'static>(
        &self,
        cv: &Condvar,
        mut guard: MutexGuard<'a, Self, T>,
    ) -> (MutexGuard<'a, Self, T>, bool) {
        let gone = || client::current().is_some_and(|c| c.process().is_gone());
        let condvar = cv.0.clone();
        let wake: ddi_process::Wake = Arc::new(move || _ = condvar.notify_all());
        let interrupted = ddi_process::interruptibly(&wake, |interrupted| {
            let asked = || interrupted() || gone();
            if asked() {
                return true;
            }
            cv.0.wait_for(&mut guard.0, LOOK_UP);
            asked()
        });
        (guard, interrupted)
    }

    fn notify_all(&self, cv: &Condvar) {
        cv.0.notify_all();
    }

    fn thread(&self) -> usize {
        HELD.with(|held| std::ptr::from_ref(held).addr())
    }

    fn timeout(&self, ctx: Arc<Context<Self>>, ticks: i64) -> callout::Id {
        callout::after(clock::ticks(ticks), Box::new(move || framework().ctx_timeout(&ctx)))
    }

    fn untimeout(&self, timer: callout::Id) {
        callout::forget(timer);
    }

    fn ncpus(&self) -> u32 {
        // As ncpus_online says.
        2
    }

    fn load(&self, space: &Client, va: u64, run: Run) {
        // Drivers map memory by its physical address: frames that nobody has allocated, too.
        memory().touch(run.pfn, run.len / PAGE_SIZE);
        unserved::loads();
        // A process that is gone needs no translation; frames that do not exist cannot come from a setup call.
        let _ = space.process().load(va, run.len / PAGE_SIZE, run.pfn, protection(run.prot));
    }

    fn unload(&self, space: &Client, va: u64, len: u64) {
        space.process().unload(va, len / PAGE_SIZE);
    }

    fn unlock(&self, _space: &Client, _va: u64, _len: u64) {
        // Translations stay until they are unloaded: there is no count to keep.
    }

    fn protect(&self, space: &Client, va: u64, len: u64, prot: Prot, _device: Option<u32>) {
        let _ = space.process().protect(va, len / PAGE_SIZE, protection(prot));
    }

    fn holds(&self, space: &Client) -> bool {
        HELD.with_borrow(|held| held.contains(space))
    }

    fn space_locked(&self, space: &Client) {
        HELD.with_borrow_mut(|held| held.push(space.clone()));
    }

    fn space_unlocking(&self, _space: &Client) {
        HELD.with_borrow_mut(|held| drop(held.pop()));
    }

    fn choose_address(&self, _space: &Client, free: &dyn FreeRanges, want: &Want) -> Option<u64> {
        let hint = hint();
        Call::with_current(|call| match call {
            Some(call) => {
                let align = want.modulus.max(PAGE_SIZE);
                call.reserve(want.len, align, want.offset & (align - 1), hint, None).ok()
            }
            None => free.lowest_fit(want),
        })
    }

    fn unchoose_address(&self, _space: &Client, addr: u64, len: u64) {
        give_back(addr, len);
    }

    fn handle_copied(&self, old: &Arc<cookie::Handle>, new: &Arc<cookie::Handle>) {
        cookie::inherit(old, new);
    }

    fn segment_changed(&self, segment: &segdev::Segment<Self>, from: usize) {
        cookie::segment_changed(segment, from);
    }

    fn handle_freed(&self, handle: &Arc<cookie::Handle>) {
        cookie::retract(handle);
    }
}
