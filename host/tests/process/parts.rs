//! More parts that clients play.

use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use crate::client::{Map, PAGE, check, errno, faults, ioctl, map, open, open_at, stats, try_map};
use crate::kernel;

const RW: i32 = libc::PROT_READ | libc::PROT_WRITE;

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

static SIGNAL: AtomicI32 = AtomicI32::new(0);
static CODE: AtomicI32 = AtomicI32::new(0);
static ADDR: AtomicU64 = AtomicU64::new(0);

/// Notes a fault and puts plain memory where it was, so that the access goes on.
extern "C" fn note(signo: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid structure.
    let info = unsafe { &*info };
    // SAFETY: a fault's signal has an address.
    let addr = unsafe { info.si_addr() } as u64;
    SIGNAL.store(signo, Ordering::SeqCst);
    CODE.store(info.si_code, Ordering::SeqCst);
    ADDR.store(addr, Ordering::SeqCst);
    let page = (addr & !0xfff) as *mut libc::c_void;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: replaces the page that failed.
    unsafe { libc::mmap(page, PAGE, RW, flags, -1, 0) };
}

fn handle(signo: i32, handler: usize, flags: i32) {
    // SAFETY: all-zero is a valid sigaction.
    let mut act: libc::sigaction = unsafe { std::mem::zeroed() };
    act.sa_sigaction = handler;
    act.sa_flags = flags;
    // SAFETY: a valid structure.
    check("sigaction", unsafe { libc::sigaction(signo, &act, std::ptr::null_mut()) }, 0);
}

fn catch_faults() {
    handle(libc::SIGSEGV, note as *const () as usize, libc::SA_SIGINFO);
    handle(libc::SIGBUS, note as *const () as usize, libc::SA_SIGINFO);
}

/// The last fault that was caught: signal, code, address.
fn caught() -> (i32, i32, u64) {
    (SIGNAL.swap(0, Ordering::SeqCst), CODE.load(Ordering::SeqCst), ADDR.load(Ordering::SeqCst))
}

fn unmap(at: *mut u64, len: usize) {
    // SAFETY: nobody uses the range any more.
    check("munmap", unsafe { libc::munmap(at.cast(), len) }, 0);
}

fn protect(m: &Map, first: usize, pages: usize, prot: i32) -> i32 {
    // SAFETY: a range of the mapping.
    unsafe { libc::mprotect(m.word(first).cast(), pages * PAGE, prot) }
}

/// Forks; the child plays its part and ends with status 0. Returns the child's id or the error.
fn fork(child: impl FnOnce()) -> Result<i32, i32> {
    // SAFETY: the child goes on with what it has; other threads are not needed.
    match unsafe { libc::fork() } {
        -1 => Err(errno()),
        0 => {
            child();
            std::process::exit(0)
        }
        pid => Ok(pid),
    }
}

/// Waits for a child: its wait status.
fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: a valid place.
    check("waitpid", unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    status
}

fn kill(pid: i32, signo: i32) {
    // SAFETY: a child of ours.
    check("kill", unsafe { libc::kill(pid, signo) }, 0);
}

pub fn play(part: &str) -> ExitCode {
    match part {
        "fork" => {
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
        "fork-unmapped" => {
            let fd = open();
            let pid = fork(|| {
                let m = map(fd, 1, 3);
                m.set(0, 5);
            });
            check("child", wait(pid.unwrap_or(0)), 0);
            check("written", map(fd, 1, 3).get(0), 5);
        }
        "fork-refused" => {
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
        "fork-tree" => {
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
        "threads" => {
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
        "fork-threads" => {
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
        "close-raw" => {
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
        "agent-killed" => {
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
                    return ExitCode::SUCCESS;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            eprintln!("the child lives on");
            return ExitCode::FAILURE;
        }
        "behind" => {
            // So is one that changes a device mapping behind the shim's back; it does not spin.
            let m = map(open(), 4, 0);
            m.set(0, 1);
            // SAFETY: a range of the mapping.
            unsafe { libc::syscall(libc::SYS_mprotect, m.at, PAGE, libc::PROT_NONE) };
            m.set(0, 2);
        }
        "munmap-parts" => {
            let fd = open();
            let m = map(fd, 8, 0);
            (0..8).for_each(|i| m.set(i, i as u64 + 1));
            unmap(m.word(0), PAGE);
            unmap(m.word(7), PAGE);
            unmap(m.word(3), 2 * PAGE);
            check("unmaps", stats(fd)[7], 3);
            check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
            for i in [1, 2, 5, 6] {
                check("what stays", m.get(i), i as u64 + 1);
            }
            catch_faults();
            for i in [0, 3, 4, 7] {
                check("plain memory now", m.get(i), 0);
                check("the hole", caught(), (libc::SIGSEGV, 1, m.word(i) as u64));
            }
        }
        "mprotect" => {
            let fd = open();
            let m = map(fd, 4, 0);
            (0..4).for_each(|i| m.set(i, 1));
            check("mprotect", protect(&m, 1, 2, libc::PROT_READ), 0);
            check("readable", m.get(1), 1);
            check(
                "the rest is writable",
                {
                    m.set(3, 2);
                    m.get(3)
                },
                2,
            );
            let ro = open_at(c"/dev/test0", libc::O_RDONLY);
            let r = try_map(ro, 1, 0, libc::MAP_SHARED, libc::PROT_READ)
                .unwrap_or_else(|_| std::process::exit(1));
            check("beyond the maximum", protect(&r, 0, 1, RW), -1);
            check("error", errno(), libc::EACCES);
            check(
                "no write by a read-only open",
                try_map(ro, 1, 0, libc::MAP_SHARED, RW).err(),
                Some(libc::EACCES),
            );
            catch_faults();
            // SAFETY: within the mapping; not the page's first byte.
            unsafe { m.word(1).wrapping_byte_add(9).cast::<u8>().write_volatile(1) };
            check("write", caught(), (libc::SIGSEGV, 2, m.word(1) as u64 + 9));
            check("nothing", protect(&m, 2, 1, libc::PROT_NONE), 0);
            m.get(2);
            check("read", caught(), (libc::SIGSEGV, 2, m.word(2) as u64));
            check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
            check("mprotect", protect(&m, 3, 1, libc::PROT_READ), 0);
            check("loaded again", m.get(3), 2);
            check("mprotect", protect(&m, 3, 1, RW), 0);
            m.set(3, 4);
            check("writable again", (m.get(3), SIGNAL.load(Ordering::SeqCst)), (4, 0));
        }
        "replace" => {
            let fd = open();
            let m = map(fd, 4, 0);
            m.set(1, 6);
            let fixed = |at: *mut u64, flags: i32, fd: i32, offset: usize| {
                let at = at.cast();
                // SAFETY: replaces part of the mapping.
                unsafe { libc::mmap(at, PAGE, RW, flags | libc::MAP_FIXED, fd, (offset * PAGE) as i64) }
                    .cast::<u64>()
            };
            check("by the device", fixed(m.word(2), libc::MAP_SHARED, fd, 1), m.word(2));
            check("page 1 at 2", m.get(2), 6);
            check(
                "by plain memory",
                fixed(m.word(1), libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0),
                m.word(1),
            );
            check("plain", m.get(1), 0);
            check("unmaps", stats(fd)[7], 1);
            check("by the device again", fixed(m.word(1), libc::MAP_SHARED, fd, 1), m.word(1));
            check("page 1 at 1", m.get(1), 6);
            unmap(m.at, m.len);
        }
        "mremap" => {
            let fd = open();
            let m = map(fd, 4, 0);
            m.set(1, 6);
            // SAFETY: the mapping's own range.
            let shrunk = unsafe { libc::mremap(m.at.cast(), m.len, 2 * PAGE, 0) };
            check("shrink", shrunk.cast(), m.at);
            check("unmaps", stats(fd)[7], 1);
            check("what stays", m.get(1), 6);
            // SAFETY: the mapping's own range.
            let grown = unsafe { libc::mremap(m.at.cast(), 2 * PAGE, 4 * PAGE, libc::MREMAP_MAYMOVE) };
            check("grow", (grown, errno()), (libc::MAP_FAILED, libc::EFAULT));
        }
        "advice" => {
            let fd = open();
            let m = map(fd, 4, 0);
            m.set(1, 6);
            for advice in [libc::MADV_DONTNEED, libc::MADV_WILLNEED, libc::MADV_DONTFORK] {
                // SAFETY: a range of the mapping.
                check("madvise", unsafe { libc::madvise(m.at.cast(), m.len, advice) }, 0);
            }
            // SAFETY: a range of the mapping.
            check("remove", unsafe { libc::madvise(m.at.cast(), m.len, libc::MADV_REMOVE) }, -1);
            // SAFETY: a range of the mapping.
            check("msync", unsafe { libc::msync(m.at.cast(), m.len, libc::MS_SYNC) }, 0);
            // SAFETY: a range of the mapping.
            check("mlock", unsafe { libc::mlock(m.at.cast(), m.len) }, 0);
            let mut resident = [0u8; 4];
            // SAFETY: a range of the mapping, and a byte for each page.
            check("mincore", unsafe { libc::mincore(m.at.cast(), m.len, resident.as_mut_ptr()) }, 0);
            check("resident", resident, [1; 4]);
            check("still there", m.get(1), 6);
            check("faults", faults(fd), 1);
            // Past the shim: the translation goes without the host's knowing, as when Linux reclaims memory.
            // SAFETY: a range of the mapping, of a file that is mapped shared: nothing is lost.
            check("drop", unsafe { libc::syscall(libc::SYS_madvise, m.at, m.len, libc::MADV_DONTNEED) }, 0);
            check("there again", m.get(1), 6);
        }
        "exec" => {
            let fd = open();
            let m = map(fd, 4, 0);
            m.set(0, 9);
            // SAFETY: the descriptor is to survive.
            unsafe { libc::fcntl(fd, libc::F_SETFD, 0) };
            use std::os::unix::process::CommandExt;
            let me = std::env::current_exe().unwrap_or_default();
            let e = Command::new(me).env("DDI_CLIENT", "after-exec").env("FD", fd.to_string()).exec();
            eprintln!("exec: {e}");
            return ExitCode::FAILURE;
        }
        "after-exec" => {
            let fd: i32 = std::env::var("FD").ok().and_then(|f| f.parse().ok()).unwrap_or(-1);
            let s = stats(fd);
            check("exits: the old program", s[5], 1);
            check("starts: two programs", s[2], 2);
            check("closes: none", s[1], 0);
            check("the memory", map(fd, 1, 0).get(0), 9);
        }
        "spawn" => {
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
        "bump" => {
            let m = map(open(), 1, 0);
            m.set(0, m.get(0) + 1);
        }
        "kill" => {
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
        "stop" => {
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
        "detour" => {
            let fd = open();
            let m = map(fd, 4, 0);
            m.set(0, u64::from_ne_bytes(*b"abcdefgh"));
            check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
            let mut pipe = [0; 2];
            // SAFETY: room for two.
            check("pipe", unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
            // SAFETY: within the mapping.
            check("write", unsafe { libc::write(pipe[1], m.at.cast(), 8) }, 8);
            // SAFETY: within the mapping.
            check("read", unsafe { libc::read(pipe[0], m.word(2).cast(), 8) }, 8);
            check("arrived", m.get(2), m.get(0));
            let iov = [m.word(2), m.word(0)].map(|w| libc::iovec { iov_base: w.cast(), iov_len: 8 });
            // SAFETY: within the mapping.
            let n = unsafe { libc::writev(pipe[1], iov.as_ptr(), 2) };
            check("writev", n == 16 || n == 8, true);
            // The device's own write, from device memory.
            // SAFETY: within the mapping.
            check("to the device", unsafe { libc::write(fd, m.word(2).cast(), 8) }, 8);
            // SAFETY: within the mapping.
            check("ioctl", ioctl(fd, kernel::STATS, m.word(3) as u64), 0);
            check("opens", m.get(3), 1);
        }
        "fail" => {
            let fd = open();
            catch_faults();
            let m = map(fd, 8, 0);
            for (i, (signo, code)) in [(libc::SIGBUS, 3), (libc::SIGSEGV, 1)].into_iter().enumerate() {
                check("ioctl", ioctl(fd, kernel::FAIL_FAULTS, signo as u64), 0);
                // SAFETY: within the mapping.
                unsafe { m.word(i).wrapping_byte_add(16).write_volatile(3) };
                let (s, c, a) = caught();
                check("signal", (s, c, a & !0xfff), (signo, code, m.word(i) as u64));
                // Linux tells the exact address since 5.18.
                check("address", a == m.word(i) as u64 + 16 || a == m.word(i) as u64, true);
            }
            check("ioctl", ioctl(fd, kernel::FAIL_FAULTS, 0), 0);
            m.set(5, 1);
            check("none", caught().0, 0);
        }
        "fail-in-system-call" => {
            let fd = open();
            let m = map(fd, 8, 0);
            let mut pipe = [0; 2];
            // SAFETY: room for two.
            check("pipe", unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
            check("ioctl", ioctl(fd, kernel::FAIL_FAULTS, libc::SIGBUS as u64), 0);
            // SAFETY: within the mapping.
            check("write", unsafe { libc::write(pipe[1], m.word(1).cast(), 8) }, -1);
            check("error", errno(), libc::EFAULT);
            // SAFETY: within the mapping.
            check("device write", unsafe { libc::write(fd, m.word(1).cast(), 8) }, -1);
            check("error", errno(), libc::EFAULT);
            check("ioctl", ioctl(fd, kernel::FAIL_FAULTS, 0), 0);
            std::thread::sleep(Duration::from_millis(20));
            // SAFETY: within the mapping.
            check("write", unsafe { libc::write(pipe[1], m.word(1).cast(), 8) }, 8);
            check("the page works again", m.get(1), 0);
        }
        "fail-kills" => {
            let fd = open();
            let m = map(fd, 8, 0);
            check("ioctl", ioctl(fd, kernel::FAIL_FAULTS, libc::SIGBUS as u64), 0);
            m.set(0, 1);
        }
        "fail-blocked" => {
            let fd = open();
            catch_faults();
            // SAFETY: all-zero is a valid set.
            let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
            // SAFETY: a valid set.
            unsafe { libc::sigfillset(&mut set) };
            // SAFETY: valid sets.
            unsafe { libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
            // SAFETY: valid sets.
            unsafe { libc::sigprocmask(libc::SIG_BLOCK, std::ptr::null(), &mut set) };
            // SAFETY: a valid set.
            check("seems blocked", unsafe { libc::sigismember(&set, libc::SIGSEGV) }, 1);
            let m = map(fd, 8, 0);
            m.set(1, 1);
            check("ioctl", ioctl(fd, kernel::FAIL_FAULTS, libc::SIGSEGV as u64), 0);
            m.set(0, 1);
        }
        "stray" => {
            let m = map(open(), 8, 0);
            unmap(m.at, m.len);
            m.set(0, 1);
        }
        "null" => {
            let m = map(open(), 8, 0);
            m.set(0, 1);
            // SAFETY: not sound at all: it is to kill the process, as it would without the shim.
            unsafe { std::hint::black_box(std::ptr::dangling_mut::<u64>()).write_volatile(1) };
        }
        "pass" => pass(),
        "close-all" => {
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
        "interrupt" => {
            extern "C" fn nothing(_: i32) {}
            let fd = open();
            handle(libc::SIGALRM, nothing as *const () as usize, 0);
            for _ in 0..3 {
                // SAFETY: no memory is involved.
                unsafe { ualarm(30_000, 0) };
                check("sleep", ioctl(fd, kernel::SLEEP, 0), -1);
                check("error", errno(), libc::EINTR);
            }
            let pid = fork(|| {
                ioctl(fd, kernel::SLEEP, 0);
            })
            .unwrap_or(0);
            std::thread::sleep(Duration::from_millis(50));
            kill(pid, libc::SIGKILL);
            check("killed", wait(pid), libc::SIGKILL);
        }
        "other-frames" => {
            let fd = open();
            let (m, other) = (map(fd, 4, 0), map(fd, 1, 9));
            other.set(0, 99);
            m.set(0, 1);
            check("ioctl", ioctl(fd, kernel::LOAD_OTHER, 9), 0);
            let before = faults(fd);
            check("page 9 at 0", m.get(0), 99);
            check("no fault", faults(fd), before);
            check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
            check("page 0 again", m.get(0), 1);
        }
        "panic" => {
            let fd = open();
            check("ioctl", ioctl(fd, kernel::PANIC, 0), -1);
            check("error", errno(), libc::EIO);
            check("goes on", stats(fd)[0], 1);
        }
        "many" => {
            let fd = open();
            let maps: Vec<Map> = (0..2000).map(|i| map(fd, 1, i % 256)).collect();
            maps.iter().for_each(|m| m.set(0, 1));
            check("faults", faults(fd), 2000);
            check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
            let pid = fork(|| maps.iter().for_each(|m| check("word", m.get(0), 1)));
            check("child", wait(pid.unwrap_or(0)), 0);
            check("faults", faults(fd), 4000);
        }
        "stdio" => {
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
        "ten-thousand" => {
            let fd = open();
            let maps: Vec<Map> = (0..10_000).map(|i| map(fd, 1, i % 256)).collect();
            maps.iter().for_each(|m| m.set(0, 1));
            check("faults", faults(fd), 10_000);
            check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
            check("loaded again", maps.iter().map(|m| m.get(0)).sum(), 10_000);
        }
        "worker" => {
            let fd = open();
            let m = map(fd, 8, 0);
            let mine =
                m.word(7).wrapping_add(std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(0));
            for round in 0..20u64 {
                // SAFETY: within the mapping; a word of this client's own.
                unsafe { mine.write_volatile(round) };
                check("unload", ioctl(fd, kernel::UNLOAD, 0), 0);
                // SAFETY: as above.
                check("word", unsafe { mine.read_volatile() }, round);
            }
        }
        "linger" => {
            let m = map(open(), 4, 0);
            m.set(0, 1);
            println!("ready");
            loop {
                m.set(0, m.get(0) + 1);
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        "exit-3" => {
            map(open(), 4, 0).set(1, 1);
            return ExitCode::from(3);
        }
        _ => {
            eprintln!("no part is called {part}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

unsafe extern "C" {
    fn close_range(first: u32, last: u32, flags: i32) -> i32;
    fn ualarm(micros: u32, interval: u32) -> u32;
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
