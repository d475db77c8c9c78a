//! Parts that clients play: processes and threads, descriptors, what is inherited.

use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::client::*;
use crate::kernel;

/// What a shell can do with the device.
pub const SHELL: &str = "set -e
test -c /dev/test0
test -r /dev/test0
cat /dev/test0 | grep -q says
cat < /dev/test0 | grep -q hello
(cat; cat /dev/null) < /dev/test0 > /dev/null
echo words > /dev/test0
cat /dev/fd/3 3< /dev/test0 | grep -q hello
cat /dev/stdin < /dev/test0 | grep -q hello
read line < /dev/test0
test \"$line\" = 'the device says hello'
test ! -e /dev/test1
test -z \"$(ls -l /dev/test0 2>&1 >/dev/null)\"
ls -l /dev/test0 | grep -q '^crw-rw-rw-.* 250, *7 '
DDI_CLIENT=map \"$SELF\" | cat
if DDI_CLIENT=exit-3 \"$SELF\"; then exit 9; else test $? = 3; fi
";

/// By name.
pub const PARTS: &[Part] = &[
    ("stat", stat),
    ("look-again", look_again),
    ("read-write", read_write),
    ("fork", forking),
    ("fork-unmapped", fork_unmapped),
    ("fork-refused", fork_refused),
    ("fork-tree", fork_tree),
    ("threads", threads),
    ("fork-threads", fork_threads),
    ("close-raw", close_raw),
    ("agent-killed", agent_killed),
    ("exec", exec),
    ("after-exec", after_exec),
    ("spawn", spawn),
    ("bump", bump),
    ("kill", killing),
    ("stop", stop),
    ("close-all", close_all),
    ("stdio", stdio),
    ("worker", worker),
    ("linger", linger),
    ("exit-3", exit_3),
    ("pass", pass),
];

/// Looks for the device for a second, and finds it each time.
fn look_again() {
    let end = std::time::Instant::now() + Duration::from_secs(1);
    while std::time::Instant::now() < end {
        // SAFETY: a string.
        check("access", unsafe { libc::access(c"/dev/test0".as_ptr(), libc::R_OK) }, 0);
    }
}

fn stat() {
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

fn read_write() {
    check("read", std::fs::read_to_string("/dev/test0").ok().as_deref(), Some("the device says hello\n"));
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

fn forking() {
    let fd = open();
    let m = map(fd, 4, 0);
    m.set(0, 7);
    let before = faults(fd);
    let pid = fork(|| {
        check("inherited", m.get(0), 7);
        check("the child's first touch faults", faults(fd), before + 1);
        m.set(1, 8);
    });
    check("child", wait(pid.unwrap_or(0)), 0);
    check("the child's exit is known when wait returns", stats(fd)[5], 1);
    check("the child's write", m.get(1), 8);
    check("the parent's page stays loaded", faults(fd), before + 3);
    check("forks", stats(fd)[3], 1);
}

fn fork_unmapped() {
    let fd = open();
    let pid = fork(|| {
        let m = map(fd, 1, 3);
        m.set(0, 5);
    });
    check("child", wait(pid.unwrap_or(0)), 0);
    check("written", map(fd, 1, 3).get(0), 5);
}

fn fork_refused() {
    let fd = open();
    let m = map(fd, 1, 0);
    m.set(0, 1);
    for round in 0..3 {
        check("ioctl", ioctl(fd, kernel::REFUSE_FORK, libc::EAGAIN as u64), 0);
        check("fork", fork(|| ()).err(), Some(libc::EAGAIN));
        check("ioctl", ioctl(fd, kernel::REFUSE_FORK, 0), 0);
        check("child", wait(fork(|| m.set(0, round)).unwrap_or(0)), 0);
        check("written", m.get(0), round);
    }
}

fn fork_tree() {
    let fd = open();
    let m = map(fd, 8, 0);
    m.set(0, 1);
    let pids: Vec<i32> = (1..5)
        .map(|i| {
            fork(|| {
                m.set(i, i as u64);
                let pid = fork(|| m.set(i, m.get(i) + 10)).unwrap_or(0);
                check("grandchild", wait(pid), 0);
            })
            .unwrap_or(0)
        })
        .collect();
    pids.into_iter().for_each(|pid| check("child", wait(pid), 0));
    (1..5).for_each(|i| check("sum", m.get(i), i as u64 + 10));
}

fn threads() {
    let fd = open();
    let m = map(fd, 64, 0);
    let at = m.at as usize;
    for _ in 0..20 {
        std::thread::scope(|s| {
            for t in 0..8 {
                s.spawn(move || {
                    for i in 0..64 {
                        let word = (at + ((i * 7 + t) % 64) * PAGE + t * 8) as *mut u64;
                        // SAFETY: within the mapping; each thread has words of its own.
                        let before = unsafe { word.read_volatile() };
                        // SAFETY: as above.
                        unsafe { word.write_volatile(before + 1) };
                    }
                });
            }
        });
        check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
    }
    for page in 0..64 {
        for t in 0..8 {
            // SAFETY: within the mapping.
            check("count", unsafe { m.word(page).wrapping_add(t).read_volatile() }, 20);
        }
    }
}

fn fork_threads() {
    let fd = open();
    let m = map(fd, 64, 0);
    let (at, stop) = (m.at as usize, std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|s| {
        for t in 0..3 {
            let stop = &stop;
            s.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let own = map(fd, 4, 128 + 4 * t);
                    own.set(3, 1);
                    for page in 0..16 {
                        // SAFETY: within the mapping; a page of this thread's own.
                        unsafe { ((at + (t * 16 + page) * PAGE) as *mut u64).write_volatile(1) };
                    }
                    unmap(own.at, own.len);
                }
            });
        }
        for round in 0..30 {
            let pid = fork(|| {
                m.set(60, round);
                check("own word", m.get(60), round);
            });
            check("child", wait(pid.unwrap_or(0)), 0);
            check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

fn close_raw() {
    // A program that goes round the C library to close what is not its own cannot be kept, and must not go on unwatched.
    let m = map(open(), 4, 0);
    m.set(0, 1);
    // SAFETY: closes what is open.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
    loop {
        m.set(1, 1);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn agent_killed() {
    // Without its agent a process cannot be kept out of what it has loaded, so it goes too, and nobody waits for it.
    let fd = open();
    let host = std::os::unix::process::parent_id().to_string();
    let pid = fork(|| {
        let m = map(fd, 4, 0);
        m.set(0, 1);
        m.set(1, 1);
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        for pid in processes.filter_map(|e| e.file_name().to_string_lossy().parse::<i32>().ok()) {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let its_parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
            if stat.contains("(ddi-agent)") && its_parent == Some(&host) {
                kill(pid, libc::SIGKILL);
            }
        }
        loop {
            m.set(0, 1);
            std::thread::sleep(Duration::from_millis(1));
        }
    })
    .unwrap_or(0);
    while faults(fd) < 2 {
        std::thread::sleep(Duration::from_millis(1));
    }
    // The agent may take a moment to die.
    for _ in 0..1000 {
        check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
        let mut status = 0;
        // SAFETY: a valid place.
        if unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == pid {
            check("killed", status, libc::SIGKILL);
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    eprintln!("the child lives on");
    std::process::exit(1);
}

fn exec() {
    let fd = open();
    let m = map(fd, 4, 0);
    m.set(0, 9);
    // SAFETY: the descriptor is to survive.
    unsafe { libc::fcntl(fd, libc::F_SETFD, 0) };
    use std::os::unix::process::CommandExt;
    let me = std::env::current_exe().unwrap_or_default();
    let e = Command::new(me).env("DDI_CLIENT", "after-exec").env("FD", fd.to_string()).exec();
    eprintln!("exec: {e}");
    std::process::exit(1);
}

fn after_exec() {
    let fd: i32 = std::env::var("FD").ok().and_then(|f| f.parse().ok()).unwrap_or(-1);
    let s = stats(fd);
    check("exits: the old program", s[5], 1);
    check("starts: two programs", s[2], 2);
    check("closes: none", s[1], 0);
    check("the memory", map(fd, 1, 0).get(0), 9);
}

fn spawn() {
    let fd = open();
    let m = map(fd, 1, 0);
    m.set(0, 1);
    for _ in 0..5 {
        let me = std::env::current_exe().unwrap_or_default();
        let status = Command::new(me).env_clear().env("DDI_CLIENT", "bump").status();
        check("spawned", status.ok().and_then(|s| s.code()), Some(0));
    }
    check("bumps", m.get(0), 6);
    check("faults", faults(fd), 6);
}

fn bump() {
    let m = map(open(), 1, 0);
    m.set(0, m.get(0) + 1);
}

fn killing() {
    let fd = open();
    let m = map(fd, 16, 0);
    for round in 0..20u64 {
        let pid = fork(|| {
            loop {
                (0..16).for_each(|i| m.set(i, round));
                ioctl(fd, kernel::UNLOAD, 0);
            }
        });
        std::thread::sleep(Duration::from_micros(round * 300));
        kill(pid.unwrap_or(0), libc::SIGKILL);
        check("killed", wait(pid.unwrap_or(0)), libc::SIGKILL);
        // One that is killed before it runs counts as a fork that failed.
        let s = stats(fd);
        check("exits", s[4] + s[5], round + 1);
    }
}

fn stop() {
    let fd = open();
    let m = map(fd, 4, 0);
    m.set(0, 1);
    let pid = fork(|| {
        loop {
            m.set(1, m.get(1) + 1);
        }
    })
    .unwrap_or(0);
    while m.get(1) < 1000 {}
    kill(pid, libc::SIGSTOP);
    let mut status = 0;
    // SAFETY: a valid place.
    unsafe { libc::waitpid(pid, &mut status, libc::WUNTRACED) };
    check("unload while stopped", ioctl(fd, kernel::UNLOAD, 0), 0);
    let (before, count) = (m.get(1), faults(fd));
    kill(pid, libc::SIGCONT);
    while m.get(1) < before + 1000 {}
    check("the child faulted again", faults(fd) > count, true);
    kill(pid, libc::SIGKILL);
    wait(pid);
}

fn close_all() {
    let fd = open();
    let m = map(fd, 4, 0);
    m.set(0, 1);
    // SAFETY: closes what is open, the device included.
    (3..2000).for_each(|n| unsafe {
        libc::close(n);
    });
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_getpid) };
    // SAFETY: the interposed function; closes all but the first three.
    check("close_range", unsafe { close_range(3, u32::MAX, 0) }, 0);
    m.set(1, 2);
    let fd = open();
    check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
    check("the mapping works", m.get(1), 2);
    check("child", wait(fork(|| m.set(2, 3)).unwrap_or(0)), 0);
    check("its write", m.get(2), 3);
}

fn stdio() {
    // What C's stdio reads and writes by itself does not pass the shim's functions.
    // SAFETY: strings.
    let f = unsafe { libc::fopen(c"/dev/test0".as_ptr(), c"r".as_ptr()) };
    check("fopen", f.is_null(), false);
    let mut line = [0u8; 64];
    // SAFETY: a stream and a buffer of that length.
    check("fgets", unsafe { libc::fgets(line.as_mut_ptr().cast(), 64, f) }.is_null(), false);
    check("line", &line[..8], b"the devi");
    // SAFETY: a stream.
    check("fileno", unsafe { libc::fileno(f) } > 2, true);
    // SAFETY: a stream.
    check("fclose", unsafe { libc::fclose(f) }, 0);
    let fd = open();
    let m = map(fd, 1, 0);
    // SAFETY: plain system calls, here and below.
    let copy = unsafe { libc::dup(fd) };
    // SAFETY: the descriptor is the stream's from now on.
    let f = unsafe { libc::fdopen(copy, c"w".as_ptr()) };
    // SAFETY: a stream and a string.
    check("fputs", unsafe { libc::fputs(c"stdio!!!".as_ptr(), f) } >= 0, true);
    // SAFETY: a stream.
    check("fclose", unsafe { libc::fclose(f) }, 0);
    check("closes", stats(fd)[1], 1);
    check("written", m.get(0), u64::from_ne_bytes(*b"stdio!!!"));
}

fn worker() {
    let fd = open();
    let m = map(fd, 8, 0);
    let mine = m.word(7).wrapping_add(std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(0));
    for round in 0..20u64 {
        // SAFETY: within the mapping; a word of this client's own.
        unsafe { mine.write_volatile(round) };
        check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
        // SAFETY: as above.
        check("word", unsafe { mine.read_volatile() }, round);
    }
}

fn linger() {
    let m = map(open(), 4, 0);
    m.set(0, 1);
    println!("ready");
    loop {
        m.set(0, m.get(0) + 1);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn exit_3() {
    map(open(), 4, 0).set(1, 1);
    std::process::exit(3);
}

unsafe extern "C" {
    fn close_range(first: u32, last: u32, flags: i32) -> i32;
}

/// Passes an open device over a socket, to a process that has opened none.
fn pass() {
    let mut pair = [0; 2];
    // SAFETY: room for two.
    check(
        "socketpair",
        unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr()) },
        0,
    );
    let mut byte = [0u8; 1];
    let mut control = [0u64; 3];
    let mut iov = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    // SAFETY: all-zero is a valid msghdr.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &mut iov;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = 24;
    let pid = fork(|| {
        // SAFETY: the header is valid.
        check("recvmsg", unsafe { libc::recvmsg(pair[1], &mut header, 0) }, 1);
        let fd = control[2] as i32;
        check(
            "read",
            {
                let mut b = [0u8; 3];
                unsafe_read(fd, &mut b);
                b
            },
            *b"the",
        );
        map(fd, 1, 2).set(0, 42);
    })
    .unwrap_or(0);
    let fd = open();
    control = [20, (libc::SOL_SOCKET as u64) | (libc::SCM_RIGHTS as u64) << 32, fd as u64];
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = 24;
    // SAFETY: the header is valid.
    check("sendmsg", unsafe { libc::sendmsg(pair[0], &header, 0) }, 1);
    check("child", wait(pid), 0);
    check("its write", map(fd, 1, 2).get(0), 42);
}

fn unsafe_read(fd: i32, to: &mut [u8]) {
    // SAFETY: the buffer is as long as said.
    check("read", unsafe { libc::read(fd, to.as_mut_ptr().cast(), to.len()) }, to.len() as isize);
}
