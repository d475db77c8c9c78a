//! Each place where the host may fail for want of something, one after the other: a victim does one thing, and somewhere on its way the host fails. The victim gets
//! an error or a signal; a witness, which has the same device mapped, notices nothing; nothing is left of the victim.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use ddi_process::{Program, failpoint};

use crate::client::*;
use crate::{Bench, kernel};

/// By name.
pub const PARTS: &[Part] = &[("witness", witness), ("victim", victim)];

/// Exit status of a victim whose call has failed.
const REFUSED: i32 = 2;

const OPERATIONS: [&str; 8] = ["open", "map", "replace", "fault", "thread", "fork", "unmap", "exit"];

/// Checks its words, and uses the device in each way, whenever it has a turn.
fn witness() {
    let fd = open();
    let m = map(fd, 4, 0);
    let mut turn = 0;
    loop {
        for page in 0..4 {
            m.set(page, turn + page as u64);
        }
        if ioctl(fd, kernel::TURN, 0) != 0 {
            break;
        }
        let again = map(fd, 4, 0);
        for page in 0..4 {
            check(
                "the witness's word",
                (m.get(page), again.get(page)),
                (turn + page as u64, turn + page as u64),
            );
        }
        // SAFETY: the mapping just made.
        check("munmap", unsafe { libc::munmap(again.at.cast(), again.len) }, 0);
        check("a child", in_child(|| i32::from(m.get(1) != turn + 1)), 0);
        check("ioctl", ioctl(fd, kernel::UNLOAD, 0), 0);
        turn += 16;
    }
}

/// Forks; the exit status of the child, which ends with what `f` returns. -1: fork failed.
fn in_child(f: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child goes on with its only thread.
    match unsafe { libc::fork() } {
        0 => {
            let status = f();
            // SAFETY: ends the process.
            unsafe { libc::_exit(status) }
        }
        -1 => -1,
        child => {
            let mut status = 0;
            // SAFETY: `status` is ours to fill.
            unsafe { libc::waitpid(child, &mut status, 0) };
            if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) }
        }
    }
}

fn refused(failed: bool) {
    if failed {
        std::process::exit(REFUSED);
    }
}

/// Carries one operation out, during which the host fails.
fn victim() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let n: u64 = number("N").unwrap_or(0);
    let fd = open();
    let m = map(fd, 8, 100);
    m.set(0, 7);
    let armed = ioctl(fd, kernel::ARM, n);
    refused(armed != 0);
    match std::env::var("OPERATION").unwrap_or_default().as_str() {
        "open" => refused(open_at(c"/dev/test0", libc::O_RDWR) < 0),
        "map" => refused(try_map(fd, 4, 120, libc::MAP_SHARED, libc::PROT_READ | libc::PROT_WRITE).is_err()),
        "replace" => {
            // SAFETY: in place of its own mapping.
            let at = unsafe {
                libc::mmap(
                    m.at.cast(),
                    m.len,
                    libc::PROT_READ,
                    libc::MAP_SHARED | libc::MAP_FIXED,
                    fd,
                    120 * PAGE as i64,
                )
            };
            refused(at == libc::MAP_FAILED);
        }
        "thread" => {
            let at = m.word(6) as usize;
            // SAFETY: within the mapping, which lives as long as the process.
            let store = move || unsafe { (at as *mut u64).write_volatile(3) };
            check("a thread", std::thread::spawn(store).join().is_ok(), true);
            check("its word", m.get(6), 3);
        }
        "fault" => {
            m.set(5, 1);
            check("the word", m.get(5), 1);
        }
        "fork" => match in_child(|| i32::from(m.get(0) != 7)) {
            -1 => refused(true),
            // What has killed the child is an error of it, and not of its parent.
            status if [0, 128 + libc::SIGKILL, 128 + libc::SIGBUS].contains(&status) => {}
            status => check("the child's status", status, 0),
        },
        // SAFETY: its own mapping.
        "unmap" => refused(unsafe { libc::munmap(m.at.cast(), m.len) } != 0),
        _ => return,
    }
    ioctl(fd, kernel::DISARM, 0);
}

fn program(part: &str, env: &[(&str, String)]) -> Program {
    let env = env.iter().map(|(name, value)| ((*name).into(), value.into()));
    Program {
        path: std::env::current_exe().unwrap_or_default(),
        args: Vec::new(),
        env: env.chain([("DDI_CLIENT".into(), part.into())]).collect(),
    }
}

/// Lets the host fail at the n-th place, for each n, in each operation.
pub fn walk(b: &Bench) -> Result<(), String> {
    let mut witness = b.server.spawn(&program("witness", &[])).map_err(|e| e.to_string())?;
    if !b.kernel.turns.give() {
        return Err("the witness does not begin".into());
    }
    let walked = OPERATIONS.iter().try_for_each(|operation| {
        let mut names = Vec::new();
        for n in 1.. {
            let env = [("N", n.to_string()), ("OPERATION", (*operation).to_owned())];
            // Not in the foreground: that would wait for the witness, too.
            let ended = b.server.spawn(&program("victim", &env)).map_err(|e| e.to_string())?.wait();
            let ended = ended.map_err(|e| e.to_string())?;
            let status = ended.code().unwrap_or_else(|| 128 + ended.signal().unwrap_or(0));
            let gone = Instant::now() + Duration::from_secs(10);
            while b.server.process_count() > 1 && Instant::now() < gone {
                std::thread::sleep(Duration::from_millis(1));
            }
            let failed = failpoint::disarm();
            let at = format!("{operation}, place {n} ({})", failed.unwrap_or("none"));
            if b.server.process_count() != 1 {
                return Err(format!("{at}: {} processes, not the witness alone", b.server.process_count()));
            }
            if b.kernel.mappings() != 1 {
                return Err(format!("{at}: {} mappings, not the witness's alone", b.kernel.mappings()));
            }
            let allowed = [0, REFUSED, 128 + libc::SIGKILL, 128 + libc::SIGBUS];
            if !allowed.contains(&status) || failed.is_none() && status != 0 {
                return Err(format!("{at}: the victim's exit status is {status}"));
            }
            if !b.kernel.turns.give() {
                return Err(format!("{at}: the witness does not come back"));
            }
            match failed {
                Some(name) => names.push(name),
                None => break,
            }
        }
        println!("    {operation}: {} places: {}", names.len(), names.join(", "));
        Ok(())
    });
    b.kernel.turns.end();
    let status = witness.wait().map_err(|e| e.to_string())?;
    b.server.finish(witness);
    walked?;
    if status.success() { Ok(()) } else { Err(format!("the witness: {status}")) }
}
