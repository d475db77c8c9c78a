//! Guest descriptions: what is particular to one operating system, as data.
//!
//! One TOML file per guest in `guests`, built in; others may be named by their files. Nothing else in the harness names an operating system.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::events::{ConsoleRules, LONGEST_PATTERN};

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
    /// Directory for the files. The driver's own description says how it is installed there, and how it is tested.
    pub dir: String,
    /// Succeeds if `{device}` is there.
    pub check: String,
    /// Prints the kstats of `{driver}`.
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
    /// Reads the guest called `name`, or the file `name` when it ends in `.toml`.
    ///
    /// # Errors
    /// There is no such guest or file, or it is no description.
    pub fn load(name: &str) -> Result<Guest> {
        if name.ends_with(".toml") {
            let text = std::fs::read_to_string(Path::new(name)).with_context(|| name.to_owned())?;
            return Guest::parse(&text).with_context(|| name.to_owned());
        }
        let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) else {
            let names = BUILT_IN.map(|(name, _)| name).join(", ");
            bail!("no guest called {name}; there are: {names}, or a description of your own: FILE.toml");
        };
        Guest::parse(text).with_context(|| format!("the guest {name}"))
    }

    /// Returns the text of a built-in description.
    pub fn text(name: &str) -> Option<&'static str> {
        BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
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

/// Returns the names of the built-in guests.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// The built-in descriptions.
const BUILT_IN: [(&str, &str); 2] =
    [("linux", include_str!("../guests/linux.toml")), ("omnios", include_str!("../guests/omnios.toml"))];

impl Limits {
    /// `seconds` of this table as a duration, stretched when QEMU translates.
    pub fn of(&self, seconds: u32, translated: bool) -> Duration {
        Duration::from_secs(u64::from(seconds) * if translated { u64::from(self.tcg.max(1)) } else { 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_description_is_valid() {
        for name in names() {
            let guest = Guest::load(name).unwrap();
            assert_eq!(guest.name, name);
            assert!(guest.machine.device.starts_with("ivshmem-plain"));
        }
    }

    #[test]
    fn an_unknown_guest_lists_the_known_ones() {
        let error = Guest::load("plan9").unwrap_err().to_string();
        assert!(error.contains("plan9") && error.contains("linux, omnios"), "{error}");
        let error = format!("{:#}", Guest::load("/nosuch.toml").unwrap_err());
        assert!(error.contains("/nosuch.toml: No such file"), "{error}");
    }

    #[test]
    fn a_mistyped_key_is_refused() {
        let text = Guest::text("linux").unwrap();
        let error = Guest::parse(&text.replace("silence =", "silense =")).unwrap_err().to_string();
        assert!(error.contains("silense"), "{error}");
    }

    #[test]
    fn an_image_guest_needs_a_disk() {
        let text: String = Guest::text("omnios")
            .unwrap()
            .lines()
            .filter(|line| !line.starts_with("disk = "))
            .fold(String::new(), |all, line| all + line + "\n");
        assert!(Guest::parse(&text).unwrap_err().to_string().contains("disk"));
    }

    #[test]
    fn limits_stretch_only_when_translated() {
        let guest = Guest::load("omnios").unwrap();
        assert_eq!(guest.limits.of(10, false).as_secs(), 10);
        assert_eq!(guest.limits.of(10, true).as_secs(), 10 * u64::from(guest.limits.tcg));
    }
}
