//! [`Pieces`]: all mappings of something, to take pages away from them.
//!
//! Locks: the list, over the locks of the mappings' pages and the unloads.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use core::time::Duration;

use devmap::context::MaySleep;
use devmap::kmem::try_push;
use devmap::page::size;
use devmap::request::Protection;
use devmap::sync::{Mutex, MutexGuard};
use devmap::time::sleep;
use devmap::umem::Kind;
use devmap::{Device, Errno, Fault, Handle, MapRequest, MapSetup, Memory, Served, Umem};

use crate::page::Page;
use crate::pages::{Pages, State};

/// A handle of the framework's, and which pages it shows.
pub(crate) struct Piece {
    pub handle: Handle,
    /// User offset of the first of `pages`, where this process has them. It wraps where a mapping does not begin with the first.
    pub origin: u64,
    pub pages: Arc<Pages>,
    /// The generation of the backing that the handle maps.
    pub backed: AtomicU32,
    /// Index in the list.
    place: AtomicUsize,
}

impl Piece {
    pub fn new(handle: &Handle, origin: u64, pages: &Arc<Pages>, backed: u32) -> Arc<Piece> {
        let (handle, pages) = (handle.clone(), Arc::clone(pages));
        Arc::new(Piece {
            handle,
            origin,
            pages,
            backed: AtomicU32::new(backed),
            place: AtomicUsize::new(NOWHERE),
        })
    }
}

const NOWHERE: usize = usize::MAX;

impl Piece {
    /// Another handle that shows the same pages: a copy, or a part.
    pub fn of(&self, handle: &Handle) -> Arc<Piece> {
        Piece::new(handle, self.origin, &self.pages, self.backed.load(Relaxed))
    }

    /// Loads the page that faulted, at this byte of the pages, where each has memory of its own: what the process can do with it at most is `max`. The lock keeps others from taking it away before it is there.
    pub fn load_page(
        &self,
        state: MutexGuard<'_, State>,
        fault: Fault<'_>,
        (page, at): (&Page, u64),
        max: Protection,
    ) -> Result<Served, Errno> {
        load_page(self.origin, state, fault, (page, at), max)
    }

    /// Loads the pages that faulted, or a run of the mapping's bytes with them. The lock keeps others from taking them away before they are there.
    pub fn load(
        &self,
        state: MutexGuard<'_, State>,
        fault: Fault<'_>,
        run: Option<Range<u64>>,
    ) -> Result<Served, Errno> {
        load((self.origin, &self.backed), state, fault, run)
    }
}

/// Loads the page that faulted, at this byte of the pages, the first of which is at user offset `origin`, where each has memory of its own: what the process can do with it at most is `max`. The lock keeps others from taking it away before it is there.
pub(crate) fn load_page(
    origin: u64,
    state: MutexGuard<'_, State>,
    fault: Fault<'_>,
    (page, at): (&Page, u64),
    max: Protection,
) -> Result<Served, Errno> {
    let offset = origin.wrapping_add(at);
    fault.handle().remap_pages(offset, size(), page.memory(), page.offset(), max)?;
    let served = fault.load();
    drop(state);
    served
}

/// Loads the pages that faulted, or a run of the mapping's bytes with them; `backed` is the generation of the backing that its handle maps. The lock keeps others from taking them away before they are there.
pub(crate) fn load(
    (origin, backed): (u64, &AtomicU32),
    state: MutexGuard<'_, State>,
    fault: Fault<'_>,
    run: Option<Range<u64>>,
) -> Result<Served, Errno> {
    if backed.load(Relaxed) != state.generation {
        let backing = state.backing.as_ref().ok_or(Errno::EFAULT)?;
        let handle = fault.handle();
        let from = handle.offset().wrapping_sub(origin);
        handle.remap(&backing.memory, backing.base.saturating_add(from))?;
        backed.store(state.generation, Relaxed);
    }
    match run {
        Some(run) => {
            let len = usize::try_from(run.end.saturating_sub(run.start)).unwrap_or(usize::MAX);
            fault.load_range(origin.wrapping_add(run.start), len)
        }
        None => fault.load(),
    }
}

/// Memory that mappings show until their first page is known.
pub(crate) struct Trash(Mutex<Option<Umem>>);

impl Trash {
    pub fn new() -> Trash {
        Trash(Mutex::new(None))
    }

    /// Sets up a request with the memory of these pages, or with none as long as that is not known. Returns the setup to be completed, and the generation of the memory.
    pub fn map<'r, 'a, D: Device>(
        &self,
        request: &'r MapRequest<'a, D>,
        pages: Option<&Pages>,
    ) -> Result<(MapSetup<'r, 'a, D>, u32), Errno> {
        let backed = pages.and_then(|pages| Some((pages.start, pages.backing()?)));
        let (memory, base, generation) = match backed {
            Some((start, (backing, generation))) => {
                let from = request.offset().saturating_sub(start);
                (backing.memory, backing.base.saturating_add(from), generation)
            }
            None => (Memory::from(self.of(request.len())?), 0, 0),
        };
        Ok((request.map(memory, base).base_pages(), generation))
    }

    /// Memory of at least so many bytes.
    fn of(&self, len: usize) -> Result<Umem, Errno> {
        let mut trash = self.0.lock();
        if let Some(trash) = trash.as_ref().filter(|trash| trash.len() >= len) {
            return Ok(trash.clone());
        }
        let new = Umem::try_new(Kind::Trash, len)?;
        *trash = Some(new.clone());
        Ok(new)
    }
}

/// The list.
pub(crate) struct Pieces {
    all: Mutex<Vec<Arc<Piece>>>,
    trash: Trash,
}

impl Pieces {
    pub fn new() -> Pieces {
        Pieces { all: Mutex::new(Vec::new()), trash: Trash::new() }
    }

    pub fn len(&self) -> usize {
        self.all.lock().len()
    }

    /// All of them, locked.
    pub fn all(&self) -> MutexGuard<'_, Vec<Arc<Piece>>> {
        self.all.lock()
    }

    /// `ENOMEM`.
    pub fn insert(&self, piece: &Arc<Piece>) -> Result<(), Errno> {
        let mut all = self.all.lock();
        let place = all.len();
        try_push(&mut all, Arc::clone(piece))?;
        piece.place.store(place, Relaxed);
        Ok(())
    }

    /// As [`insert`](Pieces::insert), where nobody can be refused: waits for memory as the kernel does.
    pub fn insert_now(&self, cx: &impl MaySleep, piece: &Arc<Piece>) {
        while self.insert(piece).is_err() {
            sleep(cx, Duration::from_millis(100));
        }
    }

    pub fn remove(&self, piece: &Piece) {
        let mut all = self.all.lock();
        let place = piece.place.swap(NOWHERE, Relaxed);
        if place >= all.len() {
            return; // not in the list
        }
        let gone = all.swap_remove(place);
        if let Some(moved) = all.get(place) {
            moved.place.store(place, Relaxed);
        }
        drop(all);
        // Outside of the lock: it may be the last reference to memory.
        drop(gone);
    }

    /// Takes these device offsets away from everybody. Goes on after an error and returns the first.
    pub fn zap(&self, start: u64, end: u64) -> Result<(), Errno> {
        self.change(start, end, |pages, state, bytes| pages.zap(state, &bytes))
    }

    /// Takes their translations away, and changes with each mapping's state locked what loads of them look at: its pages, their state, and the bytes. Goes on after an error and returns the first.
    pub fn change(
        &self,
        start: u64,
        end: u64,
        change: impl Fn(&Pages, &mut State, Range<u64>),
    ) -> Result<(), Errno> {
        let mut result = Ok(());
        for piece in self.all.lock().iter() {
            let pages = &piece.pages;
            let Some(bytes) = pages.part(start, end) else { continue };
            let mut state = pages.state.lock();
            change(pages, &mut state, bytes.clone());
            // Those that this handle shows; under the lock: no load of these comes between.
            let first = piece.handle.offset().wrapping_sub(piece.origin);
            let from = bytes.start.max(first);
            let end = bytes.end.min(first.saturating_add(piece.handle.len() as u64));
            if from < end {
                let len = usize::try_from(end - from).unwrap_or(usize::MAX);
                result = result.and(piece.handle.unload_range(piece.origin.wrapping_add(from), len));
            }
        }
        Ok(result?)
    }

    /// Sets up a request with no memory: each piece gets it with its first access.
    pub fn map_nothing<'r, 'a, D: Device>(
        &self,
        request: &'r MapRequest<'a, D>,
    ) -> Result<MapSetup<'r, 'a, D>, Errno> {
        Ok(request.map(self.trash.of(request.len())?, 0).base_pages())
    }
}
