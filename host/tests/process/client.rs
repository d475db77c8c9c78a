//! The parts that clients play. A check that fails ends the client with a message and status 1.

use std::ffi::CStr;
use std::process::ExitCode;

use crate::kernel;

pub const PAGE: usize = 4096;

/// A mapping of the device.
pub struct Map {
    pub at: *mut u64,
    pub len: usize,
}

impl Map {
    pub fn word(&self, page: usize) -> *mut u64 {
        self.at.wrapping_byte_add(page * PAGE)
    }

    pub fn get(&self, page: usize) -> u64 {
        // SAFETY: within the mapping.
        unsafe { self.word(page).read_volatile() }
    }

    pub fn set(&self, page: usize, value: u64) {
        // SAFETY: within the mapping.
        unsafe { self.word(page).write_volatile(value) };
    }
}

pub fn check<T: PartialEq + std::fmt::Debug>(what: &str, got: T, want: T) {
    if got != want {
        eprintln!("{what}: got {got:?}, not {want:?}");
        std::process::exit(1);
    }
}

pub fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

pub fn open_at(path: &CStr, flags: i32) -> i32 {
    // SAFETY: a string.
    unsafe { libc::open(path.as_ptr(), flags) }
}

pub fn open() -> i32 {
    let fd = open_at(c"/dev/test0", libc::O_RDWR);
    if fd < 0 {
        eprintln!("open: error {}", errno());
        std::process::exit(1);
    }
    fd
}

pub fn try_map(fd: i32, pages: usize, offset: usize, flags: i32, prot: i32) -> Result<Map, i32> {
    // SAFETY: a new mapping.
    let at =
        unsafe { libc::mmap(std::ptr::null_mut(), pages * PAGE, prot, flags, fd, (offset * PAGE) as i64) };
    if at == libc::MAP_FAILED { Err(errno()) } else { Ok(Map { at: at.cast(), len: pages * PAGE }) }
}

pub fn map(fd: i32, pages: usize, offset: usize) -> Map {
    let m = try_map(fd, pages, offset, libc::MAP_SHARED, libc::PROT_READ | libc::PROT_WRITE);
    m.unwrap_or_else(|e| {
        eprintln!("mmap: error {e}");
        std::process::exit(1);
    })
}

pub fn ioctl(fd: i32, cmd: u64, arg: u64) -> i32 {
    // SAFETY: the test device's ioctls.
    unsafe { libc::ioctl(fd, cmd, arg) }
}

/// Opens, closes, starts, forks, unborn, exits, faults, unmaps.
pub fn stats(fd: i32) -> [u64; 8] {
    let mut s = [0u64; 8];
    check("stats", ioctl(fd, kernel::STATS, s.as_mut_ptr() as u64), 0);
    s
}

pub fn faults(fd: i32) -> u64 {
    stats(fd)[6]
}

pub fn play(part: &str) -> ExitCode {
    match part {
        "map" => {
            let fd = open();
            let m = map(fd, 4, 1);
            check("fresh page", m.get(0), 0);
            m.set(0, 1);
            m.set(3, 4);
            check("page 0", m.get(0), 1);
            check("faults", faults(fd), 2);
            let other = map(fd, 8, 0);
            check("page 1 by another mapping", other.get(1), 1);
            check("page 4 by another mapping", other.get(4), 4);
            check(
                "beyond the device",
                try_map(fd, 1, 256, libc::MAP_SHARED, libc::PROT_READ).err(),
                Some(libc::ENXIO),
            );
            // SAFETY: nobody uses the mapping any more.
            check("munmap", unsafe { libc::munmap(m.at.cast(), m.len) }, 0);
        }
        "unload" => {
            let fd = open();
            let m = map(fd, 4, 0);
            for round in 1..100 {
                m.set(2, round);
                check("faults", faults(fd), round);
                check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
            }
        }
        "stat" => {
            let fd = open();
            // SAFETY: all-zero is a valid stat structure.
            let mut st: libc::stat = unsafe { std::mem::zeroed() };
            for path in [c"/dev/test0", c"/dev/../dev//./test0"] {
                // SAFETY: a string and a valid place.
                check("stat", unsafe { libc::stat(path.as_ptr(), &mut st) }, 0);
                check("type", st.st_mode, libc::S_IFCHR | 0o666);
                check("rdev", st.st_rdev, libc::makedev(250, 7));
            }
            // SAFETY: a valid place.
            check("fstat", unsafe { libc::fstat(fd, &mut st) }, 0);
            check("type of the descriptor", st.st_mode, libc::S_IFCHR | 0o666);
            check("rdev of the descriptor", st.st_rdev, libc::makedev(250, 7));
            // SAFETY: a string.
            check("access", unsafe { libc::access(c"/dev/test0".as_ptr(), libc::R_OK | libc::W_OK) }, 0);
            // SAFETY: a string.
            check("chdir", unsafe { libc::chdir(c"/dev".as_ptr()) }, 0);
            check("relative open", open_at(c"test0", libc::O_RDONLY) >= 0, true);
            check("no such device", open_at(c"/dev/test1", libc::O_RDONLY), -1);
            check("no such device", errno(), libc::ENOENT);
            check("metadata", std::fs::metadata("/dev/test0").is_ok(), true);
        }
        "read-write" => {
            check(
                "read",
                std::fs::read_to_string("/dev/test0").ok().as_deref(),
                Some("the device says hello\n"),
            );
            let fd = open();
            let m = map(fd, 2, 0);
            // SAFETY: a buffer of that length.
            check("write", unsafe { libc::write(fd, b"12345678abc".as_ptr().cast(), 11) }, 11);
            check("written", m.get(0), u64::from_ne_bytes(*b"12345678"));
            // SAFETY: a bad buffer is an error.
            check("write from nowhere", unsafe { libc::write(fd, std::ptr::dangling::<u8>().cast(), 8) }, -1);
            check("error", errno(), libc::EFAULT);
            check("ioctl to nowhere", ioctl(fd, kernel::STATS, 8), -1);
            check("error", errno(), libc::EFAULT);
            check("unknown ioctl", ioctl(fd, 99, 0), -1);
            check("error", errno(), libc::ENOTTY);
            check("string", ioctl(fd, kernel::SHOUT, c"hello".as_ptr() as u64), 5);
        }
        "keeps" => return crate::keeps::play(),
        "debugger" => return crate::debugger::play(),
        _ => return crate::parts::play(part),
    }
    ExitCode::SUCCESS
}
