//! The platform of segdev, for [`Host`]: locks are `parking_lot`'s, timers are [`callout`]s, translations are loaded and unloaded by
//! [`Process`], memory is physical memory, addresses are reserved by the thread that maps.
//!
//! Locking: segdev's order; below it the process layer's own locks, which are leaves here.

use std::sync::Arc;
use std::time::Duration;

use ddi_process::physmem::PAGE_SIZE;
use ddi_process::{Call, Process};
use ddi_trace::{Event, For};
use segdev::{Context, FreeRanges, MutexGuard, Platform, Prot, Run, Want};

use super::client::{self, Client};
use super::host::{Host, framework};
use super::reserve::give_back;
use super::{behind, cookie, device, frames, kva, locks, memory, umem, unserved};
use crate::kern::{callout, clock, trap};

/// Makes the physical memory, and takes the address space that comes with it.
///
/// # Errors
/// The error of Linux; `ENOMEM` also when hardly any address space is left.
pub fn start() -> Result<(), memory::NoMemory> {
    if memory::make()? {
        trap::explain_physical(umem::explain);
    }
    kva::start()?;
    frames::start()?;
    // A host that has so little is ended by the first thread or module that finds no room.
    Ok(memory::room_to_run()?)
}

/// A condition variable that an interrupt can reach from another thread.
#[derive(Default)]
pub struct Condvar(Arc<parking_lot::Condvar>);

/// Interval at which a wait polls for interruption.
const LOOK_UP: Duration = Duration::from_millis(20);

fn protection(prot: Prot) -> ddi_process::Prot {
    ddi_process::Prot::from_bits_truncate(prot.bits().into())
}

/// Loads translations of a process, and records it.
pub fn load(process: &Process, address: u64, pages: u64, frame: u64, prot: ddi_process::Prot) {
    // A process that has exited needs no translation, and setup calls reject frames that do not exist.
    let _ = process.load(address, pages, frame, prot);
    let (of, of_pid) = (process.id(), process.pid().cast_unsigned());
    ddi_trace::instant(0, || Event::Load { of, of_pid, address, pages, frame });
}

/// Unloads translations of a process, and records it.
pub fn unload(process: &Process, address: u64, pages: u64) {
    let span = ddi_trace::span();
    process.unload(address, pages);
    let (of, of_pid) = (process.id(), process.pid().cast_unsigned());
    span.end(0, || Event::Unload { of, of_pid, address, pages });
}

impl Platform for Host {
    type Mutex<T: Send + 'static> = locks::Mutex<T>;
    type RwLock<T: Send + Sync + 'static> = locks::RwLock<T>;
    type Once<T: Send + Sync + 'static> = locks::Once<T>;
    type Condvar = Condvar;
    type Space = Client;
    type Device = device::Device;
    type Callbacks = device::Callbacks;
    type Umem = umem::Umem;
    type HandleData = cookie::HandleData;
    type SegmentData = behind::SegmentData;
    type Timer = callout::Id;

    // They keep their driver.
    const KEEPS_CALLBACKS: bool = false;

    // What one page table covers. A fault is a round trip from the process to the host, so one that asks no driver does for many pages.
    const LOADS_AROUND: u64 = 2 << 20;

    fn wait_sig<'a, T: Send + 'static>(
        &self,
        cv: &Condvar,
        mut guard: MutexGuard<'a, Self, T>,
    ) -> (MutexGuard<'a, Self, T>, bool) {
        let gone = || client::current().is_some_and(|c| c.process().is_gone());
        let condvar = cv.0.clone();
        let wake: ddi_process::Wake = Arc::new(move || _ = condvar.notify_all());
        let span = ddi_trace::span();
        let interrupted = ddi_process::interruptibly(&wake, |interrupted| {
            let asked = || interrupted() || gone();
            if asked() {
                return true;
            }
            cv.0.wait_for(&mut guard.0, LOOK_UP);
            asked()
        });
        span.end(0, || Event::Wait { what: For::Turn, interrupted });
        (guard, interrupted)
    }

    fn notify_all(&self, cv: &Condvar) {
        cv.0.notify_all();
    }

    fn thread(&self) -> usize {
        client::thread()
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
        // Drivers map memory by its physical address, free frames included.
        memory::memory().touch(run.pfn, run.len / PAGE_SIZE);
        unserved::loads();
        load(space.process(), va, run.len / PAGE_SIZE, run.pfn, protection(run.prot));
    }

    fn unload(&self, space: &Client, va: u64, len: u64, _locked: bool) {
        unload(space.process(), va, len / PAGE_SIZE);
    }

    fn unlock(&self, _space: &Client, _va: u64, _len: u64) {
        // Translations stay until they are unloaded: there is no count to keep.
    }

    fn protect(&self, space: &Client, va: u64, len: u64, prot: Prot, _device: Option<u32>) {
        let _ = space.process().protect(va, len / PAGE_SIZE, protection(prot));
    }

    fn holds(&self, space: &Client) -> bool {
        client::locked(space)
    }

    fn space_locked(&self, space: &Client) {
        client::lock(space);
    }

    fn space_unlocking(&self, _space: &Client) {
        client::unlock();
    }

    fn choose_address(&self, _space: &Client, free: &dyn FreeRanges, want: &Want) -> Option<u64> {
        Call::with_current(|call| match call {
            Some(call) => {
                let align = want.modulus.max(PAGE_SIZE);
                call.reserve(want.len, align, want.offset & (align - 1), want.hint, None).ok()
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
