//! A driver whose entry points and callbacks panic: each panic gives one clear message, fails that call only, and the run's status
//! is not 0. This program is the host (with the driver linked in) and, started by itself, the clients.

use std::ffi::CString;
use std::process::ExitCode;

use ddi_host::linked;
use ddi_host::machine::{Machine, Options};
use ddi_kernel::board::log;
use ddi_process::Program;
use devmap::prelude::*;
use devmap::{Cut, Dup, Fault, MapRequest, Remains, Served, Setup, Uio, Umem};

/// A device with one page of memory.
struct Panicky {
    page: Umem,
}

/// A mapping; the user offset says what panics.
struct View(u64);

const ACCESS: u64 = 0x1000;
const DUP: u64 = 0x2000;
const UNMAP: u64 = 0x3000;
const DEVMAP: u64 = 0x4000;

impl Device for Panicky {
    type Mapping = View;
    type Open = ();

    fn attach(attach: &Attach<'_>) -> Result<Panicky, Errno> {
        Ok(Panicky { page: Umem::new(attach, devmap::umem::Kind::Locked, 4096)? })
    }

    fn ioctl(&self, _: &(), command: i32, _: devmap::Argument<'_>) -> Result<i32, Errno> {
        assert_ne!(command, 13, "unlucky");
        Ok(command)
    }

    fn read(&self, _: &(), uio: &mut Uio<'_>) -> Result<(), Errno> {
        uio.give_from_offset(b"still here\n").map(|_| ())
    }

    fn devmap<'a>(&self, request: MapRequest<'a, Panicky>) -> Result<Setup<'a, Panicky>, Errno> {
        let offset = request.offset();
        assert!(offset < DEVMAP, "no such place");
        Ok(request.map_part(devmap::Memory::from(&self.page), 0, 4096).with(View(offset))?)
    }
}

impl Mapping<Panicky> for View {
    fn access(&self, _: &Panicky, fault: Fault<'_>) -> Result<Served, Errno> {
        assert_ne!(self.0, ACCESS, "do not touch");
        fault.load()
    }

    fn dup(&self, _: &Panicky, _: Dup<'_>) -> Result<View, Errno> {
        assert_ne!(self.0, DUP, "no copies");
        Ok(View(self.0))
    }

    fn unmap(self, _: &Panicky, cut: Cut<'_>) -> Remains<View> {
        assert_ne!(self.0, UNMAP, "not that");
        match cut {
            Cut::Whole(cut) => cut.gone(),
            _ => unreachable!("mappings are one page"),
        }
    }
}

devmap::module! { device: Panicky, name: "panicky", description: "panics" }

/// What the clients do. Answers what went otherwise than it should.
fn client() -> Result<(), String> {
    let path = CString::new("/dev/panicky0").expect("a constant");
    // SAFETY: plain system calls on values of this function.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDWR) };
    let check = |ok: bool, what: &str| {
        if ok { Ok(()) } else { Err(format!("{what}: {}", std::io::Error::last_os_error())) }
    };
    check(fd >= 0, "open")?;
    let map = |offset: u64| {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping wherever there is room.
        unsafe { libc::mmap(std::ptr::null_mut(), 4096, prot, libc::MAP_SHARED, fd, offset as i64) }
    };
    let errno = || std::io::Error::last_os_error().raw_os_error();
    let good = map(0);
    check(good != libc::MAP_FAILED, "mmap")?;
    // SAFETY: the page just mapped.
    unsafe { good.cast::<u32>().write_volatile(5) };

    // SAFETY: no pointer is passed.
    let ioctl = |command: libc::Ioctl| unsafe { libc::ioctl(fd, command, 0) };
    check(ioctl(13) == -1 && errno() == Some(libc::EIO), "an ioctl that panics fails with EIO")?;
    check(ioctl(12) == 12, "the next one works")?;

    check(
        map(DEVMAP) == libc::MAP_FAILED && errno() == Some(libc::ENXIO),
        "a devmap that panics fails mmap",
    )?;

    let touch = map(ACCESS);
    check(touch != libc::MAP_FAILED, "mmap of what panics when touched")?;
    // SAFETY: fork of a program with one thread; the child only touches the page.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: mapped, and expected to raise a signal.
        unsafe { touch.cast::<u32>().write_volatile(1) };
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: waits for the child just made.
    unsafe { libc::waitpid(pid, &mut status, 0) };
    check(
        libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGBUS,
        "a panicking access is SIGBUS",
    )?;

    let copied = map(DUP);
    check(copied != libc::MAP_FAILED, "mmap of what panics when copied")?;
    // SAFETY: as above.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    check(pid == -1 && errno() == Some(libc::EAGAIN), "a panicking dup refuses fork")?;
    // SAFETY: a mapping of this function, here and below.
    check(unsafe { libc::munmap(copied, 4096) } == 0, "munmap")?;

    let last = map(UNMAP);
    check(last != libc::MAP_FAILED, "mmap of what panics when unmapped")?;
    // SAFETY: as above.
    check(unsafe { libc::munmap(last, 4096) } == 0, "munmap of what panics")?;

    // SAFETY: the page mapped first.
    let value = unsafe { good.cast::<u32>().read_volatile() };
    check(value == 5, "the first mapping is as it was")?;
    let mut buffer = [0u8; 11];
    // SAFETY: a buffer of this function.
    let n = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
    check(n == 11 && &buffer == b"still here\n", "the device goes on")
}

fn host() -> Result<(), String> {
    log::set_quiet(true);
    linked::add(&MODULE);
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let faults = std::env::var("DDI_TEST_FAULTS")
        .unwrap_or("auto".into())
        .parse()
        .map_err(|why: ddi_process::UnknownPolicy| why.to_string())?;
    let options = Options { drivers: vec!["panicky".into()], faults, ..Options::default() };
    let machine = Machine::start(&options).map_err(|e| e.to_string())?;
    let program = Program { path: own, args: vec!["client".into()], env: Vec::new() };
    let status = machine.server().run(&program).map_err(|e| e.to_string())?;
    let clean = machine.end();
    let lines = log::recent();
    let panics: Vec<&String> = lines.iter().filter(|l| l.starts_with("driver panic: ")).collect();
    for (what, message) in [
        ("panicky: ioctl(9E)", "unlucky"),
        ("panicky: devmap(9E)", "no such place"),
        ("panicky: devmap_access(9E)", "do not touch"),
        ("panicky: devmap_dup(9E)", "no copies"),
        ("panicky: devmap_unmap(9E)", "not that"),
    ] {
        let said = panics
            .iter()
            .filter(|l| l.contains(what) && l.contains(message) && l.contains("main.rs:"))
            .count();
        if said != 1 {
            return Err(format!("{said} messages say that {what} panicked ({message}): {panics:#?}"));
        }
    }
    if status != 0 {
        return Err(format!("the client ended with status {status}"));
    }
    if clean {
        return Err("a run with panics counts as a success".into());
    }
    Ok(())
}

fn main() -> ExitCode {
    let result = if std::env::args().nth(1).as_deref() == Some("client") { client() } else { host() };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("panics: {why}");
            ExitCode::FAILURE
        }
    }
}
