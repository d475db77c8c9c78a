//! The protocol between shim and host: one message per packet, over sequential-packet sockets.
//!
//! One thread of a client has one connection. It sends a [`Request`] and waits; while it waits the host may send it [`Upcall`]s, each of which it answers
//! with an [`Answer`], until the [`Reply`] to the request comes. The first connection of a process (the *lifeline*) carries no requests: its hang-up
//! tells exec and exit. The agent of a process has a connection of its own, on which only the host asks.
//!
//! Both ends are built from the same source into one program (the shim is embedded in the host), so messages are in the machine's own byte order and need no
//! version. Encoding and decoding allocate nothing and do not panic: the shim does both in signal handlers.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[macro_use]
mod code;
mod message;
mod patience;
mod signal;
mod turns;
pub mod uffd;

pub use code::{Cursor, Error, Item, Items, Message, Sink};
pub use message::{
    Answer, Behind, Buffer, Control, FaultMode, FaultPolicy, FromClient, FromHost, MapPiece, PollItem, Range,
    Reply, Request, Room, UnknownPolicy, Upcall,
};
pub use patience::Patience;
pub use signal::{FailedAccess, SignalInfo};
pub use turns::Turns;

/// Bytes of a page.
pub const PAGE_SIZE: u64 = 4096;

/// Name of the memfd that holds the physical memory.
pub const MEMORY_NAME: &core::ffi::CStr = c"ddi-memory";
/// Environment variable that tells the shim its host: `NAME:PID:BOARD`, the name of the host's abstract socket, its process id, and its descriptor of
/// the board.
pub const ENV: &str = "DDI_HOST_SOCKET";
/// Longest path of a device node, in bytes.
pub const PATH_MAX: usize = 108;
/// Most bytes of a message's list or byte string.
pub const PAYLOAD_MAX: usize = 32 * 1024;
/// Most bytes of a message's other fields.
pub const HEAD_MAX: usize = 128;
/// Most bytes of a message.
pub const MESSAGE_MAX: usize = HEAD_MAX + PAYLOAD_MAX;

/// The board: a memfd that lists the device nodes, mapped read-only by every client. It has room for two lists: a new one is written in place of the last but one, so
/// that readers never wait for the writer.
#[repr(C)]
#[derive(Debug)]
pub struct BoardHeader {
    /// Number of lists that have been written; its lowest bit is the place of the last one. A reader that finds the number changed reads again.
    pub sequence: core::sync::atomic::AtomicU32,
    /// Entries of each list.
    pub counts: [core::sync::atomic::AtomicU32; 2],
    /// To a multiple of 64.
    pub pad: [u32; 13],
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
pub const BOARD_LEN: usize = 128 * 1024;
/// Entries that a list of the board has room for.
pub const BOARD_ENTRIES: usize = (BOARD_LEN - size_of::<BoardHeader>()) / size_of::<BoardEntry>() / 2;

/// Returns the offset of an entry of a list of this number.
pub const fn board_entry(sequence: u32, index: usize) -> usize {
    size_of::<BoardHeader>() + (sequence as usize % 2 * BOARD_ENTRIES + index) * size_of::<BoardEntry>()
}

const _: () = assert!(size_of::<BoardHeader>() == 64);
const _: () = assert!(size_of::<BoardEntry>() == 128);
