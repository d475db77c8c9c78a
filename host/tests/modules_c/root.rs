//! add_drv, rem_drv, modinfo and runs on a system's directory, as a user types them.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::devices::*;
use crate::run;

/// Runs ddi-host; its exit status, standard output and standard error.
pub fn host(args: &[&str]) -> (i32, String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_ddi-host")).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.code().unwrap_or(-1), text(&out.stdout), text(&out.stderr))
}

/// A system with these fixtures in place, not yet installed.
pub fn system(fixtures: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let drv = dir.path().join("kernel/drv");
    std::fs::create_dir_all(drv.join("amd64")).unwrap();
    for (name, conf) in fixtures {
        std::fs::copy(run::compile(name), drv.join("amd64").join(name)).unwrap();
        std::fs::write(drv.join(format!("{name}.conf")), conf).unwrap();
    }
    dir
}

pub fn path(dir: &Path) -> &str {
    dir.to_str().unwrap()
}

const WAITS: &str = "name=\"waits\" parent=\"pseudo\" instance=0;\n";

pub fn drivers_are_installed_run_and_removed() {
    let counters = "name=\"counters\" parent=\"pseudo\" instance=0;\n";
    let dir = system(&[("waits", WAITS), ("counters", counters)]);
    let root = path(dir.path());
    std::fs::create_dir_all(dir.path().join("etc")).unwrap();
    std::fs::write(dir.path().join("etc/devlink.tab"), "type=ddi_pseudo;name=counters\tnumbers/\\N0\n")
        .unwrap();
    let add = |name| host(&["add_drv", "--root", root, "-m", "* 0640 root sys", name]);
    assert_eq!(add("waits"), (0, String::new(), String::new()));
    assert_eq!(add("waits"), (1, String::new(), "Driver (waits) is already installed.\n".into()));
    assert_eq!(add("counters").0, 0);
    assert_eq!(add("missing"), (1, String::new(), "Cannot find module (missing).\n".into()));

    let client = std::env::current_exe().unwrap();
    let run = |half: &str| host(&["run", "--root", root, "--kstat", "--", path(&client), "--client", half]);
    let (status, out, err) = run("root::client_of_drivers_are_installed_run_and_removed");
    assert!(status == 0 && out.contains(run::PASSED), "{out}{err}");
    assert!(out.contains("counters:0:numbers:added\t12\n"), "{out}");
    assert!(out.contains("counters:0:numbers:level\t-4\n") && out.contains(":label\tfixture\n"), "{out}");

    assert_eq!(host(&["rem_drv", "--root", root, "counters"]), (0, String::new(), String::new()));
    let (status, _, err) = host(&["rem_drv", "--root", root, "counters"]);
    assert_eq!((status, err.as_str()), (1, "Driver (counters) not installed.\n"));
    let (status, out, err) = run("root::client_of_drivers_are_installed_run_and_removed");
    assert!(status != 0 && err.contains("No such file"), "{out}{err}");
}
pub fn client_of_drivers_are_installed_run_and_removed() {
    let fd = open("/dev/numbers/0");
    assert_eq!(ioctl(fd, 0x7701, 12), Ok(0));
    assert_eq!(open_mode("/dev/numbers/0"), (0o020_640, 301));
    let fd = open("/devices/pseudo/waits@0:waits0");
    assert_eq!(ioctl(fd, 0x7505, 0), Ok(0));
    assert_eq!(open_mode("/dev/waits0"), (0o020_640, 300));
}

fn open_mode(device: &str) -> (u32, u64) {
    let meta = std::fs::metadata(device).unwrap();
    (meta.mode(), meta.rdev() >> 8)
}

pub fn a_driver_that_does_not_attach_is_installed_with_a_warning() {
    let conf = "name=\"soft\" parent=\"pseudo\" instance=0 limit=-1;\n";
    let dir = system(&[("soft", conf)]);
    let root = path(dir.path());
    let (status, _, err) = host(&["add_drv", "--root", root, "-v", "soft"]);
    assert_eq!(status, 0);
    assert!(err.contains("limit -1 is negative"), "{err}");
    let end = "Warning: Driver (soft) successfully added to system but failed to attach\nDriver (soft) installed.\n";
    assert!(err.ends_with(end), "{err}");
    assert_eq!(host(&["rem_drv", "-b", root, "soft"]).0, 0);
}

pub fn a_driver_in_use_cannot_be_unloaded() {
    let dir = system(&[("waits", WAITS)]);
    let root = path(dir.path());
    assert_eq!(host(&["add_drv", "--root", root, "waits"]).0, 0);
    let mut running = Command::new(env!("CARGO_BIN_EXE_ddi-host"))
        .args(["run", "--root", root, "--", "sh", "-c", "echo here; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(running.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "here\n");
    let (status, _, err) = host(&["rem_drv", "--root", root, "waits"]);
    assert_eq!(status, 0);
    assert!(err.ends_with("Cannot unload module: waits\nWill be unloaded upon reboot.\n"), "{err}");
    running.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(running.wait().unwrap().success());
    let (status, _, err) = host(&["run", "--root", root, "--", "true"]);
    assert!(status == 1 && err.contains("no driver is installed; use ddi-host add_drv"), "{err}");
}

/// A `ddi-host serve`, ended when dropped.
struct Machine(std::process::Child);

impl Machine {
    fn start(root: &str) -> Machine {
        let serve =
            Command::new(env!("CARGO_BIN_EXE_ddi-host")).args(["serve", "--root", root]).spawn().unwrap();
        let machine = Machine(serve);
        // Without a machine modinfo shows nothing, not even its heading.
        while host(&["modinfo", "--root", root]).1.is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        machine
    }

    /// SIGTERM; the exit status.
    fn end(&mut self) -> Option<i32> {
        // SAFETY: our child, not yet waited for.
        unsafe { libc::kill(self.0.id().cast_signed(), libc::SIGTERM) };
        self.0.wait().unwrap().code()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn a_machine_that_stays_up_keeps_drivers_while_programs_come_and_go() {
    let dir = system(&[("counters", "name=\"counters\" parent=\"pseudo\" instance=0;\n")]);
    let root = path(dir.path());
    let mut machine = Machine::start(root);
    let (status, _, err) = host(&["serve", "--root", root]);
    assert!(status == 1 && err.contains("another ddi-host serves this system"), "{err}");

    let client = std::env::current_exe().unwrap();
    let add_twelve = || {
        let half = "root::client_of_a_machine_that_stays_up";
        let (status, out, err) = host(&["run", "--root", root, "--", path(&client), "--client", half]);
        assert!(status == 0 && out.contains(run::PASSED), "{out}{err}");
    };
    let added = |value: u32| {
        let seen = host(&["kstat", "--root", root, "-p", "counters:::added"]);
        assert_eq!(seen, (0, format!("counters:0:numbers:added\t{value}\n"), String::new()));
    };
    let modules = || host(&["modinfo", "--root", root]).1;
    let shell = |command: &str| host(&["run", "--root", root, "--", "sh", "-c", command]);
    assert_eq!(shell("test -c /dev/counters0").0, 1);
    assert_eq!(
        host(&["add_drv", "--root", root, "-m", "* 0640 root sys", "counters"]),
        (0, String::new(), String::new())
    );
    assert_eq!(shell("test -c /dev/counters0").0, 0);
    let table = modules();
    let line = table.lines().find(|line| line.contains("counters")).unwrap();
    let fields: Vec<&str> = line.split_whitespace().collect();
    assert_eq!((fields[3], fields[5]), ("300", "counters"), "{table}");

    // What one program leaves in the driver, the next one finds.
    add_twelve();
    added(12);
    add_twelve();
    added(24);

    let id = fields[0].to_owned();
    let unload = || host(&["modunload", "--root", root, "-i", &id]);
    let mut open = Command::new(env!("CARGO_BIN_EXE_ddi-host"))
        .args(["run", "--root", root, "--", "sh", "-c", "exec 3</dev/counters0; echo here; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(open.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(unload(), (1, String::new(), "can't unload the module: Device busy\n".into()));
    assert!(modules().contains("counters"));
    open.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(open.wait().unwrap().success());
    assert_eq!(unload(), (0, String::new(), String::new()));
    assert!(!modules().contains("counters"));
    assert_eq!(shell("test -c /dev/counters0").0, 1);
    assert_eq!(host(&["rem_drv", "--root", root, "counters"]), (0, String::new(), String::new()));

    // Installed anew with another configuration file, it has that one's nodes, and the number that it had.
    std::fs::write(
        dir.path().join("kernel/drv/counters.conf"),
        "name=\"counters\" parent=\"pseudo\" instance=4;\n",
    )
    .unwrap();
    assert_eq!(host(&["add_drv", "--root", root, "counters"]).0, 0);
    assert_eq!(shell("test -c /dev/counters4").0, 0);
    assert!(modules().contains(" 300 "), "{}", modules());
    assert_eq!(machine.end(), Some(0));
    assert_eq!(modules(), "");
}

pub fn client_of_a_machine_that_stays_up() {
    let fd = open("/dev/counters0");
    assert_eq!(ioctl(fd, 0x7701, 12), Ok(0));
}

pub fn modinfo_shows_a_module_and_what_it_needs() {
    let waits = run::compile("waits");
    let (status, out, err) = host(&["modinfo", path(&waits)]);
    assert_eq!((status, err.as_str()), (0, ""));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], " Id         Loadaddr   Size Info Rev Module Name");
    assert!(lines[1].ends_with("  -   1  waits (locks and waiting)"), "{out}");
    let (status, out, _) = host(&["modinfo", "-u", path(&waits)]);
    assert_eq!(status, 0);
    let line = out.lines().find(|l| l.starts_with("rw_tryupgrade ")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["rw_tryupgrade", "host", "waits_ioctl"]);
    let (status, _, err) = host(&["modinfo", "/bin/sh"]);
    assert!(status == 1 && err.contains("isn't a relocatable module"), "{err}");
}
