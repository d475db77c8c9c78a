//! [`Vma`]: the private data of a mapping, and [`mmap`], which makes it.
//!
//! Locks: a mapping's pages, over the load; see the parent module.

use core::ops::Range;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;

use devmap::context::Borrowed;
use devmap::fault::Access;
use devmap::page::size;
use devmap::request::Protection;
use devmap::sync::MutexGuard;
use devmap::{Cut, Device, Dup, Errno, Fault, MapRequest, Mapping, Remains, Served, Setup, Sharing};

use crate::linux::area::{Area, Flags};
use crate::linux::ops::{Answer, Failure, Vmf};
use crate::linux::space::{AddressSpace, Kind, Mode};
use crate::most;
use crate::page::Page;
use crate::pages::{Pages, State};
use crate::pieces::{load, load_page};

/// The private data of a mapping whose driver has Linux's model: `type Mapping = Vma<P>`, `P` being what the areas' private data is.
pub struct Vma<P: Send + Sync + 'static> {
    /// None in a child that was not to have it.
    kind: Option<Kind<P>>,
    /// The generation of its pages' memory that the framework's handle maps.
    backed: AtomicU32,
}

impl<P: Send + Sync + 'static> Vma<P> {
    #[inline]
    fn new(kind: Option<Kind<P>>, backed: u32) -> Vma<P> {
        Vma { kind, backed: AtomicU32::new(backed) }
    }

    /// The same handle's, or a copy's, of another area.
    fn with(&self, kind: Option<Kind<P>>) -> Vma<P> {
        Vma::new(kind, self.backed.load(Relaxed))
    }
}

impl<P: Send + Sync + 'static> Drop for Vma<P> {
    fn drop(&mut self) {
        if let Some(Kind::Own(area)) = &self.kind {
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
    let mut area = Area::new(&request, space, max);
    let kind = match space.mode() {
        Mode::Linux => {
            make(&request, &mut area)?;
            Kind::Own(area)
        }
        Mode::LinuxKpi if request.sharing() == Sharing::Private => return Err(Errno::ENOTSUP),
        Mode::LinuxKpi => space.share(area, request.caller().process(), |area| make(&request, area))?,
    };
    let area = kind.area();
    let (max, order) = (max & area.max_protection(), area.order);
    // Of an area that was there.
    let beyond =
        matches!(kind, Kind::Shared(_)) && (request.offset() < area.start() || request.end() > area.end());
    let mapped = if beyond { Err(Errno::EINVAL) } else { space.trash().map(&request, area.pages()) };
    let (setup, backed) = match mapped {
        Ok(mapped) => mapped,
        Err(error) => {
            // From here on it is closed, whatever fails.
            drop(Vma::new(Some(kind), 0));
            return Err(error);
        }
    };
    let vma = Vma::new(Some(kind), backed);
    let mut setup = setup.max_protection(max);
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
    fn ask(&self, cx: Borrowed<'_>, at: u64, inserted: bool) -> Result<Answer, Errno> {
        let vmf = Vmf::new(cx, self.pages.start.saturating_add(at), self.access, at != self.at);
        let answer = if inserted { Answer::Inserted } else { self.area.ops.fault(self.area, &vmf)? };
        if self.tells() && !matches!(answer, Answer::Retry(_)) {
            self.area.ops.page_mkwrite(self.area, &vmf)?;
        }
        if !inserted {
            self.area.space.count(vmf.major.get());
        }
        Ok(answer)
    }

    /// Notes the answer. None, if pages were taken away since `seen`, or the driver has not inserted what it says.
    fn note(&self, at: u64, answer: &Answer, seen: u64) -> Result<Option<MutexGuard<'_, State>>, Errno> {
        let mut state = self.pages.state.lock();
        if self.pages.zaps() != seen {
            return Ok(None);
        }
        match answer {
            Answer::Page(page) => {
                state.place(page, at, self.pages.len)?;
                self.pages.note_answers(&state);
            }
            _ if !state.has(at) => return Ok(None),
            _ => {}
        }
        Ok(Some(state))
    }

    /// Fills what is to be there together with the page; the bytes around it that are, it included.
    fn around(&self, fault: &mut Fault<'_>, seen: u64) -> Range<u64> {
        let page = size() as u64;
        let mut run = self.at..self.at + page;
        let wanted = &self.area.populate;
        let Some(wanted) = self.pages.part(wanted.start, wanted.end) else { return run };
        if !wanted.contains(&self.at) {
            return run;
        }
        let mut fill = |at: u64| {
            let answer = self.pages.state.lock().has(at);
            self.ask(fault.context(), at, answer)
                .is_ok_and(|answer| self.note(at, &answer, seen).is_ok_and(|s| s.is_some()))
        };
        while run.end < wanted.end && fill(run.end) {
            run.end += page;
        }
        while run.start > wanted.start && fill(run.start - page) {
            run.start -= page;
        }
        run
    }

    /// Serves the access, with what the driver has answered, if it was asked already.
    fn serve(&self, mut fault: Fault<'_>, mut answered: Option<(Answer, u64)>) -> Result<Served, Errno> {
        loop {
            let (answer, seen) = match answered.take() {
                Some(answered) => answered,
                None => {
                    let (seen, inserted) = {
                        let state = self.pages.state.lock();
                        let inserted = state.has(self.at);
                        if inserted && !self.tells() {
                            return self.load(state, fault, None, None);
                        }
                        (self.pages.zaps(), inserted)
                    };
                    (self.ask(fault.context(), self.at, inserted)?, seen)
                }
            };
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
            let run = self.around(&mut fault, seen);
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
            return load_page(self.pages.start, state, fault, (&page, self.at), max);
        }
        let all = state.is_full() && !self.notifies;
        load(
            (self.pages.start, &self.vma.backed),
            state,
            fault,
            if all { Some(0..self.pages.len) } else { run },
        )
    }
}

impl<D, P> Mapping<D> for Vma<P>
where
    D: Device<Mapping = Vma<P>>,
    P: Send + Sync + 'static,
{
    #[inline]
    fn access(&self, _: &D, fault: Fault<'_>) -> Result<Served, Errno> {
        if let Some(Kind::Own(area)) = &self.kind
            && area.plain
            && let Some(pages) = area.pages()
            && pages.answers()
        {
            return self.answered(area, pages, fault);
        }
        self.serve(fault, None)
    }

    fn dup(&self, _: &D, _: Dup<'_>) -> Result<Vma<P>, Errno> {
        let kind = match &self.kind {
            Some(Kind::Own(area)) if !area.flags().contains(Flags::DONTCOPY) => {
                // What is not opened is not closed.
                let mut copy = area.copy(area.start()..area.end(), area.copy_pages()?);
                copy.open();
                Some(Kind::Own(copy))
            }
            Some(Kind::Shared(share)) => Some(Kind::Shared(share.clone())),
            Some(Kind::Own(_)) | None => None,
        };
        Ok(self.with(kind))
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
                let (before, behind) = self.split(gone);
                self.kind = before;
                let behind = self.with(behind);
                cut.split(self, behind)
            }
        }
    }
}

impl<P: Send + Sync + 'static> Vma<P> {
    /// Serves an access where the driver answers all that is there: without the lock of the pages, if its page is of the memory that the mapping shows.
    #[inline]
    fn answered(&self, area: &Area<P>, pages: &Pages, mut fault: Fault<'_>) -> Result<Served, Errno> {
        let seen = pages.zaps();
        let (offset, access) = (fault.offset(), fault.access());
        let vmf = Vmf::new(fault.context(), offset, access, false);
        let answer = area.ops.fault(area, &vmf);
        if let Ok(Answer::Page(page)) = &answer {
            area.space.count(vmf.major.get());
            return match fault.load_of(page.memory(), page.offset(), || pages.zaps() == seen)? {
                Ok(served) => Ok(served),
                Err(fault) => self.serve(fault, Some((answer, seen))),
            };
        }
        self.serve(fault, Some((answer, seen)))
    }

    /// Serves an access in any case, with what the driver has answered, if it was asked already.
    #[cold]
    fn serve(
        &self,
        fault: Fault<'_>,
        answered: Option<(Result<Answer, Failure>, u64)>,
    ) -> Result<Served, Errno> {
        let answered = match answered {
            Some((answer, seen)) => Some((answer?, seen)),
            None => None,
        };
        let kind = self.kind.as_ref().ok_or(Errno::EFAULT)?;
        let area = kind.area();
        let pages = area.make_pages()?;
        let at = fault.offset().saturating_sub(pages.start);
        let notifies = area.notifies() && fault.handle().max_protection().contains(Protection::WRITE);
        let mixed = area.flags().contains(Flags::MIXEDMAP);
        let serving = Serving { vma: self, area, pages, access: fault.access(), at, notifies, mixed };
        match kind {
            Kind::Own(_) => serving.serve(fault, answered),
            Kind::Shared(object) => {
                let _mm = object.mm.lock();
                serving.serve(fault, answered)
            }
        }
    }

    /// Opens what is left of an area, before and behind the range that goes, and closes that: Linux splits areas first.
    fn split(&mut self, gone: Range<u64>) -> (Option<Kind<P>>, Option<Kind<P>>) {
        match self.kind.take() {
            None => (None, None),
            Some(Kind::Shared(share)) => (Some(Kind::Shared(share.clone())), Some(Kind::Shared(share))),
            Some(Kind::Own(mut area)) => {
                let part = |range: Range<u64>| {
                    let mut part = (!range.is_empty()).then(|| area.copy(range, area.share_pages()))?;
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
