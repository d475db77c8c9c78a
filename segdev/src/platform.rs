//! What segdev needs from the world round it.
//!
//! A [`Platform`] supplies locks, condition variables, timers, kernel memory and translations, and says how to reach the
//! drivers: [`Device`] is one device node of a driver (its `devmap(9E)` entry and registers), [`Callbacks`] a copied
//! `devmap_callback_ctl(9S)`. segdev itself names no thread, file descriptor or C structure.
//!
//! Every method says which of segdev's locks may be held when it is called; see [`crate::lock`] for their order. Unless
//! it says otherwise a method must not call back into segdev.

use alloc::sync::Arc;

use crate::context::Context;
use crate::lock;
use crate::types::{FaultType, PAGE_SIZE, Pfn, Prot, Rw};
use crate::{Framework, Handle, Segment};

/// The guard of a platform's mutex.
pub type MutexGuard<'a, P, T> = <<P as Platform>::Mutex<T> as lock::Mutex<T>>::Guard<'a>;

/// The world round the framework. One value of it lives in the [`Framework`].
pub trait Platform: Sized + Send + Sync + 'static {
    /// A mutex; the host's is `parking_lot`'s, the model checker's `shuttle`'s.
    type Mutex<T: Send + 'static>: lock::Mutex<T>;
    /// A readers/writer lock.
    type RwLock<T: Send + Sync + 'static>: lock::RwLock<T>;
    /// A place for a shared value that is set once.
    type Once<T: Send + Sync + 'static>: lock::Once<T>;
    /// A condition variable.
    type Condvar: Default + Send + Sync;
    /// An address space, as the owner of translations (a `hat`). Cheap to clone; equal when it is the same one.
    type Space: Clone + PartialEq + Send + Sync + 'static;
    /// A device node that can be mapped.
    type Device: Device<Self>;
    /// The driver's callbacks for a handle.
    type Callbacks: Callbacks<Self>;
    /// A reference to kernel memory that drivers export: a umem cookie. Cloning keeps the memory alive.
    type Umem: Umem;
    /// What the platform keeps with every handle, for example the number or address of the C-visible cookie. Made with the
    /// handle; use interior mutability to change it later.
    type HandleData: Default + Send + Sync + 'static;
    /// What the platform keeps with every segment, likewise.
    type SegmentData: Default + Send + Sync + 'static;
    /// Names a pending timer.
    type Timer: Copy + Send + 'static;

    /// Whether [`Platform::segment_changed`] does anything.
    const WATCHES_SEGMENTS: bool = true;

    /// Whether the callbacks that were given last are kept for the next mapping when no handle has them any more, until
    /// [`Framework::trim`] is called. Without it they are dropped with the last handle.
    const KEEPS_CALLBACKS: bool = true;

    /// Bytes, a power of two: a fault of a handle without access callback loads all its pages in the same aligned block of so many. No driver is
    /// called for them, so none can tell. 0: only what the access needs, as on illumos.
    const LOADS_AROUND: u64 = 0;

    // ---- waiting ----

    /// Lets go of the lock, sleeps until notified (or spuriously), takes the lock again. The wait can be interrupted (by a
    /// signal to the process, or its death): the second value is then true. Called with no other segdev lock held than the guard's.
    /// (An implementation writes the guard's type as it stands here, `MutexGuard<'a, Self, T>`, or the lifetimes do not match.)
    fn wait_sig<'a, T: Send + 'static>(
        &self,
        cv: &Self::Condvar,
        guard: MutexGuard<'a, Self, T>,
    ) -> (MutexGuard<'a, Self, T>, bool);
    /// Wakes every sleeper. Called with the lock held that belongs to the condition.
    fn notify_all(&self, cv: &Self::Condvar);

    /// Names the calling thread: no two that exist at the same time have the same name. Called with a handle's lock held.
    fn thread(&self) -> usize;

    // ---- time ----

    /// `timeout(9F)`: after `ticks` call [`Framework::ctx_timeout`] once with this context, from a thread without any lock or
    /// process. Called with the context's lock held, so never call it from in here.
    fn timeout(&self, ctx: Arc<Context<Self>>, ticks: i64) -> Self::Timer;
    /// `untimeout(9F)`, without the wait for a handler that runs already: drops the timer and its reference to the context if it is
    /// still pending. Called with no inner lock held.
    fn untimeout(&self, timer: Self::Timer);
    /// How many processors are online. With one, context timeouts are ignored, as the manual page says.
    fn ncpus(&self) -> u32;

    // ---- translations; all called with one handle's lock held ----

    /// Loads translations of `run` at `va` in `space`: replaces what is there, keeping lock counts, and adds one to every page's
    /// lock count when `run.lock`. Must not wait for anything that a user process can delay for ever.
    fn load(&self, space: &Self::Space, va: u64, run: Run);
    /// Drops the translations of `[va, va + len)` and their lock counts; without `locked` there are none. When it returns no access through
    /// them can happen any more.
    fn unload(&self, space: &Self::Space, va: u64, len: u64, locked: bool);
    /// Takes one from the lock count of every page of `[va, va + len)` that has one.
    fn unlock(&self, space: &Self::Space, va: u64, len: u64);
    /// Changes the protection of those pages of `[va, va + len)` that have a translation: of kernel memory, or of device memory with these
    /// attributes (as in [`Run::attr`]). When it returns no access beyond `prot` can happen any more.
    fn protect(&self, space: &Self::Space, va: u64, len: u64, prot: Prot, device: Option<u32>);
    /// The MMU's page sizes, ascending, from [`PAGE_SIZE`] on. One size only means that there are no large pages.
    fn page_sizes(&self) -> &[u64] {
        &[PAGE_SIZE]
    }

    // ---- address spaces ----

    /// Whether the calling thread holds the lock of this address space, as [`Platform::space_locked`] told it.
    /// `devmap_load(9F)` works only then.
    fn holds(&self, space: &Self::Space) -> bool;
    /// The calling thread has taken the lock of this address space. Calls nest: two spaces in fork, and more when a callback faults again.
    fn space_locked(&self, space: &Self::Space);
    /// The calling thread is about to let go of the lock it took last.
    fn space_unlocking(&self, space: &Self::Space);
    /// Chooses a free address for `want.len` bytes and keeps others from taking it, or answers `None` when there is none. `free`
    /// answers which ranges have no segment. Called with the space's lock held as writer, no inner lock.
    fn choose_address(&self, space: &Self::Space, free: &dyn FreeRanges, want: &Want) -> Option<u64> {
        let _ = space;
        free.lowest_fit(want)
    }
    /// An address that [`Platform::choose_address`] answered is not used after all: the mapping failed. Called without locks.
    fn unchoose_address(&self, space: &Self::Space, addr: u64, len: u64) {
        let _ = (space, addr, len);
    }
    /// Where user addresses end.
    fn user_limit(&self) -> u64 {
        0x7fff_c000_0000
    }
    /// Where [`FreeRanges::lowest_fit`] starts to look.
    fn user_base(&self) -> u64 {
        0x1000_0000
    }

    // ---- handles ----

    /// A handle was copied: by fork(2), or because a hole was cut out of it. What the platform keeps with it may go to the copy. Called
    /// before any callback sees the copy, with no inner lock held.
    fn handle_copied(&self, old: &Arc<Handle<Self>>, new: &Arc<Handle<Self>>) {
        let _ = (old, new);
    }

    /// A segment has new bounds or protections, or other handles from index `from` on (0: any). Called before a callback sees it in
    /// that state, and after a protection change; its space is locked as writer, or nobody else has the segment yet. No inner lock held.
    fn segment_changed(&self, segment: &Segment<Self>, from: usize) {
        let _ = (segment, from);
    }

    /// The framework has freed this handle: its last callback has returned, and every later call with it is refused. A C-visible
    /// cookie for it becomes invalid here. Called without inner locks.
    fn handle_freed(&self, handle: &Arc<Handle<Self>>) {
        let _ = handle;
    }
}

/// Physically contiguous pages to be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Bytes, a page multiple.
    pub len: u64,
    /// The first page frame.
    pub pfn: Pfn,
    /// The full current protection.
    pub prot: Prot,
    /// Memory attributes: those given to the setup function, or the cache attributes of kernel memory. Opaque to segdev.
    pub attr: u32,
    /// Count a lock on every page.
    pub lock: bool,
    /// Device memory, not kernel memory.
    pub device: bool,
    /// The MMU page size that may be used (one of [`Platform::page_sizes`]).
    pub page_size: u64,
}

/// An address that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Bytes, a page multiple.
    pub len: u64,
    /// The address is to be congruent to this…
    pub offset: u64,
    /// … modulo this power of two (a page at least).
    pub modulus: u64,
    /// The address that the process would like best; 0: it does not mind.
    pub hint: u64,
    /// The lowest address that will do.
    pub from: u64,
    /// The end that the range must not pass.
    pub limit: u64,
}

/// Which addresses of a space have no segment.
pub trait FreeRanges {
    /// Whether nothing is in `[addr, addr + len)`.
    fn is_free(&self, addr: u64, len: u64) -> bool;
    /// The lowest address that is as wanted.
    fn lowest_fit(&self, want: &Want) -> Option<u64>;
}

/// A device node that can be mapped: a `dev_t` with its devinfo node and the driver's entry points. Cheap to clone.
pub trait Device<P: Platform>: Clone + Send + Sync + 'static {
    /// The driver's entry point.
    type Entry: Copy;
    /// The device number. Softlocks are one per device number and access callback.
    fn dev(&self) -> u64;
    /// Function that [`Device::devmap`] calls; `None` if the driver cannot be mapped: it has no `devmap(9E)` entry, or neither `D_DEVMAP` nor
    /// an `mmap(9E)` entry.
    fn entry(&self) -> Option<Self::Entry>;
    /// Calls `devmap(9E)`: set up `handle` for at most `len` bytes from `off`. Answers what the driver returned and the
    /// length it reported. The driver calls [`Framework::devmem_setup`] or [`Framework::umem_setup`] from in here. No lock held.
    fn devmap(
        &self,
        entry: Self::Entry,
        fw: &Framework<P>,
        handle: &Arc<Handle<P>>,
        off: u64,
        len: u64,
        model: u32,
    ) -> (i32, u64);
}

/// A device node, as setup and remap calls name it.
pub trait Node {
    /// Resolves a register range through the device tree (`ddi_map`): its first page frame, and attributes to be joined with
    /// those given to the setup call. `None` when the set is unknown or the range leaves it. No inner lock held.
    fn registers(&self, rnumber: u32, off: u64, len: u64) -> Option<(Pfn, u32)>;
}

/// The entry points that a callback table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Entries {
    /// `devmap_map(9E)`.
    pub map: bool,
    /// `devmap_access(9E)`.
    pub access: bool,
    /// `devmap_dup(9E)`.
    pub dup: bool,
    /// `devmap_unmap(9E)`.
    pub unmap: bool,
}

/// The driver's callbacks for a handle: a copy of its `devmap_callback_ctl(9S)`. A method is only called when [`Callbacks::entries`] has it,
/// with no inner lock held, and may call every function of [`Framework`] that takes a handle.
///
/// `pvt` is the driver's private pointer for the handle. Where it is `&mut`, what the driver stores there becomes the
/// handle's; it starts with the present value (zero if there never was one).
///
/// Handles of a device whose callbacks are equal share one copy.
pub trait Callbacks<P: Platform>: Clone + PartialEq + Send + Sync + 'static {
    /// Which entry points there are.
    fn entries(&self) -> Entries;
    /// Tells access callbacks apart: equal exactly when it is the same function.
    fn access_id(&self) -> u64;
    /// Equal callbacks have the same; others mostly another, if their access callbacks differ.
    fn hash(&self) -> u64 {
        self.access_id()
    }
    /// `devmap_map(9E)`. The space is not locked.
    #[allow(clippy::too_many_arguments)]
    fn map(
        &self,
        fw: &Framework<P>,
        handle: &Arc<Handle<P>>,
        device: &P::Device,
        flags: u32,
        off: u64,
        len: u64,
        pvt: &mut usize,
    ) -> i32;
    /// `devmap_access(9E)`. The space is locked as reader.
    fn access(&self, fw: &Framework<P>, handle: &Arc<Handle<P>>, pvt: usize, range: Access) -> i32;
    /// `devmap_dup(9E)`. Both spaces are locked as writer.
    fn dup(
        &self,
        fw: &Framework<P>,
        old: &Arc<Handle<P>>,
        pvt: usize,
        new: &Arc<Handle<P>>,
        newpvt: &mut usize,
    ) -> i32;
    /// `devmap_unmap(9E)` for a whole handle, after its translations are gone. `space_locked`: the space is locked as writer; not when a mapping
    /// fails before it has entered it.
    fn unmap_whole(&self, fw: &Framework<P>, handle: &Arc<Handle<P>>, space_locked: bool);
    /// `devmap_unmap(9E)` for a part of a handle, after the translations are gone and the handles have their new bounds. The space is locked as
    /// writer.
    fn unmap_part(&self, fw: &Framework<P>, handle: &Arc<Handle<P>>, cut: &mut Unmap<'_, P>);
}

/// The range and kind of an access, in the driver's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// User offset of the first byte.
    pub off: u64,
    /// Bytes.
    pub len: u64,
    /// Why.
    pub ty: FaultType,
    /// The access.
    pub rw: Rw,
}

/// Parts of a handle in an unmap callback: the one that goes, and those that remain.
pub struct Unmap<'a, P: Platform> {
    /// User offset of what goes.
    pub off: u64,
    /// Bytes of what goes.
    pub len: u64,
    /// `new_dhp1`: what stays before.
    pub before: Option<&'a Arc<Handle<P>>>,
    /// `new_dhp2`: what stays behind.
    pub behind: Option<&'a Arc<Handle<P>>>,
    /// The private pointers of what stays, `*new_pvtp1` and `*new_pvtp2`. What the driver stores there becomes theirs.
    pub pvts: [usize; 2],
}

/// Kernel memory that a driver exports (`ddi_umem_alloc(9F)`, `ddi_umem_lock(9F)`).
pub trait Umem: Clone + PartialEq + Send + Sync + 'static {
    /// Its kind.
    fn kind(&self) -> UmemKind;
    /// Bytes, a page multiple.
    fn size(&self) -> u64;
    /// Its kernel address, for the choice of a congruent user address; 0 for trash.
    fn kernel_address(&self) -> u64;
    /// The longest physically contiguous run at page-aligned `off`, of at most `len` bytes: its first page frame and
    /// its bytes (a page multiple above 0). `None` when there is no page. Called with a handle's lock held.
    fn run(&self, off: u64, len: u64) -> Option<(Pfn, u64)>;
    /// Locks the pages of pageable memory, for write access: one more lock on each page of the range, or (false) on none. Called with a
    /// handle's lock held.
    fn lock_pages(&self, off: u64, len: u64) -> bool;
    /// Takes one lock from each page of the range, which need not be a range that was locked at once.
    fn unlock_pages(&self, off: u64, len: u64);
}

/// The kinds of kernel memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UmemKind {
    /// `DDI_UMEM_SLEEP` and so on: always resident.
    Locked,
    /// `DDI_UMEM_PAGEABLE`: resident while its pages are locked.
    Pageable,
    /// `DDI_UMEM_TRASH`: one shared trash page, however long the mapping; its run is that page.
    Trash,
    /// `ddi_umem_lock(9F)`: a process's own memory, pinned.
    User,
}
