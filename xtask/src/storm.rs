//! `cargo xtask storm`: random programs under the host for a while, with everything happening to them that may happen to a process. docs/storm.md is the guide.
//!
//! `usr-tests storm` is the storm; this command runs it in each way that it is asked for, unloads and loads the module in between, and compares the host's
//! memory, descriptors and threads after each round with those after the first.
//!
//! Exit status 1 when something was wrong: the seed is printed, and how to repeat it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::root;
use ddi_vm::Guarded;

/// Length of a storm, and its ways.
#[derive(clap::Args)]
pub struct Args {
    /// Minutes that all of it takes; but each way has at least three rounds.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Ways of catching faults; several, with commas: each in turn.
    #[arg(long, value_delimiter = ',', default_value = "userfaultfd,signal")]
    faults: Vec<String>,
    /// The driver: ctxdev, which is linked in, or a module file of it; several: each in turn.
    #[arg(long, value_delimiter = ',', default_value = "ctxdev")]
    driver: Vec<String>,
    /// Without the host's --check, with it, or each in turn.
    #[arg(long, value_delimiter = ',', default_value = "no,yes")]
    check: Vec<Check>,
    /// Seed of the first round; the next one has the next.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Workers.
    #[arg(long, default_value_t = 8)]
    processes: usize,
    /// Seconds of a round, at the end of which everything must be gone.
    #[arg(long, default_value_t = 10)]
    round: u64,
    /// A worker that makes no step for so many seconds hangs.
    #[arg(long, default_value_t = 60)]
    patience: u64,
    /// Directory of ddi-host and usr-tests; without it they are built.
    #[arg(long)]
    programs: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Check {
    No,
    Yes,
}

/// A way of running the host.
struct Way<'a> {
    args: &'a Args,
    programs: &'a Path,
    faults: &'a str,
    driver: &'a str,
    check: Check,
    /// Its share of the time.
    time: Duration,
}

/// Rounds that each way has at least.
const ROUNDS: usize = 3;

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let programs = match &args.programs {
        Some(dir) => std::path::absolute(dir)?,
        None => build()?,
    };
    let ways: Vec<(&str, &str, Check)> = args
        .driver
        .iter()
        .flat_map(|driver| args.faults.iter().map(move |faults| (driver.as_str(), faults.as_str())))
        .flat_map(|(driver, faults)| args.check.iter().map(move |check| (driver, faults, *check)))
        .collect();
    if args.round == 0 || args.minutes.is_nan() || args.minutes <= 0.0 {
        bail!("--minutes and --round must be more than 0");
    }
    let time = Duration::from_secs_f64(args.minutes * 60.0 / ways.len() as f64);
    let mut good = true;
    for (driver, faults, check) in ways {
        let way = Way { args, programs: &programs, faults, driver, check, time };
        println!("{way}: {:.0} s, in rounds of {} s", time.as_secs_f64(), args.round);
        let done = if Path::new(driver).is_file() { way.served() } else { way.linked() };
        if let Err(why) = done {
            println!("FAILED {way}: {why:#}");
            println!("again: cargo xtask storm {way} --seed {} --minutes {}", args.seed, args.minutes);
            good = false;
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl std::fmt::Display for Way<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let check = if self.check == Check::Yes { "yes" } else { "no" };
        write!(f, "--driver {} --faults {} --check {check}", self.driver, self.faults)
    }
}

/// Builds what is needed. Returns where it is.
fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--bin", "ddi-host", "--bin", "usr-tests"])
        .current_dir(root())
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("ddi-host and usr-tests do not build");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("release"))
}

/// Resources that a host has of the system.
#[derive(Clone, Copy, Debug)]
struct Holdings {
    /// Bytes of memory, its own and shared.
    memory: u64,
    descriptors: usize,
    threads: usize,
}

impl Holdings {
    fn of(pid: u32) -> Result<Holdings> {
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let status = std::fs::read_to_string(dir.join("status")).context("the host is gone")?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        let descriptors = std::fs::read_dir(dir.join("fd"))?.count();
        Ok(Holdings { memory: number("VmRSS:") << 10, descriptors, threads: number("Threads:") as usize })
    }

    /// The least of some samples within a moment: threads end, and calls are let go, just after a client.
    fn at_rest(pid: u32) -> Result<Holdings> {
        let mut least = Holdings::of(pid)?;
        for _ in 0..8 {
            std::thread::sleep(Duration::from_millis(50));
            least = least.each(Holdings::of(pid)?, u64::min, usize::min);
        }
        Ok(least)
    }

    fn max(self, other: Holdings) -> Holdings {
        self.each(other, u64::max, usize::max)
    }

    fn each(self, other: Holdings, bytes: fn(u64, u64) -> u64, count: fn(usize, usize) -> usize) -> Holdings {
        Holdings {
            memory: bytes(self.memory, other.memory),
            descriptors: count(self.descriptors, other.descriptors),
            threads: count(self.threads, other.threads),
        }
    }
}

/// Holdings after each round.
#[derive(Default)]
struct Growth(Vec<Holdings>);

impl Growth {
    /// Resources that the host may have more at the end than after one of the first rounds: the allocator keeps some memory, and a few threads stay waiting.
    const MEMORY: u64 = 16 << 20;
    const DESCRIPTORS: usize = 8;
    const THREADS: usize = 8;

    fn look(&mut self, pid: u32) -> Result<()> {
        self.0.push(Holdings::at_rest(pid)?);
        Ok(())
    }

    fn judge(&self) -> Result<()> {
        // It takes two rounds until the allocator has what it keeps.
        let warm = self.0.iter().take(2).copied().reduce(Holdings::max);
        let (Some(first), Some(last)) = (warm, self.0.last()) else { return Ok(()) };
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        println!(
            "{} rounds; the host after the first two and the last: {:.1} and {:.1} MiB, {} and {} descriptors, {} and {} threads",
            self.0.len(),
            mib(first.memory),
            mib(last.memory),
            first.descriptors,
            last.descriptors,
            first.threads,
            last.threads
        );
        if last.memory > first.memory + Growth::MEMORY
            || last.descriptors > first.descriptors + Growth::DESCRIPTORS
            || last.threads > first.threads + Growth::THREADS
        {
            bail!("the host has kept what its clients used: {:?}", self.0);
        }
        Ok(())
    }
}

/// Lines of a program's output, as they come.
fn lines(output: Option<ChildStdout>) -> Result<Receiver<String>> {
    let output = output.context("no pipe")?;
    let (said, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| said.send(line))
    });
    Ok(lines)
}

impl Way<'_> {
    fn host(&self, command: &str) -> Command {
        let mut host = Command::new(self.programs.join("ddi-host"));
        // The C library's allocator keeps what threads have freed, a heap for each, up to 150 MiB: with one heap, and large pieces given back at once, growth is seen.
        host.arg(command).env("MALLOC_ARENA_MAX", "1").env("MALLOC_MMAP_THRESHOLD_", "65536");
        host
    }

    fn options(&self, host: &mut Command) {
        host.args(["--faults", self.faults]);
        if self.check == Check::Yes {
            host.arg("--check");
        }
    }

    /// The program with the options of a round.
    fn storm(&self, seed: String) -> Vec<String> {
        let program = self.programs.join("usr-tests");
        let options = [
            ("--seed", seed),
            ("--seconds", self.args.round.to_string()),
            ("--processes", self.args.processes.to_string()),
            ("--patience", self.args.patience.to_string()),
        ];
        let options = options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
        [program.to_string_lossy().into_owned(), "storm".into()].into_iter().chain(options).collect()
    }

    /// The longest that a round may take before something hangs that nobody sees.
    fn limit(&self) -> Duration {
        Duration::from_secs(self.args.round + 3 * self.args.patience)
    }

    /// Returns whether another round is to be had, of a way that has begun at that time.
    fn goes_on(&self, begun: Instant, growth: &Growth) -> bool {
        growth.0.len() < ROUNDS || begun.elapsed() < self.time
    }

    /// A driver that is linked in: one run of the host, which the rounds share. A shell makes one after another, as long as it gets a line after each.
    fn linked(&self) -> Result<()> {
        let round = self.storm("$seed".to_owned()).join("\" \"");
        let script = format!(
            "seed={}; while \"{round}\" --pause || exit 1; do echo over; read -r _ || exit 0; seed=$((seed + 1)); done",
            self.args.seed
        );
        let mut host = self.host("run");
        self.options(&mut host);
        host.args(["--driver", self.driver, "--", "sh", "-c", &script]);
        let begun = Instant::now();
        let mut host =
            Guarded::spawn(host.stdin(Stdio::piped()).stdout(Stdio::piped())).context("ddi-host")?;
        let (pid, mut growth) = (host.child.id(), Growth::default());
        let (lines, mut input) = (lines(host.child.stdout.take())?, host.child.stdin.take());
        loop {
            match lines.recv_timeout(self.limit()) {
                Ok(line) if line == "calm" || line == "over" => {
                    if line == "calm" {
                        growth.look(pid)?;
                    } else if !self.goes_on(begun, &growth) {
                        input = None;
                    }
                    if let Some(input) = &mut input {
                        input.write_all(b"\n").context("the storm's input")?;
                    }
                }
                Ok(line) => self.say(&line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!("a round has not come to its end"),
            }
        }
        ended(host.child.wait().context("ddi-host")?)?;
        growth.judge()
    }

    fn say(&self, line: &str) {
        if line != "begun" {
            println!("  {line}");
        }
    }

    /// A module file: a machine that stays up, a run for each round, and the module unloaded and loaded between them.
    fn served(&self) -> Result<()> {
        let dir = tempfile::tempdir().context("a directory for the machine")?;
        let dir = dir.path();
        let drivers = dir.join("kernel/drv");
        std::fs::create_dir_all(drivers.join("amd64"))?;
        std::fs::create_dir_all(dir.join("etc"))?;
        std::fs::copy(self.driver, drivers.join("amd64/ctxdev")).with_context(|| self.driver.to_owned())?;
        std::fs::write(drivers.join("ctxdev.conf"), "name=\"ctxdev\" parent=\"pseudo\" instance=0;\n")?;
        std::fs::write(dir.join("etc/devlink.tab"), "type=ddi_pseudo;name=ctxdev\t\\M0\n")?;
        let mut host = self.host("serve");
        self.options(&mut host);
        let mut host = Guarded::spawn(host.arg("--root").arg(dir)).context("ddi-host")?;
        let up = Instant::now() + Duration::from_secs(20);
        while !self.admin(dir, "modinfo", &[])?.status.success() {
            if Instant::now() > up {
                bail!("the machine is not up after 20 s");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let added = self.admin(dir, "add_drv", &["-m", "* 0666 root sys", "ctxdev"])?;
        if !added.status.success() {
            bail!("add_drv: {}", String::from_utf8_lossy(&added.stderr));
        }
        let (pid, mut growth) = (host.child.id(), Growth::default());
        let begun = Instant::now();
        for round in 0.. {
            if !self.goes_on(begun, &growth) {
                break;
            }
            self.round(dir, round)?;
            // Nobody has it open any more: it can be unloaded, and the next round's open loads it.
            let unloaded = self.unload(dir)?;
            if let Some(why) = unloaded {
                bail!("the module is not unloaded after round {round}: {why}");
            }
            growth.look(pid)?;
        }
        growth.judge()?;
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).context("a pid")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        ended(host.child.wait().context("ddi-host serve")?)
    }

    fn admin(&self, dir: &Path, command: &str, args: &[&str]) -> Result<std::process::Output> {
        self.host(command)
            .arg("--root")
            .arg(dir)
            .args(args)
            .output()
            .with_context(|| format!("ddi-host {command}"))
    }

    /// A round; meanwhile the module, which is in use, is to be unloaded and loaded.
    fn round(&self, dir: &Path, round: u64) -> Result<()> {
        let mut run = self.host("run");
        run.arg("--root")
            .arg(dir)
            .arg("--")
            .args(self.storm((self.args.seed + round).to_string()))
            .arg("--pause");
        let mut run =
            Guarded::spawn(run.stdin(Stdio::piped()).stdout(Stdio::piped())).context("ddi-host run")?;
        let (lines, mut input) =
            (lines(run.child.stdout.take())?, run.child.stdin.take().context("no pipe")?);
        let (end, mut open) = (Instant::now() + self.limit(), false);
        loop {
            match lines.recv_timeout(Duration::from_millis(500)) {
                Ok(line) if line == "calm" => input.write_all(b"\n").context("the storm's input")?,
                Ok(line) => {
                    open = line == "begun";
                    self.say(&line);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    if open && self.unload(dir)?.is_none() {
                        bail!("the module was unloaded while its device was open");
                    }
                    self.admin(dir, "modload", &["-p", "drv/ctxdev"])?;
                    if Instant::now() > end {
                        bail!("round {round} has not come to its end");
                    }
                }
            }
        }
        ended(run.child.wait().context("ddi-host run")?).with_context(|| format!("round {round}"))
    }

    /// Unloads the module; why not, if it is not.
    fn unload(&self, dir: &Path) -> Result<Option<String>> {
        let info = self.admin(dir, "modinfo", &[])?;
        let info = String::from_utf8_lossy(&info.stdout).into_owned();
        let line = info.lines().find(|line| line.split_whitespace().any(|word| word == "ctxdev"));
        let Some(id) = line.and_then(|line| line.split_whitespace().next()) else {
            return Ok(Some(format!("modinfo does not show it:\n{info}")));
        };
        let done = self.admin(dir, "modunload", &["-i", id])?;
        if done.status.success() {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&done.stderr).trim().to_owned()))
    }
}

fn ended(status: ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { bail!("{status}") }
}
