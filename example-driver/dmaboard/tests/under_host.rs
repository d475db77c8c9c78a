//! dmaboard under real processes, on a simulated board: copies by DMA, pinned pages, suspend and resume, a board that is not to write any more.

#[path = "../../notice/tests/common/mod.rs"]
mod common;

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use devmap_plain::Plain;
use devmap_test::client::{Device, Map, Memory, fork, spawn};
use devmap_test::{Driver, cases};
use dmaboard_user::{DMABOARD_COPY, DMABOARD_FETCH, MEMORY, MEMORY_LEN, Part, WINDOW, WINDOW_LEN};

fn main() -> ExitCode {
    Driver::new(&dmaboard::MODULE)
        .device(concat!(env!("CARGO_MANIFEST_DIR"), "/board.toml"))
        .also("signal", ["--faults", "signal"])
        .also("ilp32", ["--model", "ilp32"])
        .also_module(|| common::module("dmaboard"))
        .main(cases![
            opens_have_memory_of_their_own,
            the_board_copies,
            parts_that_are_not_there_are_refused,
            the_board_reads_the_programs_pages,
            copies_take_turns,
            a_child_has_its_parents_memory,
            alarms_are_counted,
            a_suspended_board_is_waited_for,
            a_program_that_waits_can_be_killed,
            a_board_at_rest_writes_nothing
        ])
}

fn open() -> Device {
    Device::open("/dev/dmaboard0").expect("the device")
}

fn map(device: &Device, offset: u64, len: usize) -> Map {
    device.map(len, offset).expect("mmap")
}

/// The error number: of an illumos kernel, as Linux numbers them.
fn number<T>(result: io::Result<T>) -> Result<(), i32> {
    result.map(drop).map_err(|error| error.raw_os_error().unwrap_or(0))
}

/// Passes a structure.
fn ioctl<T: Plain>(device: &Device, command: i32, mut what: T) -> Result<(), i32> {
    number(device.ioctl(command, &mut what))
}

fn copy(device: &Device, from: u64, to: u64, len: u64) -> Result<(), i32> {
    ioctl(device, DMABOARD_COPY, Part { from, to, len })
}

/// Has the board read pages of this program's, which knows of itself only by what happens whether the host takes it for one of 32 bits.
fn fetch(device: &Device, to: u64, address: u64, len: u64) -> Result<(), i32> {
    // An address and a length of 32 bits are in one word of 64.
    let narrow = |to: u64, address: u64, len: u64| [to, address | len << 32];
    static NARROW: LazyLock<bool> = LazyLock::new(|| {
        let page = Memory::new(4096).expect("memory");
        ioctl(&open(), DMABOARD_FETCH, [0, page.address() | 4096 << 32]).is_ok()
    });
    if *NARROW {
        return ioctl(device, DMABOARD_FETCH, narrow(to, address, len));
    }
    ioctl(device, DMABOARD_FETCH, [to, address, len])
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
    let (mine, yours) = (map(&one, MEMORY, MEMORY_LEN), map(&two, MEMORY, MEMORY_LEN));
    fill(mine.words(), 1);
    assert!(values(yours.words()).iter().all(|word| *word == 0));
    let (mine, yours) = (map(&one, WINDOW, WINDOW_LEN), map(&two, WINDOW, WINDOW_LEN));
    fill(mine.words(), 2);
    assert_eq!(values(mine.words()), values(yours.words()), "the window is the board's");
}

fn the_board_copies() {
    let file = open();
    let memory = map(&file, MEMORY, MEMORY_LEN);
    let memory = memory.words();
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
    assert_eq!(number(file.ioctl_number(DMABOARD_COPY, 8)), Err(libc::EFAULT), "no address of this process");
}

fn the_board_reads_the_programs_pages() {
    let file = open();
    let memory = map(&file, MEMORY, MEMORY_LEN);
    let memory = memory.words();
    let own = Memory::new(3 * 4096).expect("memory");
    fill(own.words(), 4);
    let at = own.address();
    assert_eq!(fetch(&file, 64, at, 3 * 4096), Ok(()));
    assert_eq!(values(own.words()), values(&memory[8..8 + own.words().len()]));
    assert_eq!(fetch(&file, 0, at + 8, 4096), Err(libc::EINVAL), "whole pages");
    assert_eq!(fetch(&file, 0, at, 0), Err(libc::EINVAL));
    assert_eq!(fetch(&file, MEMORY_LEN as u64 - 8, at, 4096), Err(libc::EINVAL));
    drop(own);
    assert!(fetch(&file, 0, at, 4096).is_err(), "nothing is there any more");
}

fn copies_take_turns() {
    let files = [open(), open(), open()];
    scope(|scope| {
        for (seed, file) in (10..).zip(&files) {
            scope.spawn(move || {
                let memory = map(file, MEMORY, MEMORY_LEN);
                let memory = memory.words();
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

fn a_child_has_its_parents_memory() {
    let file = open();
    let memory = map(&file, MEMORY, MEMORY_LEN);
    let memory = memory.words();
    fill(&memory[..512], 5);
    let before = values(&memory[..512]);
    let child = fork(|| {
        assert_eq!(values(&memory[..512]), before);
        assert_eq!(copy(&file, 0, 8192, 4096), Ok(()));
    });
    assert!(child.expect("fork").success());
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
    let memory = map(&file, MEMORY, MEMORY_LEN);
    let memory = memory.words();
    let window = map(&file, WINDOW, WINDOW_LEN);
    let window = window.words();
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
    let child = spawn(|| assert_eq!(copy(&file, 0, 0, 8), Ok(()))).expect("fork");
    sleep(Duration::from_millis(100));
    child.kill(libc::SIGTERM).expect("kill");
    assert_eq!(child.wait().expect("the child").signal(), Some(libc::SIGTERM));
    assert!(power("resume"));
}

fn a_board_at_rest_writes_nothing() {
    let file = open();
    let memory = map(&file, MEMORY, MEMORY_LEN);
    let memory = memory.words();
    fill(&memory[..512], 8);
    let before = values(&memory[512..1024]);
    assert!(power("quiesce"));
    assert_eq!(copy(&file, 0, 4096, 4096), Err(libc::EIO));
    assert_eq!(values(&memory[512..1024]), before);
}
