//! Events that meet a storm's processes: signals, debuggers, and what is done to the device meanwhile. At the end it looks at what is left.
//!
//! One process and one thread; it starts the workers, so that it can wait for them and debug them.

use std::io::{self, BufRead, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::ledger::{COUNTERS, Head, LANES, SLOTS};
use super::{Command, Storm};
use crate::device::{Dev, READ, RW, SHARED};
use crate::sys::{self, Forked, Status, page_size};
use crate::trace::record::Random;
use crate::{os, probe, runner};

/// A worker with all that it forks: a process group.
struct Crew {
    pid: i32,
    /// When it is to go on, if it is stopped.
    stopped: Option<Instant>,
    /// It has been killed by us.
    killed: bool,
    /// Exit status, if the debugger's wait has taken it.
    ended: Option<Status>,
}

struct Weather<'a> {
    storm: &'a Storm,
    dev: &'a Dev,
    random: Random,
    crews: Vec<Crew>,
    /// Process groups whose first process has ended.
    past: Vec<i32>,
    /// When the device comes back, and when contexts are unlimited again.
    lost_until: Option<Instant>,
    limited_until: Option<Instant>,
    kills: u64,
    stops: u64,
    debugged: u64,
    losses: u64,
    /// Progress of each lane, and the time of its last step.
    beats: Vec<(u64, Instant)>,
}

/// Lets the storm blow. Returns whether nothing was wrong but for what the ledger says.
pub fn blow(storm: &Storm, dev: &Dev, command: &Command, out: &mut impl Write) -> io::Result<bool> {
    let began = Instant::now();
    let mut weather = Weather {
        storm,
        dev,
        random: Random(storm.seed ^ 0x5707),
        crews: Vec::new(),
        past: Vec::new(),
        lost_until: None,
        limited_until: None,
        kills: 0,
        stops: 0,
        debugged: 0,
        losses: 0,
        beats: vec![(0, began); LANES],
    };
    let end = began + Duration::from_secs(command.seconds);
    if command.pause {
        writeln!(out, "begun")?;
        out.flush()?;
    }
    let mut trouble = weather.clear();
    while Instant::now() < end && trouble.is_ok() && storm.ledger.failure().is_none() {
        while weather.crews.len() < command.processes {
            weather.start();
        }
        weather.gust();
        trouble = weather.look(command.patience);
        std::thread::sleep(Duration::from_millis(2));
    }
    let trouble = trouble.and_then(|()| weather.settle(command.patience)).and_then(|()| weather.left());
    weather.end();
    let mut line = format!("seed {}:", storm.seed);
    for (head, name) in COUNTERS {
        line += &format!(" {} {name},", storm.ledger.head(head).load(Ordering::Relaxed));
    }
    let Weather { kills, stops, debugged, losses, .. } = weather;
    writeln!(
        out,
        "{line} {kills} killed, {stops} stopped, {debugged} debugged, device lost {losses} times, in {} s",
        began.elapsed().as_secs()
    )?;
    if let Err(why) = &trouble {
        writeln!(out, "FAILED with seed {}: {why}", storm.seed)?;
    }
    if command.pause {
        writeln!(out, "calm")?;
        out.flush()?;
        io::stdin().lock().read_line(&mut String::new())?;
    }
    Ok(trouble.is_ok())
}

impl Weather<'_> {
    /// The device's common memory is as the ledger says at first: zero.
    fn clear(&self) -> Result<(), String> {
        let page = page_size();
        for of in 0..super::ledger::DEVICE_PAGES {
            let at = sys::mmap(0, page, RW, SHARED, self.dev.fd, (of * page) as i64)
                .map_err(|errno| format!("mmap of page {of}: {errno}"))?;
            for word in (at..at + page).step_by(8) {
                probe::store8(word, 0).map_err(|fault| format!("clearing page {of}: {fault}"))?;
            }
            sys::munmap(at, page).map_err(|errno| format!("munmap: {errno}"))?;
        }
        Ok(())
    }

    fn start(&mut self) {
        let Some(lane) = self.storm.ledger.take_lane(1) else { return };
        let own = sys::getpid();
        match sys::fork() {
            Ok(Forked::Child) => {
                let _ = sys::own_process_group();
                match lane.take(own) {
                    true => self.storm.work(lane, 0),
                    false => sys::exit_now(0),
                }
            }
            Ok(Forked::Parent(pid)) => {
                // So that it is one before it is killed, whoever comes first.
                let _ = sys::make_process_group(pid);
                self.crews.push(Crew { pid, stopped: None, killed: false, ended: None });
            }
            Err(_) => lane.give_back(),
        }
    }

    /// Something happens.
    fn gust(&mut self) {
        let now = Instant::now();
        let soon = |millis: usize| Some(now + Duration::from_millis(millis as u64));
        match self.random.below(400) {
            0..6 => self.kill(),
            6..16 => {
                let (at, time) = (self.random.below(self.crews.len()), 1 + self.random.below(60));
                let crew = &mut self.crews[at];
                if crew.stopped.is_none() && sys::kill(crew.pid, libc::SIGSTOP).is_ok() {
                    crew.stopped = soon(time);
                    self.stops += 1;
                }
            }
            16..24 => self.debug(),
            24..40 => _ = self.dev.revoke(),
            40..44 if self.lost_until.is_none() => {
                self.lost_until = soon(1 + self.random.below(20));
                self.storm.ledger.lost().turn(true);
                let _ = self.dev.lose(true);
                self.losses += 1;
            }
            44..48 if self.limited_until.is_none() => {
                self.limited_until = soon(1 + self.random.below(30));
                self.storm.ledger.limited().turn(true);
                let _ = self.dev.set_max_contexts(1 + self.random.below(6));
            }
            48..52 => {
                let millis = self.random.below(3);
                let _ = self.dev.set_hysteresis(millis);
            }
            _ => {}
        }
        if self.lost_until.is_some_and(|end| end <= now) {
            self.found();
        }
        if self.limited_until.is_some_and(|end| end <= now) {
            self.unlimited();
        }
        for crew in &mut self.crews {
            if crew.stopped.is_some_and(|end| end <= now) {
                crew.stopped = None;
                let _ = sys::kill(crew.pid, libc::SIGCONT);
            }
        }
    }

    fn found(&mut self) {
        self.lost_until = None;
        if let Err(errno) = self.dev.lose_now(false) {
            self.storm.ledger.fail(&format!("the device stays lost: ioctl CTXDEV_LOSE: {}", errno.name()));
        }
        self.storm.ledger.lost().turn(false);
    }

    fn unlimited(&mut self) {
        self.limited_until = None;
        if let Err(errno) = self.dev.set_max_contexts_now(0) {
            self.storm
                .ledger
                .fail(&format!("contexts stay limited: ioctl CTXDEV_SET_MAX_CONTEXTS: {}", errno.name()));
        }
        self.storm.ledger.limited().turn(false);
    }

    /// Kills a worker, all its processes, or one of them.
    fn kill(&mut self) {
        let at = self.random.below(self.crews.len());
        let crew = self.crews[at].pid;
        let victim = match self.random.below(3) {
            0 => crew,
            1 => -crew,
            _ => {
                let owners: Vec<i32> = self.storm.ledger.lanes().map(|lane| lane.owner()).collect();
                let of =
                    |pid: &i32| *pid > 0 && *pid != sys::getpid() && sys::process_group(*pid) == Ok(crew);
                owners.into_iter().rfind(of).unwrap_or(crew)
            }
        };
        self.crews[at].killed |= victim.abs() == crew;
        let _ = sys::kill(victim, libc::SIGKILL);
        self.kills += 1;
    }

    fn debug(&mut self) {
        let at = self.random.below(self.crews.len());
        let page = self.random.below(16);
        let crew = &mut self.crews[at];
        if crew.stopped.is_none() && !crew.killed && crew.ended.is_none() {
            match os::debug(crew.pid, 0x2_0000_0000 + page * page_size()) {
                Ok(None) => self.debugged += 1,
                Ok(ended) => crew.ended = ended,
                Err(_) => {}
            }
        }
    }

    /// Waits for those that have ended, and looks whether the others go on.
    fn look(&mut self, patience: Duration) -> Result<(), String> {
        let mut at = 0;
        while at < self.crews.len() {
            let crew = &self.crews[at];
            let status = match crew.ended.map_or_else(|| sys::wait_now(crew.pid), |ended| Ok(Some(ended))) {
                Ok(None) => {
                    at += 1;
                    continue;
                }
                Ok(Some(status)) => status,
                Err(errno) => return Err(format!("wait for a worker ({}): {errno}", crew.pid)),
            };
            match status {
                Status::Stopped(_) => {
                    at += 1;
                    continue;
                }
                Status::Exited(0) => {}
                Status::Killed(libc::SIGKILL) if crew.killed => {}
                Status::Exited(1) if self.storm.ledger.failure().is_some() => {}
                status => return Err(format!("a worker ({}): {status}", crew.pid)),
            }
            let crew = self.crews.swap_remove(at);
            self.past.push(crew.pid);
        }
        self.past.retain(|group| sys::kill(-group, 0).is_ok());
        let now = Instant::now();
        for lane in self.storm.ledger.lanes() {
            let owner = lane.owner();
            let (program, step, beat) = lane.progress();
            let (seen, since) = &mut self.beats[lane.number];
            let ours = owner > 0 && owner != sys::getpid() && sys::kill(owner, 0).is_ok();
            if beat != *seen || !ours {
                (*seen, *since) = (beat, now);
            } else if now - *since > patience {
                return Err(format!(
                    "no step for {} s: lane {}, process {owner}, program {program}, step {step}",
                    patience.as_secs(),
                    lane.number
                ));
            }
        }
        Ok(())
    }

    /// Everybody comes to an end.
    fn settle(&mut self, patience: Duration) -> Result<(), String> {
        self.storm.ledger.head(Head::Stop).store(1, Ordering::SeqCst);
        self.found();
        self.unlimited();
        let _ = self.dev.set_hysteresis(0);
        let end = Instant::now() + patience;
        while !(self.crews.is_empty() && self.past.is_empty()) {
            for crew in &mut self.crews {
                if crew.stopped.take().is_some() {
                    let _ = sys::kill(crew.pid, libc::SIGCONT);
                }
            }
            self.look(patience)?;
            if Instant::now() > end {
                let left: Vec<i32> =
                    self.crews.iter().map(|crew| crew.pid).chain(self.past.iter().copied()).collect();
                return Err(format!("no end after {} s: process groups {left:?}", patience.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Nothing of the device is in use, and its memory holds what was stored last.
    fn left(&self) -> Result<(), String> {
        if let Some(failure) = self.storm.ledger.failure() {
            drop(failure);
            return Ok(());
        }
        let stats = self.dev.stats().map_err(|stop| format!("{stop:?}"))?;
        if (stats.mappings, stats.contexts) != (0, 0) {
            return Err(format!("left: {} mappings, {} contexts", stats.mappings, stats.contexts));
        }
        let page = page_size();
        for of in 0..super::ledger::DEVICE_PAGES {
            let at = sys::mmap(0, page, READ, SHARED, self.dev.fd, (of * page) as i64)
                .map_err(|errno| format!("mmap of page {of}: {errno}"))?;
            for lane in self.storm.ledger.lanes() {
                for slot in 0..SLOTS {
                    let seen = probe::load8(at + lane.offset(slot)).map_err(|fault| fault.to_string())?;
                    lane.check(of, slot, seen).map_err(|word| {
                        format!(
                            "at the end page {of} has {seen:#x} in lane {}, expected {word:#x}",
                            lane.number
                        )
                    })?;
                }
            }
            sys::munmap(at, page).map_err(|errno| format!("munmap: {errno}"))?;
        }
        Ok(())
    }

    /// Ends what is left after a failure.
    fn end(&mut self) {
        for group in self.crews.drain(..).map(|crew| crew.pid).chain(self.past.drain(..)) {
            let _ = sys::kill(-group, libc::SIGKILL);
            let _ = sys::wait(group);
            runner::end_group(group);
        }
    }
}
