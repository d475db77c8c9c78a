//! Runs that are asked to end while a call waits in the driver and no signal ends it: the first signal says where it waits and for what, the second ends the run.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use crate::devices::*;
use crate::root::{host, path, system};
use crate::run;
use crate::signals::with_signals;

tests!(a_run, a_machine_that_stays_up, a_driver_that_dies_takes_everything_with_it);

const BASE: u32 = 0x7d00;
const CONF: &str = "name=\"knots\" parent=\"pseudo\" instance=0;\n";
const SAID: &str = "a signal does not end this call, another one ends the run: ";

/// The client's half: ignores signals if it is to, says that it is about to wait, and waits.
fn client_of_waits() {
    let how = std::env::var("WAIT").unwrap();
    let (which, deaf) = how.split_once(' ').unwrap_or((&how, ""));
    if deaf == "deaf" {
        for signal in [libc::SIGINT, libc::SIGTERM] {
            // SAFETY: no handler.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
    }
    let fd = open("/dev/knots0");
    println!("about to wait");
    let done = ioctl(fd, BASE + which.parse::<u32>().unwrap(), 0);
    println!("went on: {done:?}");
}

/// A `ddi-host` in a process group of its own, which does not outlive its test.
struct Host {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    err: BufReader<ChildStderr>,
}

impl Host {
    fn start(args: &[&str]) -> Host {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ddi-host"));
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = with_signals(&mut command).spawn().unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Host { child, out: BufReader::new(out), err: BufReader::new(err) }
    }

    /// Runs the client's half.
    fn run(options: &[&str], wait: &str) -> Host {
        let (client, half) = (std::env::current_exe().unwrap(), ["--client", half!(client_of_waits)]);
        let wait = format!("WAIT={wait}");
        let mut host =
            Host::start(&[&["run"], options, &["--", "env", &wait, path(&client)], &half].concat());
        let mut line = String::new();
        host.out.read_line(&mut line).unwrap();
        assert_eq!(line, "about to wait\n");
        // The call is on its way.
        std::thread::sleep(Duration::from_millis(300));
        host
    }

    /// A signal as a terminal sends it.
    fn signal(&self, signal: i32) {
        // SAFETY: no memory is involved; the group is this child's.
        assert_eq!(unsafe { libc::kill(-self.child.id().cast_signed(), signal) }, 0);
    }

    /// Sends a signal; what is said within a second, up to a line that begins like this.
    fn says(&mut self, signal: i32, last: &str) -> String {
        let begin = Instant::now();
        self.signal(signal);
        let mut text = String::new();
        while !text.lines().last().is_some_and(|line| line.starts_with(last)) {
            assert_ne!(self.err.read_line(&mut text).unwrap(), 0, "only: {text}");
        }
        assert!(begin.elapsed() < Duration::from_secs(1), "after {:?}: {text}", begin.elapsed());
        text
    }

    /// Waits for the end: exit status, and what was said last.
    fn end(&mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        self.err.read_to_string(&mut text).unwrap();
        self.out.read_to_string(&mut text).unwrap();
        (self.child.wait().unwrap().code(), text)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

#[track_caller]
fn says_and_ends(options: &[&str], wait: &str, signal: i32, text: &str, last: &str) {
    let mut host = Host::run(options, wait);
    let said = host.says(signal, last);
    assert!(said.contains(&format!("{SAID}{text}")), "{text:?} is not in:\n{said}");
    assert!(said.contains("\n    at knots`knots_ioctl+0x"), "{said}");
    assert!(said.contains("\n    in knots: ioctl(9E), for process "), "{said}");
    let begin = Instant::now();
    host.signal(signal);
    let (status, said) = host.end();
    let joined = options.contains(&"--root");
    assert_eq!(status, Some(if joined { 128 + libc::SIGKILL } else { 1 }), "{said}");
    assert!(
        joined
            || said.ends_with("ended by a second signal, with calls inside the driver\nthe run ends here\n"),
        "{said}"
    );
    assert!(begin.elapsed() < Duration::from_secs(2), "after {:?}", begin.elapsed());
}

const ROWS: [(&str, i32, &str, &str); 5] = [
    ("30", libc::SIGINT, "cv_wait: waits for the condition variable ", "    in knots"),
    (
        "31 deaf",
        libc::SIGTERM,
        "mutex_enter: waits for the mutex knots`knots_a, for ",
        "  holds it: task function knots`hold_a",
    ),
    ("32 deaf", libc::SIGINT, "sema_p: waits for the semaphore never given at 0x", "    in knots"),
    ("33", libc::SIGTERM, "delay: waits for a time, for ", "    in knots"),
    ("30 deaf", libc::SIGTERM, "cv_wait: waits for the condition variable ", "    in knots"),
];

fn a_run() {
    let module = run::compile("knots");
    let conf = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(conf.path(), CONF).unwrap();
    let driver = format!("{},conf={}", path(&module), path(conf.path()));
    let options = ["--driver", &driver];
    for (wait, signal, text, last) in ROWS {
        says_and_ends(&options, wait, signal, text, last);
    }
    // What signals end is not spoken of.
    for (wait, status) in [("34", 128 + libc::SIGINT), ("34 deaf", 0)] {
        let mut host = Host::run(&options, wait);
        host.signal(libc::SIGINT);
        std::thread::sleep(Duration::from_millis(600));
        // As long as nothing was said, the run goes on.
        host.signal(libc::SIGINT);
        if status == 0 {
            std::thread::sleep(Duration::from_millis(600));
            host.signal(libc::SIGKILL);
            assert_eq!(host.end(), (None, String::new()));
        } else {
            assert_eq!(host.end(), (Some(status), String::new()));
        }
    }
}

/// A driver that dies ends the run, with whatever its program has started; under a machine that stays up the machine, and each run when its program has gone.
fn a_driver_that_dies_takes_everything_with_it() {
    let conf = "name=\"crash\" parent=\"pseudo\" instance=0;\n";
    let dir = system(&[("crash", conf)]);
    let root = path(dir.path());
    assert_eq!(host(&["add_drv", "--root", root, "crash"]).0, 0);
    let driver = format!("{root}/kernel/drv/amd64/crash,conf={root}/kernel/drv/crash.conf");
    let client = std::env::current_exe().unwrap();
    let mark = format!("97531.{}", std::process::id());
    let half = half!(crate::crash::client_of_crashes);
    let script = format!("setsid setsid sleep {mark} & exec \"$0\" --client {half}");
    let run = |options: &[&str]| {
        let command = ["--", "env", "CRASH=1", "sh", "-c", &script, path(&client)];
        Host::start(&[&["run"], options, &command].concat())
    };
    let left = || {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let words = |process: std::fs::DirEntry| std::fs::read_to_string(process.path().join("cmdline")).ok();
        all.filter_map(words).filter(|words| words.ends_with(&format!("sleep\0{mark}\0"))).count()
    };
    let begin = Instant::now();
    let (status, said) = run(&["--driver", &driver]).end();
    assert_eq!((status, left()), (Some(1), 0), "{said}");
    assert!(said.contains("driver mistake: ") && said.contains("the run ends here"), "{said}");
    assert!(!said.contains("did not come to its end"), "{said}");
    assert!(begin.elapsed() < Duration::from_secs(4), "after {:?}", begin.elapsed());

    let mut machine = Host::start(&["serve", "--root", root]);
    while host(&["modinfo", "--root", root]).1.is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (status, said) = run(&["--root", root]).end();
    assert_eq!((status, left()), (Some(128 + libc::SIGKILL), 0), "{said}");
    let (status, said) = machine.end();
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("driver mistake: ") && said.contains("the run ends here"), "{said}");
}

fn a_machine_that_stays_up() {
    let dir = system(&[("knots", CONF)]);
    let root = path(dir.path());
    assert_eq!(host(&["add_drv", "--root", root, "knots"]).0, 0);
    let start = || {
        let machine = Host::start(&["serve", "--root", root]);
        while host(&["modinfo", "--root", root]).1.is_empty() {
            std::thread::sleep(Duration::from_millis(10));
        }
        machine
    };
    let options = ["--root", root];
    let last = "    in knots";
    for (wait, signal, text) in [
        ("30 deaf", libc::SIGINT, "cv_wait: waits for the condition variable "),
        ("32 deaf", libc::SIGTERM, "sema_p: waits for the semaphore never given at 0x"),
    ] {
        // The run is asked: its machine knows. Then the machine is.
        let mut machine = start();
        says_and_ends(&options, wait, signal, text, last);
        let said = machine.says(signal, last);
        assert!(said.contains(&format!("{SAID}{text}")), "{said}");
        machine.signal(signal);
        let (status, said) = machine.end();
        assert_eq!(status, Some(1), "{said}");
    }
}
