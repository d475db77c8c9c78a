//! `ddi-host top`, and `run --top`: who faults, switches and waits, interval by interval, while it happens.
//!
//! It reads a recording that goes on ([`ddi_trace::Follow`]): of a run, of a machine that stays up, which records as long as somebody asks, or this process's
//! own. A terminal shows the last interval; elsewhere each is a block of text.
//!
//! Locking: a leaf lock round what ends the display of a `run`, which has a thread of its own. `top` is the main thread.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::Args;
use ddi_kernel::board::report;
use ddi_process::proc;
use ddi_timeline::live::{Live, Shown};
use ddi_trace::{Follow, ReadError};
use parking_lot::Mutex;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::commands::cli::{CannotPrint, fail};
use crate::commands::modctl;
use crate::commands::screen::{Screen, is_screen};
use crate::machine::resident::{self, Refusal, Reply, Request};

/// Time after which a machine that stays up is asked again to record.
const AGAIN: Duration = Duration::from_secs(3);
/// Largest size of a recording that nobody wants to keep.
const SIZE: u64 = 32 << 20;

/// An interval of a display.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Every(Duration);

/// The argument is no interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected seconds, at least 0.1 and at most 3600")]
pub struct NoInterval;

impl std::str::FromStr for Every {
    type Err = NoInterval;

    fn from_str(text: &str) -> Result<Every, NoInterval> {
        let seconds = text.parse().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
        seconds.map(|seconds| Every(Duration::from_secs_f64(seconds))).ok_or(NoInterval)
    }
}

/// Show who faults, switches and waits, while it happens
#[derive(Args, Debug)]
pub struct Top {
    /// The recording of a run that goes on: FILE of ddi-host run --trace FILE
    #[arg(value_name = "FILE", required_unless_present = "root")]
    file: Option<PathBuf>,
    /// The system's directory of a machine that ddi-host serve keeps up
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    root: Option<PathBuf>,
    /// Seconds from one display to the next
    #[arg(long, short, value_name = "SECONDS", default_value = "1")]
    interval: Every,
    /// End after so many displays
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// Why nothing is shown.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Print(#[from] CannotPrint),
    /// The machine does not answer, or the terminal or a signal cannot be used.
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No machine is up for the system.
    #[error("{0}")]
    NotUp(String),
    /// The run was over before.
    #[error("{}: the run is over; ddi-host trace {} has its answers", .0.display(), .0.display())]
    Over(PathBuf),
}

/// Asks the machine of a system's directory for its recording; `None` if there is no machine.
fn ask(root: &Path) -> Result<Option<PathBuf>, Failed> {
    match resident::ask(root, &Request::Record)? {
        None => Ok(None),
        Some(Ok(Reply::Recording(file))) => Ok(Some(file)),
        Some(Ok(_)) => Err(Refusal::unexpected().into()),
        Some(Err(why)) => Err(why.into()),
    }
}

impl Top {
    /// Executes the command. Returns the exit status.
    pub fn run(&self) -> i32 {
        match self.show() {
            Ok(()) => 0,
            Err(Failed::Print(CannotPrint(error))) => crate::commands::output::failed(&error),
            Err(why) => fail(&why.to_string()),
        }
    }

    fn show(&self) -> Result<(), Failed> {
        let file = match (&self.file, &self.root) {
            (Some(file), _) => file.clone(),
            (None, Some(root)) => ask(root)?.ok_or_else(|| Failed::NotUp(modctl::not_up(root)))?,
            (None, None) => return Ok(()),
        };
        let follow = Follow::open(&file)?;
        let mut display = Display::of(follow, self.interval, Out::of(io::stdout(), false)?);
        // What was before is not shown, but for the names that it has.
        if display.take()?.1 {
            return Err(Failed::Over(file));
        }
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
        {
            signal_hook::flag::register(signal, asked.clone())?;
        }
        let (mut shown, mut renewed) = (0, Instant::now());
        while self.count.is_none_or(|count| shown < count) {
            if display.wait(None, &asked)? == Waited::Asked {
                break;
            }
            if let Some(root) = self.root.as_ref().filter(|_| renewed.elapsed() >= AGAIN) {
                renewed = Instant::now();
                if ask(root)?.is_none() {
                    break;
                }
            }
            if display.next()? {
                break;
            }
            shown += 1;
        }
        Ok(())
    }
}

/// Output of a display.
enum Out {
    Screen(Screen),
    /// A block of text for each.
    Blocks(File),
}

impl Out {
    fn of(out: impl AsFd, signals: bool) -> io::Result<Out> {
        let dup = |fd: &dyn AsFd| Ok::<File, io::Error>(File::from(fd.as_fd().try_clone_to_owned()?));
        match is_screen(&out) {
            true => Ok(Out::Screen(Screen::take(dup(&out)?, dup(&io::stdin())?, signals)?)),
            false => Ok(Out::Blocks(dup(&out)?)),
        }
    }

    fn show(&mut self, shown: &Shown) -> Result<(), CannotPrint> {
        match self {
            Out::Screen(screen) => screen.show(shown)?,
            Out::Blocks(out) => {
                let lines = shown.lines(usize::MAX);
                let mut text: String = lines.into_iter().flat_map(|line| [&line.text, "\n"]).collect();
                text.push('\n');
                out.write_all(text.as_bytes())?;
            }
        }
        Ok(())
    }
}

/// Reason why a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waited {
    /// The interval is over.
    Interval,
    /// A key or a signal asks to end.
    Asked,
    /// The run is over.
    Stopped,
}

/// A recording, shown.
struct Display {
    follow: Follow,
    live: Live,
    out: Out,
    every: Duration,
    /// Begin of the interval.
    begin: Instant,
}

impl Display {
    fn of(follow: Follow, every: Every, out: Out) -> Display {
        Display { follow, live: Live::default(), out, every: every.0, begin: Instant::now() }
    }

    /// Reads an interval, which ends now. True: the recording has ended.
    fn take(&mut self) -> Result<(Shown, bool), ReadError> {
        let new = self.follow.read()?;
        let seconds = self.begin.elapsed().as_secs_f64().max(1e-3);
        self.begin = Instant::now();
        let interval = self.live.take(&new);
        let name = |pid: u32| proc::name(pid.cast_signed());
        Ok((self.live.show(&interval, seconds, name), new.ended))
    }

    /// Shows an interval, which ends now. True: the recording has ended.
    fn next(&mut self) -> Result<bool, Failed> {
        let (shown, ended) = self.take()?;
        self.out.show(&shown)?;
        Ok(ended)
    }

    /// Waits for the interval's end.
    fn wait(&self, stop: Option<&OwnedFd>, asked: &AtomicBool) -> io::Result<Waited> {
        let keys = match &self.out {
            Out::Screen(screen) => screen.keys(),
            Out::Blocks(_) => None,
        };
        loop {
            if asked.load(Ordering::Relaxed) {
                return Ok(Waited::Asked);
            }
            let left = self.every.saturating_sub(self.begin.elapsed());
            if left.is_zero() {
                return Ok(Waited::Interval);
            }
            let fds = [stop.map(AsFd::as_fd), keys];
            let mut polled: Vec<PollFd<'_>> =
                fds.into_iter().flatten().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut polled, Some(&timeout)) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            let mut came = polled.iter().map(|fd| !fd.revents().is_empty());
            if stop.is_some() && came.next() == Some(true) {
                return Ok(Waited::Stopped);
            }
            if came.next() == Some(true)
                && let Out::Screen(screen) = &self.out
                && screen.is_over()
            {
                return Ok(Waited::Asked);
            }
        }
    }
}

/// The display of a run, until this is dropped, or the run ends otherwise.
pub struct Beside(Arc<Mutex<Shows>>);

struct Shows {
    stop: OwnedFd,
    shows: Option<JoinHandle<()>>,
    held: Option<Held>,
    /// The recording, if nobody wants to keep it.
    _recording: Option<OwnedFd>,
}

impl Beside {
    /// Begins to show this process's own recording, on standard error: `recorded`, or one that it begins.
    ///
    /// On a terminal the program has no input, and its output comes at its end.
    ///
    /// # Errors
    /// The recording, the terminal or a thread cannot be made.
    pub fn begin(recorded: Option<&Path>, every: Every) -> io::Result<Beside> {
        let mut own = None;
        let file = match recorded {
            Some(file) => file.to_owned(),
            None => {
                let ring = memfd_create("ddi-host top", MemfdFlags::CLOEXEC)?;
                let path = PathBuf::from(format!("/proc/self/fd/{}", ring.as_raw_fd()));
                ddi_trace::start(&path, SIZE)?;
                own = Some(ring);
                path
            }
        };
        let follow = Follow::open(&file).map_err(io::Error::other)?;
        let out = Out::of(io::stderr(), true)?;
        let held = match out {
            Out::Screen(_) => Some(Held::take()?),
            Out::Blocks(_) => None,
        };
        let stop = eventfd(0, EventfdFlags::CLOEXEC)?;
        let stopped = stop.try_clone()?;
        let shows = std::thread::Builder::new().name("top".into()).spawn(move || {
            let (mut display, never) = (Display::of(follow, every, out), AtomicBool::new(false));
            let mut shows = || -> Result<(), Failed> {
                loop {
                    match display.wait(Some(&stopped), &never)? {
                        Waited::Interval => _ = display.next()?,
                        Waited::Asked => return Ok(()),
                        // What is left.
                        Waited::Stopped => return display.next().map(|_| ()),
                    }
                }
            };
            if let Err(why) = shows() {
                drop(display);
                eprintln!("ddi-host: --top: {why}");
            }
        })?;
        let shows = Arc::new(Mutex::new(Shows { stop, shows: Some(shows), held, _recording: own }));
        let at_stop = shows.clone();
        // A report of what has ended the run is among the output that is held.
        report::on_stop(move || at_stop.lock().end());
        Ok(Beside(shows))
    }
}

impl Shows {
    /// Shows what is left, and ends the display.
    fn end(&mut self) {
        if let Some(shows) = self.shows.take() {
            let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
            let _ = shows.join();
            drop(self.held.take());
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.0.lock().end();
    }
}

/// Output that is kept from the terminal while that shows something else. Dropped, it is printed.
struct Held {
    file: File,
    /// Standard input, output and error, those that are terminals.
    before: [Option<OwnedFd>; 3],
}

impl Held {
    fn take() -> io::Result<Held> {
        let keep = |fd: &dyn AsFd| {
            let fd = fd.as_fd();
            rustix::termios::isatty(fd).then(|| fd.try_clone_to_owned()).transpose()
        };
        let before = [keep(&io::stdin())?, keep(&io::stdout())?, keep(&io::stderr())?];
        let file = tempfile::tempfile()?;
        let nothing = File::open("/dev/null")?;
        if before[0].is_some() {
            rustix::stdio::dup2_stdin(&nothing)?;
        }
        if before[1].is_some() {
            rustix::stdio::dup2_stdout(&file)?;
        }
        if before[2].is_some() {
            rustix::stdio::dup2_stderr(&file)?;
        }
        Ok(Held { file, before })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = io::stdout().flush();
        let [input, output, error] = &self.before;
        let _ = input.as_ref().map(rustix::stdio::dup2_stdin);
        let _ = output.as_ref().map(rustix::stdio::dup2_stdout);
        let _ = error.as_ref().map(rustix::stdio::dup2_stderr);
        // Both were the same terminal, or there was one.
        if let Some(mut to) =
            output.as_ref().or(error.as_ref()).and_then(|fd| fd.try_clone().ok()).map(File::from)
        {
            let _ = io::Seek::rewind(&mut self.file);
            let _ = io::copy(&mut self.file, &mut to);
        }
    }
}
