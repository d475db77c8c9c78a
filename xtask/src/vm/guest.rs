//! Guest descriptions: what is particular to one operating system, as data.
//!
//! One TOML file per guest in `xtask/guests`. Nothing else in the harness names an operating system.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::events::{ConsoleRules, LONGEST_PATTERN};

/// A guest: how it is started, recognised, reached and told what to do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guest {
    /// What `--guest` calls it.
    pub name: String,
    /// One line for people.
    pub about: String,
    /// Where its system comes from.
    pub boot: Boot,
    /// QEMU's side.
    pub machine: Machine,
    /// What its serial console says.
    pub console: ConsoleRules,
    /// How it is reached.
    pub ssh: SshRules,
    /// How long each step may take.
    pub limits: Limits,
    /// The commands of each step.
    pub steps: Steps,
    /// What goes into the initramfs; only for `boot = "linux"`.
    pub linux: Option<Linux>,
}

/// Where a guest's system comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Boot {
    /// A disk image, which is never written to.
    Image,
    /// Debian's kernel and an initramfs made here.
    Linux,
}

/// QEMU's side of a guest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Arguments taken as they are.
    pub args: Vec<String>,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Virtual processors.
    pub cpus: u32,
    /// `-cpu` under KVM.
    pub cpu_kvm: String,
    /// `-cpu` when QEMU translates.
    pub cpu_tcg: String,
    /// `-device` of the network card, on netdev `net`.
    pub nic: String,
    /// `-device` of the system disk, on drive `disk`.
    pub disk: Option<String>,
    /// `-device` of the seed volume, on drive `seed`.
    pub seed: String,
    /// `-device` of the PCI device that the driver attaches to, on memory backend `bar`.
    pub device: String,
    /// Size of that device's memory in MiB.
    pub device_mib: u32,
}

/// How a guest is reached.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SshRules {
    /// The user that the seed gives the run's key to.
    pub user: String,
    /// Put before one quoted argument, it runs that argument as root's shell command.
    pub root: String,
}

/// Time limits in seconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// All others are multiplied by this when QEMU translates.
    pub tcg: u32,
    /// Start to login prompt.
    pub boot: u32,
    /// Login prompt to the first answer over ssh.
    pub ssh: u32,
    /// Copying the files.
    pub ship: u32,
    /// Installing the driver.
    pub install: u32,
    /// The whole suite.
    pub suite: u32,
    /// No output at all while a step runs.
    pub silence: u32,
    /// Collecting kstats, messages, dumps.
    pub collect: u32,
    /// Removing the driver.
    pub remove: u32,
    /// Shutting down.
    pub shutdown: u32,
    /// From the first line of a panic to its last.
    pub panic: u32,
}

/// Commands, each run by root's shell in `dir`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    /// Where the files are put.
    pub dir: String,
    /// The devices on which the suite runs, one after the other.
    pub suites: Vec<SuiteRules>,
    /// Installs the driver.
    pub install: String,
    /// Succeeds if `{device}` is there.
    pub check: String,
    /// Runs the suite on `{device}`, with the options `{filters}`; standard output is its results as TAP.
    pub suite: String,
    /// Prints the driver's kstats.
    pub kstats: String,
    /// Prints the kernel's messages.
    pub messages: String,
    /// Unloads and removes the driver; must fail when it cannot be unloaded.
    pub remove: String,
    /// Powers off.
    pub shutdown: String,
    /// After a panic and the reboot that follows it: prints the crash dump's essentials.
    pub crash: Option<String>,
}

/// One run of the suite.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteRules {
    /// The driver's device.
    pub device: String,
    /// Which cases when QEMU translates, as `--filter` has it; all, if there are none. `--all` and `--filter` overrule it.
    #[serde(default)]
    pub translated: Vec<String>,
}

/// The initramfs of a guest that needs no image.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linux {
    /// Debian packages fetched by `apt-get download`.
    pub packages: Vec<String>,
    /// Files taken from them; shared libraries follow by themselves.
    pub programs: Vec<String>,
    /// Kernel modules in load order.
    pub modules: Vec<String>,
}

impl Guest {
    /// Reads the guest called `name` in `dir`, or the file `name` when it ends in `.toml`.
    pub fn load(dir: &Path, name: &str) -> Result<Guest> {
        let file =
            if name.ends_with(".toml") { PathBuf::from(name) } else { dir.join(format!("{name}.toml")) };
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                bail!("no guest called {name}; there are: {}", names(dir).join(", "))
            }
            Err(error) => return Err(error).with_context(|| format!("{}", file.display())),
        };
        Guest::parse(&text).with_context(|| format!("{}", file.display()))
    }

    /// Reads a description and checks what its types do not.
    pub fn parse(text: &str) -> Result<Guest> {
        let guest: Guest = toml::from_str(text)?;
        match guest.boot {
            Boot::Image if guest.machine.disk.is_none() => {
                bail!("[machine] disk is missing: boot = \"image\" needs it")
            }
            Boot::Linux if guest.linux.is_none() => bail!("[linux] is missing: boot = \"linux\" needs it"),
            _ => {}
        }
        if guest.steps.suites.is_empty() {
            bail!("[[steps.suites]] is missing: there is nothing to run");
        }
        if guest.console.login.is_empty() {
            bail!("[console] login needs at least one prompt to wait for");
        }
        for pattern in guest.console.login.iter().chain(&guest.console.panic).chain(&guest.console.panic_end)
        {
            if pattern.is_empty() || pattern.len() > LONGEST_PATTERN {
                bail!("[console] the pattern {pattern:?} is empty or longer than {}", LONGEST_PATTERN);
            }
        }
        Ok(guest)
    }
}

/// The guests described in `dir`, by name.
pub fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".toml").map(str::to_owned))
        .collect();
    names.sort();
    names
}

impl Limits {
    /// `seconds` of this table as a duration, stretched when QEMU translates.
    pub fn of(&self, seconds: u32, translated: bool) -> Duration {
        Duration::from_secs(u64::from(seconds) * if translated { u64::from(self.tcg.max(1)) } else { 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guests() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("guests")
    }

    #[test]
    fn every_shipped_description_is_valid() {
        let names = names(&guests());
        assert!(names.contains(&"omnios".to_owned()) && names.contains(&"linux".to_owned()), "{names:?}");
        for name in names {
            let guest = Guest::load(&guests(), &name).unwrap();
            assert_eq!(guest.name, name);
            assert!(guest.machine.device.starts_with("ivshmem-plain"));
        }
    }

    #[test]
    fn an_unknown_guest_lists_the_known_ones() {
        let error = Guest::load(&guests(), "plan9").unwrap_err().to_string();
        assert!(error.contains("plan9") && error.contains("linux, omnios"), "{error}");
    }

    #[test]
    fn a_mistyped_key_is_refused() {
        let text = std::fs::read_to_string(guests().join("linux.toml")).unwrap();
        let error = Guest::parse(&text.replace("silence =", "silense =")).unwrap_err().to_string();
        assert!(error.contains("silense"), "{error}");
    }

    #[test]
    fn an_image_guest_needs_a_disk() {
        let text = std::fs::read_to_string(guests().join("omnios.toml")).unwrap();
        let text: String = text
            .lines()
            .filter(|line| !line.starts_with("disk = "))
            .fold(String::new(), |all, line| all + line + "\n");
        assert!(Guest::parse(&text).unwrap_err().to_string().contains("disk"));
    }

    #[test]
    fn limits_stretch_only_when_translated() {
        let guest = Guest::load(&guests(), "omnios").unwrap();
        assert_eq!(guest.limits.of(10, false).as_secs(), 10);
        assert_eq!(guest.limits.of(10, true).as_secs(), 10 * u64::from(guest.limits.tcg));
    }
}
