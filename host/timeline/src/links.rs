//! Reasons of faults: the unload that took the translation which a fault finds missing.

use std::collections::{BTreeMap, HashMap};

use ddi_trace::{Event, UNKNOWN};

use crate::story::Story;

const PAGE: u64 = 4096;

/// Address ranges of a process whose translations were loaded, by their begin. Ranges do not overlap.
#[derive(Default)]
struct Ranges(BTreeMap<u64, Range>);

#[derive(Clone, Copy)]
struct Range {
    end: u64,
    /// Index of the unload that took it; `None`: it is loaded.
    lost: Option<usize>,
}

impl Ranges {
    /// Splits the range that has `at` inside.
    fn split(&mut self, at: u64) {
        let Some((_, range)) = self.0.range_mut(..at).next_back().filter(|(_, range)| range.end > at) else {
            return;
        };
        let behind = *range;
        range.end = at;
        self.0.insert(at, behind);
    }

    fn remove(&mut self, begin: u64, end: u64) {
        self.split(begin);
        self.split(end);
        let all: Vec<u64> = self.0.range(begin..end).map(|(begin, _)| *begin).collect();
        for begin in all {
            self.0.remove(&begin);
        }
    }

    fn load(&mut self, begin: u64, end: u64) {
        self.remove(begin, end);
        self.0.insert(begin, Range { end, lost: None });
    }

    /// Takes what is loaded there; pages that were lost before have their reason already.
    fn lose(&mut self, begin: u64, end: u64, unload: usize) {
        self.split(begin);
        self.split(end);
        for (_, range) in self.0.range_mut(begin..end) {
            range.lost.get_or_insert(unload);
        }
    }

    fn reason(&self, address: u64) -> Option<usize> {
        let (_, range) = self.0.range(..=address).next_back()?;
        range.lost.filter(|_| range.end > address)
    }
}

/// Returns faults with the unload that took their translation, both as indices, in the order of the faults.
pub fn reasons(story: &Story) -> Vec<(usize, usize)> {
    let mut processes: HashMap<u32, Ranges> = HashMap::new();
    let mut all = Vec::new();
    for (index, told) in story.events.iter().enumerate() {
        let end = |address: u64, bytes: u64| address.saturating_add(bytes).max(address.saturating_add(1));
        match told.event {
            Event::Load { of, address, pages, .. } => {
                let ranges = processes.entry(of as u32).or_default();
                ranges.load(address, end(address, pages.saturating_mul(PAGE)));
            }
            Event::Unload { of, address, pages, .. } => {
                if let Some(ranges) = processes.get_mut(&(of as u32)) {
                    ranges.lose(address, end(address, pages.saturating_mul(PAGE)), index);
                }
            }
            // What was there before is forgotten.
            Event::Mmap { address, length, errno: 0, .. } => {
                if let Some(ranges) = processes.get_mut(&told.stamp.process) {
                    ranges.remove(address, end(address, length));
                }
            }
            Event::Fault { address, offset, .. } if offset != UNKNOWN => {
                let reason = processes.get(&told.stamp.process).and_then(|ranges| ranges.reason(address));
                all.extend(reason.map(|unload| (index, unload)));
            }
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::test::story;
    use ddi_trace::{Access, Outcome};

    fn fault(address: u64) -> Event {
        Event::Fault { address, offset: address, code: 0, access: Access::Read, outcome: Outcome::Served }
    }

    fn load(address: u64, pages: u64) -> Event {
        Event::Load { of: 1, of_pid: 100, address, pages, frame: 0 }
    }

    fn unload(address: u64, pages: u64) -> Event {
        Event::Unload { of: 1, of_pid: 100, address, pages }
    }

    #[test]
    fn a_fault_has_the_unload_that_took_its_page() {
        let all = [
            (1, fault(0x1000)),     // 0: nobody took it
            (1, load(0x1000, 3)),   // 1
            (2, unload(0x2000, 9)), // 2
            (1, fault(0x1010)),     // 3: a page that is loaded still
            (1, fault(0x2fff)),     // 4: because of 2
            (1, load(0x2000, 1)),   // 5
            (1, fault(0x2000)),     // 6: loaded again
            (2, unload(0x1000, 3)), // 7: page 3 is lost already
            (1, fault(0x3000)),     // 8: because of 2
            (1, fault(0x1000)),     // 9: because of 7
            (1, fault(0x4000)),     // 10: unloaded, but it was never there
            (1, Event::Mmap { address: 0x1000, length: 0x1000, offset: 0, protection: 3, errno: 0 }),
            (1, fault(0x1000)), // 12: another mapping
            (1, fault(0x2000)), // 13: because of 7
            (2, fault(0x2000)), // 14: another process
        ];
        assert_eq!(reasons(&story(&all)), [(4, 2), (8, 2), (9, 7), (13, 7)]);
    }
}
