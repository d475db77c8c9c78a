//! The answers that a trace gives: who waits, which pages fault, who takes an engine from whom, and what hysteresis would change.
//!
//! [`panels`](crate::panels) and the [page](crate::page) show them.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use ddi_trace::{Event, For, UNKNOWN};

use crate::engines::{Engine, Turns};
use crate::story::{Owner, Story};
use crate::symbols::Code;

/// Hysteresis that is tried, in milliseconds.
const TRIED: [u64; 6] = [1, 2, 5, 10, 20, 50];
const SECOND: u64 = 1_000_000_000;

/// An engine's history as hysteresis would have made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Switches.
    pub switches: u64,
    /// Longest wait, in nanoseconds.
    pub longest: u64,
}

/// A time and the event that it began with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Longest {
    /// Nanoseconds.
    pub time: u64,
    /// Index of the event.
    pub event: usize,
}

/// Two processes that take an engine from each other, or two mappings of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Numbers of their address spaces.
    pub processes: [u32; 2],
    /// Switches between the two, in both directions.
    pub times: u64,
    /// Code of each that did so most often, if it is known.
    pub places: [Option<String>; 2],
    /// Index of the first such grant.
    pub first: usize,
}

/// The answers about an engine.
#[derive(Clone, Debug, PartialEq)]
pub struct OfEngine {
    /// The engine.
    pub engine: Engine,
    /// Grants to another mapping than before.
    pub switches: u64,
    /// The same per second of the trace.
    pub per_second: f64,
    /// The second with the most switches, in nanoseconds of CLOCK_MONOTONIC, and how many it had. Seconds count from the first event.
    pub busiest: (u64, u64),
    /// Longest wait for a turn.
    pub longest: u64,
    /// The pairs with the most switches.
    pub pairs: Vec<Pair>,
    /// Milliseconds of hysteresis that were tried, and their outcome.
    pub hysteresis: Vec<(u64, Replayed)>,
    /// Index of the smallest hysteresis of those that saves half of the switches at least.
    pub helps: Option<usize>,
}

/// Time of a process, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Number of the address space.
    pub process: u32,
    /// Faults.
    pub faults: u64,
    /// Time in faults.
    pub in_faults: u64,
    /// Time of waits for a turn.
    pub turns: u64,
    /// Time of waits in drivers.
    pub drivers: u64,
    /// The longest wait of a call or fault.
    pub longest: Longest,
}

/// A page of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The device.
    pub device: u64,
    /// Device offset.
    pub offset: u64,
    /// Faults there.
    pub faults: u64,
    /// The code that touches it most often, if it is known.
    pub place: Option<String>,
    /// Index of the first such fault.
    pub first: usize,
}

/// The answers from a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// Events.
    pub events: u64,
    /// Nanoseconds from the first event's begin to the last end.
    pub duration: u64,
    /// Of each engine.
    pub engines: Vec<OfEngine>,
    /// Processes, the longest in faults first.
    pub times: Vec<Times>,
    /// Pages that fault most.
    pub pages: Vec<Page>,
}

/// Places of code, numbered; what is shown alike is alike.
#[derive(Default)]
struct Places {
    names: Vec<String>,
    numbers: HashMap<String, usize>,
    known: HashMap<*const Code, usize>,
}

impl Places {
    fn number(&mut self, code: &Rc<Code>) -> usize {
        if let Some(known) = self.known.get(&Rc::as_ptr(code)) {
            return *known;
        }
        let name = code.short();
        let number = *self.numbers.entry(name.clone()).or_insert(self.names.len());
        if number == self.names.len() {
            self.names.push(name);
        }
        self.known.insert(Rc::as_ptr(code), number);
        number
    }

    fn most(&self, counts: &HashMap<usize, u64>) -> Option<String> {
        let order = |(place, count): &(&usize, &u64)| (**count, std::cmp::Reverse(&self.names[**place]));
        let (place, _) = counts.iter().max_by(|a, b| order(a).cmp(&order(b)))?;
        Some(self.names[*place].clone())
    }
}

impl Answers {
    /// Computes the answers, with so many rows at most in each list.
    pub fn of(story: &Story, engines: &BTreeMap<Engine, Turns>, rows: usize) -> Answers {
        let begin = story.begin();
        let duration = story.end() - begin;
        let mut places = Places::default();
        let engines = engines.iter();
        Answers {
            events: story.events.len() as u64,
            duration,
            engines: engines
                .map(|(engine, turns)| of_engine(story, *engine, turns, rows, &mut places))
                .collect(),
            times: times(story, rows),
            pages: pages(story, rows, &mut places),
        }
    }
}

fn of_engine(story: &Story, engine: Engine, turns: &Turns, rows: usize, places: &mut Places) -> OfEngine {
    let (begin, switches) = (story.begin(), turns.turns.len() as u64);
    let seconds = (story.end() - begin) as f64 / SECOND as f64;
    let mut each_second: BTreeMap<u64, u64> = BTreeMap::new();
    for turn in &turns.turns {
        *each_second.entry((turn.begin - begin) / SECOND).or_default() += 1;
    }
    let busiest = each_second.into_iter().max_by_key(|(second, count)| (*count, std::cmp::Reverse(*second)));
    let hysteresis = TRIED.map(|ms| (ms, replay(turns, ms * 1_000_000))).to_vec();
    OfEngine {
        engine,
        switches,
        per_second: switches as f64 / seconds.max(1e-9),
        busiest: busiest.map_or((begin, 0), |(second, count)| (begin + second * SECOND, count)),
        longest: turns.waits.iter().map(|wait| wait.end - wait.begin).max().unwrap_or(0),
        pairs: pairs(story, turns, rows, places),
        helps: hysteresis.iter().position(|(_, with)| with.switches * 2 <= switches && switches > 0),
        hysteresis,
    }
}

/// The pairs that take an engine from each other most often, with the code that did so.
fn pairs(story: &Story, turns: &Turns, rows: usize, places: &mut Places) -> Vec<Pair> {
    struct Taken {
        times: u64,
        first: usize,
        code: [HashMap<usize, u64>; 2],
    }
    let mut pairs: HashMap<[u32; 2], Taken> = HashMap::new();
    for turn in &turns.turns {
        let grant = &story.events[turn.grant];
        let Some(from) = grant.taken_from else { continue };
        let mut pair = [turn.owner.process, from.process];
        pair.sort_unstable();
        let new = || Taken { times: 0, first: turn.grant, code: Default::default() };
        let taken = pairs.entry(pair).or_insert_with(new);
        taken.times += 1;
        if let Some(place) = grant.cause.and_then(|cause| story.events[cause].code.as_ref()) {
            let side = usize::from(turn.owner.process != pair[0]);
            *taken.code[side].entry(places.number(place)).or_default() += 1;
        }
    }
    let mut all: Vec<_> = pairs.into_iter().collect();
    all.sort_by_key(|(pair, taken)| (std::cmp::Reverse(taken.times), *pair));
    all.truncate(rows);
    all.into_iter()
        .map(|(processes, Taken { times, first, code })| Pair {
            processes,
            times,
            places: code.map(|counts| places.most(&counts)),
            first,
        })
        .collect()
}

/// Replays the turns of an engine with hysteresis: a mapping that gets it keeps it for `hysteresis` nanoseconds at least, and one that asks meanwhile
/// waits. One that asks again while it waits, or has the engine, changes nothing. What a process would have done while it waited is not known: it asks when
/// it did ask.
pub fn replay(turns: &Turns, hysteresis: u64) -> Replayed {
    let mut replayed = Replayed { switches: 0, longest: 0 };
    let mut owner: Option<Owner> = None;
    // Until when the owner keeps it.
    let mut kept = 0;
    let mut waiting: Vec<(u64, Owner)> = Vec::new();
    let mut give =
        |waiting: &mut Vec<(u64, Owner)>, owner: &mut Option<Owner>, kept: &mut u64, until: u64| {
            while !waiting.is_empty() && *kept <= until {
                let (came, next) = waiting.remove(0);
                if *owner == Some(next) {
                    continue;
                }
                let at = (*kept).max(came);
                replayed.longest = replayed.longest.max(at - came);
                replayed.switches += 1;
                (*owner, *kept) = (Some(next), at + hysteresis);
            }
        };
    let mut asked: Vec<(u64, Owner)> = turns.turns.iter().map(|turn| (turn.asked, turn.owner)).collect();
    asked.sort_by_key(|(time, _)| *time);
    for (time, asks) in asked {
        give(&mut waiting, &mut owner, &mut kept, time);
        if owner != Some(asks) && waiting.iter().all(|(_, waits)| *waits != asks) {
            waiting.push((time, asks));
        }
    }
    give(&mut waiting, &mut owner, &mut kept, u64::MAX);
    replayed
}

fn times(story: &Story, rows: usize) -> Vec<Times> {
    let mut all: BTreeMap<u32, Times> = BTreeMap::new();
    // The waits of each call and fault, together: one that is woken in vain waits again.
    let mut waits: HashMap<u64, Longest> = HashMap::new();
    for (event, told) in story.events.iter().enumerate().filter(|(_, told)| told.stamp.process != 0) {
        let (process, time) = (told.stamp.process, told.stamp.duration);
        let times = || Times { process, ..Times::default() };
        match told.event {
            Event::Wait { what, .. } => {
                let times = all.entry(process).or_insert_with(times);
                match what {
                    For::Turn => times.turns += time,
                    For::Driver => times.drivers += time,
                }
                let wait = match told.stamp.cause {
                    0 => Longest { time, event },
                    cause => {
                        let wait = waits.entry(cause).or_insert(Longest { time: 0, event });
                        wait.time += time;
                        *wait
                    }
                };
                times.longest = times.longest.max(wait);
            }
            Event::Fault { .. } => {
                let times = all.entry(process).or_insert_with(times);
                times.in_faults += time;
                times.faults += 1;
            }
            _ => {}
        }
    }
    let mut all: Vec<Times> = all.into_values().collect();
    all.sort_by_key(|times| std::cmp::Reverse((times.in_faults, times.turns + times.drivers)));
    all.truncate(rows);
    all
}

fn pages(story: &Story, rows: usize, places: &mut Places) -> Vec<Page> {
    struct Faults {
        faults: u64,
        first: usize,
        code: HashMap<usize, u64>,
    }
    let mut pages: HashMap<(u64, u64), Faults> = HashMap::new();
    for (index, told) in story.events.iter().enumerate() {
        let Event::Fault { offset, .. } = told.event else { continue };
        if offset == UNKNOWN {
            continue;
        }
        let new = || Faults { faults: 0, first: index, code: HashMap::new() };
        let page = pages.entry((told.device, offset & !0xfff)).or_insert_with(new);
        page.faults += 1;
        if let Some(place) = &told.code {
            *page.code.entry(places.number(place)).or_default() += 1;
        }
    }
    let mut all: Vec<_> = pages.into_iter().collect();
    all.sort_by_key(|(page, faults)| (std::cmp::Reverse(faults.faults), *page));
    all.truncate(rows);
    let page = |((device, offset), of): (_, Faults)| {
        let place = places.most(&of.code);
        Page { device, offset, faults: of.faults, place, first: of.first }
    };
    all.into_iter().map(page).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::Turn;

    const MS: u64 = 1_000_000;

    fn turns(of: &[(u64, u32)]) -> Turns {
        let turn = |&(ms, process): &(u64, u32)| {
            let owner = Owner { process, mapping: 0 };
            Turn { owner, asked: ms * MS, begin: ms * MS, end: (ms + 1) * MS, grant: 0 }
        };
        Turns { turns: of.iter().map(turn).collect(), waits: Vec::new() }
    }

    #[test]
    fn hysteresis_saves_switches_and_costs_waits() {
        // Two that take turns each millisecond.
        let all: Vec<(u64, u32)> = (0..100).map(|ms| (ms, ms as u32 % 2 + 1)).collect();
        assert_eq!(replay(&turns(&all), 0), Replayed { switches: 100, longest: 0 });
        let ten = replay(&turns(&all), 10 * MS);
        assert!(ten.switches <= 12 && ten.longest == 10 * MS, "{ten:?}");
        // Rare turns do not wait.
        assert_eq!(
            replay(&turns(&[(0, 1), (50, 2), (100, 1)]), 10 * MS),
            Replayed { switches: 3, longest: 0 }
        );
        assert_eq!(replay(&turns(&[]), MS), Replayed { switches: 0, longest: 0 });
        // Three: the third waits for two turns.
        assert_eq!(
            replay(&turns(&[(0, 1), (1, 2), (2, 3)]), 10 * MS),
            Replayed { switches: 3, longest: 18 * MS }
        );
    }
}
