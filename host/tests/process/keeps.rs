//! What a read cannot deliver, because the driver or a protection refuses the buffer, is not lost: the next read has it.

use crate::client::{Map, PAGE, check, errno, faults, ioctl, map, open};
use crate::kernel;

const DATA: &[u8; 16] = b"abcdefghijklmnop";

/// A pair of descriptors: what is written to the second is read from the first.
fn pair(kind: &str) -> [i32; 2] {
    let mut ends = [0; 2];
    let at = ends.as_mut_ptr();
    // SAFETY: room for two descriptors.
    let sockets = |kind| unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, at) };
    let r = match kind {
        // SAFETY: room for two descriptors.
        "pipe" => unsafe { libc::pipe(at) },
        "stream" => sockets(libc::SOCK_STREAM),
        "datagram" => sockets(libc::SOCK_DGRAM),
        "packets" => sockets(libc::SOCK_SEQPACKET),
        _ => return terminal(),
    };
    check(kind, r, 0);
    ends
}

/// A terminal that passes on what comes as it is.
fn terminal() -> [i32; 2] {
    let mut ends = [0; 2];
    let [master, slave] = ends.each_mut();
    let none = std::ptr::null_mut();
    // SAFETY: room for two descriptors; nothing else is asked for.
    check("openpty", unsafe { libc::openpty(master, slave, none, none.cast(), none.cast()) }, 0);
    // SAFETY: all-zero is a termios.
    let mut how: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: a place for it.
    check("tcgetattr", unsafe { libc::tcgetattr(ends[1], &mut how) }, 0);
    // SAFETY: as above.
    unsafe { libc::cfmakeraw(&mut how) };
    // SAFETY: as above.
    check("tcsetattr", unsafe { libc::tcsetattr(ends[1], libc::TCSANOW, &how) }, 0);
    [ends[1], ends[0]]
}

/// A way to read 16 bytes at most: its result.
type Way = (&'static str, fn(i32, *mut u8, usize) -> isize);

fn by_read(fd: i32, at: *mut u8, len: usize) -> isize {
    // SAFETY: the kernel and the shim check the address, here and below.
    unsafe { libc::read(fd, at.cast(), len) }
}

fn by_readv(fd: i32, at: *mut u8, len: usize) -> isize {
    let half = len / 2;
    let iov = [(at, half), (at.wrapping_add(half), len - half)]
        .map(|(base, len)| libc::iovec { iov_base: base.cast(), iov_len: len });
    // SAFETY: as above.
    unsafe { libc::readv(fd, iov.as_ptr(), 2) }
}

fn by_recv(fd: i32, at: *mut u8, len: usize) -> isize {
    // SAFETY: as above.
    unsafe { libc::recv(fd, at.cast(), len, 0) }
}

fn by_recvfrom(fd: i32, at: *mut u8, len: usize) -> isize {
    // SAFETY: all-zero is a socket address.
    let mut name: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let mut room = size_of_val(&name) as u32;
    // SAFETY: as above.
    unsafe { libc::recvfrom(fd, at.cast(), len, 0, (&raw mut name).cast(), &mut room) }
}

fn by_recvmsg(fd: i32, at: *mut u8, len: usize) -> isize {
    let mut iov = libc::iovec { iov_base: at.cast(), iov_len: len };
    // SAFETY: all-zero is a message header.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    (header.msg_iov, header.msg_iovlen) = (&mut iov, 1);
    // SAFETY: as above.
    unsafe { libc::recvmsg(fd, &mut header, 0) }
}

fn put(fd: i32, bytes: &[u8]) {
    // SAFETY: so many bytes.
    let n = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    check("write", n, bytes.len() as isize);
}

/// Reads what is left, into plain memory.
fn rest(fd: i32) -> Vec<u8> {
    // SAFETY: no memory is involved.
    unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) };
    let (mut all, mut some) = (Vec::new(), [0u8; 64]);
    loop {
        // SAFETY: room for so many bytes.
        match unsafe { libc::read(fd, some.as_mut_ptr().cast(), some.len()) } {
            n if n > 0 => all.extend(&some[..n as usize]),
            _ => return all,
        }
    }
}

fn close(ends: [i32; 2]) {
    // SAFETY: descriptors of this part's own.
    let _ = ends.map(|fd| unsafe { libc::close(fd) });
}

/// Each way of reading from each kind of thing, into places that are refused.
fn nothing_is_lost(fd: i32, m: &Map) {
    let any: &[Way] = &[("read", by_read), ("readv", by_readv)];
    let sockets: &[Way] = &[("recv", by_recv), ("recvfrom", by_recvfrom), ("recvmsg", by_recvmsg)];
    let read_only = m.word(1).cast::<u8>();
    for kind in ["pipe", "stream", "datagram", "packets", "terminal"] {
        let more = if matches!(kind, "stream" | "datagram" | "packets") { sockets } else { &[] };
        for (way, read) in any.iter().chain(more) {
            for refused_by_driver in [false, true] {
                let ends = pair(kind);
                put(ends[1], DATA);
                let signal = if refused_by_driver { libc::SIGBUS as u64 } else { 0 };
                check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
                check("fail", ioctl(fd, kernel::FAIL_FAULTS, signal), 0);
                let at = if refused_by_driver { m.word(0).cast() } else { read_only };
                let n = read(ends[0], at, 16);
                let failed = (n, errno());
                check("fail no more", ioctl(fd, kernel::FAIL_FAULTS, 0), 0);
                let what = format!("{way} from a {kind}, refused by the driver: {refused_by_driver}");
                check(&what, failed, (-1, libc::EFAULT));
                check(&what, rest(ends[0]), DATA.to_vec());
                // And when it is allowed, it works.
                put(ends[1], DATA);
                check(&what, read(ends[0], m.word(0).cast(), 16), 16);
                check(&what, m.get(0), u64::from_ne_bytes(*b"abcdefgh"));
                close(ends);
            }
        }
    }
}

/// A buffer whose end is refused.
fn a_part_is_delivered(m: &Map) {
    let across = m.word(1).cast::<u8>().wrapping_sub(8);
    for kind in ["pipe", "stream", "datagram", "terminal"] {
        for (way, read) in [("read", by_read as fn(i32, *mut u8, usize) -> isize), ("readv", by_readv)] {
            let ends = pair(kind);
            put(ends[1], DATA);
            let n = read(ends[0], across, 16);
            let left = rest(ends[0]);
            let what = format!("{way} from a {kind} into the end of a page");
            let done = usize::try_from(n).unwrap_or(0);
            check(&what, (n == -1 || n == 8) && left == DATA[done..], true);
            close(ends);
        }
    }
}

/// Nobody is asked for memory that nothing is stored in.
fn nothing_is_touched_without_need(fd: i32, m: &Map) {
    check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
    let before = faults(fd);
    for kind in ["pipe", "stream", "datagram"] {
        let ends = pair(kind);
        // SAFETY: no memory is involved.
        unsafe { libc::fcntl(ends[0], libc::F_SETFL, libc::O_NONBLOCK) };
        check(kind, (by_read(ends[0], m.word(0).cast(), 2 * PAGE), errno()), (-1, libc::EAGAIN));
        put(ends[1], b"12345678");
        check(kind, by_read(ends[0], m.word(2).cast::<u8>().wrapping_sub(8 + PAGE), 16), 8);
        // SAFETY: the writing end goes.
        unsafe { libc::close(ends[1]) };
        if kind == "pipe" {
            check("end of file", by_read(ends[0], m.word(0).cast(), 2 * PAGE), 0);
        }
        // SAFETY: the other one, too.
        unsafe { libc::close(ends[0]) };
    }
    // Page 0, once.
    check("faults", faults(fd), before + 1);
}

/// Files keep their offsets, counters their counts.
fn files(m: &Map) {
    let read_only = m.word(1).cast::<u8>();
    // SAFETY: a name.
    let file = unsafe { libc::memfd_create(c"keeps".as_ptr(), 0) };
    put(file, DATA);
    // SAFETY: no memory is involved, here and below.
    unsafe { libc::lseek(file, 2, libc::SEEK_SET) };
    check("read of a file", (by_read(file, read_only, 8), errno()), (-1, libc::EFAULT));
    // SAFETY: as above.
    check("its offset", unsafe { libc::lseek(file, 0, libc::SEEK_CUR) }, 2);
    // SAFETY: the kernel and the shim check the address.
    let n = unsafe { libc::pread(file, read_only.cast(), 8, 4) };
    check("pread", (n, errno()), (-1, libc::EFAULT));
    let across = read_only.wrapping_sub(4);
    let n = by_read(file, across, 8);
    // SAFETY: as above.
    let at = unsafe { libc::lseek(file, 0, libc::SEEK_CUR) };
    check("a part of a file", at, 2 + n.max(0) as i64);
    // SAFETY: no memory is involved.
    let counter = unsafe { libc::eventfd(7, libc::EFD_NONBLOCK) };
    check("eventfd", (by_read(counter, read_only, 8), errno()), (-1, libc::EFAULT));
    check("its count", rest(counter), 7u64.to_ne_bytes().to_vec());
}

/// Sends or receives a message of 16 bytes at an address, with a control part of so many bytes.
fn message(
    call: impl Fn(*mut libc::msghdr) -> isize,
    at: *mut u8,
    control: &mut [u64; 4],
    len: usize,
) -> isize {
    let mut iov = libc::iovec { iov_base: at.cast(), iov_len: 16 };
    // SAFETY: all-zero is a message header.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    (header.msg_iov, header.msg_iovlen) = (&raw mut iov, 1);
    (header.msg_control, header.msg_controllen) = (control.as_mut_ptr().cast(), len);
    call(&mut header)
}

/// A descriptor that comes with a message that cannot be delivered comes with it the next time, once.
fn passed_descriptors(m: &Map) {
    let ends = pair("datagram");
    let open_files = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    // SAFETY: a header whose parts are there.
    let send = |header: *mut libc::msghdr| unsafe { libc::sendmsg(ends[1], header, 0) };
    // SAFETY: as above; the kernel and the shim check the address.
    let receive = |header: *mut libc::msghdr| unsafe { libc::recvmsg(ends[0], header, 0) };
    // Length, level and kind, one descriptor.
    let kind = (libc::SCM_RIGHTS as u64) << 32 | libc::SOL_SOCKET as u64;
    check("sendmsg", message(send, DATA.as_ptr().cast_mut(), &mut [20, kind, 1, 0], 24), 16);
    let before = open_files();
    let n = message(receive, m.word(1).cast(), &mut [0; 4], 32);
    check("refused", (n, errno()), (-1, libc::EFAULT));
    check("descriptors after a refusal", open_files(), before);
    check("recvmsg", message(receive, m.word(0).cast(), &mut [0; 4], 32), 16);
    check("bytes", m.get(0), u64::from_ne_bytes(*b"abcdefgh"));
    check("descriptors", open_files(), before + 1);
    close(ends);
}

pub fn play() {
    let fd = open();
    let m = map(fd, 3, 0);
    // SAFETY: a page of the mapping.
    check("mprotect", unsafe { libc::mprotect(m.word(1).cast(), PAGE, libc::PROT_READ) }, 0);
    nothing_is_lost(fd, &m);
    a_part_is_delivered(&m);
    nothing_is_touched_without_need(fd, &m);
    files(&m);
    passed_descriptors(&m);
}
