//! The recording of a machine that stays up: the one that its `--trace` asks for, or one that lasts as long as somebody asks for it.
//!
//! No locking: it belongs to the thread that serves requests.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};

/// Time that it lasts after the last request.
const LEASE: Duration = Duration::from_secs(15);
/// Largest size of such a recording.
const SIZE: u64 = 32 << 20;

/// A recording, if there is one.
#[derive(Debug)]
pub struct Recorder {
    /// The file of `--trace`.
    kept: Option<PathBuf>,
    /// The file of one that nobody keeps.
    own: Option<OwnedFd>,
    until: Option<Instant>,
}

impl Recorder {
    /// Of a machine that records in this file, or has not been asked to record.
    pub fn new(kept: Option<PathBuf>) -> Recorder {
        Recorder { kept, own: None, until: None }
    }

    /// Records from now on, for some time. Returns the file.
    ///
    /// # Errors
    /// The recording cannot be begun.
    pub fn ask(&mut self) -> io::Result<PathBuf> {
        if let Some(kept) = &self.kept {
            return Ok(kept.clone());
        }
        let path =
            |of: &OwnedFd| PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), of.as_raw_fd()));
        let file = match &self.own {
            Some(own) => {
                ddi_trace::resume();
                path(own)
            }
            None => {
                let own = memfd_create("ddi-host recording", MemfdFlags::CLOEXEC)?;
                let file = path(&own);
                ddi_trace::start(&file, SIZE)?;
                self.own = Some(own);
                file
            }
        };
        self.until = Some(Instant::now() + LEASE);
        Ok(file)
    }

    /// Ends the recording if nobody has asked for it for some time. Returns the time after which this has to be asked again.
    pub fn look(&mut self) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(Instant::now());
        if left.is_zero() {
            ddi_trace::pause();
            self.until = None;
            return None;
        }
        Some(left)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if self.own.is_some() {
            ddi_trace::stop();
        }
    }
}
