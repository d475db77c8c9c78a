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

#[macro_use(ddi, fields, variadic)]
extern crate ddi_kernel;

pub mod devids;
pub mod hash;
pub mod ldi;
pub mod mblks;
pub mod nvlist;
pub mod nvpairs;
pub mod pmem;
pub mod streams;

use ddi_kernel::kern::symbols;

/// Adds all of them to the symbol table, besides the kernel's own.
pub fn add() {
    ddi_kernel::ddi::symbols::add();
    let groups = [
        devids::SYMBOLS,
        hash::SYMBOLS,
        ldi::PROPERTIES,
        ldi::SYMBOLS,
        mblks::SYMBOLS,
        pmem::SYMBOLS,
        streams::QUEUES,
        streams::SYMBOLS,
    ];
    symbols::add(groups.iter().chain(nvpairs::ALL).copied().flatten(), &[]);
}
