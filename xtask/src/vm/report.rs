//! The suite's results, as they come (TAP) and as they are kept (JSON), and what is printed of them.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// How a case ended.
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
    /// How it ended.
    pub outcome: Outcome,
    /// Why, unless it passed.
    #[serde(default)]
    pub message: String,
    /// How long it took; TAP does not tell.
    #[serde(default)]
    pub seconds: f64,
}

/// The results on one device, in the form of `usr-tests --json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Suite {
    /// The device.
    pub device: String,
    /// Every case, in order.
    pub cases: Vec<Case>,
    /// How many passed.
    #[serde(default)]
    pub pass: usize,
    /// How many failed.
    #[serde(default)]
    pub fail: usize,
    /// How many were skipped.
    #[serde(default)]
    pub skip: usize,
    /// How many could not be carried out.
    #[serde(default)]
    pub error: usize,
}

/// What a run leaves in `report.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// The guest's name.
    pub guest: String,
    /// `kvm` or `tcg`.
    pub accel: String,
    /// SHA-256 of the module file.
    pub module: String,
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// How long the whole run took.
    pub seconds: f64,
    /// Why it ended early, if it did.
    pub failure: Option<String>,
    /// The results per device.
    pub suites: Vec<Suite>,
}

/// The plan and the results of a TAP stream that may have been cut off anywhere.
#[derive(Debug, Default, PartialEq)]
pub struct Tap {
    /// How many cases were announced.
    pub planned: Option<usize>,
    /// The results so far.
    pub cases: Vec<Case>,
}

impl Tap {
    /// Reads what has come; an incomplete last line is left out.
    pub fn parse(text: &str) -> Tap {
        let mut tap = Tap::default();
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in complete.lines() {
            if let Some(count) = line.strip_prefix("1..") {
                tap.planned = count.trim().parse().ok();
            } else if let Some(rest) = line.strip_prefix("ok ") {
                let (name, skip) = match rest.split_once(" # SKIP") {
                    Some((name, why)) => (name, Some(why.trim())),
                    None => (rest, None),
                };
                let outcome = if skip.is_some() { Outcome::Skip } else { Outcome::Pass };
                tap.push(name, outcome, skip.unwrap_or(""));
            } else if let Some(rest) = line.strip_prefix("not ok ") {
                tap.push(rest, Outcome::Fail, "");
            } else if let Some(last) = tap.cases.last_mut().filter(|case| case.outcome != Outcome::Pass) {
                match line.trim().split_once(": ") {
                    Some(("severity", "error")) => last.outcome = Outcome::Error,
                    Some(("message", text)) => {
                        last.message = serde_json::from_str(text).unwrap_or_else(|_| text.to_owned());
                    }
                    _ => {}
                }
            }
        }
        tap
    }

    fn push(&mut self, numbered: &str, outcome: Outcome, message: &str) {
        let name = numbered.split_once(" - ").map_or(numbered, |(_, name)| name).trim().to_owned();
        self.cases.push(Case { name, outcome, message: message.to_owned(), seconds: 0.0 });
    }

    /// Where a run stands: `37 of 190, after mmap:fixed`.
    pub fn progress(&self) -> String {
        match (self.planned, self.cases.last()) {
            (Some(planned), Some(last)) => format!("{} of {planned}, after {}", self.cases.len(), last.name),
            (Some(planned), None) => format!("0 of {planned}"),
            _ => "no plan yet".to_owned(),
        }
    }

    /// The results as a suite, when every announced case has one.
    pub fn finish(self, device: &str) -> Result<Suite> {
        match self.planned {
            None => bail!("the suite printed no TAP plan"),
            Some(planned) if planned != self.cases.len() => {
                bail!("the suite ended after {} of {planned} cases", self.cases.len())
            }
            Some(_) => Ok(Suite::new(device, self.cases)),
        }
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

    /// What a local run prints: the cases that did not pass and the totals.
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
            "{} cases on {device}: {pass} pass, {fail} fail, {skip} skip, {error} error",
            self.cases.len()
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAP: &str = "TAP version 14\n1..4\nok 1 - map:a\nnot ok 2 - map:b\n  ---\n  severity: fail\n  message: \"expected \\\"1\\\"\\nseen 2\"\n  ...\n\
                       ok 3 - map:c # SKIP not here\nnot ok 4 - map:d\n  ---\n  severity: error\n  message: \"fork\"\n  ...\n# /dev/x: done\n";

    #[test]
    fn all_four_outcomes_are_read() {
        let suite = Tap::parse(TAP).finish("/dev/x").unwrap();
        assert_eq!((suite.pass, suite.fail, suite.skip, suite.error), (1, 1, 1, 1));
        assert_eq!(suite.cases[1].message, "expected \"1\"\nseen 2");
        assert_eq!(suite.cases[2].message, "not here");
        assert!(!suite.good());
        let text = suite.text();
        assert!(text.ends_with("4 cases on /dev/x: 1 pass, 1 fail, 1 skip, 1 error\n"), "{text}");
        assert!(text.contains("error map:d: fork\n") && !text.contains("map:a"), "{text}");
    }

    #[test]
    fn a_stream_cut_anywhere_never_gains_a_result() {
        let whole = Tap::parse(TAP);
        for end in 0..TAP.len() {
            let part = Tap::parse(&TAP[..end]);
            assert!(part.cases.len() <= whole.cases.len());
            for (mine, theirs) in part.cases.iter().zip(&whole.cases) {
                assert_eq!(mine.name, theirs.name, "cut at {end}");
            }
            if end < TAP.find("not ok 4").unwrap() {
                assert!(part.finish("/dev/x").is_err());
            }
        }
    }

    #[test]
    fn progress_names_the_last_case() {
        let cut = TAP.find("ok 3").unwrap();
        assert_eq!(Tap::parse(&TAP[..cut]).progress(), "2 of 4, after map:b");
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
