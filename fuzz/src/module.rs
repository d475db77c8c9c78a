//! Module files: the check and the loader agree; what is linked is what the file says, byte for byte; all else is refused, and said.

use std::collections::HashMap;

use ddi_krtld::check::{Options, check};
use ddi_krtld::elf::{Binding, Object, Rela, Symbol};
use ddi_krtld::error::Problem;
use ddi_krtld::kernel::{self, Export, Kernel, Linkage, Nowhere};
use ddi_krtld::link::{self, Linked};
use ddi_krtld::stubs;
use ddi_krtld::{Fired, Severity};
use object::elf::SHT_NOBITS;

/// Most bytes of an input.
pub const MOST: usize = 16 << 10;

/// A kernel that has what illumos has, and is never called.
struct Stub;

/// Stands for each function of the kernel.
extern "C" fn nothing() {}

/// Stands for each variable.
static VARIABLE: u64 = 0;

impl Kernel for Stub {
    fn lookup(&self, name: &str) -> Option<Export> {
        let variable = matches!(name, "hz" | "p0" | "kas" | "mod_driverops" | "mod_miscops");
        let (function, data) = (nothing as *const () as usize, &raw const VARIABLE as usize);
        kernel::illumos_has(name).then_some(match variable {
            true => Export::Data { address: data, size: size_of_val(&VARIABLE) },
            false => Export::Function(function),
        })
    }

    fn call(&self, what: &str, _: &mut dyn FnMut()) {
        panic!("{what} is called, and nothing may run");
    }

    fn linkage(&self, _: &str, _: usize) -> Result<Linkage, Nowhere> {
        Ok(Linkage::default())
    }

    fn probe(&self, name: &str, _: &dyn Fn(&str) -> bool) -> Option<Fired> {
        let wanted = name.len().is_multiple_of(2);
        wanted.then_some(Fired { call: |_, _| {}, token: 0 })
    }
}

/// # Panics
/// An assertion fails.
pub fn target(data: &[u8]) {
    let findings = check(data, &Options::default());
    assert!(findings.iter().all(|finding| !finding.message.is_empty()));
    let room: usize = findings.iter().map(|finding| finding.message.len()).sum();
    assert!(room <= 256 * data.len() + (64 << 10), "{room} bytes of findings about {} bytes", data.len());
    let refused = findings.iter().filter(|finding| finding.severity == Severity::Refused);
    let object = match Object::parse("fuzz", data.to_vec()) {
        Ok(object) => object,
        Err(error) => {
            let said = error.problems.iter().map(|problem| match problem {
                Problem::Finding(finding) => finding,
                other => panic!("{other}"),
            });
            assert!(said.eq(refused), "loader and check differ");
            return;
        }
    };
    assert_eq!(refused.count(), 0, "loader and check differ");
    let room: usize =
        object.symbols.iter().map(|s| 64 + s.name.len()).sum::<usize>() + object.relocations.len() * 40;
    assert!(room <= 16 * data.len() + (4 << 10), "{room} bytes for {} bytes", data.len());
    whole(&object);
    match link::link(&object, &[], &Stub) {
        Ok(linked) => same(&object, linked),
        Err(problems) => assert!(!problems.is_empty()),
    }
}

fn word<const N: usize>(data: &[u8], at: u64) -> [u8; N] {
    let at = usize::try_from(at).expect("inside the file");
    *data[at..].first_chunk().expect("inside the file")
}

/// Checks that no symbol or relocation of the file was left out, read without the loader's help.
fn whole(object: &Object) {
    let data = &object.data;
    let (offset, size, count) = (
        u64::from_le_bytes(word(data, 40)),
        u16::from_le_bytes(word(data, 58)),
        u16::from_le_bytes(word(data, 60)),
    );
    let header = |number: u16| offset + u64::from(number) * u64::from(size);
    let long = |number: u16, at: u64| u64::from_le_bytes(word(data, header(number) + at));
    let kind = |number: u16| u32::from_le_bytes(word(data, header(number) + 4));
    assert_eq!(object.sections.len(), usize::from(count));
    let table = (0..count).rfind(|number| kind(*number) == 2).expect("a symbol table");
    assert_eq!(object.symbols.len() as u64, long(table, 32) / 24);
    for (number, symbol) in (0..).zip(&object.symbols) {
        let at = long(table, 24) + 24 * number;
        let fields = (symbol.section, symbol.value, symbol.size);
        assert_eq!(u16::from_le_bytes(word(data, at + 6)), fields.0);
        assert_eq!(
            (u64::from_le_bytes(word(data, at + 8)), u64::from_le_bytes(word(data, at + 16))),
            (fields.1, fields.2)
        );
    }
    let mut all = object.relocations.iter();
    for number in (0..count).filter(|number| kind(*number) == 4) {
        let target = u32::from_le_bytes(word(data, header(number) + 44));
        if !object.sections[target as usize].alloc() {
            continue;
        }
        for entry in 0..long(number, 32) / 24 {
            let at = long(number, 24) + 24 * entry;
            let rela = all.next().expect("a relocation was left out");
            assert_eq!((rela.target, rela.offset), (target as usize, u64::from_le_bytes(word(data, at))));
            assert_eq!(rela.kind, u32::from_le_bytes(word(data, at + 8)));
            assert_eq!(rela.symbol, u32::from_le_bytes(word(data, at + 12)) as usize);
            assert_eq!(rela.addend, i64::from_le_bytes(word(data, at + 16)));
        }
    }
    assert!(all.next().is_none());
}

/// Checks the image of a linked module: what its sections hold, relocated by other means.
fn same(object: &Object, mut linked: Linked) {
    let memory = linked.image.memory();
    let mut places: HashMap<usize, (usize, Vec<u8>)> = HashMap::new();
    for (number, section) in object.sections.iter().enumerate() {
        let Some(address) = linked.image.section(number) else {
            assert!(!section.alloc());
            continue;
        };
        let size = usize::try_from(section.size).expect("a size");
        assert!(memory.start <= address && address + size <= memory.end && memory.end <= 1 << 31);
        assert!(address.is_multiple_of(section.align as usize));
        // What is all zero is not worth its pages.
        let bytes = match section.kind {
            SHT_NOBITS if size > 1 << 20 => continue,
            SHT_NOBITS => vec![0; size],
            _ => object.data[section.offset as usize..][..size].to_vec(),
        };
        places.insert(number, (address, bytes));
    }
    let mut disjoint: Vec<(usize, usize)> =
        places.values().map(|(at, bytes)| (*at, at + bytes.len())).collect();
    disjoint.retain(|(from, to)| from != to);
    disjoint.sort_unstable();
    assert!(disjoint.windows(2).all(|two| two[0].1 <= two[1].0), "two sections at one place");
    for rela in &object.relocations {
        let Some((address, bytes)) = places.get_mut(&rela.target) else { continue };
        let symbol = &object.symbols[rela.symbol];
        let value = value(object, &linked, rela, symbol);
        apply(rela, symbol, value, *address, bytes);
    }
    for (address, bytes) in places.values().filter(|(_, bytes)| !bytes.is_empty()) {
        assert_eq!(*linked.image.bytes_mut(*address, bytes.len()), **bytes, "another image than the file's");
    }
}

/// Returns the value of a relocation's symbol; `None` if it has none, and may be without.
fn value(object: &Object, linked: &Linked, rela: &Rela, symbol: &Symbol) -> Option<i64> {
    let value = linked.values[rela.symbol];
    if rela.symbol == 0 {
        assert_eq!(value, Some(0));
    } else if symbol.is_absolute() {
        assert_eq!(value, Some(symbol.value as i64));
    } else if symbol.is_defined() {
        let section = linked.image.section(symbol.section.into()).expect("the section is loaded");
        assert!(object.sections[usize::from(symbol.section)].alloc());
        assert_eq!(value, Some((section as i64).wrapping_add(symbol.value as i64)));
    } else if symbol.common() {
        let at = usize::try_from(value.expect("common symbols have a place")).expect("an address");
        let known = Stub.lookup(&symbol.name).is_some();
        assert!(known || linked.image.contains(at) || symbol.size == 0);
    } else {
        match Stub.lookup(&symbol.name) {
            Some(Export::Function(function)) => {
                assert_eq!(stubs::real_function(value.expect("it was found") as usize), function);
            }
            Some(Export::Data { address, .. }) => {
                assert_eq!(stubs::real_data(value.expect("it was found") as usize), address);
            }
            None => {
                let patched = symbol.name.starts_with("__dtrace_probe_") || symbol.name.starts_with("smap_");
                assert!(value.is_none() && (patched || symbol.binding == Binding::Weak), "{}", symbol.name);
            }
        }
    }
    value
}

/// Applies a relocation as the kernel's loader is known to.
fn apply(rela: &Rela, symbol: &Symbol, value: Option<i64>, base: usize, bytes: &mut [u8]) {
    let at = rela.offset as usize;
    let Some(value) = value else {
        if symbol.binding == Binding::Weak
            && !symbol.name.starts_with("__dtrace_probe_")
            && !symbol.name.starts_with("smap_")
        {
            return;
        }
        let name = symbol.name.strip_prefix("__dtrace_probe_");
        let called = name.map(|name| name.replace("__", "-")).filter(|name| name.len().is_multiple_of(2));
        let Some(_) = called.filter(|_| bytes[at - 1] == 0xe8) else {
            return bytes[at - 1..at + 4].fill(0x90);
        };
        let stub = ddi_krtld::probes::stub(Stub.probe("", &|_| false).expect("wanted")).expect("it was made");
        let distance = (stub as i64 - (base + at + 4) as i64) as i32;
        return bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes());
    };
    let absolute = value.wrapping_add(rela.addend);
    let relative = absolute.wrapping_sub((base + at) as i64);
    let (value, size, adds) = match rela.kind {
        0 => return,
        1 | 6 => (absolute, 8, true),
        8 => ((base as i64).wrapping_add(rela.addend), 8, true),
        24 => (relative, 8, true),
        2 | 4 => (relative, 4, true),
        10 | 11 => (absolute, 4, true),
        12 => (absolute, 2, false),
        13 => (relative, 2, false),
        14 => (absolute, 1, false),
        15 => (relative, 1, false),
        other => panic!("relocation type {other} was applied"),
    };
    let field = &mut bytes[at..at + size];
    let mut wide = [0; 8];
    if adds {
        wide[..size].copy_from_slice(field);
    }
    let sum = u64::from_le_bytes(wide).wrapping_add(value as u64);
    field.copy_from_slice(&sum.to_le_bytes()[..size]);
}
