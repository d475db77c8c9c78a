//! Calls and faults in progress: a process does not exit under them.
//!
//! Locking: one mutex, held for moments; [`Flight::unless_leaving`] holds it while a process is watched for its death.

use parking_lot::Mutex;

/// Counts the calls and faults in progress of a process, and keeps others out once the process is on its way out.
///
/// # Invariants
/// `calls` does not grow once `leaving` is set. `finished` is set once, by whoever finds `leaving` set and `calls` 0, and that is who finishes the process.
#[derive(Debug, Default)]
pub(super) struct Flight(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    calls: u32,
    leaving: bool,
    finished: bool,
    /// The job that finishing the process is, while calls are in progress.
    job: u64,
}

/// Task of the caller that makes a process leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// Nothing: it has left, or is about to.
    Already,
    /// The caller finishes the process.
    Finish,
    /// The last call in progress finishes it.
    Later,
}

impl Flight {
    /// Begins a call or a fault; false when the process is on its way out.
    pub fn begin(&self) -> bool {
        let mut state = self.0.lock();
        state.calls += u32::from(!state.leaving);
        !state.leaving
    }

    /// Ends one that was begun. Returns the job of the process that the caller is to finish, if it is.
    pub fn end(&self) -> Option<u64> {
        let mut state = self.0.lock();
        state.calls -= 1;
        let last = state.leaving && state.calls == 0 && !state.finished;
        state.finished |= last;
        last.then_some(state.job)
    }

    /// The process leaves: no call begins any more. `gone` is called before anybody can see that; `job` makes the job of finishing the process later.
    pub fn leave(&self, gone: impl FnOnce(), job: impl FnOnce() -> u64) -> Leave {
        let mut state = self.0.lock();
        if state.leaving {
            return Leave::Already;
        }
        state.leaving = true;
        gone();
        state.finished = state.calls == 0;
        if state.finished {
            return Leave::Finish;
        }
        state.job = job();
        Leave::Later
    }

    /// Calls `f` unless the process is on its way out, which it does not begin meanwhile.
    pub fn unless_leaving<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        let state = self.0.lock();
        if state.leaving { None } else { Some(f()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_finishes() {
        let flight = Flight::default();
        assert!(flight.begin() && flight.begin());
        assert_eq!(flight.end(), None);
        assert_eq!(flight.leave(|| {}, || 7), Leave::Later);
        assert_eq!(flight.leave(|| unreachable!(), || unreachable!()), Leave::Already);
        assert!(!flight.begin());
        assert_eq!(flight.unless_leaving(|| ()), None);
        assert_eq!(flight.end(), Some(7));
    }

    #[test]
    fn with_none_in_progress_the_leaver_finishes() {
        let flight = Flight::default();
        assert_eq!(flight.unless_leaving(|| 3), Some(3));
        assert_eq!(flight.leave(|| {}, || unreachable!()), Leave::Finish);
    }
}
