//! dmaboard under real processes, on a simulated board, linked into a host and as a module file: copies by DMA, pinned pages, suspend and resume, a board that is not to write any more.
//!
//! This program is the test and, started under the host with `client`, the process.

#[path = "../../notice/tests/common/mod.rs"]
mod common;

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::process::{Command, ExitCode};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use common::Example;
use dmaboard_user::{DMABOARD_COPY, DMABOARD_FETCH, MEMORY, MEMORY_LEN, Part, WINDOW, WINDOW_LEN};

const EXAMPLE: Example = Example {
    package: "dmaboard",
    page: "dmaboard.md",
    source: include_str!("../src/lib.rs"),
    conf: None,
    options: "--device example-driver/dmaboard/board.toml",
};

fn main() -> ExitCode {
    let tests: [(&str, common::Test); 3] = [
        ("the_code", |_| EXAMPLE.code_is_shown()),
        ("the_commands", |programs| EXAMPLE.commands_do_as_shown(programs)),
        ("the_driver", |programs| EXAMPLE.runs_alike(programs)),
    ];
    common::main(EXAMPLE.package, client, &tests)
}

fn client() {
    opens_have_memory_of_their_own();
    the_board_copies();
    parts_that_are_not_there_are_refused();
    the_board_reads_the_programs_pages();
    copies_take_turns();
    a_child_has_its_parents_memory();
    alarms_are_counted();
    a_suspended_board_is_waited_for();
    a_program_that_waits_can_be_killed();
    a_board_at_rest_writes_nothing();
    println!("all is well");
}

fn open() -> File {
    OpenOptions::new().read(true).write(true).open("/dev/dmaboard0").expect("the device")
}

/// Words that a device or another process writes, too.
fn map(file: Option<&File>, offset: u64, len: usize) -> &'static [AtomicU64] {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    let (flags, fd) = match file {
        Some(file) => (libc::MAP_SHARED, file.as_raw_fd()),
        // Below 4 GiB, where a program of 32 bits has all of its own.
        None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT, -1),
    };
    // SAFETY: a new mapping, at an address of the system's choice.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, fd, offset as i64) };
    assert_ne!(at, libc::MAP_FAILED);
    // SAFETY: all of the mapping, aligned, accessed as atomics only.
    unsafe { std::slice::from_raw_parts(at.cast(), len / 8) }
}

fn unmap(words: &'static [AtomicU64]) {
    // SAFETY: from `map`, and not used any more.
    assert_eq!(unsafe { libc::munmap(words.as_ptr().cast_mut().cast(), size_of_val(words)) }, 0);
}

/// Passes a structure; its errors are the illumos kernel's, as Linux numbers them.
fn ioctl<T>(file: &File, command: i32, what: T) -> Result<(), i32> {
    let place = map(None, 0, 4096);
    // SAFETY: a page of our own.
    unsafe { place.as_ptr().cast_mut().cast::<T>().write(what) };
    // SAFETY: a structure that lives through the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), command as libc::Ioctl, place.as_ptr()) };
    let error = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    unmap(place);
    if result == 0 { Ok(()) } else { Err(error) }
}

fn copy(file: &File, from: u64, to: u64, len: u64) -> Result<(), i32> {
    ioctl(file, DMABOARD_COPY, Part { from, to, len })
}

/// Has the board read pages of this program's, which knows of itself only by what happens whether the host takes it for one of 32 bits.
fn fetch(file: &File, to: u64, address: u64, len: u64) -> Result<(), i32> {
    #[repr(C)]
    struct Narrow(u64, u32, u32);
    static NARROW: LazyLock<bool> = LazyLock::new(|| {
        let page = map(None, 0, 4096);
        let narrow = ioctl(&open(), DMABOARD_FETCH, Narrow(0, page.as_ptr().addr() as u32, 4096)).is_ok();
        unmap(page);
        narrow
    });
    if *NARROW {
        return ioctl(file, DMABOARD_FETCH, Narrow(to, address as u32, len as u32));
    }
    ioctl(file, DMABOARD_FETCH, (to, address, len))
}

fn fill(words: &[AtomicU64], seed: u64) {
    for (number, word) in (0..).zip(words) {
        word.store(
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(number as u32) ^ number,
            Ordering::Relaxed,
        );
    }
}

fn values(words: &[AtomicU64]) -> Vec<u64> {
    words.iter().map(|word| word.load(Ordering::Relaxed)).collect()
}

fn power(change: &str) -> bool {
    Command::new("power")
        .args([change, "dmaboard0"])
        .stderr(std::process::Stdio::null())
        .status()
        .expect("power")
        .success()
}

fn count(name: &str) -> u64 {
    let name = format!("dmaboard:0:dmaboard:{name}");
    let shown = Command::new("kstat").args(["-p", &name]).output().expect("kstat").stdout;
    let text = String::from_utf8_lossy(&shown).into_owned();
    text.split_whitespace().last().and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

fn opens_have_memory_of_their_own() {
    let (one, two) = (open(), open());
    let (mine, yours) = (map(Some(&one), MEMORY, MEMORY_LEN), map(Some(&two), MEMORY, MEMORY_LEN));
    fill(mine, 1);
    assert!(values(yours).iter().all(|word| *word == 0));
    let (mine, yours) = (map(Some(&one), WINDOW, WINDOW_LEN), map(Some(&two), WINDOW, WINDOW_LEN));
    fill(mine, 2);
    assert_eq!(values(mine), values(yours), "the window is the board's");
}

fn the_board_copies() {
    let file = open();
    let memory = map(Some(&file), MEMORY, MEMORY_LEN);
    let (first, second) = memory.split_at(memory.len() / 2);
    fill(first, 3);
    let (copies, bytes) = (count("copies"), count("bytes"));
    assert_eq!(copy(&file, 0, MEMORY_LEN as u64 / 2, MEMORY_LEN as u64 / 2), Ok(()));
    assert_eq!(values(first), values(second));
    assert_eq!(copy(&file, 8, 0, 4096 + 8), Ok(()), "from and to anywhere");
    assert_eq!(values(&first[..513]), values(&second[1..514]));
    assert_eq!(copy(&file, 0, 0, 0), Ok(()));
    assert_eq!(count("copies") - copies, 3);
    assert_eq!(count("bytes") - bytes, MEMORY_LEN as u64 / 2 + 4096 + 8);
}

fn parts_that_are_not_there_are_refused() {
    let file = open();
    let end = MEMORY_LEN as u64;
    for (from, to, len) in
        [(0, 1, end), (1, 0, end), (end, 0, 1), (u64::MAX, 0, 2), (0, u64::MAX, 2), (0, 0, u64::MAX)]
    {
        assert_eq!(copy(&file, from, to, len), Err(libc::EINVAL), "{from:#x} {to:#x} {len:#x}");
    }
    assert_eq!(ioctl(&file, 1, 0_u64), Err(libc::ENOTTY));
    // SAFETY: no address of this process's.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), DMABOARD_COPY as libc::Ioctl, 8) };
    assert_eq!((result, std::io::Error::last_os_error().raw_os_error()), (-1, Some(libc::EFAULT)));
}

fn the_board_reads_the_programs_pages() {
    let file = open();
    let memory = map(Some(&file), MEMORY, MEMORY_LEN);
    let own = map(None, 0, 3 * 4096);
    fill(own, 4);
    let at = own.as_ptr().addr() as u64;
    assert_eq!(fetch(&file, 64, at, 3 * 4096), Ok(()));
    assert_eq!(values(own), values(&memory[8..8 + own.len()]));
    assert_eq!(fetch(&file, 0, at + 8, 4096), Err(libc::EINVAL), "whole pages");
    assert_eq!(fetch(&file, 0, at, 0), Err(libc::EINVAL));
    assert_eq!(fetch(&file, MEMORY_LEN as u64 - 8, at, 4096), Err(libc::EINVAL));
    unmap(own);
    assert!(fetch(&file, 0, at, 4096).is_err(), "nothing is there any more");
}

fn copies_take_turns() {
    let files = [open(), open(), open()];
    scope(|scope| {
        for (seed, file) in (10..).zip(&files) {
            scope.spawn(move || {
                let memory = map(Some(file), MEMORY, MEMORY_LEN);
                let (first, second) = memory.split_at(memory.len() / 2);
                for round in 0..20 {
                    fill(first, seed * 100 + round);
                    assert_eq!(copy(file, 0, MEMORY_LEN as u64 / 2, MEMORY_LEN as u64 / 2), Ok(()));
                    assert_eq!(values(first), values(second));
                }
            });
        }
    });
}

/// Forks, and says whether the child's routine says yes.
fn in_child(child: impl FnOnce() -> bool) -> i32 {
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        0 => {
            let status = if child() { 0 } else { 1 };
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(status) }
        }
        pid => pid,
    }
}

fn wait_for(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: a child of ours, and a local for its status.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    status
}

fn a_child_has_its_parents_memory() {
    let file = open();
    let memory = map(Some(&file), MEMORY, MEMORY_LEN);
    fill(&memory[..512], 5);
    let before = values(&memory[..512]);
    let child = in_child(|| values(&memory[..512]) == before && copy(&file, 0, 8192, 4096).is_ok());
    assert_eq!(wait_for(child), 0);
    assert_eq!(values(&memory[1024..1536]), before);
}

fn alarms_are_counted() {
    let before = count("alarms");
    let raised = Command::new("interrupt").args(["dmaboard0", "0"]).status().expect("interrupt");
    assert!(raised.success());
    while count("alarms") != before + 1 {
        sleep(Duration::from_millis(5));
    }
}

fn a_suspended_board_is_waited_for() {
    let file = open();
    let memory = map(Some(&file), MEMORY, MEMORY_LEN);
    let window = map(Some(&file), WINDOW, WINDOW_LEN);
    fill(window, 6);
    fill(memory, 7);
    let (kept, awake) = (values(window), AtomicBool::new(false));
    assert!(!power("resume"), "it is not suspended");
    assert!(power("suspend"));
    assert!(!power("suspend"), "it is suspended already");
    let raised =
        Command::new("interrupt").args(["dmaboard0", "0"]).stderr(std::process::Stdio::null()).status();
    assert!(!raised.expect("interrupt").success(), "no interrupts");
    scope(|scope| {
        let late = |seen: &dyn Fn()| {
            seen();
            assert!(awake.load(Ordering::Acquire), "the board was used while it was suspended");
        };
        scope.spawn(move || late(&|| assert_eq!(window[0].load(Ordering::Relaxed), kept[0])));
        let file = &file;
        scope.spawn(move || late(&|| assert_eq!(copy(file, 0, 4096, 4096), Ok(()))));
        sleep(Duration::from_millis(200));
        awake.store(true, Ordering::Release);
        assert!(power("resume"));
    });
    assert_eq!(values(&memory[..512]), values(&memory[512..1024]));
}

fn a_program_that_waits_can_be_killed() {
    assert!(power("suspend"));
    let file = open();
    let child = in_child(|| copy(&file, 0, 0, 8).is_ok());
    sleep(Duration::from_millis(100));
    // SAFETY: a child of ours.
    assert_eq!(unsafe { libc::kill(child, libc::SIGTERM) }, 0);
    assert_eq!(wait_for(child), libc::SIGTERM);
    assert!(power("resume"));
}

fn a_board_at_rest_writes_nothing() {
    let file = open();
    let memory = map(Some(&file), MEMORY, MEMORY_LEN);
    fill(&memory[..512], 8);
    let before = values(&memory[512..1024]);
    assert!(power("quiesce"));
    assert_eq!(copy(&file, 0, 4096, 4096), Err(libc::EIO));
    assert_eq!(values(&memory[512..1024]), before);
}
