//! Hysteresis off and on: the same two processes write to the device as fast as they can, and take turns in its engine.

use anyhow::{Context, Result};
use ddi_timeline::engines::{Turns, engines};

use super::bench::{Bench, time};
use crate::svg::{Anchor, Drawing};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 16.0;
const BAR: f64 = 34.0;
const PANEL: f64 = 92.0;
/// Nanoseconds that are shown.
const SHOWN: u64 = 100_000_000;
/// Hysteresis, in milliseconds.
const ON: u64 = 10;

/// Both begin when both are ready, and have more to do than time for it.
const SCRIPT: &str = "
mkfifo three four
$client worker 1 private 1000000000 <three >/dev/null &
first=$!
$client worker 2 private 1000000000 <four >/dev/null &
second=$!
exec 3>three 4>four
sleep 0.3
echo begin >&3; echo begin >&4
sleep 0.5
kill $first $second
wait || true
rm three four
";

pub fn draw(bench: &Bench) -> Result<String> {
    let mut drawing =
        Drawing::new(WIDTH, 60.0 + 2.0 * PANEL + 34.0, "Two processes, one engine: hysteresis off and on");
    let x = |ns: f64| LEFT + ns * (WIDTH - 2.0 * LEFT) / SHOWN as f64;
    for (row, ms) in [0, ON].into_iter().enumerate() {
        let top = 58.0 + PANEL * row as f64;
        let turns = turns(bench, ms)?;
        let (from, to) = window(&turns)?;
        let shown = turns.turns.iter().filter(|turn| turn.end > from && turn.begin < to);
        let switches = turns.turns.iter().filter(|turn| (from..to).contains(&turn.begin)).count();
        let mut owners: Vec<_> = turns.turns.iter().map(|turn| turn.owner).collect();
        owners.sort_unstable();
        owners.dedup();
        for turn in shown {
            let [begin, end] = [turn.begin, turn.end].map(|at| at.clamp(from, to) - from);
            let colour = if owners.first() == Some(&turn.owner) { "fill-a" } else { "fill-b" };
            let title = format!("{} after {}", time(turn.end - turn.begin), time(begin));
            drawing.rect((x(begin as f64), top), (x(end as f64) - x(begin as f64), BAR), colour, &title);
        }
        let waits = turns.waits.iter().filter(|wait| (from..to).contains(&wait.end));
        let longest = waits.map(|wait| wait.end - wait.begin).max();
        let longest =
            longest.map_or("nobody waits for a turn".into(), |wait| format!("longest wait {}", time(wait)));
        let name = if ms == 0 { "off".to_owned() } else { format!("{ms} ms") };
        let text = format!("{name}: {switches} switches in {}, {longest}", time(to - from));
        drawing.text((LEFT, top + BAR + 18.0), Anchor::Start, "ink", &text);
    }
    let bottom = 60.0 + 2.0 * PANEL;
    drawing.line((LEFT, bottom), (WIDTH - LEFT, bottom), "axis");
    for ms in (0..=SHOWN / 1_000_000).step_by(20) {
        let at = x(ms as f64 * 1e6);
        drawing.line((at, bottom), (at, bottom + 4.0), "axis");
        let anchor = match ms {
            0 => Anchor::Start,
            _ if ms * 1_000_000 == SHOWN => Anchor::End,
            _ => Anchor::Middle,
        };
        drawing.text((at, bottom + 18.0), anchor, "dim", &format!("{ms} ms"));
    }
    Ok(drawing.finish())
}

/// The turns of a run.
fn turns(bench: &Bench, hysteresis_ms: u64) -> Result<Turns> {
    let story = bench.run(hysteresis_ms, SCRIPT)?;
    engines(&story).into_values().max_by_key(|turns| turns.turns.len()).context("nobody has had the engine")
}

/// The part that is shown: the one with the most switches. Others on the machine may have kept one of the two from running in the rest.
fn window(turns: &Turns) -> Result<(u64, u64)> {
    let begins: Vec<u64> = turns.turns.iter().map(|turn| turn.begin).collect();
    let inside =
        |from: &u64| begins.partition_point(|at| *at < from + SHOWN) - begins.partition_point(|at| at < from);
    // What the first turn takes from nobody is no switch between the two.
    let from =
        begins.iter().skip(1).max_by_key(|from| inside(from)).context("nobody has taken the engine")?;
    Ok((*from, from + SHOWN))
}
