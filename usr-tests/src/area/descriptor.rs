//! The open device: what a descriptor may do, how long it and its mappings live, and how it travels.

use ctxdev_user::{CTXDEV_REGION, CTXDEV_STATS};

use crate::case::{Case, Ctx, Result, case, check, equal, refused, same, works};
use crate::device::{Dev, PRIVATE, RW, SHARED, UNKNOWN_COMMAND, grew};
use crate::peer::Peer;
use crate::sys::{self, Errno, page_size};

pub const CASES: &[Case] = &[
    case("open_modes", "the device opens for reading, writing and both, and F_GETFL says which", open_modes),
    case("open_unknown", "a device that does not exist is ENOENT or ENXIO", open_unknown),
    case("openat", "openat of the directory's descriptor works", openat),
    case(
        "is_a_character_device",
        "stat and fstat agree: a character device with one number",
        is_a_character_device,
    ),
    case("not_a_terminal", "the device is no terminal", not_a_terminal),
    case("access_call", "access says that it may be read and written", access_call),
    case("close_before_unmap", "a mapping works on after close", close_before_unmap)
        .of("Open POSIX mmap 12-1"),
    case("close_before_touch", "a mapping first touched after close works", close_before_touch),
    case("close_before_fork", "fork after close copies the mapping", close_before_fork),
    case("close_twice", "a second close is EBADF", close_twice),
    case(
        "last_close_after_last_unmap",
        "close, then unmap, then open again: the device works",
        last_close_after_last_unmap,
    ),
    case("dup", "a duplicate maps the same device, also when the first is closed", dup),
    case("dup2_over", "dup2 over the descriptor leaves its mapping", dup2_over),
    case("fcntl_dup", "F_DUPFD gives a descriptor that works", fcntl_dup),
    case("cloexec_flag", "FD_CLOEXEC is kept, and O_CLOEXEC sets it", cloexec_flag),
    case("inherited_by_fork", "a descriptor works in the child, whoever closes it", inherited_by_fork),
    case("inherited_by_exec", "a descriptor without FD_CLOEXEC works in the new program", inherited_by_exec),
    case("closed_by_exec", "a descriptor with FD_CLOEXEC is closed by exec", closed_by_exec),
    case(
        "passed_over_socket",
        "a descriptor sent to another process maps the device there",
        passed_over_socket,
    ),
    case(
        "passed_and_closed",
        "a descriptor that exists only in a socket works when it arrives",
        passed_and_closed,
    ),
    case(
        "passed_to_earlier_process",
        "a process that never opened the device maps it by a descriptor it got",
        passed_to_earlier,
    ),
    case("read_counters", "read gives one line of counters", read_counters),
    case("read_short", "a short read gives the start of the line", read_short),
    case("write_scratch", "written bytes are at the start of scratch", write_scratch),
    case("write_too_long", "a write longer than scratch writes no more than scratch", write_too_long),
    case("write_bad_buffer", "write from a bad address is EFAULT", write_bad_buffer),
    case("read_bad_buffer", "read to a bad address is EFAULT", read_bad_buffer),
    case("read_write_modes", "read needs an open for reading, write one for writing", read_write_modes),
    case("ioctl_unknown", "an unknown command is ENOTTY or EINVAL", ioctl_unknown),
    case("ioctl_bad_pointer", "a bad address is EFAULT", ioctl_bad_pointer),
    case("ioctl_region", "the regions adjoin, are whole pages, and end with the last", ioctl_region),
    case("truncate", "a device is not truncated: its mappings hold what they held", truncate)
        .of("LTP mmap09 (changed: a device has no size to change)"),
    case("poll", "poll on the device returns at once", poll),
    case("many_opens", "a hundred opens at once, each maps", many_opens),
    case("open_in_threads", "threads that open, map and close at the same time", open_in_threads),
];

fn open_modes(t: &Ctx) -> Result {
    for (flags, mode) in [(libc::O_RDONLY, "reading"), (libc::O_WRONLY, "writing"), (libc::O_RDWR, "both")] {
        let dev = t.open_with(flags)?;
        let got = works("fcntl F_GETFL", sys::fcntl(dev.fd, libc::F_GETFL, 0))?;
        equal(format!("access mode of an open for {mode}"), got & libc::O_ACCMODE, flags)?;
        works("close", dev.close())?;
    }
    Ok(())
}

fn open_unknown(t: &Ctx) -> Result {
    let unknown = format!("{}99", t.device);
    refused(format!("open of {unknown}"), sys::open(&unknown, libc::O_RDWR), &[libc::ENOENT, libc::ENXIO])
}

fn openat(t: &Ctx) -> Result {
    let (directory, name) = t.device.rsplit_once('/').unwrap_or((".", &t.device));
    let at = works("open of the directory", sys::open(directory, libc::O_RDONLY))?;
    let fd = works("openat", sys::openat(at, name, libc::O_RDWR))?;
    let dev = works("ioctl", Dev::from_fd(fd))?;
    dev.map_all(SHARED)?.put(0, 1)?;
    let absolute = works("openat of an absolute path", sys::openat(at, &t.device, libc::O_RDWR))?;
    works("ioctl", Dev::from_fd(absolute))?.map_all(SHARED)?.holds(0, 1)
}

fn is_a_character_device(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let (mode, number) = works("fstat", sys::fstat(dev.fd))?;
    same("file type by fstat", mode & libc::S_IFMT, libc::S_IFCHR)?;
    let (mode, by_name) = works("stat", sys::stat(&t.device))?;
    same("file type by stat", mode & libc::S_IFMT, libc::S_IFCHR)?;
    same("device number by stat and fstat", by_name, number)
}

fn not_a_terminal(t: &Ctx) -> Result {
    check(!sys::isatty(t.open()?.fd), "isatty says that the device is a terminal")
}

fn access_call(t: &Ctx) -> Result {
    works("access", sys::access(&t.device, libc::R_OK | libc::W_OK))?;
    let unknown = format!("{}99", t.device);
    refused("access to an unknown device", sys::access(&unknown, libc::F_OK), &[libc::ENOENT])
}

fn close_before_unmap(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(1)?;
    works("close", dev.close())?;
    map.marked(1)?;
    map.unmap_pages(2, 4)?;
    map.marked_in(1, [0, 1, 4, 5])?;
    map.unmap()?;
    map.are_holes(0..map.pages())
}

fn close_before_touch(t: &Ctx) -> Result {
    let dev = t.open()?;
    let maps = [dev.map_all(PRIVATE)?, dev.map_all(SHARED)?];
    works("close", dev.close())?;
    for map in maps {
        map.mark(1)?;
        map.marked(1)?;
    }
    Ok(())
}

fn close_before_fork(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(1)?;
    works("close", dev.close())?;
    Peer::start(|_| {
        map.marked(1)?;
        map.mark(2)
    })?
    .done()?;
    map.marked(1)
}

fn close_twice(t: &Ctx) -> Result {
    let dev = t.open()?;
    works("close", dev.close())?;
    refused("close again", dev.close(), &[libc::EBADF])?;
    refused("ioctl of a closed descriptor", dev.region(0), &[libc::EBADF])
}

fn last_close_after_last_unmap(t: &Ctx) -> Result {
    for round in 0..10 {
        let dev = t.open()?;
        let map = dev.map_all(PRIVATE)?;
        map.mark(round)?;
        if round % 2 == 0 {
            works("close", dev.close())?;
            map.marked(round)?;
            map.unmap()?;
        } else {
            map.unmap()?;
            works("close", dev.close())?;
        }
    }
    Ok(())
}

fn dup(t: &Ctx) -> Result {
    let dev = t.open()?;
    let first = dev.map_all(SHARED)?;
    first.mark(7)?;
    let second = Dev { fd: works("dup", sys::dup(dev.fd))?, ..dev };
    works("close", dev.close())?;
    second.map_all(SHARED)?.marked(7)?;
    works("close", second.close())?;
    first.marked(7)
}

fn dup2_over(t: &Ctx) -> Result {
    let dev = t.open()?;
    let map = dev.map_all(PRIVATE)?;
    map.mark(7)?;
    // Something that cannot be mapped anywhere; on illumos /dev/null can.
    let (pipe, _) = works("pipe", sys::pipe())?;
    works("dup2 over the device", sys::dup2(pipe, dev.fd))?;
    map.marked(7)?;
    check(dev.try_map(0, page_size(), RW, SHARED).is_err(), "the number still maps the device")?;
    let again = t.open()?;
    works("dup2 of the device over it", sys::dup2(again.fd, dev.fd))?;
    dev.map_all(SHARED)?.put(0, 1)
}

fn fcntl_dup(t: &Ctx) -> Result {
    let dev = t.open()?;
    let fd = works("fcntl F_DUPFD", sys::fcntl(dev.fd, libc::F_DUPFD, 100))?;
    check(fd >= 100, format!("F_DUPFD from 100 gave {fd}"))?;
    Dev { fd, ..dev }.map_all(PRIVATE)?.mark(1)
}

fn cloexec_flag(t: &Ctx) -> Result {
    let dev = t.open()?;
    equal(
        "FD_CLOEXEC after open",
        works("fcntl", sys::fcntl(dev.fd, libc::F_GETFD, 0))? & libc::FD_CLOEXEC,
        0,
    )?;
    works("fcntl", sys::fcntl(dev.fd, libc::F_SETFD, libc::FD_CLOEXEC))?;
    let flags = works("fcntl", sys::fcntl(dev.fd, libc::F_GETFD, 0))?;
    equal("FD_CLOEXEC after F_SETFD", flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC)?;
    let other = t.open_with(libc::O_RDWR | libc::O_CLOEXEC)?;
    let flags = works("fcntl", sys::fcntl(other.fd, libc::F_GETFD, 0))?;
    equal("FD_CLOEXEC after O_CLOEXEC", flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC)
}

fn inherited_by_fork(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    Peer::start(|_| {
        dev.map_all(PRIVATE)?.mark(1)?;
        works("close in the child", dev.close())
    })?
    .done()?;
    dev.map_all(SHARED)?.mark(2)?;
    let child = Peer::start(|link| {
        link.hear(b'c')?;
        let map = dev.map_all(SHARED)?;
        map.marked(2)
    })?;
    works("close in the parent", dev.close())?;
    child.link.say(b'c')?;
    child.done()
}

fn inherited_by_exec(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x10)?;
    Peer::execute(&t.device, "inherited", &[dev.fd.to_string(), map.base.to_string()])?.done()?;
    map.marked(0x10)
}

fn closed_by_exec(t: &Ctx) -> Result {
    let dev = t.open_with(libc::O_RDWR | libc::O_CLOEXEC)?;
    let map = dev.map_region(dev.layout.fb, PRIVATE)?;
    map.mark(0x10)?;
    Peer::execute(&t.device, "not_inherited", &[dev.fd.to_string()])?.done()?;
    map.marked(0x10)
}

fn passed_over_socket(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(SHARED)?;
    map.mark(0x10)?;
    let peer = Peer::start(|link| {
        let (_, fd) = works("recvmsg", sys::recv_fd(link.fd()))?;
        let Some(fd) = fd else { return check(false, "no descriptor arrived") };
        check(fd != dev.fd, "the descriptor arrived under the number it had")?;
        let got = works("ioctl", Dev::from_fd(fd))?;
        let shared = got.map_all(SHARED)?;
        shared.marked(0x10)?;
        shared.mark(0x20)?;
        got.map_region(got.layout.fb, PRIVATE)?.mark(0x30)
    })?;
    works("sendmsg", sys::send_fd(peer.link.fd(), b'd', dev.fd))?;
    peer.done()?;
    map.marked(0x20)
}

fn passed_and_closed(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let (one, two) = works("socketpair", sys::socketpair())?;
    works("sendmsg", sys::send_fd(one, b'd', dev.fd))?;
    works("close", dev.close())?;
    let (_, fd) = works("recvmsg", sys::recv_fd(two))?;
    let Some(fd) = fd else { return check(false, "no descriptor arrived") };
    let got = works("ioctl", Dev::from_fd(fd))?;
    got.map_all(PRIVATE)?.mark(1)
}

fn passed_to_earlier(t: &Ctx) -> Result {
    // Started before this process opens anything.
    let peer = Peer::start(|link| {
        let (_, fd) = works("recvmsg", sys::recv_fd(link.fd()))?;
        let Some(fd) = fd else { return check(false, "no descriptor arrived") };
        let got = works("ioctl", Dev::from_fd(fd))?;
        let map = got.map_all(PRIVATE)?;
        map.mark(1)?;
        map.marked(1)
    })?;
    let dev = t.ctxdev()?;
    works("sendmsg", sys::send_fd(peer.link.fd(), b'd', dev.fd))?;
    works("close", dev.close())?;
    peer.done()
}

fn read_counters(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let mut text = [0; 1024];
    let got = works("read", sys::read(dev.fd, &mut text))?;
    let line = String::from_utf8_lossy(&text[..got]).into_owned();
    check(
        line.ends_with('\n') && line.matches('\n').count() == 1,
        format!("read gave {line:?}, not one line"),
    )?;
    check(line.contains("switches"), format!("no counters in {line:?}"))
}

fn read_short(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let (mut long, mut short) = ([0; 1024], [0; 5]);
    works("read", sys::read(dev.fd, &mut long))?;
    let again = t.open()?;
    equal("bytes of a short read", works("read", sys::read(again.fd, &mut short))?, 5)?;
    equal("start of the line", short.to_vec(), long[..5].to_vec())
}

fn write_scratch(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    map.mark(0)?;
    let bytes: Vec<u8> = (0..page_size() + 100).map(|n| (n % 253) as u8).collect();
    equal("bytes written", works("write", sys::write(dev.fd, &bytes))?, bytes.len())?;
    for at in (0..bytes.len() - 8).step_by(64) {
        map.holds(at, u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")))?;
    }
    Ok(())
}

fn write_too_long(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let scratch = dev.layout.scratch;
    let fb = dev.map_region(dev.layout.fb, SHARED)?;
    fb.mark(0x77)?;
    let bytes = vec![0x5a; scratch.len + 2 * page_size()];
    match sys::write(dev.fd, &bytes) {
        Ok(count) => check(count <= scratch.len, format!("{count} bytes written into {}", scratch.len))?,
        Err(Errno(errno)) => {
            let expected = [libc::ENOSPC, libc::EINVAL, libc::EFBIG, libc::ENXIO];
            check(expected.contains(&errno), format!("write: {}", Errno(errno)))?;
        }
    }
    fb.marked(0x77)
}

fn write_bad_buffer(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_region(dev.layout.scratch, SHARED)?;
    map.put(0, 0x1234)?;
    refused("write from address 8", sys::write_at(dev.fd, 8, 64), &[libc::EFAULT])?;
    map.holds(0, 0x1234)
}

fn read_bad_buffer(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    refused("read to address 8", sys::read_at(dev.fd, 8, 64), &[libc::EFAULT])
}

fn read_write_modes(t: &Ctx) -> Result {
    t.ctxdev()?;
    let mut buffer = [0; 64];
    let writer = t.open_with(libc::O_WRONLY)?;
    refused("read of a write-only open", sys::read(writer.fd, &mut buffer), &[libc::EBADF])?;
    works("write", sys::write(writer.fd, b"12345678"))?;
    let reader = t.open_with(libc::O_RDONLY)?;
    refused("write of a read-only open", sys::write(reader.fd, b"12345678"), &[libc::EBADF])?;
    works("read", sys::read(reader.fd, &mut buffer)).map(|_| ())
}

fn ioctl_unknown(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    refused("unknown ioctl", sys::ioctl(dev.fd, UNKNOWN_COMMAND, 0), &[libc::ENOTTY, libc::EINVAL])
}

fn ioctl_bad_pointer(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    for command in [CTXDEV_STATS, CTXDEV_REGION] {
        for address in [0usize, 8, 0xffff_8000_0000_0000] {
            let what = format!("ioctl {command:#x} with address {address:#x}");
            refused(what, sys::ioctl(dev.fd, command, address), &[libc::EFAULT])?;
        }
    }
    Ok(())
}

fn ioctl_region(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let mut end = 0;
    for region in dev.layout.regions() {
        equal(format!("offset of {}", region.name), region.off, end)?;
        check(
            region.len > 0 && region.len % page_size() == 0,
            format!("{} is {:#x} long", region.name, region.len),
        )?;
        end = region.end();
    }
    for index in [4, 5, 1000, u32::MAX] {
        refused(format!("region {index}"), dev.region(index), &[libc::EINVAL])?;
    }
    Ok(())
}

fn truncate(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    let map = dev.map_all(SHARED)?;
    map.mark(0x10)?;
    for len in [0, page_size() as i64, 1 << 30] {
        let _ = sys::ftruncate(dev.fd, len);
        map.marked(0x10)?;
    }
    Ok(())
}

fn poll(t: &Ctx) -> Result {
    let dev = t.ctxdev()?;
    // The driver has nochpoll, which gives ENXIO: that of poll, or an error condition; never a wait.
    match sys::poll_now(dev.fd, libc::POLLIN | libc::POLLOUT) {
        Ok(ready) if ready & libc::POLLERR != 0 => Ok(()),
        other => refused("poll", other, &[libc::ENXIO]),
    }
}

fn many_opens(t: &Ctx) -> Result {
    let devs: Vec<Dev> = (0..100).map(|_| t.open()).collect::<Result<_>>()?;
    for (n, dev) in devs.iter().enumerate() {
        let map = dev.map(dev.layout.fb.off, page_size(), RW, PRIVATE)?;
        map.put(0, n as u64)?;
        map.holds(0, n as u64)?;
    }
    devs.into_iter().try_for_each(|dev| works("close", dev.close()))
}

fn open_in_threads(t: &Ctx) -> Result {
    let first = t.ctxdev()?;
    let before = first.stats()?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6u64)
            .map(|me| {
                scope.spawn(move || {
                    for round in 0..10 {
                        let dev = t.open()?;
                        let map = dev.map_region(dev.layout.fb, PRIVATE)?;
                        map.put(8, me << 8 | round)?;
                        works("close", dev.close())?;
                        map.holds(8, me << 8 | round)?;
                        map.unmap()?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| check(false, "a thread panicked")))
            .collect::<Vec<Result>>()
            .into_iter()
            .collect::<Result>()
    })?;
    grew(&first, &before, &[("opens", 60), ("mappings", 0), ("contexts", 0)])
}
