//! The suite under `ddi-host run`, once for each way of catching faults and for both of ctxdev's nodes: no case may
//! fail; what is skipped is printed with the reason. Then the programs that were recorded on an illumos kernel, in each way: no line may differ.
//! A way that this kernel does not offer is skipped, and said so.
//!
//! A test program without the test harness, so that what it skips is printed also when it passes.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// A run of the suite.
struct Run {
    faults: &'static str,
    device: &'static str,
    filters: &'static [&'static str],
    /// A configuration beside this file.
    config: Option<&'static str>,
    /// A simulated PCI device.
    pci: Option<&'static str>,
}

const RUNS: &[Run] = &[
    Run { faults: "userfaultfd", device: "/dev/ctxdev0", filters: &[], config: None, pci: None },
    Run { faults: "signal", device: "/dev/ctxdev0", filters: &[], config: None, pci: None },
    // The pseudo node has the same regions in kernel memory: what depends on that is run there as well.
    Run {
        faults: "auto",
        device: "/dev/ctxdev1",
        filters: &["map:", "access:", "munmap:", "counters:"],
        config: None,
        pci: None,
    },
    // Device memory of 4 MiB: what needs a large frame buffer, and cases that switch it seldom (unoptimised, a switch takes half a second).
    Run {
        faults: "auto",
        device: "/dev/ctxdev0",
        filters: &["large", "every_word_kept", "untouched_pages_saved", "one_switch_per_turn"],
        config: Some("large.toml"),
        pci: None,
    },
    // A PCI device: register set 0 is configuration space, the memory is a base address register's.
    Run {
        faults: "auto",
        device: "/dev/ctxdevpci0",
        filters: &["map:private", "map:shared", "access:read", "fork:child", "context:two", "counters:"],
        config: None,
        pci: Some("ivshmem"),
    },
];

/// Programs recorded on an illumos kernel: the trace, the device, and how the host makes it.
const TRACES: &[(&str, &str, [&str; 2])] = &[
    ("pseudo", "/dev/ctxdev0", ["--config", "pseudo.toml"]),
    ("lengths", "/dev/ctxdev0", ["--config", "pseudo.toml"]),
    ("pci", "/dev/ctxdevpci0", ["--device", "pci.toml"]),
];
const WAYS: [&str; 2] = ["userfaultfd", "signal"];

/// A test of a host: whether it is good.
type Test = Box<dyn Fn(&Path) -> bool + Send>;

/// Most runs at a time: they wait more than they compute.
const AT_ONCE: usize = 2;

/// All runs, by name.
fn all() -> Vec<(String, Test)> {
    let mut all: Vec<(String, Test)> = vec![("kstat".into(), Box::new(kstat))];
    for way in WAYS {
        for &(trace, device, setup) in TRACES {
            let replay = move |host: &Path| replay(host, way, &traces(trace), device, setup);
            all.push((format!("replay-{trace}-{way}"), Box::new(replay)));
        }
    }
    all.push(("record-and-replay".into(), Box::new(record_and_replay)));
    for run in RUNS {
        all.push((run.name(), Box::new(|host: &Path| run.go(host))));
    }
    all
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let all = all();
    if args.iter().any(|arg| arg == "--list") {
        for (name, _) in &all {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let Some(host) = build_host() else { return ExitCode::FAILURE };
    let asked = |name: &str| wanted.is_empty() || wanted.iter().any(|p| name.contains(p.as_str()));
    let all = Mutex::new(all.into_iter().filter(|(name, _)| asked(name)));
    let good = AtomicBool::new(true);
    let work = || {
        while let Some((name, test)) = { all.lock().unwrap().next() } {
            if name.contains("userfaultfd") && !userfaultfd() {
                println!("{name}: skipped: this kernel or container offers no userfaultfd");
            } else if !test(&host) {
                good.store(false, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    if good.into_inner() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Builds ddi-host as this test was built; where it is.
fn build_host() -> Option<PathBuf> {
    let own = std::env::current_exe().expect("the path of this test");
    // target/PROFILE/deps/under_host-HASH
    let profile = own.ancestors().nth(2).expect("the profile's directory");
    let target = profile.parent().expect("the target directory");
    let mut build = Command::new(env!("CARGO"));
    // With the features of the whole workspace, as when all tests are built: nothing is compiled twice.
    build
        .args(["build", "--quiet", "--workspace", "--examples", "--bin", "ddi-host", "--target-dir"])
        .arg(target);
    if profile.file_name().is_some_and(|name| name == "release") {
        build.arg("--release");
    }
    build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    if !build.status().expect("cargo").success() {
        println!("ddi-host does not build");
        return None;
    }
    Some(profile.join("ddi-host"))
}

/// Returns whether this process may have a userfaultfd, be it for user code only.
fn userfaultfd() -> bool {
    const USER_MODE_ONLY: i32 = 1;
    [0, USER_MODE_ONLY].into_iter().any(|flags| {
        // SAFETY: makes a descriptor, or fails.
        let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | flags) };
        if fd >= 0 {
            // SAFETY: the descriptor made above, which nobody else knows.
            unsafe { libc::close(fd as i32) };
        }
        fd >= 0
    })
}

impl Run {
    fn name(&self) -> String {
        let config = self.config.map_or(String::new(), |name| format!("-{}", name.trim_end_matches(".toml")));
        format!("{}-{}{config}", self.faults, self.device.trim_start_matches("/dev/"))
    }

    fn go(&self, host: &Path) -> bool {
        let mut command = Command::new(host);
        command.args(["run", "--driver", "ctxdev", "--faults", self.faults]);
        if let Some(config) = self.config {
            command.arg("--config").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(config));
        }
        if let Some(pci) = self.pci {
            command.args(["--device", pci]);
        }
        command.arg("--");
        command.arg(env!("CARGO_BIN_EXE_usr-tests")).args([
            "--tap",
            // Against what never ends only: unoptimised, on a busy machine, a case may take a minute.
            "--timeout",
            "300",
            "--device",
            self.device,
        ]);
        for filter in self.filters {
            command.args(["--filter", filter]);
        }
        let output = match command.output() {
            Ok(output) => output,
            Err(error) => {
                println!("{}: FAILED: {}: {error}", self.name(), host.display());
                return false;
            }
        };
        let tap = String::from_utf8_lossy(&output.stdout);
        let planned = tap.lines().find_map(|line| line.strip_prefix("1..")?.parse::<usize>().ok());
        let (mut pass, mut skip, mut fail) = (0, 0, 0);
        let mut lines = tap.lines().peekable();
        while let Some(line) = lines.next() {
            if let Some(case) = line.strip_prefix("not ok ") {
                fail += 1;
                println!("{}: FAILED: {case}", self.name());
                while let Some(more) = lines.next_if(|line| line.starts_with("  ")) {
                    if let Some(message) = more.trim_start().strip_prefix("message: ") {
                        println!("    {message}");
                    }
                }
            } else if let Some(case) = line.strip_prefix("ok ") {
                match case.split_once(" # SKIP ") {
                    Some((case, reason)) => {
                        skip += 1;
                        println!("{}: skipped {case}: {reason}", self.name());
                    }
                    None => pass += 1,
                }
            }
        }
        println!("{}: {pass} pass, {fail} fail or error, {skip} skip", self.name());
        let whole = planned == Some(pass + fail + skip) && output.status.success();
        if !whole || fail > 0 {
            let (status, errors) = (output.status, String::from_utf8_lossy(&output.stderr));
            println!("{}: FAILED: {status}, {planned:?} cases planned\n{}", self.name(), tail(&errors));
        }
        whole && fail == 0 && pass > 0
    }
}

/// `counters:kstat_agrees` asks the kstat command; this looks at what the host prints at the
/// end: it must be what the device's own line of counters said last.
fn kstat(host: &Path) -> bool {
    let mut command = Command::new(host);
    command.args(["run", "--driver", "ctxdev", "--kstat", "--", "sh", "-c"]);
    command.arg(r#""$0" --filter fork:child_sees --filter munmap:middle >&2; echo; cat /dev/ctxdev0"#);
    command.arg(env!("CARGO_BIN_EXE_usr-tests"));
    let output = command.output().expect("ddi-host");
    let text = String::from_utf8_lossy(&output.stdout);
    let words: Vec<&str> =
        text.lines().find(|line| line.starts_with("opens ")).unwrap_or("").split_whitespace().collect();
    let mut compared = 0;
    for pair in words.chunks_exact(2) {
        let line = format!("ctxdev:0:ctxdev:{}\t{}", pair[0], pair[1]);
        if text.lines().any(|seen| seen == line) {
            compared += 1;
        } else {
            println!("kstat: FAILED: the kstats at the end have no line {line:?}");
        }
    }
    if compared == 10 && output.status.success() {
        println!("kstat: {compared} counters agree with the device's own");
        return true;
    }
    println!("kstat: FAILED: {compared} of 10 counters agree, {}\n{text}", output.status);
    false
}

fn traces(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("traces").join(format!("{name}.trace.gz"))
}

/// usr-tests with these arguments in a run of the host.
fn in_host(host: &Path, faults: &str, setup: [&str; 2], args: &[&str]) -> Command {
    let [option, file] = setup;
    let mut command = Command::new(host);
    command.args(["run", "--driver", "ctxdev", "--faults", faults, option]);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file));
    command.arg("--").arg(env!("CARGO_BIN_EXE_usr-tests")).args(args);
    command
}

/// Replays a trace: no line may differ.
fn replay(host: &Path, faults: &str, trace: &Path, device: &str, setup: [&str; 2]) -> bool {
    let trace = trace.to_string_lossy();
    let args = ["replay", &*trace, "--keep-going", "--device", device, "--timeout", "300"];
    let output = in_host(host, faults, setup, &args).output().expect("ddi-host");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let same = said.lines().any(|line| line.contains(" lines compared, 0 differ"));
    if output.status.success() && same {
        println!("replay with {faults}: {}", said.trim_end());
        return true;
    }
    println!("replay with {faults}: FAILED: {}\n{said}{}", output.status, tail(&errors));
    false
}

/// A program recorded in one way has the same outcome in the other; a changed line is found.
fn record_and_replay(host: &Path) -> bool {
    let file = std::env::temp_dir().join(format!("usr-tests-record.{}.gz", std::process::id()));
    let path = file.to_string_lossy().into_owned();
    let setup = ["--config", "pseudo.toml"];
    let args = [
        "record",
        "--seed",
        "77",
        "--programs",
        "12",
        "--odd-lengths",
        "--timeout",
        "300",
        "--output",
        &path,
    ];
    let recorded = in_host(host, "auto", setup, &args).status().expect("ddi-host");
    let mut good = recorded.success() && replay(host, "signal", &file, "/dev/ctxdev0", setup);
    let wrong = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong.trace");
    let args = ["replay", &*wrong.to_string_lossy(), "--device", "/dev/ctxdev0"];
    let output = in_host(host, "auto", setup, &args).output().expect("ddi-host");
    let said = String::from_utf8_lossy(&output.stdout);
    let found = said.contains("program 1: line 5 is not as recorded")
        && said.contains("    - read p3+64 -> 1 |")
        && said.contains("    + read p3+64 -> 0 |")
        && said.contains("read: 1 of 1 differ");
    if output.status.code() != Some(1) || !found {
        println!("record-and-replay: FAILED: a wrong line was not found: {}\n{said}", output.status);
        good = false;
    }
    let _ = std::fs::remove_file(file);
    if good {
        println!("record-and-replay: what was recorded in one way is the same in the other");
    }
    good
}

/// The last lines of what the host said.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
