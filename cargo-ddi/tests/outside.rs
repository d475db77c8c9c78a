//! A driver of one's own, in a directory outside of this workspace: made from each template, tested, run, packaged.
//!
//! Cargo's target directory is that of this test, so that crates of the registry are compiled once.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Outside, cargo, ddi, good, said, target};

/// A driver that `cargo ddi new` made.
struct Project {
    dir: PathBuf,
    target: PathBuf,
    _parent: Outside,
}

impl Project {
    fn new(name: &str, template: &str) -> Project {
        let parent = Outside::new(template);
        let made = ddi(parent.path(), &["new", name, "--template", template]).output().unwrap();
        let text = good(made, "new");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().display().to_string();
        assert!(text.contains(&format!("on devmap from {root}")), "{text}");
        let dir = parent.path().join(name);
        // Nothing of the template's own name, and nothing to be filled in, is left.
        for file in files(&dir) {
            let text = fs::read_to_string(&file).unwrap();
            let lock = file.ends_with("Cargo.lock") || file.starts_with(dir.join(".git"));
            let left =
                ["newdrv", "Newdrv", "NEWDRV", "@DEP", "@SUM"].iter().find(|word| text.contains(**word));
            assert!(lock || left.is_none(), "{}: {left:?} is left", file.display());
        }
        Project { dir, target: target(), _parent: parent }
    }

    fn run(&self, words: &[&str]) -> String {
        let output = ddi(&self.dir, words).output().unwrap();
        // A driver that does nothing wrong is not told that it did.
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!err.contains("NOTICE") && !err.contains("WARNING"), "{words:?}: {err}");
        good(output, &words.join(" "))
    }

    fn test(&self) {
        cargo(&self.dir, &["test", "--quiet"]);
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let (dirs, mut found): (Vec<_>, Vec<_>) =
        entries.filter(|path| !path.ends_with(".git")).partition(|path| path.is_dir());
    found.extend(dirs.iter().flat_map(|dir| files(dir)));
    found
}

fn modules() -> bool {
    cargo_ddi::module::toolchain::find().is_ok()
}

/// Lines that `cargo ddi run` prints without a program: the output of the project's own.
const PROGRAMS: [(&str, &str, &[&str]); 4] = [
    ("oneplain", "plain", &["/dev/oneplain0: wrote \"hello\", read \"hello\"", "maps 1, faults 1"]),
    ("onecontext", "context", &["turn 3: context 0 has 3", "turn 3: context 1 has 300"]),
    ("ring", "ring", &["event 4", "0 lost"]),
    ("onepci", "pci", &["a window of 65536 bytes; wrote 0x600d, read 0x600d", "revision 1, interrupts 1"]),
];

#[test]
fn each_template_is_a_driver_that_passes_its_tests_and_runs() {
    if common::elsewhere() {
        return;
    }
    let mut made = Vec::new();
    for (name, template, lines) in PROGRAMS {
        let project = Project::new(name, template);
        if template == "ring" {
            the_page_of_the_ring(&project);
        }
        // `cargo ddi test` tests the first.
        if template != "plain" || !modules() {
            project.test();
        }
        // The first as whatever can be built here, the others linked in: building a module takes a while.
        let words: &[&str] = if template == "plain" { &["run"] } else { &["run", "--linked"] };
        let text = project.run(words);
        for line in lines {
            assert!(text.contains(line), "{template}: {line}:\n{text}");
        }
        if template == "plain" {
            the_rest_of_the_commands(&project);
        }
        made.push(project);
    }
    several_drivers(&made[0], &made[3]);
}

/// docs/ring.md: its code is the template's, and its commands print what it shows. The project gets a test beside those of the template.
fn the_page_of_the_ring(project: &Project) {
    let page = include_str!("../../docs/ring.md");
    let squeeze =
        |text: &str| text.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join("\n");
    let read = |file: &str| fs::read_to_string(project.dir.join(file)).unwrap();
    let (mut code, mut commands) = (0, 0);
    for part in page.split("\n```").skip(1).step_by(2) {
        match part.split_once('\n').unwrap() {
            ("rust", text) => {
                let driver = squeeze(&read("src/lib.rs"));
                assert!(driver.contains(&squeeze(text)), "the driver has no\n{text}");
                code += 1;
            }
            ("conf", text) => assert_eq!(text.to_owned() + "\n", read("ring.conf")),
            ("console", text) => {
                for command in text.trim_start_matches("$ ").split("\n$ ") {
                    let (line, output) = command.split_once('\n').unwrap();
                    let bin = Path::new(env!("CARGO_BIN_EXE_cargo-ddi")).parent().unwrap();
                    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
                    let mut shell = common::command("sh", &project.dir, &["-c", line]);
                    let said = good(shell.env("PATH", path).output().unwrap(), line);
                    assert_eq!(said.trim_end(), output.trim_end(), "{line}");
                    commands += 1;
                }
            }
            _ => {}
        }
    }
    assert!(code >= 6 && commands == 2, "{code} blocks of code, {commands} commands");
    fs::write(project.dir.join("tests/edges.rs"), include_str!("ring/edges.rs")).unwrap();
    let more = "\nlibc.workspace = true\n\n[[test]]\nname = \"edges\"\nharness = false\n";
    let manifest = read("Cargo.toml");
    let (before, after) = manifest.split_once("devmap-test.workspace = true\n").unwrap();
    let manifest = format!("{before}devmap-test.workspace = true{more}{after}");
    fs::write(project.dir.join("Cargo.toml"), manifest).unwrap();
}

/// Two drivers in one run, of which one has a board: linked in, and as a module file beside.
fn several_drivers(plain: &Project, pci: &Project) {
    let pci = pci.dir.to_str().unwrap();
    let script = "oneplainctl both && ls /dev/onepci0 && kstat -p 'onepci:0:onepci:maps'";
    let words = |how: &[&str]| {
        let mut words = vec!["run"];
        words.extend(how);
        words.extend(["--driver", "oneplain", "--driver", pci, "--", "sh", "-c", script]);
        cargo(&plain.dir, &["build", "--quiet", "--workspace", "--bins"]);
        let mut command = ddi(&plain.dir, &words);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", plain.target.join("debug").display()));
        good(command.output().unwrap(), &words.join(" "))
    };
    let mut ways = vec![&["--linked"][..]];
    ways.extend(modules().then_some(&[][..]));
    for how in ways {
        let text = words(how);
        assert!(
            text.contains("wrote \"both\"") && text.contains("/dev/onepci0\nonepci:0:onepci:maps\t0"),
            "{text}"
        );
    }
    let twice = ddi(&plain.dir, &["run", "--linked", "--driver", "oneplain", "--driver", "oneplain", "true"])
        .output()
        .unwrap();
    assert!(!twice.status.success() && said(&twice).contains("oneplain is named twice"), "{}", said(&twice));
}

fn the_rest_of_the_commands(project: &Project) {
    let linked = project.run(&["run", "--linked", "--kstat", "--", "oneplainctl", "again"]);
    assert!(
        linked.contains("wrote \"again\"") && linked.contains("oneplain:0:oneplain:faults\t1"),
        "{linked}"
    );
    // The host's options are passed on, and its errors are those of the command.
    let wrong =
        ddi(&project.dir, &["run", "--linked", "--config", "/nosuch", "--", "true"]).output().unwrap();
    assert!(!wrong.status.success() && said(&wrong).contains("/nosuch: No such file"), "{}", said(&wrong));
    // The same with a trace, of which a page is made, however the program ends.
    let status =
        ddi(&project.dir, &["trace", "--linked", "sh", "-c", "oneplainctl; exit 7"]).output().unwrap();
    assert_eq!(status.status.code(), Some(7), "{}", said(&status));
    assert!(said(&status).contains("trace.html in a browser"), "{}", said(&status));
    let page = fs::read_to_string(project.target.join("trace.html")).unwrap();
    assert!(page.contains("Timeline of oneplain0"));
    let none = ddi(&project.dir, &["run", "--driver", "nosuch", "true"]).output().unwrap();
    assert_eq!(none.status.code(), Some(2));
    assert!(said(&none).contains("nosuch is no driver of this workspace (oneplain)"), "{}", said(&none));
    if !modules() {
        return println!("skipped: modules: no library sources");
    }
    let module = project.target.join("module/oneplain");
    let json: serde_json::Value = serde_json::from_str(&project.run(&["module", "--json"])).unwrap();
    assert_eq!(json["modules"][0]["path"].as_str(), module.to_str());
    assert!(json["modules"][0]["text"].as_u64().unwrap() > 10_000, "{json}");
    // Where it was built is nobody's business.
    let bytes = fs::read(&module).unwrap();
    for path in [project.dir.to_str().unwrap(), env!("CARGO_MANIFEST_DIR").trim_end_matches("/cargo-ddi")] {
        assert!(
            !bytes.windows(path.len()).any(|window| window == path.as_bytes()),
            "the module has {path} in it"
        );
    }
    let file = format!("{},conf=oneplain.conf", module.display());
    let text = project.run(&["run", "--driver", &file, "oneplainctl"]);
    assert!(text.contains("maps 1, faults 1"), "{text}");
    // With --json nothing else is on standard output.
    let tested = |words: &[&str]| -> serde_json::Value {
        let words = [&["test", "--json"], words].concat();
        serde_json::from_str(&project.run(&words)).unwrap()
    };
    let both = serde_json::json!({"linked": "passed", "module": "passed"});
    assert_eq!(tested(&["--", "--quiet"]), both);
    let own = ["--framework", "own"];
    let nextest = common::command(env!("CARGO"), &project.dir, &["nextest", "--version"]).output().unwrap();
    if nextest.status.success() {
        assert_eq!(tested(&[&own[..], &["--nextest", "--", "--status-level", "none"]].concat()), both);
    } else {
        println!("skipped: nextest: it is not installed");
        assert_eq!(tested(&[&own[..], &["--", "--quiet"]].concat()), both);
    }
    the_package(project);
    the_machine(project);
}

/// The driver is installed in a virtual machine, and the program finds it there; then a program that fails.
fn the_machine(project: &Project) {
    let on_path = |name: &str| {
        let path = std::env::var_os("PATH").unwrap();
        std::env::split_paths(&path).any(|dir| dir.join(name).is_file())
    };
    if let Some(lacks) = ["qemu-system-x86_64", "ssh", "dpkg-deb"].iter().find(|name| !on_path(name)) {
        return println!("skipped: vm test: no {lacks}");
    }
    let script = "oneplainctl in-a-guest && ls /dev/oneplain0 && exit 3";
    let output = ddi(&project.dir, &["vm", "test", "--json", "--", "sh", "-c", script]).output().unwrap();
    let text = said(&output);
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!((report["guest"].as_str(), report["driver"].as_str()), (Some("linux"), Some("oneplain")));
    // The program's failure is the result, and the driver was removed all the same.
    assert_eq!(output.status.code(), Some(1), "{text}");
    let suite = &report["suites"][0];
    assert_eq!((&suite["device"], &suite["fail"]), (&"sh".into(), &1.into()), "{report}");
    assert_eq!(suite["cases"][0]["message"], "exit status 3: /dev/oneplain0", "{report}");
    for line in ["/dev/oneplain0", "oneplain is removed", "done "] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // In a pipe there are lines, and nothing that moves.
    assert!(!text.contains(['\u{1b}', '\r']), "{text:?}");
}

/// The archive has what install.sh needs, made for this driver.
fn the_package(project: &Project) {
    let json: serde_json::Value = serde_json::from_str(&project.run(&["package", "--json"])).unwrap();
    let archive = fs::read(json["archive"].as_str().unwrap()).unwrap();
    let mut names = Vec::new();
    for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
        names.push(entry.unwrap().path().unwrap().display().to_string());
    }
    let wanted = ["oneplain", "install.sh", "remove.sh", "oneplain.p5m", "oneplain.conf", "LICENSE"];
    assert_eq!(names, wanted.map(|name| format!("oneplain-0.1.0/{name}")));
    let dir = Path::new(json["dir"].as_str().unwrap());
    let script = fs::read_to_string(dir.join("install.sh")).unwrap();
    assert!(script.contains("name=oneplain\n") && script.contains("nodes=\"oneplain0\"\n"), "{script}");
    let manifest = fs::read_to_string(dir.join("oneplain.p5m")).unwrap();
    for line in [
        "set name=pkg.fmri value=pkg:/driver/misc/oneplain@0.1.0",
        "license LICENSE license=\"MIT\"",
        "depend type=require fmri=pkg:/system/kernel",
    ] {
        assert!(manifest.contains(line), "{line}:\n{manifest}");
    }
    assert!(!(script + &manifest).contains('@') || !manifest.contains("@NAME@"), "{manifest}");
}
