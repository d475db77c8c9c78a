//! Functions that a module needs and nobody has, when it is to be loaded all the same: their calls end the run.
//!
//! Each name gets a stub of its own, so that function pointers work, too. A variable cannot be left out: reading it would go on with garbage.
//!
//! Locking: one leaf mutex round the list of names.

use std::io;

use parking_lot::Mutex;

use object::elf::STT_FUNC;

use crate::elf::{Object, Rela};
use crate::error::Why;
use crate::stubs;

/// The names that have a stub, by its number.
static NAMES: Mutex<Vec<Stub>> = Mutex::new(Vec::new());

/// What is called.
type Instead = fn(&str, Why) -> !;

#[derive(Clone)]
struct Stub {
    name: String,
    why: Why,
    instead: Instead,
    /// Below 2 GiB.
    address: usize,
}

/// The address below 2 GiB that stands for a function which nobody has.
///
/// # Errors
/// No memory below 2 GiB, or all stubs are used up.
pub fn function(name: &str, why: Why, instead: Instead) -> io::Result<usize> {
    let mut names = NAMES.lock();
    if let Some(known) = names.iter().find(|known| known.name == name) {
        return Ok(known.address);
    }
    let number = u32::try_from(names.len()).map_err(io::Error::other)?;
    let address = stubs::numbered(called as *const () as usize, number)?;
    names.push(Stub { name: name.to_owned(), why, instead, address });
    Ok(address)
}

/// What the stubs call.
extern "C-unwind" fn called(number: u32) {
    let Stub { name, why, instead, .. } = NAMES.lock()[number as usize].clone();
    instead(&name, why)
}

/// Does the module use the undefined symbol of this number as a function: is it called, or only named in tables?
pub fn is_function(object: &Object, number: usize) -> bool {
    let uses = || object.relocations.iter().filter(|rela| rela.symbol == number);
    let calls = |rela: &Rela| {
        let section = &object.sections[rela.target];
        let before = usize::try_from(rela.offset).ok().and_then(|offset| offset.checked_sub(1));
        let opcode = before.and_then(|at| object.contents(section).get(at).copied());
        rela.kind == 4 || section.executable() && rela.kind == 2 && matches!(opcode, Some(0xe8 | 0xe9))
    };
    let in_table = |rela: &Rela| rela.kind == 1 && !object.sections[rela.target].executable();
    let typed = object.symbols.get(number).is_some_and(|symbol| symbol.kind == STT_FUNC);
    typed || uses().any(calls) || uses().all(in_table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_stub_however_often_a_module_needs_it() {
        let instead: Instead = |name, _| panic!("{name}");
        let first = function("missing-test", Why::Unknown, instead).unwrap();
        assert_eq!(function("missing-test", Why::Unknown, instead).unwrap(), first);
        assert_ne!(function("missing-test-2", Why::Unknown, instead).unwrap(), first);
    }
}
