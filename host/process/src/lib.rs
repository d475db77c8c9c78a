//! Client processes: real Linux processes that use the devices of a DDI kernel in this process.
//!
//! A client runs with the shim (`host/shim`) preloaded. The shim turns system calls on device files and on device
//! mappings into requests to a [`Server`]; the server hands them to the [`Kernel`] above it. What a mapping shows
//! is pages of the [physical memory](crate::physmem), installed and taken away page by page ("translations"), either with
//! userfaultfd or with page protections and a SIGSEGV handler in the client ([`FaultMode`]).
//!
//! Locking and context, for implementations of [`Kernel`]:
//!
//! * Every method may be called from many threads at once. A request runs on the thread that serves the
//!   client thread that made it, so it may block as long as it likes; unrelated requests go on.
//! * Methods of [`Call`] send an upcall to the client thread that waits for this call: they block for a round trip
//!   and need user context (no spin locks held). They may be made while locks of the kernel above are held,
//!   provided that fault service for *other* pages does not need them: copyin and copyout can fault on device memory.
//! * Methods of [`Process`] (the "hat": load, unload, protect) may be called from any thread, in any context that may
//!   block for a round trip, for any process, a dead one included (nothing happens then). They take only locks
//!   of this module, which are never held while a method of [`Kernel`] runs.
//! * Numbers at this boundary are Linux numbers: errno, open flags, mmap flags, ioctl numbers.
//!
//! Locks of this crate, in the order in which they are taken; none is held while a method of [`Kernel`] runs, but for the range of addresses that the call
//! changes (`ranges`, taken inside the gate):
//!
//! 1. `watch`'s `collect`; the maps of processes, opens and lines, one at a time, inside it.
//! 2. A process's `flight`; inside it its gate, and `watch`'s list of jobs.
//! 3. A process's `lifeline`.
//! 4. A process's `hat`; inside it its `link` (the agent), and `reframed`.
//! 5. Leaves: a process's gate, the state of one fault, poison, turns, verdicts and `parent`; the free list of physical memory; the board's writer; the list of supervisors.
//!
//! Waits end by events. The few intervals at which something is looked at are where Linux has no event; each says what rests on it (how soon, or what is said) and why
//! nothing else does.
//!
//! What the shim cannot see it cannot serve, and this is what becomes of it:
//!
//! * Statically linked and set-user-id programs are refused at start ([`check_program`]); started later by a client, they run, without devices.
//! * System calls made without the C library (`syscall(2)`, raw `clone`, io_uring) are not intercepted. A process that unmaps or
//!   protects device memory that way gets SIGSEGV where Linux and the host disagree; one that closes the shim's descriptors that way is killed.
//! * C's stdio on a descriptor it made no stream of (redirected `stdin`, `freopen`): writes reach the driver, errors are lost; reads see the end of the file.
//! * With signals or userfaultfd for user code only, system calls on device memory work for read, write, send, recv and their
//!   relatives, which go by way of a buffer; all others fail with `EFAULT` on a page that is not loaded.
//! * mremap can shrink a device mapping; growing or moving it fails with `EFAULT`, as for Linux's own device mappings. Advice (madvise, msync, mlock) does nothing to device memory and
//!   succeeds (`ENOMEM` at a hole); `MADV_REMOVE` and protection keys are refused with `EINVAL`.
//! * A vfork child can open, read and write devices, not map them. A fork that the C library makes by itself (`forkpty`, `daemon`) cannot be refused: if the driver
//!   does, the child has no device mappings.
//! * A client in another pid or network namespace than the host, or of another user, is not served.
//! * `nftw` and `fts` do not list device nodes; `readdir`, `scandir` and `glob` do.

mod access;
mod agent;
mod board;
mod call;
mod client;
mod due;
pub mod ending;
pub mod failpoint;
mod fault;
mod flight;
mod gate;
mod hat;
mod identity;
mod interrupt;
mod launch;
mod line;
pub mod mapping;
pub mod physmem;
mod poison;
mod polls;
mod pool;
pub mod proc;
mod ranges;
mod serve;
mod server;
mod shared;
mod sock;
mod supervise;
mod turns;
mod uffd;
mod verdicts;
mod watch;

use std::sync::Arc;

pub use access::{Fault, FaultOutcome};
pub use call::{Call, InterruptGuard};
pub use client::{Process, translations};
pub use ddi_wire::{Control, FaultMode, FaultPolicy, UnknownPolicy};
pub use gate::Wake;
pub use interrupt::{Sleeper, interruptibly};
pub use launch::{LaunchError, Program, check_program, pass_on, run_elsewhere};
pub use polls::PollWaker;
pub use server::{Config, Server, StartError};
pub use supervise::{Started, Unsupervised, end_all, is_descendant};
pub use uffd::{NoUserfaultfd, Resolver};

/// A Linux error number, as the client's `errno` will show it. Never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// The error of the calling thread's last failed libc call.
    pub fn last() -> Errno {
        Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
    }
}

impl std::fmt::Debug for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&std::io::Error::from_raw_os_error(self.0), f)
    }
}

impl std::fmt::Display for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Errno {}

bitflags::bitflags! {
    /// Page protections; the values are those of `PROT_*`, the same on Linux and illumos.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Prot: u32 {
        /// Pages may be read.
        const READ = 1;
        /// Pages may be written.
        const WRITE = 2;
        /// Pages may be executed.
        const EXEC = 4;
    }
}

impl Prot {
    /// The protection that Linux is told for pages of this one. As on x86, memory that a process may write or execute can be read once it is loaded;
    /// Linux would make memory that may only be executed unreadable where the processor can.
    pub(crate) fn readable(self) -> Prot {
        if self.is_empty() { self } else { self | Prot::READ }
    }
}

/// An open of a device, named by the [`Kernel`] that opened it. Lives until [`Kernel::close`], which comes when the
/// last descriptor of it, in whatever process, is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpenId(pub u64);

/// A device node as client processes see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceNode {
    /// Absolute path, such as `/dev/ctxdev0`; at most [`ddi_wire::PATH_MAX`] bytes.
    pub path: Vec<u8>,
    /// Major number that `stat` reports.
    pub major: u32,
    /// Minor number that `stat` reports.
    pub minor: u32,
    /// Permission bits that `stat` reports, such as 0o666, and the file type; without one it is a character device. A symbolic link is one that
    /// leads nowhere: it is listed, and that is all.
    pub mode: u32,
    /// Owner that `stat` reports.
    pub uid: u32,
    /// Group that `stat` reports.
    pub gid: u32,
}

/// One run of user memory in a read or write request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoVec {
    /// User address of the first byte.
    pub base: u64,
    /// Length in bytes.
    pub len: u64,
}

/// The arguments of a read or write: where the user's bytes are and at which file offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uio {
    /// The user's buffers, in order.
    pub iov: Vec<IoVec>,
    /// File offset of the first byte. The server keeps each open's own offset.
    pub offset: i64,
    /// Open flags of the file (`O_*`, Linux).
    pub flags: i32,
}

impl Uio {
    /// Bytes asked for, all buffers together.
    pub fn resid(&self) -> u64 {
        self.iov.iter().map(|v| v.len).sum()
    }
}

/// The arguments of an mmap of a device, checked for form: `len` is not 0, `offset` page aligned, `addr` page aligned and the range
/// one of user addresses when `flags` has `MAP_FIXED`, and the access mode of the open allows `prot` (else the client got `EACCES` already).
/// Length and offset are the process's own: whether the device has them is the driver's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MmapArgs {
    /// Address asked for; a hint without `MAP_FIXED`.
    pub addr: u64,
    /// Length in bytes, as the process gave it.
    pub len: u64,
    /// Protection asked for.
    pub prot: Prot,
    /// Most that mprotect may give later: a shared mapping of a file not open for writing cannot be made writable.
    pub maxprot: Prot,
    /// Linux `MAP_*` flags. `MAP_FIXED_NOREPLACE` never comes here: the server has dealt with it.
    pub flags: i32,
    /// File offset in bytes.
    pub offset: i64,
}

impl MmapArgs {
    /// Returns whether this is a `MAP_SHARED` mapping (else `MAP_PRIVATE`).
    pub fn shared(&self) -> bool {
        self.flags & libc::MAP_TYPE != libc::MAP_PRIVATE
    }

    /// Returns whether the address is to be used as it is (`MAP_FIXED`).
    pub fn fixed(&self) -> bool {
        self.flags & libc::MAP_FIXED != 0
    }
}

/// A piece of a device mapping: pages of a client's address space, all backed by one run of page frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// User address, page aligned.
    pub va: u64,
    /// Length in bytes, a page multiple.
    pub len: u64,
    /// Frame of the first page. `None`: not known yet (an invalid mapping); a load may name any frame.
    /// It is a forecast: a load of other frames works too, at the price of a change to the client's mappings.
    pub pfn: Option<u64>,
    /// Protection of the pages once loaded.
    pub prot: Prot,
}

/// The kernel above, which serves the processes' system calls and faults. Implemented by the DDI kernel.
///
/// See the [module's page](self) for context and locking.
pub trait Kernel: Send + Sync + 'static {
    /// The device nodes there are. Called at start and after [`Server::devices_changed`].
    fn devices(&self) -> Vec<DeviceNode>;

    /// A process (or, after exec, a new program in it) uses its first device. Not called for forked children: they
    /// come by [`fork`](Kernel::fork).
    fn process_start(&self, process: &Arc<Process>);

    /// open(2) of the device node `path` with Linux open `flags`.
    fn open(&self, call: &Call, path: &[u8], flags: i32) -> Result<OpenId, Errno>;

    /// The last descriptor of `open` is gone. No call context: it may have been closed by death.
    fn close(&self, open: OpenId);

    /// read(2) and its family: bytes read.
    fn read(&self, call: &Call, open: OpenId, uio: &Uio) -> Result<u64, Errno>;

    /// write(2) and its family: bytes written.
    fn write(&self, call: &Call, open: OpenId, uio: &Uio) -> Result<u64, Errno>;

    /// Returns the place of lseek(2)'s `SEEK_END`, in bytes; `None` for a device without a size.
    fn end(&self, call: &Call, open: OpenId) -> Option<u64> {
        let _ = (call, open);
        None
    }

    /// The minor number that the driver gave the open, if there is one.
    fn minor(&self, open: OpenId) -> Option<u32> {
        let _ = open;
        None
    }

    /// ioctl(2): its return value, not negative. `flags` are the open's flags, as fcntl(2) has changed them.
    fn ioctl(&self, call: &Call, open: OpenId, cmd: u64, arg: u64, flags: i32) -> Result<i32, Errno>;

    /// poll(2) and its relatives: which of the Linux `events` (and of the error events) are so. If none is, or `events` has `EPOLLET`, the kernel has `waker` called when
    /// one may be; calling it without need does no harm. The second number differs from an earlier one if something has become so since (0: not known). An error makes the poll fail.
    fn poll(&self, call: &Call, open: OpenId, events: u32, waker: &PollWaker) -> Result<(u32, u64), Errno>;

    /// mmap(2) of a device: the address. The kernel asks for a range with [`Call::reserve`] (or, for a fixed one,
    /// first unmaps what it has there itself, then reserves it), and fills it with [`Call::map_pieces`]. On failure it gives the range back with
    /// [`Call::unmap`].
    fn mmap(&self, call: &Call, open: OpenId, args: &MmapArgs) -> Result<u64, Errno>;

    /// munmap(2) of a range all of which belongs to device mappings (the server splits off what does not; it may span several adjacent
    /// ones). Translations first, then callbacks, then [`Call::unmap`].
    fn munmap(&self, call: &Call, addr: u64, len: u64) -> Result<(), Errno>;

    /// mprotect(2) of a range all of which belongs to device mappings. What is allowed is applied with [`Call::protect`].
    fn mprotect(&self, call: &Call, addr: u64, len: u64, prot: Prot) -> Result<(), Errno>;

    /// msync(2), mlock(2), munlock(2), madvise(2) of a range all of which belongs to device mappings.
    fn control(&self, call: &Call, addr: u64, len: u64, control: Control, argument: u32)
    -> Result<(), Errno>;

    /// mincore(2) of a range all of which belongs to device mappings: a byte for each page, whose lowest bit says that it is resident.
    fn incore(&self, call: &Call, addr: u64, len: u64) -> Vec<u8>;

    /// fork(2) in the parent's context, before it happens. An error makes fork fail in the parent; the kernel has then undone what
    /// it did. `child` does not run yet, has pid 0 and no translations; its mappings are those of the parent.
    fn fork(&self, call: &Call, child: &Arc<Process>) -> Result<(), Errno>;

    /// The fork of `child` was allowed and then failed in Linux: all its mappings go. Like [`exit`](Kernel::exit).
    fn fork_failed(&self, child: &Arc<Process>);

    /// Calls for processes that are inside a driver and that signals do not end: a number for each, which no other call has.
    fn stuck(&self) -> Vec<u64> {
        Vec::new()
    }

    /// Says of such calls where they are and for what they wait. Returns those that are still there.
    fn say_stuck(&self, calls: Vec<u64>) -> Vec<u64> {
        let _ = calls;
        Vec::new()
    }

    /// Ends the run: a signal has asked twice, and such calls are in the way. May not return.
    fn give_up(&self) {}

    /// The process died, or replaced its program by exec: all its mappings go. No call of it is in progress, and none will come.
    fn exit(&self, process: &Arc<Process>);

    /// An access to a device page that has no translation (or whose protection forbids it).
    fn fault(&self, fault: &Fault) -> FaultOutcome;
}
