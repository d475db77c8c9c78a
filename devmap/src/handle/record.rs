//! [`Record`]: everything about one mapping but the driver's data, which lies behind it ([`Slot`](crate::slot::Slot)): one allocation.
//!
//! Locking: its state is behind the mutex of its instance's mappings; see the [module](super).

mod cuts;
mod translations;

use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::mem::{self, MaybeUninit};
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use ddi_sys as sys;

use super::Borrowed;
use super::kept::{Before, Place};
use super::parts::Live;
use super::state::{Is, State, Target};
use crate::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU16, AtomicU64, AtomicUsize};
use crate::frame::Routine;
use crate::links;
use crate::mapped::{Lists, Mapped};
use crate::memory::Memory;
use crate::probe;
use crate::threads::Threads;
use crate::used::{self, Part as _};

/// The instance that a mapping is of, as its record knows it; the beginning of an [`Instance`](crate::instance::Instance).
pub(crate) struct Home {
    pub dip: *mut sys::dev_info_t,
    /// Callbacks of a mapping with access, of the first engine.
    pub callbacks: &'static sys::devmap_callback_ctl,
    /// devmap_contextmgt(9E) of the device's mappings.
    pub switch: Switch,
    /// The routines of switches under way, of threads that have no seat.
    pub switches: &'static Threads<Routine>,
}

/// devmap_contextmgt(9E).
pub(crate) type Switch =
    unsafe extern "C-unwind" fn(sys::devmap_cookie_t, *mut c_void, i64, usize, u32, u32) -> c_int;

/// The greatest number of engines.
pub(crate) const ENGINES: usize = 8;

/// One mapping; what its [`Handle`](super::Handle)s refer to.
///
/// # Invariants
/// `cookie` is a handle that devmap(9E) was called with, or a callback, or null. While the mapping is live the framework has it, and with the lock held its unmap
/// callback does not return. `mapped` is the instance's, and lives as long as this: the instance, which has a reference, lives while the mapping is prepared or live, and a mapping that is [gone](Is::GONE) has a
/// reference of its own.
#[repr(C)]
pub(crate) struct Record {
    mapped: NonNull<Mapped>,
    /// The framework's handle. Changed with the lock held.
    cookie: AtomicPtr<c_void>,
    /// Neighbours among the mappings of the instance, while it is in a list.
    pub(crate) links: MaybeUninit<links::Links>,
    /// Behind the lock.
    state: UnsafeCell<State>,
    /// The user offset at which the mapping starts, in bytes. Changed, as `len` is, with the lock held, by the thread that is in devmap(9E) or an unmap callback.
    offset: AtomicU64,
    /// Length in bytes, a multiple of the page size.
    len: AtomicUsize,
    /// A [`links::Place`], changed with the lock held.
    place: AtomicU8,
    /// Whether translations may exist: set, with the lock held, before any is loaded; cleared with it when all have been unloaded. Whoever reads it without the lock
    /// sees what was loaded before; keeping later loads apart is the driver's, as it is of an unload.
    loaded: AtomicBool,
    /// The context timeout that the framework has for it, in ticks. Changed with the lock held.
    ticks: AtomicU16,
    /// Number of references beside one; the framework's private pointer is one. The mappings of its instance have none, for a mapping leaves them before it gives this up. From 2^31 on
    /// it is negative, nobody counts any more, and the record stays for good: so many take half of a kernel's memory, unless they are forgotten (`core::mem::forget`).
    others: AtomicI32,
}

const _: () = assert!(size_of::<Record>() == 80);

// SAFETY: the framework's handle belongs to no thread, and is used as the invariants say; the instance is only reached for the node, which is only passed to the kernel; the
// rest is atomic or behind the mutex.
unsafe impl Send for Record {}
// SAFETY: as above.
unsafe impl Sync for Record {}

/// The state of a mapping, with the lock of its instance's mappings held.
pub(crate) struct Held<'a> {
    /// The only thing that is kept: what is at hand without a register of its own.
    record: &'a Record,
    thread: PhantomData<*mut ()>,
}

impl<'a> Held<'a> {
    /// The same lock, for another mapping of the instance.
    ///
    /// # Safety
    /// Of the same instance.
    #[inline(always)]
    pub(crate) unsafe fn other<'b>(self, record: &'b Record) -> Held<'b>
    where
        'a: 'b,
    {
        mem::forget(self);
        Held { record, thread: PhantomData }
    }

    /// Only the lock.
    #[inline(always)]
    pub(crate) fn lists(&self) -> &Lists {
        // SAFETY: the lock is held.
        unsafe { self.record.mapped().held() }
    }
}

impl Drop for Held<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: this thread has taken it.
        unsafe { self.record.mapped().exit() };
    }
}

impl Deref for Held<'_> {
    type Target = State;
    #[inline(always)]
    fn deref(&self) -> &State {
        // SAFETY: the lock is held, and this the only way to the states of its mappings meanwhile.
        unsafe { &*self.record.state.get() }
    }
}

impl DerefMut for Held<'_> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut State {
        // SAFETY: as in `deref`, and this is borrowed mutably.
        unsafe { &mut *self.record.state.get() }
    }
}

impl Record {
    /// A mapping with one reference, that comes to this place next.
    ///
    /// # Safety
    /// The invariants; `mapped` is from `Arc::as_ptr`.
    #[inline(always)]
    pub(crate) unsafe fn new(
        mapped: NonNull<Mapped>,
        cookie: sys::devmap_cookie_t,
        (offset, len): (u64, usize),
        state: State,
        place: links::Place,
    ) -> Record {
        Record {
            loaded: AtomicBool::new(state.is.contains(Is::UNSEEN)),
            mapped,
            cookie: AtomicPtr::new(cookie),
            links: MaybeUninit::uninit(),
            state: UnsafeCell::new(state),
            offset: AtomicU64::new(offset),
            len: AtomicUsize::new(len),
            others: AtomicI32::new(0),
            ticks: AtomicU16::new(0),
            place: AtomicU8::new(place as u8),
        }
    }

    /// As [`mapped`](Record::mapped), from `Arc::as_ptr`.
    #[inline(always)]
    pub(crate) fn mapped_ptr(&self) -> NonNull<Mapped> {
        self.mapped
    }

    /// The mappings of its instance.
    #[inline(always)]
    pub(crate) fn mapped(&self) -> &Mapped {
        // SAFETY: the invariant.
        unsafe { self.mapped.as_ref() }
    }

    /// A copy of a mapping, or of its part that begins `from` bytes behind its start, in place of `to`, in the unusual cases; not live. Gives the lock of the other back.
    ///
    /// # Safety
    /// There is room for it, at the beginning of a slot of the same device.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn copy_to(
        to: NonNull<Record>,
        (old, from, state): (&Record, u64, Held<'_>),
        range: (u64, usize),
    ) {
        let users = state.is_users();
        let derived = if users { State::new() } else { state.derived(from) };
        drop(state);
        // SAFETY: of the same instance.
        let record =
            unsafe { Record::new(old.mapped_ptr(), ptr::null_mut(), range, derived, links::Place::Nowhere) };
        // SAFETY: the caller's: there is room for it.
        unsafe { to.write(record) };
        if users {
            // SAFETY: it lives longer than this.
            unsafe { Borrowed::new(to) }.adopt(old, from);
        }
    }

    /// A copy of a mapping, in place of `to`, in the unusual cases, that the framework has by this handle. It has joined the others. Gives the lock of the other back.
    ///
    /// # Safety
    /// As of [`copy_to`](Record::copy_to).
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn bear(
        to: NonNull<Record>,
        (old, state): (&Record, Held<'_>),
        cookie: sys::devmap_cookie_t,
    ) {
        let changes = old.mapped().changes();
        // SAFETY: the caller's.
        unsafe { Record::copy_to(to, (old, 0, state), old.range()) };
        // SAFETY: made just now.
        unsafe { Record::join(to, cookie, old, changes) };
    }

    /// The framework has a copy of `old` that was not prepared, by this handle: it joins the mappings of its instance. What was done to the other one after so many `changes` of the instance's mappings is done to this one, too.
    ///
    /// # Safety
    /// It lives, and is in no list.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn join(
        record: NonNull<Record>,
        cookie: sys::devmap_cookie_t,
        old: &Record,
        changes: u64,
    ) {
        // SAFETY: the caller's.
        let this = unsafe { record.as_ref() };
        let mut state = this.lock();
        let is_stale = this.activate(&mut state, cookie);
        this.mapped().join(state.lists(), record);
        this.set_place(links::Place::Ring);
        let before = if is_stale { this.refresh(&mut state) } else { None };
        let is_changed = used::Unloads::is_used() && this.mapped().changes() != changes;
        drop(state);
        drop(before);
        if is_changed {
            // SAFETY: it lives longer than this.
            unsafe { Borrowed::new(record) }.follow(old, 0);
        }
    }

    /// One reference more.
    #[inline]
    pub(super) fn refer(&self) {
        if self.others.fetch_add(1, Relaxed) < 0 {
            self.count_no_more();
        }
    }

    /// As many threads as there can be at this moment do not bring the number back to one that is counted.
    #[cold]
    #[inline(never)]
    fn count_no_more(&self) {
        self.others.store(i32::MIN / 2, Relaxed);
    }

    /// Drops a reference; frees the record with the last one.
    ///
    /// # Safety
    /// The caller's reference, which it does not use any more.
    #[inline]
    pub(crate) unsafe fn release(record: NonNull<Record>) {
        // SAFETY: the reference keeps it.
        let this = unsafe { record.as_ref() };
        if this.is_alone() || this.others.fetch_sub(1, Release) < 1 {
            // SAFETY: the caller's, which this was.
            unsafe { Record::released(record) };
        }
    }

    /// The rest of a [release](Record::release) when nobody else has a reference, or nobody counts them.
    ///
    /// # Safety
    /// The caller's reference, given up.
    #[cold]
    #[inline(never)]
    unsafe fn released(record: NonNull<Record>) {
        // SAFETY: nobody else has a reference that could be given up, or none is.
        let this = unsafe { record.as_ref() };
        // 0 if the caller's was the only one when it looked, else -1.
        if this.others.load(Acquire) < -1 {
            return this.count_no_more();
        }
        // SAFETY: this was the last reference, and nobody can have another by now.
        unsafe { Record::free(record) };
    }

    /// # Safety
    /// Nobody uses it any more. It is gone, as a mapping is to which there was another reference when the framework gave up its own.
    unsafe fn free(record: NonNull<Record>) {
        // SAFETY: it is there until this ends it.
        let this = unsafe { record.as_ref() };
        let (mapped, free) = (this.mapped.as_ptr(), this.mapped().free());
        // SAFETY: the caller's; a slot of this instance.
        unsafe { free(record) };
        // SAFETY: the reference of a mapping that is gone, from `retire`.
        unsafe { Arc::decrement_strong_count(mapped) };
    }

    /// Returns whether the caller's is the only reference. If the mapping is in no set of its instance, nobody else can have one by then.
    #[inline]
    pub(crate) fn is_alone(&self) -> bool {
        self.others.load(Acquire) == 0
    }

    #[inline]
    pub(crate) fn lock(&self) -> Held<'_> {
        self.mapped().enter();
        Held { record: self, thread: PhantomData }
    }

    /// Returns the state, of which the caller holds the lock.
    ///
    /// # Safety
    /// The lock of its instance's mappings is held for as long as the result is used, and nothing else reaches the state meanwhile; or the caller has the only reference to a mapping that is in no list.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn state(&self) -> &mut State {
        // SAFETY: the caller's.
        unsafe { &mut *self.state.get() }
    }

    #[inline]
    pub(crate) fn cookie(&self) -> sys::devmap_cookie_t {
        self.cookie.load(Relaxed)
    }

    /// Returns whether the mapping exists, without the lock.
    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.place(), links::Place::Ring | links::Place::Alone)
    }

    /// The framework has the handle of a mapping that is prepared freed, or may have.
    pub(crate) fn forget_cookie(&self) {
        self.cookie.store(ptr::null_mut(), Relaxed);
    }

    /// Returns its place among the mappings of the instance.
    #[inline(always)]
    pub(crate) fn place(&self) -> links::Place {
        match self.place.load(Relaxed) {
            1 => links::Place::Early,
            2 => links::Place::Ring,
            3 => links::Place::Alone,
            _ => links::Place::Nowhere,
        }
    }

    #[inline(always)]
    pub(crate) fn set_place(&self, place: links::Place) {
        self.place.store(place as u8, Relaxed);
    }

    /// Returns its instance, which is there while it is live, or prepared.
    #[inline]
    pub(crate) fn home(&self) -> NonNull<Home> {
        self.mapped().home()
    }

    /// Returns what a mapping that is live knows of its instance.
    ///
    /// # Safety
    /// It is live, or prepared, as long as the result is used.
    #[inline]
    pub(crate) unsafe fn instance(&self) -> &Home {
        // SAFETY: by the invariant the instance is there.
        unsafe { self.home().as_ref() }
    }

    /// Whether it may have translations, without its lock.
    #[inline]
    pub(crate) fn is_touched(&self) -> bool {
        self.loaded.load(Relaxed)
    }

    /// As [`is_touched`](Record::is_touched), with the lock.
    ///
    /// # Safety
    /// The lock is held.
    #[inline(always)]
    pub(crate) unsafe fn is_touched_now(&self) -> bool {
        // SAFETY: it is written with the lock held only.
        unsafe { *self.loaded.as_ptr() }
    }

    /// It is about to be changed, with the lock held.
    pub(super) fn change(&self) {
        self.mapped().change();
    }

    /// Returns the offset and the length, in bytes.
    #[inline]
    pub(crate) fn range(&self) -> (u64, usize) {
        (self.offset.load(Relaxed), self.len.load(Relaxed))
    }

    /// Returns the offset, in bytes.
    #[inline]
    pub(crate) fn offset(&self) -> u64 {
        self.offset.load(Relaxed)
    }

    /// The part of a range that the mapping has, in the framework's types.
    pub(crate) fn clamp(&self, offset: u64, len: usize) -> Option<(i64, usize)> {
        let (first, whole) = self.range();
        let end = offset.saturating_add(len as u64).min(first.saturating_add(whole as u64));
        let start = offset.max(first);
        let len = usize::try_from(end.checked_sub(start)?).ok().filter(|&len| len > 0)?;
        Some((i64::try_from(start).ok()?, len))
    }

    /// Memory that it maps, chosen in devmap(9E).
    #[inline(always)]
    pub(super) fn set_target(&self, target: Target, len: usize) {
        self.loaded.store(target.loads_unseen, Relaxed);
        self.len.store(len, Relaxed);
        if self.is_alone() {
            // SAFETY: nobody else has a reference, and it is in no list.
            return unsafe { self.state() }.set_target(target);
        }
        self.lock().set_target(target);
    }

    /// As [`set_target`](Record::set_target), of a process's memory, among whose mappings it is at this place.
    pub(crate) fn set_user_target(&self, target: Target, len: usize, seat: Place) {
        self.set_target(target, len);
        self.lock().rare().pinned = Some(seat);
    }

    /// The framework has it, a copy that was not prepared, by this handle; with the lock held. Returns whether it is to be [refreshed](Record::refresh).
    #[inline(always)]
    fn activate(&self, state: &mut State, cookie: sys::devmap_cookie_t) -> bool {
        self.cookie.store(cookie, Relaxed);
        state.activate()
    }

    /// The framework is about to forget it, and somebody else has a reference. What it mapped is freed after letting go of the lock.
    #[cold]
    #[inline(never)]
    pub(crate) fn retire(&self, mut state: Held<'_>) {
        self.set_place(links::Place::Nowhere);
        self.cookie.store(ptr::null_mut(), Relaxed);
        self.loaded.store(false, Relaxed);
        if !state.is.contains(Is::GONE) {
            // SAFETY: from `Arc::as_ptr`, of the instance that is still there. `free` gives it back.
            unsafe { Arc::increment_strong_count(self.mapped.as_ptr()) };
        }
        let old = state.retire();
        drop(state);
        drop(old);
    }

    /// As [`retire`](Record::retire), of the only reference, whose memory is freed next.
    ///
    /// # Safety
    /// The caller's is the only reference, the mapping is in no list, and the record is not used any more, nor dropped.
    #[inline(always)]
    pub(crate) unsafe fn retire_alone(&self) {
        // SAFETY: nobody else has a reference.
        let state = unsafe { self.state.get().read() };
        state.kept.release();
    }

    /// From now on accesses fail.
    pub(super) fn invalidate(&self, state: &mut State) {
        let (offset, len) = self.range();
        probe::revoke(self.cookie(), offset, len);
        self.change();
        state.is |= Is::INVALID | Is::OWN_VALIDITY;
    }

    /// Accesses are served again.
    pub(super) fn validate(&self, state: &mut State) {
        self.change();
        state.is = (state.is - Is::INVALID) | Is::OWN_VALIDITY;
    }

    /// From now on accesses fail. The mapping is live.
    pub(super) fn refuse(&self, state: &mut State) {
        self.invalidate(state);
        let _ = self.unload_now(state.is.contains(Is::UNSEEN));
    }

    /// Notes that the mapping is of this memory now. If the framework's handle cannot be told yet, it will be. What this returns is to be dropped without the lock.
    pub(super) fn point(
        &self,
        state: &mut State,
        memory: Memory,
        pinned: Option<Place>,
        start: i64,
    ) -> Before {
        let seat = match (state.kept.look(), pinned) {
            (None, None) => None,
            (_, pinned) => mem::replace(&mut state.rare().pinned, pinned),
        };
        let old = (state.kept.replace(memory), seat);
        state.start = start;
        state.is |= Is::OWN_MEMORY;
        self.remapped(state);
        if !state.is.contains(Is::LIVE) {
            state.is |= Is::STALE;
            let rare = state.rare();
            if rare.before.is_none() {
                // The framework may load from it until it is told.
                rare.before = Some(old);
                return (None, None);
            }
        }
        old
    }

    /// It was made to map something else, with which nothing is loaded.
    pub(super) fn remapped(&self, state: &mut State) {
        self.change();
        state.is |= Is::REMAPPED;
        self.loaded.store(state.is.contains(Is::UNSEEN), Relaxed);
    }

    /// Makes a stale handle of the framework's map what it should; its accesses fail if that cannot be done. What this returns is to be dropped without the lock. The mapping is live.
    #[cold]
    pub(crate) fn refresh(&self, state: &mut State) -> Option<Before> {
        let memory = state.kept.memory()?;
        if self.remap(state, &memory, state.start, state.max_protection.into()) != sys::DDI_SUCCESS {
            self.refuse(state);
            return None; // it stays what it is, and what it maps stays
        }
        state.is -= Is::STALE;
        self.apply_parts(state);
        state.kept.look_mut().and_then(|rare| rare.before.take())
    }

    /// Makes the change in the framework for all parts; accesses fail if one is refused. The mapping is live.
    #[inline(never)]
    pub(super) fn apply_parts(&self, state: &mut State) {
        if !used::Pages::is_used() {
            return;
        }
        let (start, len) = self.range();
        let end = start.saturating_add(len as u64);
        let refused = state.parts().is_some_and(|parts| !parts.apply(self.live(state), start, end));
        if refused {
            self.refuse(state);
        }
    }

    /// The framework's handle of a mapping that is live.
    pub(super) fn live(&self, state: &State) -> Live {
        // SAFETY: it is live.
        let dip = unsafe { self.instance() }.dip;
        Live { cookie: self.cookie(), dip, order: state.order }
    }

    /// Points the framework's handle of a mapping that is live at other memory.
    pub(super) fn remap(&self, state: &State, memory: &Memory, start: i64, max: u32) -> c_int {
        let Live { cookie: dhp, dip, order } = self.live(state);
        let len = self.range().1;
        let cookie = match memory {
            Memory::Registers(registers) => {
                let mut attributes = order.unwrap_or(memory.order()).attributes();
                probe::remap(dhp, dip, registers.set() as usize, registers.start() as i64 + start, len, max);
                // SAFETY: a live handle, set up with DEVMAP_ALLOW_REMAP; a register set of its device.
                return unsafe {
                    sys::devmap_devmem_remap(
                        dhp,
                        dip,
                        registers.set(),
                        registers.start() as i64 + start,
                        len,
                        max,
                        0,
                        &raw mut attributes,
                    )
                };
            }
            Memory::Umem(umem) => umem.cookie(),
            Memory::User(user) => user.cookie(),
        };
        probe::remap(dhp, dip, cookie as usize, start, len, max);
        // SAFETY: a live handle, set up with DEVMAP_ALLOW_REMAP; a cookie that is not null and lives.
        unsafe { sys::devmap_umem_remap(dhp, dip, cookie, start, len, max, 0, ptr::null_mut()) }
    }

    /// Returns the framework's timeout for the next switch.
    #[inline(always)]
    pub(crate) fn ticks(&self) -> u16 {
        self.ticks.load(Relaxed)
    }

    /// Sets the framework's timeout for the next switch, if it differs. In the access callback.
    #[inline(always)]
    pub(crate) fn set_ticks(&self, ticks: u16) {
        if self.ticks.load(Relaxed) != ticks {
            self.set_other_ticks(ticks);
        }
    }

    #[cold]
    #[inline(never)]
    fn set_other_ticks(&self, ticks: u16) {
        let state = self.lock();
        if state.is.contains(Is::LIVE) {
            // SAFETY: the handle lives, see `retire`.
            unsafe { sys::devmap_set_ctx_timeout(self.cookie(), ticks.into()) };
            self.ticks.store(ticks, Relaxed);
        }
    }
}
