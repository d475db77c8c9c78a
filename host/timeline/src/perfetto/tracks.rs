//! The tracks of a trace, each made when something is on it.

use std::collections::HashMap;

use super::proto::{CounterDescriptor, ProcessDescriptor, ThreadDescriptor, TrackDescriptor};
use crate::engines::Engine;
use crate::story::{Owner, Story};

/// The kinds of counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counter {
    /// Faults that are being served.
    Faults,
    /// Switches of a context.
    Switches(u64),
}

/// The subject of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A process.
    Process(u32),
    /// A thread of one.
    Thread(u32, u32),
    /// The kernel's own threads.
    Kernel,
    /// A device.
    Device(u64),
    /// The turns of an engine.
    Engine(Engine),
    /// A mapping that uses one.
    Context(Engine, Owner),
    /// Numbers of a device.
    Counter(u64, Counter),
}

/// The tracks.
#[derive(Default)]
pub struct Tracks {
    numbers: HashMap<Key, u64>,
    /// Their descriptions.
    pub descriptors: Vec<TrackDescriptor>,
}

impl Tracks {
    /// Returns the number of a track.
    pub fn of(&mut self, story: &Story, key: Key) -> u64 {
        if let Some(known) = self.numbers.get(&key) {
            return *known;
        }
        let mut track = TrackDescriptor::default();
        let named = |name: String| Some(name).filter(|name| !name.is_empty());
        match key {
            Key::Process(pid) => {
                let of_pid = story.processes.values().rev().find(|process| process.pid == pid);
                let process_name = named(of_pid.map(|process| process.name.clone()).unwrap_or_default());
                track.process = Some(ProcessDescriptor { pid: Some(pid.cast_signed()), process_name });
            }
            Key::Thread(pid, tid) => {
                // The process has its name from its own track.
                self.of(story, Key::Process(pid));
                let [pid, tid] = [pid, tid].map(|number| Some(number.cast_signed()));
                track.thread = Some(ThreadDescriptor { pid, tid });
            }
            Key::Kernel => track.name = Some("kernel".into()),
            Key::Device(device) => {
                track.name = named(story.device(device).to_owned()).or(Some("no device".into()));
            }
            Key::Engine(engine) => {
                track.parent_uuid = Some(self.of(story, Key::Device(engine.device)));
                track.name = Some(format!("{} engine", story.device(engine.device)));
            }
            Key::Context(engine, owner) => {
                track.parent_uuid = Some(self.of(story, Key::Engine(engine)));
                track.name =
                    Some(format!("context of {}, {:#x}", story.process(owner.process), owner.mapping));
            }
            Key::Counter(device, counter) => {
                track.parent_uuid = Some(self.of(story, Key::Device(device)));
                let (name, unit) = match counter {
                    Counter::Faults => ("faults being served", "faults"),
                    Counter::Switches(_) => ("switches", "per second"),
                };
                track.name = Some(format!("{} {name}", story.device(device)));
                track.counter = Some(CounterDescriptor { unit_name: Some(unit.into()) });
            }
        }
        let uuid = self.numbers.len() as u64 + 1;
        track.uuid = Some(uuid);
        self.numbers.insert(key, uuid);
        self.descriptors.push(track);
        uuid
    }
}
