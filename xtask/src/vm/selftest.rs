//! `cargo xtask vm selftest`: the Linux guest is broken in every way that the harness claims to notice.
//!
//! Each case is a real run with one sabotage; it must end with the right kind of failure, and leave no process and no file.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use ddi_vm::accel::Accel;
use ddi_vm::subject::{Description, Run};
use ddi_vm::{Guarded, Guest, Interrupt, KILL_QEMU, Options, Places, Sabotage};

use super::artifacts;
use super::test;

/// Break the Linux guest in every way that the harness claims to notice, and check that it does.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run only the cases whose name contains this.
    #[arg(long)]
    case: Option<String>,
    /// Print the names of the cases instead of running them.
    #[arg(long)]
    list: bool,
    /// The accelerator (default: KVM if a probe shows that it works).
    #[arg(long)]
    accel: Option<Accel>,
    /// The number of guests that run at once (default: one for each processor).
    #[arg(long)]
    jobs: Option<usize>,
}

/// One way to break a guest.
struct Case {
    name: &'static str,
    what: &'static str,
    /// The kind of failure that must come of it; `none` for a run that must succeed.
    kind: &'static str,
    /// What its message must contain.
    says: &'static str,
    /// Files that the run must have collected, with what must be in them.
    collects: &'static [(&'static str, &'static str)],
    command_line: &'static str,
    /// The guest that is broken.
    guest: &'static str,
    /// The image of one that has an image.
    image: &'static str,
    qemu: &'static [&'static str],
    before: Option<(&'static str, &'static str)>,
    dump: bool,
    /// The real driver and suite, with the steps as they stand in the description, on the Linux guest in disguise (`as-omnios`).
    disguised: bool,
    /// The test program's command line, if it is not that of the stand-in.
    command: &'static str,
    /// Changes to the description's limits, in seconds and before stretching.
    tune: fn(&mut Guest),
}

const PLAIN: Case = Case {
    name: "",
    what: "",
    kind: "none",
    says: "",
    collects: &[],
    command_line: "",
    guest: "linux",
    image: "stand-in",
    qemu: &[],
    before: None,
    dump: false,
    disguised: false,
    command: "",
    tune: |_| (),
};

/// Runs in the background what breaks the connection, so that the command that starts it still ends.
const FREEZE: &str = "(sleep 1; kill -STOP -1) >/dev/null 2>&1 </dev/null & ";

const CASES: &[Case] = &[
    Case {
        name: "init-exits",
        what: "the kernel panics while it boots",
        kind: "panic",
        says: "Attempted to kill init",
        collects: &[("messages.txt", "init: gives up, as told")],
        command_line: "ddi.fail=init-exits",
        ..PLAIN
    },
    Case {
        name: "panic-in-suite",
        what: "the kernel panics under the tests; its memory is dumped",
        kind: "panic",
        says: "sysrq triggered crash",
        collects: &[("messages.txt", "Call Trace"), ("vmcore.elf", "")],
        before: Some(("suite", "(sleep 1; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 </dev/null &")),
        dump: true,
        command: "sleep 1000",
        ..PLAIN
    },
    Case {
        name: "boot-hangs",
        what: "the boot never ends and says nothing",
        kind: "no-login",
        says: "init: hangs, as told",
        command_line: "ddi.fail=boot-hangs",
        tune: |guest| guest.limits.boot = 20,
        ..PLAIN
    },
    Case {
        name: "no-login",
        what: "the boot goes on and on and never offers a login",
        kind: "no-login",
        says: "init: still starting, as told",
        command_line: "ddi.fail=no-login",
        tune: |guest| guest.limits.boot = 20,
        ..PLAIN
    },
    Case {
        name: "no-ssh",
        what: "a login, but no ssh",
        kind: "no-ssh",
        says: "a login was offered",
        command_line: "ddi.fail=no-ssh",
        tune: |guest| guest.limits.ssh = 3,
        ..PLAIN
    },
    Case {
        name: "guest-hangs",
        what: "everything in the guest stops while the tests run",
        kind: "hung",
        says: "neither ssh nor the console answers",
        before: Some(("suite", FREEZE)),
        command: "sleep 1000",
        tune: |guest| guest.limits.silence = 3,
        ..PLAIN
    },
    Case {
        name: "suite-hangs",
        what: "the tests hang, the guest does not",
        kind: "stuck",
        says: "the guest still answers",
        collects: &[("messages.txt", "Linux version")],
        command: "sleep 1000",
        tune: |guest| guest.limits.silence = 3,
        ..PLAIN
    },
    Case {
        name: "suite-too-slow",
        what: "the tests go on for too long, talking",
        kind: "slow",
        says: "was not done within 6 s",
        command: "while :; do echo 'ok 1 - a:b'; sleep 1; done",
        tune: |guest| guest.limits.suite = 3,
        ..PLAIN
    },
    Case {
        name: "network-lost",
        what: "the guest's network goes away under the tests",
        kind: "lost-ssh",
        says: "the console still answers",
        before: Some(("suite", "(sleep 1; ifconfig eth0 down) >/dev/null 2>&1 </dev/null &")),
        command: "sleep 1000",
        tune: |guest| guest.limits.silence = 5,
        ..PLAIN
    },
    Case {
        name: "guest-disk-full",
        what: "the guest's disk is full when the files are shipped",
        kind: "guest-disk-full",
        says: "No space left on device",
        before: Some(("ship", "dd if=/dev/zero of=/var/tmp/filler bs=1048576 2>/dev/null || true")),
        ..PLAIN
    },
    Case {
        name: "host-disk-full",
        what: "our own disk is full when the guest writes to its overlay",
        kind: "host-disk-full",
        says: "no space left for what it writes",
        // A disk whose backing driver answers every write with ENOSPC.
        qemu: &[
            "-blockdev",
            "driver=blkdebug,node-name=full,image.driver=null-co,image.size=16777216,inject-error.0.event=none,inject-error.0.iotype=write,inject-error.0.errno=28,inject-error.0.once=off",
            "-device",
            "ide-hd,drive=full,bus=ide.0,werror=enospc",
        ],
        before: Some(("suite", "dd if=/dev/zero of=/dev/sda bs=4096 count=4; sync")),
        ..PLAIN
    },
    Case {
        name: "guest-powers-off",
        what: "the guest goes down by itself",
        kind: "down",
        says: "went down during suite",
        before: Some(("suite", "(sleep 1; poweroff -f) >/dev/null 2>&1 </dev/null &")),
        command: "sleep 1000",
        ..PLAIN
    },
    Case {
        name: "remove-fails",
        what: "the driver cannot be removed",
        kind: "command",
        says: "remove failed with status 1: the driver is busy",
        tune: |guest| guest.steps.remove = "echo 'the driver is busy' >&2; exit 1".into(),
        ..PLAIN
    },
    Case {
        name: "image",
        what: "an image guest comes to its login and has no ssh",
        kind: "no-ssh",
        says: "a login was offered, but ssh did not answer",
        guest: "omnios",
        collects: &[("console.log", "ddi-omnios console login:"), ("run.log", "snapshot=on")],
        tune: |guest| {
            guest.limits.tcg = 1;
            guest.limits.ssh = 3;
        },
        ..PLAIN
    },
    Case {
        name: "omnios-steps",
        what: "the steps of an OmniOS guest, as its description has them, with the driver and some of the suite",
        says: "cases",
        guest: "omnios",
        collects: &[
            ("kstats.txt", "ctxdev:100:ctxdev:opens\t"),
            ("suite-ctxdev0.tap", "ok 1 - map:"),
            ("suite-ctxdevpci0.tap", "ok 1 - map:"),
            ("messages.txt", "Linux version"),
            ("run.log", "ctxdev is removed"),
            ("console.log", "Changing to init state 5"),
        ],
        disguised: true,
        ..PLAIN
    },
    Case {
        name: "omnios-panic",
        what: "an OmniOS guest panics under the suite, reboots, and its dump is read",
        kind: "panic",
        says: "panic[cpu0]/thread=",
        guest: "omnios",
        collects: &[
            ("messages.txt", "dump succeeded"),
            ("crash.txt", "BAD TRAP: type=e"),
            ("crash.txt", "segdev_free"),
        ],
        before: Some(("suite", "(sleep 1; illumos-panic) >/dev/null 2>&1 </dev/null &")),
        dump: true,
        disguised: true,
        command: "sleep 1000",
        ..PLAIN
    },
    Case {
        name: "wrong-checksum",
        what: "the image is not what its checksum says",
        kind: "other",
        says: "fetch it again",
        guest: "omnios",
        image: "wrong-sum",
        ..PLAIN
    },
    Case {
        name: "bad-image",
        what: "the image is cut off",
        kind: "other",
        says: "QEMU did not start",
        guest: "omnios",
        image: "cut-off",
        ..PLAIN
    },
    Case {
        name: "no-image",
        what: "there is no image of that name",
        kind: "other",
        says: "stand-in.raw",
        guest: "omnios",
        image: "nowhere",
        ..PLAIN
    },
    Case {
        name: "qemu-killed",
        what: "somebody kills QEMU under the tests",
        kind: "qemu-died",
        says: "signal: 9",
        before: Some(("suite", KILL_QEMU)),
        command: "sleep 1000",
        ..PLAIN
    },
    Case {
        name: "bad-argument",
        what: "QEMU does not start",
        kind: "other",
        says: "QEMU did not start",
        qemu: &["-device", "no-such-device"],
        ..PLAIN
    },
];

/// Ways to end a run of our own program while its guest boots.
const SIGNALS: [(&str, &str, Signal); 3] = [
    ("interrupted", "Ctrl-C while the guest boots", Signal::INT),
    ("terminated", "SIGTERM while the guest boots", Signal::TERM),
    ("killed", "SIGKILL while the guest boots: nothing can be tidied up any more", Signal::KILL),
];

/// A run that leaves its guest up.
const KEPT: (&str, &str) =
    ("kept", "a guest that is kept up is reached by the ssh command that was printed, until Ctrl-C");

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let wanted = |name: &str| args.case.as_deref().is_none_or(|part| name.contains(part));
    let mut names = CASES.iter().map(|case| case.name).chain(SIGNALS.map(|(name, ..)| name)).chain([KEPT.0]);
    if !names.any(wanted) {
        bail!("no case has {} in its name; --list shows them", args.case.as_deref().unwrap_or_default());
    }
    if args.list {
        for case in CASES.iter().filter(|case| wanted(case.name)) {
            println!("{:18} {}", case.name, case.what);
        }
        for (name, what, _) in SIGNALS.into_iter().filter(|(name, ..)| wanted(name)) {
            println!("{name:18} {what}");
        }
        if wanted(KEPT.0) {
            println!("{:18} {}", KEPT.0, KEPT.1);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut stand_in = StandIn::new()?;
    if CASES.iter().any(|case| case.disguised && wanted(case.name)) {
        // Built once, before the cases run side by side.
        stand_in.real = (
            Some(artifacts::module()?),
            None,
            Some(artifacts::build("usr-tests")?),
            Some(artifacts::build("ddi-host")?),
        );
    }
    let interrupt = Interrupt::catch()?;
    type Job<'a> = Box<dyn Fn() -> Result<String> + Send + Sync + 'a>;
    let (stand, stop) = (&stand_in, &interrupt);
    let cases = CASES.iter().map(|case| -> (&str, Job<'_>) {
        (case.name, Box::new(move || stand.check(case, args.accel, stop)))
    });
    let signals = SIGNALS.into_iter().map(|(name, _, signal)| -> (&str, Job<'_>) {
        (name, Box::new(move || stand.signalled(name, args.accel, signal)))
    });
    let kept: (&str, Job<'_>) = (KEPT.0, Box::new(|| stand.kept(args.accel)));
    let jobs: Vec<_> = cases.chain(signals).chain([kept]).filter(|(name, _)| wanted(name)).collect();
    let workers = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let (next, passed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..workers.clamp(1, jobs.len().max(1)) {
            scope.spawn(|| {
                while let Some((name, job)) = jobs.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if interrupt.came() {
                        return;
                    }
                    let started = Instant::now();
                    let outcome = job();
                    let seconds = started.elapsed().as_secs_f32();
                    match outcome {
                        Ok(said) => {
                            passed.fetch_add(1, Ordering::SeqCst);
                            println!("ok    {name:18} {seconds:5.1} s  {said}");
                        }
                        Err(error) => println!("FAIL  {name:18} {seconds:5.1} s  {error:#}"),
                    }
                }
            });
        }
    });
    if interrupt.came() {
        bail!("interrupted");
    }
    let (passed, all) = (passed.into_inner(), jobs.len());
    println!("{passed} of {all} failures were noticed as they should be");
    drop(jobs);
    stand_in.end()?;
    Ok(if passed == all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Files of a driver that installs and tests nothing: here the harness is tested, not the driver.
struct StandIn {
    places: Places,
    dir: tempfile::TempDir,
    /// Module, package, test program and ddi-host that are no stand-ins.
    real: (Option<PathBuf>, Option<PathBuf>, Option<PathBuf>, Option<PathBuf>),
}

impl StandIn {
    fn new() -> Result<StandIn> {
        let places = artifacts::places();
        let dir = places.scratch()?;
        let package = dir.path().join("pkg");
        std::fs::create_dir(&package)?;
        std::fs::write(package.join("install.sh"), "true\n")?;
        std::fs::write(package.join("remove.sh"), "true\n")?;
        std::fs::write(package.join("ctxdev.conf"), "one-region=1;\n")?;
        std::fs::write(dir.path().join("module"), vec![0x55; 1 << 20])?;
        std::fs::write(
            dir.path().join("tests"),
            "#!/bin/sh\nprintf 'TAP version 14\\n1..1\\nok 1 - a:b\\n'\n",
        )?;
        let image = dir.path().join("stand-in.raw");
        std::fs::write(&image, prompting_disk())?;
        std::fs::write(
            dir.path().join("SHA256SUMS"),
            format!("{}  stand-in.raw\n", ddi_vm::image::sha256(&image)?),
        )?;
        std::fs::write(dir.path().join("wrong-sum.raw"), "not what it was")?;
        std::fs::write(dir.path().join("wrong-sum.raw.sha256"), "0".repeat(64))?;
        std::fs::write(dir.path().join("cut-off.qcow2"), b"QFI\xfb\0\0\0\x03 and no more")?;
        let mut mode = std::fs::metadata(dir.path().join("tests"))?.permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
        std::fs::set_permissions(dir.path().join("tests"), mode)?;
        Ok(StandIn { places, dir, real: (None, None, None, None) })
    }

    /// The arguments of a run whose results go to a directory of their own.
    fn arguments(
        &self,
        name: &str,
        guest: &str,
        image: &str,
        accel: Option<Accel>,
        dump: bool,
    ) -> test::Args {
        let file = |name: &str| Some(self.dir.path().join(name));
        test::Args {
            options: Options {
                guest: guest.into(),
                image: (guest != "linux").then(|| image.into()),
                image_dir: Some(self.dir.path().to_path_buf()),
                dump,
                accel,
                results: file(&format!("results-{name}")),
                ..Options::default()
            },
            module: file("module"),
            package: file("pkg"),
            tests: file("tests"),
            // Any program of this machine does: nothing calls it.
            ddi_host: Some("/bin/true".into()),
            description: None,
        }
    }

    /// All runs have ended: no process of ours is left, and in the directory of runs in progress there is none but this one's.
    fn end(self) -> Result<()> {
        let children = std::fs::read_dir("/proc/self/task")?.flatten().map(|task| {
            std::fs::read_to_string(task.path().join("children")).unwrap_or_default().trim().to_owned()
        });
        let children: Vec<String> = children.filter(|children| !children.is_empty()).collect();
        if !children.is_empty() {
            bail!("processes are left: {}", children.join(" "));
        }
        let own = format!("run-{}-", std::process::id());
        let tmp = self.dir.path().parent().context("no parent")?;
        let names =
            std::fs::read_dir(tmp)?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let left: Vec<String> =
            names.filter(|name| name.starts_with(&own) && !self.dir.path().ends_with(name)).collect();
        if !left.is_empty() {
            bail!("directories are left in {}: {}", tmp.display(), left.join(" "));
        }
        self.dir.close().context("removing the stand-in's files")
    }

    fn check(&self, case: &Case, accel: Option<Accel>, interrupt: &Interrupt) -> Result<String> {
        let mut guest = Guest::load(case.guest)?;
        let mut arguments = self.arguments(case.name, case.guest, case.image, accel, case.dump);
        let mut description = stand_in();
        if case.disguised {
            let linux = Guest::load("linux")?;
            (guest.boot, guest.linux) = (linux.boot, linux.linux);
            guest.machine.memory_mib = linux.machine.memory_mib;
            description = arguments.described()?;
            (arguments.module, arguments.package, arguments.tests, arguments.ddi_host) = self.real.clone();
            arguments.options.image = None;
            arguments.options.filter = vec!["map:*".into()];
        } else {
            guest.steps.kstats = "true".into();
        }
        (case.tune)(&mut guest);
        if !case.command.is_empty() {
            let run = Run { name: "/dev/ctxdev0".into(), command: case.command.into(), ..Run::default() };
            description.runs = vec![run];
            arguments.options.filter.clear();
        }
        let disguise = if case.disguised { "ddi.as=omnios" } else { "" };
        let sabotage = Sabotage {
            command_line: format!("{} {disguise}", case.command_line),
            qemu: case.qemu.iter().map(|argument| (*argument).to_owned()).collect(),
            before: case.before.map(|(step, command)| (step, command.to_owned())),
        };
        let dir = self.dir.path().join(format!("results-{}", case.name));
        let (kind, said) =
            match test::carry_out(&arguments, guest, description, interrupt.clone(), sabotage, true) {
                // Nothing was started: it is our side's.
                Err(error) => ("other", format!("{error:#}")),
                Ok(outcome) => match &outcome.failure {
                    Some(failure) => (failure.kind(), failure.to_string()),
                    None if outcome.status() != 0 => ("none", "failing tests".into()),
                    None => {
                        let cases = outcome.report.suites.iter().map(|suite| suite.cases.len());
                        ("none", format!("{} cases", cases.sum::<usize>()))
                    }
                },
            };
        if kind != case.kind || !said.contains(case.says) {
            let kept = self.places.runs.join(format!("selftest-{}", case.name));
            let _ = std::fs::remove_dir_all(&kept);
            std::fs::create_dir_all(&kept)?;
            for entry in std::fs::read_dir(&dir)?.flatten() {
                std::fs::copy(entry.path(), kept.join(entry.file_name()))?;
            }
            bail!("expected {} ({}), got {kind}: {said}; see {}", case.kind, case.says, kept.display());
        }
        for (file, text) in case.collects {
            let found = std::fs::read(dir.join(file)).with_context(|| format!("{file} was not collected"))?;
            if found.is_empty() || !String::from_utf8_lossy(&found[..found.len().min(1 << 20)]).contains(text)
            {
                bail!("{file} was collected without {text:?}");
            }
        }
        nothing_left(&dir)?;
        Ok(said)
    }

    /// Starts a run of our own program, with its standard error where `stderr` says; where its results go.
    fn start(
        &self,
        name: &str,
        guest: &str,
        accel: Option<Accel>,
        keep: bool,
        stderr: Stdio,
    ) -> Result<(Guarded, PathBuf)> {
        let arguments = self.arguments(name, "linux", "", accel, false);
        let description = self.dir.path().join("description.toml");
        std::fs::write(&description, STAND_IN)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["vm", "test", "--guest", guest]);
        for (option, path) in [
            ("--module", &arguments.module),
            ("--package", &arguments.package),
            ("--tests", &arguments.tests),
            ("--ddi-host", &arguments.ddi_host),
            ("--results", &arguments.options.results),
            ("--description", &Some(description)),
        ] {
            command.arg(option).arg(path.as_deref().unwrap_or(Path::new("")));
        }
        if let Some(accel) = accel {
            command.args(["--accel", accel.argument()]);
        }
        if keep {
            command.arg("--keep");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        Ok((Guarded::spawn(&mut command)?, self.dir.path().join(format!("results-{name}"))))
    }

    /// A run of our own program gets `signal` while its guest boots.
    fn signalled(&self, name: &str, accel: Option<Accel>, signal: Signal) -> Result<String> {
        let (mut run, results_dir) = self.start(name, "linux", accel, false, Stdio::null())?;
        let deadline = Instant::now() + Duration::from_secs(60);
        let log = || std::fs::read_to_string(results_dir.join("run.log")).unwrap_or_default();
        while !log().contains("step=\"boot\"") {
            if Instant::now() > deadline || run.ended().is_some() {
                bail!("the run did not come to its boot");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        kill_process(Pid::from_child(&run.child), signal)?;
        let Some(status) = run.wait_until(Instant::now() + Duration::from_secs(15)) else {
            bail!("the run did not end within 15 s of the signal");
        };
        if signal != Signal::KILL && status.code() != Some(130) {
            bail!("the run ended with {status}, not with 130");
        }
        nothing_left(&results_dir)?;
        if signal == Signal::KILL {
            // Its directory is removed by the next run.
            drop(self.places.scratch()?);
        }
        self.no_directory_of(&run)?;
        Ok(status.to_string())
    }

    /// A run with `--keep`: what it prints gets into the guest, as often as one likes, until Ctrl-C takes the guest down.
    fn kept(&self, accel: Option<Accel>) -> Result<String> {
        let file = self.dir.path().join("kept.toml");
        std::fs::write(&file, stand_in_guest()?)?;
        let guest = file.to_str().context("the description's name is not UTF-8")?;
        let (mut run, results_dir) = self.start("kept", guest, accel, true, Stdio::piped())?;
        let mut told = BufReader::new(run.child.stderr.take().context("no standard error")?);
        let mut said = String::new();
        let mut by_hand = None;
        // The run has limits of its own, so its lines come to an end.
        for line in told.by_ref().lines() {
            let line = line?;
            by_hand = line.split_once("ssh -F").map(|(_, rest)| format!("ssh -F{rest}"));
            if by_hand.is_some() {
                break;
            }
            said.push_str(&line);
            said.push('\n');
        }
        let Some(by_hand) = by_hand else { bail!("no ssh command was printed: {said}") };
        for _ in 0..2 {
            let shell = Command::new("sh").arg("-c").arg(format!("{by_hand} cat /proc/version")).output()?;
            let answer = String::from_utf8_lossy(&shell.stdout).into_owned();
            if !shell.status.success() || !answer.starts_with("Linux version") {
                let error = String::from_utf8_lossy(&shell.stderr);
                bail!("{by_hand}: {}: {answer}{}", shell.status, error.trim());
            }
            if run.ended().is_some() {
                bail!("the run has ended by itself");
            }
        }
        kill_process(Pid::from_child(&run.child), Signal::INT)?;
        let Some(status) = run.wait_until(Instant::now() + Duration::from_secs(30)) else {
            bail!("the run did not end within 30 s of Ctrl-C");
        };
        if !status.success() {
            bail!("the run ended with {status}, although all was well");
        }
        nothing_left(&results_dir)?;
        self.no_directory_of(&run)?;
        Ok(by_hand.split(" -o").next().unwrap_or_default().to_owned())
    }

    /// The run's own directory, with the overlay and its key, is gone.
    fn no_directory_of(&self, run: &Guarded) -> Result<()> {
        let scratch = format!("run-{}-", run.child.id());
        let tmp = self.dir.path().parent().context("no parent")?;
        let mut entries = std::fs::read_dir(tmp)?.flatten();
        if entries.any(|entry| entry.file_name().to_string_lossy().starts_with(&scratch)) {
            bail!("the run left its directory behind");
        }
        Ok(())
    }
}

/// Treatment of the stand-ins, as a manifest has it.
const STAND_IN: &str =
    "[package.metadata.vm]\n[[package.metadata.vm.runs]]\nname = \"/dev/ctxdev0\"\ncommand = \"tests\"\n";

fn stand_in() -> Description {
    Description::default().with_run(&["tests".to_owned()])
}

/// The Linux guest's description, without what the stand-in for ddi-host cannot do.
fn stand_in_guest() -> Result<String> {
    let mut guest: toml::Table = Guest::text("linux").context("the guest linux")?.parse()?;
    let steps = guest.get_mut("steps").and_then(toml::Value::as_table_mut).context("no steps")?;
    steps.insert("kstats".into(), "true".into());
    Ok(guest.to_string())
}

/// A disk that boots to nothing but a login prompt on the serial port, printed again for every character that is typed.
fn prompting_disk() -> Vec<u8> {
    #[rustfmt::skip]
    let mut sector = vec![
        0xfa,                           // cli
        0x31, 0xc0, 0x8e, 0xd8,         // ds = 0
        0xbe, 0x2d, 0x7c,               // again: si = the text
        0xac, 0x84, 0xc0, 0x74, 0x12,   // next: al = *si++; if it is 0, goto input
        0x88, 0xc3,                     // bl = al
        0xba, 0xfd, 0x03,               // the line status register
        0xec, 0xa8, 0x20, 0x74, 0xfb,   // until it can transmit
        0xba, 0xf8, 0x03, 0x88, 0xd8,   // the data register
        0xee, 0xeb, 0xe9,               // transmit; goto next
        0xba, 0xfd, 0x03,               // input: the line status register
        0xec, 0xa8, 0x01, 0x74, 0xfb,   // until there is input
        0xba, 0xf8, 0x03, 0xec,         // take it
        0xeb, 0xd8,                     // goto again
    ];
    assert_eq!(sector.len(), 0x2d);
    sector.extend(b"\r\nstand-in\r\n\r\nddi-omnios console login: \0");
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    sector.resize(1 << 20, 0);
    sector
}

/// The run's QEMU is gone, and so is its directory with the overlay.
fn nothing_left(results: &Path) -> Result<()> {
    let log = std::fs::read_to_string(results.join("run.log"))?;
    let pid = log
        .lines()
        .find_map(|line| line.split_once("started pid=")?.1.split_whitespace().next()?.parse::<u32>().ok());
    // A run that was killed has its QEMU ended by the kernel, a moment later.
    let deadline = Instant::now() + Duration::from_secs(5);
    while let Some(pid) = pid.filter(|pid| Path::new("/proc").join(pid.to_string()).exists()) {
        if Instant::now() > deadline {
            bail!("QEMU (process {pid}) is still there");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
