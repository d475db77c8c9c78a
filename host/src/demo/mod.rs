//! `ddi-host demo`: the main job, shown and checked. A conductor and its workers, all of them real processes and clients of the
//! host, use the example driver at the same time; this side shows how they get on and prints the table at the end.

mod client;
mod conductor;
pub mod dev;

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

pub use conductor::Report;
use conductor::{Line, STEPS};
use ddi_host::machine::{Machine, MachineError};
use ddi_process::Program;

/// The device that the demo uses.
pub const DEVICE: &str = "/dev/ctxdev0";

/// Work of a client process of the demo: `ddi-host client …`.
#[derive(clap::Subcommand, Debug)]
pub enum Role {
    /// Starts the other clients and reports on the descriptor.
    Conductor {
        /// The descriptor that the report goes to.
        #[arg(long)]
        report: i32,
    },
    /// Writes and reads back values of its own.
    Worker {
        /// Part of its values that differs from the others'.
        tag: u64,
        /// `private` or `shared`.
        kind: String,
        /// Number of times.
        rounds: u64,
    },
    /// Forks and unmaps parts.
    Family,
    /// Times single accesses.
    Toucher,
    /// Measures one thing for the benchmark.
    Bench {
        /// What.
        what: crate::bench::client::What,
        /// Descriptor to which the bare userfaultfd is sent.
        #[arg(long)]
        socket: Option<i32>,
    },
}

/// Plays a role on the device at `path`, in a client process.
pub fn play(role: &Role, path: &str) -> io::Result<()> {
    match role {
        Role::Conductor { report } => {
            // SAFETY: the demo made this pipe for us alone and told us its number.
            let out = File::from(unsafe { OwnedFd::from_raw_fd(*report) });
            // The clients that we start have no business with it.
            rustix::io::fcntl_setfd(&out, rustix::io::FdFlags::CLOEXEC)?;
            conductor::conduct(path, out)
        }
        Role::Worker { tag, kind, rounds } => client::worker(path, *tag, kind == "shared", *rounds),
        Role::Family => client::family(path),
        Role::Toucher => client::toucher(path),
        Role::Bench { what, socket } => crate::bench::client::measure(*what, path, *socket),
    }
}

/// Counts of the host.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Translations (pages) loaded.
    pub loaded: u64,
    /// Translations unloaded.
    pub unloaded: u64,
    /// Way in which faults were caught.
    pub faults: &'static str,
    /// Resources that were left when every process had ended and the driver was detached, in words.
    pub left: Vec<String>,
}

/// A pipe whose writing end a client process inherits: give it the number, then drop the end.
pub struct Pipe {
    reader: BufReader<File>,
    writer: Option<OwnedFd>,
}

impl Pipe {
    /// A new pipe.
    pub fn new() -> io::Result<Pipe> {
        let (reader, writer) = rustix::pipe::pipe()?;
        rustix::io::fcntl_setfd(&reader, rustix::io::FdFlags::CLOEXEC)?;
        Ok(Pipe { reader: BufReader::new(File::from(reader)), writer: Some(writer) })
    }

    /// The number of the writing end.
    pub fn number(&self) -> i32 {
        self.writer.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Shows progress until the conductor has reported; its report, or `None` when it ended without one. Drops the writing end first.
    pub fn watch(mut self) -> io::Result<Option<Report>> {
        drop(self.writer.take());
        let bar = match io::stderr().is_terminal() {
            true => indicatif::ProgressBar::new(STEPS),
            false => indicatif::ProgressBar::hidden(),
        };
        if let Ok(style) = indicatif::ProgressStyle::with_template("{bar:30} {msg}") {
            bar.set_style(style);
        }
        let mut report = None;
        let mut line = String::new();
        while self.reader.read_line(&mut line)? > 0 {
            match serde_json::from_str(&line) {
                Ok(Line::Step(at, what)) => {
                    bar.set_position(at);
                    bar.set_message(what);
                }
                Ok(Line::Report(found)) => report = Some(*found),
                Err(e) => return Err(io::Error::other(format!("the conductor said something strange: {e}"))),
            }
            line.clear();
        }
        bar.finish_and_clear();
        Ok(report)
    }
}

/// Prints the table. Answers whether everything was as it must be.
pub fn show(out: &mut impl Write, report: &Report, seen: &Seen) -> io::Result<bool> {
    let us = |ns: u64| match ns {
        0..1000 => format!("{ns} ns"),
        _ => format!("{:.1} us", ns as f64 / 1000.0),
    };
    let rows = [
        ("processes", report.processes.to_string(), ""),
        ("faults", report.faults.to_string(), "access callbacks of the driver"),
        ("context switches", report.switches.to_string(), "engine saved for one, restored for another"),
        ("dups", report.dups.to_string(), "mappings duplicated by fork"),
        ("unmaps", report.unmaps.to_string(), "munmap, exit and kill"),
        ("translations loaded", seen.loaded.to_string(), "pages"),
        ("translations unloaded", seen.unloaded.to_string(), "pages"),
        ("values checked", report.values.to_string(), ""),
        ("values in a wrong context", report.wrong.to_string(), ""),
        ("left over", seen.left.len().to_string(), "mappings, contexts, memory, processes"),
        ("an access", us(report.plain_ns), "with a translation"),
        ("a fault", us(report.fault_ns), "translation loaded on access"),
        ("a switch", us(report.switch_ns), "fault with a context switch"),
    ];
    writeln!(out, "ctxdev under ddi-host, faults by {}", seen.faults)?;
    for (name, value, note) in rows {
        writeln!(out, "{}", format!("  {name:<26}{value:>12}  {note}").trim_end())?;
    }
    let mut good = report.wrong == 0 && report.failures.is_empty() && seen.left.is_empty();
    for failure in &report.failures {
        writeln!(out, "wrong: {failure}")?;
    }
    for left in &seen.left {
        writeln!(out, "left over: {left}")?;
    }
    if report.wrong > 0 {
        writeln!(out, "wrong: {} values were seen in a context that is not theirs", report.wrong)?;
    }
    if report.switches == 0 || report.values == 0 {
        writeln!(out, "wrong: no context was switched, so nothing was shown")?;
        good = false;
    }
    Ok(good)
}

/// Why the demo, or a benchmark, could not be run at all.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The machine did not start.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// A process could not be started or heard.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The program of the demo could not be run as a client.
    #[error(transparent)]
    Spawn(#[from] ddi_process::LaunchError),
    /// There is no report.
    #[error("the demo's processes did not come to an end; see the messages above")]
    NoReport,
}

/// Starts the machine, runs the demo on it and prints the table. Returns the exit status.
///
/// # Errors
/// See [`Failed`].
pub fn run(start: impl FnOnce() -> Result<Machine, MachineError>) -> Result<i32, Failed> {
    let myself = std::env::current_exe()?;
    let machine = start()?;
    let pipe = Pipe::new()?;
    let args = ["client", "--device", DEVICE, "conductor", "--report", &pipe.number().to_string()];
    let program = Program { path: myself, args: args.map(Into::into).to_vec(), env: Vec::new() };
    let mut conductor = machine.server().spawn(&program)?;
    let report = pipe.watch()?;
    let status = conductor.wait()?;
    machine.server().finish(conductor);
    let mut seen = Seen { faults: machine.server().fault_mode().name(), ..Seen::default() };
    let clients = machine.server().process_count();
    if clients > 0 {
        seen.left.push(format!("{clients} client processes"));
    }
    let clean = machine.end();
    (seen.loaded, seen.unloaded) = ddi_process::translations();
    seen.left.extend(ddi_kernel::board::report::reports());
    let Some(report) = report.filter(|_| status.success()) else {
        return Err(Failed::NoReport);
    };
    let good = show(&mut io::stdout().lock(), &report, &seen)?;
    Ok(i32::from(!(good && clean)))
}
