//! What ends a wait early: a signal for the client's thread, its end, or, while it waits for a fault, a fork of its process.
//!
//! A thread that waits for a request tells of its signals itself, over its connection ([`Call`]). One that waits for a fault that userfaultfd
//! reported cannot: Linux takes it out of the fault to run the signal's handler, without a word to the host. It is found out by its
//! next fault, when the handler has returned, or by a look at where it is now and then while a driver waits on its behalf.
//!
//! Locking: a fault's own state is a leaf, and not held while `wake` or the kernel above runs.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Once};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::access::Fault;
use super::gate::{Begun, Wake};
use super::proc::{self, Place};
use super::{Call, Process, Prot};
use crate::physmem::PAGE_SIZE;

/// Interval at which client threads blocked in a driver are polled. Linux has no event for a thread that leaves a fault to take a signal. What rests on it is how soon
/// a wait ends, not that it ends: the thread's next fault, when the signal's handler has returned, ends it, too.
const LOOK: Duration = Duration::from_millis(20);

/// A fault that is being served.
pub(super) struct Served {
    process: Arc<Process>,
    pub(super) tid: i32,
    pub(super) page: u64,
    pub(super) access: Prot,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    interrupted: bool,
    wake: Option<Wake>,
    /// The thread's place when the driver's wait began.
    place: Option<Place>,
    /// Looks in a row that have found it elsewhere.
    away: u32,
}

impl Served {
    /// The thread is to come back: waits on its behalf end, and no others begin.
    pub(super) fn interrupt(&self) {
        let wake = {
            let mut state = self.state.lock();
            state.interrupted = true;
            state.wake.clone()
        };
        if let Some(wake) = wake {
            wake();
        }
    }

    /// Returns the fault, interrupted: a wait on its behalf ends at once.
    pub(super) fn interrupted(mut self) -> Served {
        self.state.get_mut().interrupted = true;
        self
    }

    fn is_interrupted(&self) -> bool {
        self.state.lock().interrupted || self.process.is_gone()
    }

    /// Returns whether the thread has gone elsewhere than into the fault. Asked twice, because a stopped thread that goes on is elsewhere for a moment.
    fn away(&self) -> bool {
        let thread = self.process.thread(self.tid);
        let now = thread.place();
        let place = {
            let mut state = self.state.lock();
            // On its way into the fault.
            if state.place.is_none_or(|place| place == Place::Running) {
                state.place = Some(now);
            }
            state.place
        };
        let here = place == Some(now) || self.process.is_gone() || thread.is_stopped();
        let mut state = self.state.lock();
        state.away = if here { 0 } else { state.away + 1 };
        state.away >= 2
    }
}

thread_local! {
    /// The faults that the calling thread serves, innermost last.
    static CURRENT: RefCell<Vec<Arc<Served>>> = const { RefCell::new(Vec::new()) };
}

/// While it lives, the calling thread serves a fault.
pub(super) struct Service {
    served: Arc<Served>,
    /// Other threads' forks wait for it.
    inside: Cell<bool>,
}

impl Service {
    /// Begins to serve a fault, when no other thread forks. `None`: the thread has come back, by way of a signal's handler or because it
    /// was stopped, to a fault that is being served already.
    pub fn begin(fault: &Fault) -> Option<Service> {
        let process = &fault.process;
        let new = || Served {
            process: process.clone(),
            tid: fault.tid,
            page: fault.addr / PAGE_SIZE,
            access: fault.access,
            state: Mutex::default(),
        };
        let caught_by_us = process.uffd().is_some() && fault.tid != 0;
        let served = match process.gate.enter_fault(new(), caught_by_us) {
            Begun::New(served) => served,
            Begun::Back { before, same, nudged } => {
                if !same || !nudged && catches_signals(process.pid()) {
                    before.interrupt();
                }
                if same {
                    return None;
                }
                let Begun::New(served) = process.gate.enter_fault(new(), false) else { return None };
                served
            }
        };
        CURRENT.with_borrow_mut(|c| c.push(served.clone()));
        Some(Service { served, inside: Cell::new(true) })
    }

    /// It has been served: the thread that waits for it may be told, and is outside by then: its next fault is not a part of this one. True: it has left the
    /// fault and waits for it again.
    pub fn end(&self) -> bool {
        self.inside.take() && self.served.process.gate.leave_fault(&self.served)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end();
        // Services of a thread end in the reverse order.
        CURRENT.with_borrow_mut(Vec::pop);
    }
}

/// Waits on behalf of the process's faults end.
pub(super) fn interrupt_all(process: &Process) {
    process.gate.faults().iter().for_each(|fault| fault.interrupt());
}

/// Runs `f`, a wait of the calling thread on behalf of a client's thread, if it works for one. When that thread gets a signal or is gone, `wake` is called, from
/// another thread (it may still be called once when this has returned). `f` gets what tells whether that has happened. No upcall may be made meanwhile.
pub fn interruptibly<R>(wake: &Wake, f: impl FnOnce(&dyn Fn() -> bool) -> R) -> R {
    let served = CURRENT.with_borrow(|c| c.last().cloned());
    let _watch = served.as_ref().map(|served| Watch::begin(served, wake));
    let by_fault = || served.as_ref().is_some_and(|s| s.is_interrupted());
    Call::with_current(|call| match call {
        Some(call) => {
            let _guard = call.on_interrupt(wake.clone());
            f(&|| call.interrupted() || by_fault())
        }
        None => f(&by_fault),
    })
}

/// A client's thread whose request can be held while it sleeps in the kernel above.
#[derive(Clone)]
pub struct Sleeper {
    process: Arc<Process>,
    tid: i32,
}

impl Sleeper {
    /// The thread whose request the calling thread serves. `None` outside of requests, and in a fault: illumos does not hold a thread there.
    pub fn current() -> Option<Sleeper> {
        if CURRENT.with_borrow(|c| !c.is_empty()) {
            return None;
        }
        Call::with_current(|call| {
            call.map(|call| Sleeper { process: call.process().clone(), tid: call.tid() })
        })
    }

    /// It sleeps: another thread may fork meanwhile, and calls `wake` then. No lock that the fork needs may be held.
    pub fn rest(&self, wake: Wake) {
        self.process.gate.rest(self.tid, wake);
    }

    /// It sleeps no more: if it was at rest, waits until no other thread forks. No lock that the fork needs may be held.
    pub fn go_on(&self) {
        self.process.gate.go_on(self.tid);
    }
}

/// While it lives, an interrupt of the fault calls `wake`.
struct Watch<'a>(&'a Arc<Served>);

static LOOKED_AT: Mutex<Vec<Arc<Served>>> = Mutex::new(Vec::new());
static SOMEBODY: Condvar = Condvar::new();

impl Watch<'_> {
    fn begin<'a>(served: &'a Arc<Served>, wake: &Wake) -> Watch<'a> {
        let by_looking = served.process.uffd().is_some() && served.tid != 0;
        let place = by_looking.then(|| served.process.thread(served.tid).place());
        let interrupted = {
            let mut state = served.state.lock();
            (state.wake, state.place, state.away) = (Some(wake.clone()), place, 0);
            state.interrupted
        };
        if interrupted {
            wake();
        } else if by_looking {
            static LOOKER: Once = Once::new();
            LOOKER.call_once(|| {
                // Without the thread, waits end when the signal's handler has returned.
                let _ = std::thread::Builder::new().name("ddi-look".into()).spawn(look);
            });
            LOOKED_AT.lock().push(served.clone());
            SOMEBODY.notify_one();
        }
        Watch(served)
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        LOOKED_AT.lock().retain(|s| !Arc::ptr_eq(s, self.0));
        self.0.state.lock().wake = None;
    }
}

/// Looks after the threads on whose behalf drivers wait.
fn look() {
    loop {
        let faults = {
            let mut all = LOOKED_AT.lock();
            while all.is_empty() {
                SOMEBODY.wait(&mut all);
            }
            all.clone()
        };
        // Many are looked at less often.
        std::thread::sleep(LOOK.max(Duration::from_millis(faults.len() as u64)));
        faults.iter().filter(|fault| fault.away()).for_each(|fault| fault.interrupt());
    }
}

/// Returns whether the program catches any signal. If not, a thread leaves a fault only because it was stopped for a while, which ends no wait.
fn catches_signals(pid: i32) -> bool {
    /// The shim's own (SIGSEGV, SIGBUS) and the C library's.
    const OTHERS: u64 = 1 << (libc::SIGSEGV - 1) | 1 << (libc::SIGBUS - 1) | 1 << 31 | 1 << 32;
    proc::caught(pid) & !OTHERS != 0
}
