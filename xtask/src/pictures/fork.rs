//! A fork with contexts: a process maps, writes, forks and unmaps parts, its child writes and ends. Each has its own view of the one device.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use ddi_timeline::story::{Story, Told};
use ddi_trace::Event;

use super::bench::{Bench, time};
use crate::svg::{Anchor, Drawing};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 110.0;
const ROW: f64 = 44.0;
const LINE: f64 = 19.0;

/// A step of the story: calls or faults of one process that belong together.
struct Step {
    process: u32,
    what: String,
    /// Faults; 0: another call.
    faults: u64,
    begin: u64,
    duration: u64,
    /// It got the context from somebody, or first.
    switches: bool,
    /// It ends the process.
    ends: bool,
}

pub fn draw(bench: &Bench) -> Result<String> {
    let story = bench.run(0, "$client family </dev/null >/dev/null\n")?;
    let fork = story.events.iter().find(|told| {
        let dups = matches!(told.event, Event::Fork { errno: 0, .. });
        dups && story
            .events
            .iter()
            .any(|of| matches!(of.event, Event::Dup { .. }) && of.stamp.cause == told.stamp.cause)
    });
    let fork = fork.context("nobody has forked with a mapping")?;
    let Event::Fork { child, .. } = fork.event else { unreachable!("a fork") };
    let family = [fork.stamp.process, child as u32];
    let steps = steps(&story, family);

    let names = [
        format!("parent {}", story.pid(family[0])),
        format!("child {}", story.pid(family[1])),
        "engine".into(),
    ];
    let width = (WIDTH - LEFT - 30.0) / steps.len() as f64;
    let x = |step: usize| LEFT + width * (step as f64 + 0.5);
    let y = |row: usize| 70.0 + ROW * row as f64;
    let colours = BTreeMap::from([(family[0], "a"), (family[1], "b")]);
    let legend = y(2) + 48.0;
    let height = legend + LINE * steps.len() as f64 + 8.0;
    let mut drawing = Drawing::new(WIDTH, height, "fork(2) with contexts");
    for (row, name) in names.iter().enumerate() {
        drawing.text((16.0, y(row) + 4.0), Anchor::Start, "ink", name);
    }
    let forked = steps.iter().position(|step| step.what.starts_with("fork(2)")).unwrap_or(0);
    let gone =
        steps.iter().position(|step| step.ends && step.process == family[1]).unwrap_or(steps.len() - 1);
    drawing.line((x(0) - width / 2.0, y(0)), (x(steps.len() - 1), y(0)), "line-a\" stroke-width=\"2");
    drawing.line((x(forked), y(0)), (x(forked), y(1)), "line-b\" stroke-width=\"2");
    drawing.line((x(forked), y(1)), (x(gone), y(1)), "line-b\" stroke-width=\"2");
    // Whose turn it is.
    let mut owner: Option<(u32, f64)> = None;
    let bar = |drawing: &mut Drawing, (process, from): (u32, f64), to: f64| {
        let colour = colours.get(&process).copied().unwrap_or("none");
        let title = format!("the engine has the context of {}", story.process(process));
        drawing.rect((from, y(2) - 10.0), (to - from, 20.0), &format!("fill-{colour}"), &title);
    };
    for (number, step) in steps.iter().enumerate() {
        if step.switches {
            if let Some(before) = owner {
                bar(&mut drawing, before, x(number));
            }
            owner = Some((step.process, x(number)));
        }
        if step.ends
            && let Some(before) = owner.take_if(|(process, _)| *process == step.process)
        {
            bar(&mut drawing, before, x(number));
        }
    }
    if let Some(last) = owner {
        bar(&mut drawing, last, x(steps.len() - 1) + width / 2.0);
    }
    for (number, step) in steps.iter().enumerate() {
        let row = usize::from(step.process == family[1]);
        let colour = if row == 0 { "a" } else { "b" };
        if step.switches {
            drawing.line(
                (x(number), y(row)),
                (x(number), y(2) - 10.0),
                &format!("line-{colour}\" stroke-dasharray=\"3 3"),
            );
        }
        drawing.circle((x(number), y(row)), 10.0, &format!("fill-{colour}"), &step.what);
        drawing.text((x(number), y(row) + 4.0), Anchor::Middle, "paper", &(number + 1).to_string());
        let line = legend + LINE * number as f64;
        drawing.text((34.0, line), Anchor::End, "dim", &(number + 1).to_string());
        drawing.text(
            (44.0, line),
            Anchor::Start,
            &format!("fill-{colour}"),
            if row == 0 { "parent" } else { "child" },
        );
        drawing.text((LEFT - 10.0, line), Anchor::Start, "ink", &step.what);
        drawing.text((WIDTH - 16.0, line), Anchor::End, "dim", &time(step.duration));
    }
    Ok(drawing.finish())
}

/// Steps of a family, in order. Faults one after the other are one step until somebody else is next.
fn steps(story: &Story, family: [u32; 2]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let calls = story
        .events
        .iter()
        .enumerate()
        .filter(|(_, told)| family.contains(&told.stamp.process) && told.cause.is_none());
    for (index, told) in calls {
        let parts = || story.events.iter().filter(move |part| part.cause == Some(index));
        let taken = parts().find(|part| part.switched);
        let what = match told.event {
            Event::Mmap { errno: 0, length, .. } => {
                let handles = parts().filter(|part| matches!(part.event, Event::Map { .. })).count();
                format!("mmap(2) of {} KiB: devmap_map(9E), {}", length >> 10, times(handles))
            }
            Event::Fault { .. } => String::new(),
            Event::Fork { errno: 0, .. } => {
                let dups = parts().filter(|part| matches!(part.event, Event::Dup { .. })).count();
                format!("fork(2): devmap_dup(9E), {}; the child's context is a copy", times(dups))
            }
            Event::Munmap { errno: 0, length, .. } => {
                format!("munmap(2) of {} KiB: {}", length >> 10, shape(parts()))
            }
            Event::Exit {} => {
                let cuts = parts().filter(|part| matches!(part.event, Event::Cut { .. })).count();
                format!("exit(2): devmap_unmap(9E), {}", times(cuts))
            }
            _ => continue,
        };
        let is_fault = matches!(told.event, Event::Fault { .. });
        let step = Step {
            process: told.stamp.process,
            what,
            faults: is_fault.into(),
            begin: told.stamp.time,
            duration: told.stamp.duration,
            switches: taken.is_some(),
            ends: matches!(told.event, Event::Exit {}),
        };
        match steps.last_mut() {
            Some(last) if is_fault && last.faults > 0 && last.process == step.process && !step.switches => {
                last.faults += 1;
                last.duration = step.begin + step.duration - last.begin;
            }
            _ => steps.push(step),
        }
    }
    // Who has the engine, while that lives.
    let mut owner = None;
    for step in &mut steps {
        if step.ends {
            owner = owner.filter(|owner| *owner != step.process);
        }
        if step.faults == 0 {
            continue;
        }
        let count = if step.faults == 1 { "an access".into() } else { format!("{} accesses", step.faults) };
        let gets = match step.switches {
            true if owner.is_some() => ": takes the engine from the other, whose pages are unloaded",
            true => ": gets the engine",
            false => ", with the engine",
        };
        owner = if step.switches { Some(step.process) } else { owner };
        step.what = format!("{count} without a translation{gets}");
    }
    steps
}

fn times(count: usize) -> String {
    if count == 1 { "once".into() } else { format!("{count} times") }
}

/// Describes the shapes that an unmap cuts.
fn shape<'a>(parts: impl Iterator<Item = &'a Told>) -> String {
    let shapes: Vec<&str> = parts
        .filter_map(|part| match part.event {
            Event::Cut { before, behind, .. } => Some(match (before, behind) {
                (true, true) => "a middle",
                (true, false) => "a tail",
                (false, true) => "a head",
                (false, false) => "all of a mapping",
            }),
            _ => None,
        })
        .collect();
    format!("devmap_unmap(9E) of {}", shapes.join(" and "))
}
