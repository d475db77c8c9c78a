//! QEMU's machine protocol, as far as it is needed: a few commands, and the events that tell what the console cannot.
//!
//! The connection is one end of a socket pair that QEMU inherits, so nothing of it is in the file system and QEMU's end is a
//! hang-up here.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use crate::events::{Event, QmpEvent};

/// How long QEMU may take to answer a command.
const ANSWER: Duration = Duration::from_secs(20);

/// A QMP connection.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    answers: Receiver<Value>,
}

impl Qmp {
    /// Starts the reader thread; events go to `events`.
    pub fn new(stream: UnixStream, events: Sender<Event>) -> Result<Qmp> {
        let (sender, answers) = channel();
        let reader = BufReader::new(stream.try_clone()?);
        std::thread::Builder::new().name("qmp".to_owned()).spawn(move || read(reader, &sender, &events))?;
        Ok(Qmp { stream, answers })
    }

    /// Takes the greeting and leaves negotiation mode; call it once.
    pub fn negotiate(&mut self) -> Result<()> {
        self.execute("qmp_capabilities", json!({})).map(drop)
    }

    /// Runs one command and returns its answer.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        self.execute_within(command, arguments, ANSWER)
    }

    /// The same for a command that may take long.
    pub fn execute_within(&mut self, command: &str, arguments: Value, limit: Duration) -> Result<Value> {
        // An answer that came too late for an earlier command is not this one's.
        while self.answers.try_recv().is_ok() {}
        let line = if arguments.as_object().is_some_and(|map| map.is_empty()) {
            json!({ "execute": command })
        } else {
            json!({ "execute": command, "arguments": arguments })
        };
        writeln!(self.stream, "{line}").with_context(|| format!("sending {command} to QEMU"))?;
        match self.answers.recv_timeout(limit) {
            Ok(answer) => match answer.get("error") {
                Some(error) => {
                    Err(anyhow!("QEMU refuses {command}: {}", error["desc"].as_str().unwrap_or("no reason")))
                }
                None => Ok(answer["return"].clone()),
            },
            Err(RecvTimeoutError::Timeout) => {
                bail!("QEMU did not answer {command} within {} s", limit.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => bail!("QEMU ended before it answered {command}"),
        }
    }
}

fn read(reader: impl BufRead, answers: &Sender<Value>, events: &Sender<Event>) {
    for line in reader.lines().map_while(Result::ok) {
        let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
        if let Some(event) = event(&value) {
            let _ = events.send(Event::Qmp(event));
        } else if value.get("return").is_some() || value.get("error").is_some() {
            let _ = answers.send(value);
        }
    }
}

/// The event that a line reports, if it is one of those we act on.
fn event(value: &Value) -> Option<QmpEvent> {
    let data = &value["data"];
    match value["event"].as_str()? {
        "BLOCK_IO_ERROR" if data["nospace"] == true => Some(QmpEvent::NoSpace),
        // `ignore` and `report` let the guest see the error and decide.
        "BLOCK_IO_ERROR" if data["action"] == "stop" => {
            Some(QmpEvent::DiskError(data["reason"].as_str().unwrap_or("no reason").to_owned()))
        }
        "RESET" if data["guest"] == true => Some(QmpEvent::Reset),
        "SHUTDOWN" if data["guest"] == true => Some(QmpEvent::Shutdown),
        "GUEST_PANICKED" => Some(QmpEvent::GuestPanicked),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_host_disk_is_told_from_other_errors() {
        let full = json!({"event": "BLOCK_IO_ERROR", "data": {"nospace": true, "action": "stop", "reason": "No space left on device"}});
        assert_eq!(event(&full), Some(QmpEvent::NoSpace));
        let bad = json!({"event": "BLOCK_IO_ERROR", "data": {"nospace": false, "action": "stop", "reason": "Input/output error"}});
        assert_eq!(event(&bad), Some(QmpEvent::DiskError("Input/output error".to_owned())));
        let reported =
            json!({"event": "BLOCK_IO_ERROR", "data": {"nospace": false, "action": "report", "reason": "x"}});
        assert_eq!(event(&reported), None);
    }

    #[test]
    fn our_own_shutdown_is_not_the_guests() {
        assert_eq!(
            event(&json!({"event": "SHUTDOWN", "data": {"guest": false, "reason": "host-qmp-quit"}})),
            None
        );
        assert_eq!(
            event(&json!({"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}})),
            Some(QmpEvent::Shutdown)
        );
    }

    #[test]
    fn answers_and_events_are_told_apart_and_errors_are_in_words() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (events, seen) = channel();
        let mut qmp = Qmp::new(ours, events).unwrap();
        let qemu = std::thread::spawn(move || {
            let mut reader = BufReader::new(theirs.try_clone().unwrap());
            let mut line = String::new();
            writeln!(&theirs, r#"{{"QMP": {{}}}}"#).unwrap();
            reader.read_line(&mut line).unwrap();
            writeln!(&theirs, r#"{{"event": "RESET", "data": {{"guest": true}}}}"#).unwrap();
            writeln!(&theirs, r#"{{"return": {{}}}}"#).unwrap();
            reader.read_line(&mut line).unwrap();
            writeln!(&theirs, r#"{{"error": {{"class": "GenericError", "desc": "no such thing"}}}}"#)
                .unwrap();
            line
        });
        qmp.negotiate().unwrap();
        let error = qmp.execute("nonsense", json!({"a": 1})).unwrap_err().to_string();
        assert_eq!(error, "QEMU refuses nonsense: no such thing");
        assert!(qemu.join().unwrap().contains(r#""arguments":{"a":1}"#));
        assert!(matches!(seen.recv().unwrap(), Event::Qmp(QmpEvent::Reset)));
        assert!(qmp.execute("quit", json!({})).unwrap_err().to_string().contains("quit"));
    }
}
