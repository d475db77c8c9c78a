//! The file itself: what the loader looks at before anything else, and what it reads the rest from.

use super::elf::{
    Image, Reader, Relocation, SHN_ABS, SHN_COMMON, SHT_NOBITS, SHT_REL, SHT_RELA, SHT_STRTAB, SHT_SYMTAB,
    STT_SECTION,
};
use super::elf::{Section, Symbol};
use super::finding::{Rule, Severity, Verdict};

const EM_AMD64: u16 = 62;
const ET_REL: u16 = 1;
/// Bytes of one section header.
const SECTION_HEADER: u64 = 64;
/// Bytes of one symbol.
const SYMBOL: u64 = 24;
/// Bytes of one relocation.
const RELA: u64 = 24;

/// Reads the file; `None` when there is nothing to go on with, and then the verdict says why.
pub fn check(bytes: &[u8], verdict: &mut Verdict) -> Option<Image> {
    let image = read(bytes, verdict);
    if image.is_none() && verdict.is_good() {
        verdict.error(Rule::Kind, "the file is cut off".to_owned());
    }
    image
}

fn read(bytes: &[u8], verdict: &mut Verdict) -> Option<Image> {
    let file = Reader(bytes);
    if bytes.get(..4) != Some(b"\x7fELF") {
        verdict.error(Rule::Kind, "not an ELF file".to_owned());
        return None;
    }
    let (kind, machine) = (file.u16(16)?, file.u16(18)?);
    let right = bytes.get(4) == Some(&2) && bytes.get(5) == Some(&1) && machine == EM_AMD64 && kind == ET_REL;
    let (class, data) = (bytes.get(4).copied(), bytes.get(5).copied());
    if class != Some(2) {
        verdict.error(Rule::Kind, "not a 64-bit ELF file".to_owned());
    }
    if data != Some(1) || machine != EM_AMD64 {
        verdict.error(Rule::Kind, format!("for machine {machine}, not little-endian amd64 ({EM_AMD64})"));
    }
    if kind != ET_REL {
        let what = match kind {
            2 => "an executable",
            3 => "a shared object or position-independent executable",
            _ => "of an unknown type",
        };
        verdict.error(Rule::Kind, format!("{what}, not a relocatable object: link with ld -r"));
    }
    if !right {
        return None;
    }
    let (sections, names_unreadable) = sections(&file, verdict)?;
    if names_unreadable {
        verdict.add(
            Severity::Warning,
            Rule::SectionHeaders,
            "the names of the sections cannot be read".to_owned(),
        );
    }
    for section in sections.iter().filter(|section| section.is_loaded() && section.address != 0) {
        verdict.error(Rule::SectionAddress, format!("{} wants address {:#x}", section.name, section.address));
    }
    for section in sections.iter().filter(|section| section.kind == SHT_REL) {
        verdict.error(Rule::RelSection, format!("{}: relocations without addends are refused", section.name));
    }
    let (table, symbols) = symbols(&sections, verdict)?;
    let relocations = relocations(&sections, table, symbols.len(), verdict);
    let image = Image { sections, symbols, relocations };
    let (text, data) = image.sizes();
    verdict.fact(format!("ELF64 relocatable object for amd64: {text} bytes of text, {data} of data"));
    Some(image)
}

fn sections(file: &Reader<'_>, verdict: &mut Verdict) -> Option<(Vec<Section>, bool)> {
    let (start, size) = (file.u64(40)?, u64::from(file.u16(58)?));
    let (count, names_at) = (u64::from(file.u16(60)?), u64::from(file.u16(62)?));
    if count == 0 || size != SECTION_HEADER {
        let message =
            format!("{count} section headers of {size} bytes: extended numbering is not understood");
        verdict.error(Rule::SectionHeaders, message);
        return None;
    }
    let header = |index: u64| start.checked_add(index * SECTION_HEADER);
    let body = |index: u64| -> Option<&[u8]> {
        let at = header(index)?;
        if file.u32(at + 4)? == SHT_NOBITS || file.u32(at + 4)? == 0 {
            return Some(&[]);
        }
        let from = usize::try_from(file.u64(at + 24)?).ok()?;
        file.0.get(from..from.checked_add(usize::try_from(file.u64(at + 32)?).ok()?)?)
    };
    let names = body(names_at).map(Reader);
    let mut list = Vec::new();
    for index in 0..count {
        let section = (|| {
            let at = header(index)?;
            file.u64(at + SECTION_HEADER - 8)?;
            Some(Section {
                name: names
                    .as_ref()
                    .and_then(|names| names.string(u64::from(file.u32(at)?)))
                    .unwrap_or_default(),
                kind: file.u32(at + 4)?,
                flags: file.u64(at + 8)?,
                address: file.u64(at + 16)?,
                size: file.u64(at + 32)?,
                link: file.u32(at + 40)?,
                info: file.u32(at + 44)?,
                align: file.u64(at + 48)?,
                entry_size: file.u64(at + 56)?,
                data: body(index)?.to_vec(),
            })
        })();
        match section {
            Some(section) => list.push(section),
            None => {
                verdict.error(Rule::SectionHeaders, format!("section {index} lies outside the file"));
                return None;
            }
        }
    }
    Some((list, names.is_none()))
}

/// The symbol table (with several the last wins) and its index.
fn symbols(sections: &[Section], verdict: &mut Verdict) -> Option<(usize, Vec<Symbol>)> {
    let mut tables = sections.iter().enumerate().filter(|(_, section)| section.kind == SHT_SYMTAB);
    let Some((index, table)) = tables.next_back() else {
        verdict.error(Rule::SymbolTable, "no symbol table: a stripped module does not load".to_owned());
        return None;
    };
    if tables.next().is_some() {
        verdict.error(Rule::SymbolTable, "more than one symbol table: only the last is used".to_owned());
    }
    let strings = sections.get(table.link as usize).filter(|strings| strings.kind == SHT_STRTAB);
    let Some(strings) = strings.map(|strings| Reader(&strings.data)) else {
        verdict.error(Rule::SymbolTable, "the symbol table has no string table".to_owned());
        return None;
    };
    let bytes = Reader(&table.data);
    let mut list = Vec::new();
    for number in 0..table.data.len() as u64 / SYMBOL {
        let at = number * SYMBOL;
        let (info, section) = (table.data[at as usize + 4], bytes.u16(at + 6)?);
        let name = strings.string(u64::from(bytes.u32(at)?));
        if name.is_none()
            || usize::from(section) >= sections.len() && ![SHN_ABS, SHN_COMMON].contains(&section)
        {
            let what = if name.is_none() { "a name" } else { "a section" };
            verdict.error(Rule::SymbolTable, format!("symbol {number} has {what} that does not exist"));
            return None;
        }
        let mut name = name.unwrap_or_default();
        if info & 15 == STT_SECTION {
            name = sections.get(usize::from(section)).map(|section| section.name.clone()).unwrap_or(name);
        }
        list.push(Symbol {
            name,
            kind: info & 15,
            binding: info >> 4,
            section,
            value: bytes.u64(at + 8)?,
            size: bytes.u64(at + 16)?,
        });
    }
    Some((index, list))
}

fn relocations(sections: &[Section], table: usize, symbols: usize, verdict: &mut Verdict) -> Vec<Relocation> {
    let mut list = Vec::new();
    for section in sections.iter().filter(|section| section.kind == SHT_RELA) {
        let Some(target) = sections.get(section.info as usize) else {
            verdict.error(
                Rule::RelaSection,
                format!("{} belongs to section {}, which does not exist", section.name, section.info),
            );
            continue;
        };
        if section.link as usize != table {
            verdict.error(Rule::RelaSection, format!("{} does not use the symbol table", section.name));
            continue;
        }
        // Relocations of what is not loaded are skipped, whatever they are.
        if !target.is_loaded() {
            continue;
        }
        if section.entry_size != RELA {
            let message =
                format!("{}: entries of {} bytes instead of {RELA}", section.name, section.entry_size);
            verdict.error(Rule::RelaSection, message);
            continue;
        }
        let bytes = Reader(&section.data);
        for number in 0..section.data.len() as u64 / RELA {
            let at = number * RELA;
            let (Some(offset), Some(info), Some(addend)) =
                (bytes.u64(at), bytes.u64(at + 8), bytes.u64(at + 16))
            else {
                break;
            };
            let symbol = (info >> 32) as usize;
            if symbol >= symbols {
                let message =
                    format!("{}+{offset:#x} uses symbol {symbol}, which does not exist", target.name);
                verdict.error(Rule::RelocationPlace, message);
                continue;
            }
            let (kind, addend) = (info as u32, addend as i64);
            list.push(Relocation { section: section.info as usize, offset, kind, symbol, addend });
        }
    }
    list
}
