//! Directories: device nodes are listed after Linux's own entries, and glob(3) finds them.
//!
//! The entries that a directory stream has yet to return are kept in a table by the stream's address.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::real::fail;
use crate::sys::{self, Table};
use crate::{node, state, tree};

/// Most streams that list devices at once. One more lists none.
const MOST: usize = 64;

/// A directory stream that has come to its end in Linux.
struct Stream {
    dir: usize,
    /// Devices told so far.
    told: usize,
    entry: libc::dirent64,
}

const NO_ENTRY: libc::dirent64 =
    libc::dirent64 { d_ino: 0, d_off: 0, d_reclen: 0, d_type: 0, d_name: [0; 256] };
const FREE: Stream = Stream { dir: 0, told: 0, entry: NO_ENTRY };
static TABLE: Table<[Stream; MOST]> = Table::new([FREE; MOST]);
static USED: AtomicUsize = AtomicUsize::new(0);

fn with<R>(f: impl FnOnce(&mut [Stream; MOST]) -> R) -> R {
    TABLE.with(|table| {
        let r = f(table);
        USED.store(table.iter().filter(|s| s.dir != 0).count(), Ordering::Relaxed);
        r
    })
}

/// In a forked child.
pub fn born() {
    TABLE.reset();
}

fn forget(dir: *mut libc::DIR) {
    if USED.load(Ordering::Relaxed) > 0 {
        with(|table| table.iter_mut().filter(|s| s.dir == dir as usize).for_each(|s| s.dir = 0));
    }
}

/// The next entry that Linux does not list; false at the end.
fn next(fd: c_int, told: &mut usize, entry: &mut libc::dirent64) -> bool {
    // A directory of ours has itself, too. What is above the topmost ones is Linux's, so none says that it has `..`.
    let itself = usize::from(tree::is_ours(fd));
    let found = if *told < itself {
        for (to, from) in entry.d_name.iter_mut().zip(b".\0") {
            *to = *from as c_char;
        }
        Some(node::Entry { ino: 1, kind: libc::DT_DIR })
    } else {
        node::listed(fd, *told - itself, &mut entry.d_name)
    };
    let Some(found) = found else { return false };
    *told += 1;
    entry.d_ino = found.ino;
    entry.d_off = i64::MAX;
    entry.d_reclen = size_of::<libc::dirent64>() as u16;
    entry.d_type = found.kind;
    true
}

/// Returns the descriptor of a stream of the program's; -1 for null.
fn descriptor(dir: *mut libc::DIR) -> c_int {
    if dir.is_null() {
        return -1;
    }
    // SAFETY: the program has passed it to a function that reads it.
    unsafe { libc::dirfd(dir) }
}

/// Returns the next device node of a directory whose own entries are all read; null at the end.
fn next_device(dir: *mut libc::DIR) -> *mut libc::dirent64 {
    let none = core::ptr::null_mut();
    if state::host().is_none() {
        return none;
    }
    let before = crate::real::errno();
    let fd = descriptor(dir);
    let found = with(|table| {
        let slot = table.iter().position(|s| s.dir == dir as usize);
        let Some(slot) = slot.or_else(|| table.iter().position(|s| s.dir == 0)) else { return none };
        let s = &mut table[slot];
        if s.dir == 0 {
            (s.dir, s.told) = (dir as usize, 0);
        }
        if next(fd, &mut s.told, &mut s.entry) { &raw mut s.entry } else { none }
    });
    fail(before);
    found
}

/// readdir(3): `original` reads what Linux lists.
fn read_entry(dir: *mut libc::DIR, original: impl FnOnce() -> *mut libc::dirent64) -> *mut libc::dirent64 {
    let before = crate::real::errno();
    if tree::is_ours(descriptor(dir)) {
        fail(before);
        return next_device(dir);
    }
    fail(0);
    let entry = original();
    let failed = crate::real::errno();
    if !entry.is_null() || failed == 0 {
        fail(before);
    }
    if entry.is_null() && failed == 0 && !dir.is_null() { next_device(dir) } else { entry }
}

interpose! {
    fn [readdir, readdir64](dir: *mut libc::DIR) -> *mut libc::dirent64 = |original| { read_entry(dir, original) }

    fn [opendir](path: *const c_char) -> *mut libc::DIR = |original| {
        let Some(named) = node::named(libc::AT_FDCWD, path) else { return original() };
        let opened = match node::is_directory(named.node.mode) {
            true => tree::open(named.path(), libc::O_RDONLY | libc::O_CLOEXEC),
            false => Err(libc::ENOTDIR),
        };
        match opened {
            // SAFETY: a directory's descriptor.
            Ok(fd) => unsafe { libc::fdopendir(fd) },
            Err(error) => {
                fail(error);
                core::ptr::null_mut()
            }
        }
    }

    // getdents64(2). Devices in a directory of Linux's are left to readdir(3).
    fn [getdents64](fd: c_int, to: *mut c_void, room: usize) -> isize = |_original| {
        if !tree::is_ours(fd) {
            // SAFETY: the caller's arguments.
            let r = unsafe { sys::call(libc::SYS_getdents64, [fd as u64, to as u64, room as u64, 0, 0, 0]) };
            return crate::real::result(r);
        }
        // Where the reading stands is the descriptor's offset, as it is for any directory.
        let mut told = sys::lseek(fd, 0, libc::SEEK_CUR).unwrap_or(0) as usize;
        let mut used = 0;
        let mut entry = NO_ENTRY;
        while used + size_of::<libc::dirent64>() <= room && next(fd, &mut told, &mut entry) {
            entry.d_off = told as i64;
            // SAFETY: within the caller's buffer.
            unsafe { to.wrapping_byte_add(used).cast::<libc::dirent64>().write_unaligned(entry) };
            used += size_of::<libc::dirent64>();
        }
        let _ = sys::lseek(fd, told as i64, libc::SEEK_SET);
        used as isize
    }

    fn [closedir](dir: *mut libc::DIR) -> c_int = |original| {
        forget(dir);
        original()
    }

    fn [rewinddir](dir: *mut libc::DIR) -> () = |original| {
        forget(dir);
        original();
    }

    fn [seekdir](dir: *mut libc::DIR, at: libc::c_long) -> () = |original| {
        forget(dir);
        original();
    }
}

type Filter = Option<unsafe extern "C" fn(*const libc::dirent64) -> c_int>;
type Order = Option<unsafe extern "C" fn(*mut *const libc::dirent64, *mut *const libc::dirent64) -> c_int>;

/// scandir(3), which the C library does without the functions above.
///
/// # Safety
/// As for scandir(3).
unsafe fn scan(path: *const c_char, list: *mut *mut *mut c_void, keep: Filter, order: Order) -> c_int {
    // SAFETY: the caller's path.
    let dir = unsafe { libc::opendir(path) };
    if dir.is_null() {
        return -1;
    }
    let (mut all, mut n, mut room) = (core::ptr::null_mut::<*mut c_void>(), 0usize, 0usize);
    loop {
        // SAFETY: a stream of ours.
        let entry = unsafe { readdir64(dir) };
        if entry.is_null() {
            break;
        }
        // SAFETY: an entry that was just read.
        if keep.is_some_and(|keep| unsafe { keep(entry) } == 0) {
            continue;
        }
        if n == room {
            room = (room * 2).max(32);
            // SAFETY: memory of the C library's, grown.
            all = unsafe { libc::realloc(all.cast(), room * 8) }.cast();
        }
        // SAFETY: an entry that was just read.
        let len = usize::from(unsafe { (*entry).d_reclen });
        // SAFETY: plain allocation.
        let copy = unsafe { libc::malloc(len) };
        if all.is_null() || copy.is_null() {
            // SAFETY: a stream of ours.
            unsafe { closedir(dir) };
            return fail(libc::ENOMEM);
        }
        // SAFETY: an entry has as many bytes as it says.
        unsafe { core::ptr::copy_nonoverlapping(entry.cast::<u8>(), copy.cast::<u8>(), len) };
        // SAFETY: within the room.
        unsafe { all.wrapping_add(n).write(copy) };
        n += 1;
    }
    // SAFETY: a stream of ours.
    unsafe { closedir(dir) };
    if let Some(order) = order {
        // SAFETY: qsort's comparison takes pointers to the items, which are pointers to entries, as this one does.
        let order: unsafe extern "C" fn(*const c_void, *const c_void) -> c_int =
            unsafe { core::mem::transmute(order) };
        // SAFETY: `n` pointers.
        unsafe { libc::qsort(all.cast(), n, 8, Some(order)) };
    }
    // SAFETY: the caller's place for the list.
    unsafe { list.write(all) };
    n as c_int
}

interpose! {
    fn [scandir, scandir64](
        path: *const c_char, list: *mut *mut *mut c_void, keep: Filter, order: Order,
    ) -> c_int = |original| {
        // SAFETY: the caller's arguments.
        if state::host().is_some() { unsafe { scan(path, list, keep, order) } } else { original() }
    }
}

/// `glob_t` of the C library.
#[repr(C)]
struct Glob {
    count: usize,
    list: *mut *mut c_char,
    offset: usize,
    flags: c_int,
    close: *const c_void,
    read: *const c_void,
    open: *const c_void,
    lstat: *const c_void,
    stat: *const c_void,
}

type GlobError = Option<unsafe extern "C" fn(*const c_char, c_int) -> c_int>;

/// `GLOB_ALTDIRFUNC`: directories are read by the functions that the structure names.
const ALTERNATIVE: c_int = 1 << 9;

macro_rules! globs {
    ($($name:ident),*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(pattern: *const c_char, flags: c_int, error: GlobError, to: *mut Glob) -> c_int {
            let real = real!($name: fn(*const c_char, c_int, GlobError, *mut Glob) -> c_int);
            if state::host().is_none() || flags & ALTERNATIVE != 0 {
                // SAFETY: the caller's arguments.
                return unsafe { real(pattern, flags, error, to) };
            }
            // SAFETY: the caller's structure.
            let g = unsafe { &mut *to };
            g.close = closedir as *const c_void;
            g.read = readdir64 as *const c_void;
            g.open = libc::opendir as *const c_void;
            g.lstat = crate::stat::lstat64 as *const c_void;
            g.stat = crate::stat::stat64 as *const c_void;
            // SAFETY: the caller's arguments.
            let r = unsafe { real(pattern, flags | ALTERNATIVE, error, to) };
            g.flags &= !ALTERNATIVE;
            r
        }
    )*};
}

globs!(glob, glob64);

/// Device nodes are no links.
fn no_link(dir: c_int, path: *const c_char) -> bool {
    node::named(dir, path).is_some()
}

interpose! {
    fn [readlink](path: *const c_char, to: *mut c_char, len: usize) -> isize = |original| {
        if no_link(libc::AT_FDCWD, path) { fail(libc::EINVAL) as isize } else { original() }
    }

    fn [readlinkat](dir: c_int, path: *const c_char, to: *mut c_char, len: usize) -> isize = |original| {
        if no_link(dir, path) { fail(libc::EINVAL) as isize } else { original() }
    }

    fn [realpath](path: *const c_char, to: *mut c_char) -> *mut c_char = |original| {
        resolved(path, to).unwrap_or_else(original)
    }

    fn [__realpath_chk](path: *const c_char, to: *mut c_char, room: usize) -> *mut c_char = |original| {
        resolved(path, to).unwrap_or_else(original)
    }

    fn [canonicalize_file_name](path: *const c_char) -> *mut c_char = |original| {
        resolved(path, core::ptr::null_mut()).unwrap_or_else(original)
    }
}

/// A device node's path, in the caller's buffer or a new one.
fn resolved(path: *const c_char, to: *mut c_char) -> Option<*mut c_char> {
    let named = node::named(libc::AT_FDCWD, path)?;
    let text = named.path();
    let mut bytes = [0u8; 512];
    bytes.get_mut(..text.len())?.copy_from_slice(text);
    let whole = CStr::from_bytes_until_nul(&bytes).ok()?;
    if to.is_null() {
        // SAFETY: a string.
        return Some(unsafe { libc::strdup(whole.as_ptr()) });
    }
    // SAFETY: the caller's buffer has PATH_MAX bytes.
    unsafe { core::ptr::copy_nonoverlapping(whole.as_ptr(), to, text.len() + 1) };
    Some(to)
}
