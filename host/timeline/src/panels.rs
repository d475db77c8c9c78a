//! The [answers](mod@crate::answers) as a text, and the words that they have in common with the page.

use std::fmt::Write as _;

use crate::answers::{Answers, OfEngine, Pair};
use crate::engines::engines;
use crate::story::Story;

/// Rows of a list.
const ROWS: usize = 10;

/// Returns a time in a few words.
pub fn time(ns: u64) -> String {
    match ns {
        0 => "0".to_owned(),
        1..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} us", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.3} s", ns as f64 / 1e9),
    }
}

/// Returns a number with commas.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Pair {
    /// Returns who takes from whom, in words that follow the number of times.
    pub fn who(&self, story: &Story) -> String {
        let [one, other] = self.processes.map(|process| story.process(process));
        match self.processes[0] == self.processes[1] {
            true => format!("two mappings of {one} took it from each other"),
            false => format!("{one} and {other} took it from each other"),
        }
    }

    /// Returns the code at which they do so; empty if it is not known.
    pub fn places(&self, story: &Story) -> String {
        let [one, other] = self.processes.map(|process| story.process(process));
        match &self.places {
            _ if self.processes[0] == self.processes[1] => {
                self.places[0].as_ref().map_or(String::new(), |place| format!("most often at {place}"))
            }
            [Some(one), Some(other)] if one == other => format!("both at {one}"),
            [Some(first), Some(second)] => format!("{one} at {first}, {other} at {second}"),
            [Some(place), None] => format!("{one} at {place}"),
            [None, Some(place)] => format!("{other} at {place}"),
            [None, None] => String::new(),
        }
    }
}

/// Returns the answers as a text.
pub fn text(story: &Story) -> String {
    let answers = Answers::of(story, &engines(story), ROWS);
    let mut out = String::new();
    let _ = writeln!(out, "{} events in {:.3} s", answers.events, answers.duration as f64 / 1e9);
    for engine in &answers.engines {
        engine_text(story, engine, &mut out);
    }
    if !answers.times.is_empty() {
        let _ = writeln!(
            out,
            "\n{:<24}{:>14}{:>14}{:>14}",
            "time of processes", "in faults", "for a turn", "in drivers"
        );
    }
    for times in &answers.times {
        let [turn, driver, fault] = [times.turns, times.drivers, times.in_faults].map(time);
        let _ = writeln!(out, "  {:<22}{fault:>14}{turn:>14}{driver:>14}", story.process(times.process));
    }
    if !answers.pages.is_empty() {
        let _ = writeln!(out, "\n{:>10}  pages that fault most", "faults");
    }
    for page in &answers.pages {
        let at = page.place.as_ref().map_or(String::new(), |place| format!(", most often at {place}"));
        let _ = writeln!(out, "{:>10}  {} {:#x}{at}", page.faults, story.device(page.device), page.offset);
    }
    out
}

fn engine_text(story: &Story, of: &OfEngine, out: &mut String) {
    let device = story.device(of.engine.device);
    let _ = writeln!(
        out,
        "\n{device}: {} switches, {:.0} per second, {} in the busiest; longest wait {}",
        of.switches,
        of.per_second,
        of.busiest.1,
        time(of.longest)
    );
    for pair in &of.pairs {
        let places = pair.places(story);
        let comma = if places.is_empty() { "" } else { ", " };
        let _ = writeln!(out, "  {:>8} times {}{comma}{places}", pair.times, pair.who(story));
    }
    for (index, (ms, with)) in of.hysteresis.iter().enumerate() {
        let helps = if of.helps == Some(index) { ": saves half of them" } else { "" };
        let _ = writeln!(
            out,
            "  with {ms:>2} ms of hysteresis: {} switches, longest wait {}{helps}",
            with.switches,
            time(with.longest)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        assert_eq!([0, 999, 1_000, 4_120, 1_234_567].map(count), ["0", "999", "1,000", "4,120", "1,234,567"]);
    }

    #[test]
    fn a_pair_is_told_with_its_code() {
        let story = Story::default();
        let pair = |processes, places: [Option<&str>; 2]| {
            let places = places.map(|place| place.map(str::to_owned));
            Pair { processes, times: 4, places, first: 0 }.places(&story)
        };
        assert_eq!(pair([1, 2], [Some("render.c:88"); 2]), "both at render.c:88");
        assert_eq!(pair([1, 1], [Some("render.c:88"), None]), "most often at render.c:88");
        assert_eq!(pair([1, 2], [Some("a.c:1"), Some("b.c:2")]), " at a.c:1,  at b.c:2");
        assert_eq!(pair([1, 2], [None, None]), "");
    }
}
