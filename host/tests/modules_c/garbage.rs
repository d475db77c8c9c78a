//! Drivers whose tables lead nowhere, and entry points that do not come back: one report with the pointer, the structure and the driver, and status 1.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run;

tests!(
    without_garbage_nothing_is_said,
    tables_that_lead_nowhere,
    linkages_that_lead_nowhere,
    entry_points_that_crash,
    entry_points_that_never_end,
    functions_that_nobody_has
);

/// A driver that is wrong in one way.
fn module(dir: &Path, how: u32) -> PathBuf {
    run::link(dir, "garbage", &["garbage"], &[&format!("-DGARBAGE={how}"), "-Wno-unused"]).unwrap()
}

/// Runs `ddi-host`; status and both outputs. It must not take long, whatever the driver does.
fn host(words: &[&str]) -> (i32, String) {
    let out = Command::new("timeout")
        .args(["-s", "KILL", "20", env!("CARGO_BIN_EXE_ddi-host")])
        .args(words)
        .env("DDI_HOST_SPIN_LIMIT", "0.2")
        .env("DDI_HOST_WAIT_LIMIT", "0.2")
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    (out.status.code().unwrap_or_else(|| panic!("{words:?} took 20 seconds:\n{text}")), text)
}

#[track_caller]
fn one_report(what: &str, (status, text): (i32, String), texts: &[&str]) {
    for part in texts {
        assert!(text.contains(part), "{what}: {part:?} is not in:\n{text}");
    }
    assert_eq!(status, 1, "{what}:\n{text}");
    assert_eq!(text.matches("driver mistake:").count(), 1, "{what}: one report, not more:\n{text}");
    assert!(!text.contains("panicked"), "{what}:\n{text}");
}

/// The directory of a system in which the driver, with a node, was installed before it became wrong.
fn system(dir: &Path, how: u32) -> String {
    let drv = dir.join("root/kernel/drv");
    std::fs::create_dir_all(drv.join("amd64")).unwrap();
    std::fs::write(drv.join("garbage.conf"), "name=\"garbage\" parent=\"pseudo\" instance=0;\n").unwrap();
    std::fs::create_dir(dir.join("root/etc")).unwrap();
    std::fs::write(dir.join("root/etc/devlink.tab"), "type=ddi_pseudo;name=garbage\t\\M0\n").unwrap();
    module(&drv.join("amd64"), 0);
    let root = dir.join("root").to_str().unwrap().to_owned();
    let added = host(&["add_drv", "--root", &root, "garbage"]);
    assert_eq!(added, (0, String::new()));
    module(&drv.join("amd64"), how);
    root
}

/// The module as a run's driver, and as one of a system that is kept up.
#[track_caller]
fn dies_in_run_and_serve(how: u32, texts: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let file = module(dir.path(), how);
    let words = ["run", "--driver", file.to_str().unwrap(), "--", "ls", "/dev/garbage0"];
    one_report(&format!("run {how}"), host(&words), texts);
    one_report(&format!("serve {how}"), host(&["serve", "--root", &system(dir.path(), how)]), texts);
}

/// The same, and `modinfo` of the file.
#[track_caller]
fn dies_everywhere(how: u32, texts: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let file = module(dir.path(), how);
    one_report(&format!("modinfo {how}"), host(&["modinfo", file.to_str().unwrap()]), texts);
    dies_in_run_and_serve(how, texts);
}

fn without_garbage_nothing_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let file = module(dir.path(), 0);
    let (status, text) = host(&["modinfo", file.to_str().unwrap()]);
    assert!(status == 0 && text.contains("garbage (a driver of garbage)"), "{text}");
    let (status, text) = host(&["run", "--driver", file.to_str().unwrap(), "--", "ls", "/dev/garbage0"]);
    assert!(status == 0 && !text.contains("mistake"), "{text}");
}

fn tables_that_lead_nowhere() {
    const NOWHERE: &str = "of garbage is 0xdead0000beef0000, ";
    let memory = format!("{NOWHERE}where there is no memory");
    let function = format!("{NOWHERE}which is no function");
    let init = ["at garbage`_init+0x", "in garbage: _init(9E)"];
    let install = |texts: &[&str], how| dies_in_run_and_serve(how, &[texts, &init].concat());
    install(&["mistake: mod_install: cb_ops.cb_ioctl ", &function, "cb_ops(9S)"], 1);
    install(&["mistake: mod_install: cb_ops.cb_ioctl ", "which is no function", "cb_ops(9S)"], 2);
    install(&["mistake: mod_install: cb_ops.cb_str ", &memory, "cb_ops(9S)"], 3);
    install(&["mistake: mod_install: dev_ops.devo_getinfo ", &function, "dev_ops(9S)"], 4);
    install(&["mistake: mod_install: dev_ops.devo_attach of garbage is 0x8, ", "dev_ops(9S)"], 5);
    install(&["mistake: mod_install: dev_ops.devo_cb_ops ", &memory, "dev_ops(9S)"], 6);
    install(&["mistake: mod_install: dev_ops.devo_cb_ops of garbage is 0x10, ", "dev_ops(9S)"], 7);
    install(&["mistake: mod_install: dev_ops.devo_bus_ops ", &memory, "dev_ops(9S)"], 8);
    install(&["mistake: mod_install: ", "the mod_ops of garbage is 0xdead0000beef0000"], 9);
    install(&["mistake: mod_install: modldrv.drv_dev_ops ", &memory, "modldrv(9S)"], 12);
    install(&["mistake: mod_install: modldrv.drv_dev_ops of garbage is 0x18, ", "modldrv(9S)"], 13);
}

fn linkages_that_lead_nowhere() {
    const NOWHERE: &str = " of garbage is 0xdead0000beef0000, where there is no memory";
    let info = ["at garbage`_info+0x", "in garbage: _info(9E)"];
    let linked = |texts: &[&str], how| dies_everywhere(how, &[texts, &info].concat());
    linked(&["mistake: mod_info: modlinkage.ml_linkage[0]->drv_linkinfo", NOWHERE, "modldrv(9S)"], 10);
    linked(&["mistake: mod_info: modlinkage.ml_linkage[0]->drv_linkinfo of garbage is 0x1, "], 11);
    linked(&["mistake: mod_info: modlinkage.ml_linkage[0]", NOWHERE, "modlinkage(9S)"], 14);
    linked(&["mistake: mod_info: modlinkage.ml_linkage[0] of garbage is 0x20, "], 15);
    linked(&["mistake: mod_info: modlinkage.ml_linkage[1]", NOWHERE], 16);
    linked(&["mistake: mod_info: the modlinkage", NOWHERE], 17);
    linked(&["mistake: mod_info: the modlinkage of garbage is 0x0, "], 18);
}

fn entry_points_that_crash() {
    let init = "in garbage: _init(9E)";
    dies_in_run_and_serve(20, &["garbage`_init+0x", "a NULL pointer is used (address 0x8)", init]);
    dies_in_run_and_serve(24, &["garbage: _init(9E) returned with another value in %rbx"]);
    let info = "in garbage: _info(9E)";
    dies_everywhere(25, &["garbage`_info+0x", "a NULL pointer is used (address 0x10)", info]);
    dies_everywhere(29, &["garbage`_info+0x", "the address is not a canonical one", info]);
}

fn entry_points_that_never_end() {
    const SPINS: &str = "the call has taken 0.2 seconds of processor time and does not come back";
    const SLEEPS: &str = "the call has slept for 0.2 seconds and nothing wakes it";
    const WAIT: &str = "at garbage`wait_for_ever+0x";
    let init = "in garbage: _init(9E)";
    let attach = "in garbage: attach(9E)";
    let info = "in garbage: _info(9E)";
    let fini = || {
        let dir = tempfile::tempdir().unwrap();
        let file = module(dir.path(), 33);
        let ran = host(&["run", "--driver", file.to_str().unwrap(), "--", "true"]);
        one_report("_fini", ran, &["mistake: cv_wait: ", SLEEPS, "in garbage: _fini(9E)"]);
    };
    // Those that spin one after another: what they are given is processor time.
    std::thread::scope(|all| {
        all.spawn(|| {
            dies_in_run_and_serve(21, &["mistake: garbage`_init+0x", SPINS, init]);
            dies_in_run_and_serve(23, &["spin_in_the_kernel+0x", SPINS, init]);
            dies_in_run_and_serve(30, &["mistake: garbage`garbage_attach+0x", SPINS, attach]);
            dies_everywhere(26, &["mistake: garbage`_info+0x", SPINS, info]);
            dies_everywhere(28, &["spin_in_the_kernel+0x", SPINS, info]);
        });
        all.spawn(|| dies_in_run_and_serve(22, &["mistake: cv_wait: ", SLEEPS, WAIT, init]));
        all.spawn(|| dies_in_run_and_serve(31, &["mistake: delay: ", SLEEPS, "garbage_attach+0x", attach]));
        all.spawn(|| dies_everywhere(27, &["mistake: cv_wait: ", SLEEPS, WAIT, info]));
        all.spawn(fini);
    });
}

/// Functions that nobody has: all are named when the module is loaded; or, if that is asked for, the one that is called, with its caller.
fn functions_that_nobody_has() {
    const ILLUMOS: &str = "illumos has it, the host has not";
    const NOBODY: &str = "the host has it not, nor has a dependency";
    let run = |how: u32, options: &[&str], program: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let file = module(dir.path(), how);
        let words = [&["run"], options, &["--driver", file.to_str().unwrap(), "--"], program].concat();
        host(&words)
    };
    let (status, text) = run(40, &[], &["true"]);
    let needed = "; needed by garbage_open";
    let named = [format!("symbol cpu_online: {ILLUMOS}{needed}"), format!("symbol of_nobody: {NOBODY}")];
    assert!(status == 1 && named.iter().all(|name| text.contains(name)), "{text}");
    // Nothing is called, so nothing happens.
    let (status, text) = run(40, &["--allow-missing"], &["ls", "/dev/garbage0"]);
    assert!(status == 0 && named.iter().all(|name| text.contains(name)), "{text}");
    assert!(text.contains("WARNING: garbage: undefined symbol of_nobody"), "{text}");
    let open = ["cat", "/dev/garbage0"];
    let caller = ["at garbage`garbage_open+0x", "in garbage: open(9E), for process "];
    let first = format!("mistake: cpu_online: the function is called, and {ILLUMOS}");
    one_report("open", run(40, &["--allow-missing"], &open), &[&[&*first][..], &caller].concat());
    let unknown = format!("mistake: of_nobody: the function is called, and {NOBODY}");
    one_report("open", run(41, &["--allow-missing"], &open), &[&[&*unknown][..], &caller].concat());
    let pointer = "mistake: only_pointed_at: the function is called";
    one_report("open", run(42, &["--allow-missing"], &open), &[&[pointer][..], &caller].concat());
    // A variable cannot be left out.
    let (status, text) = run(43, &["--allow-missing"], &["true"]);
    assert!(
        status == 1 && text.contains("cannot load module 'garbage': undefined symbol a_variable"),
        "{text}"
    );
    // As a system's driver.
    let dir = tempfile::tempdir().unwrap();
    let root = system(dir.path(), 41);
    let words = ["run", "--allow-missing", "--root", &root, "--", "cat", "/dev/garbage0"];
    one_report("a system's", host(&words), &[&[&*unknown][..], &caller].concat());
}
