//! Damaged module files through `modinfo`, `run` and `check-module`: whatever a file holds, each of them ends by itself, soon, with an exit status and what it
//! has to say; and what check-module calls good the loader loads.
//!
//! 100 mutants of three modules. More, from another seed:
//!
//!     DDI_MUTANTS=1000 DDI_MUTANTS_SEED=7 cargo test --release -p ddi-host --test mutants -- --nocapture
//!
//! The mutant that a failure names is kept in the directory that is named with it.

#[path = "../modules_c/run.rs"]
#[expect(dead_code, reason = "the clients' halves are those of the other test")]
mod run;

mod mutate;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mutate::{mutant, random};

/// Nothing takes longer.
const LIMIT: Duration = Duration::from_secs(20);

/// What damage is done to.
struct Base {
    name: String,
    bytes: Vec<u8>,
}

/// What a command said and how it ended.
struct Ended {
    command: &'static str,
    out: Output,
    took: Duration,
}

impl Ended {
    fn text(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.out.stdout), String::from_utf8_lossy(&self.out.stderr))
    }

    /// What is wrong with the way in which it ended.
    fn complaint(&self) -> Option<String> {
        let text = self.text();
        let why = if let Some(signal) = self.out.status.signal() {
            format!("was ended by signal {signal}")
        } else if self.out.status.code().is_none_or(|code| code > 2) {
            format!("ended with {:?}", self.out.status)
        } else if text.contains("panicked at") {
            "panicked".to_owned()
        } else if self.took > LIMIT {
            format!("took {:?}", self.took)
        } else if self.out.status.code() != Some(0) && text.trim().is_empty() {
            "failed without a word".to_owned()
        } else {
            return None;
        };
        Some(format!("{} {why}:\n{text}", self.command))
    }
}

struct Tools {
    host: PathBuf,
    xtask: PathBuf,
}

impl Tools {
    fn command(&self, command: &'static str, file: &Path) -> Ended {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let mut words = match command {
            "check-module" => Command::new(&self.xtask),
            _ => Command::new(&self.host),
        };
        match command {
            "run" => words.args(["run", "--driver"]).arg(file).args(["--", "sh", "-c"]).arg(format!(
                "ls -l /dev/{name}0; timeout -k 1 2 head -c 16 /dev/{name}0; \
                 timeout -k 1 2 dd if=/dev/zero of=/dev/{name}0 bs=16 count=1 conv=nocreat,notrunc; true"
            )),
            _ => words.arg(command).arg(file),
        };
        // A mistake of the driver's that never ends is to be found soon.
        for (limit, seconds) in [("DDI_HOST_SPIN_LIMIT", "0.5"), ("DDI_HOST_WAIT_LIMIT", "0.5")] {
            if std::env::var_os(limit).is_none() {
                words.env(limit, seconds);
            }
        }
        let begin = Instant::now();
        // A wait that has no end is to be a failure of the test, not its end.
        let out = with_timeout(words);
        Ended { command, out, took: begin.elapsed() }
    }
}

/// Runs a command; after a minute it is killed.
fn with_timeout(command: Command) -> Output {
    let mut limited = Command::new("timeout");
    limited.args(["-s", "KILL", "60"]).arg(command.get_program()).args(command.get_args());
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.output().unwrap()
}

/// The modules: two of the fixtures and ctxdev's, or (where that cannot be built) a third fixture.
fn bases(xtask: &Path) -> Vec<Base> {
    let read = |file: &Path| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        Base { name, bytes: std::fs::read(file).unwrap() }
    };
    let dir = tempfile::tempdir().unwrap();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let module = dir.path().join("ctxdev");
    let built = Command::new(xtask)
        .args(["module", "--output"])
        .arg(&module)
        .current_dir(workspace)
        .output()
        .unwrap();
    let mut bases = vec![read(&run::compile("maps")), read(&run::compile("soft"))];
    if built.status.success() && module.is_file() {
        bases.push(read(&module));
    } else {
        println!("without ctxdev's module: {}", String::from_utf8_lossy(&built.stderr).trim());
        bases.push(read(&run::compile("turns")));
    }
    bases
}

/// Runs one mutant through everything. What was wrong with that.
fn try_one(
    tools: &Tools,
    base: &Base,
    number: usize,
    seed: u64,
    dir: &Path,
) -> Result<([i32; 3], Duration), String> {
    let (bytes, what) = mutant(&base.bytes, &mut random(seed, number));
    let dir = dir.join(number.to_string());
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join(&base.name);
    std::fs::write(&file, bytes).unwrap();
    let ended = ["modinfo", "run", "check-module"].map(|command| tools.command(command, &file));
    let mut complaints: Vec<String> = ended.iter().filter_map(Ended::complaint).collect();
    if ended[2].out.status.success() && ended[0].text().contains("cannot load module") {
        complaints.push(format!(
            "check-module calls good what is not loaded:\n{}\n{}",
            ended[0].text(),
            ended[2].text()
        ));
    }
    if complaints.is_empty() {
        std::fs::remove_dir_all(&dir).unwrap();
        let longest = ended.iter().map(|ended| ended.took).max().unwrap_or_default();
        return Ok((ended.map(|ended| ended.out.status.code().unwrap_or(-1)), longest));
    }
    Err(format!("mutant {number} of {} ({what}), {}:\n{}", base.name, file.display(), complaints.join("\n")))
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"))
}

fn main() -> ExitCode {
    if !run::have_compiler() {
        println!("ignored: there is no gcc to compile the fixtures with (apt-get install gcc)");
        return ExitCode::SUCCESS;
    }
    if std::env::args().any(|word| word == "--list") {
        return ExitCode::SUCCESS;
    }
    let (count, seed) = (number("DDI_MUTANTS", 100), number("DDI_MUTANTS_SEED", 1));
    let first = number("DDI_MUTANTS_FIRST", 0);
    let xtask = run::xtask();
    let bases = bases(&xtask);
    let tools = Tools { host: env!("CARGO_BIN_EXE_ddi-host").into(), xtask };
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants");
    let _ = std::fs::remove_dir_all(&dir);
    let (next, failures) = (AtomicUsize::new(first), Mutex::new(Vec::new()));
    let statuses = Mutex::new(BTreeMap::new());
    let work = || loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= first + count {
            return;
        }
        match try_one(&tools, &bases[number % bases.len()], number, seed as u64, &dir) {
            Ok((ended, took)) => {
                let mut statuses = statuses.lock().unwrap();
                let entry = statuses.entry(ended).or_insert((0, Duration::ZERO));
                *entry = (entry.0 + 1, entry.1.max(took));
            }
            Err(why) => {
                eprintln!("{why}");
                failures.lock().unwrap().push(number);
            }
        }
    };
    std::thread::scope(|all| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            all.spawn(work);
        }
    });
    let names: Vec<&str> = bases.iter().map(|base| base.name.as_str()).collect();
    println!("{count} mutants of {} from seed {seed}", names.join(", "));
    for ([modinfo, run, check], (times, took)) in statuses.into_inner().unwrap() {
        println!(
            "  {times:4} times: modinfo {modinfo}, run {run}, check-module {check}; {:.1} s at most",
            took.as_secs_f64()
        );
    }
    let failures = failures.into_inner().unwrap();
    if failures.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("FAILED: {} of {count}: {failures:?}", failures.len());
    ExitCode::FAILURE
}
