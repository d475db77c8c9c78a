//! Ranges of a process's addresses that calls are changing. A change has two halves, the kernel's and Linux's: of two changes of the same pages, the later one begins
//! when the kernel's half of the earlier one is made. Linux's halves then follow in the same order ([`super::turns`]).
//!
//! Locking: one mutex, a leaf. A range is held across the drivers' callbacks, as the kernel holds an address space's lock; whoever holds one waits for
//! no other.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Interval at which a waiting call checks that its process still exists.
const LOOK_UP: Duration = Duration::from_millis(20);

/// The ranges that are being changed, by first byte and end.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    held: Mutex<Vec<(u64, u64)>>,
    fewer: Condvar,
}

/// A range that others leave alone until this is dropped.
#[derive(Debug)]
pub(super) struct RangeGuard<'a> {
    ranges: &'a Ranges,
    range: (u64, u64),
}

impl Ranges {
    /// Waits until no other call changes a page of `[addr, addr + len)`, or `gone` returns true.
    pub fn hold(&self, addr: u64, len: u64, gone: impl Fn() -> bool) -> RangeGuard<'_> {
        let page = crate::physmem::PAGE_SIZE;
        let range =
            (addr / page * page, addr.saturating_add(len).checked_next_multiple_of(page).unwrap_or(u64::MAX));
        let mut held = self.held.lock();
        while held.iter().any(|other| other.0 < range.1 && range.0 < other.1) && !gone() {
            self.fewer.wait_for(&mut held, LOOK_UP);
        }
        held.push(range);
        RangeGuard { ranges: self, range }
    }
}

impl Drop for RangeGuard<'_> {
    fn drop(&mut self) {
        let mut held = self.ranges.held.lock();
        if let Some(at) = held.iter().position(|range| *range == self.range) {
            held.swap_remove(at);
        }
        self.ranges.fewer.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn only_changes_of_the_same_pages_wait_for_each_other() {
        let ranges = Ranges::default();
        let first = ranges.hold(0x10_0000, 0x4000, || false);
        drop(ranges.hold(0x10_4000, 0x1000, || false));
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // One byte of the last page.
            let waiter = scope.spawn(|| {
                let _held = ranges.hold(0x10_3fff, 1, || false);
                over.load(Ordering::SeqCst)
            });
            std::thread::sleep(LOOK_UP);
            assert!(!waiter.is_finished());
            over.store(true, Ordering::SeqCst);
            drop(first);
            assert!(waiter.join().unwrap(), "it waited");
        });
        assert!(ranges.held.lock().is_empty());
    }

    #[test]
    fn a_call_of_a_process_that_is_gone_waits_for_nobody() {
        let ranges = Ranges::default();
        let _first = ranges.hold(0x1000, 0x1000, || false);
        drop(ranges.hold(0x1000, 0x1000, || true));
        assert_eq!(ranges.held.lock().len(), 1);
    }
}
