//! A driver's package: its manifest, and what `[package.metadata.module]` says of its module.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use super::framework::Framework;

/// A driver crate.
#[derive(Clone, Debug)]
pub struct Package {
    /// The name.
    pub name: String,
    /// The path of Cargo.toml.
    pub manifest: PathBuf,
    /// Pages of its mappings may have memory of their own, as `[package.metadata.module] pages` says it: what its own framework has code for.
    pub pages: bool,
    /// The choice of a framework, as `[package.metadata.module] framework` says it.
    pub framework: Framework,
    /// Features of the crate to build it with, besides the default ones.
    pub features: Vec<String>,
    /// Modules that it needs, as `[package.metadata.module] depends` names them.
    pub depends: Vec<String>,
    /// PCI devices that it binds to, as `aliases` names them: `pci1af4,1110`.
    pub aliases: Vec<String>,
    /// Descriptions or names of simulated devices, as `devices` names them.
    pub devices: Vec<String>,
    /// Permissions of its device nodes for add_drv(8), as `permissions` says them.
    pub permissions: String,
    /// The whole manifest.
    pub table: toml::Table,
}

impl Package {
    /// Reads a manifest.
    ///
    /// # Errors
    /// The file cannot be read, or is no package's manifest.
    pub fn read(manifest: &Path) -> Result<Package> {
        let manifest =
            manifest.canonicalize().with_context(|| format!("cannot read {}", manifest.display()))?;
        let text =
            fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            anyhow!("{} is not TOML: {}", manifest.display(), error.message())
        })?;
        let package =
            table.get("package").cloned().ok_or_else(|| anyhow!("{} has no package", manifest.display()))?;
        let name = package.get("name").and_then(toml::Value::as_str).unwrap_or_default().to_owned();
        let metadata = |key| package.get("metadata").and_then(|metadata| metadata.get("module")?.get(key));
        let list = |key: &'static str| match metadata(key) {
            None => Ok(Vec::new()),
            Some(value) => value
                .as_array()
                .and_then(|names| names.iter().map(|name| name.as_str().map(str::to_owned)).collect())
                .ok_or_else(|| {
                    anyhow!("{}: {key} = {value}: a list of texts is expected", manifest.display())
                }),
        };
        let framework = match metadata("framework") {
            None => Framework::default(),
            Some(value) => value.as_str().and_then(Framework::named).ok_or_else(|| {
                anyhow!("{}: framework = {value}: \"kernel\" or \"own\" is expected", manifest.display())
            })?,
        };
        let pages = metadata("pages").and_then(|value| value.as_bool()).unwrap_or_default();
        let permissions = metadata("permissions").and_then(toml::Value::as_str).unwrap_or("* 0666 root sys");
        let permissions = permissions.to_owned();
        let (depends, aliases, devices) = (list("depends")?, list("aliases")?, list("devices")?);
        let features = Vec::new();
        Ok(Package {
            name,
            manifest,
            framework,
            features,
            depends,
            pages,
            aliases,
            devices,
            permissions,
            table,
        })
    }

    /// Returns the driver's driver.conf(5): `NAME.conf` in its folder, or in `pkg` below it.
    pub fn conf(&self) -> Option<PathBuf> {
        let name = format!("{}.conf", self.name);
        [self.dir().join(&name), self.dir().join("pkg").join(&name)].into_iter().find(|file| file.is_file())
    }

    /// Returns the folder of the package.
    pub fn dir(&self) -> &Path {
        self.manifest.parent().unwrap_or(&self.manifest)
    }
}

/// Origin of a package on which the driver depends.
#[derive(Clone, Debug)]
pub struct Source {
    /// The folder.
    pub dir: PathBuf,
    version: String,
    /// As cargo writes it; none for a path.
    source: Option<String>,
}

impl Source {
    /// Returns the dependency, as a manifest has it, on the package in the folder `folder` beside this one: from the same checkout, repository or release.
    pub fn beside(&self, folder: &str) -> toml::Table {
        let mut table = toml::Table::new();
        let mut set = |key: &str, value: &str| table.insert(key.to_owned(), value.into());
        match &self.source {
            None => {
                set("path", &self.dir.with_file_name(folder).to_string_lossy());
            }
            // git+URL?branch=x#commit. The commit is in the lock file; with it here this would be another source to cargo than the driver's.
            Some(source) if source.starts_with("git+") => {
                let source = source.trim_start_matches("git+").split('#').next().unwrap_or_default();
                let (url, which) = source.split_once('?').unwrap_or((source, ""));
                set("git", url);
                if let Some((key, value)) = which.split_once('=') {
                    set(key, value);
                }
            }
            Some(_) => {
                set("version", &format!("={}", self.version));
            }
        }
        table
    }
}

/// Returns the source of a package among the dependencies of the driver with this manifest; none if it is not among them.
///
/// # Errors
/// cargo cannot resolve the driver's dependencies.
pub fn source(manifest: &Path, name: &str) -> Result<Option<Source>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(&cargo)
        .args(["metadata", "--format-version", "1", "--manifest-path"])
        .arg(manifest)
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata is not JSON")?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    Ok(packages.filter(|package| package["name"] == name).find_map(|package| {
        Some(Source {
            dir: Path::new(package["manifest_path"].as_str()?).parent()?.to_owned(),
            version: package["version"].as_str()?.to_owned(),
            source: package["source"].as_str().map(str::to_owned),
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_beside_comes_from_the_same_source() {
        let beside = |source: Option<&str>| {
            let source = source.map(str::to_owned);
            let source = Source { dir: "/x/devmap".into(), version: "0.1.0".to_owned(), source };
            source.beside("host").to_string().replace('\n', " ")
        };
        assert_eq!(beside(None), "path = \"/x/host\" ");
        assert_eq!(beside(Some("git+https://h/d.git#0123")), "git = \"https://h/d.git\" ");
        let branch = beside(Some("git+https://h/d.git?branch=next#0123"));
        assert_eq!(branch, "branch = \"next\" git = \"https://h/d.git\" ");
        assert_eq!(beside(Some("registry+https://index")), "version = \"=0.1.0\" ");
    }
}
