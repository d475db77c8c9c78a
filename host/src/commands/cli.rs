//! The command line.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ddi_host::commands::kstat;
use ddi_host::commands::modules;
use ddi_host::commands::top;
use ddi_host::commands::trace::{self, TraceArgs};
use ddi_host::machine::recorder::Recorder;
use ddi_host::machine::resident::{Refusal, Reply, Request};
use ddi_host::machine::{Machine, MachineError, Options};
use ddi_host::machine::{linked, resident};
use ddi_kernel::board::{log, report};
use ddi_kernel::calls::kernel;
use ddi_kernel::kern::image::Model;
use ddi_process::ending::Ending;
use ddi_process::{FaultPolicy, Program, check_program, end_all, is_descendant, pass_on, run_elsewhere};
use ddi_system::root::Root;

/// A DDI kernel in a Linux process: load a driver, run programs that use its devices
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli<C: Commands> {
    #[command(subcommand)]
    command: C,
}

/// Commands of a host: [`Command`], and what a program adds to them.
pub trait Commands: Subcommand {
    /// Executes the command. Returns the exit status.
    fn run(&self) -> i32;
}

/// The commands that every host has.
#[allow(private_interfaces)]
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a program that finds the driver's devices in /dev and /devices
    Run(Run),
    /// Keep a machine up for a system's directory until a signal ends it; the other commands with that --root use it
    Serve(Serve),
    /// Print statistics of the kernel that this command runs under, as kstat(8) does
    #[command(disable_help_flag = true, after_help = ddi_host::commands::help::KSTAT)]
    Kstat(modules::Words),
    /// Raise an interrupt of a device of the kernel that this command runs under
    Interrupt(Interrupt),
    /// Suspend, resume or quiesce a device of the kernel that this command runs under
    Power(Power),
    /// Print the answers of a recording (--trace FILE.ring, or that of a run which was killed), or convert it
    Trace(trace::Convert),
    /// Show who faults, switches and waits in a run or in a machine that stays up, while it happens
    Top(top::Top),
    /// Make a page for a browser from a recording (--trace FILE.ring, or that of a run which was killed): all events, to zoom and pan, and the answers
    Timeline(trace::Timeline),
    /// Module files and installed drivers.
    #[command(flatten)]
    Modules(modules::Command),
}

/// Options of the commands that start a machine.
#[derive(Args, Clone, Debug)]
pub struct MachineArgs {
    /// A linked-in driver, or a module file (loaded under the file's name, or under NAME), its driver.conf, and simulated PCI devices of its own; may be
    /// repeated
    #[arg(
        long = "driver",
        value_name = "NAME|FILE[,conf=FILE][,name=NAME][,device=FILE]",
        default_value = linked::first()
    )]
    pub drivers: Vec<String>,
    /// Load every driver that add_drv installed in this system's directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["drivers", "config"])]
    pub root: Option<PathBuf>,
    /// Device nodes and their register sets (TOML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A simulated PCI device: its description (docs/devices.md), or the name of a known one (ivshmem); may be repeated
    #[arg(long = "device", value_name = "FILE|NAME")]
    pub devices: Vec<PathBuf>,
    /// The way of catching accesses without a translation: userfaultfd, signal or auto
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub faults: FaultPolicy,
    /// Append the kernel's messages to a file
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Guard kernel memory, and report uses after free, overruns and what is left at the end
    #[arg(long)]
    pub check: bool,
    /// Data model of the processes that drivers see: lp64 or ilp32
    #[arg(long, value_name = "MODEL", default_value = "lp64")]
    pub model: Model,
    /// Show messages that are for a verbose boot
    #[arg(long, short)]
    pub verbose: bool,
    /// Load modules that need functions which the host lacks; the first call of such a function ends the run
    #[arg(long)]
    pub allow_missing: bool,
}

/// The arguments of `run`.
#[derive(Args, Debug)]
pub struct Run {
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    trace: TraceArgs,
    /// Show who faults, switches and waits, every so many seconds (1), on standard error; on a terminal the program's output comes at the end
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    top: Option<top::Every>,
    /// Print the kernel's statistics (kstats) at the end
    #[arg(long)]
    kstat: bool,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

impl MachineArgs {
    /// Starts the machine.
    ///
    /// # Errors
    /// See [`MachineError`].
    pub fn start(&self) -> Result<Machine, MachineError> {
        if let Some(root) = &self.root {
            Root::new(root).check()?;
        }
        log::set_verbose(self.verbose);
        if let Some(path) = &self.log {
            log::to_file(path).map_err(|error| MachineError::Log { file: path.clone(), error })?;
        }
        let options = Options {
            drivers: self.drivers.clone(),
            root: self.root.clone(),
            resident: false,
            config: self.config.clone(),
            devices: self.devices.clone(),
            faults: self.faults,
            check: self.check,
            model: self.model,
            allow_missing: self.allow_missing,
        };
        Machine::start(&options)
    }
}

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot print: {0}")]
pub(crate) struct CannotPrint(#[from] pub(crate) std::io::Error);

/// Prints `text` to standard output.
pub(crate) fn print(text: &str) -> Result<(), CannotPrint> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Prints help, or the error in the command line. Returns the exit status.
fn answer(said: &clap::Error) -> i32 {
    match said.print().and_then(|()| std::io::stdout().flush()) {
        Err(error) if !said.use_stderr() => crate::commands::output::failed(&error),
        _ => said.exit_code(),
    }
}

/// Prints an error. Returns the exit status.
pub fn fail(why: &str) -> i32 {
    eprintln!("ddi-host: {why}");
    1
}

impl Run {
    fn run(&self) -> i32 {
        let (path, args) = self.program.split_first().expect("clap requires a program");
        if let Err(why) = check_program(path.as_ref()) {
            return fail(&why.to_string());
        }
        if let Some(status) = self.joined() {
            return status;
        }
        let recording = match self.trace.begin() {
            Ok(recording) => recording,
            Err(why) => return fail(&why.to_string()),
        };
        let beside = self.top.map(|every| top::Beside::begin(recording.file(), every)).transpose();
        let beside = match beside {
            Ok(beside) => beside,
            Err(why) => return fail(&format!("--top: {why}")),
        };
        let machine = match self.machine.start() {
            Ok(machine) => machine,
            Err(why) => {
                drop(beside);
                return fail(&why.to_string());
            }
        };
        let env =
            vec![("DDI_HOST_FAULTS".into(), machine.faults().into()), ("PATH".into(), path_with_commands())];
        let program = Program { path: path.into(), args: args.to_vec(), env };
        let status = machine.server().run(&program);
        let printed = if self.kstat { print(&kstat::parseable()) } else { Ok(()) };
        let clean = machine.end();
        drop(beside);
        let traced = recording.finish();
        match status {
            Err(why) => fail(&why.to_string()),
            Ok(0) if printed.is_err() => {
                fail(&printed.map_or_else(|why| why.to_string(), |()| String::new()))
            }
            Ok(0) if !clean => fail(&format!("the program succeeded, the driver did not: {}", summary())),
            Ok(0) if !traced => 1,
            Ok(status) => status,
        }
    }
}

/// Ends the run of a program whose machine is another process, which knows the calls that wait.
struct Joined(PathBuf);

impl Joined {
    /// Asks the machine; `None`: it does not answer, and has no calls that wait.
    fn ask(&self, request: &Request) -> Option<Reply> {
        resident::ask(&self.0, request).ok().flatten()?.ok()
    }
}

impl Ending for Joined {
    fn asked(&self, signal: i32) {
        pass_on(signal);
    }

    fn stuck(&self) -> Vec<u64> {
        match self.ask(&Request::Stuck) {
            Some(Reply::Stuck(calls)) => calls,
            _ => Vec::new(),
        }
    }

    fn say(&self, calls: Vec<u64>) -> Vec<u64> {
        let Some(Reply::Where(waiting)) = self.ask(&Request::Where(calls)) else { return Vec::new() };
        // Calls of other runs are not reported here.
        let ours = waiting.into_iter().filter(|waiting| is_descendant(waiting.pid));
        ours.inspect(|waiting| eprintln!("{}", kernel::stuck_text(&waiting.text)))
            .map(|waiting| waiting.call)
            .collect()
    }

    fn end(&self) {
        end_all();
    }
}

impl Run {
    /// Runs the program as a client of the `ddi-host serve` that has the system's directory. Returns the exit status; None if there is no
    /// such machine.
    fn joined(&self) -> Option<i32> {
        let root = self.machine.root.as_ref()?;
        if let Err(why) = Root::new(root).check() {
            return Some(fail(&why.to_string()));
        }
        let variables = match resident::ask(root, &Request::Environment) {
            Ok(None) => return None,
            Ok(Some(Ok(Reply::Environment(variables)))) => variables,
            Ok(Some(Ok(_))) => return Some(fail(&Refusal::unexpected().to_string())),
            Ok(Some(Err(why))) => return Some(fail(&why.to_string())),
            Err(error) => return Some(fail(&error.to_string())),
        };
        if self.trace.is_asked() {
            return Some(fail(
                "--trace cannot be used while ddi-host serve has DIR; use ddi-host serve --trace FILE",
            ));
        }
        if self.top.is_some() {
            return Some(fail(
                "--top cannot be used while ddi-host serve has DIR; use ddi-host top --root DIR",
            ));
        }
        if self.kstat {
            return Some(fail(
                "--kstat cannot be used while ddi-host serve has DIR; use ddi-host kstat --root DIR",
            ));
        }
        let (path, args) = self.program.split_first().expect("clap requires a program");
        let mut env: Vec<(OsString, OsString)> = vec![("PATH".into(), path_with_commands())];
        env.extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        let program = Program { path: path.into(), args: args.to_vec(), env };
        let ending = Joined(root.clone());
        Some(run_elsewhere(&program, ending).unwrap_or_else(|why| fail(&why.to_string())))
    }
}

/// Keep a machine up for a system's directory
#[derive(Args, Debug)]
struct Serve {
    /// The system's directory; every driver installed there is loaded, now or when add_drv installs it
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// A simulated PCI device: its description (docs/devices.md), or the name of a known one (ivshmem); may be repeated
    #[arg(long = "device", value_name = "FILE|NAME")]
    devices: Vec<PathBuf>,
    /// The way of catching accesses without a translation: userfaultfd, signal or auto
    #[arg(long, value_name = "HOW", default_value = "auto")]
    faults: FaultPolicy,
    /// Append the kernel's messages to a file
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Guard kernel memory, and report uses after free, overruns and what is left at the end
    #[arg(long)]
    check: bool,
    /// Load modules that need functions which the host lacks; the first call of such a function ends the run
    #[arg(long)]
    allow_missing: bool,
    #[command(flatten)]
    trace: TraceArgs,
}

impl Serve {
    fn run(&self) -> i32 {
        if let Err(why) = Root::new(&self.root).check() {
            return fail(&why.to_string());
        }
        let door = match resident::Door::open(&self.root) {
            Ok(door) => door,
            Err(why) => return fail(&why.to_string()),
        };
        if let Some(path) = &self.log
            && let Err(error) = log::to_file(path)
        {
            return fail(&format!("{}: {error}", path.display()));
        }
        let options = Options {
            root: Some(self.root.clone()),
            devices: self.devices.clone(),
            resident: true,
            faults: self.faults,
            check: self.check,
            allow_missing: self.allow_missing,
            ..Options::default()
        };
        let recording = match self.trace.begin() {
            Ok(recording) => recording,
            Err(why) => return fail(&why.to_string()),
        };
        let machine = match Machine::start(&options) {
            Ok(machine) => machine,
            Err(why) => return fail(&why.to_string()),
        };
        let recorder = Recorder::new(recording.file().map(Into::into));
        let served = resident::serve(machine, &Root::new(&self.root), &door, recorder);
        let traced = recording.finish();
        match served {
            Ok(true) => i32::from(!traced),
            Ok(false) => fail(&summary()),
            Err(error) => fail(&error.to_string()),
        }
    }
}

/// Returns the search path of clients: the one of this process, then the host's own commands.
fn path_with_commands() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    path.push(":");
    path.push(kernel::PROGRAMS);
    path
}

/// Returns a summary of the reports.
fn summary() -> String {
    match report::reports().len() {
        0 => "see the messages above".into(),
        1 => "one mistake was reported".into(),
        n => format!("{n} mistakes were reported"),
    }
}

/// An interrupt of a device
#[derive(Args, Debug)]
struct Interrupt {
    /// The device: its driver and instance (ctxdev0), or its path below /devices
    device: String,
    /// The number of the interrupt
    #[arg(default_value_t = 0)]
    number: u16,
}

impl Interrupt {
    fn run(&self) -> i32 {
        let written = std::fs::OpenOptions::new().write(true).open(kernel::INTERRUPT).and_then(|mut file| {
            let text = format!("{} {}", self.device, self.number);
            std::io::Write::write_all(&mut file, text.as_bytes())
        });
        match written {
            Ok(()) => 0,
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
                fail(&format!("there is no PCI device {}", self.device))
            }
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                let hint = "the device has no such interrupt, or the driver has not enabled it";
                fail(&format!("{}: interrupt {} was not delivered: {hint}", self.device, self.number))
            }
            Err(error) => {
                let hint =
                    "run it under the host: ddi-host run --driver NAME --device FILE -- ddi-host interrupt …";
                fail(&format!("{}: {error}; {hint}", kernel::INTERRUPT))
            }
        }
    }
}

/// A change of a device's power state
#[derive(Args, Debug)]
struct Power {
    /// detach(9E) with DDI_SUSPEND, attach(9E) with DDI_RESUME, or quiesce(9E)
    #[arg(value_parser = ["suspend", "resume", "quiesce"])]
    change: String,
    /// The device: its driver and instance (ctxdev0), or its path below /devices
    device: String,
}

impl Power {
    fn run(&self) -> i32 {
        let written = std::fs::OpenOptions::new().write(true).open(kernel::POWER).and_then(|mut file| {
            std::io::Write::write_all(&mut file, format!("{} {}", self.change, self.device).as_bytes())
        });
        let Err(error) = written else { return 0 };
        let why = match error.raw_os_error() {
            Some(libc::ENODEV) => "there is no such device".to_owned(),
            Some(libc::EALREADY) if self.change == "resume" => "it is not suspended".to_owned(),
            Some(libc::EALREADY) => "it is suspended already".to_owned(),
            Some(libc::ENOTSUP) => "the driver has no such entry point".to_owned(),
            Some(libc::EIO) => "the driver refused; the log has its reason, if it gave one".to_owned(),
            _ => format!("{error}; run it under the host: ddi-host run … -- ddi-host power …"),
        };
        fail(&format!("{} {}: {why}", self.change, self.device))
    }
}

/// Runs the command line of a host. Returns the exit status.
pub fn main() -> i32 {
    main_with::<Command>()
}

/// Runs the command line of a host with additional commands. Returns the exit status.
pub fn main_with<C: Commands>() -> i32 {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    if let Some(name) = called() {
        args.insert(1, name.into());
    }
    main_from::<C>(args)
}

/// Returns the command by whose name this program was called: programs find some in their search path, as links to the host's own file.
pub fn called() -> Option<&'static str> {
    let name = std::env::args_os().next()?;
    let name = std::path::Path::new(&name).file_name()?.to_owned();
    ["kstat", "interrupt", "power"].into_iter().find(|command| name == *command)
}

/// Runs a command line, which begins with the program's name. Returns the exit status.
pub fn main_from<C: Commands>(args: impl IntoIterator<Item = OsString>) -> i32 {
    let cli = match Cli::<C>::try_parse_from(args) {
        Ok(cli) => cli,
        Err(said) => return answer(&said),
    };
    if let Err(error) = ddi_kernel::vm::room_to_begin() {
        return fail(&format!("too little address space is left (see ulimit -v): {error}"));
    }
    cli.command.run()
}

impl Commands for Command {
    fn run(&self) -> i32 {
        match self {
            Command::Kstat(words) => kstat::run(&words.words),
            Command::Interrupt(interrupt) => interrupt.run(),
            Command::Power(power) => power.run(),
            Command::Trace(convert) => convert.run(),
            Command::Top(top) => top.run(),
            Command::Timeline(timeline) => timeline.run(),
            Command::Run(run) => run.run(),
            Command::Serve(serve) => serve.run(),
            Command::Modules(command) => command.run(),
        }
    }
}
