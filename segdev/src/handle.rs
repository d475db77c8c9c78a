//! A handle: one contiguous piece of a segment, and what it maps.
//!
//! All that can change is in [`State`] behind the handle's lock (an inner lock: held for a bounded time, never across a
//! callback). The private pointer is an atomic of its own, as the driver's stores to it are.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::context::Context;
use crate::frames::{self, Frame, Frames, PAGES};
use crate::keyed::Keyed as _;
use crate::list::copied;
use crate::lock::{LockClass, Mutex as _};
use crate::locked::Locks;
use crate::platform::{MutexGuard, Platform};
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
    #[inline]
    pub(crate) fn advanced(&self, by: u64) -> Self {
        match self {
            Self::None => Self::None,
            Self::Devmem(pfn) => Self::Devmem(pfn + (by >> crate::PAGE_SHIFT)),
            Self::Umem(umem, off) => Self::Umem(umem.clone(), off + by),
        }
    }
}

/// What all handles have in common that come from one setup: copies, and pieces that cuts leave.
pub(crate) struct Shared<P: Platform> {
    pub callbacks: P::Callbacks,
    /// With an access callback, once the mapping is complete.
    pub turns: Option<Turns<P>>,
}

/// What an access callback's handles take turns by. Each handle counts in both.
pub(crate) struct Turns<P: Platform> {
    pub ctx: Arc<Context<P>>,
    pub softlock: Arc<Softlock<P>>,
}

impl<P: Platform> Shared<P> {
    /// The same for another handle of the mapping.
    pub(crate) fn turns_again(&self) -> Option<Turns<P>> {
        self.count();
        self.turns.as_ref().map(|turns| Turns { ctx: turns.ctx.clone(), softlock: turns.softlock.clone() })
    }

    /// One more handle.
    #[inline]
    fn count(&self) {
        if let Some(turns) = &self.turns {
            turns.ctx.handles().fetch_add(1, Relaxed);
            turns.softlock.handles().fetch_add(1, Relaxed);
        }
    }
}

/// What is kept of a handle page by page.
pub(crate) struct Apart<P: Platform> {
    /// Pages that map memory of their own.
    pub frames: Frames<P>,
    /// Protections, once part of the segment was protected apart; empty before.
    pub pages: Vec<Prot>,
    /// Soft-locked pages.
    pub locks: Locks,
}

/// Everything that can change about a handle.
pub(crate) struct State<P: Platform> {
    pub off: u64,
    pub addr: u64,
    pub len: u64,
    pub object: Object<P>,
    /// What the driver has given with it; none without callbacks.
    pub shared: Option<Arc<Shared<P>>>,
    /// Names the mapping for the ownership of a context: equal in handles split from one another.
    pub mapping: u64,
    /// The context timeout in ticks.
    pub ticks: i64,
    /// What differs from page to page, once something does.
    pub apart: Option<Box<Apart<P>>>,
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
    #[inline(always)]
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

    /// Returns whether an access callback could not get the context in it: whatever it returns, the access is tried again after a wait. For its platform, until
    /// the callback has returned. Takes the handle's lock.
    pub fn must_wait(&self) -> bool {
        self.lock().must_wait
    }

    /// Where it is and what it maps now. Takes the handle's lock.
    pub fn info(&self) -> HandleInfo {
        let st = self.lock();
        HandleInfo {
            off: st.off,
            addr: st.addr,
            len: st.len,
            prot: st.prot,
            paged: st.paged(),
            asked: st.asked,
            maxprot: st.maxprot,
            orig_maxprot: st.orig_maxprot,
            setup: (st.stage != Stage::New).then_some(st.flags),
            live: matches!(st.stage, Stage::New | Stage::SetUp),
            invalid: st.flags.contains(SetupFlags::MAPPING_INVALID),
            ticks: st.ticks,
            softlocks: st.apart.as_ref().map_or(0, |apart| apart.locks.total()),
        }
    }

    /// Who else shares its context and softlock; `None` when it has none. Takes the handle's lock, then the context's.
    pub fn sharing(&self) -> Option<Sharing> {
        let shared = self.lock().shared.clone()?;
        let turns = shared.turns.as_ref()?;
        let (contexts, softlocks) =
            (turns.ctx.handles().load(Relaxed), turns.softlock.handles().load(Relaxed));
        Some(Sharing { contexts, softlocks, owned: turns.ctx.is_owned() })
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, P, State<P>> {
        self.state.lock()
    }
}

impl<P: Platform> Default for Apart<P> {
    fn default() -> Self {
        Self { frames: Frames::default(), pages: Vec::new(), locks: Locks::default() }
    }
}

impl<P: Platform> Apart<P> {
    /// For a copy of the handle, without locks.
    #[inline(never)]
    fn for_copy(&self) -> Option<Option<Box<Self>>> {
        if self.pages.is_empty() && (!PAGES || self.frames.is_empty()) {
            return Some(None);
        }
        let pages = copied(self.pages.iter().copied())?;
        let frames = frames::copy(&self.frames)?;
        Some(Some(Box::new(Self { frames, pages, locks: Locks::default() })))
    }

    /// The handle loses so many pages in front, and its locks.
    #[inline(never)]
    fn cut_front(&mut self, by: usize) {
        let mut at = 0;
        self.pages.retain(|_| {
            at += 1;
            at > by
        });
        frames::trim(&mut self.frames, (by as u64) << crate::PAGE_SHIFT, u64::MAX);
        self.locks = Locks::default();
    }
}

impl<P: Platform> State<P> {
    /// The memory attributes, if it maps device memory.
    pub(crate) fn device_attr(&self) -> Option<u32> {
        matches!(self.object, Object::Devmem(_)).then_some(self.attr)
    }

    /// The protection of the page `index`.
    pub(crate) fn page_prot(&self, index: usize) -> Prot {
        self.pages().and_then(|pages| pages.get(index)).copied().unwrap_or(self.prot)
    }

    /// Per-page protections, once part of the segment was protected apart.
    #[inline]
    pub(crate) fn pages(&self) -> Option<&[Prot]> {
        self.apart.as_ref().map(|apart| &*apart.pages).filter(|pages| !pages.is_empty())
    }

    /// Whether pages have protections of their own.
    #[inline]
    pub(crate) fn paged(&self) -> bool {
        self.pages().is_some()
    }

    /// Pages that map memory of their own.
    #[inline]
    pub(crate) fn frames(&self) -> &[Frame<P>] {
        self.apart.as_ref().map_or(&[], |apart| &apart.frames[..])
    }

    /// Whether its pages are not all alike.
    #[inline]
    pub(crate) fn differ(&self) -> bool {
        self.apart.as_ref().is_some_and(|apart| !apart.pages.is_empty() || PAGES && !apart.frames.is_empty())
    }

    /// The soft-locked pages, once one was locked.
    #[inline]
    pub(crate) fn locks(&mut self) -> Option<&mut Locks> {
        self.apart.as_mut().map(|apart| &mut apart.locks)
    }

    /// A copy for another segment or space: same object, callbacks and protections; no locks. `None` when there is no memory for it.
    #[inline(always)]
    pub(crate) fn duplicate(&self) -> Option<Self> {
        let apart = match &self.apart {
            None => None,
            Some(apart) => apart.for_copy()?,
        };
        if let Some(shared) = &self.shared {
            shared.count();
        }
        Some(Self {
            off: self.off,
            addr: self.addr,
            len: self.len,
            object: self.object.advanced(0),
            shared: self.shared.clone(),
            mapping: self.mapping,
            ticks: self.ticks,
            apart,
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
        })
    }

    /// Cuts `by` bytes off the front.
    #[inline]
    pub(crate) fn cut_front(&mut self, by: u64) {
        self.off += by;
        self.addr += by;
        self.len -= by;
        self.object = self.object.advanced(by);
        if let Some(apart) = &mut self.apart {
            apart.cut_front((by >> crate::PAGE_SHIFT) as usize);
        }
    }

    /// Keeps `len` bytes.
    #[inline]
    pub(crate) fn cut_back(&mut self, len: u64) {
        self.len = len;
        if let Some(apart) = &mut self.apart {
            frames::trim(&mut apart.frames, 0, len);
            apart.pages.truncate((len >> crate::PAGE_SHIFT) as usize);
            apart.locks = Locks::default();
        }
    }
}
