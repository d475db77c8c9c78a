//! The failure paths with a script in QEMU's place: fast, and without a guest. The self-test does the same with a real one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::accel::Accel;
use crate::failure::Failure;
use crate::guest::Guest;
use crate::monitor::{Interrupt, Monitor};
use crate::progress::Progress;
use crate::qemu::Spec;
use crate::run::{Job, Options, Places, Sabotage};
use crate::session::Session;
use crate::transport::Ssh;

/// Answers every QMP command; `quit` ends it. What else it does is `body`, a shell script with the console on its outputs and
/// the function `event JSON`.
fn fake_qemu(dir: &Path, body: &str) -> PathBuf {
    let script = format!(
        "#!/bin/bash\n\
         fd=$(sed 's/.*socket,id=qmp,fd=\\([0-9]*\\).*/\\1/' <<<\"$*\")\n\
         event() {{ echo \"$1\" >&$fd; }}\n\
         event '{{\"QMP\": {{}}}}'\n\
         read -r line <&$fd; event '{{\"return\": {{}}}}'\n\
         (while read -r line; do event '{{\"return\": {{}}}}'; case $line in *quit*) kill $$; exit;; esac; done <&$fd) &\n\
         {body}\n"
    );
    let path = dir.join("qemu");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

/// Starts the fake and waits for a login; returns how that ended and whether the process is gone.
fn run(body: &str, tune: impl FnOnce(&mut Guest, &Interrupt)) -> (Result<(), Failure>, bool) {
    let dir = tempfile::tempdir().unwrap();
    let mut guest = Guest::load("linux").unwrap();
    let interrupt = Interrupt::default();
    tune(&mut guest, &interrupt);
    let program = fake_qemu(dir.path(), body);
    let spec = Spec {
        program: &program,
        guest: &guest,
        accel: Accel::Kvm,
        disk: None,
        kernel: None,
        seed: &dir.path().join("seed.img"),
        dir: dir.path(),
        console_log: &dir.path().join("console.log"),
        extra: &[],
    };
    let (qemu, events) = match spec.start() {
        Ok(started) => started,
        Err(error) => return (Err(error.into()), true),
    };
    let pid = qemu.pid();
    let monitor = Monitor::new(events, interrupt, "the overlay".to_owned());
    let ssh = Ssh::new(&guest.ssh, dir.path()).unwrap();
    let mut progress = Progress::new(true);
    let mut session =
        Session { guest: &guest, qemu, monitor, ssh, translated: false, progress: &mut progress };
    let ended = session.wait_for_login("boot");
    session.qemu.quit();
    drop(session);
    (ended, !Path::new("/proc").join(pid.to_string()).exists())
}

fn fails(body: &str, tune: impl FnOnce(&mut Guest, &Interrupt)) -> (&'static str, String) {
    let (ended, gone) = run(body, tune);
    assert!(gone, "the process is left behind");
    let failure = ended.unwrap_err();
    (failure.kind(), failure.to_string())
}

#[test]
fn a_login_prompt_in_pieces_is_a_login() {
    let (ended, gone) =
        run("printf 'starting\\r\\nddi-li'; sleep 0.1; printf 'nux login: '; sleep 1000", |_, _| ());
    ended.unwrap();
    assert!(gone);
}

#[test]
fn a_panic_ends_the_wait_at_once() {
    let (kind, said) = fails("echo '[ 1.2] Kernel panic - not syncing: no init'; sleep 1000", |_, _| ());
    assert_eq!(
        (kind, said.as_str()),
        ("panic", "the guest panicked during boot: [ 1.2] Kernel panic - not syncing: no init")
    );
}

#[test]
fn a_boot_that_does_not_end_has_a_limit_and_names_the_last_line() {
    let (kind, said) = fails("echo 'mounting /'; sleep 1000", |guest, _| guest.limits.boot = 1);
    assert_eq!(
        (kind, said.as_str()),
        ("no-login", "no login was offered within 1 s; the console's last line: mounting /")
    );
}

#[test]
fn qemus_own_end_is_told_with_its_words() {
    let (kind, said) = fails("echo 'qemu: could not open disk' >&2; exit 3", |_, _| ());
    assert_eq!(kind, "qemu-died");
    assert!(said.contains("exit status: 3") && said.ends_with("could not open disk"), "{said}");
}

#[test]
fn a_full_disk_of_ours_is_told_from_a_hang() {
    let (kind, said) = fails(
        "event '{\"event\": \"BLOCK_IO_ERROR\", \"data\": {\"nospace\": true, \"action\": \"stop\"}}'; sleep 1000",
        |_, _| (),
    );
    assert_eq!(kind, "host-disk-full");
    assert!(said.contains("the overlay"), "{said}");
}

#[test]
fn a_guest_that_goes_down_is_noticed() {
    let (kind, _) =
        fails("event '{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true}}'; sleep 1000", |_, _| ());
    assert_eq!(kind, "down");
}

#[test]
fn a_signal_ends_the_wait_at_once() {
    let (kind, _) = fails("sleep 1000", |_, interrupt| interrupt.raise());
    assert_eq!(kind, "interrupted");
}

#[test]
fn a_qemu_that_will_not_quit_is_killed() {
    let (ended, gone) =
        run("trap '' TERM; printf 'ddi-linux login: '; while :; do sleep 1000; done", |_, _| ());
    ended.unwrap();
    assert!(gone);
}

/// A run of a guest with a disk image whose driver cannot be built.
fn without_files(image: Option<&str>, dir: &Path) -> String {
    let options = Options {
        image: image.map(str::to_owned),
        image_dir: Some(dir.to_path_buf()),
        accel: Some(Accel::Kvm),
        results: Some(dir.join("results")),
        ..Options::default()
    };
    let places = Places { runs: dir.join("runs"), scratch: dir.join("tmp"), cache: dir.join("cache") };
    let job = Job {
        options: &options,
        guest: Guest::load("omnios").unwrap(),
        driver: "mydrv",
        places: &places,
        interrupt: Interrupt::default(),
        quiet: true,
        build: &|_, _| anyhow::bail!("mydrv does not compile"),
        sabotage: Sabotage::default(),
    };
    format!("{:#}", job.run().unwrap_err())
}

#[test]
fn what_is_wrong_with_the_image_is_said_before_anything_else_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let said = without_files(None, dir.path());
    assert!(said.contains("omnios needs a disk image: --image FILE"), "{said}");
    let said = without_files(Some("absent"), dir.path());
    assert!(said.starts_with("no image absent in ") && said.contains("there: "), "{said}");
    let said = without_files(Some("/absent/omnios.qcow2"), dir.path());
    assert!(said.starts_with("there is no image /absent/omnios.qcow2"), "{said}");
    std::fs::write(dir.path().join("page.vmdk"), "<html>moved</html>").unwrap();
    let said = without_files(Some("page"), dir.path());
    assert!(said.contains("page.vmdk is no disk image"), "{said}");
    std::fs::write(dir.path().join("sum.vmdk"), "KDMV").unwrap();
    std::fs::write(dir.path().join("sum.vmdk.sha256"), "0".repeat(64)).unwrap();
    let said = without_files(Some("sum"), dir.path());
    assert!(said.starts_with("sum.vmdk has checksum ") && said.ends_with("fetch it again"), "{said}");
    // With an image it is the next thing that is missing.
    std::fs::remove_file(dir.path().join("sum.vmdk.sha256")).unwrap();
    let said = without_files(Some("sum"), dir.path());
    assert_eq!(said, "mydrv does not compile");
}
