//! A trace, told: events with their devices, their processes' names, the code, and what caused what.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use ddi_trace::{About, Event, Record, Stamp, Trace};

use crate::symbols::{Code, Symbols};

/// A process, or a program that one ran before exec(2): an address space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// The process; 0 if it has not run.
    pub pid: u32,
    /// Name; empty if it is not known.
    pub name: String,
    /// Number of the address space that it was forked from.
    pub parent: Option<u32>,
}

/// The mapping that has a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// Number of its address space.
    pub process: u32,
    /// Address of the mapping minus its device offset.
    pub mapping: u64,
}

/// An event, with what other events tell about it.
#[derive(Clone, Debug)]
pub struct Told {
    /// When, and who.
    pub stamp: Stamp,
    /// The event.
    pub event: Event,
    /// Number of the device: its own, or that of the call or fault.
    pub device: u64,
    /// Index of the call or fault that it is part of.
    pub cause: Option<usize>,
    /// Of a fault: the instruction.
    pub code: Option<Rc<Code>>,
    /// Of a grant: the mapping that had the context before, if that was another one.
    pub taken_from: Option<Owner>,
    /// Of a grant: the context goes to another mapping than before, or the first one gets it.
    pub switched: bool,
}

/// A trace, told.
#[derive(Default)]
pub struct Story {
    /// The events in the order of their begins.
    pub events: Vec<Told>,
    /// Processes by the number of their address space.
    pub processes: BTreeMap<u32, Process>,
    /// Names of devices.
    pub devices: BTreeMap<u64, String>,
    /// Texts of reports.
    pub mistakes: HashMap<u64, String>,
    /// Names of static probes.
    pub probes: HashMap<u64, String>,
    /// Events that later ones have overwritten.
    pub overwritten: u64,
    /// Events for which there was no room.
    pub refused: u64,
    /// The trace was ended by the process that wrote it.
    pub ended: bool,
    /// Begin, in nanoseconds of CLOCK_MONOTONIC.
    pub started: u64,
    /// The same since 1970.
    pub date: u64,
}

/// Returns whether an event is that of a whole call or fault.
pub fn is_call(event: &Event) -> bool {
    matches!(
        event,
        Event::Open { .. }
            | Event::Close { .. }
            | Event::Read { .. }
            | Event::Write { .. }
            | Event::Ioctl { .. }
            | Event::Poll { .. }
            | Event::Mmap { .. }
            | Event::Munmap { .. }
            | Event::Mprotect { .. }
            | Event::Fork { .. }
            | Event::Exit {}
            | Event::Fault { .. }
            | Event::Interrupt { .. }
    )
}

impl Story {
    /// Builds the story of a trace. Reads the files that have the programs' code.
    pub fn of(trace: Trace) -> Story {
        let mut story = Story {
            overwritten: trace.overwritten,
            refused: trace.refused,
            ended: trace.ended,
            started: trace.started,
            date: trace.date,
            ..Story::default()
        };
        let mut symbols = Symbols::of(&trace.texts);
        story.names(&trace);
        let calls: HashMap<u64, usize> = trace
            .records
            .iter()
            .enumerate()
            .filter(|(_, record)| record.stamp.cause != 0 && is_call(&record.event))
            .map(|(index, record)| (record.stamp.cause, index))
            .collect();
        let mut owners: HashMap<(u64, u64), Owner> = HashMap::new();
        for (index, Record { stamp, event }) in trace.records.iter().enumerate() {
            let call = calls.get(&stamp.cause).copied();
            let device = match stamp.device {
                0 => call.map_or(0, |call| trace.records[call].stamp.device),
                own => own,
            };
            let mut told = Told {
                stamp: *stamp,
                event: *event,
                device,
                cause: call.filter(|call| *call != index),
                code: None,
                taken_from: None,
                switched: false,
            };
            match *event {
                Event::Fault { code, .. } if code != 0 => told.code = symbols.find(stamp.process, code),
                Event::Grant { mapping, context, error, .. } => {
                    let owner = Owner { process: stamp.process, mapping };
                    let before = match error {
                        0 => owners.insert((device, context), owner),
                        _ => owners.remove(&(device, context)),
                    };
                    told.taken_from = before.filter(|before| *before != owner);
                    told.switched = error == 0 && before != Some(owner);
                }
                _ => {}
            }
            story.events.push(told);
        }
        story
    }

    fn names(&mut self, trace: &Trace) {
        for text in &trace.texts {
            match text.about {
                About::Device => _ = self.devices.insert(text.id, text.text.clone()),
                About::Mistake => _ = self.mistakes.insert(text.id, text.text.clone()),
                About::Probe => _ = self.probes.insert(text.id, text.text.clone()),
                About::Process => {
                    let process = self.processes.entry(text.id as u32).or_default();
                    (process.pid, process.name) = (text.words[0] as u32, text.text.clone());
                }
                About::Code => {}
            }
        }
        for Record { stamp, event } in &trace.records {
            if stamp.process != 0 {
                let process = self.processes.entry(stamp.process).or_default();
                process.pid = if stamp.pid == 0 { process.pid } else { stamp.pid };
            }
            if let Event::Fork { child, errno: 0 } = *event {
                let name = self.processes.get(&stamp.process).map(|p| p.name.clone()).unwrap_or_default();
                let process = self.processes.entry(child as u32).or_default();
                process.parent = Some(stamp.process);
                if process.name.is_empty() {
                    process.name = name;
                }
            }
        }
    }

    /// Returns the begin of the first event; 0 if there is none.
    pub fn begin(&self) -> u64 {
        self.events.first().map_or(0, |told| told.stamp.time)
    }

    /// Returns the last end of an event; 0 if there is none.
    pub fn end(&self) -> u64 {
        self.events.iter().map(|told| told.stamp.time + told.stamp.duration).max().unwrap_or(0)
    }

    /// Returns the name of a device; empty if it has none.
    pub fn device(&self, id: u64) -> &str {
        self.devices.get(&id).map_or("", String::as_str)
    }

    /// Returns name and number of a process.
    pub fn process(&self, id: u32) -> String {
        match self.processes.get(&id) {
            Some(Process { pid, name, .. }) if name.is_empty() => pid.to_string(),
            Some(Process { pid, name, .. }) => format!("{name} {pid}"),
            None => String::new(),
        }
    }

    /// Returns the process of an address space.
    pub fn pid(&self, id: u32) -> u32 {
        self.processes.get(&id).map_or(0, |process| process.pid)
    }
}

#[cfg(test)]
pub(crate) mod test {
    use super::*;

    /// Builds the story of events, a microsecond apart, each of the process with this number.
    pub(crate) fn story(events: &[(u32, Event)]) -> Story {
        let record = |(index, &(process, event)): (usize, &(u32, Event))| {
            let time = 1000 * (index as u64 + 1);
            let stamp = Stamp { time, process, pid: 99 + process, thread: 99 + process, ..Stamp::default() };
            Record { stamp, event }
        };
        Story::of(Trace { records: events.iter().enumerate().map(record).collect(), ..Trace::default() })
    }
}
