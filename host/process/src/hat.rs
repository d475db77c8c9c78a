//! What is mapped where in a process, and which pages are loaded. Plain data: its lock is its owner's.
//!
//! The map says what Linux has: each entry is a run of pages that one Linux mapping backs with consecutive frames, with one protection. Page numbers and
//! counts throughout, no bytes.

use std::collections::BTreeMap;

use super::Prot;
use super::due::Due;

/// A set of the pages of a run.
#[derive(Clone, Debug, Default)]
struct Bits {
    words: Vec<u64>,
    len: u64,
}

impl Bits {
    fn new(len: u64) -> Bits {
        Bits { words: vec![0; len.div_ceil(64) as usize], len }
    }

    fn get(&self, i: u64) -> bool {
        self.words[(i / 64) as usize] >> (i % 64) & 1 != 0
    }

    fn set(&mut self, i: u64, on: bool) {
        let word = &mut self.words[(i / 64) as usize];
        *word = *word & !(1 << (i % 64)) | u64::from(on) << (i % 64);
    }

    fn any(&self) -> bool {
        self.words.iter().any(|&w| w != 0)
    }

    /// Takes the pages from `at` on away and returns them.
    fn split_off(&mut self, at: u64) -> Bits {
        let mut tail = Bits::new(self.len - at);
        for i in at..self.len {
            if self.get(i) {
                tail.set(i - at, true);
            }
        }
        let mut head = Bits::new(at);
        for i in 0..at {
            head.set(i, self.get(i));
        }
        *self = head;
        tail
    }
}

/// A run of pages.
#[derive(Clone, Debug)]
struct Run {
    pages: u64,
    /// Frame (or page of the void) behind the first page.
    frame: u64,
    prot: Prot,
    loaded: Bits,
}

/// Part of a run: what [`Hat::runs`] reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub page: u64,
    pub pages: u64,
    pub frame: u64,
    pub prot: Prot,
}

impl Part {
    /// Returns whether the part has pages of this range.
    pub fn overlaps(&self, page: u64, pages: u64) -> bool {
        self.page < page + pages && page < self.page + self.pages
    }

    /// Returns whether the other one goes on where this one ends.
    fn meets(&self, other: &Part) -> bool {
        (self.page + self.pages, self.frame + self.pages, self.prot) == (other.page, other.frame, other.prot)
    }
}

/// The mappings of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Hat {
    runs: BTreeMap<u64, Run>,
    /// While a fork holds the process: what is said to be loaded is not in Linux's tables. Loads of other frames, or with other protections, wait here.
    pub frozen: Option<Vec<Part>>,
    /// Pages that are said to be loaded, and are when the faults that they are for end.
    pub due: Due,
}

impl Hat {
    /// Adds a run; nothing of it is loaded. What was there goes.
    pub fn insert(&mut self, part: Part) {
        self.remove(part.page, part.pages);
        let run =
            Run { pages: part.pages, frame: part.frame, prot: part.prot, loaded: Bits::new(part.pages) };
        self.runs.insert(part.page, run);
    }

    /// Removes what is mapped in a range.
    pub fn remove(&mut self, page: u64, pages: u64) {
        self.cut(page);
        self.cut(page + pages);
        let gone: Vec<u64> = self.runs.range(page..page + pages).map(|(&k, _)| k).collect();
        for k in gone {
            self.runs.remove(&k);
        }
    }

    /// Makes `page` the start of a run, if it lies inside one.
    fn cut(&mut self, page: u64) {
        if let Some((&start, run)) = self.runs.range_mut(..page).next_back()
            && start + run.pages > page
        {
            let at = page - start;
            let tail = Run {
                pages: run.pages - at,
                frame: run.frame + at,
                prot: run.prot,
                loaded: run.loaded.split_off(at),
            };
            run.pages = at;
            self.runs.insert(page, tail);
        }
    }

    /// The mapped parts of a range, in order.
    pub fn parts(&self, page: u64, pages: u64) -> Vec<Part> {
        let end = page.saturating_add(pages);
        let first = self.runs.range(..page).next_back().filter(|(s, r)| *s + r.pages > page).map(|(&s, _)| s);
        self.runs
            .range(first.unwrap_or(page)..end)
            .map(|(&start, run)| {
                let (from, to) = (start.max(page), (start + run.pages).min(end));
                Part { page: from, pages: to - from, frame: run.frame + (from - start), prot: run.prot }
            })
            .collect()
    }

    /// The first stretch of adjoining mapped pages in a range.
    pub fn stretch(&self, page: u64, pages: u64) -> Option<(u64, u64)> {
        let mut found: Option<(u64, u64)> = None;
        for p in self.parts(page, pages) {
            match &mut found {
                None => found = Some((p.page, p.page + p.pages)),
                Some((_, end)) if *end == p.page => *end += p.pages,
                Some(_) => break,
            }
        }
        found
    }

    /// Gives part of a run (which must lie in one) another frame or protection. It is cut out for that.
    pub fn change(&mut self, part: Part) {
        self.cut(part.page);
        self.cut(part.page + part.pages);
        for (&start, run) in self.runs.range_mut(part.page..part.page + part.pages) {
            run.frame = part.frame + (start - part.page);
            run.prot = part.prot;
        }
    }

    /// The same where there is something to change.
    pub fn change_to(&mut self, part: Part, want: Part) {
        if part != want {
            self.change(want);
        }
    }

    /// Loads a page without a call of Linux: it is loaded already, or the calling thread serves its fault, whose end installs it. Returns false, and does nothing, for
    /// several pages, another frame or protection than that of the mapping, and during a fork.
    pub fn load_usual(&mut self, process: u64, want: Part) -> bool {
        let Some((&start, run)) = self.runs.range_mut(..=want.page).next_back() else { return false };
        let at = want.page - start;
        let as_mapped = at < run.pages && (run.frame + at, run.prot) == (want.frame, want.prot);
        if want.pages != 1 || !as_mapped || self.frozen.is_some() {
            return false;
        }
        let loaded = run.loaded.get(at) || self.due.leave(process, want.page);
        run.loaded.set(at, loaded);
        loaded
    }

    /// Marks pages as loaded or not.
    pub fn mark(&mut self, page: u64, pages: u64, loaded: bool) {
        for p in self.parts(page, pages) {
            if let Some((&start, run)) = self.runs.range_mut(..=p.page).next_back() {
                for i in p.page - start..p.page - start + p.pages {
                    run.loaded.set(i, loaded);
                }
            }
        }
    }

    /// The loaded pages of a range, as parts of runs.
    pub fn loaded(&self, page: u64, pages: u64) -> Vec<Part> {
        let mut found: Vec<Part> = Vec::new();
        for p in self.parts(page, pages) {
            let Some((&start, run)) = self.runs.range(..=p.page).next_back() else { continue };
            if !run.loaded.any() {
                continue;
            }
            for i in p.page..p.page + p.pages {
                if !run.loaded.get(i - start) {
                    continue;
                }
                let next = Part { page: i, pages: 1, frame: run.frame + (i - start), prot: run.prot };
                match found.last_mut() {
                    Some(last) if last.meets(&next) => last.pages += 1,
                    _ => found.push(next),
                }
            }
        }
        found
    }

    /// The parts of a range that are not loaded: pages, and how many.
    pub fn unloaded(&self, page: u64, pages: u64) -> Vec<(u64, u64)> {
        let mut found = Vec::new();
        let mut at = page;
        for part in self.loaded(page, pages) {
            if part.page > at {
                found.push((at, part.page - at));
            }
            at = part.page + part.pages;
        }
        if at < page + pages {
            found.push((at, page + pages - at));
        }
        found
    }

    /// Returns the protection of a page that is mapped, and whether it is loaded.
    pub fn state(&self, page: u64) -> Option<(Prot, bool)> {
        let (&start, run) = self.runs.range(..=page).next_back()?;
        (page < start + run.pages).then(|| (run.prot, run.loaded.get(page - start)))
    }

    /// A copy with nothing loaded, for a child that runs.
    pub fn copy_unloaded(&self) -> Hat {
        let mut copy = Hat { runs: self.runs.clone(), ..Hat::default() };
        for run in copy.runs.values_mut() {
            run.loaded = Bits::new(run.pages);
        }
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of pages that are loaded.
    fn loaded(hat: &Hat) -> u32 {
        hat.runs.values().flat_map(|run| &run.loaded.words).map(|word| word.count_ones()).sum()
    }

    fn part(page: u64, pages: u64, frame: u64) -> Part {
        Part { page, pages, frame, prot: Prot::READ }
    }

    #[test]
    fn a_hole_keeps_what_is_loaded_beside_it() {
        let mut hat = Hat::default();
        hat.insert(part(100, 200, 1000));
        hat.mark(105, 90, true);
        hat.remove(120, 10);
        assert_eq!(hat.loaded(0, 1000), [part(105, 15, 1005), part(130, 65, 1030)]);
        assert_eq!(hat.unloaded(100, 40), [(100, 5), (120, 10)]);
        assert_eq!(hat.unloaded(105, 15), []);
        assert_eq!(hat.parts(110, 30), [part(110, 10, 1010), part(130, 10, 1030)]);
        assert_eq!(hat.stretch(0, 1000), Some((100, 120)));
        assert_eq!(hat.state(125), None);
        assert_eq!(loaded(&hat), 80);
        assert_eq!(loaded(&hat.copy_unloaded()), 0);
    }

    #[test]
    fn a_usual_load_is_of_a_page_as_it_is_mapped() {
        let mut hat = Hat::default();
        hat.insert(part(100, 4, 1000));
        assert!(!hat.load_usual(7, part(101, 1, 1001)), "nobody serves its fault");
        crate::due::serving(7, 101, || {
            let other = Part { prot: Prot::WRITE, ..part(101, 1, 1001) };
            for unusual in
                [part(101, 1, 1002), part(101, 2, 1001), part(104, 1, 1004), part(99, 1, 999), other]
            {
                assert!(!hat.load_usual(7, unusual), "{unusual:?}");
            }
            assert!(!hat.load_usual(8, part(101, 1, 1001)));
            assert_eq!(loaded(&hat), 0);
            assert!(hat.load_usual(7, part(101, 1, 1001)));
        });
        assert_eq!(hat.state(101), Some((Prot::READ, true)));
        assert!(hat.load_usual(7, part(101, 1, 1001)), "it is loaded");
        hat.frozen = Some(Vec::new());
        assert!(!hat.load_usual(7, part(101, 1, 1001)));
    }

    #[test]
    fn a_change_keeps_frames_in_step() {
        let mut hat = Hat::default();
        hat.insert(part(0, 10, 50));
        hat.change(Part { page: 3, pages: 2, frame: 90, prot: Prot::WRITE });
        assert_eq!(
            hat.parts(2, 4),
            [part(2, 1, 52), Part { page: 3, pages: 2, frame: 90, prot: Prot::WRITE }, part(5, 1, 55)]
        );
    }
}
