//! The administrator's commands against a record of what illumos's own say and do: `admin-commands.txt`, whose head explains it.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use regex_lite::Regex;

use crate::run;

tests!(every_command_line_says_and_does_what_illumos_s_own_does);

const HOST: &str = env!("CARGO_BIN_EXE_ddi-host");
const RECORD: &str = include_str!("admin-commands.txt");

const COMMANDS: [&str; 7] = ["add_drv", "rem_drv", "update_drv", "modload", "modunload", "modinfo", "kstat"];

/// `for f in /dev/ctxdev*; do ls -lL "$f"; done` of a system whose group 3 is sys.
const LSDEV: &str = r#"for f in /dev/ctxdev*; do
    if stat=$(stat -L -c '%A 1 %u %g %t %T' "$f" 2>/dev/null); then
        set -- $stat; s=0
        [ "$3" = 0 ] && [ "$4" = 3 ] && echo "$1 $2 root sys $((0x$5)), $((0x$6)) Nov 29 03:21:44 $f"
    else
        echo "$f: No such file or directory"; s=2
    fi
done
exit $s"#;

/// The drivers of the steps `put`: their names and flags.
const DRIVERS: [(&str, &str, &[&str]); 6] = [
    ("ctxdev", "context-switching device 0.1", &["-DADMIN_COUNTS"]),
    ("fatt", "fatt test", &["-DADMIN_ATTACH_FAILS"]),
    ("finit", "finit test", &["-DADMIN_INIT_FAILS"]),
    ("fsym", "fsym test", &["-DADMIN_SYMBOL"]),
    ("good", "good test", &[]),
    ("fdet", "fdet test", &["-DADMIN_DETACH_FAILS"]),
];

/// One entry of the record, with the number of its line.
struct Entry<'a> {
    line: usize,
    head: &'a str,
    /// The indented lines below.
    body: Vec<&'a str>,
}

fn entries() -> Vec<Entry<'static>> {
    let mut all: Vec<Entry> = Vec::new();
    for (at, text) in RECORD.lines().enumerate().filter(|(_, l)| !l.is_empty() && !l.starts_with('#')) {
        match text.strip_prefix("  ") {
            Some(body) => all.last_mut().unwrap().body.push(body),
            None => all.push(Entry { line: at + 1, head: text, body: Vec::new() }),
        }
    }
    all
}

/// A machine, ended when dropped.
struct Serve(Child);

impl Serve {
    fn end(mut self) {
        // SAFETY: our child, not waited for yet.
        unsafe { libc::kill(self.0.id().cast_signed(), libc::SIGTERM) };
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Module files by kind.
type Modules = HashMap<&'static str, Vec<u8>>;

fn modules() -> Modules {
    let mut all = Modules::new();
    for (name, description, flaw) in DRIVERS {
        let dir = tempfile::tempdir().unwrap();
        let (name_flag, description) =
            (format!("-DADMIN_NAME=\"{name}\""), format!("-DADMIN_DESCRIPTION=\"{description}\""));
        let flags: Vec<&str> = [&name_flag[..], &description].iter().chain(flaw).copied().collect();
        all.insert(name, fs::read(run::link(dir.path(), name, &["admin"], &flags).unwrap()).unwrap());
    }
    let mut narrow = all["good"].clone();
    // ELFCLASS32, EM_386.
    (narrow[4], narrow[18]) = (1, 3);
    let others =
        [("empty", vec![]), ("four-bytes", narrow[..4].to_vec()), ("text", b"#!/bin/sh\nexit 0\n".to_vec())];
    all.extend(others);
    all.insert("narrow", narrow);
    all
}

struct Machine {
    /// bin, modules, root.
    dir: tempfile::TempDir,
    serve: Serve,
    /// A process that has a device open until this is closed.
    open: Option<(Child, ChildStdin)>,
    /// The module that `$ID` is about.
    module: String,
}

impl Machine {
    fn boot() -> Machine {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        for name in ["bin", "root/kernel/drv/amd64", "root/etc", "directory"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        fs::write(root.join("etc/name_to_major"), "asy 1\nisa 2\n").unwrap();
        fs::write(root.join("etc/driver_aliases"), "asy \"pnpPNP,500\"\nisa \"pciclass,060100\"\n").unwrap();
        fs::write(root.join("etc/minor_perm"), "").unwrap();
        for name in COMMANDS {
            let text = format!("exec {HOST} {name} --root {} \"$@\"", root.display());
            run::script(&dir.path().join("bin").join(name), &text);
        }
        let lsdev =
            format!("exec {HOST} run --root {} -- sh -c '{}'", root.display(), LSDEV.replace('\'', "'\\''"));
        run::script(&dir.path().join("bin/lsdev"), &lsdev);
        let mut serve = Command::new(HOST);
        serve.args(["serve", "--root"]).arg(&root).stderr(Stdio::null());
        let serve = Serve(serve.spawn().unwrap());
        let machine = Machine { dir, serve, open: None, module: String::new() };
        crate::devices::until(|| machine.shell("modinfo", "").1.contains("genunix"));
        machine
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Status and output of a command line.
    fn shell(&self, command: &str, id: &str) -> (i32, String) {
        let path = format!("{}:/usr/bin:/bin", self.dir.path().join("bin").display());
        let out = Command::new("sh")
            .args(["-c", &format!("exec 2>&1; {command}")])
            .env("PATH", path)
            .env("ID", id)
            .output();
        let out = out.unwrap();
        (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap())
    }

    /// The number of the module as modinfo shows it.
    fn id(&self) -> String {
        let table = self.shell("modinfo", "").1;
        let row = table.lines().find(|line| line.split_whitespace().nth(5) == Some(&self.module));
        row.and_then(|row| row.split_whitespace().next()).unwrap_or_default().to_owned()
    }

    fn step(&mut self, step: &str, modules: &Modules) {
        let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
        let (name, rest_of) = rest.split_once(' ').unwrap_or((rest, ""));
        let drv = self.root().join("kernel/drv");
        match verb {
            "put" | "misplace" => {
                let right = drv.join("amd64").join(name);
                let _ = fs::remove_file(&right);
                let place = if verb == "put" { right } else { drv.join(name) };
                fs::write(place, &modules[rest_of]).unwrap();
            }
            "conf" => {
                let file = drv.join(format!("{name}.conf"));
                match rest_of {
                    "" => fs::remove_file(file).unwrap(),
                    text => fs::write(file, format!("{text}\n")).unwrap(),
                }
            }
            "tab" => fs::write(self.root().join("etc/devlink.tab"), format!("{rest}\n")).unwrap(),
            "id" => name.clone_into(&mut self.module),
            "add_drv" | "rem_drv" => {
                self.shell(step, "");
            }
            "open" => {
                let mut held = Command::new(HOST);
                held.args(["run", "--root"]).arg(self.root());
                held.args(["--", "sh", "-c", "exec 3<$0; echo open; read line", name]);
                let mut held = held.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
                let mut line = String::new();
                BufReader::new(held.stdout.take().unwrap()).read_line(&mut line).unwrap();
                assert_eq!(line, "open\n");
                let input = held.stdin.take().unwrap();
                self.open = Some((held, input));
            }
            "close" => {
                let (mut held, input) = self.open.take().unwrap();
                drop(input);
                held.wait().unwrap();
            }
            _ => panic!("the record has a step {step}"),
        }
    }

    /// The command line with this machine's paths.
    fn line(&self, command: &str) -> String {
        let at = |dir: &str| format!(" {}{dir}", self.root().display());
        let command = command.replace(" /kernel/", &at("/kernel/")).replace(" /etc/", &at("/etc/"));
        command.replace("DIRECTORY", self.dir.path().join("directory").to_str().unwrap())
    }

    /// What a file of etc holds.
    fn database(&self, name: &str) -> Vec<String> {
        plain(&fs::read_to_string(self.root().join("etc").join(name)).unwrap_or_default())
    }
}

/// Lines with words and single blanks, without empty ones.
fn plain(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect()
}

/// Are these the lines of the record? A usage is recorded as such; `...` stands for one line and more.
fn same(recorded: &[&str], said: &[String]) -> bool {
    let usage = said.iter().position(|line| line.to_lowercase().starts_with("usage"));
    let said = match usage {
        Some(at) if recorded.last() == Some(&"(usage)") => [&said[..at], &["(usage)".to_owned()]].concat(),
        _ => said.to_vec(),
    };
    let (recorded, more) = match recorded {
        [known @ .., "..."] => (known, true),
        known => (known, false),
    };
    let enough = if more { said.len() > recorded.len() } else { said.len() == recorded.len() };
    enough && recorded.iter().zip(&said).all(|(recorded, said)| same_line(recorded, said))
}

fn same_line(recorded: &str, said: &str) -> bool {
    let words = plain(recorded).concat();
    let mut pattern = regex_lite::escape(&words);
    for (name, stands_for) in [
        ("ID", "[0-9]+"),
        ("MAJ", "[0-9]+"),
        ("ADDR", "[0-9a-f]+"),
        ("SIZE", "[0-9a-f]+"),
        ("TIME", "([0-9]+[.][0-9]+|[A-Z].*[0-9]+:[0-9]{2}:[0-9]{2}.*)"),
    ] {
        let word = Regex::new(&format!("(^|[ :]){name}(?-u:\\b)")).unwrap();
        pattern = word.replace_all(&pattern, format!("${{1}}{stands_for}")).into_owned();
    }
    Regex::new(&format!("^{pattern}$")).unwrap().is_match(said)
}

fn every_command_line_says_and_does_what_illumos_s_own_does() {
    let modules = modules();
    let mut machine = None;
    let mut differs = Vec::new();
    let mut compared = 0;
    for Entry { line, head, body } in entries() {
        match (head.split_once(' ').unwrap(), &mut machine) {
            (("+", "boot"), machine) => *machine = Some(Machine::boot()),
            (("+", "halt"), machine) => machine.take().unwrap().serve.end(),
            (("+", step), Some(machine)) => machine.step(step, &modules),
            (("=", file), Some(machine)) => {
                let holds = machine.database(file);
                if !same(&body, &holds) {
                    differs.push(format!("{line}: /etc/{file} holds {holds:?}"));
                }
            }
            ((number, rest), Some(machine)) => {
                let (status, command) = rest.split_once(' ').unwrap();
                let id = if command.contains("$ID") { machine.id() } else { String::new() };
                let (ended, said) = machine.shell(&machine.line(command), &id);
                let said = plain(&said.replace(machine.root().to_str().unwrap(), ""));
                compared += 1;
                // What is known to differ, and why, is below it.
                let (emulation, recorded): (Vec<&str>, Vec<&str>) =
                    body.iter().partition(|line| line.starts_with("~ "));
                let recorded = match &emulation[..] {
                    [] => recorded,
                    lines => lines.iter().map(|line| &line[2..]).collect(),
                };
                if status != ended.to_string() || !same(&recorded, &said) {
                    differs.push(format!("{line}: {number} {command}: {ended} {said:#?}"));
                }
            }
            ((_, _), None) => panic!("{line}: no machine is up"),
        }
    }
    assert!(differs.is_empty(), "{} of {compared} lines:\n{}", differs.len(), differs.join("\n"));
    assert_eq!(compared, 264 + 24);
}
