//! What is typed wrongly.

use std::process::Command;

#[test]
fn what_is_typed_wrongly_is_one_error_and_status_2() {
    for line in [
        "nosuch",
        "--nosuch",
        "module --nosuch",
        "check-module",
        "check-module --nosuch",
        "kernel-check --nosuch",
        "bindings --nosuch",
        "verified --nosuch",
        "perf --nosuch",
        "unsafe --nosuch",
        "vm nosuch",
        "vm test --guest",
        "vm selftest --nosuch",
        "vm tests extra",
    ] {
        let out = Command::new(env!("CARGO_BIN_EXE_xtask")).args(line.split(' ')).output().unwrap();
        let err = String::from_utf8_lossy(&out.stderr);
        assert_eq!((out.status.code(), out.stdout.as_slice()), (Some(2), &b""[..]), "{line}: {err}");
        assert!(err.starts_with("error: ") && err.matches("error: ").count() == 1, "{line}: {err}");
    }
    // What only the command itself can know.
    for (line, said) in [
        (
            "vm test --guest nosuch",
            "no guest called nosuch; there are: linux, omnios, or a description of your own: FILE.toml",
        ),
        ("vm selftest --case nosuch", "no case has nosuch in its name; --list shows them"),
        ("check-module /nosuch", "cannot read /nosuch: No such file or directory (os error 2)"),
    ] {
        let out = Command::new(env!("CARGO_BIN_EXE_xtask")).args(line.split(' ')).output().unwrap();
        let err = String::from_utf8_lossy(&out.stderr);
        assert_eq!((out.status.code(), err.as_ref()), (Some(2), format!("cargo xtask: {said}\n").as_str()));
    }
}

#[test]
fn what_cannot_be_printed_is_said_and_fails() {
    for line in ["--help", "check-module --help", "unsafe"] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let out =
            Command::new(env!("CARGO_BIN_EXE_xtask")).args(line.split(' ')).stdout(full).output().unwrap();
        let err = String::from_utf8_lossy(&out.stderr);
        let said = "cargo xtask: cannot print: No space left on device (os error 28)\n";
        assert_eq!((out.status.code(), err.as_ref()), (Some(2), said), "{line}");
    }
}
