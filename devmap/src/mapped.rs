//! [`Mapped`]: all mappings of an instance, those of which the framework has not called back yet among them.
//!
//! Two lists go through the mappings themselves, so nothing is allocated: a ring of those that the framework has, and a chain of the *early* ones: set up in devmap(9E), and
//! neither mapped by devmap_map(9E) nor found by another callback before that ([`calls`](crate::calls) says why there are such).
//!
//! Locking: a mutex for each instance, for the lists and for the state of all its mappings. An mmap(2) takes it twice, a fault, a munmap(2) and a fork(2) once. It is the innermost lock: it comes after the
//! driver's own mutexes, and is held over no call of the driver but the `look` of [`MapRequest::previous`](crate::MapRequest::previous) and what is documented so.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, UnsafeCell};
use core::ffi::c_void;
use core::mem::{self, offset_of};
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::{Relaxed, Release};
use core::time::Duration;

use ddi_sys as sys;

use crate::atomic::{AtomicPtr, AtomicU64};
use crate::call;
use crate::errno::Error;
use crate::fixed::{Fixed, Guard};
use crate::frame::{Engine, Seat};
use crate::handle::{Before, Borrowed, ENGINES, Handle, Home, Is, Record, State};
use crate::links::{Links, Place};
use crate::time::sleep_anyhow;
use crate::used::{self, Part as _};

impl Links {
    #[inline(always)]
    fn of(record: NonNull<Record>) -> *mut Links {
        // SAFETY: a field of a record; no reference is made.
        unsafe { (&raw mut (*record.as_ptr()).links).cast() }
    }

    /// Of a mapping that is in a list.
    #[inline(always)]
    fn at(record: &Record) -> &Links {
        // SAFETY: written when it came into the list.
        unsafe { record.links.assume_init_ref() }
    }
}

/// Returns whether an early mapping was set up by this mmap(2).
#[inline(always)]
fn is_of(record: &Record, call: &Call) -> bool {
    ptr::eq(Links::at(record).before.load(Relaxed).cast(), call)
}

/// The mmap(2) that has set up an early mapping, which is in its list while that is locked; its number, if it is over.
fn set_up_by(record: &Record) -> Result<&Call, u32> {
    let call = Links::at(record).before.load(Relaxed).cast::<Call>();
    if call.addr() & 1 != 0 {
        return Err((call.addr() >> 1) as u32);
    }
    // SAFETY: an early mapping's, which by the invariant of the lists has not left.
    Ok(unsafe { &*call })
}

/// Frees the slot of a mapping.
pub(crate) type Free = unsafe fn(NonNull<Record>);

/// The lists.
///
/// # Invariants
/// `ring` is linked to itself, or to mappings of this instance that live until they have left; each leaves before its memory goes. `early` is a chain of such, whose
/// private data is there, whose cookies are null or handles that devmap(9E) was called with and that the framework has not unmapped since, each another. The call that one names has not [left](Mapped::left).
pub(crate) struct Lists {
    ring: Links,
    early: Cell<*mut Links>,
}

// SAFETY: what the lists refer to is shared between threads, and is reached with their lock held.
unsafe impl Send for Lists {}

/// An mmap(2) under way.
pub(crate) type Call = call::Call<Mapped>;

/// All mappings of an instance; in an `Arc`, where it stays.
///
/// # Invariants
/// `home` and `free` are those of the instance, once it has a mapping; the instance lives while it has any.
#[repr(C)]
pub(crate) struct Mapped {
    lists: Fixed<Lists>,
    /// Written before there are mappings.
    home: UnsafeCell<*const Home>,
    /// Frees the slot of a mapping that is over.
    free: AtomicPtr<()>,
    pub(crate) engines: [Engine; ENGINES],
    pub(crate) seat: Seat,
    /// Number of changes of its mappings. Changed with the lock held.
    changes: AtomicU64,
    /// The next attached instance of the module, changed with the lock of their list held.
    pub(crate) next: AtomicPtr<Mapped>,
}

// SAFETY: what it refers to is shared between threads; `home` is written before it is read.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// No mappings. User or kernel context: allocates.
    #[cold]
    #[inline(never)]
    pub(crate) fn new() -> Arc<Mapped> {
        let ring = Links::new(ptr::null_mut(), ptr::null_mut());
        let lists = Lists { ring, early: Cell::new(ptr::null_mut()) };
        // SAFETY: it goes into the `Arc`, where it stays, and is initialised before anybody else has it.
        let lists = unsafe { Fixed::new(lists) };
        let (home, free) = (UnsafeCell::new(ptr::null()), AtomicPtr::new(ptr::null_mut()));
        let engines = [const { Engine::new() }; ENGINES];
        let (seat, changes) = (Seat::new(), AtomicU64::new(0));
        let next = AtomicPtr::new(ptr::null_mut());
        let mapped = Arc::new(Mapped { lists, home, free, engines, seat, changes, next });
        // SAFETY: this once; what an `Arc` holds does not move.
        unsafe { mapped.lists.init() };
        let ring = mapped.ring();
        {
            let lists = mapped.lists.lock();
            lists.ring.next.store(ring, Relaxed);
            lists.ring.before.store(ring, Relaxed);
        }
        mapped
    }

    /// The ring's beginning and end.
    #[inline(always)]
    fn ring(&self) -> *mut Links {
        // SAFETY: a field of a value that stays; no reference is made.
        unsafe { &raw mut (*self.lists.get()).ring }
    }

    /// The instance is attached.
    ///
    /// # Safety
    /// The invariants; once, before there are mappings.
    pub(crate) unsafe fn attached(&self, home: *const Home, free: Free) {
        // SAFETY: the caller's: nobody reads it before there are mappings.
        unsafe { self.home.get().write(home) };
        self.free.store(free as *mut (), Relaxed);
    }

    /// Returns the instance, of which there is a mapping.
    #[inline(always)]
    pub(crate) fn home(&self) -> NonNull<Home> {
        // SAFETY: not written while there are mappings.
        let home = unsafe { self.home.get().read() };
        // SAFETY: by the invariant there is one.
        unsafe { NonNull::new_unchecked(home.cast_mut()) }
    }

    /// Returns what frees a slot of the instance, of which there was a mapping.
    pub(crate) fn free(&self) -> Free {
        // SAFETY: by the invariant it is such a function.
        unsafe { mem::transmute::<*mut (), Free>(self.free.load(Relaxed)) }
    }

    /// Returns an engine, of which there are less than [`ENGINES`].
    #[inline(always)]
    pub(crate) fn engine(&self, number: u8) -> &Engine {
        // SAFETY: the remainder is less than their number.
        unsafe { self.engines.get_unchecked(usize::from(number) % ENGINES) }
    }

    /// Returns the number of an engine.
    pub(crate) fn number(&self, engine: &Engine) -> u8 {
        self.engines.iter().position(|other| ptr::eq(other, engine)).unwrap_or(0) as u8
    }

    /// No engine serves this mapping alone any more; with the lock held.
    #[cold]
    #[inline(never)]
    pub(crate) fn disown(&self, record: *const Record) {
        let owners = self.engines.iter().map(|engine| &engine.owner);
        for owner in owners.filter(|owner| ptr::eq(owner.load(Relaxed).cast(), record)) {
            owner.store(ptr::null_mut(), Relaxed);
        }
    }

    /// Returns the number of changes so far.
    #[inline(always)]
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Relaxed)
    }

    /// One of its mappings is about to be changed, with the lock held.
    pub(crate) fn change(&self) {
        self.changes.store(self.changes().wrapping_add(1), Relaxed);
    }

    /// Takes the lock, for who gives it [back](Mapped::exit).
    #[inline(always)]
    pub(crate) fn enter(&self) {
        self.lists.enter();
    }

    /// Gives the lock back.
    ///
    /// # Safety
    /// This thread has [taken](Mapped::enter) it.
    #[inline(always)]
    pub(crate) unsafe fn exit(&self) {
        // SAFETY: the caller's.
        unsafe { self.lists.exit() };
    }

    /// The lists, with the lock held.
    ///
    /// # Safety
    /// It is.
    #[inline(always)]
    pub(crate) unsafe fn held(&self) -> &Lists {
        // SAFETY: the caller's; who has the lock makes no other reference than such.
        unsafe { &*self.lists.get() }
    }

    /// Adds a mapping to the ring; with the lock held.
    #[inline(always)]
    fn link(&self, _: &Lists, record: NonNull<Record>) {
        let (ring, links) = (self.ring(), Links::of(record));
        // SAFETY: it stays.
        let first = unsafe { &*ring };
        let second = first.next.load(Relaxed);
        // SAFETY: the caller's, which is in no list; the lock is held.
        unsafe { links.write(Links::new(second, ring)) };
        // SAFETY: in the ring.
        unsafe { &*second }.before.store(links, Relaxed);
        first.next.store(links, Relaxed);
    }

    /// Adds a mapping that the framework has; with the lock held.
    #[inline(always)]
    pub(crate) fn join(&self, lists: &Lists, record: NonNull<Record>) {
        self.link(lists, record);
    }

    /// Removes a mapping that is in the ring. Returns whether the caller has the only reference to it; if not, it is retired.
    #[inline(always)]
    pub(crate) fn remove(&self, record: NonNull<Record>) -> bool {
        // SAFETY: the caller's.
        let this = unsafe { record.as_ref() };
        let held = this.lock();
        let links = Links::at(this);
        let (next, before) = (links.next.load(Relaxed), links.before.load(Relaxed));
        // SAFETY: in the ring, as this is.
        unsafe { &*next }.before.store(before, Relaxed);
        // SAFETY: likewise.
        unsafe { &*before }.next.store(next, Relaxed);
        if used::Owners::is_used() && this.place() == Place::Alone {
            self.disown(this);
        }
        let is_alone = this.is_alone();
        if !is_alone {
            this.retire(held);
        }
        is_alone
    }

    /// Adds an early mapping, set up by this mmap(2) as the `number`th of the module; its place says so already.
    #[inline(always)]
    pub(crate) fn prepare(&self, record: NonNull<Record>, call: &Call, number: u32) {
        let links = Links::of(record);
        // SAFETY: the caller's, which lives.
        let this = unsafe { record.as_ref() };
        let lists = self.lists.lock();
        let first = lists.early.get();
        if !first.is_null() {
            lists.forget(this.cookie());
        }
        // SAFETY: it is in no list yet.
        unsafe { links.write(Links::new(first, ptr::from_ref(call).cast_mut().cast())) };
        lists.early.set(links);
        call.prepare(self, number);
    }

    /// The map callback of a handle that this mmap(2) has set up: gives the framework its private pointer.
    ///
    /// Without effect if the mapping is not there any more: it was unmapped in the meantime, and the handle may be freed, or another's by now.
    ///
    /// # Safety
    /// `place` is the framework's place for the private pointer of the handle, good while the handle is not unmapped.
    #[inline(always)]
    pub(crate) unsafe fn mapped(&self, call: &Call, cookie: sys::devmap_cookie_t, place: *mut *mut c_void) {
        // Dropped after the lock.
        let _before: Before;
        let lists = self.lists.lock();
        let record = match lists.take(|record| record.cookie() == cookie && is_of(record, call)) {
            Some(record) => {
                call.mapped();
                self.link(&lists, record);
                // SAFETY: early until now, so it lives.
                let this = unsafe { record.as_ref() };
                this.set_place(Place::Ring);
                // SAFETY: the lock is held.
                let state = unsafe { this.state() };
                if state.activate() {
                    // SAFETY: the caller's.
                    return unsafe { freshen_early(lists, record, place) };
                }
                record
            }
            None => match lists.found(self.ring(), call, cookie) {
                Some(record) => record,
                None => return,
            },
        };
        // SAFETY: it was in a list, so the handle has not been unmapped.
        unsafe { give(place, record) };
    }

    /// The early mapping of a handle: the number of the mmap(2) that has set it up.
    #[cold]
    pub(crate) fn early(&self, cookie: sys::devmap_cookie_t) -> Option<u32> {
        let lists = self.lists.lock();
        let mut early = lists.early().map(|record| lists.record(record));
        early
            .find(|record| record.cookie() == cookie)
            .map(|record| set_up_by(record).map_or_else(|number| number, Call::number))
    }

    /// Makes the early mapping of a handle, if it is there, one that the framework has: `live`, if its callback is not the last one. Stores in `before` what it mapped, to be dropped without any lock.
    #[cold]
    pub(crate) fn promote(
        &self,
        cookie: sys::devmap_cookie_t,
        live: bool,
        before: &mut Option<Before>,
    ) -> Option<NonNull<Record>> {
        let lists = self.lists.lock();
        let record = lists.take(|record| record.cookie() == cookie)?;
        // SAFETY: in the list until now, so it lives.
        let this = unsafe { record.as_ref() };
        if let Ok(call) = set_up_by(this) {
            call.found();
        }
        self.link(&lists, record);
        this.set_place(Place::Ring);
        if live {
            // SAFETY: the lock is held.
            let state = unsafe { this.state() };
            if state.activate() {
                *before = this.refresh(state);
            }
        }
        Some(record)
    }

    /// The mapping that the framework has by this handle: valid as long as it is.
    #[cold]
    pub(crate) fn by_cookie(&self, cookie: sys::devmap_cookie_t) -> Option<NonNull<Record>> {
        self.lists.lock().by_cookie(self.ring(), cookie)
    }

    /// An mmap(2) is over that has early mappings, or had. If it has succeeded, those that may be mapped stay. Returns one of the others, of which there may be more: the framework has freed
    /// their handles without a callback, and makes none.
    #[cold]
    pub(crate) fn left(&self, call: &Call, mapped: bool) -> Option<NonNull<Record>> {
        let lists = self.lists.lock();
        let stays = |record: &Record| mapped && !record.cookie().is_null();
        let early = lists.early().map(|record| lists.record(record));
        for record in early.filter(|record| is_of(record, call) && stays(record)) {
            let number = (call.number() as usize) << 1 | 1;
            Links::at(record).before.store(ptr::without_provenance_mut(number), Relaxed);
        }
        let record = lists.take(|record| is_of(record, call))?;
        lists.record(record).set_place(Place::Nowhere);
        Some(record)
    }

    /// Looks at the mappings of this mmap(2) that are set up already, the last one first, until `look` returns true.
    #[cold]
    pub(crate) fn previous(&self, call: &Call, look: &mut dyn FnMut(NonNull<Record>) -> bool) {
        let lists = self.lists.lock();
        let _ = lists.early().filter(|record| is_of(lists.record(*record), call)).any(look);
    }

    /// Returns the number of mappings, which it counts.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Drops every translation of every mapping. Continues after an error and returns the first.
    #[inline(never)]
    pub(crate) fn unload(&self) -> Result<(), Error> {
        used::Unloads::is_needed();
        let lists = self.lists.lock();
        let mut result = Ok(());
        let mut at = self.ring();
        // Few of many have translations, mostly. An early one has none.
        while let Some(record) = self.next_touched(&lists, &mut at) {
            // SAFETY: the lock is held.
            let state = unsafe { record.state() };
            if let Err(error) = record.unload_touched(state) {
                keep_first(&mut result, error);
            }
        }
        result
    }

    /// The next mapping of the ring, behind `at`, that may have translations.
    #[inline(always)]
    fn next_touched<'l>(&self, lists: &'l Lists, at: &mut *mut Links) -> Option<&'l Record> {
        loop {
            // SAFETY: in the ring, so it lives.
            *at = unsafe { &**at }.next.load(Relaxed);
            if *at == self.ring() {
                return None;
            }
            let record = lists.record(owner(*at));
            // SAFETY: the lock is held.
            if unsafe { record.is_touched_now() } {
                return Some(record);
            }
        }
    }

    /// Locks the lists: nobody joins or leaves meanwhile.
    pub(crate) fn lock(&self) -> Locked<'_> {
        Locked { ring: self.ring(), lists: self.lists.lock() }
    }

    /// References to all mappings. User or kernel context: may sleep for memory.
    pub(crate) fn all(&self) -> Vec<Handle> {
        let mut all = Vec::new();
        loop {
            let locked = self.lock();
            let len = locked.len();
            if len <= all.capacity() {
                for handle in locked.iter() {
                    let handle = Handle::clone(&handle);
                    // There is room: this does not grow, and nothing comes in between.
                    if all.len() < all.capacity() {
                        all.push(handle);
                    }
                }
                return all;
            }
            drop(locked);
            if all.try_reserve(len).is_err() {
                sleep_anyhow(Duration::from_millis(100));
            }
        }
    }
}

/// Gives the framework the private pointer of a mapping.
///
/// # Safety
/// The framework's place for that, of a handle that has not been unmapped; with the lock held.
#[inline(always)]
unsafe fn give(place: *mut *mut c_void, record: NonNull<Record>) {
    // SAFETY: the caller's: the handle's unmap callback comes with a null pointer until the store, and so takes this lock before anything is
    // taken apart or the framework frees the handle. The framework may load the pointer meanwhile, whole.
    let place = unsafe { AtomicPtr::from_ptr(place) };
    // Last: from here on an access does not come by these lists.
    place.store(record.as_ptr().cast(), Release);
}

/// The rest of a map callback for a mapping that is of other memory than the framework's handle is.
///
/// # Safety
/// As of [`give`].
#[cold]
#[inline(never)]
unsafe fn freshen_early(lists: Guard<'_, Lists>, record: NonNull<Record>, place: *mut *mut c_void) {
    let this = lists.record(record);
    // SAFETY: the lock is held.
    let old = this.refresh(unsafe { this.state() });
    // SAFETY: the caller's.
    unsafe { give(place, record) };
    drop(lists);
    drop(old);
}

/// All mappings, while nobody joins or leaves.
pub(crate) struct Locked<'a> {
    ring: *mut Links,
    lists: Guard<'a, Lists>,
}

impl Locked<'_> {
    /// Calls a function for each mapping, with its state, until it returns an error.
    pub(crate) fn each(
        &mut self,
        what: &mut dyn FnMut(&Handle, &mut State) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.iter().try_for_each(|handle| {
            // SAFETY: the lock is held, and this borrowed mutably.
            let state = unsafe { handle.record().state() };
            what(&handle, state)
        })
    }

    fn len(&self) -> usize {
        self.iter().count()
    }

    /// The mappings, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Borrowed> {
        // SAFETY: in the lists, which are locked as long as this is borrowed.
        self.lists.ring(self.ring).chain(self.lists.early()).map(|record| unsafe { Borrowed::new(record) })
    }
}

/// Of several errors the first is returned.
#[cold]
#[inline(never)]
pub(crate) fn keep_first(result: &mut Result<(), Error>, error: Error) {
    *result = result.and(Err(error));
}

/// The mapping of these links.
#[inline(always)]
fn owner(links: *mut Links) -> NonNull<Record> {
    let record = links.wrapping_byte_sub(offset_of!(Record, links)).cast::<Record>();
    // SAFETY: of a record, which is not at 0.
    unsafe { NonNull::new_unchecked(record) }
}

impl Lists {
    /// A mapping that is, or was until now, in one of these: it lives as long as they are locked.
    #[inline(always)]
    fn record(&self, record: NonNull<Record>) -> &Record {
        // SAFETY: the invariant; what leaves the lists takes their lock first.
        unsafe { record.as_ref() }
    }

    #[inline(always)]
    fn ring(&self, ring: *mut Links) -> impl Iterator<Item = NonNull<Record>> {
        let mut next = self.ring.next.load(Relaxed);
        core::iter::from_fn(move || {
            if next == ring {
                return None;
            }
            let this = owner(next);
            // SAFETY: in the ring, so it lives.
            next = unsafe { &*next }.next.load(Relaxed);
            Some(this)
        })
    }

    /// Pointers, with which the whole slot can be reached; a reference to a record is to that only.
    fn early(&self) -> impl Iterator<Item = NonNull<Record>> {
        let mut next = self.early.get();
        core::iter::from_fn(move || {
            if next.is_null() {
                return None;
            }
            let this = owner(next);
            next = Links::at(self.record(this)).next.load(Relaxed);
            Some(this)
        })
    }

    /// Takes an early mapping out.
    #[inline(always)]
    fn take(&self, which: impl Fn(&Record) -> bool) -> Option<NonNull<Record>> {
        let mut place = self.early.as_ptr();
        loop {
            // SAFETY: the beginning of the list, or in a mapping that is in it, which lives; that is locked.
            let next = unsafe { *place };
            if next.is_null() {
                return None;
            }
            let record = owner(next);
            let links = Links::at(self.record(record));
            if which(self.record(record)) {
                // SAFETY: likewise.
                unsafe { *place = links.next.load(Relaxed) };
                return Some(record);
            }
            place = links.next.as_ptr();
        }
    }

    /// A handle of an mmap(2) that has failed, and has not come back to us yet, may have had the address of another.
    #[cold]
    #[inline(never)]
    fn forget(&self, cookie: sys::devmap_cookie_t) {
        let early = self.early().map(|record| self.record(record));
        early.filter(|record| record.cookie() == cookie).for_each(Record::forget_cookie);
    }

    /// The mapping that the framework has by this handle.
    #[cold]
    #[inline(never)]
    fn by_cookie(&self, ring: *mut Links, cookie: sys::devmap_cookie_t) -> Option<NonNull<Record>> {
        self.ring(ring).find(|record| {
            let record = self.record(*record);
            // SAFETY: the lock is held.
            let is_live = unsafe { record.state() }.is.contains(Is::LIVE);
            is_live && record.cookie() == cookie
        })
    }

    /// The mapping of a handle that another callback has found before the map callback.
    #[inline(always)]
    fn found(&self, ring: *mut Links, call: &Call, cookie: sys::devmap_cookie_t) -> Option<NonNull<Record>> {
        if call.has_found() { self.by_cookie(ring, cookie) } else { None }
    }
}
