//! Children that cannot outlive us: killed when dropped, and by the kernel when we are killed.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// How long a killed process may take to be gone. One that is stuck in the kernel (a hanging KVM) stays longer.
const REAP: Duration = Duration::from_secs(5);

/// A running child process.
#[derive(Debug)]
pub struct Guarded {
    /// The child; its pipes may be taken.
    pub child: Child,
}

impl Guarded {
    /// Starts `command` in a process group of its own, so that Ctrl-C reaches us alone and we end it in order.
    ///
    /// The child dies when the calling thread does: call it from a thread that lives as long as the child shall.
    pub fn spawn(command: &mut Command) -> std::io::Result<Guarded> {
        let parent = rustix::process::getpid();
        command.process_group(0);
        // SAFETY: the closure only makes two system calls, which is allowed between fork and exec.
        unsafe { command.pre_exec(move || die_with(parent)) };
        Ok(Guarded { child: command.spawn()? })
    }

    /// The exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end at most until `deadline`.
    pub fn wait_until(&mut self, deadline: Instant) -> Option<ExitStatus> {
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it and its group; `false` if it is not gone a few seconds later.
    pub fn kill(&mut self) -> bool {
        if self.ended().is_none() {
            let group = Pid::from_child(&self.child);
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
            let _ = self.child.kill();
        }
        self.wait_until(Instant::now() + REAP).is_some()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if !self.kill() {
            tracing::error!(pid = self.child.id(), "a killed process is not gone: it is stuck in the kernel");
        }
    }
}

fn die_with(parent: Pid) -> std::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the call.
    if getppid() != Some(parent) { Err(std::io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_child_is_gone_with_its_own_children() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 1000 & echo $!; wait"]).stdout(std::process::Stdio::piped());
        let mut guarded = Guarded::spawn(&mut shell).unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(
            &mut std::io::BufReader::new(guarded.child.stdout.take().unwrap()),
            &mut line,
        )
        .unwrap();
        let pid = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
        assert!(rustix::process::test_kill_process(pid).is_ok());
        drop(guarded);
        let gone = |pid| match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat.contains(") Z "),
            Err(_) => true,
        };
        while !gone(pid.as_raw_nonzero()) {
            std::thread::yield_now();
        }
    }
}
