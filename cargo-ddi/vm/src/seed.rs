//! The NoCloud seed: a FAT volume `cidata`, made in memory.
//!
//! cloud-init on the guest finds it by its label and takes the user's ssh key and the host name from it. Its sectors have 2,048
//! bytes because guests see it as a CD.

use std::io::{Cursor, Write};

use anyhow::{Context, Result};
use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};

const SECTOR: u16 = 2048;
/// Room for a key and some lines, in bytes. FAT12 and FAT16 need no more than a few sectors for themselves.
const SIZE: usize = 1 << 20;

/// The seed of a run: `key` becomes a login key of the image's default user and of root.
///
/// # Errors
/// If the texts do not fit into the volume.
pub fn no_cloud(key: &str, host: &str, run: &str) -> Result<Vec<u8>> {
    let user_data = format!(
        "#cloud-config\nhostname: {host}\nssh_pwauth: false\ndisable_root: false\nssh_authorized_keys:\n  - {key}\n"
    );
    let meta_data = format!("instance-id: {run}\nlocal-hostname: {host}\n");
    volume(&[("user-data", &user_data), ("meta-data", &meta_data)]).context("writing the seed volume")
}

/// A volume labelled `cidata` that holds `files` (name, contents) in its root directory.
fn volume(files: &[(&str, &str)]) -> std::io::Result<Vec<u8>> {
    let mut image = Cursor::new(vec![0; SIZE]);
    let options = FormatVolumeOptions::new().bytes_per_sector(SECTOR).volume_label(*b"cidata     ");
    fatfs::format_volume(&mut image, options)?;
    let volume = FileSystem::new(&mut image, FsOptions::new())?;
    for (name, text) in files {
        volume.root_dir().create_file(name)?.write_all(text.as_bytes())?;
    }
    volume.unmount()?;
    Ok(image.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_seed_carries_key_and_host() {
        let image = no_cloud("ssh-ed25519 AAAA run", "ddi-omnios", "run-1").unwrap();
        let volume = FileSystem::new(Cursor::new(image), FsOptions::new()).unwrap();
        assert_eq!(volume.volume_label(), "cidata");
        let text = |name: &str| {
            let mut text = String::new();
            volume.root_dir().open_file(name).unwrap().read_to_string(&mut text).unwrap();
            text
        };
        assert!(text("user-data").starts_with("#cloud-config\n"));
        assert!(text("user-data").contains("\nssh_authorized_keys:\n  - ssh-ed25519 AAAA run\n"));
        assert_eq!(text("meta-data"), "instance-id: run-1\nlocal-hostname: ddi-omnios\n");
    }

    #[test]
    fn a_text_that_does_not_fit_is_an_error() {
        assert!(volume(&[("user-data", &"x".repeat(SIZE))]).is_err());
    }
}
