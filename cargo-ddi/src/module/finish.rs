//! The last step: symbols that the mapfile does not name become local, and what the kernel does not load goes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use object::build::Id;
use object::build::elf::{Builder, SectionData};
use object::elf;

/// A finished module.
pub struct Module {
    /// The file.
    pub bytes: Vec<u8>,
    /// Bytes that the loader puts into the text block: code and read-only data.
    pub text: u64,
    /// Bytes that it puts into the data block, zeroed ones included.
    pub data: u64,
}

/// Reads the linked object at `path` and makes the module.
pub fn finish(path: &Path, public: &BTreeSet<String>) -> Result<Module> {
    let input = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut builder = Builder::read(&*input).context("the linked object is not ELF")?;
    let mut missing = public.clone();
    for symbol in &mut builder.symbols {
        let name = String::from_utf8_lossy(&symbol.name).into_owned();
        let defined = symbol.section.is_some();
        if !defined || symbol.st_bind() == elf::STB_LOCAL {
            continue;
        }
        if public.contains(&name) {
            missing.remove(&name);
        } else {
            symbol.set_st_info(elf::STB_LOCAL, symbol.st_type());
        }
    }
    if let Some(name) = missing.first() {
        bail!(
            "the driver does not define {name}; devmap's module macro does when it is compiled for the kernel"
        );
    }
    // Names of files say where it was built, and nothing else.
    for symbol in &mut builder.symbols {
        if symbol.st_type() == elf::STT_FILE {
            symbol.delete = true;
        }
    }
    let (mut text, mut data) = (0, 0);
    for section in &mut builder.sections {
        if section.sh_flags.contains(elf::SHF_ALLOC) {
            let block = if section.sh_flags.contains(elf::SHF_WRITE) { &mut data } else { &mut text };
            *block += section.sh_size;
            // The script makes each kind of section, needed or not.
            section.delete = section.sh_size == 0;
        } else {
            section.delete = !matches!(
                section.data,
                SectionData::Relocation(_)
                    | SectionData::Symbol
                    | SectionData::String
                    | SectionData::SectionString
            );
        }
    }
    builder.delete_orphans();
    drop_unused_names(&mut builder);
    builder.header.e_entry = 0;
    let mut bytes = Vec::new();
    builder.write(&mut bytes).context("cannot write the module")?;
    Ok(Module { bytes, text, data })
}

/// Undefined symbols that only a dropped section used: the loader would look for them all the same.
fn drop_unused_names(builder: &mut Builder<'_>) {
    let mut used = BTreeSet::new();
    for section in builder.sections.iter().filter(|section| !section.delete) {
        if let SectionData::Relocation(relocations) = &section.data {
            used.extend(relocations.iter().filter_map(|relocation| Some(relocation.symbol?.index())));
        }
    }
    for symbol in &mut builder.symbols {
        let undefined = symbol.section.is_none() && symbol.st_shndx == elf::SHN_UNDEF;
        symbol.delete |= undefined && !used.contains(&symbol.id().index());
    }
}
