//! Real processes under a tiny kernel: what the process layer promises, for every way of catching faults that this machine allows.
//!
//! The test program is its own client: run with `DDI_CLIENT=NAME` it plays that part.

mod client;
mod debugger;
mod failing;
mod host;
mod keeps;
mod kernel;
mod mappings;
mod parts;
mod walk;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use ddi_process::physmem::PhysMem;
use ddi_process::{Config, FaultMode, FaultPolicy, Program, Server};
use kernel::TestKernel;

/// A server with the test kernel.
struct Bench {
    kernel: Arc<TestKernel>,
    server: Server,
}

impl Bench {
    fn new(faults: FaultPolicy) -> Bench {
        let mem = PhysMem::new(1 << 30).expect("memory");
        let kernel = Arc::new(TestKernel::new(mem.clone()));
        let server = Server::start(kernel.clone(), mem, Config { faults, low: false }).expect("server");
        Bench { kernel, server }
    }

    /// Runs a client part to its end; its exit status.
    fn client(&self, part: &str) -> i32 {
        let env = vec![("DDI_CLIENT".into(), part.into())];
        let program = Program { path: std::env::current_exe().expect("own path"), args: Vec::new(), env };
        self.server.run(&program).expect("client starts")
    }

    fn command(&self, program: &str, args: &[&str]) -> i32 {
        let program = Program {
            path: PathBuf::from(program),
            args: args.iter().map(Into::into).collect(),
            env: vec![("SELF".into(), std::env::current_exe().expect("own path").into())],
        };
        self.server.run(&program).expect("program starts")
    }

    /// Nothing is left of any client.
    fn clean(&self) -> Result<(), String> {
        let left = self.server.wait_idle(Duration::from_secs(5));
        let [opens, closes, starts, forks, unborn, exits, ..] = self.kernel.counts.all();
        match () {
            () if left != 0 => Err(format!("{left} processes left")),
            () if opens != closes => Err(format!("{opens} opens, {closes} closes")),
            () if starts + forks != exits + unborn => {
                Err(format!("{starts} starts, {forks} forks, {exits} exits"))
            }
            () if self.kernel.mappings() != 0 => Err(format!("{} mappings left", self.kernel.mappings())),
            () => Ok(()),
        }
    }
}

/// The longest that any case may take; the slowest takes a few seconds on an idle machine.
const LIMIT: Duration = Duration::from_secs(180);

/// Ends the tests if a case does not end: what hangs here would otherwise be told by nobody.
struct Watch(#[expect(dead_code, reason = "its end is the message")] mpsc::Sender<()>);

impl Watch {
    fn start(title: String) -> Watch {
        let (alive, ended) = mpsc::channel();
        std::thread::spawn(move || {
            if ended.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
                println!("test {title} ... FAILED: no end after {} s", LIMIT.as_secs());
                print!("{}", host::threads_of_children());
                host::kill_children();
                std::process::exit(1);
            }
        });
        Watch(alive)
    }
}

fn main() -> ExitCode {
    if let Ok(policy) = std::env::var("DDI_ALONE")
        && std::env::var_os("DDI_CLIENT").is_none()
    {
        return host::alone(&policy);
    }
    if let Ok(part) = std::env::var("DDI_CLIENT") {
        return client::play(&part);
    }
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // The driver that panics as it was asked to is no news.
        if info.payload_as_str() != Some(kernel::EXPECTED_PANIC) {
            PANICS.fetch_add(1, Ordering::Relaxed);
            usual(info);
        }
    }));
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let modes = [
        ("userfaultfd", FaultPolicy::Userfaultfd, FaultMode::Userfaultfd),
        ("userfaultfd-user", FaultPolicy::UserfaultfdUserOnly, FaultMode::UserfaultfdUserOnly),
        ("signal", FaultPolicy::Signal, FaultMode::Signal),
    ];
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (mode_name, policy, mode) in modes {
        let bench = std::panic::catch_unwind(|| Bench::new(policy));
        let available = bench.is_ok_and(|b| b.server.fault_mode() == mode);
        for &(name, full_only, test) in CASES {
            let title = format!("{name} ({mode_name})");
            if !wanted.is_empty() && !wanted.iter().any(|w| title.contains(w.as_str())) {
                continue;
            }
            if !available || full_only && mode != FaultMode::Userfaultfd {
                println!("test {title} ... skipped: this way of catching faults cannot do it here");
                skipped += 1;
                continue;
            }
            let _watch = Watch::start(title.clone());
            let bench = Bench::new(policy);
            let before = PANICS.load(Ordering::Relaxed);
            let result = test(&bench).and_then(|()| bench.clean()).and_then(|()| {
                let panics = PANICS.load(Ordering::Relaxed) - before;
                if panics == 0 { Ok(()) } else { Err(format!("{panics} threads of the host have panicked")) }
            });
            match result {
                Ok(()) => {
                    println!("test {title} ... ok");
                    passed += 1;
                }
                Err(why) => {
                    println!("test {title} ... FAILED: {why}");
                    failed += 1;
                }
            }
        }
    }
    println!("\n{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Panics that no test asked for.
static PANICS: AtomicU32 = AtomicU32::new(0);

type Case = (&'static str, bool, fn(&Bench) -> Result<(), String>);

/// Expects an exit status.
fn status(got: i32, want: i32) -> Result<(), String> {
    if got == want { Ok(()) } else { Err(format!("exit status {got}, not {want}")) }
}

macro_rules! part {
    ($name:literal, $want:expr) => {
        ($name, false, |b| status(b.client($name), $want))
    };
}

/// Name, only where system calls can fault, what to do.
const CASES: &[Case] = &[
    ("nonsense", false, host::nonsense),
    part!("map", 0),
    part!("unload", 0),
    part!("load-and-stay", 0),
    part!("stat", 0),
    part!("read-write", 0),
    part!("fork", 0),
    part!("fork-unmapped", 0),
    part!("fork-refused", 0),
    part!("fork-tree", 0),
    part!("threads", 0),
    part!("fork-threads", 0),
    part!("close-raw", 128 + libc::SIGKILL),
    part!("behind", 128 + libc::SIGSEGV),
    part!("agent-killed", 0),
    part!("munmap-parts", 0),
    part!("mprotect", 0),
    part!("replace", 0),
    part!("mremap", 0),
    part!("advice", 0),
    part!("exec", 0),
    part!("spawn", 0),
    part!("kill", 0),
    part!("stop", 0),
    part!("detour", 0),
    part!("fail", 0),
    part!("fail-in-system-call", 0),
    ("fail-late", true, |b| status(b.client("fail-late"), 0)),
    part!("fail-kills", 128 + libc::SIGBUS),
    part!("fail-blocked", 128 + libc::SIGSEGV),
    part!("stray", 128 + libc::SIGSEGV),
    part!("null", 128 + libc::SIGSEGV),
    part!("pass", 0),
    part!("close-all", 0),
    part!("interrupt", 0),
    ("no-descriptors", false, |b| {
        let by_signals = b.server.fault_mode() == FaultMode::Signal;
        status(b.client("no-descriptors"), if by_signals { libc::SIGBUS } else { 0 })
    }),
    part!("no-descriptors-calls", 0),
    part!("few-descriptors", 0),
    ("no-descriptors-poison", true, |b| status(b.client("no-descriptors-poison"), 0)),
    part!("other-frames", 0),
    part!("panic", 0),
    part!("debugger", 0),
    part!("debugger-forks", 0),
    part!("keeps", 0),
    part!("many", 0),
    part!("ten-thousand", 0),
    part!("stdio", 0),
    part!("exit-3", 3),
    ("sixty-four", false, host::sixty_four),
    ("failpoints", false, walk::walk),
    ("shell", false, |b| status(b.command("sh", &["-c", parts::SHELL]), 0)),
    ("shell-vfork", false, |b| status(b.command("dash", &["-c", parts::SHELL]), 0)),
    ("shell-stdio", false, |b| status(b.command("bash", &["-c", parts::SHELL]), 0)),
    ("env", false, |b| {
        status(
            b.command("sh", &["-c", "env -i DDI_CLIENT=map $SELF && exec env -i DDI_CLIENT=bump $SELF"]),
            0,
        )
    }),
    ("left-behind", false, |b| {
        status(b.command("sh", &["-c", "DDI_CLIENT=linger $SELF >/dev/null & sleep 0.2; exit 4"]), 4)
    }),
    ("host-dies", false, host::dies),
    ("programs", false, host::programs),
    ("unprivileged", false, host::unprivileged),
    ("leftovers", false, host::leftovers),
    ("list-is-replaced", false, host::list_is_replaced),
];
