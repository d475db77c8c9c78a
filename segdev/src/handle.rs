//! A handle: one contiguous piece of a segment, and what it maps.
//!
//! All that can change is in [`State`] behind the handle's lock (an inner lock: held for a bounded time, never across a
//! callback), but for what is read without it: the private pointer, as the driver's stores to it are; what the handle
//! shares with others, which is set once; its [`Shape`] and its [`Bounds`], which change with the lock held only.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::num::NonZeroU64;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::lock::{LockClass, Mutex as _, Once as _};
use crate::object::Object;
use crate::platform::{MutexGuard, Platform};
use crate::shared::{Shared, Turns};
use crate::state::{Apart, Rare, Shape, State, Terms};
use crate::types::{MapFlags, Prot, SetupFlags};

/// One contiguous piece of a segment (`devmap_cookie_t`). See the crate's documentation for how handles are shared.
// The lock comes first: its address is the handle's.
#[repr(C)]
pub struct Handle<P: Platform> {
    state: P::Mutex<State<P>>,
    bounds: Bounds,
    space: P::Space,
    device: P::Device,
    /// Names the mapping for the ownership of a context: equal in handles split from one another.
    mapping: NonZeroU64,
    pvt: AtomicUsize,
    /// None without callbacks.
    shared: P::Once<Shared<P>>,
    data: P::HandleData,
    /// Of the segment that has this handle only.
    segment: P::SegmentData,
    /// Mapping type and flags.
    map_flags: MapFlags,
    shape: AtomicU16,
    /// Freed: its unmap callback has returned.
    dead: AtomicBool,
}

/// Bounds of a handle. They change with the handle's lock held and, once it is in its space, the space locked as writer: either lock is enough to read
/// it.
struct Bounds {
    off: AtomicU64,
    /// Start of the object while the handle is not placed.
    addr: AtomicU64,
    len: AtomicU64,
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

impl<P: Platform> Handle<P> {
    /// A handle that is to be set up, from the user offset `off` on.
    #[inline(always)]
    pub(crate) fn unset(
        space: P::Space,
        device: P::Device,
        map_flags: MapFlags,
        mapping: NonZeroU64,
        off: u64,
        terms: Terms,
    ) -> Arc<Self> {
        let state = State { object: Object::NONE, ticks: 0, apart: Rare(None), terms };
        Arc::new(Self {
            state: P::Mutex::new(state, LockClass::Handle),
            bounds: Bounds { off: AtomicU64::new(off), addr: AtomicU64::new(0), len: AtomicU64::new(0) },
            space,
            device,
            mapping,
            pvt: AtomicUsize::new(0),
            shared: P::Once::default(),
            data: P::HandleData::default(),
            segment: P::SegmentData::default(),
            map_flags,
            shape: AtomicU16::new((Shape::NEW | Shape::UNPLACED).bits()),
            dead: AtomicBool::new(false),
        })
    }

    /// A copy of what lies from `from` on, for another segment or space: same object, callbacks and protections; no locks. `None` when there
    /// is no memory for it. Takes the handle's lock.
    #[inline(never)]
    pub(crate) fn copy(&self, space: P::Space, mapping: NonZeroU64, from: u64) -> Option<Arc<Self>> {
        let st = self.lock();
        // The memory is there before anything is copied, which then goes there at once.
        let new = Arc::new_cyclic(|_| {
            let shared = self.shared.copy();
            if let Some(shared) = shared.get() {
                shared.count();
            }
            let object = st.object.advanced(from);
            let state = State { object, ticks: st.ticks, apart: Rare(None), terms: st.terms };
            Self {
                state: P::Mutex::new(state, LockClass::Handle),
                bounds: Bounds {
                    off: AtomicU64::new(self.off() + from),
                    addr: AtomicU64::new(self.addr() + from),
                    len: AtomicU64::new(self.len() - from),
                },
                space,
                device: self.device.clone(),
                mapping,
                pvt: AtomicUsize::new(self.pvt()),
                shared,
                data: P::HandleData::default(),
                segment: P::SegmentData::default(),
                map_flags: self.map_flags,
                shape: AtomicU16::new(self.shape().bits()),
                dead: AtomicBool::new(false),
            }
        });
        if st.shape().contains(Shape::APART) {
            let apart = st.apart_for_copy(from);
            drop(st);
            return self.add_apart(new, apart);
        }
        Some(new)
    }

    /// Adds what differs from page to page to a copy, which nobody else has.
    #[cold]
    #[inline(never)]
    #[expect(clippy::option_option, reason = "no memory, or nothing to copy")]
    fn add_apart(&self, copy: Arc<Self>, apart: Option<Option<Box<Apart<P>>>>) -> Option<Arc<Self>> {
        let Some(apart) = apart else {
            // This handle uses it still.
            if let Some(shared) = self.shared() {
                shared.uncount();
            }
            return None;
        };
        let mut st = copy.lock();
        st.mark(Shape::APART, apart.is_some());
        st.apart.0 = apart;
        drop(st);
        Some(copy)
    }

    /// The address space it is mapped in.
    pub fn space(&self) -> &P::Space {
        &self.space
    }

    /// Data of the platform.
    pub fn data(&self) -> &P::HandleData {
        &self.data
    }

    /// The device that it maps.
    #[inline(always)]
    pub fn device(&self) -> &P::Device {
        &self.device
    }

    /// Data of the platform for the segment that has this handle only.
    #[inline(always)]
    pub fn segment_data(&self) -> &P::SegmentData {
        &self.segment
    }

    /// The mapping type and flags.
    #[inline(always)]
    pub fn map_flags(&self) -> MapFlags {
        self.map_flags
    }

    #[inline(always)]
    pub(crate) fn mapping(&self) -> NonZeroU64 {
        self.mapping
    }

    /// The user offset of its first byte. With this and the next two: to be called with its space locked, or in one of its callbacks.
    #[inline(always)]
    pub fn off(&self) -> u64 {
        self.bounds.off.load(Relaxed)
    }

    /// The address of its first byte, once it has one.
    #[inline(always)]
    pub fn addr(&self) -> u64 {
        self.bounds.addr.load(Relaxed)
    }

    /// Bytes.
    #[allow(clippy::len_without_is_empty)]
    #[inline(always)]
    pub fn len(&self) -> u64 {
        self.bounds.len.load(Relaxed)
    }

    /// Entry that it shares with others; none without callbacks, or before a setup function has succeeded.
    #[inline(always)]
    pub(crate) fn shared(&self) -> Option<&Shared<P>> {
        self.shared.get()
    }

    /// Context and softlock of its access callback, if it has one.
    #[inline(always)]
    pub(crate) fn turns(&self) -> Option<&Turns<P>> {
        self.shared()?.turns.as_ref()
    }

    /// Sets what it shares. False if that was set before.
    #[inline(always)]
    pub(crate) fn share(&self, shared: Arc<Shared<P>>) -> bool {
        self.shared.set(shared)
    }

    /// The shape now. Changes with the lock held; what a space's lock rules out does not change with that held.
    #[inline(always)]
    pub(crate) fn shape(&self) -> Shape {
        Shape::from_bits_retain(self.shape.load(Relaxed))
    }

    /// The handle is freed. It was dying.
    #[inline(always)]
    pub(crate) fn bury(&self) {
        self.dead.store(true, Relaxed);
    }

    /// Whether it is freed.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Relaxed)
    }

    /// The driver's private pointer; 0 if it never gave one.
    #[inline]
    pub fn pvt(&self) -> usize {
        self.pvt.load(Relaxed)
    }

    /// Changes the private pointer, as a driver does through the pointer that its map callback was given.
    #[inline]
    pub fn set_private(&self, pvt: usize) {
        self.pvt.store(pvt, Relaxed);
    }

    /// Returns whether an access callback could not get the context in it: whatever it returns, the access is tried again after a wait. For its platform, until
    /// the callback has returned. Takes the handle's lock.
    pub fn must_wait(&self) -> bool {
        self.lock().shape().contains(Shape::MUST_WAIT)
    }

    /// Where it is and what it maps now. Takes the handle's lock.
    pub fn info(&self) -> HandleInfo {
        let st = self.lock();
        let shape = st.shape();
        HandleInfo {
            off: st.off(),
            addr: if shape.contains(Shape::UNPLACED) { 0 } else { st.addr() },
            len: st.len(),
            prot: st.terms.prots.prot,
            paged: st.paged(),
            asked: st.terms.prots.asked,
            maxprot: st.terms.prots.max,
            orig_maxprot: st.terms.prots.orig_max,
            setup: (!shape.contains(Shape::NEW)).then_some(st.terms.flags),
            live: !shape.contains(Shape::DYING),
            invalid: st.terms.flags.contains(SetupFlags::MAPPING_INVALID),
            ticks: st.ticks,
            softlocks: st.apart.0.as_ref().map_or(0, |apart| apart.locks.total()),
        }
    }

    /// Whether any page is soft-locked. Takes the handle's lock only if one has been.
    #[inline]
    pub(crate) fn softlocked(&self) -> bool {
        self.shape().contains(Shape::APART) && self.lock().softlocked()
    }

    #[inline(always)]
    pub(crate) fn lock(&self) -> Hold<'_, P> {
        Hold { handle: self, state: self.state.lock() }
    }
}

/// A handle whose lock is held.
pub(crate) struct Hold<'a, P: Platform> {
    handle: &'a Handle<P>,
    state: MutexGuard<'a, P, State<P>>,
}

impl<P: Platform> Deref for Hold<'_, P> {
    type Target = State<P>;
    #[inline(always)]
    fn deref(&self) -> &State<P> {
        &self.state
    }
}

impl<P: Platform> DerefMut for Hold<'_, P> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut State<P> {
        &mut self.state
    }
}

impl<P: Platform> Hold<'_, P> {
    /// The user offset of its first byte.
    #[inline(always)]
    pub(crate) fn off(&self) -> u64 {
        self.handle.off()
    }

    /// The address of its first byte; 0 until one is chosen.
    #[inline(always)]
    pub(crate) fn addr(&self) -> u64 {
        self.handle.addr()
    }

    /// Bytes.
    #[inline(always)]
    pub(crate) fn len(&self) -> u64 {
        self.handle.len()
    }

    /// The handle is set up for so many bytes; `addr` is where its object begins, or [`NOWHERE`](crate::object::NOWHERE), until it gets an address.
    #[inline(always)]
    pub(crate) fn measure(&mut self, len: u64, addr: u64) {
        self.handle.bounds.len.store(len, Relaxed);
        self.handle.bounds.addr.store(addr, Relaxed);
    }

    /// The handle gets its address.
    #[inline(always)]
    pub(crate) fn place(&mut self, addr: u64) {
        self.handle.bounds.addr.store(addr, Relaxed);
        self.reshape(self.shape() - Shape::UNPLACED);
    }

    /// Cuts `by` bytes off the front.
    #[inline(always)]
    pub(crate) fn cut_front(&mut self, by: u64) {
        let (off, addr, len) = (self.off(), self.addr(), self.len());
        let bounds = &self.handle.bounds;
        bounds.off.store(off + by, Relaxed);
        bounds.addr.store(addr + by, Relaxed);
        bounds.len.store(len - by, Relaxed);
        self.object = self.object.advanced(by);
        if let Some(apart) = &mut self.apart.0 {
            apart.cut_front((by >> crate::PAGE_SHIFT) as usize);
        }
    }

    /// Keeps `len` bytes.
    #[inline(always)]
    pub(crate) fn cut_back(&mut self, len: u64) {
        self.handle.bounds.len.store(len, Relaxed);
        if let Some(apart) = &mut self.apart.0 {
            apart.cut_back(len);
        }
    }

    /// The shape.
    #[inline(always)]
    pub(crate) fn shape(&self) -> Shape {
        self.terms.shape
    }

    /// Unlocks the handle, where there is something unusual about it.
    #[cold]
    #[inline(never)]
    pub(crate) fn unlock_unusual(self) {}

    /// Changes the shape.
    #[inline(always)]
    pub(crate) fn reshape(&mut self, shape: Shape) {
        self.terms.shape = shape;
        self.handle.shape.store(shape.bits(), Relaxed);
    }

    /// Adds or removes some of the shape.
    pub(crate) fn mark(&mut self, what: Shape, on: bool) {
        let mut shape = self.shape();
        shape.set(what, on);
        self.reshape(shape);
    }

    /// Returns the per-page state, which exists from now on.
    pub(crate) fn apart(&mut self) -> &mut Apart<P> {
        self.mark(Shape::APART, true);
        self.state.apart.0.get_or_insert_default()
    }

    /// The handle goes: returns what it maps. It is dying until its unmap callback has returned.
    #[inline(always)]
    pub(crate) fn retire(&mut self) -> Object<P> {
        self.reshape(self.shape() | Shape::DYING);
        self.object.take()
    }

    /// Returns the per-page state for a copy. `None` when there is no memory for it.
    #[cold]
    #[inline(never)]
    #[expect(clippy::option_option, reason = "no memory, or nothing to copy")]
    fn apart_for_copy(&self, from: u64) -> Option<Option<Box<Apart<P>>>> {
        let Some(apart) = &self.apart.0 else { return Some(None) };
        let mut apart = apart.for_copy()?;
        if let Some(apart) = &mut apart {
            apart.cut_front((from >> crate::PAGE_SHIFT) as usize);
        }
        Some(apart)
    }
}
