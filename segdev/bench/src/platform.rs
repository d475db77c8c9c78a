//! A platform whose calls only count themselves.

use std::cell::{Cell, UnsafeCell};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use segdev::lock::{self, LockClass};
use segdev::{
    Access, Callbacks, Context, Device, DevmemSetup, Entries, FaultCode, Framework, Handle, Pfn, Platform,
    Prot, Run, SetupFlags, Umem, UmemKind, UmemSetup, Unmap,
};

/// How often the platform was called.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calls {
    /// Locks taken.
    pub locks: u64,
    /// Translations loaded, unloaded, unlocked or re-protected.
    pub hat: u64,
}

struct Counters(Cell<u64>, Cell<u64>);

// SAFETY: the program never starts a thread.
unsafe impl Sync for Counters {}

static COUNTERS: Counters = Counters(Cell::new(0), Cell::new(0));

/// How often the platform was called so far.
pub fn calls() -> Calls {
    Calls { locks: COUNTERS.0.get(), hat: COUNTERS.1.get() }
}

#[inline(never)]
fn lock_call(word: &Cell<u64>) {
    debug_assert_eq!(word.get(), 0, "a lock is taken twice");
    word.set(1);
    COUNTERS.0.set(COUNTERS.0.get() + 1);
}

#[inline(never)]
fn unlock_call(word: &Cell<u64>) {
    word.set(0);
}

type HatCall = fn(u32, u64, u64, Pfn, u8);

fn count_hat(_space: u32, _va: u64, _len: u64, _pfn: Pfn, _prot: u8) {
    COUNTERS.1.set(COUNTERS.1.get() + 1);
}

#[inline(always)]
fn hat_call(space: u32, va: u64, len: u64, pfn: Pfn, prot: u8) {
    // As a call into another object, unknown to the compiler: the arguments are really passed.
    std::hint::black_box(count_hat as HatCall)(space, va, len, pfn, prot);
}

/// A lock that counts: a word, as in a kernel, and the value.
pub struct CountLock<T> {
    word: Cell<u64>,
    value: UnsafeCell<T>,
}

// SAFETY: the program never starts a thread.
unsafe impl<T: Send> Sync for CountLock<T> {}

/// Unlocks when dropped.
pub struct Guard<'a, T>(&'a CountLock<T>);

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard's lock is held, and segdev takes no lock twice (asserted in debug builds).
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        unlock_call(&self.0.word);
    }
}

impl<T: Send> lock::Mutex<T> for CountLock<T> {
    type Guard<'a>
        = Guard<'a, T>
    where
        T: 'a;
    #[inline]
    fn new(value: T, _class: LockClass) -> Self {
        Self { word: Cell::new(0), value: UnsafeCell::new(value) }
    }
    #[inline]
    fn lock(&self) -> Guard<'_, T> {
        lock_call(&self.word);
        Guard(self)
    }
}

impl<T: Send + Sync> lock::RwLock<T> for CountLock<T> {
    type ReadGuard<'a>
        = Guard<'a, T>
    where
        T: 'a;
    type WriteGuard<'a>
        = Guard<'a, T>
    where
        T: 'a;
    fn new(value: T, _class: LockClass) -> Self {
        Self { word: Cell::new(0), value: UnsafeCell::new(value) }
    }
    fn read(&self) -> Guard<'_, T> {
        lock_call(&self.word);
        Guard(self)
    }
    fn write(&self) -> Guard<'_, T> {
        lock_call(&self.word);
        Guard(self)
    }
}

/// What a driver's access callback does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behaviour {
    /// There is none.
    Null,
    /// `devmap_default_access`.
    Default,
    /// Context management, unloading the last owner.
    CtxLast,
    /// Context management, unloading all others.
    Ctx,
}

/// A device: one region of kernel memory or registers, mapped `piece` bytes to a handle.
pub struct DeviceSpec {
    /// Its number.
    pub id: u64,
    /// Kernel memory rather than registers.
    pub umem: bool,
    /// Bytes in a handle.
    pub piece: u64,
    /// The callbacks; none at all if `None`.
    pub ops: Option<Ops>,
}

/// A table of callbacks.
#[derive(Clone, Copy)]
pub struct Ops {
    /// What access does.
    pub access: Behaviour,
}

/// Kernel memory, physically contiguous.
#[derive(Clone, PartialEq)]
pub struct Memory;

impl Umem for Memory {
    fn kind(&self) -> UmemKind {
        UmemKind::Locked
    }
    fn size(&self) -> u64 {
        1 << 40
    }
    fn kernel_address(&self) -> u64 {
        0xffff_8000_0000_0000
    }
    fn run(&self, off: u64, len: u64) -> Option<(Pfn, u64)> {
        Some((0x20_0000 + (off >> 12), len))
    }
    fn lock_pages(&self, _off: u64, _len: u64) -> bool {
        true
    }
    fn unlock_pages(&self, _off: u64, _len: u64) {}
}

/// The platform.
pub struct Count {
    page_sizes: &'static [u64],
    /// What the drivers know: their handles, by private data, and who had the context last.
    driver: UnsafeCell<Driver>,
}

#[derive(Default)]
struct Driver {
    handles: Vec<Arc<Handle<Count>>>,
    last: usize,
}

// SAFETY: the program never starts a thread.
unsafe impl Sync for Count {}
// SAFETY: the program never starts a thread.
unsafe impl Send for Count {}

impl Count {
    /// A platform with these page sizes.
    pub fn new(page_sizes: &'static [u64]) -> Self {
        Self { page_sizes, driver: UnsafeCell::new(Driver::default()) }
    }

    /// Tells the context-switching driver its handles; their private data are their indices.
    pub fn set_handles(&self, handles: Vec<Arc<Handle<Self>>>) {
        // SAFETY: one thread only, and no callback is running.
        unsafe { (*self.driver.get()).handles = handles };
    }
}

impl Platform for Count {
    type Mutex<T: Send + 'static> = CountLock<T>;
    type RwLock<T: Send + Sync + 'static> = CountLock<T>;
    type Condvar = ();
    type Space = u32;
    type Device = &'static DeviceSpec;
    type Callbacks = &'static DeviceSpec;
    type Umem = Memory;
    type HandleData = ();
    type SegmentData = ();
    type Timer = u32;

    fn wait_sig<'a, T: Send + 'static>(
        &self,
        _cv: &(),
        guard: segdev::MutexGuard<'a, Self, T>,
    ) -> (segdev::MutexGuard<'a, Self, T>, bool) {
        (guard, true)
    }
    fn notify_all(&self, _cv: &()) {}
    fn thread(&self) -> usize {
        0
    }
    fn timeout(&self, _ctx: Arc<Context<Self>>, _ticks: i64) -> u32 {
        0
    }
    fn untimeout(&self, _timer: u32) {}
    fn ncpus(&self) -> u32 {
        1
    }
    fn load(&self, space: &u32, va: u64, run: Run) {
        hat_call(*space, va, run.len, run.pfn, run.prot.bits());
    }
    fn unload(&self, space: &u32, va: u64, len: u64) {
        hat_call(*space, va, len, 0, 0);
    }
    fn unlock(&self, space: &u32, va: u64, len: u64) {
        hat_call(*space, va, len, 0, 0);
    }
    fn protect(&self, space: &u32, va: u64, len: u64, prot: Prot, _device: Option<u32>) {
        hat_call(*space, va, len, 0, prot.bits());
    }
    fn page_sizes(&self) -> &[u64] {
        self.page_sizes
    }
    fn holds(&self, _space: &u32) -> bool {
        true
    }
    fn space_locked(&self, _space: &u32) {}
    fn space_unlocking(&self, _space: &u32) {}
}

impl Device<Count> for &'static DeviceSpec {
    fn dev(&self) -> u64 {
        self.id
    }
    fn instance(&self, _handle: &Handle<Count>) -> u64 {
        self.id
    }
    #[inline(never)]
    fn devmap(
        &self,
        fw: &Framework<Count>,
        handle: &Arc<Handle<Count>>,
        off: u64,
        len: u64,
        _model: u32,
    ) -> (i32, u64) {
        let (len, maxprot, flags) = (len.min(self.piece), Prot::from_raw(7), SetupFlags::empty());
        let callbacks = self.ops.is_some().then_some(*self);
        let done = if self.umem {
            fw.umem_setup(
                handle,
                UmemSetup { umem: Some(Memory), off, len, maxprot, flags, attr: 0, callbacks },
            )
        } else {
            fw.devmem_setup(
                handle,
                self,
                DevmemSetup { rnumber: 0, off, len, maxprot, flags, attr: 0, callbacks },
            )
        };
        (if done.is_ok() { 0 } else { -1 }, len)
    }
    #[inline(never)]
    fn registers(&self, _rnumber: u32, off: u64, _len: u64) -> Option<(Pfn, u32)> {
        Some((0x8_0000 + (off >> 12), 0))
    }
}

impl DeviceSpec {
    fn behaviour(&self) -> Behaviour {
        self.ops.map_or(Behaviour::Null, |ops| ops.access)
    }
}

impl Callbacks<Count> for &'static DeviceSpec {
    fn entries(&self) -> Entries {
        Entries { map: true, access: self.behaviour() != Behaviour::Null, dup: true, unmap: true }
    }
    fn access_id(&self) -> u64 {
        self.behaviour() as u64
    }
    #[inline(never)]
    fn map(
        &self,
        _fw: &Framework<Count>,
        _handle: &Arc<Handle<Count>>,
        _device: &&'static DeviceSpec,
        _flags: u32,
        off: u64,
        _len: u64,
        pvt: &mut usize,
    ) -> i32 {
        *pvt = off as usize | 1;
        0
    }
    #[inline(never)]
    fn access(&self, fw: &Framework<Count>, handle: &Arc<Handle<Count>>, pvt: usize, range: Access) -> i32 {
        match self.behaviour() {
            Behaviour::Null => 0,
            Behaviour::Default => fw.default_access(handle, pvt, range).0,
            Behaviour::CtxLast => fw.do_ctxmgt(handle, pvt, range, Some(switch_last(fw))).0,
            Behaviour::Ctx => fw.do_ctxmgt(handle, pvt, range, Some(switch_all(fw))).0,
        }
    }
    #[inline(never)]
    fn dup(
        &self,
        _fw: &Framework<Count>,
        _old: &Arc<Handle<Count>>,
        pvt: usize,
        _new: &Arc<Handle<Count>>,
        newpvt: &mut usize,
    ) -> i32 {
        *newpvt = pvt + 2;
        0
    }
    #[inline(never)]
    fn unmap(&self, _fw: &Framework<Count>, _handle: &Arc<Handle<Count>>, pvt: usize, cut: Unmap<'_, Count>) {
        if let Some((_, pvt1)) = cut.before {
            *pvt1 = pvt;
        }
        if let Some((_, pvt2)) = cut.behind {
            *pvt2 = pvt + 4;
        }
    }
}

fn finish(fw: &Framework<Count>, handle: &Handle<Count>, range: Access) -> FaultCode {
    fw.load(handle, range.off, range.len, range.ty, range.rw)
}

fn switch_last(fw: &Framework<Count>) -> impl FnOnce(&Arc<Handle<Count>>, usize, Access) -> i32 + '_ {
    #[inline(never)]
    move |handle: &Arc<Handle<Count>>, pvt: usize, range: Access| {
        // SAFETY: one thread only; segdev's functions called below do not touch the driver's state.
        let driver = unsafe { &mut *fw.platform().driver.get() };
        if driver.last != pvt {
            let rc = fw.unload(&driver.handles[driver.last], 0, 0);
            if !rc.is_ok() {
                return rc.0;
            }
        }
        driver.last = pvt;
        finish(fw, handle, range).0
    }
}

fn switch_all(fw: &Framework<Count>) -> impl FnOnce(&Arc<Handle<Count>>, usize, Access) -> i32 + '_ {
    #[inline(never)]
    move |handle: &Arc<Handle<Count>>, pvt: usize, range: Access| {
        // SAFETY: as in `switch_last`.
        let driver = unsafe { &*fw.platform().driver.get() };
        for (i, other) in driver.handles.iter().enumerate() {
            if i != pvt {
                let rc = fw.unload(other, 0, 0);
                if !rc.is_ok() {
                    return rc.0;
                }
            }
        }
        finish(fw, handle, range).0
    }
}
