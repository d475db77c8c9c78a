//! `cargo xtask miri`: tests of unsafe code, and of what it rests on, under Miri. docs/unsafe.md says what runs there, and what cannot.
//!
//! Works in target/miri. Exit status 1 when a test fails or Miri reports something.

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::root;

/// Packages, and how much of them.
#[derive(clap::Args)]
pub struct Args {
    /// Packages; all that have a part, if none is named.
    packages: Vec<String>,
    /// The tests that CI runs: some of each package, in less than three minutes of one core.
    #[arg(long)]
    quick: bool,
    /// Seed of addresses and of the turns that threads take.
    #[arg(long, default_value_t = 0)]
    seed: u32,
}

/// Tests that are run together.
struct Part {
    package: &'static str,
    /// The test programs.
    programs: &'static [&'static str],
    tests: Tests,
    pointers: Pointers,
    leaks: Leaks,
    /// The tests of it that CI runs, if any.
    quick: Option<Tests>,
}

/// Tests of a test program, by parts of their names.
#[derive(Clone, Copy)]
enum Tests {
    All,
    But(&'static str),
    With(&'static [&'static str]),
}

/// Rule of what may become a pointer.
#[derive(Clone, Copy)]
enum Pointers {
    /// Only a pointer.
    Strict,
    /// A number, too, of an address that was made known: C keeps addresses in numbers, and so do kernels that stand for it.
    Exposed,
}

/// Whether memory that nothing refers to at the end is reported.
#[derive(Clone, Copy)]
enum Leaks {
    Reported,
    /// The tests leak on purpose.
    Wanted,
}

const PARTS: [Part; 7] = [
    Part {
        package: "ddi-wire",
        programs: &["--lib"],
        tests: Tests::All,
        pointers: Pointers::Strict,
        leaks: Leaks::Reported,
        quick: Some(Tests::All),
    },
    // The others make memory below 2 GiB, have a compiler make modules, or search a long list.
    Part {
        package: "ddi-krtld",
        programs: &["--lib"],
        tests: Tests::With(&["published::", "reloc::"]),
        pointers: Pointers::Strict,
        leaks: Leaks::Reported,
        quick: Some(Tests::With(&["published::", "reloc::"])),
    },
    Part {
        package: "segdev",
        programs: &["--test=defects_kernel", "--test=sharing", "--test=softlocks"],
        tests: Tests::All,
        pointers: Pointers::Strict,
        leaks: Leaks::Reported,
        quick: Some(Tests::All),
    },
    Part {
        package: "segdev",
        programs: &[
            "--features=sim",
            "--lib",
            "--test=defects",
            "--test=frames",
            "--test=robust",
            "--test=setup",
        ],
        tests: Tests::All,
        pointers: Pointers::Strict,
        leaks: Leaks::Reported,
        quick: None,
    },
    Part {
        package: "segdev-illumos",
        programs: &["--test=kernel"],
        tests: Tests::All,
        pointers: Pointers::Exposed,
        leaks: Leaks::Reported,
        quick: Some(Tests::With(&["locking::"])),
    },
    Part {
        package: "devmap",
        programs: &["--test=devmap"],
        tests: Tests::But("forgotten"),
        pointers: Pointers::Exposed,
        leaks: Leaks::Reported,
        quick: Some(Tests::With(&["copying::", "early::d31", "interrupts::", "opens::", "sets::"])),
    },
    Part {
        package: "devmap",
        programs: &["--test=devmap"],
        tests: Tests::With(&["forgotten"]),
        pointers: Pointers::Exposed,
        leaks: Leaks::Wanted,
        quick: None,
    },
];

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    if let Some(wrong) =
        args.packages.iter().find(|package| PARTS.iter().all(|part| part.package != **package))
    {
        let mut names = PARTS.map(|part| part.package).to_vec();
        names.dedup();
        bail!("nothing of {wrong} runs under Miri: {}", names.join(", "));
    }
    let there = Command::new("cargo").args(["+nightly", "miri", "--version"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        bail!("no Miri: rustup toolchain install nightly --profile minimal --component miri,rust-src");
    }
    let mut failed = Vec::new();
    let asked = |part: &&Part| args.packages.is_empty() || args.packages.iter().any(|p| p == part.package);
    for part in PARTS.iter().filter(asked) {
        let Some(tests) = (if args.quick { part.quick } else { Some(part.tests) }) else { continue };
        let what = format!("{} {}", part.package, [part.programs, &tests.arguments()].concat().join(" "));
        let begun = Instant::now();
        let passed = part.run(tests, args.seed)?;
        println!("miri: {what} ({} s)", begun.elapsed().as_secs());
        if !passed {
            failed.push(what);
        }
    }
    for what in &failed {
        println!("FAILED {what}");
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Tests {
    /// Returns the test program's arguments.
    fn arguments(self) -> Vec<&'static str> {
        match self {
            Tests::All => Vec::new(),
            Tests::But(name) => vec!["--skip", name],
            Tests::With(names) => names.to_vec(),
        }
    }
}

impl Part {
    /// Runs tests. Returns whether they all passed and nothing was reported.
    fn run(&self, tests: Tests, seed: u32) -> Result<bool> {
        let pointers = match self.pointers {
            Pointers::Strict => "-Zmiri-strict-provenance",
            Pointers::Exposed => "-Zmiri-permissive-provenance",
        };
        let leaks = match self.leaks {
            Leaks::Reported => "",
            Leaks::Wanted => " -Zmiri-ignore-leaks",
        };
        let status = Command::new("cargo")
            .args(["+nightly", "miri", "test", "--quiet", "--package", self.package])
            .args(self.programs)
            .arg("--")
            .args(tests.arguments())
            .env("MIRIFLAGS", format!("-Zmiri-seed={seed} {pointers}{leaks}"))
            .current_dir(root())
            .status()
            .context("cannot run cargo miri")?;
        Ok(status.success())
    }
}
