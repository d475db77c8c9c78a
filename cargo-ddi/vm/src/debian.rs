//! Files out of Debian's packages: fetched with `apt-get download`, kept, never installed.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The kernel's meta package.
const KERNEL: &str = "linux-image-amd64";

/// The package with the current kernel, such as `linux-image-6.1.0-56-amd64`.
pub fn kernel_package() -> Result<String> {
    let text = output(Command::new("apt-cache").args(["depends", "--important", KERNEL]))?;
    text.lines()
        .find_map(|line| {
            line.trim().strip_prefix("Depends: ").filter(|name| name.starts_with("linux-image-"))
        })
        .map(str::to_owned)
        .with_context(|| format!("apt does not know {KERNEL}: run apt-get update (Debian only)"))
}

/// The package's file in `dir`, fetched if it is not there. apt verifies its checksum.
pub fn fetch(package: &str, dir: &Path) -> Result<PathBuf> {
    let find = || -> Result<Option<PathBuf>> {
        let prefix = format!("{package}_");
        let mut found: Vec<PathBuf> = std::fs::read_dir(dir)?
            .flatten()
            .filter(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.starts_with(&prefix) && name.ends_with(".deb")
            })
            .map(|entry| entry.path())
            .collect();
        found.sort();
        Ok(found.pop())
    };
    std::fs::create_dir_all(dir)?;
    if let Some(file) = find()? {
        return Ok(file);
    }
    // Fetched elsewhere and moved: an interrupted download is never taken for a package.
    let scratch = tempfile::tempdir_in(dir)?;
    output(Command::new("apt-get").args(["download", "-q", package]).current_dir(scratch.path()))
        .with_context(|| format!("fetching {package} (is the machine a Debian, and online?)"))?;
    for entry in std::fs::read_dir(scratch.path())?.flatten() {
        std::fs::rename(entry.path(), dir.join(entry.file_name()))?;
    }
    find()?.with_context(|| format!("apt-get fetched no {package}"))
}

/// Calls `take` with the path (without leading `./`) and contents of each regular file for which `wanted` holds.
pub fn extract(
    deb: &Path,
    wanted: &dyn Fn(&str) -> bool,
    take: &mut dyn FnMut(&str, Vec<u8>) -> Result<()>,
) -> Result<()> {
    let mut child = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(deb)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("dpkg-deb")?;
    let Some(output) = child.stdout.take() else { bail!("dpkg-deb's output was not piped") };
    let mut archive = tar::Archive::new(output);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
        if entry.header().entry_type().is_file() && wanted(&path) {
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents)?;
            take(&path, contents)?;
        }
    }
    // tar ends before the padding: dpkg-deb must not find its pipe closed.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink())?;
    let status = child.wait()?;
    if !status.success() {
        bail!("dpkg-deb could not read {}: remove it, it will be fetched again", deb.display());
    }
    Ok(())
}

fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("{program} is not here: the Linux guest is made from Debian's packages, on Debian")
        }
        Err(error) => return Err(error).context(program),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{program} failed: {}",
            said.lines().rev().find(|line| line.starts_with("E:")).unwrap_or(said.trim())
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
