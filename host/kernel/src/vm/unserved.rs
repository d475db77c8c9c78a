//! Accesses that an access callback does not serve: it fails them, or has them tried again.
//!
//! None of it is a mistake, and a program that dies of SIGBUS or stands still for ever says nothing of the driver. So each is counted, the first and every
//! tenfold is a line in the log (shown with `-v`), and a run ends with the counts. Locking: one leaf mutex.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::board::log;
use crate::kern::thread;

/// Action of a callback that did not serve an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Instead {
    /// It returned 0 and had loaded nothing: the access is tried again.
    Nothing,
    /// It returned EINTR: the access is tried again, after the handler if there was a signal.
    Interrupted,
    /// It returned this errno: the access fails.
    Failed(i32),
}

#[derive(Default)]
struct Counts {
    /// By driver.
    all: BTreeMap<(String, Instead), u64>,
    /// The longest run of one after another for one page.
    longest: BTreeMap<(String, Instead), u64>,
    /// Number of attempts at the access to a page of a process that were not served.
    now: HashMap<(i32, u64), u64>,
}

/// State of this file.
struct State {
    counts: LazyLock<Mutex<Counts>>,
    /// Set once there is something in them.
    any: AtomicBool,
}

static STATE: State = State { counts: LazyLock::new(Mutex::default), any: AtomicBool::new(false) };
/// Pages in [`Counts::now`]; beyond, it is begun anew.
const PAGES: usize = 4096;
/// So many attempts at one access are said without being asked.
const MANY: u64 = 1000;

/// Attempts at one access that the end of a run tells of.
const SEVERAL: u64 = 10;

thread_local! {
    static LOADS: Cell<u64> = const { Cell::new(0) };
}

/// The calling thread loads a translation.
pub fn loads() {
    LOADS.set(LOADS.get() + 1);
}

/// Translations that the calling thread has loaded.
pub fn loaded() -> u64 {
    LOADS.get()
}

/// The names of illumos's error numbers that drivers return most.
const NAMES: [&str; 35] = [
    "", "EPERM", "ENOENT", "ESRCH", "EINTR", "EIO", "ENXIO", "E2BIG", "ENOEXEC", "EBADF", "ECHILD", "EAGAIN",
    "ENOMEM", "EACCES", "EFAULT", "ENOTBLK", "EBUSY", "EEXIST", "EXDEV", "ENODEV", "ENOTDIR", "EISDIR",
    "EINVAL", "ENFILE", "EMFILE", "ENOTTY", "ETXTBSY", "EFBIG", "ENOSPC", "ESPIPE", "EROFS", "EMLINK",
    "EPIPE", "EDOM", "ERANGE",
];

fn errno(number: i32) -> String {
    let name = usize::try_from(number).ok().and_then(|n| NAMES.get(n)).filter(|name| !name.is_empty());
    name.map_or_else(|| format!("error {number}"), |name| (*name).to_owned())
}

impl Instead {
    fn text(self) -> String {
        match self {
            Instead::Nothing => "returned 0 without loading a translation".into(),
            Instead::Interrupted => "returned EINTR".into(),
            Instead::Failed(number) => format!("returned {}", errno(number)),
        }
    }

    fn effect(self) -> &'static str {
        match self {
            Instead::Failed(_) => "the access fails: SIGBUS, or the error of the system call",
            _ => "the access is tried again",
        }
    }
}

/// A driver's access callback has returned `result` for an access at `address`, by the calling thread's process; `served` says whether it loaded something.
pub fn answered(driver: &str, address: u64, result: i32, served: bool) {
    use ddi_sys::EINTR;
    let pid = thread::process().map_or(0, |process| process.pid);
    let page = (pid, address / ddi_process::physmem::PAGE_SIZE);
    if result == 0 && served {
        if STATE.any.load(Ordering::Relaxed) {
            STATE.counts.lock().now.remove(&page);
        }
        return;
    }
    STATE.any.store(true, Ordering::Relaxed);
    let counts = &mut *STATE.counts.lock();
    let instead = match result {
        0 => Instead::Nothing,
        EINTR => Instead::Interrupted,
        number => Instead::Failed(number),
    };
    let key = (driver.to_owned(), instead);
    *counts.all.entry(key.clone()).or_default() += 1;
    let run = match instead {
        Instead::Failed(_) => counts.all[&key],
        _ => {
            if counts.now.len() >= PAGES {
                counts.now.clear();
            }
            let run = counts.now.entry(page).or_default();
            *run += 1;
            *run
        }
    };
    let longest = counts.longest.entry(key).or_default();
    *longest = run.max(*longest);
    if run != 10_u64.pow(run.ilog10()) {
        return;
    }
    let to = if log::verbose() || run == MANY { log::To::Both } else { log::To::Log };
    let times = if run == 1 { String::new() } else { format!(" {run} times") };
    let (what, effect) = (instead.text(), instead.effect());
    let text = format!(
        "NOTICE: {driver}: devmap_access(9E) {what}{times} for address {address:#x} of process {pid}: {effect}"
    );
    log::line(to, &text);
}

/// Returns the lines that a run ends with: one for each driver and each action of its access callbacks that did not serve accesses. A few repeated attempts are
/// usual after an interrupted wait; they are shown with `-v`.
pub fn summary() -> Vec<String> {
    let counts = STATE.counts.lock();
    let line = |((driver, instead), count): (&(String, Instead), &u64)| {
        let longest = counts.longest.get(&(driver.clone(), *instead)).copied().unwrap_or(0);
        let fails = matches!(instead, Instead::Failed(_));
        if !fails && longest < SEVERAL && !log::verbose() {
            return None;
        }
        let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
        let row = if fails { String::new() } else { format!(", at most {longest} in a row for one page") };
        Some(format!("{driver}: devmap_access(9E) {} {times}{row}: {}", instead.text(), instead.effect()))
    };
    counts.all.iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_served_is_counted_by_driver_and_page() {
        for _ in 0..1000 {
            answered("unserved-test", 0x5000, 4, false);
        }
        for _ in 0..12 {
            answered("unserved-test", 0x6000, 0, false);
        }
        answered("unserved-test", 0x6000, 0, true);
        answered("unserved-test", 0x6000, 0, false);
        answered("unserved-test", 0x7000, 5, false);
        let mine: Vec<String> =
            summary().into_iter().filter(|line| line.starts_with("unserved-test")).collect();
        let again = "the access is tried again";
        assert_eq!(
            mine,
            [
                format!("unserved-test: devmap_access(9E) returned 0 without loading a translation 13 times, at most 12 in a row for one page: {again}"),
                format!("unserved-test: devmap_access(9E) returned EINTR 1000 times, at most 1000 in a row for one page: {again}"),
                "unserved-test: devmap_access(9E) returned EIO once: the access fails: SIGBUS, or the error of the system call".into(),
            ]
        );
        let said =
            log::recent().into_iter().filter(|line| line.contains("unserved-test") && line.contains("EINTR"));
        assert_eq!(said.count(), 4, "1, 10, 100 and 1000 times");
    }
}
