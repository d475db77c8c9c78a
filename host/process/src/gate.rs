//! fork(2) is one moment for a process: from the first dup callback until Linux has copied the process, its other threads are held.
//!
//! illumos stops them. Linux has no way to stop a thread that the program cannot notice (a signal, an `EINTR`), so they are held where they meet the kernel above:
//!
//! * a request or a fault of another thread that comes now waits at [`Gate::enter`] until the fork is over;
//! * those that are being served are waited for ([`Gate::quiesce`]). One that sleeps in a wait that signals can end is held there instead
//!   ([`Gate::rest`]): woken for nothing, as on illumos, it goes on when the fork is over. A fault's wait ends with `EINTR`, and its access is tried again;
//! * all translations are out of Linux's tables ([`Process::freeze`](super::Process)), so that the next access to a device is such a fault.
//!
//! A thread that does none of this goes on, and the child cannot tell: what it has stored until Linux copies the process is in the child, and nothing that it
//! could have seen of a device, or done to one, since the dup callbacks. So the child finds what it would have found, had the thread been faster before the fork.
//!
//! Locking: a leaf; nothing is called with it held. It is the standard library's, as it is taken by threads that are queued to sleep in `parking_lot_core`, which must not
//! use that meanwhile.

use rustc_hash::FxHashMap as HashMap;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Function that ends a wait.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// The threads of a process that are in the kernel above, and the one that forks.
///
/// # Invariants
/// At most one thread forks. While one does, the number of other threads inside that are not at rest does not grow, but for a request's own faults. Whatever a wait waits
/// for is changed under `state`, or (`gone`) before it is taken, and `moved` is notified afterwards: no wait needs a look at the time.
#[derive(Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    moved: Condvar,
    gone: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The thread (tid) that forks.
    forker: Option<i32>,
    inside: HashMap<i32, Inside>,
}

/// A thread in the kernel above.
struct Inside {
    since: Instant,
    /// Requests and faults in progress: a request's access to device memory is a fault.
    depth: u32,
    /// It sleeps where it can be held: what wakes it.
    resting: Option<Wake>,
}

impl State {
    /// Returns whether another thread than `tid` forks.
    fn held(&self, tid: i32) -> bool {
        self.forker.is_some_and(|forker| forker != tid)
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "forking: {:?}", self.lock().forker)
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.moved.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request or a fault of a thread, when no other thread forks; with `fork`, other threads are held from now on.
    /// True: it had to wait.
    pub fn enter(&self, tid: i32, fork: bool) -> bool {
        let mut state = self.lock();
        let mut waited = false;
        // What a request does on the way to its end is not held up: the fork waits for the request.
        while state.held(tid) && (fork || !state.inside.contains_key(&tid)) && !self.is_gone() {
            waited = true;
            state = self.wait(state);
        }
        if fork {
            state.forker = Some(tid);
        }
        let inside = state.inside.entry(tid);
        inside.or_insert_with(|| Inside { since: Instant::now(), depth: 0, resting: None }).depth += 1;
        waited
    }

    /// It has been served.
    pub fn leave(&self, tid: i32) {
        let mut state = self.lock();
        if let Some(inside) = state.inside.get_mut(&tid) {
            inside.depth -= 1;
            if inside.depth == 0 {
                state.inside.remove(&tid);
            }
        }
        self.tell(&state);
    }

    /// Waits until no other thread than `tid`, which forks, is inside but at rest. `slow` is called, once, with the threads that have been inside for longer than
    /// `patience`, if it must wait for them.
    pub fn quiesce(&self, tid: i32, (patience, slow): (Duration, impl FnOnce(&[i32]))) {
        let mut slow = Some(slow);
        let mut state = self.lock();
        let resting: Vec<Wake> = state.inside.values().filter_map(|inside| inside.resting.clone()).collect();
        drop(state);
        resting.iter().for_each(|wake| wake());
        state = self.lock();
        while !self.is_gone() {
            let others = state.inside.iter().filter(|(other, i)| **other != tid && i.resting.is_none());
            let others: Vec<(i32, Duration)> = others.map(|(other, i)| (*other, i.since.elapsed())).collect();
            let Some(longest) = others.iter().map(|(_, inside)| *inside).max() else { return };
            state = match slow.take() {
                Some(say) if longest > patience => {
                    let late = others.iter().filter(|(_, inside)| *inside > patience);
                    let late: Vec<i32> = late.map(|(other, _)| *other).collect();
                    drop(state);
                    say(&late);
                    self.lock()
                }
                // A look at the time is only for what is said.
                Some(say) => {
                    slow = Some(say);
                    let left = patience.saturating_sub(longest).saturating_add(Duration::from_millis(1));
                    self.moved.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.wait(state),
            };
        }
    }

    /// Returns whether another thread than `tid` forks, and waits for this one if it is inside.
    pub fn holds(&self, tid: i32) -> bool {
        self.lock().held(tid)
    }

    /// The fork is over, or there is none.
    pub fn release(&self) {
        self.lock().forker = None;
        self.moved.notify_all();
    }

    /// The process is gone: nobody is held any more.
    pub fn end(&self) {
        self.gone.store(true, Ordering::Release);
        self.release();
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Returns whether this is the thread that forks.
    pub fn is_forker(&self, tid: i32) -> bool {
        self.lock().forker == Some(tid)
    }

    /// The thread is about to sleep where it can be held; `wake` wakes it.
    pub fn rest(&self, tid: i32, wake: Wake) {
        let mut state = self.lock();
        if let Some(inside) = state.inside.get_mut(&tid) {
            inside.resting = Some(wake);
            self.tell(&state);
        }
    }

    /// It sleeps no more: if it was at rest, waits until no other thread forks.
    pub fn go_on(&self, tid: i32) {
        let mut state = self.lock();
        let resting = |state: &State| state.inside.get(&tid).is_some_and(|inside| inside.resting.is_some());
        while resting(&state) && state.held(tid) && !self.is_gone() {
            state = self.wait(state);
        }
        if let Some(inside) = state.inside.get_mut(&tid) {
            inside.resting = None;
        }
    }

    fn tell(&self, state: &State) {
        if state.forker.is_some() {
            self.moved.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    fn soon(what: impl Fn() -> bool) -> bool {
        (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(5));
            what()
        })
    }

    #[test]
    fn others_wait_for_the_fork_and_the_fork_for_them() {
        let gate = Arc::new(Gate::default());
        let steps = Arc::new(AtomicU32::new(0));
        let thread = |f: Box<dyn FnOnce(&Gate) + Send>| {
            let (gate, steps) = (gate.clone(), steps.clone());
            std::thread::spawn(move || {
                f(&gate);
                steps.fetch_add(1, Ordering::SeqCst);
            })
        };
        assert!(!gate.enter(2, false));
        assert!(!gate.holds(2));
        assert!(!gate.enter(1, true));
        assert!(gate.holds(2) && !gate.holds(1));
        // A request that comes waits; a fault of one that is being served does not, and the fork waits for both.
        let comes = thread(Box::new(|gate| assert!(gate.enter(3, false))));
        assert!(!gate.enter(2, false));
        let forks = thread(Box::new(|gate| gate.quiesce(1, (Duration::MAX, |_: &[i32]| {}))));
        assert!(!soon(|| steps.load(Ordering::SeqCst) > 0));
        gate.leave(2);
        gate.leave(2);
        forks.join().unwrap();
        assert!(!soon(|| steps.load(Ordering::SeqCst) > 1));
        gate.leave(1);
        gate.release();
        comes.join().unwrap();
    }

    #[test]
    fn who_sleeps_is_woken_and_held_in_place() {
        let gate = Arc::new(Gate::default());
        let woken = Arc::new(AtomicU32::new(0));
        let wake = woken.clone();
        gate.enter(2, false);
        gate.rest(2, Arc::new(move || _ = wake.fetch_add(1, Ordering::SeqCst)));
        gate.enter(1, true);
        gate.quiesce(1, (Duration::MAX, |_: &[i32]| {}));
        assert_eq!(woken.load(Ordering::SeqCst), 1);
        let sleeper = gate.clone();
        let sleeper = std::thread::spawn(move || sleeper.go_on(2));
        assert!(!soon(|| sleeper.is_finished()));
        gate.release();
        sleeper.join().unwrap();
        assert!(!gate.enter(3, true) && gate.is_forker(3));
    }

    #[test]
    fn a_fork_that_waits_for_long_says_for_whom() {
        let gate = Gate::default();
        gate.enter(2, false);
        gate.enter(1, true);
        let named = Mutex::new(Vec::<i32>::new());
        gate.quiesce(
            1,
            (Duration::from_millis(10), |threads: &[i32]| {
                named.lock().unwrap().extend(threads);
                gate.end();
            }),
        );
        assert_eq!(*named.lock().unwrap(), [2]);
    }
}
