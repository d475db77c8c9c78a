//! Routines of threads that are inside `devmap_do_ctxmgt(9F)`: see [`Fault::switch_context`](crate::Fault::switch_context).

use alloc::vec::Vec;
use core::mem;

use ddi_sys as sys;

/// Returns the identity of the calling thread.
pub(crate) fn this_thread() -> sys::kt_did_t {
    // SAFETY: reads the identity of the calling thread.
    unsafe { sys::ddi_get_kt_did() }
}

/// A routine waiting to be called by `devmap_do_ctxmgt(9F)` for the thread that asked for it.
pub(crate) struct Frame {
    pub thread: sys::kt_did_t,
    /// The later it was entered, the higher.
    pub order: u64,
    pub routine: *mut (dyn FnMut() + 'static),
}

// SAFETY: the pointer is used by the thread that made it only, see `fault::run`.
unsafe impl Send for Frame {}

/// The routines that threads have entered for a mapping.
pub(crate) struct Frames {
    /// Mostly there is one.
    first: Option<Frame>,
    more: Vec<Frame>,
    /// Number of routines that were entered so far.
    entered: u64,
}

impl Frames {
    pub(crate) const fn new() -> Frames {
        Frames { first: None, more: Vec::new(), entered: 0 }
    }

    /// Adds a frame; returns it if there is no room.
    pub(crate) fn enter(&mut self, frame: Frame) -> Result<(), Frame> {
        let frame = Frame { order: self.entered, ..frame };
        if self.first.is_none() {
            self.first = Some(frame);
        } else if self.more.len() < self.more.capacity() {
            self.more.push(frame);
        } else {
            return Err(frame);
        }
        self.entered += 1;
        Ok(())
    }

    /// The routine that a thread has entered last.
    pub(crate) fn innermost(&self, thread: sys::kt_did_t) -> Option<&Frame> {
        let frames = self.first.iter().chain(&self.more);
        frames.filter(|frame| frame.thread == thread).max_by_key(|frame| frame.order)
    }

    /// Removes the routine that a thread has entered last.
    pub(crate) fn leave(&mut self, thread: sys::kt_did_t) {
        let Some(order) = self.innermost(thread).map(|frame| frame.order) else { return };
        if self.first.as_ref().is_some_and(|frame| frame.order == order) {
            self.first = None;
        } else {
            self.more.retain(|frame| frame.order != order);
        }
    }

    /// Room that a list is to have when this one is full.
    pub(crate) fn wanted(&self) -> usize {
        self.more.len() * 2 + 4
    }

    /// Moves the frames into a list with more room; what this returns is to be dropped without the lock.
    pub(crate) fn widen(&mut self, room: &mut Vec<Frame>) {
        if room.capacity() > self.more.len() {
            for frame in self.more.drain(..) {
                if room.len() < room.capacity() {
                    room.push(frame);
                }
            }
            mem::swap(&mut self.more, room);
        }
    }
}
