//! Runs that are drawn.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use ddi_timeline::story::Story;
use ddi_trace::Trace;

/// The means of making runs.
pub struct Bench {
    pub host: PathBuf,
    pub dir: tempfile::TempDir,
}

impl Bench {
    /// Runs a shell script under the host, in which `$client ROLE` is a process of the demo. Returns what happened.
    pub fn run(&self, hysteresis_ms: u64, script: &str) -> Result<Story> {
        let dir = self.dir.path();
        let node = "[[node]]\ninstance = 0\nregisters = [\"4K\", \"64K\"]\n";
        let node = format!("{node}properties = {{ hysteresis-ms = {hysteresis_ms} }}\n");
        std::fs::write(dir.join("node.toml"), node)?;
        let script = format!("set -e\nclient=\"{} client\"\n{script}", self.host.display());
        let output = Command::new(&self.host)
            .current_dir(dir)
            .args(["run", "--config", "node.toml", "--trace", "run.ring", "--", "sh", "-c", &script])
            .output()
            .with_context(|| format!("cannot run {}", self.host.display()))?;
        if !output.status.success() {
            bail!("the run failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        self.read(&dir.join("run.ring"))
    }

    fn read(&self, path: &Path) -> Result<Story> {
        let story = Story::of(Trace::read(path)?);
        if story.overwritten + story.refused > 0 {
            bail!("the recording has not all events");
        }
        Ok(story)
    }
}

/// A time for people.
pub fn time(ns: u64) -> String {
    match ns {
        0..1_000_000 => format!("{:.1} µs", ns as f64 / 1e3),
        1_000_000..10_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.0} ms", ns as f64 / 1e6),
    }
}
