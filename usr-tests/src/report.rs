//! Printed results: for people, as TAP, as JSON, as JUnit XML.
//!
//! Locking: none.

use std::io::{self, Write};

use crate::case::Case;
use crate::runner::{Outcome, Report};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Tap,
    Json,
    Junit,
}

/// Number of cases by outcome.
#[derive(Default)]
pub struct Totals {
    pub pass: usize,
    pub fail: usize,
    pub skip: usize,
    pub error: usize,
}

impl Totals {
    pub fn of(reports: &[Report]) -> Totals {
        let count = |outcome| reports.iter().filter(|r| r.outcome == outcome).count();
        Totals {
            pass: count(Outcome::Pass),
            fail: count(Outcome::Fail),
            skip: count(Outcome::Skip),
            error: count(Outcome::Error),
        }
    }

    pub fn good(&self) -> bool {
        self.fail == 0 && self.error == 0
    }
}

/// Prints the head, before the first result.
pub fn start(out: &mut impl Write, format: Format, cases: usize) -> io::Result<()> {
    match format {
        Format::Tap => writeln!(out, "TAP version 14\n1..{cases}"),
        _ => Ok(()),
    }
}

/// One result, as soon as it is there (JSON and JUnit come whole at the end).
pub fn result(out: &mut impl Write, format: Format, number: usize, report: &Report) -> io::Result<()> {
    let name = report.case.full_name();
    match format {
        Format::Text => {
            let word = report.outcome.word();
            let millis = report.took.as_millis();
            match report.message.as_str() {
                "" => writeln!(out, "{word:5} {name} ({millis} ms)")?,
                message => writeln!(out, "{word:5} {name} ({millis} ms): {message}")?,
            }
        }
        Format::Tap => match report.outcome {
            Outcome::Pass => writeln!(out, "ok {number} - {name}")?,
            Outcome::Skip => writeln!(out, "ok {number} - {name} # SKIP {}", one_line(&report.message))?,
            Outcome::Fail | Outcome::Error => {
                writeln!(out, "not ok {number} - {name}\n  ---")?;
                writeln!(out, "  severity: {}", report.outcome.word())?;
                writeln!(out, "  message: {}\n  ...", quoted(&report.message))?;
            }
        },
        Format::Json | Format::Junit => {}
    }
    out.flush()
}

/// Prints the end, after the last result.
pub fn end(out: &mut impl Write, format: Format, device: &str, reports: &[Report]) -> io::Result<()> {
    let totals = Totals::of(reports);
    let Totals { pass, fail, skip, error } = totals;
    if matches!(format, Format::Text | Format::Tap) {
        recall(out, if format == Format::Tap { "# " } else { "" }, reports)?;
    }
    match format {
        Format::Text => writeln!(
            out,
            "{} cases on {device}: {pass} pass, {fail} fail, {skip} skip, {error} error",
            reports.len()
        )?,
        Format::Tap => writeln!(out, "# {device}: {pass} pass, {fail} fail, {skip} skip, {error} error")?,
        Format::Json => {
            writeln!(out, "{{\"device\":{},\"cases\":[", quoted(device))?;
            for (index, report) in reports.iter().enumerate() {
                let comma = if index + 1 < reports.len() { "," } else { "" };
                writeln!(
                    out,
                    "{{\"name\":{},\"outcome\":\"{}\",\"message\":{},\"seconds\":{:.3}}}{comma}",
                    quoted(&report.case.full_name()),
                    report.outcome.word(),
                    quoted(&report.message),
                    report.took.as_secs_f64()
                )?;
            }
            writeln!(out, "],\"pass\":{pass},\"fail\":{fail},\"skip\":{skip},\"error\":{error}}}")?;
        }
        Format::Junit => junit(out, device, reports, &totals)?,
    }
    out.flush()
}

/// Prints the cases that did not pass once more, and why: people look at the end.
fn recall(out: &mut impl Write, mark: &str, reports: &[Report]) -> io::Result<()> {
    for outcome in [Outcome::Skip, Outcome::Error, Outcome::Fail] {
        for report in reports.iter().filter(|report| report.outcome == outcome) {
            let (name, message) = (report.case.full_name(), one_line(&report.message));
            writeln!(out, "{mark}{:5} {name}: {message}", outcome.word())?;
        }
    }
    Ok(())
}

fn junit(out: &mut impl Write, device: &str, reports: &[Report], totals: &Totals) -> io::Result<()> {
    let seconds: f64 = reports.iter().map(|r| r.took.as_secs_f64()).sum();
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(
        out,
        "<testsuite name=\"usr-tests {}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{seconds:.3}\">",
        escaped(device),
        reports.len(),
        totals.fail,
        totals.error,
        totals.skip
    )?;
    for report in reports {
        let Case { area, name, .. } = report.case;
        let time = report.took.as_secs_f64();
        write!(out, "<testcase classname=\"{area}\" name=\"{name}\" time=\"{time:.3}\"")?;
        let message = escaped(&report.message);
        match report.outcome {
            Outcome::Pass => writeln!(out, "/>")?,
            Outcome::Skip => writeln!(out, "><skipped message=\"{message}\"/></testcase>")?,
            Outcome::Fail => writeln!(out, "><failure message=\"{message}\"/></testcase>")?,
            Outcome::Error => writeln!(out, "><error message=\"{message}\"/></testcase>")?,
        }
    }
    writeln!(out, "</testsuite>")
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

/// A JSON string (also good as a YAML one).
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if (c as u32) < 0x20 => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if (c as u32) < 0x20 => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The list of cases; with `sources`, as the table in README.md that says what of others' suites each stands for.
pub fn list(out: &mut impl Write, cases: &[Case], sources: bool) -> io::Result<()> {
    if sources {
        writeln!(out, "| case | holds when | stands for |\n| --- | --- | --- |")?;
        for case in cases.iter().filter(|case| !case.of.is_empty()) {
            writeln!(out, "| `{}` | {} | {} |", case.full_name(), case.what.replace('|', "\\|"), case.of)?;
        }
        return Ok(());
    }
    for case in cases {
        writeln!(out, "{:44} {}", case.full_name(), case.what)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{Ctx, case};
    use std::time::Duration;

    fn reports() -> Vec<Report> {
        fn nothing(_: &Ctx) -> crate::case::Result {
            Ok(())
        }
        let report = |name, outcome, message: &str| Report {
            case: Case { area: "map", ..case(name, "", nothing) },
            outcome,
            message: message.into(),
            took: Duration::from_millis(1500),
        };
        vec![
            report("a", Outcome::Pass, ""),
            report("b", Outcome::Fail, "expected \"1\" < 2\nseen & done"),
            report("c", Outcome::Skip, "not here"),
            report("d", Outcome::Error, "fork"),
        ]
    }

    fn printed(format: Format) -> String {
        let mut out = Vec::new();
        let reports = reports();
        start(&mut out, format, reports.len()).unwrap();
        for (index, report) in reports.iter().enumerate() {
            result(&mut out, format, index + 1, report).unwrap();
        }
        end(&mut out, format, "/dev/x", &reports).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tap_has_a_plan_and_one_line_for_each_case() {
        let tap = printed(Format::Tap);
        assert!(tap.starts_with("TAP version 14\n1..4\nok 1 - map:a\nnot ok 2 - map:b\n"), "{tap}");
        assert!(tap.contains("ok 3 - map:c # SKIP not here\n"), "{tap}");
        assert!(tap.contains("not ok 4 - map:d\n  ---\n  severity: error\n"), "{tap}");
        assert!(tap.ends_with("# /dev/x: 1 pass, 1 fail, 1 skip, 1 error\n"), "{tap}");
    }

    #[test]
    fn json_and_xml_escape_what_messages_hold() {
        let json = printed(Format::Json);
        assert!(json.contains(r#""message":"expected \"1\" < 2\nseen & done""#), "{json}");
        assert!(json.ends_with("\"pass\":1,\"fail\":1,\"skip\":1,\"error\":1}\n"), "{json}");
        let xml = printed(Format::Junit);
        assert!(xml.contains("expected &quot;1&quot; &lt; 2 seen &amp; done"), "{xml}");
        assert!(xml.contains("tests=\"4\" failures=\"1\" errors=\"1\" skipped=\"1\""), "{xml}");
    }
}
