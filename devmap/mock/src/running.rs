//! Routines of the driver that run because of something that can be taken back: timeouts, periodic routines, handlers. Whoever takes it back waits until they have returned.

use super::kernel;
use super::threads::{me, threads, until};

/// A routine that runs, until this is dropped: entered with the kernel's state locked, so that nobody takes it back unnoticed.
pub(crate) struct Runs(usize);

impl super::Kernel {
    /// The calling thread runs a routine because of `id`.
    pub(crate) fn runs(&mut self, id: usize) -> Runs {
        self.running.entry(id).or_default().push(me());
        Runs(id)
    }

    /// Returns whether another thread runs a routine because of `id`.
    pub(crate) fn runs_elsewhere(&self, id: usize) -> bool {
        self.running.get(&id).is_some_and(|threads| threads.iter().any(|thread| *thread != me()))
    }

    /// Returns whether the calling thread does.
    pub(crate) fn runs_here(&self, id: usize) -> bool {
        self.running.get(&id).is_some_and(|threads| threads.contains(&me()))
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        {
            let mut kernel = kernel();
            // After a test that failed, none may be there.
            let Some(threads) = kernel.running.get_mut(&self.0) else { return };
            let Some(at) = threads.iter().rposition(|thread| *thread == me()) else { return };
            threads.remove(at);
            if threads.is_empty() {
                kernel.running.remove(&self.0);
            }
        }
        threads().wake(self.0);
    }
}

/// Waits until no other thread runs a routine because of `id`, and does something at that moment.
pub(crate) fn when_over<R>(id: usize, mut what: impl FnMut(&mut super::Kernel) -> R) -> R {
    until(id, || {
        let mut kernel = kernel();
        (!kernel.runs_elsewhere(id)).then(|| what(&mut kernel))
    })
}
