//! The calls of a trace: how they are written and read.

use std::fmt;

use libc::{PROT_EXEC as EXEC, PROT_READ as READ, PROT_WRITE as WRITE};

/// A call with its arguments. Pages are those of the area, `at` is an offset in the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "they are arguments of the system calls, or as README.md of this package describes them"
)]
pub enum Call {
    /// mmap fixed at a page; `read_only`: of the descriptor that is open for reading.
    Map {
        page: usize,
        len: usize,
        off: u64,
        prot: Prot,
        shared: bool,
        read_only: bool,
    },
    /// mmap where there is room, a store to its first byte, munmap.
    MapAnywhere {
        len: usize,
        off: u64,
        prot: Prot,
        shared: bool,
    },
    /// mmap with a length or an offset that is none, or is not the device's; munmap if it succeeds.
    MapOdd {
        len: usize,
        off: u64,
    },
    Unmap {
        page: usize,
        pages: usize,
    },
    UnmapNothing {
        page: usize,
    },
    UnmapUnaligned {
        page: usize,
        pages: usize,
    },
    Protect {
        page: usize,
        pages: usize,
        prot: Prot,
    },
    ProtectUnaligned {
        page: usize,
    },
    /// mmap of anonymous private memory, fixed.
    Anonymous {
        page: usize,
        pages: usize,
    },
    Lock {
        page: usize,
        pages: usize,
    },
    Unlock {
        page: usize,
        pages: usize,
    },
    Resident {
        page: usize,
        pages: usize,
    },
    Advise {
        page: usize,
        pages: usize,
        advice: i32,
    },
    Sync {
        page: usize,
        pages: usize,
    },
    Load {
        page: usize,
        at: usize,
    },
    Store {
        page: usize,
        at: usize,
        value: u8,
    },
    /// write(2) of 8 bytes to a pipe, from the area.
    WriteFrom {
        page: usize,
        at: usize,
    },
    /// read(2) of 8 bytes from a pipe, into the area.
    ReadInto {
        page: usize,
        at: usize,
    },
    /// write(2) of 16 bytes to the device.
    DeviceWrite {
        value: u8,
    },
    DeviceWriteFrom {
        page: usize,
    },
    Revoke,
    Lose {
        lost: bool,
    },
    MaxContexts {
        most: usize,
    },
    /// An ioctl with a page's address as its argument, or with one where nothing is.
    Ioctl {
        command: i32,
        page: Option<usize>,
    },
    /// Close and open again.
    Reopen,
    /// A fork that is refused.
    Fork,
    Nothing,
}

/// Protections, written `rwx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prot(pub i32);

const LETTERS: [(i32, char); 3] = [(READ, 'r'), (WRITE, 'w'), (EXEC, 'x')];

impl fmt::Display for Prot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        LETTERS
            .iter()
            .try_for_each(|(bit, letter)| write!(f, "{}", if self.0 & bit != 0 { *letter } else { '-' }))
    }
}

fn prot(word: &str) -> Option<Prot> {
    let mut bits = 0;
    let mut chars = word.chars();
    for (bit, letter) in LETTERS {
        match chars.next()? {
            c if c == letter => bits |= bit,
            '-' => {}
            _ => return None,
        }
    }
    chars.next().is_none().then_some(Prot(bits))
}

fn sharing(shared: bool) -> &'static str {
    if shared { "shared" } else { "private" }
}

impl Call {
    /// Name under which it is counted.
    pub fn kind(&self) -> &'static str {
        match self {
            Call::Map { .. } => "mmap",
            Call::MapAnywhere { .. } => "mmap any",
            Call::MapOdd { .. } => "mmap odd",
            Call::Unmap { .. } => "munmap",
            Call::UnmapNothing { .. } | Call::UnmapUnaligned { .. } => "munmap odd",
            Call::Protect { .. } => "mprotect",
            Call::ProtectUnaligned { .. } => "mprotect odd",
            Call::Anonymous { .. } => "anon",
            Call::Lock { .. } => "mlock",
            Call::Unlock { .. } => "munlock",
            Call::Resident { .. } => "mincore",
            Call::Advise { .. } => "madvise",
            Call::Sync { .. } => "msync",
            Call::Load { .. } => "read",
            Call::Store { .. } => "write",
            Call::WriteFrom { .. } => "write(2)",
            Call::ReadInto { .. } => "read(2)",
            Call::DeviceWrite { .. } | Call::DeviceWriteFrom { .. } => "dev write",
            Call::Revoke => "revoke",
            Call::Lose { .. } => "lose",
            Call::MaxContexts { .. } => "max-contexts",
            Call::Ioctl { .. } => "ioctl",
            Call::Reopen => "reopen",
            Call::Fork => "fork",
            Call::Nothing => "nop",
        }
    }

    /// Details behind the outcome.
    pub fn behind(&self) -> String {
        match self {
            Call::Ioctl { page: Some(page), .. } => format!(" p{page}"),
            _ => String::new(),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match *self {
            Call::Map { page, len, off, prot, shared, read_only } => {
                let own = if read_only { " ro" } else { "" };
                write!(f, "mmap p{page} len={len} off={off:x} {prot} {}{own}", sharing(shared))
            }
            Call::MapAnywhere { len, off, prot, shared } => {
                write!(f, "mmap any len={len} off={off:x} {prot} {}", sharing(shared))
            }
            Call::MapOdd { len, off } => write!(f, "mmap odd len={len:x} off={off:x}"),
            Call::UnmapNothing { page } => write!(f, "munmap odd p{page} len=0"),
            Call::UnmapUnaligned { page, pages } => write!(f, "munmap odd p{page}+1 n={pages}"),
            Call::ProtectUnaligned { page } => write!(f, "mprotect odd p{page}+1"),
            Call::Protect { page, pages, prot } => write!(f, "mprotect p{page} n={pages} {prot}"),
            Call::Advise { page, pages, advice } => write!(f, "madvise p{page} n={pages} {advice}"),
            Call::Unmap { page, pages }
            | Call::Anonymous { page, pages }
            | Call::Lock { page, pages }
            | Call::Unlock { page, pages }
            | Call::Resident { page, pages }
            | Call::Sync { page, pages } => write!(f, "{kind} p{page} n={pages}"),
            Call::Load { page, at } | Call::WriteFrom { page, at } | Call::ReadInto { page, at } => {
                write!(f, "{kind} p{page}+{at}")
            }
            Call::Store { page, at, value } => write!(f, "write p{page}+{at}={value}"),
            Call::DeviceWrite { value } => write!(f, "dev write [{value}]"),
            Call::DeviceWriteFrom { page } => write!(f, "dev write from p{page}"),
            Call::Lose { lost } => write!(f, "lose {}", i32::from(lost)),
            Call::MaxContexts { most } => write!(f, "max-contexts {most}"),
            Call::Ioctl { command, page } => {
                write!(f, "ioctl {command:x} arg={}", if page.is_some() { "page" } else { "bad" })
            }
            Call::Revoke | Call::Reopen | Call::Fork | Call::Nothing => f.write_str(kind),
        }
    }
}

/// Reads a call, given what stands before `->` and behind it.
pub fn parse(text: &str, outcome: &str) -> Option<Call> {
    let words: Vec<&str> = text.split(' ').collect();
    let number = |word: &str, name: &str| word.strip_prefix(name)?.parse::<usize>().ok();
    let hex = |word: &str, name: &str| u64::from_str_radix(word.strip_prefix(name)?, 16).ok();
    let page = |word: &str| number(word, "p").filter(|page| *page < super::PAGES);
    let in_page = |word: &str| {
        let (at_page, at) = word.split_once('+')?;
        Some((page(at_page)?, at.parse::<usize>().ok().filter(|at| *at < 4096)?))
    };
    let pages = |word: &str, count: &str| {
        let (page, pages) = (page(word)?, number(count, "n=")?);
        (pages <= super::PAGES - page).then_some((page, pages))
    };
    let shared = |word: &str| match word {
        "shared" => Some(true),
        "private" => Some(false),
        _ => None,
    };
    Some(match *words.as_slice() {
        ["mmap", "any", len, off, rwx, kind] => Call::MapAnywhere {
            len: number(len, "len=")?,
            off: hex(off, "off=")?,
            prot: prot(rwx)?,
            shared: shared(kind)?,
        },
        ["mmap", "odd", len, off] => Call::MapOdd { len: hex(len, "len=")? as usize, off: hex(off, "off=")? },
        ["mmap", at, len, off, rwx, kind, ref rest @ ..] if rest.is_empty() || rest == ["ro"] => {
            let (page, len) = (page(at)?, number(len, "len=")?);
            let (off, prot, shared) = (hex(off, "off=")?, prot(rwx)?, shared(kind)?);
            Call::Map { page, len, off, prot, shared, read_only: !rest.is_empty() }
        }
        ["munmap", "odd", at, "len=0"] => Call::UnmapNothing { page: page(at)? },
        ["munmap", "odd", at, count] => {
            Call::UnmapUnaligned { page: page(at.strip_suffix("+1")?)?, pages: number(count, "n=")? }
        }
        ["mprotect", "odd", at] => Call::ProtectUnaligned { page: page(at.strip_suffix("+1")?)? },
        ["mprotect", at, count, rwx] => {
            let (page, pages) = pages(at, count)?;
            Call::Protect { page, pages, prot: prot(rwx)? }
        }
        ["madvise", at, count, advice] => {
            let (page, pages) = pages(at, count)?;
            Call::Advise { page, pages, advice: advice.parse().ok()? }
        }
        ["read", at] => in_page(at).map(|(page, at)| Call::Load { page, at })?,
        ["write", at] => {
            let (at, value) = at.split_once('=')?;
            let (page, at) = in_page(at)?;
            Call::Store { page, at, value: value.parse().ok()? }
        }
        ["write(2)", at] => in_page(at).map(|(page, at)| Call::WriteFrom { page, at })?,
        ["read(2)", at] => in_page(at).map(|(page, at)| Call::ReadInto { page, at })?,
        ["dev", "write", "from", at] => Call::DeviceWriteFrom { page: page(at)? },
        ["dev", "write", value] => {
            Call::DeviceWrite { value: value.strip_prefix('[')?.strip_suffix(']')?.parse().ok()? }
        }
        ["lose", lost] => Call::Lose { lost: lost.parse::<i32>().ok()? != 0 },
        ["max-contexts", most] => Call::MaxContexts { most: most.parse().ok()? },
        ["ioctl", command, "arg=bad"] => Call::Ioctl { command: hex(command, "")? as i32, page: None },
        ["ioctl", command, "arg=page"] => {
            let at = outcome.rsplit(' ').next()?;
            Call::Ioctl { command: hex(command, "")? as i32, page: Some(page(at)?) }
        }
        ["revoke"] => Call::Revoke,
        ["reopen"] => Call::Reopen,
        ["fork"] => Call::Fork,
        ["nop"] => Call::Nothing,
        [kind, at, count] => {
            let (page, pages) = pages(at, count)?;
            match kind {
                "munmap" => Call::Unmap { page, pages },
                "anon" => Call::Anonymous { page, pages },
                "mlock" => Call::Lock { page, pages },
                "munlock" => Call::Unlock { page, pages },
                "mincore" => Call::Resident { page, pages },
                "msync" => Call::Sync { page, pages },
                _ => return None,
            }
        }
        _ => return None,
    })
}
