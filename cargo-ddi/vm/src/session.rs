//! A running guest that can be waited for, told to do things, and asked what is wrong with it.
//!
//! Every wait has a limit and goes through the monitor, so that a panic, QEMU's end or a signal ends it at once.

use std::time::{Duration, Instant};

use crate::clock::Stopwatch;
use crate::failure::Failure;
use crate::guest::{Guest, Limits};
use crate::monitor::Monitor;
use crate::progress::Progress;
use crate::qemu::Qemu;
use crate::transport::{Ended, Job, Ssh};

/// Between two attempts to reach ssh.
const RETRY: Duration = Duration::from_millis(500);
/// After ssh is lost, a panic's first line may still be on its way to the console.
const GRACE: Duration = Duration::from_secs(3);
/// How long a prompt may take to come back after a newline, before stretching for translation.
const PROMPT: u32 = 5;

/// A guest that has been started.
#[derive(Debug)]
pub struct Session<'a> {
    /// Its description.
    pub guest: &'a Guest,
    /// Its QEMU.
    pub qemu: Qemu,
    /// What has been noticed about it.
    pub monitor: Monitor,
    /// The way into it.
    pub ssh: Ssh,
    /// Whether QEMU translates: limits are stretched.
    pub translated: bool,
    /// Progress, for people.
    pub progress: &'a mut Progress,
}

impl Session<'_> {
    /// A limit of the description, stretched if need be.
    pub fn limit(&self, pick: impl Fn(&Limits) -> u32) -> Duration {
        self.guest.limits.of(pick(&self.guest.limits), self.translated)
    }

    /// A clock for the guest's time, in which limits are.
    fn watch(&self) -> Stopwatch {
        Stopwatch::start(self.qemu.pid())
    }

    /// Looks around for a moment, and shows what is waited for, for how long at most, and where that stands.
    fn wait(&mut self, what: &str, limit: Duration, stands: Option<&str>) -> Result<(), Failure> {
        self.progress.waiting(what, limit, stands.unwrap_or(&self.monitor.last_line));
        self.monitor.poll(&mut self.qemu)
    }

    /// Waits for a login prompt on the console.
    pub fn wait_for_login(&mut self, step: &'static str) -> Result<(), Failure> {
        self.monitor.step = step;
        let (limit, before) = (self.limit(|limits| limits.boot), self.monitor.logins);
        let watch = self.watch();
        while self.monitor.logins == before {
            if watch.over(limit) {
                return Err(Failure::NoLogin { limit, last: self.monitor.last_line.clone() });
            }
            self.wait("for a login", limit, None)?;
        }
        Ok(())
    }

    /// Waits until a command runs over ssh.
    pub fn wait_for_ssh(&mut self) -> Result<(), Failure> {
        self.monitor.step = "ssh";
        let limit = self.limit(|limits| limits.ssh);
        let watch = self.watch();
        loop {
            let mut said = String::new();
            if self.answers_ssh(watch.left(limit), &mut said)? {
                return Ok(());
            }
            if watch.over(limit.saturating_sub(RETRY)) {
                // Tell a guest that has stopped from one whose ssh has.
                return Err(if self.answers_on_console()? {
                    Failure::NoSsh { limit, said }
                } else {
                    Failure::Hung { step: "ssh", silent: self.monitor.silent() }
                });
            }
            let again = Instant::now() + RETRY;
            while Instant::now() < again {
                self.wait("for an answer over ssh", limit, Some(&said))?;
            }
        }
    }

    /// Whether a trivial command runs over ssh within `limit`.
    fn answers_ssh(&mut self, limit: Duration, said: &mut String) -> Result<bool, Failure> {
        let mut job = self.ssh.start("true", None)?;
        let watch = self.watch();
        loop {
            match job.ended() {
                Some(Ended::Status(0)) => return Ok(true),
                Some(_) => {
                    *said = job.tail();
                    return Ok(false);
                }
                None if watch.over(limit) => {
                    *said = "no answer".to_owned();
                    return Ok(false);
                }
                None => self.monitor.poll(&mut self.qemu)?,
            }
        }
    }

    /// Whether a newline on the console brings a prompt.
    fn answers_on_console(&mut self) -> Result<bool, Failure> {
        let before = self.monitor.logins;
        if self.qemu.type_text("\n").is_err() {
            return Ok(false);
        }
        let (watch, limit) = (self.watch(), self.limit(|_| PROMPT));
        while !watch.over(limit) {
            self.monitor.poll(&mut self.qemu)?;
            if self.monitor.logins > before {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Runs `command` as root in the guest's directory. `each` sees the standard output so far, whenever more has come, and says where the command stands.
    ///
    /// A status other than 0 is an error, as are silence, slowness, a full disk and whatever the monitor notices.
    pub fn run(
        &mut self,
        step: &'static str,
        limit: Duration,
        command: &str,
        input: Option<Vec<u8>>,
        each: &mut dyn FnMut(&[u8]) -> String,
    ) -> Result<Job, Failure> {
        self.monitor.step = step;
        self.monitor.disk_full = None;
        tracing::info!(step, limit = limit.as_secs(), "{command}");
        let mut job = self.ssh.start(command, input)?;
        let (start, watch, mut heard) = (Instant::now(), self.watch(), self.watch());
        let silence = self.limit(|limits| limits.silence);
        let mut stands = String::new();
        let ended = loop {
            if job.receive() {
                heard = self.watch();
                stands = each(&job.stdout);
            }
            if let Some(ended) = job.ended() {
                each(&job.stdout);
                break ended;
            }
            if watch.over(limit) {
                drop(job);
                return Err(self.explain_slowness(step, limit)?);
            }
            if heard.over(silence) {
                drop(job);
                return Err(self.explain_silence(step, heard.elapsed())?);
            }
            self.wait("for the command's end", limit, Some(&stands))?;
        };
        tracing::info!(
            step,
            ?ended,
            seconds = start.elapsed().as_secs_f32(),
            "stderr: {}",
            String::from_utf8_lossy(&job.stderr).trim()
        );
        match ended {
            Ended::Status(0) => Ok(job),
            Ended::Lost => {
                let said = job.tail();
                Err(self.explain_loss(step, said)?)
            }
            Ended::Status(status) => {
                let full =
                    job.disk_full(&self.guest.console.disk_full).or_else(|| self.monitor.disk_full.take());
                Err(match full {
                    Some(line) => Failure::GuestDiskFull { step, line },
                    None => Failure::Command { step, status, said: job.tail() },
                })
            }
        }
    }

    /// The command is silent: does the guest still answer?
    fn explain_silence(&mut self, step: &'static str, silent: Duration) -> Result<Failure, Failure> {
        let limit = self.limit(|_| 2 * PROMPT);
        let mut said = String::new();
        if self.answers_ssh(limit, &mut said)? {
            return Ok(Failure::Stuck { step, silent });
        }
        if self.answers_on_console()? {
            return Ok(Failure::LostSsh { step, said });
        }
        Ok(Failure::Hung { step, silent: silent.min(self.monitor.silent()) })
    }

    fn explain_slowness(&mut self, step: &'static str, limit: Duration) -> Result<Failure, Failure> {
        let mut said = String::new();
        let patience = self.limit(|_| 2 * PROMPT);
        if self.answers_ssh(patience, &mut said)? || self.answers_on_console()? {
            return Ok(Failure::Slow { step, limit });
        }
        Ok(Failure::Hung { step, silent: self.monitor.silent() })
    }

    /// ssh is gone: because the guest is?
    fn explain_loss(&mut self, step: &'static str, said: String) -> Result<Failure, Failure> {
        let until = Instant::now() + GRACE;
        while Instant::now() < until {
            self.monitor.poll(&mut self.qemu)?;
        }
        if self.answers_on_console()? {
            return Ok(Failure::LostSsh { step, said });
        }
        Ok(Failure::Hung { step, silent: self.monitor.silent() })
    }

    /// Tells the guest to power off and waits until QEMU has ended.
    pub fn shut_down(&mut self) -> Result<(), Failure> {
        let step = "shutdown";
        self.monitor.step = step;
        self.monitor.down_is_failure = false;
        let limit = self.limit(|limits| limits.shutdown);
        let watch = self.watch();
        // The command's own end is of no interest: the connection goes down with the guest.
        let mut job = self.ssh.start(&self.guest.steps.shutdown, None)?;
        while self.qemu.ended().is_none() {
            if watch.over(limit) {
                return Err(Failure::Slow { step, limit });
            }
            if let Some(Ended::Status(status @ 1..)) = job.ended()
                && !self.monitor.down
            {
                return Err(Failure::Command { step, status, said: job.tail() });
            }
            self.wait("for the guest's end", limit, None)?;
        }
        Ok(())
    }

    /// After a panic: waits for the rest of its story, at most for the description's limit.
    pub fn hear_panic_out(&mut self) -> Result<(), Failure> {
        let (watch, limit) = (self.watch(), self.limit(|limits| limits.panic));
        while !self.monitor.panic_end && !watch.over(limit) && self.qemu.ended().is_none() {
            self.progress.waiting("for the rest of the panic's messages", limit, &self.monitor.last_line);
            self.monitor.watch_on()?;
        }
        // The lines behind the last pattern.
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            self.monitor.watch_on()?;
        }
        Ok(())
    }
}

/// The last line that a command has printed.
pub fn last_line(output: &[u8]) -> String {
    let end = &output[output.len().saturating_sub(1024)..];
    String::from_utf8_lossy(end).trim_end().rsplit('\n').next().unwrap_or_default().to_owned()
}
