//! Follows the events of a ring: `newdrvctl [COUNT [DEVICE]]`. Maps the ring, waits by poll(2) while it is empty, and takes events out of it without a
//! system call. It is a program as for illumos; it knows no host.

use std::fs::{File, OpenOptions};
use std::io::Error;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering};

use newdrv_user::{Event, HEAD, LEN, NEWDRV_STATUS, Status, TAIL, place};

/// A mapped ring.
struct Ring {
    file: File,
    base: *mut u8,
}

impl Ring {
    fn map(file: File) -> Result<Ring, Error> {
        let (prot, fd) = (libc::PROT_READ | libc::PROT_WRITE, file.as_raw_fd());
        // SAFETY: a new mapping, at an address of the system's choice.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), LEN, prot, libc::MAP_SHARED, fd, 0) };
        if base == libc::MAP_FAILED {
            Err(Error::last_os_error())
        } else {
            Ok(Ring {
                file,
                base: base.cast(),
            })
        }
    }

    fn counter(&self, offset: u64) -> &AtomicU32 {
        // SAFETY: within the mapping, aligned, and only accessed as an atomic, by the driver, too.
        unsafe { AtomicU32::from_ptr(self.base.wrapping_add(offset as usize).cast()) }
    }

    /// The next event, if there is one.
    fn next(&self) -> Option<Event> {
        let tail = self.counter(TAIL).load(Ordering::Relaxed); // nobody else writes it
        if self.counter(HEAD).load(Ordering::Acquire) == tail {
            return None;
        }
        // SAFETY: within the mapping, aligned. The driver wrote it before the head that was just read, and does not write it again before the tail that is stored below.
        let event = unsafe {
            self.base
                .wrapping_add(place(tail) as usize)
                .cast::<Event>()
                .read_volatile()
        };
        self.counter(TAIL)
            .store(tail.wrapping_add(1), Ordering::Release);
        Some(event)
    }

    /// Waits until there is one.
    fn wait(&self) -> Result<(), Error> {
        let mut poll = libc::pollfd {
            fd: self.file.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one structure.
        let ready = unsafe { libc::poll(&raw mut poll, 1, -1) };
        if ready == 1 {
            Ok(())
        } else {
            Err(Error::last_os_error())
        }
    }
}

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let count = args
        .next()
        .and_then(|count| count.parse::<u64>().ok())
        .unwrap_or(5);
    let device = args.next().unwrap_or_else(|| "/dev/newdrv0".to_owned());
    let ring = Ring::map(OpenOptions::new().read(true).write(true).open(&device)?)?;
    let mut seen = 0;
    while seen < count {
        match ring.next() {
            Some(event) => {
                println!("event {}", event.number);
                seen += 1;
            }
            None => ring.wait()?,
        }
    }
    let mut status = Status::default();
    // SAFETY: a structure for the driver to fill.
    let result = unsafe { libc::ioctl(ring.file.as_raw_fd(), NEWDRV_STATUS as _, &raw mut status) };
    if result != 0 {
        return Err(Error::last_os_error());
    }
    println!("{} lost", status.lost);
    Ok(())
}
