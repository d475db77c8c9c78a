//! Perfetto's trace format: a track for each process and thread, for each device, its engines and their contexts, and counters; flows from a fault to
//! the translations that it unloaded.

pub mod proto;
mod tracks;

use std::collections::HashMap;
use std::io::{self, Write};
use std::rc::Rc;

use ddi_trace::{Event, UNKNOWN};
use prost::Message as _;
use serde_json::Value as Json;

use crate::engines::{Engine, Turns, engines};
use crate::story::{Story, Told};
use crate::symbols::Code;
use proto::{
    Annotation, BOOTTIME, Clock, ClockSnapshot, InternedData, Kind, MONOTONIC, NEEDS_STATE, Name, Packet,
    REALTIME, STATE_CLEARED, SourceLocation, Trace, TrackEvent, Value,
};
use tracks::{Counter, Key, Tracks};

/// Length of the windows in which switches are counted.
const WINDOW: u64 = 100_000_000;

/// Something on a track.
struct Slice {
    begin: u64,
    /// `None`: it has no duration.
    end: Option<u64>,
    name: Named,
    /// Flows that begin here.
    flows: Vec<u64>,
    /// Flow that ends here.
    ends: Option<u64>,
}

/// Name and arguments of a slice.
enum Named {
    /// Those of the event with this index.
    Event(usize),
    /// A name, and the event whose arguments it has.
    As(String, Option<usize>),
}

/// The sequence of packets, and the names that it has used.
struct Sequence<'a, W> {
    to: &'a mut W,
    names: [HashMap<String, u64>; 2],
    places: HashMap<Rc<Code>, u64>,
    fresh: InternedData,
    first: bool,
}

impl<W: Write> Sequence<'_, W> {
    fn packet(&mut self, mut packet: Packet) -> io::Result<()> {
        let fresh = std::mem::take(&mut self.fresh);
        packet.interned_data = (fresh != InternedData::default()).then_some(fresh);
        packet.sequence = Some(1);
        let flags = if std::mem::take(&mut self.first) { STATE_CLEARED } else { 0 };
        packet.sequence_flags = Some(flags | NEEDS_STATE);
        // A trace is the packets of its parts.
        self.to.write_all(&Trace { packet: vec![packet] }.encode_to_vec())
    }

    fn event(&mut self, timestamp: u64, event: TrackEvent) -> io::Result<()> {
        self.packet(Packet { timestamp: Some(timestamp), track_event: Some(event), ..Packet::default() })
    }

    /// The number of an event's name (0), or of an annotation's (1).
    fn name(&mut self, kind: usize, name: &str) -> Option<u64> {
        if let Some(known) = self.names[kind].get(name) {
            return Some(*known);
        }
        let iid = self.names[kind].len() as u64 + 1;
        self.names[kind].insert(name.to_owned(), iid);
        let new = Name { iid: Some(iid), name: Some(name.to_owned()) };
        let list = if kind == 0 { &mut self.fresh.event_names } else { &mut self.fresh.annotation_names };
        list.push(new);
        Some(iid)
    }

    fn place(&mut self, code: &Rc<Code>) -> u64 {
        let iid = self.places.len() as u64 + 1;
        let known = *self.places.entry(code.clone()).or_insert(iid);
        if known == iid {
            let file = code.file.as_ref().unwrap_or(&code.image);
            self.fresh.source_locations.push(SourceLocation {
                iid: Some(iid),
                file_name: Some(file.clone()),
                function_name: code.function.clone(),
                line_number: code.line,
            });
        }
        known
    }

    fn annotations(&mut self, story: &Story, told: &Told) -> io::Result<Vec<Annotation>> {
        let mut all = Vec::new();
        let Json::Object(fields) = serde_json::to_value(told.event)? else { return Ok(all) };
        for (field, value) in fields {
            let value = match value {
                Json::Number(n) if n.as_u64() == Some(UNKNOWN) => continue,
                Json::Number(n) => match (n.as_u64(), field.as_str()) {
                    (Some(n), "address" | "code" | "mapping" | "context" | "source" | "target") => {
                        Value::Pointer(n)
                    }
                    (Some(n), _) => Value::Uint(n),
                    _ => Value::Int(n.as_i64().unwrap_or_default()),
                },
                Json::Bool(so) => Value::Bool(so),
                Json::String(_) if field == "event" => continue,
                Json::String(text) => Value::Text(text),
                other => Value::Text(other.to_string()),
            };
            all.push(Annotation { name_iid: self.name(1, &field), value: Some(value) });
        }
        let mut text = |name: &str, text: String| {
            if !text.is_empty() {
                all.push(Annotation { name_iid: self.name(1, name), value: Some(Value::Text(text)) });
            }
        };
        text("device", story.device(told.device).to_owned());
        text("place", told.code.as_ref().map(|code| code.short()).unwrap_or_default());
        text("taken_from", told.taken_from.map(|from| story.process(from.process)).unwrap_or_default());
        if let Event::Mistake { text: number } = told.event {
            text("report", story.mistakes.get(&number).cloned().unwrap_or_default());
        }
        if let Event::Probe { name, .. } = told.event {
            text("probe", story.probes.get(&name).cloned().unwrap_or_default());
        }
        Ok(all)
    }

    /// Writes what is on a track. Slices are nested: what reaches beyond the one that it begins in ends with that.
    fn track(&mut self, story: &Story, uuid: u64, mut slices: Vec<Slice>) -> io::Result<()> {
        slices.sort_by_key(|slice| (slice.begin, std::cmp::Reverse(slice.end.unwrap_or(slice.begin))));
        let mut open: Vec<u64> = Vec::new();
        for slice in slices {
            while let Some(end) = open.pop_if(|end| *end <= slice.begin) {
                self.end(uuid, end)?;
            }
            let (name, of) = match slice.name {
                Named::Event(index) => (name(&story.events[index].event)?, Some(index)),
                Named::As(name, of) => (name, of),
            };
            let told = of.map(|index| &story.events[index]);
            let code = told.and_then(|told| told.code.clone());
            let event = TrackEvent {
                kind: Some(if slice.end.is_some() { Kind::Begin } else { Kind::Instant } as i32),
                track_uuid: Some(uuid),
                name_iid: self.name(0, &name),
                debug_annotations: told.map_or(Ok(Vec::new()), |told| self.annotations(story, told))?,
                source_location_iid: code.as_ref().map(|code| self.place(code)),
                flow_ids: slice.flows,
                terminating_flow_ids: slice.ends.into_iter().collect(),
                counter_value: None,
            };
            self.event(slice.begin, event)?;
            if let Some(end) = slice.end {
                open.push(end.min(open.last().copied().unwrap_or(u64::MAX)).max(slice.begin));
            }
        }
        while let Some(end) = open.pop() {
            self.end(uuid, end)?;
        }
        Ok(())
    }

    fn end(&mut self, uuid: u64, time: u64) -> io::Result<()> {
        let event =
            TrackEvent { kind: Some(Kind::End as i32), track_uuid: Some(uuid), ..TrackEvent::default() };
        self.event(time, event)
    }

    fn counter(&mut self, uuid: u64, time: u64, value: i64) -> io::Result<()> {
        let (kind, counter_value) = (Some(Kind::Counter as i32), Some(value));
        self.event(time, TrackEvent { kind, track_uuid: Some(uuid), counter_value, ..TrackEvent::default() })
    }
}

/// The name of an event's slice.
fn name(event: &Event) -> io::Result<String> {
    let value = serde_json::to_value(event)?;
    let kind = value["event"].as_str().unwrap_or_default().replace('_', " ");
    Ok(match event {
        Event::Fault { .. } => format!("{kind} {}", value["access"].as_str().unwrap_or_default()),
        _ => kind,
    })
}

/// Writes a trace.
///
/// # Errors
/// The error of writing.
pub fn write(story: &Story, to: &mut impl Write) -> io::Result<()> {
    let engines = engines(story);
    let (mut tracks, mut slices) = (Tracks::default(), HashMap::<u64, Vec<Slice>>::new());
    let mut flows: HashMap<usize, Vec<u64>> = HashMap::new();
    for (index, told) in story.events.iter().enumerate() {
        let Event::Unload { of, of_pid, .. } = told.event else { continue };
        if of as u32 == told.stamp.process {
            continue;
        }
        // Somebody else's pages go.
        let pid = if of_pid == 0 { story.pid(of as u32) } else { of_pid };
        let flow = index as u64 + 1;
        if let Some(cause) = told.cause {
            flows.entry(cause).or_default().push(flow);
        }
        slices.entry(tracks.of(story, Key::Process(pid))).or_default().push(Slice {
            begin: told.stamp.time,
            end: None,
            name: Named::As("unloaded".into(), Some(index)),
            flows: Vec::new(),
            ends: told.cause.map(|_| flow),
        });
    }
    for (index, told) in story.events.iter().enumerate() {
        let stamp = &told.stamp;
        let key = match told.event {
            Event::Interrupt { .. } | Event::Dma { .. } if told.device != 0 => Key::Device(told.device),
            _ if stamp.pid == 0 => Key::Kernel,
            _ if stamp.thread == 0 => Key::Process(stamp.pid),
            _ => Key::Thread(stamp.pid, stamp.thread),
        };
        let flows = flows.remove(&index).unwrap_or_default();
        let end = (stamp.duration > 0).then_some(stamp.time + stamp.duration);
        let slice = Slice { begin: stamp.time, end, name: Named::Event(index), flows, ends: None };
        slices.entry(tracks.of(story, key)).or_default().push(slice);
    }
    for (engine, turns) in &engines {
        turn_slices(story, *engine, turns, &mut tracks, &mut slices);
    }
    let counters = counters(story, &engines, &mut tracks);
    let mut sequence = Sequence {
        to,
        names: Default::default(),
        places: HashMap::new(),
        fresh: InternedData::default(),
        first: true,
    };
    let clock = |id, time| Clock { clock_id: Some(id), timestamp: Some(time) };
    // Readers take times to be CLOCK_BOOTTIME's. The two differ by the time that the machine was suspended, which no event has.
    let (start, date) = (story.started, clock(REALTIME, story.date));
    let snapshot = ClockSnapshot { clocks: vec![clock(BOOTTIME, start), clock(MONOTONIC, start), date] };
    let timestamp = Some(story.started);
    sequence.packet(Packet { clock_snapshot: Some(snapshot), timestamp, ..Packet::default() })?;
    for descriptor in tracks.descriptors {
        sequence.packet(Packet { track_descriptor: Some(descriptor), ..Packet::default() })?;
    }
    let mut all: Vec<_> = slices.into_iter().collect();
    all.sort_by_key(|(uuid, _)| *uuid);
    for (uuid, slices) in all {
        sequence.track(story, uuid, slices)?;
    }
    for (uuid, time, value) in counters {
        sequence.counter(uuid, time, value)?;
    }
    sequence.to.flush()
}

/// The slices of an engine and its contexts: who has it, who waits for it.
fn turn_slices(
    story: &Story,
    engine: Engine,
    turns: &Turns,
    tracks: &mut Tracks,
    slices: &mut HashMap<u64, Vec<Slice>>,
) {
    let plain = |begin, end, name| Slice { begin, end: Some(end), name, flows: Vec::new(), ends: None };
    let track = tracks.of(story, Key::Engine(engine));
    for turn in &turns.turns {
        let name = story.process(turn.owner.process);
        let named = Named::As(name, Some(turn.grant));
        slices.entry(track).or_default().push(plain(turn.begin, turn.end, named));
        let own = tracks.of(story, Key::Context(engine, turn.owner));
        let named = Named::As("has the engine".into(), Some(turn.grant));
        slices.entry(own).or_default().push(plain(turn.begin, turn.end, named));
    }
    for wait in &turns.waits {
        let own = tracks.of(story, Key::Context(engine, wait.owner));
        slices.entry(own).or_default().push(plain(wait.begin, wait.end, Named::As("waits".into(), None)));
    }
}

/// The numbers of counters: faults that are being served, and switches per second.
fn counters(
    story: &Story,
    engines: &std::collections::BTreeMap<Engine, Turns>,
    tracks: &mut Tracks,
) -> Vec<(u64, u64, i64)> {
    let mut all = Vec::new();
    let mut changes: HashMap<u64, Vec<(u64, i64)>> = HashMap::new();
    for told in story.events.iter().filter(|told| matches!(told.event, Event::Fault { .. })) {
        let list = changes.entry(told.device).or_default();
        list.extend([(told.stamp.time, 1), (told.stamp.time + told.stamp.duration, -1)]);
    }
    for (device, mut changes) in changes {
        changes.sort_unstable();
        let (track, mut now) = (tracks.of(story, Key::Counter(device, Counter::Faults)), 0);
        all.extend(changes.into_iter().map(|(time, by)| {
            now += by;
            (track, time, now)
        }));
    }
    for (engine, turns) in engines {
        let track = tracks.of(story, Key::Counter(engine.device, Counter::Switches(engine.context)));
        let mut windows: Vec<(u64, i64)> = Vec::new();
        for turn in &turns.turns {
            let window = turn.begin / WINDOW;
            match windows.last_mut() {
                Some((last, count)) if *last == window => *count += 1,
                last => {
                    // Nothing happened in between.
                    let after = last.map(|(last, _)| *last + 1).filter(|after| *after < window);
                    windows.extend(after.map(|after| (after, 0)));
                    windows.push((window, 1));
                }
            }
        }
        windows.extend(windows.last().map(|(last, _)| (last + 1, 0)));
        let per_second = (1_000_000_000 / WINDOW) as i64;
        let begin = |window: u64| (window * WINDOW).max(story.started);
        all.extend(windows.into_iter().map(|(window, count)| (track, begin(window), count * per_second)));
    }
    all
}
