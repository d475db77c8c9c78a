//! What a process sees of a device mapping: some 190 cases over POSIX calls, the same on illumos and on Linux under
//! `ddi-host run`. See README.md of this package.

mod area;
mod case;
mod device;
mod os;
mod peer;
mod probe;
mod report;
mod runner;
mod sys;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use report::{Format, Totals};
use runner::Options;

const USAGE: &str = "\
usage: usr-tests [--device PATH] [--list [--sources]] [--filter PATTERN]... [--tap|--json|--junit]
                 [--timeout SECONDS] [--all]
  --device PATH      the device to test (default /dev/ctxdev0)
  --list             print the cases instead of running them; --sources: what of other suites they stand for
  --filter PATTERN   only the cases whose area:name contains PATTERN (or matches it, when it has a *)
  --timeout SECONDS  the time limit of an ordinary case (default 20)
  --all              also cases that are known to panic the kernel this runs on
exit status: 0 no case failed, 1 some did (or could not be carried out), 2 wrong usage
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
        options: Options { device: "/dev/ctxdev0".into(), limit: Duration::from_secs(20), all: false },
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
            "--timeout" => {
                let seconds = value()?;
                let seconds: u64 =
                    seconds.parse().ok().filter(|s| (1..=86_400).contains(s)).ok_or_else(|| {
                        format!("--timeout {seconds}: not a number of seconds (1 to 86400)")
                    })?;
                command.options.limit = Duration::from_secs(seconds);
            }
            "--tap" => command.format = Format::Tap,
            "--json" => command.format = Format::Json,
            "--junit" => command.format = Format::Junit,
            "--list" => command.list = true,
            "--sources" => command.sources = true,
            "--all" => command.options.all = true,
            _ => return Err(format!("unknown argument {arg}")),
        }
    }
    Ok(command)
}

/// Does `name` match `pattern`: contain it, or, when it has stars, match it from end to end?
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

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "--helper") {
        area::helper::main(&args[1..]);
    }
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let command = match parse(args.into_iter()) {
        Ok(command) => command,
        Err(message) => {
            eprintln!("usr-tests: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(message) => {
            eprintln!("usr-tests: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(command: &Command) -> Result<bool, String> {
    let chosen: Vec<_> = area::all()
        .into_iter()
        .filter(|case| {
            let name = case.full_name();
            command.filters.is_empty() || command.filters.iter().any(|pattern| matches(&name, pattern))
        })
        .collect();
    if chosen.is_empty() {
        return Err(format!("no case matches {}", command.filters.join(" or ")));
    }
    let mut out = io::stdout();
    let printing = |error: io::Error| format!("cannot print: {error}");
    if command.list {
        report::list(&mut out, &chosen, command.sources).map_err(printing)?;
        return Ok(true);
    }
    // Once said is enough: not once for each case.
    let device = &command.options.device;
    device::Dev::open(device, libc::O_RDWR)
        .and_then(device::Dev::close)
        .map_err(|errno| format!("cannot open {device}: {errno}"))?;
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
