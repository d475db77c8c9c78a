//! `usr-tests replay`: runs recorded programs and compares each line.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::play;
use usr_tests::recorded::call::Call;
use usr_tests::recorded::{Program, Step, parse};

pub const USAGE: &str = "\
usage: usr-tests replay FILE... [--device PATH] [--keep-going] [--program N]... [--timeout SECONDS]
Runs recorded programs (README.md of usr-tests says what they are and how the device must be set up) and compares
the result of each call, line by line. A FILE may be compressed with gzip.
  --device PATH      the device, a ctxdev (default /dev/ctxdev0); nothing else may use it
  --keep-going       continue after a line that differs, and count such lines
  --program N        run only the program with this number
  --timeout SECONDS  the time limit of a line (default 60)
exit status: 0 all lines are as recorded, 1 some differ (or a program does not end), 2 wrong usage
";

/// Lines shown before one that differs.
const CONTEXT: usize = 6;
/// Programs of which the first differing line is shown.
const SHOWN: usize = 20;

struct Command {
    files: Vec<PathBuf>,
    device: String,
    keep_going: bool,
    only: Vec<u64>,
    limit: Duration,
}

fn command(mut args: impl Iterator<Item = String>) -> Result<Command, String> {
    let (files, device) = (Vec::new(), "/dev/ctxdev0".into());
    let mut command =
        Command { files, device, keep_going: false, only: Vec::new(), limit: Duration::from_secs(60) };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--device" => command.device = value()?,
            "--keep-going" => command.keep_going = true,
            "--program" => {
                let number = value()?;
                command.only.push(number.parse().map_err(|_| format!("--program {number}: not a number"))?);
            }
            "--timeout" => command.limit = crate::seconds(&value()?)?,
            option if option.starts_with('-') => return Err(format!("unknown option {option}")),
            file => command.files.push(file.into()),
        }
    }
    if command.files.is_empty() {
        return Err("no FILE to replay".into());
    }
    Ok(command)
}

/// The command. Whether all lines are as recorded; an error is one of usage.
pub fn main(args: impl Iterator<Item = String>, out: &mut impl Write) -> Result<bool, String> {
    let command = command(args)?;
    let mut traces = Vec::new();
    for file in &command.files {
        let mut programs = parse::file(file)?;
        programs.retain(|program| command.only.is_empty() || command.only.contains(&program.number));
        if programs.is_empty() {
            return Err(format!("{}: no such program", file.display()));
        }
        traces.push((file, programs));
    }
    super::check_device(&command.device)?;
    let mut good = true;
    for (file, programs) in traces {
        let name = file.display().to_string();
        let mut tally = Tally::default();
        for (index, program) in programs.iter().enumerate() {
            progress(&format!("{name}: program {} of {}", index + 1, programs.len()));
            let comparison = compare(program, &command);
            progress("");
            tally.add(program, &comparison);
            if let Some(what) = comparison.describe(program) {
                if tally.shown < SHOWN {
                    tally.shown += 1;
                    write!(out, "{name}: {what}").map_err(crate::printing)?;
                }
                if !command.keep_going {
                    break;
                }
            }
        }
        tally.report(&name, out).map_err(crate::printing)?;
        good &= tally.good();
        if !good && !command.keep_going {
            return Ok(false);
        }
    }
    Ok(good)
}

/// Shows the progress of a long run on a terminal.
pub fn progress(text: &str) {
    let mut err = io::stderr();
    if err.is_terminal() {
        let _ = write!(err, "\r\x1b[K{text}");
        let _ = err.flush();
    }
}

/// Outcome of a program beside the recorded one.
struct Comparison {
    /// The line that came in each line's place.
    seen: Vec<Option<String>>,
    /// Lines that are as recorded but for a rule of [`excused`].
    excused: usize,
    /// It came to its end, or to where it was stopped.
    ended: Result<(), String>,
}

fn compare(program: &Program, command: &Command) -> Comparison {
    let mut seen = vec![None; program.lines.len()];
    let mut by_rule = 0;
    let ended =
        play::run(program, &command.device, command.limit, |play::Said { line, mut text, lenient }| {
            let Some(recorded) = program.lines.get(line) else { return true };
            if lenient && *recorded != text && excused(recorded, &text) {
                by_rule += 1;
                text.clone_from(recorded);
            }
            let same = *recorded == text;
            seen[line].get_or_insert(text);
            same || command.keep_going
        });
    Comparison { seen, excused: by_rule, ended }
}

/// The one rule by which a line may differ: Linux lets ordinary memory that may only be written be read, where illumos may refuse it.
fn excused(recorded: &str, seen: &str) -> bool {
    let parts = |line: &str| {
        let (call, rest) = line.split_once(" -> ")?;
        let (outcome, changes) = rest.split_once(" | ")?;
        Some([call, outcome, changes].map(str::to_owned))
    };
    match (parts(recorded), parts(seen)) {
        (Some([call, outcome, changes]), Some([seen_call, _, seen_changes])) => {
            let refused = outcome == "SEGV code=2 errno=0" || outcome == "EFAULT";
            refused && call == seen_call && changes == seen_changes
        }
        _ => false,
    }
}

impl Comparison {
    /// The lines that differ, in order; without those that did not come because the run was stopped before.
    fn differences<'a>(&'a self, program: &'a Program) -> impl Iterator<Item = usize> + 'a {
        let last = self.seen.iter().rposition(Option::is_some).unwrap_or(0);
        let lines = program.lines.iter().zip(&self.seen).enumerate();
        lines
            .filter(move |(index, (line, seen))| {
                seen.as_ref().is_some_and(|seen| seen != *line) || seen.is_none() && *index < last
            })
            .map(|(index, _)| index)
    }

    /// The difference, if there is one.
    fn describe(&self, program: &Program) -> Option<String> {
        let number = program.number;
        if let Some(at) = self.differences(program).next() {
            let mut text = format!("program {number}: line {} is not as recorded\n", program.first_line + at);
            for line in &program.lines[at.saturating_sub(CONTEXT)..at] {
                text.push_str(&format!("      {line}\n"));
            }
            let seen = self.seen[at].as_deref().unwrap_or("(no such call was made)");
            text.push_str(&format!("    - {}\n    + {seen}\n", program.lines[at]));
            if let Err(why) = &self.ended {
                text.push_str(&format!("    and the program has not come to its end: {why}\n"));
            }
            return Some(text);
        }
        let why = self.ended.as_ref().err()?;
        let came = self.seen.iter().filter(|line| line.is_some()).count();
        let next = program.lines.get(came).map_or("", String::as_str);
        Some(format!(
            "program {number} has not come to its end: {why}\n      {came} of its {} lines are as recorded; then: {next}\n",
            program.lines.len()
        ))
    }
}

/// Counts of a file.
#[derive(Default)]
struct Tally {
    programs: usize,
    unfinished: usize,
    excused: usize,
    shown: usize,
    /// By kind of call: lines compared, and those that differ.
    kinds: BTreeMap<&'static str, (usize, usize)>,
}

impl Tally {
    fn add(&mut self, program: &Program, comparison: &Comparison) {
        self.programs += 1;
        self.unfinished += usize::from(comparison.ended.is_err());
        self.excused += comparison.excused;
        let mut kinds = vec!["end"; program.lines.len()];
        name_lines(&program.steps, &mut kinds);
        for (kind, seen) in kinds.iter().zip(&comparison.seen) {
            self.kinds.entry(kind).or_default().0 += usize::from(seen.is_some());
        }
        for line in comparison.differences(program) {
            self.kinds.entry(kinds[line]).or_default().1 += 1;
        }
    }

    fn good(&self) -> bool {
        self.unfinished == 0 && self.kinds.values().all(|(_, differ)| *differ == 0)
    }

    fn report(&self, name: &str, out: &mut impl Write) -> io::Result<()> {
        let sum = |which: fn(&(usize, usize)) -> usize| self.kinds.values().map(which).sum::<usize>();
        let (lines, differ) = (sum(|kind| kind.0), sum(|kind| kind.1));
        writeln!(out, "{name}: {} programs, {lines} lines compared, {differ} differ", self.programs)?;
        for (kind, (lines, differ)) in self.kinds.iter().filter(|(_, (_, differ))| *differ > 0) {
            writeln!(out, "    {kind}: {differ} of {lines} differ")?;
        }
        if self.excused > 0 {
            let what = "from memory that may only be written, which illumos refuses and Linux does not";
            writeln!(out, "    as recorded but for {} loads {what}", self.excused)?;
        }
        if self.unfinished > 0 {
            writeln!(out, "    {} programs did not come to their end", self.unfinished)?;
        }
        out.flush()
    }
}

/// Notes of each line what made it.
fn name_lines(steps: &[Step], kinds: &mut [&'static str]) {
    for step in steps {
        match step {
            Step::Call { line, call, .. } => kinds[*line] = Call::kind(call),
            Step::Fork { line, child, .. } => {
                kinds[*line] = "fork";
                kinds[child.waited] = "waited";
                if let Some(line) = child.unmaps_all {
                    kinds[line] = "unmapall";
                }
                name_lines(&child.steps, kinds);
            }
        }
    }
}
