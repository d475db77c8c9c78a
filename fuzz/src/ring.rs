//! Recordings: what is read, written as a recording and read again, is the same; and each format can be made of it.
//!
//! An input is a recording with its blocks cut short, or the beginning of one: see [`recording`].

use std::io::Write;
use std::sync::OnceLock;

use ddi_timeline::story::Story;
use ddi_timeline::{answers, json, page, perfetto};
use ddi_trace::{Follow, Trace};

use crate::scratch::Scratch;

/// Most bytes of an input.
pub const MOST: usize = 8192;

/// Bytes of a recording's header, and those that an input has of it: all that it uses.
const HEADER: [usize; 2] = [4096, 64];
/// The same of a block: twelve slots.
const BLOCK: [usize; 2] = [64 << 10, 64 + 12 * 88];

/// # Panics
/// An assertion fails.
pub fn target(data: &[u8]) {
    let scratch = Scratch::new();
    let file = recording(data);
    // The first byte of the header's last word cuts the file off.
    let cut = data.get(63).map_or(0, |cut| usize::from(*cut) << 8);
    scratch.put(&file[..file.len().saturating_sub(cut)]);
    let read = Trace::read(scratch.path());
    if let Ok(mut follow) = Follow::open(scratch.path())
        && let Ok(first) = follow.read()
    {
        let whole = read.as_ref().expect("what can be followed can be read");
        assert_eq!((&first.records, &first.texts), (&whole.records, &whole.texts));
        let more = follow.read().expect("nothing has changed");
        assert!(more.records.is_empty() && more.texts.is_empty());
    }
    match read {
        Ok(trace) => {
            assert!(trace.records.len() * 88 <= file.len());
            assert!(trace.texts.iter().map(|text| text.text.len()).sum::<usize>() <= 3 * file.len());
            written(&trace);
            told(trace);
        }
        Err(error) => assert!(error.to_string().starts_with("/proc/self/fd/"), "{error}"),
    }
}

/// Returns the file that an input stands for: what header and blocks have more is zero.
pub fn recording(data: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let (header, blocks) = data.split_at(data.len().min(HEADER[1]));
    let parts =
        std::iter::once((header, HEADER[0])).chain(blocks.chunks(BLOCK[1]).map(|part| (part, BLOCK[0])));
    for (part, len) in parts {
        let end = file.len() + len;
        file.extend(part);
        file.resize(end, 0);
    }
    file
}

/// Checks that a trace survives being written.
pub fn written(trace: &Trace) {
    let scratch = Scratch::new();
    trace.write(scratch.path()).expect("a file in memory can be written");
    let again = Trace::read(scratch.path()).expect("what was written can be read");
    assert_eq!(again.records, trace.records);
    assert_eq!(again.texts, trace.texts);
    let rest = |t: &Trace| (t.overwritten, t.refused, t.started, t.date, t.ended);
    assert_eq!(rest(&again), rest(trace));
}

/// Bytes that are not kept.
struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Makes each format of a trace.
pub fn told(trace: Trace) {
    let events = trace.records.len();
    let spent: usize =
        events * 4096 + trace.texts.iter().map(|text| 64 + text.text.len()).sum::<usize>() * 64;
    assert!(!answers(trace.clone()).is_empty());
    let story = Story::of(trace);
    let mut lines = Vec::new();
    json::write(&story, &mut lines).expect("memory");
    let lines: Vec<&[u8]> = lines.strip_suffix(b"\n").expect("lines").split(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), events + 1);
    for line in lines {
        let value: serde_json::Value = serde_json::from_slice(line).expect("JSON");
        assert!(value.is_object());
    }
    let mut count = Count(0);
    perfetto::write(&story, &mut count).expect("memory");
    assert!(count.0 <= spent + (1 << 20), "{} bytes for {events} events", count.0);
    let mut html = Vec::new();
    page::write(&story, &mut html).expect("memory");
    let scripts = |html: &[u8]| {
        let html = std::str::from_utf8(html).expect("text");
        let after = html.match_indices('<').filter_map(|(at, _)| html.as_bytes().get(at + 1..at + 7));
        after.filter(|word| word.eq_ignore_ascii_case(b"script")).count()
    };
    static EMPTY: OnceLock<usize> = OnceLock::new();
    let empty = EMPTY.get_or_init(|| {
        let mut html = Vec::new();
        page::write(&Story::default(), &mut html).expect("memory");
        scripts(&html)
    });
    assert_eq!(scripts(&html), *empty, "a name has become a script");
}
