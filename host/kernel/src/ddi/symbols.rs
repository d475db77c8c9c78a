//! Which groups of functions there are, and their other names.

use std::sync::Once;

use super::Group;
use crate::board::report;
use crate::kern::{keepers, stack, symbols};
use crate::pci::interrupts;

/// All groups.
fn groups() -> Vec<Group> {
    let mut groups = vec![
        super::arenas::SYMBOLS,
        super::avl::SYMBOLS,
        super::bufs::SYMBOLS,
        super::compiler::ALL,
        super::data::SYMBOLS,
        super::devmap::SYMBOLS,
        super::dma::SYMBOLS,
        super::hats::SYMBOLS,
        super::interrupts::SYMBOLS,
        super::kstats::SYMBOLS,
        super::leaves::SYMBOLS,
        super::lists::SYMBOLS,
        super::pages::SYMBOLS,
        super::pinned::SYMBOLS,
        super::ndi::SYMBOLS,
        super::poll::SYMBOLS,
        super::ports::SYMBOLS,
        super::power::SYMBOLS,
        super::memory::SYMBOLS,
        super::odds::SYMBOLS,
        super::messages::SYMBOLS,
        super::messages::VARIADIC,
        super::misc::SYMBOLS,
        super::modules::SYMBOLS,
        super::nodes::SYMBOLS,
        super::pci::SYMBOLS,
        super::props::SYMBOLS,
        super::segments::SYMBOLS,
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
    groups.extend_from_slice(super::registers::ALL);
    groups
}

/// Other names of the same functions: of older kernels, and of variants that make no difference here.
const ALIASES: &[(&str, &str)] = &[
    ("cv_wait_sig_swap", "cv_wait_sig"),
    ("ddi_getb", "ddi_get8"),
    ("ddi_getl", "ddi_get32"),
    ("ddi_getll", "ddi_get64"),
    ("ddi_getw", "ddi_get16"),
    ("ddi_io_get16", "ddi_get16"),
    ("ddi_io_get32", "ddi_get32"),
    ("ddi_io_get8", "ddi_get8"),
    ("ddi_io_getb", "ddi_get8"),
    ("ddi_io_getl", "ddi_get32"),
    ("ddi_io_getw", "ddi_get16"),
    ("ddi_io_put16", "ddi_put16"),
    ("ddi_io_put32", "ddi_put32"),
    ("ddi_io_put8", "ddi_put8"),
    ("ddi_io_putb", "ddi_put8"),
    ("ddi_io_putl", "ddi_put32"),
    ("ddi_io_putw", "ddi_put16"),
    ("ddi_mem_get16", "ddi_get16"),
    ("ddi_mem_get32", "ddi_get32"),
    ("ddi_mem_get64", "ddi_get64"),
    ("ddi_mem_get8", "ddi_get8"),
    ("ddi_mem_getb", "ddi_get8"),
    ("ddi_mem_getl", "ddi_get32"),
    ("ddi_mem_getll", "ddi_get64"),
    ("ddi_mem_getw", "ddi_get16"),
    ("ddi_mem_put16", "ddi_put16"),
    ("ddi_mem_put32", "ddi_put32"),
    ("ddi_mem_put64", "ddi_put64"),
    ("ddi_mem_put8", "ddi_put8"),
    ("ddi_mem_putb", "ddi_put8"),
    ("ddi_mem_putl", "ddi_put32"),
    ("ddi_mem_putll", "ddi_put64"),
    ("ddi_mem_putw", "ddi_put16"),
    ("ddi_mem_rep_get16", "ddi_rep_get16"),
    ("ddi_mem_rep_get32", "ddi_rep_get32"),
    ("ddi_mem_rep_get64", "ddi_rep_get64"),
    ("ddi_mem_rep_get8", "ddi_rep_get8"),
    ("ddi_mem_rep_put16", "ddi_rep_put16"),
    ("ddi_mem_rep_put32", "ddi_rep_put32"),
    ("ddi_mem_rep_put64", "ddi_rep_put64"),
    ("ddi_mem_rep_put8", "ddi_rep_put8"),
    ("ddi_peekc", "ddi_peek8"),
    ("ddi_peekd", "ddi_peek64"),
    ("ddi_peekl", "ddi_peek32"),
    ("ddi_peeks", "ddi_peek16"),
    ("ddi_pokec", "ddi_poke8"),
    ("ddi_poked", "ddi_poke64"),
    ("ddi_pokel", "ddi_poke32"),
    ("ddi_pokes", "ddi_poke16"),
    ("ddi_putb", "ddi_put8"),
    ("ddi_putl", "ddi_put32"),
    ("ddi_putll", "ddi_put64"),
    ("ddi_putw", "ddi_put16"),
    ("ddi_rep_getb", "ddi_rep_get8"),
    ("ddi_rep_getl", "ddi_rep_get32"),
    ("ddi_rep_getll", "ddi_rep_get64"),
    ("ddi_rep_getw", "ddi_rep_get16"),
    ("ddi_rep_putb", "ddi_rep_put8"),
    ("ddi_rep_putl", "ddi_rep_put32"),
    ("ddi_rep_putll", "ddi_rep_put64"),
    ("ddi_rep_putw", "ddi_rep_put16"),
    ("membar_sync", "membar_enter"),
];

/// Adds all of them to the symbol table.
pub fn add() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        super::data::init();
        report::stacks_by(stack::report);
        keepers::add(&interrupts::Allocated);
        keepers::add(&super::softstate::Items);
        keepers::add(&super::power::Levels);
        symbols::add(groups(), ALIASES);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_symbol_is_declared() {
        let declared = include_str!("../../../../ddi-sys/src/bindings.rs");
        let compilers = super::super::compiler::ALL.iter().copied().flatten().map(|symbol| symbol.name);
        let compilers: Vec<&str> = compilers.collect();
        for symbol in groups().into_iter().flatten().copied().flatten() {
            let (function, data) =
                (format!("pub fn {}(", symbol.name), format!("pub static mut {}:", symbol.name));
            let known = declared.contains(&function)
                || declared.contains(&data)
                || declared.contains(&data.replace(" mut", ""));
            assert!(known || compilers.contains(&symbol.name), "{} is not declared in ddi-sys", symbol.name);
        }
    }

    #[test]
    fn names_are_unique_and_addresses_real() {
        add();
        let mut seen = std::collections::HashSet::new();
        for symbol in groups().into_iter().flatten().copied().flatten() {
            assert!(seen.insert(symbol.name), "{} is defined twice", symbol.name);
            assert!(!symbol.address.0.is_null());
        }
        for (name, of) in ALIASES {
            let found = (symbols::find(name), symbols::find(of));
            assert!(
                matches!(found, (Some(a), Some(b)) if std::ptr::eq(a.address.0, b.address.0)),
                "{name} is {of}"
            );
        }
        assert!(
            symbols::find("cmn_err").is_some_and(|s| s.size == 0)
                && symbols::find("no_such_function").is_none()
        );
    }
}
