//! Turns: the mapping that had each engine, and when, from the grants of a trace.

use std::collections::BTreeMap;

use ddi_trace::{Event, For};

use crate::story::{Owner, Story};

/// A context of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Engine {
    /// The device.
    pub device: u64,
    /// Address of the access callback.
    pub context: u64,
}

/// A mapping's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The mapping.
    pub owner: Owner,
    /// Begin.
    pub begin: u64,
    /// End: the next turn's begin, the process's end, or that of the trace.
    pub end: u64,
    /// Index of the grant.
    pub grant: usize,
}

/// A wait for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waited {
    /// The mapping that waited.
    pub owner: Owner,
    /// Begin.
    pub begin: u64,
    /// End.
    pub end: u64,
}

/// History of an engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    /// The turns in their order.
    pub turns: Vec<Turn>,
    /// Waits that ended with a turn.
    pub waits: Vec<Waited>,
}

/// Returns all engines of a trace.
pub fn engines(story: &Story) -> BTreeMap<Engine, Turns> {
    let mut engines: BTreeMap<Engine, Turns> = BTreeMap::new();
    let end = story.events.iter().map(|told| told.stamp.time + told.stamp.duration).max().unwrap_or(0);
    // Waits of calls and faults that have not got a turn yet.
    let mut waiting: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    for (index, told) in story.events.iter().enumerate() {
        let stamp = told.stamp;
        match told.event {
            Event::Wait { what: For::Turn, .. } if stamp.cause != 0 => {
                waiting.entry(stamp.cause).or_default().push((stamp.time, stamp.time + stamp.duration));
            }
            Event::Grant { mapping, context, .. } => {
                let engine = engines.entry(Engine { device: told.device, context }).or_default();
                let owner = Owner { process: stamp.process, mapping };
                for (begin, end) in waiting.remove(&stamp.cause).unwrap_or_default() {
                    engine.waits.push(Waited { owner, begin, end });
                }
                if told.switched {
                    if let Some(last) = engine.turns.last_mut() {
                        last.end = last.end.min(stamp.time);
                    }
                    engine.turns.push(Turn { owner, begin: stamp.time, end, grant: index });
                }
            }
            Event::Exit {} => {
                for turns in engines.values_mut() {
                    if let Some(last) = turns.turns.last_mut()
                        && last.owner.process == stamp.process
                    {
                        last.end = last.end.min(stamp.time);
                    }
                }
            }
            _ => {}
        }
    }
    engines
}
