//! The drills under real processes, on a simulated board, linked into a host and as a module file; with each kind of interrupt, and above the scheduler's priority.
//!
//! This program is the test and, started under the host with `client`, the process.

#[path = "../../../example-driver/notice/tests/common/mod.rs"]
mod common;

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::process::{Command, ExitCode};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use common::Programs;

const BOARD: &str = "devmap/drill/board.toml";
const READ_ONLY: i64 = 0x10_0000;
const LENT: i64 = 0x20_0000;

fn main() -> ExitCode {
    let tests: [(&str, common::Test); 2] = [("drills", drills), ("interrupts_of_every_kind", interrupts)];
    common::main("drill", client, &tests)
}

fn drills(programs: &Programs) {
    let mut runs = vec![
        ("drill".to_owned(), "--check"),
        ("drill".to_owned(), "--check --faults signal"),
        ("drill".to_owned(), "--check --model ilp32"),
    ];
    match programs.module(256 * 1024) {
        Ok(module) => runs.push((module.display().to_string(), "--check")),
        Err(why) => println!("drill: skipped as a module: {why}"),
    }
    for (driver, options) in runs {
        let said = programs.client(&driver, &format!("--device {BOARD} {options}"));
        assert_eq!(said, "all is well\n", "{driver} {options}");
    }
}

/// By pin, by both kinds of messages, and with handlers above the scheduler's priority.
fn interrupts(programs: &Programs) {
    let conf = concat!(env!("CARGO_TARGET_TMPDIR"), "/drill.conf");
    for kind in [1, 2, 4] {
        for priority in [0, 12] {
            std::fs::write(conf, format!("interrupts-by={kind} priority={priority};\n")).expect("a file");
            let own = std::env::current_exe().expect("the path of this test");
            let run = format!("host run --driver drill,conf={conf} --device {BOARD} --check");
            let said = programs.shell(&format!("{run} -- '{}' client interrupts", own.display()));
            assert_eq!(said, "all is well\n", "kind {kind}, priority {priority}");
        }
    }
}

fn client() {
    let file = open(0).expect("the device");
    if std::env::args().any(|arg| arg == "interrupts") {
        for drill in [12, 13] {
            run(&file, drill);
        }
    } else {
        [1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 20, 21, 22, 90].iter().for_each(|drill| run(&file, *drill));
        statistics();
        callers(&file);
        copying(&file);
        signals(&file);
        reads_and_writes(&file);
        mappings(&file);
        lent_pages(&file);
        a_drill_does_not_sleep();
        drop(file);
        exclusive_opens();
    }
    println!("all is well");
}

fn open(flags: i32) -> Result<File, std::io::Error> {
    OpenOptions::new().read(true).write(true).custom_flags(flags).open("/dev/drill0")
}

fn error() -> Option<i32> {
    std::io::Error::last_os_error().raw_os_error()
}

fn ioctl(file: &File, command: i32, argument: usize) -> Result<i32, Option<i32>> {
    // SAFETY: a number, or an address of something that lives through the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), command as libc::Ioctl, argument) };
    if result < 0 { Err(error()) } else { Ok(result) }
}

fn drill(file: &File, number: i32, argument: usize) {
    match ioctl(file, number, argument) {
        Ok(0) => {}
        Ok(line) => panic!("drill {number}: the check in line {line} does not hold"),
        Err(error) => panic!("drill {number}: error {error:?}"),
    }
}

fn run(file: &File, number: i32) {
    drill(file, number, 0);
}

fn map(file: Option<&File>, offset: i64, len: usize, prot: i32) -> Result<*mut u8, Option<i32>> {
    let (flags, fd) = match file {
        Some(file) => (libc::MAP_SHARED, file.as_raw_fd()),
        // Below 4 GiB, where a program of 32 bits has all of its own.
        None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT, -1),
    };
    // SAFETY: a new mapping, at an address of the system's choice.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, fd, offset) };
    if at == libc::MAP_FAILED { Err(error()) } else { Ok(at.cast()) }
}

const RW: i32 = libc::PROT_READ | libc::PROT_WRITE;

fn unmap(at: *mut u8, len: usize) {
    // SAFETY: a mapping of this test's, not used any more.
    assert_eq!(unsafe { libc::munmap(at.cast(), len) }, 0);
}

fn word<'a>(at: *mut u8, offset: usize) -> &'a AtomicU32 {
    // SAFETY: within a mapping of this test's, aligned, and accessed as an atomic only.
    unsafe { AtomicU32::from_ptr(at.wrapping_add(offset).cast()) }
}

fn kstat(name: &str) -> String {
    let shown =
        Command::new("kstat").args(["-p", &format!("drill:0:{name}")]).output().expect("kstat").stdout;
    String::from_utf8_lossy(&shown).into_owned()
}

fn statistics() {
    let value = |name: &str| kstat(name).split_whitespace().skip(1).collect::<Vec<_>>().join(" ");
    assert_eq!((value("health:below"), value("health:under")), ("-1".into(), i64::MIN.to_string()));
    assert_eq!((value("health:copied"), value("health:state")), ("99".into(), "busy".into()));
    assert_eq!(value("health:told"), "all is well");
    assert_ne!(value("health:reads"), value("health:reads"), "each look is an update");
    assert_eq!((value("io:reads"), value("io:nread")), ("1".into(), "512".into()));
    assert_eq!((value("io:writes"), value("io:nwritten")), ("1".into(), "1024".into()));
    assert!(value("interrupts:hard").parse::<u64>().expect("a number") > 6);
}

fn callers(file: &File) {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let numbers = |field: &str| -> Vec<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("ids");
        line.split_whitespace().map(|id| id.parse().expect("a number")).collect()
    };
    let (users, groups) = (numbers("Uid:"), numbers("Gid:"));
    let ids = [users[1], users[0], groups[1], groups[0]];
    let who = map(None, 0, 4096, RW).expect("a page");
    word(who, 0).store(std::process::id(), Ordering::Relaxed);
    for (place, id) in (1..).zip(ids) {
        word(who, place * 4).store(id, Ordering::Relaxed);
    }
    word(who, 20).store(u32::from(ids[0] == 0), Ordering::Relaxed);
    drill(file, 30, who.addr());
    unmap(who, 4096);
}

/// Does the host take this program for one of 32 bits? It knows by what a driver finds where it points.
fn narrow(file: &File) -> bool {
    static NARROW: LazyLock<AtomicBool> = LazyLock::new(|| AtomicBool::new(false));
    static KNOWN: LazyLock<AtomicBool> = LazyLock::new(|| AtomicBool::new(false));
    if !KNOWN.swap(true, Ordering::Relaxed) {
        let page = map(None, 0, 4096, RW).expect("a page");
        word(page, 0).store(0x1111_1111, Ordering::Relaxed);
        word(page, 1024).store(page.addr() as u32, Ordering::Relaxed);
        word(page, 1028).store(4096, Ordering::Relaxed);
        let lent = ioctl(file, 40, page.addr() + 1024) == Ok(0);
        NARROW.store(lent, Ordering::Relaxed);
        if lent {
            run(file, 42);
        }
        unmap(page, 4096);
    }
    NARROW.load(Ordering::Relaxed)
}

/// Stores addresses and sizes as this program's data model has them.
fn words(file: &File, at: *mut u8, values: &[usize]) {
    for (place, value) in values.iter().enumerate() {
        if narrow(file) {
            word(at, place * 4).store(*value as u32, Ordering::Relaxed);
        } else {
            word(at, place * 8).store(*value as u32, Ordering::Relaxed);
            word(at, place * 8 + 4).store((*value >> 32) as u32, Ordering::Relaxed);
        }
    }
}

fn copying(file: &File) {
    let page = map(None, 0, 2 * 4096, RW).expect("pages");
    // The name ends with the page; what is behind it is not to be looked at.
    let (name, numbers, answer) =
        (page.wrapping_add(4096 - 16), page.wrapping_add(512), page.wrapping_add(1024));
    // SAFETY: within the pages.
    unsafe { std::ptr::copy_nonoverlapping(c"a name of 15 by".as_ptr().cast(), name, 16) };
    unmap(page.wrapping_add(4096), 4096);
    for n in 0..4 {
        word(numbers, n * 4).store(n as u32 + 1, Ordering::Relaxed);
    }
    words(file, page, &[name.addr(), numbers.addr(), 4, answer.addr()]);
    drill(file, 31, page.addr());
    let answers: Vec<u32> = (0..4).map(|n| word(answer, n * 4).load(Ordering::Relaxed)).collect();
    assert_eq!(answers, [3, 6, 9, 12]);
    let width = if narrow(file) { 4 } else { 8 };
    assert_eq!(word(answer, 16).load(Ordering::Relaxed), name.addr() as u32);
    assert_eq!(word(answer, 16 + width).load(Ordering::Relaxed), answer.addr() as u32);
    // SAFETY: within the page.
    assert_eq!(unsafe { std::slice::from_raw_parts(answer.wrapping_add(32), 6) }, b"a name");
    words(file, page, &[name.addr(), numbers.addr(), 5, answer.addr()]);
    assert_eq!(ioctl(file, 31, page.addr()), Err(Some(libc::EINVAL)));
    unmap(page, 4096);
}

fn signals(file: &File) {
    static SEEN: AtomicBool = AtomicBool::new(false);
    extern "C" fn seen(_: i32) {
        SEEN.store(true, Ordering::Release);
    }
    let handler: extern "C" fn(i32) = seen;
    // SAFETY: a handler that stores an atomic.
    unsafe { libc::signal(libc::SIGUSR1, handler as usize) };
    assert_eq!(ioctl(file, 33, 0), Err(Some(libc::EINVAL)), "nobody has asked");
    run(file, 32);
    run(file, 33);
    while !SEEN.load(Ordering::Acquire) {
        std::thread::yield_now();
    }
}

fn reads_and_writes(file: &File) {
    file.write_all_at(b"from a program", 0x3000).expect("write");
    let mut back = [0; 14];
    file.read_exact_at(&mut back, 0x3000).expect("read");
    assert_eq!(&back, b"from a program");
}

fn mappings(file: &File) {
    let one = map(Some(file), 0, 0x4000, RW).expect("mmap");
    let other = map(Some(file), READ_ONLY, 0x4000, libc::PROT_READ).expect("mmap");
    assert!(map(Some(file), READ_ONLY, 0x1000, RW).is_err(), "for reading only");
    // SAFETY: the mapping of this test's.
    assert_eq!(unsafe { libc::mprotect(other.cast(), 0x4000, RW) }, -1);
    let both = || [one, other].map(|at| word(at, 0).load(Ordering::Relaxed));
    assert_eq!(both(), [1, 1]);
    let together = |how| drill(file, 43, how);
    together(0);
    assert_eq!(both(), [1, 1]);
    together(1);
    assert_eq!(both(), [2, 2], "they show other memory");
    together(2);
    word(one, 4).store(77, Ordering::Relaxed);
    assert_eq!(word(other, 4).load(Ordering::Relaxed), 77);
    assert_eq!(both(), [1, 1]);
    together(3);
    let signal = in_child(|| both()[0]);
    assert_eq!(signal, libc::SIGBUS, "a mapping that is not valid");
    together(4);
    assert_eq!(both(), [1, 1]);
    // What the process asked for in mmap(2) stays its own.
    assert_eq!(ioctl(file, 43, 5), Err(Some(libc::EACCES)));
    unmap(one, 0x4000);
    let readable = map(Some(file), 0, 0x4000, libc::PROT_READ).expect("mmap");
    together(5);
    // SAFETY: the mapping of this test's.
    assert_eq!(unsafe { libc::mprotect(readable.cast(), 0x4000, RW) }, -1, "lowered for good");
    assert_eq!(word(readable, 0).load(Ordering::Relaxed), 1);
    [readable, other].iter().for_each(|at| unmap(*at, 0x4000));
}

/// Forks, does something in the child: by which signal it ended, or 0.
fn in_child<T>(what: impl FnOnce() -> T) -> i32 {
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        0 => {
            what();
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(0) }
        }
        child => {
            let mut status = 0;
            // SAFETY: a child of ours, and a local for its status.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            status & 0x7f
        }
    }
}

fn lend(file: &File) -> *mut u8 {
    let pages = map(None, 0, 3 * 4096, RW).expect("pages");
    word(pages, 0).store(0x1111_1111, Ordering::Relaxed);
    words(file, pages.wrapping_add(2 * 4096), &[pages.addr(), 2 * 4096]);
    drill(file, 40, pages.addr() + 2 * 4096);
    assert_eq!(word(pages, 8).load(Ordering::Relaxed), 0x2222_2222, "the driver has written there");
    pages
}

/// Pages of a process: written by the driver, mapped by others, and given back when nobody has them any more, or when their process wants them back.
fn lent_pages(file: &File) {
    assert!(map(Some(file), LENT, 4096, RW).is_err(), "nothing is lent");
    let (pages, lost) = (lend(file), ioctl(file, 41, 0).expect("how often"));
    let shown = map(Some(file), LENT, 2 * 4096, RW).expect("mmap");
    word(shown, 4096).store(5, Ordering::Relaxed);
    assert_eq!(word(pages, 4096).load(Ordering::Relaxed), 5, "the same memory");
    // The driver lets go: the mapping keeps it, until that is gone, too.
    run(file, 42);
    word(pages, 4096).store(6, Ordering::Relaxed);
    assert_eq!(word(shown, 4096).load(Ordering::Relaxed), 6);
    unmap(shown, 2 * 4096);
    unmap(pages, 3 * 4096);
    assert_eq!(ioctl(file, 41, 0), Ok(lost), "nothing was lost");

    // The process unmaps its pages: others see nothing of them any more.
    let pages = lend(file);
    let shown = map(Some(file), LENT, 2 * 4096, RW).expect("mmap");
    assert_eq!(word(shown, 8).load(Ordering::Relaxed), 0x2222_2222);
    unmap(pages, 3 * 4096);
    assert_eq!(ioctl(file, 41, 0), Ok(lost + 1));
    assert_eq!(in_child(|| word(shown, 8).load(Ordering::Relaxed)), libc::SIGBUS);
    unmap(shown, 2 * 4096);
    assert!(map(Some(file), LENT, 4096, RW).is_err(), "nothing is lent any more");

    // The process ends.
    let kept = in_child(|| lend(file));
    assert_eq!(kept, 0);
    while ioctl(file, 41, 0) != Ok(lost + 2) {
        std::thread::yield_now();
    }
    assert!(map(Some(file), LENT, 4096, RW).is_err(), "nothing is lent any more");
}

fn a_drill_does_not_sleep() {
    let refused = Command::new("power").args(["suspend", "drill0"]).output().expect("power");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("the driver refused"), "{said}");
    let absent = Command::new("power").args(["resume", "drill7"]).output().expect("power");
    let said = String::from_utf8_lossy(&absent.stderr).into_owned();
    assert!(!absent.status.success() && said.contains("there is no such device"), "{said}");
}

fn exclusive_opens() {
    let alone = open(libc::O_EXCL).expect("alone");
    assert_eq!(open(0).expect_err("somebody has it alone").raw_os_error(), Some(libc::EBUSY));
    assert_eq!(open(libc::O_EXCL).expect_err("likewise").raw_os_error(), Some(libc::EBUSY));
    drop(alone);
    let one = open(0).expect("nobody has it");
    assert!(open(0).is_ok());
    assert_eq!(open(libc::O_EXCL).expect_err("somebody has it").raw_os_error(), Some(libc::EBUSY));
    drop(one);
}
