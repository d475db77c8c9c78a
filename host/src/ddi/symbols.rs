//! The symbol table: every function and data symbol of the DDI that the host has, by its C name.
//!
//! Module files are linked against it. Drivers linked in find the same definitions through the system linker.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Symbol;

/// All groups.
fn groups() -> Vec<&'static [Symbol]> {
    let mut groups = vec![
        super::arenas::SYMBOLS,
        super::avl::SYMBOLS,
        super::bufs::SYMBOLS,
        super::data::SYMBOLS,
        super::devmap::SYMBOLS,
        super::dma::SYMBOLS,
        super::interrupts::SYMBOLS,
        super::kstats::SYMBOLS,
        super::ldi::SYMBOLS,
        super::lists::SYMBOLS,
        super::pages::SYMBOLS,
        super::pinned::SYMBOLS,
        super::ndi::SYMBOLS,
        super::poll::SYMBOLS,
        super::power::SYMBOLS,
        super::memory::SYMBOLS,
        super::messages::SYMBOLS,
        super::messages::VARIADIC,
        super::misc::SYMBOLS,
        super::modules::SYMBOLS,
        super::nodes::SYMBOLS,
        super::pci::SYMBOLS,
        super::props::SYMBOLS,
        super::softints::SYMBOLS,
        super::softstate::SYMBOLS,
        super::spaces::SYMBOLS,
        super::strings::SYMBOLS,
        super::sync::SYMBOLS,
        super::time::SYMBOLS,
        super::user::SYMBOLS,
        super::vnodes::SYMBOLS,
    ];
    groups.extend_from_slice(super::atomic::ALL);
    groups.extend_from_slice(super::compiler::ALL);
    groups.extend_from_slice(super::registers::ALL);
    groups
}

static TABLE: LazyLock<HashMap<&'static str, &'static Symbol>> = LazyLock::new(|| {
    super::data::init();
    groups().into_iter().flatten().map(|symbol| (symbol.name, symbol)).collect()
});

/// The symbol of this name.
pub fn find(name: &str) -> Option<&'static Symbol> {
    TABLE.get(name).copied()
}

/// All of them, in no order.
pub fn all() -> impl Iterator<Item = &'static Symbol> {
    TABLE.values().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_addresses_real() {
        let mut seen = std::collections::HashSet::new();
        for symbol in groups().into_iter().flatten() {
            assert!(seen.insert(symbol.name), "{} is defined twice", symbol.name);
            assert!(!symbol.address.0.is_null());
        }
        assert!(find("cmn_err").is_some_and(|s| s.size == 0) && find("no_such_function").is_none());
    }
}
