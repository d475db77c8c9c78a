//! add_drv, rem_drv, modinfo and runs on a system's directory, as a user types them.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::devices::*;
use crate::run;

tests!(
    drivers_are_installed_run_and_removed,
    names_in_dev_are_the_links_that_devlink_tab_makes,
    a_driver_that_does_not_attach_is_installed_with_a_warning,
    a_driver_in_use_cannot_be_unloaded,
    a_machine_that_stays_up_keeps_drivers_while_programs_come_and_go,
    a_machine_that_stays_up_shows_who_faults_while_it_happens,
    a_device_whose_module_was_unloaded_is_attached_again_when_it_is_opened,
    modules_are_loaded_by_file_and_by_name,
    what_the_module_commands_say_when_they_are_called_wrongly,
    a_directory_that_is_no_system_is_refused_and_left_as_it_is,
    modinfo_shows_a_module_and_what_it_needs
);

/// Runs ddi-host; its exit status, standard output and standard error.
pub fn host(args: &[&str]) -> (i32, String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_ddi-host")).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.code().unwrap_or(-1), text(&out.stdout), text(&out.stderr))
}

/// A system with these fixtures in place, not yet installed; its devlink.tab gives their minor nodes their own names in /dev.
pub fn system(fixtures: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let drv = dir.path().join("kernel/drv");
    std::fs::create_dir_all(drv.join("amd64")).unwrap();
    std::fs::create_dir(dir.path().join("etc")).unwrap();
    let tab = fixtures.iter().map(|(name, _)| format!("type=ddi_pseudo;name={name}\t\\M0\n"));
    std::fs::write(dir.path().join("etc/devlink.tab"), tab.collect::<String>()).unwrap();
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

fn drivers_are_installed_run_and_removed() {
    let counters = "name=\"counters\" parent=\"pseudo\" instance=0;\n";
    let dir = system(&[("waits", WAITS), ("counters", counters)]);
    let root = path(dir.path());
    let tab = "type=ddi_pseudo;name=counters\tnumbers/\\N0\ntype=ddi_pseudo;name=waits\t\\M0\n";
    std::fs::write(dir.path().join("etc/devlink.tab"), tab).unwrap();
    let add = |name| host(&["add_drv", "--root", root, "-m", "* 0640 root sys", name]);
    assert_eq!(add("waits"), (0, String::new(), String::new()));
    assert_eq!(add("waits"), (1, String::new(), "Driver (waits) is already installed.\n".into()));
    assert_eq!(add("counters").0, 0);
    assert_eq!(add("missing"), (1, String::new(), "Cannot find module (missing).\n".into()));

    let client = std::env::current_exe().unwrap();
    let run = |half: &str| host(&["run", "--root", root, "--kstat", "--", path(&client), "--client", half]);
    let (status, out, err) = run(half!(client_of_drivers_are_installed_run_and_removed));
    assert!(status == 0 && out.contains(run::PASSED), "{out}{err}");
    assert!(out.contains("counters:0:numbers:added\t12\n"), "{out}");
    assert!(out.contains("counters:0:numbers:level\t-4\n") && out.contains(":label\tfixture\n"), "{out}");

    // A probe of the module is an event, by its own name, of the call that comes to it.
    let half = half!(client_of_drivers_are_installed_run_and_removed);
    let trace = dir.path().join("run.json");
    let options = ["run", "--root", root, "--trace", path(&trace), "--", path(&client), "--client", half];
    let (status, out, err) = host(&options);
    assert!(status == 0 && out.contains(run::PASSED), "{out}{err}");
    let trace = std::fs::read_to_string(&trace).unwrap();
    let probe = trace.lines().find(|line| line.contains("\"event\":\"probe\"")).unwrap();
    for part in [
        "\"probe\":\"counters-add\"",
        "\"first\":12",
        "\"second\":12",
        "\"device_name\":\"counters0\"",
        "\"pid\":",
    ] {
        assert!(probe.contains(part), "{part}: {probe}");
    }

    assert_eq!(host(&["rem_drv", "--root", root, "counters"]), (0, String::new(), String::new()));
    let (status, _, err) = host(&["rem_drv", "--root", root, "counters"]);
    assert_eq!((status, err.as_str()), (1, "Driver (counters) not installed.\n"));
    let (status, out, err) = run(half!(client_of_drivers_are_installed_run_and_removed));
    assert!(status != 0 && err.contains("No such file"), "{out}{err}");
}
fn client_of_drivers_are_installed_run_and_removed() {
    let fd = open("/dev/numbers/0");
    assert_eq!(ioctl(fd, 0x7701, 12), Ok(0));
    assert_eq!(open_mode("/dev/numbers/0"), (0o020_640, 2));
    let listed = std::fs::read_dir("/dev/numbers").unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(listed.collect::<Vec<_>>(), ["0"]);
    let fd = open("/devices/pseudo/waits@0:waits0");
    assert_eq!(ioctl(fd, 0x7505, 0), Ok(0));
    assert_eq!(open_mode("/dev/waits0"), (0o020_640, 1));
}

fn open_mode(device: &str) -> (u32, u64) {
    let meta = std::fs::metadata(device).unwrap();
    (meta.mode(), meta.rdev() >> 8)
}

fn a_driver_that_does_not_attach_is_installed_with_a_warning() {
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

/// As on illumos: what devfsadm has no line for is below /devices only, and links stay behind.
fn names_in_dev_are_the_links_that_devlink_tab_makes() {
    let dir = system(&[("waits", WAITS)]);
    let (root, link) = (path(dir.path()), dir.path().join("dev/waits0"));
    let tab = dir.path().join("etc/devlink.tab");
    std::fs::write(&tab, "type=ddi_pseudo;name=wait\t\\M0\ntype=ddi_pseudo;name=waits;minor=waits\t\\D0\n")
        .unwrap();
    let (status, _, err) = host(&["add_drv", "--root", root, "waits"]);
    let none = format!("no line of {} is about it, so it has no name in /dev", tab.display());
    let said = format!("NOTICE: /devices/pseudo/waits@0:waits0: {none}");
    assert!(status == 0 && err.contains(&said), "{err}");
    let shell = |command: &str| host(&["run", "--root", root, "--", "sh", "-c", command]);
    let (status, out, err) = shell("test ! -e /dev/waits0 && ls /devices/pseudo");
    assert!(status == 0 && out == "waits@0:waits0\n" && err.contains(&said), "{out}{err}");
    assert!(!link.is_symlink());

    std::fs::write(&tab, "type=ddi_pseudo;name=waits\t\\M0\n").unwrap();
    let (status, _, err) = shell("test -c /dev/waits0");
    assert!(status == 0 && !err.contains("NOTICE"), "{err}");
    assert_eq!(std::fs::read_link(&link).unwrap(), Path::new("../devices/pseudo/waits@0:waits0"));
    assert_eq!(host(&["rem_drv", "--root", root, "waits"]).0, 0);
    assert!(link.is_symlink());
}

/// A shell under the host that has done what it was given, and waits for [`tell`].
fn run_until_told(root: &str, script: &str) -> Child {
    let mut running = Command::new(env!("CARGO_BIN_EXE_ddi-host"))
        .args(["run", "--root", root, "--", "sh", "-c", &format!("{script}echo here; read line")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(running.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "here\n");
    running
}

/// Lets the shell end.
fn tell(mut running: Child) {
    running.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(running.wait().unwrap().success());
}

fn a_driver_in_use_cannot_be_unloaded() {
    let dir = system(&[("waits", WAITS)]);
    let root = path(dir.path());
    assert_eq!(host(&["add_drv", "--root", root, "waits"]).0, 0);
    let running = run_until_told(root, "");
    let (status, _, err) = host(&["rem_drv", "--root", root, "waits"]);
    assert_eq!(status, 0);
    assert!(err.ends_with("Cannot unload module: waits\nWill be unloaded upon reboot.\n"), "{err}");
    tell(running);
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
        // Without a machine modinfo shows nothing on its standard output, not even its heading.
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

fn a_machine_that_stays_up_keeps_drivers_while_programs_come_and_go() {
    let dir = system(&[("counters", "name=\"counters\" parent=\"pseudo\" instance=0;\n")]);
    let root = path(dir.path());
    let mut machine = Machine::start(root);
    let (status, _, err) = host(&["serve", "--root", root]);
    assert!(status == 1 && err.contains("another ddi-host serves this system"), "{err}");

    let client = std::env::current_exe().unwrap();
    let add_twelve = || {
        let half = half!(client_of_a_machine_that_stays_up);
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
    assert_eq!((fields[3], fields[5]), ("1", "counters"), "{table}");

    // What one program leaves in the driver, the next one finds.
    add_twelve();
    added(12);
    add_twelve();
    added(24);

    let id = fields[0].to_owned();
    let unload = || host(&["modunload", "--root", root, "-i", &id]);
    let open = run_until_told(root, "exec 3</dev/counters0; ");
    assert_eq!(unload(), (16, String::new(), "can't unload the module: Device busy\n".into()));
    assert!(modules().contains("counters"));
    tell(open);
    assert_eq!(unload(), (0, String::new(), String::new()));
    assert!(!modules().contains("counters"));
    assert_eq!(host(&["rem_drv", "--root", root, "counters"]), (0, String::new(), String::new()));
    assert_eq!(shell("test -c /dev/counters0").0, 1);

    // Installed anew with another configuration file, it has that one's nodes, and the number that it had.
    std::fs::write(
        dir.path().join("kernel/drv/counters.conf"),
        "name=\"counters\" parent=\"pseudo\" instance=4;\n",
    )
    .unwrap();
    assert_eq!(host(&["add_drv", "--root", root, "counters"]).0, 0);
    assert_eq!(shell("test -c /dev/counters4").0, 0);
    assert!(module(root, &[], "counters")[3] == "1", "{}", modules());
    assert_eq!(machine.end(), Some(0));
    assert_eq!(modules(), "");
}

fn a_machine_that_stays_up_shows_who_faults_while_it_happens() {
    let dir = system(&[("chain", "name=\"chain\" parent=\"pseudo\" instance=0;\n")]);
    let root = path(dir.path());
    let (status, _, err) = host(&["top", "--root", root]);
    assert!(status == 1 && err.contains("ddi-host serve"), "{err}");
    let mut machine = Machine::start(root);
    assert_eq!(host(&["add_drv", "--root", root, "-m", "* 0666 root sys", "chain"]).0, 0);
    let client = std::env::current_exe().unwrap();
    let half = half!(client_of_a_machine_that_stays_up_shows_who_faults);
    let mut faults = Command::new(env!("CARGO_BIN_EXE_ddi-host"))
        .args(["run", "--root", root, "--", path(&client), "--client", half])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut told, mut line) = (BufReader::new(faults.stdout.take().unwrap()), String::new());
    told.read_line(&mut line).unwrap();
    let look = || {
        let (status, out, err) = host(&["top", "--root", root, "-i", "0.2", "-c", "2"]);
        assert_eq!((status, err.as_str()), (0, ""), "{out}");
        let blocks: Vec<&str> = out.trim_end().split("\n\n").collect();
        assert_eq!(blocks.len(), 2, "{out}");
        assert!(!out.contains('\x1b'), "{out}");
        // Names come from /proc: the process is older than the recording.
        (blocks[1].contains(" modules_c") && blocks[1].contains("  chain0 0x1000"), out)
    };
    // On a busy machine the process may not run at all while it is looked at.
    let looks: Vec<(bool, String)> = (0..20).map(|_| look()).take_while(|(seen, _)| !seen).collect();
    assert!(looks.len() < 20, "{looks:?}");
    drop(faults.stdin.take());
    assert!(faults.wait().unwrap().success());

    let (_, out, _) = host(&["kstat", "--root", root, "-q", "-T", "u", "1", "2"]);
    let times: Vec<u64> = out.split_whitespace().map(|time| time.parse().unwrap()).collect();
    assert!(times.len() == 2 && times[1] > times[0], "{out}");
    assert_eq!(machine.end(), Some(0));
}
fn client_of_a_machine_that_stays_up_shows_who_faults() {
    let fd = open("/dev/chain0");
    let mut end = [libc::pollfd { fd: 0, events: libc::POLLIN, revents: 0 }];
    println!("faults now");
    // SAFETY: one place for one answer.
    while unsafe { libc::poll(end.as_mut_ptr(), 1, 5) } == 0 {
        let at = map(fd, 0x1000, 0x1000, libc::MAP_SHARED);
        set_word(at, 0, 1);
        // SAFETY: the page that was mapped just now.
        assert_eq!(unsafe { libc::munmap(at.cast(), 0x1000) }, 0);
    }
}

/// The fields of a module's line.
fn module(root: &str, options: &[&str], name: &str) -> Vec<String> {
    let args: Vec<&str> = ["modinfo", "--root", root].iter().chain(options).copied().collect();
    let (status, table, err) = host(&args);
    assert_eq!((status, err.as_str()), (0, ""));
    let line = table.lines().find(|line| line.split_whitespace().any(|word| word == name));
    line.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

fn a_device_whose_module_was_unloaded_is_attached_again_when_it_is_opened() {
    let dir = system(&[("counters", "name=\"counters\" parent=\"pseudo\" instance=0;\n"), ("waits", WAITS)]);
    let root = path(dir.path());
    let mut machine = Machine::start(root);
    for name in ["counters", "waits"] {
        assert_eq!(host(&["add_drv", "--root", root, "-m", "* 0640 root sys", name]).0, 0);
    }
    let client = std::env::current_exe().unwrap();
    let add_twelve = || {
        let half = half!(client_of_a_machine_that_stays_up);
        let (status, out, err) = host(&["run", "--root", root, "--", path(&client), "--client", half]);
        assert!(status == 0 && out.contains(run::PASSED), "{out}{err}");
    };
    let shell = |command: &str| host(&["run", "--root", root, "--", "sh", "-c", command]);
    add_twelve();
    let id = module(root, &[], "counters")[0].clone();
    assert_eq!(host(&["modunload", "--root", root, "-i", &id]), (0, String::new(), String::new()));
    // The names stay, with what they looked like; looking at them loads nothing.
    assert_eq!(
        shell("stat -c '%a %t' /dev/counters0 /devices/pseudo/counters@0:counters0").1,
        "640 1\n640 1\n"
    );
    assert!(module(root, &[], "counters").is_empty());
    let gone = host(&["modinfo", "--root", root, "-i", &id]);
    assert_eq!(gone, (22, String::new(), "can't get module information: Invalid argument\n".into()));
    assert_eq!(module(root, &["-c"], "counters")[1..], ["1", "counters", "UNLOADED/UNINSTALLED"]);

    // It is a new instance: it has counted nothing but this program's.
    add_twelve();
    let added = host(&["kstat", "--root", root, "-p", "counters:::added"]).1;
    assert_eq!(added, "counters:0:numbers:added\t12\n");
    assert_eq!(
        module(root, &["-c", "-i", &id], "counters"),
        [id.as_str(), "2", "counters", "LOADED/INSTALLED"]
    );

    // All that are not in use go, and come back one by one.
    let open = run_until_told(root, "exec 3</dev/waits0; ");
    assert_eq!(host(&["modunload", "--root", root, "-i", "0"]), (0, String::new(), String::new()));
    assert!(module(root, &[], "counters").is_empty() && !module(root, &[], "waits").is_empty());
    tell(open);
    assert_eq!(host(&["modunload", "--root", root, "-i", "0"]).0, 0);
    assert_eq!(host(&["modinfo", "--root", root]).1.lines().count(), 3);
    add_twelve();

    // A driver that cannot be loaded any more makes the open fail; one that has been removed has no name.
    assert_eq!(host(&["modunload", "--root", root, "-i", "0"]).0, 0);
    let file = dir.path().join("kernel/drv/amd64/counters");
    std::fs::rename(&file, dir.path().join("counters")).unwrap();
    let (status, _, err) = shell("cat /dev/counters0");
    assert!(status == 1 && err.contains("No such device or address"), "{err}");
    std::fs::rename(dir.path().join("counters"), &file).unwrap();
    assert_eq!(host(&["rem_drv", "--root", root, "counters"]), (0, String::new(), String::new()));
    assert_eq!(shell("test -e /dev/counters0").0, 1);
    assert_eq!(machine.end(), Some(0));
}

fn modules_are_loaded_by_file_and_by_name() {
    let dir = system(&[("counters", "name=\"counters\" parent=\"pseudo\" instance=0;\n"), ("waits", WAITS)]);
    let root = path(dir.path());
    let mut machine = Machine::start(root);
    let load =
        |words: &[&str]| host(&["modload", "--root", root].iter().chain(words).copied().collect::<Vec<_>>());
    let refused = |errno: i32, words: &str| (errno, String::new(), format!("can't load module: {words}\n"));
    assert_eq!(load(&["-p", "drv/absent"]), refused(2, "No such file or directory"));
    assert_eq!(load(&["absent"]), refused(2, "No such file or directory"));
    assert_eq!(load(&["/bin/sh"]), refused(22, "Invalid argument"));
    // A driver without a major number: add_drv gives it one.
    assert_eq!(load(&["-p", "drv/counters"]), refused(6, "No such device or address"));
    assert!(module(root, &[], "counters").is_empty());
    let usage = "usage:  modload [-p] [-e <exec_file>] <filename>\n";
    assert_eq!(load(&[]), (255, String::new(), usage.into()));
    assert_eq!(load(&["-x", "f"]), (255, String::new(), format!("modload: illegal option -- x\n{usage}")));

    // It is loaded and not attached, and goes when it is named only.
    assert_eq!(host(&["add_drv", "--root", root, "counters"]).0, 0);
    assert_eq!(host(&["modunload", "--root", root, "-i", "0"]).0, 0);
    assert_eq!(load(&["-p", "drv/counters"]), (0, String::new(), String::new()));
    let fields = module(root, &[], "counters");
    assert_eq!((fields[3].as_str(), fields[5].as_str()), ("1", "counters"));
    assert_eq!(host(&["kstat", "--root", root, "-p", "counters:::added"]).1, "");
    assert_eq!(host(&["modunload", "--root", root, "-i", "0"]).0, 0);
    assert!(!module(root, &[], "counters").is_empty());
    assert_eq!(host(&["run", "--root", root, "--", "sh", "-c", "exec 3</dev/counters0"]).0, 0);
    assert_eq!(host(&["kstat", "--root", root, "-p", "counters:::added"]).1, "counters:0:numbers:added\t0\n");
    let (id, unload) = (&fields[0], host(&["modunload", "--root", root, "-i", &fields[0]]));
    assert_eq!(unload, (0, String::new(), String::new()));

    // By its file, with a program that is told its number and its major number.
    let file = dir.path().join("kernel/drv/amd64/counters");
    let (status, out, err) = load(&["-e", "/bin/echo", path(&file)]);
    assert_eq!((status, out, err.as_str()), (0, format!("{id} 1\n"), ""));
    let (status, out, _) = load(&["-e", "/bin/false", path(&file)]);
    assert_eq!((status, out.as_str()), (1, "'/bin/false' returned error 1.\n"));
    assert_eq!(machine.end(), Some(0));
}

fn what_the_module_commands_say_when_they_are_called_wrongly() {
    let dir = system(&[("waits", WAITS), ("counters", "name=\"counters\" parent=\"pseudo\" instance=0;\n")]);
    let root = path(dir.path());
    let info = "usage:  modinfo [-w] [-c] [-i module-id]\n";
    let load = "usage:  modload [-p] [-e <exec_file>] <filename>\n";
    let unload = "usage:  modunload -i <module_id> [-e <exec_file>]\n";
    for (words, said) in [
        (&["modinfo", "--root", root, "-z"][..], format!("modinfo: illegal option -- z\n{info}")),
        (&["modinfo", "--root", root, "-i"], format!("modinfo: option requires an argument -- i\n{info}")),
        (&["modinfo", "--root", root, "-i", "x"], "Invalid id x\n".into()),
        (&["modinfo", "--root", root, "-u"], info.into()),
        (&["modunload", "--root", root], unload.into()),
        (&["modunload", "--root", root, "-i", "x"], "Invalid id x\n".into()),
        (&["modunload", "--root", root, "-i"], unload.into()),
        (&["modload", "--root", root, "a", "b", "c", "d", "e"], load.into()),
    ] {
        assert_eq!(host(words), (255, String::new(), said), "{words:?}");
    }
    // Without a machine: what is known, and what to do.
    let none = format!("modinfo: no machine is up for {root}: start one with ddi-host serve --root {root}");
    let modinfo = || host(&["modinfo", "--root", root]);
    assert_eq!(modinfo(), (1, String::new(), format!("{none} (no driver is installed there)\n")));
    assert_eq!(host(&["add_drv", "--root", root, "waits"]).0, 0);
    assert_eq!(modinfo(), (1, String::new(), format!("{none} (waits is installed there)\n")));
    assert_eq!(host(&["add_drv", "--root", root, "counters"]).0, 0);
    assert_eq!(modinfo(), (1, String::new(), format!("{none} (waits and counters are installed there)\n")));
    for command in [&["modload", "--root", root, "x"][..], &["modunload", "--root", root, "-i", "0"]] {
        let (status, _, err) = host(command);
        assert!(status == 1 && err.contains("start one with ddi-host serve --root"), "{err}");
    }
    let (status, _, err) = host(&["modinfo"]);
    assert!(status == 1 && err.starts_with("modinfo: --root DIR is missing"), "{err}");
}

fn a_directory_that_is_no_system_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (empty, absent) = (dir.path().join("empty"), dir.path().join("absent"));
    std::fs::create_dir(&empty).unwrap();
    let (empty, absent) = (path(&empty), path(&absent));
    let makes = "a system's directory has its drivers in kernel/drv/amd64 or usr/kernel/drv/amd64\n";
    for (command, rest) in [
        ("add_drv", &["waits"][..]),
        ("rem_drv", &["waits"]),
        ("update_drv", &["waits"]),
        ("modload", &["waits"]),
        ("modinfo", &[]),
        ("serve", &[]),
        ("demo", &[]),
        ("run", &["--", "true"]),
    ] {
        let who = if matches!(command, "serve" | "demo" | "run") { "ddi-host" } else { command };
        let with = |root| host(&[command, "--root", root].iter().chain(rest).copied().collect::<Vec<_>>());
        let (status, out, err) = with(absent);
        assert_eq!((status, out.as_str()), (1, ""), "{command}");
        assert_eq!(err, format!("{who}: {absent}: No such file or directory; {makes}"), "{command}");
        let err = with(empty).2;
        assert_eq!(err, format!("{who}: {empty} is no system's directory: it has no kernel/drv; {makes}"));
    }
    assert!(!Path::new(absent).exists());
    assert_eq!(std::fs::read_dir(empty).unwrap().count(), 0);
}

fn client_of_a_machine_that_stays_up() {
    let fd = open("/dev/counters0");
    assert_eq!(ioctl(fd, 0x7701, 12), Ok(0));
}

fn modinfo_shows_a_module_and_what_it_needs() {
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
