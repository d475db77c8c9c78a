//! DDI functions that no mapping driver needs and some drivers call. They are reached through the symbol table alone: [`add`] puts them there.
//!
//! | module | what |
//! | --- | --- |
//! | [`ldi`] | the layered driver interface |
//! | [`nvpairs`], [`nvlist`] | name-value lists, and their packed forms |
//! | [`mblks`], [`streams`] | STREAMS message blocks and queues |
//! | [`hash`] | hash tables (`mod_hash`) |
//! | [`devids`] | device ids |
//! | [`pmem`] | devmap_pmem_alloc and its like |
//!
//! Uses `ddi-kernel`; nothing of the kernel uses it.

#[macro_use(callbacks, ddi, fields, variadic)]
extern crate ddi_kernel;

pub mod devids;
pub mod hash;
pub mod ldi;
pub mod mblks;
pub mod nvlist;
pub mod nvpairs;
pub mod pmem;
pub mod streams;

use ddi_kernel::ddi::Group;
use ddi_kernel::kern::symbols;

/// All groups.
const GROUPS: &[Group] = &[
    devids::SYMBOLS,
    hash::SYMBOLS,
    ldi::PROPERTIES,
    ldi::SYMBOLS,
    mblks::SYMBOLS,
    pmem::SYMBOLS,
    streams::QUEUES,
    streams::SYMBOLS,
];

/// Adds all of them to the symbol table, besides the kernel's own.
pub fn add() {
    ddi_kernel::ddi::symbols::add();
    symbols::add(GROUPS.iter().chain(nvpairs::ALL).copied(), &[]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_symbol_is_declared() {
        let declared = include_str!("../../../ddi-sys/src/bindings.rs");
        for symbol in GROUPS.iter().chain(nvpairs::ALL).copied().flatten().copied().flatten() {
            let (function, data) =
                (format!("pub fn {}(", symbol.name), format!("pub static mut {}:", symbol.name));
            assert!(
                declared.contains(&function) || declared.contains(&data),
                "{} is not declared in ddi-sys",
                symbol.name
            );
        }
    }
}
