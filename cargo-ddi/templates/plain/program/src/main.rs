//! Maps the device, writes a text to its first page, reads it back: `newdrvctl [TEXT [DEVICE]]`. It is a program as for illumos; it knows no host.

use std::fs::OpenOptions;
use std::io::Error;
use std::os::fd::AsRawFd as _;

use newdrv_user::{NEWDRV_STATUS, Status};

const PAGE: usize = 4096;

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let text = args.next().unwrap_or_else(|| "hello".to_owned());
    let device = args.next().unwrap_or_else(|| "/dev/newdrv0".to_owned());
    let file = OpenOptions::new().read(true).write(true).open(&device)?;
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, at an address of the system's choice.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            PAGE,
            prot,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if at == libc::MAP_FAILED {
        return Err(Error::last_os_error());
    }
    let page: *mut u8 = at.cast();
    for (index, byte) in text.bytes().chain([0]).take(PAGE).enumerate() {
        // SAFETY: within the mapping, which others may write, too.
        unsafe { page.wrapping_add(index).write_volatile(byte) };
    }
    // SAFETY: as above.
    let byte = |index| unsafe { page.wrapping_add(index).read_volatile() };
    let read: Vec<u8> = (0..PAGE).map(byte).take_while(|byte| *byte != 0).collect();
    println!(
        "{device}: wrote {text:?}, read {:?}",
        String::from_utf8_lossy(&read)
    );
    let mut status = Status::default();
    // SAFETY: the command copies out a structure of this type.
    if unsafe { libc::ioctl(file.as_raw_fd(), NEWDRV_STATUS as _, &raw mut status) } != 0 {
        return Err(Error::last_os_error());
    }
    println!("maps {}, faults {}", status.maps, status.faults);
    Ok(())
}
