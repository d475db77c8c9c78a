//! `cargo ddi package`: what an illumos system installs. A directory with the module, driver.conf, install.sh and remove.sh made for the driver, and an IPS
//! manifest; and an archive of it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use cargo_ddi::check;
use cargo_ddi::module::{Framework, Options, Package, toolchain};
use ddi_system::conf;
use serde::Serialize;

use super::module;
use crate::project::Project;
use crate::ui::Ui;

/// Arguments of `package`.
#[derive(clap::Args)]
pub struct Args {
    /// A driver of the workspace (default: that of the current directory, or the only one).
    #[arg(short, long, value_name = "PACKAGE")]
    package: Option<String>,
    /// The devmap framework under the driver: the kernel's, or the module's own (default: the package's choice).
    #[arg(long, value_name = "WHOSE")]
    framework: Option<Framework>,
    /// Write into DIR instead of target/package/NAME-VERSION; the archive goes beside it.
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Result of `package`.
#[derive(Serialize)]
struct Packaged {
    dir: PathBuf,
    archive: PathBuf,
    files: Vec<String>,
}

impl fmt::Display for Packaged {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}: {}", self.dir.display(), self.files.join(", "))?;
        writeln!(out, "{}: on illumos: tar xf it, then pfexec sh install.sh", self.archive.display())
    }
}

/// Builds the module and writes the package.
pub fn run(args: &Args, ui: &Ui) -> Result<ExitCode> {
    let here = std::env::current_dir().context("the current directory is gone")?;
    let project = Project::find(&here)?;
    let driver = project.drivers(args.package.as_slice(), &here)?.remove(0);
    let facts = Facts::read(&driver, &project)?;
    let toolchain = toolchain::find()?;
    let options = Options { framework: args.framework, ..Options::default() };
    let built = module::build(&toolchain, &project, &driver, &options, ui)?;
    let verdict = check::Against::default().check(&built.path)?;
    if !verdict.is_good() {
        bail!("a kernel would not take {}:\n{verdict}", built.path.display());
    }
    let name = format!("{}-{}", facts.name, facts.version);
    let dir = args.output.clone().unwrap_or_else(|| project.target.join("package").join(&name));
    ui.doing("Packaging", dir.display());
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let bytes = fs::read(&built.path).with_context(|| format!("cannot read {}", built.path.display()))?;
    let conf = driver.conf().map(fs::read).transpose().context("cannot read the driver.conf")?;
    let mut files = vec![
        (facts.name.clone(), 0o755, bytes),
        ("install.sh".to_owned(), 0o755, facts.script(INSTALL).into_bytes()),
        ("remove.sh".to_owned(), 0o755, facts.script(REMOVE).into_bytes()),
        (format!("{}.p5m", facts.name), 0o644, facts.manifest().into_bytes()),
        (format!("{}.conf", facts.name), 0o644, conf.unwrap_or_default()),
    ];
    for license in &facts.licences {
        let bytes = fs::read(license).with_context(|| format!("cannot read {}", license.display()))?;
        files.push((file_name(license), 0o644, bytes));
    }
    let archive = dir.with_file_name(format!("{}.tar", file_name(&dir)));
    let place = || format!("cannot write {}", archive.display());
    let mut tar = tar::Builder::new(fs::File::create(&archive).with_context(place)?);
    for (file, mode, bytes) in &files {
        let path = dir.join(file);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(*mode))?;
        // The same input gives the same archive: no times, no users.
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(*mode);
        tar.append_data(&mut header, Path::new(&name).join(file), bytes.as_slice()).with_context(place)?;
    }
    tar.into_inner().with_context(place)?;
    ui.result(&Packaged { dir, archive, files: files.into_iter().map(|(file, ..)| file).collect() })?;
    Ok(ExitCode::SUCCESS)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

const INSTALL: &str = include_str!("../../templates/package/install.sh");
const REMOVE: &str = include_str!("../../templates/package/remove.sh");

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
    fn read(driver: &Package, project: &Project) -> Result<Facts> {
        let name = driver.name.clone();
        let metadata = |key| driver.table.get("package")?.get("metadata")?.get("module")?.get(key);
        let nodes = match metadata("nodes").and_then(toml::Value::as_array) {
            Some(nodes) => nodes.iter().filter_map(|node| node.as_str().map(str::to_owned)).collect(),
            None => pseudo_nodes(driver)?,
        };
        let pci = metadata("pci-nodes").and_then(toml::Value::as_str).unwrap_or(&name).to_owned();
        let mut licences = Vec::new();
        for dir in [driver.dir(), &project.root] {
            let there = ["LICENSE", "LICENSE-MIT", "LICENSE-APACHE", "LICENCE", "COPYING"];
            licences.extend(there.iter().map(|file| dir.join(file)).filter(|file| file.is_file()));
            if !licences.is_empty() {
                break;
            }
        }
        let facts = Facts {
            version: project.field(&name, "version")?,
            summary: project.field(&name, "description").unwrap_or_else(|_| format!("the driver {name}")),
            license: project.field(&name, "license").unwrap_or_else(|_| "unknown".to_owned()),
            licences,
            nodes,
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
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let nodes = conf::parse(&text).nodes.into_iter();
    let own = nodes.filter(|node| node.name == driver.name && node.parent.as_deref() == Some("pseudo"));
    Ok(own.filter_map(|node| Some(format!("{}{}", driver.name, node.instance?))).collect())
}
