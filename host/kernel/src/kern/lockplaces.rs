//! What is known of a driver's locks by their addresses: their names, and where they were made, entered and destroyed.
//!
//! Where locks are made is remembered of modules always, of a driver that is linked in in check mode only, as unwinding its stack takes time; the other places in
//! check mode only. Locking: leaf mutexes.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::heap;
use super::trace::Trace;

/// Values by the addresses of locks. The oldest are not kept for ever: a table that is full is emptied.
struct Table<T>([Mutex<BTreeMap<usize, T>>; 16]);

impl<T: Clone> Table<T> {
    /// Locks that are remembered in one of the parts.
    const MOST: usize = 4096;

    const fn new() -> Self {
        Table([const { Mutex::new(BTreeMap::new()) }; 16])
    }

    fn part(&self, address: usize) -> &Mutex<BTreeMap<usize, T>> {
        &self.0[(address >> 3) % 16]
    }

    fn set(&self, address: usize, value: T) {
        let mut part = self.part(address).lock();
        if part.len() == Self::MOST {
            part.clear();
        }
        part.insert(address, value);
    }

    fn get(&self, address: usize) -> Option<T> {
        self.part(address).lock().get(&address).cloned()
    }

    fn forget(&self, address: usize) {
        self.part(address).lock().remove(&address);
    }
}

/// Where something happened to locks; kept in check mode.
pub struct Places(Table<Trace>);

impl Places {
    /// The calling thread does it, now.
    pub fn set(&self, address: usize) {
        if heap::checking() {
            self.0.set(address, Trace::here());
        }
    }

    /// Where it happened to this lock.
    pub fn get(&self, address: usize) -> Option<Trace> {
        self.0.get(address)
    }

    /// It is so no more.
    pub fn forget(&self, address: usize) {
        if heap::checking() {
            self.0.forget(address);
        }
    }
}

/// Where the mutexes that are held were entered.
pub static ENTERED: Places = Places(Table::new());
/// Where mutexes were destroyed.
pub static DESTROYED: Places = Places(Table::new());
/// What locks were named when they were made, and where that was.
static MADE: Table<(String, Trace)> = Table::new();

/// The calling driver makes a lock. `name` is what it says, mostly nothing.
pub fn made(address: usize, name: String) {
    let place = if heap::checking() { Trace::here() } else { Trace::of_module() };
    if !name.is_empty() || place != Trace::default() {
        MADE.set(address, (name, place));
    }
}

/// A lock is destroyed.
pub fn gone(address: usize) {
    MADE.forget(address);
}

/// The name of a lock: the variable's if it is one of a module's, else its address, with the name that it was given and where it was made.
pub fn name(address: usize) -> String {
    if let Some(variable) = ddi_krtld::variable(address) {
        return variable;
    }
    let (given, place) = MADE.get(address).unwrap_or_default();
    let given = if given.is_empty() { String::new() } else { format!("{given} ") };
    let made = place.frames().first().map_or(String::new(), |frame| format!(" (made at {frame})"));
    format!("{given}at {address:#x}{made}")
}
