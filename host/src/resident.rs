//! A machine that stays up for a system's directory: `ddi-host serve --root DIR`.
//!
//! It is to that directory what a kernel is to its system: drivers that add_drv installs are attached at once and stay loaded while programs
//! come and go. `ddi-host run`, `add_drv`, `rem_drv`, `modload`, `modinfo`, `modunload` and `kstat` with the same `--root` find it by an abstract socket
//! that is named after the directory's device and inode numbers, so there is nothing in the file system.
//!
//! A request is its words, each ended by a NUL; the answer is `0` or `1` (it could not be done) and a text. Requests are served one at a time,
//! by the thread that started the machine.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use ddi_process::Kernel as _;
use ddi_process::ending::{Ending, Signals};
use ddi_system::errno::{EBUSY, EINVAL, ENOENT};
use ddi_system::root::Root;
use rustix::event::{PollFd, PollFlags, poll};

use crate::loader::modctl;
use crate::loader::session::{self, Session};
use crate::machine::Machine;
use ddi_kernel::board::log;
use ddi_kernel::calls::kernel::DdiKernel;
use ddi_kernel::calls::{autoload, system};
use ddi_kernel::ddi::kstats;
use ddi_kernel::kern::{blocked, drivers, nodes};
use ddi_kernel::pci;

/// How long the other side may take with a request or an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked of a machine that stays up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The environment that makes a program its client.
    Environment,
    /// Load and attach a driver that has been installed.
    Attach(String),
    /// Give a driver that has been installed its major number and its aliases.
    Bind(String),
    /// Take them away again, and the driver's nodes.
    Unbind(String),
    /// Forget what a driver's configuration file said.
    Reread(String),
    /// Take over what etc/minor_perm says of a driver, or forget that.
    Permissions {
        /// The driver.
        driver: String,
        /// Take it over.
        add: bool,
    },
    /// Unload a driver's module, if it is loaded.
    Unload(String),
    /// Unload the module with this number; 0: all that are not in use.
    UnloadId(i64),
    /// Load a module: a file, or a name along the module path.
    Load(String, bool),
    /// The loaded modules.
    Modules {
        /// Only the one with this number.
        id: Option<i64>,
        /// Descriptions are shown whole.
        wide: bool,
        /// How often they were loaded, and those that are not any more.
        count: bool,
    },
    /// All statistics.
    Kstats,
    /// Calls that are inside a driver and that signals do not end: a number for each.
    Stuck,
    /// Where these calls are and for what they wait.
    Where(Vec<u64>),
}

impl Request {
    fn words(&self) -> Vec<String> {
        let word = |text: &str| text.to_owned();
        match self {
            Request::Environment => vec![word("environment")],
            Request::Attach(name) => vec![word("attach"), name.clone()],
            Request::Unload(name) => vec![word("unload"), name.clone()],
            Request::UnloadId(id) => vec![word("unload-id"), id.to_string()],
            Request::Bind(name) => vec![word("bind"), name.clone()],
            Request::Unbind(name) => vec![word("unbind"), name.clone()],
            Request::Reread(name) => vec![word("reread"), name.clone()],
            Request::Permissions { driver, add } => {
                vec![word("permissions"), driver.clone(), add.to_string()]
            }
            Request::Load(name, by_path) => vec![word("load"), name.clone(), by_path.to_string()],
            Request::Modules { id, wide, count } => {
                let id = id.map_or_else(String::new, |id| id.to_string());
                vec![word("modules"), id, wide.to_string(), count.to_string()]
            }
            Request::Kstats => vec![word("kstats")],
            Request::Stuck => vec![word("stuck")],
            Request::Where(calls) => {
                let calls: Vec<String> = calls.iter().map(u64::to_string).collect();
                vec![word("where"), calls.join(" ")]
            }
        }
    }

    fn parse(words: &[&str]) -> Option<Request> {
        Some(match words {
            ["environment"] => Request::Environment,
            ["attach", name] => Request::Attach((*name).to_owned()),
            ["unload", name] => Request::Unload((*name).to_owned()),
            ["unload-id", id] => Request::UnloadId(id.parse().ok()?),
            ["bind", name] => Request::Bind((*name).to_owned()),
            ["unbind", name] => Request::Unbind((*name).to_owned()),
            ["reread", name] => Request::Reread((*name).to_owned()),
            ["permissions", driver, add] => {
                Request::Permissions { driver: (*driver).to_owned(), add: add.parse().ok()? }
            }
            ["load", name, by_path] => Request::Load((*name).to_owned(), by_path.parse().ok()?),
            ["modules", id, wide, count] => Request::Modules {
                id: if id.is_empty() { None } else { Some(id.parse().ok()?) },
                wide: wide.parse().ok()?,
                count: count.parse().ok()?,
            },
            ["kstats"] => Request::Kstats,
            ["stuck"] => Request::Stuck,
            ["where", calls] => {
                Request::Where(calls.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?)
            }
            _ => return None,
        })
    }
}

/// What came of a request: its text, or why it could not be done.
pub type Answer = Result<String, String>;

fn address(root: &Path) -> io::Result<SocketAddr> {
    let meta = std::fs::metadata(root)?;
    SocketAddr::from_abstract_name(format!("ddi-host.root.{:x}.{:x}", meta.dev(), meta.ino()))
}

/// Asks the machine that serves a system's directory; `None` if there is none.
///
/// # Errors
/// It does not answer.
pub fn ask(root: &Path, request: &Request) -> io::Result<Option<Answer>> {
    let Ok(address) = address(root) else { return Ok(None) };
    let Ok(mut stream) = UnixStream::connect_addr(&address) else { return Ok(None) };
    let words: Vec<u8> =
        request.words().into_iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
    stream.write_all(&words)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    match text.split_at_checked(1) {
        Some(("0", rest)) => Ok(Some(Ok(rest.to_owned()))),
        Some(("1", rest)) => Ok(Some(Err(rest.to_owned()))),
        _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "ddi-host serve did not answer")),
    }
}

/// The place where requests come in.
#[derive(Debug)]
pub struct Door(UnixListener);

impl Door {
    /// Opens it: one machine serves a directory. Take it before drivers are loaded.
    ///
    /// # Errors
    /// One clear message.
    pub fn open(root: &Path) -> Result<Door, String> {
        let shown = root.display();
        let address = address(root).map_err(|e| format!("{shown}: {e}"))?;
        match UnixListener::bind_addr(&address) {
            Ok(listener) => Ok(Door(listener)),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
                Err(format!("{shown}: another ddi-host serves this system"))
            }
            Err(e) => Err(format!("{shown}: cannot make the control socket: {e}")),
        }
    }
}

/// How the machine is ended: the first signal ends it, with whatever time that takes.
struct EndMachine(OwnedFd);

impl Ending for EndMachine {
    fn asked(&self, _: i32) {
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    fn stuck(&self) -> Vec<u64> {
        DdiKernel.stuck()
    }

    fn say(&self, calls: Vec<u64>) -> Vec<u64> {
        DdiKernel.say_stuck(calls)
    }

    fn end(&self) {
        DdiKernel.give_up();
    }
}

/// Serves until SIGINT, SIGTERM or SIGHUP comes, then ends the machine. True: nothing went wrong.
///
/// # Errors
/// The signals cannot be caught.
pub fn serve(mut machine: Machine, root: &Root, door: &Door) -> io::Result<bool> {
    let stopper = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
    let signals = Signals::take(EndMachine(stopper.try_clone()?))?;
    let wanted = autoload::Wanted::new()?;
    loop {
        let mut fds = [
            PollFd::new(&stopper, PollFlags::IN),
            PollFd::new(&door.0, PollFlags::IN),
            PollFd::new(&wanted, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        if !fds[0].revents().is_empty() {
            break;
        }
        if !fds[2].revents().is_empty() {
            wanted.serve(|name| {
                if let Err(why) = attach(&mut machine, root, name) {
                    log::line(log::To::Both, &format!("WARNING: {why}"));
                }
            });
            continue;
        }
        let Ok((mut stream, _)) = door.0.accept() else { continue };
        // Whoever goes away, or does not read, has no answer.
        let _ = converse(&mut machine, root, &mut stream);
    }
    drop(wanted);
    let clean = machine.end();
    drop(signals);
    Ok(clean)
}

fn converse(machine: &mut Machine, root: &Root, stream: &mut UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let peer = rustix::net::sockopt::socket_peercred(stream.as_fd())?;
    let mut bytes = Vec::new();
    let own = rustix::process::geteuid();
    let answer = if peer.uid != own && !peer.uid.is_root() {
        Err("this system belongs to another user".to_owned())
    } else {
        Read::by_ref(stream).take(4096).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let words: Vec<&str> = text.strip_suffix('\0').unwrap_or(&text).split('\0').collect();
        match Request::parse(&words) {
            // Whoever has waited for a program finds its closes and unmaps done.
            Some(request) => {
                machine.server().wait_idle(Duration::ZERO);
                if let Err(why) = system::refresh() {
                    log::line(log::To::Both, &format!("WARNING: {why}"));
                }
                nodes::changed();
                answer(machine, root, &request)
            }
            None => Err("an unknown request: is ddi-host serve of the same version?".to_owned()),
        }
    };
    let (mark, text) = match &answer {
        Ok(text) => (b"0", text),
        Err(why) => (b"1", why),
    };
    stream.write_all(mark)?;
    stream.write_all(text.as_bytes())
}

fn answer(machine: &mut Machine, root: &Root, request: &Request) -> Answer {
    match request {
        Request::Environment => {
            let mut variables = machine.server().environment();
            variables.push(("DDI_HOST_FAULTS".into(), machine.faults().into()));
            Ok(variables.into_iter().map(|(name, value)| format!("{name}={value}\n")).collect())
        }
        Request::Kstats => Ok(kstats::listing()),
        Request::Stuck => Ok(DdiKernel.stuck().iter().map(|call| format!("{call}\n")).collect()),
        Request::Where(calls) => {
            let said = blocked::describe(calls);
            Ok(said.iter().map(|(call, pid, text)| format!("{call} {pid} {text}\0")).collect())
        }
        Request::Attach(name) => {
            let attached = attach(machine, root, name).unwrap_or_else(|why| {
                log::line(log::To::Both, &format!("WARNING: {why}"));
                0
            });
            let said: String = system::said().into_iter().map(|line| line + "\n").collect();
            if attached > 0 { Ok(said) } else { Err(said) }
        }
        Request::Bind(name) => {
            if let Some(major) = root.major(name).map_err(|e| e.to_string())? {
                drivers::set_major(name, major);
            }
            pci::rebind(session::bound_by(root)?);
            Ok(String::new())
        }
        Request::Unbind(name) => {
            if drivers::major_of(name).is_none() {
                return Err(EINVAL.to_string());
            }
            forget_nodes(name);
            drivers::forget_major(name);
            pci::rebind(session::bound_by(root)?);
            Ok(String::new())
        }
        Request::Reread(name) => {
            if drivers::major_of(name).is_none() {
                return Err(EINVAL.to_string());
            }
            forget_nodes(name);
            Ok(String::new())
        }
        Request::Permissions { driver, add } => {
            system::change_permissions(driver, *add);
            nodes::changed();
            Ok(String::new())
        }
        Request::Unload(name) => match machine.session().modules().find(name) {
            Some(_) => unload_one(machine, root, name),
            None => Ok(String::new()),
        },
        Request::UnloadId(0) => {
            unload(machine, root, Session::unload_unused);
            Ok(String::new())
        }
        Request::UnloadId(id) => {
            let loaded = machine.session().modules().list();
            let found = loaded.iter().find(|m| i64::try_from(m.id()) == Ok(*id)).map(|m| m.name().to_owned());
            drop(loaded);
            match found {
                Some(name) => unload_one(machine, root, &name),
                // The kernel itself.
                None if modctl::OWN.iter().any(|(own, _)| own == id) => Err(EBUSY.to_string()),
                None => Err(EINVAL.to_string()),
            }
        }
        Request::Load(name, by_path) => {
            let file =
                if *by_path { machine.session().modules().along_path(name) } else { Some(name.into()) };
            let file = file.ok_or_else(|| ENOENT.to_string())?;
            let loaded = machine.session().load(root, &file);
            loaded.map(|id| id.to_string()).map_err(|(errno, why)| {
                log::line(log::To::Both, &format!("WARNING: {why}"));
                errno.to_string()
            })
        }
        Request::Modules { id, wide, count } => modctl::table(machine.session(), root, *id, *wide, *count),
    }
}

/// Loads and attaches an installed driver. How many instances attached.
fn attach(machine: &mut Machine, root: &Root, name: &str) -> Result<usize, String> {
    let attached = machine.session().add_from(root, name)?;
    if attached > 0 {
        autoload::forget(name);
    }
    Ok(attached)
}

/// Takes a driver's nodes out of the tree that it has not attached, and the names that it left when it was unloaded.
fn forget_nodes(driver: &str) {
    autoload::forget(driver);
    nodes::forget(driver);
    nodes::changed();
}

/// Unloads a module; the error is an illumos errno.
fn unload_one(machine: &mut Machine, root: &Root, name: &str) -> Answer {
    unload(machine, root, |session| session.unload(name)).map(|()| String::new()).map_err(|why| {
        log::line(log::To::Log, &format!("{name}: {why}"));
        why.errno.to_string()
    })
}

/// Unloads modules; the names in /dev of a driver that is still installed stay.
fn unload<R>(machine: &mut Machine, root: &Root, how: impl FnOnce(&mut Session) -> R) -> R {
    let names = |machine: &mut Machine| -> Vec<String> {
        machine.session().modules().list().iter().map(|m| m.name().to_owned()).collect()
    };
    let before = names(machine);
    for name in &before {
        if root.major(name).is_ok_and(|major| major.is_some()) {
            autoload::keep(name);
        }
    }
    let done = how(machine.session());
    // What has stayed and is attached has its names itself.
    for name in names(machine).iter().filter(|name| !ddi_kernel::calls::names::nodes_of(name).is_empty()) {
        autoload::forget(name);
    }
    nodes::changed();
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_their_words() {
        for request in [
            Request::Environment,
            Request::Attach("ctxdev".into()),
            Request::Unload("ctxdev".into()),
            Request::UnloadId(201),
            Request::Bind("ctxdev".into()),
            Request::Unbind("ctxdev".into()),
            Request::Reread("ctxdev".into()),
            Request::Permissions { driver: "ctxdev".into(), add: false },
            Request::Load("drv/ctxdev".into(), true),
            Request::Modules { id: None, wide: true, count: false },
            Request::Modules { id: Some(-7), wide: false, count: true },
            Request::Kstats,
            Request::Stuck,
            Request::Where(vec![1 << 33 | 1, 7]),
        ] {
            let words = request.words();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            assert_eq!(Request::parse(&words), Some(request));
        }
        assert_eq!(Request::parse(&["attach"]), None);
    }

    #[test]
    fn a_directory_has_one_door() {
        let dir = tempfile::tempdir().unwrap();
        assert!(ask(dir.path(), &Request::Kstats).unwrap().is_none());
        let door = Door::open(dir.path()).unwrap();
        assert!(Door::open(dir.path()).unwrap_err().contains("another ddi-host"));
        drop(door);
        Door::open(dir.path()).unwrap();
    }
}
