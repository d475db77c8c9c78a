//! The soft-locked pages of a handle: counts, and records of the softlocks that took them. No lock of its own: part of the handle's state.

use alloc::vec::Vec;

use crate::list;

/// Pages whose soft locks changed, as index ranges within the handle, to be told to the softlock after the handle's lock is
/// let go.
pub(crate) type Changed = Vec<(usize, usize)>;

/// The soft-locked pages of a handle.
#[derive(Default)]
pub(crate) struct Locks {
    /// One count per page of the handle.
    pub(crate) counts: Vec<u32>,
    /// Their sum.
    pub(crate) total: u64,
    /// Softlocks by the access callback that are not undone yet.
    pub(crate) taken: Vec<Taken>,
    /// Softlock and softunlock faults that are being served.
    pub(crate) serving: Vec<Serving>,
}

/// Pages that softlocks of one range have locked.
#[derive(PartialEq)]
pub(crate) struct Taken {
    pub(crate) asked: (usize, usize),
    pub(crate) pages: Changed,
    /// Number of those softlocks.
    times: u32,
}

/// A softlock or softunlock fault that is being served.
pub(crate) struct Serving {
    /// The thread that calls the access callback.
    pub(crate) thread: usize,
    pub(crate) unlock: bool,
    pub(crate) asked: (usize, usize),
    /// Pages that were locked on its behalf.
    pub(crate) pages: Changed,
}

impl Locks {
    /// The sum of all counts.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The locked pages of an index range.
    pub(crate) fn locked(&self, (first, end): (usize, usize)) -> Changed {
        let mut found = Changed::new();
        for page in (first..end).filter(|page| self.counts.get(*page).is_some_and(|n| *n > 0)) {
            add_page(&mut found, page);
        }
        found
    }

    /// The fault that the calling thread is serving, the innermost if there are several.
    pub(crate) fn served_by(&mut self, thread: usize) -> Option<&mut Serving> {
        self.serving.iter_mut().rev().find(|s| s.thread == thread)
    }

    /// A softlock of `asked` has locked `pages`.
    pub(crate) fn remember(&mut self, asked: (usize, usize), pages: Changed) {
        match self.taken.iter_mut().find(|t| t.asked == asked && t.pages == pages) {
            Some(same) => same.times += 1,
            // Without a record a softunlock takes what is locked.
            None => drop(list::push(&mut self.taken, Taken { asked, pages, times: 1 })),
        }
    }

    /// Forgets one of the softlocks that `which` picks; returns its pages.
    pub(crate) fn forget(&mut self, which: impl Fn(&Taken) -> bool) -> Option<Changed> {
        let i = self.taken.iter().rposition(which)?;
        let found = self.taken.get_mut(i)?;
        found.times -= 1;
        if found.times > 0 {
            return list::copied(found.pages.iter().copied());
        }
        let last = self.taken.pop()?;
        match self.taken.get_mut(i) {
            Some(found) => Some(core::mem::replace(found, last).pages),
            None => Some(last.pages),
        }
    }

    /// The pages that a softunlock of `asked` is to give back: those of a softlock of the same range, else those that are locked.
    /// `None` when there is neither.
    pub(crate) fn claim(&mut self, asked: (usize, usize)) -> Option<Changed> {
        self.forget(|t| t.asked == asked)
            .or_else(|| Some(self.locked(asked)).filter(|pages| !pages.is_empty()))
    }
}

/// Adds the page to ranges that it follows.
fn add_page(pages: &mut Changed, page: usize) {
    match pages.last_mut() {
        Some(last) if last.1 == page => last.1 += 1,
        _ => drop(list::push(pages, (page, page + 1))),
    }
}
