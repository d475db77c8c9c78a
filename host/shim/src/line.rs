//! A connection with its buffer.

use ddi_wire::{MESSAGE_MAX, PAGE_SIZE};

use crate::{state, sys};

/// Bytes of a line's buffer.
const ROOM: u64 = (MESSAGE_MAX as u64).next_multiple_of(PAGE_SIZE);

/// A connection and its buffer. A plain value, so that a signal handler or a forked child finds it whole; it is used by way of an [`Own`] or a [`Busy`].
///
/// # Invariants
/// `at` is the address of [`ROOM`] bytes that [`Own::new`] has mapped, and that stay mapped until [`close`](Self::close). They are accessed by one owner at a time: the
/// line's `Own`, or, once the line is the thread's, its `Busy`, of which there is one as long as `state::BUSY` is set.
#[derive(Clone, Copy)]
pub struct Line {
    fd: i32,
    at: *mut u8,
}

impl Line {
    /// Closes the connection and unmaps the buffer. The line is not used any more.
    fn close(self) {
        state::drop_own(self.fd);
        self.unmap();
    }

    fn unmap(self) {
        // SAFETY: the buffer is mapped, and its last owner gives it up, by the invariant.
        let _ = unsafe { sys::munmap(self.at as u64, ROOM) };
    }

    /// Returns the connection for the use of the line's one owner.
    fn talk(&mut self) -> Talk<'_> {
        // SAFETY: mapped, and accessed by nobody else while the owner is borrowed, by the invariant; bytes have any value.
        let buf = unsafe { core::slice::from_raw_parts_mut(self.at, MESSAGE_MAX) };
        Talk { fd: self.fd, buf }
    }
}

/// A connection that is being used, with room for a message.
pub struct Talk<'a> {
    pub fd: i32,
    pub buf: &'a mut [u8],
}

/// A line that is not the thread's: closed when it is dropped.
pub struct Own(Line);

impl Own {
    /// Makes a line of a connection, which is closed on failure.
    pub fn new(fd: i32) -> Result<Own, i32> {
        match sys::map_memory(ROOM) {
            Ok(at) => Ok(Own(Line { fd, at: at as *mut u8 })),
            Err(e) => {
                state::drop_own(fd);
                Err(e)
            }
        }
    }

    /// Reuses the forking thread's buffer for the connection `fd` in a forked child, which has a copy of it.
    pub fn inherit(fd: i32) -> Result<Own, i32> {
        match state::LINE.take() {
            Some(line) => Ok(Own(Line { fd, ..line })),
            None => Own::new(fd),
        }
    }

    pub fn talk(&mut self) -> Talk<'_> {
        self.0.talk()
    }

    /// Gives up the buffer only. Returns the connection.
    pub fn into_fd(self) -> i32 {
        self.0.unmap();
        let fd = self.0.fd;
        core::mem::forget(self);
        fd
    }

    /// Makes it the thread's line.
    pub fn into_thread(self) {
        state::LINE.set(Some(self.0));
        core::mem::forget(self);
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The thread's line while a request is in progress on it. A handler that leaves by a long jump leaves it busy for good.
pub struct Busy(Line);

impl Busy {
    /// Begins to use the thread's line. `None`: there is none, or it is busy.
    pub fn begin() -> Option<Busy> {
        let line = state::LINE.get().filter(|_| !state::BUSY.get())?;
        state::BUSY.set(true);
        Some(Busy(line))
    }

    pub fn talk(&mut self) -> Talk<'_> {
        self.0.talk()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        state::BUSY.set(false);
    }
}

/// Returns the connection of the thread's line, if it has one.
pub fn of_thread() -> Option<i32> {
    state::LINE.get().map(|line| line.fd)
}

/// Closes the thread's line, when the thread ends.
pub fn end_thread() {
    if let Some(line) = state::LINE.take() {
        line.close();
    }
}

/// In a forked child: gives up the buffer of the thread's line. Its connection was the parent's, and is closed already.
pub fn forget() {
    if let Some(line) = state::LINE.take() {
        line.unmap();
    }
}
