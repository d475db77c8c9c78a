//! Time as a guest has had it: what the clock on the wall says, less what its QEMU has waited for a processor of ours.
//!
//! Limits are in this time, so that a busy machine makes a run slower, not fail. A guest that hangs does not wait for a processor, or has one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Measures from its start on.
#[derive(Debug)]
pub struct Stopwatch {
    pid: u32,
    start: Instant,
    before: HashMap<u32, u64>,
}

impl Stopwatch {
    /// Starts one for a process.
    pub fn start(pid: u32) -> Stopwatch {
        Stopwatch { pid, start: Instant::now(), before: waited(pid) }
    }

    /// How much time the process has had.
    pub fn elapsed(&self) -> Duration {
        let wall = self.start.elapsed();
        // The thread that waited longest held the others up.
        let starved = waited(self.pid)
            .into_iter()
            .map(|(tid, nanoseconds)| {
                nanoseconds - self.before.get(&tid).copied().unwrap_or(0).min(nanoseconds)
            })
            .max();
        wall.saturating_sub(Duration::from_nanos(starved.unwrap_or(0)))
    }

    /// Whether it has had more than `limit`.
    pub fn over(&self, limit: Duration) -> bool {
        self.start.elapsed() >= limit && self.elapsed() >= limit
    }

    /// What is left of `limit`.
    pub fn left(&self, limit: Duration) -> Duration {
        limit.saturating_sub(self.elapsed())
    }
}

/// For how many nanoseconds each thread of a process was ready to run and did not; nothing where Linux does not tell.
fn waited(pid: u32) -> HashMap<u32, u64> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| {
            let tid = task.file_name().to_str()?.parse().ok()?;
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            Some((tid, text.split_whitespace().nth(1)?.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_sleeps_has_all_the_time() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let watch = Stopwatch::start(child.id());
        let limit = Duration::from_millis(50);
        assert!(!watch.over(Duration::from_secs(100)));
        while !watch.over(limit) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(watch.left(limit), Duration::ZERO);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn waiting_for_a_processor_does_not_count() {
        let mut watch = Stopwatch::start(std::process::id());
        // As if a thread of ours had waited since long before.
        watch.start = Instant::now() - Duration::from_secs(100);
        for nanoseconds in watch.before.values_mut() {
            *nanoseconds = 0;
        }
        let all: u64 = waited(std::process::id()).values().copied().max().unwrap_or(0);
        assert!(watch.elapsed() <= Duration::from_secs(101) - Duration::from_nanos(all.min(1_000_000_000)));
    }

    #[test]
    fn a_process_that_is_gone_has_the_wall_s_time() {
        let watch = Stopwatch::start(u32::MAX);
        assert!(watch.over(Duration::ZERO) && watch.elapsed() < Duration::from_secs(100));
    }
}
