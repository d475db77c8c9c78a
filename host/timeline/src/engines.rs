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
    /// When it was asked for: the begin of the wait for it, or its own.
    pub asked: u64,
    /// Begin.
    pub begin: u64,
    /// End: the next turn's begin, the process's end, or that of the trace.
    pub end: u64,
    /// Index of the grant.
    pub grant: usize,
}

/// A wait for a turn, from the first time that it was refused.
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
    let mut waiting: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for (index, told) in story.events.iter().enumerate() {
        let stamp = told.stamp;
        match told.event {
            Event::Wait { what: For::Turn, .. } if stamp.cause != 0 => {
                // One that is woken in vain waits again.
                let end = stamp.time + stamp.duration;
                waiting.entry(stamp.cause).or_insert((stamp.time, end)).1 = end;
            }
            Event::Grant { mapping, context, .. } => {
                let engine = engines.entry(Engine { device: told.device, context }).or_default();
                let owner = Owner { process: stamp.process, mapping };
                let waited = waiting.remove(&stamp.cause);
                engine.waits.extend(waited.map(|(begin, end)| Waited { owner, begin, end }));
                if told.switched {
                    if let Some(last) = engine.turns.last_mut() {
                        last.end = last.end.min(stamp.time);
                    }
                    let asked = waited.map_or(stamp.time, |(begin, _)| begin.min(stamp.time));
                    engine.turns.push(Turn { owner, asked, begin: stamp.time, end, grant: index });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::test::story;
    use ddi_trace::{Access, Outcome};

    #[test]
    fn a_turn_was_asked_for_when_its_first_wait_began() {
        let grant = |mapping| Event::Grant { mapping, context: 9, offset: 0, error: 0 };
        let wait = Event::Wait { what: For::Turn, interrupted: false };
        let access = Access::Write;
        let fault = Event::Fault { address: 0, offset: 0, code: 0, access, outcome: Outcome::Served };
        let mut story = story(&[(1, grant(1)), (2, fault), (2, wait), (2, wait), (2, grant(2))]);
        for told in &mut story.events[1..] {
            told.stamp.cause = 5;
        }
        story.events[3].stamp.duration = 600;
        let engines = engines(&story);
        let turns = &engines[&Engine { device: 0, context: 9 }];
        let owner = Owner { process: 2, mapping: 2 };
        assert_eq!(turns.waits, [Waited { owner, begin: 3000, end: 4600 }]);
        assert_eq!(
            turns.turns.iter().map(|turn| (turn.asked, turn.begin)).collect::<Vec<_>>(),
            [(1000, 1000), (3000, 5000)]
        );
    }
}
