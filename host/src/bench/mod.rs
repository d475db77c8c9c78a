//! `ddi-host bench`: what the host costs, as ratios to the same thing without a host, measured in one run and in the same layout: a
//! client process and a server process, on one core or on two.

pub mod client;
mod descriptors;
mod scale;

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::demo::{DEVICE, Failed};
use ddi_host::machine::{Machine, MachineError};
use ddi_process::{FaultMode, Resolver, proc};

/// Puts every thread of this process, and all that they will start, on the given processors.
fn pin(cpus: &[usize]) -> io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    cpus.iter().for_each(|&cpu| set.set(cpu));
    let threads = proc::threads().into_iter().map(rustix::thread::Pid::from_raw);
    let mut done = threads.map(|tid| rustix::thread::sched_setaffinity(tid, &set));
    // One that has ended meanwhile is nowhere.
    Ok(done.try_for_each(|done| if done == Err(rustix::io::Errno::SRCH) { Ok(()) } else { done })?)
}

struct Bench<'a> {
    machine: &'a Machine,
    cpus: Vec<usize>,
}

impl Bench<'_> {
    fn command(&self, what: &str, cpu: usize) -> io::Result<Command> {
        let mut command = Command::new("taskset");
        command.args(["-c", &cpu.to_string()]).arg(std::env::current_exe()?);
        command.args(["client", "--device", DEVICE, "bench", what]);
        command.stdout(Stdio::piped());
        // It does not outlive this process.
        let tie =
            || Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?);
        // SAFETY: a system call without pointers.
        unsafe { std::os::unix::process::CommandExt::pre_exec(&mut command, tie) };
        Ok(command)
    }

    fn number(mut command: Command) -> io::Result<f64> {
        let mut child = command.spawn()?;
        let number = Self::read(&mut child);
        child.wait()?;
        number
    }

    fn read(child: &mut std::process::Child) -> io::Result<f64> {
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        line.trim().parse().map_err(|_| io::Error::other("a client process of the benchmark failed"))
    }

    /// A client of the host, on this processor.
    fn client(&self, what: &str, cpu: usize) -> io::Result<Command> {
        let mut command = self.command(what, cpu)?;
        command.envs(self.machine.server().environment());
        Ok(command)
    }

    fn under_host(&self, what: &str, cpu: usize) -> io::Result<f64> {
        Self::number(self.client(what, cpu)?)
    }

    fn without_host(&self, what: &str, cpu: usize) -> io::Result<f64> {
        Self::number(self.command(what, cpu)?)
    }

    /// The bare round trip: this process resolves, a client process drops a translation and touches the page.
    fn bare_fault(&self, cpu: usize) -> io::Result<f64> {
        let (here, there) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::empty(), None)?;
        rustix::io::fcntl_setfd(&here, rustix::io::FdFlags::CLOEXEC)?;
        let mut command = self.command("bare", cpu)?;
        command.args(["--socket", &there.as_raw_fd().to_string()]);
        let mut child = command.spawn()?;
        drop(there);
        let resolver = Resolver::new(descriptors::receive(&here)?);
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let server = std::thread::spawn(move || resolver.serve(&told));
        let number = Self::read(&mut child);
        stop.store(true, Ordering::Relaxed);
        child.wait()?;
        server.join().map_err(|_| io::Error::other("the bare server failed"))?;
        number
    }

    /// Returns the engine's context switches per second between two processes on these processors.
    fn contend(&self, cpus: &[usize]) -> io::Result<f64> {
        let clients: Vec<_> = cpus
            .iter()
            .cycle()
            .take(2)
            .map(|&cpu| self.client("contend", cpu)?.spawn())
            .collect::<io::Result<_>>()?;
        let rates = clients.into_iter().map(|mut child| {
            let rate = Self::read(&mut child);
            child.wait()?;
            rate
        });
        rates.collect::<io::Result<Vec<f64>>>().map(|r| r.iter().sum::<f64>() / r.len() as f64)
    }
}

/// Runs every benchmark on the machine and prints a table; with `scale`, those beside up to so many other processes, as
/// JSON if that is true.
///
/// # Errors
/// See [`Failed`].
pub fn run(
    scale: Option<(usize, bool)>,
    start: impl FnOnce() -> Result<Machine, MachineError>,
) -> Result<i32, Failed> {
    let machine = start()?;
    let allowed = rustix::thread::sched_getaffinity(None).map_err(io::Error::from)?;
    let cpus = (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).take(2).collect();
    let done = match scale {
        Some((most, json)) => scale::run(&machine, cpus, most, json),
        None => table(&machine, cpus),
    };
    let clean = machine.end();
    done?;
    Ok(i32::from(!clean))
}

/// Measures two things that are compared. They take turns, and the least disturbed run of each counts.
fn in_turns(
    turns: usize,
    mut one: impl FnMut() -> io::Result<f64>,
    mut other: impl FnMut() -> io::Result<f64>,
) -> io::Result<[f64; 2]> {
    let mut least = [f64::MAX; 2];
    for _ in 0..turns {
        least = [least[0].min(one()?), least[1].min(other()?)];
    }
    Ok(least)
}

/// Cost of a fault while a trace is recorded, and while none is.
fn traced(bench: &Bench<'_>, cpu: usize) -> io::Result<[f64; 2]> {
    let file = rustix::fs::memfd_create("ddi-bench-trace", rustix::fs::MemfdFlags::CLOEXEC)?;
    ddi_trace::start(format!("/proc/self/fd/{}", file.as_raw_fd()).as_ref(), 64 << 20)?;
    let with = || {
        ddi_trace::resume();
        bench.under_host("fault", cpu)
    };
    let without = || {
        ddi_trace::pause();
        bench.under_host("fault", cpu)
    };
    in_turns(9, with, without)
}

fn table(machine: &Machine, cpus: Vec<usize>) -> io::Result<()> {
    let bench = Bench { machine, cpus: cpus.clone() };
    let mut out = io::stdout().lock();
    let us = |ns: f64| format!("{:.2} us", ns / 1000.0);
    writeln!(out, "faults by {}, {} processors", machine.server().fault_mode().name(), cpus.len())?;
    writeln!(out, "  {:<34}{:>12}{:>12}{:>8}", "", "host", "bare", "ratio")?;
    let faults = |cpu| in_turns(5, || bench.under_host("fault", cpu), || bench.bare_fault(cpu));
    let mut row = |name: &str, [host, bare]: [f64; 2], show: &dyn Fn(f64) -> String| {
        writeln!(out, "  {name:<34}{:>12}{:>12}{:>8.2}", show(host), show(bare), host / bare)
    };
    // With signals there is no bare one to compare with.
    let watched = machine.server().fault_mode() != FaultMode::Signal;
    if watched {
        pin(&cpus[..1])?;
        row("fault, on one core", faults(cpus[0])?, &us)?;
    }
    if let Some(&other) = cpus.get(1).filter(|_| watched) {
        row("fault, across cores", faults(other)?, &us)?;
    }
    if watched {
        row("fault, traced and not", traced(&bench, cpus[0])?, &us)?;
    }
    pin(&cpus)?;
    let last = cpus[cpus.len() - 1];
    let beside = |what: &str, bare: &str| {
        io::Result::Ok([bench.under_host(what, last)?, bench.without_host(bare, last)?])
    };
    row("mmap and munmap", beside("map", "bare-map")?, &us)?;
    row("fork and exit, four threads", beside("fork", "bare-fork")?, &us)?;
    let ns = |ns: f64| format!("{ns:.2} ns");
    row("access that does not fault", beside("access", "bare-access")?, &ns)?;
    if !watched {
        writeln!(out, "  {:<34}{:>12}", "fault", "not measured: needs userfaultfd")?;
    }
    let mut switches = |name: &str, rate: f64| {
        writeln!(out, "  {name:<34}{rate:>12.0}  per second, two processes at one engine")
    };
    if let [first, _, ..] = cpus[..] {
        switches("context switches, across cores", bench.contend(&cpus)?)?;
        pin(&[first])?;
    }
    switches("context switches, on one core", bench.contend(&cpus[..1])?)
}
