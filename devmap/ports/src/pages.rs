//! [`Pages`]: pages of a mapping, which of them are there, and what memory they are of.
//!
//! Locks: a mutex for each, held while a page is placed, loaded or taken away, so never across an operation of the driver.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

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
    /// Counts what [`zap`](State::zap) was called for: who has seen another number asks again.
    pub zaps: u64,
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
    pub state: Mutex<State>,
}

impl Pages {
    /// None is there yet. `ENOMEM`.
    pub fn new(start: u64, len: u64) -> Result<Pages, Errno> {
        let (present, absent) = (Bits::new(pages(len))?, pages(len));
        let state = State { present, absent, zaps: 0, backing: None, generation: 0, loose: true, each: None };
        Ok(Pages { start, len, state: Mutex::new(state) })
    }

    /// The pages of a copy: those that were inserted are there, too. `ENOMEM`.
    pub fn copy(&self) -> Result<Pages, Errno> {
        let old = self.state.lock();
        let state = State {
            present: old.present.copy()?,
            absent: old.absent,
            zaps: 0,
            backing: old.backing.clone(),
            generation: old.generation,
            loose: old.loose,
            each: match &old.each {
                Some(each) => Some(list(each.iter().cloned())?),
                None => None,
            },
        };
        Ok(Pages { start: self.start, len: self.len, state: Mutex::new(state) })
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

    /// Places pages one behind the other in this range of bytes, and they are there. `EBUSY` if one is already; errors of [`place`](State::place).
    pub fn insert(&mut self, page: &Page, bytes: &Range<u64>, len: u64) -> Result<(), Errno> {
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

    /// These are not there any more; the caller unloads them before it lets go of the lock.
    pub fn zap(&mut self, bytes: &Range<u64>, len: u64) {
        self.zaps = self.zaps.wrapping_add(1);
        self.absent += self.present.set(numbers(bytes), false);
        if let Some(pages) = self.each.as_mut().and_then(|each| each.get_mut(numbers(bytes))) {
            pages.iter_mut().for_each(|page| *page = None);
        }
        if *bytes == (0..len) {
            self.loose = true;
        }
    }
}
