//! `usr-tests storm`: random programs in many processes that are killed, stopped, debugged and starved meanwhile, and compare every word that they read.
//!
//! [`deed`] makes the programs, [`worker`] runs them, [`model`] says what must be where, [`ledger`] is what they share; [`weather`] is what happens to them.
//! docs/storm.md describes the command that starts it.
//!
//! Locking: none; processes share atomics only.

mod deed;
mod ledger;
mod model;
mod weather;
mod worker;

use std::io::Write;
use std::time::Duration;

use deed::Kind;
use ledger::{Head, LANES, Lane, Ledger};
use worker::Worker;

use crate::device::Dev;
use crate::sys;
use crate::trace::check_device;
use crate::trace::record::Random;
use usr_tests::recorded::CHILD_STATUS;

pub const USAGE: &str = "\
usage: usr-tests storm [--device PATH] [--seed N] [--seconds N] [--processes N] [--program N] [--patience SECONDS] [--pause]
Random programs in many processes, which are killed, stopped, debugged and starved meanwhile. Each compares every word that it reads with what it must be.
  --device PATH      the device, a ctxdev (default /dev/ctxdev0); nothing else may use it
  --seed N           what the programs depend on (default 1)
  --seconds N        how long (default 10); then everything must be gone
  --processes N      the number of workers (default 8)
  --program N        run only this program, which a failure has named, in one process to which nothing happens
  --patience SECONDS a worker that makes no step for so long hangs (default 60)
  --pause            print `begun` when the device is open; when everything is gone, print `calm` and wait for a line on standard input
exit status: 0 no failure, 1 a failure, which is printed with the seed and the program, 2 wrong usage
";

/// Parameters of a storm, for each of its processes.
#[derive(Clone)]
pub struct Storm {
    device: String,
    seed: u64,
    ledger: Ledger,
    /// The driver refuses a mapping over a region's end.
    one_region: bool,
}

/// Options of the command.
struct Command {
    device: String,
    seed: u64,
    seconds: u64,
    processes: usize,
    program: Option<u64>,
    patience: Duration,
    pause: bool,
    /// A process that a worker has executed: the ledger, the lane, the program to begin with.
    ledger: Option<i32>,
    lane: Option<usize>,
    from: u64,
    short: Option<u64>,
    one_region: bool,
}

fn command(mut args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut command = Command {
        device: "/dev/ctxdev0".into(),
        seed: 1,
        seconds: 10,
        processes: 8,
        program: None,
        patience: Duration::from_secs(60),
        pause: false,
        ledger: None,
        lane: None,
        from: 0,
        short: None,
        one_region: false,
    };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("{arg} {text}: not a number"));
        match arg.as_str() {
            "--device" => command.device = value()?,
            "--seed" => command.seed = number(value()?)?,
            "--seconds" => command.seconds = number(value()?)?,
            "--processes" => {
                let count = number(value()?)? as usize;
                if !(1..LANES / 2).contains(&count) {
                    return Err(format!("--processes {count}: 1 to {}", LANES / 2 - 1));
                }
                command.processes = count;
            }
            "--program" => command.program = Some(number(value()?)?),
            "--patience" => command.patience = Duration::from_secs(number(value()?)?),
            "--pause" => command.pause = true,
            "--ledger" => command.ledger = Some(number(value()?)? as i32),
            "--lane" => command.lane = Some(number(value()?)? as usize),
            "--from" => command.from = number(value()?)?,
            "--short" => command.short = Some(number(value()?)?),
            "--one-region" => command.one_region = true,
            _ => return Err(format!("unknown argument {arg}")),
        }
    }
    Ok(command)
}

impl Storm {
    /// The number of a worker's program: the seed, the lane and the place determine it.
    fn program(&self, lane: usize, place: u64) -> u64 {
        Random(Random(self.seed).next() ^ (lane as u64) << 32 ^ place).next()
    }

    /// Arguments that execute this program anew as a part of the storm.
    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let ledger = self.ledger.file.to_string();
        let seed = self.seed.to_string();
        let mut args = vec![sys::own_program(), "storm".into()];
        args.extend(["--device", &self.device, "--seed", &seed, "--ledger", &ledger].map(String::from));
        args.extend(self.one_region.then(|| "--one-region".into()));
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        args
    }

    /// A worker's life, from a program on. Now and then it executes itself, with everything mapped, and goes on there.
    fn work(&self, lane: Lane, from: u64) -> ! {
        crate::probe::install();
        let mut worker = Worker::first(self, lane);
        for place in from.. {
            if self.ledger.stopping() {
                break;
            }
            let program = self.program(lane.number, place);
            worker.run(program, Kind::Whole);
            if program.is_multiple_of(5) {
                worker.close();
                self.ledger.count(Head::Execs);
                let (number, next) = (lane.number.to_string(), (place + 1).to_string());
                sys::exec(&self.arguments(&["--lane", &number, "--from", &next]));
                sys::exit_now(1);
            }
            worker.unmap_all();
        }
        sys::exit_now(0)
    }
}

/// The command. Whether nothing was wrong; an error is one of usage.
pub fn main(args: impl Iterator<Item = String>, out: &mut impl Write) -> Result<bool, String> {
    let command = command(args)?;
    let fresh = command.ledger.is_none();
    let ledger = match command.ledger {
        Some(file) => Ledger::open(file),
        None => Ledger::new(),
    };
    let ledger = ledger.map_err(|errno| format!("the ledger: {errno}"))?;
    let mut storm =
        Storm { device: command.device.clone(), seed: command.seed, ledger, one_region: command.one_region };
    if let Some(program) = command.short {
        let Some(lane) = ledger.take_lane(1) else { sys::exit_now(CHILD_STATUS) };
        crate::probe::install();
        Worker::first(&storm, lane).run(program, Kind::Short);
        lane.give_back();
        sys::exit_now(CHILD_STATUS);
    }
    if let Some(lane) = command.lane {
        storm.work(ledger.lane(lane), command.from);
    }
    debug_assert!(fresh, "only processes of a storm have a ledger");
    check_device(&command.device)?;
    let dev =
        Dev::open(&command.device, libc::O_RDWR).map_err(|e| format!("open {}: {e}", command.device))?;
    storm.one_region = dev.one_region_only();
    crate::probe::install();
    let good = match command.program {
        Some(program) => alone(&storm, program),
        None => weather::blow(&storm, &dev, &command, out).map_err(crate::printing)?,
    };
    if let Some(failure) = ledger.failure() {
        writeln!(out, "FAILED with seed {}: {failure}", storm.seed).map_err(crate::printing)?;
        writeln!(out, "again, by itself: usr-tests storm --program N").map_err(crate::printing)?;
    }
    Ok(good && ledger.failure().is_none())
}

/// One program in one process, to which nothing happens.
fn alone(storm: &Storm, program: u64) -> bool {
    let Some(lane) = storm.ledger.take_lane(1) else { return false };
    match sys::fork() {
        Ok(sys::Forked::Child) => {
            let _ = lane.take(sys::parent());
            Worker::first(storm, lane).run(program, Kind::Whole);
            sys::exit_now(0)
        }
        Ok(sys::Forked::Parent(pid)) => sys::wait(pid) == Ok(sys::Status::Exited(0)),
        Err(_) => false,
    }
}
