//! `ddi-host run --trace`: what real processes do to ctxdev is recorded, told and converted; a recording survives its host.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_void;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ctxdev_user::{CTXDEV_REVOKE, REGS, SCRATCH};
use ddi_timeline::engines::engines;
use ddi_timeline::perfetto::proto::{self, Kind};
use ddi_timeline::story::Story;
use ddi_trace::{Access, Event, For, Trace};
use prost::Message as _;
use serde_json::Value;

const HOST: &str = env!("CARGO_BIN_EXE_ddi-host");

/// Set for this program when it is a client: how many there are in the run.
const CLIENT: &str = "DDI_TRACE_CLIENT";
/// Stores in which a client has waited for its turn, before it goes on.
const WAITS: usize = 6;

/// Maps a page of the device, `MAP_PRIVATE` (with a context of its own) or `MAP_SHARED`.
fn map(device: &File, offset: u64, kind: i32) -> *mut u64 {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address of the system's choice touches no memory that anybody has.
    let at = unsafe {
        libc::mmap(std::ptr::null_mut(), 4096, protection, kind, device.as_raw_fd(), offset as i64)
    };
    assert_ne!(at, libc::MAP_FAILED);
    at.cast()
}

/// Stores to the engine's registers: what the trace is to name.
#[inline(never)]
fn draw(register: *mut u64, value: u64) {
    // SAFETY: a word of a page that the client has mapped.
    unsafe { register.write_volatile(value) };
}

/// Returns when the clients of the run are all here. One that is alone has nobody to wait for.
fn meet() -> usize {
    let clients = std::env::var(CLIENT).unwrap().parse().unwrap();
    std::fs::write(format!("client.{}", std::process::id()), "").unwrap();
    let here = || std::fs::read_dir(".").unwrap().flatten().map(|entry| entry.file_name());
    let late = Instant::now() + Duration::from_secs(30);
    while here().filter(|name| name.to_string_lossy().starts_with("client.")).count() < clients {
        assert!(Instant::now() < late, "the others have not come");
        std::thread::sleep(Duration::from_millis(1));
    }
    clients
}

/// A client of ctxdev; the test itself in a process of its own. It stores until it has waited for the other often enough.
fn client() {
    let device = File::options().read(true).write(true).open("/dev/ctxdev0").unwrap();
    let registers = map(&device, REGS, libc::MAP_PRIVATE);
    let alone = meet() == 1;
    let end = Instant::now() + Duration::from_secs(2);
    let mut waits = 0;
    while waits < WAITS && Instant::now() < end {
        let begin = Instant::now();
        draw(registers, waits as u64);
        waits += usize::from(alone || begin.elapsed() > Duration::from_millis(20));
    }
    // SAFETY: an ioctl without a pointer.
    unsafe { libc::ioctl(device.as_raw_fd(), CTXDEV_REVOKE as libc::Ioctl, 0) };
    draw(map(&device, SCRATCH, libc::MAP_SHARED), 1);
    // SAFETY: the child ends at once.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    // SAFETY: no status is asked for.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    // SAFETY: the page that was mapped above, to which nothing refers any more.
    unsafe { libc::munmap(registers.cast::<c_void>(), 4096) };
}

/// A directory with a configuration, removed at the end.
struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Dir {
        let dir = tempfile::tempdir().unwrap();
        let nodes =
            "[[node]]\ninstance = 0\nregisters = [\"4K\", \"64K\"]\nproperties = { hysteresis-ms = 40 }\n";
        std::fs::write(dir.path().join("nodes.toml"), nodes).unwrap();
        Dir(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `ddi-host run` with these options and shell script, in which `$CLIENT` is a client of this test.
    fn run(&self, options: &[&str], script: &str) -> Command {
        let mut command = Command::new(HOST);
        command.current_dir(self.0.path()).args(["run", "--config", "nodes.toml"]).args(options);
        let this = std::env::current_exe().unwrap();
        let test = "real_processes_are_recorded_and_told";
        command.env(CLIENT, script.matches("$CLIENT").count().to_string());
        let script = script.replace("$CLIENT", &format!("{} --exact {test} --nocapture", this.display()));
        command.args(["--", "sh", "-c", &script]);
        command
    }
}

fn output(mut command: Command) -> (String, Option<i32>) {
    let out = command.output().unwrap();
    (String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned(), out.status.code())
}

fn convert(from: &Path, to: &Path) -> String {
    let mut command = Command::new(HOST);
    command.arg("trace").arg(from).arg("-o").arg(to);
    let (text, status) = output(command);
    assert_eq!(status, Some(0), "{text}");
    text
}

#[test]
fn real_processes_are_recorded_and_told() {
    if std::env::var_os(CLIENT).is_some() {
        return client();
    }
    for faults in ["auto", "signal"] {
        let dir = Dir::new();
        let options = ["--faults", faults, "--trace", "run.ring"];
        let (text, status) = output(dir.run(&options, "$CLIENT & $CLIENT; wait; cat /dev/ctxdev0"));
        assert_eq!(status, Some(0), "{text}");
        let story = Story::of(Trace::read(&dir.path("run.ring")).unwrap());
        assert!(story.ended && story.overwritten + story.refused == 0);
        told(&story);
        if faults == "auto" {
            perfetto(&story);
            json(&story);
        }
    }
}

/// Checks the events against each other.
fn told(story: &Story) {
    let count = |event: fn(&Event) -> bool| story.events.iter().filter(|told| event(&told.event)).count();
    assert_eq!(count(|e| matches!(e, Event::Open { errno: 0, .. })), 3);
    assert_eq!(count(|e| matches!(e, Event::Close { .. })), 3);
    assert_eq!(count(|e| matches!(e, Event::Read { done: 1.., .. })), 1);
    assert_eq!(count(|e| matches!(e, Event::Mmap { errno: 0, length: 4096, .. })), 4);
    assert_eq!(count(|e| matches!(e, Event::Map { error: 0, .. })), 4);
    assert_eq!(count(|e| matches!(e, Event::Ioctl { errno: 0, .. })), 2);
    assert_eq!(count(|e| matches!(e, Event::Fork { errno: 0, .. })), 2);
    assert_eq!(count(|e| matches!(e, Event::Dup { error: 0, .. })), 4);
    assert_eq!(count(|e| matches!(e, Event::Munmap { errno: 0, .. })), 2);
    assert!(count(|e| matches!(e, Event::Cut { .. })) >= 8);
    // The clients and their children; cat maps nothing.
    assert!(count(|e| matches!(e, Event::Exit {})) >= 4);
    // Both revoke; what the other has just unloaded is not there to be unloaded again.
    assert!(count(|e| matches!(e, Event::Revoke { .. })) >= 1);
    assert!(count(|e| matches!(e, Event::Load { .. })) >= 4);
    let grants = count(|e| matches!(e, Event::Grant { error: 0, .. }));
    let requests = count(|e| matches!(e, Event::Request { .. }));
    assert!(grants >= 2 && grants <= requests, "{grants} of {requests}");

    let mut switches = 0;
    for told in &story.events {
        match told.event {
            Event::Fault { offset, access, .. } => {
                assert_eq!((story.device(told.device), access), ("ctxdev0", Access::Write));
                assert!([REGS, SCRATCH].contains(&(offset & !0xfff)), "{offset:#x}");
                assert!(told.stamp.pid > 0 && told.stamp.thread > 0 && told.stamp.duration > 0);
            }
            Event::Access { .. } => {
                assert!(matches!(story.events[told.cause.unwrap()].event, Event::Fault { .. }));
            }
            Event::Grant { .. } => {
                switches += usize::from(told.taken_from.is_some());
                assert_eq!(story.device(told.device), "ctxdev0");
            }
            // A fault that takes the engine, the ioctl, munmap, fork or exit: never nobody.
            Event::Unload { of, .. } => {
                let cause = &story.events[told.cause.expect("a cause")];
                let other = of as u32 != told.stamp.process;
                let taken = matches!(cause.event, Event::Fault { .. } | Event::Ioctl { .. });
                assert!(taken || !other, "{cause:?}");
            }
            _ => {}
        }
    }
    assert!(switches >= 2, "the clients took the engine from each other {switches} times");
    // Rare faults are all looked at; with signals, the processor tells.
    let answers = ddi_timeline::panels::text(story);
    assert!(answers.contains("took it from each other"), "{answers}");
    assert!(answers.contains("with  5 ms of hysteresis: ") && answers.contains("ctxdev0 0x0"), "{answers}");
    let placed: Vec<_> = story.events.iter().filter_map(|told| told.code.as_ref()).collect();
    let drawn = |function: &String| function.contains("draw");
    assert!(placed.iter().any(|code| code.function.as_ref().is_some_and(drawn)), "{placed:?}");
    assert!(placed.iter().any(|code| code.short().starts_with("trace.rs:")), "{placed:?}");

    let engines = engines(story);
    let (_, turns) = engines.first_key_value().unwrap();
    assert_eq!(engines.len(), 1);
    assert!(turns.turns.windows(2).all(|pair| pair[0].end <= pair[1].begin));
    // 40 ms of hysteresis, which is longer than a busy machine keeps a client from its next store: somebody has waited, in a fault that then got the engine.
    assert!(count(|e| matches!(e, Event::Wait { what: For::Turn, interrupted: false })) >= 1);
    assert!(!turns.waits.is_empty() && turns.waits.iter().all(|wait| wait.begin < wait.end));
    let names: BTreeSet<&str> = story.processes.values().map(|process| process.name.as_str()).collect();
    assert!(names.iter().any(|name| name.starts_with("trace")), "{names:?}");
}

/// Reads again and checks a trace in Perfetto's format.
fn perfetto(story: &Story) {
    let mut bytes = Vec::new();
    ddi_timeline::perfetto::write(story, &mut bytes).unwrap();
    let trace = proto::Trace::decode(&*bytes).unwrap();
    let mut tracks = BTreeMap::new();
    let mut names: BTreeMap<u64, String> = BTreeMap::new();
    let mut flows: [BTreeMap<u64, (u64, u64)>; 2] = Default::default();
    let (mut depth, mut last) = (BTreeMap::<u64, i64>::new(), BTreeMap::<u64, u64>::new());
    let (mut slices, mut located, mut counted) = (BTreeMap::<String, usize>::new(), 0, 0);
    for (number, packet) in trace.packet.iter().enumerate() {
        assert_eq!(packet.sequence_flags.unwrap() & proto::STATE_CLEARED != 0, number == 0);
        if let Some(data) = &packet.interned_data {
            names.extend(data.event_names.iter().map(|name| (name.iid.unwrap(), name.name.clone().unwrap())));
        }
        if let Some(track) = &packet.track_descriptor {
            assert!(track.parent_uuid.is_none_or(|parent| tracks.contains_key(&parent)));
            assert!(tracks.insert(track.uuid.unwrap(), track.clone()).is_none());
        }
        let Some(event) = &packet.track_event else { continue };
        let (track, time) = (event.track_uuid.unwrap(), packet.timestamp.unwrap());
        assert!(tracks.contains_key(&track));
        // On each track, in order and nested.
        assert!(last.insert(track, time).is_none_or(|before| before <= time));
        match event.kind() {
            Kind::Begin | Kind::Instant => {
                *slices.entry(names[&event.name_iid.unwrap()].clone()).or_default() += 1;
                *depth.entry(track).or_default() += i64::from(event.kind() == Kind::Begin);
            }
            Kind::End => {
                let depth = depth.get_mut(&track).unwrap();
                *depth -= 1;
                assert!(*depth >= 0);
            }
            Kind::Counter => counted += 1,
        }
        located += usize::from(event.source_location_iid.is_some());
        flows[0].extend(event.flow_ids.iter().map(|flow| (*flow, (track, time))));
        flows[1].extend(event.terminating_flow_ids.iter().map(|flow| (*flow, (track, time))));
    }
    assert!(depth.values().all(|depth| *depth == 0));
    assert!(located > 0 && counted > 0);
    assert_eq!(
        slices["access"],
        story.events.iter().filter(|t| matches!(t.event, Event::Access { .. })).count()
    );
    // A flow from each fault that took pages of somebody else's to the process that lost them.
    assert!(!flows[0].is_empty());
    assert!(flows[0].keys().eq(flows[1].keys()));
    for (flow, (from, begin)) in &flows[0] {
        let (to, end) = flows[1][flow];
        assert!(tracks[from].thread.is_some() && tracks[&to].process.is_some() && *begin <= end);
        assert_ne!(tracks[from].thread.as_ref().unwrap().pid, tracks[&to].process.as_ref().unwrap().pid);
    }
    let named = |part: &str| tracks.values().filter(|track| track.name().contains(part)).count();
    assert_eq!((named("ctxdev0 engine"), named("ctxdev0 switches"), named("faults being served")), (1, 1, 1));
    // The clients' contexts; forked children may have had the engine, too.
    assert!(named("context of") >= 2 && slices["has the engine"] >= 2 && slices["waits"] >= 1);
}

/// Reads again and checks a trace as JSON lines.
fn json(story: &Story) {
    let mut bytes = Vec::new();
    ddi_timeline::json::write(story, &mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["trace"], &lines[0]["version"]), (&"ddi-host".into(), &1.into()));
    assert_eq!(lines.len(), story.events.len() + 1);
    let grant = lines.iter().find(|line| line["event"] == "grant" && line["from_pid"].is_u64()).unwrap();
    assert_eq!((&grant["switched"], &grant["device_name"]), (&true.into(), &"ctxdev0".into()));
    let place = lines.iter().find(|line| line["event"] == "fault" && line["place"]["line"].is_u64());
    assert!(place.is_some());
    // docs/tracing.md names every event and field.
    let page = include_str!("../../docs/tracing.md");
    for line in &lines {
        for field in line.as_object().unwrap().keys() {
            assert!(page.contains(&format!("`{field}`")), "docs/tracing.md does not name {field}");
        }
        let event = line["event"].as_str().map(|event| format!("`{event}`"));
        assert!(event.is_none_or(|event| page.contains(&event)), "docs/tracing.md does not name {line}");
    }
}

/// Builds ctxdev as a module; false, with the reason, when that cannot be done here.
fn module(framework: &str, module: &Path) -> bool {
    let profile = Path::new(HOST).parent().unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--workspace", "--examples", "--bin", "xtask", "--target-dir"]);
    build.arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success(), "cargo build --bin xtask");
    let mut build = Command::new(profile.join("xtask"));
    build.args(["module", "--framework", framework, "--output"]).arg(module);
    let (said, status) = output(build);
    if status != Some(0) {
        assert!(said.contains("library sources"), "{said}");
        println!("skipped: {said}");
    }
    status == Some(0)
}

#[test]
fn a_module_file_is_recorded_with_either_framework() {
    for framework in ["kernel", "own"] {
        let dir = Dir::new();
        let file = dir.path("ctxdev");
        if !module(framework, &file) {
            return;
        }
        let mut needed = Command::new(HOST);
        needed.args(["modinfo", "-u"]).arg(&file);
        let (needed, _) = output(needed);
        // All but those of what it never does: to remap, and to invalidate.
        let has = |name: &str| needed.contains(&format!("__dtrace_probe_devmap__{name}"));
        let probes = needed.lines().filter(|line| line.contains("__dtrace_probe_devmap__"));
        assert_eq!((probes.count(), has("remap"), has("revoke")), (10, false, false), "{needed}");
        let driver = file.display().to_string();
        let options = ["--driver", &driver, "--trace", "run.ring"];
        let (text, status) = output(dir.run(&options, "$CLIENT & $CLIENT; wait; cat /dev/ctxdev0"));
        assert_eq!(status, Some(0), "{text}");
        let story = Story::of(Trace::read(&dir.path("run.ring")).unwrap());
        assert!(story.probes.is_empty(), "{:?}", story.probes);
        told(&story);
    }
}

#[test]
fn a_host_that_is_killed_leaves_its_recording() {
    let dir = Dir::new();
    let script = "cat /dev/ctxdev0 >/dev/null; echo ready; sleep 60";
    let mut command = dir.run(&["--trace", "killed.json"], script);
    let mut host = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(host.stdout.take().unwrap()), &mut line)
        .unwrap();
    assert_eq!(line, "ready\n");
    host.kill().unwrap();
    host.wait().unwrap();
    let said = convert(&dir.path("killed.json"), &dir.path("told.json"));
    assert!(said.contains("told.json: "), "{said}");
    let text = std::fs::read_to_string(dir.path("told.json")).unwrap();
    assert!(text.lines().next().unwrap().contains("\"ended\":false"));
    assert!(text.contains("\"event\":\"read\""));
}

#[test]
fn a_program_that_is_killed_is_in_the_trace_and_the_file_is_converted() {
    let dir = Dir::new();
    let begin = Instant::now();
    let (text, status) = output(dir.run(&["--trace", "run.json"], "cat /dev/ctxdev0 >/dev/null; kill -9 $$"));
    assert_eq!(status, Some(128 + 9), "{text}");
    assert!(text.contains("run.json: ") && text.contains(" events"), "{text}");
    let trace = std::fs::read_to_string(dir.path("run.json")).unwrap();
    assert!(trace.lines().next().unwrap().contains("\"ended\":true"));
    assert!(begin.elapsed() < Duration::from_secs(60));
    assert!(!dir.path("run.json.part").exists());
}

#[test]
fn what_cannot_be_recorded_is_said_at_once() {
    let dir = Dir::new();
    let (text, status) = output(dir.run(&["--trace", "no/such/directory"], "echo began"));
    assert!(
        status == Some(1) && text.contains("--trace no/such/directory: ") && !text.contains("began"),
        "{text}"
    );
    let (text, status) = output(dir.run(&["--trace", "/dev/null"], "echo began"));
    assert!(status == Some(1) && text.contains("--trace /dev/null: ") && !text.contains("began"), "{text}");
    let (text, status) = output(dir.run(&["--trace-format", "json"], "echo began"));
    assert!(status == Some(2) && text.contains("--trace <FILE>"), "{text}");
    let (text, status) = output(dir.run(&["--trace", "x", "--trace-size", "7"], "echo began"));
    assert!(status == Some(2) && text.contains("at least 1M"), "{text}");
    std::fs::write(dir.path("text"), "no trace").unwrap();
    let mut command = Command::new(HOST);
    command.arg("trace").arg(dir.path("text")).arg("-o").arg(dir.path("out"));
    let (text, status) = output(command);
    assert!(status == Some(1) && text.contains("not a trace that ddi-host recorded"), "{text}");
    assert!(!dir.path("out").exists());
}

/// Reads from a terminal until this text has come.
fn until(terminal: &mut File, seen: &mut String, text: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    while !seen.contains(text) {
        let mut bytes = [0; 4096];
        let read = std::io::Read::read(terminal, &mut bytes).unwrap_or(0);
        seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
        assert!(read > 0 && Instant::now() < end, "no {text:?} in {seen:?}");
    }
}

/// The two ends of a new terminal of 24 rows and 80 columns.
fn terminal() -> [File; 2] {
    let size = libc::winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut ends, none) = ([0; 2], std::ptr::null_mut());
    let [outer, inner] = &mut ends;
    // SAFETY: places for two descriptors, and a size; the name and the modes are not wanted.
    let made = unsafe { libc::openpty(outer, inner, none, std::ptr::null(), &raw const size) };
    assert_eq!(made, 0);
    // SAFETY: descriptors that were made just now and that nobody else has.
    ends.map(|fd| unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) })
}

#[test]
fn a_run_is_shown_on_a_terminal_until_a_key_ends_that() {
    for (plain, ends_by_key) in [(true, true), (false, false)] {
        let dir = Dir::new();
        let script = "$CLIENT & $CLIENT; wait; while [ ! -e go ]; do sleep 0.02; done; echo said; cat";
        let mut command = dir.run(&["--top=0.1"], script);
        let [mut outer, inner] = terminal();
        let end = || Stdio::from(inner.try_clone().unwrap());
        command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm").env_remove("NO_COLOR");
        if plain {
            command.env("NO_COLOR", "1");
        }
        let mut host = command.spawn().unwrap();
        drop((command, inner));
        let mut seen = String::new();
        until(&mut outer, &mut seen, "  ctxdev0 0x0");
        assert!(
            seen.contains("\x1b[?1049h") && seen.contains("q: end") && seen.contains(" PROGRAM "),
            "{seen:?}"
        );
        assert_eq!(seen.contains("\x1b[1m"), !plain, "{seen:?}");
        let long = seen.split("\r\n").find(|line| line.replace("\x1b[1m", "").chars().count() > 80 + 40);
        assert!(long.is_none(), "{long:?}");
        if ends_by_key {
            std::io::Write::write_all(&mut outer, b"q").unwrap();
            until(&mut outer, &mut seen, "\x1b[?1049l");
        }
        std::fs::write(dir.path("go"), "").unwrap();
        // The program's output comes when the terminal is as it was; there is no input for it.
        until(&mut outer, &mut seen, "said");
        assert!(seen.find("said") > seen.find("\x1b[?25h\x1b[?1049l"), "{seen:?}");
        assert_eq!(host.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_run_is_shown_in_blocks_where_there_is_no_terminal() {
    let dir = Dir::new();
    let out = dir.run(&["--top=0.1"], "$CLIENT & $CLIENT; wait; echo said").output().unwrap();
    let (said, shown) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && said.ends_with("said\n") && !said.contains("faults/s"), "{said}{shown}");
    let blocks: Vec<&str> = shown.trim_end().split("\n\n").collect();
    let with = |text: &str| blocks.iter().filter(|block| block.contains(text)).count();
    assert!(with("faults/s") == blocks.len() && !shown.contains('\x1b'), "{shown}");
    assert!(with(" trace-") >= 1 && with("ctxdev0 0x0, most often at trace.rs:") >= 1, "{shown}");
    // Whoever got the engine took it from somebody, but for the first.
    assert!(with(" switches/s") == blocks.len() && with("events were lost") == 0, "{shown}");
    let (text, status) = output(dir.run(&["--top=0"], "echo began"));
    assert!(status == Some(2) && text.contains("at least 0.1"), "{text}");
}

#[test]
fn a_recording_is_shown_while_it_goes_on() {
    let dir = Dir::new();
    let script = "echo ready; while [ ! -e go ]; do $CLIENT >/dev/null; done";
    let mut run = dir.run(&["--trace", "run.ring"], script).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(run.stdout.take().unwrap()), &mut line).unwrap();
    let top = |options: &[&str]| {
        let mut command = Command::new(HOST);
        command.current_dir(dir.0.path()).args(["top", "run.ring", "-i", "0.2"]).args(options);
        command
    };
    let (text, status) = output(top(&["-c", "3"]));
    assert_eq!((status, text.matches("faults/s").count()), (Some(0), 3), "{text}");
    assert!(text.contains("  ctxdev0 0x0"), "{text}");
    // Ctrl-C ends it, which is no failure.
    let shows = || {
        let mut shows = top(&[]).stdout(Stdio::piped()).spawn().unwrap();
        let (mut out, mut line) = (std::io::BufReader::new(shows.stdout.take().unwrap()), String::new());
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        assert!(line.contains("faults/s"), "{line}");
        // It prints as long as somebody reads.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        shows
    };
    let mut asked = shows();
    // SAFETY: a signal to the test's own child.
    unsafe { libc::kill(asked.id().cast_signed(), libc::SIGINT) };
    assert_eq!(asked.wait().unwrap().code(), Some(0));
    // The end of the run is the end of the display.
    let mut goes_on = shows();
    std::fs::write(dir.path("go"), "").unwrap();
    assert!(run.wait().unwrap().success());
    assert!(goes_on.wait().unwrap().success());
    let (text, status) = output(top(&[]));
    assert!(status == Some(1) && text.contains("the run is over; ddi-host trace run.ring"), "{text}");
    let mut none = Command::new(HOST);
    none.arg("top");
    let (text, status) = output(none);
    assert!(status == Some(2) && text.contains("FILE"), "{text}");
}
