//! Commands and files over ssh, as jobs that the run polls: nothing here waits for the guest.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use anyhow::{Context, Result, bail};

use crate::guest::SshRules;
use crate::process::Guarded;

/// ssh's exit status for its own errors. The remote wrapper never returns it.
const SSH_ERROR: i32 = 255;
/// The end of a failed command's output that goes into a message.
const TAIL_LINES: usize = 4;

/// The way into one guest, with a key made for one run.
#[derive(Debug, Clone)]
pub struct Ssh {
    rules: SshRules,
    key: PathBuf,
    /// The public key, as `authorized_keys` has it.
    pub public_key: String,
    port: u16,
}

/// A remote command under way.
#[derive(Debug)]
pub struct Job {
    process: Guarded,
    output: Receiver<(Stream, Vec<u8>)>,
    /// Standard output so far.
    pub stdout: Vec<u8>,
    /// Standard error so far.
    pub stderr: Vec<u8>,
    open: bool,
}

#[derive(Debug, Clone, Copy)]
enum Stream {
    Out,
    Error,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The remote command's exit status.
    Status(i32),
    /// ssh itself failed: no connection, or lost.
    Lost,
}

impl Ssh {
    /// Makes a key in `dir`.
    pub fn new(rules: &SshRules, dir: &Path) -> Result<Ssh> {
        let key = dir.join("ssh-key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "ddi-vm", "-f"])
            .arg(&key)
            .stdin(Stdio::null())
            .output();
        match made {
            Ok(output) if output.status.success() => {}
            Ok(output) => bail!("ssh-keygen: {}", String::from_utf8_lossy(&output.stderr).trim()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                bail!("ssh-keygen is not installed: apt-get install openssh-client")
            }
            Err(error) => return Err(error).context("ssh-keygen"),
        }
        let public_key = std::fs::read_to_string(key.with_extension("pub"))?.trim().to_owned();
        Ok(Ssh { rules: rules.clone(), key, public_key, port: 0 })
    }

    /// The local port that leads to the guest.
    pub fn set_port(&mut self, port: u16) {
        self.port = port;
    }

    /// The command line that a person types, with the key at `key`.
    pub fn by_hand(&self) -> String {
        let arguments = self.arguments();
        format!("ssh {} {}@127.0.0.1", arguments.join(" "), self.rules.user)
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = ["-F", "none", "-p"].map(str::to_owned).to_vec();
        arguments.push(self.port.to_string());
        arguments.extend(["-i".to_owned(), self.key.display().to_string()]);
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            // The guest is made anew for each run and is reached over the loopback.
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "ConnectTimeout=10",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=4",
        ] {
            arguments.extend(["-o".to_owned(), option.to_owned()]);
        }
        arguments
    }

    /// Starts `command` as root's shell command, with `input` as its standard input.
    pub fn start(&self, command: &str, input: Option<Vec<u8>>) -> Result<Job> {
        let remote = format!("{} {}", self.rules.root, quote(&wrapped(command)));
        let mut ssh = Command::new("ssh");
        ssh.args(self.arguments()).arg(format!("{}@127.0.0.1", self.rules.user)).arg(remote);
        ssh.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        ssh.stdout(Stdio::piped()).stderr(Stdio::piped());
        Job::spawn(&mut ssh, input).context("starting ssh (apt-get install openssh-client)")
    }
}

/// A command whose own exit status 255 cannot be taken for ssh's.
fn wrapped(command: &str) -> String {
    format!("( {command}\n); s=$?; [ $s -lt {SSH_ERROR} ] || s=254; exit $s")
}

/// `text` as one word of a shell.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl Job {
    /// Starts `command` and the threads that serve its pipes.
    pub fn spawn(command: &mut Command, input: Option<Vec<u8>>) -> Result<Job> {
        let mut process = Guarded::spawn(command)?;
        let (sender, output) = channel();
        if let (Some(input), Some(mut pipe)) = (input, process.child.stdin.take()) {
            // A reader that goes away early says why by its exit status.
            std::thread::spawn(move || pipe.write_all(&input));
        }
        let pipes: [(Stream, Option<Box<dyn Read + Send>>); 2] = [
            (Stream::Out, process.child.stdout.take().map(|pipe| Box::new(pipe) as _)),
            (Stream::Error, process.child.stderr.take().map(|pipe| Box::new(pipe) as _)),
        ];
        for (stream, pipe) in pipes {
            let Some(mut pipe) = pipe else { continue };
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 16 * 1024];
                while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                    if sender.send((stream, buffer[..length].to_vec())).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Job { process, output, stdout: Vec::new(), stderr: Vec::new(), open: true })
    }

    /// Takes what has arrived; `true` if there was something.
    pub fn receive(&mut self) -> bool {
        let mut heard = false;
        loop {
            match self.output.try_recv() {
                Ok((Stream::Out, bytes)) => self.stdout.extend(bytes),
                Ok((Stream::Error, bytes)) => self.stderr.extend(bytes),
                Err(TryRecvError::Empty) => return heard,
                Err(TryRecvError::Disconnected) => {
                    self.open = false;
                    return heard;
                }
            }
            heard = true;
        }
    }

    /// How it ended, when it has and all of its output is here.
    pub fn ended(&mut self) -> Option<Ended> {
        self.receive();
        let status = self.process.ended()?;
        if self.open {
            return None;
        }
        Some(match status.code() {
            Some(SSH_ERROR) | None => Ended::Lost,
            Some(status) => Ended::Status(status),
        })
    }

    /// The last lines of its output, standard error first.
    pub fn tail(&self) -> String {
        let text = if self.stderr.iter().all(u8::is_ascii_whitespace) { &self.stdout } else { &self.stderr };
        let text = String::from_utf8_lossy(text);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if lines.is_empty() {
            "no output".to_owned()
        } else {
            lines[lines.len().saturating_sub(TAIL_LINES)..].join(" | ")
        }
    }

    /// The line that says that a file system is full, if one does.
    pub fn disk_full(&self, patterns: &[String]) -> Option<String> {
        [&self.stderr, &self.stdout].into_iter().find_map(|text| {
            let text = String::from_utf8_lossy(text);
            text.lines()
                .find(|line| patterns.iter().any(|pattern| line.contains(pattern.as_str())))
                .map(str::to_owned)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &str, input: Option<&str>) -> (Ended, Job) {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).stdout(Stdio::piped()).stderr(Stdio::piped());
        shell.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut job = Job::spawn(&mut shell, input.map(|text| text.as_bytes().to_vec())).unwrap();
        loop {
            if let Some(ended) = job.ended() {
                return (ended, job);
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_commands_own_255_is_not_sshs() {
        assert_eq!(run("exit 255", None).0, Ended::Lost);
        assert_eq!(run(&wrapped("exit 255"), None).0, Ended::Status(254));
        assert_eq!(run(&wrapped("exit 7"), None).0, Ended::Status(7));
        assert_eq!(run(&wrapped("true # with a comment"), None).0, Ended::Status(0));
    }

    #[test]
    fn quoting_survives_quotes() {
        let text = "it's $HOME and `date` \\ \"x\"";
        let (_, job) = run(&format!("printf %s {} {}", quote(text), quote("")), None);
        assert_eq!(String::from_utf8(job.stdout).unwrap(), text);
        assert_eq!(quote("/dev/x0"), "/dev/x0");
    }

    #[test]
    fn input_and_both_outputs_are_carried() {
        let (ended, job) = run("cat; echo oops >&2; exit 3", Some("shipped"));
        assert_eq!(
            (ended, &job.stdout[..], job.tail().as_str()),
            (Ended::Status(3), &b"shipped"[..], "oops")
        );
    }

    #[test]
    fn a_full_disk_is_found_in_the_output() {
        let (_, job) = run("echo 'tar: write error: No space left on device' >&2; exit 1", None);
        let line = job.disk_full(&["No space left on device".to_owned()]);
        assert_eq!(line.as_deref(), Some("tar: write error: No space left on device"));
    }
}
