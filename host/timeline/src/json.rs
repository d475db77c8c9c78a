//! JSON lines: an object for the trace, then one for each event. docs/tracing.md has the schema.

use std::io::{self, Write};

use ddi_trace::{Event, UNKNOWN};
use serde::Serialize;

use crate::story::{Story, Told};
use crate::symbols::Code;

/// The first line.
#[derive(Serialize)]
struct Head<'a> {
    trace: &'static str,
    version: u32,
    started: u64,
    date: u64,
    overwritten: u64,
    refused: u64,
    ended: bool,
    devices: Vec<&'a str>,
}

/// The line of an event.
#[derive(Serialize)]
struct Line<'a> {
    time: u64,
    #[serde(skip_serializing_if = "is_zero")]
    duration: u64,
    #[serde(flatten)]
    event: Event,
    #[serde(skip_serializing_if = "is_zero")]
    pid: u64,
    #[serde(skip_serializing_if = "is_zero")]
    thread: u64,
    #[serde(skip_serializing_if = "is_zero")]
    process: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    program: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    device_name: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    cause: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<&'a Code>,
    #[serde(skip_serializing_if = "is_false")]
    switched: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_process: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<&'a str>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(so: &bool) -> bool {
    !*so
}

fn line<'a>(story: &'a Story, told: &'a Told) -> Line<'a> {
    let Told { stamp, event, device, code, taken_from, switched, .. } = told;
    Line {
        time: stamp.time,
        duration: stamp.duration,
        event: *event,
        pid: stamp.pid.into(),
        thread: stamp.thread.into(),
        process: stamp.process.into(),
        program: story.processes.get(&stamp.process).map_or("", |process| &process.name),
        device_name: story.device(*device),
        cause: stamp.cause,
        place: code.as_deref(),
        switched: *switched,
        from_pid: taken_from.map(|owner| story.pid(owner.process)),
        from_process: taken_from.map(|owner| owner.process),
        report: match event {
            Event::Mistake { text } => story.mistakes.get(text).map(String::as_str),
            _ => None,
        },
        probe: match event {
            Event::Probe { name, .. } => story.probes.get(name).map(String::as_str),
            _ => None,
        },
    }
}

/// Writes a trace.
///
/// # Errors
/// The error of writing.
pub fn write(story: &Story, to: &mut impl Write) -> io::Result<()> {
    let head = Head {
        trace: "ddi-host",
        version: 1,
        started: story.started,
        date: story.date,
        overwritten: story.overwritten,
        refused: story.refused,
        ended: story.ended,
        devices: story.devices.values().map(String::as_str).collect(),
    };
    serde_json::to_writer(&mut *to, &head)?;
    writeln!(to)?;
    for told in &story.events {
        let mut object = serde_json::to_value(line(story, told))?;
        // No number says that it is not known.
        if let Some(fields) = object.as_object_mut() {
            fields.retain(|_, value| value.as_u64() != Some(UNKNOWN));
        }
        serde_json::to_writer(&mut *to, &object)?;
        writeln!(to)?;
    }
    to.flush()
}
