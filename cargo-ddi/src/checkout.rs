//! The devmap that a new driver depends on: the checkout from which this command was installed, or what `--devmap` names.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Origin of devmap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Devmap {
    /// A checkout of this project.
    Path(PathBuf),
    /// A repository.
    Git(String),
    /// A version in the registry.
    Version(String),
}

/// The folders of the packages that a driver may depend on, in a checkout.
const PACKAGES: [(&str, &str); 4] = [
    ("devmap", "devmap"),
    ("devmap-mock", "devmap/mock"),
    ("devmap-plain", "devmap/plain"),
    ("devmap-test", "devmap-test"),
];

impl Devmap {
    /// Reads `--devmap`, or takes the checkout that this command was installed from.
    ///
    /// # Errors
    /// It is neither a checkout, a repository, nor a version; or the checkout is gone.
    pub fn find(given: Option<&str>) -> Result<Devmap> {
        let installed = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"));
        let Some(given) = given else {
            if !is_checkout(installed) {
                bail!(
                    "{} is not there any more, from which this command was installed: --devmap DIR|URL|VERSION",
                    installed.display()
                );
            }
            return Ok(Devmap::Path(installed.to_owned()));
        };
        if given.contains("://") || given.starts_with("git@") {
            return Ok(Devmap::Git(given.to_owned()));
        }
        if let Ok(dir) = Path::new(given).canonicalize() {
            if !is_checkout(&dir) {
                bail!("{} has no devmap/Cargo.toml: it is no checkout of this project", dir.display());
            }
            return Ok(Devmap::Path(dir));
        }
        if given.starts_with(|first: char| first.is_ascii_digit() || "=^~".contains(first)) {
            return Ok(Devmap::Version(given.to_owned()));
        }
        bail!(
            "--devmap {given}: there is no such directory, and it is no URL (https://...) and no version (0.1)"
        )
    }

    /// Returns the lines of `[workspace.dependencies]`.
    pub fn dependencies(&self) -> String {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let line = |(package, folder): &(&str, &str)| match self {
            Devmap::Path(dir) => {
                format!("{package} = {{ path = {} }}", quoted(&dir.join(folder).to_string_lossy()))
            }
            Devmap::Git(url) => format!("{package} = {{ git = {} }}", quoted(url)),
            Devmap::Version(version) => format!("{package} = {}", quoted(version)),
        };
        PACKAGES.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Returns the versions with which a checkout was tested.
    pub fn lock(&self) -> Option<PathBuf> {
        match self {
            Devmap::Path(dir) => Some(dir.join("Cargo.lock")).filter(|file| file.is_file()),
            _ => None,
        }
    }

    /// Returns the source for a reader.
    pub fn place(&self) -> String {
        match self {
            Devmap::Path(dir) => dir.display().to_string(),
            Devmap::Git(url) => url.clone(),
            Devmap::Version(version) => format!("version {version} of the registry"),
        }
    }
}

fn is_checkout(dir: &Path) -> bool {
    PACKAGES.iter().all(|(_, folder)| dir.join(folder).join("Cargo.toml").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_devmap_names() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert_eq!(Devmap::find(None).unwrap(), Devmap::Path(here.to_owned()));
        assert_eq!(Devmap::find(here.to_str()).unwrap(), Devmap::Path(here.to_owned()));
        for url in ["https://host/devmap.git", "git@host:devmap.git", "file:///x"] {
            assert_eq!(Devmap::find(Some(url)).unwrap(), Devmap::Git(url.to_owned()));
        }
        assert_eq!(
            Devmap::find(Some("0.1")).unwrap().dependencies().lines().next(),
            Some("devmap = \"0.1\"")
        );
        for (wrong, why) in [("/", "no checkout"), ("/nosuch", "no such directory"), ("x", "no version")] {
            let error = Devmap::find(Some(wrong)).unwrap_err().to_string();
            assert!(error.contains(why), "{wrong}: {error}");
        }
        let path = Devmap::Path("/a \"b\"".into()).dependencies();
        let table: toml::Table = path.parse().unwrap();
        assert_eq!(table["devmap-plain"]["path"].as_str(), Some("/a \"b\"/devmap/plain"));
    }
}
