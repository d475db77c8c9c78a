//! The host's half of userfaultfd: reading faults, resolving them, and finding out what this machine allows.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use ddi_wire::uffd::{self, Api, Event, Resolve, Span};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mm::UserfaultfdFlags;

use super::failpoint::fails;
use super::{FaultMode, FaultPolicy};
use crate::physmem::PAGE_SIZE;

/// Features that a userfaultfd must have.
const NEEDED: u64 = uffd::FEATURE_MINOR_SHMEM | uffd::FEATURE_THREAD_ID;

/// A client's userfaultfd.
#[derive(Debug)]
pub(super) struct Uffd {
    fd: OwnedFd,
}

/// Result of resolving the first page of a run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    /// So many bytes are done, from the start of the run on.
    Done(u64),
    /// The first page has a translation already.
    Present,
    /// Nothing is mapped there that this userfaultfd watches.
    Unmapped,
    /// The process has exited or called exec.
    Gone,
    /// Linux refused.
    Failed(i32),
}

impl Uffd {
    pub fn new(fd: OwnedFd) -> Uffd {
        Uffd { fd }
    }

    /// Reads faults that wait, without blocking: how many were put in `events`.
    pub fn read(&self, events: &mut [Event]) -> usize {
        let len = size_of_val(events);
        // SAFETY: the buffer is as long as said, and any bytes are a valid `Event`.
        let n = unsafe { libc::read(self.fd.as_raw_fd(), events.as_mut_ptr().cast(), len) };
        usize::try_from(n).unwrap_or(0) / size_of::<Event>()
    }

    /// Installs translations to the file's pages. Threads that wait for one of them wait on until [`wake`](Self::wake).
    pub fn resolve(&self, start: u64, len: u64) -> Resolved {
        self.act(uffd::IOCTL_CONTINUE, uffd::DONT_WAKE, start, len)
    }

    /// The same, and wakes the threads that wait for one of the pages if it is [`Resolved::Done`].
    pub fn resolve_and_wake(&self, start: u64, len: u64) -> Resolved {
        self.act(uffd::IOCTL_CONTINUE, 0, start, len)
    }

    /// Makes accesses to a page fail (`EFAULT` in system calls, otherwise `SIGBUS`), and wakes the threads that wait for it.
    pub fn poison(&self, page: u64) -> bool {
        self.act(uffd::IOCTL_POISON, 0, page, PAGE_SIZE) == Resolved::Done(PAGE_SIZE)
    }

    fn act(&self, request: u64, mode: u64, start: u64, len: u64) -> Resolved {
        if fails("ioctl of a userfaultfd") {
            return Resolved::Failed(libc::ENOMEM);
        }
        loop {
            let mut arg = Resolve { range: Span { start, len }, mode, done: 0 };
            let Err(error) = request_of(&self.fd, request, &mut arg) else { return Resolved::Done(len) };
            match error.raw_os_error().unwrap_or(libc::EIO) {
                libc::EAGAIN if arg.done > 0 => return Resolved::Done(arg.done.unsigned_abs()),
                // The process's mappings are being changed (a fork, an unmap) by another thread, which Linux lets finish first.
                libc::EAGAIN => std::thread::yield_now(),
                libc::EEXIST if arg.done > 0 => return Resolved::Done(arg.done.unsigned_abs()),
                libc::EEXIST => return Resolved::Present,
                libc::ENOENT => return Resolved::Unmapped,
                libc::ESRCH => return Resolved::Gone,
                e => return Resolved::Failed(e),
            }
        }
    }

    /// Wakes the threads that wait for a page of the range; they retry the access.
    pub fn wake(&self, start: u64, len: u64) {
        // An error means that no thread waits there.
        let _ = request_of(&self.fd, uffd::IOCTL_WAKE, &mut Span { start, len });
    }

    /// Watches a range of the client's.
    pub fn register(&self, start: u64, len: u64) -> io::Result<()> {
        if fails("UFFDIO_REGISTER") {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let mode = uffd::MODE_MINOR | uffd::MODE_MISSING;
        let mut arg = uffd::Register { range: Span { start, len }, mode, ioctls: 0 };
        request_of(&self.fd, uffd::IOCTL_REGISTER, &mut arg)
    }
}

impl AsFd for Uffd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A server of one bare userfaultfd: every fault is resolved at once with what the file holds. What the benchmark compares the host with.
#[derive(Debug)]
pub struct Resolver(Uffd);

impl Resolver {
    /// For a userfaultfd that does not block in read.
    pub fn new(fd: OwnedFd) -> Resolver {
        Resolver(Uffd::new(fd))
    }

    /// Serves until `stop` is set.
    pub fn serve(&self, stop: &AtomicBool) {
        let mut event = [Event::default()];
        let patience = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        while !stop.load(Ordering::Relaxed) {
            let mut fds = [PollFd::new(&self.0.fd, PollFlags::IN)];
            if poll(&mut fds, Some(&patience)).is_ok() && self.0.read(&mut event) == 1 {
                self.0.resolve_and_wake(event[0].address & !(PAGE_SIZE - 1), PAGE_SIZE);
            }
        }
    }
}

/// A structure that requests of a userfaultfd take.
trait Argument {}

impl Argument for Api {}
impl Argument for Resolve {}
impl Argument for Span {}
impl Argument for uffd::Register {}

/// Makes a request of a userfaultfd.
fn request_of<T: Argument>(fd: &OwnedFd, request: u64, arg: &mut T) -> io::Result<()> {
    // The request number encodes the argument's size.
    assert_eq!((request >> 16 & 0x3fff) as usize, size_of::<T>());
    // SAFETY: the argument is as long as the request says, and plain words.
    match unsafe { libc::ioctl(fd.as_raw_fd(), request, arg) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Why faults cannot be caught by userfaultfd.
#[derive(Debug, thiserror::Error)]
pub enum NoUserfaultfd {
    /// Linux's error.
    #[error(transparent)]
    Linux(#[from] io::Error),
    /// It is an old kernel's.
    #[error("this kernel has no minor faults for shared memory; Linux 5.14 has")]
    NoMinorFaults,
}

/// Tries to make a userfaultfd that can do what we need.
fn try_flags(flags: i32) -> Result<(), NoUserfaultfd> {
    let flags =
        UserfaultfdFlags::from_bits_retain((libc::O_CLOEXEC | libc::O_NONBLOCK | flags).cast_unsigned());
    // SAFETY: the descriptor watches nothing.
    let fd = unsafe { rustix::mm::userfaultfd(flags) }.map_err(io::Error::from)?;
    let mut api = Api { api: uffd::API, ..Api::default() };
    request_of(&fd, uffd::IOCTL_API, &mut api)?;
    if api.features & NEEDED != NEEDED {
        return Err(NoUserfaultfd::NoMinorFaults);
    }
    Ok(())
}

/// Which way of catching faults `policy` comes to in this process.
pub(super) fn probe(policy: FaultPolicy) -> Result<FaultMode, NoUserfaultfd> {
    let full = || try_flags(0).map(|()| FaultMode::Userfaultfd);
    let user = || try_flags(uffd::USER_MODE_ONLY).map(|()| FaultMode::UserfaultfdUserOnly);
    match policy {
        FaultPolicy::Signal => Ok(FaultMode::Signal),
        FaultPolicy::Userfaultfd => full().or_else(|_| user()),
        FaultPolicy::UserfaultfdUserOnly => user(),
        FaultPolicy::Auto => Ok(full().or_else(|_| user()).unwrap_or(FaultMode::Signal)),
    }
}
