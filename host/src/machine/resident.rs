//! A machine that stays up for a system's directory: `ddi-host serve --root DIR`.
//!
//! It is to that directory what a kernel is to its system: drivers that add_drv installs are attached at once and stay loaded while programs
//! come and go. `ddi-host run`, `add_drv`, `rem_drv`, `modload`, `modinfo`, `modunload` and `kstat` with the same `--root` find it by an abstract socket
//! that is named after the directory's device and inode numbers, so there is nothing in the file system.
//!
//! A request is a [`Request`] in JSON, after which the client shuts its side down; the answer is an [`Answer`] in JSON. Requests are served one at a time,
//! by the thread that started the machine. Both sides are the same program, or one of another version, whose messages are refused.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ddi_process::Kernel as _;
use ddi_process::ending::{Ending, Signals};
use ddi_system::errno::{EBUSY, EINVAL, ENOENT};
use ddi_system::root::{Root, Unreadable};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

use super::Machine;
use super::modinfo::{self, Info};
use super::recorder::Recorder;
use super::session::{self, Host, Session};
use ddi_kernel::board::log;
use ddi_kernel::calls::kernel::DdiKernel;
use ddi_kernel::calls::{autoload, system};
use ddi_kernel::ddi::kstats::{self, Statistics};
use ddi_kernel::kern::{blocked, drivers, nodes};
use ddi_kernel::pci;

/// Most bytes of a request.
const LONGEST: u64 = 64 * 1024;
/// Time that the other side may take with a request or an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Request to a machine that stays up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Load a module.
    Load {
        /// A file, or a name along the module path.
        name: String,
        /// It is a name.
        by_path: bool,
    },
    /// The modules that were loaded once, or only the one with this number.
    Modules(Option<i64>),
    /// All statistics.
    Kstats,
    /// Record what happens, for some seconds from now on.
    Record,
    /// Calls that are inside a driver and that signals do not end: a number for each.
    Stuck,
    /// Asks where these calls are and for what they wait.
    Where(Vec<u64>),
}

/// Result of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The request has been served.
    Done,
    /// The environment that makes a program a client: names and values.
    Environment(Vec<(String, String)>),
    /// Result of attaching a driver.
    Attached {
        /// Instances that were attached.
        instances: usize,
        /// Messages of devfsadm, a line each.
        said: Vec<String>,
    },
    /// The number of the module that was loaded.
    Loaded(usize),
    /// The modules that were loaded once, the kernel's own first.
    Modules(Vec<Info>),
    /// All statistics.
    Kstats(Vec<Statistics>),
    /// The file of the recording.
    Recording(PathBuf),
    /// Calls that are inside a driver and that signals do not end.
    Stuck(Vec<u64>),
    /// Such calls as are still inside.
    Where(Vec<Waiting>),
}

/// A call that is inside a driver and that signals do not end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The call's number.
    pub call: u64,
    /// The process for which it is.
    pub pid: i32,
    /// The call's place and what it waits for.
    pub text: String,
}

/// Reason why a request was not served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// An illumos errno, as modctl(2) returns it.
    #[error("{}", ddi_system::errno::text(*.0))]
    Errno(i32),
    /// A sentence.
    #[error("{0}")]
    Told(String),
}

impl From<Unreadable> for Refusal {
    fn from(why: Unreadable) -> Refusal {
        Refusal::Told(why.to_string())
    }
}

/// Answer to a request.
pub type Answer = Result<Reply, Refusal>;

impl Refusal {
    /// Returns the refusal that stands for a reply to another request.
    pub fn unexpected() -> Refusal {
        Refusal::Told("an unexpected reply: is ddi-host serve of the same version?".to_owned())
    }
}

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
    serde_json::to_writer(&mut stream, request)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    if text.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "ddi-host serve did not answer"));
    }
    Ok(Some(serde_json::from_slice(&text).unwrap_or_else(|_| Err(Refusal::unexpected()))))
}

/// Error of [`Door::open`].
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The directory cannot be read.
    #[error("{}: {error}", root.display())]
    Root {
        /// The system's directory.
        root: PathBuf,
        /// The error of Linux.
        error: io::Error,
    },
    /// Another machine serves this directory.
    #[error("{}: another ddi-host serves this system", .0.display())]
    Taken(PathBuf),
    /// The socket cannot be made.
    #[error("{}: cannot make the control socket: {error}", root.display())]
    Socket {
        /// The system's directory.
        root: PathBuf,
        /// The error of Linux.
        error: io::Error,
    },
}

/// The place where requests come in.
#[derive(Debug)]
pub struct Door(UnixListener);

impl Door {
    /// Opens it: one machine serves a directory. Take it before drivers are loaded.
    ///
    /// # Errors
    /// See [`DoorError`].
    pub fn open(root: &Path) -> Result<Door, DoorError> {
        let address = address(root).map_err(|error| DoorError::Root { root: root.to_owned(), error })?;
        match UnixListener::bind_addr(&address) {
            Ok(listener) => Ok(Door(listener)),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => Err(DoorError::Taken(root.to_owned())),
            Err(error) => Err(DoorError::Socket { root: root.to_owned(), error }),
        }
    }
}

/// Ends the machine by its first signal, without a time limit.
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
pub fn serve(mut machine: Machine, root: &Root, door: &Door, mut recorder: Recorder) -> io::Result<bool> {
    let stopper = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
    let signals = Signals::take(EndMachine(stopper.try_clone()?))?;
    let wanted = autoload::Wanted::new()?;
    loop {
        let mut fds = [
            PollFd::new(&stopper, PollFlags::IN),
            PollFd::new(&door.0, PollFlags::IN),
            PollFd::new(&wanted, PollFlags::IN),
        ];
        let look = recorder.look().map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        match poll(&mut fds, look.as_ref()) {
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
        if fds[1].revents().is_empty() {
            continue;
        }
        let Ok((mut stream, _)) = door.0.accept() else { continue };
        // Whoever goes away, or does not read, has no answer.
        let _ = converse(&mut machine, root, &mut recorder, &mut stream);
    }
    drop(wanted);
    let clean = machine.end();
    drop(signals);
    Ok(clean)
}

fn converse(
    machine: &mut Machine,
    root: &Root,
    recorder: &mut Recorder,
    stream: &mut UnixStream,
) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let peer = rustix::net::sockopt::socket_peercred(stream.as_fd())?;
    let mut bytes = Vec::new();
    let own = rustix::process::geteuid();
    let answer = if peer.uid != own && !peer.uid.is_root() {
        Err(Refusal::Told("this system belongs to another user".to_owned()))
    } else {
        Read::by_ref(stream).take(LONGEST).read_to_end(&mut bytes)?;
        match serde_json::from_slice(&bytes) {
            // Whoever has waited for a program finds its closes and unmaps done.
            Ok(request) => {
                machine.server().wait_idle(Duration::ZERO);
                if let Err(why) = system::refresh() {
                    log::line(log::To::Both, &format!("WARNING: {why}"));
                }
                nodes::changed();
                answer(machine, root, recorder, request)
            }
            Err(_) => {
                Err(Refusal::Told("an unknown request: is ddi-host serve of the same version?".to_owned()))
            }
        }
    };
    Ok(serde_json::to_writer(stream, &answer)?)
}

fn answer(machine: &mut Machine, root: &Root, recorder: &mut Recorder, request: Request) -> Answer {
    match request {
        Request::Environment => {
            let mut variables = machine.server().environment();
            variables.push(("DDI_HOST_FAULTS".into(), machine.faults().into()));
            Ok(Reply::Environment(variables))
        }
        Request::Kstats => Ok(Reply::Kstats(kstats::read_all())),
        Request::Record => recorder
            .ask()
            .map(Reply::Recording)
            .map_err(|error| Refusal::Told(format!("cannot record: {error}"))),
        Request::Stuck => Ok(Reply::Stuck(DdiKernel.stuck())),
        Request::Where(calls) => {
            let said = blocked::describe(&calls).into_iter();
            Ok(Reply::Where(said.map(|(call, pid, text)| Waiting { call, pid, text }).collect()))
        }
        Request::Attach(name) => {
            let instances = attach(machine, root, &name).unwrap_or_else(|why| {
                log::line(log::To::Both, &format!("WARNING: {why}"));
                0
            });
            Ok(Reply::Attached { instances, said: system::said() })
        }
        Request::Bind(name) => {
            if let Some(major) = root.major(&name).map_err(|e| Refusal::Told(e.to_string()))? {
                drivers::set_major(&name, major);
            }
            pci::rebind(session::bound_by(root)?);
            Ok(Reply::Done)
        }
        Request::Unbind(name) => {
            if drivers::major_of(&name).is_none() {
                return Err(Refusal::Errno(EINVAL));
            }
            forget_nodes(&name);
            drivers::forget_major(&name);
            pci::rebind(session::bound_by(root)?);
            Ok(Reply::Done)
        }
        Request::Reread(name) => {
            if drivers::major_of(&name).is_none() {
                return Err(Refusal::Errno(EINVAL));
            }
            forget_nodes(&name);
            Ok(Reply::Done)
        }
        Request::Permissions { driver, add } => {
            system::change_permissions(&driver, add);
            nodes::changed();
            Ok(Reply::Done)
        }
        Request::Unload(name) => match machine.session().modules().find(&name) {
            Some(_) => unload_one(machine, root, &name),
            None => Ok(Reply::Done),
        },
        Request::UnloadId(0) => {
            unload(machine, root, Session::unload_unused);
            Ok(Reply::Done)
        }
        Request::UnloadId(id) => {
            let loaded = machine.session().modules().list();
            let found = loaded.iter().find(|m| i64::try_from(m.id()) == Ok(id)).map(|m| m.name().to_owned());
            drop(loaded);
            match found {
                Some(name) => unload_one(machine, root, &name),
                // The kernel itself.
                None if OWN.iter().any(|(own, _)| *own == id) => Err(Refusal::Errno(EBUSY)),
                None => Err(Refusal::Errno(EINVAL)),
            }
        }
        Request::Load { name, by_path } => {
            let file =
                if by_path { machine.session().modules().along_path(&name) } else { Some(name.into()) };
            let file = file.ok_or(Refusal::Errno(ENOENT))?;
            let loaded = machine.session().load(root, &file);
            loaded.map(Reply::Loaded).map_err(|(errno, why)| {
                log::line(log::To::Both, &format!("WARNING: {why}"));
                Refusal::Errno(errno)
            })
        }
        Request::Modules(id) => modules(machine.session(), root, id).map(Reply::Modules),
    }
}

/// Loads and attaches an installed driver. Returns the number of instances attached.
fn attach(machine: &mut Machine, root: &Root, name: &str) -> Result<usize, session::DriverError> {
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
    unload(machine, root, |session| session.unload(name)).map(|()| Reply::Done).map_err(|why| {
        log::line(log::To::Log, &format!("{name}: {why}"));
        Refusal::Errno(why.errno)
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

/// The modules of the kernel itself, which the host is: their numbers and names.
const OWN: [(i64, &str); 2] = [(0, "unix"), (1, "genunix")];

/// Returns the modules that a machine has loaded once, the kernel's own first, or one of them.
///
/// # Errors
/// A module's description cannot be read.
fn modules(session: &Session, root: &Root, id: Option<i64>) -> Result<Vec<Info>, Refusal> {
    let mut known = session.modules().known();
    known.sort_by_key(|module| module.id);
    known.retain(|module| id.is_none_or(|id| i64::try_from(module.id) == Ok(id)));
    let own = OWN.iter().filter(|(own, _)| id.is_none_or(|id| id == *own));
    let mut all: Vec<Info> = own.map(|own| modinfo::own(*own)).collect();
    for known in known {
        let module = session.modules().find(&known.name);
        let major = root.major(&known.name).ok().flatten();
        let info = modinfo::of(known, module.as_deref(), &Host, major);
        all.push(info.map_err(|why| Refusal::Told(why.to_string()))?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_survive_the_way() {
        for request in [
            Request::Environment,
            Request::Attach("ctxdev".into()),
            Request::Permissions { driver: "ctxdev".into(), add: false },
            Request::Load { name: "drv/ctxdev".into(), by_path: true },
            Request::Modules(Some(-7)),
            Request::Record,
            Request::Where(vec![1 << 33 | 1, 7]),
        ] {
            let text = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request);
        }
        let waiting = Waiting { call: 1 << 40, pid: 7, text: "a\nb\0c".into() };
        for answer in [
            Ok(Reply::Done),
            Ok(Reply::Environment(vec![("A".into(), "b=c\nd".into())])),
            Ok(Reply::Attached { instances: 2, said: vec!["a\nb".into()] }),
            Ok(Reply::Modules(vec![modinfo::own(OWN[0])])),
            Ok(Reply::Where(vec![waiting])),
            Ok(Reply::Recording("/proc/1/fd/3".into())),
            Err(Refusal::Errno(EINVAL)),
            Err(Refusal::Told("why".into())),
        ] {
            let text = serde_json::to_string(&answer).unwrap();
            assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer);
        }
        assert!(serde_json::from_str::<Request>("{\"Load\":{\"name\":\"a\"}}").is_err());
    }

    #[test]
    fn a_directory_has_one_door() {
        let dir = tempfile::tempdir().unwrap();
        assert!(ask(dir.path(), &Request::Kstats).unwrap().is_none());
        let door = Door::open(dir.path()).unwrap();
        assert!(Door::open(dir.path()).unwrap_err().to_string().contains("another ddi-host"));
        drop(door);
        Door::open(dir.path()).unwrap();
    }
}
