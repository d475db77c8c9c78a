//! A driver that is linked in and makes mistakes: what the host says of it is what it says of a module ("driver mistake", the place, the driver's stack,
//! the entry point, where locks were taken and memory was allocated).
//!
//! This program is the tests; started by itself, it is the host with the driver linked in, and the client.

use std::ffi::{c_int, c_void};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ddi_host::linked;
use ddi_host::machine::{Machine, Options};
use ddi_process::Program;
use devmap::prelude::*;
use devmap::sync::Condvar;
use devmap::timeout::Timeout;
use devmap::{MapRequest, Setup};
use libtest_mimic::{Arguments, Trial};

#[path = "../ends/signals.rs"]
mod signals;
mod walk;

use signals::with_signals;

/// A device whose ioctls are mistakes.
struct Wrong {
    lock: Arc<Mutex<u32>>,
    never: Condvar,
}

impl Device for Wrong {
    type Mapping = ();
    type Open = ();

    fn attach(_: &Attach<'_>) -> Result<Wrong, Errno> {
        Ok(Wrong { lock: Arc::new(Mutex::new(0)), never: Condvar::new() })
    }

    fn ioctl(&self, _: &(), command: i32, argument: Argument<'_>) -> Result<i32, Errno> {
        self.mistake(&argument, command);
        Ok(0)
    }

    fn devmap<'a>(&self, _: MapRequest<'a, Wrong>) -> Result<Setup<'a, Wrong>, Errno> {
        Err(Errno::ENXIO)
    }
}

devmap::module! { device: Wrong, name: "linked", description: "mistakes of a driver that is linked in" }

const SPIN: i32 = 1;
const SPIN_IN_THE_KERNEL: i32 = 2;
const SLEEP_IN_A_TIMEOUT: i32 = 3;
const ENTER_TWICE: i32 = 4;
const LEAK_MEMORY: i32 = 5;
const LEAK_A_COOKIE: i32 = 6;
const LEAVE_A_TIMEOUT: i32 = 7;
const DIE: i32 = 8;
const DIE_IN_THE_KERNEL: i32 = 9;
const RETURN_WITH_A_MUTEX: i32 = 10;
const FREE_TWICE: i32 = 11;
const CANCEL_UNDER_THE_LOCK: i32 = 12;
const WAIT: i32 = 13;

static DONE: AtomicU32 = AtomicU32::new(0);

impl Wrong {
    fn mistake(&self, argument: &Argument<'_>, which: i32) {
        match which {
            SPIN => spin(),
            SPIN_IN_THE_KERNEL => loop {
                // SAFETY: no pointers; a wait of no time.
                unsafe { ddi_sys::drv_usecwait(1) };
            },
            SLEEP_IN_A_TIMEOUT => {
                Timeout::after(Duration::ZERO, |_| sleeps()).cancel();
                let timeout = Timeout::after(Duration::from_millis(1), |_| sleeps());
                while DONE.load(Ordering::Relaxed) == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
                timeout.cancel();
            }
            ENTER_TWICE => {
                let _first = self.enter();
                drop(self.lock.lock());
            }
            LEAK_MEMORY => drop(leak()),
            LEAK_A_COOKIE => std::mem::forget(Umem::new(argument, Kind::Locked, 8192)),
            LEAVE_A_TIMEOUT => std::mem::forget(Timeout::after(Duration::from_secs(1000), |_| ())),
            // SAFETY: it is not: this is what the test is about.
            DIE => unsafe { std::ptr::without_provenance_mut::<u32>(0x18).write_volatile(1) },
            // SAFETY: as above.
            DIE_IN_THE_KERNEL => unsafe { ddi_sys::mutex_enter(std::ptr::without_provenance_mut(0x20)) },
            RETURN_WITH_A_MUTEX => std::mem::forget(self.enter()),
            CANCEL_UNDER_THE_LOCK => {
                let _held = self.enter();
                let lock = self.lock.clone();
                let timeout = Timeout::after(Duration::from_millis(1), move |_| takes(&lock));
                while DONE.load(Ordering::Relaxed) == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
                timeout.cancel();
            }
            WAIT => {
                let mut held = self.enter();
                loop {
                    self.never.wait(argument, &mut held);
                }
            }
            FREE_TWICE => {
                let memory = leak();
                // SAFETY: the buffer just made.
                unsafe { ddi_sys::kmem_free(memory, 64) };
                // SAFETY: as above: the mistake.
                unsafe { ddi_sys::kmem_free(memory, 64) };
            }
            _ => {}
        }
    }

    #[inline(never)]
    fn enter(&self) -> devmap::sync::MutexGuard<'_, u32> {
        self.lock.lock()
    }
}

#[inline(never)]
fn spin() {
    loop {
        DONE.fetch_add(1, Ordering::Relaxed);
    }
}

#[inline(never)]
fn sleeps() {
    // SAFETY: no pointers.
    let memory = unsafe { ddi_sys::kmem_alloc(64, ddi_sys::KM_SLEEP) };
    // SAFETY: the buffer just made.
    unsafe { ddi_sys::kmem_free(memory, 64) };
    DONE.store(1, Ordering::Relaxed);
}

#[inline(never)]
fn takes(lock: &Mutex<u32>) {
    DONE.store(1, Ordering::Relaxed);
    drop(lock.lock());
}

#[inline(never)]
fn leak() -> *mut c_void {
    // SAFETY: no pointers.
    unsafe { ddi_sys::kmem_alloc(64, ddi_sys::KM_SLEEP) }
}

/// The client: opens the device and makes the mistake.
fn client(which: c_int) -> ExitCode {
    // SAFETY: a constant string.
    let fd = unsafe { libc::open(c"/dev/linked0".as_ptr(), libc::O_RDWR) };
    if which == WAIT {
        println!("about to wait");
    }
    // SAFETY: no pointer is passed.
    let done = unsafe { libc::ioctl(fd, which as libc::Ioctl, 0) };
    println!("I went on");
    if done == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The host.
fn host(which: &str) -> ExitCode {
    linked::add(&MODULE);
    let options = Options { drivers: vec!["linked".into()], check: true, ..Options::default() };
    let machine = match Machine::start(&options) {
        Ok(machine) => machine,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let path = std::env::current_exe().expect("this program has a file");
    let program = Program { path, args: vec!["--client".into(), which.into()], env: Vec::new() };
    let status = machine.server().run(&program).unwrap_or(1);
    let clean = machine.end();
    if status == 0 && clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Makes a mistake; what the host says has to hold these texts, and the run has to fail with one report.
fn reported(which: i32, texts: &[&str]) {
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--host", &which.to_string()])
        .env("DDI_HOST_SPIN_LIMIT", "1")
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    for part in texts {
        assert!(text.contains(part), "mistake {which}: {part:?} is not in:\n{text}");
    }
    assert_eq!(out.status.code(), Some(1), "mistake {which}:\n{text}");
    assert_eq!(text.matches("driver mistake:").count(), 1, "mistake {which}: one report:\n{text}");
}

const IOCTL: &str = "\n    in linked: ioctl(9E), for process ";
/// A frame of the driver's: what the compiler has inlined has no path.
const MISTAKE: &str = "ioctl (";
const FILE: &str = "host/tests/linked/main.rs:";

fn endless_loops() {
    let limit = "the call has taken 1 seconds of processor time and does not come back";
    reported(SPIN, &["mistake: ", "spin (", limit, MISTAKE, FILE, IOCTL]);
    reported(SPIN_IN_THE_KERNEL, &[limit, MISTAKE, FILE, IOCTL]);
}

fn a_sleeping_allocation_in_a_timeout() {
    let what = "mistake: kmem_alloc: KM_SLEEP may block, and this is a timeout's function";
    reported(SLEEP_IN_A_TIMEOUT, &[what, "sleeps (", FILE]);
}

fn where_locks_were_taken() {
    let entered = &["\n  entered:\n    at ", "enter (", FILE];
    let twice = &["mistake: mutex_enter: the mutex at ", "holds it already", MISTAKE, IOCTL];
    reported(ENTER_TWICE, &[&twice[..], entered].concat());
    reported(RETURN_WITH_A_MUTEX, &[&["linked: ioctl(9E) returned with a mutex held"][..], entered].concat());
}

fn where_memory_was_allocated() {
    let memory = "_fini: 1 kmem buffers (64 bytes) are still allocated\n    64 bytes at 0x";
    reported(LEAK_MEMORY, &[memory, ", allocated at ", MISTAKE, FILE]);
    let cookie = "_fini: 1 umem cookies (8192 bytes) are left\n    8192 bytes, cookie 0x";
    reported(LEAK_A_COOKIE, &[cookie, ", allocated at ", MISTAKE, FILE]);
    let earlier = &["\n  freed:\n    at ", "\n  allocated:\n    at ", FILE];
    let twice = &["mistake: kmem_free: ", "it was freed before", MISTAKE, IOCTL];
    reported(FREE_TWICE, &[&twice[..], earlier].concat());
}

fn where_a_timeout_was_made() {
    let refused = "_fini: linked: _fini(9E) refused with errno 16";
    reported(LEAVE_A_TIMEOUT, &[refused, "\n  a timeout is still pending", ":\n    at ", MISTAKE, FILE]);
}

fn deadlocks() {
    let waits = [" waits for the function that it cancels, which ", " waits for the mutex at ", " (made at "];
    let stacks =
        ["\n  thread ", " waits:\n    at ", "takes (", MISTAKE, FILE, IOCTL, "in timeout(9F) function"];
    let entered = [" was entered:\n    at ", "enter ("];
    reported(CANCEL_UNDER_THE_LOCK, &[&[": deadlock: this thread"][..], &waits, &stacks, &entered].concat());
}

/// A process that does not outlive its test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

/// The first signal says where the call waits and for what, the second ends the run.
fn signals_that_end_no_call() {
    use std::io::{BufRead, BufReader, Read};
    use std::os::unix::process::CommandExt;
    use std::process::Stdio;
    let mut host = Command::new(std::env::current_exe().unwrap());
    host.args(["--host", &WAIT.to_string()]).process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut host = Killed(with_signals(&mut host).spawn().unwrap());
    let mut out = BufReader::new(host.0.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let group = -host.0.id().cast_signed();
    // SAFETY: no memory is involved; the group is this child's.
    let interrupt = || assert_eq!(unsafe { libc::kill(group, libc::SIGINT) }, 0);
    let begin = std::time::Instant::now();
    interrupt();
    let (mut err, mut text) = (BufReader::new(host.0.stderr.take().unwrap()), String::new());
    while !text.contains("    in linked: ioctl(9E), for process ") {
        assert_ne!(err.read_line(&mut text).unwrap(), 0, "only: {text}");
    }
    // Code that is not optimized reads its debugging information slowly.
    let limit = if cfg!(debug_assertions) { 4 } else { 1 };
    assert!(begin.elapsed() < Duration::from_secs(limit), "after {:?}", begin.elapsed());
    let said = "a signal does not end this call, another one ends the run: cv_wait: waits for the condition variable at 0x";
    assert!(text.contains(said) && text.contains(FILE) && text.contains(MISTAKE), "{text}");
    interrupt();
    err.read_to_string(&mut text).unwrap();
    assert_eq!(host.0.wait().unwrap().code(), Some(1), "{text}");
}

fn deaths() {
    reported(DIE, &["a NULL pointer is used (address 0x18)", MISTAKE, FILE, IOCTL]);
    let kernel = "mistake: mutex_enter: a NULL pointer is used (address 0x20)";
    reported(DIE_IN_THE_KERNEL, &[kernel, MISTAKE, FILE, IOCTL]);
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (role, which) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match role.as_str() {
        "--host" => return host(&which),
        "--client" => return client(which.parse().unwrap()),
        "--walk" => return walk::host(&which),
        "--walk-client" => return walk::client(&which, &words.next().unwrap_or_default()),
        _ => {}
    }
    let tests: [(&str, fn()); 9] = [
        ("endless_loops", endless_loops),
        ("a_sleeping_allocation_in_a_timeout", a_sleeping_allocation_in_a_timeout),
        ("where_locks_were_taken", where_locks_were_taken),
        ("where_memory_was_allocated", where_memory_was_allocated),
        ("where_a_timeout_was_made", where_a_timeout_was_made),
        ("deadlocks", deadlocks),
        ("signals_that_end_no_call", signals_that_end_no_call),
        ("deaths", deaths),
        ("failpoints", walk::failpoints),
    ];
    let trial = |(name, test): (&str, fn())| {
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(name, run)
    };
    libtest_mimic::run(&Arguments::from_args(), tests.map(trial).into()).exit_code()
}
