//! A bit for each page of a mapping. Small ones need no memory. No locks.

use alloc::boxed::Box;
use core::ops::Range;

use devmap::Errno;
use devmap::kmem::try_words;

/// Bits by the number of a page.
pub(crate) enum Bits {
    /// Of at most 64 pages.
    Few(u64),
    /// Of more.
    Many(Box<[u64]>),
}

impl Bits {
    /// Returns whether bits of so many pages need no memory.
    pub(crate) fn few(pages: usize) -> bool {
        pages <= 64
    }

    /// None of so many pages is set. `ENOMEM`.
    pub(crate) fn new(pages: usize) -> Result<Bits, Errno> {
        Ok(if Bits::few(pages) { Bits::Few(0) } else { Bits::Many(try_words(pages.div_ceil(64))?) })
    }

    /// The same bits in memory of their own. `ENOMEM`.
    pub(crate) fn copy(&self) -> Result<Bits, Errno> {
        match self {
            Bits::Few(word) => Ok(Bits::Few(*word)),
            Bits::Many(words) => {
                let mut copy = try_words(words.len())?;
                copy.iter_mut().zip(words).for_each(|(to, from)| *to = *from);
                Ok(Bits::Many(copy))
            }
        }
    }

    fn words(&self) -> &[u64] {
        match self {
            Bits::Few(word) => core::slice::from_ref(word),
            Bits::Many(words) => words,
        }
    }

    fn words_mut(&mut self) -> &mut [u64] {
        match self {
            Bits::Few(word) => core::slice::from_mut(word),
            Bits::Many(words) => words,
        }
    }

    /// Returns whether this page is set; none is beyond the end.
    pub(crate) fn get(&self, page: usize) -> bool {
        self.words().get(page / 64).is_some_and(|word| word >> (page % 64) & 1 != 0)
    }

    /// Returns whether any of these is set.
    pub(crate) fn any(&self, pages: Range<usize>) -> bool {
        parts(pages).any(|(word, mask)| self.words().get(word).is_some_and(|bits| bits & mask != 0))
    }

    /// Sets these, or takes them away. Returns how many that changes.
    pub(crate) fn set(&mut self, pages: Range<usize>, to: bool) -> usize {
        let words = self.words_mut();
        let mut changed = 0;
        for (word, mask) in parts(pages) {
            if let Some(bits) = words.get_mut(word) {
                let new = if to { *bits | mask } else { *bits & !mask };
                changed += (*bits ^ new).count_ones() as usize;
                *bits = new;
            }
        }
        changed
    }
}

/// The words that have a range, and which of their bits.
fn parts(pages: Range<usize>) -> impl Iterator<Item = (usize, u64)> {
    let Range { start, end } = pages;
    (start / 64..end.div_ceil(64)).filter_map(move |word| {
        let (from, to) = (start.max(word * 64) - word * 64, end.min(word * 64 + 64) - word * 64);
        let len = to.checked_sub(from).filter(|len| *len > 0)?;
        Some((word, u64::MAX >> (64 - len) << from))
    })
}
