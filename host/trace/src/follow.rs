//! Reads a file of rings while it is written: what is new since the last look.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::form::{BLOCK, BLOCK_HEADER, HEADER, SLOTS, at, block, state};
use crate::read::{ReadError, Trace, header, words};

/// Blocks behind the last one in use that are looked at: threads take them in order, but not at once.
const AHEAD: u64 = 64;

/// A reader's place in a recording that goes on.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    file: File,
    blocks: u64,
    /// Extent to which each block was read.
    seen: Vec<Seen>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Number of times that the block was taken.
    taken: u64,
    /// Slots that were read.
    used: usize,
}

impl Follow {
    /// Opens a recording, before its first event. The file may be replaced meanwhile; the one that was opened is read.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn open(path: &Path) -> Result<Follow, ReadError> {
        let mut file = File::open(path).map_err(|error| ReadError::File { file: path.to_owned(), error })?;
        let blocks = header(&mut file, path)?[at::BLOCKS];
        Ok(Follow { path: path.to_owned(), file, blocks, seen: Vec::new() })
    }

    /// Returns what was recorded since the last call. `overwritten` are the events that were not read in time.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&mut self) -> Result<Trace, ReadError> {
        let failed = |error| ReadError::File { file: self.path.clone(), error };
        let mut bytes = vec![0; HEADER as usize];
        self.file.read_exact_at(&mut bytes, 0).map_err(failed)?;
        let head: Vec<u64> = words(&bytes).collect();
        let mut trace = Trace {
            started: head[at::STARTED],
            date: head[at::DATE],
            refused: head[at::REFUSED],
            ended: head[at::ENDED] != 0,
            ..Trace::default()
        };
        let mut bytes = vec![0; BLOCK as usize];
        let mut last = 0;
        for number in 0..self.blocks {
            if number > last + AHEAD {
                break;
            }
            let place = HEADER + number * BLOCK;
            let (short, _) = bytes.split_at_mut(8 * BLOCK_HEADER);
            self.file.read_exact_at(short, place).map_err(failed)?;
            let now = seen(short);
            if words(short).nth(block::STATE) == Some(state::FREE) {
                continue;
            }
            last = number;
            let index = number as usize;
            if self.seen.len() <= index {
                self.seen.resize(index + 1, Seen::default());
            }
            let before = self.seen[index];
            if now == before {
                continue;
            }
            self.file.read_exact_at(&mut bytes, place).map_err(failed)?;
            // A thread may have taken it meanwhile, and begun to overwrite it.
            let (read, mut again) = (seen(&bytes), [0; 8 * BLOCK_HEADER]);
            self.file.read_exact_at(&mut again, place).map_err(failed)?;
            let from = if read.taken == before.taken { before.used } else { 0 };
            if seen(&again).taken != read.taken || read.used < from {
                continue;
            }
            if read.taken > before.taken {
                // All that was in it each time, but for the first: nothing.
                let times = read.taken - before.taken - u64::from(before.taken == 0);
                let missed = times.saturating_mul(SLOTS as u64).saturating_sub(before.used as u64);
                trace.overwritten = trace.overwritten.saturating_add(missed);
            }
            trace.block(&words(&bytes).collect::<Vec<u64>>(), from);
            self.seen[index] = read;
        }
        trace.sort();
        Ok(trace)
    }
}

/// Returns the extent to which a block with this header is written.
fn seen(bytes: &[u8]) -> Seen {
    let word = |word| words(bytes).nth(word).unwrap_or(0);
    Seen { taken: word(block::TAKEN), used: (word(block::COUNT) as usize).min(SLOTS) }
}
