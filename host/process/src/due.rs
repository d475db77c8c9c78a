//! The translation that a fault is about: it is installed when the fault has been served, by the call that lets the thread go on. So the commonest load costs no call of its own.
//!
//! Locking: what is due is the map's, under the hat's lock. Which page a thread serves the fault of is that thread's own.

use std::cell::Cell;

/// Pages of a process that the map says are loaded, and that Linux gets a translation for when the faults that they are due for end. Each may have one already, or no
/// mapping any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Due {
    pages: Vec<u64>,
    /// Linux has refused such a translation: loads are made at once, so that drivers see them fail.
    never: bool,
}

impl Due {
    /// Leaves a load to the end of the fault that the calling thread serves. False if it is not of that page.
    pub fn leave(&mut self, process: u64, page: u64) -> bool {
        let left = !self.never && SERVED.get() == Some((process, page));
        if left {
            self.put_back(page);
        }
        left
    }

    /// Adds a page that is loaded, and whose fault is served: the end of that installs its translation.
    pub fn put_back(&mut self, page: u64) {
        if !self.pages.contains(&page) {
            self.pages.push(page);
        }
    }

    /// Takes a page, to load it now. False if it is not due.
    pub fn take(&mut self, page: u64) -> bool {
        let at = self.pages.iter().position(|&p| p == page);
        at.map(|at| self.pages.swap_remove(at)).is_some()
    }

    /// Leaves no load any more.
    pub fn never(&mut self) {
        self.never = true;
    }
}

thread_local! {
    /// The process and the page whose fault the calling thread serves.
    static SERVED: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
}

/// Runs `f`, which serves the fault of a page of a process. The caller installs what is due afterwards.
pub(super) fn serving<R>(process: u64, page: u64, f: impl FnOnce() -> R) -> R {
    struct Before(Option<(u64, u64)>);
    impl Drop for Before {
        fn drop(&mut self) {
            SERVED.set(self.0);
        }
    }
    let _before = Before(SERVED.replace(Some((process, page))));
    f()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_page_of_the_fault_is_left() {
        let mut due = Due::default();
        assert!(!due.leave(1, 5), "no fault is served");
        serving(1, 5, || {
            assert!(!due.leave(1, 6) && !due.leave(2, 5));
            assert!(due.leave(1, 5) && due.leave(1, 5));
            serving(2, 7, || assert!(due.leave(2, 7) && !due.leave(1, 5)));
            assert!(due.leave(1, 5));
        });
        assert!(!due.leave(1, 5), "it has been served");
        assert!(due.take(5) && !due.take(5) && due.take(7));
        due.never();
        serving(1, 5, || assert!(!due.leave(1, 5)));
    }
}
