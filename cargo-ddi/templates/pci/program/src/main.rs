//! Maps the board's window, writes to it, and has the board raise its interrupt: `newdrvctl [DEVICE]`. It is a program as for illumos; it knows no host.

use std::fs::{File, OpenOptions};
use std::io::Error;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use newdrv_user::{NEWDRV_RING, NEWDRV_STATUS, Status};

fn status(file: &File) -> Result<Status, Error> {
    let mut status = Status::default();
    // SAFETY: the command copies out a structure of this type.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), NEWDRV_STATUS as _, &raw mut status) };
    if result == 0 {
        Ok(status)
    } else {
        Err(Error::last_os_error())
    }
}

fn main() -> Result<(), Error> {
    let device = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "/dev/newdrv0".to_owned());
    let file = OpenOptions::new().read(true).write(true).open(&device)?;
    let len = status(&file)?.window as usize;
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, at an address of the system's choice.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            len,
            prot,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if at == libc::MAP_FAILED {
        return Err(Error::last_os_error());
    }
    let window: *mut u32 = at.cast();
    // SAFETY: the first word of the window, which the board may write, too.
    unsafe { window.write_volatile(0x600d) };
    // SAFETY: as above.
    let read = unsafe { window.read_volatile() };
    println!("{device}: a window of {len} bytes; wrote 0x600d, read {read:#x}");
    // SAFETY: an ioctl without an argument.
    if unsafe { libc::ioctl(file.as_raw_fd(), NEWDRV_RING as _, 0) } != 0 {
        return Err(Error::last_os_error());
    }
    while status(&file)?.interrupts == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let Status {
        revision,
        interrupts,
        ..
    } = status(&file)?;
    println!("revision {revision}, interrupts {interrupts}");
    Ok(())
}
