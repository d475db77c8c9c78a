//! What a module file says, read as krtld reads it: every header as ELF64, the class byte not looked at, `e_shnum`
//! section headers of `e_shentsize` bytes, one symbol table, `SHT_RELA` relocations only. What cannot be read is a finding.
//!
//! No code of the module runs and nothing is mapped here. Locking: none, an [`Object`] is a value.

use std::fmt::{self, Write as _};

use object::LittleEndian as LE;
use object::elf::{
    DT_FLAGS_1, DT_NEEDED, DT_NULL, Dyn64, ELFCLASS64, ELFDATA2LSB, EM_X86_64, ET_CORE, ET_DYN, ET_EXEC,
    ET_REL, FileHeader64, Rela64, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHN_ABS, SHN_COMMON, SHN_UNDEF,
    SHT_DYNAMIC, SHT_NOBITS, SHT_NULL, SHT_RELA, SHT_STRTAB, SHT_SYMTAB, STT_FUNC, STT_OBJECT, STT_SECTION,
    SectionFlags, SectionHeader64, SectionType, Sym64, SymbolType,
};
use object::pod::{self, Pod};

use crate::finding::{Findings, Rule, Severity};

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

/// One section header.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name; empty when the name table is unusable.
    pub name: String,
    /// `sh_type`.
    pub kind: SectionType,
    /// `sh_flags`.
    pub flags: SectionFlags,
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
    /// Returns whether it is loaded.
    pub fn alloc(&self) -> bool {
        self.flags.contains(SHF_ALLOC)
    }
    /// Returns whether it goes into the data block.
    pub fn writable(&self) -> bool {
        self.flags.contains(SHF_WRITE)
    }
    /// Returns whether it holds instructions.
    pub fn executable(&self) -> bool {
        self.flags.contains(SHF_EXECINSTR)
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
    pub kind: SymbolType,
    /// `st_shndx`.
    pub section: u16,
    /// `st_value`: an offset in its section, an absolute value, or an alignment (common).
    pub value: u64,
    /// `st_size`, bytes.
    pub size: u64,
}

impl Symbol {
    /// Returns whether the module has no definition of it, not even a tentative one.
    pub fn undefined(&self) -> bool {
        self.section == SHN_UNDEF.0
    }
    /// Returns whether it is a tentative definition.
    pub fn common(&self) -> bool {
        self.section == SHN_COMMON.0
    }
    /// Returns whether it has a place or a value in this file.
    pub fn is_defined(&self) -> bool {
        !self.undefined() && !self.common()
    }
    /// Returns whether its value is not an address.
    pub fn is_absolute(&self) -> bool {
        self.section == SHN_ABS.0
    }
    /// Returns whether other modules can see it, or define it.
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

/// Longest module name, without the terminating NUL.
pub const MODULE_NAME_MAX: usize = 31;

/// The three functions that the loader looks for.
pub const ENTRY_POINTS: [&str; 3] = ["_init", "_fini", "_info"];

/// Prefix of the names of DTrace's static probes.
pub const PROBE: &str = "__dtrace_probe_";

/// Whether the loader replaces calls of an undefined name by nops.
pub(crate) fn is_patched_out(name: &str) -> bool {
    name.starts_with(PROBE) || matches!(name, "smap_enable" | "smap_disable")
}

/// The symbol that names dependencies where there is no dynamic section.
pub const DEPENDS_ON: &str = "_depends_on";

/// Contents of a section in the file, nothing for `SHT_NOBITS`; `None` when they reach beyond the end.
pub(crate) fn in_file<'a>(data: &'a [u8], section: &Section) -> Option<&'a [u8]> {
    match section.kind {
        SHT_NOBITS | SHT_NULL => Some(&[]),
        _ => bytes(data, section.offset, section.size),
    }
}

/// A run of bytes of the file, or nothing when it reaches beyond the end.
fn bytes(data: &[u8], offset: u64, len: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    data.get(start..end)
}

/// A table of the file, whose last entry may be cut off.
fn table<T: Pod>(data: &[u8]) -> &[T] {
    pod::slice_from_bytes(data, data.len() / size_of::<T>()).map_or(&[], |(table, _)| table)
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

/// Bytes of a relocation, as its section's header must say.
const RELA: u64 = size_of::<Rela64<LE>>() as u64;

impl Object {
    /// Reads a file; `None` when there is nothing to go on with, and then a finding says why.
    pub(crate) fn read(data: Vec<u8>, findings: &mut Findings) -> Option<Object> {
        let header = header(&data, findings)?;
        let sections = sections(&data, header, findings)?;
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
            .filter(|s| s.value <= offset && (s.size == 0 || offset - s.value < s.size))
            .max_by_key(|s| s.value);
        if let Some(symbol) = covering {
            return plain(&symbol.name);
        }
        let object = self
            .symbols
            .iter()
            .filter(|s| usize::from(s.section) == section && s.kind == STT_OBJECT && !s.name.is_empty())
            .find(|s| s.value <= offset && offset - s.value < s.size);
        match object {
            Some(symbol) => plain(&symbol.name),
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
                Some(section) => plain(&section.name),
                None => format!("symbol {index}"),
            };
        }
        plain(&symbol.name)
    }

    /// Reads the symbol table; its section's index. With several, the last one counts.
    fn read_symbols(&mut self, findings: &mut Findings) -> Option<usize> {
        let mut tables = (0..self.sections.len()).filter(|&i| self.sections[i].kind == SHT_SYMTAB);
        let Some(index) = tables.next_back() else {
            findings.refuse(Rule::SymbolTable, "no symbol table: the module is stripped".into());
            return None;
        };
        if tables.next().is_some() {
            findings.unfit(Rule::SymbolTable, "more than one symbol table: only the last is used".into());
        }
        let symtab = &self.sections[index];
        let strings = self.strings(symtab.link);
        let (Some(strings), Some(entries)) = (strings, bytes(&self.data, symtab.offset, symtab.size)) else {
            let what = format!("{} or its string table is not in the file", symtab.name);
            findings.refuse(Rule::SymbolTable, what);
            return None;
        };
        let entries = table::<Sym64<LE>>(entries);
        let mut symbols: Vec<Symbol> = Vec::with_capacity(entries.len());
        let mut names = 0;
        for (number, entry) in entries.iter().enumerate() {
            let name_offset = entry.st_name.get(LE);
            let name = string(strings, u64::from(name_offset));
            if name.is_none() && name_offset != 0 {
                let what = format!("symbol {number}: its name is beyond the string table");
                findings.refuse(Rule::SymbolTable, what);
            }
            let name = name.unwrap_or_default();
            names += name.len() as u64;
            if !names_fit(names, &self.data, findings) {
                return None;
            }
            let section = entry.st_shndx.get(LE);
            let special = matches!(section, SHN_UNDEF | SHN_ABS | SHN_COMMON);
            let section = section.0;
            if !special && usize::from(section) >= self.sections.len() {
                let what = format!(
                    "symbol {}: section index {section:#x} is beyond the {} sections (extended numbering is unknown to krtld)",
                    if name.is_empty() { number.to_string() } else { name.clone() },
                    self.sections.len()
                );
                findings.refuse(Rule::SymbolTable, what);
            }
            symbols.push(Symbol {
                name,
                binding: match entry.st_bind().0 {
                    0 => Binding::Local,
                    1 => Binding::Global,
                    2 => Binding::Weak,
                    other => Binding::Other(other),
                },
                kind: entry.st_type(),
                section,
                value: entry.st_value.get(LE),
                size: entry.st_size.get(LE),
            });
        }
        self.symbols = symbols;
        Some(index)
    }

    /// The string table that a section links to.
    fn strings(&self, link: u32) -> Option<&[u8]> {
        let table = self.sections.get(link as usize).filter(|table| table.kind == SHT_STRTAB)?;
        bytes(&self.data, table.offset, table.size)
    }

    fn read_relocations(&mut self, symtab: usize, findings: &mut Findings) {
        let mut relocations = Vec::new();
        for section in self.sections.iter().filter(|s| s.kind == SHT_RELA) {
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
            if section.entry_size != RELA {
                bad(format!("entries of {} bytes instead of {RELA}", section.entry_size));
                continue;
            }
            for entry in table::<Rela64<LE>>(entries) {
                let (offset, symbol) = (entry.r_offset.get(LE), entry.r_sym(LE, false) as usize);
                if symbol >= self.symbols.len() {
                    let what = format!(
                        "{}+{offset:#x} refers to symbol {symbol}: there is no such symbol",
                        changed.name
                    );
                    findings.refuse(Rule::RelocationPlace, what);
                    continue;
                }
                let (kind, addend) = (entry.r_type(LE, false).0, entry.r_addend.get(LE));
                relocations.push(Rela { target, offset, kind, symbol, addend });
            }
        }
        self.relocations = relocations;
    }

    fn read_depends(&mut self, findings: &mut Findings) {
        let dynamic: Vec<usize> =
            (0..self.sections.len()).filter(|&i| self.sections[i].kind == SHT_DYNAMIC).collect();
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
        for entry in table::<Dyn64<LE>>(entries) {
            let value = entry.d_val.get(LE);
            match entry.d_tag.get(LE) {
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

/// Most bytes of a name that are shown. A file can have names of any length, and Rust's grow when they are written out.
const SHOWN: usize = 1024;

/// A function's name as its author wrote it, also in Rust; the beginning of one that is very long.
pub fn plain(name: &str) -> String {
    struct Short(String);
    impl fmt::Write for Short {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let end = text.floor_char_boundary(SHOWN - self.0.len());
            self.0.push_str(&text[..end]);
            if end == text.len() { Ok(()) } else { Err(fmt::Error) }
        }
    }
    let mut short = Short(String::new());
    if write!(short, "{:#}", rustc_demangle::demangle(name)).is_err() {
        short.0.push_str("...");
    }
    short.0
}

/// The file header.
fn header<'a>(data: &'a [u8], findings: &mut Findings) -> Option<&'a FileHeader64<LE>> {
    let header = pod::from_bytes::<FileHeader64<LE>>(data).ok();
    let Some((header, _)) = header.filter(|(header, _)| header.e_ident.magic == object::elf::ELFMAG) else {
        findings.refuse(Rule::Kind, "not an ELF file".into());
        return None;
    };
    if header.e_ident.class != ELFCLASS64 {
        let what = "not a 64-bit ELF file by its class byte, which krtld does not look at";
        findings.unfit(Rule::Kind, what.into());
    }
    let (machine, kind) = (header.e_machine.get(LE), header.e_type.get(LE));
    let before = findings.refusals();
    if header.e_ident.data != ELFDATA2LSB {
        findings.refuse(Rule::Kind, "not little-endian (ELFDATA2LSB), as amd64 is".into());
    }
    if machine != EM_X86_64 {
        let what = format!("machine {machine}, not amd64 ({EM_X86_64}): build it for the 64-bit kernel");
        findings.refuse(Rule::Kind, what);
    }
    if kind != ET_REL {
        let what = match kind {
            ET_EXEC => "an executable",
            ET_DYN => "a shared object or PIE",
            ET_CORE => "a core dump",
            _ => "of an unknown type",
        };
        let what = format!("isn't a relocatable module: it is {what} (e_type {kind}); link it with ld -r");
        findings.refuse(Rule::Kind, what);
    }
    (findings.refusals() == before).then_some(header)
}

fn sections(data: &[u8], header: &FileHeader64<LE>, findings: &mut Findings) -> Option<Vec<Section>> {
    const HEADER: u64 = size_of::<SectionHeader64<LE>>() as u64;
    let (count, size) = (u64::from(header.e_shnum.get(LE)), u64::from(header.e_shentsize.get(LE)));
    let headers = bytes(data, header.e_shoff.get(LE), count * size);
    let what = match headers {
        _ if count == 0 => {
            "e_shnum is 0 (no sections, or extended numbering, which krtld does not understand)".into()
        }
        _ if size != HEADER => format!("section headers of {size} bytes, not {HEADER}: not an ELF64 file"),
        None => "the section headers reach beyond the end of the file".into(),
        Some(_) => String::new(),
    };
    if !what.is_empty() {
        findings.refuse(Rule::SectionHeaders, what);
        return None;
    }
    let headers = table::<SectionHeader64<LE>>(headers.unwrap_or_default());
    let names = headers
        .get(usize::from(header.e_shstrndx.get(LE).0))
        .and_then(|header| bytes(data, header.sh_offset.get(LE), header.sh_size.get(LE)));
    if names.is_none() {
        let what = "the names of the sections cannot be read";
        findings.add(Severity::Warning, Rule::SectionHeaders, what.into());
    }
    let sections = headers.iter().enumerate().map(|(index, header)| Section {
        name: string(names.unwrap_or(&[]), header.sh_name.get(LE).into())
            .filter(|n| !n.is_empty())
            .unwrap_or_else(|| format!("section {index}")),
        kind: header.sh_type.get(LE),
        flags: header.sh_flags.get(LE),
        address: header.sh_addr.get(LE),
        offset: header.sh_offset.get(LE),
        size: header.sh_size.get(LE),
        align: header.sh_addralign.get(LE).max(1),
        link: header.sh_link.get(LE),
        info: header.sh_info.get(LE),
        entry_size: header.sh_entsize.get(LE),
    });
    let sections: Vec<Section> = sections.collect();
    let names = sections.iter().map(|section| section.name.len() as u64).sum();
    (apart(&sections, data, findings) && names_fit(names, data, findings)).then_some(sections)
}

/// Checks that no two sections have the same bytes of the file: what is read would be far more than what is there. Of those that reach beyond its end nothing is read, and their own check
/// says so.
fn apart(sections: &[Section], data: &[u8], findings: &mut Findings) -> bool {
    let ends = |s: &Section| s.offset.checked_add(s.size).is_some_and(|end| end <= data.len() as u64);
    let has_bytes = |s: &&Section| !matches!(s.kind, SHT_NOBITS | SHT_NULL) && s.size != 0 && ends(s);
    let mut in_file: Vec<&Section> = sections.iter().filter(has_bytes).collect();
    in_file.sort_by_key(|section| section.offset);
    let shared = in_file.windows(2).find(|two| two[0].offset.saturating_add(two[0].size) > two[1].offset);
    if let Some([first, second]) = shared {
        let what =
            format!("{} and {} have the same bytes of the file", plain(&first.name), plain(&second.name));
        findings.refuse(Rule::SectionHeaders, what);
    }
    shared.is_none()
}

/// Checks that names are not far more than the file, which those that share their ends could be.
fn names_fit(bytes: u64, data: &[u8], findings: &mut Findings) -> bool {
    let fit = bytes <= 4 * data.len() as u64;
    if !fit {
        let what = format!("{bytes} bytes of names, in a file of {}: they overlap", data.len());
        findings.refuse(Rule::SymbolTable, what);
    }
    fit
}
