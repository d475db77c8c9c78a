//! Kiobufs, as Linux 2.4 had them with the patch for mapping them: a buffer of pages that a driver transfers to and from, and that any number of processes map.
//!
//! ```no_run
//! # #![no_std]
//! # extern crate std;
//! use devmap::prelude::*;
//! use ports::kiobuf::{Kiobuf, Kvmap};
//! use ports::page::vmalloc_to_page;
//!
//! struct Board(Kiobuf);
//!
//! impl Device for Board {
//!     type Mapping = Kvmap;
//!     type Open = ();
//!
//!     fn attach(attach: &Attach<'_>) -> Result<Board, Errno> {
//!         let memory = Umem::new(attach, Kind::Locked, 0x4000)?;
//!         let pages = [0, 0x1000, 0x2000].map(|at| vmalloc_to_page(&memory, at).ok());
//!         Ok(Board(Kiobuf::of_pages(&pages, || devmap::log_only!("nobody maps it"))?))
//!     }
//!
//!     fn devmap<'a>(&self, request: MapRequest<'a, Board>) -> Result<Setup<'a, Board>, Errno> {
//!         let offset = request.offset();
//!         self.0.map(request, offset) // beyond its three pages: SIGBUS
//!     }
//! }
//! # devmap::module! { device: Board, name: "board", description: "a board" }
//! # fn main() {}
//! ```
//!
//! A mapping keeps the buffer, and the buffer its memory; so nothing is freed that a process uses. Mappings are counted by the framework's callbacks, of fork, of each piece that a munmap(2) leaves, of exit, exec
//! and SIGKILL too.
//!
//! Locks: a buffer's lock for transfers, which is a wait and not a mutex; the list of its mappings, then devmap's.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use devmap::argument::Argument;
use devmap::context::MaySleep;
use devmap::page::size;
use devmap::pinned::{Held, Pins};
use devmap::request::Protection;
use devmap::sync::{Condvar, Mutex};
use devmap::{Cut, Device, Dup, Errno, Fault, MapRequest, Mapping, Memory, Remains, Served, Setup};

use crate::most;
use crate::page::Page;
use crate::pages::{Backing, Pages};
use crate::pieces::{Piece, Pieces};

/// Memory of a buffer.
enum Source {
    /// Memory that is kept by the pages.
    Pages(Arc<Pages>),
    /// A process's memory, until that process wants it back.
    User(Held, Arc<Pages>),
}

struct Inner {
    source: Source,
    pieces: Pieces,
    /// Number of mappings, pieces and copies included. Apart from the list, to see who is the last.
    mappings: Mutex<usize>,
    last: Box<dyn Fn() + Send + Sync>,
    /// Whether somebody transfers.
    locked: Mutex<bool>,
    unlocked: Condvar,
}

impl Inner {
    /// A mapping has gone. Returns whether it was the last.
    fn leave(&self) -> bool {
        let mut mappings = self.mappings.lock();
        *mappings = mappings.saturating_sub(1);
        *mappings == 0
    }
}

/// A buffer: `struct kiobuf`. Clones are the same.
#[derive(Clone)]
pub struct Kiobuf(Arc<Inner>);

impl fmt::Debug for Kiobuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a buffer of {:#x} bytes", self.len())
    }
}

fn page_shift() -> u32 {
    size().trailing_zeros()
}

impl Kiobuf {
    fn new(source: Source, last: impl Fn() + Send + Sync + 'static) -> Kiobuf {
        Kiobuf(Arc::new(Inner {
            source,
            pieces: Pieces::new(),
            mappings: Mutex::new(0),
            last: Box::new(last),
            locked: Mutex::new(false),
            unlocked: Condvar::new(),
        }))
    }

    /// Of these pages, in this order; an access to a page that is not there is `SIGBUS`. `last` is called whenever the last mapping has gone, by the process that had it, with its address space held: it may
    /// take the driver's locks, and must not map or unmap.
    ///
    /// `ENOTSUP` for pages that do not lie in one memory one behind the other, where the framework [maps no others](devmap::each_page). `EINVAL` for none at all, `ENOMEM`. User or kernel context.
    pub fn of_pages(
        pages: &[Option<Page>],
        last: impl Fn() + Send + Sync + 'static,
    ) -> Result<Kiobuf, Errno> {
        let page = size() as u64;
        let len = (pages.len() as u64).checked_mul(page).ok_or(Errno::EINVAL)?;
        let all = Pages::new(0, len)?;
        let there =
            || (0_u64..).zip(pages).filter_map(|(at, page)| Some((at << page_shift(), page.as_ref()?)));
        let one = |(at, page): (u64, &Page)| (page.offset().wrapping_sub(at), page.memory().clone());
        let first = there().next().map(one).ok_or(Errno::EINVAL)?;
        if !there().map(one).all(|other| other.0 == first.0 && other.1.is(&first.1)) {
            all.each()?;
        }
        {
            let mut state = all.state.lock();
            for (at, one) in there() {
                all.insert(&mut state, one, &(at..at + page))?;
            }
        }
        Ok(Kiobuf::new(Source::Pages(all), last))
    }

    /// Of `len` bytes of the calling process's memory, whole pages, locked there for reading, writing or both: `map_user_kiobuf`. When the process unmaps it or ends, all that map it get `SIGBUS`, and the
    /// buffer is [lost](Kiobuf::is_lost). Errors are [`Pins::lock`]'s.
    pub fn of_user(
        pins: &Pins,
        argument: &Argument<'_>,
        (address, len): (u64, usize),
        access: Protection,
        last: impl Fn() + Send + Sync + 'static,
    ) -> Result<Kiobuf, Errno> {
        let memory = pins.lock(argument, address, len, access, |_| ())?;
        let pages = Pages::new(0, len as u64)?;
        {
            let mut state = pages.state.lock();
            pages.insert(&mut state, &Page::of(&memory, 0)?, &(0..len as u64))?;
            // The pages must not keep what the process wants back.
            state.backing = None;
        }
        Ok(Kiobuf::new(Source::User(memory.hold()?, pages), last))
    }

    fn pages(&self) -> &Arc<Pages> {
        match &self.0.source {
            Source::Pages(pages) | Source::User(_, pages) => pages,
        }
    }

    /// The length in bytes: whole pages.
    pub fn len(&self) -> u64 {
        self.pages().len
    }

    /// Never.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether it was a process's memory that the process has taken back.
    pub fn is_lost(&self) -> bool {
        matches!(&self.0.source, Source::User(held, _) if held.get().is_none())
    }

    /// The memory of it, for the driver's transfers; a process's is looked at by a [view](devmap::pinned::UserMemory::view). None when it is lost, or not one memory.
    pub fn memory(&self) -> Option<Memory> {
        match &self.0.source {
            Source::Pages(pages) => pages.state.lock().backing.as_ref().map(|backing| backing.memory.clone()),
            Source::User(held, _) => held.get().map(Memory::from),
        }
    }

    /// Returns the number of mappings: of mmap(2)s, their copies in children, and pieces.
    pub fn mappings(&self) -> usize {
        *self.0.mappings.lock()
    }

    /// Locks it for a transfer, after whoever has it locked: `lock_kiovec` with waiting. Processes go on using their mappings. Unlocked by drop.
    pub fn lock(&self, cx: &impl MaySleep) -> Locked<'_> {
        let mut locked = self.0.locked.lock();
        while *locked {
            self.0.unlocked.wait(cx, &mut locked);
        }
        *locked = true;
        Locked(self)
    }

    /// The same without waiting: `EAGAIN` if somebody has it locked.
    pub fn try_lock(&self) -> Result<Locked<'_>, Errno> {
        let mut locked = self.0.locked.lock();
        if *locked {
            return Err(Errno::EAGAIN);
        }
        *locked = true;
        Ok(Locked(self))
    }

    /// Maps the buffer for an mmap(2), from byte `from` of it on: `mmap_kiobuf`. For [`Device::devmap`].
    ///
    /// An access beyond the buffer is `SIGBUS`. `ENOTSUP` for a private mapping that is to be written; `EINVAL` for an offset that is not a page's or beyond the buffer, and for a mapping of one memory that reaches
    /// beyond the *memory*; `ESTALE` for a lost one.
    pub fn map<'a, D>(&self, request: MapRequest<'a, D>, from: u64) -> Result<Setup<'a, D>, Errno>
    where
        D: Device<Mapping = Kvmap>,
    {
        let max = most(&request)?;
        if from >= self.len() {
            return Err(Errno::EINVAL);
        }
        let setup = match &self.0.source {
            Source::User(held, _) => request.map(held.get().ok_or(Errno::ESTALE)?, from),
            Source::Pages(pages) => {
                let backing = pages.state.lock().backing.clone();
                match backing {
                    Some(Backing { memory, base }) => {
                        request.map(memory, base.checked_add(from).ok_or(Errno::EINVAL)?)
                    }
                    None => self.0.pieces.map_nothing(&request)?,
                }
            }
        };
        // So that this is the offset of the buffer's first byte, should it be there.
        let origin = request.offset().wrapping_sub(from);
        let generation = self.pages().state.lock().generation;
        let piece = Piece::new(request.handle(), origin, self.pages(), generation);
        self.0.pieces.insert(&piece)?;
        Ok(setup.max_protection(max).base_pages().with(Kvmap::new(self, piece))?)
    }

    /// Takes the translations of all who map it: each next access comes back to the buffer, or fails where it is lost.
    pub fn unload(&self) -> Result<(), Errno> {
        for piece in self.0.pieces.all().iter() {
            piece.handle.unload()?;
        }
        Ok(())
    }
}

/// A buffer that is locked for a transfer, until dropped: `unlock_kiovec`.
pub struct Locked<'a>(&'a Kiobuf);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        *self.0.0.locked.lock() = false;
        self.0.0.unlocked.notify_one();
    }
}

/// The private data of a mapping of a [`Kiobuf`]: `type Mapping = Kvmap`.
pub struct Kvmap {
    buffer: Kiobuf,
    piece: Arc<Piece>,
}

impl Kvmap {
    /// Counts it. The piece is in the list.
    fn new(buffer: &Kiobuf, piece: Arc<Piece>) -> Kvmap {
        *buffer.0.mappings.lock() += 1;
        Kvmap { buffer: buffer.clone(), piece }
    }

    /// The buffer.
    pub fn buffer(&self) -> &Kiobuf {
        &self.buffer
    }
}

impl Drop for Kvmap {
    fn drop(&mut self) {
        let inner = &self.buffer.0;
        if inner.leave() {
            (inner.last)();
        }
        inner.pieces.remove(&self.piece);
    }
}

impl<D: Device<Mapping = Kvmap>> Mapping<D> for Kvmap {
    fn access(&self, _: &D, fault: Fault<'_>) -> Result<Served, Errno> {
        let at = fault.offset().wrapping_sub(self.piece.origin);
        let state = self.piece.pages.state.lock();
        if at >= self.piece.pages.len || !state.has(at) {
            return Err(Errno::EFAULT);
        }
        match state.page(at).cloned() {
            Some(page) => self.piece.load_page(state, fault, (&page, at), Protection::all()),
            None => self.piece.load(state, fault, None),
        }
    }

    fn dup(&self, _: &D, copy: Dup<'_>) -> Result<Kvmap, Errno> {
        let piece = self.piece.of(copy.child());
        self.buffer.0.pieces.insert(&piece)?;
        Ok(Kvmap::new(&self.buffer, piece))
    }

    fn unmap(self, _: &D, cut: Cut<'_>) -> Remains<Kvmap> {
        match cut {
            Cut::Whole(cut) => {
                drop(self);
                cut.gone()
            }
            Cut::Head(cut) => cut.keep(self),
            Cut::Tail(cut) => cut.keep(self),
            Cut::Middle(cut) => {
                let piece = self.piece.of(cut.rest());
                self.buffer.0.pieces.insert_now(&cut, &piece);
                let behind = Kvmap::new(&self.buffer, piece);
                cut.split(self, behind)
            }
        }
    }
}
