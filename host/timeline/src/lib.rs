//! Traces of a DDI kernel for people: what [`ddi_trace`] has recorded, with names, code and causes, in formats that other programs read.
//!
//! Works on a file when the run is over, or was killed; uses `ddi-trace` only, and nothing of the host uses it but the commands.

pub mod answers;
pub mod dtrace;
pub mod engines;
pub mod json;
pub mod links;
pub mod live;
pub mod page;
pub mod panels;
pub mod perfetto;
pub mod story;
pub mod symbols;

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use ddi_trace::{ReadError, Trace};

/// Formats of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Perfetto's protobuf.
    Perfetto,
    /// JSON lines.
    Json,
    /// A page for a browser.
    Page,
    /// The file of rings, as it is recorded.
    Ring,
}

impl Format {
    /// Returns the format that a file's name asks for: `.json`, `.jsonl` and `.ndjson` are JSON lines, `.html` and `.htm` a page, `.ring` is the file of
    /// rings, all else Perfetto's.
    pub fn of(file: &Path) -> Format {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("json" | "jsonl" | "ndjson") => Format::Json,
            Some("html" | "htm") => Format::Page,
            Some("ring") => Format::Ring,
            _ => Format::Perfetto,
        }
    }
}

/// The format is none of those that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown trace format (use perfetto, json, page or ring)")]
pub struct UnknownFormat;

impl std::str::FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Format, UnknownFormat> {
        match name {
            "perfetto" => Ok(Format::Perfetto),
            "json" => Ok(Format::Json),
            "page" => Ok(Format::Page),
            "ring" => Ok(Format::Ring),
            _ => Err(UnknownFormat),
        }
    }
}

/// Why a trace is not converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The other file cannot be written.
    #[error("{}: {error}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Returns the [answers](mod@answers) from a trace as a text.
pub fn answers(trace: Trace) -> String {
    panels::text(&story::Story::of(trace))
}

/// Numbers of a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Converted {
    /// Events.
    pub events: u64,
    /// Events that later ones have overwritten.
    pub overwritten: u64,
    /// Events for which there was no room.
    pub refused: u64,
}

/// Converts a file of rings: see [`write()`].
///
/// # Errors
/// See [`ConvertError`].
pub fn convert(from: &Path, to: &Path, format: Format) -> Result<Converted, ConvertError> {
    write(Trace::read(from)?, to, format)
}

/// Writes a trace to a file. `to` has the whole of it or what it had before, and may be the file that the trace was read from.
///
/// # Errors
/// See [`ConvertError`]; not [`Read`](ConvertError::Read).
pub fn write(trace: Trace, to: &Path, format: Format) -> Result<Converted, ConvertError> {
    let (events, overwritten, refused) = (trace.records.len() as u64, trace.overwritten, trace.refused);
    let failed = |error| ConvertError::Write { file: to.to_owned(), error };
    let mut name = to.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?.to_owned();
    name.push(".part");
    let part = to.with_file_name(name);
    let written = || {
        let out = || Ok::<_, io::Error>(BufWriter::new(File::create(&part)?));
        match format {
            Format::Perfetto => perfetto::write(&story::Story::of(trace), &mut out()?)?,
            Format::Json => json::write(&story::Story::of(trace), &mut out()?)?,
            Format::Page => page::write(&story::Story::of(trace), &mut out()?)?,
            Format::Ring => trace.write(&part)?,
        }
        std::fs::rename(&part, to)
    };
    written().map_err(|error| {
        let _ = std::fs::remove_file(&part);
        failed(error)
    })?;
    Ok(Converted { events, overwritten, refused })
}
