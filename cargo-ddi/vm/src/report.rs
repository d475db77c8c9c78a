//! A test program's results, as they come (TAP, or as Rust's test harness prints them) and as they are kept (JSON), and what is printed of them.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// Outcome of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It held.
    Pass,
    /// It did not.
    Fail,
    /// It cannot be asked here.
    Skip,
    /// It could not be carried out.
    Error,
}

/// One case's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// `area:case`.
    pub name: String,
    /// Outcome.
    pub outcome: Outcome,
    /// Why, unless it passed.
    #[serde(default)]
    pub message: String,
    /// Time that it took; TAP does not tell.
    #[serde(default)]
    pub seconds: f64,
}

/// The results of one run of a test program, in the form of `usr-tests --json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Suite {
    /// The run's name, which may be the device's.
    pub device: String,
    /// Every case, in order.
    pub cases: Vec<Case>,
    /// Number of those that passed.
    #[serde(default)]
    pub pass: usize,
    /// Number of those that failed.
    #[serde(default)]
    pub fail: usize,
    /// Number of those that were skipped.
    #[serde(default)]
    pub skip: usize,
    /// Number of those that could not be carried out.
    #[serde(default)]
    pub error: usize,
}

/// Content of `report.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// The guest's name.
    pub guest: String,
    /// The driver's.
    #[serde(default)]
    pub driver: String,
    /// `kvm` or `tcg`.
    pub accel: String,
    /// SHA-256 of the module file.
    pub module: String,
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// Time that the whole run took.
    pub seconds: f64,
    /// Why it ended early, if it did.
    pub failure: Option<String>,
    /// The results per device.
    pub suites: Vec<Suite>,
}

/// Begins the last line of a test program's output, which has its exit status. A comment in TAP.
pub const STATUS: &str = "# exit status ";

/// The plan and the results in a test program's output, which may have been cut off anywhere.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    /// Number of cases that were announced; none by a program that reports no cases.
    pub planned: Option<usize>,
    /// The results so far.
    pub cases: Vec<Case>,
    /// The program's exit status, once it has ended.
    pub status: Option<i32>,
    last_line: String,
}

impl Told {
    /// Reads what has come; an incomplete last line is left out.
    pub fn parse(text: &str) -> Told {
        let mut told = Told::default();
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in complete.lines() {
            if let Some(status) = line.strip_prefix(STATUS) {
                told.status = status.trim().parse().ok();
                continue;
            }
            if !line.trim().is_empty() {
                line.trim().clone_into(&mut told.last_line);
            }
            if !told.tap(line) {
                told.harness(line);
            }
        }
        told
    }

    /// Reads a line of TAP. Returns whether it is one.
    fn tap(&mut self, line: &str) -> bool {
        if let Some(count) = line.strip_prefix("1..") {
            self.planned = count.trim().parse().ok();
        } else if let Some(rest) = line.strip_prefix("ok ") {
            let (name, skip) = match rest.split_once(" # SKIP") {
                Some((name, why)) => (name, Some(why.trim())),
                None => (rest, None),
            };
            let outcome = if skip.is_some() { Outcome::Skip } else { Outcome::Pass };
            self.push(name, outcome, skip.unwrap_or(""));
        } else if let Some(rest) = line.strip_prefix("not ok ") {
            self.push(rest, Outcome::Fail, "");
        } else if let Some(last) = self.cases.last_mut().filter(|case| case.outcome != Outcome::Pass) {
            match line.trim().split_once(": ") {
                Some(("severity", "error")) => last.outcome = Outcome::Error,
                Some(("message", text)) => {
                    last.message = serde_json::from_str(text).unwrap_or_else(|_| text.to_owned());
                }
                _ => return false,
            }
        } else {
            return false;
        }
        true
    }

    /// Reads a line of Rust's test harness. Several binaries may follow one another.
    fn harness(&mut self, line: &str) {
        let count = line
            .strip_prefix("running ")
            .and_then(|rest| rest.strip_suffix(" tests").or(rest.strip_suffix(" test")));
        if let Some(count) = count.and_then(|count| count.parse::<usize>().ok()) {
            self.planned = Some(self.planned.unwrap_or(0) + count);
        } else if let Some((name, result)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        {
            let outcome = match result.split([',', ' ']).next().unwrap_or_default() {
                "ok" => Outcome::Pass,
                "FAILED" => Outcome::Fail,
                "ignored" => Outcome::Skip,
                _ => return,
            };
            let why = result.strip_prefix("ignored, ").unwrap_or(if outcome == Outcome::Skip {
                "ignored"
            } else {
                ""
            });
            self.push(name.trim(), outcome, why);
        }
    }

    fn push(&mut self, numbered: &str, outcome: Outcome, message: &str) {
        let name = numbered.split_once(" - ").map_or(numbered, |(_, name)| name).trim().to_owned();
        self.cases.push(Case { name, outcome, message: message.to_owned(), seconds: 0.0 });
    }

    /// State of a run: `37 of 190, after mmap:fixed`; the last line of a program that reports no cases.
    pub fn progress(&self) -> String {
        match (self.planned, self.cases.last()) {
            (Some(planned), Some(last)) => format!("{} of {planned}, after {}", self.cases.len(), last.name),
            (Some(planned), None) => format!("0 of {planned}"),
            (None, _) if self.last_line.is_empty() => "no output yet".to_owned(),
            (None, _) => self.last_line.clone(),
        }
    }

    /// The results as those of the run `name`, when every announced case has one, and the exit status does not say otherwise. A program that reports no cases
    /// is one case, which fails with the end of what it printed on standard error, `errors`, or else on standard output.
    ///
    /// # Errors
    /// The program broke off.
    pub fn finish(mut self, name: &str, errors: &str) -> Result<Suite> {
        let Some(status) = self.status else { bail!("the tests did not come to their end") };
        match self.planned {
            None if self.cases.is_empty() => {
                let (outcome, message) = match status {
                    0 => (Outcome::Pass, String::new()),
                    _ => {
                        let said = if errors.trim().is_empty() { &self.last_line } else { errors.trim() };
                        (Outcome::Fail, format!("exit status {status}: {said}"))
                    }
                };
                self.cases.push(Case { name: name.to_owned(), outcome, message, seconds: 0.0 });
            }
            None => bail!("the tests printed no plan"),
            Some(planned) if planned != self.cases.len() => {
                bail!("the tests ended after {} of {planned} cases", self.cases.len())
            }
            Some(_) => {}
        }
        let suite = Suite::new(name, self.cases);
        if suite.good() && status != 0 {
            bail!("all cases passed, but the exit status is {status}");
        }
        Ok(suite)
    }
}

impl Suite {
    /// A suite with its totals.
    pub fn new(device: &str, cases: Vec<Case>) -> Suite {
        let count = |outcome| cases.iter().filter(|case| case.outcome == outcome).count();
        Suite {
            pass: count(Outcome::Pass),
            fail: count(Outcome::Fail),
            skip: count(Outcome::Skip),
            error: count(Outcome::Error),
            device: device.to_owned(),
            cases,
        }
    }

    /// Whether nothing failed.
    pub fn good(&self) -> bool {
        self.fail == 0 && self.error == 0
    }

    /// Text that a local run prints: the cases that did not pass and the totals.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for case in &self.cases {
            let word = match case.outcome {
                Outcome::Pass => continue,
                Outcome::Fail => "fail",
                Outcome::Skip => "skip",
                Outcome::Error => "error",
            };
            let _ = writeln!(text, "{word:5} {}: {}", case.name, case.message);
        }
        let Suite { device, pass, fail, skip, error, .. } = self;
        let _ = writeln!(
            text,
            "{device}: {} case{}, {pass} pass, {fail} fail, {skip} skip, {error} error",
            self.cases.len(),
            if self.cases.len() == 1 { "" } else { "s" }
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAP: &str = "TAP version 14\n1..4\nok 1 - map:a\nnot ok 2 - map:b\n  ---\n  severity: fail\n  message: \"expected \\\"1\\\"\\nseen 2\"\n  ...\n\
                       ok 3 - map:c # SKIP not here\nnot ok 4 - map:d\n  ---\n  severity: error\n  message: \"fork\"\n  ...\n# /dev/x: done\n";

    fn whole() -> String {
        format!("{TAP}{STATUS}1\n")
    }

    #[test]
    fn all_four_outcomes_are_read() {
        let suite = Told::parse(&whole()).finish("/dev/x", "").unwrap();
        assert_eq!((suite.pass, suite.fail, suite.skip, suite.error), (1, 1, 1, 1));
        assert_eq!(suite.cases[1].message, "expected \"1\"\nseen 2");
        assert_eq!(suite.cases[2].message, "not here");
        assert!(!suite.good());
        let text = suite.text();
        assert!(text.ends_with("/dev/x: 4 cases, 1 pass, 1 fail, 1 skip, 1 error\n"), "{text}");
        assert!(text.contains("error map:d: fork\n") && !text.contains("map:a"), "{text}");
    }

    #[test]
    fn a_stream_cut_anywhere_never_gains_a_result() {
        let text = whole();
        let all = Told::parse(&text);
        for end in 0..text.len() {
            let part = Told::parse(&text[..end]);
            assert!(part.cases.len() <= all.cases.len());
            for (mine, theirs) in part.cases.iter().zip(&all.cases) {
                assert_eq!(mine.name, theirs.name, "cut at {end}");
            }
            assert!(part.finish("/dev/x", "").is_err(), "cut at {end}");
        }
    }

    #[test]
    fn progress_names_the_last_case() {
        let cut = TAP.find("ok 3").unwrap();
        assert_eq!(Told::parse(&TAP[..cut]).progress(), "2 of 4, after map:b");
        assert_eq!(Told::parse("").progress(), "no output yet");
        assert_eq!(Told::parse("opened /dev/x0\nhal").progress(), "opened /dev/x0");
    }

    #[test]
    fn rusts_own_test_harness_is_read() {
        let text = "\nrunning 3 tests\ntest opens ... ok\ntest maps ... FAILED\ntest forks ... ignored, no fork here\n\nfailures:\n\n    maps\n\n\
                    test result: FAILED. 1 passed; 1 failed; 1 ignored\n\n# exit status 101\n";
        let suite = Told::parse(text).finish("t", "").unwrap();
        assert_eq!((suite.pass, suite.fail, suite.skip), (1, 1, 1));
        assert_eq!(suite.cases[2].message, "no fork here");
        let cut = &text[..text.find("test forks").unwrap()];
        assert_eq!(Told::parse(cut).progress(), "2 of 3, after maps");
        let error = Told::parse(&format!("{cut}{STATUS}139\n")).finish("t", "").unwrap_err().to_string();
        assert_eq!(error, "the tests ended after 2 of 3 cases");
    }

    #[test]
    fn a_program_without_cases_is_one() {
        let suite = |text: &str, errors: &str| Told::parse(text).finish("boardctl", errors).unwrap();
        assert!(suite("wrote 1, read 1\n# exit status 0\n", "a warning").good());
        let bad = suite("wrote 1, read 2\n# exit status 3\n", "");
        assert_eq!((bad.fail, bad.cases[0].message.as_str()), (1, "exit status 3: wrote 1, read 2"));
        let none = suite("# exit status 127\n", "sh: 1: boardctl: not found\n");
        assert_eq!(none.cases[0].message, "exit status 127: sh: 1: boardctl: not found");
        // Whose cases passed and that fails all the same has not passed.
        assert!(Told::parse("1..1\nok 1 - a\n# exit status 7\n").finish("x", "").is_err());
    }

    #[test]
    fn the_json_of_a_local_run_is_read() {
        let json = r#"{"device":"/dev/x","cases":[
            {"name":"map:a","outcome":"pass","message":"","seconds":0.001},
            {"name":"map:b","outcome":"skip","message":"why","seconds":0}],"pass":1,"fail":0,"skip":1,"error":0}"#;
        let suite: Suite = serde_json::from_str(json).unwrap();
        assert_eq!(suite, Suite { cases: suite.cases.clone(), ..Suite::new("/dev/x", suite.cases.clone()) });
        assert!(suite.good());
    }
}
