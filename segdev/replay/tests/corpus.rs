//! The conformance corpus, whole.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use segdev_replay::files::replay;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance").join(name)
}

fn passes_whole(name: &str, scenarios: usize) {
    let report = replay(&corpus(name), 10, Duration::from_secs(60)).expect("the file is read");
    assert!(report.failures.is_empty(), "{name}: {:#?}", report.failures);
    assert_eq!((report.passed, report.total), (scenarios, scenarios), "{name}");
}

#[test]
fn the_hand_written_scenarios_pass() {
    passes_whole("hand.jsonl.gz", 263);
}

#[test]
fn the_random_scenarios_pass() {
    passes_whole("random.jsonl.gz", 1500);
}

#[test]
fn the_order_of_a_mapping_s_events() {
    passes_whole("mapping.jsonl", 2);
}

#[test]
fn the_scenarios_without_observations_end() {
    passes_whole("cases.jsonl", 1);
}

/// Runs the command on a file with this text; answers its output.
fn command(name: &str, text: &str) -> Output {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = dir.join(name);
    std::fs::write(&path, text).expect("the file is written");
    Command::new(env!("CARGO_BIN_EXE_replay")).arg(&path).output().expect("replay runs")
}

/// A scenario whose only mapping is answered with this address.
fn scenario(op: &str, expect: &str) -> String {
    format!(
        r#"{{"id":"one","tags":[],"ncpus":1,"page_sizes":[4096],"cookies":[],
            "regs":[{{"rnumber":0,"pfn":256,"len":65536}}],
            "devices":[{{"regions":[{{"off":0,"len":16384,"kind":"devmem","rnumber":0,"roff":0,"maxprot":7,
            "flags":0,"callbacks":null}}],"callbacks":{{}},"fail":[]}}],"ops":[{op}],"expect":[{expect}]}}"#
    )
    .replace('\n', " ")
}

const MMAP: &str =
    r#"{"op":"mmap","as":0,"dev":0,"off":0,"len":16384,"prot":3,"maxprot":7,"flags":1,"addr":null}"#;

#[test]
fn a_mismatch_names_scenario_operation_and_values_and_exits_with_1() {
    let out = command("mismatch.jsonl", &scenario(MMAP, r#"{"ret":0,"addr":4096}"#));
    let text = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("0 of 1 scenarios passed"), "{text}");
    for part in ["one: op 0", "addr expected: 4096", "addr got:      268435456"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

/// A scenario with these operations and no observations. Its access callback loads what is asked for.
fn only_run(ops: &[&str]) -> String {
    scenario(&ops.join(","), "")
        .replace(r#","expect":[]"#, "")
        .replace(r#""callbacks":null"#, r#""callbacks":"A""#)
        .replace(
            r#""callbacks":{}"#,
            r#""callbacks":{"A":{"map":true,"access":"default","dup":true,"unmap":true}}"#,
        )
}

const SOFTLOCK: &str = r#"{"op":"fault","as":0,"addr":268435456,"len":4096,"type":2,"rw":1}"#;
const SOFTUNLOCK: &str = r#"{"op":"fault","as":0,"addr":268435456,"len":4096,"type":3,"rw":1}"#;

#[test]
fn a_scenario_without_expect_is_run_all_the_same() {
    let unknown = r#"{"op":"set_timeout","h":"H7","ticks":1}"#;
    let out = command("run-only.jsonl", &only_run(&[MMAP, SOFTLOCK, unknown, SOFTUNLOCK]));
    let text = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(0), "{text}");
    assert!(
        text.contains(
            "1 of them without observations: run only, 3 operations, 1 skipped whose handle does not live"
        ),
        "{text}"
    );
    // What it leaves behind is a failure all the same.
    let out = command("run-only-left.jsonl", &only_run(&[MMAP, SOFTLOCK]));
    let text = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("exit got:      11 from space 0"), "{text}");
}

#[test]
fn an_operation_that_waits_is_named_and_the_others_still_run() {
    let other = MMAP.replace(r#""as":0"#, r#""as":1"#);
    let touch = r#"{"op":"touch","as":1,"addr":268435456,"rw":1}"#;
    let waits = only_run(&[MMAP, &other, SOFTLOCK, touch, SOFTUNLOCK]);
    let goes_on = only_run(&[MMAP, &other, SOFTLOCK, SOFTUNLOCK, touch]);
    let out = command("waits.jsonl", &format!("{waits}\n{goes_on}\n"));
    let text = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("1 of 2 scenarios passed") && text.contains("one: op 3: Touch"), "{text}");
    assert!(text.contains("wait got:      it waits for another"), "{text}");
}

#[test]
fn a_bad_line_is_named_and_exits_with_2() {
    let good = scenario(MMAP, r#"{"ret":0}"#);
    for (bad, says) in [
        ("{\"id\":", "EOF while parsing"),
        (&*good.replace("\"op\":\"mmap\"", "\"op\":\"mangle\""), "unknown variant `mangle`"),
        (&*good.replace("\"dev\":0", "\"dev\":7"), "no device 7"),
    ] {
        let out = command("bad.jsonl", &format!("{good}\n{bad}\n"));
        let text = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{text}");
        assert!(text.contains("bad.jsonl:2") && text.contains(says), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[test]
fn a_missing_file_is_one_clear_error() {
    let out =
        Command::new(env!("CARGO_BIN_EXE_replay")).arg("/nowhere/x.jsonl").output().expect("replay runs");
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("cannot open /nowhere/x.jsonl"));
}

#[test]
fn the_version_is_printed_and_what_cannot_be_printed_is_said() {
    let replay = || Command::new(env!("CARGO_BIN_EXE_replay"));
    let out = replay().arg("--version").output().expect("replay runs");
    let version = format!("replay {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (out.status.code(), String::from_utf8_lossy(&out.stdout).as_ref()),
        (Some(0), version.as_str())
    );
    for option in ["--help", "--version"] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
        let out = replay().arg(option).stdout(full).output().expect("replay runs");
        let said = "replay: cannot print: No space left on device (os error 28)\n";
        assert_eq!(
            (out.status.code(), String::from_utf8_lossy(&out.stderr).as_ref()),
            (Some(2), said),
            "{option}"
        );
    }
}
