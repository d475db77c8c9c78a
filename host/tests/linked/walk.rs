//! Each allocation that may fail, one after the other, with a driver that allocates in each of its callbacks without waiting: a victim does one thing, and
//! somewhere on its way an allocation of the driver's fails. The victim gets an error or a signal; a witness, which has the device mapped, notices nothing;
//! nothing is left of the victim, in the driver, either. The host's own places are walked by the test `process`.

use std::ffi::c_void;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use ddi_host::linked;
use ddi_host::machine::{Machine, Options};
use ddi_process::{Program, failpoint};
use devmap::prelude::*;
use devmap::{MapRequest, Remains, Served, Setup};

/// Buffers and mappings of the driver's that there are.
static LIVE: AtomicI64 = AtomicI64::new(0);

/// A buffer from kmem_alloc(9F).
struct Buffer(NonNull<c_void>);

// SAFETY: nobody but its owner has the address.
unsafe impl Send for Buffer {}
// SAFETY: as above; nothing is read or written by way of it.
unsafe impl Sync for Buffer {}

impl Buffer {
    fn new() -> Result<Buffer, Errno> {
        // SAFETY: no pointers.
        let at = unsafe { ddi_sys::kmem_alloc(64, ddi_sys::KM_NOSLEEP) };
        let at = NonNull::new(at).ok_or(Errno::ENOMEM)?;
        LIVE.fetch_add(1, Ordering::SeqCst);
        Ok(Buffer(at))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::SeqCst);
        // SAFETY: allocated with this length, by `new`.
        unsafe { ddi_sys::kmem_free(self.0.as_ptr(), 64) };
    }
}

/// Memory of each mapping's own, which fork copies.
struct Walked;

#[derive(Clone)]
struct View {
    memory: Umem,
    _note: Option<Arc<Buffer>>,
}

impl View {
    fn new(len: usize) -> Result<View, Errno> {
        let note = Some(Arc::new(Buffer::new()?));
        Ok(View { memory: Umem::try_new(Kind::Locked, len)?, _note: note })
    }
}

impl Device for Walked {
    type Mapping = View;
    type Open = Buffer;

    fn attach(_: &Attach<'_>) -> Result<Walked, Errno> {
        Ok(Walked)
    }

    fn open(&self, _: Open<'_>) -> Result<Buffer, Errno> {
        Buffer::new()
    }

    fn ioctl(&self, _: &Buffer, _: i32, argument: Argument<'_>) -> Result<i32, Errno> {
        // In the host's process, from here on.
        match argument.value() as u64 {
            0 => drop(failpoint::disarm()),
            n => failpoint::arm(n, "(9F)"),
        }
        Ok(0)
    }

    fn devmap<'a>(&self, request: MapRequest<'a, Walked>) -> Result<Setup<'a, Walked>, Errno> {
        let view = View::new(request.len())?;
        let memory = view.memory.clone();
        Ok(request.map(&memory, 0).with(view)?)
    }
}

impl Mapping<Walked> for View {
    fn access(&self, _: &Walked, fault: Fault<'_>) -> Result<Served, Errno> {
        let _scratch = Buffer::new()?;
        fault.load()
    }

    fn dup(&self, _: &Walked, copy: Dup<'_>) -> Result<View, Errno> {
        let view = View::new(self.memory.len())?;
        view.memory.copy_from(0, &self.memory, 0, self.memory.len())?;
        copy.child().remap(&view.memory, copy.child().offset())?;
        Ok(view)
    }

    fn unmap(self, _: &Walked, cut: Cut<'_>) -> Remains<View> {
        // It cannot fail: what it has no memory for it goes without.
        let note = Buffer::new().ok().map(Arc::new);
        cut.keep_copies(View { memory: self.memory, _note: note })
    }
}

devmap::module! { device: Walked, name: "walked", description: "allocations in every callback" }

/// Exit status of a victim whose call has failed.
const REFUSED: i32 = 2;

const OPERATIONS: [&str; 9] =
    ["open", "map", "replace", "fault", "thread", "fork", "unmap", "middle", "exit"];

const PAGE: usize = 4096;

fn open() -> i32 {
    // SAFETY: a constant string.
    unsafe { libc::open(c"/dev/walked0".as_ptr(), libc::O_RDWR) }
}

fn map(fd: i32, at: *mut u8, flags: i32, pages: usize) -> Option<*mut u8> {
    let (len, prot) = (pages * PAGE, libc::PROT_READ | libc::PROT_WRITE);
    // SAFETY: where the system chooses, or in place of a mapping of the caller's.
    let at = unsafe { libc::mmap(at.cast(), len, prot, libc::MAP_SHARED | flags, fd, 0) };
    (at != libc::MAP_FAILED).then_some(at.cast())
}

fn word(at: *mut u8, page: usize) -> *mut u64 {
    at.wrapping_add(page * PAGE).cast()
}

fn set(at: *mut u8, page: usize, value: u64) {
    // SAFETY: a page of a mapping of the caller's; the memory is shared with the driver only.
    unsafe { word(at, page).write_volatile(value) };
}

fn get(at: *mut u8, page: usize) -> u64 {
    // SAFETY: as in `set`.
    unsafe { word(at, page).read_volatile() }
}

fn unmap(at: *mut u8, pages: usize) -> bool {
    // SAFETY: a range of a mapping of the caller's.
    unsafe { libc::munmap(at.cast(), pages * PAGE) == 0 }
}

fn check(what: &str, so: bool) {
    if !so {
        eprintln!("{what}: it is not so");
        std::process::exit(1);
    }
}

fn refused(failed: bool) {
    if failed {
        std::process::exit(REFUSED);
    }
}

/// Forks; the exit status of the child, which ends with what `f` returns. `None`: fork failed.
fn in_child(f: impl FnOnce() -> i32) -> Option<i32> {
    // SAFETY: the child goes on with its only thread.
    match unsafe { libc::fork() } {
        0 => {
            let status = f();
            // SAFETY: ends the process.
            unsafe { libc::_exit(status) }
        }
        -1 => None,
        child => {
            let mut status = 0;
            // SAFETY: `status` is ours to fill.
            unsafe { libc::waitpid(child, &mut status, 0) };
            let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
            Some(code.unwrap_or_else(|| 128 + libc::WTERMSIG(status)))
        }
    }
}

/// Checks its words, and uses the device in each way, whenever it is told to, until it is hung up on.
fn witness(fd: i32, socket: &str) {
    let mut turns = UnixStream::connect(socket).expect("the host listens");
    let at = map(fd, std::ptr::null_mut(), 0, 4).expect("the witness's mapping");
    for turn in 1_u64.. {
        (0..4).for_each(|page| set(at, page, turn + page as u64));
        check("a turn is over", turns.write_all(&[1]).is_ok());
        if turns.read(&mut [0]).is_ok_and(|count| count == 0) {
            break;
        }
        check("the witness's words", (0..4).all(|page| get(at, page) == turn + page as u64));
        let again = map(fd, std::ptr::null_mut(), 0, 4).expect("another mapping");
        check("new memory", (0..4).all(|page| get(again, page) == 0));
        check("munmap", unmap(again, 4));
        check("a child", in_child(|| i32::from(get(at, 1) != turn + 1)) == Some(0));
    }
}

/// Carries one operation out, during which an allocation fails.
fn victim(fd: i32, operation: &str, n: u64) {
    let at = map(fd, std::ptr::null_mut(), 0, 8).expect("the victim's mapping");
    set(at, 0, 7);
    // SAFETY: no pointer is passed.
    let arm = |n: u64| unsafe { libc::ioctl(fd, 1, n) };
    refused(arm(n) != 0);
    match operation {
        "open" => refused(open() < 0),
        "map" => refused(map(fd, std::ptr::null_mut(), 0, 4).is_none()),
        "replace" => refused(map(fd, at, libc::MAP_FIXED, 8).is_none()),
        "thread" => {
            let other = at as usize;
            let thread = std::thread::spawn(move || set(other as *mut u8, 6, 3));
            check("a thread", thread.join().is_ok() && get(at, 6) == 3);
        }
        "fault" => {
            set(at, 5, 1);
            check("the word", get(at, 5) == 1);
        }
        "fork" => match in_child(|| i32::from(get(at, 0) != 7)) {
            None => refused(true),
            // What has killed the child is an error of it, and not of its parent.
            Some(status) => check("a child", [0, 128 + libc::SIGKILL, 128 + libc::SIGBUS].contains(&status)),
        },
        "unmap" => refused(!unmap(at, 8)),
        "middle" => {
            refused(!unmap(at.wrapping_add(2 * PAGE), 2));
            check("what is left", get(at, 0) == 7 && get(at, 7) == 0);
        }
        _ => return,
    }
    arm(0);
}

/// A client: the witness, or a victim.
pub fn client(operation: &str, argument: &str) -> ExitCode {
    let fd = open();
    check("open", fd >= 0);
    // SAFETY: just opened.
    let _open = unsafe { OwnedFd::from_raw_fd(fd) };
    match operation {
        "witness" => witness(fd, argument),
        operation => victim(fd, operation, argument.parse().expect("a number")),
    }
    ExitCode::SUCCESS
}

fn program(operation: &str, argument: &str) -> Program {
    let path = std::env::current_exe().expect("this program has a file");
    let args = ["--walk-client", operation, argument].map(Into::into).into();
    Program { path, args, env: Vec::new() }
}

/// Gives the witness a turn, and waits for its end.
fn turn(witness: &mut UnixStream, give: bool) -> Result<(), String> {
    let told = if give { witness.write_all(&[1]) } else { Ok(()) };
    told.and_then(|()| witness.read_exact(&mut [0]))
        .map_err(|why| format!("the witness does not come back: {why}"))
}

/// The host: walks all places.
pub fn host(faults: &str) -> ExitCode {
    linked::add(&MODULE);
    let faults = faults.parse().expect("a way of catching faults");
    let options = Options { drivers: vec!["walked".into()], faults, check: true, ..Options::default() };
    let machine = match Machine::start(&options) {
        Ok(machine) => machine,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(77);
        }
    };
    let walked = walk(&machine);
    if let Err(why) = &walked {
        eprintln!("{why}");
    }
    let clean = machine.end();
    if walked.is_ok() && clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn said(error: impl std::error::Error) -> String {
    error.to_string()
}

fn walk(machine: &Machine) -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(said)?;
    let socket = dir.path().join("turns");
    let turns = UnixListener::bind(&socket).map_err(said)?;
    let server = machine.server();
    let mut process = server.spawn(&program("witness", &socket.to_string_lossy())).map_err(said)?;
    let (mut witness, _) = turns.accept().map_err(said)?;
    witness.set_read_timeout(Some(Duration::from_secs(20))).map_err(said)?;
    turn(&mut witness, false)?;
    let live = LIVE.load(Ordering::SeqCst);
    let walked = OPERATIONS.iter().try_for_each(|operation| {
        let mut names: Vec<&str> = Vec::new();
        for n in 1_u64.. {
            let ended =
                server.spawn(&program(operation, &n.to_string())).map_err(said)?.wait().map_err(said)?;
            let status = ended.code().unwrap_or_else(|| 128 + ended.signal().unwrap_or(0));
            let gone = Instant::now() + Duration::from_secs(10);
            let left = || server.process_count() != 1 || LIVE.load(Ordering::SeqCst) != live;
            while left() && Instant::now() < gone {
                std::thread::sleep(Duration::from_millis(1));
            }
            let failed = failpoint::disarm();
            let at = format!("{operation}, place {n} ({})", failed.unwrap_or("none"));
            if left() {
                let (count, now) = (server.process_count(), LIVE.load(Ordering::SeqCst));
                return Err(format!(
                    "{at}: {count} processes, not the witness alone; {now} buffers, not {live}"
                ));
            }
            let allowed = [0, REFUSED, 128 + libc::SIGKILL, 128 + libc::SIGBUS];
            if !allowed.contains(&status) || failed.is_none() && status != 0 {
                return Err(format!("{at}: the victim's exit status is {status}"));
            }
            turn(&mut witness, true).map_err(|why| format!("{at}: {why}"))?;
            match failed {
                Some(name) => names.push(name),
                None => break,
            }
        }
        println!("{operation}: {} places: {}", names.len(), names.join(", "));
        Ok(())
    });
    drop(witness);
    let status = process.wait().map_err(said)?;
    server.finish(process);
    walked?;
    if status.success() { Ok(()) } else { Err(format!("the witness: {status}")) }
}

/// The test: both ways of catching faults.
pub fn failpoints() {
    for faults in ["userfaultfd", "signal"] {
        let out = Command::new(std::env::current_exe().unwrap()).args(["--walk", faults]).output().unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        if out.status.code() == Some(77) {
            println!("skipped: --faults {faults}: {}", text.trim());
            continue;
        }
        assert!(out.status.success(), "--faults {faults}:\n{text}");
        assert_eq!(text.matches("driver mistake:").count(), 0, "--faults {faults}:\n{text}");
        // Each callback's allocations are among the places.
        for (operation, places) in [
            ("open", &["kmem_alloc(9F)"][..]),
            ("map", &["kmem_alloc(9F)", "ddi_umem_alloc(9F)"]),
            ("fault", &["kmem_alloc(9F)"]),
            ("fork", &["kmem_alloc(9F)", "ddi_umem_alloc(9F)"]),
            ("unmap", &["kmem_alloc(9F)"]),
            ("middle", &["kmem_alloc(9F)"]),
            ("exit", &["kmem_alloc(9F)"]),
        ] {
            let line =
                text.lines().find(|line| line.starts_with(&format!("{operation}: "))).unwrap_or_default();
            assert!(places.iter().all(|place| line.contains(place)), "{operation}, {places:?}:\n{text}");
        }
        println!("--faults {faults}:\n{text}");
    }
}
