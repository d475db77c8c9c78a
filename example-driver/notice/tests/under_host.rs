//! The tutorial, docs/writing-a-driver.md: its code is this package's (cargo-ddi's tests run its commands); and the driver under real
//! processes: faults, fork, the four shapes of munmap, a private mapping refused.
//!
//! This program is the test and, started under the host with `client`, the process.

mod common;

use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitCode;

use common::{Programs, blocks, squeeze};
use ddi_system::devlink::{Directory, Minor, Numbered, Rules};
use notice::NOTICE_REVOKE;

const PAGE: usize = 4096;
const TUTORIAL: &str = "writing-a-driver.md";

fn main() -> ExitCode {
    let tests: [(&str, common::Test); 3] =
        [("the_code", the_code), ("the_link", the_link), ("the_driver", the_driver)];
    common::main("notice", client, &tests)
}

/// Each line of the driver is in the tutorial, in order; the other files are there as they stand.
fn the_code(_: &Programs) {
    let blocks = |language| blocks(TUTORIAL, language).concat();
    let driver = squeeze(include_str!("../src/lib.rs"));
    assert_eq!(squeeze(&blocks("rust")), driver, "the tutorial's driver and src/lib.rs differ");
    let program = include_str!("../examples/pin.rs");
    assert_eq!(blocks("rust,program"), program, "the tutorial's program and examples/pin.rs differ");
    let conf = include_str!("../notice.conf");
    assert!(blocks("conf").contains(conf), "the tutorial's notice.conf is another");
}

/// The links that a line of devlink.tab makes.
struct Links(Vec<String>);

impl Directory for Links {
    fn number(&mut self, name: &Numbered<'_>, _: &str) -> usize {
        name.least
    }
    fn link(&mut self, name: &str, _: &str) {
        self.0.push(name.to_owned());
    }
    fn warn(&mut self, text: String) {
        panic!("{text}");
    }
}

/// The tutorial's line of devlink.tab gives the driver's minor node the name that the tutorial opens.
fn the_link(_: &Programs) {
    let text = common::page(TUTORIAL);
    let line =
        text.split('`').find(|part| part.starts_with("type=ddi_pseudo;")).expect("a line of devlink.tab");
    let (rules, warnings) = Rules::parse(&line.replace("<TAB>", "\t"), "/etc/devlink.tab");
    assert!(warnings.is_empty(), "{warnings:?}");
    let mut links = Links(Vec::new());
    let path = "/pseudo/notice@0:notice0";
    let minor = Minor { kind: "ddi_pseudo", name: "notice", addr: "0", minor: "notice0", path };
    assert!(rules.make(minor, &mut links), "{line}: it is about other nodes");
    assert_eq!(links.0, ["notice0"], "{line}");
}

fn the_driver(programs: &Programs) {
    for faults in ["auto", "signal"] {
        let options = format!("--faults {faults}");
        let said = programs.client("notice,conf=example-driver/notice/notice.conf", &options);
        assert_eq!(said, "maps 2\nfaults 6\nforks 1\n", "{options}");
    }
}

/// A mapping of the board.
struct Board(*mut libc::c_void);

impl Board {
    fn map(file: &OwnedFd, pages: usize, flags: i32) -> Option<Board> {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, at an address of the system's choice.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), pages * PAGE, prot, flags, file.as_raw_fd(), 0) };
        (at != libc::MAP_FAILED).then_some(Board(at))
    }

    fn word(&self, page: usize) -> *mut u64 {
        self.0.wrapping_byte_add(page * PAGE).cast()
    }

    fn set(&self, page: usize, value: u64) {
        // SAFETY: within the mapping; the caller has not unmapped that page.
        unsafe { self.word(page).write_volatile(value) };
    }

    fn get(&self, page: usize) -> u64 {
        // SAFETY: within the mapping; the caller has not unmapped that page.
        unsafe { self.word(page).read_volatile() }
    }

    fn unmap(&self, page: usize) {
        // SAFETY: a page of the mapping, to which no reference exists.
        assert_eq!(unsafe { libc::munmap(self.word(page).cast(), PAGE) }, 0, "munmap of page {page}");
    }
}

fn client() {
    let open = || OpenOptions::new().read(true).write(true).open("/dev/notice0").expect("the device");
    let file = OwnedFd::from(open());
    assert!(Board::map(&file, 1, libc::MAP_PRIVATE).is_none(), "a private mapping is refused");
    assert!(Board::map(&file, 3, libc::MAP_SHARED).is_none(), "the board has two pages");
    let board = Board::map(&file, 2, libc::MAP_SHARED).expect("mmap");
    board.set(0, 1); // a fault
    board.set(1, 2); // a fault
    assert_eq!(board.get(0), 1);
    // SAFETY: an ioctl without an argument.
    assert_eq!(unsafe { libc::ioctl(file.as_raw_fd(), NOTICE_REVOKE as libc::Ioctl) }, 0);
    assert_eq!((board.get(0), board.get(1)), (1, 2)); // two faults
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        0 => {
            board.set(0, 3); // a fault of the child's own
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(0) };
        }
        child => {
            let mut status = 0;
            // SAFETY: a child of ours, and a local for its status.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(status, 0, "the child");
        }
    }
    assert_eq!(board.get(0), 3, "what the child wrote");
    board.unmap(1);
    board.unmap(0);
    let other = Board::map(&OwnedFd::from(open()), 2, libc::MAP_SHARED).expect("mmap");
    assert_eq!(other.get(0), 3); // a fault
    other.unmap(0);
    other.unmap(1);
    print!("{}", std::fs::read_to_string("/dev/notice0").expect("read"));
}
