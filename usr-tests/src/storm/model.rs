//! A thread's expectations of its pages: where something is mapped, what may be done there, and the value of each of its words.
//!
//! Locking: none; a thread has a model of its own, and a child its copy of its parent's.

use std::collections::HashMap;

use super::ledger::{DEVICE_PAGES, Lane};
use crate::device::{NONE, READ, WRITE};
use crate::probe::{Fault, Kind};
use crate::sys::{Errno, page_size};
use usr_tests::recorded::PAGES;

/// The first page of SCRATCH, which is one memory for all mappings, and the one behind it.
const SCRATCH: std::ops::Range<usize> = 5..16;

/// Memory behind a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Behind {
    /// A page of the device that everybody sees.
    Common(usize),
    /// A page of the device in a context of its own, which began with zeros.
    Private { context: u64, page: usize },
    /// Ordinary memory, which began with zeros.
    Memory { number: u64, page: usize },
}

#[derive(Clone, Copy, Debug)]
pub enum Page {
    Hole,
    /// A munmap failed for want of memory or descriptors: anything may be there.
    Unknown,
    Mapped {
        behind: Behind,
        prot: i32,
        most: i32,
    },
}

/// Outcome of an access, before it is compared.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    Done,
    Signal(Fault),
    Failed(Errno),
}

/// Circumstances that excuse a refusal.
#[derive(Clone, Copy, Debug)]
pub struct Excuse {
    /// The device was lost at some time during the access.
    pub lost: bool,
    /// Contexts were limited.
    pub limited: bool,
    /// The process was short of memory or descriptors.
    pub hungry: bool,
}

impl Excuse {
    /// Returns whether a call that makes a mapping, a process or an open may fail so.
    pub fn covers(&self, errno: Errno) -> bool {
        let limits = [libc::EAGAIN, libc::ENXIO];
        let hunger = [libc::ENOMEM, libc::EAGAIN, libc::EMFILE, libc::ENFILE, libc::ENXIO, libc::EBADF];
        self.limited && limits.contains(&errno.0) || self.hungry && hunger.contains(&errno.0)
    }
}

#[derive(Clone)]
pub struct Model {
    pub pages: [Page; PAGES],
    /// Words that are not common; those that are missing are 0.
    words: HashMap<(Behind, usize), u64>,
    numbers: u64,
}

impl Model {
    pub fn new() -> Model {
        // Room for a program's words, so that none is asked for when memory is short.
        Model { pages: [Page::Hole; PAGES], words: HashMap::with_capacity(4096), numbers: 0 }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// A mapping of the device has been made.
    pub fn map(&mut self, page: usize, pages: usize, first: usize, shared: bool, prot: i32, most: i32) {
        let context = self.number();
        for i in 0..pages {
            let of = first + i;
            let common = shared || SCRATCH.contains(&of);
            let behind = if common { Behind::Common(of) } else { Behind::Private { context, page: of } };
            self.pages[page + i] = Page::Mapped { behind, prot, most };
        }
    }

    /// Ordinary memory has been mapped.
    pub fn memory(&mut self, page: usize, pages: usize, prot: i32) {
        let number = self.number();
        for i in page..page + pages {
            let behind = Behind::Memory { number, page: i };
            self.pages[i] = Page::Mapped { behind, prot, most: READ | WRITE | crate::device::EXEC };
        }
    }

    pub fn unmap(&mut self, page: usize, pages: usize) {
        self.pages[page..page + pages].fill(Page::Hole);
    }

    /// It is not known any more what is there.
    pub fn doubt(&mut self, page: usize, pages: usize) {
        self.pages[page..page + pages].fill(Page::Unknown);
    }

    pub fn protect(&mut self, page: usize, pages: usize, to: i32) {
        for page in &mut self.pages[page..page + pages] {
            if let Page::Mapped { prot, .. } = page {
                *prot = to;
            }
        }
    }

    pub fn is_unknown(&self, page: usize, pages: usize) -> bool {
        self.pages[page..page + pages].iter().any(|page| matches!(page, Page::Unknown))
    }

    /// Returns whether mprotect of these pages must succeed; else the errors it may have.
    pub fn may_protect(&self, page: usize, pages: usize, to: i32) -> Result<(), &'static [i32]> {
        let range = &self.pages[page..page + pages];
        let hole = range.iter().any(|page| matches!(page, Page::Hole));
        let beyond =
            range.iter().any(|page| matches!(page, Page::Mapped { most, .. } if to & !most & WRITE != 0));
        match (hole, beyond) {
            (false, false) => Ok(()),
            (true, false) => Err(&[libc::ENOMEM]),
            (false, true) => Err(&[libc::EACCES]),
            (true, true) => Err(&[libc::ENOMEM, libc::EACCES]),
        }
    }

    /// Compares how an access ended with what the page allows. Returns whether it was made.
    pub fn judge(&self, page: usize, write: bool, outcome: Outcome, excuse: Excuse) -> Result<bool, String> {
        let (prot, device) = match self.pages[page] {
            Page::Hole => (None, false),
            Page::Unknown => return Ok(matches!(outcome, Outcome::Done)),
            Page::Mapped { behind, prot, .. } => (Some(prot), !matches!(behind, Behind::Memory { .. })),
        };
        let may = match prot {
            None => false,
            Some(prot) if write => prot & WRITE != 0,
            Some(prot) => prot != NONE,
        };
        // What is loaded can be read, whatever the protection, unless that is none.
        let must = may && (write || prot.is_some_and(|prot| prot & READ != 0));
        let good = match outcome {
            Outcome::Done => return if may { Ok(true) } else { Err("it was allowed".into()) },
            Outcome::Signal(fault) => match fault.kind() {
                Kind::Hole => prot.is_none(),
                Kind::Protection => prot.is_some() && !must,
                Kind::Device if fault.errno == libc::EIO => device && excuse.lost,
                // Without a connection it is not known what the page is.
                Kind::Device => excuse.hungry && (device || excuse.covers(Errno(fault.errno))),
                Kind::Other(..) => false,
            },
            // Without a connection the driver's error is not to be had.
            Outcome::Failed(Errno(libc::EFAULT)) => !must || device && excuse.hungry,
            // The driver's wait was broken off, by a fork of another thread.
            Outcome::Failed(Errno(libc::EINTR)) => device,
            Outcome::Failed(Errno(libc::EACCES)) => prot.is_some() && !must,
            Outcome::Failed(Errno(libc::EIO)) => device && excuse.lost,
            Outcome::Failed(errno) => excuse.hungry && excuse.covers(errno),
        };
        if good { Ok(false) } else { Err(format!("{outcome:?}, which nothing excuses ({excuse:?})")) }
    }

    /// Compares a word that was read with what it must be. `guest`: this process is not the lane's owner.
    pub fn check(&self, lane: Lane, page: usize, slot: usize, seen: u64, guest: bool) -> Result<(), String> {
        let Page::Mapped { behind, .. } = self.pages[page] else { return Ok(()) };
        let expected = match behind {
            Behind::Common(page) if guest => lane.look(page, slot, seen).err(),
            Behind::Common(page) => lane.check(page, slot, seen).err(),
            own => Some(self.word(lane, own, slot)).filter(|word| *word != seen),
        };
        match expected {
            None => Ok(()),
            Some(expected) => Err(format!("{seen:#x} is there, expected {expected:#x} ({behind:?})")),
        }
    }

    fn word(&self, lane: Lane, behind: Behind, slot: usize) -> u64 {
        self.words.get(&(behind, lane.offset(slot))).copied().unwrap_or(0)
    }

    /// To be called before a store. Returns false if the word has to be read first.
    pub fn storing(&self, lane: Lane, page: usize, slot: usize, value: u64) -> bool {
        match self.pages[page] {
            Page::Mapped { behind: Behind::Common(page), .. } => lane.storing(page, slot, value),
            _ => true,
        }
    }

    /// To be called after a store, or after one that was refused.
    pub fn stored(&mut self, lane: Lane, page: usize, slot: usize, value: u64, done: bool) {
        match self.pages[page] {
            Page::Mapped { behind: Behind::Common(page), .. } => lane.stored(page, slot, done),
            Page::Mapped { behind, .. } if done => _ = self.words.insert((behind, lane.offset(slot)), value),
            _ => {}
        }
    }

    /// Returns whether stores to the page are seen by this process only.
    pub fn is_own(&self, page: usize) -> bool {
        matches!(self.pages[page], Page::Mapped { behind, .. } if !matches!(behind, Behind::Common(_)))
    }
}

/// The first page of the device at `off`, if `len` bytes from there are the device's.
pub fn device_pages(off: u64, len: usize) -> Option<(usize, usize)> {
    let (first, pages) = ((off as usize) / page_size(), len.div_ceil(page_size()));
    (first + pages <= DEVICE_PAGES).then_some((first, pages))
}

/// Returns whether pages of the device lie in several of its regions.
pub fn crosses(first: usize, pages: usize) -> bool {
    [1, SCRATCH.start, SCRATCH.end].iter().any(|edge| first < *edge && *edge < first + pages)
}
