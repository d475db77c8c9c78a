//! Reads a file of rings: one that is complete, or that of a process which was killed, or still runs.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::form::{
    BLOCK, BLOCK_HEADER, HEADER, MAGIC, Record, SLOT, SLOTS, Slot, Text, VERSION, at, block, decode, slots,
    state,
};
use crate::ring::LONGEST;

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{}: {error}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is something else.
    #[error("{}: not a trace that ddi-host recorded; name a file of ddi-host run --trace FILE --trace-format ring", .0.display())]
    NotATrace(PathBuf),
    /// The file is of another version.
    #[error("{}: a trace of version {version}; this ddi-host reads version {VERSION}", file.display())]
    Version {
        /// The file.
        file: PathBuf,
        /// The version.
        version: u64,
    },
}

/// A trace.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The events in the order of their begins. The end of each, its begin and its duration, is a number.
    pub records: Vec<Record>,
    /// The texts.
    pub texts: Vec<Text>,
    /// Events that later ones have overwritten.
    pub overwritten: u64,
    /// Events and texts for which there was no room, or that this version does not know.
    pub refused: u64,
    /// Begin of the trace, in nanoseconds of CLOCK_MONOTONIC.
    pub started: u64,
    /// The same in nanoseconds since 1970.
    pub date: u64,
    /// The process that wrote the trace ended it; it was not killed.
    pub ended: bool,
}

pub(crate) fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default()))
}

/// Reads the header of a file.
pub(crate) fn header(file: &mut File, path: &Path) -> Result<Vec<u64>, ReadError> {
    let mut header = Vec::with_capacity(HEADER as usize);
    let read = file.take(HEADER).read_to_end(&mut header);
    read.map_err(|error| ReadError::File { file: path.to_owned(), error })?;
    let header: Vec<u64> = words(&header).collect();
    if header.first() != Some(&MAGIC) || header.len() * 8 != HEADER as usize {
        return Err(ReadError::NotATrace(path.to_owned()));
    }
    if header[at::VERSION] != VERSION {
        return Err(ReadError::Version { file: path.to_owned(), version: header[at::VERSION] });
    }
    Ok(header)
}

impl Trace {
    /// Reads a file.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(path: &Path) -> Result<Trace, ReadError> {
        let failed = |error| ReadError::File { file: path.to_owned(), error };
        let mut file = File::open(path).map_err(failed)?;
        let header = header(&mut file, path)?;
        let mut trace = Trace {
            overwritten: header[at::OVERWRITTEN],
            refused: header[at::REFUSED],
            started: header[at::STARTED],
            date: header[at::DATE],
            ended: header[at::ENDED] != 0,
            ..Trace::default()
        };
        // A file that was cut off has what is left of it.
        let there = file.metadata().map_err(failed)?.len().saturating_sub(HEADER) / BLOCK;
        let mut bytes = vec![0; BLOCK as usize];
        for number in 0..header[at::BLOCKS].min(there) {
            let place = HEADER + number * BLOCK;
            let (head, _) = bytes.split_at_mut(8 * BLOCK_HEADER);
            file.read_exact_at(head, place).map_err(failed)?;
            if words(head).nth(block::STATE) != Some(state::FREE) {
                file.read_exact_at(&mut bytes, place).map_err(failed)?;
                trace.block(&words(&bytes).collect::<Vec<u64>>(), 0);
            }
        }
        trace.sort();
        Ok(trace)
    }

    /// Puts the events into the order of their begins.
    pub(crate) fn sort(&mut self) {
        self.records.sort_by_key(|record| (record.stamp.time, std::cmp::Reverse(record.stamp.duration)));
    }

    /// Takes what a block has from this slot on.
    pub(crate) fn block(&mut self, block: &[u64], from: usize) {
        let used = (block[block::COUNT] as usize).min(SLOTS);
        let slot = |number: usize| -> [u64; SLOT] {
            std::array::from_fn(|word| block[BLOCK_HEADER + number * SLOT + word])
        };
        let mut number = from;
        while number < used {
            match decode(slot(number)) {
                // What has no end is damaged.
                Slot::Record(record) if record.stamp.time.checked_add(record.stamp.duration).is_some() => {
                    self.records.push(record);
                }
                Slot::Record(_) | Slot::Unknown => self.refused = self.refused.saturating_add(1),
                Slot::Text(about, id, words, length) => {
                    let needed = slots(length.min(BLOCK as usize));
                    if length > LONGEST || number + needed > used {
                        self.refused = self.refused.saturating_add(1);
                        break;
                    }
                    let all = (number + 1..number + needed).flat_map(slot).flat_map(u64::to_ne_bytes);
                    let bytes: Vec<u8> = all.take(length).collect();
                    let mut text = String::from_utf8_lossy(&bytes).into_owned();
                    text.truncate(text.floor_char_boundary(LONGEST));
                    self.texts.push(Text { about, id, words, text });
                    number += needed - 1;
                }
            }
            number += 1;
        }
    }
}
