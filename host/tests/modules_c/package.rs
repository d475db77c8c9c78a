//! example-driver/pkg's install.sh and remove.sh with this host's add_drv, rem_drv, modinfo and modunload, and a machine that stays up. The
//! driver is a fixture under ctxdev's name, so that only gcc is needed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::run;

const HOST: &str = env!("CARGO_BIN_EXE_ddi-host");

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
            script(
                &dir.path().join("bin").join(name),
                &format!("exec {HOST} {name} --root \"$ROOT\" \"$@\""),
            );
        }
        let check = format!("exec {HOST} run --root \"$ROOT\" -- test -c \"${{1#\"$ROOT\"}}\"");
        script(&dir.path().join("bin/node_check"), &check);
        let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../example-driver/pkg");
        for entry in fs::read_dir(package).unwrap().flatten() {
            fs::copy(entry.path(), dir.path().join("pkg").join(entry.file_name())).unwrap();
        }
        // The fixture names its nodes after their instances.
        let conf = "name=\"ctxdev\" parent=\"pseudo\" instance=0 unit=0;\n";
        fs::write(dir.path().join("pkg/ctxdev.conf"), conf).unwrap();
        let (sources, flags) = (["shape", "shape_other"], ["-DFIX_NAME=\"ctxdev\""]);
        run::link(&dir.path().join("pkg"), "ctxdev", &sources, &flags).unwrap();
        System { dir }
    }

    fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("root")
    }

    fn command(&self, program: &str) -> Command {
        let path = format!("{}:/usr/bin:/bin:/usr/sbin", self.dir.path().join("bin").display());
        let mut command = Command::new(program);
        command.env("PATH", path).env("ROOT", self.root()).env("NODE_CHECK", "node_check");
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

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.root().join(name)).unwrap_or_default()
    }
}

fn script(path: &Path, line: &str) {
    fs::write(path, format!("#!/bin/sh\n{line}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn text(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

pub fn it_installs_and_removes() {
    let system = System::new();
    let _machine = system.serve();
    let installed = system.sh("install.sh", &["pci1af4,1110"]);
    assert!(installed.status.success(), "{}", text(&installed));
    assert!(text(&installed).contains("/dev/ctxdev0"), "{}", text(&installed));
    assert_eq!(system.read("etc/minor_perm"), "ctxdev:* 0666 root sys\n");
    assert_eq!(system.read("etc/driver_aliases"), "ctxdev \"pci1af4,1110\"\n");
    assert!(system.read("etc/devlink.tab").contains("name=ctxdev\t\\M0"));
    assert!(!system.sh("install.sh", &[]).status.success(), "it is installed already");

    // Open: it is not removed, and nothing of it.
    let mut user = system.command(HOST);
    user.args(["run", "--root"]).arg(system.root());
    user.args(["--", "sh", "-c", "exec 3</dev/ctxdev0; echo open; read line"]);
    let mut user = user.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(user.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "open\n");
    let refused = system.sh("remove.sh", &[]);
    assert!(!refused.status.success() && text(&refused).contains("ctxdev is in use"), "{}", text(&refused));
    assert_eq!(system.read("etc/name_to_major"), "ctxdev 1\n");
    drop(user.stdin.take());
    user.wait().unwrap();

    let removed = system.sh("remove.sh", &[]);
    assert!(removed.status.success() && text(&removed).contains("ctxdev is removed"), "{}", text(&removed));
    let left = ["etc/name_to_major", "etc/minor_perm", "etc/driver_aliases", "etc/devlink.tab"];
    assert!(left.iter().all(|file| system.read(file).is_empty()));
    assert!(!system.root().join("kernel/drv/amd64/ctxdev").exists());

    // A module that does not load: everything is taken back.
    fs::write(system.dir.path().join("pkg/ctxdev"), b"\x7fELF\x02 but no more").unwrap();
    let failed = system.sh("install.sh", &[]);
    assert!(
        !failed.status.success() && text(&failed).contains("everything was taken back"),
        "{}",
        text(&failed)
    );
    assert_eq!(system.read("etc/name_to_major"), "");
}
