//! The events as the page reads them: a head as JSON, and columns of numbers, compressed, as base64.
//!
//! A number is a varint: seven bits a byte, the lowest first, and the eighth says that more follow. Columns of what each event has, in the events' order:
//!
//! | column | of each event |
//! | --- | --- |
//! | `kind` | a byte: number of the kind; [`DRIVER`] more of a wait in a driver |
//! | `time` | nanoseconds since the event before |
//! | `duration` | nanoseconds |
//! | `lane` | index of the lane |
//! | `cause` | how many events before is the call or fault that it is part of; 0: none. Zigzag: odd ones are behind |
//! | `device` | index of the device's name; 0: none |
//! | `arguments` | the kind's fields, as the head lists them |
//! | `starts` | of each [`GROUP`] events: bytes of their arguments |
//!
//! `marks` has what processes lost to others: events since the last such unload, and the index of the process. `turns` has of each engine: number of
//! turns; of each: events since the grant before, and nanoseconds between its end and the next one's begin (the last one's: the trace's end).

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use ddi_trace::{Event, For, KINDS};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use crate::engines::{Engine, Turns};
use crate::links::reasons;
use crate::story::{Story, Told};
use crate::symbols::Code;

/// Events whose arguments are found together.
const GROUP: usize = 64;
/// Bit of a kind.
const DRIVER: u8 = 0x80;
/// Windows of the overview.
const WINDOWS: usize = 480;

/// Fields that the page has beside an event's own, by the name of the kind. Types: `back`, `ahead` are numbers of events; `process` and `place` are indices
/// plus one. 0: not there.
const MORE: [(&str, &[(&str, &str)]); 4] = [
    ("Fault", &[("place", "place"), ("because", "back")]),
    ("Grant", &[("switched", "bool"), ("taken_from", "process")]),
    ("Unload", &[("whose", "process"), ("missed", "ahead")]),
    ("Load", &[("whose", "process")]),
];

#[derive(Serialize)]
struct Head<'a> {
    events: usize,
    /// Begin of the recording, in milliseconds since 1970; 0: not known.
    date: u64,
    /// Nanoseconds from the first event's begin to the last end.
    length: u64,
    group: usize,
    devices: Vec<&'a str>,
    processes: Vec<Process<'a>>,
    lanes: &'a [Lane],
    kinds: Vec<Kind>,
    places: &'a [&'a Code],
    mistakes: BTreeMap<u64, &'a str>,
    probes: BTreeMap<u64, &'a str>,
    engines: Vec<&'a str>,
    overview: Overview,
}

#[derive(Serialize)]
struct Process<'a> {
    pid: u32,
    name: &'a str,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize)]
struct Lane {
    /// Index of the process; `None`: the kernel, or a device.
    process: Option<usize>,
    thread: u32,
    /// Index of the device's name, of what a device does.
    device: usize,
}

#[derive(Serialize)]
struct Kind {
    number: u16,
    name: String,
    fields: Vec<(&'static str, &'static str)>,
}

/// Counts for the time before all events are read.
#[derive(Serialize)]
struct Overview {
    faults: Vec<u32>,
    switches: Vec<u32>,
}

/// Numbers of what events refer to.
pub struct Numbers<'a> {
    devices: HashMap<u64, usize>,
    processes: HashMap<u32, usize>,
    lanes: HashMap<Lane, usize>,
    /// In the order of their numbers.
    all_lanes: Vec<Lane>,
    places: HashMap<&'a Code, usize>,
    all_places: Vec<&'a Code>,
}

impl<'a> Numbers<'a> {
    /// Numbers the devices, processes, lanes and places of a trace.
    pub fn of(story: &'a Story) -> Numbers<'a> {
        let mut numbers = Numbers {
            devices: story.devices.keys().zip(1..).map(|(id, index)| (*id, index)).collect(),
            processes: story.processes.keys().zip(0..).map(|(id, index)| (*id, index)).collect(),
            lanes: HashMap::new(),
            all_lanes: Vec::new(),
            places: HashMap::new(),
            all_places: Vec::new(),
        };
        for told in &story.events {
            let lane = numbers.lane(told);
            if !numbers.lanes.contains_key(&lane) {
                numbers.lanes.insert(lane, numbers.all_lanes.len());
                numbers.all_lanes.push(lane);
            }
            if let Some(code) = told.code.as_deref()
                && !numbers.places.contains_key(code)
            {
                numbers.places.insert(code, numbers.all_places.len());
                numbers.all_places.push(code);
            }
        }
        numbers
    }

    fn device(&self, id: u64) -> usize {
        self.devices.get(&id).copied().unwrap_or(0)
    }

    fn lane(&self, told: &Told) -> Lane {
        let of_device = matches!(told.event, Event::Interrupt { .. } | Event::Dma { .. });
        let device = if of_device { self.device(told.device) } else { 0 };
        match self.processes.get(&told.stamp.process) {
            Some(process) if device == 0 => {
                Lane { process: Some(*process), thread: told.stamp.thread, device }
            }
            _ => Lane { process: None, thread: 0, device },
        }
    }

    /// Returns the index of a process plus one; 0 if it is not known.
    fn process(&self, id: u64) -> u64 {
        let id = u32::try_from(id).unwrap_or(0);
        self.processes.get(&id).map_or(0, |index| *index as u64 + 1)
    }
}

/// Returns the head as JSON, which may stand in a script element.
pub fn head(story: &Story, engines: &BTreeMap<Engine, Turns>, numbers: &Numbers<'_>) -> io::Result<String> {
    let kind = |kind: &ddi_trace::Kind| {
        let more = MORE.iter().find(|(name, _)| *name == kind.name).map_or(&[][..], |(_, more)| more);
        Kind { number: kind.number, name: words(kind.name), fields: [kind.fields, more].concat() }
    };
    let head = Head {
        events: story.events.len(),
        date: story.date / 1_000_000,
        length: story.end() - story.begin(),
        group: GROUP,
        devices: std::iter::once("").chain(story.devices.values().map(String::as_str)).collect(),
        processes: story.processes.values().map(|of| Process { pid: of.pid, name: &of.name }).collect(),
        lanes: &numbers.all_lanes,
        kinds: KINDS.iter().map(kind).collect(),
        places: &numbers.all_places,
        mistakes: story.mistakes.iter().map(|(number, text)| (*number, text.as_str())).collect(),
        probes: story.probes.iter().map(|(number, name)| (*number, name.as_str())).collect(),
        engines: engines.keys().map(|engine| story.device(engine.device)).collect(),
        overview: overview(story, engines),
    };
    // Nothing in it ends the element, or begins a comment.
    Ok(serde_json::to_string(&head)?.replace('<', "\\u003c"))
}

/// Returns the name of a variant as words: "poll wake".
fn words(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

fn overview(story: &Story, engines: &BTreeMap<Engine, Turns>) -> Overview {
    let (begin, length) = (story.begin(), (story.end() - story.begin()).max(1));
    let window = |time: u64| {
        (u128::from(time - begin) * WINDOWS as u128 / u128::from(length)).min(WINDOWS as u128 - 1) as usize
    };
    let mut overview = Overview { faults: vec![0; WINDOWS], switches: vec![0; WINDOWS] };
    for told in story.events.iter().filter(|told| matches!(told.event, Event::Fault { .. })) {
        overview.faults[window(told.stamp.time)] += 1;
    }
    for turn in engines.values().flat_map(|turns| &turns.turns) {
        overview.switches[window(turn.begin)] += 1;
    }
    overview
}

fn varint(mut number: u64, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Writes a column as an element.
fn column(name: &str, bytes: &[u8], to: &mut impl Write) -> io::Result<()> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::new(6));
    packed.write_all(bytes)?;
    writeln!(to, "<script type=\"application/octet-stream\" id=\"column-{name}\">")?;
    // Parts of whole threes: only the last one is filled up.
    for part in packed.finish()?.chunks(3 << 14) {
        to.write_all(&base64(part))?;
    }
    writeln!(to, "</script>")
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let all = byte(0) << 16 | byte(1) << 8 | byte(2);
        let letter = |at: usize| match at <= three.len() {
            true => LETTERS[(all >> (18 - 6 * at) & 63) as usize],
            false => b'=',
        };
        out.extend((0..4).map(letter));
    }
    out
}

/// Writes the columns.
pub fn columns(
    story: &Story,
    engines: &BTreeMap<Engine, Turns>,
    numbers: &Numbers<'_>,
    to: &mut impl Write,
) -> io::Result<()> {
    let each = |name: &str, to: &mut _, of: &dyn Fn(usize) -> u64| {
        let mut bytes = Vec::with_capacity(story.events.len());
        (0..story.events.len()).for_each(|index| varint(of(index), &mut bytes));
        column(name, &bytes, to)
    };
    let stamp = |index: usize| &story.events[index].stamp;
    let kind = |told: &Told| match told.event {
        Event::Wait { what: For::Driver, .. } => told.event.encode().0 as u8 | DRIVER,
        event => event.encode().0 as u8,
    };
    column("kind", &story.events.iter().map(kind).collect::<Vec<u8>>(), to)?;
    let before = |index: usize| if index == 0 { story.begin() } else { stamp(index - 1).time };
    each("time", to, &|index| stamp(index).time - before(index))?;
    each("duration", to, &|index| stamp(index).duration)?;
    each("lane", to, &|index| numbers.lanes[&numbers.lane(&story.events[index])] as u64)?;
    each("cause", to, &|index| match story.events[index].cause {
        None => 0,
        Some(cause) if cause < index => 2 * (index - cause) as u64,
        Some(cause) => 2 * (cause - index) as u64 - 1,
    })?;
    each("device", to, &|index| numbers.device(story.events[index].device) as u64)?;
    arguments(story, numbers, to)?;
    let (mut marks, mut last) = (Vec::new(), 0);
    for (index, told) in story.events.iter().enumerate() {
        let Event::Unload { of, .. } = told.event else { continue };
        let Some(process) = u32::try_from(of).ok().filter(|of| *of != told.stamp.process) else { continue };
        if let Some(process) = numbers.processes.get(&process) {
            varint((index - last) as u64, &mut marks);
            varint(*process as u64, &mut marks);
            last = index;
        }
    }
    column("marks", &marks, to)?;
    let (mut turns, end) = (Vec::new(), story.end());
    for of in engines.values() {
        varint(of.turns.len() as u64, &mut turns);
        let mut last = 0;
        for (index, turn) in of.turns.iter().enumerate() {
            let next = of.turns.get(index + 1).map_or(end, |next| next.begin);
            varint((turn.grant - last) as u64, &mut turns);
            varint(next - turn.end, &mut turns);
            last = turn.grant;
        }
    }
    column("turns", &turns, to)
}

fn arguments(story: &Story, numbers: &Numbers<'_>, to: &mut impl Write) -> io::Result<()> {
    let fields: HashMap<u16, usize> = KINDS.iter().map(|kind| (kind.number, kind.fields.len())).collect();
    let reasons = reasons(story);
    let because: HashMap<usize, usize> = reasons.iter().copied().collect();
    // The first fault that an unload has led to.
    let missed: HashMap<usize, usize> =
        reasons.iter().rev().map(|(fault, unload)| (*unload, *fault)).collect();
    let (mut arguments, mut starts, mut last) = (Vec::new(), Vec::new(), 0);
    for (index, told) in story.events.iter().enumerate() {
        if index > 0 && index % GROUP == 0 {
            varint((arguments.len() - last) as u64, &mut starts);
            last = arguments.len();
        }
        let (kind, words) = told.event.encode();
        for word in &words[..fields[&kind]] {
            varint(*word, &mut arguments);
        }
        let mut more = |number: u64| varint(number, &mut arguments);
        // As MORE lists them.
        match told.event {
            Event::Fault { .. } => {
                more(told.code.as_deref().map_or(0, |code| numbers.places[code] as u64 + 1));
                more(because.get(&index).map_or(0, |unload| (index - unload) as u64));
            }
            Event::Grant { .. } => {
                more(told.switched.into());
                more(told.taken_from.map_or(0, |from| numbers.process(from.process.into())));
            }
            Event::Unload { of, .. } => {
                more(numbers.process(of));
                more(missed.get(&index).map_or(0, |fault| (fault - index) as u64));
            }
            Event::Load { of, .. } => more(numbers.process(of)),
            _ => {}
        }
    }
    column("arguments", &arguments, to)?;
    column("starts", &starts, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        let known = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("\u{ff}", "w78="),
        ];
        for (text, coded) in known {
            assert_eq!(String::from_utf8(base64(text.as_bytes())).unwrap(), coded);
        }
    }

    #[test]
    fn numbers_take_the_bytes_that_they_need() {
        let mut bytes = Vec::new();
        [0, 127, 128, u64::MAX].into_iter().for_each(|number| varint(number, &mut bytes));
        assert_eq!(bytes[..4], [0, 127, 0x80, 1]);
        assert_eq!(bytes.len(), 4 + 10);
    }

    #[test]
    fn more_fields_are_those_of_kinds() {
        assert!(MORE.iter().all(|(name, _)| KINDS.iter().any(|kind| kind.name == *name)));
        assert_eq!(words("PollWake"), "poll wake");
    }
}
