//! Uses contexts of an engine in turns: `turns /dev/compute0 0,1,0,2`. Each number is a context, which the program writes to and reads from; it says how often the engine had to bring one
//! in. Knows nothing of the host.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Error;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};

use engines_user::{ENGINES_STATUS, LEN, Status};

/// Maps a new context: its first word.
fn context(file: &File) -> Result<&'static AtomicU64, Error> {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, at an address of the system's choice.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), LEN, prot, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if at == libc::MAP_FAILED {
        return Err(Error::last_os_error());
    }
    // SAFETY: in the mapping, which stays, aligned, and accessed as an atomic only.
    Ok(unsafe { AtomicU64::from_ptr(at.cast()) })
}

fn status(file: &File) -> Result<Status, Error> {
    let mut status = Status::default();
    // SAFETY: a structure for the driver to fill.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), ENGINES_STATUS as _, &raw mut status) };
    if result == 0 { Ok(status) } else { Err(Error::last_os_error()) }
}

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().collect();
    let order: Option<Vec<u64>> =
        args.get(2).and_then(|order| order.split(',').map(|number| number.parse().ok()).collect());
    let (Some(device), Some(order)) = (args.get(1), order) else {
        eprintln!("usage: turns DEVICE NUMBER,...");
        std::process::exit(2);
    };
    let file = OpenOptions::new().read(true).write(true).open(device)?;
    let (before, mut contexts) = (status(&file)?, BTreeMap::new());
    for number in &order {
        if !contexts.contains_key(number) {
            contexts.insert(*number, (context(&file)?, 0));
        }
        if let Some((word, uses)) = contexts.get_mut(number) {
            *uses += 1;
            word.fetch_add(1000 + number, Ordering::Relaxed);
        }
    }
    let after = status(&file)?;
    println!("{} uses, {} switches", order.len(), after.switches - before.switches);
    for (number, (word, uses)) in contexts {
        let right = word.load(Ordering::Relaxed) == uses * (1000 + number);
        println!("context {number}: {}", if right { "its own" } else { "ANOTHER'S" });
    }
    Ok(())
}
