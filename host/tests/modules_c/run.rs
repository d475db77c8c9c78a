//! Compiling fixtures and running the client's half of a test under `ddi-host`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

/// What illumos's own build passes to gcc for amd64 kernel code, as far as it matters.
const FLAGS: &[&str] = &[
    "-c",
    "-O2",
    "-std=gnu99",
    "-nostdinc",
    "-D_KERNEL",
    "-D_ELF64",
    "-D__sun",
    "-D__SVR4",
    "-D__amd64",
    "-ffreestanding",
    "-mcmodel=kernel",
    "-mno-red-zone",
    "-mgeneral-regs-only",
    "-fno-pic",
    "-fno-pie",
    "-fno-common",
    "-fno-stack-protector",
    "-fno-optimize-sibling-calls",
    "-fno-asynchronous-unwind-tables",
    "-fno-omit-frame-pointer",
    "-fcf-protection=none",
    "-Wall",
    "-Wextra",
    "-Werror",
];

/// The fixtures that this process has compiled.
static COMPILED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn source_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// What a client's half says when it has come to its end.
pub const PASSED: &str = "the client's half passed";

/// Is there a compiler for the fixtures?
pub fn have_compiler() -> bool {
    Command::new("gcc").arg("--version").output().is_ok_and(|out| out.status.success())
}

/// Compiles a fixture, the first time. Returns the module.
pub fn compile(name: &str) -> PathBuf {
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fixtures");
    let module = dir.join(name);
    if compiled.contains(name) {
        return module;
    }
    std::fs::create_dir_all(&dir).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ddi-sys/include");
    let out = Command::new("gcc")
        .args(FLAGS)
        .arg("-I")
        .arg(include)
        .arg(source_dir().join(format!("{name}.c")))
        .arg("-o")
        .arg(&module)
        .output()
        .unwrap();
    assert!(out.status.success(), "gcc {name}.c:\n{}", String::from_utf8_lossy(&out.stderr));
    compiled.insert(name.to_owned());
    module
}

/// Builds `cargo xtask`'s program in the profile of this test. Its path.
///
/// With the features of the whole workspace, as when all tests are built: nothing is compiled twice.
pub fn xtask() -> PathBuf {
    let profile = Path::new(env!("CARGO_BIN_EXE_ddi-host")).parent().unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--workspace", "--examples", "--bin", "xtask", "--target-dir"]);
    build.arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success(), "cargo build --bin xtask");
    profile.join("xtask")
}

/// Compiles fixtures with further flags and links them into one module, with ld -r. What gcc and ld said when they cannot.
pub fn link(dir: &Path, module: &str, sources: &[&str], flags: &[&str]) -> Result<PathBuf, String> {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ddi-sys/include");
    let tell = |out: Output| match out.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
    };
    let mut objects = Vec::new();
    for source in sources {
        let object = dir.join(format!("{source}.o"));
        let mut gcc = Command::new("gcc");
        gcc.args(FLAGS).args(flags).arg("-I").arg(&include);
        gcc.arg(source_dir().join(format!("{source}.c"))).arg("-o").arg(&object);
        tell(gcc.output().unwrap())?;
        objects.push(object);
    }
    let module = dir.join(module);
    tell(Command::new("ld").args(["-r", "-o"]).arg(&module).args(&objects).output().unwrap())?;
    Ok(module)
}

/// Makes a command of one line.
pub fn script(path: &Path, line: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{line}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// What a run said and how it ended.
pub struct Ran {
    /// Exit status.
    pub status: i32,
    /// Standard output and error of host and client.
    pub text: String,
}

/// Runs the client's half `client` (`half!(client_of_x)`) with a fixture and its configuration file.
pub fn run(fixture: &str, conf: &str, client: &str) -> Ran {
    run_with(fixture, conf, client, &[])
}

/// The same with environment variables for the client.
pub fn run_with(fixture: &str, conf: &str, client: &str, env: &[(&str, String)]) -> Ran {
    start(fixture, conf, "", client, env)
}

/// Runs the client's half with one pseudo instance, options of `ddi-host run` and environment variables.
pub fn run_with_options(fixture: &str, client: &str, options: &[&str], env: &[(&str, String)]) -> Ran {
    let conf = format!("name=\"{fixture}\" parent=\"pseudo\" instance=0;\n");
    let words: Vec<_> = options.iter().map(OsStr::new).collect();
    with_options(&words, &compile(fixture), &conf, "", client, env)
}

/// Runs the client's half with a fixture on a PCI device, described in TOML.
pub fn run_on(fixture: &str, conf: &str, device: &str, client: &str) -> Ran {
    run_on_with(fixture, conf, device, client, &[])
}

/// The same with environment variables for the client.
pub fn run_on_with(fixture: &str, conf: &str, device: &str, client: &str, env: &[(&str, String)]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("device.toml");
    std::fs::write(&file, device).unwrap();
    with_options(&["--device".as_ref(), file.as_ref()], &compile(fixture), conf, "", client, env)
}

/// Runs the client's half with a trace, on a PCI device (TOML) if there is one. Also returns the events.
pub fn traced(
    fixture: &str,
    conf: &str,
    device: Option<&str>,
    client: &str,
    env: &[(&str, String)],
) -> (Ran, Vec<serde_json::Value>) {
    let dir = tempfile::tempdir().unwrap();
    let (trace, file) = (dir.path().join("run.json"), dir.path().join("device.toml"));
    let mut options: Vec<&OsStr> = vec!["--trace".as_ref(), trace.as_ref()];
    if let Some(device) = device {
        std::fs::write(&file, device).unwrap();
        options.extend([OsStr::new("--device"), file.as_ref()]);
    }
    let ran = with_options(&options, &compile(fixture), conf, "", client, env);
    let text = std::fs::read_to_string(&trace).unwrap_or_default();
    let events = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (ran, events)
}

/// Asserts that there is an event of the kind, with these fields.
#[track_caller]
pub fn assert_event(events: &[serde_json::Value], event: &str, fields: &serde_json::Value) {
    let fields = fields.as_object().unwrap();
    let found = |line: &&serde_json::Value| {
        line["event"] == event && fields.iter().all(|(name, value)| line[name] == *value)
    };
    let of_kind: Vec<_> = events.iter().filter(|line| line["event"] == event).take(5).collect();
    assert!(events.iter().any(|line| found(&line)), "no {event} with {fields:?}; there are: {of_kind:?}");
}

/// Runs the client's half, which must pass, with device nodes from a node configuration (TOML).
pub fn passes_with_nodes(fixture: &str, nodes: &str, client: &str) {
    let ran = start(fixture, "", nodes, client, &[]);
    assert!(ran.status == 0 && ran.text.contains(PASSED), "status {}:\n{}", ran.status, ran.text);
}

/// Runs the client's half, which must pass, with one pseudo instance and each way of catching faults.
pub fn passes_with_all_faults(fixture: &str, client: &str) {
    for faults in ["auto", "signal"] {
        passes_with_options(fixture, client, &["--faults", faults]);
    }
}

/// The same, and what an unprivileged user may have.
pub fn passes_in_every_mode(fixture: &str, client: &str) {
    passes_with_all_faults(fixture, client);
    passes_with_options(fixture, client, &["--faults", "userfaultfd-user"]);
}

/// Runs the client's half, which must pass, with one pseudo instance and options of `ddi-host run`.
pub fn passes_with_options(fixture: &str, client: &str, options: &[&str]) {
    let ran = run_with_options(fixture, client, options, &[]);
    let passed = ran.status == 0 && ran.text.contains(PASSED);
    assert!(passed, "{options:?}: status {}:\n{}", ran.status, ran.text);
}

fn start(fixture: &str, conf: &str, nodes: &str, client: &str, env: &[(&str, String)]) -> Ran {
    with_module(&compile(fixture), conf, nodes, client, env)
}

/// Runs the client's half with a module.
pub fn with_module(module: &Path, conf: &str, nodes: &str, client: &str, env: &[(&str, String)]) -> Ran {
    with_options(&[], module, conf, nodes, client, env)
}

fn with_options(
    options: &[&OsStr],
    module: &Path,
    conf: &str,
    nodes: &str,
    client: &str,
    env: &[(&str, String)],
) -> Ran {
    let fixture = module.file_name().unwrap().to_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let conf_file = dir.path().join(format!("{fixture}.conf"));
    std::fs::write(&conf_file, conf).unwrap();
    let nodes_file = dir.path().join("nodes.toml");
    std::fs::write(&nodes_file, nodes).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_ddi-host"))
        .args(["run", "--check", "--config"])
        .arg(&nodes_file)
        .args(options)
        .arg("--driver")
        .arg(format!("{},conf={}", module.display(), conf_file.display()))
        .arg("--")
        .arg(std::env::current_exe().unwrap())
        .envs(env.iter().map(|(name, value)| (name, value)))
        .args(["--client", client])
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    Ran { status: out.status.code().unwrap_or(-1), text }
}

/// Runs the client's half, which must pass, with one pseudo instance.
pub fn passes(fixture: &str, client: &str) {
    passes_with(fixture, &format!("name=\"{fixture}\" parent=\"pseudo\" instance=0;\n"), client);
}

/// The same with a configuration file of its own.
pub fn passes_with(fixture: &str, conf: &str, client: &str) {
    let ran = run(fixture, conf, client);
    assert!(ran.status == 0 && ran.text.contains(PASSED), "status {}:\n{}", ran.status, ran.text);
}
