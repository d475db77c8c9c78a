//! fork(2) is one moment for a process: from the first dup callback until Linux has copied the process, its other threads are held.
//!
//! illumos stops them. Linux has no way to stop a thread that the program cannot notice (a signal, an `EINTR`), so they are held where they meet the kernel above:
//!
//! * a request or a fault of another thread that comes now waits at [`Hold::enter`] until the fork is over;
//! * those that are being served are waited for ([`Hold::quiesce`]). One that sleeps in a wait that signals can end is held there instead
//!   ([`Hold::rest`]): woken for nothing, as on illumos, it goes on when the fork is over. A fault's wait ends with `EINTR`, and its access is tried again;
//! * all translations are out of Linux's tables ([`Process::freeze`](super::Process)), so that the next access to a device is such a fault.
//!
//! A thread that does none of this goes on, and the child cannot tell: what it has stored until Linux copies the process is in the child, and nothing that it
//! could have seen of a device, or done to one, since the dup callbacks. So the child finds what it would have found, had the thread been faster before the fork.
//!
//! Locking: a leaf; nothing is called with it held. It is the standard library's, as it is taken by threads that are queued to sleep in `parking_lot_core`, which must not
//! use that meanwhile.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::interrupt::Wake;

/// Interval at which waits look whether the process is gone.
const LOOK: Duration = Duration::from_millis(100);

/// The threads of a process that are in the kernel above, and the one that forks.
#[derive(Default)]
pub(super) struct Hold {
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
    /// Its requests and faults in progress: a request's access to device memory is a fault.
    depth: u32,
    /// It sleeps where it can be held: what wakes it.
    resting: Option<Wake>,
}

impl State {
    /// Is another thread than `tid` forking?
    fn held(&self, tid: i32) -> bool {
        self.forker.is_some_and(|forker| forker != tid)
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "forking: {:?}", self.lock().forker)
    }
}

impl Hold {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.moved.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0
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

    /// Waits until no other thread than `tid`, which forks, is inside but at rest. `interrupt` ends what can be ended of the others' work.
    /// `slow` is called, once, with the threads that have been inside for so long, if it must wait for them.
    pub fn quiesce(&self, tid: i32, interrupt: impl Fn(), (patience, slow): (Duration, impl FnOnce(&[i32]))) {
        let mut slow = Some(slow);
        let resting: Vec<Wake> = {
            let state = self.lock();
            state.inside.values().filter_map(|inside| inside.resting.clone()).collect()
        };
        resting.iter().for_each(|wake| wake());
        while !self.is_gone() {
            interrupt();
            let state = self.lock();
            let others = state.inside.iter().filter(|(other, i)| **other != tid && i.resting.is_none());
            let others: Vec<(i32, Instant)> = others.map(|(other, i)| (*other, i.since)).collect();
            if others.is_empty() {
                return;
            }
            let late: Vec<i32> = others
                .iter()
                .filter(|(_, since)| since.elapsed() > patience)
                .map(|(other, _)| *other)
                .collect();
            if !late.is_empty()
                && let Some(slow) = slow.take()
            {
                drop(state);
                slow(&late);
                continue;
            }
            drop(self.wait(state));
        }
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

    /// Is this the thread that forks?
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
        let hold = Arc::new(Hold::default());
        let steps = Arc::new(AtomicU32::new(0));
        let thread = |f: Box<dyn FnOnce(&Hold) + Send>| {
            let (hold, steps) = (hold.clone(), steps.clone());
            std::thread::spawn(move || {
                f(&hold);
                steps.fetch_add(1, Ordering::SeqCst);
            })
        };
        assert!(!hold.enter(2, false));
        assert!(!hold.enter(1, true));
        // A request that comes waits; a fault of one that is being served does not, and the fork waits for both.
        let comes = thread(Box::new(|hold| assert!(hold.enter(3, false))));
        assert!(!hold.enter(2, false));
        let forks = thread(Box::new(|hold| hold.quiesce(1, || {}, (Duration::MAX, |_: &[i32]| {}))));
        assert!(!soon(|| steps.load(Ordering::SeqCst) > 0));
        hold.leave(2);
        hold.leave(2);
        forks.join().unwrap();
        assert!(!soon(|| steps.load(Ordering::SeqCst) > 1));
        hold.leave(1);
        hold.release();
        comes.join().unwrap();
    }

    #[test]
    fn who_sleeps_is_woken_and_held_in_place() {
        let hold = Arc::new(Hold::default());
        let woken = Arc::new(AtomicU32::new(0));
        let wake = woken.clone();
        hold.enter(2, false);
        hold.rest(2, Arc::new(move || _ = wake.fetch_add(1, Ordering::SeqCst)));
        hold.enter(1, true);
        hold.quiesce(1, || {}, (Duration::MAX, |_: &[i32]| {}));
        assert_eq!(woken.load(Ordering::SeqCst), 1);
        let sleeper = hold.clone();
        let sleeper = std::thread::spawn(move || sleeper.go_on(2));
        assert!(!soon(|| sleeper.is_finished()));
        hold.release();
        sleeper.join().unwrap();
        assert!(!hold.enter(3, true) && hold.is_forker(3));
    }

    #[test]
    fn a_fork_that_waits_for_long_says_for_whom() {
        let hold = Hold::default();
        hold.enter(2, false);
        hold.enter(1, true);
        let named = Mutex::new(Vec::<i32>::new());
        hold.quiesce(
            1,
            || {},
            (Duration::from_millis(10), |threads: &[i32]| {
                named.lock().unwrap().extend(threads);
                hold.end();
            }),
        );
        assert_eq!(*named.lock().unwrap(), [2]);
    }
}
