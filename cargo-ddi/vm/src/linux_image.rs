//! The Linux guest's kernel and initramfs, made from Debian's packages and our own binaries.
//!
//! Debian's kernel package is large (70 MB), so what is used of it is kept. The initramfs is made anew for each run: it holds the
//! `ddi-host` under test, which is to this guest what the kernel is to an illumos one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};

use crate::cpio::Archive;
use crate::debian;
use crate::guest::Linux;
use crate::transport::quote;

/// `/init` of the guest.
const INIT: &str = include_str!("../guests/linux/init");
/// What makes it look like an OmniOS guest to the harness, for the self-test.
const AS_OMNIOS: &str = include_str!("../guests/linux/as-omnios");
/// The commands that are ddi-host's own there, under the names that they have on illumos. The machine is up from the boot on (INIT); `in-machine`
/// runs a shell command as its client, so that /dev has the devices, or plainly if there is no machine.
const COMMANDS: [(&str, &str); 6] = [
    ("add_drv", "exec ddi-host add_drv --root / \"$@\""),
    ("rem_drv", "exec ddi-host rem_drv --root / \"$@\""),
    ("modinfo", "exec ddi-host modinfo --root / \"$@\""),
    ("modunload", "exec ddi-host modunload --root / \"$@\""),
    ("kstat", "exec ddi-host kstat --root / \"$@\""),
    (
        "in-machine",
        "[ -f /var/run/machine ] || exec sh -c \"$1\"\nexec ddi-host run --root / -- sh -c \"$1\"",
    ),
];
/// Where this machine keeps its shared libraries.
const LIBRARY_DIRS: [&str; 6] =
    ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// A kernel and its initramfs.
#[derive(Debug)]
pub struct LinuxImage {
    /// The kernel.
    pub kernel: PathBuf,
    /// The initramfs.
    pub initramfs: PathBuf,
    /// What the kernel is told.
    pub command_line: String,
}

impl LinuxImage {
    /// Makes the image in `dir`, from packages kept in `cache`. `extra` goes on the kernel's command line. The PCI devices are those of `devices`: files, or names
    /// that ddi-host knows. `doing` is told of each package.
    pub fn make(
        linux: &Linux,
        ddi_host: &Path,
        devices: &[String],
        cache: &Path,
        dir: &Path,
        extra: &str,
        doing: &dyn Fn(&str),
    ) -> Result<LinuxImage> {
        doing("Debian's kernel");
        let kernel = Kernel::get(linux, cache)?;
        let mut archive = Archive::default();
        for directory in [
            "dev",
            "proc",
            "sys",
            "tmp",
            "root",
            "mnt",
            "run",
            "var/tmp",
            "var/log",
            "var/adm",
            "var/run",
            "etc/dropbear",
            "kernel/drv/amd64",
            "usr/bin",
            "sbin",
        ] {
            archive.directory(directory);
        }
        archive.device("dev/console", 5, 1);
        let mut words = String::new();
        for (index, device) in devices.iter().enumerate() {
            let file = Path::new(device);
            if file.is_file() {
                let path = format!("etc/device{index}.toml");
                let text = std::fs::read(file).with_context(|| format!("reading {device}"))?;
                archive.file(&path, 0o644, &text);
                words.push_str(&format!(" --device /{path}"));
            } else {
                words.push_str(&format!(" --device {}", quote(device)));
            }
        }
        let init = INIT.replace("@MODULES@", &linux.modules.join(" ")).replace("@DEVICES@", &words);
        archive.file("init", 0o755, init.as_bytes());
        archive.file("etc/as-omnios", 0o644, AS_OMNIOS.as_bytes());
        archive.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
        archive.file("etc/shadow", 0o600, b"root:*:19000::::::\n");
        archive.file("etc/group", 0o644, b"root:x:0:\nsys:x:3:\n");
        archive.file("etc/shells", 0o644, b"/bin/sh\n");
        archive.file("etc/inittab", 0o644, b"ttyS0::respawn:/bin/getty -L 115200 ttyS0 vt100\n");
        for (name, contents) in &kernel.modules {
            archive.file(&format!("lib/modules/{name}.ko"), 0o644, contents);
        }
        let mut libraries = Libraries::default();
        let mut programs = linux.programs.clone();
        for package in &linux.packages {
            doing(package);
            let deb = debian::fetch(package, cache)?;
            debian::extract(&deb, &|_| true, &mut |path, contents| {
                if let Some(at) = programs.iter().position(|program| program == path) {
                    programs.swap_remove(at);
                    archive.file(path, 0o755, &contents);
                    libraries.need(&contents)?;
                } else if path.contains(".so.") {
                    libraries.offer(path, contents);
                }
                Ok(())
            })?;
        }
        if let Some(missing) = programs.first() {
            bail!("none of the packages {} has {missing}", linux.packages.join(", "));
        }
        archive.link("bin/sh", "dash");
        let host = std::fs::read(ddi_host).with_context(|| format!("reading {}", ddi_host.display()))?;
        libraries.need(&host)?;
        // What the shim and the test programs may load beyond ddi-host's own.
        for name in ["libc.so.6", "libgcc_s.so.1", "libm.so.6", "libdl.so.2", "libpthread.so.0"] {
            libraries.wanted.push(name.to_owned());
        }
        archive.file("usr/sbin/ddi-host", 0o755, &host);
        for (name, script) in COMMANDS {
            archive.file(&format!("usr/sbin/{name}"), 0o755, format!("#!/bin/sh\n{script}\n").as_bytes());
        }
        libraries.add_to(&mut archive)?;
        let initramfs = dir.join("initramfs.cpio");
        std::fs::write(&initramfs, archive.finish())?;
        // Errors reach the console, the rest is in dmesg. On a busy machine, a translated timer is late, not broken, and time is cheapest
        // to tell by the counter. Nobody attacks this guest. A panicked kernel stays, for its memory to be dumped.
        let command_line = format!(
            "console=ttyS0,115200 loglevel=5 panic=0 oops=panic random.trust_cpu=on no_timer_check tsc=reliable mitigations=off \
             init_on_alloc=0 apparmor=0 audit=0 randomize_kstack_offset=off nowatchdog {extra}"
        );
        Ok(LinuxImage { kernel: kernel.image, initramfs, command_line })
    }
}

/// What is kept of Debian's kernel package.
struct Kernel {
    image: PathBuf,
    modules: BTreeMap<String, Vec<u8>>,
}

impl Kernel {
    fn get(linux: &Linux, cache: &Path) -> Result<Kernel> {
        let package = debian::kernel_package()?;
        let dir = cache.join(&package);
        if !linux.modules.iter().all(|name| dir.join(format!("{name}.ko")).is_file()) {
            Kernel::unpack(&package, linux, cache, &dir)?;
        }
        let mut modules = BTreeMap::new();
        for name in &linux.modules {
            modules.insert(name.clone(), std::fs::read(dir.join(format!("{name}.ko")))?);
        }
        check_order(&linux.modules, &modules)?;
        Ok(Kernel { image: dir.join("vmlinuz"), modules })
    }

    /// Unpacked under another name and moved, so that a directory that is there is whole.
    fn unpack(package: &str, linux: &Linux, cache: &Path, dir: &Path) -> Result<()> {
        let deb = debian::fetch(package, cache)?;
        let scratch = tempfile::tempdir_in(cache)?;
        let name_of = |path: &str| -> Option<String> {
            if path.starts_with("boot/vmlinuz-") {
                return Some("vmlinuz".to_owned());
            }
            let name = path.rsplit('/').next()?;
            let stem = name.strip_suffix(".ko")?.replace('-', "_");
            linux.modules.contains(&stem).then(|| format!("{stem}.ko"))
        };
        debian::extract(&deb, &|path| name_of(path).is_some(), &mut |path, contents| {
            if let Some(name) = name_of(path) {
                std::fs::write(scratch.path().join(name), contents)?;
            }
            Ok(())
        })?;
        for name in linux.modules.iter().map(|name| format!("{name}.ko")).chain(["vmlinuz".to_owned()]) {
            if !scratch.path().join(&name).is_file() {
                bail!("{package} has no {name}");
            }
        }
        if dir.exists() {
            std::fs::remove_dir_all(dir)?;
        }
        std::fs::rename(scratch.keep(), dir)?;
        Ok(())
    }
}

/// Every module must come after those that it depends on.
fn check_order(order: &[String], modules: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    for (index, name) in order.iter().enumerate() {
        let Some(contents) = modules.get(name) else { continue };
        for needed in depends(contents) {
            if !order[..index].contains(&needed) {
                bail!("[linux] modules: {needed} must come before {name}");
            }
        }
    }
    Ok(())
}

/// The modules named in the `depends=` of a module's `.modinfo`.
fn depends(module: &[u8]) -> Vec<String> {
    use object::{Object, ObjectSection};
    let Ok(file) = object::File::parse(module) else { return Vec::new() };
    let Some(info) = file.section_by_name(".modinfo").and_then(|section| section.data().ok()) else {
        return Vec::new();
    };
    info.split(|byte| *byte == 0)
        .filter_map(|field| std::str::from_utf8(field).ok()?.strip_prefix("depends="))
        .flat_map(|names| names.split(','))
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

/// The shared libraries that the programs need, from the packages or from this machine.
#[derive(Debug, Default)]
struct Libraries {
    offered: BTreeMap<String, Vec<u8>>,
    wanted: Vec<String>,
    interpreters: Vec<String>,
}

impl Libraries {
    /// A library of a package.
    fn offer(&mut self, path: &str, contents: Vec<u8>) {
        // The soname is the file's name up to the number after `.so.`.
        let file = path.rsplit('/').next().unwrap_or(path);
        if let Some((stem, version)) = file.split_once(".so.") {
            let major = version.split('.').next().unwrap_or(version);
            self.offered.insert(format!("{stem}.so.{major}"), contents);
        }
    }

    /// What `program` needs is wanted.
    fn need(&mut self, program: &[u8]) -> Result<()> {
        let (needed, interpreter) = needed(program)?;
        self.wanted.extend(needed);
        self.interpreters.extend(interpreter);
        Ok(())
    }

    /// Adds all that is wanted, and what that needs in turn.
    fn add_to(mut self, archive: &mut Archive) -> Result<()> {
        while let Some(name) = self.wanted.pop() {
            let path = format!("lib/{name}");
            if archive.contains(&path) {
                continue;
            }
            let contents = match self.offered.remove(&name) {
                Some(contents) => contents,
                None => {
                    let found =
                        LIBRARY_DIRS.iter().map(|dir| Path::new(dir).join(&name)).find(|path| path.is_file());
                    let found =
                        found.with_context(|| format!("the library {name} is not on this machine"))?;
                    std::fs::read(&found)?
                }
            };
            self.need(&contents)?;
            archive.file(&path, 0o755, &contents);
        }
        for interpreter in self.interpreters {
            if !archive.contains(&interpreter) {
                archive.file(&interpreter, 0o755, &std::fs::read(&interpreter)?);
            }
        }
        Ok(())
    }
}

/// The libraries (`DT_NEEDED`) and the interpreter of an ELF file; none for a static one.
fn needed(file: &[u8]) -> Result<(Vec<String>, Option<String>)> {
    let header = elf::FileHeader64::<object::Endianness>::parse(file)?;
    let endian = header.endian()?;
    let mut interpreter = None;
    for segment in header.program_headers(endian, file)? {
        if let Some(path) = segment.interpreter(endian, file)? {
            interpreter = Some(String::from_utf8_lossy(path).into_owned());
        }
    }
    let sections = header.sections(endian, file)?;
    let mut needed = Vec::new();
    if let Some((entries, link)) = sections.dynamic(endian, file)? {
        let strings = sections.strings(endian, file, link)?;
        for entry in entries.iter().filter(|entry| entry.d_tag.get(endian) == elf::DT_NEEDED) {
            let name = strings
                .get(entry.d_val.get(endian) as u32)
                .map_err(|()| anyhow::anyhow!("a bad DT_NEEDED"))?;
            needed.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    Ok((needed, interpreter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_program_needs_libc_and_an_interpreter() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let (needed, interpreter) = needed(&own).unwrap();
        assert!(needed.iter().any(|name| name.starts_with("libc.so")), "{needed:?}");
        assert!(interpreter.unwrap().contains("ld-linux"));
    }

    #[test]
    fn libraries_are_offered_under_their_sonames() {
        let mut libraries = Libraries::default();
        libraries.offer("usr/lib/x86_64-linux-gnu/libtomcrypt.so.1.0.1", vec![1]);
        assert!(libraries.offered.contains_key("libtomcrypt.so.1"));
    }

    fn module(depends: &str) -> Vec<u8> {
        use object::write::Object;
        let mut module =
            Object::new(object::BinaryFormat::Elf, object::Architecture::X86_64, object::Endianness::Little);
        let section = module.add_section(Vec::new(), b".modinfo".to_vec(), object::SectionKind::ReadOnlyData);
        module.append_section_data(section, format!("license=GPL\0depends={depends}\0").as_bytes(), 1);
        module.write().unwrap()
    }

    #[test]
    fn a_wrong_load_order_is_refused() {
        let modules = BTreeMap::from([
            ("cdrom".to_owned(), module("")),
            ("sr_mod".to_owned(), module("scsi-mod,cdrom")),
        ]);
        let order = |names: [&str; 3]| names.map(str::to_owned);
        assert!(check_order(&order(["scsi_mod", "cdrom", "sr_mod"]), &modules).is_ok());
        let error = check_order(&order(["scsi_mod", "sr_mod", "cdrom"]), &modules).unwrap_err().to_string();
        assert_eq!(error, "[linux] modules: cdrom must come before sr_mod");
    }

    #[test]
    fn commands_of_the_guest_are_ddi_hosts() {
        assert!(
            COMMANDS.iter().all(|(_, script)| !script.contains("  "))
                && INIT.starts_with("#!/bin/busybox sh")
        );
    }
}
