//! A client of ctxdev: this test in a process of its own, with a name that the trace has.

use std::ffi::c_void;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Duration, Instant};

use ctxdev_user::{REGS, SCRATCH};

/// Set for this program when it is a client: its name.
pub const CLIENT: &str = "DDI_TIMELINE_CLIENT";
/// Names of the clients.
pub const NAMES: [&str; 3] = ["render", "encode", "compute"];
/// Time that a client works.
const WORKS: Duration = Duration::from_millis(600);

/// Maps a page of the device, with a context of its own.
fn map(device: &File, offset: u64) -> *mut u64 {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let null = std::ptr::null_mut();
    // SAFETY: a new mapping at an address of the system's choice touches no memory that anybody has.
    let at =
        unsafe { libc::mmap(null, 4096, protection, libc::MAP_PRIVATE, device.as_raw_fd(), offset as i64) };
    assert_ne!(at, libc::MAP_FAILED);
    at.cast()
}

/// Stores to the engine's registers.
#[inline(never)]
fn draw(register: *mut u64, value: u64) {
    // SAFETY: a word of a page that the client has mapped.
    unsafe { register.write_volatile(value) };
}

/// Maps, and draws again and again, each time with more or less to compute in between.
pub fn run(name: &str) {
    std::fs::write("/proc/self/comm", name).unwrap();
    let device = File::options().read(true).write(true).open("/dev/ctxdev0").unwrap();
    let (registers, scratch) = (map(&device, REGS), map(&device, SCRATCH));
    // All begin together, however long it took to start them.
    std::fs::write(format!("{name}.ready"), "").unwrap();
    while !NAMES.iter().all(|name| Path::new(&format!("{name}.ready")).exists()) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let begin = Instant::now();
    // One has two threads, each with a mapping of its own.
    let second = (name == NAMES[1]).then(|| {
        let device = device.try_clone().unwrap();
        std::thread::spawn(move || {
            let scratch = map(&device, SCRATCH);
            for round in 0..20 {
                draw(scratch, round);
                std::thread::sleep(Duration::from_millis(20));
            }
        })
    });
    for round in 0.. {
        draw(registers, round);
        if round % 4 == 0 {
            draw(scratch, round);
        }
        std::thread::sleep(Duration::from_micros(700 + 400 * (round * 7 % 5)));
        if begin.elapsed() > WORKS {
            break;
        }
    }
    second.into_iter().for_each(|thread| thread.join().unwrap());
    // SAFETY: the page that was mapped above, to which nothing refers any more.
    unsafe { libc::munmap(registers.cast::<c_void>(), 4096) };
}
