//! The tutorial, docs/writing-a-driver.md: its code is this package's, its commands print what it says; and the driver under real
//! processes: faults, fork, the four shapes of munmap, a private mapping refused.
//!
//! This program is the test and, started under the host with `client`, the process.

use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use ddi_system::devlink::{Directory, Minor, Numbered, Rules};
use notice::NOTICE_REVOKE;

type Test = fn(&Programs);

const PAGE: usize = 4096;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "client") {
        client();
        return ExitCode::SUCCESS;
    }
    let tests: [(&str, Test); 4] = [
        ("the_code", the_code),
        ("the_commands", the_commands),
        ("the_link", the_link),
        ("the_driver", the_driver),
    ];
    if args.iter().any(|arg| arg == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let programs = Programs::build();
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    for (name, test) in tests {
        if wanted.is_empty() || wanted.iter().any(|pattern| name.contains(pattern.as_str())) {
            test(&programs);
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}

/// This package's examples, and the file of its module for the kernel.
struct Programs {
    examples: PathBuf,
}

impl Programs {
    /// Builds them as this test was built.
    fn build() -> Programs {
        let own = std::env::current_exe().expect("the path of this test");
        // target/PROFILE/deps/under_host-HASH
        let profile = own.ancestors().nth(2).expect("the profile's directory");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "-p", "notice", "--examples", "--target-dir"]);
        build.arg(profile.parent().expect("the target directory"));
        if profile.file_name().is_some_and(|name| name == "release") {
            build.arg("--release");
        }
        assert!(build.current_dir(root()).status().expect("cargo").success(), "the examples do not build");
        Programs { examples: profile.join("examples") }
    }

    /// What a shell command prints, with `host` and `pin` as the tutorial has them.
    fn shell(&self, script: &str) -> String {
        let mut shell = Command::new("sh");
        let host = r#"host() { "$HOST" "$@"; };"#;
        shell.args(["-c", &format!("{host} {script}")]).current_dir(root());
        let path = std::env::var("PATH").expect("PATH");
        shell.env("HOST", self.examples.join("host"));
        shell.env("PATH", format!("{}:{path}", self.examples.display()));
        let output = shell.output().expect("sh");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{script}:\n{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn tutorial() -> String {
    std::fs::read_to_string(root().join("docs/writing-a-driver.md")).expect("the tutorial")
}

/// The tutorial's blocks of this language, without their fences.
fn blocks(language: &str) -> Vec<String> {
    let text = tutorial();
    let parts: Vec<&str> = text.split("```").collect();
    let fenced = parts.iter().skip(1).step_by(2);
    fenced.filter_map(|part| part.strip_prefix(&format!("{language}\n")).map(str::to_owned)).collect()
}

/// Each line of the driver is in the tutorial, in order; the other files are there as they stand.
fn the_code(_: &Programs) {
    let squeeze = |text: &str| text.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    let driver = squeeze(include_str!("../src/lib.rs"));
    assert_eq!(squeeze(&blocks("rust").concat()), driver, "the tutorial's driver and src/lib.rs differ");
    let host = include_str!("../examples/host.rs");
    assert!(blocks("rust,host").concat().contains(host), "the tutorial's host and examples/host.rs differ");
    let conf = include_str!("../notice.conf");
    assert!(blocks("conf").concat().contains(conf), "the tutorial's notice.conf is another");
}

/// What follows a command in a console block is what it prints.
fn the_commands(programs: &Programs) {
    let mut run = 0;
    for block in blocks("console") {
        let mut commands = block.split("$ ").skip(1).peekable();
        assert!(commands.peek().is_some(), "a console block without a command:\n{block}");
        for command in commands {
            let (script, output) = command.split_once('\n').expect("a whole line");
            assert_eq!(programs.shell(script), output, "{script}");
            run += 1;
        }
    }
    assert!(run >= 2, "the tutorial has {run} commands");
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
    let text = tutorial();
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
    let own = std::env::current_exe().expect("the path of this test");
    let driver = "notice,conf=example-driver/notice/notice.conf";
    for faults in ["auto", "signal"] {
        let script = format!("host run --driver {driver} --faults {faults} -- '{}' client", own.display());
        assert_eq!(programs.shell(&script), "maps 2\nfaults 6\nforks 1\n", "--faults {faults}");
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
