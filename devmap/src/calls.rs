//! The mmap(2) calls under way in a module, and the mappings that they have set up.
//!
//! The framework puts a segment into the process's address space first and calls devmap_map(9E) afterwards, without a lock in
//! between (docs/shield.md, 30 and 31). Until then other threads of the process can touch, duplicate and unmap it. Their
//! callbacks come with a null private pointer and without a device number; the map callback may then come for a handle that has been freed, or
//! never. So a mapping is in this list from devmap(9E) on, and whichever callback comes first finds its private data here, by the framework's handle.
//! No callback waits for another.
//!
//! Locking: one mutex for each module. An mmap(2) takes it a few times; callbacks that have their private pointer never do. It
//! comes before a [`MappingSet`]'s lock and a handle's, and is held over no call of the driver but the `look` of
//! [`MapRequest::previous`](crate::MapRequest::previous).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr::{self, NonNull};

use ddi_sys as sys;

use crate::callbacks::Slot;
use crate::device::Device;
use crate::errno::Errno;
use crate::frame::this_thread;
use crate::kmem::try_push;
use crate::request::Terms;
use crate::set::MappingSet;
use crate::sync::Mutex;

/// An mmap(2) under way: between segmap(9E)'s beginning and end, on one thread.
struct Call {
    thread: sys::kt_did_t,
    terms: Terms,
}

/// A mapping that is set up, and whose private pointer the framework has not got yet.
///
/// # Invariants
/// `slot` is from `Box::into_raw` and belongs to the entry: who removes the entry owns it. A `cookie` that is not null is a handle that
/// devmap(9E) was called with and that the framework has not unmapped since; no other entry has it.
struct Prepared<D: Device> {
    /// The thread that is in mmap(2); [`NOBODY`] when that is over and the map callback has not come.
    thread: sys::kt_did_t,
    cookie: sys::devmap_cookie_t,
    slot: NonNull<Slot<D>>,
}

/// No thread's identity.
const NOBODY: sys::kt_did_t = 0;

struct State<D: Device> {
    calls: Vec<Call>,
    prepared: Vec<Prepared<D>>,
    /// All mappings of each attached instance.
    instances: Vec<MappingSet>,
}

// SAFETY: cookies are only compared; a slot is what the framework may have in any thread, so its parts are `Send` and `Sync`
// (`Mapping`, `Device`).
unsafe impl<D: Device> Send for State<D> {}

pub(crate) struct Calls<D: Device>(Mutex<State<D>>);

impl<D: Device> Prepared<D> {
    /// Returns whether this is the handle's entry.
    fn is(&self, cookie: sys::devmap_cookie_t) -> bool {
        self.cookie == cookie && !cookie.is_null()
    }
}

impl<D: Device> State<D> {
    /// Removes an entry: its slot, which is the caller's now.
    fn remove(&mut self, which: impl Fn(&Prepared<D>) -> bool) -> Option<NonNull<Slot<D>>> {
        let mut found = None;
        self.prepared.retain(|entry| {
            let is_it = found.is_none() && which(entry);
            if is_it {
                found = Some(entry.slot);
            }
            !is_it
        });
        found
    }

    /// The private data of a handle that is not in the list any more: the framework read its private pointer before the map
    /// callback stored it, and called back after.
    fn mapped_since(&self, cookie: sys::devmap_cookie_t) -> Option<NonNull<Slot<D>>> {
        self.instances.iter().find_map(|set| set.private_pointer(cookie)).map(NonNull::cast)
    }
}

impl<D: Device> Calls<D> {
    pub(crate) fn new() -> Calls<D> {
        Calls(Mutex::new(State { calls: Vec::new(), prepared: Vec::new(), instances: Vec::new() }))
    }

    /// An instance is attached; these are to be its mappings.
    pub(crate) fn attached(&self, mappings: &MappingSet) -> Result<(), Errno> {
        try_push(&mut self.0.lock().instances, mappings.clone())
    }

    /// The instance with these mappings is detached.
    pub(crate) fn detached(&self, mappings: &MappingSet) {
        self.0.lock().instances.retain(|set| !set.is(mappings));
    }

    /// Notes that this thread is in mmap(2), until the guard goes.
    pub(crate) fn enter(&self, terms: Terms) -> Result<InCall<'_, D>, Errno> {
        let thread = this_thread();
        try_push(&mut self.0.lock().calls, Call { thread, terms })?;
        Ok(InCall { calls: self, thread, mapped: false })
    }

    /// Returns the arguments of this thread's mmap(2); none outside of one.
    pub(crate) fn terms(&self) -> Option<Terms> {
        let thread = this_thread();
        self.0.lock().calls.iter().find(|call| call.thread == thread).map(|call| call.terms)
    }

    /// Looks at the private data of the parts of this mmap(2) that are set up already, the last one first, until `look` returns true.
    pub(crate) fn previous(&self, look: &mut dyn FnMut(&D::Mapping) -> bool) {
        let thread = this_thread();
        let state = self.0.lock();
        let mut parts = state.prepared.iter().rev().filter(|entry| entry.thread == thread);
        // SAFETY: the entry's, and the lock keeps the entry. Others only read it.
        let _ = parts.any(|entry| look(&unsafe { entry.slot.as_ref() }.mapping));
    }

    /// Keeps a mapping that devmap(9E) has set up, until the first callback that can tell the framework of it. `ENXIO` outside of mmap(2),
    /// `ENOMEM`; the slot is dropped then.
    pub(crate) fn prepare(&self, cookie: sys::devmap_cookie_t, slot: Box<Slot<D>>) -> Result<(), Errno> {
        let thread = this_thread();
        let slot = NonNull::from(Box::leak(slot));
        let result = {
            let mut state = self.0.lock();
            // A handle of an mmap(2) that has failed, and has not come back to us yet, may have had this address.
            let same = state.prepared.iter_mut().filter(|entry| entry.cookie == cookie);
            same.for_each(|entry| entry.cookie = ptr::null_mut());
            if state.calls.iter().any(|call| call.thread == thread) {
                try_push(&mut state.prepared, Prepared { thread, cookie, slot })
            } else {
                Err(Errno::ENXIO)
            }
        };
        if result.is_err() {
            // SAFETY: leaked above, and no entry has it.
            unsafe { discard(slot) };
        }
        result
    }

    /// The map callback of a handle: gives the framework its private pointer.
    ///
    /// Does nothing when the handle is not one that this thread has set up and that still needs one: it was unmapped in the meantime, and may be freed or another's by now.
    ///
    /// # Safety
    /// `place` is the framework's place for the private pointer of the handle, good while the handle is not unmapped.
    pub(crate) unsafe fn mapped(&self, cookie: sys::devmap_cookie_t, place: *mut *mut c_void) {
        let thread = this_thread();
        let mut state = self.0.lock();
        let Some(slot) = state.remove(|entry| entry.thread == thread && entry.is(cookie)) else { return };
        // SAFETY: the entry was there, so the handle has not been unmapped: its unmap callback comes with a null pointer until the store
        // below, and so takes this lock before anything is taken apart or the framework frees the handle.
        unsafe { slot.as_ref() }.handle.activate(cookie, slot.as_ptr().cast());
        // Last: from here on an access does not come by this list.
        // SAFETY: likewise, and the caller's place is good then.
        unsafe { *place = slot.as_ptr().cast() };
    }

    /// The private data of a handle whose access or dup callback came with a null pointer.
    #[cold]
    pub(crate) fn find(&self, cookie: sys::devmap_cookie_t) -> Option<NonNull<Slot<D>>> {
        let state = self.0.lock();
        let Some(entry) = state.prepared.iter().find(|entry| entry.is(cookie)) else {
            return state.mapped_since(cookie);
        };
        let slot = entry.slot;
        // SAFETY: the entry's, and the lock keeps the entry.
        unsafe { slot.as_ref() }.handle.activate(cookie, slot.as_ptr().cast());
        Some(slot)
    }

    /// The private data of a handle whose unmap callback came with a null pointer: the caller's now.
    #[cold]
    pub(crate) fn take(&self, cookie: sys::devmap_cookie_t) -> Option<NonNull<Slot<D>>> {
        let mut state = self.0.lock();
        state.remove(|entry| entry.is(cookie)).or_else(|| state.mapped_since(cookie))
    }

    /// Ends this thread's mmap(2). One that has succeeded may leave mappings whose map callback never came.
    fn leave(&self, thread: sys::kt_did_t, mapped: bool) {
        let mut state = self.0.lock();
        if let Some(index) = state.calls.iter().position(|call| call.thread == thread) {
            state.calls.swap_remove(index);
        }
        if mapped {
            let left =
                state.prepared.iter_mut().filter(|entry| entry.thread == thread && !entry.cookie.is_null());
            left.for_each(|entry| entry.thread = NOBODY);
        }
        while let Some(slot) = state.remove(|entry| entry.thread == thread) {
            // Outside of the lock: the driver's private data may take locks of its own when it goes.
            drop(state);
            // SAFETY: the entry's, which is removed. The framework has freed the handle without a callback, and makes none.
            unsafe { discard(slot) };
            state = self.0.lock();
        }
    }
}

/// Drops a mapping that never came to be, and lets go of its memory.
///
/// # Safety
/// The slot of an entry that is removed, or of none; the framework does not have it.
unsafe fn discard<D: Device>(slot: NonNull<Slot<D>>) {
    // SAFETY: the caller's.
    let slot = unsafe { Box::from_raw(slot.as_ptr()) };
    slot.handle.retire();
}

/// An mmap(2) under way. Its end drops what was prepared, unless the framework has it.
pub(crate) struct InCall<'a, D: Device> {
    calls: &'a Calls<D>,
    thread: sys::kt_did_t,
    mapped: bool,
}

impl<D: Device> InCall<'_, D> {
    /// The framework has made the mapping.
    pub(crate) fn succeeded(mut self) {
        self.mapped = true;
    }
}

impl<D: Device> Drop for InCall<'_, D> {
    fn drop(&mut self) {
        self.calls.leave(self.thread, self.mapped);
    }
}
