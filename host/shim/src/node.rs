//! Device nodes: which paths are devices, and which descriptors.

use core::ffi::{CStr, c_char};
use core::sync::atomic::{Ordering, fence};

use ddi_wire::{BOARD_ENTRIES, BoardEntry, BoardHeader, board_entry};

use crate::{state, sys, tree};

/// Attributes of a device node.
#[derive(Clone, Copy)]
pub struct Node {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub major: u32,
    pub minor: u32,
}

/// Longest path that is looked at.
const LONGEST: usize = 512;

/// A path being put together.
struct Path {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Path {
    fn new() -> Path {
        Path { bytes: [0; LONGEST], len: 0 }
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Appends a path. `.`, `..` and doubled slashes are resolved lexically.
    fn walk(&mut self, path: &[u8]) -> Option<()> {
        for part in path.split(|&b| b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => self.len = self.get().iter().rposition(|&b| b == b'/').unwrap_or(0),
                _ => {
                    let end = self.len + 1 + part.len();
                    let room = self.bytes.get_mut(self.len..end)?;
                    let (slash, rest) = room.split_first_mut()?;
                    *slash = b'/';
                    rest.copy_from_slice(part);
                    self.len = end;
                }
            }
        }
        Some(())
    }
}

pub fn plausible(board: u64) -> bool {
    board != 0
}

/// Returns what `f` returns for the entries of the board. Calls it again if the list has been replaced meanwhile.
fn search<R>(f: impl Fn(&mut dyn Iterator<Item = BoardEntry>) -> Option<R>) -> Option<R> {
    let board = state::host()?.board;
    if board == 0 {
        return None;
    }
    // SAFETY: the board is mapped for the life of the process, and starts with its header.
    let header = unsafe { &*(board as *const BoardHeader) };
    loop {
        let sequence = header.sequence.load(Ordering::Acquire);
        let count = header.counts.get(sequence as usize % 2)?.load(Ordering::Relaxed) as usize;
        let mut entries = (0..count.min(BOARD_ENTRIES)).map(|i| {
            let at = board + board_entry(sequence, i) as u64;
            // SAFETY: `i` is within the list; any bytes are a valid entry, and a torn one is read again.
            unsafe { (at as *const BoardEntry).read_volatile() }
        });
        let found = f(&mut entries);
        fence(Ordering::Acquire);
        // This list's place is written again only after the next list has changed the number.
        if header.sequence.load(Ordering::Relaxed) == sequence {
            return found;
        }
    }
}

/// Returns the first value that `f` returns for an entry of the board.
fn first<R>(f: impl Fn(&BoardEntry) -> Option<R>) -> Option<R> {
    search(|entries| entries.filter_map(|entry| f(&entry)).next())
}

fn path_of(entry: &BoardEntry) -> &[u8] {
    entry.path.get(..entry.path_len as usize).unwrap_or_default()
}

fn node_of(entry: &BoardEntry) -> Node {
    Node { mode: entry.mode.into(), uid: entry.uid, gid: entry.gid, major: entry.major, minor: entry.minor }
}

fn name_of(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or_default()
}

/// Returns the device node of a path, if it is one, and the length of its absolute path, which is written to `at`.
fn find(dir: i32, path: &[u8], at: &mut [u8]) -> Option<(Node, usize)> {
    let bare = path.iter().rposition(|&b| b != b'/').map_or(&path[..0], |last| &path[..=last]);
    let name = name_of(bare);
    // Almost every path of a program's ends here.
    if !matches!(name, b"." | b"..") {
        first(|e| (name_of(path_of(e)) == name && !name.is_empty()).then_some(()))?;
    }
    let mut whole = Path::new();
    if path.first() != Some(&b'/') {
        let mut base = [0u8; LONGEST];
        let n = directory(dir, &mut base)?;
        whole.walk(base.get(..n)?)?;
    }
    whole.walk(path)?;
    let node = first(|e| (path_of(e) == whole.get()).then_some(node_of(e)))?;
    if node.mode & libc::S_IFMT == libc::S_IFLNK {
        // A dangling link: Linux fails with ENOENT.
        return None;
    }
    if is_directory(node.mode) {
        // One that Linux has, too, is Linux's.
        if in_linux(libc::AT_FDCWD, whole.get()) {
            return None;
        }
    } else if bare.len() != path.len() {
        return None;
    }
    at.get_mut(..whole.len)?.copy_from_slice(whole.get());
    Some((node, whole.len))
}

/// Attributes of a directory entry: inode number and type.
pub struct Entry {
    pub ino: u64,
    pub kind: u8,
}

/// The device node number `index` among those of the directory `dir` that Linux does not list itself; its name is put into `name`.
pub fn listed(dir: i32, index: usize, name: &mut [c_char]) -> Option<Entry> {
    let mut base = [0u8; LONGEST];
    let n = directory(dir, &mut base)?;
    let base = base.get(..n)?;
    let inside = |e: &BoardEntry| {
        let own = name_of(path_of(e));
        let dir_of = path_of(e).strip_suffix(own).and_then(|path| path.strip_suffix(b"/"));
        dir_of == Some(base) && (tree::is_ours(dir) || !in_linux(dir, own))
    };
    let entry = search(|entries| entries.filter(inside).nth(index))?;
    for (to, from) in name.iter_mut().zip(name_of(path_of(&entry)).iter().chain(&[0])) {
        *to = *from as c_char;
    }
    let kind = match u32::from(entry.mode) & libc::S_IFMT {
        libc::S_IFDIR => libc::DT_DIR,
        libc::S_IFLNK => libc::DT_LNK,
        libc::S_IFBLK => libc::DT_BLK,
        libc::S_IFREG => libc::DT_REG,
        _ => libc::DT_CHR,
    };
    Some(Entry { ino: inode(entry.major, entry.minor), kind })
}

/// The inode number that a device node shows.
pub fn inode(major: u32, minor: u32) -> u64 {
    u64::from(major) << 32 | u64::from(minor) << 4 | 1
}

/// Returns whether Linux has an entry of this name, too.
fn in_linux(dir: i32, name: &[u8]) -> bool {
    let mut path = [0u8; 256];
    let Some(room) = path.get_mut(..name.len()).filter(|_| name.len() < 256) else { return false };
    room.copy_from_slice(name);
    CStr::from_bytes_until_nul(&path).is_ok_and(|path| sys::has(dir, path))
}

/// Path of a directory descriptor.
fn directory(dir: i32, to: &mut [u8]) -> Option<usize> {
    if dir == libc::AT_FDCWD {
        // SAFETY: the buffer is as long as said.
        let n = unsafe { sys::call(libc::SYS_getcwd, [to.as_mut_ptr() as u64, to.len() as u64, 0, 0, 0, 0]) }
            .ok()?;
        return Some((n as usize).saturating_sub(1));
    }
    let n = linked(dir, to)?;
    if let Some(ours) = tree::path(dir, to.get(..n)?) {
        to.get_mut(..ours.len())?.copy_from_slice(&ours);
        return Some(ours.len());
    }
    // The root is the empty prefix.
    Some(if n == 1 { 0 } else { n })
}

/// Returns the directory of the host's that a descriptor refers to.
pub fn of_directory(fd: i32) -> Option<(Node, tree::Dir)> {
    let mut real = [0u8; LONGEST];
    let n = linked(fd, &mut real)?;
    let dir = tree::path(fd, real.get(..n)?)?;
    let node = first(|e| (path_of(e) == &*dir).then_some(node_of(e)));
    // A removed directory is an empty one.
    Some((node.unwrap_or(Node { mode: libc::S_IFDIR | 0o755, uid: 0, gid: 0, major: 0, minor: 0 }), dir))
}

/// The path of a descriptor as Linux says it.
fn linked(fd: i32, to: &mut [u8]) -> Option<usize> {
    let mut path = [0u8; 32];
    let start = b"/proc/self/fd/";
    path.get_mut(..start.len())?.copy_from_slice(start);
    decimal(fd as u64, path.get_mut(start.len()..)?);
    sys::readlink(CStr::from_bytes_until_nul(&path).ok()?, to).ok()
}

/// Writes a number.
fn decimal(n: u64, to: &mut [u8]) {
    let digits = n.checked_ilog10().unwrap_or(0) as usize + 1;
    let mut rest = n;
    for slot in to.iter_mut().take(digits).rev() {
        *slot = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// A device node that was named.
pub struct Named {
    pub node: Node,
    path: [u8; LONGEST],
    len: usize,
}

impl Named {
    pub fn path(&self) -> &[u8] {
        self.path.get(..self.len).unwrap_or_default()
    }
}

/// The device node that a path names, if it does.
pub fn named(dir: i32, path: *const c_char) -> Option<Named> {
    state::host()?;
    if path.is_null() {
        return None;
    }
    // A bad pointer must be an error of the system call, not a crash here.
    let mut copy = [0u8; LONGEST];
    let n = crate::copy::string(&mut copy, path as u64);
    let text = CStr::from_bytes_until_nul(copy.get(..n)?).ok()?.to_bytes();
    let mut at = [0u8; LONGEST];
    let (node, len) = find(dir, text, &mut at)?;
    Some(Named { node, path: at, len })
}

/// Returns whether there is a command of the host's of this name.
pub fn command(name: *const c_char) -> bool {
    let mut copy = [0u8; 64];
    let n = crate::copy::string(&mut copy, name as u64);
    let text = copy.get(..n).and_then(|bytes| CStr::from_bytes_until_nul(bytes).ok());
    let Some(text) = text.map(CStr::to_bytes).filter(|t| !t.is_empty()) else { return false };
    first(|e| (is_program(e.mode.into()) && name_of(path_of(e)) == text).then_some(())).is_some()
}

/// Returns whether it is a directory of devices.
pub fn is_directory(mode: u32) -> bool {
    mode & libc::S_IFMT == libc::S_IFDIR
}

/// Returns whether it is a program rather than a device.
pub fn is_program(mode: u32) -> bool {
    mode & libc::S_IFMT == libc::S_IFREG
}

/// The device's descriptor that a path names, as `/dev/fd/3` or `/dev/stdin` do.
pub fn by_descriptor(path: *const c_char) -> Option<i32> {
    if path.is_null() || !state::HOLDING.load(Ordering::Relaxed) {
        return None;
    }
    let mut copy = [0u8; 32];
    let n = crate::copy::string(&mut copy, path as u64);
    let text = CStr::from_bytes_until_nul(copy.get(..n)?).ok()?.to_bytes();
    let fd = match text {
        b"/dev/stdin" => 0,
        b"/dev/stdout" => 1,
        b"/dev/stderr" => 2,
        _ => {
            let digits = text.strip_prefix(b"/dev/fd/").or_else(|| text.strip_prefix(b"/proc/self/fd/"))?;
            core::str::from_utf8(digits).ok()?.parse().ok()?
        }
    };
    device(fd).map(|_| fd)
}

/// The host's number of the open device that a descriptor is, if it is one.
pub fn device(fd: i32) -> Option<u64> {
    if fd < 0 || !state::HOLDING.load(Ordering::Relaxed) {
        return None;
    }
    probe(fd)
}

/// As [`device`], for a descriptor that may be a device's without being recorded yet.
pub fn probe(fd: i32) -> Option<u64> {
    let host = state::host()?;
    let mut addr = [0u8; 112];
    let mut len = addr.len() as u32;
    let a = [fd as u64, addr.as_mut_ptr() as u64, (&raw mut len) as u64, 0, 0, 0];
    // SAFETY: the buffer is as long as `len` says.
    unsafe { sys::call(libc::SYS_getpeername, a) }.ok()?;
    // Family (two bytes), a NUL for an abstract name, the host's name, a slash, the number.
    let name = addr.get(3..len as usize)?;
    let number = name.strip_prefix(host.name.as_slice())?.strip_prefix(b"/")?;
    number.iter().try_fold(0u64, |n, &b| {
        b.is_ascii_digit().then(|| n.wrapping_mul(10).wrapping_add((b - b'0').into()))
    })
}
