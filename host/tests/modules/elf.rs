//! Writes small relocatable objects, right ones and deliberately broken ones.

use std::path::{Path, PathBuf};

use object::write::elf::{FileHeader, Rel, SectionHeader, Sym, Writer};
use object::{Endianness, elf};

pub const PROGBITS: u32 = elf::SHT_PROGBITS.0;
pub const NOBITS: u32 = elf::SHT_NOBITS.0;
pub const WRITE: u64 = elf::SHF_WRITE.0;
pub const ALLOC: u64 = elf::SHF_ALLOC.0;
pub const EXEC: u64 = elf::SHF_EXECINSTR.0;
pub const LOCAL: u8 = elf::STB_LOCAL.0;
pub const GLOBAL: u8 = elf::STB_GLOBAL.0;
pub const WEAK: u8 = elf::STB_WEAK.0;
pub const NOTYPE: u8 = elf::STT_NOTYPE.0;
pub const OBJECT: u8 = elf::STT_OBJECT.0;
pub const FUNC: u8 = elf::STT_FUNC.0;
pub const ABS: u16 = elf::SHN_ABS.0;
pub const COMMON: u16 = elf::SHN_COMMON.0;

pub const R_NONE: u32 = elf::R_X86_64_NONE.0;
pub const R_64: u32 = elf::R_X86_64_64.0;
pub const R_PC32: u32 = elf::R_X86_64_PC32.0;
pub const R_PLT32: u32 = elf::R_X86_64_PLT32.0;
pub const R_GOTPCREL: u32 = elf::R_X86_64_GOTPCREL.0;
pub const R_32: u32 = elf::R_X86_64_32.0;
pub const R_32S: u32 = elf::R_X86_64_32S.0;
pub const R_PC64: u32 = elf::R_X86_64_PC64.0;

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
            kind: elf::ET_REL.0,
            machine: elf::EM_X86_64.0,
            class: elf::ELFCLASS64.0,
            data: elf::ELFDATA2LSB.0,
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
            push64(&mut entries, elf::DT_NEEDED.0 as u64);
            push64(&mut entries, strings.len() as u64);
            strings.extend_from_slice(name.as_bytes());
            strings.push(0);
        }
        push64(&mut entries, elf::DT_FLAGS_1.0 as u64);
        push64(&mut entries, flags_1);
        push64(&mut entries, 0);
        push64(&mut entries, 0);
        let table = self.section(".dynstr", elf::SHT_STRTAB.0, 0, &strings);
        let dynamic = self.section(".dynamic", elf::SHT_DYNAMIC.0, 0, &entries);
        self.sections[dynamic].link = table as u32;
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut file = Vec::new();
        let mut writer = Writer::new_single_phase(Endianness::Little, true, &mut file);
        let header = FileHeader {
            os_abi: elf::ELFOSABI_NONE,
            abi_version: 0,
            e_type: elf::FileType(self.kind),
            e_machine: elf::Machine(self.machine),
            e_entry: 0,
            e_flags: elf::FileFlags(0),
        };
        writer.write_file_header(&header).unwrap();
        let symtab = self.sections.len() as u32;
        let relocated = |target| self.relocations.iter().filter(move |relocation| relocation.0 == target);
        let targets: Vec<usize> = (1..symtab as usize).filter(|&at| relocated(at).count() > 0).collect();
        let rela_names: Vec<_> =
            targets.iter().map(|&at| format!(".rela{}", self.sections[at].name)).collect();
        let mut headers = Vec::new();
        for section in &self.sections[1..] {
            let id = writer.add_section_name(section.name.as_bytes());
            let sh_offset = writer.write_align(16);
            if section.kind != NOBITS {
                writer.write(&section.data);
            }
            headers.push(SectionHeader {
                sh_name: writer.section_name_offset(Some(id)),
                sh_type: elf::SectionType(section.kind),
                sh_flags: elf::SectionFlags(section.flags),
                sh_addr: section.address,
                sh_offset,
                sh_size: section.size,
                sh_link: section.link,
                sh_info: section.info,
                sh_addralign: section.align,
                sh_entsize: section.entry,
            });
        }
        let table = |sh_name, sh_type, sh_offset, count: usize, sh_link, sh_info, sh_entsize| SectionHeader {
            sh_name,
            sh_type,
            sh_flags: elf::SectionFlags(0),
            sh_addr: 0,
            sh_offset,
            sh_size: count as u64 * sh_entsize,
            sh_link,
            sh_info,
            sh_addralign: 8,
            sh_entsize,
        };
        let (symbols, count) = (writer.write_null_symbol(), self.symbols.len());
        for symbol in &self.symbols[1..] {
            let id = (!symbol.name.is_empty()).then(|| writer.add_string(symbol.name.as_bytes()));
            let symbol = Sym {
                section: None,
                st_name: writer.string_offset(id),
                st_info: elf::SymbolInfo(symbol.info),
                st_other: elf::SymbolOther(0),
                st_shndx: elf::SymbolSection(symbol.section),
                st_value: symbol.value,
                st_size: symbol.size,
            };
            writer.write_symbol(&symbol);
        }
        writer.write_strtab().unwrap();
        let (kind, entry) = if self.rel { (elf::SHT_REL, 16) } else { (elf::SHT_RELA, 24) };
        let mut relas = Vec::new();
        for (&target, name) in targets.iter().zip(&rela_names) {
            let id = writer.add_section_name(name.as_bytes());
            let offset = writer.write_align_relocation();
            for &(_, r_offset, kind, r_sym, r_addend) in relocated(target) {
                let r_type = elf::RelocationType(kind);
                writer.write_relocation(!self.rel, &Rel { r_offset, r_sym, r_type, r_addend });
            }
            let (link, info) = (self.rela_link.unwrap_or(symtab), self.rela_info.unwrap_or(target as u32));
            let name = writer.section_name_offset(Some(id));
            relas.push(table(name, kind, offset, relocated(target).count(), link, info, entry));
        }
        let symtab_name = writer.add_section_name(b".symtab");
        writer.write_shstrtab().unwrap();
        writer.write_null_section_header();
        for header in &headers {
            writer.write_section_header(header);
        }
        let kind = if self.stripped { elf::SHT_PROGBITS } else { elf::SHT_SYMTAB };
        let name = writer.section_name_offset(Some(symtab_name));
        writer.write_section_header(&table(name, kind, symbols, count, symtab + 1, 0, 24));
        writer.write_strtab_section_header();
        for header in &relas {
            writer.write_section_header(header);
        }
        writer.write_shstrtab_section_header();
        let mut header = Vec::new();
        writer.write_file_header_to(&mut header).unwrap();
        file[..header.len()].copy_from_slice(&header);
        // What the library writes right.
        file[4..6].copy_from_slice(&[self.class, self.data]);
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

fn push64(to: &mut Vec<u8>, value: u64) {
    to.extend_from_slice(&value.to_le_bytes());
}
