//! An ELF64 relocatable object, read the way the kernel's loader reads it: section headers, one symbol table, RELA.

/// Section types. Contents are the program's.
pub const SHT_PROGBITS: u32 = 1;
/// The symbol table.
pub const SHT_SYMTAB: u32 = 2;
/// A string table.
pub const SHT_STRTAB: u32 = 3;
/// Relocations with addends.
pub const SHT_RELA: u32 = 4;
/// A dynamic section.
pub const SHT_DYNAMIC: u32 = 6;
/// Zeroed memory.
pub const SHT_NOBITS: u32 = 8;
/// Relocations without addends.
pub const SHT_REL: u32 = 9;

/// Writable.
pub const SHF_WRITE: u64 = 1;
/// Loaded.
pub const SHF_ALLOC: u64 = 2;
/// Code.
pub const SHF_EXECINSTR: u64 = 4;
/// Thread-local.
pub const SHF_TLS: u64 = 0x400;

/// Undefined.
pub const SHN_UNDEF: u16 = 0;
/// An absolute value.
pub const SHN_ABS: u16 = 0xfff1;
/// Common.
pub const SHN_COMMON: u16 = 0xfff2;

/// Code.
pub const STT_FUNC: u8 = 2;
/// A section's own symbol.
pub const STT_SECTION: u8 = 3;
/// Thread-local.
pub const STT_TLS: u8 = 6;
/// Indirect function.
pub const STT_GNU_IFUNC: u8 = 10;

/// Visible in this file only.
pub const STB_LOCAL: u8 = 0;
/// Visible, but may be missing.
pub const STB_WEAK: u8 = 2;

/// A section.
pub struct Section {
    /// Its name, "" when that cannot be read.
    pub name: String,
    /// `sh_type`.
    pub kind: u32,
    /// `sh_flags`.
    pub flags: u64,
    /// `sh_addr`.
    pub address: u64,
    /// `sh_size`.
    pub size: u64,
    /// `sh_link`.
    pub link: u32,
    /// `sh_info`.
    pub info: u32,
    /// `sh_addralign`.
    pub align: u64,
    /// `sh_entsize`.
    pub entry_size: u64,
    /// What the file has, nothing for `SHT_NOBITS`.
    pub data: Vec<u8>,
}

impl Section {
    /// Whether the loader puts it into memory.
    pub fn is_loaded(&self) -> bool {
        self.flags & SHF_ALLOC != 0
    }

    /// Whether it is loaded code.
    pub fn is_code(&self) -> bool {
        self.is_loaded() && self.flags & SHF_EXECINSTR != 0
    }
}

/// A symbol.
#[derive(Clone)]
pub struct Symbol {
    /// Its name; a section's symbol has the section's.
    pub name: String,
    /// `STT_`.
    pub kind: u8,
    /// `STB_`.
    pub binding: u8,
    /// `st_shndx`.
    pub section: u16,
    /// `st_value`: bytes from the section's start.
    pub value: u64,
    /// `st_size`.
    pub size: u64,
}

impl Symbol {
    /// Whether it has a place in this file.
    pub fn is_defined(&self) -> bool {
        self.section != SHN_UNDEF && self.section != SHN_COMMON
    }

    /// Whether other modules cannot see it.
    pub fn is_local(&self) -> bool {
        self.binding == STB_LOCAL
    }
}

/// A relocation.
pub struct Relocation {
    /// The section that it changes.
    pub section: usize,
    /// Bytes from that section's start.
    pub offset: u64,
    /// `R_AMD64_`.
    pub kind: u32,
    /// Index into the symbol table.
    pub symbol: usize,
    /// The addend.
    pub addend: i64,
}

/// A module.
pub struct Image {
    /// All sections, the null section first.
    pub sections: Vec<Section>,
    /// All symbols, the null symbol first.
    pub symbols: Vec<Symbol>,
    /// All relocations, in the file's order.
    pub relocations: Vec<Relocation>,
}

impl Image {
    /// "name+0x12" for a place in a section, by the function or object that it is in.
    pub fn place(&self, section: usize, offset: u64) -> String {
        let within = self.symbols.iter().find(|symbol| {
            usize::from(symbol.section) == section
                && symbol.kind != STT_SECTION
                && !symbol.name.is_empty()
                && symbol.value <= offset
                && offset - symbol.value < symbol.size
        });
        match within {
            Some(symbol) if symbol.value == offset => readable(&symbol.name),
            Some(symbol) => format!("{}+{:#x}", readable(&symbol.name), offset - symbol.value),
            None => format!("{}+{offset:#x}", self.sections[section].name),
        }
    }

    /// Bytes of the text block and of the data block, as the loader counts them.
    pub fn sizes(&self) -> (u64, u64) {
        let loaded = self.sections.iter().filter(|section| section.is_loaded());
        loaded.fold((0_u64, 0_u64), |(text, data), section| match section.flags & SHF_WRITE {
            0 => (text.saturating_add(section.size), data),
            _ => (text, data.saturating_add(section.size)),
        })
    }
}

/// A Rust symbol as the source has it, anything else as it is.
pub fn readable(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// Little-endian numbers out of bytes.
pub struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let at = usize::try_from(at).ok()?;
        self.0.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    /// 16 bits at an offset.
    pub fn u16(&self, at: u64) -> Option<u16> {
        self.bytes(at).map(u16::from_le_bytes)
    }

    /// 32 bits at an offset.
    pub fn u32(&self, at: u64) -> Option<u32> {
        self.bytes(at).map(u32::from_le_bytes)
    }

    /// 64 bits at an offset.
    pub fn u64(&self, at: u64) -> Option<u64> {
        self.bytes(at).map(u64::from_le_bytes)
    }

    /// A string that ends with NUL.
    pub fn string(&self, at: u64) -> Option<String> {
        let rest = self.0.get(usize::try_from(at).ok()?..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&rest[..end]).into_owned())
    }
}
