//! Reads a trace: lines to programs.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::call::{self, Call};
use super::{CHILD_STATUS, Child, Program, Step};

/// Indentation of a line of a trace: two spaces for each generation of children; a child's first line comes behind its parent's
/// indentation and its own.
pub fn indentation(generation: usize, first: bool) -> usize {
    if first { 4 * generation - 2 } else { 2 * generation }
}

/// A trace file, unpacked if it was packed by gzip(1), whatever its name.
fn open(path: &Path) -> Result<Box<dyn BufRead>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    if path.is_dir() {
        return Err(format!("{}: is a directory, not a trace", path.display()));
    }
    let packed = file.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
    if packed { Ok(Box::new(BufReader::new(MultiGzDecoder::new(file)))) } else { Ok(Box::new(file)) }
}

/// The programs of a trace file.
///
/// # Errors
/// An error in the file, with its line.
pub fn file(path: &Path) -> Result<Vec<Program>, String> {
    let mut text = Vec::new();
    open(path)?.read_to_end(&mut text).map_err(|error| format!("{}: {error}", path.display()))?;
    let text = String::from_utf8(text).map_err(|_| format!("{}: not a trace: no text", path.display()))?;
    let all = programs(&text).map_err(|(line, why)| format!("{}:{line}: {why}", path.display()))?;
    if all.is_empty() {
        return Err(format!("{}: no program in it", path.display()));
    }
    Ok(all)
}

type Wrong = (usize, String);

/// The programs of a trace.
///
/// # Errors
/// The line that is wrong, and why.
pub fn programs(text: &str) -> Result<Vec<Program>, Wrong> {
    let mut all: Vec<Program> = Vec::new();
    let mut reader: Option<Reader> = None;
    let mut lines = 0;
    for (index, line) in text.lines().enumerate() {
        lines = index + 1;
        let wrong = |why: String| (index + 1, why);
        match line.strip_prefix("program ") {
            Some(number) => {
                if let Some(reader) = reader.take() {
                    all.push(reader.finish().map_err(wrong)?);
                }
                let number = number.parse().map_err(|_| wrong(format!("no number: {line}")))?;
                let program = Program { number, first_line: index + 2, ..Program::default() };
                reader = Some(Reader { program, nest: Vec::new(), ended: 0 });
            }
            None => {
                let reader =
                    reader.as_mut().ok_or_else(|| wrong("a trace begins with `program N`".into()))?;
                reader.line(line).map_err(wrong)?;
            }
        }
    }
    if let Some(reader) = reader {
        all.push(reader.finish().map_err(|why| (lines, why))?);
    }
    Ok(all)
}

/// Reads one program.
struct Reader {
    program: Program,
    /// The children whose lines are being read: the line and process of their first line, and what they do.
    nest: Vec<(usize, bool, Child)>,
    /// Number of the two last lines that have come.
    ended: usize,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let index = self.program.lines.len();
        self.program.lines.push(line.to_owned());
        let (peer, text) = line.strip_prefix("P ").map_or((false, line), |text| (true, text));
        let call = text.trim_start_matches(' ');
        let indent = text.len() - call.len();
        let (call, counters) = call.split_once(" | ").unwrap_or((call, ""));
        let (call, outcome) = call.split_once(" -> ").unwrap_or((call, ""));
        let generation = self.nest.len();
        let first = call == "child";
        let outer = call == "waited";
        let expected = match generation {
            _ if first => indentation(generation + 1, true),
            0 if outer => return Err("nobody has forked".into()),
            _ => indentation(generation - usize::from(outer), false),
        };
        if self.ended == 2 || self.ended == 1 && call != "end" {
            return Err("a program ends with `peer gone` and `end`".into());
        }
        if indent != expected {
            return Err(format!("{indent} spaces before {call:?}, not {expected}"));
        }
        if peer != self.nest.last().map_or(peer, |(_, peer, _)| *peer) && !outer && call != "unmapall" {
            return Err("a line of one process among those of another one's child".into());
        }
        match call {
            "child" => self.nest.push((index, peer, Child::default())),
            "waited" => self.waited(index, outcome)?,
            "unmapall" => match self.nest.last_mut() {
                Some((_, _, child)) => child.unmaps_all = Some(index),
                None => return Err("only a child does unmapall".into()),
            },
            "end" if self.ended == 1 => self.end(index),
            _ if call.starts_with("peer gone") => self.end(index),
            _ => {
                let call = call::parse(call, outcome).ok_or_else(|| format!("no call: {line}"))?;
                if counters.is_empty() && call != Call::Nothing {
                    return Err(format!("no counters: {line}"));
                }
                self.push(Step::Call { line: index, peer, call });
            }
        }
        Ok(())
    }

    fn push(&mut self, step: Step) {
        match self.nest.last_mut() {
            Some((_, _, child)) => child.steps.push(step),
            None => self.program.steps.push(step),
        }
    }

    /// `waited -> STATUS m=x c=y`.
    fn waited(&mut self, index: usize, outcome: &str) -> Result<(), String> {
        let Some((line, peer, mut child)) = self.nest.pop() else { return Err("nobody has forked".into()) };
        child.waited = index;
        child.killed = match outcome.split(' ').next().and_then(|status| status.parse::<i32>().ok()) {
            Some(CHILD_STATUS) => false,
            Some(1009) => true,
            _ => return Err(format!("a child ends with {CHILD_STATUS} or 1009, not {outcome}")),
        };
        self.push(Step::Fork { line, peer, child });
        Ok(())
    }

    fn end(&mut self, index: usize) {
        self.program.last_lines[self.ended] = index;
        self.ended += 1;
    }

    fn finish(self) -> Result<Program, String> {
        if self.ended == 2 && self.nest.is_empty() {
            return Ok(self.program);
        }
        Err(format!("program {} has no end", self.program.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(name: &str) -> Vec<Program> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("traces").join(name);
        file(&path).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn calls_are_written_as_they_are_read() {
        let mut calls = 0;
        for name in ["pseudo.trace.gz", "pci.trace.gz", "lengths.trace.gz"] {
            for program in trace(name) {
                for (line, written) in
                    program.lines.iter().zip(program.calls()).filter(|(_, w)| !w.is_empty())
                {
                    let call = line.split(" -> ").next().and_then(|call| call.split(" | ").next());
                    assert_eq!(call, Some(&*written));
                    calls += 1;
                }
            }
        }
        assert_eq!(calls, 42_294, "calls and forks of 500 programs");
    }

    #[test]
    fn what_is_no_trace_is_said_with_its_line() {
        let head = "program 1\n";
        let tail = "peer gone m=0 c=0\nend | maps+0 f+0 s+0 d+0 u+0 m=0 c=0\n";
        let counters = " | maps+0 f+0 s+0 d+0 u+0 m=0 c=0\n";
        assert!(programs(&format!("{head}{tail}")).is_ok());
        for (text, line, why) in [
            ("revoke -> ok\n".to_owned(), 1, "begins with"),
            (format!("{head}revoke -> ok{counters}"), 2, "has no end"),
            (format!("{head}jump -> ok{counters}{tail}"), 2, "no call"),
            (format!("{head}munmap p15 n=2 -> ok{counters}{tail}"), 2, "no call"),
            (format!("{head}revoke -> ok\n{tail}"), 2, "no counters"),
            (format!("{head}  revoke -> ok{counters}{tail}"), 2, "spaces before"),
            (format!("{head}waited -> 7 m=0 c=0\n{tail}"), 2, "nobody has forked"),
            (format!("{head}  child{counters}  waited -> 7 m=0 c=0\n{tail}"), 3, "spaces before"),
            (format!("{head}  child{counters}waited -> 3 m=0 c=0\n{tail}"), 3, "ends with 7 or 1009"),
            (format!("{head}  child{counters}P   revoke -> ok{counters}{tail}"), 3, "of another one's child"),
            (format!("{head}{tail}revoke -> ok{counters}"), 4, "ends with"),
        ] {
            let wrong = programs(&text).map(drop).unwrap_err();
            assert!(wrong.0 == line && wrong.1.contains(why), "{text:?}: {wrong:?}");
        }
    }
}
