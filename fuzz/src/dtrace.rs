//! The output of docs/dtrace/events.d: a wrong line is reported with its number, and the rest converts to a recording.

use std::path::Path;

use ddi_timeline::dtrace::{self, DtraceError};

use crate::ring;

/// Most bytes of an input.
pub const MOST: usize = 4096;

/// # Panics
/// An assertion fails.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match dtrace::parse(text, Path::new("events")) {
        Ok(trace) => {
            let lines = text.lines().count();
            assert!(trace.records.len() <= 5 * lines && trace.texts.len() <= 3 * lines, "more than was said");
            assert_eq!((trace.overwritten, trace.refused), (0, 0));
            ring::written(&trace);
            ring::told(trace);
        }
        Err(DtraceError::Head(file)) => assert_eq!(file, Path::new("events")),
        Err(DtraceError::Line { line, text: said, .. }) => {
            assert_eq!(text.lines().nth(line - 1), Some(&*said))
        }
        Err(error) => panic!("{error}"),
    }
}
