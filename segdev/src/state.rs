//! State behind a handle's lock, and the shape of a handle. No lock of its own.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::frames::{self, Frame, Frames, PAGES};
use crate::list::copied;
use crate::locked::Locks;
use crate::object::{Object, View};
use crate::platform::Platform;
use crate::types::{Prot, SetupFlags};

bitflags::bitflags! {
    /// Stage of a handle's life, and properties that keep it from the fast paths. A mapped handle without callbacks has none of these.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Shape: u16 {
        /// In `devmap(9E)`: no setup function has succeeded.
        const NEW = 0x01;
        /// It has no address yet.
        const UNPLACED = 0x02;
        /// It has no translations any more and gets none; its unmap callback is about to run, runs or has run.
        const DYING = 0x04;
        /// The state has an [`Apart`].
        const APART = 0x10;
        /// It may be loaded with large pages.
        const LARGE = 0x20;
        /// It has a context timeout.
        const TIMED = 0x40;
        /// A context management call could not wait with the space locked; the fault is to wait and be tried again.
        const MUST_WAIT = 0x80;
        /// It has an access callback.
        const ACCESS = 0x100;

        /// It is not set up, or not any more.
        const NOT_SET_UP = Self::NEW.bits() | Self::DYING.bits();
        /// Nothing can be loaded, or not in one go.
        const NO_PLAIN_LOAD = Self::NOT_SET_UP.bits() | Self::UNPLACED.bits() | Self::APART.bits() | Self::LARGE.bits();
    }
}

/// Per-page state of a handle.
pub(crate) struct Apart<P: Platform> {
    /// Pages that map memory of their own.
    pub frames: Frames<P>,
    /// Protections, once part of the segment was protected apart; empty before.
    pub pages: Vec<Prot>,
    /// Soft-locked pages.
    pub locks: Locks,
}

/// Everything that can change about a handle.
pub(crate) struct State<P: Platform> {
    /// The object that it maps; none if it was set up as invalid.
    pub object: Object<P>,
    /// The context timeout in ticks.
    pub ticks: i64,
    /// Per-page state, once there is any.
    pub apart: Rare<P>,
    pub terms: Terms,
}

/// Per-page state, which most handles have not.
pub(crate) struct Rare<P: Platform>(pub Option<Box<Apart<P>>>);

impl<P: Platform> Drop for Rare<P> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(apart) = self.0.take() {
            forget_apart(apart);
        }
    }
}

#[cold]
#[inline(never)]
fn forget_apart<P: Platform>(apart: Box<Apart<P>>) {
    drop(apart);
}

/// On which terms a handle is mapped.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Terms {
    pub flags: SetupFlags,
    pub attr: u32,
    pub prots: Prots,
    /// Index of the largest MMU page size the handle may be loaded with; 0 for base pages only.
    pub level: u8,
    /// The handle's shape, as it is in the handle, too, to be read without the lock.
    pub shape: Shape,
}

/// Protections of a handle.
#[derive(Clone, Copy)]
pub(crate) struct Prots {
    /// The segment's, while it is one for all pages.
    pub prot: Prot,
    /// The one asked for at mmap.
    pub asked: Prot,
    /// The largest that mprotect may grant now.
    pub max: Prot,
    /// The largest that a remap may give.
    pub orig_max: Prot,
}

impl Terms {
    /// Of a handle that is to be set up.
    #[inline(always)]
    pub(crate) fn new(prot: Prot, maxprot: Prot) -> Self {
        let prots = Prots { prot, asked: prot, max: maxprot, orig_max: maxprot };
        Self { flags: SetupFlags::empty(), attr: 0, prots, level: 0, shape: Shape::NEW | Shape::UNPLACED }
    }
}

impl Prots {
    /// Returns the access allowed while all pages have one protection.
    #[inline(always)]
    pub(crate) fn most(self) -> Prot {
        self.prot & self.max
    }
}

impl<P: Platform> Default for Apart<P> {
    fn default() -> Self {
        Self { frames: Frames::default(), pages: Vec::new(), locks: Locks::default() }
    }
}

impl<P: Platform> Apart<P> {
    /// For a copy of the handle, without locks.
    #[inline(never)]
    pub(crate) fn for_copy(&self) -> Option<Option<Box<Self>>> {
        if self.pages.is_empty() && (!PAGES || self.frames.is_empty()) {
            return Some(None);
        }
        let pages = copied(self.pages.iter().copied())?;
        let frames = frames::copy(&self.frames)?;
        Some(Some(Box::new(Self { frames, pages, locks: Locks::default() })))
    }

    /// The handle loses so many pages in front, and its locks.
    #[inline(never)]
    pub(crate) fn cut_front(&mut self, by: usize) {
        let mut at = 0;
        self.pages.retain(|_| {
            at += 1;
            at > by
        });
        frames::trim(&mut self.frames, (by as u64) << crate::PAGE_SHIFT, u64::MAX);
        self.locks = Locks::default();
    }

    /// The handle keeps so many bytes, and loses its locks.
    #[inline(never)]
    pub(crate) fn cut_back(&mut self, len: u64) {
        frames::trim(&mut self.frames, 0, len);
        self.pages.truncate((len >> crate::PAGE_SHIFT) as usize);
        self.locks = Locks::default();
    }
}

impl<P: Platform> State<P> {
    /// The memory attributes, if it maps device memory.
    pub(crate) fn device_attr(&self) -> Option<u32> {
        matches!(self.object.view(), View::Devmem(_)).then_some(self.terms.attr)
    }

    /// The protection of the page `index`.
    pub(crate) fn page_prot(&self, index: usize) -> Prot {
        self.pages().and_then(|pages| pages.get(index)).copied().unwrap_or(self.terms.prots.prot)
    }

    /// Per-page protections, once part of the segment was protected apart.
    #[inline]
    pub(crate) fn pages(&self) -> Option<&[Prot]> {
        self.apart.0.as_ref().map(|apart| &*apart.pages).filter(|pages| !pages.is_empty())
    }

    /// Whether pages have protections of their own.
    #[inline]
    pub(crate) fn paged(&self) -> bool {
        self.pages().is_some()
    }

    /// Pages that map memory of their own.
    #[inline]
    pub(crate) fn frames(&self) -> &[Frame<P>] {
        self.apart.0.as_ref().map_or(&[], |apart| &apart.frames[..])
    }

    /// Whether its pages are not all alike.
    #[inline]
    pub(crate) fn differ(&self) -> bool {
        self.apart
            .0
            .as_ref()
            .is_some_and(|apart| !apart.pages.is_empty() || PAGES && !apart.frames.is_empty())
    }

    /// The soft-locked pages, once one was locked.
    #[inline]
    pub(crate) fn locks(&mut self) -> Option<&mut Locks> {
        self.apart.0.as_mut().map(|apart| &mut apart.locks)
    }

    /// Lets go of what the handle maps: it has no translations any more and gets none.
    #[inline(always)]
    pub(crate) fn take_object(&mut self) -> Object<P> {
        self.object.take()
    }
}
