//! The page's text: title, summary, and the answers as tables. A `data-event` is the index of the event that a button shows.

use std::fmt::Write as _;

use crate::answers::{Answers, OfEngine, Times};
use crate::panels::{self, count};
use crate::story::Story;

/// Returns a text as it is written in HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

/// Returns a time that is not broken into two lines.
fn time(ns: u64) -> String {
    panels::time(ns).replace(' ', "\u{a0}")
}

fn devices(story: &Story) -> String {
    let names: Vec<&str> = story.devices.values().map(String::as_str).collect();
    escaped(&names.join(", "))
}

pub fn title(story: &Story) -> String {
    format!("Timeline of {}", if story.devices.is_empty() { "a run".into() } else { devices(story) })
}

/// Returns the page's first sentences.
pub fn summary(story: &Story, answers: &Answers) -> String {
    let mut text = if answers.events == 0 {
        "The trace has no events.".to_owned()
    } else {
        let processes = story.processes.len() as u64;
        format!(
            "{} events of {} {} in {}.",
            count(answers.events),
            count(processes),
            if processes == 1 { "process" } else { "processes" },
            time(answers.duration)
        )
    };
    for engine in &answers.engines {
        let _ = write!(
            text,
            " {}: {} switches, {} per second.",
            escaped(story.device(engine.engine.device)),
            count(engine.switches),
            count(engine.per_second.round() as u64)
        );
    }
    if story.overwritten > 0 {
        let _ = write!(text, " {} older events were overwritten.", count(story.overwritten));
    }
    if story.refused > 0 {
        let _ = write!(text, " For {} there was no room.", count(story.refused));
    }
    if !story.ended && answers.events > 0 {
        text.push_str(" The host was killed: the last events of its threads may be missing.");
    }
    text
}

/// A table: its caption, the heads of its columns, and rows of cells. The first cell is the row's head.
fn table(caption: &str, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut out = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table><caption>{caption}</caption><thead><tr>"
    );
    for head in heads {
        let _ = write!(out, "<th scope=\"col\">{head}</th>");
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        out.push_str("<tr>");
        for (index, cell) in row.into_iter().enumerate() {
            let _ = match index {
                0 => write!(out, "<th scope=\"row\">{cell}</th>"),
                _ => write!(out, "<td>{cell}</td>"),
            };
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    out
}

/// A button that shows an event.
fn shows(event: usize, text: &str, label: &str) -> String {
    format!("<button data-event=\"{event}\" aria-label=\"{label}\">{text}</button>")
}

/// Returns the answers.
pub fn panels(story: &Story, answers: &Answers) -> String {
    let mut out = String::new();
    for engine in &answers.engines {
        of_engine(story, engine, &mut out);
    }
    if !answers.times.is_empty() {
        out.push_str("<section class=\"panel\"><h2>Time of processes</h2>");
        let row = |times: &Times| {
            let longest = match times.longest.time {
                0 => String::new(),
                longest => shows(times.longest.event, &time(longest), "show the longest wait"),
            };
            let name = escaped(&story.process(times.process));
            let [faults, turns, drivers] = [times.in_faults, times.turns, times.drivers].map(time);
            vec![name, count(times.faults), faults, turns, drivers, longest]
        };
        let heads =
            ["process", "faults", "in faults", "waits for a turn", "waits in drivers", "longest wait"];
        out.push_str(&table(
            "Time of processes, the longest in faults first",
            &heads,
            answers.times.iter().map(row),
        ));
        out.push_str("</section>");
    }
    if !answers.pages.is_empty() {
        out.push_str("<section class=\"panel\"><h2>Pages that fault most</h2>");
        let rows = answers.pages.iter().map(|page| {
            let name = format!("{} {:#x}", escaped(story.device(page.device)), page.offset);
            let place = page.place.as_deref().map_or("not known".into(), escaped);
            vec![
                shows(page.first, &name, &format!("show the first fault at {name}")),
                count(page.faults),
                place,
            ]
        });
        out.push_str(&table("Pages by device offset", &["page", "faults", "code, most often"], rows));
        out.push_str("</section>");
    }
    out
}

fn of_engine(story: &Story, of: &OfEngine, out: &mut String) {
    let device = escaped(story.device(of.engine.device));
    let _ = write!(
        out,
        "<section class=\"panel\"><h2>{device}: {} switches</h2><p>{} per second; {} in the second with the most, which \
         <button data-time=\"{}\">begins here</button>. Longest wait for a turn: {}.</p>",
        count(of.switches),
        count(of.per_second.round() as u64),
        count(of.busiest.1),
        of.busiest.0 - story.begin(),
        time(of.longest)
    );
    if !of.pairs.is_empty() {
        let rows = of.pairs.iter().map(|pair| {
            let who = escaped(&pair.who(story));
            vec![
                shows(pair.first, &who, &format!("show the first time: {who}")),
                count(pair.times),
                escaped(&pair.places(story)),
            ]
        });
        out.push_str(&table("Ping-pong", &["who", "times", "code, most often"], rows));
    }
    let with = |(index, (ms, with)): (usize, &(u64, crate::answers::Replayed))| {
        let helps = if of.helps == Some(index) { "saves half of the switches" } else { "" };
        vec![format!("{ms} ms"), count(with.switches), time(with.longest), helps.to_owned()]
    };
    let recorded = vec!["as recorded".to_owned(), count(of.switches), time(of.longest), String::new()];
    let rows = std::iter::once(recorded).chain(of.hysteresis.iter().enumerate().map(with));
    out.push_str(&table(
        "Hysteresis, replayed from the trace",
        &["with", "switches", "longest wait", "note"],
        rows,
    ));
    out.push_str("</section>");
}
