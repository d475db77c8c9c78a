//! The NoCloud seed: an ISO 9660 volume `cidata` with Rock Ridge names, made in memory.
//!
//! cloud-init on the guest finds it by its label and takes the user's ssh key and the host name from it. ISO 9660 because every
//! guest reads it (hsfs, isofs) and because writing one takes a page of code and no tool.

const SECTOR: usize = 2048;
const ROOT_SECTOR: u32 = 20;

/// A volume labelled `cidata` that holds `files` (name, contents) in its root directory.
///
/// # Panics
/// If the directory would exceed one sector: a seed has a handful of files.
pub fn iso9660(files: &[(&str, &str)]) -> Vec<u8> {
    let mut sector = ROOT_SECTOR + 1;
    let mut root = Vec::new();
    record(&mut root, ROOT_SECTOR, SECTOR as u32, true, &[0], &[sp(), px(0o040555, 2), er()].concat());
    record(&mut root, ROOT_SECTOR, SECTOR as u32, true, &[1], &px(0o040555, 2));
    let mut sorted: Vec<_> = files.to_vec();
    sorted.sort();
    let mut contents = Vec::new();
    for (name, text) in sorted {
        let plain: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
            .collect();
        let system_use = [px(0o100444, 1), nm(name)].concat();
        record(&mut root, sector, text.len() as u32, false, format!("{plain}.;1").as_bytes(), &system_use);
        let from = contents.len();
        contents.extend(text.as_bytes());
        contents.resize(from + text.len().div_ceil(SECTOR) * SECTOR, 0);
        sector += text.len().div_ceil(SECTOR) as u32;
    }
    assert!(root.len() <= SECTOR, "the seed's directory is limited to one sector");
    root.resize(SECTOR, 0);

    let mut image = vec![0; 16 * SECTOR];
    image.extend(primary_descriptor(sector, &root));
    image.extend(padded(b"\xffCD001\x01"));
    image.extend(path_table(u32::to_le_bytes, u16::to_le_bytes));
    image.extend(path_table(u32::to_be_bytes, u16::to_be_bytes));
    image.extend(root);
    image.extend(contents);
    image
}

/// The seed of a run: `key` becomes a login key of the image's default user and of root.
pub fn no_cloud(key: &str, host: &str, run: &str) -> Vec<u8> {
    let user_data = format!(
        "#cloud-config\nhostname: {host}\nssh_pwauth: false\ndisable_root: false\nssh_authorized_keys:\n  - {key}\n"
    );
    let meta_data = format!("instance-id: {run}\nlocal-hostname: {host}\n");
    iso9660(&[("user-data", &user_data), ("meta-data", &meta_data)])
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut sector = bytes.to_vec();
    sector.resize(SECTOR, 0);
    sector
}

/// A number in both byte orders, as the standard has it.
fn both32(value: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&value.to_le_bytes());
    bytes[4..].copy_from_slice(&value.to_be_bytes());
    bytes
}

fn both16(value: u16) -> [u8; 4] {
    let mut bytes = [0; 4];
    bytes[..2].copy_from_slice(&value.to_le_bytes());
    bytes[2..].copy_from_slice(&value.to_be_bytes());
    bytes
}

/// One directory record (ECMA-119, 9.1).
fn record(into: &mut Vec<u8>, sector: u32, length: u32, directory: bool, name: &[u8], system_use: &[u8]) {
    let pad = usize::from(name.len().is_multiple_of(2));
    let size = 33 + name.len() + pad + system_use.len();
    let from = into.len();
    into.push(size as u8);
    into.push(0);
    into.extend(both32(sector));
    into.extend(both32(length));
    into.extend([126, 1, 1, 0, 0, 0, 0]);
    into.extend([if directory { 2 } else { 0 }, 0, 0]);
    into.extend(both16(1));
    into.push(name.len() as u8);
    into.extend(name);
    into.resize(into.len() + pad, 0);
    into.extend(system_use);
    debug_assert_eq!(into.len() - from, size);
}

/// SUSP "SP": system use entries are in use.
fn sp() -> Vec<u8> {
    vec![b'S', b'P', 7, 1, 0xbe, 0xef, 0]
}

/// SUSP "ER": they are Rock Ridge's.
fn er() -> Vec<u8> {
    let id = b"RRIP_1991A";
    [&[b'E', b'R', 8 + id.len() as u8, 1, id.len() as u8, 0, 0, 1], &id[..]].concat()
}

/// Rock Ridge "PX": mode and links; owned by root.
fn px(mode: u32, links: u32) -> Vec<u8> {
    [&[b'P', b'X', 36, 1][..], &both32(mode), &both32(links), &both32(0), &both32(0)].concat()
}

/// Rock Ridge "NM": the name as it is.
fn nm(name: &str) -> Vec<u8> {
    let mut entry = vec![b'N', b'M', 5 + name.len() as u8, 1, 0];
    entry.extend(name.as_bytes());
    // Entries are kept at even lengths so that the record is.
    if !entry.len().is_multiple_of(2) {
        entry.push(0);
    }
    entry
}

/// A path table with the root directory alone.
fn path_table(word: fn(u32) -> [u8; 4], half: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let mut table = vec![1, 0];
    table.extend(word(ROOT_SECTOR));
    table.extend(half(1));
    table.extend([0, 0]);
    padded(&table)
}

/// The primary volume descriptor (ECMA-119, 8.4).
fn primary_descriptor(sectors: u32, root: &[u8]) -> Vec<u8> {
    fn text(into: &mut Vec<u8>, text: &str, length: usize) {
        let end = into.len() + length;
        into.extend(text.as_bytes());
        into.resize(end, b' ');
    }
    let mut volume = b"\x01CD001\x01\0".to_vec();
    text(&mut volume, "", 32);
    text(&mut volume, "cidata", 32);
    volume.extend([0; 8]);
    volume.extend(both32(sectors));
    volume.extend([0; 32]);
    volume.extend(both16(1));
    volume.extend(both16(1));
    volume.extend(both16(SECTOR as u16));
    volume.extend(both32(10));
    volume.extend(18u32.to_le_bytes());
    volume.extend([0; 4]);
    volume.extend(19u32.to_be_bytes());
    volume.extend([0; 4]);
    // The root's own record, without system use entries.
    let mut own = Vec::new();
    record(&mut own, ROOT_SECTOR, root.len() as u32, true, &[0], &[]);
    volume.extend(own);
    text(&mut volume, "", 128);
    for length in [128, 128, 128, 37, 37, 37] {
        text(&mut volume, "", length);
    }
    for _ in 0..4 {
        volume.extend(b"0000000000000000\0");
    }
    volume.extend([1, 0]);
    padded(&volume)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a volume back the way a guest does: from the descriptor to the root, by Rock Ridge names.
    fn files(image: &[u8]) -> Vec<(String, String)> {
        let word = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().unwrap()) as usize;
        let volume = 16 * SECTOR;
        assert_eq!(&image[volume..volume + 6], b"\x01CD001");
        assert_eq!(word(volume + 80) * SECTOR, image.len(), "the size in the descriptor is the volume's");
        let root = word(volume + 156 + 2) * SECTOR;
        let mut at = root;
        let mut found = Vec::new();
        while image[at] != 0 {
            let (size, name) = (image[at] as usize, image[at + 32] as usize);
            let mut entry = at + 33 + name + (1 - name % 2);
            while entry + 4 <= at + size && image[entry + 2] >= 4 {
                if &image[entry..entry + 2] == b"NM" {
                    let name = &image[entry + 5..entry + image[entry + 2] as usize];
                    let (from, length) = (word(at + 2) * SECTOR, word(at + 10));
                    let text = String::from_utf8(image[from..from + length].to_vec()).unwrap();
                    found.push((String::from_utf8(name.to_vec()).unwrap(), text));
                }
                entry += image[entry + 2] as usize;
            }
            at += size;
        }
        found
    }

    #[test]
    fn a_volume_reads_back() {
        let long = "x".repeat(5000);
        let image = iso9660(&[("user-data", "#cloud-config\n"), ("meta-data", &long)]);
        assert_eq!(image[16 * SECTOR + 40..16 * SECTOR + 46], *b"cidata");
        assert_eq!(
            files(&image),
            [("meta-data".to_owned(), long), ("user-data".to_owned(), "#cloud-config\n".to_owned())]
        );
    }

    #[test]
    fn the_seed_carries_key_and_host() {
        let files = files(&no_cloud("ssh-ed25519 AAAA run", "ctxdev-omnios", "run-1"));
        let text = |wanted: &str| &files.iter().find(|(name, _)| name == wanted).unwrap().1;
        assert!(text("user-data").starts_with("#cloud-config\n"));
        assert!(text("user-data").contains("\nssh_authorized_keys:\n  - ssh-ed25519 AAAA run\n"));
        assert_eq!(text("meta-data"), "instance-id: run-1\nlocal-hostname: ctxdev-omnios\n");
    }
}
