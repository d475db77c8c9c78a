//! Two contexts take turns on the device, and each finds its own values: `newdrvctl [TURNS [DEVICE]]`. It is a program as for illumos; it knows no host.

use std::fs::{File, OpenOptions};
use std::io::Error;
use std::os::fd::AsRawFd as _;

use newdrv_user::{LEN, NEWDRV_STATUS, Status};

/// Maps a context of its own.
fn map(file: &File) -> Result<*mut u64, Error> {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, at an address of the system's choice.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            LEN,
            prot,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if at == libc::MAP_FAILED {
        Err(Error::last_os_error())
    } else {
        Ok(at.cast())
    }
}

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let turns = args
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(4_u64);
    let device = args.next().unwrap_or_else(|| "/dev/newdrv0".to_owned());
    let file = OpenOptions::new().read(true).write(true).open(&device)?;
    let contexts = [map(&file)?, map(&file)?];
    for turn in 0..turns {
        for (index, context) in contexts.iter().enumerate() {
            // SAFETY: the first word of the mapping.
            let value = unsafe { context.read_volatile() };
            println!("turn {turn}: context {index} has {value}");
            // SAFETY: as above.
            unsafe { context.write_volatile(value + 1 + index as u64 * 99) };
        }
    }
    let mut status = Status::default();
    // SAFETY: the command copies out a structure of this type.
    if unsafe { libc::ioctl(file.as_raw_fd(), NEWDRV_STATUS as _, &raw mut status) } != 0 {
        return Err(Error::last_os_error());
    }
    println!(
        "maps {}, faults {}, switches {}",
        status.maps, status.faults, status.switches
    );
    Ok(())
}
