//! What the benchmark's client processes do: `ddi-host client bench-…`. Each prints one number, nanoseconds per operation or a
//! count, and ends.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ddi_process::mapping::Mapping;
use ddi_wire::uffd;

use ctxdev_user::{REGS, SCRATCH};

use crate::demo::dev::{Dev, PAGE};

/// A measurement.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Faults of a device page that the driver has unloaded.
    Fault,
    /// Faults of the page of a new mapping.
    Touch,
    /// Faults of a page that a bare userfaultfd watches.
    Bare,
    /// Reads of a device page that is loaded.
    Access,
    /// Reads of ordinary memory.
    BareAccess,
    /// mmap and munmap of the device.
    Map,
    /// mmap and munmap of a memory file.
    BareMap,
    /// fork of a process of four threads with a device page that is loaded, and the child's end.
    Fork,
    /// The same with a page of a memory file.
    BareFork,
    /// Nothing: keeps mappings until its input ends, as one of many processes.
    Crowd,
    /// Accesses to registers for a second, against others that do the same.
    Contend,
}

/// Faults that are measured.
const FAULTS: u32 = 4000;
/// Mappings of a process of the crowd.
pub(super) const CROWD_MAPPINGS: usize = 100;
const READS: u32 = 20_000_000;
const MAPS: u32 = 1000;
const FORKS: u32 = 400;

/// Drops the page's translation as its owner.
fn zap(address: u64) {
    // SAFETY: the page belongs to a shared mapping of a file, so dropping its translation loses nothing.
    unsafe { libc::syscall(libc::SYS_madvise, address, PAGE, libc::MADV_DONTNEED) };
}

/// Median of 20 batches, in nanoseconds per operation.
fn per_operation(count: u32, mut operation: impl FnMut()) -> f64 {
    let batch = count / 20;
    let mut times: Vec<f64> = (0..20)
        .map(|_| {
            let from = Instant::now();
            (0..batch).for_each(|_| operation());
            from.elapsed().as_nanos() as f64 / f64::from(batch)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[10]
}

/// Returns the nanoseconds of an access that faults, the median of [`FAULTS`]. `fault` makes one by [`access`].
fn faults(fault: impl FnMut(u32) -> io::Result<f64>) -> io::Result<f64> {
    let mut times = (0..FAULTS).map(fault).collect::<io::Result<Vec<f64>>>()?;
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Returns the nanoseconds of an access to a page that has just been unloaded.
fn access(word: &AtomicU64) -> f64 {
    // Lets the threads that have unloaded it go to sleep. A yield would not do: Linux puts a thread that yields behind the others for a while.
    std::thread::sleep(Duration::from_micros(20));
    let from = Instant::now();
    word.load(Ordering::Relaxed);
    from.elapsed().as_nanos() as f64
}

/// Nanoseconds of this thread's own processor time per read: nothing waits here, and others on the machine do not count.
fn reads(word: &AtomicU64) -> f64 {
    word.load(Ordering::Relaxed);
    let used = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let from = used();
    for _ in 0..READS {
        std::hint::black_box(word.load(Ordering::Relaxed));
    }
    let to = used();
    ((to.tv_sec - from.tv_sec) as f64 * 1e9 + (to.tv_nsec - from.tv_nsec) as f64) / f64::from(READS)
}

/// Maps a page of a memory file, shared, with a userfaultfd that is sent to the other end of descriptor `to`.
fn bare_page(to: i32) -> io::Result<Mapping> {
    let map = bare_mapping()?;
    let flags = libc::O_CLOEXEC | libc::O_NONBLOCK | uffd::USER_MODE_ONLY;
    let flags = rustix::mm::UserfaultfdFlags::from_bits_retain(flags.cast_unsigned());
    // SAFETY: the descriptor watches nothing yet.
    let fd = unsafe { rustix::mm::userfaultfd(flags) }?;
    let mut api = uffd::Api { api: uffd::API, features: uffd::FEATURE_MINOR_SHMEM, ioctls: 0 };
    let range = uffd::Span { start: map.addresses().start as u64, len: PAGE };
    let mut register = uffd::Register { range, mode: uffd::MODE_MINOR, ioctls: 0 };
    // SAFETY: the argument is the structure that this request takes.
    let agreed = unsafe { libc::ioctl(fd.as_raw_fd(), uffd::IOCTL_API, &raw mut api) };
    // SAFETY: likewise.
    let watched = unsafe { libc::ioctl(fd.as_raw_fd(), uffd::IOCTL_REGISTER, &raw mut register) };
    if agreed != 0 || watched != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the benchmark gave us this socket and keeps it open until we end.
    let socket = unsafe { BorrowedFd::borrow_raw(to) };
    super::descriptors::send(socket, &fd)?;
    Ok(map)
}

fn memory_file() -> io::Result<File> {
    let file = File::from(rustix::fs::memfd_create("ddi-bench", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.set_len(4 * PAGE)?;
    Ok(file)
}

fn bare_mapping() -> io::Result<Mapping> {
    Mapping::of_file(&memory_file()?, 4 * PAGE as usize)
}

fn first_word(map: &Mapping) -> &AtomicU64 {
    // SAFETY: mapped as long as it is borrowed, aligned, and used by atomics only.
    unsafe { map.base().cast().as_ref() }
}

/// Forks beside idle threads. `word` is used before each time, so that its page is loaded.
fn forks(word: &AtomicU64) -> f64 {
    for _ in 0..3 {
        std::thread::spawn(std::thread::park);
    }
    per_operation(FORKS, || {
        word.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the child ends at once.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) };
        }
        let _ = rustix::process::waitpid(
            rustix::process::Pid::from_raw(pid),
            rustix::process::WaitOptions::empty(),
        );
    })
}

/// Measures and prints the number.
pub fn measure(what: What, path: &str, socket: Option<i32>) -> io::Result<()> {
    let device = || Dev::open(path);
    let number = match what {
        What::Fault => {
            let device = device()?;
            let map = device.map(SCRATCH, PAGE, true)?;
            faults(|_| {
                device.revoke()?;
                Ok(access(map.word(SCRATCH)))
            })?
        }
        What::Touch => {
            let device = device()?;
            faults(|_| {
                let map = device.map(SCRATCH, PAGE, true)?;
                let time = access(map.word(SCRATCH));
                map.unmap(SCRATCH, PAGE)?;
                Ok(time)
            })?
        }
        What::Bare => {
            let map = bare_page(socket.ok_or(io::ErrorKind::InvalidInput)?)?;
            let word = first_word(&map);
            faults(|_| {
                zap(word.as_ptr() as u64);
                Ok(access(word))
            })?
        }
        What::Access => reads(device()?.map(SCRATCH, PAGE, true)?.word(SCRATCH)),
        What::BareAccess => reads(first_word(&bare_mapping()?)),
        What::Map => {
            let device = device()?;
            let mut failed = None;
            let time = per_operation(MAPS, || {
                let done = device.map(SCRATCH, 4 * PAGE, true).and_then(|map| map.unmap(SCRATCH, 4 * PAGE));
                failed = failed.take().or(done.err());
            });
            failed.map_or(Ok(time), Err)?
        }
        What::BareMap => {
            let file = memory_file()?;
            per_operation(MAPS, || drop(Mapping::of_file(&file, 4 * PAGE as usize)))
        }
        What::Fork => forks(device()?.map(SCRATCH, PAGE, true)?.word(SCRATCH)),
        What::BareFork => forks(first_word(&bare_mapping()?)),
        What::Crowd => {
            let device = device()?;
            let maps = (0..CROWD_MAPPINGS).map(|_| device.map(SCRATCH, PAGE, true));
            let maps = maps.collect::<io::Result<Vec<_>>>()?;
            maps.iter().for_each(|map| _ = map.get(SCRATCH));
            println!("0");
            io::copy(&mut io::stdin(), &mut io::sink())?;
            return Ok(());
        }
        What::Contend => {
            let device = device()?;
            // Before the mapping is made, which takes it over.
            device.set_hysteresis(0)?;
            let map = device.map(REGS, PAGE, false)?;
            let before = device.stats()?.switches;
            let from = Instant::now();
            while from.elapsed() < Duration::from_secs(1) {
                map.get(REGS);
                // Leave the processor to the host and the other process, whose turn it is then.
                std::thread::yield_now();
            }
            (device.stats()?.switches - before) as f64 / from.elapsed().as_secs_f64()
        }
    };
    println!("{number}");
    Ok(())
}
