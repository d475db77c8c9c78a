//! One place where everything that can happen to a running guest is noticed: console, QEMU's events, QEMU's end, signals.
//!
//! Every wait of a run goes through [`Monitor::poll`], so a panic or Ctrl-C ends any step, whatever it was waiting for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::events::{Event, QmpEvent, Sighting};
use crate::failure::Failure;
use crate::qemu::Qemu;

/// How often a wait looks around.
const TICK: Duration = Duration::from_millis(50);
/// After QEMU's end, the last of its output is still on its way.
const DRAIN: Duration = Duration::from_millis(300);

/// SIGINT, SIGTERM and SIGHUP, noticed by every wait.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches the signals from now on. A second one kills at once; the kernel then ends our children.
    pub fn catch() -> std::io::Result<Interrupt> {
        let interrupt = Interrupt::default();
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
        {
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&interrupt.0))?;
            signal_hook::flag::register(signal, Arc::clone(&interrupt.0))?;
        }
        Ok(interrupt)
    }

    /// Whether one came.
    pub fn came(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// As if a signal had come.
    #[cfg(test)]
    pub fn raise(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What has been noticed about the running guest.
#[derive(Debug)]
pub struct Monitor {
    events: Receiver<Event>,
    interrupt: Interrupt,
    /// The step under way.
    pub step: &'static str,
    /// Login prompts so far.
    pub logins: u32,
    /// The guest powered off.
    pub down: bool,
    /// Times the guest reset itself.
    pub resets: u32,
    /// The panic's story is complete.
    pub panic_end: bool,
    /// When the console last printed something.
    pub heard: Instant,
    /// The console's last line.
    pub last_line: String,
    /// The step that is to be told when the guest goes down by itself; `false` while it may.
    pub down_is_failure: bool,
    /// The lines in which a file system reported to be full.
    pub disk_full: Option<String>,
    overlay: String,
    failed: bool,
}

impl Monitor {
    /// A monitor that takes `events` of a guest whose overlay is in `overlay`.
    pub fn new(events: Receiver<Event>, interrupt: Interrupt, overlay: String) -> Monitor {
        Monitor {
            events,
            interrupt,
            step: "start",
            logins: 0,
            down: false,
            resets: 0,
            panic_end: false,
            heard: Instant::now(),
            last_line: "(nothing)".to_owned(),
            down_is_failure: true,
            disk_full: None,
            overlay,
            failed: false,
        }
    }

    /// Looks around for a moment; an error is the end of the run.
    pub fn poll(&mut self, qemu: &mut Qemu) -> Result<(), Failure> {
        if self.interrupt.came() {
            return Err(Failure::Interrupted { step: self.step });
        }
        let until = Instant::now() + TICK;
        while let Some(event) = self.next(until) {
            self.take(event)?;
        }
        if let Some(status) = qemu.ended() {
            // What it and the guest said last explains its end better than its exit status does.
            let until = Instant::now() + DRAIN;
            while let Some(event) = self.next(until) {
                self.take(event)?;
            }
            if !self.down {
                return Err(Failure::QemuDied {
                    step: self.step,
                    status: status.to_string(),
                    said: qemu.said(),
                });
            }
        }
        if self.down && self.down_is_failure {
            return Err(Failure::Down { step: self.step });
        }
        Ok(())
    }

    /// Keeps looking after a failure: a panic's lines go on, and a second panic is no news. Only a signal is an error.
    pub fn watch_on(&mut self) -> Result<(), Failure> {
        self.failed = true;
        if self.interrupt.came() {
            return Err(Failure::Interrupted { step: self.step });
        }
        let until = Instant::now() + TICK;
        while let Some(event) = self.next(until) {
            let _ = self.take(event);
        }
        Ok(())
    }

    /// The guest boots again after a failure: from here on, failures count anew.
    pub fn recovered(&mut self) {
        self.failed = false;
        self.panic_end = false;
    }

    /// For how long the console has been silent.
    pub fn silent(&self) -> Duration {
        self.heard.elapsed()
    }

    fn next(&self, until: Instant) -> Option<Event> {
        match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            // All readers are gone: QEMU has ended, which the caller sees; do not spin meanwhile.
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
                None
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<(), Failure> {
        let step = self.step;
        match event {
            Event::ConsoleOutput => self.heard = Instant::now(),
            Event::Console(Sighting::Line(line)) => {
                tracing::debug!(target: "console", "{line}");
                self.last_line = line.trim().to_owned();
            }
            Event::Console(Sighting::Login) => self.logins += 1,
            Event::Console(Sighting::PanicEnd) => self.panic_end = true,
            Event::Console(Sighting::DiskFull(line)) => self.disk_full = Some(line),
            Event::Console(Sighting::Panic(line)) => {
                if !self.failed {
                    return Err(Failure::Panic { step, line });
                }
            }
            Event::ConsoleClosed => {}
            Event::Qmp(QmpEvent::NoSpace) => {
                return Err(Failure::HostDiskFull { step, dir: self.overlay.clone() });
            }
            Event::Qmp(QmpEvent::DiskError(reason)) => {
                return Err(anyhow::anyhow!(
                    "QEMU stopped the guest during {step}: its disk fails: {reason}"
                )
                .into());
            }
            Event::Qmp(QmpEvent::GuestPanicked) => {
                if !self.failed {
                    return Err(Failure::Panic { step, line: self.last_line.clone() });
                }
            }
            Event::Qmp(QmpEvent::Reset) => {
                self.resets += 1;
                if self.down_is_failure && !self.failed {
                    return Err(Failure::Down { step });
                }
            }
            Event::Qmp(QmpEvent::Shutdown) => self.down = true,
        }
        Ok(())
    }
}
