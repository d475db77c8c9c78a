//! The demo's scenes, conducted by one client process that starts the others. It says how it goes in lines of JSON through
//! a pipe that [`super::Pipe`] reads at the other end.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use ctxdev_user::Stats;
use serde::{Deserialize, Serialize};

use super::dev::Dev;

/// Workers with a context of their own.
const PRIVATE: u64 = 4;
/// Workers that share one.
const SHARED: u64 = 2;
/// Rounds of each worker.
const ROUNDS: u64 = 256;
/// Accesses timed.
const TIMED: usize = 100;

/// One line from the conductor.
#[derive(Debug, Serialize, Deserialize)]
pub enum Line {
    /// Present step, and its number (of [`STEPS`]).
    Step(u64, String),
    /// The end.
    Report(Box<Report>),
}

/// Number of steps that [`Line::Step`] counts.
pub const STEPS: u64 = (PRIVATE + SHARED) * (ROUNDS / 64) + 6;

/// Results of the scenes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Processes that used the device.
    pub processes: u64,
    /// Values written and read back.
    pub values: u64,
    /// Values seen that were not the reader's own.
    pub wrong: u64,
    /// Other failures, in words.
    pub failures: Vec<String>,
    /// Calls of the driver's access.
    pub faults: u64,
    /// Times that the driver gave the engine to another context.
    pub switches: u64,
    /// Calls of its dup.
    pub dups: u64,
    /// Calls of its unmap.
    pub unmaps: u64,
    /// Median time of an access that faults, in nanoseconds: nothing to switch.
    pub fault_ns: u64,
    /// Median time of an access that takes the engine from another process.
    pub switch_ns: u64,
    /// Median time of an access whose translation is loaded.
    pub plain_ns: u64,
}

struct Conductor {
    path: String,
    out: File,
    step: u64,
    report: Report,
}

struct Worker {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Worker {
    /// Returns the next line, without its newline. Fails at end of file: the program has ended.
    fn hear(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.lines.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a client process ended too early"));
        }
        Ok(line.trim().to_string())
    }

    fn tell(&mut self, line: &str) -> io::Result<()> {
        let Some(stdin) = self.child.stdin.as_mut() else { return Ok(()) };
        writeln!(stdin, "{line}")
    }

    fn ask(&mut self, line: &str) -> io::Result<u64> {
        self.tell(line)?;
        self.hear()?.parse().map_err(|_| io::Error::other("a client process answered something strange"))
    }

    fn end(mut self) -> io::Result<std::process::ExitStatus> {
        drop(self.child.stdin.take());
        self.child.wait()
    }
}

impl Conductor {
    fn step(&mut self, what: &str) {
        self.step += 1;
        let line = Line::Step(self.step.min(STEPS), what.to_string());
        print(&mut self.out, &line);
    }

    fn start(&mut self, role: &[String]) -> io::Result<Worker> {
        self.report.processes += 1;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("client")
            .args(["--device", &self.path])
            .args(role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or_else(|| io::Error::other("no pipe from the client process"))?;
        Ok(Worker { child, lines: BufReader::new(out) })
    }

    /// All workers at once; the last private one is killed in the middle of its work, the others go on.
    fn contend(&mut self) -> io::Result<()> {
        self.step("processes take turns on one engine");
        let mut workers = Vec::new();
        for tag in 1..=PRIVATE + SHARED {
            let kind = if tag <= PRIVATE { "private" } else { "shared" };
            let role = ["worker", &tag.to_string(), kind, &ROUNDS.to_string()].map(str::to_string);
            workers.push(self.start(&role)?);
        }
        for worker in &mut workers {
            worker.hear()?;
        }
        for worker in &mut workers {
            worker.tell("go")?;
        }
        let victim = (PRIVATE - 1) as usize;
        let mut live: Vec<_> = workers.into_iter().enumerate().collect();
        while !live.is_empty() {
            let mut next = Vec::new();
            for (n, mut worker) in live {
                let line = worker.hear()?;
                if let ["done", rounds, wrong] = line.split(' ').collect::<Vec<_>>()[..] {
                    self.report.values += 3 * rounds.parse::<u64>().unwrap_or(0);
                    self.report.wrong += wrong.parse().unwrap_or(u64::MAX);
                    if !worker.end()?.success() {
                        self.report.failures.push(format!("worker {} did not end well", n + 1));
                    }
                    continue;
                }
                if n == victim && line == format!("at {}", ROUNDS / 2) {
                    self.step("one process is killed in the middle of its work");
                    worker.child.kill()?;
                    worker.child.wait()?;
                    continue;
                }
                self.step("processes take turns on one engine");
                next.push((n, worker));
            }
            live = next;
        }
        Ok(())
    }

    fn family(&mut self) -> io::Result<()> {
        self.step("a process forks and unmaps parts");
        self.report.processes += 1; // its child
        let mut family = self.start(&["family".to_string()])?;
        let verdict = family.hear()?;
        if verdict != "ok" {
            self.report.failures.push(format!("fork and munmap: {verdict}"));
        }
        family.end()?;
        Ok(())
    }

    fn time(&mut self, dev: &Dev) -> io::Result<()> {
        self.step("timing faults and switches");
        dev.set_hysteresis(0)?;
        let mut one = self.start(&["toucher".to_string()])?;
        let mut two = self.start(&["toucher".to_string()])?;
        one.hear()?;
        two.hear()?;
        one.ask("touch")?;
        self.report.plain_ns = median((0..TIMED).map(|_| one.ask("touch")))?;
        self.report.fault_ns = median((0..TIMED).map(|_| one.ask("revoke")))?;
        self.report.switch_ns =
            median((0..TIMED).map(|n| if n % 2 == 0 { &mut two } else { &mut one }.ask("touch")))?;
        one.end()?;
        two.end()?;
        Ok(())
    }
}

fn median(values: impl Iterator<Item = io::Result<u64>>) -> io::Result<u64> {
    let mut values = values.collect::<io::Result<Vec<_>>>()?;
    values.sort_unstable();
    Ok(values.get(values.len() / 2).copied().unwrap_or(0))
}

fn print(out: &mut File, line: &Line) {
    let text = serde_json::to_string(line).unwrap_or_default();
    // Without a reader the line is lost; the scenes still end in order.
    let _ = writeln!(out, "{text}");
}

/// Runs every scene on the device at `path` and reports on `out`.
pub fn conduct(path: &str, out: File) -> io::Result<()> {
    let mut conductor = Conductor { path: path.to_string(), out, step: 0, report: Report::default() };
    let dev = Dev::open(path)?;
    conductor.report.processes += 1;
    conductor.contend()?;
    conductor.family()?;
    conductor.time(&dev)?;
    // Every client process but this one has been waited for, so the driver has heard of all their unmaps.
    let Stats { faults, switches, dups, unmaps, mappings: left, .. } = dev.stats()?;
    let report = &mut conductor.report;
    (report.faults, report.switches, report.dups, report.unmaps) = (faults, switches, dups, unmaps);
    if left != 0 {
        conductor.report.failures.push(format!("{left} mappings are left in the driver"));
    }
    let line = Line::Report(Box::new(conductor.report));
    print(&mut conductor.out, &line);
    Ok(())
}
