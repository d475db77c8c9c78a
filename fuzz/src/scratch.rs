//! A file in memory, for readers that want a path: one for each thread and purpose, written anew each time.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A file in memory.
pub struct Scratch {
    file: File,
    path: PathBuf,
}

impl Scratch {
    /// Makes an empty one.
    pub fn new() -> Scratch {
        let fd = rustix::fs::memfd_create("fuzz", rustix::fs::MemfdFlags::CLOEXEC);
        let file = File::from(fd.expect("a file in memory"));
        let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
        Scratch { file, path }
    }

    /// Returns its path, for this process.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces its contents.
    pub fn put(&self, data: &[u8]) {
        let put = || -> io::Result<()> {
            self.file.set_len(0)?;
            self.file.write_all_at(data, 0)
        };
        put().expect("a file in memory can be written");
    }
}
