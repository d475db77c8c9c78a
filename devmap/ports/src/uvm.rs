//! NetBSD's model: memory objects with a pager, which an mmap of the open file's own chooses.
//!
//! ```no_run
//! # #![no_std]
//! # extern crate std;
//! use devmap::prelude::*;
//! use ports::page::vmalloc_to_page;
//! use ports::uvm::{Mapped, Object, Pager, Window};
//!
//! struct Store(Umem);
//!
//! impl Pager for Store {
//!     // Fills all that it is asked for.
//!     fn get(&self, window: &mut Window) -> Result<(), Errno> {
//!         for index in window.wanted() {
//!             window.set(index, vmalloc_to_page(&self.0, window.offset(index))?);
//!         }
//!         Ok(())
//!     }
//! }
//!
//! struct Cloner;
//!
//! impl Device for Cloner {
//!     type Mapping = Mapped<Store>;
//!     type Open = Object<Store>; // each open file's
//!
//!     fn attach(_: &Attach<'_>) -> Result<Cloner, Errno> {
//!         Ok(Cloner)
//!     }
//!
//!     fn open(&self, how: Open<'_>) -> Result<Object<Store>, Errno> {
//!         Object::new(Store(Umem::new(&how, Kind::Locked, 0x4000)?), 0x4000)
//!     }
//!
//!     fn devmap<'a>(&self, request: MapRequest<'a, Cloner>) -> Result<Setup<'a, Cloner>, Errno> {
//!         let offset = request.offset();
//!         request.open().map(request, offset)
//!     }
//! }
//! # devmap::module! { device: Cloner, name: "cloner", description: "memory for each open" }
//! # fn main() {}
//! ```
//!
//! - A page is the object's once `get` has filled it: all mappings of the object have it without a call, until [`Object::put`] takes it back.
//! - `reference` is called for each mapping that fork(2) or a munmap(2) of a part makes from another, `detach` for each that goes. The mmap(2) itself brings its reference along, as `uvn_attach` does.
//! - [`Object::remove_if`] ends mappings under a condition: their accesses are `SIGBUS` from then on.
//! - In an object [whose pages have protections of their own](Object::per_page) a page is read-only where the pager says so; a write asks the pager again. [`Object::protect`] changes it later. Where the
//!   framework loads a page with all that its mapping allows, as the kernel's own does, such an object is mapped for reading only.
//!
//! Locks: an object's list of mappings, then its pages', then devmap's. The pager is called with none held, and with the process's address space held.

use alloc::sync::Arc;
use core::ops::Range;

use devmap::fault::Access;
use devmap::page::{aligned, size};
use devmap::request::Protection;
use devmap::sync::{Mutex, MutexGuard};
use devmap::{
    Cut, Device, Dup, Errno, Fault, Handle, MapRequest, Mapping, Remains, Served, Setup, each_page,
};

use crate::bits::Bits;
use crate::most;
use crate::page::{self, Page, start};
use crate::pages::{Pages, State};
use crate::pieces::{Piece, Pieces};

/// Operations of an object: `uvm_pagerops`.
pub trait Pager: Send + Sync + 'static {
    /// Another mapping of the object has been made from one that was there (`pgo_reference`).
    fn reference(&self) {}

    /// A mapping is gone (`pgo_detach`): once for each.
    fn detach(&self) {}

    /// Fills pages: the [centre](Window::centre) of the window, which is accessed, and any of the others (`pgo_get`). An error, or a centre that is not filled, is `SIGBUS`.
    fn get(&self, window: &mut Window) -> Result<(), Errno>;

    /// Pages of the object have been taken back from all mappings (`pgo_put`): a range of the object's bytes. An error is the caller's of [`Object::put`].
    fn put(&self, bytes: Range<u64>) -> Result<(), Errno> {
        let _ = bytes;
        Ok(())
    }
}

/// Most pages of a [`Window`].
pub const WINDOW: usize = 16;

/// Pages that a pager is asked for.
pub struct Window {
    first: u64,
    len: usize,
    centre: usize,
    access: Access,
    /// Those that the object has not, and the centre.
    wanted: u32,
    /// With whether they can be written.
    pages: [Option<(Page, bool)>; WINDOW],
}

impl Window {
    /// Around a byte of the object, of `len` bytes.
    fn new(at: u64, len: u64, access: Access, state: &State) -> Window {
        let page = size() as u64;
        let whole = page * WINDOW as u64;
        // Aligned, as large as it can be.
        let first = start(at) & !(whole - 1);
        let count =
            usize::try_from(len.saturating_sub(first).min(whole) >> page.trailing_zeros()).unwrap_or(WINDOW);
        let centre = usize::try_from((at - first) >> page.trailing_zeros()).unwrap_or(0);
        let mut window =
            Window { first, len: count, centre, access, wanted: 0, pages: [const { None }; WINDOW] };
        for index in 0..count {
            window.wanted |= u32::from(index == centre || !state.has(window.offset(index))) << index;
        }
        window
    }

    /// Number of pages.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The page that is accessed.
    pub fn centre(&self) -> usize {
        self.centre
    }

    /// Returns the kind of access to it.
    pub fn access(&self) -> Access {
        self.access
    }

    /// The pages that the object does not have yet, and the centre: it has that if it is written, and read-only.
    pub fn wanted(&self) -> impl Iterator<Item = usize> + use<> {
        let (wanted, len) = (self.wanted, self.len);
        (0..len).filter(move |index| wanted >> index & 1 != 0)
    }

    /// Offset of a page in the object, in bytes.
    pub fn offset(&self, index: usize) -> u64 {
        self.first.saturating_add((index as u64) << size().trailing_zeros())
    }

    /// Fills a page. Nothing happens for one that is not wanted.
    pub fn set(&mut self, index: usize, page: Page) {
        self.fill(index, page, true);
    }

    /// Fills a page that is not to be written, of an object [whose pages have protections of their own](Object::per_page).
    pub fn set_read_only(&mut self, index: usize, page: Page) {
        self.fill(index, page, false);
    }

    fn fill(&mut self, index: usize, page: Page, writable: bool) {
        if self.wanted().any(|wanted| wanted == index)
            && let Some(place) = self.pages.get_mut(index)
        {
            *place = Some((page, writable));
        }
    }
}

struct Inner<P: Pager> {
    pager: P,
    pages: Arc<Pages>,
    pieces: Pieces,
    /// The pages that can be written, if each has a protection of its own.
    writable: Option<Mutex<Bits>>,
}

impl<P: Pager> Inner<P> {
    /// Returns whether the page at this byte can be written.
    fn is_writable(&self, at: u64) -> bool {
        self.writable.as_ref().is_none_or(|writable| writable.lock().get(number(at)))
    }

    fn set_writable(&self, bytes: &Range<u64>, to: bool) {
        if let Some(writable) = &self.writable {
            writable.lock().set(number(bytes.start)..number(bytes.end), to);
        }
    }
}

fn number(at: u64) -> usize {
    usize::try_from(page::number(at)).unwrap_or(usize::MAX)
}

/// A memory object: `uvm_object`. Clones are the same.
pub struct Object<P: Pager>(Arc<Inner<P>>);

impl<P: Pager> Clone for Object<P> {
    fn clone(&self) -> Object<P> {
        Object(Arc::clone(&self.0))
    }
}

/// A mapping of an object, for a [condition](Object::remove_if).
#[derive(Debug)]
pub struct Entry<'a> {
    /// The mapping.
    pub handle: &'a Handle,
    /// The part of the object that it shows, in bytes.
    pub bytes: Range<u64>,
}

impl<P: Pager> Object<P> {
    /// An object of `len` bytes, without a page. `EINVAL` if that is not whole pages, `ENOMEM`. User or kernel context.
    pub fn new(pager: P, len: u64) -> Result<Object<P>, Errno> {
        Object::make(pager, len, None)
    }

    /// The same, whose pages have protections of their own. Where the framework [cannot do that](devmap::each_page) it is mapped for reading only, and an mmap(2) for writing is refused with `ENOTSUP`.
    pub fn per_page(pager: P, len: u64) -> Result<Object<P>, Errno> {
        Object::make(pager, len, Some(Mutex::new(Bits::new(number(len))?)))
    }

    fn make(pager: P, len: u64, writable: Option<Mutex<Bits>>) -> Result<Object<P>, Errno> {
        if len == 0 || !aligned(len) {
            return Err(Errno::EINVAL);
        }
        let (pages, pieces) = (Pages::new(0, len)?, Pieces::new());
        if writable.is_some() && each_page::available() {
            pages.each()?;
        }
        Ok(Object(Arc::new(Inner { pager, pages, pieces, writable })))
    }

    /// Whether its pages can be read-only by themselves.
    fn is_each(&self) -> bool {
        self.0.pages.state.lock().is_each()
    }

    /// The pager.
    pub fn pager(&self) -> &P {
        &self.0.pager
    }

    /// The length in bytes.
    pub fn len(&self) -> u64 {
        self.0.pages.len
    }

    /// Never.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of mappings, pieces and copies included.
    pub fn mappings(&self) -> usize {
        self.0.pieces.len()
    }

    /// Maps the object for an mmap(2), from byte `from` of it on: for [`Device::devmap`].
    ///
    /// `EINVAL` for an offset that is not a page's, and for a mapping that reaches beyond the object. `ENOTSUP` for a private mapping that is to be written.
    pub fn map<'a, D>(&self, request: MapRequest<'a, D>, from: u64) -> Result<Setup<'a, D>, Errno>
    where
        D: Device<Mapping = Mapped<P>>,
    {
        let mut max = most(&request)?;
        if self.0.writable.is_some() && !self.is_each() {
            if request.protection().contains(Protection::WRITE) {
                return Err(Errno::ENOTSUP);
            }
            max -= Protection::WRITE;
        }
        let end = from.checked_add(request.len() as u64);
        if !aligned(from) || end.is_none_or(|end| end > self.len()) {
            return Err(Errno::EINVAL);
        }
        let origin = request.offset().wrapping_sub(from);
        // Its memory is set with the first access: before, nobody knows from where on it is shown.
        let setup = self.0.pieces.map_nothing(&request)?;
        let piece = Piece::new(request.handle(), origin, &self.0.pages, 0);
        self.0.pieces.insert(&piece)?;
        Ok(setup.max_protection(max).with(Mapped { object: self.clone(), piece })?)
    }

    /// Whole pages of it. `EINVAL`.
    fn checked(&self, bytes: &Range<u64>) -> Result<(), Errno> {
        let whole = aligned(bytes.start) && aligned(bytes.end) && bytes.start < bytes.end;
        if whole && bytes.end <= self.len() { Ok(()) } else { Err(Errno::EINVAL) }
    }

    /// Takes pages back from all mappings, and gives them to the [pager](Pager::put). The next access asks the pager again. Any thread that may call the pager; none of its locks that `get` takes while it waits.
    pub fn put(&self, bytes: Range<u64>) -> Result<(), Errno> {
        self.checked(&bytes)?;
        self.0.pieces.zap(bytes.start, bytes.end)?;
        self.0.pager.put(bytes)
    }

    /// Lets pages be written from now on, or not any more, in an object whose pages have protections of their own (`ENOTSUP`): their translations go, and come back with the new protection.
    pub fn protect(&self, bytes: Range<u64>, writable: bool) -> Result<(), Errno> {
        self.checked(&bytes)?;
        if self.0.writable.is_none() {
            return Err(Errno::ENOTSUP);
        }
        self.0.pieces.change(bytes.start, bytes.end, |_, _, _| self.0.set_writable(&bytes, writable))
    }

    /// Ends the mappings for which the condition holds: their accesses are `SIGBUS`. Returns their number. The condition is asked with the list locked: it must not map, unmap or wait.
    pub fn remove_if(&self, condition: impl Fn(&Entry<'_>) -> bool) -> Result<usize, Errno> {
        let mut count = 0;
        for piece in self.0.pieces.all().iter() {
            let first = piece.handle.offset().wrapping_sub(piece.origin);
            let bytes = first..first.saturating_add(piece.handle.len() as u64);
            if condition(&Entry { handle: &piece.handle, bytes }) {
                piece.handle.invalidate()?;
                count += 1;
            }
        }
        Ok(count)
    }
}

/// The private data of a mapping of an [`Object`]: `type Mapping = Mapped<P>`.
pub struct Mapped<P: Pager> {
    object: Object<P>,
    piece: Arc<Piece>,
}

impl<P: Pager> Drop for Mapped<P> {
    fn drop(&mut self) {
        self.object.0.pieces.remove(&self.piece);
        self.object.0.pager.detach();
    }
}

impl<P: Pager> Mapped<P> {
    /// The object.
    pub fn object(&self) -> &Object<P> {
        &self.object
    }

    /// Loads the page at this byte of the object, or a run with it.
    fn load(
        &self,
        state: MutexGuard<'_, State>,
        fault: Fault<'_>,
        at: u64,
        run: Option<Range<u64>>,
    ) -> Result<Served, Errno> {
        let Some(page) = state.page(at).cloned() else { return self.piece.load(state, fault, run) };
        let writable = self.object.0.is_writable(at);
        let max = if writable { Protection::all() } else { Protection::all() - Protection::WRITE };
        self.piece.load_page(state, fault, (&page, at), max)
    }

    fn copy(&self, piece: Arc<Piece>) -> Mapped<P> {
        self.object.0.pager.reference();
        Mapped { object: self.object.clone(), piece }
    }
}

impl<D: Device<Mapping = Mapped<P>>, P: Pager> Mapping<D> for Mapped<P> {
    fn access(&self, _: &D, fault: Fault<'_>) -> Result<Served, Errno> {
        let (object, pages) = (&*self.object.0, &*self.piece.pages);
        let at = start(fault.offset().wrapping_sub(self.piece.origin));
        let page = size() as u64;
        loop {
            let (seen, mut window) = {
                let state = pages.state.lock();
                if state.has(at) && (fault.access() != Access::Write || object.is_writable(at)) {
                    return self.load(state, fault, at, None);
                }
                (pages.zaps(), Window::new(at, pages.len, fault.access(), &state))
            };
            object.pager.get(&mut window)?;
            let mut state = pages.state.lock();
            if pages.zaps() != seen {
                continue; // taken back meanwhile
            }
            // The centre first: it says of which memory the others are, and only it must be there.
            let filled = window.pages.get_mut(window.centre).and_then(Option::take);
            let (centre, writable) = filled.ok_or(Errno::EFAULT)?;
            if !state.has(at) {
                pages.insert(&mut state, &centre, &(at..at + page))?;
            }
            object.set_writable(&(at..at + page), writable);
            for (index, other) in window.pages.iter().enumerate() {
                let Some((other, writable)) = other else { continue };
                let place = window.offset(index)..window.offset(index) + page;
                if pages.insert(&mut state, other, &place).is_ok() {
                    object.set_writable(&place, *writable);
                }
            }
            if fault.access() == Access::Write && !writable {
                return Err(Errno::EACCES);
            }
            let (first, end) = (window.first, window.offset(window.len));
            let mut run = at..at + page;
            while run.start > first && state.has(run.start - page) {
                run.start -= page;
            }
            while run.end < end && state.has(run.end) {
                run.end += page;
            }
            // What of the run is not this mapping's is beyond it, at either end.
            let mine = fault.handle().offset().wrapping_sub(self.piece.origin);
            run.start = run.start.max(mine);
            return self.load(state, fault, at, Some(run));
        }
    }

    fn dup(&self, _: &D, copy: Dup<'_>) -> Result<Mapped<P>, Errno> {
        let piece = self.piece.of(copy.child());
        self.object.0.pieces.insert(&piece)?;
        Ok(self.copy(piece))
    }

    fn unmap(self, _: &D, cut: Cut<'_>) -> Remains<Mapped<P>> {
        match cut {
            Cut::Whole(cut) => {
                drop(self);
                cut.gone()
            }
            Cut::Head(cut) => cut.keep(self),
            Cut::Tail(cut) => cut.keep(self),
            Cut::Middle(cut) => {
                let piece = self.piece.of(cut.rest());
                self.object.0.pieces.insert_now(&cut, &piece);
                let behind = self.copy(piece);
                cut.split(self, behind)
            }
        }
    }
}
