//! A recording that goes on, interval by interval: who faults, switches and waits, and where.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use ddi_trace::{About, Event, For, Record, Stamp, Text, Trace, UNKNOWN};

use crate::story::Owner;
use crate::symbols::Symbols;

/// Pages that are shown.
const PAGES: usize = 10;

/// Waits that are kept until their turn is known.
const PENDING: usize = 4096;

/// Numbers of a process, or of one of its contexts, in an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Faults that have ended.
    pub faults: u64,
    /// Switches of a context to it.
    pub switches: u64,
    /// Switches from it to another.
    pub losses: u64,
    /// Nanoseconds in faults.
    pub faulting: u64,
    /// Of these, waiting for a turn.
    pub waiting: u64,
    /// Nanoseconds that it waited in drivers.
    pub driver: u64,
}

/// A mapping that uses a context of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Context {
    /// The mapping.
    pub owner: Owner,
    /// The device.
    pub device: u64,
    /// The context.
    pub context: u64,
}

/// Faults of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Their number.
    pub faults: u64,
    /// The code that they come from: process, address and number.
    pub code: HashMap<(u32, u64), u64>,
}

/// Numbers of an interval.
#[derive(Clone, Debug, Default)]
pub struct Interval {
    /// Of processes, by the number of the address space.
    pub processes: BTreeMap<u32, Numbers>,
    /// Of contexts.
    pub contexts: BTreeMap<Context, Numbers>,
    /// Faults of pages, by device and device offset.
    pub pages: HashMap<(u64, u64), Page>,
    /// Events.
    pub events: u64,
    /// Events that were not read in time, or for which there was no room.
    pub lost: u64,
}

impl Interval {
    /// Numbers of all processes.
    pub fn sum(&self) -> Numbers {
        self.processes.values().fold(Numbers::default(), |sum, one| Numbers {
            faults: sum.faults + one.faults,
            switches: sum.switches + one.switches,
            losses: sum.losses + one.losses,
            faulting: sum.faulting + one.faulting,
            waiting: sum.waiting + one.waiting,
            driver: sum.driver + one.driver,
        })
    }
}

/// A line of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The text, without an end of line.
    pub text: String,
    /// It is a heading of what follows.
    pub heading: bool,
}

impl Line {
    fn of(text: String) -> Line {
        Line { text, heading: false }
    }
    fn heading(text: String) -> Line {
        Line { text, heading: true }
    }
}

/// An interval as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The sums.
    pub head: Line,
    /// Processes and their contexts.
    pub processes: Vec<Line>,
    /// Pages that fault most.
    pub pages: Vec<Line>,
}

impl Shown {
    /// Returns the lines, at most so many: of processes those that do least are left out.
    pub fn lines(&self, most: usize) -> Vec<&Line> {
        let room = most.saturating_sub(1 + self.pages.len());
        let processes = self.processes.iter().take(room);
        std::iter::once(&self.head).chain(processes).chain(&self.pages).take(most).collect()
    }
}

/// State of a recording so far.
#[derive(Default)]
pub struct Live {
    names: HashMap<u32, (u32, String)>,
    devices: HashMap<u64, String>,
    symbols: Symbols,
    owners: HashMap<(u64, u64), Owner>,
    /// Time waited for a turn by calls and faults that have not got it yet.
    waits: HashMap<u64, u64>,
    refused: u64,
}

impl Live {
    /// Takes what was recorded since the last time.
    pub fn take(&mut self, new: &Trace) -> Interval {
        self.symbols.add(&new.texts);
        for Text { about, id, words, text } in &new.texts {
            match about {
                About::Device => _ = self.devices.insert(*id, text.clone()),
                About::Process => _ = self.names.insert(*id as u32, (words[0] as u32, text.clone())),
                About::Code | About::Mistake | About::Probe => {}
            }
        }
        let lost = new.overwritten + new.refused.saturating_sub(self.refused);
        self.refused = new.refused;
        let mut interval = Interval { events: new.records.len() as u64, lost, ..Interval::default() };
        for Record { stamp, event } in &new.records {
            self.event(stamp, event, &mut interval);
        }
        interval
    }

    fn event(&mut self, stamp: &Stamp, event: &Event, interval: &mut Interval) {
        if stamp.process != 0 && stamp.pid != 0 {
            self.names.entry(stamp.process).or_default().0 = stamp.pid;
        }
        let process = |interval: &mut Interval, of: u32, add: &dyn Fn(&mut Numbers)| {
            if of != 0 {
                add(interval.processes.entry(of).or_default());
            }
        };
        let own = stamp.process;
        match *event {
            Event::Fault { offset, code, .. } => {
                process(interval, own, &|numbers| {
                    numbers.faults += 1;
                    numbers.faulting += stamp.duration;
                });
                if offset != UNKNOWN {
                    let page = interval.pages.entry((stamp.device, offset & !0xfff)).or_default();
                    page.faults += 1;
                    if code != 0 {
                        *page.code.entry((own, code)).or_default() += 1;
                    }
                }
            }
            Event::Wait { what: For::Driver, .. } => {
                process(interval, own, &|numbers| numbers.driver += stamp.duration);
            }
            Event::Wait { what: For::Turn, .. } => {
                process(interval, own, &|numbers| numbers.waiting += stamp.duration);
                // Those of faults that were given up are forgotten some time.
                if self.waits.len() >= PENDING {
                    self.waits.clear();
                }
                *self.waits.entry(stamp.cause).or_default() += stamp.duration;
            }
            Event::Grant { mapping, context, error, .. } => {
                let owner = Owner { process: own, mapping };
                let of = |owner| Context { owner, device: stamp.device, context };
                let numbers = interval.contexts.entry(of(owner)).or_default();
                numbers.faults += 1;
                numbers.waiting += self.waits.remove(&stamp.cause).unwrap_or(0);
                let key = (stamp.device, context);
                let before =
                    if error == 0 { self.owners.insert(key, owner) } else { self.owners.remove(&key) };
                if error == 0 && before != Some(owner) {
                    numbers.switches += 1;
                    process(interval, own, &|numbers| numbers.switches += 1);
                    if let Some(before) = before {
                        interval.contexts.entry(of(before)).or_default().losses += 1;
                        process(interval, before.process, &|numbers| numbers.losses += 1);
                    }
                }
            }
            Event::Exit {} => self.owners.retain(|_, owner| owner.process != own),
            _ => {}
        }
    }

    /// Returns an interval of so many seconds as text. `name` finds the name of a process that the recording has not.
    pub fn show(&mut self, interval: &Interval, seconds: f64, name: impl Fn(u32) -> Option<String>) -> Shown {
        let per_second = |count: u64| rate(count as f64 / seconds);
        let share = |ns: u64| format!("{:.1}%", ns as f64 / 1e7 / seconds);
        let sum = interval.sum();
        let mut head = format!(
            "{seconds:.1} s  {} events  {} faults/s  {} switches/s",
            interval.events,
            per_second(sum.faults),
            per_second(sum.switches)
        );
        if interval.lost > 0 {
            let _ = write!(head, "  {} events were lost", interval.lost);
        }
        let mut lines = Vec::new();
        let row = |name: &str, columns: [String; 6]| {
            let [faults, switches, losses, faulting, waiting, driver] = columns;
            format!("{name:<33}{faults:>7}{switches:>7}{losses:>8}{faulting:>8}{waiting:>8}{driver:>8}")
        };
        let mut processes: Vec<_> = interval.processes.iter().collect();
        processes.sort_by_key(|(process, n)| (std::cmp::Reverse((n.switches, n.faults)), **process));
        if !processes.is_empty() {
            let columns = ["FLT/S", "SW/S", "LOST/S", "FAULT", "WAIT", "DRIVER"];
            lines.push(Line::heading(row("   PID PROGRAM", columns.map(str::to_owned))));
        }
        for (process, n) in processes {
            let (pid, known) = self.names.entry(*process).or_default();
            if known.is_empty() {
                *known = name(*pid).unwrap_or_default();
            }
            let counts = [n.faults, n.switches, n.losses].map(per_second);
            let times = [n.faulting, n.waiting, n.driver].map(share);
            let [[a, b, c], [d, e, f]] = [counts, times];
            lines.push(Line::of(row(&format!("{pid:>6} {known:.25}"), [a, b, c, d, e, f])));
            for (context, n) in interval.contexts.iter().filter(|(of, _)| of.owner.process == *process) {
                let device = self.devices.get(&context.device).map_or("", String::as_str);
                let counts = [n.faults, n.switches, n.losses].map(per_second);
                let [a, b, c] = counts;
                let name = format!("         {device} {:#x}", context.owner.mapping);
                let columns = [a, b, c, String::new(), share(n.waiting), String::new()];
                lines.push(Line::of(row(&name, columns).trim_end().to_owned()));
            }
        }
        let pages = self.pages(interval, &per_second);
        Shown { head: Line::heading(head), processes: lines, pages }
    }

    fn pages(&mut self, interval: &Interval, per_second: &dyn Fn(u64) -> String) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut pages: Vec<_> = interval.pages.iter().collect();
        pages.sort_by_key(|(place, page)| (std::cmp::Reverse(page.faults), **place));
        if !pages.is_empty() {
            lines.push(Line::heading(format!("{:>7}  PAGE", "FLT/S")));
        }
        for ((device, offset), page) in pages.into_iter().take(PAGES) {
            let code = page.code.iter().max_by_key(|(code, count)| (**count, **code));
            let place = code.and_then(|((process, code), _)| self.symbols.find(*process, *code));
            let place = place.map_or(String::new(), |code| format!(", most often at {}", code.short()));
            let device = self.devices.get(device).map_or("", String::as_str);
            lines.push(Line::of(format!("{:>7}  {device} {offset:#x}{place}", per_second(page.faults))));
        }
        lines
    }
}

/// A number per second: a small one with a digit behind the point.
fn rate(number: f64) -> String {
    if number > 0.0 && number < 10.0 { format!("{number:.1}") } else { format!("{number:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddi_trace::{Access, Outcome};

    fn record(time: u64, duration: u64, process: u32, event: Event) -> Record {
        let stamp = Stamp { time, duration, pid: process + 100, process, thread: 1, cause: time, device: 9 };
        Record { stamp, event }
    }

    #[test]
    fn faults_switches_and_waits_are_counted_where_they_belong() {
        let fault = Event::Fault {
            address: 0,
            offset: 0x1234,
            code: 0,
            access: Access::Read,
            outcome: Outcome::Served,
        };
        let grant = |mapping| Event::Grant { mapping, context: 5, offset: 0x1000, error: 0 };
        let turn = Event::Wait { what: For::Turn, interrupted: false };
        let mut wait = record(30, 500_000_000, 2, turn);
        wait.stamp.cause = 31;
        let text = |about, id, words, text: &str| Text { about, id, words, text: text.into() };
        let texts =
            vec![text(About::Device, 9, [0; 3], "ctxdev0"), text(About::Process, 1, [101, 0, 0], "painter")];
        let records =
            vec![record(10, 1_000, 1, fault), record(20, 1, 1, grant(7)), wait, record(31, 1, 2, grant(8))];
        let mut live = Live::default();
        let first = live.take(&Trace { records, texts, refused: 3, ..Trace::default() });
        assert_eq!(
            first.processes[&1],
            Numbers { faults: 1, switches: 1, losses: 1, faulting: 1_000, ..Numbers::default() }
        );
        assert_eq!(first.processes[&2], Numbers { switches: 1, waiting: 500_000_000, ..Numbers::default() });
        let of = |process, mapping| Context { owner: Owner { process, mapping }, device: 9, context: 5 };
        assert_eq!(first.contexts[&of(2, 8)].waiting, 500_000_000);
        assert_eq!(
            first.contexts[&of(1, 7)],
            Numbers { faults: 1, switches: 1, losses: 1, ..Numbers::default() }
        );
        assert_eq!((first.pages[&(9, 0x1000)].faults, first.lost, first.sum().switches), (1, 3, 2));
        let shown = live.show(&first, 2.0, |pid| Some(format!("number{pid}")));
        let text: String = shown.lines(99).iter().map(|line| line.text.clone() + "\n").collect();
        for part in [
            "2.0 s  4 events  0.5 faults/s  1.0 switches/s  3 events were lost",
            "   101 painter ",
            "   102 number102 ",
            "ctxdev0 0x8 ",
            "25.0%",
            "    0.5  ctxdev0 0x1000",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        // Whoever has it already does not switch; what was refused is counted once.
        let again = vec![record(40, 1, 2, grant(8))];
        let second = live.take(&Trace { records: again, refused: 3, ..Trace::default() });
        assert_eq!((second.sum().switches, second.lost, second.contexts[&of(2, 8)].faults), (0, 0, 1));
        // An interval in which nothing happens has its first line only.
        let nothing = live.take(&Trace::default());
        let text = "1.0 s  0 events  0 faults/s  0 switches/s".to_owned();
        assert_eq!(live.show(&nothing, 1.0, |_| None).lines(9), [&Line::heading(text)]);
        // Where there is little room, pages stay longer than processes.
        let all = shown.lines(99);
        assert_eq!(shown.lines(4), [all[0], all[1], all[all.len() - 2], all[all.len() - 1]]);
    }
}
