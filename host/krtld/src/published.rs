//! The addresses of all loaded modules of the process, for a reader that must not wait: a signal handler.
//!
//! Locking: readers take none and allocate nothing. Publishing takes one mutex, a leaf.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, OnceLock, PoisonError};

/// A part of a module's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// Instructions.
    Text,
    /// Anything else.
    Data,
}

/// A place in the list, used by one module after another of the same name. It is never freed.
///
/// # Invariants
/// `version` is odd while the others change, which happens under [`CHANGE`] only. `end` is 0 while no module uses the place.
#[derive(Debug, Default)]
struct Entry {
    name: String,
    version: AtomicUsize,
    start: AtomicUsize,
    text_end: AtomicUsize,
    end: AtomicUsize,
    /// Number of the load: a later one is greater.
    load: AtomicU64,
    next: OnceLock<&'static Entry>,
}

static FIRST: OnceLock<&'static Entry> = OnceLock::new();
static CHANGE: Mutex<u64> = Mutex::new(0);

impl Entry {
    fn all() -> impl Iterator<Item = &'static Entry> {
        std::iter::successors(FIRST.get().copied(), |entry| entry.next.get().copied())
    }

    /// Returns start, end of text, end and number of the load; `None` if there is no module, or just being one.
    fn read(&self) -> Option<(usize, usize, usize, u64)> {
        let before = self.version.load(Ordering::Acquire);
        let found = (
            self.start.load(Ordering::Relaxed),
            self.text_end.load(Ordering::Relaxed),
            self.end.load(Ordering::Relaxed),
            self.load.load(Ordering::Relaxed),
        );
        fence(Ordering::Acquire);
        let same = self.version.load(Ordering::Relaxed) == before && before.is_multiple_of(2);
        Some(found).filter(|&(_, _, end, _)| same && end != 0)
    }

    fn write(&self, text: &Range<usize>, end: usize, load: u64) {
        self.version.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.start.store(text.start, Ordering::Relaxed);
        self.text_end.store(text.end, Ordering::Relaxed);
        self.end.store(end, Ordering::Relaxed);
        self.load.store(load, Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::Release);
    }
}

/// A module that is published until this is dropped.
#[derive(Debug)]
pub(crate) struct Published(&'static Entry);

impl Published {
    /// Publishes a module with this text, and other memory behind it up to `end`.
    pub fn new(name: &str, text: &Range<usize>, end: usize) -> Published {
        let mut loads = CHANGE.lock().unwrap_or_else(PoisonError::into_inner);
        *loads += 1;
        let unused = |entry: &&Entry| entry.name == name && entry.end.load(Ordering::Relaxed) == 0;
        if let Some(entry) = Entry::all().find(unused) {
            entry.write(text, end, *loads);
            return Published(entry);
        }
        let entry: &'static Entry = Box::leak(Box::new(Entry { name: name.to_owned(), ..Entry::default() }));
        entry.write(text, end, *loads);
        let last = Entry::all().last().map_or(&FIRST, |last| &last.next);
        // Nobody else appends under the lock.
        let _ = last.set(entry);
        Published(entry)
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        let _change = CHANGE.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.write(&(0..0), 0, 0);
    }
}

/// Returns the part of a loaded module that an address belongs to. May be called in a signal handler.
pub fn region(address: usize) -> Option<Region> {
    Entry::all().filter_map(Entry::read).find_map(|(start, text_end, end, _)| match address {
        at if (start..text_end).contains(&at) => Some(Region::Text),
        at if (start..end).contains(&at) => Some(Region::Data),
        _ => None,
    })
}

/// Returns whether all of a range is memory of one loaded module, which then can be read. May be called in a signal handler.
pub fn holds(range: &Range<usize>) -> bool {
    Entry::all()
        .filter_map(Entry::read)
        .any(|(start, _, end, _)| start <= range.start && range.start <= range.end && range.end <= end)
}

/// Returns the name of the module that was loaded last; `None` if none is loaded. May be called in a signal handler.
pub fn last_loaded() -> Option<&'static str> {
    let loaded = Entry::all().filter_map(|entry| Some((entry.read()?.3, entry.name.as_str())));
    loaded.max_by_key(|(load, _)| *load).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    // Addresses that no module has.
    const AT: usize = 0xffff_8000_0000_0000;

    #[test]
    fn what_is_published_is_found_until_it_goes() {
        let first = Published::new("published-a", &(AT..AT + 0x100), AT + 0x200);
        assert_eq!(region(AT + 0xff), Some(Region::Text));
        assert_eq!(region(AT + 0x100), Some(Region::Data));
        assert_eq!(region(AT + 0x200), None);
        assert!(last_loaded().is_some());
        drop(first);
        assert_eq!(region(AT), None);
        let again = Published::new("published-a", &(AT + 0x1000..AT + 0x1100), AT + 0x1100);
        assert_eq!((region(AT), region(AT + 0x1000)), (None, Some(Region::Text)));
        assert_eq!(Entry::all().filter(|entry| entry.name == "published-a").count(), 1);
        drop(again);
    }

    #[test]
    fn a_reader_finds_one_state_or_none() {
        let stop = AtomicBool::new(false);
        let base = AT + 0x10_0000;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    drop(Published::new("published-b", &(base..base + 0x10), base + 0x10));
                    drop(Published::new("published-b", &(base + 0x20..base + 0x30), base + 0x30));
                }
            });
            let entry = || Entry::all().find(|entry| entry.name == "published-b");
            for _ in 0..if cfg!(miri) { 300 } else { 200_000 } {
                if let Some((start, text_end, end, load)) = entry().and_then(Entry::read) {
                    assert!(start == base || start == base + 0x20);
                    assert_eq!((text_end, end), (start + 0x10, start + 0x10));
                    assert_ne!(load, 0);
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn reading_waits_for_nobody() {
        let _change = CHANGE.lock().unwrap_or_else(PoisonError::into_inner);
        // As a handler that has interrupted a load would.
        assert_eq!(region(AT + 0x100_0000), None);
        last_loaded();
    }
}
