//! Traces from DTrace: the lines that docs/dtrace/events.d prints, as the events that a host records.
//!
//! Addresses, opens and calls are not there: the probes do not tell them. docs/dtrace/README.md has the probes and what becomes of them.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use ddi_trace::{About, Access, Event, For, Outcome, Record, Stamp, Text, Trace, UNKNOWN};

/// The first word of the first line.
const MAGIC: &str = "devmap-events";
/// The version that it names.
const VERSION: &str = "1";
const PAGE: u64 = 4096;
/// An access is to be tried again: illumos's EINTR, and EDEADLK, by which a framework in the module lets go of the address space.
const AGAIN: [i32; 2] = [4, 45];
/// Linux's.
const SIGBUS: u32 = 7;

/// Why there is no trace.
#[derive(Debug, thiserror::Error)]
pub enum DtraceError {
    /// The file cannot be read.
    #[error("{}: {error}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The first line is another one.
    #[error("{}: not what docs/dtrace/events.d prints: its first line is \"{MAGIC} {VERSION} ...\"", .0.display())]
    Head(PathBuf),
    /// A line is another one.
    #[error("{}:{line}: not a line of docs/dtrace/events.d: {text:?}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// Text of the line.
        text: String,
    },
}

/// A line: what a probe said.
struct Fired<'a> {
    time: u64,
    pid: u32,
    thread: u32,
    module: &'a str,
    probe: &'a str,
    arguments: [u64; 6],
    code: u64,
    program: &'a str,
}

impl<'a> Fired<'a> {
    fn parse(line: &'a str) -> Option<Fired<'a>> {
        // The program's name may have blanks.
        let mut words = line.splitn(13, ' ');
        let mut word = || words.next();
        let (time, pid, thread) = (word()?.parse().ok()?, word()?.parse().ok()?, word()?.parse().ok()?);
        let (module, probe) = (word()?, word()?);
        let mut hex = || u64::from_str_radix(word()?, 16).ok();
        let arguments = [hex()?, hex()?, hex()?, hex()?, hex()?, hex()?];
        let code = hex()?;
        Some(Fired { time, pid, thread, module, probe, arguments, code, program: words.next()? })
    }
}

/// Reads the lines of a file.
///
/// # Errors
/// See [`DtraceError`].
pub fn read(path: &Path) -> Result<Trace, DtraceError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| DtraceError::File { file: path.to_owned(), error })?;
    parse(&text, path)
}

/// Reads lines; `path` is the name of their file.
///
/// # Errors
/// See [`DtraceError`]; not [`File`](DtraceError::File).
pub fn parse(text: &str, path: &Path) -> Result<Trace, DtraceError> {
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let head: Vec<&str> = lines.next().map_or(Vec::new(), |(_, line)| line.split(' ').collect());
    let (started, date) = match head[..] {
        [MAGIC, VERSION, started, date] => (started.parse().ok(), date.parse().ok()),
        _ => (None, None),
    };
    let Some((started, date)) = started.zip(date) else { return Err(DtraceError::Head(path.to_owned())) };
    let mut fired = Vec::new();
    for (line, text) in lines {
        let wrong = || DtraceError::Line { file: path.to_owned(), line, text: text.to_owned() };
        fired.push(Fired::parse(text).ok_or_else(wrong)?);
    }
    // Processors write their lines one after the other.
    fired.sort_by_key(|fired| fired.time);
    let mut told = Told::default();
    fired.iter().for_each(|fired| told.take(fired));
    let mut trace =
        Trace { records: told.records, texts: told.texts, started, date, ended: true, ..Trace::default() };
    trace.records.sort_by_key(|record| (record.stamp.time, std::cmp::Reverse(record.stamp.duration)));
    Ok(trace)
}

/// A mapping, by its handle.
#[derive(Clone, Copy, Default)]
struct Mapping {
    device: u64,
    offset: u64,
    length: u64,
    /// Number and pid of the process.
    of: (u32, u32),
}

/// A request for a context.
#[derive(Clone, Copy)]
struct Request {
    time: u64,
    engine: u64,
    mapping: u64,
    /// When the first one of this wait was made.
    first: u64,
}

/// State of a thread.
#[derive(Clone, Copy, Default)]
struct Thread {
    /// Begin, handle, offset, length, access and instruction of the access that is served.
    access: Option<(u64, u64, u64, u64, Access, u64)>,
    cause: u64,
    request: Option<Request>,
    granted: Option<u64>,
    /// The begin of a wait that an access which was tried again has not ended.
    waits: Option<u64>,
    /// Rest behind the last unmap.
    rest: Mapping,
}

#[derive(Default)]
struct Told {
    records: Vec<Record>,
    texts: Vec<Text>,
    processes: HashMap<u32, u32>,
    next: u32,
    devices: HashMap<String, u64>,
    mappings: HashMap<u64, Mapping>,
    threads: HashMap<(u32, u32), Thread>,
    /// Copies of mappings for a child that is not known yet: handles, and the places of their events.
    copies: HashMap<(u32, u32), Vec<(u64, usize)>>,
    causes: u64,
}

impl Told {
    fn process(&mut self, pid: u32, program: &str) -> u32 {
        if let Some(known) = self.processes.get(&pid) {
            return *known;
        }
        self.next += 1;
        self.processes.insert(pid, self.next);
        let words = [pid.into(), 0, 0];
        self.texts.push(Text {
            about: About::Process,
            id: self.next.into(),
            words,
            text: program.to_owned(),
        });
        self.next
    }

    fn device(&mut self, name: String) -> u64 {
        let number = self.devices.len() as u64 + 1;
        *self.devices.entry(name).or_insert_with_key(|name| {
            self.texts.push(Text { about: About::Device, id: number, words: [0; 3], text: name.clone() });
            number
        })
    }

    /// Returns the mapping of a handle; of one that is older than the recording, the process only.
    fn mapping(&mut self, fired: &Fired<'_>, handle: u64) -> Mapping {
        if let Some(known) = self.mappings.get(&handle) {
            return *known;
        }
        let of = (self.process(fired.pid, fired.program), fired.pid);
        Mapping { device: self.device(fired.module.to_owned()), offset: 0, length: 0, of }
    }

    fn event(&mut self, fired: &Fired<'_>, begin: u64, device: u64, cause: u64, event: Event) -> usize {
        let process = self.process(fired.pid, fired.program);
        let duration = fired.time - begin;
        let (pid, thread) = (fired.pid, fired.thread);
        let stamp = Stamp { time: begin, duration, pid, process, thread, cause, device };
        self.records.push(Record { stamp, event });
        self.records.len() - 1
    }

    fn take(&mut self, fired: &Fired<'_>) {
        let key = (fired.pid, fired.thread);
        let mut thread = self.threads.get(&key).copied().unwrap_or_default();
        let [handle, second, third, fourth, fifth, sixth] = fired.arguments;
        let cause = thread.access.map_or(0, |_| thread.cause);
        let now = fired.time;
        match fired.probe {
            "devmap-map" => {
                let (device, offset, length) = (format!("{}:{}", fired.module, second as u32), fourth, fifth);
                let device = self.device(device);
                let of = (self.process(fired.pid, fired.program), fired.pid);
                self.mappings.insert(handle, Mapping { device, offset, length, of });
                self.event(fired, now, device, cause, Event::Map { offset, length, error: 0 });
            }
            "devmap-fault" if fifth as u32 == 0 => {
                let access = match sixth as u32 {
                    2 => Access::Write,
                    3 => Access::Exec,
                    _ => Access::Read,
                };
                self.causes += 1;
                thread.cause = self.causes;
                thread.access = Some((now, handle, third, fourth, access, fired.code));
                (thread.request, thread.granted) = (None, None);
            }
            "devmap-fault-done" => self.done(fired, &mut thread),
            "devmap-load" => {
                let Mapping { device, of: (of, of_pid), .. } = self.mapping(fired, handle);
                let (of, pages) = (of.into(), third.div_ceil(PAGE));
                let event = Event::Load { of, of_pid, address: UNKNOWN, pages, frame: UNKNOWN };
                self.event(fired, now, device, cause, event);
            }
            "devmap-unload" | "devmap-revoke" => {
                let Mapping { device, offset: start, length: whole, of: (of, of_pid) } =
                    self.mapping(fired, handle);
                let offset = second;
                let length =
                    if third == 0 { start.saturating_add(whole).saturating_sub(offset) } else { third };
                let (of, pages) = (of.into(), length.div_ceil(PAGE));
                if fired.probe == "devmap-unload" {
                    self.event(
                        fired,
                        now,
                        device,
                        cause,
                        Event::Unload { of, of_pid, address: UNKNOWN, pages },
                    );
                }
                if thread.access.is_none() {
                    self.event(fired, now, device, cause, Event::Revoke { of, of_pid, offset, length });
                }
            }
            "devmap-context-wait" => {
                let (engine, mapping) = (u64::from(fifth as u32), if second == 0 { handle } else { second });
                let first = thread.waits.take().unwrap_or(now);
                thread.request = Some(Request { time: now, engine, mapping, first });
            }
            "devmap-context-switch" => {
                if let Some(Request { first, .. }) = thread.request {
                    let wait = Event::Wait { what: For::Turn, interrupted: false };
                    self.event(fired, first, 0, cause, wait);
                }
                thread.granted = Some(now);
            }
            "devmap-dup" => {
                let parent = self.mapping(fired, handle);
                self.mappings.insert(third, Mapping { of: (0, 0), ..parent });
                let Mapping { device, offset, length, .. } = parent;
                let place =
                    self.event(fired, now, device, cause, Event::Dup { offset, length, child: 0, error: 0 });
                self.copies.entry(key).or_default().push((third, place));
            }
            "devmap-unmap" => {
                let old = self.mapping(fired, handle);
                self.mappings.remove(&handle);
                let (offset, length) = (third, fourth);
                let end = offset.saturating_add(length);
                let rest = old.offset.saturating_add(old.length).saturating_sub(end);
                thread.rest = Mapping { offset: end, length: rest, ..old };
                // What stays behind has the handle if nothing stays before.
                if fifth != 0 {
                    self.mappings.insert(fifth, Mapping { length: offset.saturating_sub(old.offset), ..old });
                } else if rest > 0 {
                    self.mappings.insert(handle, thread.rest);
                }
                let event = Event::Cut { offset, length, before: fifth != 0, behind: rest > 0 };
                self.event(fired, now, old.device, cause, event);
            }
            "devmap-split" => _ = self.mappings.insert(handle, thread.rest),
            "devmap-remap" => {
                let Mapping { device, offset, length, of: (of, of_pid) } = self.mapping(fired, handle);
                self.event(fired, now, device, cause, Event::Remap { of: of.into(), of_pid, offset, length });
            }
            "create" => {
                let pid = handle as u32;
                // A pid that comes again is another process.
                self.processes.remove(&pid);
                let child = self.process(pid, fired.program);
                for (handle, place) in self.copies.remove(&key).unwrap_or_default() {
                    if let Some(copy) = self.mappings.get_mut(&handle) {
                        copy.of = (child, pid);
                    }
                    if let Event::Dup { child: of, .. } = &mut self.records[place].event {
                        *of = child.into();
                    }
                }
                self.event(fired, now, 0, cause, Event::Fork { child: child.into(), errno: 0 });
            }
            "exit" => {
                self.event(fired, now, 0, 0, Event::Exit {});
                self.processes.remove(&fired.pid);
                self.threads.retain(|(pid, _), _| *pid != fired.pid);
                return;
            }
            // Of a later version.
            _ => {}
        }
        self.threads.insert(key, thread);
    }

    /// The end of an access: the access, the fault that it was, and what it did about a context.
    fn done(&mut self, fired: &Fired<'_>, thread: &mut Thread) {
        let Some((begin, handle, offset, length, access, code)) = thread.access.take() else { return };
        let (error, cause) = (fired.arguments[0] as i32, thread.cause);
        let device = self.mapping(fired, handle).device;
        let again = AGAIN.contains(&error);
        if let Some(Request { time, engine: context, mapping, first }) = thread.request.take() {
            if let Some(granted) = thread.granted {
                self.event(
                    fired,
                    granted,
                    device,
                    cause,
                    Event::Grant { mapping, context, offset, error: 0 },
                );
            }
            let denied = if thread.granted.is_some() { 0 } else { error };
            self.event(
                fired,
                time,
                device,
                cause,
                Event::Request { mapping, context, offset, error: denied },
            );
            thread.waits = Some(first).filter(|_| again && thread.granted.is_none());
        }
        thread.granted = None;
        let outcome = match error {
            0 => Outcome::Served,
            _ if again => Outcome::Interrupted,
            _ => Outcome::Signal { signo: SIGBUS, errno: error.cast_unsigned() },
        };
        // Both begin and end with the callback; the fault comes first.
        self.event(
            fired,
            begin,
            device,
            cause,
            Event::Fault { address: UNKNOWN, offset, code, access, outcome },
        );
        self.event(fired, begin, device, cause, Event::Access { offset, length, access, error });
    }
}
