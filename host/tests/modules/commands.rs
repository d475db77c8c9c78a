//! add_drv, rem_drv and modinfo as illumos's own would answer.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use ddi_host::machine::modinfo::{self, Info, Loaded};
use ddi_krtld::modules::Known;
use ddi_system::add_drv::{AddOptions, Attached, Running, add_drv};
use ddi_system::getopt;
use ddi_system::rem_drv::rem_drv;
use ddi_system::root::{Database, Root};
use ddi_system::update_drv;
use tempfile::{TempDir, tempdir};

use crate::elf::*;
use crate::kernel::Few;

fn system(drivers: &[&str]) -> (TempDir, Root) {
    let dir = tempdir().unwrap();
    for name in drivers {
        Elf::module().write(&dir.path().join("kernel/drv/amd64"), name);
    }
    let root = Root::new(dir.path());
    (dir, root)
}

/// A running system that does what it is told and notes it.
#[derive(Default)]
struct Fake {
    done: RefCell<Vec<String>>,
    busy: bool,
    broken: bool,
}

impl Fake {
    fn note(&self, what: &str, driver: &str) {
        self.done.borrow_mut().push(format!("{what} {driver}"));
    }

    fn done(&self) -> String {
        self.done.take().join(", ")
    }
}

impl Running for Fake {
    fn bind(&self, root: &Root, driver: &str) {
        self.note(&format!("bind {}", root.major(driver).unwrap().unwrap()), driver);
    }
    fn unbind(&self, _: &Root, driver: &str) -> Result<(), i32> {
        self.note("unbind", driver);
        if self.broken { Err(22) } else { Ok(()) }
    }
    fn attach(&self, _: &Root, driver: &str) -> Attached {
        self.note("attach", driver);
        Attached {
            any: !self.broken,
            said: if self.broken { "devfsadm: a line\n".into() } else { String::new() },
        }
    }
    fn unload(&self, _: &Root, driver: &str) -> Result<(), i32> {
        self.note("unload", driver);
        if self.busy { Err(16) } else { Ok(()) }
    }
    fn reread(&self, root: &Root, driver: &str) -> Result<(), i32> {
        self.note("reread", driver);
        root.major(driver).unwrap().map(drop).ok_or(22)
    }
    fn permissions(&self, _: &Root, driver: &str, add: bool) {
        self.note(if add { "permit" } else { "forbid" }, driver);
    }
}

fn add_to(root: &Root, driver: &str, options: &AddOptions, running: &Fake) -> (i32, String) {
    let mut out = Vec::new();
    let status = add_drv(root, driver, options, running, &mut out);
    (status, String::from_utf8(out).unwrap())
}

fn add(root: &Root, driver: &str, options: &AddOptions) -> (i32, String) {
    add_to(root, driver, options, &Fake::default())
}

fn remove_from(root: &Root, driver: &str, elsewhere: bool, running: &Fake) -> (i32, String) {
    let mut out = Vec::new();
    let status = rem_drv(root, driver, elsewhere, running, &mut out);
    (status, String::from_utf8(out).unwrap())
}

fn remove(root: &Root, driver: &str) -> (i32, String) {
    remove_from(root, driver, false, &Fake::default())
}

fn line(root: &Root, database: Database) -> String {
    root.lines(database).unwrap().join("|")
}

#[test]
fn a_driver_is_installed_once_and_removed_once() {
    let (dir, root) = system(&["ctxdev"]);
    fs::write(dir.path().join("kernel/drv/ctxdev.conf"), "name=\"ctxdev\" parent=\"pseudo\";\n").unwrap();
    let options = AddOptions {
        permissions: Some("* 0666 root sys,ctl 0600 root root".into()),
        aliases: Some("\"pci1234,1\" \"acme,ctx\"".into()),
        classes: Some("display".into()),
        ..AddOptions::default()
    };
    assert_eq!(add(&root, "ctxdev", &options), (0, String::new()));
    assert_eq!(line(&root, Database::NameToMajor), "ctxdev 1");
    assert_eq!(line(&root, Database::MinorPerm), "ctxdev:* 0666 root sys|ctxdev:ctl 0600 root root");
    assert_eq!(line(&root, Database::Aliases), "ctxdev \"pci1234,1\"|ctxdev \"acme,ctx\"");
    assert_eq!(line(&root, Database::Classes), "ctxdev\tdisplay");
    let [installed] = &root.installed().unwrap()[..] else { panic!("one driver") };
    assert_eq!(installed.aliases, ["pci1234,1", "acme,ctx"]);
    assert!(installed.module.is_some() && installed.conf.is_some());

    assert_eq!(
        add(&root, "ctxdev", &options),
        (1, "(\"pci1234,1\") already in use as a driver or alias.\n".into())
    );
    // The names are looked for among the aliases first.
    let (status, text) = add(&root, "ctxdev", &AddOptions::default());
    assert_eq!((status, text.as_str()), (1, "(\"ctxdev\") already in use as a driver or alias.\n"));
    assert_eq!(remove(&root, "ctxdev"), (0, String::new()));
    assert!(root.installed().unwrap().is_empty());
    assert_eq!(line(&root, Database::MinorPerm), "");
    assert_eq!(line(&root, Database::RemNameToMajor), "ctxdev 1");
    assert_eq!(remove(&root, "ctxdev"), (1, "Driver (ctxdev) not installed.\n".into()));
    // Its number is not given to another, and it has it again.
    let no_load = AddOptions { no_load: true, ..AddOptions::default() };
    add(&root, "other", &no_load);
    add(&root, "ctxdev", &AddOptions::default());
    assert_eq!(line(&root, Database::NameToMajor), "other 2|ctxdev 1");
    assert_eq!(line(&root, Database::RemNameToMajor), "");
    assert_eq!(
        add(&root, "ctxdev", &AddOptions::default()),
        (1, "Driver (ctxdev) is already installed.\n".into())
    );
}

#[test]
fn a_driver_that_does_not_attach_is_installed_all_the_same() {
    let (_dir, root) = system(&["ctxdev"]);
    let running = Fake { broken: true, ..Fake::default() };
    let options = AddOptions { permissions: Some("* 0666 root sys".into()), ..AddOptions::default() };
    let said = "devfsadm: a line\ndevfsadm: driver failed to attach: ctxdev\n\
                Warning: Driver (ctxdev) successfully added to system but failed to attach\n";
    assert_eq!(add_to(&root, "ctxdev", &options, &running), (0, said.into()));
    assert_eq!(running.done(), "bind 1 ctxdev, permit ctxdev, attach ctxdev");
    assert_eq!(root.major("ctxdev").unwrap(), Some(1));
    // A driver that the kernel does not know is removed, and it is said.
    let said = "Invalid argument\nCannot remove major number binding for 1\n";
    assert_eq!(remove_from(&root, "ctxdev", false, &running), (0, said.into()));
    assert_eq!(running.done(), "unload ctxdev, unbind ctxdev, forbid ctxdev");
    // With an empty list of aliases nothing is bound.
    let options = AddOptions { aliases: Some(String::new()), ..AddOptions::default() };
    add_to(&root, "ctxdev", &options, &running);
    assert_eq!(running.done(), "attach ctxdev");
    assert_eq!(line(&root, Database::Aliases), "ctxdev \"\"");
    assert_eq!(remove_from(&root, "ctxdev", true, &running), (0, String::new()));
    assert_eq!(running.done(), "");
}

#[test]
fn the_databases_have_what_illumos_writes_there() {
    let (_dir, root) = system(&["ctxdev"]);
    let options = AddOptions {
        permissions: Some("  * 0666 root sys  ,a  0600 root sys".into()),
        aliases: Some("x1 \"x2\" \"half".into()),
        classes: Some(String::new()),
        privileges: Some("ctx_one,ctx_two".into()),
        ..AddOptions::default()
    };
    assert_eq!(add(&root, "ctxdev/", &options), (0, String::new()));
    let text = |file: &str| fs::read_to_string(root.dir().join("etc").join(file)).unwrap();
    assert_eq!(text("minor_perm"), "ctxdev:* 0666 root sys \nctxdev:a 0600 root sys\n");
    assert_eq!(text("driver_aliases"), "ctxdev \"x1\"\nctxdev \"x2\"\nctxdev \"half\"\n");
    assert_eq!(text("driver_classes"), "ctxdev\t\n");
    assert_eq!(text("security/extra_privs"), "ctxdev:ctx_one\nctxdev:ctx_two\n");
    let options = AddOptions { privileges: Some("a b".into()), ..AddOptions::default() };
    let refused = "Cannot allocate privilege ``a b'': Invalid argument\n";
    assert_eq!(add(&root, "other", &options), (1, refused.into()));
}

#[test]
fn what_add_drv_refuses() {
    let (dir, root) = system(&["ctxdev"]);
    let none = AddOptions::default();
    assert_eq!(add(&root, "absent", &none), (1, "Cannot find module (absent).\n".into()));
    let (status, text) = add(&root, "/kernel/drv/amd64/ctxdev", &none);
    assert_eq!(status, 1);
    assert!(
        text.contains("specified by path (/kernel/drv/amd64/ctxdev)\n")
            && text.contains("install driver (ctxdev)")
    );
    fs::write(dir.path().join("kernel/drv/amd64/script"), "#!/bin/sh\n").unwrap();
    let (status, text) = add(&root, "script", &none);
    assert!(status == 1 && text.contains("is not in ELF format"), "{text}");
    for (perms, text) in [
        ("* 0666 root", "Option (-m) : missing token: (* 0666 root)\n"),
        ("* 0666 root sys extra", "Option (-m) : missing token: (extra)\n"),
        ("* 7777 root sys", "Bad mode: (7777)\n"),
        ("* -1 root sys", "Bad mode: (-1)\n"),
        (
            "* 0666,ctl 9999 root root x",
            "Option (-m) : missing token: (* 0666)\nBad mode: (9999)\nOption (-m) : missing token: (x)\n",
        ),
        ("", "Usage:"),
    ] {
        let options = AddOptions { permissions: Some(perms.into()), ..none.clone() };
        let (status, said) = add(&root, "ctxdev", &options);
        assert!(status == 1 && said.starts_with(text) && said.contains("Usage:"), "{said}");
    }
    let options = AddOptions { aliases: Some("\"a b\"".into()), ..none.clone() };
    assert!(add(&root, "ctxdev", &options).1.starts_with("Can't have space within double quote"));
    let options = AddOptions { aliases: Some("\"a#b\"".into()), ..none.clone() };
    assert_eq!(add(&root, "ctxdev", &options), (1, "Option (-i) : bad token: (a#b)\n".into()));
    for (policy, text) in [
        ("ctl", "Invalid policy specification\n"),
        ("x:y read_priv_set=none", "Minor device specification cannot include ``:''.\n"),
        ("open_priv_set=none", "Bad policy token: ``open_priv_set''.\n"),
        ("read_priv_set=none,nobody", "Error in privilege set specification: none,[HERE->]nobody\n"),
    ] {
        let options = AddOptions { policy: Some(policy.into()), ..none.clone() };
        assert_eq!(add(&root, "ctxdev", &options), (1, text.into()), "{policy}");
    }
    assert!(root.installed().unwrap().is_empty() && line(&root, Database::DevicePolicy).is_empty());
    assert_eq!(add(&root, "ctxdev/", &none).0, 0, "a slash at the end is none");
    let options = AddOptions { aliases: Some("ctxdev".into()), no_load: true, ..none.clone() };
    let text = "Alias (\"ctxdev\") already in use as driver name.\n";
    assert_eq!(add(&root, "other", &options), (1, text.into()));
    assert_eq!(remove(&root, "ctxdev").0, 0);

    let _other = root.lock().unwrap().unwrap();
    assert_eq!(add(&root, "ctxdev", &none), (1, "add_drv/rem_drv currently busy; try later\n".into()));
}

#[test]
fn without_loading_nothing_needs_to_be_there() {
    let (_dir, root) = system(&[]);
    let options = AddOptions { no_load: true, verbose: true, ..AddOptions::default() };
    assert_eq!(
        add(&root, "later", &options),
        (0, "Reboot client to install driver.\nDriver (later) installed.\n".into())
    );
}

#[test]
fn modules_in_the_wrong_place_or_of_the_wrong_kind_are_entered_and_not_loaded() {
    let reboot = "Reboot client to install driver.\n";
    for (place, class, texts) in [
        (
            "drv",
            2,
            &[
                "Warning: 64-bit version of driver found at ",
                "Place (odd) driver in correct location and run devfsadm -i odd.\n",
            ][..],
        ),
        (
            "drv",
            1,
            &[
                "No 64-bit version of (odd) found; 32-bit version",
                "32-bit driver (odd) not loadable on 64-bit kernel.\n",
            ],
        ),
        (
            "drv/amd64",
            1,
            &[
                "Warning: 32-bit version of driver found at ",
                "32-bit driver (odd) not loadable on 64-bit kernel.\n",
            ],
        ),
    ] {
        let (dir, root) = system(&[]);
        let mut elf = Elf::module();
        elf.class = class;
        elf.write(&dir.path().join("kernel").join(place), "odd");
        let running = Fake::default();
        let (status, said) = add_to(&root, "odd", &AddOptions::default(), &running);
        assert_eq!((status, running.done().as_str()), (0, ""));
        assert!(
            texts.iter().all(|text| said.contains(text)) && said.ends_with(reboot),
            "{place} {class}: {said}"
        );
        assert_eq!(root.major("odd").unwrap(), Some(1));
    }
}

/// update_drv with these words, in which `_` is a blank; its status, what it said, and what it had the running system do.
fn update(root: &Root, words: &str, running: &Fake) -> (i32, String, String) {
    let words: Vec<String> = words.split(' ').map(|word| word.replace('_', " ")).collect();
    let given = getopt::parse("update_drv", update_drv::LETTERS, &words).unwrap();
    let mut out = Vec::new();
    let status = update_drv::update_drv(root, &given, running, &mut out);
    (status, String::from_utf8(out).unwrap(), running.done())
}

#[test]
fn an_installed_driver_is_changed() {
    let (_dir, root) = system(&["ctxdev"]);
    let options = AddOptions { permissions: Some("* 0666 root sys".into()), ..AddOptions::default() };
    assert_eq!(add(&root, "ctxdev", &options).0, 0);
    let idle = Fake::default();
    let ok = |words: &str, does: &str| {
        assert_eq!(update(&root, words, &idle), (0, String::new(), does.into()), "{words}")
    };
    let file = |name: &str| root.dir().join("etc").join(name).display().to_string();
    let none = |database: &str| format!("No entry found for driver (ctxdev) in file ({}).\n", file(database));
    // The same minor name: replaced; another one: added. It is taken away as a whole.
    ok("-a -m *_0600_root_sys ctxdev", "permit ctxdev");
    ok("-a -m ctl_0640_root_root ctxdev", "permit ctxdev");
    assert_eq!(line(&root, Database::MinorPerm), "ctxdev:* 0600 root sys|ctxdev:ctl 0640 root root");
    let reset = "forbid ctxdev, permit ctxdev";
    for part in ["ctl", "*", "ctl_0640__root_root"] {
        let taken = update(&root, &format!("-d -m {part} ctxdev"), &idle);
        assert_eq!(taken, (252, none("minor_perm"), reset.into()), "{part}");
    }
    ok("-d -m ctl_0640_root_root ctxdev", &format!("{reset}, unload ctxdev"));
    ok("-a -n -m n_0600_root_sys ctxdev", "");
    assert_eq!(line(&root, Database::MinorPerm), "ctxdev:* 0600 root sys|ctxdev:n 0600 root sys");
    let internal = format!("Internal error updating ({}).\n{}", file("minor_perm"), none("minor_perm"));
    assert_eq!(update(&root, "-d -m _ ctxdev", &idle), (255, internal, reset.into()));
    // An alias makes the driver be loaded; one that it has is no error. It is taken away without quotes.
    ok("-a -i \"pci1,2\" ctxdev", "bind 1 ctxdev, attach ctxdev");
    ok("-a -i \"pci1,2\"_\"pci3,4\" ctxdev", "bind 1 ctxdev, attach ctxdev");
    ok("-a -i pci3,4 ctxdev", "attach ctxdev");
    assert_eq!(line(&root, Database::Aliases), "ctxdev \"pci1,2\"|ctxdev \"pci3,4\"");
    assert_eq!(
        update(&root, "-d -i \"pci1,2\" ctxdev", &idle),
        (0, none("driver_aliases"), "unload ctxdev".into())
    );
    ok("-d -i pci1,2 ctxdev", "bind 1 ctxdev, unload ctxdev");
    assert_eq!(line(&root, Database::Aliases), "ctxdev \"pci3,4\"");
    let unbound = "Alias not bound to driver ctxdev.\n";
    assert_eq!(update(&root, "-d -i pci1,2 ctxdev", &idle).1, unbound);
    assert_eq!(update(&root, "-d -f -i pci1,2 ctxdev", &idle).1, "");
    for wrong in ["-d -i x absent", "-a -i x absent"] {
        assert_eq!(
            update(&root, wrong, &idle),
            (1, "Driver (absent) not installed.\n".into(), String::new())
        );
    }
    // The configuration file is read anew, if the driver can be unloaded.
    assert_eq!(
        update(&root, "-v ctxdev", &idle),
        (
            0,
            "ctxdev.conf updated in the kernel.\n".into(),
            "unload ctxdev, reread ctxdev, attach ctxdev".into()
        )
    );
    ok("-n ctxdev", "");
    let busy = "Cannot unload module: ctxdev\nWill be unloaded upon reboot.\n";
    let used = Fake { busy: true, ..Fake::default() };
    assert_eq!(update(&root, "ctxdev", &used), (1, busy.into(), "unload ctxdev".into()));
    assert_eq!(
        update(&root, "-f ctxdev", &used),
        (
            0,
            format!("{busy}Forcing update of ctxdev.conf.\n"),
            "unload ctxdev, reread ctxdev, attach ctxdev".into()
        )
    );
    for wrong in ["-a ctxdev", "-a -d -m x ctxdev", "-m x ctxdev", "-a -m x", "-v", "-u ctxdev"] {
        let (status, said, _) = update(&root, wrong, &idle);
        assert!(status == 1 && said == update_drv::USAGE, "{wrong}: {said}");
    }
    let (status, said, _) = update(&root, "absent", &idle);
    assert_eq!((status, said.as_str()), (1, "Failed to update absent.conf for driver.\n"));
    // What is wrong with an argument is 255, and -f goes on.
    let missing = "Option (-m) : missing token: (* 0666 root)\n";
    assert_eq!(update(&root, "-a -m *_0666_root ctxdev", &idle), (255, missing.into(), String::new()));
    assert_eq!(
        update(&root, "-a -f -m *_0666_root ctxdev", &idle),
        (0, missing.into(), "permit ctxdev".into())
    );
    assert_eq!(
        update(&root, "-a -i #x ctxdev", &idle),
        (255, "Option (-i) : bad token: (#x)\n".into(), String::new())
    );
}

#[test]
fn policies_are_entered_replaced_and_taken_away() {
    let (_dir, root) = system(&["ctxdev"]);
    let options = AddOptions {
        policy: Some("read_priv_set=none ctl write_priv_set=ctxdev_use".into()),
        privileges: Some("ctxdev_use".into()),
        ..AddOptions::default()
    };
    assert_eq!(add(&root, "ctxdev", &options), (0, String::new()));
    let policies = || line(&root, Database::DevicePolicy);
    assert_eq!(policies(), "ctxdev:*\tread_priv_set=none|ctxdev:ctl\twrite_priv_set=ctxdev_use");
    let policy = |how: &str, text: &str| {
        let words = [how, "-p", text, "ctxdev"].map(str::to_owned);
        let given = getopt::parse("update_drv", update_drv::LETTERS, &words).unwrap();
        let mut out = Vec::new();
        let status = update_drv::update_drv(&root, &given, &Fake::default(), &mut out);
        (status, String::from_utf8(out).unwrap())
    };
    assert_eq!(policy("-a", "write_priv_set=all"), (0, String::new()));
    assert_eq!(policies(), "ctxdev:ctl\twrite_priv_set=ctxdev_use|ctxdev:*\twrite_priv_set=all");
    assert_eq!(policy("-a", "exec_priv_set=all"), (1, "Bad policy token: ``exec_priv_set''.\n".into()));
    assert_eq!(policy("-d", "ctl"), (0, String::new()));
    assert_eq!(policies(), "ctxdev:*\twrite_priv_set=all");
    assert_eq!(policy("-d", "*"), (0, String::new()));
    assert_eq!(policies(), "");
    assert_eq!(policy("-d", "*"), (0, String::new()));
}

#[test]
fn a_busy_driver_loses_its_entries_and_stays_in_memory() {
    let (_dir, root) = system(&["ctxdev"]);
    add(&root, "ctxdev", &AddOptions::default());
    let running = Fake { busy: true, ..Fake::default() };
    let said = "Device busy\nCannot unload module: ctxdev\nWill be unloaded upon reboot.\n";
    assert_eq!(remove_from(&root, "ctxdev", false, &running), (0, said.into()));
    assert_eq!(running.done(), "unload ctxdev, forbid ctxdev");
    assert!(root.installed().unwrap().is_empty());
}

#[test]
fn modinfo_prints_a_line_per_linkage_and_what_is_undefined() {
    /// What mod_info(9F) does when it is asked for the linkage.
    extern "C" fn mod_info(linkage: usize, info: *mut usize) -> i32 {
        // SAFETY: a modinfo, whose mi_base is its third word.
        let base = unsafe { info.add(2) };
        // SAFETY: as above.
        unsafe { base.write(linkage) };
        1
    }
    let mut elf = Elf::empty();
    elf.function("_init", RETURN_0);
    let mod_info_fn = elf.undefined("mod_info", GLOBAL);
    elf.undefined("__dtrace_probe_x", GLOBAL);
    // modlinkage { 1, { &modldrv, NULL } }, modldrv { ops, info, dev_ops }, the description
    let mut data = vec![0; 64 + 24];
    data[0] = 1;
    data.extend_from_slice(b"a driver with a long description to cut\0");
    let at = elf.section(".data", PROGBITS, ALLOC | WRITE, &data);
    let linkage = elf.symbol("linkage", LOCAL, OBJECT, at as u16, 0, 64);
    elf.rela(at, 8, R_64, linkage, 64);
    elf.rela(at, 72, R_64, linkage, 88);
    // push %rbp; mov %rdi,%rsi; mov $linkage,%rdi; call mod_info; pop %rbp; ret
    let code = [0x55, 0x48, 0x89, 0xfe, 0x48, 0xc7, 0xc7, 0, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0x5d, 0xc3];
    let info = elf.function("_info", &code);
    let at = elf.symbols[info as usize].value;
    elf.rela(TEXT, at + 7, R_32S, linkage, 0);
    elf.rela(TEXT, at + 12, R_PLT32, mod_info_fn, -4);

    let dir = tempdir().unwrap();
    let file = elf.write(dir.path(), "shown");
    let (kernel, modules) = Few::default().with("mod_info", mod_info as *const () as usize).modules(vec![]);
    let module = modules.load(&file).unwrap();
    let known = Known { name: "shown".into(), id: module.id(), loads: 2 };
    let info = modinfo::of(known, Some(&module), &*kernel, Some(300)).unwrap();
    let table = modinfo::table(std::slice::from_ref(&info), false, false).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], " Id         Loadaddr   Size Info Rev Module Name");
    let expected = format!(
        "{:3} {:16x} {:6x} 300   1  shown (a driver with a long descriptio)",
        module.id(),
        module.base(),
        module.size()
    );
    assert_eq!(lines[1..], [expected]);
    let without = Info { loaded: info.loaded.map(|loaded| Loaded { major: None, ..loaded }), ..info };
    assert!(modinfo::table(std::slice::from_ref(&without), true, false).unwrap().contains("  -   1  shown"));
    let unloaded = Info { loaded: None, ..without };
    assert_eq!(modinfo::table(std::slice::from_ref(&unloaded), false, false), None);
    assert!(modinfo::table(&[unloaded], false, true).unwrap().contains(" 2 shown "));

    let undefined = modinfo::undefined(&file, &*kernel).unwrap();
    let words: Vec<Vec<&str>> = undefined.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(words, [vec!["__dtrace_probe_x", "probe"], vec!["mod_info", "host", "_info"]]);
    assert!(modinfo::undefined(Path::new("/nonexistent"), &*kernel).is_err());
}
