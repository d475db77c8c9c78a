//! The symbol table: every function and data symbol that the kernel has for drivers, by its C name.
//!
//! Module files are linked against it. Drivers that are linked in find the same definitions through the system linker. Whoever defines a group of
//! functions adds it when the machine starts.
//!
//! Locking: one lock, a leaf.

use parking_lot::RwLock;
use rustc_hash::FxHashMap as HashMap;

/// One entry of the symbol table.
#[derive(Clone, Copy, Debug)]
pub struct Symbol {
    /// The C name.
    pub name: &'static str,
    /// The address.
    pub address: Address,
    /// Bytes of a data symbol; 0 for a function.
    pub size: usize,
}

impl Symbol {
    /// Returns the entry of a function.
    pub const fn function(name: &'static str, address: *const ()) -> Self {
        Symbol { name, address: Address(address), size: 0 }
    }
}

/// The symbols of a group of functions: those of each function, which may have several names.
pub type Group = &'static [&'static [Symbol]];

/// An address that a static can hold.
#[derive(Clone, Copy, Debug)]
pub struct Address(pub *const ());

// SAFETY: only an address; nothing is read through it here.
unsafe impl Sync for Address {}
// SAFETY: as above.
unsafe impl Send for Address {}

static TABLE: RwLock<Option<HashMap<&'static str, &'static Symbol>>> = RwLock::new(None);

/// Adds groups of symbols, and other names of symbols: (name, of). What is there already stays.
pub fn add(groups: impl IntoIterator<Item = Group>, aliases: &[(&'static str, &str)]) {
    let mut table = TABLE.write();
    let table = table.get_or_insert_default();
    for symbol in groups.into_iter().flatten().copied().flatten() {
        table.entry(symbol.name).or_insert(symbol);
    }
    for &(name, of) in aliases {
        if let Some(&real) = table.get(of) {
            table.entry(name).or_insert_with(|| &*Box::leak(Box::new(Symbol { name, ..*real })));
        }
    }
}

/// The symbol of this name.
pub fn find(name: &str) -> Option<&'static Symbol> {
    TABLE.read().as_ref()?.get(name).copied()
}

/// Returns whether `address` is the symbol `name`, directly or as a loaded module sees it.
pub fn is(address: usize, name: &str) -> bool {
    find(name).is_some_and(|symbol| {
        let real =
            if symbol.size > 0 { ddi_krtld::real_data(address) } else { ddi_krtld::real_function(address) };
        symbol.address.0 as usize == real
    })
}
