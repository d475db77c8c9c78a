//! Has the board move memory: `mover /dev/dmaboard0`. Maps the open's memory, writes into it, has the board copy that to another place, and has it read pages of
//! the program's own. Knows nothing of the host.

use std::fs::{File, OpenOptions};
use std::io::Error;
use std::os::fd::AsRawFd;
use std::slice;

use dmaboard_user::{DMABOARD_COPY, DMABOARD_FETCH, Fetch, MEMORY, MEMORY_LEN, Part};

const LEN: usize = 8192;

/// Maps `len` bytes: of the device from `offset` on, or of nothing but zeroes.
fn map(device: Option<(&File, u64)>, len: usize) -> Result<*mut u8, Error> {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    let (flags, fd, offset) = match device {
        Some((file, offset)) => (libc::MAP_SHARED, file.as_raw_fd(), offset as i64),
        None => (libc::MAP_PRIVATE | libc::MAP_ANON, -1, 0),
    };
    // SAFETY: a new mapping, at an address of the system's choice.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, fd, offset) };
    if at == libc::MAP_FAILED { Err(Error::last_os_error()) } else { Ok(at.cast()) }
}

fn ioctl<T>(file: &File, command: i32, what: &T) -> Result<(), Error> {
    // SAFETY: a structure that the driver reads.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), command as _, std::ptr::from_ref(what)) };
    if result == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

fn verdict(same: bool) -> &'static str {
    if same { "the same" } else { "DIFFERENT" }
}

fn main() -> Result<(), Error> {
    let Some(device) = std::env::args().nth(1) else {
        eprintln!("usage: mover DEVICE");
        std::process::exit(2);
    };
    let file = OpenOptions::new().read(true).write(true).open(device)?;
    let memory = map(Some((&file, MEMORY)), MEMORY_LEN)?;
    let text: Vec<u8> = (0..LEN).map(|n| n as u8 ^ (n >> 8) as u8).collect();

    // SAFETY: within the mapping; the board is idle.
    let (first, second) = unsafe {
        let all = slice::from_raw_parts_mut(memory, MEMORY_LEN);
        all.split_at_mut(MEMORY_LEN / 2)
    };
    first[..LEN].copy_from_slice(&text);
    ioctl(&file, DMABOARD_COPY, &Part { from: 0, to: MEMORY_LEN as u64 / 2, len: LEN as u64 })?;
    println!("copied {LEN} bytes: {}", verdict(second[..LEN] == text[..]));

    let own = map(None, LEN)?;
    // SAFETY: all of the mapping, of which there is no other reference.
    let pages = unsafe { slice::from_raw_parts_mut(own, LEN) };
    pages.copy_from_slice(&text);
    pages.reverse();
    ioctl(&file, DMABOARD_FETCH, &Fetch { to: 0, address: own.into(), len: LEN })?;
    println!("fetched {LEN} bytes of the program: {}", verdict(first[..LEN] == *pages));
    Ok(())
}
