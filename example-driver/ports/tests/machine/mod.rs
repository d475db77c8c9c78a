//! kiomap's module is busy exactly while its device is open or mapped: modunload(8) on a machine that stays up, with a process that maps, unmaps, forks, exits and is killed.
//!
//! The process is this program, started under the host with `client`; it says what it has done, and goes on when it is told to.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use libc::c_void;

const PAGE: usize = 4096;
const BUSY: (i32, &str) = (16, "can't unload the module: Device busy\n");

/// A machine for a system's directory, on which kiomap is installed.
struct Machine<'a> {
    program: &'a Path,
    root: tempfile::TempDir,
    serve: Child,
}

impl Machine<'_> {
    fn start<'a>(program: &'a Path, module: &Path, conf: &Path) -> Machine<'a> {
        let root = tempfile::tempdir().expect("a directory");
        let drv = root.path().join("kernel/drv");
        fs::create_dir_all(drv.join("amd64")).expect("the drivers' directory");
        fs::create_dir(root.path().join("etc")).expect("etc");
        fs::write(root.path().join("etc/devlink.tab"), "type=ddi_pseudo;name=kiomap\t\\M0\n")
            .expect("the links");
        fs::copy(module, drv.join("amd64/kiomap")).expect("the module");
        fs::copy(conf, drv.join("kiomap.conf")).expect("the configuration");
        let mut serve = Command::new(program);
        let serve = serve.args(["serve", "--root"]).arg(root.path()).spawn().expect("the machine");
        let machine = Machine { program, root, serve };
        // Without a machine modinfo shows nothing on its standard output, not even its heading.
        while machine.modules().is_empty() {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(machine.says("add_drv", &["-m", "* 0666 root sys", "kiomap"]), (0, String::new()));
        machine
    }

    fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.args([name, "--root"]).arg(self.root.path()).args(args);
        command
    }

    /// Runs a command; its exit status and standard error.
    fn says(&self, name: &str, args: &[&str]) -> (i32, String) {
        let output = self.command(name, args).output().expect("the host");
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn modules(&self) -> String {
        let output = self.command("modinfo", &[]).output().expect("the host");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The number of kiomap's module, if it is loaded.
    fn module(&self) -> Option<String> {
        let modules = self.modules();
        let line = modules.lines().find(|line| line.split_whitespace().any(|word| word == "kiomap"))?;
        line.split_whitespace().next().map(str::to_owned)
    }

    /// The module is loaded, and cannot be unloaded.
    fn is_busy(&self, when: &str) {
        let id = self.module().unwrap_or_else(|| panic!("{when}: the module is not loaded"));
        let (status, said) = self.says("modunload", &["-i", &id]);
        assert_eq!((status, said.as_str()), BUSY, "{when}");
        assert!(self.module().is_some(), "{when}");
    }

    /// The module is loaded, and can be unloaded.
    fn is_idle(&self, when: &str) {
        let id = self.module().unwrap_or_else(|| panic!("{when}: the module is not loaded"));
        assert_eq!(self.says("modunload", &["-i", &id]), (0, String::new()), "{when}");
        assert!(self.module().is_none(), "{when}");
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        let _ = self.serve.kill();
        let _ = self.serve.wait();
    }
}

/// The client, as the test has it.
struct Client {
    host: Child,
    to: ChildStdin,
    from: BufReader<std::process::ChildStdout>,
}

impl Client {
    fn start(machine: &Machine<'_>, what: &str) -> Client {
        let own = std::env::current_exe().expect("the path of this test");
        let mut run = machine.command("run", &["--"]);
        let run = run.arg(own).args(["client", what]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut host = run.spawn().expect("the client");
        let (to, from) = (host.stdin.take().expect("a pipe"), host.stdout.take().expect("a pipe"));
        Client { host, to, from: BufReader::new(from) }
    }

    /// Waits until it has done something, and returns the words.
    fn hears(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("the client's words");
        line.trim_end().to_owned()
    }

    fn goes_on(&mut self) {
        self.to.write_all(b"\n").expect("the client");
    }

    fn ends(mut self) {
        let _ = self.host.wait();
    }
}

/// The test.
pub fn test(program: &Path, module: &Path, conf: &Path) {
    let machine = Machine::start(program, module, conf);
    for what in ["munmap", "pieces", "fork"] {
        let mut client = Client::start(&machine, what);
        loop {
            let done = client.hears();
            match done.split_once(' ') {
                Some(("busy", when)) => machine.is_busy(&format!("{what}: {when}")),
                Some(("idle", when)) => machine.is_idle(&format!("{what}: {when}")),
                _ => break,
            }
            client.goes_on();
        }
        client.ends();
        if machine.module().is_some() {
            machine.is_idle(&format!("{what}: after its end"));
        }
    }
    // By exit, and by SIGKILL.
    let mut client = Client::start(&machine, "keep");
    assert!(client.hears().starts_with("busy"));
    machine.is_busy("before exit");
    client.goes_on();
    client.ends();
    machine.is_idle("after exit");
    let mut client = Client::start(&machine, "keep");
    let process = client.hears().rsplit(' ').next().and_then(|word| word.parse().ok()).expect("a number");
    machine.is_busy("before SIGKILL");
    // SAFETY: a process that this test has started, and that waits for it.
    assert_eq!(unsafe { libc::kill(process, libc::SIGKILL) }, 0);
    client.ends();
    machine.is_idle("after SIGKILL");
}

/// Maps pages of the buffer, and closes the device.
fn map(pages: usize) -> *mut c_void {
    use std::os::fd::AsRawFd;
    let device = fs::OpenOptions::new().read(true).write(true).open("/dev/kiomap0").expect("the device");
    let (len, prot) = (pages * PAGE, libc::PROT_READ | libc::PROT_WRITE);
    // SAFETY: a new mapping, at an address of the system's choice.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, libc::MAP_SHARED, device.as_raw_fd(), 0) };
    assert_ne!(at, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
    // SAFETY: in the mapping, which others may write, too.
    assert_eq!(unsafe { at.cast::<u8>().read_volatile() }, 0xff);
    at
}

fn unmap(at: *mut c_void, page: usize, pages: usize) {
    // SAFETY: pages of a mapping of this program's, which nothing refers to.
    assert_eq!(unsafe { libc::munmap(at.wrapping_byte_add(page * PAGE), pages * PAGE) }, 0);
}

/// Says what was done, and waits until it may go on.
fn done(what: &str) {
    println!("{what}");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("the test's word");
}

/// The client: a process that uses the device.
pub fn client(what: &str) {
    match what {
        "munmap" => {
            let (at, other) = (map(2), map(1));
            done("busy mapped twice, and closed");
            unmap(at, 0, 2);
            done("busy mapped once");
            unmap(other, 0, 1);
            done("idle unmapped");
            let device = fs::File::open("/dev/kiomap0").expect("the device");
            done("busy open");
            drop(device);
            done("idle closed");
        }
        "pieces" => {
            let at = map(8);
            unmap(at, 3, 2);
            done("busy without the middle");
            unmap(at, 0, 3);
            done("busy without the beginning");
            unmap(at, 5, 3);
            done("idle without all");
        }
        "fork" => {
            let at = map(2);
            let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
            // SAFETY: the child uses only what a process of one thread may.
            let child = unsafe { libc::fork() };
            if child == 0 {
                drop(ours);
                let mut line = String::new();
                let _ = BufReader::new(theirs).read_line(&mut line);
                // SAFETY: ends the child with its mapping.
                unsafe { libc::_exit(0) };
            }
            unmap(at, 0, 2);
            done("busy mapped by the child");
            ours.write_all(b"\n").expect("the child");
            // SAFETY: our child.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
            done("idle after the child's exit");
        }
        _ => {
            map(2);
            done(&format!("busy in {}", std::process::id()));
            return;
        }
    }
    println!("end");
}
