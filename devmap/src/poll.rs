//! Polling: [`Poll`], a process that polls, and [`PollHead`], by which it is woken.
//!
//! poll(2), select(3C), port_get(3C) and epoll call [`Device::poll`](crate::Device::poll), in user context, which may take mutexes and must not
//! sleep. If nothing is ready, the process waits on the poll head; [`PollHead::wake`] makes it call again.
//!
//! First change the state that [`Device::poll`](crate::Device::poll) reads, then wake, and hold no lock that it takes. The kernel calls once more after it has
//! registered the waiter, so no wakeup is lost.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::ptr;

use bitflags::bitflags;
use ddi_sys as sys;

use crate::context::{MayBlock, sealed::Sealed};

bitflags! {
    /// Events that a process waits for, or that are ready: poll(2)'s `POLL` values.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Events: u16 {
        /// `POLLIN`: something to read.
        const IN = sys::POLLIN as u16;
        /// `POLLRDNORM`: ordinary data to read.
        const READ_NORMAL = sys::POLLRDNORM as u16;
        /// `POLLRDBAND`: data of another priority to read.
        const READ_BAND = sys::POLLRDBAND as u16;
        /// `POLLPRI`: something urgent to read.
        const PRIORITY = sys::POLLPRI as u16;
        /// `POLLOUT`, which is `POLLWRNORM`: room to write.
        const OUT = sys::POLLOUT as u16;
        /// `POLLWRBAND`: room to write data of another priority.
        const WRITE_BAND = sys::POLLWRBAND as u16;
        /// `POLLRDHUP`: the other side writes no more.
        const READ_HANGUP = sys::POLLRDHUP as u16;
        /// `POLLERR`: an error. Reported whether asked for or not.
        const ERROR = sys::POLLERR as u16;
        /// `POLLHUP`: hang-up. Reported whether asked for or not.
        const HANGUP = sys::POLLHUP as u16;
        /// The events of readable data: `IN` and `READ_NORMAL`.
        const READABLE = Events::IN.bits() | Events::READ_NORMAL.bits();
    }
}

/// Events that are reported even if the process did not ask for them.
const ALWAYS: Events = Events::ERROR.union(Events::HANGUP);

/// A process that polls an open: `chpoll(9E)`. [`answer`](Poll::answer) makes the result.
///
/// ```no_run
/// # use core::sync::atomic::{AtomicU64, Ordering};
/// use devmap::context::MayBlock;
/// use devmap::poll::{Events, Poll, PollHead, Polled};
///
/// struct Queue { waiting: AtomicU64, head: PollHead }
///
/// impl Queue {
///     // What Device::poll does.
///     fn poll(&self, poll: Poll<'_>) -> Polled {
///         let empty = self.waiting.load(Ordering::Acquire) == 0;
///         poll.answer(&self.head, if empty { Events::OUT } else { Events::OUT | Events::READABLE })
///     }
///
///     fn put(&self, cx: &impl MayBlock) {
///         self.waiting.fetch_add(1, Ordering::Release); // first this,
///         self.head.wake(cx, Events::READABLE); // then that
///     }
/// }
/// ```
pub struct Poll<'a> {
    events: u16,
    others_ready: bool,
    head: &'a mut *mut sys::pollhead_t,
    minor: u32,
}

impl Sealed for Poll<'_> {}
impl MayBlock for Poll<'_> {}

impl<'a> Poll<'a> {
    pub(crate) fn new(
        events: i16,
        others_ready: c_int,
        head: &'a mut *mut sys::pollhead_t,
        minor: u32,
    ) -> Poll<'a> {
        Poll { events: events.cast_unsigned(), others_ready: others_ready != 0, head, minor }
    }

    /// Returns the events that the process waits for. Others need not be checked.
    pub fn wanted(&self) -> Events {
        Events::from_bits_truncate(self.events) | ALWAYS
    }

    /// Returns the index of the instance's minor node that is polled.
    pub fn minor(&self) -> u32 {
        self.minor
    }

    /// Reports the ready events. If the process waits for none of them, or for edges (`POLLET`), it waits on the poll head.
    pub fn answer(self, head: &PollHead, ready: Events) -> Polled {
        let ready = ready & self.wanted();
        let for_edges = u32::from(self.events) & sys::POLLET as u32 != 0;
        if for_edges || ready.is_empty() && !self.others_ready {
            *self.head = head.0.get();
        }
        Polled(ready)
    }
}

/// The result of a [`Poll`]; made by [`Poll::answer`] only.
#[must_use]
pub struct Polled(pub(crate) Events);

/// The processes that poll an open or a device: `pollhead_t`. Lives as long as it can be polled, in the private data or the device.
pub struct PollHead(Box<UnsafeCell<sys::pollhead_t>>);

// SAFETY: the kernel's structure is only passed to the kernel, which locks it.
unsafe impl Send for PollHead {}
// SAFETY: as above.
unsafe impl Sync for PollHead {}

impl PollHead {
    /// Creates a poll head without waiters. User or kernel context: allocates.
    pub fn new() -> PollHead {
        let head = sys::pollhead { ph_list: ptr::null_mut(), ph_pad1: ptr::null_mut(), ph_pad2: 0 };
        PollHead(Box::new(UnsafeCell::new(head)))
    }

    /// Wakes the processes that wait for one of these events, which then call [`Device::poll`](crate::Device::poll) again: `pollwakeup(9F)`.
    ///
    /// Any context but a high-level interrupt; with no lock held that [`Device::poll`](crate::Device::poll) takes.
    pub fn wake(&self, cx: &impl MayBlock, events: Events) {
        let _ = cx;
        // SAFETY: the head is at this address until `drop`.
        unsafe { sys::pollwakeup(self.0.get(), events.bits().cast_signed()) };
    }

    /// Returns the kernel's structure, for functions that this crate does not have. It stays where it is while the value lives.
    pub fn as_raw(&self) -> *mut sys::pollhead_t {
        self.0.get()
    }
}

impl Default for PollHead {
    fn default() -> PollHead {
        PollHead::new()
    }
}

impl Drop for PollHead {
    fn drop(&mut self) {
        // SAFETY: the head is at this address, and goes only after this: whoever waits for it is forgotten.
        unsafe { sys::pollhead_clean(self.0.get()) };
    }
}
