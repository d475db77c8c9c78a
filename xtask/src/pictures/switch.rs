//! A context switch, step by step: two processes touch the device in turn; the shortest switch, which others on the machine have disturbed least, is drawn.

use anyhow::{Context, Result};
use ddi_timeline::story::Told;
use ddi_trace::Event;

use super::bench::Bench;
use crate::svg::{Anchor, Drawing};

/// Each process touches when it is told to, and waits for the other.
const SCRIPT: &str = "
mkfifo one two
$client toucher <one >/dev/null &
$client toucher <two >/dev/null &
exec 3>one 4>two
for round in 1 2 3 4 5 6 7 8 9 10 11 12; do
    echo touch >&3; sleep 0.02
    echo touch >&4; sleep 0.02
done
exec 3>&- 4>&-
wait
";

/// The columns: who touches, the framework, the driver, who had the context.
const COLUMNS: [f64; 4] = [180.0, 370.0, 560.0, 750.0];
const TOUCHES: usize = 0;
const FRAMEWORK: usize = 1;
const DRIVER: usize = 2;
const HAD: usize = 3;
const WIDTH: f64 = 840.0;
const TOP: f64 = 78.0;
const STEP: f64 = 38.0;

/// A step: its time, from which column to which, and what it is.
type Step = (u64, usize, usize, String);

pub fn draw(bench: &Bench) -> Result<String> {
    let story = bench.run(0, SCRIPT)?;
    let of_fault = |fault: usize| story.events.iter().filter(move |told| told.cause == Some(fault));
    // Faults that took the context from another process, whose pages they unloaded.
    let mut switches: Vec<(u64, usize, &Told)> = Vec::new();
    for grant in story.events.iter().filter(|told| told.taken_from.is_some()) {
        let Some(fault) = grant.cause else { continue };
        let unloads = of_fault(fault).any(|told| matches!(told.event, Event::Unload { .. }));
        if unloads && matches!(story.events[fault].event, Event::Fault { .. }) {
            switches.push((story.events[fault].stamp.duration, fault, grant));
        }
    }
    let shortest = switches.into_iter().min_by_key(|(duration, ..)| *duration);
    let (duration, fault, grant) = shortest.context("nobody has taken the context from another")?;
    let begin = story.events[fault].stamp.time;
    let Event::Fault { offset, .. } = story.events[fault].event else { unreachable!("a fault") };

    let mut steps: Vec<Step> =
        vec![(begin, TOUCHES, FRAMEWORK, format!("touches {offset:#x}: no translation"))];
    for told in of_fault(fault) {
        let time = told.stamp.time;
        match told.event {
            Event::Access { .. } => steps.push((time, FRAMEWORK, DRIVER, "devmap_access(9E)".into())),
            Event::Request { .. } => steps.push((time, DRIVER, FRAMEWORK, "devmap_do_ctxmgt(9F)".into())),
            Event::Grant { .. } => steps.push((time, FRAMEWORK, DRIVER, "devmap_contextmgt(9E)".into())),
            Event::Unload { pages, .. } => {
                let pages = if pages == 1 { "a page".into() } else { format!("{pages} pages") };
                steps.push((time, DRIVER, HAD, format!("devmap_unload(9F): {pages}")));
                let end = time + told.stamp.duration;
                steps.push((end, DRIVER, DRIVER, "saves and restores registers".into()));
            }
            Event::Load { .. } => steps.push((time, DRIVER, TOUCHES, "devmap_load(9F)".into())),
            _ => {}
        }
    }
    steps.push((begin + duration, FRAMEWORK, TOUCHES, "the access goes on".into()));
    steps.sort_by_key(|(time, ..)| *time);
    // Several handles: their pages go one after the other.
    let is_saving = |step: &Step| step.1 == step.2;
    let last = steps.iter().rposition(is_saving).context("an unload")?;
    let mut index = 0;
    steps.retain(|step| {
        index += 1;
        !is_saving(step) || index == last + 1
    });

    let height = TOP + STEP * steps.len() as f64 + 30.0;
    let mut drawing = Drawing::new(WIDTH, height, "A context switch, step by step");
    let had = grant.taken_from.context("who had it")?.process;
    let heads = [
        format!("process {}", story.pid(grant.stamp.process)),
        "framework".to_owned(),
        "driver".to_owned(),
        format!("process {}", story.pid(had)),
    ];
    for (x, head) in COLUMNS.into_iter().zip(&heads) {
        drawing.text((x, 54.0), Anchor::Middle, "ink", head);
        drawing.line((x, 62.0), (x, height - 16.0), "axis");
    }
    // What happens while it has no translation.
    let [first, end] = [0, steps.len() - 1].map(|step| TOP + STEP * step as f64 + 10.0);
    drawing.rect((COLUMNS[TOUCHES] - 3.0, first), (6.0, end - first), "fill-b", "waits for the access");
    for (number, (at, from, to, what)) in steps.iter().enumerate() {
        let y = TOP + STEP * number as f64 + 10.0;
        drawing.text((16.0, y + 4.0), Anchor::Start, "dim", &format!("+{:.1} µs", (at - begin) as f64 / 1e3));
        let [x1, x2] = [*from, *to].map(|column| COLUMNS[column]);
        if from == to {
            drawing.circle((x1, y), 4.0, "fill-c", what);
            drawing.text((x1 + 10.0, y + 4.0), Anchor::Start, "ink", what);
            continue;
        }
        let colour = match (*from, *to) {
            (_, HAD) => "b",
            (TOUCHES, _) | (_, TOUCHES) => "a",
            _ => "c",
        };
        drawing.arrow((x1, y), x2, colour);
        // Beside the framework's line, not across it.
        let middle =
            if *from == DRIVER && *to == TOUCHES { (x1 + COLUMNS[FRAMEWORK]) / 2.0 } else { (x1 + x2) / 2.0 };
        drawing.text((middle, y - 6.0), Anchor::Middle, "ink", what);
    }
    Ok(drawing.finish())
}
