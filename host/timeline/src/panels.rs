//! The answers that a trace gives: who waits, which pages fault, who takes an engine from whom, and what hysteresis would change.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use ddi_trace::{Event, For, UNKNOWN};

use crate::engines::{Turns, engines};
use crate::story::{Owner, Story};

/// Hysteresis that is tried, in milliseconds.
const TRIED: [u64; 6] = [1, 2, 5, 10, 20, 50];
/// Rows of a list.
const ROWS: usize = 10;

/// An engine's history as hysteresis would have made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Switches.
    pub switches: u64,
    /// Longest wait, in nanoseconds.
    pub longest: u64,
}

/// Replays the turns of an engine with hysteresis: whoever gets it keeps it for `ticks` nanoseconds at least, and who comes meanwhile waits. A mapping that
/// comes again while it waits, or has the engine, changes nothing. What a process would have done while it waited is not known: it comes when it did come.
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
    for turn in &turns.turns {
        give(&mut waiting, &mut owner, &mut kept, turn.begin);
        if owner != Some(turn.owner) && waiting.iter().all(|(_, waits)| *waits != turn.owner) {
            waiting.push((turn.begin, turn.owner));
        }
    }
    give(&mut waiting, &mut owner, &mut kept, u64::MAX);
    replayed
}

/// The largest first.
fn largest<K: Ord, V: Ord + Copy>(map: HashMap<K, V>) -> Vec<(K, V)> {
    let mut all: Vec<(K, V)> = map.into_iter().collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    all.truncate(ROWS);
    all
}

fn time(ns: u64) -> String {
    match ns {
        0..10_000 => format!("{ns} ns"),
        10_000..10_000_000 => format!("{:.1} us", ns as f64 / 1e3),
        _ => format!("{:.1} ms", ns as f64 / 1e6),
    }
}

/// Returns the answers as a text.
pub fn text(story: &Story) -> String {
    let mut out = String::new();
    let seconds = duration(story) as f64 / 1e9;
    let _ = writeln!(out, "{} events in {seconds:.3} s", story.events.len());
    for (engine, turns) in engines(story) {
        engine_text(story, story.device(engine.device), &turns, seconds, &mut out);
    }
    waits(story, &mut out);
    pages(story, &mut out);
    out
}

fn duration(story: &Story) -> u64 {
    let begin = story.events.first().map_or(0, |told| told.stamp.time);
    let ends = story.events.iter().map(|told| told.stamp.time + told.stamp.duration);
    ends.max().unwrap_or(0) - begin
}

fn engine_text(story: &Story, device: &str, turns: &Turns, seconds: f64, out: &mut String) {
    let switches = turns.turns.len();
    let _ = writeln!(
        out,
        "\n{device}: {switches} switches, {:.0} per second",
        switches as f64 / seconds.max(1e-9)
    );
    // Who took it from whom, in both directions together; and the code that did so most often.
    let mut pairs: HashMap<[u32; 2], u64> = HashMap::new();
    let mut code: HashMap<[u32; 2], HashMap<String, u64>> = HashMap::new();
    for turn in &turns.turns {
        let grant = &story.events[turn.grant];
        let Some(from) = grant.taken_from else { continue };
        let mut pair = [turn.owner.process, from.process];
        pair.sort_unstable();
        *pairs.entry(pair).or_default() += 1;
        if let Some(place) = grant.cause.and_then(|cause| story.events[cause].code.as_ref()) {
            *code.entry(pair).or_default().entry(place.short()).or_default() += 1;
        }
    }
    for (pair, count) in largest(pairs) {
        let [one, other] = pair.map(|process| story.process(process));
        let at = code.remove(&pair).and_then(|places| largest(places).into_iter().next());
        let at = at.map_or(String::new(), |(place, _)| format!(", most often at {place}"));
        let _ = match pair[0] == pair[1] {
            true => writeln!(out, "  {count:>8} times two mappings of {one} took it from each other{at}"),
            false => writeln!(out, "  {count:>8} times {one} and {other} took it from each other{at}"),
        };
    }
    for ms in TRIED {
        let Replayed { switches, longest } = replay(turns, ms * 1_000_000);
        let _ = writeln!(
            out,
            "  with {ms:>2} ms of hysteresis: {switches} switches, longest wait {}",
            time(longest)
        );
    }
}

fn waits(story: &Story, out: &mut String) {
    let mut waited: BTreeMap<u32, [u64; 3]> = BTreeMap::new();
    for told in &story.events {
        let index = match told.event {
            Event::Wait { what: For::Turn, .. } => 0,
            Event::Wait { what: For::Driver, .. } => 1,
            Event::Fault { .. } => 2,
            _ => continue,
        };
        waited.entry(told.stamp.process).or_default()[index] += told.stamp.duration;
    }
    let mut waited: Vec<_> = waited.into_iter().filter(|(process, _)| *process != 0).collect();
    waited.sort_by_key(|(_, [.., fault])| std::cmp::Reverse(*fault));
    if !waited.is_empty() {
        let _ = writeln!(
            out,
            "\n{:<24}{:>14}{:>14}{:>14}",
            "time of processes", "in faults", "for a turn", "in drivers"
        );
    }
    for (process, [turn, driver, fault]) in waited.into_iter().take(ROWS) {
        let (name, [turn, driver, fault]) = (story.process(process), [turn, driver, fault].map(time));
        let _ = writeln!(out, "  {name:<22}{fault:>14}{turn:>14}{driver:>14}");
    }
}

fn pages(story: &Story, out: &mut String) {
    let mut pages: HashMap<(u64, u64), u64> = HashMap::new();
    let mut code: HashMap<(u64, u64), HashMap<String, u64>> = HashMap::new();
    for told in &story.events {
        let Event::Fault { offset, .. } = told.event else { continue };
        if offset == UNKNOWN {
            continue;
        }
        let page = (told.device, offset & !0xfff);
        *pages.entry(page).or_default() += 1;
        if let Some(place) = &told.code {
            *code.entry(page).or_default().entry(place.short()).or_default() += 1;
        }
    }
    if !pages.is_empty() {
        let _ = writeln!(out, "\n{:>10}  pages that fault most", "faults");
    }
    for (page, count) in largest(pages) {
        let (device, offset) = page;
        let at = code.remove(&page).and_then(|places| largest(places).into_iter().next());
        let at = at.map_or(String::new(), |(place, _)| format!(", most often at {place}"));
        let _ = writeln!(out, "{count:>10}  {} {offset:#x}{at}", story.device(device));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::Turn;

    const MS: u64 = 1_000_000;

    fn turns(of: &[(u64, u32)]) -> Turns {
        let turn = |&(ms, process): &(u64, u32)| {
            let owner = Owner { process, mapping: 0 };
            Turn { owner, begin: ms * MS, end: (ms + 1) * MS, grant: 0 }
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
