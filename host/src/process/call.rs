//! A request in progress: what the kernel may ask of the client thread that waits for it.

use std::sync::Arc;

use super::{Errno, Piece, Process, Prot};

/// A system call of a client thread that is being served. The methods that ask the thread for something block for a round trip; they fail
/// with `EINTR` when the thread has died.
#[derive(Debug)]
pub struct Call {
    process: Arc<Process>,
    tid: i32,
}

impl Call {
    /// Runs `f` with the call that the calling host thread serves; `None` outside of any (and in a fault caught by userfaultfd).
    pub fn with_current<R>(f: impl FnOnce(Option<&Call>) -> R) -> R {
        f(None)
    }

    /// The process that made the call.
    pub fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// The thread that made it (Linux tid).
    pub fn tid(&self) -> i32 {
        self.tid
    }

    /// Reserves `len` bytes of the client's address space: at `fixed` exactly (what was there is replaced), else near `hint`
    /// if that is free, else anywhere, so that the address modulo `align` (a power of two, at least a page) is `align_offset`.
    ///
    /// # Errors
    /// `ENOMEM`: no room. `EINTR`: the thread is gone.
    pub fn reserve(
        &self,
        _len: u64,
        _align: u64,
        _align_offset: u64,
        _hint: u64,
        _fixed: Option<u64>,
    ) -> Result<u64, Errno> {
        Err(Errno(libc::ENOMEM))
    }

    /// Fills reserved address space with pieces; none is loaded yet. All or none.
    ///
    /// # Errors
    /// `ENOMEM`: Linux refused. `EINTR`: the thread is gone.
    pub fn map_pieces(&self, _pieces: &[Piece]) -> Result<(), Errno> {
        Err(Errno(libc::ENOMEM))
    }

    /// Unmaps `len` bytes at `addr`: pieces, or reserved space.
    pub fn unmap(&self, _addr: u64, _len: u64) -> Result<(), Errno> {
        Err(Errno(libc::ENOMEM))
    }

    /// Changes the protection of mapped pieces, loaded or not.
    pub fn protect(&self, _addr: u64, _len: u64, _prot: Prot) -> Result<(), Errno> {
        Err(Errno(libc::ENOMEM))
    }

    /// Copies user memory in. Device memory may be among it: its faults are served meanwhile.
    ///
    /// # Errors
    /// `EFAULT`: not all of it could be read; what `buf` holds is then undefined. `EINTR`: the thread is gone.
    pub fn copyin(&self, _addr: u64, _buf: &mut [u8]) -> Result<(), Errno> {
        Err(Errno(libc::EFAULT))
    }

    /// Copies to user memory.
    ///
    /// # Errors
    /// `EFAULT`: not all of it could be written. `EINTR`: the thread is gone.
    pub fn copyout(&self, _addr: u64, _buf: &[u8]) -> Result<(), Errno> {
        Err(Errno(libc::EFAULT))
    }

    /// Copies a string in: at most `max` bytes, NUL included; the result is without it.
    ///
    /// # Errors
    /// `EFAULT`; `ENAMETOOLONG`: no NUL among the first `max` bytes. `EINTR`: the thread is gone.
    pub fn copyinstr(&self, _addr: u64, _max: usize) -> Result<Vec<u8>, Errno> {
        Err(Errno(libc::EFAULT))
    }

    /// Has the thread got a signal (or died) since the call began?
    pub fn interrupted(&self) -> bool {
        true
    }

    /// Has `wake` called, once, from another host thread, when the thread gets a signal or dies, or at once if it has. It is not called any more when the guard is dropped.
    /// This is how an interruptible wait (`cv_wait_sig`) is built: set it up, then wait, then look at [`interrupted`](Call::interrupted).
    pub fn on_interrupt<'a>(&'a self, wake: Arc<dyn Fn() + Send + Sync>) -> InterruptGuard<'a> {
        wake();
        InterruptGuard { call: self }
    }
}

/// See [`Call::on_interrupt`].
#[derive(Debug)]
pub struct InterruptGuard<'a> {
    #[allow(dead_code)]
    call: &'a Call,
}
