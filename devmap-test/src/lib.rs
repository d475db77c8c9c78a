//! Tests of a driver: each runs in a process of its own that finds the driver's devices in `/dev`, under a DDI kernel ([`ddi_host`]) of its own.
//!
//! A test is a function that panics if something is wrong. It is a program like any other: it may open devices, fork, start other programs. [`client`] has the
//! calls that a program makes, without `unsafe`. The file of tests is a program without Rust's own harness:
//!
//! ```toml
//! [[test]]
//! name = "under_host"
//! harness = false
//! ```
//!
//! ```ignore
//! use devmap_test::{Driver, cases, client::Device};
//!
//! fn main() -> std::process::ExitCode {
//!     Driver::new(&board::MODULE).conf("board.conf").main(cases![what_is_written_is_read])
//! }
//!
//! fn what_is_written_is_read() {
//!     let map = Device::open("/dev/board0").unwrap().map(4096, 0).unwrap();
//!     map.store(0, 7_u32);
//!     assert_eq!(map.load::<u32>(0), 7);
//! }
//! ```
//!
//! `cargo test` and nextest run it: names, `--list`, `--exact` and the like are as for any test. The driver is linked into the test. With
//! [`MODULES`] in the environment (`cargo ddi test` sets it), the module file of the driver's name in that directory is loaded instead.
//!
//! The test program is three things: started by cargo it is the tests; each test starts it as the host, and the host starts it as the process. The host runs with
//! `--check`: mistakes of the driver and what it leaves behind fail the test.

pub mod client;

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use ddi_host::{cli, linked};
use devmap::module::Entry;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};

/// The variable that names a directory of module files to test in place of the drivers that are linked in.
pub const MODULES: &str = "DEVMAP_TEST_MODULES";

const HOST: &str = "--devmap-test-host";
const CLIENT: &str = "--devmap-test-client";

/// A test.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    name: &'static str,
    run: fn(),
}

impl Case {
    /// Makes a test from its name and its function.
    pub const fn new(name: &'static str, run: fn()) -> Case {
        Case { name, run }
    }
}

/// Makes the list of tests from the names of functions.
#[macro_export]
macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        const { &[$($crate::Case::new(stringify!($case), $case)),*] }
    };
}

/// A driver to test, and how to run it.
#[derive(Clone)]
pub struct Driver {
    entry: &'static Entry,
    conf: Option<PathBuf>,
    options: Vec<OsString>,
    limit: Duration,
    variants: Vec<Variant>,
}

/// Another way in which each test is run.
#[derive(Clone)]
struct Variant {
    name: &'static str,
    options: Vec<OsString>,
    module: Option<Module>,
}

/// Makes a module file, or says why there is none.
type Module = fn() -> Result<PathBuf, String>;

impl Driver {
    /// Tests the driver that `devmap::module!` made.
    pub fn new(entry: &'static Entry) -> Driver {
        let limit = Duration::from_secs(120);
        Driver { entry, conf: None, options: vec!["--check".into()], limit, variants: Vec::new() }
    }

    /// The driver's driver.conf(5), below the package.
    #[must_use]
    pub fn conf(mut self, path: impl Into<PathBuf>) -> Driver {
        self.conf = Some(path.into());
        self
    }

    /// Puts a simulated PCI device on the bus: its description, or the name of a known one.
    #[must_use]
    pub fn device(self, device: impl Into<OsString>) -> Driver {
        self.options(["--device".into(), device.into()])
    }

    /// Passes options to the host: see `ddi-host run --help`.
    #[must_use]
    pub fn options<T: Into<OsString>>(mut self, options: impl IntoIterator<Item = T>) -> Driver {
        self.options.extend(options.into_iter().map(T::into));
        self
    }

    /// Runs each test once more with further options of the host, as TEST@NAME: `also("signal", ["--faults", "signal"])` for the other way of catching faults,
    /// `also("ilp32", ["--model", "ilp32"])` for a program of 32 bits.
    #[must_use]
    pub fn also<T: Into<OsString>>(
        mut self,
        name: &'static str,
        options: impl IntoIterator<Item = T>,
    ) -> Driver {
        let options = options.into_iter().map(T::into).collect();
        self.variants.push(Variant { name, options, module: None });
        self
    }

    /// Runs each test once more with the module file that `make` makes, as TEST@module. Where it makes none, they are ignored, with its reason.
    /// `cargo ddi test` has all tests run with the module file without this.
    #[must_use]
    pub fn also_module(mut self, make: fn() -> Result<PathBuf, String>) -> Driver {
        self.variants.push(Variant { name: "module", options: Vec::new(), module: Some(make) });
        self
    }

    /// Time that a test may take. Default: two minutes.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Driver {
        self.limit = limit;
        self
    }

    /// Runs the tests that the command line asks for. The whole of `main`.
    pub fn main(self, cases: &'static [Case]) -> ExitCode {
        if cli::called().is_some() {
            std::process::exit(cli::main());
        }
        let mut args = std::env::args_os();
        let program = args.next().unwrap_or_default();
        match args.next() {
            Some(role) if role == HOST => {
                linked::add(self.entry);
                let args = std::iter::once(program).chain(args);
                std::process::exit(cli::main_from::<cli::Command>(args))
            }
            Some(role) if role == CLIENT => {
                let wanted = args.next().unwrap_or_default();
                let case = cases.iter().find(|case| wanted == case.name).expect("a test of this name");
                (case.run)();
                ExitCode::SUCCESS
            }
            _ => self.test(cases),
        }
    }

    fn test(self, cases: &'static [Case]) -> ExitCode {
        let modules = std::env::var_os(MODULES);
        let own = modules.map(|dir| PathBuf::from(dir).join(self.entry.name));
        let mut trials = Vec::new();
        let mut ways = self.variants.clone();
        ways.insert(0, Variant { name: "", options: Vec::new(), module: None });
        let driver = Arc::new(self);
        // All tests have the module file already: those would be the same again.
        for way in ways.into_iter().filter(|way| own.is_none() || way.module.is_none()) {
            let way = Arc::new(way);
            // Made by the first of its tests that runs: nextest runs each test in a program of its own.
            let made = Arc::new(OnceLock::new());
            for case in cases {
                let name = match way.name {
                    "" => case.name.to_owned(),
                    other => format!("{}@{other}", case.name),
                };
                let (driver, way, made, own) =
                    (Arc::clone(&driver), Arc::clone(&way), Arc::clone(&made), own.clone());
                trials.push(Trial::ignorable_test(name, move || {
                    let module = match way.module.map(|make| made.get_or_init(make)) {
                        None => own,
                        Some(Ok(file)) => Some(file.clone()),
                        Some(Err(why)) => return Ok(Completion::ignored_with(why)),
                    };
                    driver.run(case.name, module, &way.options).map(|()| Completion::Completed)
                }));
            }
        }
        libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
    }

    /// Returns the argument of `--driver`.
    fn argument(&self, module: Option<PathBuf>) -> OsString {
        let mut argument = module.map_or_else(|| self.entry.name.into(), PathBuf::into_os_string);
        if let Some(conf) = &self.conf {
            argument.push(",conf=");
            argument.push(conf);
        }
        argument
    }

    /// Runs a test: a host, with this program's own file as the process.
    fn run(&self, name: &str, module: Option<PathBuf>, options: &[OsString]) -> Result<(), Failed> {
        let program = std::env::current_exe()?;
        let mut said = tempfile::tempfile()?;
        let mut host = Command::new(&program);
        host.args([HOST, "run", "--driver"]).arg(self.argument(module)).args(&self.options).args(options);
        host.arg("--").arg(&program).args([CLIENT, name]);
        host.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said.try_clone()?);
        let ended = self.wait(&mut host)?;
        if ended.is_some_and(|status| status.success()) {
            return Ok(());
        }
        let how = ended.map_or_else(
            || format!("no end after {} s", self.limit.as_secs()),
            |status| format!("the host ended with {status}"),
        );
        Err(format!("{how}\n{}", text(&mut said)?).into())
    }

    /// Waits for the end. Returns None if it has not come in time.
    fn wait(&self, host: &mut Command) -> Result<Option<ExitStatus>, std::io::Error> {
        let mut child = host.spawn()?;
        let pid = Pid::from_child(&child);
        let (sender, receiver) = mpsc::channel();
        let waiter = std::thread::spawn(move || {
            let status = child.wait();
            let _ = sender.send(()); // nobody listens after the limit
            status
        });
        let late = receiver.recv_timeout(self.limit).is_err();
        if late {
            // A host that is asked to end ends its processes first.
            let _ = kill_process(pid, Signal::TERM);
            if receiver.recv_timeout(Duration::from_secs(10)).is_err() {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let status = waiter.join().map_err(|_| std::io::Error::other("the waiting thread panicked"))??;
        Ok((!late).then_some(status))
    }
}

fn text(file: &mut File) -> Result<String, std::io::Error> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
