//! The install.sh and remove.sh that `cargo ddi package` makes, with this host's add_drv, rem_drv, modinfo and modunload, and a machine that stays up. The
//! driver is a fixture under ctxdev's name, so that only gcc is needed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::run;

tests!(
    it_installs_and_removes,
    what_does_not_attach_is_taken_back_with_advice,
    another_system_is_left_alone_and_so_is_this_one,
    an_old_module_that_is_busy_is_named
);

const HOST: &str = env!("CARGO_BIN_EXE_ddi-host");

/// Facts about the driver for the scripts.
const FACTS: [(&str, &str); 6] = [
    ("@NAME@", "ctxdev"),
    ("@NODES@", "ctxdev0"),
    ("@PCI@", "ctxdevpci"),
    ("@PERMISSIONS@", "* 0666 root sys"),
    ("@ALIASES_OR_NONE@", "none"),
    ("@ALIASES@", ""),
];

struct System {
    dir: tempfile::TempDir,
}

/// A `ddi-host serve`, ended when dropped.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: our child, not waited for yet.
        unsafe { libc::kill(self.0.id().cast_signed(), libc::SIGTERM) };
        let _ = self.0.wait();
    }
}

impl System {
    /// A system's directory, the package with a module, and commands as illumos names them.
    fn new() -> System {
        let dir = tempfile::tempdir().unwrap();
        for name in ["bin", "pkg", "root/etc"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        for name in ["add_drv", "rem_drv", "modinfo", "modunload"] {
            let line = format!("exec {HOST} {name} --root \"$SYSTEM\" \"$@\"");
            run::script(&dir.path().join("bin").join(name), &line);
        }
        let check = format!("exec {HOST} run --root \"$SYSTEM\" -- test -c \"${{1#\"$SYSTEM\"}}\"");
        run::script(&dir.path().join("bin/node_check"), &check);
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cargo-ddi/templates/package");
        for script in ["install.sh", "remove.sh"] {
            let text = fs::read_to_string(templates.join(script)).unwrap();
            let text = FACTS.iter().fold(text, |text, (place, fact)| text.replace(place, fact));
            fs::write(dir.path().join("pkg").join(script), text).unwrap();
        }
        // The fixture names its nodes after their instances.
        let conf = "name=\"ctxdev\" parent=\"pseudo\" instance=0 unit=0;\n";
        fs::write(dir.path().join("pkg/ctxdev.conf"), conf).unwrap();
        let system = System { dir };
        system.module(&[]);
        system
    }

    /// Another module of the name for the package.
    fn module(&self, flaw: &[&str]) {
        let flags = ["-DADMIN_NAME=\"ctxdev\"", "-DADMIN_DESCRIPTION=\"ctxdev\""];
        let flags: Vec<&str> = flags.iter().chain(flaw).copied().collect();
        run::link(&self.dir.path().join("pkg"), "ctxdev", &["admin"], &flags).unwrap();
    }

    fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("root")
    }

    fn command(&self, program: &str) -> Command {
        let path = format!("{}:/usr/bin:/bin:/usr/sbin", self.dir.path().join("bin").display());
        let mut command = Command::new(program);
        command.env("PATH", path).env("SYSTEM", self.root()).env("NODE_CHECK", "node_check");
        command
    }

    fn sh(&self, name: &str, args: &[&str]) -> Output {
        self.command("sh").arg(self.dir.path().join("pkg").join(name)).args(args).output().unwrap()
    }

    /// `ddi-host serve`, once it is up.
    fn serve(&self) -> Machine {
        let mut serve = Command::new(HOST);
        serve.args(["serve", "--root"]).arg(self.root()).stdout(Stdio::null()).stderr(Stdio::null());
        let machine = Machine(serve.spawn().unwrap());
        // Without a machine modinfo shows nothing, not even its heading.
        crate::devices::until(|| self.command("modinfo").output().is_ok_and(|out| !out.stdout.is_empty()));
        machine
    }

    /// A process that has the device open.
    fn open(&self) -> Child {
        let mut user = self.command(HOST);
        user.args(["run", "--root"]).arg(self.root());
        user.args(["--", "sh", "-c", "exec 3</dev/ctxdev0; echo open; read line"]);
        let mut user = user.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(user.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "open\n");
        user
    }

    fn has(&self, name: &str) -> bool {
        self.root().join(name).symlink_metadata().is_ok()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.root().join(name)).unwrap_or_default()
    }
}

fn close(mut user: Child) {
    drop(user.stdin.take());
    user.wait().unwrap();
}

fn text(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

fn it_installs_and_removes() {
    let system = System::new();
    let _machine = system.serve();
    let installed = system.sh("install.sh", &["pci1af4,1110"]);
    assert!(installed.status.success(), "{}", text(&installed));
    assert!(text(&installed).contains("/dev/ctxdev0"), "{}", text(&installed));
    assert_eq!(system.read("etc/minor_perm"), "ctxdev:* 0666 root sys\n");
    assert_eq!(system.read("etc/driver_aliases"), "ctxdev \"pci1af4,1110\"\n");
    assert!(system.read("etc/devlink.tab").contains("name=ctxdev\t\\M0"));
    assert!(!system.sh("install.sh", &[]).status.success(), "it is installed already");

    assert!(system.has("dev/ctxdev0"));

    // Open: it is not removed, and nothing of it.
    let user = system.open();
    let refused = system.sh("remove.sh", &[]);
    assert!(!refused.status.success() && text(&refused).contains("ctxdev is in use"), "{}", text(&refused));
    assert_eq!(system.read("etc/name_to_major"), "ctxdev 1\n");
    close(user);

    let removed = system.sh("remove.sh", &[]);
    assert!(removed.status.success() && text(&removed).contains("ctxdev is removed"), "{}", text(&removed));
    let left = ["etc/name_to_major", "etc/minor_perm", "etc/driver_aliases", "etc/devlink.tab"];
    assert!(left.iter().all(|file| system.read(file).is_empty()));
    assert!(!system.root().join("kernel/drv/amd64/ctxdev").exists());
    assert!(!system.has("dev/ctxdev0"));
}

fn what_does_not_attach_is_taken_back_with_advice() {
    let system = System::new();
    let _machine = system.serve();
    let fails = |why: &str| {
        let failed = system.sh("install.sh", &[]);
        let said = text(&failed);
        assert!(!failed.status.success() && said.contains(why), "{said}");
        assert!(said.ends_with("everything was taken back\n"), "{said}");
        assert!(
            !system.has("kernel/drv/ctxdev.conf") && system.read("etc/name_to_major").is_empty(),
            "{said}"
        );
        assert!(!text(&system.command("modinfo").output().unwrap()).contains("ctxdev"));
    };
    system.module(&["-DADMIN_ATTACH_FAILS"]);
    fails("the module loads and no node attaches");
    for flaw in ["-DADMIN_INIT_FAILS", "-DADMIN_SYMBOL"] {
        system.module(&[flaw]);
        fails("the module does not load");
    }
    // Cut off: it is not even copied.
    let module = fs::read(system.dir.path().join("pkg/ctxdev")).unwrap();
    fs::write(system.dir.path().join("pkg/ctxdev"), &module[..module.len() - 1]).unwrap();
    let failed = system.sh("install.sh", &[]);
    assert!(text(&failed).contains("is not a whole module"), "{}", text(&failed));
    assert!(!system.has("kernel/drv/amd64/ctxdev"));
}

fn another_system_is_left_alone_and_so_is_this_one() {
    let system = System::new();
    let _machine = system.serve();
    assert!(system.sh("install.sh", &[]).status.success());
    let modules = || text(&system.command("modinfo").output().unwrap());
    let (before, other) = (modules(), system.dir.path().join("other"));
    fs::create_dir(&other).unwrap();
    let run = |name: &str| {
        let mut command = system.command("sh");
        text(&command.arg(system.dir.path().join("pkg").join(name)).env("ROOT", &other).output().unwrap())
    };
    let said = run("install.sh");
    assert!(said.contains(": it attaches when that system boots\n"), "{said}");
    assert_eq!(fs::read_to_string(other.join("etc/name_to_major")).unwrap(), "ctxdev 1\n");
    let said = run("remove.sh");
    assert!(said.contains("ctxdev is removed from "), "{said}");
    assert_eq!(fs::read_to_string(other.join("etc/name_to_major")).unwrap(), "");
    assert_eq!(modules(), before);
    assert!(system.has("dev/ctxdev0") && system.read("etc/name_to_major") == "ctxdev 1\n");
}

fn an_old_module_that_is_busy_is_named() {
    let system = System::new();
    let _machine = system.serve();
    assert!(system.sh("install.sh", &[]).status.success());
    let user = system.open();
    // As an administrator does without remove.sh.
    assert!(system.command("rem_drv").arg("ctxdev").status().unwrap().success());
    let refused = system.sh("install.sh", &[]);
    let why = "an older ctxdev that is busy is still in the kernel, as module 2";
    assert!(!refused.status.success() && text(&refused).contains(why), "{}", text(&refused));
    close(user);
    let installed = system.sh("install.sh", &[]);
    assert!(installed.status.success(), "{}", text(&installed));
}
