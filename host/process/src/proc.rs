//! What /proc says of processes and threads: the one place where it is read and its formats are known.
//!
//! A process or a thread may end at any moment, and its number may become another's. So nothing here is an error: what cannot be read is not there.
//!
//! Locking: none; any context that may block.

use std::io;
use std::path::PathBuf;

/// Reads a file in /proc; empty when it cannot be read.
fn text(file: &str) -> String {
    std::fs::read_to_string(format!("/proc/{file}")).unwrap_or_default()
}

/// Field `n` of a `stat` file, as proc(5) counts them; those from the state on. The name before it may hold anything.
fn stat_field(stat: &str, n: usize) -> Option<&str> {
    stat.rsplit_once(") ")?.1.split_ascii_whitespace().nth(n.checked_sub(3)?)
}

/// The value of a line of a `status` file.
fn status_line<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// A set of signals in a `status` file; empty when it is not there.
fn signal_set(status: &str, name: &str) -> u64 {
    status_line(status, name).and_then(|set| u64::from_str_radix(set, 16).ok()).unwrap_or(0)
}

/// Place of a thread that faulted a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It waits in a system call.
    SystemCall,
    /// It waits elsewhere, for the fault of an instruction: its stack and program pointers, 0 if Linux does not show them.
    User([u64; 2]),
    /// It runs, or has exited.
    Running,
}

impl Place {
    /// Decodes what `syscall` holds: "running", "NUMBER ARGUMENTS SP PC", or "-1 SP PC".
    fn of(syscall: io::Result<String>) -> Place {
        match syscall {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Place::Running,
            Err(_) => Place::User([0; 2]),
            Ok(s) if s.starts_with("running") => Place::Running,
            Ok(s) if s.starts_with(|c: char| c.is_ascii_digit()) => Place::SystemCall,
            Ok(s) => {
                let mut words = s.split_whitespace().skip(1);
                let mut next = || {
                    let word = words.next()?.trim_start_matches("0x");
                    u64::from_str_radix(word, 16).ok()
                };
                Place::User([next().unwrap_or(0), next().unwrap_or(0)])
            }
        }
    }
}

/// A thread of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread {
    /// The process.
    pub pid: i32,
    /// The thread.
    pub tid: i32,
}

impl Thread {
    fn text(self, file: &str) -> String {
        text(&format!("{}/task/{}/{file}", self.pid, self.tid))
    }

    /// Returns whether the process has the thread.
    pub fn exists(self) -> bool {
        PathBuf::from(format!("/proc/{}/task/{}", self.pid, self.tid)).exists()
    }

    /// Returns where the thread is.
    pub fn place(self) -> Place {
        Place::of(std::fs::read_to_string(format!("/proc/{}/task/{}/syscall", self.pid, self.tid)))
    }

    /// Returns the nanoseconds that the thread has run.
    pub fn time_run(self) -> Option<u64> {
        self.text("schedstat").split_whitespace().next()?.parse().ok()
    }

    /// Returns how often the thread has been switched away from.
    pub fn switches(self) -> u64 {
        let status = self.text("status");
        let count = |name| status_line(&status, name)?.parse::<u64>().ok();
        ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"].into_iter().filter_map(count).sum()
    }

    /// Returns whether the thread blocks a signal.
    pub fn blocks(self, signo: i32) -> bool {
        signal_set(&self.text("status"), "SigBlk") >> (signo - 1) & 1 != 0
    }

    fn state(self) -> Option<char> {
        stat_field(&self.text("stat"), 3)?.chars().next()
    }

    /// Returns whether the thread is stopped by a signal or a debugger.
    pub fn is_stopped(self) -> bool {
        matches!(self.state(), Some('T' | 't'))
    }

    /// Returns whether the thread sleeps.
    pub fn sleeps(self) -> bool {
        matches!(self.state(), Some('S' | 'D'))
    }
}

/// Returns whether there is a process or a thread with this number.
pub fn exists(pid: i32) -> bool {
    PathBuf::from(format!("/proc/{pid}")).exists()
}

/// Returns whether a process is exiting or has exited. Its descriptors are closed before it shows as dead.
pub fn is_exiting(pid: i32) -> bool {
    /// `PF_EXITING` among the process's flags.
    const EXITING: u64 = 4;
    let flags = stat_field(&text(&format!("{pid}/stat")), 9).and_then(|flags| flags.parse::<u64>().ok());
    flags.is_none_or(|flags| flags & EXITING != 0)
}

/// Returns the signals that a process catches, a bit each.
pub fn caught(pid: i32) -> u64 {
    signal_set(&text(&format!("{pid}/status")), "SigCgt")
}

/// Returns the process's parent.
pub fn parent(pid: i32) -> Option<i32> {
    stat_field(&text(&format!("{pid}/stat")), 4)?.parse().ok()
}

/// Returns the process's name, at most 15 bytes.
pub fn name(pid: i32) -> Option<String> {
    Some(text(&format!("{pid}/comm")).trim_end().to_owned()).filter(|name| !name.is_empty())
}

/// Returns the size of the process's address space, in pages.
pub fn pages(pid: i32) -> Option<usize> {
    text(&format!("{pid}/statm")).split_whitespace().next()?.parse().ok()
}

/// The user of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Real, effective and saved user.
    pub uids: [Option<u32>; 3],
    /// Real, effective and saved group.
    pub gids: [Option<u32>; 3],
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// Returns the user of a process.
pub fn user(pid: i32) -> User {
    user_of(&text(&format!("{pid}/status")))
}

fn user_of(status: &str) -> User {
    let numbers = |name| -> Vec<u32> {
        let line = status_line(status, name).unwrap_or_default();
        line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    };
    let three = |ids: Vec<u32>| [0, 1, 2].map(|i| ids.get(i).copied());
    User { uids: three(numbers("Uid")), gids: three(numbers("Gid")), groups: numbers("Groups") }
}

/// A mapping of an address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// Address behind it.
    pub end: u64,
    /// Offset in the file.
    pub offset: u64,
    /// "rwxs": `-` in place of a letter if the access is not allowed; `s` for shared, `p` for private.
    pub mode: String,
    /// The file or its like; empty for none.
    pub name: String,
}

/// Returns the mappings of a process in the order of their addresses.
pub fn mappings(pid: i32) -> Vec<Mapping> {
    text(&format!("{pid}/maps")).lines().filter_map(mapping).collect()
}

/// Decodes a line "START-END MODE OFFSET DEVICE INODE NAME".
fn mapping(line: &str) -> Option<Mapping> {
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    let mode = words.next()?.to_owned();
    let offset = address(words.next()?)?;
    let name = words.nth(2).unwrap_or_default().trim_start().to_owned();
    Some(Mapping { start: address(start)?, end: address(end)?, offset, mode, name })
}

/// Returns this process's threads.
pub fn threads() -> Vec<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks.filter_map(|task| task.file_name().to_str()?.parse().ok()).collect()
}

/// Returns this process's children.
pub fn children() -> Vec<i32> {
    let lists = threads().into_iter().map(|tid| text(&format!("self/task/{tid}/children")));
    lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(|n| n.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Returns the number that /proc has for this process; `None`: it is not mounted.
pub fn own_number() -> Option<u32> {
    std::fs::read_link("/proc/self").ok()?.to_str()?.parse().ok()
}

/// Returns whether Linux lists a process's children.
pub fn lists_children() -> bool {
    std::fs::read("/proc/thread-self/children").is_ok()
}

/// Returns where this process's arguments are in memory, as ps(1) and pkill(1) see them: start and end.
pub fn arguments() -> Option<(usize, usize)> {
    let stat = text("self/stat");
    let field = |n| stat_field(&stat, n)?.parse::<usize>().ok();
    let (start, end) = (field(48)?, field(49)?);
    (start != 0 && end > start).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tSigCgt:\nUid:\t0\t1000\t1000\t0\nGid:\t5\t6\t7\t7\nGroups:\t4 24 \n\
                          SigBlk:\t0000000000000400\nSigCgt:\t0000000180014a07\n\
                          voluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t7\n";

    #[test]
    fn a_name_may_look_like_what_follows_it() {
        let stat = "42 (a) R 1 (b) S 17 42 42 0 -1 4194308 0";
        assert_eq!(stat_field(stat, 3), Some("S"));
        assert_eq!(stat_field(stat, 4), Some("17"));
        assert_eq!(stat_field(stat, 9), Some("4194308"));
        assert_eq!((stat_field(stat, 2), stat_field(stat, 99), stat_field("", 3)), (None, None, None));
    }

    #[test]
    fn lines_of_a_status_file() {
        assert_eq!(signal_set(STATUS, "SigBlk"), 1 << (libc::SIGUSR1));
        assert_eq!(signal_set(STATUS, "SigIgn"), 0);
        assert_eq!(status_line(STATUS, "voluntary_ctxt_switches"), Some("150"));
        let user = user_of(STATUS);
        assert_eq!(user.uids, [Some(0), Some(1000), Some(1000)]);
        assert_eq!((user.gids, user.groups), ([Some(5), Some(6), Some(7)], vec![4, 24]));
        assert_eq!(user_of(""), User::default());
    }

    #[test]
    fn where_a_thread_is() {
        let place = |text: &str| Place::of(Ok(text.to_owned()));
        assert_eq!(place("running\n"), Place::Running);
        assert_eq!(place("0 0x3 0x7f 0x10 0 0 0 0x7ffd 0x7f11\n"), Place::SystemCall);
        assert_eq!(place("-1 0x7ffd10 0x55aa\n"), Place::User([0x7ff_d10, 0x55aa]));
        assert_eq!(Place::of(Err(io::ErrorKind::NotFound.into())), Place::Running);
        assert_eq!(Place::of(Err(io::ErrorKind::PermissionDenied.into())), Place::User([0; 2]));
    }

    #[test]
    fn a_line_of_maps() {
        let line = "7f00-8000 rw-s 00001000 00:01 123                   /memfd:some name (deleted)";
        let found = mapping(line).unwrap();
        assert_eq!((found.start, found.end, found.mode.as_str()), (0x7f00, 0x8000, "rw-s"));
        assert_eq!(found.name, "/memfd:some name (deleted)");
        assert_eq!(mapping("7f00-8000 ---p 00000000 00:00 0 ").unwrap().name, "");
        assert_eq!(mapping("nonsense"), None);
    }

    #[test]
    fn this_process() {
        let pid = std::process::id().cast_signed();
        assert_eq!(own_number(), Some(pid.cast_unsigned()));
        assert!(exists(pid) && !is_exiting(pid) && is_exiting(i32::MAX) && name(pid).is_some());
        let this = Thread { pid, tid: rustix::thread::gettid().as_raw_nonzero().get() };
        assert!(this.exists() && !this.is_stopped() && !this.sleeps());
        assert_eq!(this.place(), Place::SystemCall);
        assert!(threads().contains(&this.tid) && mappings(pid).iter().any(|m| m.mode.contains('x')));
        assert!(arguments().is_some() && pages(pid).is_some());
    }
}
