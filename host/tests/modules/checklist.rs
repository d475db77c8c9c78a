//! What krtld refuses about files, sections and relocations, and what it accepts and gets wrong.

use ddi_krtld::Problem;
use tempfile::tempdir;

use crate::elf::*;
use crate::kernel::Few;

/// Loads the object and returns what is said about it; None when it loads.
fn verdict(bytes: Vec<u8>) -> Option<String> {
    let dir = tempdir().unwrap();
    let file = dir.path().join("broken");
    std::fs::write(&file, bytes).unwrap();
    let (_, modules) = Few::default().modules(vec![]);
    modules.load(&file).err().map(|error| error.to_string())
}

#[track_caller]
fn refused(elf: &Elf, texts: &[&str]) {
    refused_bytes(elf.bytes(), texts);
}

#[track_caller]
fn refused_bytes(bytes: Vec<u8>, texts: &[&str]) {
    let said = verdict(bytes).expect("the module must not load");
    for text in texts {
        assert!(said.contains(text), "{text:?} is not in: {said}");
    }
}

#[track_caller]
fn loads(elf: &Elf) {
    assert_eq!(verdict(elf.bytes()), None);
}

#[test]
fn a_good_module_loads() {
    loads(&Elf::module());
}

#[test]
fn the_class_byte_is_not_looked_at() {
    let mut elf = Elf::module();
    elf.class = 1;
    loads(&elf);
}

#[test]
fn headers() {
    refused_bytes(b"#!/bin/sh\n".repeat(20), &["not an ELF file"]);
    refused_bytes(vec![], &["not an ELF file"]);
    let good = Elf::module();
    refused(&Elf { data: 2, ..good.clone() }, &["little-endian"]);
    refused(&Elf { machine: 3, ..good.clone() }, &["machine 3", "amd64"]);
    refused(&Elf { kind: 3, ..good.clone() }, &["isn't a relocatable module", "shared object", "ld -r"]);
    refused(&Elf { kind: 2, ..good.clone() }, &["isn't a relocatable module", "executable"]);
    refused(&Elf { stripped: true, ..good.clone() }, &["no symbol table", "stripped"]);

    let mut bytes = good.bytes();
    bytes[60..62].fill(0);
    refused_bytes(bytes, &["e_shnum is 0", "extended numbering"]);
    let mut bytes = good.bytes();
    bytes[58] = 40;
    refused_bytes(bytes, &["section headers of 40 bytes"]);
    let mut bytes = good.bytes();
    bytes.truncate(bytes.len() - 8);
    refused_bytes(bytes, &["beyond the end of the file"]);
}

#[test]
fn loaded_sections_have_no_address() {
    let mut elf = Elf::module();
    elf.sections[TEXT].address = 0x1000;
    refused(&elf, &[".text", "non-zero sect addr 0x1000"]);
}

#[test]
fn sections_that_the_kernel_would_not_honour() {
    for (name, kind) in [(".init_array", 14), (".fini_array", 15), (".ctors", PROGBITS)] {
        let mut elf = Elf::module();
        elf.section(name, kind, ALLOC | WRITE, &[0; 8]);
        refused(&elf, &[name, "never runs them"]);
    }
    let mut elf = Elf::module();
    elf.section(".tdata", PROGBITS, ALLOC | WRITE | 0x400, &[0; 8]);
    refused(&elf, &[".tdata", "thread-local"]);
    let mut elf = Elf::module();
    let data = elf.section(".data", PROGBITS, ALLOC | WRITE, &[0; 8]);
    elf.sections[data].size = 1 << 20;
    refused(&elf, &[".data", "beyond the end of the file"]);
    let mut elf = Elf::module();
    let data = elf.section(".data", PROGBITS, ALLOC | WRITE, &[0; 8]);
    elf.sections[data].align = 24;
    refused(&elf, &[".data", "alignment 24"]);
}

#[test]
fn relocation_tables() {
    let mut elf = Elf::module();
    let data = elf.section(".data", PROGBITS, ALLOC | WRITE, &[0; 8]);
    elf.rela(data, 0, R_64, 1, 0);
    loads(&elf);
    refused(&Elf { rel: true, ..elf.clone() }, &[".data", "SHT_REL"]);
    refused(&Elf { rela_link: Some(1), ..elf.clone() }, &[".rela.data", "not to the symbol table"]);
    refused(&Elf { rela_info: Some(77), ..elf.clone() }, &[".rela.data", "section 77, which there is not"]);
    // A table of another type is none, and nothing would be relocated.
    let mut lost = Elf::module();
    lost.section(".data", PROGBITS, ALLOC | WRITE, &[0; 8]);
    lost.section(".rela.data", 0x44, 0, &[0; 24]);
    refused(&lost, &[".rela.data", "type 68 is none of relocations", "leave .data as it is"]);
}

#[test]
fn relocations_of_sections_that_are_not_loaded_are_skipped() {
    let mut elf = Elf::module();
    let debug = elf.section(".debug_info", PROGBITS, 0, &[0; 8]);
    elf.rela(debug, 0, R_GOTPCREL, 1, 0);
    loads(&elf);
}

#[test]
fn symbol_table_entries() {
    let mut elf = Elf::module();
    elf.symbol("far", LOCAL, OBJECT, 0x300, 0, 8);
    refused(&elf, &["far", "section index 0x300"]);
    let mut elf = Elf::module();
    elf.symbol("extended", LOCAL, OBJECT, 0xffff, 0, 8);
    refused(&elf, &["extended", "extended numbering"]);
    let mut elf = Elf::module();
    elf.symbol("per_thread", GLOBAL, 6, 0, 0, 0);
    refused(&elf, &["per_thread: TLS symbol not supported"]);
    let mut elf = Elf::module();
    elf.symbol("chosen", GLOBAL, 10, TEXT as u16, 0, 3);
    refused(&elf, &["chosen", "IFUNC"]);
    // A name beyond the string table: the first symbol's, by hand.
    let elf = Elf::module();
    let mut bytes = elf.bytes();
    let name = bytes.windows(24).position(|w| w[4] == 0x12 && w[6] == 1 && w[16] == 3).unwrap();
    bytes[name..name + 4].copy_from_slice(&0xffff_u32.to_le_bytes());
    refused_bytes(bytes, &["its name is beyond the string table"]);
}

#[test]
fn every_relocation_type_that_the_kernel_rejects_or_gets_wrong_is_refused_by_name() {
    let bad = [
        3, 5, 7, 9, 16, 17, 18, 19, 20, 21, 22, 23, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38,
        41, 42, 43,
    ];
    for kind in bad {
        let mut elf = Elf::module();
        let data = elf.section(".data", PROGBITS, ALLOC | WRITE, &[0; 32]);
        let table = elf.symbol("table", LOCAL, OBJECT, data as u16, 0, 32);
        let target = elf.symbol("target", LOCAL, OBJECT, data as u16, 8, 8);
        assert_ne!(table, target);
        elf.rela(data, 16, kind, target, 0);
        let name = ddi_krtld::reloc::name(kind);
        refused(&elf, &[".data+0x10", "(table)", &name, "against target"]);
    }
}

#[test]
fn a_global_offset_table_is_named_as_what_is_missing() {
    let mut elf = Elf::module();
    let entry = elf.symbol("counter", LOCAL, OBJECT, TEXT as u16, 0, 8);
    let at = elf.code(&[0x48, 0x8b, 0x05, 0, 0, 0, 0, 0xc3]);
    elf.symbol("reader", GLOBAL, FUNC, TEXT as u16, at, 8);
    elf.rela(TEXT, at + 3, R_GOTPCREL, entry, -4);
    refused(&elf, &["(reader)", "R_X86_64_GOTPCREL against counter", "-fno-pic"]);
}

#[test]
fn fields_and_values_have_their_limits() {
    let make = |size: usize, offset, kind, value: u64, addend| {
        let mut elf = Elf::module();
        let data = elf.section(".data", PROGBITS, ALLOC | WRITE, &vec![0; size]);
        let constant = elf.symbol("constant", LOCAL, NOTYPE, ABS, value, 0);
        elf.rela(data, offset, kind, constant, addend);
        elf
    };
    loads(&make(8, 4, R_32, 0xffff_ff00, 0));
    refused(&make(8, 4, R_32, 0xffff_ffff, 1), &["constant", "out of range"]);
    loads(&make(8, 4, R_32S, 0x7fff_ffff, 0));
    refused(&make(8, 4, R_32S, 0x8000_0000, 0), &["constant", "out of range"]);
    refused(&make(8, 0, R_PC32, 1 << 40, 0), &["constant", "out of range"]);
    // krtld truncates these two without a word.
    refused(&make(8, 0, R_PLT32, 1 << 40, 0), &["constant", "out of range"]);
    refused(&make(8, 0, 14, 0x100, 0), &["R_X86_64_8", "truncates"]);
    loads(&make(8, 0, 14, 0xff, 0));
    refused(&make(8, 6, R_32S, 0, 0), &["outside the section"]);
    refused(&make(8, u64::MAX, R_64, 0, 0), &["outside the section"]);
    // A zero-extended address fails in the upper 2 GiB.
    let mut elf = Elf::module();
    let data = elf.section(".data", PROGBITS, ALLOC | WRITE, &[0; 8]);
    elf.rela(data, 0, R_32, 1, 0);
    refused(&elf, &["R_X86_64_32 against _init", "-mcmodel=kernel"]);
    // A symbol index beyond the table.
    let mut elf = Elf::module();
    elf.rela(TEXT, 0, R_64, 1000, 0);
    refused(&elf, &["symbol 1000", "no such symbol"]);
}

#[test]
fn symbols_of_sections_that_are_not_loaded() {
    let mut elf = Elf::module();
    let debug = elf.section(".debug_str", PROGBITS, 0, b"text\0");
    let data = elf.section(".data", PROGBITS, ALLOC | WRITE, &[0; 8]);
    let text = elf.symbol("text", LOCAL, OBJECT, debug as u16, 0, 5);
    elf.rela(data, 0, R_64, text, 0);
    refused(&elf, &["against text", "not loaded"]);
}

#[test]
fn probe_sites_must_be_direct_calls() {
    let site = |bytes: &[u8], field: u64, section: &str, flags| {
        let mut elf = Elf::module();
        let probe = elf.undefined("__dtrace_probe_map__done", GLOBAL);
        let at = elf.section(section, PROGBITS, flags, bytes);
        elf.symbol("mapper", LOCAL, FUNC, at as u16, 0, bytes.len() as u64);
        elf.rela(at, field, R_PC32, probe, -4);
        elf
    };
    loads(&site(&[0xe8, 0, 0, 0, 0, 0xc3], 1, ".text.a", ALLOC | EXEC));
    refused(&site(&[0xe9, 0, 0, 0, 0], 1, ".text.a", ALLOC | EXEC), &["mapper", "map__done", "tail call"]);
    refused(
        &site(&[0xff, 0x15, 0, 0, 0, 0, 0xc3], 2, ".text.a", ALLOC | EXEC),
        &["mapper", "not a direct call (e8)"],
    );
    refused(&site(&[0; 16], 8, ".data", ALLOC | WRITE), &["a reference from data"]);
    refused(&site(&[0xe8, 0, 0, 0, 0], 0, ".text.a", ALLOC | EXEC), &["outside the section"]);
}

#[test]
fn a_weak_call_to_nowhere_is_refused_and_an_absolute_reference_reads_zero() {
    let mut elf = Elf::module();
    let weak = elf.undefined("perhaps", WEAK);
    elf.caller("calls_it", R_PLT32, weak);
    refused(&elf, &["(calls_it)", "perhaps", "weak and undefined"]);
    let mut elf = Elf::module();
    let weak = elf.undefined("perhaps", WEAK);
    elf.getter64("address_of_it", R_64, weak, 0);
    loads(&elf);
}

#[test]
fn missing_names_are_listed_all_at_once_with_who_needs_them_and_why_they_are_missing() {
    let mut elf = Elf::module();
    for (user, name) in [
        ("a_open", "ddi_regs_map_setup"),
        ("a_close", "ddi_regs_map_setup"),
        ("a_ioctl", "printk"),
        ("a_intr", "splhigh"),
    ] {
        let symbol = elf.undefined(name, GLOBAL);
        elf.caller(user, R_PLT32, symbol);
    }
    let dir = tempdir().unwrap();
    let file = elf.write(dir.path(), "a");
    let (_, modules) = Few::default().modules(vec![]);
    let error = modules.load(&file).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot load module 'a'\n  \
         undefined symbol ddi_regs_map_setup: illumos has it, the host has not; needed by a_close, a_open\n  \
         undefined symbol printk: the host has it not, nor has a dependency; it is none of the illumos kernel's names that are known here; needed by a_ioctl\n  \
         undefined symbol splhigh: MT-unsafe: gone from multithreaded kernels; needed by a_intr"
    );
    assert_eq!(error.missing().count(), 3);
    assert!(error.problems.iter().all(|p| matches!(p, Problem::Missing(_))));
}

#[test]
fn all_bad_relocations_are_listed_at_once() {
    let mut elf = Elf::module();
    elf.getter64("one", 25, 1, 0);
    elf.getter64("two", 29, 1, 0);
    refused(&elf, &["(one): R_X86_64_GOTOFF64", "(two): R_X86_64_GOTPC64"]);
}

#[test]
fn names_and_dependencies_have_their_limits() {
    let mut elf = Elf::module();
    elf.needed(&["misc/a_name_that_is_longer_than_31_characters"], 0);
    refused(&elf, &["longer than 31"]);
    let mut elf = Elf::module();
    elf.needed(&["misc/a"], 0);
    elf.needed(&["misc/b"], 0);
    refused(&elf, &["more than one dynamic section"]);
    let mut elf = Elf::module();
    let data = elf.section(".data", PROGBITS, ALLOC | WRITE, b"misc/a misc/b");
    elf.symbol("_depends_on", GLOBAL, OBJECT, data as u16, 0, 13);
    refused(&elf, &["_depends_on", "NUL"]);
    let mut elf = Elf::module();
    elf.symbol("_depends_on", GLOBAL, OBJECT, ABS, 0, 4);
    refused(&elf, &["_depends_on", "not inside the module's memory"]);

    let dir = tempdir().unwrap();
    let file = Elf::module().write(dir.path(), "a_driver_with_an_overlong_name_indeed");
    let (_, modules) = Few::default().modules(vec![]);
    assert!(modules.load(&file).unwrap_err().to_string().contains("31 characters"));
}

#[test]
fn instructions_that_the_kernel_has_no_registers_for_are_named() {
    for (code, text) in [
        (&[0x0f, 0x28, 0xc1, 0xc3][..], "vector register"),
        (&[0xd9, 0xe8, 0xc3], "floating-point unit"),
        (&[0x0f, 0x6e, 0xc0, 0xc3], "floating-point unit"),
        (&[0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0, 0xc3], "%fs"),
        (&[0x65, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0, 0xc3], "%gs:0x28"),
    ] {
        let mut elf = Elf::module();
        elf.function("bad_one", code);
        let dir = tempdir().unwrap();
        let file = elf.write(dir.path(), "floats");
        let (kernel, modules) = Few::default().modules(vec![]);
        modules.load(&file).unwrap();
        assert!(kernel.said("WARNING: floats: bad_one+0x0: ") && kernel.said(text), "{text}");
    }
    let dir = tempdir().unwrap();
    let (kernel, modules) = Few::default().modules(vec![]);
    modules.load(&Elf::module().write(dir.path(), "plain")).unwrap();
    assert!(kernel.messages.lock().unwrap().is_empty());
}
