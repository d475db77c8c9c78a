//! The package of a driver for an illumos system: a directory with the module, driver.conf, install.sh and remove.sh made for the driver, and an IPS manifest; and an
//! archive of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use ddi_system::conf;
use serde_json::Value;

use crate::module::Package;

/// The files of a package: names, modes and contents.
pub struct Files {
    /// `NAME-VERSION`.
    pub name: String,
    /// The files.
    pub files: Vec<(String, u32, Vec<u8>)>,
}

impl Files {
    /// Makes the files of a driver, with the module in the file `module`.
    ///
    /// # Errors
    /// A file cannot be read, or the manifest has words that have no place in a script.
    pub fn make(driver: &Package, module: &Path) -> Result<Files> {
        let facts = Facts::read(driver)?;
        let bytes = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
        let conf = driver.conf().map(fs::read).transpose().context("cannot read the driver.conf")?;
        let [install, remove] = facts.scripts();
        let mut files = vec![
            (facts.name.clone(), 0o755, bytes),
            ("install.sh".to_owned(), 0o755, install.into_bytes()),
            ("remove.sh".to_owned(), 0o755, remove.into_bytes()),
            (format!("{}.p5m", facts.name), 0o644, facts.manifest().into_bytes()),
            (format!("{}.conf", facts.name), 0o644, conf.unwrap_or_default()),
        ];
        for license in &facts.licences {
            let bytes = fs::read(license).with_context(|| format!("cannot read {}", license.display()))?;
            files.push((file_name(license), 0o644, bytes));
        }
        Ok(Files { name: format!("{}-{}", facts.name, facts.version), files })
    }

    /// Writes them into a directory.
    ///
    /// # Errors
    /// One cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        for (file, mode, bytes) in &self.files {
            let path = dir.join(file);
            fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(*mode))?;
        }
        Ok(())
    }
}

/// Returns install.sh and remove.sh of a driver.
///
/// # Errors
/// As of [`Files::make`].
pub fn scripts(driver: &Package) -> Result<[String; 2]> {
    Ok(Facts::read(driver)?.scripts())
}

/// Returns the names in /dev of a driver's pseudo nodes: what its manifest says, or those of its driver.conf.
///
/// # Errors
/// The driver.conf cannot be read.
pub fn nodes(driver: &Package) -> Result<Vec<String>> {
    match metadata(driver, "nodes").and_then(toml::Value::as_array) {
        Some(nodes) => Ok(nodes.iter().filter_map(|node| node.as_str().map(str::to_owned)).collect()),
        None => pseudo_nodes(driver),
    }
}

fn metadata<'a>(driver: &'a Package, key: &str) -> Option<&'a toml::Value> {
    driver.table.get("package")?.get("metadata")?.get("module")?.get(key)
}

/// Returns what cargo makes of the driver's manifest, with what it inherits, and the workspace's root.
fn described(driver: &Package) -> Result<(Value, PathBuf)> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--manifest-path"])
        .arg(&driver.manifest)
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let mut metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata is not JSON")?;
    let root = metadata["workspace_root"].as_str().map(PathBuf::from).context("a workspace has a root")?;
    let packages = metadata["packages"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let package = packages.into_iter().find(|package| package["name"] == driver.name.as_str());
    Ok((package.with_context(|| format!("cargo does not know {}", driver.name))?, root))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

const INSTALL: &str = include_str!("../templates/package/install.sh");
const REMOVE: &str = include_str!("../templates/package/remove.sh");

/// Facts about a driver for its scripts and manifest.
struct Facts {
    name: String,
    version: String,
    summary: String,
    license: String,
    licences: Vec<PathBuf>,
    /// Names in /dev of its pseudo nodes.
    nodes: Vec<String>,
    /// Names in /dev of its PCI devices, without their numbers.
    pci: String,
    aliases: Vec<String>,
    permissions: String,
    depends: Vec<String>,
}

impl Facts {
    fn read(driver: &Package) -> Result<Facts> {
        let name = driver.name.clone();
        let (described, root) = described(driver)?;
        let field = |key: &str| described[key].as_str().map(str::to_owned);
        let pci = metadata(driver, "pci-nodes").and_then(toml::Value::as_str).unwrap_or(&name).to_owned();
        let mut licences = Vec::new();
        for dir in [driver.dir(), &root] {
            let there = ["LICENSE", "LICENSE-MIT", "LICENSE-APACHE", "LICENCE", "COPYING"];
            licences.extend(there.iter().map(|file| dir.join(file)).filter(|file| file.is_file()));
            if !licences.is_empty() {
                break;
            }
        }
        let facts = Facts {
            version: field("version").context("a package has a version")?,
            summary: field("description").unwrap_or_else(|| format!("the driver {name}")),
            license: field("license").unwrap_or_else(|| "unknown".to_owned()),
            licences,
            nodes: nodes(driver)?,
            pci,
            aliases: driver.aliases.clone(),
            permissions: driver.permissions.clone(),
            depends: driver.depends.clone(),
            name,
        };
        // They go into a shell script and a manifest: nothing that either reads as more than a word.
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:*@/ ".contains(c);
        let words = facts
            .nodes
            .iter()
            .chain(&facts.aliases)
            .chain(&facts.depends)
            .chain([&facts.permissions, &facts.pci]);
        for word in words {
            if !word.chars().all(plain) || word.is_empty() {
                bail!(
                    "{}: {word:?} in [package.metadata.module] has a character that has no place there",
                    facts.name
                );
            }
        }
        Ok(facts)
    }

    /// install.sh and remove.sh.
    fn scripts(&self) -> [String; 2] {
        [INSTALL, REMOVE].map(|text| self.script(text))
    }

    /// Fills in a script.
    fn script(&self, text: &str) -> String {
        let aliases = self.aliases.join(" ");
        text.replace("@NAME@", &self.name)
            .replace("@NODES@", &self.nodes.join(" "))
            .replace("@PCI@", &self.pci)
            .replace("@PERMISSIONS@", &self.permissions)
            .replace("@ALIASES_OR_NONE@", if aliases.is_empty() { "none" } else { &aliases })
            .replace("@ALIASES@", &aliases)
    }

    /// The IPS manifest.
    fn manifest(&self) -> String {
        let Facts { name, version, summary, pci, permissions, .. } = self;
        let quoted = |text: &str| text.replace(['"', '\\', '\n'], " ");
        let zone = "variant.opensolaris.zone=global";
        let mut text = format!(
            "#\n# {name} as an IPS package, made by `cargo ddi package`. In this directory:\n#\n\
             #     pkgsend publish -s REPOSITORY -d . {name}.p5m\n#\n"
        );
        if !self.depends.is_empty() {
            text.push_str(&format!(
                "# The packages of the modules that it needs are not known here. Before that: pkgdepend resolve -m {name}.p5m, and publish {name}.p5m.res.\n#\n"
            ));
        }
        text.push_str(
            "# Kernel files are for global zones only; a zone has the package without them. When the package is removed, links in /dev stay and lead nowhere:\n\
             # devfsadm has no rule for those of devlink.tab.\n#\n",
        );
        text.push_str(&format!("set name=pkg.fmri value=pkg:/driver/misc/{name}@{}\n", ips_version(version)));
        text.push_str(&format!("set name=pkg.summary value=\"{}\"\n", quoted(summary)));
        text.push_str("set name=info.classification value=\"org.opensolaris.category.2008:Drivers/Other Peripherals\"\n");
        text.push_str("set name=variant.arch value=i386\nset name=variant.opensolaris.zone value=global value=nonglobal\n");
        for dir in ["kernel", "kernel/drv", "kernel/drv/amd64"] {
            text.push_str(&format!("dir path={dir} owner=root group=sys mode=0755 {zone}\n"));
        }
        text.push_str(&format!(
            "file {name} path=kernel/drv/amd64/{name} owner=root group=sys mode=0755 reboot-needed=false {zone}\n\
             file {name}.conf path=kernel/drv/{name}.conf owner=root group=sys mode=0644 preserve=renamenew {zone}\n"
        ));
        let aliases: String = self.aliases.iter().map(|alias| format!(" alias={alias}")).collect();
        text.push_str(&format!("driver name={name}{aliases} perms=\"{permissions}\" \\\n"));
        text.push_str(&format!("    devlink=type=ddi_pseudo;name={name}\\t\\M0 \\\n"));
        for unit in 0..if self.aliases.is_empty() { 0 } else { 4 } {
            text.push_str(&format!("    devlink=type=ddi_pseudo;minor={pci}{unit}\\t\\M0 \\\n"));
        }
        text.push_str(&format!("    {zone}\n"));
        for license in &self.licences {
            text.push_str(&format!("license {} license=\"{}\"\n", file_name(license), quoted(&self.license)));
        }
        text.push_str("depend type=require fmri=pkg:/system/kernel\n");
        for module in &self.depends {
            let (class, file) = module.split_once('/').unwrap_or(("misc", module));
            text.push_str(&format!(
                "depend type=require fmri=__TBD pkg.debug.depend.file={file} pkg.debug.depend.path=kernel/{class}/amd64 \
                 pkg.debug.depend.path=usr/kernel/{class}/amd64\n"
            ));
        }
        text
    }
}

/// The version as IPS has them: numbers and dots.
fn ips_version(version: &str) -> &str {
    version.split(['-', '+']).next().unwrap_or(version)
}

/// Names of the pseudo nodes of the driver.conf, if the driver gives its nodes the names that they have unless it says otherwise.
fn pseudo_nodes(driver: &Package) -> Result<Vec<String>> {
    let Some(file) = driver.conf() else { return Ok(Vec::new()) };
    let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let nodes = conf::parse(text).nodes.into_iter();
    let own = nodes.filter(|node| node.name == driver.name && node.parent.as_deref() == Some("pseudo"));
    Ok(own.filter_map(|node| Some(format!("{}{}", driver.name, node.instance?))).collect())
}
