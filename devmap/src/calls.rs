//! The mmap(2) calls under way in a module, and the mappings that they have prepared.
//!
//! The framework puts a segment into the process's address space first and calls devmap_map(9E) afterwards, without a lock in
//! between (docs/shield.md, 30 and 31). Until then other threads of the process can touch, duplicate and unmap it. Their
//! callbacks come with a null private pointer and without a device number; the map callback may then come for a handle that has been freed, or
//! never. So a mapping is in a list here from devmap(9E) on, and whichever callback comes first finds it here, by the framework's handle.
//! No callback waits for another.
//!
//! A call lies on the stack of its segmap(9E), and a list goes through the mappings themselves: nothing is allocated.
//!
//! Locking: one mutex for each module. An mmap(2) takes it four times; callbacks that have their private pointer never do. It
//! comes before a [`MappingSet`]'s lock and a handle's, and is held over no call of the driver but the `look` of
//! [`MapRequest::previous`](crate::MapRequest::previous).

use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::Relaxed;

use ddi_sys as sys;

use crate::errno::Errno;
use crate::fixed::Fixed;
use crate::frame::this_thread;
use crate::handle::Record;
use crate::kmem::try_push;
use crate::request::Terms;
use crate::set::MappingSet;

/// An mmap(2) under way: between segmap(9E)'s beginning and end, on one thread.
pub(crate) struct Call {
    thread: sys::kt_did_t,
    terms: Terms,
    /// The next one in the list.
    next: Cell<*const Call>,
    prepared: List,
}

impl Call {
    /// Of the calling thread.
    #[inline]
    pub(crate) fn new(terms: Terms) -> Call {
        Call { thread: this_thread(), terms, next: Cell::new(ptr::null()), prepared: List::new() }
    }
}

/// Mappings that are prepared, and whose private pointer the framework has not got yet. The last one is the first.
///
/// # Invariants
/// Each lives, with a reference that is the list's, and is in no other list. Its cookie is null, or a handle that devmap(9E) was called with and that the framework has not unmapped since; no other mapping in
/// a list has the same.
struct List(Cell<*mut Record>);

impl List {
    const fn new() -> List {
        List(Cell::new(ptr::null_mut()))
    }

    fn push(&self, record: NonNull<Record>) {
        // SAFETY: the caller's, which lives.
        unsafe { record.as_ref() }.next.store(self.0.get(), Relaxed);
        self.0.set(record.as_ptr());
    }

    fn pop(&self) -> Option<NonNull<Record>> {
        let record = NonNull::new(self.0.get())?;
        // SAFETY: in the list, so it lives.
        self.0.set(unsafe { record.as_ref() }.next.load(Relaxed));
        Some(record)
    }

    /// A handle of an mmap(2) that has failed, and has not come back to us yet, may have had the address of another.
    #[inline]
    fn forget(&self, cookie: sys::devmap_cookie_t) {
        if !self.0.get().is_null() {
            self.iter().filter(|record| record.cookie() == cookie).for_each(Record::forget_cookie);
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Record> {
        let mut next = self.0.get();
        core::iter::from_fn(move || {
            // SAFETY: in the list, so it lives.
            let record = unsafe { next.as_ref() }?;
            next = record.next.load(Relaxed);
            Some(record)
        })
    }

    /// Removes the mapping of this handle, whose reference is the caller's now.
    #[inline]
    fn take(&self, cookie: sys::devmap_cookie_t) -> Option<NonNull<Record>> {
        let mut before: Option<&Record> = None;
        let mut next = self.0.get();
        // SAFETY: in the list, so it lives.
        while let Some(record) = unsafe { next.as_ref() } {
            let behind = record.next.load(Relaxed);
            if record.cookie() == cookie && !cookie.is_null() {
                match before {
                    None => self.0.set(behind),
                    Some(before) => before.next.store(behind, Relaxed),
                }
                return NonNull::new(next);
            }
            before = Some(record);
            next = behind;
        }
        None
    }
}

struct State {
    /// The calls, by way of `Call::next`. Each lives while it is in the list.
    first: *const Call,
    /// Mappings whose mmap(2) is over and whose map callback has not come.
    left: List,
    /// All mappings of each attached instance.
    instances: Vec<MappingSet>,
}

// SAFETY: a call's list is changed under the mutex of this state only; threads and cookies are compared; records are shared between threads.
unsafe impl Send for State {}

impl State {
    fn calls(&self) -> impl Iterator<Item = &Call> {
        let mut next = self.first;
        core::iter::from_fn(move || {
            // SAFETY: in the list, so it lives.
            let call = unsafe { next.as_ref() }?;
            next = call.next.get();
            Some(call)
        })
    }

    /// This thread's call.
    #[inline]
    fn own(&self) -> Option<&Call> {
        let thread = this_thread();
        self.calls().find(|call| call.thread == thread)
    }

    /// Removes a call that is not the first.
    #[cold]
    fn unlink(&self, call: &Call) {
        if let Some(before) = self.calls().find(|other| ptr::eq(other.next.get(), call)) {
            before.next.set(call.next.get());
        }
    }

    fn lists(&self) -> impl Iterator<Item = &List> {
        self.calls().map(|call| &call.prepared).chain(core::iter::once(&self.left))
    }

    /// The mapping of a handle that is not in the list any more: the framework read its private pointer before the map
    /// callback stored it, and called back after.
    fn mapped_since(&self, cookie: sys::devmap_cookie_t) -> Option<NonNull<Record>> {
        self.instances.iter().find_map(|set| set.mapped_by(cookie))
    }
}

pub(crate) struct Calls(Fixed<State>);

impl Calls {
    /// # Safety
    /// It is put where it stays, and [initialised](Calls::init) there.
    pub(crate) unsafe fn new() -> Calls {
        let state = State { first: ptr::null(), left: List::new(), instances: Vec::new() };
        // SAFETY: the caller's.
        Calls(unsafe { Fixed::new(state) })
    }

    /// # Safety
    /// Once, and it does not move from now on.
    pub(crate) unsafe fn init(&self) {
        // SAFETY: the caller's.
        unsafe { self.0.init() };
    }

    /// An instance is attached; these are to be its mappings.
    pub(crate) fn attached(&self, mappings: &MappingSet) -> Result<(), Errno> {
        try_push(&mut self.0.lock().instances, mappings.clone())
    }

    /// The instance with these mappings is detached.
    pub(crate) fn detached(&self, mappings: &MappingSet) {
        self.0.lock().instances.retain(|set| !set.is(mappings));
    }

    /// Adds a call.
    ///
    /// # Safety
    /// It lives until it has [left](Calls::leave).
    #[inline]
    pub(crate) unsafe fn enter(&self, call: &Call) {
        let mut state = self.0.lock();
        call.next.set(state.first);
        state.first = call;
    }

    /// Removes a call. Returns the mappings that have not come to be, for the caller to drop. An mmap(2) that has succeeded may leave mappings whose map callback has not come.
    #[inline]
    pub(crate) fn leave(&self, call: &Call, mapped: bool) -> Abandoned {
        let mut state = self.0.lock();
        if ptr::eq(state.first, call) {
            state.first = call.next.get();
        } else {
            state.unlink(call);
        }
        let abandoned = List::new();
        if !call.prepared.0.get().is_null() {
            sort(&call.prepared, mapped, &state.left, &abandoned);
        }
        Abandoned(abandoned)
    }

    /// Adds a mapping that devmap(9E) is about to set up to this thread's mmap(2), whose arguments it returns; none outside of one. The list has the reference then.
    ///
    /// # Safety
    /// A record that lives, with a reference that is the caller's to give.
    #[inline]
    pub(crate) unsafe fn prepare(&self, record: NonNull<Record>) -> Option<Terms> {
        // SAFETY: the caller's.
        let cookie = unsafe { record.as_ref() }.cookie();
        let state = self.0.lock();
        let thread = this_thread();
        let mut own = None;
        for call in state.calls() {
            if call.thread == thread {
                own = Some(call);
            }
            call.prepared.forget(cookie);
        }
        state.left.forget(cookie);
        let call = own?;
        call.prepared.push(record);
        Some(call.terms)
    }

    /// Looks at the mappings of this mmap(2) that are set up already, the last one first, until `look` returns true.
    pub(crate) fn previous(&self, look: &mut dyn FnMut(NonNull<Record>) -> bool) {
        let state = self.0.lock();
        let Some(call) = state.own() else { return };
        let _ = call.prepared.iter().filter(|record| record.is_ready()).any(|record| look(record.into()));
    }

    /// The map callback of a handle: gives the framework its private pointer.
    ///
    /// Does nothing when the handle is not one that this thread has set up and that still needs one: it was unmapped in the meantime, and may be freed or another's by now.
    ///
    /// # Safety
    /// `place` is the framework's place for the private pointer of the handle, good while the handle is not unmapped.
    #[inline]
    pub(crate) unsafe fn mapped(&self, cookie: sys::devmap_cookie_t, place: *mut *mut c_void) {
        let state = self.0.lock();
        let Some(record) = state.own().and_then(|call| call.prepared.take(cookie)) else { return };
        // SAFETY: it was in the list, so the handle has not been unmapped: its unmap callback comes with a null pointer until the store
        // below, and so takes this lock before anything is taken apart or the framework frees the handle.
        unsafe { record.as_ref() }.activate();
        // Last: from here on an access does not come by this list.
        // SAFETY: likewise, and the caller's place is good then.
        unsafe { *place = record.as_ptr().cast() };
    }

    /// The mapping of a handle whose access or dup callback came with a null pointer: it lives as long as the handle is not unmapped.
    #[cold]
    pub(crate) fn find(&self, cookie: sys::devmap_cookie_t) -> Option<NonNull<Record>> {
        let state = self.0.lock();
        let listed = state.lists().flat_map(List::iter).find(|record| record.cookie() == cookie);
        let Some(record) = listed.filter(|_| !cookie.is_null()) else { return state.mapped_since(cookie) };
        record.activate();
        Some(record.into())
    }

    /// The mapping of a handle whose unmap callback came with a null pointer: the reference is the caller's now.
    #[cold]
    pub(crate) fn take(&self, cookie: sys::devmap_cookie_t) -> Option<NonNull<Record>> {
        let state = self.0.lock();
        let listed = state.lists().find_map(|list| list.take(cookie));
        listed.or_else(|| state.mapped_since(cookie))
    }
}

/// Mappings that have not come to be: the framework has freed their handles without a callback, and makes none.
#[must_use = "each is to be dropped, with its data"]
pub(crate) struct Abandoned(List);

impl Iterator for Abandoned {
    type Item = NonNull<Record>;

    /// The next one, whose reference is the caller's.
    #[inline]
    fn next(&mut self) -> Option<NonNull<Record>> {
        self.0.pop()
    }
}

/// Sorts what a call has prepared: what may be mapped is left, all else is abandoned.
#[cold]
fn sort(prepared: &List, mapped: bool, left: &List, abandoned: &List) {
    while let Some(record) = prepared.pop() {
        // SAFETY: from the list, so it lives.
        let this = unsafe { record.as_ref() };
        let may_be_mapped = mapped && this.is_ready() && !this.cookie().is_null();
        if may_be_mapped { left.push(record) } else { abandoned.push(record) }
    }
}
