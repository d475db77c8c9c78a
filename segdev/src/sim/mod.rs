//! A simulated platform: deterministic, with page tables in a map and a clock that stands still.
//!
//! [`Sim`] implements [`Platform`] for tests, for `replay` and for the model checker, which supplies its own locks by the
//! parameter `L`. What it keeps for itself is behind ordinary mutexes that are never held across a call to segdev, so
//! they are no part of what a model checker explores. The scripted driver of the conformance corpus is in [`script`].

mod locks;
mod memory;
pub mod script;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::Mutex;

pub use locks::{Locks, StdLocks, StdOnce};
pub use memory::{SimUmem, UmemError};

use crate::context::Context;
use crate::platform::{Platform, Run};
use crate::types::{PAGE_SHIFT, PAGE_SIZE, Pfn, Prot};
use crate::{Framework, Handle};
use locks::own;
use script::{ScriptCallbacks, ScriptDevice, World};

/// A translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pte {
    /// The page frame.
    pub pfn: Pfn,
    /// What is allowed.
    pub prot: Prot,
    /// How many locks it carries.
    pub locks: u32,
}

/// Translations that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRun {
    /// The address space.
    pub space: u32,
    /// The first address.
    pub va: u64,
    /// How many pages.
    pub pages: u64,
    /// The first page frame; it goes up by one per page.
    pub pfn: Pfn,
    /// What is allowed.
    pub prot: Prot,
    /// How many locks each carries.
    pub locks: u32,
}

struct Timer<L: Locks> {
    id: u64,
    ctx: Arc<Context<Sim<L>>>,
}

/// The simulated platform.
pub struct Sim<L: Locks = StdLocks> {
    ncpus: u32,
    page_sizes: Vec<u64>,
    ptes: Mutex<BTreeMap<(u32, u64), Pte>>,
    timers: Mutex<VecDeque<Timer<L>>>,
    next_timer: AtomicU64,
    held: Mutex<BTreeMap<u64, Vec<u32>>>,
    interrupted: AtomicBool,
    calls: AtomicU64,
    waits: AtomicU64,
    pub(crate) world: Mutex<World<L>>,
}

/// What the simulation keeps with a handle: the name under which the driver has seen it, 0 before.
#[derive(Default)]
pub struct Name(pub(crate) AtomicU64);

impl Name {
    /// The number in `H1`, `H2`, …; 0 when the driver has not seen the handle.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl<L: Locks> Sim<L> {
    /// A machine with so many processors and these page sizes (ascending, from 4096 on).
    pub fn new(ncpus: u32, page_sizes: &[u64]) -> Self {
        Self {
            ncpus,
            page_sizes: if page_sizes.is_empty() { vec![PAGE_SIZE] } else { page_sizes.to_vec() },
            ptes: Mutex::new(BTreeMap::new()),
            timers: Mutex::new(VecDeque::new()),
            next_timer: AtomicU64::new(0),
            held: Mutex::new(BTreeMap::new()),
            interrupted: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            world: Mutex::new(World::new()),
        }
    }

    /// The translation of a page.
    pub fn pte(&self, space: u32, va: u64) -> Option<Pte> {
        own(&self.ptes).get(&(space, va)).copied()
    }

    /// Every translation, as runs in order, as long as possible.
    pub fn pages(&self) -> Vec<PageRun> {
        let mut runs: Vec<PageRun> = Vec::new();
        for (&(space, va), pte) in own(&self.ptes).iter() {
            if let Some(run) = runs.last_mut()
                && run.space == space
                && run.va + (run.pages << PAGE_SHIFT) == va
                && run.pfn + run.pages == pte.pfn
                && (run.prot, run.locks) == (pte.prot, pte.locks)
            {
                run.pages += 1;
                continue;
            }
            runs.push(PageRun { space, va, pages: 1, pfn: pte.pfn, prot: pte.prot, locks: pte.locks });
        }
        runs
    }

    /// How many calls for translations there were: loads, unloads, unlocks, protection changes.
    pub fn translation_calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// How often a thread has begun to wait, for a context, a softlock or an mmap; waits that were interrupted at once count, too.
    pub fn waits(&self) -> u64 {
        self.waits.load(Relaxed)
    }

    /// How many timers are pending.
    pub fn pending_timers(&self) -> usize {
        own(&self.timers).len()
    }

    /// Lets the timer that has been pending longest run out; false when none is pending.
    pub fn fire_timer(&self, fw: &Framework<Self>) -> bool {
        let Some(ctx) = self.expire_timer() else { return false };
        fw.ctx_timeout(&ctx);
        true
    }

    /// The timer that has been pending longest runs out, but its handler is slow: the caller calls
    /// [`Framework::ctx_timeout`] when it likes.
    pub fn expire_timer(&self) -> Option<Arc<Context<Self>>> {
        own(&self.timers).pop_front().map(|timer| timer.ctx)
    }

    /// Does something with a space's lock held, as far as `devmap_load` can tell.
    pub fn holding<R>(&self, space: Option<u32>, f: impl FnOnce() -> R) -> R {
        if let Some(space) = space {
            self.space_locked(&space);
        }
        let result = f();
        if let Some(space) = space {
            self.space_unlocking(&space);
        }
        result
    }

    /// Whether waits are interrupted at once, as by a pending signal.
    pub fn set_interrupted(&self, on: bool) {
        self.interrupted.store(on, Relaxed);
    }

    fn count_call(&self) {
        self.calls.fetch_add(1, Relaxed);
    }
}

impl<L: Locks> Platform for Sim<L> {
    type Mutex<T: Send + 'static> = L::Mutex<T>;
    type RwLock<T: Send + Sync + 'static> = L::RwLock<T>;
    type Once<T: Send + Sync + 'static> = StdOnce<T>;
    type Condvar = L::Condvar;
    type Space = u32;
    type Device = Arc<ScriptDevice<L>>;
    type Callbacks = ScriptCallbacks<L>;
    type Umem = SimUmem;
    type HandleData = Name;
    type SegmentData = ();
    type Timer = u64;

    fn wait_sig<'a, T: Send + 'static>(
        &self,
        cv: &L::Condvar,
        guard: crate::MutexGuard<'a, Self, T>,
    ) -> (crate::MutexGuard<'a, Self, T>, bool) {
        self.waits.fetch_add(1, Relaxed);
        if self.interrupted.load(Relaxed) {
            return (guard, true);
        }
        (L::wait(cv, guard), false)
    }

    fn notify_all(&self, cv: &L::Condvar) {
        L::notify_all(cv);
    }

    fn thread(&self) -> usize {
        L::thread() as usize
    }

    fn timeout(&self, ctx: Arc<Context<Self>>, ticks: i64) -> u64 {
        let id = self.next_timer.fetch_add(1, Relaxed);
        own(&self.timers).push_back(Timer { id, ctx });
        own(&self.world).record(script::Event::Timeout { ticks });
        id
    }

    fn untimeout(&self, timer: u64) {
        let removed = {
            let mut timers = own(&self.timers);
            timers.iter().position(|t| t.id == timer).and_then(|i| timers.remove(i))
        };
        if removed.is_some() {
            own(&self.world).record(script::Event::Untimeout);
        }
    }

    fn ncpus(&self) -> u32 {
        self.ncpus
    }

    fn load(&self, space: &u32, va: u64, run: Run) {
        self.count_call();
        let mut ptes = own(&self.ptes);
        for page in 0..run.len >> PAGE_SHIFT {
            let pte = ptes.entry((*space, va + (page << PAGE_SHIFT))).or_insert(Pte {
                pfn: 0,
                prot: Prot::empty(),
                locks: 0,
            });
            pte.pfn = run.pfn + page;
            pte.prot = run.prot;
            pte.locks += u32::from(run.lock);
        }
    }

    fn unload(&self, space: &u32, va: u64, len: u64, locked: bool) {
        self.count_call();
        let mut ptes = own(&self.ptes);
        let gone: Vec<_> = ptes.range((*space, va)..(*space, va + len)).map(|(key, _)| *key).collect();
        for key in gone {
            let pte = ptes.remove(&key);
            assert!(
                locked || pte.is_none_or(|pte| pte.locks == 0),
                "a locked page is unloaded as if it were not"
            );
        }
    }

    fn unlock(&self, space: &u32, va: u64, len: u64) {
        self.count_call();
        for (_, pte) in own(&self.ptes).range_mut((*space, va)..(*space, va + len)) {
            pte.locks = pte.locks.saturating_sub(1);
        }
    }

    fn protect(&self, space: &u32, va: u64, len: u64, prot: Prot, _device: Option<u32>) {
        self.count_call();
        for (_, pte) in own(&self.ptes).range_mut((*space, va)..(*space, va + len)) {
            pte.prot = prot;
        }
    }

    fn page_sizes(&self) -> &[u64] {
        &self.page_sizes
    }

    fn holds(&self, space: &u32) -> bool {
        own(&self.held).get(&L::thread()).is_some_and(|held| held.contains(space))
    }

    fn space_locked(&self, space: &u32) {
        own(&self.held).entry(L::thread()).or_default().push(*space);
    }

    fn space_unlocking(&self, space: &u32) {
        let mut held = own(&self.held);
        if let Some(list) = held.get_mut(&L::thread()) {
            if let Some(i) = list.iter().rposition(|s| s == space) {
                list.remove(i);
            }
            if list.is_empty() {
                held.remove(&L::thread());
            }
        }
    }

    fn handle_freed(&self, handle: &Arc<Handle<Self>>) {
        own(&self.world).forget(handle);
    }
}
