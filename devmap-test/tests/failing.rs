//! A failure is reported with the output of the host and the process; the other tests pass.
//!
//! This program is the test; with `FAILING` in its environment it is the tests that fail, each in a way of its own.

use std::process::{Command, ExitCode};
use std::time::Duration;

use devmap::prelude::*;
use devmap_test::client::Device;
use devmap_test::{Driver, cases};
use libtest_mimic::{Arguments, Trial};

struct Bad(Mutex<u32>);

impl devmap::Device for Bad {
    type Mapping = ();
    type Open = ();

    fn attach(_: &Attach<'_>) -> Result<Bad, Errno> {
        Ok(Bad(Mutex::new(0)))
    }

    fn ioctl(&self, _: &(), _: i32, argument: Argument<'_>) -> Result<i32, Errno> {
        // A mistake: the memory is never freed.
        core::mem::forget(Umem::new(&argument, Kind::Locked, 4096)?);
        Ok(*self.0.lock() as i32)
    }

    fn devmap<'a>(&self, _: MapRequest<'a, Bad>) -> Result<Setup<'a, Bad>, Errno> {
        Err(Errno::ENXIO)
    }
}

devmap::module! { device: Bad, name: "bad", description: "mistakes" }

fn main() -> ExitCode {
    if std::env::var_os("FAILING").is_some() {
        let cases = cases![panics, leaks, never_ends, passes];
        return Driver::new(&MODULE).limit(Duration::from_secs(2)).main(cases);
    }
    if std::env::var_os("VARIANTS").is_some() {
        let driver = Driver::new(&MODULE).also("signal", ["--faults", "signal"]).also("wrong", ["--nosuch"]);
        let driver = driver.also_module(|| Err("no compiler here".to_owned()));
        return driver.main(cases![passes]);
    }
    let tests: [(&str, fn()); 2] = [
        ("what_fails_is_said", what_fails_is_said),
        ("a_test_is_run_in_each_way", a_test_is_run_in_each_way),
    ];
    let trial = |(name, run): (&str, fn())| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
    };
    libtest_mimic::run(&Arguments::from_args(), tests.into_iter().map(trial).collect()).exit_code()
}

fn panics() {
    println!("said before");
    panic!("seven is not eight");
}

fn leaks() {
    Device::open("/dev/bad0").unwrap().ioctl_number(1, 0).unwrap();
}

fn never_ends() {
    std::thread::sleep(Duration::from_secs(1000));
}

fn passes() {}

fn a_test_is_run_in_each_way() {
    let variants = |words: &[&str]| {
        let mut program = Command::new(std::env::current_exe().unwrap());
        let output = program.env("VARIANTS", "1").args(words).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, said) = variants(&[]);
    assert_eq!(code, Some(101), "{said}");
    // Its own options reach the host of a variant, and of no other.
    for line in ["passes ", "passes@signal ", "passes@wrong ", "passes@module "] {
        assert!(said.contains(&format!("test {line}")), "{line}: {said}");
    }
    assert!(said.contains("'--nosuch'") && said.contains("no compiler here"), "{said}");
    assert!(said.contains("2 passed; 1 failed; 1 ignored"), "{said}");
    let (code, said) = variants(&["--exact", "passes@signal"]);
    assert!(code == Some(0) && said.contains("1 passed; 0 failed; 0 ignored"), "{said}");
}

fn what_fails_is_said() {
    let program = || {
        let mut program = Command::new(std::env::current_exe().unwrap());
        program.env("FAILING", "1");
        program
    };
    let output = program().output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(101), "{said}");
    for wanted in [
        "seven is not eight",
        "said before",
        "umem cookies (4096 bytes) are left",
        "no end after 2 s",
        "1 passed; 3 failed",
    ] {
        assert!(said.contains(wanted), "{wanted}:\n{said}");
    }
    let missing =
        program().env("DEVMAP_TEST_MODULES", "/nosuch").args(["--exact", "passes"]).output().unwrap();
    let said = String::from_utf8_lossy(&missing.stdout).into_owned();
    assert!(!missing.status.success() && said.contains("/nosuch/bad"), "{said}");
    let list = program().args(["--list", "--format", "terse"]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&list.stdout),
        "panics: test\nleaks: test\nnever_ends: test\npasses: test\n"
    );
}
