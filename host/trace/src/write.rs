//! Writes a trace as a file of rings: one that came to be in another way than by recording.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::form::{
    BLOCK, BLOCK_HEADER, HEADER, MAGIC, SLOT, SLOTS, VERSION, at, block, encode, head, put_text, slots, state,
};
use crate::read::Trace;
use crate::ring::LONGEST;

impl Trace {
    /// Writes the trace to a file, which is replaced.
    ///
    /// # Errors
    /// The error of the file.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut blocks = Blocks::default();
        for text in &self.texts {
            let bytes = &text.text.as_bytes()[..text.text.floor_char_boundary(LONGEST)];
            blocks.room(slots(bytes.len()), state::TEXTS);
            blocks.put(&head(text.about, text.id, text.words, bytes.len()));
            put_text(bytes, |slot| blocks.put(slot));
        }
        for record in &self.records {
            blocks.room(1, state::FULL);
            blocks.put(&encode(record.stamp, record.event.encode()));
        }
        let mut header = [0; HEADER as usize / 8];
        header[at::MAGIC] = MAGIC;
        header[at::VERSION] = VERSION;
        header[at::BLOCKS] = blocks.0.len() as u64;
        header[at::OVERWRITTEN] = self.overwritten;
        header[at::REFUSED] = self.refused;
        header[at::STARTED] = self.started;
        header[at::DATE] = self.date;
        header[at::ENDED] = self.ended.into();
        let mut file = BufWriter::new(File::create(path)?);
        for words in std::iter::once(&header[..]).chain(blocks.0.iter().map(|(_, words)| &words[..])) {
            for word in words {
                file.write_all(&word.to_ne_bytes())?;
            }
        }
        file.flush()
    }
}

/// Blocks with the slots that are in use.
#[derive(Default)]
struct Blocks(Vec<(usize, Vec<u64>)>);

impl Blocks {
    /// Makes sure that the last block is one of this kind and has room for so many slots.
    fn room(&mut self, needed: usize, kind: u64) {
        let fits = |(used, words): &(usize, Vec<u64>)| words[block::STATE] == kind && used + needed <= SLOTS;
        if !self.0.last().is_some_and(fits) {
            let mut words = vec![0; BLOCK as usize / 8];
            (words[block::STATE], words[block::TAKEN]) = (kind, 1);
            self.0.push((0, words));
        }
    }

    fn put(&mut self, slot: &[u64; SLOT]) {
        let Some((used, words)) = self.0.last_mut() else { return };
        let at = BLOCK_HEADER + *used * SLOT;
        words[at..at + SLOT].copy_from_slice(slot);
        *used += 1;
        words[block::COUNT] = *used as u64;
    }
}
