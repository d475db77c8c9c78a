//! What a module file says, read as krtld reads it: every header as ELF64, the class byte not looked at, `e_shnum`
//! section headers of `e_shentsize` bytes, one symbol table, `SHT_RELA` relocations only. What cannot be read is a finding.
//!
//! No code of the module runs and nothing is mapped here. Locking: none, an [`Object`] is a value.

use crate::finding::{Findings, Rule, Severity};

/// `SHT_PROGBITS` and the other section types that the loader tells apart.
pub mod sht {
    /// Nothing: the first header.
    pub const NULL: u32 = 0;
    /// Contents are in the file.
    pub const PROGBITS: u32 = 1;
    /// The symbol table.
    pub const SYMTAB: u32 = 2;
    /// A string table.
    pub const STRTAB: u32 = 3;
    /// Relocations with addends.
    pub const RELA: u32 = 4;
    /// Dependencies, as written by illumos `ld -r -dy -N`.
    pub const DYNAMIC: u32 = 6;
    /// Contents are zeroes.
    pub const NOBITS: u32 = 8;
    /// Relocations without addends; krtld refuses the file.
    pub const REL: u32 = 9;
    /// Constructors: loaded, never run.
    pub const INIT_ARRAY: u32 = 14;
    /// Destructors: loaded, never run.
    pub const FINI_ARRAY: u32 = 15;
    /// Early constructors: loaded, never run.
    pub const PREINIT_ARRAY: u32 = 16;
}

/// Section flags.
pub mod shf {
    /// Goes into the data block, else into the text block.
    pub const WRITE: u64 = 1;
    /// Is loaded at all.
    pub const ALLOC: u64 = 2;
    /// Holds instructions.
    pub const EXECINSTR: u64 = 4;
    /// Thread-local: loaded as plain data, does not work.
    pub const TLS: u64 = 0x400;
}

/// Special section indices of symbols.
pub mod shn {
    /// Undefined.
    pub const UNDEF: u16 = 0;
    /// The value is absolute.
    pub const ABS: u16 = 0xfff1;
    /// Tentative definition.
    pub const COMMON: u16 = 0xfff2;
}

/// How a symbol binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Seen inside the module only.
    Local,
    /// Seen by modules that depend on this one.
    Global,
    /// Seen by them too; when undefined and not found, not an error.
    Weak,
    /// A number that krtld knows nothing of and treats like a global.
    Other(u8),
}

/// `STT_OBJECT`.
pub const STT_OBJECT: u8 = 1;
/// `STT_FUNC`.
pub const STT_FUNC: u8 = 2;
/// `STT_SECTION`.
pub const STT_SECTION: u8 = 3;
/// `STT_TLS`.
pub const STT_TLS: u8 = 6;
/// `STT_GNU_IFUNC`.
pub const STT_GNU_IFUNC: u8 = 10;

/// One section header.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name; empty when the name table is unusable.
    pub name: String,
    /// `sh_type`, see [`sht`].
    pub kind: u32,
    /// `sh_flags`, see [`shf`].
    pub flags: u64,
    /// `sh_addr`.
    pub address: u64,
    /// `sh_offset`, bytes.
    pub offset: u64,
    /// `sh_size`, bytes.
    pub size: u64,
    /// `sh_addralign`, at least 1.
    pub align: u64,
    /// `sh_link`.
    pub link: u32,
    /// `sh_info`.
    pub info: u32,
    /// `sh_entsize`, bytes.
    pub entry_size: u64,
}

impl Section {
    /// Whether it is loaded code.
    pub fn is_code(&self) -> bool {
        self.alloc() && self.executable()
    }
    /// Is it loaded.
    pub fn alloc(&self) -> bool {
        self.flags & shf::ALLOC != 0
    }
    /// Does it go into the data block.
    pub fn writable(&self) -> bool {
        self.flags & shf::WRITE != 0
    }
    /// Does it hold instructions.
    pub fn executable(&self) -> bool {
        self.flags & shf::EXECINSTR != 0
    }
}

/// One entry of the symbol table.
#[derive(Clone, Debug)]
pub struct Symbol {
    /// Its name; empty for section symbols.
    pub name: String,
    /// How it binds.
    pub binding: Binding,
    /// `STT_*`.
    pub kind: u8,
    /// `st_shndx`.
    pub section: u16,
    /// `st_value`: an offset in its section, an absolute value, or an alignment (common).
    pub value: u64,
    /// `st_size`, bytes.
    pub size: u64,
}

impl Symbol {
    /// Has the module no definition of it (not even a tentative one).
    pub fn undefined(&self) -> bool {
        self.section == shn::UNDEF
    }
    /// Is it a tentative definition.
    pub fn common(&self) -> bool {
        self.section == shn::COMMON
    }
    /// Has it a place or a value in this file.
    pub fn is_defined(&self) -> bool {
        !self.undefined() && !self.common()
    }
    /// Can another module or the kernel see it, or be meant by it.
    pub fn external(&self) -> bool {
        self.binding != Binding::Local
    }
}

/// One relocation, before it is applied.
#[derive(Clone, Copy, Debug)]
pub struct Rela {
    /// Index of the section whose field is changed.
    pub target: usize,
    /// Offset of the field in that section, bytes.
    pub offset: u64,
    /// `R_X86_64_*`.
    pub kind: u32,
    /// Index in the symbol table, which has it.
    pub symbol: usize,
    /// Addend.
    pub addend: i64,
}

/// A module file, read.
///
/// # Invariants
/// One that `Object::parse` (in `check`) has returned breaks no rule of the loader: each relocation's type is one that is applied, its field is in its section, its
/// symbol in the table, and calls that are patched out are calls.
#[derive(Clone, Debug)]
pub struct Object {
    /// The file's bytes.
    pub data: Vec<u8>,
    /// All section headers; index 0 is the null section.
    pub sections: Vec<Section>,
    /// The symbol table; index 0 is the null symbol.
    pub symbols: Vec<Symbol>,
    /// Relocations of loaded sections, in file order.
    pub relocations: Vec<Rela>,
    /// Names of the modules it depends on, in order, from the dynamic section or `_depends_on`.
    pub depends: Vec<String>,
    /// `DT_FLAGS_1`; 0 without a dynamic section.
    pub flags_1: u64,
}

/// `DF_1_IGNMULDEF`: no message for a name that the kernel defines, too.
pub const DF_1_IGNMULDEF: u64 = 0x40000;
/// `DF_1_NOKSYMS`: the module's symbols are not for the kernel's symbol table.
pub const DF_1_NOKSYMS: u64 = 0x80000;

/// The three functions that the loader looks for.
pub const ENTRY_POINTS: [&str; 3] = ["_init", "_fini", "_info"];

/// Where the names of DTrace's static probes begin.
pub const PROBE: &str = "__dtrace_probe_";

/// Whether the loader replaces calls of an undefined name by nops.
pub(crate) fn is_patched_out(name: &str) -> bool {
    name.starts_with(PROBE) || matches!(name, "smap_enable" | "smap_disable")
}

/// The symbol that names dependencies where there is no dynamic section.
pub const DEPENDS_ON: &str = "_depends_on";

const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_FLAGS_1: u64 = 0x6fff_fffb;
/// Longest module name, without the terminating NUL.
pub const MODULE_NAME_MAX: usize = 31;

/// Contents of a section in the file, nothing for `SHT_NOBITS`; `None` when they reach beyond the end.
pub(crate) fn in_file<'a>(data: &'a [u8], section: &Section) -> Option<&'a [u8]> {
    match section.kind {
        sht::NOBITS | sht::NULL => Some(&[]),
        _ => bytes(data, section.offset, section.size),
    }
}

/// A run of bytes of the file, or nothing when it reaches beyond the end.
fn bytes(data: &[u8], offset: u64, len: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    data.get(start..end)
}
fn u16_at(data: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([data[at], data[at + 1]])
}
fn u32_at(data: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(data[at..at + 4].try_into().expect("four bytes"))
}
fn u64_at(data: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(data[at..at + 8].try_into().expect("eight bytes"))
}

/// The string at `offset` of a string table; an error when it starts beyond the table.
fn string(table: &[u8], offset: u64) -> Option<String> {
    let tail = table.get(usize::try_from(offset).ok()?..)?;
    if tail.is_empty() {
        return None;
    }
    let len = tail.iter().position(|&b| b == 0).unwrap_or(tail.len());
    Some(String::from_utf8_lossy(&tail[..len]).into_owned())
}

const EHDR: usize = 64;
const SHDR: usize = 64;
const SYM: usize = 24;
const RELA: usize = 24;

impl Object {
    /// Reads a file; `None` when there is nothing to go on with, and then a finding says why.
    pub(crate) fn read(data: Vec<u8>, findings: &mut Findings) -> Option<Object> {
        header(&data, findings)?;
        let sections = sections(&data, findings)?;
        let mut object = Object {
            data,
            sections,
            symbols: Vec::new(),
            relocations: Vec::new(),
            depends: Vec::new(),
            flags_1: 0,
        };
        let symtab = object.read_symbols(findings)?;
        object.read_relocations(symtab, findings);
        object.read_depends(findings);
        Some(object)
    }

    /// Bytes of the text block and of the data block, as krtld counts them.
    pub fn sizes(&self) -> (u64, u64) {
        let loaded = self.sections.iter().filter(|section| section.alloc());
        loaded.fold((0_u64, 0_u64), |(text, data), section| match section.writable() {
            false => (text.saturating_add(section.size), data),
            true => (text, data.saturating_add(section.size)),
        })
    }

    /// The function or object around a place in a section, by name and distance; the section when no symbol covers it.
    pub fn place(&self, section: usize, offset: u64) -> String {
        let within = self.symbols.iter().find(|symbol| {
            usize::from(symbol.section) == section
                && symbol.kind != STT_SECTION
                && !symbol.name.is_empty()
                && symbol.value <= offset
                && offset - symbol.value < symbol.size
        });
        match within {
            Some(symbol) if symbol.value == offset => plain(&symbol.name),
            Some(symbol) => format!("{}+{:#x}", plain(&symbol.name), offset - symbol.value),
            None => format!("{}+{offset:#x}", self.sections[section].name),
        }
    }

    /// Contents of a section in the file; empty for `SHT_NOBITS`.
    pub fn contents(&self, section: &Section) -> &[u8] {
        in_file(&self.data, section).unwrap_or(&[])
    }

    /// The first symbol of that name that the module itself defines (local ones included, as krtld's hash table has it).
    pub fn own(&self, name: &str) -> Option<usize> {
        self.symbols.iter().position(|s| !s.undefined() && !s.common() && s.name == name)
    }

    /// The function whose body holds `offset` of `section`, by name; the section's name when no symbol covers it.
    pub fn function_at(&self, section: usize, offset: u64) -> String {
        let covering = self
            .symbols
            .iter()
            .filter(|s| usize::from(s.section) == section && s.kind == STT_FUNC && !s.name.is_empty())
            .filter(|s| s.value <= offset && (s.size == 0 || offset < s.value + s.size))
            .max_by_key(|s| s.value);
        if let Some(symbol) = covering {
            return plain(&symbol.name);
        }
        let object = self
            .symbols
            .iter()
            .filter(|s| usize::from(s.section) == section && s.kind == STT_OBJECT && !s.name.is_empty())
            .find(|s| s.value <= offset && offset < s.value + s.size);
        match object {
            Some(symbol) => symbol.name.clone(),
            None => format!("{}+{offset:#x}", self.sections[section].name),
        }
    }

    /// What a symbol is called in messages: its name, or its section's.
    pub fn symbol_name(&self, index: usize) -> String {
        let Some(symbol) = self.symbols.get(index) else {
            return format!("symbol {index}");
        };
        if index == 0 {
            return "no symbol".into();
        }
        if symbol.name.is_empty() {
            return match self.sections.get(usize::from(symbol.section)) {
                Some(section) => section.name.clone(),
                None => format!("symbol {index}"),
            };
        }
        symbol.name.clone()
    }

    /// Reads the symbol table; its section's index. With several, the last one counts.
    fn read_symbols(&mut self, findings: &mut Findings) -> Option<usize> {
        let mut tables = (0..self.sections.len()).filter(|&i| self.sections[i].kind == sht::SYMTAB);
        let Some(index) = tables.next_back() else {
            findings.refuse(Rule::SymbolTable, "no symbol table: the module is stripped".into());
            return None;
        };
        if tables.next().is_some() {
            findings.unfit(Rule::SymbolTable, "more than one symbol table: only the last is used".into());
        }
        let table = &self.sections[index];
        let strings = self.strings(table.link);
        let (Some(strings), Some(entries)) = (strings, bytes(&self.data, table.offset, table.size)) else {
            let what = format!("{} or its string table is not in the file", table.name);
            findings.refuse(Rule::SymbolTable, what);
            return None;
        };
        let mut symbols = Vec::with_capacity(entries.len() / SYM);
        for (number, entry) in entries.chunks_exact(SYM).enumerate() {
            let name_offset = u32_at(entry, 0);
            let name = string(strings, u64::from(name_offset));
            if name.is_none() && name_offset != 0 {
                let what = format!("symbol {number}: its name is beyond the string table");
                findings.refuse(Rule::SymbolTable, what);
            }
            let name = name.unwrap_or_default();
            let section = u16_at(entry, 6);
            let special = matches!(section, shn::UNDEF | shn::ABS | shn::COMMON);
            if !special && usize::from(section) >= self.sections.len() {
                let what = format!(
                    "symbol {}: section index {section:#x} is beyond the {} sections (extended numbering is unknown to krtld)",
                    if name.is_empty() { number.to_string() } else { name.clone() },
                    self.sections.len()
                );
                findings.refuse(Rule::SymbolTable, what);
            }
            let info = entry[4];
            symbols.push(Symbol {
                name,
                binding: match info >> 4 {
                    0 => Binding::Local,
                    1 => Binding::Global,
                    2 => Binding::Weak,
                    other => Binding::Other(other),
                },
                kind: info & 15,
                section,
                value: u64_at(entry, 8),
                size: u64_at(entry, 16),
            });
        }
        self.symbols = symbols;
        Some(index)
    }

    /// The string table that a section links to.
    fn strings(&self, link: u32) -> Option<&[u8]> {
        let table = self.sections.get(link as usize).filter(|table| table.kind == sht::STRTAB)?;
        bytes(&self.data, table.offset, table.size)
    }

    fn read_relocations(&mut self, symtab: usize, findings: &mut Findings) {
        let mut relocations = Vec::new();
        for section in self.sections.iter().filter(|s| s.kind == sht::RELA) {
            let mut bad =
                |what: String| findings.refuse(Rule::RelaSection, format!("{}: {what}", section.name));
            if section.link as usize != symtab {
                bad(format!("links to section {}, not to the symbol table ({symtab})", section.link));
                continue;
            }
            let target = section.info as usize;
            let Some(changed) = self.sections.get(target) else {
                bad(format!("relocates section {target}, which there is not"));
                continue;
            };
            let Some(entries) = bytes(&self.data, section.offset, section.size) else {
                bad("its contents reach beyond the end of the file".into());
                continue;
            };
            // Relocations of what is not loaded are skipped, whatever they are.
            if !changed.alloc() {
                continue;
            }
            if section.entry_size != RELA as u64 {
                bad(format!("entries of {} bytes instead of {RELA}", section.entry_size));
                continue;
            }
            for entry in entries.chunks_exact(RELA) {
                let (offset, info) = (u64_at(entry, 0), u64_at(entry, 8));
                let symbol = (info >> 32) as usize;
                if symbol >= self.symbols.len() {
                    let what = format!(
                        "{}+{offset:#x} refers to symbol {symbol}: there is no such symbol",
                        changed.name
                    );
                    findings.refuse(Rule::RelocationPlace, what);
                    continue;
                }
                let kind = (info & 0xffff_ffff) as u32;
                relocations.push(Rela { target, offset, kind, symbol, addend: u64_at(entry, 16) as i64 });
            }
        }
        self.relocations = relocations;
    }

    fn read_depends(&mut self, findings: &mut Findings) {
        let dynamic: Vec<usize> =
            (0..self.sections.len()).filter(|&i| self.sections[i].kind == sht::DYNAMIC).collect();
        if dynamic.len() > 1 {
            findings.refuse(Rule::Dependencies, "more than one dynamic section".into());
        }
        if let Some(&index) = dynamic.first() {
            self.read_dynamic(index, findings);
        } else if let Some(index) = self.own(DEPENDS_ON) {
            self.read_depends_on(index, findings);
        }
        for name in &self.depends {
            if name.len() > MODULE_NAME_MAX {
                let what = format!("{name}: longer than {MODULE_NAME_MAX} characters");
                findings.refuse(Rule::Dependencies, what);
            }
            if name.contains('$') {
                let what =
                    format!("{name}: macros in dependency names are not known here; write the plain name");
                findings.refuse(Rule::Dependencies, what);
            }
        }
    }

    fn read_dynamic(&mut self, index: usize, findings: &mut Findings) {
        let section = &self.sections[index];
        let strings = self.strings(section.link);
        let (Some(strings), Some(entries)) = (strings, bytes(&self.data, section.offset, section.size))
        else {
            let what = "the dynamic section or its string table is not in the file";
            findings.refuse(Rule::Dependencies, what.into());
            return;
        };
        let (mut depends, mut flags) = (Vec::new(), 0);
        for entry in entries.chunks_exact(16) {
            let value = u64_at(entry, 8);
            match u64_at(entry, 0) {
                DT_NULL => break,
                DT_NEEDED => match string(strings, value) {
                    Some(name) => depends.push(name),
                    None => {
                        let what = "a DT_NEEDED name is beyond the string table";
                        findings.refuse(Rule::Dependencies, what.into());
                    }
                },
                DT_FLAGS_1 => flags = value,
                _ => {}
            }
        }
        self.depends = depends;
        self.flags_1 = flags;
    }

    fn read_depends_on(&mut self, index: usize, findings: &mut Findings) {
        let symbol = &self.symbols[index];
        let text = self
            .sections
            .get(usize::from(symbol.section))
            .filter(|s| s.alloc())
            .and_then(|s| bytes(self.contents(s), symbol.value, symbol.size));
        let what = match text {
            None | Some([]) => {
                "_depends_on is not inside the module's memory, or has no size: it must be an array of characters"
            }
            Some([.., 0]) => {
                let text = text.unwrap_or_default();
                let end = text.iter().position(|&b| b == 0).unwrap_or(text.len());
                let names = String::from_utf8_lossy(&text[..end]);
                self.depends = names.split_ascii_whitespace().map(str::to_owned).collect();
                let what = "recorded in _depends_on: deprecated, but it works, and ld -r of other systems has no other way";
                findings.add(Severity::Note, Rule::Dependencies, what.into());
                return;
            }
            Some(_) => "_depends_on does not end with a NUL inside its st_size",
        };
        findings.refuse(Rule::Dependencies, what.into());
    }
}

/// A function's name as its author wrote it, also in Rust.
pub fn plain(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// The file header.
fn header(data: &[u8], findings: &mut Findings) -> Option<()> {
    if data.len() < EHDR || data[..4] != *b"\x7fELF" {
        findings.refuse(Rule::Kind, "not an ELF file".into());
        return None;
    }
    if data[4] != 2 {
        findings.unfit(
            Rule::Kind,
            "not a 64-bit ELF file by its class byte, which krtld does not look at".into(),
        );
    }
    let (machine, kind) = (u16_at(data, 18), u16_at(data, 16));
    let before = findings.refusals();
    if data[5] != 1 {
        findings.refuse(Rule::Kind, "not little-endian (ELFDATA2LSB), as amd64 is".into());
    }
    if machine != 62 {
        let what = format!("machine {machine}, not amd64 (62): build it for the 64-bit kernel");
        findings.refuse(Rule::Kind, what);
    }
    if kind != 1 {
        let what = match kind {
            2 => "an executable",
            3 => "a shared object or PIE",
            4 => "a core dump",
            _ => "of an unknown type",
        };
        let what = format!("isn't a relocatable module: it is {what} (e_type {kind}); link it with ld -r");
        findings.refuse(Rule::Kind, what);
    }
    (findings.refusals() == before).then_some(())
}

fn sections(data: &[u8], findings: &mut Findings) -> Option<Vec<Section>> {
    let count = u64::from(u16_at(data, 60));
    let size = u64::from(u16_at(data, 58));
    let start = u64_at(data, 40);
    let table = bytes(data, start, count * size);
    let what = match table {
        _ if count == 0 => {
            "e_shnum is 0 (no sections, or extended numbering, which krtld does not understand)".into()
        }
        _ if size != SHDR as u64 => format!("section headers of {size} bytes, not {SHDR}: not an ELF64 file"),
        None => "the section headers reach beyond the end of the file".into(),
        Some(_) => String::new(),
    };
    if !what.is_empty() {
        findings.refuse(Rule::SectionHeaders, what);
        return None;
    }
    let headers: Vec<&[u8]> = table.unwrap_or_default().chunks_exact(SHDR).collect();
    let names = headers
        .get(usize::from(u16_at(data, 62)))
        .and_then(|header| bytes(data, u64_at(header, 24), u64_at(header, 32)));
    if names.is_none() {
        let what = "the names of the sections cannot be read";
        findings.add(Severity::Warning, Rule::SectionHeaders, what.into());
    }
    let sections = headers.iter().enumerate().map(|(index, header)| Section {
        name: string(names.unwrap_or(&[]), u64::from(u32_at(header, 0)))
            .filter(|n| !n.is_empty())
            .unwrap_or_else(|| format!("section {index}")),
        kind: u32_at(header, 4),
        flags: u64_at(header, 8),
        address: u64_at(header, 16),
        offset: u64_at(header, 24),
        size: u64_at(header, 32),
        align: u64_at(header, 48).max(1),
        link: u32_at(header, 40),
        info: u32_at(header, 44),
        entry_size: u64_at(header, 56),
    });
    Some(sections.collect())
}
