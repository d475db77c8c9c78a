//! A long recording: a hundred processes that take an engine from each other for ten minutes.

use std::path::Path;

use ddi_trace::{About, Access, Event, For, Outcome, Record, Stamp, Text, Trace};

pub const PROCESSES: u32 = 100;
/// Least length.
const SECONDS: u64 = 600;
const DEVICE: u64 = 7;
const CONTEXT: u64 = 0x7000_1000;
const NAMES: [&str; 3] = ["render", "encode", "compute"];

/// Numbers that look random, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

struct Maker {
    random: Random,
    now: u64,
    cause: u64,
    owner: u32,
    trace: Trace,
    /// Nanoseconds from a fault to the next.
    mean: u64,
}

impl Maker {
    fn put(&mut self, process: u32, [time, duration]: [u64; 2], event: Event) {
        let (pid, thread) = (1000 + process, 1000 + process);
        let stamp = Stamp { time, duration, pid, process, thread, cause: self.cause, device: DEVICE };
        self.trace.records.push(Record { stamp, event });
    }

    /// A fault of a process that takes the engine, if it has not got it.
    fn fault(&mut self, process: u32) {
        self.cause += 1;
        let (offset, access) =
            (0x1000 * self.random.below(64), [Access::Read, Access::Write][self.random.below(2) as usize]);
        let begin = self.now;
        let address = |process: u32| 0x2_0000_0000 + u64::from(process) * 0x100_0000;
        let mut at = begin + 2_000;
        if self.owner != process {
            let wait = if self.random.below(4) == 0 { 1 + self.random.below(self.mean) } else { 0 };
            let (mapping, context) = (address(process), CONTEXT);
            let whole = wait + 30_000;
            self.put(process, [at, whole + 9_000], Event::Access { offset, length: 4096, access, error: 0 });
            self.put(
                process,
                [at + 1_000, whole + 7_000],
                Event::Request { mapping, context, offset, error: 0 },
            );
            if wait > 0 {
                self.put(process, [at + 2_000, wait], Event::Wait { what: For::Turn, interrupted: false });
            }
            at += 3_000 + wait;
            self.put(process, [at, 25_000], Event::Grant { mapping, context, offset, error: 0 });
            let (of, of_pid) = (u64::from(self.owner), 1000 + self.owner);
            self.put(
                process,
                [at + 3_000, 9_000],
                Event::Unload { of, of_pid, address: address(self.owner), pages: 64 },
            );
            self.owner = process;
            at += 26_000;
        }
        let (of, of_pid) = (u64::from(process), 1000 + process);
        let load =
            Event::Load { of, of_pid, address: address(process) + offset, pages: 1, frame: offset >> 12 };
        self.put(process, [at, 2_500], load);
        let fault = Event::Fault {
            address: address(process) + offset + 8,
            offset: offset + 8,
            code: 0,
            access,
            outcome: Outcome::Served,
        };
        self.now = at + 4_000;
        self.put(process, [begin, self.now - begin], fault);
    }
}

/// Writes a recording of some `events` events.
pub fn recording(file: &Path, events: u64) {
    let text = |about, id, words, text: &str| Text { about, id, words, text: text.into() };
    let mut texts = vec![text(About::Device, DEVICE, [0; 3], "gpu0")];
    texts.extend((1..=PROCESSES).map(|process| {
        text(About::Process, process.into(), [1000 + u64::from(process), 0, 0], NAMES[process as usize % 3])
    }));
    let trace = Trace { texts, ended: true, ..Trace::default() };
    let mean = SECONDS * 1_000_000_000 / (events / 6).max(1);
    let mut maker = Maker { random: Random(1), now: 1_000_000_000, cause: 0, owner: 1, trace, mean };
    (1..=PROCESSES).for_each(|process| maker.fault(process));
    loop {
        let put = maker.trace.records.len() as u64;
        if put >= events {
            break;
        }
        // Two or three at a time are busy with each other; who, changes.
        let era = put * 40 / events;
        let crowd = 2 + era % 3;
        let other = maker.random.below(50) / 49 * maker.random.below(100);
        let process = 1 + (era * 13 + maker.random.below(crowd) * 7 + other) % 100;
        maker.fault(process as u32);
        let pause = maker.random.below(2 * maker.mean);
        maker.now += pause.saturating_sub(60_000);
    }
    maker.trace.write(file).unwrap();
}
