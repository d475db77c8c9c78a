//! `ddi-host run`: what its user sees. Real programs, the driver that is linked in, both ways of catching faults.

use std::path::PathBuf;
use std::process::{Command, Output};

fn host(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ddi-host")).args(args).output().expect("ddi-host starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a shell script under the host; its output and exit status.
fn shell(options: &[&str], script: &str) -> (String, String, Option<i32>) {
    let mut args = vec!["run"];
    args.extend(options);
    args.extend(["--", "sh", "-c", script]);
    let out = host(&args);
    (text(&out.stdout), text(&out.stderr), out.status.code())
}

/// A file in a directory of this test's own, removed at the end.
struct File(PathBuf);

impl File {
    fn new(name: &str, content: &str) -> File {
        let dir = std::env::temp_dir().join(format!("ddi-host-run-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory for the test");
        let path = dir.join(name);
        std::fs::write(&path, content).expect("a file for the test");
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a plain name")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if let Some(dir) = self.0.parent() {
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

#[test]
fn a_shell_reads_the_device_and_its_status_comes_back() {
    for faults in ["auto", "signal"] {
        let (out, err, status) =
            shell(&["--faults", faults], "cat /dev/ctxdev0; test -c /dev/ctxdev1 && exit 7");
        assert!(out.starts_with("opens 1 maps 0 faults 0"), "{out}{err}");
        assert_eq!(status, Some(7), "{err}");
    }
}

#[test]
fn the_device_has_a_path_below_devices_too() {
    let (out, err, status) = shell(&[], "cat '/devices/pseudo/ctxdev@1:ctxdev1'");
    assert!(out.starts_with("opens 1"), "{out}{err}");
    assert_eq!(status, Some(0));
}

#[test]
fn nodes_and_properties_come_from_files() {
    let config = File::new("nodes.toml", "[[node]]\ninstance = 4\n");
    let conf = File::new("ctxdev.conf", "name=\"ctxdev\" parent=\"pseudo\" instance=6;\nfb-size=0x20000;\n");
    let driver = format!("ctxdev,conf={}", conf.path());
    let options = ["--driver", &driver, "--config", config.path()];
    let (out, err, status) =
        shell(&options, "ls /dev/ctxdev4 /dev/ctxdev6; cat /dev/ctxdev6; cat /dev/ctxdev0");
    assert!(out.contains("opens 1"), "{out}{err}");
    assert!(err.contains("/dev/ctxdev0") || err.contains("No such file"), "there is no instance 0: {err}");
    assert_ne!(status, Some(0));
}

#[test]
fn a_pci_device_has_a_name_of_its_own_and_may_clash_with_a_pseudo_node() {
    let (out, err, status) = shell(&["--device", "ivshmem"], "cat /dev/ctxdevpci0; ls /dev/ctxdev0");
    assert!(out.starts_with("opens 1"), "{out}{err}");
    assert_ne!(
        status,
        Some(0),
        "the device takes the place of the nodes that there are without any configuration"
    );
    let conf = concat!(env!("CARGO_MANIFEST_DIR"), "/../example-driver/pkg/ctxdev.conf");
    let driver = format!("ctxdev,conf={conf}");
    let both = "cat /dev/ctxdevpci0 '/devices/pseudo/ctxdev@100:ctxdev0'";
    let (out, err, status) = shell(&["--driver", &driver, "--device", "ivshmem"], both);
    assert!(status == Some(0) && out.matches("opens 1").count() == 2, "{out}{err}");
    let conf = File::new("clash.conf", "name=\"ctxdev\" parent=\"pseudo\" instance=0;\n");
    let driver = format!("ctxdev,conf={}", conf.path());
    let (_, err, _) = shell(&["--driver", &driver, "--device", "ivshmem"], "true");
    assert!(err.contains("are both instance 0: the node needs another number"), "{err}");
}

#[test]
fn kernel_messages_go_to_the_log_and_statistics_to_the_output() {
    let log = File::new("log", "");
    let (out, err, status) = shell(&["--log", log.path(), "--kstat"], "cat /dev/ctxdev0 >/dev/null");
    assert_eq!(status, Some(0), "{err}");
    assert!(out.contains("ctxdev:0:ctxdev:opens\t1\n"), "{out}");
    let log = std::fs::read_to_string(log.path()).unwrap();
    assert!(log.contains("ctxdev0 is /pseudo/ctxdev@0"), "{log}");
}

/// What a run that cannot start says: one line, and status 1.
fn refused(args: &[&str]) -> String {
    let out = host(args);
    let err = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{err}");
    assert_eq!(err.lines().count(), 1, "one message: {err}");
    assert!(err.starts_with("ddi-host: "), "{err}");
    err
}

#[test]
fn what_cannot_run_is_refused_with_one_message() {
    let known = refused(&["run", "--driver", "nosuch", "--", "true"]);
    assert!(known.contains("no driver nosuch") && known.contains("ctxdev"), "{known}");
    assert!(refused(&["run", "--", "/no/such/program"]).contains("not found"));
    assert!(refused(&["run", "--", "/etc/passwd"]).contains("not executable"));
    assert!(
        refused(&["run", "--driver", "ctxdev,conf=/no/such.conf", "--", "true"]).contains("/no/such.conf")
    );
    let toml = File::new("broken.toml", "[[node]]\ninstance = 0\nregster = 1\n");
    assert!(
        refused(&["run", "--config", toml.path(), "--", "true"])
            .contains("broken.toml: line 3: unknown field")
    );
    let none = File::new("none.toml", "[[node]]\ndriver = \"other\"\ninstance = 0\n");
    assert!(refused(&["run", "--config", none.path(), "--", "true"]).contains("no instance attached"));
}

#[test]
fn what_cannot_be_used_of_a_driver_conf_is_warned_of_and_the_rest_is_used() {
    let conf = File::new(
        "odd.conf",
        "/etc;\nname=\"ctxdev\" parent=\"pseudo\" instance=3;\nname=\"ctxdev\" parent=\"pseudo\" instance=3;\n\
         name=\"other\" parent=\"pseudo\" instance=0;\nname=\"ctxdev\" parent=\"scsi\" instance=4;\nname=\"ctxdev\"",
    );
    let driver = format!("ctxdev,conf={}", conf.path());
    let (out, err, status) = shell(&["--driver", &driver], "echo /dev/ctxdev*");
    assert_eq!((out.as_str(), status), ("/dev/ctxdev3\n", Some(0)), "{err}");
    let warnings = [
        ("Unexpected token '/'", 1),
        ("Unexpected EOF", 6),
        ("Duplicate instance 3 of node \"ctxdev\" ignored", 3),
        ("the node \"other\" is not one of driver ctxdev", 4),
        ("there is no parent \"scsi\" for node \"ctxdev\"", 5),
    ];
    let warnings =
        warnings.map(|(what, line)| format!("WARNING: {what} on line {line} of {}\n", conf.path()));
    assert_eq!(err, warnings.concat());
}

#[test]
fn commands_of_illumos_show_their_options() {
    for (command, option) in [
        ("add_drv", "-m 'PERMISSION'"),
        ("rem_drv", "-C"),
        ("update_drv", "-d "),
        ("modload", "-p "),
        ("modunload", "-i ID"),
        ("modinfo", "-u FILE"),
        ("kstat", "-T d|u"),
    ] {
        let out = host(&[command, "--help"]);
        let help = text(&out.stdout);
        assert_eq!((out.status.code(), text(&out.stderr).as_str()), (Some(0), ""), "{command}");
        for part in ["--root DIR", option, "Exit status: 0"] {
            assert!(help.contains(part), "{command}: {part}: {help}");
        }
        assert_eq!(text(&host(&["help", command]).stdout), help, "{command}");
    }
}

#[test]
fn a_guarded_kernel_runs_the_same_driver() {
    let (out, err, status) = shell(&["--check"], "cat /dev/ctxdev0; cat /dev/ctxdev1");
    assert_eq!((status, out.lines().count()), (Some(0), 2), "{out}{err}");
    assert!(err.is_empty(), "{err}");
}

#[test]
fn the_benchmark_measures_beside_other_processes() {
    let out = host(&["bench", "--faults", "signal", "--scale", "10", "--json"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let rows: Vec<serde_json::Value> =
        text(&out.stdout).lines().map(|line| serde_json::from_str(line).expect("a row")).collect();
    let sizes: Vec<_> =
        rows.iter().map(|row| (row["processes"].as_u64(), row["mappings"].as_u64())).collect();
    assert_eq!(sizes, [0, 1, 10].map(|n| (Some(n), Some(100 * n))));
    for row in rows {
        assert!(
            row["fault"].is_null() && ["map", "fork", "memory"].iter().all(|of| row[of].as_f64() > Some(0.0)),
            "{row}"
        );
    }
}

#[test]
fn statistics_are_read_from_inside() {
    let host = env!("CARGO_BIN_EXE_ddi-host");
    let (out, err, status) =
        shell(&[], &format!("exec 3</dev/ctxdev0; {host} kstat -p ctxdev:0::opens ctxdev:1::maps"));
    assert_eq!(
        (out.as_str(), status),
        ("ctxdev:0:ctxdev:opens\t1\nctxdev:1:ctxdev:maps\t0\n", Some(0)),
        "{err}"
    );
    // Clients find it by name, whether a shell, execvp(3) or posix_spawnp(3) looks for it.
    for command in
        ["kstat -p ctxdev:0::maps", "env kstat -p ctxdev:0::maps", "$(command -v kstat) -p ctxdev:0::maps"]
    {
        let (out, err, status) = shell(&[], command);
        assert_eq!((out.as_str(), status), ("ctxdev:0:ctxdev:maps\t0\n", Some(0)), "{command}: {err}");
    }
    let (_, err, status) = shell(&[], &format!("{host} kstat nosuch"));
    assert_eq!((status, err.as_str()), (Some(1), ""));
    let outside = Command::new(host).arg("kstat").output().unwrap();
    assert_eq!(outside.status.code(), Some(1));
    assert!(text(&outside.stderr).contains("run it under the host"));
}

/// Runs `ddi-host ARGS` by a shell that prepares something first: what it says, and its exit status.
fn prepared(first: &str, args: &str) -> (String, Option<i32>) {
    let script = format!("{first} exec \"$0\" {args}");
    let output =
        Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_ddi-host")]).output().expect("sh");
    (text(&output.stderr), output.status.code())
}

#[test]
fn what_the_system_denies_is_said_in_one_sentence() {
    let full = "No space left on device (os error 28)";
    let cases = [
        ("ulimit -n 32;", "run -- true", "this process may have 32 open files, a host needs 64"),
        ("ulimit -v 100000;", "run -- true", "too little address space is left (see ulimit -v)"),
        ("ulimit -v 4000000;", "run -- true", "24 GiB of address space; see ulimit -v"),
        ("ulimit -v 17500000;", "run -- true", "24 GiB of address space; see ulimit -v"),
        ("ulimit -v 22000000;", "run -- true", "24 GiB of address space; see ulimit -v"),
        ("", "--help >/dev/full", &format!("cannot print: {full}")),
        ("", "--version >/dev/full", &format!("cannot print: {full}")),
        ("", "run --help >/dev/full", &format!("cannot print: {full}")),
        ("", "add_drv --help >/dev/full", &format!("cannot print: {full}")),
        ("", "run --kstat -- true >/dev/full", &format!("cannot print: {full}")),
        ("", "run --driver '' -- true", "--driver: it names neither a driver nor a module file"),
    ];
    for (first, args, said) in cases {
        let (err, status) = prepared(first, args);
        assert!(err.starts_with("ddi-host: ") && err.contains(said), "{args}: {err}");
        assert_eq!((err.lines().count(), status), (1, Some(1)), "{args}: {err}");
    }
    // A log that cannot be written does not stop the run.
    let (err, status) = prepared("", "run --log /dev/full -- cat /dev/ctxdev0");
    assert_eq!((err, status), (format!("ddi-host: the log file ends here: {full}\n"), Some(0)));
}

#[test]
fn what_is_typed_wrongly_is_one_error_and_status_2() {
    for line in [
        "nosuch",
        "--nosuch",
        "run",
        "run --nosuch true",
        "run --driver",
        "run --faults x true",
        "serve",
        "serve --nosuch",
        "demo extra",
        "bench --nosuch",
        "interrupt",
        "interrupt ctxdev0 x",
    ] {
        let out = host(&line.split(' ').collect::<Vec<_>>());
        let err = text(&out.stderr);
        assert_eq!((out.status.code(), out.stdout.as_slice()), (Some(2), &b""[..]), "{line}: {err}");
        assert!(err.starts_with("error: ") && err.matches("error: ").count() == 1, "{line}: {err}");
    }
    // What stands behind the program is the program's.
    let out = host(&["run", "echo", "-n", "--driver", "x"]);
    assert_eq!(
        (out.status.code(), text(&out.stdout).as_str()),
        (Some(0), "--driver x"),
        "{}",
        text(&out.stderr)
    );
}

/// Runs `ddi-host ARGS` by way of a command. `None` where that command cannot be run.
fn by_way_of(way: &str, args: &[&str]) -> Option<(String, String, Option<i32>)> {
    let words: Vec<&str> = way.split_whitespace().collect();
    let command = |rest: &[&str]| Command::new(words[0]).args(&words[1..]).args(rest).output();
    if !command(&["true"]).is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: {way} does not work here");
        return None;
    }
    let out = command(&[&[env!("CARGO_BIN_EXE_ddi-host")], args].concat()).unwrap();
    Some((text(&out.stdout), text(&out.stderr), out.status.code()))
}

#[test]
fn in_name_spaces_it_works_or_one_sentence_says_why_not() {
    let reads = ["run", "--driver", "ctxdev", "--", "head", "-c", "5", "/dev/ctxdev0"];
    // The host's own; an unprivileged user has them in a user name space.
    for user in ["", "-U -r "] {
        for spaces in ["-p -f --mount-proc", "-n", "-m"] {
            if let Some((out, err, status)) = by_way_of(&format!("unshare {user}{spaces}"), &reads) {
                assert_eq!((out.as_str(), status), ("opens", Some(0)), "{user}{spaces}: {err}");
            }
        }
        if let Some((_, err, status)) = by_way_of(&format!("unshare {user}-p -f"), &reads) {
            let said =
                "ddi-host: /proc is not that of this pid name space: mount it (unshare --mount-proc)\n";
            assert_eq!((err.as_str(), status), (said, Some(1)), "{user}");
        }
    }
    // A program's.
    let not_started = "ddi-host: no program is started: ";
    let cases = [
        ("unshare -p -f", None),
        ("unshare -m", None),
        ("unshare -p -f --mount-proc", Some((not_started, "/proc of another pid name space"))),
        ("unshare -n", Some(("ddi-host: a process in another network name space than the host ", ""))),
        ("unshare -U", Some((not_started, "of another user or user name space"))),
        ("unshare -U -r -p -f --mount-proc", Some((not_started, "ddi-host: "))),
        ("su nobody -s /bin/sh -c", Some((not_started, "of another user or user name space"))),
    ];
    for (way, refused) in cases {
        if by_way_of(way, &["--version"]).is_none() {
            continue;
        }
        let su = way.starts_with("su ");
        let program: &[&str] =
            if su { &["head -c 5 /dev/ctxdev0"] } else { &["head", "-c", "5", "/dev/ctxdev0"] };
        let words: Vec<&str> = way.split_whitespace().collect();
        let out = host(&[&["run", "--driver", "ctxdev", "--"], &words[..], program].concat());
        let (said, err) = (text(&out.stdout), text(&out.stderr));
        match refused {
            None => assert_eq!((said.as_str(), out.status.code()), ("opens", Some(0)), "{way}: {err}"),
            Some((sentence, why)) => {
                assert!(err.starts_with(sentence) && err.contains(why), "{way}: {err}");
                assert_eq!(err.matches("ddi-host: ").count(), 1, "{way}: {err}");
                assert!(said.is_empty() && out.status.code() != Some(0), "{way}: {said} {:?}", out.status);
            }
        }
    }
}

#[test]
fn under_valgrind_it_works_or_one_sentence_says_why_not() {
    let valgrind = ["valgrind", "-q", "head", "-c", "5", "/dev/ctxdev0"];
    if !Command::new("valgrind").arg("--version").output().is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: there is no valgrind");
        return;
    }
    let out = host(&[&["run", "--driver", "ctxdev", "--"], &valgrind[..]].concat());
    assert_eq!((text(&out.stdout).as_str(), out.status.code()), ("opens", Some(0)), "{}", text(&out.stderr));
    // What it knows of Linux's calls depends on its age.
    let reads = ["run", "--driver", "ctxdev", "--", "head", "-c", "5", "/dev/ctxdev0"];
    let (out, err, status) = by_way_of("valgrind -q", &reads).unwrap();
    let said = err.lines().filter(|line| line.starts_with("ddi-host: ")).count();
    let works = (out.as_str(), status) == ("opens", Some(0));
    assert!(works || (said, status) == (1, Some(1)), "{status:?}: {out}{err}");
}
