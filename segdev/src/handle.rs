//! A handle: one contiguous piece of a segment, and what it maps.
//!
//! All that can change is in [`State`] behind the handle's lock (an inner lock: held for a bounded time, never across a
//! callback). The private pointer is an atomic of its own, as the driver's stores to it are.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::context::Context;
use crate::lock::{LockClass, Mutex as _};
use crate::page_locks::Locks;
use crate::platform::{MutexGuard, Platform};
use crate::registry::{Keyed as _, retain};
use crate::softlock::Softlock;
use crate::types::{Pfn, Prot, SetupFlags};

/// One contiguous piece of a segment (`devmap_cookie_t`). See the crate's documentation for how handles are shared.
pub struct Handle<P: Platform> {
    space: P::Space,
    data: P::HandleData,
    pvt: AtomicUsize,
    state: P::Mutex<State<P>>,
}

/// Where a handle is and what it maps, at the moment of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandleInfo {
    /// User offset of its first byte.
    pub off: u64,
    /// User address of its first byte; 0 until one is chosen.
    pub addr: u64,
    /// Bytes.
    pub len: u64,
    /// Its protection, as long as that is one for all pages.
    pub prot: Prot,
    /// Whether its pages have protections of their own.
    pub paged: bool,
    /// The protection asked for at mmap.
    pub asked: Prot,
    /// The largest protection that mprotect may grant now.
    pub maxprot: Prot,
    /// The largest protection that a remap may give it.
    pub orig_maxprot: Prot,
    /// The flags of its setup; `None` before.
    pub setup: Option<SetupFlags>,
    /// Whether it can still be used: false from its last unmap callback's return on, and when its mapping failed.
    pub live: bool,
    /// Whether it is marked invalid (`DEVMAP_MAPPING_INVALID`).
    pub invalid: bool,
    /// Its context timeout in ticks.
    pub ticks: i64,
    /// How many locks its soft-locked pages carry.
    pub softlocks: u64,
}

/// Who shares a handle's context and softlock, at the moment of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// How many handles the context has.
    pub contexts: usize,
    /// How many handles the softlock has.
    pub softlocks: usize,
    /// Whether a mapping owns the context.
    pub owned: bool,
}

/// How far a handle's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// In `devmap(9E)`, no setup function has succeeded.
    New,
    /// Set up.
    SetUp,
    /// Its unmap callback is about to run or runs.
    Dying,
    /// Freed.
    Dead,
}

/// What a handle maps.
pub(crate) enum Object<P: Platform> {
    /// Nothing yet, or set up as invalid.
    None,
    /// Device memory from this page frame on.
    Devmem(Pfn),
    /// Kernel memory from this offset on.
    Umem(P::Umem, u64),
}

impl<P: Platform> Object<P> {
    /// The same memory, `by` bytes further on.
    pub(crate) fn advanced(&self, by: u64) -> Self {
        match self {
            Self::None => Self::None,
            Self::Devmem(pfn) => Self::Devmem(pfn + (by >> crate::PAGE_SHIFT)),
            Self::Umem(umem, off) => Self::Umem(umem.clone(), off + by),
        }
    }
}

/// Everything that can change about a handle.
pub(crate) struct State<P: Platform> {
    pub off: u64,
    pub addr: u64,
    pub len: u64,
    pub object: Object<P>,
    pub callbacks: Option<P::Callbacks>,
    pub ctx: Option<Arc<Context<P>>>,
    pub softlock: Option<Arc<Softlock<P>>>,
    /// Names the mapping for the ownership of a context: equal in handles split from one another.
    pub mapping: u64,
    /// The context timeout in ticks.
    pub ticks: i64,
    /// Per-page protections, once part of the segment was protected apart.
    pub pages: Option<Box<[Prot]>>,
    /// Soft-locked pages, once one was locked.
    pub locks: Option<Box<Locks>>,
    pub flags: SetupFlags,
    pub attr: u32,
    pub stage: Stage,
    /// The segment's protection, while it is one for all pages.
    pub prot: Prot,
    /// The protection asked for at mmap.
    pub asked: Prot,
    pub maxprot: Prot,
    pub orig_maxprot: Prot,
    /// Index of the largest MMU page size the handle may be loaded with; 0 for base pages only.
    pub level: u8,
    /// Whether it has an access callback.
    pub access: bool,
    /// A context management call could not wait with the space locked; the fault is to wait and be tried again.
    pub must_wait: bool,
}

impl<P: Platform> Handle<P> {
    pub(crate) fn new(space: P::Space, state: State<P>, pvt: usize) -> Arc<Self> {
        Arc::new(Self {
            space,
            data: P::HandleData::default(),
            pvt: AtomicUsize::new(pvt),
            state: P::Mutex::new(state, LockClass::Handle),
        })
    }

    /// The address space it is mapped in.
    pub fn space(&self) -> &P::Space {
        &self.space
    }

    /// What the platform keeps with it.
    pub fn data(&self) -> &P::HandleData {
        &self.data
    }

    /// The driver's private pointer; 0 if it never gave one.
    #[inline]
    pub fn pvt(&self) -> usize {
        self.pvt.load(Relaxed)
    }

    /// Changes the private pointer, as a driver does through the pointer that its map callback was given.
    #[inline]
    pub fn set_private(&self, pvt: usize) {
        self.set_pvt(pvt);
    }

    #[inline]
    pub(crate) fn set_pvt(&self, pvt: usize) {
        self.pvt.store(pvt, Relaxed);
    }

    /// Where it is and what it maps now. Takes the handle's lock.
    pub fn info(&self) -> HandleInfo {
        let st = self.lock();
        HandleInfo {
            off: st.off,
            addr: st.addr,
            len: st.len,
            prot: st.prot,
            paged: st.pages.is_some(),
            asked: st.asked,
            maxprot: st.maxprot,
            orig_maxprot: st.orig_maxprot,
            setup: (st.stage != Stage::New).then_some(st.flags),
            live: matches!(st.stage, Stage::New | Stage::SetUp),
            invalid: st.flags.contains(SetupFlags::MAPPING_INVALID),
            ticks: st.ticks,
            softlocks: st.locks.as_ref().map_or(0, |l| l.total()),
        }
    }

    /// Who else shares its context and softlock; `None` when it has none. Takes the handle's lock, then the context's.
    pub fn sharing(&self) -> Option<Sharing> {
        let (ctx, softlock) = {
            let st = self.lock();
            (st.ctx.clone()?, st.softlock.clone()?)
        };
        let (contexts, softlocks) = (ctx.handles().load(Relaxed), softlock.handles().load(Relaxed));
        Some(Sharing { contexts, softlocks, owned: ctx.is_owned() })
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, P, State<P>> {
        self.state.lock()
    }
}

impl<P: Platform> State<P> {
    /// The memory attributes, if it maps device memory.
    pub(crate) fn device_attr(&self) -> Option<u32> {
        matches!(self.object, Object::Devmem(_)).then_some(self.attr)
    }

    /// The protection of the page `index`.
    pub(crate) fn page_prot(&self, index: usize) -> Prot {
        match &self.pages {
            Some(pages) => pages[index],
            None => self.prot,
        }
    }

    /// A copy for another segment or space: same object, callbacks and protections; no locks.
    pub(crate) fn duplicate(&self) -> Self {
        Self {
            off: self.off,
            addr: self.addr,
            len: self.len,
            object: self.object.advanced(0),
            callbacks: self.callbacks.clone(),
            ctx: retain(&self.ctx),
            softlock: retain(&self.softlock),
            mapping: self.mapping,
            ticks: self.ticks,
            pages: self.pages.clone(),
            locks: None,
            flags: self.flags,
            attr: self.attr,
            stage: self.stage,
            prot: self.prot,
            asked: self.asked,
            maxprot: self.maxprot,
            orig_maxprot: self.orig_maxprot,
            level: self.level,
            access: self.access,
            must_wait: false,
        }
    }

    /// Cuts `by` bytes off the front.
    pub(crate) fn cut_front(&mut self, by: u64) {
        self.off += by;
        self.addr += by;
        self.len -= by;
        self.object = self.object.advanced(by);
        if let Some(pages) = self.pages.take() {
            self.pages = Some(pages[(by >> crate::PAGE_SHIFT) as usize..].into());
        }
        self.locks = None;
    }

    /// Keeps `len` bytes.
    pub(crate) fn cut_back(&mut self, len: u64) {
        self.len = len;
        if let Some(pages) = self.pages.take() {
            self.pages = Some(pages[..(len >> crate::PAGE_SHIFT) as usize].into());
        }
        self.locks = None;
    }
}
