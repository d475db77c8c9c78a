//! Tests of what a process sees of a device mapping: some 400 cases over POSIX calls, and the replay of recorded programs,
//! the same on illumos and on Linux under `ddi-host run`. See README.md of this package.

mod area;
mod case;
mod device;
mod os;
mod peer;
mod port;
mod probe;
mod report;
mod runner;
mod storm;
mod sys;
mod trace;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use report::{Format, Totals};
use runner::Options;

const USAGE: &str = "\
usage: usr-tests [--device PATH] [--list [--sources]] [--filter PATTERN]... [--tap|--json|--junit]
                 [--timeout SECONDS] [--all] [--hostile]
       usr-tests replay FILE... | record    run recorded programs, or record new ones; see their --help
       usr-tests storm                      random programs in many processes, to which things happen; see its --help
  --device PATH      the device to test (default /dev/ctxdev0)
  --list             print the cases instead of running them; --sources: the tests of other suites that they stand for
  --filter PATTERN   run only the cases whose area:name contains PATTERN (or matches it, if it has a *)
  --timeout SECONDS  the time limit of an ordinary case (default 20)
  --all              also run cases that are known to panic this kernel
  --hostile          also run cases that stop a kernel unless the driver's module has its own devmap framework
  --version          print the version
exit status: 0 no case failed, 1 a case failed or could not be carried out, 2 wrong usage
";

struct Command {
    options: Options,
    filters: Vec<String>,
    format: Format,
    list: bool,
    sources: bool,
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut command = Command {
        options: Options { device: "/dev/ctxdev0".into(), limit: case::LIMIT, all: false, hostile: false },
        filters: Vec::new(),
        format: Format::Text,
        list: false,
        sources: false,
    };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--device" => command.options.device = value()?,
            "--filter" => command.filters.push(value()?),
            "--timeout" => command.options.limit = seconds(&value()?)?,
            "--tap" => command.format = Format::Tap,
            "--json" => command.format = Format::Json,
            "--junit" => command.format = Format::Junit,
            "--list" => command.list = true,
            "--sources" => command.sources = true,
            "--all" => command.options.all = true,
            "--hostile" => command.options.hostile = true,
            _ => return Err(format!("unknown argument {arg}")),
        }
    }
    Ok(command)
}

/// The value of `--timeout`.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| format!("--timeout {text}: not a number of seconds (1 to 86400)"))
}

/// Returns whether `name` contains `pattern`, or, if that has stars, matches it from end to end.
fn matches(name: &str, pattern: &str) -> bool {
    if !pattern.contains('*') {
        return name.contains(pattern);
    }
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let (last, middle) = parts.split_last().expect("a pattern with a star has two parts");
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Returns the message for an error in printing.
fn printing(error: io::Error) -> String {
    format!("cannot print: {error}")
}

/// Opens the device once, so that an error is reported once and not for each case or program.
fn check_device(device: &str) -> Result<device::Dev, String> {
    device::Dev::open(device, libc::O_RDWR)
        .and_then(|dev| dev.close().map(|()| dev))
        .map_err(|errno| format!("cannot open {device}: {errno}"))
}

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "--helper") {
        area::helper::main(&args[1..]);
    }
    let verb = args.first().filter(|arg| ["replay", "record", "storm"].contains(&arg.as_str())).cloned();
    if verb.is_some() {
        args.remove(0);
    }
    let usage = match verb.as_deref() {
        Some("replay") => trace::replay::USAGE,
        Some("storm") => storm::USAGE,
        Some(_) => trace::record::USAGE,
        None => USAGE,
    };
    let asked = |options: &[&str]| args.iter().any(|arg| options.contains(&arg.as_str()));
    let mut out = io::stdout();
    let done = if asked(&["--help", "-h"]) {
        write!(out, "{usage}").and_then(|()| out.flush()).map_err(printing).map(|()| true)
    } else if asked(&["--version", "-V"]) {
        let version = env!("CARGO_PKG_VERSION");
        writeln!(out, "usr-tests {version}").and_then(|()| out.flush()).map_err(printing).map(|()| true)
    } else {
        match verb.as_deref() {
            Some("replay") => trace::replay::main(args.into_iter(), &mut out),
            Some("storm") => storm::main(args.into_iter(), &mut out),
            Some(_) => trace::record::main(args.into_iter(), &mut out),
            None => parse(args.into_iter()).and_then(|command| run(&command)),
        }
    };
    match done {
        Ok(good) => ExitCode::from(u8::from(!good)),
        Err(message) => {
            eprintln!("usr-tests: {message} (usr-tests --help)");
            ExitCode::from(2)
        }
    }
}

fn run(command: &Command) -> Result<bool, String> {
    // The cases of the device's driver; all of them are listed.
    let kind = if command.list { None } else { Some(check_device(&command.options.device)?.kind) };
    let chosen: Vec<_> = area::all()
        .into_iter()
        .filter(|case| kind.is_none_or(|kind| case.kind == kind))
        .filter(|case| {
            let name = case.full_name();
            command.filters.is_empty() || command.filters.iter().any(|pattern| matches(&name, pattern))
        })
        .collect();
    if chosen.is_empty() {
        return Err(format!("no case matches {}", command.filters.join(" or ")));
    }
    let mut out = io::stdout();
    if command.list {
        report::list(&mut out, &chosen, command.sources).map_err(printing)?;
        return Ok(true);
    }
    report::start(&mut out, command.format, chosen.len()).map_err(printing)?;
    let mut reports = Vec::new();
    for (index, case) in chosen.iter().enumerate() {
        let report = runner::run(case, &command.options);
        report::result(&mut out, command.format, index + 1, &report).map_err(printing)?;
        reports.push(report);
    }
    report::end(&mut out, command.format, &command.options.device, &reports).map_err(printing)?;
    Ok(Totals::of(&reports).good())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(matches("map:whole", "whole") && matches("map:whole", "map:"));
        assert!(
            matches("map:whole", "map:*") && matches("map:whole", "*whole") && matches("map:whole", "m*:w*e")
        );
        assert!(
            !matches("map:whole", "fork") && !matches("map:whole", "*fork*") && !matches("map:whole", "ap*")
        );
    }

    #[test]
    fn wrong_usage_is_refused() {
        let refused = |args: &[&str]| parse(args.iter().map(ToString::to_string)).err().is_some();
        assert!(refused(&["--device"]) && refused(&["--timeout", "0"]) && refused(&["--bogus"]));
        assert!(!refused(&[
            "--device",
            "/dev/x",
            "--tap",
            "--timeout",
            "5",
            "--filter",
            "a",
            "--filter",
            "b"
        ]));
    }

    #[test]
    fn readme_has_the_table_of_sources() {
        let mut table = Vec::new();
        report::list(&mut table, &area::all(), true).unwrap();
        let table = String::from_utf8(table).unwrap();
        let readme = include_str!("../README.md");
        assert!(readme.contains(&table), "README.md: put the output of usr-tests --list --sources into it");
    }

    /// The rows of the first table of docs/suite.md: area, subject, cases.
    fn subjects() -> Vec<[&'static str; 3]> {
        let text = include_str!("../../docs/suite.md");
        let table = text.split("## ").find(|part| part.starts_with("Subjects")).expect("## Subjects");
        let cells = |line: &'static str| line.split('|').map(str::trim).collect::<Vec<_>>();
        let rows = table.lines().map(cells).filter(|cells| cells.len() == 5);
        rows.skip(2).map(|cells| [cells[1], cells[2], cells[3]]).collect()
    }

    #[test]
    fn every_subject_has_cases_and_every_case_a_subject() {
        let mut left: std::collections::BTreeSet<String> =
            area::all().iter().map(case::Case::full_name).collect();
        let known = left.clone();
        for [area, subject, cases] in subjects() {
            let cases: Vec<&str> = cases.split('`').filter(|text| !text.trim().is_empty()).collect();
            assert!(!cases.is_empty(), "docs/suite.md: no case for {area}, {subject}");
            for case in cases {
                assert!(known.contains(case), "docs/suite.md: there is no case {case}");
                assert!(case.starts_with(&format!("{area}:")), "docs/suite.md: {case} is not of area {area}");
                left.remove(case);
            }
        }
        assert!(left.is_empty(), "docs/suite.md: under which subject are {left:?}?");
    }

    /// Required abilities of the suite: words that rows of docs/suite.md have as their subjects.
    const ASKED: &str = "map: offsets, lengths, protections, open modes, fixed replacement, hint addresses, \
        private and shared, beyond the device, zero length, unaligned, several regions in one mapping, \
        alignment of large mappings; access: first touch, read then write, instruction fetch, write to read-only, \
        after mprotect, after unload, system calls reading and writing device memory, \
        several threads at one page, unaligned across pages and across handles; fork: child sees, child writes, \
        child's first touch, grandchildren, with threads, vfork, posix_spawn, refused by the driver, \
        while the parent faults; munmap: whole, head, tail, middle, across handles, across mappings, twice, \
        while another thread touches, in the child only, by MAP_FIXED over it, by mremap, by exec, by exit, \
        by SIGKILL; mprotect: all transitions, partial, beyond the maximum, \
        on the part that another mapping shares; advice: madvise, msync, mincore, mlock; \
        context: two to sixteen processes, private and shared contexts, values never mixed up, \
        hysteresis honoured within a factor, owner killed, owner stopped by SIGSTOP, fork of the owner; \
        descriptor: close before unmap, dup, passing over a socket, last close after last unmap; \
        limits: 10,000 mappings, 64 processes; counters: in the kstat";

    #[test]
    fn everything_asked_is_a_subject() {
        let rows = subjects();
        for part in ASKED.split("; ") {
            let (area, asked) = part.split_once(": ").expect("area: subjects");
            for subject in asked.split(", ").map(str::trim) {
                let found = rows.iter().any(|row| row[0] == area && row[1] == subject);
                assert!(found, "docs/suite.md has no row for {area}: {subject}");
            }
        }
    }

    /// The tests of others that fit a device mapping, by suite and number.
    const OF_OTHERS: [(&str, &str); 6] = [
        ("pfnmap", "madvise_disallowed munmap_split mremap_fixed mremap_shrink mremap_expand fork"),
        (
            "Open POSIX mmap",
            "1-1 1-2 3-1 5-1 6-1 6-2 6-3 6-4 6-5 6-6 7-2 7-3 7-4 9-1 10-1 11-1 11-2 11-3 12-1 21-1 27-1 32-1",
        ),
        ("Open POSIX munmap", "1-1 1-2 3-1 4-1 9-1"),
        ("Open POSIX fork", "16-1"),
        (
            "LTP",
            "mmap02 mmap03 mmap05 mmap06 mmap08 mmap09 mmap10 mmap15 mmap17 mmap20 mmap21 munmap01 munmap03",
        ),
        (
            "LTP",
            "mprotect01 mprotect02 mprotect03 mprotect05 mremap01 mremap02 mremap03 mremap06 msync03 mincore02",
        ),
    ];

    #[test]
    fn every_test_of_others_has_a_case() {
        // "LTP mmap08, mmap15" names two of one suite.
        let mut covered = std::collections::BTreeSet::new();
        for case in area::all() {
            for part in case.of.split("; ").filter(|part| !part.is_empty()) {
                let named = part.split(" (").next().expect("what comes before a remark");
                let mut words = named.split(", ");
                let first = words.next().expect("a first name");
                let (suite, number) = first.rsplit_once(' ').expect("suite and number");
                covered.extend([number].into_iter().chain(words).map(|number| format!("{suite} {number}")));
            }
        }
        for (suite, numbers) in OF_OTHERS {
            for number in numbers.split(' ') {
                assert!(
                    covered.contains(&format!("{suite} {number}")),
                    "no case stands for {suite} {number}"
                );
            }
        }
    }

    #[test]
    fn what_may_be_skipped_exists() {
        let cases = area::all();
        let text = include_str!("../../docs/skips.md");
        let is_case = |name: &&str| cases.iter().any(|case| name.starts_with(&format!("{}:", case.area)));
        for name in text.split('`').skip(1).step_by(2).filter(is_case) {
            let known = cases.iter().any(|case| matches(&case.full_name(), name));
            assert!(known, "docs/skips.md: there is no case {name}");
        }
    }

    #[test]
    fn names_are_unique_and_every_case_says_what_it_asserts() {
        let cases = area::all();
        let mut names: Vec<_> = cases.iter().map(case::Case::full_name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), cases.len());
        assert!(cases.iter().all(|case| !case.what.is_empty()));
    }
}
