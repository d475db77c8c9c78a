//! The messages.

use core::fmt;

use crate::code::{Error, Field, Item, Items, Message, Reader, Sink};

/// Way of catching faults and installing translations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultMode {
    /// userfaultfd with faults of system calls included.
    Userfaultfd = 1,
    /// userfaultfd for faults of user code only (`UFFD_USER_MODE_ONLY`): what an unprivileged user may have.
    UserfaultfdUserOnly = 2,
    /// Page protections and a SIGSEGV handler in the client.
    Signal = 3,
}

impl FaultMode {
    /// Returns the name of the mode as `--faults` takes it.
    pub fn name(self) -> &'static str {
        match self {
            FaultMode::Userfaultfd => "userfaultfd",
            FaultMode::UserfaultfdUserOnly => "userfaultfd-user",
            FaultMode::Signal => "signal",
        }
    }

    /// Returns the mode with this number, if there is one.
    pub fn from_number(n: u32) -> Option<FaultMode> {
        [FaultMode::Userfaultfd, FaultMode::UserfaultfdUserOnly, FaultMode::Signal]
            .into_iter()
            .find(|mode| *mode as u32 == n)
    }
}

/// Which [`FaultMode`] to use: the `--faults` option.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FaultPolicy {
    /// The first that works of userfaultfd, userfaultfd for user code only, signals.
    #[default]
    Auto = 0,
    /// userfaultfd, for user code only if it must be; an error where there is none.
    Userfaultfd = 1,
    /// userfaultfd for user code only, even where more is allowed (for tests).
    UserfaultfdUserOnly = 2,
    /// Page protections and signals.
    Signal = 3,
}

impl FaultPolicy {
    /// Returns the policy with this number, if there is one.
    pub fn from_number(n: u32) -> Option<FaultPolicy> {
        use FaultPolicy::{Auto, Signal, Userfaultfd, UserfaultfdUserOnly};
        [Auto, Userfaultfd, UserfaultfdUserOnly, Signal].into_iter().find(|policy| *policy as u32 == n)
    }
}

/// Error of a [`FaultPolicy`] that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPolicy;

impl fmt::Display for UnknownPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown way to catch faults (use userfaultfd, signal or auto)")
    }
}

impl core::error::Error for UnknownPolicy {}

impl core::str::FromStr for FaultPolicy {
    type Err = UnknownPolicy;

    fn from_str(s: &str) -> Result<Self, UnknownPolicy> {
        match s {
            "auto" => Ok(FaultPolicy::Auto),
            "userfaultfd" => Ok(FaultPolicy::Userfaultfd),
            "userfaultfd-user" => Ok(FaultPolicy::UserfaultfdUserOnly),
            "signal" => Ok(FaultPolicy::Signal),
            _ => Err(UnknownPolicy),
        }
    }
}

/// A system call about memory that changes no mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// msync(2); the argument is of `MS_*`.
    Sync = 1,
    /// mlock(2).
    Lock = 2,
    /// munlock(2).
    Unlock = 3,
    /// madvise(2); the argument is one of `MADV_*`.
    Advise = 4,
}

impl Control {
    /// Returns the call with this number, if there is one.
    pub fn from_number(n: u32) -> Option<Control> {
        use Control::{Advise, Lock, Sync, Unlock};
        [Sync, Lock, Unlock, Advise].into_iter().find(|control| *control as u32 == n)
    }
}

macro_rules! numbered {
    ($($name:ident),*) => {$(
        impl<'a> Field<'a> for $name {
            fn put(&self, out: &mut impl Sink) -> Result<(), Error> {
                (*self as u32).put(out)
            }

            fn take(from: &mut Reader<'a>) -> Result<Self, Error> {
                let n = u32::take(from)?;
                $name::from_number(n).ok_or(Error::Value(n.into()))
            }
        }
    )*};
}

numbered!(Control, FaultMode, FaultPolicy);

/// Memory behind the pages of a [`MapPiece`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behind {
    /// The piece is to be unmapped.
    #[default]
    Unmapped,
    /// Nothing: no access works, not even a debugger's.
    Hidden,
    /// Frames of the memory, from this offset on, in bytes.
    Frames(u64),
}

impl<'a> Field<'a> for Behind {
    fn put(&self, out: &mut impl Sink) -> Result<(), Error> {
        let (kind, offset) = match *self {
            Behind::Unmapped => (0u32, 0u64),
            Behind::Hidden => (1, 0),
            Behind::Frames(offset) => (2, offset),
        };
        kind.put(out)?;
        offset.put(out)
    }

    fn take(from: &mut Reader<'a>) -> Result<Self, Error> {
        match (u32::take(from)?, u64::take(from)?) {
            (0, 0) => Ok(Behind::Unmapped),
            (1, 0) => Ok(Behind::Hidden),
            (2, offset) => Ok(Behind::Frames(offset)),
            (0 | 1, offset) => Err(Error::Value(offset)),
            (kind, _) => Err(Error::Value(kind.into())),
        }
    }
}

items! {
    /// Pages of a client's address space and what is to be behind them.
    MapPiece[32] {
        /// User address.
        va: u64,
        /// Length in bytes.
        len: u64,
        /// `PROT_*` of the pages now.
        prot: u32,
        /// Their frames.
        behind: Behind,
    }

    /// A range of a client's address space.
    Range[20] {
        /// User address.
        va: u64,
        /// Length in bytes.
        len: u64,
        /// `PROT_*`; of no meaning to [`Upcall::Zap`].
        prot: u32,
    }

    /// A buffer of a read or a write, laid out as a `struct iovec`.
    Buffer[16] {
        /// User address.
        base: u64,
        /// Length in bytes.
        len: u64,
    }

    /// A device that is polled, with the Linux numbers of events.
    PollItem[24] {
        /// File.
        open: u64,
        /// Events asked for.
        events: u32,
        /// In the reply: its `revents`.
        ready: u32,
        /// In the reply, for an edge-triggered interest: differs from the last one's when pollwakeup(9F) was called since. 0: not known.
        stamp: u64,
    }

    /// Address space that is reserved.
    Room[16] {
        /// User address.
        addr: u64,
        /// Length in bytes.
        len: u64,
    }
}

messages! {
    /// A message of a client. Unless its documentation says otherwise, the host sends a [`Reply`]: [`Reply::Failed`], or the one that is named.
    Request {
        // First message of a connection.
        /// Introduces a process; the connection becomes its lifeline. [`Reply::Welcome`], with the memory's descriptor.
        Hello = 1,
        /// Introduces a thread of a process. No reply.
        Thread = 2 {
            /// The process's number, from [`Reply::Welcome`].
            process: u64,
            /// The thread's id.
            tid: i32,
        },
        /// Introduces a forked child, on the connection that its parent got for it, with the descriptors of [`Request::Attach`].
        /// [`Reply::Welcome`], with the memory's descriptor.
        Child = 3 {
            /// The child's process id.
            pid: i32,
            /// The process's fault mode.
            mode: FaultMode,
        },

        // Requests of a thread.
        /// Makes the process one that can be mapped into. Has descriptors of the agent's connection and (not for signals) of the userfaultfd.
        /// [`Reply::Done`].
        Attach = 9 {
            /// The process's fault mode.
            mode: FaultMode,
        },
        /// open(2). [`Reply::Done`], with the new descriptor.
        Open = 16 {
            /// `O_*`.
            flags: i32,
            /// Path of the device node, without NUL.
            path: &'a [u8],
        },
        /// read(2) and its family. [`Reply::Transferred`].
        Read = 17 {
            /// File.
            open: u64,
            /// Offset in it; `None`: the file's own.
            offset: Option<i64>,
            /// The program's buffers.
            buffers: Items<'a, Buffer>,
        },
        /// write(2) and its family. [`Reply::Transferred`].
        Write = 18 {
            /// File.
            open: u64,
            /// Offset in it; `None`: the file's own.
            offset: Option<i64>,
            /// The program's buffers.
            buffers: Items<'a, Buffer>,
        },
        /// ioctl(2). [`Reply::Returned`].
        Ioctl = 19 {
            /// File.
            open: u64,
            /// The call's second argument.
            command: u64,
            /// The call's third argument.
            argument: u64,
        },
        /// lseek(2). [`Reply::Offset`].
        Seek = 20 {
            /// File.
            open: u64,
            /// The call's second argument.
            offset: i64,
            /// `SEEK_*`.
            whence: i32,
        },
        /// fstat(2). [`Reply::Node`].
        Stat = 21 {
            /// File.
            open: u64,
        },
        /// mmap(2). [`Reply::Mapped`] or [`Reply::Finish`].
        Mmap = 22 {
            /// File.
            open: u64,
            /// Address or hint.
            addr: u64,
            /// Length in bytes.
            len: u64,
            /// `PROT_*`.
            prot: u32,
            /// `MAP_*`.
            flags: i32,
            /// Offset in bytes.
            offset: u64,
            /// Address space that the thread has reserved for the mapping.
            room: Option<Room>,
        },
        /// munmap(2) of a range that may hold device mappings. [`Reply::Done`] or [`Reply::Finish`].
        Munmap = 23 {
            /// Address.
            addr: u64,
            /// Length in bytes.
            len: u64,
            /// Only device mappings are unmapped, and their addresses stay taken.
            replace: bool,
        },
        /// mprotect(2) of a range that may hold device mappings. [`Reply::Done`].
        Mprotect = 24 {
            /// Address.
            addr: u64,
            /// Length in bytes.
            len: u64,
            /// `PROT_*`.
            prot: u32,
        },
        /// Asks which part of a range belongs to devices. [`Reply::Stretch`].
        Query = 25 {
            /// Address.
            addr: u64,
            /// Length in bytes.
            len: u64,
        },
        /// Announces a fork. [`Reply::Child`], with the child's connection. Other threads' requests and faults wait from then on until
        /// [`Request::Forked`], [`Request::Child`], or the connection's end.
        Fork = 26 {
            /// The process has one thread only.
            alone: bool,
            /// An address on the calling thread's stack.
            stack: u64,
        },
        /// Reports a fault that a signal handler caught. [`Reply::Retry`], [`Reply::Signal`] or [`Reply::Foreign`].
        Fault = 27 {
            /// Address of the access.
            addr: u64,
            /// One of `PROT_*`.
            access: u32,
            /// Address of the instruction.
            code: u64,
        },
        /// Reports that the announced fork has happened. No reply.
        Forked = 28 {
            /// The child's number, from [`Reply::Child`].
            child: u64,
            /// The child's process id; 0 if it is not known.
            pid: i32,
        },
        /// Asks which devices are ready. [`Reply::Ready`]. If none is, the thread is sent an [`Upcall::Wake`] when one may be, unless it has made another
        /// request.
        Poll = 30 {
            /// The devices.
            items: Items<'a, PollItem>,
        },
        /// fcntl(F_SETFL): only `O_NONBLOCK` and `O_APPEND` change. [`Reply::Done`].
        SetFlags = 31 {
            /// File.
            open: u64,
            /// `O_*`.
            flags: i32,
        },
        /// Asks why a system call of the thread has failed with `EFAULT`. [`Reply::Refusal`].
        Refused = 33 {
            /// Address of its buffer.
            addr: u64,
            /// Length in bytes.
            len: u64,
        },
        /// Advice about device memory, and the like: whoever has mapped it may refuse. [`Reply::Done`].
        Control = 34 {
            /// The program's call.
            control: Control,
            /// Address, of a device's.
            addr: u64,
            /// Length in bytes, of the device's.
            len: u64,
            /// The call's argument; 0 if it has none.
            argument: u32,
        },
        /// mincore(2) of device memory. [`Reply::Done`]; an [`Upcall::CopyOut`] comes before.
        Incore = 35 {
            /// Address, of a device's.
            addr: u64,
            /// Length in bytes, of the device's.
            len: u64,
            /// Address of the program's byte for the first page.
            vec: u64,
        },
        /// Reports a signal to the waiting thread: its request should end early. No reply.
        Interrupt = 61,
    }
}

messages! {
    /// The host's answer to a [`Request`].
    Reply {
        /// The request has failed.
        Failed = 100 {
            /// The Linux error number.
            errno: i32,
        },
        /// The request has been served.
        Done = 101,
        /// Welcomes a process.
        Welcome = 102 {
            /// The process's number, for [`Request::Thread`].
            process: u64,
            /// Policy of catching faults.
            policy: FaultPolicy,
            /// Mappings whose address the program does not choose lie below 4 GiB.
            low: bool,
        },
        /// Result of a read or a write.
        Transferred = 103 {
            /// Bytes.
            count: u64,
        },
        /// Result of an ioctl.
        Returned = 104 {
            /// The value.
            value: i32,
        },
        /// Result of a seek.
        Offset = 105 {
            /// The new offset in bytes.
            offset: i64,
        },
        /// Attributes of an open device.
        Node = 106 {
            /// Major number.
            major: u32,
            /// Minor number.
            minor: u32,
            /// File type and permissions.
            mode: u32,
            /// Owner.
            uid: u32,
            /// Group.
            gid: u32,
            /// `O_*` of the open.
            flags: i32,
        },
        /// Result of an mmap.
        Mapped = 107 {
            /// Address.
            addr: u64,
        },
        /// The request has been served but for changes that the thread makes itself, in its turn.
        Finish = 108 {
            /// Result of an mmap; 0 for others.
            addr: u64,
            /// Number of these changes among those of the process, counted from 1 and modulo 2^32: they are made when those before them are.
            turn: u32,
            /// The changes.
            pieces: Items<'a, MapPiece>,
        },
        /// The first device memory of a range; start and end are equal if there is none.
        Stretch = 109 {
            /// First address.
            start: u64,
            /// Address behind it.
            end: u64,
        },
        /// A fork may happen.
        Child = 110 {
            /// The child's number.
            child: u64,
            /// Turn (of [`Reply::Finish`]) that was given last: the fork waits until it is over.
            turn: u32,
        },
        /// Result of a poll.
        Ready = 111 {
            /// Devices that have events.
            count: u64,
            /// The devices.
            items: Items<'a, PollItem>,
        },
        /// The access that faulted is to be tried again.
        Retry = 112 {
            /// Nothing was wrong with it when the host looked.
            idle: bool,
        },
        /// The access that faulted fails.
        Signal = 113 {
            /// `SIGSEGV` or `SIGBUS`.
            signo: i32,
            /// `si_code`.
            code: i32,
            /// `si_errno`.
            errno: i32,
        },
        /// The access that faulted is no device's.
        Foreign = 114,
        /// Reason why a system call's access was refused.
        Refusal = 115 {
            /// A driver's error; 0: the access has not come to the host.
            errno: i32,
        },
    }
}

messages! {
    /// A message of the host to a thread that waits for its reply, or to an agent. Unless its documentation says otherwise, an [`Answer`] is sent:
    /// [`Answer::Failed`], or the one that is named.
    Upcall {
        /// Finds address space and keeps it with inaccessible memory. [`Answer::Room`].
        Reserve = 40 {
            /// Length in bytes.
            len: u64,
            /// Alignment in bytes, a power of two.
            align: u64,
            /// Address modulo alignment.
            offset: u64,
            /// Address to use if it is free; 0: none.
            hint: u64,
        },
        /// Maps frames. All or none. [`Answer::Done`].
        Map = 41 {
            /// The pieces; none is [`Behind::Unmapped`].
            pieces: Items<'a, MapPiece>,
        },
        /// Unmaps a range. [`Answer::Done`].
        Unmap = 42 {
            /// Address.
            addr: u64,
            /// Length in bytes.
            len: u64,
        },
        /// mprotect(2). [`Answer::Done`].
        Protect = 43 {
            /// The ranges.
            ranges: Items<'a, Range>,
        },
        /// Reads user memory. [`Answer::Bytes`].
        CopyIn = 44 {
            /// Address.
            addr: u64,
            /// Length in bytes, at most [`PAYLOAD_MAX`](crate::PAYLOAD_MAX).
            len: u64,
        },
        /// Writes user memory. [`Answer::Copied`].
        CopyOut = 45 {
            /// Address.
            addr: u64,
            /// Bytes to write.
            bytes: &'a [u8],
        },
        /// Reads a string. [`Answer::Bytes`] has it, with its NUL if there is one.
        CopyInStr = 46 {
            /// Address.
            addr: u64,
            /// Most bytes, at most [`PAYLOAD_MAX`](crate::PAYLOAD_MAX).
            max: u64,
        },
        /// Drops translations. With signals, nothing is behind the pages afterwards. [`Answer::Done`].
        Zap = 47 {
            /// The ranges.
            ranges: Items<'a, Range>,
        },
        /// Asks whether an agent is there. [`Answer::Agent`].
        Ping = 48,
        /// Ends an agent. No answer. An agent that is hung up on instead seals the device memory first.
        Exit = 49,
        /// Makes the process one that can be mapped into, by a [`Request::Attach`] on another connection. [`Answer::Done`].
        Enlist = 50,
        /// Puts frames in place of memory, with what is in it. [`Answer::Done`].
        Pin = 51 {
            /// Address.
            addr: u64,
            /// Length in bytes.
            len: u64,
            /// Offset in the memory, in bytes.
            offset: u64,
            /// `PROT_*`.
            prot: u32,
        },
        /// Unmaps a range that stays taken, by inaccessible memory, because something is about to be mapped over it. [`Answer::Done`].
        Clear = 52 {
            /// Address.
            addr: u64,
            /// Length in bytes.
            len: u64,
        },
        /// Waits until a turn (of [`Reply::Finish`]) is over, before changes that come next. No answer.
        Await = 53 {
            /// The turn.
            turn: u32,
        },
        /// A device that the thread polls may be ready. No answer.
        Wake = 62,
    }
}

messages! {
    /// A thread's or an agent's answer to an [`Upcall`].
    Answer {
        /// The upcall has failed.
        Failed = 200 {
            /// The Linux error number.
            errno: i32,
        },
        /// The upcall has been served.
        Done = 201,
        /// Address space that is kept.
        Room = 202 {
            /// Address.
            addr: u64,
        },
        /// User memory.
        Bytes = 203 {
            /// The error number of the byte that follows them; of no meaning if all were read.
            why: i32,
            /// The bytes that could be read.
            bytes: &'a [u8],
        },
        /// User memory has been written.
        Copied = 204 {
            /// The error number of the byte that follows; of no meaning if all were written.
            why: i32,
            /// Bytes that could be written.
            count: u64,
        },
        /// The agent is there.
        Agent = 205 {
            /// The agent's process id.
            pid: i32,
        },
    }
}

/// A message that a client receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromHost<'a> {
    /// The reply to its request.
    Reply(Reply<'a>),
    /// An upcall.
    Upcall(Upcall<'a>),
}

impl<'a> FromHost<'a> {
    /// Decodes a message of the host.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Error> {
        match Reply::decode(bytes) {
            Err(Error::Foreign(_)) => Upcall::decode(bytes).map(FromHost::Upcall),
            reply => reply.map(FromHost::Reply),
        }
    }
}

/// A message that the host receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromClient<'a> {
    /// A request.
    Request(Request<'a>),
    /// The answer to its upcall.
    Answer(Answer<'a>),
}

impl<'a> FromClient<'a> {
    /// Decodes a message of a client.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Error> {
        match Request::decode(bytes) {
            Err(Error::Foreign(_)) => Answer::decode(bytes).map(FromClient::Answer),
            request => request.map(FromClient::Request),
        }
    }
}

#[cfg(test)]
mod tests;
