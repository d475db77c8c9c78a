//! Form of the file: a header, then blocks of records and texts. All numbers are words of this machine.
//!
//! A block is a header and slots. A record takes a slot; a text takes one for its head and as many as its bytes need.

use serde::Serialize;

use crate::event::{ARGUMENTS, Event};

/// First word of the file.
pub const MAGIC: u64 = u64::from_le_bytes(*b"dditrace");
/// Version of the form.
pub const VERSION: u64 = 1;
/// Bytes of the file's header.
pub const HEADER: u64 = 4096;
/// Bytes of a block.
pub const BLOCK: u64 = 64 << 10;
/// Words of a block's header.
pub const BLOCK_HEADER: usize = 8;
/// Words of a slot.
pub const SLOT: usize = 6 + ARGUMENTS;
/// Slots of a block.
pub const SLOTS: usize = (BLOCK as usize / 8 - BLOCK_HEADER) / SLOT;

/// Words of the file's header.
pub mod at {
    pub const MAGIC: usize = 0;
    pub const VERSION: usize = 1;
    pub const BLOCKS: usize = 2;
    /// Records that were overwritten.
    pub const OVERWRITTEN: usize = 3;
    /// Records and texts for which there was no room.
    pub const REFUSED: usize = 4;
    /// Time of the start in nanoseconds, by CLOCK_MONOTONIC.
    pub const STARTED: usize = 5;
    /// The same since 1970.
    pub const DATE: usize = 6;
    /// The trace was ended.
    pub const ENDED: usize = 7;
}

/// Words of a block's header.
pub mod block {
    pub const STATE: usize = 0;
    /// Slots in use.
    pub const COUNT: usize = 1;
    /// Number of times that a thread has taken the block, and made it empty.
    pub const TAKEN: usize = 2;
}

/// States of a block.
pub mod state {
    /// Never used.
    pub const FREE: u64 = 0;
    /// A thread writes to it.
    pub const CURRENT: u64 = 1;
    /// No thread writes to it: it may be overwritten.
    pub const FULL: u64 = 2;
    /// It has texts, and is never overwritten.
    pub const TEXTS: u64 = 3;
}

/// The part that all events have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stamp {
    /// Begin, in nanoseconds of CLOCK_MONOTONIC.
    pub time: u64,
    /// Nanoseconds that it took; 0 for what has no duration.
    pub duration: u64,
    /// The thread's process; 0: a thread of the kernel's, or not known.
    pub pid: u32,
    /// Number of that process's address space, which no other one ever has.
    pub process: u32,
    /// The thread (Linux tid); 0 if not known.
    pub thread: u32,
    /// The call or fault that the thread was in: equal in all events of it; 0: in none.
    pub cause: u64,
    /// Number of the device; 0 if it has none. A text has its name.
    pub device: u64,
}

/// An event of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When, and who.
    pub stamp: Stamp,
    /// The event.
    pub event: Event,
}

/// Kind of a text, and of a slot that is a text's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum About {
    /// Name of a device.
    Device = 0x100,
    /// Name of a process; `id` is that of its address space, `words` has its pid.
    Process = 0x101,
    /// Code of a process: path of the file; `words` are begin and end of the addresses, and the file's offset.
    Code = 0x102,
    /// Text of a mistake's report.
    Mistake = 0x103,
    /// Name of a static probe.
    Probe = 0x104,
}

impl About {
    fn of(kind: u16) -> Option<About> {
        [About::Device, About::Process, About::Code, About::Mistake, About::Probe]
            .into_iter()
            .find(|about| *about as u16 == kind)
    }
}

/// A text of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Kind.
    pub about: About,
    /// Number of that which it names.
    pub id: u64,
    /// More numbers.
    pub words: [u64; 3],
    /// The text.
    pub text: String,
}

/// A slot, decoded.
pub enum Slot {
    Record(Record),
    /// The head of a text of so many bytes.
    Text(About, u64, [u64; 3], usize),
    Unknown,
}

/// Returns a record as it is in a slot.
#[inline]
pub fn encode(s: Stamp, (kind, [a, b, c, d, e]): (u16, [u64; ARGUMENTS])) -> [u64; SLOT] {
    let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    [
        s.time,
        s.duration,
        pair(s.thread, kind.into()),
        pair(s.pid, s.process),
        s.cause,
        s.device,
        a,
        b,
        c,
        d,
        e,
    ]
}

/// Encodes the head of a text.
pub fn head(about: About, id: u64, words: [u64; 3], length: usize) -> [u64; SLOT] {
    [0, 0, about as u64, 0, 0, 0, id, words[0], words[1], words[2], length as u64]
}

pub fn decode(slot: [u64; SLOT]) -> Slot {
    let [time, duration, kind, who, cause, device, arguments @ ..] = slot;
    let number = kind as u16;
    if let Some(about) = About::of(number) {
        let [id, a, b, c, length] = arguments;
        return Slot::Text(about, id, [a, b, c], length as usize);
    }
    let (thread, pid, process) = ((kind >> 32) as u32, (who >> 32) as u32, who as u32);
    let stamp = Stamp { time, duration, pid, process, thread, cause, device };
    Event::decode(number, arguments).map_or(Slot::Unknown, |event| Slot::Record(Record { stamp, event }))
}

/// Encodes the bytes of a text, slot by slot.
pub fn put_text(bytes: &[u8], mut put: impl FnMut(&[u64; SLOT])) {
    for part in bytes.chunks(8 * SLOT) {
        let mut slot = [0; SLOT];
        for (word, bytes) in slot.iter_mut().zip(part.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_ne_bytes(whole);
        }
        put(&slot);
    }
}

/// Slots of a text of so many bytes, with its head.
pub fn slots(length: usize) -> usize {
    1 + length.div_ceil(8 * SLOT)
}
