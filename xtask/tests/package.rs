//! example-driver/pkg: install.sh and remove.sh on a system made of a directory and of commands that answer as illumos's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A system: its root directory, and the commands in `bin`.
struct System {
    dir: tempfile::TempDir,
}

/// What illumos's commands do to the databases. `$ROOT/fail` holds the name of the way in which they go wrong.
const ADD_DRV: &str = r#"#!/bin/sh
fail=$(cat "$ROOT/fail" 2>/dev/null)
while [ $# -gt 1 ]; do
    case $1 in
    -m) echo "$3" >/dev/null; perms=$2; shift 2 ;;
    -i) alias=$2; shift 2 ;;
    *) exit 1 ;;
    esac
done
[ "$fail" = refused ] && { echo "No major number" >&2; exit 1; }
echo "$1 300" >>"$ROOT/etc/name_to_major"
echo "$1:$perms" >>"$ROOT/etc/minor_perm"
[ -z "$alias" ] || echo "$1 $alias" >>"$ROOT/etc/driver_aliases"
[ "$fail" = attach ] && { echo "Driver ($1) successfully added to system but failed to attach" >&2; exit 0; }
[ "$fail" = node ] && exit 0
mkdir -p "$ROOT/dev" && : >"$ROOT/dev/${1}0"
[ -z "$alias" ] || : >"$ROOT/dev/${1}pci0"
echo loaded >"$ROOT/loaded"
"#;
const REM_DRV: &str = r#"#!/bin/sh
for file in name_to_major driver_aliases; do
    [ -f "$ROOT/etc/$file" ] && sed -i "/^$1 /d" "$ROOT/etc/$file"
done
rm -f "$ROOT/dev/${1}0" "$ROOT/dev/${1}pci0" "$ROOT/etc/minor_perm"
"#;
const MODINFO: &str = r#"#!/bin/sh
echo " Id Loadaddr   Size Info Rev Module Name"
[ -f "$ROOT/loaded" ] && echo "200 fffffffff8000000 b000 300 1 ctxdev (ctxdev example)"
exit 0
"#;
const MODUNLOAD: &str = r#"#!/bin/sh
[ "$1 $2" = "-i 200" ] || exit 2
[ "$(cat "$ROOT/fail" 2>/dev/null)" = busy ] && { echo "can't unload the module: Device busy" >&2; exit 1; }
rm "$ROOT/loaded"
"#;

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../example-driver/pkg")
}

impl System {
    fn new() -> System {
        let system = System { dir: tempfile::tempdir().unwrap() };
        fs::create_dir_all(system.path("bin")).unwrap();
        fs::create_dir_all(system.path("root/etc")).unwrap();
        fs::create_dir_all(system.path("pkg")).unwrap();
        for (name, text) in
            [("add_drv", ADD_DRV), ("rem_drv", REM_DRV), ("modinfo", MODINFO), ("modunload", MODUNLOAD)]
        {
            fs::write(system.path("bin").join(name), text).unwrap();
            fs::set_permissions(system.path("bin").join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        for entry in fs::read_dir(package()).unwrap().flatten() {
            fs::copy(entry.path(), system.path("pkg").join(entry.file_name())).unwrap();
        }
        fs::write(system.path("pkg/ctxdev"), "a module").unwrap();
        fs::write(system.path("root/etc/devlink.tab"), "type=ddi_pseudo;name=other\t\\M0\n").unwrap();
        system
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, script: &str, args: &[&str]) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        let mut command = Command::new("sh");
        command.arg(self.path("pkg").join(script)).args(args).env("PATH", path);
        command.env("ROOT", self.path("root")).env("NODE_CHECK", "test -f").output().unwrap()
    }

    fn fail(&self, how: &str) {
        fs::write(self.path("root/fail"), how).unwrap();
    }

    fn has(&self, name: &str) -> bool {
        self.path("root").join(name).exists()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path("root").join(name)).unwrap_or_default()
    }

    /// Nothing of the driver is left.
    fn assert_clean(&self) {
        for file in ["kernel/drv/amd64/ctxdev", "kernel/drv/ctxdev.conf", "dev/ctxdev0", "loaded"] {
            assert!(!self.has(file), "{file} is left");
        }
        for file in ["etc/name_to_major", "etc/driver_aliases", "etc/devlink.tab"] {
            assert!(!self.text(file).contains("ctxdev"), "{file}: {}", self.text(file));
        }
        assert_eq!(self.text("etc/devlink.tab"), "type=ddi_pseudo;name=other\t\\M0\n");
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn installs_and_removes() {
    let system = System::new();
    let installed = system.run("install.sh", &[]);
    assert!(installed.status.success(), "{}", said(&installed));
    assert!(said(&installed).contains("/dev/ctxdev0"), "{}", said(&installed));
    assert_eq!(system.text("kernel/drv/amd64/ctxdev"), "a module");
    assert!(system.text("kernel/drv/ctxdev.conf").contains("parent=\"pseudo\""));
    assert!(system.text("etc/devlink.tab").contains("type=ddi_pseudo;name=ctxdev\t\\M0\n"));
    assert_eq!(system.text("etc/minor_perm"), "ctxdev:* 0666 root sys\n");
    let again = system.run("install.sh", &[]);
    assert!(!again.status.success() && said(&again).contains("installed already"), "{}", said(&again));
    let removed = system.run("remove.sh", &[]);
    assert!(removed.status.success(), "{}", said(&removed));
    system.assert_clean();
}

#[test]
fn an_alias_gets_links_and_loses_them() {
    let system = System::new();
    let installed = system.run("install.sh", &["pci1af4,1110"]);
    assert!(installed.status.success(), "{}", said(&installed));
    assert_eq!(system.text("etc/driver_aliases"), "ctxdev \"pci1af4,1110\"\n");
    assert!(system.text("etc/devlink.tab").contains("type=ddi_pseudo;minor=ctxdevpci0\t\\M0\n"));
    assert!(said(&installed).contains("/dev/ctxdevpci0"), "{}", said(&installed));
    assert!(system.run("remove.sh", &[]).status.success());
    system.assert_clean();
}

#[test]
fn what_does_not_work_is_taken_back() {
    for (how, words) in [
        ("refused", "add_drv failed with status 1"),
        ("attach", "the driver does not attach"),
        ("node", "there is no "),
    ] {
        let system = System::new();
        system.fail(how);
        let output = system.run("install.sh", &[]);
        assert!(!output.status.success(), "{how}: {}", said(&output));
        assert!(said(&output).contains(words), "{how}: {}", said(&output));
        system.assert_clean();
    }
}

#[test]
fn a_driver_in_use_is_not_removed() {
    let system = System::new();
    assert!(system.run("install.sh", &[]).status.success());
    system.fail("busy");
    let output = system.run("remove.sh", &[]);
    assert!(!output.status.success() && said(&output).contains("ctxdev is in use"), "{}", said(&output));
    assert!(system.has("kernel/drv/amd64/ctxdev") && system.text("etc/name_to_major").contains("ctxdev"));
    system.fail("");
    assert!(system.run("remove.sh", &[]).status.success());
    system.assert_clean();
}

#[test]
fn missing_parts_are_named() {
    let system = System::new();
    fs::remove_file(system.path("pkg/ctxdev")).unwrap();
    let output = system.run("install.sh", &[]);
    assert!(
        !output.status.success() && said(&output).contains("cargo xtask module makes it"),
        "{}",
        said(&output)
    );
    fs::remove_file(system.path("bin/add_drv")).unwrap();
    let output = system.run("install.sh", &[]);
    assert!(!output.status.success() && said(&output).contains("there is no add_drv"), "{}", said(&output));
    system.assert_clean();
}
