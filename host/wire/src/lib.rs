//! What shim and host say to each other: fixed-size messages with a payload, over sequential-packet sockets.
//!
//! One thread of a client has one connection. It sends a *request* and waits; while it waits the host may send it *upcalls*,
//! which it answers, until the reply to the request comes. The first connection of a process (the *lifeline*) carries no requests:
//! its hang-up tells exec and exit. The agent of a process has a connection of its own, on which only the host asks.
//!
//! Both ends are built from the same source into one program (the shim is embedded in the host), so messages are plain structures of the
//! machine's own byte order and need no version.
#![no_std]
#![forbid(unsafe_code)]

pub mod uffd;

/// Name of the memfd that holds the physical memory.
pub const MEMORY_NAME: &core::ffi::CStr = c"ddi-memory";
/// Environment variable that tells the shim its host: `NAME:PID:BOARD`, the name of the host's abstract socket, its process id, and its descriptor of
/// the board.
pub const ENV: &str = "DDI_HOST_SOCKET";
/// Longest path of a device node, in bytes.
pub const PATH_MAX: usize = 108;
/// Most payload bytes of one message.
pub const PAYLOAD_MAX: usize = 32 * 1024;

/// A message's fixed part. What the fields of `a` are is said at each [`Op`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// What is asked or answered: an [`Op`] as a number.
    pub op: u32,
    /// In a reply, 0 or the Linux error number.
    pub errno: i32,
    /// Arguments or results.
    pub a: [u64; 6],
}

/// Bytes of [`Message`].
pub const MESSAGE_LEN: usize = size_of::<Message>();

macro_rules! ops {
    ($($(#[$doc:meta])* $name:ident = $value:literal,)*) => {
        /// What a message is about.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Op {
            $($(#[$doc])* $name = $value,)*
        }

        impl Op {
            /// The operation of a number, if there is one.
            pub fn from_number(n: u32) -> Option<Op> {
                match n {
                    $($value => Some(Op::$name),)*
                    _ => None,
                }
            }
        }
    };
}

ops! {
    // First message of a connection, from the client.
    /// I am a process: pid, flags ([`HELLO_VFORK`]). The connection becomes the lifeline. The reply has a token, the
    /// policy, the host's process id, and whether mappings are to lie below 4 GiB; and the memory's descriptor.
    Hello = 1,
    /// I am a thread: token of the process, tid. No reply.
    Thread = 2,
    /// I am a forked child; sent on the connection that the parent got for it: pid. Answered like `Hello`.
    Child = 3,

    // Requests on the lifeline's own connection, right after the hello.
    /// How faults are to be caught: the reply has policy in `a[0]` (one of `FAULTS_*`).
    Policy = 8,
    /// The process can be mapped into: mode in `a[0]` (`FAULTS_*`), with descriptors of the agent's connection and (not for signals) of the userfaultfd.
    Attach = 9,

    // Requests of a thread.
    /// open: flags; payload path. The reply carries the descriptor.
    Open = 16,
    /// read: file, flags ([`IO_OFFSET`]: offset in `a[2]` instead of the file's own), offset; payload array of (base, len). The reply has the count.
    Read = 17,
    /// write: like read.
    Write = 18,
    /// ioctl: file, command, argument. The reply has the value.
    Ioctl = 19,
    /// lseek: file, offset, whence. The reply has the offset.
    Seek = 20,
    /// fstat: file. The reply has major, minor, mode, the flags of the file, owner and group.
    Stat = 21,
    /// mmap: file, address, length, protection, flags, offset; payload perhaps an address that has been reserved for it. The reply has the address, and
    /// perhaps [`DEFERRED`].
    Mmap = 22,
    /// munmap of a range that may hold device mappings: address, length, only-device (1: leave what is not device memory). The reply has perhaps
    /// [`DEFERRED`].
    Munmap = 23,
    /// mprotect, likewise: address, length, protection.
    Mprotect = 24,
    /// Which part of a range belongs to devices? address, length. The reply has start and end of the first run, equal if none.
    Query = 25,
    /// fork is about to happen: 1 if the process has one thread only, an address on the calling thread's stack. The reply has the host's number for the
    /// child, and carries its connection. Other threads' requests and faults wait from now on until `Forked`, `Child`, or the connection's end.
    Fork = 26,
    /// The announced fork has happened: the child's number (from the reply to `Fork`) and process id, 0 if not known. No reply.
    Forked = 28,
    /// Which of these devices are ready? natively ready descriptors; payload array of [`PollItem`]. The reply's payload has them with what is so. If none is,
    /// the thread is sent a `Wake` when one may be, unless it has made another request.
    Poll = 30,
    /// fcntl(F_SETFL): file, flags. Only `O_NONBLOCK` and `O_APPEND` change.
    SetFlags = 31,
    /// What the last reply's payload asked for has been done: 0 or the error number. No reply.
    Done = 32,
    /// A system call of the thread has failed with `EFAULT`: address and length of its buffer. The reply has the error number with which a driver has refused
    /// it there; 0: the access has not come to the host.
    Refused = 33,
    /// A fault caught by signal: address, access (`PROT_*`), the signal's si_code. The reply has a verdict (`VERDICT_*`), signal, code.
    Fault = 27,

    // Upcalls to a thread, commands to an agent.
    /// Find room: length, alignment, offset in it, hint, fixed. The answer has the address.
    Reserve = 40,
    /// Map frames: payload array of [`MapPiece`]. All or none.
    Map = 41,
    /// Unmap: address, length, keep (1: the range stays taken, inaccessible, as something is about to be mapped over it).
    Unmap = 42,
    /// Plain mprotect: payload array of [`Range`].
    Protect = 43,
    /// Read user memory: address, length. The answer's payload has the bytes that could be read (`a[0]`: how many; if not all, `a[1]`: the error
    /// number of the next).
    CopyIn = 44,
    /// Write user memory: address; payload bytes. The answer has how many could be written, and the error number likewise.
    CopyOut = 45,
    /// Read a string: address, most bytes. The answer's payload has it, with its NUL if there is one.
    CopyInStr = 46,
    /// Drop translations: payload array of [`Range`]. With signals, nothing is behind the pages afterwards.
    Zap = 47,
    /// Are you there? The answer has the agent's process id.
    Ping = 48,

    /// Become a process that can be mapped into, by an `Attach` on another connection.
    Enlist = 50,
    /// Put frames in place of memory, with what is in it: address, length, offset in the memory, protection.
    Pin = 51,

    /// End (agent only). Needs no answer. An agent that is hung up on instead seals the device memory first.
    Exit = 49,

    // Anywhere.
    /// The answer to the last request or upcall.
    Reply = 60,
    /// The waiting thread got a signal: the request should end early. Needs no answer.
    Interrupt = 61,
    /// A device that the thread polls may be ready. Needs no answer.
    Wake = 62,
}

/// `Hello`: sent by a vfork child, which borrows its parent's memory: nothing is to be mapped.
pub const HELLO_VFORK: u64 = 1;
/// Read and write: the offset is given.
pub const IO_OFFSET: u64 = 1;

/// Faults are caught by userfaultfd, system calls included.
pub const FAULTS_UFFD: u64 = 1;
/// Faults are caught by userfaultfd in user code only.
pub const FAULTS_UFFD_USER: u64 = 2;
/// Faults are caught by signals.
pub const FAULTS_SIGNAL: u64 = 3;
/// Policy only: the first of these that works.
pub const FAULTS_AUTO: u64 = 0;
/// Policy only: userfaultfd, for user code only if it must be.
pub const FAULTS_UFFD_ANY: u64 = 4;

/// In `a[5]` of a reply: its payload is an array of [`MapPiece`] for the thread to carry out; then it says `Done`.
pub const DEFERRED: u64 = 1;
/// `offset` of a [`MapPiece`] that is to be unmapped.
pub const UNMAPPED: u64 = u64::MAX;
/// `offset` of a [`MapPiece`] with nothing behind it: no access works, not even a debugger's.
pub const HIDDEN: u64 = u64::MAX - 1;

/// Fault verdict: try the access again.
pub const VERDICT_RETRY: u64 = 0;
/// Fault verdict: a signal (`a[1]`) with its code (`a[2]`).
pub const VERDICT_SIGNAL: u64 = 1;
/// Fault verdict: no device's business.
pub const VERDICT_FOREIGN: u64 = 2;

/// Part of [`Op::Map`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapPiece {
    /// User address.
    pub va: u64,
    /// Length in bytes.
    pub len: u64,
    /// Offset in the memory, in bytes; or [`UNMAPPED`] or [`HIDDEN`].
    pub offset: u64,
    /// `PROT_*` of the pages now.
    pub prot: u64,
}

/// Part of [`Op::Protect`] and [`Op::Zap`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// User address.
    pub va: u64,
    /// Length in bytes.
    pub len: u64,
    /// `PROT_*`; of no meaning to [`Op::Zap`].
    pub prot: u64,
}

/// Part of [`Op::Read`] and [`Op::Write`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffer {
    /// User address.
    pub base: u64,
    /// Length in bytes.
    pub len: u64,
}

/// Part of [`Op::Poll`], with the Linux numbers of events.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PollItem {
    /// File.
    pub open: u64,
    /// Events asked for.
    pub events: u32,
    /// In the reply: what is so.
    pub ready: u32,
    /// In the reply, for an edge-triggered interest: differs from the last one's when pollwakeup(9F) was called since. 0: not known.
    pub stamp: u64,
}

/// How the signal for a failed fault is told from any other in `si_value`: the value's top byte. Below it the byte of the signal's code,
/// below that the fault's address.
pub const SIGNAL_MAGIC: u64 = 0xd5;

/// Packs a failed fault into a signal's value.
pub const fn signal_value(addr: u64, code: i32) -> u64 {
    SIGNAL_MAGIC << 56 | (code as u64 & 0xff) << 48 | addr & 0xffff_ffff_ffff
}

/// Unpacks a signal's value: address and code.
pub const fn signal_parts(value: u64) -> Option<(u64, i32)> {
    if value >> 56 == SIGNAL_MAGIC {
        Some((value & 0xffff_ffff_ffff, (value >> 48 & 0xff) as i32))
    } else {
        None
    }
}

/// The board: a memfd that lists the device nodes, mapped read-only by every client. Its writer makes `sequence` odd while it writes.
#[repr(C)]
#[derive(Debug)]
pub struct BoardHeader {
    /// Odd while the list changes; a reader that sees it change reads again.
    pub sequence: core::sync::atomic::AtomicU32,
    /// Entries that follow.
    pub count: core::sync::atomic::AtomicU32,
    /// To a multiple of 64.
    pub pad: [u32; 14],
}

/// A device node on the board.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BoardEntry {
    /// Permission bits and file type, as `st_mode`; a symbolic link is one that leads to no device.
    pub mode: u16,
    /// Bytes of the path.
    pub path_len: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// The path, absolute, without NUL.
    pub path: [u8; PATH_MAX],
}

/// Bytes of the board.
pub const BOARD_LEN: usize = 64 * 1024;
/// Entries the board has room for.
pub const BOARD_ENTRIES: usize = (BOARD_LEN - size_of::<BoardHeader>()) / size_of::<BoardEntry>();

const _: () = assert!(size_of::<BoardHeader>() == 64);
const _: () = assert!(size_of::<BoardEntry>() == 128);
const _: () = assert!(MESSAGE_LEN == 56);
