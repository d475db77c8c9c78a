//! [`Vma`]: the private data of a mapping, and [`mmap`], which makes it.
//!
//! Locks: a mapping's pages, over the load; see the parent module.

use alloc::sync::Arc;
use core::cell::Cell;
use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;

use devmap::fault::Access;
use devmap::page::size;
use devmap::request::Protection;
use devmap::sync::MutexGuard;
use devmap::{Cut, Device, Dup, Errno, Fault, MapRequest, Mapping, Remains, Served, Setup, Sharing};

use crate::linux::area::{Area, Flags};
use crate::linux::ops::{Answer, Vmf};
use crate::linux::space::{AddressSpace, Kind, Mode};
use crate::most;
use crate::page::Page;
use crate::pages::{Pages, State};
use crate::pieces::Piece;

/// The private data of a mapping whose driver has Linux's model: `type Mapping = Vma<P>`, `P` being what the areas' private data is.
pub struct Vma<P: Send + Sync + 'static> {
    /// None in a child that was not to have it.
    kind: Option<Kind<P>>,
    piece: Arc<Piece>,
    space: AddressSpace<P>,
}

impl<P: Send + Sync + 'static> Drop for Vma<P> {
    fn drop(&mut self) {
        self.space.pieces().remove(&self.piece);
        if let Some(Kind::Own(area)) = self.kind.take() {
            area.close();
        }
    }
}

/// Maps an area for an mmap(2): `make` is Linux's `file_operations.mmap`; its first argument stands for the file.
///
/// For [`Device::devmap`]. Errors are `make`'s, and then nothing is closed; `ENOTSUP` for a private mapping that is to be written, in LinuxKPI's mode for each private one; and what
/// [`with`](devmap::MapSetup::with) refuses, after which the area is closed. In LinuxKPI's mode `EINVAL` for operations without private data, and for a mapping that reaches beyond the area which is there
/// already.
pub fn mmap<'a, D, P>(
    space: &AddressSpace<P>,
    request: MapRequest<'a, D>,
    make: impl FnOnce(&MapRequest<'a, D>, &mut Area<P>) -> Result<(), Errno>,
) -> Result<Setup<'a, D>, Errno>
where
    D: Device<Mapping = Vma<P>>,
    P: Send + Sync + 'static,
{
    let max = most(&request)?;
    let mut area = Area::new(&request, max)?;
    let kind = match space.mode() {
        Mode::Linux => {
            make(&request, &mut area)?;
            Kind::Own(area)
        }
        Mode::LinuxKpi if request.sharing() == Sharing::Private => return Err(Errno::ENOTSUP),
        Mode::LinuxKpi => space.share(area, request.caller().process(), |area| make(&request, area))?,
    };
    let area = kind.area();
    let (max, order, pages) = (max & area.max_protection(), area.order, Arc::clone(&area.pages));
    let beyond = pages
        .part(request.offset(), request.end())
        .is_none_or(|part| part.end - part.start < request.len() as u64);
    let mapped = space.pieces().map(&request, &pages);
    let backed = mapped.as_ref().map_or(0, |(_, generation)| *generation);
    let piece = Piece::new(request.handle(), pages.start, &pages, backed);
    // From here on it is closed, whatever fails.
    let vma = Vma { kind: Some(kind), piece, space: space.clone() };
    if beyond {
        return Err(Errno::EINVAL);
    }
    space.pieces().insert(&vma.piece)?;
    let mut setup = mapped?.0.max_protection(max);
    if let Some(order) = order {
        setup = setup.order(order);
    }
    Ok(setup.with(vma)?)
}

/// An access being served.
struct Serving<'a, P: Send + Sync + 'static> {
    vma: &'a Vma<P>,
    area: &'a Area<P>,
    pages: &'a Pages,
    access: Access,
    /// The page's place in the mapping, in bytes.
    at: u64,
    /// `page_mkwrite` is to be told of pages.
    notifies: bool,
    /// Each page has memory, and a protection, of its own.
    mixed: bool,
}

impl<P: Send + Sync + 'static> Serving<'_, P> {
    /// Whether this access is to be told to `page_mkwrite`: where pages cannot be read-only by themselves, each is that could be a write later.
    fn tells(&self) -> bool {
        self.notifies && (!self.mixed || self.access == Access::Write)
    }

    /// Asks the driver for the page at this byte of the mapping.
    fn ask(&self, at: u64, inserted: bool) -> Result<Answer, Errno> {
        let ops = self.area.ops.ok_or(Errno::EFAULT);
        let major = Cell::new(false);
        let vmf = Vmf {
            offset: self.pages.start.saturating_add(at),
            access: self.access,
            prefault: at != self.at,
            major: &major,
        };
        let answer = if inserted { Answer::Inserted } else { ops?.fault(self.area, &vmf)? };
        if self.tells() && !matches!(answer, Answer::Retry(_)) {
            ops?.page_mkwrite(self.area, &vmf)?;
        }
        if !inserted {
            self.vma.space.count(major.get());
        }
        Ok(answer)
    }

    /// Notes the answer. None, if pages were taken away since `seen`, or the driver has not inserted what it says.
    fn note(&self, at: u64, answer: &Answer, seen: u64) -> Result<Option<MutexGuard<'_, State>>, Errno> {
        let mut state = self.pages.state.lock();
        if state.zaps != seen {
            return Ok(None);
        }
        match answer {
            Answer::Page(page) => state.place(page, at, self.pages.len)?,
            _ if !state.has(at) => return Ok(None),
            _ => {}
        }
        Ok(Some(state))
    }

    /// Fills what is to be there together with the page; the bytes around it that are, it included.
    fn around(&self, seen: u64) -> Range<u64> {
        let page = size() as u64;
        let mut run = self.at..self.at + page;
        let wanted = &self.area.populate;
        let Some(wanted) = self.pages.part(wanted.start, wanted.end) else { return run };
        if !wanted.contains(&self.at) {
            return run;
        }
        let fill = |at: u64| {
            let answer = self.pages.state.lock().has(at);
            self.ask(at, answer).is_ok_and(|answer| self.note(at, &answer, seen).is_ok_and(|s| s.is_some()))
        };
        while run.end < wanted.end && fill(run.end) {
            run.end += page;
        }
        while run.start > wanted.start && fill(run.start - page) {
            run.start -= page;
        }
        run
    }

    fn serve(&self, fault: Fault<'_>) -> Result<Served, Errno> {
        loop {
            let (seen, inserted) = {
                let state = self.pages.state.lock();
                let inserted = state.has(self.at);
                if inserted && !self.tells() {
                    return self.load(state, fault, None, None);
                }
                (state.zaps, inserted)
            };
            let answer = self.ask(self.at, inserted)?;
            match answer {
                Answer::Retry(time) => return fault.retry_later(time),
                // The process does, and can be killed.
                Answer::Inserted if !self.pages.state.lock().has(self.at) => {
                    return fault.retry_later(Duration::ZERO);
                }
                _ => {}
            }
            let page = if let Answer::Page(page) = &answer { Some(page) } else { None };
            if self.mixed || self.area.populate.is_empty() {
                let Some(state) = self.note(self.at, &answer, seen)? else { continue };
                return self.load(state, fault, None, page);
            }
            // The page itself is noted first: the others are of its memory.
            if self.note(self.at, &answer, seen)?.is_none() {
                continue;
            }
            let run = self.around(seen);
            let Some(state) = self.note(self.at, &answer, seen)? else { continue };
            return self.load(state, fault, (run.end - run.start > size() as u64).then_some(run), page);
        }
    }

    /// Loads the page, or a run with it; all pages, where all are there.
    fn load(
        &self,
        state: MutexGuard<'_, State>,
        fault: Fault<'_>,
        run: Option<Range<u64>>,
        page: Option<&Page>,
    ) -> Result<Served, Errno> {
        if self.mixed {
            let page = page.or_else(|| state.page(self.at)).cloned().ok_or(Errno::EFAULT)?;
            // Who has not been told of the write is asked again by it.
            let told = !self.notifies || self.access == Access::Write;
            let max = if told { Protection::all() } else { Protection::all() - Protection::WRITE };
            return self.vma.piece.load_page(state, fault, (&page, self.at), max);
        }
        let all = state.is_full() && !self.notifies;
        self.vma.piece.load(state, fault, if all { Some(0..self.pages.len) } else { run })
    }
}

impl<D, P> Mapping<D> for Vma<P>
where
    D: Device<Mapping = Vma<P>>,
    P: Send + Sync + 'static,
{
    fn access(&self, _: &D, fault: Fault<'_>) -> Result<Served, Errno> {
        let kind = self.kind.as_ref().ok_or(Errno::EFAULT)?;
        let (area, pages) = (kind.area(), &*self.piece.pages);
        let at = fault.offset().saturating_sub(self.piece.origin);
        let notifies = area.notifies() && fault.handle().max_protection().contains(Protection::WRITE);
        let mixed = area.flags().contains(Flags::MIXEDMAP);
        let serving = Serving { vma: self, area, pages, access: fault.access(), at, notifies, mixed };
        match kind {
            Kind::Own(_) => serving.serve(fault),
            Kind::Shared(object) => {
                let _mm = object.mm.lock();
                serving.serve(fault)
            }
        }
    }

    fn dup(&self, _: &D, copy: Dup<'_>) -> Result<Vma<P>, Errno> {
        let backed = self.piece.backed.load(Relaxed);
        let piece = |pages| Piece::new(copy.child(), self.piece.origin, pages, backed);
        let space = self.space.clone();
        let (kind, piece) = match &self.kind {
            None => return Ok(Vma { kind: None, piece: piece(&self.piece.pages), space }),
            Some(Kind::Own(area)) if area.flags().contains(Flags::DONTCOPY) => {
                return Ok(Vma { kind: None, piece: piece(&self.piece.pages), space });
            }
            Some(Kind::Shared(share)) => (Kind::Shared(share.clone()), piece(&self.piece.pages)),
            Some(Kind::Own(area)) => {
                let pages = Arc::new(self.piece.pages.copy()?);
                (Kind::Own(area.copy(area.start()..area.end(), &pages)), piece(&pages))
            }
        };
        // What is not opened is not closed.
        space.pieces().insert(&piece)?;
        let mut vma = Vma { kind: Some(kind), piece, space };
        if let Some(Kind::Own(area)) = &mut vma.kind {
            area.open();
        }
        Ok(vma)
    }

    fn unmap(mut self, _: &D, cut: Cut<'_>) -> Remains<Vma<P>> {
        let gone = cut.offset()..cut.offset().saturating_add(cut.len() as u64);
        match cut {
            Cut::Whole(cut) => {
                drop(self);
                cut.gone()
            }
            Cut::Head(cut) => {
                self.kind = self.split(gone).1;
                cut.keep(self)
            }
            Cut::Tail(cut) => {
                self.kind = self.split(gone).0;
                cut.keep(self)
            }
            Cut::Middle(cut) => {
                let piece = self.piece.of(cut.rest());
                self.space.pieces().insert_now(&cut, &piece);
                let (before, behind) = self.split(gone);
                self.kind = before;
                let behind = Vma { kind: behind, piece, space: self.space.clone() };
                cut.split(self, behind)
            }
        }
    }
}

impl<P: Send + Sync + 'static> Vma<P> {
    /// Opens what is left of an area, before and behind the range that goes, and closes that: Linux splits areas first.
    fn split(&mut self, gone: Range<u64>) -> (Option<Kind<P>>, Option<Kind<P>>) {
        match self.kind.take() {
            None => (None, None),
            Some(Kind::Shared(share)) => (Some(Kind::Shared(share.clone())), Some(Kind::Shared(share))),
            Some(Kind::Own(mut area)) => {
                let part = |range: Range<u64>| {
                    let mut part = (!range.is_empty()).then(|| area.copy(range, &area.pages))?;
                    part.open();
                    Some(Kind::Own(part))
                };
                let (before, behind) = (part(area.start()..gone.start), part(gone.end..area.end()));
                area.cut(gone);
                area.close();
                (before, behind)
            }
        }
    }
}
