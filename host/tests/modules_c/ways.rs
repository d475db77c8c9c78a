//! The ways in which programs reach a device: each line of the table is tried, and all that do not work are named.

use std::ffi::{CStr, CString};
use std::os::fd::RawFd;
use std::path::Path;
use std::process::Command;

use crate::devices::{errno, ioctl, open};
use crate::run;

tests!(every_way_to_a_device);

const RVAL: u32 = 0x7304;
const PATH: &CStr = c"/dev/soft0";

fn every_way_to_a_device() {
    run::passes("soft", half!(client_of_every_way_to_a_device));
}

fn word(text: &str) -> CString {
    CString::new(text).unwrap()
}

type Filter = unsafe extern "C" fn(*const libc::dirent) -> i32;

unsafe extern "C" {
    fn getdents64(fd: i32, to: *mut libc::c_void, room: usize) -> isize;
    fn scandir(
        path: *const libc::c_char,
        list: *mut *mut *mut libc::dirent,
        keep: Option<Filter>,
        order: Option<Filter>,
    ) -> i32;
}

/// Does the descriptor reach the driver? It is closed.
fn works(fd: RawFd) -> bool {
    let answer = fd >= 0 && ioctl(fd, RVAL, 41) == Ok(41);
    // SAFETY: no memory is involved.
    unsafe { libc::close(fd) };
    answer
}

/// What a descriptor reads, five bytes at most.
fn text(fd: RawFd) -> String {
    let mut bytes = [0u8; 5];
    // SAFETY: room for five bytes.
    let n = unsafe { libc::pread(fd, bytes.as_mut_ptr().cast(), 5, 0) };
    String::from_utf8_lossy(&bytes[..usize::try_from(n).unwrap_or(0)]).into_owned()
}

fn stream(file: *mut libc::FILE) -> String {
    if file.is_null() {
        return "no stream".into();
    }
    let mut bytes = [0u8; 5];
    // SAFETY: a stream, and room for five bytes.
    let n = unsafe { libc::fread(bytes.as_mut_ptr().cast(), 1, 5, file) };
    // SAFETY: as above.
    unsafe { libc::fclose(file) };
    String::from_utf8_lossy(&bytes[..n]).into_owned()
}

fn shell(script: &str) -> String {
    let out = Command::new("sh").args(["-c", script]).output().unwrap();
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// Type, and device number, of a stat structure.
fn is_device(r: i32, st: &libc::stat) -> bool {
    let named = Path::new("/dev/soft0");
    let rdev = std::os::unix::fs::MetadataExt::rdev(&std::fs::metadata(named).unwrap());
    r == 0 && st.st_mode & libc::S_IFMT == libc::S_IFCHR && st.st_rdev == rdev && rdev != 0
}

/// A descriptor sent over a socket.
fn passed(fd: RawFd) -> RawFd {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, ends.as_mut_ptr()) };
    let mut byte = 0u8;
    let mut iov = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let mut space = [0u64; 8];
    // SAFETY: all-zero is a header.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &mut iov;
    header.msg_iovlen = 1;
    header.msg_control = space.as_mut_ptr().cast();
    // SAFETY: arithmetic.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(4) } as usize;
    // SAFETY: the control buffer has room for one header.
    let first = unsafe { libc::CMSG_FIRSTHDR(&header) };
    // SAFETY: as above.
    let message = unsafe { &mut *first };
    message.cmsg_level = libc::SOL_SOCKET;
    message.cmsg_type = libc::SCM_RIGHTS;
    // SAFETY: arithmetic.
    message.cmsg_len = unsafe { libc::CMSG_LEN(4) } as usize;
    // SAFETY: the header's data.
    let place = unsafe { libc::CMSG_DATA(message) }.cast::<RawFd>();
    // SAFETY: room for a descriptor.
    unsafe { place.write_unaligned(fd) };
    // SAFETY: a complete message.
    unsafe { libc::sendmsg(ends[0], &header, 0) };
    // SAFETY: as above, to be filled.
    unsafe { libc::recvmsg(ends[1], &mut header, 0) };
    // SAFETY: the header's data, which is a descriptor now.
    unsafe { place.read_unaligned() }
}

#[allow(clippy::multiple_unsafe_ops_per_block, reason = "a table of system calls, one to a line")]
fn client_of_every_way_to_a_device() {
    let fd = open("/dev/soft0");
    let dev = word("/dev");
    let mut wrong = Vec::new();
    let mut check = |what: &str, fine: bool| {
        if !fine {
            wrong.push(format!("{what} ({})", std::io::Error::last_os_error()));
        }
    };
    // SAFETY: all-zero is a stat structure; each call below gets strings and structures that live through it.
    unsafe {
        let dir = libc::open(dev.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY);
        check("openat", works(libc::openat(dir, c"soft0".as_ptr(), libc::O_RDWR)));
        check("open by a relative path", {
            libc::chdir(c"/tmp".as_ptr());
            works(libc::open(c"../dev/./soft0".as_ptr(), libc::O_RDWR))
        });
        check("open64", works(libc::open64(PATH.as_ptr(), libc::O_RDWR)));
        check("creat", works(libc::creat(PATH.as_ptr(), 0o666)));
        check(
            "O_CREAT|O_EXCL",
            libc::open(PATH.as_ptr(), libc::O_CREAT | libc::O_EXCL | libc::O_RDWR, 0o600) < 0,
        );
        check("O_DIRECTORY", libc::open(PATH.as_ptr(), libc::O_DIRECTORY) < 0 && errno() == libc::ENOTDIR);
        check("/dev/fd/N", works(libc::open(word(&format!("/dev/fd/{fd}")).as_ptr(), libc::O_RDWR)));
        check(
            "/proc/self/fd/N",
            works(libc::open(word(&format!("/proc/self/fd/{fd}")).as_ptr(), libc::O_RDWR)),
        );
        check("dup", works(libc::dup(fd)));
        check("dup2", works(libc::dup2(fd, 300)));
        check("dup3", works(libc::dup3(fd, 301, libc::O_CLOEXEC)));
        check("F_DUPFD", works(libc::fcntl(fd, libc::F_DUPFD, 310)));
        check("F_DUPFD_CLOEXEC", works(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 310)));
        check("SCM_RIGHTS", works(passed(fd)));

        check("fopen", stream(libc::fopen(PATH.as_ptr(), c"r".as_ptr())) == "hello");
        check("fdopen", stream(libc::fdopen(libc::dup(fd), c"r+".as_ptr())) == "hello");
        let file = libc::fdopen(libc::dup(fd), c"w".as_ptr());
        check("fdopen, written", libc::fputs(c"world".as_ptr(), file) >= 0 && libc::fclose(file) == 0);
        check("the text written", text(fd) == "world");

        libc::lseek(fd, 0, libc::SEEK_SET);
        let mut bytes = [0u8; 6];
        let mut parts =
            [&raw mut bytes[0], &raw mut bytes[2]].map(|at| libc::iovec { iov_base: at.cast(), iov_len: 2 });
        parts[1].iov_len = 4;
        let iov = parts.as_ptr();
        check("readv", libc::readv(fd, iov, 2) == 5 && &bytes[..5] == b"world");
        check("lseek", libc::lseek(fd, 0, libc::SEEK_CUR) == 5 && libc::lseek(fd, 1, libc::SEEK_SET) == 1);
        check("lseek, 64 bits", libc::lseek64(fd, 1 << 40, libc::SEEK_SET) == 1 << 40);
        check("a read beyond the end", libc::read(fd, bytes.as_mut_ptr().cast(), 6) == 0);
        check("preadv", libc::preadv(fd, iov, 2, 3) == 2 && &bytes[..2] == b"ld");
        check("preadv2", libc::preadv2(fd, iov, 2, 4, 0) == 1 && bytes[0] == b'd');
        check("pwrite", libc::pwrite(fd, c"hello".as_ptr().cast(), 5, 0) == 5 && text(fd) == "hello");
        check("pwritev", libc::pwritev(fd, iov, 1, 0) == 2);
        check("writev", libc::writev(fd, iov, 2) == 6);
        check("write", libc::write(fd, c"hello".as_ptr().cast(), 5) == 5 && text(fd) == "hello");
        check("a bad buffer", libc::write(fd, 16 as *const _, 5) == -1 && errno() == libc::EFAULT);
        let nowhere = libc::read(fd, usize::MAX as *mut _, 5);
        check("a bad buffer at the end", nowhere == -1 && errno() == libc::EFAULT || nowhere == 0);
        libc::lseek(fd, 0, libc::SEEK_SET);

        let mut st: libc::stat = std::mem::zeroed();
        check("stat", is_device(libc::stat(PATH.as_ptr(), &mut st), &st));
        check("lstat", is_device(libc::lstat(PATH.as_ptr(), &mut st), &st));
        check("fstat", is_device(libc::fstat(fd, &mut st), &st));
        check("fstatat", is_device(libc::fstatat(dir, c"soft0".as_ptr(), &mut st, 0), &st));
        check(
            "fstatat, empty path",
            is_device(libc::fstatat(fd, c"".as_ptr(), &mut st, libc::AT_EMPTY_PATH), &st),
        );
        let mut stx: libc::statx = std::mem::zeroed();
        let r = libc::statx(dir, c"soft0".as_ptr(), 0, libc::STATX_BASIC_STATS, &mut stx);
        let rdev = libc::makedev(stx.stx_rdev_major, stx.stx_rdev_minor);
        check(
            "statx",
            r == 0 && rdev == st.st_rdev && u32::from(stx.stx_mode) & libc::S_IFMT == libc::S_IFCHR,
        );
        check("access", libc::access(PATH.as_ptr(), libc::R_OK | libc::W_OK) == 0);
        check("faccessat", libc::faccessat(dir, c"soft0".as_ptr(), libc::F_OK, 0) == 0);
        let mut path = [0; libc::PATH_MAX as usize];
        check(
            "readlink",
            libc::readlink(PATH.as_ptr(), path.as_mut_ptr(), path.len()) == -1 && errno() == libc::EINVAL,
        );
        let real = libc::realpath(c"/dev/../dev//soft0".as_ptr(), path.as_mut_ptr());
        check("realpath", !real.is_null() && CStr::from_ptr(real) == PATH);
        check("isatty", libc::isatty(fd) == 0);
        check("fsync", libc::fsync(fd) == 0);
        check("F_GETFL", libc::fcntl(fd, libc::F_GETFL) & libc::O_ACCMODE == libc::O_RDWR);

        let listed = std::fs::read_dir("/dev").unwrap().filter_map(Result::ok);
        check("readdir", listed.filter(|e| e.file_name() == "soft0").count() == 1);
        let mut g: libc::glob_t = std::mem::zeroed();
        let r = libc::glob(c"/dev/sof*0".as_ptr(), 0, None, &mut g);
        check("glob", r == 0 && g.gl_pathc == 1 && CStr::from_ptr(*g.gl_pathv) == PATH);
        libc::globfree(&mut g);
        let mut list = std::ptr::null_mut();
        unsafe extern "C" fn soft(e: *const libc::dirent) -> i32 {
            // SAFETY: an entry of scandir's.
            (unsafe { CStr::from_ptr((*e).d_name.as_ptr()) } == c"soft0").into()
        }
        check("scandir", scandir(dev.as_ptr(), &mut list, Some(soft), None) == 1);

        let at = libc::mmap64(std::ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, fd, 0);
        check("mmap64 of a device that cannot be mapped", at == libc::MAP_FAILED && errno() == libc::ENODEV);
        let twin = libc::dup(fd);
        check("close_range", libc::close_range(twin as u32, twin as u32, 0) == 0 && !works(twin));
        check("the other stays open", ioctl(fd, RVAL, 3) == Ok(3));
    }
    check("a shell's redirection", shell("head -c 5 < /dev/soft0") == "hello");
    check("a program's", shell("exec 5</dev/soft0; head -c 5 <&5") == "hello");
    check("cat", shell("cat /dev/soft0 | head -c 5") == "hello");
    check("dd", shell("dd if=/dev/soft0 bs=5 count=1 2>/dev/null") == "hello");
    // What only the host has: /devices and the directories in it, by readdir, getdents, and what programs make of them.
    let names = |path: &str| -> Vec<String> {
        let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    check("readdir of /devices", names("/devices") == ["ddi-host", "pseudo"]);
    let nodes = names("/devices/pseudo");
    check("readdir of /devices/pseudo", nodes.contains(&"soft@0:soft0".to_owned()));
    let counted = || shell("ls /devices/pseudo | wc -l") == nodes.len().to_string();
    check("ls /devices/pseudo", counted());
    check("a slash at the end", shell("ls /devices/pseudo/") == shell("ls /devices/pseudo/../pseudo/."));
    check("ls -la", shell("ls -la /devices 2>&1 | grep -Ec 'root +(sys|3) '") == "3");
    check("ls -ld", shell("ls -ld /devices/pseudo").starts_with("drwxr-xr-x 2 "));
    check("ls -l", shell("ls -l /devices/pseudo/ | grep -c '^c.* soft@0:soft0$'") == "1");
    check("ls /", shell("ls / | grep -cx devices") == "1");
    check("ls -l of a node in /dev", {
        let line = shell("ls -ln /dev/soft0");
        line.starts_with("crw-rw-rw- 1 0 3 ") && line.ends_with(" /dev/soft0")
    });
    check(
        "a pattern below /devices",
        shell("echo /devices/ps*/soft@0:soft0") == "/devices/pseudo/soft@0:soft0",
    );
    check("find", shell("find /devices -name soft@0:soft0 -type c") == "/devices/pseudo/soft@0:soft0");
    check(
        "test -d",
        shell("test -d /devices && test -d /devices/pseudo && ! test -w /devices && echo yes") == "yes",
    );
    check("a directory that is written", shell("(echo x >/devices/pseudo) 2>&1").contains("directory"));
    check("a directory that is not there", !Path::new("/devices/pseudo/none").exists());
    // SAFETY: each call gets strings and buffers that live through it.
    unsafe {
        let top = libc::open(c"/devices".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY);
        let twin = libc::fcntl(top, libc::F_DUPFD_CLOEXEC, 0);
        let below = libc::openat(twin, c"pseudo".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY);
        check("openat of a directory", below >= 0);
        check("a device by way of it", works(libc::openat(below, c"soft@0:soft0".as_ptr(), libc::O_RDWR)));
        let mut st: libc::stat = std::mem::zeroed();
        let inode =
            |fd: i32, st: &mut libc::stat| (libc::fstat(fd, st), st.st_mode & libc::S_IFMT, st.st_ino);
        let open = inode(below, &mut st);
        check("fstat", open.1 == libc::S_IFDIR && libc::stat(c"/devices/pseudo".as_ptr(), &mut st) == 0);
        check("one inode number", open.2 == st.st_ino && open.2 != inode(top, &mut st).2);
        let mut buffer = [0u8; 1024];
        let mut seen = 0;
        loop {
            let n = getdents64(below, buffer.as_mut_ptr().cast(), buffer.len());
            let Ok(n @ 1..) = usize::try_from(n) else { break };
            let mut at = 0;
            while at < n {
                at += usize::from(buffer[at + 16]) + 256 * usize::from(buffer[at + 17]);
                seen += 1;
            }
        }
        check("getdents64", seen == nodes.len() + 1);
        check("O_RDWR", libc::open(c"/devices".as_ptr(), libc::O_RDWR) < 0 && errno() == libc::EISDIR);
        check("opendir of a device", libc::opendir(PATH.as_ptr()).is_null() && errno() == libc::ENOTDIR);
        for fd in [top, twin, below] {
            libc::close(fd);
        }
        // The numbers are other files' now.
        let reused = libc::open(c"/dev".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY);
        check("a number that is used again", libc::fstat(reused, &mut st) == 0 && st.st_nlink > 2);
        libc::close(reused);
    }
    check("ls", shell("ls /dev | grep -x soft0") == "soft0");
    check("a shell's pattern", shell("echo /dev/sof*0") == "/dev/soft0");
    check("test -c", shell("test -c /dev/soft0 && echo yes") == "yes");
    check("stat(1)", shell("stat -c %F /dev/soft0") == "character special file");
    check(
        "a written word",
        shell("test -c /dev/soft0 && echo other > /dev/soft0; cat /dev/soft0 | head -c 5") == "other",
    );
    check("an inherited descriptor", {
        // SAFETY: no memory is involved.
        unsafe { libc::fcntl(fd, libc::F_SETFD, 0) };
        shell(&format!("head -c 5 <&{fd}")) == "other"
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}
