//! Pages that are poisoned for a moment, so that one access fails: what the process learns from a request must hold for its memory, so requests wait meanwhile.
//!
//! Locking: one mutex, a leaf.

use parking_lot::{Condvar, Mutex};

/// Counts the pages that are poisoned now.
#[derive(Debug, Default)]
pub(super) struct Poison {
    pages: Mutex<u32>,
    none: Condvar,
}

/// A page that may be poisoned until this is dropped.
pub(super) struct Poisoned<'a>(&'a Poison);

impl Poison {
    /// A page is about to be poisoned.
    pub fn begin(&self) -> Poisoned<'_> {
        *self.pages.lock() += 1;
        Poisoned(self)
    }

    /// Waits until no page is poisoned. That takes no longer than those that poison wait, which is limited.
    pub fn wait(&self) {
        let mut pages = self.pages.lock();
        while *pages > 0 {
            self.none.wait(&mut pages);
        }
    }
}

impl Drop for Poisoned<'_> {
    fn drop(&mut self) {
        *self.0.pages.lock() -= 1;
        self.0.none.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_wait_for_the_last_page() {
        let poison = Poison::default();
        poison.wait();
        let (first, second) = (poison.begin(), poison.begin());
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| poison.wait());
            drop(first);
            assert!(!waiter.is_finished());
            drop(second);
            waiter.join().unwrap();
        });
    }
}
