//! Names of a driver's locks, and where they were initialised, entered and destroyed, by address.
//!
//! The place of initialisation is always recorded for modules, and in check mode for a linked-in driver, because unwinding its stack takes time; the other places in
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

/// Places of one kind of event, by lock; recorded in check mode.
pub struct Places(Table<Trace>);

impl Places {
    /// The calling thread does it, now.
    pub fn set(&self, address: usize) {
        if heap::checking() {
            self.0.set(address, Trace::here());
        }
    }

    /// Returns the place of the event for this lock.
    pub fn get(&self, address: usize) -> Option<Trace> {
        self.0.get(address)
    }

    /// Removes the entry.
    pub fn forget(&self, address: usize) {
        if heap::checking() {
            self.0.forget(address);
        }
    }
}

/// Places where the mutexes that are held were entered.
pub static ENTERED: Places = Places(Table::new());
/// Places where mutexes were destroyed.
pub static DESTROYED: Places = Places(Table::new());
/// Names of locks, and the places of their initialisation.
static MADE: Table<(String, Trace)> = Table::new();

/// Notes a lock that the calling driver initialises. `name` is the driver's, and mostly empty.
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
