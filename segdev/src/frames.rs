//! Pages of a handle that map memory of their own, apart from the rest: what a driver with pages here and there asks for. Not in the DDI.
//!
//! Context and locks as for a remap: user or kernel context, the handle's lock.

#[cfg(feature = "pages")]
use alloc::vec::Vec;

use crate::object::Object;
use crate::platform::Platform;
use crate::state::State;
use crate::types::{PAGE_SHIFT, Prot, Rw, wanted};

/// Whether pages can have memory of their own at all. If not, no handle has a list of any, and nothing of it is compiled.
pub(crate) const PAGES: bool = cfg!(feature = "pages");

/// Pages of a handle with memory of their own.
///
/// # Invariants
/// In a handle's list they are sorted and apart, in whole pages, and lie within the handle.
pub(crate) struct Frame<P: Platform> {
    /// Bytes from the handle's start.
    pub start: u64,
    pub end: u64,
    pub object: Object<P>,
    pub attr: u32,
    /// Greatest protection to load them with.
    pub maxprot: Prot,
}

#[cfg_attr(not(feature = "pages"), expect(dead_code, reason = "there are none"))]
impl<P: Platform> Frame<P> {
    pub(crate) fn copy(&self) -> Self {
        Self { object: self.object.advanced(0), ..*self }
    }

    /// The part within `[from, to)`, counted from `from - base`; none if there is none.
    pub(crate) fn part(&self, from: u64, to: u64, base: u64) -> Option<Self> {
        let (start, end) = (self.start.max(from), self.end.min(to));
        (start < end).then(|| Self {
            start: start - base,
            end: end - base,
            object: self.object.advanced(start - self.start),
            ..*self
        })
    }
}

/// The pages of a handle with memory of their own.
#[cfg(feature = "pages")]
pub(crate) type Frames<P> = Vec<Frame<P>>;
/// The same where there are none: nothing.
#[cfg(not(feature = "pages"))]
pub(crate) type Frames<P> = [Frame<P>; 0];

/// A copy, for a copy of the handle; none when there is no memory for it.
#[cfg(feature = "pages")]
pub(crate) fn copy<P: Platform>(frames: &Frames<P>) -> Option<Frames<P>> {
    crate::list::copied(frames.iter().map(Frame::copy))
}

/// The same where there are none.
#[cfg(not(feature = "pages"))]
pub(crate) fn copy<P: Platform>(_: &Frames<P>) -> Option<Frames<P>> {
    Some([])
}

/// Memory to load a page from, and how many bytes from there on are of the same.
pub(crate) struct Source<'a, P: Platform> {
    pub object: &'a Object<P>,
    /// Offset in the object.
    pub at: u64,
    pub len: u64,
    pub attr: u32,
    pub maxprot: Prot,
}

/// The list with one more, in place of what it covers; none when there is no memory for it.
#[cfg(feature = "pages")]
pub(crate) fn with<P: Platform>(frames: &[Frame<P>], new: Frame<P>) -> Option<Frames<P>> {
    let (start, end) = (new.start, new.end);
    let mut all = Frames::new();
    let before = frames.iter().filter_map(|frame| frame.part(0, start, 0));
    let behind = frames.iter().filter_map(|frame| frame.part(end, u64::MAX, 0));
    for frame in before.chain([new]).chain(behind) {
        crate::list::push(&mut all, frame).ok()?;
    }
    Some(all)
}

/// The same where there are none, and can be none.
#[cfg(not(feature = "pages"))]
pub(crate) fn with<P: Platform>(_: &[Frame<P>], _: Frame<P>) -> Option<Frames<P>> {
    None
}

/// Keeps what lies within `[from, to)`, counted from `from`.
#[cfg(feature = "pages")]
pub(crate) fn trim<P: Platform>(frames: &mut Frames<P>, from: u64, to: u64) {
    frames.retain_mut(|frame| match frame.part(from, to, from) {
        Some(part) => {
            *frame = part;
            true
        }
        None => false,
    });
}

/// The same where there are none.
#[cfg(not(feature = "pages"))]
pub(crate) fn trim<P: Platform>(_: &mut Frames<P>, _: u64, _: u64) {}

impl<P: Platform> State<P> {
    /// No page has memory of its own any more.
    pub(crate) fn take_frames(&mut self) -> Frames<P> {
        self.apart.0.as_mut().map(|apart| core::mem::take(&mut apart.frames)).unwrap_or_default()
    }

    /// The source of the page at `at`, for at most `len` bytes.
    #[inline(always)]
    pub(crate) fn source(&self, at: u64, len: u64) -> Source<'_, P> {
        if PAGES {
            return self.source_among_frames(at, len);
        }
        Source { object: &self.object, at, len, attr: self.terms.attr, maxprot: Prot::all() }
    }

    fn source_among_frames(&self, at: u64, len: u64) -> Source<'_, P> {
        let frames = self.frames();
        let next = frames.get(frames.partition_point(|frame| frame.end <= at));
        match next.filter(|frame| frame.start <= at) {
            Some(frame) => Source {
                object: &frame.object,
                at: at - frame.start,
                len: len.min(frame.end - at),
                attr: frame.attr,
                maxprot: frame.maxprot,
            },
            None => {
                let room = next.map_or(u64::MAX, |frame| frame.start - at);
                let (attr, maxprot) = (self.terms.attr, Prot::all());
                Source { object: &self.object, at, len: len.min(room), attr, maxprot }
            }
        }
    }

    /// Whether an access to the page at `at` that met a translation which forbids it is one that the mapping allows: then the page has a protection of its own, which
    /// forbids the access, or did when the page was loaded (others may have moved it, or let it have more, since).
    pub(crate) fn is_kept_by_frame(&self, at: u64, rw: Rw) -> bool {
        PAGES
            && self.frames().iter().any(|frame| (frame.start..frame.end).contains(&at))
            && (self.page_prot((at >> PAGE_SHIFT) as usize) & self.terms.prots.max).intersects(wanted(rw))
    }
}
