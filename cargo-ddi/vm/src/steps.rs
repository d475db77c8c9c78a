//! A run, step by step: start, login, ssh, ship, install, suite, collect, remove, shut down.

use std::path::Path;

use anyhow::{Context, anyhow};

use crate::failure::Failure;
use crate::guest::Guest;
use crate::monitor::{Interrupt, Monitor};
use crate::payload::Payload;
use crate::progress::Progress;
use crate::qemu::Spec;
use crate::report::{STATUS, Suite, Told};
use crate::session::{Session, last_line};
use crate::subject::{Run, Subject};
use crate::transport::{Ssh, quote};

/// As a sabotage: QEMU is killed, rather than a command run in its guest.
pub const KILL_QEMU: &str = "@kill-qemu";

/// What one run is to do.
#[derive(Debug)]
pub struct Plan<'a> {
    /// How QEMU is started.
    pub spec: Spec<'a>,
    /// The way in, with its key in the seed.
    pub ssh: Ssh,
    /// Subject of the test.
    pub subject: &'a Subject,
    /// What is shipped.
    pub payload: Payload,
    /// Only the cases that match, if given; an empty list means all. Otherwise the description's choice.
    pub filters: Option<&'a [String]>,
    /// Leave the guest up at the end, until a signal.
    pub keep: bool,
    /// After a panic or a hang, also get the crash dump.
    pub dump: bool,
    /// Where everything that is collected goes.
    pub results: &'a Path,
    /// Notices Ctrl-C.
    pub interrupt: Interrupt,
    /// Something that the self-test does to the guest, by the step that it precedes.
    pub sabotage: Option<(&'static str, &'a str)>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Results {
    /// The results per device, also the incomplete ones of a run that ended early.
    pub suites: Vec<Suite>,
    /// Why it ended early.
    pub failure: Option<Failure>,
}

impl Plan<'_> {
    /// Does it all. QEMU is gone when this returns.
    pub fn run(&self, progress: &mut Progress) -> Results {
        let mut results = Results::default();
        progress.step("start", &format!("QEMU with {}", self.spec.accel.argument()));
        let (qemu, events) = match self.spec.start() {
            Ok(started) => started,
            Err(error) => {
                results.failure = Some(error.into());
                return results;
            }
        };
        tracing::info!(pid = qemu.pid(), ssh_port = qemu.ssh_port, "started");
        let mut ssh = self.ssh.clone();
        ssh.set_port(qemu.ssh_port);
        let monitor = Monitor::new(events, self.interrupt.clone(), self.spec.dir.display().to_string());
        let translated = self.spec.accel == crate::accel::Accel::Tcg;
        let mut session = Session { guest: self.spec.guest, qemu, monitor, ssh, translated, progress };
        let ended = self.steps(&mut session, &mut results.suites);
        if let Err(failure) = ended {
            tracing::error!(kind = failure.kind(), "{failure}");
            session.progress.failed(&failure.to_string());
            if let Err(error) = self.after(&mut session, &failure) {
                tracing::warn!("afterwards: {error}");
                session.progress.note(&format!("afterwards: {error}"));
            }
            results.failure = Some(failure);
        }
        session.qemu.quit();
        results
    }

    fn steps(&self, session: &mut Session, suites: &mut Vec<Suite>) -> Result<(), Failure> {
        let steps = &self.spec.guest.steps;
        let wanted = &self.subject.description;
        let dir = &steps.dir;
        let inside = |command: &str| format!("cd {dir} && {command}");

        session.progress.step("boot", "waiting for a login");
        session.wait_for_login("boot")?;
        session.progress.step("ssh", "waiting for an answer");
        session.wait_for_ssh()?;

        let tar = self.payload.tar()?;
        session
            .progress
            .step("ship", &format!("{}, {} KiB", self.payload.names().join(", "), tar.len() / 1024));
        self.sabotage(session, "ship")?;
        let limit = session.limit(|limits| limits.ship);
        session.run(
            "ship",
            limit,
            &format!("rm -rf {dir} && mkdir -p {dir} && cd {dir} && tar xf -"),
            Some(tar),
            &mut last_line,
        )?;

        session.progress.step("install", &wanted.install);
        self.sabotage(session, "install")?;
        let limit = session.limit(|limits| limits.install);
        let job = session.run("install", limit, &inside(&wanted.install), None, &mut last_line)?;
        session.progress.output(&job.stdout);
        for node in &wanted.nodes {
            // add_drv succeeds even when attach fails, so the node is what counts.
            let device = format!("/dev/{node}");
            let check = steps.check.replace("{device}", &device);
            session.run("install", limit, &inside(&check), None, &mut last_line).map_err(|failure| {
                match failure {
                    Failure::Command { status, .. } => Failure::Command {
                        step: "install",
                        status,
                        said: format!("the driver is installed, but there is no {device}"),
                    },
                    other => other,
                }
            })?;
        }

        self.sabotage(session, "suite")?;
        let ended = wanted.runs.iter().try_for_each(|run| self.suite(session, run, suites));
        // A suite that failed as a command leaves a guest that works: the rest is still worth having.
        let failed = match ended {
            Ok(()) => None,
            Err(failure @ Failure::Command { .. }) => Some(failure),
            Err(failure) => return Err(failure),
        };

        session.progress.step("collect", "kstats and messages");
        let limit = session.limit(|limits| limits.collect);
        let kstats = steps.kstats.replace("{driver}", &self.subject.driver);
        for (file, command) in [("kstats.txt", &kstats), ("messages.txt", &steps.messages)] {
            let job = session.run("collect", limit, &inside(command), None, &mut last_line)?;
            self.save(file, &job.stdout)?;
        }

        if self.keep {
            self.keep_up(session)?;
            return failed.map_or(Ok(()), Err);
        }
        session.progress.step("remove", &steps.remove);
        self.sabotage(session, "remove")?;
        let limit = session.limit(|limits| limits.remove);
        let job = session.run("remove", limit, &inside(&steps.remove), None, &mut last_line)?;
        session.progress.output(&job.stdout);

        session.progress.step("shutdown", &steps.shutdown);
        session.shut_down()?;
        session.progress.done();
        failed.map_or(Ok(()), Err)
    }

    fn suite(&self, session: &mut Session, run: &Run, suites: &mut Vec<Suite>) -> Result<(), Failure> {
        let Session { guest, translated, .. } = *session;
        let usual = if translated { run.translated.get(&guest.name) } else { None };
        let filters = self.filters.unwrap_or_else(|| usual.map_or(&[], Vec::as_slice));
        let filters: String = filters.iter().map(|filter| format!(" --filter {}", quote(filter))).collect();
        let command = run.command.replace("{filters}", &filters);
        session.progress.step("test", &command);
        // A failing test program is no failing command: its status is the last line of its output.
        let command = format!(
            "cd {} && PATH=$PWD:$PATH && {{ {command}\n}}; printf '\\n{STATUS}%s\\n' $?",
            guest.steps.dir
        );
        let limit = session.limit(|limits| limits.suite);
        let mut so_far = Vec::new();
        let ended = session.run("suite", limit, &command, None, &mut |stdout| {
            so_far = stdout.to_vec();
            Told::parse(&String::from_utf8_lossy(stdout)).progress()
        });
        let file = format!("suite-{}.tap", run.name.rsplit('/').next().unwrap_or(&run.name));
        self.save(&file, &so_far)?;
        let said = String::from_utf8_lossy(&so_far);
        let told = Told::parse(&said);
        let (stood, status) = (told.progress(), told.status);
        let failure = match ended {
            Ok(job) => match (told.finish(&run.name, &last_line(&job.stderr)), status) {
                (Ok(suite), _) => {
                    suites.push(suite);
                    return Ok(());
                }
                // A program that broke off says why on standard error.
                (Err(error), Some(status)) => {
                    let said = format!("{error}; {}", job.tail());
                    Failure::Command { step: "suite", status, said }
                }
                (Err(error), None) => error.into(),
            },
            Err(failure) => failure,
        };
        session.progress.note(&format!("the tests stood at {stood}"));
        suites.push(Suite::new(&run.name, Told::parse(&said).cases));
        Err(failure)
    }

    /// Leaves the guest up until it goes down by itself or a signal comes.
    fn keep_up(&self, session: &mut Session) -> Result<(), Failure> {
        session.progress.step("keep", "the guest stays up; Ctrl-C ends it");
        session.progress.note(&session.ssh.by_hand());
        session.monitor.step = "keep";
        session.monitor.down_is_failure = false;
        while session.qemu.ended().is_none() {
            match session.monitor.poll(&mut session.qemu) {
                Err(Failure::Interrupted { .. }) => break,
                other => other?,
            }
        }
        Ok(())
    }

    /// After a failure: what the guest still has to say, and its dump if that is wanted.
    fn after(&self, session: &mut Session, failure: &Failure) -> Result<(), Failure> {
        let guest = session.guest;
        match failure {
            Failure::Panic { .. } => {
                session.hear_panic_out()?;
                self.save_panic(guest)?;
                session.progress.note(&format!(
                    "the panic's messages are in {}",
                    self.results.join("messages.txt").display()
                ));
                match &guest.steps.crash {
                    Some(command) if self.dump => {
                        session.progress.step("crash", "waiting for the guest to come up again");
                        session.monitor.recovered();
                        session.wait_for_login("crash")?;
                        session.wait_for_ssh()?;
                        let limit = session.limit(|limits| limits.panic);
                        let job = session.run("crash", limit, command, None, &mut last_line)?;
                        self.save("crash.txt", &job.stdout)?;
                        session.progress.note(&format!(
                            "the crash dump's essentials are in {}",
                            self.results.join("crash.txt").display()
                        ));
                    }
                    _ if self.dump => self.dump_memory(session)?,
                    _ => {}
                }
            }
            Failure::Hung { .. } | Failure::NoLogin { .. } | Failure::LostSsh { .. } if self.dump => {
                self.dump_memory(session)?;
            }
            Failure::Stuck { .. }
            | Failure::Slow { .. }
            | Failure::Command { .. }
            | Failure::GuestDiskFull { .. } => {
                let limit = session.limit(|limits| limits.collect);
                let job = session.run("collect", limit, &guest.steps.messages, None, &mut last_line)?;
                self.save("messages.txt", &job.stdout)?;
                session.progress.note(&format!(
                    "the guest's messages are in {}",
                    self.results.join("messages.txt").display()
                ));
            }
            _ => {}
        }
        Ok(())
    }

    fn dump_memory(&self, session: &mut Session) -> Result<(), Failure> {
        let file = self.results.join("vmcore.elf");
        session.progress.step("dump", "the guest's memory");
        session.qemu.dump_memory(&file)?;
        session.progress.note(&format!("the guest's memory is in {}", file.display()));
        Ok(())
    }

    /// The console from a little before the panic on.
    fn save_panic(&self, guest: &Guest) -> Result<(), Failure> {
        let log = std::fs::read(self.spec.console_log).context("reading the console's log")?;
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let panic = lines
            .iter()
            .position(|line| guest.console.panic.iter().any(|pattern| line.contains(pattern.as_str())));
        let from = panic.unwrap_or(lines.len()).saturating_sub(100);
        self.save("messages.txt", lines[from..].join("\n").as_bytes())
    }

    fn save(&self, file: &str, contents: &[u8]) -> Result<(), Failure> {
        std::fs::write(self.results.join(file), contents)
            .map_err(|error| anyhow!("writing {}: {error}", self.results.join(file).display()).into())
    }

    /// What the self-test does to the guest before `step`. That it breaks its own connection is the point of it.
    fn sabotage(&self, session: &mut Session, step: &str) -> Result<(), Failure> {
        let Some((before, command)) = self.sabotage.filter(|(before, _)| *before == step) else {
            return Ok(());
        };
        if command == KILL_QEMU {
            session.qemu.kill();
            return Ok(());
        }
        let limit = session.limit(|limits| limits.collect);
        session.run(before, limit, command, None, &mut last_line).map(drop)
    }
}
