//! Where a module's sections go: text, read-only data, data and common symbols each on pages of their own in one block below 2 GiB, in
//! the order of the section headers. krtld keeps text and read-only data in one block and protects neither; here text becomes
//! read-execute and read-only data read-only after relocating, which no correct module notices.
//!
//! Locking: none; while a module is being loaded one thread owns its image, afterwards nobody writes to it but the module.

use std::ops::Range;

use object::elf::SHT_NOBITS;

use crate::elf::Object;
use crate::error::Problem;
use crate::low::{Access, Block, PAGE, round_up};

/// A module's memory.
#[derive(Debug)]
pub struct Image {
    block: Block,
    /// Address of each section; None for what is not loaded.
    sections: Vec<Option<usize>>,
    text: Range<usize>,
    rodata: Range<usize>,
    data: Range<usize>,
    common: Range<usize>,
    /// Bytes of text and data as the kernel counts them (without rounding to pages).
    sizes: (usize, usize),
}

/// Lays out offsets one after the other, each aligned.
#[derive(Default)]
struct Cursor(usize);

impl Cursor {
    fn place(&mut self, size: u64, align: u64) -> usize {
        let align = usize::try_from(align.max(1)).unwrap_or(1);
        let at = self.0.next_multiple_of(align);
        self.0 = at.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
        at
    }
}

impl Image {
    /// Reserves the memory, copies the sections in, zeroes the rest. `common` holds size and alignment of each common symbol that gets
    /// space. Also returns their addresses. Everything is writable and nothing executable until [`Image::seal`].
    ///
    /// # Errors
    /// No room below 2 GiB.
    pub fn new(object: &Object, common: &[(u64, u64)]) -> Result<(Image, Vec<usize>), Problem> {
        let total: u64 = object.sections.iter().filter(|s| s.alloc()).map(|s| s.size).sum();
        if total > 1 << 30 {
            return Err(Problem::System(format!("{total} bytes of text and data do not fit below 2 GiB")));
        }
        // Blocks start at page boundaries; a section aligned to more than a page aligns its block.
        let block_align = object.sections.iter().filter(|s| s.alloc()).map(|s| s.align).max().unwrap_or(1);
        let block_align = usize::try_from(block_align).unwrap_or(PAGE).max(PAGE);
        let (mut text, mut rodata, mut data, mut rest) =
            (Cursor::default(), Cursor::default(), Cursor::default(), Cursor::default());
        let mut places = vec![None; object.sections.len()];
        for (place, section) in places.iter_mut().zip(&object.sections).filter(|(_, s)| s.alloc()) {
            let (which, cursor) = match (section.writable(), section.executable()) {
                (false, true) => (0, &mut text),
                (false, false) => (1, &mut rodata),
                (true, _) => (2, &mut data),
            };
            *place = Some((which, cursor.place(section.size, section.align)));
        }
        let common_places: Vec<usize> =
            common.iter().map(|&(size, align)| rest.place(size, align.min(PAGE as u64))).collect();
        let sizes = (text.0 + rodata.0, data.0 + rest.0);

        let lengths =
            [text.0, rodata.0, data.0, rest.0].map(|len| round_up(len).next_multiple_of(block_align));
        // One more page that nothing may touch, so that running off the end of one module is not the start of another.
        let block = Block::new(lengths.iter().sum::<usize>() + PAGE + block_align - PAGE)
            .map_err(|e| Problem::System(format!("no memory below 2 GiB for {total} bytes: {e}")))?;
        let first = block.address().next_multiple_of(block_align);
        let mut starts = [0; 4];
        let mut next = first;
        for (start, len) in starts.iter_mut().zip(lengths) {
            *start = next;
            next += len;
        }
        block
            .protect(next - block.address()..block.len(), Access::None)
            .map_err(|e| Problem::System(format!("guard page: {e}")))?;
        let sections: Vec<Option<usize>> = places
            .into_iter()
            .map(|p| p.map(|(which, offset): (usize, usize)| starts[which] + offset))
            .collect();
        let mut image = Image {
            sections,
            text: starts[0]..starts[0] + lengths[0],
            rodata: starts[1]..starts[1] + lengths[1],
            data: starts[2]..starts[2] + lengths[2],
            common: starts[3]..starts[3] + lengths[3],
            sizes,
            block,
        };
        for (index, section) in object.sections.iter().enumerate() {
            if let Some(address) = image.sections[index].filter(|_| section.kind != SHT_NOBITS) {
                image.bytes_mut(address, section.size as usize).copy_from_slice(object.contents(section));
            }
        }
        let common = common_places.into_iter().map(|offset| starts[3] + offset).collect();
        Ok((image, common))
    }

    /// Address of a section; None when it is not loaded.
    pub fn section(&self, index: usize) -> Option<usize> {
        self.sections.get(index).copied().flatten()
    }
    /// Is the address inside the module's text, data or common block.
    pub fn contains(&self, address: usize) -> bool {
        self.memory().contains(&address)
    }
    /// All of it: text, data and common block.
    pub fn memory(&self) -> Range<usize> {
        self.text.start..self.common.end
    }
    /// Returns the addresses of the instructions.
    pub fn text(&self) -> Range<usize> {
        self.text.clone()
    }
    /// Is the address inside the instructions.
    pub fn is_text(&self, address: usize) -> bool {
        self.text.contains(&address)
    }
    /// Where the module starts: what modinfo(8) shows as its load address.
    pub fn base(&self) -> usize {
        self.text.start
    }
    /// Bytes of text (with read-only data) and of data (with common symbols).
    pub fn sizes(&self) -> (usize, usize) {
        self.sizes
    }

    /// Bytes of a module that is being loaded.
    ///
    /// # Panics
    /// When they are not within one of the image's blocks.
    pub fn bytes_mut(&mut self, address: usize, len: usize) -> &mut [u8] {
        let end = address.checked_add(len).expect("a range of addresses");
        let inside = |range: &Range<usize>| range.start <= address && end <= range.end;
        assert!(
            [&self.text, &self.rodata, &self.data, &self.common].into_iter().any(inside),
            "{address:#x}+{len:#x} is outside the image"
        );
        let start = self.block.base().as_ptr().wrapping_add(address - self.block.address());
        // SAFETY: the range is inside the block, which is initialised (zero pages) and owned by this image; the module does not run
        // yet, so that nobody else touches it while the exclusive borrow lasts.
        unsafe { std::slice::from_raw_parts_mut(start, len) }
    }

    /// Protects the finished module: text read-execute, read-only data read-only.
    ///
    /// # Errors
    /// What mprotect(2) says.
    pub fn seal(&self) -> Result<(), Problem> {
        let base = self.block.address();
        let protect = |range: &Range<usize>, access| {
            self.block
                .protect(range.start - base..range.end - base, access)
                .map_err(|e| Problem::System(format!("protecting the module's pages: {e}")))
        };
        protect(&self.text, Access::ReadExecute)?;
        protect(&self.rodata, Access::Read)
    }
}
