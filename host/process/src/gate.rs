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
//! Faults that are being served are listed here, too: one lock begins a fault, and one ends it.
//!
//! Locking: a leaf; nothing is called with it held. It is the standard library's, as it is taken by threads that are queued to sleep in `parking_lot_core`, which must not
//! use that meanwhile.

use rustc_hash::FxHashMap as HashMap;

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::interrupt::Served;

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
    /// The thread (tid) that forks; 0 if there is none. Changed under `state`.
    forker: AtomicI32,
}

#[derive(Default)]
struct State {
    inside: HashMap<i32, Inside>,
    faults: Vec<Serving>,
}

/// A thread in the kernel above.
#[derive(Default)]
struct Inside {
    /// Requests and faults in progress: a request's access to device memory is a fault.
    depth: u32,
    /// It sleeps where it can be held: what wakes it.
    resting: Option<Wake>,
}

/// A fault that is being served.
struct Serving {
    served: Arc<Served>,
    /// The thread has left the fault, and is back at the same access.
    again: bool,
    /// It was woken together with another thread that waited for the same page: when it comes back, no signal was the reason.
    nudged: bool,
}

/// Result of [`Gate::enter_fault`].
pub(super) enum Begun {
    /// It is being served.
    New(Arc<Served>),
    /// It is not being served: the thread has another fault that is.
    Back {
        before: Arc<Served>,
        /// The same page and access.
        same: bool,
        /// The thread was woken by the end of another fault, not by a signal.
        nudged: bool,
    },
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "forking: {}, {} faults", self.forker.load(Ordering::Relaxed), self.lock().faults.len())
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.moved.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether another thread than `tid` forks. Asked under `state`, it stays so.
    fn holds(&self, tid: i32) -> bool {
        let forker = self.forker.load(Ordering::Relaxed);
        forker != 0 && forker != tid
    }

    /// Waits until no other thread forks, and counts this one as inside. True: it had to wait.
    fn admit<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        tid: i32,
        fork: bool,
    ) -> (MutexGuard<'a, State>, bool) {
        let mut waited = false;
        // What a request does on the way to its end is not held up: the fork waits for the request.
        while self.holds(tid) && (fork || !state.inside.contains_key(&tid)) && !self.is_gone() {
            waited = true;
            state = self.wait(state);
        }
        state.inside.entry(tid).or_default().depth += 1;
        (state, waited)
    }

    /// Begins a request of a thread, when no other thread forks; with `fork`, other threads are held from now on.
    /// True: it had to wait.
    pub fn enter(&self, tid: i32, fork: bool) -> bool {
        let (_state, waited) = self.admit(self.lock(), tid, fork);
        if fork {
            self.forker.store(tid, Ordering::Release);
        }
        waited
    }

    /// Begins a fault of a thread, when no other thread forks. With `back`, a thread that has a fault already does not begin another: [`Begun::Back`].
    pub fn enter_fault(&self, new: Served, back: bool) -> Begun {
        let mut state = self.lock();
        if back && let Some(before) = state.faults.iter_mut().rev().find(|s| s.served.tid == new.tid) {
            let same = (before.served.page, before.served.access) == (new.page, new.access);
            before.again |= same;
            let nudged = std::mem::take(&mut before.nudged);
            return Begun::Back { before: before.served.clone(), same, nudged };
        }
        (state, _) = self.admit(state, new.tid, false);
        // A fork that has begun does not interrupt it any more; one that begins now finds it in the list.
        let served = Arc::new(if self.holds(new.tid) { new.interrupted() } else { new });
        state.faults.push(Serving { served: served.clone(), again: false, nudged: false });
        Begun::New(served)
    }

    /// It has been served.
    pub fn leave(&self, tid: i32) {
        self.leave_locked(&mut self.lock(), tid);
    }

    fn leave_locked(&self, state: &mut State, tid: i32) {
        if let Some(inside) = state.inside.get_mut(&tid) {
            inside.depth -= 1;
            if inside.depth == 0 {
                state.inside.remove(&tid);
            }
        }
        self.tell();
    }

    /// A fault has been served, and all that wait for its page are woken. True: its thread has left it and waits for it again.
    pub fn leave_fault(&self, served: &Arc<Served>) -> bool {
        let mut state = self.lock();
        let at = state.faults.iter().position(|s| Arc::ptr_eq(&s.served, served));
        let gone = at.map(|at| state.faults.remove(at));
        state.faults.iter_mut().filter(|s| s.served.page == served.page).for_each(|s| s.nudged = true);
        self.leave_locked(&mut state, served.tid);
        gone.is_some_and(|gone| gone.again)
    }

    /// Returns the faults that are being served.
    pub fn faults(&self) -> Vec<Arc<Served>> {
        self.lock().faults.iter().map(|s| s.served.clone()).collect()
    }

    /// Waits until no other thread than `tid`, which forks, is inside but at rest. `slow` is called, once, with the threads that it waits for, if that takes longer than
    /// `patience`.
    pub fn quiesce(&self, tid: i32, (patience, slow): (Duration, impl FnOnce(&[i32]))) {
        let mut slow = Some(slow);
        let from = Instant::now();
        let mut state = self.lock();
        let resting: Vec<Wake> = state.inside.values().filter_map(|inside| inside.resting.clone()).collect();
        drop(state);
        resting.iter().for_each(|wake| wake());
        state = self.lock();
        while !self.is_gone() {
            let others = state.inside.iter().filter(|(other, i)| **other != tid && i.resting.is_none());
            let others: Vec<i32> = others.map(|(other, _)| *other).collect();
            if others.is_empty() {
                return;
            }
            let left = patience.saturating_sub(from.elapsed());
            state = match slow.take() {
                Some(say) if left.is_zero() => {
                    drop(state);
                    say(&others);
                    self.lock()
                }
                // A look at the time is only for what is said.
                Some(say) => {
                    slow = Some(say);
                    self.moved.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.wait(state),
            };
        }
    }

    /// The fork is over, or there is none.
    pub fn release(&self) {
        {
            let _state = self.lock();
            self.forker.store(0, Ordering::Release);
        }
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

    /// Returns whether this is the thread that forks, which only itself begins.
    pub fn is_forker(&self, tid: i32) -> bool {
        tid != 0 && self.forker.load(Ordering::Acquire) == tid
    }

    /// The thread is about to sleep where it can be held; `wake` wakes it.
    pub fn rest(&self, tid: i32, wake: Wake) {
        let mut state = self.lock();
        if let Some(inside) = state.inside.get_mut(&tid) {
            inside.resting = Some(wake);
            self.tell();
        }
    }

    /// It sleeps no more: if it was at rest, waits until no other thread forks.
    pub fn go_on(&self, tid: i32) {
        let mut state = self.lock();
        let resting = |state: &State| state.inside.get(&tid).is_some_and(|inside| inside.resting.is_some());
        while resting(&state) && self.holds(tid) && !self.is_gone() {
            state = self.wait(state);
        }
        if let Some(inside) = state.inside.get_mut(&tid) {
            inside.resting = None;
        }
    }

    /// A thread has left, or sleeps: a fork may wait for it. `state` is held.
    fn tell(&self) {
        if self.forker.load(Ordering::Relaxed) != 0 {
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
