//! When a run ends, however it does, nothing that it has started goes on: `ddi-host run` and what its programs leave behind.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};

mod signals;

use signals::with_signals;

/// What programs leave behind, as shell scripts. `$LEFT` is what lives on: a command whose words nobody else has.
const LEAVES: &[(&str, &str)] = &[
    ("in_the_background", "$LEFT &"),
    ("a_grandchild", "sh -c \"$LEFT & exit\""),
    ("a_session_of_its_own", "setsid $LEFT &"),
    ("a_daemon", "setsid sh -c \"setsid $LEFT &\" &"),
    ("stopped", "$LEFT & sleep 0.2; kill -STOP $!"),
    ("deaf_to_signals", "(trap '' TERM HUP INT QUIT; $LEFT &)"),
    ("without_an_environment", "env -i setsid $LEFT &"),
    ("statically_linked", "setsid $STATIC $LEFT &"),
    ("a_family_that_adopts_its_own", "$STATIC family $LEFT & sh -c \"$STATIC family $LEFT &\""),
    ("using_the_device", "setsid sh -c \"exec 3</dev/ctxdev0; $LEFT\" &"),
];

/// Compiles the program that is statically linked; `None` without a compiler.
fn lingers() -> Option<PathBuf> {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("lingers");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ends/lingers.c");
    let flags = ["-static", "-nostdlib", "-O1", "-ffreestanding", "-fno-pie", "-no-pie", "-o"];
    let built = Command::new("gcc").args(flags).arg(&out).arg(source).status();
    built.is_ok_and(|status| status.success()).then_some(out)
}

/// A run that leaves something behind.
struct Run {
    /// Words of the command that lives on.
    mark: String,
    host: Child,
}

impl Run {
    /// Starts a program that leaves something and then does what `then` says; returns when all of it is there.
    fn start(leaves: &str, then: &str) -> Run {
        Run::start_with(&[], leaves, then)
    }

    /// The same with options of `ddi-host run`.
    fn start_with(options: &[&str], leaves: &str, then: &str) -> Run {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let mark = format!("98765.{}{:03}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
        let script = format!("{leaves}\nsleep 0.2; echo ready; {then}");
        let mut host = Command::new(env!("CARGO_BIN_EXE_ddi-host"));
        host.arg("run").args(options).args(["--", "sh", "-c", &script]);
        host.env("LEFT", format!("sleep {mark}"));
        host.env("STATIC", PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("lingers"));
        std::os::unix::process::CommandExt::process_group(&mut host, 0);
        let host = with_signals(&mut host);
        let mut host = host.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("ddi-host starts");
        let mut word = [0; 6];
        let mut out = host.stdout.take().expect("its output");
        std::io::Read::read_exact(&mut out, &mut word).expect("the program says that it is ready");
        let run = Run { mark, host };
        assert!(!run.left().is_empty(), "there is nothing that could be left");
        run
    }

    /// Processes that live on: those with the mark among their words.
    fn left(&self) -> Vec<i32> {
        let all = fs::read_dir("/proc").expect("/proc").flatten();
        let all = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let ours = |pid: &i32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).into_owned();
            // The script itself has the mark in its environment only.
            words.contains(&self.mark) && *pid != std::process::id().cast_signed()
        };
        all.filter(ours).collect()
    }

    /// The supervisor of its program.
    fn supervisor(&self) -> i32 {
        let pid = self.host.id();
        let of_thread = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).ok();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the host runs").flatten();
        let children: String = tasks.filter_map(of_thread).collect();
        children.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("a supervisor")
    }

    /// Waits for the end of the host, and looks whether something is left, for some time at most.
    fn ends(mut self, patience: Duration) -> Option<i32> {
        let status = self.host.wait().expect("the host's end");
        let end = Instant::now() + patience;
        while !self.left().is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(self.left(), [0; 0], "left after the end");
        status.code()
    }
}

fn kill(pid: i32, signal: i32) {
    // SAFETY: no memory is involved. The process was started by this test.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

/// The program ends: what it leaves is gone when the host is.
fn by_itself(leaves: &str) {
    assert_eq!(Run::start(leaves, "exit 7").ends(Duration::ZERO), Some(7));
}

/// The host is killed.
fn host_killed(leaves: &str) {
    let run = Run::start(leaves, "sleep 60");
    kill(run.host.id().cast_signed(), libc::SIGKILL);
    assert_eq!(run.ends(Duration::from_secs(10)), None);
}

/// A terminal interrupts what runs in the foreground.
fn interrupted(leaves: &str) {
    let run = Run::start(leaves, "exec sleep 60");
    kill(-run.host.id().cast_signed(), libc::SIGINT);
    assert_eq!(run.ends(Duration::ZERO), Some(128 + libc::SIGINT));
}

/// The host is told to end, and tells its program.
fn terminated(leaves: &str) {
    let run = Run::start(leaves, "exec sleep 60");
    kill(run.host.id().cast_signed(), libc::SIGTERM);
    assert_eq!(run.ends(Duration::ZERO), Some(128 + libc::SIGTERM));
}

/// A program has ended, and what it has left has time to: a signal ends it at once.
fn a_signal_while_what_is_left_has_time() {
    let mut run = Run::start("trap '' INT; $LEFT &", "exit 3");
    std::thread::sleep(Duration::from_millis(300));
    let begin = Instant::now();
    assert!(run.host.try_wait().expect("its status").is_none());
    kill(-run.host.id().cast_signed(), libc::SIGINT);
    assert_eq!(run.ends(Duration::ZERO), Some(3));
    assert!(begin.elapsed() < Duration::from_secs(1), "after {:?}", begin.elapsed());
}

/// The demonstration and the benchmark are killed in the middle of their work.
fn demo_and_bench() {
    for command in ["demo", "bench"] {
        let mark = format!("ENDS_MARK={}.{command}", std::process::id());
        let mut host = Command::new(env!("CARGO_BIN_EXE_ddi-host"));
        let (name, value) = mark.split_once('=').expect("a variable");
        host.arg(command).env(name, value).stdout(Stdio::null()).stderr(Stdio::null());
        let mut host = host.spawn().expect("ddi-host starts");
        let left = || {
            let all = fs::read_dir("/proc").expect("/proc").flatten();
            let environ = |process: fs::DirEntry| fs::read(process.path().join("environ")).ok();
            let ours = |bytes: &Vec<u8>| bytes.split(|b| *b == 0).any(|word| word == mark.as_bytes());
            all.filter_map(environ).filter(ours).count()
        };
        let end = Instant::now() + Duration::from_secs(20);
        while left() < 3 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        host.kill().expect("it runs");
        host.wait().expect("its end");
        let end = Instant::now() + Duration::from_secs(10);
        while left() > 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(left(), 0, "left of {command}");
    }
}

/// What a supervisor needs and is not there is said in one sentence, and nothing is run.
fn without_what_it_takes() {
    let refused = |command: &mut Command, why: &str| {
        let out = command.output().expect("a process");
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!((out.status.code(), said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.starts_with(&format!("ddi-host: {why}")), "{said}");
        assert!(out.stdout.is_empty(), "the program ran");
    };
    let mut host = Command::new(env!("CARGO_BIN_EXE_ddi-host"));
    host.args(["run", "--", "echo", "x"]);
    // SAFETY: the closure makes system calls only.
    unsafe { std::os::unix::process::CommandExt::pre_exec(&mut host, no_adoption) };
    refused(&mut host, "cannot adopt what programs leave behind, by prctl(PR_SET_CHILD_SUBREAPER): ");
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_ddi-host")]);
        command
    };
    // Not everybody may have a name space.
    if unshare("umount -l /proc").output().is_ok_and(|out| out.status.success()) {
        let script = "umount -l /proc && exec \"$0\" run -- echo x";
        refused(&mut unshare(script), "/proc is not that of this pid name space: mount it");
    }
}

/// From now on, prctl(PR_SET_CHILD_SUBREAPER) fails with EINVAL in this process.
fn no_adoption() -> std::io::Result<()> {
    let statement = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let (refuse, allow) = (libc::SECCOMP_RET_ERRNO | libc::EINVAL as u32, libc::SECCOMP_RET_ALLOW);
    let mut filter = [
        // The number of the system call, then its first argument.
        statement(load, 0, 0, 0),
        statement(equal, 0, 3, libc::SYS_prctl as u32),
        statement(load, 0, 0, 16),
        statement(equal, 0, 1, libc::PR_SET_CHILD_SUBREAPER as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, refuse),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, allow),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: no memory is involved.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: a program of so many instructions.
    match unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// The supervisor is killed.
fn supervisor_killed(leaves: &str) {
    let run = Run::start(leaves, "sleep 60");
    kill(run.supervisor(), libc::SIGKILL);
    assert_eq!(run.ends(Duration::ZERO), Some(128 + libc::SIGKILL));
}

/// Signals to the host's group and by the host's name do not meet the supervisor; the program is in the host's group, as before.
fn supervisor_is_apart() {
    let run = Run::start("$LEFT &", "sleep 60");
    let (host, supervisor) = (run.host.id().cast_signed(), run.supervisor());
    let read = |what: &str| fs::read_to_string(format!("/proc/{supervisor}/{what}")).unwrap_or_default();
    assert_eq!(read("comm").trim(), "ddi-supervisor");
    assert_eq!(read("cmdline").trim_end_matches('\0'), "ddi-supervisor");
    // SAFETY: no memory is involved, here and below.
    let group = |pid: i32| unsafe { libc::getpgid(pid) };
    assert_ne!(group(supervisor), group(host));
    assert!(run.left().iter().all(|pid| group(*pid) == group(host)));
    kill(host, libc::SIGKILL);
    run.ends(Duration::from_secs(10));
}

/// A program under a machine that stays up ends, and the command that runs it is killed.
fn under_a_machine_that_stays_up() {
    let root = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(root.path().join("kernel/drv")).expect("a system");
    let dir = root.path().to_str().expect("a plain name");
    let serve = Command::new(env!("CARGO_BIN_EXE_ddi-host")).args(["serve", "--root", dir]).spawn();
    let mut serve = serve.expect("ddi-host serve");
    let answers = || {
        let asked = Command::new(env!("CARGO_BIN_EXE_ddi-host")).args(["modinfo", "--root", dir]).output();
        asked.is_ok_and(|out| out.status.success())
    };
    let end = Instant::now() + Duration::from_secs(20);
    while !answers() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    let options = ["--root", dir];
    let daemon = "setsid sh -c \"setsid $LEFT &\" &";
    assert_eq!(Run::start_with(&options, daemon, "exit 7").ends(Duration::ZERO), Some(7));
    let run = Run::start_with(&options, daemon, "sleep 60");
    kill(run.host.id().cast_signed(), libc::SIGKILL);
    assert_eq!(run.ends(Duration::from_secs(10)), None);
    kill(serve.id().cast_signed(), libc::SIGTERM);
    assert_eq!(serve.wait().expect("its end").code(), Some(0));
}

/// A program that cannot be executed is an error, and no process stays.
fn nothing_to_execute() {
    let broken = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("broken");
    let mut elf = fs::read("/proc/self/exe").expect("this program");
    // An interpreter that there is not.
    let at = elf.windows(8).position(|w| w == b"/lib64/l").expect("an interpreter");
    elf[at + 1] = b'X';
    let written = broken.with_extension("new");
    fs::write(&written, elf).expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&written, mode).expect("its mode");
    // A child of another test's may have this process's descriptor for a moment, and what is being written cannot be executed: the copy is of another process.
    let copied = Command::new("cp").args(["-f", "-p"]).args([&written, &broken]).status();
    assert!(copied.expect("cp").success());
    let out = Command::new(env!("CARGO_BIN_EXE_ddi-host")).args(["run", "--"]).arg(&broken).output();
    let out = out.expect("ddi-host starts");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("broken: No such file"), "{said}");
}

/// A way in which a run ends, for one that leaves this behind.
type Way = fn(&str);

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They wait more than they compute.
    arguments.test_threads.get_or_insert(12);
    let missing = lingers().is_none();
    if missing && !arguments.list {
        println!("ignored: there is no gcc to compile what is statically linked (apt-get install gcc)");
    }
    let mut trials = vec![
        Trial::test("supervisor_is_apart", || {
            supervisor_is_apart();
            Ok(())
        }),
        Trial::test("under_a_machine_that_stays_up", || {
            under_a_machine_that_stays_up();
            Ok(())
        }),
        Trial::test("nothing_to_execute", || {
            nothing_to_execute();
            Ok(())
        }),
        Trial::test("a_signal_while_what_is_left_has_time", || {
            a_signal_while_what_is_left_has_time();
            Ok(())
        }),
        Trial::test("demo_and_bench", || {
            demo_and_bench();
            Ok(())
        }),
        Trial::test("without_what_it_takes", || {
            without_what_it_takes();
            Ok(())
        }),
    ];
    let ways: [(&str, Way); 5] = [
        ("by_itself", by_itself),
        ("interrupted", interrupted),
        ("terminated", terminated),
        ("host_killed", host_killed),
        ("supervisor_killed", supervisor_killed),
    ];
    for (what, leaves) in LEAVES {
        for (way, test) in ways {
            let trial = Trial::test(format!("{way}::{what}"), move || {
                test(leaves);
                Ok(())
            });
            trials.push(trial.with_ignored_flag(missing && leaves.contains("$STATIC")));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
