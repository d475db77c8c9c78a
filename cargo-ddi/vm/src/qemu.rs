//! Starting QEMU for a guest, and ending it.
//!
//! The image is opened with `snapshot=on`: QEMU makes the copy-on-write overlay itself, in our temporary directory, and unlinks
//! it at once. So nothing is left behind, not even by a `kill -9`, and the image is never written to.

use std::io::Read;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::io::FdFlags;
use serde_json::json;

use crate::accel::Accel;
use crate::console::{self, Scanner};
use crate::events::Event;
use crate::guest::Guest;
use crate::process::Guarded;
use crate::qmp::Qmp;

/// What QEMU is given to start.
#[derive(Debug)]
pub struct Spec<'a> {
    /// The program, normally `qemu-system-x86_64`.
    pub program: &'a Path,
    /// The guest's description.
    pub guest: &'a Guest,
    /// KVM or translation.
    pub accel: Accel,
    /// The system disk and its format.
    pub disk: Option<(&'a Path, &'static str)>,
    /// Kernel, initramfs and command line.
    pub kernel: Option<(&'a Path, &'a Path, String)>,
    /// The seed volume.
    pub seed: &'a Path,
    /// Where the overlay goes.
    pub dir: &'a Path,
    /// Where the console's output is kept.
    pub console_log: &'a Path,
    /// Arguments of the self-test.
    pub extra: &'a [String],
}

/// A running QEMU.
#[derive(Debug)]
pub struct Qemu {
    process: Guarded,
    /// The machine protocol.
    pub qmp: Qmp,
    /// Shared with the console's reader thread.
    pub scanner: Arc<Mutex<Scanner>>,
    /// The local port that leads to the guest's ssh.
    pub ssh_port: u16,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Spec<'_> {
    /// The command line, but for the two file descriptors.
    fn arguments(&self, ssh_port: u16, qmp_fd: i32) -> Vec<String> {
        let machine = &self.guest.machine;
        let mut all: Vec<String> =
            vec!["-nodefaults".into(), "-no-user-config".into(), "-display".into(), "none".into()];
        let mut add = |option: &str, value: String| all.extend([option.to_owned(), value]);
        add("-name", format!("ddi-{}", self.guest.name));
        add("-accel", self.accel.argument().into());
        add("-cpu", if self.accel == Accel::Kvm { machine.cpu_kvm.clone() } else { machine.cpu_tcg.clone() });
        add("-m", machine.memory_mib.to_string());
        add("-smp", machine.cpus.to_string());
        add("-chardev", "stdio,id=console,signal=off".into());
        add("-serial", "chardev:console".into());
        add("-chardev", format!("socket,id=qmp,fd={qmp_fd}"));
        add("-mon", "chardev=qmp,mode=control".into());
        add("-netdev", format!("user,id=net,restrict=off,hostfwd=tcp:127.0.0.1:{ssh_port}-:22"));
        add("-device", machine.nic.clone());
        add("-drive", format!("if=none,id=seed,format=raw,readonly=on,file={}", comma(self.seed)));
        add("-device", machine.seed.clone());
        add("-object", format!("memory-backend-ram,id=bar,share=on,size={}M", machine.device_mib));
        add("-device", machine.device.clone());
        if let (Some((path, format)), Some(device)) = (self.disk, &machine.disk) {
            add("-drive", format!("if=none,id=disk,snapshot=on,format={format},file={}", comma(path)));
            add("-device", device.clone());
        }
        if let Some((kernel, initramfs, command_line)) = &self.kernel {
            add("-kernel", kernel.display().to_string());
            add("-initrd", initramfs.display().to_string());
            add("-append", command_line.clone());
        }
        all.extend(machine.args.iter().cloned());
        all.extend(self.extra.iter().cloned());
        all
    }

    /// Starts QEMU. Its events arrive at the receiver.
    pub fn start(&self) -> Result<(Qemu, Receiver<Event>)> {
        let (events, receiver) = channel();
        let ssh_port = free_port()?;
        let (ours, theirs) = UnixStream::pair()?;
        // QEMU inherits its end; ours stays close-on-exec.
        rustix::io::fcntl_setfd(&theirs, FdFlags::empty())?;
        let arguments = self.arguments(ssh_port, theirs.as_raw_fd());
        tracing::info!("{} {}", self.program.display(), arguments.join(" "));
        let mut command = Command::new(self.program);
        command.args(&arguments).env("TMPDIR", self.dir).current_dir(self.dir);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = match Guarded::spawn(&mut command) {
            Ok(process) => process,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                bail!("{} is not installed: apt-get install qemu-system-x86", self.program.display())
            }
            Err(error) => return Err(error).with_context(|| format!("starting {}", self.program.display())),
        };
        drop(theirs);
        let (Some(output), Some(mut errors)) = (process.child.stdout.take(), process.child.stderr.take())
        else {
            bail!("QEMU's output was not piped");
        };
        let scanner = Arc::new(Mutex::new(Scanner::new(self.guest.console.clone())));
        let log = std::fs::File::create(self.console_log)
            .with_context(|| format!("creating {}", self.console_log.display()))?;
        let (reader_scanner, reader_events) = (Arc::clone(&scanner), events.clone());
        std::thread::Builder::new()
            .name("console".to_owned())
            .spawn(move || console::read(output, log, &reader_scanner, &reader_events))?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let reader_said = Arc::clone(&said);
        std::thread::Builder::new().name("qemu-errors".to_owned()).spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(length @ 1..) = errors.read(&mut buffer) {
                lock(&reader_said).extend(&buffer[..length]);
            }
        })?;
        let qmp = Qmp::new(ours, events)?;
        let mut qemu = Qemu { process, qmp, scanner, ssh_port, said };
        if let Err(error) = qemu.qmp.negotiate() {
            // The usual reason is an argument that QEMU does not take; then it is already gone.
            match qemu.process.wait_until(Instant::now() + Duration::from_secs(1)) {
                Some(status) => bail!("QEMU did not start ({status}): {}", qemu.said()),
                None => return Err(error),
            }
        }
        Ok((qemu, receiver))
    }
}

impl Qemu {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Kills it, as the self-test does.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// The last line of its standard error.
    pub fn said(&self) -> String {
        // The reader thread may be a moment behind an exit.
        let text = String::from_utf8_lossy(&lock(&self.said)).into_owned();
        text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned()
    }

    /// Types `text` on the serial console; its echo is not taken for output.
    pub fn type_text(&mut self, text: &str) -> std::io::Result<()> {
        use std::io::Write;
        lock(&self.scanner).typed(text.as_bytes());
        let Some(input) = self.process.child.stdin.as_mut() else {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        };
        input.write_all(text.as_bytes()).and_then(|()| input.flush())
    }

    /// Asks QEMU to quit, waits a moment, and kills it if it does not. Nothing is saved: the guest must be down or given up.
    pub fn quit(&mut self) {
        let _ = self.qmp.execute_within("quit", json!({}), Duration::from_secs(2));
        if self.process.wait_until(Instant::now() + Duration::from_secs(2)).is_none() {
            self.process.kill();
        }
    }

    /// Writes the guest's memory as an ELF core to `file`, for crash(8), gdb or mdb.
    pub fn dump_memory(&mut self, file: &Path) -> Result<()> {
        let arguments = json!({ "paging": false, "protocol": format!("file:{}", file.display()) });
        self.qmp.execute_within("dump-guest-memory", arguments, Duration::from_secs(300)).map(drop)
    }
}

/// A port that is free now; QEMU says so if it is no longer when it binds it.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// QEMU's option syntax doubles commas.
fn comma(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// Nothing is left half-done under these locks, so a poisoned one is as good.
pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The QEMU to use: `$QEMU`, or the one in the path.
pub fn program() -> PathBuf {
    std::env::var_os("QEMU").map_or_else(|| PathBuf::from("qemu-system-x86_64"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_only_read_and_odd_names_survive() {
        let guest = Guest::load("omnios").unwrap();
        let spec = Spec {
            program: Path::new("qemu"),
            guest: &guest,
            accel: Accel::Tcg,
            disk: Some((Path::new("/images/a,b.vmdk"), "vmdk")),
            kernel: None,
            seed: Path::new("/tmp/seed.img"),
            dir: Path::new("/tmp"),
            console_log: Path::new("/tmp/console.log"),
            extra: &[],
        };
        let line = spec.arguments(2222, 9).join(" ");
        assert!(line.contains("if=none,id=disk,snapshot=on,format=vmdk,file=/images/a,,b.vmdk"), "{line}");
        assert!(line.contains("-cpu qemu64,+rdrand,+rdseed") && line.contains("-accel tcg"), "{line}");
        assert!(line.contains("hostfwd=tcp:127.0.0.1:2222-:22"), "{line}");
        assert!(line.contains("-device ivshmem-plain,memdev=bar"), "{line}");
    }
}
