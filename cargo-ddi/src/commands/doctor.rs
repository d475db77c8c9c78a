//! `cargo ddi doctor`: what this machine has and lacks for each use, and the one command that gets it.

use std::fmt;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, ExitCode};

use anstyle::AnsiColor;
use anyhow::Result;
use cargo_ddi::module::toolchain;
use serde::Serialize;

use crate::checkout::Devmap;
use crate::ui::{Ui, style};

/// No arguments.
#[derive(clap::Args)]
pub struct Args {}

/// A thing that some use needs.
#[derive(Serialize)]
struct Item {
    name: &'static str,
    /// The use that needs it.
    uses: &'static str,
    /// Whether nothing works without it.
    required: bool,
    /// The finding; none if it is missing.
    found: Option<String>,
    /// Why it is missing, or what is less than it could be.
    why: Option<String>,
    /// The command that gets it.
    get: Option<String>,
}

impl Item {
    fn new(name: &'static str, uses: &'static str) -> Item {
        Item { name, uses, required: false, found: None, why: None, get: None }
    }

    fn required(self) -> Item {
        Item { required: true, ..self }
    }

    fn has(self, found: impl Into<String>) -> Item {
        Item { found: Some(found.into()), ..self }
    }

    fn lacks(self, why: impl Into<String>, get: impl Into<String>) -> Item {
        let get = Some(get.into()).filter(|get| !get.is_empty());
        Item { why: Some(why.into()), get, ..self }
    }
}

/// All of them.
#[derive(Serialize)]
struct Findings {
    /// Whether drivers can be run and tested.
    ready: bool,
    items: Vec<Item>,
}

impl fmt::Display for Findings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for item in &self.items {
            let (mark, colour) = match (&item.found, &item.why) {
                (Some(_), None) => ("has  ", AnsiColor::Green),
                (Some(_), Some(_)) => ("has  ", AnsiColor::Yellow),
                (None, _) if item.required => ("LACKS", AnsiColor::Red),
                (None, _) => ("lacks", AnsiColor::Yellow),
            };
            let style = style(colour);
            write!(
                out,
                "{style}{mark}{style:#} {:<16} {}",
                item.name,
                item.found.as_deref().unwrap_or(item.uses)
            )?;
            match &item.why {
                Some(why) if item.found.is_some() => writeln!(out, " ({why})")?,
                Some(why) => writeln!(out, ": {why}")?,
                None => writeln!(out)?,
            }
            if let Some(get) = &item.get {
                writeln!(out, "      {:<16} $ {get}", "")?;
            }
        }
        match self.ready {
            true => writeln!(out, "drivers can be run and tested here"),
            false => writeln!(out, "drivers cannot be run here"),
        }
    }
}

/// Looks at the machine. 1 if drivers cannot be run.
pub fn run(_: &Args, ui: &Ui) -> Result<ExitCode> {
    let items = vec![
        system(),
        compiler(),
        faults(),
        devmap(),
        sources(),
        linker(),
        debugger(),
        qemu(),
        kvm(),
        ssh(),
        packages(),
        libclang(),
    ];
    let ready = items.iter().all(|item| item.found.is_some() || !item.required);
    ui.result(&Findings { ready, items })?;
    Ok(ExitCode::from(u8::from(!ready)))
}

/// The command that installs a package of the distribution.
fn install(debian: &str, fedora: &str) -> String {
    let sudo = if is_root() { "" } else { "sudo " };
    if on_path("apt-get").is_none() && on_path("dnf").is_some() {
        format!("{sudo}dnf install {fedora}")
    } else {
        format!("{sudo}apt-get install {debian}")
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn on_path(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .map(|file| file.display().to_string())
}

/// The first line that a command prints.
fn line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned())
}

fn system() -> Item {
    let item = Item::new("Linux, x86-64", "run drivers").required();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        item.has(format!("Linux {}", release.trim()))
    } else {
        item.lacks("the host needs Linux on x86-64", "")
    }
}

fn compiler() -> Item {
    let item = Item::new("Rust", "build drivers").required();
    match line(Command::new("rustc").arg("--version")) {
        Some(version) => {
            let mut numbers = version.split([' ', '.']).skip(1).map(|part| part.parse::<u32>().unwrap_or(0));
            let known = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
            if known < (1, 95) {
                item.lacks(format!("{version} is older than 1.95"), "rustup update stable")
            } else {
                item.has(version)
            }
        }
        None => item.lacks(
            "no rustc in PATH",
            "curl --proto '=https' -sSf https://sh.rustup.rs | sh -s -- -y -c rust-src",
        ),
    }
}

fn faults() -> Item {
    let item = Item::new("userfaultfd", "catch faults without signals");
    let allow = "sudo sysctl vm.unprivileged_userfaultfd=1";
    match ddi_host::machine::fault_mode() {
        "userfaultfd" => item.has("faults by userfaultfd, those of system calls, too"),
        "userfaultfd-user-only" => Item {
            why: Some("faults of system calls are not caught".into()),
            get: Some(allow.into()),
            ..item.has("faults by userfaultfd, for user mode only")
        },
        _ => item.lacks("denied here, so faults are caught by page protections and signals", allow),
    }
}

fn devmap() -> Item {
    let item = Item::new("devmap", "begin new drivers");
    match Devmap::find(None) {
        Ok(devmap) => item.has(devmap.place()),
        Err(why) => item.lacks(why.to_string(), "cargo ddi new NAME --devmap URL"),
    }
}

fn sources() -> Item {
    let item = Item::new("library sources", "build module files");
    match toolchain::find() {
        Ok(toolchain) => item.has(toolchain.to_string()),
        Err(why) => {
            let why = why.to_string();
            let (why, get) = why.split_once(": ").unwrap_or((&why, ""));
            item.lacks(why, get)
        }
    }
}

fn linker() -> Item {
    let item = Item::new("ld", "build module files");
    match line(Command::new("ld").arg("--version")) {
        Some(version) => item.has(version),
        None => item.lacks("no linker in PATH", install("binutils", "binutils")),
    }
}

fn debugger() -> Item {
    let item = Item::new("gdb", "debug a driver");
    match line(Command::new("gdb").arg("--version")) {
        Some(version) => item.has(version),
        None => item.lacks("no gdb in PATH", install("gdb", "gdb")),
    }
}

fn qemu() -> Item {
    let item = Item::new("QEMU", "test in a virtual machine");
    match line(Command::new("qemu-system-x86_64").arg("--version")) {
        Some(version) => item.has(version),
        None => {
            item.lacks("no qemu-system-x86_64 in PATH", install("qemu-system-x86", "qemu-system-x86-core"))
        }
    }
}

fn ssh() -> Item {
    let item = Item::new("ssh", "reach a virtual machine");
    match on_path("ssh").filter(|_| on_path("ssh-keygen").is_some()) {
        Some(ssh) => item.has(ssh),
        None => item.lacks("no ssh and ssh-keygen in PATH", install("openssh-client", "openssh-clients")),
    }
}

/// The Linux guest's kernel and programs come from Debian.
fn packages() -> Item {
    let item = Item::new("Debian packages", "make the Linux guest");
    if let Some(lacks) = ["apt-get", "apt-cache", "dpkg-deb"].iter().find(|name| on_path(name).is_none()) {
        return item.lacks(format!("no {lacks}: the Linux guest is made on a Debian"), "");
    }
    match line(Command::new("apt-cache").args(["policy", "linux-image-amd64"])) {
        Some(_) => item.has("linux-image-amd64 is known to apt"),
        None => {
            let sudo = if is_root() { "" } else { "sudo " };
            item.lacks("apt does not know linux-image-amd64", format!("{sudo}apt-get update"))
        }
    }
}

fn kvm() -> Item {
    let item = Item::new("KVM", "test in a virtual machine at full speed");
    if !Path::new("/dev/kvm").exists() {
        return item
            .lacks("no /dev/kvm: the machine, or the virtual machine that it is, does not offer it", "");
    }
    match OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        Ok(_) => item.has("/dev/kvm"),
        Err(why) => item.lacks(format!("/dev/kvm: {why}"), "sudo usermod -aG kvm $USER"),
    }
}

fn libclang() -> Item {
    let item = Item::new("libclang", "change ddi-sys's headers");
    let mut dirs = vec!["/usr/lib64".into(), "/usr/lib/x86_64-linux-gnu".into(), "/usr/lib".into()];
    dirs.extend(std::env::var_os("LIBCLANG_PATH").map(std::path::PathBuf::from));
    if let Ok(llvm) = std::fs::read_dir("/usr/lib") {
        let versions =
            llvm.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm-"));
        dirs.extend(versions.map(|entry| entry.path().join("lib")));
    }
    let holds = |dir: &std::path::PathBuf| {
        let mut entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.any(|entry| entry.file_name().to_string_lossy().starts_with("libclang.so"))
    };
    match dirs.iter().find(|dir| holds(dir)) {
        Some(dir) => item.has(dir.display().to_string()),
        None => item.lacks("no libclang.so", install("libclang-dev", "clang-devel")),
    }
}
