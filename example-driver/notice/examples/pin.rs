//! Pins a text to the board, or reads what is there: `pin /dev/notice0 [TEXT]`. Knows nothing of the host.

use std::fs::OpenOptions;
use std::io::Error;
use std::os::fd::AsRawFd;

const LEN: usize = 4096;

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().collect();
    let [_, device, text @ ..] = args.as_slice() else {
        eprintln!("usage: pin DEVICE [TEXT]");
        std::process::exit(2);
    };
    let file = OpenOptions::new().read(true).write(true).open(device)?;
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, at an address of the system's choice.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), LEN, prot, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if at == libc::MAP_FAILED {
        return Err(Error::last_os_error());
    }
    let board: *mut u8 = at.cast();
    if let [text, ..] = text {
        for (index, byte) in text.bytes().chain([0]).take(LEN).enumerate() {
            // SAFETY: within the mapping, which others may write, too.
            unsafe { board.wrapping_add(index).write_volatile(byte) };
        }
        return Ok(());
    }
    // SAFETY: as above.
    let byte = |index| unsafe { board.wrapping_add(index).read_volatile() };
    let text: Vec<u8> = (0..LEN).map(byte).take_while(|byte| *byte != 0).collect();
    println!("{}", String::from_utf8_lossy(&text));
    Ok(())
}
