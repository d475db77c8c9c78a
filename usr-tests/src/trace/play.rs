//! Runs a program: a first process, a second one, and their children, which take turns.
//!
//! The first process has the program's steps before it, and so has everybody that is forked from it. It makes its own, and tells the second one
//! by number to make one of that one's. Outcomes go to a pipe, one line each, with the number of the line in front.

use std::io::Write as _;
use std::time::{Duration, Instant};

use super::execute::Means;
use crate::sys::{self, Forked, Status};
use crate::{probe, runner};
use usr_tests::recorded::call::Call;
use usr_tests::recorded::parse::indentation;
use usr_tests::recorded::{CHILD_STATUS, Child, Program, Step};

/// The counters of which a line tells how they have changed.
type Counters = ctxdev_user::Stats;

/// Output of a process.
pub struct Said {
    /// The number of the line.
    pub line: usize,
    pub text: String,
    /// The system has allowed what illumos may refuse ([`Means::is_lenient`]).
    pub lenient: bool,
}

/// Marks a line that is lenient.
const LENIENT: &str = "~";

/// Stands in front of a message that is no line.
const TROUBLE: &str = "! ";

/// A process of a program.
struct Player<'a> {
    means: Means<'a>,
    out: i32,
    peer: bool,
    generation: usize,
}

impl Player<'_> {
    fn say(&self, line: usize, text: &str) {
        self.say_marked(line, "", text);
    }

    fn say_marked(&self, line: usize, mark: &str, text: &str) {
        let _ = sys::write(self.out, format!("{line}{mark} {text}\n").as_bytes());
    }

    /// The front of a line; some have no `P`.
    fn front(&self, marked: bool, first: bool) -> String {
        let peer = if self.peer && marked { "P " } else { "" };
        let width = if self.generation == 0 { 0 } else { indentation(self.generation, first) };
        format!("{peer}{:width$}", "")
    }

    fn changes(&self, before: &Counters) -> String {
        let now = self.means.stats();
        format!(
            "| maps+{} f+{} s+{} d+{} u+{} m={} c={}",
            now.maps.wrapping_sub(before.maps),
            now.faults.wrapping_sub(before.faults),
            now.switches.wrapping_sub(before.switches),
            now.dups.wrapping_sub(before.dups),
            now.unmaps.wrapping_sub(before.unmaps),
            now.mappings,
            now.contexts
        )
    }

    fn living(&self) -> String {
        let now = self.means.stats();
        format!("m={} c={}", now.mappings, now.contexts)
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Call { line, call: Call::Nothing, .. } => {
                self.say(*line, &format!("{}nop", self.front(true, false)));
            }
            Step::Call { line, call: Call::Fork, .. } => self.fork(*line, None),
            Step::Call { line, call, .. } => {
                let before = self.means.stats();
                let outcome = self.means.call(call);
                let (front, changes) = (self.front(true, false), self.changes(&before));
                let mark = if Means::is_lenient(call) { LENIENT } else { "" };
                self.say_marked(
                    *line,
                    mark,
                    &format!("{front}{call} -> {outcome}{} {changes}", call.behind()),
                );
            }
            Step::Fork { line, child, .. } => self.fork(*line, Some(child)),
        }
    }

    /// Forks. Without a `child`, fork is to be refused; one that comes all the same ends at once.
    fn fork(&mut self, line: usize, child: Option<&Child>) {
        let before = self.means.stats();
        match sys::fork() {
            Err(errno) => {
                let (front, changes) = (self.front(true, false), self.changes(&before));
                self.say(line, &format!("{front}fork -> {} {changes}", errno.name()));
            }
            Ok(Forked::Child) => {
                self.generation += 1;
                let (front, changes) = (self.front(true, true), self.changes(&before));
                self.say(line, &format!("{front}child {changes}"));
                self.live(child)
            }
            Ok(Forked::Parent(pid)) => {
                let status = match sys::wait(pid) {
                    Ok(Status::Exited(status)) => status,
                    Ok(Status::Killed(signal)) => 1000 + signal,
                    Ok(Status::Stopped(_)) | Err(_) => -1,
                };
                if let Some(child) = child {
                    let (front, living) = (self.front(false, false), self.living());
                    self.say(child.waited, &format!("{front}waited -> {status} {living}"));
                }
            }
        }
    }

    /// A child's life.
    fn live(&mut self, child: Option<&Child>) -> ! {
        if let Some(child) = child {
            child.steps.iter().for_each(|step| self.step(step));
            if let Some(line) = child.unmaps_all {
                self.unmap_all(line, "unmapall");
            }
            if child.killed {
                let _ = sys::kill(sys::getpid(), libc::SIGKILL);
            }
        }
        sys::exit_now(CHILD_STATUS)
    }

    fn unmap_all(&self, line: usize, word: &str) {
        let before = self.means.stats();
        self.means.unmap_all();
        let (front, changes) = (self.front(false, false), self.changes(&before));
        self.say(line, &format!("{front}{word} {changes}"));
    }
}

/// Operations of a program's first process, and of its second one.
fn live(program: &Program, device: &str, out: i32) -> Result<(), String> {
    probe::install();
    let means = Means::new(device)?;
    let mut player = Player { means, out, peer: false, generation: 0 };
    let (ours, theirs) = sys::socketpair().map_err(|errno| format!("socketpair: {errno}"))?;
    let second = match sys::fork().map_err(|errno| format!("fork: {errno}"))? {
        Forked::Child => {
            let _ = sys::close(ours);
            player.peer = true;
            let mut number = [0; 8];
            while sys::read(theirs, &mut number) == Ok(number.len()) {
                match program.steps.get(usize::from_ne_bytes(number)) {
                    Some(step) => player.step(step),
                    None => player.means.unmap_all(),
                }
                let _ = sys::write(theirs, &[0]);
            }
            sys::exit_now(0)
        }
        Forked::Parent(pid) => pid,
    };
    let _ = sys::close(theirs);
    let second_does = |number: usize| {
        let _ = sys::write(ours, &number.to_ne_bytes());
        match sys::read(ours, &mut [0]) {
            Ok(1) => Ok(()),
            _ => Err(format!(
                "the second process: {}",
                sys::wait(second).map_or_else(|e| e.to_string(), |s| s.to_string())
            )),
        }
    };
    for (number, step) in program.steps.iter().enumerate() {
        match step.peer() {
            true => second_does(number)?,
            false => player.step(step),
        }
    }
    second_does(program.steps.len())?;
    let _ = sys::close(ours);
    let _ = sys::wait(second);
    let [gone, end] = program.last_lines;
    player.say(gone, &format!("peer gone {}", player.living()));
    player.unmap_all(end, "end");
    player.means.reset();
    Ok(())
}

/// Runs a program; `hear` gets each line as it comes, and says whether to go on. No line may take longer than `limit`.
///
/// # Errors
/// The program could not be run to its end.
pub fn run(
    program: &Program,
    device: &str,
    limit: Duration,
    mut hear: impl FnMut(Said) -> bool,
) -> Result<(), String> {
    let (from, out) = sys::pipe().map_err(|errno| format!("pipe: {errno}"))?;
    let first = match sys::fork().map_err(|errno| format!("fork: {errno}"))? {
        Forked::Child => {
            let _ = sys::close(from);
            let _ = sys::own_process_group();
            if let Err(trouble) = live(program, device, out) {
                let _ = sys::write(out, format!("{TROUBLE}{trouble}\n").as_bytes());
                sys::exit_now(1);
            }
            sys::exit_now(0)
        }
        Forked::Parent(pid) => pid,
    };
    let _ = sys::close(out);
    let heard = listen(from, limit, &mut hear);
    let _ = sys::close(from);
    if !matches!(heard, Ok(true)) {
        let _ = sys::kill(-first, libc::SIGKILL);
        let _ = sys::kill(first, libc::SIGKILL);
    }
    let status = sys::wait(first).map_err(|errno| format!("wait: {errno}"))?;
    let strays = runner::end_group(first);
    match (heard?, status) {
        (false, _) => Ok(()),
        (true, Status::Exited(0)) if strays => Err("it has left processes behind".into()),
        (true, Status::Exited(0)) => Ok(()),
        (true, status) => Err(format!("its first process: {status}")),
    }
}

/// Hands on what comes until the end; false if `hear` wants no more.
fn listen(from: i32, limit: Duration, hear: &mut impl FnMut(Said) -> bool) -> Result<bool, String> {
    let mut rest = Vec::new();
    let mut patience = Instant::now() + limit;
    loop {
        if !sys::wait_readable(from, Duration::from_millis(200)).unwrap_or(false) {
            if Instant::now() > patience {
                return Err(format!("nothing more has come for {} s", limit.as_secs()));
            }
            continue;
        }
        let mut part = [0; 4096];
        match sys::read(from, &mut part) {
            Ok(0) => return Ok(true),
            Ok(n) => _ = rest.write_all(&part[..n]),
            Err(sys::Errno(libc::EINTR)) => continue,
            Err(errno) => return Err(format!("read: {errno}")),
        }
        patience = Instant::now() + limit;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).take(end).collect();
            let line = String::from_utf8_lossy(&line).into_owned();
            if let Some(trouble) = line.strip_prefix(TROUBLE) {
                return Err(trouble.to_owned());
            }
            let Some((number, text)) = line.split_once(' ') else { continue };
            let (number, lenient) = number.strip_suffix(LENIENT).map_or((number, false), |n| (n, true));
            if let Ok(line) = number.parse()
                && !hear(Said { line, text: text.to_owned(), lenient })
            {
                return Ok(false);
            }
        }
    }
}
