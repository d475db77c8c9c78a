//! Callers of driver code that may outlive a driver: timeouts, periodic callbacks, task queues, threads, soft interrupts, event handlers. All of them must have ended
//! when the driver is unloaded.
//!
//! The owner of each keeps a [`Left`], which removes itself from the list when it is dropped. Locking: one mutex, a leaf.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::trace::Trace;
use crate::board::report::{self, Earlier};

/// Kind of caller; each has the manual page that says how to end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// timeout(9F).
    Timeout,
    /// ddi_periodic_add(9F).
    Periodic,
    /// ddi_taskq_create(9F), taskq_create(9F).
    TaskQueue,
    /// thread_create.
    Thread,
    /// ddi_intr_add_softint(9F), ddi_add_softintr(9F).
    SoftInterrupt,
    /// ddi_add_event_handler(9F).
    EventHandler,
}

impl Kind {
    fn text(self) -> (&'static str, &'static str) {
        match self {
            Kind::Timeout => ("a timeout is still pending", "untimeout(9F)"),
            Kind::Periodic => ("a periodic callback was not deleted", "ddi_periodic_delete(9F)"),
            Kind::TaskQueue => ("a task queue was not destroyed", "ddi_taskq_destroy(9F)"),
            Kind::Thread => ("a thread of the driver's still runs", "ddi_get_kt_did(9F)"),
            Kind::SoftInterrupt => ("a soft interrupt was not removed", "ddi_intr_remove_softint(9F)"),
            Kind::EventHandler => ("an event handler was not removed", "ddi_remove_event_handler(9F)"),
        }
    }
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    /// The driver's function that is called, or the place that asked for it.
    code: usize,
    made: Trace,
}

/// State of this file.
struct State {
    last: AtomicU64,
    all: Mutex<BTreeMap<u64, Entry>>,
}

static STATE: State = State { last: AtomicU64::new(0), all: Mutex::new(BTreeMap::new()) };
/// Something that is there until this is dropped.
#[derive(Debug)]
pub struct Left(u64);

impl Left {
    /// The calling driver has made one. `function` is its function that will be called, or 0.
    pub fn new(kind: Kind, function: usize) -> Left {
        let made = Trace::here();
        let code = if function == 0 { made.first() } else { function };
        let number = STATE.last.fetch_add(1, Ordering::Relaxed);
        STATE.all.lock().insert(number, Entry { kind, code, made });
        Left(number)
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        STATE.all.lock().remove(&self.0);
    }
}

impl Entry {
    /// Returns a description, with the name of the driver's function.
    fn text(&self) -> String {
        let mut what = self.kind.text().0.to_owned();
        if let Some(name) = ddi_krtld::symbolize(self.code) {
            what.push_str(&format!(": {}", name.trim_end_matches("+0x0")));
        }
        what
    }
}

/// Reports what is left of the driver whose code `belongs` knows, when it is unloaded.
pub fn report(belongs: impl Fn(usize) -> bool) {
    let mut all = STATE.all.lock();
    let numbers: Vec<u64> = all.iter().filter(|(_, e)| belongs(e.code)).map(|(number, _)| *number).collect();
    let left: Vec<Entry> = numbers.iter().filter_map(|number| all.remove(number)).collect();
    drop(all);
    for entry in left {
        let made = [Earlier::new("made", entry.made.frames())];
        report::leftover_after("_fini", &entry.text(), entry.kind.text().1, &made);
    }
}

/// Returns the callers that are left, and where each was made: reasons for a driver to refuse to be unloaded.
pub fn pending() -> Vec<Earlier> {
    STATE.all.lock().values().map(|entry| Earlier::new(&entry.text(), entry.made.frames())).collect()
}
