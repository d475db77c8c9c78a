//! What is shipped into a guest: the module, its package files, the test programs; one tar stream, unpacked in one directory.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::subject::Subject;

/// Files under the names that they get in the guest.
#[derive(Debug, Default)]
pub struct Payload {
    files: Vec<(String, PathBuf)>,
}

impl Payload {
    /// The driver's package directory, its module, and the test programs.
    pub fn new(subject: &Subject) -> Result<Payload> {
        let Subject { driver, package, module, programs, .. } = subject;
        let mut payload = Payload::default();
        let entries = std::fs::read_dir(package).with_context(|| format!("reading {}", package.display()))?;
        let files = entries.flatten().filter(|entry| entry.path().is_file() && entry.file_name() != **driver);
        for entry in files {
            payload.add(&entry.file_name().to_string_lossy(), &entry.path())?;
        }
        payload.add(driver, module)?;
        for program in programs {
            let name = program.file_name().unwrap_or_default().to_string_lossy();
            if payload.files.iter().any(|(file, _)| *file == name) {
                bail!(
                    "{} has the name of a file of the driver's package: it cannot be shipped beside it",
                    program.display()
                );
            }
            payload.add(&name, program)?;
        }
        Ok(payload)
    }

    /// The names of the files.
    pub fn names(&self) -> Vec<&str> {
        self.files.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Adds a file as `name`.
    fn add(&mut self, name: &str, path: &Path) -> Result<()> {
        if !path.is_file() {
            bail!("{} is not there", path.display());
        }
        self.files.push((name.to_owned(), path.to_path_buf()));
        Ok(())
    }

    /// The tar stream, in the old form that every tar reads. Files keep whether they are executable, and nothing else.
    pub fn tar(&self) -> Result<Vec<u8>> {
        use std::os::unix::fs::PermissionsExt;
        let mut archive = tar::Builder::new(Vec::new());
        for (name, path) in &self.files {
            let contents = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            let executable = std::fs::metadata(path)?.permissions().mode() & 0o100 != 0;
            let mut header = tar::Header::new_ustar();
            header.set_size(contents.len() as u64);
            header.set_mode(if executable { 0o755 } else { 0o644 });
            header.set_mtime(0);
            archive.append_data(&mut header, name, &contents[..])?;
        }
        Ok(archive.into_inner()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_unpacks_to_the_files() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let package = dir.path().join("pkg");
        std::fs::create_dir(&package).unwrap();
        for name in ["pkg/install.sh", "pkg/mydrv", "module", "usr-tests"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        std::fs::set_permissions(dir.path().join("usr-tests"), PermissionsExt::from_mode(0o700)).unwrap();
        let mut subject = Subject {
            driver: "mydrv".to_owned(),
            package,
            module: dir.path().join("module"),
            programs: vec![dir.path().join("usr-tests")],
            ..Subject::default()
        };
        let tar = Payload::new(&subject).unwrap().tar().unwrap();
        let out = dir.path().join("out");
        tar::Archive::new(&tar[..]).unpack(&out).unwrap();
        assert_eq!(std::fs::read_to_string(out.join("install.sh")).unwrap(), "pkg/install.sh");
        assert_eq!(std::fs::read_to_string(out.join("mydrv")).unwrap(), "module");
        assert_eq!(std::fs::metadata(out.join("usr-tests")).unwrap().permissions().mode() & 0o777, 0o755);
        // A program that would overwrite the package's file is refused.
        subject.programs.push(subject.package.join("install.sh"));
        assert!(Payload::new(&subject).unwrap_err().to_string().contains("cannot be shipped"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = Payload::default().add("mydrv", &dir.path().join("module")).unwrap_err().to_string();
        assert!(error.contains("module is not there"), "{error}");
    }
}
