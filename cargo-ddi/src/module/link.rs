//! From a static library to one relocatable object: GNU ld's or lld's `-r`, with a script that makes one section of each
//! kind, and without what the public symbols do not reach.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use object::write::{Object, StandardSection, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope};

/// The symbol by which a module names the modules that it needs (the loader reads it when there is no dynamic section).
pub const DEPENDS_ON: &str = "_depends_on";

const SCRIPT: &str = "\
SECTIONS
{
  .text 0 : { *(.text .text.*) }
  .rodata 0 : { *(.rodata .rodata.* .data.rel.ro .data.rel.ro.*) }
  .data 0 : { *(.data .data.*) }
  .bss 0 : { *(.bss .bss.* COMMON) }
  /DISCARD/ : { *(.comment .note .note.* .eh_frame .eh_frame.* .llvm_addrsig .llvm.* .gcc_except_table*) }
}
";

/// Links; the object's path.
pub fn relocatable(
    archive: &Path,
    public: &BTreeSet<String>,
    depends: &[String],
    work: &Path,
) -> Result<PathBuf> {
    let (script, output) = (work.join("module.ld"), work.join("linked.o"));
    write(&script, SCRIPT.as_bytes())?;
    let mut linker = Command::new("ld");
    linker.args(["-r", "--gc-sections", "--build-id=none", "-z", "noexecstack", "-T"]).arg(&script);
    // The linker would keep functions of these names, whether they are public or not.
    linker.args(["-init", "", "-fini", ""]);
    // -r has no entry point: the first public symbol stands for it, the others are required.
    for (index, symbol) in public.iter().enumerate() {
        linker.args([if index == 0 { "-e" } else { "-u" }, symbol]).args(["-u", symbol]);
    }
    linker.arg("-o").arg(&output).arg(archive);
    if !depends.is_empty() {
        let object = work.join("depends.o");
        write(&object, &depends_on(depends)?)?;
        linker.args(["-u", DEPENDS_ON]).arg(object);
    }
    let result = linker.output().context("cannot run ld: apt-get install binutils")?;
    if !result.status.success() {
        bail!("ld failed: {}", String::from_utf8_lossy(&result.stderr).trim());
    }
    Ok(output)
}

/// An object that holds nothing but the names of the modules to load first, separated by blanks, with a final NUL.
fn depends_on(depends: &[String]) -> Result<Vec<u8>> {
    if let Some(name) = depends.iter().find(|name| name.len() > 31 || name.contains(char::is_whitespace)) {
        bail!("{name:?} cannot be a module's name: at most 31 characters, no blanks");
    }
    let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let section = object.section_id(StandardSection::ReadOnlyData);
    let text = format!("{}\0", depends.join(" "));
    let value = object.append_section_data(section, text.as_bytes(), 1);
    object.add_symbol(Symbol {
        name: DEPENDS_ON.as_bytes().to_vec(),
        value,
        size: text.len() as u64,
        kind: SymbolKind::Data,
        scope: SymbolScope::Linkage,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    });
    object.write().context("cannot write the list of dependencies")
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
