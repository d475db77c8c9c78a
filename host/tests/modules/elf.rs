//! Writes small relocatable objects, right ones and deliberately broken ones.

use std::path::{Path, PathBuf};

pub const PROGBITS: u32 = 1;
pub const NOBITS: u32 = 8;
pub const DYNAMIC: u32 = 6;
pub const WRITE: u64 = 1;
pub const ALLOC: u64 = 2;
pub const EXEC: u64 = 4;
pub const LOCAL: u8 = 0;
pub const GLOBAL: u8 = 1;
pub const WEAK: u8 = 2;
pub const NOTYPE: u8 = 0;
pub const OBJECT: u8 = 1;
pub const FUNC: u8 = 2;
pub const ABS: u16 = 0xfff1;
pub const COMMON: u16 = 0xfff2;

pub const R_NONE: u32 = 0;
pub const R_64: u32 = 1;
pub const R_PC32: u32 = 2;
pub const R_PLT32: u32 = 4;
pub const R_GOTPCREL: u32 = 9;
pub const R_32: u32 = 10;
pub const R_32S: u32 = 11;
pub const R_PC64: u32 = 24;

/// xor %eax,%eax; ret
pub const RETURN_0: &[u8] = &[0x31, 0xc0, 0xc3];

#[derive(Clone, Debug, Default)]
pub struct Section {
    pub name: String,
    pub kind: u32,
    pub flags: u64,
    pub address: u64,
    pub data: Vec<u8>,
    /// Bytes, for NOBITS.
    pub size: u64,
    pub link: u32,
    pub info: u32,
    pub align: u64,
    pub entry: u64,
}

#[derive(Clone, Debug)]
pub struct Symbol {
    pub name: String,
    pub info: u8,
    pub section: u16,
    pub value: u64,
    pub size: u64,
}

/// An object being written. Section 1 is .text; the tables come last.
#[derive(Clone, Debug)]
pub struct Elf {
    pub kind: u16,
    pub machine: u16,
    pub class: u8,
    pub data: u8,
    pub sections: Vec<Section>,
    pub symbols: Vec<Symbol>,
    pub relocations: Vec<(usize, u64, u32, u32, i64)>,
    pub stripped: bool,
    pub rel: bool,
    /// sh_link and sh_info of the relocation sections, when they shall be wrong.
    pub rela_link: Option<u32>,
    pub rela_info: Option<u32>,
}

pub const TEXT: usize = 1;

impl Elf {
    /// An object with an empty .text.
    pub fn empty() -> Elf {
        let mut elf = Elf {
            kind: 1,
            machine: 62,
            class: 2,
            data: 1,
            sections: vec![Section::default()],
            symbols: vec![Symbol { name: String::new(), info: 0, section: 0, value: 0, size: 0 }],
            relocations: vec![],
            stripped: false,
            rel: false,
            rela_link: None,
            rela_info: None,
        };
        elf.section(".text", PROGBITS, ALLOC | EXEC, &[]);
        elf
    }

    /// An object whose three entry points return 0.
    pub fn module() -> Elf {
        let mut elf = Elf::empty();
        for name in ["_init", "_info", "_fini"] {
            elf.function(name, RETURN_0);
        }
        elf
    }

    pub fn section(&mut self, name: &str, kind: u32, flags: u64, data: &[u8]) -> usize {
        self.sections.push(Section {
            name: name.into(),
            kind,
            flags,
            data: data.to_vec(),
            size: data.len() as u64,
            align: 16,
            ..Section::default()
        });
        self.sections.len() - 1
    }

    pub fn symbol(&mut self, name: &str, bind: u8, kind: u8, section: u16, value: u64, size: u64) -> u32 {
        self.symbols.push(Symbol { name: name.into(), info: bind << 4 | kind, section, value, size });
        self.symbols.len() as u32 - 1
    }

    /// A global function in .text.
    pub fn function(&mut self, name: &str, code: &[u8]) -> u32 {
        let at = self.code(code);
        self.symbol(name, GLOBAL, FUNC, TEXT as u16, at, code.len() as u64)
    }

    /// Bytes in .text without a symbol.
    pub fn code(&mut self, code: &[u8]) -> u64 {
        let at = self.sections[TEXT].data.len() as u64;
        self.sections[TEXT].data.extend_from_slice(code);
        self.sections[TEXT].size = self.sections[TEXT].data.len() as u64;
        at
    }

    pub fn undefined(&mut self, name: &str, bind: u8) -> u32 {
        self.symbol(name, bind, NOTYPE, 0, 0, 0)
    }

    pub fn rela(&mut self, target: usize, offset: u64, kind: u32, symbol: u32, addend: i64) {
        self.relocations.push((target, offset, kind, symbol, addend));
    }

    /// A function that returns the 64-bit word it holds, relocated: movabs $x,%rax; ret. The relocation is the caller's choice.
    pub fn getter64(&mut self, name: &str, kind: u32, symbol: u32, addend: i64) {
        let at = self.sections[TEXT].data.len() as u64;
        self.function(name, &[0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xc3]);
        self.rela(TEXT, at + 2, kind, symbol, addend);
    }

    /// A function that calls a symbol: push %rbp; call x; pop %rbp; ret.
    pub fn caller(&mut self, name: &str, kind: u32, symbol: u32) {
        let at = self.sections[TEXT].data.len() as u64;
        self.function(name, &[0x55, 0xe8, 0, 0, 0, 0, 0x5d, 0xc3]);
        self.rela(TEXT, at + 2, kind, symbol, -4);
    }

    /// The dynamic section that names the dependencies.
    pub fn needed(&mut self, names: &[&str], flags_1: u64) {
        let (mut strings, mut entries) = (vec![0], vec![]);
        for name in names {
            push64(&mut entries, 1);
            push64(&mut entries, strings.len() as u64);
            strings.extend_from_slice(name.as_bytes());
            strings.push(0);
        }
        push64(&mut entries, 0x6fff_fffb);
        push64(&mut entries, flags_1);
        push64(&mut entries, 0);
        push64(&mut entries, 0);
        let table = self.section(".dynstr", 3, 0, &strings);
        let dynamic = self.section(".dynamic", DYNAMIC, 0, &entries);
        self.sections[dynamic].link = table as u32;
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut sections = self.sections.clone();
        let symtab = sections.len();
        let (mut strings, mut symbols) = (vec![0], vec![]);
        for symbol in &self.symbols {
            let name = if symbol.name.is_empty() { 0 } else { strings.len() as u32 };
            if name != 0 {
                strings.extend_from_slice(symbol.name.as_bytes());
                strings.push(0);
            }
            symbols.extend_from_slice(&name.to_le_bytes());
            symbols.extend_from_slice(&[symbol.info, 0]);
            symbols.extend_from_slice(&symbol.section.to_le_bytes());
            push64(&mut symbols, symbol.value);
            push64(&mut symbols, symbol.size);
        }
        sections.push(Section {
            name: ".symtab".into(),
            kind: if self.stripped { PROGBITS } else { 2 },
            size: symbols.len() as u64,
            data: symbols,
            link: symtab as u32 + 1,
            entry: 24,
            ..Section::default()
        });
        sections.push(table(".strtab", strings));
        for target in 1..self.sections.len() {
            let mut data = vec![];
            for &(_, offset, kind, symbol, addend) in self.relocations.iter().filter(|r| r.0 == target) {
                push64(&mut data, offset);
                push64(&mut data, u64::from(symbol) << 32 | u64::from(kind));
                if !self.rel {
                    push64(&mut data, addend as u64);
                }
            }
            if !data.is_empty() {
                sections.push(Section {
                    name: format!(".rela{}", self.sections[target].name),
                    kind: if self.rel { 9 } else { 4 },
                    size: data.len() as u64,
                    data,
                    link: self.rela_link.unwrap_or(symtab as u32),
                    info: self.rela_info.unwrap_or(target as u32),
                    entry: if self.rel { 16 } else { 24 },
                    ..Section::default()
                });
            }
        }
        let mut names = vec![0];
        let mut offsets: Vec<u32> = vec![];
        for name in sections.iter().map(|s| s.name.as_str()).chain([".shstrtab"]) {
            offsets.push(if name.is_empty() { 0 } else { names.len() as u32 });
            if !name.is_empty() {
                names.extend_from_slice(name.as_bytes());
                names.push(0);
            }
        }
        sections.push(table(".shstrtab", names));

        let mut file = vec![0; 64];
        let mut places = vec![];
        for section in &sections {
            file.resize(file.len().next_multiple_of(16), 0);
            places.push(file.len() as u64);
            if section.kind != NOBITS {
                file.extend_from_slice(&section.data);
            }
        }
        file.resize(file.len().next_multiple_of(16), 0);
        let headers = file.len() as u64;
        for ((section, name), place) in sections.iter().zip(offsets).zip(places) {
            file.extend_from_slice(&name.to_le_bytes());
            file.extend_from_slice(&section.kind.to_le_bytes());
            push64(&mut file, section.flags);
            push64(&mut file, section.address);
            push64(&mut file, place);
            push64(&mut file, section.size);
            file.extend_from_slice(&section.link.to_le_bytes());
            file.extend_from_slice(&section.info.to_le_bytes());
            push64(&mut file, section.align);
            push64(&mut file, section.entry);
        }
        file[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', self.class, self.data, 1]);
        file[16..18].copy_from_slice(&self.kind.to_le_bytes());
        file[18..20].copy_from_slice(&self.machine.to_le_bytes());
        file[20] = 1;
        file[40..48].copy_from_slice(&headers.to_le_bytes());
        file[52..54].copy_from_slice(&64_u16.to_le_bytes());
        file[58..60].copy_from_slice(&64_u16.to_le_bytes());
        file[60..62].copy_from_slice(&(sections.len() as u16).to_le_bytes());
        file[62..64].copy_from_slice(&(sections.len() as u16 - 1).to_le_bytes());
        file
    }

    /// Writes it as DIR/NAME.
    pub fn write(&self, dir: &Path, name: &str) -> PathBuf {
        let file = dir.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, self.bytes()).unwrap();
        file
    }
}

fn table(name: &str, data: Vec<u8>) -> Section {
    Section { name: name.into(), kind: 3, size: data.len() as u64, data, ..Section::default() }
}

fn push64(to: &mut Vec<u8>, value: u64) {
    to.extend_from_slice(&value.to_le_bytes());
}
