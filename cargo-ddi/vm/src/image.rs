//! Disk images: found by path or by name, their format told from their first bytes, their checksum verified when one is listed.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// An image that can be started.
#[derive(Debug)]
pub struct Image {
    /// The file.
    pub path: PathBuf,
    /// QEMU's name of its format.
    pub format: &'static str,
    /// Where its checksum was listed, if it was.
    pub listed: Option<PathBuf>,
}

const EXTENSIONS: [&str; 5] = ["", ".qcow2", ".vmdk", ".raw", ".img"];

impl Image {
    /// Finds `name`: a path, or a file's name (with or without its extension) in `dir`. Verifies its checksum.
    pub fn find(name: &str, dir: Option<&Path>) -> Result<Image> {
        let path = locate(name, dir)?;
        let listed = verify(&path)?;
        let format = format(&path)?;
        Ok(Image { path: path.canonicalize()?, format, listed })
    }
}

fn locate(name: &str, dir: Option<&Path>) -> Result<PathBuf> {
    let direct = PathBuf::from(name);
    if direct.is_file() {
        return Ok(direct);
    }
    if direct.is_dir() {
        bail!("{name} is a directory: --image names a file, or with --image-dir {name} one in there");
    }
    let Some(dir) = dir.filter(|_| !name.contains('/')) else {
        bail!("there is no image {name}; with --image-dir DIR, a name is looked up in DIR");
    };
    if let Some(found) =
        EXTENSIONS.iter().map(|end| dir.join(format!("{name}{end}"))).find(|path| path.is_file())
    {
        return Ok(found);
    }
    let mut there: Vec<String> = std::fs::read_dir(dir)
        .with_context(|| format!("--image-dir {}", dir.display()))?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    there.sort();
    let there = if there.is_empty() { "nothing".to_owned() } else { there.join(", ") };
    bail!("no image {name} in {}; there: {there}", dir.display())
}

/// QEMU would guess a raw image's format from bytes that the guest controls, so it is always told.
fn format(path: &Path) -> Result<&'static str> {
    let mut head = [0; 512];
    let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let length = file.read(&mut head)?;
    let head = &head[..length];
    Ok(match head {
        [b'Q', b'F', b'I', 0xfb, ..] => "qcow2",
        [b'K', b'D', b'M', b'V', ..] => "vmdk",
        _ if head.starts_with(b"# Disk DescriptorFile") => "vmdk",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => bail!("{} is compressed: zstd -d it first", path.display()),
        [0x1f, 0x8b, ..] => bail!("{} is compressed: gunzip it first", path.display()),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => bail!("{} is compressed: unxz it first", path.display()),
        [] => bail!("{} is empty", path.display()),
        // What a PC's disk has at the end of its first sector, also one with an EFI label.
        _ if head.get(510..) == Some(&[0x55, 0xaa]) => "raw",
        _ => bail!(
            "{} is no disk image: neither qcow2, nor vmdk, nor a raw disk, which has 55 aa at the end of its first sector",
            path.display()
        ),
    })
}

/// Looks for the file in `SHA256SUMS` and `NAME.sha256` beside it; a wrong sum is an error, a missing one is not.
fn verify(path: &Path) -> Result<Option<PathBuf>> {
    let name = path.file_name().and_then(|name| name.to_str()).context("the image's name is not UTF-8")?;
    let dir = path.parent().unwrap_or(Path::new("."));
    for list in [dir.join("SHA256SUMS"), dir.join(format!("{name}.sha256"))] {
        let Ok(text) = std::fs::read_to_string(&list) else { continue };
        let Some(wanted) = listed_sum(&text, name) else { continue };
        let found = sha256(path)?;
        if found != wanted {
            bail!("{name} has checksum {found}, but {} lists {wanted}: fetch it again", list.display());
        }
        return Ok(Some(list));
    }
    Ok(None)
}

/// The sum of `name` in a list in GNU's form (`sum  name`), BSD's (`SHA256 (name) = sum`) or with the sum alone.
fn listed_sum(list: &str, name: &str) -> Option<String> {
    let is_sum = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    list.lines().find_map(|line| {
        let line = line.trim();
        if let Some((file, sum)) = line.strip_prefix("SHA256 (").and_then(|rest| rest.split_once(") = ")) {
            return (file == name && is_sum(sum)).then(|| sum.to_lowercase());
        }
        let (sum, file) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let file = file.trim_start().trim_start_matches('*').trim_start_matches("./");
        let alone = file.is_empty() && list.trim() == line;
        (is_sum(sum) && (file == name || alone)).then(|| sum.to_lowercase())
    })
}

/// The SHA-256 of a file, in hexadecimal.
pub fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => hash.update(&buffer[..length]),
        }
    }
    Ok(hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"; // of "hello"

    /// The first sector of a disk, and its sum.
    fn raw() -> Vec<u8> {
        let mut sector = vec![0; 510];
        sector.extend([0x55, 0xaa]);
        sector
    }
    const RAW_SUM: &str = "b140168e270a194660d4ecb93bbd23892cfa96a2ccd38cfb9959fd0f0da91db6";

    #[test]
    fn a_name_is_found_in_the_directory_and_its_sum_verified() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("omnios.qcow2"), raw()).unwrap();
        std::fs::write(
            dir.path().join("SHA256SUMS"),
            format!("{}  other\n{RAW_SUM} *omnios.qcow2\n", "0".repeat(64)),
        )
        .unwrap();
        let image = Image::find("omnios", Some(dir.path())).unwrap();
        assert_eq!(image.format, "raw");
        assert!(image.listed.is_some());
    }

    #[test]
    fn a_wrong_sum_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("omnios.raw");
        std::fs::write(&path, raw()).unwrap();
        std::fs::write(dir.path().join("omnios.raw.sha256"), SUM).unwrap();
        let error = Image::find(path.to_str().unwrap(), None).unwrap_err().to_string();
        assert!(error.contains(SUM) && error.contains("fetch it again"), "{error}");
    }

    #[test]
    fn all_three_forms_of_a_list_are_read() {
        assert_eq!(
            listed_sum(&format!("SHA256 (a.raw) = {}", SUM.to_uppercase()), "a.raw").as_deref(),
            Some(SUM)
        );
        assert_eq!(listed_sum(&format!("{SUM}  ./a.raw\n"), "a.raw").as_deref(), Some(SUM));
        assert_eq!(listed_sum(&format!("{SUM}\n"), "a.raw").as_deref(), Some(SUM));
        assert_eq!(listed_sum(&format!("{SUM}  a.raw.old\n"), "a.raw"), None);
        assert_eq!(listed_sum("not-a-sum  a.raw\n", "a.raw"), None);
    }

    #[test]
    fn formats_are_told_from_the_file_not_from_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.raw");
        for (head, wanted) in [
            (&b"QFI\xfb\0\0\0\x03"[..], "qcow2"),
            (b"KDMV", "vmdk"),
            (b"# Disk DescriptorFile\n", "vmdk"),
            (&raw(), "raw"),
        ] {
            std::fs::write(&path, head).unwrap();
            assert_eq!(format(&path).unwrap(), wanted);
        }
        std::fs::write(&path, "<html>not found</html>").unwrap();
        assert!(format(&path).unwrap_err().to_string().contains("is no disk image"));
        std::fs::write(&path, "").unwrap();
        assert!(format(&path).unwrap_err().to_string().ends_with("is empty"));
        std::fs::write(&path, b"\x28\xb5\x2f\xfd").unwrap();
        assert!(format(&path).unwrap_err().to_string().contains("zstd -d"));
    }

    #[test]
    fn a_missing_image_names_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("omnios-r151054.cloud.vmdk"), "KDMV").unwrap();
        let error = Image::find("omnios-r15", Some(dir.path())).unwrap_err().to_string();
        assert!(error.contains("omnios-r151054.cloud.vmdk"), "{error}");
        let shown = dir.path().display().to_string();
        let error = Image::find(&shown, None).unwrap_err().to_string();
        assert!(error.contains("is a directory"), "{error}");
        let error = Image::find("x", Some(&dir.path().join("absent"))).unwrap_err();
        assert!(format!("{error:#}").contains("absent: No such file"), "{error:#}");
    }
}
