//! The install.sh and remove.sh that `cargo ddi package` makes, on a system made of a directory and of commands that answer as illumos's.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cargo_ddi::module::Package;
use cargo_ddi::package;

/// A system: its root directory, and the commands in `bin`. `other` is another system's directory.
struct System {
    dir: tempfile::TempDir,
}

/// What illumos's commands do to the databases of `$FILES`, or of `-b`. `$FILES/fail` holds the name of the way in which they go wrong, `$FILES/calls` what
/// was called.
const ADD_DRV: &str = r#"#!/bin/sh
echo "add_drv $*" >>"$FILES/calls"
fail=$(cat "$FILES/fail" 2>/dev/null)
at=$FILES
while [ $# -gt 1 ]; do
    case $1 in
    -m) perms=$2; shift 2 ;;
    -i) alias=$2; shift 2 ;;
    -b) at=$2; shift 2 ;;
    *) exit 1 ;;
    esac
done
[ "$fail" = refused ] && { echo "No major number" >&2; exit 1; }
echo "$1 300" >>"$at/etc/name_to_major"
echo "$1:$perms" >>"$at/etc/minor_perm"
[ -z "$alias" ] || echo "$1 $alias" >>"$at/etc/driver_aliases"
[ "$at" = "$FILES" ] || { echo "Reboot client to install driver." >&2; exit 0; }
[ "$fail" = load ] || echo loaded >"$FILES/loaded"
case $fail in
load | attach | stuck)
    echo "devfsadm: driver failed to attach: $1" >&2
    echo "Warning: Driver ($1) successfully added to system but failed to attach" >&2
    exit 0 ;;
node) exit 0 ;;
esac
mkdir -p "$FILES/dev" "$FILES/devices/pseudo"
for node in "$1@100:${1}0" ${alias:+"pci1af4,1110@4:${1}pci0"}; do
    : >"$FILES/devices/pseudo/$node"
    ln -sf "../devices/pseudo/$node" "$FILES/dev/${node##*:}"
done
"#;
const REM_DRV: &str = r#"#!/bin/sh
echo "rem_drv $*" >>"$FILES/calls"
at=$FILES
[ "$1" != -b ] || { at=$2; shift 2; }
for file in name_to_major driver_aliases; do
    [ ! -f "$at/etc/$file" ] || sed -i "/^$1 /d" "$at/etc/$file"
done
rm -f "$at/etc/minor_perm"
[ "$at" != "$FILES" ] || rm -rf "$FILES/devices/pseudo"
"#;
const MODINFO: &str = r#"#!/bin/sh
echo "modinfo $*" >>"$FILES/calls"
echo " Id Loadaddr   Size Info Rev Module Name"
[ -f "$FILES/loaded" ] && echo "200 fffffffff8000000 b000 300 1 ctxdev (ctxdev example)"
exit 0
"#;
const MODUNLOAD: &str = r#"#!/bin/sh
echo "modunload $*" >>"$FILES/calls"
[ "$1 $2" = "-i 200" ] || exit 2
case $(cat "$FILES/fail" 2>/dev/null) in
busy | stuck) echo "can't unload the module: Device busy" >&2; exit 16 ;;
esac
rm "$FILES/loaded"
"#;

/// ctxdev, for which the scripts are made; without PCI devices, unless a test names one.
fn driver() -> Package {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../example-driver/Cargo.toml");
    Package { aliases: Vec::new(), ..Package::read(&manifest).unwrap() }
}

/// A file of the form of a module: an ELF header, a section with contents, one without, their headers at the end.
fn module() -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file.extend([0x90; 40]);
    let from = file.len();
    (file[0x28], file[0x3a], file[0x3c]) = (u8::try_from(from).unwrap(), 64, 3);
    file.extend([0; 3 * 64]);
    // SHT_PROGBITS and SHT_NOBITS; sh_offset, sh_size.
    (file[from + 64 + 4], file[from + 64 + 24], file[from + 64 + 32]) = (1, 64, 40);
    (file[from + 128 + 4], file[from + 128 + 24], file[from + 128 + 34]) = (8, 104, 1);
    file
}

impl System {
    fn new() -> System {
        let system = System { dir: tempfile::tempdir().unwrap() };
        for dir in ["bin", "root/etc", "pkg", "other"] {
            fs::create_dir_all(system.path(dir)).unwrap();
        }
        for (name, text) in
            [("add_drv", ADD_DRV), ("rem_drv", REM_DRV), ("modinfo", MODINFO), ("modunload", MODUNLOAD)]
        {
            system.command_is(name, text);
        }
        for (name, text) in ["install.sh", "remove.sh"].iter().zip(package::scripts(&driver()).unwrap()) {
            fs::write(system.path("pkg").join(name), text).unwrap();
        }
        fs::copy(driver().conf().unwrap(), system.path("pkg/ctxdev.conf")).unwrap();
        fs::write(system.path("pkg/ctxdev"), module()).unwrap();
        fs::write(system.path("root/etc/devlink.tab"), "type=ddi_pseudo;name=other\t\\M0\n").unwrap();
        system
    }

    fn command_is(&self, name: &str, text: &str) {
        let file = self.path("bin").join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, script: &str, args: &[&str]) -> Command {
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        let mut command = Command::new("sh");
        command.arg(self.path("pkg").join(script)).args(args).env("PATH", path);
        command.env("FILES", self.path("root")).env("SYSTEM", self.path("root")).env("NODE_CHECK", "test -f");
        command
    }

    fn run(&self, script: &str, args: &[&str]) -> Output {
        self.command(script, args).output().unwrap()
    }

    fn fail(&self, how: &str) {
        fs::write(self.path("root/fail"), how).unwrap();
    }

    fn has(&self, name: &str) -> bool {
        self.path("root").join(name).symlink_metadata().is_ok()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path("root").join(name)).unwrap_or_default()
    }

    /// Nothing of the driver is left.
    fn assert_clean(&self) {
        for file in
            ["kernel/drv/amd64/ctxdev", "kernel/drv/ctxdev.conf", "dev/ctxdev0", "dev/ctxdevpci0", "loaded"]
        {
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
    assert_eq!(fs::read(system.path("root/kernel/drv/amd64/ctxdev")).unwrap(), module());
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
    assert!(system.has("dev/ctxdevpci0"));
    assert!(system.run("remove.sh", &[]).status.success());
    system.assert_clean();
}

/// devfsadm leaves the links of lines in devlink.tab. Those of others stay: that of another driver, and a name that an administrator gave.
#[test]
fn links_to_nodes_that_are_gone_are_removed_and_no_others() {
    let system = System::new();
    assert!(system.run("install.sh", &[]).status.success());
    let dev = system.path("root/dev");
    fs::write(dev.join("there"), "").unwrap();
    let others = [
        ("ctxdev", "there"),
        ("ctxdev-of-mine", "ctxdev0"),
        ("ctxdevil0", "../devices/pseudo/ctxdevil@0:ctxdevil0"),
        ("ctxdevpci7", "../devices/pci@0,0/pci1af4,1110@4:ctxdevpci7"),
        ("other0", "../devices/pseudo/other@0:other0"),
    ];
    for (link, to) in others {
        symlink(to, dev.join(link)).unwrap();
    }
    symlink("../devices/pseudo/ctxdev@101:ctxdev1", dev.join("ctxdev1")).unwrap();
    assert!(system.run("remove.sh", &[]).status.success());
    for (link, _) in others {
        assert!(system.has(&format!("dev/{link}")), "{link} is gone");
    }
    assert!(!system.has("dev/ctxdev0") && !system.has("dev/ctxdev1"));
}

#[test]
fn what_does_not_work_is_taken_back() {
    for (how, words) in [
        ("refused", "add_drv failed with status 1; everything was taken back"),
        ("load", "the module does not load: the loader's reason is at the end of /var/adm/messages"),
        (
            "attach",
            "the module loads and no node attaches: ctxdev.conf names none, or the driver's attach(9E)",
        ),
        ("node", "the driver attaches, but there is no "),
    ] {
        let system = System::new();
        system.fail(how);
        let output = system.run("install.sh", &[]);
        assert!(!output.status.success(), "{how}: {}", said(&output));
        assert!(said(&output).contains(words), "{how}: {}", said(&output));
        assert!(said(&output).ends_with("everything was taken back\n"), "{how}: {}", said(&output));
        system.assert_clean();
    }
}

#[test]
fn what_cannot_be_taken_back_is_said() {
    let system = System::new();
    system.fail("stuck");
    let output = system.run("install.sh", &[]);
    assert!(!output.status.success() && !said(&output).contains("everything was"), "{}", said(&output));
    let why = "not everything could be taken back: can't unload the module: Device busy\nremove.sh: ctxdev is in use";
    assert!(said(&output).contains(why), "{}", said(&output));
    assert!(system.text("etc/name_to_major").contains("ctxdev"));
    // A file where a directory should be.
    let system = System::new();
    fs::write(system.path("root/kernel"), "").unwrap();
    let output = system.run("install.sh", &[]);
    let why = "the files could not be written; everything was taken back";
    assert!(!output.status.success() && said(&output).contains(why), "{}", said(&output));
    assert!(!system.text("calls").contains("add_drv") && !system.text("etc/devlink.tab").contains("ctxdev"));
    // A package without its other half.
    let system = System::new();
    fs::remove_file(system.path("pkg/remove.sh")).unwrap();
    system.fail("attach");
    let output = system.run("install.sh", &[]);
    assert!(said(&output).contains("; not everything could be taken back: "), "{}", said(&output));
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

/// After a rem_drv of a busy driver, add_drv would go on with the code that is loaded.
#[test]
fn an_old_module_in_the_kernel_is_unloaded_or_named() {
    let system = System::new();
    fs::write(system.path("root/loaded"), "").unwrap();
    system.fail("busy");
    let output = system.run("install.sh", &[]);
    let why = "an older ctxdev that is busy is still in the kernel, as module 200";
    assert!(!output.status.success() && said(&output).contains(why), "{}", said(&output));
    assert!(!system.text("calls").contains("add_drv") && !system.has("kernel/drv"));
    system.fail("");
    let output = system.run("install.sh", &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(system.text("calls").contains("modunload -i 200\nmodinfo \nadd_drv"), "{}", system.text("calls"));
}

/// A kernel's loader would panic on it.
#[test]
fn a_module_that_was_cut_off_is_refused() {
    let system = System::new();
    let (whole, from) = (module(), 104);
    let (mut far, mut long, mut other) = (whole.clone(), whole.clone(), whole.clone());
    far[0x2f] = 0xff;
    long[from + 64 + 38] = 1;
    other[4] = 1;
    let cut = [0, 3, 20, 63, 64, from, from + 64, whole.len() - 1].map(|len| whole[..len].to_vec());
    for file in cut.iter().chain([&far, &long, &other, &b"a module".to_vec()]) {
        fs::write(system.path("pkg/ctxdev"), file).unwrap();
        let output = system.run("install.sh", &[]);
        assert!(!output.status.success(), "{} bytes", file.len());
        assert!(said(&output).contains("is not a whole module"), "{}", said(&output));
        assert!(!system.has("kernel") && !system.has("calls"), "{} bytes", file.len());
    }
}

/// Another system's directory: nothing is asked of the running one, nothing in it changes.
#[test]
fn another_system_s_directory_is_changed_alone() {
    let system = System::new();
    assert!(system.run("install.sh", &[]).status.success());
    let files = || {
        let list =
            Command::new("find").arg(system.path("root")).args(["!", "-name", "calls"]).output().unwrap();
        (list.stdout, system.text("etc/name_to_major"), system.text("etc/devlink.tab"), system.text("loaded"))
    };
    let (before, other) = (files(), system.path("other"));
    fs::remove_file(system.path("root/calls")).unwrap();
    let run = |script, args: &[&str]| {
        let mut command = system.command(script, args);
        command.env("ROOT", &other).output().unwrap()
    };
    let installed = run("install.sh", &["pci1af4,1110"]);
    assert!(installed.status.success(), "{}", said(&installed));
    let end = format!("ctxdev is in {}: it attaches when that system boots\n", other.display());
    assert!(String::from_utf8_lossy(&installed.stdout) == end, "{}", said(&installed));
    assert!(other.join("kernel/drv/amd64/ctxdev").exists());
    assert_eq!(fs::read_to_string(other.join("etc/name_to_major")).unwrap(), "ctxdev 300\n");

    // As that system left it.
    fs::create_dir(other.join("dev")).unwrap();
    symlink("../devices/pseudo/ctxdev@100:ctxdev0", other.join("dev/ctxdev0")).unwrap();
    let removed = run("remove.sh", &[]);
    assert!(removed.status.success() && said(&removed).contains("is removed from"), "{}", said(&removed));
    assert_eq!(fs::read_to_string(other.join("etc/name_to_major")).unwrap(), "");
    assert_eq!(fs::read_to_string(other.join("etc/devlink.tab")).unwrap(), "");
    assert!(other.join("dev/ctxdev0").symlink_metadata().is_err());
    assert!(!other.join("kernel/drv/amd64/ctxdev").exists());

    assert_eq!(files(), before);
    let at = format!("-b {}", other.display());
    let calls = system.text("calls");
    assert!(calls.lines().count() == 2 && calls.lines().all(|call| call.contains(&at)), "{calls}");
    let output = system.command("install.sh", &[]).env("ROOT", system.path("absent")).output().unwrap();
    assert!(said(&output).contains("absent is no directory"), "{}", said(&output));
}

#[test]
fn a_table_whose_last_line_has_no_end_keeps_it() {
    let system = System::new();
    let tab = "type=ddi_pseudo;name=other\t\\M0";
    fs::write(system.path("root/etc/devlink.tab"), tab).unwrap();
    assert!(system.run("install.sh", &[]).status.success());
    let entered = format!("{tab}\ntype=ddi_pseudo;name=ctxdev\t\\M0\n");
    assert_eq!(system.text("etc/devlink.tab"), entered);
    assert!(system.run("remove.sh", &[]).status.success());
    system.assert_clean();
}

/// A disk that is full when the new table is written.
#[test]
fn a_table_that_cannot_be_written_stays_whole() {
    let system = System::new();
    assert!(system.run("install.sh", &[]).status.success());
    let before = system.text("etc/devlink.tab");
    system.command_is(
        "grep",
        "#!/bin/sh\n[ \"$1\" != -Fvx ] || exit 2\nexec /usr/bin/env PATH=/usr/bin:/bin grep \"$@\"\n",
    );
    let output = system.run("remove.sh", &[]);
    let why = "etc/devlink.tab could not be written";
    assert!(!output.status.success() && said(&output).contains(why), "{}", said(&output));
    assert_eq!(system.text("etc/devlink.tab"), before);
    assert_eq!(fs::read_dir(system.path("root/etc")).unwrap().count(), 2, "a part is left");
    fs::remove_file(system.path("bin/grep")).unwrap();
    assert!(system.run("remove.sh", &[]).status.success());
    system.assert_clean();
}

/// As on a system whose kernel has not been told of /etc/minor_perm since it booted.
#[test]
fn a_node_that_only_root_can_open_is_said() {
    let system = System::new();
    system
        .command_is("ls", "#!/bin/sh\necho \"crw-------   1 root     sys        3, 100 Nov 29 03:20 $2\"\n");
    let output = system.run("install.sh", &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("/dev/ctxdev0 until the system boots or devfsadm -I -P has run"));
}

#[test]
fn missing_parts_are_named() {
    let system = System::new();
    fs::remove_file(system.path("pkg/ctxdev")).unwrap();
    let output = system.run("install.sh", &[]);
    assert!(
        !output.status.success() && said(&output).contains("cargo ddi module makes it"),
        "{}",
        said(&output)
    );
    fs::remove_file(system.path("bin/add_drv")).unwrap();
    let output = system.run("install.sh", &[]);
    assert!(!output.status.success() && said(&output).contains("there is no add_drv"), "{}", said(&output));
    system.assert_clean();
}
