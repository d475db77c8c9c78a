//! What a module file says, read as krtld reads it: every header as ELF64, the class byte not looked at, `e_shnum`
//! section headers of `e_shentsize` bytes, one symbol table, `SHT_RELA` relocations only.
//!
//! No code of the module runs and nothing is mapped here. Locking: none, an [`Object`] is a value.

use crate::error::{LoadError, Problem};

/// `SHT_PROGBITS` and the other section types that the loader tells apart.
pub mod sht {
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
    /// Index in the symbol table.
    pub symbol: u32,
    /// Addend.
    pub addend: i64,
}

/// A module file, read.
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
    /// What the kernel tolerates and a driver author should know.
    pub warnings: Vec<String>,
}

/// `DF_1_IGNMULDEF`: no message for a name that the kernel defines, too.
pub const DF_1_IGNMULDEF: u64 = 0x40000;
/// `DF_1_NOKSYMS`: the module's symbols are not for the kernel's symbol table.
pub const DF_1_NOKSYMS: u64 = 0x80000;

const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_FLAGS_1: u64 = 0x6fff_fffb;
/// Longest module name, without the terminating NUL.
pub const MODULE_NAME_MAX: usize = 31;

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
    /// Reads a module file. `module` is its name, for messages.
    ///
    /// # Errors
    /// Everything that krtld refuses about headers, sections, the symbol and the relocation tables, and what it takes for
    /// something else (extended numbering, compressed debug headers aside).
    pub fn parse(module: &str, data: Vec<u8>) -> Result<Object, LoadError> {
        let fail = |problem| LoadError::new(module, vec![problem]);
        if data.len() < EHDR || data[..4] != *b"\x7fELF" {
            return Err(fail(Problem::Header("not an ELF file".into())));
        }
        if data[5] != 1 {
            return Err(fail(Problem::Header("not little-endian (ELFDATA2LSB)".into())));
        }
        let machine = u16_at(&data, 18);
        if machine != 62 {
            return Err(fail(Problem::Header(format!(
                "machine {machine}, not amd64 (62): build it for the 64-bit kernel"
            ))));
        }
        let kind = u16_at(&data, 16);
        if kind != 1 {
            let what = match kind {
                2 => "an executable",
                3 => "a shared object or PIE",
                4 => "a core dump",
                _ => "of an unknown type",
            };
            return Err(fail(Problem::Header(format!(
                "isn't a relocatable module: it is {what} (e_type {kind}); link it with ld -r"
            ))));
        }
        let sections = sections(&data).map_err(fail)?;
        let mut object = Object {
            data,
            sections,
            symbols: Vec::new(),
            relocations: Vec::new(),
            depends: Vec::new(),
            flags_1: 0,
            warnings: Vec::new(),
        };
        object.check_sections(module)?;
        let symtab = object.read_symbols(module)?;
        object.read_relocations(module, symtab)?;
        object.read_depends(module)?;
        Ok(object)
    }

    /// Contents of a section in the file; empty for `SHT_NOBITS`.
    pub fn contents(&self, section: &Section) -> &[u8] {
        if section.kind == sht::NOBITS {
            return &[];
        }
        bytes(&self.data, section.offset, section.size).unwrap_or(&[])
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
    pub fn symbol_name(&self, index: u32) -> String {
        let Some(symbol) = self.symbols.get(index as usize) else {
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

    fn check_sections(&self, module: &str) -> Result<(), LoadError> {
        let mut problems = Vec::new();
        for section in &self.sections {
            if section.kind == sht::REL {
                problems.push(Problem::Section {
                    section: section.name.clone(),
                    what: "relocations without addends (SHT_REL): krtld reads SHT_RELA only".into(),
                });
            }
            // krtld finds the tables by their types.
            if let Some(about) = section.name.strip_prefix(".rela")
                && !matches!(section.kind, sht::RELA | sht::REL)
                && section.size != 0
                && self.sections.iter().any(|other| other.name == about && other.alloc())
            {
                problems.push(Problem::Section {
                    section: section.name.clone(),
                    what: format!(
                        "type {} is none of relocations: krtld would leave {about} as it is",
                        section.kind
                    ),
                });
            }
            if !section.alloc() {
                continue;
            }
            if section.kind != sht::NOBITS && bytes(&self.data, section.offset, section.size).is_none() {
                problems.push(Problem::Section {
                    section: section.name.clone(),
                    what: "its contents reach beyond the end of the file".into(),
                });
            }
            if !section.align.is_power_of_two() || section.align > 1 << 21 {
                problems.push(Problem::Section {
                    section: section.name.clone(),
                    what: format!("alignment {} is no power of two up to 2 MiB", section.align),
                });
            }
            if section.size == 0 {
                continue;
            }
            let arrays = matches!(section.kind, sht::INIT_ARRAY | sht::FINI_ARRAY | sht::PREINIT_ARRAY);
            if arrays || section.name.starts_with(".ctors") || section.name.starts_with(".dtors") {
                problems.push(Problem::Section {
                    section: section.name.clone(),
                    what: "constructors and destructors: the kernel loads them and never runs them".into(),
                });
            }
            if section.flags & shf::TLS != 0 {
                problems.push(Problem::Section {
                    section: section.name.clone(),
                    what: "thread-local data: the kernel loads it as plain data and accesses to it go wrong"
                        .into(),
                });
            }
        }
        finish(module, problems)
    }

    fn read_symbols(&mut self, module: &str) -> Result<usize, LoadError> {
        let Some(index) = self.sections.iter().rposition(|s| s.kind == sht::SYMTAB) else {
            return Err(LoadError::new(
                module,
                vec![Problem::Header("no symbol table: the module is stripped".into())],
            ));
        };
        let table = &self.sections[index];
        let mut problems = Vec::new();
        let strings = match self.sections.get(table.link as usize) {
            Some(section) if section.kind == sht::STRTAB => bytes(&self.data, section.offset, section.size),
            _ => None,
        };
        let entries = bytes(&self.data, table.offset, table.size);
        let (Some(strings), Some(entries)) = (strings, entries) else {
            problems.push(Problem::Section {
                section: table.name.clone(),
                what: "the symbol table or its string table is not in the file".into(),
            });
            finish(module, problems)?;
            return Ok(index);
        };
        let mut symbols = Vec::with_capacity(entries.len() / SYM);
        for (number, entry) in entries.chunks_exact(SYM).enumerate() {
            let name_offset = u32_at(entry, 0);
            let name = match string(strings, u64::from(name_offset)) {
                Some(name) => name,
                None if name_offset == 0 => String::new(),
                None => {
                    problems.push(Problem::SymbolTable(format!(
                        "symbol {number}: its name is beyond the string table"
                    )));
                    String::new()
                }
            };
            let section = u16_at(entry, 6);
            let special = matches!(section, shn::UNDEF | shn::ABS | shn::COMMON);
            if !special && usize::from(section) >= self.sections.len() {
                problems.push(Problem::SymbolTable(format!(
                    "symbol {}: section index {section:#x} is beyond the {} sections (extended numbering is unknown to krtld)",
                    if name.is_empty() { number.to_string() } else { name.clone() },
                    self.sections.len()
                )));
            }
            let info = entry[4];
            let symbol = Symbol {
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
            };
            if symbol.kind == STT_TLS && (symbol.undefined() || symbol.common()) {
                problems.push(Problem::SymbolTable(format!("{}: TLS symbol not supported", symbol.name)));
            }
            if symbol.kind == STT_GNU_IFUNC {
                problems.push(Problem::SymbolTable(format!(
                    "{}: an indirect function (IFUNC), which the kernel takes for the function itself",
                    symbol.name
                )));
            }
            symbols.push(symbol);
        }
        self.symbols = symbols;
        finish(module, problems)?;
        Ok(index)
    }

    fn read_relocations(&mut self, module: &str, symtab: usize) -> Result<(), LoadError> {
        let mut problems = Vec::new();
        let mut relocations = Vec::new();
        for section in self.sections.iter().filter(|s| s.kind == sht::RELA) {
            let mut bad =
                |what: String| problems.push(Problem::Section { section: section.name.clone(), what });
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
            if !changed.alloc() {
                continue;
            }
            if section.entry_size != RELA as u64 {
                bad(format!("entries of {} bytes instead of {RELA}", section.entry_size));
                continue;
            }
            for entry in entries.chunks_exact(RELA) {
                let info = u64_at(entry, 8);
                relocations.push(Rela {
                    target,
                    offset: u64_at(entry, 0),
                    kind: (info & 0xffff_ffff) as u32,
                    symbol: (info >> 32) as u32,
                    addend: u64_at(entry, 16) as i64,
                });
            }
        }
        self.relocations = relocations;
        finish(module, problems)
    }

    fn read_depends(&mut self, module: &str) -> Result<(), LoadError> {
        let mut problems = Vec::new();
        let dynamic: Vec<usize> =
            (0..self.sections.len()).filter(|&i| self.sections[i].kind == sht::DYNAMIC).collect();
        if dynamic.len() > 1 {
            problems.push(Problem::Depends("more than one dynamic section".into()));
        }
        if let Some(&index) = dynamic.first() {
            self.read_dynamic(index, &mut problems);
        } else if let Some(index) = self.own("_depends_on") {
            self.read_depends_on(index, &mut problems);
        }
        for name in &self.depends {
            if name.len() > MODULE_NAME_MAX {
                problems.push(Problem::Depends(format!("{name}: longer than {MODULE_NAME_MAX} characters")));
            }
            if name.contains('$') {
                problems.push(Problem::Depends(format!(
                    "{name}: macros in dependency names are not known here; write the plain name"
                )));
            }
        }
        finish(module, problems)
    }

    fn read_dynamic(&mut self, index: usize, problems: &mut Vec<Problem>) {
        let section = &self.sections[index];
        let strings = match self.sections.get(section.link as usize) {
            Some(table) if table.kind == sht::STRTAB => bytes(&self.data, table.offset, table.size),
            _ => None,
        };
        let (Some(strings), Some(entries)) = (strings, bytes(&self.data, section.offset, section.size))
        else {
            problems
                .push(Problem::Depends("the dynamic section or its string table is not in the file".into()));
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
                        problems.push(Problem::Depends("a DT_NEEDED name is beyond the string table".into()));
                    }
                },
                DT_FLAGS_1 => flags = value,
                _ => {}
            }
        }
        self.depends = depends;
        self.flags_1 = flags;
    }

    fn read_depends_on(&mut self, index: usize, problems: &mut Vec<Problem>) {
        let symbol = &self.symbols[index];
        let text = self
            .sections
            .get(usize::from(symbol.section))
            .filter(|s| s.alloc())
            .and_then(|s| bytes(self.contents(s), symbol.value, symbol.size));
        let Some(text) = text.filter(|t| !t.is_empty()) else {
            problems.push(Problem::Depends(
                "_depends_on is not inside the module's memory, or has no size: it must be an array of characters".into(),
            ));
            return;
        };
        if text.last() != Some(&0) {
            problems.push(Problem::Depends("_depends_on does not end with a NUL inside its st_size".into()));
            return;
        }
        let end = text.iter().position(|&b| b == 0).unwrap_or(text.len());
        self.depends =
            String::from_utf8_lossy(&text[..end]).split_ascii_whitespace().map(str::to_owned).collect();
    }
}

/// A function's name as its author wrote it, also in Rust.
pub fn plain(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

fn finish(module: &str, problems: Vec<Problem>) -> Result<(), LoadError> {
    if problems.is_empty() { Ok(()) } else { Err(LoadError::new(module, problems)) }
}

fn sections(data: &[u8]) -> Result<Vec<Section>, Problem> {
    let count = u64::from(u16_at(data, 60));
    let size = u64::from(u16_at(data, 58));
    let start = u64_at(data, 40);
    if count == 0 {
        return Err(Problem::Header(
            "e_shnum is 0 (no sections, or extended numbering, which krtld does not understand)".into(),
        ));
    }
    if size != SHDR as u64 {
        return Err(Problem::Header(format!(
            "section headers of {size} bytes, not {SHDR}: not an ELF64 file"
        )));
    }
    let table = bytes(data, start, count * size)
        .ok_or_else(|| Problem::Header("the section headers reach beyond the end of the file".into()))?;
    let names = usize::from(u16_at(data, 62));
    let headers: Vec<&[u8]> = table.chunks_exact(SHDR).collect();
    let names = headers
        .get(names)
        .and_then(|header| bytes(data, u64_at(header, 24), u64_at(header, 32)))
        .unwrap_or(&[]);
    let mut sections = Vec::with_capacity(headers.len());
    for (index, header) in headers.iter().enumerate() {
        let section = Section {
            name: string(names, u64::from(u32_at(header, 0)))
                .filter(|n| !n.is_empty())
                .unwrap_or_else(|| format!("section {index}")),
            kind: u32_at(header, 4),
            flags: u64_at(header, 8),
            offset: u64_at(header, 24),
            size: u64_at(header, 32),
            link: u32_at(header, 40),
            info: u32_at(header, 44),
            align: u64_at(header, 48).max(1),
            entry_size: u64_at(header, 56),
        };
        let address = u64_at(header, 16);
        if section.alloc() && address != 0 {
            return Err(Problem::Section {
                section: section.name,
                what: format!("non-zero sect addr {address:#x}: the file is not relocatable as it is"),
            });
        }
        sections.push(section);
    }
    Ok(sections)
}
