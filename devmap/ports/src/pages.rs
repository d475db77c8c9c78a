//! [`Pages`]: pages of a mapping, which of them are there, and what memory they are of.
//!
//! Locks: a mutex for each, held while a page is placed, loaded or taken away, so never across an operation of the driver.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use devmap::sync::Mutex;
use devmap::{Errno, Memory, each_page};

use crate::bits::Bits;
use crate::page::{Page, number};

/// Memory that a mapping shows: its page at byte `r` is at `base + r`.
#[derive(Clone)]
pub(crate) struct Backing {
    pub memory: Memory,
    pub base: u64,
}

pub(crate) struct State {
    /// Pages that were inserted, and are there until they are unmapped.
    present: Bits,
    /// Number of those that were not.
    absent: usize,
    pub backing: Option<Backing>,
    /// Counts the backings; 0 while there was none.
    pub generation: u32,
    /// Nothing is loaded from the backing: another may take its place.
    loose: bool,
    /// If each page has memory of its own: the pages that were inserted. There is no backing then.
    each: Option<Box<[Option<Page>]>>,
}

/// Pages of one mapping of a process, which its pieces share; in LinuxKPI's mode of one object.
pub(crate) struct Pages {
    /// The device offset of the first, in bytes.
    pub start: u64,
    /// Bytes.
    pub len: u64,
    /// Counts what [`zap`](Pages::zap) was called for: who has seen another number asks again.
    zaps: AtomicU64,
    /// Whether the driver answers all that is there, and something of it may be loaded: no page was inserted, and there is one backing.
    answers: AtomicBool,
    /// Index in the list of an address space.
    pub place: AtomicUsize,
    /// Whether a page was ever placed: while none was, there is no backing.
    placed: AtomicBool,
    pub state: Mutex<State>,
}

impl Pages {
    /// None is there yet. `ENOMEM`.
    #[inline]
    pub fn new(start: u64, len: u64) -> Result<Arc<Pages>, Errno> {
        let absent = pages(len);
        let present = if Bits::few(absent) { Bits::Few(0) } else { Bits::new(absent)? };
        Ok(Arc::new(Pages {
            start,
            len,
            zaps: AtomicU64::new(0),
            answers: AtomicBool::new(false),
            place: AtomicUsize::new(usize::MAX),
            placed: AtomicBool::new(false),
            state: Mutex::new(State {
                present,
                absent,
                backing: None,
                generation: 0,
                loose: true,
                each: None,
            }),
        }))
    }

    /// The pages of a copy: those that were inserted are there, too. `ENOMEM`.
    pub fn copy(&self) -> Result<Arc<Pages>, Errno> {
        let old = self.state.lock();
        let state = State {
            present: old.present.copy()?,
            absent: old.absent,
            backing: old.backing.clone(),
            generation: old.generation,
            loose: old.loose,
            each: match &old.each {
                Some(each) => Some(list(each.iter().cloned())?),
                None => None,
            },
        };
        Ok(Arc::new(Pages {
            start: self.start,
            len: self.len,
            zaps: AtomicU64::new(0),
            answers: AtomicBool::new(false),
            place: AtomicUsize::new(usize::MAX),
            placed: AtomicBool::new(state.backing.is_some()),
            state: Mutex::new(state),
        }))
    }

    /// Returns the memory that the mapping shows, and its generation; none while no page is known.
    #[inline]
    pub fn backing(&self) -> Option<(Backing, u32)> {
        if !self.placed.load(Acquire) {
            return None;
        }
        let state = self.state.lock();
        state.backing.clone().map(|backing| (backing, state.generation))
    }

    /// Returns the number of times that pages were taken away. If it is the same with a mapping's or the state's lock held, what the driver has answered since still holds.
    pub fn zaps(&self) -> u64 {
        self.zaps.load(Acquire)
    }

    /// Returns whether the driver answers all that is there, and something of it may be loaded.
    pub fn answers(&self) -> bool {
        self.answers.load(Relaxed)
    }

    /// The driver's answers are all that is there, if that is so.
    pub fn note_answers(&self, state: &State) {
        self.placed.store(true, Release);
        let all = !state.loose && state.each.is_none() && state.absent == pages(self.len);
        self.answers.store(all, Relaxed);
    }

    /// Places pages one behind the other in this range of bytes, and they are there. `EBUSY` if one is already; errors of [`place`](State::place).
    pub fn insert(&self, state: &mut State, page: &Page, bytes: &Range<u64>) -> Result<(), Errno> {
        self.answers.store(false, Relaxed);
        self.placed.store(true, Release);
        state.insert(page, bytes, self.len)
    }

    /// These are not there any more; the caller unloads them afterwards.
    pub fn zap(&self, state: &mut State, bytes: &Range<u64>) {
        self.zaps.fetch_add(1, Release);
        state.zap(bytes);
        if *bytes == (0..self.len) {
            state.loose = true;
            self.answers.store(false, Relaxed);
        }
    }

    /// Each page has memory of its own from now on: `ENOTSUP` where mappings move as a whole.
    pub fn each(&self) -> Result<(), Errno> {
        if !each_page::available() {
            return Err(Errno::ENOTSUP);
        }
        let each = list((0..pages(self.len)).map(|_| None))?;
        self.state.lock().each = Some(each);
        Ok(())
    }

    /// Returns the part of a range of device offsets that these pages have, from their start.
    pub fn part(&self, start: u64, end: u64) -> Option<Range<u64>> {
        let from = start.max(self.start);
        let to = end.min(self.start.saturating_add(self.len));
        (from < to).then(|| from - self.start..to - self.start)
    }
}

/// A list, or `ENOMEM`.
fn list(pages: impl ExactSizeIterator<Item = Option<Page>>) -> Result<Box<[Option<Page>]>, Errno> {
    let mut list = Vec::new();
    list.try_reserve_exact(pages.len()).map_err(|_| Errno::ENOMEM)?;
    list.extend(pages);
    Ok(list.into_boxed_slice())
}

fn pages(bytes: u64) -> usize {
    usize::try_from(number(bytes)).unwrap_or(usize::MAX)
}

/// The numbers of the pages in a range of bytes.
fn numbers(bytes: &Range<u64>) -> Range<usize> {
    pages(bytes.start)..pages(bytes.end)
}

impl State {
    /// Returns whether the page at this byte was inserted.
    pub fn has(&self, at: u64) -> bool {
        self.absent == 0 || self.present.get(pages(at))
    }

    /// Returns whether all pages of the mapping were inserted.
    pub fn is_full(&self) -> bool {
        self.absent == 0
    }

    /// Returns whether each page has memory of its own.
    pub fn is_each(&self) -> bool {
        self.each.is_some()
    }

    /// The page that was inserted at this byte, if each has memory of its own.
    pub fn page(&self, at: u64) -> Option<&Page> {
        self.each.as_ref()?.get(pages(at))?.as_ref()
    }

    /// The mapping shows this page at this byte of it, and so the page's memory from end to end.
    ///
    /// `EINVAL` if that does not reach, `ENOTSUP` if it shows other memory already.
    pub fn place(&mut self, page: &Page, at: u64, len: u64) -> Result<(), Errno> {
        if self.each.is_some() {
            return Ok(());
        }
        let base = page.offset().checked_sub(at).ok_or(Errno::EINVAL)?;
        match &self.backing {
            Some(now) if now.base == base && now.memory.is(page.memory()) => {}
            Some(_) if !self.loose => return Err(Errno::ENOTSUP),
            _ => {
                if base.checked_add(len).is_none_or(|end| end > page.memory().len()) {
                    return Err(Errno::EINVAL);
                }
                self.backing = Some(Backing { memory: page.memory().clone(), base });
                self.generation = self.generation.wrapping_add(1).max(1);
            }
        }
        self.loose = false;
        Ok(())
    }

    fn insert(&mut self, page: &Page, bytes: &Range<u64>, len: u64) -> Result<(), Errno> {
        if self.present.any(numbers(bytes)) {
            return Err(Errno::EBUSY);
        }
        self.place(page, bytes.start, len)?;
        if let Some(each) = &mut self.each {
            let place = each.get_mut(numbers(bytes)).ok_or(Errno::EINVAL)?;
            // All of them are there, before one is.
            page.nth(place.len().saturating_sub(1))?;
            for (index, place) in place.iter_mut().enumerate() {
                *place = page.nth(index).ok();
            }
        }
        let added = self.present.set(numbers(bytes), true);
        self.absent = self.absent.saturating_sub(added);
        Ok(())
    }

    fn zap(&mut self, bytes: &Range<u64>) {
        self.absent += self.present.set(numbers(bytes), false);
        if let Some(pages) = self.each.as_mut().and_then(|each| each.get_mut(numbers(bytes))) {
            pages.iter_mut().for_each(|page| *page = None);
        }
    }
}
