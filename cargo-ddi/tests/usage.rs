//! Wrong command lines, missing things, and output for machines.

use std::path::Path;
use std::process::{Command, Output};

fn ddi(dir: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-ddi"));
    command.args(words).current_dir(dir).env_remove("CARGO_TARGET_DIR").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_is_typed_wrongly_is_one_error_and_status_2() {
    let dir = tempfile::tempdir().unwrap();
    for words in [
        &["nosuch"][..],
        &["new"],
        &["new", "x", "--template", "nosuch"],
        &["run", "--nosuch"],
        &["run", "--linked", "--framework", "own"],
        &["module", "--framework", "nosuch"],
        &["completions", "nosuch"],
        &["vm", "test", "--accel", "nosuch"],
        &["test", "--linked", "--framework", "own"],
    ] {
        for prefix in [&[][..], &["ddi"]] {
            let output = ddi(dir.path(), &[prefix, words].concat());
            let err = text(&output.stderr);
            assert_eq!(
                (output.status.code(), output.stdout.as_slice()),
                (Some(2), &b""[..]),
                "{words:?}: {err}"
            );
            assert_eq!(err.matches("error: ").count(), 1, "{words:?}: {err}");
        }
    }
    for (words, why) in [
        (&["run", "true"][..], "could not find `Cargo.toml`"),
        (&["module"], "could not find `Cargo.toml`"),
        (&["test"], "could not find `Cargo.toml`"),
        (&["check"], "could not find `Cargo.toml`"),
        (&["check", "/nosuch"], "cannot read /nosuch"),
        (&["package"], "could not find `Cargo.toml`"),
        (&["run"], "which program?"),
        (&["vm", "test"], "could not find `Cargo.toml`"),
        (&["vm", "test", "--guest", "plan9"], "no guest called plan9; there are: linux, omnios"),
        (&["run", "--root", ".", "--driver", "x", "true"], "--root"),
        (&["new", "Bad"], "\"Bad\" is no driver's name"),
        (&["new", "good", "--devmap", "nosuch"], "--devmap nosuch: there is no such directory"),
        (&["new", "good", "--devmap", "/"], "it is no checkout of this project"),
    ] {
        let output = ddi(dir.path(), words);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {err}");
        assert!(err.starts_with("error: ") && err.contains(why), "{words:?}: {err}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "an error leaves nothing behind");
}

#[test]
fn a_directory_that_is_there_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("mine")).unwrap();
    std::fs::write(dir.path().join("mine/file"), "kept").unwrap();
    let output = ddi(dir.path(), &["new", "mine"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("mine is there already"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_to_string(dir.path().join("mine/file")).unwrap(), "kept");
    assert_eq!(std::fs::read_dir(dir.path().join("mine")).unwrap().count(), 1);
}

#[test]
fn where_devmap_comes_from_is_said() {
    let dir = tempfile::tempdir().unwrap();
    for (devmap, line, place) in [
        (
            "https://host/devmap.git",
            "devmap = { git = \"https://host/devmap.git\" }",
            "https://host/devmap.git",
        ),
        ("0.1", "devmap = \"0.1\"", "version 0.1 of the registry"),
    ] {
        let name = format!("x{}", devmap.len());
        let output = ddi(dir.path(), &["new", "driver", "--dir", &name, "--devmap", devmap]);
        assert!(
            text(&output.stdout).contains(&format!("on devmap from {place}")),
            "{}",
            text(&output.stdout)
        );
        let manifest = std::fs::read_to_string(dir.path().join(&name).join("Cargo.toml")).unwrap();
        assert!(manifest.contains(line), "{manifest}");
    }
}

#[test]
fn the_doctor_is_read_by_machines() {
    let output = ddi(Path::new("/"), &["doctor", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> =
        json["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
    for name in
        ["Rust", "userfaultfd", "library sources", "QEMU", "KVM", "ssh", "Debian packages", "libclang"]
    {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert_eq!(json["ready"], true, "{json}");
    // On a machine with nothing in the search path each thing is missing, with the command that gets it.
    let bare = Command::new(env!("CARGO_BIN_EXE_cargo-ddi"))
        .args(["doctor", "--json"])
        .env("PATH", "/nosuch")
        .output();
    let bare = bare.unwrap();
    let json: serde_json::Value = serde_json::from_slice(&bare.stdout).unwrap();
    assert_eq!((bare.status.code(), &json["ready"]), (Some(1), &serde_json::json!(false)), "{json}");
    for item in json["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| ["Rust", "ld", "gdb", "QEMU", "ssh"].contains(&item["name"].as_str().unwrap()))
    {
        assert!(item["found"].is_null() && item["get"].is_string() && item["why"].is_string(), "{item}");
    }
}

/// A cargo that has no nextest.
#[test]
fn a_missing_nextest_is_said_with_the_command_that_gets_it() {
    let dir = tempfile::tempdir().unwrap();
    assert!(ddi(dir.path(), &["new", "driver"]).status.success());
    let script = format!("#!/bin/sh\n[ \"$1\" != nextest ] || exit 101\nexec {} \"$@\"\n", env!("CARGO"));
    let cargo = dir.path().join("cargo");
    std::fs::write(&cargo, script).unwrap();
    std::fs::set_permissions(&cargo, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-ddi"));
    let output =
        command.args(["test", "--nextest"]).env("CARGO", &cargo).current_dir(dir.path().join("driver"));
    let output = output.output().unwrap();
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("cargo-nextest is not installed: cargo install"), "{err}");
}

#[test]
fn the_guests_are_listed_for_machines() {
    let output = ddi(Path::new("/"), &["vm", "guests", "--json"]);
    let guests: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> =
        guests.as_array().unwrap().iter().map(|guest| guest["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["linux", "omnios"]);
}

#[test]
fn colours_only_where_they_are_wanted() {
    let coloured = |name: &str, value: &str| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_cargo-ddi")).arg("doctor").env(name, value).output().unwrap();
        text(&output.stdout).contains('\u{1b}')
    };
    assert!(!coloured("TERM", "xterm"), "standard output is no terminal");
    assert!(coloured("CLICOLOR_FORCE", "1"));
    assert!(!coloured("NO_COLOR", "1"));
}

#[test]
fn completions_and_manual_pages_come_from_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let script = text(&ddi(dir.path(), &["completions", "bash"]).stdout);
    assert!(script.contains("-o default cargo-ddi") && script.contains("--template"), "{script}");
    let pages = dir.path().join("man");
    assert!(ddi(dir.path(), &["man", "man"]).status.success());
    let run = std::fs::read_to_string(pages.join("cargo-ddi-run.1")).unwrap();
    assert!(run.contains("\\-\\-faults") && run.contains("\\-\\-linked"), "{run}");
}

#[test]
fn what_cannot_be_printed_is_said_and_fails() {
    for words in [&["--help"][..], &["doctor"], &["completions", "bash"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_cargo-ddi")).args(words).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", text(&output.stderr));
    }
}
